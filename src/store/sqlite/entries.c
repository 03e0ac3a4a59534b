#include "store/sqlite/internal.h"

ent_rc ent_entries_add(ent_store *store, int64_t log, const ent_store_append *append, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_ENTRY_ADD,
                          "INSERT INTO entries (id, arrived_unix_s, entry) VALUES (?1, ?2, ?3)", &sql, err));
    for (size_t at = 0; at < append->count; at++) {
        int64_t key = 0;
        if (!ent_store_entry_key(log, append->first + at, &key))
            return ent_fail(err, ENT_USAGE, NULL, "log %lld has no entry %llu", (long long)log,
                            (unsigned long long)(append->first + at));
        ent_sql_bind_int(&sql, key);
        ent_sql_bind_int(&sql, append->arrived_unix_s);
        ent_sql_bind_bytes(&sql, append->entries[at]);
        ENT_TRY(ent_sql_run(&sql, err));
    }
    return ENT_DONE;
}

/* Takes rows until the bundle would be too large. *ret_count counts what was taken. */
static ent_rc fill_bundle(ent_sql *sql, uint64_t count, size_t max_bytes, ent_buf *ret_bundle, uint64_t *ret_count,
                          ent_err *err)
{
    size_t before = ret_bundle->size;
    uint64_t taken = 0;
    while (taken < count) {
        bool more = false;
        ENT_TRY(ent_sql_step(sql, &more, err));
        if (!more)
            break;
        ent_bytes entry = ent_sql_bytes(sql, 0);
        size_t used = ret_bundle->size - before;
        if (taken > 0 && (used >= max_bytes || entry.size + 2 > max_bytes - used))
            break;
        ENT_TRY(ent_bundle_put(ret_bundle, entry, err));
        taken++;
    }
    *ret_count = taken;
    return ENT_DONE;
}

ent_rc ent_sqlite_entries_read(ent_store *store, int64_t log, uint64_t first, uint64_t count, size_t max_bytes,
                               ent_buf *ret_bundle, uint64_t *ret_count, ent_err *err)
{
    const uint64_t last_index = ((uint64_t)1 << ENT_STORE_INDEX_BITS) - 1;
    int64_t from = 0;
    int64_t to = 0;
    if (!ent_store_entry_key(log, first, &from) || !ent_store_entry_key(log, last_index, &to))
        return ent_fail(err, ENT_ABSENT, NULL, "entry %llu of log %lld is not in the store", (unsigned long long)first,
                        (long long)log);
    if (count == 0)
        return ent_fail(err, ENT_USAGE, NULL, "no entries asked for");
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_ENTRIES_READ,
                         "SELECT entry FROM entries WHERE id BETWEEN ?1 AND ?2 ORDER BY id", &sql, err));
    ent_sql_bind_int(&sql, from);
    ent_sql_bind_int(&sql, to);
    size_t before = ret_bundle->size;
    uint64_t taken = 0;
    ent_rc rc = fill_bundle(&sql, count, max_bytes, ret_bundle, &taken, err);
    if (rc.code == ENT_OK && taken == 0)
        rc = ent_fail(err, ENT_ABSENT, NULL, "entry %llu of log %lld is not in the store", (unsigned long long)first,
                      (long long)log);
    if (rc.code != ENT_OK) {
        ret_bundle->size = before;
        return rc;
    }
    *ret_count = taken;
    return ENT_DONE;
}

ent_rc ent_sqlite_entry_arrived(ent_store *store, int64_t log, uint64_t index, int64_t *ret_unix_s, ent_err *err)
{
    int64_t key = 0;
    if (!ent_store_entry_key(log, index, &key))
        return ent_fail(err, ENT_ABSENT, NULL, "entry %llu is not in the store", (unsigned long long)index);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_ENTRY_ARRIVED, "SELECT arrived_unix_s FROM entries WHERE id = ?1", &sql, err));
    ent_sql_bind_int(&sql, key);
    ENT_TRY(ent_sql_row(&sql, "the entry", err));
    *ret_unix_s = ent_sql_int(&sql, 0);
    return ENT_DONE;
}
