#include "fixture.h"

#include "log/fork.h"

#define ORIGIN "north.example/entente/00"

/* Two trees that are alike up to an entry and differ from there on, and the log's key. */
typedef struct {
    ent_public_key key;
    ent_secret_key secret;
    ent_hash leaves[2][600];
} world;

static void start_world(world *at, size_t alike)
{
    fixed_key(7, &at->key, &at->secret);
    for (size_t i = 0; i < 600; i++) {
        at->leaves[0][i] = numbered_leaf((uint32_t)i);
        at->leaves[1][i] = numbered_leaf((uint32_t)(i < alike ? i : i + 100000));
    }
}

static void sign_by(const ent_secret_key *secret, const ent_hash *leaves, uint64_t size, ent_buf *ret)
{
    ent_tree_head head = {.size = size, .root = simple_root(leaves, (size_t)size)};
    assert_ok(ent_checkpoint_sign(ENT_TEXT(ORIGIN), &head, secret, ret, NULL));
}

static void fill(memory_tiles *tiles, const ent_hash *leaves, size_t count)
{
    const ent_tile_reader reader = memory_reader(tiles);
    const ent_tile_writer writer = memory_writer(tiles);
    assert_ok(ent_tiles_append(0, leaves, count, &reader, &writer, NULL));
}

static ent_rc make(const world *at, const ent_buf *small, const ent_buf *large, const ent_fork_path *path, ent_buf *ret)
{
    const ent_bytes notes[2] = {ent_buf_bytes(large), ent_buf_bytes(small)}; /* in the wrong order */
    return ent_fork_proof_make(ENT_TEXT(ORIGIN), &at->key, 1, notes, path, ret, NULL);
}

static ent_fork_verdict verdict_of(ent_bytes bytes)
{
    ent_fork_proof proof;
    assert_ok(ent_fork_proof_parse(bytes, &proof, NULL));
    ent_fork_verdict verdict = ent_fork_proof_verify(&proof);
    ent_buf again = {0};
    ent_fork_proof_put(&again, &proof);
    assert_true(ent_bytes_equal(ent_buf_bytes(&again), bytes));
    ent_buf_release(&again);
    ent_fork_proof_release(&proof);
    return verdict;
}

/* One pair of sizes: the smaller head over the first tree, the larger over the second one. */
static void check_pair(const world *at, size_t alike, uint64_t small, uint64_t large)
{
    memory_tiles tiles = {0};
    ent_buf notes[2] = {0};
    ent_buf proof = {0};
    ent_fork_path path;
    fill(&tiles, at->leaves[1], (size_t)large);
    const ent_tile_reader reader = memory_reader(&tiles);
    sign_by(&at->secret, at->leaves[0], small, &notes[0]);
    sign_by(&at->secret, at->leaves[1], large, &notes[1]);
    assert_ok(ent_fork_path_prove(small, large, &reader, &path, NULL));
    ent_rc rc = make(at, &notes[0], &notes[1], &path, &proof);
    assert_int_equal(rc.code, small > alike ? ENT_OK : ENT_PEER_INCONSISTENT);
    if (rc.code == ENT_OK)
        assert_int_equal(verdict_of(ent_buf_bytes(&proof)), ENT_FORK_PROVEN);
    /* Every hash of the path counts, and so does their number. */
    for (size_t i = 0; rc.code == ENT_OK && i < path.count; i++) {
        ent_fork_path wrong = path;
        wrong.hashes[i].bytes[i % 32] ^= 1;
        assert_code(make(at, &notes[0], &notes[1], &wrong, &proof), ENT_PEER_INCONSISTENT);
    }
    path.count--;
    assert_code(make(at, &notes[0], &notes[1], &path, &proof), ENT_PEER_INCONSISTENT);
    path.count += 2;
    path.hashes[path.count - 1] = path.hashes[0];
    assert_code(make(at, &notes[0], &notes[1], &path, &proof), ENT_PEER_INCONSISTENT);
    ent_buf_release(&proof);
    ent_buf_release(&notes[0]);
    ent_buf_release(&notes[1]);
    memory_release(&tiles);
}

