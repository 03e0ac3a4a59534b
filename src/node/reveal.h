/* A file key that a writer shows decides what is the matter with a body that somebody contests.  Source: design.md
 * section 3: "which marks the message contested until its writer shows the file key; well-formed ⇒ the original clock
 * stands". What is found is kept (store.h) and counts wherever the message does. */
#ifndef ENT_NODE_REVEAL_H
#define ENT_NODE_REVEAL_H

#include "ledger/facts.h"
#include "node/node.h"

/** Find out what a channel.reveal shows.
 *  @in   member   who says it
 *  @in   index    of the entry that says it, or that is to say it
 *  @out  ret      state 0: nothing, for it is not about an own message, or the key is another file's
 *  Errors: our own trouble (ent_examine_failed). */
ENT_RC ent_reveal_judge(ent_node *node, ent_channel *channel, uint32_t member, const ent_message_ref *about,
                        const ent_facts *facts, ent_store_revealed *ret, ent_err *err);
/** The same for one that came: judge it and keep what was found. The ledger is made anew when that changes something.
 *  Errors: our own trouble. */
ENT_RC ent_reveal_take(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry,
                       const ent_facts *facts, ent_err *err);
/** Say it: show the file key of one of our own messages.
 *  @in   reasons   nullable text
 *  @out  ret       what it shows
 *  Errors: REFUSED when the message is not ours or has no body, those of ent_say. */
ENT_RC ent_reveal_say(ent_node *node, ent_channel *channel, uint64_t index, ent_text reasons, uint64_t *ret_index,
                      ent_store_revealed *ret, ent_err *err);

#endif
