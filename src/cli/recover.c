#include "cli/api.h"
#include "cli/people.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--from", NULL, "PARTY", false, "a member that holds what was lost"},
    {"--channel", NULL, "CHANNEL", false,
     "only this channel (a forgotten one by its whole id); else all shared with PARTY"},
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
    uint64_t attachments = ent_cli_count(row, "attachments");
    if (attachments > 0)
        ent_buf_put_format(out, "    %" PRIu64 " attachment%s came back\n", attachments, attachments == 1 ? "" : "s");
    if (missing > 0)
        ent_buf_put_format(out, "    %" PRIu64 " attachment%s %s still missing: ask another member for %s too\n",
                           missing, missing == 1 ? "" : "s", missing == 1 ? "is" : "are", missing == 1 ? "it" : "them");
    if (ent_cli_text(row, "trouble").size > 0) {
        ent_buf_put_string(out, "    not all came back: ");
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
    if (ent_json_true(ent_json_get(row, "found")))
        ent_buf_put_string(out, "this store had forgotten the channel; ");
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

static void put_answer(ent_cli *cli, const char *from, ent_json_value root)
{
    ent_text trouble = ent_cli_text(root, "channels_trouble");
    ent_buf_put_string(&cli->out, "From ");
    ent_cli_put_line(&cli->out, ent_text_of(from));
    ent_buf_put_u8(&cli->out, '\n');
    for (ent_json_iter i = ent_json_iterate(ent_json_get(root, "channels")); ent_json_next(&i);)
        put_row(cli, i.value);
    if (trouble.size == 0)
        return;
    ent_buf_put_string(&cli->out, "  not every channel came back: ");
    ent_cli_put_line(&cli->out, trouble);
    ent_buf_put_u8(&cli->out, '\n');
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
    ENT_TRY(ent_cli_ask(cli, &request, &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    answer.root = ent_json_root(answer.json);
    if (cli->json)
        ent_cli_put_answer(cli, ent_buf_text(&answer.bytes));
    else
        put_answer(cli, from, answer.root);
    ENT_TRY(ent_cli_flush(cli, err));
    return judge(ent_json_get(answer.root, "channels"), err); /* the status says the same with --json */
}

const ent_cli_command ent_cli_recover = {
    .words = "recover",
    .arguments = "--from PARTY [--channel CHANNEL]",
    .summary = "bring back from a member what this node has lost",
    .text =
        "For a node that was restored from a backup: it holds less than it signed, and `entente status` says HELD.\n"
        "PARTY gives back our own entries with their receipts, then the logs of all members with the receipts that\n"
        "we gave, attachments, and channels that this store has never heard of, if we have spoken in them: nothing\n"
        "of it is believed that the keys do not prove. What was said here meanwhile and never signed gives way and\n"
        "is kept as files. It can be repeated, with one member after the other, and goes on where it ended. When\n"
        "nobody holds all that was signed, the way on is a successor channel.",
    .examples = "  entente recover --from boreal.example",
    .options = options,
    .run = run,
};
