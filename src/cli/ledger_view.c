#include "cli/ledger_view.h"

#include "cli/moment.h"
#include "cli/people.h"
#include "cli/table.h"

enum { TABLE_FROM_COLUMNS = 150, SOON_S = 3600, EXPIRING_S = 30 * 86400, DETAIL_INDENT = 4 };

void ent_cli_put_msg(ent_buf *buf, ent_json_value channel, ent_text message)
{
    const char *first = message.size == 0 ? NULL : memchr(message.data, '/', message.size);
    size_t head = first == NULL ? 0 : (size_t)(first - message.data) + 1;
    bool is_whole = first != NULL && memchr(first + 1, '/', message.size - head) != NULL;
    ent_text label = ent_cli_channel_label(channel);
    if (message.size == 0)
        return;
    if (is_whole)
        message = (ent_text){message.data + head, message.size - head};
    if (label.size > 0) {
        ent_buf_put_text(buf, label);
        ent_buf_put_u8(buf, '/');
    }
    ent_buf_put_text(buf, message);
}

static void put_plain_time(ent_buf *buf, ent_text time)
{
    int64_t unix_s = 0;
    if (ent_time_parse(time, &unix_s))
        ent_buf_put_format(buf, "%.10s %.8s", time.data, time.data + 11);
    else
        ent_buf_put_text(buf, time);
}

/* ---- duties --------------------------------------------------------------------- */

/* One row, in words. Release with release_words. */
typedef struct {
    ent_buf due;
    ent_buf owes;
    ent_buf what;
    ent_buf message;
    ent_buf clock;
    ent_text state;
    ent_buf shown; /* the state, and what else is to be said of it */
    ent_cli_style style;
} words;

static void release_words(words *row)
{
    ent_buf_release(&row->shown);
    ent_buf_release(&row->due);
    ent_buf_release(&row->owes);
    ent_buf_release(&row->what);
    ent_buf_release(&row->message);
    ent_buf_release(&row->clock);
}

static void put_due(ent_buf *buf, ent_json_value row, int64_t now)
{
    ent_text due = ent_cli_text(row, "due");
    int64_t unix_s = 0;
    uint64_t left = 0;
    if (ent_time_parse(due, &unix_s)) {
        put_plain_time(buf, due);
        ent_buf_put_string(buf, " (");
        ent_cli_put_distance(buf, unix_s, now);
        ent_buf_put_u8(buf, ')');
    } else if (ent_json_unsigned(ent_json_get(row, "left_s"), UINT64_MAX, &left)) {
        ent_cli_put_about(buf, left);
        ent_buf_put_string(buf, " left");
    } else {
        ent_buf_put_u8(buf, '-');
    }
}

static void put_what(ent_buf *buf, ent_json_value row)
{
    static const struct {
        const char *type;
        const char *words;
    } types[] = {
        {"acknowledge", "acknowledge "},  {"answer", "answer "},
        {"follow-up", "follow up on "},   {"notification", "notify after "},
        {"final", "final report after "},
    };
    ent_text type = ent_cli_text(row, "type");
    ent_text urgency = ent_cli_text(row, "urgency");
    ent_text subject = ent_cli_text(row, "subject");
    const char *text = NULL;
    if (ent_json_true(ent_json_get(row, "exercise")))
        ent_buf_put_string(buf, "[EXERCISE] ");
    if (ent_text_is(urgency, "flash"))
        ent_buf_put_string(buf, "FLASH ");
    else if (ent_text_is(urgency, "immediate"))
        ent_buf_put_string(buf, "immediate: ");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        text = ent_text_is(type, types[i].type) ? types[i].words : text;
    if (text != NULL)
        ent_buf_put_string(buf, text);
    else
        ent_buf_put_format(buf, "%.*s ", ENT_TEXT_ARG(type));
    ent_buf_put_text(buf, ent_cli_text(row, "kind"));
    if (subject.size > 0) {
        ent_buf_put_string(buf, ": ");
        ent_buf_put_text(buf, subject);
    }
}

