/* Ed25519 cosignature/v1: the form of receipts and of witness signatures.  Source: C2SP tlog-cosignature. */
#ifndef ENT_LOG_COSIGNATURE_H
#define ENT_LOG_COSIGNATURE_H

#include "log/checkpoint.h"

enum { ENT_COSIGNATURE_SIZE = 8 + 64 };

typedef struct {
    uint64_t timestamp_unix_s;
    ent_signature signature;
} ent_cosignature;

/** Decode "timestamped_signature": u64 big-endian time (at most 2^63 - 1), 64 bytes signature.  Errors: PEER_MALFORMED.
 */
ENT_RC ent_cosignature_parse(ent_bytes bytes, ent_cosignature *ret, ent_err *err);

/** Sign "cosignature/v1\ntime <t>\n<checkpoint text>".
 *  @in   checkpoint_text   a checkpoint's note text
 *  Errors: USAGE when the text is no checkpoint or the time exceeds 2^63 - 1. */
ENT_RC ent_cosignature_sign(ent_text checkpoint_text, uint64_t timestamp_unix_s, const ent_secret_key *secret,
                            ent_cosignature *ret, ent_err *err);
/** Whether the cosignature by this key over the checkpoint text verifies. */
bool ent_cosignature_verify(ent_text checkpoint_text, const ent_cosignature *cosignature, const ent_public_key *key);

/** Look in a note for cosignatures by a type 04 key and verify them all; ret_cosignature is the earliest.
 *  @out  ret_cosignature   nullable; set when VALID */
ent_signature_verdict ent_note_verify_cosignature(const ent_note *note, const ent_vkey *vkey,
                                                  ent_cosignature *ret_cosignature);
/** Append a cosignature line for a type 04 key. */
void ent_note_put_cosignature(ent_buf *buf, const ent_vkey *vkey, const ent_cosignature *cosignature);

#endif
