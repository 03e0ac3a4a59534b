/* A request that is taken is written again as it was, and its words are among its bytes. */
#include "cli/key_request.h"

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bytes = {data, size};
    ent_cli_rotation rotation = {.revoke = false};
    ent_buf again = {0};
    if (ent_cli_key_request_parse(bytes, &rotation, NULL).code != ENT_OK)
        return 0;
    ent_rc rc = ent_cli_key_request_put(&rotation, &again, NULL);
    CHECK(rc.code == ENT_OK || rc.code == ENT_NOMEM);
    CHECK(rc.code != ENT_OK || ent_bytes_equal(ent_buf_bytes(&again), bytes));
    CHECK(rotation.reason != NULL);
    ent_buf_release(&again);
    ent_cli_rotation_release(&rotation);
    return 0;
}
