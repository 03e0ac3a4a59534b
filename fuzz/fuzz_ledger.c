/* A channel's life, byte by byte: entries that make sense and entries that do not, receipts early, late and twice,
 * facts of all kinds. Every order of feeding that causality allows gives the same lines, and the rest of what
 * tests/ledger/program.h promises. */
#include "program.h"

#include "check.h"

enum { MOST_CHOICES = 2048 };

/* What is out of turn is not taken and changes nothing, whoever hands it over. */
static void check_turns(const world *w)
{
    ent_ledger *ledger = world_ledger(w);
    for (size_t i = 0; i < w->event_count; i++) {
        const world_event *event = &w->events[i];
        world_feed_event(w, ledger, event);
        if (event->is_receipt)
            continue;
        const world_message *again = world_at(w, (ent_ledger_ref){event->member, event->index});
        ent_rc rc = ent_ledger_entry(ledger, event->member, &again->entry, &again->leaf, &again->facts, NULL);
        CHECK(rc.code == ENT_USAGE && ent_ledger_size(ledger, event->member) == event->index + 1);
    }
    ent_ledger_free(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w;
    if (size == 0 || size > MOST_CHOICES)
        return 0;
    program_run(&w, ent_bytes_of(data, size));
    check_turns(&w);
    program_check(&w, size, data[size - 1] % 4 == 0 ? PROGRAM_ALL : 1U << size % 5, 1);
    world_end(&w);
    return 0;
}
