#include "node/events.h"

#include "node/alerts.h"
#include "node/channel.h"

#include <errno.h>
#include <time.h>

struct ent_events {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *lines[ENT_EVENTS_KEPT];
    uint64_t next;
    bool closed;
};

ent_rc ent_events_new(ent_events **ret, ent_err *err)
{
    ent_events *events = ent_alloc(sizeof *events);
    if (events == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&events->lock, NULL);
    (void)pthread_cond_init(&events->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *ret = events;
    return ENT_DONE;
}

void ent_events_free(ent_events *events)
{
    if (events == NULL)
        return;
    for (size_t i = 0; i < ENT_EVENTS_KEPT; i++)
        ent_free(events->lines[i]);
    (void)pthread_cond_destroy(&events->changed);
    (void)pthread_mutex_destroy(&events->lock);
    ent_free(events);
}

void ent_events_tell(ent_events *events, ent_text line)
{
    char *copy = ent_text_copy(line);
    if (copy == NULL)
        return;
    (void)pthread_mutex_lock(&events->lock);
    char **slot = &events->lines[events->next % ENT_EVENTS_KEPT];
    ent_free(*slot);
    *slot = copy;
    events->next++;
    (void)pthread_cond_broadcast(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
}

uint64_t ent_events_next(ent_events *events)
{
    (void)pthread_mutex_lock(&events->lock);
    uint64_t next = events->next;
    (void)pthread_mutex_unlock(&events->lock);
    return next;
}

static struct timespec deadline_after(uint32_t timeout_ms)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

/* With the lock held. */
static bool wait_for(ent_events *events, uint64_t from, uint32_t timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms);
    while (!events->closed && events->next <= from) {
        if (pthread_cond_timedwait(&events->changed, &events->lock, &deadline) == ETIMEDOUT)
            break;
    }
    return events->next > from;
}

bool ent_events_wait(ent_events *events, uint64_t from, uint32_t timeout_ms)
{
    (void)pthread_mutex_lock(&events->lock);
    bool told = wait_for(events, from, timeout_ms);
    (void)pthread_mutex_unlock(&events->lock);
    return told;
}

ent_rc ent_events_read(ent_events *events, uint64_t *from, uint32_t timeout_ms, ent_buf *ret_lines, ent_err *err)
{
    (void)pthread_mutex_lock(&events->lock);
    (void)wait_for(events, *from, timeout_ms);
    if (events->next > ENT_EVENTS_KEPT && *from < events->next - ENT_EVENTS_KEPT)
        *from = events->next - ENT_EVENTS_KEPT;
    for (; *from < events->next; (*from)++) {
        ent_buf_put_string(ret_lines, events->lines[*from % ENT_EVENTS_KEPT]);
        ent_buf_put_u8(ret_lines, '\n');
    }
    (void)pthread_mutex_unlock(&events->lock);
    return ent_buf_check(ret_lines, err);
}

void ent_events_close(ent_events *events)
{
    (void)pthread_mutex_lock(&events->lock);
    events->closed = true;
    (void)pthread_cond_broadcast(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
}

bool ent_events_closed(ent_events *events)
{
    (void)pthread_mutex_lock(&events->lock);
    bool closed = events->closed;
    (void)pthread_mutex_unlock(&events->lock);
    return closed;
}

static ent_json_writer begin(ent_buf *line, const char *event, ent_channel *channel)
{
    ent_json_writer writer = ent_json_writer_of(line);
    char alias[sizeof channel->row.alias];
    ent_channel_alias(channel, alias);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "event", event);
    ent_json_member_string(&writer, "channel", channel->id_text);
    ent_json_member_string(&writer, "alias", alias[0] == 0 ? NULL : alias);
    return writer;
}

static void end(ent_node *node, ent_channel *channel, ent_json_writer *writer)
{
    ent_alerts_wake(node->alerts, channel);
    ent_json_object_end(writer);
    if (writer->buf->failed == ENT_OK)
        ent_events_tell(node->events, ent_buf_text(writer->buf));
    ent_buf_release(writer->buf);
}

void ent_tell_message(ent_node *node, ent_channel *channel, const ent_entry *entry, ent_text subject)
{
    ent_buf line = {0};
    ent_json_writer writer = begin(&line, "message", channel);
    ent_channel_member_message(channel, &writer, "message", (ent_message_ref){entry->writer, entry->index});
    ent_json_member_text(&writer, "kind", entry->kind);
    ent_json_member_text(&writer, "party", entry->writer);
    ent_json_member_text(&writer, "subject", subject);
    ent_json_member_string(&writer, "urgency", ent_urgency_word(entry->urgency));
    end(node, channel, &writer);
}

void ent_tell_receipt(ent_node *node, ent_channel *channel, uint32_t by, uint64_t size)
{
    ent_buf line = {0};
    ent_json_writer writer = begin(&line, "receipt", channel);
    ent_json_member_text(&writer, "by", channel->genesis.members[by].name);
    ent_json_member_unsigned(&writer, "size", size);
    end(node, channel, &writer);
}

void ent_tell_channel(ent_node *node, ent_channel *channel)
{
    ent_buf line = {0};
    ent_json_writer writer = begin(&line, "channel", channel);
    ent_json_member_string(&writer, "state", ent_channel_state_word(ent_channel_state_now(channel)));
    end(node, channel, &writer);
}

void ent_tell_attachment(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, const ent_hash *digest)
{
    ent_buf line = {0};
    ent_json_writer writer = begin(&line, "attachment", channel);
    ent_channel_member_message(channel, &writer, "message",
                               (ent_message_ref){channel->genesis.members[member].name, index});
    ent_json_key(&writer, "digest");
    ent_json_put_hex(&writer, ent_hash_bytes(digest));
    end(node, channel, &writer);
}

void ent_tell_fork(ent_node *node, ent_channel *channel, uint32_t member)
{
    ent_buf line = {0};
    ent_json_writer writer = begin(&line, "fork", channel);
    ent_json_member_text(&writer, "party", channel->genesis.members[member].name);
    end(node, channel, &writer);
}
