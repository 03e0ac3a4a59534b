/* TLS identities: an ECDSA P-256 key, a self-signed certificate, and the pin that stands in the card.  Source:
 * design.md sections 2 and 3. */
#ifndef ENT_HTTP_TLS_H
#define ENT_HTTP_TLS_H

#include "crypto/types.h"

/** Make a key and a certificate for a party (CN and SAN = name; valid 1970..9999: the pin is what counts).
 *  @out  ret_key_pem   secret: wiped by the caller with ent_buf_wipe   @out ret_certificate_pem
 *  Errors: IO when GnuTLS cannot, NOMEM. */
ENT_RC ent_tls_generate(ent_text name, ent_buf *ret_key_pem, ent_buf *ret_certificate_pem, ent_err *err);
/** SHA-256 of the certificate's SubjectPublicKeyInfo in DER.  Errors: PEER_MALFORMED. */
ENT_RC ent_tls_pin(ent_bytes certificate_pem, ent_hash *ret, ent_err *err);

#endif
