/* Files, written so that a crash leaves the old contents or the new. For programs, not for pure stages. */
#ifndef ENT_BASE_FILE_H
#define ENT_BASE_FILE_H

#include "base/bytes.h"

#include <sys/types.h>

/** Read a whole file of at most limit bytes, appending to ret.  Errors: ABSENT, PEER_TOO_LARGE, IO, NOMEM.  Blocks:
 * yes. */
ENT_RC ent_file_read(const char *path, size_t limit, ent_buf *ret, ent_err *err);
/** Read a whole file that is being written to: until two reads in a row agree, so that it is as it was at one moment.
 *  Errors: as above, RETRY when it changes for more than two seconds without a pause.  Blocks: yes. */
ENT_RC ent_file_read_settled(const char *path, size_t limit, ent_buf *ret, ent_err *err);
/** Read on to the end, at most limit bytes, appending to ret, which may hold a part after a failure.
 *  @in   path   what the error calls it
 *  Errors: PEER_TOO_LARGE, IO, NOMEM.  Blocks: yes. */
ENT_RC ent_file_read_all(int fd, const char *path, size_t limit, ent_buf *ret, ent_err *err);
/** Replace a file: temporary file beside it, fsync, rename, fsync of the folder.  Errors: IO, IO_FULL.  Blocks: yes. */
ENT_RC ent_file_write(const char *path, mode_t mode, ent_bytes bytes, ent_err *err);
/** Create a file that must not exist yet (same durability).  Errors: REFUSED when it exists, IO, IO_FULL. */
ENT_RC ent_file_create(const char *path, mode_t mode, ent_bytes bytes, ent_err *err);
/** Create a folder (parents must exist); an existing folder is fine. */
ENT_RC ent_file_make_folder(const char *path, mode_t mode, ent_err *err);
/** fsync a folder, so that names in it survive a crash. */
ENT_RC ent_file_sync_folder(const char *path, ent_err *err);
bool ent_file_exists(const char *path);
/** Write everything or fail; retries short writes and EINTR.  Errors: IO, IO_FULL. */
ENT_RC ent_file_write_all(int fd, ent_bytes bytes, ent_err *err);
/** Build "folder/name".  Owns: caller frees with ent_free; NULL when there is no memory. */
char *ent_file_join(const char *folder, const char *name);
/** Close *fd if it is >= 0, and set it to -1: for ENT_CLEANUP. */
void ent_file_close(int *fd);

#endif
