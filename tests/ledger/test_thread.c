/* Threads: what is allowed where, what crossed, what binds, what is recalled, and who was meant. */
#include "expect.h"

#include "message/kind.h"

/* --- places --- */

static void test_reply__to_nobody_here_is_refused(void **state)
{
    world *w = *state;
    world_message draft;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    char text[ENT_REASON_SIZE];
    ent_reason reason = ENT_ALLOWED;
    meet(w);
    world_draft(w, B, "answer.response", &(saying){.reply_to = &asked}, &draft);
    draft.entry.reply_to.party = ENT_TEXT("z.example");
    assert_int_equal(ent_ledger_judge(w->ledger, B, &draft.entry, &draft.facts, &reason, text, NULL).code, ENT_OK);
    assert_may(reason, ENT_REASON_REPLY_TO_NOTHING);
    draft.entry.reply_to = (ent_message_ref){w->genesis.members[B].name, draft.entry.index};
    assert_int_equal(ent_ledger_judge(w->ledger, B, &draft.entry, &draft.facts, &reason, text, NULL).code, ENT_OK);
    assert_may(reason, ENT_REASON_REPLY_TO_NOTHING);
}

static void test_reply__to_what_was_not_receipted_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    ent_ledger_ref later = {A, 40};
    assert_may(MAY(w, B, "answer.acknowledgement", .reply_to = &asked), ENT_REASON_REPLY_UNSEEN);
    assert_may(MAY(w, B, "answer.acknowledgement", .reply_to = &later), ENT_REASON_REPLY_UNSEEN);
    world_deliver(w, A, B);
    assert_may(MAY(w, B, "answer.acknowledgement", .reply_to = &asked), ENT_ALLOWED);
    assert_may(MAY(w, B, "answer.acknowledgement", .reply_to = &asked, .no_acks = true), ENT_REASON_REPLY_UNSEEN);
}

static void test_reply__that_names_another_conversation_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref one = SAY(w, A, "request.information", .to = 0);
    ent_ledger_ref two = SAY(w, A, "request.information", .to = 0);
    meet(w);
    assert_may(MAY(w, B, "answer.acknowledgement", .reply_to = &one, .thread = &two), ENT_REASON_THREAD_MISMATCH);
    assert_may(MAY(w, B, "request.takedown", .thread = &two), ENT_REASON_THREAD_MISMATCH);
    ent_ledger_ref answer = world_answer(w, B, one, ENT_OUTCOME_PARTIAL, 0);
    assert_may(MAY(w, B, "request.takedown", .reply_to = &answer, .thread = &answer), ENT_REASON_THREAD_MISMATCH);
    ent_ledger_ref more = SAY(w, B, "request.takedown", .reply_to = &answer);
    meet(w);
    assert_string_equal(world_thread_of(w, more).view.kind, "request.takedown");
    assert_may(MAY(w, A, "answer.acknowledgement", .reply_to = &more, .thread = &more), ENT_REASON_THREAD_MISMATCH);
    assert_may(MAY(w, A, "answer.acknowledgement", .reply_to = &more), ENT_ALLOWED);
}

static void test_reply__is_needed_by_kinds_that_answer(void **state)
{
    world *w = *state;
    ent_ledger_ref own = SAY(w, A, "request.information", .to = 0);
    assert_may(MAY(w, A, "answer.response", .to = 0), ENT_REASON_NO_THREAD);
    assert_may(MAY(w, A, "incident.update", .to = 0), ENT_REASON_NO_THREAD);
    assert_may(MAY(w, A, "answer.response", .reply_to = &own), ENT_REASON_OWN_MESSAGE);
    assert_may(MAY(w, A, "answer.status", .reply_to = &own), ENT_ALLOWED);
}

/* What answers a refused message that has no thread has none either, unless it passes everywhere. */
static void test_reply__to_what_has_no_place_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref lost = SAY(w, A, "answer.response", .to = 0);
    meet(w);
    assert_may(MAY(w, B, "answer.response", .reply_to = &lost), ENT_REASON_KIND_HERE);
    assert_may(MAY(w, B, "channel.notice", .reply_to = &lost), ENT_ALLOWED);
    assert_may(MAY(w, B, "request.information", .reply_to = &lost), ENT_ALLOWED);
}

