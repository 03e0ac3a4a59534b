#include "program.h"

#include <stdio.h>
#include <stdlib.h>

#include "message/kind.h"

static const char rich_terms[] =
    "{\"title\":\"Arrangement\",\"parties\":[\"a.example\",\"b.example\",\"c.example\",\"d.example\"],"
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2024-06-13T00:00:00Z\","
    "\"extension\":{\"by_days\":2,\"unless_declined_days_before\":1}},"
    "\"deadlines\":[{\"kind\":\"request.information\",\"urgency\":\"routine\",\"acknowledge_s\":3600,"
    "\"answer_s\":36000},"
    "{\"kind\":\"request.information\",\"urgency\":\"flash\",\"acknowledge_s\":60,\"answer_s\":600},"
    "{\"kind\":\"request.assistance\",\"urgency\":\"routine\",\"answer_s\":7200,\"in_service_hours\":true},"
    "{\"kind\":\"incident.early-warning\",\"urgency\":\"routine\",\"acknowledge_s\":600,\"notification_s\":7200,"
    "\"final_s\":90000},"
    "{\"kind\":\"incident.notification\",\"urgency\":\"routine\",\"answer_s\":5000,\"final_s\":80000},"
    "{\"kind\":\"proposal.proposal\",\"urgency\":\"routine\",\"answer_s\":20000},"
    "{\"kind\":\"proposal.counter\",\"urgency\":\"routine\",\"answer_s\":20000},"
    "{\"kind\":\"consultation.record\",\"urgency\":\"routine\",\"acknowledge_s\":300,\"answer_s\":20000},"
    "{\"kind\":\"correction.recall\",\"urgency\":\"routine\",\"answer_s\":20000},"
    "{\"kind\":\"evidence.item\",\"urgency\":\"routine\",\"acknowledge_s\":100,\"answer_s\":200},"
    "{\"kind\":\"contact.check\",\"urgency\":\"routine\",\"answer_s\":900}],"
    "\"protected_systems\":[{\"id\":\"health\",\"name\":\"Hospitals\",\"urgency_floor\":\"flash\"}],"
    "\"reciprocity\":[{\"class\":\"information\",\"kinds\":[\"request.information\",\"incident.notification\"],"
    "\"hold_back_at_balance\":2},"
    "{\"class\":\"more\",\"kinds\":[\"request.assistance\",\"proposal.proposal\",\"evidence.item\"],"
    "\"hold_back_at_balance\":null}],"
    "\"threat_level\":{\"window_s\":20000,\"severity_weights\":{\"low\":1,\"medium\":3,\"high\":8,\"critical\":20},"
    "\"levels\":[{\"name\":\"guarded\",\"from\":0},{\"name\":\"elevated\",\"from\":10}]},"
    "\"service_hours\":{\"b.example\":[{\"days\":[\"mon\",\"tue\"],\"from\":\"05:00\",\"until\":\"15:00\"}]}}";

static const char plain_terms[] =
    "{\"title\":\"Other\",\"parties\":[\"a.example\",\"b.example\"],"
    "\"validity\":{\"from\":\"2024-06-01T00:00:00Z\",\"until\":\"2025-06-13T00:00:00Z\",\"extension\":null},"
    "\"deadlines\":[{\"kind\":\"request.information\",\"urgency\":\"routine\",\"answer_s\":600}],"
    "\"suspension\":{\"freezes_deadlines\":false}}";

static const char *const all_terms[] = {rich_terms, plain_terms, "no agreement"};

typedef struct {
    world *w;
    ent_bytes choices;
    size_t at;
    ent_hash commitments[16]; /* of terms that were proposed; the first is that of the genesis */
    size_t commitment_count;
} living;

static uint8_t choose(living *l, unsigned limit)
{
    uint8_t byte = l->at < l->choices.size ? l->choices.data[l->at] : 0;
    l->at++;
    return (uint8_t)(limit == 0 ? byte : byte % limit);
}

static bool rarely(living *l, unsigned one_in)
{
    return choose(l, one_in) == one_in - 1;
}

/* --- what is answered --- */

