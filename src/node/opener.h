/* The opener: decrypts and validates what has been receipted, and only then (design.md section 3, step 10), and gives
 * it to the ledger. What does not open or validate, or is not allowed where it stands, is answered by one
 * `channel.notice`; a log's `opened` mark moves in the same transaction, so that a crash neither loses nor repeats it.
 *
 * What acks messages that are not here waits for them, with all that follows it in its log; it is told of at once. */
#ifndef ENT_NODE_OPENER_H
#define ENT_NODE_OPENER_H

#include "node/node.h"

ENT_RC ent_opener_new(ent_node *node, ent_opener **ret, ent_err *err);
/** End the thread. It may still be woken, in vain, until it is freed. NULL is fine. */
void ent_opener_stop(ent_opener *opener);
/** End the thread and free. NULL is fine. */
void ent_opener_free(ent_opener *opener);
void ent_opener_wake(ent_opener *opener);
void ent_reading_free(ent_reading *reading);

/** Open a stored body: the plain bytes, wiped by the caller.
 *  @out  ret_seal   nullable; whether it is sealed as agreed to every member
 *  Errors: ABSENT when the entry has no body, those of ent_age_open. */
ENT_RC ent_open_body(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_buf *ret_plain,
                     ent_seal_verdict *ret_seal, ent_err *err);

/** Whether sealed bytes are sealed as agreed: to a recipient of every member that was valid at some time.
 *  Errors: those of ent_seal_check. */
ENT_RC ent_open_check_seal(const ent_channel *channel, ent_bytes sealed, const ent_file_key *key, ent_seal_verdict *ret,
                           ent_err *err);

#endif
