#include "fixture.h"

#include "log/cosignature.h"

/* tlog-cosignature, the example at its beginning */
#define SOFA_NOTE                                                                                                      \
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"                          \
    "\xe2\x80\x94 example.com/behind-the-sofa "                                                                        \
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"                   \
    "\xe2\x80\x94 witness.example.com/w1 "                                                                             \
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"

static ent_note parse(const char *whole)
{
    ent_note note;
    assert_ok(ent_note_parse(string_bytes(whole), &note, NULL));
    return note;
}

static void test_cosignature__published_example_has_its_time(void **state)
{
    (void)state;
    ent_note note = parse(SOFA_NOTE);
    ent_cosignature cosignature;
    assert_int_equal(note.signature_count, 2);
    assert_ok(ent_cosignature_parse(note.signatures[1].signature, &cosignature, NULL));
    assert_int_equal(cosignature.timestamp_unix_s, 1679315147);
    ent_note_release(&note);
}

static void test_cosignature__other_implementation_verifies(void **state)
{
    (void)state;
    ent_vkey one;
    ent_vkey two;
    ent_cosignature cosignature;
    assert_ok(ent_vkey_parse(ENT_TEXT(WITNESS_ONE_VKEY), &one, NULL));
    assert_ok(ent_vkey_parse(ENT_TEXT(WITNESS_TWO_VKEY), &two, NULL));
    ent_note note = parse(WITNESSED_NOTE);
    assert_int_equal(ent_note_verify_cosignature(&note, &one, &cosignature), ENT_SIGNATURE_VALID);
    assert_int_equal(cosignature.timestamp_unix_s, WITNESS_ONE_TIME);
    assert_true(ent_cosignature_verify(note.text, &cosignature, &one.key));
    assert_false(ent_cosignature_verify(note.text, &cosignature, &two.key));
    assert_int_equal(ent_note_verify_cosignature(&note, &two, &cosignature), ENT_SIGNATURE_VALID);
    assert_int_equal(cosignature.timestamp_unix_s, WITNESS_TWO_TIME);
    assert_int_equal(ent_note_verify_cosignature(&note, &two, NULL), ENT_SIGNATURE_VALID);
    ent_note_release(&note);
}

static void test_cosignature__signed_equals_other_implementation(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    ent_cosignature cosignature;
    ent_buf line = {0};
    fixed_key(32, &key, &secret);
    ent_vkey vkey = fixed_vkey("witness.example/one", ENT_KEY_COSIGNATURE, 32);
    assert_ok(ent_cosignature_sign(ENT_TEXT(WITNESSED_TEXT), WITNESS_ONE_TIME, &secret, &cosignature, NULL));
    ent_note_put_cosignature(&line, &vkey, &cosignature);
    assert_true(ent_text_is(ent_buf_text(&line), WITNESS_ONE_LINE));
    ent_buf_release(&line);
}

static void test_cosignature__any_time_round_trips(void **state)
{
    (void)state;
    static const uint64_t times[] = {0, 1, 9, 10, 1679315147, INT64_MAX};
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(3, &key, &secret);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        ent_cosignature cosignature;
        assert_ok(ent_cosignature_sign(ENT_TEXT(WITNESSED_TEXT), times[i], &secret, &cosignature, NULL));
        assert_true(ent_cosignature_verify(ENT_TEXT(WITNESSED_TEXT), &cosignature, &key));
        cosignature.timestamp_unix_s ^= 1;
        assert_false(ent_cosignature_verify(ENT_TEXT(WITNESSED_TEXT), &cosignature, &key));
    }
}

