/* Sums over all threads at a moment: reciprocity, answer times, the threat level.  Source: design.md section 5. */
#include "ledger/folding.h"

#include <stdio.h>
#include <stdlib.h>

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory for the ledger's sums");
}

typedef struct {
    uint64_t *rows;
    size_t count;
    size_t capacity;
} times;

typedef struct {
    const ent_ledger *ledger;
    ent_moment moment;
    ent_ledger_sums *sums;
    size_t amendment_capacity;
    times answers[ENT_ENTRY_MAX_MEMBERS];
    times checks[ENT_ENTRY_MAX_MEMBERS];
} summing;

static bool is_machine(const ent_thread_view *thread, const char *name)
{
    return thread->machine != NULL && strcmp(thread->machine->name, name) == 0;
}

uint64_t ent_thread_weight(const ent_thread_view *thread, const ent_agreement *agreement, ent_moment moment)
{
    if (agreement == NULL || !agreement->has_threat_level || !is_machine(thread, "incident") || thread->exercise ||
        thread->recalled || !thread->has_first_evidence)
        return 0;
    int64_t age = moment.now_unix_s - thread->first_evidence_unix_s;
    return age <= (int64_t)agreement->window_s ? ent_agreement_weight(agreement, thread->severity) : 0;
}

/* --- reciprocity --- */

static ent_balance *balance_of(const summing *s, size_t class_at, uint32_t from, uint32_t to)
{
    size_t members = s->ledger->member_count;
    size_t others = members - 1;
    size_t at = (class_at * members + from) * others + (to > from ? to - 1 : to);
    return &s->sums->balances[at];
}

static bool is_asked(const ent_thread_view *thread)
{
    return is_machine(thread, "request") || is_machine(thread, "consultation") || is_machine(thread, "proposal") ||
           is_machine(thread, "amendment") || is_machine(thread, "check");
}

static bool is_granted(const ent_track *track)
{
    return track->outcome == ENT_OUTCOME_GRANTED || track->outcome == ENT_OUTCOME_PARTIAL ||
           track->state == ENT_STATE_ACCEPTED;
}

static bool is_refused(const ent_track *track)
{
    return track->outcome == ENT_OUTCOME_REFUSED || track->outcome == ENT_OUTCOME_IMPOSSIBLE ||
           track->state == ENT_STATE_REJECTED;
}

/* What a member owes in a thread; the duty to answer its first message tells of it best. */
static void count_asked(const ent_thread_view *thread, const ent_track *track, ent_balance *row)
{
    bool receipted = false;
    bool overdue = false;
    for (size_t i = 0; i < thread->duty_count; i++) {
        const ent_duty *duty = &thread->duties[i];
        if (duty->debtor != track->member)
            continue;
        overdue = overdue || duty->state == ENT_DUTY_OVERDUE;
        if (duty->type != ENT_DUTY_ANSWER || duty->message.index != thread->first.index ||
            duty->message.member != thread->first.member)
            continue;
        receipted = receipted || duty->has_start;
        row->answered += duty->has_act;
        row->answered_in_time += duty->state == ENT_DUTY_DONE;
    }
    row->asked += receipted; /* "sent, not receipted" was not asked yet */
    row->acknowledged += track->acknowledged;
    row->granted += is_granted(track);
    row->refused += is_refused(track);
    row->overdue += overdue;
}

static void count_reciprocity(const summing *s, const ent_thread_view *thread)
{
    int class_at = thread->kind == NULL ? -1 : ent_agreement_class(s->sums->agreement, ent_text_of(thread->kind));
    if (class_at < 0 || thread->exercise)
        return;
    for (size_t i = 0; i < thread->track_count; i++) {
        const ent_track *track = &thread->tracks[i];
        if (track->state == ENT_STATE_NONE)
            continue;
        ent_balance *asked = balance_of(s, (size_t)class_at, thread->opener, track->member);
        ent_balance *other = balance_of(s, (size_t)class_at, track->member, thread->opener);
        if (is_asked(thread)) {
            count_asked(thread, track, asked);
            asked->received += is_granted(track);
            other->given += is_granted(track);
        } else if (!thread->recalled && thread->has_first_evidence) {
            asked->given++;
            other->received++;
        }
    }
}

/* --- answer times --- */

