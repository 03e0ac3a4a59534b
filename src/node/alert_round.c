#include "node/alert.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "node/channel.h"

enum {
    DAY_S = 24 * 60 * 60,
    MOST_A_DAY = 100, /* of one sort in one channel; then one that says so */
    MOST_IN_BATCH = 256
};

/* ---- what is known already ---- */

static bool remember_room(ent_alerts *alerts, int64_t now_unix_s)
{
    if (alerts->known == NULL)
        alerts->known = ent_alloc_array(ENT_ALERT_KNOWN, ENT_ALERT_KNOWN_SIZE);
    /* Once a day what stands is put anew, so that the store knows that it still does. */
    if (alerts->known != NULL && alerts->known_day != now_unix_s / DAY_S) {
        memset(alerts->known, 0, (size_t)ENT_ALERT_KNOWN * ENT_ALERT_KNOWN_SIZE);
        alerts->known_day = now_unix_s / DAY_S;
    }
    return alerts->known != NULL;
}

/* Only memory is at stake: two keys of one place forget each other, and are asked for in the store. */
static uint8_t *place_of(const ent_alerts *alerts, const ent_hash *digest)
{
    return alerts->known[(digest->bytes[0] | digest->bytes[1] << 8) % ENT_ALERT_KNOWN];
}

static bool is_known(const ent_alerts *alerts, const ent_hash *digest)
{
    return memcmp(place_of(alerts, digest), digest->bytes, ENT_ALERT_KNOWN_SIZE) == 0;
}

static void remember(ent_alerts *alerts, const ent_hash *digest)
{
    memcpy(place_of(alerts, digest), digest->bytes, ENT_ALERT_KNOWN_SIZE);
}

/* ---- the batch ---- */

static void clear_batch(ent_alerts *alerts)
{
    for (size_t i = 0; i < alerts->batch_count; i++) {
        ent_buf_release(&alerts->batch[i].key);
        ent_buf_release(&alerts->batch[i].json);
    }
    alerts->batch_count = 0;
}

typedef struct {
    ent_job job;
    const ent_alerts *alerts;
    const ent_alert_config *config;
    bool any_new;
} batch_job;

static ent_rc apply_batch(ent_job *job, ent_node *node, ent_err *err)
{
    batch_job *work = (batch_job *)job;
    int64_t now = ent_clock_unix_s();
    for (size_t i = 0; i < work->alerts->batch_count; i++) {
        const ent_alert_draft *draft = &work->alerts->batch[i];
        bool is_new = false;
        ENT_TRY(node->store->engine->alert_put(node->store, ent_buf_text(&draft->key), ent_buf_text(&draft->json),
                                               work->config->sinks, work->config->sink_count, now, &is_new, err));
        work->any_new = work->any_new || is_new;
    }
    return ENT_DONE;
}

static ent_rc store_batch(ent_alerts *alerts, const ent_alert_config *config, ent_err *err)
{
    batch_job work = {.job = {.apply = apply_batch}, .alerts = alerts, .config = config};
    if (alerts->batch_count == 0)
        return ENT_DONE;
    ENT_TRY(ent_sequencer_run(alerts->node, &work.job, err));
    for (size_t i = 0; i < alerts->batch_count; i++) {
        ent_hash digest;
        ent_sha256(ent_buf_bytes(&alerts->batch[i].key), &digest);
        remember(alerts, &digest);
    }
    clear_batch(alerts);
    if (work.any_new)
        ent_alert_senders_wake(alerts);
    return ENT_DONE;
}

