/* The doctor's look at a party's folder, which needs no node. */
#ifndef ENT_CLI_DOCTOR_H
#define ENT_CLI_DOCTOR_H

#include "base/json.h"
#include "cli/cli.h"

/** Write the findings as elements of an array that was begun: the form is that of the node's (docs/api.md "doctor").
 *  @in   runs         the node answered: what it sees itself is left to it
 *  @in   passphrase   of the keys; empty = none
 *  Errors: NOMEM. */
ENT_RC ent_cli_doctor_folder(const char *folder, bool runs, ent_bytes passphrase, ent_json_writer *writer,
                             ent_err *err);

#endif
