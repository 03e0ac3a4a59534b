#include "seal/age_internal.h"

static const char rule[] = "age, X25519 recipient stanza";

enum { KEY_SIZE = 32, BASE64_KEY_SIZE = 43 };

#define STANZA_START ENT_TEXT("-> X25519 ")

/* "wrap key = HKDF-SHA-256(ikm = shared secret, salt = ephemeral share || recipient, info)"; the nonce is fixed. */
static const char wrap_info[] = "age-encryption.org/v1/X25519";
static const uint8_t wrap_nonce[ENT_AEAD_NONCE_SIZE];

/* False when the shared secret is all zero. */
static bool derive_wrap_key(const ent_identity *secret, const ent_recipient *other, const ent_recipient *share,
                            const ent_recipient *recipient, ent_aead_key *ret)
{
    uint8_t shared[KEY_SIZE];
    uint8_t salt[2 * KEY_SIZE];
    if (!ent_x25519_shared(secret, other, shared))
        return false;
    memcpy(salt, share->bytes, KEY_SIZE);
    memcpy(salt + KEY_SIZE, recipient->bytes, KEY_SIZE);
    ent_hkdf_sha256(ent_bytes_of(shared, sizeof shared), ent_bytes_of(salt, sizeof salt), ent_text_of(wrap_info),
                    ret->bytes, sizeof ret->bytes);
    ent_wipe(shared, sizeof shared);
    return true;
}

/* "HMAC key = HKDF-SHA-256(ikm = file key, salt = empty, info = "header")" */
static void compute_mac(const ent_file_key *key, ent_bytes header, ent_hash *ret)
{
    uint8_t mac_key[ENT_HASH_SIZE];
    ent_hkdf_sha256(ent_bytes_of(key->bytes, sizeof key->bytes), (ent_bytes){NULL, 0}, ENT_TEXT("header"), mac_key,
                    sizeof mac_key);
    ent_hmac_sha256(ent_bytes_of(mac_key, sizeof mac_key), header, ret);
    ent_wipe(mac_key, sizeof mac_key);
}

/* --- making a header --- */

ent_rc ent_age_recipients_check(const ent_recipient *recipients, size_t count, ent_err *err)
{
    if (count == 0)
        return ent_fail(err, ENT_USAGE, NULL, "a file is sealed to at least one recipient");
    if (count > ENT_AGE_MAX_RECIPIENTS)
        return ent_fail(err, ENT_USAGE, NULL, "%zu recipients are too many (at most %d)", count,
                        ENT_AGE_MAX_RECIPIENTS);
    /* The ephemeral secret depends on the recipient: "A new ephemeral secret MUST be generated for each stanza". */
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (memcmp(recipients[i].bytes, recipients[k].bytes, KEY_SIZE) == 0)
                return ent_fail(err, ENT_USAGE, rule, "recipients %zu and %zu are the same", k + 1, i + 1);
        }
    }
    return ENT_DONE;
}

size_t ent_age_header_size(size_t recipient_count)
{
    size_t stanza = STANZA_START.size + BASE64_KEY_SIZE + 1 + BASE64_KEY_SIZE + 1;
    return ENT_AGE_VERSION_LINE.size + recipient_count * stanza + ENT_TEXT("--- ").size + BASE64_KEY_SIZE + 1;
}

/* design.md section 2: HKDF-SHA256(ikm = file key, salt = payload nonce, info = "entente/eph" || recipient, 32). */
static void derive_ephemeral(const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE],
                             const ent_recipient *recipient, ent_identity *ret)
{
    const ent_text prefix = ENT_TEXT("entente/eph");
    uint8_t info[sizeof "entente/eph" - 1 + KEY_SIZE];
    memcpy(info, prefix.data, prefix.size);
    memcpy(info + prefix.size, recipient->bytes, KEY_SIZE);
    ent_hkdf_sha256_info(ent_bytes_of(key->bytes, sizeof key->bytes), ent_bytes_of(nonce, ENT_AGE_NONCE_SIZE),
                         ent_bytes_of(info, sizeof info), ret->bytes, sizeof ret->bytes);
}