static ent_rc add_to_batch(ent_alerts *alerts, const ent_alert *alert, int64_t now_unix_s, ent_err *err)
{
    if (alerts->batch_count == alerts->batch_capacity) {
        size_t capacity = alerts->batch_capacity == 0 ? 16 : alerts->batch_capacity * 2;
        ent_alert_draft *batch = ent_realloc(alerts->batch, capacity * sizeof *batch);
        if (batch == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        alerts->batch = batch;
        alerts->batch_capacity = capacity;
    }
    ent_alert_draft draft = {{0}, {0}};
    ent_alert_put_key(&draft.key, alert);
    ent_alert_put_json(&draft.json, alert, ent_buf_text(&draft.key), now_unix_s);
    if (draft.key.failed != ENT_OK || draft.json.failed != ENT_OK) {
        ent_buf_release(&draft.key);
        ent_buf_release(&draft.json);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    alerts->batch[alerts->batch_count++] = draft;
    return ENT_DONE;
}

/* ---- for the sources ---- */

void ent_alert_look_again(ent_alert_round *round, int64_t unix_s)
{
    if (unix_s < round->channel->next_unix_s)
        round->channel->next_unix_s = unix_s;
}

bool ent_alert_is_told(ent_alert_round *round, const ent_alert *alert)
{
    ENT_CLEANUP(ent_buf_release) ent_buf key = {0};
    ent_hash digest;
    ent_alert_put_key(&key, alert);
    if (key.failed != ENT_OK || !remember_room(round->alerts, round->now_unix_s))
        return false;
    ent_sha256(ent_buf_bytes(&key), &digest);
    return is_known(round->alerts, &digest);
}

/* Instead of the hundred-and-first: a peer, or an outage, must not bury the officer under messages. */
static ent_rc raise_flood(ent_alert_round *round, ent_alert_what what, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf detail = {0};
    ent_buf_put_format(&text, "More than %d alerts of the sort %s today in channel ", MOST_A_DAY,
                       ent_alert_what_word(what));
    ent_alert_put_channel(&text, round->channel->channel);
    ent_buf_put_string(&text, "\nFurther ones are not told one by one before the next day (UTC).\nNext: entente ledger "
                              "--channel ");
    ent_alert_put_channel(&text, round->channel->channel);
    ent_buf_put_string(&text, ", entente list --unanswered --channel ");
    ent_alert_put_channel(&text, round->channel->channel);
    ent_buf_put_format(&detail, "many/%lld", (long long)round->channel->day);
    ENT_TRY(ent_buf_check(&text, err));
    ENT_TRY(ent_buf_check(&detail, err));
    ent_alert alert = {
        .what = what, .channel = round->channel->channel, .detail = ent_buf_text(&detail), .text = ent_buf_text(&text)};
    return add_to_batch(round->alerts, &alert, round->now_unix_s, err);
}

ent_rc ent_alert_raise(ent_alert_round *round, const ent_alert *alert, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf key = {0};
    ent_alerts *alerts = round->alerts;
    ent_alert_channel *watched = round->channel;
    uint32_t *raised = &watched->raised[alert->what];
    int64_t day = round->now_unix_s / DAY_S;
    int64_t seen = 0;
    ent_hash digest;
    if (!remember_room(alerts, round->now_unix_s))
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_alert_put_key(&key, alert);
    ENT_TRY(ent_buf_check(&key, err));
    ent_sha256(ent_buf_bytes(&key), &digest);
    if (is_known(alerts, &digest))
        return ENT_DONE;
    if (watched->day != day) {
        watched->day = day;
        memset(watched->raised, 0, sizeof watched->raised);
    }
    if (*raised > MOST_A_DAY)
        return ENT_DONE;
    ENT_TRY(round->node->store->engine->alert_get(round->node->store, ent_buf_text(&key), &seen, err));
    if (seen > 0 && seen / DAY_S == day) {
        remember(alerts, &digest);
        return ENT_DONE;
    }
    if (seen == 0)
        (*raised)++;
    if (*raised > MOST_A_DAY)
        return raise_flood(round, alert->what, err);
    ENT_TRY(add_to_batch(alerts, alert, round->now_unix_s, err));
    return alerts->batch_count < MOST_IN_BATCH ? ENT_DONE : store_batch(alerts, round->config, err);
}

/* ---- a round ---- */

static ent_rc follow_channels(ent_alerts *alerts, ent_err *err)
{
    ent_channel *channel = NULL;
    while ((channel = ent_channel_at(alerts->node, alerts->channel_count)) != NULL) {
        if (alerts->channel_count == alerts->channel_capacity) {
            size_t capacity = alerts->channel_capacity == 0 ? 16 : alerts->channel_capacity * 2;
            ent_alert_channel *channels = ent_realloc(alerts->channels, capacity * sizeof *channels);
            if (channels == NULL)
                return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
            alerts->channels = channels;
            alerts->channel_capacity = capacity;
        }
        alerts->channels[alerts->channel_count++] = (ent_alert_channel){.channel = channel};
    }
    return ENT_DONE;
}

static ent_rc watch_channel(ent_alert_round *round, ent_err *err)
{
    ent_channel_state state = ent_channel_state_now(round->channel->channel);
    round->channel->next_unix_s = INT64_MAX;
    if (state != ENT_CHANNEL_OPEN && state != ENT_CHANNEL_OPENING)
        return ENT_DONE;
    ENT_TRY(ent_alert_watch_forks(round, err));
    ENT_TRY(ent_alert_watch_flash(round, err));
    ENT_TRY(ent_alert_watch_duties(round, err));
    return ent_alert_watch_agreement(round, err);
}

/* What was found and is not stored must be found again. */
static void forget_all(ent_alerts *alerts)
{
    clear_batch(alerts);
    for (size_t i = 0; i < alerts->channel_count; i++) {
        alerts->channels[i].next_unix_s = 0;
        alerts->channels[i].scanning = false;
    }
}

static ent_rc watch_all(ent_alert_round *round, int64_t *ret_next_unix_s, ent_err *err)
{
    ent_alerts *alerts = round->alerts;
    int64_t next = INT64_MAX;
    ENT_TRY(follow_channels(alerts, err));
    for (size_t i = 0; i < alerts->channel_count; i++) {
        round->channel = &alerts->channels[i];
        bool stirred = atomic_exchange(&round->channel->channel->unwatched, false);
        if ((stirred || round->channel->next_unix_s <= round->now_unix_s) && !atomic_load(&round->node->stopping))
            ENT_TRY(watch_channel(round, err));
        if (round->channel->next_unix_s < next)
            next = round->channel->next_unix_s;
    }
    ENT_TRY(store_batch(alerts, round->config, err));
    *ret_next_unix_s = next;
    return ENT_DONE;
}

ent_rc ent_alert_run_round(ent_alerts *alerts, const ent_alert_config *config, int64_t *ret_next_unix_s, ent_err *err)
{
    ent_alert_round round = {
        .alerts = alerts, .node = alerts->node, .config = config, .now_unix_s = ent_clock_unix_s()};
    ent_rc rc = watch_all(&round, ret_next_unix_s, err);
    if (rc.code != ENT_OK)
        forget_all(alerts);
    return rc;
}

void ent_alert_rounds_release(ent_alerts *alerts)
{
    clear_batch(alerts);
    for (size_t i = 0; i < alerts->channel_count; i++)
        ent_free(alerts->channels[i].flash);
    ent_free(alerts->channels);
    ent_free(alerts->batch);
    ent_free(alerts->known);
}
