#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>

static atomic_ulong allocations;
static atomic_ulong fail_at;

void ent_alloc_fail_at(unsigned long nth)
{
    atomic_store(&allocations, 0);
    atomic_store(&fail_at, nth);
}

unsigned long ent_alloc_count(void)
{
    return atomic_load(&allocations);
}

static bool must_fail(void)
{
    unsigned long wanted = atomic_load_explicit(&fail_at, memory_order_relaxed);
    unsigned long count = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    return wanted != 0 && count == wanted;
}

void *ent_alloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size == 0 ? 1 : size);
}

void *ent_alloc_array(size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return ent_alloc(total);
}

void *ent_realloc(void *memory, size_t size)
{
    return must_fail() ? NULL : realloc(memory, size == 0 ? 1 : size);
}

void ent_free(void *memory)
{
    free(memory);
}

void ent_free_pointer(void *memory)
{
    void **pointer = memory;
    ent_free(*pointer);
    *pointer = NULL;
}

char *ent_text_copy(ent_text text)
{
    char *copy = ent_alloc(text.size + 1);
    if (copy != NULL && text.size > 0)
        memcpy(copy, text.data, text.size);
    return copy;
}

enum { ARENA_BLOCK_BYTES = 8192 };

struct ent_arena_block {
    struct ent_arena_block *next;
    size_t used;
    size_t capacity;
    _Alignas(max_align_t) uint8_t memory[];
};

void *ent_arena_alloc(ent_arena *arena, size_t size)
{
    const size_t alignment = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + alignment - 1) / alignment * alignment;
    if (arena->limit != 0 && (size > arena->limit || arena->used > arena->limit - size))
        return NULL;
    struct ent_arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < size) {
        size_t capacity = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
        block = ent_alloc(sizeof *block + capacity);
        if (block == NULL)
            return NULL;
        block->capacity = capacity;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = block->memory + block->used;
    block->used += size;
    arena->used += size;
    return memory;
}

ent_text ent_arena_text(ent_arena *arena, ent_text text)
{
    char *copy = ent_arena_alloc(arena, text.size + 1);
    if (copy == NULL)
        return (ent_text){NULL, 0};
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return (ent_text){copy, text.size};
}

void ent_arena_release(ent_arena *arena)
{
    while (arena->blocks != NULL) {
        struct ent_arena_block *next = arena->blocks->next;
        ent_free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}
