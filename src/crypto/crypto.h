/* The primitives, from libsodium and nettle (SHA-256, HMAC, HKDF). */
#ifndef ENT_CRYPTO_CRYPTO_H
#define ENT_CRYPTO_CRYPTO_H

#include "crypto/types.h"

/** Prepare the libraries; call once before any other function of this stage, from any thread, any number of times.
 *  Errors: BUG when the library cannot start. */
ENT_RC ent_crypto_init(ent_err *err);

void ent_sha256(ent_bytes data, ent_hash *ret);

/** Streaming SHA-256; plain memory, may be copied to fork a computation. */
typedef struct {
    _Alignas(16) uint8_t opaque[128];
} ent_sha256_state;
void ent_sha256_start(ent_sha256_state *state);
void ent_sha256_update(ent_sha256_state *state, ent_bytes data);
/** Give the digest of what was fed; the state starts anew. */
void ent_sha256_finish(ent_sha256_state *state, ent_hash *ret);

void ent_hmac_sha256(ent_bytes key, ent_bytes data, ent_hash *ret);
/** HKDF-SHA256 (RFC 5869) of out_size <= 8160 bytes; an empty salt means 32 zero bytes. */
void ent_hkdf_sha256(ent_bytes ikm, ent_bytes salt, ent_text info, void *out, size_t out_size);
/** The same with info given as bytes. */
void ent_hkdf_sha256_info(ent_bytes ikm, ent_bytes salt, ent_bytes info, void *out, size_t out_size);

void ent_random(void *out, size_t size);
void ent_wipe(void *memory, size_t size);
/** Compare without telling by time where they differ. */
bool ent_equal_secret(const void *a, const void *b, size_t size);

void ent_ed25519_generate(ent_public_key *ret_public, ent_secret_key *ret_secret);
void ent_ed25519_from_seed(const uint8_t seed[32], ent_public_key *ret_public, ent_secret_key *ret_secret);
void ent_ed25519_public(const ent_secret_key *secret, ent_public_key *ret_public);
void ent_ed25519_sign(const ent_secret_key *secret, ent_bytes message, ent_signature *ret);
bool ent_ed25519_verify(const ent_public_key *key, ent_bytes message, const ent_signature *signature);

void ent_x25519_generate(ent_recipient *ret_recipient, ent_identity *ret_identity);
void ent_x25519_recipient(const ent_identity *identity, ent_recipient *ret);
/** Shared secret; false when it is all zero (a low-order point), and then ret is wiped. */
bool ent_x25519_shared(const ent_identity *identity, const ent_recipient *other, uint8_t ret[32]);

enum { ENT_AEAD_TAG_SIZE = 16, ENT_AEAD_NONCE_SIZE = 12 };
/** ChaCha20-Poly1305 (RFC 8439) without additional data; out has room for size + 16 and may be the same memory as data.
 */
void ent_aead_seal(const ent_aead_key *key, const uint8_t nonce[ENT_AEAD_NONCE_SIZE], ent_bytes data, uint8_t *out);
/** Open; out has room for sealed.size - 16. False (and out undefined) when it does not verify. */
bool ent_aead_open(const ent_aead_key *key, const uint8_t nonce[ENT_AEAD_NONCE_SIZE], ent_bytes sealed, uint8_t *out);

enum { ENT_PASSPHRASE_SALT_SIZE = 16 };
/** Argon2id (RFC 9106) at libsodium's MODERATE cost (256 MiB, 3 passes).  Errors: NOMEM.  Blocks: about a second. */
ENT_RC ent_passphrase_key(ent_bytes passphrase, const uint8_t salt[ENT_PASSPHRASE_SALT_SIZE], ent_aead_key *ret,
                          ent_err *err);

#endif
