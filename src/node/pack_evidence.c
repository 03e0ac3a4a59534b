/* What others have signed, in a pouch: heads and receipts. And whether there is anything to send at all. */
#include "node/pack_internal.h"

#include "node/channel.h"
#include "node/receipt.h"

enum { RECEIPTS_COUNT = 512 };

ent_rc ent_packing_know(ent_packing *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    const ent_store_engine *engine = work->node->store->engine;
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        ent_store_delivery delivery;
        ENT_TRY(engine->delivery_get(work->node->store, channel->members[i].log.number, work->to, &delivery, err));
        work->confirmed[i] = i == work->to ? UINT64_MAX : delivery.confirmed;
        work->receipts_upto[i] = delivery.receipts_sent;
    }
    return ENT_DONE;
}

/* --- heads --- */

/* The newest head seen of another log; or the one that the entries ack, when the receiver may not hold that log so far:
 * "an ack is accepted only if that head … is in heads/ or held" (design 3, step 6). */
static ent_rc head_of(ent_packing *work, uint32_t member, ent_tree_head *ret, ent_buf *ret_note, ent_err *err)
{
    const ent_store_engine *engine = work->node->store->engine;
    int64_t log = work->channel->members[member].log.number;
    ent_store_log packed;
    ent_channel_log(work->channel, work->of, &packed);
    if (member != work->to && work->pouch.entries.size > 0 && packed.acked[member] > 0) {
        ent_rc rc = engine->head_get(work->node->store, log, packed.acked[member], ret, ret_note, err);
        if (rc.code != ENT_ABSENT && (rc.code != ENT_OK || ret->size == packed.acked[member]))
            return rc;
        ent_buf_clear(ret_note);
    }
    return engine->head_get(work->node->store, log, UINT64_MAX, ret, ret_note, err);
}

ent_rc ent_packing_heads(ent_packing *work, ent_err *err)
{
    ent_channel *channel = work->channel;
    work->pouch.heads = ent_arena_alloc(&work->arena, channel->genesis.member_count * sizeof *work->pouch.heads);
    if (work->pouch.heads == NULL)
        return ent_packing_no_memory(err);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        if (i == work->of)
            continue;
        ent_rc rc = head_of(work, i, &head, &note, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        ent_pouch_item *item = &work->pouch.heads[work->pouch.head_count];
        item->party = channel->genesis.members[i].name;
        ENT_TRY(ent_packing_keep(work, &note, &item->data, err));
        work->pouch.head_count++;
    }
    return ENT_DONE;
}

/* --- receipts --- */

typedef enum { RECEIPT_TO_SEND, RECEIPT_TO_SKIP, RECEIPT_NOT_YET } receipt_use;

static void know_receipted(ent_packing *work)
{
    ent_channel *channel = work->channel;
    (void)pthread_mutex_lock(&channel->lock);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        work->receipted[i] = channel->members[i].receipted.size;
    (void)pthread_mutex_unlock(&channel->lock);
}

/* A receipt that the receiver cannot check yet, because it holds less of that log, would be dropped there: it waits
 * until more is held, and with it what is behind it. */
static bool can_be_checked(const ent_packing *work, uint32_t member, uint64_t size)
{
    return size <= work->confirmed[member] || (member == work->of && size <= work->pouch.size);
}

/* A signature is stored before the next receipt of that log is signed, so one that is missing behind a larger receipt
 * will never come: the keeper refused it. */
static receipt_use use_of(const ent_packing *work, uint32_t member, const ent_store_receipt *receipt)
{
    if (receipt->receiver == work->to)
        return RECEIPT_TO_SKIP;
    if (!ent_receipt_is_signed(receipt))
        return work->receipted[member] > receipt->head.size ? RECEIPT_TO_SKIP : RECEIPT_NOT_YET;
    return can_be_checked(work, member, receipt->head.size) ? RECEIPT_TO_SEND : RECEIPT_NOT_YET;
}

static ent_rc put_receipt(ent_packing *work, uint32_t member, const ent_store_receipt *receipt, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_TRY(
        ent_receipt_put(work->channel, member, receipt->receiver, &receipt->head, &receipt->cosignature, &note, err));
    ent_pouch_item *item = &work->pouch.receipts[work->pouch.receipt_count];
    item->party = work->channel->genesis.members[receipt->receiver].name;
    ENT_TRY(ent_packing_keep(work, &note, &item->data, err));
    work->pouch.receipt_count++;
    return ENT_DONE;
}

static ent_rc pack_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    ent_packing *work = context;
    int member = ent_channel_member_of_log(work->channel, receipt->log);
    receipt_use use = use_of(work, (uint32_t)member, receipt);
    if (use == RECEIPT_NOT_YET)
        return ent_fail(err, ENT_WAITING, NULL, "not yet"); /* and what is behind it waits, for the order */
    if (use == RECEIPT_TO_SEND)
        ENT_TRY(put_receipt(work, (uint32_t)member, receipt, err));
    work->receipts_upto[member] = receipt->number;
    return ENT_DONE;
}

