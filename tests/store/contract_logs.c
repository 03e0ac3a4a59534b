#include "contract_tests.h"

#include <stdio.h>
#include <stdlib.h>

static void test_store__log_added_is_found(void **state)
{
    contract_state *contract = *state;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(contract->store, "a", &channel, logs);
    contract_reopen(contract);
    const ent_store_engine *engine = contract->store->engine;
    ent_store_log log;
    assert_ok(engine->log_get(contract->store, channel.number, 1, &log, NULL));
    assert_int_equal(log.number, logs[1].number);
    assert_int_equal(log.channel, channel.number);
    assert_int_equal(log.member, 1);
    assert_false(log.own);
    assert_false(log.frozen);
    assert_int_equal(log.tree.size, 0);
    assert_ok(engine->log_get(contract->store, channel.number, 0, &log, NULL));
    assert_true(log.own);
    log.number = 77;
    assert_fails(engine->log_get(contract->store, channel.number, 2, &log, NULL), ENT_ABSENT);
    assert_fails(engine->log_get(contract->store, channel.number + 1, 0, &log, NULL), ENT_ABSENT);
    assert_int_equal(log.number, 77);
}

static void test_store__log_that_breaks_a_rule_is_refused(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->begin(store, NULL));
    ent_store_log log = {.number = -5, .channel = channel.number, .member = 1};
    assert_fails(store->engine->log_add(store, &log, NULL), ENT_REFUSED); /* there is one */
    log.member = 32;
    assert_fails(store->engine->log_add(store, &log, NULL), ENT_REFUSED);
    log.member = 2;
    log.own = true;
    assert_fails(store->engine->log_add(store, &log, NULL), ENT_REFUSED); /* a second own one */
    log.own = false;
    log.channel = channel.number + 9;
    assert_fails(store->engine->log_add(store, &log, NULL), ENT_REFUSED); /* no such channel */
    log.channel = channel.number;
    log.tree.size = 3;
    assert_fails(store->engine->log_add(store, &log, NULL), ENT_USAGE);
    assert_int_equal(log.number, -5);
    log.tree.size = 0;
    assert_ok(store->engine->log_add(store, &log, NULL));
    assert_ok(store->engine->commit(store, NULL));
}

static void test_store__log_row_comes_back_as_given(void **state)
{
    contract_state *contract = *state;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(contract->store, "a", &channel, logs);
    for (uint32_t member = 0; member < ENT_ENTRY_MAX_MEMBERS; member++)
        logs[1].acked[member] = member * 0x0102030405060708;
    logs[1].acked[31] = UINT64_MAX;
    logs[1].usage = (ent_store_usage){20000, 1, 2, (uint64_t)1 << 57, 3};
    ent_store_log expected = logs[1];
    assert_ok(contract->store->engine->begin(contract->store, NULL));
    assert_ok(fixture_append(contract->store, &expected, 300, false, NULL));
    assert_ok(contract->store->engine->commit(contract->store, NULL));
    contract_reopen(contract);
    ent_store_log log;
    assert_ok(contract->store->engine->log_get(contract->store, channel.number, 1, &log, NULL));
    assert_memory_equal(log.acked, expected.acked, sizeof log.acked);
    assert_int_equal(log.bytes, expected.bytes);
    assert_memory_equal(&log.usage, &expected.usage, sizeof log.usage);
    assert_int_equal(log.tree.size, 300);
    assert_memory_equal(log.tree.edge, expected.tree.edge, ent_tree_edge_count(300) * 32);
}

