#include "log/tile.h"

#include "base/alloc.h"
#include "base/cursor.h"
#include "log/tree.h"

#include <stdio.h>

static const char path_rule[] = "tlog-tiles, Merkle Tree";
static const char bundle_rule[] = "tlog-tiles, Log entries";

enum { MAX_LEVEL = 63 };
/* No tile of a log of at most 2^53 entries has a larger index, so that index * 256 never overflows. */
#define MAX_INDEX (ENT_LOG_MAX_SIZE / ENT_TILE_WIDTH - 1)

/* "a non-negative integer encoded into zero-padded 3-digit path elements. All but the last path element MUST begin
 * with an `x`." Zero padding is checked by writing the path again. */
static uint64_t take_index(ent_cursor *cursor)
{
    uint64_t index = 0;
    bool more = true;
    while (more && !cursor->failed) {
        more = ent_cursor_accept(cursor, ENT_TEXT("x"));
        ent_bytes digits = ent_cursor_take(cursor, 3);
        for (size_t i = 0; i < digits.size; i++) {
            if (digits.data[i] < '0' || digits.data[i] > '9')
                ent_cursor_fail(cursor);
            index = index * 10 + (uint64_t)(digits.data[i] - '0');
        }
        if (index > MAX_INDEX)
            ent_cursor_fail(cursor);
        if (more)
            ent_cursor_literal(cursor, ENT_TEXT("/"));
    }
    return index;
}

ent_rc ent_tile_path_parse(ent_text path, ent_tile_id *ret, ent_err *err)
{
    ent_tile_id id = {.width = ENT_TILE_WIDTH};
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(path));
    ent_cursor_literal(&cursor, ENT_TEXT("tile/"));
    id.entries = ent_cursor_accept(&cursor, ENT_TEXT("entries/"));
    if (!id.entries) {
        id.level = (uint8_t)ent_cursor_decimal(&cursor, MAX_LEVEL);
        ent_cursor_literal(&cursor, ENT_TEXT("/"));
    }
    id.index = take_index(&cursor);
    if (ent_cursor_accept(&cursor, ENT_TEXT(".p/"))) {
        id.width = (uint16_t)ent_cursor_decimal(&cursor, ENT_TILE_WIDTH - 1);
        if (id.width == 0)
            ent_cursor_fail(&cursor);
    }
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_PEER_MALFORMED, path_rule, "not the path of a tile or an entry bundle");
    char again[ENT_TILE_PATH_MAX];
    ent_tile_path_format(&id, again);
    if (!ent_text_is(path, again))
        return ent_fail(err, ENT_PEER_MALFORMED, path_rule, "the path of a tile is spelt in another way");
    *ret = id;
    return ENT_DONE;
}

void ent_tile_path_format(const ent_tile_id *id, char ret[ENT_TILE_PATH_MAX])
{
    uint64_t divisor = 1;
    size_t used = 0;
    if (id->entries)
        used = (size_t)snprintf(ret, ENT_TILE_PATH_MAX, "tile/entries");
    else
        used = (size_t)snprintf(ret, ENT_TILE_PATH_MAX, "tile/%u", id->level);
    while (id->index / divisor >= 1000)
        divisor *= 1000;
    for (; divisor > 0; divisor /= 1000)
        used += (size_t)snprintf(ret + used, ENT_TILE_PATH_MAX - used, "/%s%03u", divisor > 1 ? "x" : "",
                                 (unsigned)(id->index / divisor % 1000));
    if (id->width < ENT_TILE_WIDTH)
        (void)snprintf(ret + used, ENT_TILE_PATH_MAX - used, ".p/%u", id->width);
}

void ent_tile_hash(const ent_hash hashes[ENT_TILE_WIDTH], ent_hash *ret)
{
    ent_subtree_hash(hashes, ENT_TILE_WIDTH, ret);
}

/* Hash of the tile that the last `count` of its hashes, from position `first` on, make full. */
static ent_rc hash_completed(uint8_t level, uint64_t index, uint16_t first, const ent_hash *hashes,
                             const ent_tile_reader *tiles, ent_hash *ret, ent_err *err)
{
    if (first == 0) {
        ent_tile_hash(hashes, ret);
        return ENT_DONE;
    }
    ent_hash whole[ENT_TILE_WIDTH];
    ENT_TRY(tiles->read(tiles->context, level, index, first, whole, err));
    memcpy(whole + first, hashes, (size_t)(ENT_TILE_WIDTH - first) * sizeof *hashes);
    ent_tile_hash(whole, ret);
    return ENT_DONE;
}

