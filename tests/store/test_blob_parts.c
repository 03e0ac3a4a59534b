/* Attachments that come piece by piece: kept when the sender goes, read again after a restart, whole or nothing. */
#include "store/blob_parts.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "fixture.h"
#include "store/blobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 5000000 };

typedef struct {
    char *parent;
    char *folder;
    ent_blob_parts *parts;
    uint8_t *bytes;
    ent_hash digest;
} world;

static int setup(void **state)
{
    world *made = calloc(1, sizeof *made);
    made->parent = fixture_make_folder();
    made->folder = ent_file_join(made->parent, "blobs");
    made->bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        made->bytes[i] = (uint8_t)(i * 7 + i / 1000);
    ent_sha256(ent_bytes_of(made->bytes, SIZE), &made->digest);
    assert_ok(ent_blob_parts_open(made->folder, &made->parts, NULL));
    *state = made;
    return 0;
}

static int teardown(void **state)
{
    world *made = *state;
    ent_alloc_fail_at(0);
    ent_blob_parts_free(made->parts);
    ent_free(made->folder);
    fixture_remove_folder(made->parent);
    free(made->bytes);
    free(made);
    return 0;
}

static void restart(world *on)
{
    ent_blob_parts_free(on->parts);
    on->parts = NULL;
    assert_ok(ent_blob_parts_open(on->folder, &on->parts, NULL));
}

static void hash_all(world *on)
{
    bool worked = true;
    while (worked)
        assert_ok(ent_blob_parts_hash(on->parts, &worked, NULL));
}

static ent_blob_announced announce(const world *on, const char *sender, uint64_t first)
{
    return (ent_blob_announced){.digest = on->digest, .size = SIZE, .sender = ent_text_of(sender), .first = first};
}

/* Bring bytes [first, end) as one piece. */
static ent_rc bring(const world *on, const ent_blob_announced *about, uint64_t end, uint64_t *ret_held, bool *ret_whole)
{
    ent_blob_piece *piece = NULL;
    ENT_TRY(ent_blob_piece_begin(on->parts, about, ret_held, &piece, NULL));
    ent_rc rc = {ENT_OK};
    for (uint64_t at = about->first; rc.code == ENT_OK && at < end; at += 70001) {
        size_t size = end - at < 70001 ? (size_t)(end - at) : 70001;
        rc = ent_blob_piece_push(piece, ent_bytes_of(on->bytes + at, size), NULL);
    }
    if (rc.code == ENT_OK)
        rc = ent_blob_piece_end(piece, ret_held, ret_whole, NULL);
    ent_blob_piece_free(piece);
    return rc;
}

static void assert_blob(const world *on)
{
    ENT_CLEANUP(ent_file_close) int fd = -1;
    uint64_t size = 0;
    assert_ok(ent_blob_open(on->folder, &on->digest, &fd, &size, NULL));
    assert_int_equal(size, SIZE);
    uint8_t *found = malloc(SIZE);
    assert_int_equal(read(fd, found, SIZE), SIZE);
    assert_memory_equal(found, on->bytes, SIZE);
    free(found);
    assert_int_equal(fixture_count_files(on->folder, ""), 1); /* and no part is left */
    assert_int_equal(ent_blob_parts_held(on->parts, &on->digest), 0);
}

static void test_parts__pieces_in_order_become_a_blob(void **state)
{
    world *on = *state;
    static const uint64_t ends[] = {1, 70000, 3000000, SIZE - 1, SIZE};
    uint64_t held = 0;
    bool whole = false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        ent_blob_announced about = announce(on, "aurora", held);
        assert_false(whole);
        assert_ok(bring(on, &about, ends[i], &held, &whole));
        assert_int_equal(held, ends[i]);
        if (!whole)
            assert_int_equal(ent_blob_parts_held(on->parts, &on->digest), held);
    }
    assert_true(whole);
    assert_blob(on);
}

static void test_parts__piece_that_begins_elsewhere_is_told_where(void **state)
{
    world *on = *state;
    uint64_t held = 77;
    bool whole = false;
    ent_blob_announced about = announce(on, "aurora", 10);
    assert_fails(bring(on, &about, 20, &held, &whole), ENT_PEER_STALE);
    assert_int_equal(held, 0);
    about.first = 0;
    assert_ok(bring(on, &about, 1000, &held, &whole));
    static const uint64_t wrong[] = {0, 999, 1001, SIZE - 1};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        about.first = wrong[i];
        held = 77;
        assert_fails(bring(on, &about, wrong[i] + 1, &held, &whole), ENT_PEER_STALE);
        assert_int_equal(held, 1000);
    }
    assert_ok(ent_blob_parts_ask(on->parts, &about, &held, NULL));
    assert_int_equal(held, 1000);
    assert_false(whole);
}

