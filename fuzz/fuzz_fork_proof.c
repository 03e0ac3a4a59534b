/* A proof that parses is written again as it was, and verifying it ends with a verdict. Whatever is proven has two
 * heads with different roots, and stays so when the proof is made again from its parts. */
#include "log/fork.h"

#include "check.h"

static void make_again(const ent_fork_proof *proof, ent_bytes bytes)
{
    ent_buf made = {0};
    ent_public_key keys[ENT_FORK_MAX_KEYS];
    const ent_bytes notes[2] = {proof->note_bytes[1], proof->note_bytes[0]};
    for (size_t i = 0; i < proof->key_count; i++)
        keys[i] = proof->keys[i].key;
    ent_rc rc = ent_fork_proof_make(proof->origin, keys, proof->key_count, notes, &proof->path, &made, NULL);
    CHECK(rc.code == ENT_OK || rc.code == ENT_NOMEM);
    CHECK(rc.code != ENT_OK || ent_bytes_equal(ent_buf_bytes(&made), bytes));
    ent_buf_release(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_bytes bytes = {data, size};
    ent_fork_proof proof;
    ent_buf again = {0};
    if (ent_fork_proof_parse(bytes, &proof, NULL).code != ENT_OK)
        return 0;
    ent_fork_proof_put(&again, &proof);
    CHECK(ent_bytes_equal(ent_buf_bytes(&again), bytes));
    CHECK(proof.heads[0].size <= proof.heads[1].size);
    ent_fork_verdict verdict = ent_fork_proof_verify(&proof);
    CHECK(verdict != ENT_FORK_NOT_CHECKED);
    if (verdict == ENT_FORK_PROVEN) {
        CHECK(!ent_hash_equal(&proof.heads[0].root, &proof.heads[1].root));
        make_again(&proof, bytes);
    }
    ent_buf_release(&again);
    ent_fork_proof_release(&proof);
    return 0;
}
