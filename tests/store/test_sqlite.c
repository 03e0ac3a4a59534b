/* What is SQLite's own in the engine: its files, who may open them, what a commit costs, and faults of the disk. */
#include "store/sqlite/fault.h"
#include "store/sqlite/migrations.h"

#include "base/alloc.h"
#include "base/file.h"
#include "fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
    *state = fixture_make_folder();
    return 0;
}

static int teardown(void **state)
{
    fixture_remove_folder(*state);
    return 0;
}

static ent_store *open_store(const char *folder)
{
    ent_store *store = NULL;
    assert_ok(ent_store_sqlite_open(folder, &store, NULL));
    return store;
}

static void execute(const char *folder, const char *sql)
{
    sqlite3 *db = NULL;
    char *path = ent_file_join(folder, "store.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    ent_free(path);
}

static struct stat status_of(const char *folder, const char *name)
{
    struct stat status;
    char *path = ent_file_join(folder, name);
    assert_int_equal(stat(path, &status), 0);
    ent_free(path);
    return status;
}

/* ---- opening ---- */

static void test_sqlite__files_are_for_the_owner_alone(void **state)
{
    char *folder = ent_file_join(*state, "store"); /* made by the first open */
    ent_store *store = open_store(folder);
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 10, true, NULL));
    assert_int_equal(status_of(*state, "store").st_mode & 0777, 0700);
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "lock"};
    for (size_t at = 0; at < 4; at++)
        assert_int_equal(status_of(folder, names[at]).st_mode & 0777, 0600);
    assert_int_equal(status_of(folder, "bodies").st_mode & 0777, 0700);
    ent_store_close(store);
    ent_store_close(NULL);
    ent_free(folder);
}

static void test_sqlite__second_owner_is_refused(void **state)
{
    ent_store *store = open_store(*state);
    ent_store *second = NULL;
    ent_err err = {0};
    assert_fails(ent_store_sqlite_open(*state, &second, &err), ENT_REFUSED);
    assert_null(second);
    assert_non_null(strstr(err.text, "open already"));
    pid_t child = fork();
    if (child == 0) /* another process; the lock is not inherited by its own open */
        _exit(ent_store_sqlite_open(*state, &second, NULL).code == ENT_REFUSED ? 0 : 1);
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    ent_store_close(store);
    ent_store_close(open_store(*state));
}

static void test_sqlite__newer_version_is_refused_untouched(void **state)
{
    ent_store_close(open_store(*state));
    execute(*state, "PRAGMA user_version = 99");
    ent_store *store = NULL;
    ent_err err = {0};
    assert_fails(ent_store_sqlite_open(*state, &store, &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, "newer"));
    char back[64];
    (void)snprintf(back, sizeof back, "PRAGMA user_version = %d", ent_migrate_newest());
    execute(*state, back);
    ent_store_close(open_store(*state));
}

