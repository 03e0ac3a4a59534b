/* More than one pouch takes, between two heads that were signed: it leaves in steps.  Source: docs/decisions/0024. */
#include "fixture.h"

#include "log/tree.h"
#include "node/channel.h"
#include "node/pack.h"
#include "node/receipt.h"

enum { LONG_BYTES = 7 << 20, MANY_LONG = 10 /* 70 MiB */ };

static void say_long(const fixture_pair *pair, unsigned who, unsigned count, ent_code expected)
{
    ent_err err = {0};
    uint64_t index = 0;
    for (unsigned i = 0; i < count; i++)
        assert_fails(fixture_say_long(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, 7, i),
                                      LONG_BYTES, &index, &err),
                     expected);
}

static uint64_t size_held(const fixture_pair *pair, unsigned who, unsigned of)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), fixture_channel(pair, of)->self, &log);
    assert_false(log.frozen);
    return log.tree.size;
}

/* How many receipts Aurora holds by Boreal for more than so many entries. */
static unsigned receipts_beyond(const fixture_pair *pair, uint64_t size)
{
    ent_err err = {0};
    ent_store *store = pair->nodes[AURORA]->store;
    const ent_channel *channel = fixture_channel(pair, AURORA);
    int64_t log = channel->members[channel->self].log.number;
    unsigned count = 0;
    ent_store_receipt receipt;
    while (store->engine->receipt_covering(store, log, 1 - channel->self, size + 1, &receipt, &err).code == ENT_OK) {
        ent_tree_head head;
        assert_true(ent_receipt_is_signed(&receipt));
        assert_ok(store->engine->head_get(store, log, receipt.head.size, &head, NULL, &err));
        assert_int_equal(head.size, receipt.head.size); /* what was receipted is kept */
        size = receipt.head.size;
        count++;
    }
    return count;
}

/* Said while the members were asked, signed by one head, and more than the largest pouch. */
static void test_steps__what_was_held_is_more_than_a_pouch_and_arrives(void **state)
{
    (void)state;
    fixture_pair pair;
    fixture_pair_make(&pair);
    fixture_pair_open(&pair);
    fixture_pair_settle(&pair, 20);
    uint64_t size = size_held(&pair, AURORA, AURORA);
    fixture_pair_crash(&pair, AURORA);
    fixture_pair_stop(&pair, BOREAL);
    fixture_pair_start(&pair, AURORA);
    say_long(&pair, AURORA, MANY_LONG, ENT_REFUSED_KEEPER);
    assert_int_equal(ent_channel_signed_size(fixture_channel(&pair, AURORA)), size);
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_settle(&pair, 60);
    assert_int_equal(size_held(&pair, BOREAL, AURORA), size + MANY_LONG);
    assert_in_range(receipts_beyond(&pair, size), 2, MANY_LONG);
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps__what_was_held_is_more_than_a_pouch_and_arrives),
    };
    return cmocka_run_group_tests_name("node-steps", tests, NULL, NULL);
}
