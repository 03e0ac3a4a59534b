#include "ledger/machine.h"

static const struct {
    const char *word;
    bool closed;
    const char *text;
} states[ENT_STATE_COUNT] = {
    [ENT_STATE_NONE] = {"-", false, "Nothing was said yet."},
#define X(name, word, closed, text) [ENT_STATE_##name] = {word, closed, text},
#include "ledger/states.def"
#undef X
};

const char *ent_state_word(ent_state state)
{
    return states[state].word;
}

bool ent_state_closed(ent_state state)
{
    return states[state].closed;
}

const char *ent_state_text(ent_state state)
{
    return states[state].text;
}

/* --- arrows --- */

#define BEGINS(kind, to)                                                                                               \
    {                                                                                                                  \
        ENT_STATE_NONE, kind, ENT_OUTCOME_NONE, ENT_SIDE_OPENER, ENT_STATE_##to, false                                 \
    }
#define ARROW(from, kind, by, to)                                                                                      \
    {                                                                                                                  \
        ENT_STATE_##from, kind, ENT_OUTCOME_NONE, ENT_SIDE_##by, ENT_STATE_##to, false                                 \
    }
#define ARROW_ALL(from, kind, by, to)                                                                                  \
    {                                                                                                                  \
        ENT_STATE_##from, kind, ENT_OUTCOME_NONE, ENT_SIDE_##by, ENT_STATE_##to, true                                  \
    }
#define ANSWER(from, outcome, to)                                                                                      \
    {                                                                                                                  \
        ENT_STATE_##from, "answer.response", ENT_OUTCOME_##outcome, ENT_SIDE_ADDRESSEE, ENT_STATE_##to, false          \
    }

/* What can become of a recall of the thread's first message: after these, a thread is nothing else any more. */
#define RECALL(from) ARROW(from, "correction.recall", OPENER, RECALLED)
#define RECALL_ANSWERS                                                                                                 \
    ANSWER(RECALLED, GRANTED, RECALL_CONFIRMED), ANSWER(RECALLED, PARTIAL, RECALL_REFUSED),                            \
        ANSWER(RECALLED, REFUSED, RECALL_REFUSED), ANSWER(RECALLED, IMPOSSIBLE, RECALL_REFUSED),                       \
        ANSWER(RECALLED, POSTPONED, RECALLED), ANSWER(RECALLED, NEEDS_CLARIFICATION, RECALLED)

/* What an addressee may answer to a request, wherever it stands. */
#define ANSWERS(from)                                                                                                  \
    ANSWER(from, GRANTED, GRANTED), ANSWER(from, PARTIAL, PARTIAL), ANSWER(from, REFUSED, REFUSED),                    \
        ANSWER(from, IMPOSSIBLE, IMPOSSIBLE), ANSWER(from, POSTPONED, POSTPONED),                                      \
        ANSWER(from, NEEDS_CLARIFICATION, CLARIFYING)

static const ent_arrow statement_arrows[] = {
    BEGINS("contact.nomination", SAID),
    BEGINS("feed.indicators", SAID),
    BEGINS("evidence.held", SAID),
    BEGINS("channel.genesis", SAID),
    BEGINS("channel.rotate", SAID),
    BEGINS("channel.escalation", SAID),
    BEGINS("channel.review", SAID),
    ARROW(SAID, "answer.response", ADDRESSEE, ANSWERED),
    RECALL(SAID),
    RECALL(ANSWERED),
    RECALL_ANSWERS,
};
static const char *const statement_kinds[] = {
    "contact.nomination", "feed.indicators",    "evidence.held",  "channel.genesis",
    "channel.rotate",     "channel.escalation", "channel.review", NULL};

static const ent_arrow check_arrows[] = {
    BEGINS("contact.check", ASKED),
    ARROW(ASKED, "contact.check", ADDRESSEE, ANSWERED),
};
static const char *const check_kinds[] = {"contact.check", NULL};

