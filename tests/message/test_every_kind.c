/* Rules that hold for every kind alike: its row, its schema, its example, and what errors say. */
#include "bodies.h"

#include "base/alloc.h"
#include "base/file.h"

static const char *examples_folder;
static ent_kinds *kinds;

/* --- the table --- */

typedef bool flag_of(const ent_kind *kind);

static bool is_before_open(const ent_kind *kind)
{
    return kind->before_open;
}
static bool is_by_node(const ent_kind *kind)
{
    return kind->by_node;
}
static bool is_by_neutral(const ent_kind *kind)
{
    return kind->by_neutral;
}
static bool needs_neutral(const ent_kind *kind)
{
    return kind->needs_neutral;
}
static bool needs_reply_to(const ent_kind *kind)
{
    return kind->needs_reply_to;
}
static bool needs_text(const ent_kind *kind)
{
    return kind->needs_text;
}
static bool answers_own(const ent_kind *kind)
{
    return kind->answers_own;
}
static bool passes_while_suspended(const ent_kind *kind)
{
    return kind->while_suspended;
}

/* Words between spaces; "family." stands for the whole family. */
static bool listed(const char *list, const char *name)
{
    const char *dot = strchr(name, '.');
    assert_non_null(dot);
    size_t family = (size_t)(dot - name) + 1;
    for (const char *word = list; *word != 0;) {
        size_t size = strcspn(word, " ");
        if ((size == family || size == strlen(name)) && strncmp(word, name, size) == 0)
            return true;
        word += size + strspn(word + size, " ");
    }
    return false;
}

static void test_every_kind__flags_are_those_of_the_design(void **state)
{
    (void)state;
    static const struct {
        flag_of *has;
        const char *word;
        const char *kinds;
    } rows[] = {
        {is_before_open, "before_open", "channel.genesis contact.check"},
        {is_by_node, "by_node", "channel.genesis channel.notice channel.rotate evidence.held"},
        {is_by_neutral, "by_neutral", "neutral."},
        {needs_neutral, "needs_neutral", "neutral. exchange."},
        {needs_reply_to, "needs_reply_to",
         "answer. proposal.counter proposal.accept proposal.reject proposal.withdraw incident.update "
         "consultation.record attribution.denial commitment.match commitment.fulfilment commitment.breach-claim "
         "correction. channel.resume channel.consent channel.override channel.reveal channel.notice exchange.core "
         "exchange.manifest exchange.held exchange.abort"},
        {answers_own, "answers_own",
         "incident. answer.status proposal.withdraw consultation. evidence.item commitment.fulfilment "
         "commitment.breach-claim correction. channel.resume channel.consent channel.override channel.reveal "
         "channel.escalation exchange."},
        {needs_text, "needs_text",
         "incident. request. answer.response proposal.proposal proposal.counter consultation.record attribution. "
         "correction. channel.suspend"},
        {passes_while_suspended, "while_suspended",
         "contact. channel.resume channel.suspend answer. incident.final correction. evidence.held channel.notice "
         "channel.rotate channel.consent channel.override channel.reveal"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t row = 0; row < ent_kind_count(); row++) {
            const ent_kind *kind = ent_kind_at(row);
            if (rows[i].has(kind) != listed(rows[i].kinds, kind->name))
                fail_msg("%s: %s is %d", kind->name, rows[i].word, rows[i].has(kind));
        }
    }
}

static void test_every_kind__flags_agree_with_each_other(void **state)
{
    (void)state;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const ent_kind *kind = ent_kind_at(row);
        bool stands_alone = strcmp(kind->name, "contact.check") == 0;
        size_t size = strlen(kind->summary);
        if (row > 0)
            assert_true(strcmp(ent_kind_at(row - 1)->name, kind->name) < 0);
        if (kind->starts_thread == kind->needs_reply_to)
            fail_msg("%s either starts a thread or must reply", kind->name);
        if ((kind->by_node || kind->by_neutral) && (kind->wants_answer || kind->is_answer))
            fail_msg("%s: no person says it, so nobody owes or gives an answer", kind->name);
        if (kind->by_node && kind->by_neutral)
            fail_msg("%s: said by the node or by the neutral", kind->name);
        if (kind->is_answer && kind->starts_thread != stands_alone)
            fail_msg("%s: an answer names what it answers", kind->name);
        if (size < 20 || size > 160 || kind->summary[size - 1] != '.')
            fail_msg("%s: the summary is a sentence", kind->name);
        assert_true(strlen(kind->title) <= 48);
    }
}

