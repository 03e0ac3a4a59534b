#include "testing.h"

#include "base/alloc.h"

static void test_buf__appends_everything(void **state)
{
    (void)state;
    static const uint8_t three[] = {0xde, 0xad, 0x0f};
    ent_buf buf = {0};
    ent_buf_put_string(&buf, "s:");
    ent_buf_put_text(&buf, ENT_TEXT("t"));
    ent_buf_put(&buf, (ent_bytes){NULL, 0});
    ent_buf_put_u8(&buf, '\n');
    ent_buf_put_u16be(&buf, 0x4142);
    ent_buf_put_u64be(&buf, 0x4344454647484950);
    ent_buf_put_decimal(&buf, 0);
    ent_buf_put_decimal(&buf, 1024);
    ent_buf_put_decimal(&buf, UINT64_MAX);
    ent_buf_put_hex(&buf, ent_bytes_of(three, sizeof three));
    ent_buf_put_format(&buf, "<%d|%s>", -5, "x");
    assert_ok(ent_buf_check(&buf, NULL));
    assert_true(ent_text_is(ent_buf_text(&buf), "s:t\nABCDEFGHIP0102418446744073709551615dead0f<-5|x>"));
    assert_string_equal(ent_buf_string(&buf), "s:t\nABCDEFGHIP0102418446744073709551615dead0f<-5|x>");
    ent_buf_clear(&buf);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
    assert_null(buf.data);
    ent_buf_release(&buf);
}

static void test_buf__grows_far(void **state)
{
    (void)state;
    ent_buf buf = {0};
    for (size_t i = 0; i < 100000; i++)
        ent_buf_put_u16be(&buf, (uint16_t)i);
    assert_ok(ent_buf_check(&buf, NULL));
    assert_int_equal(buf.size, 200000);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(buf.data[2 * i] << 8 | buf.data[2 * i + 1], i & 0xffff);
    ent_buf_wipe(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.size, 0);
}

static void test_buf__limit_is_sticky(void **state)
{
    (void)state;
    ent_buf buf = {.limit = 4};
    ent_buf_put_string(&buf, "abcd");
    assert_ok(ent_buf_check(&buf, NULL));
    ent_buf_put_string(&buf, "e");
    assert_code(ent_buf_check(&buf, NULL), ENT_PEER_TOO_LARGE);
    assert_null(ent_buf_reserve(&buf, 0));
    ent_buf_put_string(&buf, "");
    ent_buf_put_hex(&buf, ent_bytes_of("x", 1));
    ent_buf_put_base64(&buf, ent_bytes_of("x", 1));
    ent_buf_put_format(&buf, "x");
    assert_null(ent_buf_string(&buf));
    assert_true(ent_text_is(ent_buf_text(&buf), "abcd"));
    ent_buf_clear(&buf);
    ent_buf_put_string(&buf, "efgh");
    assert_ok(ent_buf_check(&buf, NULL));
    assert_true(ent_text_is(ent_buf_text(&buf), "efgh"));
    ent_buf_release(&buf);
    assert_int_equal(buf.limit, 4);
}

static void test_buf_reserve__nothing_in_an_empty_buffer_is_no_failure(void **state)
{
    (void)state;
    ent_buf buf = {0};
    assert_non_null(ent_buf_reserve(&buf, 0));
    assert_ok(ent_buf_check(&buf, NULL));
    ent_buf_release(&buf);
    ent_buf_put_base64(&buf, (ent_bytes){NULL, 0});
    ent_buf_put_hex(&buf, (ent_bytes){NULL, 0});
    assert_ok(ent_buf_check(&buf, NULL));
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
}

static void test_buf__absurd_size_is_refused(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_buf_put_u8(&buf, 1);
    assert_null(ent_buf_reserve(&buf, SIZE_MAX));
    assert_code(ent_buf_check(&buf, NULL), ENT_PEER_TOO_LARGE);
    ent_buf_clear(&buf);
    assert_null(ent_buf_reserve(&buf, SIZE_MAX - buf.size));
    ent_buf_release(&buf);
}

