#include "store/sqlite/internal.h"

/* Checkpoints come late enough to be few in bulk, and the write-ahead log stays where it is reused: overwriting it
 * needs no new file size at the next sync. Beyond the limit a commit waits for readers of old frames. */
enum { CHECKPOINT_FRAMES = ENT_SQLITE_CHECKPOINT_FRAMES, LIMIT_FRAMES = 8 * CHECKPOINT_FRAMES };

/* Its address tells threads apart. */
static _Thread_local const char thread_mark = 0;

bool ent_transaction_mine(const ent_sqlite *store)
{
    return atomic_load(&store->owner) == &thread_mark;
}

void ent_transaction_break(ent_sqlite *store, int code)
{
    if (store->broken == ENT_OK)
        store->broken = code;
}

ent_rc ent_store_check_running(const ent_sqlite *store, ent_err *err)
{
    if (atomic_load(&store->stopped))
        return ent_fail(err, ENT_IO, "design.md section 8, Store",
                        "the store stopped after a failed commit; what the disk holds is known only after a restart");
    return ENT_DONE;
}

int ent_transaction_wal_hook(void *context, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    ((ent_sqlite *)context)->wal_frames = frames;
    return SQLITE_OK;
}

static int run(ent_sqlite *store, ent_sql_slot slot, const char *text)
{
    sqlite3_stmt **kept = &store->writer.statements[slot];
    if (*kept == NULL) {
        int rc = sqlite3_prepare_v3(store->writer.db, text, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
        if (rc != SQLITE_OK)
            return rc;
    }
    int rc = sqlite3_step(*kept);
    (void)sqlite3_reset(*kept);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void leave(ent_sqlite *store)
{
    atomic_store(&store->owner, NULL);
    (void)pthread_mutex_unlock(&store->writing);
}

/* SQLite may have rolled back by itself. When it cannot, the store must not go on: the next begin would join what is
 * left. */
static void undo(ent_sqlite *store)
{
    if (sqlite3_get_autocommit(store->writer.db) == 0 && run(store, ENT_SQL_ROLLBACK, "ROLLBACK") != SQLITE_OK &&
        sqlite3_get_autocommit(store->writer.db) == 0)
        atomic_store(&store->stopped, true);
}

ent_rc ent_sqlite_begin(ent_store *base, ent_err *err)
{
    ent_sqlite *store = ent_sqlite_of(base);
    if (ent_transaction_mine(store))
        return ent_fail(err, ENT_USAGE, NULL, "this thread is in a transaction of the store already");
    (void)pthread_mutex_lock(&store->writing);
    ent_rc rc = ent_store_check_running(store, err);
    if (rc.code == ENT_OK) {
        int sqlite_rc = run(store, ENT_SQL_BEGIN, "BEGIN IMMEDIATE");
        if (sqlite_rc != SQLITE_OK)
            rc = ent_sql_fail(store->writer.db, sqlite_rc, "cannot begin a transaction", err);
    }
    if (rc.code != ENT_OK) {
        (void)pthread_mutex_unlock(&store->writing);
        return rc;
    }
    store->broken = ENT_OK;
    atomic_store(&store->owner, &thread_mark);
    return ENT_DONE;
}

/* The transaction is durable already, so a checkpoint that fails is no failure of the commit. But a failed write or
 * sync of the database says that the disk can no longer be trusted: the next call is refused. A full disk only makes
 * the write-ahead log stay. */
static void checkpoint(ent_sqlite *store)
{
    if (store->wal_frames < store->checkpoint_at - CHECKPOINT_FRAMES)
        store->checkpoint_at = CHECKPOINT_FRAMES; /* the write-ahead log began anew */
    if (store->wal_frames < store->checkpoint_at)
        return;
    int mode = store->wal_frames < LIMIT_FRAMES ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
    int rc = sqlite3_wal_checkpoint_v2(store->writer.db, NULL, mode, NULL, NULL);
    if ((rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_NOMEM)
        atomic_store(&store->stopped, true);
    store->checkpoint_at = store->wal_frames + CHECKPOINT_FRAMES;
}

/* After a failed fsync the process stops; it never reads back and goes on (design.md section 8). A full disk is the one
 * failure that leaves no doubt: it is met while frames are written, before the sync, and without its last frame a
 * transaction does not exist. */
static ent_rc commit_failed(ent_sqlite *store, int sqlite_rc, ent_err *err)
{
    ent_rc failure = ent_sql_fail(store->writer.db, sqlite_rc, "cannot commit", err);
    if ((sqlite_rc & 0xff) == SQLITE_FULL) {
        undo(store);
        ent_bodies_undo(store);
    } else {
        atomic_store(&store->stopped, true);
        undo(store);
        ent_bodies_keep(store);
    }
    leave(store);
    return failure;
}

ent_rc ent_sqlite_commit(ent_store *base, ent_err *err)
{
    ent_sqlite *store = ent_sqlite_of(base);
    if (!ent_transaction_mine(store))
        return ent_fail(err, ENT_USAGE, NULL, "a commit outside a transaction of this thread");
    if (store->broken != ENT_OK) {
        ent_code code = (ent_code)store->broken;
        ent_sqlite_rollback(base);
        return ent_fail(err, code, NULL, "nothing was committed: an earlier call in this transaction failed");
    }
    int rc =
        store->vfs == NULL && ent_fault_hit(&store->fault) ? SQLITE_IOERR_FSYNC : run(store, ENT_SQL_COMMIT, "COMMIT");
    if (rc != SQLITE_OK)
        return commit_failed(store, rc, err);
    ent_bodies_keep(store);
    if (store->vfs != NULL)
        checkpoint(store);
    leave(store);
    return ENT_DONE;
}

uint64_t ent_sqlite_changes(ent_store *base)
{
    return (uint64_t)sqlite3_total_changes64(ent_sqlite_of(base)->writer.db);
}

void ent_sqlite_rollback(ent_store *base)
{
    ent_sqlite *store = ent_sqlite_of(base);
    if (!ent_transaction_mine(store))
        return;
    undo(store);
    ent_bodies_undo(store);
    leave(store);
}
