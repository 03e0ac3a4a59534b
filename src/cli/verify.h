/* Verifying files with no node: what the verb's files share. */
#ifndef ENT_CLI_VERIFY_H
#define ENT_CLI_VERIFY_H

#include "base/json.h"
#include "cli/cli.h"
#include "seal/card.h"

enum { ENT_CLI_MAX_CARDS = 64 };

typedef enum {
    ENT_CLI_UNKNOWN = 0,
    ENT_CLI_PROOF,
    ENT_CLI_ENTRY,
    ENT_CLI_POLICY,
    ENT_CLI_CARD,
    ENT_CLI_POUCH,
    ENT_CLI_REPORT,
    ENT_CLI_FORK
} ent_cli_file_kind;

/** Tell by its contents, then by its name, what a file is. */
ent_cli_file_kind ent_cli_file_kind_of(const char *path, ent_bytes bytes);

/** A file that was named. */
typedef struct {
    const char *path;
    ent_buf bytes;
    ent_cli_file_kind kind;
    bool used; /* an entry or policy that belongs to a proof */
} ent_cli_subject;

/** All that was named, read. */
typedef struct {
    ent_cli *cli;
    ent_cli_subject *subjects;
    size_t subject_count;
    const char *policy_path; /* --policy, or NULL */
    ent_card_opened *cards;  /* --card */
    size_t card_count;
    ent_buf text;            /* of the file at hand, for people */
    bool only_form;          /* nothing but its form could be checked */
    ent_json_writer *writer; /* members of its object, with --json */
} ent_cli_verifier;

/** Which key of a card. */
typedef enum { ENT_CLI_LOG_KEY, ENT_CLI_RECEIPT_KEY } ent_cli_key;

/** What comparing a key with the cards gave. */
typedef enum {
    ENT_CLI_NOT_COMPARED = 0, /* no card of that party was given */
    ENT_CLI_AS_ON_CARD,
    ENT_CLI_NOT_ON_CARD
} ent_cli_comparison;

/** Whether a card names this key, or lists it as one that was replaced and not revoked. */
bool ent_cli_card_has(const ent_card *card, ent_cli_key which, const ent_public_key *key);
/** Compare a party's key with its cards.
 *  @out  ret_card   nullable; the card that has the key, set with AS_ON_CARD */
ent_cli_comparison ent_cli_compare(const ent_cli_verifier *verifier, ent_text party, ent_cli_key which,
                                   const ent_public_key *key, const ent_card **ret_card);
/** Say what the comparison gave, for people and in JSON (as an object of an array).
 *  Errors: PEER_MISMATCH when the card has another key. */
ENT_RC ent_cli_tell_key(ent_cli_verifier *verifier, ent_text party, ent_cli_key which, const ent_public_key *key,
                        ent_err *err);

/** Verify one file; on success say what it proves.  Errors: what is wrong with it. */
ENT_RC ent_cli_verify_proof(ent_cli_verifier *verifier, ent_cli_subject *subject, ent_err *err);
ENT_RC ent_cli_verify_card(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err);
ENT_RC ent_cli_verify_pouch(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err);
ENT_RC ent_cli_verify_fork(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err);
ENT_RC ent_cli_verify_report(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err);

#endif
