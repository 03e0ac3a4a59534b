#include "contract_tests.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static ent_rc put_peer(ent_store *store, const char *name)
{
    return store->engine->peer_put(store, ent_text_of(name), 1, ent_bytes_of("card", 4), FIXTURE_NOW, NULL);
}

static bool has_peer(ent_store *store, const char *name)
{
    ent_store_peer peer;
    ent_rc rc = store->engine->peer_get(store, ent_text_of(name), &peer, NULL, NULL);
    assert_true(rc.code == ENT_OK || rc.code == ENT_ABSENT);
    return rc.code == ENT_OK;
}

static void test_store__rollback_leaves_nothing(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 200, true, NULL));
    ent_store_log lost = logs[0];
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(fixture_append(store, &lost, 400, true, NULL));
    assert_ok(put_peer(store, "a.example"));
    assert_true(has_peer(store, "a.example")); /* the transaction sees itself */
    store->engine->rollback(store);
    assert_false(has_peer(store, "a.example"));
    contract_reopen(contract);
    uint64_t size = 0;
    assert_null(fixture_log_fault(contract->store, channel.number, 0, true, &size));
    assert_int_equal(size, 200);
    assert_ok(fixture_commit_append(contract->store, &logs[0], 400, true, NULL));
    assert_null(fixture_log_fault(contract->store, channel.number, 0, true, &size));
    assert_int_equal(size, 600);
}

static void test_store__write_outside_a_transaction_is_refused(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    assert_fails(put_peer(store, "a.example"), ENT_USAGE);
    assert_fails(store->engine->commit(store, NULL), ENT_USAGE);
    store->engine->rollback(store); /* does nothing */
    assert_ok(store->engine->begin(store, NULL));
    assert_fails(store->engine->begin(store, NULL), ENT_USAGE);
    assert_ok(put_peer(store, "b.example"));
    assert_ok(store->engine->commit(store, NULL));
    store->engine->rollback(store);
    assert_fails(put_peer(store, "a.example"), ENT_USAGE);
    assert_true(has_peer(store, "b.example"));
}

static void test_store__empty_transaction_commits(void **state)
{
    contract_state *contract = *state;
    assert_ok(contract->store->engine->begin(contract->store, NULL));
    assert_ok(contract->store->engine->commit(contract->store, NULL));
}

static void *look_for_peer(void *argument)
{
    static int yes;
    return has_peer(argument, "a.example") ? &yes : NULL;
}

static void test_store__other_threads_see_committed_state(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    for (int commits = 0; commits < 2; commits++) {
        pthread_t thread;
        void *seen = NULL;
        assert_ok(store->engine->begin(store, NULL));
        assert_ok(put_peer(store, "a.example"));
        /* It answers from before at once, or waits for the end of the transaction; never from the middle of it. */
        assert_int_equal(pthread_create(&thread, NULL, look_for_peer, store), 0);
        store->engine->rollback(store);
        assert_int_equal(pthread_join(thread, &seen), 0);
        assert_null(seen);
    }
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(put_peer(store, "a.example"));
    assert_ok(store->engine->commit(store, NULL));
    assert_non_null(look_for_peer(store));
}

typedef struct {
    ent_store *store;
    int64_t channel;
    int64_t other_channel;
    atomic_bool stop;
    atomic_int faults;
    atomic_ulong reads;
} race;

static void *read_on(void *argument)
{
    race *run = argument;
    const ent_store_engine *engine = run->store->engine;
    while (!atomic_load(&run->stop)) {
        ent_store_log log;
        if (engine->log_get(run->store, run->channel, 0, &log, NULL).code != ENT_OK)
            atomic_fetch_add(&run->faults, 1);
        if (log.tree.size == 0)
            continue;
        /* whatever size a reader sees, all of it is there and has that root */
        ent_store_tiles context = {run->store, log.number};
        ent_tile_reader tiles = ent_store_tile_reader(&context);
        ent_hash expected;
        ent_hash found;
        ent_buf entry = {0};
        uint64_t count = 0;
        ent_tree_root(&log.tree, &expected);
        if (ent_tree_root_at(log.tree.size, &tiles, &found, NULL).code != ENT_OK || !ent_hash_equal(&expected, &found))
            atomic_fetch_add(&run->faults, 1);
        if (engine->entries_read(run->store, log.number, log.tree.size - 1, 1, 1, &entry, &count, NULL).code != ENT_OK)
            atomic_fetch_add(&run->faults, 1);
        ent_buf_release(&entry);
        atomic_fetch_add(&run->reads, 1);
    }
    return NULL;
}

static void *write_on(void *argument)
{
    race *run = argument;
    ent_store_log log;
    if (run->store->engine->log_get(run->store, run->other_channel, 0, &log, NULL).code != ENT_OK)
        atomic_fetch_add(&run->faults, 1);
    while (!atomic_load(&run->stop)) {
        if (fixture_commit_append(run->store, &log, 3, false, NULL).code != ENT_OK)
            atomic_fetch_add(&run->faults, 1);
    }
    return NULL;
}

