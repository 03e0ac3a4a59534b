/* Mail as it goes over the wire, and what can never get into it; webhooks' addresses. Sending is tested from outside,
 * against a real SMTP server (tests/outside/test_alerts.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/mail.h"
#include "http/webhook.h"

#include <stdio.h>

#define assert_ok(call) assert_string_equal(ent_code_word((call).code), "ok")
#define assert_fails(call, expected) assert_string_equal(ent_code_word((call).code), ent_code_word(expected))

static const char *const two[] = {"duty@north.example", "second@north.example"};

static ent_mail plain_mail(void)
{
    return (ent_mail){
        .from = "entente@north.example",
        .to = two,
        .to_count = 2,
        .id = ENT_TEXT("0123abcd"),
        .time_unix_s = 1700000000,
        .subject = ENT_TEXT("Overdue: an answer"),
        .text = ENT_TEXT("One line.\n.\nAnother."),
    };
}

static char *written(const ent_mail *mail)
{
    ent_buf buf = {0};
    assert_ok(ent_mail_put(mail, &buf, NULL));
    assert_non_null(ent_buf_string(&buf));
    return (char *)buf.data;
}

static void test_mail__plain_message_is_as_rfc_5322_says(void **state)
{
    (void)state;
    ent_mail mail = plain_mail();
    char *text = written(&mail);
    assert_string_equal(text, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                              "From: entente@north.example\r\n"
                              "To: duty@north.example,\r\n second@north.example\r\n"
                              "Message-ID: <0123abcd@north.example>\r\n"
                              "Subject: Overdue: an answer\r\n"
                              "Auto-Submitted: auto-generated\r\n"
                              "MIME-Version: 1.0\r\n"
                              "Content-Type: text/plain; charset=utf-8\r\n"
                              "Content-Transfer-Encoding: 7bit\r\n"
                              "\r\n"
                              "One line.\r\n.\r\nAnother.\r\n");
    ent_free(text);
}

/* Gives the unfolded value of the subject with its encoded-words decoded. */
static void read_subject(const char *text, char *ret, size_t room)
{
    const char *at = strstr(text, "Subject: ") + 9;
    ent_buf value = {0};
    for (; !(at[0] == '\r' && at[2] != ' '); at++) {
        if (strncmp(at, "\r\n ", 3) == 0 && strncmp(at + 3, "=?", 2) == 0)
            at += 2; /* white space between encoded-words is not shown */
        else if (strncmp(at, "\r\n ", 3) == 0)
            at += 1;
        else if (strncmp(at, "=?utf-8?B?", 10) == 0) {
            const char *end = strstr(at + 10, "?=");
            assert_true(end - at + 2 <= 75); /* "may not be more than 75 characters long" */
            ent_buf piece = {0};
            assert_ok(ent_base64_decode((ent_text){at + 10, (size_t)(end - at - 10)}, &piece, NULL));
            assert_true(ent_utf8_valid(ent_buf_text(&piece))); /* no character is split */
            ent_buf_put(&value, ent_buf_bytes(&piece));
            ent_buf_release(&piece);
            at = end + 1;
        } else
            ent_buf_put_u8(&value, (uint8_t)*at);
    }
    assert_true(value.size < room);
    memcpy(ret, ent_buf_string(&value), value.size + 1);
    ent_buf_release(&value);
}

static void assert_lines(const char *text, size_t limit)
{
    for (const char *at = text; *at != 0;) {
        const char *end = strstr(at, "\r\n");
        assert_non_null(end);
        assert_true((size_t)(end - at) <= limit);
        for (; at < end; at++)
            assert_true(*at == '\t' || (*at >= ' ' && *at <= '~'));
        at = end + 2;
    }
}

static void test_mail__any_subject_comes_back(void **state)
{
    (void)state;
    static const char many_words[] = "a subject of many plain words that is longer than one line may be and is folded "
                                     "between them, more than once, without losing any";
    static const char *const subjects[] = {
        "",
        "short",
        "Просрочен ответ на запрос о сохранении данных, канал hotline, сообщение north.example/12",
        "تنبيه: رسالة عاجلة لم تُفتح بعد في قناة الخط الساخن بين الطرفين منذ خمس دقائق",
        "=?utf-8?B?QUJD?= is not decoded",
        many_words,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "emoji 🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨🚨",
    };
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        char value[512];
        ent_mail mail = plain_mail();
        mail.subject = ent_text_of(subjects[i]);
        char *text = written(&mail);
        assert_lines(text, 76);
        read_subject(text, value, sizeof value);
        assert_string_equal(value, subjects[i]);
        ent_free(text);
    }
}

