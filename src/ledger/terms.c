/* The terms in force. "An amendment names the hash it replaces and applies in each log from the first entry that, with
 * its acks, covers every member's accept" (design 5). All of it follows from what a message's writer knew, so that no
 * order of arrival can change it.
 *
 * A member stands by one amendment of the same terms at a time: it gives one up by knowing that it was withdrawn or
 * rejected. So of two amendments of the same terms nobody can know both to be complete and neither withdrawn. */
#include "ledger/internal.h"

#include <stdio.h>

static ent_rc read_agreement(ent_bytes terms, ent_agreement **ret, char problem[ENT_REASON_SIZE], ent_err *err)
{
    ent_err why = {0};
    ent_rc rc = ent_agreement_parse(terms, ret, &why);
    if (rc.code == ENT_OK)
        return rc;
    if (ent_code_class(rc.code) != ENT_CLASS_PEER) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    (void)snprintf(problem, ENT_REASON_SIZE, "%.*s", ENT_REASON_SIZE - 1, why.text);
    return ENT_DONE;
}

ent_rc ent_terms_base(ent_ledger *ledger, uint32_t member, const ent_facts *facts, ent_err *err)
{
    if (!facts->has_terms || !ent_hash_equal(&facts->commitment, &ledger->base.commitment))
        return ENT_DONE;
    if (ledger->base_said == 0) {
        ENT_TRY(read_agreement(ent_buf_bytes(&facts->terms), &ledger->base.agreement, ledger->base.problem, err));
        for (uint32_t m = 0; m < ledger->member_count; m++) /* what was said before it is held to them too */
            ledger->logs[m].reordered_until = ledger->logs[m].size;
    }
    ledger->base_said |= UINT32_C(1) << member;
    return ENT_DONE;
}

void ent_terms_release(ent_ledger *ledger)
{
    ent_agreement_free(ledger->base.agreement);
    for (ent_amended *i = ledger->amendments; i != NULL; i = i->next)
        ent_agreement_free(i->agreement);
    ent_free(ledger->complete);
}

/* --- what a writer knew of an amendment --- */

static bool said(uint32_t bits, uint32_t member)
{
    return (bits >> member & 1) != 0;
}

static bool is_complete(const ent_ledger *ledger, const ent_amended *amended)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (!said(amended->accepted, m))
            return false;
    }
    return true;
}

static bool knows_complete(const ent_ledger *ledger, const ent_message *message, const ent_amended *amended)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (!said(amended->accepted, m) || !ent_message_knows(message, m, amended->said_at[m]))
            return false;
    }
    return true;
}

static bool knows_withdrawn(const ent_message *message, const ent_amended *amended)
{
    return amended->withdrawn && ent_message_knows(message, amended->message->member, amended->withdrawn_at);
}

/* Who has rejected it cannot accept it any more: it will never be complete. */
static bool knows_rejected(const ent_ledger *ledger, const ent_message *message, const ent_amended *amended)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (said(amended->rejected, m) && ent_message_knows(message, m, amended->said_at[m]))
            return true;
    }
    return false;
}

/* Who accepts an amendment knows the one it replaces to be complete. So the one that stands on most decides, and the
 * search begins with those. */
const ent_amended *ent_terms_for(const ent_ledger *ledger, const ent_message *message)
{
    for (size_t i = ledger->complete_count; i > 0; i--) {
        const ent_amended *amended = ledger->complete[i - 1];
        if (knows_complete(ledger, message, amended) && !knows_withdrawn(message, amended))
            return amended;
    }
    return &ledger->base;
}

const ent_amended *ent_terms_at(const ent_ledger *ledger, const uint64_t *cut)
{
    _Alignas(ent_message) uint8_t room[sizeof(ent_message) + ENT_ENTRY_MAX_MEMBERS * sizeof(uint64_t)] = {0};
    void *place = room;
    ent_message *message = place;
    memcpy(message->seen, cut, ledger->member_count * sizeof *cut);
    return ent_terms_for(ledger, message);
}

/* --- what may be said --- */

/* Whether the member stands by some other amendment of the terms in force. That could only be the last it took up:
 * an earlier one of the same terms it had given up by then. */
static bool stands_by_another(const ent_ledger *ledger, const ent_message *message, const ent_amended *current,
                              const ent_amended *except)
{
    const ent_amended *last = ledger->logs[message->member].stands_by;
    return last != NULL && last != except && last->parent == current && !knows_withdrawn(message, last) &&
           !knows_rejected(ledger, message, last);
}

