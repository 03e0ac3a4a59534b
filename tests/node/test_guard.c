/* After a start that no clean stop went before, the other members say how far our log goes before anything new is
 * signed in it.  Source: design.md section 3 "Rollback guard" (2). */
#include "fixture.h"

#include "node/channel.h"
#include "node/guard.h"
#include "node/invite.h"
#include "node/pack.h"
#include "node/receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY = 1100 };

static void say_some(const fixture_pair *pair, unsigned who, uint32_t thread, unsigned count)
{
    ent_err err = {0};
    uint64_t index = 0;
    for (unsigned i = 0; i < count; i++)
        assert_ok(
            fixture_say(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, thread, i), &index, &err));
}

static ent_rc say_one(const fixture_pair *pair, unsigned who, uint32_t thread)
{
    ent_err err = {0};
    uint64_t index = 0;
    return fixture_say(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, thread, 0), &index, &err);
}

static ent_hold hold_of(const fixture_pair *pair, unsigned who)
{
    return ent_channel_hold_now(fixture_channel(pair, who));
}

typedef struct {
    const fixture_pair *pair;
    unsigned who;
    ent_hold wanted;
} hold_wait;

static bool is_so_held(void *context)
{
    const hold_wait *wait = context;
    return hold_of(wait->pair, wait->who) == wait->wanted;
}

static void await_hold(const fixture_pair *pair, unsigned who, ent_hold wanted)
{
    hold_wait wait = {pair, who, wanted};
    if (!fixture_wait(is_so_held, &wait, 20))
        fail_msg("held as \"%s\", not \"%s\"", ent_hold_word(hold_of(pair, who)), ent_hold_word(wanted));
}

/* What status says of the one channel that is held: the hold, and how many messages wait. */
static void assert_status(const fixture_pair *pair, unsigned who, const char *hold, uint64_t messages)
{
    ent_json *json = NULL;
    uint64_t waiting = 0;
    assert_int_equal(fixture_api(pair->folders[who], "GET", "status", NULL, &json), 200);
    ent_json_value list = ent_json_get(ent_json_root(json), "held");
    assert_int_equal(ent_json_count(list), hold == NULL ? 0 : 1);
    for (ent_json_iter i = ent_json_iterate(list); ent_json_next(&i);) {
        assert_true(ent_text_is(ent_json_string(ent_json_get(i.value, "hold")), hold));
        assert_true(ent_json_unsigned(ent_json_get(i.value, "messages"), UINT64_MAX, &waiting));
        assert_int_equal(waiting, messages);
    }
    ent_json_free(json);
}

static uint64_t size_held(const fixture_pair *pair, unsigned who, unsigned of)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), fixture_channel(pair, of)->self, &log);
    assert_false(log.frozen);
    return log.tree.size;
}

static void make_pair(fixture_pair *pair, unsigned count)
{
    fixture_pair_make(pair);
    fixture_pair_open(pair);
    say_some(pair, AURORA, 1, count);
    fixture_pair_settle(pair, 20);
}

static void test_guard__after_a_crash_the_peer_agrees_and_it_goes_on(void **state)
{
    (void)state;
    fixture_pair pair;
    make_pair(&pair, 2);
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_start(&pair, AURORA);
    assert_false(pair.nodes[AURORA]->before.was_clean);
    say_some(&pair, AURORA, 2, 2); /* waits the moment that the answer takes */
    assert_int_equal(hold_of(&pair, AURORA), ENT_HOLD_NONE);
    fixture_pair_settle(&pair, 20);
    fixture_pair_assert_same(&pair);
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_start(&pair, AURORA); /* a clean stop: nobody is asked */
    assert_true(pair.nodes[AURORA]->before.was_clean);
    assert_int_equal(fixture_channel(&pair, AURORA)->asking_round, 0);
    fixture_pair_release(&pair);
}