static void test_every_kind__asks_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        bool has_reply_to;
        bool asks;
    } rows[] = {
        {"contact.check", false, true},          {"contact.check", true, false},
        {"proposal.counter", true, true},        {"request.surrender", false, true},
        {"incident.notification", true, true},   {"correction.recall", true, true},
        {"answer.response", true, false},        {"feed.indicators", false, false},
        {"answer.acknowledgement", true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ent_entry entry = {.kind = ent_text_of(rows[i].kind), .has_reply_to = rows[i].has_reply_to};
        assert_int_equal(ent_kind_asks(ent_kind_find(entry.kind), &entry), rows[i].asks);
    }
}

/* --- schemas --- */

static ent_schema *compiled(ent_json_value schema)
{
    ent_buf text = {0};
    ent_schema *ret = NULL;
    ent_json_put_value(&text, schema);
    assert_int_equal(ent_schema_compile(ent_buf_text(&text), &ret, NULL).code, ENT_OK);
    ent_buf_release(&text);
    return ret;
}

/* "Forms, docs and validation come from the same file": every field is named, described and shown, and what is shown is
 * valid. */
static void require_shown(const char *kind, const char *name, ent_json_value schema)
{
    ent_json_value properties = ent_json_get(schema, "properties");
    ent_json_value inner = ent_json_get(ent_json_get(schema, "items"), "properties");
    ent_json_value examples = ent_json_get(schema, "examples");
    if (ent_json_string(ent_json_get(schema, "title")).size == 0 ||
        ent_json_string(ent_json_get(schema, "description")).size == 0)
        fail_msg("%s: %s has no title or no description", kind, name);
    if (ent_json_count(properties) == 0 && ent_json_count(inner) == 0 && ent_json_count(examples) == 0)
        fail_msg("%s: %s has no example", kind, name);
    ent_schema *rules = compiled(schema);
    for (ent_json_iter i = ent_json_iterate(examples); ent_json_next(&i);) {
        ent_err err = {0};
        if (ent_schema_check(rules, i.value, name, &err).code != ENT_OK)
            fail_msg("%s: example of %s: %s", kind, name, err.text);
    }
    ent_schema_free(rules);
    for (int part = 0; part < 2; part++) {
        for (ent_json_iter i = ent_json_iterate(part == 0 ? properties : inner); ent_json_next(&i);) {
            char path[PATH_SIZE];
            path_member(path, name, i.key);
            require_shown(kind, path, i.value);
        }
    }
}

static void test_every_kind__fields_are_described_and_their_examples_valid(void **state)
{
    (void)state;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const ent_kind *kind = ent_kind_at(row);
        ent_json *document = parsed(ent_kind_schema(kind));
        require_shown(kind->name, "fields", ent_json_root(document));
        ent_text title = ent_json_string(ent_json_get(ent_json_root(document), "title"));
        if (!ent_text_is(title, kind->title))
            fail_msg("%s: the schema calls it \"%.*s\", the table \"%s\"", kind->name, ENT_TEXT_ARG(title),
                     kind->title);
        ent_json_free(document);
    }
}

/* A value with every field that a schema knows, made of the schema's own examples. */
static void put_sample(ent_buf *buf, ent_json_value schema)
{
    ent_json_value properties = ent_json_get(schema, "properties");
    ent_json_iter examples = ent_json_iterate(ent_json_get(schema, "examples"));
    if (ent_json_present(properties)) {
        const char *comma = "";
        ent_buf_put_string(buf, "{");
        for (ent_json_iter i = ent_json_iterate(properties); ent_json_next(&i); comma = ",") {
            ent_buf_put_format(buf, "%s\"%.*s\":", comma, ENT_TEXT_ARG(i.key));
            put_sample(buf, i.value);
        }
        ent_buf_put_string(buf, "}");
    } else if (ent_json_next(&examples)) {
        ent_json_put_value(buf, examples.value);
    } else {
        uint64_t count = 1;
        (void)ent_json_unsigned(ent_json_get(schema, "minItems"), 8, &count);
        ent_buf_put_string(buf, "[");
        for (uint64_t i = 0; i < count; i++) {
            ent_buf_put_string(buf, i == 0 ? "" : ",");
            put_sample(buf, ent_json_get(schema, "items"));
        }
        ent_buf_put_string(buf, "]");
    }
}

typedef struct {
    const char *kind;
    const ent_schema *schema;
    ent_text sample;
    size_t refused; /* how many changes were tried */
} trial;

