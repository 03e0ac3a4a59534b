/* The clock rules of design section 5: when a duty starts, when an act is done, what stands still, what is due when. */
#include "expect.h"

static const char terms[] =
    "{\"title\":\"T\",\"parties\":[\"a.example\",\"b.example\",\"c.example\"],"
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2024-07-01T00:00:00Z\","
    "\"extension\":{\"by_days\":30,\"unless_declined_days_before\":5}},"
    "\"deadlines\":["
    "{\"kind\":\"request.information\",\"urgency\":\"routine\",\"acknowledge_s\":1000,\"answer_s\":10000},"
    "{\"kind\":\"request.information\",\"urgency\":\"immediate\",\"acknowledge_s\":100,\"answer_s\":1000},"
    "{\"kind\":\"request.assistance\",\"urgency\":\"routine\",\"answer_s\":36000,\"in_service_hours\":true},"
    "{\"kind\":\"incident.early-warning\",\"urgency\":\"routine\",\"notification_s\":5000,\"final_s\":90000},"
    "{\"kind\":\"evidence.item\",\"urgency\":\"routine\",\"acknowledge_s\":500,\"answer_s\":600},"
    "{\"kind\":\"incident.notification\",\"urgency\":\"routine\",\"answer_s\":3000,\"final_s\":80000}],"
    "\"protected_systems\":[{\"id\":\"health\",\"name\":\"Hospitals\",\"urgency_floor\":\"immediate\"}],"
    "\"service_hours\":{\"b.example\":[{\"days\":[\"mon\",\"tue\"],\"from\":\"05:00\",\"until\":\"10:00\"}]}}";

static int begin_terms(void **state)
{
    return begin_world(state, 2, terms);
}

static int begin_terms_of_three(void **state)
{
    return begin_world(state, 3, terms);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_terms, end_world)
#define TEST_WITH_A_THIRD(test) cmocka_unit_test_setup_teardown(test, begin_terms_of_three, end_world)

static int64_t due(const world *w, ent_ledger_ref ref, ent_duty_type type, uint32_t debtor)
{
    ent_duty duty = world_duty(w, ref, type, debtor);
    assert_true(duty.has_due);
    return duty.due_unix_s;
}

/* A asks, B receipts at once: the start. */
static ent_ledger_ref ask(world *w)
{
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    world_receipt(w, A, B, w->now);
    return asked;
}

/* --- the border --- */

static void test_duty__is_overdue_one_second_after_it_is_due(void **state)
{
    world *w = *state;
    int64_t begin = w->now;
    ent_ledger_ref asked = ask(w);
    assert_int_equal(due(w, asked, ENT_DUTY_ACKNOWLEDGE, B), begin + 1000);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), begin + 10000);
    w->now = begin + 1000;
    assert_duty(w, asked, ACKNOWLEDGE, B, OPEN);
    w->now = begin + 1001;
    assert_duty(w, asked, ACKNOWLEDGE, B, OVERDUE);
    assert_duty(w, asked, ANSWER, B, OPEN);
    w->now = begin + 10001;
    assert_duty(w, asked, ANSWER, B, OVERDUE);
}

