#include "store/sqlite/internal.h"

#include "base/alloc.h"

enum { DAY_S = 24 * 60 * 60 };

/* ---- writing ---- */

/* Whether the key is there already; then it was seen again. */
static ent_rc see_again(ent_store *store, ent_text key, int64_t now_unix_s, bool *ret_known, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_ALERT_SEEN,
                          "UPDATE alerts SET seen_unix_s = max(seen_unix_s, ?1) WHERE key = ?2", &sql, err));
    ent_sql_bind_int(&sql, now_unix_s);
    ent_sql_bind_text(&sql, key);
    ENT_TRY(ent_sql_run(&sql, err));
    *ret_known = ent_sql_changes(&sql) > 0;
    return ENT_DONE;
}

static ent_rc clean_finished(ent_store *store, int64_t now_unix_s, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_ALERT_CLEAN,
                          "DELETE FROM alerts WHERE seen_unix_s < ?1"
                          " AND NOT EXISTS (SELECT 1 FROM alert_sinks WHERE alert = alerts.number AND state = 1)",
                          &sql, err));
    ent_sql_bind_int(&sql, now_unix_s - (int64_t)ENT_ALERT_KEPT_DAYS * DAY_S);
    return ent_sql_run(&sql, err);
}

static ent_rc add_sinks(ent_store *store, int64_t alert, const ent_sink *sinks, size_t count, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_ALERT_SINK_ADD,
                          "INSERT INTO alert_sinks (alert, sink, state, attempts, next_unix_s, last_error)"
                          " VALUES (?1, ?2, 1, 0, 0, '')",
                          &sql, err));
    for (size_t i = 0; i < count; i++) {
        ent_sql_bind_int(&sql, alert);
        ent_sql_bind_int(&sql, (int64_t)sinks[i]);
        ENT_TRY(ent_sql_run(&sql, err));
    }
    return ENT_DONE;
}

static ent_rc add_alert(ent_store *store, ent_text key, ent_text json, int64_t now_unix_s, int64_t *ret_number,
                        ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_ALERT_ADD,
                          "INSERT INTO alerts (key, created_unix_s, seen_unix_s, json) VALUES (?1, ?2, ?2, ?3)", &sql,
                          err));
    ent_sql_bind_text(&sql, key);
    ent_sql_bind_int(&sql, now_unix_s);
    ent_sql_bind_text(&sql, json);
    ENT_TRY(ent_sql_run(&sql, err));
    *ret_number = sqlite3_last_insert_rowid(sql.connection->db);
    return ENT_DONE;
}

/* Everything that can be wrong with what was given: a refusal must come before the first write. */
static ent_rc check_alert(ent_text key, ent_text json, const ent_sink *sinks, size_t sink_count, ent_err *err)
{
    unsigned seen = 0;
    if (key.size == 0 || key.size > ENT_ALERT_KEY_MAX_BYTES)
        return ent_fail(err, ENT_USAGE, NULL, "an alert's key has 1 to %d bytes, not %zu", ENT_ALERT_KEY_MAX_BYTES,
                        key.size);
    if (json.size == 0)
        return ent_fail(err, ENT_USAGE, NULL, "an alert says something");
    for (size_t i = 0; i < sink_count; i++) {
        if (sinks[i] < ENT_SINK_EMAIL || sinks[i] > ENT_SINK_EXECUTE || (seen & 1U << sinks[i]) != 0)
            return ent_fail(err, ENT_USAGE, NULL, "an alert goes to each sink once");
        seen |= 1U << sinks[i];
    }
    return ENT_DONE;
}

ent_rc ent_sqlite_alert_put(ent_store *store, ent_text key, ent_text json, const ent_sink *sinks, size_t sink_count,
                            int64_t now_unix_s, bool *ret_new, ent_err *err)
{
    bool known = false;
    int64_t number = 0;
    ENT_TRY(check_alert(key, json, sinks, sink_count, err));
    ENT_TRY(see_again(store, key, now_unix_s, &known, err));
    if (!known) {
        ENT_TRY(clean_finished(store, now_unix_s, err));
        ENT_TRY(add_alert(store, key, json, now_unix_s, &number, err));
        ENT_TRY(add_sinks(store, number, sinks, sink_count, err));
    }
    *ret_new = !known;
    return ENT_DONE;
}

