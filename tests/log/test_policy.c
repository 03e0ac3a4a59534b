#include "fixture.h"

#include "base/alloc.h"
#include "log/policy.h"

#define LOG_LINE_OF "log " LOG_VKEY "\n"
#define WITNESS_ONE "witness one " WITNESS_ONE_VKEY "\n"
#define WITNESS_TWO "witness two " WITNESS_TWO_VKEY "\n"
#define BOTH WITNESS_ONE WITNESS_TWO

static ent_policy *parse(const char *text)
{
    ent_policy *policy = NULL;
    ent_err err = {0};
    if (ent_policy_parse(string_bytes(text), &policy, &err).code != ENT_OK)
        fail_msg("policy was refused: %s", err.text);
    return policy;
}

/* A name for a vkey of its own: "n<seed>". */
static void put_vkey(ent_buf *buf, ent_key_type type, unsigned seed)
{
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", seed);
    ent_vkey vkey = fixed_vkey(name, type, (uint8_t)seed);
    ent_vkey_put(buf, &vkey);
}

static void test_policy__parts_are_listed(void **state)
{
    (void)state;
    ent_policy *policy = parse("# a comment\n"
                               "\n"
                               " \t \n"
                               "\t log   " LOG_VKEY "\t https://log.example/ \n"
                               "  # another\n"
                               "witness one " WITNESS_ONE_VKEY "\n"
                               "witness\ttwo\t" WITNESS_TWO_VKEY "\thttps://w\xc3\xbc.example/\n"
                               "group g all one two\n"
                               "quorum g\n");
    assert_int_equal(ent_policy_log_count(policy), 1);
    assert_int_equal(ent_policy_witness_count(policy), 2);
    const ent_policy_log *log = ent_policy_log_at(policy, 0);
    assert_true(ent_text_is(log->vkey.name, LOG_NAME));
    assert_true(ent_text_is(log->url, "https://log.example/"));
    const ent_policy_witness *one = ent_policy_witness_at(policy, 0);
    const ent_policy_witness *two = ent_policy_witness_at(policy, 1);
    assert_true(ent_text_is(one->name, "one"));
    assert_true(ent_text_is(one->url, ""));
    assert_true(ent_text_is(two->vkey.name, "witness.example/two"));
    assert_true(ent_text_is(two->url, "https://w\xc3\xbc.example/"));
    assert_null(ent_policy_log_at(policy, 1));
    assert_null(ent_policy_witness_at(policy, 2));
    ent_policy_free(policy);
    ent_policy_free(NULL);
}

static void test_policy__smallest_parses(void **state)
{
    (void)state;
    ent_policy *policy = parse("quorum none\n");
    assert_int_equal(ent_policy_log_count(policy), 0);
    assert_int_equal(ent_policy_witness_count(policy), 0);
    ent_policy_free(policy);
}

/* tlog-policy, Example policy */
static void test_policy__example_of_the_specification_parses(void **state)
{
    (void)state;
    ent_buf text = {0};
    ent_buf_put_string(&text, LOG_LINE_OF "\n");
    for (unsigned i = 1; i <= 6; i++) {
        ent_buf_put_format(&text, "witness %c%u ", i <= 3 ? 'X' : 'Y', (i - 1) % 3 + 1);
        put_vkey(&text, ENT_KEY_COSIGNATURE, 100 + i);
        ent_buf_put_string(&text, "\n");
        if (i == 3)
            ent_buf_put_string(&text, "group X-witnesses 2 X1 X2 X3\n\n");
    }
    ent_buf_put_string(&text, "group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\n"
                              "quorum X-and-Y\n");
    ent_policy *policy = parse(ent_buf_string(&text));
    assert_int_equal(ent_policy_witness_count(policy), 6);
    ent_policy_free(policy);
    ent_buf_release(&text);
}

