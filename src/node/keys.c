#include "node/keys.h"

#include "node/channel.h"
#include "node/key_lost.h"
#include "node/passed.h"
#include "node/rotate.h"

static const char rule[] = "design 2, Rotation";

/* --- what is known --- */

const ent_keys *ent_channel_keys(const ent_channel *channel, uint32_t member)
{
    return &atomic_load(&channel->members[member].keys)->keys;
}

const ent_keys *ent_channel_keys_next(const ent_channel *channel, uint32_t member)
{
    const ent_known_keys *next = channel->members[member].next_keys;
    return next == NULL ? ent_channel_keys(channel, member) : &next->keys;
}

const ent_public_key *ent_channel_log_key(const ent_channel *channel, uint64_t size)
{
    return &ent_keys_log(ent_channel_keys(channel, channel->self), size)->key;
}

uint32_t ent_channel_receipt_key(const ent_channel *channel)
{
    const ent_keys *keys = ent_channel_keys(channel, channel->self);
    return (uint32_t)(keys->role_count[ENT_KEY_ROLE_RECEIPT] - 1);
}

ent_public_key ent_channel_receipt_public(const ent_channel *channel, uint32_t place)
{
    const ent_keys *keys = ent_channel_keys(channel, channel->self);
    ent_public_key key;
    memcpy(key.bytes, keys->roles[ENT_KEY_ROLE_RECEIPT][place].value, sizeof key.bytes);
    return key;
}

void ent_known_keys_free(ent_known_keys *known)
{
    if (known == NULL)
        return;
    ent_keys_release(&known->keys);
    ent_free((void *)known->contested_end);
    ent_free(known);
}

static ent_first_keys first_of(const ent_member *member)
{
    return (ent_first_keys){.name = member->name,
                            .root = member->root,
                            .log = member->log,
                            .receipt = member->receipt,
                            .age = member->age,
                            .tls = member->tls};
}

