/* A store that is older than the keeper's marks: a backup was restored. Nothing of ours leaves that could be the other
 * half of a fork, and nothing that is said is lost.  Source: design.md section 3 "Rollback guard". */
#include "fixture.h"

#include "node/channel.h"
#include "node/fork.h"
#include "node/guard.h"
#include "node/pack.h"

#include <stdlib.h>
#include <unistd.h>

static void say_some(const fixture_pair *pair, unsigned who, uint32_t thread, unsigned count)
{
    ent_err err = {0};
    uint64_t index = 0;
    for (unsigned i = 0; i < count; i++)
        assert_ok(
            fixture_say(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, thread, i), &index, &err));
}

/* Say `early`, stop and back the store up, start and say `late`, stop and restore: Aurora has forgotten what was late.
 * Everything late was delivered. */
static void make_forgetful(fixture_pair *pair, unsigned early, unsigned late)
{
    char *store;
    char *backup;
    fixture_pair_make(pair);
    fixture_pair_open(pair);
    store = fixture_path(pair->folders[AURORA], "store");
    backup = fixture_path(pair->root, "backup");
    say_some(pair, AURORA, 1, early);
    fixture_pair_settle(pair, 20);
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(store, backup);
    fixture_pair_start(pair, AURORA);
    say_some(pair, AURORA, 2, late);
    fixture_pair_settle(pair, 20);
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(backup, store);
    ent_free(store);
    ent_free(backup);
}

static uint64_t size_held(const fixture_pair *pair, unsigned who, uint32_t member)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), member, &log);
    assert_false(log.frozen);
    return log.tree.size;
}

/* Status names the channel that is held. */
static void assert_status_says_held(const fixture_pair *pair, bool held)
{
    ent_json *json = NULL;
    assert_int_equal(fixture_api(pair->folders[AURORA], "GET", "status", NULL, &json), 200);
    ent_json_value list = ent_json_get(ent_json_root(json), "held");
    assert_int_equal(ent_json_count(list), held ? 1 : 0);
    for (ent_json_iter i = ent_json_iterate(list); ent_json_next(&i);) {
        assert_true(
            ent_text_is(ent_json_string(ent_json_get(i.value, "channel")), fixture_channel(pair, AURORA)->id_text));
        assert_true(ent_json_string(ent_json_get(i.value, "reason")).size > 0);
    }
    ent_json_free(json);
}

/* Time for a courier that would send what it must not. */
static void let_couriers_run(const fixture_pair *pair)
{
    (void)pair;
    (void)usleep(1500000);
}

static void test_rollback__restored_store_is_held_said_so_and_sends_nothing(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_packed packed;
    ent_err err = {0};
    uint64_t index = 0;
    make_forgetful(&pair, 2, 3);
    fixture_pair_start(&pair, AURORA); /* it starts: an officer must be able to look */
    assert_status_says_held(&pair, true);
    uint32_t self = fixture_channel(&pair, AURORA)->self;
    assert_int_equal(size_held(&pair, AURORA, self), 3);
    assert_int_equal(size_held(&pair, BOREAL, self), 6);
    /* What is said is logged, and reported as held. */
    assert_fails(
        fixture_say(pair.nodes[AURORA], fixture_channel(&pair, AURORA), fixture_mark_of(AURORA, 3, 0), &index, &err),
        ENT_REFUSED_KEEPER);
    assert_int_equal(size_held(&pair, AURORA, self), 4);
    assert_fails(ent_pack(pair.nodes[AURORA], fixture_channel(&pair, AURORA), self, 1 - self, &packed, &err),
                 ENT_REFUSED_KEEPER);
    let_couriers_run(&pair);
    assert_int_equal(size_held(&pair, BOREAL, self), 6);
    fixture_pair_release(&pair);
}

