#include "node/border.h"

#include "base/cursor.h"
#include "node/blob_in.h"
#include "node/border_blob.h"
#include "node/border_fetch.h"
#include "node/courier.h"
#include "node/guard.h"
#include "node/receive.h"
#include "node/report.h"
#include "node/room.h"
#include "node/turnstile.h"

#include <stdio.h>

static const char blob_prefix[] = "/blob/";

static bool is_pouch(const ent_http_request *request)
{
    return ent_text_is(ent_http_path(request), "/pouch") && ent_text_is(ent_http_method(request), "POST");
}

static bool is_blob(const ent_http_request *request)
{
    return ent_text_starts(ent_http_path(request), ent_text_of(blob_prefix)) &&
           ent_text_is(ent_http_method(request), "PUT");
}

static void report_refused(const ent_http_request *request, const char *event, const ent_err *err)
{
    ent_report report = ent_report_begin(event);
    ent_report_string(&report, "remote", ent_http_remote(request));
    ent_report_text(&report, "origin", ent_http_header(request, "Entente-Origin"));
    ent_report_error(&report, err);
    ent_report_end(&report);
}

static ent_rc read_size(const ent_http_request *request, const char *name, uint64_t *ret, ent_err *err)
{
    ent_text value = ent_http_header(request, name);
    if (value.data == NULL || !ent_decimal_parse(value, ENT_LOG_MAX_SIZE, ret))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 3", "the header %s must be a number of entries", name);
    return ENT_DONE;
}

static ent_rc read_announced(const ent_http_request *request, ent_announced *ret, ent_err *err)
{
    ret->origin = ent_http_header(request, "Entente-Origin");
    if (ret->origin.data == NULL)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 3", "the header Entente-Origin is missing");
    ENT_TRY(read_size(request, "Entente-Old-Size", &ret->old_size, err));
    return read_size(request, "Entente-Size", &ret->size, err);
}

/* What a pouch on its way in holds. */
typedef struct {
    ent_ticket *ticket;
    ent_room room;
} passage;

static void free_passage(void *pointer)
{
    passage *work = pointer;
    ent_ticket_free(work->ticket);
    ent_room_release(&work->room);
    ent_free(work);
}

/* "Request headers … decide 403, 409, 413, 429 and 507 before any body is read" (design 3). */
static ent_rc admit_pouch(ent_node *node, ent_http_request *request, const ent_hash *pin, ent_http_intake *ret_intake,
                          ent_err *err)
{
    uint64_t limit = 0;
    uint64_t held = 0;
    char size[24];
    ent_announced announced = {0};
    passage *work = ent_alloc(sizeof *work);
    if (work == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_http_attach(request, work, free_passage);
    ENT_TRY(ent_turnstile_enter(node->turnstile, pin, &work->ticket, err));
    ENT_TRY(read_announced(request, &announced, err));
    if (!ent_http_content_length(request, &announced.length))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 3", "a pouch is sent with its Content-Length");
    ent_rc rc = ent_receive_admit(node, &announced, pin, &limit, &held, err);
    if (rc.code == ENT_PEER_STALE) {
        (void)snprintf(size, sizeof size, "%llu\n", (unsigned long long)held);
        return ent_http_refuse(request, 409, "text/x.tlog.size", size, err);
    }
    ENT_TRY(rc);
    if (announced.length > limit)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 11, limits",
                        "such a pouch has at most %llu bytes; this one announces %llu", (unsigned long long)limit,
                        (unsigned long long)announced.length);
    ENT_TRY(ent_room_begin(node, announced.length, announced.length, &work->room, err)); /* at most 64 MiB */
    ret_intake->limit = announced.length;
    ret_intake->spool = true;
    return ENT_DONE;
}

static ent_rc admit(void *context, ent_http_request *request, ent_http_intake *ret_intake, ent_err *err)
{
    ent_node *node = context;
    ent_hash pin;
    ent_rc rc;
    bool has_pin = ent_http_client_pin(request, &pin);
    if (has_pin)
        ent_guard_heard(node->guard, &pin);
    if (!has_pin)
        rc = ent_fail(err, ENT_PEER_UNKNOWN, "design 3",
                      "%s talks only to parties whose cards it holds, and you presented no client certificate: use the "
                      "one pinned in your card",
                      node->config.name);
    else if (is_pouch(request))
        rc = admit_pouch(node, request, &pin, ret_intake, err);
    else if (ent_blob_out_is(request))
        rc = ent_blob_out_admit(node, request, &pin, err);
    else if (is_blob(request))
        rc = ent_blob_in_admit(node, request, &pin, ret_intake, err);
    else if (ent_fetch_is(request))
        rc = ent_fetch_admit(node, request, &pin, err);
    else
        rc = ent_fail(
            err, ENT_ABSENT, "design 3",
            "there is POST and GET /pouch, PUT and GET /blob/<sha256>, GET /head and GET /channels here, nothing else");
    bool is_answer = (is_blob(request) && (rc.code == ENT_WAITING || rc.code == ENT_PEER_STALE)) ||
                     ((ent_fetch_is(request) || ent_blob_out_is(request)) && rc.code == ENT_ABSENT);
    if (rc.code != ENT_OK && !is_answer)
        report_refused(request, "request.refused", err);
    return rc;
}

static void report_received(const ent_received *received, size_t bytes)
{
    ent_report report =
        ent_report_begin(received->state == ENT_RECEIVED_INVITED ? "channel.invited" : "pouch.receipted");
    ent_report_text(&report, "peer", received->channel->genesis.members[received->writer].name);
    ent_report_string(&report, "channel", received->channel->id_text);
    ent_report_number(&report, "size", received->size);
    ent_report_number(&report, "new", received->new_count);
    ent_report_number(&report, "bytes", bytes);
    ent_report_end(&report);
}

static ent_rc handle_pouch(ent_node *node, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ENT_CLEANUP(ent_received_release) ent_received received = {0};
    ent_bytes body = ent_http_body(request);
    ent_announced announced = {0};
    ent_hash pin;
    if (!ent_http_client_pin(request, &pin))
        return ent_fail(err, ENT_PEER_UNKNOWN, "design 3", "no client certificate");
    ENT_TRY(read_announced(request, &announced, err));
    ENT_TRY(ent_receive(node, body, &announced, &pin, &received, err));
    if (received.state != ENT_RECEIVED_INVITED || received.new_count > 0)
        report_received(&received, body.size);
    ent_courier_wake(node->courier);
    if (received.state == ENT_RECEIVED_RECEIPTED) {
        response->status = 200;
        response->content_type = "text/plain; charset=utf-8";
        response->body = received.receipt;
        received.receipt = (ent_buf){0};
    } else {
        ent_http_respond_text(response, 202, received.state == ENT_RECEIVED_INVITED ? "invited\n" : "carried\n");
    }
    return ENT_DONE;
}

static ent_rc handle(void *context, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    ent_node *node = context;
    if (ent_fetch_is(request))
        return ent_fetch_handle(node, request, response, err);
    if (ent_blob_out_is(request))
        return ent_blob_out_handle(node, request, response, err);
    ent_rc rc = is_pouch(request) ? handle_pouch(node, request, response, err)
                                  : ent_blob_in_handle(node, request, response, err);
    if (rc.code != ENT_OK)
        report_refused(request, is_pouch(request) ? "pouch.refused" : "attachment.refused", err);
    return rc;
}

ent_http_handler ent_border_http_handler(ent_node *node)
{
    return (ent_http_handler){admit, handle, node};
}
