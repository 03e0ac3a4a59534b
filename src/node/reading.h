/* One log as the opener reads it: entry by entry into the ledger, and what is to be said about them. Private to the
 * opener; one thread. */
#ifndef ENT_NODE_READING_H
#define ENT_NODE_READING_H

#include "node/node.h"

/** What became of a look at one log. */
typedef struct {
    bool moved;   /* something was opened, or said */
    bool more;    /* and there is more at once */
    bool waiting; /* something is to be said that must wait a little: come back */
} ent_reading_result;

/** Open what came in one log: at most a batch.
 *  Errors: our own trouble; what was done so far stays done. */
ENT_RC ent_reading_go_on(ent_node *node, ent_channel *channel, uint32_t member, ent_reading_result *ret, ent_err *err);

#endif
