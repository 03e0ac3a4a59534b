/* What clients other than ours send, and how slowly. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static int set_up_peers(void **state)
{
    fixture *made = calloc(1, sizeof *made);
    assert_non_null(made);
    fixture_start_peers(made, 0);
    *state = made;
    return 0;
}

static int set_up_unix(void **state)
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

/* Send a request as it is; the answer begins with this status and contains this text. */
static void check_answer(fixture *made, const char *request, const char *status, const char *wanted)
{
    raw client;
    ent_buf got = {0};
    raw_open(&client, made);
    assert_true(raw_say(&client, request));
    if (!raw_await(&client, &got, wanted))
        fail_msg("to %.60s: %zu bytes", request, got.size);
    assert_true(ent_text_starts(ent_buf_text(&got), ENT_TEXT("HTTP/1.1 ")));
    assert_memory_equal(got.data + 9, status, 3);
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__unclear_framing_refused_and_closed(void **state)
{
    fixture *made = *state;
    const char *const bad[] = {
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 03\r\n\r\nabc",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        raw client;
        ent_buf got = {0};
        raw_open(&client, made);
        assert_true(raw_say(&client, bad[i]));
        assert_true(raw_receive(&client, &got, 5000));
        assert_true(ent_text_starts(ent_buf_text(&got), ENT_TEXT("HTTP/1.1 400")));
        ent_buf_release(&got);
        raw_close(&client);
    }
    assert_int_equal(atomic_load(&made->attached), 0);
}

static void test_wire__malformed_requests_refused(void **state)
{
    fixture *made = *state;
    check_answer(made, "GET /hello HTTP/1.1\r\n\r\n", "400", "\r\n\r\n");
    check_answer(made, "GET /hello HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "400", "\r\n\r\n");
    check_answer(made, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400", "\r\n\r\n");
    check_answer(made, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "413",
                 "\r\n\r\n");
    check_answer(made, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", "\r\n\r\n");
    assert_int_equal(atomic_load(&made->handled), 0);
}

static void test_wire__headers_beyond_the_limit_refused(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    raw_open(&client, made);
    assert_true(raw_say(&client, "GET /hello HTTP/1.1\r\nHost: x\r\n"));
    char line[128];
    for (int i = 0; i < 600; i++) {
        (void)snprintf(line, sizeof line, "X-%d: %0100d\r\n", i, i);
        if (!raw_say(&client, line))
            break;
    }
    (void)raw_receive(&client, &got, 5000);
    assert_int_equal(atomic_load(&made->handled), 0);
    /* The answer may be lost to a reset, as the client still sends. */
    if (got.size > 12)
        assert_memory_equal(got.data, "HTTP/1.1 4", 10);
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__chunked_body_taken_and_overflow_answered_413(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    check_answer(
        made, "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n",
        "200", "abcdef");
    raw_open(&client, made);
    assert_true(raw_say(&client, "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    char chunk[4096 + 8];
    memcpy(chunk, "1000\r\n", 6);
    memset(chunk + 6, 'a', 4096);
    memcpy(chunk + 6 + 4096, "\r\n", 2);
    for (int i = 0; i < 2000; i++)
        assert_true(raw_send(&client, chunk, sizeof chunk));
    assert_true(raw_say(&client, "0\r\n\r\n"));
    assert_true(raw_await(&client, &got, "too-large"));
    assert_memory_equal(got.data, "HTTP/1.1 413", 12);
    /* The connection goes on: the request's end was read. */
    ent_buf_clear(&got);
    assert_true(raw_say(&client, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(raw_await(&client, &got, "hello"));
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__endless_refused_chunked_body_is_cut(void **state)
{
    fixture *made = *state;
    raw client;
    raw_open(&client, made);
    assert_true(raw_say(&client, "POST /refuse HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    static char chunk[65536 + 9];
    memcpy(chunk, "10000\r\n", 7);
    memset(chunk + 7, 'a', 65536);
    memcpy(chunk + 7 + 65536, "\r\n", 2);
    int sent = 0;
    while (sent < 2000 && raw_send(&client, chunk, sizeof chunk))
        sent++;
    assert_true(sent < 1500);
    raw_close(&client);
}

static void test_wire__refused_body_without_expect_drained_then_answered(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    size_t size = 64 << 20;
    char *body = calloc(1, size);
    assert_non_null(body);
    raw_open(&client, made);
    char head[128];
    (void)snprintf(head, sizeof head, "POST /refuse?code=stale HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                   size);
    assert_true(raw_say(&client, head));
    assert_true(raw_send(&client, body, size));
    assert_true(raw_await(&client, &got, "stale"));
    assert_memory_equal(got.data, "HTTP/1.1 409", 12);
    ent_buf_release(&got);
    raw_close(&client);
    free(body);
}

static void test_wire__expect_refused_before_the_body_and_granted(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    raw_open(&client, made);
    assert_true(raw_say(&client,
                        "POST /refuse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"));
    assert_true(raw_receive(&client, &got, 5000));
    assert_memory_equal(got.data, "HTTP/1.1 403", 12);
    raw_close(&client);
    ent_buf_clear(&got);
    raw_open(&client, made);
    assert_true(
        raw_say(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    assert_true(raw_await(&client, &got, "100 Continue\r\n\r\n"));
    assert_true(raw_say(&client, "abcde"));
    assert_true(raw_await(&client, &got, "abcde"));
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__pipelined_requests_answered_in_order(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    raw_open(&client, made);
    assert_true(raw_say(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /refuse HTTP/1.1\r\nHost: x\r\n\r\n"
                                 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n42GET /hello HTTP/1.1\r\n"
                                 "Host: x\r\n\r\n"));
    assert_true(raw_await(&client, &got, "hello"));
    const char *string = ent_buf_string(&got);
    assert_non_null(string);
    const char *first = strstr(string, "GET /a");
    const char *second = strstr(string, "HTTP/1.1 403");
    const char *third = strstr(string, "\r\n\r\n42");
    assert_true(first != NULL && second != NULL && third != NULL && first < second && second < third);
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__tls_older_than_1_3_refused(void **state)
{
    fixture *made = *state;
    assert_true(raw_try(made, "NORMAL:-VERS-ALL:+VERS-TLS1.3"));
    assert_true(raw_try(made, "NORMAL"));
    assert_false(raw_try(made, "NORMAL:-VERS-ALL:+VERS-TLS1.2"));
    assert_false(raw_try(made, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.1:+VERS-TLS1.0"));
}

/* ---- slowness ----------------------------------------------------------------------- */

enum { WINDOW_MS = 1000, IDLE_MS = 1500, SLACK_MS = 6000 }; /* the slack: for a machine that does much besides */

/* Send one byte each 20 ms until the server closes; gives how long it took. */
static int64_t trickle(raw *client, const char *text, char filler)
{
    int64_t begun = ent_clock_monotonic_ms();
    ent_buf got = {0};
    for (int i = 0; i < 500; i++) {
        char c = *text == 0 ? filler : *text++;
        if (!raw_send(client, &c, 1) || raw_receive(client, &got, 20))
            break;
    }
    ent_buf_release(&got);
    return ent_clock_monotonic_ms() - begun;
}

static void test_wire__trickled_headers_closed(void **state)
{
    fixture *made = *state;
    raw client;
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS);
    raw_open(&client, made);
    int64_t took = trickle(&client, "GET /hello HTTP/1.1\r\nX-Slow: ", 'a');
    assert_true(took >= IDLE_MS - 600 && took < IDLE_MS + 2000);
    raw_close(&client);
    assert_int_equal(atomic_load(&made->attached), 0);
}

static void test_wire__trickled_body_closed_and_attachment_freed(void **state)
{
    fixture *made = *state;
    raw client;
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS * 10);
    raw_open(&client, made);
    assert_true(raw_say(&client, "POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"));
    int64_t took = trickle(&client, "", 'a');
    assert_true(took >= WINDOW_MS - 200 && took < WINDOW_MS + SLACK_MS);
    wait_for_count(&made->freed, 1);
    raw_close(&client);
}

static void test_wire__trickled_refused_body_closed(void **state)
{
    fixture *made = *state;
    raw client;
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS * 10);
    raw_open(&client, made);
    assert_true(raw_say(&client, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"));
    int64_t took = trickle(&client, "", 'a');
    assert_true(took >= WINDOW_MS - 200 && took < WINDOW_MS + SLACK_MS);
    raw_close(&client);
}

static void test_wire__body_faster_than_the_rate_goes_on_over_many_windows(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    char piece[400];
    memset(piece, 'a', sizeof piece);
    ent_http_server_set_pace(made->server, 500, IDLE_MS * 10);
    raw_open(&client, made);
    assert_true(raw_say(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 12000\r\n\r\n"));
    for (int i = 0; i < 30; i++) { /* 4 KB/s for 3 s */
        assert_true(raw_send(&client, piece, sizeof piece));
        usleep(100000);
    }
    assert_true(raw_await(&client, &got, "aaaa"));
    assert_memory_equal(got.data, "HTTP/1.1 200", 12);
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__body_that_never_comes_and_idle_connection_closed(void **state)
{
    fixture *made = *state;
    raw announced;
    raw idle;
    raw kept;
    ent_buf got = {0};
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS);
    raw_open(&announced, made);
    raw_open(&idle, made);
    raw_open(&kept, made);
    assert_true(raw_say(&announced, "POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"));
    assert_true(raw_say(&kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(raw_await(&kept, &got, "hello"));
    assert_true(raw_receive(&announced, &got, 4000));
    assert_true(raw_receive(&idle, &got, 4000));
    assert_true(raw_receive(&kept, &got, 4000));
    ent_buf_release(&got);
    raw_close(&announced);
    raw_close(&idle);
    raw_close(&kept);
}

static long long processor_ms(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000LL +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Clients that have stopped at each stage of a request. */
static void test_wire__silent_clients_cost_no_processor_time(void **state)
{
    fixture *made = *state;
    const char *const stages[] = {"",
                                  "GET /hel",
                                  "GET /hello HTTP/1.1\r\nHost:",
                                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12",
                                  "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12",
                                  "GET /large?size=60000000 HTTP/1.1\r\nHost: x\r\n\r\n",
                                  "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"};
    enum { STAGES = sizeof stages / sizeof stages[0] };
    raw clients[STAGES];
    raw connected = {.fd = -1};
    raw greeting = {.fd = -1};
    for (size_t i = 0; i < STAGES; i++) {
        raw_open(&clients[i], made);
        assert_true(raw_say(&clients[i], stages[i]));
    }
    if (made->socket_path[0] == 0) {
        raw_open_tcp(&connected, made);
        raw_open_tcp(&greeting, made);
        assert_true(raw_say(&greeting, "\x16\x03\x01\x3f\xff\x01"));
    }
    /* What they asked for is being made at first. */
    long long used = 1000;
    for (int i = 0; i < 8 && used >= 200; i++) {
        long long before = processor_ms();
        usleep(1000000);
        used = processor_ms() - before;
    }
    assert_true(used < 200);
    for (size_t i = 0; i < STAGES; i++)
        raw_close(&clients[i]);
    raw_close(&connected);
    raw_close(&greeting);
}

static void test_wire__handshake_that_never_comes_closed(void **state)
{
    fixture *made = *state;
    raw silent;
    raw slow;
    ent_buf got = {0};
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS);
    raw_open_tcp(&silent, made);
    raw_open_tcp(&slow, made);
    /* The first bytes of a ClientHello of 16 KiB. */
    int64_t took = trickle(&slow, "\x16\x03\x01\x3f\xff\x01", 1);
    assert_true(took < IDLE_MS + 2500);
    assert_true(raw_receive(&silent, &got, 4000));
    ent_buf_release(&got);
    raw_close(&silent);
    raw_close(&slow);
}

static void check_unread(fixture *made, const char *request)
{
    raw client;
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS * 10);
    raw_open(&client, made);
    int64_t begun = ent_clock_monotonic_ms();
    assert_true(raw_say(&client, request));
    wait_for_count(&made->freed, 1);
    int64_t took = ent_clock_monotonic_ms() - begun;
    assert_true(took >= WINDOW_MS - 200 && took < WINDOW_MS + SLACK_MS);
    raw_close(&client);
}

static void test_wire__answer_that_is_not_read_closed(void **state)
{
    check_unread(*state, "GET /large?size=60000000 HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void test_wire__pulled_answer_that_is_not_read_closed(void **state)
{
    fixture *made = *state;
    check_unread(made, "GET /stream?count=90000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_count(&made->pulls_freed, 1);
}

static void test_wire__answer_read_slowly_but_fast_enough_arrives(void **state)
{
    fixture *made = *state;
    raw client;
    ent_buf got = {0};
    ent_http_server_set_pace(made->server, WINDOW_MS, IDLE_MS * 10);
    raw_open(&client, made);
    assert_true(raw_say(&client, "GET /large?size=20000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    for (int i = 0; i < 10; i++) { /* 200 KB, then 300 ms of nothing */
        size_t before = got.size;
        usleep(300000);
        while (got.size - before < 200000)
            assert_false(raw_receive(&client, &got, 1));
    }
    assert_true(raw_receive(&client, &got, 10000));
    assert_true(got.size > 20000000);
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_wire__client_of_a_silent_stream_gone_noticed(void **state)
{
    fixture *made = *state;
    raw client;
    raw_open(&client, made);
    assert_true(raw_say(&client, "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_for_count(&made->handled, 1);
    raw_close(&client);
    wait_for_count(&made->pulls_freed, 1);
}

int main(void)
{
#define BOTH(test)                                                                                                     \
    cmocka_unit_test_setup_teardown(test, set_up_peers, tear_down),                                                    \
        cmocka_unit_test_setup_teardown(test, set_up_unix, tear_down)
    const struct CMUnitTest tests[] = {
        BOTH(test_wire__unclear_framing_refused_and_closed),
        BOTH(test_wire__malformed_requests_refused),
        BOTH(test_wire__headers_beyond_the_limit_refused),
        BOTH(test_wire__chunked_body_taken_and_overflow_answered_413),
        BOTH(test_wire__endless_refused_chunked_body_is_cut),
        BOTH(test_wire__refused_body_without_expect_drained_then_answered),
        BOTH(test_wire__expect_refused_before_the_body_and_granted),
        BOTH(test_wire__pipelined_requests_answered_in_order),
        cmocka_unit_test_setup_teardown(test_wire__tls_older_than_1_3_refused, set_up_peers, tear_down),
        BOTH(test_wire__trickled_headers_closed),
        BOTH(test_wire__trickled_body_closed_and_attachment_freed),
        BOTH(test_wire__trickled_refused_body_closed),
        BOTH(test_wire__body_faster_than_the_rate_goes_on_over_many_windows),
        BOTH(test_wire__body_that_never_comes_and_idle_connection_closed),
        BOTH(test_wire__silent_clients_cost_no_processor_time),
        cmocka_unit_test_setup_teardown(test_wire__handshake_that_never_comes_closed, set_up_peers, tear_down),
        BOTH(test_wire__answer_that_is_not_read_closed),
        BOTH(test_wire__answer_read_slowly_but_fast_enough_arrives),
        BOTH(test_wire__pulled_answer_that_is_not_read_closed),
        BOTH(test_wire__client_of_a_silent_stream_gone_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
