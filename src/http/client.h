/* HTTP client (libcurl): pinned TLS to peers, and the Unix socket of the own node.  Source: design.md sections 3 and 8.
 */
#ifndef ENT_HTTP_CLIENT_H
#define ENT_HTTP_CLIENT_H

#include "base/json.h"
#include "crypto/types.h"

/** Our TLS identity as memory files, so that no secret key lies in a readable file ("CURLOPT_SSLKEY_BLOB with
 * libcurl-gnutls returns OK and sends no certificate (a memfd path works)"). */
typedef struct ent_tls_client ent_tls_client;
/** Errors: USAGE when the key does not belong to the certificate, IO, NOMEM. */
ENT_RC ent_tls_client_new(ent_text key_pem, ent_text certificate_pem, ent_tls_client **ret, ent_err *err);
void ent_tls_client_free(ent_tls_client *client);

enum { ENT_HTTP_MAX_HEADERS = 8 };

typedef struct {
    const char *method;        /* "GET", "POST", "PUT", "DELETE" */
    const char *url;           /* https://…; for a Unix socket any host: "http://node/api/v1/…" */
    const char *unix_socket;   /* nullable */
    const ent_tls_client *tls; /* nullable */
    bool has_pin;
    ent_hash pin; /* the server's certificate must have it, else UNREACHABLE naming the mismatch; without a pin
                   * the system's authorities must have signed it */
    bool has_pin_before;
    ent_hash pin_before; /* this one will do as well: the other end is changing its certificate */
    struct {
        const char *name;
        const char *value;
    } headers[ENT_HTTP_MAX_HEADERS];
    size_t header_count;
    ent_bytes body;                              /* borrowed until done */
    int body_file;                               /* > 0: upload from this descriptor instead; borrowed */
    uint64_t body_file_first;                    /* position of the first byte */
    uint64_t body_file_size;                     /* bytes from there on */
    void (*sent)(void *context, uint64_t bytes); /* nullable: told how much of body_file has left so far */
    void *sent_context;
    uint32_t connect_timeout_ms; /* 0 = 10,000 */
    uint32_t timeout_ms; /* whole request; 0 = none. Slower than 1 KiB/s over 30 s is cut, but not on a Unix socket */
    uint64_t response_limit;                                      /* bytes; 0 = 8 MiB */
    ENT_RC (*sink)(void *context, ent_bytes piece, ent_err *err); /* nullable: takes a 2xx body piece by piece */
    void *sink_context;
} ent_http_call;

typedef struct {
    int status;
    char content_type[128];
    int64_t date_unix_s;    /* of the Date header; 0 = none */
    uint32_t retry_after_s; /* of the Retry-After header; 0 = none */
    ent_buf body;
} ent_http_reply;
void ent_http_reply_release(ent_http_reply *reply);

/** Do one call and wait.  Any HTTP status is ENT_OK.  Errors: UNREACHABLE, PEER_TOO_LARGE, those of the sink, NOMEM.
 * Blocks: yes. */
ENT_RC ent_http_call_wait(const ent_http_call *call, ent_http_reply *ret, ent_err *err);

/** Turn a reply with an error status into that error (reads our JSON reason, else quotes the body's beginning, both fit
 * for a terminal; Retry-After too); ENT_OK for 2xx, except a 202 whose JSON says `waiting`: WAITING. */
ENT_RC ent_http_reply_check(const ent_http_reply *reply, ent_err *err);

/** Many calls at once from one thread, over kept-alive connections. */
typedef struct ent_http_pool ent_http_pool;
/** Told once for each call. rc as in ent_http_call_wait; reply is released after the call returns. */
typedef void (*ent_http_done)(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *err);

ENT_RC ent_http_pool_new(ent_http_pool **ret, ent_err *err);
/** Start a call; the strings and bodies it borrows must live until done is told. */
ENT_RC ent_http_pool_start(ent_http_pool *pool, const ent_http_call *call, ent_http_done done, void *context,
                           ent_err *err);
/** Work until woken (before the call or in it), but at most for timeout_ms and for a second; tells `done` from inside.
 */
ENT_RC ent_http_pool_work(ent_http_pool *pool, uint32_t timeout_ms, ent_err *err);
/** Make ent_http_pool_work return soon: within a second even where the system refuses to pass it on. Any thread. */
void ent_http_pool_wake(ent_http_pool *pool);
size_t ent_http_pool_active(const ent_http_pool *pool);
/** Cut what is under way (each is told UNREACHABLE) and free. */
void ent_http_pool_free(ent_http_pool *pool);

#endif
