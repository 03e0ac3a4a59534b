/* Attachments: sealed on the way in, sent apart from pouches, held and said to be held, opened on the other side. */
#include "fixture.h"

#include "base/file.h"
#include "crypto/crypto.h"
#include "node/channel.h"
#include "store/blobs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = (3 << 20) + 17 };

static void fill(ent_buf *ret, size_t size, uint8_t seed)
{
    uint8_t *data = ent_buf_reserve(ret, size);
    uint32_t state = seed;
    assert_non_null(data);
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (uint8_t)(state >> 24);
    }
    ret->size = size;
}

/* Seal it for the channel; gives what stands in the entry. */
static void put(const fixture_pair *pair, const ent_buf *plain, char digest[65], uint64_t *ret_size)
{
    ent_buf answer = {0};
    ent_json *json = NULL;
    ent_err err = {0};
    assert_int_equal(fixture_api_bytes(pair->folders[AURORA], "POST",
                                       "attachments?channel=north&type=application/octet-stream", ent_buf_bytes(plain),
                                       &answer),
                     200);
    assert_ok(ent_json_parse(ent_buf_bytes(&answer), &json, &err));
    ent_text text = ent_json_string(ent_json_get(ent_json_root(json), "digest"));
    assert_int_equal(text.size, 64);
    memcpy(digest, text.data, 64);
    digest[64] = 0;
    assert_true(ent_json_unsigned(ent_json_get(ent_json_root(json), "size"), UINT64_MAX >> 1, ret_size));
    ent_json_free(json);
    ent_buf_release(&answer);
}

/* Say an evidence.item with these attachments; gives its index. */
static uint64_t say_with(const fixture_pair *pair, char digests[][65], const uint64_t *sizes, size_t count)
{
    ent_buf draft = {0};
    ent_json *json = NULL;
    uint64_t index = 0;
    ent_buf_put_string(&draft,
                       "{\"channel\":\"north\",\"kind\":\"evidence.item\",\"body\":{\"fields\":"
                       "{\"description\":\"d\",\"collected_at\":\"2025-01-01T00:00:00Z\",\"custodian\":\"c\","
                       "\"custody\":[{\"time\":\"2025-01-01T00:00:00Z\",\"who\":\"w\",\"action\":\"collected\"}]},"
                       "\"files\":[");
    for (size_t i = 0; i < count; i++)
        ent_buf_put_format(&draft, "%s{\"name\":\"file-%zu.bin\"}", i == 0 ? "" : ",", i);
    ent_buf_put_string(&draft, "]},\"attachments\":[");
    for (size_t i = 0; i < count; i++)
        ent_buf_put_format(&draft, "%s{\"digest\":\"%s\",\"size\":%llu,\"type\":\"application/octet-stream\"}",
                           i == 0 ? "" : ",", digests[i], (unsigned long long)sizes[i]);
    ent_buf_put_string(&draft, "]}");
    int status = fixture_api(pair->folders[AURORA], "POST", "messages", ent_buf_string(&draft), &json);
    if (status != 200)
        fail_msg("%d: %.*s", status,
                 ENT_TEXT_ARG(ent_json_string(ent_json_get(ent_json_get(ent_json_root(json), "error"), "text"))));
    assert_true(ent_json_unsigned(ent_json_get(ent_json_root(json), "index"), UINT64_MAX >> 1, &index));
    ent_json_free(json);
    ent_buf_release(&draft);
    return index;
}

typedef struct {
    const fixture_pair *pair;
    uint64_t index;
    size_t count;
    ent_hash digest;
} arrival;

/* Whether Aurora knows that Boreal holds them all. */
static bool all_held(void *context)
{
    const arrival *wanted = context;
    char path[128];
    ent_json *json = NULL;
    size_t held = 0;
    (void)snprintf(path, sizeof path, "messages/north/aurora.example/%llu", (unsigned long long)wanted->index);
    assert_int_equal(fixture_api(wanted->pair->folders[AURORA], "GET", path, NULL, &json), 200);
    ent_json_value list = ent_json_get(ent_json_root(json), "attachment_list");
    for (ent_json_iter i = ent_json_iterate(list); ent_json_next(&i);)
        held += ent_json_count(ent_json_get(i.value, "held_by")) == 1;
    assert_int_equal(ent_json_count(list), wanted->count);
    ent_json_free(json);
    return held == wanted->count;
}

static void assert_opens(const fixture_pair *pair, unsigned who, uint64_t index, size_t at, const ent_buf *plain)
{
    char path[128];
    ent_buf opened = {0};
    (void)snprintf(path, sizeof path, "attachments/%s/aurora.example/%llu/%zu", who == AURORA ? "north" : "south",
                   (unsigned long long)index, at);
    assert_int_equal(fixture_api_bytes(pair->folders[who], "GET", path, (ent_bytes){NULL, 0}, &opened), 200);
    assert_true(ent_bytes_equal(ent_buf_bytes(&opened), ent_buf_bytes(plain)));
    ent_buf_release(&opened);
}

