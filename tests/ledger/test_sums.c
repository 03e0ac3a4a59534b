/* What follows from all threads together: balances, answer times, the threat level, exercises, the past; and that
 * running out of memory anywhere leaves nothing behind. */
#include "expect.h"

#include "program.h"

static const char terms[] =
    "{\"title\":\"T\",\"parties\":[\"a.example\",\"b.example\"],"
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2025-07-01T00:00:00Z\",\"extension\":null},"
    "\"deadlines\":["
    "{\"kind\":\"request.information\",\"urgency\":\"routine\",\"answer_s\":1000},"
    "{\"kind\":\"contact.check\",\"urgency\":\"routine\",\"answer_s\":50}],"
    "\"reciprocity\":[{\"class\":\"information\",\"kinds\":[\"request.information\",\"incident.notification\"],"
    "\"hold_back_at_balance\":2},"
    "{\"class\":\"proposals\",\"kinds\":[\"proposal.proposal\"],\"hold_back_at_balance\":null}],"
    "\"threat_level\":{\"window_s\":1000,\"severity_weights\":{\"low\":1,\"medium\":3,\"high\":8,\"critical\":20},"
    "\"levels\":[{\"name\":\"guarded\",\"from\":0},{\"name\":\"elevated\",\"from\":8},{\"name\":\"high\",\"from\":20}]}"
    "}";

static int begin_terms(void **state)
{
    return begin_world(state, 2, terms);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin_terms, end_world)

static ent_ledger_sums sum_at(const world *w, ent_moment moment)
{
    ent_ledger_sums sums = {0};
    assert_int_equal(ent_ledger_sum(w->ledger, moment, &sums, NULL).code, ENT_OK);
    return sums;
}

static ent_balance balance(const world *w, size_t class_at, uint32_t from, uint32_t to)
{
    ent_balance found = {0};
    ent_ledger_sums sums = sum_at(w, world_now(w));
    bool is_there = false;
    for (size_t i = 0; i < sums.balance_count; i++) {
        if (sums.balances[i].class_at == class_at && sums.balances[i].from == from && sums.balances[i].to == to) {
            found = sums.balances[i];
            is_there = true;
        }
    }
    ent_ledger_sums_release(&sums);
    assert_true(is_there);
    return found;
}

/* A asks, B answers after so many seconds. */
static void ask_and_answer(world *w, ent_outcome outcome, int64_t after)
{
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    world_receipt(w, A, B, w->now);
    world_pass(w, after);
    (void)world_answer(w, B, asked, outcome, 0);
    world_receipt(w, B, A, w->now);
}

static void test_balance__counts_what_was_asked_and_given(void **state)
{
    world *w = *state;
    ask_and_answer(w, ENT_OUTCOME_GRANTED, 10);
    ask_and_answer(w, ENT_OUTCOME_PARTIAL, 2000);
    ask_and_answer(w, ENT_OUTCOME_REFUSED, 10);
    ask_and_answer(w, ENT_OUTCOME_IMPOSSIBLE, 10);
    ent_ledger_ref open = SAY(w, A, "request.information", .to = 0);
    world_receipt(w, A, B, w->now);
    (void)SAY(w, B, "answer.acknowledgement", .reply_to = &open);
    world_pass(w, 5000);
    (void)SAY(w, A, "request.information", .to = 0); /* sent, not receipted: not asked yet */
    ent_balance asked = balance(w, 0, A, B);
    assert_int_equal(asked.asked, 5);
    assert_int_equal(asked.acknowledged, 5);
    assert_int_equal(asked.answered, 4);
    assert_int_equal(asked.answered_in_time, 3);
    assert_int_equal(asked.granted, 2);
    assert_int_equal(asked.refused, 2);
    assert_int_equal(asked.overdue, 1);
    assert_int_equal(asked.received, 2);
    assert_int_equal(asked.given, 0);
    assert_false(asked.may_hold_back);
    ent_balance other = balance(w, 0, B, A);
    assert_int_equal(other.asked, 0);
    assert_int_equal(other.given, 2);
    assert_true(other.may_hold_back); /* 2 given, 0 received, held back at 2 */
    /* what A tells of its own accord counts as given, once B has it */
    ent_ledger_ref told = SAY(w, A, "incident.notification", .to = 0);
    assert_true(balance(w, 0, B, A).may_hold_back);
    world_receipt(w, A, B, w->now);
    assert_false(balance(w, 0, B, A).may_hold_back);
    assert_int_equal(balance(w, 0, A, B).given, 1);
    (void)SAY(w, A, "correction.recall", .reply_to = &told);
    assert_int_equal(balance(w, 0, A, B).given, 0);
}