static void test_reply__dated_before_what_it_answers_counts(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_facts granted = {.outcome = ENT_OUTCOME_GRANTED};
    ent_ledger_ref answer =
        SAY(w, B, "answer.response", .reply_to = &asked, .facts = &granted, .time = WORLD_BEGIN - DAY);
    assert_reason(w, answer, ENT_ALLOWED);
    assert_state(w, asked, B, GRANTED);
}

/* --- answers --- */

static void test_answer__a_second_one_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    ent_ledger_ref second = world_answer(w, B, asked, ENT_OUTCOME_REFUSED, 0);
    assert_reason(w, second, ENT_REASON_SECOND_ANSWER);
    assert_state(w, asked, B, GRANTED);
    assert_int_equal(world_thread_of(w, asked).tracks[0].outcome, ENT_OUTCOME_GRANTED);
}

static void test_answer__after_one_that_is_not_final_counts(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    ent_facts clarifies = {.clarifies = true};
    meet(w);
    ent_ledger_ref question = world_answer(w, B, asked, ENT_OUTCOME_NEEDS_CLARIFICATION, 0);
    assert_state(w, asked, B, CLARIFYING);
    meet(w);
    (void)SAY(w, A, "answer.status", .reply_to = &question, .facts = &clarifies);
    meet(w);
    (void)world_answer(w, B, asked, ENT_OUTCOME_POSTPONED, w->now + DAY);
    assert_state(w, asked, B, POSTPONED);
    assert_reason(w, world_answer(w, B, asked, ENT_OUTCOME_IMPOSSIBLE, 0), ENT_ALLOWED);
    assert_state(w, asked, B, IMPOSSIBLE);
}

static void test_answer__of_an_incident_does_not_close_it(void **state)
{
    world *w = *state;
    ent_ledger_ref warned = SAY(w, A, "incident.early-warning", .to = 0);
    meet(w);
    (void)world_answer(w, B, warned, ENT_OUTCOME_GRANTED, 0);
    assert_state(w, warned, B, WARNED);
    assert_reason(w, world_answer(w, B, warned, ENT_OUTCOME_GRANTED, 0), ENT_REASON_SECOND_ANSWER);
    ent_ledger_ref more = SAY(w, A, "incident.update", .reply_to = &warned);
    meet(w);
    assert_reason(w, world_answer(w, B, more, ENT_OUTCOME_GRANTED, 0), ENT_ALLOWED);
    assert_may(MAY(w, B, "incident.update", .reply_to = &more), ENT_REASON_WRONG_SIDE);
}

static void test_check__with_another_echo_is_refused(void **state)
{
    world *w = *state;
    ent_facts asks = {.has_nonce = true, .nonce = {1, 2, 3}};
    ent_ledger_ref check = SAY(w, A, "contact.check", .facts = &asks);
    ent_facts echo = {.has_nonce = true, .has_echo = true, .echo = {1, 2, 4}};
    meet(w);
    assert_may(MAY(w, B, "contact.check", .reply_to = &check), ENT_REASON_ECHO);
    assert_may(MAY(w, B, "contact.check", .reply_to = &check, .facts = &echo), ENT_REASON_ECHO);
    echo.echo[2] = 3;
    ent_ledger_ref answer = SAY(w, B, "contact.check", .reply_to = &check, .facts = &echo);
    assert_reason(w, answer, ENT_ALLOWED);
    assert_state(w, check, B, ANSWERED);
}

/* --- proposals --- */

static void test_accept__of_other_bytes_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    ent_facts facts = {.has_digest = true};
    meet(w);
    assert_may(MAY(w, B, "proposal.accept", .reply_to = &proposal, .facts = &facts), ENT_REASON_OTHER_DIGEST);
    assert_may(MAY(w, B, "proposal.accept", .reply_to = &proposal), ENT_REASON_OTHER_DIGEST);
    ent_ledger_ref accept = world_accept(w, B, proposal);
    assert_reason(w, accept, ENT_ALLOWED);
    world_thread thread = world_thread_of(w, proposal);
    assert_true(thread.view.bound);
    assert_memory_equal(&thread.view.accepted_digest, &world_at(w, proposal)->entry.body.digest, sizeof(ent_hash));
}

