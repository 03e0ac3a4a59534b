#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

static identity aurora;

typedef struct {
    unsigned told;
    unsigned good;
    unsigned unreachable;
    unsigned pin_mismatches;
    char last[80];
} tally;

static void count(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *err)
{
    tally *self = context;
    self->told++;
    if (rc.code == ENT_OK && reply->status == 200)
        self->good++;
    if (rc.code == ENT_UNREACHABLE)
        self->unreachable++;
    if (rc.code == ENT_UNREACHABLE && strstr(err->text, "pin mismatch") != NULL)
        self->pin_mismatches++;
    if (rc.code == ENT_OK)
        (void)snprintf(self->last, sizeof self->last, "%.*s", (int)reply->body.size,
                       reply->body.data == NULL ? "" : (const char *)reply->body.data);
}

static void work_off(ent_http_pool *pool)
{
    int64_t until = ent_clock_monotonic_ms() + 120000;
    while (ent_http_pool_active(pool) > 0 && ent_clock_monotonic_ms() < until)
        assert_int_equal(ent_http_pool_work(pool, 200, NULL).code, ENT_OK);
    assert_int_equal(ent_http_pool_active(pool), 0);
}

static int set_up(void **state)
{
    return fixture_set_up(state, 512);
}

static void test_pool__kept_connection_used_again(void **state)
{
    fixture *made = *state;
    ent_http_pool *pool = NULL;
    tally self = {0};
    char first[80] = "";
    char url[256];
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    ent_http_call call = fixture_call(made, &aurora, "GET", "/remote", url);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
        work_off(pool);
        if (i == 0)
            memcpy(first, self.last, sizeof first);
        assert_string_equal(self.last, first);
    }
    assert_int_equal(self.good, 20);
    ent_http_pool_free(pool);
}

static void test_pool__kept_connection_not_used_for_another_pin_or_certificate(void **state)
{
    fixture *made = *state;
    ent_http_pool *pool = NULL;
    tally self = {0};
    identity other;
    char url[256];
    char hex[65];
    identity_make(&other, "other.example");
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    ent_http_call call = fixture_call(made, &aurora, "GET", "/pin", url);
    assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    work_off(pool);
    ent_hex_encode(ent_hash_bytes(&aurora.pin), hex);
    assert_string_equal(self.last, hex);
    call.tls = other.tls;
    assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    work_off(pool);
    ent_hex_encode(ent_hash_bytes(&other.pin), hex);
    assert_string_equal(self.last, hex);
    call.pin = other.pin;
    assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    work_off(pool);
    assert_int_equal(self.pin_mismatches, 1);
    ent_http_pool_free(pool);
    identity_release(&other);
}

static void test_pool__300_calls_at_once_all_answered(void **state)
{
    fixture *made = *state;
    enum { CALLS = 300 };
    ent_http_pool *pool = NULL;
    tally self = {0};
    static char urls[CALLS][256];
    static uint8_t body[20000];
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    for (size_t i = 0; i < CALLS; i++) {
        ent_http_call call = fixture_call(made, &aurora, "POST", i % 3 == 0 ? "/digest" : "/echo", urls[i]);
        call.connect_timeout_ms = 100000; /* 300 handshakes, under a sanitizer */
        call.timeout_ms = 110000;
        call.body = ent_bytes_of(body, (i * 67) % sizeof body);
        assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    }
    assert_int_equal(ent_http_pool_active(pool), CALLS);
    work_off(pool);
    assert_int_equal(self.told, CALLS);
    assert_int_equal(self.good, CALLS);
    ent_http_pool_free(pool);
}

static void test_pool__300_connections_held_others_still_served(void **state)
{
    fixture *made = *state;
    enum { HELD = 300 };
    raw *held = calloc(HELD, sizeof *held);
    assert_non_null(held);
    for (size_t i = 0; i < HELD; i++)
        raw_open_tcp(&held[i], made);
    ent_http_reply reply;
    assert_int_equal(fixture_status(made, &aurora, "GET", "/hello", ent_bytes_of(NULL, 0), &reply), 200);
    ent_http_reply_release(&reply);
    for (size_t i = 0; i < HELD; i++)
        raw_close(&held[i]);
    free(held);
}

