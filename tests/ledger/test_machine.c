/* Every machine, arrow by arrow: a path of arrows leads to each state; there each arrow leads where the table says, and
 * everything else is refused with the right reason. */
#include "expect.h"

#include "message/kind.h"

/* --- paths --- */

/* Something said on the way to a state, or there. */
typedef struct {
    const ent_arrow *arrow;
    uint32_t member;
} step;

enum { MOST_STEPS = 8 };

typedef struct {
    step steps[MOST_STEPS];
    size_t count;
} path;

static const char *first_kind;

static bool is(const char *kind, const char *name)
{
    return strcmp(kind, name) == 0;
}

/* Who accepts or rejects is not who proposed: on the way there, the opener does what either may. */
static uint32_t speaker_of(const ent_arrow *arrow)
{
    bool judges = is(arrow->kind, "proposal.accept") || is(arrow->kind, "proposal.reject");
    return arrow->by == ENT_SIDE_ADDRESSEE || (arrow->by == ENT_SIDE_EITHER && judges) ? B : A;
}

static bool is_legal(const ent_arrow *arrow)
{
    const ent_kind *kind = ent_kind_find(ent_text_of(arrow->kind));
    return kind != NULL && !kind->by_neutral;
}

/* Breadth first: the shortest row of arrows from the beginning to each state, as (arrow, speaker). */
static bool find_path(const ent_machine *machine, ent_state to, path *ret)
{
    path paths[ENT_STATE_COUNT];
    bool known[ENT_STATE_COUNT] = {false};
    memset(paths, 0, sizeof paths);
    for (bool more = true; more && !known[to];) {
        more = false;
        for (size_t i = 0; i < machine->arrow_count; i++) {
            const ent_arrow *arrow = &machine->arrows[i];
            bool begins = arrow->from == ENT_STATE_NONE;
            if (!is_legal(arrow) || known[arrow->to] || (!begins && !known[arrow->from]))
                continue;
            path *here = &paths[arrow->to];
            if (!begins)
                *here = paths[arrow->from];
            here->steps[here->count++] = (step){arrow, speaker_of(arrow)};
            known[arrow->to] = true;
            more = true;
        }
    }
    *ret = paths[to];
    return known[to];
}

/* --- saying what an arrow asks for --- */

static bool offers(ent_text kind)
{
    return ent_text_is(kind, "proposal.proposal") || ent_text_is(kind, "proposal.counter") ||
           ent_text_is(kind, "channel.amendment") || ent_text_is(kind, "consultation.record");
}

/* The last message by some writer (or any) that an answer of this kind could mean. */
static bool find_target(const world *w, const char *kind, uint32_t member, ent_state state, ent_ledger_ref *ret)
{
    bool own = ent_kind_find(ent_text_of(kind))->answers_own;
    ent_ledger_ref first = {A, 1};
    bool found = false;
    for (size_t i = 0; i < w->event_count; i++) {
        const world_event *event = &w->events[i];
        ent_ledger_ref here = {event->member, event->index};
        if (event->is_receipt || event->index == 0)
            continue;
        ent_text said = world_at(w, here)->entry.kind;
        bool fits = own || here.member != member;
        if (is(kind, "proposal.accept") || is(kind, "proposal.reject"))
            fits = here.member != member && offers(said);
        else if (is(kind, "proposal.withdraw") || is(kind, "correction.recall") || is(kind, "channel.resume"))
            fits = here.index == first.index && here.member == first.member;
        else if (is(kind, "answer.response") && state == ENT_STATE_RECALLED)
            fits = here.member != member && ent_text_is(said, "correction.recall");
        if (fits) {
            *ret = here;
            found = true;
        }
    }
    return found;
}

static void facts_of(const world *w, const char *kind, ent_outcome outcome, const ent_ledger_ref *target,
                     ent_facts *facts)
{
    facts->outcome = outcome == ENT_OUTCOME_NONE && is(kind, "answer.response") ? ENT_OUTCOME_GRANTED : outcome;
    if (facts->outcome == ENT_OUTCOME_POSTPONED)
        facts->until_unix_s = w->now + DAY;
    if (is(kind, "proposal.accept") && target != NULL) {
        facts->has_digest = true;
        facts->digest = world_at(w, *target)->entry.body.digest;
    }
    if (is(kind, "contact.check")) {
        facts->has_nonce = true;
        facts->has_echo = target != NULL;
    }
    if (is(kind, "channel.amendment")) {
        facts->replaces = w->commitment;
        world_facts_terms(facts, "other terms", 9);
    }
}

