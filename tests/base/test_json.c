/* JSON: what is read, what is refused, and that what the writer writes is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/json.h"

static ent_json *parsed(const char *text)
{
    ent_json *json = NULL;
    ent_err err = {0};
    if (ent_json_parse(ent_text_bytes(ent_text_of(text)), &json, &err).code != ENT_OK)
        fail_msg("%s: %s", text, err.text);
    assert_non_null(json);
    return json;
}

static int parse_code(ent_text text)
{
    ent_json *const untouched = (ent_json *)(uintptr_t)1;
    ent_json *json = untouched;
    ent_err err = {0};
    int code = ent_json_parse(ent_text_bytes(text), &json, &err).code;
    if (code == ENT_OK) {
        ent_json_free(json);
    } else {
        assert_ptr_equal(json, untouched);
        assert_int_equal(err.code, code);
        assert_true(err.text[0] != 0);
    }
    return code;
}

static void assert_again(const char *text, const char *expected)
{
    ent_json *json = parsed(text);
    ent_buf buf = {0};
    ent_json_put_value(&buf, ent_json_root(json));
    assert_non_null(ent_buf_string(&buf));
    assert_string_equal((const char *)buf.data, expected);
    ent_buf_release(&buf);
    ent_json_free(json);
}

static void test_json__each_type_told(void **state)
{
    (void)state;
    ent_json *json =
        parsed("{\"n\":null,\"b\":true,\"i\":-3,\"u\":18446744073709551615,\"d\":1.5,\"s\":\"x\",\"a\":[1,2],"
               "\"o\":{\"k\":0}}");
    ent_json_value root = ent_json_root(json);
    static const struct {
        const char *key;
        ent_json_type type;
    } rows[] = {{"n", ENT_JSON_NULL},    {"b", ENT_JSON_BOOL},   {"i", ENT_JSON_INTEGER},
                {"u", ENT_JSON_INTEGER}, {"d", ENT_JSON_NUMBER}, {"s", ENT_JSON_STRING},
                {"a", ENT_JSON_ARRAY},   {"o", ENT_JSON_OBJECT}, {"missing", ENT_JSON_ABSENT}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(ent_json_type_of(ent_json_get(root, rows[i].key)), rows[i].type);
    assert_int_equal(ent_json_count(root), 8);
    assert_int_equal(ent_json_count(ent_json_get(root, "a")), 2);
    assert_int_equal(ent_json_count(ent_json_get(root, "s")), 0);
    assert_true(ent_json_true(ent_json_get(root, "b")));
    assert_false(ent_json_true(ent_json_get(root, "i")));
    assert_true(ent_text_is(ent_json_string(ent_json_get(root, "s")), "x"));
    assert_null(ent_json_string(ent_json_get(root, "i")).data);
    ent_json_free(json);
}

static void test_json__numbers_read_within_their_limits(void **state)
{
    (void)state;
    ent_json *json = parsed("[0,-1,7,8,9007199254740992,18446744073709551615,1.0,1e2]");
    uint64_t value = 99;
    double number = 0;
    ent_json_value at[8];
    size_t count = 0;
    for (ent_json_iter i = ent_json_iterate(ent_json_root(json)); ent_json_next(&i);)
        at[count++] = i.value;
    assert_int_equal(count, 8);
    assert_true(ent_json_unsigned(at[0], 0, &value) && value == 0);
    value = 99;
    assert_false(ent_json_unsigned(at[1], UINT64_MAX, &value));
    assert_true(ent_json_unsigned(at[2], 7, &value) && value == 7);
    assert_false(ent_json_unsigned(at[3], 7, &value));
    assert_true(ent_json_unsigned(at[4], UINT64_MAX, &value) && value == (uint64_t)1 << 53);
    assert_true(ent_json_unsigned(at[5], UINT64_MAX, &value) && value == UINT64_MAX);
    value = 99;
    assert_false(ent_json_unsigned(at[6], 10, &value));
    assert_false(ent_json_unsigned(at[7], 1000, &value));
    assert_int_equal(value, 99);
    assert_true(ent_json_double(at[1], &number) && number < -0.9);
    assert_true(ent_json_double(at[7], &number) && number > 99.9 && number < 100.1);
    assert_false(ent_json_double(ent_json_root(json), &number));
    ent_json_free(json);
}

static void test_json__absent_value_taken_by_every_accessor(void **state)
{
    (void)state;
    ent_json_value absent = {{0}};
    uint64_t value = 0;
    double number = 0;
    ent_buf buf = {0};
    ent_json_iter iter = ent_json_iterate(absent);
    assert_int_equal(ent_json_type_of(absent), ENT_JSON_ABSENT);
    assert_false(ent_json_present(absent));
    assert_false(ent_json_present(ent_json_get(absent, "x")));
    assert_int_equal(ent_json_count(absent), 0);
    assert_false(ent_json_next(&iter));
    assert_null(ent_json_string(absent).data);
    assert_false(ent_json_true(absent));
    assert_false(ent_json_unsigned(absent, UINT64_MAX, &value));
    assert_false(ent_json_double(absent, &number));
    ent_json_put_value(&buf, absent);
    assert_int_equal(buf.size, 0);
    ent_json *none = NULL;
    ent_json_free(none);
    ent_json_release(&none);
}

/* An empty key is a key like any other, however the empty text came about. */
static void test_json__empty_key_found(void **state)
{
    (void)state;
    static const ent_text keys[] = {{NULL, 0}, {"", 0}, {"other", 0}};
    ent_json *json = parsed("{\"\":\"x\"}");
    ent_json *other = parsed("{\"a\":\"x\"}");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_true(ent_text_is(ent_json_string(ent_json_get_text(ent_json_root(json), keys[i])), "x"));
        assert_false(ent_json_present(ent_json_get_text(ent_json_root(other), keys[i])));
    }
    assert_true(ent_text_is(ent_json_string(ent_json_get(ent_json_root(json), "")), "x"));
    ent_json_free(json);
    ent_json_free(other);
}

