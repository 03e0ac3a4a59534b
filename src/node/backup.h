/* A backup of a running node, as a tar that is made while it is read: docs/formats.md "Backup". */
#ifndef ENT_NODE_BACKUP_H
#define ENT_NODE_BACKUP_H

#include "node/node.h"

typedef struct ent_backup ent_backup;

/** Begin: the store is copied as it is now; then the marks are read, which so are as new as the store or newer.
 *  @out  ret_bytes   about how long the tar will be
 *  Errors: IO, IO_FULL, NOMEM.  Blocks: while the database is copied. */
ENT_RC ent_backup_new(ent_node *node, ent_backup **ret, uint64_t *ret_bytes, ent_err *err);
/** At a start: remove copies of the database that a crash left behind. */
void ent_backup_clean(const ent_node *node);
void ent_backup_free(ent_backup *backup);
/** Append the next piece.  Errors: IO, NOMEM. */
ENT_RC ent_backup_pull(ent_backup *backup, ent_buf *ret_piece, bool *ret_end, ent_err *err);

#endif