static void test_duty__is_done_in_time_at_the_second_it_is_due(void **state)
{
    world *w = *state;
    for (int late = 0; late < 2; late++) {
        ent_ledger_ref asked = ask(w);
        world_pass(w, 10000 + late);
        (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
        world_receipt(w, B, A, w->now);
        ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
        assert_int_equal(duty.state, late != 0 ? ENT_DUTY_DONE_LATE : ENT_DUTY_DONE);
        assert_false(duty.claimed);
        assert_int_equal(duty.outcome, ENT_OUTCOME_GRANTED);
        world_pass(w, 100);
    }
}

/* --- start --- */

static void test_start__without_a_receipt_is_never_overdue(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    world_pass(w, 10 * DAY);
    assert_duty(w, asked, ANSWER, B, SENT_NOT_RECEIPTED);
    world_receipt(w, A, B, w->now);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
    assert_int_equal(duty.start_unix_s, w->now);
    assert_int_equal(duty.start_by, B);
    assert_int_equal(duty.start_size, 2);
    assert_int_equal(duty.state, ENT_DUTY_OPEN);
}

static void test_start__is_the_earliest_receipt(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    int64_t begin = w->now;
    world_receipt(w, A, B, begin + 900);
    world_receipt(w, A, B, begin + 50);
    (void)SAY(w, A, "feed.indicators", .to = 0);
    world_receipt(w, A, B, begin + 40);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
    assert_int_equal(duty.start_unix_s, begin + 40);
    assert_int_equal(duty.start_size, 3);
}

/* Who dates his receipt ahead moves his own due time, for all to see; it does not undo the earlier one. */
static void test_start__by_a_receipt_dated_ahead(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    world_receipt(w, A, B, w->now + 30 * DAY);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), w->now + 30 * DAY + 10000);
    world_receipt(w, A, B, w->now + 10);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), w->now + 10 + 10000);
    world_receipt(w, A, B, INT64_MAX);
    world_receipt(w, A, B, INT64_MIN);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), 10000);
}

/* Another member's receipt starts nobody's clock but the writer's. */
static void test_start__is_each_debtors_own_receipt(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    world_receipt(w, A, B, w->now + 5);
    assert_duty(w, asked, ANSWER, B, OPEN);
    assert_duty(w, asked, ANSWER, C, SENT_NOT_RECEIPTED);
}

/* --- acts --- */

static void test_act__that_was_not_receipted_is_never_overdue(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    world_pass(w, 10 * DAY);
    assert_duty(w, asked, ANSWER, B, ANSWERED_NOT_RECEIPTED);
    assert_duty(w, asked, ACKNOWLEDGE, B, ANSWERED_NOT_RECEIPTED);
}

