/* Kinds of key material, each a type of its own so that they cannot be swapped. */
#ifndef ENT_CRYPTO_TYPES_H
#define ENT_CRYPTO_TYPES_H

#include "base/bytes.h"

enum { ENT_HASH_SIZE = 32, ENT_SIGNATURE_SIZE = 64, ENT_FILE_KEY_SIZE = 16 };

/** SHA-256 digest. */
typedef struct {
    uint8_t bytes[32];
} ent_hash;
/** Ed25519 public key (RFC 8032). */
typedef struct {
    uint8_t bytes[32];
} ent_public_key;
/** Ed25519 seed and public key, as libsodium keeps them; wiped by its owner. */
typedef struct {
    uint8_t bytes[64];
} ent_secret_key;
/** Ed25519 signature. */
typedef struct {
    uint8_t bytes[64];
} ent_signature;
/** X25519 recipient (RFC 7748). */
typedef struct {
    uint8_t bytes[32];
} ent_recipient;
/** X25519 identity; wiped by its owner. */
typedef struct {
    uint8_t bytes[32];
} ent_identity;
/** age file key: whoever has it can open that file. */
typedef struct {
    uint8_t bytes[16];
} ent_file_key;
/** ChaCha20-Poly1305 key; wiped by its owner. */
typedef struct {
    uint8_t bytes[32];
} ent_aead_key;

static inline ent_bytes ent_hash_bytes(const ent_hash *hash)
{
    return (ent_bytes){hash->bytes, sizeof hash->bytes};
}

static inline bool ent_hash_equal(const ent_hash *a, const ent_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static inline bool ent_public_key_equal(const ent_public_key *a, const ent_public_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

#endif
