#include "log/tree.h"

#include "crypto/crypto.h"

/* Every hash here is over one domain byte and its data (RFC 6962, section 2.1: "The hash of a Merkle tree with one
 * leaf is SHA-256(0x00 || d(0))", "SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))"). */
enum { LEAF_DOMAIN = 0x00, NODE_DOMAIN = 0x01 };

void ent_leaf_hash(ent_bytes entry, ent_hash *ret)
{
    const uint8_t domain = LEAF_DOMAIN;
    ent_sha256_state state;
    ent_sha256_start(&state);
    ent_sha256_update(&state, ent_bytes_of(&domain, 1));
    ent_sha256_update(&state, entry);
    ent_sha256_finish(&state, ret);
}

void ent_node_hash(const ent_hash *left, const ent_hash *right, ent_hash *ret)
{
    uint8_t node[1 + 2 * ENT_HASH_SIZE];
    node[0] = NODE_DOMAIN;
    memcpy(node + 1, left->bytes, ENT_HASH_SIZE);
    memcpy(node + 1 + ENT_HASH_SIZE, right->bytes, ENT_HASH_SIZE);
    ent_sha256(ent_bytes_of(node, sizeof node), ret);
}

void ent_empty_root(ent_hash *ret)
{
    ent_sha256((ent_bytes){NULL, 0}, ret);
}

void ent_subtree_hash(const ent_hash *hashes, size_t count, ent_hash *ret)
{
    ent_hash work[ENT_TILE_WIDTH / 2];
    if (count == 1) {
        *ret = hashes[0];
        return;
    }
    for (size_t i = 0; i < count / 2; i++)
        ent_node_hash(&hashes[2 * i], &hashes[2 * i + 1], &work[i]);
    for (count /= 2; count > 1; count /= 2) {
        for (size_t i = 0; i < count / 2; i++)
            ent_node_hash(&work[2 * i], &work[2 * i + 1], &work[i]);
    }
    *ret = work[0];
}

size_t ent_tree_edge_count(uint64_t size)
{
    return (size_t)__builtin_popcountll(size);
}

ent_rc ent_tree_append(ent_tree *tree, const ent_hash *leaf, ent_err *err)
{
    if (tree->size >= ENT_LOG_MAX_SIZE)
        return ent_fail(err, ENT_USAGE, "design.md section 2", "a log holds at most 2^53 entries");
    size_t count = ent_tree_edge_count(tree->size);
    ent_hash hash = *leaf;
    /* Each trailing one of the size is a perfect subtree as large as the new one: the two become one. */
    for (uint64_t size = tree->size; (size & 1) != 0; size >>= 1)
        ent_node_hash(&tree->edge[--count], &hash, &hash);
    tree->edge[count] = hash;
    tree->size++;
    return ENT_DONE;
}

/* Join perfect subtrees, largest first, into one hash: the smaller ones are the right side of the larger. */
static void join_edge(const ent_hash *edge, size_t count, ent_hash *ret)
{
    ent_hash hash = edge[count - 1];
    for (size_t i = count - 1; i > 0; i--)
        ent_node_hash(&edge[i - 1], &hash, &hash);
    *ret = hash;
}

void ent_tree_root(const ent_tree *tree, ent_hash *ret)
{
    if (tree->size == 0)
        ent_empty_root(ret);
    else
        join_edge(tree->edge, ent_tree_edge_count(tree->size), ret);
}

void ent_tree_edge_put(ent_buf *buf, const ent_tree *tree)
{
    size_t count = ent_tree_edge_count(tree->size);
    for (size_t i = 0; i < count; i++)
        ent_buf_put(buf, ent_hash_bytes(&tree->edge[i]));
}

ent_rc ent_tree_edge_parse(uint64_t size, ent_bytes bytes, ent_tree *ret, ent_err *err)
{
    size_t count = ent_tree_edge_count(size);
    if (size > ENT_LOG_MAX_SIZE || bytes.size != count * ENT_HASH_SIZE)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%zu bytes are not the right edge of a tree of %llu entries",
                        bytes.size, (unsigned long long)size);
    ent_tree tree = {.size = size};
    for (size_t i = 0; i < count; i++)
        memcpy(tree.edge[i].bytes, bytes.data + i * ENT_HASH_SIZE, ENT_HASH_SIZE);
    *ret = tree;
    return ENT_DONE;
}

/* The tiles of a tree of one size. It keeps the tile that it read last: the hashes of one proof lie in few tiles. */
typedef struct {
    const ent_tile_reader *tiles;
    uint64_t size;
    bool held;
    uint8_t level;
    uint64_t index;
    ent_hash hashes[ENT_TILE_WIDTH];
} tile_view;

