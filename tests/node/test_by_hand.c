/* Two air-gapped nodes: pouches travel as files, in any order, more than once, and damaged. */
#include "fixture.h"

#include "node/channel.h"
#include "node/invite.h"
#include "node/peer.h"
#include "node/rotate.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const aliases[] = {"north", "south"};
static const char *const names[] = {"aurora.example", "boreal.example"};

/* Aurora opens a channel; nothing has travelled. */
static void open_here(fixture_pair *pair)
{
    ent_err err = {0};
    ent_text with[] = {ENT_TEXT("boreal.example")};
    ent_opening opening = {.with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}"))};
    ent_channel *channel = NULL;
    opening.alias = ENT_TEXT("north");
    assert_ok(ent_channel_open(pair->nodes[AURORA], &opening, &channel, &err));
    pair->channel = channel->id;
}

static void export_pouch(const fixture_pair *pair, unsigned from, ent_buf *ret)
{
    char path[256];
    (void)snprintf(path, sizeof path, "pouches?channel=%s&to=%s", aliases[from], names[1 - from]);
    ent_buf_clear(ret);
    assert_int_equal(fixture_api_bytes(pair->folders[from], "GET", path, (ent_bytes){NULL, 0}, ret), 200);
}

static int import_bytes(const fixture_pair *pair, unsigned to, ent_bytes pouch)
{
    return fixture_api_bytes(pair->folders[to], "POST", "pouches", pouch, NULL);
}

static void assert_imported(const fixture_pair *pair, unsigned to, ent_bytes pouch, const char *state, uint64_t new)
{
    ent_buf answer = {0};
    ent_json *json = NULL;
    ent_err err = {0};
    uint64_t count = 0;
    assert_int_equal(fixture_api_bytes(pair->folders[to], "POST", "pouches", pouch, &answer), 200);
    assert_ok(ent_json_parse(ent_buf_bytes(&answer), &json, &err));
    ent_json_value root = ent_json_root(json);
    ent_text told = ent_json_string(ent_json_get(root, "state"));
    if (!ent_text_is(told, state))
        fail_msg("%.*s instead of %s", ENT_TEXT_ARG(told), state);
    assert_true(ent_json_unsigned(ent_json_get(root, "new"), UINT64_MAX >> 1, &count));
    assert_int_equal(count, new);
    ent_json_free(json);
    ent_buf_release(&answer);
}

static void carry(const fixture_pair *pair, unsigned from, const char *state, uint64_t new)
{
    ent_buf pouch = {0};
    export_pouch(pair, from, &pouch);
    assert_imported(pair, 1 - from, ent_buf_bytes(&pouch), state, new);
    ent_buf_release(&pouch);
}

static void accept_there(const fixture_pair *pair)
{
    ent_err err = {0};
    assert_ok(ent_channel_accept(pair->nodes[BOREAL], fixture_channel(pair, BOREAL), ENT_TEXT("south"), &err));
}

static void make_open(fixture_pair *pair)
{
    fixture_pair_make_apart(pair);
    fixture_introduce(pair->nodes[AURORA], pair->nodes[BOREAL]);
    open_here(pair);
    carry(pair, AURORA, "invited", 1);
    accept_there(pair);
    carry(pair, BOREAL, "receipted", 1);
}

static ent_channel_state state_of(const fixture_pair *pair, unsigned who)
{
    return ent_channel_state_now(fixture_channel(pair, who));
}

static uint64_t size_of(const fixture_pair *pair, unsigned who, unsigned writer)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), writer, &log); /* members are sorted by name: aurora is 0 */
    return log.tree.size;
}

static uint64_t confirmed(const fixture_pair *pair, unsigned who)
{
    ent_store_delivery delivery;
    ent_err err = {0};
    const ent_channel *channel = fixture_channel(pair, who);
    assert_ok(pair->nodes[who]->store->engine->delivery_get(
        pair->nodes[who]->store, channel->members[channel->self].log.number, 1 - channel->self, &delivery, &err));
    return delivery.confirmed;
}

static void say_some(const fixture_pair *pair, unsigned who, unsigned count)
{
    ent_err err = {0};
    uint64_t index = 0;
    for (unsigned i = 0; i < count; i++)
        assert_ok(fixture_say(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, 1, i), &index, &err));
}

