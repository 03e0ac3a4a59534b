#include "node/recover_more.h"

#include "base/clock.h"
#include "node/blob_range.h"
#include "node/blob_worker.h"
#include "node/border_blob.h"
#include "node/channel.h"
#include "node/guard.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/room.h"
#include "store/blob_parts.h"
#include "store/blobs.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGE = 256, TIMEOUT_MS = 120000, HASHING_MS = 120000 };

/* Attachments of one channel, from one member. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    const ent_peer *peer;
    ent_recovered *done;
    ent_store_blob last;
    size_t count;   /* rows of this page */
    bool unreached; /* the member does not answer any more: the rest is only counted */
} fetching;

/* The hash of what came before a restart is made again by the worker. */
static ent_rc ask_parts(const fetching *work, const ent_blob_announced *about, uint64_t *ret_held, ent_err *err)
{
    int64_t until_ms = ent_clock_monotonic_ms() + HASHING_MS;
    ent_rc rc = ent_blob_parts_ask(work->node->parts, about, ret_held, err);
    while (rc.code == ENT_RETRY && ent_clock_monotonic_ms() < until_ms && !atomic_load(&work->node->stopping)) {
        ent_blob_worker_wake(work->node->blob_worker);
        ent_guard_pause();
        rc = ent_blob_parts_ask(work->node->parts, about, ret_held, err);
    }
    return rc;
}

static ent_rc fetch_range(const fetching *work, const ent_hash *digest, const ent_blob_range *range, ent_buf *ret,
                          ent_err *err)
{
    char url[768];
    char digits[2 * sizeof digest->bytes + 1];
    char asked[64];
    ent_http_reply reply = {.status = 0};
    ent_hex_encode(ent_hash_bytes(digest), digits);
    (void)snprintf(url, sizeof url, "%s/blob/%s?size=%" PRIu64, work->peer->url, digits, range->total);
    (void)snprintf(asked, sizeof asked, "bytes=%" PRIu64 "-%" PRIu64, range->first, range->first + range->size - 1);
    ent_http_call call = {.method = "GET",
                          .url = url,
                          .tls = work->node->tls,
                          .has_pin = true,
                          .pin = work->peer->pin,
                          .headers = {{"Range", asked}},
                          .header_count = 1,
                          .timeout_ms = TIMEOUT_MS + ENT_BLOB_GIVEN_BYTES / 1024 * 1000,
                          .response_limit = ENT_BLOB_GIVEN_BYTES};
    ENT_TRY(ent_http_call_wait(&call, &reply, err));
    ent_rc rc = ent_http_reply_check(&reply, err);
    if (rc.code == ENT_OK && (reply.status != 206 || reply.body.size != range->size))
        rc = ent_fail(err, ENT_PEER_MALFORMED, "docs/formats.md",
                      "asked for %" PRIu64 " bytes of an attachment, it answers %d with %zu", range->size, reply.status,
                      reply.body.size);
    if (rc.code == ENT_OK) {
        *ret = reply.body;
        reply.body = (ent_buf){0};
    }
    ent_http_reply_release(&reply);
    return rc;
}

static ent_rc store_piece(const fetching *work, ent_blob_announced *about, uint64_t held, ent_bytes bytes,
                          bool *ret_whole, ent_err *err)
{
    ent_blob_piece *piece = NULL;
    uint64_t now_held = held;
    about->first = held;
    ENT_CLEANUP(ent_room_release) ent_room room = {0};
    ENT_TRY(ent_room_begin(work->node, bytes.size, bytes.size, &room, err));
    ENT_TRY(ent_blob_piece_begin(work->node->parts, about, &now_held, &piece, err));
    ent_rc rc = ent_blob_piece_push(piece, bytes, err);
    if (rc.code == ENT_OK)
        rc = ent_blob_piece_end(piece, &now_held, ret_whole, err);
    ent_blob_piece_free(piece);
    if (rc.code == ENT_IO)
        ent_report_stop("an attachment could not be made durable", err);
    return rc;
}

static ent_rc fetch_blob(const fetching *work, const ent_store_blob *blob, ent_err *err)
{
    ent_blob_announced about = {.digest = blob->digest, .size = blob->size, .sender = ent_text_of(work->peer->name)};
    bool whole = false;
    while (!whole && !ent_blob_exists(work->node->paths.blobs, &blob->digest)) {
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        uint64_t held = 0;
        if (atomic_load(&work->node->stopping))
            return ent_fail(err, ENT_RETRY, NULL, "the node is stopping");
        ENT_TRY(ask_parts(work, &about, &held, err));
        ent_blob_range range = {.first = held, .size = blob->size - held, .total = blob->size};
        if (range.size > ENT_BLOB_GIVEN_BYTES)
            range.size = ENT_BLOB_GIVEN_BYTES;
        ENT_TRY(fetch_range(work, &blob->digest, &range, &bytes, err));
        ENT_TRY(store_piece(work, &about, held, ent_buf_bytes(&bytes), &whole, err));
    }
    return ENT_DONE;
}

/* What one attachment lacks keeps no other from coming. */
static ent_rc see_blob(void *context, const ent_store_blob *row, ent_err *err)
{
    fetching *work = context;
    ent_err why = {0};
    work->last = *row;
    work->count++;
    if (ent_channel_member_of_log(work->channel, row->log) < 0 ||
        ent_blob_exists(work->node->paths.blobs, &row->digest))
        return ENT_DONE;
    ent_rc rc = ent_fail(&why, ENT_UNREACHABLE, NULL, "%s", work->done->trouble);
    if (!work->unreached)
        rc = ent_fail_in(&why, fetch_blob(work, row, &why), "an attachment, from %s", work->peer->name);
    if (rc.code == ENT_OK) {
        work->done->attachments++;
        return ENT_DONE;
    }
    if (rc.code == ENT_IO || rc.code == ENT_NOMEM) {
        *err = why;
        return rc;
    }
    work->unreached = work->unreached || ent_code_class(rc.code) == ENT_CLASS_RETRY || rc.code == ENT_IO_FULL;
    work->done->attachments_missing++;
    if (rc.code != ENT_ABSENT && work->done->trouble[0] == 0)
        (void)snprintf(work->done->trouble, sizeof work->done->trouble, "%.500s", why.text);
    return ENT_DONE;
}

ent_rc ent_recover_blobs(ent_node *node, ent_channel *channel, const ent_peer *peer, ent_recovered *ret, ent_err *err)
{
    fetching work = {.node = node, .channel = channel, .peer = peer, .done = ret};
    bool first = true;
    do {
        work.count = 0;
        ENT_TRY(node->store->engine->blob_all_walk(node->store, first ? NULL : &work.last, PAGE, see_blob, &work, err));
        first = false;
    } while (work.count == PAGE && !atomic_load(&node->stopping));
    ent_blob_worker_wake(node->blob_worker);
    return ENT_DONE;
}
