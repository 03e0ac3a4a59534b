/* What is decoded and encoded again is the same bytes. */
#include "check.h"
#include "pouch/pouch.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_arena arena = {0};
    ent_pouch_index index = {0};
    ent_buf again = {0};
    if (ent_pouch_index_parse(ent_bytes_of(data, size), &arena, &index, NULL).code == ENT_OK) {
        CHECK(ent_pouch_index_put(&again, &index, NULL).code == ENT_OK);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), ent_bytes_of(data, size)));
    } else {
        CHECK(index.members == NULL);
    }
    ent_buf_release(&again);
    ent_arena_release(&arena);
    return 0;
}
