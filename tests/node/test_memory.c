/* Out of memory, at each allocation in turn: the call says so, leaks nothing, and works the next time. What goes
 * through the sequencer is in test_sequencer.c. */
#include "fixture.h"

#include "base/alloc.h"
#include "node/account.h"
#include "node/channel.h"
#include "node/channel_list.h"
#include "node/events.h"
#include "node/invite.h"
#include "node/ledgers.h"
#include "node/message_row.h"
#include "node/opener.h"
#include "node/pack.h"
#include "node/peer.h"
#include "node/receipt.h"
#include "node/receive.h"
#include "node/sequencer.h"

#include <unistd.h>

/* Two air-gapped parties with an open channel and a message of Aurora's in it; all their threads are idle. */
typedef struct {
    fixture_pair pair;
    ent_node *node; /* Boreal's, which received it */
    ent_channel *channel;
    ent_buf pouch;
} scene;

static void carry(const fixture_pair *pair, unsigned from, ent_buf *ret)
{
    ent_packed packed;
    ent_received received = {0};
    ent_err err = {0};
    const ent_channel *channel = fixture_channel(pair, from);
    assert_ok(ent_sequencer_flush(pair->nodes[from], &err));
    assert_ok(
        ent_pack(pair->nodes[from], fixture_channel(pair, from), channel->self, 1 - channel->self, &packed, &err));
    assert_ok(ent_receive(pair->nodes[1 - from], ent_buf_bytes(&packed.bytes), NULL, NULL, &received, &err));
    ent_received_release(&received);
    if (ret != NULL)
        *ret = packed.bytes;
    else
        ent_packed_release(&packed);
}

static void scene_make(scene *ret)
{
    ent_err err = {0};
    ent_text with[] = {ENT_TEXT("boreal.example")};
    ent_opening opening = {.with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}"))};
    ent_channel *channel = NULL;
    uint64_t index = 0;
    *ret = (scene){.node = NULL};
    fixture_pair *pair = &ret->pair;
    fixture_pair_make_apart(pair);
    fixture_introduce(pair->nodes[AURORA], pair->nodes[BOREAL]);
    opening.alias = ENT_TEXT("north");
    assert_ok(ent_channel_open(pair->nodes[AURORA], &opening, &channel, &err));
    pair->channel = channel->id;
    carry(pair, AURORA, NULL);
    assert_ok(ent_channel_accept(pair->nodes[BOREAL], fixture_channel(pair, BOREAL), ENT_TEXT("south"), &err));
    carry(pair, BOREAL, NULL);
    assert_ok(fixture_say(pair->nodes[AURORA], channel, fixture_mark_of(1, 2, 3), &index, &err));
    carry(pair, AURORA, &ret->pouch);
    carry(pair, BOREAL, NULL); /* the receipts of each other's logs */
    carry(pair, AURORA, NULL);
    fixture_pair_settle(pair, 20);
    (void)usleep(500000); /* signatures are stored */
    ret->node = pair->nodes[BOREAL];
    ret->channel = fixture_channel(pair, BOREAL);
}

static void scene_release(scene *s)
{
    ent_buf_release(&s->pouch);
    fixture_pair_release(&s->pair);
}

/* Fail each allocation of a call in turn, until it succeeds with none failed. */
static void exhaust(scene *s, ent_rc (*call)(scene *s, ent_err *err))
{
    unsigned long nth = 1;
    for (; nth < 20000; nth++) {
        ent_err err = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = call(s, &err);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK && !reached)
            break;
        if (rc.code != ENT_OK)
            assert_string_equal(ent_code_word(rc.code), ent_code_word(ENT_NOMEM));
    }
    assert_in_range(nth, 2, 19999);
}

static ent_rc make_channel(scene *s, ent_err *err)
{
    ent_channel *channel = NULL;
    ENT_TRY(ent_channel_new(s->node, ent_buf_bytes(&s->channel->genesis_bytes), &channel, err));
    ent_channel_free(channel);
    return ENT_DONE;
}

