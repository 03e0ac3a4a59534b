/* Cards and cutoffs that come: in pouches, and by hand. */
#include "node/keys.h"

#include "log/tree.h"
#include "node/channel.h"
#include "node/fork.h"
#include "node/peer.h"
#include "node/report.h"
#include "node/sequencer.h"

static const char rule[] = "design 2, Rotation";

void ent_keys_news_release(ent_keys_news *news)
{
    for (size_t m = 0; m < ENT_ENTRY_MAX_MEMBERS; m++) {
        ent_known_keys_free(news->members[m]);
        ent_buf_release(&news->cards[m]);
        ent_buf_release(&news->cutoffs[m]);
    }
    *news = (ent_keys_news){.any = false};
}

static ent_bytes item_of(const ent_pouch_item *items, size_t count, ent_text party)
{
    for (size_t i = 0; i < count; i++) {
        if (ent_text_equal(items[i].party, party))
            return items[i].data;
    }
    return (ent_bytes){NULL, 0};
}

static ent_rc check_names(const ent_channel *channel, const ent_pouch_item *items, size_t count, const char *folder,
                          ent_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ent_genesis_member(&channel->genesis, items[i].party) < 0)
            return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 2", "%s/%.*s is of no member of this channel",
                            folder, ENT_TEXT_ARG(items[i].party));
    }
    return ENT_DONE;
}

/* Whether a card may be the newest: it follows the one that is held here, or that was given by hand; else its root key
 * is that of the genesis. */
static ent_rc check_succession(ent_node *node, const ent_channel *channel, uint32_t member, ent_bytes held_bytes,
                               const ent_card_opened *card, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened held = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened by_hand = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf by_hand_bytes = {0};
    const ent_member *first = &channel->genesis.members[member];
    if (held_bytes.size > 0) {
        ENT_TRY(ent_card_parse(held_bytes, &held, err));
        return ent_card_succeeds(&held, card, err);
    }
    ent_rc rc = ent_peer_card(node, first->name, &by_hand_bytes, &by_hand, NULL);
    if (rc.code == ENT_OK && by_hand.card.serial < card->card.serial)
        return ent_card_succeeds(&by_hand, card, err);
    bool same_root = ent_public_key_equal(&card->card.root, &first->root);
    if (rc.code == ENT_OK && by_hand.card.serial >= card->card.serial)
        same_root = same_root || ent_public_key_equal(&card->card.root, &by_hand.card.root);
    if (!same_root)
        return ent_fail(err, ENT_PEER_MISMATCH, rule,
                        "card %llu of %.*s is under a root key that is not known here: get the card by another way, "
                        "compare its fingerprint and `entente peer add` it",
                        (unsigned long long)card->card.serial, ENT_TEXT_ARG(first->name));
    return ENT_DONE;
}

/* Take the card into what is known if it is newer. */
static ent_rc choose_card(ent_node *node, const ent_channel *channel, uint32_t member, ent_bytes bytes, ent_buf *card,
                          ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened opened = {0};
    ent_text name = channel->genesis.members[member].name;
    if (bytes.size == 0 || ent_bytes_equal(bytes, ent_buf_bytes(card)))
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, ent_card_parse(bytes, &opened, err), "cards/%.*s", ENT_TEXT_ARG(name)));
    if (!ent_text_equal(opened.card.name, name))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 2", "cards/%.*s is not the card of that member",
                        ENT_TEXT_ARG(name));
    if (opened.card.serial <= ent_channel_keys(channel, member)->serial)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, check_succession(node, channel, member, ent_buf_bytes(card), &opened, err), "cards/%.*s",
                        ENT_TEXT_ARG(name)));
    ent_buf_clear(card);
    ent_buf_put(card, bytes);
    return ent_buf_check(card, err);
}

