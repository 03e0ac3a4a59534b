#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "log/tree.h"

static void need(bool done, const char *what)
{
    if (!done) {
        (void)fprintf(stderr, "world: %s\n", what);
        abort();
    }
}

static void need_ok(ent_rc rc, const ent_err *err)
{
    need(rc.code == ENT_OK, err->text);
}

static void *need_memory(void *memory)
{
    need(memory != NULL, "out of memory");
    return memory;
}

static void grow(void *array, size_t count, size_t *capacity, size_t size)
{
    void **place = array;
    if (count < *capacity)
        return;
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    *place = need_memory(realloc(*place, *capacity * size));
}

uint64_t world_random(uint64_t *seed)
{
    uint64_t mixed = *seed += 0x9e3779b97f4a7c15U; /* SplitMix64 */
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebU;
    return mixed ^ mixed >> 31;
}

uint64_t world_below(uint64_t *seed, uint64_t limit)
{
    return world_random(seed) % limit;
}

/* --- terms --- */

static void salt_of(uint8_t number, uint8_t ret[ENT_TERMS_SALT_SIZE])
{
    memset(ret, number, ENT_TERMS_SALT_SIZE);
}

void world_commitment(const char *terms, uint8_t salt, ent_hash *ret)
{
    uint8_t bytes[ENT_TERMS_SALT_SIZE];
    salt_of(salt, bytes);
    ent_terms_commitment(bytes, ent_text_bytes(ent_text_of(terms)), ret);
}

void world_facts_terms(ent_facts *facts, const char *terms, uint8_t salt)
{
    facts->readable = true;
    facts->has_terms = true;
    facts->terms = (ent_buf){.data = (uint8_t *)terms, .size = strlen(terms)};
    world_commitment(terms, salt, &facts->commitment);
}

/* --- beginning and end --- */

void world_begin_bare(world *w, uint32_t members, const char *terms)
{
    static const char *const names[WORLD_MAX_MEMBERS] = {"a.example", "b.example", "c.example", "d.example",
                                                         "e.example", "f.example", "g.example", "h.example"};
    *w = (world){.member_count = members, .now = WORLD_BEGIN};
    w->genesis.rules = ENT_GENESIS_RULES;
    w->genesis.member_count = members;
    w->genesis.delta_s = 120;
    w->genesis.members = need_memory(ent_arena_alloc(&w->arena, members * sizeof *w->genesis.members));
    world_commitment(terms, 0, &w->commitment);
    w->genesis.terms = w->commitment;
    memset(w->channel.bytes, 0xc5, sizeof w->channel.bytes);
    for (uint32_t m = 0; m < members; m++) {
        char origin[ENT_ORIGIN_TEXT_MAX + 1];
        w->genesis.members[m].name = ent_text_of(names[m]);
        ent_text text = ent_origin_write(ent_text_of(names[m]), &w->channel, origin);
        w->logs[m].origin = ent_arena_text(&w->arena, text);
    }
}

ent_ledger *world_ledger(const world *w)
{
    ent_ledger *ledger = NULL;
    ent_err err = {0};
    need_ok(ent_ledger_new(&w->channel, &w->genesis, &ledger, &err), &err);
    return ledger;
}

void world_begin(world *w, uint32_t members, const char *terms)
{
    ent_facts facts = {.readable = true};
    terms = terms == NULL ? "no agreement" : terms;
    world_begin_bare(w, members, terms);
    w->ledger = world_ledger(w);
    world_facts_terms(&facts, terms, 0);
    for (uint32_t m = 0; m < members; m++)
        (void)SAY(w, m, "channel.genesis", .facts = &facts);
    world_meet(w);
    world_pass(w, 60);
}

void world_end(world *w)
{
    for (uint32_t m = 0; m < w->member_count; m++)
        free(w->logs[m].messages);
    free(w->events);
    ent_ledger_free(w->ledger);
    ent_arena_release(&w->arena);
    *w = (world){0};
}

void world_pass(world *w, int64_t seconds)
{
    w->now += seconds;
}

world_message *world_at(const world *w, ent_ledger_ref ref)
{
    return w->logs[ref.member].messages[ref.index];
}

/* --- saying --- */

static ent_text text_of_time(world *w, int64_t time)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(time, text);
    return ent_arena_text(&w->arena, ent_text_of(text));
}

static ent_message_ref ref_of(const world *w, ent_ledger_ref ref)
{
    return (ent_message_ref){w->genesis.members[ref.member].name, ref.index};
}

