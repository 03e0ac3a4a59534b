/* Packing's own: what its files share.
 *
 *  pack.c            the head, entries, bodies; the whole
 *  pack_evidence.c   heads of the other logs, proofs of forks, receipts */
#ifndef ENT_NODE_PACK_INTERNAL_H
#define ENT_NODE_PACK_INTERNAL_H

#include "node/pack.h"

/** Everything that goes into one pouch, and the memory it lives in. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    uint32_t of;
    uint32_t to;
    uint64_t most; /* entries; 0 = as many as one pouch takes */
    bool again;    /* ent_pack_again */
    ent_pouch pouch;
    ent_arena arena;
    ent_buf entries;
    ent_buf *bodies; /* array of entry_count */
    size_t entry_count;
    ent_buf checkpoint;
    ent_buf head_notes[ENT_ENTRY_MAX_MEMBERS];  /* per log: those packed, one behind the other … */
    uint64_t head_sizes[ENT_ENTRY_MAX_MEMBERS]; /* … and the size of the last */
    size_t head_count;
    uint64_t confirmed[ENT_ENTRY_MAX_MEMBERS]; /* per log: how much of it `to` is known to hold */
    uint64_t receipted[ENT_ENTRY_MAX_MEMBERS]; /* per log: what we had receipted, signed, before the walk */
    int64_t receipts_upto[ENT_ENTRY_MAX_MEMBERS];
    int64_t receipts_again[ENT_ENTRY_MAX_MEMBERS]; /* per log: up to this number those by `to` go along too */
    bool forgotten;  /* `to` has receipted more of this log than it holds now: its receipts for it go along … */
    unsigned forgot; /* as ent_packed.forgot */
} ent_packing;

ENT_RC ent_packing_no_memory(ent_err *err);
/** Copy into the arena.  Errors: NOMEM. */
ENT_RC ent_packing_keep(ent_packing *work, const ent_buf *bytes, ent_bytes *ret, ent_err *err);
/** Read what `to` is known to hold of each log, and of which receipts. */
ENT_RC ent_packing_know(ent_packing *work, ent_err *err);
/** Heads of the other logs. The entries must have been packed. */
ENT_RC ent_packing_heads(ent_packing *work, ent_err *err);
/** Proofs that a log forked: each member is to know, also the one whose log it is. */
ENT_RC ent_packing_forks(ent_packing *work, ent_err *err);
/** How far a pouch of entries from `from` on may go, of `most` at most: who has forgotten what it receipted is brought
 * to a size that it receipted, so that it need not sign one again that is smaller than its largest. */
ENT_RC ent_packing_limit(ent_packing *work, uint64_t from, uint64_t *most, ent_err *err);
/** Receipts. The entries must have been packed. */
ENT_RC ent_packing_receipts(ent_packing *work, ent_err *err);

#endif
