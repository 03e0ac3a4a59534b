/* The fold of one thread: its messages in the ledger's order move its tracks. */
#include "ledger/folding.h"

#include <stdlib.h>

bool ent_message_is(const ent_message *message, const char *kind)
{
    return message != NULL && message->kind != NULL && strcmp(message->kind->name, kind) == 0;
}

uint32_t ent_message_addressees(const ent_ledger *ledger, const ent_message *message)
{
    uint32_t all = ledger->member_count >= 32 ? UINT32_MAX : (UINT32_C(1) << ledger->member_count) - 1;
    uint32_t others = all & ~(UINT32_C(1) << message->member);
    return message->to == 0 ? others : message->to & others;
}

ent_track *ent_fold_track(ent_fold_state *fold, uint32_t member)
{
    for (size_t i = 0; i < fold->track_count; i++) {
        if (fold->tracks[i].member == member)
            return &fold->tracks[i];
    }
    return NULL;
}

/* --- who speaks, and whose tracks that moves --- */

static ent_side side_of(const ent_fold_state *fold, const ent_message *message)
{
    if (message->member == fold->thread->first->member)
        return ENT_SIDE_OPENER;
    return (fold->addressees >> message->member & 1) != 0 ? ENT_SIDE_ADDRESSEE : ENT_SIDE_OTHER;
}

static uint32_t moved_by(const ent_fold_state *fold, const ent_message *message, ent_side side)
{
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    if (side == ENT_SIDE_ADDRESSEE)
        return UINT32_C(1) << message->member;
    if (target != NULL && target->member != message->member)
        return fold->addressees & UINT32_C(1) << target->member;
    return fold->addressees & ent_message_addressees(fold->room->ledger, message);
}

/* --- accepts --- */

/* "binding once every member has accepted the same hash" (design 4) */
static void count_accept(ent_fold_state *fold, const ent_message *accept, const ent_message *accepted)
{
    uint32_t parties = fold->addressees | UINT32_C(1) << fold->thread->first->member;
    if (fold->bound != accepted) {
        fold->bound = accepted;
        fold->bound_by = UINT32_C(1) << accepted->member;
    }
    fold->bound_by |= UINT32_C(1) << accept->member;
    if ((fold->bound_by & parties) == parties)
        fold->bound_by = parties;
}

static bool is_bound(const ent_fold_state *fold)
{
    uint32_t parties = fold->addressees | UINT32_C(1) << fold->thread->first->member;
    return fold->bound != NULL && (fold->bound_by & parties) == parties;
}

/* "Accept and withdraw that crossed: withdrawn, shown crossed" (design 5). True when that is what this is. */
static bool cross(ent_fold_state *fold, ent_track *track, const ent_message *message, ent_side side)
{
    const ent_message *closing = fold->closing[track->member];
    if (closing == NULL || ent_message_knows(message, closing->member, closing->index))
        return false;
    bool late_withdrawal =
        track->state == ENT_STATE_ACCEPTED && ent_message_is(message, "proposal.withdraw") && side == ENT_SIDE_OPENER;
    bool late_accept = track->state == ENT_STATE_WITHDRAWN && ent_message_is(message, "proposal.accept") &&
                       ent_message_offers(ent_ledger_target(fold->room->ledger, message));
    if (!late_withdrawal && !late_accept)
        return false;
    track->state = ENT_STATE_WITHDRAWN;
    track->crossed = true;
    fold->bound = NULL;
    return true;
}

/* --- moving --- */

static ent_reason why_not(const ent_fold_state *fold, const ent_track *track, const ent_message *message)
{
    ent_text kind = ent_text_of(message->kind->name);
    ent_outcome outcome = (ent_outcome)message->outcome;
    if (track == NULL || track->state == ENT_STATE_NONE)
        return ENT_REASON_KIND_HERE;
    if (ent_machine_step(fold->machine, track->state, kind, outcome, ENT_SIDE_EITHER) != NULL)
        return ENT_REASON_WRONG_SIDE;
    if (ent_text_is(kind, "answer.response") && (track->outcome != ENT_OUTCOME_NONE || ent_state_closed(track->state)))
        return ENT_REASON_SECOND_ANSWER;
    return ENT_REASON_KIND_HERE;
}