/* The trap: said long enough, the log outgrows the mark, and size alone no longer tells. */
static void test_rollback__held_log_outgrows_the_mark_is_still_never_signed(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    uint64_t index = 0;
    ent_tree_head before;
    ent_tree_head after;
    make_forgetful(&pair, 2, 3);
    fixture_pair_start(&pair, AURORA);
    uint32_t self = fixture_channel(&pair, AURORA)->self;
    ent_text origin = ent_text_of(fixture_channel(&pair, AURORA)->members[self].origin);
    assert_ok(ent_keeper_mark(pair.nodes[AURORA]->keeper, ENT_KEEPER_HEAD, origin, &before, &err));
    assert_int_equal(before.size, 6);
    for (unsigned i = 0; i < 5; i++)
        assert_fails(fixture_say(pair.nodes[AURORA], fixture_channel(&pair, AURORA), fixture_mark_of(AURORA, 3, i),
                                 &index, &err),
                     ENT_REFUSED_KEEPER);
    assert_int_equal(size_held(&pair, AURORA, self), 8);
    for (int starts = 0; starts < 2; starts++) {
        let_couriers_run(&pair);
        assert_int_equal(size_held(&pair, BOREAL, self), 6); /* and not frozen */
        assert_status_says_held(&pair, true);
        origin = ent_text_of(fixture_channel(&pair, AURORA)->members[self].origin);
        assert_ok(ent_keeper_mark(pair.nodes[AURORA]->keeper, ENT_KEEPER_HEAD, origin, &after, &err));
        assert_int_equal(after.size, 6);
        assert_true(ent_hash_equal(&after.root, &before.root));
        fixture_pair_stop(&pair, AURORA);
        fixture_pair_start(&pair, AURORA); /* nor is it signed by a start */
    }
    fixture_pair_release(&pair);
}

/* What the other side says still comes in, and once it is more than was receipted before, gets its receipt. */
static void test_rollback__what_the_peer_says_still_comes_in_and_is_receipted(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_store_receipt receipt;
    char *store;
    char *backup;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fixture_pair_settle(&pair, 20);
    store = fixture_path(pair.folders[AURORA], "store");
    backup = fixture_path(pair.root, "backup");
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(store, backup);
    fixture_pair_start(&pair, AURORA);
    say_some(&pair, BOREAL, 1, 4); /* received, receipted, and forgotten */
    fixture_pair_settle(&pair, 20);
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(backup, store);
    fixture_pair_start(&pair, AURORA);
    assert_status_says_held(&pair, false); /* nothing of our own is missing */
    say_some(&pair, BOREAL, 2, 1);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    uint32_t self = fixture_channel(&pair, BOREAL)->self;
    assert_ok(pair.nodes[BOREAL]->store->engine->receipt_covering(
        pair.nodes[BOREAL]->store, fixture_channel(&pair, BOREAL)->members[self].log.number, 1 - self, 6, &receipt,
        &err));
    say_some(&pair, AURORA, 3, 1);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    ent_free(store);
    ent_free(backup);
    fixture_pair_release(&pair);
}

/* The same store as the marks know it, only started again: nothing is held. */
static void test_rollback__restored_to_the_same_state_goes_on(void **state)
{
    (void)state;
    fixture_pair pair;
    make_forgetful(&pair, 2, 0);
    fixture_pair_start(&pair, AURORA);
    assert_status_says_held(&pair, false);
    say_some(&pair, AURORA, 3, 2);
    fixture_pair_settle(&pair, 20);
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

static bool fork_seen(void *context)
{
    const fixture_pair *pair = context;
    ent_json *json = NULL;
    assert_int_equal(fixture_api(pair->folders[BOREAL], "GET", "status", NULL, &json), 200);
    ent_json_value forks = ent_json_get(ent_json_root(json), "forks");
    size_t count = ent_json_count(forks);
    for (ent_json_iter i = ent_json_iterate(forks); ent_json_next(&i);)
        assert_true(ent_text_is(ent_json_string(ent_json_get(i.value, "party")), "aurora.example"));
    ent_json_free(json);
    return count == 1;
}

static void release_at_once(const fixture_pair *pair)
{
    ent_err err = {0};
    ent_channel *channel = fixture_channel(pair, AURORA);
    (void)pthread_mutex_lock(&channel->lock);
    channel->asking_since_ms -= (ENT_GUARD_RELEASE_AFTER_S + 1) * 1000LL;
    (void)pthread_mutex_unlock(&channel->lock);
    assert_ok(ent_guard_release(pair->nodes[AURORA], channel, &err));
}

/* A machine's snapshot takes store and marks back together: no guard of Aurora's own can tell, and so it asks. If an
 * officer takes the risk while Boreal does not answer, it forks, and Boreal has the proof: that log freezes as Boreal
 * held it, the other one goes on. */
static void test_rollback__store_and_marks_restored_together_and_released_the_peer_proves_the_fork(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_store_log before;
    ent_store_log after;
    uint64_t index = 0;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    say_some(&pair, AURORA, 1, 2);
    fixture_pair_settle(&pair, 20);
    char *backup = fixture_path(pair.root, "backup");
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(pair.folders[AURORA], backup);
    fixture_pair_start(&pair, AURORA);
    say_some(&pair, AURORA, 2, 3);
    fixture_pair_settle(&pair, 20);
    uint32_t self = fixture_channel(&pair, AURORA)->self;
    ent_channel_log(fixture_channel(&pair, BOREAL), self, &before);
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_folder_copy(backup, pair.folders[AURORA]);
    fixture_pair_start(&pair, AURORA);
    assert_status_says_held(&pair, true);
    release_at_once(&pair);
    assert_status_says_held(&pair, false);
    say_some(&pair, AURORA, 3, 4);
    fixture_pair_start(&pair, BOREAL);
    assert_true(fixture_wait(fork_seen, &pair, 60));
    ent_channel_log(fixture_channel(&pair, BOREAL), self, &after);
    assert_true(after.frozen);
    assert_int_equal(after.tree.size, before.tree.size);
    assert_memory_equal(&after.tree, &before.tree, sizeof after.tree);
    /* Boreal's own log goes on. */
    assert_ok(
        fixture_say(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL), fixture_mark_of(BOREAL, 4, 0), &index, &err));
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, BOREAL); /* the proof is kept */
    assert_true(fork_seen(&pair));
    ent_free(backup);
    fixture_pair_release(&pair);
}

