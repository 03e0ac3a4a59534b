/* Messages delivered end to end between two running nodes: sealed, logged, sent, checked, stored, receipted.
 *
 * usage: bench_deliver SOCKET CHANNEL FOLDER MESSAGES CONCURRENT LATENCY_SAMPLES
 *
 * Prints the rate, the latency of one message alone (send to receipt), and beside them, measured in the same run on the
 * same machine, what bounds them: the X25519 operations that no implementation of this design can leave out, and the
 * syncs of the disk. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "crypto/crypto.h"
#include "http/client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SYNCS = 500, X25519_ROUNDS = 4000, X25519_A_MESSAGE = 9, BODY_TEXT_BYTES = 600 };

typedef struct {
    ent_http_pool *pool;
    ent_http_call call;
    unsigned long left;
    unsigned long done;
    unsigned long failed;
} load;

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *what, const ent_err *err)
{
    (void)fprintf(stderr, "bench_deliver: %s: %s\n", what, err->text);
    exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void put_message(ent_buf *body, const char *channel)
{
    ent_json_writer writer = ent_json_writer_of(body);
    char text[BODY_TEXT_BYTES];
    memset(text, 'x', sizeof text);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "channel", channel);
    ent_json_member_string(&writer, "kind", "incident.notification");
    ent_json_key(&writer, "body");
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "title", "Measured");
    ent_json_member_string(&writer, "awareness_time", "2026-01-31T23:59:59Z");
    ent_json_member_string(&writer, "malicious", "unknown");
    ent_json_member_string(&writer, "cross_border", "unknown");
    ent_json_member_string(&writer, "sector", "other");
    ent_json_member_string(&writer, "severity", "low");
    ent_json_object_end(&writer);
    ent_json_key(&writer, "text");
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "en", (ent_text){text, sizeof text});
    ent_json_object_end(&writer);
    ent_json_member_string(&writer, "authentic", "en");
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
}

static void again(void *context, ent_rc rc, const ent_http_reply *reply, const ent_err *err)
{
    load *self = context;
    if (rc.code == ENT_OK && reply->status == 200)
        self->done++;
    else if (self->failed++ == 0)
        (void)fprintf(stderr, "bench_deliver: %.*s\n", rc.code == ENT_OK ? (int)reply->body.size : 200,
                      rc.code == ENT_OK ? (const char *)reply->body.data : err->text);
    if (self->left > 0) {
        self->left--;
        if (ent_http_pool_start(self->pool, &self->call, again, self, NULL).code != ENT_OK)
            self->failed++;
    }
}

/* How much of our log the other side has receipted, and our log's size. */
static void read_sizes(const char *socket, const char *channel, uint64_t *ret_size, uint64_t *ret_receipted)
{
    char url[256];
    ent_err err = {0};
    ent_http_reply reply = {0};
    ent_json *json = NULL;
    (void)snprintf(url, sizeof url, "http://node/api/v1/channels/%s", channel);
    ent_http_call call = {.method = "GET", .url = url, .unix_socket = socket};
    if (ent_http_call_wait(&call, &reply, &err).code != ENT_OK ||
        ent_json_parse(ent_buf_bytes(&reply.body), &json, &err).code != ENT_OK)
        fail("channel", &err);
    ent_json_value members = ent_json_get(ent_json_root(json), "members");
    for (ent_json_iter i = ent_json_iterate(members); ent_json_next(&i);) {
        bool self = ent_json_true(ent_json_get(i.value, "self"));
        (void)ent_json_unsigned(ent_json_get(i.value, self ? "size" : "receipted_by_them"), UINT64_MAX,
                                self ? ret_size : ret_receipted);
    }
    ent_json_free(json);
    ent_http_reply_release(&reply);
}

