#include "cli/api.h"
#include "cli/draft.h"
#include "cli/files.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include "base/file.h"
#include "message/entry.h"

static const ent_cli_option options[] = {
    {"--channel", NULL, "CHANNEL", false, "where; may be left out with --reply-to MSG"},
    {"--to", NULL, "NAME", true,
     "a member whom it is addressed to (default: every member);\nit assigns duties, not secrecy: all can open it"},
    {"--body", NULL, "FILE", false,
     "what is said, or - for standard input: a JSON object with\nfields, text, stix or files, "
     "else plain text"},
    {"--lang", NULL, "L", false, "language of a plain text (default en)"},
    {"--attach", NULL, "FILE", true, "attach a file, of at most 64 MiB"},
    {"--reply-to", NULL, "MSG", false, "the message it answers"},
    {"--marking", NULL, "M", false, "clear, green, amber, amber+strict or red (TLP 2.0)"},
    {"--urgency", NULL, "U", false, "routine, priority, immediate or flash"},
    {"--exercise", NULL, NULL, false, "mark it as part of an exercise"},
    {"--wait", NULL, "receipt|answer", false,
     "wait until every other member has receipted it, or until it is answered"},
    {"--timeout", NULL, "S", false, "seconds to wait (default 30)"},
    {NULL, NULL, NULL, false, NULL},
};

enum { TIMEOUT_MAX_S = 7 * 24 * 3600, TIMEOUT_DEFAULT_S = 30, GRACE_S = 60 };

/* What was asked for, checked before anything is sent to the node. */
typedef struct {
    const char *channel;
    char *channel_memory; /* when it was taken from --reply-to */
    char *reply_to;
    ent_marking marking;
    ent_urgency urgency;
    uint64_t timeout_s;
    const char *wait;
    const char *names[ENT_ENTRY_MAX_ATTACHMENTS];
    size_t attachment_count;
    ent_buf body;
    ent_buf attachments; /* rows as the node gave them, with commas between */
} draft;

static void release_draft(draft *draft_made)
{
    ent_free(draft_made->channel_memory);
    ent_free(draft_made->reply_to);
    ent_buf_wipe(&draft_made->body);
    ent_buf_release(&draft_made->attachments);
}

/* ---- checking ---------------------------------------------------------------- */

