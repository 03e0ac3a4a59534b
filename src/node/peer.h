/* Known peers: whose cards we hold.  Source: design.md section 2 "Card". */
#ifndef ENT_NODE_PEER_H
#define ENT_NODE_PEER_H

#include "node/node.h"

ENT_RC ent_peers_load(ent_node *node, ent_err *err);
void ent_peers_free(ent_node *node);

/** Add a peer, or update it with a card that follows the one we hold.
 *  @in   fingerprint   what a person compared; NULL = not compared here
 *  Errors: those of ent_card_parse; REFUSED for our own card, PEER_MISMATCH when the fingerprint is another or the card
 * does not follow, USAGE for a url that is not https://.  Blocks: yes. */
ENT_RC ent_peer_add(ent_node *node, ent_bytes card, const ent_text *fingerprint, ent_peer *ret, ent_err *err);
/** For apply: replace a known peer's card with a newer one that follows it; any other is passed over. */
ENT_RC ent_peer_renew(ent_node *node, ent_bytes bytes, const ent_card_opened *card, ent_err *err);
/** After the commit: know the peers whose cards a pouch brought as they are stored now. */
void ent_peers_renewed(ent_node *node, const ent_pouch *pouch);
/** Forget a peer.  Errors: ABSENT, REFUSED when a channel is shared with it. */
ENT_RC ent_peer_remove(ent_node *node, ent_text name, ent_err *err);

/** Errors: ABSENT. */
ENT_RC ent_peer_get(ent_node *node, ent_text name, ent_peer *ret, ent_err *err);
bool ent_peer_at(ent_node *node, size_t at, ent_peer *ret);
/** The known peer with this TLS pin.  Errors: PEER_UNKNOWN. */
ENT_RC ent_peer_by_pin(ent_node *node, const ent_hash *pin, ent_peer *ret, ent_err *err);
/** Open the card that is stored for a peer. */
ENT_RC ent_peer_card(ent_node *node, ent_text name, ent_buf *ret_bytes, ent_card_opened *ret, ent_err *err);

#endif
