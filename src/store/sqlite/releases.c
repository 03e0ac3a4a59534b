#include "store/sqlite/internal.h"

ent_rc ent_sqlite_release_add(ent_store *store, ent_store_released *release, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_RELEASE_ADD,
                          "INSERT INTO releases (channel, released_unix_s, size, unanswered) VALUES (?1, ?2, ?3, ?4)",
                          &sql, err));
    ent_sql_bind_int(&sql, release->channel);
    ent_sql_bind_int(&sql, release->released_unix_s);
    ent_sql_bind_size(&sql, release->size);
    ent_sql_bind_text(&sql, release->unanswered);
    ENT_TRY(ent_sql_run(&sql, err));
    release->number = sqlite3_last_insert_rowid(sql.connection->db);
    return ENT_DONE;
}

typedef struct {
    ent_store_released release;
    size_t text_at;
} release_row;

static ent_rc collect(ent_store *store, int64_t channel, ent_buf *rows, ent_buf *texts, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_RELEASE_WALK,
                         "SELECT number, channel, released_unix_s, size, unanswered FROM releases WHERE channel = ?1"
                         " ORDER BY number",
                         &sql, err));
    ent_sql_bind_int(&sql, channel);
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        release_row row = {.text_at = texts->size};
        row.release.number = ent_sql_int(&sql, 0);
        row.release.channel = ent_sql_int(&sql, 1);
        row.release.released_unix_s = ent_sql_int(&sql, 2);
        row.release.size = ent_sql_size(&sql, 3);
        ent_bytes text = ent_sql_bytes(&sql, 4);
        row.release.unanswered.size = text.size;
        ent_buf_put(texts, text);
        ent_buf_put(rows, ent_bytes_of(&row, sizeof row));
    }
    ENT_TRY(ent_sql_check(&sql, err));
    ENT_TRY(ent_buf_check(texts, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_release_walk(ent_store *store, int64_t channel, ent_store_release_row row, void *context,
                               ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf texts = {0};
    ENT_TRY(collect(store, channel, &rows, &texts, err));
    release_row *found = (release_row *)(void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *found; at++) {
        found[at].release.unanswered.data = (const char *)texts.data + found[at].text_at;
        ENT_TRY(row(context, &found[at].release, err));
    }
    return ENT_DONE;
}
