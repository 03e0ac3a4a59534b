/* Where a blob's file lies; shared by the blobs, their parts, and by the engine's larger bodies. Private to the stage.
 */
#ifndef ENT_STORE_BLOB_FILE_H
#define ENT_STORE_BLOB_FILE_H

#include "crypto/types.h"

/** "<folder>/ab/abcdef…".  Owns: caller frees with ent_free; NULL when there is no memory. */
char *ent_blob_path(const char *folder, const ent_hash *digest);
/** Give a synced file its place, durably.  Errors: IO, IO_FULL, NOMEM. */
ENT_RC ent_blob_place(const char *folder, const char *temporary, const ent_hash *digest, ent_err *err);

#endif
