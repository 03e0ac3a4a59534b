#include "testing.h"

#include "base/json.h"
#include "cli/people.h"

static void check_line(const char *given, size_t size, const char *wanted)
{
    ent_buf buf = {0};
    ent_cli_put_line(&buf, (ent_text){given, size});
    assert_ok(ent_buf_check(&buf, NULL));
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
}

#define CHECK_LINE(given, wanted) check_line(given, sizeof(given) - 1, wanted)

static void test_terminal__what_acts_on_a_terminal_is_escaped(void **state)
{
    (void)state;
    CHECK_LINE("plain text, \xc3\xa4\xe6\x97\xa5", "plain text, \xc3\xa4\xe6\x97\xa5");
    CHECK_LINE("\033[31mred", "\\u{001b}[31mred");
    CHECK_LINE("a\0b", "a\\u{0000}b");
    CHECK_LINE("a\nb\tc\rd", "a\\nb\\tc\\rd");
    CHECK_LINE("\x7f", "\\u{007f}");
    CHECK_LINE("\xc2\x9b"
               "31m",
               "\\u{009b}31m"); /* C1 CSI */
    CHECK_LINE("\xe2\x80\xae"
               "evil",
               "\\u{202e}evil"); /* right-to-left override */
    CHECK_LINE("\xe2\x81\xa6"
               "x\xe2\x81\xa9",
               "\\u{2066}x\\u{2069}");
    CHECK_LINE("\xd8\x9c", "\\u{061c}");
    CHECK_LINE("\xe2\x80\xa8", "\\u{2028}");
    CHECK_LINE("\xe2\x80\x8b", "\\u{200b}");
    CHECK_LINE("\xef\xbb\xbf", "\\u{feff}");
    CHECK_LINE("\xf3\xa0\x81\x81", "\\u{e0041}");            /* tag character */
    CHECK_LINE("pass\xe2\x80\x8cword", "pass\\u{200c}word"); /* a joiner between Latin letters only hides */
    CHECK_LINE("\xe2\x80\x8d", "\\u{200d}");
    CHECK_LINE("\xe3\x85\xa4\xcd\x8f", "\\u{3164}\\u{034f}"); /* fillers that show nothing */
    CHECK_LINE("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb");
    CHECK_LINE("\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
               "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82");
    CHECK_LINE("\xd9\x85\xe2\x80\x8c\xd8\xa7", "\xd9\x85\xe2\x80\x8c\xd8\xa7"); /* Persian needs the non-joiner */
}

static void test_terminal__bytes_that_are_no_text_are_escaped(void **state)
{
    (void)state;
    CHECK_LINE("\x9b", "\\x9b");
    CHECK_LINE("\xff\xfe", "\\xff\\xfe");
    CHECK_LINE("\xc3", "\\xc3");
    CHECK_LINE("\xe6\x97", "\\xe6\\x97");
    CHECK_LINE("\xc0\x80", "\\xc0\\x80");
    CHECK_LINE("\xed\xa0\x80", "\\xed\\xa0\\x80");
    CHECK_LINE("", "");
}

static void test_terminal__block_keeps_lines_and_tabs(void **state)
{
    ent_buf buf = {0};
    (void)state;
    ent_cli_put_block(&buf, ENT_TEXT("one\r\ntwo\tx\n\033three\rfour"), 2);
    assert_text(ent_buf_text(&buf), "one\n  two\tx\n  \\u{001b}three\\rfour");
    ent_buf_release(&buf);
}

/* Every character that could change what is read, also as JSON. */
static void test_terminal__each_hidden_character_is_escaped(void **state)
{
    static const uint32_t hidden[] = {0x00ad, 0x034f, 0x061c, 0x115f, 0x1160, 0x17b4, 0x180e, 0x200b, 0x200c,
                                      0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d,
                                      0x202e, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0x3164, 0xfeff, 0xffa0};
    (void)state;
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        uint32_t point = hidden[i];
        char given[4] = "";
        char wanted[16];
        char wanted_json[16];
        size_t size = point < 0x800 ? 2 : 3;
        given[0] = (char)(size == 2 ? 0xc0 | point >> 6 : 0xe0 | point >> 12);
        given[size - 2] = (char)(size == 2 ? given[0] : (char)(0x80 | (point >> 6 & 0x3f)));
        given[size - 1] = (char)(0x80 | (point & 0x3f));
        (void)snprintf(wanted, sizeof wanted, "\\u{%04x}", point);
        (void)snprintf(wanted_json, sizeof wanted_json, "\\u%04x", point);
        check_line(given, size, wanted);
        ent_buf buf = {0};
        ent_cli_put_json(&buf, (ent_text){given, size});
        assert_text(ent_buf_text(&buf), wanted_json);
        ent_buf_clear(&buf);
        ent_cli_put_block(&buf, (ent_text){given, size}, 2);
        assert_text(ent_buf_text(&buf), wanted);
        ent_buf_release(&buf);
    }
}

/* Whatever the bytes, what comes out is text that cannot act. */
static void test_terminal__any_bytes_come_out_safe(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        size_t size = (size_t)(rand() % (int)sizeof bytes);
        ent_buf buf = {0};
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(rand() % 4 == 0 ? "\xe2\x80\xae\x81\xa6\xc2\x9b\x1b"[rand() % 8] : rand());
        ent_cli_put_line(&buf, (ent_text){bytes, size});
        assert_true(ent_utf8_valid(ent_buf_text(&buf)));
        for (size_t i = 0; i < buf.size; i++) {
            assert_true(buf.data[i] >= 0x20 && buf.data[i] != 0x7f);
            assert_false(buf.data[i] == 0xc2 && buf.data[i + 1] < 0xa0);
            assert_false(buf.data[i] == 0xe2 && buf.data[i + 1] == 0x80 && buf.data[i + 2] >= 0xa8 &&
                         buf.data[i + 2] <= 0xae);
        }
        ent_buf_release(&buf);
    }
}

