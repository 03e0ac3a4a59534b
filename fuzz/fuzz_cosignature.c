/* A timestamped signature that parses is put into a note and found there again; none but the key's own verifies. */
#include "crypto/crypto.h"
#include "log/cosignature.h"

#include "check.h"

static const char checkpoint_text[] = "log.example/first\n1000\n7Vj+IhBXF87t92CkPu37FzpgxE70D9YbbNhr1Ou1m2E=\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[32] = {4};
    ent_text text = ent_text_of(checkpoint_text);
    ent_public_key key;
    ent_secret_key secret;
    ent_vkey vkey;
    ent_cosignature cosignature;
    ent_cosignature own;
    ent_cosignature found;
    ent_note note;
    ent_buf file = {0};
    if (ent_crypto_init(NULL).code != ENT_OK ||
        ent_cosignature_parse((ent_bytes){data, size}, &cosignature, NULL).code != ENT_OK)
        return 0;
    CHECK(size == ENT_COSIGNATURE_SIZE && cosignature.timestamp_unix_s <= INT64_MAX);
    ent_ed25519_from_seed(seed, &key, &secret);
    CHECK(ent_vkey_make(ENT_TEXT("w.example"), ENT_KEY_COSIGNATURE, &key, &vkey, NULL).code == ENT_OK);
    CHECK(ent_cosignature_sign(text, cosignature.timestamp_unix_s, &secret, &own, NULL).code == ENT_OK);
    bool is_own = memcmp(own.signature.bytes, cosignature.signature.bytes, sizeof own.signature.bytes) == 0;
    CHECK(ent_cosignature_verify(text, &cosignature, &key) == is_own);

    ent_buf_put_text(&file, text);
    ent_buf_put_u8(&file, '\n');
    ent_note_put_cosignature(&file, &vkey, &cosignature);
    CHECK(ent_note_parse(ent_buf_bytes(&file), &note, NULL).code == ENT_OK);
    CHECK(ent_bytes_equal(note.signatures[0].signature, (ent_bytes){data, size}));
    CHECK(ent_note_verify_cosignature(&note, &vkey, &found) == (is_own ? ENT_SIGNATURE_VALID : ENT_SIGNATURE_INVALID));
    ent_note_release(&note);
    ent_buf_release(&file);
    return 0;
}
