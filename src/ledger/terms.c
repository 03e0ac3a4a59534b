/* The terms in force. "An amendment names the hash it replaces and applies in each log from the first entry that, with
 * its acks, covers every member's accept" (design 5). A member stands by one amendment of the same terms at a time, so
 * no two can be complete; one that is withdrawn by somebody who had not seen every accept is withdrawn. */
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

ent_rc ent_terms_base(ent_ledger *ledger, const ent_facts *facts, ent_err *err)
{
    if (ledger->base_known || !facts->has_terms || !ent_hash_equal(&facts->commitment, &ledger->base))
        return ENT_DONE;
    ENT_TRY(read_agreement(ent_buf_bytes(&facts->terms), &ledger->base_agreement, ledger->base_problem, err));
    ledger->base_known = true;
    return ENT_DONE;
}

void ent_terms_release(ent_ledger *ledger)
{
    ent_agreement_free(ledger->base_agreement);
    for (ent_amended *i = ledger->amendments; i != NULL; i = i->next)
        ent_agreement_free(i->agreement);
    ent_free(ledger->chain);
}

/* Whether a message's writer knew the amendment and every accept of it. */
static bool knows_complete(const ent_ledger *ledger, const ent_message *message, const ent_amended *amended)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (!amended->accepted[m] || !ent_message_knows(message, m, amended->accept_at[m]))
            return false;
    }
    return true;
}

/* Each completed amendment replaces the one before it in the chain. Who accepted one knew the one before, so the last
 * that a writer knew decides. */
static const ent_amended *in_force(const ent_ledger *ledger, const ent_message *message)
{
    for (size_t i = ledger->chain_count; i > 0; i--) {
        if (knows_complete(ledger, message, ledger->chain[i - 1]))
            return ledger->chain[i - 1];
    }
    return NULL;
}

const ent_agreement *ent_terms_for(const ent_ledger *ledger, const ent_message *message, ent_hash *ret_commitment)
{
    const ent_amended *found = in_force(ledger, message);
    *ret_commitment = found == NULL ? ledger->base : found->commitment;
    return found == NULL ? ledger->base_agreement : found->agreement;
}

/* --- what may be said --- */

/* Whether a member still stands by an amendment of these terms, as far as it knew. */
static bool stands_by_another(const ent_ledger *ledger, const ent_message *message, const ent_hash *replaces,
                              const ent_amended *except)
{
    for (const ent_amended *i = ledger->live; i != NULL; i = i->next_live) {
        bool withdrawn = i->withdrawn && ent_message_knows(message, i->message->member, i->withdrawn_at);
        if (i != except && i->accepted[message->member] && !withdrawn && ent_hash_equal(&i->replaces, replaces))
            return true;
    }
    return false;
}

static const ent_amended *amendment_of(const ent_ledger *ledger, const ent_message *message)
{
    const ent_message *target = ent_ledger_message(ledger, message->reply_member, message->reply_index);
    return target == NULL || target->extra == NULL ? NULL : target->extra->amendment;
}

/* The same salt and terms again would make a ring of the chain. Terms may return, under a salt of their own. */
static bool was_in_force(const ent_ledger *ledger, const ent_hash *commitment)
{
    bool found = ent_hash_equal(commitment, &ledger->base);
    for (size_t i = 0; !found && i < ledger->chain_settled; i++)
        found = ent_hash_equal(commitment, &ledger->chain[i]->commitment);
    return found;
}

ent_reason ent_terms_admit(const ent_ledger *ledger, const ent_message *message, const ent_facts *facts)
{
    ent_hash current;
    if (!message->readable)
        return ENT_ALLOWED;
    if (strcmp(message->kind->name, "channel.amendment") == 0) {
        (void)ent_terms_for(ledger, message, &current);
        if (!facts->has_terms || !ent_hash_equal(&facts->replaces, &current) ||
            was_in_force(ledger, &facts->commitment))
            return ENT_REASON_TERMS;
        return stands_by_another(ledger, message, &facts->replaces, NULL) ? ENT_REASON_SECOND_AMENDMENT : ENT_ALLOWED;
    }
    const ent_amended *amended = amendment_of(ledger, message);
    if (amended == NULL || strcmp(message->kind->name, "proposal.accept") != 0)
        return ENT_ALLOWED;
    (void)ent_terms_for(ledger, message, &current);
    if (!ent_hash_equal(&amended->replaces, &current))
        return ENT_REASON_TERMS;
    return stands_by_another(ledger, message, &amended->replaces, amended) ? ENT_REASON_SECOND_AMENDMENT : ENT_ALLOWED;
}

/* --- what it changes --- */

/* A withdrawal counts unless its writer had seen every accept. */
static void withdraw(ent_ledger *ledger, ent_amended *amended, const ent_message *message)
{
    if (amended->withdrawn || message->member != amended->message->member || knows_complete(ledger, message, amended))
        return;
    amended->withdrawn = true;
    amended->withdrawn_at = message->index;
}