/* The creditor withholds his receipt; when it comes, the answer was in time. */
static void test_act__is_not_late_by_a_receipt_that_was_withheld(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    world_pass(w, 500);
    int64_t said = w->now;
    (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    world_pass(w, 10 * DAY);
    world_receipt(w, B, A, w->now);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
    assert_int_equal(duty.state, ENT_DUTY_DONE);
    assert_true(duty.claimed);
    assert_int_equal(duty.done_unix_s, said);
}

/* Whoever dates an answer back is held to what he had receipted before he wrote it. */
static void test_act__dated_back_is_bounded_by_its_writers_receipts(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    ent_facts granted = {.outcome = ENT_OUTCOME_GRANTED};
    world_pass(w, 20000);
    (void)SAY(w, A, "feed.indicators", .to = 0);
    world_receipt(w, A, B, w->now);
    int64_t knew = w->now;
    (void)SAY(w, B, "answer.response", .reply_to = &asked, .facts = &granted, .time = WORLD_BEGIN);
    world_pass(w, 5);
    world_receipt(w, B, A, w->now);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
    assert_int_equal(duty.state, ENT_DUTY_DONE_LATE);
    assert_int_equal(duty.done_unix_s, knew);
    assert_true(duty.claimed);
}

static void test_act__dated_ahead_is_done_at_the_receipt(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    ent_facts granted = {.outcome = ENT_OUTCOME_GRANTED};
    (void)SAY(w, B, "answer.response", .reply_to = &asked, .facts = &granted, .time = w->now + 99 * DAY);
    world_pass(w, 5);
    world_receipt(w, B, A, w->now);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
    assert_int_equal(duty.state, ENT_DUTY_DONE);
    assert_int_equal(duty.done_unix_s, w->now);
    assert_false(duty.claimed);
}

/* --- contested by a revocation --- */

/* What whoever had the log key may have said: from the cutoff up to what tells of it, of that log alone. */
static void test_revocation__marks_duties_of_what_it_contests(void **state)
{
    world *w = *state;
    ent_ledger_ref before = ask(w);
    ent_ledger_ref asked = ask(w);
    ent_facts told = {.contests = true, .contests_from = asked.index};
    (void)world_answer(w, B, before, ENT_OUTCOME_GRANTED, 0);
    assert_false(world_duty(w, asked, ENT_DUTY_ANSWER, B).contested);
    world_pass(w, 10);
    (void)SAY(w, A, "channel.rotate", .facts = &told);
    ent_ledger_ref after = ask(w);
    assert_true(world_duty(w, asked, ENT_DUTY_ANSWER, B).contested);
    assert_true(world_duty(w, asked, ENT_DUTY_ACKNOWLEDGE, B).contested);
    assert_false(world_duty(w, before, ENT_DUTY_ANSWER, B).contested);
    assert_false(world_duty(w, after, ENT_DUTY_ANSWER, B).contested);
    assert_int_equal(world_duty(w, asked, ENT_DUTY_ANSWER, B).state, ENT_DUTY_OPEN); /* it is owed all the same */
}

static void test_revocation__marks_what_a_contested_act_does(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    ent_ledger_ref answer = world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    ent_facts empty = {.contests = true, .contests_from = answer.index + 1};
    ent_facts told = {.contests = true, .contests_from = answer.index};
    (void)SAY(w, B, "channel.rotate", .facts = &empty); /* of nothing */
    assert_false(world_duty(w, asked, ENT_DUTY_ANSWER, B).contested);
    (void)SAY(w, B, "channel.rotate", .facts = &told);
    assert_true(world_duty(w, asked, ENT_DUTY_ANSWER, B).contested);
}

/* --- what stands still --- */

static void test_clarification__stops_the_clock(void **state)
{
    world *w = *state;
    int64_t begin = w->now;
    ent_ledger_ref asked = ask(w);
    ent_facts clarifies = {.clarifies = true};
    world_pass(w, 1000);
    ent_ledger_ref question = world_answer(w, B, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    world_receipt(w, B, A, w->now);
    world_pass(w, DAY);
    assert_duty(w, asked, ANSWER, B, STOPPED);
    assert_duty(w, asked, ACKNOWLEDGE, B, DONE);
    (void)SAY(w, A, "answer.status", .reply_to = &question, .facts = &clarifies);
    assert_duty(w, asked, ANSWER, B, STOPPED);
    world_receipt(w, A, B, w->now);
    assert_duty(w, asked, ANSWER, B, OPEN);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), begin + 10000 + DAY);
}

/* A clarification starts the debtor's clock again: at his receipt for it, not at the time that it gives itself. */
static void test_clarification__dated_back_takes_no_time_away(void **state)
{
    world *w = *state;
    int64_t begin = w->now;
    ent_ledger_ref asked = ask(w);
    ent_facts clarifies = {.clarifies = true};
    ent_ledger_ref question = world_answer(w, B, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    world_receipt(w, B, A, w->now);
    world_pass(w, DAY);
    (void)SAY(w, A, "answer.status", .reply_to = &question, .facts = &clarifies, .time = begin + 1);
    world_receipt(w, A, B, w->now);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), begin + 10000 + DAY);
}

