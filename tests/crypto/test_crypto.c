#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"

/* Decode hex of any size up to 256 bytes; gives the number of bytes. */
static size_t from_hex(const char *hex, uint8_t out[256])
{
    size_t size = strlen(hex) / 2;
    assert_in_range(size, 0, 256);
    assert_int_equal(ent_hex_decode(ent_text_of(hex), out, size, NULL).code, ENT_OK);
    return size;
}

static void assert_bytes(const void *bytes, size_t size, const char *hex)
{
    char text[513];
    assert_in_range(size, 0, 256);
    ent_hex_encode(ent_bytes_of(bytes, size), text);
    assert_string_equal(text, hex);
}

/* FIPS 180-4 examples */
static const struct {
    const char *message;
    const char *digest;
} sha256_known[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrst"
     "u",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void test_sha256__published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sha256_known / sizeof *sha256_known; i++) {
        ent_hash digest;
        ent_sha256(ent_text_bytes(ent_text_of(sha256_known[i].message)), &digest);
        assert_bytes(digest.bytes, sizeof digest.bytes, sha256_known[i].digest);
    }
}

static void test_sha256__a_million_letters_in_pieces(void **state)
{
    (void)state;
    char letters[997];
    ent_sha256_state hashing;
    ent_hash digest;
    memset(letters, 'a', sizeof letters);
    ent_sha256_start(&hashing);
    for (size_t left = 1000000; left > 0;) {
        size_t piece = left < sizeof letters ? left : sizeof letters;
        ent_sha256_update(&hashing, ent_bytes_of(letters, piece));
        left -= piece;
    }
    ent_sha256_finish(&hashing, &digest);
    assert_bytes(digest.bytes, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_sha256__state_copies_and_starts_anew(void **state)
{
    (void)state;
    ent_sha256_state hashing;
    ent_hash digest;
    ent_sha256_start(&hashing);
    ent_sha256_update(&hashing, ent_bytes_of("ab", 2));
    ent_sha256_state fork = hashing;
    ent_sha256_update(&fork, ent_bytes_of("x", 1));
    ent_sha256_update(&hashing, ent_bytes_of("c", 1));
    ent_sha256_update(&hashing, (ent_bytes){NULL, 0});
    ent_sha256_finish(&hashing, &digest);
    assert_bytes(digest.bytes, 32, sha256_known[1].digest);
    ent_sha256_finish(&hashing, &digest);
    assert_bytes(digest.bytes, 32, sha256_known[0].digest);
}

/* RFC 4231, cases 1, 2 and 6 */
static void test_hmac__published_vectors(void **state)
{
    (void)state;
    uint8_t key[131];
    ent_hash mac;
    memset(key, 0x0b, 20);
    ent_hmac_sha256(ent_bytes_of(key, 20), ent_bytes_of("Hi There", 8), &mac);
    assert_bytes(mac.bytes, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    ent_hmac_sha256(ent_bytes_of("Jefe", 4), ent_text_bytes(ENT_TEXT("what do ya want for nothing?")), &mac);
    assert_bytes(mac.bytes, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    ent_hmac_sha256(ent_bytes_of(key, sizeof key),
                    ent_text_bytes(ENT_TEXT("Test Using Larger Than Block-Size Key - Hash Key First")), &mac);
    assert_bytes(mac.bytes, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 5869, A.1 to A.3 */
static void test_hkdf__published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *ikm;
        const char *salt;
        const char *info;
        size_t size;
        const char *okm;
    } known[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9", 42,
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435"
         "363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495"
         "969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5"
         "e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         82,
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f"
         "09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", 42,
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint8_t ikm[256];
        uint8_t salt[256];
        uint8_t info[256];
        uint8_t okm[82];
        ent_bytes ikm_bytes = {ikm, from_hex(known[i].ikm, ikm)};
        ent_bytes salt_bytes = {salt, from_hex(known[i].salt, salt)};
        ent_bytes info_bytes = {info, from_hex(known[i].info, info)};
        ent_hkdf_sha256_info(ikm_bytes, salt_bytes, info_bytes, okm, known[i].size);
        assert_bytes(okm, known[i].size, known[i].okm);
        ent_hkdf_sha256(ikm_bytes, salt_bytes, ent_bytes_text(info_bytes), okm, known[i].size);
        assert_bytes(okm, known[i].size, known[i].okm);
    }
}

/* RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc) */
static const struct {
    const char *seed;
    const char *key;
    const char *message;
    const char *signature;
} ed25519_known[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "5"
     "5141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "0"
     "0d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "0"
     "27beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2"
     "a"
     "9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad"
     "9"
     "bef1177331a704"},
};

static void test_ed25519__published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ed25519_known / sizeof *ed25519_known; i++) {
        uint8_t seed[256];
        uint8_t message[256];
        ent_public_key key;
        ent_public_key again;
        ent_secret_key secret;
        ent_signature signature;
        (void)from_hex(ed25519_known[i].seed, seed);
        ent_bytes bytes = {message, from_hex(ed25519_known[i].message, message)};
        ent_ed25519_from_seed(seed, &key, &secret);
        assert_bytes(key.bytes, sizeof key.bytes, ed25519_known[i].key);
        ent_ed25519_public(&secret, &again);
        assert_true(ent_public_key_equal(&key, &again));
        ent_ed25519_sign(&secret, bytes, &signature);
        assert_bytes(signature.bytes, sizeof signature.bytes, ed25519_known[i].signature);
        assert_true(ent_ed25519_verify(&key, bytes, &signature));
    }
}

static void test_ed25519__any_changed_bit_fails(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    ent_signature signature;
    uint8_t message[] = "incident";
    ent_ed25519_generate(&key, &secret);
    ent_ed25519_sign(&secret, ent_bytes_of(message, 8), &signature);
    for (size_t bit = 0; bit < 512; bit++) {
        ent_signature wrong = signature;
        wrong.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(ent_ed25519_verify(&key, ent_bytes_of(message, 8), &wrong));
    }
    for (size_t bit = 0; bit < 256; bit++) {
        ent_public_key wrong = key;
        wrong.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(ent_ed25519_verify(&wrong, ent_bytes_of(message, 8), &signature));
    }
    message[0] ^= 1;
    assert_false(ent_ed25519_verify(&key, ent_bytes_of(message, 8), &signature));
}

/* S + L in place of S: the same signature in another spelling must not verify (RFC 8032, section 5.1.7). */
static void test_ed25519__second_spelling_of_a_signature_fails(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                      0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    ent_public_key key;
    ent_secret_key secret;
    ent_signature signature;
    ent_ed25519_generate(&key, &secret);
    ent_ed25519_sign(&secret, ent_bytes_of("m", 1), &signature);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        unsigned sum = signature.bytes[32 + i] + order[i] + carry;
        signature.bytes[32 + i] = (uint8_t)sum;
        carry = sum >> 8;
    }
    assert_false(ent_ed25519_verify(&key, ent_bytes_of("m", 1), &signature));
}

