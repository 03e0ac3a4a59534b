/* Strict ustar, push-driven.  Source: POSIX.1-2017 pax, "ustar Interchange Format"; design.md section 2 "Pouch".
 * Regular files only, fixed metadata (mode 0644, uid gid mtime 0, no owner names), name in the name field alone (at
 * most 100 bytes), two zero blocks at the end and nothing after. A header is accepted only if writing it again gives
 * the same 512 bytes. */
#ifndef ENT_POUCH_USTAR_H
#define ENT_POUCH_USTAR_H

#include "base/bytes.h"

enum { ENT_USTAR_BLOCK = 512, ENT_USTAR_NAME_MAX = 100 };

/** Append header, data and padding of one member.  Errors: USAGE for a name that is not allowed, PEER_TOO_LARGE, NOMEM.
 */
ENT_RC ent_ustar_put(ent_buf *buf, ent_text name, ent_bytes data, ent_err *err);
/** Append a header alone: the caller then appends size bytes and ent_ustar_put_padding. */
ENT_RC ent_ustar_put_header(ent_buf *buf, ent_text name, uint64_t size, ent_err *err);
void ent_ustar_put_padding(ent_buf *buf, uint64_t size);
/** Append the two zero blocks. */
void ent_ustar_put_end(ent_buf *buf);
/** Whether a name may stand in a pouch: relative, parts of [A-Za-z0-9._-] not starting with a dot, '/' between them, at
 * most 100 bytes. */
bool ent_ustar_name_valid(ent_text name);

/** What a reader tells as it goes: member once for each member, then data for its bytes (not at all when its size is
 * 0). The name borrows for the call; a piece points into the bytes that were pushed and is as large as they allow. A
 * failure stops the reader and is passed on; both functions must be there. */
typedef struct {
    ENT_RC (*member)(void *context, ent_text name, uint64_t size, ent_err *err);
    ENT_RC (*data)(void *context, ent_bytes piece, ent_err *err);
    void *context;
} ent_ustar_events;

typedef struct {
    uint8_t block[ENT_USTAR_BLOCK];
    size_t block_used;
    uint64_t data_left;
    uint32_t padding_left;
    uint8_t zero_blocks;
    bool failed;
    uint64_t offset; /* bytes taken so far, for errors */
    uint64_t limit;  /* whole archive; 0 = none */
    ent_ustar_events events;
} ent_ustar_reader;

void ent_ustar_reader_init(ent_ustar_reader *reader, uint64_t limit, ent_ustar_events events);
/** Feed bytes in pieces of any size.  Errors: PEER_MALFORMED (the text names offset and reason), PEER_TOO_LARGE, those
 * of the events. */
ENT_RC ent_ustar_reader_push(ent_ustar_reader *reader, ent_bytes bytes, ent_err *err);
/** The bytes are over.  Errors: PEER_MALFORMED when the two zero blocks have not both been seen. */
ENT_RC ent_ustar_reader_finish(ent_ustar_reader *reader, ent_err *err);

#endif
