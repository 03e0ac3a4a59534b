#include "fixture.h"

#include <fcntl.h>
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

static void test_client__wrong_pin_refused_before_anything_is_sent(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    ent_err err = {0};
    char url[256];
    ent_http_call call = fixture_call(made, &aurora, "GET", "/hello", url);
    for (size_t i = 0; i < sizeof call.pin.bytes; i++) {
        call.pin.bytes[i] ^= 1;
        assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_UNREACHABLE);
        assert_non_null(strstr(err.text, "pin mismatch"));
        call.pin.bytes[i] ^= 1;
    }
    assert_int_equal(atomic_load(&made->attached), 0);
    assert_null(reply.body.data);
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_OK);
    ent_http_reply_release(&reply);
}

static void test_client__without_pin_an_unknown_authority_refused(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    ent_err err = {0};
    char url[256];
    ent_http_call call = fixture_call(made, &aurora, "GET", "/hello", url);
    call.has_pin = false;
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_UNREACHABLE);
    assert_int_equal(atomic_load(&made->attached), 0);
}

static void test_client__pin_with_plain_http_or_other_protocols_refused(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    ent_err err = {0};
    char url[256];
    const char *const urls[] = {
        "http://127.0.0.1:1/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "", "https://"};
    ent_http_call call = fixture_call(made, &aurora, "GET", "/hello", url);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        call.url = urls[i];
        assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_USAGE);
    }
}

static void test_client__other_identities_certificate_is_the_one_seen(void **state)
{
    fixture *made = *state;
    identity other;
    ent_http_reply reply;
    char hex[65];
    identity_make(&other, "other.example");
    ent_hex_encode(ent_hash_bytes(&other.pin), hex);
    assert_int_equal(fixture_status(made, &other, "GET", "/pin", ent_bytes_of(NULL, 0), &reply), 200);
    assert_body(&reply, hex);
    ent_http_reply_release(&reply);
    identity_release(&other);
}

static void test_client__key_of_another_certificate_refused(void **state)
{
    fixture *made = *state;
    ent_tls_client *mixed = NULL;
    ent_err err = {0};
    ent_text key = ent_buf_text(&made->self.key);
    assert_int_equal(ent_tls_client_new(key, ent_buf_text(&aurora.certificate), &mixed, &err).code, ENT_USAGE);
    assert_int_equal(ent_tls_client_new(ENT_TEXT("key"), ENT_TEXT(""), &mixed, &err).code, ENT_USAGE);
    assert_null(mixed);
}

static void test_client__redirect_not_followed(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    ent_err err = {0};
    assert_int_equal(fixture_status(made, &aurora, "GET", "/redirect", ent_bytes_of(NULL, 0), &reply), 302);
    assert_body(&reply, "over there");
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_UNREACHABLE);
    assert_int_equal(atomic_load(&made->handled), 1);
    ent_http_reply_release(&reply);
}

static void test_client__proxy_of_the_environment_not_used(void **state)
{
    fixture *made = *state;
    ent_http_reply reply;
    const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(setenv(names[i], "http://127.0.0.1:9", 1), 0);
    assert_int_equal(fixture_status(made, &aurora, "GET", "/hello", ent_bytes_of(NULL, 0), &reply), 200);
    ent_http_reply_release(&reply);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(unsetenv(names[i]), 0);
}

static void test_client__answer_beyond_the_limit_refused(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    ent_err err = {0};
    char url[256];
    ent_http_call call = fixture_call(made, &aurora, "GET", "/large?size=1000", url);
    call.response_limit = 1000;
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_OK);
    ent_http_reply_release(&reply);
    reply = (ent_http_reply){0};
    call.response_limit = 999;
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_PEER_TOO_LARGE);
    assert_null(reply.body.data);
    (void)snprintf(url, sizeof url, "%s/large?size=9000000", made->base);
    call.response_limit = 0;
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_PEER_TOO_LARGE);
}

typedef struct {
    size_t seen;
    size_t fail_at;
} drain;

static ent_rc take(void *context, ent_bytes piece, ent_err *err)
{
    drain *self = context;
    self->seen += piece.size;
    if (self->fail_at != 0 && self->seen >= self->fail_at)
        return ent_fail(err, ENT_IO_FULL, NULL, "no room");
    return ENT_DONE;
}

static void test_client__sink_takes_the_body_of_success_only(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    ent_err err = {0};
    drain self = {0};
    char url[256];
    ent_http_call call = fixture_call(made, &aurora, "GET", "/large?size=3000000", url);
    call.sink = take;
    call.sink_context = &self;
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_OK);
    assert_int_equal(self.seen, 3000000);
    assert_int_equal(reply.body.size, 0);
    ent_http_reply_release(&reply);
    self = (drain){.fail_at = 100000};
    reply = (ent_http_reply){0};
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_IO_FULL);
    assert_string_equal(err.text, "no room");
    self = (drain){0};
    (void)snprintf(url, sizeof url, "%s/refuse?code=quota", made->base);
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_OK);
    assert_int_equal(reply.status, 429);
    assert_int_equal(self.seen, 0);
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_PEER_QUOTA);
    ent_http_reply_release(&reply);
}

