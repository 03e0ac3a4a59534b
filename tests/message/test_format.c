/* Formats that schemas assert of strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/format.h"

static void each(const char *format, const char *const *texts, size_t count, bool expected)
{
    const ent_format *found = ent_format_find(ent_text_of(format));
    assert_non_null(found);
    for (size_t i = 0; i < count; i++) {
        if (found->check(ent_text_of(texts[i])) != expected)
            fail_msg("%s: \"%s\" %s", format, texts[i], expected ? "refused" : "accepted");
    }
}

#define TAKEN(format, ...)                                                                                             \
    each(format, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), true)
#define REFUSED(format, ...)                                                                                           \
    each(format, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), false)

static void test_format__times(void **state)
{
    (void)state;
    TAKEN("date-time", "2021-05-30T11:00:00Z", "2024-02-29T23:59:59Z", "2021-05-30T11:00:00.5Z",
          "2021-05-30T11:00:00.123456789Z", "0000-01-01T00:00:00Z");
    REFUSED("date-time", "", "2021-05-30", "2021-05-30T11:00:00", "2021-05-30T11:00:00z", "2021-05-30 11:00:00Z",
            "2021-05-30T11:00:00+00:00", "2021-02-29T00:00:00Z", "2021-13-01T00:00:00Z", "2021-05-30T24:00:00Z",
            "2021-05-30T11:00:60Z", "2021-05-30T11:00:00.Z", "2021-05-30T11:00:00,5Z",
            "2021-05-30T11:00:00.1234567890Z", "2021-05-30T11:00:00.5xZ", "2021-05-30T11:00:00ZZ");
    TAKEN("date", "2021-05-30", "2024-02-29");
    REFUSED("date", "", "2021-5-30", "2021-02-29", "2021-05-30Z", "20210530", "2021/05/30", "2021-05-3x");
}

static void test_format__addresses(void **state)
{
    (void)state;
    TAKEN("uri", "https://a.example/x?y=1#z", "urn:uuid:1", "mailto:a@b.example", "https://[2001:db8::1]/", "a:%41");
    REFUSED("uri", "", "a", ":", "a:", "1a:b", "https//a", "/path", "https://a b", "a:\"", "a:%4", "a:%zz",
            "a:\xc3\xa9", "javascript", "a:<b>");
    TAKEN("email", "a@b.example", "first.last+tag@cert.north.example", "o'neil@x-y.example");
    REFUSED("email", "", "@", "a@", "@b.example", "a@b", "a b@c.example", ".a@b.example", "a.@b.example",
            "a..b@c.example", "a@-b.example", "a@b-.example", "a@b..example", "a@b.example.", "a@b@c.example",
            "a@b_c.example", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.example");
}

static void test_format__languages(void **state)
{
    (void)state;
    TAKEN("language", "en", "ru", "pt-BR", "zh-Hant-TW", "de-1996", "sr-Latn", "abcdefgh");
    REFUSED("language", "", "e", "e-n", "en-", "-en", "en_US", "en--US", "abcdefghi", "en-abcdefghi", "1n", "en US",
            "\xd1\x80\xd1\x83", "en-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa");
}

static void test_format__names(void **state)
{
    (void)state;
    TAKEN("party", "north.example", "a.b");
    REFUSED("party", "", "north", "North.example", "a..b");
    TAKEN("message", "north.example/0", "north.example/9007199254740991");
    REFUSED("message", "", "north.example", "north.example/", "north.example/00", "x/1");
    TAKEN("media-type", "text/plain", "application/stix+json");
    REFUSED("media-type", "", "text", "text/", "text/plain;charset=utf-8");
}

static void test_format__encodings(void **state)
{
    (void)state;
    TAKEN("sha256", "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    REFUSED("sha256", "", "00", "275A021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f",
            "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0",
            "g75a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    TAKEN("hex", "", "00", "0aff");
    REFUSED("hex", "0", "0A", "zz", " 0");
    TAKEN("base64", "", "YQ==", "YWI=", "YWJj", "+/+/");
    REFUSED("base64", "YQ", "YQ=", "YR==", "YWJ=", "Y===", "====", "YWJj\n", "-_-_", "YQ==YQ==");
}

static void test_format__base64_of_every_size(void **state)
{
    (void)state;
    const ent_format *base64 = ent_format_find(ENT_TEXT("base64"));
    uint8_t bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        ent_buf buf = {0};
        ent_buf_put_base64(&buf, ent_bytes_of(bytes, size));
        assert_true(base64->check(ent_buf_text(&buf)));
        for (size_t at = 0; at < buf.size; at += 7) { /* padding or anything else in the middle */
            uint8_t old = buf.data[at];
            buf.data[at] = at % 2 == 0 ? '=' : '!';
            if (at + 2 < buf.size)
                assert_false(base64->check(ent_buf_text(&buf)));
            buf.data[at] = old;
        }
        ent_buf_release(&buf);
    }
}

static void test_format__stix_ids(void **state)
{
    (void)state;
    ent_text type = {NULL, 0};
    TAKEN("stix-id", "incident--44af6c39-c09b-49c5-9de2-394224b04982",
          "ipv4-addr--FF26C055-6336-5BC5-B98D-13D6226742DD");
    REFUSED("stix-id", "", "incident", "incident--", "incident-44af6c39-c09b-49c5-9de2-394224b04982",
            "in--44af6c39-c09b-49c5-9de2-394224b04982", "Incident--44af6c39-c09b-49c5-9de2-394224b04982",
            "incident--44af6c39xc09b-49c5-9de2-394224b04982", "incident--44af6c39-c09b-49c5-9de2-394224b0498g",
            "incident--44af6c39-c09b-49c5-9de2-394224b049822", "incident_x--44af6c39-c09b-49c5-9de2-394224b04982");
    assert_true(ent_stix_id_valid(ENT_TEXT("x-custom--44af6c39-c09b-49c5-9de2-394224b04982"), &type));
    assert_true(ent_text_is(type, "x-custom"));
}

static void test_format__unknown_not_found(void **state)
{
    (void)state;
    assert_null(ent_format_find(ENT_TEXT("")));
    assert_null(ent_format_find(ENT_TEXT("ipv4")));
    assert_null(ent_format_find(ENT_TEXT("Date")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format__times),     cmocka_unit_test(test_format__addresses),
        cmocka_unit_test(test_format__languages), cmocka_unit_test(test_format__names),
        cmocka_unit_test(test_format__encodings), cmocka_unit_test(test_format__base64_of_every_size),
        cmocka_unit_test(test_format__stix_ids),  cmocka_unit_test(test_format__unknown_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
