/* Agreements: what is taken, what is refused and with which words, what an agreement answers, and what a change reads
 * like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "ledger/agreement.h"

static const char *examples_folder;

/* A complete agreement; a test replaces one member. */
static const struct {
    const char *key;
    const char *value;
} members[] = {
    {"title", "\"Arrangement\""},
    {"parties", "[\"boreal.example\",\"aurora.example\"]"},
    {"validity", "{\"from\":\"2021-01-01T00:00:00Z\",\"until\":\"2022-01-01T00:00:00Z\","
                 "\"extension\":{\"by_days\":365,\"unless_declined_days_before\":90}}"},
    {"deadlines", "[{\"kind\":\"request.information\",\"urgency\":\"immediate\",\"acknowledge_s\":3600,"
                  "\"answer_s\":86400},"
                  "{\"kind\":\"request.information\",\"urgency\":\"priority\",\"acknowledge_s\":36000,"
                  "\"answer_s\":180000,\"in_service_hours\":true},"
                  "{\"kind\":\"incident.early-warning\",\"urgency\":\"routine\",\"notification_s\":172800,"
                  "\"answer_s\":null},"
                  "{\"kind\":\"incident.notification\",\"urgency\":\"flash\",\"final_s\":2592000}]"},
    {"protected_systems", "[{\"id\":\"health\",\"name\":\"Hospitals\",\"urgency_floor\":\"immediate\"},"
                          "{\"id\":\"food\",\"name\":\"Food\",\"urgency_floor\":\"priority\"}]"},
    {"reciprocity", "[{\"class\":\"information\",\"kinds\":[\"request.information\",\"incident.notification\"],"
                    "\"hold_back_at_balance\":5},"
                    "{\"class\":\"assistance\",\"kinds\":[\"request.assistance\"],\"hold_back_at_balance\":null}]"},
    {"threat_level", "{\"window_s\":2592000,\"severity_weights\":{\"low\":1,\"medium\":3,\"high\":8,\"critical\":20},"
                     "\"levels\":[{\"name\":\"guarded\",\"from\":0},{\"name\":\"elevated\",\"from\":10}]}"},
    {"two_officers", "[\"request.surrender\",\"channel.override\"]"},
    {"retention", "{\"entries_days\":3650,\"bodies_days\":3650,\"attachments_days\":1095}"},
    {"service_hours", "{\"boreal.example\":[{\"days\":[\"mon\",\"tue\"],\"from\":\"05:00\",\"until\":\"15:00\"},"
                      "{\"days\":[\"sun\"],\"from\":\"20:00\",\"until\":\"24:00\"}]}"},
    {"suspension", "{\"freezes_deadlines\":false}"},
    {"comm_checks", "{\"every_s\":86400,\"reply_within_s\":3600}"},
    {"languages", "[\"ru\",\"en\"]"},
};

/* The agreement with one member replaced (NULL value = left out, NULL key = as it is). */
static void put_terms(ent_buf *buf, const char *key, const char *value)
{
    const char *comma = "{";
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *given = key != NULL && strcmp(members[i].key, key) == 0 ? value : members[i].value;
        if (given == NULL)
            continue;
        ent_buf_put_format(buf, "%s\"%s\":", comma, members[i].key);
        ent_buf_put_string(buf, given);
        comma = ",";
    }
    ent_buf_put_string(buf, "}");
}

static ent_agreement *parsed(ent_bytes terms)
{
    ent_agreement *agreement = NULL;
    ent_err err = {0};
    if (ent_agreement_parse(terms, &agreement, &err).code != ENT_OK)
        fail_msg("refused: %s: %.*s", err.text, (int)terms.size, (const char *)terms.data);
    return agreement;
}

static ent_agreement *with(const char *key, const char *value)
{
    ent_buf terms = {0};
    put_terms(&terms, key, value);
    ent_agreement *agreement = parsed(ent_buf_bytes(&terms));
    ent_buf_release(&terms);
    return agreement;
}

static void assert_refused(ent_bytes terms, int code, const char *words)
{
    ent_agreement *agreement = (ent_agreement *)&members; /* stays as it is */
    ent_err err = {0};
    int given = ent_agreement_parse(terms, &agreement, &err).code;
    if (given != code || strstr(err.text, words) == NULL)
        fail_msg("expected \"%s\", got %s \"%s\"", words, ent_code_word(given), err.text);
    assert_ptr_equal(agreement, &members);
    assert_int_equal(err.code, code);
}

static void assert_invalid(const char *key, const char *value, const char *words)
{
    ent_buf terms = {0};
    put_terms(&terms, key, value);
    assert_refused(ent_buf_bytes(&terms), ENT_PEER_INVALID, words);
    ent_buf_release(&terms);
}

static void assert_text(ent_text text, const char *expected)
{
    if (!ent_text_is(text, expected))
        fail_msg("%.*s is not %s", ENT_TEXT_ARG(text), expected);
}

/* --- what is taken --- */

static void test_agreement__every_member_taken(void **state)
{
    (void)state;
    ent_agreement *a = with(NULL, NULL);
    assert_text(a->title, "Arrangement");
    assert_int_equal(a->party_count, 2);
    assert_text(a->parties[0], "aurora.example");
    assert_int_equal(a->from_unix_s, 1609459200);
    assert_int_equal(a->until_unix_s, 1640995200);
    assert_true(a->has_extension && a->extension_days == 365 && a->decline_days == 90);
    assert_int_equal(a->deadline_count, 4);
    assert_text(a->deadlines[0].kind, "incident.early-warning");
    assert_int_equal(a->deadlines[0].deadlines.notification_s, 172800);
    assert_int_equal(a->deadlines[1].deadlines.final_s, 2592000);
    assert_int_equal(a->deadlines[2].urgency, ENT_URGENCY_PRIORITY);
    assert_true(a->deadlines[2].deadlines.in_service_hours);
    assert_false(a->deadlines[3].deadlines.in_service_hours);
    assert_int_equal(a->protected_count, 2);
    assert_text(a->protected_systems[0].id, "food");
    assert_text(a->classes[0].name, "information");
    assert_int_equal(a->classes[0].hold_back_at_balance, 5);
    assert_int_equal(a->classes[1].hold_back_at_balance, 0);
    assert_true(a->has_threat_level && a->window_s == 2592000 && a->level_count == 2);
    assert_true(a->has_retention && a->entries_days == 3650 && a->bodies_days == 3650 && a->attachments_days == 1095);
    assert_true(a->check_every_s == 86400 && a->check_reply_within_s == 3600);
    assert_int_equal(a->language_count, 2);
    assert_int_equal(a->unknown_count, 0);
    ent_agreement_free(a);
}

