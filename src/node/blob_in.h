/* PUT /blob/<sha256>: a sealed attachment that comes in, whole or piece by piece.  Source: design.md section 2
 * "Attachments"; docs/formats.md "On the wire". */
#ifndef ENT_NODE_BLOB_IN_H
#define ENT_NODE_BLOB_IN_H

#include "node/node.h"

/** Decide by path and headers: it must be an attachment of an entry we hold, sent by a member, of the size the entry
 * says, and the piece must begin where the last one ended.
 *  Errors: PEER_MALFORMED, PEER_TOO_LARGE, ABSENT, PEER_FORBIDDEN, PEER_QUOTA, IO_FULL; PEER_STALE: answered with the
 *  position; WAITING: answered that it is held; RETRY while the hash of what is held is made again. */
ENT_RC ent_blob_in_admit(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_http_intake *ret_intake,
                         ent_err *err);
/** Make durable what came and say how far it is; the whole is said to be held by the blob worker. */
ENT_RC ent_blob_in_handle(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err);

/** For a stick: take in an attachment from the own socket, whole.  Errors: ABSENT when no entry wants it, and as
 * above. */
ENT_RC ent_blob_in_admit_local(ent_node *node, ent_http_request *request, ent_text digest, ent_http_intake *ret_intake,
                               ent_err *err);

#endif
