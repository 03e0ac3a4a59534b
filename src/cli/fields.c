#include "cli/fields.h"

#include "cli/terminal.h"

#include <inttypes.h>

enum { PRETTY_STEP = 2, PRETTY_LINE = 96, WORD_MAX = 160, WORD_SHOWN = 72 };

bool ent_cli_field_required(ent_json_value schema, ent_text name)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(schema, "required")); ent_json_next(&i);) {
        if (ent_text_equal(ent_json_string(i.value), name))
            return true;
    }
    return false;
}

/* ---- walking ------------------------------------------------------------------- */

typedef struct {
    ent_buf path;
    ent_cli_field_fn fn;
    void *context;
} walk;

static ent_rc walk_object(walk *at, ent_json_value schema, unsigned depth, ent_err *err);

/* One field, then what lies inside it. The path is as it was afterwards. Depth is bounded by the JSON reader. */
static ent_rc walk_field(walk *at, ent_text name, bool required, ent_json_value schema, unsigned depth, ent_err *err)
{
    size_t size = at->path.size;
    ent_json_value inner = schema;
    ent_buf_put_string(&at->path, size == 0 ? "" : ".");
    ent_buf_put_text(&at->path, name);
    ENT_TRY(ent_buf_check(&at->path, err));
    ent_cli_field field = {ent_buf_text(&at->path), depth, required, schema};
    ENT_TRY(at->fn(at->context, &field, err));
    while (ent_json_present(ent_json_get(inner, "items"))) {
        ent_buf_put_string(&at->path, "[]");
        inner = ent_json_get(inner, "items");
    }
    ENT_TRY(walk_object(at, inner, depth + 1, err));
    at->path.size = size;
    return ENT_DONE;
}

static ent_rc walk_object(walk *at, ent_json_value schema, unsigned depth, ent_err *err)
{
    ent_json_value others = ent_json_get(schema, "additionalProperties");
    for (ent_json_iter i = ent_json_iterate(ent_json_get(schema, "properties")); ent_json_next(&i);)
        ENT_TRY(walk_field(at, i.key, ent_cli_field_required(schema, i.key), i.value, depth, err));
    if (ent_json_type_of(others) == ENT_JSON_OBJECT)
        ENT_TRY(walk_field(at, ENT_TEXT("*"), false, others, depth, err));
    return ENT_DONE;
}

ent_rc ent_cli_fields_walk(ent_json_value schema, ent_cli_field_fn fn, void *context, ent_err *err)
{
    walk at = {.fn = fn, .context = context};
    ent_rc rc = walk_object(&at, schema, 0, err);
    ent_buf_release(&at.path);
    return rc;
}

/* ---- types in words -------------------------------------------------------------- */

static const struct {
    const char *format;
    const char *words;
} formats[] = {
    {"date-time", "time in UTC, as 2021-05-30T08:00:00Z"},
    {"date", "day, as 2021-05-30"},
    {"uri", "address (URI)"},
    {"email", "e-mail address"},
    {"language", "language tag, as en or fr-CA"},
    {"party", "party's name, as north.example"},
    {"message", "message of this channel, as north.example/3"},
    {"sha256", "SHA-256 in 64 hex digits"},
    {"hex", "hex digits"},
    {"base64", "base64"},
    {"stix-id", "STIX identifier"},
    {"media-type", "media type, as text/plain"},
};

static void put_scalar(ent_buf *buf, ent_json_value value)
{
    if (ent_json_type_of(value) == ENT_JSON_STRING)
        ent_buf_put_text(buf, ent_json_string(value));
    else
        ent_json_put_value(buf, value);
}

