/* Inside of the SQLite engine: connections, statements and the calls of each aggregate. */
#ifndef ENT_STORE_SQLITE_INTERNAL_H
#define ENT_STORE_SQLITE_INTERNAL_H

#include "store/sqlite/vfs.h"

#include <pthread.h>
#include <sqlite3.h>

/* ---- packed keys: an entry is log << 40 | index, a tile log << 40 | level << 36 | index ---- */

enum {
    ENT_STORE_INDEX_BITS = 40,
    ENT_STORE_LOG_BITS = 22,
    ENT_STORE_TILE_INDEX_BITS = 36,
    ENT_STORE_BODY_ROW_BYTES = 64 * 1024
};

static inline bool ent_store_log_fits(int64_t log)
{
    return log > 0 && log < (int64_t)1 << ENT_STORE_LOG_BITS;
}

static inline bool ent_store_entry_key(int64_t log, uint64_t index, int64_t *ret)
{
    if (!ent_store_log_fits(log) || index >= (uint64_t)1 << ENT_STORE_INDEX_BITS)
        return false;
    *ret = (int64_t)((uint64_t)log << ENT_STORE_INDEX_BITS | index);
    return true;
}

static inline bool ent_store_tile_key(int64_t log, uint8_t level, uint64_t index, int64_t *ret)
{
    if (!ent_store_log_fits(log) || level >= 1 << (ENT_STORE_INDEX_BITS - ENT_STORE_TILE_INDEX_BITS) ||
        index >= (uint64_t)1 << ENT_STORE_TILE_INDEX_BITS)
        return false;
    *ret = (int64_t)((uint64_t)log << ENT_STORE_INDEX_BITS | (uint64_t)level << ENT_STORE_TILE_INDEX_BITS | index);
    return true;
}

/* ---- connections ---- */

