/* The courier's attachments. */
#include "node/courier_internal.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/peer.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/sequencer.h"
#include "store/blobs.h"

#include <stdio.h>

enum { BLOB_SENDS_AT_A_TIME = 64 };

/* An attachment that has arrived is struck off. */
typedef struct {
    ent_job job;
    int64_t number;
} sent_job;

static ent_rc apply_sent(ent_job *job, ent_node *node, ent_err *err)
{
    return node->store->engine->blob_send_done(node->store, ((const sent_job *)job)->number, err);
}

static ent_rc settle_blob(const ent_flight *work, const ent_http_reply *reply, ent_err *err)
{
    ENT_TRY(ent_http_reply_check(reply, err));
    sent_job sent = {.job = {.apply = apply_sent}, .number = work->send.number};
    return ent_sequencer_run(work->courier->node, &sent.job, err);
}

static void settle_blob_contact(const ent_courier *courier, const ent_flight *work, ent_contact *peer, ent_rc rc,
                                const ent_http_reply *reply, const ent_err *err)
{
    peer->blob_in_flight = false;
    if (rc.code == ENT_OK) {
        peer->blob_failures = 0;
        peer->blob_not_before_ms = 0;
    } else if (!atomic_load(&courier->stopping)) {
        ent_courier_report_failure(work, reply == NULL ? 0 : reply->status, err);
        peer->blob_not_before_ms = ent_courier_back_off(&peer->blob_failures, 0);
    }
}

static void done(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *call_err)
{
    ent_flight *work = context;
    ent_courier *courier = work->courier;
    ent_contact *peer = ent_courier_contact(courier, work->peer);
    ent_err err = {0};
    if (rc.code == ENT_OK)
        rc = settle_blob(work, reply, &err);
    else
        err = *call_err;
    settle_blob_contact(courier, work, peer, rc, reply, &err);
    ent_courier_landed(work);
}

static ent_rc start_blob(ent_courier *courier, ent_channel *channel, const ent_store_blob_send *send, ent_err *err)
{
    ent_peer peer;
    char digest[65];
    ent_flight *work = ent_alloc(sizeof *work);
    ent_http_call call = {.method = "PUT", .tls = courier->node->tls, .has_pin = true, .response_limit = 65536};
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *work = (ent_flight){
        .courier = courier, .channel = channel, .member = send->member, .is_blob = true, .send = *send, .blob_fd = -1};
    ent_rc rc = ent_courier_address(courier, work, &call.pin, &peer, err);
    if (rc.code == ENT_OK)
        rc = ent_blob_open(courier->node->paths.blobs, &send->digest, &work->blob_fd, &call.body_file_size, err);
    if (rc.code == ENT_OK) {
        ent_hex_encode(ent_hash_bytes(&send->digest), digest);
        (void)snprintf(work->url, sizeof work->url, "%s/blob/%s", peer.url, digest);
        call.url = work->url;
        call.body_file = work->blob_fd;
        call.headers[0].name = "Content-Type";
        call.headers[0].value = "application/octet-stream";
        call.header_count = 1;
        rc = ent_http_pool_start(courier->pool, &call, done, work, err);
    }
    if (rc.code != ENT_OK)
        ent_courier_flight_free(work);
    return rc;
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
static ent_rc may_leave(ent_courier *courier, const ent_store_blob_send *send, bool *ret, ent_err *err)
{
    ent_store_delivery delivery;
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
    if (peer == NULL || peer->blob_in_flight || now_ms < peer->blob_not_before_ms || now_ms < peer->not_before_ms)
        return ENT_DONE;
    if (send->number <= peer->blob_last) {
        peer->blob_skipped = true;
        return ENT_DONE;
    }
    ent_rc rc = may_leave(courier, send, &may, &own_err);
    if (rc.code == ENT_OK && may)
        rc = start_blob(courier, channel, send, &own_err);
    if (rc.code == ENT_OK) {
        peer->blob_in_flight = may;
        peer->blob_last = may ? send->number : peer->blob_last;
    } else {
        ent_courier_report_local(channel, &own_err);
        peer->blob_last = send->number;
        peer->blob_not_before_ms = ent_courier_back_off(&peer->blob_failures, 0);
    }
    return ENT_DONE;
}

void ent_courier_look_at_blobs(ent_courier *courier)
{
    ent_err err = {0};
    blob_page page = {.courier = courier};
    ent_rc rc = ENT_DONE;
    do {
        page.count = 0;
        rc = courier->node->store->engine->blob_send_walk(courier->node->store, page.last, BLOB_SENDS_AT_A_TIME,
                                                          consider_blob, &page, &err);
    } while (rc.code == ENT_OK && page.count == BLOB_SENDS_AT_A_TIME);
    for (size_t i = 0; i < courier->contact_count; i++) { /* nothing behind: begin again with the first */
        ent_contact *peer = &courier->contacts[i];
        if (peer->blob_skipped && !peer->blob_in_flight)
            peer->blob_last = 0;
        peer->blob_skipped = false;
    }
    if (rc.code == ENT_OK)
        return;
    ent_report report = ent_report_begin("courier.failed");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}
