/* Private to src/http: one call, as libcurl sees it. */
#ifndef ENT_HTTP_CLIENT_INTERNAL_H
#define ENT_HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "http/client.h"

/** A call under way. Its address is known to libcurl: it does not move. */
typedef struct {
    ent_http_call call;
    CURL *easy;
    struct curl_slist *headers;
    ent_http_reply reply;
    uint64_t limit;
    uint64_t received; /* body bytes, kept or given to the sink */
    uint64_t sent;     /* bytes of body_file given to libcurl */
    ent_rc failed;     /* of our callbacks; decides over what libcurl says */
    ent_err err;
    char detail[CURL_ERROR_SIZE];
} ent_http_transfer;

/** Prepare libcurl for one call.  Errors: USAGE, NOMEM. */
ENT_RC ent_http_transfer_start(ent_http_transfer *transfer, const ent_http_call *call, ent_err *err);
/** Turn libcurl's result into ours; on success the reply is complete. */
ENT_RC ent_http_transfer_finish(ent_http_transfer *transfer, CURLcode result, ent_err *err);
void ent_http_transfer_release(ent_http_transfer *transfer);

/** Start libcurl once.  Errors: BUG. */
ENT_RC ent_http_client_init(ent_err *err);

#endif