static void test_agreement__least_taken(void **state)
{
    (void)state;
    ent_agreement *a = parsed(ent_text_bytes(ENT_TEXT(
        "{\"title\":\"t\",\"parties\":[\"a.example\",\"b.example\"],\"deadlines\":[],"
        "\"validity\":{\"from\":\"2021-01-01T00:00:00Z\",\"until\":\"2021-01-01T00:00:01Z\",\"extension\":null}}")));
    assert_false(a->has_extension || a->has_threat_level || a->has_retention);
    assert_true(a->freezes_deadlines);
    assert_int_equal(a->check_every_s, 0);
    assert_null(ent_agreement_service_hours(a, ENT_TEXT("a.example")));
    assert_null(ent_agreement_level(a, 5).data);
    assert_int_equal(ent_agreement_end(a, INT64_MAX, INT64_MAX), a->until_unix_s);
    ent_agreement_free(a);
}

static ent_agreement *example(const char *name)
{
    ent_buf terms = {0};
    char *path = ent_file_join(examples_folder, name);
    assert_int_equal(ent_file_read(path, ENT_JSON_MAX_BYTES, &terms, NULL).code, ENT_OK);
    ent_agreement *a = parsed(ent_buf_bytes(&terms));
    ent_free(path);
    ent_buf_release(&terms);
    return a;
}

static void test_agreement__examples_taken(void **state)
{
    (void)state;
    ent_agreement *a = example("terms.json");
    ent_agreement *b = example("terms-extended.json");
    ent_buf lines = {0};
    assert_int_equal(a->unknown_count, 0);
    assert_int_equal(b->unknown_count, 0);
    assert_int_equal(ent_agreement_diff(a, b, &lines, NULL).code, ENT_OK);
    assert_text(ent_buf_text(&lines), "in force until: 2036-01-01T00:00:00Z -> 2041-01-01T00:00:00Z\n");
    ent_buf_release(&lines);
    ent_agreement_free(a);
    ent_agreement_free(b);
}

static void test_agreement__unknown_members_kept_and_listed(void **state)
{
    (void)state;
    ent_agreement *a = with("retention", "{\"entries_days\":1,\"bodies_days\":1,\"attachments_days\":1,\"tapes\":[{}]},"
                                         "\"con\\u0001tact\":\"around the clock\"");
    assert_int_equal(a->unknown_count, 2);
    assert_text(a->unknown[0].path, "retention.tapes");
    assert_text(a->unknown[1].path, "con?tact");
    ent_agreement_free(a);
    a = with("deadlines", "[{\"kind\":\"request.information\",\"urgency\":\"flash\",\"tone\":1}]");
    assert_int_equal(a->unknown_count, 1);
    assert_text(a->unknown[0].path, "deadlines[0].tone");
    ent_agreement_free(a);
    a = with("service_hours", "{\"aurora.example\":[{\"days\":[\"mon\"],\"from\":\"00:00\",\"until\":\"24:00\","
                              "\"zone\":\"UTC\"}]}");
    assert_int_equal(a->unknown_count, 1);
    assert_text(a->unknown[0].path, "service_hours.aurora.example[0].zone");
    ent_agreement_free(a);
}

static void test_agreement__too_many_unknown_members_refused(void **state)
{
    (void)state;
    for (size_t count = ENT_AGREEMENT_MAX_UNKNOWN; count <= ENT_AGREEMENT_MAX_UNKNOWN + 1; count++) {
        ent_buf value = {0};
        ent_buf_put_string(&value, "[]");
        for (size_t i = 0; i < count; i++)
            ent_buf_put_format(&value, ",\"x%zu\":%zu", i, i);
        if (count > ENT_AGREEMENT_MAX_UNKNOWN)
            assert_invalid("languages", ent_buf_string(&value), "x256: more than 256 members");
        else
            ent_agreement_free(with("languages", ent_buf_string(&value)));
        ent_buf_release(&value);
    }
}

/* --- what is refused --- */

static void test_agreement__no_json_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"", "terms", "{\"title\":", "{\"title\":\"\xff\"}", "{} {}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(ent_text_bytes(ent_text_of(texts[i])), ENT_PEER_MALFORMED, "");
    assert_refused(ent_text_bytes(ENT_TEXT("{\"title\":\"a\",\"title\":\"b\"}")), ENT_PEER_MALFORMED, "title");
    assert_refused(ent_text_bytes(ENT_TEXT("[]")), ENT_PEER_INVALID, "an array given, expected an object");
    assert_refused(ent_text_bytes(ENT_TEXT("null")), ENT_PEER_INVALID, "expected an object");
    assert_refused(ent_bytes_of(NULL, 0), ENT_PEER_MALFORMED, "");
}

static void test_agreement__missing_members_named(void **state)
{
    (void)state;
    assert_invalid("title", NULL, "title: is required and missing");
    assert_invalid("parties", NULL, "parties: is required and missing");
    assert_invalid("validity", NULL, "validity: is required and missing");
    assert_invalid("deadlines", NULL, "deadlines: is required and missing");
    assert_invalid("title", "7", "title: an integer given, expected a string");
    assert_invalid("title", "\"\"", "title: is empty");
    assert_invalid("title", "\"a\\u0007b\"", "title: \"a?b\" given, expected a text without control characters");
}

#define ROW(rest) "[{\"kind\":\"request.information\",\"urgency\":\"flash\"," rest "}]"

