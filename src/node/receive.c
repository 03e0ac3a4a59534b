#include "node/receive_internal.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/events.h"
#include "node/fork.h"
#include "node/invite.h"
#include "node/key_lost.h"
#include "node/keys.h"
#include "node/opener.h"
#include "node/passed.h"
#include "node/peer.h"
#include "node/quota.h"
#include "node/receipt.h"
#include "node/sequencer.h"

enum { RETRIES = 64 };

void ent_received_release(ent_received *received)
{
    ent_buf_release(&received->receipt);
}

/* --- what we hold, for the check --- */

static ent_rc root_at(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *err)
{
    const ent_holding *held = context;
    ent_store_log log;
    ent_channel_log(held->channel, (uint32_t)member, &log);
    /* What we said but never signed (held) is nothing that another's evidence could contradict. */
    *ret_known = size <= (member == held->channel->self ? ent_channel_signed_size(held->channel) : log.tree.size);
    if (!*ret_known)
        return ENT_DONE;
    if (size == log.tree.size) {
        ent_tree_root(&log.tree, ret_root);
        return ENT_DONE;
    }
    ent_store_tiles tiles = {held->node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    return ent_tree_root_at(size, &reader, ret_root, err);
}

static ent_rc head_held(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *err)
{
    const ent_holding *held = context;
    ent_tree_head found;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    const ent_store_engine *engine = held->node->store->engine;
    ent_rc rc =
        engine->head_get(held->node->store, held->channel->members[member].log.number, head->size, &found, &note, err);
    *ret_held = rc.code == ENT_OK && found.size == head->size && ent_hash_equal(&found.root, &head->root);
    if (*ret_held || (rc.code != ENT_OK && rc.code != ENT_ABSENT))
        return rc;
    rc = engine->passed_head_get(held->node->store, held->channel->members[member].log.number, head, NULL, err);
    *ret_held = rc.code == ENT_OK;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

void ent_holding_know(ent_node *node, ent_channel *channel, uint32_t writer, ent_holding *held, ent_pouch_known *ret)
{
    held->node = node;
    held->channel = channel;
    ent_channel_log(channel, writer, &held->log);
    held->tiles = (ent_store_tiles){node->store, held->log.number};
    *ret = (ent_pouch_known){
        .genesis = &channel->genesis,
        .channel = channel->id,
        .self = channel->self,
        .writer = writer,
        .tree = &held->log.tree,
        .tiles = ent_store_tile_reader(&held->tiles),
        .root_at = root_at,
        .head_held = head_held,
        .context = held,
    };
    memcpy(ret->acked, held->log.acked, sizeof ret->acked);
    ret->forked = ent_fork_frozen(channel);
}

/* --- step 8: one durable transaction --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t writer;
    uint64_t base; /* size of the stored log that was checked against */
    const ent_pouch *pouch;
    ent_pouch_checked *checked;
    bool again;                        /* it was ours before: no quota counts */
    ent_keys_news *keys;               /* what its cards and cutoffs add */
    const ent_keys *const *known_keys; /* per member, with the news */
    ent_received *received;
} receive_job;

static ent_rc store_attachments(ent_node *node, const receive_job *work, ent_err *err)
{
    int64_t log = work->channel->members[work->writer].log.number;
    for (size_t i = 0; i < work->checked->new_count; i++) {
        const ent_entry *entry = &work->checked->entries[i];
        for (size_t a = 0; a < entry->attachment_count; a++) {
            const ent_hash *digest = &entry->attachments[a].digest;
            ent_store_blob blob = {
                .log = log,
                .index = entry->index,
                .at = (uint32_t)a,
                .digest = *digest,
                .size = entry->attachments[a].size,
                .state = ENT_BLOB_WANTED,
            };
            ENT_TRY(node->store->engine->blob_add(node->store, &blob, err));
        }
    }
    return ENT_DONE;
}

ent_rc ent_receive_append(ent_node *node, ent_channel_member *member, const ent_pouch_checked *checked, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) ent_hash *digests = ent_alloc_array(checked->new_count, sizeof *digests);
    if (digests == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (size_t i = 0; i < checked->new_count; i++) {
        digests[i] = checked->entries[i].body.digest;
        member->next.bytes += checked->entry_bytes[i].size + checked->bodies[i].size;
    }
    ent_store_append append = {
        .first = checked->first_new,
        .count = checked->new_count,
        .entries = checked->entry_bytes,
        .leaves = checked->leaves,
        .bodies = checked->bodies,
        .body_digests = digests,
        .arrived_unix_s = ent_clock_unix_s(),
    };
    member->next.tree = checked->tree;
    memcpy(member->next.acked, checked->acked, sizeof member->next.acked);
    return node->store->engine->append(node->store, &member->next, &append, err);
}

static ent_rc store_entries(ent_node *node, receive_job *work, ent_err *err)
{
    const ent_pouch_checked *checked = work->checked;
    ent_channel_member *member = &work->channel->members[work->writer];
    ENT_TRY(ent_receive_append(node, member, checked, err));
    ENT_TRY(
        node->store->engine->head_put(node->store, member->log.number, &checked->head, work->pouch->checkpoint, err));
    ENT_TRY(store_attachments(node, work, err));
    return ent_sequencer_receipt(node, work->channel, work->writer, &checked->head, checked->leaves, checked->new_count,
                                 err);
}

/* "OPEN when all entries 0 are held; before that only genesis and comm checks pass" (design 2, Genesis). */
static ent_rc may_pass_before_open(const receive_job *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    bool opens = true;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        opens = opens && (m == work->writer || channel->members[m].next.tree.size > 0);
    for (size_t i = 0; !opens && i < work->checked->new_count; i++) {
        const ent_entry *entry = &work->checked->entries[i];
        const ent_kind *kind = ent_kind_find(entry->kind);
        if (kind == NULL || !kind->before_open)
            return ent_fail(
                err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis",
                "entry %llu is a %.*s, and channel %.8s is not open: not every member's entry 0 is held here",
                (unsigned long long)entry->index, ENT_TEXT_ARG(entry->kind), channel->id_text);
    }
    return ENT_DONE;
}

/* A receipt of ours that this batch signs cannot be the one that comes back now. */
static ent_rc own_receipts_wait(const receive_job *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    for (size_t i = 0; i < work->checked->receipt_count; i++) {
        const ent_checked_receipt *given = &work->checked->receipts[i];
        if (given->receiver == channel->self && channel->members[given->member].receipt_in_batch)
            return ent_fail(err, ENT_RETRY, NULL, "a receipt of ours for that log is being signed");
    }
    return ENT_DONE;
}

static ent_rc may_store(const receive_job *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    const ent_channel_member *member = &channel->members[work->writer];
    if (channel->next_row.state != ENT_CHANNEL_OPEN && channel->next_row.state != ENT_CHANNEL_OPENING)
        return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis", "channel %.8s is %s here", channel->id_text,
                        ent_channel_state_word(channel->next_row.state));
    ENT_TRY(own_receipts_wait(work, err));
    if (work->checked->verdict != ENT_POUCH_NEW)
        return ENT_DONE;
    if (member->next.frozen)
        return ent_fail(err, ENT_REFUSED_FROZEN, "design 3, Fork",
                        "the log of %.*s is frozen here: two histories of it were signed, and members may hold it "
                        "differently; a key that is revoked since does not thaw it. Go on in a channel that succeeds "
                        "this one (entente channel open --succeeds)",
                        ENT_TEXT_ARG(channel->genesis.members[work->writer].name));
    ENT_TRY(may_pass_before_open(work, err));
    if (member->next.tree.size != work->base || member->receipt_in_batch)
        return ent_fail(err, ENT_RETRY, NULL, "another pouch of this log came first");
    return ENT_DONE;
}

