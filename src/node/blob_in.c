#include "node/blob_in.h"

#include "node/channel.h"
#include "node/checks.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/ledgers.h"
#include "node/quota.h"
#include "node/receipt.h"
#include "node/report.h"
#include "node/say.h"
#include "store/blobs.h"

enum { PREFIX_SIZE = sizeof "/blob/" - 1 };

/* One attachment on its way in. */
typedef struct {
    ent_node *node;
    ent_blob_writer *writer;
    ent_store_blob blob;
    ent_channel *channel;
    uint32_t member;
    bool held;  /* already */
    bool twice; /* it came twice at once: said already */
} incoming;

static void free_incoming(void *pointer)
{
    incoming *work = pointer;
    ent_blob_writer_free(work->writer);
    ent_free(work);
}

static ent_rc take_piece(void *context, ent_bytes piece, ent_err *err)
{
    const incoming *work = context;
    return work->held ? ENT_DONE : ent_blob_writer_push(work->writer, piece, err);
}

/* "the entry it belongs to, in a channel the sender is a member of": another party may name the same digest elsewhere.
 * One for which it is still wanted comes before those for which it is held. */
static ent_rc find_blob(ent_node *node, const ent_hash *digest, uint64_t size, const ent_hash *pin, incoming *work,
                        ent_err *err)
{
    ent_channel *channel;
    bool is_member = false;
    bool found = false;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_store_blob blob;
        if (ent_channel_member_by_pin(channel, pin) < 0)
            continue;
        is_member = true;
        ent_rc rc = node->store->engine->blob_find(node->store, channel->row.number, digest, size, &blob, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        if (found && blob.state == ENT_BLOB_HELD)
            continue;
        found = true;
        work->blob = blob;
        work->channel = channel;
        work->member = (uint32_t)ent_channel_member_of_log(channel, blob.log);
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

ent_rc ent_blob_in_admit(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_http_intake *ret_intake,
                         ent_err *err)
{
    uint64_t length = 0;
    ent_hash digest;
    ent_text path = ent_http_path(request);
    incoming *work = ent_alloc(sizeof *work);
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    work->node = node;
    ent_http_attach(request, work, free_incoming);
    ENT_TRY(ent_hex_decode((ent_text){path.data + PREFIX_SIZE, path.size - PREFIX_SIZE}, digest.bytes,
                           sizeof digest.bytes, err));
    if (!ent_http_content_length(request, &length) || length > ENT_ATTACHMENT_MAX_SEALED_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "docs/formats.md",
                        "an attachment comes with its Content-Length, of at most %d bytes",
                        ENT_ATTACHMENT_MAX_SEALED_BYTES);
    ENT_TRY(find_blob(node, &digest, length, pin, work, err));
    work->held = work->blob.state == ENT_BLOB_HELD;
    if (!work->held)
        ENT_TRY(ent_quota_attachment(node, work->channel, work->member, length, err));
    ENT_TRY(ent_disk_has_room(node, length, err));
    if (!work->held)
        ENT_TRY(ent_blob_writer_new(node->paths.blobs, length, &work->writer, err));
    ret_intake->limit = length;
    ret_intake->sink = take_piece;
    ret_intake->sink_context = work;
    return ENT_DONE;
}

/* --- saying that it is held --- */

typedef struct {
    const incoming *work;
    bool marked;
} marking;

static ent_rc mark_row(void *context, const ent_store_blob *row, ent_err *err)
{
    marking *mark = context;
    const ent_store_blob *blob = &mark->work->blob;
    if (row->state == ENT_BLOB_HELD || row->size != blob->size || !ent_hash_equal(&row->digest, &blob->digest))
        return ENT_DONE;
    mark->marked = true;
    return mark->work->node->store->engine->blob_held(mark->work->node->store, row, err);
}

/* Wherever the entry names it. */
static ent_rc mark_held(void *context, ent_node *node, ent_err *err)
{
    incoming *work = context;
    marking mark = {.work = work};
    ENT_TRY(node->store->engine->blob_walk(node->store, work->blob.log, work->blob.index, mark_row, &mark, err));
    work->twice = !mark.marked;
    return mark.marked ? ENT_DONE : ent_fail(err, ENT_RETRY, NULL, "it came twice at once");
}

static ent_rc say_held(ent_node *node, incoming *work, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_entry entry;
    uint64_t index = 0;
    if (!ent_ledgers_is_made(work->channel)) { /* this thread serves all peers, and must not make it */
        ent_checks_wake(node->checks);
        return ent_fail(err, ENT_RETRY, NULL, "the channel is being read after a start; try again in a moment");
    }
    ENT_TRY(ent_channel_entry(node, work->channel, work->member, work->blob.index, &arena, NULL, &entry, err));
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "digests");
    ent_json_array_begin(&writer);
    ent_json_put_hex(&writer, ent_hash_bytes(&work->blob.digest));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    ent_message_ref message = {entry.writer, entry.index};
    ent_saying saying = {
        .channel = work->channel,
        .kind = "evidence.held",
        .has_reply_to = true,
        .reply_to = message,
        .has_thread = true,
        .thread = entry.has_thread ? entry.thread : message,
        .exercise = entry.exercise,
        .also = mark_held,
        .also_context = work,
    };
    return ent_say_body(node, &saying, ent_buf_bytes(&body), &index, err);
}

static ent_rc say_and_tell(ent_node *node, incoming *work, ent_err *err)
{
    ent_rc rc = say_held(node, work, err);
    if (work->twice) {
        work->twice = false;
        return ENT_DONE;
    }
    ENT_TRY(rc);
    ent_report report = ent_report_begin("attachment.held");
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_text(&report, "party", work->channel->genesis.members[work->member].name);
    ent_report_number(&report, "index", work->blob.index);
    ent_report_number(&report, "bytes", work->blob.size);
    ent_report_end(&report);
    ent_tell_attachment(node, work->channel, work->member, work->blob.index, &work->blob.digest);
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

ent_rc ent_blob_in_handle(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    incoming *work = ent_http_attached(request);
    ent_hash digest;
    ent_hash pin;
    uint64_t size = 0;
    if (!ent_http_client_pin(request, &pin))
        return ent_fail(err, ENT_PEER_UNKNOWN, "design 3", "no client certificate");
    if (work->held) {
        ent_http_respond_text(response, 200, "held\n");
        return ENT_DONE;
    }
    ent_rc rc = ent_blob_writer_commit(work->writer, &work->blob.digest, &digest, &size, err);
    if (rc.code == ENT_IO)
        ent_report_stop("an attachment could not be made durable", err);
    ENT_TRY(rc);
    /* It is sent once and held for every message that names it. */
    while (work->blob.state == ENT_BLOB_WANTED) {
        rc = say_and_tell(node, work, err);
        if (ent_code_class(rc.code) == ENT_CLASS_REFUSED)
            break; /* our log is frozen, or waits for recovery: it is held all the same */
        ENT_TRY(rc);
        ENT_TRY(find_blob(node, &digest, size, &pin, work, err));
    }
    ent_http_respond_text(response, 201, "held\n");
    return ENT_DONE;
}