static void test_json__document_outlives_the_bytes(void **state)
{
    (void)state;
    char text[] = "{\"key\":[\"value that is long enough not to stand in a register\"]}";
    ent_json *json = parsed(text);
    memset(text, 'X', sizeof text);
    ent_json_iter outer = ent_json_iterate(ent_json_root(json));
    assert_true(ent_json_next(&outer));
    assert_true(ent_text_is(outer.key, "key"));
    ent_json_iter inner = ent_json_iterate(outer.value);
    assert_true(ent_json_next(&inner));
    assert_true(ent_text_is(ent_json_string(inner.value), "value that is long enough not to stand in a register"));
    assert_false(ent_json_next(&inner));
    assert_false(ent_json_next(&outer));
    ent_json_release(&json);
    assert_null(json);
}

static void test_json__escapes_and_nul_decoded(void **state)
{
    (void)state;
    ent_json *json = parsed("[\"a\\u0000b\",\"\\ud83d\\ude00\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]");
    ent_json_iter i = ent_json_iterate(ent_json_root(json));
    assert_true(ent_json_next(&i));
    assert_true(ent_text_equal(ent_json_string(i.value), ENT_TEXT("a\0b")));
    assert_true(ent_json_next(&i));
    assert_true(ent_text_is(ent_json_string(i.value), "\xf0\x9f\x98\x80"));
    assert_true(ent_json_next(&i));
    assert_true(ent_text_is(ent_json_string(i.value), "\"\\/\b\f\n\r\t"));
    ent_json_free(json);
}

static void test_json__malformed_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[1] 2",
        "nul",
        "01",
        "+1",
        "1.",
        ".5",
        "-",
        "1e999",
        "123456789012345678901",
        "NaN",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"open",
        "'a'",
        "// c\n1",
        "\xef\xbb\xbf{}",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "{\"\\udc00\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse_code(ent_text_of(bad[i])) != ENT_PEER_MALFORMED)
            fail_msg("accepted or another code: %s", bad[i]);
    }
    assert_int_equal(parse_code((ent_text){NULL, 0}), ENT_PEER_MALFORMED);
    assert_int_equal(parse_code(ENT_TEXT("{}\0")), ENT_PEER_MALFORMED);
}

static void test_json__duplicate_keys_refused_at_any_level(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"a\":1,\"a\":1}", "[{\"b\":{\"x\":1,\"y\":2,\"x\":3}}]", "{\"\":0,\"\":0}",
                                      "{\"a\":1,\"\\u0061\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse_code(ent_text_of(bad[i])), ENT_PEER_MALFORMED);
    assert_int_equal(parse_code(ENT_TEXT("{\"a\":{\"a\":1},\"b\":{\"a\":1}}")), ENT_OK);
}

