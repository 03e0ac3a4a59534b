#include "fixture.h"

#include "base/alloc.h"

static void test_tile_path__known_paths_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        ent_tile_id id;
    } known[] = {
        {"tile/0/000", {false, 0, 0, 256}},
        {"tile/0/x001/x234/067", {false, 0, 1234067, 256}}, /* tlog-tiles, Merkle Tree */
        {"tile/0/273.p/112", {false, 0, 273, 112}},         /* tlog-tiles, Partial Tiles: a tree of size 70,000 */
        {"tile/1/001.p/17", {false, 1, 1, 17}},
        {"tile/2/000.p/1", {false, 2, 0, 1}},
        {"tile/63/999", {false, 63, 999, 256}},
        {"tile/8/x001/000.p/255", {false, 8, 1000, 255}},
        {"tile/entries/000", {true, 0, 0, 256}},
        {"tile/entries/x123/456.p/7", {true, 0, 123456, 7}},
        {"tile/0/x035/x184/x372/x088/831", {false, 0, 35184372088831, 256}}, /* the last of a log of 2^53 */
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char path[ENT_TILE_PATH_MAX];
        ent_tile_id id;
        ent_tile_path_format(&known[i].id, path);
        assert_string_equal(path, known[i].path);
        assert_ok(ent_tile_path_parse(ent_text_of(path), &id, NULL));
        assert_int_equal(id.entries, known[i].id.entries);
        assert_int_equal(id.level, known[i].id.level);
        assert_true(id.index == known[i].id.index);
        assert_int_equal(id.width, known[i].id.width);
    }
}

static void test_tile_path__random_ids_round_trip(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (size_t i = 0; i < 20000; i++) {
        ent_tile_id id = {.entries = next_random(&random) % 2 == 0};
        ent_tile_id again;
        char path[ENT_TILE_PATH_MAX];
        id.level = id.entries ? 0 : (uint8_t)(next_random(&random) % 64);
        id.index = (next_random(&random) & (ENT_LOG_MAX_SIZE / ENT_TILE_WIDTH - 1)) >> next_random(&random) % 45;
        id.width = (uint16_t)(1 + next_random(&random) % 256);
        ent_tile_path_format(&id, path);
        assert_ok(ent_tile_path_parse(ent_text_of(path), &again, NULL));
        assert_true(again.entries == id.entries && again.level == id.level && again.index == id.index &&
                    again.width == id.width);
    }
}

static void test_tile_path__other_spelling_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "tile",
        "tile/",
        "/tile/0/000",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile//000",
        "tile/0/x000",
        "tile/0/x000/",
        "tile/0/x000/000", /* leading group of zeroes */
        "tile/0/x000/x001/000",
        "tile/0/001/000", /* no x */
        "tile/0/X001/000",
        "tile/0/x001/x000",
        "tile/0/x1/000",
        "tile/0/00a",
        "tile/0/ 00",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/+1",
        "tile/0/000.p/1/",
        "tile/0/000/",
        "tile/0/000 ",
        "tile/0/000\n",
        "tile/entries/",
        "tile/entries/0/000",
        "tile/entry/000",
        "tile/data/000",
        "tile/0/x035/x184/x372/x088/832", /* beyond a log of 2^53 */
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/../000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ent_tile_id id = {.width = 4242};
        if (ent_tile_path_parse(ent_text_of(bad[i]), &id, NULL).code != ENT_PEER_MALFORMED)
            fail_msg("path was not refused: %s", bad[i]);
        assert_int_equal(id.width, 4242);
    }
    assert_code(ent_tile_path_parse((ent_text){"tile/0/000\0", 11}, NULL, NULL), ENT_PEER_MALFORMED);
}

static void test_tile_path__longest_fits(void **state)
{
    (void)state;
    char path[ENT_TILE_PATH_MAX];
    const ent_tile_id id = {.entries = true, .index = UINT64_MAX, .width = 255};
    ent_tile_path_format(&id, path);
    assert_string_equal(path, "tile/entries/x018/x446/x744/x073/x709/x551/615.p/255");
}

