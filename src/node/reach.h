/* How each peer was last met: reached or not, since when and why, and what its clock says. Told by the courier, asked
 * by the doctor; in memory alone. */
#ifndef ENT_NODE_REACH_H
#define ENT_NODE_REACH_H

#include "node/node.h"

typedef struct {
    char name[ENT_NAME_MAX_BYTES + 1];
    int64_t reached_unix_s;       /* 0 = not since the start */
    int64_t failing_since_unix_s; /* 0 = it was reached last time */
    char why[256];
    bool clock_known;
    int64_t clock_ahead_s; /* of ours; within a second or two */
} ent_reach;

ENT_RC ent_reaches_new(ent_reaches **ret, ent_err *err);
void ent_reaches_free(ent_reaches *reaches); /* NULL is fine */

/** A call to a peer has ended.
 *  @in   why           NULL = it was reached
 *  @in   date_unix_s   what its answer says the time is; 0 = nothing
 *  Out of memory, it is forgotten. */
void ent_reach_told(ent_reaches *reaches, const char *peer, const char *why, int64_t date_unix_s);
/** How a peer was last met; false when it was not tried. */
bool ent_reach_of(ent_reaches *reaches, const char *peer, ent_reach *ret);

#endif
