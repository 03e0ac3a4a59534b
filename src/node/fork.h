/* Forks: two heads signed by one log that contradict each other.  Source: design.md section 3 "Fork". A log freezes in
 * the transaction that keeps the proof; every pouch to another member then brings it, until that member has it. */
#ifndef ENT_NODE_FORK_H
#define ENT_NODE_FORK_H

#include "log/fork.h"
#include "node/node.h"

/** Keep what a check found of the pouch's own log (verdict FORKED) as proof beside the largest head that our entries
 * bear out, and freeze that log.  Errors: PEER_FORK always, or our own trouble. */
ENT_RC ent_fork_record(ent_node *node, ent_channel *channel, uint32_t writer, const ent_pouch *pouch,
                       const ent_pouch_checked *checked, ent_err *err);
/** Keep the forks of other logs that a pouch shows (checked->forks), and freeze those logs. That is no fault of the
 * pouch. */
ENT_RC ent_fork_record_others(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err);

/** Keep what shows that a log forked, and freeze it, unless it is frozen already.
 *  @in   fork      its note, held and proof; the rest is filled in
 *  @out  ret_new   whether it was not frozen before */
ENT_RC ent_fork_freeze(ent_node *node, ent_channel *channel, uint32_t member, const ent_store_fork *fork, bool *ret_new,
                       ent_err *err);

/** At the start, when all threads run: of a channel that is held because the keeper signed otherwise, keep a fork of
 * our own log if store and marks prove one. What cannot be kept is reported. */
void ent_fork_find_own(ent_node *node);

/** Hold a channel for good: a head that our own log key signed says more than this store knows. The head is kept.
 *  @in   note   verified
 *  @in   who    that showed it; NULL = it came with a pouch */
ENT_RC ent_fork_hold(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_bytes note, const char *who,
                     ent_err *err);

/** What the check cannot see: the pouch against signed heads that were kept before their entries came. A head of our
 * own log beyond what we signed holds the channel. A head of another log that contradicts one of its size is kept as a
 * fork and taken out of checked->heads.
 *  @in   known      what it was checked against, with the keys that it brought: what these show to be beyond a cutoff
 * contradicts nothing
 *  @out  ret_news   whether there are new entries, or heads that were not kept before
 *  Errors: PEER_FORK (the writer's, recorded), those of the store and the sequencer. */
ENT_RC ent_fork_compare(ent_node *node, ent_channel *channel, const ent_pouch_known *known, const ent_pouch *pouch,
                        ent_pouch_checked *checked, bool *ret_news, ent_err *err);

/** Take in a proof that came by hand.
 *  @out  ret_new   whether that log was not frozen before
 *  Errors: ABSENT when the channel is not here, PEER_NOT_OURS, PEER_MALFORMED, PEER_SIGNATURE when its keys are not
 * that log's, PEER_INCONSISTENT when it proves nothing. */
ENT_RC ent_fork_import(ent_node *node, ent_bytes proof, ent_channel **ret_channel, uint32_t *ret_member, bool *ret_new,
                       ent_err *err);
/** Append the proof that a member's log forked, for strangers; for a row of old it is made now.
 *  Errors: ABSENT when no fork of that log is known, REFUSED when what is kept proves it to nobody else. */
ENT_RC ent_fork_proof_of(ent_node *node, ent_channel *channel, uint32_t member, ent_buf *ret, ent_err *err);

/** Bits of the members whose logs are frozen here. */
uint32_t ent_fork_frozen(ent_channel *channel);

#endif
