/* A channel of three: every log reaches everybody, everybody's receipts reach the writer, and who is away for a while
 * catches up. */
#include "fixture.h"

#include "base/clock.h"
#include "base/config.h"
#include "node/channel.h"
#include "node/invite.h"
#include "node/keys.h"
#include "node/pack.h"
#include "node/receipt.h"
#include "node/receive.h"
#include "node/rotate.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTIES = 3, EACH = 25, ROUNDS = 40, MANY = 1000 };

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

/* A node that carries others' logs at once, or nearly so. */
static void make_party(const char *folder, const char *name, uint16_t port)
{
    ent_err err = {0};
    ent_paths paths;
    ent_config config;
    fixture_party_make(folder, name, port);
    assert_ok(ent_paths_make(folder, &paths, &err));
    assert_ok(ent_config_read(paths.config, &config, &err));
    config.forward_delay_s = 1;
    assert_ok(ent_config_write(paths.config, &config, &err));
    ent_config_release(&config);
    ent_paths_release(&paths);
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
        make_party(t->folders[i], names[i], fixture_port());
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

/* From now on `from` knows an address of `to` where nobody is. */
static void cut(const three *t, unsigned from, unsigned to)
{
    ent_node *node = t->nodes[from];
    (void)pthread_rwlock_wrlock(&node->peers_lock);
    for (size_t i = 0; i < node->peer_count; i++) {
        if (strcmp(node->peer_rows[i].name, names[to]) == 0)
            (void)snprintf(node->peer_rows[i].url, sizeof node->peer_rows[i].url, "https://127.0.0.1:1");
    }
    (void)pthread_rwlock_unlock(&node->peers_lock);
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
    if (copy.tree.size != original.tree.size || (at != writer && copy.opened != copy.tree.size))
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

/* Cobalt and Aurora cannot reach each other at all: Boreal carries what both say, and the receipts back. */
static void test_three__who_cannot_be_reached_gets_all_from_the_third(void **state)
{
    (void)state;
    three t;
    three_make(&t);
    cut(&t, 0, 2);
    cut(&t, 2, 0);
    for (uint32_t thread = 1; thread <= 2; thread++) {
        for (unsigned who = 0; who < PARTIES; who++)
            say_some(&t, who, thread);
        assert_true(fixture_wait(everywhere, &t, 60));
        assert_true(fixture_wait(third_partys_receipts_too, &t, 60));
    }
    assert_same(&t);
    three_release(&t);
}

typedef struct {
    const three *t;
    unsigned at;
    unsigned writer;
} opened_question;

static bool is_opened(void *context)
{
    const opened_question *question = context;
    ent_store_log original;
    ent_store_log copy;
    ent_channel_log(channel_of(question->t, question->writer), question->writer, &original);
    ent_channel_log(channel_of(question->t, question->at), question->writer, &copy);
    return copy.opened == original.tree.size;
}

/* Each entry of the one acks the one before it of the other, and Cobalt holds neither. */
static void talk(const three *t, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned who = 0; who < 2; who++) {
            ent_err err = {0};
            uint64_t index = 0;
            opened_question question = {t, 1 - who, who};
            assert_ok(fixture_say(t->nodes[who], channel_of(t, who), fixture_mark_of(who, 9, i), &index, &err));
            assert_true(fixture_wait(is_opened, &question, 20));
        }
    }
}

static void test_three__who_was_away_while_two_talked_catches_up(void **state)
{
    (void)state;
    three t;
    three_make(&t);
    ent_node_stop(t.nodes[2]);
    t.nodes[2] = NULL;
    talk(&t, ROUNDS);
    t.nodes[2] = fixture_start(t.folders[2]);
    assert_true(fixture_wait(everywhere, &t, 60));
    assert_same(&t);
    three_release(&t);
}

typedef struct {
    const three *t;
    unsigned who;
} speaker;

static void *say_many(void *context)
{
    const speaker *work = context;
    for (unsigned i = 0; i < MANY / 4; i++) {
        ent_err err = {0};
        uint64_t index = 0;
        fixture_mark mark = fixture_mark_of(work->who, 7, i);
        if (fixture_say(work->t->nodes[work->who], channel_of(work->t, work->who), mark, &index, &err).code != ENT_OK)
            return (void *)context;
    }
    return NULL;
}