static void test_pool__connections_of_one_address_limited(void **state)
{
    (void)state;
    fixture made;
    raw held[8];
    ent_http_reply reply = {0};
    char url[256];
    fixture_start_peers(&made, 4);
    for (size_t i = 0; i < 4; i++)
        raw_open(&held[i], &made);
    ent_http_call call = fixture_call(&made, &aurora, "GET", "/hello", url);
    assert_int_equal(ent_http_call_wait(&call, &reply, NULL).code, ENT_UNREACHABLE);
    for (size_t i = 0; i < 4; i++)
        raw_close(&held[i]);
    ent_rc rc = {ENT_BUG};
    for (int i = 0; i < 100 && rc.code != ENT_OK; i++) {
        rc = ent_http_call_wait(&call, &reply, NULL);
        usleep(20000);
    }
    assert_int_equal(rc.code, ENT_OK);
    ent_http_reply_release(&reply);
    fixture_stop(&made, 500);
}

static void *wake_later(void *context)
{
    usleep(200000);
    ent_http_pool_wake(context);
    return NULL;
}

static void test_pool__woken_from_another_thread(void **state)
{
    (void)state;
    ent_http_pool *pool = NULL;
    pthread_t thread;
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    int64_t begun = ent_clock_monotonic_ms();
    assert_int_equal(ent_http_pool_work(pool, 100, NULL).code, ENT_OK);
    assert_true(ent_clock_monotonic_ms() - begun >= 90);
    assert_int_equal(pthread_create(&thread, NULL, wake_later, pool), 0);
    begun = ent_clock_monotonic_ms();
    assert_int_equal(ent_http_pool_work(pool, 10000, NULL).code, ENT_OK);
    assert_true(ent_clock_monotonic_ms() - begun < 5000);
    (void)pthread_join(thread, NULL);
    ent_http_pool_free(pool);
}