ent_rc ent_known_keys_make(const ent_channel *channel, uint32_t member, ent_bytes card_bytes, ent_bytes cutoff_bytes,
                           uint64_t announced, ent_known_keys **ret, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ent_first_keys first = first_of(&channel->genesis.members[member]);
    ent_cutoffs cutoffs;
    if (card_bytes.size > 0)
        ENT_TRY(ent_card_parse(card_bytes, &card, err));
    const ent_public_key *root = card_bytes.size > 0 ? &card.card.root : &first.root;
    if (cutoff_bytes.size > 0)
        ENT_TRY(ent_cutoffs_parse(cutoff_bytes, first.name, root, &cutoffs, err));
    if (cutoff_bytes.size > 0 && !ent_text_is(cutoffs.origin, channel->members[member].origin))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the cutoff note is of another log");
    ent_known_keys *known = ent_alloc(sizeof *known);
    if (known == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_rc rc = ent_keys_make(&first, card_bytes.size > 0 ? &card.card : NULL, cutoff_bytes.size > 0 ? &cutoffs : NULL,
                              &known->keys, err);
    if (rc.code == ENT_OK) {
        known->contested_end = ent_alloc_array(known->keys.log_count, sizeof *known->contested_end);
        if (known->contested_end == NULL)
            rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    if (rc.code != ENT_OK) {
        ent_known_keys_free(known);
        return rc;
    }
    known->announced = announced;
    *ret = known;
    return ENT_DONE;
}

ent_rc ent_channel_keys_begin(ent_channel *channel, ent_err *err)
{
    const ent_bytes none = {NULL, 0};
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_known_keys *known = NULL;
        ENT_TRY(ent_known_keys_make(channel, m, none, none, 0, &known, err));
        atomic_store(&channel->members[m].keys, known);
    }
    return ENT_DONE;
}

/* Card and cutoff note as they are stored; both stay empty when only the genesis is known. */
static ent_rc read_stored(ent_node *node, const ent_channel *channel, uint32_t member, ent_store_keys *ret,
                          ent_buf *card, ent_buf *cutoffs, ent_err *err)
{
    *ret = (ent_store_keys){.log = channel->members[member].log.number};
    ent_rc rc = node->store->engine->keys_get(node->store, ret->log, ret, card, cutoffs, err);
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

static void publish(ent_channel_member *member, ent_known_keys *known)
{
    known->before = atomic_load(&member->keys);
    atomic_store(&member->keys, known);
}

ent_rc ent_channel_keys_load(ent_node *node, ent_channel *channel, uint32_t member, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf cutoffs = {0};
    ent_store_keys row;
    ent_known_keys *known = NULL;
    ENT_TRY(read_stored(node, channel, member, &row, &card, &cutoffs, err));
    if (row.serial == 0)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(
        err,
        ent_known_keys_make(channel, member, ent_buf_bytes(&card), ent_buf_bytes(&cutoffs), row.announced, &known, err),
        "the stored keys of %.*s", ENT_TEXT_ARG(channel->genesis.members[member].name)));
    publish(&channel->members[member], known);
    return ENT_DONE;
}

void ent_channel_keys_free(ent_channel *channel)
{
    for (size_t m = 0; channel->members != NULL && m < channel->genesis.member_count; m++) {
        ent_known_keys *known = atomic_load(&channel->members[m].keys);
        ent_known_keys_free(channel->members[m].next_keys);
        while (known != NULL) {
            ent_known_keys *before = known->before;
            ent_known_keys_free(known);
            known = before;
        }
    }
}

/* --- for apply --- */

ent_rc ent_keys_put(ent_node *node, ent_channel *channel, uint32_t member, ent_known_keys *known, ent_bytes card,
                    ent_bytes cutoffs, ent_err *err)
{
    ent_channel_member *of = &channel->members[member];
    ent_store_keys row = {.log = of->log.number, .serial = known->keys.serial, .announced = known->announced};
    ent_known_keys_free(of->next_keys);
    of->next_keys = known;
    ENT_TRY(node->store->engine->keys_put(node->store, &row, card, cutoffs, err));
    return ent_passed_by_cutoff(node, channel, member, &known->keys, err);
}

bool ent_keys_await(const ent_node *node, const ent_channel *channel, uint64_t size)
{
    return (atomic_load(&channel->rotating) && channel->members[channel->self].next_keys == NULL) ||
           ent_key_lost_for_head(node, channel, size);
}

void ent_keys_publish(const ent_node *node, ent_channel *channel)
{
    bool ours = channel->members[channel->self].next_keys != NULL;
    if (channel->members[channel->self].next_keys != NULL)
        atomic_store(&channel->rotating, false);
    for (size_t m = 0; m < channel->genesis.member_count; m++) {
        if (channel->members[m].next_keys == NULL)
            continue;
        publish(&channel->members[m], channel->members[m].next_keys);
        channel->members[m].next_keys = NULL;
    }
    if (ours)
        ent_key_look(node, channel);
}

void ent_keys_forget(ent_channel *channel)
{
    for (size_t m = 0; m < channel->genesis.member_count; m++) {
        ent_known_keys_free(channel->members[m].next_keys);
        channel->members[m].next_keys = NULL;
    }
}

/* --- packing --- */

uint64_t ent_keys_stamp(const ent_channel *channel, uint32_t member)
{
    const ent_keys *keys = ent_channel_keys(channel, member);
    return keys->serial == 0 ? 0 : keys->serial << 8 | keys->log_count;
}

static ent_rc keep(ent_arena *arena, const ent_buf *bytes, ent_bytes *ret, ent_err *err)
{
    ent_text copy = ent_arena_text(arena, ent_buf_text(bytes));
    if (copy.data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory while packing");
    *ret = ent_text_bytes(copy);
    return ENT_DONE;
}

/* The card that is known of a member beside the genesis, or, for a first contact, the one it was given by hand. */
static ent_rc pack_member(ent_node *node, const ent_channel *channel, uint32_t member, bool all, ent_arena *arena,
                          ent_pouch *pouch, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf cutoffs = {0};
    ent_store_keys row;
    ent_store_peer peer;
    ent_text name = channel->genesis.members[member].name;
    ENT_TRY(read_stored(node, channel, member, &row, &card, &cutoffs, err));
    if (card.size == 0 && all && member == channel->self) {
        ent_buf_put(&card, ent_buf_bytes(&ent_node_card(node)->bytes));
        ENT_TRY(ent_buf_check(&card, err));
    } else if (card.size == 0 && all) {
        ent_rc rc = node->store->engine->peer_get(node->store, name, &peer, &card, err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
    }
    if (card.size > 0) {
        ent_pouch_item *item = &pouch->cards[pouch->card_count++];
        item->party = name;
        ENT_TRY(keep(arena, &card, &item->data, err));
    }
    if (cutoffs.size > 0) {
        ent_pouch_item *item = &pouch->cutoffs[pouch->cutoff_count++];
        item->party = name;
        ENT_TRY(keep(arena, &cutoffs, &item->data, err));
    }
    return ENT_DONE;
}

ent_rc ent_keys_pack(ent_node *node, const ent_channel *channel, uint32_t to, bool all, ent_arena *arena,
                     ent_pouch *pouch, ent_err *err)
{
    size_t count = channel->genesis.member_count;
    pouch->cards = ent_arena_alloc(arena, count * sizeof *pouch->cards);
    pouch->cutoffs = ent_arena_alloc(arena, count * sizeof *pouch->cutoffs);
    if (pouch->cards == NULL || pouch->cutoffs == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory while packing");
    for (uint32_t m = 0; m < count; m++) { /* sorted by name, as the pouch wants them */
        uint64_t stamp = ent_keys_stamp(channel, m);
        bool told = stamp == 0 || stamp == atomic_load(&channel->members[to].told[m]);
        if (all || (m != to && !told))
            ENT_TRY(pack_member(node, channel, m, all, arena, pouch, err));
    }
    return ENT_DONE;
}

void ent_keys_stamps(const ent_channel *channel, uint64_t ret[ENT_ENTRY_MAX_MEMBERS])
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        ret[m] = ent_keys_stamp(channel, m);
}

void ent_keys_told(ent_channel *channel, uint32_t to, const uint64_t stamps[ENT_ENTRY_MAX_MEMBERS])
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        atomic_store(&channel->members[to].told[m], stamps == NULL ? 0 : stamps[m]);
}
