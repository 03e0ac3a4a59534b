#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

static int set_up(void **state)
{
    fixture *made = calloc(1, sizeof *made);
    assert_non_null(made);
    fixture_start_unix(made);
    *state = made;
    return 0;
}

static int tear_down(void **state)
{
    fixture_stop(*state, 1000);
    free(*state);
    return 0;
}

static const ent_bytes NOTHING = {NULL, 0};

static void test_unix__call_over_the_socket_answered(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    uint8_t *body = calloc(1, 3 << 20);
    assert_non_null(body);
    fill(body, 3 << 20);
    assert_int_equal(fixture_status(made, NULL, "GET", "/remote", NOTHING, &reply), 200);
    assert_body(&reply, "unix");
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, NULL, "GET", "/pin", NOTHING, &reply), 403);
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, NULL, "POST", "/echo", ent_bytes_of(body, 3 << 20), &reply), 200);
    assert_int_equal(reply.body.size, 3 << 20);
    assert_memory_equal(reply.body.data, body, 3 << 20);
    ent_http_reply_release(&reply);
    free(body);
}

static void test_unix__local_fault_told_in_full(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    ent_err err = {0};
    assert_int_equal(fixture_status(made, NULL, "GET", "/fail?code=io", NOTHING, &reply), 500);
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_IO);
    assert_non_null(strstr(err.text, made->folder));
    ent_http_reply_release(&reply);
}

static void test_unix__socket_file_has_mode_0600_and_goes_with_the_server(void **state)
{
    (void)state;
    fixture made;
    struct stat status;
    mode_t before = umask(0);
    fixture_start_unix(&made);
    (void)umask(before);
    assert_int_equal(stat(made.socket_path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    ent_http_server_stop(made.server, 0);
    assert_int_equal(stat(made.socket_path, &status), -1);
    made.server = NULL;
    fixture_stop(&made, 0);
}

static void test_unix__stale_socket_replaced_live_one_and_file_refused(void **state)
{
    (void)state;
    fixture made;
    ent_http_server *server = NULL;
    ent_err err = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fixture_folder(&made);
    (void)snprintf(made.socket_path, sizeof made.socket_path, "%s/socket", made.folder);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", made.socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    assert_int_equal(ent_http_server_unix(made.socket_path, NULL, fixture_handler(&made), &made.server, &err).code,
                     ENT_OK);
    assert_int_equal(ent_http_server_unix(made.socket_path, NULL, fixture_handler(&made), &server, &err).code,
                     ENT_REFUSED);
    assert_non_null(strstr(err.text, "another node"));
    /* The refused one has not hurt the live one. */
    ent_http_reply reply;
    (void)snprintf(made.base, sizeof made.base, "http://node");
    assert_int_equal(fixture_status(&made, NULL, "GET", "/hello", NOTHING, &reply), 200);
    ent_http_reply_release(&reply);
    ent_http_server_stop(made.server, 100);
    made.server = NULL;
    assert_int_equal(ent_file_write(made.socket_path, 0600, ent_bytes_of("x", 1), NULL).code, ENT_OK);
    assert_int_equal(ent_http_server_unix(made.socket_path, NULL, fixture_handler(&made), &server, &err).code,
                     ENT_REFUSED);
    assert_true(ent_file_exists(made.socket_path));
    assert_int_equal(unlink(made.socket_path), 0);
    fixture_stop(&made, 0);
}

static void test_unix__impossible_paths_refused(void **state)
{
    (void)state;
    fixture made = {0};
    ent_http_server *server = NULL;
    char path[200];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    assert_int_equal(ent_http_server_unix(path, NULL, fixture_handler(&made), &server, NULL).code, ENT_USAGE);
    assert_int_equal(ent_http_server_unix("", NULL, fixture_handler(&made), &server, NULL).code, ENT_USAGE);
    assert_int_equal(ent_http_server_unix("/nowhere/at/all", NULL, fixture_handler(&made), &server, NULL).code, ENT_IO);
    for (unsigned long n = 1; n < 4; n++) {
        ent_alloc_fail_at(n);
        ent_rc rc = ent_http_server_unix("/nowhere/at/all", "/tmp", fixture_handler(&made), &server, NULL);
        ent_alloc_fail_at(0);
        assert_true(rc.code == ENT_NOMEM || n > 3 || rc.code == ENT_IO);
    }
    assert_null(server);
}

typedef struct {
    fixture *made;
    ent_rc rc;
    ent_buf seen;
    ent_err err;
} watcher;

static ent_rc see(void *context, ent_bytes piece, ent_err *err)
{
    watcher *self = context;
    (void)err;
    ent_buf_put(&self->seen, piece);
    return ENT_DONE;
}

static void *watch(void *context)
{
    watcher *self = context;
    char url[256];
    ent_http_reply reply = {0};
    ent_http_call call = fixture_call(self->made, NULL, "GET", "/watch", url);
    call.timeout_ms = 0;
    call.sink = see;
    call.sink_context = self;
    self->rc = ent_http_call_wait(&call, &reply, &self->err);
    ent_http_reply_release(&reply);
    return NULL;
}

static void test_unix__watched_stream_ends_when_its_source_says_so(void **state)
{
    (void)state;
    fixture made;
    fixture_start_unix(&made);
    watcher self = {.made = &made};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &self), 0);
    wait_for_count(&made.handled, 1);
    atomic_store(&made.released, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(self.rc.code, ENT_OK);
    assert_int_equal(self.seen.size, 4);
    ent_buf_release(&self.seen);
    fixture_stop(&made, 1000);
}

