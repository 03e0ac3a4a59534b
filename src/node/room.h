/* Room on the disk: what comes is taken only where it leaves a reserve for what this node itself must still write, also
 * beside what other requests are about to write.  Source: design.md section 3, step 1.
 *
 * A request is promised what it writes next, not all that it announces: else one who announces much and sends nothing
 * would shut all others out. So several that each fit, and not together, all begin; those that find no room any more
 * stop before the reserve, and go on where they stopped when there is room again. */
#ifndef ENT_NODE_ROOM_H
#define ENT_NODE_ROOM_H

#include "node/node.h"

/** What one request may write. Zero-initialise; for one thread at a time. */
typedef struct {
    ent_node *node;
    uint64_t bytes; /* promised, and not used yet */
} ent_room;

/** Begin to take something in.
 *  @in   needed   bytes that it still is, all in all: there must be room for them now
 *  @in   bytes    promised at once
 *  Errors: IO_FULL, IO.  Threads: safe.  Owns: release with ent_room_release. */
ENT_RC ent_room_begin(ent_node *node, uint64_t needed, uint64_t bytes, ent_room *ret, ent_err *err);
/** So many bytes are written now; where no more are promised, the next few MiB are.  Errors: IO_FULL, IO. */
ENT_RC ent_room_use(ent_room *room, uint64_t bytes, ent_err *err);
/** What was not used is free again. */
void ent_room_release(ent_room *room);

#endif
