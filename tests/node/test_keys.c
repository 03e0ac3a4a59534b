/* Keys that change, carried by hand between two nodes: cards and cutoffs in any order, and bad ones. */
#include "fixture.h"

#include "base/clock.h"
#include "base/config.h"
#include "log/policy.h"
#include "node/channel.h"
#include "node/invite.h"
#include "node/peer.h"
#include "node/proof.h"
#include "node/rotate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static const char *const aliases[] = {"north", "south"};
static const char *const names[] = {"aurora.example", "boreal.example"};
static const ent_bytes none = {NULL, 0};

static void export_pouch(const fixture_pair *pair, unsigned from, ent_buf *ret)
{
    char path[256];
    (void)snprintf(path, sizeof path, "pouches?channel=%s&to=%s", aliases[from], names[1 - from]);
    ent_buf_clear(ret);
    assert_int_equal(fixture_api_bytes(pair->folders[from], "GET", path, none, ret), 200);
}

static int import_bytes(const fixture_pair *pair, unsigned to, ent_bytes pouch, ent_buf *ret_answer)
{
    return fixture_api_bytes(pair->folders[to], "POST", "pouches", pouch, ret_answer);
}

static void carry(const fixture_pair *pair, unsigned from)
{
    ent_buf pouch = {0};
    export_pouch(pair, from, &pouch);
    assert_true(import_bytes(pair, 1 - from, ent_buf_bytes(&pouch), NULL) < 300);
    ent_buf_release(&pouch);
}

static void make_open(fixture_pair *pair)
{
    ent_err err = {0};
    ent_text with[] = {ENT_TEXT("boreal.example")};
    ent_opening opening = {
        .with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{\"v\":1}")), .alias = ENT_TEXT("north")};
    ent_channel *channel = NULL;
    fixture_pair_make_apart(pair);
    fixture_introduce(pair->nodes[AURORA], pair->nodes[BOREAL]);
    assert_ok(ent_channel_open(pair->nodes[AURORA], &opening, &channel, &err));
    pair->channel = channel->id;
    carry(pair, AURORA);
    assert_ok(ent_channel_accept(pair->nodes[BOREAL], fixture_channel(pair, BOREAL), ENT_TEXT("south"), &err));
    carry(pair, BOREAL);
    carry(pair, AURORA);
    carry(pair, BOREAL);
}

static void say(const fixture_pair *pair, unsigned who)
{
    ent_err err = {0};
    uint64_t index = 0;
    assert_ok(fixture_say(pair->nodes[who], fixture_channel(pair, who), fixture_mark_of(who, 1, 0), &index, &err));
}

static uint64_t size_of(const fixture_pair *pair, unsigned who, unsigned writer)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), writer, &log);
    return log.tree.size;
}

static bool frozen(const fixture_pair *pair, unsigned who, unsigned writer)
{
    ent_store_log log;
    ent_channel_log(fixture_channel(pair, who), writer, &log);
    return log.frozen;
}

/* A new log key for Aurora, with a cutoff; the root key of `root` signs the cutoff. */
static void make_rotation(const fixture_pair *pair, ent_cutoff cutoff, unsigned root, ent_buf *ret_card,
                          ent_buf *ret_cutoffs)
{
    ent_err err = {0};
    ent_paths paths = {0};
    ent_paths other = {0};
    ent_root *own_root = NULL;
    ent_root *signer = NULL;
    const ent_own_card *own = ent_node_card(pair->nodes[AURORA]);
    ent_card card = own->card.card;
    ent_cutoffs cutoffs = {.count = 1};
    assert_ok(ent_paths_make(pair->folders[AURORA], &paths, &err));
    assert_ok(ent_paths_make(pair->folders[root], &other, &err));
    card.serial++;
    card.has_previous = true;
    card.previous = own->card.text_hash;
    card.former[card.former_count] =
        (ent_card_former){.role = ENT_KEY_ROLE_LOG, .last = own->card.card.serial, .revoked = cutoff.revoked};
    memcpy(card.former[card.former_count++].value, own->card.card.log.bytes, 32);
    assert_ok(ent_keeper_make_key(paths.keys, card.name, none, ENT_KEY_ROLE_LOG, card.serial, none, card.log.bytes,
                                  NULL, &err));
    assert_ok(ent_root_open(paths.root, none, &card.root, &own_root, &err));
    assert_ok(ent_root_open(other.root, none, &ent_node_card(pair->nodes[root])->card.card.root, &signer, &err));
    assert_ok(ent_root_card(own_root, &card, ret_card, &err));
    cutoff.serial = card.serial;
    cutoffs.rows[0] = cutoff;
    cutoffs.origin = ent_text_of(fixture_channel(pair, AURORA)->members[AURORA].origin);
    assert_ok(ent_root_cutoffs(signer, card.name, &cutoffs, ret_cutoffs, &err));
    ent_root_free(own_root);
    ent_root_free(signer);
    ent_paths_release(&paths);
    ent_paths_release(&other);
}

