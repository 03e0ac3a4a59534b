#include "http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "http/server_internal.h"
#include "http/tls_internal.h"

enum {
    BACKLOG = 511,
    CONNECTION_MEMORY = 32 << 10, /* request headers and read buffer of one connection */
    UNIX_CONNECTIONS =
        384, /* beyond, who comes is closed at once; those that make room are counted until they are gone */
    UNIX_ROOM = 192,
    ADDRESS_SIZE = 128
};

static ent_rc fail_errno(ent_err *err, const char *what, const char *where)
{
    int number = errno;
    char reason[128];
    return ent_fail(err, ENT_IO, NULL, "%s %s: %s", what, where, strerror_r(number, reason, sizeof reason));
}

/* ---- the object ----------------------------------------------------------------- */

static void free_server(ent_http_server *server)
{
    if (server == NULL)
        return;
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->mutex);
    ent_free(server->spool_folder);
    ent_free(server->unix_path);
    ent_free(server);
}

static void release_server(ent_http_server **server)
{
    free_server(*server);
}

static ent_rc new_server(ent_http_handler handler, const char *spool_folder, ent_http_server **ret, ent_err *err)
{
    ent_http_server *server = ent_alloc(sizeof *server);
    if (server == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    pthread_condattr_t attributes;
    (void)pthread_mutex_init(&server->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&server->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    server->handler = handler;
    atomic_init(&server->window_ms, ENT_HTTP_WINDOW_MS);
    atomic_init(&server->idle_ms, ENT_HTTP_IDLE_MS);
    if (spool_folder != NULL) {
        server->spool_folder = ent_text_copy(ent_text_of(spool_folder));
        if (server->spool_folder == NULL) {
            free_server(server);
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        }
    }
    *ret = server;
    return ENT_DONE;
}

static enum MHD_Result on_accept(void *context, const struct sockaddr *address, socklen_t size)
{
    ent_http_server *server = context;
    (void)address;
    (void)size;
    if (server->unix_path != NULL)
        ent_http_links_await_room(server);
    return atomic_load(&server->stopping) ? MHD_NO : MHD_YES;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* As libmicrohttpd's own, except that "%00" stays as it is: decoded it would end the path early. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    char *to = text;
    for (const char *from = text; *from != 0; to++) {
        int high = *from == '%' ? hex_digit(from[1]) : -1;
        int low = high < 0 ? -1 : hex_digit(from[2]);
        if (low >= 0 && high * 16 + low != 0) {
            *to = (char)(high * 16 + low);
            from += 3;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
    return (size_t)(to - text);
}

/* Start libmicrohttpd on a listening socket, which it takes over. */
static ent_rc start(ent_http_server *server, int listener, unsigned flags, const struct MHD_OptionItem *more,
                    ent_err *err)
{
    struct stat before;
    struct stat after;
    if (fstat(listener, &before) != 0)
        return fail_errno(err, "cannot look at", "the listening socket");
    server->daemon =
        MHD_start_daemon(flags | MHD_USE_ITC, 0, on_accept, server, ent_http_on_access, server,
                         MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_NOTIFY_COMPLETED, ent_http_on_completed, server,
                         MHD_OPTION_NOTIFY_CONNECTION, ent_http_on_connection, server, MHD_OPTION_UNESCAPE_CALLBACK,
                         unescape, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    if (server->daemon != NULL)
        return ENT_DONE;
    /* It has closed the socket on some of its ways out, not on all. */
    if (fstat(listener, &after) == 0 && after.st_ino == before.st_ino && after.st_dev == before.st_dev)
        (void)close(listener);
    return ent_fail(err, ENT_IO, NULL, "libmicrohttpd cannot start (too few threads or descriptors?)");
}

static ent_rc start_watched(ent_http_server *server, int *listener, unsigned flags, const struct MHD_OptionItem *more,
                            ent_err *err)
{
    ENT_TRY(ent_http_watchdog_start(server, err));
    int socket = *listener;
    *listener = -1;
    ent_rc rc = start(server, socket, flags, more, err);
    if (rc.code != ENT_OK)
        ent_http_watchdog_stop(server);
    return rc;
}

/* ---- peers: TCP and TLS --------------------------------------------------------- */

/* Split "127.0.0.1:8443" or "[::1]:0". */
static bool split_address(const char *address, char host[ADDRESS_SIZE], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - address);
    if (size == 0 || size >= ADDRESS_SIZE || strlen(colon + 1) == 0 || strlen(colon + 1) > 5)
        return false;
    bool bracketed = address[0] == '[';
    if (bracketed && (size < 3 || address[size - 1] != ']'))
        return false;
    memcpy(host, address + bracketed, size - 2 * bracketed);
    host[size - 2 * bracketed] = 0;
    (void)snprintf(port, 8, "%s", colon + 1);
    return bracketed == (strchr(host, ':') != NULL);
}

static ent_rc bind_tcp(const struct addrinfo *found, const char *address, int *ret, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "cannot make a socket for", address);
    const int on = 1;
    const int off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (found->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return fail_errno(err, "cannot listen on", address);
    *ret = fd;
    fd = -1;
    return ENT_DONE;
}

static ent_rc listen_tcp(const char *address, int *ret, uint16_t *ret_port, ent_err *err)
{
    char host[ADDRESS_SIZE];
    char port[8];
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (!split_address(address, host, port) || getaddrinfo(host, port, &hints, &found) != 0)
        return ent_fail(err, ENT_USAGE, NULL,
                        "\"%.64s\" is no address to listen on; write 127.0.0.1:8443 or [::1]:8443", address);
    ent_rc rc = bind_tcp(found, address, ret, err);
    freeaddrinfo(found);
    ENT_TRY(rc);
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    (void)getsockname(*ret, (struct sockaddr *)&bound, &size);
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &bound, sizeof v4);
    memcpy(&v6, &bound, sizeof v6);
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
    return ENT_DONE;
}

static void free_secret_string(char **string)
{
    if (*string != NULL)
        ent_wipe(*string, strlen(*string));
    ent_free(*string);
}

static ent_rc start_tls(ent_http_server *server, const ent_http_peers_options *options, int *listener, ent_err *err)
{
    ENT_CLEANUP(free_secret_string) char *key = ent_text_copy(options->key_pem);
    ENT_CLEANUP(ent_free_pointer) char *certificate = ent_text_copy(options->certificate_pem);
    if (key == NULL || certificate == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_tls_check_pair(options->key_pem, options->certificate_pem, err));
    unsigned threads = options->threads == 0 ? 4 : options->threads;
    unsigned connections = options->connections == 0 ? 1024 : options->connections;
    connections = connections < threads ? threads : connections;
    server->most_links = connections;
    unsigned each = options->connections_per_address == 0 ? 256 : options->connections_per_address;
    /* The trust list makes libmicrohttpd request certificates (GNUTLS_CERT_REQUEST); nobody checks one against it: what
     * counts is the pin. */
    const struct MHD_OptionItem more[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, certificate},
        {MHD_OPTION_HTTPS_MEM_TRUST, 0, certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)ENT_TLS_PRIORITIES},
        {MHD_OPTION_CONNECTION_LIMIT, connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, each, NULL},
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    /* Not epoll: libmicrohttpd 0.9.75 forgets there to note that a handshake has nothing to read, so that one client
     * that stays silent in its handshake keeps a thread at 100%. With poll it waits. */
    return start_watched(server, listener, MHD_USE_TLS | MHD_USE_POLL_INTERNAL_THREAD, more, err);
}

ent_rc ent_http_server_peers(const ent_http_peers_options *options, ent_http_handler handler, ent_http_server **ret,
                             ent_err *err)
{
    ENT_CLEANUP(release_server) ent_http_server *server = NULL;
    ENT_CLEANUP(ent_file_close) int listener = -1;
    ENT_TRY(new_server(handler, options->spool_folder, &server, err));
    server->tls = true;
    ENT_TRY(listen_tcp(options->address, &listener, &server->port, err));
    ENT_TRY(start_tls(server, options, &listener, err));
    *ret = ent_take(server);
    return ENT_DONE;
}

/* ---- the Unix socket ------------------------------------------------------------ */

/* Remove a socket file nobody listens on. */
static ent_rc clear_path(const struct sockaddr_un *address, ent_err *err)
{
    struct stat status;
    const char *path = address->sun_path;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? ENT_DONE : fail_errno(err, "cannot look at", path);
    if (!S_ISSOCK(status.st_mode))
        return ent_fail(err, ENT_REFUSED, NULL, "%s exists and is no socket; move it away", path);
    ENT_CLEANUP(ent_file_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "cannot make a socket for", path);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
        return ent_fail(err, ENT_REFUSED, NULL, "another node answers at %s; stop it first", path);
    if (errno != ECONNREFUSED)
        return fail_errno(err, "cannot connect to", path);
    if (unlink(path) != 0)
        return fail_errno(err, "cannot remove the stale socket", path);
    return ENT_DONE;
}

static ent_rc unix_address(const char *path, struct sockaddr_un *ret, ent_err *err)
{
    size_t size = strlen(path);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (size == 0 || size >= sizeof ret->sun_path)
        return ent_fail(err, ENT_USAGE, "unix(7)", "the socket path %.120s%s has %zu bytes; at most %zu are possible",
                        path, size > 120 ? "…" : "", size, sizeof ret->sun_path - 1);
    memcpy(ret->sun_path, path, size + 1);
    return ENT_DONE;
}

ent_rc ent_http_unix_clear(const char *path, ent_err *err)
{
    struct sockaddr_un address;
    ENT_TRY(unix_address(path, &address, err));
    return clear_path(&address, err);
}

static ent_rc listen_unix(const char *path, int *ret, ent_err *err)
{
    struct sockaddr_un address;
    ENT_TRY(unix_address(path, &address, err));
    ENT_TRY(clear_path(&address, err));
    ENT_CLEANUP(ent_file_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the socket's mode; nobody can connect before listen in any case. */
    if (fd < 0 || fchmod(fd, 0600) != 0)
        return fail_errno(err, "cannot make a socket for", path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return fail_errno(err, "cannot listen on", path);
    if (chmod(path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
        ent_rc rc = fail_errno(err, "cannot listen on", path);
        (void)unlink(path);
        return rc;
    }
    *ret = fd;
    fd = -1;
    return ENT_DONE;
}

/* Remove the socket file, unless another node has put its own there. */
static void remove_socket(const ent_http_server *server)
{
    struct stat status;
    if (lstat(server->unix_path, &status) == 0 && status.st_dev == server->unix_device &&
        status.st_ino == server->unix_inode)
        (void)unlink(server->unix_path);
}

ent_rc ent_http_server_unix(const char *path, const char *spool_folder, ent_http_handler handler, ent_http_server **ret,
                            ent_err *err)
{
    ENT_CLEANUP(release_server) ent_http_server *server = NULL;
    ENT_CLEANUP(ent_file_close) int listener = -1;
    const struct MHD_OptionItem more[] = {
        {MHD_OPTION_CONNECTION_LIMIT, UNIX_CONNECTIONS, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    struct stat status = {0};
    ENT_TRY(new_server(handler, spool_folder, &server, err));
    server->most_links = UNIX_ROOM;
    server->unix_path = ent_text_copy(ent_text_of(path));
    if (server->unix_path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(listen_unix(path, &listener, err));
    if (lstat(path, &status) != 0)
        return fail_errno(err, "cannot look at", path);
    server->unix_device = status.st_dev;
    server->unix_inode = status.st_ino;
    ent_rc rc = start_watched(
        server, &listener, MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, more, err);
    if (rc.code != ENT_OK) {
        remove_socket(server);
        return rc;
    }
    *ret = ent_take(server);
    return ENT_DONE;
}

/* ---- both ------------------------------------------------------------------------- */

uint16_t ent_http_server_port(const ent_http_server *server)
{
    return server->port;
}

static void wait_for_answers(ent_http_server *server, unsigned grace_ms)
{
    int64_t until = ent_clock_monotonic_ms() + grace_ms;
    struct timespec at = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
    (void)pthread_mutex_lock(&server->mutex);
    while (server->active > 0 && pthread_cond_timedwait(&server->changed, &server->mutex, &at) != ETIMEDOUT)
        continue;
    (void)pthread_mutex_unlock(&server->mutex);
}

void ent_http_server_stop(ent_http_server *server, unsigned grace_ms)
{
    if (server == NULL)
        return;
    /* Not MHD_quiesce_daemon: it races with its own threads for the epoll set and aborts when it loses. */
    atomic_store(&server->stopping, true);
    if (server->unix_path != NULL)
        remove_socket(server);
    wait_for_answers(server, grace_ms);
    atomic_store(&server->cutting, true);
    MHD_stop_daemon(server->daemon);
    ent_http_watchdog_stop(server);
    free_server(server);
}
