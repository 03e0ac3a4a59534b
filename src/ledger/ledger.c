/* The ledger's memory: messages and threads; receipts are in receipts.c. What follows from them is in fold.c and
 * sums.c. */
#include "ledger/internal.h"

ent_rc ent_ledger_no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory for the ledger");
}

bool ent_ledger_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    void **place = array;
    if (count < *capacity)
        return true;
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    void *grown = ent_realloc(*place, wanted * size);
    if (grown == NULL)
        return false;
    *place = grown;
    *capacity = wanted;
    return true;
}

ent_rc ent_ledger_new(const ent_hash *channel, const ent_genesis *genesis, ent_ledger **ret, ent_err *err)
{
    ent_ledger *ledger = ent_alloc(sizeof *ledger);
    if (ledger == NULL)
        return ent_ledger_no_memory(err);
    ledger->channel = *channel;
    ledger->genesis = genesis;
    ledger->member_count = (uint32_t)genesis->member_count;
    ledger->stride = sizeof(ent_message) + ledger->member_count * sizeof(uint64_t);
    ledger->open_first = ENT_NO_THREAD;
    ledger->base.commitment = genesis->terms;
    *ret = ledger;
    return ENT_DONE;
}

void ent_ledger_free(ent_ledger *ledger)
{
    if (ledger == NULL)
        return;
    ent_terms_release(ledger);
    for (uint32_t m = 0; m < ledger->member_count; m++) {
        for (size_t i = 0; i < ledger->logs[m].chunk_count; i++)
            ent_free(ledger->logs[m].chunks[i]);
        ent_free(ledger->logs[m].chunks);
        for (uint32_t r = 0; r < ledger->member_count; r++)
            ent_free(ledger->logs[m].receipts[r].rows);
        ent_free(ledger->logs[m].toggles.rows);
        ent_free(ledger->logs[m].contests.rows);
    }
    for (size_t i = 0; i < ledger->thread_chunks; i++)
        ent_free(ledger->threads[i]);
    ent_free(ledger->threads);
    ent_arena_release(&ledger->arena);
    ent_free(ledger);
}

void ent_ledger_release(ent_ledger **ledger)
{
    ent_ledger_free(*ledger);
    *ledger = NULL;
}

uint64_t ent_ledger_size(const ent_ledger *ledger, uint32_t member)
{
    return ledger->logs[member].size;
}

ent_message *ent_ledger_message(const ent_ledger *ledger, uint32_t member, uint64_t index)
{
    if (member >= ledger->member_count || index >= ledger->logs[member].size)
        return NULL;
    uint8_t *chunk = ledger->logs[member].chunks[index / ENT_CHUNK_MESSAGES];
    void *at = chunk + (index % ENT_CHUNK_MESSAGES) * ledger->stride;
    return at;
}

ent_message *ent_ledger_target(const ent_ledger *ledger, const ent_message *message)
{
    return ent_ledger_message(ledger, message->reply_member, message->reply_index);
}