static ent_rc pack(scene *s, ent_err *err)
{
    ent_packed packed;
    ENT_TRY(ent_pack(s->pair.nodes[AURORA], fixture_channel(&s->pair, AURORA), 0, 1, &packed, err));
    ent_packed_release(&packed);
    return ENT_DONE;
}

/* Of another member's log, for a third, with heads that its entries ack. */
static ent_rc pack_for_a_third(scene *s, ent_err *err)
{
    ent_packed packed;
    ENT_TRY(ent_pack(s->node, s->channel, 0, 2, &packed, err));
    ent_packed_release(&packed);
    ENT_TRY(ent_pack_again(s->node, s->channel, 0, 2, 1, &packed, err));
    ent_packed_release(&packed);
    return ENT_DONE;
}

static ent_rc receive_what_is_held(scene *s, ent_err *err)
{
    ent_received received;
    ENT_TRY(ent_receive(s->node, ent_buf_bytes(&s->pouch), NULL, NULL, &received, err));
    assert_int_equal(received.new_count, 0);
    ent_received_release(&received);
    return ENT_DONE;
}

static ent_rc receive_what_is_damaged(scene *s, ent_err *err)
{
    ent_received received;
    s->pouch.data[s->pouch.size - 1500] ^= 1;
    ent_rc rc = ent_receive(s->node, ent_buf_bytes(&s->pouch), NULL, NULL, &received, err);
    s->pouch.data[s->pouch.size - 1500] ^= 1;
    assert_int_not_equal(rc.code, ENT_OK);
    return ent_code_class(rc.code) == ENT_CLASS_PEER ? ENT_DONE : rc;
}

static ent_rc read_rows(scene *s, ent_err *err)
{
    ent_rows rows;
    ENT_TRY(ent_rows_read(s->node, s->channel, 100, &rows, err));
    ent_rows_release(&rows);
    return ENT_DONE;
}

static ent_rc read_entry(scene *s, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_entry entry;
    return ent_channel_entry(s->node, s->channel, 0, 1, &arena, &bytes, &entry, err);
}

static ent_rc open_body(scene *s, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    return ent_open_body(s->node, s->channel, 0, 1, &plain, &verdict, err);
}

static ent_rc find_receipt(scene *s, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    return ent_receipt_covering(s->node, s->channel, 0, 2, &note, err);
}

static ent_rc read_terms(scene *s, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    return ent_channel_terms(s->node, s->channel, &terms, err);
}

static ent_rc read_card(scene *s, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_card_opened card;
    ENT_TRY(ent_peer_card(s->node, ENT_TEXT("aurora.example"), &bytes, &card, err));
    ent_card_release(&card);
    return ENT_DONE;
}

static ent_rc make_ledger(scene *s, ent_err *err)
{
    ent_ledger *ledger = NULL;
    ent_ledgers_forget(s->channel);
    ENT_TRY(ent_ledgers_lock_evidence(s->node, s->channel, &ledger, err));
    bool whole = ent_ledger_size(ledger, 0) == 2 && ent_ledger_size(ledger, 1) == 1;
    ent_ledgers_unlock(s->channel);
    assert_true(whole);
    return ENT_DONE;
}

static ent_rc read_account(scene *s, ent_err *err)
{
    ent_account account;
    ENT_TRY(ent_account_read(s->node, s->channel, (ent_account_time){0}, &account, err));
    assert_int_equal(account.duties.count, 1);
    ent_account_release(&account);
    return ENT_DONE;
}

