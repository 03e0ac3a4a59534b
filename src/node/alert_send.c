#include "node/alert.h"

#include "base/clock.h"
#include "node/report.h"

#include <stdio.h>

enum { PAGE = 64, FIRST_RETRY_S = 5, MOST_RETRY_S = 600, STORE_RETRY_MS = 5000 };

struct timespec ent_alert_deadline(int64_t ms)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += ms / 1000;
    deadline.tv_nsec += (long)(ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

/* 5 s, 10 s, 20 s … 10 min */
static int64_t retry_after_s(uint64_t failures)
{
    int64_t wait = FIRST_RETRY_S;
    for (uint64_t i = 1; i < failures && wait < MOST_RETRY_S; i++)
        wait *= 2;
    return wait < MOST_RETRY_S ? wait : MOST_RETRY_S;
}

/* ---- storing what became of it ---- */

typedef struct {
    ent_job job;
    const ent_store_alert_sink *sinks;
    size_t count;
} put_job;

static ent_rc apply_put(ent_job *job, ent_node *node, ent_err *err)
{
    const put_job *work = (const put_job *)job;
    for (size_t i = 0; i < work->count; i++) {
        ent_rc rc = node->store->engine->alert_sink_put(node->store, &work->sinks[i], err);
        if (rc.code != ENT_REFUSED && rc.code != ENT_ABSENT) /* delivered meanwhile, or gone: nothing is to be said */
            ENT_TRY(rc);
    }
    return ENT_DONE;
}

static ent_rc store_sinks(ent_node *node, const ent_store_alert_sink *sinks, size_t count, ent_err *err)
{
    put_job work = {.job = {.apply = apply_put}, .sinks = sinks, .count = count};
    return count == 0 ? ENT_DONE : ent_sequencer_run(node, &work.job, err);
}

static const ent_store_alert_sink *waiting_for(const ent_store_alert *alert, ent_sink sink)
{
    for (size_t i = 0; i < alert->sink_count; i++) {
        if (alert->sinks[i].sink == sink && alert->sinks[i].state == ENT_ALERT_WAITING)
            return &alert->sinks[i];
    }
    return NULL;
}

/* ---- sinks that are no longer there ---- */

typedef struct {
    ent_alerts *alerts;
    const ent_alert_config *config;
    size_t seen;
    int64_t last;
} dropping;

static ent_rc drop_row(void *context, const ent_store_alert *alert, ent_err *err)
{
    dropping *at = context;
    ent_store_alert_sink dropped[ENT_SINK_COUNT];
    size_t count = 0;
    at->seen++;
    at->last = alert->number;
    for (size_t i = 0; i < alert->sink_count; i++) {
        if (alert->sinks[i].state != ENT_ALERT_WAITING || ent_alert_config_has(at->config, alert->sinks[i].sink))
            continue;
        dropped[count] = alert->sinks[i];
        dropped[count].state = ENT_ALERT_DROPPED;
        (void)snprintf(dropped[count].last_error, sizeof dropped[count].last_error, "no longer in alerts.json");
        count++;
    }
    return store_sinks(at->alerts->node, dropped, count, err);
}

ent_rc ent_alert_senders_drop(ent_alerts *alerts, const ent_alert_config *config, ent_err *err)
{
    ent_store *store = alerts->node->store;
    dropping at = {.alerts = alerts, .config = config, .last = INT64_MAX};
    do {
        at.seen = 0;
        ENT_TRY(store->engine->alert_walk(store, true, at.last, PAGE, drop_row, &at, err));
    } while (at.seen == PAGE && !atomic_load(&alerts->node->stopping));
    return ENT_DONE;
}

/* ---- sending ---- */

/* One pass over what waits. */
typedef struct {
    ent_alert_sender *sender;
    const ent_alert_config *config;
    size_t seen;
    int64_t last;
    int64_t next_unix_s; /* the earliest retry among those that the sink refused */
    bool out_of_reach;   /* the sink itself: the others would fare no better now */
} pass;

static void report(const pass *at, const ent_store_alert *alert, const ent_err *err)
{
    ent_report line = ent_report_begin(err == NULL ? "alert.delivered" : "alert.not-delivered");
    ent_report_string(&line, "sink", ent_sink_word(at->sender->sink));
    ent_report_text(&line, "key", alert->key);
    if (err != NULL)
        ent_report_error(&line, err);
    ent_report_end(&line);
}

static bool is_due(const ent_store_alert_sink *sink, int64_t now)
{
    return sink->next_unix_s <= now || sink->next_unix_s > now + MOST_RETRY_S; /* the clock was set back */
}

/* As much as there is room for, cut at a character. */
static void keep_words(ent_store_alert_sink *sink, const char *words)
{
    size_t size = strnlen(words, sizeof sink->last_error - 1);
    while (size > 0 && !ent_utf8_valid((ent_text){words, size}))
        size--;
    memcpy(sink->last_error, words, size);
    sink->last_error[size] = 0;
}

static void note_failure(pass *at, ent_store_alert_sink *sink, ent_rc rc, const ent_err *why)
{
    ent_alert_sender *sender = at->sender;
    keep_words(sink, why->text);
    if (ent_code_class(rc.code) == ENT_CLASS_RETRY) {
        at->out_of_reach = true;
        sender->failures++;
        sender->not_before_ms = ent_clock_monotonic_ms() + retry_after_s(sender->failures) * 1000;
        return;
    }
    sink->next_unix_s = ent_clock_unix_s() + retry_after_s(sink->attempts);
    if (sink->next_unix_s < at->next_unix_s)
        at->next_unix_s = sink->next_unix_s;
}

static ent_rc send_row(void *context, const ent_store_alert *alert, ent_err *err)
{
    pass *at = context;
    ent_node *node = at->sender->alerts->node;
    const ent_store_alert_sink *waiting = waiting_for(alert, at->sender->sink);
    ent_err why = {0};
    at->seen++;
    at->last = alert->number;
    if (waiting == NULL || at->out_of_reach || atomic_load(&node->stopping))
        return ENT_DONE;
    if (!is_due(waiting, ent_clock_unix_s())) {
        if (waiting->next_unix_s < at->next_unix_s)
            at->next_unix_s = waiting->next_unix_s;
        return ENT_DONE;
    }
    ent_rc rc = ent_alert_deliver(node, at->config, at->sender->sink, alert->json, false, &why);
    if (rc.code == ENT_RETRY) /* broken off because the node stops: it counts as never begun */
        return ENT_DONE;
    ent_store_alert_sink sink = *waiting;
    sink.attempts++;
    sink.last_error[0] = 0;
    if (rc.code == ENT_OK) {
        sink.state = ENT_ALERT_DELIVERED;
        at->sender->failures = 0;
    } else {
        note_failure(at, &sink, rc, &why);
    }
    report(at, alert, rc.code == ENT_OK ? NULL : &why);
    return store_sinks(node, &sink, 1, err);
}

/* Newest first: it is what the officer needs most.  Gives how long to wait for the next pass, -1 = until woken. */
static int64_t run_pass(ent_alert_sender *sender, const ent_alert_config *config)
{
    ent_store *store = sender->alerts->node->store;
    pass at = {.sender = sender, .config = config, .last = INT64_MAX, .next_unix_s = INT64_MAX};
    ent_err err = {0};
    int64_t reach_in_ms = sender->not_before_ms - ent_clock_monotonic_ms();
    if (reach_in_ms > 0)
        return reach_in_ms;
    do {
        at.seen = 0;
        if (store->engine->alert_walk(store, true, at.last, PAGE, send_row, &at, &err).code != ENT_OK) {
            ent_report line = ent_report_begin("alerts.failed");
            ent_report_error(&line, &err);
            ent_report_end(&line);
            return STORE_RETRY_MS;
        }
    } while (at.seen == PAGE && !at.out_of_reach && !atomic_load(&sender->alerts->node->stopping));
    if (at.out_of_reach)
        return sender->not_before_ms - ent_clock_monotonic_ms();
    return at.next_unix_s == INT64_MAX ? -1 : (at.next_unix_s - ent_clock_unix_s()) * 1000;
}

/* ---- the threads ---- */

static void *run(void *context)
{
    ent_alert_sender *sender = context;
    ent_alerts *alerts = sender->alerts;
    (void)pthread_mutex_lock(&alerts->lock);
    while (!alerts->stopping) {
        sender->work = false;
        if (sender->anew)
            sender->not_before_ms = 0;
        sender->anew = false;
        (void)pthread_mutex_unlock(&alerts->lock);
        ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = ent_alerts_config_take(alerts);
        int64_t wait_ms = config != NULL && ent_alert_config_has(config, sender->sink) ? run_pass(sender, config) : -1;
        (void)pthread_mutex_lock(&alerts->lock);
        struct timespec deadline = ent_alert_deadline(wait_ms < 0 ? 0 : wait_ms + 10);
        while (!alerts->stopping && !sender->work) {
            if (wait_ms < 0)
                (void)pthread_cond_wait(&alerts->sending, &alerts->lock);
            else if (pthread_cond_timedwait(&alerts->sending, &alerts->lock, &deadline) != 0)
                break;
        }
    }
    (void)pthread_mutex_unlock(&alerts->lock);
    return NULL;
}

ent_rc ent_alert_senders_start(ent_alerts *alerts, ent_err *err)
{
    for (size_t i = 0; i < alerts->config->sink_count; i++) {
        ent_alert_sender *sender = &alerts->senders[alerts->config->sinks[i] - ENT_SINK_EMAIL];
        if (sender->started)
            continue;
        sender->alerts = alerts;
        sender->sink = alerts->config->sinks[i];
        sender->started = pthread_create(&sender->thread, NULL, run, sender) == 0;
        if (!sender->started)
            return ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    }
    return ENT_DONE;
}

void ent_alert_senders_wake(ent_alerts *alerts)
{
    (void)pthread_mutex_lock(&alerts->lock);
    for (size_t i = 0; i < ENT_SINK_COUNT; i++)
        alerts->senders[i].work = true;
    (void)pthread_cond_broadcast(&alerts->sending);
    (void)pthread_mutex_unlock(&alerts->lock);
}