/* Our log at a size, as the cutoff says it. */
static ent_cutoff cutoff_at(const fixture_pair *pair, uint64_t size, bool revoked)
{
    ent_err err = {0};
    ent_store_log log;
    ent_cutoff cutoff = {.head.size = size, .revoked = revoked};
    ent_channel_log(fixture_channel(pair, AURORA), AURORA, &log);
    ent_store_tiles tiles = {pair->nodes[AURORA]->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    assert_ok(ent_tree_root_at(size, &reader, &cutoff.head.root, &err));
    return cutoff;
}

static void put_bundle(const fixture_pair *pair, const ent_buf *card, const ent_buf *cutoffs, ent_buf *ret)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "card", ent_buf_text(card));
    ent_json_key(&writer, "cutoffs");
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, fixture_channel(pair, AURORA)->id_text, ent_buf_text(cutoffs));
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
}

static ent_code rotate(const fixture_pair *pair, ent_cutoff cutoff, unsigned root, ent_err *err)
{
    ent_buf card = {0};
    ent_buf cutoffs = {0};
    ent_buf bundle = {0};
    make_rotation(pair, cutoff, root, &card, &cutoffs);
    put_bundle(pair, &card, &cutoffs, &bundle);
    ent_rc rc = ent_rotate(pair->nodes[AURORA], ent_buf_bytes(&bundle), err);
    ent_buf_release(&card);
    ent_buf_release(&cutoffs);
    ent_buf_release(&bundle);
    return rc.code;
}

static uint64_t contested(const fixture_pair *pair, unsigned who, uint64_t index)
{
    ent_err err = {0};
    uint64_t serial = 0;
    assert_ok(ent_keys_contested(pair->nodes[who], fixture_channel(pair, who), AURORA, index, &serial, &err));
    return serial;
}

static void test_keys__card_first_by_hand_then_the_cutoff(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_peer peer;
    make_open(&pair);
    uint64_t size = size_of(&pair, AURORA, AURORA);
    assert_int_equal(rotate(&pair, cutoff_at(&pair, size, false), AURORA, &err), ENT_OK);
    assert_int_equal(size_of(&pair, AURORA, AURORA), size + 1); /* the entry that tells of it */
    assert_ok(
        ent_peer_add(pair.nodes[BOREAL], ent_buf_bytes(&ent_node_card(pair.nodes[AURORA])->bytes), NULL, &peer, &err));
    assert_int_equal(peer.serial, 2); /* its log key counts in the channel from the cutoff on */
    assert_int_equal(ent_channel_keys(fixture_channel(&pair, BOREAL), AURORA)->log_count, 1);
    say(&pair, BOREAL);
    carry(&pair, AURORA);
    carry(&pair, BOREAL);
    assert_int_equal(ent_channel_keys(fixture_channel(&pair, BOREAL), AURORA)->log_count, 2);
    assert_int_equal(size_of(&pair, BOREAL, AURORA), size + 1);
    fixture_pair_stop(&pair, BOREAL); /* and it is known after a restart */
    fixture_pair_start(&pair, BOREAL);
    assert_int_equal(ent_channel_keys(fixture_channel(&pair, BOREAL), AURORA)->log_count, 2);
    say(&pair, AURORA);
    carry(&pair, AURORA);
    assert_int_equal(size_of(&pair, BOREAL, AURORA), size_of(&pair, AURORA, AURORA));
    fixture_pair_release(&pair);
}