/* A store as an earlier program left it, with a peer in it. */
static void make_version(const char *folder, int version)
{
    sqlite3 *db = NULL;
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, "store.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(chmod(path, 0600), 0);
    assert_ok(ent_migrate(db, 0, version, NULL));
    assert_int_equal(sqlite3_exec(db, "INSERT INTO peers VALUES ('north.example', 1, 0, x'6e')", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_sqlite__older_version_is_brought_to_this_one(void **state)
{
    for (int version = 1; version < ent_migrate_newest(); version++) {
        char name[16];
        (void)snprintf(name, sizeof name, "v%d", version);
        ENT_CLEANUP(ent_free_pointer) char *folder = ent_file_join(*state, name);
        assert_int_equal(mkdir(folder, 0700), 0);
        make_version(folder, version);
        ent_store *store = open_store(folder);
        ent_store_peer peer;
        bool is_new = false;
        ent_sink sink = ENT_SINK_EMAIL;
        assert_ok(store->engine->peer_get(store, ENT_TEXT("north.example"), &peer, NULL, NULL));
        assert_ok(store->engine->begin(store, NULL));
        assert_ok(store->engine->alert_put(store, ENT_TEXT("key"), ENT_TEXT("{}"), &sink, 1, 0, &is_new, NULL));
        assert_ok(store->engine->commit(store, NULL));
        assert_true(is_new);
        ent_store_close(store);
    }
}

static void test_sqlite__other_databases_are_refused(void **state)
{
    ent_store *store = NULL;
    execute(*state, "CREATE TABLE theirs (x)");
    assert_fails(ent_store_sqlite_open(*state, &store, NULL), ENT_REFUSED);
    char *path = ent_file_join(*state, "store.db");
    assert_ok(ent_file_write(path, 0600,
                             ent_text_bytes(ENT_TEXT("this is no database, but some text that is long enough")), NULL));
    assert_fails(ent_store_sqlite_open(*state, &store, NULL), ENT_IO);
    ent_free(path);
    ENT_CLEANUP(ent_free_pointer) char *deep = ent_file_join(*state, "no/such/folder");
    assert_int_not_equal(ent_store_sqlite_open(deep, &store, NULL).code, ENT_OK);
    assert_null(store);
}

static void test_sqlite__failed_allocation_opens_nothing(void **state)
{
    for (unsigned long nth = 1;; nth++) {
        ent_store *store = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_store_sqlite_open(*state, &store, NULL);
        bool done = ent_alloc_count() < nth;
        ent_alloc_fail_at(0);
        if (done) {
            assert_ok(rc);
            ent_store_close(store);
            break;
        }
        assert_fails(rc, ENT_NOMEM);
        assert_null(store);
    }
}

/* ---- damage ---- */

static void test_sqlite__damage_is_told_as_a_fault_of_the_disk(void **state)
{
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 10, true, NULL));
    ent_buf body = {0};
    fixture_body(logs[0].number, 7, true, &body);
    ent_hash digest;
    char name[80];
    ent_sha256(ent_buf_bytes(&body), &digest);
    (void)snprintf(name, sizeof name, "bodies/%02x/", digest.bytes[0]);
    ent_hex_encode(ent_hash_bytes(&digest), name + strlen(name));
    char *path = ent_file_join(*state, name);
    ent_buf found = {0};
    assert_ok(store->engine->body_read(store, logs[0].number, 7, &found, NULL));
    found.data[3] ^= 1;
    assert_ok(ent_file_write(path, 0600, ent_buf_bytes(&found), NULL));
    ent_buf_clear(&found);
    assert_fails(store->engine->body_read(store, logs[0].number, 7, &found, NULL), ENT_IO);
    assert_int_equal(unlink(path), 0);
    assert_fails(store->engine->body_read(store, logs[0].number, 7, &found, NULL), ENT_IO);
    assert_int_equal(found.size, 0);
    ent_free(path);
    ent_buf_release(&found);
    ent_buf_release(&body);
    ent_store_close(store);

    execute(*state, "UPDATE logs SET edge = zeroblob(96) WHERE size = 10");
    store = open_store(*state);
    ent_store_log log;
    assert_fails(store->engine->log_get(store, channel.number, 0, &log, NULL), ENT_IO);
    ent_store_close(store);
}

static void test_sqlite__schema_keeps_evidence(void **state)
{
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    bool is_new = false;
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 10, false, NULL));
    ent_store_receipt receipt = {.log = logs[0].number, .receiver = 1, .head = {.size = 1}};
    receipt.cosignature.signature.bytes[0] = 1;
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->receipt_add(store, &receipt, &is_new, NULL));
    assert_ok(store->engine->head_put(store, logs[0].number, &receipt.head, ent_bytes_of("note", 4), NULL));
    ent_store_fork fork = {.log = logs[1].number, .note = ent_bytes_of("n", 1), .held = ent_bytes_of("h", 1)};
    assert_ok(store->engine->fork_add(store, &fork, NULL));
    assert_ok(store->engine->log_freeze(store, logs[1].number, NULL));
    assert_ok(store->engine->commit(store, NULL));
    ent_store_close(store);
    static const char *const forbidden[] = {
        "DELETE FROM entries",
        "UPDATE entries SET entry = x'00'",
        "UPDATE logs SET size = 9 WHERE size = 10",
        "UPDATE logs SET frozen = 0 WHERE frozen = 1",
        "UPDATE heads SET note = x'00'",
        "DELETE FROM receipts",
        "UPDATE receipts SET signature = zeroblob(64)",
        "DELETE FROM forks",
        "UPDATE tiles SET hashes = x'00'",
    };
    sqlite3 *db = NULL;
    char *path = ent_file_join(*state, "store.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t at = 0; at < sizeof forbidden / sizeof forbidden[0]; at++)
        assert_int_equal(sqlite3_exec(db, forbidden[at], NULL, NULL, NULL), SQLITE_CONSTRAINT);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    ent_free(path);
}

/* ---- what a commit costs ---- */

static void test_sqlite__one_message_costs_one_sync(void **state)
{
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 1, false, NULL));
    unsigned long before = ent_store_sqlite_syncs(store);
    for (int at = 0; at < 20; at++)
        assert_ok(fixture_commit_append(store, &logs[0], 1, false, NULL));
    assert_int_equal(ent_store_sqlite_syncs(store) - before, 20);
    ent_store_close(store);
}

