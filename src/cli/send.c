#include "cli/draft.h"
#include "cli/edit.h"
#include "cli/fields.h"
#include "cli/files.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/template.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include "base/file.h"

static const ent_cli_option options[] = {
    {"--channel", NULL, "CHANNEL", false, "where; may be left out with --reply-to MSG"},
    {"--to", NULL, "NAME", true,
     "a member whom it is addressed to (default: every member);\nit assigns duties, not secrecy: all can open it"},
    {"--body", NULL, "FILE", false,
     "what is said, or - for standard input: a JSON object with\nfields, text, stix or files, "
     "else plain text"},
    {"--edit", NULL, NULL, false,
     "write the body in an editor (VISUAL, EDITOR), in a form made\nfrom its kind; --body FILE fills it in beforehand"},
    {"--lang", NULL, "L", false, "language of a plain text (default en)"},
    {"--attach", NULL, "FILE", true, "attach a file, of any size (at most 1 TiB)"},
    {"--reply-to", NULL, "MSG", false, "the message it answers"},
    {"--marking", NULL, "M", false, "clear, green, amber, amber+strict or red (TLP 2.0)"},
    {"--urgency", NULL, "U", false, "routine, priority, immediate or flash"},
    {"--exercise", NULL, NULL, false, "mark it as part of an exercise"},
    {"--wait", NULL, "receipt|answer", false,
     "wait until every other member has receipted it, or until it is answered"},
    {"--timeout", NULL, "S", false, "seconds to wait (default 30)"},
    {NULL, NULL, NULL, false, NULL},
};

/* ---- checking, before anything is sent to the node ------------------------------- */

static ent_rc check_kind(const ent_cli *cli, const ent_cli_saying *saying, ent_err *err)
{
    const ent_kind *kind = ent_kind_find(ent_text_of(saying->kind));
    if (kind != NULL && kind->by_neutral)
        return ent_fail(err, ENT_USAGE, "design 6", "%s is said by the channel's neutral alone, in its own log",
                        kind->name);
    if (kind != NULL && kind->by_node)
        return ent_fail(err, ENT_USAGE, "design 4", "%s is said by the node itself, when there is occasion",
                        kind->name);
    if (kind != NULL && kind->needs_reply_to && saying->reply_to == NULL)
        return ent_fail(err, ENT_USAGE, "design 4",
                        "%s answers a message: name it with --reply-to MSG; `entente list` shows them", kind->name);
    if (ent_cli_has(cli, "--edit") && ent_cli_value(cli, "--body") != NULL &&
        strcmp(ent_cli_value(cli, "--body"), "-") == 0)
        return ent_fail(err, ENT_USAGE, NULL, "--edit needs standard input for the editor: give --body a file");
    return ENT_DONE;
}

static ent_rc check(const ent_cli *cli, ent_cli_saying *ret, ent_err *err)
{
    ret->kind = cli->positional[0];
    if (!ent_kind_name_valid(ent_text_of(ret->kind)))
        return ent_fail(err, ENT_USAGE, "design 4",
                        "\"%s\" is no kind of message: it looks like incident.notification, in lower case; "
                        "`entente kinds` lists them",
                        ret->kind);
    ret->channel = ent_cli_value(cli, "--channel");
    ENT_TRY(ent_cli_saying_reply(ret, ent_cli_value(cli, "--reply-to"), err));
    ENT_TRY(check_kind(cli, ret, err));
    if (ret->channel == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "in which channel? Name it with --channel; `entente channel list` shows them");
    ENT_TRY(ent_cli_check_channel(ret->channel, err));
    ENT_TRY(ent_cli_saying_words(cli, ret, err));
    for (const char *path = NULL; (path = ent_cli_value_at(cli, "--attach", ret->attachment_count)) != NULL;
         ret->attachment_count++) {
        if (ret->attachment_count == ENT_ENTRY_MAX_ATTACHMENTS)
            return ent_fail(err, ENT_USAGE, "design 2, Entry", "a message has at most %d attachments",
                            ENT_ENTRY_MAX_ATTACHMENTS);
        ret->names[ret->attachment_count] = ent_cli_base_name(path);
    }
    return ENT_DONE;
}

