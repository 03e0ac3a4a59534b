/* Shows the keeper that a head extends what it signed last.  Source: design.md section 3 "Rollback guard" (1). */
#ifndef ENT_NODE_EXTEND_H
#define ENT_NODE_EXTEND_H

#include "node/node.h"

/** A head that is to be signed, of our log or, for a receipt, of a member's. */
typedef struct {
    ent_keeper_what what;
    uint32_t member;
    ent_tree_head head;
    const ent_hash *leaves; /* nullable: what the running batch adds to the log, which spares reading the store */
    size_t leaf_count;
} ent_extension;

/** Prove that the head extends what the keeper signed last; an empty proof when that is none, or not smaller. What the
 * head covers must be committed.
 *  Errors: IO, NOMEM, USAGE.  Blocks: yes.  Threads: the sequencer's, when there are leaves; else any. */
ENT_RC ent_extend_prove(ent_node *node, const ent_channel *channel, const ent_extension *extension, ent_tree_proof *ret,
                        ent_err *err);
/** The keeper has signed this: the next proof begins there, unless it says otherwise.  Threads: the sequencer's. */
void ent_extend_marked(ent_channel *channel, ent_keeper_what what, uint32_t member, uint64_t size);
/** Whether our log holds what the keeper signed last. Its mark alone does not tell: a store older than the mark that
 * has grown past it since is another history, and its head the larger half of a fork. Errors: IO, NOMEM.  Blocks: yes.
 */
ENT_RC ent_extend_follows_mark(ent_node *node, const ent_channel *channel, bool *ret, ent_err *err);

#endif