static void test_cosignature__bad_size_or_time_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ENT_COSIGNATURE_SIZE + 1] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    ent_cosignature cosignature = {.timestamp_unix_s = 42};
    for (size_t size = 0; size <= sizeof bytes; size++) {
        if (size != ENT_COSIGNATURE_SIZE)
            assert_code(ent_cosignature_parse(ent_bytes_of(bytes, size), &cosignature, NULL), ENT_PEER_MALFORMED);
    }
    bytes[0] = 0x80;
    assert_code(ent_cosignature_parse(ent_bytes_of(bytes, ENT_COSIGNATURE_SIZE), &cosignature, NULL),
                ENT_PEER_MALFORMED);
    assert_int_equal(cosignature.timestamp_unix_s, 42);
    bytes[0] = 0x7f;
    assert_ok(ent_cosignature_parse(ent_bytes_of(bytes, ENT_COSIGNATURE_SIZE), &cosignature, NULL));
    assert_true(cosignature.timestamp_unix_s == INT64_MAX);
}

static void test_cosignature_sign__what_is_no_checkpoint_is_refused(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    ent_cosignature cosignature = {.timestamp_unix_s = 42};
    fixed_key(3, &key, &secret);
    assert_code(ent_cosignature_sign(ENT_TEXT("hello\n"), 1, &secret, &cosignature, NULL), ENT_USAGE);
    assert_code(ent_cosignature_sign(ENT_TEXT(WITNESSED_TEXT "extension\n"), 1, &secret, &cosignature, NULL),
                ENT_USAGE);
    assert_code(ent_cosignature_sign(ENT_TEXT(WITNESSED_TEXT), (uint64_t)INT64_MAX + 1, &secret, &cosignature, NULL),
                ENT_USAGE);
    assert_int_equal(cosignature.timestamp_unix_s, 42);
}

static void test_cosignature__longest_checkpoint_fits(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    ent_cosignature cosignature;
    ent_buf text = {0};
    const ent_tree_head head = {.size = ENT_LOG_MAX_SIZE};
    char origin[ENT_ORIGIN_MAX_BYTES];
    memset(origin, 'o', sizeof origin);
    fixed_key(3, &key, &secret);
    ent_checkpoint_put(&text, (ent_text){origin, sizeof origin}, &head);
    assert_ok(ent_cosignature_sign(ent_buf_text(&text), INT64_MAX, &secret, &cosignature, NULL));
    assert_true(ent_cosignature_verify(ent_buf_text(&text), &cosignature, &key));
    ent_buf_release(&text);
}

/* Put a cosignature of this time at the end of a note, verified over another text when `broken`. */
static void put_line(ent_buf *buf, const char *name, uint8_t seed, uint64_t time, bool broken)
{
    ent_public_key key;
    ent_secret_key secret;
    ent_cosignature cosignature;
    ent_vkey vkey = fixed_vkey(name, ENT_KEY_COSIGNATURE, seed);
    fixed_key(seed, &key, &secret);
    assert_ok(ent_cosignature_sign(ENT_TEXT(WITNESSED_TEXT), time, &secret, &cosignature, NULL));
    cosignature.signature.bytes[5] ^= broken;
    ent_note_put_cosignature(buf, &vkey, &cosignature);
}

static ent_signature_verdict verdict_of(ent_buf *buf, const char *name, uint8_t seed, ent_cosignature *ret)
{
    ent_note note;
    ent_vkey vkey = fixed_vkey(name, ENT_KEY_COSIGNATURE, seed);
    assert_ok(ent_note_parse(ent_buf_bytes(buf), &note, NULL));
    ent_signature_verdict verdict = ent_note_verify_cosignature(&note, &vkey, ret);
    ent_note_release(&note);
    ent_buf_release(buf);
    return verdict;
}

static void test_note_verify_cosignature__earliest_of_several_is_given(void **state)
{
    (void)state;
    static const uint64_t orders[][3] = {{5, 6, 7}, {7, 5, 6}, {6, 7, 5}};
    for (size_t i = 0; i < 3; i++) {
        ent_cosignature cosignature;
        ent_buf buf = {0};
        ent_buf_put_string(&buf, WITNESSED_TEXT "\n");
        for (size_t k = 0; k < 3; k++)
            put_line(&buf, "w", 1, orders[i][k], false);
        assert_int_equal(verdict_of(&buf, "w", 1, &cosignature), ENT_SIGNATURE_VALID);
        assert_int_equal(cosignature.timestamp_unix_s, 5);
    }
}

