#include "program.h"

#include <stdio.h>
#include <stdlib.h>

static void need(bool done, const char *what)
{
    if (!done) {
        (void)fprintf(stderr, "program: not so: %s\n", what);
        abort();
    }
}

static void need_ok(ent_rc rc, const ent_err *err)
{
    need(rc.code == ENT_OK, err->text);
}

/* Shows what differs before it ends everything. */
static void need_same(const ent_buf *one, const ent_buf *two, const char *what)
{
    size_t at = 0;
    if (ent_bytes_equal(ent_buf_bytes(one), ent_buf_bytes(two)))
        return;
    while (at < one->size && at < two->size && one->data[at] == two->data[at])
        at++;
    while (at > 0 && one->data[at - 1] != '\n')
        at--;
    (void)fprintf(stderr, "one:\n%.*s\n\ntwo:\n%.*s\n", (int)(one->size - at < 600 ? one->size - at : 600),
                  one->data + at, (int)(two->size - at < 600 ? two->size - at : 600), two->data + at);
    need(false, what);
}

static ent_ledger *in_order(const world *w)
{
    ent_ledger *ledger = world_ledger(w);
    for (size_t i = 0; i < w->event_count; i++)
        world_feed_event(w, ledger, &w->events[i]);
    return ledger;
}

/* --- every order gives the same --- */

static void check_orders(const world *w, const ent_ledger *ledger, ent_moment moment, uint64_t *seed, unsigned orders)
{
    ent_buf state = {0};
    ent_buf evidence = {0};
    ent_buf other = {0};
    world_state(ledger, moment, &state);
    world_evidence(w, ledger, moment, &evidence);
    for (unsigned i = 0; i < orders; i++) {
        ent_ledger *shuffled = world_shuffled(w, seed);
        world_evidence(w, shuffled, moment, &other);
        need_same(&evidence, &other, "every order gives the same evidence");
        world_state(shuffled, moment, &other);
        need_same(&state, &other, "every order gives the same state");
        need(ent_ledger_latest(shuffled) == ent_ledger_latest(ledger), "every order ends at the same time");
        ent_ledger_free(shuffled);
    }
    ent_buf_release(&state);
    ent_buf_release(&evidence);
    ent_buf_release(&other);
}

/* --- the past --- */

static void read_sizes(const ent_buf *evidence, uint64_t sizes[WORLD_MAX_MEMBERS])
{
    uint32_t member = 0;
    const char *line = (const char *)evidence->data;
    for (const char *end = line + evidence->size; line < end;
         line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1) {
        if (strncmp(line, "log ", 4) == 0)
            sizes[member++] = strtoull((const char *)memchr(line + 4, ' ', (size_t)(end - line - 4)), NULL, 10);
    }
}

/* The state of an earlier moment is that of who was given nothing later. */
static void check_past(const world *w, const ent_ledger *ledger, ent_moment moment)
{
    uint64_t sizes[WORLD_MAX_MEMBERS] = {0};
    ent_buf one = {0};
    ent_buf two = {0};
    bool *keep = calloc(w->event_count + 1, sizeof *keep);
    need(keep != NULL, "memory");
    world_evidence(w, ledger, moment, &one);
    ent_buf_string(&one);
    read_sizes(&one, sizes);
    for (size_t i = 0; i < w->event_count; i++) {
        const world_event *event = &w->events[i];
        keep[i] = event->is_receipt ? event->time <= moment.until_unix_s : event->index < sizes[event->member];
    }
    ent_ledger *partly = world_partly(w, keep);
    for (uint32_t m = 0; m < w->member_count; m++)
        need(ent_ledger_size(partly, m) == sizes[m], "what counts at a moment rests on nothing later");
    world_evidence(w, partly, moment, &two);
    need_same(&one, &two, "the past has the evidence that it had");
    world_state(ledger, moment, &one);
    world_state(partly, (ent_moment){INT64_MAX, moment.now_unix_s}, &two);
    need_same(&one, &two, "the past is as it was");
    ent_ledger_free(partly);
    ent_buf_release(&one);
    ent_buf_release(&two);
    free(keep);
}

/* --- a part of it --- */

static void check_losses(const world *w, uint64_t *seed)
{
    world part = *w;
    bool *keep = calloc(w->event_count + 1, sizeof *keep);
    part.events = calloc(w->event_count + 1, sizeof *part.events);
    need(keep != NULL && part.events != NULL, "memory");
    for (size_t i = 0; i < w->event_count; i++)
        keep[i] = world_below(seed, w->events[i].is_receipt ? 3 : 40) != 0;
    ent_ledger *ledger = world_partly(w, keep);
    part.event_count = 0;
    for (size_t i = 0; i < w->event_count; i++) {
        const world_event *event = &w->events[i];
        if (keep[i] && (event->is_receipt || event->index < ent_ledger_size(ledger, event->member)))
            part.events[part.event_count++] = *event;
    }
    check_orders(&part, ledger, (ent_moment){INT64_MAX, w->now}, seed, 2);
    ent_ledger_free(ledger);
    free(part.events);
    free(keep);
}