static void assert_levels(const memory_tiles *tiles, const ent_hash *leaves, size_t size)
{
    /* "floor(s / 256**l)" hashes at level l, each the Merkle Tree Hash of a full tile below */
    for (size_t level = 0; level < MEMORY_LEVELS; level++)
        assert_int_equal(tiles->count[level], size >> (8 * level));
    for (size_t level = 0, span = 1; level < 3; level++, span *= 256) {
        for (size_t i = 0; i < tiles->count[level]; i++) {
            ent_hash wanted = simple_root(leaves + i * span, span);
            assert_true(ent_hash_equal(&wanted, &tiles->hashes[level][i]));
        }
    }
}

static void test_tiles_append__any_batches_give_the_same_tiles(void **state)
{
    (void)state;
    enum { SIZE = 70000 };
    ent_hash *leaves = malloc(SIZE * sizeof *leaves);
    uint64_t random = 3;
    assert_non_null(leaves);
    for (size_t i = 0; i < SIZE; i++)
        leaves[i] = numbered_leaf((uint32_t)i);
    static const size_t largest[] = {1, 3, 256, 300, 1024, SIZE};
    for (size_t round = 0; round < sizeof largest / sizeof *largest; round++) {
        memory_tiles tiles = {0};
        const ent_tile_reader reader = memory_reader(&tiles);
        const ent_tile_writer writer = memory_writer(&tiles);
        for (size_t size = 0; size < SIZE;) {
            size_t count = round == 5 ? SIZE : 1 + next_random(&random) % largest[round];
            count = count > SIZE - size ? SIZE - size : count;
            assert_ok(ent_tiles_append(size, leaves + size, count, &reader, &writer, NULL));
            size += count;
        }
        assert_levels(&tiles, leaves, SIZE);
        if (round == 5)
            assert_int_equal(tiles.reads, 0);
        memory_release(&tiles);
    }
    free(leaves);
}

static void test_tiles_append__reads_only_what_becomes_full(void **state)
{
    (void)state;
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    const ent_tile_writer writer = memory_writer(&tiles);
    ent_hash leaves[600];
    for (size_t i = 0; i < 600; i++)
        leaves[i] = numbered_leaf((uint32_t)i);
    assert_ok(ent_tiles_append(0, leaves, 100, &reader, &writer, NULL));
    assert_ok(ent_tiles_append(100, leaves + 100, 100, &reader, &writer, NULL));
    assert_int_equal(tiles.reads, 0);
    assert_int_equal(tiles.writes, 2);
    assert_ok(ent_tiles_append(200, leaves + 200, 56, &reader, &writer, NULL));
    assert_int_equal(tiles.reads, 1);
    assert_int_equal(tiles.writes, 4); /* and the first hash of level 1 */
    assert_ok(ent_tiles_append(256, leaves + 256, 344, &reader, &writer, NULL));
    assert_int_equal(tiles.reads, 1); /* the second tile was empty before */
    assert_int_equal(tiles.writes, 7);
    assert_ok(ent_tiles_append(600, leaves, 0, &reader, &writer, NULL));
    assert_int_equal(tiles.writes, 7);
    assert_levels(&tiles, leaves, 600);
    memory_release(&tiles);
}

