/* One e-mail to some addresses (libcurl's SMTP): for alerts.  Source: RFC 5321, RFC 5322, RFC 2047, RFC 2045. */
#ifndef ENT_HTTP_MAIL_H
#define ENT_HTTP_MAIL_H

#include "base/bytes.h"

#include <stdatomic.h>

enum {
    ENT_MAIL_MAX_RECIPIENTS = 32,
    ENT_MAIL_ADDRESS_MAX_BYTES = 254, /* RFC 5321, section 4.5.3.1.3, less the brackets */
    ENT_MAIL_TEXT_MAX_BYTES = 64 * 1024
};

/** What is said. Nothing in it can begin another header: addresses and the id are checked, the subject is made one
 * line. */
typedef struct {
    const char *from;
    const char *const *to;
    size_t to_count;
    ent_text id; /* left part of Message-ID, the right one is the sender's domain: the same id is the same message */
    int64_t time_unix_s;
    ent_text subject; /* UTF-8; control characters become spaces */
    ent_text text;    /* UTF-8; lines end with \n */
} ent_mail;

/** How it leaves. */
typedef struct {
    const char *url;         /* smtp://host[:port], smtps://host[:port] */
    const char *user;        /* nullable; with a user TLS is required: no password goes out in the clear */
    const char *password;    /* nullable */
    const char *ca_file;     /* nullable: PEM of the authorities to trust instead of the system's */
    bool require_tls;        /* smtp://: refuse to go on without STARTTLS and a certificate that is trusted. Else
                              * STARTTLS is used when offered, by any certificate: better than none, but no protection
                              * from somebody in between */
    bool every_recipient;    /* fail when one address is refused; else only when all are */
    uint32_t timeout_ms;     /* of the whole; 0 = 30,000 */
    const atomic_bool *stop; /* nullable: break off when it becomes true */
} ent_mail_server;

/** Whether a text is an address as we send to: dot-atom@domain, ASCII, nothing quoted.
 *  Source: RFC 5321, section 4.1.2, without quoted strings and address literals. */
bool ent_mail_address_valid(ent_text address);
/** Whether a text is smtp:// or smtps:// with a host, a port or none, and nothing else. */
bool ent_mail_url_valid(ent_text url);

/** Write the message as it goes over the wire, CRLF included; dots are not stuffed yet.
 *  Errors: USAGE naming what is not allowed, NOMEM. */
ENT_RC ent_mail_put(const ent_mail *mail, ent_buf *ret, ent_err *err);

/** Hand it to the server. On success the server has taken it for at least one recipient.
 *  Errors: USAGE, UNREACHABLE (no connection, no TLS, too slow), REFUSED with the server's words, RETRY when stopped,
 *  NOMEM.  Blocks: yes. */
ENT_RC ent_mail_send(const ent_mail_server *server, const ent_mail *mail, ent_err *err);

#endif
