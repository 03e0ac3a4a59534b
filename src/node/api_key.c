/* Our own keys: what a rotation is made from, and taking one into use (docs/api.md "Keys"). */
#include "node/api.h"

#include "node/channel.h"
#include "node/key_lost.h"
#include "node/rotate.h"

/* "cutoff = the last mutually receipted head (every other member has receipted it)". Heads are compared by size: the
 * receipts that count were checked against our log. */
static ent_rc mutual_size(ent_node *node, ent_channel *channel, uint64_t own, uint64_t *ret, ent_err *err)
{
    uint64_t least = own;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_receipt receipt = {.head = {.size = 0}};
        if (m == channel->self)
            continue;
        ent_rc rc = node->store->engine->receipt_newest(node->store, channel->members[channel->self].log.number, m,
                                                        &receipt, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
        if (receipt.head.size < least)
            least = receipt.head.size;
    }
    *ret = least;
    return ENT_DONE;
}

static ent_rc put_head(ent_node *node, ent_channel *channel, ent_json_writer *writer, const char *key, uint64_t size,
                       ent_err *err)
{
    ent_store_log log;
    ent_hash root;
    ent_channel_log(channel, channel->self, &log);
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    if (size == 0)
        ent_empty_root(&root);
    else
        ENT_TRY(ent_tree_root_at(size, &reader, &root, err));
    ent_json_key(writer, key);
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "size", size);
    ent_json_key(writer, "root");
    ent_json_put_hex(writer, ent_hash_bytes(&root));
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_channel(ent_node *node, ent_channel *channel, ent_json_writer *writer, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf cutoffs = {0};
    ent_store_keys row = {.serial = 0};
    ent_store_log log;
    uint64_t mutual = 0;
    const ent_known_keys *known = atomic_load(&channel->members[channel->self].keys);
    ent_channel_log(channel, channel->self, &log);
    ent_rc rc = node->store->engine->keys_get(node->store, log.number, &row, NULL, &cutoffs, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    ENT_TRY(mutual_size(node, channel, log.tree.size, &mutual, err));
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "id", channel->id_text);
    ent_json_member_string(writer, "origin", channel->members[channel->self].origin);
    ENT_TRY(put_head(node, channel, writer, "head", log.tree.size, err));
    ENT_TRY(put_head(node, channel, writer, "receipted", mutual, err));
    ent_json_member_text(writer, "cutoffs", ent_buf_text(&cutoffs));
    ent_json_member_bool(writer, "announced", known->announced >= known->keys.serial);
    ent_json_object_end(writer);
    return ENT_DONE;
}

ent_rc ent_api_key_show(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_channel *channel;
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "card", ent_buf_text(&ent_node_card(call->node)->bytes));
    bool known = false;
    ENT_TRY(ent_own_card_known(call->node, &known, err));
    ent_json_member_bool(&writer, "known", known);
    ent_json_member_unsigned(&writer, "tls_in_use", call->node->tls_serial);
    ent_key_put_lost(call->node, &writer);
    ent_json_key(&writer, "channels");
    ent_json_array_begin(&writer);
    for (size_t i = 0; (channel = ent_channel_at(call->node, i)) != NULL; i++) {
        if (ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED)
            ENT_TRY(put_channel(call->node, channel, &writer, err));
    }
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &json, err);
}

ent_rc ent_api_key_rotate(ent_api_call *call, ent_err *err)
{
    ENT_TRY(ent_rotate(call->node, ent_http_body(call->request), err));
    return ent_api_key_show(call, err);
}
