/* Opening and validating a stored message: what it says, or what is wrong with it (design.md section 3, step 10). */
#ifndef ENT_NODE_EXAMINE_H
#define ENT_NODE_EXAMINE_H

#include "ledger/facts.h"
#include "node/node.h"

/** An opened body and what the ledger takes from it. Zeroed facts: no body, or not a valid one. */
typedef struct {
    ent_buf plain;
    ent_body body;
    ent_facts facts; /* borrow from body */
} ent_examined;

/** Open and validate the body of one entry.
 *  @out  ret   release with ent_examined_release; zeroed when something is wrong, but for facts.proven_bad
 *  Errors: what is wrong with the message, or our own trouble: ent_examine_failed tells which. */
ENT_RC ent_examine(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_examined *ret,
                   ent_err *err);
void ent_examined_release(ent_examined *examined);
/** Whether examining failed for a reason of ours, so that it says nothing about the message. */
bool ent_examine_failed(ent_rc rc);

#endif
