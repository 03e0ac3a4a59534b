#include "http/mail.h"

#include "base/alloc.h"
#include "http/client_internal.h"

enum { CONNECT_TIMEOUT_MS = 10000, TIMEOUT_MS = 30000 };

/* One message on its way. */
typedef struct {
    const ent_mail_server *server;
    CURL *easy;
    struct curl_slist *recipients;
    ent_buf message;
    size_t sent;
    char detail[CURL_ERROR_SIZE];
} sending;

static void release_sending(sending *way)
{
    if (way->easy != NULL)
        curl_easy_cleanup(way->easy);
    curl_slist_free_all(way->recipients);
    ent_buf_release(&way->message);
}

static size_t on_read(char *room, size_t size, size_t count, void *context)
{
    sending *way = context;
    size_t left = way->message.size - way->sent;
    size_t piece = size * count < left ? size * count : left;
    if (piece > 0)
        memcpy(room, way->message.data + way->sent, piece);
    way->sent += piece;
    return piece;
}

static int on_progress(void *context, curl_off_t down, curl_off_t downed, curl_off_t up, curl_off_t upped)
{
    const sending *way = context;
    (void)down, (void)downed, (void)up, (void)upped;
    return way->server->stop != NULL && atomic_load(way->server->stop);
}

static void keep_first(CURLcode *first, CURLcode next)
{
    if (*first == CURLE_OK)
        *first = next;
}

#define SET(option, value) keep_first(&set, curl_easy_setopt(easy, option, value))

static CURLcode set_tls(const sending *way)
{
    const ent_mail_server *server = way->server;
    CURL *easy = way->easy;
    CURLcode set = CURLE_OK;
    bool implicit = ent_text_starts(ent_text_of(server->url), ENT_TEXT("smtps:"));
    bool required = implicit || server->require_tls || server->user != NULL;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_USE_SSL, required ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
    SET(CURLOPT_SSL_VERIFYPEER, required ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, required ? 2L : 0L);
    if (server->ca_file != NULL) {
        SET(CURLOPT_CAINFO, server->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    return set;
}

static CURLcode set_connection(sending *way)
{
    const ent_mail_server *server = way->server;
    CURL *easy = way->easy;
    CURLcode set = CURLE_OK;
    SET(CURLOPT_URL, server->url);
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent must not delay a stop */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, server->timeout_ms == 0 ? (long)TIMEOUT_MS : (long)server->timeout_ms);
    SET(CURLOPT_ERRORBUFFER, way->detail);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, way);
    if (server->user != NULL) {
        SET(CURLOPT_USERNAME, server->user);
        SET(CURLOPT_PASSWORD, server->password == NULL ? "" : server->password);
    }
    return set;
}

static CURLcode set_message(sending *way, const ent_mail *mail)
{
    CURL *easy = way->easy;
    CURLcode set = CURLE_OK;
    for (size_t i = 0; i < mail->to_count; i++) {
        struct curl_slist *longer = curl_slist_append(way->recipients, mail->to[i]);
        if (longer == NULL)
            return CURLE_OUT_OF_MEMORY;
        way->recipients = longer;
    }
    SET(CURLOPT_MAIL_FROM, mail->from);
    SET(CURLOPT_MAIL_RCPT, way->recipients);
    /* One mailbox that is gone must not keep the others from being told. */
    SET(CURLOPT_MAIL_RCPT_ALLLOWFAILS, way->server->every_recipient ? 0L : 1L);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, way);
    return set;
}

static ent_rc told(const sending *way, CURLcode result, ent_err *err)
{
    const char *detail = way->detail[0] != 0 ? way->detail : curl_easy_strerror(result);
    long code = 0;
    (void)curl_easy_getinfo(way->easy, CURLINFO_RESPONSE_CODE, &code);
    switch (result) {
    case CURLE_OK:
        return ENT_DONE;
    case CURLE_OUT_OF_MEMORY:
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    case CURLE_ABORTED_BY_CALLBACK:
        return ent_fail(err, ENT_RETRY, NULL, "broken off: the node stops");
    case CURLE_LOGIN_DENIED:
        return ent_fail(err, ENT_REFUSED, NULL, "%.200s does not take this user and password: %s", way->server->url,
                        detail);
    case CURLE_USE_SSL_FAILED:
        return ent_fail(err, ENT_UNREACHABLE, NULL, "%.200s offers no TLS, and nothing is sent without it: %s",
                        way->server->url, detail);
    case CURLE_SSL_CACERT_BADFILE:
        return ent_fail(err, ENT_USAGE, NULL, "the file of authorities cannot be used: %s", detail);
    default:
        /* RFC 5321, section 4.2.1: 4yz and 5yz: "the command was not accepted". */
        if (code >= 400)
            return ent_fail(err, ENT_REFUSED, "RFC 5321, section 4.2", "%.200s answered %ld: %s", way->server->url,
                            code, detail);
        return ent_fail(err, ENT_UNREACHABLE, NULL, "%.200s: %s", way->server->url, detail);
    }
}

ent_rc ent_mail_send(const ent_mail_server *server, const ent_mail *mail, ent_err *err)
{
    ENT_CLEANUP(release_sending) sending way = {.server = server};
    if (!ent_mail_url_valid(ent_text_of(server->url)))
        return ent_fail(err, ENT_USAGE, NULL,
                        "a mail server is named smtp://host:port or smtps://host:port, not %.200s", server->url);
    ENT_TRY(ent_http_client_init(err));
    ENT_TRY(ent_mail_put(mail, &way.message, err));
    way.easy = curl_easy_init();
    if (way.easy == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    CURLcode set = set_connection(&way);
    keep_first(&set, set_tls(&way));
    keep_first(&set, set_message(&way, mail));
    if (set != CURLE_OK)
        return ent_fail(err, set == CURLE_OUT_OF_MEMORY ? ENT_NOMEM : ENT_BUG, NULL, "libcurl cannot send this: %s",
                        curl_easy_strerror(set));
    return told(&way, curl_easy_perform(way.easy), err);
}
