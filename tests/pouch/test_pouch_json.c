#include "pouch/pouch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define CHANNEL "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ORIGIN "aurora.example/entente/" CHANNEL
#define LONGEST                                                                                                        \
    "{\"v\":1,\"origin\":\"" ORIGIN "\",\"old_size\":0,\"size\":2,\"members\":["                                       \
    "{\"name\":\"checkpoint\",\"size\":300},{\"name\":\"entries\",\"size\":1200},{\"name\":\"bodies/"                  \
    "1.age\",\"size\":70000}]}"

static int parse(const char *json, ent_err *err)
{
    ent_arena arena = {0};
    ent_pouch_index index = {0};
    ent_pouch_index untouched = {0};
    int code = ent_pouch_index_parse(ent_text_bytes(ent_text_of(json)), &arena, &index, err).code;
    if (code != ENT_OK)
        assert_memory_equal(&index, &untouched, sizeof index);
    ent_arena_release(&arena);
    return code;
}

/* LONGEST with its first `from` replaced. */
static int parse_edited(const char *from, const char *to)
{
    ent_buf buf = {0};
    const char *found = strstr(LONGEST, from);
    assert_non_null(found);
    ent_buf_put(&buf, ent_bytes_of(LONGEST, (size_t)(found - LONGEST)));
    ent_buf_put_string(&buf, to);
    ent_buf_put_string(&buf, found + strlen(from));
    ent_err err = {0};
    int code = parse(ent_buf_string(&buf), &err);
    if (code != ENT_OK && strstr(err.text, "pouch.json") == NULL)
        fail_msg("\"%s\" does not name pouch.json", err.text);
    ent_buf_release(&buf);
    return code;
}

static void test_pouch_json__written_reads_as_it_was(void **state)
{
    (void)state;
    struct ent_pouch_listed members[] = {
        {ENT_TEXT("checkpoint"), 300}, {ENT_TEXT("entries"), 1200}, {ENT_TEXT("bodies/1.age"), 70000}};
    ent_pouch_index index = {
        .origin = ENT_TEXT(ORIGIN), .old_size = 0, .size = 2, .members = members, .member_count = 3};
    ent_buf buf = {0};
    ent_arena arena = {0};
    ent_pouch_index again;
    assert_int_equal(ent_pouch_index_put(&buf, &index, NULL).code, ENT_OK);
    assert_string_equal(ent_buf_string(&buf), LONGEST);
    assert_int_equal(ent_pouch_index_parse(ent_buf_bytes(&buf), &arena, &again, NULL).code, ENT_OK);
    assert_true(ent_text_is(again.origin, ORIGIN));
    assert_int_equal(again.old_size, 0);
    assert_int_equal(again.size, 2);
    assert_int_equal(again.member_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(ent_text_equal(again.members[i].name, members[i].name));
        assert_int_equal(again.members[i].size, members[i].size);
    }
    ent_arena_release(&arena);
    ent_buf_release(&buf);
}

static void test_pouch_json__no_members_and_largest_sizes_read(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"v\":1,\"origin\":\"" ORIGIN "\",\"old_size\":0,\"size\":0,\"members\":[]}", NULL),
                     ENT_OK);
    assert_int_equal(parse("{\"v\":1,\"origin\":\"" ORIGIN
                           "\",\"old_size\":9007199254740992,\"size\":9007199254740992,\"members\":[]}",
                           NULL),
                     ENT_OK);
    assert_int_equal(parse_edited("70000", "67108864"), ENT_OK);
}

