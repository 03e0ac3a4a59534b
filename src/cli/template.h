/* The JSON that `entente send --edit` opens: a body with a note in every place where something may be written. */
#ifndef ENT_CLI_TEMPLATE_H
#define ENT_CLI_TEMPLATE_H

#include "base/json.h"
#include "message/kind.h"

/** Append a body for a person to fill in: what must be given first, then what may be. JSON has no comments, so each
 * place holds a text "<required: what to write (what is allowed)>" or "<optional: ...>".
 *  @in   kind       NULL for a kind that this version does not know
 *  @in   given      a body whose members stand instead of the notes; may be ABSENT
 *  @in   language   of the text
 *  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_cli_template_make(const ent_kind *kind, ent_json_value given, const char *language, ent_buf *ret,
                             ent_err *err);
/** Append the body that a filled-in template stands for: optional places that were left as they were are left out.
 *  @in   untouched   what ent_cli_template_make gave without a body
 *  Errors: PEER_MALFORMED when it is no JSON; PEER_INVALID naming the required places that were left, or one that was
 * written into without taking its marks away; NOMEM. */
ENT_RC ent_cli_template_fill(ent_text untouched, ent_text edited, ent_buf *ret, ent_err *err);

#endif
