/* Asking the ledger: may this be said, what terms hold, what has become of the threads. */
#include "ledger/folding.h"

/* --- before something is said --- */

ent_rc ent_ledger_judge(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                        ent_reason *ret_reason, char ret_text[ENT_REASON_SIZE], ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) ent_message *message = ent_alloc(ledger->stride);
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    ent_thread_view view;
    ent_extra extra = {0};
    if (message == NULL)
        return ent_ledger_no_memory(err);
    ent_message_fill(ledger, member, entry, facts, message);
    ent_extra_fill(&extra, entry, facts);
    message->extra = &extra;
    ent_reason reason = (ent_reason)message->reason;
    const ent_thread *thread = reason == ENT_ALLOWED ? ent_message_joins(ledger, message) : NULL;
    ent_reason_text(ledger, message, reason, ENT_STATE_NONE, ret_text);
    if (thread != NULL && message->kind != NULL) {
        room.ledger = ledger; /* of the whole log, at no time: what is allowed asks for nothing else */
        room.moment.until_unix_s = INT64_MAX;
        ent_ledger_cut(ledger, INT64_MAX, room.cut);
        ENT_TRY(ent_fold(&room, thread, message, tracks, &view, err));
        reason = view.messages[view.message_count - 1].reason;
        memcpy(ret_text, view.messages[view.message_count - 1].text, ENT_REASON_SIZE);
    }
    *ret_reason = reason;
    return ENT_DONE;
}

ent_rc ent_ledger_allows(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                         ent_err *err)
{
    char text[ENT_REASON_SIZE] = "";
    ent_reason reason = ENT_ALLOWED;
    ENT_TRY(ent_ledger_judge(ledger, member, entry, facts, &reason, text, err));
    if (reason == ENT_ALLOWED)
        return ENT_DONE;
    return ent_fail(err, ENT_REFUSED, "design 5", "%.*s: %s", ENT_TEXT_ARG(entry->kind), text);
}

const ent_agreement *ent_ledger_terms(const ent_ledger *ledger, uint32_t member, const ent_ack *acks, size_t ack_count,
                                      ent_hash *ret_commitment)
{
    uint64_t known[ENT_ENTRY_MAX_MEMBERS];
    const ent_entry entry = {.index = ledger->logs[member].size, .acks = (ent_ack *)acks, .ack_count = ack_count};
    ent_message_seen(ledger, member, &entry, known);
    const ent_amended *terms = ent_terms_at(ledger, known);
    *ret_commitment = terms->commitment;
    return terms->agreement;
}

/* --- walks --- */

static ent_rc fold_and_give(ent_folding *room, const ent_thread *thread, ent_thread_fn fn, void *context, ent_err *err)
{
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    ent_thread_view view;
    ENT_TRY(ent_fold(room, thread, NULL, tracks, &view, err));
    return fn(context, &view, err);
}

ent_rc ent_ledger_walk(const ent_ledger *ledger, ent_moment moment, ent_thread_fn fn, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ENT_TRY(ent_folding_begin(ledger, moment, &room, err));
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        for (uint64_t i = 0; i < room.cut[m]; i++) {
            const ent_message *message = ent_ledger_message(ledger, m, i);
            const ent_thread *thread = ent_ledger_thread_at(ledger, message->thread);
            if (thread != NULL && thread->first == message)
                ENT_TRY(fold_and_give(&room, thread, fn, context, err));
        }
    }
    return ENT_DONE;
}

ent_rc ent_ledger_thread(const ent_ledger *ledger, ent_ledger_ref ref, ent_moment moment, ent_thread_fn fn,
                         void *context, ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    const ent_message *message = ent_ledger_message(ledger, ref.member, ref.index);
    const ent_thread *thread = message == NULL ? NULL : ent_ledger_thread_at(ledger, message->thread);
    ENT_TRY(ent_folding_begin(ledger, moment, &room, err));
    if (thread == NULL || ref.index >= room.cut[ref.member] || thread->first->index >= room.cut[thread->first->member])
        return ent_fail(err, ENT_ABSENT, "design 5", "this message belongs to no thread");
    return fold_and_give(&room, thread, fn, context, err);
}

