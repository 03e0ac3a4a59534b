/* Answers to the checks that other members' clocks send. */
#include "node/checks_internal.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/ledgers.h"
#include "node/opener.h"
#include "node/report.h"
#include "node/say.h"

enum {
    MOST_QUEUED = 4096,
    ANSWER_EVERY_S = 60 /* when all at once are used up, unless checks were agreed on that are more frequent */
};

/* --- what came in --- */

/* False without memory. Those beyond MOST_QUEUED would get no answer anyway. */
static bool enqueue(ent_checks *checks, const ent_check_asked *item)
{
    if (checks->queued == MOST_QUEUED)
        return true;
    if (checks->queued == checks->capacity) {
        size_t capacity = checks->capacity == 0 ? 16 : checks->capacity * 2;
        ent_check_asked *queue = ent_realloc(checks->queue, capacity * sizeof *queue);
        if (queue == NULL)
            return false;
        checks->queue = queue;
        checks->capacity = capacity;
    }
    checks->queue[checks->queued++] = *item;
    return true;
}

void ent_checks_asked(ent_checks *checks, ent_channel *channel, uint32_t member, uint64_t index)
{
    if (checks == NULL)
        return;
    ent_check_asked item = {channel, member, index};
    (void)pthread_mutex_lock(&checks->queue_lock);
    checks->lost = !enqueue(checks, &item) || checks->lost;
    (void)pthread_mutex_unlock(&checks->queue_lock);
    ent_worker_wake(&checks->worker);
}
/* --- threads of checks in the ledger --- */

/* Whether a check waits for a member's answer; a check that does not count waits for nothing. */
typedef struct {
    uint32_t member;
    bool waits;
} waiting;

static ent_rc see_track(void *context, const ent_thread_view *thread, ent_err *err)
{
    waiting *work = context;
    (void)err;
    for (size_t i = 0; i < thread->track_count; i++) {
        if (thread->tracks[i].member == work->member)
            work->waits = thread->tracks[i].state != ENT_STATE_NONE && !ent_state_closed(thread->tracks[i].state);
    }
    return ENT_DONE;
}

ent_rc ent_check_is_unanswered(ent_node *node, ent_channel *channel, ent_ledger_ref check, uint32_t by, bool *ret,
                               ent_err *err)
{
    ent_ledger *ledger = NULL;
    waiting work = {.member = by};
    ent_moment now = {INT64_MAX, ent_clock_unix_s()};
    ENT_TRY(ent_ledgers_lock(node, channel, &ledger, err));
    ent_rc rc = ent_ledger_thread(ledger, check, now, see_track, &work, err);
    ent_ledgers_unlock(channel);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    *ret = rc.code == ENT_OK && work.waits;
    return ENT_DONE;
}

/* --- answering --- */

static ent_rc say_answer(ent_node *node, const ent_check_asked *check, const ent_entry *entry, ent_text nonce,
                         ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    uint64_t index = 0;
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "echo", nonce);
    ent_json_member_string(&writer, "answered_by", "node");
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    ent_message_ref message = {entry->writer, entry->index};
    ent_saying saying = {
        .channel = check->channel,
        .kind = "contact.check",
        .has_reply_to = true,
        .reply_to = message,
        .has_thread = true,
        .thread = entry->has_thread ? entry->thread : message,
        .exercise = entry->exercise,
    };
    ENT_TRY(ent_say_body(node, &saying, ent_buf_bytes(&body), &index, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

static void refill(ent_check_allowance *of, uint32_t every_s)
{
    int64_t now = ent_clock_monotonic_ms();
    int64_t every_ms = every_s > 0 && every_s < 2 * ANSWER_EVERY_S ? (int64_t)every_s * 500 : ANSWER_EVERY_S * 1000;
    while (of->left < ENT_CHECK_ANSWERS_AT_ONCE && of->filled_ms + every_ms <= now) {
        of->left++;
        of->filled_ms += every_ms;
    }
    if (of->left == ENT_CHECK_ANSWERS_AT_ONCE)
        of->filled_ms = now;
}

/* A look at the schedules comes before, so every channel is watched. */
static ent_check_allowance *allowance_for(ent_checks *checks, const ent_check_asked *check)
{
    for (size_t i = 0; i < checks->channel_count; i++) {
        if (checks->channels[i].channel != check->channel)
            continue;
        refill(&checks->channels[i].answers[check->member], checks->channels[i].every_s);
        return &checks->channels[i].answers[check->member];
    }
    return NULL;
}

/* Answer a check, unless it was answered, or a person sent it.  Errors: our own trouble, or that it cannot be said;
 * WAITING: not so soon again. */
static ent_rc answer(ent_checks *checks, const ent_check_asked *check, ent_err *err)
{
    ent_node *node = checks->node;
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_entry entry;
    bool waits = false;
    ent_ledger_ref ref = {check->member, check->index};
    ENT_TRY(ent_check_is_unanswered(node, check->channel, ref, check->channel->self, &waits, err));
    if (!waits)
        return ENT_DONE;
    ENT_TRY(ent_channel_entry(node, check->channel, check->member, check->index, &arena, NULL, &entry, err));
    ENT_TRY(ent_open_body(node, check->channel, check->member, check->index, &plain, NULL, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&plain), &json, err));
    ent_json_value fields = ent_json_get(ent_json_root(json), "fields");
    ent_text nonce = ent_json_string(ent_json_get(fields, "nonce"));
    if (nonce.size == 0 || !ent_json_true(ent_json_get(fields, "scheduled")))
        return ENT_DONE;
    ent_check_allowance *of = allowance_for(checks, check);
    if (of == NULL || of->left == 0)
        return ent_rc_of(ENT_WAITING);
    ent_rc rc = say_answer(node, check, &entry, nonce, err);
    if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER)
        of->left--;
    return rc;
}