static void test_tiles_append__failures_are_passed_on(void **state)
{
    (void)state;
    ent_hash leaves[700];
    for (size_t i = 0; i < 700; i++)
        leaves[i] = numbered_leaf((uint32_t)i);
    size_t failures = 0;
    for (size_t fail_at = 1;; fail_at++) {
        memory_tiles tiles = {0};
        const ent_tile_reader reader = memory_reader(&tiles);
        const ent_tile_writer writer = memory_writer(&tiles);
        assert_ok(ent_tiles_append(0, leaves, 100, &reader, &writer, NULL));
        tiles.fail_at = fail_at + 1;
        ent_rc rc = ent_tiles_append(100, leaves + 100, 600, &reader, &writer, NULL);
        memory_release(&tiles);
        if (rc.code == ENT_OK)
            break;
        assert_true(rc.code == ENT_IO || rc.code == ENT_IO_FULL);
        failures++;
    }
    assert_int_equal(failures, 5);
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    const ent_tile_writer writer = memory_writer(&tiles);
    ent_alloc_fail_at(1);
    assert_code(ent_tiles_append(0, leaves, 700, &reader, &writer, NULL), ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_code(ent_tiles_append(ENT_LOG_MAX_SIZE, leaves, 1, &reader, &writer, NULL), ENT_USAGE);
    assert_code(ent_tiles_append(ENT_LOG_MAX_SIZE + 1, leaves, 0, &reader, &writer, NULL), ENT_USAGE);
    assert_code(ent_tiles_append(5, leaves, SIZE_MAX, &reader, &writer, NULL), ENT_USAGE);
    memory_release(&tiles);
}

static void test_tile_hash__is_the_root_of_its_hashes(void **state)
{
    (void)state;
    ent_hash hashes[ENT_TILE_WIDTH];
    ent_hash hash;
    for (size_t i = 0; i < ENT_TILE_WIDTH; i++)
        hashes[i] = numbered_leaf((uint32_t)i);
    ent_hash wanted = simple_root(hashes, ENT_TILE_WIDTH);
    ent_tile_hash(hashes, &hash);
    assert_true(ent_hash_equal(&hash, &wanted));
    for (size_t count = 1; count <= ENT_TILE_WIDTH; count *= 2) {
        wanted = simple_root(hashes, count);
        ent_subtree_hash(hashes, count, &hash);
        assert_true(ent_hash_equal(&hash, &wanted));
    }
}

static void test_bundle__entries_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 256, 257, 16384, ENT_ENTRY_MAX_BYTES};
    uint8_t *entry = malloc(ENT_ENTRY_MAX_BYTES + 1);
    ent_buf bundle = {0};
    size_t count = 0;
    assert_non_null(entry);
    memset(entry, 0x5a, ENT_ENTRY_MAX_BYTES + 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_ok(ent_bundle_put(&bundle, ent_bytes_of(entry, sizes[i]), NULL));
    size_t before = bundle.size;
    assert_code(ent_bundle_put(&bundle, ent_bytes_of(entry, ENT_ENTRY_MAX_BYTES + 1), NULL), ENT_USAGE);
    assert_int_equal(bundle.size, before);
    assert_ok(ent_bundle_parse(ent_buf_bytes(&bundle), &count, NULL));
    assert_int_equal(count, sizeof sizes / sizeof *sizes);

    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
    bool more = true;
    for (size_t i = 0; i < count; i++) {
        ent_bytes taken;
        assert_ok(ent_bundle_next(&reader, &taken, &more, NULL));
        assert_true(more);
        assert_true(ent_bytes_equal(taken, ent_bytes_of(entry, sizes[i])));
    }
    ent_bytes untouched = {entry, 42};
    assert_ok(ent_bundle_next(&reader, &untouched, &more, NULL));
    assert_false(more);
    assert_int_equal(untouched.size, 42);
    ent_buf_release(&bundle);
    free(entry);
}

static void test_bundle__cut_anywhere_inside_an_entry_is_refused(void **state)
{
    (void)state;
    static const uint8_t bundle[] = {0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd'};
    for (size_t size = 0; size <= sizeof bundle; size++) {
        size_t count = 42;
        bool whole = size == 0 || size == 5 || size == 7 || size == 10;
        assert_code(ent_bundle_parse(ent_bytes_of(bundle, size), &count, NULL), whole ? ENT_OK : ENT_PEER_MALFORMED);
        assert_int_equal(count, !whole ? 42 : size == 0 ? 0 : size == 5 ? 1 : size == 7 ? 2 : 3);
    }
}

static void test_bundle_put__failed_allocation_adds_nothing(void **state)
{
    (void)state;
    uint8_t entry[100] = {0};
    ent_buf bundle = {0};
    ent_alloc_fail_at(2); /* the length fits, the entry does not */
    assert_code(ent_bundle_put(&bundle, ent_bytes_of(entry, sizeof entry), NULL), ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_int_equal(bundle.size, 0);
    ent_buf_release(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_path__known_paths_round_trip),
        cmocka_unit_test(test_tile_path__random_ids_round_trip),
        cmocka_unit_test(test_tile_path__other_spelling_is_refused),
        cmocka_unit_test(test_tile_path__longest_fits),
        cmocka_unit_test(test_tiles_append__any_batches_give_the_same_tiles),
        cmocka_unit_test(test_tiles_append__reads_only_what_becomes_full),
        cmocka_unit_test(test_tiles_append__failures_are_passed_on),
        cmocka_unit_test(test_tile_hash__is_the_root_of_its_hashes),
        cmocka_unit_test(test_bundle__entries_round_trip),
        cmocka_unit_test(test_bundle__cut_anywhere_inside_an_entry_is_refused),
        cmocka_unit_test(test_bundle_put__failed_allocation_adds_nothing),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
