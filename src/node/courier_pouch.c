/* The courier's pouches: packing, sending, what the answer means. */
#include "node/courier_internal.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "node/channel.h"
#include "node/forgotten.h"
#include "node/keys.h"
#include "node/reach.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/sequencer.h"

#include <stdio.h>

enum {
    REFUSED_MS = 30000,            /* a refusal may be mended on the other side */
    LATER_MAX_MS = 15 * 60 * 1000, /* told to come back later, we ask again by then: it costs the headers alone */
    RECEIPTS_DELAY_MS = 3000,
    TIMEOUT_MS = 120000,
    MOMENT_S = 60 /* who says to come back so soon has no lack of room */
};

/* --- what a delivery came to --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t of;
    uint32_t member;
    bool refused;
    bool set_confirmed;
    uint64_t confirmed;
    const char *reason;
} outcome_job;

static ent_rc apply_outcome(ent_job *job, ent_node *node, ent_err *err)
{
    const outcome_job *work = (const outcome_job *)job;
    const ent_store_engine *engine = node->store->engine;
    ent_store_delivery delivery;
    int64_t log = work->channel->members[work->of].log.number;
    ENT_TRY(engine->delivery_get(node->store, log, work->member, &delivery, err));
    delivery.log = log;
    delivery.member = work->member;
    delivery.refused = work->refused;
    memset(delivery.reason, 0, sizeof delivery.reason);
    memcpy(delivery.reason, work->reason, strnlen(work->reason, sizeof delivery.reason - 1));
    delivery.last_attempt_unix_s = ent_clock_unix_s();
    if (!work->set_confirmed)
        return engine->delivery_put(node->store, &delivery, err);
    delivery.confirmed = work->confirmed;
    ENT_TRY(engine->delivery_put(node->store, &delivery, err));
    return ent_forgotten_apply(node, work->channel, work->member, work->of, work->confirmed, err);
}

static void record(ent_flight *work, bool refused, const char *reason, const uint64_t *confirmed)
{
    ent_err err = {0};
    outcome_job outcome = {
        .job = {.apply = apply_outcome},
        .channel = work->channel,
        .of = work->packed.of,
        .member = work->member,
        .refused = refused,
        .reason = reason,
        .set_confirmed = confirmed != NULL,
        .confirmed = confirmed == NULL ? 0 : *confirmed,
    };
    if (ent_sequencer_run(work->courier->node, &outcome.job, &err).code == ENT_OK)
        return;
    ent_report report = ent_report_begin("courier.cannot-record");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}

/* 409: the peer holds less than we thought (or says so); go on from there. */
static ent_rc rewind_to(ent_flight *work, const ent_http_reply *reply, ent_err *err)
{
    uint64_t held = 0;
    ent_text text = ent_buf_text(&reply->body);
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    bool is_size =
        strncmp(reply->content_type, "text/x.tlog.size", 16) == 0 && ent_decimal_parse(text, ENT_LOG_MAX_SIZE, &held);
    if (!is_size)
        return ent_http_reply_check(reply, err);
    ent_text of = work->channel->genesis.members[work->packed.of].name;
    if (held >= work->packed.old_size)
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, step 4",
                        "%s refuses entries from %llu on because it holds %llu of the log of %.*s: that makes no "
                        "sense, unless this store is older than what was said",
                        work->peer, (unsigned long long)work->packed.old_size, (unsigned long long)held,
                        ENT_TEXT_ARG(of));
    record(work, false, "the peer holds less than it receipted", &held);
    return ent_fail(err, ENT_WAITING, NULL, "%s holds only %llu entries of the log of %.*s", work->peer,
                    (unsigned long long)held, ENT_TEXT_ARG(of));
}

static ent_rc settle_pouch(ent_flight *work, const ent_http_reply *reply, ent_err *err)
{
    uint64_t size = 0;
    if (reply->status == 409)
        return rewind_to(work, reply, err);
    if (reply->status == 202) {
        record(work, false, "invited: waiting for the peer to accept", NULL);
        return ent_fail(err, ENT_WAITING, NULL, "invited");
    }
    ent_rc answer = ent_http_reply_check(reply, err);
    if (answer.code != ENT_OK && reply->status != 409)
        ent_keys_told(work->channel, work->member, NULL); /* perhaps it has lost what we think it knows */
    ENT_TRY(answer);
    ENT_TRY(ent_receipt_take(work->courier->node, work->channel, work->member, ent_buf_bytes(&reply->body),
                             &work->packed, &size, err));
    ent_courier_forwarded(work->courier, work->channel, work->packed.of, work->member, size);
    if (size < work->packed.size)
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3", "%s took a pouch up to %llu and receipted only %llu",
                        work->peer, (unsigned long long)work->packed.size, (unsigned long long)size);
    work->channel->members[work->member].forks_told = work->packed.forks;
    ent_keys_told(work->channel, work->member, work->packed.keys);
    ent_report report =
        ent_report_begin(work->packed.of == work->channel->self ? "pouch.delivered" : "pouch.forwarded");
    ent_report_string(&report, "peer", work->peer);
    ent_report_text(&report, "of", work->channel->genesis.members[work->packed.of].name);
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_number(&report, "old_size", work->packed.old_size);
    ent_report_number(&report, "size", work->packed.size);
    ent_report_number(&report, "bytes", work->packed.bytes.size);
    ent_report_end(&report);
    return ENT_DONE;
}

