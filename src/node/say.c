#include "node/say.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/guard.h"
#include "node/key_lost.h"
#include "node/keys.h"
#include "node/ledgers.h"
#include "node/quota.h"
#include "node/report.h"
#include "node/reveal.h"
#include "seal/age.h"
#include "store/blobs.h"

#include <time.h>

enum {
    PATIENCE_MS = 10000,    /* for the opener, when it has yet to open what is answered */
    PATIENCE_NODE_MS = 500, /* what the node says by itself is tried again later */
    CATCH_UP_MS = 1000,     /* for what has just come in, so that it can be acked … */
    CATCH_UP_ENTRIES = 16   /* … unless much has, and the opener will not be done with it soon */
};

typedef struct {
    ent_job job; /* first: a job is a say_job */
    const ent_saying *saying;
    ent_hash digest;
    ent_buf entry;
    uint64_t index;
    ent_ack acks[ENT_ENTRY_MAX_MEMBERS];
    size_t ack_count;
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_entry drafted;           /* as logged */
    ent_store_revealed revealed; /* what it shows, if it is a reveal; state 0 = nothing */
    bool behind;                 /* the ledger does not hold all that we said */
    bool busy;                   /* it could not be had at once */
} say_job;

void ent_channel_recipients(const ent_channel *channel, ent_recipient ret[ENT_ENTRY_MAX_MEMBERS])
{
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        memcpy(ret[i].bytes, ent_keys_newest(ent_channel_keys(channel, (uint32_t)i), ENT_KEY_ROLE_AGE)->value,
               sizeof ret[i].bytes);
}

ent_rc ent_seal_for_channel(const ent_channel *channel, ent_bytes plain, ent_buf *ret, ent_err *err)
{
    ent_recipient recipients[ENT_ENTRY_MAX_MEMBERS];
    ent_channel_recipients(channel, recipients);
    return ent_age_seal(plain, recipients, channel->genesis.member_count, ret, err);
}

/* Heads of other members' logs that we have receipted since our last entry. Only what is opened is acked: what an
 * officer says next is judged by what he could know. */
static ent_rc collect_acks(say_job *work, ent_node *node, const ent_ledger *ledger, ent_err *err)
{
    const ent_saying *saying = work->saying;
    ent_channel *channel = saying->channel;
    const ent_store_log *own = &channel->members[channel->self].next;
    work->ack_count = 0;
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) { /* members are sorted by name, so origins are too */
        ent_ack *ack = &work->acks[work->ack_count];
        if (i == channel->self)
            continue;
        bool answered =
            saying->has_reply_to && ent_text_equal(saying->reply_to.party, channel->genesis.members[i].name);
        ENT_TRY(ent_channel_ackable(
            node, channel, i, ent_ledger_size(ledger, i),
            answered && saying->reply_to.index >= own->acked[i] ? saying->reply_to.index + 1 : 0, &ack->head, err));
        if (ack->head.size == 0 || ack->head.size <= own->acked[i])
            continue;
        ack->origin = ent_text_of(channel->members[i].origin);
        work->ack_count++;
    }
    return ENT_DONE;
}

/* --- what is logged --- */

/* The entry as it will be encoded; its acks and time live in the job. */
static void draft(say_job *work, const ent_hash *agreement)
{
    const ent_saying *saying = work->saying;
    const ent_channel *channel = saying->channel;
    ent_time_format(ent_clock_unix_s(), work->time);
    work->drafted = (ent_entry){
        .channel = channel->id,
        .writer = channel->genesis.members[channel->self].name,
        .index = work->index,
        .time = ent_text_of(work->time),
        .kind = ent_text_of(saying->kind),
        .has_thread = saying->has_thread,
        .thread = saying->thread,
        .has_reply_to = saying->has_reply_to,
        .reply_to = saying->reply_to,
        .to = saying->to,
        .to_count = saying->to_count,
        .acks = work->acks,
        .ack_count = work->ack_count,
        .agreement = *agreement,
        .marking = saying->marking,
        .urgency = saying->urgency,
        .exercise = saying->exercise,
        .has_body = saying->sealed.size > 0,
        .body = {.digest = work->digest, .size = saying->sealed.size, .type = ENT_TEXT("application/json")},
        .attachments = saying->attachments,
        .attachment_count = saying->attachment_count,
    };
    ent_random(work->drafted.nonce, sizeof work->drafted.nonce);
}

