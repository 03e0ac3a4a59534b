#include "node/invite.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/events.h"
#include "node/founding.h"
#include "node/guard.h"
#include "node/keys.h"
#include "node/peer.h"
#include "node/rotate.h"
#include "node/sequencer.h"

/* --- keys in a genesis against cards --- */

static ent_rc other_keys(const ent_member *member, ent_err *err)
{
    return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                    "the keys of %.*s in the genesis are not those of its card", ENT_TEXT_ARG(member->name));
}

ent_rc ent_invite_check_member(const ent_member *member, const ent_card *card, ent_err *err)
{
    ent_first_keys first = {member->name, member->root, member->log, member->receipt, member->age, member->tls};
    ENT_CLEANUP(ent_keys_release) ent_keys keys = {0};
    ent_rc rc = ent_keys_make(&first, card, NULL, &keys, NULL);
    bool other = rc.code == ENT_PEER_MISMATCH || !ent_public_key_equal(&member->root, &card->root);
    return other ? other_keys(member, err) : rc;
}

/* We sign with no key that is not ours any more. */
static ent_rc check_own(const ent_member *member, const ent_card *card, ent_err *err)
{
    bool same = ent_public_key_equal(&member->root, &card->root) && ent_public_key_equal(&member->log, &card->log) &&
                ent_public_key_equal(&member->receipt, &card->receipt) && ent_hash_equal(&member->tls, &card->tls) &&
                memcmp(member->age.bytes, card->age.bytes, sizeof card->age.bytes) == 0;
    if (!same)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                        "the keys of %.*s in the genesis are not those of its card, which has number %llu now: add "
                        "that card and open the channel again",
                        ENT_TEXT_ARG(member->name), (unsigned long long)card->serial);
    return ENT_DONE;
}

/* --- receiving an invitation --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    bool known;
    ent_bytes pouch;
    ent_tree_head shown; /* of our own log, in heads/; size 0 = none */
    ent_bytes shown_note;
} invite_job;

static ent_rc apply_invite(ent_job *job, ent_node *node, ent_err *err)
{
    invite_job *work = (invite_job *)job;
    ent_channel *known = ent_channel_find(node, &work->channel->id);
    work->known = known != NULL;
    if (known != NULL && ent_channel_state_now(known) != ENT_CHANNEL_INVITED)
        return ent_fail(err, ENT_RETRY, NULL, "the channel was accepted meanwhile");
    if (known == NULL) {
        ent_store_channel row;
        ENT_CLEANUP(ent_buf_release) ent_buf genesis = {0};
        ent_rc rc = node->store->engine->channel_get(node->store, &work->channel->id, &row, &genesis, err);
        if (rc.code == ENT_OK)
            return ent_fail(err, ENT_RETRY, NULL, "the same invitation came first");
        if (rc.code != ENT_ABSENT)
            return rc;
        ENT_TRY(ent_channel_store(node, work->channel, ENT_CHANNEL_INVITED, NULL, err));
        if (work->shown.size > 0) /* kept, so that the next start knows it too */
            ENT_TRY(node->store->engine->head_put(node->store, work->channel->members[work->channel->self].log.number,
                                                  &work->shown, work->shown_note, err));
    }
    return node->store->engine->invite_put(node->store, known != NULL ? known->row.number : work->channel->row.number,
                                           work->pouch, err);
}

/* Who has never been in a channel has signed nothing in it. */
static void hold_forgotten(ent_channel *channel, const ent_tree_head *shown)
{
    ent_channel_hold(
        channel, ENT_HOLD_PEER_LARGER,
        "this invitation shows a head of our own log with %llu entries, signed by us: we have been in this "
        "channel, and this store has forgotten it. `entente recover --from PARTY` brings back what a "
        "member holds; when nobody has it all, a successor channel is the way",
        (unsigned long long)shown->size);
}

static void settle_invite(ent_job *job, ent_node *node)
{
    invite_job *work = (invite_job *)job;
    if (work->known)
        return;
    ent_channel *channel = work->channel;
    if (work->shown.size > 0)
        hold_forgotten(channel, &work->shown);
    else if (!node->before.was_clean)
        ent_guard_ask(node, channel);
    job->rc = ent_channel_publish(node, work->channel, &job->err);
    if (job->rc.code == ENT_OK) {
        ent_guard_wake(node->guard);
        ent_tell_channel(node, work->channel);
        work->channel = NULL;
    }
}