/* " of at most 200 characters", " of 1-16", "" without limits. */
static void put_limits(ent_buf *buf, ent_json_value schema, const char *least, const char *most, const char *unit)
{
    uint64_t from = 0;
    uint64_t to = 0;
    bool has_from = ent_json_unsigned(ent_json_get(schema, least), UINT64_MAX, &from) && from > 0;
    bool has_to = ent_json_unsigned(ent_json_get(schema, most), UINT64_MAX, &to);
    if (has_from && has_to && from == to)
        ent_buf_put_format(buf, " of %" PRIu64 "%s", to, unit);
    else if (has_to && (!has_from || from == 1)) /* that it is not empty goes without saying */
        ent_buf_put_format(buf, " of at most %" PRIu64 "%s", to, unit);
    else if (has_from && has_to)
        ent_buf_put_format(buf, " of %" PRIu64 "-%" PRIu64 "%s", from, to, unit);
    else if (has_from && from > 1)
        ent_buf_put_format(buf, " of at least %" PRIu64 "%s", from, unit);
}

static void put_string_type(ent_buf *buf, ent_json_value schema)
{
    ent_text format = ent_json_string(ent_json_get(schema, "format"));
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (ent_text_is(format, formats[i].format)) {
            ent_buf_put_string(buf, formats[i].words);
            return;
        }
    }
    ent_buf_put_string(buf, "text");
    put_limits(buf, schema, "minLength", "maxLength", " characters");
}

static void put_number_type(ent_buf *buf, ent_json_value schema, const char *word)
{
    ent_json_value from = ent_json_get(schema, "minimum");
    ent_json_value to = ent_json_get(schema, "maximum");
    ent_buf_put_string(buf, word);
    if (ent_json_present(from)) {
        ent_buf_put_string(buf, " from ");
        ent_json_put_value(buf, from);
    }
    if (ent_json_present(to)) {
        ent_buf_put_string(buf, ent_json_present(from) ? " to " : " up to ");
        ent_json_put_value(buf, to);
    }
}

static void put_one_type(ent_buf *buf, ent_json_value schema, ent_text type)
{
    ent_json_value items = ent_json_get(schema, "items");
    if (ent_text_is(type, "string")) {
        put_string_type(buf, schema);
    } else if (ent_text_is(type, "integer")) {
        put_number_type(buf, schema, "whole number");
    } else if (ent_text_is(type, "number")) {
        put_number_type(buf, schema, "number");
    } else if (ent_text_is(type, "boolean")) {
        ent_buf_put_string(buf, "true or false");
    } else if (ent_text_is(type, "array")) {
        ent_buf_put_string(buf, "list");
        put_limits(buf, schema, "minItems", "maxItems", "");
        if (ent_json_present(items)) {
            ent_buf_put_string(buf, ": ");
            ent_cli_put_type(buf, items);
        }
    } else if (ent_text_is(type, "object")) {
        ent_buf_put_string(buf, "object");
    } else {
        ent_buf_put_text(buf, type.size > 0 ? type : ENT_TEXT("anything"));
    }
}

void ent_cli_put_type(ent_buf *buf, ent_json_value schema)
{
    ent_json_value type = ent_json_get(schema, "type");
    ent_json_value words = ent_json_get(schema, "enum");
    ent_json_value constant = ent_json_get(schema, "const");
    bool first = true;
    if (ent_json_present(constant)) {
        ent_buf_put_string(buf, "always ");
        put_scalar(buf, constant);
        return;
    }
    if (ent_json_present(words)) {
        ent_buf_put_string(buf, "one of: ");
        for (ent_json_iter i = ent_json_iterate(words); ent_json_next(&i); first = false) {
            ent_buf_put_string(buf, first ? "" : ", ");
            put_scalar(buf, i.value);
        }
        return;
    }
    if (ent_json_type_of(type) != ENT_JSON_ARRAY) {
        put_one_type(buf, schema, ent_json_string(type));
        return;
    }
    for (ent_json_iter i = ent_json_iterate(type); ent_json_next(&i); first = false) {
        ent_buf_put_string(buf, first ? "" : ", or ");
        put_one_type(buf, schema, ent_json_string(i.value));
    }
}

/* ---- layout ------------------------------------------------------------------------ */

static bool is_scalar(ent_json_value value)
{
    ent_json_type type = ent_json_type_of(value);
    return (type != ENT_JSON_OBJECT && type != ENT_JSON_ARRAY) || ent_json_count(value) == 0;
}

