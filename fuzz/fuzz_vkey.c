/* A verifier key that parses is written again as it was, and is what its name, type and key make. */
#include "crypto/crypto.h"
#include "log/note.h"

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_text text = {(const char *)data, size};
    ent_vkey vkey;
    ent_vkey made;
    ent_buf again = {0};
    if (ent_crypto_init(NULL).code != ENT_OK || ent_vkey_parse(text, &vkey, NULL).code != ENT_OK)
        return 0;
    ent_vkey_put(&again, &vkey);
    CHECK(ent_text_equal(ent_buf_text(&again), text));
    CHECK(ent_vkey_make(vkey.name, vkey.type, &vkey.key, &made, NULL).code == ENT_OK);
    CHECK(memcmp(made.id, vkey.id, sizeof made.id) == 0);
    ent_buf_release(&again);
    return 0;
}