static void note_sent(void *context, uint64_t bytes)
{
    *(uint64_t *)context = bytes;
}

static void test_client__part_of_a_file_uploaded_and_told(void **state)
{
    fixture *made = *state;
    enum { SIZE = (1 << 20) + 7 };
    static uint8_t data[SIZE];
    char path[96];
    char url[256];
    char hex[65];
    const size_t parts[][2] = {{0, 1}, {5, 70000}, {SIZE - 1, 1}, {300000, SIZE - 300000}};
    (void)snprintf(path, sizeof path, "%s/file", made->folder);
    fill(data, SIZE);
    assert_int_equal(ent_file_write(path, 0600, ent_bytes_of(data, SIZE), NULL).code, ENT_OK);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd > 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        ent_http_reply reply = {0};
        ent_hash hash;
        uint64_t sent = 0;
        ent_sha256(ent_bytes_of(data + parts[i][0], parts[i][1]), &hash);
        ent_hex_encode(ent_hash_bytes(&hash), hex);
        ent_http_call call = fixture_call(made, &aurora, "PUT", "/digest", url);
        call.body_file = fd;
        call.body_file_first = parts[i][0];
        call.body_file_size = parts[i][1];
        call.sent = note_sent;
        call.sent_context = &sent;
        assert_int_equal(ent_http_call_wait(&call, &reply, NULL).code, ENT_OK);
        assert_body(&reply, hex);
        assert_int_equal(sent, parts[i][1]);
        ent_http_reply_release(&reply);
    }
    (void)close(fd);
}

static void test_client__file_uploaded_from_its_start(void **state)
{
    fixture *made = *state;
    ent_err err = {0};
    char path[96];
    char url[256];
    char hex[65];
    const size_t sizes[] = {1, 1000, (2 << 20) + 5};
    (void)snprintf(path, sizeof path, "%s/file", made->folder);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ent_http_reply reply = {0};
        ent_hash hash;
        uint8_t *data = malloc(sizes[i]);
        assert_non_null(data);
        fill(data, sizes[i]);
        ent_sha256(ent_bytes_of(data, sizes[i]), &hash);
        ent_hex_encode(ent_hash_bytes(&hash), hex);
        assert_int_equal(ent_file_write(path, 0600, ent_bytes_of(data, sizes[i]), NULL).code, ENT_OK);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd > 0);
        assert_true(lseek(fd, 1, SEEK_SET) == 1);
        ent_http_call call = fixture_call(made, &aurora, "PUT", "/digest", url);
        call.body_file = fd;
        call.body_file_size = sizes[i];
        assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_OK);
        assert_body(&reply, hex);
        ent_http_reply_release(&reply);
        /* Said to be longer than it is. */
        call.body_file_size = sizes[i] + 1;
        assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_IO);
        (void)close(fd);
        free(data);
    }
}

static void test_client__slow_answer_and_nobody_there_unreachable_in_time(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    ent_err err = {0};
    char url[256];
    ent_http_call call = fixture_call(made, &aurora, "GET", "/slow?ms=1500", url);
    call.timeout_ms = 300;
    int64_t begun = ent_clock_monotonic_ms();
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_UNREACHABLE);
    assert_true(ent_clock_monotonic_ms() - begun < 1400);
    call.url = "https://127.0.0.1:1/";
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_UNREACHABLE);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    call.unix_socket = "/nowhere/socket";
    call.url = "http://node/";
    call.has_pin = false;
    assert_int_equal(ent_http_call_wait(&call, &reply, &err).code, ENT_UNREACHABLE);
    assert_non_null(strstr(err.text, "/nowhere/socket"));
}

static void test_client__headers_that_would_split_the_request_refused(void **state)
{
    fixture *made = *state;
    ent_http_reply reply = {0};
    char url[256];
    const char *const names[] = {"A\r\nB", "A:B", "A"};
    const char *const values[] = {"x", "x", "x\r\nHost: y"};
    ent_http_call call = fixture_call(made, &aurora, "GET", "/hello", url);
    call.header_count = 1;
    for (size_t i = 0; i < 3; i++) {
        call.headers[0].name = names[i];
        call.headers[0].value = values[i];
        assert_int_equal(ent_http_call_wait(&call, &reply, NULL).code, ENT_USAGE);
    }
    call.headers[0].name = "Entente-Test";
    call.headers[0].value = "";
    (void)snprintf(url, sizeof url, "%s/x", made->base);
    assert_int_equal(ent_http_call_wait(&call, &reply, NULL).code, ENT_OK);
    assert_body(&reply, "GET /x q=(none) h= no-length");
    ent_http_reply_release(&reply);
}

