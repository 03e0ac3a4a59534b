/* A member that was restored from a backup has forgotten what came after it, and asks for entries alone: the receipts
 * that it had are told again, its own too, so that it gives none a second time with another date. */
#ifndef ENT_NODE_FORGOTTEN_H
#define ENT_NODE_FORGOTTEN_H

#include "node/node.h"

/** In the sequencer's transaction: a member holds only so much of a log, and once held more, as its receipts or ours
 * say. Receipts of all logs of the channel that came since then are told it again, and some before, for it may have
 * lost what was on its way then.
 *  @in   of     whose log
 *  @in   size   what it holds of that log now; UINT64_MAX = all, but it may have lost the last receipts
 *  Errors: those of the store. */
ENT_RC ent_forgotten_apply(ent_node *node, ent_channel *channel, uint32_t member, uint32_t of, uint64_t size,
                           ent_err *err);
/** The same as a job of its own: the member has asked for something that shows it.  Blocks: yes. */
ENT_RC ent_forgotten(ent_node *node, ent_channel *channel, uint32_t member, uint32_t of, uint64_t size, ent_err *err);

#endif
