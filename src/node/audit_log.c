/* The audit of one log: its entries and bodies, the tiles, the tree. */
#include "node/audit_internal.h"

enum { ENTRIES_AT_A_TIME = 256, BUNDLE_BYTES = 1 << 20 };

/* --- tiles --- */

static ent_rc read_tile(ent_audit *audit, uint8_t level, uint64_t index, uint64_t width, ent_hash *ret, bool *ret_read,
                        ent_err *err)
{
    ent_err why = {0};
    ent_store *store = audit->source.store;
    ent_rc rc = store->engine->tile_read(store, audit->log->row.number, level, index, (uint16_t)width, ret, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *ret_read = rc.code == ENT_OK;
    if (!*ret_read)
        ent_audit_find(audit, "tile", UINT64_MAX, "tile %u/%llu cannot be read: %s", level, (unsigned long long)index,
                       why.text);
    return ENT_DONE;
}

/* Compare a tile above the leaves with what those below it give. */
static ent_rc check_tile(ent_audit *audit, unsigned level, uint64_t index, uint64_t width, ent_err *err)
{
    ent_audit_level *at = &audit->log->levels[level];
    ent_hash stored[ENT_TILE_WIDTH];
    bool has_stored = false;
    ENT_TRY(read_tile(audit, (uint8_t)level, index, width, stored, &has_stored, err));
    for (uint64_t i = 0; has_stored && i < width; i++) {
        if (ent_hash_equal(&stored[i], &at->computed[i]))
            continue;
        if (ent_hash_equal(&stored[i], &at->other[i]))
            at->computed[i] = stored[i];
        else
            ent_audit_find(audit, "tile", UINT64_MAX, "hash %llu of tile %u/%llu is not that of the tile below it",
                           (unsigned long long)i, level, (unsigned long long)index);
    }
    return ENT_DONE;
}

/* A subtree of 256^level entries is complete. */
static ent_rc push_up(ent_audit *audit, ent_hash computed, ent_hash other, ent_err *err)
{
    for (unsigned level = 1; level < ENT_AUDIT_TILE_LEVELS; level++) {
        ent_audit_level *at = &audit->log->levels[level];
        at->computed[at->count % ENT_TILE_WIDTH] = computed;
        at->other[at->count % ENT_TILE_WIDTH] = other;
        at->count++;
        if (at->count % ENT_TILE_WIDTH != 0)
            break;
        ENT_TRY(check_tile(audit, level, at->count / ENT_TILE_WIDTH - 1, ENT_TILE_WIDTH, err));
        ent_tile_hash(at->computed, &computed);
        other = computed;
    }
    return ENT_DONE;
}

ent_rc ent_audit_log_tiles_end(ent_audit *audit, ent_err *err)
{
    for (unsigned level = 1; level < ENT_AUDIT_TILE_LEVELS; level++) {
        const ent_audit_level *at = &audit->log->levels[level];
        if (at->count % ENT_TILE_WIDTH != 0)
            ENT_TRY(check_tile(audit, level, at->count / ENT_TILE_WIDTH, at->count % ENT_TILE_WIDTH, err));
    }
    return ENT_DONE;
}

/* --- entries against tiles --- */

bool ent_audit_log_decide(ent_audit *audit, const ent_tree_head *head, const char *by)
{
    ent_audit_log *log = audit->log;
    ent_hash from_entries;
    ent_hash from_tiles;
    ent_tree_root(&log->tree, &from_entries);
    ent_tree_root(&log->tiles_tree, &from_tiles);
    bool entries_hold = ent_hash_equal(&from_entries, &head->root);
    bool tiles_hold = ent_hash_equal(&from_tiles, &head->root);
    uint64_t count = log->unsure_count;
    for (uint64_t i = 0; i < count && i < ENT_AUDIT_UNSURE; i++) {
        unsigned long long index = log->unsure[i];
        if (entries_hold)
            ent_audit_find(
                audit, "tile", index,
                "the hash of entry %llu in tile 0/%llu is damaged; %s of size %llu covers the entry as it is", index,
                index / ENT_TILE_WIDTH, by, (unsigned long long)head->size);
        else
            ent_audit_find(audit, "entry", index,
                           "entry %llu is not the one that was logged: %s of size %llu covers %s", index, by,
                           (unsigned long long)head->size,
                           tiles_hold ? "another" : "neither it nor what the tile has in its place");
    }
    if (count > ENT_AUDIT_UNSURE)
        ent_audit_find(audit, entries_hold ? "tile" : "entry", UINT64_MAX, "and so for %llu more entries up to %llu",
                       (unsigned long long)(count - ENT_AUDIT_UNSURE), (unsigned long long)head->size);
    log->unsure_count = 0;
    if (entries_hold || tiles_hold) {
        log->tree = entries_hold ? log->tree : log->tiles_tree;
        log->tiles_tree = log->tree;
    }
    return entries_hold || tiles_hold;
}

static ent_rc begin_tile(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    uint64_t left = log->row.tree.size - log->next;
    log->tile_differs = false;
    return read_tile(audit, 0, log->next / ENT_TILE_WIDTH, left < ENT_TILE_WIDTH ? left : ENT_TILE_WIDTH, log->stored,
                     &log->has_stored, err);
}

static ent_rc end_tile(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_hash computed;
    ent_hash other;
    ent_tile_hash(log->leaves, &computed);
    other = computed;
    if (log->tile_differs)
        ent_tile_hash(log->stored, &other);
    return push_up(audit, computed, other, err);
}

/* Take the next leaf, as its entry gives it.
 *  @in   leaf   NULL = the entry is missing, and the tile's hash stands for it */
static ent_rc take_leaf(ent_audit *audit, const ent_hash *leaf, ent_err *err)
{
    ent_audit_log *log = audit->log;
    uint64_t at = log->next % ENT_TILE_WIDTH;
    if (at == 0)
        ENT_TRY(begin_tile(audit, err));
    const ent_hash *stored = log->has_stored ? &log->stored[at] : leaf;
    static const ent_hash nothing;
    if (leaf == NULL)
        leaf = stored == NULL ? &nothing : stored;
    if (stored == NULL)
        stored = leaf;
    log->leaves[at] = *leaf;
    if (!ent_hash_equal(leaf, stored)) {
        if (log->unsure_count < ENT_AUDIT_UNSURE)
            log->unsure[log->unsure_count] = log->next;
        log->unsure_count++;
        log->tile_differs = true;
    }
    ENT_TRY(ent_tree_append(&log->tree, leaf, err));
    if (log->unsure_count > 0)
        ENT_TRY(ent_tree_append(&log->tiles_tree, stored, err));
    else
        log->tiles_tree = log->tree;
    log->next++;
    audit->entries++;
    if (log->next % ENT_TILE_WIDTH == 0)
        ENT_TRY(end_tile(audit, err));
    return ent_audit_evidence_at(audit, err);
}

/* --- one entry --- */

static ent_rc check_body(ent_audit *audit, const ent_entry *entry, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_store *store = audit->source.store;
    ent_err why = {0};
    ent_hash digest;
    ent_rc rc = store->engine->body_read(store, audit->log->row.number, entry->index, &body, &why);
    if (rc.code == ENT_ABSENT && !entry->has_body)
        return ENT_DONE;
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    audit->log->bytes += entry->has_body ? entry->body.size : 0;
    ent_audit_count(audit, entry->has_body ? entry->body.size : 0);
    if (rc.code != ENT_OK) {
        ent_audit_find(audit, "body", entry->index, "the body of entry %llu cannot be read: %s",
                       (unsigned long long)entry->index, why.text);
        return ENT_DONE;
    }
    ent_sha256(ent_buf_bytes(&body), &digest);
    if (!entry->has_body)
        ent_audit_find(audit, "body", entry->index, "entry %llu has no body, and one is kept for it",
                       (unsigned long long)entry->index);
    else if (body.size != entry->body.size || !ent_hash_equal(&digest, &entry->body.digest))
        ent_audit_find(audit, "body", entry->index,
                       "the sealed body of entry %llu does not have the digest that the entry gives: it is damaged",
                       (unsigned long long)entry->index);
    return ENT_DONE;
}

/* An ack that does not fit the log, though its writer may be honest: he was shown another history of a log that forked,
 * or what a key signed beyond its cutoff. */
static ent_rc pass_ack(ent_audit *audit, uint64_t index, uint32_t member, const ent_tree_head *head, bool *ret_passed,
                       ent_err *err)
{
    const ent_store_log *other = &audit->channel->logs[member];
    ent_store *store = audit->source.store;
    ent_err why = {0};
    const ent_keys *keys = &audit->channel->keys[member];
    bool is_own = member == audit->channel->self && keys->log_count > 1 && head->size > keys->log[1].from;
    *ret_passed = other->frozen || is_own;
    if (!*ret_passed) {
        ent_rc rc = store->engine->passed_head_get(store, other->number, head, NULL, &why);
        if (rc.code == ENT_ABSENT)
            return ENT_DONE;
        ENT_TRY(ent_audit_read(audit, rc, &why, "ack", index, ret_passed, err));
    }
    if (!*ret_passed)
        return ENT_DONE;
    ent_audit_acks *acks = &audit->log->passed[member][other->frozen ? ENT_ACK_OTHER_HISTORY : ENT_ACK_REPLACED_KEY];
    acks->first = acks->count == 0 ? index : acks->first;
    acks->count++;
    return ENT_DONE;
}

/* Whether a head that an entry acks is one of the log that it names. */
static ent_rc check_ack(ent_audit *audit, uint64_t index, uint32_t member, const ent_tree_head *head, ent_err *err)
{
    ent_store *store = audit->source.store;
    const ent_store_log *other = &audit->channel->logs[member];
    ent_tree_head kept = {0};
    ent_err why = {0};
    bool root_known = false;
    bool passed = false;
    /* Of a log that forked the kept heads may be of either history. */
    ent_rc rc = other->frozen ? ent_rc_of(ENT_ABSENT)
                              : store->engine->head_from(store, other->number, head->size, &kept, NULL, &why);
    if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && kept.size != head->size)) {
        if (head->size > other->tree.size) /* its entries are not here */
            return pass_ack(audit, index, member, head, &passed, err);
        ent_store_tiles tiles = {store, other->number};
        ent_tile_reader reader = ent_store_tile_reader(&tiles);
        rc = ent_tree_root_at(head->size, &reader, &kept.root, &why);
    }
    ENT_TRY(ent_audit_read(audit, rc, &why, "ack", index, &root_known, err));
    if (!root_known || ent_hash_equal(&kept.root, &head->root))
        return ENT_DONE;
    ENT_TRY(pass_ack(audit, index, member, head, &passed, err));
    if (!passed)
        ent_audit_find(audit, "ack", index,
                       "entry %llu acks a head of %llu entries of %.*s that is not that of its log",
                       (unsigned long long)index, (unsigned long long)head->size,
                       ENT_TEXT_ARG(audit->channel->genesis.members[member].name));
    return ENT_DONE;
}