static void test_sqlite__write_ahead_log_stays_small(void **state)
{
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    while (logs[0].bytes < 30 << 20)
        assert_ok(fixture_commit_append(store, &logs[0], 1500, false, NULL));
    assert_true(status_of(*state, "store.db-wal").st_size < 16 << 20);
    assert_true(status_of(*state, "store.db").st_size > 20 << 20);
    ent_store_close(store);
}

/* ---- faults of the disk ---- */

typedef struct {
    uint64_t committed; /* entries of commits that succeeded */
    uint64_t doubtful;  /* entries if the commit that failed reached the disk all the same */
    unsigned long faults;
} fault_run;

/* Commits batches until one fails. */
static void run_until_fault(ent_store *store, ent_store_log *log, int batches, fault_run *run)
{
    for (int at = 0; at < batches; at++) {
        ent_store_log after = *log;
        ent_rc rc = store->engine->begin(store, NULL);
        if (rc.code == ENT_OK)
            rc = fixture_append(store, &after, at % 3 == 0 ? 1 : 400, true, NULL);
        run->doubtful = log->tree.size;
        if (rc.code == ENT_OK) {
            run->doubtful = after.tree.size;
            rc = store->engine->commit(store, NULL);
        }
        store->engine->rollback(store);
        if (rc.code != ENT_OK) {
            assert_fails(rc, ENT_IO);
            break;
        }
        *log = after;
    }
    run->committed = log->tree.size;
    run->faults = ent_store_sqlite_faults(store);
}

/* After a failed write the store either goes on with what was committed, or refuses everything. */
static void check_after_fault(ent_store *store, int64_t channel, const fault_run *run)
{
    ent_store_sqlite_fail_at(store, 0);
    ent_rc rc = store->engine->begin(store, NULL);
    if (rc.code != ENT_OK) {
        ent_store_log log;
        assert_fails(rc, ENT_IO);
        assert_fails(store->engine->log_get(store, channel, 0, &log, NULL), ENT_IO);
        return;
    }
    store->engine->rollback(store);
    uint64_t size = 0;
    assert_null(fixture_log_fault(store, channel, 0, true, &size));
    assert_int_equal(size, run->committed);
}

/* One run with the Nth write failing. False when the workload has fewer writes. */
static bool fault_at(const char *folder, unsigned long nth, bool for_good, int batches)
{
    ent_store *store = NULL;
    ent_store_channel channel;
    ent_store_log logs[2];
    fault_run run = {0};
    store = open_store(folder);
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 5, true, NULL));
    (for_good ? ent_store_sqlite_fail_from : ent_store_sqlite_fail_at)(store, nth);
    run_until_fault(store, &logs[0], batches, &run);
    if (!for_good)
        check_after_fault(store, channel.number, &run);
    ent_store_close(store);
    if (folder == NULL)
        return run.faults > 0;
    store = open_store(folder);
    uint64_t size = 0;
    assert_null(fixture_log_fault(store, channel.number, 0, true, &size));
    assert_true(size == run.committed || size == run.doubtful);
    ent_store_close(store);
    return run.faults > 0;
}

static void fault_everywhere(bool in_folder, bool for_good, int batches)
{
    bool more = true;
    for (unsigned long nth = 1; more; nth += 1 + (nth < 40 ? 0 : nth / 6)) {
        char *folder = in_folder ? fixture_make_folder() : NULL;
        more = fault_at(folder, nth, for_good, batches);
        if (in_folder)
            fixture_remove_folder(folder);
    }
}

static void test_sqlite__nth_write_failed_loses_nothing(void **state)
{
    (void)state;
    fault_everywhere(true, false, 4);
}

static void test_sqlite__nth_write_failed_in_a_checkpoint_loses_nothing(void **state)
{
    /* The writes of a checkpoint come after those of the commits: more than the 1,024 frames that ask for one. */
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    unsigned long checkpoints = 0;
    fixture_channel(store, "a", &channel, logs);
    for (unsigned long nth = 1; checkpoints < 12; nth += 37) {
        uint64_t doubtful = 0;
        unsigned long syncs = ent_store_sqlite_syncs(store);
        ent_rc rc = {ENT_OK};
        while (rc.code == ENT_OK && ent_store_sqlite_syncs(store) == syncs) { /* to the brink of a checkpoint */
            rc = fixture_commit_append(store, &logs[0], 900, false, NULL);
            if (ent_store_sqlite_syncs(store) > syncs + 1)
                break;
            syncs = ent_store_sqlite_syncs(store);
        }
        assert_ok(rc);
        ent_store_sqlite_fail_at(store, 400 + nth);
        for (int at = 0; at < 30 && rc.code == ENT_OK; at++) {
            doubtful = logs[0].tree.size + 300;
            rc = fixture_commit_append(store, &logs[0], 300, false, NULL);
        }
        assert_fails(rc, ENT_IO);
        checkpoints++;
        ent_store_close(store);
        store = open_store(*state);
        uint64_t size = 0;
        assert_null(fixture_log_fault(store, channel.number, 0, false, &size));
        assert_true(size == logs[0].tree.size || size == doubtful);
        assert_ok(store->engine->log_get(store, channel.number, 0, &logs[0], NULL));
    }
    ent_store_close(store);
}

