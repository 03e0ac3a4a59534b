#include "node/channel.h"

#include "base/cursor.h"
#include "log/tile.h"
#include "node/key_lost.h"
#include "node/keys.h"
#include "node/ledgers.h"
#include "node/passed.h"
#include "node/opener.h"
#include "node/receipt.h"
#include "node/report.h"

enum { SHORTEST_ID_DIGITS = 8 };

static ent_rc make_members(ent_channel *channel, ent_err *err)
{
    size_t count = channel->genesis.member_count;
    channel->members = ent_alloc_array(count, sizeof *channel->members);
    if (channel->members == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        ent_channel_member *member = &channel->members[i];
        (void)ent_origin_write(channel->genesis.members[i].name, &channel->id, member->origin);
        member->log.member = (uint32_t)i;
        member->log.own = i == channel->self;
        member->next = member->log;
        member->told = ent_alloc_array(count, sizeof *member->told);
        if (count > 2)
            member->forwards = ent_alloc_array(count, sizeof *member->forwards);
        if (member->told == NULL || (count > 2 && member->forwards == NULL))
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    return ent_channel_keys_begin(channel, err);
}

static ent_rc fill(const ent_node *node, ent_channel *channel, ent_bytes genesis, ent_err *err)
{
    ent_buf_put(&channel->genesis_bytes, genesis);
    ENT_TRY(ent_buf_check(&channel->genesis_bytes, err));
    ent_channel_id(genesis, &channel->id);
    ent_hex_encode(ent_hash_bytes(&channel->id), channel->id_text);
    ENT_TRY(ent_genesis_decode(genesis, &channel->arena, &channel->genesis, err));
    int self = ent_genesis_member(&channel->genesis, ent_text_of(node->config.name));
    if (self < 0)
        return ent_fail(err, ENT_PEER_NOT_OURS, "design 2, Genesis", "%s is not a member of channel %.8s",
                        node->config.name, channel->id_text);
    channel->self = (uint32_t)self;
    ENT_TRY(make_members(channel, err));
    ent_key_look(node, channel);
    return ENT_DONE;
}

ent_rc ent_channel_new(const ent_node *node, ent_bytes genesis, ent_channel **ret, ent_err *err)
{
    ent_channel *channel = ent_alloc(sizeof *channel);
    if (channel == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)pthread_mutex_init(&channel->lock, NULL);
    atomic_init(&channel->unsent, true);
    ent_rc rc = ent_ledgers_new(&channel->ledger, err);
    if (rc.code == ENT_OK)
        rc = fill(node, channel, genesis, err);
    if (rc.code != ENT_OK) {
        ent_channel_free(channel);
        return rc;
    }
    *ret = channel;
    return ENT_DONE;
}

static void release_member(ent_channel_member *member)
{
    ent_reading_free(member->reading);
    ent_free(member->forwards);
    ent_free((void *)member->told);
}

void ent_channel_free(ent_channel *channel)
{
    if (channel == NULL)
        return;
    ent_ledgers_free(channel->ledger);
    ent_channel_keys_free(channel);
    for (size_t i = 0; channel->members != NULL && i < channel->genesis.member_count; i++)
        release_member(&channel->members[i]);
    ent_buf_release(&channel->genesis_bytes);
    ent_arena_release(&channel->arena);
    ent_buf_release(&channel->head_note);
    ent_free(channel->members);
    ent_free(channel->appends.entries);
    ent_free(channel->appends.leaves);
    ent_free(channel->appends.bodies);
    ent_free(channel->appends.digests);
    (void)pthread_mutex_destroy(&channel->lock);
    ent_free(channel);
}

void ent_channel_release(ent_channel **channel)
{
    ent_channel_free(*channel);
    *channel = NULL;
}

ent_rc ent_channel_store(ent_node *node, ent_channel *channel, ent_channel_state state, const char *alias, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    ent_store_channel row = {.id = channel->id, .state = state, .added_unix_s = channel->added_unix_s};
    if (alias != NULL)
        memcpy(row.alias, alias, strnlen(alias, sizeof row.alias - 1));
    ENT_TRY(engine->channel_add(node->store, &row, ent_buf_bytes(&channel->genesis_bytes), err));
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        channel->members[i].log.channel = row.number;
        ENT_TRY(engine->log_add(node->store, &channel->members[i].log, err));
        channel->members[i].next = channel->members[i].log;
    }
    channel->row = row;
    channel->next_row = row;
    return ENT_DONE;
}

