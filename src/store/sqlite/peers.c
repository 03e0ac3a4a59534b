#include "store/sqlite/internal.h"

ent_rc ent_sqlite_peer_put(ent_store *store, ent_text name, uint64_t serial, ent_bytes card, int64_t now_unix_s,
                           ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_PEER_PUT,
                          "INSERT INTO peers (name, serial, added_unix_s, card) VALUES (?1, ?2, ?3, ?4)"
                          " ON CONFLICT (name) DO UPDATE SET serial = excluded.serial, card = excluded.card"
                          " WHERE excluded.serial >= serial",
                          &sql, err));
    ent_sql_bind_text(&sql, name);
    ent_sql_bind_size(&sql, serial);
    ent_sql_bind_int(&sql, now_unix_s);
    ent_sql_bind_bytes(&sql, card);
    ENT_TRY(ent_sql_run(&sql, err));
    if (ent_sql_changes(&sql) == 0)
        return ent_fail(err, ENT_REFUSED, "design.md section 2, Card", "a newer card of %.*s than serial %llu is held",
                        ENT_TEXT_ARG(name), (unsigned long long)serial);
    return ENT_DONE;
}

ent_rc ent_sqlite_peer_remove(ent_store *store, ent_text name, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_PEER_REMOVE, "DELETE FROM peers WHERE name = ?1", &sql, err));
    ent_sql_bind_text(&sql, name);
    ENT_TRY(ent_sql_run(&sql, err));
    if (ent_sql_changes(&sql) == 0)
        return ent_fail(err, ENT_ABSENT, NULL, "the peer %.*s is not in the store", ENT_TEXT_ARG(name));
    return ENT_DONE;
}

static void take_peer(ent_sql *sql, ent_store_peer *ret)
{
    ent_sql_string(sql, 0, ret->name, sizeof ret->name);
    ret->serial = ent_sql_size(sql, 1);
    ret->added_unix_s = ent_sql_int(sql, 2);
}

ent_rc ent_sqlite_peer_get(ent_store *store, ent_text name, ent_store_peer *ret, ent_buf *ret_card, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_PEER_GET, "SELECT name, serial, added_unix_s, card FROM peers WHERE name = ?1",
                         &sql, err));
    ent_sql_bind_text(&sql, name);
    ENT_TRY(ent_sql_row(&sql, "the peer", err));
    ent_store_peer peer = {0};
    take_peer(&sql, &peer);
    ENT_TRY(ent_sql_check(&sql, err));
    if (ret_card != NULL) {
        ent_buf_put(ret_card, ent_sql_bytes(&sql, 3));
        ENT_TRY(ent_buf_check(ret_card, err));
    }
    *ret = peer;
    return ENT_DONE;
}

/* Every walk first takes its rows and gives the connection back, so that the caller's function may use the store. */
typedef struct {
    ent_store_peer peer;
    size_t card_at;
    size_t card_size;
} peer_row;

static ent_rc collect_peers(ent_store *store, ent_buf *rows, ent_buf *cards, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_PEER_WALK, "SELECT name, serial, added_unix_s, card FROM peers ORDER BY name",
                         &sql, err));
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        ent_bytes card = ent_sql_bytes(&sql, 3);
        peer_row row = {.card_at = cards->size, .card_size = card.size};
        take_peer(&sql, &row.peer);
        ent_buf_put(cards, card);
        ent_buf_put(rows, ent_bytes_of(&row, sizeof row));
    }
    ENT_TRY(ent_sql_check(&sql, err));
    ENT_TRY(ent_buf_check(cards, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_peer_walk(ent_store *store, ent_store_peer_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf cards = {0};
    ENT_TRY(collect_peers(store, &rows, &cards, err));
    const peer_row *peers = (const peer_row *)(const void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *peers; at++)
        ENT_TRY(row(context, &peers[at].peer, ent_bytes_of(cards.data + peers[at].card_at, peers[at].card_size), err));
    return ENT_DONE;
}
