#include "node/message_view.h"

#include "node/api.h"
#include "node/channel.h"
#include "node/keys.h"
#include "ledger/ledger.h"

ent_rc ent_message_look(ent_node *node, const ent_rows *set, ent_message_view *ret, ent_err *err)
{
    ent_channel *channel = set->channel;
    *ret = (ent_message_view){.node = node, .set = set, .sent = UINT64_MAX};
    if (ent_channel_is_held(channel))
        ret->sent = ent_channel_signed_size(channel);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_receipt receipt;
        if (m == channel->self)
            continue;
        ent_rc rc = node->store->engine->receipt_newest(node->store, channel->members[channel->self].log.number, m,
                                                        &receipt, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        ret->receipted[m] = rc.code == ENT_OK ? receipt.head.size : 0;
    }
    return ENT_DONE;
}

static const char *state_of(const ent_message_view *seen, const ent_row *row)
{
    const ent_channel *channel = seen->set->channel;
    if (row->member != channel->self)
        return "received";
    if (row->entry.index >= seen->sent)
        return "held";
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (m != channel->self && seen->receipted[m] <= row->entry.index)
            return "sent";
    }
    return "receipted";
}

static void put_ref(ent_json_writer *writer, ent_channel *channel, const char *key, bool present,
                    ent_message_ref message)
{
    if (present) {
        ent_channel_member_message(channel, writer, key, message);
    } else {
        ent_json_key(writer, key);
        ent_json_put_null(writer);
    }
}

static bool is_reason(ent_text word)
{
    for (int i = ENT_ALLOWED + 1; i < ENT_REASON_COUNT; i++) {
        if (ent_text_is(word, ent_reason_word((ent_reason)i)))
            return true;
    }
    return false;
}

/* Said under a log key that was revoked from before it on. */
static void put_revoked(const ent_message_view *seen, const ent_row *row, ent_buf *text)
{
    uint64_t serial = 0;
    ent_channel *channel = seen->set->channel;
    ent_rc rc = ent_keys_contested(seen->node, channel, row->member, row->entry.index, &serial, NULL);
    if (rc.code == ENT_OK && serial != 0)
        ent_buf_put_format(text, "%scard %llu of %.*s revoked the log key from before this entry on",
                           text->size == 0 ? "" : "; ", (unsigned long long)serial, ENT_TEXT_ARG(row->entry.writer));
}

/* What its writer's file key has shown: that settles whatever a notice says. */
static bool put_revealed(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row)
{
    ent_channel *channel = seen->set->channel;
    ent_store_revealed revealed;
    ent_json_key(writer, "revealed");
    if (seen->node->store->engine
            ->reveal_get(seen->node->store, channel->members[row->member].log.number, row->entry.index, &revealed, NULL)
            .code != ENT_OK) {
        ent_json_put_null(writer);
        return false;
    }
    bool good = revealed.state == ENT_REVEALED_GOOD;
    ent_json_object_begin(writer);
    ent_channel_member_message(channel, writer, "by", (ent_message_ref){row->entry.writer, revealed.by});
    ent_json_member_string(writer, "shows", good ? "well-formed" : "bad");
    ent_json_object_end(writer);
    return true;
}

/* "contested": who found what wrong with its body; "not_allowed": who found that it may not stand where it does. */
static void put_notice(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row)
{
    bool settled = put_revealed(seen, writer, row);
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    const ent_row *notice = row->notice;
    bool not_allowed = false;
    if (notice != NULL) {
        ent_buf_put_format(&text, "%.*s says: ", ENT_TEXT_ARG(notice->entry.writer));
        ENT_CLEANUP(ent_json_release)
        ent_json *json = ent_message_document(seen->node, seen->set->channel, notice->member, &notice->entry);
        ent_json_value fields = {{NULL, NULL}};
        if (json != NULL)
            fields = ent_json_get(ent_json_root(json), "fields");
        ent_buf_put_text(&text, ent_json_string(ent_json_get(fields, "reason")));
        not_allowed = is_reason(ent_json_string(ent_json_get(fields, "code")));
    }
    ENT_CLEANUP(ent_buf_release) ent_buf contested = {0};
    ent_text none = {NULL, 0};
    if (notice != NULL && !not_allowed && !settled)
        ent_buf_put(&contested, ent_buf_bytes(&text));
    put_revoked(seen, row, &contested);
    if (text.failed != ENT_OK || contested.failed != ENT_OK)
        writer->buf->failed = text.failed != ENT_OK ? text.failed : contested.failed;
    ent_json_member_text(writer, "contested", contested.size == 0 ? none : ent_buf_text(&contested));
    ent_json_member_text(writer, "not_allowed", not_allowed ? ent_buf_text(&text) : none);
}

