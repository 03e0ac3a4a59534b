#include "message/entry.h"

#include <inttypes.h>

#include "base/clock.h"
#include "message/genesis.h"
#include "message/plain.h"

static const char rule[] = "design.md, section 2 \"Entry\"";

bool ent_message_ref_parse(ent_text text, ent_message_ref *ret)
{
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(text));
    ent_message_ref ref = {.party = ent_cursor_until(&cursor, '/')};
    ref.index = ent_cursor_decimal(&cursor, ENT_PLAIN_MAX_INTEGER);
    if (!ent_cursor_finished(&cursor) || !ent_name_valid(ref.party))
        return false;
    *ret = ref;
    return true;
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 6838 section 4.2: restricted-name-first is a letter or digit; the rest may also be one of "!#$&-^_.+". */
static bool media_name_valid(ent_text name)
{
    if (name.size == 0 || !is_lower_alnum(name.data[0]))
        return false;
    for (size_t i = 1; i < name.size; i++) {
        char c = name.data[i];
        if (!is_lower_alnum(c) && (c == 0 || strchr("!#$&-^_.+", c) == NULL))
            return false;
    }
    return true;
}

bool ent_media_type_valid(ent_text text)
{
    const char *slash = text.size == 0 ? NULL : memchr(text.data, '/', text.size);
    if (slash == NULL || text.size > ENT_MEDIA_TYPE_MAX_BYTES)
        return false;
    size_t at = (size_t)(slash - text.data);
    return media_name_valid((ent_text){text.data, at}) && media_name_valid((ent_text){slash + 1, text.size - at - 1});
}

static bool kind_word_valid(ent_text word)
{
    if (word.size == 0 || word.data[0] == '-' || word.data[word.size - 1] == '-')
        return false;
    for (size_t i = 0; i < word.size; i++) {
        if (!is_lower_alnum(word.data[i]) && word.data[i] != '-')
            return false;
    }
    return true;
}

bool ent_kind_name_valid(ent_text text)
{
    const char *dot = text.size == 0 ? NULL : memchr(text.data, '.', text.size);
    if (dot == NULL || text.size > ENT_KIND_MAX_BYTES)
        return false;
    size_t at = (size_t)(dot - text.data);
    return kind_word_valid((ent_text){text.data, at}) && kind_word_valid((ent_text){dot + 1, text.size - at - 1});
}

/* Bounded quotation of a text that is not allowed, for an error. */
static int shown(ent_text text)
{
    return text.size > 64 ? 64 : (int)text.size;
}

static ent_rc check_ref(const char *field, const ent_message_ref *ref, const ent_entry *entry, ent_code code,
                        ent_err *err)
{
    if (!ent_name_valid(ref->party) || ref->index > ENT_PLAIN_MAX_INTEGER)
        return ent_fail(err, code, rule, "field %s: \"%.*s/%" PRIu64 "\" names no message", field, shown(ref->party),
                        ref->party.data, ref->index);
    if (ent_text_equal(ref->party, entry->writer) && ref->index >= entry->index)
        return ent_fail(err, code, rule, "field %s: message %" PRIu64 " refers to itself or to a later one", field,
                        entry->index);
    return ENT_DONE;
}

static ent_rc check_to(const ent_entry *entry, ent_code code, ent_err *err)
{
    if (entry->to_count > ENT_ENTRY_MAX_MEMBERS)
        return ent_fail(err, code, rule, "field to: %zu addressees, at most %d", entry->to_count,
                        ENT_ENTRY_MAX_MEMBERS);
    for (size_t i = 0; i < entry->to_count; i++) {
        if (!ent_name_valid(entry->to[i]))
            return ent_fail(err, code, rule, "field to: addressee %zu is no party name", i + 1);
        if (i > 0 && ent_text_compare(entry->to[i - 1], entry->to[i]) >= 0)
            return ent_fail(err, code, rule, "field to: addressees are not sorted, or one stands twice");
    }
    return ENT_DONE;
}

static ent_rc check_acks(const ent_entry *entry, ent_code code, ent_err *err)
{
    if (entry->ack_count > ENT_ENTRY_MAX_MEMBERS)
        return ent_fail(err, code, rule, "field acks: %zu heads, at most %d", entry->ack_count, ENT_ENTRY_MAX_MEMBERS);
    for (size_t i = 0; i < entry->ack_count; i++) {
        const ent_ack *ack = &entry->acks[i];
        ent_text party = {NULL, 0};
        ent_hash channel;
        if (ent_origin_parse(ack->origin, &party, &channel, NULL).code != ENT_OK)
            return ent_fail(err, code, rule, "field acks: head %zu has no valid origin", i + 1);
        if (!ent_hash_equal(&channel, &entry->channel) || ent_text_equal(party, entry->writer))
            return ent_fail(err, code, rule, "field acks: head %zu is not of another member's log of this channel",
                            i + 1);
        if (ack->head.size > ENT_PLAIN_MAX_INTEGER)
            return ent_fail(err, code, rule, "field acks: size of head %zu is over 2^53-1", i + 1);
        if (i > 0 && ent_text_compare(entry->acks[i - 1].origin, ack->origin) >= 0)
            return ent_fail(err, code, rule, "field acks: heads are not sorted by origin, or one stands twice");
    }
    return ENT_DONE;
}

