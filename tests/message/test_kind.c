/* Kinds and bodies: every example is valid, every rule has something that breaks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "message/kind.h"
#include "message/stix.h"

static const char *examples_folder;
static const char *schemas_folder;
static ent_kinds *kinds;

static ent_buf file(const char *folder, const char *name)
{
    ent_buf buf = {0};
    ent_err err = {0};
    char *path = ent_file_join(folder, name);
    assert_non_null(path);
    if (ent_file_read(path, 1 << 20, &buf, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    ent_free(path);
    return buf;
}

static ent_buf example(const char *kind)
{
    char name[ENT_KIND_MAX_BYTES + 6];
    (void)snprintf(name, sizeof name, "%s.json", kind);
    return file(examples_folder, name);
}

static void require_body(const char *kind, const char *json, size_t attachments)
{
    ent_body body;
    ent_err err = {0};
    if (ent_body_parse(kinds, ent_text_of(kind), ent_text_bytes(ent_text_of(json)), attachments, &body, &err).code !=
        ENT_OK)
        fail_msg("%s: %s: %s", kind, json, err.text);
    ent_body_release(&body);
}

static void refuse_body(const char *kind, const char *json, size_t attachments, const char *named)
{
    ent_body body;
    ent_body before;
    ent_err err = {0};
    memset(&body, 0x5a, sizeof body);
    memcpy(&before, &body, sizeof body);
    int code =
        ent_body_parse(kinds, ent_text_of(kind), ent_text_bytes(ent_text_of(json)), attachments, &body, &err).code;
    if (code != ENT_PEER_INVALID)
        fail_msg("%s: %s: %s", kind, json, ent_code_word(code));
    if (strstr(err.text, named) == NULL)
        fail_msg("\"%s\" does not name %s", err.text, named);
    assert_memory_equal(&body, &before, sizeof body);
}

static void test_kind__table_and_schemas_belong_together(void **state)
{
    (void)state;
    assert_int_equal(ent_kind_count(), 60);
    assert_null(ent_kind_at(ent_kind_count()));
    assert_null(ent_kind_find(ENT_TEXT("incident.unknown")));
    assert_null(ent_kind_find(ENT_TEXT("")));
    for (size_t i = 0; i < ent_kind_count(); i++) {
        const ent_kind *kind = ent_kind_at(i);
        char name[ENT_KIND_MAX_BYTES + 6];
        ent_json *embedded = NULL;
        ent_json *source = NULL;
        ent_buf one = {0};
        ent_buf other = {0};
        assert_true(ent_kind_name_valid(ent_text_of(kind->name)));
        assert_ptr_equal(ent_kind_find(ent_text_of(kind->name)), kind);
        if (i > 0)
            assert_true(strcmp(ent_kind_at(i - 1)->name, kind->name) < 0);
        (void)snprintf(name, sizeof name, "%s.json", kind->name);
        ent_buf text = file(schemas_folder, name);
        assert_int_equal(ent_json_parse(ent_text_bytes(ent_text_of(kind->schema)), &embedded, NULL).code, ENT_OK);
        assert_int_equal(ent_json_parse(ent_buf_bytes(&text), &source, NULL).code, ENT_OK);
        ent_json_put_value(&one, ent_json_root(embedded));
        ent_json_put_value(&other, ent_json_root(source));
        assert_true(ent_bytes_equal(ent_buf_bytes(&one), ent_buf_bytes(&other)));
        ent_buf_release(&one);
        ent_buf_release(&other);
        ent_buf_release(&text);
        ent_json_free(embedded);
        ent_json_free(source);
    }
}

static void test_kind__roles(void **state)
{
    (void)state;
    const ent_kind *genesis = ent_kind_find(ENT_TEXT("channel.genesis"));
    const ent_kind *check = ent_kind_find(ENT_TEXT("contact.check"));
    const ent_kind *notification = ent_kind_find(ENT_TEXT("incident.notification"));
    const ent_kind *response = ent_kind_find(ENT_TEXT("answer.response"));
    const ent_kind *acknowledgement = ent_kind_find(ENT_TEXT("answer.acknowledgement"));
    assert_true(genesis->before_open && genesis->by_node && !genesis->wants_answer);
    assert_true(check->before_open && check->wants_answer && check->is_answer && !check->needs_reply_to);
    assert_true(notification->wants_answer && notification->needs_text && !notification->is_answer);
    assert_true(response->is_answer && response->needs_reply_to && response->needs_text);
    assert_true(acknowledgement->is_answer && acknowledgement->needs_reply_to && !acknowledgement->needs_text);
    assert_true(ent_kind_find(ENT_TEXT("evidence.held"))->by_node &&
                ent_kind_find(ENT_TEXT("channel.notice"))->by_node);
    assert_false(ent_kind_find(ENT_TEXT("evidence.item"))->by_node);
}

static void test_kind__entry_held_to_its_kind(void **state)
{
    (void)state;
    ent_err err = {0};
    ent_entry entry = {.kind = ENT_TEXT("answer.response"), .has_body = true, .has_reply_to = true};
    assert_int_equal(ent_kind_check_entry(&entry, &err).code, ENT_OK);
    entry.has_reply_to = false;
    assert_int_equal(ent_kind_check_entry(&entry, &err).code, ENT_PEER_INVALID);
    assert_non_null(strstr(err.text, "reply_to"));
    entry.kind = ENT_TEXT("contact.check");
    assert_int_equal(ent_kind_check_entry(&entry, &err).code, ENT_OK);
    entry.has_body = false;
    assert_int_equal(ent_kind_check_entry(&entry, &err).code, ENT_PEER_INVALID);
    assert_non_null(strstr(err.text, "body"));
    entry.kind = ENT_TEXT("answer.unknown");
    assert_int_equal(ent_kind_check_entry(&entry, &err).code, ENT_OK);
    entry.kind = ENT_TEXT("neutral.match");
    entry.has_body = true;
    assert_int_equal(ent_kind_check_entry(&entry, &err).code, ENT_PEER_INVALID);
    assert_non_null(strstr(err.text, "field kind: neutral.match"));
}

static void test_body__notification_example_read(void **state)
{
    (void)state;
    ent_body body;
    ent_buf text = example("incident.notification");
    assert_int_equal(
        ent_body_parse(kinds, ENT_TEXT("incident.notification"), ent_buf_bytes(&text), 0, &body, NULL).code, ENT_OK);
    ent_buf_release(&text);
    assert_true(ent_text_is(body.authentic, "en"));
    assert_int_equal(ent_json_count(body.text), 2);
    assert_true(ent_json_present(ent_json_get(body.text, "ru")));
    assert_int_equal(body.content_marking, ENT_MARKING_AMBER);
    assert_true(ent_json_count(ent_json_get(body.stix, "objects")) >= 10);
    assert_true(ent_text_is(ent_json_string(ent_json_get(body.fields, "severity")), "critical"));
    ent_body_release(&body);
    assert_null(body.document);
    ent_body_release(&body);
}

/* "no neighbour": indicators of the example are of ranges that belong to nobody. */
static void test_body__example_indicators_are_placeholders(void **state)
{
    (void)state;
    static const char *const allowed[] = {
        "[ipv4-addr:value = '192.0.2.", "[ipv4-addr:value = '198.51.100.", "[domain-name:value = '",
        "[file:hashes.'SHA-256' = '275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f']"};
    ent_body body;
    ent_buf text = example("incident.notification");
    size_t indicators = 0;
    assert_int_equal(
        ent_body_parse(kinds, ENT_TEXT("incident.notification"), ent_buf_bytes(&text), 0, &body, NULL).code, ENT_OK);
    for (ent_json_iter i = ent_json_iterate(ent_json_get(body.stix, "objects")); ent_json_next(&i);) {
        ent_text pattern = ent_json_string(ent_json_get(i.value, "pattern"));
        bool known = pattern.size == 0;
        if (pattern.size > 0)
            indicators++;
        for (size_t k = 0; k < sizeof allowed / sizeof allowed[0]; k++)
            known = known || ent_text_starts(pattern, ent_text_of(allowed[k]));
        assert_true(known);
    }
    assert_int_equal(indicators, 4);
    ent_body_release(&body);
    ent_buf_release(&text);
}

