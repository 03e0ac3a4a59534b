/* Trust policies: which logs, witnesses and quorum make a checkpoint valid.  Source: C2SP tlog-policy. */
#ifndef ENT_LOG_POLICY_H
#define ENT_LOG_POLICY_H

#include "log/cosignature.h"
#include "log/tlog_proof.h"

enum {
    ENT_POLICY_MAX_BYTES = 64 * 1024,
    ENT_POLICY_MAX_LOGS = 32,
    ENT_POLICY_MAX_WITNESSES = 64,
    ENT_POLICY_MAX_GROUPS = 64
};

typedef struct {
    ent_vkey vkey; /* name and url borrow from the policy text, which the policy copies */
    ent_text url;  /* empty when none */
} ent_policy_log;

typedef struct {
    ent_text name;
    ent_vkey vkey;
    ent_text url;
} ent_policy_witness;

/** A parsed policy. */
typedef struct ent_policy ent_policy;

/** Parse.  Errors: PEER_MALFORMED (text names the line), PEER_TOO_LARGE, NOMEM.  Owns: caller frees with
 * ent_policy_free. */
ENT_RC ent_policy_parse(ent_bytes bytes, ent_policy **ret, ent_err *err);
void ent_policy_free(ent_policy *policy);
void ent_policy_release(ent_policy **policy); /* for ENT_CLEANUP */

size_t ent_policy_log_count(const ent_policy *policy);
const ent_policy_log *ent_policy_log_at(const ent_policy *policy, size_t at);
size_t ent_policy_witness_count(const ent_policy *policy);
const ent_policy_witness *ent_policy_witness_at(const ent_policy *policy, size_t at);

/** What a policy says of a checkpoint. */
typedef enum {
    ENT_POLICY_NOT_CHECKED = 0,
    ENT_POLICY_SATISFIED,
    ENT_POLICY_UNKNOWN_LOG, /* no listed log has this origin */
    ENT_POLICY_BAD_LOG_SIGNATURE,
    ENT_POLICY_BAD_COSIGNATURE, /* a listed witness's line does not verify */
    ENT_POLICY_NO_QUORUM
} ent_policy_verdict;
const char *ent_policy_verdict_words(ent_policy_verdict verdict);

/** One listed witness's verified cosignature. */
typedef struct {
    const ent_policy_witness *witness;
    ent_cosignature cosignature;
} ent_policy_cosigned;

typedef struct {
    ent_policy_verdict verdict;
    const ent_policy_log *log; /* set when its signature is valid */
    ent_checkpoint checkpoint; /* origin borrows from the note; set when the text parses */
    ent_policy_cosigned cosigned[ENT_POLICY_MAX_WITNESSES];
    size_t cosigned_count;
} ent_policy_result;

/** Check a signed checkpoint note. With an empty set of logs any log is UNKNOWN_LOG.
 *  @in   note   parsed, unverified
 *  Errors: PEER_MALFORMED when the text is no checkpoint. */
ENT_RC ent_policy_check(const ent_policy *policy, const ent_note *note, ent_policy_result *ret, ent_err *err);

#endif
