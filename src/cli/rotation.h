/* Making a rotation: the new card and the cutoffs, signed by the root key, as the node takes them (docs/api.md "Keys").
 */
#ifndef ENT_CLI_ROTATION_H
#define ENT_CLI_ROTATION_H

#include "cli/api.h"
#include "seal/card.h"

typedef struct {
    bool changes[ENT_KEY_ROLE_COUNT];
    bool changes_root;
    bool revoke;
    const char *reason;
    /* from ent_cli_rotation_begin */
    ent_cli_answer state; /* what the node says of its keys */
    ent_card_opened current;
    /* from ent_cli_rotation_make */
    ent_card next; /* its texts borrow from current */
} ent_cli_rotation;

/** Ask the node for its card and its logs.  Errors: those of ent_cli_ask. */
ENT_RC ent_cli_rotation_begin(ent_cli *cli, ent_cli_rotation *ret, ent_err *err);
void ent_cli_rotation_release(ent_cli_rotation *rotation);

/** Make the keys that change, card and cutoffs, and have the root key sign.
 *  @in   keys_folder   where the new keys go   @in folder   the party's, for the certificate
 *  Errors: USAGE, ABSENT without the root key, REFUSED (passphrase), IO, NOMEM.  Blocks: yes. */
ENT_RC ent_cli_rotation_make(ent_cli_rotation *rotation, const char *keys_folder, const char *folder,
                             const char *root_folder, ent_bytes passphrase, ent_buf *ret_bundle, ent_err *err);

#endif
