/* Duties that a successor channel takes over from the one before (design.md section 3: "successor channel, which
 * carries open duties over"). A row binds its debtor when his own first entry lists it; its clock is that of the row
 * once the message that brought it about is said again by its writer. */
#include "ledger/internal.h"

static bool same_message(const ent_message_ref *a, const ent_message_ref *b)
{
    return a->index == b->index && ent_text_equal(a->party, b->party);
}

ent_rc ent_carry_base(ent_ledger *ledger, uint32_t member, const ent_facts *facts, ent_err *err)
{
    ent_text self = ledger->genesis->members[member].name;
    if (facts->carried_count == 0 || !ledger->genesis->has_predecessor)
        return ENT_DONE;
    ent_carried *rows = ent_arena_alloc(&ledger->arena, facts->carried_count * sizeof *rows);
    if (rows == NULL)
        return ent_ledger_no_memory(err);
    size_t count = 0;
    for (size_t i = 0; i < facts->carried_count; i++) {
        if (!ent_text_equal(facts->carried[i].debtor, self))
            continue;
        rows[count] = facts->carried[i];
        rows[count].debtor = self;
        rows[count].message.party = ent_arena_text(&ledger->arena, facts->carried[i].message.party);
        if (rows[count].message.party.data == NULL)
            return ent_ledger_no_memory(err);
        count++;
    }
    ledger->logs[member].carried = rows;
    ledger->logs[member].carried_count = count;
    return ENT_DONE;
}

ent_rc ent_carry_continues(ent_ledger *ledger, ent_extra *extra, const ent_facts *facts, ent_err *err)
{
    if (!facts->has_continues)
        return ENT_DONE;
    extra->continues.party = ent_arena_text(&ledger->arena, facts->continues.party);
    extra->continues.index = facts->continues.index;
    extra->has_continues = extra->continues.party.data != NULL;
    return extra->has_continues ? ENT_DONE : ent_ledger_no_memory(err);
}

const ent_carried *ent_carry_at(const ent_ledger *ledger, const ent_message *message, uint32_t debtor, size_t at)
{
    const ent_extra *extra = message->extra;
    if (extra == NULL || !extra->has_continues ||
        !ent_text_equal(extra->continues.party, ledger->genesis->members[message->member].name))
        return NULL;
    for (size_t i = 0; i < ledger->logs[debtor].carried_count; i++) {
        const ent_carried *row = &ledger->logs[debtor].carried[i];
        if (same_message(&row->message, &extra->continues) && at-- == 0)
            return row;
    }
    return NULL;
}

bool ent_ledger_has_continued(const ent_ledger *ledger, uint32_t member, const ent_message_ref *message)
{
    for (uint64_t i = 0; i < ledger->logs[member].size; i++) {
        const ent_extra *extra = ent_ledger_message(ledger, member, i)->extra;
        if (extra != NULL && extra->has_continues && same_message(&extra->continues, message))
            return true;
    }
    return false;
}
