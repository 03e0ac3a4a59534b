/* The one door to the heap, so that tests can fail the Nth allocation. */
#ifndef ENT_BASE_ALLOC_H
#define ENT_BASE_ALLOC_H

#include "base/bytes.h"

/** Allocate zeroed memory; NULL when there is none.  Owns: caller frees with ent_free. */
void *ent_alloc(size_t size);
void *ent_alloc_array(size_t count, size_t size);
/** Resize like realloc; the old block stays valid on failure. */
void *ent_realloc(void *memory, size_t size);
void ent_free(void *memory);
/** Free the pointer that `memory` points to and set it to NULL: for ENT_CLEANUP. */
void ent_free_pointer(void *memory);
/** Copy as a NUL-terminated string; NULL when there is no memory. */
char *ent_text_copy(ent_text text);

/** Make the Nth allocation from now fail (1 = the next); 0 switches off. Tests only. */
void ent_alloc_fail_at(unsigned long nth);
/** Allocations since the last ent_alloc_fail_at. */
unsigned long ent_alloc_count(void);

/** Memory of one decoded message, freed as a whole. Zero-initialised is empty. */
typedef struct ent_arena {
    struct ent_arena_block *blocks;
    size_t used;
    size_t limit; /* bytes; 0 = none */
} ent_arena;

/** Allocate zeroed memory from the arena, aligned for any type; NULL when there is none or the limit is reached. */
void *ent_arena_alloc(ent_arena *arena, size_t size);
/** Copy a text into the arena (a NUL follows it). A NULL data with size > 0 never happens: check data for NULL on
 * failure. */
ent_text ent_arena_text(ent_arena *arena, ent_text text);
void ent_arena_release(ent_arena *arena);

#endif
