#include "store/sqlite/internal.h"

#define RECEIPT_COLUMNS "number, log, receiver, size, root, timestamp_unix_s, signature, arrived_unix_s, key"

static void take_receipt(ent_sql *sql, ent_store_receipt *ret)
{
    ret->number = ent_sql_int(sql, 0);
    ret->log = ent_sql_int(sql, 1);
    ret->receiver = (uint32_t)ent_sql_size(sql, 2);
    ret->head.size = ent_sql_size(sql, 3);
    ent_sql_fixed(sql, 4, ret->head.root.bytes, sizeof ret->head.root.bytes);
    ret->cosignature.timestamp_unix_s = ent_sql_size(sql, 5);
    if (!ent_sql_is_null(sql, 6))
        ent_sql_fixed(sql, 6, ret->cosignature.signature.bytes, sizeof ret->cosignature.signature.bytes);
    ret->arrived_unix_s = ent_sql_int(sql, 7);
    ret->key = (uint32_t)ent_sql_size(sql, 8);
}

static bool is_signed(const ent_signature *signature)
{
    static const ent_signature none;
    return memcmp(signature->bytes, none.bytes, sizeof none.bytes) != 0;
}

/* How many receipts of one size by one receiver are kept. */
enum { TWINS_KEPT = 8 };

/* What is held for the same (log, receiver, size). */
typedef struct {
    int64_t number; /* of the earliest */
    uint64_t earliest_unix_s;
    uint64_t count;
} twins;

static ent_rc find_twins(ent_store *store, const ent_store_receipt *receipt, twins *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_FIND,
                         "SELECT number, timestamp_unix_s, count(*) OVER () FROM receipts"
                         " WHERE log = ?1 AND receiver = ?2 AND size = ?3 ORDER BY timestamp_unix_s, number LIMIT 1",
                         &sql, err));
    ent_sql_bind_int(&sql, receipt->log);
    ent_sql_bind_int(&sql, receipt->receiver);
    ent_sql_bind_size(&sql, receipt->head.size);
    ENT_TRY(ent_sql_row(&sql, "the log", err)); /* neither inserted nor there: the log is missing */
    *ret = (twins){ent_sql_int(&sql, 0), ent_sql_size(&sql, 1), ent_sql_size(&sql, 2)};
    return ent_sql_check(&sql, err);
}

ent_rc ent_sqlite_revoked_receipt_add(ent_store *store, const ent_store_receipt *receipt, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_RECEIPT_ADD_REVOKED,
                          "INSERT INTO revoked_receipts (log, receiver, size, root, timestamp_unix_s, signature,"
                          " arrived_unix_s, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                          " ON CONFLICT (log, receiver, size) DO NOTHING",
                          &sql, err));
    ent_sql_bind_int(&sql, receipt->log);
    ent_sql_bind_int(&sql, receipt->receiver);
    ent_sql_bind_size(&sql, receipt->head.size);
    ent_sql_bind_hash(&sql, &receipt->head.root);
    ent_sql_bind_size(&sql, receipt->cosignature.timestamp_unix_s);
    ent_sql_bind_bytes(&sql, ent_bytes_of(receipt->cosignature.signature.bytes, ENT_SIGNATURE_SIZE));
    ent_sql_bind_int(&sql, receipt->arrived_unix_s);
    ent_sql_bind_int(&sql, receipt->key);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_apart_receipt_add(ent_store *store, const ent_store_receipt *receipt, bool *ret_new, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(
        ent_sql_write(store, ENT_SQL_RECEIPT_ADD_APART,
                      "INSERT OR IGNORE INTO apart_receipts (log, receiver, size, root, timestamp_unix_s, signature,"
                      " arrived_unix_s, key) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
                      " WHERE (SELECT count(*) FROM apart_receipts WHERE log = ?1 AND receiver = ?2) < ?9",
                      &sql, err));
    ent_sql_bind_int(&sql, receipt->log);
    ent_sql_bind_int(&sql, receipt->receiver);
    ent_sql_bind_size(&sql, receipt->head.size);
    ent_sql_bind_hash(&sql, &receipt->head.root);
    ent_sql_bind_size(&sql, receipt->cosignature.timestamp_unix_s);
    ent_sql_bind_bytes(&sql, ent_bytes_of(receipt->cosignature.signature.bytes, ENT_SIGNATURE_SIZE));
    ent_sql_bind_int(&sql, receipt->arrived_unix_s);
    ent_sql_bind_int(&sql, receipt->key);
    ent_sql_bind_int(&sql, ENT_APART_MAX);
    ENT_TRY(ent_sql_run(&sql, err));
    *ret_new = ent_sql_changes(&sql) == 1;
    return ENT_DONE;
}