static bool all_accepted(const ent_ledger *ledger, const ent_amended *amended)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (!amended->accepted[m])
            return false;
    }
    return true;
}

/* Whether every member's log says by now that it knew an entry. */
static bool all_know(const ent_ledger *ledger, uint32_t member, uint64_t index)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        uint64_t known = m == member ? ledger->logs[m].size : ledger->logs[m].acked[member];
        if (index >= known)
            return false;
    }
    return true;
}

static bool all_know_complete(const ent_ledger *ledger, const ent_amended *amended)
{
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (!amended->accepted[m] || !all_know(ledger, m, amended->accept_at[m]))
            return false;
    }
    return true;
}

static ent_rc extend(ent_ledger *ledger, const ent_amended *amended, ent_err *err)
{
    if (!ent_ledger_grow(&ledger->chain, ledger->chain_count, &ledger->chain_capacity, sizeof(void *)))
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for an amendment");
    ledger->chain[ledger->chain_count++] = amended;
    return ENT_DONE;
}

/* The chain anew, behind what is settled. */
static ent_rc relink(ent_ledger *ledger, ent_err *err)
{
    ledger->chain_count = ledger->chain_settled;
    for (bool more = true; more;) {
        const ent_hash *current =
            ledger->chain_count == 0 ? &ledger->base : &ledger->chain[ledger->chain_count - 1]->commitment;
        more = false;
        for (ent_amended *i = ledger->live; i != NULL && !more; i = i->next_live) {
            if (i->withdrawn || !all_accepted(ledger, i) || !ent_hash_equal(&i->replaces, current))
                continue;
            ENT_TRY(extend(ledger, i, err));
            more = true;
        }
    }
    return ENT_DONE;
}

/* Whether nothing that is said from now on can turn on this amendment. */
static bool is_past(const ent_ledger *ledger, const ent_amended *amended)
{
    if (amended->withdrawn && all_know(ledger, amended->message->member, amended->withdrawn_at))
        return true;
    for (size_t i = 0; i < ledger->chain_settled; i++) {
        if (ent_hash_equal(&ledger->chain[i]->replaces, &amended->replaces))
            return true; /* it, or another in its place, is settled */
    }
    return false;
}

static void forget_past(ent_ledger *ledger)
{
    while (ledger->chain_settled < ledger->chain_count &&
           all_know_complete(ledger, ledger->chain[ledger->chain_settled]))
        ledger->chain_settled++;
    for (ent_amended **i = &ledger->live; *i != NULL;) {
        if (is_past(ledger, *i))
            *i = (*i)->next_live;
        else
            i = &(*i)->next_live;
    }
}

static ent_rc add_amendment(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err)
{
    ent_amended *amended = ent_arena_alloc(&ledger->arena, sizeof *amended);
    if (amended == NULL || message->extra == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for an amendment");
    amended->message = message;
    amended->replaces = facts->replaces;
    amended->commitment = facts->commitment;
    amended->accepted[message->member] = true;
    amended->accept_at[message->member] = message->index;
    ENT_TRY(read_agreement(ent_buf_bytes(&facts->terms), &amended->agreement, amended->problem, err));
    message->extra->amendment = amended;
    if (ledger->amendments == NULL)
        ledger->amendments = amended;
    else
        ledger->amendments_last->next = amended;
    ledger->amendments_last = amended;
    forget_past(ledger);
    amended->next_live = ledger->live;
    ledger->live = amended;
    return ENT_DONE;
}

ent_rc ent_terms_follow(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err)
{
    if (message->kind == NULL)
        return ENT_DONE;
    if (strcmp(message->kind->name, "channel.amendment") == 0)
        return add_amendment(ledger, message, facts, err);
    const ent_message *target = ent_ledger_message(ledger, message->reply_member, message->reply_index);
    ent_amended *amended = target == NULL || target->extra == NULL ? NULL : target->extra->amendment;
    if (amended == NULL)
        return ENT_DONE;
    if (strcmp(message->kind->name, "proposal.accept") == 0 && !amended->accepted[message->member]) {
        amended->accepted[message->member] = true;
        amended->accept_at[message->member] = message->index;
    } else if (strcmp(message->kind->name, "proposal.withdraw") == 0) {
        withdraw(ledger, amended, message);
    } else {
        return ENT_DONE;
    }
    if (amended->withdrawn || all_accepted(ledger, amended))
        return relink(ledger, err);
    return ENT_DONE;
}

const ent_agreement *ent_terms_at(const ent_ledger *ledger, const uint64_t *cut, ent_hash *ret_commitment,
                                  const ent_amended **ret_amended)
{
    _Alignas(ent_message) uint8_t room[sizeof(ent_message) + ENT_ENTRY_MAX_MEMBERS * sizeof(uint64_t)] = {0};
    void *place = room;
    ent_message *message = place;
    memcpy(message->seen, cut, ledger->member_count * sizeof *cut);
    *ret_amended = in_force(ledger, message);
    return ent_terms_for(ledger, message, ret_commitment);
}
