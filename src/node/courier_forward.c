/* Forwarding: "Any member may carry any member's log" (design 2). Who has not receipted another's log as far as we hold
 * it, and does not get on by itself for a while, gets it from us: its writer cannot reach it, or is air-gapped and came
 * by hand, or keeps it from it. So an ack to a head that is not there mends itself. */
#include "node/courier_internal.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/peer.h"

enum { LOOK_MS = 1000, LOOK_SOON_MS = 200, SOON_S = 5 };

int64_t ent_courier_forwards_every_ms(const ent_node *node)
{
    return node->config.forward_delay_s < SOON_S ? LOOK_SOON_MS : LOOK_MS;
}

ent_patience *ent_courier_patience(ent_channel *channel, uint32_t of, uint32_t to)
{
    ent_channel_member *member = &channel->members[to];
    return of == channel->self ? &member->patience : &member->forwards[of].patience;
}

void ent_courier_forwarded(ent_courier *courier, ent_channel *channel, uint32_t of, uint32_t to, uint64_t confirmed)
{
    if (of == channel->self)
        return;
    channel->members[to].forwards[of].confirmed = confirmed;
    courier->forwards_not_before_ms = 0;
}

/* How long a member may lack something before we carry it: half as long again at most, and not all of us at once. */
static int64_t delay_ms(const ent_courier *courier, ent_text to)
{
    int64_t delay = (int64_t)courier->node->config.forward_delay_s * 1000;
    uint64_t hash = 14695981039346656037U; /* FNV-1a of both names */
    for (const char *at = courier->node->config.name; *at != 0; at++)
        hash = (hash ^ (uint8_t)*at) * 1099511628211U;
    for (size_t i = 0; i < to.size; i++)
        hash = (hash ^ (uint8_t)to.data[i]) * 1099511628211U;
    return delay + (int64_t)(hash % 1000) * delay / 2000;
}

/* Whether a member has lacked something of a log for long enough. */
static ent_rc is_due(ent_courier *courier, ent_channel *channel, uint32_t of, uint32_t to, const ent_contact *peer,
                     bool *ret, ent_err *err)
{
    ent_forward *forward = &channel->members[to].forwards[of];
    ent_store_delivery delivery;
    ent_store_log log;
    int64_t now_ms = ent_clock_monotonic_ms();
    *ret = false;
    ent_channel_log(channel, of, &log);
    ENT_TRY(courier->node->store->engine->delivery_get(courier->node->store, log.number, to, &delivery, err));
    if (delivery.confirmed >= log.tree.size || log.frozen) {
        forward->lacks_from_ms = 0;
        return ENT_DONE;
    }
    if (forward->lacks_from_ms == 0 || delivery.confirmed != forward->confirmed) { /* it gets on without us */
        forward->lacks_from_ms = now_ms;
        forward->confirmed = delivery.confirmed;
    }
    int64_t from_ms = forward->lacks_from_ms > peer->reached_from_ms ? forward->lacks_from_ms : peer->reached_from_ms;
    *ret = now_ms >= from_ms + delay_ms(courier, channel->genesis.members[to].name) &&
           now_ms >= forward->patience.not_before_ms;
    return ENT_DONE;
}

/* Who has not accepted has nothing to do with the others' logs yet. */
static ent_rc takes_part(ent_courier *courier, ent_channel *channel, uint32_t member, bool *ret, ent_err *err)
{
    ent_store_delivery delivery;
    ent_store_log log;
    ent_channel_log(channel, member, &log);
    *ret = log.tree.size > 0;
    if (*ret)
        return ENT_DONE;
    ENT_TRY(courier->node->store->engine->delivery_get(courier->node->store, channel->members[channel->self].log.number,
                                                       member, &delivery, err));
    *ret = delivery.confirmed > 0;
    return ENT_DONE;
}

static ent_rc forward_to(ent_courier *courier, ent_channel *channel, uint32_t to, ent_contact *peer, ent_err *err)
{
    size_t count = channel->genesis.member_count;
    bool part = false;
    ENT_TRY(takes_part(courier, channel, to, &part, err));
    for (size_t i = 0; part && i < count && !peer->pouch_in_flight; i++) {
        uint32_t of = (uint32_t)((courier->first + i) % count); /* each look begins with another one */
        bool due = false;
        if (of == to || of == channel->self)
            continue;
        ENT_TRY(is_due(courier, channel, of, to, peer, &due, err));
        if (due)
            ENT_TRY(ent_courier_start_pouch(courier, channel, of, to, peer, err));
    }
    return ENT_DONE;
}

static void look_at_member(ent_courier *courier, ent_channel *channel, uint32_t to)
{
    ent_err err = {0};
    ent_peer row;
    if (ent_peer_get(courier->node, channel->genesis.members[to].name, &row, &err).code != ENT_OK || row.url[0] == 0)
        return; /* by hand only */
    ent_contact *peer = ent_courier_contact(courier, row.name);
    if (peer == NULL || peer->pouch_in_flight || ent_clock_monotonic_ms() < peer->not_before_ms)
        return;
    if (forward_to(courier, channel, to, peer, &err).code == ENT_OK)
        return;
    ent_courier_report_local(channel, &err);
    peer->not_before_ms = ent_courier_back_off(&peer->failures, 0);
}

void ent_courier_look_at_forwards(ent_courier *courier)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(courier->node, i)) != NULL; i++) {
        if (channel->genesis.member_count < 3)
            continue;
        ent_channel_state state = ent_channel_state_now(channel);
        if (state != ENT_CHANNEL_OPEN && state != ENT_CHANNEL_OPENING)
            continue;
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            if (m != channel->self)
                look_at_member(courier, channel, m);
        }
    }
}