static void test_counter__takes_the_place_of_the_proposal(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    meet(w);
    ent_ledger_ref counter = SAY(w, B, "proposal.counter", .reply_to = &proposal);
    meet(w);
    assert_state(w, proposal, B, COUNTERED);
    assert_may(MAY(w, B, "proposal.counter", .reply_to = &proposal), ENT_REASON_WRONG_SIDE);
    ent_ledger_ref again = SAY(w, A, "proposal.counter", .reply_to = &counter);
    meet(w);
    assert_state(w, proposal, B, PROPOSED);
    assert_reason(w, world_accept(w, B, proposal), ENT_REASON_OTHER_DIGEST);
    assert_reason(w, world_accept(w, B, again), ENT_ALLOWED);
    world_thread thread = world_thread_of(w, proposal);
    assert_true(thread.view.bound);
    assert_int_equal(thread.view.accepted.index, again.index);
}

/* Both say theirs before they hear of the other's. */
static void cross(world *w, bool accept_first, ent_ledger_ref *proposal, ent_ledger_ref *accept,
                  ent_ledger_ref *withdraw)
{
    *proposal = SAY(w, A, "proposal.proposal", .to = 0);
    meet(w);
    *accept = world_accept(w, B, *proposal);
    *withdraw = SAY(w, A, "proposal.withdraw", .reply_to = proposal);
    world_receipt(w, B, A, w->now + (accept_first ? 1 : 20));
    world_receipt(w, A, B, w->now + (accept_first ? 20 : 1));
}

static void test_withdrawal__that_crosses_an_accept_withdraws(void **state)
{
    world *w = *state;
    for (int accept_first = 0; accept_first < 2; accept_first++) {
        ent_ledger_ref proposal, accept, withdraw;
        cross(w, accept_first != 0, &proposal, &accept, &withdraw);
        assert_state(w, proposal, B, WITHDRAWN);
        assert_reason(w, accept, ENT_ALLOWED);
        assert_reason(w, withdraw, ENT_ALLOWED);
        world_thread thread = world_thread_of(w, proposal);
        assert_true(thread.tracks[0].crossed);
        assert_false(thread.view.bound);
        world_pass(w, 100);
    }
}

static void test_withdrawal__after_the_accept_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    meet(w);
    (void)world_accept(w, B, proposal);
    meet(w);
    assert_may(MAY(w, A, "proposal.withdraw", .reply_to = &proposal), ENT_REASON_KIND_HERE);
}

static void test_accept__after_the_withdrawal_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    meet(w);
    (void)SAY(w, A, "proposal.withdraw", .reply_to = &proposal);
    meet(w);
    assert_reason(w, world_accept(w, B, proposal), ENT_REASON_KIND_HERE);
    world_thread thread = world_thread_of(w, proposal);
    assert_false(thread.tracks[0].crossed);
}

/* A rejection or withdrawal means an offer, not some remark beside it. */
static void test_reject__of_something_else_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    ent_ledger_ref item = SAY(w, A, "evidence.item", .reply_to = &proposal);
    meet(w);
    assert_may(MAY(w, B, "proposal.reject", .reply_to = &item), ENT_REASON_KIND_HERE);
    assert_may(MAY(w, A, "proposal.withdraw", .reply_to = &item), ENT_REASON_KIND_HERE);
    assert_may(MAY(w, B, "proposal.reject", .reply_to = &proposal), ENT_ALLOWED);
}

static void test_proposal__to_two_binds_once_both_accept(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    meet(w);
    (void)world_accept(w, B, proposal);
    assert_state(w, proposal, B, ACCEPTED);
    assert_state(w, proposal, C, PROPOSED);
    assert_false(world_thread_of(w, proposal).view.bound);
    (void)world_accept(w, C, proposal);
    assert_true(world_thread_of(w, proposal).view.bound);
}

static void test_counter__to_one_of_two_leaves_the_other_track(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    meet(w);
    ent_ledger_ref counter = SAY(w, B, "proposal.counter", .reply_to = &proposal);
    meet(w);
    assert_state(w, proposal, C, PROPOSED);
    assert_reason(w, world_accept(w, C, counter), ENT_REASON_OTHER_DIGEST);
    assert_false(world_has_duty(w, counter, ENT_DUTY_ANSWER, C));
    assert_true(world_has_duty(w, counter, ENT_DUTY_ANSWER, A));
    assert_reason(w, world_accept(w, A, counter), ENT_ALLOWED);
    assert_state(w, proposal, B, ACCEPTED);
    assert_reason(w, world_accept(w, C, proposal), ENT_ALLOWED);
    assert_false(world_thread_of(w, proposal).view.bound);
}

