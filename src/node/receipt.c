#include "node/receipt.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/events.h"
#include "node/extend.h"
#include "node/forgotten.h"
#include "node/keys.h"
#include "node/ledgers.h"
#include "node/report.h"
#include "node/sequencer.h"

ent_rc ent_receipt_put(const ent_channel *channel, uint32_t member, const ent_store_receipt *receipt, ent_buf *ret,
                       ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_vkey vkey;
    ENT_TRY(ent_keys_receipt_vkey(ent_channel_keys(channel, receipt->receiver),
                                  channel->genesis.members[receipt->receiver].name, receipt->key, &name, &vkey, err));
    ent_checkpoint_put(ret, ent_text_of(channel->members[member].origin), &receipt->head);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_cosignature(ret, &vkey, &receipt->cosignature);
    return ent_buf_check(ret, err);
}

bool ent_receipt_is_signed(const ent_store_receipt *receipt)
{
    static const ent_signature none;
    return memcmp(&receipt->cosignature.signature, &none, sizeof none) != 0;
}

int ent_channel_member_of_log(const ent_channel *channel, int64_t log)
{
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        if (channel->members[i].log.number == log)
            return (int)i;
    }
    return -1;
}

static ent_rc sign_again(ent_node *node, const ent_channel *channel, uint32_t member, ent_store_receipt *receipt,
                         ent_err *err)
{
    ent_keeper_request request = {
        .what = ENT_KEEPER_RECEIPT,
        .origin = ent_text_of(channel->members[member].origin),
        .head = receipt->head,
        .timestamp_unix_s = receipt->cosignature.timestamp_unix_s,
        .key = ent_channel_receipt_public(channel, receipt->key),
    };
    ent_extension extension = {.what = request.what, .member = member, .head = request.head};
    ent_tree_proof proof;
    ENT_TRY(ent_extend_prove(node, channel, &extension, &proof, err));
    request.extends = &proof;
    ENT_TRY(ent_keeper_sign(node->keeper, &request, 1, err));
    if (request.rc.code == ENT_OK)
        receipt->cosignature.signature = request.signature;
    return request.rc;
}

/* Our first receipt that covers a size, as it is stored. One by a key that we revoked since counts for nobody who did
 * not have it before: then our newest, which the keeper signs once more by the key of now, for the time that it was
 * given for. */
static ent_rc read_covering(ent_node *node, const ent_channel *channel, uint32_t member, uint64_t size,
                            ent_store_receipt *ret, ent_err *err)
{
    static const ent_signature unsigned_yet;
    const ent_store_engine *engine = node->store->engine;
    const ent_keys *keys = ent_channel_keys(channel, channel->self);
    int64_t log = channel->members[member].log.number;
    ENT_TRY(engine->receipt_covering(node->store, log, channel->self, size, ret, err));
    if (!ent_keys_receipt_revoked(keys, ret->key))
        return ENT_DONE;
    ENT_TRY(engine->receipt_newest(node->store, log, channel->self, ret, err));
    if (!ent_keys_receipt_revoked(keys, ret->key))
        return ENT_DONE;
    ret->key = ent_channel_receipt_key(channel);
    ret->cosignature.signature = unsigned_yet;
    return ENT_DONE;
}

ent_rc ent_receipt_covering(ent_node *node, ent_channel *channel, uint32_t member, uint64_t size, ent_buf *ret,
                            ent_err *err)
{
    ent_store_receipt receipt;
    ENT_TRY(read_covering(node, channel, member, size, &receipt, err));
    if (!ent_receipt_is_signed(&receipt) && sign_again(node, channel, member, &receipt, err).code != ENT_OK) {
        /* The sequencer moved the keeper's mark on meanwhile, and stored this signature before it did. */
        ENT_TRY(read_covering(node, channel, member, size, &receipt, err));
        if (!ent_receipt_is_signed(&receipt))
            return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                            "the keeper will not sign the receipt of size %llu again",
                            (unsigned long long)receipt.head.size);
    }
    return ent_receipt_put(channel, member, &receipt, ret, err);
}

/* --- receipts that come to us --- */

