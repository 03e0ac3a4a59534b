/* What attachments need beside the threads that take them in: one thread that makes hashes again after a restart, says
 * `evidence.held` of what is durable, and clears away what was begun and given up.
 *
 * Whether something is to be said is read from the store and the disk, so it is not forgotten by a crash; where it
 * cannot be said now (the channel is held, or its log waits for what it answers) it is tried again, later and later. */
#ifndef ENT_NODE_BLOB_WORKER_H
#define ENT_NODE_BLOB_WORKER_H

#include "node/node.h"

ENT_RC ent_blob_worker_new(ent_node *node, ent_blob_worker **ret, ent_err *err);
/** End the thread. It may still be woken, in vain, until it is freed. NULL is fine. */
void ent_blob_worker_stop(ent_blob_worker *worker);
/** End the thread and free. NULL is fine. */
void ent_blob_worker_free(ent_blob_worker *worker);
/** An attachment is durable, may be said to be held now, or its hash is asked for. NULL is fine. */
void ent_blob_worker_wake(ent_blob_worker *worker);

/** A member has said that it holds attachments of our message `index`: send them there no more. Called by the opener
 * before it marks the entry as opened, so that a crash forgets nothing.
 *  @in   fields   of the evidence.held
 *  Errors: those of the sequencer. */
ENT_RC ent_blob_said_held(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_json_value fields,
                          ent_err *err);

#endif