static void put_clock(ent_buf *buf, ent_json_value channel, ent_json_value row)
{
    ent_json_value started = ent_json_get(row, "started");
    ent_text answer = ent_cli_text(row, "answered_by");
    if (ent_json_type_of(started) == ENT_JSON_OBJECT) {
        bool carried = ent_text_is(ent_cli_text(started, "event"), "carried over");
        ent_buf_put_text(buf, ent_cli_text(started, "event"));
        ent_buf_put_string(buf, carried ? ", started" : " by ");
        ent_buf_put_text(buf, carried ? ENT_TEXT("") : ent_cli_text(started, "by"));
        ent_buf_put_u8(buf, ' ');
        put_plain_time(buf, ent_cli_text(started, "time"));
    } else {
        ent_buf_put_string(buf, "not started: no receipt");
    }
    if (answer.size > 0) {
        ent_buf_put_string(buf, "; answered by ");
        ent_cli_put_msg(buf, channel, answer);
    }
    if (ent_cli_text(row, "done_at").size > 0) {
        ent_buf_put_string(buf, ", done ");
        put_plain_time(buf, ent_cli_text(row, "done_at"));
        ent_buf_put_string(buf, ent_json_true(ent_json_get(row, "claimed")) ? " (claimed)" : "");
    }
}

static ent_cli_style state_style(ent_text state, ent_text due, int64_t now)
{
    int64_t unix_s = 0;
    if (ent_text_starts(state, ENT_TEXT("overdue")) || ent_text_is(state, "done late"))
        return ENT_CLI_RED;
    if (ent_text_is(state, "done"))
        return ENT_CLI_GREEN;
    if (ent_text_is(state, "sent, not receipted") || ent_text_is(state, "answered, not receipted"))
        return ENT_CLI_YELLOW;
    if (ent_text_is(state, "open") && ent_time_parse(due, &unix_s) && unix_s - now < SOON_S)
        return ENT_CLI_YELLOW;
    return ENT_CLI_PLAIN;
}

static void read_words(ent_json_value channel, ent_json_value row, int64_t now, words *ret)
{
    ent_text creditor = ent_cli_text(row, "creditor");
    put_due(&ret->due, row, now);
    if (ent_json_true(ent_json_get(row, "mine")))
        ent_buf_put_string(&ret->owes, "you");
    else
        ent_buf_put_text(&ret->owes, ent_cli_text(row, "debtor"));
    put_what(&ret->what, row);
    if (creditor.size > 0) {
        ent_buf_put_string(&ret->what, " (to ");
        ent_buf_put_text(&ret->what, creditor);
        ent_buf_put_u8(&ret->what, ')');
    }
    ent_cli_put_msg(&ret->message, channel, ent_cli_text(row, "message"));
    put_clock(&ret->clock, channel, row);
    ret->state = ent_cli_text(row, "state");
    ent_buf_put_text(&ret->shown, ret->state);
    ent_buf_put_string(&ret->shown, ent_json_true(ent_json_get(row, "contested")) ? ", contested" : "");
    ret->style = state_style(ret->state, ent_cli_text(row, "due"), now);
}

static void put_table_row(ent_cli_table *table, const words *row)
{
    ent_cli_table_cell(table, row->style, ent_buf_text(&row->due));
    ent_cli_table_cell(table, ENT_CLI_BOLD, ent_buf_text(&row->owes));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&row->what));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&row->message));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&row->clock));
    ent_cli_table_cell(table, row->style, ent_buf_text(&row->shown));
}

/* On a narrow terminal three lines a row: nothing is cut. */
static void put_block(ent_cli *cli, const words *row)
{
    ent_buf *out = &cli->out;
    ent_cli_put_style(out, cli->colour, row->style);
    ent_cli_put_line(out, ent_buf_text(&row->shown));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(out, "  ");
    ent_cli_put_line(out, ent_buf_text(&row->due));
    ent_buf_put_string(out, "  ");
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_buf_text(&row->owes));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_format(out, "\n%*s", DETAIL_INDENT, "");
    ent_cli_put_line(out, ent_buf_text(&row->what));
    ent_buf_put_format(out, "\n%*s", DETAIL_INDENT, "");
    ent_cli_put_line(out, ent_buf_text(&row->message));
    ent_buf_put_string(out, "; clock: ");
    ent_cli_put_line(out, ent_buf_text(&row->clock));
    ent_buf_put_u8(out, '\n');
}

