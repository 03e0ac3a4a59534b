/* Channels in memory: loading, finding, and snapshots for threads that read. */
#ifndef ENT_NODE_CHANNEL_H
#define ENT_NODE_CHANNEL_H

#include "node/node.h"

/** Load every channel of the store.  Errors: those of the store, PEER_MALFORMED for a damaged genesis, NOMEM. */
ENT_RC ent_channels_load(ent_node *node, ent_err *err);
void ent_channels_free(ent_node *node);

/** Make a channel from its genesis, without storing it; our index in its members is looked up by name.
 *  Errors: PEER_NOT_OURS when we are no member, PEER_MALFORMED, PEER_NOT_CANONICAL, NOMEM.  Owns: caller, until
 * ent_channel_publish. */
ENT_RC ent_channel_new(const ent_node *node, ent_bytes genesis, ent_channel **ret, ent_err *err);
void ent_channel_free(ent_channel *channel);
void ent_channel_release(ent_channel **channel); /* for ENT_CLEANUP */
/** Store a new channel and its logs, inside the sequencer's transaction. */
ENT_RC ent_channel_store(ent_node *node, ent_channel *channel, ent_channel_state state, const char *alias,
                         ent_err *err);
/** Make it visible; ownership goes to the node.  Errors: NOMEM. */
ENT_RC ent_channel_publish(ent_node *node, ent_channel *channel, ent_err *err);

/** Find by id; NULL when unknown. */
ent_channel *ent_channel_find(ent_node *node, const ent_hash *id);
/** Find by alias or by at least 8 hex digits of the id.  Errors: ABSENT (also when several fit). */
ENT_RC ent_channel_named(ent_node *node, ent_text name, ent_channel **ret, ent_err *err);
/** The at-th channel; NULL beyond the last. */
ent_channel *ent_channel_at(ent_node *node, size_t at);
size_t ent_channel_count(ent_node *node);

ent_channel_state ent_channel_state_now(ent_channel *channel);
void ent_channel_alias(ent_channel *channel, char ret[ENT_NAME_MAX_BYTES + 1]);
/** A copy of a member's committed log row. */
void ent_channel_log(ent_channel *channel, uint32_t member, ent_store_log *ret);
/** The largest head of a member's log that we have receipted and that has at most this many entries; size 0 when there
 * is none, or it was acked long ago. */
void ent_channel_receipted(ent_channel *channel, uint32_t member, uint64_t most, ent_tree_head *ret);
/** The head that an answer acks: the same, or, when the opener has not come as far, the first that covers the entry.
 *  @in   covering   number of the entry + 1; 0 = none is answered
 *  Errors: those of the store. */
ENT_RC ent_channel_ackable(ent_node *node, ent_channel *channel, uint32_t member, uint64_t most, uint64_t covering,
                           ent_tree_head *ret, ent_err *err);
/** A receipt for a larger head was signed. With the channel's lock held. */
void ent_channel_receipt_signed(ent_channel *channel, uint32_t member, const ent_tree_head *head);
/** How many entries of our log a signed head covers. */
uint64_t ent_channel_signed_size(ent_channel *channel);

/* --- held: hold.c --- */

/** "asking", "keeper", "peer-larger", "key"; "" for none. */
const char *ent_hold_word(ent_hold hold);
/** What holds a channel: the rollback guard, or else a lost log key. */
typedef struct {
    ent_hold hold;
    int64_t since_unix_s;
    char reason[sizeof((ent_channel *)NULL)->hold_reason]; /* "" = nothing */
} ent_held;
void ent_channel_held(const ent_node *node, ent_channel *channel, ent_held *ret);
/** Sign nothing new of ours any more, for this reason (never ENT_HOLD_KEY); a stronger hold that is there already
 * stays. Reported, and shown in `status`.
 *  @in   format   what is known, and what to do about it */
void ent_channel_hold(ent_channel *channel, ent_hold hold, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Hold for this reason instead of the one that is there, be it stronger: what was missing has come back. */
void ent_channel_hold_instead(ent_channel *channel, ent_hold hold, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Give another reason for the hold that is there, when it is this one. */
void ent_channel_hold_because(ent_channel *channel, ent_hold hold, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** End this hold, for the sequencer's transaction: what was said meanwhile is signed with the batch. False when it is
 * not the hold that is there. */
bool ent_channel_unhold(ent_channel *channel, ent_hold hold);
/** The guard's hold. */
ent_hold ent_channel_hold_now(ent_channel *channel);
/** Whether anything holds it. */
bool ent_channel_is_held(ent_channel *channel);
/** Whether a hold keeps everything of ours here; while members are asked, what was signed before goes on being offered.
 */
bool ent_hold_stops_all(ent_hold hold);
/** Index of the member whose TLS pin this is, or -1. */
int ent_channel_member_by_pin(const ent_channel *channel, const ent_hash *pin);

/** Write key: "<alias or id>/party/index". */
void ent_channel_member_message(ent_channel *channel, ent_json_writer *writer, const char *key,
                                ent_message_ref message);

/** A message named by a person: CHANNEL/PARTY/INDEX.  Errors: USAGE, ABSENT. */
ENT_RC ent_message_named(ent_node *node, ent_text name, ent_channel **ret_channel, uint32_t *ret_member,
                         uint64_t *ret_index, ent_err *err);
/** Read and decode one entry.  Errors: ABSENT, those of the store. */
ENT_RC ent_channel_entry(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_arena *arena,
                         ent_buf *ret_bytes, ent_entry *ret, ent_err *err);

#endif