static void test_clarification__asked_without_a_receipt_stops_the_clock(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    world_pass(w, 1000);
    (void)world_answer(w, B, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    world_pass(w, DAY);
    assert_duty(w, asked, ANSWER, B, STOPPED);
}

static void test_clarification__asked_too_late_stays_overdue(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    world_pass(w, 20000);
    (void)world_answer(w, B, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    world_receipt(w, B, A, w->now);
    assert_duty(w, asked, ANSWER, B, OVERDUE);
}

/* Only who was asked can clarify, and only for whom he means. */
static void test_clarification__by_somebody_else_changes_nothing(void **state)
{
    world *w = *state;
    ent_facts clarifies = {.clarifies = true};
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref one = world_answer(w, B, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    (void)world_answer(w, C, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    meet(w);
    (void)SAY(w, C, "answer.status", .reply_to = &one, .facts = &clarifies);
    (void)SAY(w, B, "answer.status", .reply_to = &one, .facts = &clarifies);
    meet(w);
    assert_duty(w, asked, ANSWER, B, STOPPED);
    (void)SAY(w, A, "answer.status", .reply_to = &one, .facts = &clarifies);
    meet(w);
    assert_duty(w, asked, ANSWER, B, OPEN);
    assert_duty(w, asked, ANSWER, C, STOPPED);
}

static void test_suspension__freezes_what_is_due(void **state)
{
    world *w = *state;
    int64_t begin = w->now;
    ent_ledger_ref asked = ask(w);
    world_pass(w, 400);
    ent_ledger_ref suspend = SAY(w, A, "channel.suspend", .to = 0);
    world_receipt(w, A, B, w->now);
    world_pass(w, DAY);
    assert_duty(w, asked, ANSWER, B, FROZEN);
    assert_duty(w, asked, ACKNOWLEDGE, B, FROZEN);
    (void)SAY(w, A, "channel.resume", .reply_to = &suspend);
    world_receipt(w, A, B, w->now);
    assert_int_equal(due(w, asked, ENT_DUTY_ACKNOWLEDGE, B), begin + DAY + 1000);
    world_pass(w, 601);
    assert_duty(w, asked, ACKNOWLEDGE, B, OVERDUE);
}

static void test_suspension__after_the_due_time_changes_nothing(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    world_pass(w, 20000);
    (void)SAY(w, B, "channel.suspend", .to = 0);
    world_receipt(w, B, A, w->now);
    assert_duty(w, asked, ANSWER, B, OVERDUE);
    world_receipt(w, B, A, w->now - 19000); /* dated back, by the creditor or whoever */
    assert_duty(w, asked, ANSWER, B, OVERDUE);
}

static void test_suspension__that_nobody_has_seen_freezes_nothing(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    (void)SAY(w, B, "channel.suspend", .to = 0);
    world_pass(w, 20000);
    assert_duty(w, asked, ANSWER, B, OVERDUE);
}

static void test_service_hours__count_for_their_party_alone(void **state)
{
    world *w = *state;
    int64_t monday = WORLD_BEGIN;
    ent_ledger_ref asked = SAY(w, A, "request.assistance", .to = 0);
    world_receipt(w, A, B, monday + 6 * HOUR);
    /* four hours on Monday, five on Tuesday, one on the Monday after */
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), monday + 7 * DAY + 6 * HOUR);
    world_deliver(w, B, A);
    ent_ledger_ref other = SAY(w, B, "request.assistance", .to = 0);
    world_receipt(w, B, A, monday + 6 * HOUR);
    assert_int_equal(due(w, other, ENT_DUTY_ANSWER, A), monday + 16 * HOUR);
}

/* --- which deadline --- */

static void test_deadline__is_that_of_the_urgency_or_of_the_next_below(void **state)
{
    world *w = *state;
    static const struct {
        ent_urgency urgency;
        int64_t seconds;
    } rows[] = {{ENT_URGENCY_ROUTINE, 10000},
                {ENT_URGENCY_PRIORITY, 10000},
                {ENT_URGENCY_IMMEDIATE, 1000},
                {ENT_URGENCY_FLASH, 1000}};
    for (size_t i = 0; i < 4; i++) {
        ent_ledger_ref asked = SAY(w, A, "request.information", .urgency = rows[i].urgency);
        world_receipt(w, A, B, w->now);
        assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), w->now + rows[i].seconds);
    }
}