static void test_body__genesis_example_opens_the_example_terms(void **state)
{
    (void)state;
    ent_body body;
    ent_buf text = example("channel.genesis");
    ent_buf terms = {0};
    ent_buf expected = file(examples_folder, "terms.json");
    uint8_t salt[ENT_TERMS_SALT_SIZE] = {0};
    assert_int_equal(ent_body_parse(kinds, ENT_TEXT("channel.genesis"), ent_buf_bytes(&text), 0, &body, NULL).code,
                     ENT_OK);
    assert_int_equal(ent_body_terms(&body, salt, &terms, NULL).code, ENT_OK);
    assert_true(ent_bytes_equal(ent_buf_bytes(&terms), ent_buf_bytes(&expected)));
    assert_true(salt[0] != 0 || salt[1] != 0 || salt[2] != 0);
    ent_alloc_fail_at(1);
    ent_buf none = {0};
    assert_int_equal(ent_body_terms(&body, salt, &none, NULL).code, ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_int_equal(none.size, 0);
    ent_buf_release(&none);
    ent_body_release(&body);
    ent_buf_release(&text);
    ent_buf_release(&terms);
    ent_buf_release(&expected);
}

static void test_body__terms_of_another_kind_refused(void **state)
{
    (void)state;
    ent_body body;
    ent_buf terms = {0};
    uint8_t salt[ENT_TERMS_SALT_SIZE] = {0};
    ent_text json = ENT_TEXT("{\"fields\":{}}");
    assert_int_equal(ent_body_parse(kinds, ENT_TEXT("x.y"), ent_text_bytes(json), 0, &body, NULL).code, ENT_OK);
    assert_int_equal(ent_body_terms(&body, salt, &terms, NULL).code, ENT_PEER_INVALID);
    assert_int_equal(terms.size, 0);
    ent_body_release(&body);
    ent_buf_release(&terms);
}

static void test_body__evidence_example_names_the_example_file(void **state)
{
    (void)state;
    ent_body body;
    ent_hash digest;
    char hex[2 * ENT_HASH_SIZE + 1];
    ent_buf text = example("evidence.item");
    ent_buf notes = file(examples_folder, "forensic-notes.txt");
    assert_int_equal(ent_body_parse(kinds, ENT_TEXT("evidence.item"), ent_buf_bytes(&text), 0, &body, NULL).code,
                     ENT_OK);
    ent_json_iter i = ent_json_iterate(ent_json_get(body.fields, "digests"));
    assert_true(ent_json_next(&i));
    ent_sha256(ent_buf_bytes(&notes), &digest);
    ent_hex_encode(ent_hash_bytes(&digest), hex);
    assert_true(ent_text_is(ent_json_string(ent_json_get(i.value, "sha256")), hex));
    ent_body_release(&body);
    ent_buf_release(&text);
    ent_buf_release(&notes);
}

static void test_body__envelope_rules(void **state)
{
    (void)state;
    require_body("x.y", "{\"fields\":{}}", 0);
    require_body("x.y", "{\"fields\":{\"any\":[1]},\"unknown\":7,\"text\":{\"en\":\"a\"},\"authentic\":\"en\"}", 0);
    refuse_body("x.y", "[]", 0, "an array given, expected an object");
    refuse_body("x.y", "{}", 0, "fields");
    refuse_body("x.y", "{\"fields\":[]}", 0, "fields");
    refuse_body("x.y", "{\"fields\":{},\"text\":\"a\"}", 0, "text");
    refuse_body("x.y", "{\"fields\":{},\"text\":{\"english!\":\"a\"},\"authentic\":\"en\"}", 0, "text.english!");
    refuse_body("x.y", "{\"fields\":{},\"text\":{\"en\":\"\"},\"authentic\":\"en\"}", 0, "text.en");
    refuse_body("x.y", "{\"fields\":{},\"text\":{\"en\":\"a\"}}", 0, "authentic");
    refuse_body("x.y", "{\"fields\":{},\"text\":{\"en\":\"a\"},\"authentic\":\"ru\"}", 0, "\"ru\"");
    refuse_body("x.y", "{\"fields\":{},\"authentic\":\"en\"}", 0, "authentic");
    refuse_body("x.y", "{\"fields\":{},\"text\":{},\"authentic\":\"en\"}", 0, "authentic");
    refuse_body("x.y", "{\"fields\":{},\"stix\":[]}", 0, "stix");
    ent_body body;
    assert_int_equal(ent_body_parse(kinds, ENT_TEXT("x.y"), ent_text_bytes(ENT_TEXT("{")), 0, &body, NULL).code,
                     ENT_PEER_MALFORMED);
}

static void test_body__files_match_the_attachments(void **state)
{
    (void)state;
    require_body("x.y", "{\"fields\":{},\"files\":[]}", 0);
    require_body(
        "x.y",
        "{\"fields\":{},\"files\":[{\"name\":\"\xc3\xa9t\xc3\xa9.txt\"},{\"name\":\"..a\",\"description\":\"d\"}]}", 2);
    refuse_body("x.y", "{\"fields\":{}}", 1, "files");
    refuse_body("x.y", "{\"fields\":{},\"files\":[{\"name\":\"a\"}]}", 0, "files");
    refuse_body("x.y", "{\"fields\":{},\"files\":[{\"name\":\"a\"}]}", 2, "files");
    refuse_body("x.y", "{\"fields\":{},\"files\":[{}]}", 1, "files[0].name");
    refuse_body("x.y", "{\"fields\":{},\"files\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", 2, "files[1].name");
    static const char *const names[] = {"",       ".",        "..",          "../x",     "/etc/passwd", "a/b",
                                        "a\\\\b", "a\\u0000", "a\\u001b[2J", "a\\u007f", "a\\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"fields\":{},\"files\":[{\"name\":\"%s\"}]}", names[i]);
        refuse_body("x.y", json, 1, "files[0].name");
    }
}