static void test_store__opened_only_grows(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[1], 5, false, NULL));
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->log_opened(store, logs[1].number, 4, NULL));
    assert_ok(store->engine->log_opened(store, logs[1].number, 2, NULL));
    assert_fails(store->engine->log_opened(store, logs[1].number, 6, NULL), ENT_REFUSED); /* beyond the log */
    assert_fails(store->engine->log_opened(store, 999, 0, NULL), ENT_ABSENT);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    assert_ok(contract->store->engine->log_get(contract->store, channel.number, 1, &logs[1], NULL));
    assert_int_equal(logs[1].opened, 4);
    /* an append leaves it alone */
    assert_ok(fixture_commit_append(contract->store, &logs[1], 5, false, NULL));
    assert_ok(contract->store->engine->log_get(contract->store, channel.number, 1, &logs[1], NULL));
    assert_int_equal(logs[1].opened, 4);
}

static void test_store__frozen_log_takes_no_append(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[1], 5, false, NULL));
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->log_freeze(store, logs[1].number, NULL));
    assert_fails(store->engine->log_freeze(store, 999, NULL), ENT_ABSENT);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    assert_fails(fixture_commit_append(contract->store, &logs[1], 1, false, NULL), ENT_REFUSED_FROZEN);
    assert_ok(fixture_commit_append(contract->store, &logs[0], 1, false, NULL)); /* other logs go on */
    uint64_t size = 0;
    assert_null(fixture_log_fault(contract->store, channel.number, 1, false, &size));
    assert_int_equal(size, 5);
}

static void test_store__append_at_every_size_gives_the_tree(void **state)
{
    contract_state *contract = *state;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(contract->store, "a", &channel, logs);
    uint64_t size = 0;
    for (int i = 0; i < 600; i++) {
        assert_ok(fixture_commit_append(contract->store, &logs[i % 2], 1, true, NULL));
        if (i % 97 == 0 || i > 594)
            assert_null(fixture_log_fault(contract->store, channel.number, (uint32_t)(i % 2), true, &size));
    }
    contract_reopen(contract);
    assert_null(fixture_log_fault(contract->store, channel.number, 0, true, &size));
    assert_int_equal(size, 300);
}

static void test_store__append_in_batches_gives_the_tree(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    static const size_t batches[] = {0, 1, 255, 1, 0, 511, 256, 257, 1000, 3, 2000};
    for (size_t at = 0; at < sizeof batches / sizeof batches[0]; at++) {
        assert_ok(store->engine->begin(store, NULL));
        /* two appends in one transaction: the second builds on tiles that are not committed yet */
        assert_ok(fixture_append(store, &logs[0], batches[at], false, NULL));
        assert_ok(fixture_append(store, &logs[0], 100, false, NULL));
        assert_ok(store->engine->commit(store, NULL));
    }
    contract_reopen(contract);
    uint64_t size = 0;
    assert_null(fixture_log_fault(contract->store, channel.number, 0, false, &size));
    assert_int_equal(size, logs[0].tree.size);
}

static void test_store__two_levels_of_full_tiles_give_proofs(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_hash root_before;
    while (logs[1].tree.size < 70000) {
        if (logs[1].tree.size == 66000)
            ent_tree_root(&logs[1].tree, &root_before);
        assert_ok(fixture_commit_append(store, &logs[1], 2000, false, NULL));
    }
    ent_store_tiles context = {store, logs[1].number};
    ent_tile_reader tiles = ent_store_tile_reader(&context);
    ent_tree_head head = {.size = logs[1].tree.size};
    ent_tree_root(&logs[1].tree, &head.root);
    ent_hash root;
    assert_ok(ent_tree_root_at(66000, &tiles, &root, NULL));
    assert_true(ent_hash_equal(&root, &root_before));
    for (uint64_t index = 0; index < head.size; index += 4999) {
        ent_buf entry = {0};
        ent_hash leaf;
        ent_tree_proof proof;
        fixture_entry(logs[1].number, index, &entry);
        ent_leaf_hash(ent_buf_bytes(&entry), &leaf);
        assert_ok(ent_inclusion_prove(index, head.size, &tiles, &proof, NULL));
        assert_int_equal(ent_inclusion_verify(index, &leaf, &head, &proof), ENT_PROOF_VALID);
        ent_buf_release(&entry);
    }
    ent_hash hashes[ENT_TILE_WIDTH];
    assert_ok(store->engine->tile_read(store, logs[1].number, 2, 0, 1, hashes, NULL));
    assert_fails(store->engine->tile_read(store, logs[1].number, 2, 0, 2, hashes, NULL), ENT_ABSENT);
}