static void test_deadline__of_a_protected_system_is_that_of_its_floor(void **state)
{
    world *w = *state;
    ent_facts facts = {.systems = {ENT_TEXT("food"), ENT_TEXT("health")}, .system_count = 2};
    ent_ledger_ref asked = SAY(w, A, "request.information", .facts = &facts);
    world_receipt(w, A, B, w->now);
    assert_int_equal(due(w, asked, ENT_DUTY_ANSWER, B), w->now + 1000);
    assert_int_equal(world_duty(w, asked, ENT_DUTY_ANSWER, B).urgency, ENT_URGENCY_IMMEDIATE);
    ent_ledger_ref flash = SAY(w, A, "request.information", .facts = &facts, .urgency = ENT_URGENCY_FLASH);
    assert_int_equal(world_thread_of(w, flash).view.urgency, ENT_URGENCY_FLASH);
}

static void test_deadline__is_none_where_the_terms_name_none(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.takedown", .to = 0);
    world_receipt(w, A, B, w->now);
    world_pass(w, 99 * DAY);
    assert_duty(w, asked, ANSWER, B, OPEN);
    assert_false(world_duty(w, asked, ENT_DUTY_ANSWER, B).has_due);
    assert_false(world_has_duty(w, asked, ENT_DUTY_ACKNOWLEDGE, B));
}

/* A thread about something else has no arrow for an answer to an item in it. */
static void test_deadline__of_evidence_beside_asks_for_an_acknowledgement_only(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    ent_ledger_ref beside = SAY(w, A, "evidence.item", .reply_to = &proposal);
    ent_ledger_ref alone = SAY(w, A, "evidence.item", .to = 0);
    assert_true(world_has_duty(w, beside, ENT_DUTY_ACKNOWLEDGE, B));
    assert_false(world_has_duty(w, beside, ENT_DUTY_ANSWER, B));
    assert_true(world_has_duty(w, alone, ENT_DUTY_ANSWER, B));
}

/* --- validity --- */

static void test_terms__have_no_effect_after_their_end(void **state)
{
    world *w = *state;
    ent_facts declines = {.declines_extension = true};
    int64_t end = WORLD_BEGIN + 21 * DAY; /* 2024-07-01 */
    ent_ledger_ref early = ask(w);
    (void)SAY(w, B, "channel.review", .facts = &declines);
    world_receipt(w, B, A, w->now);
    w->now = end - 1;
    ent_ledger_ref last = ask(w);
    assert_true(world_duty(w, last, ENT_DUTY_ANSWER, B).has_due);
    w->now = end;
    ent_ledger_ref after = ask(w);
    assert_false(world_duty(w, after, ENT_DUTY_ANSWER, B).has_due);
    assert_false(world_has_duty(w, after, ENT_DUTY_ACKNOWLEDGE, B));
    w->now = end + DAY;
    assert_duty(w, early, ANSWER, B, OVERDUE); /* open threads keep theirs */
    assert_duty(w, last, ANSWER, B, OVERDUE);
}

static void test_terms__extend_where_nobody_declined_in_time(void **state)
{
    world *w = *state;
    ent_facts declines = {.declines_extension = true};
    int64_t end = WORLD_BEGIN + 21 * DAY;
    w->now = end - 5 * DAY;
    (void)SAY(w, B, "channel.review", .facts = &declines); /* a moment too late for this time */
    world_receipt(w, B, A, w->now);
    w->now = end + 1;
    ent_ledger_ref asked = ask(w);
    assert_true(world_duty(w, asked, ENT_DUTY_ANSWER, B).has_due);
    w->now = end + 30 * DAY;
    asked = ask(w);
    assert_false(world_duty(w, asked, ENT_DUTY_ANSWER, B).has_due);
}

/* A receipt dated before the terms began would else free its giver from them. */
static void test_terms__are_not_escaped_by_a_receipt_dated_back(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    world_receipt(w, A, B, 1000);
    assert_true(world_duty(w, asked, ENT_DUTY_ANSWER, B).has_due);
    assert_duty(w, asked, ANSWER, B, OVERDUE);
}

