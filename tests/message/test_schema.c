/* The declared subset of JSON Schema: every keyword checks what it says, and nothing outside the subset compiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "message/schema.h"

static ent_schema *compiled(const char *text)
{
    ent_schema *schema = NULL;
    ent_err err = {0};
    if (ent_schema_compile(ent_text_of(text), &schema, &err).code != ENT_OK)
        fail_msg("%s: %s", text, err.text);
    return schema;
}

static int check_code(const ent_schema *schema, const char *value, ent_err *err)
{
    ent_json *json = NULL;
    assert_int_equal(ent_json_parse(ent_text_bytes(ent_text_of(value)), &json, NULL).code, ENT_OK);
    int code = ent_schema_check(schema, ent_json_root(json), "fields", err).code;
    ent_json_free(json);
    return code;
}

/* good and bad are NULL-terminated lists of JSON values. */
static void assert_schema(const char *schema_text, const char *const *good, const char *const *bad)
{
    ent_schema *schema = compiled(schema_text);
    for (; *good != NULL; good++) {
        ent_err err = {0};
        if (check_code(schema, *good, &err) != ENT_OK)
            fail_msg("%s refused by %s: %s", *good, schema_text, err.text);
    }
    for (; *bad != NULL; bad++) {
        ent_err err = {0};
        if (check_code(schema, *bad, &err) != ENT_PEER_INVALID)
            fail_msg("%s accepted by %s", *bad, schema_text);
        assert_true(err.text[0] != 0);
    }
    ent_schema_free(schema);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

static void test_schema__types_told_apart(void **state)
{
    (void)state;
    assert_schema("{}", LIST("null", "1", "\"x\"", "[]", "{}", "1.5", "true"), NONE);
    assert_schema("{\"type\":\"null\"}", LIST("null"), LIST("0", "false", "\"\"", "[]", "{}"));
    assert_schema("{\"type\":\"boolean\"}", LIST("true", "false"), LIST("0", "null", "\"true\""));
    assert_schema("{\"type\":\"integer\"}", LIST("0", "-5", "18446744073709551615"),
                  LIST("1.5", "1.0", "\"1\"", "null"));
    assert_schema("{\"type\":\"number\"}", LIST("0", "-5", "1.5", "1e9"), LIST("\"1\"", "true"));
    assert_schema("{\"type\":\"string\"}", LIST("\"\"", "\"x\""), LIST("1", "null", "[]"));
    assert_schema("{\"type\":\"array\"}", LIST("[]", "[1]"), LIST("{}", "\"[]\""));
    assert_schema("{\"type\":\"object\"}", LIST("{}"), LIST("[]", "null"));
    assert_schema("{\"type\":[\"string\",\"null\"]}", LIST("\"x\"", "null"), LIST("1", "[]"));
}

static void test_schema__choices(void **state)
{
    (void)state;
    assert_schema("{\"enum\":[\"a\",\"b\",1,true,null,-1]}", LIST("\"a\"", "1", "true", "null", "-1"),
                  LIST("\"c\"", "\"A\"", "2", "false", "1.0", "\"1\"", "[]", "{}", "-2"));
    assert_schema("{\"const\":\"x\"}", LIST("\"x\""), LIST("\"y\"", "1", "null"));
    assert_schema("{\"const\":5}", LIST("5"), LIST("6", "\"5\""));
}

static void test_schema__numbers(void **state)
{
    (void)state;
    assert_schema("{\"type\":\"integer\",\"minimum\":1,\"maximum\":10}", LIST("1", "10"), LIST("0", "11", "-1"));
    assert_schema("{\"minimum\":0.5,\"maximum\":1.5}", LIST("0.5", "1.5", "1", "\"not a number\""), LIST("0.4", "2"));
}

static void test_schema__strings(void **state)
{
    (void)state;
    assert_schema("{\"minLength\":2,\"maxLength\":3}", LIST("\"ab\"", "\"abc\"", "7"),
                  LIST("\"\"", "\"a\"", "\"abcd\""));
    /* Lengths are code points: each of these letters is two bytes, the emoji four. */
    assert_schema("{\"minLength\":3,\"maxLength\":3}", LIST("\"\xd1\x80\xd1\x83\xd1\x81\"", "\"\xf0\x9f\x98\x80xy\""),
                  LIST("\"\xd1\x80\xd1\x83\"", "\"\xd1\x80\xd1\x83\xd1\x81\xd1\x81\""));
    assert_schema("{\"format\":\"date-time\"}", LIST("\"2021-05-30T11:00:00Z\"", "1"), LIST("\"yesterday\"", "\"\""));
}

static void test_schema__arrays(void **state)
{
    (void)state;
    assert_schema("{\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"integer\"}}", LIST("[1]", "[1,2]", "{}"),
                  LIST("[]", "[1,2,3]", "[\"x\"]", "[1,null]"));
    assert_schema("{\"type\":\"array\",\"uniqueItems\":true,\"maxItems\":256,\"items\":{\"type\":\"string\"}}",
                  LIST("[]", "[\"a\",\"b\"]"), LIST("[\"a\",\"b\",\"a\"]", "[\"\",\"\"]"));
    assert_schema("{\"uniqueItems\":false}", LIST("[1,1]"), NONE);
}

static void test_schema__objects(void **state)
{
    (void)state;
    assert_schema("{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{}}}",
                  LIST("{\"a\":1}", "{\"a\":1,\"b\":[],\"unknown\":{}}"), LIST("{}", "{\"b\":1}", "{\"a\":\"1\"}"));
    assert_schema("{\"properties\":{\"a\":{}},\"additionalProperties\":false}", LIST("{}", "{\"a\":1}"),
                  LIST("{\"b\":1}", "{\"a\":1,\"b\":1}"));
    assert_schema("{\"properties\":{\"a\":{}},\"additionalProperties\":true}", LIST("{\"b\":1}"), NONE);
    assert_schema("{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"string\"}}",
                  LIST("{\"a\":1,\"b\":\"x\"}"), LIST("{\"b\":1}"));
    assert_schema("{\"propertyNames\":{\"format\":\"language\",\"maxLength\":5}}", LIST("{\"en\":1,\"pt-BR\":2}", "{}"),
                  LIST("{\"e\":1}", "{\"zh-Hant\":1}"));
}

static void test_schema__annotations_taken(void **state)
{
    (void)state;
    assert_schema(
        "{\"$schema\":\"s\",\"$id\":\"i\",\"title\":\"t\",\"description\":\"d\",\"examples\":[1],\"default\":{}}",
        LIST("1"), NONE);
}

static void test_schema__outside_the_subset_refused(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        const char *named;
    } rows[] = {
        {"{\"$ref\":\"#\"}", "$ref"},
        {"{\"allOf\":[]}", "allOf"},
        {"{\"pattern\":\"x\"}", "pattern"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[]}}}", "anyOf"},
        {"{\"items\":{\"not\":{}}}", "not"},
        {"{\"additionalProperties\":{\"if\":{}}}", "if"},
        {"{\"propertyNames\":{\"exclusiveMinimum\":1}}", "exclusiveMinimum"},
        {"{\"propertyNames\":{\"enum\":[\"a\"]}}", "propertyNames"},
        {"{\"propertyNames\":{\"type\":\"object\"}}", "propertyNames"},
        {"{\"format\":\"ipv4\"}", "ipv4"},
        {"{\"uniqueItems\":true}", "uniqueItems"},
        {"{\"uniqueItems\":true,\"items\":{\"type\":\"string\"}}", "uniqueItems"},
        {"{\"uniqueItems\":true,\"maxItems\":257,\"items\":{\"type\":\"string\"}}", "uniqueItems"},
        {"{\"uniqueItems\":true,\"maxItems\":2,\"items\":{\"type\":\"object\"}}", "uniqueItems"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ent_schema *schema = NULL;
        ent_err err = {0};
        if (ent_schema_compile(ent_text_of(rows[i].schema), &schema, &err).code != ENT_USAGE)
            fail_msg("%s accepted", rows[i].schema);
        if (strstr(err.text, rows[i].named) == NULL)
            fail_msg("%s: \"%s\" does not name %s", rows[i].schema, err.text, rows[i].named);
        assert_null(schema);
    }
}

