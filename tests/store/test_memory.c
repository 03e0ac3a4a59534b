/* SQLite's own allocations, each failed in turn. */
#include "fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static sqlite3_mem_methods real;
static unsigned long allocations;
static unsigned long fail_at;

static bool must_fail(void)
{
    return ++allocations == fail_at;
}

static void *memory_allocate(int size)
{
    return must_fail() ? NULL : real.xMalloc(size);
}

static void *memory_resize(void *memory, int size)
{
    return must_fail() ? NULL : real.xRealloc(memory, size);
}

/* All of a small life: open, write, read, close. */
static ent_rc live(const char *folder, uint64_t *ret_committed, uint64_t *ret_doubtful)
{
    ENT_CLEANUP(ent_store_release) ent_store *store = NULL;
    ENT_TRY(ent_store_sqlite_open(folder, &store, NULL));
    ent_store_log log;
    ENT_TRY(store->engine->log_get(store, 1, 0, &log, NULL));
    *ret_committed = *ret_doubtful = log.tree.size;
    for (int at = 0; at < 3; at++) {
        *ret_doubtful = log.tree.size + 70;
        ENT_TRY(fixture_commit_append(store, &log, 70, true, NULL));
        *ret_committed = log.tree.size;
    }
    ent_buf out = {0};
    uint64_t count = 0;
    ent_rc rc = store->engine->entries_read(store, log.number, 0, 100, SIZE_MAX, &out, &count, NULL);
    if (rc.code == ENT_OK)
        rc = store->engine->body_read(store, log.number, 1, &out, NULL);
    ent_buf_release(&out);
    return rc;
}

static void test_memory__nth_allocation_of_sqlite_failed_loses_nothing(void **state)
{
    (void)state;
    char *folder = fixture_make_folder();
    ent_store *store = NULL;
    ent_store_channel channel;
    ent_store_log logs[2];
    assert_ok(ent_store_sqlite_open(folder, &store, NULL));
    fixture_channel(store, "a", &channel, logs);
    ent_store_close(store);
    uint64_t known = 0;
    bool more = true;
    for (unsigned long nth = 1; more; nth += 1 + nth / 60) {
        uint64_t committed = known;
        uint64_t doubtful = known;
        allocations = 0;
        fail_at = nth;
        ent_rc rc = live(folder, &committed, &doubtful);
        more = allocations >= nth;
        fail_at = 0;
        assert_true(rc.code == ENT_OK || rc.code == ENT_NOMEM || rc.code == ENT_IO);
        assert_ok(ent_store_sqlite_open(folder, &store, NULL));
        uint64_t size = 0;
        assert_null(fixture_log_fault(store, channel.number, 0, true, &size));
        assert_true(size == committed || size == doubtful);
        known = size;
        ent_store_close(store);
        if (known > 20000) { /* keep the check short */
            fixture_remove_folder(folder);
            folder = fixture_make_folder();
            assert_ok(ent_store_sqlite_open(folder, &store, NULL));
            fixture_channel(store, "a", &channel, logs);
            ent_store_close(store);
            known = 0;
        }
    }
    fixture_remove_folder(folder);
}

/* Reads everything, whatever comes of it. */
static void read_in_vain(ent_store *store, int64_t log)
{
    ENT_CLEANUP(ent_buf_release) ent_buf out = {0};
    uint64_t count = 0;
    (void)store->engine->entries_read(store, log, 0, 900, SIZE_MAX, &out, &count, NULL).code;
    (void)store->engine->body_read(store, log, 1, &out, NULL).code;
    (void)store->engine->body_read(store, log, 899, &out, NULL).code;
}

static ent_rc count_blob(void *context, const ent_store_blob *blob, ent_err *err)
{
    (void)blob;
    (void)err;
    ++*(size_t *)context;
    return ENT_DONE;
}

/* Two writes, and between them a reading that may fail. */
static ent_rc write_around_reading(ent_store *store, int64_t log, uint64_t index)
{
    ent_store_blob blob = {.log = log, .index = index, .size = 1, .state = ENT_BLOB_HELD};
    ENT_TRY(store->engine->begin(store, NULL));
    ent_rc rc = store->engine->blob_add(store, &blob, NULL);
    read_in_vain(store, log);
    blob.at = 1;
    if (rc.code == ENT_OK)
        rc = store->engine->blob_add(store, &blob, NULL);
    if (rc.code == ENT_OK)
        return store->engine->commit(store, NULL);
    store->engine->rollback(store);
    return rc;
}

/* SQLite may undo a transaction when a reading in it fails; what is written next must not be committed by itself. */
static void test_memory__reading_that_fails_leaves_no_half_transaction(void **state)
{
    (void)state;
    char *folder = fixture_make_folder();
    ent_store *store = NULL;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_store_log log;
    assert_ok(ent_store_sqlite_open(folder, &store, NULL));
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->log_get(store, channel.number, 0, &log, NULL));
    assert_ok(fixture_commit_append(store, &log, 900, true, NULL));
    ent_store_close(store);
    bool more = true;
    for (unsigned long nth = 1; more && nth < 900; nth++) {
        size_t found = 0;
        assert_ok(ent_store_sqlite_open(folder, &store, NULL));
        allocations = 0;
        fail_at = nth;
        ent_rc rc = write_around_reading(store, log.number, nth);
        more = allocations >= nth;
        fail_at = 0;
        ent_store_close(store);
        assert_ok(ent_store_sqlite_open(folder, &store, NULL));
        assert_ok(store->engine->blob_walk(store, log.number, nth, count_blob, &found, NULL));
        assert_int_equal(found, rc.code == ENT_OK ? 2 : 0);
        ent_store_close(store);
    }
    assert_false(more);
    fixture_remove_folder(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__nth_allocation_of_sqlite_failed_loses_nothing),
        cmocka_unit_test(test_memory__reading_that_fails_leaves_no_half_transaction),
    };
    sqlite3_mem_methods ours;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return 1;
    ours = real;
    ours.xMalloc = memory_allocate;
    ours.xRealloc = memory_resize;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