/* --- the writer's own, and what comes later --- */

static void test_incident__obliges_its_writer(void **state)
{
    world *w = *state;
    ent_ledger_ref warned = SAY(w, A, "incident.early-warning", .to = 0);
    assert_duty(w, warned, NOTIFICATION, A, SENT_NOT_RECEIPTED);
    int64_t heard = w->now + 7;
    world_receipt(w, A, B, heard);
    assert_int_equal(due(w, warned, ENT_DUTY_NOTIFICATION, A), heard + 5000);
    assert_int_equal(due(w, warned, ENT_DUTY_FINAL, A), heard + 90000);
    assert_int_equal(world_duty(w, warned, ENT_DUTY_FINAL, A).creditor, ENT_LEDGER_NOBODY);
    world_pass(w, 1000);
    ent_ledger_ref told = SAY(w, A, "incident.notification", .reply_to = &warned);
    world_receipt(w, A, B, w->now);
    assert_duty(w, warned, NOTIFICATION, A, DONE);
    assert_int_equal(due(w, told, ENT_DUTY_FINAL, A), w->now + 80000);
    world_pass(w, 85000);
    (void)SAY(w, A, "incident.final", .reply_to = &told);
    world_receipt(w, A, B, w->now);
    assert_duty(w, warned, FINAL, A, DONE);
    assert_duty(w, told, FINAL, A, DONE_LATE);
}

/* Nobody starts another's clock before he has written. */
static void test_incident__is_not_overdue_by_a_receipt_dated_back(void **state)
{
    world *w = *state;
    ent_ledger_ref warned = SAY(w, A, "incident.early-warning", .to = 0);
    world_receipt(w, A, B, w->now - 10 * DAY);
    assert_int_equal(due(w, warned, ENT_DUTY_NOTIFICATION, A), w->now + 5000);
}

static void test_incident__starts_with_the_first_addressee(void **state)
{
    world *w = *state;
    ent_ledger_ref warned = SAY(w, A, "incident.early-warning", .to = 1 << C);
    world_receipt(w, A, B, w->now);
    assert_duty(w, warned, NOTIFICATION, A, SENT_NOT_RECEIPTED);
    world_receipt(w, A, C, w->now + 3);
    assert_int_equal(due(w, warned, ENT_DUTY_NOTIFICATION, A), w->now + 3 + 5000);
}

