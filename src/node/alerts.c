#include "node/alerts.h"

#include "base/clock.h"
#include "node/alert.h"
#include "node/channel.h"
#include "node/errands.h"
#include "node/report.h"

enum { ROUND_GAP_MS = 1000, LONGEST_SLEEP_S = 60, FAILED_ROUND_S = 5 };

/* ---- what officers opened ---- */

typedef struct {
    ent_job job;
    const ent_alert_opened *opened;
    size_t count;
} read_job;

static ent_rc apply_read(ent_job *job, ent_node *node, ent_err *err)
{
    const read_job *work = (const read_job *)job;
    int64_t now = ent_clock_unix_s();
    for (size_t i = 0; i < work->count; i++) {
        const ent_alert_opened *one = &work->opened[i];
        ENT_TRY(node->store->engine->message_read_put(node->store, one->channel->members[one->member].log.number,
                                                      one->index, now, err));
    }
    return ENT_DONE;
}

/* Only flash messages are watched, and once is enough. */
static ent_rc is_news(ent_node *node, const ent_alert_opened *one, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    int64_t read = 0;
    *ret = false;
    ENT_TRY(ent_channel_entry(node, one->channel, one->member, one->index, &arena, NULL, &entry, err));
    if (entry.urgency != ENT_URGENCY_FLASH)
        return ENT_DONE;
    ENT_TRY(node->store->engine->message_read_get(node->store, one->channel->members[one->member].log.number,
                                                  one->index, &read, err));
    *ret = read == 0;
    return ENT_DONE;
}

static ent_rc note_opened(ent_node *node, ent_alert_opened *opened, size_t count, ent_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool news = false;
        ENT_TRY(is_news(node, &opened[i], &news, err));
        if (news)
            opened[kept++] = opened[i];
    }
    read_job work = {.job = {.apply = apply_read}, .opened = opened, .count = kept};
    return kept == 0 ? ENT_DONE : ent_sequencer_run(node, &work.job, err);
}

void ent_alerts_opened(ent_alerts *alerts, ent_channel *channel, uint32_t member, uint64_t index)
{
    if (alerts == NULL || member == channel->self)
        return;
    (void)pthread_mutex_lock(&alerts->lock);
    if (alerts->opened_count < ENT_ALERT_OPENED_PENDING) {
        alerts->opened[alerts->opened_count++] =
            (ent_alert_opened){.channel = channel, .member = member, .index = index};
        (void)pthread_cond_signal(&alerts->woken);
    }
    (void)pthread_mutex_unlock(&alerts->lock);
}

void ent_alerts_wake(ent_alerts *alerts, ent_channel *channel)
{
    atomic_store(&channel->unwatched, true);
    if (alerts == NULL || !atomic_load(&alerts->configured))
        return;
    (void)pthread_mutex_lock(&alerts->lock);
    if (!alerts->work) {
        alerts->work = true;
        (void)pthread_cond_signal(&alerts->woken);
    }
    (void)pthread_mutex_unlock(&alerts->lock);
}

/* ---- the watcher ---- */

static void report_failure(const ent_err *err)
{
    ent_report line = ent_report_begin("alerts.failed");
    ent_report_error(&line, err);
    ent_report_end(&line);
}

/* With the lock held: until something happened, the time has come, or we stop. Rounds are ROUND_GAP_MS apart, so that a
 * busy channel costs one a second. */
static void wait_for_work(ent_alerts *alerts, int64_t round_ms, int64_t next_ms)
{
    while (!alerts->stopping && alerts->opened_count == 0) {
        int64_t now_ms = ent_clock_monotonic_ms();
        int64_t until_ms = alerts->work && round_ms + ROUND_GAP_MS < next_ms ? round_ms + ROUND_GAP_MS : next_ms;
        if (alerts->config == NULL) {
            (void)pthread_cond_wait(&alerts->woken, &alerts->lock);
            continue;
        }
        if (alerts->reconfigured || now_ms >= until_ms)
            return;
        struct timespec deadline = ent_alert_deadline(until_ms - now_ms);
        (void)pthread_cond_timedwait(&alerts->woken, &alerts->lock, &deadline);
    }
}

/* Gives after how many seconds to look again. */
static int64_t run_round(ent_alerts *alerts, const ent_alert_config *config, bool reconfigured)
{
    ent_err err = {0};
    int64_t next = 0;
    ent_rc rc = reconfigured ? ent_alert_senders_drop(alerts, config, &err) : ENT_DONE;
    if (rc.code == ENT_OK)
        rc = ent_alert_run_round(alerts, config, &next, &err);
    if (rc.code != ENT_OK) {
        if (!atomic_load(&alerts->node->stopping))
            report_failure(&err);
        return FAILED_ROUND_S;
    }
    int64_t now = ent_clock_unix_s();
    return next - now < LONGEST_SLEEP_S ? (next <= now ? 1 : next - now) : LONGEST_SLEEP_S;
}

