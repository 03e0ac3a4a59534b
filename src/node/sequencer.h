/* The sequencer: the one thread that writes. It groups what is queued into one transaction, one sync of the keeper's
 * marks, and one signature per log.  Source: design.md section 3 "Signing order", section 8.
 *
 * Order for each batch: what the batch before signed is stored · every job is applied · own entries, tiles and the
 * unsigned head follow · commit · the keeper marks and signs · memory is published · every job is told. So a signature
 * leaves only after what it signs is durable, and the signatures of a batch are durable before the keeper's mark moves
 * past them. */
#ifndef ENT_NODE_SEQUENCER_H
#define ENT_NODE_SEQUENCER_H

#include "node/node.h"

typedef struct ent_job ent_job;

/** One piece of work for the sequencer. The caller owns it; it must live until ent_sequencer_run returns. */
struct ent_job {
    /** Inside the transaction. A failure of any class but IO and NOMEM must come before the first write and fails this
     * job alone. */
    ENT_RC (*apply)(ent_job *job, ent_node *node, ent_err *err);
    /** Nullable: after commit, signing and publishing. May still fail the job through job->rc (say, the keeper
     * refused). */
    void (*settle)(ent_job *job, ent_node *node);
    uint64_t weight_bytes; /* how much it adds, so that a batch stays small enough for one pouch */
    ent_rc rc;
    ent_err err;
    ent_job *next;
    bool done;
};

ENT_RC ent_sequencer_new(ent_node *node, ent_sequencer **ret, ent_err *err);
/** Do what is queued, store what is signed, end the thread, free. */
void ent_sequencer_free(ent_sequencer *sequencer);
/** Queue a job and wait until it is done.  Errors: the job's; RETRY when the node stops; IO_FULL, NOMEM when the batch
 * could not be stored. */
ENT_RC ent_sequencer_run(ent_node *node, ent_job *job, ent_err *err);

/** Wait until everything signed so far is stored with its signature. */
ENT_RC ent_sequencer_flush(ent_node *node, ent_err *err);

/* --- for apply --- */

/** Use a channel in this transaction: its `next` fields may be changed from now on. */
ENT_RC ent_sequencer_touch(ent_node *node, ent_channel *channel, ent_err *err);
/** Add an entry to our own log. The bytes are borrowed until the batch is done. */
ENT_RC ent_sequencer_append(ent_node *node, ent_channel *channel, ent_bytes entry, ent_bytes sealed,
                            const ent_hash *digest, ent_err *err);
/** Record our receipt for a member's log; it is signed after the commit. At most one per log in a batch.
 *  @in   leaves   what the batch adds to that log; borrowed until the batch is done */
ENT_RC ent_sequencer_receipt(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                             const ent_hash *leaves, size_t leaf_count, ent_err *err);
/** For settle: the signature of the receipt that this batch gave for a member's log.  Errors: REFUSED_KEEPER when the
 * keeper did not sign it. */
ENT_RC ent_sequencer_signed(ent_node *node, const ent_channel *channel, uint32_t member, ent_store_receipt *ret,
                            ent_err *err);
/** Sign a head of our log again that our key has signed before, whatever is held.
 *  @in   head   of what the transaction leaves committed */
ENT_RC ent_sequencer_sign_known(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_err *err);
/** OPENING becomes OPEN when every member's entry 0 is held. */
ENT_RC ent_sequencer_check_open(ent_node *node, ent_channel *channel, ent_err *err);

#endif