/* One slot for each statement; a connection prepares it on first use and keeps it. */
typedef enum {
    ENT_SQL_BEGIN,
    ENT_SQL_COMMIT,
    ENT_SQL_ROLLBACK,
    ENT_SQL_PEER_PUT,
    ENT_SQL_PEER_REMOVE,
    ENT_SQL_PEER_GET,
    ENT_SQL_PEER_WALK,
    ENT_SQL_CHANNEL_ADD,
    ENT_SQL_CHANNEL_UPDATE,
    ENT_SQL_CHANNEL_GET,
    ENT_SQL_CHANNEL_WALK,
    ENT_SQL_INVITE_PUT,
    ENT_SQL_INVITE_FORGET,
    ENT_SQL_INVITE_GET,
    ENT_SQL_LOG_ADD,
    ENT_SQL_LOG_GET,
    ENT_SQL_LOG_STATE,
    ENT_SQL_LOG_GROW,
    ENT_SQL_CUT_BEGIN,
    ENT_SQL_CUT_LOG,
    ENT_SQL_CUT_ENTRIES,
    ENT_SQL_CUT_BODIES,
    ENT_SQL_CUT_READS,
    ENT_SQL_CUT_REVEALS,
    ENT_SQL_CUT_BLOBS,
    ENT_SQL_CUT_SENDS,
    ENT_SQL_CUT_TILES,
    ENT_SQL_CUT_END,
    ENT_SQL_LOG_OPENED,
    ENT_SQL_LOG_FREEZE,
    ENT_SQL_ENTRY_ADD,
    ENT_SQL_ENTRIES_READ,
    ENT_SQL_ENTRY_ARRIVED,
    ENT_SQL_BODY_ADD,
    ENT_SQL_BODY_READ,
    ENT_SQL_TILE_ADD,
    ENT_SQL_TILE_BEGINNING,
    ENT_SQL_TILE_READ,
    ENT_SQL_HEAD_PUT,
    ENT_SQL_HEAD_GET,
    ENT_SQL_HEAD_FROM,
    ENT_SQL_HEAD_KEEP,
    ENT_SQL_HEAD_DROP,
    ENT_SQL_HEAD_AHEAD_GET,
    ENT_SQL_HEAD_AHEAD_PUT,
    ENT_SQL_HEAD_PASS,
    ENT_SQL_PASSED_PUT,
    ENT_SQL_PASSED_GET,
    ENT_SQL_PASSED_ANY,
    ENT_SQL_RECEIPT_ADD,
    ENT_SQL_RECEIPT_ADD_REVOKED,
    ENT_SQL_RECEIPT_ADD_APART,
    ENT_SQL_RECEIPT_WALK_APART,
    ENT_SQL_RECEIPT_FIND,
    ENT_SQL_RECEIPT_ADD_TWIN,
    ENT_SQL_RECEIPT_DROP_TWIN,
    ENT_SQL_RECEIPT_COMPLETE,
    ENT_SQL_RECEIPT_BEFORE,
    ENT_SQL_RECEIPT_SIGN,
    ENT_SQL_RECEIPT_SIGNED,
    ENT_SQL_RECEIPT_COVERING,
    ENT_SQL_RECEIPT_COVERING_REVOKED,
    ENT_SQL_RECEIPT_NEWEST,
    ENT_SQL_RECEIPT_WALK,
    ENT_SQL_RECEIPT_LOG_WALK,
    ENT_SQL_RECEIPT_UNSIGNED,
    ENT_SQL_KEYS_PUT,
    ENT_SQL_KEYS_GET,
    ENT_SQL_DELIVERY_PUT,
    ENT_SQL_DELIVERY_GET,
    ENT_SQL_BLOB_ADD,
    ENT_SQL_BLOB_HELD,
    ENT_SQL_BLOB_FIND,
    ENT_SQL_BLOB_BYTES_HELD,
    ENT_SQL_BLOB_WALK,
    ENT_SQL_BLOB_WANTED,
    ENT_SQL_BLOB_ALL,
    ENT_SQL_BLOB_IS_WANTED,
    ENT_SQL_BLOB_IS_NAMED,
    ENT_SQL_BLOB_SEND_ADD,
    ENT_SQL_BLOB_SEND_DONE,
    ENT_SQL_BLOB_SEND_STRIKE,
    ENT_SQL_BLOB_SEND_WALK,
    ENT_SQL_FORK_ADD,
    ENT_SQL_FORK_WALK,
    ENT_SQL_RELEASE_ADD,
    ENT_SQL_BACKUP,
    ENT_SQL_RELEASE_WALK,
    ENT_SQL_ALERT_ADD,
    ENT_SQL_ALERT_SEEN,
    ENT_SQL_ALERT_CLEAN,
    ENT_SQL_ALERT_GET,
    ENT_SQL_ALERT_WALK,
    ENT_SQL_ALERT_WALK_WAITING,
    ENT_SQL_ALERT_SINK_ADD,
    ENT_SQL_ALERT_SINK_PUT,
    ENT_SQL_ALERT_SINK_STATE,
    ENT_SQL_ALERT_SINKS,
    ENT_SQL_REVEAL_PUT,
    ENT_SQL_REVEAL_GET,
    ENT_SQL_READ_PUT,
    ENT_SQL_READ_GET,
    ENT_SQL_COUNT
} ent_sql_slot;

typedef struct ent_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[ENT_SQL_COUNT];
    struct ent_connection *next; /* in the stack of idle readers */
} ent_connection;

/* Frames of one page in the write-ahead log that ask for a checkpoint. */
enum { ENT_SQLITE_MAX_READERS = 16, ENT_SQLITE_CHECKPOINT_FRAMES = 1024 };

/** The engine's store. */
typedef struct {
    ent_store base;
    char *folder;   /* NULL = in memory: the writer's connection serves the readers too, one call at a time */
    char *database; /* path, NULL in memory */
    char *bodies;   /* folder of larger bodies, NULL in memory */
    int lock;       /* descriptor that holds the flock, -1 in memory */
    ent_vfs *vfs;   /* NULL in memory */
    ent_fault fault;

    ent_connection writer;
    pthread_mutex_t writing;     /* recursive; held from begin to commit or rollback */
    _Atomic(const void *) owner; /* mark of the thread that is in a transaction, NULL = none */
    int broken;                  /* code of a call that failed in this transaction, which can then not be committed */
    atomic_bool stopped;         /* a commit or a sync failed: nothing is read or written any more */
    int wal_frames;              /* in the write-ahead log after the last commit */
    int checkpoint_at;           /* frames that ask for the next checkpoint */
    ent_hash *new_bodies;        /* files made in this transaction */
    size_t new_body_count;
    size_t new_body_capacity;

    pthread_mutex_t pool; /* guards what follows */
    pthread_cond_t pool_changed;
    ent_connection *idle;
    unsigned readers; /* open, idle or in use */
} ent_sqlite;