static bool say_step(world *w, const step *said, ent_ledger_ref *ret)
{
    ent_facts facts = {0};
    ent_ledger_ref target = {A, 1};
    bool begins = said->arrow->from == ENT_STATE_NONE;
    if (!begins && !find_target(w, said->arrow->kind, said->member, said->arrow->from, &target))
        return false;
    facts_of(w, said->arrow->kind, said->arrow->outcome, begins ? NULL : &target, &facts);
    *ret = SAY(w, said->member, said->arrow->kind, .reply_to = begins ? NULL : &target, .facts = &facts);
    meet(w);
    return true;
}

/* Two members, a neutral that some kinds need, and what leads to a state. */
static void go(world *w, const path *way)
{
    ent_ledger_ref ref = {A, 1};
    world_begin(w, 2, NULL);
    w->genesis.has_neutral = true;
    for (size_t i = 0; i < way->count; i++) {
        assert_true(say_step(w, &way->steps[i], &ref));
        assert_reason(w, ref, ENT_ALLOWED);
    }
    first_kind = way->steps[0].arrow->kind;
}

/* --- tests --- */

static void check_arrow(const ent_machine *machine, const ent_arrow *arrow, uint32_t member)
{
    world w;
    path way;
    ent_ledger_ref ref = {A, 1};
    assert_true(find_path(machine, arrow->from, &way));
    for (size_t i = 0; i < way.count; i++) {
        if (way.steps[i].arrow->by == ENT_SIDE_EITHER)
            way.steps[i].member = 1 - member;
    }
    go(&w, &way);
    step last = {arrow, member};
    if (!say_step(&w, &last, &ref)) { /* the other side has said nothing yet that it could mean */
        (void)SAY(&w, 1 - member, "evidence.item", .reply_to = &ref);
        meet(&w);
        assert_true(say_step(&w, &last, &ref));
    }
    assert_reason(&w, ref, ENT_ALLOWED);
    assert_string_equal(ent_state_word(world_state_of(&w, (ent_ledger_ref){A, 1}, B)), ent_state_word(arrow->to));
    world_end(&w);
}

static void test_machine__every_arrow_leads_where_the_table_says(void **state)
{
    (void)state;
    size_t count = 0;
    for (size_t m = 0; m < ent_machine_count(); m++) {
        const ent_machine *machine = ent_machine_at(m);
        for (size_t i = 0; i < machine->arrow_count; i++) {
            const ent_arrow *arrow = &machine->arrows[i];
            path way;
            if (arrow->from == ENT_STATE_NONE) {
                world w;
                way = (path){{{arrow, A}}, 1};
                go(&w, &way);
                assert_string_equal(ent_state_word(world_state_of(&w, (ent_ledger_ref){A, 1}, B)),
                                    ent_state_word(arrow->to));
                world_end(&w);
                count++;
                continue;
            }
            for (uint32_t member = A; member <= B; member++) {
                unsigned side = member == A ? ENT_SIDE_OPENER : ENT_SIDE_ADDRESSEE;
                if (((unsigned)arrow->by & side) == 0)
                    continue;
                check_arrow(machine, arrow, member);
                count++;
            }
        }
    }
    assert_true(count > 120);
}

/* What is said in a state that has no arrow for it, by this side, must not count. */
static void check_refusal(const ent_machine *machine, ent_state state, const ent_kind *kind, ent_outcome outcome,
                          uint32_t member)
{
    world w;
    path way;
    ent_ledger_ref target;
    ent_facts facts = {0};
    ent_side side = member == A ? ENT_SIDE_OPENER : ENT_SIDE_ADDRESSEE;
    ent_text name = ent_text_of(kind->name);
    assert_true(find_path(machine, state, &way));
    go(&w, &way);
    if (!find_target(&w, kind->name, member, state, &target)) {
        world_end(&w);
        return;
    }
    facts_of(&w, kind->name, outcome, &target, &facts);
    saying how = {.reply_to = &target, .facts = &facts};
    ent_reason reason = world_may(&w, member, kind->name, &how);
    bool other_side = ent_machine_step(machine, state, name, outcome, ENT_SIDE_EITHER) != NULL;
    if (reason == ENT_ALLOWED)
        fail_msg("%s %s: %s (%d) by %d passes", machine->name, ent_state_word(state), kind->name, (int)outcome,
                 (int)side);
    if (reason != ENT_REASON_KIND_HERE && reason != ENT_REASON_WRONG_SIDE && reason != ENT_REASON_SECOND_ANSWER &&
        reason != ENT_REASON_TERMS && reason != ENT_REASON_OTHER_DIGEST && reason != ENT_REASON_SUSPENDED)
        fail_msg("%s %s: %s by %d: %s", machine->name, ent_state_word(state), kind->name, (int)side,
                 ent_reason_word(reason));
    if (reason == ENT_REASON_WRONG_SIDE && !other_side && strncmp(kind->name, "correction.", 11) != 0 &&
        !is(kind->name, "channel.resume"))
        fail_msg("%s %s: %s by %d: it comes from no side", machine->name, ent_state_word(state), kind->name, (int)side);
    world_end(&w);
}

