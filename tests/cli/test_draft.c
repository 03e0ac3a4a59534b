#include "testing.h"

#include "cli/draft.h"

static ent_rc make(const char *content, const char *const *names, size_t count, ent_buf *ret, bool *ret_text,
                   ent_err *err)
{
    ent_buf given = {0};
    if (content != NULL)
        ent_buf_put_string(&given, content);
    ent_rc rc = ent_cli_body_make(content == NULL ? NULL : &given, "en", names, count, ret, ret_text, err);
    ent_buf_release(&given);
    return rc;
}

static void check(const char *content, const char *const *names, size_t count, const char *wanted, bool wanted_text)
{
    ent_buf body = {0};
    ent_err err = {0};
    bool is_text = !wanted_text;
    ent_rc rc = make(content, names, count, &body, &is_text, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", content, err.text);
    assert_text(ent_buf_text(&body), wanted);
    assert_int_equal(is_text, wanted_text);
    ent_buf_release(&body);
}

static const char *const two[] = {"image.dd", "n\"otes.txt"};

static void test_draft__envelope_used_as_it_is(void **state)
{
    (void)state;
    check(" {\"fields\":{\"a\":1.50},\"text\":{\"en\":\"x\"},\"authentic\":\"en\",\"other\":[null]}", NULL, 0,
          " {\"fields\":{\"a\":1.50},\"text\":{\"en\":\"x\"},\"authentic\":\"en\",\"other\":[null]}", false);
    check("{\"stix\":{}}", NULL, 0, "{\"stix\":{}}", false);
    check("{\"files\":[]}", NULL, 0, "{\"files\":[]}", false);
}

static void test_draft__anything_else_is_text(void **state)
{
    (void)state;
    check("We have it.\n", NULL, 0, "{\"fields\":{},\"text\":{\"en\":\"We have it.\\n\"},\"authentic\":\"en\"}", true);
    check("{\"note\":1}", NULL, 0, "{\"fields\":{},\"text\":{\"en\":\"{\\\"note\\\":1}\"},\"authentic\":\"en\"}", true);
    check("[1]", NULL, 0, "{\"fields\":{},\"text\":{\"en\":\"[1]\"},\"authentic\":\"en\"}", true);
    check("", NULL, 0, "{\"fields\":{},\"text\":{\"en\":\"\"},\"authentic\":\"en\"}", true);
    check(NULL, NULL, 0, "{\"fields\":{}}", false);
}

static void test_draft__attachments_named(void **state)
{
    (void)state;
    check(NULL, two, 2, "{\"fields\":{},\"files\":[{\"name\":\"image.dd\"},{\"name\":\"n\\\"otes.txt\"}]}", false);
    check("{\"fields\":{},\"files\":[{\"name\":\"x\",\"description\":\"d\"}]}", two, 2,
          "{\"fields\":{},\"files\":[{\"name\":\"x\",\"description\":\"d\"},{\"name\":\"n\\\"otes.txt\"}]}", false);
    check("{\"files\":[{\"name\":\"x\"}],\"fields\":{}}", two, 1, "{\"files\":[{\"name\":\"x\"}],\"fields\":{}}",
          false);
    check("{\"fields\":{\"a\":1.50} }\n", two, 1, "{\"fields\":{\"a\":1.50} ,\"files\":[{\"name\":\"image.dd\"}]}",
          false);
    check("hello", two, 1,
          "{\"fields\":{},\"text\":{\"en\":\"hello\"},\"authentic\":\"en\",\"files\":[{\"name\":\"image.dd\"}]}", true);
}

static void refuse(const char *content, size_t count, int code, const char *reason)
{
    ent_buf body = {0};
    ent_err err = {0};
    bool is_text = false;
    assert_code(make(content, two, count, &body, &is_text, &err), code);
    assert_contains(err.text, reason);
    ent_buf_release(&body);
}

static void test_draft__mistakes_refused(void **state)
{
    (void)state;
    refuse("{\"fields\":{}", 0, ENT_PEER_MALFORMED, "begins like a JSON object");
    refuse("{\"fields\":{},\"fields\":{}}", 0, ENT_PEER_MALFORMED, "begins like a JSON object");
    refuse("{\"files\":[{\"name\":\"x\"},{\"name\":\"y\"}]}", 1, ENT_USAGE, "names 2 attachments, but 1");
    refuse("\xff\xfe", 0, ENT_PEER_MALFORMED, "--attach");
}

static void test_draft__media_type_by_extension(void **state)
{
    (void)state;
    assert_string_equal(ent_cli_media_type("a/b.PDF"), "application/pdf");
    assert_string_equal(ent_cli_media_type("notes.txt"), "text/plain");
    assert_string_equal(ent_cli_media_type("bundle.json"), "application/json");
    assert_string_equal(ent_cli_media_type("image.dd"), "application/octet-stream");
    assert_string_equal(ent_cli_media_type("a.pdf/plain"), "application/octet-stream");
    assert_string_equal(ent_cli_media_type("pdf"), "application/octet-stream");
}

static void test_draft__no_memory_fails(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth < 500; nth++) {
        ent_buf given = {0};
        ent_buf body = {0};
        ent_err err = {0};
        bool is_text = false;
        ent_buf_put_string(&given, "{\"fields\":{\"a\":[1,2,{\"b\":null}]},\"files\":[{\"name\":\"x\"}]}");
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_cli_body_make(&given, "en", two, 2, &body, &is_text, &err);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        ent_buf_release(&given);
        ent_buf_release(&body);
        if (!reached) {
            assert_int_equal(rc.code, ENT_OK);
            return;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draft__envelope_used_as_it_is),  cmocka_unit_test(test_draft__anything_else_is_text),
        cmocka_unit_test(test_draft__attachments_named),       cmocka_unit_test(test_draft__mistakes_refused),
        cmocka_unit_test(test_draft__media_type_by_extension), cmocka_unit_test(test_draft__no_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
