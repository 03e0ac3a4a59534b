#include "store/sqlite/internal.h"

ent_rc ent_sqlite_delivery_put(ent_store *store, const ent_store_delivery *delivery, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(
        store, ENT_SQL_DELIVERY_PUT,
        "INSERT INTO deliveries (log, member, confirmed, receipts_sent, refused, reason, last_success_unix_s,"
        " last_attempt_unix_s, receipts_again) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT (log, member) DO UPDATE SET confirmed = excluded.confirmed,"
        " receipts_sent = excluded.receipts_sent, refused = excluded.refused, reason = excluded.reason,"
        " last_success_unix_s = excluded.last_success_unix_s, last_attempt_unix_s = excluded.last_attempt_unix_s,"
        " receipts_again = excluded.receipts_again",
        &sql, err));
    ent_sql_bind_int(&sql, delivery->log);
    ent_sql_bind_int(&sql, delivery->member);
    ent_sql_bind_size(&sql, delivery->confirmed);
    ent_sql_bind_int(&sql, delivery->receipts_sent);
    ent_sql_bind_int(&sql, delivery->refused);
    ent_sql_bind_text(&sql, (ent_text){delivery->reason, strnlen(delivery->reason, sizeof delivery->reason)});
    ent_sql_bind_int(&sql, delivery->last_success_unix_s);
    ent_sql_bind_int(&sql, delivery->last_attempt_unix_s);
    ent_sql_bind_int(&sql, delivery->receipts_again);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_delivery_get(ent_store *store, int64_t log, uint32_t member, ent_store_delivery *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_DELIVERY_GET,
                         "SELECT confirmed, receipts_sent, refused, reason, last_success_unix_s, last_attempt_unix_s,"
                         " receipts_again FROM deliveries WHERE log = ?1 AND member = ?2",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, member);
    bool found = false;
    ENT_TRY(ent_sql_step(&sql, &found, err));
    ent_store_delivery delivery = {.log = log, .member = member};
    if (found) {
        delivery.confirmed = ent_sql_size(&sql, 0);
        delivery.receipts_sent = ent_sql_int(&sql, 1);
        delivery.refused = ent_sql_bool(&sql, 2);
        ent_sql_string(&sql, 3, delivery.reason, sizeof delivery.reason);
        delivery.last_success_unix_s = ent_sql_int(&sql, 4);
        delivery.last_attempt_unix_s = ent_sql_int(&sql, 5);
        delivery.receipts_again = ent_sql_int(&sql, 6);
        ENT_TRY(ent_sql_check(&sql, err));
    }
    *ret = delivery;
    return ENT_DONE;
}
