/* The first half of a recovery: our own log. */
#ifndef ENT_NODE_RECOVER_OWN_H
#define ENT_NODE_RECOVER_OWN_H

#include "node/recover.h"

/** Fetch a log again from a peer, from this entry on.  Errors: UNREACHABLE, the peer's.  Blocks: yes. */
ENT_RC ent_recover_fetch(ent_node *node, const ent_peer *peer, const char *origin, uint64_t old_size, ent_buf *ret,
                         ent_err *err);

/** Take back what the peer holds of our own log beyond what is signed here.  Errors: as ent_recover. */
ENT_RC ent_recover_own(ent_node *node, ent_channel *channel, const ent_peer *peer, ent_recovered *ret, ent_err *err);

#endif
