/* Duties: what a message brings about for whom, and what does it (design.md section 5). By when, and whether it was
 * done, is in due.c. */
#include "ledger/folding.h"

static const char *const duty_states[] = {
    [ENT_DUTY_OPEN] = "open",
    [ENT_DUTY_OVERDUE] = "overdue",
    [ENT_DUTY_STOPPED] = "stopped",
    [ENT_DUTY_FROZEN] = "frozen",
    [ENT_DUTY_SENT_NOT_RECEIPTED] = "sent, not receipted",
    [ENT_DUTY_ANSWERED_NOT_RECEIPTED] = "answered, not receipted",
    [ENT_DUTY_DONE] = "done",
    [ENT_DUTY_DONE_LATE] = "done late",
    [ENT_DUTY_ENDED] = "ended",
};

const char *ent_duty_state_word(ent_duty_state state)
{
    return duty_states[state];
}

bool ent_duty_is_open(ent_duty_state state)
{
    return state < ENT_DUTY_DONE;
}

static bool in_family(const ent_message *message, const char *family)
{
    return message->kind != NULL && strncmp(message->kind->name, family, strlen(family)) == 0;
}

/* A protected system raises the urgency of what concerns it, whatever the writer says ("an urgency floor"). */
ent_urgency ent_message_urgency(const ent_message *message, const ent_agreement *terms)
{
    ent_urgency urgency = (ent_urgency)message->urgency;
    for (size_t i = 0; message->extra != NULL && i < message->extra->system_count; i++) {
        ent_urgency floor = ENT_URGENCY_ROUTINE;
        if (ent_agreement_protected(terms, message->extra->systems[i], &floor) && floor > urgency)
            urgency = floor;
    }
    return urgency;
}

/* --- what a message brings about --- */

/* What nothing has done yet, in one row per debtor: who answers one message need not look at what others owe. */
static void push_open(ent_fold_state *fold, uint32_t debtor, size_t at)
{
    size_t last = fold->last_duty[debtor];
    if (last == 0)
        fold->first_duty[debtor] = at;
    else
        fold->room->more[last - 1].next = at;
    fold->last_duty[debtor] = at;
}

static void unlink_open(ent_fold_state *fold, uint32_t debtor, size_t before, size_t at)
{
    size_t next = fold->room->more[at - 1].next;
    if (before == 0)
        fold->first_duty[debtor] = next;
    else
        fold->room->more[before - 1].next = next;
    if (fold->last_duty[debtor] == at)
        fold->last_duty[debtor] = before;
}

static ent_rc add(ent_fold_state *fold, const ent_message *message, ent_duty duty, ent_duty_more more, ent_err *err)
{
    ent_folding *room = fold->room;
    if (!ent_ledger_grow(&room->duties, room->duty_count, &room->duty_capacity, sizeof *room->duties) ||
        !ent_ledger_grow(&room->more, room->duty_count, &room->more_capacity, sizeof *room->more))
        return ent_ledger_no_memory(err);
    duty.message = (ent_ledger_ref){message->member, message->index};
    duty.kind = message->kind->name;
    duty.urgency = ent_message_urgency(message, fold->terms);
    duty.exercise = fold->thread->first->exercise;
    more.message = message;
    room->duties[room->duty_count] = duty;
    room->more[room->duty_count] = more;
    room->duty_count++;
    push_open(fold, duty.debtor, room->duty_count);
    return ENT_DONE;
}

/* Whether a message asks for an answer even where the terms name no deadline. Accounts and claims do not. */
static bool asks(const ent_message *message)
{
    bool stands_alone = message->reply_member == UINT8_MAX;
    if (!message->kind->wants_answer || in_family(message, "incident.") || in_family(message, "attribution."))
        return false;
    return !message->kind->is_answer || message->kind->needs_reply_to || stands_alone;
}

/* What passes everywhere waits for an answer only where it begins the thread: a thread about something else may have no
 * arrow for one. */
static bool takes_answers(const ent_fold_state *fold, const ent_message *message)
{
    return message == fold->thread->first || !ent_kind_passes_everywhere(ent_text_of(message->kind->name));
}

/* Only whose offer it counters can answer a counter-proposal. */
static uint32_t debtors_of(const ent_fold_state *fold, const ent_message *message)
{
    uint32_t addressees = ent_message_addressees(fold->room->ledger, message);
    const ent_message *countered =
        ent_message_is(message, "proposal.counter") ? ent_ledger_target(fold->room->ledger, message) : NULL;
    return countered == NULL ? addressees : addressees & UINT32_C(1) << countered->member;
}

static uint64_t seconds_of(ent_duty_type type, const ent_deadlines *row)
{
    switch (type) {
    case ENT_DUTY_ACKNOWLEDGE:
        return row->acknowledge_s;
    case ENT_DUTY_NOTIFICATION:
        return row->notification_s;
    case ENT_DUTY_FINAL:
        return row->final_s;
    default:
        return row->answer_s;
    }
}

