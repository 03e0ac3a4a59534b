#include "store/sqlite/internal.h"

#include <errno.h>

static ent_code code_of(sqlite3 *db, int sqlite_rc)
{
    switch (sqlite_rc & 0xff) {
    case SQLITE_FULL:
        return ENT_IO_FULL;
    case SQLITE_NOMEM:
        return ENT_NOMEM;
    case SQLITE_CONSTRAINT:
        return ENT_REFUSED;
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return ENT_USAGE;
    case SQLITE_IOERR: {
        int number = db == NULL ? 0 : sqlite3_system_errno(db);
        if (sqlite_rc == SQLITE_IOERR_NOMEM)
            return ENT_NOMEM;
        return sqlite_rc == SQLITE_IOERR_WRITE && (number == ENOSPC || number == EDQUOT) ? ENT_IO_FULL : ENT_IO;
    }
    default:
        return ENT_IO;
    }
}

ent_rc ent_sql_fail(sqlite3 *db, int sqlite_rc, const char *what, ent_err *err)
{
    /* errmsg belongs to the last call on this connection; where that was another one, its own words are better than
     * none. */
    const char *reason =
        db != NULL && sqlite3_extended_errcode(db) == sqlite_rc ? sqlite3_errmsg(db) : sqlite3_errstr(sqlite_rc);
    return ent_fail(err, code_of(db, sqlite_rc), NULL, "the store: %s: %s (%d)", what, reason, sqlite_rc);
}

