/* What the rollback guard asks of a store: cutting what was never signed, and remembering what an officer released. */
#include "contract_tests.h"

#include <stdio.h>

/* The log as it is when only its first entries are left. */
static ent_store_log cut_to(ent_store *store, const ent_store_log *log, uint64_t size)
{
    ent_store_log cut = *log;
    ent_store_tiles tiles = {store, log->number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    assert_ok(ent_tree_at(size, &reader, &cut.tree, NULL));
    cut.opened = cut.opened > size ? size : cut.opened;
    cut.bytes = 0; /* the store keeps what it is given */
    return cut;
}

static void test_store__cut_log_is_whole_and_grows_again(void **state)
{
    static const uint64_t sizes[][2] = {{1, 0}, {5, 4}, {256, 255}, {257, 256}, {258, 256}, {1030, 511}, {1030, 512}};
    contract_state *contract = *state;
    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        ent_store_channel channel;
        ent_store_log logs[2];
        char alias[16];
        (void)snprintf(alias, sizeof alias, "cut%zu", at);
        ent_store *store = contract->store;
        fixture_channel(store, alias, &channel, logs);
        assert_ok(fixture_commit_append(store, &logs[0], (size_t)sizes[at][0], true, NULL));
        assert_ok(fixture_commit_append(store, &logs[1], 3, true, NULL));
        ent_store_log cut = cut_to(store, &logs[0], sizes[at][1]);
        assert_ok(store->engine->begin(store, NULL));
        assert_ok(store->engine->log_cut(store, &cut, NULL));
        assert_ok(fixture_append(store, &cut, 300, true, NULL)); /* in the same transaction */
        assert_ok(store->engine->commit(store, NULL));
        contract_reopen(contract);
        uint64_t size = 0;
        assert_null(fixture_log_fault(contract->store, channel.number, 0, true, &size));
        assert_int_equal(size, sizes[at][1] + 300);
        assert_null(fixture_log_fault(contract->store, channel.number, 1, true, &size));
        assert_int_equal(size, 3);
    }
}

/* What a key showed of a message that is cut off, or by one, goes with it; the rest stays. */
static void test_store__cut_log_takes_its_reveals_along(void **state)
{
    static const uint64_t rows[][2] = {{1, 2}, {3, 7}, {6, 8}};
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_store_revealed found;
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 10, true, NULL));
    assert_ok(fixture_commit_append(store, &logs[1], 10, true, NULL));
    ent_store_log cut = cut_to(store, &logs[0], 5);
    assert_ok(store->engine->begin(store, NULL));
    for (size_t i = 0; i < 6; i++) {
        ent_store_revealed revealed = {logs[i % 2].number, rows[i / 2][0], rows[i / 2][1], ENT_REVEALED_GOOD};
        assert_ok(store->engine->reveal_put(store, &revealed, NULL));
    }
    assert_ok(store->engine->log_cut(store, &cut, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_ok(store->engine->reveal_get(store, logs[0].number, 1, &found, NULL));
    assert_fails(store->engine->reveal_get(store, logs[0].number, 3, &found, NULL), ENT_ABSENT);
    assert_fails(store->engine->reveal_get(store, logs[0].number, 6, &found, NULL), ENT_ABSENT);
    for (size_t i = 0; i < 3; i++)
        assert_ok(store->engine->reveal_get(store, logs[1].number, rows[i][0], &found, NULL));
}

static void test_store__cut_rolled_back_leaves_everything(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    uint64_t size = 0;
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 600, true, NULL));
    ent_store_log cut = cut_to(store, &logs[0], 10);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->log_cut(store, &cut, NULL));
    store->engine->rollback(store);
    contract_reopen(contract);
    assert_null(fixture_log_fault(contract->store, channel.number, 0, true, &size));
    assert_int_equal(size, 600);
}

static void assert_not_cut(ent_store *store, const ent_store_log *cut, ent_code code)
{
    assert_ok(store->engine->begin(store, NULL));
    assert_fails(store->engine->log_cut(store, cut, NULL), code);
    store->engine->rollback(store);
}

static void test_store__what_was_receipted_frozen_or_is_anothers_is_not_cut(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    bool is_new = false;
    uint64_t size = 0;
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 9, false, NULL));
    assert_ok(fixture_commit_append(store, &logs[1], 9, false, NULL));
    ent_store_receipt receipt = {.log = logs[0].number, .receiver = 1, .head = {.size = 5}};
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->receipt_add(store, &receipt, &is_new, NULL));
    assert_ok(store->engine->commit(store, NULL));
    ent_store_log cut = cut_to(store, &logs[0], 4);
    assert_not_cut(store, &cut, ENT_REFUSED);
    cut = cut_to(store, &logs[1], 4);
    assert_not_cut(store, &cut, ENT_REFUSED); /* not ours */
    assert_not_cut(store, &logs[0], ENT_USAGE);
    cut = cut_to(store, &logs[0], 5);
    cut.number = logs[1].number;
    assert_not_cut(store, &cut, ENT_USAGE);
    assert_null(fixture_log_fault(store, channel.number, 0, false, &size));
    assert_int_equal(size, 9);
    cut = cut_to(store, &logs[0], 5);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->log_freeze(store, logs[0].number, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_not_cut(store, &cut, ENT_REFUSED);
    assert_null(fixture_log_fault(store, channel.number, 0, false, &size));
    assert_int_equal(size, 9);
}

static ent_rc note_release(void *context, const ent_store_released *release, ent_err *err)
{
    char *seen = context;
    size_t used = strlen(seen);
    (void)err;
    (void)snprintf(seen + used, 256 - used, "%lld@%llu:%.*s;", (long long)release->released_unix_s,
                   (unsigned long long)release->size, (int)release->unanswered.size, release->unanswered.data);
    return ENT_DONE;
}

static void test_store__releases_are_kept(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    char seen[256] = "";
    fixture_channel(store, "a", &channel, logs);
    ent_store_released release = {
        .channel = channel.number, .released_unix_s = 7, .size = 3, .unanswered = ENT_TEXT("b (gone)")};
    assert_fails(store->engine->release_add(store, &release, NULL), ENT_USAGE); /* outside a transaction */
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->release_add(store, &release, NULL));
    release.released_unix_s = 9;
    release.unanswered = ENT_TEXT("");
    assert_ok(store->engine->release_add(store, &release, NULL));
    release.channel = channel.number + 5;
    assert_fails(store->engine->release_add(store, &release, NULL), ENT_REFUSED);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    assert_ok(contract->store->engine->release_walk(contract->store, channel.number, note_release, seen, NULL));
    assert_string_equal(seen, "7@3:b (gone);9@3:;");
}

const struct CMUnitTest *contract_guard_tests(size_t *ret_count)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__cut_log_is_whole_and_grows_again),
        cmocka_unit_test(test_store__cut_log_takes_its_reveals_along),
        cmocka_unit_test(test_store__cut_rolled_back_leaves_everything),
        cmocka_unit_test(test_store__what_was_receipted_frozen_or_is_anothers_is_not_cut),
        cmocka_unit_test(test_store__releases_are_kept),
    };
    *ret_count = sizeof tests / sizeof tests[0];
    return tests;
}
