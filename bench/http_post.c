/* Requests per second of a small POST over kept-alive TLS connections, our pool client against our server.
 *
 * usage: bench_http_post [CONNECTIONS [SECONDS]] */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "http/client.h"
#include "http/server.h"
#include "http/tls.h"

typedef struct {
    ent_http_pool *pool;
    ent_http_call call;
    unsigned long done;
    unsigned long failed;
    int64_t until_ms;
} load;

static ent_rc admit(void *context, ent_http_request *request, ent_http_intake *ret_intake, ent_err *err)
{
    ent_hash pin;
    (void)context;
    if (!ent_http_client_pin(request, &pin))
        return ent_fail(err, ENT_PEER_UNKNOWN, NULL, "no certificate");
    ret_intake->limit = 64 << 10;
    return ENT_DONE;
}

static ent_rc handle(void *context, ent_http_request *request, ent_http_response *response, ent_err *err)
{
    (void)context;
    (void)request;
    (void)err;
    ent_http_respond_text(response, 200, "received");
    return ENT_DONE;
}

static void again(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *err)
{
    load *self = context;
    if (rc.code == ENT_OK && reply->status == 200)
        self->done++;
    else if (self->failed++ == 0)
        (void)fprintf(stderr, "failed: %s\n", rc.code == ENT_OK ? "status" : err->text);
    if (ent_clock_monotonic_ms() < self->until_ms) {
        ent_rc started = ent_http_pool_start(self->pool, &self->call, again, self, NULL);
        self->failed += started.code != ENT_OK;
    }
}

static ent_rc run(unsigned connections, unsigned seconds, ent_err *err)
{
    static const uint8_t body[1024];
    ENT_CLEANUP(ent_buf_wipe) ent_buf key = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf certificate = {0};
    ent_hash pin;
    char url[64];
    ent_tls_client *tls = NULL;
    ent_http_server *server = NULL;
    load self = {0};
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_tls_generate(ENT_TEXT("bench.example"), &key, &certificate, err));
    ENT_TRY(ent_tls_pin(ent_buf_bytes(&certificate), &pin, err));
    ENT_TRY(ent_tls_client_new(ent_buf_text(&key), ent_buf_text(&certificate), &tls, err));
    ent_http_peers_options options = {
        .address = "127.0.0.1:0", .key_pem = ent_buf_text(&key), .certificate_pem = ent_buf_text(&certificate)};
    ENT_TRY(ent_http_server_peers(&options, (ent_http_handler){.admit = admit, .handle = handle}, &server, err));
    ENT_TRY(ent_http_pool_new(&self.pool, err));
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/pouch", (unsigned)ent_http_server_port(server));
    self.call = (ent_http_call){.method = "POST", .url = url, .tls = tls, .has_pin = true, .pin = pin};
    self.call.body = ent_bytes_of(body, sizeof body);
    int64_t begun = ent_clock_monotonic_ms();
    self.until_ms = begun + (int64_t)seconds * 1000;
    for (unsigned i = 0; i < connections; i++)
        ENT_TRY(ent_http_pool_start(self.pool, &self.call, again, &self, err));
    while (ent_http_pool_active(self.pool) > 0)
        ENT_TRY(ent_http_pool_work(self.pool, 100, err));
    double took_s = (double)(ent_clock_monotonic_ms() - begun) / 1000;
    (void)printf("%u connections: %.0f POST/s of %zu bytes over kept TLS, %lu failed\n", connections,
                 (double)self.done / took_s, sizeof body, self.failed);
    ent_http_pool_free(self.pool);
    ent_http_server_stop(server, 1000);
    ent_tls_client_free(tls);
    return ENT_DONE;
}

int main(int argc, char **argv)
{
    ent_err err = {0};
    unsigned connections = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 16;
    unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
    if (run(connections == 0 ? 1 : connections, seconds, &err).code != ENT_OK) {
        (void)fprintf(stderr, "bench_http_post: %s\n", err.text);
        return 1;
    }
    return 0;
}