static void test_json__duplicate_key_shown_without_control_characters(void **state)
{
    (void)state;
    ent_json *json = NULL;
    ent_err err = {0};
    ent_buf buf = {0};
    assert_int_equal(
        ent_json_parse(ent_text_bytes(ENT_TEXT("{\"a\\u001b[2J\x7f\":1,\"a\\u001b[2J\x7f\":2}")), &json, &err).code,
        ENT_PEER_MALFORMED);
    assert_string_equal(err.text, "an object has the key \"a?[2J?\" twice");
    for (int key = 0; key < 2; key++) {
        ent_buf_put_string(&buf, key == 0 ? "{\"x" : ",\"x");
        for (int i = 0; i < 40; i++)
            ent_buf_put_string(&buf, "\xd1\x8f");
        ent_buf_put_string(&buf, "\":1");
    }
    ent_buf_put_string(&buf, "}");
    assert_int_equal(ent_json_parse(ent_buf_bytes(&buf), &json, &err).code, ENT_PEER_MALFORMED);
    assert_true(ent_utf8_valid(ent_text_of(err.text)));
    ent_buf_release(&buf);
}

/* An object of count keys; the last one is a copy of another when `twice`. */
static void put_many_keys(ent_buf *buf, unsigned count, bool twice)
{
    ent_buf_put_u8(buf, '{');
    for (unsigned i = 0; i < count; i++)
        ent_buf_put_format(buf, "%s\"key%08u\":0", i == 0 ? "" : ",",
                           twice && i == count - 1 ? count / 3 : i * 7919 % count);
    ent_buf_put_u8(buf, '}');
}

static void test_json__many_keys_checked_without_quadratic_cost(void **state)
{
    (void)state;
    /* 7919 is prime and no factor of the counts, so the keys are a permutation; at n^2 the last would take minutes. */
    static const unsigned counts[] = {1, 2, 11, 12, 13, 14, 100, 1000, 400000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int twice = 0; twice <= 1; twice++) {
            ent_buf buf = {0};
            put_many_keys(&buf, counts[i], twice && counts[i] > 1);
            assert_int_equal(parse_code(ent_buf_text(&buf)), twice && counts[i] > 1 ? ENT_PEER_MALFORMED : ENT_OK);
            ent_buf_release(&buf);
        }
    }
}

static void put_nested(ent_buf *buf, unsigned depth, bool objects)
{
    for (unsigned i = 0; i < depth; i++)
        ent_buf_put_string(buf, objects ? "{\"a\":" : "[");
    ent_buf_put_u8(buf, '1');
    for (unsigned i = 0; i < depth; i++)
        ent_buf_put_u8(buf, objects ? '}' : ']');
}

static void test_json__depth_limited(void **state)
{
    (void)state;
    static const struct {
        unsigned depth;
        int code;
    } rows[] = {{0, ENT_OK},
                {1, ENT_OK},
                {ENT_JSON_MAX_DEPTH - 1, ENT_OK},
                {ENT_JSON_MAX_DEPTH, ENT_OK},
                {ENT_JSON_MAX_DEPTH + 1, ENT_PEER_MALFORMED},
                {100000, ENT_PEER_MALFORMED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int objects = 0; objects <= 1; objects++) {
            ent_buf buf = {0};
            put_nested(&buf, rows[i].depth, objects);
            assert_int_equal(parse_code(ent_buf_text(&buf)), rows[i].code);
            ent_buf_release(&buf);
        }
    }
}

static void test_json__size_limited(void **state)
{
    (void)state;
    ent_buf buf = {0};
    uint8_t *room = ent_buf_reserve(&buf, ENT_JSON_MAX_BYTES + 1);
    assert_non_null(room);
    memset(room, 'a', ENT_JSON_MAX_BYTES + 1);
    room[0] = '"';
    room[ENT_JSON_MAX_BYTES - 1] = '"';
    assert_int_equal(parse_code((ent_text){(const char *)room, ENT_JSON_MAX_BYTES}), ENT_OK);
    room[ENT_JSON_MAX_BYTES - 1] = 'a';
    room[ENT_JSON_MAX_BYTES] = '"';
    assert_int_equal(parse_code((ent_text){(const char *)room, ENT_JSON_MAX_BYTES + 1}), ENT_PEER_TOO_LARGE);
    ent_buf_release(&buf);
}

