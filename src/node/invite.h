/* Opening, accepting and refusing channels.  Source: design.md section 2 "Genesis". */
#ifndef ENT_NODE_INVITE_H
#define ENT_NODE_INVITE_H

#include "node/receive.h"

enum { ENT_INVITE_MAX_BYTES = 1 << 20, ENT_INVITES_MAX = 64, ENT_INVITES_A_PEER = 8 };

/** Store an invite pouch for a channel that is not known here: the sender must be a known peer, and the keys in the
 * genesis those of the cards. */
ENT_RC ent_invite_receive(ent_node *node, const ent_pouch *pouch, ent_bytes bytes, const ent_hash *pin,
                          ent_received *ret, ent_err *err);

/** Take a channel back that this store has forgotten, as an invitation that is held: what a member gives of its log has
 * the genesis and a head of ours, signed by us. It may be as large as any pouch, and our keys may have changed since.
 *  @in   origin   the log that was asked for
 *  Errors: REFUSED when it shows no head of ours, PEER_MISMATCH for another log, else as ent_invite_receive. */
ENT_RC ent_invite_forgotten(ent_node *node, ent_bytes pouch, ent_text origin, ent_err *err);

/** What `channel open` asks for. Everything borrows. */
typedef struct {
    const ent_text *with;
    size_t with_count;
    ent_bytes terms;        /* exact bytes, JSON */
    const ent_text *policy; /* tlog-policy lines */
    size_t policy_count;
    ent_text alias;       /* empty = none */
    ent_text succeeds;    /* a channel, as a person names it; empty = none. Then without `with` its members are meant */
    size_t *ret_left_out; /* nullable; open duties of that channel which are not carried over */
    ent_quotas quotas;
} ent_opening;
/** Open a channel: genesis, our entry 0.
 *  Errors: USAGE, ABSENT (an unknown peer), PEER_MALFORMED (terms, policy), those of ent_succession_plan and ent_say.
 */
ENT_RC ent_channel_open(ent_node *node, const ent_opening *opening, ent_channel **ret, ent_err *err);
/** Accept: our entry 0 with the same terms, then the opener's pouch is taken in.  Errors: REFUSED when it is no
 * invitation, PEER_MISMATCH when the terms are not the ones committed to, those of ent_succession_check. */
ENT_RC ent_channel_accept(ent_node *node, ent_channel *channel, ent_text alias, ent_err *err);
/** The same, also when what it carries over cannot be checked here. */
ENT_RC ent_channel_accept_unchecked(ent_node *node, ent_channel *channel, ent_text alias, ent_err *err);
ENT_RC ent_channel_refuse(ent_node *node, ent_channel *channel, ent_err *err);

/** The opened body of entry 0: ours, or the opener's while we are invited.  Errors: ABSENT when no entry 0 is held.
 *  Owns: wiped by the caller. */
ENT_RC ent_channel_first_body(ent_node *node, ent_channel *channel, ent_buf *ret_plain, ent_err *err);
/** The terms in that body.  Errors: ABSENT when no entry 0 is held. */
ENT_RC ent_channel_terms(ent_node *node, ent_channel *channel, ent_buf *ret_terms, ent_err *err);

#endif
