/* The custody log of the evidence in a thread: what each item says of itself, and what the logs show of it since.
 * Source: design.md section 4 "evidence". */
#ifndef ENT_NODE_CUSTODY_H
#define ENT_NODE_CUSTODY_H

#include "ledger/ledger.h"
#include "node/api.h"

/** Write "custody":[{"time","who","action","source"}…], by time, and "use_limits":[{"source","text"}…].
 *  @in   messages   of the thread, in its order
 *  Errors: those of the store, NOMEM. */
ENT_RC ent_custody_put(ent_node *node, ent_channel *channel, const ent_thread_message *messages, size_t count,
                       ent_json_writer *writer, ent_err *err);

#endif
