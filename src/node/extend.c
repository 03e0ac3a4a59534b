#include "node/extend.h"

static uint64_t marked_size(const ent_channel_member *member, ent_keeper_what what)
{
    return what == ENT_KEEPER_HEAD ? member->marked_head : member->marked_receipt;
}

void ent_extend_marked(ent_channel *channel, ent_keeper_what what, uint32_t member, uint64_t size)
{
    uint64_t *marked =
        what == ENT_KEEPER_HEAD ? &channel->members[member].marked_head : &channel->members[member].marked_receipt;
    if (size > *marked)
        *marked = size;
}

/* What the store holds of the log between the two sizes. */
static ent_rc prove_from_store(ent_node *node, const ent_channel_member *member, const ent_extension *extension,
                               ent_tree_proof *ret, ent_err *err)
{
    ent_tree_head mark;
    ent_rc rc = ent_keeper_mark(node->keeper, extension->what, ent_text_of(member->origin), &mark, err);
    if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && mark.size >= extension->head.size)) {
        ret->count = 0;
        return ENT_DONE;
    }
    ENT_TRY(rc);
    ent_store_tiles tiles = {node->store, member->log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    return ent_consistency_prove(mark.size, extension->head.size, &reader, ret, err);
}

ent_rc ent_extend_prove(ent_node *node, const ent_channel *channel, const ent_extension *extension, ent_tree_proof *ret,
                        ent_err *err)
{
    const ent_channel_member *member = &channel->members[extension->member];
    if (extension->leaves == NULL)
        return prove_from_store(node, member, extension, ret, err);
    const ent_tree *tree = &member->log.tree; /* as it was before the batch */
    bool follows = tree->size > 0 && tree->size == marked_size(member, extension->what) &&
                   tree->size + extension->leaf_count == extension->head.size;
    return follows ? ent_consistency_extend(tree, extension->leaves, extension->leaf_count, ret, err)
                   : prove_from_store(node, member, extension, ret, err);
}

/* Without a mark nothing was ever signed: true for an empty log, or after a crash between the very first commit and its
 * mark, when no signed head was kept either. Anything else means that the marks were lost. */
static ent_rc never_signed(ent_node *node, const ent_channel_member *own, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_tree_head head;
    ent_rc rc = node->store->engine->head_get(node->store, own->log.number, UINT64_MAX, &head, &note, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    *ret = rc.code == ENT_ABSENT;
    return ENT_DONE;
}

ent_rc ent_extend_follows_mark(ent_node *node, const ent_channel *channel, bool *ret, ent_err *err)
{
    const ent_channel_member *own = &channel->members[channel->self];
    ent_tree_head mark = {0};
    ent_hash root;
    ent_rc rc = ent_keeper_mark(node->keeper, ENT_KEEPER_HEAD, ent_text_of(own->origin), &mark, err);
    if (rc.code == ENT_ABSENT)
        return never_signed(node, own, ret, err);
    ENT_TRY(rc);
    *ret = false;
    if (mark.size > own->log.tree.size)
        return ENT_DONE;
    ent_store_tiles tiles = {node->store, own->log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ENT_TRY(ent_tree_root_at(mark.size, &reader, &root, err));
    *ret = ent_hash_equal(&root, &mark.root);
    return ENT_DONE;
}
