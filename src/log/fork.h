/* Proofs of forks: two heads that one log signed and that cannot both be true of it. A stranger can check one with
 * nothing else in hand.  Source: design.md section 3 "Fork"; the form is in docs/formats.md. */
#ifndef ENT_LOG_FORK_H
#define ENT_LOG_FORK_H

#include "log/tree.h"

enum {
    ENT_FORK_MAX_KEYS = 2,
    ENT_FORK_MAX_HASHES = ENT_PROOF_MAX_HASHES + 1,
    ENT_FORK_PROOF_MAX_BYTES = 2 * ENT_NOTE_MAX_BYTES + 8192
};

/** How the larger tree begins: the consistency path of RFC 6962 section 2.1.2 from the smaller size, with the node that
 * it begins at always given (the RFC leaves it out where the smaller size is a power of two). */
typedef struct {
    ent_hash hashes[ENT_FORK_MAX_HASHES];
    size_t count; /* 0 when both heads are of one size */
} ent_fork_path;

/** Make the path from the tiles of the larger tree.
 *  Errors: USAGE unless 0 < old_size < size; those of the reader. */
ENT_RC ent_fork_path_prove(uint64_t old_size, uint64_t size, const ent_tile_reader *tiles, ent_fork_path *ret,
                           ent_err *err);

/** A parsed proof. Texts and notes borrow from what was parsed. */
typedef struct {
    ent_text origin;
    ent_vkey keys[ENT_FORK_MAX_KEYS]; /* of the log: two when its key changed between the heads */
    size_t key_count;
    ent_note notes[2];
    ent_bytes note_bytes[2];
    ent_tree_head heads[2]; /* ascending by size, then by root */
    ent_fork_path path;
} ent_fork_proof;

/** Parse; nothing is verified.
 *  @in   bytes   borrowed as long as the proof lives
 *  Errors: PEER_MALFORMED, PEER_TOO_LARGE, NOMEM.  Owns: release with ent_fork_proof_release. */
ENT_RC ent_fork_proof_parse(ent_bytes bytes, ent_fork_proof *ret, ent_err *err);
void ent_fork_proof_release(ent_fork_proof *proof);
/** Append it: the same bytes as parsed. */
void ent_fork_proof_put(ent_buf *buf, const ent_fork_proof *proof);

/** What a proof shows. Zero means not checked, so that a forgotten check never reads as a verdict. */
typedef enum {
    ENT_FORK_NOT_CHECKED = 0,
    ENT_FORK_PROVEN,     /* both heads are signed by the keys it names, and they contradict each other */
    ENT_FORK_NOT_SIGNED, /* a head is signed by none of its keys, or a key has signed neither head */
    ENT_FORK_MISSES,     /* the path does not reproduce the larger root: that proves nothing */
    ENT_FORK_AGREES      /* the heads do not contradict each other */
} ent_fork_verdict;

/** Verify. Whose keys they are is the caller's to compare with a card or a genesis. */
ent_fork_verdict ent_fork_proof_verify(const ent_fork_proof *proof);

/** Make a proof from what contradicts, in any order, and verify it.
 *  @in   keys    of the log in all its times; those that signed are named in the proof
 *  @in   path    nullable when both heads are of one size
 *  @out  ret     appended
 *  Errors: PEER_INCONSISTENT when it is no proof of a fork (err.text says why), PEER_MALFORMED, NOMEM. */
ENT_RC ent_fork_proof_make(ent_text origin, const ent_public_key *keys, size_t key_count, const ent_bytes notes[2],
                           const ent_fork_path *path, ent_buf *ret, ent_err *err);

/** Tiles of a tree that goes on where a stored one ends: those of the store up to `first`, then leaves in memory.
 *  It must outlive the reader; the leaves borrow. */
typedef struct {
    ent_tile_reader stored; /* covers the first `first` leaves */
    uint64_t first;
    const ent_hash *leaves;
    size_t count;
} ent_leaves_beyond;
ent_tile_reader ent_leaves_beyond_reader(ent_leaves_beyond *beyond);

#endif