static inline ent_sqlite *ent_sqlite_of(ent_store *store)
{
    return (ent_sqlite *)store;
}

/** Record what SQLite said.  Errors: IO_FULL, NOMEM, REFUSED for a constraint, USAGE for a number it cannot hold, else
 * IO. */
ENT_RC ent_sql_fail(sqlite3 *db, int sqlite_rc, const char *what, ent_err *err);

/** Open the writer: settings, migrations. */
ENT_RC ent_connection_open_writer(ent_sqlite *store, ent_err *err);
void ent_connection_close(ent_connection *connection);
/** Take a reader from the pool; waits when all are in use. */
ENT_RC ent_reader_take(ent_sqlite *store, ent_connection **ret, ent_err *err);
void ent_reader_give(ent_sqlite *store, ent_connection *reader);
void ent_readers_close(ent_sqlite *store);

/** Whether the calling thread is in a transaction. */
bool ent_transaction_mine(const ent_sqlite *store);
/** Forbid the commit of this transaction because a write in it failed. */
void ent_transaction_break(ent_sqlite *store, int code);
/** Refuse when a commit failed before. */
ENT_RC ent_store_check_running(const ent_sqlite *store, ent_err *err);
/** Gets the frames in the write-ahead log after each commit. */
int ent_transaction_wal_hook(void *context, sqlite3 *db, const char *name, int frames);

/* ---- statements ---- */

/** A prepared statement in use. Bind in order, then step; ent_sql_finish gives it back. */
typedef struct {
    ent_sqlite *store;
    ent_connection *connection;
    sqlite3_stmt *statement;
    enum { ENT_SQL_UNUSED, ENT_SQL_WRITING, ENT_SQL_POOLED, ENT_SQL_SHARED, ENT_SQL_INSIDE } use;
    int bound;    /* parameters so far */
    int bind_rc;  /* first failure to bind */
    bool damaged; /* a column was not what the schema allows */
} ent_sql;

/** Prepare a write.  Errors: USAGE outside a transaction of this thread, NOMEM, IO. */
ENT_RC ent_sql_write(ent_store *base, ent_sql_slot slot, const char *sql, ent_sql *ret, ent_err *err);
/** Prepare a read: on the writer inside a transaction of this thread, on a reader otherwise. */
ENT_RC ent_sql_read(ent_store *base, ent_sql_slot slot, const char *sql, ent_sql *ret, ent_err *err);
void ent_sql_finish(ent_sql *sql); /* for ENT_CLEANUP */

void ent_sql_bind_int(ent_sql *sql, int64_t value);
void ent_sql_bind_size(ent_sql *sql, uint64_t value);
void ent_sql_bind_text(ent_sql *sql, ent_text text);    /* borrowed until the statement is reset */
void ent_sql_bind_bytes(ent_sql *sql, ent_bytes bytes); /* the same; empty is an empty blob, not NULL */
void ent_sql_bind_hash(ent_sql *sql, const ent_hash *hash);
void ent_sql_bind_null(ent_sql *sql);

/** Go to the next row.  Errors: as ent_sql_fail. */
ENT_RC ent_sql_step(ent_sql *sql, bool *ret_row, ent_err *err);
/** Run a statement that gives no row, and make it ready to be bound anew. */
ENT_RC ent_sql_run(ent_sql *sql, ent_err *err);
/** Rows that the last ent_sql_run changed. */
int ent_sql_changes(const ent_sql *sql);
/** Step to the one row that must exist.  Errors: ABSENT "<what> is not in the store". */
ENT_RC ent_sql_row(ent_sql *sql, const char *what, ent_err *err);

