#include "node/ledgers.h"

#include "node/channel.h"
#include "node/examine.h"
#include "node/passed.h"
#include "node/receipt.h"

#include <time.h>

enum {
    PAGE_ENTRIES = 256,
    PAGE_BYTES = 1 << 20,
    RECEIPTS_AT_A_TIME = 512,
    FEED_ENTRIES = 256, /* then others may have the lock */
    SOON_TRIES = 100,   /* … */
    SOON_US = 100       /* a look takes microseconds, a report on a large ledger seconds */
};

struct ent_channel_ledger {
    pthread_mutex_t lock;
    atomic_bool stale;  /* what it holds was not committed */
    atomic_bool made;   /* ledger is set */
    ent_ledger *ledger; /* NULL: not made yet */
    int64_t receipts;   /* number of the last receipt that was read */
    struct {
        uint32_t member;
        uint64_t size;
    } awaits[ENT_ENTRY_MAX_MEMBERS]; /* what the next entry of each log acks and the ledger lacks; size 0 = nothing */
};

ent_rc ent_ledgers_new(ent_channel_ledger **ret, ent_err *err)
{
    ent_channel_ledger *held = ent_alloc(sizeof *held);
    if (held == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)pthread_mutex_init(&held->lock, NULL);
    atomic_init(&held->stale, false);
    atomic_init(&held->made, false);
    *ret = held;
    return ENT_DONE;
}

void ent_ledgers_free(ent_channel_ledger *held)
{
    if (held == NULL)
        return;
    ent_ledger_free(held->ledger);
    (void)pthread_mutex_destroy(&held->lock);
    ent_free(held);
}

/* Whether the ledger lacks something that an entry acks; tells what. */
static bool lacks_acked(const ent_channel *channel, const ent_ledger *ledger, const ent_entry *entry,
                        uint32_t *ret_member, uint64_t *ret_size)
{
    for (size_t i = 0; i < entry->ack_count; i++) {
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            if (!ent_text_is(entry->acks[i].origin, channel->members[m].origin) ||
                entry->acks[i].head.size <= ent_ledger_size(ledger, m))
                continue;
            *ret_member = m;
            *ret_size = entry->acks[i].head.size;
            return true;
        }
    }
    return false;
}

/* By roots, not by sizes: what its writer acks of another history may, in ours, ack him. */
ent_rc ent_ledgers_drop_foreign(ent_node *node, ent_channel *channel, ent_entry *entry, ent_err *err)
{
    size_t kept = 0;
    if (atomic_load(&channel->forks) == 0 && !atomic_load(&channel->passed))
        return ENT_DONE;
    for (size_t i = 0; i < entry->ack_count; i++) {
        ent_ack_worth worth = ENT_ACK_COUNTS;
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            if (ent_text_is(entry->acks[i].origin, channel->members[m].origin))
                ENT_TRY(ent_ack_weigh(node, channel, m, &entry->acks[i].head, &worth, err));
        }
        if (worth == ENT_ACK_COUNTS)
            entry->acks[kept++] = entry->acks[i];
    }
    entry->ack_count = kept;
    return ENT_DONE;
}

bool ent_ledgers_knows_acked(const ent_channel *channel, const ent_ledger *ledger, const ent_entry *entry)
{
    uint32_t member = 0;
    uint64_t size = 0;
    return !lacks_acked(channel, ledger, entry, &member, &size);
}

/* --- entries from the store --- */

/* One log as it is read: a page, and the entry that comes next. */
typedef struct {
    ent_buf bundle;
    ent_bundle_reader reader;
    uint64_t left; /* entries of the page that were not taken */
    ent_bytes entry;
    bool has_entry;
} page;

typedef struct {
    ent_node *node;
    ent_channel *channel;
    ent_channel_ledger *held;
    uint64_t ends[ENT_ENTRY_MAX_MEMBERS];
    page pages[ENT_ENTRY_MAX_MEMBERS];
    unsigned left; /* entries that may be added before others get the lock */
} feeding;

static void release_pages(feeding *work)
{
    for (size_t i = 0; i < ENT_ENTRY_MAX_MEMBERS; i++)
        ent_buf_release(&work->pages[i].bundle);
}

