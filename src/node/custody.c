#include "node/custody.h"

#include "node/account.h"
#include "node/channel.h"
#include "node/message_row.h"

#include <stdlib.h>

typedef struct {
    int64_t time_unix_s;
    size_t order; /* as found: ties keep it */
    ent_text who;
    ent_text action;
    ent_ledger_ref source;
} custody_row;

typedef struct {
    ent_ledger_ref source;
    ent_text text;
} use_limit;

typedef struct {
    ent_node *node;
    ent_channel *channel;
    ent_arena arena;
    ent_account_list rows;    /* custody_row */
    ent_account_list limits;  /* use_limit */
    ent_account_list recalls; /* ent_ledger_ref: recalls of items in this thread */
    ent_account_list items;   /* ent_ledger_ref */
} custody;

static void release(custody *work)
{
    ent_free(work->rows.rows);
    ent_free(work->limits.rows);
    ent_free(work->recalls.rows);
    ent_free(work->items.rows);
    ent_arena_release(&work->arena);
}

static ent_rc add(custody *work, int64_t time, ent_text who, ent_text action, ent_ledger_ref source, ent_err *err)
{
    size_t order = work->rows.count;
    custody_row *row = ent_account_add(&work->rows, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = (custody_row){time, order, ent_arena_text(&work->arena, who), ent_arena_text(&work->arena, action), source};
    if (row->who.data == NULL || row->action.data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ENT_DONE;
}

static ent_rc remember(ent_account_list *list, ent_ledger_ref message, ent_err *err)
{
    ent_ledger_ref *row = ent_account_add(list, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = message;
    return ENT_DONE;
}

static bool is_listed(const custody *work, const ent_account_list *list, const ent_entry *entry)
{
    const ent_ledger_ref *rows = list->rows;
    int member = entry->has_reply_to ? ent_genesis_member(&work->channel->genesis, entry->reply_to.party) : -1;
    for (size_t i = 0; member >= 0 && i < list->count; i++) {
        if (rows[i].member == (uint32_t)member && rows[i].index == entry->reply_to.index)
            return true;
    }
    return false;
}

static int64_t time_of(const ent_entry *entry)
{
    int64_t time = 0;
    return ent_time_parse(entry->time, &time) ? time : 0;
}

/* --- one item --- */

static ent_rc add_own_log(custody *work, ent_json_value fields, ent_ledger_ref source, ent_err *err)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(fields, "custody")); ent_json_next(&i);) {
        int64_t time = 0;
        ent_text who = ent_json_string(ent_json_get(i.value, "who"));
        ent_text action = ent_json_string(ent_json_get(i.value, "action"));
        if (ent_time_parse(ent_json_string(ent_json_get(i.value, "time")), &time) && who.data != NULL &&
            action.data != NULL)
            ENT_TRY(add(work, time, who, action, source, err));
    }
    ent_text limits = ent_json_string(ent_json_get(fields, "use_limits"));
    if (limits.size == 0)
        return ENT_DONE;
    use_limit *row = ent_account_add(&work->limits, sizeof *row, err);
    if (row == NULL)
        return ent_rc_of(ENT_NOMEM);
    *row = (use_limit){source, ent_arena_text(&work->arena, limits)};
    return row->text.data == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory") : ENT_DONE;
}

/* "receipted by whom when" */
static ent_rc add_receipts(custody *work, ent_ledger_ref item, ent_err *err)
{
    ent_store *store = work->node->store;
    for (uint32_t m = 0; m < work->channel->genesis.member_count; m++) {
        ent_store_receipt receipt;
        if (m == item.member)
            continue;
        ent_rc rc = store->engine->receipt_covering(store, work->channel->members[item.member].log.number, m,
                                                    item.index + 1, &receipt, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        ENT_TRY(add(work, (int64_t)receipt.cosignature.timestamp_unix_s, work->channel->genesis.members[m].name,
                    ENT_TEXT("receipted"), item, err));
    }
    return ENT_DONE;
}

static ent_rc add_item(custody *work, const ent_entry *entry, ent_json_value fields, ent_ledger_ref item, ent_err *err)
{
    ENT_TRY(remember(&work->items, item, err));
    ENT_TRY(add_own_log(work, fields, item, err));
    ENT_TRY(add(work, time_of(entry), entry->writer, ENT_TEXT("handed over"), item, err));
    return add_receipts(work, item, err);
}

static ent_rc add_held(custody *work, const ent_entry *entry, ent_json_value fields, ent_ledger_ref source,
                       ent_err *err)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(fields, "digests")); ent_json_next(&i);) {
        ENT_CLEANUP(ent_buf_release) ent_buf action = {0};
        ent_buf_put_string(&action, "holds attachment ");
        ent_buf_put_text(&action, ent_json_string(i.value));
        ENT_TRY(ent_buf_check(&action, err));
        ENT_TRY(add(work, time_of(entry), entry->writer, ent_buf_text(&action), source, err));
    }
    return ENT_DONE;
}