static ent_amended *amendment_of(const ent_ledger *ledger, const ent_message *message)
{
    const ent_message *target = ent_ledger_target(ledger, message);
    return target == NULL || target->extra == NULL ? NULL : target->extra->amendment;
}

/* The same salt and terms again would make a ring. Terms may return, under a salt of their own. */
static bool was_in_force(const ent_amended *current, const ent_hash *commitment)
{
    while (current != NULL && !ent_hash_equal(&current->commitment, commitment))
        current = current->parent;
    return current != NULL;
}

ent_reason ent_terms_admit(const ent_ledger *ledger, const ent_message *message, const ent_facts *facts)
{
    bool proposes = ent_message_is(message, "channel.amendment");
    const ent_amended *amended = ent_message_is(message, "proposal.accept") ? amendment_of(ledger, message) : NULL;
    if (!message->readable || (!proposes && amended == NULL))
        return ENT_ALLOWED;
    const ent_amended *current = ent_terms_for(ledger, message);
    if (proposes && (!facts->has_terms || !ent_hash_equal(&facts->replaces, &current->commitment) ||
                     was_in_force(current, &facts->commitment)))
        return ENT_REASON_TERMS;
    if (!proposes && amended->parent != current)
        return ENT_REASON_TERMS;
    return stands_by_another(ledger, message, current, amended) ? ENT_REASON_SECOND_AMENDMENT : ENT_ALLOWED;
}

/* --- what it changes --- */

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory for an amendment");
}

static ent_rc add_amendment(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err)
{
    ent_amended *amended = ent_arena_alloc(&ledger->arena, sizeof *amended);
    if (amended == NULL || message->extra == NULL)
        return no_memory(err);
    amended->message = message;
    amended->parent = ent_terms_for(ledger, message);
    amended->depth = amended->parent->depth + 1;
    amended->commitment = facts->commitment;
    amended->accepted = UINT32_C(1) << message->member;
    amended->said_at[message->member] = message->index;
    ENT_TRY(read_agreement(ent_buf_bytes(&facts->terms), &amended->agreement, amended->problem, err));
    message->extra->amendment = amended;
    if (ledger->amendments == NULL)
        ledger->amendments = amended;
    else
        ledger->amendments_last->next = amended;
    ledger->amendments_last = amended;
    ledger->logs[message->member].stands_by = amended;
    return ENT_DONE;
}

static ent_rc complete(ent_ledger *ledger, const ent_amended *amended, ent_err *err)
{
    if (!ent_ledger_grow(&ledger->complete, ledger->complete_count, &ledger->complete_capacity, sizeof(void *)))
        return no_memory(err);
    size_t at = ledger->complete_count++;
    for (; at > 0 && ledger->complete[at - 1]->depth > amended->depth; at--)
        ledger->complete[at] = ledger->complete[at - 1];
    ledger->complete[at] = amended;
    return ENT_DONE;
}

/* What its thread would refuse changes nothing: a word after one's own, an accept of what is known to be withdrawn. */
static ent_rc accept_or_reject(ent_ledger *ledger, ent_amended *amended, const ent_message *message, uint32_t *bits,
                               ent_err *err)
{
    if (said(amended->accepted | amended->rejected, message->member) || knows_withdrawn(message, amended))
        return ENT_DONE;
    *bits |= UINT32_C(1) << message->member;
    amended->said_at[message->member] = message->index;
    if (bits == &amended->rejected)
        return ENT_DONE;
    ledger->logs[message->member].stands_by = amended;
    return is_complete(ledger, amended) ? complete(ledger, amended, err) : ENT_DONE;
}

/* A withdrawal counts unless its writer had seen every accept. */
static void withdraw(const ent_ledger *ledger, ent_amended *amended, const ent_message *message)
{
    if (amended->withdrawn || message->member != amended->message->member || knows_complete(ledger, message, amended))
        return;
    amended->withdrawn = true;
    amended->withdrawn_at = message->index;
}

ent_rc ent_terms_follow(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err)
{
    if (ent_message_is(message, "channel.amendment"))
        return add_amendment(ledger, message, facts, err);
    ent_amended *amended = amendment_of(ledger, message);
    if (amended == NULL)
        return ENT_DONE;
    if (ent_message_is(message, "proposal.accept"))
        return accept_or_reject(ledger, amended, message, &amended->accepted, err);
    if (ent_message_is(message, "proposal.reject"))
        return accept_or_reject(ledger, amended, message, &amended->rejected, err);
    if (ent_message_is(message, "proposal.withdraw"))
        withdraw(ledger, amended, message);
    return ENT_DONE;
}