/* libcurl goes on without its pair of sockets when there is no descriptor left for it. */
static void test_pool__woken_without_a_socket_to_wake_by(void **state)
{
    (void)state;
    ent_http_pool *pool = NULL;
    pthread_t thread;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ent_rc made = ent_http_pool_new(&pool, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(made.code, ENT_OK);
    ent_http_pool_wake(pool); /* before it waits */
    int64_t begun = ent_clock_monotonic_ms();
    assert_int_equal(ent_http_pool_work(pool, 60000, NULL).code, ENT_OK);
    assert_true(ent_clock_monotonic_ms() - begun < 900);
    assert_int_equal(pthread_create(&thread, NULL, wake_later, pool), 0); /* while it waits */
    begun = ent_clock_monotonic_ms();
    assert_int_equal(ent_http_pool_work(pool, 60000, NULL).code, ENT_OK);
    assert_true(ent_clock_monotonic_ms() - begun < 30000);
    (void)pthread_join(thread, NULL);
    ent_http_pool_free(pool);
}

static void test_pool__freed_under_way_each_call_told(void **state)
{
    fixture *made = *state;
    ent_http_pool *pool = NULL;
    tally self = {0};
    char url[256];
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    ent_http_call call = fixture_call(made, &aurora, "GET", "/slow?ms=300", url);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    assert_int_equal(ent_http_pool_work(pool, 50, NULL).code, ENT_OK);
    ent_http_pool_free(pool);
    assert_int_equal(self.told, 5);
    assert_int_equal(self.unreachable, 5);
    ent_http_pool_free(NULL);
}

typedef struct {
    ent_http_pool *pool;
    ent_http_call call;
    unsigned left;
} chain;

static void again(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *err)
{
    chain *self = context;
    (void)reply;
    (void)err;
    assert_int_equal(rc.code, ENT_OK);
    if (--self->left > 0)
        assert_int_equal(ent_http_pool_start(self->pool, &self->call, again, self, NULL).code, ENT_OK);
}

static void test_pool__calls_started_from_inside_done(void **state)
{
    fixture *made = *state;
    chain self = {.left = 10};
    char url[256];
    assert_int_equal(ent_http_pool_new(&self.pool, NULL).code, ENT_OK);
    self.call = fixture_call(made, &aurora, "GET", "/hello", url);
    assert_int_equal(ent_http_pool_start(self.pool, &self.call, again, &self, NULL).code, ENT_OK);
    work_off(self.pool);
    assert_int_equal(self.left, 0);
    ent_http_pool_free(self.pool);
}

static void test_pool__server_restarted_kept_connection_replaced(void **state)
{
    (void)state;
    fixture made;
    ent_http_pool *pool = NULL;
    tally self = {0};
    char url[256];
    ent_err err = {0};
    fixture_start_peers(&made, 0);
    assert_int_equal(ent_http_pool_new(&pool, NULL).code, ENT_OK);
    ent_http_call call = fixture_call(&made, &aurora, "POST", "/echo", url);
    call.body = ent_bytes_of("abc", 3);
    assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    work_off(pool);
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)ent_http_server_port(made.server));
    ent_http_server_stop(made.server, 500);
    made.server = NULL;
    assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    work_off(pool);
    assert_int_equal(self.unreachable, 1);
    ent_http_peers_options options = {.address = address,
                                      .key_pem = ent_buf_text(&made.self.key),
                                      .certificate_pem = ent_buf_text(&made.self.certificate),
                                      .spool_folder = made.folder};
    ent_rc rc = ent_http_server_peers(&options, fixture_handler(&made), &made.server, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ent_http_pool_start(pool, &call, count, &self, NULL).code, ENT_OK);
    work_off(pool);
    assert_int_equal(self.good, 2);
    ent_http_pool_free(pool);
    fixture_stop(&made, 500);
}

static void test_pool__any_allocation_fails_each_start_told_once_or_refused(void **state)
{
    fixture *made = *state;
    char url[256];
    for (unsigned long n = 1; n < 25; n++) {
        ent_http_pool *pool = NULL;
        tally self = {0};
        ent_http_call call = fixture_call(made, &aurora, "GET", "/hello", url);
        ent_alloc_fail_at(n);
        ent_rc made_pool = ent_http_pool_new(&pool, NULL);
        ent_rc started = made_pool.code == ENT_OK ? ent_http_pool_start(pool, &call, count, &self, NULL) : made_pool;
        while (started.code == ENT_OK && ent_http_pool_active(pool) > 0)
            assert_int_equal(ent_http_pool_work(pool, 100, NULL).code, ENT_OK);
        ent_alloc_fail_at(0);
        assert_int_equal(self.told, started.code == ENT_OK ? 1 : 0);
        ent_http_pool_free(pool);
    }
}

int main(void)
{
    identity_make(&aurora, "aurora.example");
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_pool__kept_connection_used_again),
        WITH_SERVER(test_pool__kept_connection_not_used_for_another_pin_or_certificate),
        WITH_SERVER(test_pool__300_calls_at_once_all_answered),
        WITH_SERVER(test_pool__300_connections_held_others_still_served),
        cmocka_unit_test(test_pool__connections_of_one_address_limited),
        cmocka_unit_test(test_pool__woken_from_another_thread),
        cmocka_unit_test(test_pool__woken_without_a_socket_to_wake_by),
        WITH_SERVER(test_pool__freed_under_way_each_call_told),
        WITH_SERVER(test_pool__calls_started_from_inside_done),
        cmocka_unit_test(test_pool__server_restarted_kept_connection_replaced),
        WITH_SERVER(test_pool__any_allocation_fails_each_start_told_once_or_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    identity_release(&aurora);
    return failed;
}
