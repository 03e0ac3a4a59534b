/* Checking values against a compiled schema. */
#include "message/schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "message/schema_node.h"

static const char rule[] = "design.md, section 4 (the kind's schema)";

/* Where a value stands, kept on the stack and spelled out only when something is wrong. */
typedef struct place {
    const struct place *up; /* NULL at the root */
    const char *root;       /* the root's name, may be "" */
    ent_text key;
    size_t index;
    bool is_element;
} place;

enum { PLACE_TEXT_SIZE = 192 };

static size_t spell(const place *at, char out[PLACE_TEXT_SIZE])
{
    schema_words key = {.used = 0};
    size_t used = at->up == NULL ? 0 : spell(at->up, out);
    int more = 0;
    if (at->up == NULL) {
        more = snprintf(out, PLACE_TEXT_SIZE, "%s", at->root);
    } else if (at->is_element) {
        more = snprintf(out + used, PLACE_TEXT_SIZE - used, "[%zu]", at->index);
    } else {
        schema_put_shown(&key, at->key);
        more = snprintf(out + used, PLACE_TEXT_SIZE - used, "%s%s", used == 0 ? "" : ".", key.text);
    }
    used += more < 0 ? 0 : (size_t)more;
    return used < PLACE_TEXT_SIZE ? used : PLACE_TEXT_SIZE - 1;
}

static ent_rc invalid(const place *at, ent_err *err, const char *text)
{
    char where[PLACE_TEXT_SIZE];
    (void)spell(at, where);
    return ent_fail(err, ENT_PEER_INVALID, rule, "%s%s%s", where, where[0] == 0 ? "" : ": ", text);
}

bool schema_scalar_equal(ent_json_value a, ent_json_value b)
{
    ent_json_type type = ent_json_type_of(a);
    double x = 0;
    double y = 0;
    uint64_t n = 0;
    uint64_t m = 0;
    if (type != ent_json_type_of(b))
        return false;
    switch (type) {
    case ENT_JSON_NULL:
        return true;
    case ENT_JSON_BOOL:
        return ent_json_true(a) == ent_json_true(b);
    case ENT_JSON_STRING:
        return ent_text_equal(ent_json_string(a), ent_json_string(b));
    case ENT_JSON_INTEGER:
        if (ent_json_unsigned(a, UINT64_MAX, &n) && ent_json_unsigned(b, UINT64_MAX, &m))
            return n == m;
        return ent_json_double(a, &x) && ent_json_double(b, &y) && !(x < y) && !(y < x);
    default:
        return false;
    }
}

static ent_rc check_choice(const schema_node *node, ent_json_value value, const place *at, ent_err *err)
{
    schema_words text = {.used = 0};
    bool chosen = !ent_json_present(node->constant) || schema_scalar_equal(node->constant, value);
    if (chosen && ent_json_present(node->enumeration)) {
        chosen = false;
        for (ent_json_iter i = ent_json_iterate(node->enumeration); !chosen && ent_json_next(&i);)
            chosen = schema_scalar_equal(i.value, value);
    }
    if (chosen)
        return ENT_DONE;
    schema_put_given(&text, value);
    (void)schema_put(&text, " is not allowed");
    schema_put_allowed(&text, node);
    return invalid(at, err, text.text);
}

/* "The length of a string instance is defined as the number of its characters as defined by RFC 8259" (validation,
 * section 6.3.1): code points, which is every byte that continues none. */
static uint64_t code_points(ent_text text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((uint8_t)text.data[i] & 0xc0) != 0x80;
    return count;
}

static ent_rc check_text(const schema_node *node, ent_text value, const place *at, ent_err *err)
{
    char text[160];
    schema_words words = {.used = 0};
    uint64_t length = code_points(value);
    if (length < node->min_length || length > node->max_length) {
        bool few = length < node->min_length;
        uint64_t bound = few ? node->min_length : node->max_length;
        if (length == 0)
            (void)snprintf(text, sizeof text, "is empty, at least %" PRIu64 " character%s", bound,
                           bound == 1 ? "" : "s");
        else
            (void)snprintf(text, sizeof text, "%" PRIu64 " character%s, %s %" PRIu64, length, length == 1 ? "" : "s",
                           few ? "at least" : "at most", bound);
        return invalid(at, err, text);
    }
    if (node->format == NULL || node->format->check(value))
        return ENT_DONE;
    (void)schema_put(&words, "\"");
    schema_put_shown(&words, value);
    (void)schema_put(&words, "\" given, expected ");
    (void)schema_put(&words, node->format->words);
    return invalid(at, err, words.text);
}

static ent_rc check_number(const schema_node *node, ent_json_value value, const place *at, ent_err *err)
{
    char text[128];
    double number = 0;
    (void)ent_json_double(value, &number);
    if (node->has_minimum && number < node->minimum) {
        (void)snprintf(text, sizeof text, "%.15g is less than the least, %.15g", number, node->minimum);
        return invalid(at, err, text);
    }
    if (node->has_maximum && number > node->maximum) {
        (void)snprintf(text, sizeof text, "%.15g is more than the most, %.15g", number, node->maximum);
        return invalid(at, err, text);
    }
    return ENT_DONE;
}