#define WITH_TEXT ",\"text\":{\"en\":\"We say so.\"},\"authentic\":\"en\"}"
#define NOTIFICATION(more)                                                                                             \
    "{\"fields\":{\"title\":\"t\",\"awareness_time\":\"2021-05-30T11:00:00Z\",\"malicious\":\"yes\","                  \
    "\"cross_border\":\"unknown\",\"sector\":\"food\",\"severity\":\"high\"" more "}"

static void test_body__kinds_keep_their_mandatory_fields(void **state)
{
    (void)state;
    require_body("incident.notification", NOTIFICATION("") WITH_TEXT, 0);
    require_body("incident.notification", NOTIFICATION(",\"unknown\":{}") WITH_TEXT, 0);
    refuse_body("incident.notification", NOTIFICATION("") "}", 0, "text");
    static const char *const required[] = {"title",        "awareness_time", "malicious",
                                           "cross_border", "sector",         "severity"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        char json[512] = NOTIFICATION("") WITH_TEXT;
        char *name = strstr(json, required[i]);
        assert_non_null(name);
        name[0] = 'X';
        refuse_body("incident.notification", json, 0, required[i]);
    }
    refuse_body("incident.notification", NOTIFICATION(",\"countries\":[\"US\",\"XX\"]") WITH_TEXT, 0, "countries[1]");
    refuse_body("incident.notification", NOTIFICATION(",\"countries\":[\"US\",\"US\"]") WITH_TEXT, 0, "countries");
    refuse_body("incident.notification", NOTIFICATION(",\"start_time\":\"then\"") WITH_TEXT, 0, "start_time");

    require_body("answer.acknowledgement", "{\"fields\":{}}", 0);
    refuse_body("answer.acknowledgement", "{\"fields\":{\"contact\":{}}}", 0, "contact.name");
    refuse_body("answer.acknowledgement", "{\"fields\":{\"contact\":{\"name\":\"n\",\"email\":\"e\"}}}", 0,
                "contact.email");

    require_body("answer.response", "{\"fields\":{\"outcome\":\"granted\"}" WITH_TEXT, 0);
    require_body("answer.response", "{\"fields\":{\"outcome\":\"refused\",\"reasons\":\"law\"}" WITH_TEXT, 0);
    static const char *const outcomes[] = {"partial", "refused", "postponed", "impossible", "needs-clarification"};
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        char json[160];
        (void)snprintf(json, sizeof json, "{\"fields\":{\"outcome\":\"%s\"}%s", outcomes[i], WITH_TEXT);
        refuse_body("answer.response", json, 0, "reasons");
    }
    refuse_body("answer.response", "{\"fields\":{\"outcome\":\"maybe\"}" WITH_TEXT, 0, "outcome");
    refuse_body("answer.response", "{\"fields\":{\"outcome\":\"granted\"}}", 0, "text");

    refuse_body("evidence.held", "{\"fields\":{\"digests\":[]}}", 0, "digests");
    refuse_body("evidence.held", "{\"fields\":{\"digests\":[\"00\"]}}", 0, "digests[0]");
    refuse_body("evidence.item",
                "{\"fields\":{\"description\":\"d\",\"collected_at\":\"2021-05-30T11:00:00Z\",\"custodian\":\"c\","
                "\"custody\":[{\"time\":\"2021-05-30T11:00:00Z\",\"who\":\"w\"}]}}",
                0, "custody[0].action");
    refuse_body("channel.notice", "{\"fields\":{\"about\":\"x\",\"code\":\"c\",\"reason\":\"r\"}}", 0, "about");
    refuse_body("channel.genesis", "{\"fields\":{\"salt\":\"00\",\"terms\":\"YQ==\"}}", 0, "salt");
}

