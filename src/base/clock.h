/* Times. Pure stages get a time as an argument; only programs ask the clock. */
#ifndef ENT_BASE_CLOCK_H
#define ENT_BASE_CLOCK_H

#include "base/bytes.h"

enum { ENT_TIME_TEXT_SIZE = 20 };

/** Largest time that has the form below: 9999-12-31T23:59:59Z. */
#define ENT_TIME_MAX_UNIX_S 253402300799LL

/** Write `YYYY-MM-DDThh:mm:ssZ` and a NUL; times outside the years 0000-9999 are clamped.
 *  Source: RFC 3339, section 5.6, UTC only. */
void ent_time_format(int64_t unix_s, char ret_text[ENT_TIME_TEXT_SIZE + 1]);
/** Parse exactly that form; false when it is not, or names a day that does not exist (leap seconds are refused). */
bool ent_time_parse(ent_text text, int64_t *ret_unix_s);

/** Wall clock in seconds since 1970-01-01T00:00:00Z. */
int64_t ent_clock_unix_s(void);
/** Monotonic clock for timeouts. */
int64_t ent_clock_monotonic_ms(void);

#endif
