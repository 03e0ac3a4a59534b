#include "cli/api.h"
#include "cli/people.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--reason", NULL, "TEXT", false, "why it is shown; the other members read it"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/reveals");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ENT_TRY(ent_cli_check_message(cli->positional[0], err));
    ent_cli_request_message(&request, cli->positional[0]);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "reasons", ent_cli_value(cli, "--reason"));
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    request.body = ent_buf_bytes(&body);
    request.content_type = "application/json";
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_cli_put_line(&cli->out, ent_cli_text(answer.root, "message"));
    ent_buf_put_string(
        &cli->out, ent_text_is(ent_cli_text(answer.root, "shows"), "bad")
                       ? ": the file key is shown. The body is NOT sealed as agreed, or not valid: the message counts "
                         "as not said\n"
                       : ": the file key is shown. Every member can now see that the body is well-formed\n");
    return ENT_DONE;
}

const ent_cli_command ent_cli_reveal = {
    .words = "reveal",
    .arguments = "MSG [--reason TEXT]",
    .summary = "show the file key of our message, when its body is contested",
    .text =
        "Somebody says that a body of ours does not open, or is not valid. Its file key, shown in our log, lets every\n"
        "member compute whether it was sealed as agreed and what it says: then it is contested no more and counts "
        "from\n"
        "when it was said; or it is proven bad and counts as not said. The key opens this one body, which is sealed "
        "to\n"
        "all members as it is; whoever gets to see the sealed bytes and the opened reveal can read it. It cannot be\n"
        "taken back.",
    .examples = "  entente reveal north/aurora.example/3 --reason \"You say that it does not open.\" --dir aurora",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