static void test_memory__failed_at_any_allocation_of_a_call_it_says_so_and_goes_on(void **state)
{
    (void)state;
    static ent_rc (*const calls[])(scene *, ent_err *) = {make_channel,
                                                          pack,
                                                          receive_what_is_held,
                                                          receive_what_is_damaged,
                                                          read_rows,
                                                          read_entry,
                                                          open_body,
                                                          find_receipt,
                                                          read_terms,
                                                          read_card,
                                                          make_ledger,
                                                          read_account};
    scene s;
    scene_make(&s);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        exhaust(&s, calls[i]);
    fixture_pair_assert_same(&s.pair);
    scene_release(&s);
}

/* Boreal's certificate asks Aurora which channels they share. */
static ent_rc list_channels(scene *s, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf list = {0};
    ent_hash pin = s->channel->genesis.members[1].tls;
    ENT_TRY(ent_channel_list_put(s->pair.nodes[AURORA], &pin, NULL, &list, err));
    assert_int_equal(list.size, ENT_CHANNEL_LIST_LINE);
    return ENT_DONE;
}

/* A channel comes back that is not forgotten at all: all of it is checked, and then it is known. */
static ent_rc take_back_channel(scene *s, ent_err *err)
{
    ent_packed packed;
    ENT_TRY(ent_pack_again(s->pair.nodes[AURORA], fixture_channel(&s->pair, AURORA), 0, 1, 0, &packed, err));
    ent_rc rc = ent_invite_forgotten(s->node, ent_buf_bytes(&packed.bytes), ent_text_of(packed.origin), err);
    ent_packed_release(&packed);
    return rc.code == ENT_RETRY ? ENT_DONE : rc;
}

typedef struct {
    ent_job job;
    const ent_channel *channel;
} forgetting;

static ent_rc apply_forgetting(ent_job *job, ent_node *node, ent_err *err)
{
    const forgetting *work = (const forgetting *)job;
    ent_store_delivery delivery;
    ENT_TRY(node->store->engine->delivery_get(node->store, work->channel->members[0].log.number, 1, &delivery, err));
    assert_true(delivery.confirmed > 0);
    delivery.confirmed = 0;
    return node->store->engine->delivery_put(node->store, &delivery, err);
}

/* Boreal has said that it holds nothing: its own receipts go along, and it takes them. */
static void test_memory__failed_at_any_allocation_of_telling_again_it_says_so(void **state)
{
    (void)state;
    scene s;
    ent_packed packed;
    ent_pouch pouch = {0};
    ent_err err = {0};
    scene_make(&s);
    ent_node *aurora = s.pair.nodes[AURORA];
    forgetting work = {.job = {.apply = apply_forgetting}, .channel = fixture_channel(&s.pair, AURORA)};
    assert_ok(ent_sequencer_run(aurora, &work.job, &err));
    assert_ok(ent_pack(aurora, fixture_channel(&s.pair, AURORA), 0, 1, &packed, &err));
    assert_ok(ent_pouch_parse(ent_buf_bytes(&packed.bytes), &pouch, &err));
    assert_true(pouch.receipt_count > 0 && ent_text_is(pouch.receipts[0].party, "boreal.example"));
    ent_pouch_release(&pouch);
    exhaust(&s, pack);
    exhaust(&s, list_channels);
    exhaust(&s, take_back_channel);
    ent_buf_release(&s.pouch);
    s.pouch = packed.bytes;
    exhaust(&s, receive_what_is_held);
    scene_release(&s);
}

static void carry_log(const scene *s, const ent_hash *id, unsigned from)
{
    ent_packed packed;
    ent_received received = {0};
    ent_err err = {0};
    ent_node *node = s->pair.nodes[from];
    assert_ok(ent_sequencer_flush(node, &err));
    assert_ok(ent_pack(node, ent_channel_find(node, id), from, 1 - from, &packed, &err)); /* members are by name */
    assert_ok(ent_receive(s->pair.nodes[1 - from], ent_buf_bytes(&packed.bytes), NULL, NULL, &received, &err));
    ent_received_release(&received);
    ent_packed_release(&packed);
}