static void bind_receipt(ent_sql *sql, const ent_store_receipt *receipt)
{
    ent_sql_bind_int(sql, receipt->log);
    ent_sql_bind_int(sql, receipt->receiver);
    ent_sql_bind_size(sql, receipt->head.size);
    ent_sql_bind_hash(sql, &receipt->head.root);
    ent_sql_bind_size(sql, receipt->cosignature.timestamp_unix_s);
    if (is_signed(&receipt->cosignature.signature))
        ent_sql_bind_bytes(sql, ent_bytes_of(receipt->cosignature.signature.bytes, ENT_SIGNATURE_SIZE));
    else
        ent_sql_bind_null(sql);
    ent_sql_bind_int(sql, receipt->arrived_unix_s);
    ent_sql_bind_int(sql, receipt->key);
}

/* Of ours, one that was never signed gives way to one that was. */
static ent_rc complete(ent_store *store, const ent_store_receipt *receipt, bool *ret_done, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_RECEIPT_COMPLETE,
                          "UPDATE receipts SET root = ?4, timestamp_unix_s = ?5, signature = ?6, arrived_unix_s = ?7,"
                          " key = ?8 WHERE log = ?1 AND receiver = ?2 AND size = ?3 AND signature IS NULL",
                          &sql, err));
    bind_receipt(&sql, receipt);
    ENT_TRY(ent_sql_run(&sql, err));
    *ret_done = ent_sql_changes(&sql) == 1;
    return ENT_DONE;
}

static ent_rc drop_last(ent_store *store, const ent_store_receipt *receipt, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_RECEIPT_DROP_TWIN,
                          "DELETE FROM receipts WHERE log = ?1 AND receiver = ?2 AND size = ?3 AND again = 7", &sql,
                          err));
    ent_sql_bind_int(&sql, receipt->log);
    ent_sql_bind_int(&sql, receipt->receiver);
    ent_sql_bind_size(&sql, receipt->head.size);
    return ent_sql_run(&sql, err);
}

static ent_rc add_twin(ent_store *store, ent_store_receipt *receipt, uint64_t held, ent_err *err)
{
    if (held == TWINS_KEPT)
        ENT_TRY(drop_last(store, receipt, err));
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_RECEIPT_ADD_TWIN,
                          "INSERT INTO receipts (channel, log, receiver, size, root, timestamp_unix_s, signature,"
                          " arrived_unix_s, key, again) SELECT channel, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM logs"
                          " WHERE number = ?1",
                          &sql, err));
    bind_receipt(&sql, receipt);
    ent_sql_bind_size(&sql, held == TWINS_KEPT ? TWINS_KEPT - 1 : held);
    ENT_TRY(ent_sql_run(&sql, err));
    receipt->number = sqlite3_last_insert_rowid(sql.connection->db);
    return ENT_DONE;
}

static ent_rc add_again(ent_store *store, ent_store_receipt *receipt, bool *ret_new, ent_err *err)
{
    twins held;
    bool now_signed = is_signed(&receipt->cosignature.signature);
    bool done = false;
    ENT_TRY(find_twins(store, receipt, &held, err));
    if (now_signed)
        ENT_TRY(complete(store, receipt, &done, err));
    bool earlier = now_signed && !done && receipt->cosignature.timestamp_unix_s < held.earliest_unix_s;
    if (earlier)
        ENT_TRY(add_twin(store, receipt, held.count, err));
    else
        receipt->number = held.number;
    *ret_new = done || earlier;
    return ENT_DONE;
}

