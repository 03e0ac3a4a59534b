/* Feeds bech32: what is decoded and encoded again is the same text. */

#include "crypto/crypto.h"
#include "seal/bech32.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(ent_text text, ent_text hrp)
{
    uint8_t data[ENT_BECH32_MAX_DATA];
    size_t size = 0;
    if (ent_bech32_decode(text, hrp, data, &size, NULL).code != ENT_OK)
        return;
    ent_buf again = {0};
    require(ent_bech32_put(&again, hrp, ent_bytes_of(data, size), NULL).code == ENT_OK);
    require(ent_text_equal(ent_buf_text(&again), text));
    ent_buf_release(&again);
}

static void check_keys(ent_text text)
{
    ent_recipient recipient;
    ent_identity identity;
    ent_buf again = {0};
    if (ent_recipient_parse(text, &recipient, NULL).code == ENT_OK) {
        require(ent_recipient_valid(&recipient));
        ent_recipient_put(&again, &recipient);
        require(ent_text_equal(ent_buf_text(&again), text));
    } else if (ent_identity_parse(text, &identity, NULL).code == ENT_OK) {
        ent_x25519_recipient(&identity, &recipient);
        require(ent_recipient_valid(&recipient));
        ent_identity_put(&again, &identity);
        require(ent_text_equal(ent_buf_text(&again), text));
    }
    ent_buf_release(&again);
}

/* The bytes as data to encode. */
static void check_data(ent_bytes data)
{
    uint8_t back[ENT_BECH32_MAX_DATA];
    size_t size = 0;
    ent_buf text = {0};
    if (ent_bech32_put(&text, ENT_TEXT("AGE-SECRET-KEY-"), data, NULL).code == ENT_OK) {
        require(ent_bech32_decode(ent_buf_text(&text), ENT_TEXT("AGE-SECRET-KEY-"), back, &size, NULL).code == ENT_OK);
        require(ent_bytes_equal(ent_bytes_of(back, size), data));
    }
    ent_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_text text = ent_bytes_text(ent_bytes_of(data, size));
    require(ent_crypto_init(NULL).code == ENT_OK);
    check_keys(text);
    check_data(ent_bytes_of(data, size));
    /* Every '1' could end the human-readable part. */
    for (size_t i = 0; i < size && i < ENT_BECH32_MAX_TEXT; i++) {
        if (data[i] == '1')
            check_text(text, (ent_text){text.data, i});
    }
    return 0;
}
