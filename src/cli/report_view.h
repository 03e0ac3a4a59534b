/* A report for people. */
#ifndef ENT_CLI_REPORT_VIEW_H
#define ENT_CLI_REPORT_VIEW_H

#include "cli/account.h"
#include "cli/api.h"

/** Append a report as Markdown.
 *  @in   json   the report as the node gave it
 *  @in   name   of the file with the proofs, without ".json"; NULL when there is none
 *  Errors: PEER_MALFORMED, PEER_INVALID, NOMEM. */
ENT_RC ent_cli_put_report(ent_buf *buf, ent_text json, const char *name, ent_err *err);

#endif
