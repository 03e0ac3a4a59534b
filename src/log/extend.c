#include "log/tree.h"

/* Index of the piece of the old edge that begins at this leaf. */
static size_t piece_at(const ent_tree *tree, uint64_t begin)
{
    size_t piece = 0;
    for (uint64_t left = tree->size; tree->size - left < begin; piece++)
        left -= (uint64_t)1 << (63 - __builtin_clzll(left));
    return piece;
}

/* MTH(D[begin:old size]): the pieces of the edge from there on, joined from the right. */
static void old_node(const ent_tree *tree, uint64_t begin, ent_hash *ret)
{
    size_t first = piece_at(tree, begin);
    size_t count = ent_tree_edge_count(tree->size);
    *ret = tree->edge[count - 1];
    for (size_t i = count - 1; i > first; i--)
        ent_node_hash(&tree->edge[i - 1], ret, ret);
}

/* MTH of a node that lies behind the old tree. */
static ent_rc new_node(const ent_hash *leaves, uint64_t count, ent_hash *ret, ent_err *err)
{
    ent_tree tree = {.size = 0};
    for (uint64_t i = 0; i < count; i++)
        ENT_TRY(ent_tree_append(&tree, &leaves[i], err));
    ent_tree_root(&tree, ret);
    return ENT_DONE;
}

/* RFC 6962, section 2.1.2, SUBPROOF(m, D[n], b), from the root downwards; its hashes stand in the other order. */
ent_rc ent_consistency_extend(const ent_tree *old_tree, const ent_hash *leaves, size_t count, ent_tree_proof *ret,
                              ent_err *err)
{
    uint64_t old_size = old_tree->size;
    uint64_t begin = 0;
    uint64_t end = old_size + count;
    bool is_known = true; /* whether the node is the old root itself: b */
    ent_tree_proof down = {.count = 0};
    ent_tree_proof proof = {.count = 0};
    if (end > ENT_LOG_MAX_SIZE)
        return ent_fail(err, ENT_USAGE, "design.md section 2", "a log holds at most 2^53 entries");
    if (old_size == 0 || count == 0) {
        *ret = proof;
        return ENT_DONE;
    }
    while (end != old_size) {
        uint64_t half = (uint64_t)1 << (63 - __builtin_clzll(end - begin - 1));
        ent_hash *hash = &down.hashes[down.count++];
        if (old_size - begin <= half) {
            ENT_TRY(new_node(leaves + (begin + half - old_size), end - begin - half, hash, err));
            end = begin + half;
        } else {
            *hash = old_tree->edge[piece_at(old_tree, begin)];
            begin += half;
            is_known = false;
        }
    }
    if (!is_known)
        old_node(old_tree, begin, &down.hashes[down.count++]);
    for (size_t i = down.count; i > 0; i--)
        proof.hashes[proof.count++] = down.hashes[i - 1];
    *ret = proof;
    return ENT_DONE;
}
