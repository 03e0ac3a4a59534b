#include "pouch/check_steps.h"

#include "pouch/members.h"

#include <stdarg.h>
#include <stdio.h>

ent_text ent_pouch_checking_name(const ent_pouch_checking *checking, size_t member)
{
    return checking->known->genesis->members[member].name;
}

ent_rc ent_pouch_checking_alloc(ent_pouch_checking *checking, size_t count, size_t size, void **ret, ent_err *err)
{
    void *memory = ent_arena_alloc(&checking->out->arena, count * size); /* counts are limited by the pouch */
    if (memory == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for checking a pouch of %zu entries",
                        checking->entry_count);
    *ret = memory;
    return ENT_DONE;
}

ent_rc ent_pouch_checking_fail_in(ent_err *err, ent_rc rc, const char *step, const char *format, ...)
{
    char where[192];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(where, sizeof where, format, arguments);
    va_end(arguments);
    if (err != NULL && ent_code_class(rc.code) == ENT_CLASS_PEER)
        (void)snprintf(err->rule, sizeof err->rule, "%s", step);
    return ent_fail_in(err, rc, "%s", where);
}

ent_rc ent_pouch_checking_open(const ent_pouch_checking *checking, size_t member, ent_bytes bytes, ent_text origin,
                               ent_note *ret_note, ent_checkpoint *ret, bool *ret_replaced, ent_err *err)
{
    const ent_keys *keys = checking->known->keys[member];
    if (keys == NULL)
        return ent_checkpoint_open(bytes, origin, &checking->known->genesis->members[member].log, ret_note, ret, err);
    ent_rc rc = ent_keys_open_head(keys, bytes, origin, ret_note, ret, err);
    if (rc.code != ENT_PEER_SIGNATURE || ret_replaced == NULL ||
        ent_keys_open_old_head(keys, bytes, origin, ret_note, ret, NULL).code != ENT_OK)
        return rc;
    *ret_replaced = true;
    return ENT_DONE;
}

/* Step 3: "head signature". */
static ent_rc check_head(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch *pouch = checking->pouch;
    const ent_member *writer = &checking->known->genesis->members[checking->known->writer];
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    const ent_text origin = ent_origin_write(writer->name, &checking->known->channel, memory);
    if (!ent_text_equal(pouch->origin, origin))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_HEAD, "pouch.json: the origin is not %.*s",
                        ENT_TEXT_ARG(origin));

    ent_note note ENT_CLEANUP(ent_note_release) = {0};
    ent_checkpoint checkpoint;
    ent_rc rc = ent_pouch_checking_open(checking, checking->known->writer, pouch->checkpoint, origin, &note,
                                        &checkpoint, NULL, err);
    if (rc.code != ENT_OK)
        return ent_pouch_checking_fail_in(err, rc, ENT_STEP_HEAD, "checkpoint");
    if (checkpoint.head.size != pouch->size)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_HEAD,
                        "checkpoint: its size is %" PRIu64 ", pouch.json says %" PRIu64, checkpoint.head.size,
                        pouch->size);
    checking->out->head = checkpoint.head;
    return ENT_DONE;
}