static ent_rc nothing_at(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *err)
{
    (void)context, (void)member, (void)size, (void)ret_root, (void)err;
    *ret_known = false;
    return ENT_DONE;
}

static ent_rc no_head(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *err)
{
    (void)context, (void)member, (void)head, (void)err;
    *ret_held = false;
    return ENT_DONE;
}

static ent_rc no_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret, ent_err *err)
{
    (void)context, (void)level, (void)index, (void)width, (void)ret;
    return ent_fail(err, ENT_ABSENT, NULL, "nothing is held of this log");
}

static ent_rc check_invite(const ent_channel *channel, uint32_t writer, const ent_pouch *pouch,
                           const ent_keys_news *keys, invite_job *work, ent_err *err)
{
    static const ent_tree empty;
    ENT_CLEANUP(ent_pouch_checked_release) ent_pouch_checked checked = {0};
    ent_pouch_known known = {
        .genesis = &channel->genesis,
        .channel = channel->id,
        .self = channel->self,
        .writer = writer,
        .tree = &empty,
        .tiles = {no_tile, NULL},
        .root_at = nothing_at,
        .head_held = no_head,
    };
    ent_keys_with(channel, keys, known.keys);
    ENT_TRY(ent_pouch_check(pouch, &known, &checked, err));
    if (checked.verdict != ENT_POUCH_NEW)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Genesis", "an invitation carries the opener's entry 0");
    for (size_t i = 0; i < checked.head_count; i++) {
        if (checked.heads[i].member != channel->self)
            continue;
        work->shown = checked.heads[i].head;
        work->shown_note = checked.heads[i].note;
    }
    return ENT_DONE;
}

static ent_rc check_opener(ent_node *node, const ent_member *writer, const ent_hash *pin, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_rc rc = ent_peer_card(node, writer->name, &bytes, &card, err);
    if (rc.code == ENT_ABSENT)
        return ent_fail(err, ENT_PEER_UNKNOWN, "design 2, Genesis",
                        "%.*s is not a known peer here: exchange cards first", ENT_TEXT_ARG(writer->name));
    ENT_TRY(rc);
    ent_peer peer;
    if (pin != NULL &&
        (ent_peer_by_pin(node, pin, &peer, NULL).code != ENT_OK || !ent_text_is(writer->name, peer.name)))
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "an invitation is sent by its opener, %.*s",
                        ENT_TEXT_ARG(writer->name));
    return ent_invite_check_member(writer, &card.card, err);
}

static ent_rc count_invites(ent_node *node, ent_text opener, ent_err *err)
{
    ent_channel *channel;
    size_t count = 0;
    size_t by_opener = 0;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_state_now(channel) != ENT_CHANNEL_INVITED)
            continue;
        count++;
        by_opener += ent_genesis_member(&channel->genesis, opener) >= 0;
    }
    if (count >= ENT_INVITES_MAX || by_opener >= ENT_INVITES_A_PEER)
        return ent_fail(err, ENT_PEER_QUOTA, "design 11, limits",
                        "%zu invitations wait for an answer here, %zu of them with %.*s", count, by_opener,
                        ENT_TEXT_ARG(opener));
    return ENT_DONE;
}

/* Whether the stored invitation stays as it is: it is the same, or another member's (the opener's came first). */
static ent_rc keeps_stored(ent_node *node, const ent_channel *known, const ent_pouch *pouch, ent_bytes bytes, bool *ret,
                           ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf stored = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch before = {0};
    *ret = false;
    ent_rc rc = node->store->engine->invite_get(node->store, known->row.number, &stored, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&stored), &before, err));
    *ret = ent_bytes_equal(ent_buf_bytes(&stored), bytes) || !ent_text_equal(before.origin, pouch->origin);
    return ENT_DONE;
}

