#include "support.h"

#include "seal/bech32.h"

/* BIP 173, Test vectors. */
static const struct {
    const char *hrp;
    const char *text;
} valid[] = {
    {"A", "A12UEL5L"},
    {"a", "a12uel5l"},
    {"an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio",
     "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs"},
    {"abcdef", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"},
    {"1", "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j"},
    {"split", "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w"},
    {"?", "?1ezyfcl"},
};

static const struct {
    const char *hrp;
    const char *text;
} invalid[] = {
    {"pzry", "pzry9x0s0muk"}, /* no separator */
    {"x", "x1b4n0q5v"},       /* invalid data character */
    {"li", "li1dgmt3"},       /* too short checksum */
    {"de", "de1lg7wt\xff"},   /* invalid character in checksum */
    {"A", "A1G7SGD8"},        /* checksum calculated with the upper-case hrp */
    {"a", "A12UEL5L"},        /* the text's case is the hrp's */
    {"A", "a12uel5l"},
    {"a", "a12uel5L"}, /* mixed case */
    {"A", "A12UEl5L"},
    {"a", "a12uel5"},
    {"a", "a12uel5l "},
    {"a", ""},
    {"a", "a"},
    {"a", "a1"},
    {"abc", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"},
};

/* C2SP age, The X25519 recipient type. */
static const char age_identity[] = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
static const char age_recipient[] = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

static void test_bech32__bip173_vectors_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        uint8_t data[ENT_BECH32_MAX_DATA];
        size_t size = 0;
        ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
        assert_ok(ent_bech32_decode(ent_text_of(valid[i].text), ent_text_of(valid[i].hrp), data, &size, NULL));
        assert_ok(ent_bech32_put(&again, ent_text_of(valid[i].hrp), ent_bytes_of(data, size), NULL));
        assert_bytes(ent_buf_bytes(&again), ent_text_bytes(ent_text_of(valid[i].text)));
    }
}

static void test_bech32__invalid_text_refused_and_output_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        uint8_t data[ENT_BECH32_MAX_DATA] = {0x5a};
        size_t size = 77;
        assert_code(ent_bech32_decode(ent_text_of(invalid[i].text), ent_text_of(invalid[i].hrp), data, &size, NULL),
                    ENT_PEER_MALFORMED);
        assert_int_equal(size, 77);
        assert_int_equal(data[0], 0x5a);
    }
}

static void test_bech32__bad_hrp_or_size_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "aB", "a b", "a\x7f", "\x80"};
    uint8_t data[ENT_BECH32_MAX_DATA + 1] = {0};
    size_t size = 0;
    ENT_CLEANUP(ent_buf_release) ent_buf buf = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_code(ent_bech32_put(&buf, ent_text_of(bad[i]), ent_bytes_of(data, 1), NULL), ENT_USAGE);
        assert_code(ent_bech32_decode(ENT_TEXT("a12uel5l"), ent_text_of(bad[i]), data, &size, NULL), ENT_USAGE);
    }
    char long_hrp[84];
    memset(long_hrp, 'a', sizeof long_hrp);
    assert_code(ent_bech32_put(&buf, (ent_text){long_hrp, 84}, ent_bytes_of(data, 1), NULL), ENT_USAGE);
    assert_code(ent_bech32_put(&buf, (ent_text){long_hrp, 83}, ent_bytes_of(data, 64), NULL), ENT_USAGE);
    assert_code(ent_bech32_put(&buf, ENT_TEXT("a"), ent_bytes_of(data, 65), NULL), ENT_USAGE);
    assert_int_equal(buf.size, 0);
}

static void test_bech32__every_size_round_trips_and_every_flip_is_found(void **state)
{
    (void)state;
    for (size_t size = 0; size <= ENT_BECH32_MAX_DATA; size++) {
        uint8_t data[ENT_BECH32_MAX_DATA];
        uint8_t back[ENT_BECH32_MAX_DATA];
        size_t got = 0;
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)(i * 31 + size);
        assert_ok(ent_bech32_put(&text, ENT_TEXT("key"), ent_bytes_of(data, size), NULL));
        assert_ok(ent_bech32_decode(ent_buf_text(&text), ENT_TEXT("key"), back, &got, NULL));
        assert_bytes(ent_bytes_of(back, got), ent_bytes_of(data, size));
        for (size_t i = 0; i < text.size; i++) {
            text.data[i] ^= 1;
            assert_code(ent_bech32_decode(ent_buf_text(&text), ENT_TEXT("key"), back, &got, NULL), ENT_PEER_MALFORMED);
            text.data[i] ^= 1;
        }
    }
}

