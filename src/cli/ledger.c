#include "cli/ledger_view.h"
#include "cli/moment.h"
#include "cli/say.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--channel", NULL, "CHANNEL", false, "only this channel (default: every open one)"},
    {"--at", NULL, "T", false,
     "as it stood at a moment: 2026-01-31T08:00:00Z, or the beginning\nof a day: 2026-01-31; evidence dated later does "
     "not "
     "count"},
    {"--digest", NULL, NULL, false, "print only the two digests of a channel"},
    {"--lines", NULL, "state|evidence", false, "print the exact lines that a digest is the SHA-256 of"},
    {NULL, NULL, NULL, false, NULL},
};

/* How many duties are asked for: for a person, and for a program. */
#define ROWS_SHOWN "500"
#define ROWS_ALL "100000"

typedef struct {
    char time[ENT_TIME_TEXT_SIZE + 1];
    const char *at; /* NULL = now */
    const char *lines;
} wanted;

static ent_rc read_options(const ent_cli *cli, wanted *ret, ent_err *err)
{
    const char *channel = ent_cli_value(cli, "--channel");
    ret->lines = ent_cli_value(cli, "--lines");
    if (channel != NULL)
        ENT_TRY(ent_cli_check_channel(channel, err));
    ENT_TRY(ent_cli_time(cli, "--at", ret->time, &ret->at, err));
    if (ret->lines != NULL && strcmp(ret->lines, "state") != 0 && strcmp(ret->lines, "evidence") != 0)
        return ent_fail(err, ENT_USAGE, NULL, "--lines takes state or evidence, not \"%s\"", ret->lines);
    if (ret->lines != NULL && (ent_cli_has(cli, "--digest") || cli->json))
        return ent_fail(err, ENT_USAGE, NULL, "--lines prints the lines alone: leave --digest and --json out");
    return ENT_DONE;
}

/* ---- one channel ---------------------------------------------------------------- */

static ent_rc ask(const ent_cli *cli, const char *channel, const wanted *want, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/ledger");
    ent_cli_request_query(&request, "channel", channel);
    ent_cli_request_query(&request, "at", want->at);
    ent_cli_request_query(&request, "limit", cli->json ? ROWS_ALL : ROWS_SHOWN);
    return ent_cli_ask(cli, &request, ret, err);
}

static ent_rc parse(const ent_buf *json, ent_cli_answer *ret, ent_err *err)
{
    return ent_fail_in(err, ent_cli_answer_of(ent_buf_text(json), ENT_CLI_LEDGER_ROWS, ret, err), "the node's answer");
}

