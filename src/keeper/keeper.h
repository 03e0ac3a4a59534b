/* The keeper: the only holder of a party's private keys. It has no network, answers typed requests, and refuses to sign
 * another head of a log than it has signed before, one that does not extend that, or a smaller one that it is not shown
 * to extend.  Source: design.md
 * section 8 "keeper", section 3 "Rollback guard". For a node it is a process of its own: serve.h. */
#ifndef ENT_KEEPER_KEEPER_H
#define ENT_KEEPER_KEEPER_H

#include "log/cosignature.h"
#include "log/tree.h"
#include "seal/age.h"
#include "seal/card.h"
#include "seal/cutoff.h"

/** The public halves of the keys a node works with. */
typedef struct {
    ent_public_key log;
    ent_public_key receipt;
    ent_recipient age;
} ent_keeper_publics;

/** The file of the key that a card of this serial brought: "<role>.key" for the first card, "<role>.<serial>.key" for
 * others. */
enum { ENT_KEY_NAME_SIZE = 48 };
void ent_key_file_name(ent_key_role role, uint64_t serial, char ret[ENT_KEY_NAME_SIZE]);

/* --- making keys (`entente init`) --- */

/** Make log, receipt and age keys and keep them with the TLS key in a folder (0700, files 0600), sealed with the
 * passphrase if there is one. The age key without a passphrase is a stock age identity file.
 *  @in   passphrase   empty = none
 *  Errors: REFUSED when keys are there already, IO, NOMEM.  Blocks: yes. */
ENT_RC ent_keeper_create(const char *folder, ent_text party, ent_bytes passphrase, ent_bytes tls_key_pem,
                         ent_keeper_publics *ret, ent_err *err);
/** Make the root key and the next root key in a folder that should then go offline.
 *  @out  ret_root   @out ret_next_root   hash of the next root's public key, for the card
 *  Errors: as above. */
ENT_RC ent_root_create(const char *folder, ent_text party, ent_bytes passphrase, ent_public_key *ret_root,
                       ent_hash *ret_next_root, ent_err *err);
/** Sign a card with the root key of a folder.  Errors: ABSENT when the folder has none, REFUSED for a wrong passphrase,
 * IO. */
ENT_RC ent_root_sign_card(const char *folder, ent_bytes passphrase, const ent_card *card, ent_buf *ret, ent_err *err);

/** Make the key that a card of this serial brings: `<role>.<serial>.key`, sealed like those that are there. The
 * one that an earlier try left there is taken again.
 *  @in   tls_key_pem   for ENT_KEY_ROLE_TLS; also what a key of before holds is kept then
 *  @out  ret_public    32 bytes: the public key, or the recipient; untouched for TLS
 *  @out  ret_pem       for TLS: the key that is kept there; wiped by the caller; else nullable
 *  Errors: ABSENT without the folder, REFUSED (wrong passphrase, a file that others can read), PEER_MALFORMED, IO. */
ENT_RC ent_keeper_make_key(const char *folder, ent_text party, ent_bytes passphrase, ent_key_role role, uint64_t serial,
                           ent_bytes tls_key_pem, uint8_t ret_public[32], ent_buf *ret_pem, ent_err *err);

/** What a root key is asked for when keys change: the card, signed by the root key that it names, and cutoff notes.
 * The root key is found in the folder by its public half: root.key, next-root.key or next-root.<serial>.key. */
typedef struct ent_root ent_root;
/** Errors: ABSENT when the folder has no such key, REFUSED for a wrong passphrase, IO. */
ENT_RC ent_root_open(const char *folder, ent_bytes passphrase, const ent_public_key *root, ent_root **ret,
                     ent_err *err);
/** The root key that a card committed to; and make the one that follows it, which a card of this serial commits to.
 * What an earlier try left is taken again.
 *  @out  ret_root   its public half   @out ret_next   what the card commits to */
ENT_RC ent_root_open_next(const char *folder, ent_bytes passphrase, const ent_hash *committed, uint64_t serial,
                          ent_root **ret, ent_public_key *ret_root, ent_hash *ret_next, ent_err *err);