static void test_fork__two_sizes_are_proven_where_the_trees_differ(void **state)
{
    (void)state;
    static const uint64_t large[] = {2, 3, 7, 8, 9, 16, 33, 255, 256, 257, 300};
    static world at;
    for (size_t alike = 0; alike < 9; alike += 4) {
        start_world(&at, alike);
        for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
            for (uint64_t small = 1; small < large[i]; small += small < 18 ? 1 : 37)
                check_pair(&at, alike, small, large[i]);
        }
    }
}

static void test_fork__one_size_with_two_roots_is_proven(void **state)
{
    (void)state;
    static world at;
    ent_buf notes[2] = {0};
    ent_buf proof = {0};
    start_world(&at, 3);
    sign_by(&at.secret, at.leaves[0], 5, &notes[0]);
    sign_by(&at.secret, at.leaves[1], 5, &notes[1]);
    assert_ok(make(&at, &notes[0], &notes[1], NULL, &proof));
    assert_int_equal(verdict_of(ent_buf_bytes(&proof)), ENT_FORK_PROVEN);
    assert_code(make(&at, &notes[0], &notes[0], NULL, &proof), ENT_PEER_INCONSISTENT);
    ent_buf_release(&proof);
    ent_buf_release(&notes[0]);
    ent_buf_release(&notes[1]);
}

/* The same key under another origin, another key, a key that signed nothing. */
static void test_fork__heads_of_another_key_prove_nothing(void **state)
{
    (void)state;
    static world at;
    ent_public_key keys[3];
    ent_secret_key secrets[3];
    ent_buf notes[2] = {0};
    ent_buf proof = {0};
    start_world(&at, 0);
    for (size_t i = 0; i < 3; i++)
        fixed_key((uint8_t)(7 + 32 * i), &keys[i], &secrets[i]);
    sign_by(&secrets[0], at.leaves[0], 5, &notes[0]);
    sign_by(&secrets[1], at.leaves[1], 5, &notes[1]);
    const ent_bytes both[2] = {ent_buf_bytes(&notes[0]), ent_buf_bytes(&notes[1])};
    assert_code(ent_fork_proof_make(ENT_TEXT(ORIGIN), keys, 1, both, NULL, &proof, NULL), ENT_PEER_INCONSISTENT);
    assert_code(ent_fork_proof_make(ENT_TEXT("south.example/entente/00"), keys, 2, both, NULL, &proof, NULL),
                ENT_PEER_MALFORMED);
    /* Keys of two times of one log: both are named; one that signed neither is not. */
    assert_ok(ent_fork_proof_make(ENT_TEXT(ORIGIN), keys, 3, both, NULL, &proof, NULL));
    ent_fork_proof parsed;
    assert_ok(ent_fork_proof_parse(ent_buf_bytes(&proof), &parsed, NULL));
    assert_int_equal(parsed.key_count, 2);
    assert_int_equal(ent_fork_proof_verify(&parsed), ENT_FORK_PROVEN);
    parsed.keys[0].key = keys[2]; /* a forger names his own */
    assert_int_equal(ent_fork_proof_verify(&parsed), ENT_FORK_NOT_SIGNED);
    parsed.keys[0].key = keys[0];
    parsed.key_count = 1;
    assert_int_equal(ent_fork_proof_verify(&parsed), ENT_FORK_NOT_SIGNED);
    ent_fork_proof_release(&parsed);
    ent_buf_release(&proof);
    ent_buf_release(&notes[0]);
    ent_buf_release(&notes[1]);
}

