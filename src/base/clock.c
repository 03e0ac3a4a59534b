#include "base/clock.h"

#include <time.h>

enum { SECONDS_A_DAY = 86400 };

/* Days since 1970-01-01 of a proleptic Gregorian date; the year starts in March so that the leap day is its last. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static void put_digits(char *out, int count, int number)
{
    for (int i = count; i > 0; i--, number /= 10)
        out[i - 1] = (char)('0' + number % 10);
}

void ent_time_format(int64_t unix_s, char ret_text[ENT_TIME_TEXT_SIZE + 1])
{
    const int64_t earliest = -62167219200LL; /* 0000-01-01T00:00:00Z */
    unix_s = unix_s < earliest ? earliest : unix_s > ENT_TIME_MAX_UNIX_S ? ENT_TIME_MAX_UNIX_S : unix_s;
    int64_t days = unix_s / SECONDS_A_DAY - (unix_s % SECONDS_A_DAY < 0);
    int second = (int)(unix_s - days * SECONDS_A_DAY);
    int year = 0;
    int month = 0;
    int day = 0;
    civil_from_days(days, &year, &month, &day);
    memcpy(ret_text, "0000-00-00T00:00:00Z", ENT_TIME_TEXT_SIZE); /* the ledger writes millions of these */
    put_digits(ret_text, 4, year);
    put_digits(ret_text + 5, 2, month);
    put_digits(ret_text + 8, 2, day);
    put_digits(ret_text + 11, 2, second / 3600);
    put_digits(ret_text + 14, 2, second / 60 % 60);
    put_digits(ret_text + 17, 2, second % 60);
    ret_text[ENT_TIME_TEXT_SIZE] = 0;
}

bool ent_time_parse(ent_text text, int64_t *ret_unix_s)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    if (text.size != ENT_TIME_TEXT_SIZE)
        return false;
    int64_t parts[6] = {0};
    size_t part = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (shape[i] != 'd') {
            if (c != shape[i])
                return false;
            part++;
        } else if (c < '0' || c > '9') {
            return false;
        } else {
            parts[part] = parts[part] * 10 + (c - '0');
        }
    }
    if (parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[3] > 23 || parts[4] > 59 || parts[5] > 59)
        return false;
    int64_t unix_s =
        days_from_civil(parts[0], parts[1], parts[2]) * SECONDS_A_DAY + parts[3] * 3600 + parts[4] * 60 + parts[5];
    /* A day past the end of its month comes back as another date. */
    char again[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(unix_s, again);
    if (memcmp(again, text.data, ENT_TIME_TEXT_SIZE) != 0)
        return false;
    *ret_unix_s = unix_s;
    return true;
}

int64_t ent_clock_unix_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int64_t ent_clock_monotonic_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
