/* What others have signed, in a pouch: heads, proofs of forks, receipts. And whether there is anything to send at all.
 */
#include "node/pack_internal.h"

#include "node/channel.h"
#include "node/fork.h"
#include "node/keys.h"
#include "node/receipt.h"

/* Where a pouch goes by hand, nothing tells which receipts have arrived: all go along that find room. */
enum { RECEIPTS_COUNT = 512, MUCH_BYTES = 32 << 20 };

ent_rc ent_packing_know(ent_packing *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    const ent_store_engine *engine = work->node->store->engine;
    work->forgot = atomic_load(&channel->members[work->to].forgot);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        ent_store_delivery delivery;
        ENT_TRY(engine->delivery_get(work->node->store, channel->members[i].log.number, work->to, &delivery, err));
        work->confirmed[i] = i == work->to ? UINT64_MAX : delivery.confirmed;
        work->receipts_upto[i] = delivery.receipts_sent;
        work->receipts_again[i] = delivery.receipts_again;
    }
    return ENT_DONE;
}

/* --- heads --- */

/* Append a head of a member's log, if it is held and larger than the one before it. */
static ent_rc put_head(ent_packing *work, uint32_t member, uint64_t at_most, bool exactly, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_tree_head head;
    ent_rc rc = work->node->store->engine->head_get(work->node->store, work->channel->members[member].log.number,
                                                    at_most, &head, &note, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    if (head.size <= work->head_sizes[member] || (exactly && head.size != at_most))
        return ENT_DONE;
    ent_buf_put(&work->head_notes[member], ent_buf_bytes(&note));
    work->head_sizes[member] = head.size;
    work->head_count++;
    return ent_buf_check(&work->head_notes[member], err);
}

/* What was passed over is shown to all, to the log's own writer too: he has not signed it. */
static ent_rc put_passed(ent_packing *work, uint32_t member, const ent_tree_head *head, bool *ret_put, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    *ret_put = false;
    if (!atomic_load(&work->channel->passed))
        return ENT_DONE;
    ent_rc rc = work->node->store->engine->passed_head_get(work->node->store, work->channel->members[member].log.number,
                                                           head, &note, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    ent_buf_put(&work->head_notes[member], ent_buf_bytes(&note));
    work->head_sizes[member] = head->size;
    work->head_count++;
    *ret_put = true;
    return ent_buf_check(&work->head_notes[member], err);
}

static ent_rc put_acked(ent_packing *work, const ent_entry *entry, ent_err *err)
{
    uint32_t frozen = ent_fork_frozen(work->channel);
    for (size_t i = 0; i < entry->ack_count && work->head_count < ENT_POUCH_MAX_HEADS; i++) {
        const ent_tree_head *head = &entry->acks[i].head;
        ent_text party = {0};
        ent_hash channel;
        bool put = false;
        ENT_TRY(ent_origin_parse(entry->acks[i].origin, &party, &channel, err));
        int member = ent_genesis_member(&work->channel->genesis, party);
        if (member < 0 || head->size <= work->head_sizes[member])
            continue;
        bool knows =
            (uint32_t)member == work->to && !work->forgotten && (frozen >> member & 1) == 0; /* it signed them */
        ENT_TRY(put_passed(work, (uint32_t)member, head, &put, err));
        if (!put && !knows)
            ENT_TRY(put_head(work, (uint32_t)member, head->size, true, err));
    }
    return ENT_DONE;
}

/* "an ack is accepted only if that head, signed by its own log, is in heads/ or held" (design 3, step 6): all that the
 * entries ack go along, so that whoever holds entries can also carry them to one who holds nothing else. */
static ent_rc put_all_acked(ent_packing *work, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(work->pouch.entries);
    for (;;) {
        ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
        ent_bytes bytes = {0};
        ent_entry entry;
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &bytes, &more, err));
        if (!more)
            return ENT_DONE;
        ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
        ENT_TRY(put_acked(work, &entry, err));
    }
}

static uint64_t held_size(const ent_packing *work, uint32_t member)
{
    ent_store_log log;
    ent_channel_log(work->channel, member, &log);
    return log.tree.size;
}