ent_rc ent_channel_publish(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_rc rc = ENT_DONE;
    (void)pthread_rwlock_wrlock(&node->channels_lock);
    if (node->channel_count == node->channel_capacity) {
        size_t capacity = node->channel_capacity == 0 ? 16 : node->channel_capacity * 2;
        ent_channel **channels = ent_realloc(node->channels, capacity * sizeof(ent_channel *));
        if (channels == NULL) {
            rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        } else {
            node->channels = channels;
            node->channel_capacity = capacity;
        }
    }
    if (rc.code == ENT_OK)
        node->channels[node->channel_count++] = channel;
    (void)pthread_rwlock_unlock(&node->channels_lock);
    return rc;
}

void ent_channels_free(ent_node *node)
{
    for (size_t i = 0; i < node->channel_count; i++)
        ent_channel_free(node->channels[i]);
    ent_free(node->channels);
    node->channels = NULL;
    node->channel_count = 0;
}

static ent_rc load_member(ent_node *node, ent_channel *channel, uint32_t i, ent_err *err)
{
    ent_channel_member *member = &channel->members[i];
    ent_store_receipt receipt;
    ENT_TRY(node->store->engine->log_get(node->store, channel->row.number, i, &member->log, err));
    member->next = member->log;
    if (member->log.frozen)
        atomic_fetch_add(&channel->forks, 1);
    if (i == channel->self)
        return ENT_DONE;
    ent_rc rc = node->store->engine->receipt_newest(node->store, member->log.number, channel->self, &receipt, err);
    if (rc.code == ENT_OK && ent_receipt_is_signed(&receipt)) /* else the sequencer signs it again first */
        member->receipted = receipt.head;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

/* What was signed before this start: the newest kept head that our entries bear out. A head of ours that they do not
 * was brought by a peer: this store is older than what we said, and stays held. */
static ent_rc load_signed_size(ent_node *node, ent_channel *channel, ent_err *err)
{
    const ent_store_log *own = &channel->members[channel->self].log;
    ent_store_tiles tiles = {node->store, own->number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    for (uint64_t at_most = UINT64_MAX; at_most > 0;) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        ent_hash root;
        ent_rc rc = node->store->engine->head_get(node->store, own->number, at_most, &head, &note, err);
        if (rc.code == ENT_ABSENT)
            return ENT_DONE;
        ENT_TRY(rc);
        if (head.size <= own->tree.size) {
            ENT_TRY(ent_tree_root_at(head.size, &reader, &root, err));
            if (ent_hash_equal(&root, &head.root)) {
                channel->signed_size = head.size;
                if (atomic_load(&channel->keyless)) { /* else the sequencer signs the newest again */
                    channel->head = head;
                    channel->head_note = note;
                    note = (ent_buf){0};
                }
                return ENT_DONE;
            }
        }
        ent_channel_hold(channel, ENT_HOLD_PEER_LARGER,
                         "a head of ours with %llu entries was shown to us, and this store holds %llu of them or "
                         "others: it is older than what we signed. `entente recover --from PARTY` brings back what a "
                         "member holds; when nobody does, open a successor channel. If we never said it, somebody has "
                         "our log key: `entente key revoke log`",
                         (unsigned long long)head.size, (unsigned long long)own->tree.size);
        at_most = head.size - 1;
    }
    return ENT_DONE;
}

static ent_rc load_channel(void *context, const ent_store_channel *row, ent_err *err)
{
    ent_node *node = context;
    ent_store_channel again;
    ENT_CLEANUP(ent_buf_release) ent_buf genesis = {0};
    ENT_CLEANUP(ent_channel_release) ent_channel *channel = NULL;
    ENT_TRY(node->store->engine->channel_get(node->store, &row->id, &again, &genesis, err));
    ENT_TRY(ent_channel_new(node, ent_buf_bytes(&genesis), &channel, err));
    channel->row = *row;
    channel->next_row = *row;
    channel->added_unix_s = row->added_unix_s;
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        ENT_TRY(load_member(node, channel, i, err));
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        ENT_TRY(ent_channel_keys_load(node, channel, i, err));
    ent_key_look(node, channel);
    ENT_TRY(load_signed_size(node, channel, err));
    ENT_TRY(ent_passed_load(node, channel, err));
    ENT_TRY(ent_channel_publish(node, channel, err));
    channel = NULL;
    return ENT_DONE;
}

ent_rc ent_channels_load(ent_node *node, ent_err *err)
{
    return node->store->engine->channel_walk(node->store, load_channel, node, err);
}

ent_channel *ent_channel_at(ent_node *node, size_t at)
{
    (void)pthread_rwlock_rdlock(&node->channels_lock);
    ent_channel *channel = at < node->channel_count ? node->channels[at] : NULL;
    (void)pthread_rwlock_unlock(&node->channels_lock);
    return channel;
}

size_t ent_channel_count(ent_node *node)
{
    (void)pthread_rwlock_rdlock(&node->channels_lock);
    size_t count = node->channel_count;
    (void)pthread_rwlock_unlock(&node->channels_lock);
    return count;
}

ent_channel *ent_channel_find(ent_node *node, const ent_hash *id)
{
    ent_channel *found = NULL;
    (void)pthread_rwlock_rdlock(&node->channels_lock);
    for (size_t i = 0; i < node->channel_count && found == NULL; i++) {
        if (ent_hash_equal(&node->channels[i]->id, id))
            found = node->channels[i];
    }
    (void)pthread_rwlock_unlock(&node->channels_lock);
    return found;
}

ent_rc ent_channel_named(ent_node *node, ent_text name, ent_channel **ret, ent_err *err)
{
    ent_channel *found = NULL;
    ent_channel *channel;
    size_t count = 0;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        char alias[ENT_NAME_MAX_BYTES + 1];
        ent_channel_alias(channel, alias);
        if (alias[0] != 0 && ent_text_is(name, alias)) { /* before any id that begins like it */
            *ret = channel;
            return ENT_DONE;
        }
        if (name.size >= SHORTEST_ID_DIGITS && ent_text_starts(ent_text_of(channel->id_text), name)) {
            found = channel;
            count++;
        }
    }
    if (count > 1)
        return ent_fail(err, ENT_ABSENT, NULL, "several channels begin with %.*s; give more digits",
                        ENT_TEXT_ARG(name));
    if (found == NULL)
        return ent_fail(
            err, ENT_ABSENT, NULL,
            "no channel \"%.*s\" here; `entente channel list` shows all (an alias or at least %d digits of the id)",
            ENT_TEXT_ARG(name), SHORTEST_ID_DIGITS);
    *ret = found;
    return ENT_DONE;
}

