#include "node/courier.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "node/channel.h"
#include "node/pack.h"
#include "node/peer.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/sequencer.h"
#include "store/blobs.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 60000,
    REFUSED_MS = 30000, /* a refusal may be mended on the other side */
    RECEIPTS_DELAY_MS = 3000,
    IDLE_MS = 1000,
    BLOBS_EVERY_MS = 200, /* a long list of attachments must not take the time of pouches */
    TIMEOUT_MS = 120000,
    BLOB_SENDS_AT_A_TIME = 64
};

/* A peer as the courier sees it: one pouch and one attachment in flight at most, and when to try it again. What is the
 * matter with one delivery alone (an invitation not answered, a refusal) makes that delivery wait, not the peer. */
typedef struct {
    char name[ENT_NAME_MAX_BYTES + 1];
    bool pouch_in_flight;
    bool blob_in_flight;
    unsigned failures;
    int64_t not_before_ms;
    unsigned blob_failures;
    int64_t blob_not_before_ms;
    int64_t blob_last; /* the last one tried: the next look goes on behind it, so that one that fails stops no other */
    bool blob_skipped; /* this look passed over some before blob_last */
} contact;

/* One call under way. */
typedef struct flight {
    ent_courier *courier;
    ent_channel *channel;
    uint32_t member;
    bool is_blob;
    ent_packed packed;
    ent_store_blob_send send;
    int blob_fd;
    char peer[ENT_NAME_MAX_BYTES + 1];
    char url[512];
    char old_size[24];
    char size[24];
} flight;

struct ent_courier {
    ent_node *node;
    ent_http_pool *pool;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    atomic_bool woken;
    contact *contacts;
    size_t contact_count;
    size_t contact_capacity;
    size_t first; /* channel that the next look starts at */
    int64_t blobs_not_before_ms;
};

static contact *contact_of(ent_courier *courier, const char *name)
{
    for (size_t i = 0; i < courier->contact_count; i++) {
        if (strcmp(courier->contacts[i].name, name) == 0)
            return &courier->contacts[i];
    }
    if (courier->contact_count == courier->contact_capacity) {
        size_t capacity = courier->contact_capacity == 0 ? 16 : courier->contact_capacity * 2;
        contact *contacts = ent_realloc(courier->contacts, capacity * sizeof *contacts);
        if (contacts == NULL)
            return NULL;
        courier->contacts = contacts;
        courier->contact_capacity = capacity;
    }
    contact *added = &courier->contacts[courier->contact_count++];
    *added = (contact){.failures = 0};
    memcpy(added->name, name, strnlen(name, sizeof added->name - 1));
    return added;
}

static void free_flight(flight *work)
{
    if (work == NULL)
        return;
    if (work->blob_fd >= 0)
        (void)close(work->blob_fd);
    ent_packed_release(&work->packed);
    ent_free(work);
}

/* --- what a delivery came to --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t member;
    bool refused;
    bool set_confirmed;
    uint64_t confirmed;
    const char *reason;
    int64_t blob_done; /* a blob send to strike off; 0 = none */
} outcome_job;

static ent_rc apply_outcome(ent_job *job, ent_node *node, ent_err *err)
{
    const outcome_job *work = (const outcome_job *)job;
    const ent_store_engine *engine = node->store->engine;
    ent_store_delivery delivery;
    int64_t log = work->channel->members[work->channel->self].log.number;
    if (work->blob_done != 0)
        return engine->blob_send_done(node->store, work->blob_done, err);
    ENT_TRY(engine->delivery_get(node->store, log, work->member, &delivery, err));
    delivery.log = log;
    delivery.member = work->member;
    delivery.refused = work->refused;
    memset(delivery.reason, 0, sizeof delivery.reason);
    memcpy(delivery.reason, work->reason, strnlen(work->reason, sizeof delivery.reason - 1));
    delivery.last_attempt_unix_s = ent_clock_unix_s();
    if (work->set_confirmed)
        delivery.confirmed = work->confirmed;
    return engine->delivery_put(node->store, &delivery, err);
}

