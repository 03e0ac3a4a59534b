/* Two nodes in one process, over loopback TLS: what is said arrives once, in order, receipted and opened. */
#include "fixture.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/peer.h"

#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, MESSAGES = 200 };

/* One of several who speak at the same time. */
typedef struct {
    const fixture_pair *pair;
    unsigned who;
    uint32_t thread;
    unsigned count;
    bool by_api;
    uint64_t indexes[MESSAGES];
    unsigned failures;
    pthread_t id;
} speaker;

static ent_rc say_by_api(const speaker *self, fixture_mark mark, uint64_t *ret_index)
{
    char hex[33];
    char draft[512];
    ent_json *json = NULL;
    ent_hex_encode(ent_bytes_of(mark.bytes, sizeof mark.bytes), hex);
    (void)snprintf(draft, sizeof draft,
                   "{\"channel\":\"%s\",\"kind\":\"contact.check\",\"body\":{\"fields\":{\"nonce\":\"%s\","
                   "\"reply_by\":\"2030-01-01T00:00:00Z\"}}}",
                   self->who == AURORA ? "north" : "south", hex);
    int status = fixture_api(self->pair->folders[self->who], "POST", "messages", draft, &json);
    bool found = ent_json_unsigned(ent_json_get(ent_json_root(json), "index"), UINT64_MAX >> 1, ret_index);
    ent_json_free(json);
    return status == 200 && found ? ENT_DONE : ent_fail(NULL, ENT_BUG, NULL, "status %d", status);
}

static void *speak(void *context)
{
    speaker *self = context;
    ent_channel *channel = fixture_channel(self->pair, self->who);
    for (unsigned i = 0; i < self->count; i++) {
        ent_err err = {0};
        fixture_mark mark = fixture_mark_of(self->who, self->thread, i);
        ent_rc rc = self->by_api ? say_by_api(self, mark, &self->indexes[i])
                                 : fixture_say(self->pair->nodes[self->who], channel, mark, &self->indexes[i], &err);
        if (rc.code != ENT_OK)
            self->failures++;
    }
    return NULL;
}

/* Each message is where its writer was told, on both sides, and nowhere else. */
static void assert_said(const speaker *self)
{
    fixture_mark found;
    uint32_t member = fixture_channel(self->pair, self->who)->self;
    assert_int_equal(self->failures, 0);
    for (unsigned i = 0; i < self->count; i++) {
        fixture_mark mark = fixture_mark_of(self->who, self->thread, i);
        if (i > 0)
            assert_true(self->indexes[i] > self->indexes[i - 1]);
        for (unsigned side = 0; side < 2; side++) {
            assert_true(fixture_mark_read(self->pair->nodes[side], fixture_channel(self->pair, side), member,
                                          self->indexes[i], &found));
            assert_memory_equal(found.bytes, mark.bytes, sizeof mark.bytes);
        }
    }
}

static void speak_both_ways(const fixture_pair *pair, speaker *speakers, bool by_api)
{
    for (uint32_t i = 0; i < 2 * THREADS; i++) {
        speakers[i] = (speaker){.pair = pair, .who = i % 2, .thread = i, .count = MESSAGES / THREADS};
        speakers[i].by_api = by_api && i >= THREADS;
        assert_int_equal(pthread_create(&speakers[i].id, NULL, speak, &speakers[i]), 0);
    }
    for (unsigned i = 0; i < 2 * THREADS; i++)
        (void)pthread_join(speakers[i].id, NULL);
}

static void test_pair__200_messages_both_ways_from_several_threads_arrive_receipted_and_opened(void **state)
{
    (void)state;
    fixture_pair pair;
    speaker *speakers = calloc(2 * THREADS, sizeof *speakers);
    assert_non_null(speakers);
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    speak_both_ways(&pair, speakers, true);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    for (unsigned i = 0; i < 2 * THREADS; i++)
        assert_said(&speakers[i]);
    ent_store_log log;
    ent_channel_log(fixture_channel(&pair, BOREAL), 0, &log);
    assert_int_equal(log.tree.size, 1 + MESSAGES);
    fixture_pair_release(&pair);
    free(speakers);
}