/* ---- the body ------------------------------------------------------------------ */

/* An acceptance names the bytes it accepts: those of the message it replies to, unless the body says so itself. */
static ent_rc add_digest(const ent_cli *cli, ent_cli_saying *saying, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    char digest[65] = "";
    if (strcmp(saying->kind, "proposal.accept") != 0)
        return ENT_DONE;
    ENT_TRY(ent_json_parse(ent_buf_bytes(&saying->body), &json, err));
    if (ent_json_present(ent_json_get(ent_json_get(ent_json_root(json), "fields"), "digest")))
        return ENT_DONE;
    ENT_TRY(ent_cli_body_digest(cli, saying->reply_to, digest, err));
    return ent_cli_body_field(&saying->body, "digest", digest, err);
}

/* A name that is not in the schema is a newer version's, or mistyped. */
static ent_rc note_unknown(const ent_cli_saying *saying, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf names = {0};
    const ent_kind *kind = ent_kind_find(ent_text_of(saying->kind));
    if (kind == NULL)
        return ENT_DONE;
    ENT_TRY(ent_json_parse(ent_buf_bytes(&saying->body), &json, err));
    ENT_TRY(ent_cli_put_unknown_fields(&names, kind, ent_json_get(ent_json_root(json), "fields"), err));
    if (names.size > 0 && ent_buf_string(&names) != NULL)
        ent_cli_note("%s has no field of this name: %s; it is sent as it is, and nothing follows from it", kind->name,
                     (const char *)names.data);
    return ENT_DONE;
}

static ent_rc read_body(const ent_cli *cli, ent_cli_saying *ret, ent_err *err)
{
    const char *path = ent_cli_value(cli, "--body");
    const char *language = ent_cli_value(cli, "--lang");
    ENT_CLEANUP(ent_buf_wipe) ent_buf content = {0};
    bool plain = false;
    if (path != NULL)
        ENT_TRY(ent_cli_read(path, ENT_BODY_MAX_BYTES, &content, err));
    ENT_TRY(ent_cli_body_make(path == NULL ? NULL : &content, language == NULL ? "en" : language, ret->names,
                              ret->attachment_count, &ret->body, &plain, err));
    if (language != NULL && !plain && !(path == NULL && ent_cli_has(cli, "--edit")))
        return ent_fail(err, ENT_USAGE, NULL, "--lang names the language of a plain text, and the body is %s",
                        path == NULL ? "empty" : "JSON, which names its languages itself");
    if (strcmp(ret->kind, "contact.check") == 0)
        return ent_cli_check_fill(cli, ret, err);
    return add_digest(cli, ret, err);
}

/* ---- the editor ---------------------------------------------------------------- */

typedef struct {
    const ent_cli_saying *saying;
    ent_buf untouched; /* the form with every note in it */
} form;

static void release_form(form *at)
{
    ent_buf_release(&at->untouched);
}

static ent_rc check_form(void *context, ent_text written, ent_buf *ret, ent_err *err)
{
    const form *at = context;
    size_t start = ret->size;
    ENT_TRY(ent_cli_template_fill(ent_buf_text(&at->untouched), written, ret, err));
    ent_text body = {(const char *)ret->data + start, ret->size - start};
    return ent_cli_body_check(at->saying->kind, body, at->saying->attachment_count, err);
}

