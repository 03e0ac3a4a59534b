/* What a check of a pouch asks of our store; for those who take pouches in. */
#ifndef ENT_NODE_RECEIVE_INTERNAL_H
#define ENT_NODE_RECEIVE_INTERNAL_H

#include "node/channel.h"
#include "node/receive.h"

/** What the callbacks of a check read. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    ent_store_tiles tiles;
    ent_store_log log; /* the writer's, as committed */
} ent_holding;

/** What we hold of a channel, for a check of its writer's log; keys are those of the genesis or left to the caller.
 *  @out  held   must live as long as ret */
void ent_holding_know(ent_node *node, ent_channel *channel, uint32_t writer, ent_holding *held, ent_pouch_known *ret);

/** Append the new entries of a checked pouch to their log, in a job that has touched its channel: the member's next
 * tree, bytes and acked are those after it.  Errors: those of the store's append. */
ENT_RC ent_receive_append(ent_node *node, ent_channel_member *member, const ent_pouch_checked *checked, ent_err *err);

#endif
