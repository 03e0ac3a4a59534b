#include "cli/moment.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/terms.h"

static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* ---- one fact a line ------------------------------------------------------------ */

static void put_label(ent_cli *cli, const char *label)
{
    ent_cli_put_label(&cli->out, label);
    ent_buf_put_u8(&cli->out, ' ');
}

static void put_texts(ent_cli *cli, const char *label, const ent_text *texts, size_t count)
{
    if (count == 0)
        return;
    put_label(cli, label);
    for (size_t i = 0; i < count; i++) {
        ent_buf_put_string(&cli->out, i == 0 ? "" : ", ");
        ent_cli_put_line(&cli->out, texts[i]);
    }
    ent_buf_put_u8(&cli->out, '\n');
}

static void put_validity(ent_cli *cli, const ent_agreement *agreement)
{
    ent_buf *out = &cli->out;
    put_label(cli, "In force");
    ent_buf_put_string(out, "from ");
    ent_cli_put_time_unix(out, agreement->from_unix_s);
    ent_buf_put_string(out, " until ");
    ent_cli_put_time_unix(out, agreement->until_unix_s);
    ent_buf_put_u8(out, '\n');
    put_label(cli, "Extension");
    if (agreement->has_extension)
        ent_buf_put_format(out,
                           "by %" PRIu32 " days, again and again, unless declined %" PRIu32 " days before the end\n",
                           agreement->extension_days, agreement->decline_days);
    else
        ent_buf_put_string(out, "none\n");
}

static void put_count_days(ent_buf *out, const char *what, uint32_t count, const char *end)
{
    ent_buf_put_format(out, "%s %" PRIu32 " day%s%s", what, count, count == 1 ? "" : "s", end);
}

static void put_rest(ent_cli *cli, const ent_agreement *agreement)
{
    ent_buf *out = &cli->out;
    put_texts(cli, "Two officers", agreement->two_officers, agreement->two_officer_count);
    put_texts(cli, "Languages", agreement->languages, agreement->language_count);
    if (agreement->has_retention) {
        put_label(cli, "Retention");
        put_count_days(out, "entries", agreement->entries_days, ", ");
        put_count_days(out, "bodies", agreement->bodies_days, ", ");
        put_count_days(out, "attachments", agreement->attachments_days, "\n");
    }
    put_label(cli, "Suspension");
    ent_buf_put_string(out, agreement->freezes_deadlines ? "freezes all deadlines\n" : "does not stop the deadlines\n");
    if (agreement->check_every_s > 0) {
        put_label(cli, "Comm checks");
        ent_buf_put_string(out, "every ");
        ent_cli_put_span(out, agreement->check_every_s);
        ent_buf_put_string(out, ", answered within ");
        ent_cli_put_span(out, agreement->check_reply_within_s);
        ent_buf_put_u8(out, '\n');
    }
}

/* ---- tables ------------------------------------------------------------------------ */

static void put_span_cell(ent_cli_table *table, uint32_t seconds)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    if (seconds > 0)
        ent_cli_put_span(&text, seconds);
    else
        ent_buf_put_u8(&text, '-');
    if (text.failed != ENT_OK)
        table->failed = true;
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&text));
}

static ent_rc put_deadlines(ent_cli *cli, const ent_agreement *agreement, ent_err *err)
{
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    ent_cli_put_title(cli, "Deadlines, from the receipt on");
    if (agreement->deadline_count == 0) {
        ent_buf_put_string(&cli->out, "  none: nothing is ever overdue\n");
        return ENT_DONE;
    }
    ent_cli_table_column(&table, "KIND", 0, 0);
    ent_cli_table_column(&table, "URGENCY", 0, 0);
    ent_cli_table_column(&table, "ACKNOWLEDGE", 0, 0);
    ent_cli_table_column(&table, "ANSWER", 0, 0);
    ent_cli_table_column(&table, "NOTIFICATION", 0, 0);
    ent_cli_table_column(&table, "FINAL REPORT", 0, 0);
    ent_cli_table_column(&table, "COUNTED", 0, 1);
    for (size_t i = 0; i < agreement->deadline_count; i++) {
        const ent_deadline_row *row = &agreement->deadlines[i];
        ent_cli_table_cell(&table, ENT_CLI_PLAIN, row->kind);
        ent_cli_table_cell(&table, ENT_CLI_PLAIN, ent_text_of(ent_urgency_word(row->urgency)));
        put_span_cell(&table, row->deadlines.acknowledge_s);
        put_span_cell(&table, row->deadlines.answer_s);
        put_span_cell(&table, row->deadlines.notification_s);
        put_span_cell(&table, row->deadlines.final_s);
        ent_cli_table_cell(&table, ENT_CLI_PLAIN,
                           row->deadlines.in_service_hours ? ENT_TEXT("in service hours")
                                                           : ENT_TEXT("round the clock"));
    }
    return ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err);
}

