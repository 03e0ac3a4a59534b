#include "node/border_fetch.h"

#include "log/checkpoint.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "node/channel.h"
#include "node/channel_list.h"
#include "node/forgotten.h"
#include "node/pack.h"
#include "node/peer.h"
#include "node/report.h"

enum { FORGOT_EVERY_MS = 10000 };

static bool is_pouch(const ent_http_request *request)
{
    return ent_text_is(ent_http_path(request), "/pouch");
}

static bool is_list(const ent_http_request *request)
{
    return ent_text_is(ent_http_path(request), "/channels");
}

bool ent_fetch_is(const ent_http_request *request)
{
    return ent_text_is(ent_http_method(request), "GET") &&
           (ent_text_is(ent_http_path(request), "/head") || is_pouch(request) || is_list(request));
}

/* --- whose log, and who asks --- */

static ent_rc find_log(ent_node *node, ent_text origin, ent_channel **ret_channel, uint32_t *ret_member, ent_err *err)
{
    ent_text party = {0};
    ent_hash id;
    if (origin.data == NULL)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 3, Rollback guard", "the query needs origin=<log>");
    ENT_TRY(ent_origin_parse(origin, &party, &id, err));
    ent_channel *channel = ent_channel_find(node, &id);
    int member = channel == NULL ? -1 : ent_genesis_member(&channel->genesis, party);
    if (member < 0)
        return ent_fail(err, ENT_ABSENT, "design 3, Rollback guard", "%s holds nothing of this log", node->config.name);
    *ret_channel = channel;
    *ret_member = (uint32_t)member;
    return ENT_DONE;
}

/* A stranger learns nothing, not even which channels there are. */
static ent_rc check_asker(ent_node *node, ent_text origin, const ent_hash *pin, ent_channel **ret_channel,
                          uint32_t *ret_member, ent_err *err)
{
    ent_peer peer;
    ent_rc rc = find_log(node, origin, ret_channel, ret_member, err);
    if (rc.code == ENT_OK && ent_channel_member_by_pin(*ret_channel, pin) >= 0)
        return rc;
    ENT_TRY(ent_peer_by_pin(node, pin, &peer, err));
    ENT_TRY(rc);
    return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "%s is not a member of channel %.8s", peer.name,
                    (*ret_channel)->id_text);
}

static ent_rc read_old_size(const ent_http_request *request, uint64_t *ret, ent_err *err)
{
    ent_text value = ent_http_query(request, "old");
    if (value.data == NULL || !ent_decimal_parse(value, ENT_LOG_MAX_SIZE, ret))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 3, Rollback guard", "the query needs old=<number of entries>");
    return ENT_DONE;
}

/* --- which channels --- */

static ent_rc read_after(const ent_http_request *request, ent_hash *ret, bool *ret_any, ent_err *err)
{
    ent_text after = ent_http_query(request, "after");
    *ret_any = after.data != NULL;
    return *ret_any ? ent_hex_decode(after, ret->bytes, sizeof ret->bytes, err) : ENT_DONE;
}

/* Any party whose card is known may ask: what it is told are its own channels. */
static ent_rc admit_list(ent_node *node, const ent_http_request *request, const ent_hash *pin, ent_err *err)
{
    ent_peer peer;
    ent_hash after;
    bool any = false;
    ENT_TRY(ent_peer_by_pin(node, pin, &peer, err));
    return read_after(request, &after, &any, err);
}

static ent_rc handle_list(ent_node *node, const ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf list = {0};
    ent_hash pin;
    ent_hash after;
    bool any = false;
    if (!ent_http_client_pin(request, &pin))
        return ent_fail(err, ENT_PEER_UNKNOWN, "design 3", "no client certificate");
    ENT_TRY(read_after(request, &after, &any, err));
    ENT_TRY(ent_channel_list_put(node, &pin, any ? &after : NULL, &list, err));
    response->status = 200;
    response->content_type = "text/plain; charset=utf-8";
    response->body = list;
    list = (ent_buf){0};
    return ENT_DONE;
}

ent_rc ent_fetch_admit(ent_node *node, const ent_http_request *request, const ent_hash *pin, ent_err *err)
{
    ent_channel *channel = NULL;
    uint32_t member = 0;
    uint64_t old_size = 0;
    if (is_list(request))
        return admit_list(node, request, pin, err);
    ENT_TRY(check_asker(node, ent_http_query(request, "origin"), pin, &channel, &member, err));
    return is_pouch(request) ? read_old_size(request, &old_size, err) : ENT_DONE;
}

/* --- the newest head --- */

