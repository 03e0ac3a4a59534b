/* What a message's writer knew when he wrote it decides here, so that no order of arrival can change it: where the
 * message belongs, and what forbids it whatever state its thread is in. */
#include "ledger/internal.h"

#include "base/clock.h"

#include <stdio.h>

static const struct {
    const char *word;
    const char *text;
} reasons[ENT_REASON_COUNT] = {
    [ENT_ALLOWED] = {"allowed", ""},
#define X(name, word, text) [ENT_REASON_##name] = {word, text},
#include "ledger/reasons.def"
#undef X
};

const char *ent_reason_word(ent_reason reason)
{
    return reasons[reason].word;
}

bool ent_message_knows(const ent_message *message, uint32_t member, uint64_t index)
{
    return index < message->seen[member]; /* for its own log that is its index */
}

/* --- filling --- */

void ent_message_seen(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, uint64_t *ret)
{
    memcpy(ret, ledger->logs[member].acked, ledger->member_count * sizeof *ret);
    ret[member] = entry->index;
    for (size_t i = 0; i < entry->ack_count; i++) {
        ent_text party = {0};
        ent_hash channel;
        ent_rc rc = ent_origin_parse(entry->acks[i].origin, &party, &channel, NULL);
        int other = rc.code == ENT_OK ? ent_genesis_member(ledger->genesis, party) : -1;
        if (other >= 0 && (uint32_t)other != member && entry->acks[i].head.size > ret[other])
            ret[other] = entry->acks[i].head.size;
    }
}

/* What concerns the channel as a whole is addressed to all, whomever it names. */
static bool is_for_all(const ent_ledger *ledger, const ent_message *message)
{
    if (ent_message_is(message, "proposal.withdraw"))
        return ent_message_is(ent_ledger_target(ledger, message), "channel.amendment");
    return ent_message_is(message, "channel.amendment") || ent_message_is(message, "channel.suspend") ||
           ent_message_is(message, "channel.resume");
}

static ent_reason fill_addressees(const ent_ledger *ledger, const ent_entry *entry, ent_message *message)
{
    for (size_t i = 0; i < entry->to_count; i++) {
        int member = ent_genesis_member(ledger->genesis, entry->to[i]);
        if (member < 0 || (uint32_t)member == message->member) {
            message->to = 0;
            return ENT_REASON_TO_STRANGER;
        }
        message->to |= UINT32_C(1) << member;
    }
    if (is_for_all(ledger, message))
        message->to = 0;
    return ENT_ALLOWED;
}

/* --- what forbids it --- */

/* The channel has one state and one agreement: no exercise may suspend or change them. */
static bool is_of_channel(const ent_message *message)
{
    return ent_message_is(message, "channel.amendment") || ent_message_is(message, "channel.suspend") ||
           ent_message_is(message, "channel.review");
}

static ent_reason admit_kind(const ent_ledger *ledger, const ent_message *message)
{
    if (message->kind->by_neutral)
        return ENT_REASON_BY_NEUTRAL;
    if (message->kind->needs_neutral && !ledger->genesis->has_neutral)
        return ENT_REASON_NO_NEUTRAL;
    return message->exercise && is_of_channel(message) ? ENT_REASON_EXERCISE : ENT_ALLOWED;
}

/* Whether a member is suspended as far as the message's writer knew: his last suspend or resume is a suspend. */
static bool knows_suspended(const ent_ledger *ledger, const ent_message *message, uint32_t member)
{
    const ent_toggles *toggles = &ledger->logs[member].toggles;
    size_t low = 0;
    size_t high = toggles->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ent_message_knows(message, member, toggles->rows[middle]->index))
            low = middle + 1;
        else
            high = middle;
    }
    return low % 2 == 1;
}

