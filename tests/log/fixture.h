/* What the tests of this stage share: fixed keys, tiles in memory, a signed note made by another implementation. */
#ifndef ENT_TESTS_LOG_FIXTURE_H
#define ENT_TESTS_LOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "log/tree.h"

#define assert_ok(call) assert_int_equal((call).code, ENT_OK)
#define assert_code(call, wanted) assert_int_equal((call).code, (wanted))

/* Made with another implementation (Python, pyca/cryptography) from the seeds 00..1f, 20..3f and 40..5f over the tree
 * of 1,000 entries, each its index as four bytes, big-endian. */
#define LOG_NAME "log.example/first"
#define LOG_VKEY LOG_NAME "+1a3aa885+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define WITNESS_ONE_VKEY "witness.example/one+13a3712a+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
#define WITNESS_TWO_VKEY "witness.example/two+de967dd7+BCVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd"
#define WITNESSED_TEXT LOG_NAME "\n1000\n7Vj+IhBXF87t92CkPu37FzpgxE70D9YbbNhr1Ou1m2E=\n"
#define LOG_LINE                                                                                                       \
    "\xe2\x80\x94 " LOG_NAME                                                                                           \
    " GjqohdYW2uqq5PV+50C4XK81gntK5K7kyg5Uh706cRjcqMmaH4i+ALanEebTLcta2nVBscStRpYb5u/TafdA4APL3wA=\n"
#define WITNESS_ONE_LINE                                                                                               \
    "\xe2\x80\x94 witness.example/one "                                                                                \
    "E6NxKgAAAABkGFDLX5x/fld81zBQnBraNDGvg8s1WzvKyukfrFM7dZ09VsHHwFOkoO6FEeYw9WS4Ovqzdammd5Jg1NznTWnjapkgCA==\n"
#define WITNESS_TWO_LINE                                                                                               \
    "\xe2\x80\x94 witness.example/two "                                                                                \
    "3pZ91wAAAABlU/EAHoRJXzS1yBaSaQNP3OpOCygkKftezfLLuLOTunBoYSksUFySsgvtWHm6TqVWUjh3EJbTNcYwql6R9t1dRVyhCg==\n"
#define WITNESSED_NOTE WITNESSED_TEXT "\n" LOG_LINE WITNESS_ONE_LINE WITNESS_TWO_LINE
enum { WITNESS_ONE_TIME = 1679315147, WITNESS_TWO_TIME = 1700000000 };

static inline ent_bytes string_bytes(const char *string)
{
    return ent_text_bytes(ent_text_of(string));
}

/* The key pair of the seed first, first + 1, ... */
static inline void fixed_key(uint8_t first, ent_public_key *key, ent_secret_key *secret)
{
    uint8_t seed[32];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(first + i);
    ent_ed25519_from_seed(seed, key, secret);
}

static inline ent_vkey fixed_vkey(const char *name, ent_key_type type, uint8_t first)
{
    ent_public_key key;
    ent_secret_key secret;
    ent_vkey vkey;
    fixed_key(first, &key, &secret);
    assert_ok(ent_vkey_make(ent_text_of(name), type, &key, &vkey, NULL));
    return vkey;
}

/* Repeatable random numbers (splitmix64). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Leaf hash of the entry that is its index as four bytes. */
static inline ent_hash numbered_leaf(uint32_t index)
{
    const uint8_t entry[4] = {(uint8_t)(index >> 24), (uint8_t)(index >> 16), (uint8_t)(index >> 8), (uint8_t)index};
    ent_hash leaf;
    ent_leaf_hash(ent_bytes_of(entry, sizeof entry), &leaf);
    return leaf;
}

/* All tile hashes of a log, level by level. */
enum { MEMORY_LEVELS = 4 };
typedef struct {
    ent_hash *hashes[MEMORY_LEVELS];
    size_t count[MEMORY_LEVELS];
    size_t capacity[MEMORY_LEVELS];
    size_t reads;
    size_t writes;
    size_t fail_at; /* fail this call of either kind; 0 = none */
} memory_tiles;