int64_t ent_sql_int(ent_sql *sql, int column);
uint64_t ent_sql_size(ent_sql *sql, int column);
bool ent_sql_bool(ent_sql *sql, int column);
ent_bytes ent_sql_bytes(ent_sql *sql, int column); /* valid until the next step */
bool ent_sql_is_null(ent_sql *sql, int column);
void ent_sql_fixed(ent_sql *sql, int column, void *out, size_t size);
/** Copy a text that fits, with a NUL. */
void ent_sql_string(ent_sql *sql, int column, char *out, size_t size);
/** Whether every column was as it must be.  Errors: IO "damaged". */
ENT_RC ent_sql_check(const ent_sql *sql, ent_err *err);

/* ---- the calls of the vtable, one file an aggregate ---- */

/* peers.c */
ENT_RC ent_sqlite_peer_put(ent_store *store, ent_text name, uint64_t serial, ent_bytes card, int64_t now_unix_s,
                           ent_err *err);
ENT_RC ent_sqlite_peer_remove(ent_store *store, ent_text name, ent_err *err);
ENT_RC ent_sqlite_peer_get(ent_store *store, ent_text name, ent_store_peer *ret, ent_buf *ret_card, ent_err *err);
ENT_RC ent_sqlite_peer_walk(ent_store *store, ent_store_peer_row row, void *context, ent_err *err);

/* channels.c */
ENT_RC ent_sqlite_channel_add(ent_store *store, ent_store_channel *channel, ent_bytes genesis, ent_err *err);
ENT_RC ent_sqlite_channel_update(ent_store *store, const ent_store_channel *channel, ent_err *err);
ENT_RC ent_sqlite_channel_get(ent_store *store, const ent_hash *id, ent_store_channel *ret, ent_buf *ret_genesis,
                              ent_err *err);
ENT_RC ent_sqlite_channel_walk(ent_store *store, ent_store_channel_row row, void *context, ent_err *err);
ENT_RC ent_sqlite_invite_put(ent_store *store, int64_t channel, ent_bytes pouch, ent_err *err);
ENT_RC ent_sqlite_invite_get(ent_store *store, int64_t channel, ent_buf *ret_pouch, ent_err *err);

/* logs.c */
ENT_RC ent_sqlite_log_add(ent_store *store, ent_store_log *log, ent_err *err);
ENT_RC ent_sqlite_log_get(ent_store *store, int64_t channel, uint32_t member, ent_store_log *ret, ent_err *err);
ENT_RC ent_sqlite_log_opened(ent_store *store, int64_t log, uint64_t opened, ent_err *err);
/** Store a log's row with fewer entries; only within a cut. */
ENT_RC ent_log_put_cut(ent_store *store, const ent_store_log *log, ent_err *err);
ENT_RC ent_sqlite_log_freeze(ent_store *store, int64_t log, ent_err *err);
ENT_RC ent_sqlite_append(ent_store *store, const ent_store_log *log, const ent_store_append *append, ent_err *err);

/* heads.c */
ENT_RC ent_sqlite_head_put(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err);
ENT_RC ent_sqlite_head_get(ent_store *store, int64_t log, uint64_t at_most, ent_tree_head *ret, ent_buf *ret_note,
                           ent_err *err);
ENT_RC ent_sqlite_head_from(ent_store *store, int64_t log, uint64_t at_least, ent_tree_head *ret, ent_buf *ret_note,
                            ent_err *err);
ENT_RC ent_sqlite_head_ahead(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err);
ENT_RC ent_sqlite_head_pass(ent_store *store, int64_t log, uint64_t size, ent_err *err);
ENT_RC ent_sqlite_passed_head_put(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note,
                                  ent_err *err);
ENT_RC ent_sqlite_passed_head_get(ent_store *store, int64_t log, const ent_tree_head *head, ent_buf *ret_note,
                                  ent_err *err);
ENT_RC ent_sqlite_passed_head_any(ent_store *store, int64_t log, bool *ret, ent_err *err);

/* cut.c */
ENT_RC ent_sqlite_log_cut(ent_store *store, const ent_store_log *log, ent_err *err);