static void test_policy__malformed_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line; /* 0: none named */
    } bad[] = {
        {"", 0},
        {"# nothing\n", 0},
        {LOG_LINE_OF, 0}, /* no quorum */
        {"quorum none", 1},
        {"quorum none\nquorum none\n", 2},
        {BOTH "quorum one\nquorum two\n", 4},
        {"quorum\n", 1},
        {"quorum one\n", 1},
        {"quorum one\n" WITNESS_ONE, 1}, /* not preceding */
        {"quorum none none\n", 1},
        {"quorum None\n", 1},
        {"Quorum none\n", 1},
        {"logs x\nquorum none\n", 1},
        {"log\nquorum none\n", 1},
        {"log x\nquorum none\n", 1},
        {"log " LOG_VKEY " u v\nquorum none\n", 1},
        {"log " WITNESS_ONE_VKEY "\nquorum none\n", 1},    /* type 04 */
        {LOG_LINE_OF "\n" LOG_LINE_OF "quorum none\n", 3}, /* duplicate */
        {"witness\nquorum none\n", 1},
        {"witness one\nquorum none\n", 1},
        {"witness " WITNESS_ONE_VKEY "\nquorum none\n", 1},
        {"witness one x\nquorum none\n", 1},
        {"witness one " WITNESS_ONE_VKEY " u v\nquorum none\n", 1},
        {"witness one " LOG_VKEY "\nquorum none\n", 1}, /* type 01 */
        {"witness none " WITNESS_ONE_VKEY "\nquorum none\n", 1},
        {WITNESS_ONE WITNESS_ONE "quorum none\n", 2},
        {WITNESS_ONE "witness other " WITNESS_ONE_VKEY "\nquorum none\n", 2}, /* duplicate key */
        {WITNESS_ONE "witness one " WITNESS_TWO_VKEY "\nquorum none\n", 2},   /* duplicate name */
        {BOTH "group one any two\nquorum none\n", 3},                         /* a witness's name */
        {BOTH "group none any two\nquorum none\n", 3},
        {BOTH "group g any one\ngroup g any two\nquorum none\n", 4},
        {BOTH "group g any one\nwitness g " LOG_VKEY "\nquorum none\n", 4},
        {BOTH "group\nquorum none\n", 3},
        {BOTH "group g\nquorum none\n", 3},
        {BOTH "group g any\nquorum none\n", 3},
        {BOTH "group g all\nquorum none\n", 3},
        {BOTH "group g 0 one\nquorum none\n", 3},
        {BOTH "group g 2 one\nquorum none\n", 3},
        {BOTH "group g 3 one two\nquorum none\n", 3},
        {BOTH "group g 01 one two\nquorum none\n", 3},
        {BOTH "group g -1 one two\nquorum none\n", 3},
        {BOTH "group g some one two\nquorum none\n", 3},
        {BOTH "group g 99999999999999999999 one two\nquorum none\n", 3},
        {BOTH "group g any one one\nquorum none\n", 3},
        {BOTH "group g any one\ngroup h any one two\nquorum none\n", 4}, /* a second group for `one` */
        {BOTH "group g any one\ngroup h any g\ngroup i any g\nquorum none\n", 5},
        {BOTH "group g any g\nquorum none\n", 3}, /* itself */
        {BOTH "group g any h\ngroup h any one\nquorum none\n", 3},
        {BOTH "group g any none\nquorum none\n", 3},
        {BOTH "group g any three\nquorum none\n", 3},
        {"quorum none\r\n", 0},
        {"# \x01\nquorum none\n", 0},
        {"# \x7f\nquorum none\n", 0},
        {"quorum\x0bnone\n", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ent_policy *policy = NULL;
        ent_err err = {0};
        char line[32];
        (void)snprintf(line, sizeof line, "line %u: ", bad[i].line);
        if (ent_policy_parse(string_bytes(bad[i].text), &policy, &err).code != ENT_PEER_MALFORMED)
            fail_msg("policy %zu was not refused: %s", i, bad[i].text);
        assert_null(policy);
        if (bad[i].line != 0 && strncmp(err.text, line, strlen(line)) != 0)
            fail_msg("policy %zu: expected %s, got %s", i, line, err.text);
    }
}

/* A vkey around the key of seed 0 that the log of LOG_VKEY has. */
static void test_policy__one_key_in_two_roles_is_refused(void **state)
{
    (void)state;
    for (size_t order = 0; order < 2; order++) {
        ent_vkey vkey = fixed_vkey("witness.example/log-key", ENT_KEY_COSIGNATURE, 0);
        ent_buf text = {0};
        ent_policy *policy = NULL;
        if (order == 0)
            ent_buf_put_string(&text, LOG_LINE_OF);
        ent_buf_put_string(&text, "witness w ");
        ent_vkey_put(&text, &vkey);
        ent_buf_put_string(&text, "\n");
        if (order == 1)
            ent_buf_put_string(&text, LOG_LINE_OF);
        ent_buf_put_string(&text, "quorum none\n");
        assert_code(ent_policy_parse(ent_buf_bytes(&text), &policy, NULL), ENT_PEER_MALFORMED);
        ent_buf_release(&text);
    }
}

