#include "store/sqlite/internal.h"

#include "base/alloc.h"
#include "base/file.h"
#include "store/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static void close_store(ent_store *base)
{
    ent_sqlite *store = ent_sqlite_of(base);
    ent_sqlite_rollback(base);
    ent_readers_close(store);
    /* The last connection would checkpoint as it closes; after a failed commit nothing more is written. */
    if (store->writer.db != NULL && atomic_load(&store->stopped))
        (void)sqlite3_db_config(store->writer.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    ent_connection_close(&store->writer);
    ent_vfs_free(store->vfs);
    ent_file_close(&store->lock);
    (void)pthread_mutex_destroy(&store->writing);
    (void)pthread_mutex_destroy(&store->pool);
    (void)pthread_cond_destroy(&store->pool_changed);
    ent_free(store->new_bodies);
    ent_free(store->folder);
    ent_free(store->database);
    ent_free(store->bodies);
    ent_free(store);
}

static const ent_store_engine engine = {
    .close = close_store,
    .begin = ent_sqlite_begin,
    .commit = ent_sqlite_commit,
    .rollback = ent_sqlite_rollback,
    .changes = ent_sqlite_changes,
    .peer_put = ent_sqlite_peer_put,
    .peer_remove = ent_sqlite_peer_remove,
    .channel_add = ent_sqlite_channel_add,
    .channel_update = ent_sqlite_channel_update,
    .invite_put = ent_sqlite_invite_put,
    .log_add = ent_sqlite_log_add,
    .append = ent_sqlite_append,
    .log_cut = ent_sqlite_log_cut,
    .log_opened = ent_sqlite_log_opened,
    .log_freeze = ent_sqlite_log_freeze,
    .head_put = ent_sqlite_head_put,
    .head_ahead = ent_sqlite_head_ahead,
    .head_pass = ent_sqlite_head_pass,
    .passed_head_put = ent_sqlite_passed_head_put,
    .receipt_add = ent_sqlite_receipt_add,
    .revoked_receipt_add = ent_sqlite_revoked_receipt_add,
    .apart_receipt_add = ent_sqlite_apart_receipt_add,
    .receipt_sign = ent_sqlite_receipt_sign,
    .keys_put = ent_sqlite_keys_put,
    .delivery_put = ent_sqlite_delivery_put,
    .blob_add = ent_sqlite_blob_add,
    .blob_held = ent_sqlite_blob_held,
    .blob_send_add = ent_sqlite_blob_send_add,
    .blob_send_done = ent_sqlite_blob_send_done,
    .blob_send_strike = ent_sqlite_blob_send_strike,
    .fork_add = ent_sqlite_fork_add,
    .release_add = ent_sqlite_release_add,
    .alert_put = ent_sqlite_alert_put,
    .alert_sink_put = ent_sqlite_alert_sink_put,
    .reveal_put = ent_sqlite_reveal_put,
    .reveal_get = ent_sqlite_reveal_get,
    .message_read_put = ent_sqlite_message_read_put,
    .peer_get = ent_sqlite_peer_get,
    .peer_walk = ent_sqlite_peer_walk,
    .channel_get = ent_sqlite_channel_get,
    .channel_walk = ent_sqlite_channel_walk,
    .invite_get = ent_sqlite_invite_get,
    .log_get = ent_sqlite_log_get,
    .entries_read = ent_sqlite_entries_read,
    .entry_arrived = ent_sqlite_entry_arrived,
    .body_read = ent_sqlite_body_read,
    .tile_read = ent_sqlite_tile_read,
    .head_get = ent_sqlite_head_get,
    .head_from = ent_sqlite_head_from,
    .passed_head_get = ent_sqlite_passed_head_get,
    .passed_head_any = ent_sqlite_passed_head_any,
    .receipt_covering = ent_sqlite_receipt_covering,
    .revoked_receipt_covering = ent_sqlite_revoked_receipt_covering,
    .receipt_before = ent_sqlite_receipt_before,
    .receipt_newest = ent_sqlite_receipt_newest,
    .receipt_walk = ent_sqlite_receipt_walk,
    .receipt_log_walk = ent_sqlite_receipt_log_walk,
    .receipt_unsigned_walk = ent_sqlite_receipt_unsigned_walk,
    .keys_get = ent_sqlite_keys_get,
    .delivery_get = ent_sqlite_delivery_get,
    .blob_find = ent_sqlite_blob_find,
    .blob_bytes_held = ent_sqlite_blob_bytes_held,
    .blob_walk = ent_sqlite_blob_walk,
    .blob_wanted_walk = ent_sqlite_blob_wanted_walk,
    .blob_all_walk = ent_sqlite_blob_all_walk,
    .blob_is_wanted = ent_sqlite_blob_is_wanted,
    .blob_is_named = ent_sqlite_blob_is_named,
    .blob_send_walk = ent_sqlite_blob_send_walk,
    .fork_walk = ent_sqlite_fork_walk,
    .apart_receipt_walk = ent_sqlite_apart_receipt_walk,
    .backup = ent_sqlite_backup,
    .release_walk = ent_sqlite_release_walk,
    .alert_get = ent_sqlite_alert_get,
    .alert_walk = ent_sqlite_alert_walk,
    .message_read_get = ent_sqlite_message_read_get,
};

/* One process at a time: SQLite's own locks would let a second one in to read and, between transactions, to write. */
static ent_rc take_lock(const char *folder, int *ret_fd, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, "lock");
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    char reason[128];
    if (fd < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot open %s: %s", path, strerror_r(errno, reason, sizeof reason));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return ent_fail(err, ENT_REFUSED, NULL,
                            "the store in %s is open already, in a node that runs; stop it first", folder);
        return ent_fail(err, ENT_IO, NULL, "cannot lock %s: %s", path, strerror_r(errno, reason, sizeof reason));
    }
    *ret_fd = fd;
    fd = -1;
    return ENT_DONE;
}

