#include "node/recover_more.h"

#include "node/channel.h"
#include "node/channel_list.h"
#include "node/invite.h"
#include "node/peer.h"
#include "node/recover_own.h"
#include "node/report.h"

#include <stdio.h>

/* A party that lists channels without end, or such as it does not give, is not listened to for ever. */
enum { PAGES_MOST = 64, FAILURES_MOST = 8, LIST_TIMEOUT_MS = 20000 };

void ent_recovered_channels_release(ent_recovered_channels *channels)
{
    ent_free(channels->ids);
    channels->ids = NULL;
    channels->count = 0;
    channels->capacity = 0;
}

bool ent_recovered_channels_has(const ent_recovered_channels *channels, const ent_hash *id)
{
    bool found = false;
    for (size_t i = 0; i < channels->count && !found; i++)
        found = ent_hash_equal(&channels->ids[i], id);
    return found;
}

static ent_rc add(ent_recovered_channels *channels, const ent_hash *id, ent_err *err)
{
    if (channels->count == channels->capacity) {
        size_t capacity = channels->capacity == 0 ? 16 : channels->capacity * 2;
        ent_hash *ids = ent_realloc(channels->ids, capacity * sizeof *ids);
        if (ids == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        channels->ids = ids;
        channels->capacity = capacity;
    }
    channels->ids[channels->count++] = *id;
    return ENT_DONE;
}

/* The party's own log from its beginning has the genesis, and the newest head of ours in heads/. */
static ent_rc bring_back(ent_node *node, const ent_peer *peer, const ent_hash *id, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_text written = ent_origin_write(ent_text_of(peer->name), id, origin);
    ENT_CLEANUP(ent_free_pointer) char *name = ent_text_copy(written);
    if (name == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_recover_fetch(node, peer, name, 0, &bytes, err));
    ENT_TRY(ent_fail_in(err, ent_invite_forgotten(node, ent_buf_bytes(&bytes), written, err), "what %s gives back",
                        peer->name));
    ent_report report = ent_report_begin("channel.recovered");
    ent_report_text(&report, "origin", written);
    ent_report_end(&report);
    return ENT_DONE;
}

/* One that does not come back keeps no other from it. */
static ent_rc consider(ent_node *node, const ent_peer *peer, const ent_hash *id, ent_recovered_channels *ret,
                       ent_err *err)
{
    ent_err why = {0};
    if (ent_channel_find(node, id) != NULL)
        return ENT_DONE;
    ent_rc rc = bring_back(node, peer, id, &why);
    if (rc.code == ENT_OK)
        return add(ret, id, err);
    ent_class error_class = ent_code_class(rc.code);
    ret->failures++;
    (void)snprintf(ret->trouble, sizeof ret->trouble, "%.500s", why.text);
    if (error_class != ENT_CLASS_IO && error_class != ENT_CLASS_NOMEM && ret->failures < FAILURES_MOST)
        return ENT_DONE;
    *err = why;
    return rc;
}

static ent_rc fetch_page(ent_node *node, const ent_peer *peer, const ent_hash *after, ent_buf *ret, ent_err *err)
{
    char url[768];
    char digits[2 * sizeof after->bytes + 1] = "";
    ent_http_reply reply = {.status = 0};
    if (after != NULL)
        ent_hex_encode(ent_hash_bytes(after), digits);
    (void)snprintf(url, sizeof url, "%s/channels%s%s", peer->url, after == NULL ? "" : "?after=", digits);
    ent_http_call call = {.method = "GET",
                          .url = url,
                          .tls = node->tls,
                          .has_pin = true,
                          .pin = peer->pin,
                          .timeout_ms = LIST_TIMEOUT_MS,
                          .response_limit = (uint64_t)ENT_CHANNEL_LIST_MOST * ENT_CHANNEL_LIST_LINE};
    ENT_TRY(ent_fail_in(err, ent_http_call_wait(&call, &reply, err), "%s", peer->name));
    ent_rc rc = ent_fail_in(err, ent_http_reply_check(&reply, err), "%s", peer->name);
    if (rc.code == ENT_OK) {
        *ret = reply.body;
        reply.body = (ent_buf){0};
    }
    ent_http_reply_release(&reply);
    return rc;
}

static ent_rc walk_page(ent_node *node, const ent_peer *peer, ent_buf *page, ent_hash *last, bool *ret_any,
                        ent_recovered_channels *ret, ent_err *err)
{
    ent_text rest = ent_buf_text(page);
    bool more = true;
    while (more && !atomic_load(&node->stopping)) {
        ent_hash id;
        ENT_TRY(
            ent_fail_in(err, ent_channel_list_next(&rest, *ret_any ? last : NULL, &id, &more, err), "%s", peer->name));
        if (!more)
            break;
        *last = id;
        *ret_any = true;
        ENT_TRY(consider(node, peer, &id, ret, err));
    }
    return ENT_DONE;
}

ent_rc ent_recover_channels(ent_node *node, ent_text from, const ent_hash *only, ent_recovered_channels *ret,
                            ent_err *err)
{
    ent_peer peer;
    ent_hash last;
    bool any = false;
    size_t page_bytes = 1;
    ENT_TRY(ent_peer_get(node, from, &peer, err));
    if (node->tls == NULL || peer.url[0] == 0)
        return ent_fail(err, ENT_UNREACHABLE, "design 3, Rollback guard",
                        "%s cannot be asked over the network; import a pouch of it instead", peer.name);
    if (only != NULL)
        return consider(node, &peer, only, ret, err);
    for (int i = 0; i < PAGES_MOST && page_bytes > 0 && !atomic_load(&node->stopping); i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf page = {0};
        ENT_TRY(fetch_page(node, &peer, any ? &last : NULL, &page, err));
        page_bytes = page.size;
        ENT_TRY(walk_page(node, &peer, &page, &last, &any, ret, err));
    }
    return ENT_DONE;
}