static ent_rc check_blob(const char *field, const ent_blob_ref *blob, uint64_t limit, ent_code code, ent_err *err)
{
    if (blob->size > limit)
        return ent_fail(err, code, rule, "field %s: %" PRIu64 " bytes, at most %" PRIu64, field, blob->size, limit);
    if (!ent_media_type_valid(blob->type))
        return ent_fail(err, code, rule, "field %s: \"%.*s\" is no media type", field, shown(blob->type),
                        blob->type.data);
    return ENT_DONE;
}

/* What holds of an entry's values whichever way they came here; only the code differs. */
static ent_rc check(const ent_entry *entry, ent_code code, ent_err *err)
{
    int64_t time = 0;
    if (!ent_name_valid(entry->writer))
        return ent_fail(err, code, rule, "field writer: \"%.*s\" is no party name", shown(entry->writer),
                        entry->writer.data);
    if (entry->index > ENT_PLAIN_MAX_INTEGER)
        return ent_fail(err, code, rule, "field index: over 2^53-1");
    if (!ent_time_parse(entry->time, &time))
        return ent_fail(err, code, rule, "field time: \"%.*s\" is not YYYY-MM-DDThh:mm:ssZ", shown(entry->time),
                        entry->time.data);
    if (!ent_kind_name_valid(entry->kind))
        return ent_fail(err, code, rule, "field kind: \"%.*s\" is not family.kind", shown(entry->kind),
                        entry->kind.data);
    if (entry->has_thread)
        ENT_TRY(check_ref("thread", &entry->thread, entry, code, err));
    if (entry->has_reply_to)
        ENT_TRY(check_ref("reply_to", &entry->reply_to, entry, code, err));
    ENT_TRY(check_to(entry, code, err));
    ENT_TRY(check_acks(entry, code, err));
    if ((unsigned)entry->marking >= ENT_MARKING_COUNT)
        return ent_fail(err, code, rule, "field marking: no TLP 2.0 marking");
    if ((unsigned)entry->urgency >= ENT_URGENCY_COUNT)
        return ent_fail(err, code, rule, "field urgency: no urgency");
    if (entry->has_body)
        ENT_TRY(check_blob("body", &entry->body, ENT_BODY_MAX_BYTES, code, err));
    if (entry->attachment_count > ENT_ENTRY_MAX_ATTACHMENTS)
        return ent_fail(err, code, rule, "field attachments: %zu of them, at most %d", entry->attachment_count,
                        ENT_ENTRY_MAX_ATTACHMENTS);
    for (size_t i = 0; i < entry->attachment_count; i++)
        ENT_TRY(check_blob("attachments", &entry->attachments[i], ENT_PLAIN_MAX_INTEGER, code, err));
    return ENT_DONE;
}

static void put_blob(ent_buf *buf, const ent_blob_ref *blob)
{
    ent_buf_put_text(buf, ENT_TEXT("{\"digest\":"));
    ent_plain_put_hex(buf, blob->digest.bytes, sizeof blob->digest.bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"size\":"));
    ent_buf_put_decimal(buf, blob->size);
    ent_buf_put_text(buf, ENT_TEXT(",\"type\":"));
    ent_plain_put_text(buf, blob->type);
    ent_buf_put_u8(buf, '}');
}

static void put_lists(ent_buf *buf, const ent_entry *entry)
{
    ent_buf_put_text(buf, ENT_TEXT(",\"to\":["));
    for (size_t i = 0; i < entry->to_count; i++) {
        if (i > 0)
            ent_buf_put_u8(buf, ',');
        ent_plain_put_text(buf, entry->to[i]);
    }
    ent_buf_put_text(buf, ENT_TEXT("],\"acks\":["));
    for (size_t i = 0; i < entry->ack_count; i++) {
        if (i > 0)
            ent_buf_put_u8(buf, ',');
        ent_plain_put_head(buf, entry->acks[i].origin, &entry->acks[i].head);
    }
    ent_buf_put_u8(buf, ']');
}

static void put_word(ent_buf *buf, const char *word)
{
    if (word == NULL)
        ent_buf_put_text(buf, ENT_TEXT("null"));
    else
        ent_plain_put_text(buf, ent_text_of(word));
}

