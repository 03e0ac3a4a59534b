/* Errands: what the sandboxed node can no longer do, and a process beside it does for it. That one is started before
 * the sandbox and stays outside; it reads DIR/alerts.json, the files named there, runs the program named there, and
 * reads DIR/tls*.crt, writes DIR/card, removes DIR/socket and marks a clean stop. It does nothing else, whatever the
 * node asks.  Source: design.md section 8. */
#ifndef ENT_NODE_ERRANDS_H
#define ENT_NODE_ERRANDS_H

#include "node/errand_wire.h"
#include "node/process.h"

#include <stdatomic.h>

/** The option of entented that makes it that process. */
#define ENT_ERRANDS_OPTION "errands"

typedef struct ent_errands ent_errands;

/** Start the process for a party's folder.
 *  @out  ret_process   ends by itself when ret is freed
 *  Errors: IO, NOMEM. */
ENT_RC ent_errands_start(const char *folder, ent_process *ret_process, ent_errands **ret, ent_err *err);
void ent_errands_free(ent_errands *errands);

/** Ask for a file (an errand up to WEBHOOK_CA), appended to ret.
 *  Errors: those of ent_alert_config_read and ent_alert_secret_read; IO when the process has ended.  Blocks: yes. */
ENT_RC ent_errands_read(ent_errands *errands, ent_errand errand, ent_buf *ret, ent_err *err);
/** Have the program of alerts.json run; ends the other's work when `stop` is set.
 *  Errors: those of ent_alert_execute, IO.  Blocks: yes. */
ENT_RC ent_errands_execute(ent_errands *errands, ent_text word, ent_text json, const atomic_bool *stop, ent_err *err);
/** Have DIR/socket removed.  Errors: IO.  Blocks: yes. */
ENT_RC ent_errands_remove_socket(ent_errands *errands, ent_err *err);

/** Have the marker of a clean stop written.  Errors: those of ent_clean_stop_write.  Blocks: yes. */
ENT_RC ent_errands_stopped_clean(ent_errands *errands, ent_err *err);

/** Have our new card replace DIR/card.  Errors: PEER_MALFORMED, PEER_SIGNATURE when it is no card; IO, IO_FULL. */
ENT_RC ent_errands_write_card(ent_errands *errands, ent_bytes card, ent_err *err);
/** The TLS certificate that the card of this serial brought (1: the first), appended to ret.  Errors: ABSENT, IO. */
ENT_RC ent_errands_certificate(ent_errands *errands, uint64_t serial, ent_buf *ret, ent_err *err);

/** Be that process, until the node closes the sockets. Returns the exit status. */
int ent_errands_run(const char *sockets, const char *folder);

#endif
