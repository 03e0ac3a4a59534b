/* Recovering: a member gives back what we said and have lost, and what we had of others.  Source: design.md section 3
 * "Rollback guard": "`entente recover --from PARTY` re-imports our own entries". */
#ifndef ENT_NODE_RECOVER_H
#define ENT_NODE_RECOVER_H

#include "node/node.h"

enum { ENT_SET_ASIDE_PATH_MAX = 512 };

/** What came of one channel. */
typedef struct {
    uint64_t size_before; /* of our log, as far as it was signed */
    uint64_t size;        /* now */
    uint64_t others;      /* entries of the other members' logs that came back */
    uint64_t set_aside;   /* messages that were never signed, and gave way to signed ones */
    char set_aside_folder[ENT_SET_ASIDE_PATH_MAX];
    uint64_t attachments;         /* that came back, whoever attached them */
    uint64_t attachments_missing; /* that are not here, nor came from there */
    char trouble[512];            /* why another member's log, or an attachment, did not come back; "" = all did */
    ent_hold hold;                /* afterwards */
    char hold_reason[768];
} ent_recovered;

/** Bring back from a member what it holds of our log in a channel, with the receipts for it, then of the other logs,
 * with the receipts that we gave, and attachments. Each step is one transaction, so that it can be repeated however it
 * ends. When our log holds again all that was signed of it as far as we know, the members are asked anew, and it goes
 * on.
 *  @in   from   member
 *  Errors: UNREACHABLE, those of that member's refusal; REFUSED when it holds less than we do, or a history of our log
 *  that contradicts what was signed here; RETRY when another recovery is at work.  Blocks: yes. */
ENT_RC ent_recover(ent_node *node, ent_channel *channel, uint32_t from, ent_recovered *ret, ent_err *err);

#endif