static bool tells_why(void *context)
{
    ent_channel *channel = context;
    (void)pthread_mutex_lock(&channel->lock);
    bool told = strstr(channel->hold_reason, "boreal.example (Failed to connect") != NULL;
    assert_null(strstr(channel->hold_reason, "https://"));
    (void)pthread_mutex_unlock(&channel->lock);
    return told;
}

static void test_guard__unreachable_peer_holds_what_is_said_until_it_answers(void **state)
{
    (void)state;
    fixture_pair pair;
    make_pair(&pair, 2);
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    assert_fails(say_one(&pair, AURORA, 2), ENT_REFUSED_KEEPER);
    assert_fails(say_one(&pair, AURORA, 3), ENT_REFUSED_KEEPER);
    assert_status(&pair, AURORA, "asking", 2);
    assert_int_equal(ent_channel_signed_size(fixture_channel(&pair, AURORA)), 3);
    /* Stopped cleanly with the question open: the next start asks it again. */
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_start(&pair, AURORA);
    assert_false(pair.nodes[AURORA]->before.was_clean);
    assert_status(&pair, AURORA, "asking", 2);
    fixture_pair_start(&pair, BOREAL);
    await_hold(&pair, AURORA, ENT_HOLD_NONE);
    fixture_pair_settle(&pair, 20);
    fixture_pair_assert_same(&pair);
    assert_int_equal(size_held(&pair, BOREAL, AURORA), 5);
    assert_status(&pair, AURORA, NULL, 0);
    fixture_pair_release(&pair);
}

/* Whoever is heard of is asked at once, however long the wait was to be; and the reason tells who did not answer, and
 * why. */
static void test_guard__peer_that_is_heard_is_asked_at_once(void **state)
{
    (void)state;
    fixture_pair pair;
    make_pair(&pair, 2);
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    ent_channel *channel = fixture_channel(&pair, AURORA);
    assert_true(fixture_wait(tells_why, channel, 20));
    ent_guard_answer *answer = &channel->members[1 - channel->self].guard;
    for (int i = 0; i < 3; i++) { /* the guard's thread may be about to write it */
        answer->not_before_ms = INT64_MAX / 2;
        (void)usleep(10000);
    }
    assert_int_equal(hold_of(&pair, AURORA), ENT_HOLD_ASKING);
    fixture_pair_start(&pair, BOREAL);
    assert_ok(say_one(&pair, BOREAL, 5));
    await_hold(&pair, AURORA, ENT_HOLD_NONE);
    fixture_pair_release(&pair);
}

/* All that was said meanwhile is signed by one head, and is more than a pouch takes as a rule. */
static void test_guard__much_that_was_held_gets_across(void **state)
{
    (void)state;
    fixture_pair pair;
    make_pair(&pair, 2);
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    for (unsigned i = 0; i < MANY; i++)
        assert_fails(say_one(&pair, AURORA, 2 + i), ENT_REFUSED_KEEPER);
    fixture_pair_start(&pair, BOREAL);
    await_hold(&pair, AURORA, ENT_HOLD_NONE);
    fixture_pair_settle(&pair, 60);
    assert_int_equal(size_held(&pair, BOREAL, AURORA), 3 + MANY);
    fixture_pair_release(&pair);
}

/* Marks that were put back from an older copy, and a crash before the last head was stored: a peer that shows this head
 * shows nothing that is not here. */
static void test_guard__own_head_that_is_here_holds_nothing(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_packed packed;
    ent_received received = {0};
    make_pair(&pair, 3);
    say_some(&pair, BOREAL, 2, 1);
    fixture_pair_settle(&pair, 20);
    ent_channel *channel = fixture_channel(&pair, AURORA);
    ent_channel *peers = fixture_channel(&pair, BOREAL);
    (void)pthread_mutex_lock(&channel->lock);
    uint64_t size = channel->signed_size;
    channel->signed_size = 1;
    (void)pthread_mutex_unlock(&channel->lock);
    assert_ok(ent_pack_again(pair.nodes[BOREAL], peers, peers->self, channel->self, 0, &packed, &err));
    assert_ok(ent_receive(pair.nodes[AURORA], ent_buf_bytes(&packed.bytes), NULL, NULL, &received, &err));
    assert_int_equal(hold_of(&pair, AURORA), ENT_HOLD_NONE);
    (void)pthread_mutex_lock(&channel->lock);
    channel->signed_size = size;
    (void)pthread_mutex_unlock(&channel->lock);
    ent_received_release(&received);
    ent_packed_release(&packed);
    fixture_pair_release(&pair);
}

