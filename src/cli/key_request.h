/* What the holder of the root key is asked to sign, as a file that travels to another machine: words for people, and
 * below them the same for the program.  Source: docs/formats.md "Key request". */
#ifndef ENT_CLI_KEY_REQUEST_H
#define ENT_CLI_KEY_REQUEST_H

#include "cli/rotation.h"

/** Append the words: which party, keys and cutoffs. Lines of printable ASCII.
 *  @in   rotation   its keys are made
 *  Errors: those of ent_cli_rotation_cutoffs, NOMEM. */
ENT_RC ent_cli_key_request_words(const ent_cli_rotation *rotation, ent_buf *ret, ent_err *err);
/** Append the whole file.  Errors: the same. */
ENT_RC ent_cli_key_request_put(const ent_cli_rotation *rotation, ent_buf *ret, ent_err *err);
/** Read one. What it shows and what it asks for are the same, or it is refused. Its present card is signed by the root
 * key that it names; whether that is the one that is to sign is seen when that key is looked for.
 *  Errors: PEER_MALFORMED, PEER_SIGNATURE, PEER_MISMATCH, PEER_NOT_CANONICAL when the words are others, PEER_TOO_LARGE,
 * NOMEM.  Owns: release with ent_cli_rotation_release. */
ENT_RC ent_cli_key_request_parse(ent_bytes bytes, ent_cli_rotation *ret, ent_err *err);

#endif
