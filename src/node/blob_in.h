/* PUT /blob/<sha256>: a sealed attachment that comes in.  Source: design.md section 2 "Attachments". */
#ifndef ENT_NODE_BLOB_IN_H
#define ENT_NODE_BLOB_IN_H

#include "node/node.h"

enum {
    ENT_ATTACHMENT_MAX_BYTES = 64 << 20, /* what is attached; larger ones, resumable and under quotas, are to come */
    ENT_ATTACHMENT_MAX_SEALED_BYTES = ENT_ATTACHMENT_MAX_BYTES + (128 << 10) /* with age's header and tags */
};

/** Decide by path and headers: it must be an attachment of an entry we hold, sent by a member, of the size the entry
 * says. Errors: PEER_MALFORMED, ABSENT, PEER_FORBIDDEN, PEER_MISMATCH, those of the blob writer. */
ENT_RC ent_blob_in_admit(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_http_intake *ret_intake,
                         ent_err *err);
/** Make it durable and log `evidence.held`. */
ENT_RC ent_blob_in_handle(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err);

#endif