/* Step 1's quotas by what has really come. */
static ent_rc count_entries(const receive_job *work, ent_err *err)
{
    const ent_pouch_checked *checked = work->checked;
    uint64_t bytes = 0;
    for (size_t i = 0; i < checked->new_count; i++)
        bytes += checked->entry_bytes[i].size + checked->bodies[i].size;
    return ent_quota_receive(work->channel, work->writer, checked->new_count, bytes, err);
}

/* A head of the same size that came at the same time, in another pouch, and says something else. */
static ent_rc heads_agree(const receive_job *work, ent_node *node, ent_err *err)
{
    for (size_t i = 0; i < work->checked->head_count; i++) {
        const ent_checked_head *given = &work->checked->heads[i];
        int64_t log = work->channel->members[given->member].log.number;
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        ent_rc rc = node->store->engine->head_get(node->store, log, given->head.size, &head, &note, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        if (rc.code == ENT_OK && head.size == given->head.size && !ent_hash_equal(&head.root, &given->head.root) &&
            !ent_passed_beyond(work->known_keys[given->member], ent_buf_bytes(&note),
                               work->channel->members[given->member].origin))
            return ent_fail(err, ENT_RETRY, NULL, "another head of that size came first");
    }
    return ENT_DONE;
}

/* A member may sign heads of its log without end and bring no entries: of those that nothing acks one is kept. */
static ent_rc store_heads(const receive_job *work, ent_node *node, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    for (size_t i = 0; i < work->checked->head_count; i++) {
        const ent_checked_head *head = &work->checked->heads[i];
        const ent_store_log *log = &work->channel->members[head->member].next;
        if (head->member == work->channel->self)
            continue;
        if (head->acked || head->head.size <= log->tree.size)
            ENT_TRY(engine->head_put(node->store, log->number, &head->head, head->note, err));
        else
            ENT_TRY(engine->head_ahead(node->store, log->number, &head->head, head->note, err));
    }
    return ENT_DONE;
}

static ent_rc apply_receive(ent_job *job, ent_node *node, ent_err *err)
{
    receive_job *work = (receive_job *)job;
    const ent_pouch_checked *checked = work->checked;
    ENT_TRY(ent_sequencer_touch(node, work->channel, err));
    ENT_TRY(may_store(work, err));
    ENT_TRY(heads_agree(work, node, err));
    ENT_TRY(ent_keys_may_store(work->channel, work->keys, err));
    ENT_TRY(ent_keys_store(node, work->channel, work->keys, err)); /* first: what a cutoff undoes is in nobody's way */
    /* Ours that we have forgotten come back before a new one is signed: the first stays the first. */
    ENT_TRY(ent_receipts_store_own(node, work->channel, checked->receipts, checked->receipt_count, err));
    if (checked->verdict == ENT_POUCH_NEW) {
        if (!work->again)
            ENT_TRY(count_entries(work, err));
        ENT_TRY(store_entries(node, work, err));
    }
    ENT_TRY(store_heads(work, node, err));
    ENT_TRY(ent_passed_store(node, work->channel, checked, err));
    ENT_TRY(ent_receipts_store(node, work->channel, checked->receipts, checked->receipt_count, err));
    return ent_sequencer_check_open(node, work->channel, err);
}

static void settle_receive(ent_job *job, ent_node *node)
{
    receive_job *work = (receive_job *)job;
    if (work->keys->any) {
        ent_peers_renewed(node, work->pouch);
        ent_opener_wake(node->opener); /* a cutoff may tell what an ack is worth */
    }
    ent_store_receipt receipt;
    ent_receipts_told(node, work->channel, work->checked->receipts, work->checked->receipt_count);
    ent_receipts_came_back(work->channel, work->checked->receipts, work->checked->receipt_count);
    if (work->checked->verdict != ENT_POUCH_NEW)
        return;
    job->rc = ent_sequencer_signed(node, work->channel, work->writer, &receipt, &job->err);
    if (job->rc.code == ENT_OK)
        job->rc = ent_receipt_put(work->channel, work->writer, &receipt, &work->received->receipt, &job->err);
}

/* --- a receipt for what is held: the key was lost when it came --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t writer;
    ent_tree_head head;
    ent_buf *receipt;
} receipt_job;

static ent_rc apply_receipt(ent_job *job, ent_node *node, ent_err *err)
{
    const receipt_job *work = (const receipt_job *)job;
    ENT_TRY(ent_sequencer_touch(node, work->channel, err));
    if (work->channel->members[work->writer].receipt_in_batch)
        return ent_fail(err, ENT_RETRY, NULL, "another pouch of this log came first");
    return ent_sequencer_receipt(node, work->channel, work->writer, &work->head, NULL, 0, err);
}

static void settle_receipt(ent_job *job, ent_node *node)
{
    const receipt_job *work = (const receipt_job *)job;
    ent_store_receipt receipt;
    job->rc = ent_sequencer_signed(node, work->channel, work->writer, &receipt, &job->err);
    if (job->rc.code == ENT_OK)
        job->rc = ent_receipt_put(work->channel, work->writer, &receipt, work->receipt, &job->err);
}

static ent_rc receipt_of_held(ent_node *node, ent_channel *channel, uint32_t writer, const ent_tree_head *head,
                              ent_buf *ret, ent_err *err)
{
    receipt_job work = {.job = {.apply = apply_receipt, .settle = settle_receipt},
                        .channel = channel,
                        .writer = writer,
                        .head = *head,
                        .receipt = ret};
    ent_rc rc = ent_receipt_covering(node, channel, writer, head->size, ret, err);
    if (rc.code != ENT_OK && ent_key_is_lost(node, ENT_KEY_ROLE_RECEIPT))
        return ent_key_fail_receipt(node, err);
    return rc.code == ENT_ABSENT ? ent_sequencer_run(node, &work.job, err) : rc;
}

/* --- the steps --- */

/* Whether a pouch brings receipts that are not held: with nothing new at all, nothing is written. */
static ent_rc compare_receipts(ent_node *node, const ent_channel *channel, const ent_pouch_checked *checked,
                               bool *ret_news, ent_err *err)
{
    for (size_t i = 0; i < checked->receipt_count && !*ret_news; i++) {
        const ent_checked_receipt *given = &checked->receipts[i];
        int64_t log = channel->members[given->member].log.number;
        ent_store_receipt held;
        ent_rc rc = node->store->engine->receipt_covering(node->store, log, (uint32_t)given->receiver, given->head.size,
                                                          &held, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        *ret_news = rc.code == ENT_ABSENT || held.head.size != given->head.size || !ent_receipt_is_signed(&held) ||
                    given->cosignature.timestamp_unix_s != held.cosignature.timestamp_unix_s;
    }
    return ENT_DONE;
}

typedef struct {
    ent_job job;
    ent_channel *channel;
    const ent_pouch *pouch;
    ent_keys_news *keys;
} keys_job;

static ent_rc apply_keys(ent_job *job, ent_node *node, ent_err *err)
{
    const keys_job *work = (const keys_job *)job;
    ENT_TRY(ent_sequencer_touch(node, work->channel, err));
    ENT_TRY(ent_keys_may_store(work->channel, work->keys, err));
    return ent_keys_store(node, work->channel, work->keys, err);
}

static void settle_keys(ent_job *job, ent_node *node)
{
    ent_peers_renewed(node, ((const keys_job *)job)->pouch);
    ent_opener_wake(node->opener);
}

/* What the root key says holds whatever becomes of the log: of one that forked nothing else is taken any more, and a
 * proof of the fork, or a receipt of its writer, may be by a new key. */
static ent_rc take_keys(ent_node *node, ent_channel *channel, const ent_pouch *pouch, ent_keys_news *keys, ent_err *err)
{
    keys_job work = {
        .job = {.apply = apply_keys, .settle = settle_keys}, .channel = channel, .pouch = pouch, .keys = keys};
    return keys->any ? ent_sequencer_run(node, &work.job, err) : ENT_DONE;
}

static ent_rc take_in(ent_node *node, ent_channel *channel, uint32_t writer, const ent_pouch *pouch, bool again,
                      ent_received *ret, ent_err *err)
{
    ent_holding held;
    ent_pouch_known known;
    bool news = false;
    ENT_CLEANUP(ent_pouch_checked_release) ent_pouch_checked checked = {0};
    ENT_CLEANUP(ent_keys_news_release) ent_keys_news keys = {.any = false};
    ENT_TRY(ent_keys_of_pouch(node, channel, pouch, &keys, err)); /* step 2 */
    ent_holding_know(node, channel, writer, &held, &known);
    ent_keys_with(channel, &keys, known.keys);
    ent_rc rc = ent_pouch_check(pouch, &known, &checked, err); /* steps 3 to 7 */
    ENT_TRY(ent_fork_record_others(node, channel, &checked, rc.code == ENT_OK ? err : NULL));
    ENT_TRY(rc);
    bool is_own = writer == channel->self;
    bool beyond_signed = checked.head.size > ent_channel_signed_size(channel);
    if (checked.verdict == ENT_POUCH_FORKED || held.log.frozen)
        ENT_TRY(take_keys(node, channel, pouch, &keys, err));
    if (checked.verdict == ENT_POUCH_FORKED && !(is_own && beyond_signed))
        return ent_fork_record(node, channel, writer, pouch, &checked, err);
    if (is_own && (checked.verdict == ENT_POUCH_NEW || beyond_signed)) {
        ENT_TRY(ent_fork_hold(node, channel, &checked.head, pouch->checkpoint, NULL, err));
        return ent_fail(
            err, ENT_REFUSED, "design 3, Rollback guard",
            "this pouch carries our own log with %llu entries, we hold %llu: this store is older than what we "
            "said before, and nothing leaves it any more",
            (unsigned long long)checked.head.size, (unsigned long long)held.log.tree.size);
    }
    if (checked.verdict == ENT_POUCH_NEW)
        ENT_TRY(ent_keys_check_new(node, channel, writer, &keys, &held.log.tree, &checked, err));
    ENT_TRY(ent_fork_compare(node, channel, &known, pouch, &checked, &news, err));
    ENT_TRY(compare_receipts(node, channel, &checked, &news, err));
    ENT_TRY(ent_apart_is_news(node, channel, &checked, &news, err));
    receive_job work = {
        .job = {.apply = apply_receive, .settle = settle_receive, .weight_bytes = pouch->entries.size},
        .channel = channel,
        .writer = writer,
        .base = held.log.tree.size,
        .pouch = pouch,
        .checked = &checked,
        .again = again,
        .keys = &keys,
        .known_keys = known.keys,
        .received = ret,
    };
    news = news || keys.any;
    for (size_t i = 0; i < checked.new_count; i++)
        work.job.weight_bytes += checked.bodies[i].size;
    rc = news ? ent_sequencer_run(node, &work.job, err) : ENT_DONE; /* steps 8 and 9 */
    if (checked.verdict == ENT_POUCH_NEW)
        ent_opener_wake(node->opener); /* step 10; also when what was committed could not be answered for */
    ENT_TRY(rc);
    ret->state = is_own ? ENT_RECEIVED_CARRIED : ENT_RECEIVED_RECEIPTED;
    ret->size = checked.head.size;
    ret->new_count = checked.verdict == ENT_POUCH_NEW ? checked.new_count : 0;
    if (checked.verdict == ENT_POUCH_HELD && !is_own)
        return receipt_of_held(node, channel, writer, &checked.head, &ret->receipt, err);
    return ENT_DONE;
}

static ent_rc check_sender(ent_node *node, const ent_channel *channel, const ent_hash *pin, ent_err *err)
{
    ent_peer peer;
    if (pin == NULL || ent_channel_member_by_pin(channel, pin) >= 0)
        return ENT_DONE;
    ENT_TRY(ent_peer_by_pin(node, pin, &peer, err));
    return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "%s is not a member of channel %.8s", peer.name,
                    channel->id_text);
}

static ent_rc find_writer(ent_node *node, ent_text origin, ent_channel **ret_channel, int *ret_writer, ent_err *err)
{
    ent_text party = {0};
    ent_hash id;
    ENT_TRY(ent_origin_parse(origin, &party, &id, err));
    *ret_channel = ent_channel_find(node, &id);
    *ret_writer = *ret_channel == NULL ? -1 : ent_genesis_member(&(*ret_channel)->genesis, party);
    if (*ret_channel != NULL && *ret_writer < 0)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "%.*s is not a member of channel %.8s",
                        ENT_TEXT_ARG(party), (*ret_channel)->id_text);
    return ENT_DONE;
}