/* Takes the bundle apart; each entry is hashed here, once. */
static ent_rc read_entries(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch *pouch = checking->pouch;
    const uint64_t wanted = pouch->size - pouch->old_size;
    if (wanted > ENT_POUCH_MAX_ENTRIES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, ENT_STEP_ROOT, "%" PRIu64 " entries, at most %d are allowed", wanted,
                        ENT_POUCH_MAX_ENTRIES);
    checking->entry_count = (size_t)wanted;
    void *memory = NULL;
    ENT_TRY(ent_pouch_checking_alloc(checking, checking->entry_count, sizeof *checking->entry_bytes, &memory, err));
    checking->entry_bytes = memory;
    ENT_TRY(ent_pouch_checking_alloc(checking, checking->entry_count, sizeof *checking->leaves, &memory, err));
    checking->leaves = memory;

    ent_bundle_reader reader = ent_bundle_read(pouch->entries);
    for (size_t i = 0;; i++) {
        ent_bytes entry = {NULL, 0};
        bool more = false;
        ent_rc rc = ent_bundle_next(&reader, &entry, &more, err);
        if (rc.code != ENT_OK)
            return ent_pouch_checking_fail_in(err, rc, ENT_STEP_ROOT, "entries, at entry %" PRIu64,
                                              pouch->old_size + i);
        if (more != (i < checking->entry_count))
            return ent_fail(err, ENT_PEER_INCONSISTENT, ENT_STEP_ROOT,
                            "entries: there are %s than the %zu from %" PRIu64 " to %" PRIu64, more ? "more" : "fewer",
                            checking->entry_count, pouch->old_size, pouch->size);
        if (!more)
            return ENT_DONE;
        checking->entry_bytes[i] = entry;
        ent_leaf_hash(entry, &checking->leaves[i]);
    }
}

/* Step 4: "entries that overlap must equal ours". */
static ent_rc check_overlap(const ent_pouch_checking *checking, ent_err *err)
{
    const ent_tile_reader *tiles = &checking->known->tiles;
    const uint64_t first = checking->pouch->old_size;
    const uint64_t end = first + checking->overlap;
    ent_hash ours[ENT_TILE_WIDTH];
    for (uint64_t at = first; at < end;) {
        const uint64_t tile = at / ENT_TILE_WIDTH;
        const uint64_t tile_end = (tile + 1) * ENT_TILE_WIDTH < end ? (tile + 1) * ENT_TILE_WIDTH : end;
        ENT_TRY(tiles->read(tiles->context, 0, tile, (uint16_t)(tile_end - tile * ENT_TILE_WIDTH), ours, err));
        for (; at < tile_end; at++) {
            if (!ent_hash_equal(&ours[at % ENT_TILE_WIDTH], &checking->leaves[at - first]))
                return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_HELD, "entry %" PRIu64 ": not the one that is held",
                                at);
        }
    }
    return ENT_DONE;
}

/* Step 4: "size ≤ stored ⇒ the root is compared with our tree at that size: equal ⇒ 200 […]; other ⇒ fork". The root
 * comes first: a signed contradiction is evidence, which no difference in the entries may hide. */
static ent_rc check_held(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    ent_pouch_checked *out = checking->out;
    ent_hash ours;
    if (out->head.size == known->tree->size)
        ent_tree_root(known->tree, &ours);
    else
        ENT_TRY(ent_tree_root_at(out->head.size, &known->tiles, &ours, err));
    if (!ent_hash_equal(&ours, &out->head.root)) {
        out->verdict = ENT_POUCH_FORKED;
        out->fork_root_held = ours;
        return ENT_DONE;
    }
    ENT_TRY(check_overlap(checking, err));
    out->verdict = ENT_POUCH_HELD;
    return ENT_DONE;
}

/* Whether the pouch's entries lead to the signed head, over a beginning that is ours. */
static ent_rc reaches_head(const ent_pouch_checking *checking, bool *ret, ent_err *err)
{
    ent_tree tree;
    ent_hash root;
    ENT_TRY(ent_tree_at(checking->pouch->old_size, &checking->known->tiles, &tree, err));
    for (size_t i = 0; i < checking->entry_count; i++)
        ENT_TRY(ent_tree_append(&tree, &checking->leaves[i], err));
    ent_tree_root(&tree, &root);
    *ret = ent_hash_equal(&root, &checking->out->head.root);
    return ENT_DONE;
}

/* "two signed heads and a path that reproduces the *larger* root exactly and yields another root for the smaller size
 * […]; a proof that misses the larger root proves nothing": entries that differ from ours are such a path when the
 * larger head commits to them. */
