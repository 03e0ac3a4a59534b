#include "node/api.h"

#include "base/clock.h"
#include "log/fork.h"
#include "node/blob_in.h"
#include "node/channel.h"
#include "node/rotate.h"

static const char prefix[] = "/api/v1/";

/* "*" stands for one part of a path. */
typedef struct {
    const char *method;
    const char *path;
    ent_api_handler handler;
    uint64_t limit; /* of the request's body */
} route;

static const route routes[] = {
    {"GET", "status", ent_api_status, 0},
    {"GET", "doctor", ent_api_doctor, 0},
    {"GET", "card", ent_api_card, 0},
    {"GET", "alerts", ent_api_alert_list, 0},
    {"POST", "alerts/test", ent_api_alert_test, 4096},
    {"GET", "events", ent_api_events, 0},
    {"GET", "keys", ent_api_key_show, 0},
    {"POST", "keys", ent_api_key_rotate, ENT_ROTATION_MAX_BYTES},
    {"GET", "peers", ent_api_peer_list, 0},
    {"POST", "peers", ent_api_peer_add, ENT_CARD_MAX_BYTES},
    {"GET", "peers/*", ent_api_peer_show, 0},
    {"GET", "peers/*/card", ent_api_peer_card, 0},
    {"DELETE", "peers/*", ent_api_peer_remove, 0},
    {"POST", "channels", ent_api_channel_open, ENT_JSON_MAX_BYTES},
    {"GET", "channels", ent_api_channel_list, 0},
    {"GET", "channels/*", ent_api_channel_show, 0},
    {"POST", "channels/*/accept", ent_api_channel_accept, 4096},
    {"POST", "channels/*/refuse", ent_api_channel_refuse, 4096},
    {"POST", "channels/*/release", ent_api_channel_release, 4096},
    {"GET", "backup", ent_api_backup, 0},
    {"POST", "recover", ent_api_recover, 4096},
    {"POST", "attachments", ent_api_attachment_seal, 0}, /* a sink takes its body */
    {"GET", "attachments/*/*/*/*", ent_api_attachment_open, 0},
    {"GET", "blobs", ent_api_blob_list, 0},
    {"GET", "blobs/*", ent_api_blob_read, 0},
    {"PUT", "blobs/*", ent_api_blob_take, 0}, /* a sink takes its body */
    {"POST", "messages", ent_api_message_send, ENT_JSON_MAX_BYTES},
    {"GET", "messages", ent_api_message_list, 0},
    {"GET", "messages/*/*/*", ent_api_message_show, 0},
    {"GET", "bodies/*/*/*", ent_api_body_open, 0},
    {"GET", "sealed/*/*/*", ent_api_body_sealed, 0},
    {"POST", "reveals/*/*/*", ent_api_reveal, 65536},
    {"GET", "proofs/*/*/*", ent_api_proofs, 0},
    {"GET", "forks", ent_api_fork_list, 0},
    {"POST", "forks", ent_api_fork_import, ENT_FORK_PROOF_MAX_BYTES},
    {"GET", "forks/*/*", ent_api_fork_export, 0},
    {"GET", "ledger", ent_api_ledger, 0},
    {"GET", "ledger/lines", ent_api_ledger_lines, 0},
    {"GET", "threads/*/*/*", ent_api_thread, 0},
    {"GET", "report", ent_api_report, 0},
    {"GET", "audit", ent_api_audit, 0},
    {"GET", "pouches", ent_api_pouch_export, 0},
    {"POST", "pouches", ent_api_pouch_import, ENT_POUCH_MAX_BYTES},
};

static size_t split(ent_text path, ent_text parts[ENT_API_MAX_PARTS])
{
    size_t count = 0;
    size_t start = 0;
    for (size_t i = 0; i <= path.size; i++) {
        if (i < path.size && path.data[i] != '/')
            continue;
        if (count == ENT_API_MAX_PARTS)
            return 0;
        parts[count++] = (ent_text){path.data + start, i - start};
        start = i + 1;
    }
    return count;
}

static bool fits(const route *candidate, const ent_text *parts, size_t count)
{
    ent_text wanted[ENT_API_MAX_PARTS];
    if (split(ent_text_of(candidate->path), wanted) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!ent_text_is(wanted[i], "*") && !ent_text_equal(wanted[i], parts[i]))
            return false;
    }
    return true;
}