ent_rc ent_receive_admit(ent_node *node, const ent_announced *announced, const ent_hash *pin, uint64_t *ret_limit,
                         uint64_t *ret_held, ent_err *err)
{
    ent_channel *channel = NULL;
    ent_peer peer;
    ent_store_log log;
    int writer = -1;
    ENT_TRY(find_writer(node, announced->origin, &channel, &writer, err));
    bool invites = channel == NULL || ent_channel_state_now(channel) == ENT_CHANNEL_INVITED;
    *ret_limit = invites ? ENT_INVITE_MAX_BYTES : ENT_POUCH_MAX_BYTES;
    if (channel == NULL)
        return ent_peer_by_pin(node, pin, &peer, err);
    ENT_TRY(check_sender(node, channel, pin, err));
    if (ent_channel_state_now(channel) == ENT_CHANNEL_REFUSED)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 2, Genesis", "%s refused this channel", node->config.name);
    ent_channel_log(channel, (uint32_t)writer, &log);
    if (ent_channel_state_now(channel) != ENT_CHANNEL_INVITED && announced->old_size > log.tree.size) {
        *ret_held = log.tree.size;
        return ent_fail(err, ENT_PEER_STALE, "design 3, step 4",
                        "the pouch begins at entry %llu; this party holds %llu",
                        (unsigned long long)announced->old_size, (unsigned long long)log.tree.size);
    }
    if (ent_channel_state_now(channel) != ENT_CHANNEL_INVITED)
        return ent_quota_pouch(channel, (uint32_t)writer, announced->size, announced->length, err);
    return ENT_DONE;
}

