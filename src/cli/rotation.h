/* Making a rotation: the new card and the cutoffs, signed by the root key, as the node takes them (docs/api.md "Keys").
 */
#ifndef ENT_CLI_ROTATION_H
#define ENT_CLI_ROTATION_H

#include "cli/api.h"
#include "keeper/keeper.h"
#include "seal/card.h"

enum { ENT_CLI_ROTATION_MAX_BYTES = 4 << 20 };

typedef struct {
    bool changes[ENT_KEY_ROLE_COUNT];
    bool changes_root;
    bool revoke;
    const char *reason; /* a word of ent_cli_reason */
    /* from ent_cli_rotation_begin, or from a request */
    ent_cli_answer state; /* what the node says of its keys: "card", "channels" */
    ent_card_opened current;
    /* from ent_cli_rotation_keys, or from a request */
    uint8_t made[ENT_KEY_ROLE_COUNT][32]; /* public keys, recipient and pin of those that change */
    /* from ent_cli_rotation_sign */
    ent_card next; /* its texts borrow from current */
} ent_cli_rotation;

/** The word itself, as a constant, of those that may be the reason; NULL for another. */
const char *ent_cli_reason(ent_text word);

/** Ask the node for its card and its logs.  Errors: those of ent_cli_ask. */
ENT_RC ent_cli_rotation_begin(ent_cli *cli, ent_cli_rotation *ret, ent_err *err);
void ent_cli_rotation_release(ent_cli_rotation *rotation);

/** Make the keys that change; what an earlier try left is taken again.
 *  @in   keys_folder   where they go   @in folder   the party's, for the certificate
 *  Errors: REFUSED (passphrase, too many keys), IO, NOMEM.  Blocks: yes. */
ENT_RC ent_cli_rotation_keys(ent_cli_rotation *rotation, const char *keys_folder, const char *folder,
                             ent_bytes passphrase, ent_err *err);
/** The root key that is to sign; when it changes, the one that the card committed to, and the one after it is made.
 *  Errors: ABSENT without it, REFUSED (passphrase), IO, NOMEM. */
ENT_RC ent_cli_rotation_root(ent_cli_rotation *rotation, const char *root_folder, ent_bytes passphrase, ent_root **ret,
                             ent_err *err);
/** Have it sign card and cutoffs.
 *  @out  ret_bundle   what the node takes
 *  Errors: USAGE, REFUSED, PEER_MALFORMED, PEER_SIGNATURE, PEER_MISMATCH (what the state says), NOMEM. */
ENT_RC ent_cli_rotation_sign(ent_cli_rotation *rotation, const ent_root *root, ent_buf *ret_bundle, ent_err *err);

/** The cutoffs of one channel of the state, with the new one.
 *  Errors: PEER_MALFORMED, PEER_SIGNATURE, PEER_MISMATCH when it is not of this party's log there, REFUSED. */
ENT_RC ent_cli_rotation_cutoffs(const ent_cli_rotation *rotation, ent_json_value channel, ent_cutoffs *ret,
                                ent_err *err);

/* --- what the verbs share --- */

/** Read the roles that a verb was given, and --reason.  Errors: USAGE. */
ENT_RC ent_cli_key_roles(const ent_cli *cli, ent_cli_rotation *rotation, ent_err *err);
ENT_RC ent_cli_key_reason(const ent_cli *cli, bool revoke, const char **ret, ent_err *err);
/** Say what is in use now, and what follows from it. */
void ent_cli_key_put_done(ent_cli *cli, const ent_cli_rotation *rotation);

#endif
