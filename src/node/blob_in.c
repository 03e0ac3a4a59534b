#include "node/blob_in.h"

#include "node/blob_range.h"
#include "node/blob_worker.h"
#include "node/channel.h"
#include "node/quota.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/room.h"
#include "store/blob_parts.h"
#include "store/blobs.h"

#include <stdio.h>

enum { PREFIX_SIZE = sizeof "/blob/" - 1 };

static const char offset_type[] = "text/x.entente.offset";

/* One attachment, or a piece of it, on its way in. */
typedef struct {
    ent_node *node;
    ent_blob_announced about;
    ent_blob_piece *piece; /* NULL: a question, or it is held */
    ent_room room;
    ent_store_blob blob;
    ent_channel *channel;
    bool is_local; /* from our own socket */
    bool held;     /* already */
} incoming;

static void free_incoming(void *pointer)
{
    incoming *work = pointer;
    ent_blob_piece_free(work->piece);
    ent_room_release(&work->room);
    ent_free(work);
}

static ent_rc take_bytes(void *context, ent_bytes bytes, ent_err *err)
{
    incoming *work = context;
    if (work->piece == NULL)
        return ENT_DONE; /* it is held: they are not needed */
    ENT_TRY(ent_room_use(&work->room, bytes.size, err));
    return ent_blob_piece_push(work->piece, bytes, err);
}

/* "the entry it belongs to, in a channel the sender is a member of": another party may name the same digest elsewhere.
 * One for which it is still wanted comes before those for which it is held. */
static ent_rc find_blob(incoming *work, const ent_hash *pin, ent_err *err)
{
    ent_node *node = work->node;
    ent_channel *channel;
    bool is_member = false;
    bool found = false;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_store_blob blob;
        int sender = pin == NULL ? (int)channel->self : ent_channel_member_by_pin(channel, pin);
        if (sender < 0)
            continue;
        is_member = true;
        ent_rc rc = node->store->engine->blob_find(node->store, channel->row.number, &work->about.digest,
                                                   work->about.size, &blob, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        if (found && blob.state == ENT_BLOB_HELD)
            continue;
        found = true;
        work->blob = blob;
        work->channel = channel;
        work->about.sender = channel->genesis.members[sender].name;
        if (blob.state == ENT_BLOB_WANTED)
            return ENT_DONE;
    }
    if (found)
        return ENT_DONE;
    if (!is_member)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "you share no channel with %s", node->config.name);
    return ent_fail(err, ENT_ABSENT, "design 2, Attachments",
                    "no entry held here names this attachment with this size; send its pouch first");
}

/* Answer by the headers alone. */
static ent_rc answer_offset(ent_http_request *request, int status, uint64_t held, ent_err *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)held);
    return ent_http_refuse(request, status, offset_type, text, err);
}

static ent_rc answer_held(const incoming *work, ent_http_request *request, ent_err *err)
{
    if (work->blob.state == ENT_BLOB_WANTED)
        ENT_TRY(ent_blob_settle(work->node->paths.blobs, &work->about.digest, err));
    ent_err_set(err, ENT_WAITING, "docs/formats.md", "it is held already");
    if (work->is_local)
        return ent_http_refuse(request, 200, "application/json", "{\"new\":false,\"said\":true}\n", err);
    return ent_http_refuse(request, 200, "text/plain; charset=utf-8", "held\n", err);
}

/* Its hash is made again, or it gets its place: not by a thread that serves all peers. */
static void ask_later(ent_node *node, ent_err *err)
{
    err->retry_after_s = 1;
    ent_blob_worker_wake(node->blob_worker);
}

static ent_rc begin_piece(incoming *work, ent_http_request *request, ent_err *err)
{
    ent_node *node = work->node;
    uint64_t held = ent_blob_parts_held(node->parts, &work->about.digest);
    uint32_t writer = (uint32_t)ent_channel_member_of_log(work->channel, work->blob.log);
    ENT_TRY(ent_quota_attachment(node, work->channel, writer, &work->about.digest, work->about.size, err));
    ENT_TRY(ent_room_begin(node, held < work->about.size ? work->about.size - held : 0, 0, &work->room, err));
    ent_rc rc = ent_blob_piece_begin(node->parts, &work->about, &held, &work->piece, err);
    if (rc.code == ENT_RETRY)
        ask_later(node, err);
    return rc.code == ENT_PEER_STALE ? answer_offset(request, 409, held, err) : rc;
}

