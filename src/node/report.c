#include "node/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <pthread.h>
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

/* --- not too many of a kind --- */

/* FNV-1a: it need not withstand anybody, for the bound on all lines together does. */
static uint64_t mix(uint64_t digest, ent_text text)
{
    for (size_t i = 0; i < text.size; i++)
        digest = (digest ^ (unsigned char)text.data[i]) * 0x100000001b3;
    return digest;
}

static bool tells_of_failure(ent_text event)
{
    static const char *const ends[] = {"refused",       "failed",        "not-delivered", "not-said", "cannot-send",
                                       "not-confirmed", "cannot-record", "not-answered",  "damaged",  "too-many"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        ent_text end = ent_text_of(ends[i]);
        if (event.size >= end.size && memcmp(event.data + event.size - end.size, end.data, end.size) == 0)
            return true;
    }
    return false;
}

/* The lines of one event and source. */
typedef struct {
    uint64_t source;
    uint64_t suppressed;
    int64_t written_ms; /* the last one */
    unsigned left;
} line_count;

enum { SOURCES = 256, QUIET_MS = 600000 };
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static line_count of_source[SOURCES];
static unsigned left_of_all = ENT_REPORT_ALL_BURST;
static int64_t since_ms; /* when the last of all came back */

/* Of all limited lines together: one more comes back each second. */
static bool all_may_write(int64_t now_ms)
{
    int64_t come = (now_ms - since_ms) / 1000;
    if (come > 0) {
        left_of_all = come >= ENT_REPORT_ALL_BURST - (int64_t)left_of_all ? (unsigned)ENT_REPORT_ALL_BURST
                                                                          : left_of_all + (unsigned)come;
        since_ms += come * 1000;
    }
    if (left_of_all == 0)
        return false;
    left_of_all--;
    return true;
}

/* Whether the line may be written, and how many like it were not before it. */
static bool may_write(uint64_t source, uint64_t *ret_suppressed)
{
    int64_t now_ms = ent_clock_monotonic_ms();
    (void)pthread_mutex_lock(&limit_lock);
    line_count *of = &of_source[source % SOURCES];
    int64_t quiet_ms = now_ms - of->written_ms;
    if (of->source != source || quiet_ms >= QUIET_MS) /* another that had this place is bounded with all others */
        *of = (line_count){.source = source, .suppressed = of->suppressed, .left = ENT_REPORT_BURST};
    bool may = (of->left > 0 || quiet_ms >= ENT_REPORT_AGAIN_S * 1000) && all_may_write(now_ms);
    if (may) {
        *ret_suppressed = of->suppressed;
        of->suppressed = 0;
        of->written_ms = now_ms;
        of->left -= of->left > 0;
    } else {
        of->suppressed++;
    }
    (void)pthread_mutex_unlock(&limit_lock);
    return may;
}

ent_report ent_report_begin(const char *event)
{
    ent_report report = {.source = mix(0xcbf29ce484222325, ent_text_of(event)),
                         .limited = tells_of_failure(ent_text_of(event))};
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

/* Who caused it: a remote without its port, which is another each time. */
static void note_source(ent_report *report, const char *key, ent_text value)
{
    bool is_remote = strcmp(key, "remote") == 0;
    if (!is_remote && strcmp(key, "peer") != 0)
        return;
    while (is_remote && value.size > 0 && value.data[value.size - 1] != ':')
        value.size--;
    report->source = mix(report->source, value);
    report->limited = report->limited || is_remote;
}

void ent_report_text(ent_report *report, const char *key, ent_text value)
{
    char piece[8] = {0};
    note_source(report, key, value);
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
    uint64_t suppressed = 0;
    if (report->limited && !may_write(report->source, &suppressed))
        return;
    if (suppressed > 0)
        ent_report_number(report, "suppressed", suppressed);
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
