#include "node/fork.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/fork_proof.h"
#include "node/guard.h"
#include "node/opener.h"
#include "node/passed.h"
#include "node/sequencer.h"

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t member;
    bool is_new;
    ent_store_fork fork;
} fork_job;

static ent_rc apply_fork(ent_job *job, ent_node *node, ent_err *err)
{
    fork_job *work = (fork_job *)job;
    ENT_TRY(ent_sequencer_touch(node, work->channel, err));
    ent_store_log *next = &work->channel->members[work->member].next;
    work->is_new = !next->frozen;
    if (next->frozen)
        return ENT_DONE; /* one proof is enough */
    work->fork.log = next->number;
    work->fork.seen_unix_s = ent_clock_unix_s();
    ENT_TRY(node->store->engine->fork_add(node->store, &work->fork, err));
    next->frozen = true;
    return node->store->engine->log_freeze(node->store, next->number, err);
}

static void settle_fork(ent_job *job, ent_node *node)
{
    const fork_job *work = (const fork_job *)job;
    if (!work->is_new)
        return;
    atomic_fetch_add(&work->channel->forks, 1); /* everybody is to have the proof */
    atomic_store(&work->channel->unsent, true);
    ent_courier_wake(node->courier);
    ent_opener_wake(node->opener); /* what waited for more of that log does not any more */
    ent_tell_fork(node, work->channel, work->member);
}

ent_rc ent_fork_freeze(ent_node *node, ent_channel *channel, uint32_t member, const ent_store_fork *fork, bool *ret_new,
                       ent_err *err)
{
    fork_job work = {
        .job = {.apply = apply_fork, .settle = settle_fork},
        .channel = channel,
        .member = member,
        .fork = *fork,
    };
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    *ret_new = work.is_new;
    return ENT_DONE;
}

/* Keep two signed heads that contradict each other with the proof, and freeze that log. */
static ent_rc keep(ent_node *node, const ent_fork_evidence *evidence, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf proof = {0};
    bool is_new = false;
    ENT_TRY(ent_fork_proof_build(node, evidence, &proof, err));
    ent_store_fork fork = {.note = evidence->note, .held = evidence->held, .proof = ent_buf_bytes(&proof)};
    return ent_fork_freeze(node, evidence->channel, evidence->member, &fork, &is_new, err);
}

static ent_rc refuse(const ent_fork_evidence *evidence, uint64_t size, ent_err *err)
{
    return ent_fail(
        err, ENT_PEER_FORK, "design 3, Fork",
        "the log of %.*s forked: two heads signed by it contradict each other at size %llu. Both are kept as "
        "proof; that log is frozen, and what follows needs a successor channel",
        ENT_TEXT_ARG(evidence->channel->genesis.members[evidence->member].name), (unsigned long long)size);
}