static bool begins_apart(const ent_machine *machine, const ent_kind *kind)
{
    if (kind->needs_reply_to)
        return false;
    for (size_t i = 0; i < machine->arrow_count; i++) {
        if (machine->arrows[i].from != ENT_STATE_NONE && is(machine->arrows[i].kind, kind->name))
            return false;
    }
    return true;
}

static void check_state(const ent_machine *machine, ent_state state)
{
    for (size_t k = 0; k < ent_kind_count(); k++) {
        const ent_kind *kind = ent_kind_at(k);
        ent_text name = ent_text_of(kind->name);
        if (kind->by_neutral || ent_kind_passes_everywhere(name) || begins_apart(machine, kind))
            continue;
        for (uint32_t member = A; member <= B; member++) {
            ent_side side = member == A ? ENT_SIDE_OPENER : ENT_SIDE_ADDRESSEE;
            bool answers = is(kind->name, "answer.response");
            for (int o = answers ? 1 : 0; o < (answers ? ENT_OUTCOME_COUNT : 1); o++) {
                if (ent_machine_step(machine, state, name, (ent_outcome)o, side) == NULL)
                    check_refusal(machine, state, kind, (ent_outcome)o, member);
            }
        }
    }
}

static void test_machine__what_has_no_arrow_is_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < ent_machine_count(); m++) {
        const ent_machine *machine = ent_machine_at(m);
        bool seen[ENT_STATE_COUNT] = {false};
        for (size_t i = 0; i < machine->arrow_count; i++) {
            if (!seen[machine->arrows[i].to])
                check_state(machine, machine->arrows[i].to);
            seen[machine->arrows[i].to] = true;
        }
    }
}

static void test_machine__names_only_kinds_that_there_are(void **state)
{
    (void)state;
    for (size_t m = 0; m < ent_machine_count(); m++) {
        const ent_machine *machine = ent_machine_at(m);
        for (size_t i = 0; i < machine->arrow_count; i++) {
            const ent_arrow *arrow = &machine->arrows[i];
            assert_non_null(ent_kind_find(ent_text_of(arrow->kind)));
            if (arrow->from == ENT_STATE_NONE)
                assert_ptr_equal(ent_machine_of(ent_text_of(arrow->kind)), machine);
        }
        for (size_t i = 0; machine->kinds[i] != NULL; i++)
            assert_non_null(ent_machine_step(machine, ENT_STATE_NONE, ent_text_of(machine->kinds[i]), ENT_OUTCOME_NONE,
                                             ENT_SIDE_OPENER));
    }
    for (size_t i = 0; ent_kinds_everywhere()[i] != NULL; i++)
        assert_true(ent_kind_passes_everywhere(ent_text_of(ent_kinds_everywhere()[i])));
    assert_null(ent_machine_of(ENT_TEXT("newer.kind")));
    assert_null(ent_machine_at(ent_machine_count()));
}

/* Every kind that may begin a thread has a machine, but the neutral's, which stand in its own log. */
static void test_machine__every_kind_has_a_place(void **state)
{
    (void)state;
    for (size_t k = 0; k < ent_kind_count(); k++) {
        const ent_kind *kind = ent_kind_at(k);
        if (kind->by_neutral)
            continue;
        assert_int_equal(kind->starts_thread, ent_machine_of(ent_text_of(kind->name)) != NULL);
    }
}

/* What `takes` offers is what is allowed. */
static void test_takes__offers_what_the_thread_takes(void **state)
{
    world *w = *state;
    const char *kinds[64];
    ent_ledger_ref asked = SAY(w, A, "request.information", .to = 0);
    meet(w);
    world_thread thread = world_thread_of(w, asked);
    thread.view.tracks = thread.tracks;
    size_t count = ent_ledger_takes(&thread.view, B, kinds, 64);
    bool answers = false;
    for (size_t i = 0; i < count; i++) {
        assert_string_not_equal(kinds[i], "channel.notice");
        answers = answers || is(kinds[i], "answer.response");
    }
    assert_true(answers);
    assert_int_equal(ent_ledger_takes(&thread.view, B, kinds, 2), 2);
    (void)world_answer(w, B, asked, ENT_OUTCOME_GRANTED, 0);
    thread = world_thread_of(w, asked);
    thread.view.tracks = thread.tracks;
    count = ent_ledger_takes(&thread.view, B, kinds, 64);
    for (size_t i = 0; i < count; i++)
        assert_string_not_equal(kinds[i], "answer.response");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine__every_arrow_leads_where_the_table_says),
        cmocka_unit_test(test_machine__what_has_no_arrow_is_refused),
        cmocka_unit_test(test_machine__names_only_kinds_that_there_are),
        cmocka_unit_test(test_machine__every_kind_has_a_place),
        TEST_OF_TWO(test_takes__offers_what_the_thread_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
