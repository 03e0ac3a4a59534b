/* The terms of a channel, for people, and where they are found. */
#ifndef ENT_CLI_TERMS_H
#define ENT_CLI_TERMS_H

#include "cli/say.h"
#include "ledger/agreement.h"

enum { ENT_CLI_TERMS_MAX_BYTES = 4 << 20 };

/** Append the terms as a person reads them. */
ENT_RC ent_cli_put_terms(ent_cli *cli, const ent_agreement *agreement, ent_err *err);
/** Append what in them may surprise, a line each: members that are not known, an end that has passed.
 *  @in   now_unix_s   by our clock */
void ent_cli_put_terms_warnings(ent_buf *buf, const ent_agreement *agreement, int64_t now_unix_s);

/** Append why nothing follows from a channel's terms: they are no agreement, or one of other parties. Nothing when all
 *  is well.
 *  @in   members   of the channel, as the API shows them
 *  Errors: NOMEM. */
ENT_RC ent_cli_put_terms_problem(ent_buf *buf, ent_bytes terms, ent_json_value members, ent_err *err);

/** A complete agreement to start from, valid as it stands.
 *  @in   parties   at least two valid names
 *  @in   from      the day of today */
void ent_cli_put_new_terms(ent_buf *buf, const char *const *parties, size_t party_count, int64_t from_unix_s);

/** Terms that a message of a channel holds, checked against their commitment. */
typedef struct {
    char *message; /* MSG of the genesis entry or amendment */
    ent_buf bytes;
    ent_hash commitment;
    ent_agreement *agreement; /* NULL when they are not readable */
    ent_err problem;          /* why not */
} ent_cli_terms;
void ent_cli_terms_release(ent_cli_terms *terms);

/** Terms in force: those of the genesis, or of an amendment that every member has accepted.
 *  Errors: the node's; ABSENT when no message that is held gives them; NOMEM. */
ENT_RC ent_cli_terms_in_force(const ent_cli *cli, const char *channel, ent_cli_terms *ret, ent_err *err);
/** Terms that a message gives.
 *  @out  ret_replaces   nullable: the commitment that an amendment replaces, zero in a genesis
 *  Errors: the node's; PEER_INVALID when it gives none. */
ENT_RC ent_cli_terms_of(const ent_cli *cli, const char *message, ent_cli_terms *ret, ent_hash *ret_replaces,
                        ent_err *err);

#endif
