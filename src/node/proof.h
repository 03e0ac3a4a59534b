/* Proofs of single messages, as any C2SP verifier takes them.  Source: design.md section 2 "Proof". */
#ifndef ENT_NODE_PROOF_H
#define ENT_NODE_PROOF_H

#include "node/node.h"

/** One proof: a tlog-proof and the policy that names the keys. */
typedef struct {
    const bool *receipted_by; /* one a member */
    ent_text proof;
    ent_text policy;
} ent_message_proof;
typedef ENT_RC (*ent_proof_fn)(void *context, const ent_message_proof *proof, ent_err *err);

/** Prove that a message is in its log: "`prove` takes the smallest that carries all, else one proof per receiver"
 * (design 3).
 *  Errors: ABSENT while no signed head covers it, those of fn and of the store, NOMEM. */
ENT_RC ent_message_prove(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_proof_fn fn,
                         void *context, ent_err *err);

#endif
