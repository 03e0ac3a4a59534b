#include "store/sqlite/migrations.h"

#include "store/sqlite/internal.h"

#include <stdio.h>

/* "ENTE": tells a store from any other SQLite file. */
enum { APPLICATION_ID = 0x454e5445 };

/* Keys on the append path are packed integers that ascend within a log (internal.h), so that an append touches the end
 * of that log's range and no random page. A node may be told anything by its peers; what must never be true of what it
 * keeps stands here as a constraint, beside the checks in C. */
static const char peers_and_channels_1[] =
    "CREATE TABLE peers ("
    "  name TEXT PRIMARY KEY NOT NULL CHECK (length(name) BETWEEN 1 AND 64),"
    "  serial INTEGER NOT NULL CHECK (serial >= 0),"
    "  added_unix_s INTEGER NOT NULL,"
    "  card BLOB NOT NULL"
    ") STRICT;"

    "CREATE TABLE channels ("
    "  number INTEGER PRIMARY KEY,"
    "  id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),"
    "  alias TEXT NOT NULL CHECK (length(alias) <= 64),"
    "  added_unix_s INTEGER NOT NULL,"
    "  genesis BLOB NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX channels_by_alias ON channels (alias) WHERE alias <> '';"
    "CREATE TABLE invites ("
    "  channel INTEGER PRIMARY KEY REFERENCES channels,"
    "  pouch BLOB NOT NULL"
    ") STRICT;";

static const char logs_1[] =
    "CREATE TABLE logs ("
    "  number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4194303),"
    "  channel INTEGER NOT NULL REFERENCES channels,"
    "  member INTEGER NOT NULL CHECK (member BETWEEN 0 AND 31),"
    "  own INTEGER NOT NULL CHECK (own IN (0, 1)),"
    "  frozen INTEGER NOT NULL CHECK (frozen IN (0, 1)),"
    "  size INTEGER NOT NULL CHECK (size BETWEEN 0 AND 1099511627776),"
    "  edge BLOB NOT NULL CHECK (length(edge) % 32 = 0 AND (length(edge) = 0) = (size = 0)),"
    "  opened INTEGER NOT NULL CHECK (opened BETWEEN 0 AND size),"
    "  bytes INTEGER NOT NULL CHECK (bytes >= 0),"
    "  acked BLOB NOT NULL CHECK (length(acked) % 8 = 0 AND length(acked) <= 256),"
    "  UNIQUE (channel, member)"
    ") STRICT;"
    "CREATE UNIQUE INDEX logs_own ON logs (channel) WHERE own = 1;"
    "CREATE TRIGGER logs_grow BEFORE UPDATE ON logs WHEN NEW.size < OLD.size OR NEW.frozen < OLD.frozen BEGIN"
    "  SELECT RAISE(ABORT, 'a log never shrinks and never thaws');"
    "END;"

    /* id = log << 40 | index */
    "CREATE TABLE entries ("
    "  id INTEGER PRIMARY KEY CHECK (id >= 0),"
    "  arrived_unix_s INTEGER NOT NULL,"
    "  entry BLOB NOT NULL CHECK (length(entry) BETWEEN 1 AND 16384)"
    ") STRICT;"
    "CREATE TRIGGER entries_stay BEFORE DELETE ON entries BEGIN"
    "  SELECT RAISE(ABORT, 'entries are never removed');"
    "END;"
    "CREATE TRIGGER entries_same BEFORE UPDATE ON entries BEGIN"
    "  SELECT RAISE(ABORT, 'entries are never changed');"
    "END;"
    /* the same id; file is the digest that names a larger body's file */
    "CREATE TABLE bodies ("
    "  id INTEGER PRIMARY KEY CHECK (id >= 0),"
    "  sealed BLOB,"
    "  file BLOB CHECK (length(file) = 32),"
    "  CHECK ((sealed IS NULL) <> (file IS NULL))"
    ") STRICT;"
    /* id = log << 40 | level << 36 | tile index; hashes have room for a full tile from the start, so that growing one
     * overwrites 32 bytes in place. How many count follows from the log's size. */
    "CREATE TABLE tiles ("
    "  id INTEGER PRIMARY KEY CHECK (id >= 0),"
    "  hashes BLOB NOT NULL CHECK (length(hashes) = 8192)"
    ") STRICT;"
    "CREATE TABLE heads ("
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  root BLOB NOT NULL CHECK (length(root) = 32),"
    "  note BLOB NOT NULL,"
    "  PRIMARY KEY (log, size)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER heads_same BEFORE UPDATE ON heads BEGIN"
    "  SELECT RAISE(ABORT, 'a signed head never changes');"
    "END;";