ent_rc ent_cli_put_obligations(ent_cli *cli, ent_json_value channel, ent_json_value rows, int64_t now_unix_s,
                               ent_err *err)
{
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    bool is_table = cli->width == 0 || cli->width >= TABLE_FROM_COLUMNS;
    ent_cli_table_column(&table, "DUE (UTC)", 0, 0);
    ent_cli_table_column(&table, "WHO OWES", 0, 0);
    ent_cli_table_column(&table, "WHAT", 32, 0);
    ent_cli_table_column(&table, "MESSAGE", 0, 0);
    ent_cli_table_column(&table, "CLOCK STARTED (UTC)", 24, 0);
    ent_cli_table_column(&table, "STATE", 0, 0);
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        ENT_CLEANUP(release_words) words row = {0};
        read_words(channel, i.value, now_unix_s, &row);
        if (is_table)
            put_table_row(&table, &row);
        else
            put_block(cli, &row);
    }
    return is_table ? ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err)
                    : ent_buf_check(&cli->out, err);
}

/* ---- the heading ---------------------------------------------------------------------- */

void ent_cli_put_agreement_state(ent_cli *cli, ent_json_value agreement, int64_t now_unix_s)
{
    ent_buf *out = &cli->out;
    ent_text state = ent_cli_text(agreement, "state");
    ent_text until = ent_cli_text(agreement, "until");
    ent_text effective = ent_cli_text(agreement, "effective_until");
    ent_text title = ent_cli_text(agreement, "title");
    int64_t end = 0;
    if (ent_text_is(state, "unreadable") || state.size == 0) {
        ent_cli_put_style(out, cli->colour, ENT_CLI_YELLOW);
        ent_buf_put_string(out, "terms: not readable as an agreement: ");
        ent_cli_put_line(out, ent_cli_text(agreement, "problem"));
        ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
        return;
    }
    if (title.size > 0) {
        ent_buf_put_u8(out, '"');
        ent_cli_put_line(out, title);
        ent_buf_put_string(out, "\", ");
    }
    effective = effective.size > 0 ? effective : until;
    bool is_known = ent_time_parse(effective, &end);
    bool in_force = ent_text_is(state, "in-force");
    bool is_soon = is_known && end - now_unix_s < EXPIRING_S;
    ent_cli_put_style(out, cli->colour, !in_force ? ENT_CLI_RED : is_soon ? ENT_CLI_YELLOW : ENT_CLI_GREEN);
    if (ent_text_is(state, "not-yet")) {
        ent_buf_put_string(out, "NOT YET IN FORCE: begins ");
        ent_cli_put_time(out, ent_cli_text(agreement, "from"));
    } else {
        ent_buf_put_string(out, in_force ? "in force until " : "EXPIRED ");
        ent_cli_put_time(out, effective);
    }
    if (is_known && !ent_text_is(state, "not-yet")) {
        ent_buf_put_string(out, " (");
        ent_cli_put_distance(out, end, now_unix_s);
        ent_buf_put_u8(out, ')');
    }
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    if (until.size > 0 && !ent_text_equal(until, effective))
        ent_buf_put_string(out, ", extended");
}

void ent_cli_put_suspended(ent_cli *cli, ent_json_value ledger, unsigned indent)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(ledger, "suspended")); ent_json_next(&i);) {
        ENT_CLEANUP(ent_buf_release) ent_buf message = {0};
        ent_cli_put_msg(&message, ledger, ent_cli_text(i.value, "message"));
        ent_buf_put_format(&cli->out, "%*s", (int)indent, "");
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
        ent_buf_put_string(&cli->out, "SUSPENDED by ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "by"));
        ent_buf_put_string(&cli->out, " since ");
        ent_cli_put_time(&cli->out, ent_cli_text(i.value, "since"));
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_string(&cli->out, ": ");
        ent_cli_put_line(&cli->out, ent_buf_text(&message));
        ent_buf_put_u8(&cli->out, '\n');
    }
}