static ent_rc insert_first(ent_store *store, ent_store_receipt *receipt, bool *ret_added, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(
        store, ENT_SQL_RECEIPT_ADD,
        "INSERT INTO receipts (channel, log, receiver, size, root, timestamp_unix_s, signature, arrived_unix_s, key)"
        " SELECT channel, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM logs WHERE number = ?1"
        " ON CONFLICT (log, receiver, size, again) DO NOTHING",
        &sql, err));
    bind_receipt(&sql, receipt);
    ENT_TRY(ent_sql_run(&sql, err));
    *ret_added = ent_sql_changes(&sql) == 1;
    if (*ret_added)
        receipt->number = sqlite3_last_insert_rowid(sql.connection->db);
    return ENT_DONE;
}

ent_rc ent_sqlite_receipt_add(ent_store *store, ent_store_receipt *receipt, bool *ret_new, ent_err *err)
{
    bool added = false;
    ENT_TRY(insert_first(store, receipt, &added, err));
    if (!added)
        return add_again(store, receipt, ret_new, err);
    *ret_new = true;
    return ENT_DONE;
}

static ent_rc check_signed_alike(ent_store *store, int64_t number, const ent_signature *signature, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_SIGNED, "SELECT signature FROM receipts WHERE number = ?1", &sql, err));
    ent_sql_bind_int(&sql, number);
    ENT_TRY(ent_sql_row(&sql, "the receipt", err));
    ent_signature held;
    ent_sql_fixed(&sql, 0, held.bytes, sizeof held.bytes);
    ENT_TRY(ent_sql_check(&sql, err));
    if (memcmp(held.bytes, signature->bytes, sizeof held.bytes) != 0)
        return ent_fail(err, ENT_REFUSED, "design.md section 3, Signing order",
                        "receipt %lld has another signature already", (long long)number);
    return ENT_DONE;
}

ent_rc ent_sqlite_receipt_sign(ent_store *store, int64_t number, const ent_signature *signature, ent_err *err)
{
    if (!is_signed(signature))
        return ent_fail(err, ENT_USAGE, NULL, "a signature of zeros stands for none");
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_RECEIPT_SIGN,
                          "UPDATE receipts SET signature = ?1 WHERE number = ?2 AND signature IS NULL", &sql, err));
    ent_sql_bind_bytes(&sql, ent_bytes_of(signature->bytes, ENT_SIGNATURE_SIZE));
    ent_sql_bind_int(&sql, number);
    ENT_TRY(ent_sql_run(&sql, err));
    return ent_sql_changes(&sql) == 1 ? ENT_DONE : check_signed_alike(store, number, signature, err);
}

static ent_rc one_receipt(ent_sql *sql, ent_store_receipt *ret, ent_err *err)
{
    ENT_TRY(ent_sql_row(sql, "the receipt", err));
    ent_store_receipt receipt = {0};
    take_receipt(sql, &receipt);
    ENT_TRY(ent_sql_check(sql, err));
    *ret = receipt;
    return ENT_DONE;
}

ent_rc ent_sqlite_receipt_covering(ent_store *store, int64_t log, uint32_t receiver, uint64_t size,
                                   ent_store_receipt *ret, ent_err *err)
{
    if (size > INT64_MAX)
        return ent_fail(err, ENT_ABSENT, NULL, "the receipt is not in the store");
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_COVERING,
                         "SELECT " RECEIPT_COLUMNS " FROM receipts WHERE log = ?1 AND receiver = ?2 AND size >= ?3"
                         " ORDER BY size, timestamp_unix_s LIMIT 1",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, receiver);
    ent_sql_bind_size(&sql, size);
    return one_receipt(&sql, ret, err);
}

ent_rc ent_sqlite_revoked_receipt_covering(ent_store *store, int64_t log, uint32_t receiver, uint64_t size,
                                           ent_store_receipt *ret, ent_err *err)
{
    if (size > INT64_MAX)
        return ent_fail(err, ENT_ABSENT, NULL, "the receipt is not in the store");
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_COVERING_REVOKED,
                         "SELECT 0, log, receiver, size, root, timestamp_unix_s, signature, arrived_unix_s, key"
                         " FROM revoked_receipts WHERE log = ?1 AND receiver = ?2 AND size >= ?3 ORDER BY size LIMIT 1",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, receiver);
    ent_sql_bind_size(&sql, size);
    return one_receipt(&sql, ret, err);
}