static void test_buf__failed_allocation_is_sticky_and_loses_nothing(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_buf_put_string(&buf, "kept");
    ent_alloc_fail_at(1);
    for (size_t i = 0; i < 100; i++)
        ent_buf_put_string(&buf, "0123456789");
    ent_alloc_fail_at(0);
    size_t size = buf.size;
    ent_buf_put_string(&buf, "more");
    assert_int_equal(buf.size, size);
    assert_memory_equal(buf.data, "kept", 4);
    assert_code(ent_buf_check(&buf, NULL), ENT_NOMEM);
    ent_buf_release(&buf);
}

/* RFC 4648, section 10 */
static void test_base64__published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *padded;
    } known[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ent_bytes plain = ent_text_bytes(ent_text_of(known[i].plain));
        uint8_t fixed[8];
        ent_buf buf = {0};
        ent_buf_put_base64(&buf, plain);
        assert_true(ent_text_is(ent_buf_text(&buf), known[i].padded));
        assert_ok(ent_base64_decode_fixed(ent_buf_text(&buf), true, fixed, plain.size, NULL));
        assert_memory_equal(fixed, plain.data, plain.size);
        ent_buf_clear(&buf);
        assert_ok(ent_base64_decode(ent_text_of(known[i].padded), &buf, NULL));
        assert_true(ent_bytes_equal(ent_buf_bytes(&buf), plain));
        ent_buf_clear(&buf);
        ent_buf_put_base64_unpadded(&buf, plain);
        assert_int_equal(buf.size, strcspn(known[i].padded, "="));
        assert_ok(ent_base64_decode_fixed(ent_buf_text(&buf), false, fixed, plain.size, NULL));
        assert_memory_equal(fixed, plain.data, plain.size);
        ent_buf_release(&buf);
    }
}

static void test_base64__all_bytes_and_sizes_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(255 - i);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        ent_buf text = {0};
        ent_buf back = {0};
        ent_buf_put_base64(&text, ent_bytes_of(bytes, size));
        assert_ok(ent_base64_decode(ent_buf_text(&text), &back, NULL));
        assert_true(ent_bytes_equal(ent_buf_bytes(&back), ent_bytes_of(bytes, size)));
        ent_buf_release(&text);
        ent_buf_release(&back);
    }
}

static void test_base64__not_canonical_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",  "Zg",       "Zg=",   "Zg===", "Zm8",    "Zh==",   "Zm9=", "Zm9v=", "Zm9vZg",  "====", "=",
        "==", "Zg==Zg==", "Zg= =", " Zg==", "Zg==\n", "Zm\n9v", "Zm-v", "Zm_v",  "Zm9\xff", "Z===", "Zm=v",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t fixed[3] = {42};
        ent_buf buf = {0};
        ent_buf_put_string(&buf, "kept");
        if (ent_base64_decode(ent_text_of(bad[i]), &buf, NULL).code != ENT_PEER_MALFORMED)
            fail_msg("base64 was not refused: %s", bad[i]);
        assert_true(ent_text_is(ent_buf_text(&buf), "kept"));
        for (size_t size = 0; size <= sizeof fixed; size++)
            assert_code(ent_base64_decode_fixed(ent_text_of(bad[i]), true, fixed, size, NULL), ENT_PEER_MALFORMED);
        assert_int_equal(fixed[0], 42);
        ent_buf_release(&buf);
    }
    uint8_t fixed[2];
    assert_code(ent_base64_decode_fixed(ENT_TEXT("Zg=="), false, fixed, 1, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_base64_decode_fixed(ENT_TEXT("Zg"), true, fixed, 1, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_base64_decode_fixed(ENT_TEXT("Zg=="), true, fixed, 2, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_base64_decode_fixed(ENT_TEXT("Zm8="), true, fixed, 1, NULL), ENT_PEER_MALFORMED);
}

static void test_base64_decode__no_memory_is_told(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_alloc_fail_at(1);
    assert_code(ent_base64_decode(ENT_TEXT("Zg=="), &buf, NULL), ENT_NOMEM);
    ent_alloc_fail_at(0);
    ent_buf_release(&buf);
}

static void test_hex__round_trips_and_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "00", "000", "00000", "0000000", "0g00", "00 0", "ABCD", "00\n0", "0x00"};
    uint8_t bytes[2] = {42, 43};
    char text[5];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_code(ent_hex_decode(ent_text_of(bad[i]), bytes, sizeof bytes, NULL), ENT_PEER_MALFORMED);
        assert_int_equal(bytes[0], 42);
    }
    for (unsigned value = 0; value < 65536; value += 7) {
        const uint8_t wanted[2] = {(uint8_t)(value >> 8), (uint8_t)value};
        ent_hex_encode(ent_bytes_of(wanted, sizeof wanted), text);
        assert_ok(ent_hex_decode(ent_text_of(text), bytes, sizeof bytes, NULL));
        assert_memory_equal(bytes, wanted, sizeof wanted);
    }
    assert_string_equal(text, "fffe");
    assert_ok(ent_hex_decode(ENT_TEXT(""), bytes, 0, NULL));
}

