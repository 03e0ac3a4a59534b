/* What the tests of the seal stage share: fixed keys, files built by hand, sinks that collect. */
#ifndef ENT_TESTS_SEAL_SUPPORT_H
#define ENT_TESTS_SEAL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "seal/age_internal.h"

#define assert_ok(call) assert_int_equal((call).code, ENT_OK)
#define assert_code(call, expected) assert_int_equal((call).code, (expected))
#define assert_bytes(actual, expected)                                                                                 \
    do {                                                                                                               \
        ent_bytes actual_ = (actual);                                                                                  \
        ent_bytes expected_ = (expected);                                                                              \
        assert_int_equal(actual_.size, expected_.size);                                                                \
        assert_true(ent_bytes_equal(actual_, expected_));                                                              \
    } while (0)

static inline int start_crypto(void **state)
{
    (void)state;
    return ent_crypto_init(NULL).code;
}

/* The identity whose 32 bytes are all `fill`. */
static inline ent_identity identity_of(uint8_t fill)
{
    ent_identity identity;
    memset(identity.bytes, fill, sizeof identity.bytes);
    return identity;
}

static inline ent_recipient recipient_of(uint8_t fill)
{
    ent_identity identity = identity_of(fill);
    ent_recipient recipient;
    ent_x25519_recipient(&identity, &recipient);
    return recipient;
}

/* The key pair whose seed is 32 times `fill`. */
static inline void key_pair(uint8_t fill, ent_public_key *ret_public, ent_secret_key *ret_secret)
{
    uint8_t seed[32];
    memset(seed, fill, sizeof seed);
    ent_ed25519_from_seed(seed, ret_public, ret_secret);
}

static inline ent_public_key public_of(uint8_t fill)
{
    ent_public_key key;
    ent_secret_key secret;
    key_pair(fill, &key, &secret);
    return key;
}

/* 00 01 … 0f */
static inline ent_file_key fixed_key(void)
{
    ent_file_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)i;
    return key;
}

/* 10 11 … 1f */
static inline void fixed_nonce(uint8_t nonce[ENT_AGE_NONCE_SIZE])
{
    for (size_t i = 0; i < ENT_AGE_NONCE_SIZE; i++)
        nonce[i] = (uint8_t)(16 + i);
}

/* Bytes that do not repeat with the size of a chunk. */
static inline ent_buf pattern(size_t size)
{
    ent_buf buf = {0};
    uint8_t *room = ent_buf_reserve(&buf, size + 1);
    assert_non_null(room);
    for (size_t i = 0; i < size; i++)
        room[i] = (uint8_t)(i * 7 + i / 251);
    buf.size = size;
    return buf;
}

/* Append "---" and the MAC that belongs to everything in the buffer. */
static inline void put_mac(ent_buf *file, const ent_file_key *key)
{
    uint8_t mac_key[32];
    ent_hash mac;
    ent_buf_put_string(file, "---");
    ent_hkdf_sha256(ent_bytes_of(key->bytes, sizeof key->bytes), (ent_bytes){NULL, 0}, ENT_TEXT("header"), mac_key,
                    sizeof mac_key);
    ent_hmac_sha256(ent_bytes_of(mac_key, sizeof mac_key), ent_buf_bytes(file), &mac);
    ent_buf_put_u8(file, ' ');
    ent_buf_put_base64_unpadded(file, ent_hash_bytes(&mac));
    ent_buf_put_u8(file, '\n');
}

/* Append a chunk sealed with any number and flag. */
static inline void put_chunk(ent_buf *file, const ent_file_key *key, uint64_t number, bool final, ent_bytes plaintext)
{
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ent_age_stream stream;
    fixed_nonce(nonce);
    ent_age_stream_start(&stream, key, nonce);
    stream.chunk = number;
    uint8_t *room = ent_buf_reserve(file, plaintext.size + ENT_AEAD_TAG_SIZE);
    assert_non_null(room);
    ent_age_stream_seal(&stream, plaintext, final, room);
    file->size += plaintext.size + ENT_AEAD_TAG_SIZE;
}

/* A sink that collects, and fails at the Nth write (0 = never). */
typedef struct {
    ent_buf got;
    unsigned writes;
    unsigned fail_at;
} collector;

static inline ent_rc collect(void *context, ent_bytes bytes, ent_err *err)
{
    collector *into = context;
    if (++into->writes == into->fail_at)
        return ent_fail(err, ENT_IO_FULL, NULL, "the disk is full");
    ent_buf_put(&into->got, bytes);
    return ent_buf_check(&into->got, err);
}

static inline ent_age_sink sink_of(collector *into)
{
    return (ent_age_sink){collect, into};
}

/* Feed a file in pieces of one size; gives the first failure, or what finish said. */
static inline ent_rc open_in_pieces(ent_bytes sealed, const ent_identity *identity, size_t piece, collector *into,
                                    ent_err *err)
{
    ENT_CLEANUP(ent_age_opener_release) ent_age_opener *opener = NULL;
    ENT_TRY(ent_age_opener_new(ent_age_identity_unwrapper(identity), sink_of(into), &opener, err));
    while (sealed.size > 0) {
        size_t taken = sealed.size < piece ? sealed.size : piece;
        ENT_TRY(ent_age_opener_push(opener, ent_bytes_of(sealed.data, taken), err));
        sealed = ent_bytes_of(sealed.data + taken, sealed.size - taken);
    }
    return ent_age_opener_finish(opener, err);
}

#endif