static void report_flood(uint64_t passed_over)
{
    if (passed_over == 0)
        return;
    ent_report report = ent_report_begin("check.too-many");
    ent_report_number(&report, "not_answered", passed_over);
    ent_report_end(&report);
}

void ent_checks_answer(ent_checks *checks, bool *ret_later)
{
    (void)pthread_mutex_lock(&checks->queue_lock);
    ent_check_asked *queue = ent_take(checks->queue);
    size_t count = checks->queued;
    checks->queued = 0;
    checks->capacity = 0;
    (void)pthread_mutex_unlock(&checks->queue_lock);
    uint64_t passed_over = 0;
    for (size_t i = count; i-- > 0 && !atomic_load(&checks->node->stopping);) {
        ent_err err = {0};
        bool can = !ent_channel_is_held(queue[i].channel);
        ent_rc rc = can ? answer(checks, &queue[i], &err) : ent_rc_of(ENT_RETRY);
        passed_over += rc.code == ENT_WAITING;
        ent_class error_class = ent_code_class(rc.code);
        if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER || rc.code == ENT_WAITING)
            continue;
        if (error_class == ENT_CLASS_RETRY || error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM) {
            (void)pthread_mutex_lock(&checks->queue_lock);
            checks->lost = !enqueue(checks, &queue[i]) || checks->lost;
            (void)pthread_mutex_unlock(&checks->queue_lock);
            *ret_later = true;
            continue;
        }
        ent_report report = ent_report_begin("check.not-answered");
        ent_report_string(&report, "channel", queue[i].channel->id_text);
        ent_report_number(&report, "index", queue[i].index);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
    ent_free(queue);
    report_flood(passed_over);
}

/* --- what came before this start --- */

typedef struct {
    ent_checks *checks;
    ent_channel *channel;
} search;

static ent_rc see_open(void *context, const ent_thread_view *thread, ent_err *err)
{
    const search *work = context;
    waiting ours = {.member = work->channel->self};
    if (thread->opener == work->channel->self || thread->kind == NULL || strcmp(thread->kind, "contact.check") != 0)
        return ENT_DONE;
    ENT_TRY(see_track(&ours, thread, err));
    if (!ours.waits)
        return ENT_DONE;
    ent_check_asked item = {work->channel, thread->first.member, thread->first.index};
    (void)pthread_mutex_lock(&work->checks->queue_lock);
    bool kept = enqueue(work->checks, &item);
    (void)pthread_mutex_unlock(&work->checks->queue_lock);
    return kept ? ENT_DONE : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

ent_rc ent_checks_search(ent_checks *checks, ent_channel *channel, ent_err *err)
{
    ent_ledger *ledger = NULL;
    search work = {checks, channel};
    ent_moment now = {INT64_MAX, ent_clock_unix_s()};
    ENT_TRY(ent_ledgers_lock(checks->node, channel, &ledger, err));
    ent_rc rc = ent_ledger_walk_open(ledger, now, see_open, &work, err);
    ent_ledgers_unlock(channel);
    return rc;
}
