#include "cli/api.h"
#include "cli/people.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--from", NULL, "PARTY", false, "a member that holds what was lost"},
    {"--channel", NULL, "CHANNEL", false, "only this channel; else every one that is shared with PARTY"},
    {NULL, NULL, NULL, false, NULL},
};

static void put_lost(ent_cli *cli, ent_json_value row)
{
    ent_buf *out = &cli->out;
    uint64_t set_aside = ent_cli_count(row, "set_aside");
    uint64_t missing = ent_cli_count(row, "attachments_missing");
    if (set_aside > 0) {
        ent_buf_put_format(out, "    %" PRIu64 " message%s that never left gave way; entries and sealed bodies are in ",
                           set_aside, set_aside == 1 ? "" : "s");
        ent_cli_put_line(out, ent_cli_text(row, "set_aside_folder"));
        ent_buf_put_string(out, ": read them (`age -d -i DIR/keys/age.key`), and say again what still holds\n");
    }
    if (missing > 0)
        ent_buf_put_format(out,
                           "    %" PRIu64 " attachment%s of ours %s not here any more; their receivers have them\n",
                           missing, missing == 1 ? "" : "s", missing == 1 ? "is" : "are");
    if (ent_cli_text(row, "trouble").size > 0) {
        ent_buf_put_string(out, "    not all of the others' logs came back: ");
        ent_cli_put_line(out, ent_cli_text(row, "trouble"));
        ent_buf_put_u8(out, '\n');
    }
}

static void put_row(ent_cli *cli, ent_json_value row)
{
    ent_buf *out = &cli->out;
    uint64_t before = ent_cli_count(row, "size_before");
    uint64_t size = ent_cli_count(row, "size");
    ent_buf_put_string(out, "  ");
    ent_cli_put_line(out, ent_cli_channel_label(row));
    ent_buf_put_string(out, ": ");
    if (ent_cli_text(row, "failed").size > 0) {
        ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
        ent_cli_put_line(out, ent_cli_text(row, "failed"));
        ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_u8(out, '\n');
        return;
    }
    if (size > before)
        ent_buf_put_format(out, "our log is back from %" PRIu64 " to %" PRIu64 " entries", before, size);
    else
        ent_buf_put_format(out, "nothing of our log was missing (%" PRIu64 " entries)", size);
    ent_buf_put_format(out, "; %" PRIu64 " entries of others came back\n", ent_cli_count(row, "others"));
    put_lost(cli, row);
    if (ent_cli_text(row, "hold").size == 0)
        return;
    ent_buf_put_string(out, "    ");
    ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
    ent_buf_put_string(out, "still held: ");
    ent_cli_put_line(out, ent_cli_text(row, "hold_reason"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(out, '\n');
}

/* 1 when something was refused, 5 when something is still held. */
static ent_rc judge(ent_json_value rows, ent_err *err)
{
    bool held = false;
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        ent_text failed = ent_cli_text(i.value, "failed");
        if (failed.size > 0)
            return ent_fail(err, ENT_REFUSED, "design 3, Rollback guard", "%.*s", ENT_TEXT_ARG(failed));
        held = held || ent_cli_text(i.value, "hold").size > 0;
    }
    return held ? ent_fail(err, ENT_WAITING, "design 3, Rollback guard",
                           "not all is back, or not every member has answered: `entente status` tells what is held")
                : ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/recover");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    const char *from = ent_cli_value(cli, "--from");
    const char *channel = ent_cli_value(cli, "--channel");
    ent_json_writer writer = ent_json_writer_of(&body);
    if (from == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "--from is missing: entente recover %s", ent_cli_recover.arguments);
    ENT_TRY(ent_cli_check_party(from, err));
    if (channel != NULL)
        ENT_TRY(ent_cli_check_channel(channel, err));
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "from", from);
    ent_json_member_string(&writer, "channel", channel);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    request.body = ent_buf_bytes(&body);
    request.content_type = "application/json";
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    ent_json_value rows = ent_json_get(answer.root, "channels");
    if (!cli->json) {
        ent_buf_put_string(&cli->out, "From ");
        ent_cli_put_line(&cli->out, ent_text_of(from));
        ent_buf_put_u8(&cli->out, '\n');
        for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);)
            put_row(cli, i.value);
    }
    ENT_TRY(ent_cli_flush(cli, err));
    return judge(rows, err);
}

const ent_cli_command ent_cli_recover = {
    .words = "recover",
    .arguments = "--from PARTY [--channel CHANNEL]",
    .summary = "bring back from a member what this node has lost",
    .text =
        "For a node that was restored from a backup: it holds less than it signed, and `entente status` says HELD.\n"
        "PARTY gives back our own entries with their receipts, then the logs of all members with the receipts that\n"
        "we gave: nothing of it is believed that the keys do not prove. What was said here meanwhile and never\n"
        "signed gives way and is kept as files. It can be repeated, with one member after the other. When nobody\n"
        "holds all that was signed, the way on is a successor channel.",
    .examples = "  entente recover --from boreal.example",
    .options = options,
    .run = run,
};