/* The largest head that our entries bear out. Of our own log it may not be in the store yet. */
static ent_rc head_we_hold(ent_node *node, ent_channel *channel, uint32_t member, uint64_t at_least, ent_buf *ret,
                           ent_err *err)
{
    ent_store_log log;
    ent_tree_head head;
    if (member == channel->self) {
        (void)pthread_mutex_lock(&channel->lock);
        if (channel->head.size >= at_least)
            ent_buf_put(ret, ent_buf_bytes(&channel->head_note));
        (void)pthread_mutex_unlock(&channel->lock);
        ENT_TRY(ent_buf_check(ret, err));
    }
    if (ret->size > 0)
        return ENT_DONE;
    ent_channel_log(channel, member, &log);
    uint64_t most = member == channel->self ? ent_channel_signed_size(channel) : log.tree.size;
    ent_rc rc = node->store->engine->head_get(node->store, log.number, most, &head, ret, err);
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

ent_rc ent_fork_record(ent_node *node, ent_channel *channel, uint32_t writer, const ent_pouch *pouch,
                       const ent_pouch_checked *checked, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf held = {0};
    ent_store_tiles stored = {node->store, channel->members[writer].log.number};
    /* Entries that differ from ours are the tree of a larger head; else the larger tree is our copy. */
    ent_leaves_beyond theirs = {ent_store_tile_reader(&stored), pouch->old_size, checked->fork_leaves,
                                checked->fork_leaf_count};
    const ent_tile_reader reader = ent_leaves_beyond_reader(&theirs);
    ENT_TRY(head_we_hold(node, channel, writer, checked->head.size, &held, err));
    ent_fork_evidence evidence = {channel, writer, pouch->checkpoint, ent_buf_bytes(&held),
                                  checked->fork_leaf_count > 0 ? &reader : NULL};
    ENT_TRY(keep(node, &evidence, err));
    return refuse(&evidence, checked->head.size, err);
}

/* A proof that was brought: its own heads are what is kept. */
static ent_rc keep_proof(ent_node *node, ent_channel *channel, uint32_t member, ent_bytes bytes, bool *ret_new,
                         ent_err *err)
{
    ENT_CLEANUP(ent_fork_proof_release) ent_fork_proof proof = {0};
    ENT_TRY(ent_fork_proof_parse(bytes, &proof, err));
    ent_store_fork fork = {.note = proof.note_bytes[1], .held = proof.note_bytes[0], .proof = bytes};
    return ent_fork_freeze(node, channel, member, &fork, ret_new, err);
}

ent_rc ent_fork_record_others(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err)
{
    for (size_t i = 0; i < checked->fork_count; i++) {
        const ent_checked_fork *shown = &checked->forks[i];
        uint32_t member = (uint32_t)shown->member;
        bool is_new = false;
        if (shown->proof.size > 0) {
            ENT_TRY(keep_proof(node, channel, member, shown->proof, &is_new, err));
            continue;
        }
        ENT_CLEANUP(ent_buf_release) ent_buf held = {0};
        ENT_TRY(head_we_hold(node, channel, member, shown->head.size, &held, err));
        ent_fork_evidence evidence = {channel, member, shown->note, ent_buf_bytes(&held), NULL};
        ENT_TRY(keep(node, &evidence, err));
    }
    return ENT_DONE;
}

ent_rc ent_fork_import(ent_node *node, ent_bytes bytes, ent_channel **ret_channel, uint32_t *ret_member, bool *ret_new,
                       ent_err *err)
{
    ENT_CLEANUP(ent_fork_proof_release) ent_fork_proof proof = {0};
    ent_text party = {NULL, 0};
    ent_hash id;
    ENT_TRY(ent_fork_proof_parse(bytes, &proof, err));
    ENT_TRY(ent_origin_parse(proof.origin, &party, &id, err));
    ent_channel *channel = ent_channel_find(node, &id);
    if (channel == NULL)
        return ent_fail(err, ENT_ABSENT, "design 3, Fork",
                        "the proof is about a channel that is not here: %.*s. `entente verify` checks it all the same",
                        ENT_TEXT_ARG(proof.origin));
    int member = ent_genesis_member(&channel->genesis, party);
    if (member < 0)
        return ent_fail(err, ENT_PEER_NOT_OURS, "design 3, Fork", "%.*s is no member of channel %.8s",
                        ENT_TEXT_ARG(party), channel->id_text);
    ENT_TRY(ent_fork_proof_is_of(channel, (uint32_t)member, &proof, err));
    if (ent_fork_proof_verify(&proof) != ENT_FORK_PROVEN)
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, Fork", "this does not prove that the log forked");
    ENT_TRY(keep_proof(node, channel, (uint32_t)member, bytes, ret_new, err));
    *ret_channel = channel;
    *ret_member = (uint32_t)member;
    return ENT_DONE;
}

uint32_t ent_fork_frozen(ent_channel *channel)
{
    uint32_t frozen = 0;
    (void)pthread_mutex_lock(&channel->lock);
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        frozen |= (uint32_t)channel->members[i].log.frozen << i;
    (void)pthread_mutex_unlock(&channel->lock);
    return frozen;
}

/* Heads of this log that came before their entries did: the new entries must lead to each of them. */
static ent_rc compare_heads_ahead(ent_node *node, ent_channel *channel, const ent_pouch_known *known,
                                  const ent_pouch *pouch, const ent_pouch_checked *checked, ent_err *err)
{
    const uint32_t writer = (uint32_t)known->writer;
    const ent_tree *held = known->tree;
    int64_t log = channel->members[writer].log.number;
    uint64_t at_most = checked->head.size;
    ent_store_tiles stored = {node->store, log};
    ent_leaves_beyond grown = {ent_store_tile_reader(&stored), held->size, checked->leaves, checked->new_count};
    const ent_tile_reader reader = ent_leaves_beyond_reader(&grown);
    while (at_most > held->size) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        ent_hash root;
        ent_tree tree = *held;
        ent_rc rc = node->store->engine->head_get(node->store, log, at_most, &head, &note, err);
        if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && head.size <= held->size))
            return ENT_DONE;
        ENT_TRY(rc);
        at_most = head.size - 1;
        if (ent_passed_beyond(known->keys[writer], ent_buf_bytes(&note), channel->members[writer].origin))
            continue;
        for (size_t i = 0; tree.size < head.size; i++)
            ENT_TRY(ent_tree_append(&tree, &checked->leaves[i], err));
        ent_tree_root(&tree, &root);
        if (!ent_hash_equal(&root, &head.root)) {
            ent_fork_evidence evidence = {channel, writer, ent_buf_bytes(&note), pouch->checkpoint, &reader};
            ENT_TRY(keep(node, &evidence, err));
            return refuse(&evidence, head.size, err);
        }
    }
    return ENT_DONE;
}

