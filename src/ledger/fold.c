/* The fold of one thread: its messages in the ledger's order move its tracks. */
#include "ledger/internal.h"

#include <stdlib.h>

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory for the ledger");
}

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

static const ent_message *target_of(const ent_fold_state *fold, const ent_message *message)
{
    return ent_ledger_message(fold->room->ledger, message->reply_member, message->reply_index);
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
    const ent_message *target = target_of(fold, message);
    if (side == ENT_SIDE_ADDRESSEE)
        return UINT32_C(1) << message->member;
    if (target != NULL && target->member != message->member)
        return fold->addressees & UINT32_C(1) << target->member;
    return fold->addressees & ent_message_addressees(fold->room->ledger, message);
}

/* --- accepts --- */

static bool is_offer(const ent_message *message)
{
    return ent_message_is(message, "proposal.proposal") || ent_message_is(message, "proposal.counter") ||
           ent_message_is(message, "channel.amendment") || ent_message_is(message, "consultation.record");
}

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
    bool late_accept = track->state == ENT_STATE_WITHDRAWN && ent_message_is(message, "proposal.accept");
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
    if (is_offer(message))
        fold->standing[track->member] = message;
}

/* The state of the track decides; what is accepted must be what stands there. */
static ent_reason move_track(ent_fold_state *fold, ent_track *track, const ent_message *message, ent_side side,
                             const ent_arrow **ret_arrow)
{
    const ent_arrow *arrow = ent_machine_step(fold->machine, track->state, ent_text_of(message->kind->name),
                                              (ent_outcome)message->outcome, side);
    if (cross(fold, track, message, side))
        return ENT_ALLOWED;
    if (arrow == NULL)
        return why_not(fold, track, message);
    if (ent_message_is(message, "proposal.accept")) {
        const ent_message *target = target_of(fold, message);
        if (target == NULL || target != fold->standing[track->member])
            return ENT_REASON_OTHER_DIGEST;
        count_accept(fold, message, target);
    }
    *ret_arrow = arrow;
    move(fold, track, arrow, message);
    return ENT_ALLOWED;
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
    for (size_t i = 0; any && arrow != NULL && arrow->all_tracks && i < fold->track_count; i++) {
        const ent_arrow *here = ent_machine_step(fold->machine, fold->tracks[i].state, ent_text_of(message->kind->name),
                                                 ENT_OUTCOME_NONE, ENT_SIDE_EITHER);
        if ((moved >> fold->tracks[i].member & 1) == 0 && here != NULL)
            move(fold, &fold->tracks[i], here, message);
    }
    return any ? ENT_ALLOWED : reason;
}

/* --- answers --- */

/* One final answer to one message: what was put off or needed a clarification is not final. */
static bool has_answered(const ent_fold_state *fold, const ent_message *message, size_t upto)
{
    for (size_t i = 0; i < upto; i++) {
        const ent_message *before = fold->room->order[i];
        if (before->member == message->member && ent_message_is(before, "answer.response") && before->readable &&
            fold->room->messages[i].reason == ENT_ALLOWED && before->reply_member == message->reply_member &&
            before->reply_index == message->reply_index && before->outcome != ENT_OUTCOME_POSTPONED &&
            before->outcome != ENT_OUTCOME_NEEDS_CLARIFICATION)
            return true;
    }
    return false;
}

/* A recall of anything but the thread's first message, and the answer to it, move no track. */
static bool is_aside(const ent_fold_state *fold, const ent_message *message)
{
    const ent_message *target = target_of(fold, message);
    if (ent_message_is(message, "correction.recall"))
        return target != fold->thread->first;
    return ent_message_is(message, "answer.response") && ent_message_is(target, "correction.recall") &&
           ent_ledger_message(fold->room->ledger, target->reply_member, target->reply_index) != fold->thread->first;
}

static bool addresses(const ent_fold_state *fold, const ent_message *target, uint32_t member)
{
    return target != NULL && target->member != member &&
           (ent_message_addressees(fold->room->ledger, target) >> member & 1) != 0;
}

static ent_reason judge_everywhere(const ent_fold_state *fold, const ent_message *message)
{
    const ent_message *target = target_of(fold, message);
    if (ent_message_is(message, "answer.acknowledgement") && !addresses(fold, target, message->member))
        return ENT_REASON_NOT_ADDRESSED;
    if (ent_message_is(message, "answer.status") && side_of(fold, message) == ENT_SIDE_OTHER)
        return ENT_REASON_NOT_ADDRESSED;
    return ENT_ALLOWED;
}

