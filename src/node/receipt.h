/* Receipts as notes: the checkpoint's text and one cosignature line. */
#ifndef ENT_NODE_RECEIPT_H
#define ENT_NODE_RECEIPT_H

#include "node/pack.h"

/** Append a receipt for `member`'s log as a note.
 *  @in   receipt   its receiver, head, cosignature and key */
ENT_RC ent_receipt_put(const ent_channel *channel, uint32_t member, const ent_store_receipt *receipt, ent_buf *ret,
                       ent_err *err);
/** Our first receipt that covers a size, as a note; signed anew if its signature was not stored before a crash, or its
 * key is revoked by now.
 *  Errors: ABSENT when there is none. */
ENT_RC ent_receipt_covering(ent_node *node, ent_channel *channel, uint32_t member, uint64_t size, ent_buf *ret,
                            ent_err *err);
/** Member index of a log number in a channel, or -1. */
int ent_channel_member_of_log(const ent_channel *channel, int64_t log);
/** Whether a stored receipt carries its signature yet. */
bool ent_receipt_is_signed(const ent_store_receipt *receipt);

/** Take in a receipt that answers a pouch of ours, of any log: parse, check signature and root, and store it with the
 * delivery it proves. One for more than we hold of another's log cannot be checked: it only tells that the member lacks
 * nothing.
 *  @in   note     the whole note
 *  @in   packed   what the pouch held, and so what the member now has
 *  Errors: PEER_MALFORMED, PEER_SIGNATURE, PEER_INCONSISTENT (a root that is not ours), those of the sequencer. */
ENT_RC ent_receipt_take(ent_node *node, ent_channel *channel, uint32_t receiver, ent_bytes note,
                        const ent_packed *packed, uint64_t *ret_size, ent_err *err);

/** In the sequencer's transaction: store receipts that were checked, and what they say of our deliveries. */
ENT_RC ent_receipts_store(ent_node *node, ent_channel *channel, ent_checked_receipt *receipts, size_t count,
                          ent_err *err);
/** The same for receipts that we gave ourselves and have forgotten: they come back as they were first given. */
ENT_RC ent_receipts_store_own(ent_node *node, ent_channel *channel, ent_checked_receipt *receipts, size_t count,
                              ent_err *err);
/** After commit: what was counted without receipts of ours that came back is counted again. */
void ent_receipts_came_back(ent_channel *channel, const ent_checked_receipt *receipts, size_t count);
/** After commit: tell those who watch. */
void ent_receipts_told(ent_node *node, ent_channel *channel, const ent_checked_receipt *receipts, size_t count);

#endif
