#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "log/fork.h"

/* ---- fork list --------------------------------------------------------------- */

static const ent_cli_option list_options[] = {
    {"--channel", NULL, "CHANNEL", false, "of one channel only"},
    {NULL, NULL, NULL, false, NULL},
};

static void put_row(ent_cli_table *table, ent_json_value fork)
{
    ENT_CLEANUP(ent_buf_release) ent_buf cell = {0};
    ent_json_value sizes = ent_json_get(fork, "sizes");
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_cli_channel_label(fork));
    ent_cli_table_cell(table, ENT_CLI_RED, ent_cli_text(fork, "party"));
    ent_cli_put_time(&cell, ent_cli_text(fork, "seen"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&cell));
    ent_buf_clear(&cell);
    ent_buf_put_decimal(&cell, ent_cli_count(fork, "frozen_at"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&cell));
    ent_buf_clear(&cell);
    for (ent_json_iter i = ent_json_iterate(sizes); ent_json_next(&i);) {
        if (cell.size > 0)
            ent_buf_put_string(&cell, " and ");
        uint64_t size = 0;
        if (ent_json_unsigned(i.value, UINT64_MAX, &size))
            ent_buf_put_decimal(&cell, size);
    }
    if (cell.size == 0)
        ent_buf_put_string(&cell, "no proof for others");
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&cell));
}

/* What a member signed for, and what is not the history here: it was told another, or its receipt is a lie. */
static void put_apart(ent_cli *cli, ent_json_value apart)
{
    ent_buf *out = &cli->out;
    if (ent_json_count(apart) == 0)
        return;
    ent_buf_put_string(out, "\nReceipts for what no log here holds: each shows what its signer holds, or claims to.\n");
    for (ent_json_iter i = ent_json_iterate(apart); ent_json_next(&i);) {
        ent_buf_put_string(out, "  ");
        ent_cli_put_line(out, ent_cli_channel_label(i.value));
        ent_buf_put_string(out, ": ");
        ent_cli_put_line(out, ent_cli_text(i.value, "by"));
        ent_buf_put_string(out, " receipted ");
        ent_cli_put_first_entries(out, ent_cli_count(i.value, "size"));
        ent_buf_put_string(out, " of another log of ");
        ent_cli_put_line(out, ent_cli_text(i.value, "party"));
        ent_buf_put_string(out, " than this one, dated ");
        ent_cli_put_time(out, ent_cli_text(i.value, "time"));
        ent_buf_put_u8(out, '\n');
    }
    ent_buf_put_string(out, "Ask the one who signed for the head of that log that it holds: two heads prove a fork.\n");
}

static ent_rc list(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/forks");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    const char *channel = ent_cli_value(cli, "--channel");
    if (channel != NULL)
        ENT_TRY(ent_cli_check_channel(channel, err));
    ent_cli_request_query(&request, "channel", channel);
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_json_value forks = ent_json_get(answer.root, "forks");
    if (ent_json_count(forks) == 0) {
        ent_buf_put_string(&cli->out, "No log is known to have forked.\n");
        put_apart(cli, ent_json_get(answer.root, "apart"));
        return ENT_DONE;
    }
    ent_cli_table_column(&table, "CHANNEL", 0, 0);
    ent_cli_table_column(&table, "PARTY", 0, 0);
    ent_cli_table_column(&table, "SEEN", 0, 2);
    ent_cli_table_column(&table, "FROZEN AT", 0, 3);
    ent_cli_table_column(&table, "HEADS OF", 12, 1);
    for (ent_json_iter i = ent_json_iterate(forks); ent_json_next(&i);)
        put_row(&table, i.value);
    ENT_TRY(ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err));
    ent_buf_put_string(&cli->out, "\nA proof for others: entente fork export CHANNEL/PARTY -o fork.proof\n");
    put_apart(cli, ent_json_get(answer.root, "apart"));
    return ENT_DONE;
}