/* A proof of two sizes, and where its parts lie. */
static void one_proof(world *at, ent_buf *ret)
{
    memory_tiles tiles = {0};
    ent_buf notes[2] = {0};
    ent_fork_path path;
    start_world(at, 2);
    fill(&tiles, at->leaves[1], 9);
    const ent_tile_reader reader = memory_reader(&tiles);
    sign_by(&at->secret, at->leaves[0], 4, &notes[0]);
    sign_by(&at->secret, at->leaves[1], 9, &notes[1]);
    assert_ok(ent_fork_path_prove(4, 9, &reader, &path, NULL));
    assert_ok(make(at, &notes[0], &notes[1], &path, ret));
    ent_buf_release(&notes[0]);
    ent_buf_release(&notes[1]);
    memory_release(&tiles);
}

static void test_fork__every_changed_byte_is_refused(void **state)
{
    (void)state;
    static world at;
    ent_buf good = {0};
    one_proof(&at, &good);
    assert_int_equal(verdict_of(ent_buf_bytes(&good)), ENT_FORK_PROVEN);
    for (size_t i = 0; i < good.size; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            good.data[i] ^= (uint8_t)(1U << bit);
            ent_fork_proof proof;
            ent_rc rc = ent_fork_proof_parse(ent_buf_bytes(&good), &proof, NULL);
            if (rc.code == ENT_OK) {
                assert_int_not_equal(ent_fork_proof_verify(&proof), ENT_FORK_PROVEN);
                ent_fork_proof_release(&proof);
            }
            good.data[i] ^= (uint8_t)(1U << bit);
        }
    }
    for (size_t size = 0; size < good.size; size++) {
        ent_fork_proof proof;
        assert_code(ent_fork_proof_parse(ent_bytes_of(good.data, size), &proof, NULL), ENT_PEER_MALFORMED);
    }
    ent_buf_put_u8(&good, '\n');
    ent_fork_proof proof;
    assert_code(ent_fork_proof_parse(ent_buf_bytes(&good), &proof, NULL), ENT_PEER_MALFORMED);
    ent_buf_release(&good);
}

static void test_fork__malformed_is_refused(void **state)
{
    (void)state;
    static world at;
    ent_buf good = {0};
    ent_fork_proof proof;
    one_proof(&at, &good);
    assert_ok(ent_fork_proof_parse(ent_buf_bytes(&good), &proof, NULL));
    ent_fork_proof other = proof;
    other.note_bytes[0] = proof.note_bytes[1];
    other.note_bytes[1] = proof.note_bytes[0];
    ent_buf bad = {0};
    ent_fork_proof_put(&bad, &other); /* the larger head first */
    assert_code(ent_fork_proof_parse(ent_buf_bytes(&bad), &other, NULL), ENT_PEER_MALFORMED);
    ent_buf_clear(&bad);
    other = proof;
    other.key_count = 0;
    ent_fork_proof_put(&bad, &other);
    assert_code(ent_fork_proof_parse(ent_buf_bytes(&bad), &other, NULL), ENT_PEER_MALFORMED);
    ent_buf_clear(&bad);
    other = proof;
    other.keys[0] = fixed_vkey(ORIGIN, ENT_KEY_COSIGNATURE, 7);
    ent_fork_proof_put(&bad, &other);
    assert_code(ent_fork_proof_parse(ent_buf_bytes(&bad), &other, NULL), ENT_PEER_MALFORMED);
    ent_buf_clear(&bad);
    other = proof;
    other.note_bytes[0] = proof.note_bytes[1]; /* one size, and a path */
    ent_fork_proof_put(&bad, &other);
    assert_code(ent_fork_proof_parse(ent_buf_bytes(&bad), &other, NULL), ENT_PEER_MALFORMED);
    while (bad.size <= ENT_FORK_PROOF_MAX_BYTES)
        ent_buf_put_u8(&bad, '\n');
    assert_code(ent_fork_proof_parse(ent_buf_bytes(&bad), &other, NULL), ENT_PEER_TOO_LARGE);
    ent_buf_release(&bad);
    ent_fork_proof_release(&proof);
    ent_buf_release(&good);
}

