/* Structured log lines on stderr: `time=… event=pouch.refused peer=… code=…`. Peers' text is quoted and capped. */
#ifndef ENT_NODE_REPORT_H
#define ENT_NODE_REPORT_H

#include "crypto/types.h"

/** One line, built key by key and written whole by ent_report_end. */
typedef struct {
    char line[1024];
    size_t used;
} ent_report;

ent_report ent_report_begin(const char *event);
void ent_report_text(ent_report *report, const char *key, ent_text value);
void ent_report_string(ent_report *report, const char *key, const char *value);
void ent_report_number(ent_report *report, const char *key, uint64_t value);
/** code, rule and text of a failure. */
void ent_report_error(ent_report *report, const ent_err *err);
void ent_report_end(ent_report *report);

/** Report and end the process at once: "After a failed fsync the process stops; it never reads back and goes on"
 * (design.md section 8). */
_Noreturn void ent_report_stop(const char *because, const ent_err *err);

#endif
