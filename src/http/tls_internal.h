/* Private to src/http: GnuTLS for the server. */
#ifndef ENT_HTTP_TLS_INTERNAL_H
#define ENT_HTTP_TLS_INTERNAL_H

#include "http/tls.h"

/** TLS 1.3 only, without the groups that cost a server most. */
#define ENT_TLS_PRIORITIES                                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:"                          \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"

/** Whether the key belongs to the certificate and both can be used.  Errors: USAGE. */
ENT_RC ent_tls_check_pair(ent_text key_pem, ent_text certificate_pem, ent_err *err);
/** Pin of the certificate that the other end of a session presented; false when it presented none.
 *  @in   session   a gnutls_session_t after its handshake */
bool ent_tls_session_pin(void *session, ent_hash *ret);
/** Ask clients for a certificate without naming authorities: a client would send only what one of them signed.
 *  @in   session   a gnutls_session_t before its handshake */
void ent_tls_session_prepare(void *session);

#endif