static void test_body__check_asks_or_answers(void **state)
{
    (void)state;
#define NONCE "\"000102030405060708090a0b0c0d0e0f\""
    require_body("contact.check", "{\"fields\":{\"nonce\":" NONCE ",\"reply_by\":\"2021-06-01T12:00:00Z\"}}", 0);
    require_body("contact.check", "{\"fields\":{\"echo\":" NONCE "}}", 0);
    require_body("contact.check",
                 "{\"fields\":{\"nonce\":" NONCE ",\"reply_by\":\"2021-06-01T12:00:00Z\",\"echo\":" NONCE "}}", 0);
    refuse_body("contact.check", "{\"fields\":{}}", 0, "nonce");
    refuse_body("contact.check", "{\"fields\":{\"nonce\":" NONCE "}}", 0, "reply_by");
    refuse_body("contact.check", "{\"fields\":{\"reply_by\":\"2021-06-01T12:00:00Z\",\"echo\":" NONCE "}}", 0, "nonce");
    refuse_body("contact.check", "{\"fields\":{\"echo\":\"00\"}}", 0, "echo");
#undef NONCE
}

#define UUID "44af6c39-c09b-49c5-9de2-394224b04982"
#define BUNDLE(objects) "{\"type\":\"bundle\",\"id\":\"bundle--" UUID "\",\"objects\":[" objects "]}"
#define OBJECT(more) "{\"type\":\"incident\",\"spec_version\":\"2.1\",\"id\":\"incident--" UUID "\"" more "}"
#define MARKED(id) OBJECT(",\"object_marking_refs\":[\"marking-definition--" id "\"]")

