/* What the jobs of a batch do with a channel: entries of ours, receipts, heads that are wanted. */
#include "node/sequencer_internal.h"

#include "base/clock.h"
#include "log/tree.h"
#include "node/channel.h"
#include "node/key_lost.h"
#include "node/keys.h"
#include "node/receipt.h"

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

ent_rc ent_sequencer_touch(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_sequencer *sequencer = node->sequencer;
    if (channel->dirty)
        return ENT_DONE;
    if (sequencer->dirty_count == sequencer->dirty_capacity) {
        size_t capacity = sequencer->dirty_capacity == 0 ? 32 : sequencer->dirty_capacity * 2;
        ent_channel **dirty = ent_realloc(sequencer->dirty, capacity * sizeof(ent_channel *));
        if (dirty == NULL)
            return no_memory(err);
        sequencer->dirty = dirty;
        sequencer->dirty_capacity = capacity;
    }
    sequencer->dirty[sequencer->dirty_count++] = channel;
    channel->dirty = true;
    channel->sign_head = false;
    channel->ledger_busy = false;
    channel->next_row = channel->row;
    channel->appends.count = 0;
    channel->appends.bytes = 0;
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        channel->members[i].next = channel->members[i].log;
        channel->members[i].receipt_in_batch = false;
    }
    return ENT_DONE;
}

static ent_rc grow_appends(ent_channel_appends *appends, ent_err *err)
{
    size_t capacity = appends->capacity == 0 ? 16 : appends->capacity * 2;
    ent_bytes *entries = ent_realloc(appends->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return no_memory(err);
    appends->entries = entries;
    ent_hash *leaves = ent_realloc(appends->leaves, capacity * sizeof *leaves);
    if (leaves == NULL)
        return no_memory(err);
    appends->leaves = leaves;
    ent_bytes *bodies = ent_realloc(appends->bodies, capacity * sizeof *bodies);
    if (bodies == NULL)
        return no_memory(err);
    appends->bodies = bodies;
    ent_hash *digests = ent_realloc(appends->digests, capacity * sizeof *digests);
    if (digests == NULL)
        return no_memory(err);
    appends->digests = digests;
    appends->capacity = capacity;
    return ENT_DONE;
}

ent_rc ent_sequencer_append(ent_node *node, ent_channel *channel, ent_bytes entry, ent_bytes sealed,
                            const ent_hash *digest, ent_err *err)
{
    ent_channel_appends *appends = &channel->appends;
    ent_store_log *next = &channel->members[channel->self].next;
    node->sequencer->appended++;
    if (appends->count == appends->capacity)
        ENT_TRY(grow_appends(appends, err));
    size_t at = appends->count;
    ent_leaf_hash(entry, &appends->leaves[at]);
    ENT_TRY(ent_tree_append(&next->tree, &appends->leaves[at], err));
    appends->entries[at] = entry;
    appends->bodies[at] = sealed;
    if (digest != NULL)
        appends->digests[at] = *digest;
    else
        memset(&appends->digests[at], 0, sizeof appends->digests[at]);
    appends->bytes += entry.size + sealed.size;
    next->bytes += entry.size + sealed.size;
    appends->count++;
    return ENT_DONE;
}

/* "The same pouch again returns the same receipt bytes": it came back signed, with what it is for, and is not signed a
 * second time. */
static ent_rc receipt_given_before(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                                   ent_err *err)
{
    ent_store_receipt given;
    ENT_TRY(node->store->engine->receipt_covering(node->store, channel->members[member].log.number, channel->self,
                                                  head->size, &given, err));
    ent_signed item = {.channel = channel,
                       .receipt = given.number,
                       .member = member,
                       .head = given.head,
                       .signature = given.cosignature.signature,
                       .timestamp_unix_s = given.cosignature.timestamp_unix_s,
                       .receipt_key = given.key};
    bool same = given.head.size == head->size && ent_hash_equal(&given.head.root, &head->root);
    if (!same || !ent_receipt_is_signed(&given))
        return ent_fail(err, ENT_BUG, "design 3", "a receipt of size %llu is here before its entries",
                        (unsigned long long)head->size);
    return ent_signed_add(&node->sequencer->given, &item, err);
}

ent_rc ent_sequencer_receipt(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                             const ent_hash *leaves, size_t leaf_count, ent_err *err)
{
    bool is_new = false;
    ent_store_receipt receipt = {
        .log = channel->members[member].log.number,
        .receiver = channel->self,
        .head = *head,
        .arrived_unix_s = ent_clock_unix_s(),
    };
    if (ent_key_is_lost(node, ENT_KEY_ROLE_RECEIPT)) { /* the writer asks again */
        channel->members[member].receipt_in_batch = true;
        return ENT_DONE;
    }
    receipt.cosignature.timestamp_unix_s = (uint64_t)receipt.arrived_unix_s;
    receipt.key = ent_channel_receipt_key(channel);
    ENT_TRY(node->store->engine->receipt_add(node->store, &receipt, &is_new, err));
    channel->members[member].receipt_in_batch = true;
    if (!is_new)
        return receipt_given_before(node, channel, member, head, err);
    ent_signed item = {.channel = channel,
                       .receipt = receipt.number,
                       .member = member,
                       .head = *head,
                       .timestamp_unix_s = receipt.cosignature.timestamp_unix_s,
                       .leaves = leaves,
                       .leaf_count = leaf_count,
                       .receipt_key = receipt.key};
    return ent_signed_add(&node->sequencer->to_sign, &item, err);
}

ent_rc ent_sequencer_signed(ent_node *node, const ent_channel *channel, uint32_t member, ent_store_receipt *ret,
                            ent_err *err)
{
    const ent_signed_list *signed_now = &node->sequencer->unstored; /* publish has moved what this batch signed there */
    const ent_signed_list *given = &node->sequencer->given;
    for (size_t i = 0; i < signed_now->count + given->count; i++) {
        const ent_signed *item = i < signed_now->count ? &signed_now->items[i] : &given->items[i - signed_now->count];
        if (item->channel != channel || item->is_head || item->member != member)
            continue;
        *ret = (ent_store_receipt){.number = item->receipt,
                                   .log = channel->members[member].log.number,
                                   .receiver = channel->self,
                                   .head = item->head,
                                   .cosignature = {item->timestamp_unix_s, item->signature},
                                   .key = item->receipt_key};
        return ENT_DONE;
    }
    if (ent_key_is_lost(node, ENT_KEY_ROLE_RECEIPT))
        return ent_key_fail_receipt(node, err);
    return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                    "the keeper gave a receipt for a larger or another head of this log before: this store is older "
                    "than its marks");
}