static void test_store__many_readers_and_two_writers_agree(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channels[2];
    ent_store_log logs[2][2];
    fixture_channel(store, "a", &channels[0], logs[0]);
    fixture_channel(store, "b", &channels[1], logs[1]);
    race run = {.store = store, .channel = channels[0].number, .other_channel = channels[1].number};
    enum { READERS = 20, WRITES = 150 }; /* more readers than an engine may have connections */
    pthread_t threads[READERS + 1];
    for (int at = 0; at < READERS + 1; at++)
        assert_int_equal(pthread_create(&threads[at], NULL, at < READERS ? read_on : write_on, &run), 0);
    for (int at = 0; at < WRITES; at++)
        assert_ok(fixture_commit_append(store, &logs[0][0], (size_t)(1 + at % 40), false, NULL));
    atomic_store(&run.stop, true);
    for (int at = 0; at < READERS + 1; at++)
        assert_int_equal(pthread_join(threads[at], NULL), 0);
    assert_int_equal(atomic_load(&run.faults), 0);
    uint64_t size = 0;
    assert_null(fixture_log_fault(store, channels[0].number, 0, false, &size));
    assert_int_equal(size, logs[0][0].tree.size);
    assert_null(fixture_log_fault(store, channels[1].number, 0, false, &size));
}

/* One of everything, for the failures of memory below. */
static ent_rc use_all(ent_store *store, int64_t channel, ent_store_log *log, ent_buf *out)
{
    const ent_store_engine *engine = store->engine;
    ent_store_log after = *log;
    ENT_TRY(engine->begin(store, NULL));
    ent_rc rc = fixture_append(store, &after, 60, true, NULL);
    if (rc.code == ENT_OK)
        rc = engine->commit(store, NULL);
    engine->rollback(store);
    ENT_TRY(rc);
    *log = after;
    uint64_t count = 0;
    ENT_TRY(engine->entries_read(store, log->number, 0, 10, SIZE_MAX, out, &count, NULL));
    ENT_TRY(engine->body_read(store, log->number, 7, out, NULL));
    return engine->log_get(store, channel, 0, log, NULL);
}

static void test_store__failed_allocation_leaves_a_whole_store(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 8, true, NULL));
    bool done = false;
    for (unsigned long nth = 1; !done; nth++) {
        ent_buf out = {0};
        ent_store_log log = logs[0];
        fixture_batch batch;
        fixture_batch_make(&log, 60, true, &batch);
        uint64_t count = 0;
        ent_alloc_fail_at(nth);
        ent_rc rc = store->engine->begin(store, NULL);
        if (rc.code == ENT_OK)
            rc = store->engine->append(store, &log, &batch.append, NULL);
        if (rc.code == ENT_OK)
            rc = store->engine->commit(store, NULL);
        store->engine->rollback(store);
        if (rc.code == ENT_OK) {
            logs[0] = log;
            rc = store->engine->entries_read(store, log.number, 0, 10, SIZE_MAX, &out, &count, NULL);
        }
        if (rc.code == ENT_OK) {
            ent_buf_clear(&out);
            rc = store->engine->body_read(store, log.number, 7, &out, NULL);
        }
        done = ent_alloc_count() < nth;
        ent_alloc_fail_at(0);
        assert_true(rc.code == ENT_NOMEM || (done && rc.code == ENT_OK));
        fixture_batch_release(&batch);
        ent_buf_release(&out);
        uint64_t size = 0;
        assert_null(fixture_log_fault(store, channel.number, 0, true, &size));
        assert_int_equal(size, logs[0].tree.size);
    }
    ent_buf out = {0};
    assert_ok(use_all(store, channel.number, &logs[0], &out));
    ent_buf_release(&out);
}

static ent_rc count_channel(void *context, const ent_store_channel *channel, ent_err *err)
{
    (void)channel;
    (void)err;
    ++*(int *)context;
    return ENT_DONE;
}

static ent_rc count_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    (void)receipt;
    (void)err;
    ++*(int *)context;
    return ENT_DONE;
}

static ent_rc count_peer(void *context, const ent_store_peer *peer, ent_bytes card, ent_err *err)
{
    (void)peer;
    (void)card;
    (void)err;
    ++*(int *)context;
    return ENT_DONE;
}

static ent_rc walk_all(ent_store *store, int64_t channel, int *rows)
{
    ENT_TRY(store->engine->channel_walk(store, count_channel, rows, NULL));
    ENT_TRY(store->engine->peer_walk(store, count_peer, rows, NULL));
    ENT_TRY(store->engine->receipt_unsigned_walk(store, count_receipt, rows, NULL));
    return store->engine->receipt_walk(store, channel, 0, 9, count_receipt, rows, NULL);
}

static void test_store__failed_allocation_in_a_walk_is_told(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    bool is_new = false;
    ent_store_receipt receipt = {.log = logs[0].number, .receiver = 1, .head = {.size = 1}};
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(put_peer(store, "a.example"));
    assert_ok(store->engine->receipt_add(store, &receipt, &is_new, NULL));
    assert_ok(store->engine->commit(store, NULL));
    for (unsigned long nth = 1;; nth++) {
        int rows = 0;
        ent_alloc_fail_at(nth);
        ent_rc rc = walk_all(store, channel.number, &rows);
        bool done = ent_alloc_count() < nth;
        ent_alloc_fail_at(0);
        if (done) {
            assert_ok(rc);
            assert_int_equal(rows, 4);
            break;
        }
        assert_fails(rc, ENT_NOMEM);
    }
}

const struct CMUnitTest *contract_transaction_tests(size_t *ret_count)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__rollback_leaves_nothing),
        cmocka_unit_test(test_store__write_outside_a_transaction_is_refused),
        cmocka_unit_test(test_store__empty_transaction_commits),
        cmocka_unit_test(test_store__other_threads_see_committed_state),
        cmocka_unit_test(test_store__many_readers_and_two_writers_agree),
        cmocka_unit_test(test_store__failed_allocation_leaves_a_whole_store),
        cmocka_unit_test(test_store__failed_allocation_in_a_walk_is_told),
    };
    *ret_count = sizeof tests / sizeof tests[0];
    return tests;
}