/* Write `count` new hashes of one level, the first at position `start` of that level, tile by tile; `above` has room
 * for the hash of each tile that becomes full. */
static ent_rc append_level(uint8_t level, uint64_t start, const ent_hash *hashes, size_t count,
                           const ent_tile_reader *tiles, const ent_tile_writer *writer, ent_hash *above, ent_err *err)
{
    while (count > 0) {
        uint64_t index = start / ENT_TILE_WIDTH;
        uint16_t first = (uint16_t)(start % ENT_TILE_WIDTH);
        uint16_t room = (uint16_t)(ENT_TILE_WIDTH - first);
        uint16_t taken = count < room ? (uint16_t)count : room;
        ENT_TRY(writer->write(writer->context, level, index, first, hashes, taken, err));
        if (taken == room)
            ENT_TRY(hash_completed(level, index, first, hashes, tiles, above++, err));
        start += taken;
        hashes += taken;
        count -= taken;
    }
    return ENT_DONE;
}

ent_rc ent_tiles_append(uint64_t old_size, const ent_hash *leaves, size_t count, const ent_tile_reader *tiles,
                        const ent_tile_writer *writer, ent_err *err)
{
    if (old_size > ENT_LOG_MAX_SIZE || count > ENT_LOG_MAX_SIZE - old_size)
        return ent_fail(err, ENT_USAGE, "design.md section 2", "a log holds at most 2^53 entries");
    ENT_CLEANUP(ent_free_pointer) ent_hash *owned = NULL;
    const ent_hash *hashes = leaves;
    uint64_t start = old_size;
    for (uint8_t level = 0; count > 0; level++) {
        size_t full = (size_t)((start + count) / ENT_TILE_WIDTH - start / ENT_TILE_WIDTH);
        ENT_CLEANUP(ent_free_pointer) ent_hash *above = NULL;
        if (full > 0) {
            above = ent_alloc_array(full, sizeof *above);
            if (above == NULL)
                return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu tile hashes", full);
        }
        ENT_TRY(append_level(level, start, hashes, count, tiles, writer, above, err));
        ent_free(owned);
        owned = ent_take(above);
        hashes = owned;
        start /= ENT_TILE_WIDTH;
        count = full;
    }
    return ENT_DONE;
}

ent_rc ent_bundle_put(ent_buf *buf, ent_bytes entry, ent_err *err)
{
    if (entry.size > ENT_ENTRY_MAX_BYTES)
        return ent_fail(err, ENT_USAGE, bundle_rule, "an entry of %zu bytes; a bundle takes up to %d", entry.size,
                        ENT_ENTRY_MAX_BYTES);
    size_t before = buf->size;
    ent_buf_put_u16be(buf, (uint16_t)entry.size);
    ent_buf_put(buf, entry);
    ent_rc rc = ent_buf_check(buf, err);
    if (rc.code != ENT_OK)
        buf->size = before;
    return rc;
}

ent_bundle_reader ent_bundle_read(ent_bytes bundle)
{
    return (ent_bundle_reader){bundle.data, bundle.size};
}

ent_rc ent_bundle_next(ent_bundle_reader *reader, ent_bytes *ret_entry, bool *ret_more, ent_err *err)
{
    if (reader->left == 0) {
        *ret_more = false;
        return ENT_DONE;
    }
    ent_cursor cursor = ent_cursor_of(ent_bytes_of(reader->next, reader->left));
    ent_bytes entry = ent_cursor_take(&cursor, ent_cursor_u16be(&cursor));
    if (cursor.failed)
        return ent_fail(err, ENT_PEER_MALFORMED, bundle_rule, "an entry bundle ends inside an entry");
    reader->next += 2 + entry.size;
    reader->left -= 2 + entry.size;
    *ret_entry = entry;
    *ret_more = true;
    return ENT_DONE;
}

ent_rc ent_bundle_parse(ent_bytes bundle, size_t *ret_count, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(bundle);
    size_t count = 0;
    for (;;) {
        ent_bytes entry;
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
        if (!more)
            break;
        count++;
    }
    *ret_count = count;
    return ENT_DONE;
}