/* Whether two cutoff notes of one root key cannot both be true: what one says again, the other says otherwise. */
static bool contradict(const ent_cutoffs *known, const ent_cutoffs *next)
{
    ent_cutoffs least = next->count < known->count ? *next : *known;
    ent_cutoffs most = next->count < known->count ? *known : *next;
    least.origin = most.origin; /* which is checked when the keys are worked out */
    return ent_cutoffs_extend(&least, &most, NULL).code != ENT_OK;
}

/* "a cutoff is said once": a root key that signed two of them is in two hands, or lies. Nobody can tell which of them
 * holds, so nothing more of that log does. */
static ent_rc equivocated(ent_node *node, ent_channel *channel, uint32_t member, ent_bytes held, ent_bytes shown,
                          ent_err *err)
{
    const ent_store_fork fork = {.note = shown, .held = held};
    bool is_new = false;
    if (channel->row.number != 0)
        ENT_TRY(ent_fork_freeze(node, channel, member, &fork, &is_new, err));
    if (is_new) /* whoever was given the other has to see ours */
        for (uint32_t m = 0; m < channel->genesis.member_count; m++)
            atomic_store(&channel->members[m].told[member], 0);
    return ent_fail(
        err, ENT_PEER_FORK, rule,
        "the root key of %.*s signed two different cutoffs of its log in this channel: it is in other hands, or "
        "shows each of us another. Both are kept; that log is frozen, and what follows needs a successor "
        "channel, with a card that was compared anew",
        ENT_TEXT_ARG(channel->genesis.members[member].name));
}

/* Take the cutoffs in if there are more of them. */
static ent_rc choose_cutoffs(ent_node *node, ent_channel *channel, uint32_t member, ent_bytes bytes,
                             const ent_buf *card, ent_buf *cutoffs, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened opened = {0};
    const ent_member *first = &channel->genesis.members[member];
    ent_public_key root = first->root;
    ent_cutoffs next;
    ent_cutoffs held;
    if (bytes.size == 0 || ent_bytes_equal(bytes, ent_buf_bytes(cutoffs)))
        return ENT_DONE;
    if (card->size > 0) {
        ENT_TRY(ent_card_parse(ent_buf_bytes(card), &opened, err));
        root = opened.card.root;
    }
    ENT_TRY(ent_cutoffs_parse(bytes, first->name, &root, &next, err));
    const ent_keys *keys = ent_channel_keys(channel, member);
    if (cutoffs->size > 0 &&
        ent_cutoffs_parse(ent_buf_bytes(cutoffs), first->name, &root, &held, NULL).code == ENT_OK &&
        contradict(&held, &next))
        return equivocated(node, channel, member, ent_buf_bytes(cutoffs), bytes, err);
    if (keys->cutoffs != NULL) {
        ent_cutoffs known = *keys->cutoffs;
        known.origin = next.origin; /* which is checked when the keys are worked out */
        if (next.count < known.count && ent_cutoffs_extend(&next, &known, NULL).code == ENT_OK)
            return ENT_DONE; /* from before the last rotation */
        ENT_TRY(ent_cutoffs_extend(&known, &next, err));
    }
    ent_buf_clear(cutoffs);
    ent_buf_put(cutoffs, bytes);
    return ent_buf_check(cutoffs, err);
}

static ent_rc check_ours(const ent_channel *channel, ent_bytes card, ent_bytes cutoffs, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened opened = {0};
    ent_text name = channel->genesis.members[channel->self].name;
    ent_cutoffs unused;
    ent_public_key root = ent_channel_keys(channel, channel->self)->root;
    if (card.size > 0) {
        ENT_TRY(ent_fail_in(err, ent_card_parse(card, &opened, err), "cards/%.*s", ENT_TEXT_ARG(name)));
        root = opened.card.root;
        if (!ent_text_equal(opened.card.name, name))
            return ent_fail(err, ENT_PEER_MISMATCH, "design 3, step 2", "cards/%.*s is not the card of that member",
                            ENT_TEXT_ARG(name));
    }
    if (cutoffs.size > 0)
        ENT_TRY(ent_fail_in(err, ent_cutoffs_parse(cutoffs, name, &root, &unused, err), "cutoffs/%.*s",
                            ENT_TEXT_ARG(name)));
    return ENT_DONE;
}