static int stix_code(const char *text, ent_marking *ret_marking)
{
    ent_json *json = NULL;
    ent_err err = {0};
    assert_int_equal(ent_json_parse(ent_text_bytes(ent_text_of(text)), &json, &err).code, ENT_OK);
    int code = ent_stix_check(ent_json_root(json), "stix", ret_marking, &err).code;
    ent_json_free(json);
    return code;
}

static void test_stix__bundle_rules(void **state)
{
    (void)state;
    ent_marking marking = ENT_MARKING_RED;
    assert_int_equal(stix_code(BUNDLE(OBJECT("")), &marking), ENT_OK);
    assert_int_equal(marking, ENT_MARKING_NONE);
    assert_int_equal(stix_code(BUNDLE("{\"type\":\"ipv4-addr\",\"id\":\"ipv4-addr--" UUID "\"}"), &marking), ENT_OK);
    assert_int_equal(stix_code(BUNDLE("{\"type\":\"x-custom\",\"id\":\"x-custom--" UUID "\"}"), &marking), ENT_OK);
    static const char *const bad[] = {
        "{}",
        "{\"type\":\"bundles\",\"id\":\"bundle--" UUID "\",\"objects\":[" OBJECT("") "]}",
        "{\"type\":\"bundle\",\"id\":\"incident--" UUID "\",\"objects\":[" OBJECT("") "]}",
        "{\"type\":\"bundle\",\"id\":\"bundle\",\"objects\":[" OBJECT("") "]}",
        "{\"type\":\"bundle\",\"id\":\"bundle--" UUID "\"}",
        "{\"type\":\"bundle\",\"id\":\"bundle--" UUID "\",\"objects\":{}}",
        BUNDLE(""),
        BUNDLE("1"),
        BUNDLE("{}"),
        BUNDLE(BUNDLE(OBJECT(""))),
        BUNDLE("{\"type\":\"incident\",\"id\":\"incident--" UUID "\"}"),
        BUNDLE("{\"type\":\"incident\",\"spec_version\":\"2.0\",\"id\":\"incident--" UUID "\"}"),
        BUNDLE("{\"type\":\"ipv4-addr\",\"spec_version\":\"2.0\",\"id\":\"ipv4-addr--" UUID "\"}"),
        BUNDLE("{\"type\":\"incident\",\"spec_version\":\"2.1\"}"),
        BUNDLE("{\"type\":\"incident\",\"spec_version\":\"2.1\",\"id\":\"malware--" UUID "\"}"),
        BUNDLE("{\"type\":\"incident\",\"spec_version\":\"2.1\",\"id\":\"incident--1\"}"),
        BUNDLE(OBJECT(",\"object_marking_refs\":\"x\"")),
        BUNDLE(OBJECT(",\"object_marking_refs\":[1]")),
        BUNDLE(OBJECT(",\"object_marking_refs\":[\"identity--" UUID "\"]")),
        BUNDLE(OBJECT(",\"granular_markings\":{}")),
        BUNDLE(OBJECT(",\"granular_markings\":[{\"marking_ref\":7}]")),
        BUNDLE(OBJECT("") "," OBJECT(",\"object_marking_refs\":[\"x\"]")),
    };
    marking = ENT_MARKING_GREEN;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (stix_code(bad[i], &marking) != ENT_PEER_INVALID)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(marking, ENT_MARKING_GREEN);
    refuse_body("x.y", "{\"fields\":{},\"stix\":{}}", 0, "stix");
}