/* --- asked before, answered afterwards --- */

static bool knows_all(const world *w, const ent_ledger *ledger, const uint64_t known[], uint32_t member)
{
    for (uint32_t m = 0; m < w->member_count; m++) {
        if (m != member && known[m] < ent_ledger_size(ledger, m))
            return false;
    }
    return true;
}

typedef struct {
    ent_ledger_ref message;
    ent_reason reason;
    bool found;
} looking;

static ent_rc find_reason(void *context, const ent_thread_view *view, ent_err *err)
{
    looking *l = context;
    (void)err;
    for (size_t i = 0; i < view->message_count; i++) {
        const ent_thread_message *message = &view->messages[i];
        need((message->reason == ENT_ALLOWED) == (message->text[0] == 0), "what is refused has a text");
        if (message->message.member != l->message.member || message->message.index != l->message.index)
            continue;
        l->reason = message->reason;
        l->found = true;
    }
    return ENT_DONE;
}

typedef struct {
    uint8_t *open; /* a bit per walk: member * 4096 + index */
    uint8_t bit;
    size_t count;
} marking;

static ent_rc mark(void *context, const ent_thread_view *view, ent_err *err)
{
    marking *m = context;
    bool open = m->bit == 2;
    (void)err;
    for (size_t i = 0; i < view->duty_count; i++)
        open = open || ent_duty_is_open(view->duties[i].state);
    if (open)
        m->open[view->first.member * 4096 + view->first.index % 4096] ^= m->bit;
    return ENT_DONE;
}

/* What the walk of the open threads finds is what the walk of all finds open. */
static void check_open(ent_ledger *ledger, ent_moment moment)
{
    static uint8_t open[WORLD_MAX_MEMBERS * 4096];
    ent_err err = {0};
    memset(open, 0, sizeof open);
    marking all = {open, 1, 0};
    marking some = {open, 2, 0};
    need_ok(ent_ledger_walk(ledger, moment, mark, &all, &err), &err);
    need_ok(ent_ledger_walk_open(ledger, moment, mark, &some, &err), &err);
    for (size_t i = 0; i < sizeof open; i++)
        need(open[i] == 0 || open[i] == 3, "the open threads are those that are found");
}

static void check_one(const world *w, ent_ledger *ledger, const world_event *event, uint64_t known[])
{
    const world_message *message = world_at(w, (ent_ledger_ref){event->member, event->index});
    char text[ENT_REASON_SIZE];
    ent_reason reason = ENT_ALLOWED;
    ent_err err = {0};
    looking l = {.message = {event->member, event->index}};
    for (size_t i = 0; i < message->entry.ack_count; i++) {
        for (uint32_t m = 0; m < w->member_count; m++) {
            if (ent_text_equal(message->entry.acks[i].origin, w->logs[m].origin))
                known[m] = message->entry.acks[i].head.size;
        }
    }
    need_ok(ent_ledger_judge(ledger, event->member, &message->entry, &message->facts, &reason, text, &err), &err);
    world_feed_event(w, ledger, event);
    ent_moment all = {INT64_MAX, w->now};
    ent_rc rc = ent_ledger_thread(ledger, l.message, all, find_reason, &l, &err);
    if (rc.code == ENT_ABSENT)
        need(reason != ENT_ALLOWED || ent_kind_passes_everywhere(message->entry.kind),
             "what belongs to no thread is not allowed, unless it passes everywhere");
    else
        need_ok(rc, &err);
    if (l.found && knows_all(w, ledger, known, event->member))
        need(l.reason == reason, "what is asked before it is said is answered alike afterwards");
}

static ent_ledger *check_growth(const world *w, uint64_t *seed)
{
    uint64_t known[WORLD_MAX_MEMBERS][WORLD_MAX_MEMBERS] = {{0}};
    ent_ledger *ledger = world_ledger(w);
    for (size_t i = 0; i < w->event_count; i++) {
        if (w->events[i].is_receipt)
            world_feed_event(w, ledger, &w->events[i]);
        else
            check_one(w, ledger, &w->events[i], known[w->events[i].member]);
        if (world_below(seed, 6) == 0)
            check_open(ledger, (ent_moment){INT64_MAX, w->now});
    }
    check_open(ledger, (ent_moment){INT64_MAX, w->now});
    check_open(ledger, (ent_moment){WORLD_BEGIN + 1000, w->now});
    return ledger;
}

