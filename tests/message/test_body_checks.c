/* Rules of kinds that no schema can say: the example passes, one change breaks it, and the error names the field. */
#include "bodies.h"

#include "base/alloc.h"

static ent_kinds *kinds;

#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"
#define NONCE "\"59857136ec33dd104486724a3382ef56\""

static void test_body_checks__each_rule_refuses_what_breaks_it(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        edit change;
        const char *named;
        const char *also;
    } rows[] = {
        {"answer.response", {"fields.reasons", NULL}, "fields.reasons", "granted"},
        {"answer.response", {"fields.outcome", "\"needs-clarification\""}, "", ""},
        {"answer.status", {"fields.state", "\"done\""}, "fields.state", "clarification"},
        {"channel.amendment", {"fields.salt", "\"00\""}, "fields.salt", "64"},
        {"channel.amendment", {"fields.salt", "\"" OTHER "00\""}, "fields.salt", "at most 64"},
        {"channel.amendment", {"fields.terms", "\"YQ\""}, "fields.terms", ""},
        {"channel.amendment", {"fields.terms", "\"YQ=A\""}, "fields.terms", "base64"},
        {"channel.amendment", {"fields.replaces", "\"00\""}, "fields.replaces", "64 lower-case hex"},
        {"commitment.pledge", {"fields.terms_digest", "\"" OTHER "\""}, "fields.terms", "terms_digest"},
        {"commitment.match", {"fields.match_digest", "\"" OTHER "\""}, "fields.terms", "match_digest"},
        {"contact.check", {"fields.reply_by", NULL}, "reply_by", "nonce"},
        {"contact.check", {"fields.answered_by", "\"node\""}, "fields.answered_by", "echo"},
        {"contact.nomination", {"fields.contacts[1]", "{\"role\":\"press\",\"name\":\"n\"}"}, "contacts[1]", "phone"},
        {"contact.nomination", {"fields.until", "\"2021-05-31T00:00:00Z\""}, "fields.until", "2021-06-01"},
        {"exchange.core", {"fields.sides[0].party", "\"boreal.example\""}, "fields.sides", "different"},
        {"exchange.core", {"fields.sides[0].party", "\"x.example\""}, "fields.sides", "sorted"},
        {"exchange.core", {"fields.sides[0].nonce", "\"c0ffee0123456789abcdef0123456789\""}, "fields.sides", "nonce"},
        {"exchange.offer", {"fields.recipient", "\"age1qqqq\""}, "fields.recipient", "age1..."},
        {"exchange.held", {"fields.manifests[0]", "\"" OTHER "00\""}, "fields.manifests[0]", "SHA-256"},
        {"feed.indicators", {"stix", NULL}, "stix", "bundle"},
        {"incident.final", {"fields.cross_border_impact", NULL}, "fields.cross_border_impact", "cross_border is yes"},
        {"incident.final", {"fields.end_time", "\"2021-05-30T05:11:59Z\""}, "fields.end_time", "start_time"},
        {"neutral.deposit", {"fields.origin", "\"aurora.example/7\""}, "fields.origin", "channel id"},
        {"neutral.deposit", {"fields.size", "39"}, "fields.size", "old_size"},
        {"neutral.deposit", {"fields.close", "\"2021-06-12T08:59:59Z\""}, "fields.close", "time"},
        {"neutral.open", {"fields.escrow_recipient", NULL}, "fields.escrow_recipient", "exchange"},
        {"neutral.open", {"fields.what", "\"pledge\""}, "fields.escrow_recipient", "exchange"},
        {"neutral.release", {"fields.keys[1].to", "\"aurora.example\""}, "fields.keys", "different"},
        {"request.information", {"fields.until", "\"2021-05-27T00:00:00Z\""}, "fields.until", "2021-05-28"},
        {"request.preservation", {"fields.data[0].until", "\"2020-01-01T00:00:00Z\""}, "fields.data[0].until", "from"},
        {"request.preservation", {"fields.intends_request", "false"}, "fields.intends_request", "expected true"},
        {"request.preservation", {"fields.preserve_days", "59"}, "fields.preserve_days", "60"},
        {"request.surrender", {"fields.purpose", "\"sentence\""}, "fields.judgment", "sentence"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].named[0] == 0)
            take_edited(kinds, rows[i].kind, rows[i].change);
        else
            refuse_edited(kinds, rows[i].kind, rows[i].change, rows[i].named, rows[i].also);
    }
}

static void refuse_body(const char *kind, const char *json, const char *named)
{
    ent_err err = {0};
    assert_int_equal(body_code(kinds, kind, ent_text_bytes(ent_text_of(json)), &err), ENT_PEER_INVALID);
    if (strstr(err.text, named) == NULL)
        fail_msg("\"%s\" does not name %s", err.text, named);
}

static void take_body(const char *kind, const char *json)
{
    ent_err err = {0};
    if (body_code(kinds, kind, ent_text_bytes(ent_text_of(json)), &err) != ENT_OK)
        fail_msg("%s: %s", json, err.text);
}

