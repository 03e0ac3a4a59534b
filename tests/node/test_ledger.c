/* The ledger in memory is what the store gives: after many have spoken at once, after a batch that was undone, and made
 * anew. */
#include "bench.h"

#include "base/clock.h"
#include "node/account.h"
#include "node/channel.h"
#include "node/ledgers.h"
#include "node/say.h"
#include "node/sequencer.h"

#include <unistd.h>

enum { SPEAKERS = 8, MESSAGES = 12 };

typedef struct {
    ent_hash evidence;
    ent_hash state;
    uint64_t sizes[2];
} picture;

static picture look(ent_node *node, ent_channel *channel)
{
    picture ret = {0};
    ent_ledger *ledger = NULL;
    ent_err err = {0};
    assert_ok(ent_ledgers_lock_evidence(node, channel, &ledger, &err));
    for (uint32_t m = 0; m < 2; m++)
        ret.sizes[m] = ent_ledger_size(ledger, m);
    assert_ok(ent_account_digests(node, channel, ledger, ENT_TIME_MAX_UNIX_S, &ret.evidence, &ret.state, &err));
    ent_ledgers_unlock(channel);
    return ret;
}

static void assert_same(const picture *a, const picture *b)
{
    assert_memory_equal(a->sizes, b->sizes, sizeof a->sizes);
    assert_true(ent_hash_equal(&a->evidence, &b->evidence));
    assert_true(ent_hash_equal(&a->state, &b->state));
}

/* What is in memory, and what is made of the store. */
static void assert_as_stored(ent_node *node, ent_channel *channel)
{
    picture kept = look(node, channel);
    ent_ledgers_forget(channel);
    picture made = look(node, channel);
    assert_same(&kept, &made);
}

static void test_ledger__a_batch_that_is_undone_leaves_no_trace(void **state)
{
    (void)state;
    static const int codes[] = {ENT_IO_FULL, ENT_NOMEM};
    bench b;
    ent_err err = {0};
    uint64_t index = 0;
    bench_make(&b, false, NULL);
    for (uint64_t i = 0; i < 3; i++)
        assert_ok(bench_say(&b, i, &index, &err));
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        picture before = look(&b.node, b.channel);
        atomic_store(i == 0 ? &bench_faults.fail_commit : &bench_faults.fail_append, codes[i]);
        assert_fails(bench_say(&b, 99, &index, &err), codes[i]);
        atomic_store(i == 0 ? &bench_faults.fail_commit : &bench_faults.fail_append, ENT_OK);
        picture after = look(&b.node, b.channel);
        assert_same(&before, &after);
        assert_ok(bench_say(&b, 3 + i, &index, &err));
        assert_as_stored(&b.node, b.channel);
    }
    picture last = look(&b.node, b.channel);
    assert_int_equal(last.sizes[b.channel->self], bench_size(&b));
    bench_release(&b);
}

/* --- many at once --- */

typedef struct {
    ent_node *node;
    ent_channel *channel;
    uint32_t number;
    pthread_t thread;
} speaker;

static void *speak(void *context)
{
    speaker *self = context;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        ent_err err = {0};
        uint64_t index = 0;
        fixture_mark mark = fixture_mark_of(self->channel->self, self->number, i);
        if (fixture_say(self->node, self->channel, mark, &index, &err).code != ENT_OK)
            fail_msg("%s", err.text);
    }
    return NULL;
}

static bool ledgers_whole(void *context)
{
    const fixture_pair *pair = context;
    for (unsigned who = 0; who < 2; who++) {
        picture seen = look(pair->nodes[who], fixture_channel(pair, who));
        for (unsigned of = 0; of < 2; of++) {
            ent_store_log own;
            ent_channel *channel = fixture_channel(pair, of);
            ent_channel_log(channel, channel->self, &own);
            if (seen.sizes[channel->self] != own.tree.size)
                return false;
        }
    }
    return true;
}

static bool pictures_agree(void *context)
{
    const fixture_pair *pair = context;
    picture north = look(pair->nodes[AURORA], fixture_channel(pair, AURORA));
    picture south = look(pair->nodes[BOREAL], fixture_channel(pair, BOREAL));
    return ent_hash_equal(&north.evidence, &south.evidence) && ent_hash_equal(&north.state, &south.state);
}

