/* Quotas: what a writer may add to a channel in a day, and what becomes of the rest. */
#include "fixture.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/invite.h"
#include "node/quota.h"

enum { DAY_S = 86400 };

/* The nodes' calendar runs ahead of the real one by this. */
static atomic_llong ahead_s;
int64_t __real_ent_clock_unix_s(void); /* NOLINT(bugprone-reserved-identifier): the linker's name */
int64_t __wrap_ent_clock_unix_s(void); /* NOLINT(bugprone-reserved-identifier) */
int64_t __wrap_ent_clock_unix_s(void)  /* NOLINT(bugprone-reserved-identifier) */
{
    return __real_ent_clock_unix_s() + atomic_load(&ahead_s);
}

/* --- counting --- */

static const ent_quotas ten = {.entries_a_day = 10, .bytes_a_day = 1000};

static void assert_left(const ent_quotas *quotas, ent_store_usage *usage, int64_t day, uint64_t entries, uint64_t bytes)
{
    ent_quota_room room;
    ent_quota_turn(quotas, day * DAY_S + 17, usage);
    ent_quota_left(quotas, usage, true, &room);
    assert_int_equal(room.entries, entries);
    assert_int_equal(room.bytes, bytes);
}

static void test_quota__unused_days_are_kept_up_to_30(void **state)
{
    (void)state;
    ent_store_usage usage = {0};
    assert_left(&ten, &usage, 20000, 10, 1000);
    usage.entries = 4;
    usage.bytes = 1000;
    assert_left(&ten, &usage, 20000, 6, 0);
    assert_left(&ten, &usage, 20001, 16, 1000); /* 10 and the 6 that were left */
    usage.entries = 12;                         /* out of both */
    assert_left(&ten, &usage, 20002, 14, 2000);
    assert_left(&ten, &usage, 20012, 114, 12000);
    assert_left(&ten, &usage, 20112, 310, 31000);
    assert_left(&ten, &usage, 90000, 310, 31000);
    usage.entries = 310;
    assert_left(&ten, &usage, 90000, 0, 31000);
    assert_left(&ten, &usage, 90001, 10, 31000);
}

static void test_quota__more_than_there_was_is_no_debt(void **state)
{
    (void)state;
    ent_store_usage usage = {.day = 20000, .entries = 9999, .bytes = 1};
    assert_left(&ten, &usage, 20000, 0, 999);
    assert_left(&ten, &usage, 20001, 10, 1999);
}

static void test_quota__a_clock_set_back_gives_and_takes_nothing(void **state)
{
    (void)state;
    ent_store_usage usage = {.day = 20000, .entries = 8, .spare_entries = 3};
    assert_left(&ten, &usage, 19000, 5, 1000);
    assert_left(&ten, &usage, 19001, 15, 2000);
}

static void test_quota__none_is_no_limit(void **state)
{
    (void)state;
    static const ent_quotas largest = {.entries_a_day = ENT_QUOTA_MAX};
    ent_store_usage usage = {.day = 20000, .entries = UINT64_MAX >> 12, .bytes = UINT64_MAX >> 1};
    assert_left(&largest, &usage, 20000, ENT_QUOTA_MAX - usage.entries, UINT64_MAX);
    assert_left(&largest, &usage, 90000, ENT_QUOTA_MAX * 31, UINT64_MAX);
}

/* --- two nodes --- */

static ent_rc say(const fixture_pair *pair, unsigned number, ent_err *err)
{
    uint64_t index = 0;
    return fixture_say(pair->nodes[AURORA], fixture_channel(pair, AURORA), fixture_mark_of(AURORA, 0, number), &index,
                       err);
}

static void open_three_a_day(fixture_pair *pair)
{
    atomic_store(&ahead_s, 0);
    fixture_pair_make(pair);
    fixture_pair_open_within(pair, (ent_quotas){.entries_a_day = 3});
    fixture_pair_settle(pair, 60);
}