/* What is being written, and for whom, before the editor covers the screen. */
static void note_heading(const ent_cli *cli, const ent_cli_saying *saying)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    const ent_kind *kind = ent_kind_find(ent_text_of(saying->kind));
    ent_buf_put_format(&text, "%s%s (%s) in channel %s", ent_cli_has(cli, "--exercise") ? "EXERCISE: " : "",
                       kind == NULL ? "a kind unknown to this version" : kind->title, saying->kind, saying->channel);
    if (saying->reply_to != NULL)
        ent_buf_put_format(&text, ", in answer to %s", saying->reply_to);
    ent_buf_put_string(&text, ent_cli_value(cli, "--to") == NULL ? ", to every member" : ", to");
    for (size_t i = 0; ent_cli_value_at(cli, "--to", i) != NULL; i++)
        ent_buf_put_format(&text, "%s %s", i == 0 ? "" : ",", ent_cli_value_at(cli, "--to", i));
    ent_buf_put_format(&text, "; urgency %s; marking %s.\n", ent_urgency_word(saying->urgency),
                       saying->marking == ENT_MARKING_NONE ? "none (TLP:AMBER)" : ent_marking_word(saying->marking));
    ent_buf_put_string(&text,
                       "Write over the <notes>; optional ones that you leave are left out. Empty the file to give up.");
    if (ent_buf_string(&text) != NULL)
        ent_cli_note("%s", (const char *)text.data);
}

static ent_rc make_form(const ent_cli *cli, const ent_cli_saying *saying, form *ret, ent_buf *ret_text, ent_err *err)
{
    const ent_kind *kind = ent_kind_find(ent_text_of(saying->kind));
    const char *language = ent_cli_value(cli, "--lang");
    ENT_CLEANUP(ent_json_release) ent_json *given = NULL;
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    static const ent_json_value nothing = {{NULL, NULL}};
    language = language == NULL ? "en" : language;
    ENT_TRY(ent_json_parse(ent_buf_bytes(&saying->body), &given, err));
    ENT_TRY(ent_cli_template_make(kind, nothing, language, &ret->untouched, err));
    ENT_TRY(ent_cli_template_make(kind, ent_json_root(given), language, &text, err));
    /* What others wrote may stand in it: nothing in it acts on the editor's screen. */
    ent_cli_put_json(ret_text, ent_buf_text(&text));
    return ent_buf_check(ret_text, err);
}

/* Let a person write the body. */
static ent_rc edit(const ent_cli *cli, ent_cli_saying *saying, ent_cli_edited *edited, ent_err *err)
{
    ENT_CLEANUP(release_form) form at = {.saying = saying};
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ENT_TRY(make_form(cli, saying, &at, &text, err));
    ent_buf_put_format(&name, "%s.%s.json", saying->channel, saying->kind);
    const char *file = ent_buf_string(&name);
    ENT_TRY(ent_buf_check(&name, err));
    note_heading(cli, saying);
    ENT_TRY(ent_cli_edit(file, ent_buf_text(&text), check_form, &at, edited, &body, err));
    ent_buf_wipe(&saying->body);
    saying->body = body;
    body = (ent_buf){0};
    return ENT_DONE;
}

/* What was written is not lost when it could not be sent: the file gets the body as it would have been sent. */
static void keep(const ent_cli_saying *saying, const ent_cli_edited *edited, bool is_whole)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_wipe) ent_buf pretty = {0};
    if (edited->path == NULL)
        return;
    if (is_whole && ent_json_parse(ent_buf_bytes(&saying->body), &json, NULL).code == ENT_OK) {
        ent_cli_put_pretty(&pretty, ent_json_root(json), 0);
        ent_buf_put_u8(&pretty, '\n');
        is_whole = pretty.failed == ENT_OK && ent_cli_edit_rewrite(edited, ent_buf_text(&pretty), NULL).code == ENT_OK;
    }
    ent_cli_note("what you wrote is kept in %s; go on with --edit --body %s%s", edited->path, edited->path,
                 is_whole ? ", or send it as it is with --body" : "");
}

/* ---- sending ------------------------------------------------------------------- */

static ent_rc attach(const ent_cli *cli, ent_cli_saying *ret, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/attachments");
    ENT_CLEANUP(ent_file_close) int fd = -1;
    if (ret->attachments.size > 0)
        ent_buf_put_u8(&ret->attachments, ',');
    ENT_TRY(ent_cli_open_file(path, &fd, &request.body_file_size, err));
    ENT_CLEANUP(ent_cli_progress_end)
    ent_cli_progress progress = ent_cli_progress_of(ent_cli_base_name(path), request.body_file_size);
    request.sent = ent_cli_progress_to;
    request.sent_context = &progress;
    request.body_file = fd;
    request.content_type = "application/octet-stream";
    ent_cli_request_query(&request, "channel", ret->channel);
    ent_cli_request_query(&request, "type", ent_cli_media_type(path));
    return ent_fail_in(err, ent_cli_ask(cli, &request, &ret->attachments, err), "attaching %s", path);
}

