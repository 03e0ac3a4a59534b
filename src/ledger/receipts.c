/* Receipts in the ledger's memory, and what they show: when an entry was first receipted, what counts at a moment. */
#include "ledger/internal.h"

#include "base/clock.h"

/* The first row that covers more than `index` entries; count when there is none. */
static size_t covering(const ent_frontier *frontier, uint64_t index)
{
    size_t low = 0;
    size_t high = frontier->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (frontier->rows[middle].size > index)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Times that can be written; what a signature may hold besides is as good as the nearest of them. */
static int64_t within_years(int64_t unix_s)
{
    return unix_s < 0 ? 0 : unix_s > ENT_TIME_MAX_UNIX_S ? ENT_TIME_MAX_UNIX_S : unix_s;
}

/* Remember that these entries have other evidence than before: the next walk of the open threads looks at theirs. */
static void reorder(ent_ledger *ledger, uint32_t member, uint64_t from, uint64_t until)
{
    uint64_t *first = &ledger->logs[member].reordered_from;
    uint64_t *last = &ledger->logs[member].reordered_until;
    *first = *first == *last || from < *first ? from : *first;
    *last = until > *last ? until : *last;
}

ent_rc ent_ledger_receipt(ent_ledger *ledger, uint32_t member, uint32_t receiver, uint64_t size, int64_t time_unix_s,
                          ent_err *err)
{
    if (member >= ledger->member_count || receiver >= ledger->member_count || member == receiver || size == 0)
        return ent_fail(err, ENT_USAGE, "design 5", "a receipt of no entries, or by nobody of this channel");
    ent_frontier *frontier = &ledger->logs[member].receipts[receiver];
    size_t at = covering(frontier, size - 1); /* rows from here on cover at least as much */
    time_unix_s = within_years(time_unix_s);
    if (at < frontier->count && frontier->rows[at].time_unix_s <= time_unix_s)
        return ENT_DONE; /* something earlier covers it all */
    if (!ent_ledger_grow(&frontier->rows, frontier->count, &frontier->capacity, sizeof *frontier->rows))
        return ent_ledger_no_memory(err);
    if (at < frontier->count && frontier->rows[at].size == size) {
        frontier->rows[at].time_unix_s = time_unix_s;
    } else {
        memmove(&frontier->rows[at + 1], &frontier->rows[at], (frontier->count - at) * sizeof *frontier->rows);
        frontier->rows[at] = (struct ent_covered){size, time_unix_s};
        frontier->count++;
    }
    size_t first = at; /* rows before that are no earlier cover nothing more */
    while (first > 0 && frontier->rows[first - 1].time_unix_s >= time_unix_s)
        first--;
    memmove(&frontier->rows[first], &frontier->rows[at], (frontier->count - at) * sizeof *frontier->rows);
    frontier->count -= at - first;
    reorder(ledger, member, first == 0 ? 0 : frontier->rows[first - 1].size, size);
    return ENT_DONE;
}

bool ent_ledger_receipt_of(const ent_ledger *ledger, uint32_t member, uint32_t receiver, uint64_t index, int64_t until,
                           int64_t *ret_time, uint64_t *ret_size)
{
    const ent_frontier *frontier = &ledger->logs[member].receipts[receiver];
    size_t at = covering(frontier, index);
    if (at == frontier->count || frontier->rows[at].time_unix_s > until)
        return false;
    *ret_time = frontier->rows[at].time_unix_s;
    *ret_size = frontier->rows[at].size;
    return true;
}

int64_t ent_ledger_first_evidence(const ent_ledger *ledger, const ent_message *message, int64_t until)
{
    int64_t first = INT64_MAX;
    for (uint32_t r = 0; r < ledger->member_count; r++) {
        int64_t time = 0;
        uint64_t size = 0;
        if (r != message->member &&
            ent_ledger_receipt_of(ledger, message->member, r, message->index, until, &time, &size) && time < first)
            first = time;
    }
    return first;
}

/* "Default --at = latest evidence" (design 5). What was not receipted is dated by its writer. */
int64_t ent_ledger_latest(const ent_ledger *ledger)
{
    int64_t latest = 0;
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        uint64_t covered = 0;
        for (uint32_t r = 0; r < ledger->member_count; r++) {
            const ent_frontier *frontier = &ledger->logs[m].receipts[r];
            if (frontier->count == 0)
                continue;
            const struct ent_covered *last = &frontier->rows[frontier->count - 1];
            latest = last->time_unix_s > latest ? last->time_unix_s : latest;
            covered = last->size > covered ? last->size : covered;
        }
        for (uint64_t i = covered; i < ledger->logs[m].size; i++) {
            int64_t time = ent_ledger_message(ledger, m, i)->time_unix_s;
            latest = time > latest ? time : latest;
        }
    }
    return latest;
}

/* Entries with evidence by then, and what follows them without any evidence that its writer dates no later. */
static uint64_t evidenced(const ent_ledger *ledger, uint32_t member, int64_t until)
{
    uint64_t size = ledger->logs[member].size;
    uint64_t counted = 0;
    uint64_t covered = 0; /* by receipts of any time */
    for (uint32_t r = 0; r < ledger->member_count; r++) {
        const ent_frontier *frontier = &ledger->logs[member].receipts[r];
        for (size_t i = frontier->count; i > 0; i--) {
            uint64_t rows = frontier->rows[i - 1].size;
            covered = rows > covered ? rows : covered;
            if (frontier->rows[i - 1].time_unix_s > until)
                continue;
            counted = rows > counted ? rows : counted;
            break;
        }
    }
    uint64_t cut = counted < size ? counted : size;
    while (cut >= covered && cut < size && ent_ledger_message(ledger, member, cut)->time_unix_s <= until)
        cut++;
    return cut;
}

/* What counts says by its acks what was there before it, whenever that is dated. Acks run in no ring, so each log can
 * widen another only so often as there are logs. */
void ent_ledger_cut(const ent_ledger *ledger, int64_t until, uint64_t ret_cut[ENT_ENTRY_MAX_MEMBERS])
{
    bool wider = until != INT64_MAX;
    for (uint32_t m = 0; m < ledger->member_count; m++)
        ret_cut[m] = until == INT64_MAX ? ledger->logs[m].size : evidenced(ledger, m, until);
    while (wider) {
        wider = false;
        for (uint32_t m = 0; m < ledger->member_count; m++) {
            const ent_message *last = ret_cut[m] == 0 ? NULL : ent_ledger_message(ledger, m, ret_cut[m] - 1);
            for (uint32_t other = 0; last != NULL && other < ledger->member_count; other++) {
                if (other == m || last->seen[other] <= ret_cut[other])
                    continue;
                ret_cut[other] = last->seen[other];
                wider = true;
            }
        }
    }
}