static void test_store__tile_beyond_the_log_is_absent(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 300, false, NULL));
    ent_hash hashes[ENT_TILE_WIDTH];
    ent_hash before[ENT_TILE_WIDTH];
    memset(hashes, 0xa5, sizeof hashes);
    memcpy(before, hashes, sizeof before);
    int64_t log = logs[0].number;
    assert_fails(store->engine->tile_read(store, log, 0, 1, 45, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 0, 2, 1, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 1, 0, 2, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 2, 0, 1, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 63, 0, 1, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 255, 0, 1, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 0, UINT64_MAX, 1, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, log, 0, 0, 257, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, logs[1].number, 0, 0, 1, hashes, NULL), ENT_ABSENT);
    assert_fails(store->engine->tile_read(store, -1, 0, 0, 1, hashes, NULL), ENT_ABSENT);
    assert_memory_equal(hashes, before, sizeof before);
    assert_ok(store->engine->tile_read(store, log, 0, 1, 44, hashes, NULL));
    assert_ok(store->engine->tile_read(store, log, 0, 0, 256, hashes, NULL));
    assert_ok(store->engine->tile_read(store, log, 1, 0, 1, hashes, NULL));
}

static void test_store__append_that_does_not_follow_is_refused(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 10, false, NULL));
    ent_store_log stale = logs[0];
    assert_ok(fixture_commit_append(store, &logs[0], 10, false, NULL));
    assert_fails(fixture_commit_append(store, &stale, 10, false, NULL), ENT_USAGE);
    ent_store_log unknown = logs[0];
    unknown.number = 12345;
    assert_fails(fixture_commit_append(store, &unknown, 1, false, NULL), ENT_ABSENT);

    ent_store_log after = logs[0];
    fixture_batch batch;
    fixture_batch_make(&after, 3, false, &batch);
    after.tree.size++;
    assert_ok(store->engine->begin(store, NULL));
    assert_fails(store->engine->append(store, &after, &batch.append, NULL), ENT_USAGE);
    batch.append.first = UINT64_MAX - 1;
    assert_fails(store->engine->append(store, &after, &batch.append, NULL), ENT_USAGE);
    store->engine->rollback(store);
    fixture_batch_release(&batch);
    uint64_t size = 0;
    assert_null(fixture_log_fault(store, channel.number, 0, false, &size));
    assert_int_equal(size, 20);
}

static void test_store__half_an_append_is_never_committed(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_store_log after = logs[0];
    fixture_batch batch;
    fixture_batch_make(&after, 3, false, &batch);
    batch.entry_views[2].size = 0; /* an empty entry is none */
    assert_ok(store->engine->begin(store, NULL));
    assert_int_not_equal(store->engine->append(store, &after, &batch.append, NULL).code, ENT_OK);
    assert_int_not_equal(store->engine->commit(store, NULL).code, ENT_OK);
    fixture_batch_release(&batch);
    uint64_t size = 1;
    assert_null(fixture_log_fault(store, channel.number, 0, false, &size));
    assert_int_equal(size, 0);
    assert_ok(fixture_commit_append(store, &logs[0], 3, false, NULL)); /* and the store goes on */
}