static ent_rc add_recall(custody *work, const ent_entry *entry, ent_json_value fields, ent_ledger_ref source,
                         ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf action = {0};
    ENT_TRY(remember(&work->recalls, source, err));
    ent_buf_put_string(&action, "recalled: ");
    ent_buf_put_text(&action, ent_json_string(ent_json_get(fields, "action")));
    ENT_TRY(ent_buf_check(&action, err));
    return add(work, time_of(entry), entry->writer, ent_buf_text(&action), source, err);
}

static ent_rc add_recall_answer(custody *work, const ent_entry *entry, ent_json_value fields, ent_ledger_ref source,
                                ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf action = {0};
    ent_text outcome = ent_json_string(ent_json_get(fields, "outcome"));
    bool confirmed = ent_text_is(outcome, "granted");
    ent_buf_put_string(&action, confirmed ? "recall confirmed" : "recall answered: ");
    if (!confirmed)
        ent_buf_put_text(&action, outcome);
    ENT_TRY(ent_buf_check(&action, err));
    return add(work, time_of(entry), entry->writer, ent_buf_text(&action), source, err);
}

/* --- the thread --- */

static ent_rc add_message(custody *work, const ent_thread_message *message, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_entry entry;
    const char *kind = message->kind == NULL ? "" : message->kind;
    bool is_item = strcmp(kind, "evidence.item") == 0;
    bool is_held = strcmp(kind, "evidence.held") == 0;
    bool is_recall = strcmp(kind, "correction.recall") == 0;
    bool is_answer = strcmp(kind, "answer.response") == 0;
    if (message->reason != ENT_ALLOWED || !(is_item || is_held || is_recall || is_answer))
        return ENT_DONE;
    ENT_TRY(ent_channel_entry(work->node, work->channel, message->message.member, message->message.index, &arena, NULL,
                              &entry, err));
    bool concerns = is_item || is_listed(work, is_answer ? &work->recalls : &work->items, &entry);
    if (!concerns)
        return ENT_DONE;
    json = ent_message_document(work->node, work->channel, message->message.member, &entry);
    if (json == NULL)
        return ENT_DONE;
    ent_json_value fields = ent_json_get(ent_json_root(json), "fields");
    if (is_item)
        return add_item(work, &entry, fields, message->message, err);
    if (is_held)
        return add_held(work, &entry, fields, message->message, err);
    if (is_recall)
        return add_recall(work, &entry, fields, message->message, err);
    return add_recall_answer(work, &entry, fields, message->message, err);
}

static int by_time(const void *a, const void *b)
{
    const custody_row *left = a;
    const custody_row *right = b;
    if (left->time_unix_s != right->time_unix_s)
        return left->time_unix_s < right->time_unix_s ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

static void put(custody *work, ent_json_writer *writer)
{
    custody_row *rows = work->rows.rows;
    const use_limit *limits = work->limits.rows;
    if (work->rows.count > 1)
        qsort(rows, work->rows.count, sizeof *rows, by_time);
    ent_json_key(writer, "custody");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < work->rows.count; i++) {
        ent_json_object_begin(writer);
        ent_api_time(writer, "time", rows[i].time_unix_s);
        ent_json_member_text(writer, "who", rows[i].who);
        ent_json_member_text(writer, "action", rows[i].action);
        ent_account_put_message(work->channel, writer, "source", rows[i].source);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_key(writer, "use_limits");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < work->limits.count; i++) {
        ent_json_object_begin(writer);
        ent_account_put_message(work->channel, writer, "source", limits[i].source);
        ent_json_member_text(writer, "text", limits[i].text);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

ent_rc ent_custody_put(ent_node *node, ent_channel *channel, const ent_thread_message *messages, size_t count,
                       ent_json_writer *writer, ent_err *err)
{
    ENT_CLEANUP(release) custody work = {.node = node, .channel = channel};
    for (size_t i = 0; i < count; i++)
        ENT_TRY(add_message(&work, &messages[i], err));
    put(&work, writer);
    return ENT_DONE;
}