static ent_rc find_attachments(const ent_saying *saying, const ent_node *node, ent_err *err)
{
    for (size_t i = 0; i < saying->attachment_count; i++)
        if (!ent_blob_exists(node->paths.blobs, &saying->attachments[i].digest)) /* cleared away: blob_worker.c */
            return ent_fail(err, ENT_ABSENT, "docs/api.md",
                            "attachments[%zu] is not here any more; seal it again, and name it within days", i);
    return ENT_DONE;
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
        return ent_fail(err, ENT_REFUSED_FROZEN, "design 3, Fork",
                        "our log in channel %.8s is frozen: our key signed two different histories (entente fork "
                        "list). Nothing more "
                        "can be said in it; open a channel that succeeds it (entente channel open --succeeds)",
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

/* An answer stands in the conversation of what it answers, also when that named another. */
static void join_conversation(say_job *work, const ent_ledger *ledger)
{
    const ent_genesis *genesis = &work->saying->channel->genesis;
    ent_entry *entry = &work->drafted;
    int member = entry->has_reply_to ? ent_genesis_member(genesis, entry->reply_to.party) : -1;
    if (member < 0 || entry->reply_to.index >= ent_ledger_size(ledger, (uint32_t)member))
        return;
    ent_ledger_ref root = ent_ledger_conversation(ledger, (ent_ledger_ref){(uint32_t)member, entry->reply_to.index});
    entry->has_thread = true;
    entry->thread = (ent_message_ref){genesis->members[root.member].name, root.index};
}

/* --- what the agreement says on it --- */

static ent_rc unknown_system(const ent_agreement *terms, ent_text id, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf known = {0};
    for (size_t i = 0; terms != NULL && i < terms->protected_count; i++)
        ent_buf_put_format(&known, "%s%.*s", i == 0 ? "" : ", ", ENT_TEXT_ARG(terms->protected_systems[i].id));
    if (known.size == 0)
        ent_buf_put_string(&known, "none");
    ENT_TRY(ent_buf_check(&known, err));
    return ent_fail(err, ENT_REFUSED, "design 5",
                    "fields.protected_systems: \"%.*s\" is not in the agreement in force; it knows %.*s",
                    (int)(id.size > 64 ? 64 : id.size), id.data, (int)(known.size > 300 ? 300 : known.size),
                    (const char *)known.data);
}

/* "protected systems (an urgency floor) … kinds that need two officers" (design 5). */
static ent_rc follow_terms(const ent_facts *facts, const ent_agreement *terms, ent_entry *entry, ent_err *err)
{
    if (ent_agreement_two_officers(terms, entry->kind))
        return ent_fail(err, ENT_REFUSED, "design 5",
                        "%.*s needs two officers under the agreement in force (two_officers); users do not exist in "
                        "this version, so it cannot be said",
                        ENT_TEXT_ARG(entry->kind));
    for (size_t i = 0; i < facts->system_count; i++) {
        ent_urgency floor = ENT_URGENCY_ROUTINE;
        if (!ent_agreement_protected(terms, facts->systems[i], &floor))
            return unknown_system(terms, facts->systems[i], err);
        if (floor > entry->urgency)
            entry->urgency = floor;
    }
    return ENT_DONE;
}

/* --- one job --- */

static const ent_facts no_facts;

static const ent_facts *facts_of(const say_job *work)
{
    return work->saying->facts == NULL ? &no_facts : work->saying->facts;
}

static bool is_by_node(const ent_saying *saying)
{
    const ent_kind *kind = ent_kind_find(ent_text_of(saying->kind));
    return kind != NULL && kind->by_node;
}

/* Refused here and now, rather than by every receiver. What the node must say by itself is said all the same, counts,
 * and may reach them a day later. */
static ent_rc keep_quota(const say_job *work, ent_node *node, ent_err *err)
{
    const ent_saying *saying = work->saying;
    uint64_t attachments = 0;
    for (size_t i = 0; i < saying->attachment_count; i++)
        attachments += saying->attachments[i].size;
    return ent_quota_say(node, saying->channel, work->entry.size + saying->sealed.size, attachments, err);
}

/* Everything that may refuse it, before anything is written. */
static ent_rc prepare(say_job *work, ent_node *node, const ent_ledger *ledger, ent_err *err)
{
    const ent_saying *saying = work->saying;
    const ent_channel *channel = saying->channel;
    ent_hash agreement;
    ENT_TRY(find_attachments(saying, node, err));
    work->index = channel->members[channel->self].next.tree.size;
    if (ent_ledger_size(ledger, channel->self) != work->index) {
        work->behind = true;
        return ent_fail(err, ENT_RETRY, NULL,
                        "what we said last in channel %.8s follows on messages that are being opened; try again in a "
                        "moment",
                        channel->id_text);
    }
    ENT_TRY(collect_acks(work, node, ledger, err));
    const ent_agreement *terms = ent_ledger_terms(ledger, channel->self, work->acks, work->ack_count, &agreement);
    draft(work, &agreement);
    join_conversation(work, ledger);
    if (!is_by_node(saying)) {
        ENT_TRY(follow_terms(facts_of(work), terms, &work->drafted, err));
        ENT_TRY(ent_ledger_allows(ledger, channel->self, &work->drafted, facts_of(work), err));
    }
    ent_buf_clear(&work->entry);
    ENT_TRY(ent_entry_encode(&work->drafted, &work->entry, err));
    return is_by_node(saying) ? ENT_DONE : keep_quota(work, node, err);
}

static ent_rc record_acks(const say_job *work, ent_err *err)
{
    ent_channel *channel = work->saying->channel;
    for (size_t i = 0; i < work->ack_count; i++) {
        ent_text party = {0};
        ent_hash id;
        ENT_TRY(ent_origin_parse(work->acks[i].origin, &party, &id, err));
        channel->members[channel->self].next.acked[ent_genesis_member(&channel->genesis, party)] =
            work->acks[i].head.size;
    }
    return ENT_DONE;
}

/* Last of all: nothing but the batch itself can fail now, and then the ledger is made anew. */
static ent_rc push(say_job *work, ent_ledger *ledger, ent_err *err)
{
    ent_channel *channel = work->saying->channel;
    ent_err wrong = {0};
    const ent_hash *leaf = &channel->appends.leaves[channel->appends.count - 1];
    ent_rc rc = ent_ledger_entry(ledger, channel->self, &work->drafted, leaf, facts_of(work), &wrong);
    if (rc.code == ENT_OK)
        return rc;
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "%s", wrong.text);
    ent_report report = ent_report_begin("ledger.out-of-step");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_error(&report, &wrong);
    ent_report_end(&report);
    ent_ledgers_forget(channel);
    return ENT_DONE;
}

static ent_rc apply_with(say_job *work, ent_node *node, ent_ledger *ledger, ent_err *err)
{
    const ent_saying *saying = work->saying;
    ENT_TRY(prepare(work, node, ledger, err));
    if (saying->also != NULL)
        ENT_TRY(saying->also(saying->also_context, node, err));
    work->revealed.by = work->index;
    if (work->revealed.state != 0)
        ENT_TRY(node->store->engine->reveal_put(node->store, &work->revealed, err));
    ENT_TRY(record_acks(work, err));
    ent_quota_said(saying->channel, work->entry.size + saying->sealed.size);
    ENT_TRY(
        ent_sequencer_append(node, saying->channel, ent_buf_bytes(&work->entry), saying->sealed, &work->digest, err));
    ENT_TRY(add_attachments(work, node, err));
    ENT_TRY(ent_sequencer_check_open(node, saying->channel, err));
    return push(work, ledger, err);
}

static ent_rc apply(ent_job *job, ent_node *node, ent_err *err)
{
    say_job *work = (say_job *)job;
    ent_channel *channel = work->saying->channel;
    ent_ledger *ledger = NULL;
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    ENT_TRY(check_state(work->saying, err));
    ent_rc rc = ent_ledgers_lock_now(channel, &ledger, err);
    work->busy = rc.code == ENT_RETRY;
    ENT_TRY(rc);
    rc = apply_with(work, node, ledger, err);
    ent_ledgers_unlock(channel);
    return rc;
}

/* Why what was logged is held, if it is. */
static ent_rc tell_hold(const ent_node *node, ent_channel *channel, uint64_t index, ent_err *err)
{
    ent_held held;
    ent_channel_held(node, channel, &held);
    if (held.hold == ENT_HOLD_NONE)
        return ENT_DONE;
    return ent_fail(err, ENT_REFUSED_KEEPER,
                    held.hold == ENT_HOLD_KEY ? "design 2, Rotation" : "design 3, Rollback guard",
                    "logged as number %llu, but held: %s", (unsigned long long)index, held.reason);
}

static void settle(ent_job *job, ent_node *node)
{
    const say_job *work = (const say_job *)job;
    job->rc = tell_hold(node, work->saying->channel, work->index, &job->err);
}

/* --- for all --- */

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* How far the ledger has come, for one who is about to say something. */
typedef struct {
    bool has_target; /* what is answered is in the ledger, and a head that covers it can be acked */
    bool soon;       /* little that was receipted is missing */
    bool whole;      /* nothing is */
} progress;

/* Makes the ledger when it is not there yet, which must not take the sequencer's time. */
static ent_rc see_progress(ent_node *node, const ent_saying *saying, progress *ret, ent_err *err)
{
    ent_channel *channel = saying->channel;
    ent_ledger *ledger = NULL;
    ent_tree_head newest;
    ent_tree_head head;
    ENT_TRY(ent_ledgers_lock(node, channel, &ledger, err));
    uint64_t sizes[ENT_ENTRY_MAX_MEMBERS] = {0};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        sizes[m] = ent_ledger_size(ledger, m);
    ent_ledgers_unlock(channel);
    *ret = (progress){true, true, true};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (m == channel->self || atomic_load(&channel->members[m].blocked))
            continue;
        ent_channel_receipted(channel, m, UINT64_MAX, &newest);
        ret->whole = ret->whole && newest.size <= sizes[m];
        ret->soon = ret->soon && newest.size <= sizes[m] + CATCH_UP_ENTRIES;
    }
    int member = saying->has_reply_to ? ent_genesis_member(&channel->genesis, saying->reply_to.party) : -1;
    if (member < 0 || (uint32_t)member == channel->self)
        return ENT_DONE;
    (void)pthread_mutex_lock(&channel->lock);
    uint64_t acked = channel->members[channel->self].log.acked[member];
    (void)pthread_mutex_unlock(&channel->lock);
    if (acked > saying->reply_to.index)
        return ENT_DONE;
    ENT_TRY(
        ent_channel_ackable(node, channel, (uint32_t)member, sizes[member], saying->reply_to.index + 1, &head, err));
    bool never = atomic_load(&channel->members[member].blocked) || ent_channel_is_held(channel);
    ret->has_target = head.size > saying->reply_to.index || (never && is_by_node(saying));
    return ENT_DONE;
}