static void move(ent_fold_state *fold, ent_track *track, const ent_arrow *arrow, const ent_message *message)
{
    bool closes = ent_message_is(message, "proposal.accept") || ent_message_is(message, "proposal.withdraw");
    track->state = arrow->to;
    if (closes)
        fold->closing[track->member] = message;
    if (ent_message_offers(message))
        fold->standing[track->member] = message;
}

/* Who wants another record than the one that some have accepted already may still propose it, until all have. */
static const ent_arrow *arrow_of(const ent_fold_state *fold, const ent_track *track, const ent_message *message,
                                 ent_side side)
{
    bool reopens =
        track->state == ENT_STATE_BINDING && ent_message_is(message, "consultation.record") && !is_bound(fold);
    return ent_machine_step(fold->machine, reopens ? ENT_STATE_RECORDED : track->state,
                            ent_text_of(message->kind->name), (ent_outcome)message->outcome, side);
}

/* Whether what a message answers is what it must answer in this state. */
static ent_reason fits(const ent_fold_state *fold, const ent_track *track, const ent_message *message)
{
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    if (ent_message_is(message, "proposal.accept"))
        return target == fold->standing[track->member] ? ENT_ALLOWED : ENT_REASON_OTHER_DIGEST;
    if (ent_message_is(message, "proposal.reject"))
        return target == fold->standing[track->member] ? ENT_ALLOWED : ENT_REASON_KIND_HERE;
    if (ent_message_is(message, "proposal.withdraw"))
        return (ent_message_offers(target) || ent_message_is(target, "commitment.pledge")) &&
                       target->member == message->member
                   ? ENT_ALLOWED
                   : ENT_REASON_KIND_HERE;
    if (ent_message_is(message, "answer.response"))
        return ent_message_is(target, "correction.recall") == (track->state == ENT_STATE_RECALLED)
                   ? ENT_ALLOWED
                   : ENT_REASON_KIND_HERE;
    return ENT_ALLOWED;
}

/* The state of the track decides; what is accepted must be what stands there. */
static ent_reason move_track(ent_fold_state *fold, ent_track *track, const ent_message *message, ent_side side,
                             const ent_arrow **ret_arrow)
{
    const ent_arrow *arrow = arrow_of(fold, track, message, side);
    if (cross(fold, track, message, side))
        return ENT_ALLOWED;
    ent_reason reason = arrow == NULL ? why_not(fold, track, message) : fits(fold, track, message);
    if (reason != ENT_ALLOWED)
        return reason;
    if (ent_message_is(message, "proposal.accept"))
        count_accept(fold, message, ent_ledger_target(fold->room->ledger, message));
    *ret_arrow = arrow;
    move(fold, track, arrow, message);
    return ENT_ALLOWED;
}

/* What moves one track and concerns all: an agenda, a record, its rejection. */
static void move_others(ent_fold_state *fold, uint32_t moved, const ent_arrow *arrow, const ent_message *message)
{
    bool bound = is_bound(fold);
    for (size_t i = 0; i < fold->track_count; i++) {
        ent_track *track = &fold->tracks[i];
        if ((moved >> track->member & 1) != 0)
            continue;
        const ent_arrow *here = arrow_of(fold, track, message, ENT_SIDE_EITHER);
        if (here == NULL && track->state == ENT_STATE_BINDING && !bound)
            here = arrow;
        if (here != NULL)
            move(fold, track, here, message);
    }
}

