/* The courier's attachments: piece by piece, from where the peer is, and never before a pouch. */
#include "node/courier_internal.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "node/channel.h"
#include "node/peer.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/sequencer.h"
#include "store/blobs.h"

#include <stdio.h>

enum {
    PIECE_BYTES = 8 << 20,
    SENDS_AT_A_TIME = 64,
    WALK_EVERY_MS = 200, /* a long list of attachments must not take the time of pouches … */
    WALK_SHORT_MS = 2,   /* … but a short one is looked at again when one has arrived */
    RETRY_MS = 250,
    REFUSED_MS = 30000, /* a refusal may be mended on the other side */
    WAIT_MAX_MS = 3600000,
    TIMEOUT_MS = 120000,
    MOST_REWINDS = 8
};

static const char offset_type[] = "text/x.entente.offset";

/* --- one that must wait stops no other --- */

static ent_blob_wait *find_wait(const ent_courier *courier, int64_t number)
{
    for (size_t i = 0; courier->blob_waits != NULL && i < ENT_BLOB_WAITS; i++) {
        if (courier->blob_waits[i].number == number)
            return &courier->blob_waits[i];
    }
    return NULL;
}

/* When the table is full, one that is due soonest makes room: it is only tried a little earlier. */
static ent_blob_wait *make_wait(ent_courier *courier, int64_t number)
{
    if (courier->blob_waits == NULL)
        courier->blob_waits = ent_alloc_array(ENT_BLOB_WAITS, sizeof *courier->blob_waits);
    if (courier->blob_waits == NULL)
        return NULL;
    ent_blob_wait *wait = find_wait(courier, number);
    if (wait == NULL)
        wait = find_wait(courier, 0);
    if (wait == NULL) {
        wait = &courier->blob_waits[0];
        for (size_t i = 1; i < ENT_BLOB_WAITS; i++) {
            if (courier->blob_waits[i].not_before_ms < wait->not_before_ms)
                wait = &courier->blob_waits[i];
        }
    }
    if (wait->number != number)
        *wait = (ent_blob_wait){.number = number};
    return wait;
}

static void put_off(ent_courier *courier, int64_t number, int64_t first_ms)
{
    ent_blob_wait *wait = make_wait(courier, number);
    if (wait == NULL)
        return;
    int64_t wait_ms = first_ms;
    for (unsigned i = 0; i < wait->failures && wait_ms < WAIT_MAX_MS; i++)
        wait_ms *= 2;
    wait->failures++;
    wait->not_before_ms = ent_clock_monotonic_ms() + (wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : wait_ms);
}

static void forget_wait(const ent_courier *courier, int64_t number)
{
    ent_blob_wait *wait = find_wait(courier, number);
    if (wait != NULL)
        *wait = (ent_blob_wait){.number = 0};
}

/* --- how far they have come, for those who ask --- */

static ent_blob_progress *find_progress(ent_courier *courier, int64_t log, uint32_t member, const ent_hash *digest)
{
    for (size_t i = 0; i < ENT_BLOB_PROGRESS_KEPT; i++) {
        ent_blob_progress *row = &courier->progress[i];
        if (row->log == log && row->member == member && ent_hash_equal(&row->digest, digest))
            return row;
    }
    return NULL;
}

uint64_t ent_courier_progress(ent_courier *courier, int64_t log, uint32_t member, const ent_hash *digest)
{
    if (courier == NULL)
        return 0;
    (void)pthread_mutex_lock(&courier->progress_lock);
    const ent_blob_progress *row = find_progress(courier, log, member, digest);
    uint64_t bytes = row == NULL ? 0 : row->bytes;
    (void)pthread_mutex_unlock(&courier->progress_lock);
    return bytes;
}

static void note_progress(ent_courier *courier, const ent_store_blob_send *send, uint64_t bytes)
{
    (void)pthread_mutex_lock(&courier->progress_lock);
    ent_blob_progress *row = find_progress(courier, send->log, send->member, &send->digest);
    if (row == NULL)
        row = &courier->progress[courier->progress_next++ % ENT_BLOB_PROGRESS_KEPT];
    *row = (ent_blob_progress){send->log, send->member, send->digest, bytes};
    (void)pthread_mutex_unlock(&courier->progress_lock);
}

/* --- what an answer means --- */

/* Look for others to send at once, unless that takes long. */
static void look_soon(ent_courier *courier)
{
    if (courier->blob_walk_ms <= WALK_SHORT_MS)
        courier->blobs_not_before_ms = 0;
}

