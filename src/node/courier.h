/* The courier: store and forward, one pouch in flight per peer, with back-off; attachments after pouches.  Source:
 * design.md section 3 "Courier". */
#ifndef ENT_NODE_COURIER_H
#define ENT_NODE_COURIER_H

#include "node/node.h"

ENT_RC ent_courier_new(ent_node *node, ent_courier **ret, ent_err *err);
void ent_courier_free(ent_courier *courier);
/** Something may have to leave. NULL (an air-gapped node) is fine. */
void ent_courier_wake(ent_courier *courier);

#endif