static void test_parts__cut_piece_keeps_what_came(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_piece *piece = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &piece, NULL));
    assert_ok(ent_blob_piece_push(piece, ent_bytes_of(on->bytes, 4000), NULL));
    ent_blob_piece_free(piece); /* the sender has gone */
    assert_ok(ent_blob_parts_ask(on->parts, &about, &held, NULL));
    assert_int_equal(held, 4000);
    about.first = 4000;
    assert_ok(bring(on, &about, SIZE, &held, &whole));
    assert_true(whole);
    assert_blob(on);
}

static void test_parts__request_that_brought_nothing_leaves_nothing(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    ent_blob_piece *piece = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &piece, NULL));
    assert_int_equal(fixture_count_files(on->folder, ""), 1);
    ent_blob_piece_free(piece);
    assert_int_equal(fixture_count_files(on->folder, ""), 0);
}

static void test_parts__newer_request_of_a_sender_takes_over(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_piece *old = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &old, NULL));
    assert_ok(ent_blob_piece_push(old, ent_bytes_of(on->bytes, 5000), NULL));
    about.first = 5000;
    assert_ok(bring(on, &about, 9000, &held, &whole));
    assert_fails(ent_blob_piece_push(old, ent_bytes_of("wrong", 5), NULL), ENT_RETRY);
    assert_fails(ent_blob_piece_end(old, &held, &whole, NULL), ENT_RETRY);
    ent_blob_piece_free(old);
    about.first = 9000;
    assert_ok(bring(on, &about, SIZE, &held, &whole));
    assert_true(whole);
    assert_blob(on);
}

static void test_parts__whole_at_once_begins_anew(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_piece *old = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &old, NULL));
    assert_ok(ent_blob_piece_push(old, ent_bytes_of("these bytes are wrong", 21), NULL));
    about.anew = true;
    assert_ok(bring(on, &about, SIZE, &held, &whole));
    assert_fails(ent_blob_piece_push(old, ent_bytes_of("wrong", 5), NULL), ENT_RETRY);
    ent_blob_piece_free(old);
    assert_true(whole);
    assert_blob(on);
}

/* What a member brings wrongly costs him, and nobody else. */
static void test_parts__senders_do_not_disturb_each_other(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_piece *hostile = NULL;
    ent_blob_announced about = announce(on, "cormorant", 0);
    ent_blob_announced honest = announce(on, "aurora", 0);
    assert_ok(bring(on, &honest, 100000, &held, &whole));
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &hostile, NULL));
    assert_ok(ent_blob_piece_push(hostile, ent_bytes_of("not these", 9), NULL));
    honest.first = 100000;
    assert_ok(bring(on, &honest, SIZE, &held, &whole));
    assert_true(whole);
    ent_blob_piece_free(hostile);
    assert_true(ent_blob_exists(on->folder, &on->digest));
    about.first = 9;
    assert_fails(bring(on, &about, SIZE, &held, &whole), ENT_PEER_MISMATCH);
    assert_blob(on);
}

static void test_parts__wrong_bytes_are_dropped_counted_and_begun_anew(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_announced about = announce(on, "aurora", 0);
    on->bytes[1234] ^= 1;
    assert_ok(bring(on, &about, 2000, &held, &whole));
    about.first = 2000;
    assert_fails(bring(on, &about, SIZE, &held, &whole), ENT_PEER_MISMATCH);
    assert_int_equal(ent_blob_parts_mismatches(on->parts), 1);
    assert_false(whole);
    assert_false(ent_blob_exists(on->folder, &on->digest));
    assert_int_equal(fixture_count_files(on->folder, ""), 0);
    on->bytes[1234] ^= 1;
    assert_ok(ent_blob_parts_ask(on->parts, &about, &held, NULL));
    assert_int_equal(held, 0);
    about.first = 0;
    assert_ok(bring(on, &about, SIZE, &held, &whole));
    assert_true(whole);
    assert_blob(on);
}

