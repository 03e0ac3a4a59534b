#include "cli/say.h"

#include "cli/terminal.h"

enum { TIMEOUT_MAX_S = 7 * 24 * 3600, TIMEOUT_DEFAULT_S = 30, GRACE_S = 60 };

void ent_cli_saying_release(ent_cli_saying *saying)
{
    ent_free(saying->channel_memory);
    ent_free(saying->reply_to);
    ent_buf_wipe(&saying->body);
    ent_buf_release(&saying->attachments);
}

/* ---- checking ---------------------------------------------------------------- */

ent_rc ent_cli_saying_reply(ent_cli_saying *saying, const char *value, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf whole = {0};
    if (value == NULL)
        return ENT_DONE;
    if (saying->channel != NULL && strchr(value, '/') != NULL && strchr(value, '/') == strrchr(value, '/'))
        ent_buf_put_format(&whole, "%s/", saying->channel);
    ent_buf_put_string(&whole, value);
    ENT_TRY(ent_buf_check(&whole, err));
    saying->reply_to = ent_text_copy(ent_buf_text(&whole));
    if (saying->reply_to == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_cli_check_message(saying->reply_to, err));
    if (saying->channel == NULL) {
        saying->channel_memory = ent_text_copy((ent_text){saying->reply_to, strcspn(saying->reply_to, "/")});
        saying->channel = saying->channel_memory;
        if (saying->channel == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    return ENT_DONE;
}

ent_rc ent_cli_saying_words(const ent_cli *cli, ent_cli_saying *saying, ent_err *err)
{
    const char *marking = ent_cli_value(cli, "--marking");
    const char *urgency = ent_cli_value(cli, "--urgency");
    for (size_t i = 0; ent_cli_value_at(cli, "--to", i) != NULL; i++)
        ENT_TRY(ent_cli_check_party(ent_cli_value_at(cli, "--to", i), err));
    if (marking != NULL && !ent_marking_from_person(ent_text_of(marking), &saying->marking))
        return ent_fail(err, ENT_USAGE, "TLP 2.0", "\"%s\" is no marking: clear, green, amber, amber+strict or red",
                        marking);
    if (urgency != NULL && !ent_urgency_from_text(ent_text_of(urgency), &saying->urgency))
        return ent_fail(err, ENT_USAGE, "design 2, Entry",
                        "\"%s\" is no urgency: routine, priority, immediate or flash", urgency);
    saying->wait = ent_cli_value(cli, "--wait");
    if (saying->wait != NULL && strcmp(saying->wait, "receipt") != 0 && strcmp(saying->wait, "answer") != 0)
        return ent_fail(err, ENT_USAGE, NULL, "--wait takes receipt or answer, not \"%s\"", saying->wait);
    if (saying->wait == NULL && ent_cli_has(cli, "--timeout"))
        return ent_fail(err, ENT_USAGE, NULL, "--timeout says how long to --wait: add --wait receipt or --wait answer");
    return ent_cli_number(cli, "--timeout", TIMEOUT_MAX_S, TIMEOUT_DEFAULT_S, &saying->timeout_s, err);
}

ent_rc ent_cli_body_check(const char *kind, ent_text body, size_t attachments, ent_err *err)
{
    ent_kinds *kinds = NULL;
    ent_body parsed = {0};
    ENT_TRY(ent_kinds_new(&kinds, err));
    ent_rc rc = ent_body_parse(kinds, ent_text_of(kind), ent_text_bytes(body), attachments, &parsed, err);
    if (rc.code == ENT_OK)
        ent_body_release(&parsed);
    ent_kinds_free(kinds);
    return rc;
}

/* ---- saying ------------------------------------------------------------------ */

static ent_rc put_draft(const ent_cli *cli, const ent_cli_saying *saying, ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "channel", saying->channel);
    ent_json_member_string(&writer, "kind", saying->kind);
    ent_json_key(&writer, "to");
    ent_json_array_begin(&writer);
    for (size_t i = 0; ent_cli_value_at(cli, "--to", i) != NULL; i++)
        ent_json_put_string(&writer, ent_cli_value_at(cli, "--to", i));
    ent_json_array_end(&writer);
    ent_json_key(&writer, "body");
    ent_json_put_raw(&writer, ent_buf_text(&saying->body));
    ent_json_key(&writer, "attachments");
    ent_json_array_begin(&writer);
    if (saying->attachments.size > 0)
        ent_json_put_raw(&writer, ent_buf_text(&saying->attachments));
    ent_json_array_end(&writer);
    ent_json_member_string(&writer, "reply_to", saying->reply_to);
    ent_json_member_string(&writer, "marking", ent_marking_word(saying->marking));
    ent_json_member_string(&writer, "urgency",
                           ent_cli_has(cli, "--urgency") ? ent_urgency_word(saying->urgency) : NULL);
    ent_json_member_bool(&writer, "exercise", ent_cli_has(cli, "--exercise"));
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

ent_rc ent_cli_ask_parsed(const ent_cli *cli, const ent_cli_request *request, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_ask(cli, request, &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    answer.root = ent_json_root(answer.json);
    *ret = answer;
    answer = (ent_cli_answer){0};
    return ENT_DONE;
}

ent_rc ent_cli_say(const ent_cli *cli, const ent_cli_saying *saying, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf json = {0};
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/messages");
    char seconds[24] = "";
    ENT_TRY(put_draft(cli, saying, &json, err));
    if (saying->wait != NULL) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_buf_put_decimal(&text, saying->timeout_s);
        ENT_TRY(ent_buf_check(&text, err));
        memcpy(seconds, text.data, text.size);
        ent_cli_request_query(&request, "wait", saying->wait);
        ent_cli_request_query(&request, "timeout", seconds);
        request.timeout_ms = (uint32_t)((saying->timeout_s + GRACE_S) * 1000);
    }
    request.body = ent_buf_bytes(&json);
    request.content_type = "application/json";
    return ent_cli_ask_parsed(cli, &request, ret, err);
}

ent_rc ent_cli_say_told(ent_cli *cli, const ent_cli_saying *saying, const ent_cli_answer *answer, ent_err *err)
{
    ent_text message = ent_cli_text(answer->root, "message");
    ent_text other = ent_cli_text(answer->root, "answer");
    bool done = saying->wait == NULL || ent_json_true(ent_json_get(answer->root, "done"));
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
                        strcmp(saying->wait, "receipt") == 0 ? "receipted by every member" : "answered",
                        (unsigned long long)saying->timeout_s, ENT_TEXT_ARG(message));
    if (!cli->json && other.size > 0)
        ent_cli_note("answered by %.*s; read it with `entente open %.*s`", ENT_TEXT_ARG(other), ENT_TEXT_ARG(other));
    return ENT_DONE;
}

/* ---- what is answered -------------------------------------------------------- */

ent_rc ent_cli_body_digest(const ent_cli *cli, const char *message, char ret[65], ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/messages");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry = {0};
    ent_cli_request_message(&request, message);
    ENT_TRY(ent_cli_ask_parsed(cli, &request, &answer, err));
    ent_rc rc = ent_entry_decode(ent_text_bytes(ent_cli_text(answer.root, "entry")), &arena, &entry, err);
    ENT_TRY(ent_fail_in(err, rc, "the entry of %s, as the node gave it", message));
    if (!entry.has_body)
        return ent_fail(err, ENT_PEER_INVALID, "design 4", "%s has no body: there is nothing to accept", message);
    ent_hex_encode(ent_hash_bytes(&entry.body.digest), ret);
    return ENT_DONE;
}
