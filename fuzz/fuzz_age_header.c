/* Feeds the age header: what is parsed and written again is the same bytes, wherever the input is cut. */

#include "crypto/crypto.h"
#include "seal/age.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_header(ent_bytes bytes, const ent_age_header *header)
{
    ent_buf again = {0};
    require(header->stanza_count >= 1 && header->stanza_count <= ENT_AGE_MAX_STANZAS);
    require(header->size <= bytes.size && header->size <= ENT_AGE_HEADER_MAX_BYTES);
    require(header->mac_input.data == bytes.data && header->mac_input.size < header->size);
    ent_age_header_put(&again, header);
    require(ent_buf_check(&again, NULL).code == ENT_OK);
    require(ent_bytes_equal(ent_buf_bytes(&again), ent_bytes_of(bytes.data, header->size)));
    ent_buf_release(&again);

    ent_age_header cut;
    require(ent_age_header_parse(ent_bytes_of(bytes.data, header->size - 1), &cut, NULL).code == ENT_PEER_MALFORMED);
    require(ent_age_header_parse(ent_bytes_of(bytes.data, header->size), &cut, NULL).code == ENT_OK);
    ent_age_header_release(&cut);

    /* Whatever the stanzas are, a key comes out only with a MAC that verifies. */
    ent_identity identity = {{1}};
    ent_file_key key;
    if (ent_age_unwrap(header, &identity, &key, NULL).code == ENT_OK)
        require(ent_age_header_verify(header, &key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bytes = ent_bytes_of(data, size);
    ent_age_header header;
    require(ent_crypto_init(NULL).code == ENT_OK);
    ent_rc rc = ent_age_header_parse(bytes, &header, NULL);
    if (rc.code == ENT_OK) {
        check_header(bytes, &header);
        ent_age_header_release(&header);
    } else {
        require(rc.code == ENT_PEER_MALFORMED || rc.code == ENT_PEER_TOO_LARGE);
    }
    return 0;
}
