#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/file.h"
#include "crypto/crypto.h"

void identity_make(identity *made, const char *name)
{
    ent_err err = {0};
    *made = (identity){0};
    assert_int_equal(ent_crypto_init(&err).code, ENT_OK);
    assert_int_equal(ent_tls_generate(ent_text_of(name), &made->key, &made->certificate, &err).code, ENT_OK);
    assert_int_equal(ent_tls_pin(ent_buf_bytes(&made->certificate), &made->pin, &err).code, ENT_OK);
    assert_int_equal(
        ent_tls_client_new(ent_buf_text(&made->key), ent_buf_text(&made->certificate), &made->tls, &err).code, ENT_OK);
}

void identity_release(identity *made)
{
    ent_tls_client_free(made->tls);
    ent_buf_wipe(&made->key);
    ent_buf_release(&made->certificate);
}

void fill(uint8_t *data, size_t size)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (uint8_t)(state >> 24);
    }
}

/* ---- the handler ------------------------------------------------------------------ */

typedef struct {
    fixture *owner;
    uint64_t fail_at;
    uint64_t seen;
} attachment;

static void free_attachment(void *pointer)
{
    attachment *attached = pointer;
    atomic_fetch_add(&attached->owner->freed, 1);
    free(attached);
}

static ent_rc sink(void *context, ent_bytes piece, ent_err *err)
{
    attachment *attached = context;
    attached->seen += piece.size;
    atomic_fetch_add(&attached->owner->sunk, piece.size);
    if (attached->fail_at != 0 && attached->seen >= attached->fail_at)
        return ent_fail(err, ENT_PEER_QUOTA, "test", "the sink is full");
    return ENT_DONE;
}

static ent_code code_asked(const ent_http_request *request)
{
    ent_text word = ent_http_query(request, "code");
    int code = word.data == NULL ? ENT_PEER_FORBIDDEN : ent_code_from_word(word.data, word.size);
    return (ent_code)code;
}

static uint64_t number_asked(const ent_http_request *request, const char *name)
{
    uint64_t value = 0;
    ent_text text = ent_http_query(request, name);
    return text.data != NULL && ent_decimal_parse(text, UINT32_MAX, &value) ? value : 0;
}

