/* Deadlines in service hours and around suspensions, held against a count of every single second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/calendar.h"

static int64_t at(const char *text)
{
    int64_t time = 0;
    assert_true(ent_time_parse(ent_text_of(text), &time));
    return time;
}

static void assert_time(int64_t time, const char *expected)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(time, text);
    assert_string_equal(text, expected);
}

#define HOUR 3600U
#define DAY(n) ((n) * (uint32_t)ENT_DAY_S)

/* Monday to Friday, 06:00 to 16:00. */
static const ent_week_interval office[] = {
    {DAY(0) + 6 * HOUR, DAY(0) + 16 * HOUR}, {DAY(1) + 6 * HOUR, DAY(1) + 16 * HOUR},
    {DAY(2) + 6 * HOUR, DAY(2) + 16 * HOUR}, {DAY(3) + 6 * HOUR, DAY(3) + 16 * HOUR},
    {DAY(4) + 6 * HOUR, DAY(4) + 16 * HOUR},
};
static const ent_service_hours office_hours = {office, 5, 5 * 10 * HOUR};
static const ent_week_interval whole[] = {{0, ENT_WEEK_S}};
static const ent_service_hours whole_week = {whole, 1, ENT_WEEK_S};

static void test_calendar__no_hours_is_plain_addition(void **state)
{
    (void)state;
    assert_int_equal(ent_calendar_advance(1000, 500, NULL, NULL, 0), 1500);
    assert_int_equal(ent_calendar_advance(-1000, 500, NULL, NULL, 0), -500);
    assert_int_equal(ent_calendar_advance(77, 0, NULL, NULL, 0), 77);
    assert_int_equal(ent_calendar_advance(77, 0, &office_hours, NULL, 0), 77);
    assert_int_equal(ent_calendar_elapsed(1000, 1500, NULL, NULL, 0), 500);
    assert_int_equal(ent_calendar_elapsed(1500, 1000, NULL, NULL, 0), 0);
    assert_int_equal(ent_calendar_elapsed(1500, 1500, &office_hours, NULL, 0), 0);
    assert_int_equal(ent_calendar_advance(1000, 500, &whole_week, NULL, 0), 1500);
}

static void test_calendar__leap_day_counted(void **state)
{
    (void)state;
    assert_time(ent_calendar_advance(at("2024-02-28T12:00:00Z"), ENT_DAY_S, NULL, NULL, 0), "2024-02-29T12:00:00Z");
    assert_time(ent_calendar_advance(at("2023-02-28T12:00:00Z"), ENT_DAY_S, NULL, NULL, 0), "2023-03-01T12:00:00Z");
    assert_time(ent_calendar_advance(at("1900-02-28T12:00:00Z"), ENT_DAY_S, NULL, NULL, 0), "1900-03-01T12:00:00Z");
    /* 2024-02-29 is a Thursday: ten hours of it count. */
    assert_time(ent_calendar_advance(at("2024-02-28T16:00:00Z"), 10 * HOUR + 1, &office_hours, NULL, 0),
                "2024-03-01T06:00:01Z");
}

static void test_calendar__week_borders(void **state)
{
    (void)state;
    /* 2021-06-04 is a Friday. */
    assert_time(ent_calendar_advance(at("2021-06-04T15:00:00Z"), 2 * HOUR, &office_hours, NULL, 0),
                "2021-06-07T07:00:00Z");
    assert_time(ent_calendar_advance(at("2021-06-05T12:00:00Z"), 1, &office_hours, NULL, 0), "2021-06-07T06:00:01Z");
    assert_time(ent_calendar_advance(at("2021-06-06T23:59:59Z"), HOUR, &office_hours, NULL, 0), "2021-06-07T07:00:00Z");
    assert_time(ent_calendar_advance(at("2021-12-31T15:30:00Z"), HOUR, &office_hours, NULL, 0), "2022-01-03T06:30:00Z");
    /* What ends with the hours ends then, not on the next opening. */
    assert_time(ent_calendar_advance(at("2021-06-04T15:00:00Z"), HOUR, &office_hours, NULL, 0), "2021-06-04T16:00:00Z");
    assert_time(ent_calendar_advance(at("2021-06-07T06:00:00Z"), 50 * HOUR, &office_hours, NULL, 0),
                "2021-06-11T16:00:00Z");
    assert_int_equal(
        ent_calendar_elapsed(at("2021-06-04T15:00:00Z"), at("2021-06-07T07:00:00Z"), &office_hours, NULL, 0), 2 * HOUR);
}