static void test_agreement__bad_deadline_seconds_refused(void **state)
{
    (void)state;
    const char *const columns[] = {"acknowledge_s", "answer_s", "notification_s", "final_s"};
    static const struct {
        const char *value;
        const char *words;
    } rows[] = {
        {"0", ": 0 is less than the least, 1"},
        {"-1", ": -1 is less than the least, 1"},
        {"-9223372036854775808", "is less than the least, 1"},
        {"2147483648", ": 2147483648 is more than the most, 2147483647"},
        {"18446744073709551615", "is more than the most, 2147483647"},
        {"1e3", "a number given, expected an integer"},
        {"1.5", "a number given, expected an integer"},
        {"\"60\"", "a string given, expected an integer"},
        {"true", "true or false given, expected an integer"},
    };
    char row[256];
    char words[256];
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            (void)snprintf(row, sizeof row, ROW("\"%s\":%s"), columns[c], rows[i].value);
            (void)snprintf(words, sizeof words, "deadlines[0].%s", columns[c]);
            assert_invalid("deadlines", row, words);
            assert_invalid("deadlines", row, rows[i].words);
        }
    }
    ent_agreement *a = with("deadlines", ROW("\"acknowledge_s\":1,\"answer_s\":2147483647"));
    assert_int_equal(a->deadlines[0].deadlines.answer_s, 2147483647);
    ent_agreement_free(a);
    /* Beyond 64 bits there is no integer at all; which of the two refusals it is, is the JSON parser's business. */
    ent_buf terms = {0};
    ent_agreement *none = NULL;
    put_terms(&terms, "deadlines", ROW("\"answer_s\":99999999999999999999999999"));
    assert_int_equal(ent_code_class(ent_agreement_parse(ent_buf_bytes(&terms), &none, NULL).code), ENT_CLASS_PEER);
    ent_buf_release(&terms);
}

static void test_agreement__contradicting_deadlines_refused(void **state)
{
    (void)state;
    assert_invalid("deadlines", "[{\"kind\":\"request.informaton\",\"urgency\":\"flash\"}]",
                   "deadlines[0].kind: \"request.informaton\" given, expected a kind that this version knows");
    assert_invalid("deadlines", "[{\"kind\":\"request.information\",\"urgency\":\"urgent\"}]",
                   "deadlines[0].urgency: \"urgent\" is not allowed; allowed: routine, priority, immediate, flash");
    assert_invalid("deadlines",
                   "[{\"kind\":\"request.information\",\"urgency\":\"flash\"},"
                   "{\"kind\":\"request.takedown\",\"urgency\":\"flash\"},"
                   "{\"kind\":\"request.information\",\"urgency\":\"flash\"}]",
                   "deadlines: request.information, flash: stands twice");
    assert_invalid(
        "deadlines",
        "[{\"kind\":\"request.information\",\"urgency\":\"flash\",\"answer_s\":61},"
        "{\"kind\":\"request.information\",\"urgency\":\"immediate\"},"
        "{\"kind\":\"request.information\",\"urgency\":\"routine\",\"answer_s\":60}]",
        "deadlines: request.information, immediate: answer_s: null given, expected at most 60, which routine "
        "has");
    assert_invalid("deadlines",
                   "[{\"kind\":\"request.information\",\"urgency\":\"flash\",\"acknowledge_s\":61},"
                   "{\"kind\":\"request.information\",\"urgency\":\"routine\",\"acknowledge_s\":60}]",
                   "deadlines: request.information, flash: acknowledge_s: 61 given, expected at most 60");
    assert_invalid("deadlines", ROW("\"acknowledge_s\":60,\"answer_s\":59"),
                   "deadlines: request.information, flash: answer_s: 59 given, expected at least acknowledge_s, 60");
    assert_invalid("deadlines",
                   "[{\"kind\":\"incident.early-warning\",\"urgency\":\"flash\",\"notification_s\":60,\"final_s\":59}]",
                   "final_s: 59 given, expected at least notification_s, 60");
    assert_invalid("deadlines", ROW("\"notification_s\":60"), "notification_s: 60 given, expected null");
    assert_invalid("deadlines", ROW("\"final_s\":60"), "final_s: 60 given, expected null");
    assert_invalid("service_hours", "{}",
                   "deadlines: request.information, priority: in_service_hours: true given, but no party has");
    assert_invalid("service_hours", NULL, "in_service_hours: true given, but no party has service_hours");
}

static void test_agreement__bad_validity_refused(void **state)
{
    (void)state;
#define VALID(from, until, rest) "{\"from\":\"" from "\",\"until\":\"" until "\"" rest "}"
#define Y21 "2021-01-01T00:00:00Z"
#define EXTENSION(by, before) ",\"extension\":{\"by_days\":" by ",\"unless_declined_days_before\":" before "}"
    assert_invalid("validity", VALID(Y21, Y21, ""),
                   "validity.until: \"" Y21 "\" given, expected a time after validity.from, \"" Y21 "\"");
    assert_invalid("validity", VALID(Y21, "2020-01-01T00:00:00Z", ""), "validity.until: \"2020-01-01T00:00:00Z\"");
    static const char *const bad[] = {"2016-12-31T23:59:60Z",
                                      "2021-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2021-13-01T00:00:00Z",
                                      "2021-06-31T00:00:00Z",
                                      "2021-01-01T24:00:00Z",
                                      "2021-01-01 00:00:00Z",
                                      "2021-01-01T00:00:00+00:00",
                                      "2021-01-01",
                                      "2021-01-01T00:00:00.5Z",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char value[160];
        char words[160];
        (void)snprintf(value, sizeof value, "{\"from\":\"%s\",\"until\":\"" Y21 "\"}", bad[i]);
        (void)snprintf(words, sizeof words, "validity.from: \"%s\" given, expected a UTC time that exists", bad[i]);
        assert_invalid("validity", value, words);
        (void)snprintf(value, sizeof value, "{\"from\":\"" Y21 "\",\"until\":\"%s\"}", bad[i]);
        assert_invalid("validity", value, "without leap seconds");
    }
    assert_invalid("validity", VALID(Y21, "2021-01-11T00:00:00Z", EXTENSION("5", "10")),
                   "validity.extension.unless_declined_days_before: 10 given, expected less than the whole validity");
    ent_agreement_free(with("validity", VALID(Y21, "2021-01-11T00:00:01Z", EXTENSION("5", "10"))));
    assert_invalid("validity", VALID(Y21, "2022-01-01T00:00:00Z", EXTENSION("0", "1")),
                   "validity.extension.by_days: 0 is less than the least, 1");
    assert_invalid("validity", VALID(Y21, "2022-01-01T00:00:00Z", EXTENSION("1", "-1")),
                   "validity.extension.unless_declined_days_before: -1 is less than the least, 0");
}

