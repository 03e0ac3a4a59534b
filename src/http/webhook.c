#include "http/webhook.h"

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "http/client_internal.h"

#include <stdio.h>

enum { CONNECT_TIMEOUT_MS = 10000, TIMEOUT_MS = 30000, URL_MAX_BYTES = 2048, ANSWER_LIMIT = 4096, QUOTED_BYTES = 160 };

typedef struct {
    const ent_webhook *hook;
    CURL *easy;
    struct curl_slist *headers;
    char answer[QUOTED_BYTES + 1]; /* its beginning, fit for a terminal */
    size_t answer_size;
    size_t received;
    char detail[CURL_ERROR_SIZE];
} posting;

static void release_posting(posting *way)
{
    if (way->easy != NULL)
        curl_easy_cleanup(way->easy);
    curl_slist_free_all(way->headers);
}

bool ent_webhook_url_valid(ent_text url)
{
    ent_text scheme = ent_text_starts(url, ENT_TEXT("https://")) ? ENT_TEXT("https://") : ENT_TEXT("http://");
    if (!ent_text_starts(url, scheme) || url.size > URL_MAX_BYTES)
        return false;
    size_t host = scheme.size;
    while (host < url.size && url.data[host] != '/' && url.data[host] != '?' && url.data[host] != '#')
        host++;
    for (size_t i = 0; i < url.size; i++) {
        if (url.data[i] <= ' ' || url.data[i] > '~' || url.data[i] == '\\' || url.data[i] == '"' ||
            (i < host && url.data[i] == '@'))
            return false;
    }
    return host > scheme.size;
}

/* The answer's beginning is kept for the error; of a longer one no more is read. */
static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    posting *way = context;
    ent_text piece = ent_bytes_text(ent_bytes_of(data, size * count));
    for (size_t i = 0; i < piece.size && way->answer_size < QUOTED_BYTES; i++)
        way->answer[way->answer_size++] = piece.data[i] >= ' ' && piece.data[i] <= '~' ? piece.data[i] : ' ';
    way->received += piece.size;
    return way->received > ANSWER_LIMIT ? 0 : piece.size;
}

static int on_progress(void *context, curl_off_t down, curl_off_t downed, curl_off_t up, curl_off_t upped)
{
    const posting *way = context;
    (void)down, (void)downed, (void)up, (void)upped;
    return way->hook->stop != NULL && atomic_load(way->hook->stop);
}

static void keep_first(CURLcode *first, CURLcode next)
{
    if (*first == CURLE_OK)
        *first = next;
}

#define SET(option, value) keep_first(&set, curl_easy_setopt(easy, option, value))

static CURLcode set_connection(posting *way)
{
    const ent_webhook *hook = way->hook;
    CURL *easy = way->easy;
    CURLcode set = CURLE_OK;
    SET(CURLOPT_URL, hook->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (hook->ca_file != NULL) {
        SET(CURLOPT_CAINFO, hook->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent must not delay a stop */
    SET(CURLOPT_USERAGENT, "entente");
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, hook->timeout_ms == 0 ? (long)TIMEOUT_MS : (long)hook->timeout_ms);
    SET(CURLOPT_ERRORBUFFER, way->detail);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, way);
    return set;
}

static bool add_header(posting *way, const char *line)
{
    struct curl_slist *longer = curl_slist_append(way->headers, line);
    if (longer != NULL)
        way->headers = longer;
    return longer != NULL;
}

static CURLcode set_body(posting *way, ent_text json)
{
    static const char name[] = "Entente-Signature: sha256=";
    CURL *easy = way->easy;
    CURLcode set = CURLE_OK;
    char line[sizeof name + 2 * ENT_HASH_SIZE];
    bool added = add_header(way, "Content-Type: application/json") && add_header(way, "Expect:");
    if (way->hook->secret.size > 0) {
        ent_hash mac;
        ent_hmac_sha256(way->hook->secret, ent_text_bytes(json), &mac);
        memcpy(line, name, sizeof name - 1);
        ent_hex_encode(ent_hash_bytes(&mac), line + sizeof name - 1);
        added = added && add_header(way, line);
    }
    if (!added)
        return CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_HTTPHEADER, way->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.size);
    SET(CURLOPT_POSTFIELDS, json.size == 0 ? "" : json.data);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, way);
    return set;
}

static ent_rc told(const posting *way, CURLcode result, ent_err *err)
{
    const char *detail = way->detail[0] != 0 ? way->detail : curl_easy_strerror(result);
    long status = 0;
    (void)curl_easy_getinfo(way->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_WRITE_ERROR && way->received > ANSWER_LIMIT)
        result = CURLE_OK; /* it was we who had read enough */
    switch (result) {
    case CURLE_OK:
        if (status >= 200 && status < 300)
            return ENT_DONE;
        if (status >= 300 && status < 400)
            return ent_fail(err, ENT_REFUSED, NULL,
                            "%.200s answered %ld, a redirect, which is not followed: name the "
                            "final address",
                            way->hook->url, status);
        return ent_fail(err, ENT_REFUSED, NULL, "%.200s answered %ld: %s", way->hook->url, status, way->answer);
    case CURLE_OUT_OF_MEMORY:
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    case CURLE_ABORTED_BY_CALLBACK:
        return ent_fail(err, ENT_RETRY, NULL, "broken off: the node stops");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ent_fail(err, ENT_USAGE, NULL, "%.200s cannot be asked: %s", way->hook->url, detail);
    case CURLE_SSL_CACERT_BADFILE:
        return ent_fail(err, ENT_USAGE, NULL, "the file of authorities cannot be used: %s", detail);
    default:
        return ent_fail(err, ENT_UNREACHABLE, NULL, "%.200s: %s", way->hook->url, detail);
    }
}

ent_rc ent_webhook_post(const ent_webhook *hook, ent_text json, ent_err *err)
{
    ENT_CLEANUP(release_posting) posting way = {.hook = hook};
    if (!ent_webhook_url_valid(ent_text_of(hook->url)))
        return ent_fail(err, ENT_USAGE, NULL, "a webhook is an https:// or http:// URL, not %.200s", hook->url);
    ENT_TRY(ent_http_client_init(err));
    way.easy = curl_easy_init();
    if (way.easy == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    CURLcode set = set_connection(&way);
    keep_first(&set, set_body(&way, json));
    if (set != CURLE_OK)
        return ent_fail(err, set == CURLE_OUT_OF_MEMORY ? ENT_NOMEM : ENT_BUG, NULL, "libcurl cannot post this: %s",
                        curl_easy_strerror(set));
    return told(&way, curl_easy_perform(way.easy), err);
}
