/* Programs that alerts are given to, and the words of alerts. What leaves a whole node is tested from outside
 * (tests/outside/test_alerts.py). */
#include "fixture.h"

#include "base/clock.h"
#include "base/file.h"
#include "node/alert.h"
#include "node/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *script(const char *folder, const char *name, const char *text)
{
    char *path = fixture_path(folder, name);
    assert_ok(ent_file_write(path, 0755, ent_text_bytes(ent_text_of(text)), NULL));
    return path;
}

static ent_rc run(const char *folder, const char *text, uint32_t timeout_ms, const atomic_bool *stop, ent_err *err)
{
    char whole[1024];
    (void)snprintf(whole, sizeof whole, "#!/bin/sh\ncd %s || exit 99\n%s\n", folder, text);
    char *path = script(folder, "program", whole);
    ent_rc rc = ent_alert_execute(path, "overdue", ENT_TEXT("{\"key\":\"k\"}"), timeout_ms, stop, err);
    ent_free(path);
    return rc;
}

static void assert_file(const char *folder, const char *name, const char *expected)
{
    ent_buf content = {0};
    char *path = fixture_path(folder, name);
    assert_ok(ent_file_read(path, 4096, &content, NULL));
    assert_string_equal(ent_buf_string(&content), expected);
    ent_buf_release(&content);
    ent_free(path);
}

static void test_execute__gets_the_alert_and_nothing_else(void **state)
{
    (void)state;
    char *folder = fixture_folder_make();
    int inherited = open("/dev/null", 0); /* without O_CLOEXEC */
    assert_true(inherited > 2);
    assert_ok(run(folder,
                  "cat >input; echo $ENTENTE_ALERT >what; ls /proc/self/fd | tr '\\n' ' ' >open\n"
                  "cut -d ' ' -f 5 /proc/$$/stat | tr -d '\\n' >group; printf %s $$ >self",
                  10000, NULL, NULL));
    assert_file(folder, "input", "{\"key\":\"k\"}");
    assert_file(folder, "what", "overdue\n");
    assert_file(folder, "open", "0 1 2 3 "); /* 3 is what ls looks with */
    ent_buf self = {0};
    char *path = fixture_path(folder, "self");
    assert_ok(ent_file_read(path, 64, &self, NULL));
    assert_file(folder, "group", ent_buf_string(&self));
    ent_buf_release(&self);
    ent_free(path);
    (void)close(inherited);
    fixture_folder_remove(folder);
}

static void test_execute__signals_that_a_daemon_blocks_reach_the_program(void **state)
{
    (void)state;
    char *folder = fixture_folder_make();
    ent_err err = {0};
    sigset_t blocked;
    sigset_t before;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &blocked, &before);
    assert_fails(run(folder, "kill -TERM $$; sleep 10", 20000, NULL, &err), ENT_REFUSED);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_non_null(strstr(err.text, "signal 15"));
    fixture_folder_remove(folder);
}

static void test_execute__failure_is_told_with_its_words(void **state)
{
    (void)state;
    char *folder = fixture_folder_make();
    ent_err err = {0};
    assert_fails(run(folder, "printf 'no \\033 line' >&2; exit 7", 10000, NULL, &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, "status 7: no   line"));
    /* as much as it likes to say, it never waits for us */
    assert_fails(run(folder, "head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1", 20000, NULL, &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, "status 1: xxxx"));
    /* nor does it have to read */
    assert_ok(run(folder, "exec <&- 2>&-; exit 0", 10000, NULL, NULL));
    assert_fails(ent_alert_execute("/nonexistent/program", "fork", ENT_TEXT("{}"), 1000, NULL, &err), ENT_IO);
    assert_non_null(strstr(err.text, "/nonexistent/program"));
    fixture_folder_remove(folder);
}

/* Ended, though perhaps nobody has asked for its status. */
static bool is_gone(void *context)
{
    char path[64];
    ent_buf status = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)*(pid_t *)context);
    ent_rc rc = ent_file_read(path, 4096, &status, NULL);
    bool gone = rc.code != ENT_OK || strstr(ent_buf_string(&status), ") Z ") != NULL;
    ent_buf_release(&status);
    return gone;
}

static void test_execute__hanging_is_killed_with_its_group(void **state)
{
    (void)state;
    char *folder = fixture_folder_make();
    ent_err err = {0};
    int64_t before = ent_clock_monotonic_ms();
    assert_fails(run(folder, "sleep 1000 & printf %s $! >child; wait", 1000, NULL, &err), ENT_UNREACHABLE);
    assert_in_range(ent_clock_monotonic_ms() - before, 1000, 10000);
    assert_non_null(strstr(err.text, "killed"));
    ent_buf child = {0};
    char *path = fixture_path(folder, "child");
    assert_ok(ent_file_read(path, 64, &child, NULL));
    pid_t process = (pid_t)strtol(ent_buf_string(&child), NULL, 10);
    assert_true(process > 1);
    assert_true(fixture_wait(is_gone, &process, 10));
    ent_buf_release(&child);
    ent_free(path);
    fixture_folder_remove(folder);
}

static void test_execute__stops_with_the_node(void **state)
{
    (void)state;
    char *folder = fixture_folder_make();
    atomic_bool stop = true;
    assert_fails(run(folder, "sleep 1000", 100000, &stop, NULL), ENT_RETRY);
    fixture_folder_remove(folder);
}

static void assert_span(int64_t seconds, const char *expected)
{
    ent_buf buf = {0};
    ent_alert_put_span(&buf, seconds);
    assert_string_equal(ent_buf_string(&buf), expected);
    ent_buf_release(&buf);
}

static void test_text__spans_are_short(void **state)
{
    (void)state;
    assert_span(-5, "1 s");
    assert_span(59, "59 s");
    assert_span(60, "1 min");
    assert_span(3599, "59 min");
    assert_span(3600, "1 h");
    assert_span(3660, "1 h 1 min");
    assert_span(2 * 86400 - 1, "47 h 59 min");
    assert_span(2 * 86400, "2 days");
    assert_span(INT64_MAX, "106751991167300 days");
}

static void test_config__nth_allocation_failed_leaks_nothing(void **state)
{
    (void)state;
    char *folder = fixture_folder_make();
    char *path = script(folder, "alerts.json",
                        "{\"due_soon_s\":1,\"email\":{\"url\":\"smtp://a\",\"from\":\"a@b\",\"to\":[\"c@d\",\"e@f\"]},"
                        "\"webhook\":{\"url\":\"http://h/\"},\"execute\":null}");
    for (unsigned long nth = 1;; nth++) {
        ent_alert_config *config = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_alert_config_read(path, &config, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            assert_int_equal(config->sink_count, 2);
            assert_int_equal(config->due_soon_s, 1);
            assert_int_equal(config->flash_unread_s, 300);
            assert_int_equal(config->expiring_days, 30);
            assert_string_equal(config->email.to[1], "e@f");
            ent_alert_config_give(config);
            break;
        }
        assert_fails(rc, ENT_NOMEM);
        assert_null(config);
    }
    ent_free(path);
    fixture_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_execute__gets_the_alert_and_nothing_else),
        cmocka_unit_test(test_execute__signals_that_a_daemon_blocks_reach_the_program),
        cmocka_unit_test(test_execute__failure_is_told_with_its_words),
        cmocka_unit_test(test_execute__hanging_is_killed_with_its_group),
        cmocka_unit_test(test_execute__stops_with_the_node),
        cmocka_unit_test(test_text__spans_are_short),
        cmocka_unit_test(test_config__nth_allocation_failed_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
