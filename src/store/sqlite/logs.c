#include "store/sqlite/internal.h"

enum { ACKED_BYTES = ENT_ENTRY_MAX_MEMBERS * 8 };

/* Big-endian, up to the last member that has any. */
static ent_bytes put_acked(const ent_store_log *log, uint8_t out[ACKED_BYTES])
{
    size_t count = 0;
    for (size_t member = 0; member < ENT_ENTRY_MAX_MEMBERS; member++) {
        for (size_t byte = 0; byte < 8; byte++)
            out[8 * member + byte] = (uint8_t)(log->acked[member] >> (56 - 8 * byte));
        if (log->acked[member] != 0)
            count = member + 1;
    }
    return ent_bytes_of(out, 8 * count);
}

static bool take_acked(ent_bytes bytes, ent_store_log *ret)
{
    if (bytes.size > ACKED_BYTES || bytes.size % 8 != 0)
        return false;
    memset(ret->acked, 0, sizeof ret->acked);
    for (size_t at = 0; at < bytes.size; at++)
        ret->acked[at / 8] = ret->acked[at / 8] << 8 | bytes.data[at];
    return true;
}

static ent_bytes edge_of(const ent_tree *tree)
{
    return ent_bytes_of(tree->edge, ent_tree_edge_count(tree->size) * sizeof tree->edge[0]);
}

ent_rc ent_sqlite_log_add(ent_store *store, ent_store_log *log, ent_err *err)
{
    if (log->tree.size != 0)
        return ent_fail(err, ENT_USAGE, NULL, "a log is added empty; its entries are appended");
    uint8_t acked[ACKED_BYTES];
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_LOG_ADD,
                          "INSERT INTO logs (channel, member, own, frozen, size, edge, opened, bytes, acked)"
                          " VALUES (?1, ?2, ?3, ?4, 0, x'', ?5, ?6, ?7)",
                          &sql, err));
    ent_sql_bind_int(&sql, log->channel);
    ent_sql_bind_int(&sql, log->member);
    ent_sql_bind_int(&sql, log->own);
    ent_sql_bind_int(&sql, log->frozen);
    ent_sql_bind_size(&sql, log->opened);
    ent_sql_bind_size(&sql, log->bytes);
    ent_sql_bind_bytes(&sql, put_acked(log, acked));
    ENT_TRY(ent_sql_run(&sql, err));
    log->number = sqlite3_last_insert_rowid(sql.connection->db);
    return ENT_DONE;
}

ent_rc ent_sqlite_log_get(ent_store *store, int64_t channel, uint32_t member, ent_store_log *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(
        store, ENT_SQL_LOG_GET,
        "SELECT number, own, frozen, size, edge, opened, bytes, acked,"
        " day, day_entries, day_bytes, spare_entries, spare_bytes FROM logs WHERE channel = ?1 AND member = ?2",
        &sql, err));
    ent_sql_bind_int(&sql, channel);
    ent_sql_bind_int(&sql, member);
    ENT_TRY(ent_sql_row(&sql, "the log", err));
    ent_store_log log = {.channel = channel, .member = member};
    log.number = ent_sql_int(&sql, 0);
    log.own = ent_sql_bool(&sql, 1);
    log.frozen = ent_sql_bool(&sql, 2);
    if (ent_tree_edge_parse(ent_sql_size(&sql, 3), ent_sql_bytes(&sql, 4), &log.tree, NULL).code != ENT_OK)
        sql.damaged = true;
    log.opened = ent_sql_size(&sql, 5);
    log.bytes = ent_sql_size(&sql, 6);
    if (!take_acked(ent_sql_bytes(&sql, 7), &log))
        sql.damaged = true;
    log.usage.day = ent_sql_int(&sql, 8);
    log.usage.entries = ent_sql_size(&sql, 9);
    log.usage.bytes = ent_sql_size(&sql, 10);
    log.usage.spare_entries = ent_sql_size(&sql, 11);
    log.usage.spare_bytes = ent_sql_size(&sql, 12);
    ENT_TRY(ent_sql_check(&sql, err));
    *ret = log;
    return ENT_DONE;
}

static ent_rc changed_or_absent(const ent_sql *sql, int64_t log, ent_err *err)
{
    if (ent_sql_changes(sql) == 0)
        return ent_fail(err, ENT_ABSENT, NULL, "the log %lld is not in the store", (long long)log);
    return ENT_DONE;
}

ent_rc ent_sqlite_log_opened(ent_store *store, int64_t log, uint64_t opened, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_LOG_OPENED, "UPDATE logs SET opened = max(opened, ?1) WHERE number = ?2", &sql,
                          err));
    ent_sql_bind_size(&sql, opened);
    ent_sql_bind_int(&sql, log);
    ENT_TRY(ent_sql_run(&sql, err));
    return changed_or_absent(&sql, log, err);
}