/* SQLite would create it readable to others; its write-ahead log takes the mode from the database. The folder is synced
 * so that the name is durable before anything in it is. */
static ent_rc make_database(const ent_sqlite *store, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = open(store->database, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    char reason[128];
    if (fd < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot open %s: %s", store->database,
                        strerror_r(errno, reason, sizeof reason));
    return ent_file_sync_folder(store->folder, err);
}

static ent_rc prepare_folder(ent_sqlite *store, const char *folder, ent_err *err)
{
    store->folder = ent_text_copy(ent_text_of(folder));
    store->database = ent_file_join(folder, "store.db");
    store->bodies = ent_file_join(folder, "bodies");
    if (store->folder == NULL || store->database == NULL || store->bodies == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_file_make_folder(folder, 0700, err));
    ENT_TRY(take_lock(folder, &store->lock, err));
    ENT_TRY(make_database(store, err));
    ENT_TRY(ent_blobs_clean(store->bodies, err));
    return ent_vfs_new(&store->fault, &store->vfs, err);
}

static ent_rc new_store(ent_sqlite **ret, ent_err *err)
{
    ent_sqlite *store = ent_alloc(sizeof *store);
    if (store == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    store->base.engine = &engine;
    store->lock = -1;
    store->checkpoint_at = ENT_SQLITE_CHECKPOINT_FRAMES;
    pthread_mutexattr_t recursive;
    bool ready = pthread_mutexattr_init(&recursive) == 0;
    if (ready) {
        (void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
        ready = pthread_mutex_init(&store->writing, &recursive) == 0;
        (void)pthread_mutexattr_destroy(&recursive);
    }
    if (!ready) {
        ent_free(store);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for a mutex");
    }
    /* With default attributes neither can fail here: pthread_mutex_init(3), "always returns 0". */
    (void)pthread_mutex_init(&store->pool, NULL);
    (void)pthread_cond_init(&store->pool_changed, NULL);
    *ret = store;
    return ENT_DONE;
}

ent_rc ent_store_sqlite_open(const char *folder, ent_store **ret, ent_err *err)
{
    ent_sqlite *store = NULL;
    ENT_TRY(new_store(&store, err));
    ent_rc rc = folder == NULL ? ENT_DONE : prepare_folder(store, folder, err);
    if (rc.code == ENT_OK)
        rc = ent_connection_open_writer(store, err);
    if (rc.code != ENT_OK) {
        close_store(&store->base);
        return rc;
    }
    *ret = &store->base;
    return ENT_DONE;
}

/* ---- faults, for tests ---- */

static void set_fault(ent_store *store, unsigned long nth, bool sticky)
{
    ent_fault *fault = &ent_sqlite_of(store)->fault;
    atomic_store(&fault->failing, false);
    atomic_store(&fault->sticky, sticky);
    atomic_store(&fault->left, nth);
}

void ent_store_sqlite_fail_at(ent_store *store, unsigned long nth)
{
    set_fault(store, nth, false);
}

void ent_store_sqlite_fail_from(ent_store *store, unsigned long nth)
{
    set_fault(store, nth, true);
}

unsigned long ent_store_sqlite_faults(const ent_store *store)
{
    return atomic_load(&((const ent_sqlite *)store)->fault.hits);
}

unsigned long ent_store_sqlite_syncs(const ent_store *store)
{
    return atomic_load(&((const ent_sqlite *)store)->fault.syncs);
}