/* False when nothing can be sealed to the recipient. */
static bool put_stanza(ent_buf *buf, const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE],
                       const ent_recipient *recipient)
{
    ent_identity ephemeral;
    ent_recipient share;
    ent_aead_key wrap_key;
    derive_ephemeral(key, nonce, recipient, &ephemeral);
    ent_x25519_recipient(&ephemeral, &share);
    bool usable = derive_wrap_key(&ephemeral, recipient, &share, recipient, &wrap_key);
    if (usable) {
        uint8_t body[ENT_AGE_WRAPPED_KEY_SIZE];
        ent_aead_seal(&wrap_key, wrap_nonce, ent_bytes_of(key->bytes, sizeof key->bytes), body);
        ent_buf_put_text(buf, STANZA_START);
        ent_buf_put_base64_unpadded(buf, ent_bytes_of(share.bytes, sizeof share.bytes));
        ent_buf_put_u8(buf, '\n');
        ent_buf_put_base64_unpadded(buf, ent_bytes_of(body, sizeof body));
        ent_buf_put_u8(buf, '\n');
        ent_wipe(&wrap_key, sizeof wrap_key);
    }
    ent_wipe(&ephemeral, sizeof ephemeral);
    return usable;
}

ent_rc ent_age_header_make(const ent_file_key *key, const uint8_t nonce[ENT_AGE_NONCE_SIZE],
                           const ent_recipient *recipients, size_t count, ent_buf *ret, ent_err *err)
{
    ENT_TRY(ent_age_recipients_check(recipients, count, err));
    /* One allocation at most, and after it no put can fail. */
    if (ent_buf_reserve(ret, ent_age_header_size(count)) == NULL)
        return ent_buf_check(ret, err);
    size_t start = ret->size;
    ent_buf_put_text(ret, ENT_AGE_VERSION_LINE);
    for (size_t i = 0; i < count; i++) {
        if (!put_stanza(ret, key, nonce, &recipients[i])) {
            ret->size = start;
            return ent_fail(err, ENT_USAGE, rule, "nothing can be sealed to recipient %zu: a point of low order",
                            i + 1);
        }
    }
    ent_buf_put_string(ret, "---");
    ent_hash mac;
    compute_mac(key, ent_bytes_of(ret->data + start, ret->size - start), &mac);
    ent_buf_put_u8(ret, ' ');
    ent_buf_put_base64_unpadded(ret, ent_hash_bytes(&mac));
    ent_buf_put_u8(ret, '\n');
    return ent_buf_check(ret, err);
}

/* --- opening a header --- */

static bool is_x25519(const ent_age_stanza *stanza)
{
    return ent_text_is(stanza->type, "X25519");
}

/* "MUST otherwise reject any stanza that has more or less than two arguments, or where the second argument is not a
 * canonical base64 encoding of a 32-byte value. It MUST check that the body length is exactly 32 bytes". All stanzas
 * are looked at before any is tried, so that a header is malformed for every recipient or for none. */
static ent_rc check_stanzas(const ent_age_header *header, ent_err *err)
{
    for (size_t i = 0; i < header->stanza_count; i++) {
        const ent_age_stanza *stanza = &header->stanzas[i];
        uint8_t share[KEY_SIZE];
        if (ent_text_is(stanza->type, "scrypt") && header->stanza_count > 1)
            return ent_fail(err, ENT_PEER_MALFORMED, "age, scrypt recipient stanza",
                            "an scrypt stanza must be the only one in the header");
        if (!is_x25519(stanza))
            continue;
        if (stanza->argument_count != 1)
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "stanza %zu: X25519 has %zu arguments instead of one", i + 1,
                            stanza->argument_count);
        if (ent_base64_decode_fixed(stanza->arguments[0], false, share, sizeof share, NULL).code != ENT_OK)
            return ent_fail(err, ENT_PEER_MALFORMED, rule,
                            "stanza %zu: the ephemeral share is not canonical base64 of 32 bytes", i + 1);
        if (stanza->body.size != ENT_AGE_WRAPPED_KEY_SIZE)
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "stanza %zu: the body has %zu bytes instead of %d", i + 1,
                            stanza->body.size, ENT_AGE_WRAPPED_KEY_SIZE);
    }
    return ENT_DONE;
}