static void test_store__entries_are_read_within_limits(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    const ent_store_engine *engine = store->engine;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(fixture_commit_append(store, &logs[0], 50, false, NULL));
    assert_ok(fixture_commit_append(store, &logs[1], 50, false, NULL));
    ent_buf bundle = {0};
    uint64_t count = 0;
    size_t found = 0;
    assert_ok(engine->entries_read(store, logs[0].number, 40, 1000, SIZE_MAX, &bundle, &count, NULL));
    assert_int_equal(count, 10); /* and none of the next log */
    assert_ok(ent_bundle_parse(ent_buf_bytes(&bundle), &found, NULL));
    assert_int_equal(found, 10);
    ent_buf_clear(&bundle);
    assert_ok(engine->entries_read(store, logs[0].number, 3, 4, SIZE_MAX, &bundle, &count, NULL));
    assert_int_equal(count, 4);
    for (size_t limit = 0; limit < 5000; limit += 77) {
        size_t before = bundle.size;
        assert_ok(engine->entries_read(store, logs[0].number, 0, 50, limit, &bundle, &count, NULL));
        assert_true(count >= 1);
        assert_true(count == 1 || bundle.size - before <= limit);
    }
    size_t before = bundle.size;
    count = 99;
    assert_fails(engine->entries_read(store, logs[0].number, 50, 1, 1000, &bundle, &count, NULL), ENT_ABSENT);
    assert_fails(engine->entries_read(store, 77, 0, 1, 1000, &bundle, &count, NULL), ENT_ABSENT);
    assert_fails(engine->entries_read(store, logs[0].number, UINT64_MAX, 1, 1000, &bundle, &count, NULL), ENT_ABSENT);
    assert_fails(engine->entries_read(store, logs[0].number, 0, 0, 1000, &bundle, &count, NULL), ENT_USAGE);
    assert_int_equal(bundle.size, before);
    assert_int_equal(count, 99);
    int64_t arrived = 0;
    assert_ok(engine->entry_arrived(store, logs[1].number, 49, &arrived, NULL));
    assert_int_equal(arrived, FIXTURE_NOW);
    ent_buf_release(&bundle);
}

static void test_store__bodies_of_all_sizes_come_back(void **state)
{
    contract_state *contract = *state;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(contract->store, "a", &channel, logs);
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 1 << 20, ENT_BODY_MAX_BYTES};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    uint8_t *bytes = calloc(1, ENT_BODY_MAX_BYTES + 1);
    for (size_t at = 0; at < ENT_BODY_MAX_BYTES + 1; at++)
        bytes[at] = (uint8_t)(at * 2654435761U >> 13);
    ent_store_log after = logs[0];
    fixture_batch batch;
    fixture_batch_make(&after, COUNT, false, &batch);
    for (size_t at = 0; at < COUNT; at++) {
        batch.body_views[at] = ent_bytes_of(bytes, sizes[at]);
        ent_sha256(batch.body_views[at], &batch.digests[at]);
    }
    assert_ok(contract->store->engine->begin(contract->store, NULL));
    assert_ok(contract->store->engine->append(contract->store, &after, &batch.append, NULL));
    assert_ok(contract->store->engine->commit(contract->store, NULL));
    contract_reopen(contract);
    ent_buf found = {0};
    assert_fails(contract->store->engine->body_read(contract->store, logs[0].number, 0, &found, NULL), ENT_ABSENT);
    for (size_t at = 1; at < COUNT; at++) {
        ent_buf_clear(&found);
        ent_buf_put_string(&found, "kept");
        assert_ok(contract->store->engine->body_read(contract->store, logs[0].number, at, &found, NULL));
        assert_int_equal(found.size, 4 + sizes[at]);
        assert_memory_equal(found.data, "kept", 4);
        assert_memory_equal(found.data + 4, bytes, sizes[at]);
    }
    ent_buf_clear(&found);
    found.limit = 1000;
    assert_fails(contract->store->engine->body_read(contract->store, logs[0].number, 3, &found, NULL),
                 ENT_PEER_TOO_LARGE);
    ent_buf_release(&found);
    fixture_batch_release(&batch);

    fixture_batch_make(&after, 1, false, &batch);
    batch.body_views[0] = ent_bytes_of(bytes, ENT_BODY_MAX_BYTES + 1);
    assert_ok(contract->store->engine->begin(contract->store, NULL));
    assert_fails(contract->store->engine->append(contract->store, &after, &batch.append, NULL), ENT_USAGE);
    contract->store->engine->rollback(contract->store);
    fixture_batch_release(&batch);
    free(bytes);
}