static bool is_refusal(ent_rc rc)
{
    ent_class error_class = ent_code_class(rc.code);
    return error_class == ENT_CLASS_PEER || error_class == ENT_CLASS_REFUSED || error_class == ENT_CLASS_USAGE ||
           error_class == ENT_CLASS_ABSENT;
}

/* 429: the quota leaves no room for it today. It is not refused for good. */
static int64_t come_back(const ent_err *err)
{
    int64_t wait_ms = err->retry_after_s == 0 ? REFUSED_MS : (int64_t)err->retry_after_s * 1000;
    return ent_clock_monotonic_ms() + (wait_ms > LATER_MAX_MS ? LATER_MAX_MS : wait_ms);
}

/* What a member refused for want of another log it may take now. */
static void try_the_others(ent_channel *channel, uint32_t to)
{
    for (uint32_t of = 0; of < channel->genesis.member_count; of++) {
        ent_patience *patience = of == to ? NULL : ent_courier_patience(channel, of, to);
        if (patience != NULL && !patience->told)
            patience->not_before_ms = 0;
    }
}

/* The peer has room for less: of the quota a part is left, or it takes only smaller pouches, or its disk is filling up.
 * What is too many requests at a time, or asks to wait for a moment, is no such thing. */
static bool is_too_much(ent_rc rc, const ent_http_reply *reply, const ent_err *err)
{
    bool quota = rc.code == ENT_PEER_QUOTA && err->retry_after_s > MOMENT_S;
    return reply != NULL && (quota || reply->status == 413 || reply->status == 507);
}

/* Send half of it at once; false when it cannot be less. */
static bool send_less(const ent_flight *work, ent_patience *patience)
{
    uint64_t count = work->packed.size - work->packed.old_size;
    if (count <= 1 || (patience->most > 0 && count > patience->most)) /* another's heads allow no less */
        return false;
    patience->most = count / 2;
    patience->not_before_ms = 0;
    patience->told = false;
    return true;
}

/* It went well: perhaps there is room for more again. */
static void send_more(ent_patience *patience)
{
    uint64_t most = patience->most >= ENT_PACK_ENTRIES_MOST ? 0 : patience->most * 2;
    *patience = (ent_patience){.most = most};
}

static void settle_pouch_contact(const ent_courier *courier, ent_flight *work, ent_contact *peer, ent_rc rc,
                                 const ent_http_reply *reply, const ent_err *err)
{
    ent_patience *patience = ent_courier_patience(work->channel, work->packed.of, work->member);
    bool later = rc.code == ENT_PEER_QUOTA;
    bool refused = is_refusal(rc) && !later;
    bool less = is_too_much(rc, reply, err) && send_less(work, patience);
    peer->pouch_in_flight = false;
    if (rc.code == ENT_OK || refused || later || less || rc.code == ENT_WAITING)
        ent_courier_reached(peer);
    if (less) {
        ent_courier_report_failure(work, reply->status, err);
    } else if (rc.code == ENT_OK) {
        send_more(patience);
        try_the_others(work->channel, work->member);
    } else if (rc.code == ENT_WAITING) {
        patience->not_before_ms = ent_courier_back_off(&patience->refusals, 0);
    } else if (!atomic_load(&courier->stopping)) {
        ent_courier_report_failure(work, reply == NULL ? 0 : reply->status, err);
        record(work, refused, err->text, NULL);
        patience->told = later;
        if (later)
            patience->not_before_ms = come_back(err);
        else if (refused)
            patience->not_before_ms = ent_courier_back_off(&patience->refusals, REFUSED_MS);
        else
            peer->not_before_ms = ent_courier_back_off(&peer->failures, 0);
    }
}

