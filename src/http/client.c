#include "http/client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "http/client_internal.h"
#include "http/tls_internal.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    RESPONSE_LIMIT = 8 << 20,
    SLOW_BYTES_S = 1024,
    SLOW_TIME_S = 30,
    /* From here on ask first: a refused body is not sent at all. Below, the time for the question costs more than the
       bytes. */
    EXPECT_BYTES = 256 << 10,
    EXPECT_TIMEOUT_MS = 10000,
    /* Servers close connections idle for 60 s; one that is younger can be used again without losing the race. */
    REUSE_AGE_S = 45,
    DESCRIPTOR_PATH_SIZE = 32
};

struct ent_tls_client {
    int key;
    int certificate;
    char key_path[DESCRIPTOR_PATH_SIZE];
    char certificate_path[DESCRIPTOR_PATH_SIZE];
};

/* ---- libcurl, once ---------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started = CURLE_FAILED_INIT;

static void start_curl(void)
{
    started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

ent_rc ent_http_client_init(ent_err *err)
{
    (void)pthread_once(&once, start_curl);
    if (started != CURLE_OK)
        return ent_fail(err, ENT_BUG, NULL, "libcurl cannot start: %s", curl_easy_strerror(started));
    return ENT_DONE;
}

/* ---- our TLS identity --------------------------------------------------------------- */

static ent_rc keep_in_memory(const char *name, ent_text pem, int *ret, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || fchmod(fd, 0400) != 0) {
        char reason[128];
        return ent_fail(err, ENT_IO, NULL, "cannot make a memory file: %s", strerror_r(errno, reason, sizeof reason));
    }
    ENT_TRY(ent_file_write_all(fd, ent_text_bytes(pem), err));
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    *ret = fd;
    fd = -1;
    return ENT_DONE;
}

static void release_client(ent_tls_client **client)
{
    ent_tls_client_free(*client);
}

ent_rc ent_tls_client_new(ent_text key_pem, ent_text certificate_pem, ent_tls_client **ret, ent_err *err)
{
    ENT_TRY(ent_tls_check_pair(key_pem, certificate_pem, err));
    ENT_CLEANUP(release_client) ent_tls_client *client = ent_alloc(sizeof *client);
    if (client == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    client->key = -1;
    client->certificate = -1;
    ENT_TRY(keep_in_memory("tls-key", key_pem, &client->key, err));
    ENT_TRY(keep_in_memory("tls-certificate", certificate_pem, &client->certificate, err));
    (void)snprintf(client->key_path, sizeof client->key_path, "/proc/self/fd/%d", client->key);
    (void)snprintf(client->certificate_path, sizeof client->certificate_path, "/proc/self/fd/%d", client->certificate);
    *ret = ent_take(client);
    return ENT_DONE;
}

void ent_tls_client_free(ent_tls_client *client)
{
    if (client == NULL)
        return;
    ent_file_close(&client->key);
    ent_file_close(&client->certificate);
    ent_free(client);
}

/* ---- bodies in and out --------------------------------------------------------------- */

static long status_of(const ent_http_transfer *transfer)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static ent_rc take_piece(ent_http_transfer *transfer, ent_bytes piece)
{
    if (piece.size > transfer->limit - transfer->received)
        return ent_fail(&transfer->err, ENT_PEER_TOO_LARGE, NULL, "the answer is larger than %llu bytes",
                        (unsigned long long)transfer->limit);
    transfer->received += piece.size;
    long status = status_of(transfer);
    if (transfer->call.sink != NULL && status >= 200 && status < 300)
        return transfer->call.sink(transfer->call.sink_context, piece, &transfer->err);
    ent_buf_put(&transfer->reply.body, piece);
    return ent_buf_check(&transfer->reply.body, &transfer->err);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    ent_http_transfer *transfer = context;
    transfer->failed = take_piece(transfer, ent_bytes_of(data, size * count));
    return transfer->failed.code == ENT_OK ? size * count : 0;
}

static size_t on_upload(char *room, size_t size, size_t count, void *context)
{
    ent_http_transfer *transfer = context;
    uint64_t left = transfer->call.body_file_size - transfer->sent;
    size_t wanted = size * count > left ? (size_t)left : size * count;
    ssize_t got = 0;
    if (wanted == 0)
        return 0;
    do {
        got = pread(transfer->call.body_file, room, wanted, (off_t)(transfer->call.body_file_first + transfer->sent));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        char reason[128];
        transfer->failed = ent_fail(&transfer->err, ENT_IO, NULL, "cannot read the file to send: %s",
                                    got == 0 ? "it has become shorter" : strerror_r(errno, reason, sizeof reason));
        return CURL_READFUNC_ABORT;
    }
    transfer->sent += (uint64_t)got;
    if (transfer->call.sent != NULL)
        transfer->call.sent(transfer->call.sent_context, transfer->sent);
    return (size_t)got;
}

/* libcurl sends the body again when a kept connection turns out to be closed. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    ent_http_transfer *transfer = context;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > transfer->call.body_file_size)
        return CURL_SEEKFUNC_FAIL;
    transfer->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- setting up a call ------------------------------------------------------------------ */

static void keep_first(CURLcode *first, CURLcode next)
{
    if (*first == CURLE_OK)
        *first = next;
}

#define SET(option, value) keep_first(&set, curl_easy_setopt(easy, option, value))

static CURLcode set_body(ent_http_transfer *transfer)
{
    const ent_http_call *call = &transfer->call;
    CURL *easy = transfer->easy;
    CURLcode set = CURLE_OK;
    bool from_file = call->body_file > 0;
    bool empty = !from_file && call->body.size == 0;
    if (empty && strcmp(call->method, "POST") != 0 && strcmp(call->method, "PUT") != 0) {
        SET(CURLOPT_HTTPGET, 1L);
        if (strcmp(call->method, "HEAD") == 0)
            SET(CURLOPT_NOBODY, 1L);
    } else if (from_file) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_file_size);
        SET(CURLOPT_READFUNCTION, on_upload);
        SET(CURLOPT_READDATA, transfer);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, transfer);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    } else {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        SET(CURLOPT_POSTFIELDS, empty ? "" : (const char *)call->body.data);
    }
    SET(CURLOPT_CUSTOMREQUEST, call->method);
    return set;
}

