#include "pouch/pouch.h"

#include "pouch/members.h"

/* Room that pouch.json takes beside names and origin: the longest numbers, quotes and keys. */
enum { INDEX_FIXED_BOUND = 128, INDEX_MEMBER_BOUND = 48 };

static uint64_t in_blocks(uint64_t size)
{
    return (size + ENT_USTAR_BLOCK - 1) / ENT_USTAR_BLOCK * ENT_USTAR_BLOCK;
}

uint64_t ent_pouch_size_bound(const ent_pouch *pouch)
{
    char name_memory[ENT_USTAR_NAME_MAX + 1];
    uint64_t members = 0;
    uint64_t index = INDEX_FIXED_BOUND + (uint64_t)pouch->origin.size;
    const size_t count = ent_pouch_member_count(pouch);
    for (size_t i = 0; i < count; i++) {
        ent_text name = {NULL, 0};
        ent_bytes data = {NULL, 0};
        ent_pouch_member_at(pouch, i, name_memory, &name, &data);
        index += INDEX_MEMBER_BOUND + (uint64_t)name.size;
        members += ENT_USTAR_BLOCK + in_blocks(data.size);
    }
    return ENT_USTAR_BLOCK + in_blocks(index) + members + (uint64_t)2 * ENT_USTAR_BLOCK;
}

/* Appends pouch.json of the parts. */
static ent_rc index_of_parts(const ent_pouch *pouch, ent_buf *ret, ent_err *err)
{
    ent_arena arena ENT_CLEANUP(ent_arena_release) = {0};
    ent_pouch_index index = {.origin = pouch->origin, .old_size = pouch->old_size, .size = pouch->size};
    index.member_count = ent_pouch_member_count(pouch);
    index.members = ent_arena_alloc(&arena, index.member_count * sizeof *index.members);
    if (index.members == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu members of a pouch", index.member_count);
    for (size_t i = 0; i < index.member_count; i++) {
        char name_memory[ENT_USTAR_NAME_MAX + 1];
        ent_text name = {NULL, 0};
        ent_bytes data = {NULL, 0};
        ent_pouch_member_at(pouch, i, name_memory, &name, &data);
        index.members[i].name = ent_arena_text(&arena, name);
        index.members[i].size = data.size;
        if (index.members[i].name.data == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu members of a pouch", index.member_count);
    }
    return ent_pouch_index_put(ret, &index, err);
}

/* The exact size, once pouch.json is known. */
static uint64_t whole_size(const ent_pouch *pouch, uint64_t index_size)
{
    char name_memory[ENT_USTAR_NAME_MAX + 1];
    uint64_t size = ENT_USTAR_BLOCK + in_blocks(index_size) + (uint64_t)2 * ENT_USTAR_BLOCK;
    const size_t count = ent_pouch_member_count(pouch);
    for (size_t i = 0; i < count; i++) {
        ent_text name = {NULL, 0};
        ent_bytes data = {NULL, 0};
        ent_pouch_member_at(pouch, i, name_memory, &name, &data);
        size += ENT_USTAR_BLOCK + in_blocks(data.size);
    }
    return size;
}

ent_rc ent_pouch_put(ent_buf *buf, const ent_pouch *pouch, ent_err *err)
{
    ENT_TRY(ent_pouch_parts_check(pouch, ENT_USAGE, err));
    ent_buf index ENT_CLEANUP(ent_buf_release) = {0};
    ENT_TRY(index_of_parts(pouch, &index, err));
    const uint64_t size = whole_size(pouch, index.size);
    if (size > ENT_POUCH_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 11, limits",
                        "the pouch would have %llu bytes, at most %d are allowed", (unsigned long long)size,
                        ENT_POUCH_MAX_BYTES);

    /* All room at once: a failure leaves what was in the buffer as it was. */
    if (ent_buf_reserve(buf, (size_t)size) == NULL)
        return ent_buf_check(buf, err);
    ENT_TRY(ent_ustar_put(buf, ENT_POUCH_INDEX_NAME, ent_buf_bytes(&index), err));
    const size_t count = ent_pouch_member_count(pouch);
    for (size_t i = 0; i < count; i++) {
        char name_memory[ENT_USTAR_NAME_MAX + 1];
        ent_text name = {NULL, 0};
        ent_bytes data = {NULL, 0};
        ent_pouch_member_at(pouch, i, name_memory, &name, &data);
        ENT_TRY(ent_ustar_put(buf, name, data, err));
    }
    ent_ustar_put_end(buf);
    return ent_buf_check(buf, err);
}

void ent_pouch_release(ent_pouch *pouch)
{
    ent_arena_release(&pouch->arena);
    *pouch = (ent_pouch){0};
}