/* --- consultations --- */

static ent_ledger_ref agreed_consultation(world *w)
{
    ent_ledger_ref asked = SAY(w, A, "request.consultation", .to = 0);
    meet(w);
    for (uint32_t m = B; m < w->member_count; m++)
        (void)world_answer(w, m, asked, ENT_OUTCOME_GRANTED, 0);
    meet(w);
    return asked;
}

static void test_consultation__is_agreed_held_and_recorded(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = agreed_consultation(w);
    assert_state(w, asked, B, AGREED);
    ent_ledger_ref agenda = SAY(w, B, "consultation.agenda", .reply_to = &asked);
    meet(w);
    assert_state(w, asked, B, AGENDA);
    ent_ledger_ref record = SAY(w, A, "consultation.record", .reply_to = &agenda);
    meet(w);
    assert_state(w, asked, B, RECORDED);
    assert_may(MAY(w, A, "proposal.accept", .reply_to = &record), ENT_REASON_OWN_MESSAGE);
    (void)world_accept(w, B, record);
    assert_state(w, asked, B, BINDING);
    assert_true(world_thread_of(w, asked).view.bound);
    assert_may(MAY(w, A, "consultation.record", .reply_to = &agenda), ENT_REASON_KIND_HERE);
}

static void test_consultation__of_three_binds_once_all_accept_the_same(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = agreed_consultation(w);
    ent_ledger_ref record = SAY(w, B, "consultation.record", .reply_to = &asked);
    meet(w);
    assert_state(w, asked, B, RECORDED);
    assert_state(w, asked, C, RECORDED);
    assert_reason(w, world_accept(w, C, record), ENT_ALLOWED);
    assert_false(world_thread_of(w, asked).view.bound);
    assert_state(w, asked, C, RECORD_ACCEPTED);
    assert_reason(w, world_accept(w, A, record), ENT_ALLOWED);
    assert_state(w, asked, C, BINDING);
    world_thread thread = world_thread_of(w, asked);
    assert_true(thread.view.bound);
    assert_int_equal(thread.view.accepted.member, B);
}

/* Whoever has accepted one record already goes along to the next while not all have. */
static void test_consultation__a_rejected_record_gives_way_to_another(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = agreed_consultation(w);
    ent_ledger_ref record = SAY(w, A, "consultation.record", .reply_to = &asked);
    meet(w);
    assert_reason(w, world_accept(w, B, record), ENT_ALLOWED);
    meet(w);
    ent_ledger_ref reject = SAY(w, C, "proposal.reject", .reply_to = &record);
    assert_reason(w, reject, ENT_ALLOWED);
    assert_state(w, asked, B, AGENDA);
    assert_state(w, asked, C, AGENDA);
    meet(w);
    ent_ledger_ref better = SAY(w, A, "consultation.record", .reply_to = &reject);
    meet(w);
    assert_state(w, asked, B, RECORDED);
    assert_reason(w, world_accept(w, B, record), ENT_REASON_OTHER_DIGEST);
    assert_reason(w, world_accept(w, B, better), ENT_ALLOWED);
    assert_reason(w, world_accept(w, C, better), ENT_ALLOWED);
    world_thread thread = world_thread_of(w, asked);
    assert_true(thread.view.bound);
    assert_int_equal(thread.view.accepted.index, better.index);
}

static void test_consultation__another_record_reopens_what_not_all_accepted(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = agreed_consultation(w);
    ent_ledger_ref record = SAY(w, A, "consultation.record", .reply_to = &asked);
    meet(w);
    ent_ledger_ref accept = world_accept(w, B, record);
    meet(w);
    ent_ledger_ref better = SAY(w, A, "consultation.record", .reply_to = &accept);
    assert_reason(w, better, ENT_ALLOWED);
    assert_state(w, asked, B, RECORDED);
    assert_state(w, asked, C, RECORDED);
}

/* --- who was meant --- */

