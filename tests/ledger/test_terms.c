/* The terms in force and the channel's state: amendments, also those that cross or race, and suspensions. */
#include "expect.h"

#define TERMS(title, seconds)                                                                                          \
    "{\"title\":\"" title "\",\"parties\":[\"a.example\",\"b.example\"],"                                              \
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2025-07-01T00:00:00Z\",\"extension\":null},"          \
    "\"deadlines\":[{\"kind\":\"request.information\",\"urgency\":\"routine\",\"answer_s\":" seconds "}]}"

static const char old_terms[] = TERMS("Old", "100");
static const char new_terms[] = TERMS("New", "200");
static const char other_terms[] = TERMS("Other", "300");

static int begin_terms(void **state)
{
    return begin_world(state, 2, old_terms);
}

static int begin_terms_of_three(void **state)
{
    return begin_world(state, 3, old_terms);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_terms, end_world)
#define TEST_WITH_A_THIRD(test) cmocka_unit_test_setup_teardown(test, begin_terms_of_three, end_world)

/* Under which terms somebody's next message would stand. */
static const char *in_force(const world *w, uint32_t member)
{
    ent_ack acks[WORLD_MAX_MEMBERS];
    size_t count = 0;
    ent_hash commitment;
    for (uint32_t m = 0; m < w->member_count; m++) {
        if (m != member && w->logs[member].held[m] > 0)
            acks[count++] = (ent_ack){w->logs[m].origin, {.size = w->logs[member].held[m]}};
    }
    const ent_agreement *agreement = ent_ledger_terms(w->ledger, member, acks, count, &commitment);
    return agreement == NULL ? "none" : agreement->title.data;
}

static const char *terms_of(const world *w, ent_ledger_ref ref)
{
    world_thread thread = world_thread_of(w, ref);
    return thread.view.terms == NULL ? "none" : thread.view.terms->title.data;
}

static ent_reason may_amend(world *w, uint32_t member, const ent_hash *replaces, const char *terms, uint8_t salt)
{
    ent_facts facts = {.replaces = *replaces};
    world_facts_terms(&facts, terms, salt);
    return MAY(w, member, "channel.amendment", .facts = &facts);
}

static ent_reason may_accept(world *w, uint32_t member, ent_ledger_ref to)
{
    ent_facts facts = {.has_digest = true, .digest = world_at(w, to)->entry.body.digest};
    return MAY(w, member, "proposal.accept", .reply_to = &to, .facts = &facts);
}

/* --- amendments --- */

static void test_amendment__holds_in_each_log_from_where_every_accept_is_known(void **state)
{
    world *w = *state;
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, new_terms, 1);
    meet(w);
    ent_ledger_ref before = SAY(w, B, "request.information", .to = 0);
    ent_ledger_ref accept = world_accept(w, B, amendment);
    ent_ledger_ref after = SAY(w, B, "request.information", .to = 0);
    assert_string_equal(in_force(w, B), "New");
    assert_string_equal(in_force(w, A), "Old");
    ent_ledger_ref unaware = SAY(w, A, "request.information", .to = 0);
    meet(w);
    assert_string_equal(in_force(w, A), "New");
    ent_ledger_ref aware = SAY(w, A, "request.information", .to = 0);
    assert_reason(w, accept, ENT_ALLOWED);
    assert_string_equal(terms_of(w, before), "Old");
    assert_string_equal(terms_of(w, after), "New");
    assert_string_equal(terms_of(w, unaware), "Old");
    assert_string_equal(terms_of(w, aware), "New");
    assert_int_equal(world_duty(w, before, ENT_DUTY_ANSWER, A).due_unix_s, w->now - 60 + 100);
    assert_int_equal(world_duty(w, after, ENT_DUTY_ANSWER, A).due_unix_s, w->now - 60 + 200);
}

