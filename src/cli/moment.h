/* Times and spans as people give and read them. */
#ifndef ENT_CLI_MOMENT_H
#define ENT_CLI_MOMENT_H

#include "base/clock.h"
#include "cli/cli.h"

/** Value of an option that takes a time in UTC (RFC 3339), or a day, which stands for its beginning.
 *  @out  ret_text   its memory: what the API takes
 *  @out  ret        ret_text, or NULL when the option was not given
 *  Errors: USAGE saying what it looks like. */
ENT_RC ent_cli_time(const ent_cli *cli, const char *name, char ret_text[ENT_TIME_TEXT_SIZE + 1], const char **ret,
                    ent_err *err);

/** Append a span exactly: "24 h", "72 h", "30 d", "1 h 30 min", "90 s" as "1 min 30 s"; days begin after 72 hours. */
void ent_cli_put_span(ent_buf *buf, uint64_t seconds);
/** Append it by its two largest units. */
void ent_cli_put_about(ent_buf *buf, uint64_t seconds);
/** Append "in 3 h", "2 h 10 min ago" or "now". */
void ent_cli_put_distance(ent_buf *buf, int64_t unix_s, int64_t now_unix_s);

#endif