/* RFC 7748, section 5.2 */
static void test_x25519__published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *scalar;
        const char *point;
        const char *result;
    } known[] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ent_identity identity;
        ent_recipient other;
        uint8_t shared[32];
        assert_int_equal(ent_hex_decode(ent_text_of(known[i].scalar), identity.bytes, 32, NULL).code, ENT_OK);
        assert_int_equal(ent_hex_decode(ent_text_of(known[i].point), other.bytes, 32, NULL).code, ENT_OK);
        assert_true(ent_x25519_shared(&identity, &other, shared));
        assert_bytes(shared, sizeof shared, known[i].result);
    }
}

/* RFC 7748, section 6.1 */
static void test_x25519__published_exchange(void **state)
{
    (void)state;
    static const char secret[] = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    ent_identity alice;
    ent_identity bob;
    ent_recipient to_alice;
    ent_recipient to_bob;
    uint8_t shared[32];
    assert_int_equal(ent_hex_decode(ENT_TEXT("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
                                    alice.bytes, 32, NULL)
                         .code,
                     ENT_OK);
    assert_int_equal(ent_hex_decode(ENT_TEXT("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
                                    bob.bytes, 32, NULL)
                         .code,
                     ENT_OK);
    ent_x25519_recipient(&alice, &to_alice);
    ent_x25519_recipient(&bob, &to_bob);
    assert_bytes(to_alice.bytes, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_bytes(to_bob.bytes, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_true(ent_x25519_shared(&alice, &to_bob, shared));
    assert_bytes(shared, 32, secret);
    assert_true(ent_x25519_shared(&bob, &to_alice, shared));
    assert_bytes(shared, 32, secret);
}

static void test_x25519__generated_pairs_agree(void **state)
{
    (void)state;
    ent_identity one;
    ent_identity two;
    ent_recipient to_one;
    ent_recipient to_two;
    uint8_t first[32];
    uint8_t second[32];
    ent_x25519_generate(&to_one, &one);
    ent_x25519_generate(&to_two, &two);
    assert_memory_not_equal(one.bytes, two.bytes, 32);
    assert_true(ent_x25519_shared(&one, &to_two, first));
    assert_true(ent_x25519_shared(&two, &to_one, second));
    assert_memory_equal(first, second, 32);
}

/* "MAY check, without leaking extra information about the value of K, whether K is the all-zero value and abort": every
 * point of small order gives that value. */
static void test_x25519__points_of_small_order_are_refused(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    static const uint8_t zero[32];
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        ent_identity identity;
        ent_recipient unused;
        ent_recipient point;
        uint8_t shared[32] = {42};
        ent_x25519_generate(&unused, &identity);
        assert_int_equal(ent_hex_decode(ent_text_of(points[i]), point.bytes, 32, NULL).code, ENT_OK);
        assert_false(ent_x25519_shared(&identity, &point, shared));
        assert_memory_equal(shared, zero, 32);
    }
}

/* RFC 8439, section 2.8.2: key, nonce, plaintext and ciphertext. The tag there is over additional data too, which is
 * not used here; the tag below was computed by another implementation (pyca/cryptography). */
static const char sunscreen[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                                "future, sunscreen would be it.";
static const char sunscreen_sealed[] =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b29"
    "05d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b"
    "6116"
    "6a23a4681fd59456aea1d29f82477216";
static const uint8_t sunscreen_nonce[ENT_AEAD_NONCE_SIZE] = {7,    0,    0,    0,    0x40, 0x41,
                                                             0x42, 0x43, 0x44, 0x45, 0x46, 0x47};

static ent_aead_key sunscreen_key(void)
{
    ent_aead_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)(0x80 + i);
    return key;
}

static void test_aead__published_vector(void **state)
{
    (void)state;
    ent_aead_key key = sunscreen_key();
    uint8_t sealed[sizeof sunscreen - 1 + ENT_AEAD_TAG_SIZE];
    ent_aead_seal(&key, sunscreen_nonce, ent_text_bytes(ENT_TEXT("")), sealed);
    assert_bytes(sealed, ENT_AEAD_TAG_SIZE, "a0784d7a4716f3feb4f64e7f4b39bf04");
    ent_aead_seal(&key, sunscreen_nonce, ent_bytes_of(sunscreen, sizeof sunscreen - 1), sealed);
    assert_bytes(sealed, sizeof sealed, sunscreen_sealed);
}

static void test_aead__opens_in_place_and_refuses_any_change(void **state)
{
    (void)state;
    ent_aead_key key = sunscreen_key();
    uint8_t memory[sizeof sunscreen - 1 + ENT_AEAD_TAG_SIZE];
    uint8_t out[sizeof memory];
    memcpy(memory, sunscreen, sizeof sunscreen - 1);
    ent_aead_seal(&key, sunscreen_nonce, ent_bytes_of(memory, sizeof sunscreen - 1), memory);
    assert_bytes(memory, sizeof memory, sunscreen_sealed);
    for (size_t bit = 0; bit < sizeof memory * 8; bit++) {
        memory[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(ent_aead_open(&key, sunscreen_nonce, ent_bytes_of(memory, sizeof memory), out));
        memory[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t size = 0; size < sizeof memory; size++)
        assert_false(ent_aead_open(&key, sunscreen_nonce, ent_bytes_of(memory, size), out));
    key.bytes[0] ^= 1;
    assert_false(ent_aead_open(&key, sunscreen_nonce, ent_bytes_of(memory, sizeof memory), out));
    key.bytes[0] ^= 1;
    assert_true(ent_aead_open(&key, sunscreen_nonce, ent_bytes_of(memory, sizeof memory), memory));
    assert_memory_equal(memory, sunscreen, sizeof sunscreen - 1);
}

/* Argon2id at 3 passes and 256 MiB, by another implementation (pyca/cryptography). */
static void test_passphrase_key__equals_other_implementation(void **state)
{
    (void)state;
    uint8_t salt[ENT_PASSPHRASE_SALT_SIZE];
    ent_aead_key key;
    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    assert_int_equal(
        ent_passphrase_key(ent_text_bytes(ENT_TEXT("correct horse battery staple")), salt, &key, NULL).code, ENT_OK);
    assert_bytes(key.bytes, 32, "aad608b5866cef907f47d5cae529ed01a91301c92c5d5fef46e1a65e394e5742");
}

static void test_random__does_not_repeat(void **state)
{
    (void)state;
    uint8_t one[32] = {0};
    uint8_t two[32] = {0};
    ent_random(one, sizeof one);
    ent_random(two, sizeof two);
    assert_memory_not_equal(one, two, sizeof one);
}

static void test_equal_secret__and_wipe(void **state)
{
    (void)state;
    uint8_t one[16] = "sixteen letters";
    uint8_t two[16] = "sixteen letters";
    static const uint8_t zero[16];
    assert_true(ent_equal_secret(one, two, 16));
    two[15] = 1;
    assert_false(ent_equal_secret(one, two, 16));
    assert_true(ent_equal_secret(one, two, 15));
    ent_wipe(one, sizeof one);
    assert_memory_equal(one, zero, sizeof one);
}

static int start(void **state)
{
    (void)state;
    return ent_crypto_init(NULL).code + ent_crypto_init(NULL).code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256__published_vectors),
        cmocka_unit_test(test_sha256__a_million_letters_in_pieces),
        cmocka_unit_test(test_sha256__state_copies_and_starts_anew),
        cmocka_unit_test(test_hmac__published_vectors),
        cmocka_unit_test(test_hkdf__published_vectors),
        cmocka_unit_test(test_ed25519__published_vectors),
        cmocka_unit_test(test_ed25519__any_changed_bit_fails),
        cmocka_unit_test(test_ed25519__second_spelling_of_a_signature_fails),
        cmocka_unit_test(test_x25519__published_vectors),
        cmocka_unit_test(test_x25519__published_exchange),
        cmocka_unit_test(test_x25519__generated_pairs_agree),
        cmocka_unit_test(test_x25519__points_of_small_order_are_refused),
        cmocka_unit_test(test_aead__published_vector),
        cmocka_unit_test(test_aead__opens_in_place_and_refuses_any_change),
        cmocka_unit_test(test_passphrase_key__equals_other_implementation),
        cmocka_unit_test(test_random__does_not_repeat),
        cmocka_unit_test(test_equal_secret__and_wipe),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