static void test_calendar__until_midnight_meets_next_day(void **state)
{
    (void)state;
    /* Sunday 20:00 to 24:00 and Monday 00:00 to 04:00: over the end of the week. */
    static const ent_week_interval night[] = {{0, 4 * HOUR}, {DAY(6) + 20 * HOUR, ENT_WEEK_S}};
    const ent_service_hours hours = {night, 2, 8 * HOUR};
    assert_time(ent_calendar_advance(at("2021-06-06T21:00:00Z"), 5 * HOUR, &hours, NULL, 0), "2021-06-07T02:00:00Z");
    assert_time(ent_calendar_advance(at("2021-06-06T21:00:00Z"), 3 * HOUR, &hours, NULL, 0), "2021-06-07T00:00:00Z");
    assert_time(ent_calendar_advance(at("2021-06-07T04:00:00Z"), 1, &hours, NULL, 0), "2021-06-13T20:00:01Z");
    assert_int_equal(ent_calendar_elapsed(at("2021-06-06T00:00:00Z"), at("2021-06-08T00:00:00Z"), &hours, NULL, 0),
                     8 * HOUR);
}

static void test_calendar__frozen_time_does_not_count(void **state)
{
    (void)state;
    const ent_interval frozen[] = {{100, 200}, {300, 400}};
    assert_int_equal(ent_calendar_advance(50, 50, NULL, frozen, 2), 100);
    assert_int_equal(ent_calendar_advance(50, 51, NULL, frozen, 2), 201);
    assert_int_equal(ent_calendar_advance(50, 151, NULL, frozen, 2), 401);
    assert_int_equal(ent_calendar_advance(150, 1, NULL, frozen, 2), 201);
    assert_int_equal(ent_calendar_advance(200, 100, NULL, frozen, 2), 300);
    assert_int_equal(ent_calendar_advance(400, 7, NULL, frozen, 2), 407);
    assert_int_equal(ent_calendar_elapsed(50, 500, NULL, frozen, 2), 250);
    assert_int_equal(ent_calendar_elapsed(150, 160, NULL, frozen, 2), 0);
    assert_int_equal(ent_calendar_elapsed(150, 250, NULL, frozen, 2), 50);
}

static void test_calendar__open_freeze_never_ends(void **state)
{
    (void)state;
    const ent_interval frozen[] = {{100, 200}, {300, INT64_MAX}};
    assert_int_equal(ent_calendar_advance(0, 200, NULL, frozen, 2), 300);
    assert_int_equal(ent_calendar_advance(0, 201, NULL, frozen, 2), ENT_CALENDAR_NEVER);
    assert_int_equal(ent_calendar_advance(350, 1, NULL, frozen, 2), ENT_CALENDAR_NEVER);
    assert_int_equal(ent_calendar_advance(350, 0, NULL, frozen, 2), 350);
    assert_int_equal(ent_calendar_elapsed(0, INT64_MAX, NULL, frozen, 2), 200);
}

static void test_calendar__extremes_clamped(void **state)
{
    (void)state;
    const ent_service_hours none = {NULL, 0, 0};
    const ent_interval all[] = {{INT64_MIN, INT64_MAX}};
    assert_int_equal(ent_calendar_advance(ENT_TIME_MAX_UNIX_S - 5, 6, NULL, NULL, 0), ENT_TIME_MAX_UNIX_S);
    assert_int_equal(ent_calendar_advance(0, UINT64_MAX, NULL, NULL, 0), ENT_TIME_MAX_UNIX_S);
    assert_int_equal(ent_calendar_advance(0, UINT64_MAX, &office_hours, NULL, 0), ENT_TIME_MAX_UNIX_S);
    assert_int_equal(ent_calendar_advance(INT64_MAX, 1, NULL, NULL, 0), ENT_TIME_MAX_UNIX_S);
    assert_time(ent_calendar_advance(INT64_MIN, 1, NULL, NULL, 0), "0000-01-01T00:00:01Z");
    assert_int_equal(ent_calendar_advance(0, 1, &none, NULL, 0), ENT_CALENDAR_NEVER);
    assert_int_equal(ent_calendar_elapsed(INT64_MIN, INT64_MAX, &none, NULL, 0), 0);
    assert_int_equal(ent_calendar_elapsed(INT64_MIN, INT64_MAX, NULL, NULL, 0),
                     (uint64_t)(ENT_TIME_MAX_UNIX_S + 62167219200LL));
    assert_int_equal(ent_calendar_elapsed(INT64_MIN, INT64_MAX, &office_hours, all, 1), 0);
    assert_int_equal(ent_calendar_advance(0, 1, NULL, all, 1), ENT_CALENDAR_NEVER);
    /* 2^31 - 1 seconds of one second a week: 41 million years. */
    const ent_week_interval second[] = {{5, 6}};
    const ent_service_hours sparse = {second, 1, 1};
    assert_int_equal(ent_calendar_advance(0, INT32_MAX, &sparse, NULL, 0), ENT_TIME_MAX_UNIX_S);
    assert_int_equal(ent_calendar_advance(0, INT32_MAX, &whole_week, NULL, 0), INT32_MAX);
}

/* --- against every single second --- */

static uint64_t seed = 0x9e3779b97f4a7c15U;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t below(uint64_t limit)
{
    return next_random() % limit;
}

enum { MOST_INTERVALS = 6 };

