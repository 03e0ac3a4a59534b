/* The schema, as numbered steps. Private to the engine. */
#ifndef ENT_STORE_SQLITE_MIGRATIONS_H
#define ENT_STORE_SQLITE_MIGRATIONS_H

#include "base/result.h"

#include <sqlite3.h>

/** Tell a database's version, 0 for an empty one; nothing is written.
 *  Errors: REFUSED when it is newer than this program or not a store of ours, IO, NOMEM. */
ENT_RC ent_migrate_check(sqlite3 *db, int *ret_version, ent_err *err);
/** This program's version. */
int ent_migrate_newest(void);
/** Bring a database of one version to a later one, at most the newest, each step in a transaction of its own.  Errors:
 * IO, IO_FULL, NOMEM. */
ENT_RC ent_migrate(sqlite3 *db, int from, int to, ent_err *err);

#endif