/* What was owed in the channel before is owed here in its place, by the clock of there. */
static ent_rc carry_over(ent_fold_state *fold, const ent_message *message, uint32_t debtor, const ent_deadlines *row,
                         bool *ret_carried, ent_err *err)
{
    const ent_ledger *ledger = fold->room->ledger;
    const ent_carried *from;
    if (fold->room->cut[debtor] == 0)
        return ENT_DONE; /* what he has accepted is not known at the moment */
    for (size_t i = 0; (from = ent_carry_at(ledger, message, debtor, i)) != NULL; i++) {
        bool own = from->duty == ENT_DUTY_NOTIFICATION || from->duty == ENT_DUTY_FINAL;
        ent_duty duty = {.type = from->duty, .debtor = debtor, .creditor = own ? ENT_LEDGER_NOBODY : message->member};
        ent_duty_more more = {.fixed_due = from->due_unix_s, .carried_start = from->start_unix_s};
        *ret_carried = true;
        if (own != (debtor == message->member))
            continue;
        if (from->start_unix_s == 0) {
            more.seconds = seconds_of(from->duty, row);
            more.in_hours = row->in_service_hours;
        }
        ENT_TRY(add(fold, message, duty, more, err));
    }
    return ENT_DONE;
}

static ent_rc add_for_addressee(ent_fold_state *fold, const ent_message *message, uint32_t debtor,
                                const ent_deadlines *row, ent_err *err)
{
    ent_duty duty = {.debtor = debtor, .creditor = message->member};
    ent_duty_more more = {.in_hours = row->in_service_hours};
    bool carried = false;
    ENT_TRY(carry_over(fold, message, debtor, row, &carried, err));
    if (carried)
        return ENT_DONE;
    if (row->acknowledge_s > 0) {
        duty.type = ENT_DUTY_ACKNOWLEDGE;
        more.seconds = row->acknowledge_s;
        ENT_TRY(add(fold, message, duty, more, err));
    }
    if (!asks(message) && (row->answer_s == 0 || !takes_answers(fold, message)))
        return ENT_DONE;
    duty.type = ENT_DUTY_ANSWER;
    more.seconds = row->answer_s;
    if (row->answer_s == 0 && ent_message_is(message, "contact.check") && message->extra != NULL)
        more.fixed_due = message->extra->until_unix_s;
    return add(fold, message, duty, more, err);
}

static ent_rc add_for_writer(ent_fold_state *fold, const ent_message *message, const ent_deadlines *row, ent_err *err)
{
    ent_duty duty = {.debtor = message->member, .creditor = ENT_LEDGER_NOBODY};
    ent_duty_more more = {.in_hours = row->in_service_hours, .seconds = row->notification_s};
    bool carried = false;
    ENT_TRY(carry_over(fold, message, message->member, row, &carried, err));
    if (carried)
        return ENT_DONE;
    duty.type = ENT_DUTY_NOTIFICATION;
    if (row->notification_s > 0 && ent_message_is(message, "incident.early-warning"))
        ENT_TRY(add(fold, message, duty, more, err));
    duty.type = ENT_DUTY_FINAL;
    more.seconds = row->final_s;
    if (row->final_s > 0 && !ent_message_is(message, "incident.final"))
        return add(fold, message, duty, more, err);
    return ENT_DONE;
}

static ent_rc bring_about(ent_fold_state *fold, const ent_message *message, ent_err *err)
{
    if (ent_message_is(message, "contact.check") && message->reply_member != UINT8_MAX)
        return ENT_DONE; /* the answer to one asks for nothing */
    ent_deadlines row = ent_agreement_deadlines(fold->terms, ent_text_of(message->kind->name),
                                                ent_message_urgency(message, fold->terms));
    uint32_t debtors = debtors_of(fold, message);
    for (uint32_t m = 0; m < fold->room->ledger->member_count; m++) {
        if ((debtors >> m & 1) != 0)
            ENT_TRY(add_for_addressee(fold, message, m, &row, err));
    }
    return add_for_writer(fold, message, &row, err);
}

/* --- what a message does --- */

static bool answers_fully(const ent_message *message)
{
    static const char *const kinds[] = {
        "contact.check",    "proposal.accept",     "proposal.reject",     "proposal.counter", "attribution.denial",
        "commitment.match", "consultation.agenda", "consultation.record", "exchange.core",    "exchange.abort"};
    if (ent_message_is(message, "answer.response"))
        return message->outcome != ENT_OUTCOME_NEEDS_CLARIFICATION;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (ent_message_is(message, kinds[i]))
            return true;
    }
    return false;
}

/* Whether a message, which answers a target, does a duty because of some message. A recall is another matter than what
 * it recalls, and is answered by itself. */
