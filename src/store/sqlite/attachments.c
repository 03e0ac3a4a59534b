#include "store/sqlite/internal.h"

/* A row's key is that of its entry, and its position there. */
static void take_blob(ent_sql *sql, ent_store_blob *ret)
{
    uint64_t entry = ent_sql_size(sql, 0);
    ret->log = (int64_t)(entry >> ENT_STORE_INDEX_BITS);
    ret->index = entry & (((uint64_t)1 << ENT_STORE_INDEX_BITS) - 1);
    ret->at = (uint32_t)ent_sql_size(sql, 1);
    ent_sql_fixed(sql, 2, ret->digest.bytes, sizeof ret->digest.bytes);
    ret->size = ent_sql_size(sql, 3);
    int64_t state = ent_sql_int(sql, 4);
    ret->state = (ent_blob_state)state;
}

ent_rc ent_sqlite_blob_add(ent_store *store, const ent_store_blob *blob, ent_err *err)
{
    int64_t key = 0;
    if (!ent_store_entry_key(blob->log, blob->index, &key))
        return ent_fail(err, ENT_USAGE, NULL, "log %lld has no entry %llu", (long long)blob->log,
                        (unsigned long long)blob->index);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_BLOB_ADD,
                          "INSERT INTO blobs (entry, at, digest, size, state) VALUES (?1, ?2, ?3, ?4, ?5)", &sql, err));
    ent_sql_bind_int(&sql, key);
    ent_sql_bind_int(&sql, blob->at);
    ent_sql_bind_hash(&sql, &blob->digest);
    ent_sql_bind_size(&sql, blob->size);
    ent_sql_bind_int(&sql, blob->state);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_blob_held(ent_store *store, const ent_store_blob *blob, ent_err *err)
{
    int64_t key = 0;
    if (!ent_store_entry_key(blob->log, blob->index, &key))
        return ent_fail(err, ENT_USAGE, NULL, "log %lld has no entry %llu", (long long)blob->log,
                        (unsigned long long)blob->index);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(
        ent_sql_write(store, ENT_SQL_BLOB_HELD, "UPDATE blobs SET state = 2 WHERE entry = ?1 AND at = ?2", &sql, err));
    ent_sql_bind_int(&sql, key);
    ent_sql_bind_int(&sql, blob->at);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_blob_find(ent_store *store, int64_t channel, const ent_hash *digest, uint64_t size,
                            ent_store_blob *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(
        store, ENT_SQL_BLOB_FIND,
        "SELECT entry, at, digest, size, state FROM blobs WHERE digest = ?1 AND size = ?2"
        " AND entry >> 40 IN (SELECT number FROM logs WHERE channel = ?3) ORDER BY state, entry, at LIMIT 1",
        &sql, err));
    ent_sql_bind_hash(&sql, digest);
    ent_sql_bind_size(&sql, size);
    ent_sql_bind_int(&sql, channel);
    ENT_TRY(ent_sql_row(&sql, "the attachment", err));
    ent_store_blob blob = {0};
    take_blob(&sql, &blob);
    ENT_TRY(ent_sql_check(&sql, err));
    *ret = blob;
    return ENT_DONE;
}

ent_rc ent_sqlite_blob_bytes_held(ent_store *store, int64_t log, uint64_t *ret_bytes, ent_err *err)
{
    const uint64_t last_index = ((uint64_t)1 << ENT_STORE_INDEX_BITS) - 1;
    int64_t from = 0;
    int64_t to = 0;
    if (!ent_store_entry_key(log, 0, &from) || !ent_store_entry_key(log, last_index, &to))
        return ent_fail(err, ENT_ABSENT, NULL, "the log %lld is not in the store", (long long)log);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_BLOB_BYTES_HELD,
                         "SELECT coalesce(sum(size), 0) FROM"
                         " (SELECT DISTINCT digest, size FROM blobs WHERE entry BETWEEN ?1 AND ?2 AND state = 2)",
                         &sql, err));
    ent_sql_bind_int(&sql, from);
    ent_sql_bind_int(&sql, to);
    ENT_TRY(ent_sql_row(&sql, "the sum", err));
    uint64_t bytes = ent_sql_size(&sql, 0);
    ENT_TRY(ent_sql_check(&sql, err));
    *ret_bytes = bytes;
    return ENT_DONE;
}

ent_rc ent_sqlite_blob_walk(ent_store *store, int64_t log, uint64_t index, ent_store_blob_row row, void *context,
                            ent_err *err)
{
    int64_t key = 0;
    if (!ent_store_entry_key(log, index, &key))
        return ENT_DONE;
    ent_store_blob blobs[ENT_ENTRY_MAX_ATTACHMENTS] = {0};
    size_t count = 0;
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_BLOB_WALK,
                         "SELECT entry, at, digest, size, state FROM blobs WHERE entry = ?1 ORDER BY at", &sql, err));
    ent_sql_bind_int(&sql, key);
    while (count < ENT_ENTRY_MAX_ATTACHMENTS) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        take_blob(&sql, &blobs[count++]);
    }
    ENT_TRY(ent_sql_check(&sql, err));
    ent_sql_finish(&sql);
    for (size_t at = 0; at < count; at++)
        ENT_TRY(row(context, &blobs[at], err));
    return ENT_DONE;
}

static const char wanted_sql[] =
    "SELECT entry, at, digest, size, state FROM blobs INDEXED BY blobs_wanted WHERE state = 1"
    " AND (entry, at) > (?1, ?2) ORDER BY entry, at LIMIT ?3";
static const char all_sql[] = "SELECT entry, at, digest, size, state FROM blobs WHERE (entry, at) > (?1, ?2)"
                              " ORDER BY entry, at LIMIT ?3";

