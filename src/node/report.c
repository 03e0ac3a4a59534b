#include "node/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { VALUE_MAX_BYTES = 200 };

static void put(ent_report *report, const char *string)
{
    size_t size = strlen(string);
    size_t room = sizeof report->line - 2 - report->used; /* a newline must fit */
    if (size > room)
        size = room;
    memcpy(report->line + report->used, string, size);
    report->used += size;
}

ent_report ent_report_begin(const char *event)
{
    ent_report report = {.used = 0};
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(ent_clock_unix_s(), time);
    put(&report, "time=");
    put(&report, time);
    put(&report, " event=");
    put(&report, event);
    return report;
}

static bool bare(ent_text value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return value.size > 0;
}

void ent_report_text(ent_report *report, const char *key, ent_text value)
{
    char piece[8] = {0};
    bool cut = value.size > VALUE_MAX_BYTES;
    if (cut)
        value.size = VALUE_MAX_BYTES;
    put(report, " ");
    put(report, key);
    put(report, "=");
    bool plain = bare(value);
    if (!plain)
        put(report, "\"");
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            (void)snprintf(piece, sizeof piece, "\\x%02x", c);
        else
            (void)snprintf(piece, sizeof piece, "%c", c);
        put(report, piece);
    }
    if (cut)
        put(report, "...");
    if (!plain)
        put(report, "\"");
}

void ent_report_string(ent_report *report, const char *key, const char *value)
{
    ent_report_text(report, key, ent_text_of(value));
}

void ent_report_number(ent_report *report, const char *key, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64, value);
    ent_report_string(report, key, digits);
}

void ent_report_error(ent_report *report, const ent_err *err)
{
    ent_report_string(report, "code", ent_code_word(err->code));
    if (err->rule[0] != 0)
        ent_report_string(report, "rule", err->rule);
    ent_report_string(report, "text", err->text);
}

void ent_report_end(ent_report *report)
{
    report->line[report->used++] = '\n';
    /* One write a line, so that lines of several threads do not mix; a full or closed stderr must not stop the node. */
    ssize_t written = write(STDERR_FILENO, report->line, report->used);
    (void)written;
}

void ent_report_stop(const char *because, const ent_err *err)
{
    ent_report report = ent_report_begin("node.stopped");
    ent_report_string(&report, "because", because);
    ent_report_error(&report, err);
    ent_report_end(&report);
    _exit(ent_code_exit_status(ENT_IO));
}