/* Whether the row may be written: it is there, and was not delivered. */
static ent_rc check_sink(ent_store *store, const ent_store_alert_sink *sink, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    if (sink->state < ENT_ALERT_WAITING || sink->state > ENT_ALERT_DROPPED)
        return ent_fail(err, ENT_USAGE, NULL, "an alert has no such state");
    ENT_TRY(ent_sql_read(store, ENT_SQL_ALERT_SINK_STATE,
                         "SELECT state FROM alert_sinks WHERE alert = ?1 AND sink = ?2", &sql, err));
    ent_sql_bind_int(&sql, sink->alert);
    ent_sql_bind_int(&sql, (int64_t)sink->sink);
    ENT_TRY(ent_sql_row(&sql, "the alert", err));
    if (ent_sql_int(&sql, 0) == ENT_ALERT_DELIVERED)
        return ent_fail(err, ENT_REFUSED, NULL, "the alert was delivered already");
    return ENT_DONE;
}

ent_rc ent_sqlite_alert_sink_put(ent_store *store, const ent_store_alert_sink *sink, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_write(store, ENT_SQL_ALERT_SINK_PUT,
                          "UPDATE alert_sinks SET state = ?3, attempts = ?4, next_unix_s = ?5, last_error = ?6"
                          " WHERE alert = ?1 AND sink = ?2",
                          &sql, err));
    ENT_TRY(check_sink(store, sink, err));
    ent_sql_bind_int(&sql, sink->alert);
    ent_sql_bind_int(&sql, (int64_t)sink->sink);
    ent_sql_bind_int(&sql, (int64_t)sink->state);
    ent_sql_bind_size(&sql, sink->attempts);
    ent_sql_bind_int(&sql, sink->next_unix_s);
    ent_sql_bind_text(&sql, (ent_text){sink->last_error, strnlen(sink->last_error, sizeof sink->last_error)});
    return ent_sql_run(&sql, err);
}

ent_rc ent_sqlite_message_read_put(ent_store *store, int64_t log, uint64_t index, int64_t now_unix_s, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    int64_t id = 0;
    if (!ent_store_entry_key(log, index, &id))
        return ent_fail(err, ENT_USAGE, NULL, "no such entry can be in the store");
    ENT_TRY(ent_sql_write(store, ENT_SQL_READ_PUT, "INSERT OR IGNORE INTO reads (id, read_unix_s) VALUES (?1, ?2)",
                          &sql, err));
    ent_sql_bind_int(&sql, id);
    ent_sql_bind_int(&sql, now_unix_s);
    return ent_sql_run(&sql, err);
}

/* ---- reading ---- */

/* The one number that a statement with a parameter gives; 0 when there is no row. */
static ent_rc one_number(ent_sql *sql, int64_t *ret, ent_err *err)
{
    bool found = false;
    ENT_TRY(ent_sql_step(sql, &found, err));
    *ret = found ? ent_sql_int(sql, 0) : 0;
    return ENT_DONE;
}

ent_rc ent_sqlite_alert_get(ent_store *store, ent_text key, int64_t *ret_unix_s, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_ALERT_GET, "SELECT seen_unix_s FROM alerts WHERE key = ?1", &sql, err));
    ent_sql_bind_text(&sql, key);
    return one_number(&sql, ret_unix_s, err);
}

ent_rc ent_sqlite_message_read_get(ent_store *store, int64_t log, uint64_t index, int64_t *ret_unix_s, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    int64_t id = 0;
    if (!ent_store_entry_key(log, index, &id))
        return ent_fail(err, ENT_USAGE, NULL, "no such entry can be in the store");
    ENT_TRY(ent_sql_read(store, ENT_SQL_READ_GET, "SELECT read_unix_s FROM reads WHERE id = ?1", &sql, err));
    ent_sql_bind_int(&sql, id);
    return one_number(&sql, ret_unix_s, err);
}