static void test_amendment__needs_every_member(void **state)
{
    world *w = *state;
    ent_facts facts = {.replaces = w->commitment};
    world_facts_terms(&facts, new_terms, 1);
    /* it concerns all, whomever it names */
    ent_ledger_ref amendment = SAY(w, A, "channel.amendment", .facts = &facts, .to = 1 << B);
    meet(w);
    (void)world_accept(w, B, amendment);
    meet(w);
    assert_string_equal(in_force(w, A), "Old");
    assert_string_equal(in_force(w, B), "Old");
    assert_reason(w, world_accept(w, C, amendment), ENT_ALLOWED);
    assert_string_equal(in_force(w, C), "New");
    assert_string_equal(in_force(w, A), "Old");
    meet(w);
    assert_string_equal(in_force(w, A), "New");
    assert_true(world_thread_of(w, amendment).view.bound);
}

static void test_amendment__replaces_what_is_in_force(void **state)
{
    world *w = *state;
    ent_hash nothing = {{7}};
    ent_hash first;
    assert_may(may_amend(w, A, &nothing, new_terms, 1), ENT_REASON_TERMS);
    assert_may(may_amend(w, A, &w->commitment, old_terms, 0), ENT_REASON_TERMS); /* the same again */
    assert_may(may_amend(w, A, &w->commitment, old_terms, 1), ENT_ALLOWED);
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, new_terms, 1);
    meet(w);
    (void)world_accept(w, B, amendment);
    meet(w);
    world_commitment(new_terms, 1, &first);
    assert_may(may_amend(w, B, &w->commitment, other_terms, 2), ENT_REASON_TERMS);
    assert_may(may_amend(w, B, &first, old_terms, 0), ENT_REASON_TERMS); /* a ring */
    assert_may(may_amend(w, B, &first, old_terms, 3), ENT_ALLOWED);
    ent_ledger_ref back = world_amend(w, B, &first, old_terms, 3);
    meet(w);
    (void)world_accept(w, A, back);
    meet(w);
    assert_string_equal(in_force(w, A), "Old");
    assert_string_equal(in_force(w, B), "Old");
}

/* "An amendment race": each proposes, and neither can take the other's while he stands by his own. */
static void test_amendment__race_is_won_by_nobody_until_one_withdraws(void **state)
{
    world *w = *state;
    ent_ledger_ref one = world_amend(w, A, &w->commitment, new_terms, 1);
    ent_ledger_ref two = world_amend(w, B, &w->commitment, other_terms, 2);
    meet(w);
    assert_may(may_accept(w, A, two), ENT_REASON_SECOND_AMENDMENT);
    assert_may(may_accept(w, B, one), ENT_REASON_SECOND_AMENDMENT);
    assert_may(may_amend(w, A, &w->commitment, other_terms, 5), ENT_REASON_SECOND_AMENDMENT);
    (void)world_accept(w, A, two);
    (void)world_accept(w, B, one);
    meet(w);
    assert_string_equal(in_force(w, A), "Old");
    assert_string_equal(in_force(w, B), "Old");
    (void)SAY(w, A, "proposal.withdraw", .reply_to = &one);
    assert_reason(w, world_accept(w, A, two), ENT_ALLOWED);
    meet(w);
    assert_string_equal(in_force(w, A), "Other");
    assert_string_equal(in_force(w, B), "Other");
    assert_reason(w, world_accept(w, B, one), ENT_REASON_TERMS);
}

/* Whose amendment was rejected need not stand by it any more: it can never be complete. */
static void test_amendment__that_was_rejected_stands_in_nobodys_way(void **state)
{
    world *w = *state;
    ent_ledger_ref one = world_amend(w, A, &w->commitment, new_terms, 1);
    meet(w);
    (void)SAY(w, B, "proposal.reject", .reply_to = &one);
    assert_may(may_amend(w, A, &w->commitment, other_terms, 5), ENT_REASON_SECOND_AMENDMENT); /* not heard yet */
    meet(w);
    assert_reason(w, world_accept(w, B, one), ENT_REASON_KIND_HERE);
    assert_string_equal(in_force(w, B), "Old");
    ent_ledger_ref two = world_amend(w, A, &w->commitment, other_terms, 5);
    assert_reason(w, two, ENT_ALLOWED);
    meet(w);
    (void)world_accept(w, B, two);
    assert_string_equal(in_force(w, B), "Other");
}