static void record(flight *work, bool refused, const char *reason, const uint64_t *confirmed)
{
    ent_err err = {0};
    outcome_job outcome = {
        .job = {.apply = apply_outcome},
        .channel = work->channel,
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

/* When to try again after so many failures in a row. */
static int64_t back_off(unsigned *failures, int64_t at_least_ms)
{
    int64_t wait_ms = BACKOFF_FIRST_MS;
    for (unsigned i = 0; i < *failures && wait_ms < BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    if (wait_ms > BACKOFF_MAX_MS)
        wait_ms = BACKOFF_MAX_MS;
    if (wait_ms < at_least_ms)
        wait_ms = at_least_ms;
    (*failures)++;
    return ent_clock_monotonic_ms() + wait_ms;
}

static void report_failure(const flight *work, int status, const ent_err *err)
{
    ent_report report = ent_report_begin(work->is_blob ? "attachment.not-delivered" : "pouch.not-delivered");
    ent_report_string(&report, "peer", work->peer);
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_number(&report, "status", (uint64_t)status);
    ent_report_error(&report, err);
    ent_report_end(&report);
}

/* 409: the peer holds less than we thought (or says so); go on from there. */
static ent_rc rewind_to(flight *work, const ent_http_reply *reply, ent_err *err)
{
    uint64_t held = 0;
    ent_text text = ent_buf_text(&reply->body);
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    bool is_size =
        strncmp(reply->content_type, "text/x.tlog.size", 16) == 0 && ent_decimal_parse(text, ENT_LOG_MAX_SIZE, &held);
    if (!is_size)
        return ent_http_reply_check(reply, err);
    if (held >= work->packed.old_size)
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, step 4",
                        "%s refuses entries from %llu on because it holds %llu of our log: that makes no sense, unless "
                        "this store is older "
                        "than what we said",
                        work->peer, (unsigned long long)work->packed.old_size, (unsigned long long)held);
    record(work, false, "the peer holds less than it receipted", &held);
    return ent_fail(err, ENT_WAITING, NULL, "%s holds only %llu entries of our log", work->peer,
                    (unsigned long long)held);
}

static ent_rc settle_pouch(flight *work, const ent_http_reply *reply, ent_err *err)
{
    uint64_t size = 0;
    if (reply->status == 409)
        return rewind_to(work, reply, err);
    if (reply->status == 202) {
        record(work, false, "invited: waiting for the peer to accept", NULL);
        return ent_fail(err, ENT_WAITING, NULL, "invited");
    }
    ENT_TRY(ent_http_reply_check(reply, err));
    ENT_TRY(ent_receipt_take(work->courier->node, work->channel, work->member, ent_buf_bytes(&reply->body),
                             work->packed.receipts_upto, &size, err));
    if (size < work->packed.size)
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3", "%s took a pouch up to %llu and receipted only %llu",
                        work->peer, (unsigned long long)work->packed.size, (unsigned long long)size);
    ent_report report = ent_report_begin("pouch.delivered");
    ent_report_string(&report, "peer", work->peer);
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_number(&report, "old_size", work->packed.old_size);
    ent_report_number(&report, "size", work->packed.size);
    ent_report_number(&report, "bytes", work->packed.bytes.size);
    ent_report_end(&report);
    return ENT_DONE;
}

static ent_rc settle_blob(const flight *work, const ent_http_reply *reply, ent_err *err)
{
    ENT_TRY(ent_http_reply_check(reply, err));
    outcome_job outcome = {.job = {.apply = apply_outcome}, .channel = work->channel, .blob_done = work->send.number};
    return ent_sequencer_run(work->courier->node, &outcome.job, err);
}

static bool is_refusal(ent_rc rc)
{
    ent_class error_class = ent_code_class(rc.code);
    return error_class == ENT_CLASS_PEER || error_class == ENT_CLASS_REFUSED || error_class == ENT_CLASS_USAGE ||
           error_class == ENT_CLASS_ABSENT;
}

static void settle_pouch_contact(const ent_courier *courier, flight *work, contact *peer, ent_rc rc,
                                 const ent_http_reply *reply, const ent_err *err)
{
    ent_channel_member *member = &work->channel->members[work->member];
    bool refused = is_refusal(rc);
    peer->pouch_in_flight = false;
    if (rc.code == ENT_OK || refused || rc.code == ENT_WAITING) { /* it was reached */
        peer->failures = 0;
        peer->not_before_ms = 0;
    }
    if (rc.code == ENT_OK) {
        member->refusals = 0;
        member->not_before_ms = 0;
    } else if (rc.code == ENT_WAITING) {
        member->not_before_ms = back_off(&member->refusals, 0);
    } else if (!atomic_load(&courier->stopping)) {
        report_failure(work, reply == NULL ? 0 : reply->status, err);
        record(work, refused, err->text, NULL);
        if (refused)
            member->not_before_ms = back_off(&member->refusals, REFUSED_MS);
        else
            peer->not_before_ms = back_off(&peer->failures, 0);
    }
}

static void settle_blob_contact(const ent_courier *courier, const flight *work, contact *peer, ent_rc rc,
                                const ent_http_reply *reply, const ent_err *err)
{
    peer->blob_in_flight = false;
    if (rc.code == ENT_OK) {
        peer->blob_failures = 0;
        peer->blob_not_before_ms = 0;
    } else if (!atomic_load(&courier->stopping)) {
        report_failure(work, reply == NULL ? 0 : reply->status, err);
        peer->blob_not_before_ms = back_off(&peer->blob_failures, 0);
    }
}

static void done(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *call_err)
{
    flight *work = context;
    ent_courier *courier = work->courier;
    contact *peer = contact_of(courier, work->peer);
    ent_err err = {0};
    if (rc.code != ENT_OK)
        err = *call_err;
    else if (work->is_blob)
        rc = settle_blob(work, reply, &err);
    else
        rc = settle_pouch(work, reply, &err);
    if (work->is_blob)
        settle_blob_contact(courier, work, peer, rc, reply, &err);
    else
        settle_pouch_contact(courier, work, peer, rc, reply, &err);
    atomic_store(&work->channel->unsent, true);
    atomic_store(&courier->woken, true);
    free_flight(work);
}

/* --- starting calls --- */

static ent_rc address(ent_courier *courier, flight *work, ent_hash *ret_pin, ent_peer *ret_peer, ent_err *err)
{
    ent_node *node = courier->node;
    ENT_TRY(ent_peer_get(node, work->channel->genesis.members[work->member].name, ret_peer, err));
    *ret_pin = ret_peer->pin;
    memcpy(work->peer, ret_peer->name, sizeof work->peer);
    if (ret_peer->url[0] == 0)
        return ent_fail(err, ENT_UNREACHABLE, NULL, "%s is air-gapped: carry pouches by hand", ret_peer->name);
    return ENT_DONE;
}

static ent_rc start_pouch(ent_courier *courier, ent_channel *channel, uint32_t member, ent_err *err)
{
    ent_peer peer;
    flight *work = ent_alloc(sizeof *work);
    ent_http_call call = {.method = "POST", .tls = courier->node->tls, .has_pin = true, .response_limit = 65536};
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *work = (flight){.courier = courier, .channel = channel, .member = member, .blob_fd = -1};
    ent_rc rc = address(courier, work, &call.pin, &peer, err);
    if (rc.code == ENT_OK)
        rc = ent_pack(courier->node, channel, member, &work->packed, err);
    if (rc.code == ENT_OK) {
        (void)snprintf(work->url, sizeof work->url, "%s/pouch", peer.url);
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
        free_flight(work);
    return rc;
}

static ent_rc start_blob(ent_courier *courier, ent_channel *channel, const ent_store_blob_send *send, ent_err *err)
{
    ent_peer peer;
    char digest[65];
    flight *work = ent_alloc(sizeof *work);
    ent_http_call call = {.method = "PUT", .tls = courier->node->tls, .has_pin = true, .response_limit = 65536};
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *work = (flight){
        .courier = courier, .channel = channel, .member = send->member, .is_blob = true, .send = *send, .blob_fd = -1};
    ent_rc rc = address(courier, work, &call.pin, &peer, err);
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
        free_flight(work);
    return rc;
}

static void report_local(const ent_channel *channel, const ent_err *err)
{
    ent_report report = ent_report_begin("courier.cannot-send");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_error(&report, err);
    ent_report_end(&report);
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

static ent_rc send_wanted(ent_courier *courier, ent_channel *channel, uint32_t member, contact *peer, int64_t now_ms,
                          bool *ret_wanted, ent_err *err)
{
    ent_pack_want want = ENT_PACK_NOTHING;
    bool can_wait = false;
    *ret_wanted = true; /* until it is known better: while the peer is busy the store need not be asked */
    if (peer->pouch_in_flight || now_ms < peer->not_before_ms || now_ms < channel->members[member].not_before_ms)
        return ENT_DONE;
    ENT_TRY(ent_pack_wanted(courier->node, channel, member, &want, err));
    *ret_wanted = want != ENT_PACK_NOTHING;
    if (!*ret_wanted)
        return ENT_DONE;
    if (want == ENT_PACK_RECEIPTS)
        ENT_TRY(receipts_can_wait(courier, channel, member, &can_wait, err));
    if (can_wait)
        return ENT_DONE;
    ENT_TRY(start_pouch(courier, channel, member, err));
    peer->pouch_in_flight = true;
    return ENT_DONE;
}

/* Start a pouch to one member of a channel, if there is a reason to and the peer is free; tells whether something is
 * left to send. */
static bool consider(ent_courier *courier, ent_channel *channel, uint32_t member, int64_t now_ms)
{
    ent_err err = {0};
    ent_peer row;
    bool wanted = true;
    if (ent_peer_get(courier->node, channel->genesis.members[member].name, &row, &err).code != ENT_OK ||
        row.url[0] == 0)
        return false; /* by hand only; a card that comes later wakes nobody, but the next message does */
    contact *peer = contact_of(courier, row.name);
    if (peer == NULL)
        return true;
    if (atomic_exchange(&channel->members[member].heard, false)) {
        peer->failures = 0;
        peer->not_before_ms = 0;
        channel->members[member].refusals = 0;
        channel->members[member].not_before_ms = 0;
    }
    if (send_wanted(courier, channel, member, peer, now_ms, &wanted, &err).code != ENT_OK) {
        report_local(channel, &err);
        channel->members[member].not_before_ms = back_off(&channel->members[member].refusals, 0);
    }
    return wanted;
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
    contact *peer = contact_of(courier, row.name);
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
        report_local(channel, &own_err);
        peer->blob_last = send->number;
        peer->blob_not_before_ms = back_off(&peer->blob_failures, 0);
    }
    return ENT_DONE;
}

static void look_at_blobs(ent_courier *courier)
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
        contact *peer = &courier->contacts[i];
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

static void look_at_channel(ent_courier *courier, ent_channel *channel, int64_t now_ms)
{
    ent_channel_state state = ent_channel_state_now(channel);
    bool unsent = false;
    if ((state != ENT_CHANNEL_OPEN && state != ENT_CHANNEL_OPENING) || !atomic_exchange(&channel->unsent, false))
        return;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (m != channel->self)
            unsent = consider(courier, channel, m, now_ms) || unsent;
    }
    if (unsent)
        atomic_store(&channel->unsent, true);
}

/* Each look starts one channel further on, so that none is always first in the queue of a peer. */
static void look_around(ent_courier *courier)
{
    int64_t now_ms = ent_clock_monotonic_ms();
    size_t count = ent_channel_count(courier->node);
    for (size_t i = 0; i < count; i++)
        look_at_channel(courier, ent_channel_at(courier->node, (courier->first + i) % count), now_ms);
    courier->first = count == 0 ? 0 : (courier->first + 1) % count;
    if (now_ms >= courier->blobs_not_before_ms) {
        look_at_blobs(courier);
        courier->blobs_not_before_ms = ent_clock_monotonic_ms() + BLOBS_EVERY_MS;
    }
}

static void *run(void *context)
{
    ent_courier *courier = context;
    ent_err err = {0};
    while (!atomic_load(&courier->stopping)) {
        look_around(courier);
        uint32_t wait_ms = atomic_exchange(&courier->woken, false) ? 0 : BLOBS_EVERY_MS;
        if (ent_http_pool_work(courier->pool, wait_ms, &err).code != ENT_OK) {
            ent_report report = ent_report_begin("courier.failed");
            ent_report_error(&report, &err);
            ent_report_end(&report);
            (void)poll(NULL, 0, IDLE_MS);
        }
    }
    return NULL;
}

ent_rc ent_courier_new(ent_node *node, ent_courier **ret, ent_err *err)
{
    ent_courier *courier = ent_alloc(sizeof *courier);
    if (courier == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    courier->node = node;
    ent_rc rc = ent_http_pool_new(&courier->pool, err);
    if (rc.code == ENT_OK && pthread_create(&courier->thread, NULL, run, courier) != 0)
        rc = ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    courier->started = rc.code == ENT_OK;
    if (rc.code != ENT_OK) {
        ent_courier_free(courier);
        return rc;
    }
    *ret = courier;
    return ENT_DONE;
}

void ent_courier_free(ent_courier *courier)
{
    if (courier == NULL)
        return;
    atomic_store(&courier->stopping, true);
    if (courier->started) {
        ent_http_pool_wake(courier->pool);
        (void)pthread_join(courier->thread, NULL);
    }
    ent_http_pool_free(courier->pool); /* tells what is under way that it was cut */
    ent_free(courier->contacts);
    ent_free(courier);
}

void ent_courier_wake(ent_courier *courier)
{
    if (courier == NULL)
        return;
    atomic_store(&courier->woken, true);
    ent_http_pool_wake(courier->pool);
}
