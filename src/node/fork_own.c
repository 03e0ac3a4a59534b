/* A fork of our own log that this node can see by itself: the keeper's marks and the store are of two copies of it. */
#include "node/channel.h"
#include "node/fork_proof.h"
#include "node/keys.h"
#include "node/report.h"

/* The keeper signed it before, and signs the same again. */
static ent_rc sign_mark(ent_node *node, const ent_channel *channel, const ent_tree_head *mark, ent_buf *ret,
                        ent_err *err)
{
    ent_text origin = ent_text_of(channel->members[channel->self].origin);
    ent_keeper_request request = {
        .what = ENT_KEEPER_HEAD, .origin = origin, .head = *mark, .key = *ent_channel_log_key(channel, mark->size)};
    ent_vkey vkey;
    ENT_TRY(ent_keeper_sign(node->keeper, &request, 1, err));
    if (request.rc.code != ENT_OK)
        return ent_fail(err, (ent_code)request.rc.code, "design 3, Rollback guard",
                        "the keeper does not sign its own mark of %llu entries again", (unsigned long long)mark->size);
    ENT_TRY(ent_vkey_make(origin, ENT_KEY_ED25519, &request.key, &vkey, err));
    ent_checkpoint_put(ret, origin, mark);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_signature(ret, &vkey, ent_bytes_of(request.signature.bytes, sizeof request.signature.bytes));
    return ent_buf_check(ret, err);
}

static ent_rc keep(ent_node *node, ent_channel *channel, const ent_tree_head *mark, ent_bytes held, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf proof = {0};
    bool is_new = false;
    ENT_TRY(sign_mark(node, channel, mark, &note, err));
    ent_fork_evidence evidence = {channel, channel->self, ent_buf_bytes(&note), held, NULL};
    ENT_TRY(ent_fork_proof_build(node, &evidence, &proof, err));
    ent_store_fork fork = {.note = evidence.note, .held = evidence.held, .proof = ent_buf_bytes(&proof)};
    return ent_fork_freeze(node, channel, channel->self, &fork, &is_new, err);
}

/* A head in the store that our entries bear out and that is no smaller than the mark, over another root at the mark:
 * both were signed. A smaller one says only that the store is older. */
static ent_rc look(ent_node *node, ent_channel *channel, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf held = {0};
    ent_store_log log;
    ent_tree_head mark;
    ent_tree_head head;
    ent_hash root;
    ent_channel_log(channel, channel->self, &log);
    if (log.frozen || ent_channel_hold_now(channel) != ENT_HOLD_KEEPER)
        return ENT_DONE;
    uint64_t signed_size = ent_channel_signed_size(channel);
    ent_rc rc =
        ent_keeper_mark(node->keeper, ENT_KEEPER_HEAD, ent_text_of(channel->members[channel->self].origin), &mark, err);
    if (rc.code == ENT_ABSENT || (rc.code == ENT_OK && (mark.size == 0 || signed_size < mark.size)))
        return ENT_DONE;
    ENT_TRY(rc);
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ENT_TRY(ent_tree_root_at(mark.size, &reader, &root, err));
    if (ent_hash_equal(&root, &mark.root))
        return ENT_DONE;
    ENT_TRY(node->store->engine->head_get(node->store, log.number, signed_size, &head, &held, err));
    ENT_TRY(keep(node, channel, &mark, ent_buf_bytes(&held), err));
    ent_channel_hold_instead(
        channel, ENT_HOLD_KEEPER,
        "our log key signed two histories of our log: this store has one of %llu entries, and the keeper's marks are "
        "of "
        "another that had %llu: two copies of this party's folder were used. The proof is kept (`entente fork list`), "
        "and nothing more is signed here. Find the other copy and stop it, tell the other members, and go on in a "
        "channel that succeeds this one (`entente channel open --succeeds`)",
        (unsigned long long)head.size, (unsigned long long)mark.size);
    return ENT_DONE;
}

void ent_fork_find_own(ent_node *node)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_err err = {0};
        if (look(node, channel, &err).code == ENT_OK)
            continue;
        ent_report report = ent_report_begin("fork.not-kept"); /* it is held all the same */
        ent_report_string(&report, "channel", channel->id_text);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
}
