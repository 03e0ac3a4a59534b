#include "testing.h"

#include "cli/account.h"
#include "cli/fields.h"
#include "cli/markdown.h"
#include "cli/moment.h"
#include "cli/template.h"

/* ---- pieces ------------------------------------------------------------------------ */

static void check_shortened(const char *given, size_t most, const char *wanted)
{
    ent_buf buf = {0};
    assert_ok(ent_cli_shorten(ent_text_of(given), most, &buf, NULL));
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
}

static void test_pieces__arrays_are_shortened_at_any_depth(void **state)
{
    (void)state;
    check_shortened("{}", 1, "{}");
    check_shortened(" { \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : [ [ 1 , 2 ] , 3 ] } } ", 1,
                    "{\"a\":[1],\"b\":{\"c\":[[1]]}}");
    check_shortened("{\"a\":\"[1,2]\\\"]\",\"b\":[\"x,\\\\\",\"}\"],\"c\":null}", 9,
                    "{\"a\":\"[1,2]\\\"]\",\"b\":[\"x,\\\\\",\"}\"],\"c\":null}");
    check_shortened("{\"a\":[1,2,3]}", 0, "{\"a\":[]}");
    assert_int_equal(ent_cli_pieces_count(ENT_TEXT("{\"b\":1,\"a\":[[1,2],{},\"x\"]}"), "a"), 3);
    assert_int_equal(ent_cli_pieces_count(ENT_TEXT("{\"a\":[]}"), "a"), 0);
    assert_int_equal(ent_cli_pieces_count(ENT_TEXT("{\"a\":1}"), "a"), 0);
    assert_int_equal(ent_cli_pieces_count(ENT_TEXT("["), "a"), 0);
}

static void test_pieces__what_is_not_whole_is_refused(void **state)
{
    static const char *const broken[] = {
        "",         "x",          "[1]",       "{",           "{\"a\"",       "{\"a\":",
        "{\"a\":1", "{\"a\":1,",  "{\"a\" 1}", "{a:1}",       "{\"a\":1}x",   "{\"a\":1 2}",
        "{,}",      "{\"a\":[1}", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[1 2]}"};
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        ent_buf buf = {0};
        assert_code(ent_cli_shorten(ent_text_of(broken[i]), 9, &buf, NULL), ENT_PEER_MALFORMED);
        ent_buf_release(&buf);
    }
}

/* Whatever the bytes: no crash, and what comes out of a document that parses is the same document. */
static void test_pieces__any_bytes(void **state)
{
    static const char alphabet[] = "{}[]\",:\\ 1ab\n";
    (void)state;
    srand(11);
    for (int round = 0; round < 50000; round++) {
        char bytes[20];
        size_t size = (size_t)(rand() % (int)sizeof bytes);
        ent_buf buf = {0};
        ent_json *before = NULL;
        for (size_t i = 0; i < size; i++)
            bytes[i] = i == 0 ? '{' : alphabet[rand() % (int)(sizeof alphabet - 1)];
        ent_text text = {bytes, size};
        ent_rc rc = ent_cli_shorten(text, 100, &buf, NULL);
        if (ent_json_parse(ent_text_bytes(text), &before, NULL).code == ENT_OK) {
            ent_json *after = NULL;
            ent_buf first = {0};
            ent_buf second = {0};
            assert_ok(rc);
            assert_ok(ent_json_parse(ent_buf_bytes(&buf), &after, NULL));
            ent_json_put_value(&first, ent_json_root(before));
            ent_json_put_value(&second, ent_json_root(after));
            assert_true(ent_text_equal(ent_buf_text(&first), ent_buf_text(&second)));
            ent_buf_release(&first);
            ent_buf_release(&second);
            ent_json_free(after);
        }
        ent_json_free(before);
        ent_buf_release(&buf);
    }
}

/* ---- spans and Markdown --------------------------------------------------------------- */

static void check_span(uint64_t seconds, const char *exact, const char *about)
{
    ent_buf buf = {0};
    ent_cli_put_span(&buf, seconds);
    assert_text(ent_buf_text(&buf), exact);
    ent_buf_clear(&buf);
    ent_cli_put_about(&buf, seconds);
    assert_text(ent_buf_text(&buf), about);
    ent_buf_release(&buf);
}

