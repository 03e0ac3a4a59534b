#include "fixture.h"

#include "base/alloc.h"

#define SOFA "example.com/behind-the-sofa"
#define SOFA_ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define SOFA_TEXT SOFA "\n20852163\n" SOFA_ROOT "\n"
#define EMPTY_ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void test_checkpoint__published_example_parses(void **state)
{
    (void)state;
    static const char note_text[] = SOFA_TEXT "\n\xe2\x80\x94 " SOFA " Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRD"
                                              "e4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    ent_note note;
    ent_checkpoint checkpoint;
    ent_buf again = {0};
    assert_ok(ent_note_parse(string_bytes(note_text), &note, NULL));
    assert_ok(ent_checkpoint_parse(note.text, &checkpoint, NULL));
    assert_true(ent_text_is(checkpoint.origin, SOFA));
    assert_int_equal(checkpoint.head.size, 20852163);
    assert_hash(&checkpoint.head.root, "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62");
    ent_checkpoint_put(&again, checkpoint.origin, &checkpoint.head);
    assert_true(ent_text_is(ent_buf_text(&again), SOFA_TEXT));
    ent_buf_release(&again);
    ent_note_release(&note);
}

static void test_checkpoint__malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        SOFA,
        SOFA "\n20852163\n",
        SOFA "\n20852163\n" SOFA_ROOT,
        SOFA_TEXT "\n",
        SOFA_TEXT "extension\n",
        "\n20852163\n" SOFA_ROOT "\n",
        SOFA "\n\n" SOFA_ROOT "\n",
        SOFA "\n020852163\n" SOFA_ROOT "\n",
        SOFA "\n+20852163\n" SOFA_ROOT "\n",
        SOFA "\n-1\n" SOFA_ROOT "\n",
        SOFA "\n 1\n" SOFA_ROOT "\n",
        SOFA "\n1 \n" SOFA_ROOT "\n",
        SOFA "\n0x1\n" SOFA_ROOT "\n",
        SOFA "\n00\n" EMPTY_ROOT "\n",
        SOFA "\n9007199254740993\n" SOFA_ROOT "\n",     /* 2^53 + 1 */
        SOFA "\n18446744073709551616\n" SOFA_ROOT "\n", /* 2^64 */
        SOFA "\n1\n\n",
        SOFA "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", /* unused bits set */
        SOFA "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",  /* no padding */
        SOFA "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jx\n",     /* 30 bytes */
        SOFA "\n1\n" SOFA_ROOT " \n",
        SOFA "\n0\n" SOFA_ROOT "\n", /* no entries, but another root */
        "a\tb\n1\n" SOFA_ROOT "\n",
        "a\xff\n1\n" SOFA_ROOT "\n",
        "a\r\n1\r\n" SOFA_ROOT "\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ent_checkpoint checkpoint = {.head.size = 42};
        if (ent_checkpoint_parse(ent_text_of(bad[i]), &checkpoint, NULL).code != ENT_PEER_MALFORMED)
            fail_msg("checkpoint %zu was not refused: %s", i, bad[i]);
        assert_int_equal(checkpoint.head.size, 42);
    }
}

static void test_checkpoint__limits_are_accepted(void **state)
{
    (void)state;
    ent_checkpoint checkpoint;
    assert_ok(ent_checkpoint_parse(ENT_TEXT("o\n0\n" EMPTY_ROOT "\n"), &checkpoint, NULL));
    assert_ok(ent_checkpoint_parse(ENT_TEXT("o\n9007199254740992\n" SOFA_ROOT "\n"), &checkpoint, NULL));
    assert_true(checkpoint.head.size == ENT_LOG_MAX_SIZE);
    /* "clients MUST NOT assume that the origin is following this format" */
    assert_ok(ent_checkpoint_parse(ENT_TEXT("an origin + spaces\n1\n" SOFA_ROOT "\n"), &checkpoint, NULL));
    for (size_t over = 0; over < 2; over++) {
        ent_buf buf = {0};
        for (size_t i = 0; i < ENT_ORIGIN_MAX_BYTES + over; i++)
            ent_buf_put_u8(&buf, 'o');
        ent_buf_put_string(&buf, "\n1\n" SOFA_ROOT "\n");
        assert_code(ent_checkpoint_parse(ent_buf_text(&buf), &checkpoint, NULL),
                    over == 0 ? ENT_OK : ENT_PEER_MALFORMED);
        ent_buf_release(&buf);
    }
}

static void test_checkpoint_open__other_implementation_verifies(void **state)
{
    (void)state;
    ent_vkey vkey;
    ent_note note;
    ent_checkpoint checkpoint;
    assert_ok(ent_vkey_parse(ENT_TEXT(LOG_VKEY), &vkey, NULL));
    assert_ok(
        ent_checkpoint_open(string_bytes(WITNESSED_NOTE), ENT_TEXT(LOG_NAME), &vkey.key, &note, &checkpoint, NULL));
    assert_int_equal(checkpoint.head.size, 1000);
    assert_hash(&checkpoint.head.root, "ed58fe22105717ceedf760a43eedfb173a60c44ef40fd61b6cd86bd4ebb59b61");
    assert_int_equal(note.signature_count, 3);
    ent_note_release(&note);
}