static void test_by_hand__opened_accepted_said_and_receipted_without_a_network(void **state)
{
    (void)state;
    fixture_pair pair;
    make_open(&pair);
    assert_int_equal(state_of(&pair, AURORA), ENT_CHANNEL_OPEN);
    assert_int_equal(state_of(&pair, BOREAL), ENT_CHANNEL_OPEN);
    assert_int_equal(confirmed(&pair, AURORA), 1); /* the receipt came along with Boreal's entry 0 */
    say_some(&pair, AURORA, 3);
    carry(&pair, AURORA, "receipted", 3);
    assert_int_equal(confirmed(&pair, AURORA), 1);
    carry(&pair, BOREAL, "receipted", 0); /* nothing new but the receipts */
    assert_int_equal(confirmed(&pair, AURORA), 4);
    carry(&pair, AURORA, "receipted", 0);
    assert_int_equal(confirmed(&pair, BOREAL), 1);
    fixture_pair_settle(&pair, 20);
    fixture_pair_assert_same(&pair);
    fixture_pair_release(&pair);
}

static void test_by_hand__again_overlapping_late_or_back_home_changes_nothing(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf first = {0};
    ent_buf second = {0};
    make_open(&pair);
    say_some(&pair, AURORA, 2);
    export_pouch(&pair, AURORA, &first); /* entries 1 and 2 */
    say_some(&pair, AURORA, 2);
    export_pouch(&pair, AURORA, &second); /* entries 1 to 4 */
    assert_imported(&pair, BOREAL, ent_buf_bytes(&first), "receipted", 2);
    assert_imported(&pair, BOREAL, ent_buf_bytes(&first), "receipted", 0);
    assert_imported(&pair, BOREAL, ent_buf_bytes(&second), "receipted", 2);
    assert_imported(&pair, BOREAL, ent_buf_bytes(&first), "receipted", 0);
    assert_imported(&pair, AURORA, ent_buf_bytes(&second), "carried", 0);
    assert_int_equal(size_of(&pair, BOREAL, AURORA), 5);
    carry(&pair, BOREAL, "receipted", 0);
    assert_int_equal(confirmed(&pair, AURORA), 5);
    fixture_pair_assert_same(&pair);
    ent_buf_release(&first);
    ent_buf_release(&second);
    fixture_pair_release(&pair);
}

static void test_by_hand__pouch_that_begins_beyond_what_is_held_is_refused(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf pouch = {0};
    make_open(&pair);
    say_some(&pair, AURORA, 2);
    carry(&pair, AURORA, "receipted", 2);
    carry(&pair, BOREAL, "receipted", 0);
    char *store = fixture_path(pair.folders[BOREAL], "store");
    char *backup = fixture_path(pair.root, "backup");
    fixture_pair_stop(&pair, BOREAL);
    fixture_folder_copy(store, backup);
    fixture_pair_start(&pair, BOREAL);
    say_some(&pair, AURORA, 1);
    carry(&pair, AURORA, "receipted", 1);
    carry(&pair, BOREAL, "receipted", 0); /* Aurora now knows that Boreal holds 4 */
    fixture_pair_stop(&pair, BOREAL);
    fixture_folder_copy(backup, store); /* and Boreal forgets one */
    fixture_pair_start(&pair, BOREAL);
    say_some(&pair, AURORA, 1);
    export_pouch(&pair, AURORA, &pouch);
    assert_int_equal(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouch)), ent_code_http_status(ENT_PEER_STALE));
    assert_int_equal(size_of(&pair, BOREAL, AURORA), 3);
    ent_buf_release(&pouch);
    ent_free(store);
    ent_free(backup);
    fixture_pair_release(&pair);
}

