#include "node/border_blob.h"

#include "base/cursor.h"
#include "base/file.h"
#include "node/blob_range.h"
#include "node/channel.h"
#include "node/peer.h"
#include "node/turnstile.h"
#include "store/blobs.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char prefix[] = "/blob/";

bool ent_blob_out_is(const ent_http_request *request)
{
    return ent_text_is(ent_http_method(request), "GET") && ent_text_starts(ent_http_path(request), ent_text_of(prefix));
}

static ent_rc read_request(const ent_http_request *request, ent_hash *ret_digest, ent_blob_range *ret, ent_err *err)
{
    ent_text path = ent_http_path(request);
    ent_text digest = {path.data + sizeof prefix - 1, path.size - (sizeof prefix - 1)};
    ent_text size = ent_http_query(request, "size");
    uint64_t total = 0;
    ENT_TRY(ent_hex_decode(digest, ret_digest->bytes, sizeof ret_digest->bytes, err));
    if (size.data == NULL || !ent_decimal_parse(size, ENT_ATTACHMENT_MAX_SEALED_BYTES, &total))
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/formats.md", "the query needs size=<bytes of the attachment>");
    return ent_blob_range_asked(ent_http_header(request, "Range"), total, ret, err);
}

/* "the entry it belongs to, in a channel the sender is a member of": so for who asks. */
static ent_rc check_entitled(ent_node *node, const ent_hash *pin, const ent_hash *digest, uint64_t size, ent_err *err)
{
    ent_channel *channel;
    ent_peer peer;
    bool is_member = false;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_store_blob blob;
        if (ent_channel_member_by_pin(channel, pin) < 0)
            continue;
        is_member = true;
        ent_rc rc = node->store->engine->blob_find(node->store, channel->row.number, digest, size, &blob, err);
        if (rc.code != ENT_ABSENT)
            return rc;
    }
    if (!is_member) {
        ENT_TRY(ent_peer_by_pin(node, pin, &peer, err));
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "you share no channel with %s", node->config.name);
    }
    return ent_fail(err, ENT_ABSENT, "design 2, Attachments",
                    "no entry held here names this attachment with this size");
}

ent_rc ent_blob_out_admit(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_err *err)
{
    ent_hash digest;
    ent_blob_range range;
    ent_ticket *ticket = NULL;
    ENT_TRY(ent_turnstile_enter(node->turnstile, pin, &ticket, err)); /* each takes some MiB of memory */
    ent_http_attach(request, ticket, ent_ticket_free);
    ENT_TRY(read_request(request, &digest, &range, err));
    ENT_TRY(check_entitled(node, pin, &digest, range.total, err));
    if (!ent_blob_exists(node->paths.blobs, &digest))
        return ent_fail(err, ENT_ABSENT, "design 2, Attachments", "%s does not hold this attachment",
                        node->config.name);
    return ENT_DONE;
}

static ent_rc read_piece(int fd, const ent_blob_range *range, ent_buf *ret, ent_err *err)
{
    uint8_t *room = ent_buf_reserve(ret, (size_t)range->size);
    ENT_TRY(ent_buf_check(ret, err));
    while (ret->size < range->size) {
        ssize_t got = pread(fd, room + ret->size, (size_t)range->size - ret->size, (off_t)(range->first + ret->size));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ent_fail(err, ENT_IO, NULL, "an attachment cannot be read");
        ret->size += (size_t)got;
    }
    return ENT_DONE;
}

ent_rc ent_blob_out_handle(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = -1;
    ENT_CLEANUP(ent_buf_release) ent_buf piece = {0};
    ent_hash digest;
    ent_blob_range range;
    char text[ENT_BLOB_RANGE_SIZE];
    uint64_t size = 0;
    ENT_TRY(read_request(request, &digest, &range, err));
    ENT_TRY(ent_blob_open(node->paths.blobs, &digest, &fd, &size, err));
    if (size != range.total)
        return ent_fail(err, ENT_ABSENT, "design 2, Attachments", "%s does not hold this attachment",
                        node->config.name);
    if (range.size > ENT_BLOB_GIVEN_BYTES)
        range.size = ENT_BLOB_GIVEN_BYTES;
    ENT_TRY(read_piece(fd, &range, &piece, err));
    ent_blob_range_write(&range, text);
    (void)snprintf(response->header_name, sizeof response->header_name, "Content-Range");
    (void)snprintf(response->header_value, sizeof response->header_value, "%s", text);
    response->status = 206;
    response->content_type = "application/octet-stream";
    response->body = piece;
    piece = (ent_buf){0};
    return ENT_DONE;
}