/* With a pin the certificate is compared with it and with nothing else; without one it must be what the system trusts.
 */
static CURLcode set_tls(ent_http_transfer *transfer)
{
    const ent_http_call *call = &transfer->call;
    CURL *easy = transfer->easy;
    CURLcode set = CURLE_OK;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    if (call->tls != NULL) {
        SET(CURLOPT_SSLCERTTYPE, "PEM");
        SET(CURLOPT_SSLCERT, call->tls->certificate_path);
        SET(CURLOPT_SSLKEYTYPE, "PEM");
        SET(CURLOPT_SSLKEY, call->tls->key_path);
    }
    if (call->has_pin) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_buf_put_string(&text, "sha256//");
        ent_buf_put_base64(&text, ent_hash_bytes(&call->pin));
        if (call->has_pin_before) {
            ent_buf_put_string(&text, ";sha256//");
            ent_buf_put_base64(&text, ent_hash_bytes(&call->pin_before));
        }
        ent_buf_put_u8(&text, 0);
        if (ent_buf_check(&text, NULL).code != ENT_OK)
            return CURLE_OUT_OF_MEMORY;
        SET(CURLOPT_PINNEDPUBLICKEY, (const char *)text.data);
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
        /* Else the system's authorities are read and parsed for each connection, for nothing. */
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
    }
    return set;
}