static const ent_arrow incident_arrows[] = {
    BEGINS("incident.early-warning", WARNED),
    BEGINS("incident.notification", NOTIFIED),
    BEGINS("incident.final", FINAL),
    ARROW(WARNED, "incident.update", OPENER, WARNED),
    ARROW(WARNED, "incident.notification", OPENER, NOTIFIED),
    ARROW(WARNED, "incident.final", OPENER, FINAL),
    ARROW(NOTIFIED, "incident.update", OPENER, NOTIFIED),
    ARROW(NOTIFIED, "incident.final", OPENER, FINAL),
    ARROW(WARNED, "answer.response", ADDRESSEE, WARNED),
    ARROW(NOTIFIED, "answer.response", ADDRESSEE, NOTIFIED),
    ARROW(FINAL, "answer.response", ADDRESSEE, FINAL),
    RECALL(WARNED),
    RECALL(NOTIFIED),
    RECALL(FINAL),
    RECALL_ANSWERS,
};
static const char *const incident_kinds[] = {"incident.early-warning", "incident.notification", "incident.final", NULL};

static const ent_arrow request_arrows[] = {
    BEGINS("request.information", ASKED),
    BEGINS("request.preservation", ASKED),
    BEGINS("request.takedown", ASKED),
    BEGINS("request.assistance", ASKED),
    BEGINS("request.surrender", ASKED),
    ARROW(ASKED, "answer.acknowledgement", ADDRESSEE, ACKNOWLEDGED),
    ANSWERS(ASKED),
    ANSWERS(ACKNOWLEDGED),
    ANSWERS(CLARIFYING),
    ANSWERS(POSTPONED),
    RECALL(ASKED),
    RECALL(ACKNOWLEDGED),
    RECALL(CLARIFYING),
    RECALL(POSTPONED),
    RECALL(GRANTED),
    RECALL(PARTIAL),
    RECALL_ANSWERS,
};
static const char *const request_kinds[] = {"request.information", "request.preservation", "request.takedown",
                                            "request.assistance",  "request.surrender",    NULL};

#define CONSULTATION_ANSWERS(from)                                                                                     \
    ANSWER(from, GRANTED, AGREED), ANSWER(from, PARTIAL, AGREED), ANSWER(from, REFUSED, REFUSED),                      \
        ANSWER(from, IMPOSSIBLE, IMPOSSIBLE), ANSWER(from, POSTPONED, POSTPONED),                                      \
        ANSWER(from, NEEDS_CLARIFICATION, CLARIFYING)

static const ent_arrow consultation_arrows[] = {
    BEGINS("request.consultation", ASKED),
    BEGINS("consultation.agenda", AGENDA),
    ARROW(ASKED, "answer.acknowledgement", ADDRESSEE, ACKNOWLEDGED),
    CONSULTATION_ANSWERS(ASKED),
    CONSULTATION_ANSWERS(ACKNOWLEDGED),
    CONSULTATION_ANSWERS(CLARIFYING),
    CONSULTATION_ANSWERS(POSTPONED),
    ARROW_ALL(AGREED, "consultation.agenda", EITHER, AGENDA),
    ARROW_ALL(AGENDA, "consultation.agenda", EITHER, AGENDA),
    ARROW(AGENDA, "answer.response", EITHER, AGENDA),
    ARROW_ALL(AGREED, "consultation.record", EITHER, RECORDED),
    ARROW_ALL(AGENDA, "consultation.record", EITHER, RECORDED),
    ARROW_ALL(RECORDED, "consultation.record", EITHER, RECORDED),
    ARROW(RECORDED, "proposal.accept", EITHER, BINDING),
    ARROW_ALL(RECORDED, "proposal.reject", EITHER, AGENDA),
    RECALL(ASKED),
    RECALL(ACKNOWLEDGED),
    RECALL(CLARIFYING),
    RECALL(POSTPONED),
    RECALL(AGREED),
    RECALL(AGENDA),
    RECALL_ANSWERS,
};
static const char *const consultation_kinds[] = {"request.consultation", "consultation.agenda", NULL};

