/* Quotas: how much a writer may add to a channel.  Source: design.md section 2 "Genesis", section 3 step 1;
 * docs/formats.md "Quotas".
 *
 * Each UTC day gives each writer the genesis' entries_a_day and bytes_a_day; 0 = no limit. What arrives counts on the
 * day it arrives, by our clock, whoever carried it. What a writer leaves of a day stays to its credit, up to
 * ENT_QUOTA_SPARE_DAYS days' worth: so one who keeps to the quota each day and was cut off for weeks is taken in at
 * once when it is back. For what we say ourselves the day alone counts, so that no receiver ever has to refuse it.
 *
 * A clock set back takes nothing away and gives nothing; the next day begins at the next midnight that it shows. */
#ifndef ENT_NODE_QUOTA_H
#define ENT_NODE_QUOTA_H

#include "node/node.h"

enum { ENT_QUOTA_SPARE_DAYS = 30, ENT_QUOTA_WANTED_MOST = 4096 };

/** What may still come today. */
typedef struct {
    uint64_t entries; /* UINT64_MAX = no limit */
    uint64_t bytes;
} ent_quota_room;

/** Bring a count to the day of this time: a new day adds what the days before left. */
void ent_quota_turn(const ent_quotas *quotas, int64_t now_unix_s, ent_store_usage *usage);
/** What a count that was brought to today leaves.
 *  @in   with_spare   what the days before left counts too */
void ent_quota_left(const ent_quotas *quotas, const ent_store_usage *usage, bool with_spare, ent_quota_room *ret);

/** Whether a pouch may be taken, by what its request announces. What it says may be wrong: ent_quota_receive decides.
 *  @in   size     entries of the log with it
 *  @in   length   bytes of the pouch
 *  Errors: PEER_QUOTA, with the time after which it is worth trying again. */
ENT_RC ent_quota_pouch(ent_channel *channel, uint32_t writer, uint64_t size, uint64_t length, ent_err *err);
/** In the sequencer's transaction: count entries of another member that are about to be appended.
 *  @in   bytes   entries and sealed bodies
 *  Errors: PEER_QUOTA, and then nothing is counted. */
ENT_RC ent_quota_receive(ent_channel *channel, uint32_t writer, uint64_t entries, uint64_t bytes, ent_err *err);

/** In the sequencer's transaction: whether our own log may grow today by one entry.
 *  @in   bytes   entry and sealed body
 *  @in   attachment_bytes   sealed, of attachments that it names
 *  Errors: PEER_QUOTA, those of the store. */
ENT_RC ent_quota_say(ent_node *node, ent_channel *channel, uint64_t bytes, uint64_t attachment_bytes, ent_err *err);
/** Count an entry of ours that is about to be appended, whether or not it was asked for. */
void ent_quota_said(ent_channel *channel, uint64_t bytes);

/** Whether an attachment of a writer may come: with those that are held, are under way, or have come and are not
 * settled yet. They are looked through in the order of its log, ENT_QUOTA_WANTED_MOST of those that have not come at
 * most; one behind these has to wait for them.
 *  @in   digest   of the sealed file; NULL = one of our own
 *  @in   bytes    its size, sealed
 *  Errors: PEER_QUOTA, those of the store. */
ENT_RC ent_quota_attachment(ent_node *node, ent_channel *channel, uint32_t writer, const ent_hash *digest,
                            uint64_t bytes, ent_err *err);

/** What a member has used today, may still say, and holds in attachments. Read-only copy for those who show it.
 *  Errors: those of the store. */
typedef struct {
    ent_store_usage usage; /* of today */
    ent_quota_room left;
    uint64_t attachment_bytes; /* held */
} ent_quota_state;
ENT_RC ent_quota_show(ent_node *node, ent_channel *channel, uint32_t writer, ent_quota_state *ret, ent_err *err);

#endif