static ent_rc hold_tile(tile_view *view, uint8_t level, uint64_t index, ent_err *err)
{
    if (view->held && view->level == level && view->index == index)
        return ENT_DONE;
    /* "The partial tile at level l for a tree of size s has floor(s / 256**l) mod 256 entries." (tlog-tiles) */
    uint64_t width = (view->size >> (8 * level)) - index * ENT_TILE_WIDTH;
    if (width > ENT_TILE_WIDTH)
        width = ENT_TILE_WIDTH;
    view->held = false;
    ENT_TRY(view->tiles->read(view->tiles->context, level, index, (uint16_t)width, view->hashes, err));
    view->held = true;
    view->level = level;
    view->index = index;
    return ENT_DONE;
}

/* Hash of the perfect subtree of 2^height leaves at this position among those of its height. */
static ent_rc read_subtree(tile_view *view, unsigned height, uint64_t position, ent_hash *ret, ent_err *err)
{
    unsigned within = height % 8;
    uint64_t first = position << within;
    ENT_TRY(hold_tile(view, (uint8_t)(height / 8), first / ENT_TILE_WIDTH, err));
    ent_subtree_hash(view->hashes + first % ENT_TILE_WIDTH, (size_t)1 << within, ret);
    return ENT_DONE;
}

/* Hashes of the perfect subtrees that leaves [begin, end) consist of, largest first; begin is a multiple of a power of
 * two that is at least end - begin, as every node of the tree begins. */
static ent_rc read_edge(tile_view *view, uint64_t begin, uint64_t end, ent_hash ret_edge[ENT_TREE_MAX_LEVELS],
                        ent_err *err)
{
    for (size_t count = 0; begin < end; count++) {
        unsigned height = 63 - (unsigned)__builtin_clzll(end - begin);
        ENT_TRY(read_subtree(view, height, begin >> height, &ret_edge[count], err));
        begin += (uint64_t)1 << height;
    }
    return ENT_DONE;
}

/* MTH(D[begin:end]) for begin < end, as above. */
static ent_rc read_node(tile_view *view, uint64_t begin, uint64_t end, ent_hash *ret, ent_err *err)
{
    ent_hash edge[ENT_TREE_MAX_LEVELS];
    ENT_TRY(read_edge(view, begin, end, edge, err));
    join_edge(edge, ent_tree_edge_count(end - begin), ret);
    return ENT_DONE;
}

ent_rc ent_tree_at(uint64_t size, const ent_tile_reader *tiles, ent_tree *ret, ent_err *err)
{
    if (size > ENT_LOG_MAX_SIZE)
        return ent_fail(err, ENT_USAGE, "design.md section 2", "a log holds at most 2^53 entries");
    tile_view view = {.tiles = tiles, .size = size};
    ent_tree tree = {.size = size};
    ENT_TRY(read_edge(&view, 0, size, tree.edge, err));
    *ret = tree;
    return ENT_DONE;
}

ent_rc ent_tree_root_at(uint64_t size, const ent_tile_reader *tiles, ent_hash *ret, ent_err *err)
{
    ent_tree tree;
    ENT_TRY(ent_tree_at(size, tiles, &tree, err));
    ent_tree_root(&tree, ret);
    return ENT_DONE;
}

ent_rc ent_inclusion_prove(uint64_t index, uint64_t size, const ent_tile_reader *tiles, ent_tree_proof *ret,
                           ent_err *err)
{
    if (size > ENT_LOG_MAX_SIZE || index >= size)
        return ent_fail(err, ENT_USAGE, "RFC 6962, section 2.1.1", "entry %llu is not in a tree of %llu entries",
                        (unsigned long long)index, (unsigned long long)size);
    tile_view view = {.tiles = tiles, .size = size};
    ent_tree_proof proof = {.count = 0};
    uint64_t node = index;
    uint64_t last = size - 1;
    for (unsigned height = 0; last > 0; height++) {
        ent_hash *sibling = &proof.hashes[proof.count];
        /* A left sibling is perfect, a right one may end with the tree; the last node of a level, when it is a left
         * one, has no sibling there and is carried upwards. */
        if ((node & 1) != 0) {
            ENT_TRY(read_subtree(&view, height, node - 1, sibling, err));
            proof.count++;
        } else if (node < last) {
            uint64_t begin = (node + 1) << height;
            uint64_t end = node + 1 < last ? begin + ((uint64_t)1 << height) : size;
            ENT_TRY(read_node(&view, begin, end, sibling, err));
            proof.count++;
        }
        node >>= 1;
        last >>= 1;
    }
    *ret = proof;
    return ENT_DONE;
}

