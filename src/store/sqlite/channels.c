#include "store/sqlite/internal.h"

#define CHANNEL_COLUMNS "number, id, state, alias, added_unix_s"

static void take_channel(ent_sql *sql, ent_store_channel *ret)
{
    ret->number = ent_sql_int(sql, 0);
    ent_sql_fixed(sql, 1, ret->id.bytes, sizeof ret->id.bytes);
    int64_t state = ent_sql_int(sql, 2);
    ret->state = (ent_channel_state)state;
    ent_sql_string(sql, 3, ret->alias, sizeof ret->alias);
    ret->added_unix_s = ent_sql_int(sql, 4);
}

static ent_text alias_of(const ent_store_channel *channel)
{
    return (ent_text){channel->alias, strnlen(channel->alias, sizeof channel->alias)};
}

/* The unique constraints are the only ones that a caller can meet in use. */
static ent_rc name_conflict(ent_rc rc, const ent_store_channel *channel, ent_err *err)
{
    if (rc.code != ENT_REFUSED)
        return rc;
    return ent_fail(err, ENT_REFUSED, NULL, "the channel is in the store already, or another has the alias \"%.*s\"",
                    ENT_TEXT_ARG(alias_of(channel)));
}

ent_rc ent_sqlite_channel_add(ent_store *store, ent_store_channel *channel, ent_bytes genesis, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_CHANNEL_ADD,
                          "INSERT INTO channels (id, state, alias, added_unix_s, genesis) VALUES (?1, ?2, ?3, ?4, ?5)",
                          &sql, err));
    ent_sql_bind_hash(&sql, &channel->id);
    ent_sql_bind_int(&sql, channel->state);
    ent_sql_bind_text(&sql, alias_of(channel));
    ent_sql_bind_int(&sql, channel->added_unix_s);
    ent_sql_bind_bytes(&sql, genesis);
    ENT_TRY(name_conflict(ent_sql_run(&sql, err), channel, err));
    channel->number = sqlite3_last_insert_rowid(sql.connection->db);
    return ENT_DONE;
}

ent_rc ent_sqlite_channel_update(ent_store *store, const ent_store_channel *channel, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_CHANNEL_UPDATE, "UPDATE channels SET state = ?1, alias = ?2 WHERE number = ?3",
                          &sql, err));
    ent_sql_bind_int(&sql, channel->state);
    ent_sql_bind_text(&sql, alias_of(channel));
    ent_sql_bind_int(&sql, channel->number);
    ENT_TRY(name_conflict(ent_sql_run(&sql, err), channel, err));
    if (ent_sql_changes(&sql) == 0)
        return ent_fail(err, ENT_ABSENT, NULL, "the channel is not in the store");
    return ENT_DONE;
}

ent_rc ent_sqlite_channel_get(ent_store *store, const ent_hash *id, ent_store_channel *ret, ent_buf *ret_genesis,
                              ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_CHANNEL_GET, "SELECT " CHANNEL_COLUMNS ", genesis FROM channels WHERE id = ?1",
                         &sql, err));
    ent_sql_bind_hash(&sql, id);
    ENT_TRY(ent_sql_row(&sql, "the channel", err));
    ent_store_channel channel = {0};
    take_channel(&sql, &channel);
    ENT_TRY(ent_sql_check(&sql, err));
    if (ret_genesis != NULL) {
        ent_buf_put(ret_genesis, ent_sql_bytes(&sql, 5));
        ENT_TRY(ent_buf_check(ret_genesis, err));
    }
    *ret = channel;
    return ENT_DONE;
}

static ent_rc collect_channels(ent_store *store, ent_buf *rows, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_CHANNEL_WALK, "SELECT " CHANNEL_COLUMNS " FROM channels ORDER BY number", &sql,
                         err));
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        ent_store_channel channel = {0};
        take_channel(&sql, &channel);
        ent_buf_put(rows, ent_bytes_of(&channel, sizeof channel));
    }
    ENT_TRY(ent_sql_check(&sql, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_channel_walk(ent_store *store, ent_store_channel_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_TRY(collect_channels(store, &rows, err));
    const ent_store_channel *channels = (const ent_store_channel *)(const void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *channels; at++)
        ENT_TRY(row(context, &channels[at], err));
    return ENT_DONE;
}

ent_rc ent_sqlite_invite_put(ent_store *store, int64_t channel, ent_bytes pouch, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    if (pouch.size == 0) {
        ENT_TRY(ent_sql_write(store, ENT_SQL_INVITE_FORGET, "DELETE FROM invites WHERE channel = ?1", &sql, err));
        ent_sql_bind_int(&sql, channel);
        return ent_sql_run(&sql, err);
    }
    ENT_TRY(ent_sql_write(store, ENT_SQL_INVITE_PUT,
                          "INSERT INTO invites (channel, pouch) VALUES (?1, ?2)"
                          " ON CONFLICT (channel) DO UPDATE SET pouch = excluded.pouch",
                          &sql, err));
    ent_sql_bind_int(&sql, channel);
    ent_sql_bind_bytes(&sql, pouch);
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_invite_get(ent_store *store, int64_t channel, ent_buf *ret_pouch, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_INVITE_GET, "SELECT pouch FROM invites WHERE channel = ?1", &sql, err));
    ent_sql_bind_int(&sql, channel);
    ENT_TRY(ent_sql_row(&sql, "the invitation", err));
    ent_buf_put(ret_pouch, ent_sql_bytes(&sql, 0));
    return ent_buf_check(ret_pouch, err);
}
