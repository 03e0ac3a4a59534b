/* "Order: causal (acks, reply_to), then first evidence, then leaf hash" (design 5); and what all folds of one moment
 * share. */
#include "ledger/folding.h"

#include <stdlib.h>

/* --- what is the same for every thread --- */

static int by_start(const void *a, const void *b)
{
    const ent_interval *left = a;
    const ent_interval *right = b;
    return left->from < right->from ? -1 : left->from > right->from;
}

static ent_rc add_frozen(ent_folding *room, const ent_toggles *toggles, size_t at, ent_err *err)
{
    const ent_message *begin = toggles->rows[at];
    const ent_message *end = at + 1 < toggles->count ? toggles->rows[at + 1] : NULL;
    if (begin->index >= room->cut[begin->member])
        return ENT_DONE;
    ent_interval interval = {.from = ent_folding_said_at(room, begin), .until = INT64_MAX};
    if (interval.from == INT64_MAX)
        return ENT_DONE; /* sent, not receipted: the other side's clock goes on */
    if (end != NULL && end->index < room->cut[end->member])
        interval.until = ent_folding_said_at(room, end);
    if (interval.until <= interval.from)
        return ENT_DONE;
    if (!ent_ledger_grow(&room->frozen, room->frozen_count, &room->frozen_capacity, sizeof *room->frozen))
        return ent_ledger_no_memory(err);
    room->frozen[room->frozen_count++] = interval;
    return ENT_DONE;
}

static void merge_frozen(ent_folding *room)
{
    size_t count = 0;
    if (room->frozen_count == 0)
        return;
    qsort(room->frozen, room->frozen_count, sizeof *room->frozen, by_start);
    for (size_t i = 1; i < room->frozen_count; i++) {
        if (room->frozen[i].from > room->frozen[count].until)
            room->frozen[++count] = room->frozen[i];
        else if (room->frozen[i].until > room->frozen[count].until)
            room->frozen[count].until = room->frozen[i].until;
    }
    room->frozen_count = count + 1;
    for (size_t i = 0; i < room->frozen_count; i++)
        room->frozen_now = room->frozen_now || (room->frozen[i].from <= room->moment.now_unix_s &&
                                                room->moment.now_unix_s < room->frozen[i].until);
}

ent_rc ent_folding_begin(const ent_ledger *ledger, ent_moment moment, ent_folding *ret, ent_err *err)
{
    ent_folding room = {.ledger = ledger, .moment = moment};
    ent_ledger_cut(ledger, moment.until_unix_s, room.cut);
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        room.base_shown = room.base_shown || (room.cut[m] > 0 && (ledger->base_said >> m & 1) != 0);
        for (size_t i = 0; i < ledger->logs[m].toggles.count; i += 2) {
            ent_rc rc = add_frozen(&room, &ledger->logs[m].toggles, i, err);
            if (rc.code != ENT_OK) {
                ent_folding_release(&room);
                return rc;
            }
        }
    }
    merge_frozen(&room);
    *ret = room;
    return ENT_DONE;
}

void ent_folding_release(ent_folding *room)
{
    ent_free(room->frozen);
    ent_free(room->order);
    ent_free(room->messages);
    ent_free(room->duties);
    ent_free(room->more);
    ent_free(room->evidence);
    ent_free(room->answers);
    ent_free(room->stops);
    ent_free(room->merged);
    *room = (ent_folding){0};
}

/* --- when, and under what terms --- */

/* A receipt dated before what it is for would let its giver change what was in force then, or when a clock began. */
int64_t ent_folding_said_at(const ent_folding *room, const ent_message *message)
{
    int64_t first = ent_ledger_first_evidence(room->ledger, message, room->moment.until_unix_s);
    return first < message->time_unix_s ? message->time_unix_s : first;
}

const ent_agreement *ent_folding_agreement(const ent_folding *room, const ent_amended *terms)
{
    return terms->message == NULL && !room->base_shown ? NULL : terms->agreement;
}

