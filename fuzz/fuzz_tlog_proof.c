/* A proof that parses is written again as it was; verifying any proof ends with a verdict. */
#include "log/tlog_proof.h"

#include "check.h"

static void check_verdict(const ent_tlog_proof *proof, ent_bytes bytes)
{
    ent_note note;
    ent_checkpoint checkpoint;
    ent_tree_head old_head;
    ent_hash leaf;
    if (ent_note_parse(proof->checkpoint, &note, NULL).code != ENT_OK)
        return;
    if (ent_checkpoint_parse(note.text, &checkpoint, NULL).code == ENT_OK) {
        /* No input can hold a proof of what is hashed from the whole of it. */
        ent_leaf_hash(bytes, &leaf);
        CHECK(ent_inclusion_verify(proof->index, &leaf, &checkpoint.head, &proof->inclusion) == ENT_PROOF_INVALID);
        old_head = (ent_tree_head){.size = proof->index + 1, .root = leaf};
        CHECK(ent_consistency_verify(&old_head, &checkpoint.head, &proof->inclusion) == ENT_PROOF_INVALID);
    }
    ent_note_release(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bytes = {data, size};
    ent_tlog_proof proof;
    ent_buf again = {0};
    if (ent_tlog_proof_parse(bytes, &proof, NULL).code != ENT_OK)
        return 0;
    CHECK(proof.inclusion.count <= ENT_PROOF_MAX_HASHES);
    ent_tlog_proof_put(&again, &proof);
    CHECK(ent_bytes_equal(ent_buf_bytes(&again), bytes));
    if (proof.has_extra) {
        ent_buf extra = {0};
        CHECK(ent_base64_decode(proof.extra_base64, &extra, NULL).code == ENT_OK);
        CHECK(extra.size > 0 && extra.size <= ENT_TLOG_PROOF_MAX_EXTRA);
        ent_buf_release(&extra);
    }
    check_verdict(&proof, bytes);
    ent_buf_release(&again);
    return 0;
}
