/* What is signed, and does not fit the log that it speaks of: heads by a key beyond its cutoff, and receipts for
 * another root than is held here. No fault of who shows them, and they count for nothing; they are kept, for they prove
 * what their signers did.  Source: design.md section 2 "Rotation", section 3 "no signed evidence is ever thrown away";
 * docs/decisions/0026. */
#ifndef ENT_NODE_PASSED_H
#define ENT_NODE_PASSED_H

#include "node/node.h"

/** At the start: whether anything was passed over in a channel before. */
ENT_RC ent_passed_load(ent_node *node, ent_channel *channel, ent_err *err);
/** Whether a kept head is by none of the keys that may have signed it: it lies beyond a cutoff that came later. */
bool ent_passed_beyond(const ent_keys *keys, ent_bytes note, const char *origin);

/** What an ack of a head is worth. */
typedef enum {
    ENT_ACK_COUNTS = 0,
    ENT_ACK_OTHER_HISTORY, /* of a log that forked, and not of the history that is held here */
    ENT_ACK_REPLACED_KEY   /* by a key beyond its cutoff, and of none of the log's history */
} ent_ack_worth;
/** NULL for one that counts, "other-history", "replaced-key". */
const char *ent_ack_worth_word(ent_ack_worth worth);
/** Weigh an ack of a member's log. Of what a key signed beyond its cutoff the log itself tells, once it is held so far;
 * until then the entry that tells of the revocation does: behind it the old key signed nothing of the log's.
 *  Errors: those of the store. */
ENT_RC ent_ack_weigh(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                     ent_ack_worth *ret, ent_err *err);
/** Whether a pouch brings a receipt apart that is not kept yet, and for which there is room. */
ENT_RC ent_apart_is_news(ent_node *node, const ent_channel *channel, const ent_pouch_checked *checked, bool *ret,
                         ent_err *err);
/** Write key "apart": the receipts of all channels, or of one, that are kept apart. */
ENT_RC ent_apart_put(ent_node *node, ent_json_writer *writer, const ent_channel *only, ent_err *err);

/* --- for apply, in a channel that the transaction has touched --- */

/** Keep what a pouch brought: the heads passed over that its new entries ack, and the receipts apart. */
ENT_RC ent_passed_store(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err);
/** Pass over the heads ahead of what is held that these keys, with their cutoffs, did not sign. */
ENT_RC ent_passed_by_cutoff(ent_node *node, ent_channel *channel, uint32_t member, const ent_keys *keys, ent_err *err);

#endif