static void *watch(void *context)
{
    ent_alerts *alerts = context;
    ent_alert_opened opened[ENT_ALERT_OPENED_PENDING];
    int64_t round_ms = ent_clock_monotonic_ms() - ROUND_GAP_MS;
    int64_t next_ms = round_ms;
    (void)pthread_mutex_lock(&alerts->lock);
    for (;;) {
        wait_for_work(alerts, round_ms, next_ms);
        if (alerts->stopping)
            break;
        size_t count = alerts->opened_count;
        memcpy(opened, alerts->opened, count * sizeof *opened);
        alerts->opened_count = 0;
        int64_t now_ms = ent_clock_monotonic_ms();
        bool reconfigured = alerts->reconfigured;
        bool time = reconfigured || now_ms >= next_ms || (alerts->work && now_ms >= round_ms + ROUND_GAP_MS);
        if (time) {
            alerts->work = false;
            alerts->reconfigured = false;
        }
        (void)pthread_mutex_unlock(&alerts->lock);
        ent_err err = {0};
        if (count > 0 && note_opened(alerts->node, opened, count, &err).code != ENT_OK &&
            !atomic_load(&alerts->node->stopping))
            report_failure(&err);
        ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = ent_alerts_config_take(alerts);
        if (time && config != NULL) {
            int64_t wait_s = run_round(alerts, config, reconfigured);
            round_ms = ent_clock_monotonic_ms();
            next_ms = round_ms + wait_s * 1000;
        }
        (void)pthread_mutex_lock(&alerts->lock);
    }
    (void)pthread_mutex_unlock(&alerts->lock);
    return NULL;
}

/* ---- configuration ---- */

/* With the lock held; takes a hold of its own. */
static ent_rc use_config(ent_alerts *alerts, ent_alert_config *config, ent_err *err)
{
    (void)atomic_fetch_add(&config->holders, 1);
    ent_alert_config_give(alerts->config);
    alerts->config = config;
    alerts->reconfigured = true;
    for (size_t i = 0; i < ENT_SINK_COUNT; i++)
        alerts->senders[i].anew = true;
    atomic_store(&alerts->configured, true);
    (void)pthread_cond_signal(&alerts->woken);
    return ent_alert_senders_start(alerts, err);
}

ent_alert_config *ent_alerts_config_take(ent_alerts *alerts)
{
    (void)pthread_mutex_lock(&alerts->lock);
    ent_alert_config *config = alerts->config;
    if (config != NULL)
        (void)atomic_fetch_add(&config->holders, 1);
    (void)pthread_mutex_unlock(&alerts->lock);
    return config;
}

/* The node in its sandbox has it read, and checked, by the errands' process. */
static ent_rc read_config(const ent_node *node, ent_alert_config **ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    if (node->errands == NULL)
        return ent_alert_config_read(node->paths.alerts, ret, err);
    ENT_TRY(ent_errands_read(node->errands, ENT_ERRAND_CONFIG, &bytes, err));
    return ent_alert_config_make(ent_buf_bytes(&bytes), node->paths.alerts, false, ret, err);
}

ent_rc ent_alerts_config_reload(ent_alerts *alerts, ent_alert_config **ret, ent_err *err)
{
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = NULL;
    ENT_TRY(read_config(alerts->node, &config, err));
    (void)pthread_mutex_lock(&alerts->lock);
    ent_rc rc =
        alerts->stopping ? ent_fail(err, ENT_RETRY, NULL, "the node is stopping") : use_config(alerts, config, err);
    (void)pthread_mutex_unlock(&alerts->lock);
    ENT_TRY(rc);
    ent_alert_senders_wake(alerts); /* what waited for the old one may leave now */
    *ret = ent_take(config);
    return ENT_DONE;
}

/* ---- life ---- */

static ent_rc start(ent_alerts *alerts, ent_err *err)
{
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = NULL;
    ent_rc rc = read_config(alerts->node, &config, err);
    if (rc.code != ENT_ABSENT)
        ENT_TRY(rc);
    (void)pthread_mutex_lock(&alerts->lock);
    rc = config == NULL ? ENT_DONE : use_config(alerts, config, err);
    (void)pthread_mutex_unlock(&alerts->lock);
    ENT_TRY(rc);
    alerts->watching = pthread_create(&alerts->watcher, NULL, watch, alerts) == 0;
    return alerts->watching ? ENT_DONE : ent_fail(err, ENT_IO, NULL, "cannot start a thread");
}

ent_rc ent_alerts_new(ent_node *node, ent_alerts **ret, ent_err *err)
{
    ent_alerts *alerts = ent_alloc(sizeof *alerts);
    if (alerts == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    alerts->node = node;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&alerts->lock, NULL);
    (void)pthread_cond_init(&alerts->woken, &attributes);
    (void)pthread_cond_init(&alerts->sending, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    ent_rc rc = start(alerts, err);
    if (rc.code != ENT_OK) {
        atomic_store(&node->stopping, true); /* breaks off what a sender has begun; the node does not start */
        ent_alerts_stop(alerts);
        ent_alerts_free(alerts);
        return rc;
    }
    *ret = alerts;
    return ENT_DONE;
}

void ent_alerts_stop(ent_alerts *alerts)
{
    if (alerts == NULL)
        return;
    (void)pthread_mutex_lock(&alerts->lock);
    alerts->stopping = true;
    (void)pthread_cond_broadcast(&alerts->woken);
    (void)pthread_cond_broadcast(&alerts->sending);
    (void)pthread_mutex_unlock(&alerts->lock);
    if (alerts->watching)
        (void)pthread_join(alerts->watcher, NULL);
    alerts->watching = false;
    for (size_t i = 0; i < ENT_SINK_COUNT; i++) {
        if (alerts->senders[i].started)
            (void)pthread_join(alerts->senders[i].thread, NULL);
        alerts->senders[i].started = false;
    }
}

void ent_alerts_free(ent_alerts *alerts)
{
    if (alerts == NULL)
        return;
    ent_alert_rounds_release(alerts);
    ent_alert_config_give(alerts->config);
    (void)pthread_cond_destroy(&alerts->woken);
    (void)pthread_cond_destroy(&alerts->sending);
    (void)pthread_mutex_destroy(&alerts->lock);
    ent_free(alerts);
}
