#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"

static identity aurora;

static int set_up(void **state)
{
    return fixture_set_up(state, 0);
}

static const ent_bytes NOTHING = {NULL, 0};

static void test_server__request_parts_reach_the_handler(void **state)
{
    const fixture *made = *state;
    ent_http_reply reply;
    char url[256];
    assert_int_equal(fixture_status(made, &aurora, "GET", "/a%20b/%2F?q=x%26y+z&flag", NOTHING, &reply), 200);
    assert_body(&reply, "GET /a b// q=x&y z h=(none) no-length");
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, &aurora, "DELETE", "/a%00b%zz?q", NOTHING, &reply), 200);
    assert_body(&reply, "DELETE /a%00b%zz q= h=(none) no-length");
    ent_http_reply_release(&reply);
    ent_http_call call = fixture_call(made, &aurora, "GET", "/x", url);
    call.headers[0].name = "entente-test";
    call.headers[0].value = "7";
    call.header_count = 1;
    assert_int_equal(ent_http_call_wait(&call, &reply, NULL).code, ENT_OK);
    assert_body(&reply, "GET /x q=(none) h=7 no-length");
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, &aurora, "GET", "/remote", NOTHING, &reply), 200);
    assert_true(ent_text_starts(ent_buf_text(&reply.body), ENT_TEXT("127.0.0.1:")));
    ent_http_reply_release(&reply);
}

static void test_server__each_error_code_has_its_status_and_json(void **state)
{
    fixture *made = *state;
    for (int code = 1; code < ENT_CODE_COUNT; code++) {
        ent_class class = ent_code_class(code);
        for (int at = 0; at < 2; at++) {
            ent_http_reply reply;
            ent_err err = {0};
            char path[96];
            (void)snprintf(path, sizeof path, "%s?code=%s", at == 0 ? "/refuse" : "/fail", ent_code_word(code));
            assert_int_equal(fixture_status(made, &aurora, "GET", path, NOTHING, &reply), ent_code_http_status(code));
            assert_string_equal(reply.content_type, "application/json");
            assert_int_equal(ent_http_reply_check(&reply, &err).code, code);
            if (class == ENT_CLASS_IO || class == ENT_CLASS_BUG) {
                /* A peer does not learn where our files lie. */
                assert_null(strstr(err.text, made->folder));
                assert_true(err.text[0] != 0);
            } else {
                assert_non_null(strstr(err.text, "as asked"));
                assert_string_equal(err.rule, "the rule");
            }
            ent_http_reply_release(&reply);
        }
    }
}

static void test_server__failure_without_words_still_an_error(void **state)
{
    ent_http_reply reply;
    ent_err err = {0};
    assert_int_equal(fixture_status(*state, &aurora, "GET", "/bare", NOTHING, &reply), 429);
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_PEER_QUOTA);
    assert_true(err.text[0] != 0);
    ent_http_reply_release(&reply);
}

static void test_server__answers_of_each_form(void **state)
{
    ent_http_reply reply;
    assert_int_equal(fixture_status(*state, &aurora, "GET", "/json", NOTHING, &reply), 200);
    assert_string_equal(reply.content_type, "application/json");
    assert_body(&reply, "{\"a\":1}");
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(*state, &aurora, "GET", "/empty", NOTHING, &reply), 204);
    assert_int_equal(reply.body.size, 0);
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(*state, &aurora, "GET", "/header", NOTHING, &reply), 201);
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(*state, &aurora, "HEAD", "/large?size=100000", NOTHING, &reply), 200);
    assert_int_equal(reply.body.size, 0);
    ent_http_reply_release(&reply);
    /* A header that would split the answer is not sent at all. */
    assert_int_equal(fixture_status(*state, &aurora, "GET", "/split", NOTHING, &reply), 500);
    assert_int_equal(reply.body.size, 0);
    ent_http_reply_release(&reply);
}

static void test_server__large_answers_from_memory_and_file_are_whole(void **state)
{
    fixture *made = *state;
    const size_t sizes[] = {0, 1, 65536, 65537, 1 << 20, (7 << 20) + 3};
    char path[96];
    (void)snprintf(path, sizeof path, "%s/file", made->folder);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ent_http_reply reply;
        char url[64];
        uint8_t *expected = malloc(sizes[i] + 1);
        assert_non_null(expected);
        fill(expected, sizes[i]);
        (void)snprintf(url, sizeof url, "/large?size=%zu", sizes[i]);
        assert_int_equal(fixture_status(made, &aurora, "GET", url, NOTHING, &reply), 200);
        assert_int_equal(reply.body.size, sizes[i]);
        if (sizes[i] > 0)
            assert_memory_equal(reply.body.data, expected, sizes[i]);
        ent_http_reply_release(&reply);
        assert_int_equal(ent_file_write(path, 0600, ent_bytes_of(expected, sizes[i]), NULL).code, ENT_OK);
        assert_int_equal(fixture_status(made, &aurora, "GET", "/file", NOTHING, &reply), 200);
        assert_int_equal(reply.body.size, sizes[i]);
        if (sizes[i] > 0)
            assert_memory_equal(reply.body.data, expected, sizes[i]);
        ent_http_reply_release(&reply);
        free(expected);
    }
}

