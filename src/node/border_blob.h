/* Attachments given back: GET /blob/<sha256>, a range at a time, to members of a channel in which an entry names it.
 * Source: docs/formats.md "Attachments". */
#ifndef ENT_NODE_BORDER_BLOB_H
#define ENT_NODE_BORDER_BLOB_H

#include "node/node.h"

enum { ENT_BLOB_GIVEN_BYTES = 4 << 20 }; /* at a time, at most */

bool ent_blob_out_is(const ent_http_request *request);
/** Decide by certificate, path, query and Range.  Errors: PEER_UNKNOWN, PEER_FORBIDDEN when no channel is shared,
 * ABSENT when nothing that the asker may have is named so, or it is not here; PEER_MALFORMED, PEER_QUOTA. */
ENT_RC ent_blob_out_admit(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_err *err);
ENT_RC ent_blob_out_handle(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err);

#endif
