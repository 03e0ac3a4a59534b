#include "node/say.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "seal/age.h"

typedef struct {
    ent_job job; /* first: a job is a say_job */
    const ent_saying *saying;
    ent_hash digest;
    ent_buf entry;
    uint64_t index;
} say_job;

void ent_channel_recipients(const ent_channel *channel, ent_recipient ret[ENT_ENTRY_MAX_MEMBERS])
{
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        ret[i] = channel->genesis.members[i].age;
}

ent_rc ent_seal_for_channel(const ent_channel *channel, ent_bytes plain, ent_buf *ret, ent_err *err)
{
    ent_recipient recipients[ENT_ENTRY_MAX_MEMBERS];
    ent_channel_recipients(channel, recipients);
    return ent_age_seal(plain, recipients, channel->genesis.member_count, ret, err);
}

/* Heads of other members' logs that we have receipted since our last entry. */
static size_t collect_acks(const ent_channel *channel, ent_ack acks[ENT_ENTRY_MAX_MEMBERS])
{
    size_t count = 0;
    const ent_store_log *own = &channel->members[channel->self].next;
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) { /* members are sorted by name, so origins are too */
        const ent_tree_head *receipted = &channel->members[i].receipted;
        if (i == channel->self || receipted->size == 0 || receipted->size <= own->acked[i])
            continue;
        acks[count].origin = ent_text_of(channel->members[i].origin);
        acks[count].head = *receipted;
        count++;
    }
    return count;
}

static ent_rc encode(say_job *work, const ent_ack *acks, size_t ack_count, ent_err *err)
{
    const ent_saying *saying = work->saying;
    const ent_channel *channel = saying->channel;
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(ent_clock_unix_s(), time);
    ent_ack copies[ENT_ENTRY_MAX_MEMBERS];
    memcpy(copies, acks, ack_count * sizeof *acks);
    ent_entry entry = {
        .channel = channel->id,
        .writer = channel->genesis.members[channel->self].name,
        .index = work->index,
        .time = ent_text_of(time),
        .kind = ent_text_of(saying->kind),
        .has_thread = saying->has_thread,
        .thread = saying->thread,
        .has_reply_to = saying->has_reply_to,
        .reply_to = saying->reply_to,
        .to = saying->to,
        .to_count = saying->to_count,
        .acks = copies,
        .ack_count = ack_count,
        .agreement = channel->genesis.terms,
        .marking = saying->marking,
        .urgency = saying->urgency,
        .exercise = saying->exercise,
        .has_body = saying->sealed.size > 0,
        .body = {.digest = work->digest, .size = saying->sealed.size, .type = ENT_TEXT("application/json")},
        .attachments = saying->attachments,
        .attachment_count = saying->attachment_count,
    };
    ent_random(entry.nonce, sizeof entry.nonce);
    ent_buf_clear(&work->entry);
    return ent_entry_encode(&entry, &work->entry, err);
}

static ent_rc add_attachments(const say_job *work, ent_node *node, ent_err *err)
{
    const ent_saying *saying = work->saying;
    const ent_channel *channel = saying->channel;
    int64_t log = channel->members[channel->self].log.number;
    for (size_t i = 0; i < saying->attachment_count; i++) {
        ent_store_blob blob = {
            .log = log,
            .index = work->index,
            .at = (uint32_t)i,
            .digest = saying->attachments[i].digest,
            .size = saying->attachments[i].size,
            .state = ENT_BLOB_HELD,
        };
        ENT_TRY(node->store->engine->blob_add(node->store, &blob, err));
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            ent_store_blob_send send = {
                .log = log, .index = work->index, .member = m, .digest = blob.digest, .size = blob.size};
            if (m != channel->self)
                ENT_TRY(node->store->engine->blob_send_add(node->store, &send, err));
        }
    }
    return ENT_DONE;
}

static ent_rc check_state(const ent_saying *saying, ent_err *err)
{
    const ent_channel *channel = saying->channel;
    const ent_kind *kind = ent_kind_find(ent_text_of(saying->kind));
    ent_channel_state state = channel->next_row.state;
    if (channel->members[channel->self].next.frozen)
        return ent_fail(err, ENT_REFUSED_FROZEN, "design 3, Fork", "our log in channel %.8s is frozen by a fork",
                        channel->id_text);
    bool is_genesis = strcmp(saying->kind, "channel.genesis") == 0;
    if (is_genesis && channel->members[channel->self].next.tree.size == 0 &&
        (state == ENT_CHANNEL_INVITED || channel->row.number == 0))
        return ENT_DONE;
    if (is_genesis)
        return ent_fail(err, ENT_REFUSED, "design 2, Genesis", "entry 0 of our log in channel %.8s is said already",
                        channel->id_text);
    if (state == ENT_CHANNEL_OPEN || (state == ENT_CHANNEL_OPENING && kind != NULL && kind->before_open))
        return ENT_DONE;
    if (state == ENT_CHANNEL_OPENING)
        return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis",
                        "channel %.8s is not open yet: until every member has accepted, only contact.check passes",
                        channel->id_text);
    return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis", "channel %.8s is %s", channel->id_text,
                    ent_channel_state_word(state));
}

static ent_rc apply(ent_job *job, ent_node *node, ent_err *err)
{
    say_job *work = (say_job *)job;
    ent_channel *channel = work->saying->channel;
    ent_ack acks[ENT_ENTRY_MAX_MEMBERS];
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    ENT_TRY(check_state(work->saying, err));
    ent_store_log *next = &channel->members[channel->self].next;
    size_t ack_count = collect_acks(channel, acks);
    work->index = next->tree.size;
    ENT_TRY(encode(work, acks, ack_count, err));
    if (work->saying->also != NULL)
        ENT_TRY(work->saying->also(work->saying->also_context, node, err));
    for (size_t i = 0; i < ack_count; i++) {
        ent_text party = {0};
        ent_hash id;
        ENT_TRY(ent_origin_parse(acks[i].origin, &party, &id, err));
        next->acked[ent_genesis_member(&channel->genesis, party)] = acks[i].head.size;
    }
    ENT_TRY(ent_sequencer_append(node, channel, ent_buf_bytes(&work->entry), work->saying->sealed, &work->digest, err));
    ENT_TRY(add_attachments(work, node, err));
    return ent_sequencer_check_open(node, channel, err);
}

static void settle(ent_job *job, ent_node *node)
{
    const say_job *work = (const say_job *)job;
    ent_channel *channel = work->saying->channel;
    (void)node;
    (void)pthread_mutex_lock(&channel->lock);
    if (channel->held)
        job->rc =
            ent_fail(&job->err, ENT_REFUSED_KEEPER, "design 3, Rollback guard", "logged as number %llu, but held: %s",
                     (unsigned long long)work->index, channel->held_reason);
    (void)pthread_mutex_unlock(&channel->lock);
}

ent_rc ent_say(ent_node *node, const ent_saying *saying, uint64_t *ret_index, ent_err *err)
{
    say_job work = {.job = {.apply = apply, .settle = settle}, .saying = saying};
    if (saying->sealed.size > ENT_BODY_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 11, limits",
                        "the body is %zu bytes once sealed; the limit is %d: send large content as an attachment",
                        saying->sealed.size, ENT_BODY_MAX_BYTES);
    ent_sha256(saying->sealed, &work.digest);
    work.job.weight_bytes = saying->sealed.size + ENT_ENTRY_LIMIT_BYTES;
    ent_rc rc = ent_sequencer_run(node, &work.job, err);
    ent_buf_release(&work.entry);
    if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER)
        *ret_index = work.index;
    return rc;
}