/* Whether a head ahead of what is held, that nothing acks, is smaller than one that is kept: then it is not kept. */
static ent_rc is_surpassed(ent_node *node, ent_channel *channel, const ent_checked_head *given, bool *ret, ent_err *err)
{
    ent_store_log log;
    ent_tree_head newest;
    ent_channel_log(channel, (uint32_t)given->member, &log);
    *ret = false;
    if (given->head.size <= log.tree.size)
        return ENT_DONE;
    ent_rc rc = node->store->engine->head_get(node->store, log.number, UINT64_MAX, &newest, NULL, err);
    *ret = rc.code == ENT_OK && newest.size > given->head.size;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

/* Heads that came with the pouch against heads of the same size that came before, where we hold neither's entries. */
static ent_rc compare_heads_beside(ent_node *node, ent_channel *channel, const ent_pouch_known *known,
                                   ent_pouch_checked *checked, bool *ret_news, ent_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < checked->head_count; i++) {
        const ent_checked_head given = checked->heads[i];
        int64_t log = channel->members[given.member].log.number;
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head = {0};
        ent_rc rc = node->store->engine->head_get(node->store, log, given.head.size, &head, &note, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        bool same_size =
            rc.code == ENT_OK && head.size == given.head.size &&
            !ent_passed_beyond(known->keys[given.member], ent_buf_bytes(&note), channel->members[given.member].origin);
        if (same_size && !ent_hash_equal(&head.root, &given.head.root)) {
            ent_fork_evidence evidence = {channel, (uint32_t)given.member, given.note, ent_buf_bytes(&note), NULL};
            ENT_TRY(keep(node, &evidence, err));
            continue;
        }
        bool kept_before = same_size;
        if (!kept_before && !given.acked)
            ENT_TRY(is_surpassed(node, channel, &given, &kept_before, err));
        *ret_news = *ret_news || (!kept_before && given.member != channel->self);
        checked->heads[kept++] = given;
    }
    checked->head_count = kept;
    return ENT_DONE;
}

typedef struct {
    ent_job job;
    ent_channel *channel;
    const ent_tree_head *head;
    ent_bytes note;
} own_head_job;

static ent_rc apply_own_head(ent_job *job, ent_node *node, ent_err *err)
{
    const own_head_job *work = (const own_head_job *)job;
    const ent_channel *channel = work->channel;
    return node->store->engine->head_ahead(node->store, channel->members[channel->self].log.number, work->head,
                                           work->note, err);
}

ent_rc ent_fork_hold(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_bytes note, const char *who,
                     ent_err *err)
{
    own_head_job work = {.job = {.apply = apply_own_head}, .channel = channel, .head = head, .note = note};
    ent_store_log log;
    ent_channel_log(channel, channel->self, &log);
    ent_channel_hold(channel, ENT_HOLD_PEER_LARGER,
                     "%s shows a head of our log with %llu entries, signed by us, and this store holds %llu of them or "
                     "others: it is older than what we signed. `entente recover --from %s` brings back what that "
                     "member holds; when nobody has it all, open a successor channel. If we never said it, somebody "
                     "has our log key: `entente key revoke log`",
                     who == NULL ? "a pouch" : who, (unsigned long long)head->size, (unsigned long long)log.tree.size,
                     who == NULL ? "PARTY" : who);
    return ent_sequencer_run(node, &work.job, err); /* kept, so that the next start knows it too */
}

static ent_rc compare_own_heads(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err)
{
    uint64_t signed_size = ent_channel_signed_size(channel);
    for (size_t i = 0; i < checked->head_count; i++) {
        const ent_checked_head *given = &checked->heads[i];
        bool held = false;
        if (given->member == channel->self && given->head.size > signed_size)
            ENT_TRY(ent_guard_compare(node, channel, &given->head, given->note, NULL, &held, err));
    }
    return ENT_DONE;
}

ent_rc ent_fork_compare(ent_node *node, ent_channel *channel, const ent_pouch_known *known, const ent_pouch *pouch,
                        ent_pouch_checked *checked, bool *ret_news, ent_err *err)
{
    bool news = checked->verdict == ENT_POUCH_NEW;
    if (news)
        ENT_TRY(compare_heads_ahead(node, channel, known, pouch, checked, err));
    ENT_TRY(compare_heads_beside(node, channel, known, checked, &news, err));
    ENT_TRY(compare_own_heads(node, channel, checked, err));
    *ret_news = news;
    return ENT_DONE;
}