static ent_rc put_digests(ent_cli *cli, ent_json_value ledger, ent_err *err)
{
    ent_text evidence = ent_cli_text(ledger, "evidence_digest");
    ent_text state = ent_cli_text(ledger, "state_digest");
    if (evidence.size == 0 || state.size == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/api.md", "the node's answer holds no digests");
    if (cli->json) {
        ent_json_writer writer = ent_json_writer_of(&cli->out);
        ent_json_object_begin(&writer);
        ent_json_member_text(&writer, "evidence", evidence);
        ent_json_member_text(&writer, "state", state);
        ent_json_object_end(&writer);
        ent_buf_put_u8(&cli->out, '\n');
        return ENT_DONE;
    }
    ent_buf_put_string(&cli->out, "evidence ");
    ent_cli_put_line(&cli->out, evidence);
    ent_buf_put_string(&cli->out, "\nstate ");
    ent_cli_put_line(&cli->out, state);
    ent_buf_put_u8(&cli->out, '\n');
    return ENT_DONE;
}

/* Exactly the bytes into a file or pipe, so that sha256sum agrees; on a terminal nothing may act. */
static ent_rc put_lines(ent_cli *cli, const char *channel, const wanted *want, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/ledger/lines");
    ENT_CLEANUP(ent_buf_release) ent_buf lines = {0};
    ent_cli_request_query(&request, "channel", channel);
    ent_cli_request_query(&request, "at", want->at);
    ent_cli_request_query(&request, "what", want->lines);
    ENT_TRY(ent_cli_ask(cli, &request, &lines, err));
    if (cli->width == 0)
        ent_buf_put(&cli->out, ent_buf_bytes(&lines));
    else
        ent_cli_put_block(&cli->out, ent_buf_text(&lines), 0);
    return ENT_DONE;
}

static ent_rc put_channel(ent_cli *cli, const char *channel, const wanted *want, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    if (want->lines != NULL)
        return put_lines(cli, channel, want, err);
    ENT_TRY(ask(cli, channel, want, &json, err));
    if (cli->json && !ent_cli_has(cli, "--digest")) {
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return ENT_DONE;
    }
    ENT_TRY(parse(&json, &answer, err));
    if (ent_cli_has(cli, "--digest"))
        return put_digests(cli, answer.root, err);
    return ent_cli_put_ledger(cli, answer.root, err);
}

/* ---- all channels ---------------------------------------------------------------- */

/* The ids of the open channels.
 * @in   fn   called for each */
static ent_rc each_open(const ent_cli *cli, ent_rc (*fn)(void *context, const char *id, ent_err *err), void *context,
                        ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/channels");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_ask_parsed(cli, &request, &answer, err));
    for (ent_json_iter i = ent_json_iterate(ent_json_get(answer.root, "channels")); ent_json_next(&i);) {
        ENT_CLEANUP(ent_free_pointer) char *id = NULL;
        if (!ent_text_is(ent_cli_text(i.value, "state"), "open"))
            continue;
        id = ent_text_copy(ent_cli_text(i.value, "id"));
        if (id == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        ENT_TRY(fn(context, id, err));
    }
    return ENT_DONE;
}

typedef struct {
    ent_cli *cli;
    const wanted *want;
    size_t count;
    char *only; /* the first */
} channels;

static void release_channels(channels *at)
{
    ent_free(at->only);
}

static ent_rc count_channel(void *context, const char *id, ent_err *err)
{
    channels *at = context;
    if (at->count++ > 0)
        return ENT_DONE;
    at->only = ent_text_copy(ent_text_of(id));
    return at->only != NULL ? ENT_DONE : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

static ent_rc show_channel(void *context, const char *id, ent_err *err)
{
    channels *at = context;
    ent_cli *cli = at->cli;
    ent_buf_put_string(&cli->out, at->count++ == 0 ? "" : cli->json ? "," : "\n\n");
    return put_channel(cli, id, at->want, err);
}

static ent_rc put_all(ent_cli *cli, const wanted *want, ent_err *err)
{
    channels at = {.cli = cli, .want = want};
    if (cli->json)
        ent_buf_put_string(&cli->out, "{\"ledgers\":[");
    ENT_TRY(each_open(cli, show_channel, &at, err));
    if (cli->json)
        ent_buf_put_string(&cli->out, "]}\n");
    else if (at.count == 0)
        ent_buf_put_string(&cli->out, "No channel is open: `entente channel list` shows all.\n");
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    wanted want = {.at = NULL};
    const char *channel = ent_cli_value(cli, "--channel");
    ENT_CLEANUP(release_channels) channels open = {0};
    ENT_TRY(read_options(cli, &want, err));
    if (channel != NULL)
        return put_channel(cli, channel, &want, err);
    if (want.lines == NULL && !ent_cli_has(cli, "--digest"))
        return put_all(cli, &want, err);
    ENT_TRY(each_open(cli, count_channel, &open, err));
    if (open.count != 1)
        return ent_fail(err, ENT_USAGE, NULL, "of which channel? %zu are open: name it with --channel", open.count);
    return put_channel(cli, open.only, &want, err);
}

const ent_cli_command ent_cli_ledger = {
    .words = "ledger",
    .arguments = "[--channel CHANNEL] [--at T] [--digest] [--lines state|evidence]",
    .summary = "who owes whom what by when",
    .text =
        "Computed from evidence alone: logs, receipts and what the bodies say. Wherever the same evidence is held, "
        "the\n"
        "same comes out; the two digests show it.\n"
        "\n"
        "First what is not done, overdue before the rest: when it is due, who owes it, for which message, the receipt\n"
        "that started its clock, and its state. A request that nobody has receipted is \"sent, not receipted\", never\n"
        "overdue; an answer so is \"answered, not receipted\". \"stopped\": a clarification is awaited; \"frozen\": "
        "the\n"
        "channel is suspended. Then balances, who may hold back and why, answer times, comm checks, attributions that\n"
        "no evidence supports, and what is kept but does not count.",
    .examples = "  entente ledger --dir aurora\n"
                "  entente ledger --channel north --at 2026-01-31 --dir aurora\n"
                "  entente ledger --channel north --digest --dir aurora\n"
                "  entente ledger --channel north --lines state --dir aurora | sha256sum",
    .options = options,
    .run = run,
};