static void test_bech32__unused_bits_not_zero_refused(void **state)
{
    (void)state;
    uint8_t data[ENT_BECH32_MAX_DATA];
    size_t size = 0;
    ent_err err = {0};
    /* The checksums hold; the values {0, 1} leave the two bits 01 over, the value {0} leaves five bits. */
    assert_code(ent_bech32_decode(ENT_TEXT("a1qpamnt9j"), ENT_TEXT("a"), data, &size, &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "unused bits"));
    assert_code(ent_bech32_decode(ENT_TEXT("a1q3g6mn3"), ENT_TEXT("a"), data, &size, &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "unused bits"));
}

static void test_identity__age_example_gives_its_recipient(void **state)
{
    (void)state;
    ent_identity identity;
    ent_recipient recipient;
    ent_recipient parsed;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    assert_ok(ent_identity_parse(ent_text_of(age_identity), &identity, NULL));
    ent_x25519_recipient(&identity, &recipient);
    ent_recipient_put(&text, &recipient);
    assert_bytes(ent_buf_bytes(&text), ent_text_bytes(ent_text_of(age_recipient)));
    assert_ok(ent_recipient_parse(ent_text_of(age_recipient), &parsed, NULL));
    assert_memory_equal(parsed.bytes, recipient.bytes, 32);
    ent_buf_clear(&text);
    ent_identity_put(&text, &identity);
    assert_bytes(ent_buf_bytes(&text), ent_text_bytes(ent_text_of(age_identity)));
}

static void test_identity__other_form_refused(void **state)
{
    (void)state;
    ent_identity identity;
    ent_recipient recipient;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    uint8_t bytes[33] = {9};
    assert_code(ent_identity_parse(ent_text_of(age_recipient), &identity, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_recipient_parse(ent_text_of(age_identity), &recipient, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_recipient_parse(ENT_TEXT("AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQUNUJWJ"),
                                    &recipient, NULL),
                ENT_PEER_MALFORMED);
    assert_ok(ent_bech32_put(&text, ENT_TEXT("age"), ent_bytes_of(bytes, 33), NULL));
    assert_code(ent_recipient_parse(ent_buf_text(&text), &recipient, NULL), ENT_PEER_MALFORMED);
    ent_buf_clear(&text);
    assert_ok(ent_bech32_put(&text, ENT_TEXT("AGE-SECRET-KEY-"), ent_bytes_of(bytes, 31), NULL));
    assert_code(ent_identity_parse(ent_buf_text(&text), &identity, NULL), ENT_PEER_MALFORMED);
}

/* RFC 7748, section 5: encodings of numbers from 2^255-19 up, and a set top bit, name the same point as a smaller one.
 * Points of low order: section 6.1 and https://cr.yp.to/ecdh.html. */
static void test_recipient__one_that_no_identity_has_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0900000000000000000000000000000000000000000000000000000000000080",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_recipient recipient;
        ent_recipient parsed = {{0x5a}};
        assert_ok(ent_hex_decode(ent_text_of(bad[i]), recipient.bytes, 32, NULL));
        assert_false(ent_recipient_valid(&recipient));
        ent_recipient_put(&text, &recipient);
        assert_code(ent_recipient_parse(ent_buf_text(&text), &parsed, NULL), ENT_PEER_MALFORMED);
        assert_int_equal(parsed.bytes[0], 0x5a);
    }
    ent_recipient base = {{9}};
    assert_true(ent_recipient_valid(&base));
    memset(base.bytes, 0xff, 32);
    base.bytes[31] = 0x7f;
    base.bytes[0] = 0xeb;
    assert_true(ent_recipient_valid(&base));
}

static void test_bech32__no_memory_reported(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf buf = {0};
    uint8_t data[32] = {0};
    ent_alloc_fail_at(1);
    ent_rc rc = ent_bech32_put(&buf, ENT_TEXT("age"), ent_bytes_of(data, 32), NULL);
    ent_alloc_fail_at(0);
    assert_code(rc, ENT_NOMEM);
    assert_int_equal(buf.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bech32__bip173_vectors_round_trip),
        cmocka_unit_test(test_bech32__invalid_text_refused_and_output_untouched),
        cmocka_unit_test(test_bech32__bad_hrp_or_size_refused),
        cmocka_unit_test(test_bech32__every_size_round_trips_and_every_flip_is_found),
        cmocka_unit_test(test_bech32__unused_bits_not_zero_refused),
        cmocka_unit_test(test_identity__age_example_gives_its_recipient),
        cmocka_unit_test(test_identity__other_form_refused),
        cmocka_unit_test(test_recipient__one_that_no_identity_has_refused),
        cmocka_unit_test(test_bech32__no_memory_reported),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
