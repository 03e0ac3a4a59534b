#include "message/plain.h"

#include "base/json.h"

static const char rule[] = "design.md, section 2 \"Entry\"";

bool ent_plain_valid(ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return true;
}

ent_plain_reader ent_plain_reader_of(ent_bytes bytes, ent_arena *arena)
{
    ent_plain_reader reader = {.arena = arena, .field = "{"};
    ent_text copy = ent_arena_text(arena, ent_bytes_text(bytes));
    reader.no_memory = copy.data == NULL;
    reader.cursor = ent_cursor_of(ent_text_bytes(copy));
    return reader;
}

void ent_plain_expect(ent_plain_reader *reader, const char *literal)
{
    ent_cursor_literal(&reader->cursor, ent_text_of(literal));
}

bool ent_plain_accept(ent_plain_reader *reader, const char *literal)
{
    return ent_cursor_accept(&reader->cursor, ent_text_of(literal));
}

void ent_plain_first(ent_plain_reader *reader, const char *name)
{
    /* After a failure the field stays the one that failed. */
    if (!reader->cursor.failed)
        reader->field = name;
    ent_plain_expect(reader, "\"");
    ent_plain_expect(reader, name);
    ent_plain_expect(reader, "\":");
}

void ent_plain_key(ent_plain_reader *reader, const char *name)
{
    ent_plain_expect(reader, ",");
    ent_plain_first(reader, name);
}

ent_text ent_plain_text(ent_plain_reader *reader)
{
    ent_plain_expect(reader, "\"");
    ent_text text = ent_cursor_until(&reader->cursor, '"');
    if (!ent_plain_valid(text))
        ent_cursor_fail(&reader->cursor);
    return reader->cursor.failed ? (ent_text){NULL, 0} : text;
}

void ent_plain_hex(ent_plain_reader *reader, void *out, size_t size)
{
    ent_text text = ent_plain_text(reader);
    if (!reader->cursor.failed && ent_hex_decode(text, out, size, NULL).code != ENT_OK)
        ent_cursor_fail(&reader->cursor);
}

uint64_t ent_plain_integer(ent_plain_reader *reader)
{
    return ent_cursor_decimal(&reader->cursor, ENT_PLAIN_MAX_INTEGER);
}

bool ent_plain_bool(ent_plain_reader *reader)
{
    if (ent_plain_accept(reader, "true"))
        return true;
    ent_plain_expect(reader, "false");
    return false;
}

bool ent_plain_ref(ent_plain_reader *reader, ent_message_ref *ret)
{
    if (ent_plain_accept(reader, "null"))
        return false;
    ent_text text = ent_plain_text(reader);
    if (reader->cursor.failed || !ent_message_ref_parse(text, ret)) {
        ent_cursor_fail(&reader->cursor);
        return false;
    }
    return true;
}

bool ent_plain_next(ent_plain_reader *reader, size_t count, size_t limit)
{
    if (count == 0)
        ent_plain_expect(reader, "[");
    if (ent_plain_accept(reader, "]") || reader->cursor.failed)
        return false;
    if (count > 0)
        ent_plain_expect(reader, ",");
    if (count == limit)
        ent_cursor_fail(&reader->cursor);
    return !reader->cursor.failed;
}

void *ent_plain_array(ent_plain_reader *reader, size_t count, size_t size)
{
    void *memory = reader->cursor.failed || reader->no_memory ? NULL : ent_arena_alloc(reader->arena, count * size);
    if (memory == NULL && !reader->cursor.failed) {
        reader->no_memory = true;
        ent_cursor_fail(&reader->cursor);
    }
    return memory;
}

void ent_plain_head(ent_plain_reader *reader, ent_text *ret_origin, ent_tree_head *ret_head)
{
    ent_plain_expect(reader, "{\"origin\":");
    *ret_origin = ent_plain_text(reader);
    ent_plain_expect(reader, ",\"size\":");
    ret_head->size = ent_plain_integer(reader);
    ent_plain_expect(reader, ",\"root\":");
    ent_plain_hex(reader, ret_head->root.bytes, sizeof ret_head->root.bytes);
    ent_plain_expect(reader, "}");
}

ent_rc ent_plain_finish(const ent_plain_reader *reader, ent_bytes bytes, const char *what, ent_err *err)
{
    if (reader->no_memory)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory while reading %s %s", what[0] == 'e' ? "an" : "a", what);
    if (ent_cursor_finished(&reader->cursor))
        return ENT_DONE;
    size_t offset = ent_cursor_offset(&reader->cursor);
    /* Only now, and only to say which of the two it is: JSON spelled otherwise, or no JSON at all. */
    ent_json *json = NULL;
    ent_err reason = {0};
    int code = ent_json_parse(bytes, &json, &reason).code;
    ent_json_free(json);
    if (code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory while reading the JSON of the %s", what);
    if (code != ENT_OK)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%s, field %s, byte %zu: %s", what, reader->field, offset,
                        reason.text);
    if (!reader->cursor.failed)
        return ent_fail(err, ENT_PEER_NOT_CANONICAL, rule, "%s: something follows its end at byte %zu", what, offset);
    return ent_fail(err, ENT_PEER_NOT_CANONICAL, rule,
                    "%s, field %s, byte %zu: not the one spelling there is: fixed fields in fixed order, no spaces, no "
                    "escapes, lower-case hex, integers up to 2^53-1",
                    what, reader->field, offset);
}

ent_rc ent_plain_same(ent_bytes bytes, const ent_buf *again, const char *what, ent_err *err)
{
    ENT_TRY(ent_buf_check(again, err));
    if (!ent_bytes_equal(bytes, ent_buf_bytes(again)))
        return ent_fail(err, ENT_PEER_NOT_CANONICAL, rule, "%s: written again it gives other bytes", what);
    return ENT_DONE;
}

void ent_plain_put_text(ent_buf *buf, ent_text text)
{
    ent_buf_put_u8(buf, '"');
    ent_buf_put_text(buf, text);
    ent_buf_put_u8(buf, '"');
}

void ent_plain_put_hex(ent_buf *buf, const void *bytes, size_t size)
{
    ent_buf_put_u8(buf, '"');
    ent_buf_put_hex(buf, ent_bytes_of(bytes, size));
    ent_buf_put_u8(buf, '"');
}

void ent_plain_put_bool(ent_buf *buf, bool value)
{
    ent_buf_put_text(buf, value ? ENT_TEXT("true") : ENT_TEXT("false"));
}

void ent_plain_put_ref(ent_buf *buf, bool present, const ent_message_ref *ref)
{
    if (!present) {
        ent_buf_put_text(buf, ENT_TEXT("null"));
        return;
    }
    ent_buf_put_u8(buf, '"');
    ent_buf_put_text(buf, ref->party);
    ent_buf_put_u8(buf, '/');
    ent_buf_put_decimal(buf, ref->index);
    ent_buf_put_u8(buf, '"');
}

void ent_plain_put_head(ent_buf *buf, ent_text origin, const ent_tree_head *head)
{
    ent_buf_put_text(buf, ENT_TEXT("{\"origin\":"));
    ent_plain_put_text(buf, origin);
    ent_buf_put_text(buf, ENT_TEXT(",\"size\":"));
    ent_buf_put_decimal(buf, head->size);
    ent_buf_put_text(buf, ENT_TEXT(",\"root\":"));
    ent_plain_put_hex(buf, head->root.bytes, sizeof head->root.bytes);
    ent_buf_put_u8(buf, '}');
}
