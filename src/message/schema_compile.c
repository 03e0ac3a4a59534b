/* From a JSON Schema's text to nodes. What a schema says outside the subset is an error, never ignored: a rule that
 * someone wrote and nobody checks is worse than none. */
#include "message/schema_node.h"

static const char rule[] = "message/schema.h, the declared subset of JSON Schema 2020-12";

typedef struct {
    ent_arena *arena;
    ent_err *err;
} compiler;

typedef ent_rc keyword_reader(compiler *c, ent_text keyword, ent_json_value value, schema_node *node);

static ent_rc compile_node(compiler *c, ent_json_value value, schema_node **ret);

static int shown(ent_text text)
{
    return text.size > 64 ? 64 : (int)text.size;
}

static ent_rc bad(compiler *c, ent_text keyword, const char *expected)
{
    return ent_fail(c->err, ENT_PEER_MALFORMED, rule, "keyword %.*s: expected %s", shown(keyword), keyword.data,
                    expected);
}

static ent_rc no_memory(compiler *c)
{
    return ent_fail(c->err, ENT_NOMEM, NULL, "out of memory while compiling a schema");
}

static bool is_scalar(ent_json_value value)
{
    switch (ent_json_type_of(value)) {
    case ENT_JSON_NULL:
    case ENT_JSON_BOOL:
    case ENT_JSON_INTEGER:
    case ENT_JSON_STRING:
        return true;
    default:
        return false;
    }
}

static ent_rc annotation(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    (void)node;
    if (ent_json_type_of(value) != ENT_JSON_STRING)
        return bad(c, keyword, "a string");
    return ENT_DONE;
}

static ent_rc any_value(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    (void)c;
    (void)keyword;
    (void)value;
    (void)node;
    return ENT_DONE;
}

static ent_rc examples(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    (void)node;
    if (ent_json_type_of(value) != ENT_JSON_ARRAY)
        return bad(c, keyword, "an array");
    return ENT_DONE;
}

static unsigned type_bit(ent_text name)
{
    static const struct {
        const char *name;
        schema_type bit;
    } rows[] = {{"null", SCHEMA_NULL},     {"boolean", SCHEMA_BOOLEAN}, {"integer", SCHEMA_INTEGER},
                {"number", SCHEMA_NUMBER}, {"string", SCHEMA_STRING},   {"array", SCHEMA_ARRAY},
                {"object", SCHEMA_OBJECT}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (ent_text_is(name, rows[i].name))
            return rows[i].bit;
    }
    return 0;
}

static ent_rc type(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    if (ent_json_type_of(value) == ENT_JSON_STRING) {
        node->types = type_bit(ent_json_string(value));
    } else {
        for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
            unsigned bit = type_bit(ent_json_string(i.value));
            if (bit == 0 || (node->types & bit) != 0)
                return bad(c, keyword, "a type or an array of different types");
            node->types |= bit;
        }
    }
    return node->types == 0 ? bad(c, keyword, "a type or an array of different types") : ENT_DONE;
}

static ent_rc enumeration(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    if (ent_json_type_of(value) != ENT_JSON_ARRAY || ent_json_count(value) == 0)
        return bad(c, keyword, "a non-empty array");
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        if (!is_scalar(i.value))
            return bad(c, keyword, "strings, integers, booleans or null");
    }
    node->enumeration = value;
    return ENT_DONE;
}

static ent_rc constant(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    if (!is_scalar(value))
        return bad(c, keyword, "a string, integer, boolean or null");
    node->constant = value;
    return ENT_DONE;
}

static ent_rc properties(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    if (ent_json_type_of(value) != ENT_JSON_OBJECT)
        return bad(c, keyword, "an object");
    node->properties = ent_arena_alloc(c->arena, ent_json_count(value) * sizeof node->properties[0]);
    if (node->properties == NULL)
        return no_memory(c);
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        schema_property *property = &node->properties[node->property_count++];
        property->name = i.key;
        ent_rc rc = compile_node(c, i.value, &property->node);
        if (rc.code != ENT_OK)
            return ent_fail_in(c->err, rc, "%.*s", shown(i.key), i.key.data);
    }
    return ENT_DONE;
}

static ent_rc required(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    if (ent_json_type_of(value) != ENT_JSON_ARRAY)
        return bad(c, keyword, "an array of names");
    node->required = ent_arena_alloc(c->arena, ent_json_count(value) * sizeof node->required[0]);
    if (node->required == NULL)
        return no_memory(c);
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        if (ent_json_type_of(i.value) != ENT_JSON_STRING)
            return bad(c, keyword, "an array of names");
        node->required[node->required_count++] = ent_json_string(i.value);
    }
    return ENT_DONE;
}

static ent_rc additional(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    (void)keyword;
    if (ent_json_type_of(value) == ENT_JSON_BOOL) {
        node->closed = !ent_json_true(value);
        return ENT_DONE;
    }
    return compile_node(c, value, &node->additional);
}

