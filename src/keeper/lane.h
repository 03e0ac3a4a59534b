/* A lane: a socket between a node and its keeper, which carries frames: u32 big-endian size, then a message (wire.h).
 * A file may come with a frame. */
#ifndef ENT_KEEPER_LANE_H
#define ENT_KEEPER_LANE_H

#include "base/bytes.h"

/** Send one frame, and a file with it if there is one.
 *  @in   file   stays the caller's; -1 = none
 *  Errors: PEER_TOO_LARGE, UNREACHABLE when the other end is closed, IO.  Blocks: yes. */
ENT_RC ent_lane_send(int lane, ent_bytes message, int file, ent_err *err);
/** Receive one, replacing what ret holds.
 *  @out  ret_file   nullable: a file is closed then; -1 when none came
 *  Errors: UNREACHABLE when the other end is closed, PEER_MALFORMED (too large, cut), IO, NOMEM.  Blocks: yes. */
ENT_RC ent_lane_receive(int lane, ent_buf *ret, int *ret_file, ent_err *err);

#endif