int64_t ent_folding_first_decline(const ent_folding *room, const ent_amended *terms)
{
    int64_t first = INT64_MAX;
    for (uint32_t m = 0; m < room->ledger->member_count; m++) {
        const ent_message *decline = terms->declines[m];
        if (decline == NULL || decline->index >= room->cut[m])
            continue;
        int64_t said_at = ent_folding_said_at(room, decline);
        first = said_at < first ? said_at : first;
    }
    return first;
}

/* --- the order --- */

/* What is left of each writer's messages, each writer's in its own order. */
typedef struct {
    const ent_message **rows[ENT_ENTRY_MAX_MEMBERS];
    size_t left[ENT_ENTRY_MAX_MEMBERS];
    int64_t evidence[ENT_ENTRY_MAX_MEMBERS]; /* of the first left */
} queues;

static void look_at_head(const ent_folding *room, queues *q, uint32_t member)
{
    if (q->left[member] > 0)
        q->evidence[member] = ent_ledger_first_evidence(room->ledger, q->rows[member][0], room->moment.until_unix_s);
}

/* Nothing that its writer knew is still left. */
static bool is_ready(const ent_ledger *ledger, const queues *q, uint32_t member)
{
    const ent_message *head = q->rows[member][0];
    for (uint32_t other = 0; other < ledger->member_count; other++) {
        if (other != member && q->left[other] > 0 && ent_message_knows(head, other, q->rows[other][0]->index))
            return false;
    }
    return true;
}

static bool is_before(const queues *q, uint32_t a, uint32_t b)
{
    if (q->evidence[a] != q->evidence[b])
        return q->evidence[a] < q->evidence[b];
    return q->rows[a][0]->leaf_prefix < q->rows[b][0]->leaf_prefix;
}

/* Acks cannot run in a ring, each covering the other's hash, so some head is always ready. */
static uint32_t choose(const ent_ledger *ledger, const queues *q)
{
    uint32_t best = UINT32_MAX;
    uint32_t any = 0;
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        if (q->left[m] == 0)
            continue;
        any = m;
        if (is_ready(ledger, q, m) && (best == UINT32_MAX || is_before(q, m, best)))
            best = m;
    }
    return best == UINT32_MAX ? any : best;
}

static void sort(const ent_folding *room, const ent_message **rows, size_t count, const ent_message **grouped)
{
    const ent_ledger *ledger = room->ledger;
    queues q = {.left = {0}};
    size_t at = 0;
    for (size_t m = 0; m < ENT_ENTRY_MAX_MEMBERS; m++)
        q.rows[m] = grouped;
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        q.rows[m] = grouped + at;
        for (size_t i = 0; i < count; i++) {
            if (rows[i]->member == m)
                grouped[at++] = rows[i];
        }
        q.left[m] = (size_t)(grouped + at - q.rows[m]);
        look_at_head(room, &q, m);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t next = choose(ledger, &q);
        rows[i] = *q.rows[next]++;
        q.left[next]--;
        look_at_head(room, &q, next);
    }
}

ent_rc ent_fold_order(ent_folding *room, const ent_thread *thread, size_t *ret_count, ent_err *err)
{
    size_t count = 0;
    size_t wanted = 2 * ((size_t)thread->count + 1);
    bool in_order = true; /* each knew the one before: there is no other order */
    if (wanted > room->order_capacity) {
        const ent_message **grown = ent_realloc(room->order, wanted * sizeof(void *));
        if (grown == NULL)
            return ent_ledger_no_memory(err);
        room->order = grown;
        room->order_capacity = wanted;
    }
    for (const ent_message *i = thread->first; i != NULL; i = i->next) {
        if (i->index >= room->cut[i->member])
            continue;
        const ent_message *before = count == 0 ? NULL : room->order[count - 1];
        in_order = in_order && (before == NULL || ent_message_knows(i, before->member, before->index));
        room->order[count++] = i;
    }
    if (!in_order)
        sort(room, room->order, count, room->order + count + 1);
    *ret_count = count;
    return ENT_DONE;
}