static int open_code(const char *bytes, const char *origin, const ent_public_key *key)
{
    ent_note note = {.signature_count = 99};
    ent_checkpoint checkpoint = {.head.size = 42};
    ent_rc rc = ent_checkpoint_open(string_bytes(bytes), ent_text_of(origin), key, &note, &checkpoint, NULL);
    if (rc.code == ENT_OK) {
        ent_note_release(&note);
    } else {
        assert_int_equal(note.signature_count, 99);
        assert_int_equal(checkpoint.head.size, 42);
    }
    return rc.code;
}

static void test_checkpoint_open__wrong_log_key_or_signature_is_refused(void **state)
{
    (void)state;
    ent_public_key key;
    ent_public_key other;
    ent_secret_key secret;
    fixed_key(0, &key, &secret);
    fixed_key(1, &other, &secret);
    assert_int_equal(open_code(WITNESSED_NOTE, LOG_NAME, &key), ENT_OK);
    assert_int_equal(open_code(WITNESSED_NOTE, "log.example/second", &key), ENT_PEER_MISMATCH);
    assert_int_equal(open_code(WITNESSED_NOTE, LOG_NAME, &other), ENT_PEER_SIGNATURE);
    assert_int_equal(open_code(WITNESSED_TEXT "\n" WITNESS_ONE_LINE, LOG_NAME, &key), ENT_PEER_SIGNATURE);
    assert_int_equal(open_code(WITNESSED_TEXT, LOG_NAME, &key), ENT_PEER_MALFORMED);
    assert_int_equal(open_code("no checkpoint\n\n" LOG_LINE, LOG_NAME, &key), ENT_PEER_MALFORMED);
    assert_int_equal(
        open_code(LOG_NAME "\n1001\n7Vj+IhBXF87t92CkPu37FzpgxE70D9YbbNhr1Ou1m2E=\n\n" LOG_LINE, LOG_NAME, &key),
        ENT_PEER_SIGNATURE);
    assert_int_equal(open_code("a b\n1\n" SOFA_ROOT "\n\n" LOG_LINE, "a b", &key), ENT_PEER_SIGNATURE);
}

static void test_checkpoint_sign__opens_again(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    uint64_t random = 1;
    fixed_key(9, &key, &secret);
    for (size_t i = 0; i < 40; i++) {
        ent_tree_head head = {.size = i == 0   ? 0
                                      : i == 1 ? ENT_LOG_MAX_SIZE
                                               : 1 + next_random(&random) % ENT_LOG_MAX_SIZE};
        ent_note note;
        ent_checkpoint checkpoint;
        ent_buf buf = {0};
        if (head.size == 0)
            ent_empty_root(&head.root);
        else
            ent_sha256(ent_bytes_of(&head.size, sizeof head.size), &head.root);
        assert_ok(ent_checkpoint_sign(ENT_TEXT("north.example/entente/0"), &head, &secret, &buf, NULL));
        assert_ok(ent_checkpoint_open(ent_buf_bytes(&buf), ENT_TEXT("north.example/entente/0"), &key, &note,
                                      &checkpoint, NULL));
        assert_true(checkpoint.head.size == head.size);
        assert_true(ent_hash_equal(&checkpoint.head.root, &head.root));
        ent_note_release(&note);
        ent_buf_release(&buf);
    }
}

static void test_checkpoint_sign__what_would_not_parse_is_refused(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(9, &key, &secret);
    const ent_tree_head too_large = {.size = ENT_LOG_MAX_SIZE + 1};
    const ent_tree_head not_empty = {.size = 0};
    const ent_tree_head head = {.size = 1};
    ent_buf buf = {0};
    assert_code(ent_checkpoint_sign(ENT_TEXT("o"), &too_large, &secret, &buf, NULL), ENT_USAGE);
    assert_code(ent_checkpoint_sign(ENT_TEXT("o"), &not_empty, &secret, &buf, NULL), ENT_USAGE);
    assert_code(ent_checkpoint_sign(ENT_TEXT("an origin"), &head, &secret, &buf, NULL), ENT_USAGE);
    assert_code(ent_checkpoint_sign(ENT_TEXT(""), &head, &secret, &buf, NULL), ENT_USAGE);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
}

static void test_checkpoint__failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    ent_public_key key;
    ent_secret_key secret;
    fixed_key(0, &key, &secret);
    const ent_tree_head head = {.size = 1};
    for (unsigned long nth = 1;; nth++) {
        ent_alloc_fail_at(nth);
        int code = open_code(WITNESSED_NOTE, LOG_NAME, &key);
        ent_alloc_fail_at(0);
        if (code == ENT_OK)
            break;
        assert_int_equal(code, ENT_NOMEM);
    }
    for (unsigned long nth = 1;; nth++) {
        ent_buf buf = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_checkpoint_sign(ENT_TEXT("o"), &head, &secret, &buf, NULL);
        ent_alloc_fail_at(0);
        if (rc.code != ENT_OK) {
            assert_int_equal(rc.code, ENT_NOMEM);
            assert_int_equal(buf.size, 0);
        }
        ent_buf_release(&buf);
        if (rc.code == ENT_OK)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint__published_example_parses),
        cmocka_unit_test(test_checkpoint__malformed_is_refused),
        cmocka_unit_test(test_checkpoint__limits_are_accepted),
        cmocka_unit_test(test_checkpoint_open__other_implementation_verifies),
        cmocka_unit_test(test_checkpoint_open__wrong_log_key_or_signature_is_refused),
        cmocka_unit_test(test_checkpoint_sign__opens_again),
        cmocka_unit_test(test_checkpoint_sign__what_would_not_parse_is_refused),
        cmocka_unit_test(test_checkpoint__failed_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
