/* Feeds cards, as they are and, since a mutated card never passes its signature, also signed anew: the first two lines
 * of the input become the text of a note by the root key of the corpus (seed 01…01). A card that is read and signed
 * again is read as the same card. */

#include "crypto/crypto.h"
#include "seal/card.h"

#include <stdlib.h>

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

static void check_card(const ent_card_opened *opened)
{
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ent_public_key root;
    ent_secret_key secret;
    require(ent_card_fingerprint(&opened->card, fingerprint, NULL).code == ENT_OK);
    require(ent_fingerprint_matches(fingerprint, ent_text_of(fingerprint)));
    require(ent_card_succeeds(opened, opened, NULL).code == ENT_PEER_MISMATCH);
    root_pair(&root, &secret);
    if (!ent_public_key_equal(&root, &opened->card.root))
        return;

    /* Unknown members and spaces are gone in the first copy; from then on the bytes stay. It may be larger than the
     * input, when characters of the input were written shorter than we write them. */
    ent_buf first = {0};
    ent_buf second = {0};
    ent_card_opened copy;
    ent_rc rc = ent_card_sign(&opened->card, &secret, &first, NULL);
    if (rc.code == ENT_OK) {
        require(ent_card_parse(ent_buf_bytes(&first), &copy, NULL).code == ENT_OK);
        require(ent_card_sign(&copy.card, &secret, &second, NULL).code == ENT_OK);
        require(ent_bytes_equal(ent_buf_bytes(&first), ent_buf_bytes(&second)));
        ent_card_release(&copy);
    } else {
        require(rc.code == ENT_USAGE && first.size == 0);
    }
    ent_buf_release(&first);
    ent_buf_release(&second);
}

static void check_bytes(ent_bytes bytes)
{
    ent_card_opened opened;
    ent_rc rc = ent_card_parse(bytes, &opened, NULL);
    if (rc.code == ENT_OK) {
        check_card(&opened);
        ent_card_release(&opened);
    } else {
        require(ent_code_class(rc.code) == ENT_CLASS_PEER);
    }
}

/* "entente.card/v1 <party>": the root key's name in the signature must be that party's. */
static void check_signed_anew(ent_bytes bytes)
{
    const uint8_t *first = bytes.size == 0 ? NULL : memchr(bytes.data, '\n', bytes.size);
    const uint8_t *space = first == NULL ? NULL : memchr(bytes.data, ' ', (size_t)(first - bytes.data));
    const uint8_t *end = bytes.data + bytes.size;
    const uint8_t *second = space == NULL ? NULL : memchr(first + 1, '\n', (size_t)(end - first - 1));
    if (second == NULL)
        return;
    ent_buf name = {0};
    ent_buf note = {0};
    ent_vkey vkey;
    ent_public_key root;
    ent_secret_key secret;
    root_pair(&root, &secret);
    ent_root_key_name_put(&name, ent_bytes_text(ent_bytes_of(space + 1, (size_t)(first - space - 1))));
    require(ent_buf_check(&name, NULL).code == ENT_OK);
    ent_text text = ent_bytes_text(ent_bytes_of(bytes.data, (size_t)(second - bytes.data) + 1));
    if (ent_vkey_make(ent_buf_text(&name), ENT_KEY_ED25519, &root, &vkey, NULL).code == ENT_OK &&
        ent_note_sign(text, &vkey, &secret, &note, NULL).code == ENT_OK)
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
