/* A channel of three: every log reaches everybody, everybody's receipts reach the writer, and who is away for a while
 * catches up. */
#include "fixture.h"

#include "node/channel.h"
#include "node/invite.h"

#include <stdio.h>
#include <stdlib.h>

enum { PARTIES = 3, EACH = 25 };

static const char *const names[PARTIES] = {"aurora.example", "boreal.example", "cobalt.example"};

typedef struct {
    char *root;
    char *folders[PARTIES];
    ent_node *nodes[PARTIES];
    ent_hash channel;
} three;

static ent_channel *channel_of(const three *t, unsigned who)
{
    return ent_channel_find(t->nodes[who], &t->channel);
}

static bool all_invited(void *context)
{
    const three *t = context;
    return channel_of(t, 1) != NULL && channel_of(t, 2) != NULL;
}

static bool all_open(void *context)
{
    const three *t = context;
    for (unsigned i = 0; i < PARTIES; i++) {
        if (ent_channel_state_now(channel_of(t, i)) != ENT_CHANNEL_OPEN)
            return false;
    }
    return true;
}

static void three_make(three *t)
{
    ent_err err = {0};
    ent_text with[] = {ent_text_of(names[1]), ent_text_of(names[2])};
    ent_opening opening = {.with = with, .with_count = 2, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}"))};
    ent_channel *channel = NULL;
    *t = (three){.root = fixture_folder_make()};
    for (unsigned i = 0; i < PARTIES; i++) {
        t->folders[i] = fixture_path(t->root, names[i]);
        fixture_party_make(t->folders[i], names[i], fixture_port());
        t->nodes[i] = fixture_start(t->folders[i]);
    }
    for (unsigned i = 0; i < PARTIES; i++)
        fixture_introduce(t->nodes[i], t->nodes[(i + 1) % PARTIES]);
    assert_ok(ent_channel_open(t->nodes[0], &opening, &channel, &err));
    t->channel = channel->id;
    assert_true(fixture_wait(all_invited, t, 20));
    for (unsigned i = 1; i < PARTIES; i++)
        assert_ok(ent_channel_accept(t->nodes[i], channel_of(t, i), ENT_TEXT(""), &err));
    assert_true(fixture_wait(all_open, t, 30));
}

static void three_release(three *t)
{
    for (unsigned i = 0; i < PARTIES; i++) {
        ent_node_stop(t->nodes[i]);
        ent_free(t->folders[i]);
    }
    fixture_folder_remove(t->root);
}

static void restart(three *t, unsigned who)
{
    ent_node_stop(t->nodes[who]);
    t->nodes[who] = fixture_start(t->folders[who]);
}

static void say_some(const three *t, unsigned who, uint32_t thread)
{
    for (unsigned i = 0; i < EACH; i++) {
        ent_err err = {0};
        uint64_t index = 0;
        assert_ok(fixture_say(t->nodes[who], channel_of(t, who), fixture_mark_of(who, thread, i), &index, &err));
    }
}

/* Whether `at` holds the writer's log whole, and opened, and knows a receipt for the whole of it from `receiver`. */
static bool holds(const three *t, unsigned at, unsigned writer, unsigned receiver)
{
    ent_store_log original;
    ent_store_log copy;
    ent_store_receipt receipt;
    ent_err err = {0};
    ent_channel_log(channel_of(t, writer), writer, &original); /* members are sorted by name, as here */
    ent_channel_log(channel_of(t, at), writer, &copy);
    if (copy.tree.size != original.tree.size || copy.opened != copy.tree.size)
        return false;
    return t->nodes[at]
               ->store->engine
               ->receipt_covering(t->nodes[at]->store, copy.number, receiver, original.tree.size, &receipt, &err)
               .code == ENT_OK;
}

static bool everywhere(void *context)
{
    const three *t = context;
    for (unsigned writer = 0; writer < PARTIES; writer++) {
        for (unsigned receiver = 0; receiver < PARTIES; receiver++) {
            if (receiver != writer && !holds(t, writer, writer, receiver))
                return false;
            if (receiver != writer && !holds(t, receiver, writer, receiver))
                return false;
        }
    }
    return true;
}

/* "so that one head with all receipts exists" (design.md section 3): the third party's receipts travel too. */
static bool third_partys_receipts_too(void *context)
{
    const three *t = context;
    for (unsigned writer = 0; writer < PARTIES; writer++) {
        for (unsigned at = 0; at < PARTIES; at++) {
            if (at != writer && !holds(t, at, writer, PARTIES - writer - at))
                return false;
        }
    }
    return true;
}

static void assert_same(const three *t)
{
    for (uint32_t writer = 0; writer < PARTIES; writer++) {
        ent_buf first = {0};
        for (unsigned at = 0; at < PARTIES; at++) {
            ent_buf other = {0};
            ent_store_log log;
            ent_channel_log(channel_of(t, at), writer, &log);
            assert_false(log.frozen);
            fixture_read_log(t->nodes[at]->store, &log, at == 0 ? &first : &other);
            if (at > 0)
                assert_true(ent_bytes_equal(ent_buf_bytes(&first), ent_buf_bytes(&other)));
            ent_buf_release(&other);
        }
        ent_buf_release(&first);
    }
}

static void test_three__every_log_and_every_receipt_reaches_everybody(void **state)
{
    (void)state;
    three t;
    three_make(&t);
    for (unsigned who = 0; who < PARTIES; who++)
        say_some(&t, who, 1);
    assert_true(fixture_wait(everywhere, &t, 60));
    assert_same(&t);
    assert_true(fixture_wait(third_partys_receipts_too, &t, 60));
    three_release(&t);
}

static void test_three__who_was_away_catches_up(void **state)
{
    (void)state;
    three t;
    three_make(&t);
    ent_node_stop(t.nodes[2]);
    t.nodes[2] = NULL;
    say_some(&t, 0, 1);
    say_some(&t, 1, 1);
    t.nodes[2] = fixture_start(t.folders[2]);
    say_some(&t, 2, 1);
    restart(&t, 0);
    say_some(&t, 0, 2);
    assert_true(fixture_wait(everywhere, &t, 120));
    assert_same(&t);
    three_release(&t);
}

/* Proofs of a message that two have receipted carry both, where one head has both. */
static void test_three__proof_carries_the_receipts_of_both(void **state)
{
    (void)state;
    three t;
    ent_json *json = NULL;
    char path[256];
    three_make(&t);
    say_some(&t, 0, 1);
    assert_true(fixture_wait(everywhere, &t, 60));
    (void)snprintf(path, sizeof path, "proofs/%s/aurora.example/%d", channel_of(&t, 0)->id_text, EACH);
    assert_int_equal(fixture_api(t.folders[0], "GET", path, NULL, &json), 200);
    ent_json_value proofs = ent_json_get(ent_json_root(json), "proofs");
    assert_int_equal(ent_json_count(proofs), 1);
    for (ent_json_iter i = ent_json_iterate(proofs); ent_json_next(&i);)
        assert_int_equal(ent_json_count(ent_json_get(i.value, "receipts")), 2);
    ent_json_free(json);
    three_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three__every_log_and_every_receipt_reaches_everybody),
        cmocka_unit_test(test_three__who_was_away_catches_up),
        cmocka_unit_test(test_three__proof_carries_the_receipts_of_both),
    };
    return cmocka_run_group_tests_name("node-three", tests, NULL, NULL);
}