/* What the request says of itself. */
static ent_rc read_request(ent_http_request *request, ent_text digest, incoming *work, bool *ret_question, ent_err *err)
{
    uint64_t length = 0;
    ent_text range = ent_http_header(request, "Content-Range");
    bool has_length = ent_http_content_length(request, &length);
    *ret_question = false;
    ENT_TRY(ent_hex_decode(digest, work->about.digest.bytes, sizeof work->about.digest.bytes, err));
    if (range.data != NULL) {
        ent_blob_range read;
        ENT_TRY(ent_blob_range_parse(range, &read, err));
        if (length != read.size)
            return ent_fail(err, ENT_PEER_MALFORMED, "RFC 9110, section 14.4",
                            "Content-Range names %llu bytes; the request must bring just as many, by Content-Length",
                            (unsigned long long)read.size);
        work->about.size = read.total;
        work->about.first = read.first;
        *ret_question = read.is_question;
        return ENT_DONE;
    }
    if (!has_length || length > ENT_ATTACHMENT_MAX_SEALED_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "docs/formats.md",
                        "an attachment comes with its Content-Length, of at most %llu bytes",
                        (unsigned long long)ENT_ATTACHMENT_MAX_SEALED_BYTES);
    work->about.size = length;
    work->about.anew = true;
    return ENT_DONE;
}

static ent_rc admit(ent_node *node, ent_http_request *request, ent_text digest, const ent_hash *pin,
                    ent_http_intake *ret_intake, ent_err *err)
{
    bool is_question = false;
    uint64_t length = 0;
    incoming *work = ent_alloc(sizeof *work);
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    work->node = node;
    work->is_local = pin == NULL;
    ent_http_attach(request, work, free_incoming);
    ENT_TRY(read_request(request, digest, work, &is_question, err));
    ENT_TRY(find_blob(work, pin, err));
    (void)ent_http_content_length(request, &length);
    work->held = ent_blob_exists(node->paths.blobs, &work->about.digest);
    if (work->held && length > 0)
        return answer_held(work, request, err);
    if (!work->held && !is_question)
        ENT_TRY(begin_piece(work, request, err));
    ret_intake->limit = length;
    ret_intake->sink = take_bytes;
    ret_intake->sink_context = work;
    return ENT_DONE;
}

ent_rc ent_blob_in_admit(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_http_intake *ret_intake,
                         ent_err *err)
{
    ent_text path = ent_http_path(request);
    return admit(node, request, (ent_text){path.data + PREFIX_SIZE, path.size - PREFIX_SIZE}, pin, ret_intake, err);
}

ent_rc ent_blob_in_admit_local(ent_node *node, ent_http_request *request, ent_text digest, ent_http_intake *ret_intake,
                               ent_err *err)
{
    return admit(node, request, digest, NULL, ret_intake, err);
}

static void report_whole(const incoming *work)
{
    ent_report report = ent_report_begin("attachment.received");
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_text(&report, "from", work->about.sender);
    ent_report_number(&report, "bytes", work->about.size);
    ent_report_end(&report);
}

/* After the last byte of the request. *ret_whole: it is durable as a whole. */
static ent_rc end_piece(incoming *work, uint64_t *ret_held, bool *ret_whole, ent_err *err)
{
    ent_node *node = work->node;
    if (work->piece == NULL) {
        ent_rc rc = ent_blob_parts_ask(node->parts, &work->about, ret_held, err);
        if (rc.code == ENT_RETRY)
            ask_later(node, err);
        return rc;
    }
    ent_rc rc = ent_blob_piece_end(work->piece, ret_held, ret_whole, err);
    if (rc.code == ENT_IO)
        ent_report_stop("an attachment could not be made durable", err);
    ENT_TRY(rc);
    if (*ret_whole) {
        report_whole(work);
        ent_blob_worker_wake(node->blob_worker);
    }
    return ENT_DONE;
}

ent_rc ent_blob_in_handle(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    incoming *work = ent_http_attached(request);
    char text[24];
    uint64_t held = 0;
    bool whole = false;
    if (work->held) {
        if (work->blob.state == ENT_BLOB_WANTED)
            ENT_TRY(ent_blob_settle(node->paths.blobs, &work->about.digest, err));
        ent_http_respond_text(response, 200, "held\n");
        return ENT_DONE;
    }
    ENT_TRY(end_piece(work, &held, &whole, err));
    if (whole) {
        ent_http_respond_text(response, 201, "held\n");
        return ENT_DONE;
    }
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)held);
    ent_http_respond_text(response, 202, text);
    response->content_type = offset_type;
    return ENT_DONE;
}