/* The opener says these itself, and would wait for nobody. */
static bool is_by_opener(const ent_saying *saying)
{
    return strcmp(saying->kind, "channel.notice") == 0;
}

/* Give the opener a moment for what has just come in, and longer for what is answered. */
static ent_rc await_opener(ent_node *node, const ent_saying *saying, int64_t deadline_ms, ent_err *err)
{
    int64_t soon_ms = ent_clock_monotonic_ms() + (is_by_node(saying) ? 0 : CATCH_UP_MS);
    progress now;
    ENT_TRY(see_progress(node, saying, &now, err));
    while (!atomic_load(&node->stopping) && !is_by_opener(saying)) {
        int64_t time_ms = ent_clock_monotonic_ms();
        bool waits = (!now.whole && now.soon && time_ms < soon_ms) || (!now.has_target && time_ms < deadline_ms);
        if (!waits)
            break;
        pause_ms(time_ms < soon_ms ? 1 : 20);
        ENT_TRY(see_progress(node, saying, &now, err));
    }
    if (now.has_target || is_by_opener(saying))
        return ENT_DONE;
    if (ent_key_is_lost(node, ENT_KEY_ROLE_RECEIPT)) /* what is not receipted cannot be acked */
        return ent_key_fail_lost(node, ENT_KEY_ROLE_RECEIPT, ENT_RETRY, err);
    return ent_fail(err, ENT_RETRY, "design 5, Order",
                    "%.*s/%llu has come, but follows on messages that are not here or not opened yet; try again later",
                    ENT_TEXT_ARG(saying->reply_to.party), (unsigned long long)saying->reply_to.index);
}

