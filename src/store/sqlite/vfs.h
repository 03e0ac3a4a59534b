/* The operating system as SQLite sees it, with a fault under every write. Private to the engine. */
#ifndef ENT_STORE_SQLITE_VFS_H
#define ENT_STORE_SQLITE_VFS_H

#include "store/sqlite/fault.h"

/** A registered file system of one store. */
typedef struct ent_vfs ent_vfs;

/** Register one whose writes ask `fault`, which must outlive it.  Owns: caller frees with ent_vfs_free, after the last
 * connection. */
ENT_RC ent_vfs_new(ent_fault *fault, ent_vfs **ret, ent_err *err);
void ent_vfs_free(ent_vfs *vfs);
/** The name to open connections with. */
const char *ent_vfs_name(const ent_vfs *vfs);

#endif
