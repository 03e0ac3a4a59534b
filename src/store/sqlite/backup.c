/* A copy of the database while it is written to. */
#include "store/sqlite/internal.h"

#include <stdio.h>

static ent_rc copy(sqlite3 *from, sqlite3 *to, ent_err *err)
{
    /* All pages in one step: a reader of a write-ahead log sees one state, however long it takes, and holds up nobody.
     */
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    int rc = backup == NULL ? sqlite3_errcode(to) : sqlite3_backup_step(backup, -1);
    int finished = backup == NULL ? rc : sqlite3_backup_finish(backup);
    if (backup != NULL && rc == SQLITE_DONE && finished == SQLITE_OK)
        return ENT_DONE;
    return ent_sql_fail(to, rc == SQLITE_DONE ? finished : rc, "cannot copy the database", err);
}

ent_rc ent_sqlite_backup(ent_store *store, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    sqlite3 *to = NULL;
    ENT_TRY(ent_sql_read(store, ENT_SQL_BACKUP, "SELECT count(*) FROM channels", &sql, err)); /* takes a reader */
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) /* whoever asked for it makes it durable */
        rc = sqlite3_exec(to, "PRAGMA synchronous = OFF; PRAGMA cache_size = -1024", NULL, NULL, NULL);
    ent_rc result = rc == SQLITE_OK ? copy(sql.connection->db, to, err)
                                    : ent_sql_fail(to, rc, "cannot make a copy of the database", err);
    (void)sqlite3_close(to);
    return result;
}