static ent_rc check_overlap_or_fork(ent_pouch_checking *checking, ent_err *err)
{
    ent_pouch_checked *out = checking->out;
    ent_err differs = {0};
    bool reaches = false;
    ent_rc rc = check_overlap(checking, &differs);
    if (rc.code == ENT_PEER_MISMATCH)
        ENT_TRY(reaches_head(checking, &reaches, err));
    if (!reaches) {
        if (rc.code != ENT_OK && err != NULL)
            *err = differs;
        return rc;
    }
    out->verdict = ENT_POUCH_FORKED;
    ent_tree_root(checking->known->tree, &out->fork_root_held);
    out->fork_leaves = checking->leaves;
    out->fork_leaf_count = checking->entry_count;
    return ENT_DONE;
}

/* Steps 4 and 5 of a pouch that goes beyond what is held: "root recomputed from its stored frontier plus the entries".
 */
static ent_rc check_new(ent_pouch_checking *checking, ent_err *err)
{
    ent_pouch_checked *out = checking->out;
    ENT_TRY(check_overlap_or_fork(checking, err));
    if (out->verdict == ENT_POUCH_FORKED)
        return ENT_DONE;
    for (size_t i = checking->overlap; i < checking->entry_count; i++)
        ENT_TRY(ent_tree_append(&out->tree, &checking->leaves[i], err));
    ent_hash root;
    ent_tree_root(&out->tree, &root);
    if (!ent_hash_equal(&root, &out->head.root))
        return ent_fail(err, ENT_PEER_INCONSISTENT, ENT_STEP_ROOT,
                        "checkpoint: its root does not follow from the %" PRIu64 " entries held and the %zu new ones",
                        out->first_new, checking->entry_count - checking->overlap);
    out->new_count = checking->entry_count - checking->overlap;
    out->entry_bytes = checking->entry_bytes + checking->overlap;
    out->leaves = checking->leaves + checking->overlap;
    out->verdict = ENT_POUCH_NEW;
    return ENT_DONE;
}

static ent_rc check_steps(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    const uint64_t held = known->tree->size;
    ent_pouch_checked *out = checking->out;
    ENT_TRY(check_head(checking, err));
    if (checking->pouch->old_size > held)
        return ent_fail(err, ENT_PEER_STALE, ENT_STEP_HELD,
                        "the pouch begins at entry %" PRIu64 ", only %" PRIu64 " are held", checking->pouch->old_size,
                        held);
    ENT_TRY(read_entries(checking, err));
    const uint64_t overlap = (checking->pouch->size < held ? checking->pouch->size : held) - checking->pouch->old_size;
    checking->overlap = (size_t)overlap;
    out->tree = *known->tree;
    out->first_new = held;
    memcpy(out->acked, known->acked, sizeof out->acked);

    if (out->head.size <= held)
        ENT_TRY(check_held(checking, err));
    else
        ENT_TRY(check_new(checking, err));
    /* A fork ends the check: what else the pouch says is not stored, and the proof is already here. */
    if (out->verdict == ENT_POUCH_FORKED)
        return ENT_DONE;
    ENT_TRY(ent_pouch_check_forks(checking, err));
    ENT_TRY(ent_pouch_check_heads(checking, err));
    ENT_TRY(ent_pouch_check_receipts(checking, err));
    ENT_TRY(ent_pouch_check_entries(checking, err));
    return ent_pouch_check_bodies(checking, err);
}

ent_rc ent_pouch_check(const ent_pouch *pouch, const ent_pouch_known *known, ent_pouch_checked *ret, ent_err *err)
{
    ent_pouch_checked out = {0};
    ent_pouch_checking checking = {.pouch = pouch, .known = known, .out = &out, .forked = known->forked};
    ent_rc rc = check_steps(&checking, err);
    if (rc.code == ENT_OK)
        *ret = out;
    else if (out.fork_count > 0) /* whatever else is wrong with the pouch, that was signed */
        *ret = (ent_pouch_checked){.forks = out.forks, .fork_count = out.fork_count, .arena = out.arena};
    else
        ent_pouch_checked_release(&out);
    return rc;
}

void ent_pouch_checked_release(ent_pouch_checked *checked)
{
    ent_arena_release(&checked->arena);
    *checked = (ent_pouch_checked){0};
}