static ent_reason judge(ent_fold_state *fold, const ent_message *message, size_t at)
{
    ent_side side = side_of(fold, message);
    if (message->reason != ENT_ALLOWED || message->kind == NULL || !message->readable)
        return (ent_reason)message->reason;
    ent_text kind = ent_text_of(message->kind->name);
    if (ent_kind_passes_everywhere(kind)) {
        ent_reason reason = judge_everywhere(fold, message);
        if (reason == ENT_ALLOWED && side != ENT_SIDE_OTHER && !fold->refused)
            (void)move_tracks(fold, message, side); /* an acknowledgement moves a request on */
        return reason;
    }
    if (fold->refused)
        return ENT_REASON_KIND_HERE;
    if (is_aside(fold, message)) {
        if (ent_message_is(message, "answer.response") && has_answered(fold, message, at))
            return ENT_REASON_SECOND_ANSWER;
        return ENT_ALLOWED;
    }
    if (side == ENT_SIDE_OTHER)
        return ENT_REASON_NOT_ADDRESSED;
    if (ent_message_is(message, "answer.response") && has_answered(fold, message, at))
        return ENT_REASON_SECOND_ANSWER;
    return move_tracks(fold, message, side);
}

static void note_answer(ent_fold_state *fold, const ent_message *message)
{
    ent_track *track = ent_fold_track(fold, message->member);
    const ent_message *target = target_of(fold, message);
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
        if (is_offer(first))
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

static ent_rc run(ent_fold_state *fold, size_t count, ent_err *err)
{
    ent_folding *room = fold->room;
    begin(fold);
    for (size_t i = 0; i < count; i++) {
        const ent_message *message = room->order[i];
        bool is_first = message == fold->thread->first;
        ent_reason reason = is_first ? (ent_reason)message->reason : judge(fold, message, i);
        put_message(fold, i, reason);
        if (reason != ENT_ALLOWED || !message->readable || message->kind == NULL)
            continue;
        if (message->severity != ENT_SEVERITY_NONE && message->member == fold->thread->first->member)
            fold->severity = (ent_severity)message->severity;
        if (!is_first)
            note_answer(fold, message);
        ENT_TRY(ent_duties_follow(fold, message, err));
    }
    return ent_duties_settle(fold, err);
}

/* Terms hold for what began while they were in force (design 5: "open threads keep the terms they began under"). */
static const ent_agreement *valid_terms(const ent_folding *room, const ent_agreement *terms, int64_t evidence)
{
    if (terms == NULL || evidence == INT64_MAX)
        return terms;
    bool valid = evidence >= terms->from_unix_s && evidence < ent_agreement_end(terms, evidence, room->first_decline);
    return valid ? terms : NULL;
}

static int by_ref(const void *a, const void *b)
{
    const ent_ledger_ref *left = a;
    const ent_ledger_ref *right = b;
    if (left->member != right->member)
        return left->member < right->member ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
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
            return no_memory(err);
        room->evidence[count++] = (ent_ledger_ref){item->member, item->index};
    }
    if (count > 1)
        qsort(room->evidence, count, sizeof *room->evidence, by_ref);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || by_ref(&room->evidence[view->evidence_count - 1], &room->evidence[i]) != 0)
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
        return no_memory(err);
    room->messages = grown;
    room->message_capacity = 2 * count;
    return ENT_DONE;
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
    view->recalled = is_recalled(room, first);
    view->terms = fold->terms;
    view->urgency = ent_message_urgency(first, fold->terms);
    view->severity = fold->severity;
    view->tracks = fold->tracks;
    view->track_count = fold->track_count;
    view->duties = room->duties;
    view->duty_count = room->duty_count;
    view->messages = room->messages;
    view->message_count = count;
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
    ent_thread_view view = {.has_first_evidence = true};
    ent_fold_state fold = {.room = room, .thread = thread, .machine = thread->machine, .tracks = ret_tracks};
    const ent_agreement *terms = ent_terms_for(room->ledger, thread->first, &view.commitment);
    ENT_TRY(ent_fold_order(room, thread, &count, err));
    if (candidate != NULL)
        room->order[count++] = candidate;
    ENT_TRY(reserve_messages(room, count, err));
    room->duty_count = 0;
    room->stop_count = 0;
    int64_t evidence = ent_ledger_first_evidence(room->ledger, thread->first, room->moment.until_unix_s);
    fold.terms = valid_terms(room, terms, evidence);
    ENT_TRY(run(&fold, count, err));
    fill_view(&fold, count, &view);
    view.has_first_evidence = evidence != INT64_MAX;
    view.first_evidence_unix_s = view.has_first_evidence ? evidence : 0;
    ENT_TRY(find_evidence(room, thread->first, &view, err));
    *ret = view;
    return ENT_DONE;
}