static inline bool memory_must_fail(const memory_tiles *tiles)
{
    return tiles->fail_at != 0 && tiles->reads + tiles->writes == tiles->fail_at;
}

static inline ent_rc memory_read(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                                 ent_err *err)
{
    memory_tiles *tiles = context;
    tiles->reads++;
    if (memory_must_fail(tiles))
        return ent_fail(err, ENT_IO, NULL, "read failed");
    assert_in_range(level, 0, MEMORY_LEVELS - 1);
    assert_in_range(width, 1, ENT_TILE_WIDTH);
    assert_true(index * ENT_TILE_WIDTH + width <= tiles->count[level]);
    memcpy(ret_hashes, tiles->hashes[level] + index * ENT_TILE_WIDTH, width * sizeof *ret_hashes);
    return ENT_DONE;
}

static inline ent_rc memory_write(void *context, uint8_t level, uint64_t index, uint16_t first, const ent_hash *hashes,
                                  uint16_t count, ent_err *err)
{
    memory_tiles *tiles = context;
    tiles->writes++;
    if (memory_must_fail(tiles))
        return ent_fail(err, ENT_IO_FULL, NULL, "write failed");
    assert_in_range(level, 0, MEMORY_LEVELS - 1);
    assert_in_range(count, 1, ENT_TILE_WIDTH - first);
    assert_true(index * ENT_TILE_WIDTH + first == tiles->count[level]);
    size_t wanted = tiles->count[level] + count;
    if (wanted > tiles->capacity[level]) {
        tiles->capacity[level] = wanted * 2;
        tiles->hashes[level] = realloc(tiles->hashes[level], tiles->capacity[level] * sizeof *hashes);
        assert_non_null(tiles->hashes[level]);
    }
    memcpy(tiles->hashes[level] + tiles->count[level], hashes, count * sizeof *hashes);
    tiles->count[level] = wanted;
    return ENT_DONE;
}

static inline ent_tile_reader memory_reader(memory_tiles *tiles)
{
    return (ent_tile_reader){memory_read, tiles};
}

static inline ent_tile_writer memory_writer(memory_tiles *tiles)
{
    return (ent_tile_writer){memory_write, tiles};
}

/* Append numbered leaves up to a size. */
static inline void memory_grow(memory_tiles *tiles, size_t size)
{
    const ent_tile_reader reader = memory_reader(tiles);
    const ent_tile_writer writer = memory_writer(tiles);
    ent_hash batch[1000];
    while (tiles->count[0] < size) {
        size_t old = tiles->count[0];
        size_t count = 0;
        for (; count < 1000 && old + count < size; count++)
            batch[count] = numbered_leaf((uint32_t)(old + count));
        assert_ok(ent_tiles_append(old, batch, count, &reader, &writer, NULL));
    }
}

static inline void memory_release(memory_tiles *tiles)
{
    for (size_t i = 0; i < MEMORY_LEVELS; i++)
        free(tiles->hashes[i]);
    *tiles = (memory_tiles){0};
}

/* MTH of RFC 6962, section 2.1, as it is written there. */
static inline ent_hash simple_root(const ent_hash *leaves, size_t count)
{
    ent_hash root;
    if (count == 0) {
        ent_empty_root(&root);
        return root;
    }
    if (count == 1)
        return leaves[0];
    size_t k = 1;
    while (k * 2 < count)
        k *= 2;
    ent_hash left = simple_root(leaves, k);
    ent_hash right = simple_root(leaves + k, count - k);
    ent_node_hash(&left, &right, &root);
    return root;
}

static inline void assert_hash(const ent_hash *hash, const char *hex)
{
    char text[2 * ENT_HASH_SIZE + 1];
    ent_hex_encode(ent_hash_bytes(hash), text);
    assert_string_equal(text, hex);
}

static inline int start_crypto(void **state)
{
    (void)state;
    return ent_crypto_init(NULL).code;
}

#endif
