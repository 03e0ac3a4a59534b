#include "seal/age_internal.h"

#include "base/cursor.h"

static const char rule[] = "age, Header";
static const char stanza_rule[] = "age, Recipient stanza";

enum { COLUMNS = 64, BYTES_A_LINE = 48 };

bool ent_age_header_end(ent_bytes bytes, size_t from, size_t *ret_size, size_t *ret_from)
{
    /* "each section of the header can be parsed by looking at its first three characters": no base64 line and no
     * argument line starts with "---". */
    for (;;) {
        const uint8_t *line = from == bytes.size ? NULL : bytes.data + from;
        const uint8_t *end = line == NULL ? NULL : memchr(line, '\n', bytes.size - from);
        if (end == NULL) {
            *ret_from = from;
            return false;
        }
        from = (size_t)(end - bytes.data) + 1;
        if (end - line >= 3 && memcmp(line, "---", 3) == 0) {
            *ret_size = from;
            return true;
        }
    }
}

static ent_rc malformed(ent_err *err, const ent_age_header *header, const char *what)
{
    return ent_fail(err, ENT_PEER_MALFORMED, stanza_rule, "stanza %zu of the age header: %s", header->stanza_count + 1,
                    what);
}

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory while reading an age header");
}

/* "argument = 1*VCHAR"; the first is the type. */
static ent_rc parse_arguments(ent_text line, ent_age_header *header, ent_age_stanza *stanza, ent_err *err)
{
    size_t count = 1;
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] < 0x20 || line.data[i] > 0x7e)
            return malformed(err, header, "an argument has a character that is not visible ASCII");
        count += line.data[i] == ' ';
    }
    ent_text *arguments = ent_arena_alloc(&header->arena, count * sizeof *arguments);
    if (arguments == NULL)
        return no_memory(err);
    size_t start = 0;
    for (size_t i = 0; i < count; i++) {
        size_t end = start;
        while (end < line.size && line.data[end] != ' ')
            end++;
        if (end == start)
            return malformed(err, header, "an argument is empty");
        arguments[i] = (ent_text){line.data + start, end - start};
        start = end + 1;
    }
    stanza->type = arguments[0];
    stanza->arguments = arguments + 1;
    stanza->argument_count = count - 1;
    return ENT_DONE;
}

/* "The body MUST end with a line shorter than 64 characters, which MAY be empty." Full lines hold 48 bytes each, so
 * that lines can be decoded one by one. */
static ent_rc parse_body(ent_cursor *cursor, ent_age_header *header, ent_age_stanza *stanza, ent_err *err)
{
    ent_cursor ahead = *cursor;
    size_t full_lines = 0;
    ent_text line = ent_cursor_line(&ahead);
    for (; !ahead.failed && line.size == COLUMNS; line = ent_cursor_line(&ahead))
        full_lines++;
    if (ahead.failed)
        return malformed(err, header, "the body is not complete: its last line must be shorter than 64 characters");
    if (line.size > COLUMNS)
        return malformed(err, header, "a line of the body is longer than 64 characters");

    size_t last_size = line.size * 6 / 8;
    size_t size = full_lines * BYTES_A_LINE + last_size;
    uint8_t *body = ent_arena_alloc(&header->arena, size);
    if (body == NULL)
        return no_memory(err);
    for (size_t i = 0; i <= full_lines; i++) {
        size_t expected = i < full_lines ? BYTES_A_LINE : last_size;
        line = ent_cursor_line(cursor);
        if (ent_base64_decode_fixed(line, false, body + i * BYTES_A_LINE, expected, NULL).code != ENT_OK)
            return malformed(err, header, "the body is not canonical base64 without padding");
    }
    stanza->body = (ent_bytes){body, size};
    return ENT_DONE;
}

static ent_rc parse_stanza(ent_cursor *cursor, ent_age_header *header, ent_err *err)
{
    if (header->stanza_count == ENT_AGE_MAX_STANZAS)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "the age header has more than %d stanzas", ENT_AGE_MAX_STANZAS);
    ent_age_stanza stanza = {0};
    ent_text line = ent_cursor_line(cursor);
    ENT_TRY(parse_arguments(line, header, &stanza, err));
    ENT_TRY(parse_body(cursor, header, &stanza, err));
    header->stanzas[header->stanza_count++] = stanza;
    return ENT_DONE;
}