/* Aurora's whole folder as it was, marks and all: only Boreal knows. */
static char *forget(fixture_pair *pair, unsigned early, unsigned late)
{
    make_pair(pair, early);
    char *backup = fixture_path(pair->root, "backup");
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(pair->folders[AURORA], backup);
    fixture_pair_start(pair, AURORA);
    say_some(pair, AURORA, 2, late);
    fixture_pair_settle(pair, 20);
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(backup, pair->folders[AURORA]);
    return backup;
}

static void test_guard__restored_with_its_marks_it_is_held_before_it_forks(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    char *backup = forget(&pair, 2, 3);
    fixture_pair_start(&pair, AURORA);
    assert_false(
        pair.nodes[AURORA]->before.was_clean); /* the marker was copied along, but its marks are another file */
    assert_fails(say_one(&pair, AURORA, 3), ENT_REFUSED_KEEPER);
    await_hold(&pair, AURORA, ENT_HOLD_PEER_LARGER);
    for (uint32_t i = 4; i < 9; i++) /* past the size that Boreal has */
        assert_fails(say_one(&pair, AURORA, i), ENT_REFUSED_KEEPER);
    assert_fails(ent_guard_release(pair.nodes[AURORA], fixture_channel(&pair, AURORA), &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, "boreal.example"));
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA); /* what Boreal showed is kept: this start needs no answer */
    assert_int_equal(hold_of(&pair, AURORA), ENT_HOLD_PEER_LARGER);
    assert_int_equal(ent_channel_signed_size(fixture_channel(&pair, AURORA)), 3);
    fixture_pair_start(&pair, BOREAL);
    say_some(&pair, BOREAL, 4, 1);
    assert_int_equal(size_held(&pair, BOREAL, AURORA), 6);
    ent_free(backup);
    fixture_pair_release(&pair);
}

static ent_rc count_release(void *context, const ent_store_released *release, ent_err *err)
{
    (void)err;
    assert_int_equal(release->size, 4);
    ENT_CLEANUP(ent_free_pointer) char *unanswered = ent_text_copy(release->unanswered);
    assert_non_null(unanswered);
    assert_non_null(strstr(unanswered, "boreal.example"));
    (*(int *)context)++;
    return ENT_DONE;
}

static void test_guard__officer_releases_after_a_minute_and_it_is_remembered(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    int releases = 0;
    make_pair(&pair, 2);
    ent_channel *channel = fixture_channel(&pair, AURORA);
    assert_fails(ent_guard_release(pair.nodes[AURORA], channel, &err), ENT_REFUSED); /* nothing is held */
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    channel = fixture_channel(&pair, AURORA);
    assert_fails(say_one(&pair, AURORA, 2), ENT_REFUSED_KEEPER);
    assert_fails(ent_guard_release(pair.nodes[AURORA], channel, &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, " s more to answer"));
    (void)pthread_mutex_lock(&channel->lock);
    channel->asking_since_ms -= (ENT_GUARD_RELEASE_AFTER_S + 1) * 1000LL;
    (void)pthread_mutex_unlock(&channel->lock);
    ent_json *json = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "channels/%s/release", channel->id_text);
    assert_int_equal(fixture_api(pair.folders[AURORA], "POST", path, "{\"accept_fork_risk\":false}", NULL), 400);
    assert_int_equal(fixture_api(pair.folders[AURORA], "POST", path, "{\"accept_fork_risk\":true}", &json), 200);
    ent_json_free(json);
    assert_int_equal(hold_of(&pair, AURORA), ENT_HOLD_NONE);
    assert_int_equal(ent_channel_signed_size(channel), 4);
    ent_store *store = pair.nodes[AURORA]->store;
    assert_ok(store->engine->release_walk(store, channel->row.number, count_release, &releases, &err));
    assert_int_equal(releases, 1);
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_settle(&pair, 20);
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