static ent_reason admit_suspended(const ent_ledger *ledger, const ent_message *message)
{
    bool own = knows_suspended(ledger, message, message->member);
    if (ent_message_is(message, "channel.suspend"))
        return own ? ENT_REASON_SUSPENDED : ENT_ALLOWED;
    for (uint32_t m = 0; !message->kind->while_suspended && m < ledger->member_count; m++) {
        if (knows_suspended(ledger, message, m))
            return ENT_REASON_SUSPENDED;
    }
    return ENT_ALLOWED;
}

/* The conversation that an entry names must be that of the message it answers. */
static bool names_conversation(const ent_ledger *ledger, const ent_message *target, const ent_entry *entry)
{
    const ent_thread *thread = ent_ledger_thread_at(ledger, target->thread);
    const ent_message *root = thread == NULL ? target : thread->root;
    return entry->has_thread && entry->thread.index == root->index &&
           ent_genesis_member(ledger->genesis, entry->thread.party) == (int)root->member;
}

/* An answer to what its writer could not know is one to nothing, whether or not that has come by now. */
static ent_reason admit_reply(const ent_ledger *ledger, const ent_message *message, const ent_entry *entry)
{
    if (!entry->has_reply_to && message->kind != NULL && message->kind->needs_reply_to)
        return ENT_REASON_NO_THREAD;
    if (!entry->has_reply_to)
        return entry->has_thread ? ENT_REASON_THREAD_MISMATCH : ENT_ALLOWED;
    bool own = message->reply_member == message->member;
    if (message->reply_member == UINT8_MAX || (own && message->reply_index >= message->index))
        return ENT_REASON_REPLY_TO_NOTHING;
    const ent_message *target = ent_ledger_target(ledger, message);
    if (target == NULL || !ent_message_knows(message, message->reply_member, message->reply_index))
        return ENT_REASON_REPLY_UNSEEN;
    if (!names_conversation(ledger, target, entry))
        return ENT_REASON_THREAD_MISMATCH;
    if (own && message->kind != NULL && message->kind->needs_reply_to && !message->kind->answers_own)
        return ENT_REASON_OWN_MESSAGE;
    return ENT_ALLOWED;
}

static bool addresses(const ent_ledger *ledger, const ent_message *target, uint32_t member)
{
    return (ent_message_addressees(ledger, target) >> member & 1) != 0;
}

/* A member's last suspension, while it lasts. */
static const ent_message *suspension_of(const ent_ledger *ledger, uint32_t member)
{
    const ent_toggles *toggles = &ledger->logs[member].toggles;
    return toggles->count % 2 == 1 ? toggles->rows[toggles->count - 1] : NULL;
}

/* What can be told from the message it answers, whatever has happened since: who it comes from and who it was for. */
static ent_reason admit_side(const ent_ledger *ledger, const ent_message *message, const ent_message *target)
{
    bool own = target->member == message->member;
    if (strncmp(message->kind->name, "correction.", 11) == 0) {
        if (!own)
            return ENT_REASON_WRONG_SIDE;
        return (ent_message_addressees(ledger, target) & ent_message_addressees(ledger, message)) != 0
                   ? ENT_ALLOWED
                   : ENT_REASON_NOT_ADDRESSED;
    }
    if (ent_message_is(message, "channel.resume") && target != suspension_of(ledger, message->member))
        return own ? ENT_REASON_KIND_HERE : ENT_REASON_WRONG_SIDE;
    if (message->kind->is_answer && !own && !addresses(ledger, target, message->member))
        return ENT_REASON_NOT_ADDRESSED;
    return ENT_ALLOWED;
}

bool ent_message_offers(const ent_message *message)
{
    return ent_message_is(message, "proposal.proposal") || ent_message_is(message, "proposal.counter") ||
           ent_message_is(message, "channel.amendment") || ent_message_is(message, "consultation.record");
}