static ent_reason move_tracks(ent_fold_state *fold, const ent_message *message, ent_side side)
{
    uint32_t moved = moved_by(fold, message, side);
    const ent_arrow *arrow = NULL;
    ent_reason reason = ENT_REASON_KIND_HERE;
    bool any = false;
    for (size_t i = 0; i < fold->track_count; i++) {
        ent_track *track = &fold->tracks[i];
        if ((moved >> track->member & 1) == 0)
            continue;
        ent_reason here = move_track(fold, track, message, side, &arrow);
        any = any || here == ENT_ALLOWED;
        reason = here;
    }
    if (arrow != NULL && arrow->all_tracks)
        move_others(fold, moved, arrow, message);
    return any ? ENT_ALLOWED : reason;
}

/* --- answers --- */

/* One final answer to one message: what was put off or needed a clarification is not final. */
static bool has_answered(const ent_fold_state *fold, const ent_message *message)
{
    for (size_t i = fold->last_answer[message->member]; i > 0; i = fold->room->answers[i - 1].before) {
        const ent_message *before = fold->room->answers[i - 1].message;
        if (before->reply_member == message->reply_member && before->reply_index == message->reply_index)
            return true;
    }
    return false;
}

static ent_rc keep_answer(ent_fold_state *fold, const ent_message *message, ent_err *err)
{
    ent_folding *room = fold->room;
    if (!ent_message_is(message, "answer.response") || message->outcome == ENT_OUTCOME_POSTPONED ||
        message->outcome == ENT_OUTCOME_NEEDS_CLARIFICATION)
        return ENT_DONE;
    if (!ent_ledger_grow(&room->answers, room->answer_count, &room->answer_capacity, sizeof *room->answers))
        return ent_ledger_no_memory(err);
    room->answers[room->answer_count++] = (ent_final_answer){message, fold->last_answer[message->member]};
    fold->last_answer[message->member] = room->answer_count;
    return ENT_DONE;
}

/* A recall of anything but the thread's first message, and the answer to it, move no track. */
static bool is_aside(const ent_fold_state *fold, const ent_message *message)
{
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    if (ent_message_is(message, "correction.recall"))
        return target != fold->thread->first;
    return ent_message_is(message, "answer.response") && ent_message_is(target, "correction.recall") &&
           ent_ledger_target(fold->room->ledger, target) != fold->thread->first;
}

/* An acknowledgement moves a request on; else what passes everywhere changes nothing. */
static ent_reason judge_everywhere(ent_fold_state *fold, const ent_message *message, ent_side side)
{
    if (ent_message_is(message, "answer.status") && side == ENT_SIDE_OTHER)
        return ENT_REASON_NOT_ADDRESSED;
    if (side != ENT_SIDE_OTHER && !fold->refused)
        (void)move_tracks(fold, message, side);
    return ENT_ALLOWED;
}

static ent_reason judge(ent_fold_state *fold, const ent_message *message)
{
    ent_side side = side_of(fold, message);
    if (message->reason != ENT_ALLOWED || message->kind == NULL || !message->readable)
        return (ent_reason)message->reason;
    if (ent_kind_passes_everywhere(ent_text_of(message->kind->name)))
        return judge_everywhere(fold, message, side);
    if (ent_message_is(message, "answer.response") && has_answered(fold, message))
        return ENT_REASON_SECOND_ANSWER;
    if (is_aside(fold, message))
        return ENT_ALLOWED;
    if (fold->refused)
        return ENT_REASON_KIND_HERE;
    return side == ENT_SIDE_OTHER ? ENT_REASON_NOT_ADDRESSED : move_tracks(fold, message, side);
}

static void note_answer(ent_fold_state *fold, const ent_message *message)
{
    ent_track *track = ent_fold_track(fold, message->member);
    const ent_message *target = ent_ledger_target(fold->room->ledger, message);
    if (track == NULL || target == NULL || target->member != fold->thread->first->member || !message->kind->is_answer)
        return;
    track->acknowledged = true;
    if (ent_message_is(message, "answer.response") && !ent_message_is(target, "correction.recall"))
        track->outcome = (ent_outcome)message->outcome;
}

/* --- one thread --- */

