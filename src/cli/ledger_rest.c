#include "cli/ledger_view.h"

#include "cli/moment.h"
#include "cli/people.h"
#include "cli/table.h"

enum { LISTED_MOST = 20 };

static void put_message(ent_cli *cli, ent_json_value ledger, ent_text message)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_cli_put_msg(&text, ledger, message);
    ent_cli_put_line(&cli->out, ent_buf_text(&text));
}

/* The first messages of a list, with commas between. */
static void put_messages(ent_cli *cli, ent_json_value ledger, ent_json_value list)
{
    size_t shown = 0;
    for (ent_json_iter i = ent_json_iterate(list); shown < LISTED_MOST && ent_json_next(&i); shown++) {
        ent_buf_put_string(&cli->out, shown == 0 ? "" : ", ");
        put_message(cli, ledger, ent_json_string(i.value));
    }
    if (ent_json_count(list) > shown)
        ent_buf_put_string(&cli->out, " and more");
}

/* A list of the answer may have been shortened. */
static void put_count(ent_cli *cli, ent_json_value list)
{
    ent_buf_put_format(&cli->out, "  %zu%s", ent_json_count(list),
                       ent_json_count(list) >= ENT_CLI_LEDGER_ROWS ? " or more" : "");
}

/* ---- balances ------------------------------------------------------------------- */

static const char *const figures[] = {"asked",   "acknowledged", "answered", "answered_in_time", "granted",
                                      "refused", "overdue",      "given",    "received"};
enum { FIGURES = sizeof figures / sizeof figures[0] };

static bool is_empty(ent_json_value row)
{
    for (size_t i = 0; i < FIGURES; i++) {
        if (ent_cli_count(row, figures[i]) > 0)
            return false;
    }
    return true;
}

static void put_figure(ent_cli_table *table, ent_json_value value)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    if (ent_json_present(value))
        ent_json_put_value(&text, value); /* a balance may be below nought */
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&text));
}

static void put_balance(ent_cli_table *table, ent_json_value row)
{
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_cli_text(row, "class"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_cli_text(row, "from"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_cli_text(row, "to"));
    for (size_t i = 0; i < FIGURES - 2; i++) /* given and received are in the balance */
        put_figure(table, ent_json_get(row, figures[i]));
    put_figure(table, ent_json_get(row, "balance"));
}

static ent_rc put_balances(ent_cli *cli, ent_json_value ledger, ent_err *err)
{
    ent_json_value rows = ent_json_get(ledger, "balances");
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    static const char *const titles[] = {"CLASS",   "WHO",     "ASKED WHOM", "ASKED",   "ACKNOWLEDGED",  "ANSWERED",
                                         "IN TIME", "GRANTED", "REFUSED",    "OVERDUE", "BALANCE OF WHO"};
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        ent_cli_table_column(&table, titles[i], i < 3 ? 8 : 0, i == 4 ? 2 : i == 6 || i == 8 ? 1 : 0);
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        if (!is_empty(i.value))
            put_balance(&table, i.value);
    }
    if (table.cell_count == 0)
        return ENT_DONE;
    ent_cli_put_title(cli, "Balances");
    ENT_TRY(ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err));
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        if (!ent_json_true(ent_json_get(i.value, "may_hold_back")))
            continue;
        ent_buf_put_string(&cli->out, "  ");
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_YELLOW);
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "from"));
        ent_buf_put_string(&cli->out, " may hold back towards ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "to"));
        ent_buf_put_string(&cli->out, " in ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "class"));
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_string(&cli->out, ": ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "why"));
        ent_buf_put_u8(&cli->out, '\n');
    }
    return ent_buf_check(&cli->out, err);
}

/* ---- how fast, and the threat level ------------------------------------------------ */

static void put_times(ent_cli *cli, ent_json_value ledger)
{
    ent_buf *out = &cli->out;
    ent_json_value answers = ent_json_get(ledger, "answer_times");
    bool titled = false;
    for (ent_json_iter i = ent_json_iterate(answers); ent_json_next(&i);) {
        if (ent_cli_count(i.value, "count") == 0)
            continue;
        if (!titled)
            ent_cli_put_title(cli, "Answer times");
        titled = true;
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, ent_cli_text(i.value, "by"));
        ent_buf_put_string(out, " answers in ");
        ent_cli_put_about(out, ent_cli_count(i.value, "median_s"));
        ent_buf_put_format(out, " (median of %" PRIu64 ")\n", ent_cli_count(i.value, "count"));
    }
}