static void test_store__heads_of_every_size_are_kept(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_tree_head head = {0};
    ent_buf note = {0};
    assert_fails(store->engine->head_get(store, logs[0].number, UINT64_MAX, &head, &note, NULL), ENT_ABSENT);
    assert_ok(store->engine->begin(store, NULL));
    for (uint64_t size = 10; size <= 30; size += 10) {
        head = (ent_tree_head){.size = size, .root = fixture_digest(size)};
        ent_buf_clear(&note);
        ent_buf_put_format(&note, "note %d", (int)size);
        assert_ok(store->engine->head_put(store, logs[0].number, &head, ent_buf_bytes(&note), NULL));
    }
    head.root = fixture_digest(99);
    assert_ok(store->engine->head_put(store, logs[0].number, &head, ent_text_bytes(ENT_TEXT("other")), NULL));
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    static const uint64_t asked[][2] = {{UINT64_MAX, 30}, {30, 30}, {29, 20}, {10, 10}};
    for (size_t at = 0; at < 4; at++) {
        char expected[16];
        (void)snprintf(expected, sizeof expected, "note %d", (int)asked[at][1]);
        ent_hash root = fixture_digest(asked[at][1]);
        ent_buf_clear(&note);
        assert_ok(store->engine->head_get(store, logs[0].number, asked[at][0], &head, &note, NULL));
        assert_int_equal(head.size, asked[at][1]);
        assert_true(ent_hash_equal(&head.root, &root));
        assert_string_equal(ent_buf_string(&note), expected);
    }
    assert_fails(store->engine->head_get(store, logs[0].number, 9, &head, &note, NULL), ENT_ABSENT);
    assert_fails(store->engine->head_get(store, logs[1].number, UINT64_MAX, &head, NULL, NULL), ENT_ABSENT);
    ent_buf_release(&note);
}

static size_t count_heads(ent_store *store, int64_t log)
{
    ent_tree_head head;
    size_t count = 0;
    for (uint64_t from = 0; store->engine->head_from(store, log, from, &head, NULL, NULL).code == ENT_OK; count++)
        from = head.size + 1;
    return count;
}

static void put_ahead(ent_store *store, int64_t log, uint64_t size)
{
    const ent_tree_head head = {.size = size, .root = fixture_digest(size)};
    assert_ok(store->engine->head_ahead(store, log, &head, ent_text_bytes(ENT_TEXT("ahead")), NULL));
}

static void put_kept(ent_store *store, int64_t log, uint64_t size)
{
    const ent_tree_head head = {.size = size, .root = fixture_digest(size)};
    assert_ok(store->engine->head_put(store, log, &head, ent_text_bytes(ENT_TEXT("kept")), NULL));
}

/* Whoever signs ever larger heads of its log, and brings no entries, gets one row. */
static void test_store__of_heads_ahead_the_largest_is_kept(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_tree_head head;
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->begin(store, NULL));
    put_kept(store, logs[0].number, 5);
    put_kept(store, logs[1].number, 5);
    for (uint64_t size = 10; size < 10010; size++)
        put_ahead(store, logs[0].number, size);
    put_ahead(store, logs[0].number, 50); /* smaller: not news */
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_int_equal(count_heads(store, logs[0].number), 2);
    assert_ok(store->engine->head_get(store, logs[0].number, UINT64_MAX, &head, NULL, NULL));
    assert_int_equal(head.size, 10009);
    assert_ok(store->engine->begin(store, NULL));
    put_kept(store, logs[0].number, 10009); /* an entry acks it: now it stays */
    put_ahead(store, logs[0].number, 20000);
    put_ahead(store, logs[0].number, 20001);
    put_kept(store, logs[0].number, 30000);
    put_ahead(store, logs[0].number, 30000); /* kept already */
    put_ahead(store, logs[0].number, 30001);
    assert_ok(store->engine->commit(store, NULL));
    assert_int_equal(count_heads(store, logs[0].number), 4);
    for (uint64_t size = 10009; size <= 30000; size += 19991) {
        assert_ok(store->engine->head_get(store, logs[0].number, size, &head, NULL, NULL));
        assert_int_equal(head.size, size);
    }
    assert_int_equal(count_heads(store, logs[1].number), 1);
}

