/* Saying something: one entry in our own log, with its sealed body.  Source: design.md section 2. */
#ifndef ENT_NODE_SAY_H
#define ENT_NODE_SAY_H

#include "node/sequencer.h"

/** What is to be said. Everything borrows until ent_say returns. */
typedef struct {
    ent_channel *channel;
    const char *kind;
    bool has_thread;
    ent_message_ref thread;
    bool has_reply_to;
    ent_message_ref reply_to;
    ent_text *to; /* sorted, members */
    size_t to_count;
    ent_marking marking;
    ent_urgency urgency;
    bool exercise;
    ent_bytes sealed; /* the sealed body; empty = none */
    ent_blob_ref *attachments;
    size_t attachment_count;
    /** Nullable: more to write in the same transaction. */
    ENT_RC (*also)(void *context, ent_node *node, ent_err *err);
    void *also_context;
} ent_saying;

/** Log it; returns when it is durable and signed.
 *  @out  ret_index   set also with REFUSED_KEEPER: logged, but held
 *  Errors: REFUSED_NOT_OPEN, REFUSED_FROZEN, REFUSED_KEEPER (logged, but held), those of the sequencer.  Blocks: yes.
 */
ENT_RC ent_say(ent_node *node, const ent_saying *saying, uint64_t *ret_index, ent_err *err);

/** Seal a body to every member of a channel, the writer included, in genesis order. */
ENT_RC ent_seal_for_channel(const ent_channel *channel, ent_bytes plain, ent_buf *ret, ent_err *err);
/** The members' recipients in genesis order; count = genesis.member_count. */
void ent_channel_recipients(const ent_channel *channel, ent_recipient ret[ENT_ENTRY_MAX_MEMBERS]);

#endif
