/* Feeds what a keeper answers to each kind of request: what is read and written again is the same bytes. */

#include "check.h"

#include "keeper/wire.h"

static void check(ent_bytes input, ent_wire_kind kind, size_t count)
{
    ent_keeper_request items[3] = {{.what = 0}, {.what = 0}, {.what = 0}};
    ent_wire_answer answer = {.kind = kind, .items = items, .count = count};
    ent_rc rc = ent_wire_answer_parse(input, &answer, NULL);
    if (rc.code == ENT_OK) {
        ent_buf again = {0};
        CHECK(ent_wire_answer_put(&answer, &again, NULL).code == ENT_OK);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), input));
        ent_buf_release(&again);
    } else {
        CHECK(rc.code == ENT_PEER_MALFORMED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = ENT_WIRE_PUBLICS; kind <= ENT_WIRE_UNWRAP; kind++) {
        for (size_t count = 0; count <= 3; count++)
            check(ent_bytes_of(data, size), (ent_wire_kind)kind, count);
    }
    return 0;
}