/* The sample with this change is refused, and the error says where and the rest. */
static void refuse(trial *work, edit change, const char *said)
{
    ent_err err = {0};
    char where[PATH_SIZE];
    (void)snprintf(where, sizeof where, "fields.%s: ", change.path);
    ent_buf json = edited(work->sample, change);
    ent_json *document = parsed(ent_buf_text(&json));
    int code = ent_schema_check(work->schema, ent_json_root(document), "fields", &err).code;
    if (code != ENT_PEER_INVALID)
        fail_msg("%s: %s = %s is taken", work->kind, change.path, change.value == NULL ? "nothing" : change.value);
    if (!ent_text_starts(ent_text_of(err.text), ent_text_of(where)) || strstr(err.text, said) == NULL)
        fail_msg("%s: \"%s\" does not say %s%s", work->kind, err.text, where, said);
    ent_json_free(document);
    ent_buf_release(&json);
    work->refused++;
}

static void break_field(trial *work, const char *path, ent_json_value schema)
{
    ent_json_value words = ent_json_get(schema, "enum");
    ent_text type = ent_json_string(ent_json_get(schema, "type"));
    assert_true(type.size > 0);
    if (ent_json_present(words)) {
        for (ent_json_iter i = ent_json_iterate(words); ent_json_next(&i);) {
            char word[64];
            (void)snprintf(word, sizeof word, "%.*s", ENT_TEXT_ARG(ent_json_string(i.value)));
            if (ent_json_count(words) <= 16)
                refuse(work, (edit){path, "\"No-Such\""}, word);
        }
        refuse(work, (edit){path, "\"No-Such\""}, "\"No-Such\" is not allowed; allowed: ");
        refuse(work, (edit){path, "7"}, "an integer given; allowed: ");
    } else if (ent_text_is(type, "string")) {
        refuse(work, (edit){path, "7"}, "an integer given, expected a string");
        if (ent_json_present(ent_json_get(schema, "minLength")))
            refuse(work, (edit){path, "\"\""}, "is empty, at least ");
        else if (ent_json_present(ent_json_get(schema, "format")))
            refuse(work, (edit){path, "\"%\""}, "\"%\" given, expected a");
    } else {
        refuse(work, (edit){path, "\"x\""}, "a string given, expected ");
    }
}

static void break_all(trial *work, const char *path, ent_json_value schema)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(schema, "required")); ent_json_next(&i);) {
        char inner[PATH_SIZE];
        path_member(inner, path, ent_json_string(i.value));
        refuse(work, (edit){inner, NULL}, "is required and missing; ");
    }
    for (ent_json_iter i = ent_json_iterate(ent_json_get(schema, "properties")); ent_json_next(&i);) {
        char inner[PATH_SIZE];
        char element[PATH_SIZE + 4];
        path_member(inner, path, i.key);
        break_field(work, inner, i.value);
        break_all(work, inner, i.value);
        ent_json_value items = ent_json_get(i.value, "items");
        if (!ent_json_present(items))
            continue;
        (void)snprintf(element, sizeof element, "%s[0]", inner);
        break_field(work, element, items);
        break_all(work, element, items);
    }
}

static void test_every_kind__wrong_field_named_with_what_is_allowed(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const ent_kind *kind = ent_kind_at(row);
        ent_json *document = parsed(ent_kind_schema(kind));
        ent_buf sample = {0};
        ent_err err = {0};
        put_sample(&sample, ent_json_root(document));
        ent_schema *schema = compiled(ent_json_root(document));
        ent_json *whole = parsed(ent_buf_text(&sample));
        if (ent_schema_check(schema, ent_json_root(whole), "fields", &err).code != ENT_OK)
            fail_msg("%s: its fields' examples together: %s", kind->name, err.text);
        trial work = {.kind = kind->name, .schema = schema, .sample = ent_buf_text(&sample)};
        break_all(&work, "", ent_json_root(document));
        refused += work.refused;
        ent_json_free(whole);
        ent_schema_free(schema);
        ent_buf_release(&sample);
        ent_json_free(document);
    }
    assert_true(refused > 1000);
}

/* --- examples --- */

