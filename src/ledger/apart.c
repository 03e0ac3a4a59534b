/* Single messages: those that bring nothing about, and what an answer to one stands in. */
#include "ledger/folding.h"

ent_rc ent_ledger_walk_apart(const ent_ledger *ledger, ent_moment moment, ent_message_fn fn, void *context,
                             ent_err *err)
{
    ENT_CLEANUP(ent_folding_release) ent_folding room = {0};
    ENT_TRY(ent_folding_begin(ledger, moment, &room, err));
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        for (uint64_t i = 0; i < room.cut[m]; i++) {
            const ent_message *message = ent_ledger_message(ledger, m, i);
            ent_reason reason = (ent_reason)message->reason;
            bool stands_apart = message->thread == ENT_NO_THREAD && reason != ENT_ALLOWED;
            if (reason == ENT_REASON_PROVEN_BAD && !stands_apart)
                continue;
            if (message->readable && message->kind != NULL && !stands_apart)
                continue;
            ent_thread_message row = {.message = {m, i}, .reason = stands_apart ? reason : ENT_ALLOWED};
            row.kind = message->kind == NULL ? NULL : message->kind->name;
            ent_reason_text(ledger, message, row.reason, ENT_STATE_NONE, row.text);
            ENT_TRY(fn(context, &row, message->readable, err));
        }
    }
    return ENT_DONE;
}

ent_ledger_ref ent_ledger_conversation(const ent_ledger *ledger, ent_ledger_ref ref)
{
    const ent_message *message = ent_ledger_message(ledger, ref.member, ref.index);
    const ent_thread *thread = message == NULL ? NULL : ent_ledger_thread_at(ledger, message->thread);
    return thread == NULL ? ref : (ent_ledger_ref){thread->root->member, thread->root->index};
}
