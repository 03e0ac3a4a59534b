#include "node/message_row.h"

#include "node/channel.h"
#include "node/opener.h"

#include <stdlib.h>

enum { PAGE_ENTRIES = 4096, PAGE_BYTES = 4 << 20 };

void ent_rows_release(ent_rows *rows)
{
    ent_free(rows->rows);
    ent_free(rows->by_time);
    ent_arena_release(&rows->arena);
}

static ent_rc read_log(ent_node *node, ent_rows *set, uint32_t member, uint64_t first, uint64_t end, ent_err *err)
{
    ent_store_log log;
    ent_channel_log(set->channel, member, &log);
    for (uint64_t at = first; at < end;) {
        ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
        uint64_t count = 0;
        uint64_t wanted = end - at < PAGE_ENTRIES ? end - at : PAGE_ENTRIES;
        ENT_TRY(
            node->store->engine->entries_read(node->store, log.number, at, wanted, PAGE_BYTES, &bundle, &count, err));
        ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t i = 0; i < count; i++) {
            ent_bytes bytes = {0};
            bool more = false;
            ent_row *row = &set->rows[set->count];
            ENT_TRY(ent_bundle_next(&reader, &bytes, &more, err));
            ENT_TRY(ent_entry_decode(bytes, &set->arena, &row->entry, err));
            row->member = member;
            set->count++;
        }
        at += count;
    }
    return ENT_DONE;
}

static int by_time(const void *a, const void *b)
{
    const ent_row *left = *(ent_row *const *)a;
    const ent_row *right = *(ent_row *const *)b;
    int order = ent_text_compare(left->entry.time, right->entry.time);
    if (order != 0)
        return order;
    if (left->member != right->member)
        return left->member < right->member ? -1 : 1;
    return left->entry.index < right->entry.index ? -1 : left->entry.index > right->entry.index;
}

/* Rows of one member stand together and in order: find one by arithmetic. */
typedef struct {
    size_t start[ENT_ENTRY_MAX_MEMBERS];
    uint64_t first[ENT_ENTRY_MAX_MEMBERS];
    size_t count[ENT_ENTRY_MAX_MEMBERS];
} row_index;

static ent_row *find_row(ent_rows *set, const row_index *index, ent_message_ref message)
{
    int member = ent_genesis_member(&set->channel->genesis, message.party);
    if (member < 0 || message.index < index->first[member] ||
        message.index - index->first[member] >= index->count[member])
        return NULL;
    return &set->rows[index->start[member] + (size_t)(message.index - index->first[member])];
}

/* Whether a message answers the other: nobody answers himself. */
static bool answers(const ent_row *row, const ent_row *target)
{
    const ent_kind *kind = ent_kind_find(row->entry.kind);
    return kind != NULL && kind->is_answer && target != NULL && target->member != row->member;
}

static ent_rc link_rows(ent_rows *set, const row_index *index, ent_err *err)
{
    for (size_t i = 0; i < set->count; i++) {
        const ent_row *row = &set->rows[i];
        ent_row *target = row->entry.has_reply_to ? find_row(set, index, row->entry.reply_to) : NULL;
        if (target == NULL)
            continue;
        if (ent_text_is(row->entry.kind, "channel.notice")) {
            if (target->notice == NULL)
                target->notice = row;
        } else if (ent_text_is(row->entry.kind, "correction.recall") && row->member == target->member) {
            if (target->recall == NULL)
                target->recall = row;
        } else if (answers(row, target)) {
            target->answer_count++;
        }
    }
    for (size_t i = 0; i < set->count; i++) {
        ent_row *row = &set->rows[i];
        if (row->answer_count == 0)
            continue;
        row->answers = ent_arena_alloc(&set->arena, row->answer_count * sizeof(const ent_row *));
        if (row->answers == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        row->answer_count = 0;
    }
    for (size_t i = 0; i < set->count; i++) {
        const ent_row *row = set->by_time[i];
        ent_row *target = row->entry.has_reply_to ? find_row(set, index, row->entry.reply_to) : NULL;
        if (answers(row, target))
            target->answers[target->answer_count++] = row;
    }
    return ENT_DONE;
}

static ent_rc read_all(ent_node *node, uint64_t window, ent_rows *set, ent_err *err)
{
    uint64_t end[ENT_ENTRY_MAX_MEMBERS];
    row_index index = {{0}, {0}, {0}};
    size_t total = 0;
    uint32_t members = (uint32_t)set->channel->genesis.member_count;
    for (uint32_t m = 0; m < members; m++) {
        ent_store_log log;
        ent_channel_log(set->channel, m, &log);
        end[m] = log.tree.size;
        index.first[m] = end[m] > window ? end[m] - window : 0;
        index.count[m] = (size_t)(end[m] - index.first[m]);
        index.start[m] = total;
        total += index.count[m];
    }
    set->rows = ent_alloc_array(total + 1, sizeof *set->rows);
    set->by_time = ent_alloc_array(total + 1, sizeof(ent_row *));
    if (set->rows == NULL || set->by_time == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu messages", total);
    for (uint32_t m = 0; m < members; m++)
        ENT_TRY(read_log(node, set, m, index.first[m], end[m], err));
    for (size_t i = 0; i < set->count; i++)
        set->by_time[i] = &set->rows[i];
    qsort(set->by_time, set->count, sizeof(ent_row *), by_time);
    return link_rows(set, &index, err);
}

ent_rc ent_rows_read(ent_node *node, ent_channel *channel, uint64_t window, ent_rows *ret, ent_err *err)
{
    ent_rows set = {.channel = channel};
    ent_rc rc = read_all(node, window, &set, err);
    if (rc.code != ENT_OK) {
        ent_rows_release(&set);
        return rc;
    }
    *ret = set;
    return ENT_DONE;
}

ent_rc ent_log_receipted(ent_node *node, ent_channel *channel, uint32_t member, uint64_t *ret, ent_err *err)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_receipt receipt;
        if (m == member)
            continue;
        ent_rc rc =
            node->store->engine->receipt_newest(node->store, channel->members[member].log.number, m, &receipt, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        uint64_t size = rc.code == ENT_OK ? receipt.head.size : 0;
        least = size < least ? size : least;
    }
    *ret = least;
    return ENT_DONE;
}

void ent_answer_search_begin(ent_channel *channel, ent_answer_search *ret)
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_log log;
        ent_channel_log(channel, m, &log);
        ret->seen[m] = log.tree.size;
    }
}