ent_rc ent_sqlite_receipt_before(ent_store *store, int64_t log, int64_t number, size_t count, int64_t *ret,
                                 ent_err *err)
{
    bool found = false;
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_BEFORE,
                         "SELECT number FROM receipts WHERE log = ?1 AND number <= ?2 ORDER BY number DESC"
                         " LIMIT 1 OFFSET ?3",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, number);
    ent_sql_bind_size(&sql, count);
    ENT_TRY(ent_sql_step(&sql, &found, err));
    int64_t before = found ? ent_sql_int(&sql, 0) : 0;
    ENT_TRY(ent_sql_check(&sql, err));
    *ret = before;
    return ENT_DONE;
}

ent_rc ent_sqlite_receipt_newest(ent_store *store, int64_t log, uint32_t receiver, ent_store_receipt *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_NEWEST,
                         "SELECT " RECEIPT_COLUMNS
                         " FROM receipts WHERE log = ?1 AND receiver = ?2 ORDER BY size DESC, timestamp_unix_s LIMIT 1",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, receiver);
    return one_receipt(&sql, ret, err);
}

static ent_rc collect(ent_sql *sql, ent_buf *rows, ent_err *err)
{
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(sql, &more, err));
        if (!more)
            break;
        ent_store_receipt receipt = {0};
        take_receipt(sql, &receipt);
        ent_buf_put(rows, ent_bytes_of(&receipt, sizeof receipt));
    }
    ENT_TRY(ent_sql_check(sql, err));
    return ent_buf_check(rows, err);
}

static ent_rc give(const ent_buf *rows, ent_store_receipt_row row, void *context, ent_err *err)
{
    const ent_store_receipt *receipts = (const ent_store_receipt *)(const void *)rows->data;
    for (size_t at = 0; at < rows->size / sizeof *receipts; at++)
        ENT_TRY(row(context, &receipts[at], err));
    return ENT_DONE;
}

/* A statement that takes whose receipts, the number after which, and how many at most. */
static ent_rc walk(ent_sql *sql, int64_t of, int64_t after, size_t limit, ent_store_receipt_row row, void *context,
                   ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ent_sql_bind_int(sql, of);
    ent_sql_bind_int(sql, after);
    ent_sql_bind_size(sql, limit > INT64_MAX ? INT64_MAX : limit);
    ENT_TRY(collect(sql, &rows, err));
    ent_sql_finish(sql);
    return give(&rows, row, context, err);
}

ent_rc ent_sqlite_receipt_walk(ent_store *store, int64_t channel, int64_t after, size_t limit,
                               ent_store_receipt_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_WALK,
                         "SELECT " RECEIPT_COLUMNS
                         " FROM receipts WHERE channel = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
                         &sql, err));
    return walk(&sql, channel, after, limit, row, context, err);
}

ent_rc ent_sqlite_receipt_log_walk(ent_store *store, int64_t log, int64_t after, size_t limit,
                                   ent_store_receipt_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(
        store, ENT_SQL_RECEIPT_LOG_WALK,
        "SELECT " RECEIPT_COLUMNS " FROM receipts WHERE log = ?1 AND number > ?2 ORDER BY number LIMIT ?3", &sql, err));
    return walk(&sql, log, after, limit, row, context, err);
}

ent_rc ent_sqlite_receipt_unsigned_walk(ent_store *store, ent_store_receipt_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_UNSIGNED,
                         "SELECT " RECEIPT_COLUMNS " FROM receipts WHERE signature IS NULL ORDER BY number", &sql,
                         err));
    ENT_TRY(collect(&sql, &rows, err));
    ent_sql_finish(&sql);
    return give(&rows, row, context, err);
}

ent_rc ent_sqlite_apart_receipt_walk(ent_store *store, int64_t log, ent_store_receipt_row row, void *context,
                                     ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RECEIPT_WALK_APART,
                         "SELECT 0, log, receiver, size, root, timestamp_unix_s, signature, arrived_unix_s, key"
                         " FROM apart_receipts WHERE log = ?1 ORDER BY receiver, size, root",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ENT_TRY(collect(&sql, &rows, err));
    ent_sql_finish(&sql);
    return give(&rows, row, context, err);
}
