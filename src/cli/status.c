#include "cli/api.h"
#include "cli/people.h"
#include "cli/verbs.h"

const ent_cli_option ent_cli_no_options[] = {{NULL, NULL, NULL, false, NULL}};

static void put_identity(ent_cli *cli, ent_json_value status)
{
    ent_buf *out = &cli->out;
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_cli_text(status, "name"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(out, ", version ");
    ent_cli_put_line(out, ent_cli_text(status, "version"));
    ent_buf_put_string(out, ", running since ");
    ent_cli_put_time(out, ent_cli_text(status, "started"));
    ent_buf_put_string(out, "\n  fingerprint ");
    ent_cli_put_line(out, ent_cli_text(status, "fingerprint"));
    if (ent_json_true(ent_json_get(status, "air_gapped"))) {
        ent_buf_put_string(out,
                           "\n  air-gapped: pouches travel by hand (`entente pouch export`, `entente pouch import`)\n");
        return;
    }
    ent_buf_put_string(out, "\n  listens on ");
    ent_cli_put_line(out, ent_cli_text(status, "listen"));
    ent_buf_put_string(out, "; peers find it at ");
    ent_cli_put_line(out, ent_cli_text(status, "url"));
    ent_buf_put_u8(out, '\n');
}

static void put_delivery(ent_cli *cli, ent_json_value row)
{
    ent_buf *out = &cli->out;
    uint64_t size = ent_cli_count(row, "size");
    uint64_t confirmed = ent_cli_count(row, "confirmed");
    ent_text problem = ent_cli_text(row, "problem");
    ent_text success = ent_cli_text(row, "last_success");
    ent_buf_put_string(out, "  ");
    ent_cli_put_line(out, ent_cli_channel_label(row));
    ent_buf_put_string(out, " to ");
    ent_cli_put_line(out, ent_cli_text(row, "peer"));
    ent_buf_put_string(out, ": ");
    if (confirmed >= size) {
        ent_cli_put_style(out, cli->colour, ENT_CLI_GREEN);
        ent_buf_put_format(out, "all %" PRIu64 " entries receipted", size);
    } else {
        ent_cli_put_style(out, cli->colour, ENT_CLI_YELLOW);
        ent_buf_put_format(out, "%" PRIu64 " of %" PRIu64 " entries not receipted yet", size - confirmed, size);
    }
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(out, success.size == 0 ? "; never reached so far" : "; last reached ");
    ent_cli_put_time(out, success);
    ent_buf_put_u8(out, '\n');
    if (problem.size == 0)
        return;
    ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
    ent_buf_put_string(out, "    problem: ");
    ent_cli_put_line(out, problem);
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    if (ent_cli_text(row, "last_attempt").size > 0) {
        ent_buf_put_string(out, " (last tried ");
        ent_cli_put_time(out, ent_cli_text(row, "last_attempt"));
        ent_buf_put_u8(out, ')');
    }
    ent_buf_put_u8(out, '\n');
}

/* Another's log that a third lacks something of: we carry it there, unless it can only go by hand. */
static void put_lacking(ent_cli *cli, ent_json_value row)
{
    ent_buf *out = &cli->out;
    uint64_t size = ent_cli_count(row, "size");
    ent_buf_put_string(out, "  ");
    ent_cli_put_line(out, ent_cli_channel_label(row));
    ent_buf_put_string(out, ": as far as is known here, ");
    ent_cli_put_line(out, ent_cli_text(row, "peer"));
    ent_buf_put_format(out, " lacks %" PRIu64 " of the %" PRIu64 " entries of ", size - ent_cli_count(row, "confirmed"),
                       size);
    ent_cli_put_line(out, ent_cli_text(row, "of"));
    ent_buf_put_u8(out, '\n');
    if (ent_cli_text(row, "problem").size == 0)
        return;
    ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
    ent_buf_put_string(out, "    problem: ");
    ent_cli_put_line(out, ent_cli_text(row, "problem"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(out, '\n');
}

static void put_deliveries(ent_cli *cli, ent_json_value status)
{
    ent_json_value rows = ent_json_get(status, "deliveries");
    uint64_t files = ent_cli_count(status, "attachments_to_send");
    ent_buf_put_format(&cli->out, "\nDelivery (%" PRIu64 " channel%s)\n", ent_cli_count(status, "channels"),
                       ent_cli_count(status, "channels") == 1 ? "" : "s");
    if (ent_json_count(rows) == 0)
        ent_buf_put_string(&cli->out, "  nothing to deliver\n");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);)
        put_delivery(cli, i.value);
    for (ent_json_iter i = ent_json_iterate(ent_json_get(status, "lacking")); ent_json_next(&i);)
        put_lacking(cli, i.value);
    if (files > 0)
        ent_buf_put_format(&cli->out, "  %" PRIu64 " attachment%s still to send\n", files, files == 1 ? "" : "s");
}

static void put_alarm(ent_cli *cli, const char *title)
{
    ent_buf_put_u8(&cli->out, '\n');
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
    ent_buf_put_string(&cli->out, title);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
}

void ent_cli_put_keys_missing(ent_cli *cli, ent_json_value answer)
{
    ent_json_value keys = ent_json_get(answer, "keys_missing");
    if (ent_json_count(keys) > 0)
        put_alarm(cli, "KEY MISSING: what it does is held, the rest goes on");
    for (ent_json_iter i = ent_json_iterate(keys); ent_json_next(&i);) {
        ent_buf_put_string(&cli->out, "  ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "text"));
        ent_buf_put_u8(&cli->out, '\n');
    }
}

static void put_alarms(ent_cli *cli, ent_json_value status)
{
    ent_buf *out = &cli->out;
    ent_json_value held = ent_json_get(status, "held");
    ent_json_value forks = ent_json_get(status, "forks");
    ent_cli_put_keys_missing(cli, status);
    if (ent_json_count(held) > 0)
        put_alarm(cli, "HELD: logged here and durable, but not signed and not sent");
    for (ent_json_iter i = ent_json_iterate(held); ent_json_next(&i);) {
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, ent_cli_channel_label(i.value));
        ent_buf_put_string(out, ": ");
        ent_buf_put_format(out, "%" PRIu64 " message%s; ", ent_cli_count(i.value, "messages"),
                           ent_cli_count(i.value, "messages") == 1 ? "" : "s");
        bool by_key = ent_text_is(ent_cli_text(i.value, "hold"), "key");
        ent_cli_put_line(out, by_key ? ENT_TEXT("the log key is missing") : ent_cli_text(i.value, "reason"));
        ent_buf_put_u8(out, '\n');
    }
    if (ent_json_count(forks) > 0)
        put_alarm(cli,
                  "FORK: a party signed two different histories of one log; that log is frozen and the proof is kept");
    bool own = false;
    for (ent_json_iter i = ent_json_iterate(forks); ent_json_next(&i);) {
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, ent_cli_text(i.value, "party"));
        ent_buf_put_string(out, " in ");
        ent_cli_put_line(out, ent_cli_channel_label(i.value));
        ent_buf_put_string(out, ", seen ");
        ent_cli_put_time(out, ent_cli_text(i.value, "seen"));
        ent_buf_put_u8(out, '\n');
        own = own || ent_json_true(ent_json_get(i.value, "own"));
    }
    if (own)
        ent_buf_put_string(out, "  Our own log is among them: nothing more can be said in that channel. Open one that "
                                "succeeds it:\n  entente channel open --succeeds CHANNEL\n");
    if (ent_json_count(forks) > 0)
        ent_buf_put_string(out, "  More, and the proofs for others: entente fork list\n");
}

