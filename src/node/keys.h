/* The keys of the members of a channel as they are known now: from the genesis, the newest card, the cutoffs. What is
 * published never changes and lives as long as the channel; a rotation publishes anew.  Source: design.md section 2
 * "Rotation". */
#ifndef ENT_NODE_KEYS_H
#define ENT_NODE_KEYS_H

#include "node/node.h"
#include "seal/keys.h"

struct ent_known_keys {
    ent_keys keys;
    uint64_t announced; /* ours: serial of the last card that an entry of our log told of */
    ent_known_keys *before;
    _Atomic(uint64_t) *contested_end; /* per log key: 1 + index of the entry that tells of it; 0 = not known yet */
};

/** A member's keys.  Threads: safe. */
const ent_keys *ent_channel_keys(const ent_channel *channel, uint32_t member);
/** The same with what the running transaction adds; for apply. */
const ent_keys *ent_channel_keys_next(const ent_channel *channel, uint32_t member);
/** The key for a head of our own log of this size. */
const ent_public_key *ent_channel_log_key(const ent_channel *channel, uint64_t size);
/** Place of the receipt key that we sign with now. */
uint32_t ent_channel_receipt_key(const ent_channel *channel);

/** Our receipt key at a place. */
ent_public_key ent_channel_receipt_public(const ent_channel *channel, uint32_t place);

/** Whether an entry lies between the cutoff of a revoked log key and the entry that tells of it: *contested*.
 *  @out  ret_serial   of the card that revoked the key; 0 = it does not
 *  Errors: those of the store. */
ENT_RC ent_keys_contested(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, uint64_t *ret_serial,
                          ent_err *err);

/** Those of the genesis, for a channel that is being made; and what the store knows beyond them.
 *  Errors: NOMEM; those of the store, PEER_MALFORMED for what is damaged there. */
ENT_RC ent_channel_keys_begin(ent_channel *channel, ent_err *err);
ENT_RC ent_channel_keys_load(ent_node *node, ent_channel *channel, uint32_t member, ent_err *err);
void ent_channel_keys_free(ent_channel *channel);

/** What cards and cutoffs add to what is known of a channel's members. */
typedef struct {
    ent_known_keys *members[ENT_ENTRY_MAX_MEMBERS]; /* NULL = nothing new */
    uint64_t serials[ENT_ENTRY_MAX_MEMBERS];        /* stamps of what it was worked out from */
    ent_buf cards[ENT_ENTRY_MAX_MEMBERS];
    ent_buf cutoffs[ENT_ENTRY_MAX_MEMBERS];
    bool any;
} ent_keys_news;
void ent_keys_news_release(ent_keys_news *news);

/** Check the cards and cutoffs of a pouch ("`cards/` in a pouch are checked first").  Cards that are not newer than
 * what is known, and our own, are passed over.
 * Those of another than the pouch's writer that do not fit what is known are left out and reported: no member can make
 * two others refuse each other.
 *  Errors: PEER_MISMATCH, PEER_SIGNATURE, PEER_MALFORMED naming the part; PEER_FORK when a cutoff gives another root
 * than that log has here: it is frozen then. */
ENT_RC ent_keys_of_pouch(ent_node *node, ent_channel *channel, const ent_pouch *pouch, ent_keys_news *ret,
                         ent_err *err);
/** Whether the new entries of a log lead to the roots of its cutoffs among them.
 *  Errors: PEER_FORK (recorded, the log is frozen). */
ENT_RC ent_keys_check_new(ent_node *node, ent_channel *channel, uint32_t member, const ent_keys_news *news,
                          const ent_tree *held, const ent_pouch_checked *checked, ent_err *err);
/** Keys for a check: what is known, with the news. */
void ent_keys_with(const ent_channel *channel, const ent_keys_news *news, const ent_keys *ret[ENT_ENTRY_MAX_MEMBERS]);

/* --- for apply, in a channel that the transaction has touched --- */

/** Before anything is written.  Errors: RETRY when others came first. */
ENT_RC ent_keys_may_store(const ent_channel *channel, const ent_keys_news *news, ent_err *err);
/** Store the news, in the other channels of those members too; published after the commit. Takes the news over. */
ENT_RC ent_keys_store(ent_node *node, ent_channel *channel, ent_keys_news *news, ent_err *err);
/** Take in a newer card of a peer, in all channels that it is a member of; older ones are passed over. */
ENT_RC ent_keys_learn(ent_node *node, ent_bytes card, ent_err *err);
/** Keep these keys of a member, worked out from card and cutoffs; published after the commit. Takes known over. */
ENT_RC ent_keys_put(ent_node *node, ent_channel *channel, uint32_t member, ent_known_keys *known, ent_bytes card,
                    ent_bytes cutoffs, ent_err *err);
/** Work out keys.  @in card, cutoffs   empty = none */
ENT_RC ent_known_keys_make(const ent_channel *channel, uint32_t member, ent_bytes card, ent_bytes cutoffs,
                           uint64_t announced, ent_known_keys **ret, ent_err *err);
void ent_known_keys_free(ent_known_keys *known);

/* --- the sequencer's --- */

/** Whether a head of our log of this size waits for a log key that the running transaction does not bring. */
bool ent_keys_await(const ent_node *node, const ent_channel *channel, uint64_t size);
/** After the commit; and when the batch failed. */
void ent_keys_publish(const ent_node *node, ent_channel *channel);
void ent_keys_forget(ent_channel *channel);

/* --- telling others --- */

/** Which card and how many cutoffs of a member are known; 0 = only the genesis. */
uint64_t ent_keys_stamp(const ent_channel *channel, uint32_t member);
void ent_keys_stamps(const ent_channel *channel, uint64_t ret[ENT_ENTRY_MAX_MEMBERS]);
/** Add the cards and cutoffs that a receiver may lack. What is packed lives in the arena.
 *  @in   all   those of the genesis too: the receiver may know nothing of the channel */
ENT_RC ent_keys_pack(ent_node *node, const ent_channel *channel, uint32_t to, bool all, ent_arena *arena,
                     ent_pouch *pouch, ent_err *err);
/** A member took a pouch with the keys as they were at these stamps.
 *  @in   stamps   NULL: it may have lost what it knew */
void ent_keys_told(ent_channel *channel, uint32_t to, const uint64_t stamps[ENT_ENTRY_MAX_MEMBERS]);

#endif
