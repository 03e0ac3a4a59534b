/* The one way in which a log shrinks: its end that was never signed gives way to what was. */
#include "store/sqlite/internal.h"

/* Run one statement with the log and a first key or index. */
static ent_rc run(ent_store *store, ent_sql_slot slot, const char *text, int64_t first, int64_t second, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, slot, text, &sql, err));
    ent_sql_bind_int(&sql, first);
    ent_sql_bind_int(&sql, second);
    return ent_sql_run(&sql, err);
}

/* Tiles that begin at or after the new end. One that holds it stays, and is overwritten from there on. */
static ent_rc cut_tiles(ent_store *store, int64_t log, uint64_t size, ent_err *err)
{
    for (uint8_t level = 0; 8 * level < ENT_STORE_INDEX_BITS; level++) {
        uint64_t hashes = size >> (8 * level);
        uint64_t tiles = (hashes + ENT_TILE_WIDTH - 1) / ENT_TILE_WIDTH;
        int64_t from = 0;
        int64_t to = 0;
        if (!ent_store_tile_key(log, level, tiles, &from) ||
            !ent_store_tile_key(log, level, ((uint64_t)1 << ENT_STORE_TILE_INDEX_BITS) - 1, &to))
            continue;
        ENT_TRY(run(store, ENT_SQL_CUT_TILES, "DELETE FROM tiles WHERE id BETWEEN ?1 AND ?2", from, to, err));
    }
    return ENT_DONE;
}

static ent_rc cut_rows(ent_store *store, int64_t log, uint64_t size, ent_err *err)
{
    int64_t from = 0;
    int64_t to = 0;
    if (!ent_store_entry_key(log, size, &from) ||
        !ent_store_entry_key(log, ((uint64_t)1 << ENT_STORE_INDEX_BITS) - 1, &to))
        return ent_fail(err, ENT_USAGE, NULL, "log %lld has no entry %llu", (long long)log, (unsigned long long)size);
    ENT_TRY(run(store, ENT_SQL_CUT_ENTRIES, "DELETE FROM entries WHERE id BETWEEN ?1 AND ?2", from, to, err));
    ENT_TRY(run(store, ENT_SQL_CUT_BODIES, "DELETE FROM bodies WHERE id BETWEEN ?1 AND ?2", from, to, err));
    ENT_TRY(run(store, ENT_SQL_CUT_READS, "DELETE FROM reads WHERE id BETWEEN ?1 AND ?2", from, to, err));
    ENT_TRY(run(store, ENT_SQL_CUT_REVEALS,
                "DELETE FROM reveals WHERE id >> 40 = ?1 >> 40 AND id <= ?2"
                " AND max(id & 1099511627775, shown_by) >= (?1 & 1099511627775)",
                from, to, err));
    ENT_TRY(run(store, ENT_SQL_CUT_BLOBS, "DELETE FROM blobs WHERE entry BETWEEN ?1 AND ?2", from, to, err));
    ENT_TRY(run(store, ENT_SQL_CUT_SENDS, "DELETE FROM blob_sends WHERE log = ?1 AND entry >= ?2", log, (int64_t)size,
                err));
    return cut_tiles(store, log, size, err);
}

ent_rc ent_sqlite_log_cut(ent_store *store, const ent_store_log *log, ent_err *err)
{
    ent_store_log now;
    ENT_TRY(ent_sqlite_log_get(store, log->channel, log->member, &now, err));
    if (now.number != log->number || log->tree.size >= now.tree.size)
        return ent_fail(err, ENT_USAGE, NULL, "a cut of log %lld to %llu entries, which has %llu",
                        (long long)log->number, (unsigned long long)log->tree.size, (unsigned long long)now.tree.size);
    ENT_TRY(run(store, ENT_SQL_CUT_BEGIN, "INSERT INTO cuts (log, size) VALUES (?1, ?2)", log->number,
                (int64_t)log->tree.size, err));
    ENT_TRY(cut_rows(store, log->number, log->tree.size, err));
    ENT_TRY(ent_log_put_cut(store, log, err));
    return run(store, ENT_SQL_CUT_END, "DELETE FROM cuts WHERE log = ?1 AND size = ?2", log->number,
               (int64_t)log->tree.size, err);
}