int ent_ledger_ref_order(const void *a, const void *b)
{
    const ent_ledger_ref *left = a;
    const ent_ledger_ref *right = b;
    if (left->member != right->member)
        return left->member < right->member ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

ent_thread *ent_ledger_thread_at(const ent_ledger *ledger, uint32_t number)
{
    if (number >= ledger->thread_count)
        return NULL;
    return &ledger->threads[number / ENT_CHUNK_MESSAGES][number % ENT_CHUNK_MESSAGES];
}

/* --- entries --- */

static ent_rc add_thread(ent_ledger *ledger, ent_message *message, const ent_machine *machine, const ent_message *root,
                         ent_err *err)
{
    if (ledger->thread_count % ENT_CHUNK_MESSAGES == 0 &&
        ledger->thread_count / ENT_CHUNK_MESSAGES == ledger->thread_chunks) {
        if (!ent_ledger_grow(&ledger->threads, ledger->thread_chunks, &ledger->thread_chunk_capacity, sizeof(void *)))
            return ent_ledger_no_memory(err);
        ent_thread *chunk = ent_alloc_array(ENT_CHUNK_MESSAGES, sizeof *chunk);
        if (chunk == NULL)
            return ent_ledger_no_memory(err);
        ledger->threads[ledger->thread_chunks++] = chunk;
    }
    uint32_t number = ledger->thread_count;
    ent_thread *thread = &ledger->threads[number / ENT_CHUNK_MESSAGES][number % ENT_CHUNK_MESSAGES];
    thread->by_writer = ent_arena_alloc(&ledger->arena, ledger->member_count * sizeof *thread->by_writer);
    if (thread->by_writer == NULL)
        return ent_ledger_no_memory(err);
    thread->first = message;
    thread->last = message;
    thread->machine = machine;
    thread->root = root;
    thread->terms = ent_terms_for(ledger, message);
    thread->number = number;
    thread->count = 1;
    thread->by_writer[message->member] = 1;
    message->thread = number;
    ledger->thread_count++;
    return ENT_DONE;
}

void ent_thread_open(ent_ledger *ledger, ent_thread *thread)
{
    if (thread->is_open)
        return;
    thread->is_open = true;
    thread->open_before = ENT_NO_THREAD;
    thread->open_next = ledger->open_first;
    if (ledger->open_first != ENT_NO_THREAD)
        ent_ledger_thread_at(ledger, ledger->open_first)->open_before = thread->number;
    ledger->open_first = thread->number;
}

static void join(ent_thread *thread, ent_message *message)
{
    thread->last->next = message;
    thread->last = message;
    thread->count++;
    thread->by_writer[message->member]++;
    message->thread = thread->number;
}

static ent_rc reserve(ent_ledger *ledger, uint32_t member, ent_message **ret, ent_err *err)
{
    uint64_t at = ledger->logs[member].size;
    if (at / ENT_CHUNK_MESSAGES == ledger->logs[member].chunk_count) {
        if (!ent_ledger_grow(&ledger->logs[member].chunks, ledger->logs[member].chunk_count,
                             &ledger->logs[member].chunk_capacity, sizeof *ledger->logs[member].chunks))
            return ent_ledger_no_memory(err);
        uint8_t *chunk = ent_alloc_array(ENT_CHUNK_MESSAGES, ledger->stride);
        if (chunk == NULL)
            return ent_ledger_no_memory(err);
        ledger->logs[member].chunks[ledger->logs[member].chunk_count++] = chunk;
    }
    void *place = ledger->logs[member].chunks[at / ENT_CHUNK_MESSAGES] + (at % ENT_CHUNK_MESSAGES) * ledger->stride;
    memset(place, 0, ledger->stride); /* an earlier try may have failed half-way */
    *ret = place;
    return ENT_DONE;
}

static bool needs_extra(const ent_message *message, const ent_facts *facts)
{
    static const char *const families[] = {"proposal.", "consultation.record", "channel.amendment", "contact.check",
                                           "attribution.claim"};
    if (facts->system_count > 0 || facts->has_continues || facts->clarifies || facts->declines_extension ||
        facts->until_unix_s != 0)
        return true;
    for (size_t i = 0; message->kind != NULL && i < sizeof families / sizeof families[0]; i++) {
        if (strncmp(message->kind->name, families[i], strlen(families[i])) == 0)
            return true;
    }
    return false;
}

static ent_rc extra_of(ent_ledger *ledger, ent_message *message, ent_err *err)
{
    if (message->extra == NULL)
        message->extra = ent_arena_alloc(&ledger->arena, sizeof *message->extra);
    return message->extra == NULL ? ent_ledger_no_memory(err) : ENT_DONE;
}

void ent_extra_fill(ent_extra *extra, const ent_entry *entry, const ent_facts *facts)
{
    extra->body_digest = entry->body.digest;
    extra->has_digest = facts->has_digest;
    extra->digest = facts->digest;
    extra->clarifies = facts->clarifies;
    extra->declines_extension = facts->declines_extension;
    extra->has_nonce = facts->has_nonce;
    extra->has_echo = facts->has_echo;
    memcpy(extra->nonce, facts->nonce, sizeof extra->nonce);
    memcpy(extra->echo, facts->echo, sizeof extra->echo);
    extra->until_unix_s = facts->until_unix_s;
}

static ent_rc add_extra(ent_ledger *ledger, ent_message *message, const ent_entry *entry, const ent_facts *facts,
                        ent_err *err)
{
    if (!needs_extra(message, facts))
        return ENT_DONE;
    ENT_TRY(extra_of(ledger, message, err));
    ent_extra *extra = message->extra;
    ent_extra_fill(extra, entry, facts);
    ENT_TRY(ent_carry_continues(ledger, extra, facts, err));
    if (facts->system_count > 0) {
        extra->systems = ent_arena_alloc(&ledger->arena, facts->system_count * sizeof *extra->systems);
        if (extra->systems == NULL)
            return ent_ledger_no_memory(err);
    }
    for (size_t i = 0; i < facts->system_count; i++) {
        extra->systems[i] = ent_arena_text(&ledger->arena, facts->systems[i]);
        if (extra->systems[i].data == NULL)
            return ent_ledger_no_memory(err);
        extra->system_count++;
    }
    return ENT_DONE;
}

static ent_rc link_evidence(ent_ledger *ledger, ent_message *claim, const ent_message *item, ent_err *err)
{
    ENT_TRY(extra_of(ledger, claim, err));
    ent_link *link = ent_arena_alloc(&ledger->arena, sizeof *link);
    if (link == NULL)
        return ent_ledger_no_memory(err);
    link->message = item;
    link->next = claim->extra->evidence;
    claim->extra->evidence = link;
    return ENT_DONE;
}

/* The claimant's evidence refers to a claim, by standing in its thread or by naming it; or the claim names what was
 * handed over before. Each only as far as its writer knew the other. */
static ent_rc follow_evidence(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err)
{
    bool is_item = ent_message_is(message, "evidence.item");
    if (!is_item && !ent_message_is(message, "attribution.claim"))
        return ENT_DONE;
    ent_thread *thread = ent_ledger_thread_at(ledger, message->thread);
    if (is_item && thread != NULL && thread->first != message && thread->first->member == message->member &&
        ent_message_is(thread->first, "attribution.claim"))
        ENT_TRY(link_evidence(ledger, thread->first, message, err));
    for (size_t i = 0; i < facts->ref_count; i++) {
        int member = ent_genesis_member(ledger->genesis, facts->refs[i].party);
        ent_message *other = member < 0 ? NULL : ent_ledger_message(ledger, (uint32_t)member, facts->refs[i].index);
        if (other == NULL || !ent_message_knows(message, (uint32_t)member, other->index))
            continue;
        if (other->member != message->member || other->exercise != message->exercise)
            continue;
        if (is_item && ent_message_is(other, "attribution.claim"))
            ENT_TRY(link_evidence(ledger, other, message, err));
        else if (!is_item && ent_message_is(other, "evidence.item") && other->readable && other->reason == ENT_ALLOWED)
            ENT_TRY(link_evidence(ledger, message, other, err));
    }
    return ENT_DONE;
}

static ent_rc follow_recall(ent_ledger *ledger, const ent_message *message, ent_err *err)
{
    if (!ent_message_is(message, "correction.recall") || message->reply_member == UINT8_MAX)
        return ENT_DONE;
    ent_message *target = ent_ledger_target(ledger, message);
    if (target == NULL || target->member != message->member)
        return ENT_DONE;
    ENT_TRY(extra_of(ledger, target, err));
    if (target->extra->recall == NULL)
        target->extra->recall = message;
    return ENT_DONE;
}

/* "Suspension and restoration of a channel by one side": only what changes something counts, and a member's own log
 * says in which order. */
static ent_rc follow_suspension(ent_ledger *ledger, const ent_message *message, ent_err *err)
{
    ent_toggles *toggles = &ledger->logs[message->member].toggles;
    bool suspended = toggles->count % 2 == 1;
    if (!ent_message_is(message, suspended ? "channel.resume" : "channel.suspend"))
        return ENT_DONE;
    if (!ent_ledger_grow(&toggles->rows, toggles->count, &toggles->capacity, sizeof(void *)))
        return ent_ledger_no_memory(err);
    toggles->rows[toggles->count++] = message;
    return ENT_DONE;
}

/* "What lies between the cutoff and the revocation is contested": its own log says so, so that all who hold it agree.
 */
static ent_rc follow_revocation(ent_ledger *ledger, const ent_message *message, const ent_facts *facts, ent_err *err)
{
    ent_contests *contests = &ledger->logs[message->member].contests;
    if (!facts->contests || facts->contests_from >= message->index)
        return ENT_DONE;
    if (!ent_ledger_grow(&contests->rows, contests->count, &contests->capacity, sizeof *contests->rows))
        return ent_ledger_no_memory(err);
    contests->rows[contests->count++] = (struct ent_contested){facts->contests_from, message->index};
    return ENT_DONE;
}

/* Who declines an extension declines that of the terms he knows to be in force. */
static void follow_decline(ent_ledger *ledger, const ent_message *message, const ent_facts *facts)
{
    const ent_amended *terms = facts->declines_extension ? ent_terms_for(ledger, message) : NULL;
    if (terms == NULL)
        return;
    ent_amended *own = terms->message == NULL ? &ledger->base : terms->message->extra->amendment;
    if (own->declines[message->member] == NULL)
        own->declines[message->member] = message;
}

static ent_rc check_next(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, ent_err *err)
{
    if (member >= ledger->member_count || entry->index != ledger->logs[member].size)
        return ent_fail(err, ENT_USAGE, "design 5", "entry %llu is not the next one of its log",
                        (unsigned long long)entry->index);
    for (size_t i = 0; i < entry->ack_count; i++) {
        ent_text party = {0};
        ent_hash channel;
        ENT_TRY(ent_origin_parse(entry->acks[i].origin, &party, &channel, err));
        int other = ent_genesis_member(ledger->genesis, party);
        if (other < 0 || ledger->logs[other].size < entry->acks[i].head.size)
            return ent_fail(err, ENT_RETRY, "design 5, Order",
                            "entry %llu of %.*s acks %llu entries of %.*s, which are not all in the ledger yet",
                            (unsigned long long)entry->index, ENT_TEXT_ARG(entry->writer),
                            (unsigned long long)entry->acks[i].head.size, ENT_TEXT_ARG(party));
    }
    return ENT_DONE;
}

/* Put a message where it belongs: behind others of its thread, or at the beginning of one. */
static ent_rc place(ent_ledger *ledger, ent_message *message, ent_err *err)
{
    ent_thread *thread = ent_message_joins(ledger, message);
    if (thread != NULL) {
        join(thread, message);
    } else if (ent_message_begins(message)) {
        const ent_message *target = ent_ledger_target(ledger, message);
        const ent_thread *above = target == NULL ? NULL : ent_ledger_thread_at(ledger, target->thread);
        const ent_message *root = above != NULL ? above->root : target != NULL ? target : message;
        const ent_machine *machine =
            message->kind == NULL ? ent_machine_at(0) : ent_machine_of(ent_text_of(message->kind->name));
        ENT_TRY(add_thread(ledger, message, machine, root, err));
    }
    return ENT_DONE;
}

/* What an allowed message changes beyond its thread. */
static ent_rc follow(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err)
{
    if (message->reason != ENT_ALLOWED || !message->readable || message->kind == NULL)
        return ENT_DONE;
    follow_decline(ledger, message, facts);
    ENT_TRY(follow_suspension(ledger, message, err));
    ENT_TRY(follow_revocation(ledger, message, facts, err));
    ENT_TRY(follow_recall(ledger, message, err));
    ENT_TRY(follow_evidence(ledger, message, facts, err));
    return ent_terms_follow(ledger, message, facts, err);
}

ent_rc ent_ledger_entry(ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_hash *leaf,
                        const ent_facts *facts, ent_err *err)
{
    ent_message *message = NULL;
    ENT_TRY(check_next(ledger, member, entry, err));
    ENT_TRY(reserve(ledger, member, &message, err));
    ent_message_fill(ledger, member, entry, facts, message);
    for (int i = 0; i < 8; i++)
        message->leaf_prefix = message->leaf_prefix << 8 | leaf->bytes[i];
    ENT_TRY(add_extra(ledger, message, entry, facts, err));
    ent_tree tree = ledger->logs[member].tree;
    ENT_TRY(ent_tree_append(&tree, leaf, err));
    if (message->index == 0 && ent_message_is(message, "channel.genesis")) {
        ENT_TRY(ent_terms_base(ledger, member, facts, err));
        ENT_TRY(ent_carry_base(ledger, member, facts, err));
    }
    ENT_TRY(place(ledger, message, err));
    ledger->logs[member].size++;
    ledger->logs[member].tree = tree;
    memcpy(ledger->logs[member].acked, message->seen, ledger->member_count * sizeof message->seen[0]);
    ent_thread *thread = ent_ledger_thread_at(ledger, message->thread);
    if (thread != NULL)
        ent_thread_open(ledger, thread);
    return follow(ledger, message, facts, err);
}
