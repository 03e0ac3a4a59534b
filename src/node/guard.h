/* The guard: after a start that no clean stop went before, it asks the other members how far our logs go, before the
 * first new signature in each.  Source: design.md section 3 "Rollback guard" (2). */
#ifndef ENT_NODE_GUARD_H
#define ENT_NODE_GUARD_H

#include "node/node.h"

enum { ENT_GUARD_RELEASE_AFTER_S = 60 };

ENT_RC ent_guard_new(ent_node *node, ent_guard **ret, ent_err *err);
void ent_guard_free(ent_guard *guard);
/** There is something to ask. NULL (an air-gapped node) is fine. */
void ent_guard_wake(ent_guard *guard);

/** Whether there is anybody to ask about our log in a channel. An air-gapped node, and a channel whose other members
 * all are, rely on the keeper's marks alone. */
bool ent_guard_can_ask(ent_node *node, const ent_channel *channel);
/** Hold a channel until its members have answered; does nothing when nobody can be asked.  Threads: any. */
void ent_guard_ask(ent_node *node, ent_channel *channel);
/** Give the members a moment to answer, soon after a start; true when our log is signed up to that size now.  Blocks:
 * up to 1.5 s after the start. */
bool ent_guard_wait(ent_node *node, ent_channel *channel, uint64_t size);
/** A party has reached us: it is asked again at once, in every channel where its answer is missing. NULL is fine.
 *  @in   pin   its certificate's */
void ent_guard_heard(ent_guard *guard, const ent_hash *pin);
/** A moment, for those who wait for the guard. */
void ent_guard_pause(void);
/** Verify a signed head of our own log, by the key that is valid for its size.  Errors: PEER_MALFORMED, PEER_SIGNATURE,
 * PEER_MISMATCH, NOMEM. */
ENT_RC ent_guard_open_head(const ent_channel *channel, ent_bytes note, ent_tree_head *ret, ent_err *err);
/** Hold a channel for good when a head of our own log says more than this store holds, or something else; true when it
 * does. The head is kept, so that the next start knows it.
 *  @in   note   the signed head, verified
 *  @in   who    that showed it; NULL = it came with a pouch
 *  Errors: those of the store and the sequencer. */
ENT_RC ent_guard_compare(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_bytes note,
                         const char *who, bool *ret_held, ent_err *err);

/** An officer takes the risk of a fork: what was said meanwhile is signed. Reported, and kept in the store.
 *  Errors: REFUSED when nothing is asked in this channel, when a larger head is known, or before the members had
 * ENT_GUARD_RELEASE_AFTER_S to answer; those of the sequencer. */
ENT_RC ent_guard_release(ent_node *node, ent_channel *channel, ent_err *err);

#endif
