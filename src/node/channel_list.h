/* Which channels a member shares with a party: GET /channels.  Source: docs/formats.md. A channel id in 64 hex digits a
 * line, ascending, one page at a time. */
#ifndef ENT_NODE_CHANNEL_LIST_H
#define ENT_NODE_CHANNEL_LIST_H

#include "node/node.h"

enum { ENT_CHANNEL_LIST_MOST = 1000, ENT_CHANNEL_LIST_LINE = 65 };

/** Append the page behind `after` of the channels in which the owner of this certificate is a member and has said
 * something.
 *  @in   after   nullable: from the first
 *  Errors: NOMEM. */
ENT_RC ent_channel_list_put(ent_node *node, const ent_hash *pin, const ent_hash *after, ent_buf *ret, ent_err *err);
/** Take the next id off a page.
 *  @in   after   nullable: the id must lie behind it
 *  @out  ret_more   false at the end: ret is unchanged
 *  Errors: PEER_MALFORMED. */
ENT_RC ent_channel_list_next(ent_text *rest, const ent_hash *after, ent_hash *ret, bool *ret_more, ent_err *err);

#endif
