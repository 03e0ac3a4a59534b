#include "node/courier_internal.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/peer.h"
#include "node/report.h"

#include <poll.h>
#include <unistd.h>

enum { BACKOFF_FIRST_MS = 250, BACKOFF_MAX_MS = 60000, IDLE_MS = 1000, LOOK_EVERY_MS = 200 };

ent_contact *ent_courier_contact(ent_courier *courier, const char *name)
{
    for (size_t i = 0; i < courier->contact_count; i++) {
        if (strcmp(courier->contacts[i].name, name) == 0)
            return &courier->contacts[i];
    }
    if (courier->contact_count == courier->contact_capacity) {
        size_t capacity = courier->contact_capacity == 0 ? 16 : courier->contact_capacity * 2;
        ent_contact *contacts = ent_realloc(courier->contacts, capacity * sizeof *contacts);
        if (contacts == NULL)
            return NULL;
        courier->contacts = contacts;
        courier->contact_capacity = capacity;
    }
    ent_contact *added = &courier->contacts[courier->contact_count++];
    *added = (ent_contact){.failures = 0};
    memcpy(added->name, name, strnlen(name, sizeof added->name - 1));
    return added;
}

void ent_courier_reached(ent_contact *peer)
{
    if (peer->failures > 0)
        peer->reached_from_ms = ent_clock_monotonic_ms();
    peer->failures = 0;
    peer->not_before_ms = 0;
}

void ent_courier_flight_free(ent_flight *work)
{
    if (work == NULL)
        return;
    if (work->blob_fd >= 0)
        (void)close(work->blob_fd);
    ent_packed_release(&work->packed);
    ent_free(work);
}

void ent_courier_landed(ent_flight *work)
{
    atomic_store(&work->channel->unsent, true);
    atomic_store(&work->courier->woken, true);
    ent_courier_flight_free(work);
}

int64_t ent_courier_back_off(unsigned *failures, int64_t at_least_ms)
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

void ent_courier_report_failure(const ent_flight *work, int status, const ent_err *err)
{
    ent_report report = ent_report_begin(work->is_blob ? "attachment.not-delivered" : "pouch.not-delivered");
    ent_report_string(&report, "peer", work->peer);
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_number(&report, "status", (uint64_t)status);
    ent_report_error(&report, err);
    ent_report_end(&report);
}

void ent_courier_report_local(const ent_channel *channel, const ent_err *err)
{
    ent_report report = ent_report_begin("courier.cannot-send");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_error(&report, err);
    ent_report_end(&report);
}

ent_rc ent_courier_address(ent_courier *courier, ent_flight *work, ent_hash *ret_pin, ent_peer *ret_peer, ent_err *err)
{
    ent_node *node = courier->node;
    ENT_TRY(ent_peer_get(node, work->channel->genesis.members[work->member].name, ret_peer, err));
    *ret_pin = ret_peer->pin;
    memcpy(work->peer, ret_peer->name, sizeof work->peer);
    if (ret_peer->url[0] == 0)
        return ent_fail(err, ENT_UNREACHABLE, NULL, "%s is air-gapped: carry pouches by hand", ret_peer->name);
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
    ent_contact *peer = ent_courier_contact(courier, row.name);
    if (peer == NULL)
        return true;
    if (atomic_exchange(&channel->members[member].heard, false)) {
        ent_courier_reached(peer);
        channel->members[member].patience = (ent_patience){.most = channel->members[member].patience.most};
    }
    if (ent_courier_send_wanted(courier, channel, member, peer, now_ms, &wanted, &err).code != ENT_OK) {
        ent_courier_report_local(channel, &err);
        channel->members[member].patience.not_before_ms =
            ent_courier_back_off(&channel->members[member].patience.refusals, 0);
    }
    return wanted;
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
    if (now_ms >= courier->forwards_not_before_ms) {
        courier->forwards_not_before_ms = ent_clock_monotonic_ms() + ent_courier_forwards_every_ms(courier->node);
        ent_courier_look_at_forwards(courier);
    }
    courier->first = count == 0 ? 0 : (courier->first + 1) % count;
    ent_courier_look_at_blobs(courier);
}

static void *run(void *context)
{
    ent_courier *courier = context;
    ent_err err = {0};
    while (!atomic_load(&courier->stopping)) {
        look_around(courier);
        uint32_t wait_ms = atomic_exchange(&courier->woken, false) ? 0 : LOOK_EVERY_MS;
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
    (void)pthread_mutex_init(&courier->progress_lock, NULL);
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
    ent_free(courier->blob_waits);
    (void)pthread_mutex_destroy(&courier->progress_lock);
    ent_free(courier);
}

void ent_courier_wake(ent_courier *courier)
{
    if (courier == NULL)
        return;
    atomic_store(&courier->woken, true);
    ent_http_pool_wake(courier->pool);
}
