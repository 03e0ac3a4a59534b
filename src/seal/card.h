/* Cards: what a party says of itself, signed by its root key.  Source: design.md section 2 "Card", "Keys", "Rotation".
 *
 * A card is a signed note. Its text is the line "entente.card/v1 <party>" and one line of JSON; its signature (type 01)
 * is by the key "<party>/entente/root". The JSON may hold any UTF-8 (names and places of contacts), escaped so that it
 * has no control character. */
#ifndef ENT_SEAL_CARD_H
#define ENT_SEAL_CARD_H

#include "log/note.h"

enum {
    ENT_CARD_MAX_BYTES = 16 * 1024,
    ENT_CARD_MAX_CONTACTS = 16,
    ENT_CARD_MAX_LANGUAGES = 16,
    ENT_CARD_TEXT_MAX_BYTES = 256, /* url and texts of contacts */
    ENT_CARD_MAX_FORMER = 64,
    ENT_CARD_MAX_ROOTS = 16,
    ENT_FINGERPRINT_TEXT_SIZE = 49 /* 10 groups of 4 hex digits, 9 spaces */
};

/** A point of contact, reachable around the clock. Texts are one line of UTF-8 without control characters and may be
 *  empty, but a phone number or an e-mail address must be there. */
typedef struct {
    ent_text role; /* "technical" or "diplomatic" */
    ent_text name;
    ent_text position;
    ent_text phone;
    ent_text email;
    ent_text languages[ENT_CARD_MAX_LANGUAGES]; /* BCP 47 tags */
    size_t language_count;
    ent_text hours; /* "24/7" or UTC intervals, free text */
} ent_card_contact;

typedef struct {
    uint64_t entries_a_day; /* 0 = no limit told */
    uint64_t bytes_a_day;
    uint64_t attachment_bytes; /* of one attachment */
} ent_card_quotas;

/** What a key is for. */
typedef enum {
    ENT_KEY_ROLE_LOG = 0,
    ENT_KEY_ROLE_RECEIPT,
    ENT_KEY_ROLE_AGE, /* its recipient */
    ENT_KEY_ROLE_TLS, /* its pin */
    ENT_KEY_ROLE_COUNT
} ent_key_role;
/** "log", "receipt", "age", "tls". */
const char *ent_key_role_word(ent_key_role role);
/** False for any other word. */
bool ent_key_role_find(ent_text word, ent_key_role *ret);

/** A key that cards before this one named. */
typedef struct {
    ent_key_role role;
    uint8_t value[32];
    uint64_t last; /* serial of the last card that named it */
    bool revoked;  /* it may be in other hands */
} ent_card_former;

/** A root key that took over, and what it commits to: by its own signature over the lines "entente.root/v1 <party>",
 * its public key and the hash of the next one, in hex. */
typedef struct {
    ent_public_key root;
    ent_hash next; /* SHA-256 of the next root public key */
    ent_signature signature;
} ent_card_root;

/** A card's contents; texts borrow (from the arena of an opened card, or from the caller's memory when making one). */
typedef struct {
    ent_text name;
    uint64_t serial;   /* from 1 */
    bool has_previous; /* in all but the first */
    ent_hash previous; /* SHA-256 of the note text of the card before */
    ent_text issued;   /* YYYY-MM-DDThh:mm:ssZ */
    ent_public_key root;
    ent_hash next_root; /* SHA-256 of the next root public key's 32 bytes */
    ent_public_key log;
    ent_public_key receipt;
    ent_recipient age;
    ent_hash tls; /* SHA-256 of the certificate's SubjectPublicKeyInfo (DER) */
    ent_text url; /* https://host:port, or empty for an air-gapped party */
    ent_card_quotas quotas;
    ent_card_contact contacts[ENT_CARD_MAX_CONTACTS];
    size_t contact_count;
    ent_card_former former[ENT_CARD_MAX_FORMER]; /* all that there ever were, by `last`, then by role */
    size_t former_count;
    ent_card_root
        roots[ENT_CARD_MAX_ROOTS]; /* all that took over, each committed to by the one before; this card's last */
    size_t root_count;
} ent_card;

/** Serial of the first card that named a key of a role: that of the card's own key, or of its former one in that row.
 *  @in   former   row, or former_count for the present key */
uint64_t ent_card_key_serial(const ent_card *card, ent_key_role role, size_t former);
/** The 32 bytes of a card's key in a role. */
const uint8_t *ent_card_key(const ent_card *card, ent_key_role role);

/** An opened card: contents and the memory they live in. */
typedef struct {
    ent_card card;
    ent_hash text_hash; /* what the next card names as previous */
    ent_arena arena;
} ent_card_opened;

/** Add the card's root key, which takes over with this card, to its roots.
 *  @in   root   the secret half of card->root
 *  Errors: USAGE when it is not, or too many took over before; NOMEM. */
ENT_RC ent_card_add_root(ent_card *card, const ent_secret_key *root, ent_err *err);

/** Append the signed note of a card.
 *  Errors: USAGE when a field is not allowed (the text names it) or root is not card->root's key, those of the
 *  buffer. */
ENT_RC ent_card_sign(const ent_card *card, const ent_secret_key *root, ent_buf *ret, ent_err *err);
/** Parse a card, check every field, and verify that the root key it names signed it. That root key is not yet trusted:
 *  compare the fingerprint, or check it against a card known before (ent_card_succeeds). JSON members that are not
 *  known are ignored.
 *  Owns: caller releases with ent_card_release.
 *  Errors: PEER_MALFORMED naming the field, PEER_SIGNATURE, PEER_MISMATCH (one public key in two roles, roots that do
 *  not follow each other),
 *  PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_card_parse(ent_bytes bytes, ent_card_opened *ret, ent_err *err);
void ent_card_release(ent_card_opened *card);

/** Whether `next` may follow `current`, at once or after cards that did not come here: same name, a larger serial
 *  (previous = hash of current where it is the next one), and its root key is the same with the same commitment (a
 * stolen root key must not replace it), or the one committed by current, or one that its roots lead to from there.
 * Every key of current that it does not name any more is among its former ones, and what was revoked stays so. Errors:
 * PEER_MISMATCH with the reason. */
ENT_RC ent_card_succeeds(const ent_card_opened *current, const ent_card_opened *next, ent_err *err);

/** Fingerprint for people to compare: the first 160 bits of SHA-256 over the root vkey's text, as "xxxx xxxx …" and a
 *  NUL. It names party and root key, so it stays the same when a new card is issued under the same root.
 *  Errors: USAGE for a bad name, NOMEM. */
ENT_RC ent_card_fingerprint(const ent_card *card, char ret[ENT_FINGERPRINT_TEXT_SIZE + 1], ent_err *err);
/** Whether what a person typed (any case, spaces, colons) is that fingerprint, whole. */
bool ent_fingerprint_matches(const char *fingerprint, ent_text typed);

/** Append the name of a key: "<party>/entente/root", "<party>/entente/receipt". */
void ent_root_key_name_put(ent_buf *buf, ent_text party);
void ent_receipt_key_name_put(ent_buf *buf, ent_text party);

#endif