static void test_store__passed_heads_are_in_nobodys_way(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_buf note = {0};
    bool any = true;
    fixture_channel(store, "a", &channel, logs);
    int64_t log = logs[0].number;
    ent_tree_head head = {.size = 7, .root = fixture_digest(7)};
    const ent_tree_head other = {.size = 7, .root = fixture_digest(8)};
    assert_ok(store->engine->passed_head_any(store, log, &any, NULL));
    assert_false(any);
    assert_ok(store->engine->begin(store, NULL));
    put_kept(store, log, 7);
    put_ahead(store, log, 9);
    assert_ok(store->engine->head_pass(store, log, 7, NULL));
    assert_ok(store->engine->head_pass(store, log, 9, NULL)); /* nothing acks it */
    assert_ok(store->engine->head_pass(store, log, 11, NULL));
    assert_ok(store->engine->passed_head_put(store, log, &head, ent_text_bytes(ENT_TEXT("again")), NULL));
    assert_ok(store->engine->passed_head_put(store, log, &other, ent_text_bytes(ENT_TEXT("other")), NULL));
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_int_equal(count_heads(store, log), 0);
    assert_ok(store->engine->passed_head_any(store, log, &any, NULL));
    assert_true(any);
    assert_ok(store->engine->passed_head_any(store, logs[1].number, &any, NULL));
    assert_false(any);
    assert_ok(store->engine->passed_head_get(store, log, &head, &note, NULL));
    assert_string_equal(ent_buf_string(&note), "kept");
    assert_ok(store->engine->passed_head_get(store, log, &other, NULL, NULL));
    head.size = 9;
    assert_fails(store->engine->passed_head_get(store, log, &head, NULL, NULL), ENT_ABSENT);
    ent_buf_release(&note);
}

const struct CMUnitTest *contract_log_tests(size_t *ret_count)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__log_added_is_found),
        cmocka_unit_test(test_store__log_that_breaks_a_rule_is_refused),
        cmocka_unit_test(test_store__log_row_comes_back_as_given),
        cmocka_unit_test(test_store__opened_only_grows),
        cmocka_unit_test(test_store__frozen_log_takes_no_append),
        cmocka_unit_test(test_store__append_at_every_size_gives_the_tree),
        cmocka_unit_test(test_store__append_in_batches_gives_the_tree),
        cmocka_unit_test(test_store__two_levels_of_full_tiles_give_proofs),
        cmocka_unit_test(test_store__tile_beyond_the_log_is_absent),
        cmocka_unit_test(test_store__append_that_does_not_follow_is_refused),
        cmocka_unit_test(test_store__half_an_append_is_never_committed),
        cmocka_unit_test(test_store__entries_are_read_within_limits),
        cmocka_unit_test(test_store__bodies_of_all_sizes_come_back),
        cmocka_unit_test(test_store__heads_of_every_size_are_kept),
        cmocka_unit_test(test_store__of_heads_ahead_the_largest_is_kept),
        cmocka_unit_test(test_store__passed_heads_are_in_nobodys_way),
    };
    *ret_count = sizeof tests / sizeof tests[0];
    return tests;
}
