#include "testing.h"

#include "base/cursor.h"

static ent_cursor cursor_of(const char *string)
{
    return ent_cursor_of(ent_text_bytes(ent_text_of(string)));
}

static void test_cursor__reads_in_order(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3, 0, 0, 0, 0, 0, 0, 1, 0, 'a', 'b'};
    ent_cursor cursor = ent_cursor_of(ent_bytes_of(data, sizeof data));
    assert_int_equal(ent_cursor_left(&cursor), sizeof data);
    assert_int_equal(ent_cursor_u8(&cursor), 1);
    assert_int_equal(ent_cursor_u16be(&cursor), 0x0203);
    assert_true(ent_cursor_u64be(&cursor) == 0x100);
    assert_int_equal(ent_cursor_offset(&cursor), 11);
    assert_false(ent_cursor_finished(&cursor));
    assert_true(ent_bytes_equal(ent_cursor_take(&cursor, 2), ent_bytes_of("ab", 2)));
    assert_true(ent_cursor_finished(&cursor));
    assert_int_equal(ent_cursor_take(&cursor, 0).size, 0);
    assert_true(ent_cursor_finished(&cursor));
}

static void test_cursor__error_is_sticky(void **state)
{
    (void)state;
    ent_cursor cursor = cursor_of("abc\ndef\n");
    assert_int_equal(ent_cursor_take(&cursor, 9).size, 0);
    assert_true(cursor.failed);
    assert_int_equal(ent_cursor_left(&cursor), 0);
    assert_int_equal(ent_cursor_u8(&cursor), 0);
    assert_int_equal(ent_cursor_u16be(&cursor), 0);
    assert_true(ent_cursor_u64be(&cursor) == 0);
    assert_int_equal(ent_cursor_line(&cursor).size, 0);
    assert_false(ent_cursor_accept(&cursor, ENT_TEXT("abc")));
    assert_false(ent_cursor_finished(&cursor));
    assert_int_equal(ent_cursor_offset(&cursor), 0);
}

static void test_cursor__short_integers_fail(void **state)
{
    (void)state;
    static const uint8_t data[7] = {0};
    ent_cursor cursor = ent_cursor_of(ent_bytes_of(data, 0));
    (void)ent_cursor_u8(&cursor);
    assert_true(cursor.failed);
    cursor = ent_cursor_of(ent_bytes_of(data, 1));
    (void)ent_cursor_u16be(&cursor);
    assert_true(cursor.failed);
    cursor = ent_cursor_of(ent_bytes_of(data, 7));
    (void)ent_cursor_u64be(&cursor);
    assert_true(cursor.failed);
    cursor = ent_cursor_of((ent_bytes){NULL, 0});
    assert_true(ent_cursor_finished(&cursor));
    ent_cursor_fail(&cursor);
    assert_false(ent_cursor_finished(&cursor));
}

static void test_cursor_line__needs_its_newline(void **state)
{
    (void)state;
    ent_cursor cursor = cursor_of("one\n\nthree");
    assert_true(ent_text_is(ent_cursor_line(&cursor), "one"));
    assert_true(ent_text_is(ent_cursor_line(&cursor), ""));
    assert_false(cursor.failed);
    assert_int_equal(ent_cursor_line(&cursor).size, 0);
    assert_true(cursor.failed);
}

static void test_cursor__literals_and_stops(void **state)
{
    (void)state;
    ent_cursor cursor = cursor_of("key=value;rest");
    assert_false(ent_cursor_accept(&cursor, ENT_TEXT("kex")));
    assert_false(cursor.failed);
    assert_true(ent_cursor_accept(&cursor, ENT_TEXT("k")));
    assert_true(ent_cursor_accept(&cursor, ENT_TEXT("")));
    assert_true(ent_text_is(ent_cursor_until(&cursor, '='), "ey"));
    ent_cursor_literal(&cursor, ENT_TEXT("value;"));
    assert_false(cursor.failed);
    assert_false(ent_cursor_accept(&cursor, ENT_TEXT("rest and more")));
    ent_cursor_literal(&cursor, ENT_TEXT("best"));
    assert_true(cursor.failed);
}

static void test_decimal__canonical_only(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t maximum;
        uint64_t value;
    } good[] = {
        {"0", 0, 0},
        {"0", 10, 0},
        {"7", 7, 7},
        {"10", 10, 10},
        {"9007199254740992", (uint64_t)1 << 53, (uint64_t)1 << 53},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX},
        {"18446744073709551614", UINT64_MAX, UINT64_MAX - 1},
    };
    static const struct {
        const char *text;
        uint64_t maximum;
    } bad[] = {
        {"", 9},
        {"00", 9},
        {"01", 9},
        {"+1", 9},
        {"-0", 9},
        {" 1", 9},
        {"1 ", 9},
        {"1a", 99},
        {"a", 9},
        {"1", 0},
        {"8", 7},
        {"11", 10},
        {"20", 19},
        {"100", 99},
        {"18446744073709551616", UINT64_MAX},
        {"18446744073709551620", UINT64_MAX},
        {"99999999999999999999999", UINT64_MAX},
        {"1.0", 9},
        {"0x1", 9},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t value = 42;
        assert_true(ent_decimal_parse(ent_text_of(good[i].text), good[i].maximum, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t value = 42;
        if (ent_decimal_parse(ent_text_of(bad[i].text), bad[i].maximum, &value))
            fail_msg("number was not refused: %s", bad[i].text);
        assert_true(value == 42);
    }
    assert_false(ent_decimal_parse((ent_text){"1\0", 2}, 9, &(uint64_t){0}));
}

static void test_decimal__exactly_up_to_the_maximum(void **state)
{
    (void)state;
    for (uint64_t maximum = 0; maximum < 130; maximum++) {
        for (uint64_t value = 0; value < 140; value++) {
            char text[24];
            uint64_t read = 0;
            (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
            assert_int_equal(ent_decimal_parse(ent_text_of(text), maximum, &read), value <= maximum);
        }
    }
}

static void test_cursor_decimal__stops_at_what_is_no_digit(void **state)
{
    (void)state;
    ent_cursor cursor = cursor_of("123/4");
    assert_true(ent_cursor_decimal(&cursor, 1000) == 123);
    ent_cursor_literal(&cursor, ENT_TEXT("/"));
    assert_true(ent_cursor_decimal(&cursor, 1000) == 4);
    assert_true(ent_cursor_finished(&cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor__reads_in_order),
        cmocka_unit_test(test_cursor__error_is_sticky),
        cmocka_unit_test(test_cursor__short_integers_fail),
        cmocka_unit_test(test_cursor_line__needs_its_newline),
        cmocka_unit_test(test_cursor__literals_and_stops),
        cmocka_unit_test(test_decimal__canonical_only),
        cmocka_unit_test(test_decimal__exactly_up_to_the_maximum),
        cmocka_unit_test(test_cursor_decimal__stops_at_what_is_no_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