static void put_threat_level(ent_cli *cli, ent_json_value level)
{
    ent_buf *out = &cli->out;
    if (ent_json_type_of(level) != ENT_JSON_OBJECT)
        return;
    ent_cli_put_label(out, "Threat level");
    ent_buf_put_u8(out, ' ');
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_cli_text(level, "name"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_format(out, " (sum %" PRIu64 " of the incidents of ", ent_cli_count(level, "sum"));
    ent_cli_put_span(out, ent_cli_count(level, "window_s"));
    ent_buf_put_string(out, ")\n");
}

static void put_heading(ent_cli *cli, ent_json_value ledger, int64_t now)
{
    ent_buf *out = &cli->out;
    ent_json_value members = ent_json_get(ledger, "members");
    bool is_suspended = ent_json_count(ent_json_get(ledger, "suspended")) > 0;
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_cli_channel_label(ledger));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(out, ", of ");
    ent_cli_put_names(out, members);
    ent_buf_put_string(out, is_suspended ? "\n" : ": open\n");
    ent_cli_put_suspended(cli, ledger, 2);
    ent_cli_put_label(out, "Agreement");
    ent_buf_put_u8(out, ' ');
    ent_cli_put_agreement_state(cli, ent_json_get(ledger, "agreement"), now);
    ent_buf_put_u8(out, '\n');
    put_threat_level(cli, ent_json_get(ledger, "threat_level"));
    ent_cli_put_label(out, "As of");
    ent_buf_put_u8(out, ' ');
    ent_cli_put_time(out, ent_cli_text(ledger, "at"));
    if (ent_cli_text(ledger, "evidence_until").size > 0) {
        ent_buf_put_string(out, "; evidence until ");
        ent_cli_put_time(out, ent_cli_text(ledger, "evidence_until"));
    }
    ent_buf_put_u8(out, '\n');
}

/* Of all open duties, of which the answer may hold only the first. */
static uint64_t duty_count(ent_json_value ledger)
{
    uint64_t shown = ent_json_count(ent_json_get(ledger, "obligations"));
    uint64_t all = ent_cli_count(ledger, "obligation_count");
    return all > shown ? all : shown;
}

/* Exact, however few of them the answer lists; without those of exercises. */
static void put_counts(ent_cli *cli, ent_json_value ledger)
{
    ent_json_value duties = ent_json_get(ledger, "duties");
    uint64_t overdue = ent_cli_count(duties, "overdue");
    ent_cli_put_label(&cli->out, "Duties");
    ent_buf_put_u8(&cli->out, ' ');
    if (overdue > 0)
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
    ent_buf_put_format(&cli->out, "%" PRIu64 " overdue", overdue);
    if (overdue > 0)
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_format(
        &cli->out, ", %" PRIu64 " not done (%" PRIu64 " of them ours); done in time %" PRIu64 ", late %" PRIu64 "\n",
        ent_cli_count(duties, "open"), ent_cli_count(duties, "mine"), ent_cli_count(duties, "in_time"),
        ent_cli_count(duties, "late"));
}

ent_rc ent_cli_put_ledger(ent_cli *cli, ent_json_value ledger, ent_err *err)
{
    uint64_t all = duty_count(ledger);
    ent_json_value rows = ent_json_get(ledger, "obligations");
    int64_t now = 0;
    if (!ent_time_parse(ent_cli_text(ledger, "at"), &now))
        now = ent_clock_unix_s();
    put_heading(cli, ledger, now);
    put_counts(cli, ledger);
    ent_buf_put_u8(&cli->out, '\n');
    if (ent_json_count(rows) == 0)
        ent_buf_put_string(&cli->out, "Nobody owes anything.\n");
    else
        ENT_TRY(ent_cli_put_obligations(cli, ledger, rows, now, err));
    if (all > ent_json_count(rows))
        ent_buf_put_format(&cli->out, "and %" PRIu64 " more; --json shows them\n", all - ent_json_count(rows));
    return ent_cli_put_ledger_rest(cli, ledger, err);
}