static ent_rc admit(void *context, ent_http_request *request, ent_http_intake *intake, ent_err *err)
{
    fixture *owner = context;
    ent_text path = ent_http_path(request);
    attachment *attached = calloc(1, sizeof *attached);
    if (attached == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    attached->owner = owner;
    atomic_fetch_add(&owner->attached, 1);
    ent_http_attach(request, attached, free_attachment);
    if (ent_text_is(path, "/refuse"))
        return ent_fail(err, code_asked(request), "the rule", "refused as asked: %s", "\"quoted\"");
    if (ent_text_is(path, "/bare"))
        return (ent_rc){ENT_PEER_QUOTA};
    if (ent_text_is(path, "/echo"))
        intake->limit = 8 << 20;
    else if (ent_text_is(path, "/small"))
        intake->limit = 16;
    else if (ent_text_is(path, "/fail"))
        intake->limit = 64 << 20;
    else if (ent_text_is(path, "/digest")) {
        intake->limit = 64 << 20;
        intake->spool = true;
    } else if (ent_text_is(path, "/sink")) {
        intake->limit = 1 << 30;
        intake->sink = sink;
        intake->sink_context = attached;
        attached->fail_at = number_asked(request, "fail_at");
    }
    return ENT_DONE;
}

typedef struct {
    fixture *owner;
    uint64_t left;
    bool blocks;
} source;

static ent_rc pull(void *context, ent_buf *piece, bool *ret_end, ent_err *err)
{
    source *from = context;
    (void)err;
    if (from->blocks) {
        if (atomic_load(&from->owner->released)) {
            ent_buf_put_string(piece, "bye\n");
            *ret_end = true;
            return ENT_DONE;
        }
        usleep(20000);
        return ENT_DONE;
    }
    if (from->left == 0) {
        *ret_end = true;
        return ENT_DONE;
    }
    ent_buf_put_format(piece, "%llu\n", (unsigned long long)from->left);
    from->left--;
    return ENT_DONE;
}

static void free_source(void *context)
{
    source *from = context;
    atomic_fetch_add(&from->owner->pulls_freed, 1);
    free(from);
}

static void respond_pull(fixture *owner, ent_http_response *response, uint64_t count, bool blocks)
{
    source *from = calloc(1, sizeof *from);
    if (from == NULL)
        return;
    *from = (source){.owner = owner, .left = count, .blocks = blocks};
    response->content_type = "text/event-stream";
    response->pull = pull;
    response->pull_context = from;
    response->pull_free = free_source;
}

static void respond_digest(const ent_http_request *request, ent_http_response *response)
{
    ent_hash hash;
    ent_bytes body = ent_http_body(request);
    ent_sha256(body, &hash);
    response->content_type = "text/plain";
    ent_buf_put_hex(&response->body, ent_hash_bytes(&hash));
}

static ent_rc respond_file(fixture *owner, ent_http_response *response, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(owner->folder, "file");
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return ent_fail(err, ENT_IO, NULL, "no file at %s", path);
    response->file = fd;
    response->file_size = (uint64_t)status.st_size;
    return ENT_DONE;
}

static ent_rc respond_pin(const ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ent_hash pin;
    if (!ent_http_client_pin(request, &pin))
        return ent_fail(err, ENT_PEER_UNKNOWN, "design, section 3", "no client certificate");
    ent_buf_put_hex(&response->body, ent_hash_bytes(&pin));
    return ENT_DONE;
}

static void respond_shown(const ent_http_request *request, ent_http_response *response)
{
    ent_text path = ent_http_path(request);
    ent_text query = ent_http_query(request, "q");
    ent_text header = ent_http_header(request, "Entente-Test");
    uint64_t length = 0;
    ent_buf_put_format(&response->body, "%.*s %.*s q=%s%.*s h=%s%.*s ", ENT_TEXT_ARG(ent_http_method(request)),
                       ENT_TEXT_ARG(path), query.data == NULL ? "(none)" : "", (int)query.size,
                       query.data == NULL ? "" : query.data, header.data == NULL ? "(none)" : "", (int)header.size,
                       header.data == NULL ? "" : header.data);
    ent_buf_put_string(&response->body, ent_http_content_length(request, &length) ? "length" : "no-length");
}

static ent_rc handle(void *context, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    fixture *owner = context;
    ent_text path = ent_http_path(request);
    atomic_fetch_add(&owner->handled, 1);
    if (ent_text_is(path, "/hello")) {
        ent_http_respond_text(response, 200, "hello");
    } else if (ent_text_is(path, "/echo") || ent_text_is(path, "/small")) {
        response->content_type = "application/octet-stream";
        ent_buf_put(&response->body, ent_http_body(request));
    } else if (ent_text_is(path, "/digest")) {
        respond_digest(request, response);
    } else if (ent_text_is(path, "/sink")) {
        const attachment *attached = ent_http_attached(request);
        ent_buf_put_decimal(&response->body, attached->seen);
    } else if (ent_text_is(path, "/fail")) {
        return ent_fail(err, code_asked(request), "the rule", "%s failed as asked", owner->folder);
    } else if (ent_text_is(path, "/pin")) {
        return respond_pin(request, response, err);
    } else if (ent_text_is(path, "/large")) {
        uint64_t size = number_asked(request, "size");
        uint8_t *room = ent_buf_reserve(&response->body, (size_t)size);
        if (room != NULL) {
            fill(room, (size_t)size);
            response->body.size = (size_t)size;
        }
    } else if (ent_text_is(path, "/file")) {
        return respond_file(owner, response, err);
    } else if (ent_text_is(path, "/stream")) {
        respond_pull(owner, response, number_asked(request, "count"), false);
    } else if (ent_text_is(path, "/watch")) {
        respond_pull(owner, response, 0, true);
    } else if (ent_text_is(path, "/slow")) {
        usleep((useconds_t)number_asked(request, "ms") * 1000);
        ent_http_respond_text(response, 200, "at last");
    } else if (ent_text_is(path, "/remote")) {
        ent_http_respond_text(response, 200, ent_http_remote(request));
    } else if (ent_text_is(path, "/header")) {
        ent_http_respond_text(response, 201, "made");
        (void)snprintf(response->header_name, sizeof response->header_name, "Location");
        (void)snprintf(response->header_value, sizeof response->header_value, "/elsewhere");
    } else if (ent_text_is(path, "/split")) {
        ent_http_respond_text(response, 200, "never");
        (void)snprintf(response->header_name, sizeof response->header_name, "X");
        (void)snprintf(response->header_value, sizeof response->header_value, "a\r\nSet-Cookie: b");
    } else if (ent_text_is(path, "/redirect")) {
        ent_http_respond_text(response, 302, "over there");
        (void)snprintf(response->header_name, sizeof response->header_name, "Location");
        (void)snprintf(response->header_value, sizeof response->header_value, "/hello");
    } else if (ent_text_is(path, "/json")) {
        ent_buf body = {0};
        ent_buf_put_string(&body, "{\"a\":1}");
        ent_http_respond_json(response, 200, &body);
    } else if (ent_text_is(path, "/empty")) {
        response->status = 204;
    } else {
        respond_shown(request, response);
    }
    return ENT_DONE;
}

ent_http_handler fixture_handler(fixture *made)
{
    return (ent_http_handler){.admit = admit, .handle = handle, .context = made};
}

/* ---- start and stop ------------------------------------------------------------- */

void fixture_folder(fixture *made)
{
    *made = (fixture){0};
    (void)snprintf(made->folder, sizeof made->folder, "/tmp/ent-http-XXXXXX");
    assert_non_null(mkdtemp(made->folder));
}

void fixture_start_peers(fixture *made, unsigned connections_per_address)
{
    ent_err err = {0};
    fixture_folder(made);
    identity_make(&made->self, "boreal.example");
    ent_http_peers_options options = {.address = "127.0.0.1:0",
                                      .key_pem = ent_buf_text(&made->self.key),
                                      .certificate_pem = ent_buf_text(&made->self.certificate),
                                      .threads = 3,
                                      .connections_per_address = connections_per_address,
                                      .spool_folder = made->folder};
    ent_rc rc = ent_http_server_peers(&options, fixture_handler(made), &made->server, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    (void)snprintf(made->base, sizeof made->base, "https://127.0.0.1:%u", (unsigned)ent_http_server_port(made->server));
}

void fixture_start_unix(fixture *made)
{
    ent_err err = {0};
    fixture_folder(made);
    (void)snprintf(made->socket_path, sizeof made->socket_path, "%s/socket", made->folder);
    (void)snprintf(made->base, sizeof made->base, "http://node");
    ent_rc rc = ent_http_server_unix(made->socket_path, made->folder, fixture_handler(made), &made->server, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
}

void fixture_stop(fixture *made, unsigned grace_ms)
{
    ent_http_server_stop(made->server, grace_ms);
    identity_release(&made->self);
    char file[96];
    (void)snprintf(file, sizeof file, "%s/file", made->folder);
    (void)unlink(file);
    /* Nothing else may be left in it: no spooled body, no socket. */
    assert_int_equal(rmdir(made->folder), 0);
    assert_int_equal(atomic_load(&made->attached), atomic_load(&made->freed));
}

ent_http_call fixture_call(const fixture *made, const identity *as, const char *method, const char *path, char url[256])
{
    (void)snprintf(url, 256, "%s%s", made->base, path);
    ent_http_call call = {.method = method, .url = url, .timeout_ms = 60000};
    if (made->socket_path[0] != 0) {
        call.unix_socket = made->socket_path;
    } else {
        call.has_pin = true;
        call.pin = made->self.pin;
        call.tls = as == NULL ? NULL : as->tls;
    }
    return call;
}

int fixture_status(const fixture *made, const identity *as, const char *method, const char *path, ent_bytes body,
                   ent_http_reply *ret)
{
    char url[256];
    ent_err err = {0};
    ent_http_call call = fixture_call(made, as, method, path, url);
    call.body = body;
    *ret = (ent_http_reply){0};
    ent_rc rc = ent_http_call_wait(&call, ret, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s %s: %s", method, path, err.text);
    return ret->status;
}

void assert_body(const ent_http_reply *reply, const char *text)
{
    assert_int_equal(reply->body.size, strlen(text));
    assert_memory_equal(reply->body.data, text, strlen(text));
}

void wait_for_count(const atomic_uint *counter, unsigned value)
{
    for (int i = 0; i < 2000 && atomic_load(counter) != value; i++)
        usleep(10000);
    assert_int_equal(atomic_load(counter), value);
}

/* ---- the raw client -------------------------------------------------------------- */

void raw_open_tcp(raw *made, const fixture *to)
{
    *made = (raw){.fd = -1};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(ent_http_server_port(to->server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    made->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(made->fd >= 0);
    assert_int_equal(connect(made->fd, (const struct sockaddr *)&address, sizeof address), 0);
}

void raw_open(raw *made, const fixture *to)
{
    if (to->socket_path[0] != 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        *made = (raw){.fd = -1};
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", to->socket_path);
        made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(made->fd >= 0);
        assert_int_equal(connect(made->fd, (const struct sockaddr *)&address, sizeof address), 0);
        return;
    }
    gnutls_session_t session = NULL;
    gnutls_certificate_credentials_t credentials = NULL;
    raw_open_tcp(made, to);
    assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_set_default_priority(session), 0);
    assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    gnutls_transport_set_int(session, made->fd);
    int status = 0;
    do {
        status = gnutls_handshake(session);
    } while (status < 0 && gnutls_error_is_fatal(status) == 0);
    assert_int_equal(status, 0);
    made->session = session;
    made->credentials = credentials;
}

int raw_try(const fixture *to, const char *priorities)
{
    raw made;
    gnutls_session_t session = NULL;
    gnutls_certificate_credentials_t credentials = NULL;
    raw_open_tcp(&made, to);
    assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL), 0);
    assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    gnutls_transport_set_int(session, made.fd);
    made.session = session;
    made.credentials = credentials;
    int status = 0;
    do {
        status = gnutls_handshake(session);
    } while (status < 0 && gnutls_error_is_fatal(status) == 0);
    raw_close(&made);
    return status == 0;
}

int raw_send(raw *to, const void *data, size_t size)
{
    const char *next = data;
    while (size > 0) {
        ssize_t sent =
            to->session != NULL ? gnutls_record_send(to->session, next, size) : send(to->fd, next, size, MSG_NOSIGNAL);
        if (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED)
            continue;
        if (sent <= 0)
            return 0;
        next += sent;
        size -= (size_t)sent;
    }
    return 1;
}

int raw_say(raw *to, const char *text)
{
    return raw_send(to, text, strlen(text));
}

/* One read: 1 got something, 0 closed, -1 nothing in time. */
static int read_some(raw *from, ent_buf *ret, int timeout_ms)
{
    uint8_t room[16384];
    struct pollfd entry = {.fd = from->fd, .events = POLLIN};
    bool pending = from->session != NULL && gnutls_record_check_pending(from->session) > 0;
    if (!pending && poll(&entry, 1, timeout_ms) <= 0)
        return -1;
    ssize_t got = from->session != NULL ? gnutls_record_recv(from->session, room, sizeof room)
                                        : recv(from->fd, room, sizeof room, 0);
    if (from->session != NULL && (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED))
        return 1;
    if (got <= 0)
        return 0;
    ent_buf_put(ret, ent_bytes_of(room, (size_t)got));
    return 1;
}

int raw_receive(raw *from, ent_buf *ret, unsigned timeout_ms)
{
    int64_t until = ent_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        int64_t left = until - ent_clock_monotonic_ms();
        if (left <= 0)
            return 0;
        int got = read_some(from, ret, (int)left);
        if (got <= 0)
            return got == 0;
    }
}

int raw_await(raw *from, ent_buf *ret, const char *wanted)
{
    int64_t until = ent_clock_monotonic_ms() + 10000;
    for (;;) {
        const char *string = ent_buf_string(ret);
        if (string != NULL && strstr(string, wanted) != NULL)
            return 1;
        int64_t left = until - ent_clock_monotonic_ms();
        if (left <= 0 || read_some(from, ret, (int)left) <= 0)
            break;
    }
    const char *string = ent_buf_string(ret);
    return string != NULL && strstr(string, wanted) != NULL;
}

void raw_close(raw *made)
{
    if (made->session != NULL)
        gnutls_deinit(made->session);
    if (made->credentials != NULL)
        gnutls_certificate_free_credentials(made->credentials);
    if (made->fd >= 0)
        (void)close(made->fd);
    *made = (raw){.fd = -1};
}

int fixture_set_up(void **state, unsigned connections_per_address)
{
    fixture *made = calloc(1, sizeof *made);
    assert_non_null(made);
    fixture_start_peers(made, connections_per_address);
    *state = made;
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture_stop(*state, 2000);
    free(*state);
    return 0;
}
