#include "cli/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cursor.h"

enum { COLUMNS_MOST = 10000 };

size_t ent_cli_point(ent_text text, uint32_t *ret_point)
{
    if (text.size == 0)
        return 0;
    uint8_t first = (uint8_t)text.data[0];
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > text.size || !ent_utf8_valid((ent_text){text.data, size}))
        return 0;
    uint32_t point = size == 1 ? first : first & (0x7fU >> size);
    for (size_t i = 1; i < size; i++)
        point = point << 6 | ((uint8_t)text.data[i] & 0x3fU);
    *ret_point = point;
    return size;
}

/* Characters that act on the terminal, or on the order and visibility of what stands around them. */
static bool is_unsafe(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0xad || point == 0x34f || point == 0x61c ||
           point == 0x115f || point == 0x1160 || point == 0x17b4 || point == 0x17b5 ||
           (point >= 0x180b && point <= 0x180f) || point == 0x200b || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) || point == 0x3164 ||
           point == 0xfeff || point == 0xffa0 || (point >= 0xfff0 && point <= 0xfffb) ||
           (point >= 0xe0000 && point <= 0xe0fff) || (point & 0xfffe) == 0xfffe;
}

/* Whether a joiner (U+200C, U+200D) may follow: Persian, the scripts of India and others cannot be written without
 * them, and emoji are put together by U+200D. Anywhere else it only makes two words that look alike differ. */
static bool takes_joiner(uint32_t before, uint32_t joiner)
{
    if ((before >= 0x600 && before <= 0xfff) || (before >= 0x1000 && before <= 0x109f) ||
        (before >= 0x1780 && before <= 0x18af) || (before >= 0xa840 && before <= 0xabff) ||
        (before >= 0xfb50 && before <= 0xfefc))
        return true;
    return joiner == 0x200d &&
           ((before >= 0x2600 && before <= 0x27bf) || before == 0xfe0f || (before >= 0x1f000 && before <= 0x1faff));
}

static bool is_hidden(uint32_t before, uint32_t point)
{
    if (point == 0x200c || point == 0x200d)
        return !takes_joiner(before, point);
    return is_unsafe(point);
}

static void put_point(ent_buf *buf, uint32_t before, uint32_t point, ent_text as_written)
{
    if (point == '\n')
        ent_buf_put_string(buf, "\\n");
    else if (point == '\t')
        ent_buf_put_string(buf, "\\t");
    else if (point == '\r')
        ent_buf_put_string(buf, "\\r");
    else if (is_hidden(before, point))
        ent_buf_put_format(buf, "\\u{%04x}", point);
    else
        ent_buf_put_text(buf, as_written);
}

static void put_safe(ent_buf *buf, ent_text text, bool is_block, unsigned indent)
{
    uint32_t before = 0;
    while (text.size > 0) {
        uint32_t point = 0;
        size_t size = ent_cli_point(text, &point);
        if (size == 0) {
            ent_buf_put_format(buf, "\\x%02x", (unsigned)(uint8_t)text.data[0]);
            size = 1;
        } else if (is_block && point == '\n') {
            bool blank = text.size > 1 && (text.data[1] == '\n' || text.data[1] == '\r');
            ent_buf_put_format(buf, "\n%*s", blank || text.size == 1 ? 0 : (int)indent, "");
        } else if (is_block && point == '\r' && text.size > 1 && text.data[1] == '\n') {
            /* Line ends of other systems; a lone one would overwrite the line. */
        } else if (is_block && point == '\t') {
            ent_buf_put_u8(buf, '\t');
        } else {
            put_point(buf, before, point, (ent_text){text.data, size});
        }
        before = point;
        text.data += size;
        text.size -= size;
    }
}

void ent_cli_put_line(ent_buf *buf, ent_text text)
{
    put_safe(buf, text, false, 0);
}

void ent_cli_put_block(ent_buf *buf, ent_text text, unsigned indent)
{
    put_safe(buf, text, true, indent);
}

void ent_cli_put_json(ent_buf *buf, ent_text json)
{
    uint32_t before = 0;
    while (json.size > 0) {
        uint32_t point = 0;
        size_t size = ent_cli_point(json, &point);
        if (size == 0) {
            ent_buf_put_string(buf, "\xef\xbf\xbd");
            size = 1;
        } else if (point < 0x80 && point != 0x7f) {
            ent_buf_put_u8(buf, (uint8_t)point); /* controls cannot stand in JSON but as white space */
        } else if (!is_hidden(before, point)) {
            ent_buf_put_text(buf, (ent_text){json.data, size});
        } else if (point < 0x10000) {
            ent_buf_put_format(buf, "\\u%04x", point);
        } else {
            ent_buf_put_format(buf, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
                               0xdc00 + ((point - 0x10000) & 0x3ff));
        }
        before = point;
        json.data += size;
        json.size -= size;
    }
}

size_t ent_cli_width(ent_text text)
{
    size_t columns = 0;
    while (text.size > 0) {
        uint32_t point = 0;
        size_t size = ent_cli_point(text, &point);
        columns += size == 0 ? 1 : ent_cli_point_width(point);
        size += size == 0;
        text.data += size;
        text.size -= size;
    }
    return columns;
}

size_t ent_cli_put_fitted(ent_buf *buf, ent_text text, size_t columns)
{
    size_t whole = ent_cli_width(text);
    size_t used = 0;
    if (whole <= columns) {
        ent_buf_put_text(buf, text);
        return whole;
    }
    if (columns == 0)
        return 0;
    while (text.size > 0) {
        uint32_t point = 0;
        size_t size = ent_cli_point(text, &point);
        unsigned width = size == 0 ? 1 : ent_cli_point_width(point);
        size += size == 0;
        if (used + width > columns - 1)
            break;
        ent_buf_put_text(buf, (ent_text){text.data, size});
        used += width;
        text.data += size;
        text.size -= size;
    }
    ent_buf_put_string(buf, "\xe2\x80\xa6");
    return used + 1;
}

void ent_cli_put_style(ent_buf *buf, bool colour, ent_cli_style style)
{
    static const char *const codes[] = {
        [ENT_CLI_PLAIN] = "\033[0m",  [ENT_CLI_BOLD] = "\033[1m",      [ENT_CLI_FAINT] = "\033[2m",
        [ENT_CLI_GREEN] = "\033[32m", [ENT_CLI_YELLOW] = "\033[1;33m", [ENT_CLI_RED] = "\033[1;31m",
    };
    if (colour)
        ent_buf_put_string(buf, codes[style]);
}

ent_cli_style ent_cli_urgency_style(ent_text urgency)
{
    if (ent_text_is(urgency, "flash"))
        return ENT_CLI_RED;
    if (ent_text_is(urgency, "immediate"))
        return ENT_CLI_YELLOW;
    return ent_text_is(urgency, "priority") ? ENT_CLI_BOLD : ENT_CLI_PLAIN;
}

void ent_cli_look_at_terminal(ent_cli *cli)
{
    struct winsize size = {0};
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    const char *columns = getenv("COLUMNS");
    uint64_t wanted = 0;
    if (!isatty(STDOUT_FILENO)) {
        if (columns != NULL && ent_decimal_parse(ent_text_of(columns), COLUMNS_MOST, &wanted))
            cli->width = (unsigned)wanted;
        return;
    }
    cli->width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    /* no-color.org: "when present and not an empty string (regardless of its value), prevents the addition of ANSI
     * color" */
    cli->colour = (no_colour == NULL || no_colour[0] == 0) && (term == NULL || strcmp(term, "dumb") != 0);
}
