#include "cli/thread_view.h"

#include "cli/ledger_view.h"
#include "cli/people.h"

#include "base/clock.h"

static void put_msg(ent_cli *cli, ent_json_value channel, ent_text message)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_cli_put_msg(&text, channel, message);
    ent_cli_put_line(&cli->out, ent_buf_text(&text));
}

static void put_tracks(ent_cli *cli, ent_json_value channel, ent_json_value thread)
{
    ent_buf *out = &cli->out;
    ent_buf_put_string(out, "\nThread (");
    ent_cli_put_line(out, ent_cli_text(thread, "machine"));
    ent_buf_put_string(out, ") begun by ");
    put_msg(cli, channel, ent_cli_text(thread, "thread"));
    ent_buf_put_u8(out, '\n');
    for (ent_json_iter i = ent_json_iterate(ent_json_get(thread, "tracks")); ent_json_next(&i);) {
        bool closed = ent_json_true(ent_json_get(i.value, "closed"));
        ent_text outcome = ent_cli_text(i.value, "outcome");
        ent_buf_put_string(out, "  with ");
        ent_cli_put_line(out, ent_cli_text(i.value, "member"));
        ent_buf_put_string(out, ": ");
        ent_cli_put_style(out, cli->colour, closed ? ENT_CLI_GREEN : ENT_CLI_BOLD);
        ent_cli_put_line(out, ent_cli_text(i.value, "state"));
        ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
        if (outcome.size > 0 && !ent_text_equal(outcome, ent_cli_text(i.value, "state"))) {
            ent_buf_put_string(out, ", answer: ");
            ent_cli_put_line(out, outcome);
        }
        ent_buf_put_string(out, closed ? ", closed" : "");
        if (ent_json_true(ent_json_get(i.value, "crossed")))
            ent_buf_put_string(out, ", crossed: an acceptance and a withdrawal that did not know of each other");
        ent_buf_put_u8(out, '\n');
    }
}

static void put_messages(ent_cli *cli, ent_json_value channel, ent_json_value thread)
{
    ent_buf *out = &cli->out;
    bool titled = false;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(thread, "messages")); ent_json_next(&i);) {
        if (ent_json_true(ent_json_get(i.value, "allowed")))
            continue;
        if (!titled)
            ent_buf_put_string(out, "  Not allowed where they stand, kept and not counted:\n");
        titled = true;
        ent_buf_put_string(out, "    ");
        put_msg(cli, channel, ent_cli_text(i.value, "message"));
        ent_buf_put_string(out, " (");
        ent_cli_put_line(out, ent_cli_text(i.value, "kind"));
        ent_buf_put_string(out, "): ");
        ent_cli_put_style(out, cli->colour, ENT_CLI_YELLOW);
        ent_cli_put_line(out, ent_cli_text(i.value, "reason"));
        ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_u8(out, '\n');
    }
}

static void put_bindings(ent_cli *cli, ent_json_value channel, ent_json_value thread)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(thread, "bindings")); ent_json_next(&i);) {
        ent_buf_put_string(&cli->out, "  Accepted by every member, it binds: ");
        put_msg(cli, channel, ent_cli_text(i.value, "accepted"));
        ent_buf_put_string(&cli->out, ", digest ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "digest"));
        ent_buf_put_u8(&cli->out, '\n');
    }
}

static void put_next(ent_cli *cli, ent_json_value thread)
{
    ent_json_value takes = ent_json_get(thread, "takes");
    if (ent_json_count(takes) == 0)
        return;
    ent_buf_put_string(&cli->out, "  You may say next: ");
    ent_cli_put_joined(&cli->out, takes, ", ");
    ent_buf_put_u8(&cli->out, '\n');
}

static void put_custody(ent_cli *cli, ent_json_value channel, ent_json_value thread)
{
    ent_buf *out = &cli->out;
    ent_json_value rows = ent_json_get(thread, "custody");
    if (ent_json_count(rows) > 0)
        ent_cli_put_title(cli, "Custody of the evidence");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        ent_buf_put_string(out, "  ");
        ent_cli_put_time(out, ent_cli_text(i.value, "time"));
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, ent_cli_text(i.value, "who"));
        ent_buf_put_string(out, ": ");
        ent_cli_put_line(out, ent_cli_text(i.value, "action"));
        ent_buf_put_string(out, " (");
        put_msg(cli, channel, ent_cli_text(i.value, "source"));
        ent_buf_put_string(out, ")\n");
    }
}

static void put_use_limits(ent_cli *cli, ent_json_value channel, ent_json_value thread)
{
    ent_json_value rows = ent_json_get(thread, "use_limits");
    if (ent_json_count(rows) > 0)
        ent_cli_put_title(cli, "Limits of its use");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        ent_buf_put_string(&cli->out, "  ");
        ent_cli_put_block(&cli->out, ent_cli_text(i.value, "text"), 2);
        ent_buf_put_string(&cli->out, " (");
        put_msg(cli, channel, ent_cli_text(i.value, "source"));
        ent_buf_put_string(&cli->out, ")\n");
    }
}

ent_rc ent_cli_put_thread(ent_cli *cli, ent_json_value channel, const ent_buf *json, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_fail_in(err, ent_cli_answer_of(ent_buf_text(json), ENT_CLI_LEDGER_ROWS, &answer, err),
                        "the node's answer"));
    ent_json_value thread = answer.root;
    ent_json_value duties = ent_json_get(thread, "obligations");
    put_tracks(cli, channel, thread);
    put_bindings(cli, channel, thread);
    put_messages(cli, channel, thread);
    put_next(cli, thread);
    if (ent_json_count(duties) > 0) {
        ent_cli_put_title(cli, "Duties of the thread");
        ENT_TRY(ent_cli_put_obligations(cli, channel, duties, ent_clock_unix_s(), err));
    }
    put_custody(cli, channel, thread);
    put_use_limits(cli, channel, thread);
    return ent_buf_check(&cli->out, err);
}
