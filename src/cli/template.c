#include "cli/template.h"

#include "base/alloc.h"
#include "cli/fields.h"

/* How a place is marked. Inside something optional, what that needs is needed only once it is begun. */
#define REQUIRED "<required: "
#define OPTIONAL "<optional: "
#define WITH "<required with "

/* ---- making ------------------------------------------------------------------------ */

/* What a place is for, as a JSON string.
 * @in   about    description of the list it is an element of
 * @in   inside   name of the optional object it lies in; empty when every object around it is required */
static void put_note(ent_json_writer *writer, ent_json_value schema, ent_text about, bool required, ent_text inside)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_text own = ent_json_string(ent_json_get(schema, "description"));
    ent_text text = own.size > 0 ? own : about;
    if (required && inside.size > 0)
        ent_buf_put_format(&note, WITH "%.*s: ", ENT_TEXT_ARG(inside));
    else
        ent_buf_put_string(&note, required ? REQUIRED : OPTIONAL);
    ent_buf_put_text(&note, text);
    ent_buf_put_string(&note, text.size > 0 ? " (" : "(");
    ent_cli_put_type(&note, schema);
    ent_buf_put_string(&note, ")>");
    if (note.failed != ENT_OK)
        writer->buf->failed = note.failed;
    ent_json_put_text(writer, ent_buf_text(&note));
}

static void put_members(ent_json_writer *writer, ent_json_value schema, ent_text inside);

/* A place of any type. Depth is bounded by the JSON reader that read the schema. */
static void put_place(ent_json_writer *writer, ent_text name, ent_json_value schema, ent_text about, bool required,
                      ent_text inside)
{
    ent_json_value constant = ent_json_get(schema, "const");
    ent_json_value items = ent_json_get(schema, "items");
    if (ent_json_present(constant) && required && inside.size == 0) {
        ent_json_put_copy(writer, constant);
    } else if (ent_json_count(ent_json_get(schema, "properties")) > 0) {
        ent_json_object_begin(writer);
        put_members(writer, schema, required ? inside : name);
        ent_json_object_end(writer);
    } else if (ent_json_present(items)) {
        ent_json_array_begin(writer);
        put_place(writer, name, items, ent_json_string(ent_json_get(schema, "description")), required, inside);
        ent_json_array_end(writer);
    } else {
        put_note(writer, schema, about, required, inside);
    }
}

static void put_members(ent_json_writer *writer, ent_json_value schema, ent_text inside)
{
    for (int optional = 0; optional < 2; optional++) {
        for (ent_json_iter i = ent_json_iterate(ent_json_get(schema, "properties")); ent_json_next(&i);) {
            if (ent_cli_field_required(schema, i.key) == (optional == 1))
                continue;
            ent_json_key_text(writer, i.key);
            put_place(writer, i.key, i.value, (ent_text){NULL, 0}, optional == 0, inside);
        }
    }
}

static void put_given(ent_json_writer *writer, ent_text key, ent_json_value value)
{
    ent_json_key_text(writer, key);
    ent_json_put_copy(writer, value);
}

static void put_fields(ent_json_writer *writer, ent_json_value schema, ent_json_value given)
{
    ent_json_value properties = ent_json_get(schema, "properties");
    ent_json_key(writer, "fields");
    ent_json_object_begin(writer);
    for (int optional = 0; optional < 2; optional++) {
        for (ent_json_iter i = ent_json_iterate(properties); ent_json_next(&i);) {
            ent_json_value value = ent_json_get_text(given, i.key);
            if (ent_cli_field_required(schema, i.key) == (optional == 1))
                continue;
            if (ent_json_present(value)) {
                put_given(writer, i.key, value);
                continue;
            }
            ent_json_key_text(writer, i.key);
            put_place(writer, i.key, i.value, (ent_text){NULL, 0}, optional == 0, (ent_text){NULL, 0});
        }
    }
    for (ent_json_iter i = ent_json_iterate(given); ent_json_next(&i);) {
        if (!ent_json_present(ent_json_get_text(properties, i.key)))
            put_given(writer, i.key, i.value);
    }
    ent_json_object_end(writer);
}