static ent_rc put_protected(ent_cli *cli, const ent_agreement *agreement, ent_err *err)
{
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    if (agreement->protected_count == 0)
        return ENT_DONE;
    ent_cli_put_title(cli, "Protected systems");
    ent_cli_table_column(&table, "ID", 0, 0);
    ent_cli_table_column(&table, "AT LEAST", 0, 0);
    ent_cli_table_column(&table, "WHAT", 16, 0);
    for (size_t i = 0; i < agreement->protected_count; i++) {
        const ent_protected_system *row = &agreement->protected_systems[i];
        ent_cli_table_cell(&table, ENT_CLI_PLAIN, row->id);
        ent_cli_table_cell(&table, ent_cli_urgency_style(ent_text_of(ent_urgency_word(row->urgency_floor))),
                           ent_text_of(ent_urgency_word(row->urgency_floor)));
        ent_cli_table_cell(&table, ENT_CLI_PLAIN, row->name);
    }
    return ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err);
}

static void put_classes(ent_cli *cli, const ent_agreement *agreement)
{
    ent_buf *out = &cli->out;
    if (agreement->class_count > 0)
        ent_cli_put_title(cli, "Reciprocal classes: what is given is counted against what is received");
    for (size_t i = 0; i < agreement->class_count; i++) {
        const ent_reciprocal_class *row = &agreement->classes[i];
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, row->name);
        ent_buf_put_string(out, ": ");
        for (size_t k = 0; k < row->kind_count; k++) {
            ent_buf_put_string(out, k == 0 ? "" : ", ");
            ent_cli_put_line(out, row->kinds[k]);
        }
        if (row->hold_back_at_balance > 0)
            ent_buf_put_format(out, "; who has given %" PRIu32 " more may hold back\n", row->hold_back_at_balance);
        else
            ent_buf_put_string(out, "; nobody may hold back\n");
    }
}

static void put_threat_level(ent_cli *cli, const ent_agreement *agreement)
{
    ent_buf *out = &cli->out;
    if (!agreement->has_threat_level)
        return;
    ent_cli_put_title(cli, "Threat level");
    ent_buf_put_string(out, "  weights of the incidents of ");
    ent_cli_put_span(out, agreement->window_s);
    ent_buf_put_string(out, " are added:");
    for (int severity = ENT_SEVERITY_LOW; severity < ENT_SEVERITY_COUNT; severity++)
        ent_buf_put_format(out, "%s %s %" PRIu32, severity == ENT_SEVERITY_LOW ? "" : ",",
                           ent_severity_word((ent_severity)severity), agreement->severity_weights[severity]);
    ent_buf_put_string(out, "\n ");
    for (size_t i = 0; i < agreement->level_count; i++) {
        ent_buf_put_string(out, i == 0 ? " " : ", ");
        ent_cli_put_line(out, agreement->levels[i].name);
        ent_buf_put_format(out, " from %" PRIu64, agreement->levels[i].from);
    }
    ent_buf_put_u8(out, '\n');
}

/* ---- service hours -------------------------------------------------------------------- */

static void put_clock(ent_buf *out, uint32_t second_of_day)
{
    ent_buf_put_format(out, "%02" PRIu32 ":%02" PRIu32, second_of_day / 3600, second_of_day / 60 % 60);
}

static bool same_hours(const ent_week_interval *a, const ent_week_interval *b)
{
    return b->from_s == a->from_s + ENT_DAY_S && b->until_s == a->until_s + ENT_DAY_S;
}