/* The peer is free for another one; one that was parked goes on. */
static void leave_blob(ent_courier *courier, ent_contact *peer)
{
    peer->blob = peer->parked;
    peer->parked = (ent_blob_flow){.channel = NULL};
    look_soon(courier);
}

/* An attachment that has arrived is struck off. */
typedef struct {
    ent_job job;
    int64_t number;
} sent_job;

static ent_rc apply_sent(ent_job *job, ent_node *node, ent_err *err)
{
    return node->store->engine->blob_send_done(node->store, ((const sent_job *)job)->number, err);
}

static ent_rc settle_whole(const ent_flight *work, ent_contact *peer, ent_err *err)
{
    sent_job sent = {.job = {.apply = apply_sent}, .number = work->send.number};
    ENT_TRY(ent_sequencer_run(work->courier->node, &sent.job, err));
    note_progress(work->courier, &work->send, work->send.size);
    forget_wait(work->courier, work->send.number);
    leave_blob(work->courier, peer);
    ent_report report = ent_report_begin("attachment.delivered");
    ent_report_string(&report, "peer", work->peer);
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_number(&report, "index", work->send.index);
    ent_report_number(&report, "bytes", work->send.size);
    ent_report_end(&report);
    return ENT_DONE;
}

static ent_rc nonsense(const ent_flight *work, uint64_t held, ent_err *err)
{
    return ent_fail(err, ENT_PEER_INCONSISTENT, "docs/formats.md",
                    "%s says that it holds %llu bytes of an attachment of %llu, after a piece from %llu on: that makes "
                    "no sense",
                    work->peer, (unsigned long long)held, (unsigned long long)work->send.size,
                    (unsigned long long)work->range.first);
}

/* 202 and 409: the peer says how much it holds; go on from there. One that never holds more than before is refused
 * pieces for a while. */
static ent_rc settle_offset(const ent_flight *work, ent_contact *peer, const ent_http_reply *reply, ent_err *err)
{
    uint64_t held = 0;
    ent_text text = ent_buf_text(&reply->body);
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    bool is_offset = strncmp(reply->content_type, offset_type, sizeof offset_type - 1) == 0 &&
                     ent_decimal_parse(text, INT64_MAX, &held);
    if (!is_offset) {
        ENT_TRY(ent_http_reply_check(reply, err));
        return ent_fail(err, ENT_PEER_INVALID, "docs/formats.md",
                        "%s answers a piece of an attachment with %d, and "
                        "does not say how much it holds",
                        work->peer, reply->status);
    }
    bool was_taken = reply->status == 202 && !work->range.is_question;
    if (held > work->send.size || (was_taken && held <= work->range.first))
        return nonsense(work, held, err);
    if (held == work->send.size)
        return ent_fail(err, ENT_RETRY, NULL, "%s has every byte of an attachment and is finishing it", work->peer);
    if (held > peer->blob.most) {
        peer->blob.most = held;
        peer->blob.rewinds = 0;
    } else if (!work->range.is_question && ++peer->blob.rewinds > MOST_REWINDS) {
        return nonsense(work, held, err);
    }
    peer->blob.known = true;
    peer->blob.offset = held;
    note_progress(work->courier, &work->send, held);
    return ENT_DONE;
}

static ent_rc settle_blob(const ent_flight *work, ent_contact *peer, const ent_http_reply *reply, ent_err *err)
{
    if (reply->status == 200 || reply->status == 201)
        return settle_whole(work, peer, err);
    return settle_offset(work, peer, reply, err);
}

/* What is the matter with one attachment alone makes it wait, and others go on. */
static void settle_failure(ent_courier *courier, const ent_flight *work, ent_contact *peer, ent_rc rc,
                           const ent_http_reply *reply, const ent_err *err)
{
    ent_class error_class = ent_code_class(rc.code);
    int64_t later_ms = (int64_t)err->retry_after_s * 1000;
    peer->blob.known = false;
    if (atomic_load(&courier->stopping))
        return;
    if (rc.code != ENT_RETRY)
        ent_courier_report_failure(work, reply == NULL ? 0 : reply->status, err);
    if (reply == NULL || error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM ||
        error_class == ENT_CLASS_BUG) {
        peer->blob_not_before_ms = ent_courier_back_off(&peer->blob_failures, 0);
        return;
    }
    int64_t first_ms = error_class == ENT_CLASS_RETRY ? RETRY_MS : REFUSED_MS;
    put_off(courier, work->send.number, later_ms > first_ms ? later_ms : first_ms);
    leave_blob(courier, peer);
}