/* Two thousand messages were said, one of the two that said them has gone meanwhile, and is never reached. */
static void test_three__who_was_away_for_long_gets_all_from_one(void **state)
{
    (void)state;
    three t;
    pthread_t threads[8];
    speaker speakers[8];
    three_make(&t);
    ent_node_stop(t.nodes[2]);
    t.nodes[2] = NULL;
    for (unsigned i = 0; i < 8; i++) {
        speakers[i] = (speaker){&t, i % 2};
        assert_int_equal(pthread_create(&threads[i], NULL, say_many, &speakers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    opened_question question = {&t, 1, 0};
    assert_true(fixture_wait(is_opened, &question, 60));
    cut(&t, 0, 2);
    t.nodes[2] = fixture_start(t.folders[2]);
    cut(&t, 2, 0);
    assert_true(fixture_wait(everywhere, &t, 120));
    assert_same(&t);
    three_release(&t);
}

/* Whoever carries a pouch, and wherever it begins: the receipt is the one that was given first. */
static void test_three__first_receipt_is_given_whoever_carries_it(void **state)
{
    (void)state;
    three t;
    ent_err err = {0};
    ent_buf first = {0};
    three_make(&t);
    say_some(&t, 0, 1);
    assert_true(fixture_wait(everywhere, &t, 60));
    assert_ok(ent_receipt_covering(t.nodes[2], channel_of(&t, 2), 0, EACH + 1, &first, &err));
    for (uint64_t old_size = 0; old_size <= EACH + 1; old_size += 5) {
        ent_packed packed;
        ent_received received = {0};
        assert_ok(ent_pack_again(t.nodes[1], channel_of(&t, 1), 0, 2, old_size, &packed, &err));
        assert_int_equal(packed.old_size, old_size);
        assert_int_equal(packed.size, EACH + 1);
        assert_ok(ent_receive(t.nodes[2], ent_buf_bytes(&packed.bytes), NULL, NULL, &received, &err));
        assert_int_equal(received.new_count, 0);
        assert_true(ent_bytes_equal(ent_buf_bytes(&received.receipt), ent_buf_bytes(&first)));
        ent_received_release(&received);
        ent_packed_release(&packed);
    }
    ent_buf_release(&first);
    three_release(&t);
}

typedef struct {
    const three *t;
    char digests[PARTIES][65];
} alike_question;

static bool counts_alike(void *context)
{
    alike_question *question = context;
    char path[128];
    (void)snprintf(path, sizeof path, "ledger?channel=%s", channel_of(question->t, 0)->id_text);
    for (unsigned i = 0; i < PARTIES; i++) {
        ent_json *json = NULL;
        assert_int_equal(fixture_api(question->t->folders[i], "GET", path, NULL, &json), 200);
        ent_text digest = ent_json_string(ent_json_get(ent_json_root(json), "evidence_digest"));
        (void)snprintf(question->digests[i], sizeof question->digests[i], "%.*s", ENT_TEXT_ARG(digest));
        ent_json_free(json);
    }
    return strcmp(question->digests[0], question->digests[1]) == 0 &&
           strcmp(question->digests[0], question->digests[2]) == 0;
}

/* What is receipted from now on has another date. */
static void await_next_second(void)
{
    int64_t from = ent_clock_unix_s();
    while (ent_clock_unix_s() == from)
        (void)poll(NULL, 0, 10);
}

/* Stop one; the next start finds what is in `folder`, or what it has now is kept there. */
static void keep(three *t, unsigned who, const char *folder)
{
    ent_node_stop(t->nodes[who]);
    t->nodes[who] = NULL;
    fixture_folder_copy(t->folders[who], folder);
}

static void put_back(three *t, unsigned who, const char *folder)
{
    ent_node_stop(t->nodes[who]);
    fixture_folder_copy(folder, t->folders[who]);
    t->nodes[who] = fixture_start(t->folders[who]);
}

/* Boreal and Cobalt have told Aurora of every receipt for Boreal's log, and know that it has them. */
static bool aurora_was_told(void *context)
{
    const three *t = context;
    for (unsigned at = 1; at < PARTIES; at++) {
        ent_store *store = t->nodes[at]->store;
        int64_t log = channel_of(t, at)->members[1].log.number;
        ent_store_delivery delivery;
        int64_t last = 0;
        ent_err err = {0};
        assert_ok(store->engine->delivery_get(store, log, 0, &delivery, &err));
        assert_ok(store->engine->receipt_before(store, log, INT64_MAX, 0, &last, &err));
        if (delivery.receipts_sent < last)
            return false;
    }
    return true;
}

/* Aurora is put back to where it lacked nothing but Cobalt's receipts for Boreal's log, of which it has been told
 * already; the first of two it would not get by bringing that log to Cobalt. */
static void test_three__receipts_that_were_forgotten_are_told_again(void **state)
{
    (void)state;
    three t;
    ent_err err = {0};
    ent_received received = {0};
    three_make(&t);
    char *backup = fixture_path(t.root, "backup");
    ent_node_stop(t.nodes[2]);
    t.nodes[2] = NULL;
    say_some(&t, 1, 1);
    opened_question question = {&t, 0, 1};
    assert_true(fixture_wait(is_opened, &question, 20));
    ent_packed half;
    assert_ok(ent_pack_again(t.nodes[1], channel_of(&t, 1), 1, 2, 0, &half, &err));
    say_some(&t, 1, 2);
    assert_true(fixture_wait(is_opened, &question, 20));
    keep(&t, 0, backup);
    t.nodes[0] = fixture_start(t.folders[0]);
    cut(&t, 0, 2);
    cut(&t, 1, 2);
    t.nodes[2] = fixture_start(t.folders[2]);
    assert_ok(ent_receive(t.nodes[2], ent_buf_bytes(&half.bytes), NULL, NULL, &received, &err));
    await_next_second();
    restart(&t, 1); /* can reach Cobalt again, and brings the other half */
    assert_true(fixture_wait(everywhere, &t, 60));
    assert_true(fixture_wait(third_partys_receipts_too, &t, 60));
    assert_true(fixture_wait(aurora_was_told, &t, 60));
    put_back(&t, 0, backup);
    assert_true(fixture_wait(third_partys_receipts_too, &t, 60));
    assert_true(fixture_wait(counts_alike, &(alike_question){&t, {{0}}}, 60));
    ent_received_release(&received);
    ent_packed_release(&half);
    ent_free(backup);
    three_release(&t);
}

/* Boreal's log as Cobalt carries it to Aurora, without any receipt. */
static void carry_bare(const three *t)
{
    ent_err err = {0};
    ent_packed packed;
    ent_pouch pouch = {0};
    ent_buf bytes = {0};
    ent_received received = {0};
    ent_store_log log;
    ent_channel_log(channel_of(t, 0), 1, &log);
    assert_ok(ent_pack_again(t->nodes[2], channel_of(t, 2), 1, 0, log.tree.size, &packed, &err));
    assert_ok(ent_pouch_parse(ent_buf_bytes(&packed.bytes), &pouch, &err));
    pouch.receipt_count = 0;
    assert_ok(ent_pouch_put(&bytes, &pouch, &err));
    assert_ok(ent_receive(t->nodes[0], ent_buf_bytes(&bytes), NULL, NULL, &received, &err));
    assert_int_equal(received.new_count, EACH);
    ent_received_release(&received);
    ent_buf_release(&bytes);
    ent_pouch_release(&pouch);
    ent_packed_release(&packed);
}

/* Who carries it knows of no receipt by Aurora, so Aurora gives a second one: the first is what all count, once Boreal
 * has seen the second. */
static void test_three__receipt_given_twice_counts_from_the_first_on(void **state)
{
    (void)state;
    three t;
    three_make(&t);
    char *backup = fixture_path(t.root, "backup");
    keep(&t, 0, backup);
    t.nodes[0] = fixture_start(t.folders[0]);
    say_some(&t, 1, 1);
    assert_true(fixture_wait(everywhere, &t, 60));
    ent_node_stop(t.nodes[1]);
    t.nodes[1] = NULL;
    cut(&t, 2, 0);
    put_back(&t, 0, backup);
    await_next_second();
    carry_bare(&t);
    restart(&t, 2); /* can reach Aurora again */
    t.nodes[1] = fixture_start(t.folders[1]);
    assert_true(fixture_wait(everywhere, &t, 60));
    assert_true(fixture_wait(counts_alike, &(alike_question){&t, {{0}}}, 60));
    assert_same(&t);
    ent_free(backup);
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

/* A card of Cobalt under a root key that nobody knows. */
static void make_strange_card(const three *t, ent_buf *ret)
{
    ent_err err = {0};
    ent_paths paths = {0};
    ent_root *root = NULL;
    ent_card card = ent_node_card(t->nodes[2])->card.card;
    card.root = ent_node_card(t->nodes[0])->card.card.root;
    card.serial++;
    card.has_previous = true;
    card.previous = ent_node_card(t->nodes[2])->card.text_hash;
    assert_ok(ent_paths_make(t->folders[0], &paths, &err));
    assert_ok(ent_root_open(paths.root, (ent_bytes){NULL, 0}, &card.root, &root, &err));
    assert_ok(ent_root_card(root, &card, ret, &err));
    ent_root_free(root);
    ent_paths_release(&paths);
}

/* Aurora brings a card of Cobalt that does not fit what Boreal knows: Cobalt's doing, and no reason to refuse Aurora.
 * In Cobalt's own pouch it is one. */
static void test_three__a_third_partys_card_stops_nobodys_log(void **state)
{
    (void)state;
    three t;
    ent_err err = {0};
    ent_buf card = {0};
    three_make(&t);
    say_some(&t, 0, 1);
    say_some(&t, 2, 3);
    assert_true(fixture_wait(everywhere, &t, 60));
    make_strange_card(&t, &card);
    for (unsigned of = 0; of < PARTIES; of += 2) {
        ent_packed packed;
        ent_pouch pouch = {0};
        ent_buf bytes = {0};
        ent_received received = {0};
        ent_pouch_item item = {.party = ent_text_of(names[2]), .data = ent_buf_bytes(&card)};
        assert_ok(ent_pack_again(t.nodes[0], channel_of(&t, 0), of, 1, EACH, &packed, &err));
        assert_ok(ent_pouch_parse(ent_buf_bytes(&packed.bytes), &pouch, &err));
        pouch.cards = &item;
        pouch.card_count = 1;
        assert_ok(ent_pouch_put(&bytes, &pouch, &err));
        ent_rc rc = ent_receive(t.nodes[1], ent_buf_bytes(&bytes), NULL, NULL, &received, &err);
        assert_int_equal(rc.code, of == 0 ? ENT_OK : ENT_PEER_MISMATCH);
        assert_int_equal(ent_channel_keys(channel_of(&t, 1), 2)->serial, 0);
        ent_received_release(&received);
        ent_buf_release(&bytes);
        ent_pouch_release(&pouch);
        ent_packed_release(&packed);
    }
    ent_buf_release(&card);
    three_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three__every_log_and_every_receipt_reaches_everybody),
        cmocka_unit_test(test_three__who_was_away_catches_up),
        cmocka_unit_test(test_three__who_cannot_be_reached_gets_all_from_the_third),
        cmocka_unit_test(test_three__who_was_away_while_two_talked_catches_up),
        cmocka_unit_test(test_three__who_was_away_for_long_gets_all_from_one),
        cmocka_unit_test(test_three__first_receipt_is_given_whoever_carries_it),
        cmocka_unit_test(test_three__receipts_that_were_forgotten_are_told_again),
        cmocka_unit_test(test_three__receipt_given_twice_counts_from_the_first_on),
        cmocka_unit_test(test_three__proof_carries_the_receipts_of_both),
        cmocka_unit_test(test_three__a_third_partys_card_stops_nobodys_log),
    };
    return cmocka_run_group_tests_name("node-three", tests, NULL, NULL);
}