static const char exchange_1[] =
    "CREATE TABLE receipts ("
    "  number INTEGER PRIMARY KEY,"
    "  channel INTEGER NOT NULL,"
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  receiver INTEGER NOT NULL CHECK (receiver BETWEEN 0 AND 31),"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  root BLOB NOT NULL CHECK (length(root) = 32),"
    "  timestamp_unix_s INTEGER NOT NULL CHECK (timestamp_unix_s >= 0),"
    "  signature BLOB CHECK (length(signature) = 64),"
    "  arrived_unix_s INTEGER NOT NULL,"
    "  UNIQUE (log, receiver, size)"
    ") STRICT;"
    "CREATE INDEX receipts_by_channel ON receipts (channel);"
    "CREATE INDEX receipts_unsigned ON receipts (number) WHERE signature IS NULL;"
    "CREATE TRIGGER receipts_stay BEFORE DELETE ON receipts BEGIN"
    "  SELECT RAISE(ABORT, 'receipts are never removed');"
    "END;"
    "CREATE TRIGGER receipts_signed_once BEFORE UPDATE ON receipts WHEN OLD.signature IS NOT NULL BEGIN"
    "  SELECT RAISE(ABORT, 'a signed receipt never changes');"
    "END;"

    "CREATE TABLE deliveries ("
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  member INTEGER NOT NULL CHECK (member BETWEEN 0 AND 31),"
    "  confirmed INTEGER NOT NULL CHECK (confirmed >= 0),"
    "  receipts_sent INTEGER NOT NULL CHECK (receipts_sent >= 0),"
    "  refused INTEGER NOT NULL CHECK (refused IN (0, 1)),"
    "  reason TEXT NOT NULL,"
    "  last_success_unix_s INTEGER NOT NULL,"
    "  last_attempt_unix_s INTEGER NOT NULL,"
    "  PRIMARY KEY (log, member)"
    ") STRICT, WITHOUT ROWID;"

    /* Attachments are rare beside entries, so an index by digest is affordable here. */
    "CREATE TABLE blobs ("
    "  entry INTEGER NOT NULL CHECK (entry >= 0),"
    "  at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 15),"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  state INTEGER NOT NULL CHECK (state IN (1, 2)),"
    "  PRIMARY KEY (entry, at)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX blobs_by_digest ON blobs (digest, state);"
    /* AUTOINCREMENT: a number that a walk has passed is never given again. */
    "CREATE TABLE blob_sends ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  member INTEGER NOT NULL CHECK (member BETWEEN 0 AND 31),"
    "  entry INTEGER NOT NULL CHECK (entry >= 0)," /* its index in the log */
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  UNIQUE (log, member, entry, digest)"
    ") STRICT;"

    "CREATE TABLE forks ("
    "  number INTEGER PRIMARY KEY,"
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  seen_unix_s INTEGER NOT NULL,"
    "  note BLOB NOT NULL,"
    "  held BLOB NOT NULL"
    ") STRICT;"
    "CREATE INDEX forks_by_log ON forks (log);"
    "CREATE TRIGGER forks_stay BEFORE DELETE ON forks BEGIN"
    "  SELECT RAISE(ABORT, 'a proof of a fork is never removed');"
    "END;";

/* seen_unix_s: when it was last found to stand. What stands is kept, or it would be told again; what stood no longer
 * for long enough goes. */
