/* Making a party's folder, so that a second try is possible wherever the first one ended. */
#ifndef ENT_CLI_SETUP_H
#define ENT_CLI_SETUP_H

#include "cli/cli.h"
#include "seal/card.h"

typedef struct {
    const char *name;
    const char *listen; /* NULL when air-gapped */
    const char *url;    /* NULL when air-gapped */
    bool air_gapped;
    const char *root_folder; /* NULL = root/ inside the party's folder */
    ent_bytes passphrase;    /* empty = none */
    ent_card_contact contacts[ENT_CARD_MAX_CONTACTS];
    size_t contact_count;
} ent_cli_setup;

/** Read 'role;name;position;phone;email;lang,lang;hours'. The texts borrow.
 *  Errors: USAGE naming what is wrong. */
ENT_RC ent_cli_contact_read(ent_text text, ent_card_contact *ret, ent_err *err);
/** Check "address:port" or "[address]:port" and give the port.  Errors: USAGE. */
ENT_RC ent_cli_listen_check(const char *listen, uint64_t *ret_port, ent_err *err);

/** Make folder, keys, certificate, card and, last of all, node.json. A file "init.unfinished" lies there meanwhile:
 * what an earlier try left beside it is removed first, what lies there without it is refused.
 *  @out  ret_fingerprint   of the card
 *  Errors: REFUSED when a node, or keys, are there already; USAGE when the card would not be allowed; IO, IO_FULL,
 * NOMEM. */
ENT_RC ent_cli_setup_make(const char *folder, const ent_cli_setup *setup,
                          char ret_fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1], ent_err *err);

#endif
