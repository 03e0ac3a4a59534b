/* A JSON document posted to somebody's URL: for alerts. Unlike calls to peers, the system's authorities vouch for the
 * server. */
#ifndef ENT_HTTP_WEBHOOK_H
#define ENT_HTTP_WEBHOOK_H

#include "base/bytes.h"

#include <stdatomic.h>

typedef struct {
    const char *url;         /* https://… or http://… */
    ent_bytes secret;        /* empty = unsigned; else the header Entente-Signature: sha256=<hex> is the HMAC-SHA256 of
                              * the body under it */
    const char *ca_file;     /* nullable: PEM of the authorities to trust instead of the system's */
    uint32_t timeout_ms;     /* of the whole; 0 = 30,000 */
    const atomic_bool *stop; /* nullable: break off when it becomes true */
} ent_webhook;

/** Whether a text is an http:// or https:// URL with a host, printable ASCII, and no user or password in it. */
bool ent_webhook_url_valid(ent_text url);

/** Post it. Any 2xx is success; a redirect is not followed, and of the answer only the beginning is read.
 *  Errors: USAGE, UNREACHABLE, REFUSED with status and the beginning of the answer, RETRY when stopped, NOMEM.
 *  Blocks: yes. */
ENT_RC ent_webhook_post(const ent_webhook *hook, ent_text json, ent_err *err);

#endif
