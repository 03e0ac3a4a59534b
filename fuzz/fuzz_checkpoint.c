/* A checkpoint that parses is written again as it was, can be cosigned, and opens when its log's key signs it. */
#include "crypto/crypto.h"
#include "log/cosignature.h"

#include "check.h"

static void check_signed(const ent_checkpoint *checkpoint)
{
    static const uint8_t seed[32] = {2};
    ent_public_key key;
    ent_secret_key secret;
    ent_note note;
    ent_checkpoint opened;
    ent_buf file = {0};
    ent_ed25519_from_seed(seed, &key, &secret);
    if (ent_checkpoint_sign(checkpoint->origin, &checkpoint->head, &secret, &file, NULL).code == ENT_OK) {
        CHECK(ent_checkpoint_open(ent_buf_bytes(&file), checkpoint->origin, &key, &note, &opened, NULL).code == ENT_OK);
        CHECK(opened.head.size == checkpoint->head.size);
        CHECK(ent_hash_equal(&opened.head.root, &checkpoint->head.root));
        ent_note_release(&note);
    } else {
        CHECK(!ent_key_name_valid(checkpoint->origin)); /* an origin may be more than a key name */
    }
    ent_buf_release(&file);
}

static void check_text(ent_text text)
{
    static const uint8_t seed[32] = {3};
    ent_public_key key;
    ent_secret_key secret;
    ent_cosignature cosignature;
    ent_checkpoint checkpoint;
    ent_buf again = {0};
    ent_ed25519_from_seed(seed, &key, &secret);
    if (ent_checkpoint_parse(text, &checkpoint, NULL).code != ENT_OK) {
        CHECK(ent_cosignature_sign(text, 1, &secret, &cosignature, NULL).code == ENT_USAGE);
        return;
    }
    CHECK(checkpoint.head.size <= ENT_LOG_MAX_SIZE);
    ent_checkpoint_put(&again, checkpoint.origin, &checkpoint.head);
    CHECK(ent_text_equal(ent_buf_text(&again), text));
    ent_buf_release(&again);
    CHECK(ent_cosignature_sign(text, 1, &secret, &cosignature, NULL).code == ENT_OK);
    CHECK(ent_cosignature_verify(text, &cosignature, &key));
    check_signed(&checkpoint);
}

/* The input is a note, or a note text alone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_note note;
    if (ent_crypto_init(NULL).code != ENT_OK)
        return 0;
    if (ent_note_parse((ent_bytes){data, size}, &note, NULL).code == ENT_OK) {
        check_text(note.text);
        ent_note_release(&note);
    }
    check_text((ent_text){(const char *)data, size});
    return 0;
}
