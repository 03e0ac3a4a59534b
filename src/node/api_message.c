#include "node/api.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "node/alerts.h"
#include "ledger/ledger.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/keys.h"
#include "node/message_row.h"
#include "node/opener.h"
#include "store/blobs.h"

enum { DEFAULT_LIMIT = 1000, MAX_LIMIT = 100000 };

/* What a list of one channel needs to know once. */
typedef struct {
    ent_node *node;
    const ent_rows *set;
    uint64_t receipted[ENT_ENTRY_MAX_MEMBERS]; /* of our log, by each member */
    uint64_t sent;                             /* what of our log may leave: all, unless the channel is held */
} view;

static ent_rc look(ent_node *node, const ent_rows *set, view *ret, ent_err *err)
{
    ent_channel *channel = set->channel;
    *ret = (view){.node = node, .set = set, .sent = UINT64_MAX};
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

static const char *state_of(const view *seen, const ent_row *row)
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
static void put_revoked(const view *seen, const ent_row *row, ent_buf *text)
{
    uint64_t serial = 0;
    ent_channel *channel = seen->set->channel;
    ent_rc rc = ent_keys_contested(seen->node, channel, row->member, row->entry.index, &serial, NULL);
    if (rc.code == ENT_OK && serial != 0)
        ent_buf_put_format(text, "%scard %llu of %.*s revoked the log key from before this entry on",
                           text->size == 0 ? "" : "; ", (unsigned long long)serial, ENT_TEXT_ARG(row->entry.writer));
}

/* What its writer's file key has shown: that settles whatever a notice says. */
static bool put_revealed(const view *seen, ent_json_writer *writer, const ent_row *row)
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
static void put_notice(const view *seen, ent_json_writer *writer, const ent_row *row)
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
static void put_recall(const view *seen, ent_json_writer *writer, const ent_row *row)
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

static void put_header(const view *seen, ent_json_writer *writer, const ent_row *row)
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

/* --- lists --- */

typedef struct {
    uint64_t limit;
    bool unanswered;
    ent_text since;
    bool has_thread;
    ent_message_ref thread;
    ent_channel *channel; /* NULL = all */
} filter;

static ent_rc read_filter(const ent_api_call *call, filter *ret, ent_err *err)
{
    ent_text limit = ent_http_query(call->request, "limit");
    ent_text channel = ent_http_query(call->request, "channel");
    ent_text thread = ent_http_query(call->request, "thread");
    ent_text unanswered = ent_http_query(call->request, "unanswered");
    int64_t unix_s = 0;
    *ret = (filter){.limit = DEFAULT_LIMIT,
                    .unanswered = ent_text_is(unanswered, "1"),
                    .since = ent_http_query(call->request, "since")};
    if (limit.data != NULL && !ent_decimal_parse(limit, MAX_LIMIT, &ret->limit))
        return ent_fail(err, ENT_USAGE, "docs/api.md", "limit is a number up to %d", MAX_LIMIT);
    if (ret->since.data != NULL && !ent_time_parse(ret->since, &unix_s))
        return ent_fail(err, ENT_USAGE, "RFC 3339", "--since %.*s: a time looks like 2026-01-31T23:59:59Z",
                        (int)(ret->since.size > 40 ? 40 : ret->since.size), ret->since.data);
    if (channel.data != NULL)
        ENT_TRY(ent_channel_named(call->node, channel, &ret->channel, err));
    if (thread.data != NULL) {
        uint32_t member = 0;
        ret->has_thread = true;
        ENT_TRY(ent_message_named(call->node, thread, &ret->channel, &member, &ret->thread.index, err));
        ret->thread.party = ret->channel->genesis.members[member].name;
    }
    return ENT_DONE;
}

static bool same_message(ent_message_ref a, ent_message_ref b)
{
    return a.index == b.index && ent_text_equal(a.party, b.party);
}

static bool passes(const filter *wanted, const ent_row *row)
{
    const ent_entry *entry = &row->entry;
    const ent_kind *kind = ent_kind_find(entry->kind);
    ent_message_ref self = {entry->writer, entry->index};
    if (wanted->since.data != NULL && ent_text_compare(entry->time, wanted->since) < 0)
        return false;
    bool asks = kind != NULL && ent_kind_asks(kind, entry);
    if (wanted->unanswered && (!asks || row->answer_count > 0))
        return false;
    if (wanted->has_thread && !same_message(self, wanted->thread) &&
        !(entry->has_thread && same_message(entry->thread, wanted->thread)))
        return false;
    return true;
}

static ent_rc put_channel_rows(ent_node *node, ent_channel *channel, const filter *wanted, ent_json_writer *writer,
                               ent_err *err)
{
    ENT_CLEANUP(ent_rows_release) ent_rows set = {0};
    view seen;
    ENT_TRY(ent_rows_read(node, channel, ENT_ROWS_WINDOW, &set, err));
    ENT_TRY(look(node, &set, &seen, err));
    uint64_t passing = 0;
    for (size_t i = 0; i < set.count; i++)
        passing += passes(wanted, set.by_time[i]);
    for (size_t i = 0; i < set.count; i++) {
        if (!passes(wanted, set.by_time[i]))
            continue;
        if (passing-- > wanted->limit)
            continue; /* the newest N */
        ent_json_object_begin(writer);
        put_header(&seen, writer, set.by_time[i]);
        ent_json_object_end(writer);
    }
    return ENT_DONE;
}

ent_rc ent_api_message_list(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel;
    filter wanted;
    ENT_TRY(read_filter(call, &wanted, err));
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "messages");
    ent_json_array_begin(&writer);
    for (size_t i = 0; (channel = ent_channel_at(call->node, i)) != NULL; i++) {
        if (wanted.channel == NULL || wanted.channel == channel)
            ENT_TRY(put_channel_rows(call->node, channel, &wanted, &writer, err));
    }
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

/* --- one message --- */

/* "A receipt dated later than its arrival + δ, or before the entry − δ, is flagged" (design 3). */
static const char *receipt_flag(const ent_store_receipt *receipt, const ent_entry *entry, uint64_t delta_s)
{
    int64_t said = 0;
    int64_t dated = (int64_t)receipt->cosignature.timestamp_unix_s;
    if (dated > receipt->arrived_unix_s + (int64_t)delta_s)
        return "dated later than it arrived";
    if (ent_time_parse(entry->time, &said) && dated < said - (int64_t)delta_s)
        return "dated before the message";
    return NULL;
}

static ent_rc put_receipts(const view *seen, ent_json_writer *writer, const ent_row *row, ent_err *err)
{
    ent_node *node = seen->node;
    const ent_channel *channel = seen->set->channel;
    ent_json_key(writer, "receipts");
    ent_json_array_begin(writer);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_receipt receipt;
        if (m == row->member)
            continue;
        ent_rc rc = node->store->engine->receipt_covering(node->store, channel->members[row->member].log.number, m,
                                                          row->entry.index + 1, &receipt, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", channel->genesis.members[m].name);
        ent_json_member_unsigned(writer, "size", receipt.head.size);
        ent_api_time(writer, "time", (int64_t)receipt.cosignature.timestamp_unix_s);
        ent_json_member_string(writer, "flag", receipt_flag(&receipt, &row->entry, channel->genesis.delta_s));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

/* Whether a row is an evidence.held by its writer about this attachment. */
static bool holds(const view *seen, const ent_row *row, const ent_row *about, const ent_hash *digest)
{
    char hex[65];
    ent_message_ref self = {about->entry.writer, about->entry.index};
    if (!ent_text_is(row->entry.kind, "evidence.held") || !row->entry.has_reply_to ||
        !same_message(row->entry.reply_to, self))
        return false;
    ENT_CLEANUP(ent_json_release)
    ent_json *json = ent_message_document(seen->node, seen->set->channel, row->member, &row->entry);
    if (json == NULL)
        return false;
    ent_hex_encode(ent_hash_bytes(digest), hex);
    ent_json_value digests = ent_json_get(ent_json_get(ent_json_root(json), "fields"), "digests");
    for (ent_json_iter i = ent_json_iterate(digests); ent_json_next(&i);) {
        if (ent_text_is(ent_json_string(i.value), hex))
            return true;
    }
    return false;
}

/* Who has said that he holds it, and how far it has come to whom it is on its way. */
static void put_holders(const view *seen, ent_json_writer *writer, const ent_row *row, const ent_hash *digest)
{
    const ent_channel *channel = seen->set->channel;
    bool held[ENT_ENTRY_MAX_MEMBERS] = {false};
    ent_json_key(writer, "held_by");
    ent_json_array_begin(writer);
    for (size_t k = 0; k < seen->set->count; k++) {
        const ent_row *said = &seen->set->rows[k];
        if (held[said->member] || !holds(seen, said, row, digest))
            continue;
        held[said->member] = true;
        ent_json_put_text(writer, said->entry.writer);
    }
    ent_json_array_end(writer);
    ent_json_key(writer, "on_its_way");
    ent_json_array_begin(writer);
    for (uint32_t m = 0; m < channel->genesis.member_count && row->member == channel->self; m++) {
        uint64_t bytes =
            ent_courier_progress(seen->node->courier, channel->members[channel->self].log.number, m, digest);
        if (m == channel->self || held[m] || bytes == 0)
            continue;
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "to", channel->genesis.members[m].name);
        ent_json_member_unsigned(writer, "bytes", bytes);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

static void put_attachments(const view *seen, ent_json_writer *writer, const ent_row *row)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_json_value files = {{NULL, NULL}};
    if (row->entry.attachment_count > 0)
        json = ent_message_document(seen->node, seen->set->channel, row->member, &row->entry);
    if (json != NULL)
        files = ent_json_get(ent_json_root(json), "files");
    ent_json_iter file = ent_json_iterate(files);
    ent_json_key(writer, "attachment_list");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < row->entry.attachment_count; i++) {
        const ent_blob_ref *blob = &row->entry.attachments[i];
        bool has_name = ent_json_next(&file);
        ent_json_object_begin(writer);
        ent_json_key(writer, "digest");
        ent_json_put_hex(writer, ent_hash_bytes(&blob->digest));
        ent_json_member_unsigned(writer, "size", blob->size);
        ent_json_member_text(writer, "type", blob->type);
        ent_json_member_text(writer, "name",
                             has_name ? ent_json_string(ent_json_get(file.value, "name")) : (ent_text){NULL, 0});
        bool is_here = ent_blob_exists(seen->node->paths.blobs, &blob->digest);
        ent_json_member_string(writer, "state", is_here ? "held" : "wanted");
        ent_json_member_unsigned(writer, "bytes_here",
                                 is_here ? blob->size : ent_blob_parts_held(seen->node->parts, &blob->digest));
        put_holders(seen, writer, row, &blob->digest);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* "`time` is a claim …; it is shown *dated ahead* (over δ after the receipt) or *dated back* (before its predecessor)"
 * (design 2, Entry). */
static ent_rc time_flag(const view *seen, const ent_row *row, int64_t arrived, const char **ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_channel *channel = seen->set->channel;
    ent_entry before;
    int64_t said = 0;
    *ret = NULL;
    if (ent_time_parse(row->entry.time, &said) && said > arrived + (int64_t)channel->genesis.delta_s) {
        *ret = "dated ahead";
        return ENT_DONE;
    }
    if (row->entry.index == 0)
        return ENT_DONE;
    ENT_TRY(ent_channel_entry(seen->node, channel, row->member, row->entry.index - 1, &arena, NULL, &before, err));
    if (ent_text_compare(row->entry.time, before.time) < 0)
        *ret = "dated back";
    return ENT_DONE;
}

static ent_rc put_detail(const view *seen, ent_json_writer *writer, const ent_row *row, ent_err *err)
{
    ent_node *node = seen->node;
    ent_channel *channel = seen->set->channel;
    const char *flag = NULL;
    int64_t arrived = 0;
    ent_hash leaf;
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry again;
    ENT_TRY(ent_channel_entry(node, channel, row->member, row->entry.index, &arena, &bytes, &again, err));
    ENT_TRY(node->store->engine->entry_arrived(node->store, channel->members[row->member].log.number, row->entry.index,
                                               &arrived, err));
    ENT_TRY(time_flag(seen, row, arrived, &flag, err));
    ent_leaf_hash(ent_buf_bytes(&bytes), &leaf);
    ent_json_member_text(writer, "entry", ent_buf_text(&bytes));
    ent_json_key(writer, "leaf");
    ent_json_put_hex(writer, ent_hash_bytes(&leaf));
    ent_api_time(writer, "arrived", arrived);
    ENT_TRY(put_receipts(seen, writer, row, err));
    put_attachments(seen, writer, row);
    ent_json_member_string(writer, "time_flag", flag);
    ent_json_key(writer, "agreement");
    ent_json_put_hex(writer, ent_hash_bytes(&row->entry.agreement));
    ent_json_key(writer, "acks");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < row->entry.ack_count; i++) {
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "origin", row->entry.acks[i].origin);
        ent_json_member_unsigned(writer, "size", row->entry.acks[i].head.size);
        ent_json_key(writer, "root");
        ent_json_put_hex(writer, ent_hash_bytes(&row->entry.acks[i].head.root));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

ent_rc ent_api_message_show(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_rows_release) ent_rows set = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    uint32_t member = 0;
    uint64_t index = 0;
    view seen;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(ent_rows_read(call->node, channel, ENT_ROWS_WINDOW, &set, err));
    ENT_TRY(look(call->node, &set, &seen, err));
    for (size_t i = 0; i < set.count; i++) {
        if (set.rows[i].member != member || set.rows[i].entry.index != index)
            continue;
        ent_json_object_begin(&writer);
        put_header(&seen, &writer, &set.rows[i]);
        ENT_TRY(put_detail(&seen, &writer, &set.rows[i], err));
        ent_json_object_end(&writer);
        ent_alerts_opened(call->node->alerts, channel, member, index);
        return ent_api_answer(call, &body, err);
    }
    return ent_fail(err, ENT_ABSENT, NULL,
                    "that message is older than the newest %d of its log, which are all that can be shown",
                    ENT_ROWS_WINDOW);
}

static void respond_bytes(ent_api_call *call, const char *type, ent_buf *body)
{
    call->response->status = 200;
    call->response->content_type = type;
    call->response->body = *body;
    *body = (ent_buf){0};
}

ent_rc ent_api_body_open(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ent_channel *channel = NULL;
    uint32_t member = 0;
    uint64_t index = 0;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(ent_open_body(call->node, channel, member, index, &plain, NULL, err));
    ent_alerts_opened(call->node->alerts, channel, member, index);
    respond_bytes(call, "application/json", &plain);
    return ENT_DONE;
}

ent_rc ent_api_body_sealed(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_channel *channel = NULL;
    uint32_t member = 0;
    uint64_t index = 0;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(call->node->store->engine->body_read(call->node->store, channel->members[member].log.number, index, &sealed,
                                                 err));
    respond_bytes(call, "application/octet-stream", &sealed);
    return ENT_DONE;
}
