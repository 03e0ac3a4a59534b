#include "cli/api.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/verbs.h"

/* Each sink of the node may take half a minute, one after the other. */
enum { TEST_TIMEOUT_MS = 120000 };

static const ent_cli_option options[] = {
    {"--all", NULL, NULL, false, "list: also those that every sink has (kept for 90 days)"},
    {NULL, NULL, NULL, false, NULL},
};

/* ---- list ---- */

/* "email delivered, webhook waiting (3 tries)" */
static void put_sinks(ent_buf *buf, ent_json_value sinks)
{
    for (ent_json_iter i = ent_json_iterate(sinks); ent_json_next(&i);) {
        uint64_t attempts = ent_cli_count(i.value, "attempts");
        ent_text state = ent_cli_text(i.value, "state");
        ent_buf_put_string(buf, buf->size == 0 ? "" : ", ");
        ent_buf_put_text(buf, ent_cli_text(i.value, "sink"));
        ent_buf_put_u8(buf, ' ');
        ent_buf_put_text(buf, state);
        if (ent_text_is(state, "waiting") && attempts > 0)
            ent_buf_put_format(buf, " (%" PRIu64 " %s)", attempts, attempts == 1 ? "try" : "tries");
    }
}

static bool waits(ent_json_value sinks)
{
    for (ent_json_iter i = ent_json_iterate(sinks); ent_json_next(&i);) {
        if (ent_text_is(ent_cli_text(i.value, "state"), "waiting"))
            return true;
    }
    return false;
}

static void put_row(ent_cli_table *table, ent_json_value alert)
{
    ENT_CLEANUP(ent_buf_release) ent_buf time = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf sinks = {0};
    ent_text text = ent_cli_text(alert, "text");
    const char *end = text.size == 0 ? NULL : memchr(text.data, '\n', text.size);
    if (end != NULL)
        text.size = (size_t)(end - text.data);
    ent_cli_put_time(&time, ent_cli_text(alert, "time"));
    put_sinks(&sinks, ent_json_get(alert, "sinks"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&time));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_cli_text(alert, "what"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, text);
    ent_cli_table_cell(table, waits(ent_json_get(alert, "sinks")) ? ENT_CLI_YELLOW : ENT_CLI_GREEN,
                       ent_buf_text(&sinks));
}

/* Why something waits: the newest reason of each sink. */
static void put_reasons(ent_cli *cli, ent_json_value alerts)
{
    static const char *const names[] = {"email", "webhook", "execute"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        ent_text reason = {NULL, 0};
        for (ent_json_iter i = ent_json_iterate(alerts); reason.size == 0 && ent_json_next(&i);) {
            for (ent_json_iter s = ent_json_iterate(ent_json_get(i.value, "sinks")); ent_json_next(&s);) {
                if (ent_text_is(ent_cli_text(s.value, "sink"), names[n]) &&
                    ent_text_is(ent_cli_text(s.value, "state"), "waiting"))
                    reason = ent_cli_text(s.value, "last_error");
            }
        }
        if (reason.size == 0)
            continue;
        ent_buf_put_format(&cli->out, "\n%s: ", names[n]);
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
        ent_cli_put_line(&cli->out, reason);
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_u8(&cli->out, '\n');
    }
}

static void put_where(ent_cli *cli, ent_json_value answer)
{
    ent_json_value configured = ent_json_get(answer, "configured");
    if (ent_json_count(configured) == 0) {
        ent_cli_put_line(&cli->out, ent_cli_text(answer, "how_to"));
        ent_buf_put_string(&cli->out, ".\n");
        return;
    }
    ent_buf_put_string(&cli->out, "Alerts go to: ");
    ent_cli_put_names(&cli->out, configured);
    ent_buf_put_string(&cli->out, ". `entente alerts test` tries each.\n");
}