static void done(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *call_err)
{
    ent_flight *work = context;
    ent_courier *courier = work->courier;
    ent_contact *peer = ent_courier_contact(courier, work->peer);
    ent_err err = {0};
    bool answered = rc.code == ENT_OK;
    if (answered)
        rc = settle_blob(work, peer, reply, &err);
    else
        err = *call_err;
    peer->blob_in_flight = false;
    if (rc.code == ENT_OK) {
        peer->blob_failures = 0;
        peer->blob_not_before_ms = 0;
        if (work->send.size > PIECE_BYTES && !work->range.is_question) { /* a small one may pass now */
            peer->large_next = false;
            look_soon(courier);
        }
    } else {
        settle_failure(courier, work, peer, rc, answered ? reply : NULL, &err);
    }
    ent_courier_landed(work);
}

/* --- sending --- */

/* Which bytes go next. A large one is asked for first; a small one is sent at once. */
static ent_blob_range next_range(const ent_contact *peer)
{
    uint64_t size = peer->blob.send.size;
    uint64_t first = peer->blob.known ? peer->blob.offset : 0;
    if (!peer->blob.known && (size > PIECE_BYTES || peer->blob_failures > 0))
        return (ent_blob_range){.is_question = true, .total = size};
    return (ent_blob_range){
        .first = first, .size = size - first < PIECE_BYTES ? size - first : PIECE_BYTES, .total = size};
}

static ent_rc open_piece(const ent_courier *courier, ent_flight *work, ent_http_call *call, ent_err *err)
{
    uint64_t size = 0;
    ENT_TRY(ent_blob_open(courier->node->paths.blobs, &work->send.digest, &work->blob_fd, &size, err));
    if (size != work->send.size)
        return ent_fail(err, ENT_IO, NULL, "an attachment of %llu bytes has %llu on this disk: it is damaged",
                        (unsigned long long)work->send.size, (unsigned long long)size);
    if (work->range.size > 0) {
        call->body_file = work->blob_fd;
        call->body_file_first = work->range.first;
        call->body_file_size = work->range.size;
    }
    return ENT_DONE;
}

static ent_rc start_piece(ent_courier *courier, ent_contact *contact, ent_err *err)
{
    ent_peer peer;
    char digest[65];
    ent_flight *work = ent_alloc(sizeof *work);
    ent_http_call call = {.method = "PUT", .tls = courier->node->tls, .has_pin = true, .response_limit = 65536};
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *work = (ent_flight){.courier = courier,
                         .channel = contact->blob.channel,
                         .member = contact->blob.send.member,
                         .is_blob = true,
                         .send = contact->blob.send,
                         .range = next_range(contact),
                         .blob_fd = -1};
    ent_rc rc = ent_courier_address(courier, work, &call.pin, &peer, err);
    call.has_pin_before = rc.code == ENT_OK && peer.has_pin_before;
    if (call.has_pin_before)
        call.pin_before = peer.pin_before;
    if (rc.code == ENT_OK)
        rc = open_piece(courier, work, &call, err);
    if (rc.code == ENT_OK) {
        ent_hex_encode(ent_hash_bytes(&work->send.digest), digest);
        (void)snprintf(work->url, sizeof work->url, "%s/blob/%s", peer.url, digest);
        call.url = work->url;
        call.headers[0].name = "Content-Type";
        call.headers[0].value = "application/octet-stream";
        call.header_count = 1;
        if (work->send.size > 0) { /* nothing has no range */
            ent_blob_range_write(&work->range, work->range_text);
            call.headers[1].name = "Content-Range";
            call.headers[1].value = work->range_text;
            call.header_count = 2;
        }
        call.timeout_ms = TIMEOUT_MS + (uint32_t)(work->range.size / 1024 * 1000); /* "slower than 1 KiB/s …" */
        rc = ent_http_pool_start(courier->pool, &call, done, work, err);
    }
    contact->blob_in_flight = rc.code == ENT_OK;
    if (rc.code != ENT_OK)
        ent_courier_flight_free(work);
    return rc;
}

static bool is_free(const ent_contact *peer, int64_t now_ms)
{
    return !peer->blob_in_flight && !peer->pouch_in_flight && now_ms >= peer->blob_not_before_ms &&
           now_ms >= peer->not_before_ms;
}

/* The next piece of the one on its way. A pouch that is wanted was started before this, so that it goes first. */
static void go_on(ent_courier *courier, ent_contact *peer, int64_t now_ms)
{
    ent_err err = {0};
    if (peer->blob.send.number == 0 || !is_free(peer, now_ms) || start_piece(courier, peer, &err).code == ENT_OK)
        return;
    ent_courier_report_local(peer->blob.channel, &err);
    put_off(courier, peer->blob.send.number, REFUSED_MS);
    leave_blob(courier, peer);
}