static void test_postponed__is_followed_up_by_the_date_named(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    int64_t until = w->now + 3 * DAY;
    (void)world_answer(w, B, asked, ENT_OUTCOME_POSTPONED, until);
    world_receipt(w, B, A, w->now);
    assert_duty(w, asked, ANSWER, B, DONE);
    assert_int_equal(due(w, asked, ENT_DUTY_FOLLOW_UP, B), until);
    w->now = until + 1;
    assert_duty(w, asked, FOLLOW_UP, B, OVERDUE);
    (void)world_answer(w, B, asked, ENT_OUTCOME_POSTPONED, until + DAY);
    world_receipt(w, B, A, w->now);
    world_thread thread = world_thread_of(w, asked);
    assert_int_equal(thread.duties[thread.view.duty_count - 1].due_unix_s, until + DAY);
    assert_duty(w, asked, FOLLOW_UP, B, DONE_LATE);
    (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    world_receipt(w, B, A, w->now);
    thread = world_thread_of(w, asked);
    assert_int_equal(thread.duties[thread.view.duty_count - 1].state, ENT_DUTY_DONE);
}

static void test_recall__ends_what_was_asked(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = ask(w);
    (void)SAY(w, A, "correction.recall", .reply_to = &asked);
    world_receipt(w, A, B, w->now);
    world_pass(w, DAY);
    assert_duty(w, asked, ANSWER, B, ENDED);
    assert_duty(w, asked, ACKNOWLEDGE, B, ENDED);
}

static void test_check__is_due_when_it_says(void **state)
{
    world *w = *state;
    ent_facts facts = {.has_nonce = true, .until_unix_s = w->now + 77};
    ent_ledger_ref check = SAY(w, A, "contact.check", .facts = &facts);
    assert_duty(w, check, ANSWER, B, SENT_NOT_RECEIPTED);
    world_receipt(w, A, B, w->now);
    assert_int_equal(due(w, check, ENT_DUTY_ANSWER, B), w->now + 77);
    ent_facts echo = {.has_nonce = true, .has_echo = true};
    ent_ledger_ref answer = SAY(w, B, "contact.check", .reply_to = &check, .facts = &echo);
    world_receipt(w, B, A, w->now);
    assert_duty(w, check, ANSWER, B, DONE);
    assert_false(world_has_duty(w, answer, ENT_DUTY_ANSWER, A));
}

/* One answer to a later message of the same writer does the earlier ones too. */
static void test_answer__does_what_was_asked_before(void **state)
{
    world *w = *state;
    ent_ledger_ref told = SAY(w, A, "incident.notification", .to = 0);
    ent_ledger_ref more = SAY(w, A, "incident.update", .reply_to = &told);
    meet(w);
    (void)world_answer(w, B, more, ENT_OUTCOME_GRANTED, 0);
    meet(w);
    assert_duty(w, told, ANSWER, B, DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_duty__is_overdue_one_second_after_it_is_due),
        TEST(test_duty__is_done_in_time_at_the_second_it_is_due),
        TEST(test_start__without_a_receipt_is_never_overdue),
        TEST(test_start__is_the_earliest_receipt),
        TEST(test_start__by_a_receipt_dated_ahead),
        TEST_WITH_A_THIRD(test_start__is_each_debtors_own_receipt),
        TEST(test_act__that_was_not_receipted_is_never_overdue),
        TEST(test_act__is_not_late_by_a_receipt_that_was_withheld),
        TEST(test_act__dated_back_is_bounded_by_its_writers_receipts),
        TEST(test_act__dated_ahead_is_done_at_the_receipt),
        TEST(test_revocation__marks_duties_of_what_it_contests),
        TEST(test_revocation__marks_what_a_contested_act_does),
        TEST(test_clarification__stops_the_clock),
        TEST(test_clarification__dated_back_takes_no_time_away),
        TEST(test_clarification__asked_without_a_receipt_stops_the_clock),
        TEST(test_clarification__asked_too_late_stays_overdue),
        TEST_WITH_A_THIRD(test_clarification__by_somebody_else_changes_nothing),
        TEST(test_suspension__freezes_what_is_due),
        TEST(test_suspension__after_the_due_time_changes_nothing),
        TEST(test_suspension__that_nobody_has_seen_freezes_nothing),
        TEST(test_service_hours__count_for_their_party_alone),
        TEST(test_deadline__is_that_of_the_urgency_or_of_the_next_below),
        TEST(test_deadline__of_a_protected_system_is_that_of_its_floor),
        TEST(test_deadline__is_none_where_the_terms_name_none),
        TEST(test_deadline__of_evidence_beside_asks_for_an_acknowledgement_only),
        TEST(test_terms__have_no_effect_after_their_end),
        TEST(test_terms__extend_where_nobody_declined_in_time),
        TEST(test_terms__are_not_escaped_by_a_receipt_dated_back),
        TEST(test_incident__obliges_its_writer),
        TEST(test_incident__is_not_overdue_by_a_receipt_dated_back),
        TEST_WITH_A_THIRD(test_incident__starts_with_the_first_addressee),
        TEST(test_postponed__is_followed_up_by_the_date_named),
        TEST(test_recall__ends_what_was_asked),
        TEST(test_check__is_due_when_it_says),
        TEST(test_answer__does_what_was_asked_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