/* MSG may also be written PARTY/INDEX when the channel is named apart. */
static ent_rc read_reply_to(const ent_cli *cli, draft *ret, ent_err *err)
{
    const char *value = ent_cli_value(cli, "--reply-to");
    ENT_CLEANUP(ent_buf_release) ent_buf whole = {0};
    if (value == NULL)
        return ENT_DONE;
    if (ret->channel != NULL && strchr(value, '/') != NULL && strchr(value, '/') == strrchr(value, '/'))
        ent_buf_put_format(&whole, "%s/", ret->channel);
    ent_buf_put_string(&whole, value);
    ENT_TRY(ent_buf_check(&whole, err));
    ret->reply_to = ent_text_copy(ent_buf_text(&whole));
    if (ret->reply_to == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_cli_check_message(ret->reply_to, err));
    if (ret->channel == NULL) {
        ret->channel_memory = ent_text_copy((ent_text){ret->reply_to, strcspn(ret->reply_to, "/")});
        ret->channel = ret->channel_memory;
        if (ret->channel == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    return ENT_DONE;
}

static ent_rc read_words(const ent_cli *cli, draft *ret, ent_err *err)
{
    const char *marking = ent_cli_value(cli, "--marking");
    const char *urgency = ent_cli_value(cli, "--urgency");
    if (marking != NULL && !ent_marking_from_person(ent_text_of(marking), &ret->marking))
        return ent_fail(err, ENT_USAGE, "TLP 2.0", "\"%s\" is no marking: clear, green, amber, amber+strict or red",
                        marking);
    if (urgency != NULL && !ent_urgency_from_text(ent_text_of(urgency), &ret->urgency))
        return ent_fail(err, ENT_USAGE, "design 2, Entry",
                        "\"%s\" is no urgency: routine, priority, immediate or flash", urgency);
    ret->wait = ent_cli_value(cli, "--wait");
    if (ret->wait != NULL && strcmp(ret->wait, "receipt") != 0 && strcmp(ret->wait, "answer") != 0)
        return ent_fail(err, ENT_USAGE, NULL, "--wait takes receipt or answer, not \"%s\"", ret->wait);
    if (ret->wait == NULL && ent_cli_has(cli, "--timeout"))
        return ent_fail(err, ENT_USAGE, NULL, "--timeout says how long to --wait: add --wait receipt or --wait answer");
    return ent_cli_number(cli, "--timeout", TIMEOUT_MAX_S, TIMEOUT_DEFAULT_S, &ret->timeout_s, err);
}

static ent_rc check(const ent_cli *cli, draft *ret, ent_err *err)
{
    if (!ent_kind_name_valid(ent_text_of(cli->positional[0])))
        return ent_fail(err, ENT_USAGE, "design 4",
                        "\"%s\" is no kind of message: it looks like incident.notification, in lower case",
                        cli->positional[0]);
    ret->channel = ent_cli_value(cli, "--channel");
    ENT_TRY(read_reply_to(cli, ret, err));
    if (ret->channel == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "in which channel? Name it with --channel; `entente channel list` shows them");
    ENT_TRY(ent_cli_check_channel(ret->channel, err));
    for (size_t i = 0; ent_cli_value_at(cli, "--to", i) != NULL; i++)
        ENT_TRY(ent_cli_check_party(ent_cli_value_at(cli, "--to", i), err));
    ENT_TRY(read_words(cli, ret, err));
    for (const char *path = NULL; (path = ent_cli_value_at(cli, "--attach", ret->attachment_count)) != NULL;
         ret->attachment_count++) {
        if (ret->attachment_count == ENT_ENTRY_MAX_ATTACHMENTS)
            return ent_fail(err, ENT_USAGE, "design 2, Entry", "a message has at most %d attachments",
                            ENT_ENTRY_MAX_ATTACHMENTS);
        ret->names[ret->attachment_count] = ent_cli_base_name(path);
    }
    return ENT_DONE;
}

static ent_rc read_body(const ent_cli *cli, draft *ret, ent_err *err)
{
    const char *path = ent_cli_value(cli, "--body");
    const char *language = ent_cli_value(cli, "--lang");
    ENT_CLEANUP(ent_buf_wipe) ent_buf content = {0};
    bool plain = false;
    if (path != NULL)
        ENT_TRY(ent_cli_read(path, ENT_BODY_MAX_BYTES, &content, err));
    ENT_TRY(ent_cli_body_make(path == NULL ? NULL : &content, language == NULL ? "en" : language, ret->names,
                              ret->attachment_count, &ret->body, &plain, err));
    if (language != NULL && !plain)
        return ent_fail(err, ENT_USAGE, NULL, "--lang names the language of a plain text, and the body is %s",
                        path == NULL ? "empty" : "JSON, which names its languages itself");
    return ENT_DONE;
}

/* ---- sending ------------------------------------------------------------------- */

static ent_rc attach(const ent_cli *cli, draft *ret, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/attachments");
    ENT_CLEANUP(ent_file_close) int fd = -1;
    if (ret->attachments.size > 0)
        ent_buf_put_u8(&ret->attachments, ',');
    ENT_TRY(ent_cli_open_file(path, &fd, &request.body_file_size, err));
    request.body_file = fd;
    request.content_type = "application/octet-stream";
    ent_cli_request_query(&request, "channel", ret->channel);
    ent_cli_request_query(&request, "type", ent_cli_media_type(path));
    return ent_fail_in(err, ent_cli_ask(cli, &request, &ret->attachments, err), "attaching %s", path);
}

static ent_rc put_draft(const ent_cli *cli, const draft *made, ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "channel", made->channel);
    ent_json_member_string(&writer, "kind", cli->positional[0]);
    ent_json_key(&writer, "to");
    ent_json_array_begin(&writer);
    for (size_t i = 0; ent_cli_value_at(cli, "--to", i) != NULL; i++)
        ent_json_put_string(&writer, ent_cli_value_at(cli, "--to", i));
    ent_json_array_end(&writer);
    ent_json_key(&writer, "body");
    ent_json_put_raw(&writer, ent_buf_text(&made->body));
    ent_json_key(&writer, "attachments");
    ent_json_array_begin(&writer);
    if (made->attachments.size > 0)
        ent_json_put_raw(&writer, ent_buf_text(&made->attachments));
    ent_json_array_end(&writer);
    ent_json_member_string(&writer, "reply_to", made->reply_to);
    ent_json_member_string(&writer, "marking", ent_marking_word(made->marking));
    ent_json_member_string(&writer, "urgency", ent_cli_has(cli, "--urgency") ? ent_urgency_word(made->urgency) : NULL);
    ent_json_member_bool(&writer, "exercise", ent_cli_has(cli, "--exercise"));
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

static ent_rc post(ent_cli *cli, const draft *made, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf json = {0};
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/messages");
    char seconds[24] = "";
    ENT_TRY(put_draft(cli, made, &json, err));
    if (made->wait != NULL) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_buf_put_decimal(&text, made->timeout_s);
        ENT_TRY(ent_buf_check(&text, err));
        memcpy(seconds, text.data, text.size);
        ent_cli_request_query(&request, "wait", made->wait);
        ent_cli_request_query(&request, "timeout", seconds);
        request.timeout_ms = (uint32_t)((made->timeout_s + GRACE_S) * 1000);
    }
    request.body = ent_buf_bytes(&json);
    request.content_type = "application/json";
    ENT_TRY(ent_cli_ask(cli, &request, &ret->bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&ret->bytes), &ret->json, err), "the node's answer"));
    ret->root = ent_json_root(ret->json);
    return ENT_DONE;
}

