/* Forks: two heads signed by one log that contradict each other.  Source: design.md section 3 "Fork". */
#ifndef ENT_NODE_FORK_H
#define ENT_NODE_FORK_H

#include "node/node.h"

/** Keep what a check found (verdict FORKED) as proof beside the largest head that our entries bear out, and freeze that
 * log. Errors: PEER_FORK always, or our own trouble. */
ENT_RC ent_fork_record(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err);

/** Hold a channel for good: a head that our own log key signed says more than this store knows. The head is kept.
 *  @in   note   verified
 *  @in   who    that showed it; NULL = it came with a pouch */
ENT_RC ent_fork_hold(ent_node *node, ent_channel *channel, const ent_tree_head *head, ent_bytes note, const char *who,
                     ent_err *err);

/** What the check cannot see: the pouch against signed heads that were kept before their entries came. A head of our
 * own log beyond what we signed holds the channel.
 *  @in   held       right edge of the writer's log as it was checked against
 *  @out  ret_news   whether there are new entries, or heads that were not kept before
 *  Errors: PEER_FORK (recorded), those of the store and the sequencer. */
ENT_RC ent_fork_compare(ent_node *node, ent_channel *channel, uint32_t writer, const ent_tree *held,
                        const ent_pouch *pouch, const ent_pouch_checked *checked, bool *ret_news, ent_err *err);

#endif