ent_rc ent_packing_heads(ent_packing *work, ent_err *err)
{
    const ent_channel *channel = work->channel;
    work->pouch.heads = ent_arena_alloc(&work->arena, channel->genesis.member_count * sizeof *work->pouch.heads);
    if (work->pouch.heads == NULL)
        return ent_packing_no_memory(err);
    if (channel->genesis.member_count > 2 || work->forgotten || ent_fork_frozen(work->channel) != 0)
        ENT_TRY(put_all_acked(work, err));
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        if (i == work->of)
            continue;
        ENT_TRY(put_head(work, i, held_size(work, i), false, err)); /* of what we receipted, … */
        ENT_TRY(put_head(work, i, UINT64_MAX, false, err));         /* … and the newest that was seen */
        if (work->head_sizes[i] == 0)
            continue;
        work->pouch.heads[work->pouch.head_count].party = channel->genesis.members[i].name;
        work->pouch.heads[work->pouch.head_count].data = ent_buf_bytes(&work->head_notes[i]);
        work->pouch.head_count++;
    }
    return ENT_DONE;
}

/* --- forks --- */

ent_rc ent_packing_forks(ent_packing *work, ent_err *err)
{
    ent_channel *channel = work->channel;
    uint32_t frozen = ent_fork_frozen(channel);
    if (frozen == 0)
        return ENT_DONE;
    work->pouch.forks = ent_arena_alloc(&work->arena, channel->genesis.member_count * sizeof *work->pouch.forks);
    if (work->pouch.forks == NULL)
        return ent_packing_no_memory(err);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf proof = {0};
        if ((frozen >> i & 1) == 0)
            continue;
        ent_rc rc = ent_fork_proof_of(work->node, channel, i, &proof, err);
        if (rc.code == ENT_ABSENT || rc.code == ENT_REFUSED)
            continue; /* from an older version: it convinces nobody else */
        ENT_TRY(rc);
        ent_pouch_item *item = &work->pouch.forks[work->pouch.fork_count];
        item->party = channel->genesis.members[i].name;
        ENT_TRY(ent_packing_keep(work, &proof, &item->data, err));
        work->pouch.fork_count++;
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
    bool is_own = receipt->receiver == work->to;
    bool goes_along = work->forgotten && member == work->of && receipt->head.size >= work->pouch.old_size &&
                      receipt->head.size <= work->pouch.size;
    if (is_own && (goes_along || receipt->number > work->receipts_again[member]))
        return RECEIPT_TO_SKIP;
    if (!ent_receipt_is_signed(receipt))
        return work->receipted[member] > receipt->head.size ? RECEIPT_TO_SKIP : RECEIPT_NOT_YET;
    return can_be_checked(work, member, receipt->head.size) ? RECEIPT_TO_SEND : RECEIPT_NOT_YET;
}