/* A card without other keys says what the genesis says. */
static bool adds_nothing(const ent_channel *channel, uint32_t member, ent_known_keys *known)
{
    const ent_keys *held = ent_channel_keys(channel, member);
    uint64_t serial = known->keys.serial;
    known->keys.serial = held->serial == 0 ? 0 : serial;
    bool same = ent_keys_equal(&known->keys, held);
    known->keys.serial = serial;
    return same;
}

static ent_rc read_member(ent_node *node, ent_channel *channel, uint32_t member, const ent_pouch *pouch,
                          ent_keys_news *news, ent_err *err)
{
    ent_text name = channel->genesis.members[member].name;
    ent_bytes card = item_of(pouch->cards, pouch->card_count, name);
    ent_bytes cutoffs = item_of(pouch->cutoffs, pouch->cutoff_count, name);
    ent_store_keys row = {.serial = 0};
    ent_known_keys *known = NULL;
    if (card.size == 0 && cutoffs.size == 0)
        return ENT_DONE;
    if (member == channel->self) /* ours we know best; but nothing damaged is taken */
        return check_ours(channel, card, cutoffs, err);
    if (channel->row.number != 0) { /* else the channel is not stored yet */
        ent_rc rc = node->store->engine->keys_get(node->store, channel->members[member].log.number, &row,
                                                  &news->cards[member], &news->cutoffs[member], err);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
            return rc;
    }
    ENT_TRY(choose_card(node, channel, member, card, &news->cards[member], err));
    ENT_TRY(ent_fail_in(
        err, choose_cutoffs(node, channel, member, cutoffs, &news->cards[member], &news->cutoffs[member], err),
        "cutoffs/%.*s", ENT_TEXT_ARG(name)));
    ENT_TRY(ent_fail_in(err,
                        ent_known_keys_make(channel, member, ent_buf_bytes(&news->cards[member]),
                                            ent_buf_bytes(&news->cutoffs[member]), row.announced, &known, err),
                        "cards/%.*s", ENT_TEXT_ARG(name)));
    if (adds_nothing(channel, member, known)) {
        ent_known_keys_free(known);
        return ENT_DONE;
    }
    news->members[member] = known;
    news->serials[member] = ent_keys_stamp(channel, member);
    news->any = true;
    return ENT_DONE;
}

/* --- cutoffs against the log --- */