static bool fits_one_line(ent_buf *buf, ent_json_value value, unsigned indent)
{
    ENT_CLEANUP(ent_buf_release) ent_buf flat = {0};
    if (is_scalar(value))
        return true;
    if (ent_json_type_of(value) == ENT_JSON_OBJECT)
        return false;
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        if (!is_scalar(i.value))
            return false;
    }
    ent_json_put_value(&flat, value);
    if (flat.failed != ENT_OK)
        buf->failed = flat.failed;
    return indent + flat.size + ent_json_count(value) <= PRETTY_LINE;
}

void ent_cli_put_pretty(ent_buf *buf, ent_json_value value, unsigned indent)
{
    bool is_object = ent_json_type_of(value) == ENT_JSON_OBJECT;
    bool first = true;
    if (is_scalar(value)) {
        ent_json_put_value(buf, value);
        return;
    }
    bool one_line = fits_one_line(buf, value, indent);
    ent_buf_put_u8(buf, is_object ? '{' : '[');
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); first = false) {
        if (one_line)
            ent_buf_put_string(buf, first ? "" : ", ");
        else
            ent_buf_put_format(buf, "%s\n%*s", first ? "" : ",", (int)(indent + PRETTY_STEP), "");
        if (is_object) {
            ent_json_writer writer = ent_json_writer_of(buf);
            ent_json_put_text(&writer, i.key);
            ent_buf_put_string(buf, ": ");
        }
        ent_cli_put_pretty(buf, i.value, indent + PRETTY_STEP);
    }
    if (!one_line)
        ent_buf_put_format(buf, "\n%*s", (int)indent, "");
    ent_buf_put_u8(buf, is_object ? '}' : ']');
}

static void put_short(ent_json_writer *writer, ent_json_value value)
{
    ent_json_type type = ent_json_type_of(value);
    ent_text text = ent_json_string(value);
    ENT_CLEANUP(ent_buf_release) ent_buf plain = {0};
    if (type == ENT_JSON_OBJECT) {
        ent_json_object_begin(writer);
        for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
            ent_json_key_text(writer, i.key);
            put_short(writer, i.value);
        }
        ent_json_object_end(writer);
    } else if (type == ENT_JSON_ARRAY) {
        ent_json_array_begin(writer);
        for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);)
            put_short(writer, i.value);
        ent_json_array_end(writer);
    } else if (text.size > WORD_MAX && memchr(text.data, ' ', text.size) == NULL) {
        ent_buf_put_text(&plain, (ent_text){text.data, WORD_SHOWN});
        ent_buf_put_string(&plain, "...");
        ent_json_put_text(writer, ent_buf_text(&plain));
    } else {
        ent_json_put_value(&plain, value);
        ent_json_put_raw(writer, ent_buf_text(&plain));
    }
    if (plain.failed != ENT_OK)
        writer->buf->failed = plain.failed;
}

ent_rc ent_cli_put_example(ent_buf *buf, ent_json_value value, unsigned indent, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_json_writer writer = ent_json_writer_of(&text);
    put_short(&writer, value);
    ENT_TRY(ent_buf_check(&text, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&text), &json, err));
    ent_cli_put_pretty(buf, ent_json_root(json), indent);
    return ent_buf_check(buf, err);
}

void ent_cli_put_wrapped(ent_buf *buf, ent_text text, unsigned indent, unsigned columns)
{
    size_t used = 0;
    while (text.size > 0) {
        const char *space = memchr(text.data, ' ', text.size);
        ent_text word = {text.data, space == NULL ? text.size : (size_t)(space - text.data)};
        size_t width = ent_cli_width(word);
        if (used > 0 && used + 1 + width + indent > columns) {
            ent_buf_put_format(buf, "\n%*s", (int)indent, "");
            used = 0;
        } else if (used > 0) {
            ent_buf_put_u8(buf, ' ');
            used++;
        }
        ent_cli_put_line(buf, word);
        used += width;
        text.data += word.size + (space != NULL);
        text.size -= word.size + (space != NULL);
    }
}