static ent_rc add_time(times *list, uint64_t value, ent_err *err)
{
    if (!ent_ledger_grow(&list->rows, list->count, &list->capacity, sizeof *list->rows))
        return no_memory(err);
    list->rows[list->count++] = value;
    return ENT_DONE;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* The lower of the two in the middle: an integer that was really measured. */
static uint64_t median(times *list)
{
    if (list->count == 0)
        return 0;
    qsort(list->rows, list->count, sizeof *list->rows, by_value);
    return list->rows[(list->count - 1) / 2];
}

static ent_rc count_duty(summing *s, const ent_duty *duty, ent_err *err)
{
    ent_ledger_sums *sums = s->sums;
    bool done = duty->state == ENT_DUTY_DONE || duty->state == ENT_DUTY_DONE_LATE;
    if (duty->exercise) {
        sums->exercise_duties += ent_duty_is_open(duty->state);
        return ENT_DONE;
    }
    sums->duties_open += ent_duty_is_open(duty->state);
    sums->duties_overdue += duty->state == ENT_DUTY_OVERDUE;
    sums->duties_in_time += duty->state == ENT_DUTY_DONE;
    sums->duties_late += duty->state == ENT_DUTY_DONE_LATE;
    if (duty->type != ENT_DUTY_ANSWER)
        return ENT_DONE;
    uint64_t took = done && duty->has_start && duty->done_unix_s > duty->start_unix_s
                        ? (uint64_t)(duty->done_unix_s - duty->start_unix_s)
                        : 0;
    if (strcmp(duty->kind, "contact.check") == 0) {
        ent_check_record *record = &sums->checks[duty->debtor];
        record->asked++;
        record->answered += done;
        record->missed += duty->state == ENT_DUTY_OVERDUE || duty->state == ENT_DUTY_DONE_LATE;
        if (done && duty->done_unix_s > record->last_unix_s)
            record->last_unix_s = duty->done_unix_s;
        return done && duty->has_start ? add_time(&s->checks[duty->debtor], took, err) : ENT_DONE;
    }
    return done && duty->has_start ? add_time(&s->answers[duty->debtor], took, err) : ENT_DONE;
}

/* --- amendments, suspensions --- */

static ent_state amendment_state(const ent_thread_view *thread)
{
    ent_state state = ENT_STATE_PROPOSED;
    if (thread->bound)
        return ENT_STATE_ACCEPTED;
    for (size_t i = 0; i < thread->track_count; i++) {
        if (thread->tracks[i].state == ENT_STATE_WITHDRAWN || thread->tracks[i].state == ENT_STATE_REJECTED)
            state = thread->tracks[i].state;
    }
    return state;
}

static ent_rc add_amendment(summing *s, const ent_thread_view *thread, ent_err *err)
{
    const ent_message *message = ent_ledger_message(s->ledger, thread->first.member, thread->first.index);
    const ent_amended *amended = message->extra == NULL ? NULL : message->extra->amendment;
    if (amended == NULL)
        return ENT_DONE;
    if (!ent_ledger_grow(&s->sums->amendments, s->sums->amendment_count, &s->amendment_capacity,
                         sizeof *s->sums->amendments))
        return no_memory(err);
    s->sums->amendments[s->sums->amendment_count++] =
        (ent_amendment){thread->first, amended->parent->commitment, amended->commitment, amendment_state(thread)};
    return ENT_DONE;
}

static ent_rc add_suspensions(const summing *s, const uint64_t *cut, ent_err *err)
{
    const ent_ledger *ledger = s->ledger;
    s->sums->suspensions = ent_alloc_array(ledger->member_count, sizeof *s->sums->suspensions);
    if (s->sums->suspensions == NULL)
        return no_memory(err);
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        const ent_toggles *toggles = &ledger->logs[m].toggles;
        size_t visible = toggles->count;
        while (visible > 0 && toggles->rows[visible - 1]->index >= cut[m])
            visible--;
        if (visible % 2 == 0)
            continue;
        const ent_message *message = toggles->rows[visible - 1];
        int64_t since = ent_ledger_first_evidence(ledger, message, s->moment.until_unix_s);
        s->sums->suspensions[s->sums->suspension_count++] =
            (ent_suspension){m, {m, message->index}, since == INT64_MAX ? message->time_unix_s : since};
    }
    return ENT_DONE;
}

/* --- the pass --- */

static ent_rc add_thread(void *context, const ent_thread_view *thread, ent_err *err)
{
    summing *s = context;
    s->sums->threads++;
    s->sums->exercise_threads += thread->exercise;
    for (size_t i = 0; i < thread->duty_count; i++)
        ENT_TRY(count_duty(s, &thread->duties[i], err));
    count_reciprocity(s, thread);
    s->sums->threat_sum += ent_thread_weight(thread, s->sums->agreement, s->moment);
    for (size_t i = 0; i < thread->message_count; i++)
        s->sums->refused += thread->messages[i].reason != ENT_ALLOWED;
    return is_machine(thread, "amendment") ? add_amendment(s, thread, err) : ENT_DONE;
}

