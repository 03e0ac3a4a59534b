/* The keys of a party in one channel, over time: from what the channel began with (its genesis), the newest card, and
 * the cutoffs of its log there. Pure; the newest card and cutoff note say all, so that whoever was away for several
 * rotations catches up with one of each.  Source: design.md section 2 "Rotation". */
#ifndef ENT_SEAL_KEYS_H
#define ENT_SEAL_KEYS_H

#include "log/cosignature.h"
#include "seal/card.h"
#include "seal/cutoff.h"

/** What the channel began with. */
typedef struct {
    ent_text name;
    ent_public_key root;
    ent_public_key log;
    ent_public_key receipt;
    ent_recipient age;
    ent_hash tls;
} ent_first_keys;

enum { ENT_KEYS_MAX = ENT_CARD_MAX_FORMER + 1 };

/** One key of a role. */
typedef struct {
    uint8_t value[32];
    bool revoked;
} ent_key;

/** A log key and the heads that are by it: those of more entries than `from`, up to the next one's. */
typedef struct {
    ent_public_key key;
    uint64_t from;
    uint64_t serial; /* of the card that named it; 0 = the genesis */
    bool revokes;    /* the key before it was revoked, not only replaced */
} ent_log_key;

/** Of each role oldest first; what the channel began with is the first. */
typedef struct {
    uint64_t serial; /* of the card; 0 = none beside the genesis */
    ent_public_key root;
    ent_log_key *log;
    size_t log_count;
    ent_key *roles[ENT_KEY_ROLE_COUNT]; /* that of the log is NULL */
    size_t role_count[ENT_KEY_ROLE_COUNT];
    const ent_cutoffs *cutoffs; /* NULL = none; its origin is empty */
    void *memory;               /* of all these */
} ent_keys;

/** Work out the keys.
 *  @in   card      nullable: nothing but the genesis is known
 *  @in   cutoffs   nullable: the log key has not changed in this channel
 *  Errors: PEER_MISMATCH when the card does not lead on from these keys, or a cutoff names a card that brought no log
 *  key; NOMEM.  Owns: release with ent_keys_release. */
ENT_RC ent_keys_make(const ent_first_keys *first, const ent_card *card, const ent_cutoffs *cutoffs, ent_keys *ret,
                     ent_err *err);
void ent_keys_release(ent_keys *keys);

/** The log key for a head of this many entries. */
const ent_log_key *ent_keys_log(const ent_keys *keys, uint64_t size);
/** Whether two say the same. */
bool ent_keys_equal(const ent_keys *a, const ent_keys *b);
/** The newest key of a role (not the log's). */
const ent_key *ent_keys_newest(const ent_keys *keys, ent_key_role role);
/** Whether this pin may stand on the other end: the newest, or the one before it unless it was revoked. */
bool ent_keys_has_pin(const ent_keys *keys, const ent_hash *pin);

/** Open a signed head: the log's own signature by the key for its size.
 *  Errors: as ent_checkpoint_open; PEER_SIGNATURE says when it is by a key that was replaced or revoked. */
ENT_RC ent_keys_open_head(const ent_keys *keys, ent_bytes bytes, ent_text origin, ent_note *ret_note,
                          ent_checkpoint *ret, ent_err *err);
/** The same for a head of before: a key that was replaced since may have signed beyond its cutoff. */
ENT_RC ent_keys_open_old_head(const ent_keys *keys, ent_bytes bytes, ent_text origin, ent_note *ret_note,
                              ent_checkpoint *ret, ent_err *err);

/** Verify a receipt's cosignature by any receipt key of the party.
 *  @out  ret_key   its place among the party's receipt keys in this channel
 *  Errors: PEER_SIGNATURE, NOMEM. */
ENT_RC ent_keys_verify_receipt(const ent_keys *keys, ent_text party, const ent_note *note,
                               ent_cosignature *ret_cosignature, uint32_t *ret_key, ent_err *err);
/** Make the vkey of the receipt key at a place.
 *  @out  ret_name   holds the vkey's name
 *  Errors: PEER_MALFORMED when there is none, NOMEM. */
ENT_RC ent_keys_receipt_vkey(const ent_keys *keys, ent_text party, uint32_t key, ent_buf *ret_name, ent_vkey *ret,
                             ent_err *err);
/** Whether that receipt key was revoked. */
bool ent_keys_receipt_revoked(const ent_keys *keys, uint32_t key);

#endif