/* … and what it repeats of it. */
static ent_reason admit_content(const ent_message *message, const ent_message *target, const ent_facts *facts)
{
    if (ent_message_is(message, "contact.check") && target->extra != NULL && target->extra->has_nonce &&
        (!facts->has_echo || memcmp(facts->echo, target->extra->nonce, sizeof facts->echo) != 0))
        return ENT_REASON_ECHO;
    const ent_extra *offer = ent_message_offers(target) ? target->extra : NULL;
    if (offer != NULL && ent_message_is(message, "proposal.accept") &&
        (!facts->has_digest || !ent_hash_equal(&facts->digest, &offer->body_digest)))
        return ENT_REASON_OTHER_DIGEST;
    return ENT_ALLOWED;
}

/* An exercise has threads of its own: what is said in one answers nothing that is real. */
static bool is_real(const ent_ledger *ledger, const ent_message *target)
{
    const ent_thread *thread = ent_ledger_thread_at(ledger, target->thread);
    return !(thread == NULL ? target : thread->first)->exercise;
}

static ent_reason admit_target(const ent_ledger *ledger, const ent_message *message, const ent_facts *facts)
{
    const ent_message *target = ent_ledger_target(ledger, message);
    if (target == NULL || !message->readable)
        return ENT_ALLOWED;
    if (message->exercise && is_real(ledger, target))
        return ENT_REASON_EXERCISE;
    ent_reason reason = admit_side(ledger, message, target);
    return reason == ENT_ALLOWED ? admit_content(message, target, facts) : reason;
}

/* The first reason counts. Of a kind that is not known here, only its place can be judged. */
static ent_reason admit(const ent_ledger *ledger, const ent_message *message, ent_reason reply, const ent_facts *facts)
{
    ent_reason reason = message->kind == NULL ? ENT_ALLOWED : admit_kind(ledger, message);
    if (reason == ENT_ALLOWED && message->kind != NULL)
        reason = admit_suspended(ledger, message);
    if (reason == ENT_ALLOWED)
        reason = reply;
    if (reason == ENT_ALLOWED && message->kind != NULL)
        reason = admit_target(ledger, message, facts);
    return reason == ENT_ALLOWED && message->kind != NULL ? ent_terms_admit(ledger, message, facts) : reason;
}

/* Whether its thread has no room for more of this writer: else a thread would cost without end. */
static bool is_too_long(const ent_ledger *ledger, const ent_message *message)
{
    const ent_thread *thread = ent_message_joins(ledger, message);
    return thread != NULL && thread->by_writer[message->member] >= ENT_THREAD_MAX_BY_WRITER;
}

/* Whether it answers what has no thread itself. Only what passes everywhere may: a notice, say. */
static bool is_nowhere(const ent_ledger *ledger, const ent_message *message)
{
    return message->replies && message->kind != NULL && ent_message_joins(ledger, message) == NULL &&
           !ent_message_begins(message) && !ent_kind_passes_everywhere(ent_text_of(message->kind->name));
}

void ent_message_fill(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                      ent_message *ret)
{
    int64_t time = 0;
    ret->kind = ent_kind_find(entry->kind);
    ret->index = entry->index;
    ret->member = (uint8_t)member;
    ret->reply_member = UINT8_MAX;
    ret->thread = ENT_NO_THREAD;
    if (ent_time_parse(entry->time, &time))
        ret->time_unix_s = time;
    if (entry->has_reply_to) {
        int target = ent_genesis_member(ledger->genesis, entry->reply_to.party);
        ret->reply_member = target < 0 ? UINT8_MAX : (uint8_t)target;
        ret->reply_index = entry->reply_to.index;
    }
    ret->urgency = (uint8_t)entry->urgency;
    ret->exercise = entry->exercise;
    ret->readable = facts->readable;
    ret->outcome = (uint8_t)facts->outcome;
    ret->severity = (uint8_t)facts->severity;
    ent_message_seen(ledger, member, entry, ret->seen);
    ent_reason reply = admit_reply(ledger, ret, entry);
    ret->is_reply = entry->has_reply_to;
    ret->replies = entry->has_reply_to && (reply == ENT_ALLOWED || reply == ENT_REASON_OWN_MESSAGE);
    ent_reason reason = fill_addressees(ledger, entry, ret);
    if (facts->proven_bad)
        reason = ENT_REASON_PROVEN_BAD;
    if (reason == ENT_ALLOWED)
        reason = admit(ledger, ret, reply, facts);
    if (is_too_long(ledger, ret)) {
        ret->replies = false;
        reason = reason == ENT_ALLOWED ? ENT_REASON_TOO_LONG : reason;
    }
    if (reason == ENT_ALLOWED && is_nowhere(ledger, ret))
        reason = ENT_REASON_KIND_HERE;
    ret->reason = (uint8_t)reason;
}

