#include "store/sqlite/internal.h"

#include "base/alloc.h"
#include "store/sqlite/migrations.h"

/* Kept small: a node stays below 64 MiB (design.md section 11). mmap_size is 0 because the file system has no xFetch.
 * A page of 8 KiB is a compromise: larger ones append in bulk faster and make a single message's commit write more. */
static const char writer_settings[] = "PRAGMA page_size = 8192;"
                                      "PRAGMA foreign_keys = ON;"
                                      "PRAGMA temp_store = MEMORY;"
                                      "PRAGMA trusted_schema = OFF;"
                                      "PRAGMA cache_size = -6144;";
static const char writer_folder_settings[] = "PRAGMA synchronous = FULL;"
                                             "PRAGMA wal_autocheckpoint = 0;"
                                             "PRAGMA journal_size_limit = 33554432;";
static const char reader_settings[] = "PRAGMA query_only = ON;"
                                      "PRAGMA temp_store = MEMORY;"
                                      "PRAGMA trusted_schema = OFF;"
                                      "PRAGMA cache_size = -1024;";

enum { BUSY_MS = 2000 };

void ent_connection_close(ent_connection *connection)
{
    for (size_t at = 0; at < ENT_SQL_COUNT; at++) {
        (void)sqlite3_finalize(connection->statements[at]);
        connection->statements[at] = NULL;
    }
    (void)sqlite3_close(connection->db);
    connection->db = NULL;
}

static ent_rc open_connection(const char *path, int flags, ent_vfs *vfs, ent_connection *ret, ent_err *err)
{
    sqlite3 *db = NULL;
    /* NOMUTEX: a connection is used by one thread at a time, the pool and the writer's mutex see to it. */
    int rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             vfs == NULL ? NULL : ent_vfs_name(vfs));
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db, BUSY_MS);
    if (rc != SQLITE_OK) {
        ent_rc failure = ent_sql_fail(db, rc, "cannot open the database", err);
        (void)sqlite3_close(db);
        return failure;
    }
    ret->db = db;
    return ENT_DONE;
}

static ent_rc execute(sqlite3 *db, const char *sql, ent_err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ENT_DONE : ent_sql_fail(db, rc, "cannot set the database up", err);
}

/* PRAGMA journal_mode answers with the mode it has, not with an error. */
static ent_rc set_wal(sqlite3 *db, ent_err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool wal = mode != NULL && strcmp(mode, "wal") == 0;
    (void)sqlite3_finalize(statement);
    if (rc != SQLITE_ROW)
        return ent_sql_fail(db, rc, "cannot use a write-ahead log", err);
    if (!wal)
        return ent_fail(err, ENT_IO, NULL,
                        "the store's file system does not take a write-ahead log (no shared memory?)");
    return ENT_DONE;
}

ent_rc ent_connection_open_writer(ent_sqlite *store, ent_err *err)
{
    bool memory = store->folder == NULL;
    ent_connection *writer = &store->writer;
    ENT_TRY(open_connection(memory ? ":memory:" : store->database,
                            SQLITE_OPEN_READWRITE | (memory ? SQLITE_OPEN_MEMORY : 0), store->vfs, writer, err));
    ENT_TRY(execute(writer->db, writer_settings, err));
    int version = 0;
    ENT_TRY(ent_migrate_check(writer->db, &version, err));
    if (!memory) {
        ENT_TRY(set_wal(writer->db, err));
        ENT_TRY(execute(writer->db, writer_folder_settings, err));
    }
    ENT_TRY(ent_migrate(writer->db, version, ent_migrate_newest(), err));
    (void)sqlite3_wal_hook(writer->db, ent_transaction_wal_hook, store);
    return ENT_DONE;
}

/* ---- readers ---- */

static ent_rc new_reader(ent_sqlite *store, ent_connection **ret, ent_err *err)
{
    ent_connection *reader = ent_alloc(sizeof *reader);
    if (reader == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_rc rc = open_connection(store->database, SQLITE_OPEN_READONLY, store->vfs, reader, err);
    if (rc.code == ENT_OK)
        rc = execute(reader->db, reader_settings, err);
    if (rc.code != ENT_OK) {
        ent_connection_close(reader);
        ent_free(reader);
        return rc;
    }
    *ret = reader;
    return ENT_DONE;
}

ent_rc ent_reader_take(ent_sqlite *store, ent_connection **ret, ent_err *err)
{
    (void)pthread_mutex_lock(&store->pool);
    while (store->idle == NULL && store->readers >= ENT_SQLITE_MAX_READERS)
        (void)pthread_cond_wait(&store->pool_changed, &store->pool);
    ent_connection *reader = store->idle;
    if (reader != NULL)
        store->idle = reader->next;
    else
        store->readers++;
    (void)pthread_mutex_unlock(&store->pool);
    if (reader != NULL) {
        *ret = reader;
        return ENT_DONE;
    }
    ent_rc rc = new_reader(store, ret, err);
    if (rc.code != ENT_OK) {
        (void)pthread_mutex_lock(&store->pool);
        store->readers--;
        (void)pthread_cond_signal(&store->pool_changed);
        (void)pthread_mutex_unlock(&store->pool);
    }
    return rc;
}

void ent_reader_give(ent_sqlite *store, ent_connection *reader)
{
    (void)pthread_mutex_lock(&store->pool);
    reader->next = store->idle;
    store->idle = reader;
    (void)pthread_cond_signal(&store->pool_changed);
    (void)pthread_mutex_unlock(&store->pool);
}

void ent_readers_close(ent_sqlite *store)
{
    (void)pthread_mutex_lock(&store->pool);
    while (store->idle != NULL) {
        ent_connection *reader = store->idle;
        store->idle = reader->next;
        ent_connection_close(reader);
        ent_free(reader);
        store->readers--;
    }
    (void)pthread_mutex_unlock(&store->pool);
}
