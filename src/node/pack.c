#include "node/pack.h"

#include "node/channel.h"
#include "node/receipt.h"

enum {
    ENTRIES_BYTES = 16 << 20,
    BODIES_BYTES = 40 << 20, /* with the entries and a batch's worth of slack this fits 64 MiB */
    ENTRIES_COUNT = 1024,    /* design 11: entries a batch by default */
    RECEIPTS_COUNT = 512
};

void ent_packed_release(ent_packed *packed)
{
    ent_buf_release(&packed->bytes);
}

/* Everything that goes into one pouch, and the memory it lives in. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    uint32_t member;
    ent_pouch pouch;
    ent_arena arena;
    ent_buf entries;
    ent_buf *bodies; /* array of entry_count */
    size_t entry_count;
    ent_buf checkpoint;
    uint64_t receipted[ENT_ENTRY_MAX_MEMBERS]; /* per member: what we had receipted, signed, before the walk */
    int64_t receipts_upto;
    size_t receipts_seen;
} packing;

static void release(packing *work)
{
    for (size_t i = 0; i < work->entry_count && work->bodies != NULL; i++)
        ent_buf_release(&work->bodies[i]);
    ent_free(work->bodies);
    ent_buf_release(&work->entries);
    ent_buf_release(&work->checkpoint);
    ent_arena_release(&work->arena);
}

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory while packing");
}

static ent_rc keep(packing *work, const ent_buf *bytes, ent_bytes *ret, ent_err *err)
{
    ent_text copy = ent_arena_text(&work->arena, ent_buf_text(bytes));
    if (copy.data == NULL)
        return no_memory(err);
    *ret = ent_text_bytes(copy);
    return ENT_DONE;
}

/* Our newest signed head, or an older one that `most` entries reach. */
static ent_rc choose_head(packing *work, uint64_t most, ent_tree_head *ret, ent_err *err)
{
    ent_channel *channel = work->channel;
    (void)pthread_mutex_lock(&channel->lock);
    bool held = channel->held;
    uint64_t newest = channel->head.size;
    bool fits = newest > 0 && newest <= most;
    if (fits) {
        *ret = channel->head;
        ent_buf_put(&work->checkpoint, ent_buf_bytes(&channel->head_note));
    }
    (void)pthread_mutex_unlock(&channel->lock);
    if (held)
        return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard", "our head in channel %.8s is held",
                        channel->id_text);
    if (newest == 0)
        return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis", "we have said nothing in channel %.8s",
                        channel->id_text);
    if (fits)
        return ent_buf_check(&work->checkpoint, err);
    return work->node->store->engine->head_get(work->node->store, channel->members[channel->self].log.number, most, ret,
                                               &work->checkpoint, err);
}

/* How many of the read entries one pouch can take, by the sizes of their bodies. */
static ent_rc count_fitting(packing *work, uint64_t read, uint64_t *ret_count, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&work->entries));
    uint64_t bytes = 0;
    uint64_t count = 0;
    for (; count < read; count++) {
        ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
        ent_bytes bytes_of_entry = {0};
        ent_entry entry;
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &bytes_of_entry, &more, err));
        ENT_TRY(ent_entry_decode(bytes_of_entry, &arena, &entry, err));
        bytes += entry.has_body ? entry.body.size : 0;
        if (bytes > BODIES_BYTES && count > 0)
            break;
    }
    *ret_count = count;
    return ENT_DONE;
}

/* Keep the first `count` entries of the bundle that was read. */
static ent_rc cut_entries(packing *work, uint64_t count, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&work->entries));
    for (uint64_t i = 0; i < count; i++) {
        ent_bytes entry = {0};
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
    }
    work->entries.size -= reader.left;
    return ENT_DONE;
}

static ent_rc read_bodies(packing *work, uint64_t first, uint64_t count, ent_err *err)
{
    int64_t log = work->channel->members[work->channel->self].log.number;
    work->bodies = ent_alloc_array(count + 1, sizeof *work->bodies);
    work->pouch.bodies = ent_arena_alloc(&work->arena, (count + 1) * sizeof *work->pouch.bodies);
    if (work->bodies == NULL || work->pouch.bodies == NULL)
        return no_memory(err);
    work->entry_count = count;
    for (uint64_t i = 0; i < count; i++) {
        ent_rc rc = work->node->store->engine->body_read(work->node->store, log, first + i, &work->bodies[i], err);
        if (rc.code == ENT_ABSENT)
            continue; /* an entry without a body */
        ENT_TRY(rc);
        work->pouch.bodies[work->pouch.body_count++] = (ent_pouch_body){first + i, ent_buf_bytes(&work->bodies[i])};
    }
    return ENT_DONE;
}