static void test_parts__more_bytes_than_the_whole_are_refused(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    ent_blob_piece *piece = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    about.size = 10;
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &piece, NULL));
    assert_ok(ent_blob_piece_push(piece, ent_bytes_of(on->bytes, 9), NULL));
    assert_fails(ent_blob_piece_push(piece, ent_bytes_of(on->bytes, 2), NULL), ENT_PEER_TOO_LARGE);
    ent_blob_piece_free(piece);
}

static void test_parts__another_size_begins_anew(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(bring(on, &about, 2000, &held, &whole));
    about.size = SIZE - 1;
    assert_ok(ent_blob_parts_ask(on->parts, &about, &held, NULL));
    assert_int_equal(held, 0);
}

static void test_parts__empty_blob_is_whole_at_once(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_announced about = {.sender = ENT_TEXT("aurora"), .anew = true};
    ent_sha256((ent_bytes){NULL, 0}, &about.digest);
    assert_ok(bring(on, &about, 0, &held, &whole));
    assert_true(whole);
    assert_true(ent_blob_exists(on->folder, &about.digest));
}

static void test_parts__after_a_restart_the_hash_is_made_again(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    bool worked = true;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(bring(on, &about, 3000001, &held, &whole));
    restart(on);
    assert_int_equal(ent_blob_parts_held(on->parts, &on->digest), 3000001);
    assert_ok(ent_blob_parts_hash(on->parts, &worked, NULL));
    assert_false(worked); /* nobody asked */
    assert_fails(ent_blob_parts_ask(on->parts, &about, &held, NULL), ENT_RETRY);
    about.first = 3000001;
    assert_fails(bring(on, &about, SIZE, &held, &whole), ENT_RETRY);
    hash_all(on);
    assert_ok(ent_blob_parts_ask(on->parts, &about, &held, NULL));
    assert_int_equal(held, 3000001);
    assert_ok(bring(on, &about, SIZE, &held, &whole));
    assert_true(whole);
    assert_blob(on);
}

/* Killed between the last byte and the name. */
static void test_parts__whole_after_a_restart_gets_its_place(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    ent_blob_piece *piece = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &piece, NULL));
    assert_ok(ent_blob_piece_push(piece, ent_bytes_of(on->bytes, SIZE), NULL));
    ent_blob_piece_free(piece); /* not ended */
    assert_fails(ent_blob_parts_ask(on->parts, &about, &held, NULL), ENT_RETRY);
    restart(on);
    assert_fails(ent_blob_parts_ask(on->parts, &about, &held, NULL), ENT_RETRY);
    hash_all(on);
    assert_blob(on);
}

static void test_parts__damaged_file_is_found_out_after_a_restart(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool worked = true;
    ent_blob_piece *piece = NULL;
    ent_blob_announced about = announce(on, "aurora", 0);
    on->bytes[5] ^= 1;
    assert_ok(ent_blob_piece_begin(on->parts, &about, &held, &piece, NULL));
    assert_ok(ent_blob_piece_push(piece, ent_bytes_of(on->bytes, SIZE), NULL));
    ent_blob_piece_free(piece);
    restart(on);
    assert_fails(ent_blob_parts_ask(on->parts, &about, &held, NULL), ENT_RETRY);
    assert_fails(ent_blob_parts_hash(on->parts, &worked, NULL), ENT_PEER_MISMATCH);
    assert_int_equal(ent_blob_parts_mismatches(on->parts), 1);
    assert_int_equal(fixture_count_files(on->folder, ""), 0);
}

static ent_rc want(void *context, const ent_hash *digest, bool *ret, ent_err *err)
{
    const ent_hash *wanted = context;
    (void)err;
    *ret = wanted != NULL && ent_hash_equal(wanted, digest);
    return ENT_DONE;
}

static void test_parts__old_and_unwanted_ones_go(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_announced about = announce(on, "aurora", 0);
    ent_blob_announced other = {.digest = fixture_digest(7), .size = 100, .sender = ENT_TEXT("aurora")};
    int64_t now = ent_clock_unix_s();
    assert_ok(bring(on, &about, 2000, &held, &whole));
    assert_ok(bring(on, &other, 50, &held, &whole));
    assert_ok(ent_blob_parts_tidy(on->parts, now, want, &on->digest, NULL));
    assert_int_equal(fixture_count_files(on->folder, ""), 1);
    assert_int_equal(ent_blob_parts_held(on->parts, &on->digest), 2000);
    assert_ok(ent_blob_parts_tidy(on->parts, now + 6 * 86400, want, &on->digest, NULL));
    assert_int_equal(fixture_count_files(on->folder, ""), 1);
    assert_ok(ent_blob_parts_tidy(on->parts, now + 8 * 86400, want, &on->digest, NULL));
    assert_int_equal(fixture_count_files(on->folder, ""), 0);
}