/* Whoever accepts holds the terms changed until he hears that they were withdrawn before his accept was known. */
static void test_amendment__withdrawn_as_it_was_accepted_is_withdrawn(void **state)
{
    world *w = *state;
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, new_terms, 1);
    meet(w);
    ent_ledger_ref accept = world_accept(w, B, amendment);
    ent_ledger_ref between = SAY(w, B, "request.information", .to = 0);
    (void)SAY(w, A, "proposal.withdraw", .reply_to = &amendment);
    assert_string_equal(in_force(w, B), "New");
    meet(w);
    assert_string_equal(in_force(w, A), "Old");
    assert_string_equal(in_force(w, B), "Old");
    assert_reason(w, accept, ENT_ALLOWED);
    assert_state(w, amendment, B, WITHDRAWN);
    assert_true(world_thread_of(w, amendment).tracks[0].crossed);
    assert_string_equal(terms_of(w, between), "New");
    /* the same once more */
    ent_ledger_ref again = world_amend(w, A, &w->commitment, new_terms, 1);
    assert_reason(w, again, ENT_ALLOWED);
    meet(w);
    (void)world_accept(w, B, again);
    meet(w);
    assert_string_equal(in_force(w, A), "New");
    assert_string_equal(in_force(w, B), "New");
}

static void test_amendment__cannot_be_withdrawn_by_who_knows_it_complete(void **state)
{
    world *w = *state;
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, new_terms, 1);
    meet(w);
    (void)world_accept(w, B, amendment);
    meet(w);
    ent_ledger_ref late = SAY(w, A, "proposal.withdraw", .reply_to = &amendment);
    assert_reason(w, late, ENT_REASON_KIND_HERE);
    meet(w);
    assert_string_equal(in_force(w, A), "New");
    assert_string_equal(in_force(w, B), "New");
}

/* Of three, one has accepted when it is withdrawn: it is withdrawn for all. */
static void test_amendment__withdrawn_before_all_accepted_is_withdrawn_for_all(void **state)
{
    world *w = *state;
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, new_terms, 1);
    meet(w);
    (void)world_accept(w, B, amendment);
    meet(w);
    ent_ledger_ref withdraw = SAY(w, A, "proposal.withdraw", .reply_to = &amendment, .to = 1 << B);
    assert_reason(w, withdraw, ENT_ALLOWED);
    meet(w);
    assert_reason(w, world_accept(w, C, amendment), ENT_REASON_KIND_HERE);
    meet(w);
    for (uint32_t m = A; m <= C; m++)
        assert_string_equal(in_force(w, m), "Old");
}

static void test_amendment__with_terms_that_cannot_be_read_leaves_none(void **state)
{
    world *w = *state;
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, "{\"title\":1}", 1);
    ent_ledger_sums sums;
    meet(w);
    (void)world_accept(w, B, amendment);
    meet(w);
    assert_string_equal(in_force(w, A), "none");
    assert_int_equal(ent_ledger_sum(w->ledger, world_now(w), &sums, NULL).code, ENT_OK);
    assert_null(sums.agreement);
    assert_true(sums.terms_known);
    assert_true(sums.problem[0] != 0);
    assert_int_equal(sums.amendment_count, 1);
    assert_int_equal(sums.amendments[0].state, ENT_STATE_ACCEPTED);
    ent_ledger_sums_release(&sums);
}

