#include "node/own_head.h"

#include "log/checkpoint.h"
#include "log/tree.h"
#include "node/channel.h"
#include "node/keys.h"
#include "node/sequencer.h"

enum { RETRIES = 16 }; /* the keeper may sign another head between the proof and the signature */

ent_rc ent_own_head_put(const ent_channel *channel, const ent_tree_head *head, const ent_public_key *key,
                        const ent_signature *signature, ent_buf *ret, ent_err *err)
{
    ent_text origin = ent_text_of(channel->members[channel->self].origin);
    ent_vkey vkey;
    ENT_TRY(ent_vkey_make(origin, ENT_KEY_ED25519, key, &vkey, err));
    ent_checkpoint_put(ret, origin, head);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_signature(ret, &vkey, ent_bytes_of(signature->bytes, sizeof signature->bytes));
    return ent_buf_check(ret, err);
}

bool ent_head_is_accepted(const ent_channel *channel, uint32_t member, ent_bytes bytes)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    const ent_keys *keys = ent_channel_keys(channel, member);
    return keys->log_count == 1 || /* then there is but one key that could have signed what is kept */
           ent_keys_open_head(keys, bytes, ent_text_of(channel->members[member].origin), &note, &checkpoint, NULL)
                   .code == ENT_OK;
}

/* What is kept of exactly this size, if it is of use; ABSENT when it is not. */
static ent_rc kept_head(ent_node *node, ent_channel *channel, uint64_t size, ent_tree_head *ret, ent_buf *ret_note,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_tree_head head = {.size = 0};
    (void)pthread_mutex_lock(&channel->lock);
    bool newest = channel->head.size == size;
    if (newest) {
        head = channel->head;
        ent_buf_put(&note, ent_buf_bytes(&channel->head_note));
    }
    (void)pthread_mutex_unlock(&channel->lock);
    ENT_TRY(ent_buf_check(&note, err));
    if (!newest)
        ENT_TRY(node->store->engine->head_get(node->store, channel->members[channel->self].log.number, size, &head,
                                              &note, err));
    if (head.size != size || !ent_head_is_accepted(channel, channel->self, ent_buf_bytes(&note)))
        return ent_fail(err, ENT_ABSENT, NULL, "no head of %llu entries is kept", (unsigned long long)size);
    ent_buf_put(ret_note, ent_buf_bytes(&note));
    ENT_TRY(ent_buf_check(ret_note, err));
    *ret = head;
    return ENT_DONE;
}

/* --- a new one --- */

/* What the keeper signed last extends it: that is shown from the tiles. */
static ent_rc prove_extended(ent_node *node, ent_channel *channel, uint64_t size, ent_hash *ret_root,
                             ent_tree_proof *ret, ent_err *err)
{
    ent_store_log log;
    ent_tree_head mark;
    ent_channel_log(channel, channel->self, &log);
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    if (size == 0 || size > ent_channel_signed_size(channel))
        return ent_fail(err, ENT_ABSENT, "design 3, Signing order", "no signed head has %llu entries",
                        (unsigned long long)size);
    ENT_TRY(ent_keeper_mark(node->keeper, ENT_KEEPER_HEAD, ent_text_of(channel->members[channel->self].origin), &mark,
                            err));
    if (mark.size < size || mark.size > log.tree.size)
        return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                        "the keeper signed %llu entries of channel %.8s last, which is not what is held here",
                        (unsigned long long)mark.size, channel->id_text);
    ENT_TRY(ent_tree_root_at(size, &reader, ret_root, err));
    return ent_consistency_prove(size, mark.size, &reader, ret, err);
}

typedef struct {
    ent_job job;
    ent_channel *channel;
    const ent_tree_head *head;
    ent_bytes note;
} keep_job;

static ent_rc apply_keep(ent_job *job, ent_node *node, ent_err *err)
{
    const keep_job *work = (const keep_job *)job;
    return node->store->engine->head_put(node->store, work->channel->members[work->channel->self].log.number,
                                         work->head, work->note, err);
}

static ent_rc sign_below(ent_node *node, ent_channel *channel, ent_keeper_request *request, ent_err *err)
{
    ent_tree_proof proof;
    for (int i = 0; i < RETRIES; i++) {
        ent_keeper_request with = *request;
        with.extends = &proof;
        ENT_TRY(prove_extended(node, channel, with.head.size, &with.head.root, &proof, err));
        ENT_TRY(ent_keeper_sign(node->keeper, &with, 1, err));
        if (with.rc.code == ENT_OK) {
            request->head = with.head;
            request->signature = with.signature;
            return ENT_DONE;
        }
    }
    return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                    "the keeper does not sign a head of %llu entries of channel %.8s; the log key for it may be gone",
                    (unsigned long long)request->head.size, channel->id_text);
}

static ent_rc make_head(ent_node *node, ent_channel *channel, uint64_t size, ent_tree_head *ret, ent_buf *ret_note,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_keeper_request request = {.what = ENT_KEEPER_HEAD,
                                  .origin = ent_text_of(channel->members[channel->self].origin),
                                  .head.size = size,
                                  .key = *ent_channel_log_key(channel, size)};
    ENT_TRY(sign_below(node, channel, &request, err));
    ENT_TRY(ent_own_head_put(channel, &request.head, &request.key, &request.signature, &note, err));
    keep_job keep = {
        .job = {.apply = apply_keep}, .channel = channel, .head = &request.head, .note = ent_buf_bytes(&note)};
    ENT_TRY(ent_sequencer_run(node, &keep.job, err));
    ent_buf_put(ret_note, ent_buf_bytes(&note));
    ENT_TRY(ent_buf_check(ret_note, err));
    *ret = request.head;
    return ENT_DONE;
}

ent_rc ent_own_head(ent_node *node, ent_channel *channel, uint64_t size, ent_tree_head *ret, ent_buf *ret_note,
                    ent_err *err)
{
    ent_rc rc = kept_head(node, channel, size, ret, ret_note, err);
    return rc.code == ENT_ABSENT ? make_head(node, channel, size, ret, ret_note, err) : rc;
}