static ent_channel *channel_of_log(ent_node *node, int64_t log)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_member_of_log(channel, log) >= 0)
            return channel;
    }
    return NULL;
}

/* An attachment leaves only when its entry is confirmed: pouches come first. */
static ent_rc may_leave(const ent_courier *courier, const ent_store_blob_send *send, bool *ret, ent_err *err)
{
    ent_store_delivery delivery;
    const ent_blob_wait *wait = find_wait(courier, send->number);
    *ret = false;
    if (wait != NULL && ent_clock_monotonic_ms() < wait->not_before_ms)
        return ENT_DONE;
    ENT_TRY(courier->node->store->engine->delivery_get(courier->node->store, send->log, send->member, &delivery, err));
    *ret = send->index < delivery.confirmed;
    return ENT_DONE;
}

/* A page of attachments to send. */
typedef struct {
    ent_courier *courier;
    int64_t last;
    size_t count;
} blob_page;

/* One that fits into a piece need not wait until a large one is through: they take turns. */
static bool may_pass(const ent_contact *peer, const ent_store_blob_send *send)
{
    return peer->blob.send.size > PIECE_BYTES && peer->parked.send.number == 0 && !peer->large_next &&
           send->size <= PIECE_BYTES;
}

static ent_rc consider_blob(void *context, const ent_store_blob_send *send, ent_err *err)
{
    blob_page *page = context;
    ent_courier *courier = page->courier;
    ent_peer row;
    bool may = false;
    ent_err own_err = {0};
    (void)err;
    page->last = send->number;
    page->count++;
    ent_channel *channel = channel_of_log(courier->node, send->log);
    if (channel == NULL ||
        ent_peer_get(courier->node, channel->genesis.members[send->member].name, &row, NULL).code != ENT_OK ||
        row.url[0] == 0)
        return ENT_DONE;
    ent_contact *peer = ent_courier_contact(courier, row.name);
    int64_t now_ms = ent_clock_monotonic_ms();
    if (peer == NULL || !is_free(peer, now_ms))
        return ENT_DONE;
    bool passes = may_pass(peer, send);
    if (peer->blob.send.number != 0 && !passes)
        return ENT_DONE;
    if (send->number <= peer->blob_last && !passes) {
        peer->blob_skipped = true;
        return ENT_DONE;
    }
    if (may_leave(courier, send, &may, &own_err).code != ENT_OK) {
        ent_courier_report_local(channel, &own_err);
        peer->blob_last = send->number;
        peer->blob_not_before_ms = ent_courier_back_off(&peer->blob_failures, 0);
        return ENT_DONE;
    }
    if (!may)
        return ENT_DONE;
    peer->parked = peer->blob;
    peer->blob = (ent_blob_flow){.send = *send, .channel = channel};
    peer->large_next = passes;
    if (!passes)
        peer->blob_last = send->number;
    go_on(courier, peer, now_ms);
    return ENT_DONE;
}

static void walk(ent_courier *courier)
{
    ent_err err = {0};
    blob_page page = {.courier = courier};
    ent_rc rc = ENT_DONE;
    do {
        page.count = 0;
        rc = courier->node->store->engine->blob_send_walk(courier->node->store, page.last, SENDS_AT_A_TIME,
                                                          consider_blob, &page, &err);
    } while (rc.code == ENT_OK && page.count == SENDS_AT_A_TIME);
    for (size_t i = 0; i < courier->contact_count; i++) { /* nothing behind: begin again with the first */
        ent_contact *peer = &courier->contacts[i];
        if (peer->blob_skipped && peer->blob.send.number == 0)
            peer->blob_last = 0;
        peer->blob_skipped = false;
    }
    if (rc.code == ENT_OK)
        return;
    ent_report report = ent_report_begin("courier.failed");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}

static void walk_timely(ent_courier *courier, int64_t now_ms)
{
    if (now_ms < courier->blobs_not_before_ms)
        return;
    courier->blobs_not_before_ms = now_ms + WALK_EVERY_MS;
    walk(courier);
    courier->blob_walk_ms = ent_clock_monotonic_ms() - now_ms;
    if (courier->blob_walk_ms > WALK_SHORT_MS)
        courier->blobs_not_before_ms += courier->blob_walk_ms;
}

void ent_courier_look_at_blobs(ent_courier *courier)
{
    int64_t now_ms = ent_clock_monotonic_ms();
    walk_timely(courier, now_ms);
    for (size_t i = 0; i < courier->contact_count; i++)
        go_on(courier, &courier->contacts[i], now_ms);
}