/* Mostly something recent of what the member holds. */
static bool choose_target(living *l, uint32_t member, ent_ledger_ref *ret)
{
    uint32_t of = choose(l, l->w->member_count);
    bool any = rarely(l, 24);
    uint64_t known = of == member ? l->w->logs[member].count
                     : any        ? l->w->logs[of].count + 1
                                  : l->w->logs[member].held[of];
    if (known == 0)
        return false;
    uint64_t back = choose(l, rarely(l, 4) ? 200 : 5) % known;
    *ret = (ent_ledger_ref){of, known - 1 - back};
    return true;
}

static const char *kind_at_root(const living *l, ent_ledger_ref target)
{
    if (target.index >= l->w->logs[target.member].count)
        return "request.information";
    const ent_entry *entry = &world_at(l->w, target)->entry;
    if (!entry->has_thread)
        return entry->kind.data;
    int member = ent_genesis_member(&l->w->genesis, entry->thread.party);
    if (member < 0 || entry->thread.index >= l->w->logs[member].count)
        return "request.information";
    return world_at(l->w, (ent_ledger_ref){(uint32_t)member, entry->thread.index})->entry.kind.data;
}

/* A kind that the thread's machine knows, with the outcome that its arrow asks for. */
static const char *kind_of_machine(living *l, ent_ledger_ref target, ent_facts *facts)
{
    const ent_machine *machine = ent_machine_of(ent_text_of(kind_at_root(l, target)));
    if (machine == NULL)
        machine = ent_machine_at(choose(l, (unsigned)ent_machine_count()));
    const ent_arrow *arrow = &machine->arrows[choose(l, 0) % machine->arrow_count];
    facts->outcome = arrow->outcome;
    return arrow->kind;
}

/* --- what is said --- */

static void choose_terms(living *l, ent_facts *facts)
{
    facts->replaces = l->commitments[rarely(l, 3) ? 0 : choose(l, (unsigned)l->commitment_count)];
    if (rarely(l, 16))
        return;
    world_facts_terms(facts, all_terms[choose(l, 3)], (uint8_t)(choose(l, 5)));
    if (l->commitment_count < 16)
        l->commitments[l->commitment_count++] = facts->commitment;
}

static void choose_facts(living *l, const char *kind, const ent_ledger_ref *target, ent_facts *facts)
{
    const world_message *answered =
        target != NULL && target->index < l->w->logs[target->member].count ? world_at(l->w, *target) : NULL;
    facts->readable = true;
    if (facts->outcome == ENT_OUTCOME_NONE && strcmp(kind, "answer.response") == 0)
        facts->outcome = (ent_outcome)(1 + choose(l, ENT_OUTCOME_COUNT - 1));
    if (facts->outcome == ENT_OUTCOME_POSTPONED && !rarely(l, 8))
        facts->until_unix_s = l->w->now + choose(l, 0) * 100;
    facts->clarifies = strcmp(kind, "answer.status") == 0 && !rarely(l, 3);
    facts->declines_extension = strcmp(kind, "channel.review") == 0;
    if (strncmp(kind, "incident.", 9) == 0) {
        uint8_t severity = choose(l, ENT_SEVERITY_COUNT);
        facts->severity = (ent_severity)severity;
        if (rarely(l, 4))
            facts->systems[facts->system_count++] = ENT_TEXT("health");
    }
    if (strcmp(kind, "proposal.accept") == 0 && answered != NULL) {
        facts->has_digest = !rarely(l, 16);
        facts->digest = answered->entry.body.digest;
        facts->digest.bytes[0] ^= rarely(l, 16);
    }
    if (strcmp(kind, "contact.check") == 0) {
        facts->has_nonce = true;
        memset(facts->nonce, choose(l, 4), sizeof facts->nonce);
        facts->has_echo = answered != NULL && answered->facts.has_nonce && !rarely(l, 8);
        if (facts->has_echo)
            memcpy(facts->echo, answered->facts.nonce, sizeof facts->echo);
        facts->until_unix_s = rarely(l, 2) ? l->w->now + 1000 : 0;
    }
    if (strcmp(kind, "channel.amendment") == 0)
        choose_terms(l, facts);
    if (strcmp(kind, "evidence.item") == 0 || strcmp(kind, "attribution.claim") == 0) {
        uint32_t of = choose(l, l->w->member_count);
        facts->refs[0] = (ent_message_ref){l->w->genesis.members[of].name, choose(l, 30)};
        facts->ref_count = 1;
    }
}

