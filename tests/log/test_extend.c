/* A consistency proof from the right edge and the new leaves alone is the one that the tiles give. */
#include "fixture.h"

static void assert_same_proof(memory_tiles *tiles, uint64_t old_size, uint64_t size)
{
    const ent_tile_reader reader = memory_reader(tiles);
    ent_tree old_tree;
    ent_tree_proof known;
    ent_tree_proof proof;
    ent_hash *leaves = calloc((size_t)(size - old_size) + 1, sizeof *leaves);
    assert_non_null(leaves);
    for (uint64_t i = old_size; i < size; i++)
        leaves[i - old_size] = numbered_leaf((uint32_t)i);
    assert_ok(ent_tree_at(old_size, &reader, &old_tree, NULL));
    assert_ok(ent_consistency_prove(old_size, size, &reader, &known, NULL));
    assert_ok(ent_consistency_extend(&old_tree, leaves, (size_t)(size - old_size), &proof, NULL));
    assert_int_equal(proof.count, known.count);
    assert_memory_equal(proof.hashes, known.hashes, known.count * sizeof *known.hashes);
    free(leaves);
}

static void test_extend__every_pair_of_small_sizes_as_from_tiles(void **state)
{
    (void)state;
    memory_tiles tiles = {0};
    memory_grow(&tiles, 70);
    for (uint64_t size = 0; size <= 70; size++) {
        for (uint64_t old_size = 0; old_size <= size; old_size++)
            assert_same_proof(&tiles, old_size, size);
    }
    memory_release(&tiles);
}

static void test_extend__large_sizes_as_from_tiles(void **state)
{
    (void)state;
    memory_tiles tiles = {0};
    uint64_t random = 20261122;
    memory_grow(&tiles, 70000);
    for (int i = 0; i < 100; i++) {
        uint64_t old_size = next_random(&random) % 69000;
        assert_same_proof(&tiles, old_size, old_size + next_random(&random) % 1000);
    }
    assert_same_proof(&tiles, 65536, 70000);
    assert_same_proof(&tiles, 65535, 65536);
    memory_release(&tiles);
}

/* The largest log there can be: the proof is as long as proofs get, and verifies. */
static void test_extend__full_log_refused_one_before_taken(void **state)
{
    (void)state;
    ent_tree tree = {.size = ENT_LOG_MAX_SIZE - 1};
    ent_tree_head old_head = {.size = tree.size};
    ent_tree_head head = {.size = ENT_LOG_MAX_SIZE};
    ent_hash leaves[2] = {numbered_leaf(1), numbered_leaf(2)};
    ent_tree_proof proof;
    for (size_t i = 0; i < ent_tree_edge_count(tree.size); i++)
        tree.edge[i] = numbered_leaf((uint32_t)(100 + i));
    ent_tree_root(&tree, &old_head.root);
    assert_code(ent_consistency_extend(&tree, leaves, 2, &proof, NULL), ENT_USAGE);
    assert_ok(ent_consistency_extend(&tree, leaves, 1, &proof, NULL));
    assert_ok(ent_tree_append(&tree, &leaves[0], NULL));
    ent_tree_root(&tree, &head.root);
    assert_int_equal(ent_consistency_verify(&old_head, &head, &proof), ENT_PROOF_VALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend__every_pair_of_small_sizes_as_from_tiles),
        cmocka_unit_test(test_extend__large_sizes_as_from_tiles),
        cmocka_unit_test(test_extend__full_log_refused_one_before_taken),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
