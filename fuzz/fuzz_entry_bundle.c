/* A bundle that parses is written again as it was; the tree over its entries keeps its right edge in writing. */
#include "log/tree.h"

#include "check.h"

/* The input as a stored right edge: its first byte gives the size. */
static void check_raw_edge(ent_bytes bytes)
{
    ent_tree tree;
    ent_buf again = {0};
    if (bytes.size == 0)
        return;
    ent_bytes edge = {bytes.data + 1, bytes.size - 1};
    if (ent_tree_edge_parse(bytes.data[0], edge, &tree, NULL).code == ENT_OK) {
        ent_tree_edge_put(&again, &tree);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), edge));
    }
    ent_buf_release(&again);
}

static void check_edge(const ent_tree *tree)
{
    ent_tree parsed;
    ent_hash root;
    ent_hash parsed_root;
    ent_buf edge = {0};
    ent_tree_edge_put(&edge, tree);
    CHECK(ent_tree_edge_parse(tree->size, ent_buf_bytes(&edge), &parsed, NULL).code == ENT_OK);
    ent_tree_root(tree, &root);
    ent_tree_root(&parsed, &parsed_root);
    CHECK(ent_hash_equal(&root, &parsed_root));
    ent_buf_release(&edge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bundle = {data, size};
    ent_bundle_reader reader = ent_bundle_read(bundle);
    ent_tree tree = {0};
    ent_buf again = {0};
    size_t count = 0;
    bool valid = ent_bundle_parse(bundle, &count, NULL).code == ENT_OK;
    bool more = true;
    check_raw_edge(bundle);
    for (;;) {
        ent_bytes entry;
        ent_hash leaf;
        if (ent_bundle_next(&reader, &entry, &more, NULL).code != ENT_OK) {
            CHECK(!valid);
            break;
        }
        if (!more)
            break;
        CHECK(ent_bundle_put(&again, entry, NULL).code == ENT_OK);
        ent_leaf_hash(entry, &leaf);
        CHECK(ent_tree_append(&tree, &leaf, NULL).code == ENT_OK);
    }
    CHECK(valid == !more);
    if (valid) {
        CHECK(tree.size == count);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), bundle));
        check_edge(&tree);
    }
    ent_buf_release(&again);
    return 0;
}