/* Wherever a byte is another one, the pouch is refused and nothing is stored. */
static void test_by_hand__changed_byte_anywhere_is_refused(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf pouch = {0};
    make_open(&pair);
    say_some(&pair, AURORA, 2);
    export_pouch(&pair, AURORA, &pouch);
    for (size_t at = 0; at < pouch.size; at += 61) {
        pouch.data[at] ^= (uint8_t)(1u << (at % 8));
        int status = import_bytes(&pair, BOREAL, ent_buf_bytes(&pouch));
        if (status < 400 || status >= 500 || size_of(&pair, BOREAL, AURORA) != 1)
            fail_msg("a changed byte at %zu was answered %d", at, status);
        pouch.data[at] ^= (uint8_t)(1u << (at % 8));
    }
    for (size_t cut = 1; cut < pouch.size; cut += 700)
        assert_in_range(import_bytes(&pair, BOREAL, ent_bytes_of(pouch.data, pouch.size - cut)), 400, 499);
    assert_int_equal(size_of(&pair, BOREAL, AURORA), 1);
    assert_imported(&pair, BOREAL, ent_buf_bytes(&pouch), "receipted", 2);
    ent_buf_release(&pouch);
    fixture_pair_release(&pair);
}

static void test_by_hand__invitation_of_an_unknown_party_or_changed_is_refused(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf pouch = {0};
    ent_peer peer;
    ent_err err = {0};
    fixture_pair_make_apart(&pair);
    assert_ok(
        ent_peer_add(pair.nodes[AURORA], ent_buf_bytes(&ent_node_card(pair.nodes[BOREAL])->bytes), NULL, &peer, &err));
    open_here(&pair);
    export_pouch(&pair, AURORA, &pouch);
    assert_int_equal(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouch)), 403);
    assert_ok(
        ent_peer_add(pair.nodes[BOREAL], ent_buf_bytes(&ent_node_card(pair.nodes[AURORA])->bytes), NULL, &peer, &err));
    for (size_t at = 0; at < pouch.size; at += 97) {
        pouch.data[at] ^= 4;
        int status = import_bytes(&pair, BOREAL, ent_buf_bytes(&pouch));
        if (status < 400 || status >= 500 || ent_channel_at(pair.nodes[BOREAL], 0) != NULL)
            fail_msg("a changed byte at %zu was answered %d", at, status);
        pouch.data[at] ^= 4;
    }
    assert_imported(&pair, BOREAL, ent_buf_bytes(&pouch), "invited", 1);
    ent_buf_release(&pouch);
    fixture_pair_release(&pair);
}

typedef struct {
    const fixture_pair *pair;
    ent_bytes pouch;
    int status;
    int code;
    pthread_t thread;
} actor;

static void *import_it(void *context)
{
    actor *self = context;
    self->status = import_bytes(self->pair, BOREAL, self->pouch);
    return NULL;
}

static void *accept_it(void *context)
{
    actor *self = context;
    ent_err err = {0};
    self->code =
        ent_channel_accept(self->pair->nodes[BOREAL], fixture_channel(self->pair, BOREAL), ENT_TEXT("south"), &err)
            .code;
    return NULL;
}

static void act_together(const fixture_pair *pair, ent_bytes pouch, void *(*act)(void *), actor *actors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        actors[i] = (actor){.pair = pair, .pouch = pouch};
        assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(actors[i].thread, NULL);
}

static void test_by_hand__the_same_invitation_at_once_is_one_channel(void **state)
{
    (void)state;
    for (int tries = 0; tries < 5; tries++) {
        fixture_pair pair;
        ent_buf pouch = {0};
        actor actors[6];
        fixture_pair_make_apart(&pair);
        fixture_introduce(pair.nodes[AURORA], pair.nodes[BOREAL]);
        open_here(&pair);
        export_pouch(&pair, AURORA, &pouch);
        act_together(&pair, ent_buf_bytes(&pouch), import_it, actors, 6);
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(actors[i].status, 200);
        assert_non_null(ent_channel_at(pair.nodes[BOREAL], 0));
        assert_null(ent_channel_at(pair.nodes[BOREAL], 1));
        act_together(&pair, ent_buf_bytes(&pouch), accept_it, actors, 6);
        size_t accepted = 0;
        for (size_t i = 0; i < 6; i++) {
            accepted += actors[i].code == ENT_OK;
            assert_true(actors[i].code == ENT_OK || ent_code_class(actors[i].code) == ENT_CLASS_REFUSED ||
                        ent_code_class(actors[i].code) == ENT_CLASS_USAGE);
        }
        assert_int_equal(accepted, 1);
        assert_int_equal(size_of(&pair, BOREAL, BOREAL), 1);
        assert_int_equal(size_of(&pair, BOREAL, AURORA), 1);
        carry(&pair, BOREAL, "receipted", 1);
        fixture_pair_assert_same(&pair);
        ent_buf_release(&pouch);
        fixture_pair_release(&pair);
    }
}