static void test_parts__one_sender_never_holds_more_than_his_share(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    ent_blob_announced honest = announce(on, "aurora", 0);
    assert_ok(bring(on, &honest, 2000, &held, &whole));
    for (uint64_t i = 0; i < ENT_PARTS_OF_SENDER + 10; i++) {
        ent_blob_announced about = {.digest = fixture_digest(i), .size = 100, .sender = ENT_TEXT("cormorant")};
        assert_ok(bring(on, &about, 50, &held, &whole));
    }
    assert_int_equal(fixture_count_files(on->folder, ""), ENT_PARTS_OF_SENDER + 1);
    assert_int_equal(ent_blob_parts_held(on->parts, &on->digest), 2000);
    restart(on);
    assert_int_equal(fixture_count_files(on->folder, ""), ENT_PARTS_OF_SENDER + 1);
}

static void test_parts__strange_files_are_removed_at_the_start(void **state)
{
    world *on = *state;
    static const char *const names[] = {"x", "tmp-1",
                                        "0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/parts/%s", on->folder, names[i]);
        assert_ok(ent_file_write(path, 0600, ent_bytes_of("x", 1), NULL));
    }
    restart(on);
    assert_int_equal(fixture_count_files(on->folder, ""), 0);
}

static void test_parts__nth_allocation_fails_and_the_next_try_goes_on(void **state)
{
    world *on = *state;
    uint64_t held = 0;
    bool whole = false;
    bool worked = false;
    unsigned failures = 0;
    ent_blob_announced about = announce(on, "aurora", 0);
    for (unsigned long nth = 1; !whole && nth < 100; nth++) {
        uint64_t end = about.first + 400000 < SIZE ? about.first + 400000 : SIZE;
        ent_alloc_fail_at(nth % 8 + 1);
        ent_rc rc = bring(on, &about, end, &held, &whole);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_RETRY)
            assert_ok(ent_blob_parts_hash(on->parts, &worked, NULL));
        else if (rc.code != ENT_OK)
            assert_int_equal(rc.code, ENT_NOMEM);
        failures += rc.code != ENT_OK;
        whole = whole || ent_blob_exists(on->folder, &on->digest);
        if (!whole && ent_blob_parts_ask(on->parts, &about, &held, NULL).code == ENT_OK)
            about.first = held;
    }
    assert_true(failures > 3);
    assert_blob(on);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_parts__pieces_in_order_become_a_blob),
        WITH_WORLD(test_parts__piece_that_begins_elsewhere_is_told_where),
        WITH_WORLD(test_parts__cut_piece_keeps_what_came),
        WITH_WORLD(test_parts__request_that_brought_nothing_leaves_nothing),
        WITH_WORLD(test_parts__newer_request_of_a_sender_takes_over),
        WITH_WORLD(test_parts__whole_at_once_begins_anew),
        WITH_WORLD(test_parts__senders_do_not_disturb_each_other),
        WITH_WORLD(test_parts__wrong_bytes_are_dropped_counted_and_begun_anew),
        WITH_WORLD(test_parts__more_bytes_than_the_whole_are_refused),
        WITH_WORLD(test_parts__another_size_begins_anew),
        WITH_WORLD(test_parts__empty_blob_is_whole_at_once),
        WITH_WORLD(test_parts__after_a_restart_the_hash_is_made_again),
        WITH_WORLD(test_parts__whole_after_a_restart_gets_its_place),
        WITH_WORLD(test_parts__damaged_file_is_found_out_after_a_restart),
        WITH_WORLD(test_parts__old_and_unwanted_ones_go),
        WITH_WORLD(test_parts__one_sender_never_holds_more_than_his_share),
        WITH_WORLD(test_parts__strange_files_are_removed_at_the_start),
        WITH_WORLD(test_parts__nth_allocation_fails_and_the_next_try_goes_on),
    };
    return cmocka_run_group_tests_name("store-blob-parts", tests, NULL, NULL);
}
