/* A store that was restored from a backup gets back from a peer what it had signed, and goes on; no index is signed
 * twice.  Source: design.md section 3 "Rollback guard". */
#include "fixture.h"

#include "node/channel.h"
#include "node/guard.h"
#include "node/recover.h"
#include "node/sequencer.h"

#include <dirent.h>
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

static void say_held(const fixture_pair *pair, uint32_t thread, unsigned count)
{
    ent_err err = {0};
    uint64_t index = 0;
    for (unsigned i = 0; i < count; i++)
        assert_fails(fixture_say(pair->nodes[AURORA], fixture_channel(pair, AURORA), fixture_mark_of(AURORA, thread, i),
                                 &index, &err),
                     ENT_REFUSED_KEEPER);
}

/* Both speak `early`, Aurora stops and is copied; both speak `late`; Aurora is put back.
 *  @in  with_marks  the whole folder; else the store alone */
static void restore_aurora(fixture_pair *pair, unsigned early, unsigned late, bool with_marks)
{
    fixture_pair_make(pair);
    fixture_pair_open(pair);
    say_some(pair, AURORA, 1, early);
    say_some(pair, BOREAL, 1, early);
    fixture_pair_settle(pair, 20);
    char *backup = fixture_path(pair->root, "backup");
    char *folder =
        with_marks ? fixture_path(pair->root, "aurora.example") : fixture_path(pair->folders[AURORA], "store");
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(folder, backup);
    fixture_pair_start(pair, AURORA);
    for (unsigned i = 0; i < late; i++) { /* so that each acks the other */
        say_some(pair, AURORA, 100 + i, 1);
        fixture_pair_settle(pair, 20);
        say_some(pair, BOREAL, 100 + i, 1);
        fixture_pair_settle(pair, 20);
    }
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(backup, folder);
    fixture_pair_start(pair, AURORA);
    ent_free(folder);
    ent_free(backup);
}

static uint64_t size_of(const fixture_pair *pair, unsigned who, unsigned of)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), fixture_channel(pair, of)->self, &log);
    assert_false(log.frozen);
    return log.tree.size;
}

static ent_recovered recover(const fixture_pair *pair)
{
    ent_err err = {0};
    ent_recovered done = {.size = 0};
    ent_channel *channel = fixture_channel(pair, AURORA);
    ent_rc rc = ent_recover(pair->nodes[AURORA], channel, 1 - channel->self, &done, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    return done;
}

typedef struct {
    ent_buf notes;
} receipt_bytes;

static ent_rc take_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    receipt_bytes *taken = context;
    (void)err;
    ent_buf_put(&taken->notes, ent_bytes_of(&receipt->head.size, sizeof receipt->head.size));
    ent_buf_put(&taken->notes, ent_bytes_of(&receipt->cosignature.timestamp_unix_s, sizeof(uint64_t)));
    ent_buf_put(&taken->notes, ent_bytes_of(receipt->cosignature.signature.bytes, 64));
    return ENT_DONE;
}

/* Receipts of one log by one receiver, in the order of their sizes. */
static void receipts_of(const fixture_pair *pair, unsigned who, unsigned of, unsigned by, receipt_bytes *ret)
{
    ent_store *store = pair->nodes[who]->store;
    uint32_t member = fixture_channel(pair, of)->self;
    ent_store_receipt receipt = {.head.size = 0};
    ent_err err = {0};
    while (store->engine
               ->receipt_covering(store, fixture_channel(pair, who)->members[member].log.number,
                                  fixture_channel(pair, by)->self, receipt.head.size + 1, &receipt, &err)
               .code == ENT_OK)
        assert_ok(take_receipt(ret, &receipt, &err));
}

/* Both hold the same receipts, byte for byte. */
static void assert_same_receipts(const fixture_pair *pair, unsigned of, unsigned by)
{
    receipt_bytes left = {.notes.size = 0};
    receipt_bytes right = {.notes.size = 0};
    ent_err err = {0};
    for (unsigned who = 0; who < 2; who++)
        assert_ok(ent_sequencer_flush(pair->nodes[who], &err));
    receipts_of(pair, AURORA, of, by, &left);
    receipts_of(pair, BOREAL, of, by, &right);
    assert_true(left.notes.size > 0);
    assert_int_equal(left.notes.size, right.notes.size);
    assert_memory_equal(left.notes.data, right.notes.data, left.notes.size);
    ent_buf_release(&left.notes);
    ent_buf_release(&right.notes);
}

static void assert_goes_on(fixture_pair *pair)
{
    fixture_pair_settle(pair, 20);
    say_some(pair, AURORA, 7, 2);
    say_some(pair, BOREAL, 7, 2);
    fixture_pair_settle(pair, 20);
    fixture_pair_assert_same(pair);
    assert_same_receipts(pair, AURORA, BOREAL);
    assert_same_receipts(pair, BOREAL, AURORA);
}

