/* A store that was restored has forgotten receipts that it gave, and the peer delivers before anybody recovers
 * anything: the first receipts come back, no second one is given, and both count the same.  Source: design.md section
 * 3: "The same pouch again returns the same receipt bytes". */
#include "fixture.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/recover.h"
#include "node/sequencer.h"

#include <stdio.h>

enum { SECONDS = 20, MANY = 700 };

static void say_some(const fixture_pair *pair, unsigned who, uint32_t thread, unsigned count)
{
    ent_err err = {0};
    uint64_t index = 0;
    for (unsigned i = 0; i < count; i++)
        assert_ok(
            fixture_say(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, thread, i), &index, &err));
}

int64_t __real_ent_clock_unix_s(void); // NOLINT(bugprone-reserved-identifier)
int64_t __wrap_ent_clock_unix_s(void); // NOLINT(bugprone-reserved-identifier)

static _Atomic(int64_t) seconds_ahead;

int64_t __wrap_ent_clock_unix_s(void) // NOLINT(bugprone-reserved-identifier)
{
    return __real_ent_clock_unix_s() + atomic_load(&seconds_ahead);
}

static void digest_of(const fixture_pair *pair, unsigned who, char ret[65])
{
    char path[128];
    ent_json *json = NULL;
    (void)snprintf(path, sizeof path, "ledger?channel=%s", fixture_channel(pair, who)->id_text);
    assert_int_equal(fixture_api(pair->folders[who], "GET", path, NULL, &json), 200);
    ent_text digest = ent_json_string(ent_json_get(ent_json_root(json), "evidence_digest"));
    assert_int_equal(digest.size, 64);
    memcpy(ret, digest.data, 64);
    ret[64] = 0;
    ent_json_free(json);
}

static bool counts_alike(void *context)
{
    char digests[2][65];
    for (unsigned who = 0; who < 2; who++)
        digest_of(context, who, digests[who]);
    return memcmp(digests[0], digests[1], sizeof digests[0]) == 0;
}

static size_t receipts_by_aurora(const fixture_pair *pair, unsigned at)
{
    ent_store *store = pair->nodes[at]->store;
    uint32_t aurora = 1 - fixture_channel(pair, BOREAL)->self;
    ent_store_receipt receipt = {.head.size = 0};
    ent_err err = {0};
    size_t count = 0;
    assert_ok(ent_sequencer_flush(pair->nodes[at], &err));
    while (store->engine
               ->receipt_covering(store, fixture_channel(pair, at)->members[1 - aurora].log.number, aurora,
                                  receipt.head.size + 1, &receipt, &err)
               .code == ENT_OK)
        count++;
    return count;
}

typedef struct {
    const fixture_pair *pair;
    uint64_t size;
} size_wait;

static bool aurora_holds(void *context)
{
    const size_wait *wait = context;
    ent_store_log log;
    ent_channel *channel = fixture_channel(wait->pair, AURORA);
    ent_channel_log(channel, 1 - channel->self, &log);
    return log.tree.size >= wait->size;
}

/* How a case differs. */
typedef struct {
    bool with_marks; /* the whole folder is put back; else the store alone */
    bool both_speak; /* what Aurora said is lost too, so that it is held */
    unsigned late;   /* rounds … */
    unsigned each;   /* of so many messages */
} loss;

static void lose(fixture_pair *pair, const loss *how)
{
    fixture_pair_make(pair);
    fixture_pair_open(pair);
    say_some(pair, AURORA, 1, 2);
    say_some(pair, BOREAL, 1, 2);
    fixture_pair_settle(pair, SECONDS);
    char *backup = fixture_path(pair->root, "backup");
    char *folder =
        how->with_marks ? fixture_path(pair->root, "aurora.example") : fixture_path(pair->folders[AURORA], "store");
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(folder, backup);
    fixture_pair_start(pair, AURORA);
    for (unsigned i = 0; i < how->late; i++) {
        if (how->both_speak)
            say_some(pair, AURORA, 100 + i, how->each);
        say_some(pair, BOREAL, 100 + i, how->each);
        fixture_pair_settle(pair, SECONDS);
        atomic_fetch_add(&seconds_ahead, 1); /* a receipt that is given from now on has another date */
    }
    fixture_pair_stop(pair, AURORA);
    fixture_folder_copy(backup, folder);
    ent_free(folder);
    ent_free(backup);
}

static void test_forgotten__first_receipts_come_back_with_what_was_lost(void **state)
{
    static const loss cases[] = {
        {.with_marks = true, .late = 2, .each = 1},
        {.with_marks = true, .both_speak = true, .late = 2, .each = 1},
        {.with_marks = false, .late = 2, .each = MANY}, /* more than one pouch, and the keeper knows the last receipt */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_pair pair;
        ent_err err = {0};
        lose(&pair, &cases[i]);
        uint64_t late = cases[i].late * cases[i].each;
        size_t given = receipts_by_aurora(&pair, BOREAL);
        fixture_pair_start(&pair, AURORA);
        say_some(&pair, BOREAL, 5, 1); /* and nobody recovers anything before it has come */
        assert_true(fixture_wait(aurora_holds, &(size_wait){&pair, 3 + late + 1}, SECONDS));
        ent_channel *channel = fixture_channel(&pair, AURORA);
        ent_recovered done = {.size = 0};
        if (cases[i].both_speak)
            assert_ok(ent_recover(pair.nodes[AURORA], channel, 1 - channel->self, &done, &err));
        fixture_pair_settle(&pair, SECONDS);
        assert_true(fixture_wait(counts_alike, &pair, SECONDS));
        assert_int_equal(receipts_by_aurora(&pair, BOREAL), given + 1); /* one for what is new, none a second time */
        assert_int_equal(receipts_by_aurora(&pair, AURORA), given + 1);
        fixture_pair_assert_same(&pair);
        say_some(&pair, AURORA, 7, 1);
        fixture_pair_settle(&pair, SECONDS);
        assert_true(fixture_wait(counts_alike, &pair, SECONDS));
        fixture_pair_release(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forgotten__first_receipts_come_back_with_what_was_lost),
    };
    return cmocka_run_group_tests_name("node-forgotten", tests, NULL, NULL);
}
