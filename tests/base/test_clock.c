#include "testing.h"

#include "base/clock.h"

static const struct {
    int64_t unix_s;
    const char *text;
} known[] = {
    {0, "1970-01-01T00:00:00Z"},
    {-1, "1969-12-31T23:59:59Z"},
    {951782400, "2000-02-29T00:00:00Z"},
    {1679315147, "2023-03-20T12:25:47Z"},
    {1700000000, "2023-11-14T22:13:20Z"},
    {1709251199, "2024-02-29T23:59:59Z"},
    {2147483648, "2038-01-19T03:14:08Z"},
    {4107542400, "2100-03-01T00:00:00Z"},
    {-62135596800, "0001-01-01T00:00:00Z"},
    {-62167219200, "0000-01-01T00:00:00Z"},
    {ENT_TIME_MAX_UNIX_S, "9999-12-31T23:59:59Z"},
};

static void test_time__known_times_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[ENT_TIME_TEXT_SIZE + 1];
        int64_t unix_s = 0;
        ent_time_format(known[i].unix_s, text);
        assert_string_equal(text, known[i].text);
        assert_true(ent_time_parse(ent_text_of(known[i].text), &unix_s));
        assert_true(unix_s == known[i].unix_s);
    }
}

static void test_time__days_round_trip(void **state)
{
    (void)state;
    char before[ENT_TIME_TEXT_SIZE + 1] = "";
    const int64_t last = ENT_TIME_MAX_UNIX_S / 86400;
    /* every day of the years 1889 to 2248, each thirteenth of the others */
    for (int64_t day = -62167219200 / 86400; day <= last; day += day > -30000 && day < 102000 ? 1 : 13) {
        char text[ENT_TIME_TEXT_SIZE + 1];
        int64_t unix_s = 0;
        int64_t wanted = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        ent_time_format(wanted, text);
        if (!ent_time_parse((ent_text){text, ENT_TIME_TEXT_SIZE}, &unix_s) || unix_s != wanted)
            fail_msg("%s does not round trip", text);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof before);
    }
}

static void test_time__outside_is_clamped(void **state)
{
    (void)state;
    char text[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    ent_time_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00Z");
}

static void test_time__other_forms_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2023-03-20T12:25:47",
        "2023-03-20T12:25:47z",
        "2023-03-20t12:25:47Z",
        "2023-03-20 12:25:47Z",
        "2023-03-20T12:25:47+00:00",
        "2023-03-20T12:25:47.0Z",
        " 2023-03-20T12:25:47Z",
        "2023-03-20T12:25:47Z ",
        "2023-3-20T12:25:47Z0",
        "2023/03/20T12:25:47Z",
        "2023-00-20T12:25:47Z",
        "2023-13-20T12:25:47Z",
        "2023-03-00T12:25:47Z",
        "2023-03-32T12:25:47Z",
        "2023-04-31T12:25:47Z",
        "2023-02-29T12:25:47Z",
        "1900-02-29T12:25:47Z",
        "2023-03-20T24:00:00Z",
        "2023-03-20T12:60:47Z",
        "2016-12-31T23:59:60Z", /* a leap second */
        "-023-03-20T12:25:47Z",
        "2023-03-20T12:25:4\xb2Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t unix_s = 42;
        if (ent_time_parse(ent_text_of(bad[i]), &unix_s))
            fail_msg("time was not refused: %s", bad[i]);
        assert_true(unix_s == 42);
    }
}

static void test_clock__goes_forward(void **state)
{
    (void)state;
    int64_t first = ent_clock_monotonic_ms();
    assert_true(ent_clock_monotonic_ms() >= first);
    assert_true(ent_clock_unix_s() > 1700000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time__known_times_both_ways), cmocka_unit_test(test_time__days_round_trip),
        cmocka_unit_test(test_time__outside_is_clamped),    cmocka_unit_test(test_time__other_forms_are_refused),
        cmocka_unit_test(test_clock__goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
