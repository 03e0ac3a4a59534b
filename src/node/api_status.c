#include "node/api.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/doctor.h"
#include "node/events.h"
#include "node/guard.h"
#include "node/key_lost.h"
#include "node/rotate.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { EVENTS_BEAT_MS = 15000 };

static uint64_t memory_bytes(void)
{
    unsigned long pages = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    char line[128] = {0};
    bool read_line = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!read_line ||
        sscanf(line, "%lu %lu", &pages, &resident) != 2) /* NOLINT(cert-err34-c): the kernel's own numbers */
        return 0;
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t disk_free_bytes(const char *path)
{
    struct statvfs status;
    return statvfs(path, &status) == 0 ? (uint64_t)status.f_bavail * status.f_frsize : 0;
}

static ent_rc put_delivery(ent_node *node, ent_json_writer *writer, ent_channel *channel, uint32_t member, ent_err *err)
{
    ent_store_delivery delivery;
    ent_store_log log;
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_channel_log(channel, channel->self, &log);
    ent_channel_alias(channel, alias);
    ENT_TRY(node->store->engine->delivery_get(node->store, log.number, member, &delivery, err));
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_text(writer, "peer", channel->genesis.members[member].name);
    ent_json_member_unsigned(writer, "size", log.tree.size);
    ent_json_member_unsigned(writer, "confirmed", delivery.confirmed);
    ent_api_time(writer, "last_success", delivery.last_success_unix_s);
    ent_api_time(writer, "last_attempt", delivery.last_attempt_unix_s);
    ent_json_member_string(writer, "problem", delivery.reason[0] == 0 ? NULL : delivery.reason);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_deliveries(ent_node *node, ent_json_writer *writer, ent_err *err)
{
    ent_channel *channel;
    ent_json_key(writer, "deliveries");
    ent_json_array_begin(writer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_channel_state state = ent_channel_state_now(channel);
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            if (m != channel->self && (state == ENT_CHANNEL_OPEN || state == ENT_CHANNEL_OPENING))
                ENT_TRY(put_delivery(node, writer, channel, m, err));
        }
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

static void put_hold(ent_json_writer *writer, ent_channel *channel, const ent_held *held)
{
    (void)pthread_mutex_lock(&channel->lock);
    const ent_store_log *own = &channel->members[channel->self].log;
    int64_t asked_s = (ent_clock_monotonic_ms() - channel->asking_since_ms) / 1000;
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", channel->row.alias[0] == 0 ? NULL : channel->row.alias);
    ent_json_member_string(writer, "hold", ent_hold_word(held->hold));
    ent_json_member_string(writer, "reason", held->reason);
    ent_api_time(writer, "since", held->since_unix_s);
    ent_json_member_unsigned(writer, "messages",
                             own->tree.size > channel->signed_size ? own->tree.size - channel->signed_size : 0);
    ent_json_key(writer, "release_in_s");
    if (held->hold != ENT_HOLD_ASKING)
        ent_json_put_null(writer);
    else
        ent_json_put_unsigned(
            writer, asked_s >= ENT_GUARD_RELEASE_AFTER_S ? 0 : (uint64_t)(ENT_GUARD_RELEASE_AFTER_S - asked_s));
    ent_json_object_end(writer);
    (void)pthread_mutex_unlock(&channel->lock);
}

/* Channels whose log no member can be asked about after a crash: there the keeper's marks alone guard it. */
static void put_marks_alone(ent_node *node, ent_json_writer *writer)
{
    ent_channel *channel;
    ent_json_key(writer, "guarded_by_marks_alone");
    ent_json_array_begin(writer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED && !ent_guard_can_ask(node, channel))
            ent_json_put_string(writer, channel->id_text);
    }
    ent_json_array_end(writer);
}

/* Another's log that a third has not receipted as far as we hold it. */
static ent_rc put_lacking(ent_node *node, ent_json_writer *writer, ent_channel *channel, uint32_t of, uint32_t to,
                          ent_err *err)
{
    ent_store_delivery delivery;
    ent_store_log log;
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_channel_log(channel, of, &log);
    ent_channel_alias(channel, alias);
    ENT_TRY(node->store->engine->delivery_get(node->store, log.number, to, &delivery, err));
    if (delivery.confirmed >= log.tree.size)
        return ENT_DONE;
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_text(writer, "of", channel->genesis.members[of].name);
    ent_json_member_text(writer, "peer", channel->genesis.members[to].name);
    ent_json_member_unsigned(writer, "size", log.tree.size);
    ent_json_member_unsigned(writer, "confirmed", delivery.confirmed);
    ent_json_member_string(writer, "problem", delivery.reason[0] == 0 ? NULL : delivery.reason);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_all_lacking(ent_node *node, ent_json_writer *writer, ent_err *err)
{
    ent_channel *channel;
    ent_json_key(writer, "lacking");
    ent_json_array_begin(writer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        uint32_t count = (uint32_t)channel->genesis.member_count;
        ent_channel_state state = ent_channel_state_now(channel);
        if (count < 3 || (state != ENT_CHANNEL_OPEN && state != ENT_CHANNEL_OPENING))
            continue;
        for (uint32_t pair = 0; pair < count * count; pair++) {
            uint32_t of = pair / count;
            uint32_t to = pair % count;
            if (of != to && of != channel->self && to != channel->self)
                ENT_TRY(put_lacking(node, writer, channel, of, to, err));
        }
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

static void put_held(ent_node *node, ent_json_writer *writer)
{
    ent_channel *channel;
    ent_json_key(writer, "held");
    ent_json_array_begin(writer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_held held;
        ent_channel_held(node, channel, &held);
        if (held.hold != ENT_HOLD_NONE)
            put_hold(writer, channel, &held);
    }
    ent_json_array_end(writer);
}

static ent_rc count_send(void *context, const ent_store_blob_send *send, ent_err *err)
{
    (void)send, (void)err;
    (*(uint64_t *)context)++;
    return ENT_DONE;
}

ent_rc ent_api_status(ent_api_call *call, ent_err *err)
{
    ent_node *node = call->node;
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    uint64_t sends = 0;
    size_t channels = 0;
    while (ent_channel_at(node, channels) != NULL)
        channels++;
    ENT_TRY(ent_card_fingerprint(&ent_node_card(node)->card.card, fingerprint, err));
    ENT_TRY(node->store->engine->blob_send_walk(node->store, 0, SIZE_MAX >> 1, count_send, &sends, err));
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "name", node->config.name);
    ent_json_member_string(&writer, "version", ENTENTE_VERSION);
    ent_api_time(&writer, "started", node->started_unix_s);
    ent_json_member_bool(&writer, "air_gapped", node->config.air_gapped);
    ent_json_member_string(&writer, "listen", node->config.listen);
    ent_json_member_unsigned(&writer, "port", node->peers == NULL ? 0 : ent_http_server_port(node->peers));
    ent_json_member_string(&writer, "url", node->config.url);
    ent_json_member_string(&writer, "fingerprint", fingerprint);
    ent_json_member_unsigned(&writer, "channels", channels);
    ENT_TRY(put_deliveries(node, &writer, err));
    ENT_TRY(put_all_lacking(node, &writer, err));
    ent_json_member_unsigned(&writer, "attachments_to_send", sends);
    put_held(node, &writer);
    ent_key_put_lost(node, &writer);
    put_marks_alone(node, &writer);
    ENT_TRY(ent_api_put_forks(node, &writer, NULL, err));
    ent_json_key(&writer, "sandbox");
    ent_json_object_begin(&writer);
    ent_json_member_bool(&writer, "system_calls", node->sandbox.is_on);
    ent_json_member_unsigned(&writer, "landlock", node->sandbox.landlock);
    ent_json_object_end(&writer);
    ent_json_member_unsigned(&writer, "memory_bytes", memory_bytes());
    ent_json_member_unsigned(&writer, "disk_free_bytes", disk_free_bytes(node->paths.store));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_doctor(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "findings");
    ENT_TRY(ent_doctor_put(call->node, &writer, err));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_card(ent_api_call *call, ent_err *err)
{
    ent_buf_put(&call->response->body, ent_buf_bytes(&ent_node_card(call->node)->bytes));
    call->response->status = 200;
    call->response->content_type = "text/plain; charset=utf-8";
    return ent_buf_check(&call->response->body, err);
}

/* --- the stream of events --- */

typedef struct {
    ent_node *node;
    uint64_t from;
    bool begun;
} event_stream;

static ent_rc pull_events(void *context, ent_buf *ret_piece, bool *ret_end, ent_err *err)
{
    event_stream *stream = context;
    *ret_end = ent_events_closed(stream->node->events);
    if (*ret_end)
        return ENT_DONE;
    if (stream->begun)
        ENT_TRY(ent_events_read(stream->node->events, &stream->from, EVENTS_BEAT_MS, ret_piece, err));
    stream->begun = true; /* the first, empty line goes out at once, so that the reader knows the stream lives */
    if (ret_piece->size == 0)
        ent_buf_put_u8(ret_piece, '\n');
    return ent_buf_check(ret_piece, err);
}

ent_rc ent_api_events(ent_api_call *call, ent_err *err)
{
    event_stream *stream = ent_alloc(sizeof *stream);
    if (stream == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    stream->node = call->node;
    stream->from = ent_events_next(call->node->events);
    call->response->status = 200;
    call->response->content_type = "application/x-ndjson";
    call->response->pull = pull_events;
    call->response->pull_context = stream;
    call->response->pull_free = ent_free;
    return ENT_DONE;
}