ent_rc ent_sqlite_log_freeze(ent_store *store, int64_t log, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_LOG_FREEZE, "UPDATE logs SET frozen = 1 WHERE number = ?1", &sql, err));
    ent_sql_bind_int(&sql, log);
    ENT_TRY(ent_sql_run(&sql, err));
    return changed_or_absent(&sql, log, err);
}

ent_rc ent_log_put_cut(ent_store *store, const ent_store_log *log, ent_err *err)
{
    uint8_t acked[ACKED_BYTES];
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_CUT_LOG,
                          "UPDATE logs SET size = ?1, edge = ?2, bytes = ?3, acked = ?4, opened = ?5 WHERE number = ?6",
                          &sql, err));
    ent_sql_bind_size(&sql, log->tree.size);
    ent_sql_bind_bytes(&sql, edge_of(&log->tree));
    ent_sql_bind_size(&sql, log->bytes);
    ent_sql_bind_bytes(&sql, put_acked(log, acked));
    ent_sql_bind_size(&sql, log->opened);
    ent_sql_bind_int(&sql, log->number);
    ENT_TRY(ent_sql_run(&sql, err));
    return changed_or_absent(&sql, log->number, err);
}

/* ---- append ---- */

/* Why an append does not fit the log as stored. */
static ent_rc append_refused(ent_store *store, int64_t log, uint64_t first, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_LOG_STATE, "SELECT size, frozen FROM logs WHERE number = ?1", &sql, err));
    ent_sql_bind_int(&sql, log);
    ENT_TRY(ent_sql_row(&sql, "the log", err));
    uint64_t size = ent_sql_size(&sql, 0);
    if (ent_sql_bool(&sql, 1))
        return ent_fail(err, ENT_REFUSED_FROZEN, "design.md section 3, Fork", "the log is frozen: a fork was seen");
    return ent_fail(err, ENT_USAGE, NULL, "an append at %llu to a log of %llu entries", (unsigned long long)first,
                    (unsigned long long)size);
}

static ent_rc grow(ent_store *store, const ent_store_log *log, uint64_t first, ent_err *err)
{
    uint8_t acked[ACKED_BYTES];
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_LOG_GROW,
                          "UPDATE logs SET size = ?1, edge = ?2, bytes = ?3, acked = ?4, day = ?7, day_entries = ?8,"
                          " day_bytes = ?9, spare_entries = ?10, spare_bytes = ?11"
                          " WHERE number = ?5 AND size = ?6 AND frozen = 0",
                          &sql, err));
    ent_sql_bind_size(&sql, log->tree.size);
    ent_sql_bind_bytes(&sql, edge_of(&log->tree));
    ent_sql_bind_size(&sql, log->bytes);
    ent_sql_bind_bytes(&sql, put_acked(log, acked));
    ent_sql_bind_int(&sql, log->number);
    ent_sql_bind_size(&sql, first);
    ent_sql_bind_int(&sql, log->usage.day);
    ent_sql_bind_size(&sql, log->usage.entries);
    ent_sql_bind_size(&sql, log->usage.bytes);
    ent_sql_bind_size(&sql, log->usage.spare_entries);
    ent_sql_bind_size(&sql, log->usage.spare_bytes);
    ENT_TRY(ent_sql_run(&sql, err));
    return ent_sql_changes(&sql) == 1 ? ENT_DONE : append_refused(store, log->number, first, err);
}

ent_rc ent_sqlite_append(ent_store *store, const ent_store_log *log, const ent_store_append *append, ent_err *err)
{
    const uint64_t capacity = (uint64_t)1 << ENT_STORE_INDEX_BITS;
    if (append->first > capacity || append->count > capacity - append->first)
        return ent_fail(err, ENT_USAGE, NULL, "a log in this store holds at most 2^40 entries");
    if (log->tree.size != append->first + append->count)
        return ent_fail(err, ENT_USAGE, NULL, "the tree has %llu entries, the append ends at %llu",
                        (unsigned long long)log->tree.size, (unsigned long long)(append->first + append->count));
    ENT_TRY(grow(store, log, append->first, err));
    ent_rc rc = ent_entries_add(store, log->number, append, err);
    if (rc.code == ENT_OK)
        rc = ent_bodies_add(store, log->number, append, err);
    if (rc.code == ENT_OK)
        rc = ent_tiles_add(store, log->number, append, err);
    if (rc.code != ENT_OK)
        ent_transaction_break(ent_sqlite_of(store), rc.code); /* half an append must never be committed */
    return rc;
}
