#include "cli/api.h"

#include "cli/pieces.h"

#include "base/cursor.h"
#include "base/file.h"
#include "base/name.h"
#include "cli/terminal.h"
#include "http/client.h"

#include <sys/un.h>

enum { CONNECT_TIMEOUT_MS = 5000 };
#define ANSWER_LIMIT ((uint64_t)256 << 20)

ent_cli_request ent_cli_request_of(const char *method, const char *path)
{
    ent_cli_request request = {.method = method};
    ent_buf_put_string(&request.path, "http://node/api/v1");
    ent_buf_put_string(&request.path, path);
    return request;
}

/* RFC 3986 section 2.3: unreserved characters stand for themselves. */
static void put_encoded(ent_buf *buf, ent_text text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                          c == '.' || c == '_' || c == '~';
        if (unreserved) {
            ent_buf_put_u8(buf, c);
        } else {
            ent_buf_put_u8(buf, '%');
            ent_buf_put_u8(buf, (uint8_t)digits[c >> 4]);
            ent_buf_put_u8(buf, (uint8_t)digits[c & 15]);
        }
    }
}

void ent_cli_request_segment(ent_cli_request *request, ent_text segment)
{
    ent_buf_put_u8(&request->path, '/');
    put_encoded(&request->path, segment);
}

void ent_cli_request_message(ent_cli_request *request, const char *message)
{
    for (const char *part = message; part != NULL;) {
        size_t size = strcspn(part, "/");
        ent_cli_request_segment(request, (ent_text){part, size});
        part = part[size] == 0 ? NULL : part + size + 1;
    }
}

void ent_cli_request_query(ent_cli_request *request, const char *name, const char *value)
{
    if (value == NULL)
        return;
    ent_buf_put_format(&request->path, "%c%s=", request->has_query ? '&' : '?', name);
    put_encoded(&request->path, ent_text_of(value));
    request->has_query = true;
}

void ent_cli_request_release(ent_cli_request *request)
{
    ent_buf_release(&request->path);
}

/* *ret_silent: our own socket does not answer, told apart from a peer that the node cannot reach. */
static ent_rc call_node(const ent_cli_request *request, const char *socket, bool *ret_silent, ent_buf *ret,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf url = {0};
    ENT_CLEANUP(ent_http_reply_release) ent_http_reply reply = {0};
    ent_buf_put(&url, ent_buf_bytes(&request->path));
    ENT_TRY(ent_buf_check(&request->path, err));
    ent_http_call call = {
        .method = request->method,
        .url = ent_buf_string(&url),
        .unix_socket = socket,
        .body = request->body,
        .body_file = request->body_file,
        .body_file_size = request->body_file_size,
        .sent = request->sent,
        .sent_context = request->sent_context,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = request->timeout_ms,
        .response_limit = request->sink != NULL ? UINT64_MAX : ANSWER_LIMIT,
        .sink = request->sink,
        .sink_context = request->sink_context,
    };
    ENT_TRY(ent_buf_check(&url, err));
    if (request->content_type != NULL) {
        call.headers[0].name = "Content-Type";
        call.headers[0].value = request->content_type;
        call.header_count = 1;
    }
    ent_rc rc = ent_http_call_wait(&call, &reply, err);
    *ret_silent = rc.code == ENT_UNREACHABLE;
    ENT_TRY(rc);
    ENT_TRY(ent_http_reply_check(&reply, err));
    ent_buf_put(ret, ent_buf_bytes(&reply.body));
    return ent_buf_check(ret, err);
}