static void test_pouch_json__another_spelling_is_not_canonical(void **state)
{
    (void)state;
    const char *const edits[][2] = {
        {"{\"v\"", " {\"v\""},
        {"{\"v\":1", "{ \"v\":1"},
        {"{\"v\":1", "{\"v\": 1"},
        {"{\"v\":1", "{\"v\":2"},
        {"{\"v\":1", "{\"v\":\"1\""},
        {"{\"v\":1", "{\"v\":1.0"},
        {"{\"v\":1,", "{"},
        {"\"old_size\":0,", ""},
        {"\"old_size\":0", "\"old_size\":00"},
        {"\"old_size\":0", "\"old_size\":-0"},
        {"\"old_size\":0", "\"old_size\":+0"},
        {"\"old_size\":0", "\"old_size\":0e0"},
        {"\"old_size\":0", "\"old_size\":null"},
        {"\"size\":2", "\"size\":02"},
        {"\"size\":2", "\"size\":99999999999999999999"},
        {"\"size\":2", "\"size\":2,\"extra\":1"},
        {"\"old_size\":0,\"size\":2", "\"size\":2,\"old_size\":0"},
        {"{\"name\":\"checkpoint\",\"size\":300}", "{\"size\":300,\"name\":\"checkpoint\"}"},
        {"{\"name\":\"checkpoint\",\"size\":300}", "{\"name\":\"checkpoint\",\"size\":300,\"x\":1}"},
        {"},{", "}, {"},
        {"},{", "},,{"},
        {"},{", "}{"},
        {"]}", ",]}"},
        {"]}", "]}\n"},
        {"]}", "]} "},
        {"]}", "]}}"},
        {"]}", "]"},
        {"]}", "]]}"},
        {"\"members\":[", "\"members\":{"},
        {"\"v\"", "'v'"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        int code = parse_edited(edits[i][0], edits[i][1]);
        if (code != ENT_PEER_NOT_CANONICAL)
            fail_msg("edit %zu (%s) gives %s", i, edits[i][1], ent_code_word(code));
    }
}

static void test_pouch_json__value_that_is_not_allowed_is_malformed(void **state)
{
    (void)state;
    const char *const edits[][2] = {
        {"aurora.example/", "aurora/"},
        {"aurora.example/entente/", "aurora.example/other/"},
        {"aurora.example/", "Aurora.example/"},
        {ORIGIN, ""},
        {CHANNEL, "0011"},
        {"00112233445566778899aabb", "00112233445566778899AABB"},
        {"aurora", "auror\\u0061"},
        {"\"old_size\":0", "\"old_size\":3"},
        {"\"size\":2", "\"size\":9007199254740993"},
        {"checkpoint", ""},
        {"checkpoint", "../checkpoint"},
        {"checkpoint", "/checkpoint"},
        {"checkpoint", "check point"},
        {"checkpoint", "check\\npoint"},
        {"checkpoint", ".checkpoint"},
        {"checkpoint", "check\tpoint"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        int code = parse_edited(edits[i][0], edits[i][1]);
        if (code != ENT_PEER_MALFORMED)
            fail_msg("edit %zu (%s) gives %s", i, edits[i][1], ent_code_word(code));
    }
}

static void test_pouch_json__too_much_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_edited("70000", "67108865"), ENT_PEER_TOO_LARGE);
    assert_int_equal(parse_edited("70000", "18446744073709551615"), ENT_PEER_TOO_LARGE);

    ent_buf many = {0};
    ent_buf_put_string(&many, "{\"v\":1,\"origin\":\"" ORIGIN "\",\"old_size\":0,\"size\":2,\"members\":[");
    for (size_t i = 0; i < 21000; i++)
        ent_buf_put_string(&many, i == 0 ? "{\"name\":\"a\",\"size\":1}" : ",{\"name\":\"a\",\"size\":1}");
    ent_buf_put_string(&many, "]}");
    assert_int_equal(parse(ent_buf_string(&many), NULL), ENT_PEER_TOO_LARGE);
    while (many.size <= 2 << 20)
        ent_buf_put_string(&many, "                                                                ");
    assert_int_equal(parse(ent_buf_string(&many), NULL), ENT_PEER_TOO_LARGE);
    ent_buf_release(&many);
}

static void test_pouch_json__cut_anywhere_is_refused(void **state)
{
    (void)state;
    ent_arena arena = {0};
    ent_pouch_index index;
    for (size_t size = 0; size < sizeof LONGEST - 1; size++)
        assert_int_equal(ent_pouch_index_parse(ent_bytes_of(LONGEST, size), &arena, &index, NULL).code,
                         ENT_PEER_NOT_CANONICAL);
    ent_arena_release(&arena);
}

static void test_pouch_json__what_may_not_be_read_is_not_written(void **state)
{
    (void)state;
    struct ent_pouch_listed member = {ENT_TEXT("checkpoint"), 1};
    const ent_pouch_index good = {.origin = ENT_TEXT(ORIGIN), .size = 1, .members = &member, .member_count = 1};
    ent_pouch_index index = good;
    ent_buf buf = {0};
    index.origin = ENT_TEXT("aurora.example");
    assert_int_equal(ent_pouch_index_put(&buf, &index, NULL).code, ENT_USAGE);
    index = good;
    index.old_size = 2;
    assert_int_equal(ent_pouch_index_put(&buf, &index, NULL).code, ENT_USAGE);
    index = good;
    member.name = ENT_TEXT("a\"b");
    assert_int_equal(ent_pouch_index_put(&buf, &index, NULL).code, ENT_USAGE);
    index = good;
    member.name = ENT_TEXT("checkpoint");
    member.size = ENT_POUCH_MAX_BYTES + 1;
    assert_int_equal(ent_pouch_index_put(&buf, &index, NULL).code, ENT_PEER_TOO_LARGE);
    index.member_count = 30000;
    assert_int_equal(ent_pouch_index_put(&buf, &index, NULL).code, ENT_PEER_TOO_LARGE);
    assert_int_equal(buf.size, 0);
}

static void test_pouch_json__no_memory_is_told(void **state)
{
    (void)state;
    ent_err err = {0};
    ent_alloc_fail_at(1);
    assert_int_equal(parse(LONGEST, &err), ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_int_equal(err.code, ENT_NOMEM);

    struct ent_pouch_listed member = {ENT_TEXT("checkpoint"), 1};
    const ent_pouch_index index = {.origin = ENT_TEXT(ORIGIN), .size = 1, .members = &member, .member_count = 1};
    for (unsigned long nth = 1;; nth++) {
        ent_buf buf = {0};
        ent_alloc_fail_at(nth);
        int code = ent_pouch_index_put(&buf, &index, NULL).code;
        unsigned long count = ent_alloc_count();
        ent_alloc_fail_at(0);
        ent_buf_release(&buf);
        if (count < nth) {
            assert_int_equal(code, ENT_OK);
            break;
        }
        assert_int_equal(code, ENT_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pouch_json__written_reads_as_it_was),
        cmocka_unit_test(test_pouch_json__no_members_and_largest_sizes_read),
        cmocka_unit_test(test_pouch_json__another_spelling_is_not_canonical),
        cmocka_unit_test(test_pouch_json__value_that_is_not_allowed_is_malformed),
        cmocka_unit_test(test_pouch_json__too_much_is_refused),
        cmocka_unit_test(test_pouch_json__cut_anywhere_is_refused),
        cmocka_unit_test(test_pouch_json__what_may_not_be_read_is_not_written),
        cmocka_unit_test(test_pouch_json__no_memory_is_told),
    };
    return cmocka_run_group_tests_name("pouch.json", tests, NULL, NULL);
}
