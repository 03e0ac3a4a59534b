/* Communication checks by the clock: when the agreement in force asks for them, the node checks every other member that
 * a network reaches on schedule, and it answers by itself the checks that others' clocks sent.  Source: design.md
 * section 4 "contact"; ledger/agreement.h (comm_checks). */
#ifndef ENT_NODE_CHECKS_H
#define ENT_NODE_CHECKS_H

#include "node/node.h"

ENT_RC ent_checks_new(ent_node *node, ent_checks **ret, ent_err *err);
/** End the thread. It may still be woken, in vain, until it is freed. NULL is fine. */
void ent_checks_stop(ent_checks *checks);
/** End the thread and free. NULL is fine. */
void ent_checks_free(ent_checks *checks);
/** A scheduled check of another member has come in, and was opened; answers it soon. NULL is fine. */
void ent_checks_asked(ent_checks *checks, ent_channel *channel, uint32_t member, uint64_t index);
/** The terms of some channel may have changed. NULL is fine. */
void ent_checks_wake(ent_checks *checks);

#endif
