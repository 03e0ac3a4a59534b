/* What the ledger takes out of bodies: from the examples of the kinds, and from others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/facts.h"

static ent_kinds *kinds;

static int make_kinds(void **state)
{
    (void)state;
    return ent_kinds_new(&kinds, NULL).code;
}

static int free_kinds(void **state)
{
    (void)state;
    ent_kinds_free(kinds);
    return 0;
}

static ent_body body_of(const char *kind, const char *json)
{
    ent_body body;
    ent_err err = {0};
    ent_rc rc = ent_body_parse(kinds, ent_text_of(kind), ent_text_bytes(ent_text_of(json)), 0, &body, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", kind, err.text);
    return body;
}

static ent_facts facts_of(const ent_body *body, const char *kind)
{
    ent_facts facts;
    assert_int_equal(ent_facts_read(body, ent_text_of(kind), &facts, NULL).code, ENT_OK);
    assert_true(facts.readable);
    return facts;
}

/* Every example gives facts, and none of another kind's. */
static void test_facts__of_every_example(void **state)
{
    (void)state;
    for (size_t i = 0; i < ent_kind_count(); i++) {
        const ent_kind *kind = ent_kind_at(i);
        ent_body body = body_of(kind->name, ent_kind_example(kind));
        ent_facts facts = facts_of(&body, kind->name);
        bool answers = strcmp(kind->name, "answer.response") == 0;
        bool has_terms = strcmp(kind->name, "channel.genesis") == 0 || strcmp(kind->name, "channel.amendment") == 0;
        assert_int_equal(facts.outcome != ENT_OUTCOME_NONE, answers);
        assert_int_equal(facts.has_terms, has_terms);
        assert_int_equal(facts.has_digest, strcmp(kind->name, "proposal.accept") == 0);
        assert_int_equal(facts.has_nonce, strcmp(kind->name, "contact.check") == 0);
        if (facts.ref_count > 0)
            assert_true(strcmp(kind->name, "attribution.claim") == 0 || strcmp(kind->name, "evidence.item") == 0);
        ent_facts_release(&facts);
        ent_body_release(&body);
    }
}

static void test_facts__of_an_answer(void **state)
{
    static const char *const words[] = {"granted",   "partial",    "refused",
                                        "postponed", "impossible", "needs-clarification"};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        char json[256];
        (void)snprintf(json, sizeof json,
                       "{\"fields\":{\"outcome\":\"%s\",\"reasons\":\"x\",\"until\":\"2024-06-10T00:00:00Z\"},"
                       "\"text\":{\"en\":\"x\"},\"authentic\":\"en\"}",
                       words[i]);
        ent_body body = body_of("answer.response", json);
        ent_facts facts = facts_of(&body, "answer.response");
        assert_string_equal(ent_outcome_word(facts.outcome), words[i]);
        assert_int_equal(facts.until_unix_s, facts.outcome == ENT_OUTCOME_POSTPONED ? 1717977600 : 0);
        ent_body_release(&body);
    }
    assert_null(ent_outcome_word(ENT_OUTCOME_NONE));
}

/* What there is too much of is not counted. */
static void test_facts__have_room_for_so_many(void **state)
{
    ent_buf json = {0};
    (void)state;
    ent_buf_put_string(&json, "{\"fields\":{\"supports\":[");
    for (int i = 0; i < 20; i++)
        ent_buf_put_format(&json, "%s\"a.example/%d\"", i == 0 ? "" : ",", i);
    ent_buf_put_string(&json, "],\"protected_systems\":[");
    for (int i = 0; i < 12; i++)
        ent_buf_put_format(&json, "%s\"system-%d\"", i == 0 ? "" : ",", i);
    ent_buf_put_string(&json, "]}}");
    ent_body body = {0};
    assert_int_equal(ent_json_parse(ent_buf_bytes(&json), &body.document, NULL).code, ENT_OK);
    body.fields = ent_json_get(ent_json_root(body.document), "fields");
    ent_facts facts = facts_of(&body, "evidence.item");
    assert_int_equal(facts.ref_count, ENT_FACTS_MAX_REFS);
    assert_int_equal(facts.refs[ENT_FACTS_MAX_REFS - 1].index, ENT_FACTS_MAX_REFS - 1);
    assert_int_equal(facts.system_count, ENT_FACTS_MAX_SYSTEMS);
    ent_body_release(&body);
    ent_buf_release(&json);
}

static void test_facts__without_memory_leave_nothing(void **state)
{
    const ent_kind *kind = ent_kind_find(ENT_TEXT("channel.amendment"));
    ent_body body = body_of(kind->name, ent_kind_example(kind));
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        ent_facts facts = {.ref_count = 77};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_facts_read(&body, ent_text_of(kind->name), &facts, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            assert_true(facts.has_terms);
            assert_true(nth > 1);
            ent_facts_release(&facts);
            break;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
        assert_int_equal(facts.ref_count, 77);
    }
    ent_body_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts__of_every_example),
        cmocka_unit_test(test_facts__of_an_answer),
        cmocka_unit_test(test_facts__have_room_for_so_many),
        cmocka_unit_test(test_facts__without_memory_leave_nothing),
    };
    return cmocka_run_group_tests(tests, make_kinds, free_kinds);
}