/* Days one after the other with the same hours stand together: "mon-fri 06:00-16:00". */
static void put_hours(ent_cli *cli, const ent_party_hours *row)
{
    const ent_service_hours *hours = &row->hours;
    ent_buf_put_string(&cli->out, "  ");
    ent_cli_put_line(&cli->out, row->party);
    ent_buf_put_u8(&cli->out, ':');
    for (size_t i = 0; i < hours->count;) {
        const ent_week_interval *first = &hours->intervals[i];
        size_t last = i;
        while (last + 1 < hours->count && same_hours(&hours->intervals[last], &hours->intervals[last + 1]))
            last++;
        uint32_t end = hours->intervals[last].until_s;
        ent_buf_put_format(&cli->out, "%s %s", i == 0 ? "" : ",", days[first->from_s / ENT_DAY_S]);
        if (last > i)
            ent_buf_put_format(&cli->out, "-%s", days[hours->intervals[last].from_s / ENT_DAY_S]);
        ent_buf_put_u8(&cli->out, ' ');
        put_clock(&cli->out, first->from_s % ENT_DAY_S);
        ent_buf_put_u8(&cli->out, '-');
        if (first->until_s - first->from_s > ENT_DAY_S) /* intervals of several days that touch may have been joined */
            ent_buf_put_format(&cli->out, "%s ", days[(end - 1) / ENT_DAY_S]);
        put_clock(&cli->out, end % ENT_DAY_S == 0 ? ENT_DAY_S : end % ENT_DAY_S);
        i = last + 1;
    }
    ent_buf_put_u8(&cli->out, '\n');
}

ent_rc ent_cli_put_terms(ent_cli *cli, const ent_agreement *agreement, ent_err *err)
{
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(&cli->out, agreement->title);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
    put_texts(cli, "Between", agreement->parties, agreement->party_count);
    put_validity(cli, agreement);
    put_rest(cli, agreement);
    ENT_TRY(put_deadlines(cli, agreement, err));
    ENT_TRY(put_protected(cli, agreement, err));
    put_classes(cli, agreement);
    put_threat_level(cli, agreement);
    if (agreement->service_hours_count > 0)
        ent_cli_put_title(cli, "Service hours (UTC)");
    for (size_t i = 0; i < agreement->service_hours_count; i++)
        put_hours(cli, &agreement->service_hours[i]);
    return ent_buf_check(&cli->out, err);
}

/* ---- warnings --------------------------------------------------------------------------- */

static bool has_deadline(const ent_agreement *agreement, const char *kind)
{
    return ent_agreement_deadlines(agreement, ent_text_of(kind), ENT_URGENCY_ROUTINE).found;
}

static void put_without_deadline(ent_buf *buf, const ent_agreement *agreement)
{
    bool first = true;
    for (size_t i = 0; i < ent_kind_count(); i++) {
        const ent_kind *kind = ent_kind_at(i);
        if (strncmp(kind->name, "request.", 8) != 0 || has_deadline(agreement, kind->name))
            continue;
        ent_buf_put_format(buf, "%s%s", first ? "no deadline for: " : ", ", kind->name);
        first = false;
    }
    if (!first)
        ent_buf_put_string(buf, "; such a request is never overdue\n");
}

void ent_cli_put_terms_warnings(ent_buf *buf, const ent_agreement *agreement, int64_t now_unix_s)
{
    int64_t end = ent_agreement_end(agreement, now_unix_s, INT64_MAX);
    for (size_t i = 0; i < agreement->unknown_count; i++) {
        ent_cli_put_line(buf, agreement->unknown[i].path);
        ent_buf_put_string(buf, ": not known to this version, ignored\n");
    }
    if (end <= now_unix_s) {
        ent_buf_put_string(buf, "validity: it has ended at ");
        ent_cli_put_time_unix(buf, end);
        ent_buf_put_u8(buf, '\n');
    } else if (agreement->from_unix_s > now_unix_s) {
        ent_buf_put_string(buf, "validity: it begins only at ");
        ent_cli_put_time_unix(buf, agreement->from_unix_s);
        ent_buf_put_u8(buf, '\n');
    }
    if (agreement->two_officer_count > 0)
        ent_buf_put_string(buf,
                           "two_officers: until officers have accounts of their own, a node refuses these kinds\n");
    put_without_deadline(buf, agreement);
}
