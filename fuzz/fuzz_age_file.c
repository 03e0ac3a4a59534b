/* Feeds whole age files: opening in memory and in pieces agree, whatever the file. The MAC keeps a mutated header out,
 * so the unwrapper here knows the key of the corpus; and the MAC of an input that is otherwise a header is made anew,
 * so that changed stanzas reach the payload. */

#include "crypto/crypto.h"
#include "seal/age.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* File key 00 01 … 0f: what the corpus is sealed with. */
static ent_file_key known_key(void)
{
    ent_file_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)i;
    return key;
}

static ent_rc append(void *context, ent_bytes bytes, ent_err *err)
{
    ent_buf_put(context, bytes);
    return ent_buf_check(context, err);
}

static ent_rc open_in_pieces(ent_bytes sealed, ent_age_unwrapper unwrapper, size_t piece, ent_buf *ret)
{
    ENT_CLEANUP(ent_age_opener_release) ent_age_opener *opener = NULL;
    ENT_TRY(ent_age_opener_new(unwrapper, (ent_age_sink){append, ret}, &opener, NULL));
    while (sealed.size > 0) {
        size_t taken = sealed.size < piece ? sealed.size : piece;
        ENT_TRY(ent_age_opener_push(opener, ent_bytes_of(sealed.data, taken), NULL));
        sealed = ent_bytes_of(sealed.data + taken, sealed.size - taken);
    }
    return ent_age_opener_finish(opener, NULL);
}

static void check_file(ent_bytes sealed, ent_age_unwrapper unwrapper)
{
    ent_buf whole = {0};
    ent_buf pieces = {0};
    ent_file_key key;
    ent_rc rc = ent_age_open(sealed, unwrapper, &whole, &key, NULL);
    ent_rc same = open_in_pieces(sealed, unwrapper, sealed.size % 977 + 1, &pieces);
    require(rc.code == ENT_OK || whole.size == 0);
    require(same.code == rc.code);
    if (rc.code == ENT_OK) {
        ent_buf again = {0};
        ent_identity identity = {{1}};
        ent_recipient recipient;
        require(ent_bytes_equal(ent_buf_bytes(&whole), ent_buf_bytes(&pieces)));
        /* What was opened, sealed again, opens again. */
        ent_x25519_recipient(&identity, &recipient);
        require(ent_age_seal(ent_buf_bytes(&whole), &recipient, 1, &again, NULL).code == ENT_OK);
        ent_buf_clear(&pieces);
        require(ent_age_open(ent_buf_bytes(&again), ent_age_identity_unwrapper(&identity), &pieces, &key, NULL).code ==
                ENT_OK);
        require(ent_bytes_equal(ent_buf_bytes(&whole), ent_buf_bytes(&pieces)));
        ent_buf_release(&again);
    }
    ent_buf_wipe(&whole);
    ent_buf_wipe(&pieces);
}

/* The same file with the MAC that belongs to its header under the known key. */
static void check_with_mac(ent_bytes sealed, const ent_file_key *key)
{
    ent_age_header header;
    if (ent_age_header_parse(sealed, &header, NULL).code != ENT_OK)
        return;
    ent_buf file = {0};
    uint8_t mac_key[ENT_HASH_SIZE];
    ent_hash mac;
    ent_hkdf_sha256(ent_bytes_of(key->bytes, sizeof key->bytes), (ent_bytes){NULL, 0}, ENT_TEXT("header"), mac_key,
                    sizeof mac_key);
    ent_hmac_sha256(ent_bytes_of(mac_key, sizeof mac_key), header.mac_input, &mac);
    memcpy(header.mac, mac.bytes, sizeof header.mac);
    ent_age_header_put(&file, &header);
    ent_buf_put(&file, ent_bytes_of(sealed.data + header.size, sealed.size - header.size));
    require(ent_buf_check(&file, NULL).code == ENT_OK);
    ent_age_header_release(&header);

    ent_identity identity;
    memset(identity.bytes, 1, sizeof identity.bytes);
    check_file(ent_buf_bytes(&file), ent_age_key_unwrapper(key));
    check_file(ent_buf_bytes(&file), ent_age_identity_unwrapper(&identity));
    ent_recipient recipient;
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    ent_x25519_recipient(&identity, &recipient);
    if (ent_seal_check(ent_buf_bytes(&file), key, &recipient, 1, &verdict, NULL).code == ENT_OK)
        require(verdict != ENT_SEAL_NOT_CHECKED);
    ent_buf_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes sealed = ent_bytes_of(data, size);
    ent_file_key key = known_key();
    require(ent_crypto_init(NULL).code == ENT_OK);
    check_file(sealed, ent_age_key_unwrapper(&key));
    check_with_mac(sealed, &key);
    return 0;
}