ent_rc ent_sequencer_check_open(ent_node *node, ent_channel *channel, ent_err *err)
{
    if (channel->next_row.state != ENT_CHANNEL_OPENING)
        return ENT_DONE;
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        if (channel->members[i].next.tree.size == 0)
            return ENT_DONE;
    }
    channel->next_row.state = ENT_CHANNEL_OPEN;
    return node->store->engine->channel_update(node->store, &channel->next_row, err);
}

ent_rc ent_sequencer_sign_known(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_err *err)
{
    ent_signed item = {.channel = channel, .is_head = true, .member = channel->self, .head = *head};
    if (ent_key_lost_for_head(node, channel, head->size))
        return ENT_DONE;
    return ent_signed_add(&node->sequencer->to_sign, &item, err);
}

/* Have our head signed, as the transaction leaves it. */
static ent_rc want_head(ent_node *node, ent_channel *channel, ent_err *err)
{
    const ent_store_log *next = &channel->members[channel->self].next;
    if (next->tree.size == 0 || ent_channel_hold_now(channel) != ENT_HOLD_NONE) /* perhaps the other half of a fork */
        return ENT_DONE;
    if (ent_keys_await(node, channel, next->tree.size))
        return ENT_DONE;
    ent_signed item = {.channel = channel,
                       .is_head = true,
                       .member = channel->self,
                       .head.size = next->tree.size,
                       .leaves = channel->appends.leaves,
                       .leaf_count = channel->appends.count};
    ent_tree_root(&next->tree, &item.head.root);
    return ent_signed_add(&node->sequencer->to_sign, &item, err);
}

ent_rc ent_sequencer_flush_appends(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_channel_appends *appends = &channel->appends;
    ent_store_log *next = &channel->members[channel->self].next;
    if (appends->count == 0)
        return channel->sign_head ? want_head(node, channel, err) : ENT_DONE;
    ent_store_append append = {
        .first = next->tree.size - appends->count,
        .count = appends->count,
        .entries = appends->entries,
        .leaves = appends->leaves,
        .bodies = appends->bodies,
        .body_digests = appends->digests,
        .arrived_unix_s = ent_clock_unix_s(),
    };
    next->opened = next->tree.size;
    ENT_TRY(node->store->engine->append(node->store, next, &append, err));
    return want_head(node, channel, err);
}
