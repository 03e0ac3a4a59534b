/* Deadlines in service hours. Weeks are all alike, so time is counted by a function that says how many seconds of the
 * service hours lie before a moment, and by its inverse: neither walks days. */
#include "ledger/calendar.h"

/* A Monday 00:00 UTC before the year 0000, from which all times are counted, so that no time is negative:
 * 1969-12-29 less 102,900 weeks. */
#define ORIGIN_UNIX_S (-3LL * ENT_DAY_S - 102900LL * ENT_WEEK_S)
#define EARLIEST_UNIX_S (-62167219200LL) /* 0000-01-01T00:00:00Z */

static int64_t clamp(int64_t time)
{
    if (time < EARLIEST_UNIX_S)
        return EARLIEST_UNIX_S;
    return time > ENT_TIME_MAX_UNIX_S ? ENT_TIME_MAX_UNIX_S : time;
}

/* Seconds inside the hours from the origin to a clamped time. */
static uint64_t seconds_before(const ent_service_hours *hours, int64_t time)
{
    uint64_t since = (uint64_t)(time - ORIGIN_UNIX_S);
    if (hours == NULL)
        return since;
    uint64_t in_week = since % ENT_WEEK_S;
    uint64_t counted = since / ENT_WEEK_S * hours->total_s;
    for (size_t i = 0; i < hours->count && hours->intervals[i].from_s < in_week; i++) {
        uint64_t until = hours->intervals[i].until_s < in_week ? hours->intervals[i].until_s : in_week;
        counted += until - hours->intervals[i].from_s;
    }
    return counted;
}

/* The earliest time with that many seconds before it; the hours are not empty and counted is at least 1. */
static int64_t time_after(const ent_service_hours *hours, uint64_t counted)
{
    if (hours == NULL)
        return ORIGIN_UNIX_S + (int64_t)counted;
    uint64_t week = (counted - 1) / hours->total_s;
    uint64_t left = counted - week * hours->total_s; /* 1 … total_s */
    uint64_t in_week = 0;
    for (size_t i = 0; i < hours->count; i++) {
        uint64_t length = hours->intervals[i].until_s - hours->intervals[i].from_s;
        if (left <= length) {
            in_week = hours->intervals[i].from_s + left;
            break;
        }
        left -= length;
    }
    return ORIGIN_UNIX_S + (int64_t)(week * ENT_WEEK_S + in_week);
}

/* Index of the first frozen interval that ends after a moment. */
static size_t first_frozen_after(int64_t moment, const ent_interval *frozen, size_t count)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (frozen[middle].until <= moment)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

int64_t ent_calendar_advance(int64_t start, uint64_t seconds, const ent_service_hours *hours,
                             const ent_interval *frozen, size_t frozen_count)
{
    int64_t now = clamp(start);
    if (seconds == 0)
        return now;
    if (hours != NULL && hours->total_s == 0)
        return ENT_CALENDAR_NEVER;
    for (size_t i = first_frozen_after(now, frozen, frozen_count); i < frozen_count; i++) {
        int64_t stop = clamp(frozen[i].from);
        if (stop > now) {
            uint64_t before = seconds_before(hours, now);
            uint64_t free = seconds_before(hours, stop) - before;
            if (seconds <= free)
                return time_after(hours, before + seconds);
            seconds -= free;
        }
        if (frozen[i].until == INT64_MAX)
            return ENT_CALENDAR_NEVER;
        if (clamp(frozen[i].until) > now)
            now = clamp(frozen[i].until);
    }
    uint64_t before = seconds_before(hours, now);
    if (seconds > seconds_before(hours, ENT_TIME_MAX_UNIX_S) - before)
        return ENT_TIME_MAX_UNIX_S;
    return time_after(hours, before + seconds);
}

uint64_t ent_calendar_elapsed(int64_t start, int64_t end, const ent_service_hours *hours, const ent_interval *frozen,
                              size_t frozen_count)
{
    int64_t from = clamp(start);
    int64_t until = clamp(end);
    if (until <= from)
        return 0;
    uint64_t counted = seconds_before(hours, until) - seconds_before(hours, from);
    for (size_t i = first_frozen_after(from, frozen, frozen_count); i < frozen_count && frozen[i].from < until; i++) {
        int64_t stop = frozen[i].from > from ? frozen[i].from : from;
        int64_t again = frozen[i].until < until ? frozen[i].until : until;
        if (again > stop)
            counted -= seconds_before(hours, again) - seconds_before(hours, stop);
    }
    return counted;
}