static ent_rc check_acks(ent_audit *audit, const ent_entry *entry, ent_err *err)
{
    for (size_t i = 0; i < entry->ack_count; i++) {
        const ent_ack *ack = &entry->acks[i];
        ent_text party = {0};
        ent_hash channel;
        bool right = ent_origin_parse(ack->origin, &party, &channel, NULL).code == ENT_OK &&
                     ent_hash_equal(&channel, &audit->channel->row.id);
        int member = right ? ent_genesis_member(&audit->channel->genesis, party) : -1;
        if (member < 0 || ack->head.size < audit->log->acked[member]) {
            ent_audit_find(audit, "ack", entry->index, "entry %llu acks %s", (unsigned long long)entry->index,
                           member < 0 ? "a log that is none of the channel" : "less than an entry before it");
            continue;
        }
        audit->log->acked[member] = ack->head.size;
        ENT_TRY(check_ack(audit, entry->index, (uint32_t)member, &ack->head, err));
    }
    return ENT_DONE;
}

static ent_rc check_entry(ent_audit *audit, const ent_entry *entry, ent_err *err)
{
    const ent_audit_channel *channel = audit->channel;
    if (!ent_hash_equal(&entry->channel, &channel->row.id) ||
        !ent_text_equal(entry->writer, channel->genesis.members[audit->log->member].name))
        ent_audit_find(audit, "entry", entry->index, "entry %llu is of another channel or writer",
                       (unsigned long long)entry->index);
    ENT_TRY(check_acks(audit, entry, err));
    ENT_TRY(check_body(audit, entry, err));
    return entry->attachment_count == 0 ? ENT_DONE : ent_audit_blobs_take(audit, entry, err);
}

