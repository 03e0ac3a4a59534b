/* Inside of the sequencer: what its files share.
 *
 *  sequencer.c         the queue, the thread, one batch
 *  sequencer_apply.c   what jobs do inside the transaction
 *  sequencer_sign.c    keeper, signatures, and what readers see then
 *  sequencer_start.c   what a start signs again, and what it holds */
#ifndef ENT_NODE_SEQUENCER_INTERNAL_H
#define ENT_NODE_SEQUENCER_INTERNAL_H

#include "node/sequencer.h"

/** A receipt or head that was signed and is not stored yet. */
typedef struct {
    ent_channel *channel;
    bool is_head;
    int64_t receipt;
    uint32_t member;
    ent_tree_head head;
    ent_signature signature;
    uint64_t timestamp_unix_s;
    const ent_hash *leaves; /* in the running batch: what it adds to this log; else NULL */
    size_t leaf_count;
    ent_public_key log_key; /* that signed this head */
    uint32_t receipt_key;   /* place of the key of this receipt */
    bool refused;
} ent_signed;

/** Several of them. */
typedef struct {
    ent_signed *items;
    size_t count;
    size_t capacity;
} ent_signed_list;

/** The sequencer. */
struct ent_sequencer {
    ent_node *node;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t queued;
    pthread_cond_t settled;
    ent_job *first;
    ent_job *last;
    size_t callers; /* in ent_sequencer_run */
    bool stopping;
    bool failed; /* the last batch; the thread's own */

    ent_signed_list unstored; /* signed after the last commit; stored in the next transaction */
    ent_signed_list to_sign;  /* in the running batch */
    ent_signed_list given;    /* receipts of the running batch that were signed long ago, and are stored so */
    uint64_t appended;        /* entries of ours so far; a job that fails must not have made one */
    ent_channel **dirty;
    size_t dirty_count;
    size_t dirty_capacity;
};

/** Errors: NOMEM. */
ENT_RC ent_signed_add(ent_signed_list *list, const ent_signed *item, ent_err *err);
/** Inside the transaction: write what a batch adds to our log in a channel, and want its head signed. */
ENT_RC ent_sequencer_flush_appends(ent_node *node, ent_channel *channel, ent_err *err);
/** Inside the transaction: store what was signed before it. */
ENT_RC ent_sequencer_store_signed(ent_node *node, const ent_signed_list *list, ent_err *err);
/** After the commit: have the keeper mark and sign what is on to_sign. Stops the process when that cannot be done. */
void ent_sequencer_sign(ent_sequencer *sequencer);
/** Then: show readers what was committed and signed. What was signed waits on unstored. */
void ent_sequencer_publish(ent_sequencer *sequencer);
/** Hold a channel because the keeper signed more of our log than the store holds, or something else. */
void ent_hold_by_keeper(const ent_node *node, ent_channel *channel);
/** At a start, put what may be signed again on to_sign: heads and receipts that a crash may have left without their
 * signature. Holds each channel whose log does not follow the keeper's mark, or must be asked about.  Errors: those of
 * the store and the keeper, NOMEM. */
ENT_RC ent_sequencer_collect_unsigned(ent_sequencer *sequencer, ent_err *err);

#endif
