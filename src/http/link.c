#include "http/server_internal.h"
#include "http/pace.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/tls_internal.h"

enum { FRESH_MS = 1000 };

enum { LEAVE_MS = 5, LEAVING_AT_ONCE = 32 };

/* libmicrohttpd's own timeout is renewed by a single byte, so one byte a minute would hold a connection for ever. Here
 * every state that waits for the client has a deadline instead: a window of 30 s must move 30 KiB, and headers must be
 * complete in time. */

/* Bytes handed to the kernel that the client has not acknowledged: only they tell how fast a client reads, as the
 * kernel takes megabytes and then asks for more in steps of as much. */
static long unsent(int fd)
{
    int bytes = 0;
    return ioctl(fd, TIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

static void set_deadline(ent_http_link *link, int64_t in_ms)
{
    atomic_store_explicit(&link->window_unsent, unsent(link->fd), memory_order_relaxed);
    atomic_store_explicit(&link->window_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&link->deadline_ms, ent_clock_monotonic_ms() + in_ms, memory_order_relaxed);
}

/* What a window must move. */
static long needed(const ent_http_server *server)
{
    return (long)atomic_load_explicit(&server->window_ms, memory_order_relaxed) * ENT_HTTP_RATE_BYTES_S / 1000;
}

void ent_http_link_rest(ent_http_link *link)
{
    atomic_store_explicit(&link->spare_ms, LLONG_MAX, memory_order_relaxed);
    atomic_store_explicit(&link->deadline_ms, LLONG_MAX, memory_order_relaxed);
}

void ent_http_link_pause(ent_http_link *link)
{
    long long deadline_ms = atomic_load_explicit(&link->deadline_ms, memory_order_relaxed);
    link->left_ms = deadline_ms == LLONG_MAX ? INT64_MAX : deadline_ms - ent_clock_monotonic_ms();
    ent_http_link_rest(link);
}

void ent_http_link_resume(ent_http_link *link)
{
    if (link->left_ms != INT64_MAX)
        atomic_store_explicit(&link->deadline_ms, ent_clock_monotonic_ms() + link->left_ms, memory_order_relaxed);
}

static void expect(ent_http_link *link)
{
    set_deadline(link, (int64_t)atomic_load_explicit(&link->server->window_ms, memory_order_relaxed));
}

void ent_http_link_expect(ent_http_link *link)
{
    atomic_store_explicit(&link->spare_ms, LLONG_MAX, memory_order_relaxed);
    expect(link);
}

void ent_http_link_expect_spare(ent_http_link *link)
{
    atomic_store_explicit(&link->spare_ms, ent_clock_monotonic_ms(), memory_order_relaxed);
    expect(link);
}

void ent_http_link_moved(ent_http_link *link, size_t bytes)
{
    long moved = atomic_fetch_add_explicit(&link->window_bytes, (long)bytes, memory_order_relaxed) + (long)bytes;
    if (moved >= needed(link->server))
        expect(link);
}

void ent_http_link_idle(ent_http_link *link, bool served)
{
    if (served)
        atomic_store_explicit(&link->served, true, memory_order_relaxed);
    atomic_store_explicit(&link->spare_ms, ent_clock_monotonic_ms(), memory_order_relaxed);
    set_deadline(link, (int64_t)atomic_load_explicit(&link->server->idle_ms, memory_order_relaxed));
}

bool ent_http_link_gone(const ent_http_link *link)
{
    struct pollfd entry = {.fd = link->fd, .events = POLLRDHUP};
    return poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

ent_http_link *ent_http_link_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void name_remote(ent_http_link *link, const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    (void)snprintf(link->remote, sizeof link->remote, "%s", "unix");
    if (address == NULL)
        return;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        if (inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host) != NULL)
            (void)snprintf(link->remote, sizeof link->remote, "%s:%u", host, (unsigned)ntohs(v4.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        if (inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host) != NULL)
            (void)snprintf(link->remote, sizeof link->remote, "[%s]:%u", host, (unsigned)ntohs(v6.sin6_port));
    }
}

/* Which connection has been spare for longest, and since before then: those that never had an answer before those that
 * had one. */
static ent_http_link *least_needed(const ent_http_server *server, long long before_ms)
{
    ent_http_link *found = NULL;
    long long found_ms = LLONG_MAX;
    bool found_served = true;
    for (ent_http_link *link = server->links; link != NULL; link = link->next) {
        long long spare_ms = atomic_load_explicit(&link->spare_ms, memory_order_relaxed);
        bool served = atomic_load_explicit(&link->served, memory_order_relaxed);
        if (spare_ms >= before_ms || served > found_served || (served == found_served && spare_ms >= found_ms))
            continue;
        found = link;
        found_ms = spare_ms;
        found_served = served;
    }
    return found;
}

/* Silent connections of many addresses could keep all others out for as long as an idle one is kept. So the last eighth
 * is not theirs: who comes when the rest is taken gets in, and the one that has done nothing for longest is closed.
 * While half of it is free, those that have just come or just been answered have a moment to say what they want. */
static void make_room(ent_http_server *server)
{
    unsigned spare = server->link_count < server->most_links ? server->most_links - server->link_count : 0;
    if (spare > server->most_links / 8)
        return;
    bool scarce = spare <= server->most_links / 16;
    ent_http_link *link = least_needed(server, scarce ? LLONG_MAX : ent_clock_monotonic_ms() - FRESH_MS);
    if (link == NULL)
        return;
    (void)shutdown(link->fd, SHUT_RDWR);
    ent_http_link_rest(link);
    link->leaving = true;
    server->leaving_count++;
}

void ent_http_links_await_room(ent_http_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    bool many = server->leaving_count > LEAVING_AT_ONCE;
    (void)pthread_mutex_unlock(&server->mutex);
    if (many)
        (void)poll(NULL, 0, LEAVE_MS);
}

static void open_link(ent_http_server *server, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    ent_http_link *link = ent_alloc(sizeof *link);
    if (link == NULL) {
        /* Unwatched connections do not exist; the handler refuses what may still come. */
        (void)shutdown(fd->connect_fd, SHUT_RDWR);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    link->server = server;
    link->fd = fd->connect_fd;
    name_remote(link, server->unix_path != NULL || address == NULL ? NULL : address->client_addr);
    if (server->tls) {
        const union MHD_ConnectionInfo *session =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        link->session = session == NULL ? NULL : session->tls_session;
        if (link->session != NULL)
            ent_tls_session_prepare(link->session);
    }
    ent_http_link_idle(link, false);
    (void)pthread_mutex_lock(&server->mutex);
    make_room(server);
    server->link_count++;
    link->next = server->links;
    if (link->next != NULL)
        link->next->previous = link;
    server->links = link;
    (void)pthread_mutex_unlock(&server->mutex);
    *socket_context = link;
}

/* Called before the socket is closed, so the watchdog never touches a descriptor that is already another's. */
static void close_link(ent_http_server *server, ent_http_link *link)
{
    (void)pthread_mutex_lock(&server->mutex);
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        server->links = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    server->link_count--;
    if (link->leaving)
        server->leaving_count--;
    (void)pthread_mutex_unlock(&server->mutex);
    ent_free(link);
}

void ent_http_on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    ent_http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        open_link(server, connection, socket_context);
    } else if (*socket_context != NULL) {
        close_link(server, *socket_context);
        *socket_context = NULL;
    }
}

/* Often enough that a deadline is missed by a quarter of the window at most, and by a second at most. */
static int64_t tick_ms(const ent_http_server *server)
{
    unsigned window_ms = atomic_load(&server->window_ms);
    unsigned idle_ms = atomic_load(&server->idle_ms);
    int64_t tick = (int64_t)(window_ms < idle_ms ? window_ms : idle_ms) / 4;
    return tick < 10 ? 10 : tick > 1000 ? 1000 : tick;
}

/* A deadline has passed: what did the client really take meanwhile? */
static void pass_judgement(ent_http_link *link)
{
    long moved = atomic_load_explicit(&link->window_unsent, memory_order_relaxed) +
                 atomic_load_explicit(&link->window_bytes, memory_order_relaxed) - unsent(link->fd);
    if (moved >= needed(link->server)) {
        expect(link);
    } else {
        (void)shutdown(link->fd, SHUT_RDWR);
        ent_http_link_rest(link);
    }
}

static void *watch(void *context)
{
    ent_http_server *server = context;
    (void)pthread_mutex_lock(&server->mutex);
    while (!server->watch_ends) {
        int64_t now = ent_clock_monotonic_ms();
        for (ent_http_link *link = server->links; link != NULL; link = link->next) {
            if (atomic_load_explicit(&link->deadline_ms, memory_order_relaxed) < now)
                pass_judgement(link);
        }
        int64_t until = now + tick_ms(server);
        struct timespec at = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
        (void)pthread_cond_timedwait(&server->changed, &server->mutex, &at);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return NULL;
}

ent_rc ent_http_watchdog_start(ent_http_server *server, ent_err *err)
{
    if (pthread_create(&server->watchdog, NULL, watch, server) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot start a thread for the HTTP server");
    return ENT_DONE;
}

void ent_http_watchdog_stop(ent_http_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->watch_ends = true;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
    (void)pthread_join(server->watchdog, NULL);
}

void ent_http_server_set_pace(ent_http_server *server, unsigned window_ms, unsigned idle_ms)
{
    (void)pthread_mutex_lock(&server->mutex);
    atomic_store(&server->window_ms, window_ms);
    atomic_store(&server->idle_ms, idle_ms);
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}