/* backup.c */
ENT_RC ent_sqlite_backup(ent_store *store, const char *path, ent_err *err);

/* releases.c */
ENT_RC ent_sqlite_release_add(ent_store *store, ent_store_released *release, ent_err *err);
ENT_RC ent_sqlite_release_walk(ent_store *store, int64_t channel, ent_store_release_row row, void *context,
                               ent_err *err);

/* entries.c */
ENT_RC ent_entries_add(ent_store *store, int64_t log, const ent_store_append *append, ent_err *err);
ENT_RC ent_sqlite_entries_read(ent_store *store, int64_t log, uint64_t first, uint64_t count, size_t max_bytes,
                               ent_buf *ret_bundle, uint64_t *ret_count, ent_err *err);
ENT_RC ent_sqlite_entry_arrived(ent_store *store, int64_t log, uint64_t index, int64_t *ret_unix_s, ent_err *err);

/* bodies.c */
ENT_RC ent_bodies_add(ent_store *base, int64_t log, const ent_store_append *append, ent_err *err);
/** After a rollback: remove the files that this transaction made. After a commit: forget that they are new. */
void ent_bodies_undo(ent_sqlite *store);
void ent_bodies_keep(ent_sqlite *store);
ENT_RC ent_sqlite_body_read(ent_store *base, int64_t log, uint64_t index, ent_buf *ret_sealed, ent_err *err);

/* tiles.c */
ENT_RC ent_tiles_add(ent_store *store, int64_t log, const ent_store_append *append, ent_err *err);
ENT_RC ent_sqlite_tile_read(ent_store *store, int64_t log, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret,
                            ent_err *err);

/* receipts.c */
ENT_RC ent_sqlite_receipt_add(ent_store *store, ent_store_receipt *receipt, bool *ret_new, ent_err *err);
ENT_RC ent_sqlite_revoked_receipt_add(ent_store *store, const ent_store_receipt *receipt, ent_err *err);
ENT_RC ent_sqlite_apart_receipt_add(ent_store *store, const ent_store_receipt *receipt, bool *ret_new, ent_err *err);
ENT_RC ent_sqlite_apart_receipt_walk(ent_store *store, int64_t log, ent_store_receipt_row row, void *context,
                                     ent_err *err);
ENT_RC ent_sqlite_receipt_sign(ent_store *store, int64_t number, const ent_signature *signature, ent_err *err);
ENT_RC ent_sqlite_revoked_receipt_covering(ent_store *store, int64_t log, uint32_t receiver, uint64_t size,
                                           ent_store_receipt *ret, ent_err *err);
ENT_RC ent_sqlite_receipt_covering(ent_store *store, int64_t log, uint32_t receiver, uint64_t size,
                                   ent_store_receipt *ret, ent_err *err);
ENT_RC ent_sqlite_receipt_before(ent_store *store, int64_t log, int64_t number, size_t count, int64_t *ret,
                                 ent_err *err);
ENT_RC ent_sqlite_receipt_newest(ent_store *store, int64_t log, uint32_t receiver, ent_store_receipt *ret,
                                 ent_err *err);
ENT_RC ent_sqlite_receipt_walk(ent_store *store, int64_t channel, int64_t after, size_t limit,
                               ent_store_receipt_row row, void *context, ent_err *err);
ENT_RC ent_sqlite_receipt_log_walk(ent_store *store, int64_t log, int64_t after, size_t limit,
                                   ent_store_receipt_row row, void *context, ent_err *err);
ENT_RC ent_sqlite_receipt_unsigned_walk(ent_store *store, ent_store_receipt_row row, void *context, ent_err *err);

/* keys.c */
ENT_RC ent_sqlite_keys_put(ent_store *store, const ent_store_keys *keys, ent_bytes card, ent_bytes cutoffs,
                           ent_err *err);
ENT_RC ent_sqlite_keys_get(ent_store *store, int64_t log, ent_store_keys *ret, ent_buf *ret_card, ent_buf *ret_cutoffs,
                           ent_err *err);