/* Every head of Aurora's log that a member holds is by the key for its size. */
static void check_heads(const fixture_pair *pair, unsigned who)
{
    ent_err err = {0};
    ent_channel *channel = fixture_channel(pair, who);
    const ent_channel_member *aurora = &channel->members[AURORA];
    ent_store *store = pair->nodes[who]->store;
    ent_tree_head head = {.size = ENT_LOG_MAX_SIZE};
    ent_code code = ENT_OK;
    while (code == ENT_OK && head.size > 1) {
        ent_buf bytes = {0};
        ent_note note = {0};
        ent_checkpoint checkpoint;
        ent_rc rc = store->engine->head_get(store, aurora->log.number, head.size - 1, &head, &bytes, &err);
        code = rc.code;
        assert_true(code == ENT_OK || code == ENT_ABSENT);
        if (code == ENT_OK)
            assert_ok(ent_keys_open_head(ent_channel_keys(channel, AURORA), ent_buf_bytes(&bytes),
                                         ent_text_of(aurora->origin), &note, &checkpoint, &err));
        ent_note_release(&note);
        ent_buf_release(&bytes);
    }
}

typedef struct {
    const fixture_pair *pair;
    atomic_bool stop;
} talker;

static void *talk(void *context)
{
    talker *work = context;
    const struct timespec pause = {.tv_nsec = 3000000};
    while (!atomic_load(&work->stop)) {
        for (unsigned i = 0; i < 4; i++) /* one after the other, with heads under way all the time */
            say(work->pair, AURORA);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void test_keys__nothing_is_signed_by_the_old_key_beyond_the_cutoff(void **state)
{
    (void)state;
    enum { TRIES = 500 };
    fixture_pair pair;
    ent_err err = {0};
    make_open(&pair);
    ent_cutoff early = cutoff_at(&pair, size_of(&pair, AURORA, AURORA), false);
    say(&pair, AURORA);
    assert_int_equal(rotate(&pair, early, AURORA, &err), ENT_RETRY);
    assert_non_null(strstr(err.text, "prepare the rotation again"));
    assert_int_equal(ent_node_card(pair.nodes[AURORA])->card.card.serial, 1);
    uint64_t before = size_of(&pair, AURORA, AURORA);
    say(&pair, AURORA); /* and is signed at once, as before */
    assert_int_equal(ent_channel_signed_size(fixture_channel(&pair, AURORA)), before + 1);

    talker work = {.pair = &pair};
    pthread_t thread;
    ent_code code = ENT_RETRY;
    assert_int_equal(pthread_create(&thread, NULL, talk, &work), 0);
    for (unsigned i = 0; i < TRIES && code == ENT_RETRY; i++)
        code = rotate(&pair, cutoff_at(&pair, size_of(&pair, AURORA, AURORA), false), AURORA, &err);
    atomic_store(&work.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(code, ENT_OK);
    assert_int_equal(ent_channel_signed_size(fixture_channel(&pair, AURORA)), size_of(&pair, AURORA, AURORA));
    say(&pair, AURORA);
    carry(&pair, AURORA);
    assert_int_equal(size_of(&pair, BOREAL, AURORA), size_of(&pair, AURORA, AURORA));
    check_heads(&pair, AURORA);
    check_heads(&pair, BOREAL);
    fixture_pair_release(&pair);
}

static void test_keys__revoked_key_beyond_the_cutoff_is_refused(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_buf old = {0};
    ent_buf answer = {0};
    make_open(&pair);
    uint64_t mutual = size_of(&pair, AURORA, AURORA);
    say(&pair, AURORA);
    export_pouch(&pair, AURORA, &old); /* by the key that is revoked now, and not there yet */
    assert_int_equal(rotate(&pair, cutoff_at(&pair, mutual, true), AURORA, &err), ENT_OK);
    carry(&pair, AURORA);
    assert_int_equal(size_of(&pair, BOREAL, AURORA), mutual + 2);
    assert_int_equal(import_bytes(&pair, BOREAL, ent_buf_bytes(&old), &answer), 422);
    assert_non_null(strstr(ent_buf_string(&answer), "revoked"));
    for (unsigned who = AURORA; who <= BOREAL; who++) { /* what came after the cutoff, and nothing else */
        assert_int_equal(contested(&pair, who, mutual - 1), 0);
        assert_int_equal(contested(&pair, who, mutual), 2);
        assert_int_equal(contested(&pair, who, mutual + 1), 0);
    }
    ent_buf_release(&old);
    ent_buf_release(&answer);
    fixture_pair_release(&pair);
}

/* Whether a proof stands under the keys of its policy, which are those that count now. */
static ENT_RC check_proof(void *context, const ent_message_proof *proof, ent_err *err)
{
    ENT_CLEANUP(ent_policy_release) ent_policy *policy = NULL;
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_tlog_proof parsed = {0};
    ent_policy_result result = {0};
    (void)context;
    ENT_TRY(ent_tlog_proof_parse(ent_text_bytes(proof->proof), &parsed, err));
    ENT_TRY(ent_policy_parse(ent_text_bytes(proof->policy), &policy, err));
    ENT_TRY(ent_note_parse(parsed.checkpoint, &note, err));
    ENT_TRY(ent_policy_check(policy, &note, &result, err));
    assert_int_equal(result.verdict, ENT_POLICY_SATISFIED);
    return ENT_DONE;
}

static void assert_provable(const fixture_pair *pair, unsigned who, uint64_t index)
{
    ent_err err = {0};
    assert_ok(ent_message_prove(pair->nodes[who], fixture_channel(pair, who), AURORA, index, check_proof, NULL, &err));
}

/* Between the cutoff and us lies more than a pouch holds, all of it signed by the revoked key. */
static void test_keys__more_than_a_pouch_beyond_the_cutoff_gets_across(void **state)
{
    enum { LONG_BYTES = 7 << 20, MANY_LONG = 10 /* 70 MiB */ };
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    uint64_t index = 0;
    make_open(&pair);
    uint64_t mutual = size_of(&pair, AURORA, AURORA);
    for (unsigned i = 0; i < MANY_LONG; i++)
        assert_ok(fixture_say_long(pair.nodes[AURORA], fixture_channel(&pair, AURORA), fixture_mark_of(AURORA, 7, i),
                                   LONG_BYTES, &index, &err));
    assert_int_equal(rotate(&pair, cutoff_at(&pair, mutual, true), AURORA, &err), ENT_OK);
    uint64_t size = size_of(&pair, AURORA, AURORA);
    assert_int_equal(size, mutual + MANY_LONG + 1);
    unsigned carried = 0;
    for (; size_of(&pair, BOREAL, AURORA) < size && carried < MANY_LONG; carried++) {
        carry(&pair, AURORA);
        carry(&pair, BOREAL);
    }
    assert_in_range(carried, 2, 3);
    fixture_pair_assert_same(&pair);
    for (unsigned who = AURORA; who <= BOREAL; who++) {
        assert_int_equal(contested(&pair, who, mutual), 2);
        assert_provable(&pair, who, mutual - 1);
        assert_provable(&pair, who, mutual + 1);
        assert_provable(&pair, who, size - 1);
    }
    fixture_pair_release(&pair);
}

static void test_keys__what_came_before_the_card_is_the_same(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    make_open(&pair);
    uint64_t mutual = size_of(&pair, AURORA, AURORA);
    say(&pair, AURORA);
    carry(&pair, AURORA); /* Boreal holds it, by the old key; its receipt has not come back */
    assert_int_equal(rotate(&pair, cutoff_at(&pair, mutual, true), AURORA, &err), ENT_OK);
    carry(&pair, AURORA);
    carry(&pair, BOREAL);
    assert_false(frozen(&pair, BOREAL, AURORA));
    assert_int_equal(size_of(&pair, BOREAL, AURORA), mutual + 2);
    assert_int_equal(contested(&pair, BOREAL, mutual), 2);
    assert_int_equal(contested(&pair, AURORA, mutual), 2);
    for (unsigned who = AURORA; who <= BOREAL; who++) { /* not by the head that the revoked key signed */
        assert_provable(&pair, who, mutual - 1);
        assert_provable(&pair, who, mutual);
    }
    fixture_pair_release(&pair);
}

/* Aurora's pouch after a rotation, with another cutoff note in it. */
static int import_with(const fixture_pair *pair, const ent_buf *cutoffs, ent_buf *answer)
{
    ent_err err = {0};
    ent_buf bytes = {0};
    ent_buf changed = {0};
    ent_pouch pouch = {0};
    export_pouch(pair, AURORA, &bytes);
    assert_ok(ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, &err));
    assert_int_equal(pouch.cutoff_count, 1);
    pouch.cutoffs[0].data = ent_buf_bytes(cutoffs);
    assert_ok(ent_pouch_put(&changed, &pouch, &err));
    ent_buf_clear(answer);
    int status = import_bytes(pair, BOREAL, ent_buf_bytes(&changed), answer);
    ent_pouch_release(&pouch);
    ent_buf_release(&bytes);
    ent_buf_release(&changed);
    return status;
}

static ent_buf *clear(ent_buf *buf)
{
    ent_buf_clear(buf);
    return buf;
}

static void test_keys__bad_cutoffs_are_refused_and_another_root_is_a_fork(void **state)
{
    (void)state;
    fixture_pair pair;
    ent_err err = {0};
    ent_buf unused = {0};
    ent_buf by_other = {0};
    ent_buf other_root = {0};
    ent_buf answer = {0};
    make_open(&pair);
    uint64_t size = size_of(&pair, AURORA, AURORA);
    ent_cutoff good = cutoff_at(&pair, size, false);
    ent_cutoff wrong = good;
    wrong.head.root.bytes[0] ^= 1;
    make_rotation(&pair, good, BOREAL, &unused, &by_other);
    ent_buf_clear(&unused);
    make_rotation(&pair, wrong, AURORA, &unused, &other_root);
    /* Our own node takes no cutoff that its log does not bear out, nor one beyond it. */
    assert_int_equal(rotate(&pair, wrong, AURORA, &err), ENT_REFUSED);
    ent_cutoff beyond = good;
    beyond.head.size += 5;
    assert_int_equal(rotate(&pair, beyond, AURORA, &err), ENT_REFUSED);
    assert_int_equal(rotate(&pair, good, BOREAL, &err), ENT_PEER_SIGNATURE);
    assert_int_equal(ent_node_card(pair.nodes[AURORA])->card.card.serial, 1);

    assert_int_equal(rotate(&pair, good, AURORA, &err), ENT_OK);
    assert_int_equal(import_with(&pair, &by_other, &answer), 422);
    assert_non_null(strstr(ent_buf_string(&answer), "not signed by the root key"));
    assert_int_equal(size_of(&pair, BOREAL, AURORA), size);
    assert_int_equal(ent_channel_keys(fixture_channel(&pair, BOREAL), AURORA)->serial, 0);
    assert_false(frozen(&pair, BOREAL, AURORA));
    assert_true(import_with(&pair, &other_root, &answer) >= 400);
    assert_true(frozen(&pair, BOREAL, AURORA));
    assert_int_equal(size_of(&pair, BOREAL, AURORA), size);
    assert_int_equal(fixture_api_bytes(pair.folders[BOREAL], "GET", "forks", none, clear(&answer)), 200);
    assert_non_null(strstr(ent_buf_string(&answer), "\"sizes\":null"));
    assert_int_equal(fixture_api_bytes(pair.folders[BOREAL], "GET", "forks/south/aurora.example", none, clear(&answer)),
                     409);
    assert_non_null(strstr(ent_buf_string(&answer), "a cutoff of its keys contradicts its log"));
    ent_buf_release(&unused);
    ent_buf_release(&by_other);
    ent_buf_release(&other_root);
    ent_buf_release(&answer);
    fixture_pair_release(&pair);
}

/* A note for the same rotation with its cutoff elsewhere, signed by the same root key. */
static void sign_other(const fixture_pair *pair, ent_cutoff cutoff, ent_buf *ret)
{
    ent_err err = {0};
    ent_paths paths = {0};
    ent_root *root = NULL;
    const ent_card *card = &ent_node_card(pair->nodes[AURORA])->card.card;
    cutoff.serial = card->serial;
    ent_cutoffs cutoffs = {.count = 1, .rows = {cutoff}};
    cutoffs.origin = ent_text_of(fixture_channel(pair, AURORA)->members[AURORA].origin);
    assert_ok(ent_paths_make(pair->folders[AURORA], &paths, &err));
    assert_ok(ent_root_open(paths.root, none, &card->root, &root, &err));
    assert_ok(ent_root_cutoffs(root, card->name, &cutoffs, ret, &err));
    ent_root_free(root);
    ent_paths_release(&paths);
}

static void replace_cutoffs(const ent_buf *whole, const ent_buf *cutoffs, ent_buf *ret)
{
    ent_err err = {0};
    ent_pouch pouch = {0};
    assert_ok(ent_pouch_parse(ent_buf_bytes(whole), &pouch, &err));
    assert_int_equal(pouch.cutoff_count, 1);
    ent_pouch_item item = {pouch.cutoffs[0].party, ent_buf_bytes(cutoffs)};
    ent_pouch_item *before = pouch.cutoffs;
    pouch.cutoffs = &item;
    assert_ok(ent_pouch_put(ret, &pouch, &err));
    pouch.cutoffs = before;
    ent_pouch_release(&pouch);
}

/* Whichever of the two came first: nothing more of that log is taken, and all else goes on. */
static void test_keys__two_cutoffs_of_one_rotation_freeze_the_log(void **state)
{
    (void)state;
    for (int other_first = 0; other_first < 2; other_first++) {
        fixture_pair pair;
        ent_err err = {0};
        ent_buf pouches[2] = {0};
        ent_buf other = {0};
        ent_buf answer = {0};
        make_open(&pair);
        uint64_t size = size_of(&pair, AURORA, AURORA);
        assert_int_equal(rotate(&pair, cutoff_at(&pair, size, false), AURORA, &err), ENT_OK);
        export_pouch(&pair, AURORA, &pouches[other_first]);
        sign_other(&pair, cutoff_at(&pair, size - 1, false), &other);
        replace_cutoffs(&pouches[other_first], &other, &pouches[1 - other_first]);

        assert_true(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouches[0]), NULL) < 300);
        assert_false(frozen(&pair, BOREAL, AURORA));
        uint64_t held = size_of(&pair, BOREAL, AURORA);
        assert_true(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouches[0]), NULL) < 300); /* the same again */
        assert_false(frozen(&pair, BOREAL, AURORA));
        assert_int_equal(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouches[1]), &answer), 422);
        assert_non_null(strstr(ent_buf_string(&answer), "signed two different cutoffs"));
        assert_true(frozen(&pair, BOREAL, AURORA));
        fixture_pair_stop(&pair, BOREAL);
        fixture_pair_start(&pair, BOREAL);
        assert_true(frozen(&pair, BOREAL, AURORA));
        say(&pair, AURORA);
        export_pouch(&pair, AURORA, &pouches[0]);
        assert_true(import_bytes(&pair, BOREAL, ent_buf_bytes(&pouches[0]), NULL) >= 400);
        assert_int_equal(size_of(&pair, BOREAL, AURORA), held);
        say(&pair, BOREAL);
        carry(&pair, BOREAL);
        assert_int_equal(size_of(&pair, AURORA, BOREAL), size_of(&pair, BOREAL, BOREAL));
        ent_buf_release(&pouches[0]);
        ent_buf_release(&pouches[1]);
        ent_buf_release(&other);
        ent_buf_release(&answer);
        fixture_pair_release(&pair);
    }
}

