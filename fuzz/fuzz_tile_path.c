/* A path that parses is written again as it was. */
#include "log/tile.h"

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_text path = {(const char *)data, size};
    ent_tile_id id;
    char again[ENT_TILE_PATH_MAX];
    if (ent_tile_path_parse(path, &id, NULL).code != ENT_OK)
        return 0;
    CHECK(id.width >= 1 && id.width <= ENT_TILE_WIDTH && id.level <= 63 && (!id.entries || id.level == 0));
    ent_tile_path_format(&id, again);
    CHECK(ent_text_is(path, again));
    return 0;
}