/* The root key says one thing of a log, the log key said another. */
static ent_rc contradicts(ent_node *node, ent_channel *channel, uint32_t member, const ent_cutoff *cutoff,
                          ent_bytes cutoffs, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf held = {0};
    ent_store_log log;
    ent_tree_head head;
    bool is_new = false;
    ent_channel_log(channel, member, &log);
    ent_rc rc = node->store->engine->head_get(node->store, log.number, log.tree.size, &head, &held, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    ent_store_fork fork = {.note = cutoffs, .held = ent_buf_bytes(&held)};
    ENT_TRY(ent_fork_freeze(node, channel, member, &fork, &is_new, err));
    return ent_fail(err, ENT_PEER_FORK, "design 3, Fork",
                    "the cutoff of the log of %.*s gives another root for size %llu than the log has here: what came "
                    "under the old key contradicts what its owner says. Both are kept as proof; that log is frozen, "
                    "and what follows needs a successor channel",
                    ENT_TEXT_ARG(channel->genesis.members[member].name), (unsigned long long)cutoff->head.size);
}

static ent_rc check_against_held(ent_node *node, ent_channel *channel, uint32_t member, const ent_keys_news *news,
                                 ent_err *err)
{
    const ent_cutoffs *cutoffs = news->members[member]->keys.cutoffs;
    ent_store_log log;
    ent_channel_log(channel, member, &log);
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    for (size_t i = 0; cutoffs != NULL && i < cutoffs->count; i++) {
        ent_hash root;
        if (cutoffs->rows[i].head.size > log.tree.size)
            break;
        if (cutoffs->rows[i].head.size == 0)
            ent_empty_root(&root);
        else
            ENT_TRY(ent_tree_root_at(cutoffs->rows[i].head.size, &reader, &root, err));
        if (!ent_hash_equal(&root, &cutoffs->rows[i].head.root))
            return contradicts(node, channel, member, &cutoffs->rows[i], ent_buf_bytes(&news->cutoffs[member]), err);
    }
    return ENT_DONE;
}

static ent_rc read_and_check(ent_node *node, ent_channel *channel, uint32_t member, const ent_pouch *pouch,
                             ent_keys_news *news, ent_err *err)
{
    ENT_TRY(read_member(node, channel, member, pouch, news, err));
    return news->members[member] == NULL || channel->row.number == 0
               ? ENT_DONE
               : check_against_held(node, channel, member, news, err);
}

/* A card that its own root key did not sign is nobody's: who brings one has spoilt it. */
static ent_rc check_signed(const ent_pouch *pouch, ent_err *err)
{
    for (size_t i = 0; i < pouch->card_count; i++) {
        ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
        ENT_TRY(ent_fail_in(err, ent_card_parse(pouch->cards[i].data, &card, err), "cards/%.*s",
                            ENT_TEXT_ARG(pouch->cards[i].party)));
    }
    return ENT_DONE;
}

/* Whoever shows each of us another card, or other cutoffs, must not set us against each other: what does not fit here
 * is left out, and the log in the pouch goes on. Its own bearer is another matter, and so is what nobody signed. */
static bool is_left_out(const ent_channel *channel, uint32_t member, const ent_pouch *pouch, ent_rc rc)
{
    bool is_writer = ent_text_is(pouch->origin, channel->members[member].origin);
    return !is_writer && ent_code_class(rc.code) == ENT_CLASS_PEER && rc.code != ENT_PEER_MALFORMED;
}

static void leave_out(const ent_channel *channel, uint32_t member, ent_keys_news *news, const ent_err *why)
{
    ent_known_keys_free(news->members[member]);
    news->members[member] = NULL;
    ent_buf_clear(&news->cards[member]);
    ent_buf_clear(&news->cutoffs[member]);
    ent_report report = ent_report_begin("keys.refused");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_text(&report, "peer", channel->genesis.members[member].name);
    ent_report_error(&report, why);
    ent_report_end(&report);
}

ent_rc ent_keys_of_pouch(ent_node *node, ent_channel *channel, const ent_pouch *pouch, ent_keys_news *ret, ent_err *err)
{
    ENT_CLEANUP(ent_keys_news_release) ent_keys_news news = {.any = false};
    ENT_TRY(check_names(channel, pouch->cards, pouch->card_count, "cards", err));
    ENT_TRY(check_names(channel, pouch->cutoffs, pouch->cutoff_count, "cutoffs", err));
    ENT_TRY(check_signed(pouch, err));
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_err why = {0};
        ent_rc rc = read_and_check(node, channel, m, pouch, &news, &why);
        if (rc.code != ENT_OK && is_left_out(channel, m, pouch, rc)) {
            leave_out(channel, m, &news, &why);
        } else if (rc.code != ENT_OK) {
            *err = why;
            return rc;
        }
    }
    *ret = news;
    news = (ent_keys_news){.any = false};
    return ENT_DONE;
}