typedef struct {
    ent_store_alert alert;
    size_t text_at; /* key, then JSON */
} alert_row;

static ent_rc take_sinks(ent_store *store, ent_store_alert *alert, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_ALERT_SINKS,
                         "SELECT sink, state, attempts, next_unix_s, last_error FROM alert_sinks WHERE alert = ?1"
                         " ORDER BY sink",
                         &sql, err));
    ent_sql_bind_int(&sql, alert->number);
    for (alert->sink_count = 0; alert->sink_count < ENT_SINK_COUNT; alert->sink_count++) {
        bool more = false;
        ent_store_alert_sink *sink = &alert->sinks[alert->sink_count];
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        sink->alert = alert->number;
        int64_t which = ent_sql_int(&sql, 0);
        int64_t state = ent_sql_int(&sql, 1);
        sink->sink = (ent_sink)which;
        sink->state = (ent_alert_state)state;
        sink->attempts = ent_sql_size(&sql, 2);
        sink->next_unix_s = ent_sql_int(&sql, 3);
        ent_sql_string(&sql, 4, sink->last_error, sizeof sink->last_error);
    }
    return ent_sql_check(&sql, err);
}

static ent_rc prepare_walk(ent_store *store, bool waiting, ent_sql *ret, ent_err *err)
{
    if (waiting)
        return ent_sql_read(store, ENT_SQL_ALERT_WALK_WAITING,
                            "SELECT number, created_unix_s, key, json FROM"
                            " (SELECT DISTINCT alert FROM alert_sinks WHERE state = 1 AND alert < ?1"
                            "  ORDER BY alert DESC LIMIT ?2) JOIN alerts ON number = alert ORDER BY number DESC",
                            ret, err);
    return ent_sql_read(store, ENT_SQL_ALERT_WALK,
                        "SELECT number, created_unix_s, key, json FROM alerts WHERE number < ?1"
                        " ORDER BY number DESC LIMIT ?2",
                        ret, err);
}

static ent_rc collect_alerts(ent_store *store, bool waiting, int64_t before, size_t limit, ent_buf *rows,
                             ent_buf *texts, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(prepare_walk(store, waiting, &sql, err));
    ent_sql_bind_int(&sql, before);
    ent_sql_bind_int(&sql, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
    for (;;) {
        bool more = false;
        ENT_TRY(ent_sql_step(&sql, &more, err));
        if (!more)
            break;
        alert_row row = {.text_at = texts->size};
        row.alert.number = ent_sql_int(&sql, 0);
        row.alert.created_unix_s = ent_sql_int(&sql, 1);
        row.alert.key.size = ent_sql_bytes(&sql, 2).size;
        row.alert.json.size = ent_sql_bytes(&sql, 3).size;
        ent_buf_put(texts, ent_sql_bytes(&sql, 2));
        ent_buf_put(texts, ent_sql_bytes(&sql, 3));
        ent_buf_put(rows, ent_bytes_of(&row, sizeof row));
    }
    ENT_TRY(ent_buf_check(texts, err));
    return ent_buf_check(rows, err);
}

ent_rc ent_sqlite_alert_walk(ent_store *store, bool waiting, int64_t before, size_t limit, ent_store_alert_row row,
                             void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf rows = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf texts = {0};
    ENT_TRY(collect_alerts(store, waiting, before, limit, &rows, &texts, err));
    alert_row *alerts = (alert_row *)(void *)rows.data;
    for (size_t at = 0; at < rows.size / sizeof *alerts; at++) {
        ent_store_alert *alert = &alerts[at].alert;
        alert->key.data = (const char *)texts.data + alerts[at].text_at;
        alert->json.data = alert->key.data + alert->key.size;
        ENT_TRY(take_sinks(store, alert, err));
        ENT_TRY(row(context, alert, err));
    }
    return ENT_DONE;
}