static const ent_arrow proposal_arrows[] = {
    BEGINS("proposal.proposal", PROPOSED),
    ARROW(PROPOSED, "proposal.counter", ADDRESSEE, COUNTERED),
    ARROW(PROPOSED, "proposal.accept", ADDRESSEE, ACCEPTED),
    ARROW(PROPOSED, "proposal.reject", ADDRESSEE, REJECTED),
    ARROW(PROPOSED, "proposal.withdraw", OPENER, WITHDRAWN),
    ARROW(COUNTERED, "proposal.counter", OPENER, PROPOSED),
    ARROW(COUNTERED, "proposal.accept", OPENER, ACCEPTED),
    ARROW(COUNTERED, "proposal.reject", OPENER, REJECTED),
    ARROW(COUNTERED, "proposal.withdraw", OPENER, WITHDRAWN),
};
static const char *const proposal_kinds[] = {"proposal.proposal", NULL};

static const ent_arrow amendment_arrows[] = {
    BEGINS("channel.amendment", PROPOSED),
    ARROW(PROPOSED, "proposal.accept", ADDRESSEE, ACCEPTED),
    ARROW(PROPOSED, "proposal.reject", ADDRESSEE, REJECTED),
    ARROW(PROPOSED, "proposal.withdraw", OPENER, WITHDRAWN),
};
static const char *const amendment_kinds[] = {"channel.amendment", NULL};

static const ent_arrow attribution_arrows[] = {
    BEGINS("attribution.claim", CLAIMED),
    ARROW(CLAIMED, "attribution.denial", ADDRESSEE, DENIED),
    ARROW(CLAIMED, "answer.response", ADDRESSEE, ANSWERED),
    RECALL(CLAIMED),
    RECALL(DENIED),
    RECALL(ANSWERED),
    RECALL_ANSWERS,
};
static const char *const attribution_kinds[] = {"attribution.claim", NULL};

static const ent_arrow evidence_arrows[] = {
    BEGINS("evidence.item", HANDED_OVER),
    ARROW(HANDED_OVER, "answer.response", ADDRESSEE, HANDED_OVER),
    RECALL(HANDED_OVER),
    RECALL_ANSWERS,
};
static const char *const evidence_kinds[] = {"evidence.item", NULL};

static const ent_arrow commitment_arrows[] = {
    BEGINS("commitment.pledge", PLEDGED),
    ARROW(PLEDGED, "commitment.match", ADDRESSEE, MATCHED),
    ARROW(PLEDGED, "proposal.withdraw", OPENER, WITHDRAWN),
    ANSWER(PLEDGED, REFUSED, REFUSED),
    ANSWER(PLEDGED, IMPOSSIBLE, IMPOSSIBLE),
    ANSWER(PLEDGED, POSTPONED, PLEDGED),
    ANSWER(PLEDGED, NEEDS_CLARIFICATION, PLEDGED),
    ARROW(MATCHED, "commitment.fulfilment", OPENER, OPENER_FULFILLED),
    ARROW(MATCHED, "commitment.fulfilment", ADDRESSEE, OTHER_FULFILLED),
    ARROW(OPENER_FULFILLED, "commitment.fulfilment", ADDRESSEE, FULFILLED),
    ARROW(OTHER_FULFILLED, "commitment.fulfilment", OPENER, FULFILLED),
    ARROW(MATCHED, "commitment.breach-claim", EITHER, BREACH_CLAIMED),
    ARROW(OPENER_FULFILLED, "commitment.breach-claim", EITHER, BREACH_CLAIMED),
    ARROW(OTHER_FULFILLED, "commitment.breach-claim", EITHER, BREACH_CLAIMED),
    ARROW(BREACH_CLAIMED, "commitment.fulfilment", EITHER, BREACH_CLAIMED),
    ARROW(BREACH_CLAIMED, "answer.response", EITHER, BREACH_CLAIMED),
};
static const char *const commitment_kinds[] = {"commitment.pledge", NULL};

static const ent_arrow exchange_arrows[] = {
    BEGINS("exchange.offer", OFFERED),
    ARROW(OFFERED, "exchange.core", EITHER, CORE),
    ARROW(CORE, "exchange.core", EITHER, CORE),
    ARROW(CORE, "exchange.manifest", EITHER, MANIFEST),
    ARROW(MANIFEST, "exchange.manifest", EITHER, MANIFEST),
    ARROW(MANIFEST, "exchange.held", EITHER, HELD),
    ARROW(HELD, "exchange.held", EITHER, HELD),
    ARROW(OFFERED, "exchange.abort", EITHER, ABORTED),
    ARROW(CORE, "exchange.abort", EITHER, ABORTED),
    ARROW(MANIFEST, "exchange.abort", EITHER, ABORTED),
    ARROW(HELD, "exchange.abort", EITHER, ABORTED),
};
static const char *const exchange_kinds[] = {"exchange.offer", NULL};

