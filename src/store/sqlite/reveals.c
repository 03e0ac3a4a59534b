#include "store/sqlite/internal.h"

ent_rc ent_sqlite_reveal_put(ent_store *store, const ent_store_revealed *revealed, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    int64_t id = 0;
    if (!ent_store_entry_key(revealed->log, revealed->index, &id))
        return ent_fail(err, ENT_USAGE, NULL, "no such entry can be in the store");
    ENT_TRY(ent_sql_write(store, ENT_SQL_REVEAL_PUT,
                          "INSERT OR IGNORE INTO reveals (id, shown_by, state) VALUES (?1, ?2, ?3)", &sql, err));
    ent_sql_bind_int(&sql, id);
    ent_sql_bind_int(&sql, (int64_t)revealed->by);
    ent_sql_bind_int(&sql, (int64_t)revealed->state);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_reveal_get(ent_store *store, int64_t log, uint64_t index, ent_store_revealed *ret, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    int64_t id = 0;
    bool found = false;
    if (!ent_store_entry_key(log, index, &id))
        return ent_fail(err, ENT_USAGE, NULL, "no such entry can be in the store");
    ENT_TRY(ent_sql_read(store, ENT_SQL_REVEAL_GET, "SELECT shown_by, state FROM reveals WHERE id = ?1", &sql, err));
    ent_sql_bind_int(&sql, id);
    ENT_TRY(ent_sql_step(&sql, &found, err));
    if (!found)
        return ent_fail(err, ENT_ABSENT, NULL, "no file key was shown");
    bool good = ent_sql_int(&sql, 1) == ENT_REVEALED_GOOD;
    *ret = (ent_store_revealed){.log = log, .index = index, .by = (uint64_t)ent_sql_int(&sql, 0)};
    ret->state = good ? ENT_REVEALED_GOOD : ENT_REVEALED_BAD;
    return ENT_DONE;
}
