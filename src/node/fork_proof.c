#include "node/fork_proof.h"

#include "node/channel.h"
#include "node/keys.h"

static bool is_log_key(const ent_keys *keys, const ent_public_key *key)
{
    bool found = false;
    for (size_t i = 0; i < keys->log_count; i++)
        found = found || ent_public_key_equal(key, &keys->log[i].key);
    return found;
}

ent_rc ent_fork_proof_is_of(const ent_channel *channel, uint32_t member, const ent_fork_proof *proof, ent_err *err)
{
    const ent_keys *keys = ent_channel_keys(channel, member);
    for (size_t i = 0; i < proof->key_count; i++) {
        if (!is_log_key(keys, &proof->keys[i].key))
            return ent_fail(err, ENT_PEER_SIGNATURE, "design 3, Fork",
                            "the proof names a key that is not the log key of %.*s in this channel",
                            ENT_TEXT_ARG(channel->genesis.members[member].name));
    }
    for (size_t i = 0; i < 2; i++) {
        ENT_CLEANUP(ent_note_release) ent_note note = {0};
        ent_checkpoint checkpoint;
        ENT_TRY(ent_keys_open_head(keys, proof->note_bytes[i], proof->origin, &note, &checkpoint, err));
    }
    return ENT_DONE;
}

static ent_rc size_of(ent_bytes bytes, uint64_t *ret, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    *ret = checkpoint.head.size;
    return ENT_DONE;
}

/* The path is made before it is known whose tree the larger head signs: one of another tree proves nothing, and is not
 * used. */
static ent_rc build(ent_node *node, const ent_fork_evidence *evidence, ent_buf *ret, ent_err *err)
{
    const ent_channel_member *member = &evidence->channel->members[evidence->member];
    const ent_keys *known = ent_channel_keys(evidence->channel, evidence->member);
    ent_public_key keys[ENT_KEYS_MAX];
    const ent_bytes notes[2] = {evidence->note, evidence->held};
    ent_store_tiles stored = {node->store, member->log.number};
    const ent_tile_reader ours = ent_store_tile_reader(&stored);
    ent_fork_path path = {.count = 0};
    uint64_t sizes[2] = {0, 0};
    ent_store_log log;
    for (size_t i = 0; i < 2; i++)
        ENT_TRY(size_of(notes[i], &sizes[i], err));
    uint64_t small = sizes[0] < sizes[1] ? sizes[0] : sizes[1];
    uint64_t large = sizes[0] < sizes[1] ? sizes[1] : sizes[0];
    ent_channel_log(evidence->channel, evidence->member, &log);
    if (small == 0 || (evidence->tiles == NULL && small != large && large > log.tree.size))
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, Fork", "the larger tree is not held here");
    if (small != large)
        ENT_TRY(ent_fork_path_prove(small, large, evidence->tiles == NULL ? &ours : evidence->tiles, &path, err));
    for (size_t i = 0; i < known->log_count; i++)
        keys[i] = known->log[i].key;
    return ent_fork_proof_make(ent_text_of(member->origin), keys, known->log_count, notes, &path, ret, err);
}

ent_rc ent_fork_proof_build(ent_node *node, const ent_fork_evidence *evidence, ent_buf *ret, ent_err *err)
{
    ent_err why = {0};
    if (evidence->note.size == 0 || evidence->held.size == 0)
        return ENT_DONE;
    ent_rc rc = build(node, evidence, ret, &why);
    if (rc.code == ENT_OK || ent_code_class(rc.code) == ENT_CLASS_PEER)
        return ENT_DONE;
    if (err != NULL)
        *err = why;
    return rc;
}

typedef struct {
    ent_node *node;
    ent_channel *channel;
    uint32_t member;
    ent_buf *ret;
    bool seen;
} wanted;

static ent_rc take_proof(void *context, const ent_store_fork *fork, ent_err *err)
{
    wanted *work = context;
    work->seen = true;
    if (work->ret->size > 0) /* one is enough */
        return ENT_DONE;
    if (fork->proof.size > 0) {
        ent_buf_put(work->ret, fork->proof);
        return ent_buf_check(work->ret, err);
    }
    ent_fork_evidence evidence = {work->channel, work->member, fork->note, fork->held, NULL};
    return ent_fork_proof_build(work->node, &evidence, work->ret, err);
}

ent_rc ent_fork_proof_of(ent_node *node, ent_channel *channel, uint32_t member, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf proof = {0};
    wanted work = {.node = node, .channel = channel, .member = member, .ret = &proof};
    ent_text name = channel->genesis.members[member].name;
    ENT_TRY(node->store->engine->fork_walk(node->store, channel->members[member].log.number, take_proof, &work, err));
    if (!work.seen)
        return ent_fail(err, ENT_ABSENT, "design 3, Fork", "no fork of the log of %.*s in channel %.8s is known here",
                        ENT_TEXT_ARG(name), channel->id_text);
    if (proof.size == 0)
        return ent_fail(
            err, ENT_REFUSED, "design 3, Fork",
            "what shows the fork of %.*s in channel %.8s convinces this node, but nobody else: a cutoff of its "
            "keys contradicts its log or another cutoff, or an older version saw it and kept too little",
            ENT_TEXT_ARG(name), channel->id_text);
    ent_buf_put(ret, ent_buf_bytes(&proof));
    return ent_buf_check(ret, err);
}