static void set_place(const world *w, const saying *how, ent_entry *entry)
{
    if (how->reply_to != NULL) {
        bool is_there = how->reply_to->index < w->logs[how->reply_to->member].count;
        const ent_entry *target = is_there ? &world_at(w, *how->reply_to)->entry : NULL;
        entry->has_reply_to = true;
        entry->reply_to = ref_of(w, *how->reply_to);
        entry->has_thread = true;
        entry->thread = target != NULL && target->has_thread ? target->thread : entry->reply_to;
    }
    if (how->thread != NULL) {
        entry->has_thread = true;
        entry->thread = ref_of(w, *how->thread);
    }
    if (entry->has_thread && ent_text_equal(entry->thread.party, entry->writer) && entry->thread.index >= entry->index)
        entry->thread = entry->reply_to; /* what refers to itself is no entry */
}

static void set_addressees(world *w, uint32_t member, const saying *how, ent_entry *entry)
{
    entry->to = need_memory(ent_arena_alloc(&w->arena, w->member_count * sizeof *entry->to));
    for (uint32_t m = 0; m < w->member_count; m++) {
        if (m != member && (how->to >> m & 1) != 0)
            entry->to[entry->to_count++] = w->genesis.members[m].name;
    }
}

static void set_acks(world *w, uint32_t member, ent_entry *entry)
{
    entry->acks = need_memory(ent_arena_alloc(&w->arena, w->member_count * sizeof *entry->acks));
    for (uint32_t m = 0; m < w->member_count; m++) {
        if (m == member || w->logs[member].held[m] <= w->logs[member].acked[m])
            continue;
        ent_ack *ack = &entry->acks[entry->ack_count++];
        ack->origin = w->logs[m].origin;
        ack->head.size = w->logs[member].held[m];
    }
}

void world_draft(world *w, uint32_t member, const char *kind, const saying *how, world_message *ret)
{
    ent_entry entry = {.channel = w->channel, .writer = w->genesis.members[member].name};
    ent_buf bytes = {0};
    ent_err err = {0};
    entry.index = w->logs[member].count;
    entry.time = text_of_time(w, how->time == 0 ? w->now : how->time);
    entry.kind = ent_arena_text(&w->arena, ent_text_of(kind));
    entry.urgency = how->urgency;
    entry.exercise = how->exercise;
    entry.agreement = w->commitment;
    w->nonce++;
    memcpy(entry.nonce, &w->nonce, sizeof w->nonce);
    set_place(w, how, &entry);
    set_addressees(w, member, how, &entry);
    if (!how->no_acks)
        set_acks(w, member, &entry);
    entry.has_body = true;
    ent_sha256(ent_bytes_of(entry.nonce, sizeof entry.nonce), &entry.body.digest);
    entry.body.size = 100;
    entry.body.type = ENT_TEXT("application/age");
    *ret = (world_message){.entry = entry};
    if (!how->unreadable) {
        ret->facts = how->facts == NULL ? (ent_facts){0} : *how->facts;
        ret->facts.readable = true;
    }
    need_ok(ent_entry_encode(&entry, &bytes, &err), &err);
    ent_leaf_hash(ent_buf_bytes(&bytes), &ret->leaf);
    ent_buf_release(&bytes);
}

static void add_event(world *w, world_event event)
{
    grow(&w->events, w->event_count, &w->event_capacity, sizeof *w->events);
    w->events[w->event_count++] = event;
    if (w->ledger != NULL)
        world_feed_event(w, w->ledger, &event);
}

ent_ledger_ref world_say(world *w, uint32_t member, const char *kind, const saying *how)
{
    world_message *message = need_memory(ent_arena_alloc(&w->arena, sizeof *message));
    world_draft(w, member, kind, how, message);
    grow(&w->logs[member].messages, w->logs[member].count, &w->logs[member].capacity, sizeof(void *));
    w->logs[member].messages[w->logs[member].count++] = message;
    for (size_t i = 0; i < message->entry.ack_count; i++) {
        for (uint32_t m = 0; m < w->member_count; m++) {
            if (ent_text_equal(message->entry.acks[i].origin, w->logs[m].origin))
                w->logs[member].acked[m] = message->entry.acks[i].head.size;
        }
    }
    add_event(w, (world_event){.member = member, .index = message->entry.index});
    return (ent_ledger_ref){member, message->entry.index};
}

ent_ledger_ref world_answer(world *w, uint32_t member, ent_ledger_ref to, ent_outcome outcome, int64_t until)
{
    ent_facts facts = {.outcome = outcome, .until_unix_s = until};
    return SAY(w, member, "answer.response", .reply_to = &to, .facts = &facts);
}

ent_ledger_ref world_accept(world *w, uint32_t member, ent_ledger_ref to)
{
    ent_facts facts = {.has_digest = true, .digest = world_at(w, to)->entry.body.digest};
    return SAY(w, member, "proposal.accept", .reply_to = &to, .facts = &facts);
}

