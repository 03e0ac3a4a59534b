#include "cli/people.h"
#include "cli/verify.h"
#include "log/fork.h"
#include "message/genesis.h"

static ent_rc check(const ent_fork_proof *proof, ent_err *err)
{
    switch (ent_fork_proof_verify(proof)) {
    case ENT_FORK_PROVEN:
        return ENT_DONE;
    case ENT_FORK_NOT_SIGNED:
        return ent_fail(err, ENT_PEER_SIGNATURE, "design 3, Fork", "a head is not signed by the key that is named");
    case ENT_FORK_MISSES:
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, Fork",
                        "the path does not lead to the root of the larger head: that proves nothing");
    case ENT_FORK_AGREES:
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, Fork",
                        "the smaller head is a beginning of the larger one: the log did not fork");
    case ENT_FORK_NOT_CHECKED:
        break;
    }
    return ent_fail(err, ENT_BUG, NULL, "the proof was not checked");
}

static void put_head(ent_buf *out, const ent_tree_head *head)
{
    ent_buf_put_format(out, "    %" PRIu64 " entr%s, root ", head->size, head->size == 1 ? "y" : "ies");
    ent_buf_put_hex(out, ent_hash_bytes(&head->root));
    ent_buf_put_u8(out, '\n');
}

static void put_json(ent_json_writer *writer, ent_text party, const ent_hash *channel, const ent_fork_proof *proof)
{
    ent_json_member_text(writer, "party", party);
    ent_json_key(writer, "channel");
    ent_json_put_hex(writer, ent_hash_bytes(channel));
    ent_json_key(writer, "heads");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < 2; i++) {
        ent_json_object_begin(writer);
        ent_json_member_unsigned(writer, "size", proof->heads[i].size);
        ent_json_key(writer, "root");
        ent_json_put_hex(writer, ent_hash_bytes(&proof->heads[i].root));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* The proof stands and falls with whose keys these are: cards of others say nothing about that. */
static ent_rc tell_keys(ent_cli_verifier *verifier, ent_text party, const ent_fork_proof *proof, ent_err *err)
{
    bool compared = true;
    for (size_t i = 0; i < proof->key_count; i++) {
        const ent_public_key *key = &proof->keys[i].key;
        ENT_TRY(ent_cli_tell_key(verifier, party, ENT_CLI_LOG_KEY, key, err));
        compared = compared && ent_cli_compare(verifier, party, ENT_CLI_LOG_KEY, key, NULL) == ENT_CLI_AS_ON_CARD;
    }
    if (verifier->card_count == 0)
        ent_buf_put_string(
            &verifier->text,
            "  No card was compared: this holds only if these keys are that party's. Give its card, got\n"
            "  elsewhere, with --card, or compare the fingerprints with its owner.\n");
    if (verifier->card_count > 0 && !compared)
        return ent_fail(err, ENT_PEER_SIGNATURE, "design 2, Proof",
                        "the proof is about the log of %.*s, and no card of %.*s is among those given: get that "
                        "party's card by a way of its own and give it with --card",
                        ENT_TEXT_ARG(party), ENT_TEXT_ARG(party));
    return ENT_DONE;
}

ent_rc ent_cli_verify_fork(ent_cli_verifier *verifier, const ent_cli_subject *subject, ent_err *err)
{
    ENT_CLEANUP(ent_fork_proof_release) ent_fork_proof proof = {0};
    ent_buf *out = &verifier->text;
    ent_text party = {NULL, 0};
    ent_hash channel;
    ENT_TRY(ent_fork_proof_parse(ent_buf_bytes(&subject->bytes), &proof, err));
    ENT_TRY(ent_origin_parse(proof.origin, &party, &channel, err));
    ENT_TRY(check(&proof, err));
    ent_buf_put_string(out, "  proves that the log of ");
    ent_cli_put_line(out, party);
    ent_buf_put_string(out, " forked in channel\n    ");
    ent_buf_put_hex(out, ent_hash_bytes(&channel));
    ent_buf_put_string(out, "\n  Its key signed two heads that cannot both be true of one log:\n");
    put_head(out, &proof.heads[0]);
    put_head(out, &proof.heads[1]);
    if (proof.path.count > 0)
        ent_buf_put_string(out, "  The larger tree, as the path shows, does not begin with the smaller one.\n");
    ent_buf_put_string(out, "  When they were signed, and which of the two is true, it does not say.\n");
    if (verifier->writer != NULL) {
        put_json(verifier->writer, party, &channel, &proof);
        ent_json_key(verifier->writer, "keys");
        ent_json_array_begin(verifier->writer);
    }
    ent_rc rc = tell_keys(verifier, party, &proof, err);
    if (verifier->writer != NULL)
        ent_json_array_end(verifier->writer);
    return rc;
}
