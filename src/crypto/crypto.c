#include "crypto/crypto.h"

#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <sodium.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(ent_sha256_state), "the opaque state holds nettle's");
_Static_assert(sizeof(ent_secret_key) == crypto_sign_SECRETKEYBYTES, "libsodium's layout");

ent_rc ent_crypto_init(ent_err *err)
{
    if (sodium_init() < 0)
        return ent_fail(err, ENT_BUG, NULL, "libsodium cannot start (no source of random numbers?)");
    return ENT_DONE;
}

static struct sha256_ctx *sha256_of(ent_sha256_state *state)
{
    return (struct sha256_ctx *)(void *)state->opaque;
}

void ent_sha256_start(ent_sha256_state *state)
{
    sha256_init(sha256_of(state));
}

void ent_sha256_update(ent_sha256_state *state, ent_bytes data)
{
    if (data.size > 0)
        sha256_update(sha256_of(state), data.size, data.data);
}

void ent_sha256_finish(ent_sha256_state *state, ent_hash *ret)
{
    sha256_digest(sha256_of(state), sizeof ret->bytes, ret->bytes);
}

void ent_sha256(ent_bytes data, ent_hash *ret)
{
    ent_sha256_state state;
    ent_sha256_start(&state);
    ent_sha256_update(&state, data);
    ent_sha256_finish(&state, ret);
}

void ent_hmac_sha256(ent_bytes key, ent_bytes data, ent_hash *ret)
{
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, key.size, key.data);
    hmac_sha256_update(&context, data.size, data.data);
    hmac_sha256_digest(&context, sizeof ret->bytes, ret->bytes);
    ent_wipe(&context, sizeof context);
}

void ent_hkdf_sha256_info(ent_bytes ikm, ent_bytes salt, ent_bytes info, void *out, size_t out_size)
{
    static const uint8_t no_salt[ENT_HASH_SIZE];
    struct hmac_sha256_ctx context;
    uint8_t prk[ENT_HASH_SIZE];
    hmac_sha256_set_key(&context, salt.size == 0 ? sizeof no_salt : salt.size, salt.size == 0 ? no_salt : salt.data);
    hkdf_extract(&context, (nettle_hash_update_func *)hmac_sha256_update, (nettle_hash_digest_func *)hmac_sha256_digest,
                 sizeof prk, ikm.size, ikm.data, prk);
    hmac_sha256_set_key(&context, sizeof prk, prk);
    hkdf_expand(&context, (nettle_hash_update_func *)hmac_sha256_update, (nettle_hash_digest_func *)hmac_sha256_digest,
                sizeof prk, info.size, info.data, out_size, out);
    ent_wipe(prk, sizeof prk);
    ent_wipe(&context, sizeof context);
}

void ent_hkdf_sha256(ent_bytes ikm, ent_bytes salt, ent_text info, void *out, size_t out_size)
{
    ent_hkdf_sha256_info(ikm, salt, ent_text_bytes(info), out, out_size);
}

void ent_random(void *out, size_t size)
{
    randombytes_buf(out, size);
}

void ent_wipe(void *memory, size_t size)
{
    sodium_memzero(memory, size);
}

bool ent_equal_secret(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void ent_ed25519_generate(ent_public_key *ret_public, ent_secret_key *ret_secret)
{
    (void)crypto_sign_keypair(ret_public->bytes, ret_secret->bytes);
}

void ent_ed25519_from_seed(const uint8_t seed[32], ent_public_key *ret_public, ent_secret_key *ret_secret)
{
    (void)crypto_sign_seed_keypair(ret_public->bytes, ret_secret->bytes, seed);
}

void ent_ed25519_public(const ent_secret_key *secret, ent_public_key *ret_public)
{
    (void)crypto_sign_ed25519_sk_to_pk(ret_public->bytes, secret->bytes);
}

void ent_ed25519_sign(const ent_secret_key *secret, ent_bytes message, ent_signature *ret)
{
    (void)crypto_sign_detached(ret->bytes, NULL, message.data, message.size, secret->bytes);
}

bool ent_ed25519_verify(const ent_public_key *key, ent_bytes message, const ent_signature *signature)
{
    return crypto_sign_verify_detached(signature->bytes, message.data, message.size, key->bytes) == 0;
}

void ent_x25519_generate(ent_recipient *ret_recipient, ent_identity *ret_identity)
{
    randombytes_buf(ret_identity->bytes, sizeof ret_identity->bytes);
    ent_x25519_recipient(ret_identity, ret_recipient);
}

void ent_x25519_recipient(const ent_identity *identity, ent_recipient *ret)
{
    (void)crypto_scalarmult_base(ret->bytes, identity->bytes);
}

bool ent_x25519_shared(const ent_identity *identity, const ent_recipient *other, uint8_t ret[32])
{
    /* libsodium answers non-zero exactly when the result is all zero (RFC 7748, section 6.1). */
    if (crypto_scalarmult(ret, identity->bytes, other->bytes) == 0)
        return true;
    ent_wipe(ret, 32);
    return false;
}

void ent_aead_seal(const ent_aead_key *key, const uint8_t nonce[ENT_AEAD_NONCE_SIZE], ent_bytes data, uint8_t *out)
{
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, data.data, data.size, NULL, 0, NULL, nonce, key->bytes);
}

bool ent_aead_open(const ent_aead_key *key, const uint8_t nonce[ENT_AEAD_NONCE_SIZE], ent_bytes sealed, uint8_t *out)
{
    return sealed.size >= ENT_AEAD_TAG_SIZE &&
           crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.size, NULL, 0, nonce,
                                                     key->bytes) == 0;
}

ent_rc ent_passphrase_key(ent_bytes passphrase, const uint8_t salt[ENT_PASSPHRASE_SALT_SIZE], ent_aead_key *ret,
                          ent_err *err)
{
    if (crypto_pwhash(ret->bytes, sizeof ret->bytes, (const char *)passphrase.data, passphrase.size, salt,
                      crypto_pwhash_OPSLIMIT_MODERATE, crypto_pwhash_MEMLIMIT_MODERATE,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return ent_fail(err, ENT_NOMEM, NULL, "Argon2id needs 256 MiB of memory, which is not there");
    return ENT_DONE;
}