static void test_decline__is_of_the_terms_it_was_said_under(void **state)
{
    static const char extends[] = "{\"title\":\"Extends\",\"parties\":[\"a.example\",\"b.example\"],"
                                  "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2024-07-01T00:00:00Z\","
                                  "\"extension\":{\"by_days\":30,\"unless_declined_days_before\":5}},\"deadlines\":[]}";
    world *w = *state;
    ent_facts declines = {.declines_extension = true};
    const ent_agreement *agreement = NULL;
    int64_t end = 0;
    (void)SAY(w, B, "channel.review", .facts = &declines); /* of the old terms */
    ent_ledger_ref amendment = world_amend(w, A, &w->commitment, extends, 1);
    meet(w);
    (void)world_accept(w, B, amendment);
    meet(w);
    ent_moment later = {INT64_MAX, WORLD_BEGIN + 20 * DAY};
    assert_int_equal(ent_ledger_end(w->ledger, later, &agreement, &end, NULL).code, ENT_OK);
    assert_int_equal(end, WORLD_BEGIN + 51 * DAY);
    (void)SAY(w, B, "channel.review", .facts = &declines);
    meet(w);
    assert_int_equal(ent_ledger_end(w->ledger, later, &agreement, &end, NULL).code, ENT_OK);
    assert_int_equal(end, WORLD_BEGIN + 21 * DAY);
}

static void test_terms__of_an_unopened_genesis_are_not_known(void **state)
{
    world w;
    ent_ledger_sums sums;
    (void)state;
    world_begin_bare(&w, 2, old_terms);
    w.ledger = world_ledger(&w);
    assert_int_equal(ent_ledger_sum(w.ledger, world_now(&w), &sums, NULL).code, ENT_OK);
    assert_false(sums.terms_known);
    assert_true(sums.problem[0] != 0);
    ent_ledger_sums_release(&sums);
    (void)SAY(&w, A, "channel.genesis", .unreadable = true);
    ent_facts facts = {.readable = true};
    world_facts_terms(&facts, new_terms, 0); /* not those of the genesis */
    (void)SAY(&w, B, "channel.genesis", .facts = &facts);
    assert_string_equal(in_force(&w, A), "none");
    world_end(&w);
}

/* --- suspension --- */

static void test_suspension__lets_pass_what_it_must(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, B, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref suspend = SAY(w, A, "channel.suspend", .to = 0);
    ent_facts check = {.has_nonce = true};
    ent_facts granted = {.outcome = ENT_OUTCOME_GRANTED};
    for (int heard = 0; heard < 2; heard++) {
        uint32_t member = heard == 0 ? A : B;
        assert_may(MAY(w, member, "request.information", .to = 0), ENT_REASON_SUSPENDED);
        assert_may(MAY(w, member, "channel.amendment", .to = 0), ENT_REASON_SUSPENDED);
        assert_may(MAY(w, member, "contact.check", .facts = &check), ENT_ALLOWED);
        assert_may(MAY(w, member, "incident.final", .to = 0), ENT_ALLOWED);
        assert_may(MAY(w, member, "contact.nomination", .to = 0), ENT_ALLOWED);
        meet(w);
    }
    assert_may(MAY(w, A, "answer.response", .reply_to = &asked, .facts = &granted), ENT_ALLOWED);
    assert_may(MAY(w, A, "channel.suspend", .to = 0), ENT_REASON_SUSPENDED);
    assert_may(MAY(w, B, "channel.resume", .reply_to = &suspend), ENT_REASON_WRONG_SIDE);
    assert_may(MAY(w, A, "channel.resume", .reply_to = &suspend), ENT_ALLOWED);
    (void)SAY(w, A, "channel.resume", .reply_to = &suspend);
    meet(w);
    assert_state(w, suspend, B, RESUMED);
    assert_may(MAY(w, B, "request.information", .to = 0), ENT_ALLOWED);
}

static void test_suspension__does_not_reach_what_crossed_it(void **state)
{
    world *w = *state;
    (void)SAY(w, A, "channel.suspend", .to = 0);
    ent_ledger_ref crossed = SAY(w, B, "request.information", .to = 0);
    meet(w);
    assert_reason(w, crossed, ENT_ALLOWED);
    ent_ledger_ref after = SAY(w, B, "request.information", .to = 0);
    assert_reason(w, after, ENT_REASON_SUSPENDED);
}

