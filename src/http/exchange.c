#include "http/server_internal.h"

#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "http/tls_internal.h"

/* ---- what a handler may ask of a request ------------------------------------ */

ent_text ent_http_method(const ent_http_request *request)
{
    return ent_text_of(request->method);
}

ent_text ent_http_path(const ent_http_request *request)
{
    return ent_text_of(request->path);
}

static ent_text look_up(const ent_http_request *request, enum MHD_ValueKind kind, const char *name)
{
    const char *value = NULL;
    size_t size = 0;
    if (MHD_lookup_connection_value_n(request->connection, kind, name, strlen(name), &value, &size) != MHD_YES)
        return (ent_text){NULL, 0};
    return value == NULL ? (ent_text){"", 0} : (ent_text){value, size};
}

ent_text ent_http_header(const ent_http_request *request, const char *name)
{
    return look_up(request, MHD_HEADER_KIND, name);
}

ent_text ent_http_query(const ent_http_request *request, const char *name)
{
    return look_up(request, MHD_GET_ARGUMENT_KIND, name);
}

bool ent_http_content_length(const ent_http_request *request, uint64_t *ret_size)
{
    if (request->has_length)
        *ret_size = request->length;
    return request->has_length;
}

bool ent_http_client_pin(const ent_http_request *request, ent_hash *ret)
{
    ent_http_link *link = request->link;
    if (!link->pin_asked) {
        link->has_pin = link->session != NULL && ent_tls_session_pin(link->session, &link->pin);
        link->pin_asked = true;
    }
    if (link->has_pin)
        *ret = link->pin;
    return link->has_pin;
}

ent_bytes ent_http_body(const ent_http_request *request)
{
    return request->body;
}

const char *ent_http_remote(const ent_http_request *request)
{
    return request->link->remote;
}

static void detach(ent_http_request *request)
{
    if (request->attached != NULL && request->free_attached != NULL)
        request->free_attached(request->attached);
    request->attached = NULL;
    request->free_attached = NULL;
}

void ent_http_attach(ent_http_request *request, void *pointer, void (*free_pointer)(void *))
{
    if (pointer != request->attached)
        detach(request);
    request->attached = pointer;
    request->free_attached = free_pointer;
}

void *ent_http_attached(const ent_http_request *request)
{
    return request->attached;
}

/* ---- failures --------------------------------------------------------------- */

static ent_rc record(ent_http_request *request, ent_code code, const char *rule, const char *text)
{
    return ent_fail(&request->failure, code, rule, "%s", text);
}

/* Whatever failed has said why, or has only given a code. Strangers are not told about this machine's files. */
static void settle_failure(ent_http_request *request, ent_rc rc)
{
    ent_err *failure = &request->failure;
    ent_class class = ent_code_class(rc.code);
    ent_rc settled = rc;
    if (request->server->tls && (class == ENT_CLASS_IO || class == ENT_CLASS_BUG))
        settled = record(request, (ent_code)rc.code, NULL, "a fault of this node, not of the request; try again later");
    else if (failure->code != rc.code)
        settled = record(request, (ent_code)rc.code, NULL, "the request was not carried out");
    failure->code = settled.code;
}

/* ---- the first call: headers are here, no body byte is read --------------- */

typedef struct {
    ent_http_request *request;
    unsigned lengths;
    unsigned codings;
    bool bad;
} framing;

static enum MHD_Result note_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                   const char *value, size_t value_size)
{
    framing *state = context;
    ent_http_request *request = state->request;
    (void)kind;
    if (name_size == 14 && strncasecmp(name, "Content-Length", name_size) == 0) {
        state->lengths++;
        request->has_length = ent_decimal_parse((ent_text){value, value_size}, INT64_MAX, &request->length);
        state->bad |= !request->has_length;
    } else if (name_size == 17 && strncasecmp(name, "Transfer-Encoding", name_size) == 0) {
        state->codings++;
        request->chunked = value_size == 7 && strncasecmp(value, "chunked", value_size) == 0;
        state->bad |= !request->chunked;
    } else if (name_size == 6 && strncasecmp(name, "Expect", name_size) == 0) {
        request->expects = value_size == 12 && strncasecmp(value, "100-continue", value_size) == 0;
    }
    return MHD_YES;
}

/* RFC 9112, section 6.3: a message with both, or with a length that is no number, "ought to be handled as an error"; no
 * proxy and this server may ever differ about where a request ends. */
static ent_rc check_framing(ent_http_request *request)
{
    framing state = {.request = request};
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, note_header, &state);
    if (state.bad || state.lengths + state.codings > 1) {
        request->has_length = false;
        return record(request, ENT_USAGE, "RFC 9112, section 6.3",
                      "a body needs one Content-Length, or Transfer-Encoding: chunked");
    }
    return ENT_DONE;
}

static ent_rc refuse_size(ent_http_request *request)
{
    return ent_fail(&request->failure, ENT_PEER_TOO_LARGE, "design, section 3",
                    "the body is larger than the %llu bytes taken here", (unsigned long long)request->intake.limit);
}

static ent_rc decide(ent_http_request *request)
{
    ent_http_server *server = request->server;
    if (atomic_load(&server->stopping))
        return record(request, ENT_RETRY, NULL, "this node is stopping");
    ENT_TRY(server->handler.admit(server->handler.context, request, &request->intake, &request->failure));
    if (request->has_length && request->length > request->intake.limit)
        return refuse_size(request);
    return ENT_DONE;
}