ent_rc ent_cli_ask(const ent_cli *cli, const ent_cli_request *request, ent_buf *ret, ent_err *err)
{
    const char *folder = NULL;
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_CLEANUP(ent_free_pointer) char *socket = ent_file_join(folder, "socket");
    if (socket == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (strlen(socket) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return ent_fail(
            err, ENT_USAGE, NULL,
            "%s is too long a name for a Unix socket; name the folder by a shorter path (a relative one, or a link)",
            socket);
    ent_err reason = {0};
    bool silent = false;
    ent_rc rc = call_node(request, socket, &silent, ret, &reason);
    if (silent &&
        strstr(reason.text, "connect") != NULL) /* the library's words tell of ports, which a Unix socket has not */
        return ent_fail(err, ENT_UNREACHABLE, NULL, "no node answers on %s: start `entented --dir %s`", socket, folder);
    if (silent)
        return ent_fail(err, ENT_UNREACHABLE, NULL,
                        "the node on %s broke off (%s): see its log; start it with `entented --dir %s`", socket,
                        reason.text, folder);
    if (rc.code != ENT_OK && err != NULL)
        *err = reason;
    return rc;
}

void ent_cli_put_answer(ent_cli *cli, ent_text json)
{
    ent_cli_put_json(&cli->out, json);
    if (json.size == 0 || json.data[json.size - 1] != '\n')
        ent_buf_put_u8(&cli->out, '\n');
}

ent_rc ent_cli_ask_json(ent_cli *cli, const ent_cli_request *request, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_ask(cli, request, &answer.bytes, err));
    if (cli->json) {
        ent_cli_put_answer(cli, ent_buf_text(&answer.bytes));
        return ENT_DONE;
    }
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    answer.root = ent_json_root(answer.json);
    if (ent_json_type_of(answer.root) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/api.md",
                        "the node's answer is no JSON object; are `entente` and "
                        "`entented` of one version?");
    *ret = answer;
    answer = (ent_cli_answer){0};
    return ENT_DONE;
}

ent_rc ent_cli_answer_of(ent_text json, size_t most, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_shorten(json, most, &answer.bytes, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err));
    answer.root = ent_json_root(answer.json);
    *ret = answer;
    answer = (ent_cli_answer){0};
    return ENT_DONE;
}

void ent_cli_answer_release(ent_cli_answer *answer)
{
    ent_json_free(answer->json);
    ent_buf_wipe(&answer->bytes);
    *answer = (ent_cli_answer){0};
}

ent_rc ent_cli_check_channel(const char *channel, ent_err *err)
{
    if (strchr(channel, '/') != NULL)
        return ent_fail(
            err, ENT_USAGE, "design 10",
            "\"%s\" is not a channel: give its alias, or 8 or more digits of its id; `entente channel list` shows both",
            channel);
    return ENT_DONE;
}

ent_rc ent_cli_check_party(const char *name, ent_err *err)
{
    if (!ent_name_valid(ent_text_of(name)))
        return ent_fail(err, ENT_USAGE, "design 1",
                        "\"%s\" is not a party's name: it looks like north.example, in lower case", name);
    return ENT_DONE;
}

ent_rc ent_cli_check_message(const char *message, ent_err *err)
{
    const char *first = strchr(message, '/');
    const char *last = strrchr(message, '/');
    uint64_t index = 0;
    bool valid = first != NULL && first != message && last != first &&
                 ent_name_valid((ent_text){first + 1, (size_t)(last - first - 1)}) &&
                 ent_decimal_parse(ent_text_of(last + 1), (uint64_t)1 << 53, &index);
    if (!valid)
        return ent_fail(err, ENT_USAGE, "design 10",
                        "\"%s\" is not a message: it is written CHANNEL/PARTY/INDEX, as `entente list` shows it",
                        message);
    return ENT_DONE;
}

ent_text ent_cli_text(ent_json_value object, const char *key)
{
    return ent_json_string(ent_json_get(object, key));
}

uint64_t ent_cli_count(ent_json_value object, const char *key)
{
    uint64_t value = 0;
    return ent_json_unsigned(ent_json_get(object, key), UINT64_MAX, &value) ? value : 0;
}

ent_text ent_cli_channel_label(ent_json_value object)
{
    ent_text alias = ent_cli_text(object, "alias");
    if (alias.size > 0)
        return alias;
    ent_text id = ent_cli_text(object, "id");
    if (id.size == 0)
        id = ent_cli_text(object, "channel");
    return id.size > 12 ? (ent_text){id.data, 12} : id;
}
