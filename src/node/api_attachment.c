#include "node/api.h"

#include "base/cursor.h"
#include "node/blob_range.h"
#include "node/channel.h"
#include "node/report.h"
#include "node/room.h"
#include "node/say.h"
#include "store/blobs.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024 };

/* --- sealing what the command line streams in --- */

typedef struct {
    ent_node *node;
    ent_channel *channel;
    ent_blob_writer *writer;
    ent_age_sealer *sealer;
    ent_room room;
} sealing;

static void free_sealing(void *pointer)
{
    sealing *work = pointer;
    ent_age_sealer_free(work->sealer);
    ent_blob_writer_free(work->writer);
    ent_room_release(&work->room);
    ent_free(work);
}

static ent_rc write_blob(void *context, ent_bytes bytes, ent_err *err)
{
    return ent_blob_writer_push(((sealing *)context)->writer, bytes, err);
}

/* The disk is shared with what others send, and the node itself needs some of it. */
static ent_rc seal_piece(void *context, ent_bytes piece, ent_err *err)
{
    sealing *work = context;
    ENT_TRY(ent_room_use(&work->room, piece.size, err));
    return ent_age_sealer_push(work->sealer, piece, err);
}

ent_rc ent_api_attachment_admit(ent_node *node, ent_http_request *request, ent_http_intake *ret_intake, ent_err *err)
{
    ent_recipient recipients[ENT_ENTRY_MAX_MEMBERS];
    ent_channel *channel = NULL;
    uint64_t length = 0;
    ent_text type = ent_http_query(request, "type");
    ENT_TRY(ent_channel_named(node, ent_http_query(request, "channel"), &channel, err));
    if (type.data != NULL && !ent_media_type_valid(type))
        return ent_fail(err, ENT_USAGE, "design 2, Entry",
                        "\"%.*s\" is not a media type (lower case, at most 64 bytes)",
                        (int)(type.size > 100 ? 100 : type.size), type.data);
    if (ent_channel_state_now(channel) != ENT_CHANNEL_OPEN)
        return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis",
                        "channel %.8s is not open; `entente channel show %.8s` tells why", channel->id_text,
                        channel->id_text);
    sealing *work = ent_alloc(sizeof *work);
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    work->node = node;
    work->channel = channel;
    ent_http_attach(request, work, free_sealing);
    (void)ent_http_content_length(request, &length); /* 0 when it is not known yet */
    ENT_TRY(ent_room_begin(node, length, 0, &work->room, err));
    ent_channel_recipients(channel, recipients);
    ENT_TRY(ent_blob_writer_new(node->paths.blobs, ENT_ATTACHMENT_MAX_SEALED_BYTES, &work->writer, err));
    ENT_TRY(ent_age_sealer_new(recipients, channel->genesis.member_count, (ent_age_sink){write_blob, work},
                               &work->sealer, err));
    ret_intake->limit = ENT_ATTACHMENT_MAX_BYTES;
    ret_intake->sink = seal_piece;
    ret_intake->sink_context = work;
    return ENT_DONE;
}

ent_rc ent_api_attachment_seal(ent_api_call *call, ent_err *err)
{
    sealing *work = ent_http_attached(call->request);
    ent_text type = ent_http_query(call->request, "type");
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_hash digest;
    uint64_t size = 0;
    ENT_TRY(ent_age_sealer_finish(work->sealer, err));
    ent_rc rc = ent_blob_writer_commit(work->writer, NULL, &digest, &size, err);
    if (rc.code == ENT_IO)
        ent_report_stop("an attachment could not be made durable", err);
    ENT_TRY(rc);
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "digest");
    ent_json_put_hex(&writer, ent_hash_bytes(&digest));
    ent_json_member_unsigned(&writer, "size", size);
    ent_json_member_text(&writer, "type", type.data == NULL ? ENT_TEXT("application/octet-stream") : type);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

/* --- opening one --- */

typedef struct {
    ent_age_opener *opener;
    ent_buf *piece;
    int fd;
} opening;

static void free_opening(void *pointer)
{
    opening *work = pointer;
    ent_age_opener_free(work->opener);
    if (work->fd >= 0)
        (void)close(work->fd);
    ent_free(work);
}

static ent_rc take_plain(void *context, ent_bytes bytes, ent_err *err)
{
    opening *work = context;
    ent_buf_put(work->piece, bytes);
    return ent_buf_check(work->piece, err);
}

static ent_rc pull_plain(void *context, ent_buf *ret_piece, bool *ret_end, ent_err *err)
{
    opening *work = context;
    uint8_t sealed[65536];
    work->piece = ret_piece;
    *ret_end = false;
    while (ret_piece->size < PIECE_BYTES) {
        ssize_t got = read(work->fd, sealed, sizeof sealed);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ent_fail(err, ENT_IO, NULL, "cannot read the sealed attachment");
        if (got == 0) {
            *ret_end = true;
            return ent_age_opener_finish(work->opener, err);
        }
        ENT_TRY(ent_age_opener_push(work->opener, ent_bytes_of(sealed, (size_t)got), err));
    }
    return ENT_DONE;
}

ent_rc ent_api_attachment_open(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_channel *channel = NULL;
    ent_entry entry;
    uint32_t member = 0;
    uint64_t index = 0;
    uint64_t at = 0;
    uint64_t size = 0;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(ent_channel_entry(call->node, channel, member, index, &arena, NULL, &entry, err));
    if (!ent_decimal_parse(call->parts[4], ENT_ENTRY_MAX_ATTACHMENTS, &at) || at >= entry.attachment_count)
        return ent_fail(err, ENT_ABSENT, NULL, "the message has %zu attachments, counted from 0; there is no %.*s",
                        entry.attachment_count, ENT_TEXT_ARG(call->parts[4]));
    opening *work = ent_alloc(sizeof *work);
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    work->fd = -1;
    ent_rc rc = ent_blob_open(call->node->paths.blobs, &entry.attachments[at].digest, &work->fd, &size, err);
    if (rc.code == ENT_ABSENT)
        rc = ent_fail(err, ENT_ABSENT, NULL, "this attachment has not arrived yet");
    if (rc.code == ENT_OK)
        rc = ent_age_opener_new(ent_keeper_unwrapper(call->node->keeper), (ent_age_sink){take_plain, work},
                                &work->opener, err);
    if (rc.code != ENT_OK) {
        free_opening(work);
        return rc;
    }
    call->response->status = 200;
    call->response->content_type = "application/octet-stream"; /* a peer's word is no reason to let a browser run it */
    call->response->pull = pull_plain;
    call->response->pull_context = work;
    call->response->pull_free = free_opening;
    return ENT_DONE;
}