/* Nobody can be asked there after a crash. */
static void put_guard(ent_cli *cli, ent_json_value status)
{
    size_t count = ent_json_count(ent_json_get(status, "guarded_by_marks_alone"));
    if (count > 0)
        ent_buf_put_format(&cli->out,
                           "\nRollback guard: in %zu channel%s no other member can be asked over the network how far "
                           "our log goes; there the marks in this folder alone keep it from being signed twice\n",
                           count, count == 1 ? "" : "s");
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/status");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    put_identity(cli, answer.root);
    put_deliveries(cli, answer.root);
    put_alarms(cli, answer.root);
    put_guard(cli, answer.root);
    ent_buf_put_string(&cli->out, "\nThis machine: the node uses ");
    ent_cli_put_bytes(&cli->out, ent_cli_count(answer.root, "memory_bytes"));
    ent_buf_put_string(&cli->out, " of memory; ");
    ent_cli_put_bytes(&cli->out, ent_cli_count(answer.root, "disk_free_bytes"));
    ent_buf_put_string(&cli->out, " of disk are free\n");
    return ENT_DONE;
}

const ent_cli_command ent_cli_status = {
    .words = "status",
    .arguments = "",
    .summary = "how the node is: deliveries, problems, what is held and why",
    .text =
        "Shows for each channel and peer how much of our log the peer has receipted, when it was last reached\n"
        "and what stands in the way; who lacks something of another's log; what is held back; forks; memory and disk.",
    .examples = "  entente status --dir aurora\n"
                "  entente status --dir aurora --json",
    .options = ent_cli_no_options,
    .run = run,
};
