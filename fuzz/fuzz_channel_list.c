/* A list of channels ascends, and is written again as it was read. */
#include "node/channel_list.h"

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_text rest = {(const char *)data, size};
    ent_hash id;
    bool more = true;
    for (size_t at = 0; more; at += ENT_CHANNEL_LIST_LINE) {
        ent_hash before = id;
        char digits[2 * sizeof id.bytes + 1];
        if (ent_channel_list_next(&rest, at == 0 ? NULL : &before, &id, &more, NULL).code != ENT_OK)
            return 0;
        if (!more)
            break;
        CHECK(at == 0 || memcmp(before.bytes, id.bytes, sizeof id.bytes) < 0);
        ent_hex_encode(ent_hash_bytes(&id), digits);
        CHECK(memcmp(data + at, digits, sizeof digits - 1) == 0 && data[at + sizeof digits - 1] == '\n');
    }
    CHECK(rest.size == 0);
    return 0;
}