ent_ledger_ref world_amend(world *w, uint32_t member, const ent_hash *replaces, const char *terms, uint8_t salt)
{
    ent_facts facts = {.replaces = *replaces};
    world_facts_terms(&facts, terms, salt);
    return SAY(w, member, "channel.amendment", .facts = &facts);
}

/* --- hearing --- */

void world_deliver(world *w, uint32_t from, uint32_t to)
{
    w->logs[to].held[from] = w->logs[from].count;
}

void world_receipt(world *w, uint32_t from, uint32_t to, int64_t time)
{
    world_deliver(w, from, to);
    if (w->logs[from].count > 0)
        add_event(w,
                  (world_event){
                      .is_receipt = true, .member = from, .receiver = to, .size = w->logs[from].count, .time = time});
}

void world_meet(world *w)
{
    for (uint32_t from = 0; from < w->member_count; from++) {
        for (uint32_t to = 0; to < w->member_count; to++) {
            if (from != to)
                world_receipt(w, from, to, w->now);
        }
    }
}

/* --- feeding --- */

void world_feed_event(const world *w, ent_ledger *ledger, const world_event *event)
{
    ent_err err = {0};
    if (event->is_receipt) {
        need_ok(ent_ledger_receipt(ledger, event->member, event->receiver, event->size, event->time, &err), &err);
        return;
    }
    const world_message *message = world_at(w, (ent_ledger_ref){event->member, event->index});
    need_ok(ent_ledger_entry(ledger, event->member, &message->entry, &message->leaf, &message->facts, &err), &err);
}

/* Whether an entry is the next of its log and all that it acks is there. */
static bool is_ready(const world *w, const ent_ledger *ledger, const world_event *event)
{
    if (event->is_receipt)
        return true;
    if (ent_ledger_size(ledger, event->member) != event->index)
        return false;
    const ent_entry *entry = &world_at(w, (ent_ledger_ref){event->member, event->index})->entry;
    for (size_t i = 0; i < entry->ack_count; i++) {
        for (uint32_t m = 0; m < w->member_count; m++) {
            if (ent_text_equal(entry->acks[i].origin, w->logs[m].origin) &&
                ent_ledger_size(ledger, m) < entry->acks[i].head.size)
                return false;
        }
    }
    return true;
}

/* What is not ready yet says RETRY, and leaves the ledger as it was. */
static void check_retry(const world *w, ent_ledger *ledger, const world_event *event)
{
    const world_message *message = world_at(w, (ent_ledger_ref){event->member, event->index});
    uint64_t size = ent_ledger_size(ledger, event->member);
    if (size != event->index)
        return;
    ent_rc rc = ent_ledger_entry(ledger, event->member, &message->entry, &message->leaf, &message->facts, NULL);
    need(rc.code == ENT_RETRY && ent_ledger_size(ledger, event->member) == size, "RETRY was expected");
}

ent_ledger *world_shuffled(const world *w, uint64_t *seed)
{
    ent_ledger *ledger = world_ledger(w);
    size_t left = w->event_count;
    world_event *events = need_memory(malloc((left + 1) * sizeof *events));
    if (left > 0)
        memcpy(events, w->events, left * sizeof *events);
    while (left > 0) {
        size_t at = (size_t)world_below(seed, left);
        if (!is_ready(w, ledger, &events[at])) {
            if (world_below(seed, 64) == 0)
                check_retry(w, ledger, &events[at]);
            size_t next = at;
            do
                next = (next + 1) % left;
            while (!is_ready(w, ledger, &events[next]) && next != at);
            need(next != at, "nothing can be fed");
            at = next;
        }
        world_feed_event(w, ledger, &events[at]);
        if (events[at].is_receipt && world_below(seed, 8) == 0)
            world_feed_event(w, ledger, &events[at]);
        events[at] = events[--left];
    }
    free(events);
    return ledger;
}

ent_ledger *world_partly(const world *w, const bool *keep)
{
    ent_ledger *ledger = world_ledger(w);
    bool *fed = need_memory(calloc(w->event_count + 1, sizeof *fed));
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < w->event_count; i++) {
            if (!keep[i] || fed[i] || !is_ready(w, ledger, &w->events[i]))
                continue;
            world_feed_event(w, ledger, &w->events[i]);
            fed[i] = true;
            more = true;
        }
    }
    free(fed);
    return ledger;
}

/* --- looking --- */

ent_moment world_now(const world *w)
{
    return (ent_moment){INT64_MAX, w->now};
}

static void put_piece(void *context, ent_text piece)
{
    ent_buf_put_text(context, piece);
}

void world_state(const ent_ledger *ledger, ent_moment moment, ent_buf *ret)
{
    ent_err err = {0};
    ent_buf_clear(ret);
    need_ok(ent_ledger_state_lines(ledger, moment, put_piece, ret, &err), &err);
    need_ok(ent_buf_check(ret, &err), &err);
}

