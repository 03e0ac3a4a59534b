/* What errors say of values and of what a schema allows. Nothing here allocates: an error must not fail. */
#include <stdio.h>

#include "message/schema_node.h"

enum { SHOWN_BYTES = 48 };

bool schema_put(schema_words *words, const char *string)
{
    size_t size = strlen(string);
    if (size >= sizeof words->text - words->used)
        return false;
    memcpy(words->text + words->used, string, size + 1);
    words->used += size;
    return true;
}

void schema_put_shown(schema_words *words, ent_text text)
{
    char shown[SHOWN_BYTES + 4];
    size_t size = text.size > SHOWN_BYTES ? SHOWN_BYTES : text.size;
    while (size < text.size && size > 0 && ((uint8_t)text.data[size] & 0xc0) == 0x80)
        size--;
    for (size_t i = 0; i < size; i++)
        shown[i] = (uint8_t)text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : text.data[i];
    (void)snprintf(shown + size, 4, "%s", size < text.size ? "..." : "");
    (void)schema_put(words, shown);
}

unsigned schema_types_of(ent_json_value value)
{
    switch (ent_json_type_of(value)) {
    case ENT_JSON_NULL:
        return SCHEMA_NULL;
    case ENT_JSON_BOOL:
        return SCHEMA_BOOLEAN;
    case ENT_JSON_INTEGER:
        return SCHEMA_INTEGER | SCHEMA_NUMBER;
    case ENT_JSON_NUMBER:
        return SCHEMA_NUMBER;
    case ENT_JSON_STRING:
        return SCHEMA_STRING;
    case ENT_JSON_ARRAY:
        return SCHEMA_ARRAY;
    case ENT_JSON_OBJECT:
        return SCHEMA_OBJECT;
    case ENT_JSON_ABSENT:
        break;
    }
    return 0;
}

void schema_put_types(schema_words *words, unsigned bits)
{
    static const struct {
        unsigned bits;
        const char *text;
    } rows[] = {{SCHEMA_STRING, "a string"}, {SCHEMA_INTEGER, "an integer"},
                {SCHEMA_NUMBER, "a number"}, {SCHEMA_BOOLEAN, "true or false"},
                {SCHEMA_ARRAY, "an array"},  {SCHEMA_OBJECT, "an object"},
                {SCHEMA_NULL, "null"}};
    const char *between = "";
    if ((bits & SCHEMA_INTEGER) != 0) /* every integer is a number too */
        bits &= ~(unsigned)SCHEMA_NUMBER;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((bits & rows[i].bits) == 0)
            continue;
        (void)schema_put(words, between);
        (void)schema_put(words, rows[i].text);
        between = " or ";
    }
}

void schema_put_given(schema_words *words, ent_json_value value)
{
    char number[48];
    uint64_t whole = 0;
    double real = 0;
    switch (ent_json_type_of(value)) {
    case ENT_JSON_STRING:
        (void)schema_put(words, "\"");
        schema_put_shown(words, ent_json_string(value));
        (void)schema_put(words, "\"");
        break;
    case ENT_JSON_BOOL:
        (void)schema_put(words, ent_json_true(value) ? "true" : "false");
        break;
    case ENT_JSON_INTEGER:
    case ENT_JSON_NUMBER:
        if (ent_json_unsigned(value, UINT64_MAX, &whole))
            (void)snprintf(number, sizeof number, "%llu", (unsigned long long)whole);
        else if (ent_json_double(value, &real))
            (void)snprintf(number, sizeof number, "%.15g", real);
        else
            (void)snprintf(number, sizeof number, "this number");
        (void)schema_put(words, number);
        break;
    default:
        schema_put_types(words, schema_types_of(value));
    }
}

/* Room for what comes after a list that was cut. */
enum { TAIL_BYTES = 24 };

static void put_choice(schema_words *words, const schema_node *node)
{
    size_t count = 0;
    (void)schema_put(words, "; allowed: ");
    for (ent_json_iter i = ent_json_iterate(node->enumeration); ent_json_next(&i); count++) {
        char tail[TAIL_BYTES + 1];
        if (sizeof words->text - words->used < SHOWN_BYTES + 2 + TAIL_BYTES) {
            (void)snprintf(tail, sizeof tail, ", ... (%zu in all)", ent_json_count(node->enumeration));
            (void)schema_put(words, tail);
            return;
        }
        (void)schema_put(words, count == 0 ? "" : ", ");
        if (ent_json_type_of(i.value) == ENT_JSON_STRING)
            schema_put_shown(words, ent_json_string(i.value));
        else
            schema_put_given(words, i.value);
    }
}

void schema_put_allowed(schema_words *words, const schema_node *node)
{
    if (ent_json_present(node->enumeration)) {
        put_choice(words, node);
    } else if (ent_json_present(node->constant)) {
        (void)schema_put(words, "; expected ");
        schema_put_given(words, node->constant);
    } else if (node->format != NULL) {
        (void)schema_put(words, "; expected ");
        (void)schema_put(words, node->format->words);
    } else if (node->types != 0) {
        (void)schema_put(words, "; expected ");
        schema_put_types(words, node->types);
    }
}