static ent_rc check_node(const schema_node *node, ent_json_value value, const place *at, ent_err *err);

static ent_rc check_unique(ent_json_value array, const place *at, ent_err *err)
{
    ent_text seen[SCHEMA_MAX_UNIQUE_ITEMS];
    size_t count = 0;
    for (ent_json_iter i = ent_json_iterate(array); count < SCHEMA_MAX_UNIQUE_ITEMS && ent_json_next(&i);) {
        seen[count] = ent_json_string(i.value);
        for (size_t k = 0; k < count; k++) {
            schema_words text = {.used = 0};
            if (!ent_text_equal(seen[k], seen[count]))
                continue;
            (void)schema_put(&text, "\"");
            schema_put_shown(&text, seen[count]);
            (void)schema_put(&text, "\" stands twice; each may stand once");
            return invalid(at, err, text.text);
        }
        count++;
    }
    return ENT_DONE;
}

static ent_rc check_array(const schema_node *node, ent_json_value value, const place *at, ent_err *err)
{
    char text[96];
    size_t count = ent_json_count(value);
    if (count < node->min_items || count > node->max_items) {
        (void)snprintf(text, sizeof text, "%zu elements, %s %" PRIu64, count,
                       count < node->min_items ? "at least" : "at most",
                       count < node->min_items ? node->min_items : node->max_items);
        return invalid(at, err, text);
    }
    if (node->items != NULL) {
        size_t index = 0;
        for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); index++) {
            place inner = {.up = at, .index = index, .is_element = true};
            ENT_TRY(check_node(node->items, i.value, &inner, err));
        }
    }
    return node->unique_items ? check_unique(value, at, err) : ENT_DONE;
}

static const schema_node *schema_of_member(const schema_node *node, ent_text key, bool *ret_known)
{
    *ret_known = true;
    for (size_t i = 0; i < node->property_count; i++) {
        if (ent_text_equal(node->properties[i].name, key))
            return node->properties[i].node;
    }
    *ret_known = node->additional != NULL || !node->closed;
    return node->additional;
}

static ent_rc missing(const schema_node *node, ent_text name, const place *at, ent_err *err)
{
    schema_words text = {.used = 0};
    bool known = false;
    const schema_node *member = schema_of_member(node, name, &known);
    (void)schema_put(&text, "is required and missing");
    if (member != NULL)
        schema_put_allowed(&text, member);
    return invalid(at, err, text.text);
}

static ent_rc unknown(const schema_node *node, const place *at, ent_err *err)
{
    schema_words text = {.used = 0};
    (void)schema_put(&text, "is not a field here");
    for (size_t i = 0; i < node->property_count; i++) {
        (void)schema_put(&text, i == 0 ? "; allowed: " : ", ");
        schema_put_shown(&text, node->properties[i].name);
    }
    return invalid(at, err, text.text);
}

static ent_rc check_object(const schema_node *node, ent_json_value value, const place *at, ent_err *err)
{
    for (size_t i = 0; i < node->required_count; i++) {
        place inner = {.up = at, .key = node->required[i]};
        if (!ent_json_present(ent_json_get_text(value, node->required[i])))
            return missing(node, node->required[i], &inner, err);
    }
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        place inner = {.up = at, .key = i.key};
        bool known = false;
        const schema_node *member = schema_of_member(node, i.key, &known);
        if (!known)
            return unknown(node, &inner, err);
        if (node->property_names != NULL)
            ENT_TRY(check_text(node->property_names, i.key, &inner, err));
        if (member != NULL)
            ENT_TRY(check_node(member, i.value, &inner, err));
    }
    return ENT_DONE;
}

/* Recursion ends at the depth of the schema, which ent_json_parse limits. */
static ent_rc check_node(const schema_node *node, ent_json_value value, const place *at, ent_err *err)
{
    schema_words text = {.used = 0};
    ent_json_type type = ent_json_type_of(value);
    if (type == ENT_JSON_ABSENT)
        return invalid(at, err, "is missing");
    if (node->types != 0 && (node->types & schema_types_of(value)) == 0) {
        schema_put_types(&text, schema_types_of(value));
        (void)schema_put(&text, " given");
        if (ent_json_present(node->enumeration)) {
            schema_put_allowed(&text, node);
        } else {
            (void)schema_put(&text, ", expected ");
            schema_put_types(&text, node->types);
        }
        return invalid(at, err, text.text);
    }
    ENT_TRY(check_choice(node, value, at, err));
    switch (type) {
    case ENT_JSON_STRING:
        return check_text(node, ent_json_string(value), at, err);
    case ENT_JSON_INTEGER:
    case ENT_JSON_NUMBER:
        return check_number(node, value, at, err);
    case ENT_JSON_ARRAY:
        return check_array(node, value, at, err);
    case ENT_JSON_OBJECT:
        return check_object(node, value, at, err);
    default:
        return ENT_DONE;
    }
}

ent_rc ent_schema_check(const ent_schema *schema, ent_json_value value, const char *path, ent_err *err)
{
    place root = {.root = path};
    return check_node(schema->root, value, &root, err);
}
