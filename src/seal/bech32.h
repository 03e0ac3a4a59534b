/* Bech32 of age keys.  Source: BIP 173 (checksum constant 1), C2SP age, "The X25519 recipient type". */
#ifndef ENT_SEAL_BECH32_H
#define ENT_SEAL_BECH32_H

#include "base/bytes.h"
#include "crypto/types.h"

enum { ENT_BECH32_MAX_DATA = 64, ENT_BECH32_MAX_TEXT = 160 };

/** Append the bech32 form; upper case when hrp is upper case.
 *  Errors: USAGE for a bad hrp or too many bytes, those of the buffer. */
ENT_RC ent_bech32_put(ent_buf *buf, ent_text hrp, ent_bytes data, ent_err *err);
/** Decode; hrp must match exactly (its case is the case of the whole text, mixed case is refused).
 *  @out  ret_data   room for ENT_BECH32_MAX_DATA   @out ret_size bytes written
 *  Errors: PEER_MALFORMED, USAGE for a bad hrp. */
ENT_RC ent_bech32_decode(ent_text text, ent_text hrp, uint8_t ret_data[ENT_BECH32_MAX_DATA], size_t *ret_size,
                         ent_err *err);

/** Whether some identity can have this recipient: a reduced X25519 point that is not of low order. Nothing could be
 *  sealed to another, or its owner could not open it. */
bool ent_recipient_valid(const ent_recipient *recipient);
/** "age1…"; refuses what is not ent_recipient_valid.  Errors: PEER_MALFORMED. */
ENT_RC ent_recipient_parse(ent_text text, ent_recipient *ret, ent_err *err);
void ent_recipient_put(ent_buf *buf, const ent_recipient *recipient);
/** "AGE-SECRET-KEY-1…".  Errors: PEER_MALFORMED. */
ENT_RC ent_identity_parse(ent_text text, ent_identity *ret, ent_err *err);
void ent_identity_put(ent_buf *buf, const ent_identity *identity);

#endif