/* Who reads or lists a message must not miss that its writer asks for something to be done with it. */
static void put_recall(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row)
{
    ent_channel *channel = seen->set->channel;
    const ent_row *recall = row->recall;
    ent_json_key(writer, "recalled");
    if (recall == NULL) {
        ent_json_put_null(writer);
        return;
    }
    ENT_CLEANUP(ent_json_release)
    ent_json *json = ent_message_document(seen->node, channel, recall->member, &recall->entry);
    ent_json_value fields = {{NULL, NULL}};
    if (json != NULL)
        fields = ent_json_get(ent_json_root(json), "fields");
    ent_json_object_begin(writer);
    ent_channel_member_message(channel, writer, "by", (ent_message_ref){recall->entry.writer, recall->entry.index});
    ent_json_member_text(writer, "time", recall->entry.time);
    ent_json_member_text(writer, "action", ent_json_string(ent_json_get(fields, "action")));
    ent_json_object_end(writer);
}

static bool is_frozen(ent_channel *channel, uint32_t member)
{
    ent_store_log log;
    ent_channel_log(channel, member, &log);
    return log.frozen;
}

void ent_message_put(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row)
{
    ent_channel *channel = seen->set->channel;
    const ent_entry *entry = &row->entry;
    const ent_kind *kind = ent_kind_find(entry->kind);
    char alias[ENT_NAME_MAX_BYTES + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf subject = {0};
    ent_channel_alias(channel, alias);
    ent_message_subject(seen->node, channel, row->member, entry, &subject);
    ent_channel_member_message(channel, writer, "message", (ent_message_ref){entry->writer, entry->index});
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_text(writer, "party", entry->writer);
    ent_json_member_unsigned(writer, "index", entry->index);
    ent_json_member_text(writer, "time", entry->time);
    ent_json_member_text(writer, "kind", entry->kind);
    ent_json_member_string(writer, "title", kind == NULL ? NULL : kind->title);
    ent_json_member_text(writer, "subject", subject.size == 0 ? (ent_text){NULL, 0} : ent_buf_text(&subject));
    put_ref(writer, channel, "thread", entry->has_thread, entry->thread);
    put_ref(writer, channel, "reply_to", entry->has_reply_to, entry->reply_to);
    ent_json_key(writer, "to");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < entry->to_count; i++)
        ent_json_put_text(writer, entry->to[i]);
    ent_json_array_end(writer);
    ent_json_member_string(writer, "marking", ent_marking_word(entry->marking));
    ent_json_member_string(writer, "urgency", ent_urgency_word(entry->urgency));
    ent_json_member_bool(writer, "exercise", entry->exercise);
    ent_json_member_bool(writer, "log_frozen", is_frozen(channel, row->member));
    ent_json_member_unsigned(writer, "attachments", entry->attachment_count);
    ent_json_member_unsigned(writer, "body_bytes", entry->has_body ? entry->body.size : 0);
    ent_json_member_string(writer, "state", state_of(seen, row));
    ent_json_key(writer, "answered_by");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < row->answer_count; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
        ent_buf_put_format(&name, "%s/%.*s/%llu", alias[0] == 0 ? channel->id_text : alias,
                           ENT_TEXT_ARG(row->answers[i]->entry.writer),
                           (unsigned long long)row->answers[i]->entry.index);
        ent_json_put_text(writer, ent_buf_text(&name));
    }
    ent_json_array_end(writer);
    put_notice(seen, writer, row);
    put_recall(seen, writer, row);
}
