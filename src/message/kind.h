/* Kinds of message: one embedded schema and one table row each.  Source: design.md section 4. */
#ifndef ENT_MESSAGE_KIND_H
#define ENT_MESSAGE_KIND_H

#include "message/entry.h"
#include "message/genesis.h"
#include "message/schema.h"

typedef struct {
    const char *name;     /* "incident.notification" */
    const char *title;    /* a few words for lists */
    const char *summary;  /* one sentence: what saying it does */
    const char *schema;   /* JSON Schema of the body's `fields` */
    const char *example;  /* a whole body, as JSON for people to read */
    bool before_open;     /* may pass before every member holds every entry 0 */
    bool is_answer;       /* answers the message it replies to */
    bool wants_answer;    /* stays unanswered until a kind with is_answer refers to it; see ent_kind_asks */
    bool needs_reply_to;  /* must name the message it replies to */
    bool starts_thread;   /* may stand without reply_to: every kind that does not need one */
    bool answers_own;     /* reply_to may name a message of the writer itself; a kind that needs reply_to and has not
                             this flag answers another party */
    bool needs_text;      /* the body must say it in words too */
    bool by_node;         /* logged by the node itself, never by `entente send` */
    bool while_suspended; /* passes while the channel is suspended */
    bool needs_neutral;   /* means nothing in a channel whose genesis names no neutral */
    bool by_neutral;      /* stands in the log of the channel's neutral alone */
} ent_kind;

size_t ent_kind_count(void);
const ent_kind *ent_kind_at(size_t at);
/** NULL for an unknown kind: such messages are kept and shown as unknown. */
const ent_kind *ent_kind_find(ent_text name);
/** Whether an entry of this kind stays unanswered until somebody answers it. A kind that both answers and asks, and may
 * stand alone (contact.check), asks only when it stands alone; one that must reply (proposal.counter) always asks. */
bool ent_kind_asks(const ent_kind *kind, const ent_entry *entry);
/** The JSON text of the schema of a kind's `fields`, for forms, documents and templates. */
ent_text ent_kind_schema(const ent_kind *kind);
/** A whole body of this kind as a person would write it; it passes ent_body_parse with no attachments. */
const char *ent_kind_example(const ent_kind *kind);
/** Check what a known kind asks of an entry in a member's log: a body, reply_to where it answers something, and that it
 * is no kind of the neutral's log. Unknown kinds pass.
 *  Errors: PEER_INVALID naming the field. */
ENT_RC ent_kind_check_entry(const ent_entry *entry, ent_err *err);

/** All schemas compiled once; immutable and shared by threads afterwards. */
typedef struct ent_kinds ent_kinds;
ENT_RC ent_kinds_new(ent_kinds **ret, ent_err *err);
void ent_kinds_free(ent_kinds *kinds);

/** An opened body: sealed JSON {fields, text{lang:…}, authentic, stix?, files[]}. */
typedef struct {
    ent_json *document;
    ent_json_value fields;
    ent_json_value text;         /* object language → text */
    ent_text authentic;          /* the language whose text rules; empty when there is no text */
    ent_json_value stix;         /* STIX 2.1 bundle or ABSENT */
    ent_json_value files;        /* array of {name, description?}, one per attachment in order */
    ent_marking content_marking; /* strictest TLP marking that the STIX objects refer to, or NONE */
} ent_body;

/** Parse a body and check the envelope and the fields of its kind. Unknown kinds get the envelope check only; unknown
 * members of the envelope and of fields are kept.
 *  @in   attachments   number of attachments of the entry; files[] must have as many rows
 *  Errors: PEER_MALFORMED, PEER_INVALID (names the field), PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_body_parse(const ent_kinds *kinds, ent_text kind, ent_bytes json, size_t attachments, ent_body *ret,
                      ent_err *err);
void ent_body_release(ent_body *body);

/** The salt and terms of a channel.genesis or channel.amendment body.  Errors: PEER_INVALID. */
ENT_RC ent_body_terms(const ent_body *body, uint8_t ret_salt[ENT_TERMS_SALT_SIZE], ent_buf *ret_terms, ent_err *err);

#endif