static ent_rc use_slot(ent_sql *sql, ent_sql_slot slot, const char *text, ent_err *err)
{
    sqlite3_stmt **kept = &sql->connection->statements[slot];
    if (*kept == NULL) {
        int rc = sqlite3_prepare_v3(sql->connection->db, text, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
        if (rc != SQLITE_OK)
            return ent_sql_fail(sql->connection->db, rc, "cannot prepare a statement", err);
    }
    sql->statement = *kept;
    return ENT_DONE;
}

ent_rc ent_sql_write(ent_store *base, ent_sql_slot slot, const char *text, ent_sql *ret, ent_err *err)
{
    ent_sqlite *store = ent_sqlite_of(base);
    if (!ent_transaction_mine(store))
        return ent_fail(err, ENT_USAGE, NULL, "a write to the store outside a transaction of this thread");
    if (store->broken != ENT_OK)
        return ent_fail(err, (ent_code)store->broken, NULL, "an earlier call in this transaction failed: roll it back");
    if (sqlite3_get_autocommit(store->writer.db) != 0) {
        ent_transaction_break(store, ENT_NOMEM);
        return ent_fail(err, ENT_NOMEM, NULL, "the store has undone this transaction by itself: roll it back");
    }
    ent_sql sql = {.store = store, .connection = &store->writer, .use = ENT_SQL_WRITING};
    ENT_TRY(use_slot(&sql, slot, text, err));
    *ret = sql;
    return ENT_DONE;
}

ent_rc ent_sql_read(ent_store *base, ent_sql_slot slot, const char *text, ent_sql *ret, ent_err *err)
{
    ent_sqlite *store = ent_sqlite_of(base);
    ENT_TRY(ent_store_check_running(store, err));
    ent_sql sql = {.store = store, .connection = &store->writer};
    if (ent_transaction_mine(store)) {
        sql.use = ENT_SQL_INSIDE;
    } else if (store->folder == NULL) {
        (void)pthread_mutex_lock(&store->writing);
        sql.use = ENT_SQL_SHARED;
    } else {
        ENT_TRY(ent_reader_take(store, &sql.connection, err));
        sql.use = ENT_SQL_POOLED;
    }
    ent_rc rc = use_slot(&sql, slot, text, err);
    if (rc.code != ENT_OK)
        ent_sql_finish(&sql);
    else
        *ret = sql;
    return rc;
}

void ent_sql_finish(ent_sql *sql)
{
    if (sql->use == ENT_SQL_UNUSED)
        return;
    if (sql->statement != NULL) {
        (void)sqlite3_reset(sql->statement);
        (void)sqlite3_clear_bindings(sql->statement);
    }
    if (sql->use == ENT_SQL_SHARED)
        (void)pthread_mutex_unlock(&sql->store->writing);
    else if (sql->use == ENT_SQL_POOLED)
        ent_reader_give(sql->store, sql->connection);
    sql->use = ENT_SQL_UNUSED;
}

/* ---- parameters ---- */

static void note_bind(ent_sql *sql, int rc)
{
    if (sql->bind_rc == SQLITE_OK)
        sql->bind_rc = rc;
}

void ent_sql_bind_int(ent_sql *sql, int64_t value)
{
    note_bind(sql, sqlite3_bind_int64(sql->statement, ++sql->bound, value));
}

void ent_sql_bind_size(ent_sql *sql, uint64_t value)
{
    if (value > INT64_MAX)
        note_bind(sql, SQLITE_RANGE);
    ent_sql_bind_int(sql, (int64_t)(value & INT64_MAX));
}

void ent_sql_bind_text(ent_sql *sql, ent_text text)
{
    note_bind(sql, sqlite3_bind_text64(sql->statement, ++sql->bound, text.size == 0 ? "" : text.data, text.size,
                                       SQLITE_STATIC, SQLITE_UTF8));
}

void ent_sql_bind_bytes(ent_sql *sql, ent_bytes bytes)
{
    const void *data = bytes.size == 0 ? (const void *)"" : bytes.data;
    note_bind(sql, sqlite3_bind_blob64(sql->statement, ++sql->bound, data, bytes.size, SQLITE_STATIC));
}

void ent_sql_bind_hash(ent_sql *sql, const ent_hash *hash)
{
    ent_sql_bind_bytes(sql, ent_hash_bytes(hash));
}

void ent_sql_bind_null(ent_sql *sql)
{
    note_bind(sql, sqlite3_bind_null(sql->statement, ++sql->bound));
}

/* ---- rows ---- */

/* A failed constraint undoes its own statement and leaves the transaction whole. Any other failure, of a reading
 * statement too, may have undone all of it behind our back ("the transaction may be rolled back automatically",
 * lang_transaction), after which the next statement would be committed by itself. */
static ent_rc step_failed(ent_sql *sql, int rc, ent_err *err)
{
    ent_rc failure =
        ent_sql_fail(sql->connection->db, rc, sql->use == ENT_SQL_WRITING ? "cannot write" : "cannot read", err);
    if ((sql->use == ENT_SQL_WRITING || sql->use == ENT_SQL_INSIDE) && (rc & 0xff) != SQLITE_CONSTRAINT)
        ent_transaction_break(sql->store, failure.code);
    return failure;
}

ent_rc ent_sql_step(ent_sql *sql, bool *ret_row, ent_err *err)
{
    if (sql->bind_rc != SQLITE_OK)
        return ent_sql_fail(NULL, sql->bind_rc, "cannot hand a value over", err);
    if (sql->use == ENT_SQL_WRITING && sql->store->vfs == NULL && ent_fault_hit(&sql->store->fault))
        return step_failed(sql, SQLITE_IOERR_WRITE, err);
    int rc = sqlite3_step(sql->statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return step_failed(sql, rc, err);
    *ret_row = rc == SQLITE_ROW;
    return ENT_DONE;
}

ent_rc ent_sql_run(ent_sql *sql, ent_err *err)
{
    bool row = false;
    ENT_TRY(ent_sql_step(sql, &row, err));
    (void)sqlite3_reset(sql->statement);
    sql->bound = 0;
    return ENT_DONE;
}

int ent_sql_changes(const ent_sql *sql)
{
    return sqlite3_changes(sql->connection->db);
}

ent_rc ent_sql_row(ent_sql *sql, const char *what, ent_err *err)
{
    bool row = false;
    ENT_TRY(ent_sql_step(sql, &row, err));
    return row ? ENT_DONE : ent_fail(err, ENT_ABSENT, NULL, "%s is not in the store", what);
}

int64_t ent_sql_int(ent_sql *sql, int column)
{
    return sqlite3_column_int64(sql->statement, column);
}

uint64_t ent_sql_size(ent_sql *sql, int column)
{
    int64_t value = ent_sql_int(sql, column);
    if (value < 0)
        sql->damaged = true;
    return (uint64_t)value;
}

bool ent_sql_bool(ent_sql *sql, int column)
{
    return ent_sql_int(sql, column) != 0;
}

ent_bytes ent_sql_bytes(ent_sql *sql, int column)
{
    const void *data = sqlite3_column_blob(sql->statement, column);
    return ent_bytes_of(data, (size_t)sqlite3_column_bytes(sql->statement, column));
}

bool ent_sql_is_null(ent_sql *sql, int column)
{
    return sqlite3_column_type(sql->statement, column) == SQLITE_NULL;
}

void ent_sql_fixed(ent_sql *sql, int column, void *out, size_t size)
{
    ent_bytes bytes = ent_sql_bytes(sql, column);
    if (bytes.size != size || bytes.data == NULL)
        sql->damaged = true;
    else
        memcpy(out, bytes.data, size);
}

void ent_sql_string(ent_sql *sql, int column, char *out, size_t size)
{
    ent_bytes bytes = ent_sql_bytes(sql, column);
    if (bytes.size >= size) {
        sql->damaged = true;
        return;
    }
    if (bytes.size > 0)
        memcpy(out, bytes.data, bytes.size);
    out[bytes.size] = 0;
}

ent_rc ent_sql_check(const ent_sql *sql, ent_err *err)
{
    if (sql->damaged)
        return ent_fail(err, ENT_IO, NULL, "the store: a row is damaged; restore a backup or recover from the peers");
    return ENT_DONE;
}