static void test_every_kind__example_is_the_file_and_passes(void **state)
{
    (void)state;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const ent_kind *kind = ent_kind_at(row);
        char name[ENT_KIND_MAX_BYTES + 6];
        ent_buf text = {0};
        ent_err err = {0};
        (void)snprintf(name, sizeof name, "%s.json", kind->name);
        char *path = ent_file_join(examples_folder, name);
        assert_int_equal(ent_file_read(path, 1 << 20, &text, &err).code, ENT_OK);
        assert_true(ent_text_is(ent_buf_text(&text), ent_kind_example(kind)));
        if (body_code(kinds, kind->name, ent_buf_bytes(&text), &err) != ENT_OK)
            fail_msg("%s: %s", kind->name, err.text);
        ent_buf_release(&text);
        ent_free(path);
    }
}

static void test_every_kind__required_field_taken_from_the_example_is_named(void **state)
{
    (void)state;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const ent_kind *kind = ent_kind_at(row);
        ent_json *document = parsed(ent_kind_schema(kind));
        ent_json_value required = ent_json_get(ent_json_root(document), "required");
        for (ent_json_iter i = ent_json_iterate(required); ent_json_next(&i);) {
            char path[PATH_SIZE];
            path_member(path, "fields", ent_json_string(i.value));
            refuse_edited(kinds, kind->name, (edit){path, NULL}, path, "is required and missing");
        }
        refuse_edited(kinds, kind->name, (edit){"fields", NULL}, "fields", "is required and missing");
        if (kind->needs_text) {
            refuse_edited(kinds, kind->name, (edit){"text", NULL}, "text: ", kind->name);
            refuse_edited(kinds, kind->name, (edit){"text", "{}"}, "text: ", kind->name);
            refuse_edited(kinds, kind->name, (edit){"authentic", NULL}, "authentic: ", "text");
            refuse_edited(kinds, kind->name, (edit){"authentic", "\"fi\""}, "authentic: ", "\"fi\"");
        }
        ent_json_free(document);
    }
}

static void test_every_kind__unknown_fields_and_members_kept(void **state)
{
    (void)state;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const char *kind = ent_kind_at(row)->name;
        ent_body body = {0};
        ent_err err = {0};
        ent_buf one = edited(example_of(kind), (edit){"fields.x_new", "{\"a\":[1,null]}"});
        ent_buf two = edited(ent_buf_text(&one), (edit){"x_newer", "7"});
        if (ent_body_parse(kinds, ent_text_of(kind), ent_buf_bytes(&two), 0, &body, &err).code != ENT_OK)
            fail_msg("%s: %s", kind, err.text);
        uint64_t number = 0;
        assert_int_equal(ent_json_count(ent_json_get(ent_json_get(body.fields, "x_new"), "a")), 2);
        assert_true(ent_json_unsigned(ent_json_get(ent_json_root(body.document), "x_newer"), 9, &number));
        assert_int_equal(number, 7);
        ent_body_release(&body);
        ent_buf_release(&one);
        ent_buf_release(&two);
    }
}

static void test_every_kind__unknown_kind_held_to_the_envelope_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"incident.notifications", "newer.kind", "incident.early", "answer"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ent_err err = {0};
        assert_null(ent_kind_find(ent_text_of(names[i])));
        assert_int_equal(body_code(kinds, names[i], ent_text_bytes(ENT_TEXT("{\"fields\":{\"severity\":[]}}")), &err),
                         ENT_OK);
        assert_int_equal(body_code(kinds, names[i], ent_text_bytes(ENT_TEXT("{\"fields\":7}")), &err),
                         ENT_PEER_INVALID);
    }
}

/* Texts in languages, written from right to left and in other scripts, come out byte for byte. */
static void test_every_kind__texts_in_many_languages_kept(void **state)
{
    (void)state;
    size_t several = 0;
    size_t arabic = 0;
    size_t russian = 0;
    for (size_t row = 0; row < ent_kind_count(); row++) {
        const char *kind = ent_kind_at(row)->name;
        const char *example = ent_kind_example(ent_kind_at(row));
        ent_body body = {0};
        assert_int_equal(
            ent_body_parse(kinds, ent_text_of(kind), ent_text_bytes(ent_text_of(example)), 0, &body, NULL).code,
            ENT_OK);
        for (ent_json_iter i = ent_json_iterate(body.text); ent_json_next(&i);) {
            char text[8192];
            ent_text words = ent_json_string(i.value);
            (void)snprintf(text, sizeof text, "%.*s", ENT_TEXT_ARG(words));
            if (memchr(words.data, '\n', words.size) == NULL && memchr(words.data, '"', words.size) == NULL)
                assert_non_null(strstr(example, text));
            arabic += ent_text_is(i.key, "ar") && ent_text_equal(i.key, body.authentic);
            russian += ent_text_is(i.key, "ru") && ent_text_equal(i.key, body.authentic);
        }
        several += ent_json_count(body.text) > 1;
        ent_body_release(&body);
    }
    assert_true(several >= 5);
    assert_true(arabic >= 1 && russian >= 1);
}