static void test_server__pulled_answer_arrives_whole_and_source_is_freed(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    assert_int_equal(fixture_status(made, &aurora, "GET", "/stream?count=3", NOTHING, &reply), 200);
    assert_body(&reply, "3\n2\n1\n");
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, &aurora, "GET", "/stream?count=50000", NOTHING, &reply), 200);
    assert_true(ent_text_starts(ent_buf_text(&reply.body), ENT_TEXT("50000\n49999\n")));
    assert_memory_equal(reply.body.data + reply.body.size - 5, "\n2\n1\n", 5);
    ent_http_reply_release(&reply);
    wait_for_count(&made->pulls_freed, 2);
}

static void check_digest(fixture *made, size_t size)
{
    ent_http_reply reply;
    ent_hash expected;
    char hex[65];
    uint8_t *body = malloc(size + 1);
    assert_non_null(body);
    fill(body, size);
    ent_sha256(ent_bytes_of(body, size), &expected);
    ent_hex_encode(ent_hash_bytes(&expected), hex);
    assert_int_equal(fixture_status(made, &aurora, "POST", "/digest", ent_bytes_of(body, size), &reply), 200);
    assert_body(&reply, hex);
    ent_http_reply_release(&reply);
    free(body);
}

static void test_server__bodies_of_all_sizes_in_memory_and_spooled_arrive_whole(void **state)
{
    const size_t sizes[] = {0, 1, 16383, 16384, 16385, 262143, 262144, 262145, 1 << 20, 64 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_digest(*state, sizes[i]);
}

static void test_server__spool_folder_gone_answered_as_fault(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    char moved[80];
    uint8_t *body = calloc(1, 300 << 10);
    assert_non_null(body);
    (void)snprintf(moved, sizeof moved, "%s.moved", made->folder);
    assert_int_equal(rename(made->folder, moved), 0);
    assert_int_equal(fixture_status(made, &aurora, "POST", "/digest", ent_bytes_of(body, 300 << 10), &reply), 500);
    ent_http_reply_release(&reply);
    assert_int_equal(rename(moved, made->folder), 0);
    free(body);
}

static void test_server__body_to_a_sink_every_byte_counted(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    size_t size = (5 << 20) + 17;
    uint8_t *body = calloc(1, size);
    char decimal[32];
    assert_non_null(body);
    (void)snprintf(decimal, sizeof decimal, "%zu", size);
    assert_int_equal(fixture_status(made, &aurora, "PUT", "/sink", ent_bytes_of(body, size), &reply), 200);
    assert_body(&reply, decimal);
    assert_int_equal(atomic_load(&made->sunk), size);
    ent_http_reply_release(&reply);
    free(body);
}

static void test_server__sink_fails_midway_client_gets_the_error(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    ent_err err = {0};
    size_t size = 40 << 20;
    uint8_t *body = calloc(1, size);
    assert_non_null(body);
    assert_int_equal(fixture_status(made, &aurora, "PUT", "/sink?fail_at=1000000", ent_bytes_of(body, size), &reply),
                     429);
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_PEER_QUOTA);
    assert_string_equal(err.text, "the sink is full");
    assert_true(atomic_load(&made->sunk) < 1100000);
    assert_int_equal(atomic_load(&made->handled), 0);
    ent_http_reply_release(&reply);
    free(body);
}

static void test_server__refused_64_mib_body_client_gets_the_status_and_sends_nothing(void **state)
{
    fixture *made = *state;
    size_t size = 64 << 20;
    uint8_t *body = calloc(1, size + 1);
    const char *const words[] = {"forbidden", "stale", "too-large", "quota", "disk-full"};
    const int statuses[] = {403, 409, 413, 429, 507};
    assert_non_null(body);
    for (int round = 0; round < 10; round++) {
        ent_http_reply reply;
        char path[64];
        (void)snprintf(path, sizeof path, "/refuse?code=%s", words[round % 5]);
        assert_int_equal(fixture_status(made, &aurora, "POST", path, ent_bytes_of(body, size), &reply),
                         statuses[round % 5]);
        ent_http_reply_release(&reply);
    }
    ent_http_reply reply;
    assert_int_equal(fixture_status(made, &aurora, "POST", "/digest", ent_bytes_of(body, size + 1), &reply), 413);
    ent_http_reply_release(&reply);
    assert_int_equal(atomic_load(&made->handled), 0);
    free(body);
}

