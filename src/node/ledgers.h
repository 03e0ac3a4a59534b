/* The ledger of each channel, in memory: made from the store when it is first asked for, and fed from then on. What we
 * say is pushed by the sequencer (say.c), what others say by the opener once it is opened, receipts are read from the
 * store when somebody looks.
 *
 * Never wait for the sequencer while a ledger is locked: it takes that lock itself. Reading the store is fine.
 * Source: design.md section 5; ledger/ledger.h. */
#ifndef ENT_NODE_LEDGERS_H
#define ENT_NODE_LEDGERS_H

#include "ledger/ledger.h"
#include "node/node.h"

ENT_RC ent_ledgers_new(ent_channel_ledger **ret, ent_err *err);
void ent_ledgers_free(ent_channel_ledger *held);

/** Lock a channel's ledger: with every entry that was said, or opened, so far.
 *  Blocks: for as long as others hold it; the first time, while the channel's bodies are opened.
 *  Errors: those of the store, NOMEM, RETRY when the node stops; then it is not locked.  Owns: give it back with
 * ent_ledgers_unlock. */
ENT_RC ent_ledgers_lock(ent_node *node, ent_channel *channel, ent_ledger **ret, ent_err *err);
/** The same, with the receipts that the store holds by now: for what is due, done, and digests. */
ENT_RC ent_ledgers_lock_evidence(ent_node *node, ent_channel *channel, ent_ledger **ret, ent_err *err);
/** For the opener, which has all channels to serve: when it is not made yet, bring it nearer.
 *  Errors: WAITING when it is not made yet: come again. */
ENT_RC ent_ledgers_lock_step(ent_node *node, ent_channel *channel, ent_ledger **ret, ent_err *err);
/** For the sequencer, which has all channels to serve: the ledger as it stands in memory, without reading the store.
 *  Errors: RETRY when it is not made yet, or somebody holds it for long: lock it once outside the sequencer, and come
 *  again.  Blocks: for some milliseconds, once a transaction. */
ENT_RC ent_ledgers_lock_now(ent_channel *channel, ent_ledger **ret, ent_err *err);
void ent_ledgers_unlock(ent_channel *channel);
/** Whether it is in memory: locking it reads at most what came last. */
bool ent_ledgers_is_made(ent_channel *channel);

/** Make another ledger, of the beginning of each log only, with all receipts: what a channel was when its logs had
 * these sizes. Entries that ack more than that are left out, with what follows them.
 *  @in   ends   entries of each member's log; at most what is opened is taken
 *  Blocks: while the bodies are opened.  Owns: caller frees with ent_ledger_free. */
ENT_RC ent_ledgers_past(ent_node *node, ent_channel *channel, const uint64_t *ends, ent_ledger **ret, ent_err *err);

/** Leave out of an entry the acks that the ledger does not count: of a log that forked, those of another history than
 * the one that is held here; of any, those of what was passed over (passed.h).  Errors: those of the store. */
ENT_RC ent_ledgers_drop_foreign(ent_node *node, ent_channel *channel, ent_entry *entry, ent_err *err);
/** With the ledger locked: whether it holds all that an entry acks; else ent_ledger_entry would say RETRY. */
bool ent_ledgers_knows_acked(const ent_channel *channel, const ent_ledger *ledger, const ent_entry *entry);
/** Forget what is in memory: what it holds was not committed. It is made again when it is next asked for. */
void ent_ledgers_forget(ent_channel *channel);
/** Roots for ent_ledger_evidence_lines; the context is an ent_ledgers_roots.  Errors: RETRY beyond what is committed,
 * those of the store. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
} ent_ledgers_roots;
ENT_RC ent_ledgers_root(void *context, uint32_t member, uint64_t size, ent_hash *ret, ent_err *err);

#endif
