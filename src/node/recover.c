#include "node/recover.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/extend.h"
#include "node/guard.h"
#include "node/opener.h"
#include "node/peer.h"
#include "node/receive.h"
#include "node/recover_more.h"
#include "node/recover_own.h"
#include "node/report.h"
#include "node/sequencer.h"

#include <stdio.h>

enum { TIMEOUT_MS = 120000, SETTLE_MS = 3000 };

/* --- asking for a pouch --- */

ent_rc ent_recover_fetch(ent_node *node, const ent_peer *peer, const char *origin, uint64_t old_size, ent_buf *ret,
                         ent_err *err)
{
    char url[768];
    ent_http_reply reply = {.status = 0};
    (void)snprintf(url, sizeof url, "%s/pouch?origin=%s&old=%llu", peer->url, origin, (unsigned long long)old_size);
    ent_http_call call = {.method = "GET",
                          .url = url,
                          .tls = node->tls,
                          .has_pin = true,
                          .pin = peer->pin,
                          .timeout_ms = TIMEOUT_MS + ENT_POUCH_MAX_BYTES / 1024 * 1000,
                          .response_limit = ENT_POUCH_MAX_BYTES};
    ENT_TRY(ent_fail_in(err, ent_http_call_wait(&call, &reply, err), "%s", peer->name));
    ent_rc rc = ent_fail_in(err, ent_http_reply_check(&reply, err), "%s", peer->name);
    if (rc.code == ENT_OK) {
        *ret = reply.body;
        reply.body = (ent_buf){0};
    }
    ent_http_reply_release(&reply);
    return rc;
}

/* --- the other members' logs --- */

static uint64_t size_of(ent_channel *channel, uint32_t member)
{
    ent_store_log log;
    ent_channel_log(channel, member, &log);
    return log.tree.size;
}

/* One pouch of a log: false when it brings nothing. */
static ent_rc pull_once(ent_node *node, ent_channel *channel, const ent_peer *peer, uint32_t member, bool *ret_more,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf pouch = {0};
    ENT_CLEANUP(ent_received_release) ent_received received = {0};
    uint64_t before = size_of(channel, member);
    *ret_more = false;
    ENT_TRY(ent_recover_fetch(node, peer, channel->members[member].origin, before, &pouch, err));
    ENT_TRY(ent_receive_again(node, ent_buf_bytes(&pouch), &received, err));
    *ret_more = size_of(channel, member) > before;
    return ENT_DONE;
}

/* What one log acks of another must be here first, so one that is refused may be taken after the others. */
static ent_rc pull_others(ent_node *node, ent_channel *channel, const ent_peer *peer, ent_recovered *ret, ent_err *err)
{
    bool progress = true;
    ent_rc last = ENT_DONE;
    while (progress && !atomic_load(&node->stopping)) {
        progress = false;
        last = ENT_DONE;
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            uint64_t before = size_of(channel, m);
            bool more = m != channel->self;
            ent_rc rc = ENT_DONE;
            while (more && rc.code == ENT_OK && !atomic_load(&node->stopping))
                rc = pull_once(node, channel, peer, m, &more, err);
            ret->others += size_of(channel, m) - before;
            progress = progress || size_of(channel, m) > before;
            bool is_short = rc.code == ENT_USAGE || rc.code == ENT_REFUSED_NOT_OPEN || rc.code == ENT_ABSENT;
            if (rc.code != ENT_OK && !is_short) /* it holds less of that log than we do: nothing is missing there */
                last = rc;
        }
    }
    return last;
}

/* --- what is held afterwards --- */

/* Whether a head of ours that somebody has shown is still more than, or other than, what is here. */
static ent_rc shown_more(ent_node *node, ent_channel *channel, bool *ret, ent_tree_head *ret_head, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ent_store_log log;
    ent_hash root;
    ent_channel_log(channel, channel->self, &log);
    *ret = false;
    ent_rc rc = node->store->engine->head_get(node->store, log.number, UINT64_MAX, ret_head, &note, err);
    if (rc.code != ENT_OK)
        return rc.code == ENT_ABSENT ? ENT_DONE : rc;
    *ret = ret_head->size > log.tree.size;
    if (*ret)
        return ENT_DONE;
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ENT_TRY(ent_tree_root_at(ret_head->size, &reader, &root, err));
    *ret = !ent_hash_equal(&root, &ret_head->root);
    return ENT_DONE;
}

