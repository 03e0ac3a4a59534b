/* Feeds cutoff notes of north.example, as they are and, since a mutated note never passes its signature, their text
 * signed anew by the root key of the corpus (seed 01…01). What is read is signed again with the same bytes. */

#include "crypto/crypto.h"
#include "seal/card.h"
#include "seal/cutoff.h"

#include <stdlib.h>

#define PARTY ENT_TEXT("north.example")

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void root_pair(ent_public_key *ret_public, ent_secret_key *ret_secret)
{
    uint8_t seed[32];
    memset(seed, 1, sizeof seed);
    ent_ed25519_from_seed(seed, ret_public, ret_secret);
}

static void check_bytes(ent_bytes bytes)
{
    ent_public_key root;
    ent_secret_key secret;
    ent_cutoffs cutoffs;
    root_pair(&root, &secret);
    ent_rc rc = ent_cutoffs_parse(bytes, PARTY, &root, &cutoffs, NULL);
    if (rc.code != ENT_OK) {
        require(ent_code_class(rc.code) == ENT_CLASS_PEER);
        return;
    }
    ent_buf again = {0};
    ent_cutoffs read;
    require(cutoffs.count > 0 && ent_cutoffs_extend(&cutoffs, &cutoffs, NULL).code == ENT_OK);
    require(ent_cutoffs_sign(&cutoffs, PARTY, &secret, &again, NULL).code == ENT_OK);
    require(again.size <= bytes.size); /* other signature lines are gone */
    require(ent_cutoffs_parse(ent_buf_bytes(&again), PARTY, &root, &read, NULL).code == ENT_OK);
    require(ent_cutoffs_extend(&cutoffs, &read, NULL).code == ENT_OK && read.count == cutoffs.count);
    ent_buf_release(&again);
}

static void check_signed_anew(ent_bytes bytes)
{
    ent_buf name = {0};
    ent_buf note = {0};
    ent_vkey vkey;
    ent_public_key root;
    ent_secret_key secret;
    size_t end = 0;
    for (size_t i = 0; i + 1 < bytes.size && end == 0; i++) {
        if (bytes.data[i] == '\n' && bytes.data[i + 1] == '\n')
            end = i + 1;
    }
    root_pair(&root, &secret);
    ent_root_key_name_put(&name, PARTY);
    require(ent_vkey_make(ent_buf_text(&name), ENT_KEY_ED25519, &root, &vkey, NULL).code == ENT_OK);
    ent_text text = {(const char *)bytes.data, end};
    if (end > 0 && ent_note_sign(text, &vkey, &secret, &note, NULL).code == ENT_OK)
        check_bytes(ent_buf_bytes(&note));
    ent_buf_release(&name);
    ent_buf_release(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bytes = ent_bytes_of(data, size);
    require(ent_crypto_init(NULL).code == ENT_OK);
    check_bytes(bytes);
    check_signed_anew(bytes);
    return 0;
}