static bool answers_ours(const ent_channel *channel, const ent_entry *entry, uint64_t index)
{
    const ent_kind *kind = ent_kind_find(entry->kind);
    return kind != NULL && kind->is_answer && entry->has_reply_to && entry->reply_to.index == index &&
           ent_text_equal(entry->reply_to.party, channel->genesis.members[channel->self].name);
}

/* Look at what a member has said since; *ret_found with *ret when one of it is the answer. */
static ent_rc search_log(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, uint64_t *seen,
                         bool *ret_found, ent_message_ref *ret, ent_err *err)
{
    ent_store_log log;
    ent_channel_log(channel, member, &log);
    while (*seen < log.tree.size && !*ret_found) {
        ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
        uint64_t count = 0;
        ENT_TRY(node->store->engine->entries_read(node->store, log.number, *seen, PAGE_ENTRIES, PAGE_BYTES, &bundle,
                                                  &count, err));
        ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t i = 0; i < count && !*ret_found; i++) {
            ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
            ent_bytes bytes = {0};
            ent_entry entry;
            bool more = false;
            ENT_TRY(ent_bundle_next(&reader, &bytes, &more, err));
            ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
            *ret_found = answers_ours(channel, &entry, index);
            if (*ret_found)
                *ret = (ent_message_ref){channel->genesis.members[member].name, entry.index};
        }
        *seen += count;
    }
    return ENT_DONE;
}

ent_rc ent_answer_search_next(ent_node *node, ent_channel *channel, uint64_t index, ent_answer_search *search,
                              bool *ret_found, ent_message_ref *ret, ent_err *err)
{
    *ret_found = false;
    for (uint32_t m = 0; m < channel->genesis.member_count && !*ret_found; m++) {
        if (m != channel->self)
            ENT_TRY(search_log(node, channel, m, index, &search->seen[m], ret_found, ret, err));
    }
    return ENT_DONE;
}

ent_text ent_subject_of(ent_json_value fields)
{
    ent_text title = ent_json_string(ent_json_get(fields, "title"));
    if (title.size > ENT_SUBJECT_MAX_BYTES) {
        title.size = ENT_SUBJECT_MAX_BYTES;
        while (title.size > 0 && !ent_utf8_valid(title))
            title.size--;
    }
    return title;
}

ent_json *ent_message_document(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ent_json *json = NULL;
    if (!entry->has_body || ent_open_body(node, channel, member, entry->index, &plain, NULL, NULL).code != ENT_OK ||
        ent_json_parse(ent_buf_bytes(&plain), &json, NULL).code != ENT_OK)
        return NULL;
    return json;
}

void ent_message_subject(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_buf *ret)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = ent_message_document(node, channel, member, entry);
    if (json != NULL)
        ent_buf_put_text(ret, ent_subject_of(ent_json_get(ent_json_root(json), "fields")));
}
