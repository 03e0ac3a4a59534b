#include "node/alert.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/message_row.h"

enum { LABEL_DIGITS = 12 };

const char *ent_alert_what_word(ent_alert_what what)
{
    static const char *const words[] = {
        [ENT_ALERT_DUE_SOON] = "due-soon",
        [ENT_ALERT_OVERDUE] = "overdue",
        [ENT_ALERT_FLASH_UNREAD] = "flash-unread",
        [ENT_ALERT_CHECK_FAILED] = "check-failed",
        [ENT_ALERT_FORK] = "fork",
        [ENT_ALERT_EXPIRING] = "expiring",
        [ENT_ALERT_TEST] = "test",
    };
    return what < ENT_ALERT_WHAT_COUNT ? words[what] : "unknown";
}

void ent_alert_put_key(ent_buf *buf, const ent_alert *alert)
{
    ent_buf_put_string(buf, ent_alert_what_word(alert->what));
    if (alert->channel != NULL)
        ent_buf_put_format(buf, "/%s", alert->channel->id_text);
    if (alert->channel != NULL && alert->has_message) {
        ent_buf_put_u8(buf, '/');
        ent_buf_put_text(buf, alert->channel->genesis.members[alert->member].name);
        ent_buf_put_format(buf, "/%llu", (unsigned long long)alert->index);
    }
    if (alert->detail.size > 0) {
        ent_buf_put_u8(buf, '/');
        ent_buf_put_text(buf, alert->detail);
    }
}

static void put_time_member(ent_json_writer *writer, const char *key, int64_t unix_s)
{
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(unix_s, time);
    ent_json_member_string(writer, key, unix_s == 0 ? NULL : time);
}

void ent_alert_put_json(ent_buf *buf, const ent_alert *alert, ent_text key, int64_t now_unix_s)
{
    ent_json_writer writer = ent_json_writer_of(buf);
    char alias[ENT_NAME_MAX_BYTES + 1] = "";
    if (alert->channel != NULL)
        ent_channel_alias(alert->channel, alias);
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "key", key);
    ent_json_member_string(&writer, "what", ent_alert_what_word(alert->what));
    ent_json_member_string(&writer, "channel", alert->channel == NULL ? NULL : alert->channel->id_text);
    ent_json_member_string(&writer, "alias", alias[0] == 0 ? NULL : alias);
    if (alert->channel != NULL && alert->has_message) {
        ent_message_ref message = {alert->channel->genesis.members[alert->member].name, alert->index};
        ent_channel_member_message(alert->channel, &writer, "message", message);
    } else {
        ent_json_member_string(&writer, "message", NULL);
    }
    ent_json_member_text(&writer, "text", alert->text);
    put_time_member(&writer, "time", now_unix_s);
    put_time_member(&writer, "due", alert->due_unix_s);
    ent_json_object_end(&writer);
}

/* ---- words ---- */

void ent_alert_put_channel(ent_buf *buf, ent_channel *channel)
{
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_channel_alias(channel, alias);
    if (alias[0] != 0)
        ent_buf_put_string(buf, alias);
    else
        ent_buf_put_text(buf, (ent_text){channel->id_text, LABEL_DIGITS});
}

void ent_alert_put_message(ent_buf *buf, ent_channel *channel, uint32_t member, uint64_t index)
{
    ent_alert_put_channel(buf, channel);
    ent_buf_put_u8(buf, '/');
    ent_buf_put_text(buf, channel->genesis.members[member].name);
    ent_buf_put_format(buf, "/%llu", (unsigned long long)index);
}

void ent_alert_put_time(ent_buf *buf, int64_t unix_s)
{
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(unix_s, time);
    ent_buf_put_format(buf, "%.10s %.8s UTC", time, time + 11);
}

void ent_alert_put_span(ent_buf *buf, int64_t seconds)
{
    long long s = seconds < 1 ? 1 : seconds;
    if (s < 60)
        ent_buf_put_format(buf, "%lld s", s);
    else if (s < 3600)
        ent_buf_put_format(buf, "%lld min", s / 60);
    else if (s < 2 * 86400)
        ent_buf_put_format(buf, s % 3600 < 60 ? "%lld h" : "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        ent_buf_put_format(buf, "%lld days", s / 86400);
}

/* Where a character that could hide or reorder what is read has how many bytes; 0 for all others. Controls; U+0080 to
 * U+009F; U+200B to U+200F; U+2028 to U+202E; U+2060 to U+206F; U+FEFF. */
static size_t unsafe_bytes(const uint8_t *at, size_t left)
{
    if (at[0] < ' ' || at[0] == 0x7f)
        return 1;
    if (left >= 2 && at[0] == 0xc2 && at[1] < 0xa0)
        return 2;
    if (left < 3)
        return 0;
    bool mark =
        at[0] == 0xe2 && at[1] == 0x80 && ((at[2] >= 0x8b && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae));
    bool isolate = at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa0 && at[2] <= 0xaf;
    bool order_mark = at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf;
    return mark || isolate || order_mark ? 3 : 0;
}

static void put_safe(ent_buf *buf, ent_text text)
{
    const uint8_t *at = (const uint8_t *)text.data;
    for (size_t i = 0; i < text.size;) {
        size_t unsafe = unsafe_bytes(at + i, text.size - i);
        ent_buf_put_u8(buf, unsafe > 0 ? ' ' : at[i]);
        i += unsafe > 0 ? unsafe : 1;
    }
}

void ent_alert_put_subject(ent_buf *buf, ent_node *node, const ent_alert_config *config, ent_channel *channel,
                           uint32_t member, uint64_t index)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf subject = {0};
    ent_entry entry;
    if (!config->include_subject ||
        ent_channel_entry(node, channel, member, index, &arena, NULL, &entry, NULL).code != ENT_OK)
        return;
    ent_message_subject(node, channel, member, &entry, &subject);
    if (subject.failed != ENT_OK || subject.size == 0)
        return;
    ent_buf_put_string(buf, "\nSubject: ");
    put_safe(buf, ent_buf_text(&subject));
}