static ent_rc pack_entries(packing *work, uint64_t confirmed, ent_err *err)
{
    const ent_store_engine *engine = work->node->store->engine;
    ent_store_log log;
    ent_tree_head head;
    uint64_t read = 0;
    uint64_t fitting = 0;
    ent_channel_log(work->channel, work->channel->self, &log);
    uint64_t from = confirmed > log.tree.size ? log.tree.size : confirmed;
    if (from < log.tree.size) {
        ENT_TRY(engine->entries_read(work->node->store, log.number, from, ENTRIES_COUNT, ENTRIES_BYTES, &work->entries,
                                     &read, err));
        ENT_TRY(count_fitting(work, read, &fitting, err));
    }
    ENT_TRY(choose_head(work, from + fitting, &head, err));
    if (head.size < from) /* the sequencer has committed, but not signed yet: offer what is signed */
        from = head.size;
    ENT_TRY(cut_entries(work, head.size - from < read ? head.size - from : read, err));
    work->pouch.old_size = from;
    work->pouch.size = head.size;
    work->pouch.entries = ent_buf_bytes(&work->entries);
    work->pouch.checkpoint = ent_buf_bytes(&work->checkpoint);
    return read_bodies(work, from, head.size - from, err);
}

static ent_rc pack_first_contact(packing *work, ent_err *err)
{
    ent_node *node = work->node;
    ent_channel *channel = work->channel;
    work->pouch.genesis = ent_buf_bytes(&channel->genesis_bytes);
    work->pouch.cards = ent_arena_alloc(&work->arena, channel->genesis.member_count * sizeof *work->pouch.cards);
    if (work->pouch.cards == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) { /* sorted by name, as the pouch wants them */
        ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
        ent_store_peer peer;
        ent_pouch_item *item = &work->pouch.cards[work->pouch.card_count];
        item->party = channel->genesis.members[i].name;
        if (i == channel->self) {
            item->data = ent_buf_bytes(&node->card_bytes);
        } else {
            ent_rc rc = node->store->engine->peer_get(node->store, item->party, &peer, &card, err);
            if (rc.code == ENT_ABSENT)
                continue;
            ENT_TRY(rc);
            ENT_TRY(keep(work, &card, &item->data, err));
        }
        work->pouch.card_count++;
    }
    return ENT_DONE;
}

/* The newest head seen of another log; or the one that our entries ack, when the receiver may not hold that log so far:
 * "an ack is accepted only if that head … is in heads/ or held" (design 3, step 6). */
static ent_rc head_of(packing *work, uint32_t member, ent_tree_head *ret, ent_buf *ret_note, ent_err *err)
{
    const ent_store_engine *engine = work->node->store->engine;
    int64_t log = work->channel->members[member].log.number;
    ent_store_log own;
    ent_channel_log(work->channel, work->channel->self, &own);
    if (member != work->member && work->pouch.entries.size > 0 && own.acked[member] > 0) {
        ent_rc rc = engine->head_get(work->node->store, log, own.acked[member], ret, ret_note, err);
        if (rc.code != ENT_ABSENT && (rc.code != ENT_OK || ret->size == own.acked[member]))
            return rc;
        ent_buf_clear(ret_note);
    }
    return engine->head_get(work->node->store, log, UINT64_MAX, ret, ret_note, err);
}

/* Heads of the other logs. */
static ent_rc pack_heads(packing *work, ent_err *err)
{
    ent_channel *channel = work->channel;
    work->pouch.heads = ent_arena_alloc(&work->arena, channel->genesis.member_count * sizeof *work->pouch.heads);
    if (work->pouch.heads == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        if (i == channel->self)
            continue;
        ent_rc rc = head_of(work, i, &head, &note, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        ent_pouch_item *item = &work->pouch.heads[work->pouch.head_count];
        item->party = channel->genesis.members[i].name;
        ENT_TRY(keep(work, &note, &item->data, err));
        work->pouch.head_count++;
    }
    return ENT_DONE;
}

typedef enum { RECEIPT_TO_SEND, RECEIPT_TO_SKIP, RECEIPT_NOT_SIGNED } receipt_use;

static void know_receipted(packing *work)
{
    ent_channel *channel = work->channel;
    (void)pthread_mutex_lock(&channel->lock);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        work->receipted[i] = channel->members[i].receipted.size;
    (void)pthread_mutex_unlock(&channel->lock);
}

/* A signature is stored before the next receipt of that log is signed, so one that is missing behind a larger receipt
 * will never come: the keeper refused it. */
static receipt_use use_of(const packing *work, const ent_store_receipt *receipt)
{
    int member = ent_channel_member_of_log(work->channel, receipt->log);
    if (member < 0 || receipt->receiver == work->member)
        return RECEIPT_TO_SKIP;
    if (ent_receipt_is_signed(receipt))
        return RECEIPT_TO_SEND;
    return work->receipted[member] > receipt->head.size ? RECEIPT_TO_SKIP : RECEIPT_NOT_SIGNED;
}

static ent_rc pack_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    packing *work = context;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    int member = ent_channel_member_of_log(work->channel, receipt->log);
    receipt_use use = use_of(work, receipt);
    if (use == RECEIPT_NOT_SIGNED)
        return ent_fail(err, ENT_WAITING, NULL, "not signed yet"); /* and what is behind it waits, for the order */
    work->receipts_upto = receipt->number;
    if (use == RECEIPT_TO_SKIP)
        return ENT_DONE;
    ENT_TRY(ent_receipt_put(work->channel, (uint32_t)member, receipt->receiver, &receipt->head, &receipt->cosignature,
                            &note, err));
    ent_pouch_item *item = &work->pouch.receipts[work->pouch.receipt_count];
    item->party = work->channel->genesis.members[receipt->receiver].name;
    ENT_TRY(keep(work, &note, &item->data, err));
    work->pouch.receipt_count++;
    return ENT_DONE;
}