static void test_by_hand__refused_stays_refused(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_buf pouch = {0};
    ent_err err = {0};
    fixture_pair_make_apart(&pair);
    fixture_introduce(pair.nodes[AURORA], pair.nodes[BOREAL]);
    open_here(&pair);
    export_pouch(&pair, AURORA, &pouch);
    assert_imported(&pair, BOREAL, ent_buf_bytes(&pouch), "invited", 1);
    assert_ok(ent_channel_refuse(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL), &err));
    for (int starts = 0; starts < 2; starts++) {
        assert_int_equal(state_of(&pair, BOREAL), ENT_CHANNEL_REFUSED);
        assert_int_equal(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouch)), 403);
        assert_fails(ent_channel_accept(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL), ENT_TEXT(""), &err),
                     ENT_REFUSED);
        assert_fails(ent_channel_refuse(pair.nodes[BOREAL], fixture_channel(&pair, BOREAL), &err), ENT_REFUSED);
        fixture_pair_stop(&pair, BOREAL);
        fixture_pair_start(&pair, BOREAL);
    }
    ent_buf_release(&pouch);
    fixture_pair_release(&pair);
}

/* An acceptance under a name that is taken is refused whole: it can be accepted under another. */
static void test_by_hand__alias_that_is_taken_is_refused_and_the_invitation_stays(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    make_open(&pair);
    ent_text with[] = {ENT_TEXT("boreal.example")};
    ent_opening opening = {.with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{\"v\":2}"))};
    ent_channel *second = NULL;
    ent_buf pouch = {0};
    char path[256];
    opening.alias = ENT_TEXT("north");
    assert_fails(ent_channel_open(pair.nodes[AURORA], &opening, &second, &err), ENT_USAGE);
    opening.alias = ENT_TEXT("north-2");
    assert_ok(ent_channel_open(pair.nodes[AURORA], &opening, &second, &err));
    (void)snprintf(path, sizeof path, "pouches?channel=north-2&to=boreal.example");
    assert_int_equal(fixture_api_bytes(pair.folders[AURORA], "GET", path, (ent_bytes){NULL, 0}, &pouch), 200);
    assert_imported(&pair, BOREAL, ent_buf_bytes(&pouch), "invited", 1);
    ent_channel *invited = ent_channel_find(pair.nodes[BOREAL], &second->id);
    assert_fails(ent_channel_accept(pair.nodes[BOREAL], invited, ENT_TEXT("south"), &err), ENT_USAGE);
    assert_fails(ent_channel_accept(pair.nodes[BOREAL], invited, ENT_TEXT("Not An Alias"), &err), ENT_USAGE);
    assert_int_equal(ent_channel_state_now(invited), ENT_CHANNEL_INVITED);
    assert_ok(ent_channel_accept(pair.nodes[BOREAL], invited, ENT_TEXT("south-2"), &err));
    ent_buf_release(&pouch);
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand__opened_accepted_said_and_receipted_without_a_network),
        cmocka_unit_test(test_by_hand__again_overlapping_late_or_back_home_changes_nothing),
        cmocka_unit_test(test_by_hand__pouch_that_begins_beyond_what_is_held_is_refused),
        cmocka_unit_test(test_by_hand__changed_byte_anywhere_is_refused),
        cmocka_unit_test(test_by_hand__invitation_of_an_unknown_party_or_changed_is_refused),
        cmocka_unit_test(test_by_hand__the_same_invitation_at_once_is_one_channel),
        cmocka_unit_test(test_by_hand__refused_stays_refused),
        cmocka_unit_test(test_by_hand__alias_that_is_taken_is_refused_and_the_invitation_stays),
    };
    return cmocka_run_group_tests_name("node-by-hand", tests, NULL, NULL);
}
