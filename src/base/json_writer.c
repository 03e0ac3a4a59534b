#include "base/json.h"

/* One bit of has_members per level; deeper than any document this project writes or reads. */
enum { MAX_WRITE_DEPTH = 63 };

ent_json_writer ent_json_writer_of(ent_buf *buf)
{
    return (ent_json_writer){.buf = buf};
}

/* What must stand before the next value or key: a comma after a sibling, nothing after a key. */
static void before_value(ent_json_writer *writer)
{
    if (writer->after_key) {
        writer->after_key = false;
        return;
    }
    uint64_t level = (uint64_t)1 << writer->depth;
    if (writer->depth > 0 && (writer->has_members & level) != 0)
        ent_buf_put_u8(writer->buf, ',');
    writer->has_members |= level;
}

static void begin(ent_json_writer *writer, uint8_t bracket)
{
    before_value(writer);
    if (writer->depth >= MAX_WRITE_DEPTH) {
        writer->buf->failed = ENT_PEER_TOO_LARGE;
        return;
    }
    writer->depth++;
    writer->has_members &= ~((uint64_t)1 << writer->depth);
    ent_buf_put_u8(writer->buf, bracket);
}

static void end(ent_json_writer *writer, uint8_t bracket)
{
    if (writer->depth > 0)
        writer->depth--;
    writer->after_key = false;
    ent_buf_put_u8(writer->buf, bracket);
}

void ent_json_object_begin(ent_json_writer *writer)
{
    begin(writer, '{');
}

void ent_json_object_end(ent_json_writer *writer)
{
    end(writer, '}');
}

void ent_json_array_begin(ent_json_writer *writer)
{
    begin(writer, '[');
}

void ent_json_array_end(ent_json_writer *writer)
{
    end(writer, ']');
}

/* Size of the UTF-8 sequence that starts here, 0 when there is none. */
static size_t sequence(ent_text left)
{
    uint8_t first = (uint8_t)left.data[0];
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return size <= left.size && ent_utf8_valid((ent_text){left.data, size}) ? size : 0;
}

static void put_escaped(ent_buf *buf, uint8_t c)
{
    static const char short_escapes[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof short_escapes; i += 2) {
        if (c == (uint8_t)short_escapes[i]) {
            ent_buf_put_u8(buf, '\\');
            ent_buf_put_u8(buf, (uint8_t)short_escapes[i + 1]);
            return;
        }
    }
    ent_buf_put_text(buf, ENT_TEXT("\\u00"));
    ent_buf_put_hex(buf, ent_bytes_of(&c, 1));
}

static void put_quoted(ent_buf *buf, ent_text text)
{
    size_t run = 0; /* start of what can be copied as it is */
    size_t at = 0;
    ent_buf_put_u8(buf, '"');
    while (at < text.size) {
        uint8_t c = (uint8_t)text.data[at];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            at++;
            continue;
        }
        size_t size = c < 0x80 ? 0 : sequence((ent_text){text.data + at, text.size - at});
        if (size > 0) {
            at += size;
            continue;
        }
        ent_buf_put(buf, ent_bytes_of(text.data + run, at - run));
        if (c < 0x80)
            put_escaped(buf, c);
        else
            ent_buf_put_text(buf, ENT_TEXT("\xef\xbf\xbd"));
        run = ++at;
    }
    if (text.size > run)
        ent_buf_put(buf, ent_bytes_of(text.data + run, text.size - run));
    ent_buf_put_u8(buf, '"');
}

void ent_json_key_text(ent_json_writer *writer, ent_text key)
{
    before_value(writer);
    put_quoted(writer->buf, key);
    ent_buf_put_u8(writer->buf, ':');
    writer->after_key = true;
}

void ent_json_key(ent_json_writer *writer, const char *key)
{
    ent_json_key_text(writer, ent_text_of(key));
}

void ent_json_put_text(ent_json_writer *writer, ent_text text)
{
    before_value(writer);
    if (text.data == NULL)
        ent_buf_put_text(writer->buf, ENT_TEXT("null"));
    else
        put_quoted(writer->buf, text);
}

void ent_json_put_string(ent_json_writer *writer, const char *string)
{
    ent_json_put_text(writer, ent_text_of(string));
}

void ent_json_put_unsigned(ent_json_writer *writer, uint64_t value)
{
    before_value(writer);
    ent_buf_put_decimal(writer->buf, value);
}

void ent_json_put_bool(ent_json_writer *writer, bool value)
{
    before_value(writer);
    ent_buf_put_text(writer->buf, value ? ENT_TEXT("true") : ENT_TEXT("false"));
}

void ent_json_put_null(ent_json_writer *writer)
{
    before_value(writer);
    ent_buf_put_text(writer->buf, ENT_TEXT("null"));
}

void ent_json_put_hex(ent_json_writer *writer, ent_bytes bytes)
{
    before_value(writer);
    ent_buf_put_u8(writer->buf, '"');
    ent_buf_put_hex(writer->buf, bytes);
    ent_buf_put_u8(writer->buf, '"');
}

void ent_json_put_base64(ent_json_writer *writer, ent_bytes bytes)
{
    before_value(writer);
    ent_buf_put_u8(writer->buf, '"');
    ent_buf_put_base64(writer->buf, bytes);
    ent_buf_put_u8(writer->buf, '"');
}

void ent_json_put_copy(ent_json_writer *writer, ent_json_value value)
{
    before_value(writer);
    ent_json_put_value(writer->buf, value);
}

void ent_json_put_raw(ent_json_writer *writer, ent_text json)
{
    before_value(writer);
    ent_buf_put_text(writer->buf, json);
}

void ent_json_member_text(ent_json_writer *writer, const char *key, ent_text value)
{
    ent_json_key(writer, key);
    ent_json_put_text(writer, value);
}

void ent_json_member_string(ent_json_writer *writer, const char *key, const char *value)
{
    ent_json_member_text(writer, key, ent_text_of(value));
}

void ent_json_member_unsigned(ent_json_writer *writer, const char *key, uint64_t value)
{
    ent_json_key(writer, key);
    ent_json_put_unsigned(writer, value);
}

void ent_json_member_bool(ent_json_writer *writer, const char *key, bool value)
{
    ent_json_key(writer, key);
    ent_json_put_bool(writer, value);
}