static void test_balance__of_another_class_is_its_own(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, B, "proposal.proposal", .to = 0);
    meet(w);
    (void)world_accept(w, A, proposal);
    meet(w);
    assert_int_equal(balance(w, 1, B, A).granted, 1);
    assert_int_equal(balance(w, 1, A, B).given, 1);
    assert_false(balance(w, 1, A, B).may_hold_back); /* never, in this class */
    assert_int_equal(balance(w, 0, B, A).granted, 0);
}

static void test_answer_times__have_the_lower_median(void **state)
{
    world *w = *state;
    static const int64_t took[] = {40, 10, 30, 20};
    for (size_t i = 0; i < 4; i++)
        ask_and_answer(w, ENT_OUTCOME_GRANTED, took[i]);
    ent_ledger_sums sums = sum_at(w, world_now(w));
    assert_int_equal(sums.answer_times[B].count, 4);
    assert_int_equal(sums.answer_times[B].median_s, 20);
    assert_int_equal(sums.answer_times[A].count, 0);
    assert_int_equal(sums.answer_times[A].median_s, 0);
    assert_int_equal(sums.duties_in_time, 4);
    ent_ledger_sums_release(&sums);
}

static void test_checks__are_counted_apart(void **state)
{
    world *w = *state;
    for (int i = 0; i < 3; i++) {
        ent_facts nonce = {.has_nonce = true, .nonce = {(uint8_t)i}};
        ent_facts echo = {.has_nonce = true, .has_echo = true, .echo = {(uint8_t)i}};
        ent_ledger_ref check = SAY(w, A, "contact.check", .facts = &nonce);
        world_receipt(w, A, B, w->now);
        world_pass(w, i == 1 ? 60 : 20);
        if (i == 2)
            continue;
        (void)SAY(w, B, "contact.check", .reply_to = &check, .facts = &echo);
        world_receipt(w, B, A, w->now);
    }
    int64_t last = w->now - 20;
    world_pass(w, 100);
    ent_ledger_sums sums = sum_at(w, world_now(w));
    assert_int_equal(sums.checks[B].asked, 3);
    assert_int_equal(sums.checks[B].answered, 2);
    assert_int_equal(sums.checks[B].missed, 2);
    assert_int_equal(sums.checks[B].median_s, 20);
    assert_int_equal(sums.checks[B].last_unix_s, last);
    assert_int_equal(sums.answer_times[B].count, 0);
    ent_ledger_sums_release(&sums);
}

static void assert_threat(const world *w, int64_t now, uint64_t sum, const char *level)
{
    ent_ledger_sums sums = sum_at(w, (ent_moment){INT64_MAX, now});
    assert_int_equal(sums.threat_sum, sum);
    assert_true(ent_text_is(sums.threat_level, level));
    ent_ledger_sums_release(&sums);
}

static void test_threat__is_the_sum_of_what_lies_in_the_window(void **state)
{
    world *w = *state;
    ent_facts high = {.severity = ENT_SEVERITY_HIGH};
    ent_facts low = {.severity = ENT_SEVERITY_LOW};
    ent_facts critical = {.severity = ENT_SEVERITY_CRITICAL};
    assert_threat(w, w->now, 0, "guarded");
    ent_ledger_ref one = SAY(w, A, "incident.early-warning", .facts = &high);
    assert_threat(w, w->now, 0, "guarded"); /* nobody has it yet */
    int64_t seen = w->now;
    world_receipt(w, A, B, seen);
    assert_threat(w, seen, 8, "elevated");
    assert_threat(w, seen + 1000, 8, "elevated");
    assert_threat(w, seen + 1001, 0, "guarded");
    (void)SAY(w, A, "incident.early-warning", .facts = &high, .exercise = true);
    world_deliver(w, A, B);
    (void)SAY(w, B, "incident.update", .reply_to = &one, .facts = &low); /* not his to say */
    world_meet(w);
    assert_threat(w, seen, 8, "elevated");
    (void)SAY(w, A, "incident.update", .reply_to = &one, .facts = &critical);
    assert_threat(w, seen, 20, "high");
    (void)SAY(w, A, "incident.update", .reply_to = &one, .facts = &low);
    assert_threat(w, seen, 1, "guarded");
    (void)SAY(w, A, "correction.recall", .reply_to = &one);
    assert_threat(w, seen, 0, "guarded");
}