/* Keys are no JSON values, so their schema may only speak of strings. */
static ent_rc property_names(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    ENT_TRY(compile_node(c, value, &node->property_names));
    const schema_node *names = node->property_names;
    if ((names->types & ~(unsigned)SCHEMA_STRING) != 0 || ent_json_present(names->enumeration) ||
        ent_json_present(names->constant))
        return ent_fail(c->err, ENT_USAGE, rule, "keyword %.*s: only minLength, maxLength and format here",
                        shown(keyword), keyword.data);
    return ENT_DONE;
}

static ent_rc items(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    (void)keyword;
    return compile_node(c, value, &node->items);
}

static ent_rc unique(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    if (ent_json_type_of(value) != ENT_JSON_BOOL)
        return bad(c, keyword, "true or false");
    node->unique_items = ent_json_true(value);
    return ENT_DONE;
}

static ent_rc read_count(compiler *c, ent_text keyword, ent_json_value value, uint64_t *ret)
{
    return ent_json_unsigned(value, UINT64_MAX, ret) ? ENT_DONE : bad(c, keyword, "a whole number");
}

static ent_rc min_items(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    return read_count(c, keyword, value, &node->min_items);
}

static ent_rc max_items(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    return read_count(c, keyword, value, &node->max_items);
}

static ent_rc min_length(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    return read_count(c, keyword, value, &node->min_length);
}

static ent_rc max_length(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    return read_count(c, keyword, value, &node->max_length);
}

static ent_rc minimum(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    node->has_minimum = true;
    return ent_json_double(value, &node->minimum) ? ENT_DONE : bad(c, keyword, "a number");
}

static ent_rc maximum(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    node->has_maximum = true;
    return ent_json_double(value, &node->maximum) ? ENT_DONE : bad(c, keyword, "a number");
}

static ent_rc format(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    ent_text name = ent_json_string(value);
    if (name.data == NULL)
        return bad(c, keyword, "a string");
    node->format = ent_format_find(name);
    if (node->format == NULL)
        return ent_fail(c->err, ENT_USAGE, rule, "format \"%.*s\" is outside the subset", shown(name), name.data);
    return ENT_DONE;
}

static const struct {
    const char *name;
    keyword_reader *read;
} keywords[] = {
    {"$schema", annotation},
    {"$id", annotation},
    {"title", annotation},
    {"description", annotation},
    {"examples", examples},
    {"default", any_value},
    {"type", type},
    {"enum", enumeration},
    {"const", constant},
    {"properties", properties},
    {"required", required},
    {"additionalProperties", additional},
    {"propertyNames", property_names},
    {"items", items},
    {"minItems", min_items},
    {"maxItems", max_items},
    {"uniqueItems", unique},
    {"minLength", min_length},
    {"maxLength", max_length},
    {"minimum", minimum},
    {"maximum", maximum},
    {"format", format},
};

static ent_rc read_keyword(compiler *c, ent_text keyword, ent_json_value value, schema_node *node)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (ent_text_is(keyword, keywords[i].name))
            return keywords[i].read(c, keyword, value, node);
    }
    return ent_fail(c->err, ENT_USAGE, rule, "keyword \"%.*s\" is outside the subset", shown(keyword), keyword.data);
}

/* Recursion ends at the depth that ent_json_parse allows. */
static ent_rc compile_node(compiler *c, ent_json_value value, schema_node **ret)
{
    if (ent_json_type_of(value) != ENT_JSON_OBJECT)
        return ent_fail(c->err, ENT_PEER_MALFORMED, rule, "a schema is an object");
    schema_node *node = ent_arena_alloc(c->arena, sizeof *node);
    if (node == NULL)
        return no_memory(c);
    node->max_items = UINT64_MAX;
    node->max_length = UINT64_MAX;
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);)
        ENT_TRY(read_keyword(c, i.key, i.value, node));
    if (node->unique_items &&
        (node->items == NULL || node->items->types != SCHEMA_STRING || node->max_items > SCHEMA_MAX_UNIQUE_ITEMS))
        return ent_fail(c->err, ENT_USAGE, rule,
                        "keyword \"uniqueItems\": only for arrays of strings with maxItems of at most %d",
                        SCHEMA_MAX_UNIQUE_ITEMS);
    *ret = node;
    return ENT_DONE;
}

ent_rc ent_schema_compile(ent_text json, ent_schema **ret, ent_err *err)
{
    ent_schema *schema = ent_alloc(sizeof *schema);
    if (schema == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for a schema");
    compiler c = {.arena = &schema->arena, .err = err};
    ent_rc rc = ent_json_parse(ent_text_bytes(json), &schema->document, err);
    if (rc.code == ENT_OK)
        rc = compile_node(&c, ent_json_root(schema->document), &schema->root);
    if (rc.code != ENT_OK) {
        ent_schema_free(schema);
        return rc;
    }
    *ret = schema;
    return ENT_DONE;
}

void ent_schema_free(ent_schema *schema)
{
    if (schema == NULL)
        return;
    ent_json_free(schema->document);
    ent_arena_release(&schema->arena);
    ent_free(schema);
}