typedef struct {
    ent_week_interval intervals[MOST_INTERVALS];
    ent_service_hours hours;
    bool has_hours;
    ent_interval frozen[MOST_INTERVALS];
    size_t frozen_count;
} scene;

static void random_scene(scene *s, int64_t start)
{
    uint32_t second = 0;
    int64_t moment = start - 2000 + (int64_t)below(3000);
    *s = (scene){.has_hours = below(4) != 0};
    for (size_t i = 0; i < MOST_INTERVALS; i++) {
        uint32_t from = second + (uint32_t)below(ENT_WEEK_S / MOST_INTERVALS / 2);
        uint32_t until = from + 1 + (uint32_t)below(below(2) == 0 ? 900 : ENT_WEEK_S / MOST_INTERVALS / 2 - 1);
        s->intervals[i] = (ent_week_interval){from, until};
        s->hours.total_s += until - from;
        second = until;
    }
    s->hours.intervals = s->intervals;
    s->hours.count = MOST_INTERVALS;
    s->frozen_count = below(MOST_INTERVALS + 1);
    for (size_t i = 0; i < s->frozen_count; i++) {
        int64_t until = moment + 1 + (int64_t)below(40000);
        s->frozen[i] = (ent_interval){moment, until};
        moment = until + 1 + (int64_t)below(40000);
    }
    if (s->frozen_count > 0 && below(4) == 0)
        s->frozen[s->frozen_count - 1].until = INT64_MAX;
}

static bool counts(const scene *s, int64_t second)
{
    /* 1970-01-05 was a Monday; the times here are after it. */
    uint32_t in_week = (uint32_t)((second - 4 * ENT_DAY_S) % ENT_WEEK_S);
    bool in_hours = !s->has_hours;
    for (size_t i = 0; s->has_hours && i < MOST_INTERVALS; i++)
        in_hours |= in_week >= s->intervals[i].from_s && in_week < s->intervals[i].until_s;
    for (size_t i = 0; i < s->frozen_count; i++)
        in_hours &= second < s->frozen[i].from || second >= s->frozen[i].until;
    return in_hours;
}

static void test_calendar__equals_a_count_of_seconds(void **state)
{
    (void)state;
    enum { ROUNDS = 40, SPAN = 2 * ENT_WEEK_S };
    for (int round = 0; round < ROUNDS; round++) {
        scene s;
        int64_t start = at("2021-01-01T00:00:00Z") + (int64_t)below(400 * (uint64_t)ENT_DAY_S);
        random_scene(&s, start);
        const ent_service_hours *hours = s.has_hours ? &s.hours : NULL;
        uint64_t counted = 0;
        for (int64_t now = start; now < start + SPAN; now++) {
            if (now % 61 == 0)
                assert_int_equal(ent_calendar_elapsed(start, now, hours, s.frozen, s.frozen_count), counted);
            if (!counts(&s, now))
                continue;
            counted++;
            if (counted < 20 || counted % 37 == 0)
                assert_int_equal(ent_calendar_advance(start, counted, hours, s.frozen, s.frozen_count), now + 1);
        }
        assert_int_equal(ent_calendar_elapsed(start, start + SPAN, hours, s.frozen, s.frozen_count), counted);
    }
}

static void test_calendar__inverse_over_decades(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        scene s;
        int64_t start = at("1990-01-01T00:00:00Z") + (int64_t)below(UINT32_MAX);
        uint64_t seconds = 1 + below(INT32_MAX);
        random_scene(&s, start);
        const ent_service_hours *hours = s.has_hours ? &s.hours : NULL;
        int64_t due = ent_calendar_advance(start, seconds, hours, s.frozen, s.frozen_count);
        if (due == ENT_CALENDAR_NEVER) {
            assert_int_equal(s.frozen[s.frozen_count - 1].until, INT64_MAX);
            assert_true(ent_calendar_elapsed(start, INT64_MAX, hours, s.frozen, s.frozen_count) < seconds);
            continue;
        }
        if (due == ENT_TIME_MAX_UNIX_S) {
            assert_true(ent_calendar_elapsed(start, due, hours, s.frozen, s.frozen_count) <= seconds);
            continue;
        }
        /* Earliest: a second less does not do. */
        assert_int_equal(ent_calendar_elapsed(start, due, hours, s.frozen, s.frozen_count), seconds);
        assert_int_equal(ent_calendar_elapsed(start, due - 1, hours, s.frozen, s.frozen_count), seconds - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar__no_hours_is_plain_addition),
        cmocka_unit_test(test_calendar__leap_day_counted),
        cmocka_unit_test(test_calendar__week_borders),
        cmocka_unit_test(test_calendar__until_midnight_meets_next_day),
        cmocka_unit_test(test_calendar__frozen_time_does_not_count),
        cmocka_unit_test(test_calendar__open_freeze_never_ends),
        cmocka_unit_test(test_calendar__extremes_clamped),
        cmocka_unit_test(test_calendar__equals_a_count_of_seconds),
        cmocka_unit_test(test_calendar__inverse_over_decades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