static bool does(const ent_duty *duty, const ent_message *because, const ent_message *message,
                 const ent_message *target)
{
    if (duty->type == ENT_DUTY_NOTIFICATION)
        return ent_message_is(message, "incident.notification") || ent_message_is(message, "incident.final");
    if (duty->type == ENT_DUTY_FINAL)
        return ent_message_is(message, "incident.final");
    if (target == NULL || target->member != because->member || target->index < because->index)
        return false;
    if (duty->type == ENT_DUTY_ACKNOWLEDGE)
        return message->kind->is_answer || answers_fully(message);
    bool recalls = ent_message_is(target, "correction.recall") || ent_message_is(because, "correction.recall");
    return answers_fully(message) && (target == because || !recalls);
}

static ent_rc postpone(ent_fold_state *fold, const ent_message *message, const ent_duty *postponed,
                       const ent_message *asked, ent_err *err)
{
    ent_duty duty = {.type = ENT_DUTY_FOLLOW_UP, .debtor = postponed->debtor, .creditor = postponed->creditor};
    ent_duty_more more = {.fixed_due = message->extra == NULL ? 0 : message->extra->until_unix_s};
    return add(fold, asked, duty, more, err);
}

static ent_rc do_duty(ent_fold_state *fold, size_t at, const ent_message *message, ent_err *err)
{
    ent_duty *duty = &fold->room->duties[at];
    ent_duty_more *more = &fold->room->more[at];
    bool is_answer = duty->type == ENT_DUTY_ANSWER || duty->type == ENT_DUTY_FOLLOW_UP;
    more->act = message;
    duty->has_act = true;
    duty->act = (ent_ledger_ref){message->member, message->index};
    duty->outcome = (ent_outcome)message->outcome;
    if (!is_answer || message->outcome != ENT_OUTCOME_POSTPONED)
        return ENT_DONE;
    ent_duty postponed = *duty; /* what comes behind it may move it */
    return postpone(fold, message, &postponed, more->message, err);
}

static ent_rc act(ent_fold_state *fold, const ent_message *message, ent_err *err)
{
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    uint32_t debtor = message->member;
    size_t last = fold->last_duty[debtor]; /* what it brings about itself comes after these */
    size_t before = 0;
    for (size_t at = last == 0 ? 0 : fold->first_duty[debtor]; at != 0;) {
        size_t next = at == last ? 0 : fold->room->more[at - 1].next;
        if (does(&fold->room->duties[at - 1], fold->room->more[at - 1].message, message, target)) {
            unlink_open(fold, debtor, before, at);
            ENT_TRY(do_duty(fold, at - 1, message, err));
        } else {
            before = at;
        }
        at = next;
    }
    return ENT_DONE;
}

/* --- clarifications --- */

/* The clock stops when the question is done. One that was not receipted stops it too: "nobody can make the other late
 * by withholding a receipt". */
static ent_rc stop(ent_fold_state *fold, const ent_message *message, ent_err *err)
{
    ent_folding *room = fold->room;
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    int64_t from = 0;
    bool claimed = false;
    if (target == NULL)
        return ENT_DONE;
    if (!ent_fold_done_at(fold, message, target->member, &from, &claimed))
        from = ent_fold_not_before(fold, message);
    if (!ent_ledger_grow(&room->stops, room->stop_count, &room->stop_capacity, sizeof *room->stops))
        return ent_ledger_no_memory(err);
    room->stops[room->stop_count++] = (ent_stop){message->member, target->member, {from, INT64_MAX}};
    return ENT_DONE;
}

/* It goes on when the debtor has receipted the clarification, whatever time that gives itself: as a duty starts. */
static void go_on(ent_fold_state *fold, const ent_message *message)
{
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    uint32_t to = target != NULL && target->member != message->member
                      ? UINT32_C(1) << target->member
                      : ent_message_addressees(fold->room->ledger, message);
    for (size_t i = 0; i < fold->room->stop_count; i++) {
        ent_stop *stopped = &fold->room->stops[i];
        int64_t until = 0;
        if (stopped->interval.until != INT64_MAX || stopped->asker != message->member ||
            (to >> stopped->debtor & 1) == 0 || !ent_fold_receipted(fold, message, stopped->debtor, &until))
            continue;
        stopped->interval.until = until > stopped->interval.from ? until : stopped->interval.from;
    }
}

ent_rc ent_duties_follow(ent_fold_state *fold, const ent_message *message, ent_err *err)
{
    ENT_TRY(act(fold, message, err));
    if (ent_message_is(message, "answer.response") && message->outcome == ENT_OUTCOME_NEEDS_CLARIFICATION)
        ENT_TRY(stop(fold, message, err));
    if (message->extra != NULL && message->extra->clarifies)
        go_on(fold, message);
    return bring_about(fold, message, err);
}