static void test_ledger__after_many_spoke_at_once_both_sides_and_the_store_agree(void **state)
{
    (void)state;
    fixture_pair pair;
    speaker speakers[SPEAKERS];
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    for (uint32_t i = 0; i < SPEAKERS; i++) {
        speakers[i] = (speaker){pair.nodes[i % 2], fixture_channel(&pair, i % 2), i, 0};
        assert_int_equal(pthread_create(&speakers[i].thread, NULL, speak, &speakers[i]), 0);
    }
    for (uint32_t i = 0; i < SPEAKERS; i++)
        (void)pthread_join(speakers[i].thread, NULL);
    fixture_pair_settle(&pair, 60);
    assert_true(fixture_wait(ledgers_whole, &pair, 20));
    assert_true(fixture_wait(pictures_agree, &pair, 20));
    for (unsigned who = 0; who < 2; who++)
        assert_as_stored(pair.nodes[who], fixture_channel(&pair, who));
    picture before = look(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL));
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, BOREAL);
    picture after = look(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL));
    assert_same(&before, &after);
    fixture_pair_release(&pair);
}

/* --- one notice, whatever happens to the ledger meanwhile --- */

static void count_notices(const fixture_pair *pair, unsigned who, unsigned *ret)
{
    ent_channel *channel = fixture_channel(pair, who);
    ent_store_log log;
    ent_channel_log(channel, channel->self, &log);
    *ret = 0;
    for (uint64_t i = 0; i < log.tree.size; i++) {
        ent_arena arena = {0};
        ent_entry entry;
        ent_err err = {0};
        assert_ok(ent_channel_entry(pair->nodes[who], channel, channel->self, i, &arena, NULL, &entry, &err));
        *ret += ent_text_is(entry.kind, "channel.notice");
        ent_arena_release(&arena);
    }
}

static void test_ledger__forgotten_again_and_again_each_wrong_message_has_one_notice(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    uint64_t index = 0;
    unsigned notices = 0;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    for (int i = 0; i < 10; i++) {
        assert_ok(fixture_say_nonsense(pair.nodes[AURORA], fixture_channel(&pair, AURORA), &index, &err));
        ent_ledgers_forget(fixture_channel(&pair, BOREAL));
        (void)usleep(3000);
        ent_ledgers_forget(fixture_channel(&pair, BOREAL));
    }
    fixture_pair_settle(&pair, 60);
    count_notices(&pair, BOREAL, &notices);
    assert_int_equal(notices, 10);
    assert_true(fixture_wait(pictures_agree, &pair, 20));
    fixture_pair_release(&pair);
}

/* --- one who holds it for long --- */

typedef struct {
    bench *b;
    pthread_t thread;
    atomic_bool done;
    ent_rc rc;
    uint64_t index;
} patient;

static void *say_one(void *context)
{
    patient *self = context;
    ent_err err = {0};
    self->rc = bench_say(self->b, 7, &self->index, &err);
    atomic_store(&self->done, true);
    return NULL;
}

static void test_ledger__held_by_a_reader_the_sequencer_serves_others_and_the_speaker_waits(void **state)
{
    (void)state;
    bench b;
    ent_err err = {0};
    uint64_t index = 0;
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    for (int made = 0; made < 2; made++) {
        ent_ledger *ledger = NULL;
        patient self = {.b = &b};
        if (made == 0)
            ent_ledgers_forget(b.channel);
        assert_ok(ent_ledgers_lock(&b.node, b.channel, &ledger, &err));
        assert_int_equal(pthread_create(&self.thread, NULL, say_one, &self), 0);
        for (int i = 0; i < 20; i++) {
            int64_t began_ms = ent_clock_monotonic_ms();
            assert_ok(ent_sequencer_flush(&b.node, &err));
            assert_true(ent_clock_monotonic_ms() - began_ms < 1000);
        }
        assert_false(atomic_load(&self.done));
        ent_ledgers_unlock(b.channel);
        (void)pthread_join(self.thread, NULL);
        assert_ok(self.rc);
        assert_int_equal(self.index, bench_size(&b) - 1);
        assert_as_stored(&b.node, b.channel);
    }
    bench_release(&b);
}

