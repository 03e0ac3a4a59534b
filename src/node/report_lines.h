/* The lines of a report: one for each message that began a thread or asks something, and for each who owes something
 * because of it (docs/api.md, "report"). */
#ifndef ENT_NODE_REPORT_LINES_H
#define ENT_NODE_REPORT_LINES_H

#include "node/publish.h"

enum { ENT_REPORT_MAX_LINES = 20000 };

typedef struct {
    ent_ledger_ref message;
    ent_ledger_ref thread; /* its first message */
    bool begins;           /* it is that */
    const char *kind;
    ent_urgency urgency;
    bool exercise;
    uint32_t asked_of; /* ENT_LEDGER_NOBODY: nobody in particular */
    ent_track track;   /* of asked_of; zeroed for what its writer owes */
    bool has_duty;
    ent_duty duty;
    int64_t time_unix_s; /* of the message, as its writer says; set by ent_report_lines_cut */
    ent_published published;
    bool answer_shown;
    bool thread_shown;
} ent_report_line;

/** For ent_ledger_walk: collect from one thread.
 *  @in   lines   of ent_report_line
 *  Errors: PEER_TOO_LARGE beyond ENT_REPORT_MAX_LINES, NOMEM. */
ENT_RC ent_report_lines_collect(ent_account_list *lines, const ent_thread_view *thread, ent_err *err);
/** Comm checks are counted apart, and those that were answered have no line. */
bool ent_report_is_check(const char *kind);
/** Keep those said in [from, to], by time; and what of them may be shown, when a report is published.
 *  @out  ret_withheld   lines left out */
ENT_RC ent_report_lines_cut(ent_account_list *lines, int64_t from, int64_t to, bool publish, ent_publishing *publishing,
                            uint64_t *ret_withheld, ent_err *err);
/** Whether a line is shown. */
bool ent_report_line_shown(const ent_report_line *line, bool publish);

#endif
