/* Feeds what a node asks of its keeper: what is read and written again is the same bytes. */

#include "check.h"

#include "keeper/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes input = ent_bytes_of(data, size);
    ent_wire_request request = {0};
    ent_rc rc = ent_wire_request_parse(input, &request, NULL);
    if (rc.code == ENT_OK) {
        ent_buf again = {0};
        CHECK(request.count <= ENT_WIRE_MAX_ITEMS);
        CHECK(ent_wire_request_put(&request, &again, NULL).code == ENT_OK);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), input));
        ent_buf_release(&again);
    } else {
        CHECK(rc.code == ENT_PEER_MALFORMED);
        CHECK(request.items == NULL);
    }
    ent_wire_request_release(&request);
    return 0;
}