static void test_fork_path__without_a_smaller_tree_is_refused(void **state)
{
    (void)state;
    memory_tiles tiles = {0};
    ent_fork_path path;
    memory_grow(&tiles, 4);
    const ent_tile_reader reader = memory_reader(&tiles);
    assert_code(ent_fork_path_prove(0, 4, &reader, &path, NULL), ENT_USAGE);
    assert_code(ent_fork_path_prove(4, 4, &reader, &path, NULL), ENT_USAGE);
    assert_code(ent_fork_path_prove(5, 4, &reader, &path, NULL), ENT_USAGE);
    memory_release(&tiles);
}

/* Stored up to somewhere, the rest in memory: the same as if all were stored. */
static void test_leaves_beyond__are_like_stored_ones(void **state)
{
    (void)state;
    static const size_t stored[] = {0, 1, 5, 255, 256, 257, 511, 512, 599};
    static world at;
    memory_tiles all = {0};
    start_world(&at, 600);
    fill(&all, at.leaves[0], 600);
    const ent_tile_reader whole = memory_reader(&all);
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        memory_tiles tiles = {0};
        if (stored[i] > 0)
            fill(&tiles, at.leaves[0], stored[i]);
        ent_leaves_beyond beyond = {memory_reader(&tiles), stored[i], at.leaves[0] + stored[i], 600 - stored[i]};
        const ent_tile_reader reader = ent_leaves_beyond_reader(&beyond);
        for (uint64_t size = 1; size <= 600; size += 59) {
            ent_hash wanted;
            ent_hash root;
            assert_ok(ent_tree_root_at(size, &whole, &wanted, NULL));
            assert_ok(ent_tree_root_at(size, &reader, &root, NULL));
            assert_true(ent_hash_equal(&root, &wanted));
        }
        ent_hash root;
        assert_code(ent_tree_root_at(601, &reader, &root, NULL), ENT_BUG);
        memory_release(&tiles);
    }
    memory_release(&all);
}

static void test_fork__failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    static world at;
    ent_buf good = {0};
    ent_fork_proof proof;
    one_proof(&at, &good);
    assert_ok(ent_fork_proof_parse(ent_buf_bytes(&good), &proof, NULL));
    const ent_bytes notes[2] = {proof.note_bytes[0], proof.note_bytes[1]};
    size_t failures = 0;
    for (unsigned long nth = 1;; nth++) {
        ent_fork_proof again = {0};
        ent_buf made = {0};
        ent_alloc_fail_at(nth);
        ent_rc parsed = ent_fork_proof_parse(ent_buf_bytes(&good), &again, NULL);
        ent_rc rc = ent_fork_proof_make(proof.origin, &at.key, 1, notes, &proof.path, &made, NULL);
        ent_alloc_fail_at(0);
        failures += parsed.code == ENT_NOMEM || rc.code == ENT_NOMEM;
        bool done = parsed.code == ENT_OK && rc.code == ENT_OK;
        assert_true(done || parsed.code == ENT_NOMEM || rc.code == ENT_NOMEM);
        ent_fork_proof_release(&again);
        ent_buf_release(&made);
        if (done)
            break;
    }
    assert_true(failures >= 4);
    ent_fork_proof_release(&proof);
    ent_buf_release(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork__two_sizes_are_proven_where_the_trees_differ),
        cmocka_unit_test(test_fork__one_size_with_two_roots_is_proven),
        cmocka_unit_test(test_fork__heads_of_another_key_prove_nothing),
        cmocka_unit_test(test_fork__every_changed_byte_is_refused),
        cmocka_unit_test(test_fork__malformed_is_refused),
        cmocka_unit_test(test_fork_path__without_a_smaller_tree_is_refused),
        cmocka_unit_test(test_leaves_beyond__are_like_stored_ones),
        cmocka_unit_test(test_fork__failed_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