static void test_exercises__are_counted_apart(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .exercise = true);
    meet(w);
    world_pass(w, 5000);
    assert_duty(w, asked, ANSWER, B, OVERDUE);
    ent_ledger_sums sums = sum_at(w, world_now(w));
    assert_int_equal(sums.duties_open, 0);
    assert_int_equal(sums.duties_overdue, 0);
    assert_int_equal(sums.exercise_duties, 1);
    assert_int_equal(sums.exercise_threads, 1);
    ent_ledger_sums_release(&sums);
    assert_int_equal(balance(w, 0, A, B).asked, 0);
}

static void test_exercises__change_nothing_that_is_real(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    ent_ledger_ref drill = SAY(w, A, "request.information", .exercise = true);
    ent_ledger_ref claim = SAY(w, A, "attribution.claim", .to = 0);
    meet(w);
    ent_facts granted = {.readable = true, .outcome = ENT_OUTCOME_GRANTED};
    ent_ledger_ref answer = SAY(w, B, "answer.response", .reply_to = &asked, .facts = &granted, .exercise = true);
    ent_ledger_ref told = SAY(w, B, "answer.acknowledgement", .reply_to = &asked, .exercise = true);
    ent_ledger_ref played = SAY(w, B, "answer.response", .reply_to = &drill, .facts = &granted, .exercise = true);
    ent_ledger_ref item = SAY(w, A, "evidence.item", .reply_to = &claim, .exercise = true);
    ent_ledger_ref more = SAY(w, A, "evidence.item", .reply_to = &item, .exercise = true);
    ent_ledger_ref suspend = SAY(w, A, "channel.suspend", .exercise = true);
    ent_facts declines = {.readable = true, .declines_extension = true};
    ent_ledger_ref review = SAY(w, B, "channel.review", .facts = &declines, .exercise = true);
    ent_ledger_ref later = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref refused[] = {answer, told, item, more, suspend, review};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_reason(w, refused[i], ENT_REASON_EXERCISE);
    assert_reason(w, played, ENT_ALLOWED);
    assert_reason(w, later, ENT_ALLOWED);
    assert_state(w, asked, B, ASKED);
    assert_state(w, drill, B, GRANTED);
    assert_duty(w, asked, ANSWER, B, OPEN);
}

/* --- the past, and the open --- */

