#include "node/fork.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/events.h"
#include "node/sequencer.h"

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t member;
    bool is_new;
    ent_bytes note;
    ent_bytes held;
} fork_job;

static ent_rc apply_fork(ent_job *job, ent_node *node, ent_err *err)
{
    fork_job *work = (fork_job *)job;
    ENT_TRY(ent_sequencer_touch(node, work->channel, err));
    ent_store_log *next = &work->channel->members[work->member].next;
    work->is_new = !next->frozen;
    if (next->frozen)
        return ENT_DONE; /* one proof is enough */
    ENT_TRY(node->store->engine->fork_add(node->store, next->number, work->note, work->held, ent_clock_unix_s(), err));
    next->frozen = true;
    return node->store->engine->log_freeze(node->store, next->number, err);
}

static void settle_fork(ent_job *job, ent_node *node)
{
    const fork_job *work = (const fork_job *)job;
    if (work->is_new)
        ent_tell_fork(node, work->channel, work->member);
}

/* Keep two signed heads that contradict each other, and freeze that log.  Errors: PEER_FORK always, or our own trouble.
 */
static ent_rc record(ent_node *node, ent_channel *channel, uint32_t member, uint64_t size, ent_bytes note,
                     ent_bytes held, ent_err *err)
{
    fork_job work = {
        .job = {.apply = apply_fork, .settle = settle_fork},
        .channel = channel,
        .member = member,
        .note = note,
        .held = held,
    };
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    return ent_fail(
        err, ENT_PEER_FORK, "design 3, Fork",
        "the log of %.*s forked: two heads signed by it contradict each other at size %llu. Both are kept as "
        "proof; that log is frozen",
        ENT_TEXT_ARG(channel->genesis.members[member].name), (unsigned long long)size);
}

/* The pouch contradicts the entries that we hold. */
ent_rc ent_fork_record(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err)
{
    uint32_t member = (uint32_t)checked->fork_member;
    ent_store_log log;
    ent_tree_head head;
    ENT_CLEANUP(ent_buf_release) ent_buf held = {0};
    ent_channel_log(channel, member, &log);
    /* The largest head that the entries held here bear out. */
    ent_rc rc = node->store->engine->head_get(node->store, log.number, log.tree.size, &head, &held, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    return record(node, channel, member, checked->fork_head.size, checked->fork_note, ent_buf_bytes(&held), err);
}

/* Heads of this log that came before their entries did: the new entries must lead to each of them. */
static ent_rc compare_heads_ahead(ent_node *node, ent_channel *channel, uint32_t writer, const ent_tree *held,
                                  const ent_pouch *pouch, const ent_pouch_checked *checked, ent_err *err)
{
    int64_t log = channel->members[writer].log.number;
    uint64_t at_most = checked->head.size;
    while (at_most > held->size) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        ent_hash root;
        ent_tree tree = *held;
        ent_rc rc = node->store->engine->head_get(node->store, log, at_most, &head, &note, err);
        if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && head.size <= held->size))
            return ENT_DONE;
        ENT_TRY(rc);
        for (size_t i = 0; tree.size < head.size; i++)
            ENT_TRY(ent_tree_append(&tree, &checked->leaves[i], err));
        ent_tree_root(&tree, &root);
        if (!ent_hash_equal(&root, &head.root))
            return record(node, channel, writer, head.size, ent_buf_bytes(&note), pouch->checkpoint, err);
        at_most = head.size - 1;
    }
    return ENT_DONE;
}

/* Heads that came with the pouch against heads of the same size that came before, where we hold neither's entries. */
static ent_rc compare_heads_beside(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked,
                                   bool *ret_news, ent_err *err)
{
    for (size_t i = 0; i < checked->head_count; i++) {
        const ent_checked_head *given = &checked->heads[i];
        int64_t log = channel->members[given->member].log.number;
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head = {0};
        ent_rc rc = node->store->engine->head_get(node->store, log, given->head.size, &head, &note, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        bool same_size = rc.code == ENT_OK && head.size == given->head.size;
        if (same_size && !ent_hash_equal(&head.root, &given->head.root))
            return record(node, channel, (uint32_t)given->member, head.size, given->note, ent_buf_bytes(&note), err);
        *ret_news = *ret_news || (!same_size && given->member != channel->self);
    }
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
    return node->store->engine->head_put(node->store, channel->members[channel->self].log.number, work->head,
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
                     "member holds; when nobody has it all, open a successor channel",
                     who == NULL ? "a pouch" : who, (unsigned long long)head->size, (unsigned long long)log.tree.size,
                     who == NULL ? "PARTY" : who);
    return ent_sequencer_run(node, &work.job, err); /* kept, so that the next start knows it too */
}

static ent_rc compare_own_heads(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err)
{
    uint64_t signed_size = ent_channel_signed_size(channel);
    for (size_t i = 0; i < checked->head_count; i++) {
        const ent_checked_head *given = &checked->heads[i];
        if (given->member == channel->self && given->head.size > signed_size)
            ENT_TRY(ent_fork_hold(node, channel, &given->head, given->note, NULL, err));
    }
    return ENT_DONE;
}

ent_rc ent_fork_compare(ent_node *node, ent_channel *channel, uint32_t writer, const ent_tree *held,
                        const ent_pouch *pouch, const ent_pouch_checked *checked, bool *ret_news, ent_err *err)
{
    bool news = checked->verdict == ENT_POUCH_NEW;
    if (news)
        ENT_TRY(compare_heads_ahead(node, channel, writer, held, pouch, checked, err));
    ENT_TRY(compare_heads_beside(node, channel, checked, &news, err));
    ENT_TRY(compare_own_heads(node, channel, checked, err));
    *ret_news = news;
    return ENT_DONE;
}
