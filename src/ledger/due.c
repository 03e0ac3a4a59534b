/* When a duty starts, when it is due, when its act is done, and in which state it is at the moment (design.md section
 * 5).
 *
 * "A duty starts at the earliest of receipt …; an act is done at the earliest of receipt …: nobody can make the other
 * late by withholding a receipt. Without a neutral a receipted act is done at the later of its `time` and of our
 * receipts that it acks, marked claimed; unreceipted, the word is 'sent, not receipted', never 'breach'." */
#include "ledger/folding.h"

/* --- when an act is done --- */

bool ent_fold_receipted(const ent_fold_state *fold, const ent_message *message, uint32_t receiver, int64_t *ret)
{
    uint64_t size = 0;
    if (receiver != ENT_LEDGER_NOBODY)
        return ent_ledger_receipt_of(fold->room->ledger, message->member, receiver, message->index,
                                     fold->room->moment.until_unix_s, ret, &size);
    int64_t first = ent_ledger_first_evidence(fold->room->ledger, message, fold->room->moment.until_unix_s);
    if (first != INT64_MAX)
        *ret = first;
    return first != INT64_MAX;
}

int64_t ent_fold_not_before(const ent_fold_state *fold, const ent_message *message)
{
    const ent_ledger *ledger = fold->room->ledger;
    int64_t latest = message->time_unix_s;
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        int64_t time = 0;
        uint64_t size = 0;
        if (m != message->member && message->seen[m] > 0 &&
            ent_ledger_receipt_of(ledger, m, message->member, message->seen[m] - 1, fold->room->moment.until_unix_s,
                                  &time, &size) &&
            time > latest)
            latest = time;
    }
    return latest;
}

bool ent_fold_done_at(const ent_fold_state *fold, const ent_message *message, uint32_t creditor, int64_t *ret,
                      bool *ret_claimed)
{
    int64_t receipt = 0;
    if (!ent_fold_receipted(fold, message, creditor, &receipt))
        return false;
    int64_t claimed = ent_fold_not_before(fold, message);
    *ret_claimed = claimed < receipt;
    *ret = *ret_claimed ? claimed : receipt;
    return true;
}

/* --- due times --- */

static ent_rc put_interval(ent_folding *room, size_t *count, ent_interval interval, ent_err *err)
{
    if (interval.until <= interval.from)
        return ENT_DONE;
    if (*count > 0 && interval.from <= room->merged[*count - 1].until) {
        if (interval.until > room->merged[*count - 1].until)
            room->merged[*count - 1].until = interval.until;
        return ENT_DONE;
    }
    if (!ent_ledger_grow(&room->merged, *count, &room->merged_capacity, sizeof *room->merged))
        return ent_ledger_no_memory(err);
    room->merged[(*count)++] = interval;
    return ENT_DONE;
}

static bool stops(const ent_stop *stopped, const ent_duty *duty)
{
    return stopped->debtor == duty->debtor && stopped->asker == duty->creditor;
}

/* The suspensions and the duty's own stops, in one sorted row. Its stops follow each other in time. */
static ent_rc merge(ent_folding *room, const ent_duty *duty, const ent_interval *frozen, size_t frozen_count,
                    size_t *ret_count, ent_err *err)
{
    size_t at = 0;
    size_t count = 0;
    for (size_t i = 0; i < room->stop_count; i++) {
        if (!stops(&room->stops[i], duty))
            continue;
        while (at < frozen_count && frozen[at].from <= room->stops[i].interval.from)
            ENT_TRY(put_interval(room, &count, frozen[at++], err));
        ENT_TRY(put_interval(room, &count, room->stops[i].interval, err));
    }
    while (at < frozen_count)
        ENT_TRY(put_interval(room, &count, frozen[at++], err));
    *ret_count = count;
    return ENT_DONE;
}

static bool is_stopped(const ent_folding *room, const ent_duty *duty)
{
    for (size_t i = 0; i < room->stop_count; i++) {
        if (stops(&room->stops[i], duty) && room->stops[i].interval.until == INT64_MAX)
            return true;
    }
    return false;
}