static void test_mail__line_ends_in_a_subject_are_spaces(void **state)
{
    (void)state;
    static const char *const subjects[] = {"a\r\nBcc: x@evil.example\r\n\r\nbody", "a\nb", "a\rb\x7f\x01",
                                           "ö\r\nBcc: x"};
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        ent_mail mail = plain_mail();
        mail.subject = ent_text_of(subjects[i]);
        char *text = written(&mail);
        assert_null(strstr(text, "\r\nBcc"));
        assert_non_null(strstr(text, "\r\nAuto-Submitted: auto-generated\r\n"));
        assert_lines(text, 76);
        ent_free(text);
    }
}

static void test_mail__addresses_that_could_begin_a_header_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "nobody",
        "@north.example",
        "a@",
        "a@b@c",
        "a b@north.example",
        "a@north.example\r\nBcc: x@evil.example",
        "a@north.example\n",
        "a\r@north.example",
        "a@north.example>",
        "<a@north.example",
        "a,b@north.example",
        "\"a\"@north.example",
        "a@-north.example",
        "a@north.example-",
        "a@north..example",
        ".a@north.example",
        "a.@north.example",
        "a@[127.0.0.1]",
        "ö@north.example",
        "a@north.exämple",
        "a@north_example",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@north.example",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ent_buf buf = {0};
        ent_err err = {0};
        ent_mail mail = plain_mail();
        assert_false(ent_mail_address_valid(ent_text_of(bad[i])));
        mail.from = bad[i];
        assert_fails(ent_mail_put(&mail, &buf, &err), ENT_USAGE);
        mail = plain_mail();
        mail.to = &bad[i];
        mail.to_count = 1;
        assert_fails(ent_mail_put(&mail, &buf, &err), ENT_USAGE);
        assert_int_equal(buf.size, 0);
    }
    assert_true(ent_mail_address_valid(ENT_TEXT("duty+night.officer_1@sub-domain.north.example")));
    assert_false(ent_mail_address_valid((ent_text){"a@b\0c", 5}));
}

static void test_mail__what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_mail mail = plain_mail();
    mail.to_count = 0;
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    mail = plain_mail();
    mail.id = ENT_TEXT("a>\r\nBcc: x");
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    mail.id = ENT_TEXT("");
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    mail = plain_mail();
    mail.subject = ENT_TEXT("\xff");
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    mail = plain_mail();
    mail.text = ENT_TEXT("\xc3");
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    mail = plain_mail();
    mail.time_unix_s = INT64_MAX;
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    mail.time_unix_s = -99999999999;
    assert_fails(ent_mail_put(&mail, &buf, NULL), ENT_USAGE);
    assert_int_equal(buf.size, 0);
}

static char *decode_body(const char *message)
{
    const char *text = strstr(message, "\r\n\r\n") + 4;
    bool quoted = strstr(message, "\r\nContent-Transfer-Encoding: quoted-printable\r\n") != NULL;
    ent_buf plain = {0};
    for (const char *at = text; *at != 0; at++) {
        uint8_t byte = (uint8_t)*at;
        if (*at == '\r')
            continue;
        if (strncmp(at, "=\r\n", 3) == 0) {
            at += 2;
            continue;
        }
        if (quoted && *at == '=') {
            char digits[3] = {(char)(at[1] | 0x20), (char)(at[2] | 0x20), 0};
            assert_ok(ent_hex_decode(ent_text_of(digits), &byte, 1, NULL));
            at += 2;
        }
        ent_buf_put_u8(&plain, byte);
    }
    assert_non_null(ent_buf_string(&plain));
    return (char *)plain.data;
}

static void test_mail__any_text_comes_back(void **state)
{
    (void)state;
    char long_line[1001] = ""; /* one more than a line may have */
    memset(long_line, 'x', sizeof long_line - 1);
    long_line[sizeof long_line - 2] = '\n';
    const char *const texts[] = {
        "Überfällig\n",
        "7 bit = signs\n",
        "ö ends with blanks  \t\nand = signs\n",
        "long öööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööööö\n",
        "control \x01\x1b[31m \r alone\n",
        long_line,
        ".\n..\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ent_mail mail = plain_mail();
        mail.text = ent_text_of(texts[i]);
        char *text = written(&mail);
        assert_lines(text, 76);
        char *body = decode_body(text);
        assert_string_equal(body, texts[i]);
        ent_free(body);
        ent_free(text);
    }
}