static enum MHD_Result answer_failure(ent_http_request *request)
{
    ent_http_response response = {.status = 200, .file = -1};
    if (request->refusal_status != 0) {
        ent_http_respond_text(&response, request->refusal_status, request->refusal_text);
        response.content_type = request->refusal_type;
    } else {
        ent_http_respond_error(&response, &request->failure);
    }
    return ent_http_response_queue(request, &response);
}

bool ent_http_client_gone(const ent_http_request *request)
{
    return ent_http_link_gone(request->link);
}

ent_rc ent_http_refuse(ent_http_request *request, int status, const char *content_type, const char *text, ent_err *err)
{
    request->refusal_status = status;
    request->refusal_type = content_type;
    (void)snprintf(request->refusal_text, sizeof request->refusal_text, "%s", text);
    return ent_rc_of((ent_code)(err->code == ENT_OK ? ENT_REFUSED : err->code));
}

static void count_active(ent_http_server *server, bool begins)
{
    (void)pthread_mutex_lock(&server->mutex);
    if (begins)
        server->active++;
    else if (--server->active == 0)
        (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* libmicrohttpd closes a connection whose answer is queued in this call, and it would be reset with the answer in
 * flight if the client already sends. So: no body, answer in the next call; the client waits for our word, or sends too
 * much to read, answer now; else read it and then answer. */
static enum MHD_Result begin(ent_http_request *request)
{
    ent_http_link_rest(request->link);
    ent_rc rc = check_framing(request);
    bool unclear = rc.code != ENT_OK;
    if (!unclear)
        rc = decide(request);
    bool body_comes = request->chunked || (request->has_length && request->length > 0);
    if (rc.code == ENT_OK) {
        request->failure.code = ENT_OK;
        if (body_comes)
            ent_http_link_expect(request->link);
        return MHD_YES;
    }
    settle_failure(request, rc);
    if (unclear || (body_comes && (request->expects || request->length > ENT_HTTP_DRAIN_BYTES)))
        return answer_failure(request);
    if (body_comes)
        ent_http_link_expect_spare(request->link);
    return MHD_YES;
}

/* ---- the middle calls: pieces of the body ----------------------------------- */

static ent_rc take_piece(ent_http_request *request, ent_bytes piece)
{
    const ent_http_intake *intake = &request->intake;
    if (piece.size > intake->limit - request->taken)
        return refuse_size(request);
    request->taken += piece.size;
    if (intake->sink != NULL)
        return intake->sink(intake->sink_context, piece, &request->failure);
    return ent_http_spool_put(&request->spool, intake->spool ? request->server->spool_folder : NULL, piece,
                              &request->failure);
}

static enum MHD_Result take(ent_http_request *request, ent_bytes piece)
{
    if (request->failure.code != ENT_OK) {
        request->drained += piece.size;
        return request->drained > ENT_HTTP_DRAIN_BYTES ? MHD_NO : MHD_YES;
    }
    ent_http_link_pause(request->link);
    ent_rc rc = take_piece(request, piece);
    ent_http_link_resume(request->link);
    if (rc.code == ENT_OK) {
        request->failure.code = ENT_OK;
        ent_http_link_moved(request->link, piece.size);
        return MHD_YES;
    }
    /* "A reply during an upload is impossible": the rest is read, within one window, and then answered. */
    settle_failure(request, rc);
    ent_http_spool_release(&request->spool);
    ent_http_link_expect_spare(request->link);
    return MHD_YES;
}

/* ---- the last call: the body is whole ---------------------------------------- */

static enum MHD_Result finish(ent_http_request *request)
{
    ent_http_server *server = request->server;
    ent_http_link_rest(request->link);
    if (request->failure.code != ENT_OK)
        return answer_failure(request);
    ent_http_response response = {.status = 200, .file = -1};
    ent_rc rc = ent_http_spool_view(&request->spool, &request->body, &request->failure);
    if (rc.code == ENT_OK)
        rc = server->handler.handle(server->handler.context, request, &response, &request->failure);
    if (rc.code == ENT_OK)
        return ent_http_response_queue(request, &response);
    ent_http_response_clear(&response);
    settle_failure(request, rc);
    return answer_failure(request);
}

enum MHD_Result ent_http_on_access(void *context, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload, size_t *upload_size,
                                   void **state)
{
    (void)version;
    ent_http_request *request = *state;
    if (request == NULL) {
        ent_http_link *link = ent_http_link_of(connection);
        request = link == NULL ? NULL : ent_alloc(sizeof *request);
        if (request == NULL)
            return MHD_NO;
        request->server = context;
        request->link = link;
        request->connection = connection;
        request->method = method;
        request->path = url;
        ent_http_spool_init(&request->spool);
        count_active(request->server, true);
        *state = request;
        return begin(request);
    }
    if (*upload_size > 0) {
        ent_bytes piece = ent_bytes_of(upload, *upload_size);
        *upload_size = 0;
        return take(request, piece);
    }
    return finish(request);
}

void ent_http_on_completed(void *context, struct MHD_Connection *connection, void **state,
                           enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    ent_http_request *request = *state;
    if (request == NULL)
        return;
    *state = NULL;
    detach(request);
    ent_http_spool_release(&request->spool);
    ent_http_link_idle(request->link, code == MHD_REQUEST_TERMINATED_COMPLETED_OK && request->failure.code == ENT_OK);
    count_active(request->server, false);
    ent_free(request);
}
