#include "fixture.h"

/* The leaves, roots and proofs that every RFC 6962 implementation tests with (certificate-transparency,
 * merkletree/merkle_tree_test.cc). */
static const char *const known_entries[] = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
};
static const char *const known_roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static ent_hash known_leaf(size_t index)
{
    uint8_t entry[16];
    size_t size = strlen(known_entries[index]) / 2;
    ent_hash leaf;
    assert_ok(ent_hex_decode(ent_text_of(known_entries[index]), entry, size, NULL));
    ent_leaf_hash(ent_bytes_of(entry, size), &leaf);
    return leaf;
}

static void fill_known(memory_tiles *tiles)
{
    const ent_tile_reader reader = memory_reader(tiles);
    const ent_tile_writer writer = memory_writer(tiles);
    for (size_t i = 0; i < 8; i++) {
        ent_hash leaf = known_leaf(i);
        assert_ok(ent_tiles_append(i, &leaf, 1, &reader, &writer, NULL));
    }
}

static ent_tree_head head_at(memory_tiles *tiles, uint64_t size)
{
    const ent_tile_reader reader = memory_reader(tiles);
    ent_tree_head head = {.size = size};
    assert_ok(ent_tree_root_at(size, &reader, &head.root, NULL));
    return head;
}

static void test_tree__published_roots(void **state)
{
    (void)state;
    ent_tree tree = {0};
    memory_tiles tiles = {0};
    fill_known(&tiles);
    for (size_t size = 0; size <= 8; size++) {
        ent_hash root;
        ent_tree_root(&tree, &root);
        assert_hash(&root, known_roots[size]);
        ent_tree_head head = head_at(&tiles, size);
        assert_hash(&head.root, known_roots[size]);
        if (size < 8) {
            ent_hash leaf = known_leaf(size);
            assert_ok(ent_tree_append(&tree, &leaf, NULL));
        }
    }
    memory_release(&tiles);
}

static void assert_proof(const ent_tree_proof *proof, const char *const *wanted, size_t count)
{
    assert_int_equal(proof->count, count);
    for (size_t i = 0; i < count; i++)
        assert_hash(&proof->hashes[i], wanted[i]);
}