/* Whether the row of the next entry is there at all: what was read may be a later one. */
static bool next_is_there(ent_audit *audit)
{
    int64_t arrived = 0;
    ent_store *store = audit->source.store;
    return store->engine->entry_arrived(store, audit->log->row.number, audit->log->next, &arrived, NULL).code == ENT_OK;
}

/* Entries that should lie before this one. */
static ent_rc skip_missing(ent_audit *audit, uint64_t to, ent_err *err)
{
    ent_audit_log *log = audit->log;
    if (to > log->row.tree.size)
        to = log->row.tree.size;
    if (to > log->next)
        ent_audit_find(audit, "entry", log->next, "entries %llu to %llu are missing", (unsigned long long)log->next,
                       (unsigned long long)to - 1);
    while (log->next < to)
        ENT_TRY(take_leaf(audit, NULL, err));
    return ENT_DONE;
}

static ent_rc take_entry(ent_audit *audit, ent_bytes bytes, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    ent_err why = {0};
    ent_hash leaf;
    ent_rc rc = ent_entry_decode(bytes, &arena, &entry, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code == ENT_OK && entry.index > log->next && !next_is_there(audit))
        ENT_TRY(skip_missing(audit, entry.index, err));
    if (log->next == log->row.tree.size)
        return ENT_DONE;
    uint64_t index = log->next;
    log->bytes += bytes.size;
    ent_audit_count(audit, bytes.size);
    ent_leaf_hash(bytes, &leaf);
    if (rc.code == ENT_OK && entry.index == index)
        ENT_TRY(check_entry(audit, &entry, err));
    uint64_t told = log->findings + log->unsure_count;
    ENT_TRY(take_leaf(audit, &leaf, err));
    /* One that differs from its tile is told when a head decides. */
    if (log->findings + log->unsure_count == told && (rc.code != ENT_OK || entry.index != index))
        ent_audit_find(audit, "entry", index, "entry %llu is %s%s", (unsigned long long)index,
                       rc.code != ENT_OK ? "no entry: " : "numbered otherwise", rc.code != ENT_OK ? why.text : "");
    return ENT_DONE;
}