static ent_rc judge_again(ent_node *node, ent_channel *channel, const char *from, ent_err *err)
{
    bool more = false;
    bool follows = false;
    ent_tree_head shown = {0};
    ent_tree_head mark = {0};
    unsigned long long here = size_of(channel, channel->self);
    if (!ent_hold_stops_all(ent_channel_hold_now(channel)))
        return ENT_DONE;
    ENT_TRY(shown_more(node, channel, &more, &shown, err));
    ENT_TRY(ent_extend_follows_mark(node, channel, &follows, err));
    ent_text origin = ent_text_of(channel->members[channel->self].origin);
    if (!follows)
        (void)ent_keeper_mark(node->keeper, ENT_KEEPER_HEAD, origin, &mark, NULL).code;
    if (more || !follows)
        ent_channel_hold_instead(
            channel, more ? ENT_HOLD_PEER_LARGER : ENT_HOLD_KEEPER,
            "%s gave back what it holds: %llu entries of our log are here, and %llu were signed. Recover from "
            "another member; when nobody has the rest, open a successor channel",
            from, here, (unsigned long long)(more ? shown.size : mark.size));
    else
        ent_channel_hold_instead(
            channel, ENT_HOLD_ASKING,
            "our log was recovered from %s up to %llu entries; the other members are asked whether "
            "there is more before anything new is signed in it",
            from, here);
    ent_guard_wake(node->guard);
    return ENT_DONE;
}

static void tell_hold(ent_node *node, ent_channel *channel, ent_recovered *ret)
{
    int64_t until_ms = ent_clock_monotonic_ms() + SETTLE_MS;
    while (ent_channel_hold_now(channel) == ENT_HOLD_ASKING && ent_clock_monotonic_ms() < until_ms &&
           !atomic_load(&node->stopping))
        ent_guard_pause();
    (void)pthread_mutex_lock(&channel->lock);
    ret->hold = channel->hold;
    memcpy(ret->hold_reason, channel->hold_reason, sizeof ret->hold_reason);
    ret->size = channel->members[channel->self].log.tree.size;
    (void)pthread_mutex_unlock(&channel->lock);
}

static void report_recovered(const ent_channel *channel, const char *from, const ent_recovered *ret)
{
    ent_report report = ent_report_begin("log.recovered");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_string(&report, "from", from);
    ent_report_number(&report, "size_before", ret->size_before);
    ent_report_number(&report, "size", ret->size);
    ent_report_number(&report, "others", ret->others);
    ent_report_number(&report, "attachments", ret->attachments);
    ent_report_number(&report, "set_aside", ret->set_aside);
    ent_report_string(&report, "hold", ent_hold_word(ret->hold));
    ent_report_end(&report);
}

static ent_rc recover(ent_node *node, ent_channel *channel, uint32_t from, ent_recovered *ret, ent_err *err)
{
    ent_peer peer;
    ent_err others_err = {0};
    ENT_TRY(ent_peer_get(node, channel->genesis.members[from].name, &peer, err));
    if (node->tls == NULL || peer.url[0] == 0)
        return ent_fail(err, ENT_UNREACHABLE, "design 3, Rollback guard",
                        "%s cannot be asked over the network; import a pouch of it instead", peer.name);
    ret->size_before = ent_channel_signed_size(channel);
    ENT_TRY(ent_recover_own(node, channel, &peer, ret, err));
    ENT_TRY(judge_again(node, channel, peer.name, err));
    if (pull_others(node, channel, &peer, ret, &others_err).code != ENT_OK)
        (void)snprintf(ret->trouble, sizeof ret->trouble, "%.500s", others_err.text);
    ent_opener_wake(node->opener);
    ENT_TRY(ent_recover_blobs(node, channel, &peer, ret, err));
    tell_hold(node, channel, ret);
    report_recovered(channel, peer.name, ret);
    return ENT_DONE;
}

ent_rc ent_recover(ent_node *node, ent_channel *channel, uint32_t from, ent_recovered *ret, ent_err *err)
{
    if (atomic_exchange(&node->recovering, true))
        return ent_fail(err, ENT_RETRY, NULL, "another recovery is at work; try again when it has ended");
    ent_recovered recovered = {.size = 0};
    ent_rc rc = recover(node, channel, from, &recovered, err);
    atomic_store(&node->recovering, false);
    if (rc.code == ENT_OK)
        *ret = recovered;
    return rc;
}