/* What we said counts as soon as it is committed, what others said once it was opened. */
static void find_ends(ent_channel *channel, uint64_t ends[ENT_ENTRY_MAX_MEMBERS])
{
    (void)pthread_mutex_lock(&channel->lock);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        ends[m] = m == channel->self ? channel->members[m].log.tree.size : channel->members[m].log.opened;
    (void)pthread_mutex_unlock(&channel->lock);
}

/* Have the next entry of a log at hand: number ent_ledger_size of it. */
static ent_rc next_entry(feeding *work, uint32_t member, ent_err *err)
{
    page *at = &work->pages[member];
    uint64_t index = ent_ledger_size(work->held->ledger, member);
    bool more = false;
    if (at->has_entry)
        return ENT_DONE;
    if (at->left == 0) {
        uint64_t wanted = work->ends[member] - index < PAGE_ENTRIES ? work->ends[member] - index : PAGE_ENTRIES;
        ent_buf_clear(&at->bundle);
        ENT_TRY(work->node->store->engine->entries_read(work->node->store, work->channel->members[member].log.number,
                                                        index, wanted, PAGE_BYTES, &at->bundle, &at->left, err));
        at->reader = ent_bundle_read(ent_buf_bytes(&at->bundle));
    }
    ENT_TRY(ent_bundle_next(&at->reader, &at->entry, &more, err));
    if (!more)
        return ent_fail(err, ENT_BUG, NULL, "the store gave fewer entries than it said");
    at->left--;
    at->has_entry = true;
    return ENT_DONE;
}

static ent_rc add_entry(feeding *work, uint32_t member, const ent_entry *entry, ent_err *err)
{
    ENT_CLEANUP(ent_examined_release) ent_examined examined = {0};
    ent_hash leaf;
    ent_err wrong = {0};
    ent_leaf_hash(work->pages[member].entry, &leaf);
    ent_rc rc = ent_examine(work->node, work->channel, member, entry, &examined, &wrong);
    if (ent_examine_failed(rc)) {
        if (err != NULL)
            *err = wrong;
        return rc;
    }
    rc = ent_ledger_entry(work->held->ledger, member, entry, &leaf, &examined.facts, err);
    if (rc.code == ENT_NOMEM) /* perhaps half of it was added */
        ent_ledgers_forget(work->channel);
    return rc;
}

/* Add what stands in one log until the end, or until something acks what is not in the ledger, or it is enough. */
static ent_rc feed_log(feeding *work, uint32_t member, bool *ret_moved, ent_err *err)
{
    ent_ledger *ledger = work->held->ledger;
    page *at = &work->pages[member];
    for (; ent_ledger_size(ledger, member) < work->ends[member] && work->left > 0; work->left--) {
        ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
        ent_entry entry;
        uint32_t awaited = 0;
        uint64_t size = 0;
        if (work->held->awaits[member].size > ent_ledger_size(ledger, work->held->awaits[member].member))
            return ENT_DONE;
        ENT_TRY(next_entry(work, member, err));
        ENT_TRY(ent_entry_decode(at->entry, &arena, &entry, err));
        ENT_TRY(ent_ledgers_drop_foreign(work->node, work->channel, &entry, err));
        if (lacks_acked(work->channel, ledger, &entry, &awaited, &size)) {
            work->held->awaits[member].member = awaited;
            work->held->awaits[member].size = size;
            return ENT_DONE;
        }
        ENT_TRY(add_entry(work, member, &entry, err));
        at->has_entry = false;
        *ret_moved = true;
    }
    return ENT_DONE;
}

/* Bring a ledger nearer to the state of the store, log by log, as causality lets it. *ret_whole: it is there. */
static ent_rc feed(ent_node *node, ent_channel *channel, ent_channel_ledger *held, const uint64_t *ends,
                   bool *ret_whole, ent_err *err)
{
    bool moved = false;
    *ret_whole = true;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        moved = moved || ent_ledger_size(held->ledger, m) < ends[m];
    if (!moved)
        return ENT_DONE;
    ENT_CLEANUP(ent_free_pointer) feeding *work = ent_alloc(sizeof *work);
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    work->node = node;
    work->channel = channel;
    work->held = held;
    work->left = FEED_ENTRIES;
    memcpy(work->ends, ends, channel->genesis.member_count * sizeof *ends);
    ent_rc rc = ENT_DONE;
    while (moved && rc.code == ENT_OK) {
        moved = false;
        for (uint32_t m = 0; m < channel->genesis.member_count && rc.code == ENT_OK; m++)
            rc = feed_log(work, m, &moved, err);
    }
    release_pages(work);
    *ret_whole = work->left > 0;
    return rc;
}

