/* What a member may fetch at the border: the newest head held of a log, and its entries.  Source: design.md section 3
 * "Rollback guard". */
#ifndef ENT_NODE_BORDER_FETCH_H
#define ENT_NODE_BORDER_FETCH_H

#include "node/node.h"

/** Whether the request is GET /head or GET /pouch. */
bool ent_fetch_is(const ent_http_request *request);
/** Decide by certificate and query.  Errors: PEER_MALFORMED, PEER_UNKNOWN, PEER_FORBIDDEN; ABSENT when nothing is held
 * of that log. */
ENT_RC ent_fetch_admit(ent_node *node, const ent_http_request *request, const ent_hash *pin, ent_err *err);
ENT_RC ent_fetch_handle(ent_node *node, const ent_http_request *request, ent_http_response *response, ent_err *err);

#endif
