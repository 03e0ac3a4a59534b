/* A report as JSON, taken apart: it may be larger than what the JSON reader takes at once. */
#ifndef ENT_CLI_ACCOUNT_H
#define ENT_CLI_ACCOUNT_H

#include "cli/pieces.h"

/** What a report holds. Texts borrow from the report's bytes. Release with ent_cli_account_release. */
typedef struct {
    ent_json *json;      /* owns head */
    ent_json_value head; /* every member but lines and proofs */
    ent_text lines;      /* arrays, as they are written */
    ent_text proofs;
} ent_cli_account;

/** Take a report apart.
 *  @in   json   borrowed as long as *ret lives
 *  Errors: PEER_MALFORMED, PEER_INVALID when it is no report of a version that is known, NOMEM. */
ENT_RC ent_cli_account_open(ent_text json, ent_cli_account *ret, ent_err *err);
void ent_cli_account_release(ent_cli_account *account);

/** Call fn for each element of an array, parsed; numbered from 0.  Errors: PEER_MALFORMED, those of fn. */
typedef ENT_RC (*ent_cli_element_fn)(void *context, size_t number, ent_json_value element, ent_err *err);
ENT_RC ent_cli_account_each(ent_text array, ent_cli_element_fn fn, void *context, ent_err *err);

/** "party/index" of a message that may also be named with its channel; empty when it is neither. */
ent_text ent_cli_account_ref(ent_text message);

#endif