static void test_recover__everything_comes_back_and_it_goes_on(void **state)
{
    (void)state;
    for (int with_marks = 0; with_marks < 2; with_marks++) {
        fixture_pair pair;
        restore_aurora(&pair, 2, 4, with_marks == 1);
        say_held(&pair, 5, 1);
        assert_int_equal(size_of(&pair, AURORA, AURORA), 4);
        ent_recovered done = recover(&pair);
        assert_int_equal(done.size_before, 3);
        assert_int_equal(done.size, 7);
        assert_int_equal(done.others, 4);
        assert_int_equal(done.set_aside, 1);
        assert_int_equal(done.hold, ENT_HOLD_NONE);
        assert_string_equal(done.trouble, "");
        assert_int_equal(size_of(&pair, AURORA, BOREAL), 7);
        assert_goes_on(&pair);
        done = recover(&pair); /* once more does nothing */
        assert_int_equal(done.size, done.size_before);
        assert_int_equal(done.others + done.set_aside, 0);
        fixture_pair_crash(&pair, AURORA);
        fixture_pair_start(&pair, AURORA); /* the marks followed */
        assert_goes_on(&pair);
        fixture_pair_release(&pair);
    }
}

static unsigned count_files(const char *folder, const char *end)
{
    unsigned count = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *row = readdir(listing); row != NULL; row = readdir(listing)) {
        size_t size = strlen(row->d_name);
        count += size > strlen(end) && strcmp(row->d_name + size - strlen(end), end) == 0;
    }
    (void)closedir(listing);
    return count;
}

/* What was said while it was held is more than what comes back. */
static void test_recover__what_was_never_signed_is_set_aside(void **state)
{
    (void)state;
    fixture_pair pair;
    restore_aurora(&pair, 2, 2, true);
    say_held(&pair, 5, 6);
    ent_recovered done = recover(&pair);
    assert_int_equal(done.set_aside, 6);
    assert_int_equal(done.size, 5);
    assert_int_equal(count_files(done.set_aside_folder, ".entry"), 6);
    assert_int_equal(count_files(done.set_aside_folder, ".age"), 6);
    assert_goes_on(&pair);
    fixture_pair_release(&pair);
}

/* Boreal has been put back too: it does not hold all that Aurora's keeper signed. */
static void test_recover__nobody_has_it_all_stays_held_and_says_so(void **state)
{
    (void)state;
    fixture_pair pair;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    say_some(&pair, AURORA, 1, 2);
    fixture_pair_settle(&pair, 20);
    char *backups[] = {fixture_path(pair.root, "backup-a"), fixture_path(pair.root, "backup-b")};
    char *store = fixture_path(pair.folders[AURORA], "store");
    fixture_pair_stop(&pair, AURORA);
    fixture_folder_copy(store, backups[0]);
    fixture_pair_start(&pair, AURORA);
    say_some(&pair, AURORA, 2, 2);
    fixture_pair_settle(&pair, 20);
    fixture_pair_stop(&pair, BOREAL);
    fixture_folder_copy(pair.folders[BOREAL], backups[1]);
    fixture_pair_start(&pair, BOREAL);
    say_some(&pair, AURORA, 3, 2);
    fixture_pair_settle(&pair, 20);
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_folder_copy(backups[0], store);
    fixture_folder_copy(backups[1], pair.folders[BOREAL]);
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    ent_recovered done = recover(&pair);
    assert_int_equal(done.size, 5);
    assert_int_equal(done.hold, ENT_HOLD_KEEPER);
    assert_non_null(strstr(done.hold_reason, "successor channel"));
    fixture_pair_stop(&pair, AURORA);
    fixture_pair_start(&pair, AURORA);
    assert_int_equal(ent_channel_hold_now(fixture_channel(&pair, AURORA)), ENT_HOLD_KEEPER);
    for (int i = 0; i < 2; i++)
        ent_free(backups[i]);
    ent_free(store);
    fixture_pair_release(&pair);
}

static bool shows_more(void *context)
{
    return ent_channel_hold_now(context) == ENT_HOLD_PEER_LARGER;
}

/* A fork of our own: the peer holds another history beyond the same beginning, and ours is signed too. */
static void test_recover__signed_history_that_contradicts_is_refused(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_recovered done = {.size = 0};
    restore_aurora(&pair, 2, 3, true);
    ent_channel *channel = fixture_channel(&pair, AURORA);
    assert_true(fixture_wait(shows_more, channel, 20)); /* Boreal has answered, and does not answer again */
    /* As if an officer had released it: what is said now is signed. */
    (void)pthread_mutex_lock(&channel->lock);
    channel->hold = ENT_HOLD_NONE;
    (void)pthread_mutex_unlock(&channel->lock);
    say_some(&pair, AURORA, 9, 1);
    assert_fails(ent_recover(pair.nodes[AURORA], channel, 1 - channel->self, &done, &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, "successor channel"));
    assert_int_equal(size_of(&pair, AURORA, AURORA), 4);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recover__everything_comes_back_and_it_goes_on),
        cmocka_unit_test(test_recover__what_was_never_signed_is_set_aside),
        cmocka_unit_test(test_recover__nobody_has_it_all_stays_held_and_says_so),
        cmocka_unit_test(test_recover__signed_history_that_contradicts_is_refused),
    };
    return cmocka_run_group_tests_name("node-recover", tests, NULL, NULL);
}