static void test_tree__published_inclusion_proofs(void **state)
{
    (void)state;
    static const struct {
        uint64_t index;
        uint64_t size;
        size_t count;
        const char *hashes[3];
    } known[] = {
        {0, 1, 0, {NULL}},
        {0,
         8,
         3,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
        {5,
         8,
         3,
         {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
        {2, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
        {1,
         5,
         3,
         {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
    };
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    fill_known(&tiles);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ent_tree_proof proof;
        ent_hash leaf = known_leaf((size_t)known[i].index);
        ent_tree_head head = head_at(&tiles, known[i].size);
        assert_ok(ent_inclusion_prove(known[i].index, known[i].size, &reader, &proof, NULL));
        assert_proof(&proof, known[i].hashes, known[i].count);
        assert_int_equal(ent_inclusion_verify(known[i].index, &leaf, &head, &proof), ENT_PROOF_VALID);
    }
    memory_release(&tiles);
}

static void test_tree__published_consistency_proofs(void **state)
{
    (void)state;
    static const struct {
        uint64_t old_size;
        uint64_t size;
        size_t count;
        const char *hashes[3];
    } known[] = {
        {1, 1, 0, {NULL}},
        {1,
         8,
         3,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
        {6,
         8,
         3,
         {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
        {2,
         5,
         2,
         {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
    };
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    fill_known(&tiles);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ent_tree_proof proof;
        ent_tree_head old_head = head_at(&tiles, known[i].old_size);
        ent_tree_head head = head_at(&tiles, known[i].size);
        assert_ok(ent_consistency_prove(known[i].old_size, known[i].size, &reader, &proof, NULL));
        assert_proof(&proof, known[i].hashes, known[i].count);
        assert_int_equal(ent_consistency_verify(&old_head, &head, &proof), ENT_PROOF_VALID);
    }
    memory_release(&tiles);
}

/* Roots computed by another implementation (Python, hashlib). */
static void test_tree__roots_of_other_implementation(void **state)
{
    (void)state;
    ent_tree tree = {0};
    ent_hash root;
    memory_tiles tiles = {0};
    memory_grow(&tiles, 70000);
    for (uint32_t i = 0; i < 70000; i++) {
        ent_hash leaf = numbered_leaf(i);
        assert_ok(ent_tree_append(&tree, &leaf, NULL));
        ent_tree_root(&tree, &root);
        if (i + 1 == 1000)
            assert_hash(&root, "ed58fe22105717ceedf760a43eedfb173a60c44ef40fd61b6cd86bd4ebb59b61");
        if (i + 1 == 65536)
            assert_hash(&root, "208bed836edee10551d1a0208e22c9eead1a59c4c33abeb697eb60132f61a798");
    }
    assert_hash(&root, "339ecf3ae716405fdc28cef164e45a785cade0d5bc3e1400a7a4d70d0b2dec9b");
    ent_tree_head head = head_at(&tiles, 70000);
    assert_true(ent_hash_equal(&head.root, &root));
    memory_release(&tiles);
}

static void test_tree__every_size_to_600_has_the_simple_root(void **state)
{
    (void)state;
    enum { SIZE = 600 };
    ent_hash leaves[SIZE];
    ent_tree tree = {0};
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    memory_grow(&tiles, SIZE);
    for (uint32_t size = 0; size <= SIZE; size++) {
        ent_hash root;
        ent_tree rebuilt;
        ent_tree parsed;
        ent_buf edge = {0};
        ent_hash wanted = simple_root(leaves, size);
        ent_tree_root(&tree, &root);
        assert_true(ent_hash_equal(&root, &wanted));
        ent_tree_head head = head_at(&tiles, size);
        assert_true(ent_hash_equal(&head.root, &wanted));
        assert_ok(ent_tree_at(size, &reader, &rebuilt, NULL));
        assert_int_equal(rebuilt.size, size);
        assert_memory_equal(rebuilt.edge, tree.edge, ent_tree_edge_count(size) * sizeof(ent_hash));
        ent_tree_edge_put(&edge, &tree);
        assert_int_equal(edge.size, ent_tree_edge_count(size) * ENT_HASH_SIZE);
        assert_ok(ent_tree_edge_parse(size, ent_buf_bytes(&edge), &parsed, NULL));
        assert_memory_equal(&parsed, &rebuilt, sizeof parsed);
        ent_buf_release(&edge);
        if (size < SIZE) {
            leaves[size] = numbered_leaf(size);
            assert_ok(ent_tree_append(&tree, &leaves[size], NULL));
        }
    }
    memory_release(&tiles);
}

/* A valid proof with any hash changed, one taken away or one added, or for another leaf or place, is invalid. */
static void assert_inclusion(memory_tiles *tiles, uint32_t index, uint32_t size)
{
    const ent_tile_reader reader = memory_reader(tiles);
    const ent_tree_head head = head_at(tiles, size);
    ent_hash leaf = numbered_leaf(index);
    ent_tree_proof proof;
    assert_ok(ent_inclusion_prove(index, size, &reader, &proof, NULL));
    assert_int_equal(ent_inclusion_verify(index, &leaf, &head, &proof), ENT_PROOF_VALID);

    ent_tree_head wrong_root = head;
    wrong_root.root.bytes[31] ^= 1;
    assert_int_equal(ent_inclusion_verify(index, &leaf, &wrong_root, &proof), ENT_PROOF_INVALID);
    ent_hash wrong_leaf = leaf;
    wrong_leaf.bytes[0] ^= 0x80;
    assert_int_equal(ent_inclusion_verify(index, &wrong_leaf, &head, &proof), ENT_PROOF_INVALID);
    assert_int_equal(ent_inclusion_verify((uint64_t)index + 1, &leaf, &head, &proof), ENT_PROOF_INVALID);
    assert_int_equal(ent_inclusion_verify((uint64_t)index - 1, &leaf, &head, &proof), ENT_PROOF_INVALID);
    for (size_t i = 0; i < proof.count; i++) {
        ent_tree_proof changed = proof;
        changed.hashes[i].bytes[i % 32] ^= 4;
        assert_int_equal(ent_inclusion_verify(index, &leaf, &head, &changed), ENT_PROOF_INVALID);
    }
    ent_tree_proof other = proof;
    if (other.count > 0) {
        other.count--;
        assert_int_equal(ent_inclusion_verify(index, &leaf, &head, &other), ENT_PROOF_INVALID);
        other.count++;
    }
    other.hashes[other.count++] = head.root;
    assert_int_equal(ent_inclusion_verify(index, &leaf, &head, &other), ENT_PROOF_INVALID);
}

static void assert_consistency(memory_tiles *tiles, uint32_t old_size, uint32_t size)
{
    const ent_tile_reader reader = memory_reader(tiles);
    const ent_tree_head old_head = head_at(tiles, old_size);
    const ent_tree_head head = head_at(tiles, size);
    ent_tree_proof proof;
    assert_ok(ent_consistency_prove(old_size, size, &reader, &proof, NULL));
    assert_int_equal(ent_consistency_verify(&old_head, &head, &proof), ENT_PROOF_VALID);
    if (old_size == 0 || old_size == size)
        assert_int_equal(proof.count, 0);

    ent_tree_head wrong = head;
    wrong.root.bytes[3] ^= 1;
    if (old_size > 0) {
        assert_int_equal(ent_consistency_verify(&old_head, &wrong, &proof), ENT_PROOF_INVALID);
        wrong = old_head;
        wrong.root.bytes[3] ^= 1;
        assert_int_equal(ent_consistency_verify(&wrong, &head, &proof), ENT_PROOF_INVALID);
    }
    for (size_t i = 0; i < proof.count; i++) {
        ent_tree_proof changed = proof;
        changed.hashes[i].bytes[i % 32] ^= 4;
        assert_int_equal(ent_consistency_verify(&old_head, &head, &changed), ENT_PROOF_INVALID);
    }
    ent_tree_proof other = proof;
    if (other.count > 0) {
        other.count--;
        assert_int_equal(ent_consistency_verify(&old_head, &head, &other), ENT_PROOF_INVALID);
        other.count++;
    }
    other.hashes[other.count++] = head.root;
    assert_int_equal(ent_consistency_verify(&old_head, &head, &other), ENT_PROOF_INVALID);
    if (old_size < size)
        assert_int_equal(ent_consistency_verify(&head, &old_head, &proof), ENT_PROOF_INVALID);
}

static void test_tree__proofs_at_every_place_of_small_trees(void **state)
{
    (void)state;
    enum { SIZE = 40 };
    memory_tiles tiles = {0};
    memory_grow(&tiles, SIZE);
    for (uint32_t size = 0; size <= SIZE; size++) {
        for (uint32_t at = 0; at <= size; at++) {
            if (at < size)
                assert_inclusion(&tiles, at, size);
            assert_consistency(&tiles, at, size);
        }
    }
    memory_release(&tiles);
}

static void test_tree__proofs_at_every_size_to_600(void **state)
{
    (void)state;
    enum { SIZE = 600 };
    memory_tiles tiles = {0};
    uint64_t random = 5;
    memory_grow(&tiles, SIZE);
    for (uint32_t size = 1; size <= SIZE; size++) {
        assert_inclusion(&tiles, 0, size);
        assert_inclusion(&tiles, size - 1, size);
        assert_consistency(&tiles, size - 1, size);
        assert_consistency(&tiles, size, size);
        for (size_t i = 0; i < 3; i++) {
            assert_inclusion(&tiles, (uint32_t)(next_random(&random) % size), size);
            assert_consistency(&tiles, (uint32_t)(next_random(&random) % (size + 1)), size);
        }
    }
    memory_release(&tiles);
}

static void test_tree__proofs_at_random_places_of_large_trees(void **state)
{
    (void)state;
    enum { SIZE = 140000 };
    static const uint32_t sizes[] = {255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 65792, 131072, SIZE};
    memory_tiles tiles = {0};
    uint64_t random = 6;
    memory_grow(&tiles, SIZE);
    for (size_t i = 0; i < 300; i++) {
        uint32_t size = i < 60 ? sizes[i % 12] : (uint32_t)(1 + next_random(&random) % SIZE);
        assert_inclusion(&tiles, (uint32_t)(next_random(&random) % size), size);
        assert_consistency(&tiles, (uint32_t)(next_random(&random) % (size + 1)), size);
        /* A tile holds more than an older, smaller tree had: its proofs must not change. */
        if (size > 600)
            assert_inclusion(&tiles, (uint32_t)(next_random(&random) % 600), 600);
    }
    memory_release(&tiles);
}

/* A log whose leaves are all alike: its tiles can be given for any size. */
typedef struct {
    ent_hash levels[7];
    size_t reads;
    uint64_t size;
} uniform_log;

static ent_rc uniform_read(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                           ent_err *err)
{
    uniform_log *log = context;
    (void)err;
    log->reads++;
    assert_in_range(level, 0, 6);
    /* exactly the tile of that size, full or partial, and never an empty one */
    uint64_t left = (log->size >> (8 * level)) - index * ENT_TILE_WIDTH;
    assert_int_equal(width, left < ENT_TILE_WIDTH ? left : ENT_TILE_WIDTH);
    assert_int_not_equal(width, 0);
    for (size_t i = 0; i < width; i++)
        ret_hashes[i] = log->levels[level];
    return ENT_DONE;
}

static void test_tree__proofs_of_the_largest_logs_read_few_tiles(void **state)
{
    (void)state;
    uniform_log log = {0};
    const ent_tile_reader reader = {uniform_read, &log};
    log.levels[0] = numbered_leaf(0);
    for (size_t level = 1; level < 7; level++) {
        ent_hash hash = log.levels[level - 1];
        for (size_t i = 0; i < 8; i++)
            ent_node_hash(&hash, &hash, &hash);
        log.levels[level] = hash;
    }
    uint64_t random = 8;
    for (size_t i = 0; i < 300; i++) {
        uint64_t size = i == 0   ? ENT_LOG_MAX_SIZE
                        : i == 1 ? ENT_LOG_MAX_SIZE - 1
                                 : (next_random(&random) >> 11 >> next_random(&random) % 50) + 1;
        uint64_t index = i == 1 ? size - 1 : next_random(&random) % size;
        uint64_t old_size = i == 1 ? 1 : next_random(&random) % (size + 1);
        ent_tree_head head = {.size = size};
        ent_tree_head old_head = {.size = old_size};
        ent_tree_proof proof;
        log.size = old_size;
        assert_ok(ent_tree_root_at(old_size, &reader, &old_head.root, NULL));
        log.size = size;
        assert_ok(ent_tree_root_at(size, &reader, &head.root, NULL));
        log.reads = 0;
        assert_ok(ent_inclusion_prove(index, size, &reader, &proof, NULL));
        assert_int_equal(ent_inclusion_verify(index, &log.levels[0], &head, &proof), ENT_PROOF_VALID);
        assert_in_range(log.reads, 0, 15);
        log.reads = 0;
        assert_ok(ent_consistency_prove(old_size, size, &reader, &proof, NULL));
        assert_int_equal(ent_consistency_verify(&old_head, &head, &proof), ENT_PROOF_VALID);
        assert_in_range(log.reads, 0, 15);
    }
}

static void test_tree_append__full_log_is_refused(void **state)
{
    (void)state;
    ent_tree tree = {.size = ENT_LOG_MAX_SIZE - 1};
    ent_hash leaf = numbered_leaf(1);
    assert_int_equal(ent_tree_edge_count(tree.size), 53);
    assert_ok(ent_tree_append(&tree, &leaf, NULL));
    assert_true(tree.size == ENT_LOG_MAX_SIZE);
    const ent_tree full = tree;
    assert_code(ent_tree_append(&tree, &leaf, NULL), ENT_USAGE);
    assert_memory_equal(&tree, &full, sizeof tree);
}

static void test_tree_edge_parse__wrong_size_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[54 * 32 + 1] = {0};
    ent_tree tree = {.size = 42};
    assert_code(ent_tree_edge_parse(0, ent_bytes_of(bytes, 32), &tree, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_tree_edge_parse(7, ent_bytes_of(bytes, 64), &tree, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_tree_edge_parse(7, ent_bytes_of(bytes, 97), &tree, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_tree_edge_parse(7, ent_bytes_of(bytes, 128), &tree, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_tree_edge_parse(ENT_LOG_MAX_SIZE + 1, ent_bytes_of(bytes, 64), &tree, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_tree_edge_parse(UINT64_MAX, ent_bytes_of(bytes, sizeof bytes), &tree, NULL), ENT_PEER_MALFORMED);
    assert_int_equal(tree.size, 42);
    assert_ok(ent_tree_edge_parse(ENT_LOG_MAX_SIZE, ent_bytes_of(bytes, 32), &tree, NULL));
    assert_ok(ent_tree_edge_parse(0, (ent_bytes){NULL, 0}, &tree, NULL));
}

static void test_tree__senseless_requests_are_refused(void **state)
{
    (void)state;
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    ent_tree_proof proof = {.count = 42};
    ent_hash root;
    ent_tree tree;
    memory_grow(&tiles, 10);
    assert_code(ent_inclusion_prove(10, 10, &reader, &proof, NULL), ENT_USAGE);
    assert_code(ent_inclusion_prove(0, 0, &reader, &proof, NULL), ENT_USAGE);
    assert_code(ent_inclusion_prove(0, ENT_LOG_MAX_SIZE + 1, &reader, &proof, NULL), ENT_USAGE);
    assert_code(ent_consistency_prove(10, 9, &reader, &proof, NULL), ENT_USAGE);
    assert_code(ent_consistency_prove(1, ENT_LOG_MAX_SIZE + 1, &reader, &proof, NULL), ENT_USAGE);
    assert_code(ent_tree_root_at(ENT_LOG_MAX_SIZE + 1, &reader, &root, NULL), ENT_USAGE);
    assert_code(ent_tree_at(UINT64_MAX, &reader, &tree, NULL), ENT_USAGE);
    assert_int_equal(proof.count, 42);
    memory_release(&tiles);
}

static void test_tree__reader_failure_is_passed_on(void **state)
{
    (void)state;
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    memory_grow(&tiles, 70000);
    size_t failures = 0;
    for (size_t fail_at = 1; fail_at < 10; fail_at++) {
        ent_tree_proof proof = {.count = 42};
        ent_hash root = {{1}};
        tiles.writes = 0;
        tiles.reads = 0;
        tiles.fail_at = fail_at;
        ent_rc rc = ent_inclusion_prove(3, 70000, &reader, &proof, NULL);
        if (rc.code != ENT_OK) {
            assert_int_equal(rc.code, ENT_IO);
            assert_int_equal(proof.count, 42);
            failures++;
        }
        proof.count = 42;
        tiles.reads = 0;
        rc = ent_consistency_prove(60001, 70000, &reader, &proof, NULL);
        if (rc.code != ENT_OK)
            assert_int_equal(proof.count, 42);
        tiles.reads = 0;
        rc = ent_tree_root_at(70000, &reader, &root, NULL);
        if (rc.code != ENT_OK)
            assert_int_equal(root.bytes[0], 1);
    }
    assert_true(failures >= 3);
    memory_release(&tiles);
}

static void test_verify__edge_cases(void **state)
{
    (void)state;
    const ent_tree_proof empty = {.count = 0};
    ent_tree_proof one = {.count = 1};
    ent_tree_proof absurd = {.count = ENT_PROOF_MAX_HASHES + 1};
    ent_hash leaf = numbered_leaf(0);
    ent_tree_head none = {.size = 0};
    ent_tree_head single = {.size = 1, .root = leaf};
    ent_tree_head huge = {.size = UINT64_MAX, .root = leaf};
    ent_empty_root(&none.root);
    assert_int_equal(ent_inclusion_verify(0, &leaf, &none, &empty), ENT_PROOF_INVALID);
    assert_int_equal(ent_inclusion_verify(0, &leaf, &single, &empty), ENT_PROOF_VALID);
    assert_int_equal(ent_inclusion_verify(0, &leaf, &single, &one), ENT_PROOF_INVALID);
    assert_int_equal(ent_inclusion_verify(0, &leaf, &single, &absurd), ENT_PROOF_INVALID);
    assert_int_equal(ent_inclusion_verify(UINT64_MAX - 1, &leaf, &huge, &one), ENT_PROOF_INVALID);

    /* equal sizes: an empty proof and equal roots */
    assert_int_equal(ent_consistency_verify(&single, &single, &empty), ENT_PROOF_VALID);
    assert_int_equal(ent_consistency_verify(&single, &single, &one), ENT_PROOF_INVALID);
    assert_int_equal(ent_consistency_verify(&none, &none, &empty), ENT_PROOF_VALID);
    ent_tree_head other = single;
    other.root.bytes[0] ^= 1;
    assert_int_equal(ent_consistency_verify(&single, &other, &empty), ENT_PROOF_INVALID);
    /* old size 0: an empty proof */
    assert_int_equal(ent_consistency_verify(&none, &single, &empty), ENT_PROOF_VALID);
    assert_int_equal(ent_consistency_verify(&none, &single, &one), ENT_PROOF_INVALID);
    assert_int_equal(ent_consistency_verify(&single, &none, &empty), ENT_PROOF_INVALID);
    /* "If consistency_path is an empty array, stop and fail the proof verification." */
    ent_tree_head two = {.size = 2, .root = leaf};
    ent_tree_head three = {.size = 3, .root = leaf};
    ent_tree_head four = {.size = 4, .root = leaf};
    assert_int_equal(ent_consistency_verify(&two, &four, &empty), ENT_PROOF_INVALID);
    assert_int_equal(ent_consistency_verify(&three, &four, &empty), ENT_PROOF_INVALID);
    assert_int_equal(ent_consistency_verify(&three, &huge, &absurd), ENT_PROOF_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__published_roots),
        cmocka_unit_test(test_tree__published_inclusion_proofs),
        cmocka_unit_test(test_tree__published_consistency_proofs),
        cmocka_unit_test(test_tree__roots_of_other_implementation),
        cmocka_unit_test(test_tree__every_size_to_600_has_the_simple_root),
        cmocka_unit_test(test_tree__proofs_at_every_place_of_small_trees),
        cmocka_unit_test(test_tree__proofs_at_every_size_to_600),
        cmocka_unit_test(test_tree__proofs_at_random_places_of_large_trees),
        cmocka_unit_test(test_tree__proofs_of_the_largest_logs_read_few_tiles),
        cmocka_unit_test(test_tree_append__full_log_is_refused),
        cmocka_unit_test(test_tree_edge_parse__wrong_size_is_refused),
        cmocka_unit_test(test_tree__senseless_requests_are_refused),
        cmocka_unit_test(test_tree__reader_failure_is_passed_on),
        cmocka_unit_test(test_verify__edge_cases),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