static void put_entry(ent_buf *buf, const ent_entry *entry)
{
    ent_buf_put_text(buf, ENT_TEXT("{\"v\":1,\"channel\":"));
    ent_plain_put_hex(buf, entry->channel.bytes, sizeof entry->channel.bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"writer\":"));
    ent_plain_put_text(buf, entry->writer);
    ent_buf_put_text(buf, ENT_TEXT(",\"index\":"));
    ent_buf_put_decimal(buf, entry->index);
    ent_buf_put_text(buf, ENT_TEXT(",\"time\":"));
    ent_plain_put_text(buf, entry->time);
    ent_buf_put_text(buf, ENT_TEXT(",\"kind\":"));
    ent_plain_put_text(buf, entry->kind);
    ent_buf_put_text(buf, ENT_TEXT(",\"nonce\":"));
    ent_plain_put_hex(buf, entry->nonce, sizeof entry->nonce);
    ent_buf_put_text(buf, ENT_TEXT(",\"thread\":"));
    ent_plain_put_ref(buf, entry->has_thread, &entry->thread);
    ent_buf_put_text(buf, ENT_TEXT(",\"reply_to\":"));
    ent_plain_put_ref(buf, entry->has_reply_to, &entry->reply_to);
    put_lists(buf, entry);
    ent_buf_put_text(buf, ENT_TEXT(",\"agreement\":"));
    ent_plain_put_hex(buf, entry->agreement.bytes, sizeof entry->agreement.bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"marking\":"));
    put_word(buf, ent_marking_word(entry->marking));
    ent_buf_put_text(buf, ENT_TEXT(",\"urgency\":"));
    put_word(buf, entry->urgency == ENT_URGENCY_ROUTINE ? NULL : ent_urgency_word(entry->urgency));
    ent_buf_put_text(buf, ENT_TEXT(",\"exercise\":"));
    ent_plain_put_bool(buf, entry->exercise);
    ent_buf_put_text(buf, ENT_TEXT(",\"body\":"));
    if (entry->has_body)
        put_blob(buf, &entry->body);
    else
        ent_buf_put_text(buf, ENT_TEXT("null"));
    ent_buf_put_text(buf, ENT_TEXT(",\"attachments\":["));
    for (size_t i = 0; i < entry->attachment_count; i++) {
        if (i > 0)
            ent_buf_put_u8(buf, ',');
        put_blob(buf, &entry->attachments[i]);
    }
    ent_buf_put_text(buf, ENT_TEXT("]}"));
}

/* An upper bound of what put_entry writes, so that the buffer grows at most once. */
static size_t size_bound(const ent_entry *entry)
{
    enum { FIXED = 1024, A_NAME = ENT_NAME_MAX_BYTES + 3, A_HEAD = 320, A_BLOB = 200 };
    return FIXED + entry->to_count * A_NAME + entry->ack_count * A_HEAD + entry->attachment_count * A_BLOB;
}

ent_rc ent_entry_encode(const ent_entry *entry, ent_buf *ret, ent_err *err)
{
    ENT_TRY(check(entry, ENT_USAGE, err));
    size_t start = ret->size;
    if (ret->limit == 0)
        (void)ent_buf_reserve(ret, size_bound(entry));
    put_entry(ret, entry);
    ent_rc rc = ent_buf_check(ret, err);
    if (rc.code == ENT_OK && ret->size - start > ENT_ENTRY_LIMIT_BYTES)
        rc = ent_fail(err, ENT_PEER_TOO_LARGE, rule, "an entry of %zu bytes, at most %d", ret->size - start,
                      ENT_ENTRY_LIMIT_BYTES);
    if (rc.code != ENT_OK)
        ret->size = start;
    return rc;
}

static void read_blob(ent_plain_reader *reader, ent_blob_ref *ret)
{
    ent_plain_expect(reader, "{\"digest\":");
    ent_plain_hex(reader, ret->digest.bytes, sizeof ret->digest.bytes);
    ent_plain_expect(reader, ",\"size\":");
    ret->size = ent_plain_integer(reader);
    ent_plain_expect(reader, ",\"type\":");
    ret->type = ent_plain_text(reader);
    ent_plain_expect(reader, "}");
}

/* Lists are read into fixed arrays first, so that the arena holds no more than what there is. */
static void read_to(ent_plain_reader *reader, ent_entry *entry)
{
    ent_text to[ENT_ENTRY_MAX_MEMBERS];
    size_t count = 0;
    while (ent_plain_next(reader, count, ENT_ENTRY_MAX_MEMBERS))
        to[count++] = ent_plain_text(reader);
    if (count == 0)
        return;
    entry->to = ent_plain_array(reader, count, sizeof to[0]);
    if (entry->to != NULL)
        memcpy(entry->to, to, count * sizeof to[0]);
    entry->to_count = count;
}

