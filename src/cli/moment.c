#include "cli/moment.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, DAYS_FROM_S = 72 * 3600 };

ent_rc ent_cli_time(const ent_cli *cli, const char *name, char ret_text[ENT_TIME_TEXT_SIZE + 1], const char **ret,
                    ent_err *err)
{
    const char *value = ent_cli_value(cli, name);
    int64_t unix_s = 0;
    *ret = NULL;
    if (value == NULL)
        return ENT_DONE;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_buf_put_string(&text, value);
    if (text.size == 10)
        ent_buf_put_string(&text, "T00:00:00Z");
    ENT_TRY(ent_buf_check(&text, err));
    if (!ent_time_parse(ent_buf_text(&text), &unix_s))
        return ent_fail(err, ENT_USAGE, "RFC 3339",
                        "%s takes a time in UTC like 2026-01-31T08:00:00Z, or a day like 2026-01-31, not \"%s\"", name,
                        value);
    ent_time_format(unix_s, ret_text);
    *ret = ret_text;
    return ENT_DONE;
}

static void put_units(ent_buf *buf, uint64_t seconds, unsigned most)
{
    static const struct {
        uint64_t seconds;
        const char *word;
    } units[] = {{DAY_S, "d"}, {HOUR_S, "h"}, {MINUTE_S, "min"}, {1, "s"}};
    unsigned written = 0;
    bool begun = false;
    for (size_t i = seconds > DAYS_FROM_S ? 0 : 1; i < sizeof units / sizeof units[0] && written < most; i++) {
        uint64_t count = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (count > 0) {
            ent_buf_put_string(buf, begun ? " " : "");
            ent_buf_put_decimal(buf, count);
            ent_buf_put_format(buf, " %s", units[i].word);
            begun = true;
        }
        written += begun; /* "3 d 5 s" has left two units out: that much is not asked for */
    }
    if (!begun)
        ent_buf_put_string(buf, "0 s");
}

void ent_cli_put_span(ent_buf *buf, uint64_t seconds)
{
    put_units(buf, seconds, 4);
}

void ent_cli_put_about(ent_buf *buf, uint64_t seconds)
{
    put_units(buf, seconds, 2);
}

void ent_cli_put_distance(ent_buf *buf, int64_t unix_s, int64_t now_unix_s)
{
    if (unix_s == now_unix_s) {
        ent_buf_put_string(buf, "now");
    } else if (unix_s > now_unix_s) {
        ent_buf_put_string(buf, "in ");
        ent_cli_put_about(buf, (uint64_t)unix_s - (uint64_t)now_unix_s);
    } else {
        ent_cli_put_about(buf, (uint64_t)now_unix_s - (uint64_t)unix_s);
        ent_buf_put_string(buf, " ago");
    }
}