static void test_terminal__json_stays_the_same_value(void **state)
{
    static const char given[] = "{\"a\":\"\xc2\x9b[31m \xe2\x80\xae \x7f \xf3\xa0\x81\x81 \\n \xc3\xa4\"}\n";
    ent_buf buf = {0};
    ent_json *before = NULL;
    ent_json *after = NULL;
    (void)state;
    ent_cli_put_json(&buf, ent_text_of(given));
    assert_contains(ent_buf_string(&buf), "\\u009b[31m \\u202e \\u007f \\udb40\\udc41 \\n \xc3\xa4");
    assert_ok(ent_json_parse(ent_bytes_of(given, sizeof given - 1), &before, NULL));
    assert_ok(ent_json_parse(ent_buf_bytes(&buf), &after, NULL));
    assert_true(ent_text_equal(ent_json_string(ent_json_get(ent_json_root(before), "a")),
                               ent_json_string(ent_json_get(ent_json_root(after), "a"))));
    ent_json_free(before);
    ent_json_free(after);
    ent_buf_release(&buf);
}

static void test_terminal__width_counts_columns(void **state)
{
    (void)state;
    assert_int_equal(ent_cli_width(ENT_TEXT("abc")), 3);
    assert_int_equal(ent_cli_width(ENT_TEXT("\xe6\x97\xa5\xe6\x9c\xac")), 4); /* two wide characters */
    assert_int_equal(ent_cli_width(ENT_TEXT("e\xcc\x81")), 1);                /* combining accent */
    assert_int_equal(ent_cli_width(ENT_TEXT("\xf0\x9f\x94\xa5")), 2);         /* emoji */
    assert_int_equal(ent_cli_width(ENT_TEXT("\xea\xb0\x80")), 2);             /* Hangul */
    assert_int_equal(ent_cli_width(ENT_TEXT("\xef\xbd\xb1")), 1);             /* half-width kana */
    assert_int_equal(ent_cli_width(ENT_TEXT("")), 0);
}

static void check_fitted(const char *given, size_t columns, const char *wanted, size_t used)
{
    ent_buf buf = {0};
    assert_int_equal(ent_cli_put_fitted(&buf, ent_text_of(given), columns), used);
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
}

static void test_terminal__fitted_never_splits_a_character(void **state)
{
    (void)state;
    check_fitted("abcdef", 6, "abcdef", 6);
    check_fitted("abcdef", 5, "abcd\xe2\x80\xa6", 5);
    check_fitted("abcdef", 1, "\xe2\x80\xa6", 1);
    check_fitted("abcdef", 0, "", 0);
    check_fitted("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 6, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 6);
    check_fitted("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, "\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6", 5);
    check_fitted("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5\xe2\x80\xa6", 3);
    check_fitted("e\xcc\x81"
                 "ab",
                 2, "e\xcc\x81\xe2\x80\xa6", 2);
}

static void test_terminal__styles_only_when_wanted(void **state)
{
    ent_buf buf = {0};
    (void)state;
    ent_cli_put_style(&buf, false, ENT_CLI_RED);
    assert_int_equal(buf.size, 0);
    ent_cli_put_style(&buf, true, ENT_CLI_RED);
    assert_text(ent_buf_text(&buf), "\033[1;31m");
    assert_int_equal(ent_cli_urgency_style(ENT_TEXT("flash")), ENT_CLI_RED);
    assert_int_equal(ent_cli_urgency_style(ENT_TEXT("immediate")), ENT_CLI_YELLOW);
    assert_int_equal(ent_cli_urgency_style(ENT_TEXT("routine")), ENT_CLI_PLAIN);
    ent_buf_release(&buf);
}

static void check_bytes(uint64_t bytes, const char *wanted)
{
    ent_buf buf = {0};
    ent_cli_put_bytes(&buf, bytes);
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
}

static void test_people__sizes_and_times(void **state)
{
    ent_buf buf = {0};
    (void)state;
    check_bytes(0, "0 bytes");
    check_bytes(1, "1 byte");
    check_bytes(999, "999 bytes");
    check_bytes(1000, "1.0 kB");
    check_bytes(999950, "1.0 MB");
    check_bytes(12345678, "12.3 MB");
    check_bytes(UINT64_MAX, "18.4 EB");
    ent_cli_put_time(&buf, ENT_TEXT("2021-05-30T09:12:00Z"));
    assert_text(ent_buf_text(&buf), "2021-05-30 09:12:00 UTC");
    ent_buf_clear(&buf);
    ent_cli_put_time(&buf, ENT_TEXT("\033soon"));
    assert_text(ent_buf_text(&buf), "\\u{001b}soon");
    ent_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal__what_acts_on_a_terminal_is_escaped),
        cmocka_unit_test(test_terminal__bytes_that_are_no_text_are_escaped),
        cmocka_unit_test(test_terminal__block_keeps_lines_and_tabs),
        cmocka_unit_test(test_terminal__each_hidden_character_is_escaped),
        cmocka_unit_test(test_terminal__any_bytes_come_out_safe),
        cmocka_unit_test(test_terminal__json_stays_the_same_value),
        cmocka_unit_test(test_terminal__width_counts_columns),
        cmocka_unit_test(test_terminal__fitted_never_splits_a_character),
        cmocka_unit_test(test_terminal__styles_only_when_wanted),
        cmocka_unit_test(test_people__sizes_and_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