static void test_quota__what_is_said_beyond_it_is_refused_until_the_next_day(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    open_three_a_day(&pair);
    assert_ok(say(&pair, 1, NULL)); /* entry 0 was the first of today */
    assert_ok(say(&pair, 2, NULL));
    assert_fails(say(&pair, 3, &err), ENT_PEER_QUOTA);
    assert_in_range(err.retry_after_s, 1, DAY_S);
    assert_non_null(strstr(err.text, "0 of 3 entries"));
    assert_non_null(strstr(err.text, "T00:00:00Z"));
    fixture_pair_stop(&pair, AURORA); /* a new start is no new day */
    fixture_pair_start(&pair, AURORA);
    assert_fails(say(&pair, 3, &err), ENT_PEER_QUOTA);
    atomic_fetch_add(&ahead_s, DAY_S);
    for (unsigned i = 3; i < 6; i++)
        assert_ok(say(&pair, i, NULL));
    assert_fails(say(&pair, 6, &err), ENT_PEER_QUOTA);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

/* Whoever keeps to the quota is never refused, however late what it said arrives. */
static void test_quota__what_was_said_in_days_of_absence_is_taken_at_once(void **state)
{
    (void)state;
    fixture_pair pair;
    open_three_a_day(&pair);
    fixture_pair_stop(&pair, BOREAL);
    for (unsigned day = 0; day < 5; day++) {
        for (unsigned i = 0; i < (day == 0 ? 2 : 3); i++)
            assert_ok(say(&pair, 10 * day + i, NULL));
        atomic_fetch_add(&ahead_s, DAY_S);
    }
    atomic_fetch_sub(&ahead_s, DAY_S); /* on the last of them */
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    ent_quota_state quota;
    ent_channel *channel = fixture_channel(&pair, BOREAL);
    assert_ok(ent_quota_show(pair.nodes[BOREAL], channel, 1 - channel->self, &quota, NULL));
    assert_int_equal(quota.usage.entries, 14);
    assert_int_equal(quota.left.entries, 0);
    assert_ok(ent_quota_show(pair.nodes[AURORA], fixture_channel(&pair, AURORA), fixture_channel(&pair, AURORA)->self,
                             &quota, NULL));
    assert_int_equal(quota.usage.entries, 3);
    fixture_pair_release(&pair);
}

typedef struct {
    const fixture_pair *pair;
    uint64_t size;
} size_wait;

static bool boreal_holds(void *context)
{
    const size_wait *wait = context;
    ent_store_log log;
    ent_channel *channel = fixture_channel(wait->pair, BOREAL);
    ent_channel_log(channel, 1 - channel->self, &log);
    return log.tree.size == wait->size;
}

/* What is more than all that was left is taken as far as it goes, in smaller and smaller pouches. */
static void test_quota__of_what_is_too_much_a_part_is_taken(void **state)
{
    enum { DAYS = 40, MOST = 3 * (ENT_QUOTA_SPARE_DAYS + 1) };
    (void)state;
    fixture_pair pair;
    open_three_a_day(&pair);
    fixture_pair_stop(&pair, BOREAL);
    for (unsigned day = 0; day < DAYS; day++) {
        for (unsigned i = 0; i < (day == 0 ? 2 : 3); i++)
            assert_ok(say(&pair, 10 * day + i, NULL));
        atomic_fetch_add(&ahead_s, DAY_S);
    }
    atomic_fetch_sub(&ahead_s, DAY_S); /* on the last of them */
    fixture_pair_start(&pair, BOREAL);
    if (!fixture_wait(boreal_holds, &(size_wait){&pair, 1 + MOST}, 20))
        fail_msg("the quota was not used up");
    ent_quota_state quota;
    ent_channel *channel = fixture_channel(&pair, BOREAL);
    assert_ok(ent_quota_show(pair.nodes[BOREAL], channel, 1 - channel->self, &quota, NULL));
    assert_int_equal(quota.left.entries, 0);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota__unused_days_are_kept_up_to_30),
        cmocka_unit_test(test_quota__more_than_there_was_is_no_debt),
        cmocka_unit_test(test_quota__a_clock_set_back_gives_and_takes_nothing),
        cmocka_unit_test(test_quota__none_is_no_limit),
        cmocka_unit_test(test_quota__what_is_said_beyond_it_is_refused_until_the_next_day),
        cmocka_unit_test(test_quota__what_was_said_in_days_of_absence_is_taken_at_once),
        cmocka_unit_test(test_quota__of_what_is_too_much_a_part_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