/* --- without the last message --- */

static bool is_thread_line(const char *line)
{
    return strncmp(line, "thread ", 7) == 0;
}

/* Cut out the block of one thread, and all that is not about threads. */
static void only_other_threads(const ent_buf *state, const char *but, ent_buf *ret)
{
    bool keep = false;
    const char *line = (const char *)state->data;
    ent_buf_clear(ret);
    for (const char *end = line + state->size; line < end;) {
        const char *next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
        if (is_thread_line(line))
            keep = strncmp(line + 7, but, strlen(but)) != 0 || line[7 + strlen(but)] != ' ';
        else if (line[0] != ' ')
            keep = false;
        if (keep)
            ent_buf_put(ret, ent_bytes_of(line, (size_t)(next - line)));
        line = next;
    }
}

typedef struct {
    const world *w;
    char first[128];
} naming;

static ent_rc name_first(void *context, const ent_thread_view *view, ent_err *err)
{
    naming *n = context;
    (void)err;
    (void)snprintf(n->first, sizeof n->first, "%s/%llu", n->w->genesis.members[view->first.member].name.data,
                   (unsigned long long)view->first.index);
    return ENT_DONE;
}

/* These say something about the channel, or about another thread. */
static bool reaches_further(ent_text kind)
{
    return ent_text_is(kind, "channel.suspend") || ent_text_is(kind, "channel.resume") ||
           ent_text_is(kind, "channel.review") || ent_text_is(kind, "evidence.item") ||
           ent_text_is(kind, "correction.recall") || ent_text_is(kind, "channel.genesis");
}

static void check_removal(const world *w, const ent_ledger *ledger, ent_moment moment)
{
    size_t last = w->event_count;
    while (last > 0 && w->events[last - 1].is_receipt)
        last--;
    if (last == 0)
        return;
    world_event gone = w->events[last - 1];
    ent_ledger_ref ref = {gone.member, gone.index};
    if (reaches_further(world_at(w, ref)->entry.kind))
        return;
    naming n = {w, "-"};
    ent_err err = {0};
    ent_rc rc = ent_ledger_thread(ledger, ref, moment, name_first, &n, &err);
    need(rc.code == ENT_OK || rc.code == ENT_ABSENT, err.text);
    ent_ledger *without = world_ledger(w);
    for (size_t i = 0; i < w->event_count; i++) {
        world_event event = w->events[i];
        if (i + 1 == last || (event.is_receipt && event.member == gone.member && gone.index == 0))
            continue;
        if (event.is_receipt && event.member == gone.member && event.size > gone.index)
            event.size = gone.index;
        world_feed_event(w, without, &event);
    }
    ent_buf one = {0};
    ent_buf two = {0};
    ent_buf state = {0};
    world_state(ledger, moment, &state);
    only_other_threads(&state, n.first, &one);
    world_state(without, moment, &state);
    only_other_threads(&state, n.first, &two);
    need_same(&one, &two, "a message more changes no thread but its own");
    ent_ledger_free(without);
    ent_buf_release(&one);
    ent_buf_release(&two);
    ent_buf_release(&state);
}

void program_check(const world *w, uint64_t seed, unsigned parts, unsigned orders)
{
    ent_ledger *ledger = in_order(w);
    ent_moment later = {INT64_MAX, w->now + 500000};
    if ((parts & PROGRAM_ORDERS) != 0)
        check_orders(w, ledger, (ent_moment){INT64_MAX, w->now}, &seed, orders);
    if ((parts & PROGRAM_REMOVAL) != 0)
        check_removal(w, ledger, later);
    for (int i = 0; (parts & PROGRAM_PAST) != 0 && i < 3; i++) {
        uint64_t length = (uint64_t)(w->now - WORLD_BEGIN) + 200;
        int64_t until = WORLD_BEGIN + (int64_t)world_below(&seed, length) - 100;
        check_past(w, ledger, (ent_moment){until, until});
        check_orders(w, ledger, (ent_moment){until, w->now}, &seed, 1);
    }
    if ((parts & PROGRAM_LOSSES) != 0)
        check_losses(w, &seed);
    if ((parts & PROGRAM_GROWTH) != 0) {
        ent_buf one = {0};
        ent_buf two = {0};
        ent_ledger *grown = check_growth(w, &seed);
        world_state(ledger, later, &one);
        world_state(grown, later, &two);
        need_same(&one, &two, "what grew bit by bit is what was made at once");
        ent_buf_release(&one);
        ent_buf_release(&two);
        ent_ledger_free(grown);
    }
    ent_ledger_free(ledger);
}