static ent_rc put_receipt(ent_packing *work, uint32_t member, const ent_store_receipt *receipt, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_TRY(ent_receipt_put(work->channel, member, receipt, &note, err));
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
static ent_rc pack_receipts(ent_packing *work, size_t room, ent_err *err)
{
    const ent_channel *channel = work->channel;
    for (uint32_t i = 0; i < channel->genesis.member_count && work->pouch.receipt_count < room; i++) {
        ent_rc rc = work->node->store->engine->receipt_log_walk(
            work->node->store, channel->members[i].log.number, work->receipts_upto[i], room - work->pouch.receipt_count,
            pack_receipt, work, err);
        if (rc.code != ENT_WAITING)
            ENT_TRY(rc);
    }
    return ENT_DONE;
}

/* The receiver's receipt of the smallest size from `from` on, for the log that is packed; false when there is none up
 * to `to`. */
static ent_rc receipt_between(const ent_packing *work, uint32_t receiver, uint64_t from, uint64_t to,
                              ent_store_receipt *ret, bool *ret_found, ent_err *err)
{
    ent_rc rc = work->node->store->engine->receipt_covering(
        work->node->store, work->channel->members[work->of].log.number, receiver, from, ret, err);
    *ret_found = rc.code == ENT_OK && ret->head.size <= to;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

static ent_rc pack_receipts_by(ent_packing *work, uint32_t receiver, uint64_t from, ent_err *err)
{
    ent_store_receipt receipt;
    bool found = false;
    ENT_TRY(receipt_between(work, receiver, from, work->pouch.size, &receipt, &found, err));
    while (found) {
        if (ent_receipt_is_signed(&receipt) && work->pouch.receipt_count < ENT_POUCH_MAX_RECEIPTS)
            ENT_TRY(put_receipt(work, work->of, &receipt, err));
        ENT_TRY(receipt_between(work, receiver, receipt.head.size + 1, work->pouch.size, &receipt, &found, err));
    }
    return ENT_DONE;
}

/* All of the log that is packed, for the sizes that its entries lead to, and for the one it starts from: a copy of a
 * store may lack the signature of the last. */
static ent_rc pack_receipts_again(ent_packing *work, ent_err *err)
{
    for (uint32_t receiver = 0; receiver < work->channel->genesis.member_count; receiver++)
        ENT_TRY(pack_receipts_by(work, receiver, work->pouch.old_size, err));
    return ENT_DONE;
}

ent_rc ent_packing_limit(ent_packing *work, uint64_t from, uint64_t *most, ent_err *err)
{
    ent_store_receipt receipt;
    bool found = true;
    uint64_t last = 0;
    if (work->again || work->to == work->of)
        return ENT_DONE;
    ent_rc rc = work->node->store->engine->receipt_newest(
        work->node->store, work->channel->members[work->of].log.number, work->to, &receipt, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    work->forgotten = receipt.head.size > from;
    for (uint64_t at = from; work->forgotten && receipt.head.size > *most && found; at = last) {
        ent_store_receipt next;
        ENT_TRY(receipt_between(work, work->to, at + 1, *most, &next, &found, err));
        last = found ? next.head.size : last;
    }
    if (last > 0)
        *most = last;
    return ENT_DONE;
}

ent_rc ent_packing_receipts(ent_packing *work, ent_err *err)
{
    bool much = !work->again && ent_pouch_size_bound(&work->pouch) > MUCH_BYTES;
    size_t room = much ? RECEIPTS_COUNT : ENT_POUCH_MAX_RECEIPTS;
    work->pouch.receipts = ent_arena_alloc(&work->arena, (size_t)ENT_POUCH_MAX_RECEIPTS * sizeof *work->pouch.receipts);
    if (work->pouch.receipts == NULL)
        return ent_packing_no_memory(err);
    if (work->again)
        return pack_receipts_again(work, err);
    if (work->forgotten)
        ENT_TRY(pack_receipts_by(work, work->to, work->pouch.old_size, err));
    know_receipted(work);
    room += work->pouch.receipt_count;
    return pack_receipts(work, room < ENT_POUCH_MAX_RECEIPTS ? room : ENT_POUCH_MAX_RECEIPTS, err);
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
        size = ent_hold_stops_all(channel->hold) ? 0 : channel->head.size;
    (void)pthread_mutex_unlock(&channel->lock);
    return size;
}

/* Other keys of ours that no entry tells of, or none that may leave yet: receipts by them would count for nothing. */
static bool keys_wanted(ent_channel *channel, uint32_t to)
{
    const ent_known_keys *known = atomic_load(&channel->members[channel->self].keys);
    return (known->announced < known->keys.serial || ent_channel_is_held(channel)) &&
           atomic_load(&channel->members[to].told[channel->self]) != ent_keys_stamp(channel, channel->self);
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
    if (channel->members[to].forks_told < atomic_load(&channel->forks)) {
        *ret = ENT_PACK_FORK;
        return ENT_DONE;
    }
    if (keys_wanted(channel, to)) {
        *ret = ENT_PACK_KEYS;
        return ENT_DONE;
    }
    know_receipted(&work);
    work.pouch.size = offered;
    for (uint32_t i = 0; i < channel->genesis.member_count && !wanted; i++)
        ENT_TRY(receipt_wanted(&work, i, &wanted, err));
    *ret = wanted ? ENT_PACK_RECEIPTS : ENT_PACK_NOTHING;
    return ENT_DONE;
}