static bool is_opened(void *context)
{
    const scene *s = context;
    ent_store_log log;
    ent_channel_log(s->channel, 1, &log);
    return log.opened == log.tree.size && log.tree.size == 1;
}

/* A channel with Cobalt, who never answers: Boreal holds what Aurora said after it had acked Boreal. */
static void add_a_third(scene *s)
{
    ent_err err = {0};
    ent_channel *channel = NULL;
    uint64_t index = 0;
    ent_text with[] = {ENT_TEXT("boreal.example"), ENT_TEXT("cobalt.example")};
    ent_opening opening = {.with = with, .with_count = 2, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}"))};
    char *folder = fixture_path(s->pair.root, "cobalt");
    fixture_party_make(folder, "cobalt.example", 0);
    ent_node *cobalt = fixture_start(folder);
    fixture_introduce(s->pair.nodes[AURORA], cobalt);
    fixture_introduce(s->pair.nodes[BOREAL], cobalt);
    ent_node_stop(cobalt);
    ent_free(folder);
    assert_ok(ent_channel_open(s->pair.nodes[AURORA], &opening, &channel, &err));
    carry_log(s, &channel->id, AURORA);
    s->channel = ent_channel_find(s->pair.nodes[BOREAL], &channel->id);
    assert_ok(ent_channel_accept(s->pair.nodes[BOREAL], s->channel, ENT_TEXT("three"), &err));
    carry_log(s, &channel->id, BOREAL);
    scene aurora = {.channel = channel};
    assert_true(fixture_wait(is_opened, &aurora, 20));
    assert_ok(fixture_say(s->pair.nodes[AURORA], channel, fixture_mark_of(1, 2, 4), &index, &err));
    carry_log(s, &channel->id, AURORA);
    (void)usleep(500000); /* signatures are stored */
}

static void test_memory__failed_at_any_allocation_of_carrying_for_a_third_it_says_so(void **state)
{
    (void)state;
    scene s;
    ent_packed packed;
    ent_pouch pouch = {0};
    ent_err err = {0};
    scene_make(&s);
    add_a_third(&s);
    assert_ok(ent_pack(s.node, s.channel, 0, 2, &packed, &err));
    assert_ok(ent_pouch_parse(ent_buf_bytes(&packed.bytes), &pouch, &err));
    assert_int_equal(pouch.size, 2);
    assert_int_equal(pouch.head_count, 1); /* Boreal's own, which Aurora's entry acks */
    ent_pouch_release(&pouch);
    ent_packed_release(&packed);
    exhaust(&s, pack_for_a_third);
    scene_release(&s);
}

static void test_memory__failed_at_any_allocation_of_a_start_it_ends_cleanly(void **state)
{
    (void)state;
    char *root = fixture_folder_make();
    char *folder = fixture_path(root, "party");
    ent_node *node = NULL;
    unsigned long nth = 1;
    fixture_party_make(folder, "north.example", fixture_port());
    for (; nth < 20000 && node == NULL; nth++) {
        ent_err err = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = fixture_node_start(folder, &node, &err);
        ent_alloc_fail_at(0);
        assert_true(rc.code == ENT_OK || rc.code == ENT_NOMEM);
        assert_int_equal(rc.code == ENT_OK, node != NULL);
    }
    assert_in_range(nth, 2, 19999);
    ent_node_stop(node);
    ent_free(folder);
    fixture_folder_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__failed_at_any_allocation_of_a_call_it_says_so_and_goes_on),
        cmocka_unit_test(test_memory__failed_at_any_allocation_of_telling_again_it_says_so),
        cmocka_unit_test(test_memory__failed_at_any_allocation_of_carrying_for_a_third_it_says_so),
        cmocka_unit_test(test_memory__failed_at_any_allocation_of_a_start_it_ends_cleanly),
    };
    return cmocka_run_group_tests_name("node-memory", tests, NULL, NULL);
}
