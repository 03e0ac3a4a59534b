#include "node/api.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "node/alerts.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/keys.h"
#include "node/message_view.h"
#include "node/passed.h"
#include "node/opener.h"
#include "store/blobs.h"

enum { DEFAULT_LIMIT = 1000, MAX_LIMIT = 100000 };

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
    ent_message_view seen;
    ENT_TRY(ent_rows_read(node, channel, ENT_ROWS_WINDOW, &set, err));
    ENT_TRY(ent_message_look(node, &set, &seen, err));
    uint64_t passing = 0;
    for (size_t i = 0; i < set.count; i++)
        passing += passes(wanted, set.by_time[i]);
    for (size_t i = 0; i < set.count; i++) {
        if (!passes(wanted, set.by_time[i]))
            continue;
        if (passing-- > wanted->limit)
            continue; /* the newest N */
        ent_json_object_begin(writer);
        ent_message_put(&seen, writer, set.by_time[i]);
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

/* Of one member, if there is one: of those that count, or of those that came when their key was known to be revoked.
 * @in/out  smallest   how far what was put covers the log: what covers more of it says nothing more of this message */
static ent_rc put_receipt(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row, uint32_t member,
                          bool counts, uint64_t *smallest, ent_err *err)
{
    const ent_channel *channel = seen->set->channel;
    ent_store *store = seen->node->store;
    int64_t log = channel->members[row->member].log.number;
    uint64_t size = row->entry.index + 1;
    ent_store_receipt receipt;
    ent_rc rc = counts ? store->engine->receipt_covering(store, log, member, size, &receipt, err)
                       : store->engine->revoked_receipt_covering(store, log, member, size, &receipt, err);
    if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && receipt.head.size > *smallest))
        return ENT_DONE;
    ENT_TRY(rc);
    *smallest = receipt.head.size;
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "by", channel->genesis.members[member].name);
    ent_json_member_unsigned(writer, "size", receipt.head.size);
    ent_api_time(writer, "time", (int64_t)receipt.cosignature.timestamp_unix_s);
    ent_json_member_string(writer, "flag", receipt_flag(&receipt, &row->entry, channel->genesis.delta_s));
    ent_json_member_bool(writer, "revoked", ent_keys_receipt_revoked(ent_channel_keys(channel, member), receipt.key));
    ent_json_member_bool(writer, "counts", counts);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_receipts(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row, ent_err *err)
{
    ent_json_key(writer, "receipts");
    ent_json_array_begin(writer);
    for (uint32_t m = 0; m < seen->set->channel->genesis.member_count; m++) {
        uint64_t smallest = UINT64_MAX;
        if (m == row->member)
            continue;
        ENT_TRY(put_receipt(seen, writer, row, m, true, &smallest, err));
        ENT_TRY(put_receipt(seen, writer, row, m, false, &smallest, err));
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

/* Whether a row is an evidence.held by its writer about this attachment. */
static bool holds(const ent_message_view *seen, const ent_row *row, const ent_row *about, const ent_hash *digest)
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
static void put_holders(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row,
                        const ent_hash *digest)
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

static void put_attachments(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row)
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
static ent_rc time_flag(const ent_message_view *seen, const ent_row *row, int64_t arrived, const char **ret,
                        ent_err *err)
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

static ent_rc put_ack(const ent_message_view *seen, ent_json_writer *writer, const ent_ack *ack, ent_err *err)
{
    ent_channel *channel = seen->set->channel;
    ent_ack_worth worth = ENT_ACK_COUNTS;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (ent_text_is(ack->origin, channel->members[m].origin))
            ENT_TRY(ent_ack_weigh(seen->node, channel, m, &ack->head, &worth, err));
    }
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "origin", ack->origin);
    ent_json_member_unsigned(writer, "size", ack->head.size);
    ent_json_key(writer, "root");
    ent_json_put_hex(writer, ent_hash_bytes(&ack->head.root));
    ent_json_member_string(writer, "passed_over", ent_ack_worth_word(worth));
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_detail(const ent_message_view *seen, ent_json_writer *writer, const ent_row *row, ent_err *err)
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
    for (size_t i = 0; i < row->entry.ack_count; i++)
        ENT_TRY(put_ack(seen, writer, &row->entry.acks[i], err));
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
    ent_message_view seen;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(ent_rows_read(call->node, channel, ENT_ROWS_WINDOW, &set, err));
    ENT_TRY(ent_message_look(call->node, &set, &seen, err));
    for (size_t i = 0; i < set.count; i++) {
        if (set.rows[i].member != member || set.rows[i].entry.index != index)
            continue;
        ent_json_object_begin(&writer);
        ent_message_put(&seen, &writer, &set.rows[i]);
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
