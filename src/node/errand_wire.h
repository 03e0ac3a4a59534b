/* What a node and its errands' process say to each other, in frames (keeper/lane.h): each message's writer beside its
 * reader. Nothing names a file or a program: alerts.json does, which the node cannot write.
 *
 *  request   u8 errand; EXECUTE: u8 size and word, then the alert's JSON, to the end; WRITE_CARD: the card, to the
 *            end; CERTIFICATE: u64 serial
 *  answer    u8 code, u8 size and rule, u16 size and text of what went wrong, then what was asked for, to the end */
#ifndef ENT_NODE_ERRAND_WIRE_H
#define ENT_NODE_ERRAND_WIRE_H

#include "base/bytes.h"

typedef enum {
    ENT_ERRAND_CONFIG = 1,     /* alerts.json, checked with the files that it names */
    ENT_ERRAND_PASSWORD,       /* email.password_file: its first line */
    ENT_ERRAND_WEBHOOK_SECRET, /* webhook.secret_file: its first line */
    ENT_ERRAND_EMAIL_CA,       /* email.ca_file */
    ENT_ERRAND_WEBHOOK_CA,     /* webhook.ca_file */
    ENT_ERRAND_EXECUTE,        /* run execute.path */
    ENT_ERRAND_REMOVE_SOCKET,  /* the node stops: DIR/socket goes */
    ENT_ERRAND_STOPPED_CLEAN,  /* the last act of a clean stop: its marker is written */
    ENT_ERRAND_WRITE_CARD,     /* our new card replaces DIR/card */
    ENT_ERRAND_CERTIFICATE     /* the TLS certificate that the card of a serial brought */
} ent_errand;

enum { ENT_ERRAND_WORD_MAX_BYTES = 40 };

/** Borrows from what was read. */
typedef struct {
    ent_errand errand;
    ent_text word;   /* EXECUTE: what the alert is about, [a-z-] */
    ent_bytes bytes; /* EXECUTE: the alert's JSON; WRITE_CARD: the card */
    uint64_t serial; /* CERTIFICATE */
} ent_errand_request;

/** Append a request.  Errors: USAGE (the word), NOMEM. */
ENT_RC ent_errand_request_put(const ent_errand_request *request, ent_buf *buf, ent_err *err);
/** Errors: PEER_MALFORMED. */
ENT_RC ent_errand_request_parse(ent_bytes bytes, ent_errand_request *ret, ent_err *err);

/** Append an answer.  Errors: NOMEM. */
ENT_RC ent_errand_answer_put(const ent_err *outcome, ent_bytes content, ent_buf *buf, ent_err *err);
/** Read one: ret_outcome->code is ENT_OK when the errand was done.  Errors: PEER_MALFORMED. */
ENT_RC ent_errand_answer_parse(ent_bytes bytes, ent_err *ret_outcome, ent_bytes *ret_content, ent_err *err);

#endif
