#include "http/server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

/* Two blocks are about what a window must move; a larger answer than one block is read block by block. */
enum { BLOCK_BYTES = 16 << 10 };

void ent_http_response_clear(ent_http_response *response)
{
    ent_buf_release(&response->body);
    ent_file_close(&response->file);
    if (response->pull_free != NULL)
        response->pull_free(response->pull_context);
    *response = (ent_http_response){.status = 200, .file = -1};
}

void ent_http_respond_error(ent_http_response *response, const ent_err *err)
{
    ent_http_response_clear(response);
    ent_json_writer writer = ent_json_writer_of(&response->body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "error");
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "code", ent_code_word(err->code));
    ent_json_member_string(&writer, "rule", err->rule);
    ent_json_member_string(&writer, "text", err->text);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ent_buf_put_string(&response->body, "\n");
    response->status = ent_code_http_status(err->code);
    response->content_type = "application/json";
    if (err->retry_after_s > 0) {
        (void)snprintf(response->header_name, sizeof response->header_name, "Retry-After");
        (void)snprintf(response->header_value, sizeof response->header_value, "%u", err->retry_after_s);
    }
    /* The status says the most important part, also when there is no memory for the rest. */
    if (ent_buf_check(&response->body, NULL).code != ENT_OK)
        ent_buf_release(&response->body);
}

void ent_http_respond_json(ent_http_response *response, int status, ent_buf *body)
{
    ent_http_response_clear(response);
    response->status = status;
    response->content_type = "application/json";
    response->body = *body;
    *body = (ent_buf){0};
}

void ent_http_respond_text(ent_http_response *response, int status, const char *text)
{
    ent_http_response_clear(response);
    response->status = status;
    response->content_type = "text/plain; charset=utf-8";
    ent_buf_put_string(&response->body, text);
}

/* ---- bodies that are read piece by piece ------------------------------------- */

/* A body on its way out. libmicrohttpd asks for the next block when the last one is in the socket: that is how slow
 * clients show. */
typedef struct {
    ent_http_link *link; /* lives as long as libmicrohttpd asks for blocks */
    ent_http_response from;
    ent_buf piece; /* pulled, and sent up to offset */
    size_t offset;
    size_t last; /* size of the block handed out last */
    bool ended;
} outflow;

/* The last block has left, another one is asked for: our own work on that is not the client's time. */
static void begin_block(outflow *out)
{
    ent_http_link_moved(out->link, out->last);
    ent_http_link_pause(out->link);
}

static ssize_t end_block(outflow *out, ssize_t result)
{
    out->last = result > 0 ? (size_t)result : 0;
    ent_http_link_resume(out->link);
    return result;
}

static void free_outflow(void *context)
{
    outflow *out = context;
    ent_http_response_clear(&out->from);
    ent_buf_release(&out->piece);
    ent_free(out);
}

static ssize_t read_memory(void *context, uint64_t position, char *room, size_t size)
{
    outflow *out = context;
    size_t left = out->from.body.size - (size_t)position;
    if (size > left)
        size = left;
    begin_block(out);
    memcpy(room, out->from.body.data + position, size);
    return end_block(out, (ssize_t)size);
}

static ssize_t read_file(void *context, uint64_t position, char *room, size_t size)
{
    outflow *out = context;
    ssize_t got = 0;
    begin_block(out);
    do {
        got = pread(out->from.file, room, size, (off_t)position);
    } while (got < 0 && errno == EINTR);
    /* Shorter than it was said to be: the client must not take it for the whole. */
    return end_block(out, got <= 0 ? MHD_CONTENT_READER_END_WITH_ERROR : got);
}

