#include "support.h"

#include "log/tree.h"
#include "seal/cutoff.h"

#define PARTY ENT_TEXT("north.example")
#define ORIGIN ENT_TEXT("north.example/entente/0000000000000000000000000000000000000000000000000000000000000000")

static void root_pair(uint8_t fill, ent_public_key *ret_public, ent_secret_key *ret_secret)
{
    uint8_t seed[32];
    memset(seed, fill, sizeof seed);
    ent_ed25519_from_seed(seed, ret_public, ret_secret);
}

static ent_hash hash_of(uint8_t fill)
{
    ent_hash hash;
    memset(hash.bytes, fill, sizeof hash.bytes);
    return hash;
}

static ent_cutoffs example(void)
{
    ent_cutoffs cutoffs = {.origin = ORIGIN, .count = 2};
    cutoffs.rows[0] = (ent_cutoff){.head = {0}, .serial = 2};
    ent_empty_root(&cutoffs.rows[0].head.root);
    cutoffs.rows[1] = (ent_cutoff){.head = {120, hash_of(7)}, .serial = 5, .revoked = true};
    return cutoffs;
}

static void test_cutoffs__signed_and_read_again_are_the_same(void **state)
{
    (void)state;
    ent_public_key root;
    ent_secret_key secret;
    ent_cutoffs read;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
    ent_cutoffs cutoffs = example();
    root_pair(1, &root, &secret);
    assert_ok(ent_cutoffs_sign(&cutoffs, PARTY, &secret, &note, NULL));
    assert_ok(ent_cutoffs_parse(ent_buf_bytes(&note), PARTY, &root, &read, NULL));
    assert_int_equal(read.count, 2);
    assert_int_equal(read.rows[1].head.size, 120);
    assert_int_equal(read.rows[1].serial, 5);
    assert_true(read.rows[1].revoked);
    assert_false(read.rows[0].revoked);
    assert_ok(ent_cutoffs_sign(&read, PARTY, &secret, &again, NULL));
    assert_bytes(ent_buf_bytes(&again), ent_buf_bytes(&note));
    static const char beginning[] = "entente.cutoff/v1 north.example/entente/0000";
    assert_memory_equal(note.data, beginning, sizeof beginning - 1);
}