static void test_schema__malformed_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "true",
        "{\"type\":\"date\"}",
        "{\"type\":1}",
        "{\"type\":[]}",
        "{\"type\":[\"string\",\"string\"]}",
        "{\"enum\":[]}",
        "{\"enum\":\"a\"}",
        "{\"enum\":[[1]]}",
        "{\"enum\":[1.5]}",
        "{\"const\":{}}",
        "{\"properties\":[]}",
        "{\"properties\":{\"a\":true}}",
        "{\"required\":\"a\"}",
        "{\"required\":[1]}",
        "{\"additionalProperties\":1}",
        "{\"propertyNames\":true}",
        "{\"items\":[]}",
        "{\"uniqueItems\":1}",
        "{\"minItems\":-1}",
        "{\"maxItems\":1.5}",
        "{\"minLength\":\"1\"}",
        "{\"maxLength\":null}",
        "{\"minimum\":\"1\"}",
        "{\"maximum\":null}",
        "{\"format\":1}",
        "{\"title\":1}",
        "{\"description\":[]}",
        "{\"examples\":1}",
        "{\"type\":\"string\",\"type\":\"string\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ent_schema *schema = NULL;
        if (ent_schema_compile(ent_text_of(bad[i]), &schema, NULL).code != ENT_PEER_MALFORMED)
            fail_msg("%s accepted or another code", bad[i]);
        assert_null(schema);
    }
}

