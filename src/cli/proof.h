/* Checking that an entry stands in its writer's signed log: the core of `entente verify`. */
#ifndef ENT_CLI_PROOF_H
#define ENT_CLI_PROOF_H

#include "log/policy.h"
#include "message/genesis.h"

/** A proof with what belongs to it, checked. Release with ent_cli_proof_release. */
typedef struct {
    ent_tlog_proof proof;
    ent_bytes entry_bytes; /* borrowed */
    ent_policy *policy;
    ent_note note;
    ent_policy_result result;
    ent_arena arena;
    ent_entry entry;
} ent_cli_proof;

/** Check that the policy is satisfied by the head, that the entry stands where the proof says, and that it says so
 * itself.
 *  @in   proof, entry   borrowed as long as *ret lives
 *  @out  ret            release it also after a failure
 *  Errors: what does not hold. */
ENT_RC ent_cli_proof_check(ent_bytes proof, ent_bytes entry, ent_bytes policy, ent_cli_proof *ret, ent_err *err);
void ent_cli_proof_release(ent_cli_proof *proof);

/** The party of a key name "<party>/entente/receipt"; empty for others. */
ent_text ent_cli_receipt_party(ent_text key_name);

#endif