/* --- where it belongs --- */

/* Whether a machine moves by this kind once it has begun. */
static bool machine_takes(const ent_machine *machine, const char *kind)
{
    for (size_t i = 0; i < machine->arrow_count; i++) {
        if (machine->arrows[i].from != ENT_STATE_NONE && strcmp(machine->arrows[i].kind, kind) == 0)
            return true;
    }
    return false;
}

ent_thread *ent_message_joins(const ent_ledger *ledger, const ent_message *message)
{
    if (!message->replies)
        return NULL;
    const ent_message *target = ent_ledger_target(ledger, message);
    ent_thread *thread = target == NULL ? NULL : ent_ledger_thread_at(ledger, target->thread);
    if (thread == NULL || message->kind == NULL)
        return thread;
    ent_text kind = ent_text_of(message->kind->name);
    if (ent_kind_passes_everywhere(kind) || ent_machine_of(kind) == NULL || message->kind->needs_reply_to ||
        machine_takes(thread->machine, message->kind->name))
        return thread;
    return NULL; /* "request.information" in reply to an incident begins a thread of its own */
}

bool ent_message_begins(const ent_message *message)
{
    if (message->is_reply && !message->replies)
        return false;
    if (message->kind == NULL)
        return true; /* never guessed: nothing follows from it, but it can be acknowledged */
    return !message->kind->needs_reply_to && ent_machine_of(ent_text_of(message->kind->name)) != NULL;
}

void ent_reason_text(const ent_ledger *ledger, const ent_message *message, ent_reason reason, ent_state state,
                     char ret[ENT_REASON_SIZE])
{
    const char *kind = message->kind == NULL ? "this kind" : message->kind->name;
    ret[0] = 0;
    if (reason == ENT_ALLOWED)
        return;
    if (reason == ENT_REASON_KIND_HERE && state != ENT_STATE_NONE)
        (void)snprintf(ret, ENT_REASON_SIZE, "its thread is %s and does not take %s", ent_state_word(state), kind);
    else if (reason == ENT_REASON_KIND_HERE && ent_message_is(message, "channel.resume"))
        (void)snprintf(ret, ENT_REASON_SIZE, "what it answers is no suspension that its writer has still in force");
    else if (reason == ENT_REASON_KIND_HERE)
        (void)snprintf(ret, ENT_REASON_SIZE, "what began its thread does not count, so %s cannot follow", kind);
    else if (reason == ENT_REASON_REPLY_TO_NOTHING || reason == ENT_REASON_REPLY_UNSEEN)
        (void)snprintf(ret, ENT_REASON_SIZE, "%s (%.*s/%llu)", reasons[reason].text,
                       message->reply_member < ledger->member_count
                           ? (int)ledger->genesis->members[message->reply_member].name.size
                           : 1,
                       message->reply_member < ledger->member_count
                           ? ledger->genesis->members[message->reply_member].name.data
                           : "?",
                       (unsigned long long)message->reply_index);
    else
        (void)snprintf(ret, ENT_REASON_SIZE, "%s", reasons[reason].text);
}