static void assert_error(const char *schema_text, const char *value, const char *expected)
{
    ent_schema *schema = compiled(schema_text);
    ent_err err = {0};
    assert_int_equal(check_code(schema, value, &err), ENT_PEER_INVALID);
    assert_string_equal(err.text, expected);
    ent_schema_free(schema);
}

static void test_schema__errors_say_where_what_and_what_is_allowed(void **state)
{
    (void)state;
    assert_error("{\"properties\":{\"severity\":{\"enum\":[\"low\",\"high\",1]}}}", "{\"severity\":\"urgent\"}",
                 "fields.severity: \"urgent\" is not allowed; allowed: low, high, 1");
    assert_error("{\"required\":[\"title\"]}", "{}", "fields.title: is required and missing");
    assert_error("{\"items\":{\"properties\":{\"a\":{\"type\":\"string\"}}}}", "[{},{\"a\":1}]",
                 "fields[1].a: an integer given, expected a string");
    assert_error("{\"format\":\"date-time\"}", "\"to\\u0001day\"",
                 "fields: \"to?day\" given, expected a time in UTC like 2021-05-30T06:00:00Z");
    assert_error("{\"enum\":[\"a\"]}", "true", "fields: true is not allowed; allowed: a");
    assert_error("{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}", "[]", "fields: an array given; allowed: a, b");
    assert_error("{\"type\":[\"string\",\"null\"]}", "7", "fields: an integer given, expected a string or null");
    assert_error("{\"type\":\"integer\"}", "1.5", "fields: a number given, expected an integer");
    assert_error("{\"type\":\"boolean\"}", "\"x\"", "fields: a string given, expected true or false");
    assert_error("{\"minLength\":1}", "\"\"", "fields: is empty, at least 1 character");
    assert_error("{\"minLength\":64}", "\"x\"", "fields: 1 character, at least 64");
    assert_error("{\"maxLength\":1}", "\"ab\"", "fields: 2 characters, at most 1");
    assert_error("{\"minItems\":2}", "[]", "fields: 0 elements, at least 2");
    assert_error("{\"minimum\":60}", "59", "fields: 59 is less than the least, 60");
    assert_error("{\"maximum\":3}", "4", "fields: 4 is more than the most, 3");
    assert_error("{\"additionalProperties\":false}", "{\"x\":1}", "fields.x: is not a field here");
    assert_error("{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false}", "{\"x\":1}",
                 "fields.x: is not a field here; allowed: a, b");
    assert_error("{\"const\":\"a\"}", "\"b\"", "fields: \"b\" is not allowed; expected \"a\"");
    assert_error("{\"const\":true}", "false", "fields: false is not allowed; expected true");
    assert_error("{\"uniqueItems\":true,\"maxItems\":4,\"items\":{\"type\":\"string\"}}", "[\"US\",\"CA\",\"US\"]",
                 "fields: \"US\" stands twice; each may stand once");
    assert_error("{\"required\":[\"a\"],\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]}}}", "{}",
                 "fields.a: is required and missing; allowed: x, y");
    assert_error("{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\",\"format\":\"date\"}}}", "{}",
                 "fields.a: is required and missing; expected a date like 2021-05-30");
    assert_error("{\"required\":[\"a\"],\"properties\":{\"a\":{\"const\":true}}}", "{}",
                 "fields.a: is required and missing; expected true");
    assert_error("{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"object\"}}}", "{}",
                 "fields.a: is required and missing; expected an object");
}