static bool own_fork_seen(void *context)
{
    const fixture_pair *pair = context;
    ent_store_log log;
    ent_channel *channel = fixture_channel(pair, AURORA);
    ent_channel_log(channel, channel->self, &log);
    return log.frozen;
}

/* Two copies of Aurora's folder ran; now she has the store of one and the marks of the other. She finds it herself. */
static void test_rollback__store_and_marks_of_two_copies_prove_our_own_fork(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_buf proof = {0};
    ent_fork_proof parsed = {0};
    uint64_t index = 0;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    say_some(&pair, AURORA, 1, 2);
    fixture_pair_settle(&pair, 20);
    fixture_pair_stop(&pair, BOREAL);
    char *backup = fixture_path(pair.root, "backup");
    char *other = fixture_path(pair.root, "other");
    char *marks = fixture_path(pair.folders[AURORA], "marks");
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(pair.folders[AURORA], backup);
    fixture_pair_start(&pair, AURORA);
    say_some(&pair, AURORA, 2, 2);
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(marks, other);
    fixture_folder_copy(backup, pair.folders[AURORA]);
    fixture_pair_start(&pair, AURORA);
    release_at_once(&pair);
    say_some(&pair, AURORA, 3, 4);
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(other, marks);
    for (int starts = 0; starts < 2; starts++) {
        fixture_pair_start(&pair, AURORA);
        assert_true(own_fork_seen(&pair));
        assert_status_says_held(&pair, true);
        ent_channel *channel = fixture_channel(&pair, AURORA);
        ent_buf_clear(&proof);
        assert_ok(ent_fork_proof_of(pair.nodes[AURORA], channel, channel->self, &proof, &err));
        assert_ok(ent_fork_proof_parse(ent_buf_bytes(&proof), &parsed, &err));
        assert_int_equal(ent_fork_proof_verify(&parsed), ENT_FORK_PROVEN);
        assert_int_equal(parsed.heads[0].size, 5);
        assert_int_equal(parsed.heads[1].size, 7);
        ent_fork_proof_release(&parsed);
        assert_int_not_equal(fixture_say(pair.nodes[AURORA], channel, fixture_mark_of(AURORA, 5, 0), &index, &err).code,
                             ENT_OK);
        fixture_pair_stop(&pair, AURORA);
    }
    ent_buf_release(&proof);
    ent_free(backup);
    ent_free(other);
    ent_free(marks);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollback__restored_store_is_held_said_so_and_sends_nothing),
        cmocka_unit_test(test_rollback__held_log_outgrows_the_mark_is_still_never_signed),
        cmocka_unit_test(test_rollback__what_the_peer_says_still_comes_in_and_is_receipted),
        cmocka_unit_test(test_rollback__restored_to_the_same_state_goes_on),
        cmocka_unit_test(test_rollback__store_and_marks_restored_together_and_released_the_peer_proves_the_fork),
        cmocka_unit_test(test_rollback__store_and_marks_of_two_copies_prove_our_own_fork),
    };
    return cmocka_run_group_tests_name("node-rollback", tests, NULL, NULL);
}