const ent_cli_command ent_cli_fork_list = {
    .words = "fork list",
    .arguments = "[--channel CHANNEL]",
    .summary = "which parties signed two different histories of a log",
    .text =
        "A log forked when its key signed two heads that contradict each other: one of them tells a history that the\n"
        "other denies. That log is frozen where it stood here; the other logs go on, and what its writer owes stays\n"
        "owed. The way on is a new channel that succeeds this one.",
    .examples = "  entente fork list --dir aurora\n"
                "  entente fork list --channel north --json --dir aurora",
    .options = list_options,
    .run = list,
};

/* ---- fork export --------------------------------------------------------------- */

static const ent_cli_option export_options[] = {
    {"--output", "-o", "FILE", false, "where to, or - for standard output"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc split_log(const char *named, ent_text *ret_channel, ent_text *ret_party, ent_err *err)
{
    const char *slash = strchr(named, '/');
    if (slash == NULL || slash == named || slash[1] == 0 || strchr(slash + 1, '/') != NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "\"%.80s\" names no log: it is CHANNEL/PARTY, as `entente fork list` shows them", named);
    *ret_channel = (ent_text){named, (size_t)(slash - named)};
    *ret_party = ent_text_of(slash + 1);
    return ENT_DONE;
}

static ent_rc export_proof(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/forks");
    ENT_CLEANUP(ent_buf_release) ent_buf proof = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    const char *path = ent_cli_value(cli, "--output");
    ent_text channel = {NULL, 0};
    ent_text party = {NULL, 0};
    if (path == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "where to? entente fork export %.80s -o fork.proof", cli->positional[0]);
    ENT_TRY(split_log(cli->positional[0], &channel, &party, err));
    ent_cli_request_segment(&request, channel);
    ent_cli_request_segment(&request, party);
    ENT_TRY(ent_cli_ask(cli, &request, &proof, err));
    ENT_TRY(ent_cli_write(path, 0644, ent_buf_bytes(&proof), err));
    if (strcmp(path, "-") == 0)
        return ENT_DONE;
    if (!cli->json) {
        ent_buf_put_format(&cli->out,
                           "%s: proof that this log forked. Check it anywhere, without a node: entente verify %s "
                           "--card FILE\n",
                           path, path);
        return ENT_DONE;
    }
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", path);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

const ent_cli_command ent_cli_fork_export = {
    .words = "fork export",
    .arguments = "CHANNEL/PARTY -o FILE",
    .summary = "write proof that a party's log forked, for anybody to verify",
    .text =
        "The proof holds the two signed heads, the key, and, when they are of different sizes, the hashes that show\n"
        "that one is no beginning of the other. It tells nothing of what was said. Pouches bring it to the other\n"
        "members by themselves.",
    .examples = "  entente fork export north/boreal.example -o fork.proof --dir aurora\n"
                "  entente verify fork.proof --card boreal.card",
    .options = export_options,
    .least = 1,
    .most = 1,
    .run = export_proof,
};

/* ---- fork import --------------------------------------------------------------- */

static ent_rc import_proof(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/forks");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf proof = {0};
    ENT_TRY(ent_cli_read(cli->positional[0], ENT_FORK_PROOF_MAX_BYTES, &proof, err));
    request.body = ent_buf_bytes(&proof);
    request.content_type = "text/plain";
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_cli_put_line(&cli->out, ent_cli_text(answer.root, "party"));
    ent_buf_put_string(&cli->out, ent_json_true(ent_json_get(answer.root, "new"))
                                      ? " signed two different histories; its log is frozen here from now on.\n"
                                      : ": that its log forked was known here already.\n");
    return ENT_DONE;
}

const ent_cli_command ent_cli_fork_import = {
    .words = "fork import",
    .arguments = "FILE",
    .summary = "take in a proof that a member's log forked",
    .text = "The proof is checked against the key that the channel's genesis names. Then that log is frozen here too.",
    .examples = "  entente fork import fork.proof --dir aurora",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = import_proof,
};
