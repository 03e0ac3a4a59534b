/* What keeps us from signing in a channel, and why. */
#include "base/clock.h"
#include "node/channel.h"
#include "node/key_lost.h"
#include "node/report.h"

#include <stdarg.h>
#include <stdio.h>

const char *ent_hold_word(ent_hold hold)
{
    switch (hold) {
    case ENT_HOLD_NONE:
        break;
    case ENT_HOLD_ASKING:
        return "asking";
    case ENT_HOLD_KEEPER:
        return "keeper";
    case ENT_HOLD_PEER_LARGER:
        return "peer-larger";
    case ENT_HOLD_KEY:
        return "key";
    }
    return "";
}

bool ent_hold_stops_all(ent_hold hold)
{
    return hold == ENT_HOLD_KEEPER || hold == ENT_HOLD_PEER_LARGER;
}

ent_hold ent_channel_hold_now(ent_channel *channel)
{
    (void)pthread_mutex_lock(&channel->lock);
    ent_hold hold = channel->hold;
    (void)pthread_mutex_unlock(&channel->lock);
    return hold;
}

bool ent_channel_is_held(ent_channel *channel)
{
    return ent_channel_hold_now(channel) != ENT_HOLD_NONE || atomic_load(&channel->keyless);
}

void ent_channel_held(const ent_node *node, ent_channel *channel, ent_held *ret)
{
    (void)pthread_mutex_lock(&channel->lock);
    *ret = (ent_held){.hold = channel->hold, .since_unix_s = channel->hold_since_unix_s};
    if (channel->hold != ENT_HOLD_NONE)
        memcpy(ret->reason, channel->hold_reason, sizeof ret->reason);
    (void)pthread_mutex_unlock(&channel->lock);
    if (ret->hold != ENT_HOLD_NONE || !atomic_load(&channel->keyless))
        return;
    char text[ENT_KEY_LOST_TEXT_SIZE];
    ent_key_lost_text(node, ENT_KEY_ROLE_LOG, text);
    *ret = (ent_held){.hold = ENT_HOLD_KEY, .since_unix_s = node->started_unix_s};
    (void)snprintf(ret->reason, sizeof ret->reason, "%s", text);
}

static void report_held(const ent_channel *channel, ent_hold hold, const char *reason)
{
    ent_report report = ent_report_begin("head.held");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_string(&report, "hold", ent_hold_word(hold));
    ent_report_string(&report, "reason", reason);
    ent_report_end(&report);
}

__attribute__((format(printf, 4, 0))) static void set_hold(ent_channel *channel, ent_hold hold, bool also_weaker,
                                                           const char *format, va_list values)
{
    char reason[sizeof channel->hold_reason];
    (void)vsnprintf(reason, sizeof reason, format, values);
    (void)pthread_mutex_lock(&channel->lock);
    bool is_news = hold > channel->hold || also_weaker;
    if (is_news) {
        channel->hold = hold;
        channel->hold_since_unix_s = ent_clock_unix_s();
        memcpy(channel->hold_reason, reason, sizeof reason);
        if (hold == ENT_HOLD_ASKING) {
            channel->asking_since_ms = ent_clock_monotonic_ms();
            channel->asking_round++;
        }
    }
    (void)pthread_mutex_unlock(&channel->lock);
    if (is_news)
        report_held(channel, hold, reason);
}

void ent_channel_hold(ent_channel *channel, ent_hold hold, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    set_hold(channel, hold, false, format, values);
    va_end(values);
}

void ent_channel_hold_instead(ent_channel *channel, ent_hold hold, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    set_hold(channel, hold, true, format, values);
    va_end(values);
}

void ent_channel_hold_because(ent_channel *channel, ent_hold hold, const char *format, ...)
{
    char reason[sizeof channel->hold_reason];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(reason, sizeof reason, format, values);
    va_end(values);
    (void)pthread_mutex_lock(&channel->lock);
    bool is_news = channel->hold == hold && strcmp(channel->hold_reason, reason) != 0;
    if (is_news)
        memcpy(channel->hold_reason, reason, sizeof reason);
    (void)pthread_mutex_unlock(&channel->lock);
    if (is_news)
        report_held(channel, hold, reason);
}

bool ent_channel_unhold(ent_channel *channel, ent_hold hold)
{
    (void)pthread_mutex_lock(&channel->lock);
    bool was = channel->hold == hold;
    if (was) {
        channel->hold = ENT_HOLD_NONE;
        channel->hold_reason[0] = 0;
    }
    (void)pthread_mutex_unlock(&channel->lock);
    if (was)
        channel->sign_head = true;
    return was;
}