/* deliveries.c */
ENT_RC ent_sqlite_delivery_put(ent_store *store, const ent_store_delivery *delivery, ent_err *err);
ENT_RC ent_sqlite_delivery_get(ent_store *store, int64_t log, uint32_t member, ent_store_delivery *ret, ent_err *err);

/* attachments.c */
ENT_RC ent_sqlite_blob_add(ent_store *store, const ent_store_blob *blob, ent_err *err);
uint64_t ent_sqlite_changes(ent_store *base);
ENT_RC ent_sqlite_blob_held(ent_store *store, const ent_store_blob *blob, ent_err *err);
ENT_RC ent_sqlite_blob_find(ent_store *store, int64_t channel, const ent_hash *digest, uint64_t size,
                            ent_store_blob *ret, ent_err *err);
ENT_RC ent_sqlite_blob_bytes_held(ent_store *store, int64_t log, uint64_t *ret_bytes, ent_err *err);
ENT_RC ent_sqlite_blob_walk(ent_store *store, int64_t log, uint64_t index, ent_store_blob_row row, void *context,
                            ent_err *err);
ENT_RC ent_sqlite_blob_send_add(ent_store *store, const ent_store_blob_send *send, ent_err *err);
ENT_RC ent_sqlite_blob_send_done(ent_store *store, int64_t number, ent_err *err);
ENT_RC ent_sqlite_blob_all_walk(ent_store *store, const ent_store_blob *after, size_t limit, ent_store_blob_row row,
                                void *context, ent_err *err);
ENT_RC ent_sqlite_blob_wanted_walk(ent_store *store, const ent_store_blob *after, size_t limit, ent_store_blob_row row,
                                   void *context, ent_err *err);
ENT_RC ent_sqlite_blob_is_named(ent_store *store, const ent_hash *digest, bool *ret, ent_err *err);
ENT_RC ent_sqlite_blob_is_wanted(ent_store *store, const ent_hash *digest, bool *ret, ent_err *err);
ENT_RC ent_sqlite_blob_send_strike(ent_store *store, int64_t log, uint64_t index, uint32_t member,
                                   const ent_hash *digest, ent_err *err);
ENT_RC ent_sqlite_blob_send_walk(ent_store *store, int64_t after, size_t limit, ent_store_blob_send_row row,
                                 void *context, ent_err *err);

/* forks.c */
ENT_RC ent_sqlite_fork_add(ent_store *store, const ent_store_fork *fork, ent_err *err);
ENT_RC ent_sqlite_fork_walk(ent_store *store, int64_t log, ent_store_fork_row row, void *context, ent_err *err);

/* reveals.c */
ENT_RC ent_sqlite_reveal_put(ent_store *store, const ent_store_revealed *revealed, ent_err *err);
ENT_RC ent_sqlite_reveal_get(ent_store *store, int64_t log, uint64_t index, ent_store_revealed *ret, ent_err *err);

/* alerts.c */
ENT_RC ent_sqlite_alert_put(ent_store *store, ent_text key, ent_text json, const ent_sink *sinks, size_t sink_count,
                            int64_t now_unix_s, bool *ret_new, ent_err *err);
ENT_RC ent_sqlite_alert_sink_put(ent_store *store, const ent_store_alert_sink *sink, ent_err *err);
ENT_RC ent_sqlite_alert_get(ent_store *store, ent_text key, int64_t *ret_unix_s, ent_err *err);
ENT_RC ent_sqlite_alert_walk(ent_store *store, bool waiting, int64_t before, size_t limit, ent_store_alert_row row,
                             void *context, ent_err *err);
ENT_RC ent_sqlite_message_read_put(ent_store *store, int64_t log, uint64_t index, int64_t now_unix_s, ent_err *err);
ENT_RC ent_sqlite_message_read_get(ent_store *store, int64_t log, uint64_t index, int64_t *ret_unix_s, ent_err *err);

/* transaction.c */
ENT_RC ent_sqlite_begin(ent_store *base, ent_err *err);
ENT_RC ent_sqlite_commit(ent_store *base, ent_err *err);
void ent_sqlite_rollback(ent_store *base);

#endif