static void test_request__to_one_of_three_concerns_that_one(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 1 << B);
    meet(w);
    assert_int_equal(world_thread_of(w, asked).view.track_count, 1);
    assert_true(world_has_duty(w, asked, ENT_DUTY_ANSWER, B));
    assert_false(world_has_duty(w, asked, ENT_DUTY_ANSWER, C));
    assert_may(MAY(w, C, "answer.response", .reply_to = &asked), ENT_REASON_NOT_ADDRESSED);
    assert_may(MAY(w, C, "answer.acknowledgement", .reply_to = &asked), ENT_REASON_NOT_ADDRESSED);
    assert_may(MAY(w, C, "answer.status", .reply_to = &asked), ENT_REASON_NOT_ADDRESSED);
    assert_may(MAY(w, C, "evidence.item", .reply_to = &asked), ENT_ALLOWED);
}

static void test_request__to_two_has_a_track_for_each(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    (void)world_answer(w, B, asked, ENT_OUTCOME_REFUSED, 0);
    (void)SAY(w, C, "answer.acknowledgement", .reply_to = &asked);
    meet(w);
    assert_state(w, asked, B, REFUSED);
    assert_state(w, asked, C, ACKNOWLEDGED);
    assert_duty(w, asked, ANSWER, B, DONE);
    assert_duty(w, asked, ANSWER, C, OPEN);
}

static void test_addressees__must_be_other_members(void **state)
{
    world *w = *state;
    world_message draft;
    ent_text stranger = ENT_TEXT("z.example");
    char text[ENT_REASON_SIZE];
    ent_reason reason = ENT_ALLOWED;
    world_draft(w, A, "request.information", &(saying){.to = 1 << B}, &draft);
    draft.entry.to = &stranger;
    assert_int_equal(ent_ledger_judge(w->ledger, A, &draft.entry, &draft.facts, &reason, text, NULL).code, ENT_OK);
    assert_may(reason, ENT_REASON_TO_STRANGER);
    draft.entry.to = &w->genesis.members[A].name;
    assert_int_equal(ent_ledger_judge(w->ledger, A, &draft.entry, &draft.facts, &reason, text, NULL).code, ENT_OK);
    assert_may(reason, ENT_REASON_TO_STRANGER);
}

/* --- claims and evidence --- */

static ent_ledger_ref item_about(world *w, uint32_t member, ent_ledger_ref claim)
{
    ent_facts facts = {.ref_count = 1, .refs = {{w->genesis.members[claim.member].name, claim.index}}};
    return SAY(w, member, "evidence.item", .facts = &facts);
}

static void test_claim__is_unsupported_until_evidence_refers_to_it(void **state)
{
    world *w = *state;
    ent_ledger_ref claim = SAY(w, A, "attribution.claim", .to = 0);
    meet(w);
    assert_false(world_thread_of(w, claim).view.supported);
    (void)item_about(w, B, claim);
    (void)SAY(w, B, "evidence.item", .reply_to = &claim);
    meet(w);
    assert_false(world_thread_of(w, claim).view.supported);
    ent_ledger_ref item = item_about(w, A, claim);
    world_thread thread = world_thread_of(w, claim);
    assert_true(thread.view.supported);
    assert_int_equal(thread.view.evidence_count, 1);
    assert_int_equal(thread.evidence[0].index, item.index);
    (void)SAY(w, A, "correction.recall", .reply_to = &item);
    assert_false(world_thread_of(w, claim).view.supported);
    ent_ledger_ref inside = SAY(w, A, "evidence.item", .reply_to = &claim);
    assert_true(world_thread_of(w, claim).view.supported);
    (void)SAY(w, A, "correction.recall", .reply_to = &inside);
    assert_false(world_thread_of(w, claim).view.supported);
}

static void test_claim__may_name_evidence_handed_over_before(void **state)
{
    world *w = *state;
    ent_ledger_ref item = SAY(w, A, "evidence.item", .to = 0);
    ent_ledger_ref others = SAY(w, B, "evidence.item", .to = 0);
    meet(w);
    ent_facts names = {.ref_count = 3,
                       .refs = {{w->genesis.members[A].name, item.index},
                                {w->genesis.members[B].name, others.index},
                                {w->genesis.members[A].name, 77}}};
    ent_ledger_ref claim = SAY(w, A, "attribution.claim", .facts = &names);
    world_thread thread = world_thread_of(w, claim);
    assert_int_equal(thread.view.evidence_count, 1);
    assert_int_equal(thread.evidence[0].index, item.index);
}