static void test_json__value_written_minified_in_order(void **state)
{
    (void)state;
    assert_again(" { \"z\" : [ 1 , -2, 1.5 , true,false,null ] , \"a\" : { } , \"\\u0001\\\"\" : \"\\/\\u00e9\" } ",
                 "{\"z\":[1,-2,1.5,true,false,null],\"a\":{},\"\\u0001\\\"\":\"/\xc3\xa9\"}");
    assert_again("18446744073709551615", "18446744073709551615");
    assert_again("-9223372036854775808", "-9223372036854775808");
    assert_again("1E300", "1e+300");
    assert_again("0.1", "0.1");
    assert_again("[]", "[]");
}

static void test_json__values_of_every_depth_walked(void **state)
{
    (void)state;
    ent_json *json = parsed("[[1,[2]],{\"a\":[3,{\"b\":4}],\"c\":5},6]");
    uint64_t value = 0;
    ent_json_iter i = ent_json_iterate(ent_json_root(json));
    assert_true(ent_json_next(&i) && ent_json_count(i.value) == 2);
    assert_true(ent_json_next(&i) && ent_json_count(i.value) == 2);
    assert_true(ent_json_unsigned(ent_json_get(i.value, "c"), 5, &value) && value == 5);
    assert_true(ent_json_next(&i) && ent_json_unsigned(i.value, 6, &value) && value == 6);
    assert_false(ent_json_next(&i));
    assert_false(ent_json_next(&i));
    i = ent_json_iterate(i.value);
    assert_false(ent_json_next(&i));
    ent_json_free(json);
}

static void test_json__allocation_failure_reported(void **state)
{
    (void)state;
    ent_buf buf = {0};
    put_many_keys(&buf, 40, false);
    ent_alloc_fail_at(0);
    assert_int_equal(parse_code(ent_buf_text(&buf)), ENT_OK);
    unsigned long allocations = ent_alloc_count();
    assert_true(allocations >= 2);
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_alloc_fail_at(nth);
        assert_int_equal(parse_code(ent_buf_text(&buf)), ENT_NOMEM);
    }
    ent_alloc_fail_at(0);
    ent_buf_release(&buf);
}

static void write_everything(ent_buf *buf)
{
    ent_json_writer writer = ent_json_writer_of(buf);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "s", "q\" b\\ n\n t\t u\x01 d\x7f");
    ent_json_member_text(&writer, "t", ENT_TEXT("a\0b"));
    ent_json_member_unsigned(&writer, "u", UINT64_MAX);
    ent_json_member_bool(&writer, "b", false);
    ent_json_key(&writer, "a");
    ent_json_array_begin(&writer);
    ent_json_put_null(&writer);
    ent_json_put_hex(&writer, ent_bytes_of("\x00\xff", 2));
    ent_json_put_base64(&writer, ent_bytes_of("ab", 2));
    ent_json_put_raw(&writer, ENT_TEXT("{\"r\":1}"));
    ent_json_array_begin(&writer);
    ent_json_array_end(&writer);
    ent_json_object_begin(&writer);
    ent_json_object_end(&writer);
    ent_json_put_bool(&writer, true);
    ent_json_array_end(&writer);
    ent_json_key_text(&writer, ENT_TEXT("k\""));
    ent_json_put_text(&writer, ENT_TEXT(""));
    ent_json_object_end(&writer);
}

static void test_json_writer__value_copied_in_its_place(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_json *json = parsed("{ \"a\" : [ 1, { \"b\" : null } ], \"c\" : \"x\" }");
    ent_json_writer writer = ent_json_writer_of(&buf);
    ent_json_array_begin(&writer);
    ent_json_put_copy(&writer, ent_json_root(json));
    ent_json_put_copy(&writer, ent_json_get(ent_json_root(json), "c"));
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "k");
    ent_json_put_copy(&writer, ent_json_get(ent_json_root(json), "a"));
    ent_json_object_end(&writer);
    ent_json_array_end(&writer);
    assert_non_null(ent_buf_string(&buf));
    assert_string_equal((const char *)buf.data,
                        "[{\"a\":[1,{\"b\":null}],\"c\":\"x\"},\"x\",{\"k\":[1,{\"b\":null}]}]");
    ent_json_free(json);
    ent_buf_release(&buf);
}