static void test_agreement__bad_parties_refused(void **state)
{
    (void)state;
    assert_invalid("parties", "[]", "parties: 0 elements, at least 2");
    assert_invalid("parties", "[\"aurora.example\"]", "parties: 1 elements, at least 2");
    assert_invalid("parties", "[\"aurora.example\",\"boreal.example\",\"aurora.example\"]",
                   "parties: \"aurora.example\" stands twice");
    assert_invalid("parties", "[\"aurora.example\",\"Boreal\"]", "parties[1]: \"Boreal\" given");
}

static void test_agreement__contradicting_rows_refused(void **state)
{
    (void)state;
    assert_invalid("protected_systems",
                   "[{\"id\":\"food\",\"name\":\"a\",\"urgency_floor\":\"flash\"},"
                   "{\"id\":\"food\",\"name\":\"b\",\"urgency_floor\":\"flash\"}]",
                   "protected_systems: the id \"food\" stands twice");
    assert_invalid("protected_systems", "[{\"id\":\"food\",\"name\":\"a\",\"urgency_floor\":\"never\"}]",
                   "protected_systems[0].urgency_floor: \"never\" is not allowed");
#define CLASS(name, kinds) "{\"class\":\"" name "\",\"kinds\":[" kinds "],\"hold_back_at_balance\":1}"
    assert_invalid("reciprocity", "[" CLASS("a", "\"request.takedown\"") "," CLASS("b", "\"request.takedown\"") "]",
                   "reciprocity: request.takedown stands in the classes \"a\" and \"b\"");
    assert_invalid("reciprocity", "[" CLASS("a", "\"request.takedown\"") "," CLASS("a", "\"request.assistance\"") "]",
                   "reciprocity: the class \"a\" stands twice");
    assert_invalid("reciprocity", "[" CLASS("a", "\"request.takedown\",\"request.takedown\"") "]",
                   "reciprocity: request.takedown stands twice in the class \"a\"");
    assert_invalid("reciprocity", "[" CLASS("a", "\"request.favour\"") "]",
                   "reciprocity[0].kinds[0]: \"request.favour\" given, expected a kind");
    assert_invalid("reciprocity", "[" CLASS("a", "") "]", "reciprocity[0].kinds: 0 elements, at least 1");
    assert_invalid("reciprocity", "[{\"class\":\"a\",\"kinds\":[\"request.takedown\"],\"hold_back_at_balance\":0}]",
                   "reciprocity[0].hold_back_at_balance: 0 is less than the least, 1");
    assert_invalid("two_officers", "[\"channel.override\",\"request.surrender\",\"channel.override\"]",
                   "two_officers: channel.override stands twice");
    assert_invalid("two_officers", "[\"request.surrender\",\"surrender\"]",
                   "two_officers[1]: \"surrender\" given, expected a kind");
    assert_invalid("two_officers", "[\"channel.notice\"]", "\"channel.notice\" given, which a node says by itself");
    assert_invalid("two_officers", "[\"neutral.release\"]", "\"neutral.release\" given, which only the neutral says");
}

static void test_agreement__contradicting_threat_level_refused(void **state)
{
    (void)state;
#define THREAT(window, low, medium, high, critical, levels)                                                            \
    "{\"window_s\":" window ",\"severity_weights\":{\"low\":" low ",\"medium\":" medium ",\"high\":" high              \
    ",\"critical\":" critical "},\"levels\":[" levels "]}"
#define LEVEL(name, from) "{\"name\":\"" name "\",\"from\":" from "}"
    assert_invalid("threat_level", THREAT("0", "1", "2", "3", "4", LEVEL("a", "0")),
                   "threat_level.window_s: 0 is less than the least, 1");
    assert_invalid("threat_level", THREAT("1", "2", "1", "3", "4", LEVEL("a", "0")),
                   "threat_level.severity_weights.medium: 1 given, expected at least 2, the weight of low");
    assert_invalid("threat_level", THREAT("1", "1", "2", "3", "2", LEVEL("a", "0")),
                   "threat_level.severity_weights.critical: 2 given, expected at least 3, the weight of high");
    assert_invalid("threat_level", THREAT("1", "-1", "2", "3", "4", LEVEL("a", "0")), "severity_weights.low: -1");
    assert_invalid("threat_level", THREAT("1", "1", "2", "3", "4", LEVEL("a", "1")),
                   "threat_level.levels[0].from: 1 given, expected 0");
    assert_invalid("threat_level",
                   THREAT("1", "1", "2", "3", "4", LEVEL("a", "0") "," LEVEL("b", "5") "," LEVEL("c", "5")),
                   "threat_level.levels[2].from: 5 given, expected more than 5");
    assert_invalid("threat_level", THREAT("1", "1", "2", "3", "4", LEVEL("a", "0") "," LEVEL("a", "5")),
                   "threat_level.levels[1].name: \"a\" given, which is the name of [0]");
    assert_invalid("threat_level", THREAT("1", "1", "2", "3", "4", ""), "threat_level.levels: 0 elements, at least 1");
    ent_agreement_free(with("threat_level", THREAT("1", "0", "0", "0", "0", LEVEL("a", "0"))));
}