/* A member holds a log up to this size. */
static ent_rc advance_delivery(ent_node *node, const ent_channel *channel, uint32_t of, uint32_t member, uint64_t size,
                               int64_t receipts_sent, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    ent_store_delivery delivery;
    int64_t log = channel->members[of].log.number;
    ENT_TRY(engine->delivery_get(node->store, log, member, &delivery, err));
    delivery.log = log;
    delivery.member = member;
    if (size > delivery.confirmed)
        delivery.confirmed = size;
    if (receipts_sent > delivery.receipts_sent)
        delivery.receipts_sent = receipts_sent;
    delivery.refused = false;
    delivery.reason[0] = 0;
    delivery.last_success_unix_s = ent_clock_unix_s();
    delivery.last_attempt_unix_s = delivery.last_success_unix_s;
    return engine->delivery_put(node->store, &delivery, err);
}

/* Receipts of a log that a member now has. */
static ent_rc advance_receipts(ent_node *node, const ent_channel *channel, uint32_t of, uint32_t member,
                               int64_t receipts_sent, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    ent_store_delivery delivery;
    int64_t log = channel->members[of].log.number;
    ENT_TRY(engine->delivery_get(node->store, log, member, &delivery, err));
    if (receipts_sent <= delivery.receipts_sent)
        return ENT_DONE;
    delivery.receipts_sent = receipts_sent;
    return engine->delivery_put(node->store, &delivery, err);
}

/* A later receipt for what its giver has receipted before: it has forgotten the first one, which alone counts. */
static ent_rc was_given_twice(ent_node *node, ent_channel *channel, const ent_checked_receipt *given, ent_err *err)
{
    ent_store_receipt first;
    if (given->receiver == channel->self)
        return ENT_DONE;
    ENT_TRY(node->store->engine->receipt_covering(node->store, channel->members[given->member].log.number,
                                                  (uint32_t)given->receiver, given->head.size, &first, err));
    if (first.cosignature.timestamp_unix_s == given->cosignature.timestamp_unix_s)
        return ENT_DONE;
    ent_report report = ent_report_begin("receipt.given-twice");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_text(&report, "by", channel->genesis.members[given->receiver].name);
    ent_report_text(&report, "of", channel->genesis.members[given->member].name);
    ent_report_number(&report, "size", given->head.size);
    ent_report_end(&report);
    return ent_forgotten_apply(node, channel, (uint32_t)given->receiver, (uint32_t)given->member, given->head.size - 1,
                               err);
}

/* By a revoked key: apart, unless it came before that was known. */
static ent_rc add_revoked(ent_node *node, const ent_store_receipt *receipt, ent_err *err)
{
    ent_store_receipt held;
    ent_rc rc = node->store->engine->receipt_covering(node->store, receipt->log, receipt->receiver, receipt->head.size,
                                                      &held, err);
    bool is_held = rc.code == ENT_OK && held.head.size == receipt->head.size &&
                   memcmp(&held.cosignature, &receipt->cosignature, sizeof held.cosignature) == 0;
    if (is_held || (rc.code != ENT_OK && rc.code != ENT_ABSENT))
        return rc;
    return node->store->engine->revoked_receipt_add(node->store, receipt, err);
}

static ent_rc add_receipt(ent_node *node, ent_channel *channel, ent_checked_receipt *given, ent_err *err)
{
    ent_store_receipt receipt = {
        .log = channel->members[given->member].log.number,
        .receiver = (uint32_t)given->receiver,
        .head = given->head,
        .cosignature = given->cosignature,
        .arrived_unix_s = ent_clock_unix_s(),
        .key = given->key,
    };
    /* Whoever has the key now may have given it: kept, but no clock starts, and nothing counts as delivered. */
    if (ent_keys_receipt_revoked(ent_channel_keys_next(channel, (uint32_t)given->receiver), given->key)) {
        given->is_new = false;
        return add_revoked(node, &receipt, err);
    }
    ENT_TRY(node->store->engine->receipt_add(node->store, &receipt, &given->is_new, err));
    return given->is_new ? ENT_DONE : was_given_twice(node, channel, given, err);
}

ent_rc ent_receipts_store(ent_node *node, ent_channel *channel, ent_checked_receipt *receipts, size_t count,
                          ent_err *err)
{
    for (size_t i = 0; i < count; i++) {
        ent_checked_receipt *given = &receipts[i];
        if (given->receiver == channel->self)
            continue; /* ours: we have it, or gave it */
        ENT_TRY(add_receipt(node, channel, given, err));
        if (given->is_new)
            ENT_TRY(advance_delivery(node, channel, (uint32_t)given->member, (uint32_t)given->receiver,
                                     given->head.size, 0, err));
    }
    return ENT_DONE;
}