ent_rc ent_consistency_prove(uint64_t old_size, uint64_t size, const ent_tile_reader *tiles, ent_tree_proof *ret,
                             ent_err *err)
{
    if (size > ENT_LOG_MAX_SIZE || old_size > size)
        return ent_fail(err, ENT_USAGE, "RFC 6962, section 2.1.2", "a tree of %llu entries is no prefix of one of %llu",
                        (unsigned long long)old_size, (unsigned long long)size);
    tile_view view = {.tiles = tiles, .size = size};
    ent_tree_proof proof = {.count = 0};
    uint64_t begin = 0;
    uint64_t end = size;
    /* SUBPROOF(m, D[n], b) from the root downwards: the node on the old tree's side is split further, the other one
     * is part of the proof. */
    while (old_size > 0 && old_size < end) {
        uint64_t half = (uint64_t)1 << (63 - __builtin_clzll(end - begin - 1));
        uint64_t middle = begin + half;
        bool old_is_left = old_size <= middle;
        ENT_TRY(read_node(&view, old_is_left ? middle : begin, old_is_left ? end : middle, &proof.hashes[proof.count],
                          err));
        proof.count++;
        if (old_is_left)
            end = middle;
        else
            begin = middle;
    }
    /* "The subproof for m = n is the empty set if m is the value for which PROOF was originally requested", that is
     * when the old tree is this whole node; otherwise it is the node's hash. */
    if (begin > 0) {
        ENT_TRY(read_node(&view, begin, end, &proof.hashes[proof.count], err));
        proof.count++;
    }
    for (size_t i = 0; i < proof.count / 2; i++) {
        ent_hash swap = proof.hashes[i];
        proof.hashes[i] = proof.hashes[proof.count - 1 - i];
        proof.hashes[proof.count - 1 - i] = swap;
    }
    *ret = proof;
    return ENT_DONE;
}

/* "If LSB(fn) is not set, then right-shift both fn and sn equally until either LSB(fn) is set or fn is 0." */
static void climb_to_right_child(uint64_t *fn, uint64_t *sn)
{
    while ((*fn & 1) == 0 && *fn != 0) {
        *fn >>= 1;
        *sn >>= 1;
    }
}

ent_proof_verdict ent_inclusion_verify(uint64_t index, const ent_hash *leaf, const ent_tree_head *head,
                                       const ent_tree_proof *proof)
{
    if (index >= head->size || proof->count > ENT_PROOF_MAX_HASHES)
        return ENT_PROOF_INVALID;
    uint64_t fn = index;
    uint64_t sn = head->size - 1;
    ent_hash root = *leaf;
    for (size_t i = 0; i < proof->count; i++) {
        if (sn == 0)
            return ENT_PROOF_INVALID;
        if ((fn & 1) != 0 || fn == sn) {
            ent_node_hash(&proof->hashes[i], &root, &root);
            climb_to_right_child(&fn, &sn);
        } else {
            ent_node_hash(&root, &proof->hashes[i], &root);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && ent_hash_equal(&root, &head->root) ? ENT_PROOF_VALID : ENT_PROOF_INVALID;
}

/* RFC 9162, section 2.1.4.2, from step 3 on: `first` is the node that begins the path. */
static bool replay(uint64_t old_size, uint64_t size, const ent_hash *first, const ent_hash *path, size_t count,
                   ent_hash *ret_old_root, ent_hash *ret_root)
{
    uint64_t fn = old_size - 1;
    uint64_t sn = size - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    ent_hash old_root = *first;
    ent_hash root = *first;
    for (size_t i = 0; i < count; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            ent_node_hash(&path[i], &old_root, &old_root);
            ent_node_hash(&path[i], &root, &root);
            climb_to_right_child(&fn, &sn);
        } else {
            ent_node_hash(&root, &path[i], &root);
        }
        fn >>= 1;
        sn >>= 1;
    }
    *ret_old_root = old_root;
    *ret_root = root;
    return sn == 0;
}

bool ent_consistency_replay(uint64_t old_size, uint64_t size, const ent_hash *path, size_t count,
                            ent_hash *ret_old_root, ent_hash *ret_root)
{
    return old_size > 0 && old_size < size && count > 0 &&
           replay(old_size, size, &path[0], path + 1, count - 1, ret_old_root, ret_root);
}

static bool replay_consistency(const ent_tree_head *old_head, const ent_tree_head *head, const ent_hash *first,
                               const ent_hash *path, size_t count)
{
    ent_hash old_root;
    ent_hash root;
    return replay(old_head->size, head->size, first, path, count, &old_root, &root) &&
           ent_hash_equal(&old_root, &old_head->root) && ent_hash_equal(&root, &head->root);
}

ent_proof_verdict ent_consistency_verify(const ent_tree_head *old_head, const ent_tree_head *head,
                                         const ent_tree_proof *proof)
{
    bool valid = false;
    if (old_head->size > head->size || proof->count > ENT_PROOF_MAX_HASHES) {
        valid = false;
    } else if (old_head->size == head->size) {
        valid = proof->count == 0 && ent_hash_equal(&old_head->root, &head->root);
    } else if (old_head->size == 0) {
        valid = proof->count == 0;
    } else if ((old_head->size & (old_head->size - 1)) == 0) {
        /* "If first is an exact power of 2, then prepend first_hash to the consistency_path array." */
        valid = replay_consistency(old_head, head, &old_head->root, proof->hashes, proof->count);
    } else if (proof->count > 0) {
        valid = replay_consistency(old_head, head, &proof->hashes[0], proof->hashes + 1, proof->count - 1);
    }
    return valid ? ENT_PROOF_VALID : ENT_PROOF_INVALID;
}
