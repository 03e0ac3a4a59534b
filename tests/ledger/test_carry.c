/* Duties of the channel before, in the one that succeeds it: whose they are, and by which clock (docs/ledger.md,
 * "Carried over"). */
#include "expect.h"

static const char terms[] =
    "{\"title\":\"T\",\"parties\":[\"a.example\",\"b.example\",\"c.example\"],"
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2024-07-01T00:00:00Z\"},"
    "\"deadlines\":["
    "{\"kind\":\"request.information\",\"urgency\":\"routine\",\"acknowledge_s\":1000,\"answer_s\":10000},"
    "{\"kind\":\"incident.early-warning\",\"urgency\":\"routine\",\"notification_s\":5000,\"final_s\":90000}]}";

#define MESSAGE(name, number)                                                                                          \
    {                                                                                                                  \
        .party = {name ".example", sizeof name ".example" - 1}, .index = (number)                                      \
    }
#define PARTY(name)                                                                                                    \
    {                                                                                                                  \
        name ".example", sizeof name ".example" - 1                                                                    \
    }

enum { STARTED = WORLD_BEGIN - 5000, DUE = WORLD_BEGIN + 777 };

/* B owes A an answer to A's fifth message, and by a clock of its own an acknowledgement; A owes a notification. */
static ent_carried rows[] = {
    {MESSAGE("a", 5), ENT_DUTY_ANSWER, PARTY("b"), STARTED, DUE},
    {MESSAGE("a", 6), ENT_DUTY_ACKNOWLEDGE, PARTY("b"), 0, 0},
    {MESSAGE("a", 7), ENT_DUTY_NOTIFICATION, PARTY("a"), STARTED, DUE},
};

/* Everybody's first entry; `accepts` says whose lists the rows. */
static int begin(void **state, uint32_t accepts, bool succeeds)
{
    world *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -1;
    world_begin_bare(w, 3, terms);
    w->genesis.has_predecessor = succeeds;
    w->ledger = world_ledger(w);
    for (uint32_t m = 0; m < 3; m++) {
        ent_facts facts = {0};
        world_facts_terms(&facts, terms, 0);
        if ((accepts >> m & 1) != 0) {
            facts.carried = rows;
            facts.carried_count = sizeof rows / sizeof rows[0];
        }
        (void)SAY(w, m, "channel.genesis", .facts = &facts);
    }
    world_meet(w);
    world_pass(w, 60);
    *state = w;
    return 0;
}

static int begin_accepted(void **state)
{
    return begin(state, 7, true);
}

static int begin_not_accepted_by_b(void **state)
{
    return begin(state, 5, true);
}

static int begin_without_predecessor(void **state)
{
    return begin(state, 7, false);
}

static ent_ledger_ref again(world *w, uint32_t member, const char *kind, uint64_t index)
{
    ent_facts facts = {.has_continues = true, .continues = MESSAGE("a", 0)};
    facts.continues.index = index;
    ent_ledger_ref said = world_say(w, member, kind, &(saying){.facts = &facts});
    world_meet(w);
    return said;
}

static void test_carried__answer_keeps_its_clock(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = again(w, A, "request.information", 5);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, B);
    assert_true(duty.carried);
    assert_int_equal(duty.start_unix_s, STARTED);
    assert_int_equal(duty.due_unix_s, DUE);
    assert_int_equal(duty.creditor, A);
    assert_false(world_has_duty(w, asked, ENT_DUTY_ACKNOWLEDGE, B)); /* that was done in the channel before */
    w->now = DUE + 1;
    assert_duty(w, asked, ANSWER, B, OVERDUE);
    (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    world_receipt(w, B, A, w->now);
    assert_duty(w, asked, ANSWER, B, DONE_LATE);
}

/* A request of A's that is as new to somebody as if nothing had been before it. */
static void assert_begins_anew(world *w, uint32_t debtor)
{
    ent_ledger_ref asked = again(w, A, "request.information", 5);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ANSWER, debtor);
    assert_false(duty.carried);
    assert_int_equal(duty.due_unix_s, w->now + 10000);
    assert_true(world_has_duty(w, asked, ENT_DUTY_ACKNOWLEDGE, debtor));
}

/* C has accepted nothing: the message is new to him. */
static void test_carried__others_owe_by_the_terms(void **state)
{
    assert_begins_anew(*state, C);
}

static void test_carried__without_a_start_begins_anew(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = again(w, A, "request.information", 6);
    ent_duty duty = world_duty(w, asked, ENT_DUTY_ACKNOWLEDGE, B);
    assert_false(duty.carried);
    assert_int_equal(duty.start_unix_s, w->now);
    assert_int_equal(duty.due_unix_s, w->now + 1000);
    assert_false(world_has_duty(w, asked, ENT_DUTY_ANSWER, B));
}

static void test_carried__obliges_its_own_writer(void **state)
{
    world *w = *state;
    ent_ledger_ref warned = again(w, A, "incident.early-warning", 7);
    ent_duty duty = world_duty(w, warned, ENT_DUTY_NOTIFICATION, A);
    assert_int_equal(duty.due_unix_s, DUE);
    assert_int_equal(duty.creditor, ENT_LEDGER_NOBODY);
    assert_false(world_has_duty(w, warned, ENT_DUTY_FINAL, A));
}

/* Nobody is bound, nor kept to an old clock, by what another says of him. */
static void test_carried__is_nothing_to_who_has_not_accepted_it(void **state)
{
    assert_begins_anew(*state, B);
}

static void test_carried__is_continued_by_its_writer_alone(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = again(w, C, "request.information", 5);
    assert_false(world_duty(w, asked, ENT_DUTY_ANSWER, B).carried);
    assert_int_equal(world_duty(w, asked, ENT_DUTY_ANSWER, B).due_unix_s, w->now + 10000);
}

static void test_continued__is_found(void **state)
{
    world *w = *state;
    const ent_message_ref five = MESSAGE("a", 5);
    const ent_message_ref six = MESSAGE("a", 6);
    assert_false(ent_ledger_has_continued(w->ledger, A, &five));
    (void)again(w, A, "request.information", 5);
    assert_true(ent_ledger_has_continued(w->ledger, A, &five));
    assert_false(ent_ledger_has_continued(w->ledger, A, &six));
    assert_false(ent_ledger_has_continued(w->ledger, B, &five));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_carried__answer_keeps_its_clock, begin_accepted, end_world),
        cmocka_unit_test_setup_teardown(test_carried__others_owe_by_the_terms, begin_accepted, end_world),
        cmocka_unit_test_setup_teardown(test_carried__without_a_start_begins_anew, begin_accepted, end_world),
        cmocka_unit_test_setup_teardown(test_carried__obliges_its_own_writer, begin_accepted, end_world),
        cmocka_unit_test_setup_teardown(test_carried__is_nothing_to_who_has_not_accepted_it, begin_not_accepted_by_b,
                                        end_world),
        cmocka_unit_test_setup_teardown(test_carried__is_nothing_to_who_has_not_accepted_it, begin_without_predecessor,
                                        end_world),
        cmocka_unit_test_setup_teardown(test_carried__is_continued_by_its_writer_alone, begin_accepted, end_world),
        cmocka_unit_test_setup_teardown(test_continued__is_found, begin_accepted, end_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