static void begin(ent_fold_state *fold)
{
    const ent_message *first = fold->thread->first;
    fold->refused = first->reason != ENT_ALLOWED;
    fold->addressees = ent_message_addressees(fold->room->ledger, first);
    const ent_arrow *arrow = first->kind == NULL
                                 ? NULL
                                 : ent_machine_step(fold->machine, ENT_STATE_NONE, ent_text_of(first->kind->name),
                                                    ENT_OUTCOME_NONE, ENT_SIDE_OPENER);
    for (uint32_t m = 0; m < fold->room->ledger->member_count; m++) {
        if ((fold->addressees >> m & 1) == 0)
            continue;
        ent_track *track = &fold->tracks[fold->track_count++];
        *track = (ent_track){.member = m};
        if (!fold->refused)
            track->state = arrow == NULL ? ENT_STATE_SAID : arrow->to;
        if (ent_message_offers(first))
            fold->standing[m] = first;
    }
}

static void put_message(ent_fold_state *fold, size_t at, ent_reason reason)
{
    const ent_message *message = fold->room->order[at];
    ent_thread_message *row = &fold->room->messages[at];
    const ent_track *track = ent_fold_track(fold, message->member);
    if (track == NULL && fold->track_count > 0)
        track = &fold->tracks[0];
    row->message = (ent_ledger_ref){message->member, message->index};
    row->kind = message->kind == NULL ? NULL : message->kind->name;
    row->reason = reason;
    ent_reason_text(fold->room->ledger, message, reason, track == NULL ? ENT_STATE_NONE : track->state, row->text);
}

/* What an allowed message brings with it, besides what it has moved. */
static ent_rc take(ent_fold_state *fold, const ent_message *message, ent_err *err)
{
    const ent_message *first = fold->thread->first;
    if (message->severity != ENT_SEVERITY_NONE && message->member == first->member)
        fold->severity = (ent_severity)message->severity;
    if (message != first)
        note_answer(fold, message);
    if (ent_message_is(message, "correction.recall") && ent_ledger_target(fold->room->ledger, message) == first)
        fold->recalled = true;
    ENT_TRY(keep_answer(fold, message, err));
    return fold->judging ? ENT_DONE : ent_duties_follow(fold, message, err);
}

static ent_rc run(ent_fold_state *fold, size_t count, ent_err *err)
{
    ent_folding *room = fold->room;
    begin(fold);
    for (size_t i = 0; i < count; i++) {
        const ent_message *message = room->order[i];
        bool is_first = message == fold->thread->first;
        ent_reason reason = is_first ? (ent_reason)message->reason : judge(fold, message);
        put_message(fold, i, reason);
        if (reason == ENT_ALLOWED && message->readable && message->kind != NULL)
            ENT_TRY(take(fold, message, err));
    }
    return fold->judging ? ENT_DONE : ent_duties_settle(fold, err);
}

/* Terms hold for what began while they were in force (design 5: "open threads keep the terms they began under"). */
static const ent_agreement *valid_terms(const ent_folding *room, const ent_thread *thread)
{
    const ent_agreement *agreement = ent_folding_agreement(room, thread->terms);
    int64_t began = ent_folding_said_at(room, thread->first);
    if (agreement == NULL || began == INT64_MAX)
        return agreement;
    int64_t end = ent_agreement_end(agreement, began, ent_folding_first_decline(room, thread->terms));
    return began >= agreement->from_unix_s && began < end ? agreement : NULL;
}

static bool is_recalled(const ent_folding *room, const ent_message *message)
{
    const ent_message *recall = message->extra == NULL ? NULL : message->extra->recall;
    return recall != NULL && recall->index < room->cut[recall->member];
}

/* "a claim without evidence is marked unsupported until some is attached" (design 4): the claimant's own, not recalled.
 */
