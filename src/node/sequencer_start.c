/* What a start signs again, and what it holds. */
#include "node/channel.h"
#include "node/extend.h"
#include "node/guard.h"
#include "node/key_lost.h"
#include "node/keys.h"
#include "node/sequencer_internal.h"

ent_rc ent_signed_add(ent_signed_list *list, const ent_signed *item, ent_err *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 32 : list->capacity * 2;
        ent_signed *items = ent_realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *item;
    return ENT_DONE;
}

void ent_hold_by_keeper(const ent_node *node, ent_channel *channel)
{
    const ent_channel_member *own = &channel->members[channel->self];
    ent_tree_head mark = {0};
    ent_rc rc = ent_keeper_mark(node->keeper, ENT_KEEPER_HEAD, ent_text_of(own->origin), &mark, NULL);
    if (rc.code != ENT_OK)
        ent_channel_hold(channel, ENT_HOLD_KEEPER,
                         "the keeper has no mark of a log that was signed here: its marks were lost, and a head could "
                         "be signed twice. Restore %s, or `entente recover --from PARTY`",
                         node->paths.marks);
    else
        ent_channel_hold(channel, ENT_HOLD_KEEPER,
                         "the keeper signed our log with %llu entries, and this store holds %llu or others: it is "
                         "older than what we signed. `entente recover --from PARTY` brings back what a member holds; "
                         "when nobody does, open a successor channel",
                         (unsigned long long)mark.size, (unsigned long long)own->log.tree.size);
}

static ent_rc unsigned_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    ent_sequencer *sequencer = context;
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(sequencer->node, i)) != NULL; i++) {
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            if (channel->members[m].log.number != receipt->log)
                continue;
            if (ent_key_value_is_lost(sequencer->node, ENT_KEY_ROLE_RECEIPT,
                                      ent_channel_receipt_public(channel, receipt->key).bytes))
                return ENT_DONE;
            ent_signed item = {.channel = channel,
                               .receipt = receipt->number,
                               .member = m,
                               .head = receipt->head,
                               .timestamp_unix_s = receipt->cosignature.timestamp_unix_s,
                               .receipt_key = receipt->key};
            return ent_signed_add(&sequencer->to_sign, &item, err);
        }
    }
    return ENT_DONE;
}

/* The head of all that is stored; while the members are asked, or a new log key is to
 * come, only what the keeper signed before. */
static ent_rc sign_head_again(ent_sequencer *sequencer, ent_channel *channel, ent_err *err)
{
    const ent_channel_member *own = &channel->members[channel->self];
    ent_signed item = {.channel = channel, .is_head = true, .member = channel->self};
    item.head.size = own->log.tree.size;
    ent_tree_root(&own->log.tree, &item.head.root);
    if (ent_channel_is_held(channel) || ent_keys_await(sequencer->node, channel, item.head.size)) {
        ent_rc rc =
            ent_keeper_mark(sequencer->node->keeper, ENT_KEEPER_HEAD, ent_text_of(own->origin), &item.head, err);
        if (rc.code != ENT_OK || item.head.size == 0)
            return rc.code == ENT_ABSENT ? ENT_DONE : rc;
    }
    if (ent_key_lost_for_head(sequencer->node, channel, item.head.size)) /* what is stored of it stays */
        return ENT_DONE;
    return ent_signed_add(&sequencer->to_sign, &item, err);
}

/* "Ed25519 is deterministic: after a crash the same head is signed again. Receipts likewise" (design 3). */
ent_rc ent_sequencer_collect_unsigned(ent_sequencer *sequencer, ent_err *err)
{
    ent_node *node = sequencer->node;
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        const ent_store_log *own = &channel->members[channel->self].log;
        bool follows = false;
        ENT_TRY(ent_extend_follows_mark(node, channel, &follows, err));
        if (!follows)
            ent_hold_by_keeper(node, channel);
        else if (!node->before.was_clean && ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED)
            ent_guard_ask(node, channel);
        if (ent_hold_stops_all(ent_channel_hold_now(channel)) || own->tree.size == 0)
            continue;
        ENT_TRY(sign_head_again(sequencer, channel, err));
    }
    return node->store->engine->receipt_unsigned_walk(node->store, unsigned_receipt, sequencer, err);
}