static void test_keys__no_memory_changes_nothing(void **state)
{
    (void)state;
    fixture_pair pair;
    make_open(&pair);
    ent_channel *channel = fixture_channel(&pair, AURORA);
    const ent_buf *card = &ent_node_card(pair.nodes[AURORA])->bytes;
    for (unsigned long nth = 1;; nth++) {
        ent_err err = {0};
        ent_known_keys *known = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_known_keys_make(channel, AURORA, ent_buf_bytes(card), none, 0, &known, &err);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            ent_known_keys_free(known);
            break;
        }
        assert_fails(rc, ENT_NOMEM);
        assert_null(known);
    }
    fixture_pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys__card_first_by_hand_then_the_cutoff),
        cmocka_unit_test(test_keys__nothing_is_signed_by_the_old_key_beyond_the_cutoff),
        cmocka_unit_test(test_keys__revoked_key_beyond_the_cutoff_is_refused),
        cmocka_unit_test(test_keys__more_than_a_pouch_beyond_the_cutoff_gets_across),
        cmocka_unit_test(test_keys__what_came_before_the_card_is_the_same),
        cmocka_unit_test(test_keys__bad_cutoffs_are_refused_and_another_root_is_a_fork),
        cmocka_unit_test(test_keys__two_cutoffs_of_one_rotation_freeze_the_log),
        cmocka_unit_test(test_keys__no_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