static void put_checks(ent_cli *cli, ent_json_value ledger)
{
    ent_buf *out = &cli->out;
    bool titled = false;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(ledger, "checks")); ent_json_next(&i);) {
        uint64_t asked = ent_cli_count(i.value, "asked");
        uint64_t missed = ent_cli_count(i.value, "missed");
        uint64_t answered = ent_cli_count(i.value, "answered");
        if (asked == 0)
            continue;
        if (!titled)
            ent_cli_put_title(cli, "Comm checks");
        titled = true;
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, ent_cli_text(i.value, "by"));
        ent_buf_put_format(out, " answered %" PRIu64 " of %" PRIu64, answered, asked);
        if (answered > 0) {
            ent_buf_put_string(out, ", in ");
            ent_cli_put_about(out, ent_cli_count(i.value, "median_s"));
            ent_buf_put_string(out, " (median)");
        }
        if (missed > 0) {
            ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
            ent_buf_put_format(out, ", missed %" PRIu64, missed);
            ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
        }
        if (ent_cli_text(i.value, "last").size > 0) {
            ent_buf_put_string(out, "; last ");
            ent_cli_put_time(out, ent_cli_text(i.value, "last"));
        }
        ent_buf_put_u8(out, '\n');
    }
}

static void put_incidents(ent_cli *cli, ent_json_value ledger)
{
    ent_json_value incidents = ent_json_get(ent_json_get(ledger, "threat_level"), "incidents");
    size_t shown = 0;
    if (ent_json_count(incidents) == 0)
        return;
    ent_cli_put_title(cli, "Incidents that make the threat level");
    for (ent_json_iter i = ent_json_iterate(incidents); shown < LISTED_MOST && ent_json_next(&i); shown++) {
        ent_buf_put_string(&cli->out, "  ");
        put_message(cli, ledger, ent_cli_text(i.value, "message"));
        ent_buf_put_string(&cli->out, ", ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "severity"));
        ent_buf_put_format(&cli->out, ", weight %" PRIu64 ", ", ent_cli_count(i.value, "weight"));
        ent_cli_put_time(&cli->out, ent_cli_text(i.value, "time"));
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_json_count(incidents) > shown)
        ent_buf_put_string(&cli->out, "  and more; --json shows them\n");
}

/* ---- claims, promises, what binds --------------------------------------------------- */

static void put_claims(ent_cli *cli, ent_json_value ledger)
{
    ent_json_value claims = ent_json_get(ledger, "claims");
    size_t shown = 0;
    if (ent_json_count(claims) > 0)
        ent_cli_put_title(cli, "Attributions");
    for (ent_json_iter i = ent_json_iterate(claims); shown < LISTED_MOST && ent_json_next(&i); shown++) {
        bool supported = ent_json_true(ent_json_get(i.value, "supported"));
        ent_buf_put_string(&cli->out, "  ");
        put_message(cli, ledger, ent_cli_text(i.value, "message"));
        ent_buf_put_string(&cli->out, ", ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "state"));
        ent_buf_put_string(&cli->out, ": ");
        ent_cli_put_style(&cli->out, cli->colour, supported ? ENT_CLI_PLAIN : ENT_CLI_YELLOW);
        ent_buf_put_string(&cli->out, supported ? "supported by " : "unsupported: no evidence refers to it");
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        put_messages(cli, ledger, ent_json_get(i.value, "evidence"));
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_json_count(claims) > shown)
        ent_buf_put_string(&cli->out, "  and more; --json shows them\n");
}

static void put_pledges(ent_cli *cli, ent_json_value ledger)
{
    ent_json_value pledges = ent_json_get(ledger, "pledges");
    size_t shown = 0;
    if (ent_json_count(pledges) > 0)
        ent_cli_put_title(cli, "Pledges");
    for (ent_json_iter i = ent_json_iterate(pledges); shown < LISTED_MOST && ent_json_next(&i); shown++) {
        ent_buf_put_string(&cli->out, "  ");
        put_message(cli, ledger, ent_cli_text(i.value, "message"));
        ent_buf_put_string(&cli->out, ", ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "state"));
        if (ent_cli_text(i.value, "note").size > 0) {
            ent_buf_put_string(&cli->out, "; ");
            ent_cli_put_line(&cli->out, ent_cli_text(i.value, "note"));
        }
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_json_count(pledges) > shown)
        ent_buf_put_string(&cli->out, "  and more; --json shows them\n");
}

static void put_bindings(ent_cli *cli, ent_json_value ledger)
{
    ent_json_value bindings = ent_json_get(ledger, "bindings");
    ent_json_value amendments = ent_json_get(ent_json_get(ledger, "agreement"), "amendments");
    size_t shown = 0;
    if (ent_json_count(bindings) > 0)
        ent_cli_put_title(cli, "Accepted by every member: these bind");
    for (ent_json_iter i = ent_json_iterate(bindings); shown < LISTED_MOST && ent_json_next(&i); shown++) {
        ent_buf_put_string(&cli->out, "  ");
        put_message(cli, ledger, ent_cli_text(i.value, "accepted"));
        ent_buf_put_string(&cli->out, ", digest ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "digest"));
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_json_count(bindings) > shown)
        ent_buf_put_string(&cli->out, "  and more; --json shows them\n");
    if (ent_json_count(amendments) > 0)
        ent_cli_put_title(cli, "Amendments of the agreement");
    for (ent_json_iter i = ent_json_iterate(amendments); ent_json_next(&i);) {
        ent_buf_put_string(&cli->out, "  ");
        put_message(cli, ledger, ent_cli_text(i.value, "message"));
        ent_buf_put_string(&cli->out, ", ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "state"));
        ent_buf_put_u8(&cli->out, '\n');
    }
}

/* ---- what does not count --------------------------------------------------------------- */

static void put_not_counted(ent_cli *cli, ent_json_value ledger)
{
    ent_json_value refused = ent_json_get(ledger, "refused");
    ent_json_value contested = ent_json_get(ledger, "contested");
    ent_json_value unknown = ent_json_get(ledger, "unknown");
    ent_json_value exercises = ent_json_get(ledger, "exercises");
    size_t shown = 0;
    if (ent_json_count(refused) + ent_json_count(contested) + ent_json_count(unknown) > 0 ||
        ent_cli_count(exercises, "threads") > 0)
        ent_cli_put_title(cli, "Kept, and not counted");
    if (ent_json_count(refused) > 0) {
        put_count(cli, refused);
        ent_buf_put_string(&cli->out, " not allowed where they stand:\n");
    }
    for (ent_json_iter i = ent_json_iterate(refused); shown < LISTED_MOST && ent_json_next(&i); shown++) {
        ent_buf_put_string(&cli->out, "    ");
        put_message(cli, ledger, ent_cli_text(i.value, "message"));
        ent_buf_put_string(&cli->out, ": ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "reason"));
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_json_count(refused) > shown)
        ent_buf_put_string(&cli->out, "    and more; --json shows them\n");
    if (ent_json_count(contested) > 0) {
        put_count(cli, contested);
        ent_buf_put_string(&cli->out, " contested: ");
        put_messages(cli, ledger, contested);
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_json_count(unknown) > 0) {
        put_count(cli, unknown);
        ent_buf_put_string(&cli->out, " of kinds unknown to this version: ");
        put_messages(cli, ledger, unknown);
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (ent_cli_count(exercises, "threads") > 0)
        ent_buf_put_format(&cli->out,
                           "  threads of exercises are counted apart: %" PRIu64 ", with %" PRIu64 " open duties\n",
                           ent_cli_count(exercises, "threads"), ent_cli_count(exercises, "obligations"));
}

ent_rc ent_cli_put_ledger_rest(ent_cli *cli, ent_json_value ledger, ent_err *err)
{
    ENT_TRY(put_balances(cli, ledger, err));
    put_times(cli, ledger);
    put_checks(cli, ledger);
    put_incidents(cli, ledger);
    put_claims(cli, ledger);
    put_pledges(cli, ledger);
    put_bindings(cli, ledger);
    put_not_counted(cli, ledger);
    ent_buf_put_string(&cli->out, "\nDigests, the same wherever the same evidence is held\n  evidence ");
    ent_cli_put_line(&cli->out, ent_cli_text(ledger, "evidence_digest"));
    ent_buf_put_string(&cli->out, "\n  state    ");
    ent_cli_put_line(&cli->out, ent_cli_text(ledger, "state_digest"));
    ent_buf_put_u8(&cli->out, '\n');
    return ent_buf_check(&cli->out, err);
}