static void close_thread(ent_ledger *ledger, ent_thread *thread)
{
    if (thread->open_before == ENT_NO_THREAD)
        ledger->open_first = thread->open_next;
    else
        ent_ledger_thread_at(ledger, thread->open_before)->open_next = thread->open_next;
    if (thread->open_next != ENT_NO_THREAD)
        ent_ledger_thread_at(ledger, thread->open_next)->open_before = thread->open_before;
    thread->is_open = false;
}

static bool has_open_duties(const ent_thread_view *view)
{
    for (size_t i = 0; i < view->duty_count; i++) {
        if (ent_duty_is_open(view->duties[i].state))
            return true;
    }
    return false;
}

/* A duty that is done stays done while the order of its thread and its terms stay. Other evidence may change them. */
static void reopen(ent_ledger *ledger)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        uint64_t until = ledger->logs[m].reordered_until;
        uint64_t size = ledger->logs[m].size;
        for (uint64_t i = ledger->logs[m].reordered_from; i < until && i < size; i++) {
            ent_thread *thread = ent_ledger_thread_at(ledger, ent_ledger_message(ledger, m, i)->thread);
            if (thread != NULL)
                ent_thread_open(ledger, thread);
        }
        ledger->logs[m].reordered_from = 0;
        ledger->logs[m].reordered_until = 0;
    }
}

typedef struct {
    ent_thread_fn fn;
    void *context;
} passing;

static ent_rc pass_open(void *context, const ent_thread_view *view, ent_err *err)
{
    const passing *to = context;
    return has_open_duties(view) ? to->fn(to->context, view, err) : ENT_DONE;
}

ent_rc ent_ledger_walk_open(ent_ledger *ledger, ent_moment moment, ent_thread_fn fn, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    ent_thread_view view;
    passing to = {fn, context};
    if (moment.until_unix_s != INT64_MAX)
        return ent_ledger_walk(ledger, moment, pass_open, &to, err);
    reopen(ledger);
    ENT_TRY(ent_folding_begin(ledger, moment, &room, err));
    for (uint32_t at = ledger->open_first; at != ENT_NO_THREAD;) {
        ent_thread *thread = ent_ledger_thread_at(ledger, at);
        at = thread->open_next;
        ENT_TRY(ent_fold(&room, thread, NULL, tracks, &view, err));
        if (has_open_duties(&view))
            ENT_TRY(fn(context, &view, err));
        else
            close_thread(ledger, thread);
    }
    return ENT_DONE;
}

/* --- what may follow --- */

/* Whether some track would take a kind from a side. */
static bool takes(const ent_thread_view *thread, uint32_t member, const ent_kind *kind)
{
    bool opener = member == thread->opener;
    for (size_t i = 0; i < thread->track_count; i++) {
        const ent_track *track = &thread->tracks[i];
        if (!opener && track->member != member)
            continue;
        for (ent_outcome o = ENT_OUTCOME_NONE; o < ENT_OUTCOME_COUNT; o++) {
            if (track->state != ENT_STATE_NONE &&
                ent_machine_step(thread->machine, track->state, ent_text_of(kind->name), o,
                                 opener ? ENT_SIDE_OPENER : ENT_SIDE_ADDRESSEE) != NULL)
                return true;
        }
    }
    return false;
}

size_t ent_ledger_takes(const ent_thread_view *thread, uint32_t member, const char **ret, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < ent_kind_count() && count < room; i++) {
        const ent_kind *kind = ent_kind_at(i);
        if (!kind->by_node && !kind->by_neutral &&
            (ent_kind_passes_everywhere(ent_text_of(kind->name)) || takes(thread, member, kind)))
            ret[count++] = kind->name;
    }
    return count;
}