/* An invitation that waits for an answer is kept as it came, with the heads in it; they were checked then. */
static ent_rc head_of_invite(ent_node *node, const ent_channel *channel, uint32_t member, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ENT_TRY(node->store->engine->invite_get(node->store, channel->row.number, &bytes, err));
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, err));
    ent_bytes note = {0};
    if (ent_text_is(pouch.origin, channel->members[member].origin))
        note = pouch.checkpoint;
    for (size_t i = 0; i < pouch.head_count && note.size == 0; i++) {
        if (ent_text_equal(pouch.heads[i].party, channel->genesis.members[member].name))
            note = pouch.heads[i].data;
    }
    ent_buf_put(ret, note);
    return ent_buf_check(ret, err);
}

static ent_rc newest_head(ent_node *node, ent_channel *channel, uint32_t member, ent_buf *ret, ent_err *err)
{
    ent_tree_head head;
    if (member == channel->self) {
        (void)pthread_mutex_lock(&channel->lock);
        ent_buf_put(ret, ent_buf_bytes(&channel->head_note));
        (void)pthread_mutex_unlock(&channel->lock);
        return ent_buf_check(ret, err);
    }
    ent_rc rc =
        node->store->engine->head_get(node->store, channel->members[member].log.number, UINT64_MAX, &head, ret, err);
    if (rc.code == ENT_ABSENT)
        rc = head_of_invite(node, channel, member, ret, err);
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

/* --- a log again, for whoever lost it --- */

static ent_rc handle_pouch(ent_node *node, const ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ent_channel *channel = NULL;
    uint32_t member = 0;
    uint64_t old_size = 0;
    ent_hash pin;
    ent_packed packed = {.size = 0};
    ENT_TRY(find_log(node, ent_http_query(request, "origin"), &channel, &member, err));
    ENT_TRY(read_old_size(request, &old_size, err));
    int asker = ent_http_client_pin(request, &pin) ? ent_channel_member_by_pin(channel, &pin) : -1;
    if (asker < 0)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "not a member of channel %.8s", channel->id_text);
    /* The job also stores signatures: a receipt that has none yet would be left out. */
    ENT_TRY(ent_forgotten(node, channel, (uint32_t)asker, member, old_size, err));
    ENT_TRY(ent_pack_again(node, channel, member, (uint32_t)asker, old_size, &packed, err));
    ent_report report = ent_report_begin("pouch.given-back");
    ent_report_text(&report, "peer", channel->genesis.members[asker].name);
    ent_report_string(&report, "origin", packed.origin);
    ent_report_number(&report, "old_size", packed.old_size);
    ent_report_number(&report, "size", packed.size);
    ent_report_end(&report);
    response->status = 200;
    response->content_type = "application/x-tar";
    response->body = packed.bytes;
    return ENT_DONE;
}

/* Who asks for the head of its own log has had no clean stop, and may have forgotten the last receipts. */
static ent_rc look_whether_it_forgot(ent_node *node, const ent_http_request *request, ent_channel *channel,
                                     uint32_t member, ent_err *err)
{
    ent_hash pin;
    int64_t now_ms = ent_clock_monotonic_ms();
    if (!ent_http_client_pin(request, &pin) || ent_channel_member_by_pin(channel, &pin) != (int)member)
        return ENT_DONE;
    int64_t not_before_ms = atomic_load(&channel->members[member].forgot_not_before_ms);
    if (now_ms < not_before_ms || !atomic_compare_exchange_strong(&channel->members[member].forgot_not_before_ms,
                                                                  &not_before_ms, now_ms + FORGOT_EVERY_MS))
        return ENT_DONE;
    return ent_forgotten(node, channel, member, member, UINT64_MAX, err);
}

ent_rc ent_fetch_handle(ent_node *node, const ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ent_channel *channel = NULL;
    uint32_t member = 0;
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    if (is_list(request))
        return handle_list(node, request, response, err);
    if (is_pouch(request))
        return handle_pouch(node, request, response, err);
    ENT_TRY(find_log(node, ent_http_query(request, "origin"), &channel, &member, err));
    ENT_TRY(look_whether_it_forgot(node, request, channel, member, err));
    ENT_TRY(newest_head(node, channel, member, &note, err));
    if (note.size == 0)
        return ent_fail(err, ENT_ABSENT, "design 3, Rollback guard", "%s holds nothing of this log", node->config.name);
    response->status = 200;
    response->content_type = "text/plain; charset=utf-8";
    response->body = note;
    note = (ent_buf){0};
    return ENT_DONE;
}