static const char alerts_2[] =
    "CREATE TABLE alerts ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  key TEXT NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 256),"
    "  created_unix_s INTEGER NOT NULL,"
    "  seen_unix_s INTEGER NOT NULL,"
    "  json TEXT NOT NULL CHECK (length(json) > 0)"
    ") STRICT;"
    "CREATE INDEX alerts_by_seen ON alerts (seen_unix_s);"
    "CREATE TABLE alert_sinks ("
    "  alert INTEGER NOT NULL REFERENCES alerts ON DELETE CASCADE,"
    "  sink INTEGER NOT NULL CHECK (sink BETWEEN 1 AND 3),"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),"
    "  attempts INTEGER NOT NULL CHECK (attempts >= 0),"
    "  next_unix_s INTEGER NOT NULL,"
    "  last_error TEXT NOT NULL,"
    "  PRIMARY KEY (alert, sink)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX alert_sinks_waiting ON alert_sinks (alert) WHERE state = 1;"
    "CREATE TRIGGER alert_sinks_delivered BEFORE UPDATE ON alert_sinks WHEN OLD.state = 2 BEGIN"
    "  SELECT RAISE(ABORT, 'what was delivered stays delivered');"
    "END;"

    /* id = log << 40 | index, as in entries: what an officer has opened */
    "CREATE TABLE reads ("
    "  id INTEGER PRIMARY KEY CHECK (id >= 0),"
    "  read_unix_s INTEGER NOT NULL"
    ") STRICT;";

/* What each writer has used of its quotas. */
static const char usage_3[] =
    "ALTER TABLE logs ADD COLUMN day INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE logs ADD COLUMN day_entries INTEGER NOT NULL DEFAULT 0 CHECK (day_entries >= 0);"
    "ALTER TABLE logs ADD COLUMN day_bytes INTEGER NOT NULL DEFAULT 0 CHECK (day_bytes >= 0);"
    "ALTER TABLE logs ADD COLUMN spare_entries INTEGER NOT NULL DEFAULT 0 CHECK (spare_entries >= 0);"
    "ALTER TABLE logs ADD COLUMN spare_bytes INTEGER NOT NULL DEFAULT 0 CHECK (spare_bytes >= 0);";

/* Few of all attachments are still to come. blob_sends has its UNIQUE index by log and member. */
static const char blobs_4[] = "CREATE INDEX blobs_wanted ON blobs (entry, at) WHERE state = 1;";

/* What a member lacks of the receipts is asked for each log apart. */
static const char receipts_5[] = "CREATE INDEX receipts_by_log ON receipts (log);";

/* What is known of a member's keys in a channel beside its genesis. announced: serial of the last card that an entry
 * of our own log told of. */
static const char keys_6[] =
    "CREATE TABLE keys ("
    "  log INTEGER PRIMARY KEY REFERENCES logs,"
    "  serial INTEGER NOT NULL CHECK (serial > 0),"
    "  announced INTEGER NOT NULL CHECK (announced BETWEEN 0 AND serial),"
    "  card BLOB NOT NULL CHECK (length(card) > 0),"
    "  cutoffs BLOB NOT NULL"
    ") STRICT;"
    "CREATE TRIGGER keys_stay BEFORE DELETE ON keys BEGIN"
    "  SELECT RAISE(ABORT, 'what is known of keys is never removed');"
    "END;"
    "CREATE TRIGGER keys_go_on BEFORE UPDATE ON keys WHEN NEW.serial < OLD.serial OR NEW.announced < OLD.announced"
    " OR length(NEW.cutoffs) < length(OLD.cutoffs) BEGIN"
    "  SELECT RAISE(ABORT, 'keys never go back');"
    "END;"
    /* place of the key among the receiver's receipt keys in the channel */
    "ALTER TABLE receipts ADD COLUMN key INTEGER NOT NULL DEFAULT 0 CHECK (key BETWEEN 0 AND 64);"
    /* Came when their key was known to be revoked: kept, and in nobody's way. */
    "CREATE TABLE revoked_receipts ("
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  receiver INTEGER NOT NULL CHECK (receiver BETWEEN 0 AND 31),"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  root BLOB NOT NULL CHECK (length(root) = 32),"
    "  timestamp_unix_s INTEGER NOT NULL CHECK (timestamp_unix_s >= 0),"
    "  signature BLOB NOT NULL CHECK (length(signature) = 64),"
    "  arrived_unix_s INTEGER NOT NULL,"
    "  key INTEGER NOT NULL CHECK (key BETWEEN 0 AND 64),"
    "  PRIMARY KEY (log, receiver, size)"
    ") STRICT, WITHOUT ROWID;";

