/* Asking the ledger: may this be said, what terms hold, what has become of the threads. */
#include "ledger/internal.h"

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory for the ledger");
}

static const ent_moment everything = {INT64_MAX, 0};

/* --- before something is said --- */

/* The same memory as a message of the ledger, zeroed. */
static ent_message *candidate_new(const ent_ledger *ledger)
{
    return ent_alloc(ledger->stride);
}

ent_rc ent_ledger_judge(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                        ent_reason *ret_reason, char ret_text[ENT_REASON_SIZE], ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) ent_message *message = candidate_new(ledger);
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    ent_thread_view view;
    ent_extra extra = {0};
    if (message == NULL)
        return no_memory(err);
    ent_message_fill(ledger, member, entry, facts, message);
    extra.has_digest = facts->has_digest;
    extra.digest = facts->digest;
    extra.body_digest = entry->body.digest;
    extra.clarifies = facts->clarifies;
    extra.until_unix_s = facts->until_unix_s;
    message->extra = &extra;
    ent_reason reason = (ent_reason)message->reason;
    const ent_thread *thread = reason == ENT_ALLOWED ? ent_message_joins(ledger, message) : NULL;
    ent_reason_text(ledger, message, reason, ENT_STATE_NONE, ret_text);
    if (thread != NULL && message->kind != NULL) {
        ENT_TRY(ent_folding_begin(ledger, everything, &room, err));
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
    _Alignas(ent_message) uint8_t room[sizeof(ent_message) + ENT_ENTRY_MAX_MEMBERS * sizeof(uint64_t)] = {0};
    void *place = room;
    ent_message *message = place;
    message->member = (uint8_t)member;
    message->index = ledger->logs[member].size;
    for (uint32_t m = 0; m < ledger->member_count; m++)
        message->seen[m] = ledger->logs[member].acked[m];
    message->seen[member] = message->index;
    for (size_t i = 0; i < ack_count; i++) {
        ent_text party = {0};
        ent_hash channel;
        ent_rc rc = ent_origin_parse(acks[i].origin, &party, &channel, NULL);
        int other = rc.code == ENT_OK ? ent_genesis_member(ledger->genesis, party) : -1;
        if (other >= 0 && (uint32_t)other != member && acks[i].head.size > message->seen[other])
            message->seen[other] = acks[i].head.size;
    }
    return ent_terms_for(ledger, message, ret_commitment);
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
    if (thread == NULL || thread->first->index >= room.cut[thread->first->member])
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

/* A duty that is done stays done; one whose message or act waits for its receipt does not. */
static bool has_open_duties(const ent_thread_view *view)
{
    for (size_t i = 0; i < view->duty_count; i++) {
        if (ent_duty_is_open(view->duties[i].state))
            return true;
    }
    return false;
}

ent_rc ent_ledger_walk_open(ent_ledger *ledger, ent_moment moment, ent_thread_fn fn, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    ent_thread_view view;
    ENT_TRY(ent_folding_begin(ledger, moment, &room, err));
    for (uint32_t at = ledger->open_first; at != ENT_NO_THREAD;) {
        ent_thread *thread = ent_ledger_thread_at(ledger, at);
        at = thread->open_next;
        if (thread->first->index >= room.cut[thread->first->member])
            continue;
        ENT_TRY(ent_fold(&room, thread, NULL, tracks, &view, err));
        if (moment.until_unix_s == INT64_MAX && !has_open_duties(&view))
            close_thread(ledger, thread);
        else
            ENT_TRY(fn(context, &view, err));
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
