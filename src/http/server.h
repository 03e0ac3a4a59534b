/* HTTP server (libmicrohttpd): one for peers over TLS 1.3 with pinned client certificates, one on a Unix socket.
 * Source: design.md section 8.
 *
 * A request goes through two calls: `admit` sees method, path and headers before any body byte is read and decides
 * whether and how the body is taken; `handle` answers when the body is whole. Slower than 1 KiB/s over 30 s is closed,
 * in both directions; so is a connection whose next request headers are not complete within 60 s. Where there are many,
 * those that do nothing make room for new ones, and first those that never had an answer. A body needs one
 * Content-Length or chunked coding, else 400.
 *
 * A refused body: a client that says "Expect: 100-continue" gets the answer at once and sends nothing; else up to 64
 * MiB are read and thrown away within 30 s, so that the answer is not lost to a reset. To peers, faults of this node
 * (class IO, BUG) are told without their text. */
#ifndef ENT_HTTP_SERVER_H
#define ENT_HTTP_SERVER_H

#include "base/json.h"
#include "crypto/types.h"

typedef struct ent_http_request ent_http_request;

/** Request parts; texts live as long as the request. A missing header or query argument is an empty text with NULL
 * data. */
ent_text ent_http_method(const ent_http_request *request);
ent_text ent_http_path(const ent_http_request *request); /* percent-decoded; no query */
ent_text ent_http_header(const ent_http_request *request, const char *name);
ent_text ent_http_query(const ent_http_request *request, const char *name);
/** Announced size of the body; false when it is chunked or absent. */
bool ent_http_content_length(const ent_http_request *request, uint64_t *ret_size);
/** SHA-256 pin of the client's certificate; false when it presented none. */
bool ent_http_client_pin(const ent_http_request *request, ent_hash *ret);
/** The body taken in memory or spooled (then mapped); empty before `handle`. */
ent_bytes ent_http_body(const ent_http_request *request);
/** "address:port" of the client, or "unix". */
const char *ent_http_remote(const ent_http_request *request);
/** Whether the client has gone: for a handler that waits. */
bool ent_http_client_gone(const ent_http_request *request);
/** A pointer of the handler's own, freed with the given function when the request ends, however it ends. */
void ent_http_attach(ent_http_request *request, void *pointer, void (*free_pointer)(void *));
void *ent_http_attached(const ent_http_request *request);

/** How the body is to be taken. */
typedef struct {
    uint64_t limit; /* a longer body is answered 413; 0 = no body is taken, any body is 413 */
    bool spool;     /* beyond 256 KiB to an unlinked temporary file, mapped for `handle` */
    ENT_RC (*sink)(void *context, ent_bytes piece, ent_err *err); /* nullable: takes the pieces instead of memory */
    void *sink_context;
} ent_http_intake;

/** The answer. `handle` gets an empty 200 (file = -1) and fills in what differs. */
typedef struct {
    int status;
    const char *content_type; /* static string */
    ent_buf body;             /* handed over */
    char header_name[64];     /* one extra header, "" = none */
    char header_value[256];
    int file; /* >= 0: the body is this file from its start, closed by the server */
    uint64_t file_size;
    /** Nullable: body of unknown length, pulled piece by piece until *ret_end. Called from a server thread; may block
     * on Unix-socket servers, and should then give an empty piece every second or so: only there is it noticed that the
     * client has gone, or that the grace of a stop is over. */
    ENT_RC (*pull)(void *context, ent_buf *ret_piece, bool *ret_end, ent_err *err);
    void *pull_context;
    void (*pull_free)(void *context);
} ent_http_response;

/* Each of these three replaces what the response held. */
/** Answer with {"error":{"code":word,"rule":…,"text":…}} and the status that belongs to the error. */
void ent_http_respond_error(ent_http_response *response, const ent_err *err);
/** Answer with JSON; takes over body. */
void ent_http_respond_json(ent_http_response *response, int status, ent_buf *body);
void ent_http_respond_text(ent_http_response *response, int status, const char *text);

typedef struct {
    /** Decide from method, path and headers: either fill intake and return ENT_OK, or fail (answered by that error, no
     * body read; where the client already sends, the rest is drained up to a bound). */
    ENT_RC (*admit)(void *context, ent_http_request *request, ent_http_intake *ret_intake, ent_err *err);
    /** Answer; a failure is answered by that error. */
    ENT_RC (*handle)(void *context, ent_http_request *request, ent_http_response *response, ent_err *err);
    void *context;
} ent_http_handler;

/** For admit, when a specification wants the refusal in a form of its own: refuse with this status, type and text.
 *  @in   content_type   static
 *  @in   text           at most 63 bytes are sent
 *  @in   err            as set by what failed; its code is returned */
ENT_RC ent_http_refuse(ent_http_request *request, int status, const char *content_type, const char *text, ent_err *err);

typedef struct ent_http_server ent_http_server;

typedef struct {
    const char *address; /* "127.0.0.1:8443", "[::1]:0"; port 0 = any */
    ent_text key_pem;    /* of our TLS identity */
    ent_text certificate_pem;
    unsigned threads;                 /* of the pool; 0 = 4 */
    unsigned connections;             /* limit; 0 = 1024 */
    unsigned connections_per_address; /* 0 = 256 */
    const char *spool_folder;         /* for temporary files; NULL = bodies stay in memory */
} ent_http_peers_options;

/** Listen for peers: TLS 1.3 only, a client certificate is requested but not required (the handler answers a readable
 * 403). Errors: USAGE (address, key and certificate), IO (address in use, …), NOMEM.  Threads: handler calls come from
 * the pool's threads. */
ENT_RC ent_http_server_peers(const ent_http_peers_options *options, ent_http_handler handler, ent_http_server **ret,
                             ent_err *err);
/** Remove a socket that nobody listens on any more, as ent_http_server_unix does by itself: for a process that will not
 * be allowed to.  Errors: REFUSED when a node answers there, or it is no socket; IO, USAGE. */
ENT_RC ent_http_unix_clear(const char *path, ent_err *err);
/** Listen on a Unix socket (mode 0600; a stale socket file is replaced, a live one refused). One thread per connection,
 * at most 384; from 168 on, silent ones make room. Errors: REFUSED when another node answers there, IO. */
ENT_RC ent_http_server_unix(const char *path, const char *spool_folder, ent_http_handler handler, ent_http_server **ret,
                            ent_err *err);
/** The port really bound. */
uint16_t ent_http_server_port(const ent_http_server *server);
/** Accept nothing more, finish what is being answered (at most grace_ms), cut the rest, close, free.  NULL is fine.
 *  Waits besides for as long as a handler, sink or pull does not return: whoever blocks there must end by himself.
 * Blocks: yes. */
void ent_http_server_stop(ent_http_server *server, unsigned grace_ms);

#endif
