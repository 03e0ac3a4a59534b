/* Which bytes of an attachment a request brings.  Source: RFC 9110, section 14.4 (Content-Range); docs/formats.md. */
#ifndef ENT_NODE_BLOB_RANGE_H
#define ENT_NODE_BLOB_RANGE_H

#include "base/bytes.h"

/** What is attached, and that once it is sealed: age adds a header and a tag to each 64 KiB. */
#define ENT_ATTACHMENT_MAX_BYTES ((uint64_t)1 << 40)
#define ENT_ATTACHMENT_MAX_SEALED_BYTES                                                                                \
    (ENT_ATTACHMENT_MAX_BYTES + (ENT_ATTACHMENT_MAX_BYTES >> 12) + ((uint64_t)1 << 17))

enum { ENT_BLOB_RANGE_SIZE = 80 };

typedef struct {
    bool is_question; /* "bytes *" "/TOTAL": how far has it come? */
    uint64_t first;
    uint64_t size; /* bytes of the piece */
    uint64_t total;
} ent_blob_range;

/** Read "bytes FIRST-LAST/TOTAL" or "bytes *" "/TOTAL".  Errors: PEER_MALFORMED, PEER_TOO_LARGE. */
ENT_RC ent_blob_range_parse(ent_text text, ent_blob_range *ret, ent_err *err);
/** Read "bytes=FIRST-LAST" of a Range header, one range within a whole of this size.  Errors: PEER_MALFORMED. */
ENT_RC ent_blob_range_asked(ent_text text, uint64_t total, ent_blob_range *ret, ent_err *err);
/** Write it, with a final zero. */
void ent_blob_range_write(const ent_blob_range *range, char ret[ENT_BLOB_RANGE_SIZE]);

#endif
