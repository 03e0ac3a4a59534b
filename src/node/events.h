/* What happens on a node, as lines of JSON: kept for a while in memory, for `watch` and for calls that wait. */
#ifndef ENT_NODE_EVENTS_H
#define ENT_NODE_EVENTS_H

#include "node/node.h"

enum { ENT_EVENTS_KEPT = 1024 };

ENT_RC ent_events_new(ent_events **ret, ent_err *err);
void ent_events_free(ent_events *events);

/** Tell one. line is a JSON object without a newline. Never fails: an event that finds no memory is dropped (the store
 * has the facts). */
void ent_events_tell(ent_events *events, ent_text line);
/** Number the next event will have. */
uint64_t ent_events_next(ent_events *events);
/** Append the events from *from on as lines and set *from to the next; waits up to timeout_ms for the first.  Blocks:
 * yes. */
ENT_RC ent_events_read(ent_events *events, uint64_t *from, uint32_t timeout_ms, ent_buf *ret_lines, ent_err *err);
/** Wait until an event with a number >= from is told, the timeout passes, or the events are closed; true for the first.
 */
bool ent_events_wait(ent_events *events, uint64_t from, uint32_t timeout_ms);
/** Wake all who wait, now and for ever: the node stops. */
void ent_events_close(ent_events *events);
bool ent_events_closed(ent_events *events);

/* The events of docs/api.md. */
void ent_tell_message(ent_node *node, ent_channel *channel, const ent_entry *entry, ent_text subject);
void ent_tell_receipt(ent_node *node, ent_channel *channel, uint32_t by, uint64_t size);
void ent_tell_channel(ent_node *node, ent_channel *channel);
void ent_tell_attachment(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, const ent_hash *digest);
void ent_tell_fork(ent_node *node, ent_channel *channel, uint32_t member);

#endif