static void test_client__any_allocation_fails_output_untouched(void **state)
{
    fixture *made = *state;
    ent_err err = {0};
    char url[256];
    ent_http_call call = fixture_call(made, &aurora, "POST", "/hello", url);
    for (unsigned long n = 1; n < 30; n++) {
        ent_http_reply reply = {.status = 7};
        ent_alloc_fail_at(n);
        ent_rc rc = ent_http_call_wait(&call, &reply, &err);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK)
            ent_http_reply_release(&reply);
        else
            assert_int_equal(reply.status, 7);
    }
}

static void check_reply(int status, const char *body, ent_code code, const char *text)
{
    ent_http_reply reply = {.status = status};
    ent_err err = {0};
    ent_buf_put_string(&reply.body, body);
    assert_int_equal(ent_http_reply_check(&reply, &err).code, code);
    if (code != ENT_OK)
        assert_string_equal(err.text, text);
    ent_http_reply_release(&reply);
}

static void test_reply__status_and_reason_give_the_error(void **state)
{
    (void)state;
    check_reply(200, "", ENT_OK, NULL);
    check_reply(200, "{\"error\":{\"code\":\"bug\"}}", ENT_OK, NULL);
    check_reply(202, "{}", ENT_OK, NULL);
    check_reply(202, "{\"error\":{\"code\":\"waiting\",\"text\":\"later\"}}", ENT_WAITING, "later");
    check_reply(409, "{\"error\":{\"code\":\"stale\",\"rule\":\"r\",\"text\":\"t\"}}", ENT_PEER_STALE, "t");
    check_reply(409, "{\"error\":{\"code\":\"ok\",\"text\":\"t\"}}", ENT_REFUSED,
                "answered 409: {\"error\":{\"code\":\"ok\",\"text\":\"t\"}}");
    check_reply(403, "", ENT_PEER_FORBIDDEN, "answered 403");
    check_reply(404, "no\n\x1b[31m\x7f", ENT_ABSENT, "answered 404: no ?[31m?");
    check_reply(418, "\xc3\xa9\xc2\x9b", ENT_PEER_INVALID, "answered 418: \xc3\xa9?");
    check_reply(422, "\xff\xfe", ENT_PEER_INVALID, "answered 422: ??");
    check_reply(503, "busy", ENT_RETRY, "answered 503: busy");
    check_reply(500, "oops", ENT_UNREACHABLE, "answered 500: oops");
    check_reply(301, "", ENT_UNREACHABLE, "answered 301");
    check_reply(429, "{\"error\":{\"code\":\"quota\",\"text\":\"a\\u001b[2Jb\"}}", ENT_PEER_QUOTA, "a?[2Jb");
}

static void test_reply__long_body_cut_between_characters(void **state)
{
    (void)state;
    ent_http_reply reply = {.status = 500};
    ent_err err = {0};
    for (int i = 0; i < 1000; i++)
        ent_buf_put_string(&reply.body, "\xe2\x82\xac");
    assert_int_equal(ent_http_reply_check(&reply, &err).code, ENT_UNREACHABLE);
    assert_true(ent_utf8_valid(ent_text_of(err.text)));
    assert_true(strlen(err.text) > 150 && strlen(err.text) < 230);
    ent_http_reply_release(&reply);
}

int main(void)
{
    identity_make(&aurora, "aurora.example");
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_client__wrong_pin_refused_before_anything_is_sent),
        WITH_SERVER(test_client__without_pin_an_unknown_authority_refused),
        WITH_SERVER(test_client__pin_with_plain_http_or_other_protocols_refused),
        WITH_SERVER(test_client__other_identities_certificate_is_the_one_seen),
        WITH_SERVER(test_client__key_of_another_certificate_refused),
        WITH_SERVER(test_client__redirect_not_followed),
        WITH_SERVER(test_client__proxy_of_the_environment_not_used),
        WITH_SERVER(test_client__answer_beyond_the_limit_refused),
        WITH_SERVER(test_client__sink_takes_the_body_of_success_only),
        WITH_SERVER(test_client__file_uploaded_from_its_start),
        WITH_SERVER(test_client__part_of_a_file_uploaded_and_told),
        WITH_SERVER(test_client__slow_answer_and_nobody_there_unreachable_in_time),
        WITH_SERVER(test_client__headers_that_would_split_the_request_refused),
        WITH_SERVER(test_client__any_allocation_fails_output_untouched),
        cmocka_unit_test(test_reply__status_and_reason_give_the_error),
        cmocka_unit_test(test_reply__long_body_cut_between_characters),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    identity_release(&aurora);
    return failed;
}