static CURLcode set_connection(ent_http_transfer *transfer)
{
    const ent_http_call *call = &transfer->call;
    CURL *easy = transfer->easy;
    CURLcode set = CURLE_OK;
    uint32_t connect_ms = call->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : call->connect_timeout_ms;
    SET(CURLOPT_URL, call->url);
    /* Never in the clear when a certificate was asked for. */
    SET(CURLOPT_PROTOCOLS_STR, call->unix_socket != NULL ? "http" : call->has_pin ? "https" : "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, "entente");
    SET(CURLOPT_MAXAGE_CONN, (long)REUSE_AGE_S);
    SET(CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_TIMEOUT_MS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    if (call->unix_socket != NULL) {
        SET(CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    } else {
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_S);
        SET(CURLOPT_LOW_SPEED_TIME, (long)SLOW_TIME_S);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
    }
    return set;
}

static bool add_header(ent_http_transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    if (longer != NULL)
        transfer->headers = longer;
    return longer != NULL;
}

static ent_rc set_headers(ent_http_transfer *transfer, ent_err *err)
{
    const ent_http_call *call = &transfer->call;
    uint64_t size = call->body_file > 0 ? call->body_file_size : call->body.size;
    bool typed = false;
    bool added = add_header(transfer, size >= EXPECT_BYTES ? "Expect: 100-continue" : "Expect:");
    if (call->header_count > ENT_HTTP_MAX_HEADERS)
        return ent_fail(err, ENT_BUG, NULL, "%zu headers; at most %d", call->header_count, (int)ENT_HTTP_MAX_HEADERS);
    for (size_t i = 0; added && i < call->header_count; i++) {
        const char *name = call->headers[i].name;
        const char *value = call->headers[i].value;
        if (strpbrk(name, "\r\n:") != NULL || strpbrk(value, "\r\n") != NULL)
            return ent_fail(err, ENT_USAGE, "RFC 9110, section 5.5", "the header %.40s cannot be sent", name);
        ENT_CLEANUP(ent_buf_release) ent_buf line = {0};
        /* "Name;" is how libcurl wants a header without a value. */
        ent_buf_put_format(&line, value[0] == 0 ? "%s;%s" : "%s: %s", name, value);
        const char *string = ent_buf_string(&line);
        added = string != NULL && add_header(transfer, string);
        typed |= strcasecmp(name, "Content-Type") == 0;
    }
    /* Else libcurl would say "application/x-www-form-urlencoded". */
    if (added && !typed)
        added = add_header(transfer, "Content-Type:");
    if (!added || curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) != CURLE_OK)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ENT_DONE;
}

ent_rc ent_http_transfer_start(ent_http_transfer *transfer, const ent_http_call *call, ent_err *err)
{
    ENT_TRY(ent_http_client_init(err));
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *transfer = (ent_http_transfer){.call = *call, .easy = easy};
    transfer->limit = call->response_limit == 0 ? RESPONSE_LIMIT : call->response_limit;
    CURLcode set = set_connection(transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->detail);
    SET(CURLOPT_PRIVATE, transfer);
    keep_first(&set, set_tls(transfer));
    keep_first(&set, set_body(transfer));
    ent_rc rc = set == CURLE_OK ? set_headers(transfer, err)
                                : ent_fail(err, set == CURLE_OUT_OF_MEMORY ? ENT_NOMEM : ENT_BUG, NULL,
                                           "libcurl cannot do this call: %s", curl_easy_strerror(set));
    if (rc.code != ENT_OK)
        ent_http_transfer_release(transfer);
    return rc;
}

/* ---- what became of it ---------------------------------------------------------------------- */

static ent_rc fail_transfer(const ent_http_transfer *transfer, CURLcode result, ent_err *err)
{
    const ent_http_call *call = &transfer->call;
    const char *detail = transfer->detail[0] != 0 ? transfer->detail : curl_easy_strerror(result);
    switch (result) {
    case CURLE_OUT_OF_MEMORY:
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ent_fail(err, ENT_USAGE, NULL, "%.200s cannot be asked: %s", call->url, detail);
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return ent_fail(err, ENT_UNREACHABLE, "design, section 3",
                        "%.200s: the server's certificate does not have the key of its card (pin mismatch): another "
                        "machine answers, or a new card is due",
                        call->url);
    case CURLE_SSL_CERTPROBLEM:
        return ent_fail(err, ENT_IO, NULL, "our own TLS key or certificate cannot be used: %s", detail);
    default:
        return ent_fail(err, ENT_UNREACHABLE, NULL, "%.200s: %s",
                        call->unix_socket != NULL ? call->unix_socket : call->url, detail);
    }
}

ent_rc ent_http_transfer_finish(ent_http_transfer *transfer, CURLcode result, ent_err *err)
{
    if (transfer->failed.code != ENT_OK) {
        if (err != NULL) {
            *err = transfer->err;
            err->code = transfer->failed.code;
        }
        return transfer->failed;
    }
    if (result != CURLE_OK)
        return fail_transfer(transfer, result, err);
    const char *type = NULL;
    curl_off_t retry_after_s = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    struct curl_header *date = NULL;
    if (curl_easy_header(transfer->easy, "Date", 0, CURLH_HEADER, -1, &date) == CURLHE_OK) {
        time_t time = curl_getdate(date->value, NULL);
        transfer->reply.date_unix_s = time == (time_t)-1 ? 0 : (int64_t)time;
    }
    if (retry_after_s > 0)
        transfer->reply.retry_after_s = retry_after_s > UINT32_MAX ? UINT32_MAX : (uint32_t)retry_after_s;
    transfer->reply.status = (int)status_of(transfer);
    (void)snprintf(transfer->reply.content_type, sizeof transfer->reply.content_type, "%s", type == NULL ? "" : type);
    return ENT_DONE;
}

void ent_http_transfer_release(ent_http_transfer *transfer)
{
    if (transfer->easy != NULL)
        curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    ent_http_reply_release(&transfer->reply);
    transfer->easy = NULL;
    transfer->headers = NULL;
}

void ent_http_reply_release(ent_http_reply *reply)
{
    ent_buf_release(&reply->body);
}

ent_rc ent_http_call_wait(const ent_http_call *call, ent_http_reply *ret, ent_err *err)
{
    ENT_CLEANUP(ent_http_transfer_release) ent_http_transfer transfer = {0};
    ENT_TRY(ent_http_transfer_start(&transfer, call, err));
    CURLcode result = curl_easy_perform(transfer.easy);
    ENT_TRY(ent_http_transfer_finish(&transfer, result, err));
    *ret = transfer.reply;
    transfer.reply = (ent_http_reply){0};
    return ENT_DONE;
}
