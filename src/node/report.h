/* Structured log lines on stderr: `time=… event=pouch.refused peer=… code=…`. Peers' text is quoted and capped. */
#ifndef ENT_NODE_REPORT_H
#define ENT_NODE_REPORT_H

#include "crypto/types.h"

enum { ENT_REPORT_BURST = 32, ENT_REPORT_AGAIN_S = 10, ENT_REPORT_ALL_BURST = 256 };

/** One line, built key by key and written whole by ent_report_end. */
typedef struct {
    char line[1024];
    size_t used;
    uint64_t source; /* digest of the event and who caused it */
    bool limited;
} ent_report;

ent_report ent_report_begin(const char *event);
void ent_report_text(ent_report *report, const char *key, ent_text value);
void ent_report_string(ent_report *report, const char *key, const char *value);
void ent_report_number(ent_report *report, const char *key, uint64_t value);
/** code, rule and text of a failure. */
void ent_report_error(ent_report *report, const ent_err *err);
/** Write it. What others can cause at will (a line that names a remote, or tells of a refusal or failure) is written
 * ENT_REPORT_BURST times for each event and remote or peer, and then once in ENT_REPORT_AGAIN_S seconds with
 * "suppressed=N" for those between; of all such lines together ENT_REPORT_ALL_BURST, and then one a second: the log of
 * a node does not grow with what is refused.  Threads: safe. */
void ent_report_end(ent_report *report);

/** Report and end the process at once: "After a failed fsync the process stops; it never reads back and goes on"
 * (design.md section 8). */
_Noreturn void ent_report_stop(const char *because, const ent_err *err);

#endif
