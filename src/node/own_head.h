/* Signed heads of our own log at any size up to what is signed: so that what was signed under one head, by a key that
 * was revoked since, or is too much for who gets it, can leave in steps.  Source: design.md section 2 "Pouch",
 * docs/decisions/0024. */
#ifndef ENT_NODE_OWN_HEAD_H
#define ENT_NODE_OWN_HEAD_H

#include "node/node.h"

/** Append a signed head of our log of exactly this size, by the key whose heads of this size are accepted now: the one
 * that was kept, or else one that the keeper makes, which is durable then.
 *  @in   size   1 up to what is signed
 *  @out  ret_note   the signed note
 *  Errors: ABSENT when no signed head is as large, REFUSED_KEEPER when the keeper lacks that key or what it signed
 * last, those of the store and the sequencer.  Blocks: yes.  Threads: any but the sequencer's. */
ENT_RC ent_own_head(ent_node *node, ent_channel *channel, uint64_t size, ent_tree_head *ret, ent_buf *ret_note,
                    ent_err *err);
/** Append a head of our log with its signature: a signed note.  Errors: NOMEM. */
ENT_RC ent_own_head_put(const ent_channel *channel, const ent_tree_head *head, const ent_public_key *key,
                        const ent_signature *signature, ent_buf *ret, ent_err *err);
/** Whether a kept head of a member's log is by the key whose heads of its size are accepted now. */
bool ent_head_is_accepted(const ent_channel *channel, uint32_t member, ent_bytes note);

#endif