ent_rc ent_keys_check_new(ent_node *node, ent_channel *channel, uint32_t member, const ent_keys_news *news,
                          const ent_tree *held, const ent_pouch_checked *checked, ent_err *err)
{
    const ent_keys *keys =
        news->members[member] != NULL ? &news->members[member]->keys : ent_channel_keys(channel, member);
    ENT_CLEANUP(ent_buf_release) ent_buf stored = {0};
    ent_store_keys row;
    ent_tree tree = *held;
    for (size_t i = 0; keys->cutoffs != NULL && i < keys->cutoffs->count; i++) {
        const ent_cutoff *cutoff = &keys->cutoffs->rows[i];
        ent_hash root;
        if (cutoff->head.size <= held->size || cutoff->head.size > checked->head.size)
            continue;
        while (tree.size < cutoff->head.size)
            ENT_TRY(ent_tree_append(&tree, &checked->leaves[tree.size - held->size], err));
        ent_tree_root(&tree, &root);
        if (ent_hash_equal(&root, &cutoff->head.root))
            continue;
        ent_bytes note = ent_buf_bytes(&news->cutoffs[member]);
        if (note.size == 0) {
            ENT_TRY(node->store->engine->keys_get(node->store, channel->members[member].log.number, &row, NULL, &stored,
                                                  err));
            note = ent_buf_bytes(&stored);
        }
        return contradicts(node, channel, member, cutoff, note, err);
    }
    return ENT_DONE;
}

void ent_keys_with(const ent_channel *channel, const ent_keys_news *news, const ent_keys *ret[ENT_ENTRY_MAX_MEMBERS])
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        ret[m] = news != NULL && news->members[m] != NULL ? &news->members[m]->keys : ent_channel_keys(channel, m);
}

/* --- for apply --- */

/* Before anything is written: others may have brought a newer card meanwhile. */
ent_rc ent_keys_may_store(const ent_channel *channel, const ent_keys_news *news, ent_err *err)
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (news->members[m] != NULL &&
            (channel->members[m].next_keys != NULL || ent_keys_stamp(channel, m) != news->serials[m]))
            return ent_fail(err, ENT_RETRY, NULL, "another card of %.*s came first",
                            ENT_TEXT_ARG(channel->genesis.members[m].name));
    }
    return ENT_DONE;
}

ent_rc ent_keys_store(ent_node *node, ent_channel *channel, ent_keys_news *news, ent_err *err)
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_known_keys *known = news->members[m];
        if (known == NULL)
            continue;
        news->members[m] = NULL; /* the channel's now */
        ENT_TRY(ent_keys_put(node, channel, m, known, ent_buf_bytes(&news->cards[m]), ent_buf_bytes(&news->cutoffs[m]),
                             err));
        ENT_TRY(ent_keys_learn(node, ent_buf_bytes(&news->cards[m]), err));
    }
    return ENT_DONE;
}

/* The card in one channel of its party; the cutoffs come there by themselves. */
static ent_rc learn_in(ent_node *node, ent_channel *channel, uint32_t member, ent_bytes card, uint64_t serial,
                       ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf held = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf cutoffs = {0};
    ent_store_keys row = {.serial = 0};
    ent_known_keys *known = NULL;
    ent_rc rc =
        node->store->engine->keys_get(node->store, channel->members[member].log.number, &row, &held, &cutoffs, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    if (row.serial >= serial)
        return ENT_DONE;
    rc = ent_known_keys_make(channel, member, card, ent_buf_bytes(&cutoffs), row.announced, &known, NULL);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code != ENT_OK) /* it does not lead on from the keys that this channel began with */
        return ENT_DONE;
    rc = ent_sequencer_touch(node, channel, err);
    if (rc.code != ENT_OK || adds_nothing(channel, member, known)) {
        ent_known_keys_free(known);
        return rc;
    }
    return ent_keys_put(node, channel, member, known, card, ent_buf_bytes(&cutoffs), err);
}

ent_rc ent_keys_learn(ent_node *node, ent_bytes bytes, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ent_channel *channel;
    ENT_TRY(ent_card_parse(bytes, &card, err));
    ENT_TRY(ent_peer_renew(node, bytes, &card, err));
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        int member = ent_genesis_member(&channel->genesis, card.card.name);
        if (member >= 0 && (uint32_t)member != channel->self && channel->members[member].next_keys == NULL)
            ENT_TRY(learn_in(node, channel, (uint32_t)member, bytes, card.card.serial, err));
    }
    return ENT_DONE;
}