static void read_acks(ent_plain_reader *reader, ent_entry *entry)
{
    ent_ack acks[ENT_ENTRY_MAX_MEMBERS];
    size_t count = 0;
    while (ent_plain_next(reader, count, ENT_ENTRY_MAX_MEMBERS)) {
        ent_plain_head(reader, &acks[count].origin, &acks[count].head);
        count++;
    }
    if (count == 0)
        return;
    entry->acks = ent_plain_array(reader, count, sizeof acks[0]);
    if (entry->acks != NULL)
        memcpy(entry->acks, acks, count * sizeof acks[0]);
    entry->ack_count = count;
}

static void read_attachments(ent_plain_reader *reader, ent_entry *entry)
{
    ent_blob_ref blobs[ENT_ENTRY_MAX_ATTACHMENTS];
    size_t count = 0;
    while (ent_plain_next(reader, count, ENT_ENTRY_MAX_ATTACHMENTS))
        read_blob(reader, &blobs[count++]);
    if (count == 0)
        return;
    entry->attachments = ent_plain_array(reader, count, sizeof blobs[0]);
    if (entry->attachments != NULL)
        memcpy(entry->attachments, blobs, count * sizeof blobs[0]);
    entry->attachment_count = count;
}

static void read_words(ent_plain_reader *reader, ent_entry *entry)
{
    ent_plain_key(reader, "marking");
    if (!ent_plain_accept(reader, "null")) {
        /* The prefix is not optional here, nor is case: ent_plain_same would refuse any other spelling. */
        if (!ent_marking_from_person(ent_plain_text(reader), &entry->marking))
            ent_cursor_fail(&reader->cursor);
    }
    ent_plain_key(reader, "urgency");
    if (!ent_plain_accept(reader, "null")) {
        if (!ent_urgency_from_text(ent_plain_text(reader), &entry->urgency) || entry->urgency == ENT_URGENCY_ROUTINE)
            ent_cursor_fail(&reader->cursor);
    }
}

static void read_entry(ent_plain_reader *reader, ent_entry *entry)
{
    ent_plain_expect(reader, "{");
    ent_plain_first(reader, "v");
    ent_plain_expect(reader, "1");
    ent_plain_key(reader, "channel");
    ent_plain_hex(reader, entry->channel.bytes, sizeof entry->channel.bytes);
    ent_plain_key(reader, "writer");
    entry->writer = ent_plain_text(reader);
    ent_plain_key(reader, "index");
    entry->index = ent_plain_integer(reader);
    ent_plain_key(reader, "time");
    entry->time = ent_plain_text(reader);
    ent_plain_key(reader, "kind");
    entry->kind = ent_plain_text(reader);
    ent_plain_key(reader, "nonce");
    ent_plain_hex(reader, entry->nonce, sizeof entry->nonce);
    ent_plain_key(reader, "thread");
    entry->has_thread = ent_plain_ref(reader, &entry->thread);
    ent_plain_key(reader, "reply_to");
    entry->has_reply_to = ent_plain_ref(reader, &entry->reply_to);
    ent_plain_key(reader, "to");
    read_to(reader, entry);
    ent_plain_key(reader, "acks");
    read_acks(reader, entry);
    ent_plain_key(reader, "agreement");
    ent_plain_hex(reader, entry->agreement.bytes, sizeof entry->agreement.bytes);
    read_words(reader, entry);
    ent_plain_key(reader, "exercise");
    entry->exercise = ent_plain_bool(reader);
    ent_plain_key(reader, "body");
    entry->has_body = !ent_plain_accept(reader, "null");
    if (entry->has_body)
        read_blob(reader, &entry->body);
    ent_plain_key(reader, "attachments");
    read_attachments(reader, entry);
    ent_plain_expect(reader, "}");
}

ent_rc ent_entry_decode(ent_bytes bytes, ent_arena *arena, ent_entry *ret, ent_err *err)
{
    if (bytes.size > ENT_ENTRY_LIMIT_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "an entry of %zu bytes, at most %d", bytes.size,
                        ENT_ENTRY_LIMIT_BYTES);
    ent_entry entry = {0};
    ent_plain_reader reader = ent_plain_reader_of(bytes, arena);
    read_entry(&reader, &entry);
    ENT_TRY(ent_plain_finish(&reader, bytes, "entry", err));
    ENT_TRY(check(&entry, ENT_PEER_MALFORMED, err));

    ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
    (void)ent_buf_reserve(&again, bytes.size);
    put_entry(&again, &entry);
    ENT_TRY(ent_plain_same(bytes, &again, "entry", err));
    *ret = entry;
    return ENT_DONE;
}
