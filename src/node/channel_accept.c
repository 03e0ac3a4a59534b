#include "node/invite.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/founding.h"
#include "node/guard.h"
#include "node/key_lost.h"
#include "node/opener.h"
#include "node/peer.h"
#include "node/sequencer.h"
#include "node/succession.h"

enum { ASKING_PATIENCE_MS = 5000 };

static ent_rc check_committed(const ent_channel *channel, const ent_body *body, ent_buf *ret_terms, ent_err *err)
{
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_hash commitment;
    ENT_TRY(ent_body_terms(body, salt, ret_terms, err));
    ent_terms_commitment(salt, ent_buf_bytes(ret_terms), &commitment);
    if (!ent_hash_equal(&commitment, &channel->genesis.terms))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                        "the terms in entry 0 are not the ones the genesis commits to");
    return ENT_DONE;
}

/* What the opener's first entry carries over must be what is open here. */
static ent_rc check_carried(ent_node *node, const ent_channel *channel, ent_bytes plain, bool unchecked, ent_err *err)
{
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_CLEANUP(ent_facts_release) ent_facts facts = {0};
    ent_text kind = ENT_TEXT("channel.genesis");
    ENT_TRY(ent_body_parse(node->kinds, kind, plain, 0, &body, err));
    ENT_TRY(ent_facts_read(&body, kind, &facts, err));
    return ent_succession_check(node, channel, &facts, unchecked, err);
}

static ent_rc open_invited_body(ent_node *node, const ent_channel *channel, const ent_pouch *pouch, ent_buf *ret_plain,
                                ent_err *err)
{
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    if (pouch->body_count == 0 || pouch->bodies[0].index != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Genesis", "the invitation has no terms");
    ent_rc rc = ent_age_open(pouch->bodies[0].sealed, ent_keeper_unwrapper(node->keeper), ret_plain, NULL, err);
    if (rc.code == ENT_ABSENT && ent_key_is_lost(node, ENT_KEY_ROLE_AGE))
        return ent_key_fail_lost(node, ENT_KEY_ROLE_AGE, ENT_REFUSED, err);
    ENT_TRY(rc);
    ENT_TRY(ent_body_parse(node->kinds, ENT_TEXT("channel.genesis"), ent_buf_bytes(ret_plain), 0, &body, err));
    return check_committed(channel, &body, &terms, err);
}

/* A card that came with the invitation is only the opener's word: every member's must have come by another way. */
static ent_rc check_members_known(ent_node *node, const ent_channel *channel, ent_err *err)
{
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        const ent_member *member = &channel->genesis.members[i];
        ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        if (i == channel->self)
            continue;
        ent_rc rc = ent_peer_card(node, member->name, &bytes, &card, err);
        if (rc.code == ENT_ABSENT)
            return ent_fail(err, ENT_REFUSED, "design 2, Card",
                            "the card of %.*s is not known here: get it from them, compare its fingerprint, and "
                            "`entente peer add` it first",
                            ENT_TEXT_ARG(member->name));
        ENT_TRY(rc);
        ENT_TRY(ent_invite_check_member(member, &card.card, err));
    }
    return ENT_DONE;
}

/* Unlike a message, our entry 0 is not logged while the channel is held: the invitation can wait. Its members are asked
 * since it came, so that the answers are on their way. */
static ent_rc may_sign_first(ent_node *node, ent_channel *channel, ent_err *err)
{
    ent_held held;
    int64_t until_ms = ent_clock_monotonic_ms() + ASKING_PATIENCE_MS;
    while (ent_channel_hold_now(channel) == ENT_HOLD_ASKING && ent_clock_monotonic_ms() < until_ms &&
           !atomic_load(&node->stopping))
        ent_guard_pause();
    ent_channel_held(node, channel, &held);
    return held.hold == ENT_HOLD_NONE
               ? ENT_DONE
               : ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                          "channel %.8s cannot be accepted now: %s", channel->id_text, held.reason);
}

