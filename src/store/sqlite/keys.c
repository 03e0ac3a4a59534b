#include "store/sqlite/internal.h"

ent_rc ent_sqlite_keys_put(ent_store *store, const ent_store_keys *keys, ent_bytes card, ent_bytes cutoffs,
                           ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_KEYS_PUT,
                          "INSERT INTO keys (log, serial, announced, card, cutoffs) VALUES (?1, ?2, ?3, ?4, ?5)"
                          " ON CONFLICT (log) DO UPDATE SET serial = excluded.serial, announced = excluded.announced,"
                          " card = excluded.card, cutoffs = excluded.cutoffs",
                          &sql, err));
    ent_sql_bind_int(&sql, keys->log);
    ent_sql_bind_size(&sql, keys->serial);
    ent_sql_bind_size(&sql, keys->announced);
    ent_sql_bind_bytes(&sql, card);
    ent_sql_bind_bytes(&sql, cutoffs);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_keys_get(ent_store *store, int64_t log, ent_store_keys *ret, ent_buf *ret_card, ent_buf *ret_cutoffs,
                           ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ent_store_keys keys = {.log = log};
    ENT_TRY(ent_sql_read(store, ENT_SQL_KEYS_GET, "SELECT serial, announced, card, cutoffs FROM keys WHERE log = ?1",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    ENT_TRY(ent_sql_row(&sql, "a card after the genesis", err));
    keys.serial = ent_sql_size(&sql, 0);
    keys.announced = ent_sql_size(&sql, 1);
    if (ret_card != NULL) {
        ent_buf_put(ret_card, ent_sql_bytes(&sql, 2));
        ENT_TRY(ent_buf_check(ret_card, err));
    }
    if (ret_cutoffs != NULL) {
        ent_buf_put(ret_cutoffs, ent_sql_bytes(&sql, 3));
        ENT_TRY(ent_buf_check(ret_cutoffs, err));
    }
    ENT_TRY(ent_sql_check(&sql, err));
    *ret = keys;
    return ENT_DONE;
}
