/* Cutoffs: where a log passes from one log key to the next, signed by the root key.  Source: design.md section 2
 * "Rotation"; docs/formats.md "Cutoff note".
 *
 * A signed note by the root key (type 01). Its text is the line "entente.cutoff/v1 <origin>" and, for each cutoff of
 * that log, oldest first, four lines: decimal size, base64 root, serial of the card whose log key signs from there on,
 * and "rotated" or "revoked". Heads of more entries than a cutoff's size are by the new key, all others by the one
 * before. */
#ifndef ENT_SEAL_CUTOFF_H
#define ENT_SEAL_CUTOFF_H

#include "log/checkpoint.h"

enum { ENT_CUTOFFS_MAX = 64, ENT_CUTOFF_NOTE_MAX_BYTES = 16 * 1024 };

typedef struct {
    ent_tree_head head; /* the last that the old key signs; size 0 with the empty root */
    uint64_t serial;    /* of the card that names the new log key */
    bool revoked;       /* the old key may be in other hands */
} ent_cutoff;

/** All cutoffs of one log. */
typedef struct {
    ent_text origin; /* borrows from the note */
    ent_cutoff rows[ENT_CUTOFFS_MAX];
    size_t count; /* >= 1 */
} ent_cutoffs;

/** Append the signed note.
 *  @in   party   whose log it is: names the root key
 *  Errors: USAGE when a cutoff is not allowed, or goes back in size or serial; NOMEM. */
ENT_RC ent_cutoffs_sign(const ent_cutoffs *cutoffs, ent_text party, const ent_secret_key *root, ent_buf *ret,
                        ent_err *err);
/** Parse a note and verify that this root key signed it.
 *  @in   bytes   borrowed as long as ret lives
 *  Errors: PEER_MALFORMED, PEER_SIGNATURE, PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_cutoffs_parse(ent_bytes bytes, ent_text party, const ent_public_key *root, ent_cutoffs *ret, ent_err *err);
/** Whether `next` says all that `known` says, and perhaps more.  Errors: PEER_MISMATCH with the reason. */
ENT_RC ent_cutoffs_extend(const ent_cutoffs *known, const ent_cutoffs *next, ent_err *err);

#endif
