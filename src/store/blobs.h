/* Sealed attachments as files named by their digest: <folder>/ab/abcdef….  Written to a temporary file, hashed on the
 * way, synced, then renamed, and the folder synced: a name that exists is of a whole file, and one that was committed
 * is durable. */
#ifndef ENT_STORE_BLOBS_H
#define ENT_STORE_BLOBS_H

#include "crypto/crypto.h"

/** A blob being written. */
typedef struct ent_blob_writer ent_blob_writer;

/** Start; the folder is made when it is missing.  Errors: IO, IO_FULL, NOMEM.
 *  Owns: caller frees with ent_blob_writer_free, which removes what was not committed. */
ENT_RC ent_blob_writer_new(const char *folder, uint64_t limit, ent_blob_writer **ret, ent_err *err);
/** Errors: PEER_TOO_LARGE beyond the limit (nothing of these bytes is taken), IO, IO_FULL, USAGE after the commit. */
ENT_RC ent_blob_writer_push(ent_blob_writer *writer, ent_bytes bytes, ent_err *err);
/** Make it durable under its digest.
 *  @in   expected   nullable; another digest is PEER_MISMATCH and nothing stays */
ENT_RC ent_blob_writer_commit(ent_blob_writer *writer, const ent_hash *expected, ent_hash *ret_digest,
                              uint64_t *ret_size, ent_err *err);
void ent_blob_writer_free(ent_blob_writer *writer);

/** Open for reading: a descriptor the caller closes.  Errors: ABSENT, IO. */
ENT_RC ent_blob_open(const char *folder, const ent_hash *digest, int *ret_fd, uint64_t *ret_size, ent_err *err);
bool ent_blob_exists(const char *folder, const ent_hash *digest);
/** Make durable a name that exists, whoever is giving it.  Errors: ABSENT, IO, NOMEM. */
ENT_RC ent_blob_settle(const char *folder, const ent_hash *digest, ent_err *err);
/** Give each blob that was written before a moment. What else lies there is passed over. */
ENT_RC ent_blobs_walk_old(const char *folder, int64_t before_unix_s,
                          ent_rc (*row)(void *context, const ent_hash *digest, ent_err *err), void *context,
                          ent_err *err);
/** Remove one; that there is none is fine.  Errors: IO, NOMEM. */
ENT_RC ent_blob_remove(const char *folder, const ent_hash *digest, ent_err *err);
/** Remove temporary files that a crash left behind. */
ENT_RC ent_blobs_clean(const char *folder, ent_err *err);

#endif
