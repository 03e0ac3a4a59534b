/* Pouches by hand: handing the node one, and other members' logs beside it.
 *
 * FILE.d/<party>.pouch holds what the receiver of FILE is known to lack of that party's log. */
#ifndef ENT_CLI_POUCH_OTHERS_H
#define ENT_CLI_POUCH_OTHERS_H

#include "base/json.h"
#include "cli/cli.h"

/** What came of the others: lines for a person, and rows of a JSON array, separated by commas. */
typedef struct {
    ent_buf text;
    ent_buf json;
    size_t refused;
} ent_cli_others;
void ent_cli_others_release(ent_cli_others *others);

/** Add a row: a file with a part of a party's log. */
void ent_cli_others_add(ent_cli_others *others, const char *file, const char *of, uint64_t bytes);
/** Hand the node a pouch; appends its answer. */
ENT_RC ent_cli_pouch_send(const ent_cli *cli, const char *path, ent_buf *ret, ent_err *err);
/** Append what the node answered, in a sentence. */
void ent_cli_put_imported(ent_buf *out, ent_json_value answer);

/** Write what a member is known to lack of the others' logs beside a pouch for it; FILE.d is made when there is
 * something to write. */
ENT_RC ent_cli_others_export(const ent_cli *cli, const char *channel, const char *to, const char *path,
                             ent_cli_others *ret, ent_err *err);
/** Take in every pouch that lies beside one. One that the node refuses is told and counted, and stops no other. */
ENT_RC ent_cli_others_import(const ent_cli *cli, const char *path, ent_cli_others *ret, ent_err *err);

#endif
