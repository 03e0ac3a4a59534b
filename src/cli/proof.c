#include "cli/proof.h"

#include <inttypes.h>

static ent_rc check_policy(const ent_policy_result *result, ent_err *err)
{
    const char *words = ent_policy_verdict_words(result->verdict);
    switch (result->verdict) {
    case ENT_POLICY_SATISFIED:
        return ENT_DONE;
    case ENT_POLICY_BAD_LOG_SIGNATURE:
    case ENT_POLICY_BAD_COSIGNATURE:
        return ent_fail(err, ENT_PEER_SIGNATURE, "C2SP tlog-policy", "the head in the proof does not hold: %s", words);
    case ENT_POLICY_NO_QUORUM:
        return ent_fail(err, ENT_PEER_INVALID, "C2SP tlog-policy", "the head in the proof is not enough: %s", words);
    default:
        return ent_fail(err, ENT_PEER_MISMATCH, "C2SP tlog-policy", "the policy is not for this proof: %s", words);
    }
}

static ent_rc check_entry(const ent_cli_proof *at, ent_err *err)
{
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    const ent_entry *entry = &at->entry;
    if (!ent_text_equal(ent_origin_write(entry->writer, &entry->channel, origin), at->result.checkpoint.origin))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Origin",
                        "the entry says it is of %s, but stands in the log %.*s", origin,
                        ENT_TEXT_ARG(at->result.checkpoint.origin));
    if (entry->index != at->proof.index)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Entry",
                        "the entry says it is number %" PRIu64 ", but stands at %" PRIu64, entry->index,
                        at->proof.index);
    return ENT_DONE;
}

static ent_rc check_inclusion(const ent_cli_proof *at, ent_err *err)
{
    ent_hash leaf;
    ent_leaf_hash(at->entry_bytes, &leaf);
    if (ent_inclusion_verify(at->proof.index, &leaf, &at->result.checkpoint.head, &at->proof.inclusion) !=
        ENT_PROOF_VALID)
        return ent_fail(err, ENT_PEER_MISMATCH, "RFC 9162, section 2.1.3.2",
                        "the entry is not at place %" PRIu64
                        " of the log with the signed head: the entry or the proof was altered",
                        at->proof.index);
    return ENT_DONE;
}

ent_text ent_cli_receipt_party(ent_text key_name)
{
    static const char suffix[] = "/entente/receipt";
    size_t size = sizeof suffix - 1;
    if (key_name.size <= size || memcmp(key_name.data + key_name.size - size, suffix, size) != 0)
        return (ent_text){NULL, 0};
    return (ent_text){key_name.data, key_name.size - size};
}

ent_rc ent_cli_proof_check(ent_bytes proof, ent_bytes entry, ent_bytes policy, ent_cli_proof *ret, ent_err *err)
{
    ret->entry_bytes = entry;
    ENT_TRY(ent_tlog_proof_parse(proof, &ret->proof, err));
    ENT_TRY(ent_fail_in(err, ent_policy_parse(policy, &ret->policy, err), "the policy"));
    ENT_TRY(ent_note_parse(ret->proof.checkpoint, &ret->note, err));
    ENT_TRY(ent_policy_check(ret->policy, &ret->note, &ret->result, err));
    ENT_TRY(check_policy(&ret->result, err));
    ENT_TRY(check_inclusion(ret, err));
    ENT_TRY(ent_fail_in(err, ent_entry_decode(entry, &ret->arena, &ret->entry, err), "the entry"));
    return check_entry(ret, err);
}

void ent_cli_proof_release(ent_cli_proof *proof)
{
    ent_policy_free(proof->policy);
    ent_note_release(&proof->note);
    ent_arena_release(&proof->arena);
    *proof = (ent_cli_proof){0};
}
