#include "node/publish.h"

#include "node/channel.h"
#include "node/examine.h"
#include "node/message_row.h"

#include <stdlib.h>

typedef struct {
    ent_ledger_ref by; /* the consent or override itself */
    bool is_override;
    bool holds; /* it was opened, and is for reports */
    bool whole_thread;
    ent_ledger_ref target;
    ent_ledger_ref conversation;
} grant;

void ent_publishing_begin(ent_node *node, ent_channel *channel, ent_publishing *ret)
{
    *ret = (ent_publishing){.node = node, .channel = channel, .failed = ENT_OK};
}

void ent_publishing_release(ent_publishing *publishing)
{
    ent_free(publishing->grants.rows);
    ent_free(publishing->known.rows);
}

ent_rc ent_publishing_note(ent_publishing *publishing, const ent_thread_view *thread, ent_err *err)
{
    for (size_t i = 0; i < thread->message_count; i++) {
        const ent_thread_message *message = &thread->messages[i];
        bool is_override = message->kind != NULL && strcmp(message->kind, "channel.override") == 0;
        bool is_consent = message->kind != NULL && strcmp(message->kind, "channel.consent") == 0;
        bool counts = is_consent || (is_override && message->message.member == publishing->channel->self);
        if (!counts || message->reason != ENT_ALLOWED)
            continue;
        grant *row = ent_account_add(&publishing->grants, sizeof *row, err);
        if (row == NULL)
            return ent_rc_of(ENT_NOMEM);
        *row = (grant){.by = message->message, .is_override = is_override};
    }
    return ENT_DONE;
}

static bool ref_of(const ent_channel *channel, const ent_message_ref *name, ent_ledger_ref *ret)
{
    int member = ent_genesis_member(&channel->genesis, name->party);
    if (member < 0)
        return false;
    *ret = (ent_ledger_ref){(uint32_t)member, name->index};
    return true;
}

/* The conversation that an entry belongs to: its first message. */
static ent_ledger_ref conversation_of(const ent_channel *channel, ent_ledger_ref self, const ent_entry *entry)
{
    ent_ledger_ref root = self;
    if (entry->has_thread)
        (void)ref_of(channel, &entry->thread, &root);
    return root;
}

static ent_rc open_grant(ent_publishing *publishing, grant *row, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_channel *channel = publishing->channel;
    ent_entry entry;
    ENT_TRY(ent_channel_entry(publishing->node, channel, row->by.member, row->by.index, &arena, NULL, &entry, err));
    json = ent_message_document(publishing->node, channel, row->by.member, &entry);
    if (json == NULL || !entry.has_reply_to || !ref_of(channel, &entry.reply_to, &row->target))
        return ENT_DONE;
    ent_json_value fields = ent_json_get(ent_json_root(json), "fields");
    row->holds = ent_text_is(ent_json_string(ent_json_get(fields, "purpose")), "report");
    row->whole_thread = ent_text_is(ent_json_string(ent_json_get(fields, "scope")), "thread");
    row->conversation = conversation_of(channel, row->by, &entry);
    return ENT_DONE;
}

ent_rc ent_publishing_open(ent_publishing *publishing, ent_err *err)
{
    grant *rows = publishing->grants.rows;
    for (size_t i = 0; i < publishing->grants.count; i++)
        ENT_TRY(open_grant(publishing, &rows[i], err));
    return ENT_DONE;
}

static bool is_granted(const ent_publishing *publishing, ent_ledger_ref message, ent_ledger_ref conversation)
{
    const grant *rows = publishing->grants.rows;
    for (size_t i = 0; i < publishing->grants.count; i++) {
        bool by_whom = rows[i].is_override || rows[i].by.member == message.member;
        bool covers = rows[i].whole_thread ? ent_ledger_ref_equal(rows[i].conversation, conversation)
                                           : ent_ledger_ref_equal(rows[i].target, message);
        if (rows[i].holds && by_whom && covers)
            return true;
    }
    return false;
}

static int by_message(const void *a, const void *b)
{
    const ent_published *left = a;
    const ent_published *right = b;
    if (left->message.member != right->message.member)
        return left->message.member < right->message.member ? -1 : 1;
    return left->message.index < right->message.index ? -1 : left->message.index > right->message.index;
}

/* Where a message stands in the sorted list, or would. */
static size_t place_of(const ent_publishing *publishing, const ent_published *wanted)
{
    const ent_published *rows = publishing->known.rows;
    size_t low = 0;
    size_t high = publishing->known.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_message(&rows[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* "the effective marking is the strictest of entry and content": what does not open has no content to be marked. */
static ent_rc find_out(const ent_publishing *publishing, ent_published *ret, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_examined_release) ent_examined examined = {0};
    ent_channel *channel = publishing->channel;
    ent_entry entry;
    uint32_t member = ret->message.member;
    ENT_TRY(ent_channel_entry(publishing->node, channel, member, ret->message.index, &arena, NULL, &entry, err));
    ent_rc rc = ent_examine(publishing->node, channel, member, &entry, &examined, err);
    if (ent_examine_failed(rc))
        return rc;
    ret->readable = rc.code == ENT_OK;
    ent_marking content =
        examined.body.content_marking == ENT_MARKING_NONE ? ENT_MARKING_CLEAR : examined.body.content_marking;
    ret->marking = ent_marking_strictest(entry.marking, content);
    if (ret->marking == ENT_MARKING_NONE)
        ret->marking = ENT_MARKING_AMBER;
    ret->may = (ret->readable && ret->marking == ENT_MARKING_CLEAR) ||
               is_granted(publishing, ret->message, conversation_of(channel, ret->message, &entry));
    return ENT_DONE;
}

ent_rc ent_publishing_of(ent_publishing *publishing, ent_ledger_ref message, ent_published *ret, ent_err *err)
{
    ent_published found = {.message = message};
    size_t at = place_of(publishing, &found);
    ent_published *rows = publishing->known.rows;
    if (at < publishing->known.count && ent_ledger_ref_equal(rows[at].message, message)) {
        *ret = rows[at];
        return ENT_DONE;
    }
    ENT_TRY(find_out(publishing, &found, err));
    if (ent_account_add(&publishing->known, sizeof found, err) == NULL)
        return ent_rc_of(ENT_NOMEM);
    rows = publishing->known.rows;
    memmove(&rows[at + 1], &rows[at], (publishing->known.count - 1 - at) * sizeof *rows);
    rows[at] = found;
    *ret = found;
    return ENT_DONE;
}

bool ent_publishing_may(void *context, ent_ledger_ref message)
{
    ent_publishing *publishing = context;
    ent_published found = {0};
    if (publishing->failed != ENT_OK)
        return false;
    publishing->failed = ent_publishing_of(publishing, message, &found, &publishing->err).code;
    return publishing->failed == ENT_OK && found.may;
}