static void test_agreement__contradicting_hours_refused(void **state)
{
    (void)state;
#define HOURS(days, from, until) "{\"days\":[" days "],\"from\":\"" from "\",\"until\":\"" until "\"}"
#define OF(rows) "{\"aurora.example\":[" rows "]}"
    assert_invalid("service_hours", "{\"carol.example\":[" HOURS("\"mon\"", "06:00", "16:00") "]}",
                   "service_hours: \"carol.example\" given, expected one of the parties: aurora.example, "
                   "boreal.example");
    assert_invalid("service_hours",
                   "{\"aurora.example\":[" HOURS("\"mon\"", "06:00", "16:00") "],\"boreal.example\":[" HOURS(
                       "\"mon\"", "06:00", "16:00") "],\"c\":[" HOURS("\"mon\"", "06:00", "16:00") "]}",
                   "service_hours: \"c\" given, expected one of the parties");
    assert_invalid("service_hours", "{\"contact_points\":\"around the clock\"}",
                   "service_hours.contact_points: a string given, expected an array");
    assert_invalid("service_hours", OF(""), "service_hours.aurora.example: 0 elements, at least 1");
    assert_invalid("service_hours", OF(HOURS("", "06:00", "16:00")), "[0].days: 0 elements, at least 1");
    assert_invalid("service_hours", OF(HOURS("\"mon\"", "06:00", "06:00")),
                   "service_hours.aurora.example[0].until: \"06:00\" given, expected later than from, \"06:00\"");
    assert_invalid("service_hours", OF(HOURS("\"mon\"", "22:00", "06:00")), "a span over midnight is two rows");
    assert_invalid("service_hours", OF(HOURS("\"mon\"", "06:00", "16:00") "," HOURS("\"mon\"", "15:59", "17:00")),
                   "service_hours.aurora.example: two rows overlap on mon at 15:59");
    assert_invalid("service_hours", OF(HOURS("\"tue\",\"tue\"", "06:00", "16:00")), "two rows overlap on tue at 06:00");
    assert_invalid("service_hours", OF(HOURS("\"monday\"", "06:00", "16:00")), "\"monday\" is not allowed");
    static const char *const bad[] = {"6:00", "24:01", "25:00", "12:60", "12.00", "12:0x", "", "012:00", "-1:00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char value[160];
        (void)snprintf(value, sizeof value, OF(HOURS("\"mon\"", "%s", "16:00")), bad[i]);
        assert_invalid("service_hours", value, "[0].from: \"");
        (void)snprintf(value, sizeof value, OF(HOURS("\"mon\"", "00:00", "%s")), bad[i]);
        assert_invalid("service_hours", value, "expected HH:MM, 00:01 to 24:00 (UTC)");
    }
    assert_invalid("service_hours", OF(HOURS("\"mon\"", "24:00", "24:00")), "[0].from: \"24:00\" given");
}

static void test_agreement__bad_rest_refused(void **state)
{
    (void)state;
    assert_invalid("retention", "{\"entries_days\":1,\"bodies_days\":0,\"attachments_days\":1}",
                   "retention.bodies_days: 0 is less than the least, 1");
    assert_invalid("retention", "{\"entries_days\":1}", "retention.bodies_days: is required and missing");
    assert_invalid("suspension", "{\"freezes_deadlines\":\"yes\"}", "suspension.freezes_deadlines: a string given");
    assert_invalid("comm_checks", "{\"every_s\":0,\"reply_within_s\":1}", "comm_checks.every_s: 0 is less than");
    assert_invalid("comm_checks", "{\"every_s\":5}", "comm_checks.reply_within_s: is required and missing");
    assert_invalid("languages", "[\"english language\"]", "languages[0]: \"english language\" given");
}

static void test_agreement__eight_mebibytes_bounded(void **state)
{
    (void)state;
    for (int more = 0; more <= 1; more++) {
        ent_buf terms = {0};
        put_terms(&terms, "languages", "[],\"x\":\"");
        terms.size--; /* the brace */
        size_t fill = ENT_JSON_MAX_BYTES - terms.size - 2 + (size_t)more;
        uint8_t *room = ent_buf_reserve(&terms, fill);
        assert_non_null(room);
        memset(room, 'a', fill);
        terms.size += fill;
        ent_buf_put_string(&terms, "\"}");
        if (more == 1) {
            assert_refused(ent_buf_bytes(&terms), ENT_PEER_TOO_LARGE, "");
        } else {
            ent_agreement *a = parsed(ent_buf_bytes(&terms));
            assert_int_equal(a->unknown_count, 1);
            ent_agreement_free(a);
        }
        ent_buf_release(&terms);
    }
    ent_buf rows = {0};
    ent_buf_put_string(&rows, "[{}");
    while (rows.size < ENT_JSON_MAX_BYTES - 8192)
        ent_buf_put_string(&rows, ",{}");
    ent_buf_put_string(&rows, "]");
    assert_invalid("deadlines", ent_buf_string(&rows), "elements, at most 1024");
    ent_buf_release(&rows);
}

static void test_agreement__each_failed_allocation_survived(void **state)
{
    (void)state;
    ent_buf terms = {0};
    put_terms(&terms, "languages", "[\"en\"],\"x\":1");
    for (unsigned long nth = 1; nth < 100000; nth++) {
        ent_agreement *agreement = NULL;
        ent_err err = {0};
        ent_alloc_fail_at(nth);
        int code = ent_agreement_parse(ent_buf_bytes(&terms), &agreement, &err).code;
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_int_equal(code, ENT_OK);
            ent_agreement_free(agreement);
            ent_buf_release(&terms);
            return;
        }
        assert_int_equal(code, ENT_NOMEM);
        assert_null(agreement);
    }
    fail_msg("never finished");
}

/* --- what it answers --- */

static void test_agreement__row_of_the_highest_urgency_not_above(void **state)
{
    (void)state;
    ent_agreement *a = with(NULL, NULL);
    const ent_text kind = ENT_TEXT("request.information");
    assert_int_equal(ent_agreement_deadlines(a, kind, ENT_URGENCY_FLASH).answer_s, 86400);
    assert_int_equal(ent_agreement_deadlines(a, kind, ENT_URGENCY_IMMEDIATE).answer_s, 86400);
    assert_int_equal(ent_agreement_deadlines(a, kind, ENT_URGENCY_PRIORITY).answer_s, 180000);
    /* Below every row: that of the lowest urgency. */
    assert_int_equal(ent_agreement_deadlines(a, kind, ENT_URGENCY_ROUTINE).answer_s, 180000);
    assert_true(ent_agreement_deadlines(a, kind, ENT_URGENCY_ROUTINE).found);
    assert_int_equal(ent_agreement_deadlines(a, ENT_TEXT("incident.notification"), ENT_URGENCY_ROUTINE).final_s,
                     2592000);
    assert_false(ent_agreement_deadlines(a, ENT_TEXT("request.takedown"), ENT_URGENCY_FLASH).found);
    assert_false(ent_agreement_deadlines(a, ENT_TEXT("zzz.unknown"), ENT_URGENCY_FLASH).found);
    assert_false(ent_agreement_deadlines(a, ENT_TEXT(""), ENT_URGENCY_FLASH).found);
    ent_agreement_free(a);
}