static void test_policy__key_under_another_name_is_a_duplicate(void **state)
{
    (void)state;
    ent_vkey other_log = fixed_vkey("another.example", ENT_KEY_ED25519, 0);
    ent_vkey other_witness = fixed_vkey("another.example", ENT_KEY_COSIGNATURE, 32);
    ent_policy *policy = NULL;
    ent_buf text = {0};
    ent_buf_put_string(&text, LOG_LINE_OF "log ");
    ent_vkey_put(&text, &other_log);
    ent_buf_put_string(&text, "\nquorum none\n");
    assert_code(ent_policy_parse(ent_buf_bytes(&text), &policy, NULL), ENT_PEER_MALFORMED);
    ent_buf_clear(&text);
    ent_buf_put_string(&text, WITNESS_ONE "witness other ");
    ent_vkey_put(&text, &other_witness);
    ent_buf_put_string(&text, "\nquorum none\n");
    assert_code(ent_policy_parse(ent_buf_bytes(&text), &policy, NULL), ENT_PEER_MALFORMED);
    ent_buf_release(&text);
}

/* Logs and witnesses have keys of their own, so that seeds 0..31 and 64..127 never meet. */
static int parse_many(unsigned logs, unsigned witnesses, unsigned groups)
{
    ent_buf text = {0};
    ent_policy *policy = NULL;
    for (unsigned i = 0; i < logs; i++) {
        ent_buf_put_string(&text, "log ");
        put_vkey(&text, ENT_KEY_ED25519, i);
        ent_buf_put_string(&text, "\n");
    }
    for (unsigned i = 0; i < witnesses; i++) {
        ent_buf_put_format(&text, "witness w%u ", i);
        put_vkey(&text, ENT_KEY_COSIGNATURE, 100 + i);
        ent_buf_put_string(&text, "\n");
    }
    for (unsigned i = 0; i < groups; i++)
        ent_buf_put_format(&text, "group g%u any %c%u\n", i, i == 0 ? 'w' : 'g', i == 0 ? 0 : i - 1);
    ent_buf_put_string(&text, "quorum none\n");
    int code = ent_policy_parse(ent_buf_bytes(&text), &policy, NULL).code;
    ent_policy_free(policy);
    ent_buf_release(&text);
    return code;
}

static void test_policy__limits(void **state)
{
    (void)state;
    assert_int_equal(parse_many(ENT_POLICY_MAX_LOGS, ENT_POLICY_MAX_WITNESSES, ENT_POLICY_MAX_GROUPS), ENT_OK);
    assert_int_equal(parse_many(ENT_POLICY_MAX_LOGS + 1, 1, 1), ENT_PEER_TOO_LARGE);
    assert_int_equal(parse_many(1, ENT_POLICY_MAX_WITNESSES + 1, 1), ENT_PEER_TOO_LARGE);
    assert_int_equal(parse_many(1, 1, ENT_POLICY_MAX_GROUPS + 1), ENT_PEER_TOO_LARGE);
    for (size_t over = 0; over < 2; over++) {
        ent_buf text = {0};
        ent_policy *policy = NULL;
        ent_buf_put_string(&text, "quorum none\n");
        while (text.size < ENT_POLICY_MAX_BYTES + over)
            ent_buf_put_u8(&text, '\n');
        assert_code(ent_policy_parse(ent_buf_bytes(&text), &policy, NULL), over == 0 ? ENT_OK : ENT_PEER_TOO_LARGE);
        ent_policy_free(policy);
        ent_buf_release(&text);
    }
}

static ent_policy_result check(const char *policy_text, const char *note_text)
{
    ent_policy *policy = parse(policy_text);
    ent_note note;
    ent_policy_result result;
    assert_ok(ent_note_parse(string_bytes(note_text), &note, NULL));
    assert_ok(ent_policy_check(policy, &note, &result, NULL));
    ent_note_release(&note);
    ent_policy_free(policy);
    return result;
}

