#include "node/proof.h"

#include "log/tlog_proof.h"
#include "log/tree.h"
#include "node/channel.h"
#include "node/keys.h"
#include "node/own_head.h"
#include "node/receipt.h"

enum { RECEIPTS_TRIED = 1024, SIGNATURES_MAX = 16 };

/* A head of a log at which to prove, and the members whose receipts for exactly that head exist. */
typedef struct {
    uint64_t size;
    bool all; /* every other member */
    ent_store_receipt receipts[ENT_ENTRY_MAX_MEMBERS];
    bool has[ENT_ENTRY_MAX_MEMBERS];
    size_t count;
} choice;

static ent_rc receipts_at(ent_node *node, ent_channel *channel, uint32_t member, uint64_t size, choice *ret,
                          ent_err *err)
{
    *ret = (choice){.size = size, .all = true};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (m == member)
            continue;
        ent_rc rc = node->store->engine->receipt_covering(node->store, channel->members[member].log.number, m, size,
                                                          &ret->receipts[m], err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        ret->has[m] =
            rc.code == ENT_OK && ret->receipts[m].head.size == size && ent_receipt_is_signed(&ret->receipts[m]);
        ret->count += ret->has[m];
        ret->all = ret->all && ret->has[m];
    }
    return ENT_DONE;
}

/* Whether a head of this size can stand in a proof: of another's log, one that a key signed which was revoked since
 * does not. Ours can be made anew. */
static ent_rc is_of_use(ent_node *node, ent_channel *channel, uint32_t member, uint64_t size, bool *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_tree_head head;
    *ret = true;
    if (member == channel->self || ent_channel_keys(channel, member)->log_count == 1)
        return ENT_DONE;
    ent_rc rc =
        node->store->engine->head_get(node->store, channel->members[member].log.number, size, &head, &note, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    *ret = head.size != size || ent_head_is_accepted(channel, member, ent_buf_bytes(&note));
    return ENT_DONE;
}

/* "`prove` takes the smallest that carries all, else one proof per receiver" (design 3). */
static ent_rc choose_from(ent_node *node, ent_channel *channel, uint32_t member, uint64_t first_size, choice *ret,
                          size_t *ret_count, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    int64_t log = channel->members[member].log.number;
    size_t count = 0;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_receipt receipt;
        uint64_t from = first_size;
        if (m == member)
            continue;
        bool first = true;
        for (size_t tried = 0; tried < RECEIPTS_TRIED; tried++) {
            choice here;
            ent_rc rc = engine->receipt_covering(node->store, log, m, from, &receipt, err);
            if (rc.code == ENT_ABSENT)
                break;
            ENT_TRY(rc);
            bool of_use = false;
            ENT_TRY(is_of_use(node, channel, member, receipt.head.size, &of_use, err));
            from = receipt.head.size + 1;
            if (!of_use)
                continue;
            ENT_TRY(receipts_at(node, channel, member, receipt.head.size, &here, err));
            if (here.all) {
                ret[0] = here;
                *ret_count = 1;
                return ENT_DONE;
            }
            if (first && here.count > 0)
                ret[count++] = here;
            first = false;
        }
    }
    *ret_count = count;
    return ENT_DONE;
}

/* "Proofs are reissued under the newest head": one by the newest log key, as long as somebody has receipted one. */
static ent_rc choose(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, choice *ret,
                     size_t *ret_count, ent_err *err)
{
    const ent_keys *keys = ent_channel_keys(channel, member);
    uint64_t newest = keys->log[keys->log_count - 1].from;
    *ret_count = 0;
    if (newest > index)
        ENT_TRY(choose_from(node, channel, member, newest + 1, ret, ret_count, err));
    return *ret_count > 0 ? ENT_DONE : choose_from(node, channel, member, index + 1, ret, ret_count, err);
}

/* The signed head of exactly this size; without a receipt, the newest there is. */
static ent_rc signed_head(ent_node *node, ent_channel *channel, uint32_t member, uint64_t size, ent_tree_head *ret,
                          ent_buf *ret_note, ent_err *err)
{
    if (member == channel->self && size == 0)
        size = ent_channel_signed_size(channel);
    if (member == channel->self && size > 0)
        return ent_own_head(node, channel, size, ret, ret_note, err);
    ENT_TRY(node->store->engine->head_get(node->store, channel->members[member].log.number,
                                          size == 0 ? UINT64_MAX : size, ret, ret_note, err));
    if (size != 0 && ret->size != size)
        return ent_fail(err, ENT_ABSENT, NULL, "the signed head of size %llu is not kept", (unsigned long long)size);
    return ENT_DONE;
}

