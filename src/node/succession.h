/* A channel that succeeds another: after a fork, or with other members. Its genesis names the last heads that all
 * members of the other are known to hold alike, its first entries the duties that were open there, and each member's
 * node says again what it had asked.  Source: design.md section 2 "Genesis", section 3; docs/ledger.md "Carried over".
 */
#ifndef ENT_NODE_SUCCESSION_H
#define ENT_NODE_SUCCESSION_H

#include "ledger/facts.h"
#include "node/node.h"

/** What passes from one channel to the next. Texts borrow from the predecessor, which lives as long as the node. */
typedef struct {
    ent_predecessor_head
        heads[ENT_ENTRY_MAX_MEMBERS]; /* sorted by origin; logs of which all hold nothing are left out */
    size_t head_count;
    ent_carried *rows; /* by message */
    size_t row_count;
    size_t left_out; /* open duties whose message cannot be said again by itself, or not to these members */
} ent_succession;
void ent_succession_release(ent_succession *succession);

/** Plan what passes to a channel of these members.
 *  Errors: REFUSED when the predecessor is not open, or more than ENT_FACTS_MAX_CARRIED duties are; those of the store.
 *  Blocks: while the predecessor's bodies are opened.  Owns: caller releases with ent_succession_release. */
ENT_RC ent_succession_plan(ent_node *node, ent_channel *predecessor, const ent_member *members, size_t member_count,
                           ent_succession *ret, ent_err *err);
/** Write key "carried": the rows; nothing when there are none. */
void ent_succession_put(ent_json_writer *writer, const ent_succession *succession);

/** Before an invitation is accepted: the heads it names are in our logs of the predecessor, and its carried duties
 * those that we find open at these heads.
 *  @in   facts       of the opener's first entry
 *  @in   unchecked   accept also when the predecessor is not here, or not as far
 *  Errors: PEER_MISMATCH naming the first difference, REFUSED when it cannot be checked, those of the store. */
ENT_RC ent_succession_check(ent_node *node, const ent_channel *channel, const ent_facts *facts, bool unchecked,
                            ent_err *err);

/** Say again what we had asked in the predecessor and what is carried over, unless it was said already; nothing to do
 * in a channel that succeeds none, or is not open.
 *  Errors: those of the store and of ent_say: come again. */
ENT_RC ent_succession_go_on(ent_node *node, ent_channel *channel, ent_err *err);

#endif