static void put_text(ent_json_writer *writer, const ent_kind *kind, ent_json_value given, const char *language)
{
    ent_json_value text = ent_json_get(given, "text");
    if (ent_json_count(text) > 0) {
        put_given(writer, ENT_TEXT("text"), text);
        if (ent_json_present(ent_json_get(given, "authentic")))
            put_given(writer, ENT_TEXT("authentic"), ent_json_get(given, "authentic"));
        return;
    }
    ent_json_key(writer, "text");
    ent_json_object_begin(writer);
    ent_json_member_string(writer, language,
                           kind != NULL && kind->needs_text ? REQUIRED
                               "the message in words; put other languages beside this one, as \"fr\": \"...\">"
                                                            : OPTIONAL
                               "the message in words; put other languages beside this one, as \"fr\": \"...\">");
    ent_json_object_end(writer);
    ent_json_member_string(writer, "authentic", language);
}

ent_rc ent_cli_template_make(const ent_kind *kind, ent_json_value given, const char *language, ent_buf *ret,
                             ent_err *err)
{
    static const char *const placed[] = {"fields", "text", "authentic"};
    ENT_CLEANUP(ent_json_release) ent_json *schema = NULL;
    ENT_CLEANUP(ent_json_release) ent_json *made = NULL;
    ENT_CLEANUP(ent_buf_wipe) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    if (kind != NULL)
        ENT_TRY(ent_json_parse(ent_text_bytes(ent_kind_schema(kind)), &schema, err));
    ent_json_object_begin(&writer);
    put_fields(&writer, schema == NULL ? (ent_json_value){{NULL, NULL}} : ent_json_root(schema),
               ent_json_get(given, "fields"));
    put_text(&writer, kind, given, language);
    for (ent_json_iter i = ent_json_iterate(given); ent_json_next(&i);) {
        bool is_placed = false;
        for (size_t k = 0; k < sizeof placed / sizeof placed[0]; k++)
            is_placed |= ent_text_is(i.key, placed[k]);
        if (!is_placed)
            put_given(&writer, i.key, i.value);
    }
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&json), &made, err));
    ent_cli_put_pretty(ret, ent_json_root(made), 0);
    ent_buf_put_u8(ret, '\n');
    return ent_buf_check(ret, err);
}

/* ---- filling in -------------------------------------------------------------------- */

typedef struct {
    ent_json_value untouched;
    ent_buf path;
    ent_buf left;  /* required places that were left, with commas between */
    ent_buf begun; /* the first place whose marks were left */
} filling;

static void release_filling(filling *at)
{
    ent_buf_release(&at->path);
    ent_buf_release(&at->left);
    ent_buf_release(&at->begun);
}

static bool is_note(ent_text text)
{
    return ent_text_starts(text, ENT_TEXT(REQUIRED)) || ent_text_starts(text, ENT_TEXT(OPTIONAL)) ||
           ent_text_starts(text, ENT_TEXT(WITH));
}

/* Whether exactly this text is one of the template's notes. */
static bool stands_in(ent_json_value value, ent_text text)
{
    if (ent_json_type_of(value) == ENT_JSON_STRING)
        return ent_text_equal(ent_json_string(value), text);
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        if (stands_in(i.value, text))
            return true;
    }
    return false;
}

/* A text: false when it is a note that was left. */
static bool put_text_filled(filling *at, ent_json_value value, ent_buf *ret)
{
    ent_text text = ent_json_string(value);
    if (!is_note(text)) {
        ent_json_put_value(ret, value);
        return true;
    }
    if (stands_in(at->untouched, text)) {
        if (ent_text_starts(text, ENT_TEXT(REQUIRED))) {
            ent_buf_put_string(&at->left, at->left.size > 0 ? ", " : "");
            ent_buf_put(&at->left, ent_buf_bytes(&at->path));
        }
        return false;
    }
    if (at->begun.size == 0)
        ent_buf_put(&at->begun, ent_buf_bytes(&at->path));
    return true;
}