static ent_rc find_evidence(ent_folding *room, const ent_message *claim, ent_thread_view *view, ent_err *err)
{
    size_t count = 0;
    if (!ent_message_is(claim, "attribution.claim") || claim->extra == NULL)
        return ENT_DONE;
    for (const ent_link *i = claim->extra->evidence; i != NULL; i = i->next) {
        const ent_message *item = i->message;
        if (item->member != claim->member || item->index >= room->cut[item->member] || is_recalled(room, item))
            continue;
        if (!ent_ledger_grow(&room->evidence, count, &room->evidence_capacity, sizeof *room->evidence))
            return ent_ledger_no_memory(err);
        room->evidence[count++] = (ent_ledger_ref){item->member, item->index};
    }
    if (count > 1)
        qsort(room->evidence, count, sizeof *room->evidence, ent_ledger_ref_order);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !ent_ledger_ref_equal(room->evidence[view->evidence_count - 1], room->evidence[i]))
            room->evidence[view->evidence_count++] = room->evidence[i];
    }
    view->evidence = room->evidence;
    view->supported = view->evidence_count > 0;
    return ENT_DONE;
}

static ent_rc reserve_messages(ent_folding *room, size_t count, ent_err *err)
{
    if (count <= room->message_capacity)
        return ENT_DONE;
    ent_thread_message *grown = ent_realloc(room->messages, 2 * count * sizeof *grown);
    if (grown == NULL)
        return ent_ledger_no_memory(err);
    room->messages = grown;
    room->message_capacity = 2 * count;
    return ENT_DONE;
}

/* A record that not every party has accepted yet binds nobody. */
static void show_unbound(const ent_fold_state *fold)
{
    for (size_t i = 0; i < fold->track_count && !is_bound(fold); i++) {
        if (fold->tracks[i].state == ENT_STATE_BINDING)
            fold->tracks[i].state = ENT_STATE_RECORD_ACCEPTED;
    }
}

static void fill_view(const ent_fold_state *fold, size_t count, ent_thread_view *view)
{
    const ent_folding *room = fold->room;
    const ent_message *first = fold->thread->first;
    view->first = (ent_ledger_ref){first->member, first->index};
    view->kind = first->kind == NULL ? NULL : first->kind->name;
    view->machine = fold->machine;
    view->opener = first->member;
    view->exercise = first->exercise;
    view->recalled = fold->recalled;
    view->terms = fold->terms;
    view->urgency = ent_message_urgency(first, fold->terms);
    view->severity = fold->severity;
    view->tracks = fold->tracks;
    view->track_count = fold->track_count;
    view->duties = room->duties;
    view->duty_count = room->duty_count;
    view->messages = room->messages;
    view->message_count = count;
    show_unbound(fold);
    view->bound = is_bound(fold);
    if (view->bound) {
        view->accepted = (ent_ledger_ref){fold->bound->member, fold->bound->index};
        view->accepted_digest = fold->bound->extra->body_digest;
    }
}

ent_rc ent_fold(ent_folding *room, const ent_thread *thread, const ent_message *candidate,
                ent_track ret_tracks[ENT_ENTRY_MAX_MEMBERS], ent_thread_view *ret, ent_err *err)
{
    size_t count = 0;
    ent_thread_view view = {.commitment = thread->terms->commitment};
    ent_fold_state fold = {
        .room = room, .thread = thread, .machine = thread->machine, .tracks = ret_tracks, .judging = candidate != NULL};
    ENT_TRY(ent_fold_order(room, thread, &count, err));
    if (candidate != NULL)
        room->order[count++] = candidate;
    ENT_TRY(reserve_messages(room, count, err));
    room->duty_count = 0;
    room->stop_count = 0;
    room->answer_count = 0;
    int64_t evidence = ent_ledger_first_evidence(room->ledger, thread->first, room->moment.until_unix_s);
    fold.terms = valid_terms(room, thread);
    ENT_TRY(run(&fold, count, err));
    fill_view(&fold, count, &view);
    view.has_first_evidence = evidence != INT64_MAX;
    view.first_evidence_unix_s = view.has_first_evidence ? evidence : 0;
    if (!fold.judging)
        ENT_TRY(find_evidence(room, thread->first, &view, err));
    *ret = view;
    return ENT_DONE;
}
