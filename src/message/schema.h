/* The declared subset of JSON Schema 2020-12 that kinds are written in. Refusing a schema that uses more is part of it.
 */
#ifndef ENT_MESSAGE_SCHEMA_H
#define ENT_MESSAGE_SCHEMA_H

#include "base/json.h"

/** A compiled schema. */
typedef struct ent_schema ent_schema;

/** Compile. Keywords: $schema $id title description examples default type enum const properties required
 *  additionalProperties (boolean or schema) propertyNames items minItems maxItems uniqueItems minLength maxLength
 * minimum maximum format. Formats (asserted): date-time (RFC 3339, UTC, Z), date, uri, email, language (BCP 47), party,
 * message (party/index), sha256 (64 hex), hex, base64, recipient (age), stix-id, media-type. Lengths count Unicode code
 * points (JSON Schema validation, 6.3.1). Errors: USAGE naming the keyword or format outside the subset,
 * PEER_MALFORMED, NOMEM. Owns: caller frees with ent_schema_free. */
ENT_RC ent_schema_compile(ent_text json, ent_schema **ret, ent_err *err);
void ent_schema_free(ent_schema *schema);

/** Check a value.
 *  @in   path   where the value stands, "" for the root; used in the error
 *  Errors: PEER_INVALID: the text names the field, what was given and what is allowed. */
ENT_RC ent_schema_check(const ent_schema *schema, ent_json_value value, const char *path, ent_err *err);

#endif