static void test_note_verify_cosignature__one_bad_line_of_a_known_key_fails(void **state)
{
    (void)state;
    ent_cosignature cosignature = {.timestamp_unix_s = 42};
    ent_buf buf = {0};
    ent_buf_put_string(&buf, WITNESSED_TEXT "\n");
    put_line(&buf, "w", 1, 5, false);
    put_line(&buf, "w", 1, 6, true);
    assert_int_equal(verdict_of(&buf, "w", 1, &cosignature), ENT_SIGNATURE_INVALID);
    assert_int_equal(cosignature.timestamp_unix_s, 42);

    ent_buf_put_string(&buf, WITNESSED_TEXT "\n");
    put_line(&buf, "w", 1, 5, false);
    put_line(&buf, "w", 2, 6, true); /* same name, another id: unknown, ignored */
    assert_int_equal(verdict_of(&buf, "w", 1, &cosignature), ENT_SIGNATURE_VALID);

    ent_vkey vkey = fixed_vkey("w", ENT_KEY_COSIGNATURE, 1);
    ent_buf_put_string(&buf, WITNESSED_TEXT "\n");
    ent_note_put_signature(&buf, &vkey, string_bytes("short"));
    assert_int_equal(verdict_of(&buf, "w", 1, &cosignature), ENT_SIGNATURE_INVALID);
}

static void test_note_verify_cosignature__absent_and_other_type(void **state)
{
    (void)state;
    ent_note note = parse(WITNESSED_NOTE);
    ent_vkey stranger = fixed_vkey("witness.example/one", ENT_KEY_COSIGNATURE, 99);
    ent_vkey log = fixed_vkey(LOG_NAME, ENT_KEY_ED25519, 0);
    assert_int_equal(ent_note_verify_cosignature(&note, &stranger, NULL), ENT_SIGNATURE_ABSENT);
    assert_int_equal(ent_note_verify_cosignature(&note, &log, NULL), ENT_SIGNATURE_NOT_CHECKED);
    ent_note_release(&note);
}

/* A cosignature must never pass for a log's signature, nor the other way round: the header line keeps them apart. */
static void test_cosignature__is_no_note_signature(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    ent_cosignature cosignature;
    ent_signature plain;
    fixed_key(3, &key, &secret);
    assert_ok(ent_cosignature_sign(ENT_TEXT(WITNESSED_TEXT), 7, &secret, &cosignature, NULL));
    assert_false(ent_ed25519_verify(&key, string_bytes(WITNESSED_TEXT), &cosignature.signature));
    ent_ed25519_sign(&secret, string_bytes(WITNESSED_TEXT), &plain);
    cosignature.signature = plain;
    assert_false(ent_cosignature_verify(ENT_TEXT(WITNESSED_TEXT), &cosignature, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cosignature__published_example_has_its_time),
        cmocka_unit_test(test_cosignature__other_implementation_verifies),
        cmocka_unit_test(test_cosignature__signed_equals_other_implementation),
        cmocka_unit_test(test_cosignature__any_time_round_trips),
        cmocka_unit_test(test_cosignature__bad_size_or_time_is_refused),
        cmocka_unit_test(test_cosignature_sign__what_is_no_checkpoint_is_refused),
        cmocka_unit_test(test_cosignature__longest_checkpoint_fits),
        cmocka_unit_test(test_note_verify_cosignature__earliest_of_several_is_given),
        cmocka_unit_test(test_note_verify_cosignature__one_bad_line_of_a_known_key_fails),
        cmocka_unit_test(test_note_verify_cosignature__absent_and_other_type),
        cmocka_unit_test(test_cosignature__is_no_note_signature),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
