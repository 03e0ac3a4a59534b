/* Tiles, entry bundles and their paths.  Source: C2SP tlog-tiles. */
#ifndef ENT_LOG_TILE_H
#define ENT_LOG_TILE_H

#include "crypto/types.h"

enum {
    ENT_TILE_WIDTH = 256,
    ENT_TILE_BYTES = ENT_TILE_WIDTH * 32,
    ENT_TILE_PATH_MAX = 64,
    ENT_ENTRY_MAX_BYTES = 65535
};

/** Names one tile or entry bundle. width 256 is a full one, 1..255 partial. */
typedef struct {
    bool entries; /* an entry bundle; then level is 0 */
    uint8_t level;
    uint64_t index;
    uint16_t width;
} ent_tile_id;

/** Parse "tile/<L>/<N>[.p/<W>]" or "tile/entries/<N>[.p/<W>]".  Errors: PEER_MALFORMED for any other spelling. */
ENT_RC ent_tile_path_parse(ent_text path, ent_tile_id *ret, ent_err *err);
/** Write that path and a NUL. */
void ent_tile_path_format(const ent_tile_id *id, char ret[ENT_TILE_PATH_MAX]);

/** Gives the hashes of a tile: at least `width` of them must exist.
 *  ret_hashes has room for ENT_TILE_WIDTH; the reader writes width of them (more is harmless). */
typedef struct {
    ENT_RC (*read)(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes, ent_err *err);
    void *context;
} ent_tile_reader;

/** Takes the hashes that an append adds to the tile (level, index): `count` of them from position `first` on. */
typedef struct {
    ENT_RC(*write)
    (void *context, uint8_t level, uint64_t index, uint16_t first, const ent_hash *hashes, uint16_t count,
     ent_err *err);
    void *context;
} ent_tile_writer;

/** Write the tile hashes that growing from old_size by these leaves adds, at every level: a tile's hash goes to the
 *  level above when it is full. Reads a tile's beginning through `tiles` only when it was partial before and is full
 * after. Errors: USAGE beyond 2^53 entries, NOMEM, those of the reader and the writer. */
ENT_RC ent_tiles_append(uint64_t old_size, const ent_hash *leaves, size_t count, const ent_tile_reader *tiles,
                        const ent_tile_writer *writer, ent_err *err);
/** Hash of a full tile: the root of its 256 hashes. */
void ent_tile_hash(const ent_hash hashes[ENT_TILE_WIDTH], ent_hash *ret);

/** Append one entry in bundle encoding: u16 big-endian length, bytes.  Errors: USAGE when it is longer than 65,535
 * bytes, NOMEM. */
ENT_RC ent_bundle_put(ent_buf *buf, ent_bytes entry, ent_err *err);

/** Walk an entry bundle: `for (...; ent_bundle_next(&reader, &entry, err) ...)`. */
typedef struct {
    const uint8_t *next;
    size_t left;
} ent_bundle_reader;
ent_bundle_reader ent_bundle_read(ent_bytes bundle);
/** Take the next entry; *ret_more false (and ENT_OK) at the end.  Errors: PEER_MALFORMED when it is cut. */
ENT_RC ent_bundle_next(ent_bundle_reader *reader, ent_bytes *ret_entry, bool *ret_more, ent_err *err);
/** Check a whole bundle and count its entries.  Errors: PEER_MALFORMED. */
ENT_RC ent_bundle_parse(ent_bytes bundle, size_t *ret_count, ent_err *err);

#endif