/* What was said while the log was held, and never signed, can be taken back when a peer holds another history that was:
 * the one way in which a log shrinks and entries go. A row in cuts allows it, and lives for one transaction. */
static const char guard_7[] =
    "CREATE TABLE cuts ("
    "  log INTEGER PRIMARY KEY REFERENCES logs,"
    "  size INTEGER NOT NULL CHECK (size >= 0)"
    ") STRICT;"
    "CREATE TRIGGER cuts_own BEFORE INSERT ON cuts WHEN"
    "  (SELECT own = 0 OR frozen = 1 FROM logs WHERE number = NEW.log) OR"
    "  EXISTS (SELECT 1 FROM receipts WHERE log = NEW.log AND size > NEW.size) BEGIN"
    "  SELECT RAISE(ABORT, 'what was receipted, is frozen or is another party''s is never cut');"
    "END;"
    "DROP TRIGGER logs_grow;"
    "CREATE TRIGGER logs_grow BEFORE UPDATE ON logs WHEN NEW.frozen < OLD.frozen OR (NEW.size < OLD.size AND"
    "  NOT EXISTS (SELECT 1 FROM cuts WHERE log = OLD.number AND size = NEW.size)) BEGIN"
    "  SELECT RAISE(ABORT, 'a log never shrinks and never thaws');"
    "END;"
    "DROP TRIGGER entries_stay;"
    "CREATE TRIGGER entries_stay BEFORE DELETE ON entries WHEN NOT EXISTS"
    "  (SELECT 1 FROM cuts WHERE log = OLD.id >> 40 AND size <= (OLD.id & 1099511627775)) BEGIN"
    "  SELECT RAISE(ABORT, 'entries are never removed');"
    "END;"
    "CREATE TABLE releases ("
    "  number INTEGER PRIMARY KEY,"
    "  channel INTEGER NOT NULL REFERENCES channels,"
    "  released_unix_s INTEGER NOT NULL,"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  unanswered TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX releases_by_channel ON releases (channel);"
    "CREATE TRIGGER releases_stay BEFORE DELETE ON releases BEGIN"
    "  SELECT RAISE(ABORT, 'that a log was released is never forgotten');"
    "END;";

/* The proof with its path; empty in rows from before. */
static const char fork_proofs_8[] = "ALTER TABLE forks ADD COLUMN proof BLOB NOT NULL DEFAULT x''";

/* id = log << 40 | index, as in entries: of the message whose file key its writer has shown. */
static const char reveals_9[] = "CREATE TABLE reveals ("
                                "  id INTEGER PRIMARY KEY CHECK (id >= 0),"
                                "  shown_by INTEGER NOT NULL CHECK (shown_by >= 0),"
                                "  state INTEGER NOT NULL CHECK (state IN (1, 2))"
                                ") STRICT;"
                                "CREATE TRIGGER reveals_stay BEFORE DELETE ON reveals BEGIN"
                                "  SELECT RAISE(ABORT, 'what a key has shown stays shown');"
                                "END;"
                                "CREATE TRIGGER reveals_change BEFORE UPDATE ON reveals BEGIN"
                                "  SELECT RAISE(ABORT, 'what a key has shown stays shown');"
                                "END;";

/* A party that was restored from a backup may have receipted a size twice, with two times: both are kept, the earliest
 * counts. again: 0 for the one that came first; of more than eight the earliest and those that came first are kept.
 * deliveries.receipts_again: what a member forgot is told again up to this number, its own receipts too. */