/* The sequencer has every channel to serve, so it is here that a ledger is made, or waited for. */
static ent_rc run_patiently(ent_node *node, say_job *work, int64_t deadline_ms, ent_err *err)
{
    ent_rc rc = ent_sequencer_run(node, &work->job, err);
    while (rc.code == ENT_RETRY && (work->busy || (work->behind && !is_by_opener(work->saying))) &&
           ent_clock_monotonic_ms() < deadline_ms && !atomic_load(&node->stopping)) {
        progress now;
        pause_ms(work->busy ? 1 : 20);
        work->busy = false;
        work->behind = false;
        ENT_TRY(see_progress(node, work->saying, &now, err));
        rc = ent_sequencer_run(node, &work->job, err);
    }
    return rc;
}

ent_rc ent_say(ent_node *node, const ent_saying *saying, uint64_t *ret_index, ent_err *err)
{
    say_job work = {.job = {.apply = apply, .settle = settle}, .saying = saying};
    int64_t deadline_ms = ent_clock_monotonic_ms() + (is_by_node(saying) ? PATIENCE_NODE_MS : PATIENCE_MS);
    if (saying->sealed.size > ENT_BODY_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 11, limits",
                        "the body is %zu bytes once sealed; the limit is %d: send large content as an attachment",
                        saying->sealed.size, ENT_BODY_MAX_BYTES);
    ent_sha256(saying->sealed, &work.digest);
    work.job.weight_bytes = saying->sealed.size + ENT_ENTRY_LIMIT_BYTES;
    ENT_TRY(await_opener(node, saying, deadline_ms, err));
    if (saying->facts != NULL && saying->has_reply_to)
        ENT_TRY(ent_reveal_judge(node, saying->channel, saying->channel->self, &saying->reply_to, saying->facts,
                                 &work.revealed, err));
    ent_rc rc = run_patiently(node, &work, deadline_ms, err);
    ent_buf_release(&work.entry);
    if (rc.code == ENT_REFUSED_KEEPER && !is_by_node(saying)) {
        bool is_signed = ent_guard_wait(node, saying->channel, work.index + 1);
        rc = is_signed ? ENT_DONE : tell_hold(node, saying->channel, work.index, err);
    }
    if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER) {
        *ret_index = work.index;
        if (work.revealed.state == ENT_REVEALED_BAD)
            ent_ledgers_forget(saying->channel);
        if (saying->ret_urgency != NULL)
            *saying->ret_urgency = work.drafted.urgency;
    }
    return rc;
}

ent_rc ent_say_body(ent_node *node, const ent_saying *saying, ent_bytes body, uint64_t *ret_index, ent_err *err)
{
    ENT_CLEANUP(ent_body_release) ent_body parsed = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ENT_CLEANUP(ent_facts_release) ent_facts facts = {0};
    ent_saying with = *saying;
    ent_text kind = ent_text_of(saying->kind);
    ENT_TRY(ent_body_parse(node->kinds, kind, body, saying->attachment_count, &parsed, err));
    ENT_TRY(ent_facts_read(&parsed, kind, &facts, err));
    ENT_TRY(ent_seal_for_channel(saying->channel, body, &sealed, err));
    with.sealed = ent_buf_bytes(&sealed);
    with.facts = &facts;
    return ent_say(node, &with, ret_index, err);
}