/* What differs for a channel that a store has forgotten. */
static ent_rc check_forgotten(ent_node *node, const ent_channel *channel, const invite_job *work, ent_err *err)
{
    const ent_member *own = &channel->genesis.members[channel->self];
    ENT_TRY(ent_invite_check_member(own, &ent_node_card(node)->card.card, err));
    if (work->shown.size == 0)
        return ent_fail(err, ENT_REFUSED, "design 3, Rollback guard",
                        "it shows no head of our log in channel %.8s, so nothing says that we were in it: such an "
                        "invitation is for its opener to send",
                        channel->id_text);
    return ENT_DONE;
}

static ent_rc take_invite(ent_node *node, const ent_pouch *pouch, ent_bytes bytes, const ent_hash *pin, bool forgotten,
                          ent_received *ret, ent_err *err)
{
    ENT_CLEANUP(ent_channel_release) ent_channel *channel = NULL;
    ent_text party = {0};
    ent_hash id;
    ent_hash real;
    ENT_TRY(ent_origin_parse(pouch->origin, &party, &id, err));
    if (pouch->genesis.size == 0)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2",
                        "this channel is not known here, and the pouch brings no genesis");
    if (!forgotten && bytes.size > ENT_INVITE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 2, Genesis", "an invitation is at most %d bytes",
                        ENT_INVITE_MAX_BYTES);
    ent_channel_id(pouch->genesis, &real);
    if (!ent_hash_equal(&real, &id))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis", "the channel id is not the digest of the genesis");
    ENT_TRY(ent_channel_new(node, pouch->genesis, &channel, err));
    channel->added_unix_s = ent_clock_unix_s();
    int writer = ent_genesis_member(&channel->genesis, party);
    if (writer < 0 || (uint32_t)writer == channel->self)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "%.*s cannot invite us to this channel",
                        ENT_TEXT_ARG(party));
    if (!forgotten)
        ENT_TRY(check_own(&channel->genesis.members[channel->self], &ent_node_card(node)->card.card, err));
    ENT_TRY(check_opener(node, &channel->genesis.members[writer], pin, err));
    ENT_CLEANUP(ent_keys_news_release) ent_keys_news keys = {.any = false};
    ENT_TRY(
        ent_keys_of_pouch(node, channel, pouch, &keys, err)); /* else it could be accepted, and then not be taken in */
    invite_job work = {.job = {.apply = apply_invite, .settle = settle_invite}, .channel = channel, .pouch = bytes};
    ENT_TRY(check_invite(channel, (uint32_t)writer, pouch, &keys, &work, err));
    if (forgotten)
        ENT_TRY(check_forgotten(node, channel, &work, err));
    ent_channel *known = ent_channel_find(node, &id);
    bool keeps = false;
    if (known == NULL && !forgotten)
        ENT_TRY(count_invites(node, party, err));
    if (known != NULL)
        ENT_TRY(keeps_stored(node, known, pouch, bytes, &keeps, err));
    if (keeps) {
        *ret = (ent_received){
            .state = ENT_RECEIVED_INVITED, .channel = known, .writer = (uint32_t)writer, .size = pouch->size};
        return ENT_DONE;
    }
    ent_rc rc = ent_sequencer_run(node, &work.job, err);
    if (work.channel == NULL)
        channel = NULL; /* the node's now */
    ENT_TRY(rc);
    *ret = (ent_received){.state = ENT_RECEIVED_INVITED,
                          .new_count = known == NULL ? pouch->size : 0,
                          .channel = ent_channel_find(node, &id),
                          .writer = (uint32_t)writer,
                          .size = pouch->size};
    return ENT_DONE;
}

ent_rc ent_invite_receive(ent_node *node, const ent_pouch *pouch, ent_bytes bytes, const ent_hash *pin,
                          ent_received *ret, ent_err *err)
{
    return take_invite(node, pouch, bytes, pin, false, ret, err);
}

ent_rc ent_invite_forgotten(ent_node *node, ent_bytes bytes, ent_text origin, ent_err *err)
{
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ent_received received = {0};
    ENT_TRY(ent_pouch_parse(bytes, &pouch, err));
    if (!ent_text_equal(pouch.origin, origin) || pouch.old_size != 0)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 3, Rollback guard", "it is another log than was asked for");
    ent_rc rc = take_invite(node, &pouch, bytes, NULL, true, &received, err);
    ent_received_release(&received);
    return rc;
}