/* --- steps --- */

static ent_rc read_bundle(ent_audit *audit, bool *ret_read, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_store *store = audit->source.store;
    uint64_t left = log->row.tree.size - log->next;
    ent_err why = {0};
    log->in_bundle = 0;
    ent_buf_clear(&log->bundle);
    ent_rc rc = store->engine->entries_read(store, log->row.number, log->next,
                                            left < ENTRIES_AT_A_TIME ? left : ENTRIES_AT_A_TIME, BUNDLE_BYTES,
                                            &log->bundle, &log->in_bundle, &why);
    if (rc.code == ENT_ABSENT) {
        *ret_read = false;
        return skip_missing(audit, log->row.tree.size, err);
    }
    ENT_TRY(ent_audit_read(audit, rc, &why, "entry", log->next, ret_read, err));
    if (!*ret_read)
        return skip_missing(audit, log->row.tree.size, err);
    log->reader = ent_bundle_read(ent_buf_bytes(&log->bundle));
    return ENT_DONE;
}

ent_rc ent_audit_log_step(ent_audit *audit, bool *ret_more, ent_err *err)
{
    ent_audit_log *log = audit->log;
    bool more = false;
    *ret_more = true;
    ENT_TRY(ent_audit_blobs_step(audit, &more, err));
    if (more)
        return ENT_DONE;
    if (log->next == log->row.tree.size) {
        *ret_more = false;
        return ENT_DONE;
    }
    if (log->in_bundle == 0)
        ENT_TRY(read_bundle(audit, &more, err));
    /* An entry's attachments come before the next entry. */
    for (; log->in_bundle > 0 && log->files.next == log->files.count; log->in_bundle--) {
        ent_bytes bytes = {0};
        ENT_TRY(ent_bundle_next(&log->reader, &bytes, &more, err));
        ENT_TRY(take_entry(audit, bytes, err));
    }
    return ENT_DONE;
}