static ent_rc collect(ent_store *store, bool wanted, const ent_store_blob *after, size_t limit, ent_buf *rows,
                      ent_err *err)
{
    int64_t key = -1;
    if (after != NULL && !ent_store_entry_key(after->log, after->index, &key))
        return ent_fail(err, ENT_USAGE, NULL, "log %lld has no entry %llu", (long long)after->log,
                        (unsigned long long)after->index);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(
        ent_sql_read(store, wanted ? ENT_SQL_BLOB_WANTED : ENT_SQL_BLOB_ALL, wanted ? wanted_sql : all_sql, &sql, err));
    ent_sql_bind_int(&sql, key);
    ent_sql_bind_int(&sql, after == NULL ? 0 : after->at);
    ent_sql_bind_size(&sql, limit > INT64_MAX ? INT64_MAX : limit);
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        ent_store_blob blob = {0};
        take_blob(&sql, &blob);
        ent_buf_put(rows, ent_bytes_of(&blob, sizeof blob));
    }
    ENT_TRY(ent_sql_check(&sql, err));
    return ent_buf_check(rows, err);
}

static ent_rc walk(ent_store *store, bool wanted, const ent_store_blob *after, size_t limit, ent_store_blob_row row,
                   void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_TRY(collect(store, wanted, after, limit, &rows, err));
    const ent_store_blob *blobs = (const ent_store_blob *)(const void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *blobs; at++)
        ENT_TRY(row(context, &blobs[at], err));
    return ENT_DONE;
}

ent_rc ent_sqlite_blob_wanted_walk(ent_store *store, const ent_store_blob *after, size_t limit, ent_store_blob_row row,
                                   void *context, ent_err *err)
{
    return walk(store, true, after, limit, row, context, err);
}

ent_rc ent_sqlite_blob_all_walk(ent_store *store, const ent_store_blob *after, size_t limit, ent_store_blob_row row,
                                void *context, ent_err *err)
{
    return walk(store, false, after, limit, row, context, err);
}

static ent_rc is_there(ent_sql *sql, const ent_hash *digest, bool *ret, ent_err *err)
{
    bool found = false;
    ent_sql_bind_hash(sql, digest);
    ENT_TRY(ent_sql_step(sql, &found, err));
    ENT_TRY(ent_sql_check(sql, err));
    *ret = found;
    return ENT_DONE;
}

ent_rc ent_sqlite_blob_is_wanted(ent_store *store, const ent_hash *digest, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_BLOB_IS_WANTED, "SELECT 1 FROM blobs WHERE digest = ?1 AND state = 1 LIMIT 1",
                         &sql, err));
    return is_there(&sql, digest, ret, err);
}

ent_rc ent_sqlite_blob_is_named(ent_store *store, const ent_hash *digest, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_BLOB_IS_NAMED, "SELECT 1 FROM blobs WHERE digest = ?1 LIMIT 1", &sql, err));
    return is_there(&sql, digest, ret, err);
}

/* ---- what members have not got yet ---- */

ent_rc ent_sqlite_blob_send_add(ent_store *store, const ent_store_blob_send *send, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_BLOB_SEND_ADD,
                          "INSERT INTO blob_sends (log, member, entry, digest, size) VALUES (?1, ?2, ?3, ?4, ?5)"
                          " ON CONFLICT (log, member, entry, digest) DO NOTHING",
                          &sql, err));
    ent_sql_bind_int(&sql, send->log);
    ent_sql_bind_int(&sql, send->member);
    ent_sql_bind_size(&sql, send->index);
    ent_sql_bind_hash(&sql, &send->digest);
    ent_sql_bind_size(&sql, send->size);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_blob_send_done(ent_store *store, int64_t number, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_BLOB_SEND_DONE, "DELETE FROM blob_sends WHERE number = ?1", &sql, err));
    ent_sql_bind_int(&sql, number);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_blob_send_strike(ent_store *store, int64_t log, uint64_t index, uint32_t member,
                                   const ent_hash *digest, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_BLOB_SEND_STRIKE,
                          "DELETE FROM blob_sends WHERE log = ?1 AND member = ?2 AND entry = ?3 AND digest = ?4", &sql,
                          err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, member);
    ent_sql_bind_size(&sql, index);
    ent_sql_bind_hash(&sql, digest);
    return ent_sql_run(&sql, err);
}

static ent_rc collect_sends(ent_store *store, int64_t after, size_t limit, ent_buf *rows, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(
        store, ENT_SQL_BLOB_SEND_WALK,
        "SELECT number, log, member, entry, digest, size FROM blob_sends WHERE number > ?1 ORDER BY number LIMIT ?2",
        &sql, err));
    ent_sql_bind_int(&sql, after);
    ent_sql_bind_size(&sql, limit > INT64_MAX ? INT64_MAX : limit);
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        ent_store_blob_send send = {0};
        send.number = ent_sql_int(&sql, 0);
        send.log = ent_sql_int(&sql, 1);
        send.member = (uint32_t)ent_sql_size(&sql, 2);
        send.index = ent_sql_size(&sql, 3);
        ent_sql_fixed(&sql, 4, send.digest.bytes, sizeof send.digest.bytes);
        send.size = ent_sql_size(&sql, 5);
        ent_buf_put(rows, ent_bytes_of(&send, sizeof send));
    }
    ENT_TRY(ent_sql_check(&sql, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_blob_send_walk(ent_store *store, int64_t after, size_t limit, ent_store_blob_send_row row,
                                 void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_TRY(collect_sends(store, after, limit, &rows, err));
    const ent_store_blob_send *sends = (const ent_store_blob_send *)(const void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *sends; at++)
        ENT_TRY(row(context, &sends[at], err));
    return ENT_DONE;
}