static void test_server__announced_too_large_answered_413(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    assert_int_equal(fixture_status(made, &aurora, "POST", "/small", ent_bytes_of("0123456789abcdef", 16), &reply),
                     200);
    assert_body(&reply, "0123456789abcdef");
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, &aurora, "POST", "/small", ent_bytes_of("0123456789abcdefg", 17), &reply),
                     413);
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, &aurora, "GET", "/hello", ent_bytes_of("x", 1), &reply), 413);
    ent_http_reply_release(&reply);
    assert_int_equal(atomic_load(&made->handled), 1);
}

static void test_server__client_certificate_gives_its_pin_and_none_a_readable_403(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    ent_err err = {0};
    char hex[65];
    ent_hex_encode(ent_hash_bytes(&aurora.pin), hex);
    assert_int_equal(fixture_status(made, &aurora, "GET", "/pin", NOTHING, &reply), 200);
    assert_body(&reply, hex);
    ent_http_reply_release(&reply);
    assert_int_equal(fixture_status(made, NULL, "GET", "/pin", NOTHING, &reply), 403);
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_PEER_UNKNOWN);
    assert_string_equal(err.text, "no client certificate");
    ent_http_reply_release(&reply);
}

static void test_server__client_closes_midway_attached_pointer_is_freed(void **state)
{
    fixture *made = *state;
    raw client;
    raw_open(&client, made);
    assert_true(raw_say(&client, "POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome"));
    wait_for_count(&made->attached, 1);
    assert_int_equal(atomic_load(&made->freed), 0);
    raw_close(&client);
    wait_for_count(&made->freed, 1);
    assert_int_equal(atomic_load(&made->handled), 0);
}

static void test_server__stop_lets_an_answer_finish(void **state)
{
    (void)state;
    fixture made;
    ent_buf got = {0};
    raw client;
    fixture_start_peers(&made, 0);
    raw_open(&client, &made);
    assert_true(raw_say(&client, "GET /slow?ms=500 HTTP/1.1\r\nHost: x\r\n\r\n"));
    wait_for_count(&made.handled, 1);
    int64_t begun = ent_clock_monotonic_ms();
    fixture_stop(&made, 5000);
    assert_true(ent_clock_monotonic_ms() - begun < 3000);
    assert_true(raw_await(&client, &got, "at last"));
    ent_buf_release(&got);
    raw_close(&client);
}

static void test_server__stop_with_a_body_that_never_comes_ends_in_time(void **state)
{
    (void)state;
    fixture made;
    raw client;
    fixture_start_peers(&made, 0);
    raw_open(&client, &made);
    assert_true(raw_say(&client, "POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"));
    wait_for_count(&made.attached, 1);
    int64_t begun = ent_clock_monotonic_ms();
    fixture_stop(&made, 300);
    int64_t took = ent_clock_monotonic_ms() - begun;
    assert_true(took >= 250 && took < 2000);
    raw_close(&client);
}

static void test_server__address_in_use_or_none_refused(void **state)
{
    fixture *made = *state;
    ent_http_server *server = NULL;
    ent_err err = {0};
    char used[32];
    (void)snprintf(used, sizeof used, "127.0.0.1:%u", (unsigned)ent_http_server_port(made->server));
    ent_http_peers_options options = {.address = used,
                                      .key_pem = ent_buf_text(&made->self.key),
                                      .certificate_pem = ent_buf_text(&made->self.certificate)};
    assert_int_equal(ent_http_server_peers(&options, fixture_handler(made), &server, &err).code, ENT_IO);
    assert_non_null(strstr(err.text, used));
    const char *const bad[] = {
        "",      ":1",    "127.0.0.1",    "127.0.0.1:",     "127.0.0.1:99999999", "::1:80", "[127.0.0.1]:80",
        "[::1]", "[]:80", "localhost:80", "127.0.0.1:http", "256.1.1.1:80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.address = bad[i];
        assert_int_equal(ent_http_server_peers(&options, fixture_handler(made), &server, &err).code, ENT_USAGE);
    }
    options.address = "127.0.0.1:0";
    options.key_pem = ent_buf_text(&aurora.key);
    assert_int_equal(ent_http_server_peers(&options, fixture_handler(made), &server, &err).code, ENT_USAGE);
    assert_null(server);
}

