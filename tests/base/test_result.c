#include "testing.h"

static void test_result__every_code_has_its_own_word_and_a_status(void **state)
{
    (void)state;
    for (int code = ENT_OK; code < ENT_CODE_COUNT; code++) {
        const char *word = ent_code_word(code);
        assert_non_null(word);
        assert_int_not_equal(strlen(word), 0);
        assert_int_equal(ent_code_from_word(word, strlen(word)), code);
        assert_in_range(ent_code_http_status(code), 200, 599);
        assert_in_range(ent_code_exit_status(code), 0, 5);
        assert_int_equal(ent_code_class(code) == ENT_CLASS_OK, code == ENT_OK);
    }
    assert_int_equal(ent_code_exit_status(ENT_OK), 0);
    assert_int_equal(ent_code_http_status(ENT_PEER_TOO_LARGE), 413);
    assert_int_equal(ent_code_exit_status(ENT_UNREACHABLE), 3);
}

static void test_result__unknown_code_is_a_bug(void **state)
{
    (void)state;
    assert_int_equal(ent_code_class(-1), ENT_CLASS_BUG);
    assert_int_equal(ent_code_class(ENT_CODE_COUNT), ENT_CLASS_BUG);
    assert_int_equal(ent_code_http_status(ENT_CODE_COUNT), 500);
    assert_int_equal(ent_code_from_word("no such word", 12), ENT_CODE_COUNT);
    assert_int_equal(ent_code_from_word("malformed", 8), ENT_CODE_COUNT);
    assert_int_equal(ent_code_from_word("", 0), ENT_CODE_COUNT);
}

static void test_fail__records_code_rule_and_text(void **state)
{
    (void)state;
    ent_err err;
    ent_rc rc = ent_fail(&err, ENT_PEER_MALFORMED, "signed-note, Format", "line %d is %s", 7, "odd");
    assert_int_equal(rc.code, ENT_PEER_MALFORMED);
    assert_int_equal(err.code, ENT_PEER_MALFORMED);
    assert_string_equal(err.rule, "signed-note, Format");
    assert_string_equal(err.text, "line 7 is odd");
    assert_code(ent_fail(&err, ENT_IO, NULL, "x"), ENT_IO);
    assert_string_equal(err.rule, "");
    assert_code(ent_fail(NULL, ENT_NOMEM, NULL, "nobody listens"), ENT_NOMEM);
}

static void test_fail__long_text_is_cut(void **state)
{
    (void)state;
    char text[2000];
    ent_err err;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_code(ent_fail(&err, ENT_IO, text, "%s", text), ENT_IO);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(strlen(err.rule), sizeof err.rule - 1);
}

static void test_fail_in__puts_the_context_first(void **state)
{
    (void)state;
    ent_err err;
    ent_rc rc = ent_fail(&err, ENT_PEER_MALFORMED, "a rule", "inner");
    rc = ent_fail_in(&err, rc, "outer %d", 1);
    assert_int_equal(rc.code, ENT_PEER_MALFORMED);
    assert_string_equal(err.text, "outer 1: inner");
    assert_string_equal(err.rule, "a rule");
    assert_code(ent_fail_in(NULL, rc, "outer"), ENT_PEER_MALFORMED);
    assert_ok(ent_fail_in(&err, ENT_DONE, "not used"));
    assert_string_equal(err.text, "outer 1: inner");
}

static void test_fail_in__any_lengths_fit(void **state)
{
    (void)state;
    char text[700];
    for (size_t inner = 0; inner < 600; inner += 37) {
        for (size_t outer = 0; outer < 600; outer += 1) {
            ent_err err;
            memset(text, 'i', inner);
            text[inner] = 0;
            ent_rc rc = ent_fail(&err, ENT_IO, NULL, "%s", text);
            memset(text, 'o', outer);
            text[outer] = 0;
            assert_code(ent_fail_in(&err, rc, "%s", text), ENT_IO);
            size_t length = strnlen(err.text, sizeof err.text);
            assert_true(length < sizeof err.text);
            assert_true(length >= (outer < 500 ? outer : 500));
        }
    }
}

static ENT_RC first_of(int code, bool *reached)
{
    ENT_TRY(ent_fail(NULL, ENT_IO, NULL, "x").code == ENT_IO ? (ent_rc){code} : ENT_DONE);
    *reached = true;
    return ENT_DONE;
}

static void test_try__passes_a_failure_on(void **state)
{
    (void)state;
    bool reached = false;
    assert_code(first_of(ENT_RETRY, &reached), ENT_RETRY);
    assert_false(reached);
    assert_ok(first_of(ENT_OK, &reached));
    assert_true(reached);
}

static void test_take__leaves_null_behind(void **state)
{
    (void)state;
    int value = 5;
    int *pointer = &value;
    int *taken = ent_take(pointer);
    assert_ptr_equal(taken, &value);
    assert_null(pointer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result__every_code_has_its_own_word_and_a_status),
        cmocka_unit_test(test_result__unknown_code_is_a_bug),
        cmocka_unit_test(test_fail__records_code_rule_and_text),
        cmocka_unit_test(test_fail__long_text_is_cut),
        cmocka_unit_test(test_fail_in__puts_the_context_first),
        cmocka_unit_test(test_fail_in__any_lengths_fit),
        cmocka_unit_test(test_try__passes_a_failure_on),
        cmocka_unit_test(test_take__leaves_null_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
