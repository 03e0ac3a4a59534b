/* What the files that make up the agreement share. Private to them. */
#ifndef ENT_LEDGER_AGREEMENT_INTERNAL_H
#define ENT_LEDGER_AGREEMENT_INTERNAL_H

#include "base/json.h"
#include "ledger/agreement.h"

/* schemas/agreement.json, embedded by message/embed.py. */
extern const char ent_schema_agreement[];

#define ENT_AGREEMENT_RULE "design.md, section 5 (agreement)"

/* `return agreement_refuse(err, "title: ...")`: the text names the field, what was given and what is allowed. */
#define agreement_refuse(err, ...) ent_fail((err), ENT_PEER_INVALID, ENT_AGREEMENT_RULE, __VA_ARGS__)

enum { AGREEMENT_SHOWN_BYTES = 64, AGREEMENT_SHOWN_SIZE = AGREEMENT_SHOWN_BYTES + 4 };

/* Text of the terms as it may stand in an error or a path: capped on a character's border, control characters replaced.
 */
const char *agreement_show(ent_text text, char out[AGREEMENT_SHOWN_SIZE]);

/* Position of a text among `count` sorted ones, or -1. */
int agreement_find_text(const ent_text *sorted, size_t count, ent_text text);

/* Kinds in the terms are those of this version: a name that is none is more often a slip than news.
 * @in   where   the place, for the error */
ENT_RC agreement_check_kind(ent_text kind, const char *where, ent_err *err);

/* Read service_hours; the parties are read already.  Errors: PEER_INVALID, NOMEM. */
ENT_RC agreement_read_hours(ent_json_value value, ent_agreement *ret, ent_err *err);

/* Copy a text into the agreement.  Errors: PEER_INVALID for control characters, NOMEM. */
ENT_RC agreement_copy_text(ent_agreement *agreement, ent_json_value value, const char *where, ent_text *ret,
                           ent_err *err);

/* An array for the elements of a JSON array, all zero; NULL without memory, and never NULL otherwise. */
void *agreement_array(ent_agreement *agreement, size_t count, size_t size);

/* List the members of the terms that the schema does not name.  Errors: PEER_INVALID when there are too many, NOMEM. */
ENT_RC agreement_list_unknown(ent_json_value terms, ent_agreement *ret, ent_err *err);

/* Refuse what fits the schema and contradicts itself.  Errors: PEER_INVALID. */
ENT_RC agreement_check_rules(const ent_agreement *agreement, ent_err *err);

#endif
