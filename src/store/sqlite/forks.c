#include "store/sqlite/internal.h"

/* The same proof shown again is not kept twice. */
ent_rc ent_sqlite_fork_add(ent_store *store, int64_t log, ent_bytes note, ent_bytes held, int64_t now_unix_s,
                           ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_FORK_ADD,
                          "INSERT INTO forks (log, seen_unix_s, note, held) SELECT ?1, ?2, ?3, ?4"
                          " WHERE NOT EXISTS (SELECT 1 FROM forks WHERE log = ?1 AND note = ?3 AND held = ?4)",
                          &sql, err));
    ent_sql_bind_int(&sql, log);
    ent_sql_bind_int(&sql, now_unix_s);
    ent_sql_bind_bytes(&sql, note);
    ent_sql_bind_bytes(&sql, held);
    return ent_sql_run(&sql, err);
}

typedef struct {
    ent_store_fork fork;
    size_t note_at;
    size_t note_size;
    size_t held_size; /* right behind the note */
} fork_row;

static ent_rc collect_forks(ent_store *store, int64_t log, ent_buf *rows, ent_buf *notes, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_FORK_WALK,
                         "SELECT number, log, seen_unix_s, note, held FROM forks WHERE log = ?1 ORDER BY number", &sql,
                         err));
    ent_sql_bind_int(&sql, log);
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        fork_row row = {.note_at = notes->size};
        row.fork.number = ent_sql_int(&sql, 0);
        row.fork.log = ent_sql_int(&sql, 1);
        row.fork.seen_unix_s = ent_sql_int(&sql, 2);
        row.note_size = ent_sql_bytes(&sql, 3).size;
        row.held_size = ent_sql_bytes(&sql, 4).size;
        ent_buf_put(notes, ent_sql_bytes(&sql, 3));
        ent_buf_put(notes, ent_sql_bytes(&sql, 4));
        ent_buf_put(rows, ent_bytes_of(&row, sizeof row));
    }
    ENT_TRY(ent_buf_check(notes, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_fork_walk(ent_store *store, int64_t log, ent_store_fork_row row, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf notes = {0};
    ENT_TRY(collect_forks(store, log, &rows, &notes, err));
    const fork_row *forks = (const fork_row *)(const void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *forks; at++) {
        const uint8_t *note = notes.data + forks[at].note_at;
        ENT_TRY(row(context, &forks[at].fork, ent_bytes_of(note, forks[at].note_size),
                    ent_bytes_of(note + forks[at].note_size, forks[at].held_size), err));
    }
    return ENT_DONE;
}