static void test_claim__can_be_denied_by_whom_it_addresses(void **state)
{
    world *w = *state;
    ent_ledger_ref claim = SAY(w, A, "attribution.claim", .to = 1 << B);
    meet(w);
    assert_may(MAY(w, C, "attribution.denial", .reply_to = &claim), ENT_REASON_NOT_ADDRESSED);
    (void)SAY(w, B, "attribution.denial", .reply_to = &claim);
    assert_state(w, claim, B, DENIED);
    assert_reason(w, item_about(w, A, claim), ENT_ALLOWED);
    assert_true(world_thread_of(w, claim).view.supported);
}

/* --- recalls --- */

static void test_recall__is_confirmed_by_an_answer_to_it(void **state)
{
    world *w = *state;
    ent_ledger_ref item = SAY(w, A, "evidence.item", .to = 0);
    meet(w);
    assert_may(MAY(w, B, "correction.recall", .reply_to = &item), ENT_REASON_WRONG_SIDE);
    ent_ledger_ref recall = SAY(w, A, "correction.recall", .reply_to = &item);
    assert_state(w, item, B, RECALLED);
    assert_true(world_thread_of(w, item).view.recalled);
    meet(w);
    assert_duty(w, recall, ANSWER, B, OPEN);
    assert_reason(w, world_answer(w, B, item, ENT_OUTCOME_GRANTED, 0), ENT_REASON_KIND_HERE);
    assert_reason(w, world_answer(w, B, recall, ENT_OUTCOME_GRANTED, 0), ENT_ALLOWED);
    assert_state(w, item, B, RECALL_CONFIRMED);
    meet(w);
    assert_duty(w, recall, ANSWER, B, DONE);
}

/* An answer that did not know of the recall is no confirmation of it. */
static void test_recall__that_crosses_an_answer_is_not_confirmed(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref recall = SAY(w, A, "correction.recall", .reply_to = &asked);
    ent_ledger_ref answer = world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    world_receipt(w, A, B, w->now + 1);
    world_receipt(w, B, A, w->now + 20);
    assert_reason(w, answer, ENT_REASON_KIND_HERE);
    assert_state(w, asked, B, RECALLED);
    assert_duty(w, asked, ANSWER, B, ENDED);
    assert_duty(w, recall, ANSWER, B, OPEN);
}

static void test_recall__of_an_answer_moves_no_track(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref answer = world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    ent_ledger_ref recall = SAY(w, B, "correction.recall", .reply_to = &answer);
    meet(w);
    assert_state(w, asked, B, GRANTED);
    assert_reason(w, recall, ENT_ALLOWED);
    assert_reason(w, world_answer(w, A, recall, ENT_OUTCOME_GRANTED, 0), ENT_ALLOWED);
    meet(w);
    assert_duty(w, recall, ANSWER, A, DONE);
    assert_false(world_thread_of(w, asked).view.recalled);
}

static void test_recall__where_the_thread_takes_none_recalls_nothing(void **state)
{
    world *w = *state;
    ent_ledger_ref proposal = SAY(w, A, "proposal.proposal", .to = 0);
    ent_ledger_ref recall = SAY(w, A, "correction.recall", .reply_to = &proposal);
    assert_reason(w, recall, ENT_REASON_KIND_HERE);
    assert_false(world_thread_of(w, proposal).view.recalled);
}

static void test_recall__from_nobody_it_was_given_to_is_refused(void **state)
{
    world *w = *state;
    ent_ledger_ref item = SAY(w, A, "evidence.item", .to = 1 << B);
    assert_may(MAY(w, A, "correction.recall", .reply_to = &item, .to = 1 << C), ENT_REASON_NOT_ADDRESSED);
    assert_may(MAY(w, A, "correction.recall", .reply_to = &item, .to = 1 << B), ENT_ALLOWED);
}

/* --- what is not known, not opened, not possible --- */

static void test_unreadable__stands_and_moves_nothing(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref answer = SAY(w, B, "answer.response", .reply_to = &asked, .unreadable = true);
    assert_reason(w, answer, ENT_ALLOWED);
    assert_state(w, asked, B, ASKED);
    ent_ledger_ref dark = SAY(w, A, "request.information", .unreadable = true);
    meet(w);
    assert_int_equal(world_thread_of(w, dark).view.duty_count, 0);
}

