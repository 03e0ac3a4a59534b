/* Offline proofs.  Source: C2SP tlog-proof. */
#ifndef ENT_LOG_TLOG_PROOF_H
#define ENT_LOG_TLOG_PROOF_H

#include "log/tree.h"

enum { ENT_TLOG_PROOF_MAX_BYTES = 128 * 1024, ENT_TLOG_PROOF_MAX_EXTRA = 32 * 1024 };

/** A parsed proof; text fields borrow from what was parsed. */
typedef struct {
    bool has_extra;
    ent_text extra_base64; /* canonical base64 as written */
    uint64_t index;
    ent_tree_proof inclusion;
    ent_bytes checkpoint; /* the signed note, verbatim */
} ent_tlog_proof;

/** Parse; the checkpoint's bytes are delimited, not verified.  Errors: PEER_MALFORMED, PEER_TOO_LARGE. */
ENT_RC ent_tlog_proof_parse(ent_bytes bytes, ent_tlog_proof *ret, ent_err *err);
/** Append a proof in that format. */
void ent_tlog_proof_put(ent_buf *buf, const ent_tlog_proof *proof);

#endif