static void test_agreement__questions_answered(void **state)
{
    (void)state;
    ent_agreement *a = with(NULL, NULL);
    ent_urgency floor = ENT_URGENCY_ROUTINE;
    assert_true(ent_agreement_protected(a, ENT_TEXT("health"), &floor));
    assert_int_equal(floor, ENT_URGENCY_IMMEDIATE);
    assert_true(ent_agreement_protected(a, ENT_TEXT("food"), NULL));
    assert_false(ent_agreement_protected(a, ENT_TEXT("foo"), &floor));
    assert_int_equal(floor, ENT_URGENCY_IMMEDIATE);
    assert_int_equal(ent_agreement_class(a, ENT_TEXT("incident.notification")), 0);
    assert_int_equal(ent_agreement_class(a, ENT_TEXT("request.assistance")), 1);
    assert_int_equal(ent_agreement_class(a, ENT_TEXT("request.takedown")), -1);
    assert_int_equal(ent_agreement_weight(a, ENT_SEVERITY_CRITICAL), 20);
    assert_int_equal(ent_agreement_weight(a, ENT_SEVERITY_NONE), 0);
    assert_int_equal(ent_agreement_weight(a, ENT_SEVERITY_COUNT), 0);
    assert_text(ent_agreement_level(a, 0), "guarded");
    assert_text(ent_agreement_level(a, 9), "guarded");
    assert_text(ent_agreement_level(a, 10), "elevated");
    assert_text(ent_agreement_level(a, UINT64_MAX), "elevated");
    assert_string_equal(ent_agreement_level(a, 10).data, "elevated");
    assert_true(ent_agreement_two_officers(a, ENT_TEXT("request.surrender")));
    assert_false(ent_agreement_two_officers(a, ENT_TEXT("request.information")));
    assert_false(ent_agreement_freezes_deadlines(a));
    assert_true(ent_agreement_has_party(a, ENT_TEXT("aurora.example")));
    assert_false(ent_agreement_has_party(a, ENT_TEXT("carol.example")));
    assert_null(ent_agreement_service_hours(a, ENT_TEXT("aurora.example")));
    const ent_service_hours *hours = ent_agreement_service_hours(a, ENT_TEXT("boreal.example"));
    assert_int_equal(hours->count, 3);
    assert_int_equal(hours->total_s, 24 * 3600);
    assert_int_equal(hours->intervals[0].from_s, 5 * 3600);
    assert_int_equal(hours->intervals[2].until_s, ENT_WEEK_S);
    ent_agreement_free(a);
    assert_int_equal(ent_severity_from_text(ENT_TEXT("high")), ENT_SEVERITY_HIGH);
    assert_int_equal(ent_severity_from_text(ENT_TEXT("High")), ENT_SEVERITY_NONE);
    assert_string_equal(ent_severity_word(ENT_SEVERITY_LOW), "low");
    assert_null(ent_severity_word(ENT_SEVERITY_NONE));
    assert_null(ent_severity_word(ENT_SEVERITY_COUNT));
}

static void test_agreement__empty_answers_nothing(void **state)
{
    (void)state;
    assert_false(ent_agreement_deadlines(NULL, ENT_TEXT("request.information"), ENT_URGENCY_FLASH).found);
    assert_false(ent_agreement_protected(NULL, ENT_TEXT("food"), NULL));
    assert_int_equal(ent_agreement_class(NULL, ENT_TEXT("request.information")), -1);
    assert_int_equal(ent_agreement_weight(NULL, ENT_SEVERITY_HIGH), 0);
    assert_null(ent_agreement_level(NULL, 1).data);
    assert_false(ent_agreement_two_officers(NULL, ENT_TEXT("request.information")));
    assert_true(ent_agreement_freezes_deadlines(NULL));
    assert_false(ent_agreement_has_party(NULL, ENT_TEXT("aurora.example")));
    assert_null(ent_agreement_service_hours(NULL, ENT_TEXT("aurora.example")));
    assert_int_equal(ent_agreement_end(NULL, 0, 0), ENT_TIME_MAX_UNIX_S);
    ent_agreement_free(NULL);
}

static void test_agreement__touching_hours_are_one(void **state)
{
    (void)state;
    ent_agreement *a = with("service_hours", OF(HOURS("\"tue\"", "00:00", "06:00") "," HOURS(
                                                 "\"mon\"", "20:00", "24:00") "," HOURS("\"tue\"", "06:00", "06:01")));
    const ent_service_hours *hours = ent_agreement_service_hours(a, ENT_TEXT("aurora.example"));
    assert_int_equal(hours->count, 1);
    assert_int_equal(hours->intervals[0].from_s, 20 * 3600);
    assert_int_equal(hours->intervals[0].until_s, ENT_DAY_S + 6 * 3600 + 60);
    assert_int_equal(hours->total_s, 10 * 3600 + 60);
    ent_agreement_free(a);
}