static void test_unknown__is_kept_and_never_guessed(void **state)
{
    world *w = *state;
    ent_ledger_ref newer = SAY(w, A, "newer.kind", .to = 0);
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref inside = SAY(w, B, "newer.answer", .reply_to = &asked);
    assert_reason(w, inside, ENT_ALLOWED);
    assert_state(w, asked, B, ASKED);
    assert_state(w, newer, B, SAID);
    assert_reason(w, SAY(w, B, "answer.acknowledgement", .reply_to = &newer), ENT_ALLOWED);
    assert_int_equal(world_thread_of(w, newer).view.duty_count, 0);
    ent_ledger_ref unseen = SAY(w, A, "newer.answer", .reply_to = &inside);
    ent_ledger_sums sums;
    assert_int_equal(ent_ledger_sum(w->ledger, world_now(w), &sums, NULL).code, ENT_OK);
    assert_int_equal(sums.unknown, 3);
    assert_int_equal(sums.refused, 1);
    ent_ledger_sums_release(&sums);
    assert_int_equal(unseen.member, A);
}

static void test_neutral__is_needed_by_some_kinds(void **state)
{
    world *w = *state;
    assert_may(MAY(w, A, "exchange.offer", .to = 0), ENT_REASON_NO_NEUTRAL);
    assert_may(MAY(w, A, "neutral.deposit", .to = 0), ENT_REASON_BY_NEUTRAL);
    w->genesis.has_neutral = true;
    assert_may(MAY(w, A, "exchange.offer", .to = 0), ENT_ALLOWED);
    assert_may(MAY(w, A, "neutral.deposit", .to = 0), ENT_REASON_BY_NEUTRAL);
}

static void test_thread__takes_so_many_of_one_writer(void **state)
{
    world *w = *state;
    ent_ledger_ref warned = SAY(w, A, "incident.early-warning", .to = 0);
    for (int i = 1; i < ENT_THREAD_MAX_BY_WRITER; i++)
        (void)SAY(w, A, i % 2 == 0 ? "incident.update" : "newer.kind", .reply_to = &warned);
    assert_may(MAY(w, A, "incident.update", .reply_to = &warned), ENT_REASON_TOO_LONG);
    ent_ledger_ref over = SAY(w, A, "incident.update", .reply_to = &warned);
    (void)SAY(w, A, "newer.kind", .reply_to = &warned);
    meet(w);
    assert_int_equal(ent_ledger_thread(w->ledger, over, world_now(w), NULL, NULL, NULL).code, ENT_ABSENT);
    assert_int_equal(world_thread_of(w, warned).view.message_count, ENT_THREAD_MAX_BY_WRITER);
    assert_may(MAY(w, B, "answer.acknowledgement", .reply_to = &warned), ENT_ALLOWED);
    assert_may(MAY(w, A, "request.information", .reply_to = &warned), ENT_ALLOWED);
}

static void test_entry__out_of_turn_is_not_taken(void **state)
{
    world *w = *state;
    world_message draft;
    (void)SAY(w, A, "feed.indicators", .to = 0);
    world_deliver(w, A, B);
    world_draft(w, B, "feed.indicators", &(saying){.to = 0}, &draft);
    ent_ledger *other = world_ledger(w);
    draft.entry.index = 0;
    ent_rc rc = ent_ledger_entry(other, B, &draft.entry, &draft.leaf, &draft.facts, NULL);
    assert_int_equal(rc.code, ENT_RETRY);
    assert_int_equal(ent_ledger_size(other, B), 0);
    draft.entry.index = 7;
    rc = ent_ledger_entry(other, B, &draft.entry, &draft.leaf, &draft.facts, NULL);
    assert_int_equal(rc.code, ENT_USAGE);
    rc = ent_ledger_receipt(other, A, A, 3, w->now, NULL);
    assert_int_equal(rc.code, ENT_USAGE);
    rc = ent_ledger_receipt(other, A, B, 0, w->now, NULL);
    assert_int_equal(rc.code, ENT_USAGE);
    ent_ledger_free(other);
}

static void test_order__concurrent_messages_follow_the_first_evidence(void **state)
{
    world *w = *state;
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    ent_ledger_ref note = SAY(w, A, "evidence.item", .reply_to = &asked);
    ent_ledger_ref answer = world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    world_receipt(w, A, B, w->now + 9);
    world_receipt(w, B, A, w->now + 8);
    world_thread thread = world_thread_of(w, asked);
    assert_int_equal(thread.messages[1].message.member, answer.member);
    world_receipt(w, A, B, w->now + 7); /* late evidence refolds the thread */
    thread = world_thread_of(w, asked);
    assert_int_equal(thread.messages[1].message.member, note.member);
}