static void test_stix__strictest_marking_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ent_marking marking;
    } rows[] = {
        {BUNDLE(MARKED("94868c89-83c2-464b-929b-a1a8aa3c8487")), ENT_MARKING_CLEAR},
        {BUNDLE(MARKED("bab4a63c-aed9-4cf5-a766-dfca5abac2bb")), ENT_MARKING_GREEN},
        {BUNDLE(MARKED("55d920b0-5e8b-4f79-9ee9-91f868d9b421")), ENT_MARKING_AMBER},
        {BUNDLE(MARKED("939a9414-2ddd-4d32-a0cd-375ea402b003")), ENT_MARKING_AMBER_STRICT},
        {BUNDLE(MARKED("e828b379-4e03-4974-9ac4-e53a884c97c1")), ENT_MARKING_RED},
        {BUNDLE(MARKED("613f2e26-407d-48c7-9eca-b8e91df99dc9")), ENT_MARKING_CLEAR},
        {BUNDLE(MARKED("34098fce-860f-48ae-8e50-ebd3cc5e41da")), ENT_MARKING_GREEN},
        {BUNDLE(MARKED("f88d31f6-486f-44da-b317-01333bde0b82")), ENT_MARKING_AMBER},
        {BUNDLE(MARKED("5e57c739-391a-4eb3-b6be-7d15ca92d5ed")), ENT_MARKING_RED},
        {BUNDLE(MARKED("00000000-0000-4000-8000-000000000000")), ENT_MARKING_NONE},
        {BUNDLE(OBJECT("") "," MARKED("94868c89-83c2-464b-929b-a1a8aa3c8487") "," MARKED(
             "bab4a63c-aed9-4cf5-a766-dfca5abac2bb")),
         ENT_MARKING_GREEN},
        {BUNDLE(MARKED("e828b379-4e03-4974-9ac4-e53a884c97c1") "," MARKED("94868c89-83c2-464b-929b-a1a8aa3c8487")),
         ENT_MARKING_RED},
        {BUNDLE(OBJECT(",\"granular_markings\":[{\"lang\":\"en\",\"selectors\":[\"name\"]},{\"marking_ref\":"
                       "\"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1\",\"selectors\":[\"name\"]}]")),
         ENT_MARKING_RED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ent_marking marking = ENT_MARKING_COUNT;
        assert_int_equal(stix_code(rows[i].text, &marking), ENT_OK);
        assert_int_equal(marking, rows[i].marking);
    }
}

