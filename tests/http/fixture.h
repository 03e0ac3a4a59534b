/* A server with a handler for every case, and a client that sends what no library would. */
#ifndef ENT_TESTS_HTTP_FIXTURE_H
#define ENT_TESTS_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/client.h"
#include "http/pace.h"
#include "http/server.h"
#include "http/tls.h"

typedef struct {
    ent_buf key;
    ent_buf certificate;
    ent_hash pin;
    ent_tls_client *tls;
} identity;

void identity_make(identity *made, const char *name);
void identity_release(identity *made);

typedef struct {
    ent_http_server *server;
    char folder[64];
    char socket_path[96]; /* "" for peers */
    char base[64];        /* "https://127.0.0.1:port" or "http://node" */
    identity self;
    atomic_uint attached; /* one a request that came to admit */
    atomic_uint freed;
    atomic_uint handled;
    atomic_uint connections; /* different client ports, as seen by /remote */
    atomic_ullong sunk;
    atomic_bool released; /* lets blocked pulls end */
    atomic_uint pulls_freed;
} fixture;

void fixture_folder(fixture *made);
void fixture_start_peers(fixture *made, unsigned connections_per_address);
void fixture_start_unix(fixture *made);
/** Stop, check that what was attached is freed, remove the folder. */
void fixture_stop(fixture *made, unsigned grace_ms);
/** For cmocka: a fixture of its own for a test, started for peers and stopped. */
int fixture_set_up(void **state, unsigned connections_per_address);
int fixture_tear_down(void **state);
ent_http_handler fixture_handler(fixture *made);

/** A call to the fixture's server with its pin, or its socket. The URL lives in the given memory. */
ent_http_call fixture_call(const fixture *made, const identity *as, const char *method, const char *path,
                           char url[256]);
/** Do it; fail the test when there is no answer. */
int fixture_status(const fixture *made, const identity *as, const char *method, const char *path, ent_bytes body,
                   ent_http_reply *ret);
/** The reply's body is this text. */
void assert_body(const ent_http_reply *reply, const char *text);
/** Wait until a counter has this value, 20 s at most. */
void wait_for_count(const atomic_uint *counter, unsigned value);
void fill(uint8_t *data, size_t size);

/** A connection that sends any bytes. */
typedef struct {
    int fd;
    void *session;
    void *credentials;
} raw;

void raw_open(raw *made, const fixture *to);
/** Try a handshake with these GnuTLS priorities; gives whether it came about. */
int raw_try(const fixture *to, const char *priorities);
/** TCP only, for what comes before TLS. */
void raw_open_tcp(raw *made, const fixture *to);
/** Send everything; false when the server has closed. */
int raw_send(raw *to, const void *data, size_t size);
int raw_say(raw *to, const char *text);
/** Append what comes until the server closes or timeout_ms pass; gives whether it closed. */
int raw_receive(raw *from, ent_buf *ret, unsigned timeout_ms);
/** Append until `wanted` is there; gives whether it came within 10 s. */
int raw_await(raw *from, ent_buf *ret, const char *wanted);
void raw_close(raw *made);

#endif