static void test_mail__nth_allocation_failed_leaves_nothing(void **state)
{
    (void)state;
    ent_mail mail = plain_mail();
    mail.text = ENT_TEXT("Überfällig\n");
    for (unsigned long nth = 1;; nth++) {
        ent_buf buf = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_mail_put(&mail, &buf, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        assert_true(rc.code == ENT_OK || buf.size == 0);
        ent_buf_release(&buf);
        if (!reached) {
            assert_ok(rc);
            break;
        }
        assert_fails(rc, ENT_NOMEM);
    }
}

static void test_mail__only_mail_servers_are_named(void **state)
{
    (void)state;
    static const char *const good[] = {"smtp://mail.north.example", "smtp://127.0.0.1:25", "smtps://mx:465",
                                       "smtp://[::1]:2525", "smtp://[2001:db8::1]"};
    static const char *const bad[] = {
        "",           "smtp://",          "http://mail",   "mail.north.example", "smtp://a:0",    "smtp://a:65536",
        "smtp://a/b", "smtp://u:p@mail",  "smtp://a?b",    "smtp://[]",          "smtp://[::1",   "smtp://[x]",
        "smtp://a:",  "smtp://a\r\nQUIT", "smtp://a:25 b", "SMTP://a",           "smtp://a:25/x", "smtp:///",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(ent_mail_url_valid(ent_text_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ent_mail_server server = {.url = bad[i]};
        ent_mail mail = plain_mail();
        assert_false(ent_mail_url_valid(ent_text_of(bad[i])));
        assert_fails(ent_mail_send(&server, &mail, NULL), ENT_USAGE);
    }
}

static void test_mail__nobody_listens_is_unreachable(void **state)
{
    (void)state;
    ent_err err = {0};
    ent_mail_server server = {.url = "smtp://127.0.0.1:1", .timeout_ms = 2000};
    ent_mail mail = plain_mail();
    assert_fails(ent_mail_send(&server, &mail, &err), ENT_UNREACHABLE);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
}

static void test_webhook__only_web_addresses_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {"https://hooks.north.example/a?b=c", "http://127.0.0.1:8080",
                                       "http://[::1]/x@y"};
    static const char *const bad[] = {"",
                                      "https://",
                                      "http:///x",
                                      "ftp://a",
                                      "file:///etc/passwd",
                                      "https://u:p@a/",
                                      "https://a/\r\nX: y",
                                      "https://a b",
                                      "https://\xc3\xb6"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(ent_webhook_url_valid(ent_text_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ent_webhook hook = {.url = bad[i]};
        assert_false(ent_webhook_url_valid(ent_text_of(bad[i])));
        assert_fails(ent_webhook_post(&hook, ENT_TEXT("{}"), NULL), ENT_USAGE);
    }
}

static void test_webhook__nobody_listens_is_unreachable(void **state)
{
    (void)state;
    ent_webhook hook = {.url = "http://127.0.0.1:1/", .timeout_ms = 2000};
    assert_fails(ent_webhook_post(&hook, ENT_TEXT("{}"), NULL), ENT_UNREACHABLE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail__plain_message_is_as_rfc_5322_says),
        cmocka_unit_test(test_mail__any_subject_comes_back),
        cmocka_unit_test(test_mail__line_ends_in_a_subject_are_spaces),
        cmocka_unit_test(test_mail__addresses_that_could_begin_a_header_are_refused),
        cmocka_unit_test(test_mail__what_cannot_be_written_is_refused),
        cmocka_unit_test(test_mail__any_text_comes_back),
        cmocka_unit_test(test_mail__nth_allocation_failed_leaves_nothing),
        cmocka_unit_test(test_mail__only_mail_servers_are_named),
        cmocka_unit_test(test_mail__nobody_listens_is_unreachable),
        cmocka_unit_test(test_webhook__only_web_addresses_are_taken),
        cmocka_unit_test(test_webhook__nobody_listens_is_unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
