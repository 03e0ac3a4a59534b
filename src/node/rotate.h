/* Our own keys change: a new card and cutoffs, signed by the root key elsewhere, are taken into use in every channel.
 * Source: design.md section 2 "Rotation".
 *
 * What was installed lies in DIR/store/card.next until it is in use everywhere, so that a crash leaves the old keys or
 * goes on to the new ones at the next start. */
#ifndef ENT_NODE_ROTATE_H
#define ENT_NODE_ROTATE_H

#include "node/keys.h"

enum { ENT_ROTATION_MAX_BYTES = 4 << 20 };

/** Our card at one time. */
struct ent_own_card {
    ent_card_opened card;
    ent_buf bytes;
    bool lost[ENT_KEY_ROLE_COUNT]; /* its keys that the keeper does not have; not that of TLS */
    bool former_lost[ENT_CARD_MAX_FORMER];
    ent_own_card *before;
};

/** Our card.  Threads: safe; it lives as long as the node. */
const ent_own_card *ent_node_card(const ent_node *node);
/** Read DIR/card, and have its keys; one whose file is not there is lost (key_lost.h).
 *  Errors: PEER_MISMATCH when a key is not the card's; those of the keeper. */
ENT_RC ent_own_card_load(ent_node *node, ent_err *err);
/** Use another card: its keys are had first.  Errors: the same. */
ENT_RC ent_own_card_use(ent_node *node, ent_bytes bytes, ent_err *err);
/** Have a card's key.
 *  @out  ret_lost   its file is not there
 *  Errors: the same. */
ENT_RC ent_own_card_have(ent_node *node, const ent_card *card, ent_key_role role, bool *ret_lost, ent_err *err);
void ent_own_card_free(ent_node *node);
/** Our TLS key and certificate for this run: those of the card, or, while some member may not know it yet, those before
 * them ("the card travels first under the old certificate").
 *  Errors: ABSENT when key or certificate is not there, PEER_MISMATCH when the certificate is not the card's; those of
 * the keeper, IO. */
ENT_RC ent_own_tls_read(ent_node *node, ent_buf *ret_key, ent_buf *ret_certificate, ent_err *err);
/** Whether every member that can be reached has receipted all that we had said. */
ENT_RC ent_own_card_known(ent_node *node, bool *ret, ent_err *err);

/** How the certificate that this run shows stands to the card in use. */
typedef enum {
    ENT_OWN_TLS_GOOD = 0,  /* the card's, the one before it for as long as needed, or none is wanted */
    ENT_OWN_TLS_REVOKED,   /* peers refuse it: restart the node */
    ENT_OWN_TLS_NEW_WAITS, /* every member that is reached knows the new one: restart when it suits */
    ENT_OWN_TLS_NONE_YET   /* it was lost at the start, and is replaced since: restart the node */
} ent_own_tls_state;
ent_own_tls_state ent_own_tls_now(ent_node *node);

/** Take a rotation into use: JSON as `entente key` posts it (docs/api.md "Keys").
 *  Errors: USAGE, PEER_MISMATCH (the card does not follow ours), those of the keeper when it does not have a new key,
 * REFUSED when a key that is lost is replaced without being revoked, when a channel has no cutoff or one that is not of
 * its log, RETRY when heads beyond a cutoff of a key that is only replaced were signed since it was made.  Blocks: yes.
 */
ENT_RC ent_rotate(ent_node *node, ent_bytes bundle, ent_err *err);
/** At the start, before anything is signed: have the keys of a rotation that was left unfinished, for some channels may
 * use them already.  Errors: those of the keeper, PEER_MALFORMED. */
ENT_RC ent_rotate_have_keys(ent_node *node, ent_err *err);
/** At the start, with the channels loaded: what a rotation that was left unfinished has the new key sign waits for it.
 *  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_rotate_wait(ent_node *node, ent_err *err);
/** At the start: go on with what was installed; and say in every channel what was not said of it yet. */
void ent_rotate_go_on(ent_node *node);
/** Say what was not said yet. */
void ent_rotate_announce(ent_node *node);

#endif