/* The vkey of a receiver, by the key that gave this receipt. */
static ent_rc receiver_vkey(const ent_channel *channel, uint32_t receiver, const choice *at, ent_buf *name,
                            ent_vkey *ret, ent_err *err)
{
    return ent_keys_receipt_vkey(ent_channel_keys(channel, receiver), channel->genesis.members[receiver].name,
                                 at->receipts[receiver].key, name, ret, err);
}

static ent_rc put_policy(const ent_channel *channel, uint32_t member, uint64_t size, const choice *at, ent_buf *ret,
                         ent_err *err)
{
    ent_vkey vkey;
    size_t named = 0;
    ENT_TRY(ent_vkey_make(ent_text_of(channel->members[member].origin), ENT_KEY_ED25519,
                          &ent_keys_log(ent_channel_keys(channel, member), size)->key, &vkey, err));
    ent_buf_put_string(ret, "log ");
    ent_vkey_put(ret, &vkey);
    ent_buf_put_u8(ret, '\n');
    ENT_CLEANUP(ent_buf_release) ent_buf group = {0};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
        const ent_member *receiver = &channel->genesis.members[m];
        if (!at->has[m] || named == SIGNATURES_MAX - 1)
            continue;
        ENT_TRY(receiver_vkey(channel, m, at, &name, &vkey, err));
        ent_buf_put_format(ret, "witness %.*s ", ENT_TEXT_ARG(receiver->name));
        ent_vkey_put(ret, &vkey);
        ent_buf_put_u8(ret, '\n');
        ent_buf_put_format(&group, " %.*s", ENT_TEXT_ARG(receiver->name));
        named++;
    }
    ENT_TRY(ent_buf_check(&group, err));
    if (named == 0)
        ent_buf_put_string(ret, "quorum none\n");
    else if (named == 1)
        ent_buf_put_format(ret, "quorum%.*s\n", ENT_TEXT_ARG(ent_buf_text(&group)));
    else
        ent_buf_put_format(ret, "group receivers all%.*s\nquorum receivers\n", ENT_TEXT_ARG(ent_buf_text(&group)));
    return ent_buf_check(ret, err);
}

/* Add the receivers' lines, at most 15 beside the log's own. */
static ent_rc put_cosignatures(const ent_channel *channel, const choice *at, ent_buf *note, ent_err *err)
{
    size_t lines = 0;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
        ent_vkey vkey;
        if (!at->has[m] || lines == SIGNATURES_MAX - 1)
            continue;
        ENT_TRY(receiver_vkey(channel, m, at, &name, &vkey, err));
        ent_note_put_cosignature(note, &vkey, &at->receipts[m].cosignature);
        lines++;
    }
    return ent_buf_check(note, err);
}

static ent_rc prove_at(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, const choice *at,
                       ent_proof_fn fn, void *context, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf policy = {0};
    ent_tree_head head;
    ent_tlog_proof proof = {.index = index};
    ENT_TRY(signed_head(node, channel, member, at->size, &head, &note, err));
    if (head.size <= index)
        return ent_fail(err, ENT_ABSENT, NULL, "no signed head covers this message yet; try again in a moment");
    ent_store_tiles tiles = {node->store, channel->members[member].log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ENT_TRY(ent_inclusion_prove(index, head.size, &reader, &proof.inclusion, err));
    ENT_TRY(put_cosignatures(channel, at, &note, err));
    proof.checkpoint = ent_buf_bytes(&note);
    ent_tlog_proof_put(&text, &proof);
    ENT_TRY(ent_buf_check(&text, err));
    ENT_TRY(put_policy(channel, member, head.size, at, &policy, err));
    ent_message_proof ready = {at->has, ent_buf_text(&text), ent_buf_text(&policy)};
    return fn(context, &ready, err);
}

ent_rc ent_message_prove(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_proof_fn fn,
                         void *context, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) choice *choices = ent_alloc_array(ENT_ENTRY_MAX_MEMBERS, sizeof *choices);
    size_t count = 0;
    if (choices == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(choose(node, channel, member, index, choices, &count, err));
    if (count == 0)
        count = 1; /* nobody has receipted it: the log's own head, and a policy that asks for no receipt */
    for (size_t i = 0; i < count; i++)
        ENT_TRY(prove_at(node, channel, member, index, &choices[i], fn, context, err));
    return ENT_DONE;
}