static void test_attachment__arrives_is_said_to_be_held_and_opens_on_both_sides(void **state)
{
    (void)state;
    static const size_t sizes[] = {LARGE, 0, 65536, 1};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    fixture_pair pair;
    ent_buf plain[COUNT] = {{0}};
    char digests[COUNT][65];
    uint64_t sealed[COUNT];
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    for (size_t i = 0; i < COUNT; i++) {
        fill(&plain[i], sizes[i], (uint8_t)i);
        put(&pair, &plain[i], digests[i], &sealed[i]);
        assert_true(sealed[i] > sizes[i]);
    }
    arrival wanted = {.pair = &pair, .index = say_with(&pair, digests, sealed, COUNT), .count = COUNT};
    assert_true(fixture_wait(all_held, &wanted, 60));
    fixture_pair_settle(&pair, 20);
    for (size_t i = 0; i < COUNT; i++) {
        assert_opens(&pair, AURORA, wanted.index, i, &plain[i]);
        assert_opens(&pair, BOREAL, wanted.index, i, &plain[i]);
        ent_buf_release(&plain[i]);
    }
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

/* The receiver is stopped while it comes in, and away when it is said. */
static void test_attachment__interrupted_is_sent_again_until_held(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf plain = {0};
    char digests[1][65];
    uint64_t sealed[1];
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fixture_pair_settle(&pair, 20);
    fill(&plain, 8 * LARGE, 9);
    put(&pair, &plain, digests[0], &sealed[0]);
    fixture_pair_stop(&pair, BOREAL);
    arrival wanted = {.pair = &pair, .index = say_with(&pair, digests, sealed, 1), .count = 1};
    fixture_pair_start(&pair, BOREAL);
    for (int i = 0; i < 3; i++) {
        (void)usleep(40000);
        fixture_pair_stop(&pair, BOREAL);
        fixture_pair_start(&pair, BOREAL);
    }
    assert_true(fixture_wait(all_held, &wanted, 60));
    fixture_pair_settle(&pair, 20);
    assert_opens(&pair, BOREAL, wanted.index, 0, &plain);
    fixture_pair_assert_same(&pair);
    ent_buf_release(&plain);
    fixture_pair_release(&pair);
}

/* The same sealed file in two messages is sent once and counts for both. */
static void test_attachment__named_by_two_messages_is_held_for_both(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf plain = {0};
    char digests[1][65];
    uint64_t sealed[1];
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fill(&plain, 70000, 3);
    put(&pair, &plain, digests[0], &sealed[0]);
    arrival first = {.pair = &pair, .index = say_with(&pair, digests, sealed, 1), .count = 1};
    arrival second = {.pair = &pair, .index = say_with(&pair, digests, sealed, 1), .count = 1};
    assert_true(fixture_wait(all_held, &first, 60));
    assert_true(fixture_wait(all_held, &second, 60));
    assert_opens(&pair, BOREAL, first.index, 0, &plain);
    assert_opens(&pair, BOREAL, second.index, 0, &plain);
    ent_buf_release(&plain);
    fixture_pair_release(&pair);
}

/* Whether what is wanted lies on Boreal's disk. */
static bool is_on_disk(void *context)
{
    const arrival *wanted = context;
    const ent_node *boreal = wanted->pair->nodes[BOREAL];
    return ent_blob_exists(boreal->paths.blobs, &wanted->digest);
}

static void set_held(ent_channel *channel, bool held)
{
    (void)pthread_mutex_lock(&channel->lock);
    channel->hold = held ? ENT_HOLD_KEEPER : ENT_HOLD_NONE;
    (void)pthread_mutex_unlock(&channel->lock);
}

/* A pair in which an attachment has come to Boreal, who cannot say so yet: its log is held. */
static arrival hold_one(fixture_pair *pair, ent_buf *plain, uint8_t seed)
{
    char digests[1][65];
    uint64_t sealed[1];
    fixture_pair_make(pair);
    fixture_pair_open(pair);
    fixture_pair_settle(pair, 20);
    fill(plain, 300000, seed);
    put(pair, plain, digests[0], &sealed[0]);
    set_held(fixture_channel(pair, BOREAL), true);
    arrival wanted = {.pair = pair, .index = say_with(pair, digests, sealed, 1), .count = 1};
    assert_ok(ent_hex_decode((ent_text){digests[0], 64}, wanted.digest.bytes, 32, NULL));
    assert_true(fixture_wait(is_on_disk, &wanted, 20));
    return wanted;
}

/* The word that it is held must wait: neither is it lost, nor does anything hang. */
static void test_attachment__word_that_must_wait_is_said_later(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf plain = {0};
    arrival wanted = hold_one(&pair, &plain, 5);
    assert_opens(&pair, BOREAL, wanted.index, 0, &plain);
    (void)usleep(200000);
    assert_false(all_held(&wanted));
    set_held(fixture_channel(&pair, BOREAL), false);
    assert_true(fixture_wait(all_held, &wanted, 20)); /* nobody wakes the worker: it comes back by itself */
    fixture_pair_settle(&pair, 20);
    fixture_pair_assert_same(&pair);
    ent_buf_release(&plain);
    fixture_pair_release(&pair);
}

/* It became durable, and then the node was killed: said after the start, though nobody sends it again. */
static void test_attachment__durable_before_a_crash_is_said_after_it(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf plain = {0};
    arrival wanted = hold_one(&pair, &plain, 6);
    fixture_pair_crash(&pair, BOREAL);
    fixture_pair_start(&pair, BOREAL);
    assert_true(fixture_wait(all_held, &wanted, 60));
    fixture_pair_settle(&pair, 20);
    ent_buf_release(&plain);
    fixture_pair_release(&pair);
}

static void make_old(const ent_node *node, const char digest[65], unsigned days)
{
    char path[1024];
    struct timespec times[2] = {{.tv_sec = time(NULL) - 86400 * (time_t)days}};
    times[1] = times[0];
    (void)snprintf(path, sizeof path, "%s/%.2s/%s", node->paths.blobs, digest, digest);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool has(const ent_node *node, const char digest[65])
{
    ent_hash hash;
    assert_ok(ent_hex_decode((ent_text){digest, 64}, hash.bytes, 32, NULL));
    return ent_blob_exists(node->paths.blobs, &hash);
}

typedef struct {
    const ent_node *node;
    const char *digest;
} presence;

static bool has_gone(void *context)
{
    const presence *of = context;
    return !has(of->node, of->digest);
}

static void test_attachment__never_named_is_cleared_away_after_a_week(void **state)
{
    (void)state;
    enum { NAMED, OLD, YOUNG, COUNT };
    fixture_pair pair;
    ent_buf plain = {0};
    char digests[COUNT][65];
    uint64_t sealed[COUNT];
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fill(&plain, 1000, 7);
    for (size_t i = 0; i < COUNT; i++)
        put(&pair, &plain, digests[i], &sealed[i]);
    arrival named = {.pair = &pair, .index = say_with(&pair, digests, sealed, 1), .count = 1};
    assert_true(fixture_wait(all_held, &named, 60));
    make_old(pair.nodes[AURORA], digests[NAMED], 8);
    make_old(pair.nodes[AURORA], digests[OLD], 8);
    make_old(pair.nodes[AURORA], digests[YOUNG], 6);
    make_old(pair.nodes[BOREAL], digests[NAMED], 8);
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    fixture_pair_start(&pair, BOREAL);
    presence old = {pair.nodes[AURORA], digests[OLD]};
    assert_true(fixture_wait(has_gone, &old, 20));
    assert_true(has(pair.nodes[AURORA], digests[NAMED]));
    assert_true(has(pair.nodes[AURORA], digests[YOUNG]));
    assert_opens(&pair, BOREAL, named.index, 0, &plain);
    ent_buf_release(&plain);
    fixture_pair_release(&pair);
}

static void test_attachment__that_is_not_held_cannot_be_said(void **state)
{
    (void)state;
    fixture_pair pair;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    ent_json *json = NULL;
    static const char draft[] =
        "{\"channel\":\"north\",\"kind\":\"evidence.item\",\"body\":{\"fields\":{\"description\":\"d\","
        "\"collected_at\":\"2025-01-01T00:00:00Z\",\"custodian\":\"c\",\"custody\":[{\"time\":\"2025-01-01T00:00:00Z\","
        "\"who\":\"w\",\"action\":\"collected\"}]},\"files\":[{\"name\":\"a\"}]},"
        "\"attachments\":[{\"digest\":\"0000000000000000000000000000000000000000000000000000000000000000\","
        "\"size\":5,\"type\":\"text/plain\"}]}";
    assert_int_equal(fixture_api(pair.folders[AURORA], "POST", "messages", draft, &json), 404);
    ent_json_free(json);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attachment__arrives_is_said_to_be_held_and_opens_on_both_sides),
        cmocka_unit_test(test_attachment__interrupted_is_sent_again_until_held),
        cmocka_unit_test(test_attachment__named_by_two_messages_is_held_for_both),
        cmocka_unit_test(test_attachment__word_that_must_wait_is_said_later),
        cmocka_unit_test(test_attachment__durable_before_a_crash_is_said_after_it),
        cmocka_unit_test(test_attachment__never_named_is_cleared_away_after_a_week),
        cmocka_unit_test(test_attachment__that_is_not_held_cannot_be_said),
    };
    return cmocka_run_group_tests_name("node-attachment", tests, NULL, NULL);
}
