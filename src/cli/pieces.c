#include "cli/pieces.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(ent_text *text)
{
    while (text->size > 0 && is_blank(text->data[0])) {
        text->data++;
        text->size--;
    }
}

static void take(ent_text *text, size_t size)
{
    text->data += size;
    text->size -= size;
}

static ent_rc broken(ent_err *err)
{
    return ent_fail(err, ENT_PEER_MALFORMED, "RFC 8259", "this is not one whole JSON document");
}

ent_rc ent_cli_pieces_of(ent_text json, ent_cli_pieces *ret, ent_err *err)
{
    skip_blanks(&json);
    if (json.size == 0 || (json.data[0] != '{' && json.data[0] != '['))
        return broken(err);
    *ret = (ent_cli_pieces){.end = json.data[0] == '{' ? '}' : ']'};
    take(&json, 1);
    ret->rest = json;
    return ENT_DONE;
}

/* Length of the string that begins here, quotes included; 0 when it does not end. */
static size_t string_size(ent_text text)
{
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == '\\')
            i++;
        else if (text.data[i] == '"')
            return i + 1;
    }
    return 0;
}

/* Length of the value that begins here; 0 when it does not end. Brackets need not match in kind: whoever parses the
 * value sees to that. */
static size_t value_size(ent_text text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"') {
            size_t size = string_size((ent_text){text.data + i, text.size - i});
            if (size == 0)
                return 0;
            i += size - 1;
            if (depth == 0)
                return i + 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            if (--depth == 0)
                return i + 1;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_blank(c))) {
            return i;
        }
    }
    return 0;
}

static ent_rc take_key(ent_cli_pieces *pieces, ent_text *ret, ent_err *err)
{
    if (pieces->rest.size == 0 || pieces->rest.data[0] != '"')
        return broken(err);
    size_t size = string_size(pieces->rest);
    if (size == 0)
        return broken(err);
    *ret = (ent_text){pieces->rest.data + 1, size - 2};
    take(&pieces->rest, size);
    skip_blanks(&pieces->rest);
    if (pieces->rest.size == 0 || pieces->rest.data[0] != ':')
        return broken(err);
    take(&pieces->rest, 1);
    skip_blanks(&pieces->rest);
    return ENT_DONE;
}

ent_rc ent_cli_pieces_next(ent_cli_pieces *pieces, ent_text *ret_key, ent_text *ret_value, ent_err *err)
{
    ent_text *rest = &pieces->rest;
    ent_text key = {NULL, 0};
    skip_blanks(rest);
    if (!pieces->done && rest->size == 0)
        return broken(err);
    if (!pieces->done && rest->data[0] == pieces->end) {
        take(rest, 1);
        skip_blanks(rest);
        pieces->done = true;
        if (rest->size > 0)
            return broken(err);
    }
    if (pieces->done) {
        *ret_key = (ent_text){NULL, 0};
        *ret_value = (ent_text){NULL, 0};
        return ENT_DONE;
    }
    if (pieces->begun) {
        if (rest->data[0] != ',')
            return broken(err);
        take(rest, 1);
        skip_blanks(rest);
    }
    pieces->begun = true;
    if (pieces->end == '}')
        ENT_TRY(take_key(pieces, &key, err));
    size_t size = value_size(*rest);
    if (size == 0)
        return broken(err);
    *ret_key = key;
    *ret_value = (ent_text){rest->data, size};
    take(rest, size);
    return ENT_DONE;
}

/* A value with its arrays shortened. Deeper than the JSON reader goes it is left to that reader's refusal. */
static ent_rc put_short(ent_text value, size_t most, unsigned depth, ent_buf *ret, ent_err *err)
{
    ent_cli_pieces pieces;
    ent_text key;
    ent_text inner;
    if ((value.data[0] != '{' && value.data[0] != '[') || depth > ENT_JSON_MAX_DEPTH) {
        ent_buf_put_text(ret, value);
        return ENT_DONE;
    }
    ENT_TRY(ent_cli_pieces_of(value, &pieces, err));
    ent_buf_put_u8(ret, (uint8_t)value.data[0]);
    for (size_t i = 0; pieces.end == '}' || i < most; i++) {
        ENT_TRY(ent_cli_pieces_next(&pieces, &key, &inner, err));
        if (inner.data == NULL)
            break;
        ent_buf_put_string(ret, i == 0 ? "" : ",");
        if (pieces.end == '}') {
            ent_buf_put_u8(ret, '"');
            ent_buf_put_text(ret, key);
            ent_buf_put_string(ret, "\":");
        }
        ENT_TRY(put_short(inner, most, depth + 1, ret, err));
    }
    ent_buf_put_u8(ret, (uint8_t)pieces.end);
    return ENT_DONE;
}

ent_rc ent_cli_shorten(ent_text json, size_t most, ent_buf *ret, ent_err *err)
{
    skip_blanks(&json);
    if (json.size == 0 || json.data[0] != '{')
        return broken(err);
    ENT_TRY(put_short(json, most, 0, ret, err));
    return ent_buf_check(ret, err);
}

size_t ent_cli_pieces_count(ent_text json, const char *member)
{
    ent_cli_pieces pieces;
    ent_text key;
    ent_text value;
    size_t count = 0;
    if (ent_cli_pieces_of(json, &pieces, NULL).code != ENT_OK)
        return 0;
    while (ent_cli_pieces_next(&pieces, &key, &value, NULL).code == ENT_OK && value.data != NULL) {
        ent_cli_pieces inner;
        if (!ent_text_is(key, member) || ent_cli_pieces_of(value, &inner, NULL).code != ENT_OK)
            continue;
        while (ent_cli_pieces_next(&inner, &key, &value, NULL).code == ENT_OK && value.data != NULL)
            count++;
        return count;
    }
    return 0;
}
