/* A note that parses is exactly its text, an empty line and its signature lines, each written again as it was. */
#include "crypto/crypto.h"
#include "log/cosignature.h"

#include "check.h"

static void check_note(const ent_note *note, ent_bytes bytes)
{
    ent_buf again = {0};
    CHECK(note->signature_count >= 1 && note->signature_count <= ENT_NOTE_MAX_SIGNATURES);
    ent_buf_put_text(&again, note->text);
    ent_buf_put_u8(&again, '\n');
    for (size_t i = 0; i < note->signature_count; i++) {
        const ent_note_signature *signature = &note->signatures[i];
        ent_vkey vkey = {.name = signature->name};
        CHECK(ent_key_name_valid(signature->name));
        CHECK(signature->signature.size > 0);
        memcpy(vkey.id, signature->id, sizeof vkey.id);
        size_t before = again.size;
        ent_note_put_signature(&again, &vkey, signature->signature);
        CHECK(ent_text_equal((ent_text){(const char *)again.data + before, again.size - before}, signature->line));
        /* An unknown key never verifies, whichever way it is asked for. */
        vkey.type = ENT_KEY_ED25519;
        CHECK(ent_note_verify(note, &vkey) == ENT_SIGNATURE_INVALID);
        vkey.type = ENT_KEY_COSIGNATURE;
        CHECK(ent_note_verify_cosignature(note, &vkey, NULL) == ENT_SIGNATURE_INVALID);
    }
    CHECK(ent_buf_check(&again, NULL).code == ENT_OK);
    CHECK(ent_bytes_equal(ent_buf_bytes(&again), bytes));
    ent_buf_release(&again);
}

/* Any bytes that can be a note text can be signed, and read back to the same text. */
static void check_signing(ent_text text)
{
    static const uint8_t seed[32] = {1};
    ent_public_key key;
    ent_secret_key secret;
    ent_vkey vkey;
    ent_note note;
    ent_buf signed_note = {0};
    ent_ed25519_from_seed(seed, &key, &secret);
    CHECK(ent_vkey_make(ENT_TEXT("fuzz.example"), ENT_KEY_ED25519, &key, &vkey, NULL).code == ENT_OK);
    if (ent_note_sign(text, &vkey, &secret, &signed_note, NULL).code == ENT_OK) {
        CHECK(ent_note_parse(ent_buf_bytes(&signed_note), &note, NULL).code == ENT_OK);
        CHECK(ent_text_equal(note.text, text));
        CHECK(note.signature_count == 1);
        CHECK(ent_note_verify(&note, &vkey) == ENT_SIGNATURE_VALID);
        ent_note_release(&note);
    }
    ent_buf_release(&signed_note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bytes = {data, size};
    ent_note note;
    if (ent_crypto_init(NULL).code != ENT_OK)
        return 0;
    if (ent_note_parse(bytes, &note, NULL).code == ENT_OK) {
        check_note(&note, bytes);
        ent_note_release(&note);
    }
    if (size <= 4096)
        check_signing(ent_bytes_text(bytes));
    return 0;
}
