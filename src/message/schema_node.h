/* A compiled schema: one node per subschema. Private to schema.c (checks values), schema_compile.c (makes nodes) and
 * schema_words.c (says what is wrong; body.c says it in the same words). */
#ifndef ENT_MESSAGE_SCHEMA_NODE_H
#define ENT_MESSAGE_SCHEMA_NODE_H

#include "base/alloc.h"
#include "message/format.h"
#include "message/schema.h"

/* Bits of the JSON Schema types; "number" includes integers. */
typedef enum {
    SCHEMA_NULL = 1,
    SCHEMA_BOOLEAN = 2,
    SCHEMA_INTEGER = 4,
    SCHEMA_NUMBER = 8,
    SCHEMA_STRING = 16,
    SCHEMA_ARRAY = 32,
    SCHEMA_OBJECT = 64
} schema_type;

typedef struct schema_node schema_node;

typedef struct {
    ent_text name;
    schema_node *node;
} schema_property;

struct schema_node {
    unsigned types;             /* schema_type bits; 0 = any */
    ent_json_value enumeration; /* array of scalars, or ABSENT */
    ent_json_value constant;    /* scalar, or ABSENT */
    schema_property *properties;
    size_t property_count;
    ent_text *required;
    size_t required_count;
    bool closed;                 /* additionalProperties is false */
    schema_node *additional;     /* schema of other members, or NULL */
    schema_node *property_names; /* schema of every key, or NULL */
    schema_node *items;          /* schema of every element, or NULL */
    uint64_t min_items;
    uint64_t max_items;
    bool unique_items;
    uint64_t min_length; /* code points */
    uint64_t max_length;
    bool has_minimum;
    bool has_maximum;
    double minimum;
    double maximum;
    const ent_format *format; /* or NULL */
};

struct ent_schema {
    ent_json *document; /* texts and scalars of the nodes borrow from it */
    ent_arena arena;
    schema_node *root;
};

/* uniqueItems compares pair by pair, which must stay cheap on hostile arrays. */
enum { SCHEMA_MAX_UNIQUE_ITEMS = 256 };

/** Whether two scalars are equal (JSON Schema core, section 4.2.2). */
bool schema_scalar_equal(ent_json_value a, ent_json_value b);

/** A short text for an error, cut at its size. */
enum { SCHEMA_WORDS_SIZE = 288 };
typedef struct {
    char text[SCHEMA_WORDS_SIZE];
    size_t used;
} schema_words;

/** Append; false when it does not fit whole, and then nothing is appended. */
bool schema_put(schema_words *words, const char *string);
/** Append peers' text: capped on a character's border, control characters replaced. */
void schema_put_shown(schema_words *words, ent_text text);
/** Append what a person may write for a node: "; allowed: low, high", "; expected a time in UTC like ...". */
void schema_put_allowed(schema_words *words, const schema_node *node);
/** Append what stands there: a string in quotes, a number or word as it is, else its type. */
void schema_put_given(schema_words *words, ent_json_value value);
/** Append types: "a string or null". */
void schema_put_types(schema_words *words, unsigned bits);
/** The bits of the types that a value has. */
unsigned schema_types_of(ent_json_value value);

#endif