static void test_words__are_there_for_all(void **state)
{
    (void)state;
    for (int i = 0; i < ENT_REASON_COUNT; i++)
        assert_true(ent_reason_word((ent_reason)i)[0] != 0);
    for (int i = 0; i < ENT_STATE_COUNT; i++) {
        assert_true(ent_state_word((ent_state)i)[0] != 0);
        assert_true(ent_state_text((ent_state)i)[0] != 0);
    }
    for (int i = ENT_DUTY_ACKNOWLEDGE; i <= ENT_DUTY_FINAL; i++)
        assert_true(ent_duty_type_word((ent_duty_type)i)[0] != 0);
    for (int i = ENT_DUTY_OPEN; i <= ENT_DUTY_ENDED; i++)
        assert_true(ent_duty_state_word((ent_duty_state)i)[0] != 0);
    assert_true(ent_state_closed(ENT_STATE_GRANTED));
    assert_false(ent_state_closed(ENT_STATE_ASKED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_TWO(test_reply__to_nobody_here_is_refused),
        TEST_OF_TWO(test_reply__to_what_was_not_receipted_is_refused),
        TEST_OF_TWO(test_reply__that_names_another_conversation_is_refused),
        TEST_OF_TWO(test_reply__is_needed_by_kinds_that_answer),
        TEST_OF_TWO(test_reply__to_what_has_no_place_is_refused),
        TEST_OF_TWO(test_reply__dated_before_what_it_answers_counts),
        TEST_OF_TWO(test_answer__a_second_one_is_refused),
        TEST_OF_TWO(test_answer__after_one_that_is_not_final_counts),
        TEST_OF_TWO(test_answer__of_an_incident_does_not_close_it),
        TEST_OF_TWO(test_check__with_another_echo_is_refused),
        TEST_OF_TWO(test_accept__of_other_bytes_is_refused),
        TEST_OF_TWO(test_counter__takes_the_place_of_the_proposal),
        TEST_OF_TWO(test_withdrawal__that_crosses_an_accept_withdraws),
        TEST_OF_TWO(test_withdrawal__after_the_accept_is_refused),
        TEST_OF_TWO(test_accept__after_the_withdrawal_is_refused),
        TEST_OF_TWO(test_reject__of_something_else_is_refused),
        TEST_OF_THREE(test_proposal__to_two_binds_once_both_accept),
        TEST_OF_THREE(test_counter__to_one_of_two_leaves_the_other_track),
        TEST_OF_TWO(test_consultation__is_agreed_held_and_recorded),
        TEST_OF_THREE(test_consultation__of_three_binds_once_all_accept_the_same),
        TEST_OF_THREE(test_consultation__a_rejected_record_gives_way_to_another),
        TEST_OF_THREE(test_consultation__another_record_reopens_what_not_all_accepted),
        TEST_OF_THREE(test_request__to_one_of_three_concerns_that_one),
        TEST_OF_THREE(test_request__to_two_has_a_track_for_each),
        TEST_OF_TWO(test_addressees__must_be_other_members),
        TEST_OF_TWO(test_claim__is_unsupported_until_evidence_refers_to_it),
        TEST_OF_TWO(test_claim__may_name_evidence_handed_over_before),
        TEST_OF_THREE(test_claim__can_be_denied_by_whom_it_addresses),
        TEST_OF_TWO(test_recall__is_confirmed_by_an_answer_to_it),
        TEST_OF_TWO(test_recall__that_crosses_an_answer_is_not_confirmed),
        TEST_OF_TWO(test_recall__of_an_answer_moves_no_track),
        TEST_OF_TWO(test_recall__where_the_thread_takes_none_recalls_nothing),
        TEST_OF_THREE(test_recall__from_nobody_it_was_given_to_is_refused),
        TEST_OF_TWO(test_unreadable__stands_and_moves_nothing),
        TEST_OF_TWO(test_unknown__is_kept_and_never_guessed),
        TEST_OF_TWO(test_neutral__is_needed_by_some_kinds),
        TEST_OF_TWO(test_thread__takes_so_many_of_one_writer),
        TEST_OF_TWO(test_entry__out_of_turn_is_not_taken),
        TEST_OF_TWO(test_order__concurrent_messages_follow_the_first_evidence),
        cmocka_unit_test(test_words__are_there_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