static void test_cutoffs__any_flipped_bit_refused(void **state)
{
    (void)state;
    ent_public_key root;
    ent_secret_key secret;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_cutoffs cutoffs = example();
    root_pair(1, &root, &secret);
    assert_ok(ent_cutoffs_sign(&cutoffs, PARTY, &secret, &note, NULL));
    for (size_t bit = 0; bit < note.size * 8; bit++) {
        ent_cutoffs read;
        note.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ent_rc rc = ent_cutoffs_parse(ent_buf_bytes(&note), PARTY, &root, &read, NULL);
        assert_int_equal(ent_code_class(rc.code), ENT_CLASS_PEER);
        note.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void test_cutoffs__another_root_key_refused(void **state)
{
    (void)state;
    ent_public_key root;
    ent_public_key other;
    ent_secret_key secret;
    ent_secret_key unused;
    ent_cutoffs read;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_cutoffs cutoffs = example();
    root_pair(1, &root, &secret);
    root_pair(2, &other, &unused);
    assert_ok(ent_cutoffs_sign(&cutoffs, PARTY, &secret, &note, NULL));
    assert_code(ent_cutoffs_parse(ent_buf_bytes(&note), PARTY, &other, &read, NULL), ENT_PEER_SIGNATURE);
    assert_code(ent_cutoffs_parse(ent_buf_bytes(&note), ENT_TEXT("south.example"), &root, &read, NULL),
                ENT_PEER_SIGNATURE);
}

static void test_cutoffs__what_goes_back_refused(void **state)
{
    (void)state;
    ent_public_key root;
    ent_secret_key secret;
    root_pair(1, &root, &secret);
    for (unsigned way = 0; way < 6; way++) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_cutoffs cutoffs = example();
        if (way == 0)
            cutoffs.rows[1].serial = 2;
        else if (way == 1)
            cutoffs.rows[0].head = (ent_tree_head){121, hash_of(1)};
        else if (way == 2)
            cutoffs.rows[0].head = (ent_tree_head){120, hash_of(1)};
        else if (way == 3)
            cutoffs.rows[0].head.root = hash_of(1); /* of no entries */
        else if (way == 4)
            cutoffs.rows[0].serial = 1;
        else
            cutoffs.count = 0;
        assert_code(ent_cutoffs_sign(&cutoffs, PARTY, &secret, &note, NULL), ENT_USAGE);
        assert_int_equal(note.size, 0);
    }
}

static void expect_text(const char *text, ent_code expected)
{
    ent_public_key root;
    ent_secret_key secret;
    ent_vkey vkey;
    ent_cutoffs read;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    root_pair(1, &root, &secret);
    assert_ok(ent_vkey_make(ENT_TEXT("north.example/entente/root"), ENT_KEY_ED25519, &root, &vkey, NULL));
    assert_ok(ent_note_sign(ent_text_of(text), &vkey, &secret, &note, NULL));
    assert_code(ent_cutoffs_parse(ent_buf_bytes(&note), PARTY, &root, &read, NULL), expected);
}

#define ROOT_LINE "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"

static void test_cutoffs__other_shape_refused(void **state)
{
    (void)state;
    expect_text("entente.cutoff/v1 o\n5\n" ROOT_LINE "2\nrotated\n", ENT_OK);
    static const char *const texts[] = {
        "entente.cutoff/v1 o\n",
        "entente.cutoff/v2 o\n5\n" ROOT_LINE "2\nrotated\n",
        "entente.cutoff/v1 \n5\n" ROOT_LINE "2\nrotated\n",
        "entente.cutoff/v1 o\n05\n" ROOT_LINE "2\nrotated\n",
        "entente.cutoff/v1 o\n5\nBwc=\n2\nrotated\n",
        "entente.cutoff/v1 o\n5\n" ROOT_LINE "1\nrotated\n",
        "entente.cutoff/v1 o\n5\n" ROOT_LINE "2\nstolen\n",
        "entente.cutoff/v1 o\n5\n" ROOT_LINE "2\n",
        "entente.cutoff/v1 o\n5\n" ROOT_LINE "2\nrotated\n4\n" ROOT_LINE "3\nrotated\n",
        "entente.cutoff/v1 o\n5\n" ROOT_LINE "2\nrotated\n6\n" ROOT_LINE "2\nrotated\n",
        "entente.cutoff/v1 o\n5\n" ROOT_LINE "2\nrotated\n\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_text(texts[i], ENT_PEER_MALFORMED);
}

static void test_cutoffs_extend__only_adds(void **state)
{
    (void)state;
    ent_cutoffs known = example();
    ent_cutoffs next = example();
    assert_ok(ent_cutoffs_extend(&known, &next, NULL));
    next.count = 1;
    assert_code(ent_cutoffs_extend(&known, &next, NULL), ENT_PEER_MISMATCH);
    known.count = 1;
    next.count = 2;
    assert_ok(ent_cutoffs_extend(&known, &next, NULL));
    next.rows[0].revoked = true;
    assert_code(ent_cutoffs_extend(&known, &next, NULL), ENT_PEER_MISMATCH);
    next = example();
    next.origin = ENT_TEXT("south.example/entente/0");
    assert_code(ent_cutoffs_extend(&known, &next, NULL), ENT_PEER_MISMATCH);
}

static void test_cutoffs__no_memory_leaves_nothing(void **state)
{
    (void)state;
    ent_public_key root;
    ent_secret_key secret;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_cutoffs cutoffs = example();
    root_pair(1, &root, &secret);
    assert_ok(ent_cutoffs_sign(&cutoffs, PARTY, &secret, &note, NULL));
    for (unsigned way = 0; way < 2; way++) {
        for (unsigned long nth = 1;; nth++) {
            ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
            ent_cutoffs read = {.count = 9};
            ent_alloc_fail_at(nth);
            ent_rc rc = way == 0 ? ent_cutoffs_sign(&cutoffs, PARTY, &secret, &again, NULL)
                                 : ent_cutoffs_parse(ent_buf_bytes(&note), PARTY, &root, &read, NULL);
            bool reached = ent_alloc_count() >= nth;
            ent_alloc_fail_at(0);
            if (!reached) {
                assert_ok(rc);
                assert_true(nth > 1);
                break;
            }
            assert_code(rc, ENT_NOMEM);
            assert_int_equal(again.size, 0);
            assert_int_equal(read.count, 9);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cutoffs__signed_and_read_again_are_the_same),
        cmocka_unit_test(test_cutoffs__any_flipped_bit_refused),
        cmocka_unit_test(test_cutoffs__another_root_key_refused),
        cmocka_unit_test(test_cutoffs__what_goes_back_refused),
        cmocka_unit_test(test_cutoffs__other_shape_refused),
        cmocka_unit_test(test_cutoffs_extend__only_adds),
        cmocka_unit_test(test_cutoffs__no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
