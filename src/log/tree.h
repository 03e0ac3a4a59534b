/* The Merkle tree of RFC 6962 section 2.1 and its proofs. Appending keeps the right edge only; anything older is read
 * from 256-wide tiles through a callback, O(log n) of them. */
#ifndef ENT_LOG_TREE_H
#define ENT_LOG_TREE_H

#include "log/checkpoint.h"
#include "log/tile.h"

/** H(00 || entry). */
void ent_leaf_hash(ent_bytes entry, ent_hash *ret);
/** H(01 || left || right). */
void ent_node_hash(const ent_hash *left, const ent_hash *right, ent_hash *ret);
/** Root over the hashes of a perfect subtree.
 *  @in   count   a power of two, at most ENT_TILE_WIDTH */
void ent_subtree_hash(const ent_hash *hashes, size_t count, ent_hash *ret);
/** Root of no entries: SHA-256 of nothing. */
void ent_empty_root(ent_hash *ret);

enum { ENT_TREE_MAX_LEVELS = 54 };

/** The right edge of a tree: one hash per set bit of size, largest subtree first. Plain memory; zeroed is the empty
 * tree. */
typedef struct {
    uint64_t size;
    ent_hash edge[ENT_TREE_MAX_LEVELS];
} ent_tree;

/** Append one leaf hash.  Errors: USAGE when the log is full (2^53). */
ENT_RC ent_tree_append(ent_tree *tree, const ent_hash *leaf, ent_err *err);
void ent_tree_root(const ent_tree *tree, ent_hash *ret);
/** Number of hashes in edge: the set bits of size. */
size_t ent_tree_edge_count(uint64_t size);
/** Write and read the edge as stored: count * 32 bytes.  Errors: PEER_MALFORMED when the bytes do not fit the size. */
void ent_tree_edge_put(ent_buf *buf, const ent_tree *tree);
ENT_RC ent_tree_edge_parse(uint64_t size, ent_bytes bytes, ent_tree *ret, ent_err *err);

/** Hashes from the leaf's sibling upwards (inclusion), or as RFC 6962 section 2.1.2 orders them (consistency). */
enum { ENT_PROOF_MAX_HASHES = 63 };
typedef struct {
    ent_hash hashes[ENT_PROOF_MAX_HASHES];
    size_t count;
} ent_tree_proof;

/** Compute the root at a size, which the tiles must cover.  Errors: those of the reader, USAGE. */
ENT_RC ent_tree_root_at(uint64_t size, const ent_tile_reader *tiles, ent_hash *ret, ent_err *err);
/** Rebuild the right edge at a size from the tiles. */
ENT_RC ent_tree_at(uint64_t size, const ent_tile_reader *tiles, ent_tree *ret, ent_err *err);
/** Prove that the leaf at index is in the tree of this size.  Errors: USAGE when index >= size; those of the reader. */
ENT_RC ent_inclusion_prove(uint64_t index, uint64_t size, const ent_tile_reader *tiles, ent_tree_proof *ret,
                           ent_err *err);
/** Prove that the tree of old_size is a prefix.  Errors: USAGE when old_size > size; those of the reader. */
ENT_RC ent_consistency_prove(uint64_t old_size, uint64_t size, const ent_tile_reader *tiles, ent_tree_proof *ret,
                             ent_err *err);

/** The same for a tree that grows by these leaves, from its right edge and them alone.  Errors: USAGE when the log
 * would be full. */
ENT_RC ent_consistency_extend(const ent_tree *old_tree, const ent_hash *leaves, size_t count, ent_tree_proof *ret,
                              ent_err *err);

/** Zero means not checked, so that a forgotten check never reads as success. */
typedef enum { ENT_PROOF_NOT_CHECKED = 0, ENT_PROOF_VALID, ENT_PROOF_INVALID } ent_proof_verdict;

/** RFC 9162 section 2.1.3.2 (the algorithm; the tree is the same). */
ent_proof_verdict ent_inclusion_verify(uint64_t index, const ent_hash *leaf, const ent_tree_head *head,
                                       const ent_tree_proof *proof);
/** RFC 9162 section 2.1.4.2; old size 0 is consistent with an empty proof only. */
ent_proof_verdict ent_consistency_verify(const ent_tree_head *old_head, const ent_tree_head *head,
                                         const ent_tree_proof *proof);
/** The two roots that a consistency path leads to, whatever they should be; false when it is no path between these
 * sizes.
 *  @in   path   as in RFC 6962 section 2.1.2, with the node that it begins at given for every old size */
bool ent_consistency_replay(uint64_t old_size, uint64_t size, const ent_hash *path, size_t count,
                            ent_hash *ret_old_root, ent_hash *ret_root);

#endif
