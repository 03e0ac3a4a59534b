/* Kinds of message: one embedded schema and one table row each.  Source: design.md section 4. */
#ifndef ENT_MESSAGE_KIND_H
#define ENT_MESSAGE_KIND_H

#include "message/entry.h"
#include "message/genesis.h"
#include "message/schema.h"

typedef struct {
    const char *name;   /* "incident.notification" */
    const char *title;  /* a few words for lists */
    const char *schema; /* JSON Schema of the body's `fields` */
    bool before_open;   /* may pass before every member holds every entry 0 */
    bool is_answer;     /* answers the message it replies to */
    bool wants_answer;  /* stays unanswered until a kind with is_answer refers to it; a message of a kind that both
                           answers and wants an answer wants one only when it replies to nothing */
    bool needs_reply_to;
    bool needs_text; /* the body must say it in words too */
    bool by_node;    /* logged by the node itself, never by `entente send` */
} ent_kind;

size_t ent_kind_count(void);
const ent_kind *ent_kind_at(size_t at);
/** NULL for an unknown kind: such messages are kept and shown as unknown. */
const ent_kind *ent_kind_find(ent_text name);
/** Check what a known kind asks of its entry: a body, and reply_to where it answers something. Unknown kinds pass.
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

/** The salt and terms of a channel.genesis body.  Errors: PEER_INVALID. */
ENT_RC ent_body_terms(const ent_body *body, uint8_t ret_salt[ENT_TERMS_SALT_SIZE], ent_buf *ret_terms, ent_err *err);

#endif
