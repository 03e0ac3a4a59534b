#include "cli/draft.h"
#include "cli/files.h"
#include "cli/terminal.h"
#include "cli/terms.h"
#include "cli/verbs.h"

#include "crypto/crypto.h"

enum { SUMMARY_MAX_BYTES = 3500 };

/* ---- show ------------------------------------------------------------------------ */

static const ent_cli_option show_options[] = {
    {"--channel", NULL, "CHANNEL", false, "of which channel"},
    {"--output", "-o", "FILE", false, "write their exact bytes to a file, or - for standard output"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc need_channel(const ent_cli *cli, const char **ret, ent_err *err)
{
    *ret = ent_cli_value(cli, "--channel");
    if (*ret == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "of which channel? Name it with --channel; `entente channel list` shows them");
    return ent_cli_check_channel(*ret, err);
}

static ent_rc put_terms_json(ent_cli *cli, const ent_cli_terms *terms, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "message", terms->message);
    ent_json_key(&writer, "commitment");
    ent_json_put_hex(&writer, ent_hash_bytes(&terms->commitment));
    ent_json_member_bool(&writer, "readable", terms->agreement != NULL);
    ent_json_member_string(&writer, "problem", terms->agreement != NULL ? NULL : terms->problem.text);
    ent_json_key(&writer, "terms");
    ent_json_put_base64(&writer, ent_buf_bytes(&terms->bytes));
    ent_json_member_string(&writer, "file", path);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

static ent_rc run_show(ent_cli *cli, ent_err *err)
{
    const char *channel = NULL;
    const char *path = ent_cli_value(cli, "--output");
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms terms = {0};
    ENT_TRY(need_channel(cli, &channel, err));
    ENT_TRY(ent_cli_terms_in_force(cli, channel, &terms, err));
    if (path != NULL) {
        ENT_TRY(ent_cli_write(path, 0600, ent_buf_bytes(&terms.bytes), err));
        if (strcmp(path, "-") == 0)
            return ENT_DONE;
    }
    if (cli->json)
        return put_terms_json(cli, &terms, path, err);
    if (path != NULL)
        return ENT_DONE;
    if (terms.agreement == NULL) {
        ent_buf_put_string(&cli->out, "Terms: not readable as an agreement: ");
        ent_cli_put_line(&cli->out, ent_text_of(terms.problem.text));
        ent_buf_put_string(&cli->out, "\nNo deadline follows from them. With -o FILE they are written as they are.\n");
    } else {
        ENT_TRY(ent_cli_put_terms(cli, terms.agreement, err));
    }
    ent_buf_put_string(&cli->out, "\nCommitment ");
    ent_buf_put_hex(&cli->out, ent_hash_bytes(&terms.commitment));
    ent_buf_put_string(&cli->out, ", given by ");
    ent_cli_put_line(&cli->out, ent_text_of(terms.message));
    ent_buf_put_u8(&cli->out, '\n');
    return ENT_DONE;
}

const ent_cli_command ent_cli_agreement_show = {
    .words = "agreement show",
    .arguments = "--channel CHANNEL [-o FILE]",
    .summary = "show the terms in force in a channel",
    .text = "Those of the channel's genesis, or of the amendment that every member has accepted since. They are\n"
            "checked against the commitment that every entry names.",
    .examples = "  entente agreement show --channel north --dir aurora\n"
                "  entente agreement show --channel north -o terms.json --dir aurora",
    .options = show_options,
    .run = run_show,
};

/* ---- propose --------------------------------------------------------------------- */

static const ent_cli_option propose_options[] = {
    {"--channel", NULL, "CHANNEL", false, "in which channel"},
    {"--summary", NULL, "TEXT", false, "what changes, in a few words (default: every change, a line each)"},
    {"--body", NULL, "FILE", false, "a covering text, or - for standard input"},
    {"--lang", NULL, "L", false, "language of that text (default en)"},
    {"--urgency", NULL, "U", false, "routine, priority, immediate or flash"},
    {"--exercise", NULL, NULL, false, "mark it as part of an exercise"},
    {"--wait", NULL, "receipt|answer", false, "wait until it is receipted, or until it is answered"},
    {"--timeout", NULL, "S", false, "seconds to wait (default 30)"},
    {NULL, NULL, NULL, false, NULL},
};

/* At most so many bytes, ending with a whole line. */
static ent_text cut_lines(ent_text lines)
{
    if (lines.size <= SUMMARY_MAX_BYTES)
        return lines;
    lines.size = SUMMARY_MAX_BYTES;
    while (lines.size > 0 && lines.data[lines.size - 1] != '\n')
        lines.size--;
    return lines;
}

static void put_summary(ent_buf *buf, const char *given, ent_text changes)
{
    ent_text shown = cut_lines(changes);
    if (given != NULL) {
        ent_buf_put_string(buf, given);
        return;
    }
    ent_buf_put_text(buf, shown);
    if (shown.size < changes.size)
        ent_buf_put_string(buf, "and more");
    else if (buf->size > 0)
        buf->size--; /* the last newline */
}

/* The body of the amendment: what was written to go with it, and the terms under a fresh salt. */
static ent_rc put_amendment(const ent_cli_terms *in_force, const ent_buf *terms, ent_text summary, ent_buf *body,
                            ent_err *err)
{
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    char hex[2 * ENT_TERMS_SALT_SIZE + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_random(salt, sizeof salt);
    ent_hex_encode(ent_hash_bytes(&in_force->commitment), hex);
    ENT_TRY(ent_cli_body_field(body, "replaces", hex, err));
    ent_hex_encode(ent_bytes_of(salt, sizeof salt), hex);
    ENT_TRY(ent_cli_body_field(body, "salt", hex, err));
    ent_buf_put_base64(&text, ent_buf_bytes(terms));
    const char *string = ent_buf_string(&text);
    ENT_TRY(ent_buf_check(&text, err));
    ENT_TRY(ent_cli_body_field(body, "terms", string, err));
    ent_buf_clear(&text);
    ent_buf_put_text(&text, summary);
    string = ent_buf_string(&text);
    ENT_TRY(ent_buf_check(&text, err));
    return ent_cli_body_field(body, "summary", string, err);
}

/* What changes; refused when nothing does. */
static ent_rc compare(const ent_cli_terms *in_force, const ent_buf *terms, const char *path, ent_buf *ret, ent_err *err)
{
    ent_agreement *after = NULL;
    ent_rc rc = ent_agreement_parse(ent_buf_bytes(terms), &after, err);
    ENT_TRY(ent_fail_in(err, rc, "%s is no agreement", path));
    rc = ent_agreement_diff(in_force->agreement, after, ret, err);
    ent_agreement_free(after);
    ENT_TRY(rc);
    if (ret->size == 0 && in_force->agreement != NULL)
        return ent_fail(err, ENT_REFUSED, "design 5", "%s says what the terms in force say: there is nothing to amend",
                        path);
    return ENT_DONE;
}

static ent_rc say(ent_cli *cli, ent_cli_saying *saying, const char *note, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_body_check(saying->kind, ent_buf_text(&saying->body), 0, err));
    ENT_TRY(ent_cli_say(cli, saying, &answer, err));
    ent_rc rc = ent_cli_say_told(cli, saying, &answer, err);
    if (!cli->json && note != NULL)
        ent_cli_note("%s", note);
    return rc;
}

static ent_rc run_propose(ent_cli *cli, ent_err *err)
{
    const char *path = cli->positional[0];
    const char *text = ent_cli_value(cli, "--body");
    const char *language = ent_cli_value(cli, "--lang");
    ENT_CLEANUP(ent_cli_saying_release) ent_cli_saying saying = {.kind = "channel.amendment"};
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms in_force = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf changes = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf summary = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf content = {0};
    bool plain = false;
    ENT_TRY(need_channel(cli, &saying.channel, err));
    ENT_TRY(ent_cli_saying_words(cli, &saying, err));
    if (language != NULL && text == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "--lang names the language of --body, which was not given");
    ENT_TRY(ent_cli_read(path, ENT_CLI_TERMS_MAX_BYTES, &terms, err));
    if (text != NULL)
        ENT_TRY(ent_cli_read(text, ENT_BODY_MAX_BYTES, &content, err));
    ENT_TRY(ent_cli_terms_in_force(cli, saying.channel, &in_force, err));
    ENT_TRY(compare(&in_force, &terms, path, &changes, err));
    put_summary(&summary, ent_cli_value(cli, "--summary"), ent_buf_text(&changes));
    ENT_TRY(ent_buf_check(&summary, err));
    ENT_TRY(ent_cli_body_make(text == NULL ? NULL : &content, language == NULL ? "en" : language, NULL, 0, &saying.body,
                              &plain, err));
    ENT_TRY(put_amendment(&in_force, &terms, ent_buf_text(&summary), &saying.body, err));
    return say(cli, &saying, "it takes effect when every other member has accepted it: `entente agreement accept MSG`",
               err);
}

const ent_cli_command ent_cli_agreement_propose = {
    .words = "agreement propose",
    .arguments = "FILE --channel CHANNEL [OPTION]...",
    .summary = "propose other terms for a channel; prints its MSG",
    .text =
        "Says channel.amendment: it names the terms it replaces and holds the new ones. They take effect once every\n"
        "member has accepted exactly these bytes; threads that are open keep the terms they began under.",
    .examples = "  entente agreement show --channel north -o terms.json --dir aurora\n"
                "  entente agreement propose terms.json --channel north --dir aurora",
    .options = propose_options,
    .least = 1,
    .most = 1,
    .run = run_propose,
};

/* ---- accept ---------------------------------------------------------------------- */

static const ent_cli_option accept_options[] = {
    {"--wait", NULL, "receipt|answer", false, "wait until the acceptance is receipted"},
    {"--timeout", NULL, "S", false, "seconds to wait (default 30)"},
    {NULL, NULL, NULL, false, NULL},
};

/* What accepting means, before it is said. */
static ent_rc check_amendment(const ent_cli *cli, const ent_cli_saying *saying, ent_err *err)
{
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms in_force = {0};
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms proposed = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf changes = {0};
    ent_hash replaces;
    ENT_TRY(ent_cli_terms_of(cli, saying->reply_to, &proposed, &replaces, err));
    if (proposed.agreement == NULL)
        return ent_fail(err, ENT_REFUSED, "design 5",
                        "the terms of %s are no agreement to this version (%s); to accept them all the same: `entente "
                        "send proposal.accept --reply-to %s`",
                        saying->reply_to, proposed.problem.text, saying->reply_to);
    ENT_TRY(ent_cli_terms_in_force(cli, saying->channel, &in_force, err));
    if (memcmp(&replaces, &in_force.commitment, sizeof replaces) != 0)
        return ent_fail(err, ENT_REFUSED, "design 5", "%s replaces terms that are not in force", saying->reply_to);
    ENT_TRY(ent_agreement_diff(in_force.agreement, proposed.agreement, &changes, err));
    ent_text shown = cut_lines(ent_buf_text(&changes));
    if (!cli->json)
        ent_cli_note("what is accepted changes the agreement in this:\n%.*s%s", ENT_TEXT_ARG(shown),
                     shown.size < changes.size ? "and more: `entente open` shows all" : "");
    return ENT_DONE;
}

static ent_rc run_accept(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_saying_release) ent_cli_saying saying = {.kind = "proposal.accept"};
    char digest[65] = "";
    ENT_TRY(ent_cli_saying_reply(&saying, cli->positional[0], err));
    ENT_TRY(ent_cli_saying_words(cli, &saying, err));
    ENT_TRY(check_amendment(cli, &saying, err));
    ENT_TRY(ent_cli_body_digest(cli, saying.reply_to, digest, err));
    ent_buf_put_string(&saying.body, "{\"fields\":{}}");
    ENT_TRY(ent_buf_check(&saying.body, err));
    ENT_TRY(ent_cli_body_field(&saying.body, "digest", digest, err));
    return say(cli, &saying, NULL, err);
}

const ent_cli_command ent_cli_agreement_accept = {
    .words = "agreement accept",
    .arguments = "MSG [--wait receipt] [--timeout S]",
    .summary = "accept an amendment: exactly the terms it holds",
    .text = "Shows what changes from the terms in force, then says proposal.accept with the digest of the amendment's\n"
            "sealed body. Refused when it replaces terms that are not in force. To reject one: `entente send\n"
            "proposal.reject --reply-to MSG`.",
    .examples = "  entente open north/aurora.example/12 --dir boreal\n"
                "  entente agreement accept north/aurora.example/12 --dir boreal",
    .options = accept_options,
    .least = 1,
    .most = 1,
    .run = run_accept,
};