/* Step 2: what a pouch says of the channel must be what we hold of it. */
ent_rc ent_receive_check_genesis(const ent_channel *channel, const ent_pouch *pouch, ent_err *err)
{
    if (pouch->genesis.size > 0 && !ent_bytes_equal(pouch->genesis, ent_buf_bytes(&channel->genesis_bytes)))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 2", "the genesis is not this channel's");
    return ENT_DONE;
}

static ent_rc check_announced(const ent_announced *announced, const ent_pouch *pouch, ent_err *err)
{
    if (announced == NULL || (ent_text_equal(announced->origin, pouch->origin) &&
                              announced->old_size == pouch->old_size && announced->size == pouch->size))
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_MISMATCH, "design 3",
                    "the request's Entente headers and pouch.json do not say the same");
}

static ent_rc receive(ent_node *node, ent_bytes bytes, const ent_announced *announced, const ent_hash *pin, bool again,
                      ent_received *ret, ent_err *err)
{
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ent_channel *channel = NULL;
    int writer = -1;
    ENT_TRY(ent_pouch_parse(bytes, &pouch, err)); /* step 1 */
    ENT_TRY(check_announced(announced, &pouch, err));
    ENT_TRY(find_writer(node, pouch.origin, &channel, &writer, err)); /* step 2 */
    for (int i = 0; channel == NULL || ent_channel_state_now(channel) == ENT_CHANNEL_INVITED; i++) {
        ent_rc rc = ent_invite_receive(node, &pouch, bytes, pin, ret, err);
        if (rc.code != ENT_RETRY || i == RETRIES)
            return rc;
        ENT_TRY(find_writer(node, pouch.origin, &channel, &writer, err)); /* the same came first, or it was accepted */
    }
    ENT_TRY(check_sender(node, channel, pin, err));
    if (ent_channel_state_now(channel) == ENT_CHANNEL_REFUSED)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 2, Genesis", "%s refused this channel", node->config.name);
    ENT_TRY(ent_receive_check_genesis(channel, &pouch, err));
    ent_received received = {.channel = channel, .writer = (uint32_t)writer};
    ent_rc rc = ENT_DONE;
    for (int i = 0; i < RETRIES; i++) {
        rc = take_in(node, channel, (uint32_t)writer, &pouch, again, &received, err);
        if (rc.code != ENT_RETRY)
            break;
    }
    if (rc.code != ENT_OK) {
        ent_received_release(&received);
        return rc;
    }
    int sender = pin == NULL ? -1 : ent_channel_member_by_pin(channel, pin);
    if (sender >= 0)
        atomic_store(&channel->members[sender].heard, true);
    *ret = received;
    return ENT_DONE;
}

ent_rc ent_receive(ent_node *node, ent_bytes bytes, const ent_announced *announced, const ent_hash *pin,
                   ent_received *ret, ent_err *err)
{
    return receive(node, bytes, announced, pin, false, ret, err);
}

ent_rc ent_receive_again(ent_node *node, ent_bytes bytes, ent_received *ret, ent_err *err)
{
    return receive(node, bytes, NULL, NULL, true, ret, err);
}