/* --- what is acked when the opener lags behind --- */

static bool both_hold(void *context)
{
    return fixture_pair_settled(context);
}

static void test_ledger__far_behind_what_is_answered_can_still_be_acked(void **state)
{
    (void)state;
    enum { SAID = 3 * ENT_RECEIPTED_KEPT };
    fixture_pair pair;
    ent_err err = {0};
    ent_tree_head head;
    uint64_t index = 0;
    unsigned looked_up = 0;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    ent_channel *north = fixture_channel(&pair, AURORA);
    ent_channel *south = fixture_channel(&pair, BOREAL);
    for (uint64_t i = 0; i < SAID; i++) { /* a receipt each */
        assert_ok(fixture_say(pair.nodes[AURORA], north, fixture_mark_of(0, 0, i), &index, &err));
        assert_true(fixture_wait(both_hold, &pair, 20));
    }
    assert_ok(ent_sequencer_flush(pair.nodes[BOREAL], &err)); /* the last signature is stored too */
    for (uint64_t most = 2; most <= index + 1; most++) {
        for (uint64_t covering = 1; covering <= most; covering++) {
            assert_ok(ent_channel_ackable(pair.nodes[BOREAL], south, north->self, most, covering, &head, &err));
            assert_true(head.size >= covering && head.size <= most);
        }
        ent_channel_receipted(south, north->self, most, &head);
        looked_up += head.size < most;
    }
    assert_true(looked_up > 0);
    assert_ok(ent_channel_ackable(pair.nodes[BOREAL], south, north->self, 5, 6, &head, &err)); /* not opened yet */
    assert_true(head.size <= 5);
    fixture_pair_release(&pair);
}

/* --- checks without end --- */

enum { CHECKS = 60, ANSWERED = 16 };

static void say_scheduled(const fixture_pair *pair, uint8_t number)
{
    ent_err err = {0};
    ent_buf body = {0};
    uint64_t index = 0;
    ent_saying saying = {.channel = fixture_channel(pair, AURORA), .kind = "contact.check"};
    ent_buf_put_format(&body,
                       "{\"fields\":{\"nonce\":\"%032x\",\"reply_by\":\"2036-01-01T00:00:00Z\",\"scheduled\":true}}",
                       (unsigned)number);
    if (ent_say_body(pair->nodes[AURORA], &saying, ent_buf_bytes(&body), &index, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    ent_buf_release(&body);
}

static uint64_t said_by(const fixture_pair *pair, unsigned who)
{
    ent_store_log log;
    ent_channel *channel = fixture_channel(pair, who);
    ent_channel_log(channel, channel->self, &log);
    return log.tree.size;
}

static bool answers_are_there(void *context)
{
    return said_by(context, BOREAL) >= 1 + ANSWERED;
}

static void test_ledger__scheduled_checks_without_end_are_not_all_answered(void **state)
{
    (void)state;
    fixture_pair pair;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    for (uint8_t i = 0; i < CHECKS; i++)
        say_scheduled(&pair, i);
    fixture_pair_settle(&pair, 60);
    assert_true(fixture_wait(answers_are_there, &pair, 30));
    (void)usleep(500000);
    assert_in_range(said_by(&pair, BOREAL), 1 + ANSWERED, 1 + ANSWERED + 2); /* time may bring one or two more */
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger__a_batch_that_is_undone_leaves_no_trace),
        cmocka_unit_test(test_ledger__after_many_spoke_at_once_both_sides_and_the_store_agree),
        cmocka_unit_test(test_ledger__forgotten_again_and_again_each_wrong_message_has_one_notice),
        cmocka_unit_test(test_ledger__held_by_a_reader_the_sequencer_serves_others_and_the_speaker_waits),
        cmocka_unit_test(test_ledger__far_behind_what_is_answered_can_still_be_acked),
        cmocka_unit_test(test_ledger__scheduled_checks_without_end_are_not_all_answered),
    };
    return cmocka_run_group_tests_name("node-ledger", tests, NULL, NULL);
}
