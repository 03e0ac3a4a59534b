#include "node/channel_list.h"

#include "node/channel.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ent_hash));
}

/* Whether the party is a member, and we hold something that it said: only then can it have lost the channel. */
static bool has_spoken(ent_channel *channel, const ent_hash *pin)
{
    ent_store_log log;
    int member = ent_channel_member_by_pin(channel, pin);
    if (member < 0 || (uint32_t)member == channel->self)
        return false;
    ent_channel_log(channel, (uint32_t)member, &log);
    return log.tree.size > 0;
}

ent_rc ent_channel_list_put(ent_node *node, const ent_hash *pin, const ent_hash *after, ent_buf *ret, ent_err *err)
{
    ent_channel *channel;
    size_t most = ent_channel_count(node);
    size_t count = 0;
    ENT_CLEANUP(ent_free_pointer) ent_hash *ids = ent_alloc_array(most + 1, sizeof *ids);
    if (ids == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (size_t i = 0; i < most && (channel = ent_channel_at(node, i)) != NULL; i++) {
        if ((after == NULL || by_id(&channel->id, after) > 0) && has_spoken(channel, pin))
            ids[count++] = channel->id;
    }
    qsort(ids, count, sizeof *ids, by_id);
    for (size_t i = 0; i < count && i < ENT_CHANNEL_LIST_MOST; i++) {
        ent_buf_put_hex(ret, ent_hash_bytes(&ids[i]));
        ent_buf_put_u8(ret, '\n');
    }
    return ent_buf_check(ret, err);
}

ent_rc ent_channel_list_next(ent_text *rest, const ent_hash *after, ent_hash *ret, bool *ret_more, ent_err *err)
{
    ent_hash id;
    *ret_more = rest->size > 0;
    if (!*ret_more)
        return ENT_DONE;
    bool is_line =
        rest->size >= ENT_CHANNEL_LIST_LINE && rest->data[ENT_CHANNEL_LIST_LINE - 1] == '\n' &&
        ent_hex_decode((ent_text){rest->data, ENT_CHANNEL_LIST_LINE - 1}, id.bytes, sizeof id.bytes, NULL).code ==
            ENT_OK;
    if (!is_line || (after != NULL && by_id(&id, after) <= 0))
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/formats.md",
                        "a list of channels has an id of 64 hex digits in each line, ascending");
    *ret = id;
    *rest = (ent_text){rest->data + ENT_CHANNEL_LIST_LINE, rest->size - ENT_CHANNEL_LIST_LINE};
    return ENT_DONE;
}