static const ent_arrow suspension_arrows[] = {
    BEGINS("channel.suspend", SUSPENDED),
    ARROW(SUSPENDED, "channel.resume", OPENER, RESUMED),
};
static const char *const suspension_kinds[] = {"channel.suspend", NULL};

#define MACHINE(word, what)                                                                                            \
    {                                                                                                                  \
        .name = #word, .text = (what), .kinds = word##_kinds, .arrows = word##_arrows,                                 \
        .arrow_count = sizeof word##_arrows / sizeof word##_arrows[0]                                                  \
    }

static const ent_machine machines[] = {
    MACHINE(statement, "Something is said; it may be answered, but nothing has to follow."),
    MACHINE(check, "A communication check: one side asks whether the other is there, the other repeats its nonce."),
    MACHINE(incident,
            "One side tells of an incident: an early warning, a notification, updates, a final report. The other side "
            "acknowledges and answers; that does not move the account."),
    MACHINE(request, "One side asks the other for something and gets one final answer."),
    MACHINE(consultation, "Consultations are asked for, agreed, held to an agenda, and recorded. A record binds once "
                          "every member has accepted the same bytes."),
    MACHINE(proposal, "Something is proposed, perhaps countered, and accepted, rejected or withdrawn. An accept and a "
                      "withdrawal that crossed: withdrawn."),
    MACHINE(amendment, "New terms for the channel. They hold once every member has accepted the same bytes."),
    MACHINE(attribution,
            "One side holds the other, or somebody on its soil, responsible. A claim is unsupported until evidence "
            "refers to it."),
    MACHINE(evidence, "A piece of evidence is handed over; later items in the thread continue its custody log."),
    MACHINE(commitment, "A pledge that is conditional on the other side's, and what became of it."),
    MACHINE(exchange, "Two documents change hands, both or neither, through the neutral."),
    MACHINE(suspension, "One side suspends the channel, and later restores it."),
};
enum { MACHINE_COUNT = sizeof machines / sizeof machines[0] };

static const char *const everywhere[] = {
    "evidence.item",
    "evidence.held",
    "correction.correction",
    "channel.notice",
    "channel.consent",
    "channel.override",
    "channel.reveal",
    "channel.escalation",
    "answer.acknowledgement",
    "answer.status",
    NULL,
};

size_t ent_machine_count(void)
{
    return MACHINE_COUNT;
}

const ent_machine *ent_machine_at(size_t at)
{
    return at < MACHINE_COUNT ? &machines[at] : NULL;
}

static bool lists(const char *const *kinds, ent_text kind)
{
    for (size_t i = 0; kinds[i] != NULL; i++) {
        if (ent_text_is(kind, kinds[i]))
            return true;
    }
    return false;
}

const ent_machine *ent_machine_of(ent_text kind)
{
    for (size_t i = 0; i < MACHINE_COUNT; i++) {
        if (lists(machines[i].kinds, kind))
            return &machines[i];
    }
    return NULL;
}

const ent_arrow *ent_machine_step(const ent_machine *machine, ent_state from, ent_text kind, ent_outcome outcome,
                                  ent_side by)
{
    for (size_t i = 0; i < machine->arrow_count; i++) {
        const ent_arrow *arrow = &machine->arrows[i];
        if (arrow->from == from && ((unsigned)arrow->by & (unsigned)by) != 0 &&
            (arrow->outcome == ENT_OUTCOME_NONE || arrow->outcome == outcome) && ent_text_is(kind, arrow->kind))
            return arrow;
    }
    return NULL;
}

bool ent_kind_passes_everywhere(ent_text kind)
{
    return lists(everywhere, kind);
}

const char *const *ent_kinds_everywhere(void)
{
    return everywhere;
}
