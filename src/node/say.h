/* Saying something: one entry in our own log, with its sealed body.  Source: design.md section 2. */
#ifndef ENT_NODE_SAY_H
#define ENT_NODE_SAY_H

#include "ledger/facts.h"
#include "node/sequencer.h"

/** What is to be said. Everything borrows until ent_say returns. */
typedef struct {
    ent_channel *channel;
    const char *kind;
    bool has_thread; /* when it answers something, the thread of that is taken */
    ent_message_ref thread;
    bool has_reply_to;
    ent_message_ref reply_to;
    ent_text *to; /* sorted, members */
    size_t to_count;
    ent_marking marking;
    ent_urgency urgency;
    bool exercise;
    ent_bytes sealed;       /* the sealed body; empty = none */
    const ent_facts *facts; /* of that body, for the ledger; NULL = it is not valid */
    ent_blob_ref *attachments;
    size_t attachment_count;
    /** Nullable: more to write in the same transaction. */
    ENT_RC (*also)(void *context, ent_node *node, ent_err *err);
    void *also_context;
    ent_urgency *ret_urgency; /* nullable: as logged; raised when it is about a protected system */
} ent_saying;

/** Log it; returns when it is durable and signed. What the ledger or the agreement in force does not allow is refused
 * before anything is written, unless the node itself says it.
 *  @out  ret_index   set also with REFUSED_KEEPER: logged, but held
 *  Errors: REFUSED with the reason, REFUSED_NOT_OPEN, REFUSED_FROZEN, REFUSED_KEEPER (logged, but held), RETRY while
 *  what it refers to is being opened, those of the sequencer.  Blocks: yes. */
ENT_RC ent_say(ent_node *node, const ent_saying *saying, uint64_t *ret_index, ent_err *err);
/** Validate and seal a body that this node has written by itself, and say it.
 *  @in   saying   without sealed and facts
 *  Errors: those of ent_body_parse and ent_say. */
ENT_RC ent_say_body(ent_node *node, const ent_saying *saying, ent_bytes body, uint64_t *ret_index, ent_err *err);

/** Seal a body to every member of a channel, the writer included, in genesis order. */
ENT_RC ent_seal_for_channel(const ent_channel *channel, ent_bytes plain, ent_buf *ret, ent_err *err);
/** The members' recipients in genesis order; count = genesis.member_count. */
void ent_channel_recipients(const ent_channel *channel, ent_recipient ret[ENT_ENTRY_MAX_MEMBERS]);

#endif