static ent_rc accept_invitation(ent_node *node, ent_channel *channel, ent_text alias, bool unchecked, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ent_founding work = {.channel = channel};
    if (ent_channel_state_now(channel) != ENT_CHANNEL_INVITED)
        return ent_fail(err, ENT_REFUSED, "design 2, Genesis", "channel %.8s is %s; only an invitation can be accepted",
                        channel->id_text, ent_channel_state_word(ent_channel_state_now(channel)));
    ENT_TRY(ent_key_all_there(node, err));
    ENT_TRY(may_sign_first(node, channel, err));
    ENT_TRY(ent_founding_alias(node, alias, work.alias, err));
    ENT_TRY(node->store->engine->invite_get(node->store, channel->row.number, &bytes, err));
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, err));
    ENT_TRY(open_invited_body(node, channel, &pouch, &plain, err));
    ENT_TRY(check_members_known(node, channel, err));
    ENT_TRY(check_carried(node, channel, ent_buf_bytes(&plain), unchecked, err));
    ENT_TRY(ent_founding_say(node, channel, ent_buf_bytes(&plain), &work, err));
    ENT_CLEANUP(ent_received_release) ent_received received = {0};
    ENT_TRY(ent_receive(node, ent_buf_bytes(&bytes), NULL, NULL, &received, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

ent_rc ent_channel_accept(ent_node *node, ent_channel *channel, ent_text alias, ent_err *err)
{
    return accept_invitation(node, channel, alias, false, err);
}

ent_rc ent_channel_accept_unchecked(ent_node *node, ent_channel *channel, ent_text alias, ent_err *err)
{
    return accept_invitation(node, channel, alias, true, err);
}

typedef struct {
    ent_job job;
    ent_channel *channel;
} refuse_job;

static ent_rc apply_refuse(ent_job *job, ent_node *node, ent_err *err)
{
    ent_channel *channel = ((refuse_job *)job)->channel;
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    if (channel->next_row.state != ENT_CHANNEL_INVITED)
        return ent_fail(err, ENT_REFUSED, "design 2, Genesis", "channel %.8s is %s; only an invitation can be refused",
                        channel->id_text, ent_channel_state_word(channel->next_row.state));
    channel->next_row.state = ENT_CHANNEL_REFUSED;
    ENT_TRY(node->store->engine->channel_update(node->store, &channel->next_row, err));
    return node->store->engine->invite_put(node->store, channel->row.number, (ent_bytes){NULL, 0}, err);
}

ent_rc ent_channel_refuse(ent_node *node, ent_channel *channel, ent_err *err)
{
    refuse_job work = {.job = {.apply = apply_refuse}, .channel = channel};
    return ent_sequencer_run(node, &work.job, err);
}

/* --- terms --- */

static ent_rc body_of_invite(ent_node *node, ent_channel *channel, ent_buf *ret_plain, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ENT_TRY(node->store->engine->invite_get(node->store, channel->row.number, &bytes, err));
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, err));
    return open_invited_body(node, channel, &pouch, ret_plain, err);
}

ent_rc ent_channel_first_body(ent_node *node, ent_channel *channel, ent_buf *ret_plain, ent_err *err)
{
    if (ent_channel_state_now(channel) == ENT_CHANNEL_INVITED)
        return body_of_invite(node, channel, ret_plain, err);
    return ent_open_body(node, channel, channel->self, 0, ret_plain, NULL, err);
}

ent_rc ent_channel_terms(ent_node *node, ent_channel *channel, ent_buf *ret_terms, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_TRY(ent_channel_first_body(node, channel, &plain, err));
    ENT_TRY(ent_body_parse(node->kinds, ENT_TEXT("channel.genesis"), ent_buf_bytes(&plain), 0, &body, err));
    return check_committed(channel, &body, ret_terms, err);
}