ent_channel_state ent_channel_state_now(ent_channel *channel)
{
    (void)pthread_mutex_lock(&channel->lock);
    ent_channel_state state = channel->row.state;
    (void)pthread_mutex_unlock(&channel->lock);
    return state;
}

void ent_channel_alias(ent_channel *channel, char ret[ENT_NAME_MAX_BYTES + 1])
{
    (void)pthread_mutex_lock(&channel->lock);
    memcpy(ret, channel->row.alias, ENT_NAME_MAX_BYTES + 1);
    (void)pthread_mutex_unlock(&channel->lock);
}

void ent_channel_log(ent_channel *channel, uint32_t member, ent_store_log *ret)
{
    (void)pthread_mutex_lock(&channel->lock);
    *ret = channel->members[member].log;
    (void)pthread_mutex_unlock(&channel->lock);
}

void ent_channel_receipted(ent_channel *channel, uint32_t member, uint64_t most, ent_tree_head *ret)
{
    const ent_channel_member *from = &channel->members[member];
    (void)pthread_mutex_lock(&channel->lock);
    *ret = (ent_tree_head){0};
    if (from->receipted.size <= most)
        *ret = from->receipted;
    for (size_t i = from->earlier_count; i > 0 && ret->size == 0; i--) {
        if (from->earlier[i - 1].size <= most)
            *ret = from->earlier[i - 1];
    }
    (void)pthread_mutex_unlock(&channel->lock);
}