static void test_json_writer__commas_and_escapes_written(void **state)
{
    (void)state;
    ent_buf buf = {0};
    write_everything(&buf);
    assert_non_null(ent_buf_string(&buf));
    assert_string_equal(
        (const char *)buf.data,
        "{\"s\":\"q\\\" b\\\\ n\\n t\\t u\\u0001 d\x7f\",\"t\":\"a\\u0000b\",\"u\":18446744073709551615,"
        "\"b\":false,\"a\":[null,\"00ff\",\"YWI=\",{\"r\":1},[],{},true],\"k\\\"\":\"\"}");
    assert_again((const char *)buf.data, (const char *)buf.data);
    ent_buf_release(&buf);
}

static void test_json_writer__invalid_utf8_replaced(void **state)
{
    (void)state;
    static const struct {
        ent_text given;
        const char *written;
    } rows[] = {
        {{"a\xff", 2}, "\"a\xef\xbf\xbd\""},
        {{"\xc3\xa9\xc3", 3}, "\"\xc3\xa9\xef\xbf\xbd\""},
        {{"\xe2\x82", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xe2\x82x", 3}, "\"\xef\xbf\xbd\xef\xbf\xbdx\""},
        {{"\xf0\x9f\x98\x80", 4}, "\"\xf0\x9f\x98\x80\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ent_buf buf = {0};
        ent_json_writer writer = ent_json_writer_of(&buf);
        ent_json_put_text(&writer, rows[i].given);
        assert_non_null(ent_buf_string(&buf));
        assert_string_equal((const char *)buf.data, rows[i].written);
        ent_buf_release(&buf);
    }
}

static void test_json_writer__any_bytes_as_text_parse(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 2000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525U + 1013904223U;
            bytes[i] = (char)(seed >> 24);
        }
        ent_buf buf = {0};
        ent_json_writer writer = ent_json_writer_of(&buf);
        ent_json_put_text(&writer, (ent_text){bytes, sizeof bytes});
        assert_int_equal(parse_code(ent_buf_text(&buf)), ENT_OK);
        ent_buf_release(&buf);
    }
}

static void test_json_writer__too_deep_fails_the_buffer(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_json_writer writer = ent_json_writer_of(&buf);
    for (int i = 0; i < 70; i++)
        ent_json_array_begin(&writer);
    assert_int_equal(ent_buf_check(&buf, NULL).code, ENT_PEER_TOO_LARGE);
    for (int i = 0; i < 70; i++)
        ent_json_array_end(&writer);
    ent_buf_release(&buf);
}

static void test_json_writer__allocation_failure_sticks(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_alloc_fail_at(0);
    write_everything(&buf);
    unsigned long allocations = ent_alloc_count();
    ent_buf_release(&buf);
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_alloc_fail_at(nth);
        write_everything(&buf);
        assert_int_equal(ent_buf_check(&buf, NULL).code, ENT_NOMEM);
        ent_buf_release(&buf);
    }
    ent_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__each_type_told),
        cmocka_unit_test(test_json__numbers_read_within_their_limits),
        cmocka_unit_test(test_json__absent_value_taken_by_every_accessor),
        cmocka_unit_test(test_json__empty_key_found),
        cmocka_unit_test(test_json__document_outlives_the_bytes),
        cmocka_unit_test(test_json__escapes_and_nul_decoded),
        cmocka_unit_test(test_json__malformed_refused),
        cmocka_unit_test(test_json__duplicate_keys_refused_at_any_level),
        cmocka_unit_test(test_json__duplicate_key_shown_without_control_characters),
        cmocka_unit_test(test_json__many_keys_checked_without_quadratic_cost),
        cmocka_unit_test(test_json__depth_limited),
        cmocka_unit_test(test_json__size_limited),
        cmocka_unit_test(test_json__value_written_minified_in_order),
        cmocka_unit_test(test_json__values_of_every_depth_walked),
        cmocka_unit_test(test_json__allocation_failure_reported),
        cmocka_unit_test(test_json_writer__value_copied_in_its_place),
        cmocka_unit_test(test_json_writer__commas_and_escapes_written),
        cmocka_unit_test(test_json_writer__invalid_utf8_replaced),
        cmocka_unit_test(test_json_writer__any_bytes_as_text_parse),
        cmocka_unit_test(test_json_writer__too_deep_fails_the_buffer),
        cmocka_unit_test(test_json_writer__allocation_failure_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