/* Get the next piece that is not empty; false when there is none. */
static bool pull_piece(outflow *out)
{
    while (!out->ended && out->offset == out->piece.size) {
        ent_err err = {0};
        ent_buf_clear(&out->piece);
        out->offset = 0;
        /* A source that waits gives an empty piece now and then: the only moment at which a client that has gone can be
         * noticed. */
        if (atomic_load(&out->link->server->cutting) || ent_http_link_gone(out->link))
            return false;
        if (out->from.pull(out->from.pull_context, &out->piece, &out->ended, &err).code != ENT_OK ||
            ent_buf_check(&out->piece, &err).code != ENT_OK)
            return false;
    }
    return true;
}

static ssize_t read_pull(void *context, uint64_t position, char *room, size_t size)
{
    outflow *out = context;
    (void)position;
    begin_block(out);
    if (!pull_piece(out))
        return end_block(out, MHD_CONTENT_READER_END_WITH_ERROR);
    size_t left = out->piece.size - out->offset;
    if (size > left)
        size = left;
    if (size == 0)
        return end_block(out, MHD_CONTENT_READER_END_OF_STREAM);
    memcpy(room, out->piece.data + out->offset, size);
    out->offset += size;
    return end_block(out, (ssize_t)size);
}

static struct MHD_Response *make_flowing(ent_http_link *link, ent_http_response *response)
{
    outflow *out = ent_alloc(sizeof *out);
    if (out == NULL)
        return NULL;
    out->link = link;
    out->from = *response;
    *response = (ent_http_response){.status = response->status, .file = -1};
    struct MHD_Response *made = NULL;
    if (out->from.pull != NULL)
        made = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_pull, out, free_outflow);
    else if (out->from.file >= 0)
        made = MHD_create_response_from_callback(out->from.file_size, BLOCK_BYTES, read_file, out, free_outflow);
    else
        made = MHD_create_response_from_callback(out->from.body.size, BLOCK_BYTES, read_memory, out, free_outflow);
    if (made == NULL)
        free_outflow(out);
    return made;
}

static struct MHD_Response *make_whole(ent_http_response *response)
{
    if (response->body.size == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *made =
        MHD_create_response_from_buffer_with_free_callback(response->body.size, response->body.data, ent_free);
    if (made != NULL)
        response->body = (ent_buf){0};
    return made;
}

/* ---- queueing ---------------------------------------------------------------- */

static bool add_headers(struct MHD_Response *made, const char *content_type, const char *name, const char *value)
{
    if (content_type != NULL && MHD_add_response_header(made, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) != MHD_YES)
        return false;
    return name[0] == 0 || MHD_add_response_header(made, name, value) == MHD_YES;
}

static struct MHD_Response *make(ent_http_link *link, ent_http_response *response)
{
    char name[sizeof response->header_name];
    char value[sizeof response->header_value];
    const char *content_type = response->content_type;
    memcpy(name, response->header_name, sizeof name);
    memcpy(value, response->header_value, sizeof value);
    name[sizeof name - 1] = 0;
    value[sizeof value - 1] = 0;
    bool flows = response->pull != NULL || response->file >= 0 || response->body.size > BLOCK_BYTES;
    struct MHD_Response *made = flows ? make_flowing(link, response) : make_whole(response);
    if (made != NULL && !add_headers(made, content_type, name, value)) {
        MHD_destroy_response(made);
        made = NULL;
    }
    return made;
}

enum MHD_Result ent_http_response_queue(ent_http_request *request, ent_http_response *response)
{
    if (ent_buf_check(&response->body, NULL).code != ENT_OK) {
        ent_http_response_clear(response);
        response->status = ent_code_http_status(ENT_NOMEM);
    }
    ent_http_link_expect(request->link);
    int status = response->status;
    struct MHD_Response *made = make(request->link, response);
    ent_http_response_clear(response);
    if (made == NULL) {
        /* No memory, or a header that is none: an empty answer needs neither. */
        status = ent_code_http_status(ENT_BUG);
        made = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (made == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(request->connection, (unsigned)status, made);
    MHD_destroy_response(made);
    return queued;
}