/* Whether this stanza gives the file key.  Errors: PEER_MALFORMED. */
static ent_rc try_stanza(const ent_age_stanza *stanza, const ent_identity *identity, const ent_recipient *recipient,
                         ent_file_key *ret, bool *ret_opened, ent_err *err)
{
    ent_recipient share;
    ent_aead_key wrap_key;
    ENT_TRY(ent_base64_decode_fixed(stanza->arguments[0], false, share.bytes, sizeof share.bytes, err));
    /* "If the shared secret is all 0x00 bytes, the identity implementation MUST abort." */
    if (!derive_wrap_key(identity, &share, &share, recipient, &wrap_key))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the shared secret of a stanza is zero");
    *ret_opened = ent_aead_open(&wrap_key, wrap_nonce, stanza->body, ret->bytes);
    ent_wipe(&wrap_key, sizeof wrap_key);
    return ENT_DONE;
}

static ent_rc wrong_mac(ent_err *err, const char *what)
{
    return ent_fail(err, ENT_PEER_SIGNATURE, "age, Header MAC", "%s", what);
}

ent_rc ent_age_unwrap(const ent_age_header *header, const ent_identity *identity, ent_file_key *ret, ent_err *err)
{
    ENT_TRY(check_stanzas(header, err));
    ent_recipient recipient;
    ent_x25519_recipient(identity, &recipient);
    ent_file_key key;
    bool opened = false;
    ent_rc rc = ENT_DONE;
    for (size_t i = 0; rc.code == ENT_OK && !opened && i < header->stanza_count; i++) {
        if (is_x25519(&header->stanzas[i]))
            rc = try_stanza(&header->stanzas[i], identity, &recipient, &key, &opened, err);
    }
    if (rc.code == ENT_OK && !opened)
        rc = ent_fail(err, ENT_ABSENT, NULL, "not sealed to this identity: none of the %zu stanzas opens with it",
                      header->stanza_count);
    else if (rc.code == ENT_OK && !ent_age_header_verify(header, &key))
        rc = wrong_mac(err, "the header's MAC does not verify: it was changed after sealing");
    if (rc.code == ENT_OK)
        *ret = key;
    ent_wipe(&key, sizeof key);
    return rc;
}

bool ent_age_header_verify(const ent_age_header *header, const ent_file_key *key)
{
    ent_hash mac;
    compute_mac(key, header->mac_input, &mac);
    return ent_equal_secret(mac.bytes, header->mac, sizeof mac.bytes);
}

static ent_rc unwrap_with_identity(void *context, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    return ent_age_unwrap(header, context, ret, err);
}

ent_age_unwrapper ent_age_identity_unwrapper(const ent_identity *identity)
{
    return (ent_age_unwrapper){unwrap_with_identity, (void *)identity};
}

static ent_rc unwrap_with_key(void *context, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    const ent_file_key *key = context;
    if (!ent_age_header_verify(header, key))
        return wrong_mac(err, "this is not the file's key: the header's MAC does not verify with it");
    *ret = *key;
    return ENT_DONE;
}

ent_age_unwrapper ent_age_key_unwrapper(const ent_file_key *key)
{
    return (ent_age_unwrapper){unwrap_with_key, (void *)key};
}

ent_rc ent_age_header_open(ent_bytes bytes, ent_age_unwrapper unwrapper, ent_file_key *ret_key, size_t *ret_size,
                           ent_err *err)
{
    ent_age_header header;
    ent_file_key key;
    ENT_TRY(ent_age_header_parse(bytes, &header, err));
    ent_rc rc = unwrapper.unwrap(unwrapper.context, &header, &key, err);
    /* Whatever the unwrapper is: bytes that the MAC does not cover are never acted upon. */
    if (rc.code == ENT_OK && !ent_age_header_verify(&header, &key))
        rc = wrong_mac(err, "the header's MAC does not verify with the key that was given for it");
    if (rc.code == ENT_OK) {
        *ret_key = key;
        *ret_size = header.size;
    }
    ent_wipe(&key, sizeof key);
    ent_age_header_release(&header);
    return rc;
}