static ent_rc find_route(const ent_http_request *request, const route **ret, ent_api_call *call, ent_err *err)
{
    ent_text path = ent_http_path(request);
    bool path_known = false;
    if (ent_text_starts(path, ent_text_of(prefix))) {
        path.data += sizeof prefix - 1;
        path.size -= sizeof prefix - 1;
        call->part_count = split(path, call->parts);
    }
    for (size_t i = 0; call->part_count > 0 && i < sizeof routes / sizeof *routes; i++) {
        if (!fits(&routes[i], call->parts, call->part_count))
            continue;
        path_known = true;
        if (ent_text_is(ent_http_method(request), routes[i].method)) {
            *ret = &routes[i];
            return ENT_DONE;
        }
    }
    path = ent_http_path(request);
    if (path_known)
        return ent_fail(err, ENT_METHOD, "docs/api.md", "%.*s does not take %.*s", ENT_TEXT_ARG(path),
                        ENT_TEXT_ARG(ent_http_method(request)));
    return ent_fail(err, ENT_ABSENT, "docs/api.md", "there is no %.*s", (int)(path.size > 200 ? 200 : path.size),
                    path.data);
}

static ent_rc admit(void *context, ent_http_request *request, ent_http_intake *ret_intake, ent_err *err)
{
    const route *found = NULL;
    ent_api_call call = {.node = context, .request = request};
    ENT_TRY(find_route(request, &found, &call, err));
    if (found->handler == ent_api_attachment_seal)
        return ent_api_attachment_admit(context, request, ret_intake, err);
    if (found->handler == ent_api_blob_take)
        return ent_blob_in_admit_local(context, request, call.parts[1], ret_intake, err);
    ret_intake->limit = found->limit;
    ret_intake->spool = found->limit > ENT_CARD_MAX_BYTES;
    return ENT_DONE;
}

static ent_rc handle(void *context, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    const route *found = NULL;
    ent_api_call call = {.node = context, .request = request, .response = response};
    ENT_TRY(find_route(request, &found, &call, err));
    // cppcheck-suppress returnDanglingLifetime ; the call is over when the handler returns
    return found->handler(&call, err);
}

ent_http_handler ent_api_http_handler(ent_node *node)
{
    return (ent_http_handler){admit, handle, node};
}

ent_rc ent_api_answer(ent_api_call *call, ent_buf *buf, ent_err *err)
{
    ENT_TRY(ent_buf_check(buf, err));
    ent_http_respond_json(call->response, 200, buf);
    return ENT_DONE;
}

ent_rc ent_api_body(ent_api_call *call, ent_json **ret, ent_err *err)
{
    ent_json *json = NULL;
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_http_body(call->request), &json, err), "the request's body"));
    if (ent_json_type_of(ent_json_root(json)) != ENT_JSON_OBJECT) {
        ent_json_free(json);
        return ent_fail(err, ENT_USAGE, "docs/api.md", "the request's body must be a JSON object");
    }
    *ret = json;
    return ENT_DONE;
}

ent_rc ent_api_text(ent_json_value object, const char *key, ent_text *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(object, key);
    ent_json_type type = ent_json_type_of(value);
    if (type != ENT_JSON_ABSENT && type != ENT_JSON_NULL && type != ENT_JSON_STRING)
        return ent_fail(err, ENT_USAGE, "docs/api.md", "\"%s\" must be a text or null", key);
    *ret = type == ENT_JSON_STRING ? ent_json_string(value) : (ent_text){NULL, 0};
    return ENT_DONE;
}

void ent_api_time(ent_json_writer *writer, const char *key, int64_t unix_s)
{
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(unix_s, time);
    ent_json_member_string(writer, key, unix_s == 0 ? NULL : time);
}

ent_rc ent_api_message(ent_api_call *call, ent_channel **ret_channel, uint32_t *ret_member, uint64_t *ret_index,
                       ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_buf_put_format(&name, "%.*s/%.*s/%.*s", ENT_TEXT_ARG(call->parts[1]), ENT_TEXT_ARG(call->parts[2]),
                       ENT_TEXT_ARG(call->parts[3]));
    ENT_TRY(ent_buf_check(&name, err));
    return ent_message_named(call->node, ent_buf_text(&name), ret_channel, ret_member, ret_index, err);
}