static void test_past__is_as_it_was(void **state)
{
    world *w = *state;
    ent_buf before = {0};
    ent_buf after = {0};
    int64_t then = w->now;
    ask_and_answer(w, ENT_OUTCOME_GRANTED, 0);
    world_state(w->ledger, (ent_moment){INT64_MAX, then}, &before);
    world_pass(w, 1);
    ask_and_answer(w, ENT_OUTCOME_REFUSED, 5);
    (void)SAY(w, A, "proposal.proposal", .to = 0);
    world_state(w->ledger, (ent_moment){then, then}, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    assert_int_equal(ent_ledger_latest(w->ledger), w->now);
    ent_buf_release(&before);
    ent_buf_release(&after);
}

static ent_rc count_thread(void *context, const ent_thread_view *view, ent_err *err)
{
    size_t *count = context;
    (void)view;
    (void)err;
    ++*count;
    return ENT_DONE;
}

static ent_rc refuse_thread(void *context, const ent_thread_view *view, ent_err *err)
{
    (void)context;
    (void)view;
    return ent_fail(err, ENT_BUG, NULL, "enough");
}

static void test_walk_open__finds_what_is_open(void **state)
{
    world *w = *state;
    size_t count = 0;
    ask_and_answer(w, ENT_OUTCOME_GRANTED, 5);
    ent_ledger_ref open = SAY(w, A, "request.information", .to = 0);
    assert_int_equal(ent_ledger_walk_open(w->ledger, world_now(w), count_thread, &count, NULL).code, ENT_OK);
    assert_int_equal(count, 1);
    meet(w);
    (void)world_answer(w, B, open, ENT_OUTCOME_GRANTED, 0);
    count = 0;
    assert_int_equal(ent_ledger_walk_open(w->ledger, world_now(w), count_thread, &count, NULL).code, ENT_OK);
    assert_int_equal(count, 1); /* answered, not receipted */
    meet(w);
    count = 0;
    assert_int_equal(ent_ledger_walk_open(w->ledger, world_now(w), count_thread, &count, NULL).code, ENT_OK);
    assert_int_equal(count, 0);
    assert_int_equal(ent_ledger_walk(w->ledger, world_now(w), refuse_thread, NULL, NULL).code, ENT_BUG);
    (void)SAY(w, A, "request.information", .to = 0);
    assert_int_equal(ent_ledger_walk_open(w->ledger, world_now(w), refuse_thread, NULL, NULL).code, ENT_BUG);
}

/* --- memory --- */

static void drop(void *context, ent_text piece)
{
    size_t *size = context;
    *size += piece.size;
}

static ent_rc no_root(void *context, uint32_t member, uint64_t size, ent_hash *ret, ent_err *err)
{
    (void)context;
    (void)member;
    (void)size;
    (void)err;
    *ret = (ent_hash){{0}};
    return ENT_DONE;
}

/* All that a ledger can do, until something fails. */
static ent_rc use_ledger(const world *w, ent_ledger *ledger)
{
    size_t count = 0;
    ent_ledger_sums sums;
    char text[ENT_REASON_SIZE];
    ent_reason reason;
    ent_moment all = {INT64_MAX, w->now};
    ent_moment past = {WORLD_BEGIN + 300, w->now};
    for (size_t i = 0; i < w->event_count; i++) {
        const world_event *event = &w->events[i];
        if (event->is_receipt) {
            ENT_TRY(ent_ledger_receipt(ledger, event->member, event->receiver, event->size, event->time, NULL));
            continue;
        }
        const world_message *m = world_at(w, (ent_ledger_ref){event->member, event->index});
        ENT_TRY(ent_ledger_judge(ledger, event->member, &m->entry, &m->facts, &reason, text, NULL));
        ENT_TRY(ent_ledger_entry(ledger, event->member, &m->entry, &m->leaf, &m->facts, NULL));
    }
    ENT_TRY(ent_ledger_walk(ledger, past, count_thread, &count, NULL));
    ENT_TRY(ent_ledger_walk_open(ledger, all, count_thread, &count, NULL));
    ENT_TRY(ent_ledger_state_lines(ledger, all, drop, &count, NULL));
    ENT_TRY(ent_ledger_evidence_lines(ledger, past, no_root, NULL, drop, &count, NULL));
    ENT_TRY(ent_ledger_sum(ledger, past, &sums, NULL));
    ent_ledger_sums_release(&sums);
    return ENT_DONE;
}

static void test_memory__that_runs_out_anywhere_leaves_nothing(void **state)
{
    uint8_t choices[700];
    uint64_t seed = 4;
    world w;
    (void)state;
    for (size_t i = 0; i < sizeof choices; i++)
        choices[i] = (uint8_t)world_random(&seed);
    choices[0] = 0; /* two members */
    choices[1] = 0; /* under terms */
    program_run(&w, ent_bytes_of(choices, sizeof choices));
    unsigned long nth = 1;
    for (;; nth++) {
        ent_ledger *ledger = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_ledger_new(&w.channel, &w.genesis, &ledger, NULL);
        if (rc.code == ENT_OK)
            rc = use_ledger(&w, ledger);
        ent_alloc_fail_at(0);
        ent_ledger_free(ledger);
        if (rc.code == ENT_OK)
            break;
        assert_int_equal(rc.code, ENT_NOMEM);
    }
    assert_true(nth > 100);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_balance__counts_what_was_asked_and_given),
        TEST(test_balance__of_another_class_is_its_own),
        TEST(test_answer_times__have_the_lower_median),
        TEST(test_checks__are_counted_apart),
        TEST(test_threat__is_the_sum_of_what_lies_in_the_window),
        TEST(test_exercises__are_counted_apart),
        TEST(test_exercises__change_nothing_that_is_real),
        TEST(test_past__is_as_it_was),
        TEST(test_walk_open__finds_what_is_open),
        cmocka_unit_test(test_memory__that_runs_out_anywhere_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