static void test_agreement__extended_until_declined(void **state)
{
    (void)state;
    ent_agreement *a = with(NULL, NULL);
    const int64_t never = INT64_MAX;
    const int64_t until = a->until_unix_s;
    const int64_t year = 365 * (int64_t)ENT_DAY_S;
    const int64_t point = until - 90 * (int64_t)ENT_DAY_S;
    assert_int_equal(ent_agreement_end(a, INT64_MIN, never), until);
    assert_int_equal(ent_agreement_end(a, point - 1, never), until);
    assert_int_equal(ent_agreement_end(a, point, never), until + year);
    assert_int_equal(ent_agreement_end(a, point + year - 1, never), until + year);
    assert_int_equal(ent_agreement_end(a, point + year, never), until + 2 * year);
    assert_int_equal(ent_agreement_end(a, point + 7 * year, never), until + 8 * year);
    assert_int_equal(ent_agreement_end(a, INT64_MAX, never), ENT_TIME_MAX_UNIX_S);
    /* Declined in time: never extended; too late by a second: once more, and then never again. */
    assert_int_equal(ent_agreement_end(a, point + 9 * year, point - 1), until);
    assert_int_equal(ent_agreement_end(a, point + 9 * year, point), until + year);
    assert_int_equal(ent_agreement_end(a, point + 9 * year, point + year - 1), until + year);
    assert_int_equal(ent_agreement_end(a, point + 9 * year, INT64_MIN), until);
    /* Seen from before the decline, nothing is declined yet. */
    assert_int_equal(ent_agreement_end(a, point, point + 1), until + year);
    ent_agreement_free(a);
}

/* --- what a change reads like --- */

static void assert_change(const char *key, const char *before, const char *after, const char *expected)
{
    ent_agreement *a = with(key, before);
    ent_agreement *b = with(key, after);
    ent_buf lines = {0};
    assert_int_equal(ent_agreement_diff(a, b, &lines, NULL).code, ENT_OK);
    assert_text(ent_buf_text(&lines), expected);
    ent_buf_clear(&lines);
    assert_int_equal(ent_agreement_diff(a, a, &lines, NULL).code, ENT_OK);
    assert_int_equal(lines.size, 0);
    ent_buf_release(&lines);
    ent_agreement_free(a);
    ent_agreement_free(b);
}

static void test_agreement__change_of_a_deadline_told(void **state)
{
    (void)state;
#define ONE(rest) "[{\"kind\":\"request.information\",\"urgency\":\"immediate\"" rest "}]"
    assert_change("deadlines", ONE(",\"answer_s\":86400"), ONE(",\"answer_s\":43200"),
                  "deadline of request.information, immediate: answer 86400 s (24 h) -> 43200 s (12 h)\n");
    assert_change("deadlines", ONE(",\"acknowledge_s\":61,\"in_service_hours\":true"),
                  ONE(",\"acknowledge_s\":120,\"answer_s\":172800"),
                  "deadline of request.information, immediate: acknowledge 61 s -> 120 s (2 min)\n"
                  "deadline of request.information, immediate: answer none -> 172800 s (2 days)\n"
                  "deadline of request.information, immediate: counts service hours only: yes -> no\n");
    assert_change("deadlines", ONE(""), "[{\"kind\":\"request.information\",\"urgency\":\"flash\",\"answer_s\":60}]",
                  "deadline of request.information, immediate: row removed\n"
                  "deadline of request.information, flash: row added\n"
                  "deadline of request.information, flash: answer none -> 60 s (1 min)\n");
}

static void test_agreement__order_of_rows_is_no_change(void **state)
{
    (void)state;
    assert_change("parties", "[\"aurora.example\",\"boreal.example\"]", "[\"boreal.example\",\"aurora.example\"]", "");
    assert_change("languages", "[\"ru\",\"en\"]", "[\"en\",\"ru\"]", "");
    assert_change("two_officers", "[\"request.surrender\",\"channel.override\"]",
                  "[\"channel.override\",\"request.surrender\"]", "");
    assert_change("reciprocity",
                  "[" CLASS("a", "\"request.takedown\",\"request.assistance\"") "," CLASS("b", "\"evidence.item\"") "]",
                  "[" CLASS("b", "\"evidence.item\"") "," CLASS("a", "\"request.assistance\",\"request.takedown\"") "]",
                  "");
    assert_change("service_hours", OF(HOURS("\"mon\"", "06:00", "16:00")),
                  OF(HOURS("\"mon\"", "10:00", "16:00") "," HOURS("\"mon\"", "06:00", "10:00")), "");
}

static void test_agreement__every_other_change_told(void **state)
{
    (void)state;
    assert_change("title", "\"A\"", "\"B\\u2028\\\"\"", "title: \"A\" -> \"B\xe2\x80\xa8\\\"\"\n");
    assert_change("parties", "[\"aurora.example\",\"boreal.example\"]", "[\"carol.example\",\"boreal.example\"]",
                  "party \"aurora.example\": removed\nparty \"carol.example\": added\n");
    assert_change("validity", VALID(Y21, "2022-01-01T00:00:00Z", EXTENSION("30", "5")),
                  VALID("2021-02-01T00:00:00Z", "2023-01-01T00:00:00Z", ""),
                  "in force from: " Y21 " -> 2021-02-01T00:00:00Z\n"
                  "in force until: 2022-01-01T00:00:00Z -> 2023-01-01T00:00:00Z\n"
                  "extension: by 30 days, unless declined 5 days before the end -> none\n");
#define SYSTEM(id, name, floor) "{\"id\":\"" id "\",\"name\":\"" name "\",\"urgency_floor\":\"" floor "\"}"
    assert_change("protected_systems", "[" SYSTEM("a", "A", "flash") "," SYSTEM("b", "B", "flash") "]",
                  "[" SYSTEM("a", "A", "immediate") "," SYSTEM("c", "C", "priority") "]",
                  "protected system \"a\": \"A\", at least flash -> \"A\", at least immediate\n"
                  "protected system \"b\": \"B\", at least flash -> none\n"
                  "protected system \"c\": none -> \"C\", at least priority\n");
    assert_change("reciprocity", "[" CLASS("a", "\"request.takedown\"") "]",
                  "[{\"class\":\"a\",\"kinds\":[\"request.assistance\"],\"hold_back_at_balance\":null}," CLASS(
                      "b", "\"request.surrender\"") "]",
                  "reciprocal class \"a\": hold back at a balance of 1 -> none\n"
                  "reciprocal class \"a\": kind \"request.assistance\": added\n"
                  "reciprocal class \"a\": kind \"request.takedown\": removed\n"
                  "reciprocal class \"b\": added\n"
                  "reciprocal class \"b\": hold back at a balance of none -> 1\n"
                  "reciprocal class \"b\": kind \"request.surrender\": added\n");
    assert_change("threat_level", THREAT("60", "0", "2", "3", "4", LEVEL("a", "0")), NULL,
                  "threat level: window: 60 s (1 min) -> none\n"
                  "threat level: weight of low: 0 -> none\nthreat level: weight of medium: 2 -> none\n"
                  "threat level: weight of high: 3 -> none\nthreat level: weight of critical: 4 -> none\n"
                  "threat level: levels: \"a\" from 0 -> none\n");
    assert_change("two_officers", "[\"request.surrender\"]", NULL, "two officers for \"request.surrender\": removed\n");
    assert_change("retention", NULL, "{\"entries_days\":1,\"bodies_days\":2,\"attachments_days\":3}",
                  "retention: days of entries: none -> 1\nretention: days of bodies: none -> 2\n"
                  "retention: days of attachments: none -> 3\n");
    assert_change("service_hours", OF(HOURS("\"mon\",\"tue\"", "06:00", "16:00")),
                  "{\"boreal.example\":[" HOURS("\"sat\",\"sun\"", "20:00", "24:00") "]}",
                  "service hours of aurora.example: mon 06:00-16:00, tue 06:00-16:00 -> round the clock\n"
                  "service hours of boreal.example: round the clock -> sat 20:00-24:00, sun 20:00-24:00\n");
    assert_change("suspension", NULL, "{\"freezes_deadlines\":false}", "suspension freezes deadlines: yes -> no\n");
    assert_change("comm_checks", "{\"every_s\":60,\"reply_within_s\":5}", NULL,
                  "comm checks: every: 60 s (1 min) -> none\ncomm checks: reply within: 5 s -> none\n");
    assert_change("languages", "[\"en\"]", "[\"en\",\"ar\"]", "language \"ar\": added\n");
}

