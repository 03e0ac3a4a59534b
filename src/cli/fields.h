/* What a JSON Schema of ours asks for, in words: for help, documents and templates. The subset is that of
 * message/schema.h. */
#ifndef ENT_CLI_FIELDS_H
#define ENT_CLI_FIELDS_H

#include "base/json.h"
#include "message/kind.h"

typedef struct {
    ent_text path;         /* "participants[].name"; "*" stands for a name of the writer's choice */
    unsigned depth;        /* how many fields it lies inside */
    bool required;         /* in the object that it belongs to */
    ent_json_value schema; /* its own */
} ent_cli_field;
typedef ENT_RC (*ent_cli_field_fn)(void *context, const ent_cli_field *field, ent_err *err);

/** Walk the fields of an object's schema in its order, each before those inside it.
 *  Errors: those of fn, NOMEM. */
ENT_RC ent_cli_fields_walk(ent_json_value schema, ent_cli_field_fn fn, void *context, ent_err *err);
/** Whether an object's schema requires a member. */
bool ent_cli_field_required(ent_json_value schema, ent_text name);
/** Append what a value may be: "text of at most 200 characters", "one of: low, high", "list of: party's name". */
void ent_cli_put_type(ent_buf *buf, ent_json_value schema);

/** Append the names of those members of a body's fields that the kind's schema does not know, commas between, safe for
 *  a terminal; nothing when it knows all.  Errors: NOMEM. */
ENT_RC ent_cli_put_unknown_fields(ent_buf *buf, const ent_kind *kind, ent_json_value fields, ent_err *err);

/** Append JSON over several lines, two spaces a level; scalars and short lists stay on one line. No newline at the
 * end.
 *  @in   indent   of the lines after the first */
void ent_cli_put_pretty(ent_buf *buf, ent_json_value value, unsigned indent);
/** The same with texts that nobody reads, as base64, shortened to their beginning: for examples.  Errors: NOMEM. */
ENT_RC ent_cli_put_example(ent_buf *buf, ent_json_value value, unsigned indent, ent_err *err);
/** Append a text broken into lines of at most `columns` at its spaces; the lines after the first are indented. */
void ent_cli_put_wrapped(ent_buf *buf, ent_text text, unsigned indent, unsigned columns);

#endif
