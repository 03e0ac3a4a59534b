/* The arithmetic of deadlines: seconds that count only inside service hours and outside frozen intervals. Integers
 * alone: no clock, no time zone, no locale.  Source: design.md section 5. */
#ifndef ENT_LEDGER_CALENDAR_H
#define ENT_LEDGER_CALENDAR_H

#include "base/clock.h"

enum { ENT_DAY_S = 86400, ENT_WEEK_S = 7 * 86400 };

/** What ent_calendar_advance gives when the time never comes: later than every time there is. */
#define ENT_CALENDAR_NEVER INT64_MAX

/** Seconds of the week [from_s, until_s), counted from Monday 00:00 UTC; 0 <= from_s < until_s <= ENT_WEEK_S. */
typedef struct {
    uint32_t from_s;
    uint32_t until_s;
} ent_week_interval;

/** Service hours of a party, the same every week. */
typedef struct {
    const ent_week_interval *intervals; /* sorted and disjoint; two may touch */
    size_t count;
    uint32_t total_s; /* sum of their lengths */
} ent_service_hours;

/** A span of time [from, until); until = INT64_MAX means that it has not ended. */
typedef struct {
    int64_t from;
    int64_t until;
} ent_interval;

/** Find the earliest moment by which `seconds` seconds that count have passed since start.
 *  Times outside the years 0000-9999 are clamped, the result too (ENT_TIME_MAX_UNIX_S). A deadline that ends with the
 *  service hours falls on their end, not on the next opening; zero seconds are over at start.
 *  @in   hours    nullable: every second counts
 *  @in   frozen   sorted and disjoint; seconds inside do not count; nullable when frozen_count is 0
 *  @out  ENT_CALENDAR_NEVER while an interval that has not ended stands in the way, or when the hours are empty */
int64_t ent_calendar_advance(int64_t start, uint64_t seconds, const ent_service_hours *hours,
                             const ent_interval *frozen, size_t frozen_count);

/** Count the seconds of [start, end) that count: the inverse of ent_calendar_advance. 0 when end is not after start. */
uint64_t ent_calendar_elapsed(int64_t start, int64_t end, const ent_service_hours *hours, const ent_interval *frozen,
                              size_t frozen_count);

#endif
