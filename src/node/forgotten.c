#include "node/forgotten.h"

#include "node/courier.h"
#include "node/sequencer.h"

/* Receipts of a log that may have been on their way to a member, and told as having arrived, when it was copied. */
enum { ON_THEIR_WAY = 256 };

/* Since when it has forgotten: the receipt for the first entry that it lacks, its own or, of its own log, ours. */
static ent_rc forgotten_since(ent_node *node, const ent_channel *channel, uint32_t member, uint32_t of, uint64_t size,
                              int64_t *ret, ent_err *err)
{
    ent_store_receipt receipt;
    uint32_t receiver = of == member ? channel->self : member;
    *ret = INT64_MAX;
    if (size == UINT64_MAX)
        return ENT_DONE;
    ent_rc rc = node->store->engine->receipt_covering(node->store, channel->members[of].log.number, receiver, size + 1,
                                                      &receipt, err);
    if (rc.code == ENT_OK)
        *ret = receipt.number;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

static ent_rc tell_again(ent_node *node, const ent_channel *channel, uint32_t member, uint32_t of, int64_t since,
                         ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    int64_t log = channel->members[of].log.number;
    ent_store_delivery delivery;
    int64_t from = 0;
    int64_t last = 0;
    ENT_TRY(engine->receipt_before(node->store, log, since, ON_THEIR_WAY, &from, err));
    ENT_TRY(engine->receipt_before(node->store, log, INT64_MAX, 0, &last, err));
    ENT_TRY(engine->delivery_get(node->store, log, member, &delivery, err));
    if (delivery.receipts_sent <= from && delivery.receipts_again >= delivery.receipts_sent)
        return ENT_DONE;
    if (from < delivery.receipts_sent)
        delivery.receipts_sent = from;
    delivery.receipts_again = last;
    return engine->delivery_put(node->store, &delivery, err);
}

ent_rc ent_forgotten_apply(ent_node *node, ent_channel *channel, uint32_t member, uint32_t of, uint64_t size,
                           ent_err *err)
{
    int64_t since = 0;
    ENT_TRY(ent_sequencer_touch(node, channel, err)); /* so that the courier looks, once it is committed */
    ENT_TRY(forgotten_since(node, channel, member, of, size, &since, err));
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        ENT_TRY(tell_again(node, channel, member, i, since, err));
    atomic_fetch_add(&channel->members[member].forgot, 1);
    return ENT_DONE;
}

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t member;
    uint32_t of;
    uint64_t size;
} forgotten_job;

static ent_rc apply(ent_job *job, ent_node *node, ent_err *err)
{
    const forgotten_job *work = (const forgotten_job *)job;
    return ent_forgotten_apply(node, work->channel, work->member, work->of, work->size, err);
}

ent_rc ent_forgotten(ent_node *node, ent_channel *channel, uint32_t member, uint32_t of, uint64_t size, ent_err *err)
{
    forgotten_job work = {.job = {.apply = apply}, .channel = channel, .member = member, .of = of, .size = size};
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}
