/* What is read as a genesis is written again as the same bytes; so is an origin. */
#include "message/genesis.h"

#include <stdint.h>
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_origin(ent_text text)
{
    char again[ENT_ORIGIN_TEXT_MAX + 1];
    ent_text party;
    ent_hash channel;
    if (ent_origin_parse(text, &party, &channel, NULL).code == ENT_OK)
        require(ent_text_equal(ent_origin_write(party, &channel, again), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_arena arena = {0};
    ent_buf again = {0};
    ent_genesis genesis;
    ent_err err = {0};
    check_origin(ent_bytes_text(ent_bytes_of(data, size)));
    ent_rc rc = ent_genesis_decode(ent_bytes_of(data, size), &arena, &genesis, &err);
    if (rc.code == ENT_OK) {
        require(ent_genesis_encode(&genesis, &again, NULL).code == ENT_OK);
        require(ent_bytes_equal(ent_buf_bytes(&again), ent_bytes_of(data, size)));
        for (size_t i = 0; i < genesis.member_count; i++)
            require(ent_genesis_member(&genesis, genesis.members[i].name) == (int)i);
    } else {
        require(ent_code_class(rc.code) == ENT_CLASS_PEER && err.code == rc.code && err.text[0] != 0);
    }
    ent_buf_release(&again);
    ent_arena_release(&arena);
    return 0;
}
