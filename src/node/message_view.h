/* A message as the API shows it, in lists and alone: its header, its state, what was said against it. */
#ifndef ENT_NODE_MESSAGE_VIEW_H
#define ENT_NODE_MESSAGE_VIEW_H

#include "node/message_row.h"

/** What all messages of one channel need to know once. */
typedef struct {
    ent_node *node;
    const ent_rows *set;
    uint64_t receipted[ENT_ENTRY_MAX_MEMBERS]; /* of our log, by each member */
    uint64_t sent;                             /* what of our log may leave: all, unless the channel is held */
} ent_message_view;

/** Look at the channel of some rows.
 *  @in   set   borrowed as long as the view is used
 *  Errors: those of the store. */
ENT_RC ent_message_look(ent_node *node, const ent_rows *set, ent_message_view *ret, ent_err *err);
/** Write the members of a message's object that lists have too (docs/api.md). */
void ent_message_put(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row);

#endif
