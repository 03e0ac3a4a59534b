/* Packing: what a member lacks of our log, as one pouch.  Source: design.md section 2 "Pouch". */
#ifndef ENT_NODE_PACK_H
#define ENT_NODE_PACK_H

#include "node/node.h"

typedef struct {
    ent_buf bytes;
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    uint64_t old_size;
    uint64_t size;
    int64_t receipts_upto; /* receipt numbers up to this one are in it, or were before */
} ent_packed;
void ent_packed_release(ent_packed *packed);

typedef enum { ENT_PACK_NOTHING = 0, ENT_PACK_RECEIPTS, ENT_PACK_ENTRIES } ent_pack_want;
/** What a member lacks; receipts alone are less pressing, for it most likely got ours with the answers to its own
 * pouches. */
ENT_RC ent_pack_wanted(ent_node *node, ent_channel *channel, uint32_t member, ent_pack_want *ret, ent_err *err);
/** Pack from what the member has confirmed to our newest head, or as far as one pouch goes.
 *  Errors: REFUSED_NOT_OPEN when we have no entry 0 there, REFUSED_KEEPER when our head is held, those of the store. */
ENT_RC ent_pack(ent_node *node, ent_channel *channel, uint32_t member, ent_packed *ret, ent_err *err);

#endif