static ent_rc tell(ent_cli *cli, const draft *made, const ent_cli_answer *answer, ent_err *err)
{
    ent_text message = ent_cli_text(answer->root, "message");
    ent_text other = ent_cli_text(answer->root, "answer");
    bool done = made->wait == NULL || ent_json_true(ent_json_get(answer->root, "done"));
    if (cli->json) {
        ent_cli_put_answer(cli, ent_buf_text(&answer->bytes));
    } else {
        ent_cli_put_line(&cli->out, message);
        ent_buf_put_u8(&cli->out, '\n');
    }
    ENT_TRY(ent_cli_flush(cli, err));
    ent_text held = ent_cli_text(answer->root, "held");
    if (held.size > 0)
        return ent_fail(err, ENT_WAITING, "design 3, Rollback guard", "%.*s", ENT_TEXT_ARG(held));
    if (!done)
        return ent_fail(err, ENT_WAITING, NULL,
                        "%.*s is logged here and durable, but was not %s within %llu s; the node goes on trying: "
                        "`entente show %.*s`",
                        ENT_TEXT_ARG(message),
                        strcmp(made->wait, "receipt") == 0 ? "receipted by every member" : "answered",
                        (unsigned long long)made->timeout_s, ENT_TEXT_ARG(message));
    if (!cli->json && other.size > 0)
        ent_cli_note("answered by %.*s; read it with `entente open %.*s`", ENT_TEXT_ARG(other), ENT_TEXT_ARG(other));
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(release_draft) draft made = {0};
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(check(cli, &made, err));
    ENT_TRY(read_body(cli, &made, err));
    for (size_t i = 0; i < made.attachment_count; i++)
        ENT_TRY(attach(cli, &made, ent_cli_value_at(cli, "--attach", i), err));
    ENT_TRY(post(cli, &made, &answer, err));
    return tell(cli, &made, &answer, err);
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
        "Prints MSG, the message's name. With --wait: exit status 0 when it came, 5 when it is logged but has not\n"
        "come in time (the node goes on trying).",
    .examples = "  entente send incident.notification --channel north --body incident.json --attach image.dd \\\n"
                "      --marking amber --urgency flash --wait receipt --dir aurora\n"
                "  echo \"We have it, an officer is on it.\" | entente send answer.acknowledgement \\\n"
                "      --reply-to north/aurora.example/3 --body - --dir boreal",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