ent_rc ent_receipts_store_own(ent_node *node, ent_channel *channel, ent_checked_receipt *receipts, size_t count,
                              ent_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (receipts[i].receiver == channel->self)
            ENT_TRY(add_receipt(node, channel, &receipts[i], err));
    }
    return ENT_DONE;
}

void ent_receipts_came_back(ent_channel *channel, const ent_checked_receipt *receipts, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || (receipts[i].receiver == channel->self && receipts[i].is_new);
    if (any)
        ent_ledgers_forget(channel);
}

void ent_receipts_told(ent_node *node, ent_channel *channel, const ent_checked_receipt *receipts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (receipts[i].member == channel->self && receipts[i].is_new)
            ent_tell_receipt(node, channel, (uint32_t)receipts[i].receiver, receipts[i].head.size);
    }
}

typedef struct {
    ent_job job;
    ent_channel *channel;
    ent_checked_receipt receipt;
    bool can_be_stored;
    const ent_packed *packed;
} take_job;

static ent_rc apply_take(ent_job *job, ent_node *node, ent_err *err)
{
    take_job *work = (take_job *)job;
    ent_channel *channel = work->channel;
    uint32_t receiver = (uint32_t)work->receipt.receiver;
    uint32_t of = work->packed->of;
    if (work->can_be_stored)
        ENT_TRY(add_receipt(node, channel, &work->receipt, err));
    bool forgot = atomic_load(&channel->members[receiver].forgot) != work->packed->forgot;
    for (uint32_t i = 0; !forgot && i < channel->genesis.member_count; i++) {
        if (i != of)
            ENT_TRY(advance_receipts(node, channel, i, receiver, work->packed->receipts_upto[i], err));
    }
    return advance_delivery(node, channel, of, receiver, work->receipt.head.size,
                            forgot ? 0 : work->packed->receipts_upto[of], err);
}

static void settle_take(ent_job *job, ent_node *node)
{
    take_job *work = (take_job *)job;
    ent_receipts_told(node, work->channel, &work->receipt, 1);
}

/* Whether the receipt's root is that of our copy; one of another's log may be for more than we hold. */
static ent_rc check_root(ent_node *node, ent_channel *channel, uint32_t of, const ent_tree_head *head, bool *ret_held,
                         ent_err *err)
{
    ent_store_log log;
    ent_hash root;
    ent_text name = channel->genesis.members[of].name;
    ent_channel_log(channel, of, &log);
    *ret_held = head->size <= log.tree.size;
    if (head->size == 0 || (!*ret_held && of == channel->self))
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3",
                        "a receipt for size %llu of the log of %.*s, which has %llu entries",
                        (unsigned long long)head->size, ENT_TEXT_ARG(name), (unsigned long long)log.tree.size);
    if (!*ret_held)
        return ENT_DONE;
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ENT_TRY(ent_tree_root_at(head->size, &reader, &root, err));
    if (!ent_hash_equal(&root, &head->root))
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3",
                        "a receipt for size %llu of the log of %.*s with a root that is not the one held here",
                        (unsigned long long)head->size, ENT_TEXT_ARG(name));
    return ENT_DONE;
}

ent_rc ent_receipt_take(ent_node *node, ent_channel *channel, uint32_t receiver, ent_bytes bytes,
                        const ent_packed *packed, uint64_t *ret_size, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    const ent_keys *keys = ent_channel_keys(channel, receiver);
    ent_checkpoint checkpoint;
    take_job work = {.job = {.apply = apply_take, .settle = settle_take}, .channel = channel, .packed = packed};
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    if (!ent_text_is(checkpoint.origin, packed->origin))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3",
                        "the answer is a receipt for another log than the pouch was of");
    ENT_TRY(ent_keys_verify_receipt(keys, channel->genesis.members[receiver].name, &note, &work.receipt.cosignature,
                                    &work.receipt.key, err));
    if (ent_keys_receipt_revoked(keys, work.receipt.key))
        return ent_fail(err, ENT_PEER_SIGNATURE, "design 2, Rotation",
                        "the receipt is by a receipt key of %.*s that card %llu revoked",
                        ENT_TEXT_ARG(channel->genesis.members[receiver].name), (unsigned long long)keys->serial);
    ENT_TRY(check_root(node, channel, packed->of, &checkpoint.head, &work.can_be_stored, err));
    work.receipt.member = packed->of;
    work.receipt.receiver = receiver;
    work.receipt.head = checkpoint.head;
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    *ret_size = checkpoint.head.size;
    return ENT_DONE;
}
