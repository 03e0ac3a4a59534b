#include "cli/api.h"
#include "cli/people.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--accept-fork-risk", NULL, NULL, false, "say that you know what may come of it"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/channels");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    const char *channel = cli->positional[0];
    ENT_TRY(ent_cli_check_channel(channel, err));
    if (!ent_cli_has(cli, "--accept-fork-risk"))
        return ent_fail(err, ENT_USAGE, "design 3, Rollback guard",
                        "if this party ever signed more than its store holds, signing on is a fork: every member gets "
                        "proof of it and the log freezes. When you are sure that the store is the newest, say so with "
                        "--accept-fork-risk");
    ent_cli_request_segment(&request, ent_text_of(channel));
    ent_cli_request_segment(&request, ENT_TEXT("release"));
    request.body = ent_text_bytes(ENT_TEXT("{\"accept_fork_risk\":true}"));
    request.content_type = "application/json";
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_buf_put_string(&cli->out, "released: our log in ");
    ent_cli_put_line(&cli->out, ent_text_of(channel));
    ent_buf_put_format(&cli->out, " is signed again, up to %" PRIu64 " entries. That it was released is kept.\n",
                       ent_cli_count(answer.root, "signed_size"));
    return ENT_DONE;
}

const ent_cli_command ent_cli_release_channel = {
    .words = "release",
    .arguments = "CHANNEL --accept-fork-risk",
    .summary = "sign on although not every member has said how far our log goes",
    .text =
        "After a crash, or in a restored folder, the node asks every member how far our log goes before it signs\n"
        "anything new: what is said meanwhile is logged here and held (`entente status`). When members cannot be\n"
        "reached, an officer may have it signed all the same, from 60 s after the start on. If a member holds more\n"
        "of our log than this node, that is a fork, which freezes the log for good.",
    .examples = "  entente release north --accept-fork-risk",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