/* Overrides of direction, characters without width and controls are the writer's: bodies keep them, whoever shows them
 * escapes them. */
static void test_every_kind__characters_that_do_not_show_kept(void **state)
{
    (void)state;
    static const char words[] = "a\xe2\x80\xae"
                                "b\xe2\x80\x8b"
                                "c\xe2\x81\xa6\x01\x1b[2J\x7f\xc2\x9b\xef\xbb\xbf";
    static const char json[] = "{\"fields\":{\"title\":\"t\",\"status\":\"ongoing\",\"x\":\"\xe2\x80\xae\"},\"text\":{"
                               "\"ar\":\"a\xe2\x80\xae"
                               "b\xe2\x80\x8b"
                               "c\xe2\x81\xa6\\u0001\\u001b[2J\x7f\xc2\x9b\xef\xbb\xbf\"},\"authentic\":\"ar\"}";
    ent_body body = {0};
    assert_int_equal(ent_body_parse(kinds, ENT_TEXT("incident.update"),
                                    (ent_bytes){(const uint8_t *)json, sizeof json - 1}, 0, &body, NULL)
                         .code,
                     ENT_OK);
    assert_true(ent_text_is(ent_json_string(ent_json_get(body.text, "ar")), words));
    assert_true(ent_text_is(ent_json_string(ent_json_get(body.fields, "x")), "\xe2\x80\xae"));
    ent_body_release(&body);
}

/* The two agreements beside the examples are what the examples of genesis and amendment hold; when one of them changes,
 * its base64 and the commitment go into the example anew. */
static void test_every_kind__amendment_example_replaces_the_genesis_example(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"channel.genesis", "terms.json"},
                                          {"channel.amendment", "terms-extended.json"}};
    ent_hash commitment;
    for (size_t i = 0; i < 2; i++) {
        ent_body body = {0};
        ent_buf terms = {0};
        ent_buf expected = {0};
        uint8_t salt[ENT_TERMS_SALT_SIZE];
        char *path = ent_file_join(examples_folder, rows[i][1]);
        assert_int_equal(ent_file_read(path, 1 << 20, &expected, NULL).code, ENT_OK);
        assert_int_equal(
            ent_body_parse(kinds, ent_text_of(rows[i][0]), ent_text_bytes(example_of(rows[i][0])), 0, &body, NULL).code,
            ENT_OK);
        assert_int_equal(ent_body_terms(&body, salt, &terms, NULL).code, ENT_OK);
        assert_true(ent_bytes_equal(ent_buf_bytes(&terms), ent_buf_bytes(&expected)));
        if (i == 1) {
            char hex[2 * ENT_HASH_SIZE + 1];
            ent_hex_encode(ent_hash_bytes(&commitment), hex);
            assert_true(ent_text_is(ent_json_string(ent_json_get(body.fields, "replaces")), hex));
        }
        ent_terms_commitment(salt, ent_buf_bytes(&terms), &commitment);
        ent_body_release(&body);
        ent_buf_release(&terms);
        ent_buf_release(&expected);
        ent_free(path);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind__flags_are_those_of_the_design),
        cmocka_unit_test(test_every_kind__flags_agree_with_each_other),
        cmocka_unit_test(test_every_kind__asks_or_not),
        cmocka_unit_test(test_every_kind__fields_are_described_and_their_examples_valid),
        cmocka_unit_test(test_every_kind__wrong_field_named_with_what_is_allowed),
        cmocka_unit_test(test_every_kind__example_is_the_file_and_passes),
        cmocka_unit_test(test_every_kind__required_field_taken_from_the_example_is_named),
        cmocka_unit_test(test_every_kind__unknown_fields_and_members_kept),
        cmocka_unit_test(test_every_kind__unknown_kind_held_to_the_envelope_alone),
        cmocka_unit_test(test_every_kind__texts_in_many_languages_kept),
        cmocka_unit_test(test_every_kind__characters_that_do_not_show_kept),
        cmocka_unit_test(test_every_kind__amendment_example_replaces_the_genesis_example),
    };
    if (argc < 2)
        return 2;
    examples_folder = argv[1];
    return cmocka_run_group_tests(tests, start, stop);
}