static ent_rc pack_receipts(packing *work, int64_t after, ent_err *err)
{
    work->receipts_upto = after;
    work->pouch.receipts = ent_arena_alloc(&work->arena, RECEIPTS_COUNT * sizeof *work->pouch.receipts);
    if (work->pouch.receipts == NULL)
        return no_memory(err);
    know_receipted(work);
    ent_rc rc = work->node->store->engine->receipt_walk(work->node->store, work->channel->row.number, after,
                                                        RECEIPTS_COUNT, pack_receipt, work, err);
    return rc.code == ENT_WAITING ? ENT_DONE : rc;
}

ent_rc ent_pack(ent_node *node, ent_channel *channel, uint32_t member, ent_packed *ret, ent_err *err)
{
    ENT_CLEANUP(release) packing work = {.node = node, .channel = channel, .member = member};
    ent_store_delivery delivery;
    ent_packed packed = {.bytes.limit = ENT_POUCH_MAX_BYTES};
    ENT_TRY(node->store->engine->delivery_get(node->store, channel->members[channel->self].log.number, member,
                                              &delivery, err));
    memcpy(packed.origin, channel->members[channel->self].origin, sizeof packed.origin);
    work.pouch.origin = ent_text_of(packed.origin);
    ENT_TRY(pack_entries(&work, delivery.confirmed, err));
    if (work.pouch.old_size == 0)
        ENT_TRY(pack_first_contact(&work, err));
    ENT_TRY(pack_heads(&work, err));
    ENT_TRY(pack_receipts(&work, delivery.receipts_sent, err));
    ent_rc rc = ent_pouch_put(&packed.bytes, &work.pouch, err);
    if (rc.code != ENT_OK) {
        ent_packed_release(&packed);
        return rc;
    }
    packed.old_size = work.pouch.old_size;
    packed.size = work.pouch.size;
    packed.receipts_upto = work.receipts_upto;
    *ret = packed;
    return ENT_DONE;
}

/* --- is there anything to send --- */

static ent_rc note_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    packing *work = context;
    work->receipts_upto = receipt->number;
    work->receipts_seen++;
    switch (use_of(work, receipt)) {
    case RECEIPT_TO_SEND:
        return ent_fail(err, ENT_WAITING, NULL, "there is one");
    case RECEIPT_NOT_SIGNED:
        return ent_fail(err, ENT_ABSENT, NULL, "none can be packed yet");
    case RECEIPT_TO_SKIP:
        break;
    }
    return ENT_DONE;
}

ent_rc ent_pack_wanted(ent_node *node, ent_channel *channel, uint32_t member, ent_pack_want *ret, ent_err *err)
{
    ent_store_delivery delivery;
    packing work = {.channel = channel, .member = member};
    (void)pthread_mutex_lock(&channel->lock);
    uint64_t signed_size = channel->held ? 0 : channel->head.size;
    (void)pthread_mutex_unlock(&channel->lock);
    ENT_TRY(node->store->engine->delivery_get(node->store, channel->members[channel->self].log.number, member,
                                              &delivery, err));
    if (signed_size == 0 || signed_size > delivery.confirmed) {
        *ret = signed_size == 0 ? ENT_PACK_NOTHING : ENT_PACK_ENTRIES;
        return ENT_DONE;
    }
    know_receipted(&work);
    work.receipts_upto = delivery.receipts_sent;
    ent_rc rc = ENT_DONE;
    do {
        work.receipts_seen = 0;
        rc = node->store->engine->receipt_walk(node->store, channel->row.number, work.receipts_upto, RECEIPTS_COUNT,
                                               note_receipt, &work, err);
    } while (rc.code == ENT_OK && work.receipts_seen == RECEIPTS_COUNT);
    if (rc.code != ENT_OK && rc.code != ENT_WAITING && rc.code != ENT_ABSENT)
        return rc;
    *ret = rc.code == ENT_WAITING ? ENT_PACK_RECEIPTS : ENT_PACK_NOTHING;
    return ENT_DONE;
}
