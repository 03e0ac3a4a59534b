/* More than one pouch takes, between two heads that were signed: it leaves in steps.  Source: docs/decisions/0024. */
#include "fixture.h"

#include "log/tree.h"
#include "node/channel.h"
#include "node/guard.h"
#include "node/own_head.h"
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

/* A head of any size that is signed can be had, and is what the log was then; whatever allocation fails on the way, the
 * next try gives it. None beyond. */
static void check_any_size(const fixture_pair *pair, uint64_t signed_size)
{
    ent_node *node = pair->nodes[AURORA];
    ent_channel *channel = fixture_channel(pair, AURORA);
    ent_store_tiles tiles = {node->store, channel->members[channel->self].log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ent_err err = {0};
    for (uint64_t size = 1; size <= signed_size; size++) {
        ent_buf note = {0};
        ent_tree_head head = {.size = 0};
        ent_tree_head opened;
        ent_hash root;
        ent_rc rc = ent_rc_of(ENT_NOMEM);
        for (unsigned nth = 1; rc.code == ENT_NOMEM; nth++) {
            ent_buf_release(&note); /* one that failed stays so */
            note = (ent_buf){0};
            ent_alloc_fail_at(nth);
            rc = ent_own_head(node, channel, size, &head, &note, &err);
            ent_alloc_fail_at(0);
            assert_true(rc.code == ENT_OK || (note.size == 0 && head.size == 0));
        }
        assert_ok(rc);
        assert_int_equal(head.size, size);
        assert_ok(ent_guard_open_head(channel, ent_buf_bytes(&note), &opened, &err));
        assert_ok(ent_tree_root_at(size, &reader, &root, &err));
        assert_memory_equal(&opened.root, &root, sizeof root);
        ent_buf_release(&note);
    }
    ent_buf note = {0};
    ent_tree_head head;
    assert_fails(ent_own_head(node, channel, 0, &head, &note, &err), ENT_ABSENT);
    assert_fails(ent_own_head(node, channel, signed_size + 1, &head, &note, &err), ENT_ABSENT);
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
    check_any_size(&pair, size + MANY_LONG);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps__what_was_held_is_more_than_a_pouch_and_arrives),
    };
    return cmocka_run_group_tests_name("node-steps", tests, NULL, NULL);
}
