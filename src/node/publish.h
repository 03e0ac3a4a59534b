/* What of a channel may be published.  Source: design.md section 4 "Marking": "`disclose` and `report` above CLEAR need
 * the writer's logged consent or a logged override". */
#ifndef ENT_NODE_PUBLISH_H
#define ENT_NODE_PUBLISH_H

#include "node/account.h"

typedef struct {
    ent_node *node;
    ent_channel *channel;
    ent_account_list grants; /* consents of any writer and overrides of ours, for reports */
    ent_account_list known;  /* what was found out of single messages, by message */
    int failed;              /* ENT_OK, or why nothing more is found out: then nothing may be published */
    ent_err err;
} ent_publishing;

/** What a message is marked, and whether it may be named. */
typedef struct {
    ent_ledger_ref message;
    ent_marking marking; /* effective: the strictest of entry and content; never NONE */
    bool readable;       /* its body opened */
    bool may;
} ent_published;

void ent_publishing_begin(ent_node *node, ent_channel *channel, ent_publishing *ret);
void ent_publishing_release(ent_publishing *publishing);
/** With the ledger locked: note consents and overrides of a thread; they are opened by ent_publishing_open. */
ENT_RC ent_publishing_note(ent_publishing *publishing, const ent_thread_view *thread, ent_err *err);
/** Without it: read what was noted.  Errors: those of the store, NOMEM. */
ENT_RC ent_publishing_open(ent_publishing *publishing, ent_err *err);
/** Find out of one message.  Errors: those of the store, NOMEM. */
ENT_RC ent_publishing_of(ent_publishing *publishing, ent_ledger_ref message, ent_published *ret, ent_err *err);
/** For ent_account_filter; a failure says no, and is kept. */
bool ent_publishing_may(void *context, ent_ledger_ref message);

#endif