static int64_t choose_skew(living *l)
{
    static const int64_t skews[] = {0, 0, 0, 0, 0, 0, 1, -1, 100, -100, 5000, -5000, 90000, -90000, 400000, -40000000};
    return skews[choose(l, 16)];
}

static void say_something(living *l)
{
    static const char *const openers[] = {
        "request.information",    "request.assistance",    "proposal.proposal", "request.consultation",
        "incident.early-warning", "incident.notification", "channel.amendment", "attribution.claim",
        "evidence.item",          "commitment.pledge",     "contact.check",     "channel.suspend",
        "channel.review",         "feed.indicators",       "newer.kind",        "consultation.agenda"};
    uint32_t member = choose(l, l->w->member_count);
    ent_ledger_ref target = {0};
    ent_ledger_ref wrong = {choose(l, l->w->member_count), 0};
    ent_facts facts = {0};
    saying how = {.facts = &facts};
    uint8_t way = choose(l, 8);
    const char *kind = openers[choose(l, 16)];
    if (way > 1 && choose_target(l, member, &target)) {
        how.reply_to = &target;
        if (way < 6) /* as the machine goes on, perhaps */
            kind = kind_of_machine(l, target, &facts);
        else if (way == 6)
            kind = ent_kinds_everywhere()[choose(l, 10)];
        else
            kind = ent_kind_at(choose(l, 0) % ent_kind_count())->name;
    }
    choose_facts(l, kind, how.reply_to, &facts);
    how.to = rarely(l, 3) ? choose(l, 16) : 0;
    uint8_t urgency = choose(l, ENT_URGENCY_COUNT);
    how.urgency = (ent_urgency)urgency;
    how.exercise = rarely(l, 10);
    how.unreadable = rarely(l, 20);
    how.no_acks = rarely(l, 8);
    how.thread = rarely(l, 40) && (wrong.member != member || l->w->logs[member].count > 0) ? &wrong : NULL;
    how.time = l->w->now + choose_skew(l);
    (void)world_say(l->w, member, kind, &how);
}

/* --- what is heard --- */

static void hear_something(living *l, bool receipts)
{
    uint32_t from = choose(l, l->w->member_count);
    uint32_t to = choose(l, l->w->member_count);
    uint64_t *held = &l->w->logs[to].held[from];
    uint64_t size = l->w->logs[from].count;
    if (from == to || size == 0)
        return;
    if (rarely(l, 4))
        size -= choose(l, 3) % size;
    *held = size > *held ? size : *held;
    if (!receipts)
        return;
    if (l->w->event_count == l->w->event_capacity) {
        l->w->event_capacity = l->w->event_capacity == 0 ? 64 : 2 * l->w->event_capacity;
        l->w->events = realloc(l->w->events, l->w->event_capacity * sizeof *l->w->events);
        if (l->w->events == NULL)
            abort();
    }
    l->w->events[l->w->event_count++] = (world_event){
        .is_receipt = true, .member = from, .receiver = to, .size = size, .time = l->w->now + choose_skew(l)};
}

void program_run(world *w, ent_bytes choices)
{
    living l = {.w = w, .choices = choices};
    uint32_t members = 2 + choose(&l, 3);
    const char *terms = all_terms[choose(&l, 8) < 6 ? 0 : 1 + choose(&l, 2)];
    ent_facts facts = {.readable = true};
    world_begin_bare(w, members, terms);
    l.commitments[l.commitment_count++] = w->commitment;
    world_facts_terms(&facts, terms, 0);
    for (uint32_t m = 0; m < members; m++) {
        if (!rarely(&l, 12))
            (void)SAY(w, m, "channel.genesis", .facts = &facts, .unreadable = rarely(&l, 12));
    }
    while (l.at < choices.size) {
        uint8_t what = choose(&l, 16);
        if (what < 7)
            say_something(&l);
        else if (what < 13)
            hear_something(&l, what < 11);
        else if (what < 15)
            world_pass(w, choose(&l, 0) * 20);
        else
            world_meet(w);
    }
}