static ent_rc add_balances(summing *s, ent_err *err)
{
    const ent_ledger *ledger = s->ledger;
    size_t classes = s->sums->agreement == NULL ? 0 : s->sums->agreement->class_count;
    size_t pairs = (size_t)ledger->member_count * (ledger->member_count - 1);
    s->sums->balances = ent_alloc_array(classes * pairs + 1, sizeof *s->sums->balances);
    if (s->sums->balances == NULL)
        return no_memory(err);
    s->sums->balance_count = classes * pairs;
    for (size_t c = 0; c < classes; c++) {
        for (uint32_t from = 0; from < ledger->member_count; from++) {
            for (uint32_t to = 0; to < ledger->member_count; to++) {
                if (from != to)
                    *balance_of(s, c, from, to) = (ent_balance){.class_at = c, .from = from, .to = to};
            }
        }
    }
    return ENT_DONE;
}

static void finish(summing *s)
{
    ent_ledger_sums *sums = s->sums;
    for (size_t i = 0; i < sums->balance_count; i++) {
        ent_balance *row = &sums->balances[i];
        uint64_t hold_back = sums->agreement->classes[row->class_at].hold_back_at_balance;
        row->may_hold_back = hold_back > 0 && row->given >= row->received + hold_back;
    }
    for (uint32_t m = 0; m < s->ledger->member_count; m++) {
        sums->answer_times[m].count = s->answers[m].count;
        sums->answer_times[m].median_s = median(&s->answers[m]);
        sums->checks[m].median_s = median(&s->checks[m]);
    }
    sums->threat_level = ent_agreement_level(sums->agreement, sums->threat_sum);
}

static void count_messages(const summing *s, const uint64_t *cut)
{
    for (uint32_t m = 0; m < s->ledger->member_count; m++) {
        for (uint64_t i = 0; i < cut[m]; i++) {
            const ent_message *message = ent_ledger_message(s->ledger, m, i);
            s->sums->unknown += message->kind == NULL;
            s->sums->contested +=
                message->kind != NULL && !message->readable && message->reason != ENT_REASON_PROVEN_BAD;
            s->sums->refused += message->thread == ENT_NO_THREAD && message->reason != ENT_ALLOWED;
        }
    }
}

static void set_agreement(ent_ledger_sums *sums, const ent_folding *room)
{
    const ent_amended *terms = ent_terms_at(room->ledger, room->cut);
    int64_t now = room->moment.now_unix_s;
    sums->commitment = terms->commitment;
    sums->terms_known = terms->message != NULL || room->base_shown;
    sums->agreement = ent_folding_agreement(room, terms);
    if (sums->agreement == NULL) {
        (void)snprintf(sums->problem, sizeof sums->problem, "%s",
                       sums->terms_known ? terms->problem : "the terms were not opened yet");
        return;
    }
    sums->end_unix_s = ent_agreement_end(sums->agreement, now, ent_folding_first_decline(room, terms));
    sums->in_force = now >= sums->agreement->from_unix_s && now < sums->end_unix_s;
}

static ent_rc sum_up(summing *s, ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    uint32_t members = s->ledger->member_count;
    ENT_TRY(ent_folding_begin(s->ledger, s->moment, &room, err));
    set_agreement(s->sums, &room);
    s->sums->answer_times = ent_alloc_array(members, sizeof *s->sums->answer_times);
    s->sums->checks = ent_alloc_array(members, sizeof *s->sums->checks);
    if (s->sums->answer_times == NULL || s->sums->checks == NULL)
        return no_memory(err);
    s->sums->member_count = members;
    for (uint32_t m = 0; m < members; m++) {
        s->sums->answer_times[m].by = m;
        s->sums->checks[m].by = m;
    }
    ENT_TRY(add_balances(s, err));
    ENT_TRY(add_suspensions(s, room.cut, err));
    count_messages(s, room.cut);
    ENT_TRY(ent_ledger_walk(s->ledger, s->moment, add_thread, s, err));
    finish(s);
    return ENT_DONE;
}

ent_rc ent_ledger_sum(const ent_ledger *ledger, ent_moment moment, ent_ledger_sums *ret, ent_err *err)
{
    ent_ledger_sums sums = {0};
    summing s = {.ledger = ledger, .moment = moment, .sums = &sums};
    ent_rc rc = sum_up(&s, err);
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        ent_free(s.answers[m].rows);
        ent_free(s.checks[m].rows);
    }
    if (rc.code != ENT_OK) {
        ent_ledger_sums_release(&sums);
        return rc;
    }
    *ret = sums;
    return ENT_DONE;
}

void ent_ledger_sums_release(ent_ledger_sums *sums)
{
    ent_free(sums->balances);
    ent_free(sums->answer_times);
    ent_free(sums->checks);
    ent_free(sums->suspensions);
    ent_free(sums->amendments);
    *sums = (ent_ledger_sums){0};
}

ent_rc ent_ledger_end(const ent_ledger *ledger, ent_moment moment, const ent_agreement **ret, int64_t *ret_end_unix_s,
                      ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ent_ledger_sums sums = {0};
    ENT_TRY(ent_folding_begin(ledger, moment, &room, err));
    set_agreement(&sums, &room);
    *ret = sums.agreement;
    *ret_end_unix_s = sums.end_unix_s;
    return ENT_DONE;
}
