#include "store/sqlite/internal.h"

static ent_rc insert(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(
        store, ENT_SQL_HEAD_PUT,
        "INSERT INTO heads (log, size, root, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (log, size) DO NOTHING", &sql,
        err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_size(&sql, head->size);
    ent_sql_bind_hash(&sql, &head->root);
    ent_sql_bind_bytes(&sql, note);
    return ent_sql_run(&sql, err);
}

/* Run one statement with a log and a size. */
static ent_rc run(ent_store *store, ent_sql_slot slot, const char *text, int64_t log, uint64_t size, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, slot, text, &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_size(&sql, size);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_head_put(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err)
{
    ENT_TRY(insert(store, log, head, note, err));
    return run(store, ENT_SQL_HEAD_KEEP, "DELETE FROM heads_ahead WHERE log = ?1 AND size = ?2", log, head->size, err);
}

/* ---- ahead of the entries ---- */

/* Size of the head of this log that may go; 0 = there is none. */
static ent_rc ahead_size(ent_store *store, int64_t log, uint64_t *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    bool found = false;
    ENT_TRY(ent_sql_read(store, ENT_SQL_HEAD_AHEAD_GET, "SELECT size FROM heads_ahead WHERE log = ?1", &sql, err));
    ent_sql_bind_int(&sql, log);
    ENT_TRY(ent_sql_step(&sql, &found, err));
    *ret = found ? ent_sql_size(&sql, 0) : 0;
    return ent_sql_check(&sql, err);
}

ent_rc ent_sqlite_head_ahead(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err)
{
    ent_tree_head newest = {.size = 0};
    uint64_t before = 0;
    ent_rc rc = ent_sqlite_head_get(store, log, UINT64_MAX, &newest, NULL, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    if (head->size <= newest.size)
        return ENT_DONE;
    ENT_TRY(ahead_size(store, log, &before, err));
    if (before > 0)
        ENT_TRY(run(store, ENT_SQL_HEAD_DROP, "DELETE FROM heads WHERE log = ?1 AND size = ?2", log, before, err));
    ENT_TRY(insert(store, log, head, note, err));
    return run(store, ENT_SQL_HEAD_AHEAD_PUT,
               "INSERT INTO heads_ahead (log, size) VALUES (?1, ?2) ON CONFLICT (log) DO UPDATE SET size = ?2", log,
               head->size, err);
}

static ent_rc take_head(ent_sql *sql, ent_tree_head *ret, ent_buf *ret_note, ent_err *err)
{
    ENT_TRY(ent_sql_row(sql, "the head", err));
    ent_tree_head head = {.size = ent_sql_size(sql, 0)};
    ent_sql_fixed(sql, 1, head.root.bytes, sizeof head.root.bytes);
    ENT_TRY(ent_sql_check(sql, err));
    if (ret_note != NULL) {
        ent_buf_put(ret_note, ent_sql_bytes(sql, 2));
        ENT_TRY(ent_buf_check(ret_note, err));
    }
    *ret = head;
    return ENT_DONE;
}

ent_rc ent_sqlite_head_get(ent_store *store, int64_t log, uint64_t at_most, ent_tree_head *ret, ent_buf *ret_note,
                           ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_HEAD_GET,
                         "SELECT size, root, note FROM heads WHERE log = ?1 AND size <= ?2 ORDER BY size DESC LIMIT 1",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_size(&sql, at_most > INT64_MAX ? INT64_MAX : at_most);
    return take_head(&sql, ret, ret_note, err);
}

ent_rc ent_sqlite_head_from(ent_store *store, int64_t log, uint64_t at_least, ent_tree_head *ret, ent_buf *ret_note,
                            ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_HEAD_FROM,
                         "SELECT size, root, note FROM heads WHERE log = ?1 AND size >= ?2 ORDER BY size LIMIT 1", &sql,
                         err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_size(&sql, at_least > INT64_MAX ? INT64_MAX : at_least);
    return take_head(&sql, ret, ret_note, err);
}

/* ---- passed over ---- */

ent_rc ent_sqlite_head_pass(ent_store *store, int64_t log, uint64_t size, ent_err *err)
{
    ENT_TRY(run(store, ENT_SQL_HEAD_PASS,
                "INSERT OR IGNORE INTO passed_heads (log, size, root, note)"
                " SELECT log, size, root, note FROM heads WHERE log = ?1 AND size = ?2"
                " AND NOT EXISTS (SELECT 1 FROM heads_ahead WHERE log = ?1 AND size = ?2)",
                log, size, err));
    ENT_TRY(run(store, ENT_SQL_HEAD_KEEP, "DELETE FROM heads_ahead WHERE log = ?1 AND size = ?2", log, size, err));
    return run(store, ENT_SQL_HEAD_DROP, "DELETE FROM heads WHERE log = ?1 AND size = ?2", log, size, err);
}

ent_rc ent_sqlite_passed_head_put(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note,
                                  ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_PASSED_PUT,
                          "INSERT INTO passed_heads (log, size, root, note) VALUES (?1, ?2, ?3, ?4)"
                          " ON CONFLICT (log, size, root) DO NOTHING",
                          &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_size(&sql, head->size);
    ent_sql_bind_hash(&sql, &head->root);
    ent_sql_bind_bytes(&sql, note);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_passed_head_get(ent_store *store, int64_t log, const ent_tree_head *head, ent_buf *ret_note,
                                  ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    bool found = false;
    ENT_TRY(ent_sql_read(store, ENT_SQL_PASSED_GET,
                         "SELECT note FROM passed_heads WHERE log = ?1 AND size = ?2 AND root = ?3", &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_size(&sql, head->size);
    ent_sql_bind_hash(&sql, &head->root);
    ENT_TRY(ent_sql_step(&sql, &found, err));
    if (!found)
        return ent_fail(err, ENT_ABSENT, NULL, "no such head was passed over");
    if (ret_note == NULL)
        return ENT_DONE;
    ent_buf_put(ret_note, ent_sql_bytes(&sql, 0));
    return ent_buf_check(ret_note, err);
}

ent_rc ent_sqlite_passed_head_any(ent_store *store, int64_t log, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_PASSED_ANY, "SELECT 1 FROM passed_heads WHERE log = ?1 LIMIT 1", &sql, err));
    ent_sql_bind_int(&sql, log);
    return ent_sql_step(&sql, ret, err);
}