static const char twins_10[] =
    "DROP TRIGGER cuts_own;"
    "CREATE TABLE receipts_10 ("
    "  number INTEGER PRIMARY KEY,"
    "  channel INTEGER NOT NULL,"
    "  log INTEGER NOT NULL REFERENCES logs,"
    "  receiver INTEGER NOT NULL CHECK (receiver BETWEEN 0 AND 31),"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  root BLOB NOT NULL CHECK (length(root) = 32),"
    "  timestamp_unix_s INTEGER NOT NULL CHECK (timestamp_unix_s >= 0),"
    "  signature BLOB CHECK (length(signature) = 64),"
    "  arrived_unix_s INTEGER NOT NULL,"
    "  key INTEGER NOT NULL DEFAULT 0 CHECK (key BETWEEN 0 AND 64),"
    "  again INTEGER NOT NULL DEFAULT 0 CHECK (again BETWEEN 0 AND 7),"
    "  UNIQUE (log, receiver, size, again)"
    ") STRICT;"
    "INSERT INTO receipts_10 (number, channel, log, receiver, size, root, timestamp_unix_s, signature, arrived_unix_s,"
    " key) SELECT number, channel, log, receiver, size, root, timestamp_unix_s, signature, arrived_unix_s, key"
    " FROM receipts ORDER BY number;"
    "DROP TABLE receipts;"
    "ALTER TABLE receipts_10 RENAME TO receipts;"
    "CREATE INDEX receipts_by_channel ON receipts (channel);"
    "CREATE INDEX receipts_by_log ON receipts (log);"
    "CREATE INDEX receipts_unsigned ON receipts (number) WHERE signature IS NULL;"
    "CREATE TRIGGER receipts_stay BEFORE DELETE ON receipts WHEN OLD.again < 7 BEGIN"
    "  SELECT RAISE(ABORT, 'receipts are never removed');"
    "END;"
    "CREATE TRIGGER receipts_signed_once BEFORE UPDATE ON receipts WHEN OLD.signature IS NOT NULL BEGIN"
    "  SELECT RAISE(ABORT, 'a signed receipt never changes');"
    "END;"
    "CREATE TRIGGER cuts_own BEFORE INSERT ON cuts WHEN"
    "  (SELECT own = 0 OR frozen = 1 FROM logs WHERE number = NEW.log) OR"
    "  EXISTS (SELECT 1 FROM receipts WHERE log = NEW.log AND size > NEW.size) BEGIN"
    "  SELECT RAISE(ABORT, 'what was receipted, is frozen or is another party''s is never cut');"
    "END;"
    "ALTER TABLE deliveries ADD COLUMN receipts_again INTEGER NOT NULL DEFAULT 0 CHECK (receipts_again >= 0);"
    /* What is cut off a log because it was never signed takes along what a key showed of it, or it showed. */
    "DROP TRIGGER reveals_stay;"
    "CREATE TRIGGER reveals_stay BEFORE DELETE ON reveals WHEN NOT EXISTS"
    "  (SELECT 1 FROM cuts WHERE log = OLD.id >> 40 AND size <= max(OLD.id & 1099511627775, OLD.shown_by)) BEGIN"
    "  SELECT RAISE(ABORT, 'what a key has shown stays shown');"
    "END;";

/* heads_ahead: of each log the one head ahead of its entries that nothing acks; it gives way to a larger one.
 * passed_heads: by a key beyond its cutoff, and acked: for those who are brought the entry. apart_receipts: for another
 * root than the log has here. Neither counts for anything. */