static void test_policy_check__quorums(void **state)
{
    (void)state;
#define ONE_ONLY WITNESSED_TEXT "\n" LOG_LINE WITNESS_ONE_LINE
#define NO_WITNESS WITNESSED_TEXT "\n" LOG_LINE
    static const struct {
        const char *policy;
        const char *note;
        ent_policy_verdict verdict;
        size_t cosigned;
    } cases[] = {
        {LOG_LINE_OF "quorum none\n", NO_WITNESS, ENT_POLICY_SATISFIED, 0},
        {LOG_LINE_OF "quorum none\n", WITNESSED_NOTE, ENT_POLICY_SATISFIED, 0},
        {LOG_LINE_OF BOTH "quorum none\n", ONE_ONLY, ENT_POLICY_SATISFIED, 1},
        {LOG_LINE_OF BOTH "quorum one\n", ONE_ONLY, ENT_POLICY_SATISFIED, 1},
        {LOG_LINE_OF BOTH "quorum two\n", ONE_ONLY, ENT_POLICY_NO_QUORUM, 1},
        {LOG_LINE_OF BOTH "quorum two\n", WITNESSED_NOTE, ENT_POLICY_SATISFIED, 2},
        {LOG_LINE_OF BOTH "group g any one two\nquorum g\n", ONE_ONLY, ENT_POLICY_SATISFIED, 1},
        {LOG_LINE_OF BOTH "group g any one two\nquorum g\n", NO_WITNESS, ENT_POLICY_NO_QUORUM, 0},
        {LOG_LINE_OF BOTH "group g all one two\nquorum g\n", ONE_ONLY, ENT_POLICY_NO_QUORUM, 1},
        {LOG_LINE_OF BOTH "group g all one two\nquorum g\n", WITNESSED_NOTE, ENT_POLICY_SATISFIED, 2},
        {LOG_LINE_OF BOTH "group g 1 one two\nquorum g\n", ONE_ONLY, ENT_POLICY_SATISFIED, 1},
        {LOG_LINE_OF BOTH "group g 2 one two\nquorum g\n", ONE_ONLY, ENT_POLICY_NO_QUORUM, 1},
        {LOG_LINE_OF BOTH "group g any one\ngroup h all g two\nquorum h\n", ONE_ONLY, ENT_POLICY_NO_QUORUM, 1},
        {LOG_LINE_OF BOTH "group g any one\ngroup h all g two\nquorum h\n", WITNESSED_NOTE, ENT_POLICY_SATISFIED, 2},
        {LOG_LINE_OF BOTH "group g all one two\ngroup h any g\nquorum h\n", ONE_ONLY, ENT_POLICY_NO_QUORUM, 1},
        {LOG_LINE_OF BOTH "group g all one two\nquorum one\n", ONE_ONLY, ENT_POLICY_SATISFIED, 1},
        {"quorum none\n", WITNESSED_NOTE, ENT_POLICY_UNKNOWN_LOG, 0},
        {BOTH "quorum one\n", WITNESSED_NOTE, ENT_POLICY_UNKNOWN_LOG, 2},
        {LOG_LINE_OF BOTH "quorum one\n", WITNESSED_TEXT "\n" WITNESS_ONE_LINE, ENT_POLICY_BAD_LOG_SIGNATURE, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ent_policy_result result = check(cases[i].policy, cases[i].note);
        if (result.verdict != cases[i].verdict || result.cosigned_count != cases[i].cosigned)
            fail_msg("case %zu: %s, %zu cosigned", i, ent_policy_verdict_words(result.verdict), result.cosigned_count);
        assert_int_equal(result.checkpoint.head.size, 1000);
        bool log_must_be_set =
            result.verdict != ENT_POLICY_UNKNOWN_LOG && result.verdict != ENT_POLICY_BAD_LOG_SIGNATURE;
        assert_int_equal(result.log != NULL, log_must_be_set);
    }
}

static void test_policy_check__cosignatures_are_given(void **state)
{
    (void)state;
    ent_policy *policy = parse(LOG_LINE_OF BOTH "quorum none\n");
    ent_note note;
    ent_policy_result result;
    assert_ok(ent_note_parse(string_bytes(WITNESSED_NOTE), &note, NULL));
    assert_ok(ent_policy_check(policy, &note, &result, NULL));
    assert_ptr_equal(result.log, ent_policy_log_at(policy, 0));
    assert_int_equal(result.cosigned_count, 2);
    assert_ptr_equal(result.cosigned[0].witness, ent_policy_witness_at(policy, 0));
    assert_int_equal(result.cosigned[0].cosignature.timestamp_unix_s, WITNESS_ONE_TIME);
    assert_ptr_equal(result.cosigned[1].witness, ent_policy_witness_at(policy, 1));
    assert_int_equal(result.cosigned[1].cosignature.timestamp_unix_s, WITNESS_TWO_TIME);
    ent_note_release(&note);
    ent_policy_free(policy);
}

static void test_policy_check__bad_signature_of_a_listed_key_is_told(void **state)
{
    (void)state;
    char whole[2048];
    static const char policy[] = LOG_LINE_OF BOTH "quorum one\n";
    /* another text under all three signatures */
    (void)snprintf(whole, sizeof whole, "%s", WITNESSED_NOTE);
    memcpy(strstr(whole, "1000"), "1001", 4);
    assert_int_equal(check(policy, whole).verdict, ENT_POLICY_BAD_LOG_SIGNATURE);
    /* a broken cosignature, though the quorum stands without it */
    (void)snprintf(whole, sizeof whole, "%s", WITNESSED_NOTE);
    char *two = strstr(whole, "3pZ91wAAAABlU/EAHoRJ");
    two[16] = 'A';
    ent_policy_result result = check(policy, whole);
    assert_int_equal(result.verdict, ENT_POLICY_BAD_COSIGNATURE);
    assert_int_equal(result.cosigned_count, 1);
    /* a second line by the log's key that does not verify */
    (void)snprintf(whole, sizeof whole, "%s\xe2\x80\x94 " LOG_NAME " GjqohQA=\n", WITNESSED_NOTE);
    assert_int_equal(check(policy, whole).verdict, ENT_POLICY_BAD_LOG_SIGNATURE);
    /* a line by a witness that the policy does not list is ignored */
    (void)snprintf(whole, sizeof whole, "%s\xe2\x80\x94 stranger GjqohQA=\n", WITNESSED_NOTE);
    assert_int_equal(check(policy, whole).verdict, ENT_POLICY_SATISFIED);
}

/* After a rotation the same origin has two keys; either may sign. */
static void test_policy_check__origin_with_two_keys(void **state)
{
    (void)state;
    ent_vkey newer = fixed_vkey(LOG_NAME, ENT_KEY_ED25519, 200);
    ent_buf text = {0};
    ent_buf_put_string(&text, "log ");
    ent_vkey_put(&text, &newer);
    ent_buf_put_string(&text, "\n" LOG_LINE_OF "quorum none\n");
    assert_int_equal(check(ent_buf_string(&text), WITNESSED_NOTE).verdict, ENT_POLICY_SATISFIED);
    ent_buf_release(&text);
}

static void test_policy_check__what_is_no_checkpoint_is_refused(void **state)
{
    (void)state;
    ent_policy *policy = parse(LOG_LINE_OF "quorum none\n");
    ent_note note;
    ent_policy_result result = {.cosigned_count = 42};
    assert_ok(ent_note_parse(string_bytes("hello\n\n" LOG_LINE), &note, NULL));
    assert_code(ent_policy_check(policy, &note, &result, NULL), ENT_PEER_MALFORMED);
    assert_int_equal(result.cosigned_count, 42);
    ent_note_release(&note);
    ent_policy_free(policy);
}

static void test_policy__verdicts_have_words(void **state)
{
    (void)state;
    for (int verdict = ENT_POLICY_NOT_CHECKED; verdict <= ENT_POLICY_NO_QUORUM; verdict++) {
        assert_non_null(ent_policy_verdict_words((ent_policy_verdict)verdict));
        for (int other = ENT_POLICY_NOT_CHECKED; other < verdict; other++)
            assert_string_not_equal(ent_policy_verdict_words((ent_policy_verdict)verdict),
                                    ent_policy_verdict_words((ent_policy_verdict)other));
    }
    assert_int_equal(ENT_POLICY_NOT_CHECKED, 0);
}

static void test_policy__failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (unsigned long nth = 1;; nth++) {
        ent_policy *policy = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_policy_parse(string_bytes(LOG_LINE_OF BOTH "quorum one\n"), &policy, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            ent_policy_free(policy);
            break;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
        assert_null(policy);
        failures++;
    }
    assert_int_equal(failures, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy__parts_are_listed),
        cmocka_unit_test(test_policy__smallest_parses),
        cmocka_unit_test(test_policy__example_of_the_specification_parses),
        cmocka_unit_test(test_policy__malformed_is_refused_with_its_line),
        cmocka_unit_test(test_policy__one_key_in_two_roles_is_refused),
        cmocka_unit_test(test_policy__key_under_another_name_is_a_duplicate),
        cmocka_unit_test(test_policy__limits),
        cmocka_unit_test(test_policy_check__quorums),
        cmocka_unit_test(test_policy_check__cosignatures_are_given),
        cmocka_unit_test(test_policy_check__bad_signature_of_a_listed_key_is_told),
        cmocka_unit_test(test_policy_check__origin_with_two_keys),
        cmocka_unit_test(test_policy_check__what_is_no_checkpoint_is_refused),
        cmocka_unit_test(test_policy__verdicts_have_words),
        cmocka_unit_test(test_policy__failed_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