/* Before anybody writes a body in vain. */
static ent_rc check_files(const ent_cli *cli, ent_err *err)
{
    const char *folder = NULL;
    const char *path = NULL;
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    for (size_t i = 0; (path = ent_cli_value_at(cli, "--attach", i)) != NULL; i++) {
        ENT_CLEANUP(ent_file_close) int fd = -1;
        uint64_t size = 0;
        ENT_TRY(ent_cli_open_file(path, &fd, &size, err));
    }
    return ENT_DONE;
}

static ent_rc say(const ent_cli *cli, ent_cli_saying *saying, ent_cli_answer *ret, ent_err *err)
{
    for (size_t i = 0; i < saying->attachment_count; i++)
        ENT_TRY(attach(cli, saying, ent_cli_value_at(cli, "--attach", i), err));
    return ent_cli_say(cli, saying, ret, err);
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_saying_release) ent_cli_saying saying = {0};
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_edit_release) ent_cli_edited edited = {0};
    ENT_TRY(check(cli, &saying, err));
    ENT_TRY(check_files(cli, err));
    ENT_TRY(read_body(cli, &saying, err));
    ent_rc rc = ent_cli_has(cli, "--edit")
                    ? edit(cli, &saying, &edited, err)
                    : ent_cli_body_check(saying.kind, ent_buf_text(&saying.body), saying.attachment_count, err);
    bool is_whole = rc.code == ENT_OK;
    if (is_whole)
        rc = note_unknown(&saying, err);
    if (rc.code == ENT_OK)
        rc = say(cli, &saying, &answer, err);
    if (rc.code != ENT_OK) {
        keep(&saying, &edited, is_whole);
        return rc;
    }
    ent_cli_edit_discard(&edited);
    return ent_cli_say_told(cli, &saying, &answer, err);
}

const ent_cli_command ent_cli_send = {
    .words = "send",
    .arguments = "FAMILY.KIND --channel CHANNEL [OPTION]...",
    .summary = "say something; prints its MSG",
    .text =
        "Checks the body against its kind, seals it to every member, logs it durably and sends it. What is logged\n"
        "cannot be taken back: correct it by a further message.\n"
        "\n"
        "A body is a JSON object {\"fields\":{...}, \"text\":{\"en\":\"...\"}, \"authentic\":\"en\", \"stix\":{...},\n"
        "\"files\":[{\"name\":\"...\"}]}; anything else is taken as plain text in the language --lang. Attachments "
        "are\n"
        "named after their files unless the body's \"files\" names them.\n"
        "\n"
        "--edit opens a form of the kind in your editor, with a note in each place; what does not pass is told, and\n"
        "you may edit again. `entente kinds KIND` explains every field. An acceptance (proposal.accept) without\n"
        "\"digest\" accepts exactly what the message named by --reply-to says. A comm check (contact.check) without a\n"
        "body gets a fresh nonce, to be answered within the agreement's reply_within_s, else an hour; with --reply-to\n"
        "it answers that check for an officer.\n"
        "\n"
        "Prints MSG, the message's name. With --wait: exit status 0 when it came, 5 when it is logged but has not\n"
        "come in time (the node goes on trying).",
    .examples = "  entente send request.preservation --channel north --urgency immediate --edit --dir aurora\n"
                "  entente send incident.notification --channel north --body incident.json --attach image.dd \\\n"
                "      --marking amber --urgency flash --wait receipt --dir aurora\n"
                "  echo \"We have it, an officer is on it.\" | entente send answer.acknowledgement \\\n"
                "      --reply-to north/aurora.example/3 --body - --dir boreal\n"
                "  entente send contact.check --channel north --wait answer --dir aurora",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