static const char heads_11[] = "CREATE TABLE heads_ahead ("
                               "  log INTEGER PRIMARY KEY REFERENCES logs,"
                               "  size INTEGER NOT NULL CHECK (size > 0)"
                               ") STRICT;"
                               "CREATE TABLE passed_heads ("
                               "  log INTEGER NOT NULL REFERENCES logs,"
                               "  size INTEGER NOT NULL CHECK (size > 0),"
                               "  root BLOB NOT NULL CHECK (length(root) = 32),"
                               "  note BLOB NOT NULL,"
                               "  PRIMARY KEY (log, size, root)"
                               ") STRICT, WITHOUT ROWID;"
                               "CREATE TABLE apart_receipts ("
                               "  log INTEGER NOT NULL REFERENCES logs,"
                               "  receiver INTEGER NOT NULL CHECK (receiver BETWEEN 0 AND 31),"
                               "  size INTEGER NOT NULL CHECK (size >= 0),"
                               "  root BLOB NOT NULL CHECK (length(root) = 32),"
                               "  timestamp_unix_s INTEGER NOT NULL CHECK (timestamp_unix_s >= 0),"
                               "  signature BLOB NOT NULL CHECK (length(signature) = 64),"
                               "  arrived_unix_s INTEGER NOT NULL,"
                               "  key INTEGER NOT NULL CHECK (key BETWEEN 0 AND 64),"
                               "  PRIMARY KEY (log, receiver, size, root)"
                               ") STRICT, WITHOUT ROWID;"
                               "CREATE TRIGGER passed_heads_stay BEFORE DELETE ON passed_heads BEGIN"
                               "  SELECT RAISE(ABORT, 'signed evidence is never removed');"
                               "END;"
                               "CREATE TRIGGER apart_receipts_stay BEFORE DELETE ON apart_receipts BEGIN"
                               "  SELECT RAISE(ABORT, 'signed evidence is never removed');"
                               "END;";

/* Step i brings version i to i + 1. A step that was released is never edited; a change is a new one. */
enum { MOST_PARTS = 3 };
static const char *const steps[][MOST_PARTS] = {
    {peers_and_channels_1, logs_1, exchange_1},
    {alerts_2},
    {usage_3},
    {blobs_4},
    {receipts_5},
    {keys_6},
    {guard_7},
    {fork_proofs_8},
    {reveals_9},
    {twins_10},
    {heads_11},
};
enum { VERSION = sizeof steps / sizeof steps[0] };

static ent_rc pragma_get(sqlite3 *db, const char *sql, int64_t *ret, ent_err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_finalize(statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return ent_sql_fail(db, rc, "cannot read the database's version", err);
    *ret = value;
    return ENT_DONE;
}

static ent_rc run_step(sqlite3 *db, int from, ent_err *err)
{
    char stamp[96];
    (void)snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                   (int)APPLICATION_ID, from + 1);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t part = 0; rc == SQLITE_OK && part < MOST_PARTS && steps[from][part] != NULL; part++)
        rc = sqlite3_exec(db, steps[from][part], NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, stamp, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return ENT_DONE;
    ent_rc failure = ent_sql_fail(db, rc, "cannot bring the database to this version", err);
    if (sqlite3_get_autocommit(db) == 0)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return failure;
}

ent_rc ent_migrate_check(sqlite3 *db, int *ret_version, ent_err *err)
{
    int64_t version = 0;
    int64_t application = 0;
    int64_t objects = 0;
    ENT_TRY(pragma_get(db, "PRAGMA user_version", &version, err));
    ENT_TRY(pragma_get(db, "PRAGMA application_id", &application, err));
    ENT_TRY(pragma_get(db, "SELECT count(*) FROM sqlite_schema", &objects, err));
    bool empty = version == 0 && application == 0 && objects == 0;
    if (!empty && application != APPLICATION_ID)
        return ent_fail(err, ENT_REFUSED, NULL,
                        "the database is not a store of Entente; move it away or name another folder");
    if (version > VERSION)
        return ent_fail(
            err, ENT_REFUSED, NULL,
            "the store has version %lld and was written by a newer Entente; this one knows up to %d: upgrade it",
            (long long)version, (int)VERSION);
    if (version < 0 || (version == 0 && !empty))
        return ent_fail(err, ENT_IO, NULL, "the store says version %lld: it is damaged", (long long)version);
    *ret_version = (int)version;
    return ENT_DONE;
}

int ent_migrate_newest(void)
{
    return VERSION;
}

ent_rc ent_migrate(sqlite3 *db, int from, int to, ent_err *err)
{
    for (int version = from; version < to; version++)
        ENT_TRY(run_step(db, version, err));
    return ENT_DONE;
}
