/* Making the proof of a fork from what a node holds, and reading one back. Private to fork.c. */
#ifndef ENT_NODE_FORK_PROOF_H
#define ENT_NODE_FORK_PROOF_H

#include "node/fork.h"

/** Two signed heads of a member's log, and the tree that the larger one signs. */
typedef struct {
    ent_channel *channel;
    uint32_t member;
    ent_bytes note;
    ent_bytes held;
    const ent_tile_reader *tiles; /* of the larger head's tree; NULL = our copy */
} ent_fork_evidence;

/** Make the proof; what proves nothing to a stranger gives an empty one.
 *  Errors: those of the store, NOMEM. */
ENT_RC ent_fork_proof_build(ent_node *node, const ent_fork_evidence *evidence, ent_buf *ret, ent_err *err);
/** Check that every key that a proof names is a log key of the member, and each head by the key for its size.
 *  Errors: PEER_SIGNATURE, NOMEM. */
ENT_RC ent_fork_proof_is_of(const ent_channel *channel, uint32_t member, const ent_fork_proof *proof, ent_err *err);

#endif
