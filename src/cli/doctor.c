#include "cli/doctor.h"

#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

static void put_finding(ent_cli *cli, ent_json_value finding, bool is_problem)
{
    ent_buf *out = &cli->out;
    ent_text since = ent_cli_text(finding, "since");
    ent_buf_put_u8(out, '\n');
    ent_cli_put_style(out, cli->colour, is_problem ? ENT_CLI_RED : ENT_CLI_YELLOW);
    ent_buf_put_string(out, is_problem ? "PROBLEM " : "note ");
    ent_cli_put_line(out, ent_cli_text(finding, "what"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    if (ent_cli_text(finding, "channel").size > 0) {
        ent_buf_put_string(out, " in ");
        ent_cli_put_line(out, ent_cli_channel_label(finding));
    }
    ent_buf_put_string(out, ": ");
    ent_cli_put_line(out, ent_cli_text(finding, "text"));
    if (since.size > 0) {
        ent_buf_put_string(out, " (since ");
        ent_cli_put_time(out, since);
        ent_buf_put_u8(out, ')');
    }
    ent_buf_put_string(out, "\n  why it matters  ");
    ent_cli_put_line(out, ent_cli_text(finding, "matters"));
    ent_buf_put_string(out, "\n  what to do      ");
    ent_cli_put_line(out, ent_cli_text(finding, "todo"));
    ent_buf_put_u8(out, '\n');
}

/* Problems first. */
static uint64_t put_level(ent_cli *cli, ent_json_value findings, bool problems)
{
    uint64_t count = 0;
    for (ent_json_iter i = ent_json_iterate(findings); ent_json_next(&i);) {
        if (ent_text_is(ent_cli_text(i.value, "level"), "problem") != problems)
            continue;
        count++;
        if (!cli->json)
            put_finding(cli, i.value, problems);
    }
    return count;
}

static ent_rc read_passphrase(const ent_cli *cli, ent_buf *ret, ent_err *err)
{
    const char *path = ent_cli_value(cli, "--passphrase-file");
    if (path == NULL)
        return ENT_DONE;
    return ent_cli_read_passphrase(path, ret, err);
}

/* What the node sees of itself; false when none answers. */
static ent_rc ask_node(const ent_cli *cli, bool *ret_runs, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/doctor");
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    enum { FINDINGS_MOST = 100000 };
    ent_rc rc = ent_cli_ask(cli, &request, &json, err);
    *ret_runs = rc.code == ENT_OK;
    if (rc.code == ENT_UNREACHABLE)
        return ENT_DONE;
    ENT_TRY(rc);
    return ent_cli_answer_of(ent_buf_text(&json), FINDINGS_MOST, ret, err);
}

static ent_rc collect(const ent_cli *cli, ent_buf *ret, bool *ret_runs, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    const char *folder = NULL;
    ent_json_writer writer = ent_json_writer_of(ret);
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(read_passphrase(cli, &passphrase, err));
    ENT_TRY(ask_node(cli, ret_runs, &answer, err));
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "node", *ret_runs ? "running" : "stopped");
    ent_json_key(&writer, "findings");
    ent_json_array_begin(&writer);
    ENT_TRY(ent_cli_doctor_folder(folder, *ret_runs, ent_buf_bytes(&passphrase), &writer, err));
    if (*ret_runs) {
        for (ent_json_iter i = ent_json_iterate(ent_json_get(answer.root, "findings")); ent_json_next(&i);)
            ent_json_put_copy(&writer, i.value);
    }
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf all = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    bool runs = false;
    ENT_TRY(collect(cli, &all, &runs, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&all), &json, err));
    ent_json_value findings = ent_json_get(ent_json_root(json), "findings");
    if (cli->json)
        ent_cli_put_answer(cli, ent_buf_text(&all));
    uint64_t problems = put_level(cli, findings, true);
    uint64_t notes = put_level(cli, findings, false);
    if (!cli->json && problems + notes > 0)
        ent_buf_put_u8(&cli->out, '\n');
    if (!cli->json && problems == 0)
        ent_buf_put_format(&cli->out, "Nothing is wrong, as far as %s can tell.\n",
                           runs ? "node and folder" : "the folder");
    ENT_TRY(ent_cli_flush(cli, err));
    if (problems == 0)
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_INVALID, NULL, "%" PRIu64 " problem%s found", problems,
                    problems == 1 ? " was" : "s were");
}

static const ent_cli_option options[] = {
    {"--passphrase-file", NULL, "FILE", false, "of the keys, to compare them with the card while no node runs"},
    {NULL, NULL, NULL, false, NULL},
};

const ent_cli_command ent_cli_doctor = {
    .words = "doctor",
    .arguments = "[--passphrase-file FILE]",
    .summary = "find what is wrong, say why it matters and what to do",
    .text =
        "Looks at the folder (permissions, keys, card, certificate, disk, clock), which needs no node, and asks the\n"
        "node: peers that are not reached, clocks that differ, messages without a receipt, what is held, frozen or\n"
        "refused, attachments that do not come, quotas that are nearly used up. Exit status 1 when there is a\n"
        "problem; notes alone are 0.",
    .examples = "  entente doctor --dir aurora\n"
                "  entente doctor --json --dir aurora",
    .options = options,
    .run = run,
};