/* --- receipts --- */

typedef struct {
    ent_channel *channel;
    ent_channel_ledger *held;
    uint64_t receipted[ENT_ENTRY_MAX_MEMBERS]; /* by us, signed, before the walk */
    size_t count;
} receipt_feeding;

/* Ours count once they are signed. A signature is stored before the next receipt of that log is signed, so one that is
 * missing behind a larger receipt will never come. */
static ent_rc add_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    receipt_feeding *work = context;
    ent_channel_ledger *held = work->held;
    int member = ent_channel_member_of_log(work->channel, receipt->log);
    if (member < 0)
        return ent_fail(err, ENT_BUG, NULL, "a receipt of no log of its channel");
    if (!ent_receipt_is_signed(receipt)) {
        if (work->receipted[member] <= receipt->head.size)
            return ent_fail(err, ENT_WAITING, NULL, "not signed yet");
    } else {
        ENT_TRY(ent_ledger_receipt(held->ledger, (uint32_t)member, receipt->receiver, receipt->head.size,
                                   (int64_t)receipt->cosignature.timestamp_unix_s, err));
    }
    held->receipts = receipt->number;
    work->count++;
    return ENT_DONE;
}

static ent_rc feed_receipts(ent_node *node, ent_channel *channel, ent_channel_ledger *held, ent_err *err)
{
    receipt_feeding work = {.channel = channel, .held = held};
    (void)pthread_mutex_lock(&channel->lock);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        work.receipted[m] = channel->members[m].receipted.size;
    (void)pthread_mutex_unlock(&channel->lock);
    do {
        work.count = 0;
        ent_rc rc = node->store->engine->receipt_walk(node->store, channel->row.number, held->receipts,
                                                      RECEIPTS_AT_A_TIME, add_receipt, &work, err);
        if (rc.code == ENT_WAITING)
            return ENT_DONE;
        ENT_TRY(rc);
    } while (work.count == RECEIPTS_AT_A_TIME);
    return ENT_DONE;
}

/* --- for all --- */

static ent_rc prepare(ent_node *node, ent_channel *channel, bool evidence, ent_err *err)
{
    ent_channel_ledger *held = channel->ledger;
    bool whole = false;
    if (atomic_exchange(&held->stale, false)) {
        ent_ledger_free(held->ledger);
        held->ledger = NULL;
        atomic_store(&held->made, false);
    }
    if (held->ledger == NULL) {
        held->receipts = 0;
        memset(held->awaits, 0, sizeof held->awaits);
        ENT_TRY(ent_ledger_new(&channel->id, &channel->genesis, &held->ledger, err));
    }
    uint64_t ends[ENT_ENTRY_MAX_MEMBERS] = {0};
    find_ends(channel, ends);
    ENT_TRY(feed(node, channel, held, ends, &whole, err));
    if (!whole)
        return ent_fail(err, ENT_WAITING, NULL, "the ledger of channel %.8s is being read", channel->id_text);
    atomic_store(&held->made, true);
    return evidence ? feed_receipts(node, channel, held, err) : ENT_DONE;
}

static ent_rc lock(ent_node *node, ent_channel *channel, bool evidence, ent_ledger **ret, ent_err *err)
{
    (void)pthread_mutex_lock(&channel->ledger->lock);
    ent_rc rc = prepare(node, channel, evidence, err);
    if (rc.code == ENT_OK)
        *ret = channel->ledger->ledger;
    else
        (void)pthread_mutex_unlock(&channel->ledger->lock);
    return rc;
}

static ent_rc lock_whole(ent_node *node, ent_channel *channel, bool evidence, ent_ledger **ret, ent_err *err)
{
    ent_rc rc = lock(node, channel, evidence, ret, err);
    while (rc.code == ENT_WAITING && !atomic_load(&node->stopping))
        rc = lock(node, channel, evidence, ret, err);
    return rc.code == ENT_WAITING ? ent_fail(err, ENT_RETRY, NULL, "the node is stopping") : rc;
}

