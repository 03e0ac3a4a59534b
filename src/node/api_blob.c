/* Attachments that go by hand: which a member lacks, their sealed bytes, and taking them in. */
#include "node/api.h"

#include "base/clock.h"
#include "node/blob_in.h"
#include "node/channel.h"
#include "store/blobs.h"

#include <time.h>

enum { PAGE = 256, SAID_WITHIN_MS = 5000, LOOK_EVERY_MS = 20 };

typedef struct {
    uint32_t member;
    int64_t log;
    ent_json_writer writer;
    int64_t last;
    size_t count; /* rows of this page */
} list;

static ent_rc put_send(void *context, const ent_store_blob_send *send, ent_err *err)
{
    list *work = context;
    (void)err;
    work->last = send->number;
    work->count++;
    if (send->log != work->log || send->member != work->member)
        return ENT_DONE;
    ent_json_object_begin(&work->writer);
    ent_json_key(&work->writer, "digest");
    ent_json_put_hex(&work->writer, ent_hash_bytes(&send->digest));
    ent_json_member_unsigned(&work->writer, "size", send->size);
    ent_json_member_unsigned(&work->writer, "index", send->index);
    ent_json_object_end(&work->writer);
    return ENT_DONE;
}

ent_rc ent_api_blob_list(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_store *store = call->node->store;
    ent_channel *channel = NULL;
    ent_text to = ent_http_query(call->request, "to");
    ENT_TRY(ent_channel_named(call->node, ent_http_query(call->request, "channel"), &channel, err));
    int member = ent_genesis_member(&channel->genesis, to);
    if (member < 0 || (uint32_t)member == channel->self)
        return ent_fail(err, ENT_USAGE, "docs/api.md", "to=%.*s: not another member of channel %.8s",
                        (int)(to.size > 64 ? 64 : to.size), to.data == NULL ? "" : to.data, channel->id_text);
    list work = {.member = (uint32_t)member,
                 .log = channel->members[channel->self].log.number,
                 .writer = ent_json_writer_of(&body)};
    ent_json_object_begin(&work.writer);
    ent_json_key(&work.writer, "attachments");
    ent_json_array_begin(&work.writer);
    do {
        work.count = 0;
        ENT_TRY(store->engine->blob_send_walk(store, work.last, PAGE, put_send, &work, err));
    } while (work.count == PAGE);
    ent_json_array_end(&work.writer);
    ent_json_object_end(&work.writer);
    return ent_api_answer(call, &body, err);
}

static ent_rc digest_of(const ent_api_call *call, ent_hash *ret, ent_err *err)
{
    return ent_fail_in(err, ent_hex_decode(call->parts[1], ret->bytes, sizeof ret->bytes, err),
                       "an attachment is named by the 64 hex digits of its SHA-256");
}

ent_rc ent_api_blob_read(ent_api_call *call, ent_err *err)
{
    ent_hash digest;
    int fd = -1;
    uint64_t size = 0;
    ENT_TRY(digest_of(call, &digest, err));
    ENT_TRY(ent_blob_open(call->node->paths.blobs, &digest, &fd, &size, err));
    call->response->status = 200;
    call->response->content_type = "application/octet-stream";
    call->response->file = fd;
    call->response->file_size = size;
    return ENT_DONE;
}

/* Give the worker a moment: then a pouch that is packed next carries our word. */
static bool is_said_soon(ent_node *node, const ent_hash *digest)
{
    int64_t until_ms = ent_clock_monotonic_ms() + SAID_WITHIN_MS;
    bool wanted = true;
    while (node->store->engine->blob_is_wanted(node->store, digest, &wanted, NULL).code == ENT_OK && wanted &&
           ent_clock_monotonic_ms() < until_ms && !atomic_load(&node->stopping)) {
        struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    return !wanted;
}

ent_rc ent_api_blob_take(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_hash digest;
    ENT_TRY(digest_of(call, &digest, err));
    ENT_TRY(ent_blob_in_handle(call->node, call->request, call->response, err));
    if (call->response->status == 202)
        return ENT_DONE; /* a piece; its offset is the answer */
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_member_bool(&writer, "new", call->response->status == 201);
    ent_json_member_bool(&writer, "said", is_said_soon(call->node, &digest));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
