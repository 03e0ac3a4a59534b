/* What a writer said between a revoked key's cutoff and the entry that tells of it: whoever has the key may have. */
#include "node/keys.h"

#include "node/channel.h"
#include "node/message_row.h"

/* Whether an entry tells of this card, or of one after it. */
static bool tells_of(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, uint64_t serial)
{
    uint64_t said = 0;
    if (!ent_text_is(entry->kind, "channel.rotate"))
        return false;
    ENT_CLEANUP(ent_json_release) ent_json *json = ent_message_document(node, channel, member, entry);
    return json != NULL &&
           ent_json_unsigned(ent_json_get(ent_json_get(ent_json_root(json), "fields"), "serial"), UINT64_MAX, &said) &&
           said >= serial;
}

/* Index of the entry that tells of it; the log's size while it has not come. */
static ent_rc find_end(ent_node *node, ent_channel *channel, uint32_t member, const ent_log_key *key, uint64_t *ret,
                       ent_err *err)
{
    ent_store_log log;
    ent_channel_log(channel, member, &log);
    for (uint64_t index = key->from; index < log.tree.size; index++) {
        ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
        ent_entry entry;
        ENT_TRY(ent_channel_entry(node, channel, member, index, &arena, NULL, &entry, err));
        if (!tells_of(node, channel, member, &entry, key->serial))
            continue;
        *ret = index;
        return ENT_DONE;
    }
    *ret = UINT64_MAX;
    return ENT_DONE;
}

ent_rc ent_keys_contested(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, uint64_t *ret_serial,
                          ent_err *err)
{
    ent_known_keys *known = atomic_load(&channel->members[member].keys);
    *ret_serial = 0;
    for (size_t i = 1; i < known->keys.log_count; i++) {
        const ent_log_key *key = &known->keys.log[i];
        if (!key->revokes || index < key->from)
            continue;
        uint64_t end = atomic_load(&known->contested_end[i]);
        if (end == 0) {
            ENT_TRY(find_end(node, channel, member, key, &end, err));
            if (end != UINT64_MAX) /* it never moves any more; + 1, for an end of 0 is one too */
                atomic_store(&known->contested_end[i], end + 1);
        } else {
            end--;
        }
        if (index < end) {
            *ret_serial = key->serial;
            return ENT_DONE;
        }
    }
    return ENT_DONE;
}
