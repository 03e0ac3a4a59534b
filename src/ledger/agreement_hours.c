/* Service hours: rows of days and times become the intervals of one week, sorted, those that touch made one. */
#include "ledger/agreement_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAYS = 7, WHERE_SIZE = 128 };

static const char *const day_words[DAYS] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HH:MM" to seconds of the day; 24:00 as well when it ends a span. */
static bool time_of_day(ent_text text, bool ends, uint32_t *ret_s)
{
    const char *c = text.data;
    if (text.size != 5 || !is_digit(c[0]) || !is_digit(c[1]) || c[2] != ':' || !is_digit(c[3]) || !is_digit(c[4]))
        return false;
    uint32_t hour = (uint32_t)(c[0] - '0') * 10 + (uint32_t)(c[1] - '0');
    uint32_t minute = (uint32_t)(c[3] - '0') * 10 + (uint32_t)(c[4] - '0');
    if (minute > 59 || hour > 24 || (hour == 24 && (minute != 0 || !ends)))
        return false;
    *ret_s = hour * 3600 + minute * 60;
    return true;
}

/* The span of one row, in seconds of the day. */
static ent_rc read_span(ent_json_value row, const char *where, ent_week_interval *ret, ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    char other[AGREEMENT_SHOWN_SIZE];
    ent_text from = ent_json_string(ent_json_get(row, "from"));
    ent_text until = ent_json_string(ent_json_get(row, "until"));
    ent_week_interval span = {0, 0};
    if (!time_of_day(from, false, &span.from_s))
        return agreement_refuse(err, "%s.from: \"%s\" given, expected HH:MM, 00:00 to 23:59 (UTC)", where,
                                agreement_show(from, shown));
    if (!time_of_day(until, true, &span.until_s))
        return agreement_refuse(err, "%s.until: \"%s\" given, expected HH:MM, 00:01 to 24:00 (UTC)", where,
                                agreement_show(until, shown));
    if (span.until_s <= span.from_s)
        return agreement_refuse(err,
                                "%s.until: \"%s\" given, expected later than from, \"%s\"; a span over midnight is two "
                                "rows",
                                where, agreement_show(until, shown), agreement_show(from, other));
    *ret = span;
    return ENT_DONE;
}

static uint32_t day_of(ent_text word)
{
    uint32_t day = 0;
    while (day < DAYS - 1 && !ent_text_is(word, day_words[day]))
        day++;
    return day;
}

static int by_start(const void *a, const void *b)
{
    uint32_t x = ((const ent_week_interval *)a)->from_s;
    uint32_t y = ((const ent_week_interval *)b)->from_s;
    return (x > y) - (x < y);
}

/* Sort, refuse what overlaps, join what touches: equal hours are then equal intervals however they were written. */
static ent_rc join(ent_week_interval *intervals, size_t count, ent_text party, ent_service_hours *ret, ent_err *err)
{
    size_t kept = 0;
    uint32_t total = 0;
    qsort(intervals, count, sizeof *intervals, by_start);
    for (size_t i = 0; i < count; i++) {
        uint32_t from = intervals[i].from_s;
        if (kept > 0 && from < intervals[kept - 1].until_s) {
            uint32_t of_day = from % ENT_DAY_S;
            return agreement_refuse(
                err,
                "service_hours.%.*s: two rows overlap on %s at %02u:%02u; each moment stands in one "
                "row",
                ENT_TEXT_ARG(party), day_words[from / ENT_DAY_S], of_day / 3600, of_day / 60 % 60);
        }
        total += intervals[i].until_s - from;
        if (kept > 0 && from == intervals[kept - 1].until_s)
            intervals[kept - 1].until_s = intervals[i].until_s;
        else
            intervals[kept++] = intervals[i];
    }
    *ret = (ent_service_hours){.intervals = intervals, .count = kept, .total_s = total};
    return ENT_DONE;
}

static ent_rc read_party(ent_json_value rows, ent_agreement *agreement, ent_text party, ent_service_hours *ret,
                         ent_err *err)
{
    char where[WHERE_SIZE];
    size_t count = 0;
    size_t row = 0;
    ent_week_interval *intervals = agreement_array(agreement, ent_json_count(rows) * DAYS, sizeof *intervals);
    if (intervals == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for service hours");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i); row++) {
        ent_week_interval span;
        (void)snprintf(where, sizeof where, "service_hours.%.*s[%zu]", ENT_TEXT_ARG(party), row);
        ENT_TRY(read_span(i.value, where, &span, err));
        for (ent_json_iter d = ent_json_iterate(ent_json_get(i.value, "days")); ent_json_next(&d);) {
            uint32_t midnight = day_of(ent_json_string(d.value)) * ENT_DAY_S;
            intervals[count++] = (ent_week_interval){midnight + span.from_s, midnight + span.until_s};
        }
    }
    return join(intervals, count, party, ret, err);
}

static ent_rc unknown_party(const ent_agreement *agreement, ent_text given, ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    ENT_CLEANUP(ent_buf_release) ent_buf names = {.limit = 320};
    for (size_t i = 0; i < agreement->party_count; i++) {
        ent_buf_put_string(&names, i == 0 ? "" : ", ");
        ent_buf_put_text(&names, agreement->parties[i]);
    }
    const char *list = ent_buf_string(&names);
    return agreement_refuse(err, "service_hours: \"%s\" given, expected one of the parties: %s",
                            agreement_show(given, shown), list == NULL ? "those above" : list);
}

static int by_party(const void *a, const void *b)
{
    return ent_text_compare(((const ent_party_hours *)a)->party, ((const ent_party_hours *)b)->party);
}

ent_rc agreement_read_hours(ent_json_value value, ent_agreement *ret, ent_err *err)
{
    size_t at = 0;
    ent_party_hours *rows = agreement_array(ret, ret->party_count, sizeof *rows);
    if (rows == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for service hours");
    /* Keys differ from each other and each is a party, so there are no more rows than parties. */
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); at++) {
        int party = agreement_find_text(ret->parties, ret->party_count, i.key);
        if (party < 0)
            return unknown_party(ret, i.key, err);
        rows[at].party = ret->parties[party];
        ENT_TRY(read_party(i.value, ret, rows[at].party, &rows[at].hours, err));
    }
    qsort(rows, at, sizeof *rows, by_party);
    ret->service_hours = rows;
    ret->service_hours_count = at;
    return ENT_DONE;
}
