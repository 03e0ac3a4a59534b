/* Private to src/http: a server, the connections to it, and the requests on them. */
#ifndef ENT_HTTP_SERVER_INTERNAL_H
#define ENT_HTTP_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "http/server.h"

enum {
    ENT_HTTP_WINDOW_MS = 30000,
    ENT_HTTP_IDLE_MS = 60000,
    ENT_HTTP_RATE_BYTES_S = 1024,
    /* A refused body is read to its end, so that the client gets the answer instead of a reset connection, up to the
     * size of the largest pouch. Beyond it the answer is sent at once and may be lost: such a client should say
     * "Expect: 100-continue". */
    ENT_HTTP_DRAIN_BYTES = 64 << 20,
    ENT_HTTP_SPILL_BYTES = 256 << 10,
    ENT_HTTP_REMOTE_SIZE = 64
};

/** A connection, from accept to close. */
typedef struct ent_http_link {
    ent_http_server *server;
    struct ent_http_link *previous;
    struct ent_http_link *next;
    int fd;
    atomic_llong deadline_ms;  /* monotonic; the watchdog looks at the connection when it has passed */
    atomic_long window_bytes;  /* what moved since the deadline was set */
    atomic_long window_unsent; /* what lay in the kernel then */
    atomic_llong spare_ms;     /* since when it could make room for another; LLONG_MAX: it may not */
    atomic_bool served;        /* a request of it was taken and answered */
    bool leaving;              /* it was closed to make room; guarded by the server's mutex */
    int64_t left_ms;           /* while paused; this and the rest: the connection's thread only */
    void *session;             /* GnuTLS session; NULL without TLS */
    bool pin_asked;
    bool has_pin;
    ent_hash pin;
    char remote[ENT_HTTP_REMOTE_SIZE];
} ent_http_link;

struct ent_http_server {
    struct MHD_Daemon *daemon;
    ent_http_handler handler;
    char *spool_folder; /* nullable: bodies stay in memory */
    char *unix_path;    /* nullable */
    dev_t unix_device;
    ino_t unix_inode;
    uint16_t port;
    bool tls;
    atomic_bool stopping; /* no new connection, no new request */
    atomic_bool cutting;  /* answers under way end now */
    atomic_uint window_ms;
    atomic_uint idle_ms;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    ent_http_link *links;
    unsigned link_count;
    unsigned leaving_count; /* of these */
    unsigned most_links;    /* of the last eighth of them, who does nothing makes room */
    size_t active;          /* requests begun and not completed */
    bool watch_ends;
    pthread_t watchdog;
};

/* --- link.c: connections and the watchdog over them --- */

/** Accept more slowly while many that make room are not gone yet: there is a limit beyond which libmicrohttpd closes
 * whoever comes. For a server with a thread for each connection: the thread that accepts is also the one that notes who
 * has gone, after each, so it must not wait for that. */
void ent_http_links_await_room(ent_http_server *server);
ENT_RC ent_http_watchdog_start(ent_http_server *server, ent_err *err);
void ent_http_watchdog_stop(ent_http_server *server);
/** MHD_NotifyConnectionCallback. */
void ent_http_on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code);
ent_http_link *ent_http_link_of(struct MHD_Connection *connection);
/** Nothing is expected of the client now. */
void ent_http_link_rest(ent_http_link *link);
/** A window begins: the client is to move bytes. */
void ent_http_link_expect(ent_http_link *link);
/** Stop the clock while the server itself is at work, and let it go on. */
void ent_http_link_pause(ent_http_link *link);
void ent_http_link_resume(ent_http_link *link);
/** The same for what is only read to be thrown away: it may make room for another. */
void ent_http_link_expect_spare(ent_http_link *link);
/** Body bytes came or went: a window is over, and the next begins, when it has moved as much as it must. */
void ent_http_link_moved(ent_http_link *link, size_t bytes);
/** The client may be silent for as long as an idle connection is kept, or until others need the room.
 *  @in   served   whether it had a request that was not refused */
void ent_http_link_idle(ent_http_link *link, bool served);
/** Whether the client has closed its end. */
bool ent_http_link_gone(const ent_http_link *link);

/* --- spool.c: a body on its way in --- */

typedef struct {
    ent_buf memory;
    int file; /* -1: still in memory */
    uint64_t size;
    void *map;
} ent_http_spool;

void ent_http_spool_init(ent_http_spool *spool);
/** Add a piece; beyond ENT_HTTP_SPILL_BYTES into an unlinked file in folder, unless that is NULL. */
ENT_RC ent_http_spool_put(ent_http_spool *spool, const char *folder, ent_bytes piece, ent_err *err);
/** The whole, mapped if it is a file; valid until released. */
ENT_RC ent_http_spool_view(ent_http_spool *spool, ent_bytes *ret, ent_err *err);
void ent_http_spool_release(ent_http_spool *spool);

/* --- exchange.c: one request and its answer --- */

struct ent_http_request {
    ent_http_server *server;
    ent_http_link *link;
    struct MHD_Connection *connection;
    const char *method;
    const char *path;
    bool has_length;
    bool chunked;
    bool expects;     /* the client waits for "100 Continue" before it sends the body */
    uint64_t length;  /* announced */
    uint64_t taken;   /* body bytes so far */
    uint64_t drained; /* body bytes thrown away after a failure */
    ent_http_intake intake;
    ent_http_spool spool;
    ent_bytes body;
    ent_err failure;    /* code ENT_OK: none so far */
    int refusal_status; /* 0 = the failure's own; see ent_http_refuse */
    const char *refusal_type;
    char refusal_text[64];
    void *attached;
    void (*free_attached)(void *);
};

/** MHD_AccessHandlerCallback. */
enum MHD_Result ent_http_on_access(void *context, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload, size_t *upload_size,
                                   void **state);
/** MHD_RequestCompletedCallback. */
void ent_http_on_completed(void *context, struct MHD_Connection *connection, void **state,
                           enum MHD_RequestTerminationCode code);

/* --- response.c: the answer on its way out --- */

/** Hand the answer to libmicrohttpd; whatever the result, the response is used up. */
enum MHD_Result ent_http_response_queue(ent_http_request *request, ent_http_response *response);
/** Free what a response holds and make it an empty 200. */
void ent_http_response_clear(ent_http_response *response);

#endif
