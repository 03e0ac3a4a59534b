/* The courier: store and forward, one pouch in flight per peer, with back-off; attachments piece by piece, after
 * pouches.  Source: design.md section 3 "Courier". */
#ifndef ENT_NODE_COURIER_H
#define ENT_NODE_COURIER_H

#include "node/node.h"

ENT_RC ent_courier_new(ent_node *node, ent_courier **ret, ent_err *err);
void ent_courier_free(ent_courier *courier);
/** Something may have to leave. NULL (an air-gapped node) is fine. */
void ent_courier_wake(ent_courier *courier);
/** How much of an attachment of our log `log` a member has said to hold while it is on its way; 0 when nothing is
 * known. */
uint64_t ent_courier_progress(ent_courier *courier, int64_t log, uint32_t member, const ent_hash *digest);

#endif