/* Who lost everything but its keys does not know that it was in the channel; the invitation shows it. */
static void test_guard__forgotten_channel_is_not_accepted_a_second_time(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    fixture_pair_make(&pair);
    fixture_pair_stop(&pair, BOREAL);
    char *backup = fixture_path(pair.root, "backup");
    fixture_folder_copy(pair.folders[BOREAL], backup);
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_open(&pair);
    fixture_pair_settle(&pair, 20);
    char path[256];
    ent_buf pouch = {0};
    (void)snprintf(path, sizeof path, "pouches?channel=%s&to=boreal.example", fixture_channel(&pair, AURORA)->id_text);
    fixture_pair_stop(&pair, BOREAL);
    fixture_folder_copy(backup, pair.folders[BOREAL]);
    fixture_pair_start(&pair, BOREAL);
    assert_false(pair.nodes[BOREAL]->before.was_clean);
    /* As after a rewind to nothing: from entry 0, with the genesis, by hand. */
    ent_channel *channel = fixture_channel(&pair, AURORA);
    fixture_pack_all(pair.nodes[AURORA], channel, 1 - channel->self, &pouch);
    assert_int_equal(fixture_api_bytes(pair.folders[BOREAL], "POST", "pouches", ent_buf_bytes(&pouch), NULL), 200);
    assert_int_equal(hold_of(&pair, BOREAL), ENT_HOLD_PEER_LARGER);
    assert_fails(ent_channel_accept(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL), ENT_TEXT("again"), &err),
                 ENT_REFUSED_KEEPER);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, BOREAL);
    assert_int_equal(hold_of(&pair, BOREAL), ENT_HOLD_PEER_LARGER);
    ent_buf_release(&pouch);
    ent_free(backup);
    fixture_pair_release(&pair);
}

static void test_guard__without_a_network_the_marks_alone_guard(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_json *json = NULL;
    fixture_pair_make_apart(&pair);
    fixture_introduce(pair.nodes[AURORA], pair.nodes[BOREAL]);
    ent_err err = {0};
    ent_text with[] = {ENT_TEXT("boreal.example")};
    ent_opening opening = {.with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}"))};
    ent_channel *channel = NULL;
    assert_ok(ent_channel_open(pair.nodes[AURORA], &opening, &channel, &err));
    pair.channel = channel->id;
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_start(&pair, AURORA);
    assert_int_equal(hold_of(&pair, AURORA), ENT_HOLD_NONE);
    assert_ok(say_one(&pair, AURORA, 1));
    assert_int_equal(fixture_api(pair.folders[AURORA], "GET", "status", NULL, &json), 200);
    assert_int_equal(ent_json_count(ent_json_get(ent_json_root(json), "guarded_by_marks_alone")), 1);
    ent_json_free(json);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard__after_a_crash_the_peer_agrees_and_it_goes_on),
        cmocka_unit_test(test_guard__unreachable_peer_holds_what_is_said_until_it_answers),
        cmocka_unit_test(test_guard__restored_with_its_marks_it_is_held_before_it_forks),
        cmocka_unit_test(test_guard__peer_that_is_heard_is_asked_at_once),
        cmocka_unit_test(test_guard__much_that_was_held_gets_across),
        cmocka_unit_test(test_guard__own_head_that_is_here_holds_nothing),
        cmocka_unit_test(test_guard__officer_releases_after_a_minute_and_it_is_remembered),
        cmocka_unit_test(test_guard__forgotten_channel_is_not_accepted_a_second_time),
        cmocka_unit_test(test_guard__without_a_network_the_marks_alone_guard),
    };
    return cmocka_run_group_tests_name("node-guard", tests, NULL, NULL);
}
