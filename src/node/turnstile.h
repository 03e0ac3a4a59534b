/* How many requests of one peer the border has under way: so that one with many connections does not take all threads,
 * spool and memory that there are for all. */
#ifndef ENT_NODE_TURNSTILE_H
#define ENT_NODE_TURNSTILE_H

#include "node/node.h"

enum { ENT_UNDER_WAY_A_PEER = 8 };

ENT_RC ent_turnstile_new(ent_turnstile **ret, ent_err *err);
/** Nobody may be inside. NULL is fine. */
void ent_turnstile_free(ent_turnstile *turnstile);

typedef struct ent_ticket ent_ticket;
/** Let one more request of this peer in.
 *  Errors: PEER_QUOTA, worth trying again at once, when ENT_UNDER_WAY_A_PEER are inside; NOMEM.
 *  Owns: caller frees with ent_ticket_free, which lets it out. */
ENT_RC ent_turnstile_enter(ent_turnstile *turnstile, const ent_hash *pin, ent_ticket **ret, ent_err *err);
void ent_ticket_free(void *ticket);

#endif