static void test_body_checks__postponed_needs_until(void **state)
{
    (void)state;
    ent_err err = {0};
    ent_buf postponed = edited(example_of("answer.response"), (edit){"fields.outcome", "\"postponed\""});
    assert_int_equal(body_code(kinds, "answer.response", ent_buf_bytes(&postponed), &err), ENT_OK);
    ent_buf bare = edited(ent_buf_text(&postponed), (edit){"fields.until", NULL});
    assert_int_equal(body_code(kinds, "answer.response", ent_buf_bytes(&bare), &err), ENT_PEER_INVALID);
    assert_non_null(strstr(err.text, "fields.until"));
    ent_buf_release(&postponed);
    ent_buf_release(&bare);
}

static void test_body_checks__clarification_says_something(void **state)
{
    (void)state;
    take_body("answer.status", "{\"fields\":{\"state\":\"clarification\",\"note\":\"UTC\"}}");
    take_body("answer.status",
              "{\"fields\":{\"state\":\"clarification\"},\"text\":{\"en\":\"UTC\"},\"authentic\":\"en\"}");
    take_body("answer.status", "{\"fields\":{\"state\":\"delayed\"}}");
    refuse_body("answer.status", "{\"fields\":{\"state\":\"clarification\"}}", "fields.note");
}

static void test_body_checks__check_asks_or_answers(void **state)
{
    (void)state;
    take_edited(kinds, "contact.check", (edit){"fields.scheduled", "true"});
    take_body("contact.check", "{\"fields\":{\"echo\":" NONCE ",\"answered_by\":\"officer\"}}");
    refuse_body("contact.check", "{\"fields\":{\"echo\":" NONCE ",\"scheduled\":false}}", "fields.scheduled");
    refuse_body("contact.check", "{\"fields\":{\"echo\":" NONCE ",\"answered_by\":\"robot\"}}", "node, officer");
}

static void test_body_checks__amendment_changes_something(void **state)
{
    (void)state;
    ent_body body = {0};
    ent_buf terms = {0};
    ent_hash commitment;
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    char hex[2 * ENT_HASH_SIZE + 3] = "\"";
    assert_int_equal(ent_body_parse(kinds, ENT_TEXT("channel.amendment"),
                                    ent_text_bytes(example_of("channel.amendment")), 0, &body, NULL)
                         .code,
                     ENT_OK);
    assert_int_equal(ent_body_terms(&body, salt, &terms, NULL).code, ENT_OK);
    ent_terms_commitment(salt, ent_buf_bytes(&terms), &commitment);
    ent_hex_encode(ent_hash_bytes(&commitment), hex + 1);
    hex[1 + 2 * ENT_HASH_SIZE] = '"';
    refuse_edited(kinds, "channel.amendment", (edit){"fields.replaces", hex}, "fields.replaces", "very terms");
    ent_body_release(&body);
    ent_buf_release(&terms);
}

static void test_body_checks__manifests_sorted(void **state)
{
    (void)state;
    ent_json *document = parsed(example_of("exchange.held"));
    ent_json_iter i = ent_json_iterate(ent_json_get(ent_json_get(ent_json_root(document), "fields"), "manifests"));
    char swapped[160];
    assert_true(ent_json_next(&i));
    ent_text first = ent_json_string(i.value);
    assert_true(ent_json_next(&i));
    (void)snprintf(swapped, sizeof swapped, "[\"%.*s\",\"%.*s\"]", ENT_TEXT_ARG(ent_json_string(i.value)),
                   ENT_TEXT_ARG(first));
    refuse_edited(kinds, "exchange.held", (edit){"fields.manifests", swapped}, "fields.manifests", "smaller");
    (void)snprintf(swapped, sizeof swapped, "[\"%.*s\",\"%.*s\"]", ENT_TEXT_ARG(first), ENT_TEXT_ARG(first));
    refuse_edited(kinds, "exchange.held", (edit){"fields.manifests", swapped}, "fields.manifests", "twice");
    ent_json_free(document);
}

static void test_body_checks__allocation_failure_is_no_verdict(void **state)
{
    (void)state;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const char *kind = ent_kind_at(row)->name;
        ent_bytes json = ent_text_bytes(example_of(kind));
        int code = ENT_NOMEM;
        for (unsigned long nth = 1; code != ENT_OK; nth++) {
            assert_in_range(nth, 1, 100);
            ent_alloc_fail_at(nth);
            code = body_code(kinds, kind, json, NULL);
            ent_alloc_fail_at(0);
            if (code != ENT_OK && code != ENT_NOMEM)
                fail_msg("%s: %s when out of memory", kind, ent_code_word(code));
        }
    }
}

static int start(void **state)
{
    (void)state;
    return ent_kinds_new(&kinds, NULL).code == ENT_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    ent_kinds_free(kinds);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_checks__each_rule_refuses_what_breaks_it),
        cmocka_unit_test(test_body_checks__postponed_needs_until),
        cmocka_unit_test(test_body_checks__clarification_says_something),
        cmocka_unit_test(test_body_checks__check_asks_or_answers),
        cmocka_unit_test(test_body_checks__amendment_changes_something),
        cmocka_unit_test(test_body_checks__manifests_sorted),
        cmocka_unit_test(test_body_checks__allocation_failure_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