/* False when nothing is left of it. What was empty before stays. */
static bool put_filled(filling *at, ent_json_value value, ent_buf *ret)
{
    ent_json_type type = ent_json_type_of(value);
    ENT_CLEANUP(ent_buf_wipe) ent_buf inner = {0};
    size_t size = at->path.size;
    size_t number = 0;
    bool any = ent_json_count(value) == 0;
    if (type == ENT_JSON_STRING)
        return put_text_filled(at, value, ret);
    if (type != ENT_JSON_OBJECT && type != ENT_JSON_ARRAY) {
        ent_json_put_value(ret, value);
        return true;
    }
    ent_json_writer writer = ent_json_writer_of(ret);
    size_t start = ret->size;
    if (type == ENT_JSON_OBJECT)
        ent_json_object_begin(&writer);
    else
        ent_json_array_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); number++) {
        if (type == ENT_JSON_OBJECT) {
            ent_buf_put_string(&at->path, size > 0 ? "." : "");
            ent_buf_put_text(&at->path, i.key);
        } else {
            ent_buf_put_format(&at->path, "[%zu]", number);
        }
        ent_buf_clear(&inner);
        if (put_filled(at, i.value, &inner)) {
            any = true;
            if (inner.failed != ENT_OK)
                ret->failed = inner.failed;
            if (type == ENT_JSON_OBJECT)
                ent_json_key_text(&writer, i.key);
            ent_json_put_raw(&writer, ent_buf_text(&inner));
        }
        at->path.size = size;
    }
    if (type == ENT_JSON_OBJECT)
        ent_json_object_end(&writer);
    else
        ent_json_array_end(&writer);
    if (!any && size > 0) /* the body itself and its fields stay, also empty */
        ret->size = start;
    return any || size == 0;
}

/* The body, without "authentic" when no text is left, and with "fields" always. */
static ent_rc put_body(ent_json_value root, ent_buf *ret, ent_err *err)
{
    bool has_text = ent_json_present(ent_json_get(root, "text"));
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    if (!ent_json_present(ent_json_get(root, "fields"))) {
        ent_json_key(&writer, "fields");
        ent_json_object_begin(&writer);
        ent_json_object_end(&writer);
    }
    for (ent_json_iter i = ent_json_iterate(root); ent_json_next(&i);) {
        if (has_text || !ent_text_is(i.key, "authentic"))
            put_given(&writer, i.key, i.value);
    }
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

ent_rc ent_cli_template_fill(ent_text untouched, ent_text edited, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *notes = NULL;
    ENT_CLEANUP(ent_json_release) ent_json *written = NULL;
    ENT_CLEANUP(ent_json_release) ent_json *filled = NULL;
    ENT_CLEANUP(ent_buf_wipe) ent_buf body = {0};
    ENT_CLEANUP(release_filling) filling at = {0};
    ENT_TRY(ent_json_parse(ent_text_bytes(untouched), &notes, err));
    ENT_TRY(ent_json_parse(ent_text_bytes(edited), &written, err));
    if (ent_json_type_of(ent_json_root(written)) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_PEER_INVALID, "design 4", "a body is a JSON object: {\"fields\": {...}, ...}");
    at.untouched = ent_json_root(notes);
    (void)put_filled(&at, ent_json_root(written), &body);
    ENT_TRY(ent_buf_check(&at.path, err));
    ENT_TRY(ent_buf_check(&at.left, err));
    ENT_TRY(ent_buf_check(&at.begun, err));
    ENT_TRY(ent_buf_check(&body, err));
    if (at.begun.size > 0)
        return ent_fail(err, ENT_PEER_INVALID, "design 4",
                        "%.*s: write your text instead of the whole note, its marks < and > too",
                        ENT_TEXT_ARG(ent_buf_text(&at.begun)));
    if (at.left.size > 0)
        return ent_fail(err, ENT_PEER_INVALID, "design 4", "these must be given and still hold their notes: %.*s",
                        ENT_TEXT_ARG(ent_buf_text(&at.left)));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&body), &filled, err));
    return put_body(ent_json_root(filled), ret, err);
}