static void done(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *call_err)
{
    ent_flight *work = context;
    ent_courier *courier = work->courier;
    ent_contact *peer = ent_courier_contact(courier, work->peer);
    ent_err err = {0};
    bool was_reached = rc.code == ENT_OK;
    if (was_reached || !atomic_load(&courier->stopping))
        ent_reach_told(courier->node->reaches, work->peer, was_reached ? NULL : call_err->text,
                       was_reached ? reply->date_unix_s : 0);
    if (was_reached)
        rc = settle_pouch(work, reply, &err);
    else
        err = *call_err;
    settle_pouch_contact(courier, work, peer, rc, reply, &err);
    ent_courier_landed(work);
}

/* --- starting calls --- */

ent_rc ent_courier_start_pouch(ent_courier *courier, ent_channel *channel, uint32_t of, uint32_t to, ent_contact *peer,
                               ent_err *err)
{
    ent_peer row;
    ent_flight *work = ent_alloc(sizeof *work);
    ent_http_call call = {.method = "POST", .tls = courier->node->tls, .has_pin = true, .response_limit = 65536};
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *work = (ent_flight){.courier = courier, .channel = channel, .member = to, .blob_fd = -1};
    ent_rc rc = ent_courier_address(courier, work, &call.pin, &row, err);
    call.has_pin_before = rc.code == ENT_OK && row.has_pin_before;
    if (call.has_pin_before)
        call.pin_before = row.pin_before;
    if (rc.code == ENT_OK)
        rc = ent_pack_part(courier->node, channel, of, to, 0, ent_courier_patience(channel, of, to)->most,
                           &work->packed, err);
    if (rc.code == ENT_OK) {
        (void)snprintf(work->url, sizeof work->url, "%s/pouch", row.url);
        (void)snprintf(work->old_size, sizeof work->old_size, "%llu", (unsigned long long)work->packed.old_size);
        (void)snprintf(work->size, sizeof work->size, "%llu", (unsigned long long)work->packed.size);
        call.url = work->url;
        call.headers[0].name = "Entente-Origin";
        call.headers[0].value = work->packed.origin;
        call.headers[1].name = "Entente-Old-Size";
        call.headers[1].value = work->old_size;
        call.headers[2].name = "Entente-Size";
        call.headers[2].value = work->size;
        call.headers[3].name = "Content-Type";
        call.headers[3].value = "application/x-tar";
        call.header_count = 4;
        call.body = ent_buf_bytes(&work->packed.bytes);
        call.timeout_ms = TIMEOUT_MS + (uint32_t)(work->packed.bytes.size / 1024 * 1000); /* "slower than 1 KiB/s …" */
        rc = ent_http_pool_start(courier->pool, &call, done, work, err);
    }
    if (rc.code != ENT_OK)
        ent_courier_flight_free(work);
    else
        peer->pouch_in_flight = true;
    return rc;
}

/* Whether our newest receipt of a member's log is so fresh that it may yet go along with an entry. */
static ent_rc receipts_can_wait(ent_courier *courier, const ent_channel *channel, uint32_t member, bool *ret,
                                ent_err *err)
{
    ent_store_receipt newest;
    const ent_store_engine *engine = courier->node->store->engine;
    *ret = false;
    ent_rc rc =
        engine->receipt_newest(courier->node->store, channel->members[member].log.number, channel->self, &newest, err);
    if (rc.code == ENT_OK)
        *ret = (ent_clock_unix_s() - newest.arrived_unix_s) * 1000 < RECEIPTS_DELAY_MS;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

ent_rc ent_courier_send_wanted(ent_courier *courier, ent_channel *channel, uint32_t member, ent_contact *peer,
                               int64_t now_ms, bool *ret_wanted, ent_err *err)
{
    ent_pack_want want = ENT_PACK_NOTHING;
    bool can_wait = false;
    *ret_wanted = true; /* until it is known better: while the peer is busy the store need not be asked */
    if (peer->pouch_in_flight || now_ms < peer->not_before_ms ||
        now_ms < channel->members[member].patience.not_before_ms)
        return ENT_DONE;
    ENT_TRY(ent_pack_wanted(courier->node, channel, channel->self, member, &want, err));
    *ret_wanted = want != ENT_PACK_NOTHING;
    if (!*ret_wanted)
        return ENT_DONE;
    if (want == ENT_PACK_RECEIPTS)
        ENT_TRY(receipts_can_wait(courier, channel, member, &can_wait, err));
    if (can_wait)
        return ENT_DONE;
    return ent_courier_start_pouch(courier, channel, channel->self, member, peer, err);
}