ent_rc ent_ledgers_lock(ent_node *node, ent_channel *channel, ent_ledger **ret, ent_err *err)
{
    return lock_whole(node, channel, false, ret, err);
}

ent_rc ent_ledgers_lock_evidence(ent_node *node, ent_channel *channel, ent_ledger **ret, ent_err *err)
{
    return lock_whole(node, channel, true, ret, err);
}

ent_rc ent_ledgers_lock_step(ent_node *node, ent_channel *channel, ent_ledger **ret, ent_err *err)
{
    return lock(node, channel, false, ret, err);
}

static ent_rc make_past(ent_node *node, ent_channel *channel, const uint64_t *ends, ent_channel_ledger *held,
                        ent_err *err)
{
    uint64_t within[ENT_ENTRY_MAX_MEMBERS] = {0};
    bool whole = false;
    find_ends(channel, within);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        within[m] = ends[m] < within[m] ? ends[m] : within[m];
    ENT_TRY(ent_ledger_new(&channel->id, &channel->genesis, &held->ledger, err));
    while (!whole) {
        if (atomic_load(&node->stopping))
            return ent_fail(err, ENT_RETRY, NULL, "the node is stopping");
        ENT_TRY(feed(node, channel, held, within, &whole, err));
    }
    return feed_receipts(node, channel, held, err);
}

ent_rc ent_ledgers_past(ent_node *node, ent_channel *channel, const uint64_t *ends, ent_ledger **ret, ent_err *err)
{
    ent_channel_ledger *held = NULL;
    ENT_TRY(ent_ledgers_new(&held, err));
    ent_rc rc = make_past(node, channel, ends, held, err);
    if (rc.code == ENT_OK)
        *ret = ent_take(held->ledger);
    ent_ledgers_free(held);
    return rc;
}

bool ent_ledgers_is_made(ent_channel *channel)
{
    return atomic_load(&channel->ledger->made) && !atomic_load(&channel->ledger->stale);
}

/* Others may hold it for as long as they make it, or walk through it. */
static bool lock_soon(ent_channel *channel)
{
    struct timespec pause = {.tv_nsec = SOON_US * 1000};
    for (int i = 0; i < SOON_TRIES; i++) {
        if (pthread_mutex_trylock(&channel->ledger->lock) == 0)
            return true;
        if (channel->ledger_busy)
            return false;
        (void)nanosleep(&pause, NULL);
    }
    channel->ledger_busy = true;
    return false;
}

ent_rc ent_ledgers_lock_now(ent_channel *channel, ent_ledger **ret, ent_err *err)
{
    bool locked = ent_ledgers_is_made(channel) && lock_soon(channel);
    if (locked && ent_ledgers_is_made(channel)) {
        *ret = channel->ledger->ledger;
        return ENT_DONE;
    }
    if (locked)
        ent_ledgers_unlock(channel);
    return ent_fail(err, ENT_RETRY, NULL, "the ledger of channel %.8s is being read; try again in a moment",
                    channel->id_text);
}

void ent_ledgers_unlock(ent_channel *channel)
{
    (void)pthread_mutex_unlock(&channel->ledger->lock);
}

void ent_ledgers_forget(ent_channel *channel)
{
    atomic_store(&channel->ledger->stale, true);
}

ent_rc ent_ledgers_root(void *context, uint32_t member, uint64_t size, ent_hash *ret, ent_err *err)
{
    const ent_ledgers_roots *roots = context;
    ent_store_log log;
    ent_channel_log(roots->channel, member, &log);
    if (size > log.tree.size)
        return ent_fail(err, ENT_RETRY, NULL, "entry %llu of %.*s is being stored", (unsigned long long)size - 1,
                        ENT_TEXT_ARG(roots->channel->genesis.members[member].name));
    if (size == log.tree.size) {
        ent_tree_root(&log.tree, ret);
        return ENT_DONE;
    }
    ent_store_tiles tiles = {roots->node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    return ent_tree_root_at(size, &reader, ret, err);
}