static double measure_rate(const char *socket, const char *channel, unsigned long messages, unsigned long concurrent)
{
    ent_err err = {0};
    ent_buf body = {0};
    put_message(&body, channel);
    load self = {.left = messages};
    self.call = (ent_http_call){
        .method = "POST", .url = "http://node/api/v1/messages", .unix_socket = socket, .body = ent_buf_bytes(&body)};
    if (ent_http_pool_new(&self.pool, &err).code != ENT_OK)
        fail("pool", &err);
    double start = now_s();
    for (unsigned long i = 0; i < concurrent && self.left > 0; i++) {
        self.left--;
        if (ent_http_pool_start(self.pool, &self.call, again, &self, &err).code != ENT_OK)
            fail("start", &err);
    }
    while (ent_http_pool_active(self.pool) > 0) {
        if (ent_http_pool_work(self.pool, 1000, &err).code != ENT_OK)
            fail("work", &err);
    }
    double logged = now_s();
    uint64_t size = 0;
    uint64_t receipted = 0;
    read_sizes(socket, channel, &size, &receipted);
    while (receipted < size) {
        (void)usleep(2000);
        read_sizes(socket, channel, &size, &receipted);
    }
    double end = now_s();
    if (self.failed > 0) {
        (void)fprintf(stderr, "bench_deliver: %lu of %lu messages failed\n", self.failed, messages);
        exit(1); /* NOLINT(concurrency-mt-unsafe) */
    }
    ent_http_pool_free(self.pool);
    ent_buf_release(&body);
    (void)printf("said and logged        %8.0f messages/s\n", (double)messages / (logged - start));
    return (double)messages / (end - start);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Milliseconds at the given share of the samples. */
static double at_share(const double *sorted, unsigned long count, double share)
{
    unsigned long at = (unsigned long)((double)count * share);
    return sorted[at >= count ? count - 1 : at] * 1000;
}

static void measure_latency(const char *socket, const char *channel, unsigned long samples, double *ret_p50,
                            double *ret_p99)
{
    ent_err err = {0};
    ent_buf body = {0};
    double *times = ent_alloc_array(samples, sizeof *times);
    put_message(&body, channel);
    ent_http_call call = {.method = "POST",
                          .url = "http://node/api/v1/messages?wait=receipt&timeout=10",
                          .unix_socket = socket,
                          .body = ent_buf_bytes(&body)};
    for (unsigned long i = 0; times != NULL && i < samples; i++) {
        ent_http_reply reply = {0};
        double start = now_s();
        ent_rc rc = ent_http_call_wait(&call, &reply, &err);
        if (rc.code == ENT_OK)
            rc = ent_http_reply_check(&reply, &err);
        if (rc.code != ENT_OK)
            fail("latency", &err);
        times[i] = now_s() - start;
        ent_http_reply_release(&reply);
    }
    if (times == NULL)
        fail("latency", &err);
    qsort(times, samples, sizeof *times, by_value);
    *ret_p50 = at_share(times, samples, 0.50);
    *ret_p99 = at_share(times, samples, 0.99);
    ent_free(times);
    ent_buf_release(&body);
}

static double x25519_a_second(void)
{
    ent_recipient recipient;
    ent_identity identity;
    uint8_t shared[32];
    ent_x25519_generate(&recipient, &identity);
    double start = now_s();
    for (int i = 0; i < X25519_ROUNDS; i++)
        (void)ent_x25519_shared(&identity, &recipient, shared);
    return X25519_ROUNDS / (now_s() - start);
}

static double sync_ms(const char *folder)
{
    char path[512];
    static const uint8_t page[4096];
    (void)snprintf(path, sizeof path, "%s/sync.test", folder);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return 0;
    for (int i = 0; i < 64; i++)
        (void)!write(fd, page, sizeof page);
    (void)fsync(fd);
    double start = now_s();
    for (int i = 0; i < SYNCS; i++) {
        (void)!pwrite(fd, page, sizeof page, (off_t)(i % 64) * 4096);
        (void)fdatasync(fd);
    }
    double each = (now_s() - start) / SYNCS;
    (void)close(fd);
    (void)unlink(path);
    return each * 1000;
}

int main(int count, char **arguments)
{
    ent_err err = {0};
    double p50 = 0;
    double p99 = 0;
    if (count != 7) {
        (void)fprintf(stderr, "usage: bench_deliver SOCKET CHANNEL FOLDER MESSAGES CONCURRENT LATENCY_SAMPLES\n");
        return 2;
    }
    if (ent_crypto_init(&err).code != ENT_OK)
        fail("crypto", &err);
    double x25519 = x25519_a_second();
    double sync = sync_ms(arguments[3]);
    measure_latency(arguments[1], arguments[2], strtoul(arguments[6], NULL, 10), &p50, &p99);
    double rate =
        measure_rate(arguments[1], arguments[2], strtoul(arguments[4], NULL, 10), strtoul(arguments[5], NULL, 10));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double bound = x25519 * (double)cores / X25519_A_MESSAGE;
    (void)printf("delivered end to end   %8.0f messages/s\n", rate);
    (void)printf("bound by X25519        %8.0f messages/s (%d operations a message at %.0f/s on %ld cores)\n", bound,
                 X25519_A_MESSAGE, x25519, cores);
    (void)printf("ratio                  %8.2f of the bound\n", rate / bound);
    (void)printf("one message alone      %8.2f ms p50, %.2f ms p99, send to receipt\n", p50, p99);
    (void)printf("one fdatasync          %8.2f ms\n", sync);
    return 0;
}