static void test_suspension__by_both_ends_when_both_resume(void **state)
{
    world *w = *state;
    ent_ledger_sums sums;
    ent_ledger_ref one = SAY(w, A, "channel.suspend", .to = 0);
    meet(w);
    ent_ledger_ref two = SAY(w, B, "channel.suspend", .to = 0);
    meet(w);
    (void)SAY(w, A, "channel.resume", .reply_to = &one);
    meet(w);
    assert_may(MAY(w, A, "request.information", .to = 0), ENT_REASON_SUSPENDED);
    assert_int_equal(ent_ledger_sum(w->ledger, world_now(w), &sums, NULL).code, ENT_OK);
    assert_int_equal(sums.suspension_count, 1);
    assert_int_equal(sums.suspensions[0].by, B);
    assert_int_equal(sums.suspensions[0].message.index, two.index);
    ent_ledger_sums_release(&sums);
    (void)SAY(w, B, "channel.resume", .reply_to = &two);
    meet(w);
    assert_may(MAY(w, A, "request.information", .to = 0), ENT_ALLOWED);
}

/* A resumption of something else resumes nothing. */
static void test_resume__answers_the_suspension_in_force(void **state)
{
    world *w = *state;
    ent_ledger_ref other = SAY(w, A, "feed.indicators", .to = 0);
    ent_ledger_ref first = SAY(w, A, "channel.suspend", .to = 0);
    assert_may(MAY(w, A, "channel.resume", .reply_to = &other), ENT_REASON_KIND_HERE);
    world_message draft;
    char text[ENT_REASON_SIZE];
    ent_reason reason = ENT_ALLOWED;
    world_draft(w, A, "channel.resume", &(saying){.reply_to = &other}, &draft);
    assert_int_equal(ent_ledger_judge(w->ledger, A, &draft.entry, &draft.facts, &reason, text, NULL).code, ENT_OK);
    assert_string_equal(text, "what it answers is no suspension that its writer has still in force");
    (void)SAY(w, A, "channel.resume", .reply_to = &other);
    assert_may(MAY(w, A, "request.information", .to = 0), ENT_REASON_SUSPENDED);
    (void)SAY(w, A, "channel.resume", .reply_to = &first);
    ent_ledger_ref second = SAY(w, A, "channel.suspend", .to = 0);
    assert_may(MAY(w, A, "channel.resume", .reply_to = &first), ENT_REASON_KIND_HERE);
    assert_may(MAY(w, A, "channel.resume", .reply_to = &second), ENT_ALLOWED);
}

static void test_suspension__of_three_is_ended_for_all(void **state)
{
    world *w = *state;
    ent_ledger_ref suspend = SAY(w, A, "channel.suspend", .to = 1 << B);
    meet(w);
    assert_may(MAY(w, C, "request.information", .to = 0), ENT_REASON_SUSPENDED);
    (void)SAY(w, A, "channel.resume", .reply_to = &suspend, .to = 1 << C);
    meet(w);
    assert_state(w, suspend, B, RESUMED);
    assert_state(w, suspend, C, RESUMED);
    assert_may(MAY(w, B, "request.information", .to = 0), ENT_ALLOWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_amendment__holds_in_each_log_from_where_every_accept_is_known),
        TEST_WITH_A_THIRD(test_amendment__needs_every_member),
        TEST(test_amendment__replaces_what_is_in_force),
        TEST(test_amendment__race_is_won_by_nobody_until_one_withdraws),
        TEST(test_amendment__that_was_rejected_stands_in_nobodys_way),
        TEST(test_amendment__withdrawn_as_it_was_accepted_is_withdrawn),
        TEST(test_amendment__cannot_be_withdrawn_by_who_knows_it_complete),
        TEST_WITH_A_THIRD(test_amendment__withdrawn_before_all_accepted_is_withdrawn_for_all),
        TEST(test_amendment__with_terms_that_cannot_be_read_leaves_none),
        TEST(test_decline__is_of_the_terms_it_was_said_under),
        cmocka_unit_test(test_terms__of_an_unopened_genesis_are_not_known),
        TEST(test_suspension__lets_pass_what_it_must),
        TEST(test_suspension__does_not_reach_what_crossed_it),
        TEST(test_suspension__by_both_ends_when_both_resume),
        TEST(test_resume__answers_the_suspension_in_force),
        TEST_WITH_A_THIRD(test_suspension__of_three_is_ended_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