static ent_rc list(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/alerts");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    bool all = ent_cli_has(cli, "--all");
    ent_cli_request_query(&request, "all", all ? "1" : NULL);
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_json_value alerts = ent_json_get(answer.root, "alerts");
    put_where(cli, answer.root);
    if (ent_json_count(alerts) == 0) {
        ent_buf_put_string(&cli->out, all ? "There were no alerts in the last 90 days.\n"
                                          : "No alert waits to be delivered; --all shows those that were.\n");
        return ENT_DONE;
    }
    ent_buf_put_u8(&cli->out, '\n');
    ent_cli_table_column(&table, "RAISED", 0, 2);
    ent_cli_table_column(&table, "WHAT", 0, 1);
    ent_cli_table_column(&table, "ALERT", 24, 0);
    ent_cli_table_column(&table, "TOLD BY", 16, 3);
    for (ent_json_iter i = ent_json_iterate(alerts); ent_json_next(&i);)
        put_row(&table, i.value);
    ENT_TRY(ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err));
    put_reasons(cli, alerts);
    return ENT_DONE;
}

/* ---- test ---- */

static void put_result(ent_cli *cli, ent_json_value result)
{
    bool delivered = ent_json_true(ent_json_get(result, "delivered"));
    ent_cli_put_line(&cli->out, ent_cli_text(result, "sink"));
    ent_buf_put_string(&cli->out, ": ");
    ent_cli_put_style(&cli->out, cli->colour, delivered ? ENT_CLI_GREEN : ENT_CLI_RED);
    ent_cli_put_line(&cli->out, delivered ? ENT_TEXT("delivered") : ent_cli_text(result, "error"));
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
}

static ent_rc test(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/alerts/test");
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_json_release) ent_json *answer = NULL;
    size_t failed = 0;
    request.timeout_ms = TEST_TIMEOUT_MS;
    ENT_TRY(ent_cli_ask(cli, &request, &bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&bytes), &answer, err), "the node's answer"));
    ent_json_value results = ent_json_get(ent_json_root(answer), "results");
    if (cli->json)
        ent_cli_put_answer(cli, ent_buf_text(&bytes));
    for (ent_json_iter i = ent_json_iterate(results); ent_json_next(&i);) {
        if (!ent_json_true(ent_json_get(i.value, "delivered")))
            failed++;
        if (!cli->json)
            put_result(cli, i.value);
    }
    if (failed > 0)
        return ent_fail(err, ENT_REFUSED, "docs/alerts.md",
                        "%zu of %zu sinks did not take the test: mend DIR/alerts.json or the sink and type `entente "
                        "alerts test` again; the node reads the file anew each time",
                        failed, ent_json_count(results));
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *what = cli->positional_count == 0 ? "list" : cli->positional[0];
    if (strcmp(what, "list") == 0)
        return list(cli, err);
    if (strcmp(what, "test") == 0)
        return test(cli, err);
    return ent_fail(err, ENT_USAGE, NULL,
                    "`entente alerts` has no \"%s\", only: list, test; type `entente alerts --help`", what);
}

const ent_cli_command ent_cli_alerts = {
    .words = "alerts",
    .arguments = "[list [--all] | test]",
    .summary = "what officers are told by e-mail, webhook or program",
    .text = "list (also without a word) shows the alerts that wait to be delivered, and why; --all those that were.\n"
            "test reads DIR/alerts.json anew, sends a test alert to every sink that it names, and says how each went;\n"
            "from then on the node uses what it read.\n"
            "\n"
            "Alerts are raised for what is due soon or overdue, flash messages that nobody has opened, failed comm\n"
            "checks, forks, and agreements that end. Each leaves at least once by every sink and is tried until then.\n"
            "docs/alerts.md tells how to configure them.",
    .examples = "  entente alerts --dir aurora\n"
                "  entente alerts list --all --json --dir aurora\n"
                "  entente alerts test --dir aurora",
    .options = options,
    .most = 1,
    .run = run,
};