static void test_agreement__change_of_unknown_members_told(void **state)
{
    (void)state;
    assert_change("languages", "[],\"x\":1,\"y\":1", "[],\"x\":2,\"z\":1",
                  "not known to this version: \"x\": changed\nnot known to this version: \"y\": removed\n"
                  "not known to this version: \"z\": added\n");
    /* Two names that look alike when shortened. */
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    assert_change("languages", "[],\"" LONG "1\":1", "[],\"" LONG "1\":1,\"" LONG "2\":1",
                  "not known to this version: \"" LONG "...\": added\n");
}

static void test_agreement__change_from_and_to_the_empty_told(void **state)
{
    (void)state;
    ent_agreement *a = with(NULL, NULL);
    ent_buf lines = {0};
    assert_int_equal(ent_agreement_diff(NULL, NULL, &lines, NULL).code, ENT_OK);
    assert_int_equal(lines.size, 0);
    assert_int_equal(ent_agreement_diff(NULL, a, &lines, NULL).code, ENT_OK);
    const char *text = ent_buf_string(&lines);
    assert_non_null(strstr(text, "title: null -> \"Arrangement\"\n"));
    assert_non_null(strstr(text, "in force until: none -> 2022-01-01T00:00:00Z\n"));
    ent_buf_clear(&lines);
    assert_int_equal(ent_agreement_diff(a, NULL, &lines, NULL).code, ENT_OK);
    assert_non_null(strstr(ent_buf_string(&lines), "in force until: 2022-01-01T00:00:00Z -> none\n"));
    ent_buf_release(&lines);
    ent_agreement_free(a);
}

static void test_agreement__diff_without_memory_says_so(void **state)
{
    (void)state;
    ent_agreement *a = with(NULL, NULL);
    for (unsigned long nth = 1; nth < 10000; nth++) {
        ent_buf lines = {0};
        ent_alloc_fail_at(nth);
        int code = ent_agreement_diff(NULL, a, &lines, NULL).code;
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        ent_buf_release(&lines);
        if (!reached) {
            assert_int_equal(code, ENT_OK);
            ent_agreement_free(a);
            return;
        }
        assert_int_equal(code, ENT_NOMEM);
    }
    fail_msg("never finished");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreement__every_member_taken),
        cmocka_unit_test(test_agreement__least_taken),
        cmocka_unit_test(test_agreement__examples_taken),
        cmocka_unit_test(test_agreement__unknown_members_kept_and_listed),
        cmocka_unit_test(test_agreement__too_many_unknown_members_refused),
        cmocka_unit_test(test_agreement__no_json_refused),
        cmocka_unit_test(test_agreement__missing_members_named),
        cmocka_unit_test(test_agreement__bad_deadline_seconds_refused),
        cmocka_unit_test(test_agreement__contradicting_deadlines_refused),
        cmocka_unit_test(test_agreement__bad_validity_refused),
        cmocka_unit_test(test_agreement__bad_parties_refused),
        cmocka_unit_test(test_agreement__contradicting_rows_refused),
        cmocka_unit_test(test_agreement__contradicting_threat_level_refused),
        cmocka_unit_test(test_agreement__contradicting_hours_refused),
        cmocka_unit_test(test_agreement__bad_rest_refused),
        cmocka_unit_test(test_agreement__eight_mebibytes_bounded),
        cmocka_unit_test(test_agreement__each_failed_allocation_survived),
        cmocka_unit_test(test_agreement__row_of_the_highest_urgency_not_above),
        cmocka_unit_test(test_agreement__questions_answered),
        cmocka_unit_test(test_agreement__empty_answers_nothing),
        cmocka_unit_test(test_agreement__touching_hours_are_one),
        cmocka_unit_test(test_agreement__extended_until_declined),
        cmocka_unit_test(test_agreement__change_of_a_deadline_told),
        cmocka_unit_test(test_agreement__order_of_rows_is_no_change),
        cmocka_unit_test(test_agreement__every_other_change_told),
        cmocka_unit_test(test_agreement__change_of_unknown_members_told),
        cmocka_unit_test(test_agreement__change_from_and_to_the_empty_told),
        cmocka_unit_test(test_agreement__diff_without_memory_says_so),
    };
    examples_folder = argc > 1 ? argv[1] : "examples";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