void ent_root_free(ent_root *root);
/** Errors: those of ent_card_add_root, ent_card_sign, ent_cutoffs_sign. */
ENT_RC ent_root_take_over(const ent_root *root, ent_card *card, ent_err *err);
ENT_RC ent_root_card(const ent_root *root, const ent_card *card, ent_buf *ret, ent_err *err);
ENT_RC ent_root_cutoffs(const ent_root *root, ent_text party, const ent_cutoffs *cutoffs, ent_buf *ret, ent_err *err);

/* --- the keeper at work --- */

typedef struct ent_keeper ent_keeper;

/** The first lane of a keeper that is a process of its own signs, which waits for the disk; the others open. */
enum { ENT_KEEPER_LANES = 3 };

/** Open the keys and the high-water marks, which live in a folder of their own, apart from the store. A key whose file
 * is not there is lost, and the keeper goes without it: what needs it is refused. One that is damaged is not taken for
 * lost. Errors: ABSENT when there is no such folder, REFUSED (wrong passphrase; a key file others can read),
 * PEER_MALFORMED (a damaged file), IO, NOMEM. */
ENT_RC ent_keeper_open(const char *keys_folder, const char *marks_folder, ent_bytes passphrase, ent_keeper **ret,
                       ent_err *err);
/** Use a keeper that is another process, which serves these sockets (serve.h).
 *  @in   lanes   1 to ENT_KEEPER_LANES; taken over, on failure too
 *  Errors: what the other process got from ent_keeper_open; IO when it has ended.  Blocks: until it has its keys. */
ENT_RC ent_keeper_connect(const int *lanes, size_t count, ent_keeper **ret, ent_err *err);
void ent_keeper_free(ent_keeper *keeper);
/** The first keys; zeroed where one is lost. */
const ent_keeper_publics *ent_keeper_public_keys(const ent_keeper *keeper);
/** Have the key that the card of this serial brought (1: the first), reading its file if it was made meanwhile.
 *  @in   role   not TLS
 *  @out  ret_public   32 bytes: the public key, or the recipient
 *  Errors: ABSENT when it is lost, REFUSED, PEER_MALFORMED, IO, REFUSED when more were made than a party can have.
 * Threads: safe. */
ENT_RC ent_keeper_key(ent_keeper *keeper, ent_key_role role, uint64_t serial, uint8_t ret_public[32], ent_err *err);
/** The TLS key of that card, for the HTTP threads. Wiped by the caller with ent_buf_wipe.
 *  Errors: ABSENT, REFUSED, PEER_MALFORMED, IO. */
ENT_RC ent_keeper_tls_key(ent_keeper *keeper, uint64_t serial, ent_buf *ret_pem, ent_err *err);

typedef enum { ENT_KEEPER_HEAD = 'H', ENT_KEEPER_RECEIPT = 'R' } ent_keeper_what;

/** One thing to sign: a head of an own log, or a receipt for a head of another's. */
typedef struct {
    ent_keeper_what what;
    ent_text origin;
    ent_tree_head head;
    uint64_t timestamp_unix_s;     /* receipts */
    ent_public_key key;            /* which of the keys; zeroed: the first */
    const ent_tree_proof *extends; /* between the size signed last and this one; NULL when they are the same, or none */
    ent_signature signature;       /* answer */
    ent_rc rc;                     /* answer: ENT_OK or REFUSED_KEEPER */
} ent_keeper_request;

/** Sign several things: the marks of all are made durable with one sync, then each is signed. The same thing may be
 * signed again and gives the same signature; the same size with another root (or another time of a receipt), or a
 * larger one that is not shown to extend what was signed, is refused; so is a smaller one, but for a head that what was
 * signed is shown to extend: then the mark stays. Errors: IO, IO_FULL, NOMEM: no signature must be used.  Blocks: yes.
 * Threads: safe, one at a time. */
ENT_RC ent_keeper_sign(ent_keeper *keeper, ent_keeper_request *requests, size_t count, ent_err *err);

/** The largest head signed so far; ABSENT when there is none. */
ENT_RC ent_keeper_mark(ent_keeper *keeper, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err);

/** Opens age headers with the party's identity.  Threads: safe. */
ent_age_unwrapper ent_keeper_unwrapper(ent_keeper *keeper);

#endif
