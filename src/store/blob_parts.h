/* Attachments that come piece by piece: <folder>/parts/<digest>.<sender> until they are whole, then a blob (blobs.h).
 *
 * Each sender has a part of its own, so that no bytes of one spoil what another brings; the newest request of a sender
 * takes over from an older one. What has come is hashed on the way and kept when the sender goes away. After a restart
 * the hash of a part is not known: it is made again, in slices, by whoever calls ent_blob_parts_hash.
 *
 * Threads: all calls are safe; a piece belongs to one thread at a time. */
#ifndef ENT_STORE_BLOB_PARTS_H
#define ENT_STORE_BLOB_PARTS_H

#include "crypto/crypto.h"

enum {
    ENT_PARTS_OF_SENDER = 64, /* then a sender's oldest part makes room */
    ENT_PARTS_MOST = 4096,    /* of all; then the oldest of all */
    ENT_PARTS_KEPT_DAYS = 7   /* untouched for longer: removed */
};

typedef struct ent_blob_parts ent_blob_parts;
/** Parts that an earlier run left are found again.  Errors: IO, IO_FULL, NOMEM. */
ENT_RC ent_blob_parts_open(const char *folder, ent_blob_parts **ret, ent_err *err);
/** No piece may be left. NULL is fine. */
void ent_blob_parts_free(ent_blob_parts *parts);

/** What a sender brings. */
typedef struct {
    ent_hash digest; /* of the whole */
    uint64_t size;   /* of the whole */
    ent_text sender;
    uint64_t first; /* position of the piece */
    bool anew;      /* the whole at once: what was held of it is dropped */
} ent_blob_announced;

/** Bytes held of it from this sender.  Errors: RETRY while its hash is made again, or it is being finished. */
ENT_RC ent_blob_parts_ask(ent_blob_parts *parts, const ent_blob_announced *about, uint64_t *ret_held, ent_err *err);
/** Bytes that have come, of the sender who has brought most. */
uint64_t ent_blob_parts_held(ent_blob_parts *parts, const ent_hash *digest);
/** Whether anybody has begun to bring it. */
bool ent_blob_parts_begun(ent_blob_parts *parts, const ent_hash *digest);

typedef struct ent_blob_piece ent_blob_piece;
/** Begin to take a piece.
 *  @out  ret_held   with PEER_STALE: the position at which the next piece has to begin
 *  Errors: PEER_STALE, RETRY as above or when the sender has too many pieces under way, IO, IO_FULL, NOMEM.
 *  Owns: caller frees with ent_blob_piece_free, which keeps what came. */
ENT_RC ent_blob_piece_begin(ent_blob_parts *parts, const ent_blob_announced *about, uint64_t *ret_held,
                            ent_blob_piece **ret, ent_err *err);
/** Errors: PEER_TOO_LARGE beyond the whole, RETRY when another request has taken over, IO, IO_FULL. */
ENT_RC ent_blob_piece_push(ent_blob_piece *piece, ent_bytes bytes, ent_err *err);
/** Make durable what came. With the last byte the whole becomes a blob.
 *  @out  ret_held    bytes held now
 *  @out  ret_whole   it is a blob now
 *  Errors: PEER_MISMATCH when the whole has another digest: all of it is dropped, and counted; RETRY, IO, IO_FULL. */
ENT_RC ent_blob_piece_end(ent_blob_piece *piece, uint64_t *ret_held, bool *ret_whole, ent_err *err);
void ent_blob_piece_free(ent_blob_piece *piece);

/** Go on with the hash of a part that somebody asked for.
 *  @out  ret_worked   something was done: call again
 *  Errors: PEER_MISMATCH as above, IO: that part is dropped.  Blocks: for a slice of some 32 MiB. */
ENT_RC ent_blob_parts_hash(ent_blob_parts *parts, bool *ret_worked, ent_err *err);
/** Wholes that had another digest, since the start. */
uint64_t ent_blob_parts_mismatches(ent_blob_parts *parts);

/** Remove parts that are wanted no more or were not touched for long.
 *  @in   is_wanted   asked for each digest, outside any lock; a failure ends the walk and is passed on */
ENT_RC ent_blob_parts_tidy(ent_blob_parts *parts, int64_t now_unix_s,
                           ent_rc (*is_wanted)(void *context, const ent_hash *digest, bool *ret, ent_err *err),
                           void *context, ent_err *err);

#endif