static void test_body__allocation_failure_leaks_nothing(void **state)
{
    (void)state;
    ent_buf text = example("incident.notification");
    ent_body body;
    ent_body before;
    memset(&body, 0x5a, sizeof body);
    memcpy(&before, &body, sizeof body);
    unsigned long allocations = 0;
    for (unsigned long nth = 1; nth <= 2; nth++) {
        ent_alloc_fail_at(nth);
        int code = ent_body_parse(kinds, ENT_TEXT("incident.notification"), ent_buf_bytes(&text), 0, &body, NULL).code;
        allocations = ent_alloc_count();
        ent_alloc_fail_at(0);
        if (code == ENT_OK) {
            assert_true(allocations < nth);
            ent_body_release(&body);
            break;
        }
        assert_int_equal(code, ENT_NOMEM);
        assert_memory_equal(&body, &before, sizeof body);
    }
    ent_buf_release(&text);
}

static void test_kinds__allocation_failure_leaks_nothing(void **state)
{
    (void)state;
    ent_kinds *all = NULL;
    ent_alloc_fail_at(0);
    assert_int_equal(ent_kinds_new(&all, NULL).code, ENT_OK);
    unsigned long allocations = ent_alloc_count();
    ent_kinds_free(all);
    all = NULL;
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_alloc_fail_at(nth);
        assert_int_equal(ent_kinds_new(&all, NULL).code, ENT_NOMEM);
        assert_null(all);
    }
    ent_alloc_fail_at(0);
    ent_kinds_free(NULL);
}

static int start(void **state)
{
    ent_err err = {0};
    (void)state;
    return ent_kinds_new(&kinds, &err).code == ENT_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    ent_kinds_free(kinds);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kind__table_and_schemas_belong_together),
        cmocka_unit_test(test_kind__roles),
        cmocka_unit_test(test_kind__entry_held_to_its_kind),
        cmocka_unit_test(test_body__notification_example_read),
        cmocka_unit_test(test_body__example_indicators_are_placeholders),
        cmocka_unit_test(test_body__genesis_example_opens_the_example_terms),
        cmocka_unit_test(test_body__terms_of_another_kind_refused),
        cmocka_unit_test(test_body__evidence_example_names_the_example_file),
        cmocka_unit_test(test_body__envelope_rules),
        cmocka_unit_test(test_body__files_match_the_attachments),
        cmocka_unit_test(test_body__kinds_keep_their_mandatory_fields),
        cmocka_unit_test(test_body__check_asks_or_answers),
        cmocka_unit_test(test_stix__bundle_rules),
        cmocka_unit_test(test_stix__strictest_marking_found),
        cmocka_unit_test(test_body__allocation_failure_leaks_nothing),
        cmocka_unit_test(test_kinds__allocation_failure_leaks_nothing),
    };
    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s EXAMPLES_FOLDER SCHEMAS_FOLDER\n", argv[0]);
        return 2;
    }
    examples_folder = argv[1];
    schemas_folder = argv[2];
    return cmocka_run_group_tests(tests, start, stop);
}
