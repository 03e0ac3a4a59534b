#include "seal/age_internal.h"

ent_rc ent_seal_check(ent_bytes sealed, const ent_file_key *key, const ent_recipient *recipients, size_t count,
                      ent_seal_verdict *ret, ent_err *err)
{
    ent_age_header header;
    ENT_TRY(ent_age_header_parse(sealed, &header, err));
    size_t size = header.size;
    bool ours = ent_age_header_verify(&header, key);
    ent_age_header_release(&header);
    /* Anybody can show a wrong key. It says nothing about the one who sealed. */
    if (!ours)
        return ent_fail(err, ENT_PEER_SIGNATURE, "age, Header MAC",
                        "the revealed key is not this file's: the header's MAC does not verify with it");
    if (sealed.size - size < ENT_AGE_NONCE_SIZE)
        return ent_fail(err, ENT_PEER_MALFORMED, "age, Payload", "the file ends in its payload nonce");

    ENT_CLEANUP(ent_buf_release) ent_buf expected = {0};
    ENT_TRY(ent_age_header_make(key, sealed.data + size, recipients, count, &expected, err));
    bool equal = ent_bytes_equal(ent_buf_bytes(&expected), ent_bytes_of(sealed.data, size));
    *ret = equal ? ENT_SEAL_AS_AGREED : ENT_SEAL_OTHERWISE;
    return ENT_DONE;
}