/* "end = "--- " 43base64char LF" */
static ent_rc parse_end(ent_cursor *cursor, ent_age_header *header, ent_err *err)
{
    if (!ent_cursor_accept(cursor, ENT_TEXT("---")))
        return ent_fail(err, ENT_PEER_MALFORMED, rule,
                        "the line after %zu stanzas starts with neither \"-> \" nor \"---\"", header->stanza_count);
    header->mac_input = ent_bytes_of(cursor->start, ent_cursor_offset(cursor));
    ent_cursor_literal(cursor, ENT_TEXT(" "));
    ent_text mac = ent_cursor_line(cursor);
    if (cursor->failed || ent_base64_decode_fixed(mac, false, header->mac, sizeof header->mac, NULL).code != ENT_OK)
        return ent_fail(err, ENT_PEER_MALFORMED, "age, Header MAC",
                        "the last line of the age header is not \"--- \" and 43 characters of canonical base64");
    if (header->stanza_count == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the age header has no stanza");
    header->size = ent_cursor_offset(cursor);
    return ENT_DONE;
}

static ent_rc parse_lines(ent_bytes bytes, ent_age_header *header, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    if (!ent_cursor_accept(&cursor, ENT_AGE_VERSION_LINE))
        return ent_fail(err, ENT_PEER_MALFORMED, "age, Version line",
                        "not an age file: it does not start with the line \"age-encryption.org/v1\"");
    header->stanzas = ent_arena_alloc(&header->arena, ENT_AGE_MAX_STANZAS * sizeof *header->stanzas);
    if (header->stanzas == NULL)
        return no_memory(err);
    while (ent_cursor_accept(&cursor, ENT_TEXT("-> ")))
        ENT_TRY(parse_stanza(&cursor, header, err));
    return parse_end(&cursor, header, err);
}

ent_rc ent_age_header_parse(ent_bytes bytes, ent_age_header *ret, ent_err *err)
{
    ent_age_header header = {0};
    ent_bytes allowed = bytes;
    if (allowed.size > ENT_AGE_HEADER_MAX_BYTES)
        allowed.size = ENT_AGE_HEADER_MAX_BYTES;
    size_t size = 0;
    size_t from = 0;
    ent_rc rc = ENT_DONE;
    bool version = ent_text_starts(ent_bytes_text(bytes), ENT_AGE_VERSION_LINE);
    if (!version || ent_age_header_end(allowed, 0, &size, &from))
        rc = parse_lines(version ? ent_bytes_of(bytes.data, size) : allowed, &header, err);
    else if (bytes.size > allowed.size)
        rc =
            ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "the age header is larger than %d bytes", ENT_AGE_HEADER_MAX_BYTES);
    else
        rc = ent_fail(err, ENT_PEER_MALFORMED, rule, "the age header is not complete: no line \"--- \" and MAC");
    if (rc.code != ENT_OK) {
        ent_age_header_release(&header);
        return rc;
    }
    *ret = header;
    return rc;
}

void ent_age_header_release(ent_age_header *header)
{
    ent_arena_release(&header->arena);
    *header = (ent_age_header){0};
}

static void put_body(ent_buf *buf, ent_bytes body)
{
    while (body.size >= BYTES_A_LINE) {
        ent_buf_put_base64_unpadded(buf, ent_bytes_of(body.data, BYTES_A_LINE));
        ent_buf_put_u8(buf, '\n');
        body = ent_bytes_of(body.data + BYTES_A_LINE, body.size - BYTES_A_LINE);
    }
    ent_buf_put_base64_unpadded(buf, body);
    ent_buf_put_u8(buf, '\n');
}

void ent_age_header_put(ent_buf *buf, const ent_age_header *header)
{
    ent_buf_put_text(buf, ENT_AGE_VERSION_LINE);
    for (size_t i = 0; i < header->stanza_count; i++) {
        const ent_age_stanza *stanza = &header->stanzas[i];
        ent_buf_put_string(buf, "-> ");
        ent_buf_put_text(buf, stanza->type);
        for (size_t k = 0; k < stanza->argument_count; k++) {
            ent_buf_put_u8(buf, ' ');
            ent_buf_put_text(buf, stanza->arguments[k]);
        }
        ent_buf_put_u8(buf, '\n');
        put_body(buf, stanza->body);
    }
    ent_buf_put_string(buf, "--- ");
    ent_buf_put_base64_unpadded(buf, ent_bytes_of(header->mac, sizeof header->mac));
    ent_buf_put_u8(buf, '\n');
}
