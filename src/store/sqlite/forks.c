#include "store/sqlite/internal.h"

/* The same proof shown again is not kept twice. */
ent_rc ent_sqlite_fork_add(ent_store *store, const ent_store_fork *fork, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_FORK_ADD,
                          "INSERT INTO forks (log, seen_unix_s, note, held, proof) SELECT ?1, ?2, ?3, ?4, ?5"
                          " WHERE NOT EXISTS (SELECT 1 FROM forks WHERE log = ?1 AND note = ?3 AND held = ?4)",
                          &sql, err));
    ent_sql_bind_int(&sql, fork->log);
    ent_sql_bind_int(&sql, fork->seen_unix_s);
    ent_sql_bind_bytes(&sql, fork->note);
    ent_sql_bind_bytes(&sql, fork->held);
    ent_sql_bind_bytes(&sql, fork->proof);
    return ent_sql_run(&sql, err);
}

/* A row while it is kept: note, held and proof stand one behind the other. */
typedef struct {
    ent_store_fork fork; /* without its bytes */
    size_t at;
    size_t sizes[3];
} fork_row;

static ent_rc collect_forks(ent_store *store, int64_t log, ent_buf *rows, ent_buf *bytes, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_FORK_WALK,
                         "SELECT number, log, seen_unix_s, note, held, proof FROM forks WHERE log = ?1 ORDER BY number",
                         &sql, err));
    ent_sql_bind_int(&sql, log);
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        fork_row row = {.at = bytes->size};
        row.fork.number = ent_sql_int(&sql, 0);
        row.fork.log = ent_sql_int(&sql, 1);
        row.fork.seen_unix_s = ent_sql_int(&sql, 2);
        for (int i = 0; i < 3; i++) {
            row.sizes[i] = ent_sql_bytes(&sql, 3 + i).size;
            ent_buf_put(bytes, ent_sql_bytes(&sql, 3 + i));
        }
        ent_buf_put(rows, ent_bytes_of(&row, sizeof row));
    }
    ENT_TRY(ent_buf_check(bytes, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_fork_walk(ent_store *store, int64_t log, ent_store_fork_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_TRY(collect_forks(store, log, &rows, &bytes, err));
    const fork_row *forks = (const fork_row *)(const void *)rows.data;
    for (size_t i = 0; i < rows.size / sizeof *forks; i++) {
        ent_store_fork fork = forks[i].fork;
        const uint8_t *at = bytes.data + forks[i].at;
        fork.note = ent_bytes_of(at, forks[i].sizes[0]);
        fork.held = ent_bytes_of(at + forks[i].sizes[0], forks[i].sizes[1]);
        fork.proof = ent_bytes_of(at + forks[i].sizes[0] + forks[i].sizes[1], forks[i].sizes[2]);
        ENT_TRY(row(context, &fork, err));
    }
    return ENT_DONE;
}
