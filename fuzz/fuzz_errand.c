/* Feeds what a node and its errands' process say to each other: what is read and written again is the same bytes. */

#include "check.h"

#include "node/errand_wire.h"

static void check_request(ent_bytes input)
{
    ent_errand_request request = {0};
    ent_buf again = {0};
    ent_rc rc = ent_errand_request_parse(input, &request, NULL);
    if (rc.code == ENT_OK) {
        CHECK(ent_errand_request_put(&request, &again, NULL).code == ENT_OK);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), input));
    } else {
        CHECK(rc.code == ENT_PEER_MALFORMED);
    }
    ent_buf_release(&again);
}

static void check_answer(ent_bytes input)
{
    ent_err outcome = {0};
    ent_bytes content = {NULL, 0};
    ent_buf again = {0};
    ent_rc rc = ent_errand_answer_parse(input, &outcome, &content, NULL);
    if (rc.code == ENT_OK) {
        CHECK(ent_errand_answer_put(&outcome, content, &again, NULL).code == ENT_OK);
        CHECK(ent_bytes_equal(ent_buf_bytes(&again), input));
    } else {
        CHECK(rc.code == ENT_PEER_MALFORMED);
    }
    ent_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_request(ent_bytes_of(data, size));
    check_answer(ent_bytes_of(data, size));
    return 0;
}