/* A list too long for an error is cut between two words, and says so. */
static void test_schema__long_list_of_words_is_cut(void **state)
{
    (void)state;
    ent_buf text = {0};
    ent_err err = {0};
    ent_buf_put_string(&text, "{\"enum\":[\"w0\"");
    for (int i = 1; i < 249; i++)
        ent_buf_put_format(&text, ",\"w%d\"", i);
    ent_buf_put_string(&text, "]}");
    ent_schema *schema = compiled(ent_buf_string(&text));
    assert_int_equal(check_code(schema, "\"XX\"", &err), ENT_PEER_INVALID);
    assert_non_null(strstr(err.text, "\"XX\" is not allowed; allowed: w0, w1, w2"));
    assert_non_null(strstr(err.text, ", ... (249 in all)"));
    ent_schema_free(schema);
    ent_buf_release(&text);
}

static void test_schema__hostile_names_do_not_overflow_the_error(void **state)
{
    (void)state;
    ent_schema *schema =
        compiled("{\"additionalProperties\":{\"additionalProperties\":{\"additionalProperties\":{"
                 "\"additionalProperties\":{\"additionalProperties\":{\"additionalProperties\":false}}}}}}");
    ent_buf buf = {0};
    ent_err err = {0};
    for (int level = 0; level < 6; level++) {
        ent_buf_put_string(&buf, "{\"");
        for (int i = 0; i < 5000; i++)
            ent_buf_put_string(&buf, "\xd1\x8f");
        ent_buf_put_string(&buf, "\":");
    }
    ent_buf_put_string(&buf, "1}}}}}}");
    assert_int_equal(check_code(schema, ent_buf_string(&buf), &err), ENT_PEER_INVALID);
    assert_true(strlen(err.text) < sizeof err.text);
    ent_buf_release(&buf);
    ent_schema_free(schema);
}

static void test_schema__allocation_failure_leaks_nothing(void **state)
{
    (void)state;
    static const char text[] = "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"items\":{}}}}";
    ent_alloc_fail_at(0);
    ent_schema_free(compiled(text));
    unsigned long allocations = ent_alloc_count();
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_schema *schema = NULL;
        ent_alloc_fail_at(nth);
        assert_int_equal(ent_schema_compile(ent_text_of(text), &schema, NULL).code, ENT_NOMEM);
        assert_null(schema);
    }
    ent_alloc_fail_at(0);
    ent_schema_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema__types_told_apart),
        cmocka_unit_test(test_schema__choices),
        cmocka_unit_test(test_schema__numbers),
        cmocka_unit_test(test_schema__strings),
        cmocka_unit_test(test_schema__arrays),
        cmocka_unit_test(test_schema__objects),
        cmocka_unit_test(test_schema__annotations_taken),
        cmocka_unit_test(test_schema__outside_the_subset_refused),
        cmocka_unit_test(test_schema__malformed_refused),
        cmocka_unit_test(test_schema__errors_say_where_what_and_what_is_allowed),
        cmocka_unit_test(test_schema__long_list_of_words_is_cut),
        cmocka_unit_test(test_schema__hostile_names_do_not_overflow_the_error),
        cmocka_unit_test(test_schema__allocation_failure_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
