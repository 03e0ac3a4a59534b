/* The keeper's side of the lanes: what its own process does.  Source: design.md section 8 "keeper". */
#ifndef ENT_KEEPER_SERVE_H
#define ENT_KEEPER_SERVE_H

#include "keeper/keeper.h"

/** Answer the requests that come by a lane until its other end is closed, which is no failure. One thread a lane.
 *  Errors: PEER_MALFORMED (the other end is not our node: end the process), IO, NOMEM.  Blocks: yes. */
ENT_RC ent_keeper_serve(ent_keeper *keeper, int lane, ent_err *err);
/** Answer the first request by why there is no keeper.  Errors: as above.  Blocks: until it comes. */
ENT_RC ent_keeper_serve_failure(int lane, const ent_err *why, ent_err *err);

#endif