/* Those that the receiver may lack, of each log in the order in which they came. */
static ent_rc pack_receipts(ent_packing *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    for (uint32_t i = 0; i < channel->genesis.member_count && work->pouch.receipt_count < RECEIPTS_COUNT; i++) {
        ent_rc rc = work->node->store->engine->receipt_log_walk(
            work->node->store, channel->members[i].log.number, work->receipts_upto[i],
            RECEIPTS_COUNT - work->pouch.receipt_count, pack_receipt, work, err);
        if (rc.code != ENT_WAITING)
            ENT_TRY(rc);
    }
    return ENT_DONE;
}

/* All of the log that is packed, for the sizes that its entries lead to. */
static ent_rc pack_receipts_again(ent_packing *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    const ent_store_engine *engine = work->node->store->engine;
    for (uint32_t receiver = 0; receiver < channel->genesis.member_count; receiver++) {
        for (uint64_t size = work->pouch.old_size; size < work->pouch.size;) {
            ent_store_receipt receipt;
            ent_rc rc = engine->receipt_covering(work->node->store, channel->members[work->of].log.number, receiver,
                                                 size + 1, &receipt, err);
            if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && receipt.head.size > work->pouch.size))
                break;
            ENT_TRY(rc);
            size = receipt.head.size;
            if (ent_receipt_is_signed(&receipt) && work->pouch.receipt_count < ENT_POUCH_MAX_RECEIPTS)
                ENT_TRY(put_receipt(work, work->of, &receipt, err));
        }
    }
    return ENT_DONE;
}

ent_rc ent_packing_receipts(ent_packing *work, ent_err *err)
{
    size_t room = work->again ? ENT_POUCH_MAX_RECEIPTS : RECEIPTS_COUNT;
    work->pouch.receipts = ent_arena_alloc(&work->arena, room * sizeof *work->pouch.receipts);
    if (work->pouch.receipts == NULL)
        return ent_packing_no_memory(err);
    if (work->again)
        return pack_receipts_again(work, err);
    know_receipted(work);
    return pack_receipts(work, err);
}

/* --- is there anything to send --- */

typedef struct {
    ent_packing *packing;
    uint32_t member;
    int64_t after;
    size_t seen;
} receipt_search;

static ent_rc look_at_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    receipt_search *search = context;
    search->after = receipt->number;
    search->seen++;
    switch (use_of(search->packing, search->member, receipt)) {
    case RECEIPT_TO_SEND:
        return ent_fail(err, ENT_WAITING, NULL, "there is one");
    case RECEIPT_NOT_YET:
        return ent_fail(err, ENT_ABSENT, NULL, "none can be packed yet");
    case RECEIPT_TO_SKIP:
        break;
    }
    return ENT_DONE;
}

static ent_rc receipt_wanted(ent_packing *work, uint32_t member, bool *ret, ent_err *err)
{
    receipt_search search = {.packing = work, .member = member, .after = work->receipts_upto[member]};
    ent_rc rc = ENT_DONE;
    do {
        search.seen = 0;
        rc = work->node->store->engine->receipt_log_walk(work->node->store, work->channel->members[member].log.number,
                                                         search.after, RECEIPTS_COUNT, look_at_receipt, &search, err);
    } while (rc.code == ENT_OK && search.seen == RECEIPTS_COUNT);
    *ret = rc.code == ENT_WAITING;
    return rc.code == ENT_WAITING || rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

/* How much of a log may leave here. */
static uint64_t size_to_offer(ent_channel *channel, uint32_t of)
{
    (void)pthread_mutex_lock(&channel->lock);
    uint64_t size = channel->members[of].log.tree.size;
    if (of == channel->self)
        size = channel->held ? 0 : channel->head.size;
    (void)pthread_mutex_unlock(&channel->lock);
    return size;
}

ent_rc ent_pack_wanted(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, ent_pack_want *ret, ent_err *err)
{
    ent_packing work = {.node = node, .channel = channel, .of = of, .to = to};
    uint64_t offered = size_to_offer(channel, of);
    bool wanted = false;
    ENT_TRY(ent_packing_know(&work, err));
    if (offered == 0 || offered > work.confirmed[of] || of != channel->self) {
        *ret = offered > work.confirmed[of] ? ENT_PACK_ENTRIES : ENT_PACK_NOTHING;
        return ENT_DONE;
    }
    know_receipted(&work);
    work.pouch.size = offered;
    for (uint32_t i = 0; i < channel->genesis.member_count && !wanted; i++)
        ENT_TRY(receipt_wanted(&work, i, &wanted, err));
    *ret = wanted ? ENT_PACK_RECEIPTS : ENT_PACK_NOTHING;
    return ENT_DONE;
}
