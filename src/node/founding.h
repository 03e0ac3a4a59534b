/* What opening and accepting a channel share: our own entry 0 in it.  Source: design.md section 2 "Genesis". */
#ifndef ENT_NODE_FOUNDING_H
#define ENT_NODE_FOUNDING_H

#include "node/node.h"

/** What is stored together with our entry 0. */
typedef struct {
    ent_channel *channel;
    bool is_new;
    char alias[ENT_NAME_MAX_BYTES + 1];
} ent_founding;

/** Take an alias that is well formed and names no channel yet; none is fine.  Errors: USAGE. */
ENT_RC ent_founding_alias(ent_node *node, ent_text alias, char ret[ENT_NAME_MAX_BYTES + 1], ent_err *err);
/** Log our entry 0 and store the channel as OPENING, in one transaction.  Errors: those of ent_say_body. */
ENT_RC ent_founding_say(ent_node *node, ent_channel *channel, ent_bytes body, ent_founding *work, ent_err *err);

/** Whether the keys that a genesis gives a member are those of its card, or earlier ones of which the card knows.
 *  Errors: PEER_MISMATCH. */
ENT_RC ent_invite_check_member(const ent_member *member, const ent_card *card, ent_err *err);

#endif