static void test_sqlite__disk_gone_at_the_nth_write_loses_nothing(void **state)
{
    (void)state;
    fault_everywhere(true, true, 3);
}

static void test_sqlite__nth_write_failed_in_memory_is_the_same(void **state)
{
    (void)state;
    fault_everywhere(false, false, 3);
}

static void test_sqlite__failed_commit_stops_the_store(void **state)
{
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_err err = {0};
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(fixture_append(store, &logs[0], 1, false, NULL));
    ent_store_sqlite_fail_at(store, 1);
    assert_fails(store->engine->commit(store, NULL), ENT_IO);
    assert_fails(store->engine->begin(store, &err), ENT_IO);
    assert_string_equal(err.rule, "design.md section 8, Store");
    assert_fails(store->engine->log_get(store, channel.number, 0, &logs[0], NULL), ENT_IO);
    ent_store_close(store);
    ent_store_close(open_store(*state));
}

static void test_sqlite__ignored_failure_is_not_committed(void **state)
{
    (void)state;
    ent_store *store = open_store(NULL);
    ent_store_peer peer;
    ent_bytes card = ent_bytes_of("card", 4);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->peer_put(store, ENT_TEXT("a.example"), 1, card, 0, NULL));
    ent_store_sqlite_fail_at(store, 1);
    assert_fails(store->engine->peer_put(store, ENT_TEXT("b.example"), 1, card, 0, NULL), ENT_IO);
    assert_fails(store->engine->peer_put(store, ENT_TEXT("c.example"), 1, card, 0, NULL), ENT_IO);
    assert_fails(store->engine->commit(store, NULL), ENT_IO);
    assert_fails(store->engine->peer_get(store, ENT_TEXT("a.example"), &peer, NULL, NULL), ENT_ABSENT);
    assert_ok(store->engine->begin(store, NULL)); /* nothing was in doubt: it goes on */
    assert_ok(store->engine->peer_put(store, ENT_TEXT("a.example"), 1, card, 0, NULL));
    assert_ok(store->engine->commit(store, NULL));
    ent_store_close(store);
}

static void test_sqlite__rolled_back_bodies_leave_no_file(void **state)
{
    ent_store *store = open_store(*state);
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 10, true, NULL)); /* one large body */
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(fixture_append(store, &logs[0], 200, true, NULL));
    store->engine->rollback(store);
    ENT_CLEANUP(ent_free_pointer) char *bodies = ent_file_join(*state, "bodies");
    assert_int_equal(fixture_count_files(bodies, ""), 1);
    ent_store_close(store);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_sqlite__files_are_for_the_owner_alone),
        WITH_FOLDER(test_sqlite__second_owner_is_refused),
        WITH_FOLDER(test_sqlite__newer_version_is_refused_untouched),
        WITH_FOLDER(test_sqlite__older_version_is_brought_to_this_one),
        WITH_FOLDER(test_sqlite__other_databases_are_refused),
        WITH_FOLDER(test_sqlite__failed_allocation_opens_nothing),
        WITH_FOLDER(test_sqlite__damage_is_told_as_a_fault_of_the_disk),
        WITH_FOLDER(test_sqlite__schema_keeps_evidence),
        WITH_FOLDER(test_sqlite__one_message_costs_one_sync),
        WITH_FOLDER(test_sqlite__write_ahead_log_stays_small),
        cmocka_unit_test(test_sqlite__nth_write_failed_loses_nothing),
        WITH_FOLDER(test_sqlite__nth_write_failed_in_a_checkpoint_loses_nothing),
        cmocka_unit_test(test_sqlite__disk_gone_at_the_nth_write_loses_nothing),
        cmocka_unit_test(test_sqlite__nth_write_failed_in_memory_is_the_same),
        WITH_FOLDER(test_sqlite__failed_commit_stops_the_store),
        cmocka_unit_test(test_sqlite__ignored_failure_is_not_committed),
        WITH_FOLDER(test_sqlite__rolled_back_bodies_leave_no_file),
    };
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