static void test_pair__stopped_and_started_in_between_loses_and_doubles_nothing(void **state)
{
    (void)state;
    fixture_pair pair;
    speaker *first = calloc(4 * THREADS, sizeof *first);
    speaker *second = first + 2 * THREADS;
    assert_non_null(first);
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    speak_both_ways(&pair, first, false);
    fixture_pair_stop(&pair, BOREAL); /* in the middle of deliveries */
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_start(&pair, AURORA);
    fixture_pair_start(&pair, BOREAL);
    speak_both_ways(&pair, second, false);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    for (unsigned i = 0; i < 2 * THREADS; i++)
        assert_said(&first[i]);
    fixture_pair_release(&pair);
    free(first);
}

/* Said while the other side is away: it leaves when the other side is back, without anybody asking. */
static void test_pair__peer_away_message_waits_and_leaves_when_it_is_back(void **state)
{
    (void)state;
    fixture_pair pair;
    uint64_t index = 0;
    ent_err err = {0};
    fixture_mark mark = fixture_mark_of(AURORA, 0, 1);
    fixture_mark found;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fixture_pair_settle(&pair, 20);
    fixture_pair_stop(&pair, BOREAL);
    assert_ok(fixture_say(pair.nodes[AURORA], fixture_channel(&pair, AURORA), mark, &index, &err));
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    assert_true(fixture_mark_read(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL),
                                  fixture_channel(&pair, AURORA)->self, index, &found));
    assert_memory_equal(found.bytes, mark.bytes, sizeof mark.bytes);
    fixture_pair_release(&pair);
}

static bool has_notice(void *context)
{
    const fixture_pair *pair = context;
    ent_store_log log;
    ent_channel *channel = fixture_channel(pair, AURORA);
    ent_channel_log(channel, 1 - channel->self, &log);
    return log.tree.size >= 2;
}

/* "A body that does not open or validate is answered by one channel.notice (never a notice about a notice)". */
static void test_pair__body_that_is_not_valid_is_answered_by_one_notice(void **state)
{
    (void)state;
    fixture_pair pair;
    uint64_t index = 0;
    ent_err err = {0};
    ent_store_log log;
    ent_entry entry;
    ent_arena arena = {0};
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    assert_ok(fixture_say_nonsense(pair.nodes[AURORA], fixture_channel(&pair, AURORA), &index, &err));
    assert_true(fixture_wait(has_notice, &pair, 20));
    fixture_pair_settle(&pair, 20);
    fixture_pair_stop(&pair, BOREAL); /* the notice was logged with the mark: a start repeats it not */
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_settle(&pair, 20);
    ent_channel *channel = fixture_channel(&pair, AURORA);
    ent_channel_log(channel, 1 - channel->self, &log);
    assert_int_equal(log.tree.size, 2);
    assert_ok(ent_channel_entry(pair.nodes[AURORA], channel, 1 - channel->self, 1, &arena, NULL, &entry, &err));
    assert_true(ent_text_is(entry.kind, "channel.notice"));
    assert_true(entry.has_reply_to);
    assert_true(ent_text_is(entry.reply_to.party, "aurora.example"));
    assert_int_equal(entry.reply_to.index, index);
    ent_channel_log(channel, channel->self, &log);
    assert_int_equal(log.tree.size, 2);
    ent_arena_release(&arena);
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

/* Notices wake the courier; a stop meanwhile must find everything still there. */
static void test_pair__stopped_while_notices_are_said_ends_cleanly(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    uint64_t index = 0;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++)
            assert_ok(fixture_say_nonsense(pair.nodes[AURORA], fixture_channel(&pair, AURORA), &index, &err));
        fixture_pair_stop(&pair, BOREAL);
        fixture_pair_start(&pair, BOREAL);
    }
    fixture_pair_settle(&pair, 60);
    ent_store_log log;
    ent_channel_log(fixture_channel(&pair, BOREAL), fixture_channel(&pair, BOREAL)->self, &log);
    assert_int_equal(log.tree.size, 1 + 100); /* one notice each */
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair__200_messages_both_ways_from_several_threads_arrive_receipted_and_opened),
        cmocka_unit_test(test_pair__stopped_and_started_in_between_loses_and_doubles_nothing),
        cmocka_unit_test(test_pair__peer_away_message_waits_and_leaves_when_it_is_back),
        cmocka_unit_test(test_pair__body_that_is_not_valid_is_answered_by_one_notice),
        cmocka_unit_test(test_pair__stopped_while_notices_are_said_ends_cleanly),
    };
    return cmocka_run_group_tests_name("node-pair", tests, NULL, NULL);
}