static void test_utf8__well_formed_only(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "ascii",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "a\xc3\xa8z",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2z",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xe1\x80z",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "ok\xc3",
        "\xe2\x28\xa1",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!ent_utf8_valid(ent_text_of(good[i])))
            fail_msg("good text %zu was refused", i);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (ent_utf8_valid(ent_text_of(bad[i])))
            fail_msg("bad text %zu was accepted", i);
    }
    assert_true(ent_utf8_valid((ent_text){"\0", 1}));
}

static void test_text__comparisons(void **state)
{
    (void)state;
    ent_text nothing = {NULL, 0};
    assert_true(ent_text_equal(nothing, ENT_TEXT("")));
    assert_true(ent_text_is(nothing, ""));
    assert_true(ent_text_of(NULL).size == 0);
    assert_false(ent_text_is(ENT_TEXT("ab"), "a"));
    assert_true(ent_text_starts(ENT_TEXT("ab"), ENT_TEXT("a")));
    assert_true(ent_text_starts(ENT_TEXT("ab"), nothing));
    assert_false(ent_text_starts(ENT_TEXT("a"), ENT_TEXT("ab")));
    assert_false(ent_text_starts(ENT_TEXT("xb"), ENT_TEXT("a")));
    assert_int_equal(ent_text_compare(nothing, ENT_TEXT("")), 0);
    assert_true(ent_text_compare(ENT_TEXT("a"), ENT_TEXT("b")) < 0);
    assert_true(ent_text_compare(ENT_TEXT("b"), ENT_TEXT("a")) > 0);
    assert_true(ent_text_compare(ENT_TEXT("a"), ENT_TEXT("ab")) < 0);
    assert_true(ent_text_compare(ENT_TEXT("ab"), ENT_TEXT("a")) > 0);
    assert_true(ent_text_compare(ENT_TEXT("\xff"), ENT_TEXT("a")) > 0); /* unsigned */
    assert_true(ent_text_compare(nothing, ENT_TEXT("a")) < 0);
    assert_true(ent_bytes_equal((ent_bytes){NULL, 0}, ent_bytes_of("x", 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__appends_everything),
        cmocka_unit_test(test_buf__grows_far),
        cmocka_unit_test(test_buf__limit_is_sticky),
        cmocka_unit_test(test_buf_reserve__nothing_in_an_empty_buffer_is_no_failure),
        cmocka_unit_test(test_buf__absurd_size_is_refused),
        cmocka_unit_test(test_buf__failed_allocation_is_sticky_and_loses_nothing),
        cmocka_unit_test(test_base64__published_vectors),
        cmocka_unit_test(test_base64__all_bytes_and_sizes_round_trip),
        cmocka_unit_test(test_base64__not_canonical_is_refused),
        cmocka_unit_test(test_base64_decode__no_memory_is_told),
        cmocka_unit_test(test_hex__round_trips_and_refuses),
        cmocka_unit_test(test_utf8__well_formed_only),
        cmocka_unit_test(test_text__comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