/* The first suspension that ends after a moment: those before it cannot matter. */
static size_t first_after(const ent_folding *room, int64_t moment)
{
    size_t low = 0;
    size_t high = room->frozen_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (room->frozen[middle].until > moment)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static ent_rc set_due(ent_fold_state *fold, ent_duty *duty, const ent_duty_more *more, ent_err *err)
{
    ent_folding *room = fold->room;
    if (more->fixed_due != 0) {
        duty->has_due = true;
        duty->due_unix_s = more->fixed_due;
        return ENT_DONE;
    }
    if (more->seconds == 0 || !duty->has_start)
        return ENT_DONE;
    size_t skipped =
        ent_agreement_freezes_deadlines(fold->terms) ? first_after(room, duty->start_unix_s) : room->frozen_count;
    const ent_interval *frozen = room->frozen_count == 0 ? NULL : room->frozen + skipped;
    size_t count = room->frozen_count - skipped;
    if (room->stop_count > 0 && duty->type == ENT_DUTY_ANSWER) {
        ENT_TRY(merge(room, duty, frozen, count, &count, err));
        frozen = room->merged;
    }
    ent_text debtor = room->ledger->genesis->members[duty->debtor].name;
    const ent_service_hours *hours = more->in_hours ? ent_agreement_service_hours(fold->terms, debtor) : NULL;
    duty->has_due = true;
    duty->due_unix_s = ent_calendar_advance(duty->start_unix_s, more->seconds, hours, frozen, count);
    return ENT_DONE;
}

/* A clock of the writer's own starts with the first addressee's receipt, but not before he had written. */
static void set_start(ent_fold_state *fold, ent_duty *duty, const ent_duty_more *more)
{
    const ent_ledger *ledger = fold->room->ledger;
    const ent_message *message = more->message;
    if (more->carried_start != 0) {
        duty->has_start = true;
        duty->start_unix_s = more->carried_start;
        duty->start_by = duty->debtor;
        duty->carried = true;
        return;
    }
    bool own = duty->creditor == ENT_LEDGER_NOBODY;
    uint32_t counts = own ? ent_message_addressees(ledger, message) : UINT32_C(1) << duty->debtor;
    for (uint32_t r = 0; r < ledger->member_count; r++) {
        int64_t time = 0;
        uint64_t size = 0;
        if ((counts >> r & 1) == 0 || !ent_ledger_receipt_of(ledger, message->member, r, message->index,
                                                             fold->room->moment.until_unix_s, &time, &size))
            continue;
        if (duty->has_start && time >= duty->start_unix_s)
            continue;
        duty->has_start = true;
        duty->start_unix_s = time;
        duty->start_by = r;
        duty->start_size = size;
    }
    if (own && duty->has_start && duty->start_unix_s < message->time_unix_s)
        duty->start_unix_s = message->time_unix_s;
}

static bool is_settled(const ent_fold_state *fold, const ent_track *track)
{
    bool recalled = track->state == ENT_STATE_RECALLED || track->state == ENT_STATE_RECALL_CONFIRMED ||
                    track->state == ENT_STATE_RECALL_REFUSED;
    return recalled || (ent_state_closed(track->state) && strcmp(fold->machine->name, "incident") != 0);
}

/* What is closed otherwise than by the act asks for the act no more; what is owed to all, when it is for all. The
 * account of an incident goes on being one. */
static bool is_over(ent_fold_state *fold, const ent_duty *duty, const ent_message *message)
{
    const ent_track *debtor = ent_fold_track(fold, duty->debtor);
    const ent_track *creditor = duty->creditor == ENT_LEDGER_NOBODY ? NULL : ent_fold_track(fold, duty->creditor);
    if (ent_message_is(message, "correction.recall"))
        return false;
    if (debtor != NULL || creditor != NULL)
        return is_settled(fold, debtor != NULL ? debtor : creditor);
    for (size_t i = 0; i < fold->track_count; i++) {
        if (!is_settled(fold, &fold->tracks[i]))
            return false;
    }
    return fold->track_count > 0;
}

static ent_duty_state state_of(ent_fold_state *fold, ent_duty *duty, const ent_duty_more *more)
{
    const ent_folding *room = fold->room;
    if (duty->has_act) {
        if (!ent_fold_done_at(fold, more->act, duty->creditor, &duty->done_unix_s, &duty->claimed))
            return ENT_DUTY_ANSWERED_NOT_RECEIPTED;
        return duty->has_due && duty->done_unix_s > duty->due_unix_s ? ENT_DUTY_DONE_LATE : ENT_DUTY_DONE;
    }
    if (is_over(fold, duty, more->message))
        return ENT_DUTY_ENDED;
    if (!duty->has_start)
        return ENT_DUTY_SENT_NOT_RECEIPTED;
    if (duty->has_due && duty->due_unix_s < room->moment.now_unix_s)
        return ENT_DUTY_OVERDUE;
    if (duty->type == ENT_DUTY_ANSWER && is_stopped(room, duty))
        return ENT_DUTY_STOPPED;
    if (room->frozen_now && more->seconds > 0 && ent_agreement_freezes_deadlines(fold->terms))
        return ENT_DUTY_FROZEN;
    return ENT_DUTY_OPEN;
}

/* As far as its log tells of the revocation at the moment. */
static bool is_contested(const ent_folding *room, const ent_message *message)
{
    const ent_contests *contests = message == NULL ? NULL : &room->ledger->logs[message->member].contests;
    for (size_t i = 0; contests != NULL && i < contests->count; i++) {
        const struct ent_contested *row = &contests->rows[i];
        if (row->from <= message->index && message->index < row->until && row->until < room->cut[message->member])
            return true;
    }
    return false;
}

ent_rc ent_duties_settle(ent_fold_state *fold, ent_err *err)
{
    ent_folding *room = fold->room;
    for (size_t i = 0; i < room->duty_count; i++) {
        ent_duty *duty = &room->duties[i];
        set_start(fold, duty, &room->more[i]);
        ENT_TRY(set_due(fold, duty, &room->more[i], err));
        duty->state = state_of(fold, duty, &room->more[i]);
        duty->contested = is_contested(room, room->more[i].message) || is_contested(room, room->more[i].act);
    }
    return ENT_DONE;
}