static void test_server__ipv6_and_one_thread_work(void **state)
{
    fixture *made = *state;
    ent_http_server *server = NULL;
    ent_err err = {0};
    ent_http_peers_options options = {.address = "[::1]:0",
                                      .threads = 1,
                                      .key_pem = ent_buf_text(&made->self.key),
                                      .certificate_pem = ent_buf_text(&made->self.certificate)};
    ent_rc rc = ent_http_server_peers(&options, fixture_handler(made), &server, &err);
    if (rc.code != ENT_OK)
        skip(); /* a machine without IPv6 */
    ent_http_reply reply;
    char url[64];
    (void)snprintf(url, sizeof url, "https://[::1]:%u/remote", (unsigned)ent_http_server_port(server));
    ent_http_call call = {.method = "GET", .url = url, .has_pin = true, .pin = made->self.pin};
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_OK);
    assert_true(ent_text_starts(ent_buf_text(&reply.body), ENT_TEXT("[::1]:")));
    ent_http_reply_release(&reply);
    ent_http_server_stop(server, 100);
}

static void test_server__any_allocation_fails_it_goes_on(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    uint8_t *body = calloc(1, 400 << 10);
    assert_non_null(body);
    for (unsigned long n = 1; n < 60; n++) {
        char url[256];
        ent_err err = {0};
        ent_http_call call = fixture_call(made, &aurora, "POST", n % 2 != 0 ? "/digest" : "/stream?count=3", url);
        call.body = n % 2 != 0 ? ent_bytes_of(body, 400 << 10) : NOTHING;
        ent_alloc_fail_at(n);
        ent_rc rc = ent_http_call_wait(&call, &reply, &err);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK)
            ent_http_reply_release(&reply);
        else
            assert_true(rc.code == ENT_NOMEM || rc.code == ENT_UNREACHABLE);
    }
    free(body);
    assert_int_equal(fixture_status(made, &aurora, "GET", "/hello", NOTHING, &reply), 200);
    ent_http_reply_release(&reply);
}

static void test_server__start_with_failing_allocations_leaks_nothing(void **state)
{
    fixture *made = *state;
    for (unsigned long n = 1;; n++) {
        ent_http_server *server = NULL;
        ent_err err = {0};
        ent_http_peers_options options = {.address = "127.0.0.1:0",
                                          .key_pem = ent_buf_text(&made->self.key),
                                          .certificate_pem = ent_buf_text(&made->self.certificate),
                                          .spool_folder = made->folder};
        ent_alloc_fail_at(n);
        ent_rc rc = ent_http_server_peers(&options, fixture_handler(made), &server, &err);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            ent_http_server_stop(server, 0);
            break;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
        assert_null(server);
    }
}

int main(void)
{
    identity_make(&aurora, "aurora.example");
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_server__request_parts_reach_the_handler),
        WITH_SERVER(test_server__each_error_code_has_its_status_and_json),
        WITH_SERVER(test_server__failure_without_words_still_an_error),
        WITH_SERVER(test_server__answers_of_each_form),
        WITH_SERVER(test_server__large_answers_from_memory_and_file_are_whole),
        WITH_SERVER(test_server__pulled_answer_arrives_whole_and_source_is_freed),
        WITH_SERVER(test_server__bodies_of_all_sizes_in_memory_and_spooled_arrive_whole),
        WITH_SERVER(test_server__spool_folder_gone_answered_as_fault),
        WITH_SERVER(test_server__body_to_a_sink_every_byte_counted),
        WITH_SERVER(test_server__sink_fails_midway_client_gets_the_error),
        WITH_SERVER(test_server__refused_64_mib_body_client_gets_the_status_and_sends_nothing),
        WITH_SERVER(test_server__announced_too_large_answered_413),
        WITH_SERVER(test_server__client_certificate_gives_its_pin_and_none_a_readable_403),
        WITH_SERVER(test_server__client_closes_midway_attached_pointer_is_freed),
        cmocka_unit_test(test_server__stop_lets_an_answer_finish),
        cmocka_unit_test(test_server__stop_with_a_body_that_never_comes_ends_in_time),
        WITH_SERVER(test_server__address_in_use_or_none_refused),
        WITH_SERVER(test_server__ipv6_and_one_thread_work),
        WITH_SERVER(test_server__any_allocation_fails_it_goes_on),
        WITH_SERVER(test_server__start_with_failing_allocations_leaks_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    identity_release(&aurora);
    return failed;
}