static void test_unix__stop_cuts_a_stream_after_the_grace(void **state)
{
    (void)state;
    fixture made;
    fixture_start_unix(&made);
    watcher self = {.made = &made};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &self), 0);
    wait_for_count(&made.handled, 1);
    int64_t begun = ent_clock_monotonic_ms();
    fixture_stop(&made, 300);
    assert_true(ent_clock_monotonic_ms() - begun < 2000);
    (void)pthread_join(thread, NULL);
    /* The stream was not ended but cut, and the client knows. */
    assert_int_equal(self.rc.code, ENT_UNREACHABLE);
    ent_buf_release(&self.seen);
}

static void test_unix__silent_stream_outlives_window_and_idle_time(void **state)
{
    fixture *made = *state;
    ent_http_server_set_pace(made->server, 200, 200);
    watcher self = {.made = made};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &self), 0);
    usleep(1500000);
    atomic_store(&made->released, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(self.rc.code, ENT_OK);
    ent_buf_release(&self.seen);
}

static void test_unix__more_connections_than_the_limit_wait_their_turn(void **state)
{
    fixture *made = *state;
    enum { CONNECTIONS = 420, CLOSED = 400 };
    ent_http_pool *pool = NULL;
    raw held[CONNECTIONS];
    for (size_t i = 0; i < CONNECTIONS; i++)
        raw_open(&held[i], made);
    for (size_t i = 0; i < CLOSED; i++)
        raw_close(&held[i]);
    ent_buf got = {0};
    assert_true(raw_say(&held[CONNECTIONS - 1], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    /* Accepted late, or closed at once: never a hang. */
    (void)raw_await(&held[CONNECTIONS - 1], &got, "hello");
    ent_buf_release(&got);
    for (size_t i = CLOSED; i < CONNECTIONS; i++)
        raw_close(&held[i]);
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    ent_http_pool_free(pool);
    ent_http_reply reply;
    assert_int_equal(fixture_status(made, NULL, "GET", "/hello", NOTHING, &reply), 200);
    ent_http_reply_release(&reply);
}

/* Whoever has done nothing for longest goes first; a stream, and a client that had an answer, stay. */
static void test_unix__silent_connections_make_room_for_others(void **state)
{
    fixture *made = *state;
    enum { CONNECTIONS = 500, AT_ONCE = 50 };
    raw kept;
    raw silent[CONNECTIONS];
    ent_buf got = {0};
    watcher self = {.made = made};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &self), 0);
    wait_for_count(&made->handled, 1);
    raw_open(&kept, made);
    assert_true(raw_say(&kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(raw_await(&kept, &got, "hello"));
    ent_buf_release(&got);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        ent_http_reply reply;
        raw_open(&silent[i], made);
        (void)raw_say(&silent[i], i % 2 == 0 ? "GET /hel" : "");
        if (i % AT_ONCE != 0)
            continue;
        int64_t begun = ent_clock_monotonic_ms();
        assert_int_equal(fixture_status(made, NULL, "GET", "/hello", NOTHING, &reply), 200);
        assert_true(ent_clock_monotonic_ms() - begun < 5000);
        ent_http_reply_release(&reply);
    }
    assert_true(raw_receive(&silent[1], &got, 5000));
    ent_buf_release(&got);
    assert_true(raw_say(&kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(raw_await(&kept, &got, "hello"));
    ent_buf_release(&got);
    atomic_store(&made->released, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(self.rc.code, ENT_OK);
    ent_buf_release(&self.seen);
    raw_close(&kept);
    for (size_t i = 0; i < CONNECTIONS; i++)
        raw_close(&silent[i]);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_unix__call_over_the_socket_answered),
        WITH_SERVER(test_unix__local_fault_told_in_full),
        cmocka_unit_test(test_unix__socket_file_has_mode_0600_and_goes_with_the_server),
        cmocka_unit_test(test_unix__stale_socket_replaced_live_one_and_file_refused),
        cmocka_unit_test(test_unix__impossible_paths_refused),
        cmocka_unit_test(test_unix__watched_stream_ends_when_its_source_says_so),
        cmocka_unit_test(test_unix__stop_cuts_a_stream_after_the_grace),
        WITH_SERVER(test_unix__silent_stream_outlives_window_and_idle_time),
        WITH_SERVER(test_unix__more_connections_than_the_limit_wait_their_turn),
        WITH_SERVER(test_unix__silent_connections_make_room_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