/* Else who floods us could keep us from answering what he asked before. */
ent_rc ent_channel_ackable(ent_node *node, ent_channel *channel, uint32_t member, uint64_t most, uint64_t covering,
                           ent_tree_head *ret, ent_err *err)
{
    ent_tree_head head;
    ent_store_receipt receipt;
    ent_channel_receipted(channel, member, most, &head);
    *ret = head;
    if (covering == 0 || covering > most || head.size >= covering)
        return ENT_DONE;
    ent_rc rc = node->store->engine->receipt_covering(node->store, channel->members[member].log.number, channel->self,
                                                      covering, &receipt, err);
    if (rc.code == ENT_OK && receipt.head.size <= most && ent_receipt_is_signed(&receipt))
        *ret = receipt.head;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

/* When the opener lags behind by many receipts, those in the middle are passed over: the oldest is the next that can be
 * acked, the newest the last. What is answered is looked up in the store then. */
void ent_channel_receipt_signed(ent_channel *channel, uint32_t member, const ent_tree_head *head)
{
    ent_channel_member *of = &channel->members[member];
    uint64_t acked = channel->members[channel->self].log.acked[member];
    size_t kept = 0;
    if (head->size <= of->receipted.size)
        return;
    for (size_t i = 0; i < of->earlier_count; i++) {
        if (of->earlier[i].size > acked)
            of->earlier[kept++] = of->earlier[i];
    }
    if (of->receipted.size > acked && kept < ENT_RECEIPTED_KEPT)
        of->earlier[kept++] = of->receipted;
    of->earlier_count = kept;
    of->receipted = *head;
}

uint64_t ent_channel_signed_size(ent_channel *channel)
{
    (void)pthread_mutex_lock(&channel->lock);
    uint64_t size = channel->signed_size;
    (void)pthread_mutex_unlock(&channel->lock);
    return size;
}

int ent_channel_member_by_pin(const ent_channel *channel, const ent_hash *pin)
{
    for (size_t i = 0; i < channel->genesis.member_count; i++) {
        if (ent_keys_has_pin(ent_channel_keys(channel, (uint32_t)i), pin))
            return (int)i;
    }
    return -1;
}

void ent_channel_member_message(ent_channel *channel, ent_json_writer *writer, const char *key, ent_message_ref message)
{
    char alias[ENT_NAME_MAX_BYTES + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_channel_alias(channel, alias);
    ent_buf_put_string(&text, alias[0] != 0 ? alias : channel->id_text);
    ent_buf_put_u8(&text, '/');
    ent_buf_put_text(&text, message.party);
    ent_buf_put_u8(&text, '/');
    ent_buf_put_decimal(&text, message.index);
    if (text.failed != ENT_OK)
        writer->buf->failed = text.failed;
    else
        ent_json_member_text(writer, key, ent_buf_text(&text));
}

ent_rc ent_message_named(ent_node *node, ent_text name, ent_channel **ret_channel, uint32_t *ret_member,
                         uint64_t *ret_index, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(name));
    ent_text channel_name = ent_cursor_until(&cursor, '/');
    ent_text party = ent_cursor_until(&cursor, '/');
    uint64_t index = ent_cursor_decimal(&cursor, ENT_LOG_MAX_SIZE);
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_USAGE, "design 10",
                        "\"%.*s\" names no message; a message is CHANNEL/PARTY/INDEX, as `entente list` shows it",
                        ENT_TEXT_ARG(name));
    ent_channel *channel = NULL;
    ENT_TRY(ent_channel_named(node, channel_name, &channel, err));
    int member = ent_genesis_member(&channel->genesis, party);
    if (member < 0)
        return ent_fail(err, ENT_ABSENT, NULL, "%.*s is not a member of that channel", ENT_TEXT_ARG(party));
    ent_store_log log;
    ent_channel_log(channel, (uint32_t)member, &log);
    if (index >= log.tree.size)
        return ent_fail(err, ENT_ABSENT, NULL, "the log of %.*s holds %llu entries here; there is no number %llu",
                        ENT_TEXT_ARG(party), (unsigned long long)log.tree.size, (unsigned long long)index);
    *ret_channel = channel;
    *ret_member = (uint32_t)member;
    *ret_index = index;
    return ENT_DONE;
}

ent_rc ent_channel_entry(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_arena *arena,
                         ent_buf *ret_bytes, ent_entry *ret, ent_err *err)
{
    uint64_t count = 0;
    bool more = false;
    ent_bytes entry = {0};
    ent_store_log log;
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ent_channel_log(channel, member, &log);
    ENT_TRY(node->store->engine->entries_read(node->store, log.number, index, 1, 0, &bundle, &count, err));
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
    ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
    if (!more)
        return ent_fail(err, ENT_ABSENT, NULL, "entry %llu is not held", (unsigned long long)index);
    if (ret_bytes != NULL) {
        ent_buf_put(ret_bytes, entry);
        ENT_TRY(ent_buf_check(ret_bytes, err));
    }
    return ent_entry_decode(entry, arena, ret, err);
}
