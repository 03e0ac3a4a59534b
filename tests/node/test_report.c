/* Log lines: one an event, whatever peers put into them. */
#include "fixture.h"

#include "node/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The monotonic clock runs ahead of the real one by this. */
static atomic_llong ahead_ms;
int64_t __real_ent_clock_monotonic_ms(void); /* NOLINT(bugprone-reserved-identifier): the linker's name */
int64_t __wrap_ent_clock_monotonic_ms(void); /* NOLINT(bugprone-reserved-identifier) */
int64_t __wrap_ent_clock_monotonic_ms(void)  /* NOLINT(bugprone-reserved-identifier) */
{
    return __real_ent_clock_monotonic_ms() + atomic_load(&ahead_ms);
}

/* What one report writes to stderr. */
static void capture(ent_report *report, char *ret, size_t room)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    ent_report_end(report);
    (void)dup2(kept, STDERR_FILENO);
    (void)close(kept);
    (void)close(ends[1]);
    ssize_t size = read(ends[0], ret, room - 1);
    (void)close(ends[0]);
    assert_true(size >= 0);
    ret[size] = 0;
}

static void assert_value(const char *value, size_t size, const char *wanted)
{
    char line[2048];
    ent_report report = ent_report_begin("a.b");
    ent_report_text(&report, "key", (ent_text){value, size});
    capture(&report, line, sizeof line);
    assert_memory_equal(line, "time=20", 7);
    const char *event = strstr(line, " event=a.b key=");
    assert_non_null(event);
    assert_string_equal(event + strlen(" event=a.b key="), wanted);
}

static void test_report__plain_values_stand_bare_others_quoted_and_escaped(void **state)
{
    (void)state;
    assert_value("north.example", 13, "north.example\n");
    assert_value("two words", 9, "\"two words\"\n");
    assert_value("", 0, "\"\"\n");
    assert_value(NULL, 0, "\"\"\n");
    assert_value("a=b", 3, "\"a=b\"\n");
    assert_value("say \"x\\\"", 8, "\"say \\x22x\\x5c\\x22\"\n");
    assert_value("a\nevent=forged\r\t", 16, "\"a\\x0aevent=forged\\x0d\\x09\"\n");
    assert_value("\xc3\xa9\x7f\x1b[2J\0", 8, "\"\\xc3\\xa9\\x7f\\x1b[2J\\x00\"\n");
}

static void test_report__long_value_is_capped(void **state)
{
    (void)state;
    char value[300];
    char wanted[256];
    memset(value, 'v', sizeof value);
    memset(wanted, 'v', 200);
    memcpy(wanted + 200, "...\n", 5);
    assert_value(value, sizeof value, wanted);
    wanted[200] = '\n';
    wanted[201] = 0;
    assert_value(value, 200, wanted);
}

static void test_report__line_that_is_too_long_is_cut_and_still_one_line(void **state)
{
    (void)state;
    char value[200];
    char line[4096];
    memset(value, '\n', sizeof value); /* four bytes each */
    ent_report report = ent_report_begin("a.b");
    for (int i = 0; i < 20; i++)
        ent_report_text(&report, "key", (ent_text){value, sizeof value});
    ent_report_number(&report, "n", UINT64_MAX);
    capture(&report, line, sizeof line);
    size_t size = strlen(line);
    assert_true(size > 900 && size <= 1024);
    assert_ptr_equal(strchr(line, '\n'), line + size - 1);
}

static void test_report__error_gives_code_rule_and_text(void **state)
{
    (void)state;
    char line[2048];
    ent_err err = {0};
    assert_fails(ent_fail(&err, ENT_PEER_FORK, "design 3, Fork", "two \"heads\""), ENT_PEER_FORK);
    ent_report report = ent_report_begin("pouch.refused");
    ent_report_number(&report, "size", 18446744073709551615ULL);
    ent_report_error(&report, &err);
    capture(&report, line, sizeof line);
    assert_non_null(strstr(line, " event=pouch.refused size=18446744073709551615 code=fork rule=\"design 3, Fork\" "
                                 "text=\"two \\x22heads\\x22\"\n"));
}

/* Gives how many of so many lines were written. */
static unsigned write_many(const char *event, const char *key, unsigned count, bool other_ports, char line[2048])
{
    unsigned written = 0;
    for (unsigned i = 0; i < count; i++) {
        char value[64];
        char next[2048];
        (void)snprintf(value, sizeof value, "192.0.2.7:%u", other_ports ? 1000 + i : 7);
        ent_report report = ent_report_begin(event);
        ent_report_string(&report, key, value);
        capture(&report, next, sizeof next);
        if (next[0] != 0)
            memcpy(line, next, sizeof next);
        written += next[0] != 0;
    }
    return written;
}

static void test_report__what_others_cause_is_told_so_often_and_then_counted(void **state)
{
    (void)state;
    char line[2048] = "";
    assert_int_equal(write_many("flood.refused", "remote", 1000, true, line), ENT_REPORT_BURST);
    assert_null(strstr(line, "suppressed"));
    atomic_fetch_add(&ahead_ms, ENT_REPORT_AGAIN_S * 1000);
    assert_int_equal(write_many("flood.refused", "remote", 3, true, line), 1);
    assert_non_null(strstr(line, "suppressed=968\n"));
    atomic_fetch_add(&ahead_ms, 3600 * 1000);
    assert_int_equal(write_many("flood.refused", "remote", 1000, true, line), ENT_REPORT_BURST);
    assert_int_equal(write_many("flood.not-delivered", "peer", 1000, false, line), ENT_REPORT_BURST);
    assert_int_equal(write_many("flood.receipted", "peer", 1000, false, line), 1000); /* what was asked for */
    unsigned all = 0;
    for (unsigned i = 0; i < 100; i++) { /* as many sources as one likes */
        char event[32];
        (void)snprintf(event, sizeof event, "flood-%u.refused", i);
        all += write_many(event, "remote", 50, true, line);
    }
    assert_in_range(all, 64, ENT_REPORT_ALL_BURST + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report__plain_values_stand_bare_others_quoted_and_escaped),
        cmocka_unit_test(test_report__long_value_is_capped),
        cmocka_unit_test(test_report__line_that_is_too_long_is_cut_and_still_one_line),
        cmocka_unit_test(test_report__error_gives_code_rule_and_text),
        cmocka_unit_test(test_report__what_others_cause_is_told_so_often_and_then_counted),
    };
    return cmocka_run_group_tests_name("node-report", tests, NULL, NULL);
}