static ent_rc root_of(void *context, uint32_t member, uint64_t size, ent_hash *ret, ent_err *err)
{
    const world *w = context;
    ent_tree tree = {0};
    for (uint64_t i = 0; i < size; i++)
        ENT_TRY(ent_tree_append(&tree, &world_at(w, (ent_ledger_ref){member, i})->leaf, err));
    ent_tree_root(&tree, ret);
    return ENT_DONE;
}

void world_evidence(const world *w, const ent_ledger *ledger, ent_moment moment, ent_buf *ret)
{
    ent_err err = {0};
    ent_buf_clear(ret);
    need_ok(ent_ledger_evidence_lines(ledger, moment, root_of, (void *)w, put_piece, ret, &err), &err);
    need_ok(ent_buf_check(ret, &err), &err);
}

static ent_rc keep_view(void *context, const ent_thread_view *view, ent_err *err)
{
    static ent_duty duties[8192];
    static ent_thread_message messages[8192];
    static ent_ledger_ref evidence[1024];
    world_thread *kept = context;
    (void)err;
    need(view->duty_count <= 8192 && view->message_count <= 8192 && view->evidence_count <= 1024, "a larger view");
    kept->view = *view;
    kept->duties = duties;
    kept->messages = messages;
    kept->evidence = evidence;
    for (size_t i = 0; i < view->track_count; i++)
        kept->tracks[i] = view->tracks[i];
    for (size_t i = 0; i < view->duty_count; i++)
        duties[i] = view->duties[i];
    for (size_t i = 0; i < view->message_count; i++)
        messages[i] = view->messages[i];
    for (size_t i = 0; i < view->evidence_count; i++)
        evidence[i] = view->evidence[i];
    kept->view.tracks = NULL; /* the copies count */
    kept->view.duties = duties;
    kept->view.messages = messages;
    kept->view.evidence = evidence;
    return ENT_DONE;
}

world_thread world_thread_of(const world *w, ent_ledger_ref ref)
{
    world_thread kept = {0};
    ent_err err = {0};
    need_ok(ent_ledger_thread(w->ledger, ref, world_now(w), keep_view, &kept, &err), &err);
    return kept;
}

ent_state world_state_of(const world *w, ent_ledger_ref ref, uint32_t member)
{
    world_thread thread = world_thread_of(w, ref);
    for (size_t i = 0; i < thread.view.track_count; i++) {
        if (thread.tracks[i].member == member)
            return thread.tracks[i].state;
    }
    return ENT_STATE_NONE;
}

ent_reason world_reason_of(const world *w, ent_ledger_ref ref)
{
    world_thread thread = world_thread_of(w, ref);
    for (size_t i = 0; i < thread.view.message_count; i++) {
        if (thread.messages[i].message.member == ref.member && thread.messages[i].message.index == ref.index)
            return thread.messages[i].reason;
    }
    need(false, "the message is not in its thread");
    return ENT_ALLOWED;
}

static const ent_duty *find_duty(const world_thread *thread, ent_ledger_ref ref, ent_duty_type type, uint32_t debtor)
{
    for (size_t i = 0; i < thread->view.duty_count; i++) {
        const ent_duty *duty = &thread->duties[i];
        if (duty->type == type && duty->debtor == debtor && duty->message.member == ref.member &&
            duty->message.index == ref.index)
            return duty;
    }
    return NULL;
}

ent_duty world_duty(const world *w, ent_ledger_ref ref, ent_duty_type type, uint32_t debtor)
{
    world_thread thread = world_thread_of(w, ref);
    const ent_duty *found = find_duty(&thread, ref, type, debtor);
    need(found != NULL, "there is no such duty");
    return *found;
}

bool world_has_duty(const world *w, ent_ledger_ref ref, ent_duty_type type, uint32_t debtor)
{
    world_thread thread = world_thread_of(w, ref);
    return find_duty(&thread, ref, type, debtor) != NULL;
}

ent_reason world_may(world *w, uint32_t member, const char *kind, const saying *how)
{
    world_message draft;
    char text[ENT_REASON_SIZE];
    ent_reason reason = ENT_ALLOWED;
    ent_err err = {0};
    world_draft(w, member, kind, how, &draft);
    need_ok(ent_ledger_judge(w->ledger, member, &draft.entry, &draft.facts, &reason, text, &err), &err);
    ent_rc rc = ent_ledger_allows(w->ledger, member, &draft.entry, &draft.facts, &err);
    need(rc.code == (reason == ENT_ALLOWED ? ENT_OK : ENT_REFUSED), "allows and judge differ");
    need((text[0] == 0) == (reason == ENT_ALLOWED), "a reason has a text");
    return reason;
}