static void test_moment__spans(void **state)
{
    (void)state;
    check_span(0, "0 s", "0 s");
    check_span(59, "59 s", "59 s");
    check_span(60, "1 min", "1 min");
    check_span(7800, "2 h 10 min", "2 h 10 min");
    check_span(7801, "2 h 10 min 1 s", "2 h 10 min");
    check_span(3601, "1 h 1 s", "1 h");
    check_span(86400, "24 h", "24 h");
    check_span(259200, "72 h", "72 h");
    check_span(259201, "3 d 1 s", "3 d");
    check_span(2592000, "30 d", "30 d");
    check_span(UINT64_MAX, "213503982334601 d 7 h 15 s", "213503982334601 d 7 h");
}

static void check_distance(int64_t then, int64_t now, const char *wanted)
{
    ent_buf buf = {0};
    ent_cli_put_distance(&buf, then, now);
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
}

static void test_moment__distances(void **state)
{
    (void)state;
    check_distance(100, 100, "now");
    check_distance(10900, 100, "in 3 h");
    check_distance(100, 7900, "2 h 10 min ago");
    check_distance(INT64_MIN, INT64_MAX, "213503982334601 d 7 h ago");
}

static void check_markdown(const char *given, const char *wanted)
{
    ent_buf buf = {0};
    ent_cli_put_markdown(&buf, ent_text_of(given));
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
}

static void test_markdown__text_stays_text(void **state)
{
    (void)state;
    check_markdown("plain, (no) 1.5% - \"x\" \xd0\x96", "plain, \\(no\\) 1.5% - \"x\" \xd0\x96");
    check_markdown("a|b\n# c", "a\\|b\\\\n\\# c");
    check_markdown("<b>[x](y)</b>", "\\<b\\>\\[x\\]\\(y\\)\\</b\\>");
    check_markdown("\\|", "\\\\\\|");
    check_markdown("www.example http://x", "www\\.example http\\://x");
    check_markdown("\xe2\x80\xae", "\\\\u\\{202e\\}");
    check_markdown("\x1b", "\\\\u\\{001b\\}");
}

/* ---- no memory ----------------------------------------------------------------------------- */

static const char report_text[] = "{\"report\":1,\"made_by\":\"a.b\",\"lines\":[{\"x\":1}],\"proofs\":[]}";

static ent_rc count_line(void *context, size_t number, ent_json_value element, ent_err *err)
{
    (void)number;
    (void)element;
    (void)err;
    ++*(size_t *)context;
    return ENT_DONE;
}

static ent_rc use_all(ent_err *err)
{
    static const ent_json_value nothing = {{NULL, NULL}};
    const ent_kind *kind = ent_kind_find(ENT_TEXT("request.surrender"));
    ENT_CLEANUP(ent_buf_release) ent_buf form = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf shorter = {0};
    ENT_CLEANUP(ent_cli_account_release) ent_cli_account account = {0};
    size_t lines = 0;
    ENT_TRY(ent_cli_template_make(kind, nothing, "en", &form, err));
    ent_rc rc =
        ent_cli_template_fill(ent_buf_text(&form), ENT_TEXT("{\"fields\":{\"a\":[\"x\",{\"b\":1}]}}"), &body, err);
    ENT_TRY(rc);
    assert_text(ent_buf_text(&body), "{\"fields\":{\"a\":[\"x\",{\"b\":1}]}}");
    ENT_TRY(ent_cli_shorten(ent_text_of(report_text), 5, &shorter, err));
    ENT_TRY(ent_cli_account_open(ent_buf_text(&shorter), &account, err));
    ENT_TRY(ent_cli_account_each(account.lines, count_line, &lines, err));
    assert_int_equal(lines, 1);
    return ENT_DONE;
}

static void test_all__each_allocation_failed_is_told(void **state)
{
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        ent_err err = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = use_all(&err);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            return;
        }
        assert_code(rc, ENT_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces__arrays_are_shortened_at_any_depth),
        cmocka_unit_test(test_pieces__what_is_not_whole_is_refused),
        cmocka_unit_test(test_pieces__any_bytes),
        cmocka_unit_test(test_moment__spans),
        cmocka_unit_test(test_moment__distances),
        cmocka_unit_test(test_markdown__text_stays_text),
        cmocka_unit_test(test_all__each_allocation_failed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
