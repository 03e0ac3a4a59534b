#include "cli/report_view.h"

#include "cli/files.h"
#include "cli/moment.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--channel", NULL, "CHANNEL", false, "on which channel"},
    {"--from", NULL, "T", false, "first moment: 2026-01-31T08:00:00Z, or the beginning of a day:\n2026-01-31"},
    {"--to", NULL, "T", false, "last moment"},
    {"--publish", NULL, NULL, false,
     "only what may be published: what is marked TLP:CLEAR, what its\nwriter has consented to, and what we have "
     "overridden"},
    {"--output", "-o", "NAME", false, "write NAME.md and NAME.json, which holds the proofs"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc ask(const ent_cli *cli, ent_buf *ret, ent_err *err)
{
    const char *channel = ent_cli_value(cli, "--channel");
    char from_text[ENT_TIME_TEXT_SIZE + 1];
    char to_text[ENT_TIME_TEXT_SIZE + 1];
    const char *from = NULL;
    const char *to = NULL;
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/report");
    if (channel == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "on which channel? Name it with --channel; `entente channel list` shows them");
    ENT_TRY(ent_cli_check_channel(channel, err));
    ENT_TRY(ent_cli_time(cli, "--from", from_text, &from, err));
    ENT_TRY(ent_cli_time(cli, "--to", to_text, &to, err));
    if (from != NULL && to != NULL && strcmp(from, to) > 0)
        return ent_fail(err, ENT_USAGE, NULL, "--from is later than --to");
    ent_cli_request_query(&request, "channel", channel);
    ent_cli_request_query(&request, "from", from);
    ent_cli_request_query(&request, "to", to);
    ent_cli_request_query(&request, "publish", ent_cli_has(cli, "--publish") ? "1" : NULL);
    return ent_cli_ask(cli, &request, ret, err);
}

static ent_rc write_part(const char *name, const char *extension, mode_t mode, const ent_buf *content,
                         ent_json_writer *files, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
    ent_buf_put_format(&path, "%s.%s", name, extension);
    const char *string = ent_buf_string(&path);
    ENT_TRY(ent_buf_check(&path, err));
    ENT_TRY(ent_cli_write(string, mode, ent_buf_bytes(content), err));
    ent_json_put_string(files, string);
    return ENT_DONE;
}

static ent_rc write_files(ent_cli *cli, const char *name, const ent_buf *markdown, const ent_buf *json, ent_err *err)
{
    mode_t mode = ent_cli_has(cli, "--publish") ? 0644 : 0600;
    ENT_CLEANUP(ent_buf_release) ent_buf files = {0};
    ent_json_writer writer = ent_json_writer_of(&files);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "files");
    ent_json_array_begin(&writer);
    ENT_TRY(write_part(name, "json", mode, json, &writer, err));
    ENT_TRY(write_part(name, "md", mode, markdown, &writer, err));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&files, err));
    if (cli->json)
        ent_cli_put_answer(cli, ent_buf_text(&files));
    else
        ent_cli_note("written: %s.md and %s.json; anybody can check the second, without a node:\n"
                     "`entente verify %s.json --card FILE`",
                     name, name, name);
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *name = ent_cli_value(cli, "--output");
    ENT_CLEANUP(ent_buf_wipe) ent_buf json = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf markdown = {0};
    if (name != NULL && strcmp(name, "-") == 0)
        return ent_fail(err, ENT_USAGE, NULL, "-o NAME names two files, NAME.md and NAME.json; leave it out to print");
    ENT_TRY(ask(cli, &json, err));
    if (cli->json && name == NULL) {
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return ENT_DONE;
    }
    ENT_TRY(ent_fail_in(err, ent_cli_put_report(&markdown, ent_buf_text(&json), name, err), "the node's answer"));
    if (name != NULL)
        return write_files(cli, name, &markdown, &json, err);
    ent_buf_put(&cli->out, ent_buf_bytes(&markdown));
    return ENT_DONE;
}

const ent_cli_command ent_cli_report = {
    .words = "report",
    .arguments = "--channel CHANNEL [--from T] [--to T] [--publish] [-o NAME]",
    .summary = "a dated account of a channel, each line with its proof",
    .text =
        "What was asked, answered, granted, refused, left unanswered or came too late, and the balances, in a span of\n"
        "time: as Markdown, or with --json as JSON, which also holds the proof of every message that is named. "
        "Anybody\n"
        "can check that with `entente verify`, without a node.\n"
        "\n"
        "A report shows who said what kind of thing when, and subjects. With --publish it names only messages that "
        "are\n"
        "marked TLP:CLEAR, whose writers have consented (channel.consent), or that we have logged an override for\n"
        "(channel.override); the others are counted, and not named.",
    .examples = "  entente report --channel north --from 2026-01-01 --to 2026-07-01 --dir aurora\n"
                "  entente report --channel north --publish -o first-half --dir aurora\n"
                "  entente verify first-half.json --card aurora.card --card boreal.card",
    .options = options,
    .run = run,
};
