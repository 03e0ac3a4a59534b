#include "contract_tests.h"

#include <stdio.h>

/* ---- peers ---- */

typedef struct {
    ent_store *store;
    char seen[256];
    int stop_after; /* rows; then REFUSED */
} walk_context;

static ent_rc stop_when_due(walk_context *walk, ent_err *err)
{
    if (walk->stop_after > 0 && --walk->stop_after == 0)
        return ent_fail(err, ENT_REFUSED, NULL, "stop");
    return ENT_DONE;
}

static ent_rc see_peer(void *context, const ent_store_peer *peer, ent_bytes card, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    ent_store_peer again;
    /* the store may be used from inside a walk */
    ENT_TRY(walk->store->engine->peer_get(walk->store, ent_text_of(peer->name), &again, NULL, err));
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, "%s=%.*s;", again.name, (int)card.size,
                   (const char *)card.data);
    return stop_when_due(walk, err);
}

static void put_peer(ent_store *store, const char *name, uint64_t serial, const char *card)
{
    assert_ok(store->engine->peer_put(store, ent_text_of(name), serial, ent_text_bytes(ent_text_of(card)), FIXTURE_NOW,
                                      NULL));
}

static void test_store__peer_put_is_found(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    assert_ok(store->engine->begin(store, NULL));
    put_peer(store, "north.example", 1, "n1");
    put_peer(store, "east.example", 7, "e7");
    put_peer(store, "south.example", 1, "s1");
    put_peer(store, "north.example", 2, "n2");
    assert_ok(store->engine->peer_remove(store, ENT_TEXT("south.example"), NULL));
    assert_fails(store->engine->peer_remove(store, ENT_TEXT("south.example"), NULL), ENT_ABSENT);
    assert_fails(store->engine->peer_put(store, ENT_TEXT("north.example"), 1, ent_text_bytes(ENT_TEXT("n1")), 0, NULL),
                 ENT_REFUSED); /* an older card never replaces a newer one */
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    ent_store_peer peer;
    ent_buf card = {0};
    assert_ok(store->engine->peer_get(store, ENT_TEXT("north.example"), &peer, &card, NULL));
    assert_string_equal(peer.name, "north.example");
    assert_int_equal(peer.serial, 2);
    assert_int_equal(peer.added_unix_s, FIXTURE_NOW);
    assert_string_equal(ent_buf_string(&card), "n2");
    assert_fails(store->engine->peer_get(store, ENT_TEXT("south.example"), &peer, &card, NULL), ENT_ABSENT);
    ent_buf_release(&card);
    walk_context walk = {.store = store};
    assert_ok(store->engine->peer_walk(store, see_peer, &walk, NULL));
    assert_string_equal(walk.seen, "east.example=e7;north.example=n2;");
    walk = (walk_context){.store = store, .stop_after = 1};
    assert_fails(store->engine->peer_walk(store, see_peer, &walk, NULL), ENT_REFUSED);
    assert_string_equal(walk.seen, "east.example=e7;");
}

static void test_store__peer_with_a_number_too_large_is_refused(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    assert_ok(store->engine->begin(store, NULL));
    assert_fails(store->engine->peer_put(store, ENT_TEXT("a.example"), UINT64_MAX, ent_bytes_of("c", 1), 0, NULL),
                 ENT_USAGE);
    put_peer(store, "a.example", INT64_MAX, "c");
    assert_ok(store->engine->commit(store, NULL));
}

/* ---- channels ---- */

static ent_rc see_channel(void *context, const ent_store_channel *channel, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, "%s:%s;", channel->alias,
                   ent_channel_state_word(channel->state));
    return stop_when_due(walk, err);
}

static void test_store__channel_added_is_found(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel one = {.id = fixture_digest(1), .state = ENT_CHANNEL_INVITED, .added_unix_s = FIXTURE_NOW};
    ent_store_channel two = {.id = fixture_digest(2), .state = ENT_CHANNEL_OPENING, .alias = "two"};
    ent_store_channel three = {.id = fixture_digest(3), .state = ENT_CHANNEL_OPEN}; /* any number may have no alias */
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->channel_add(store, &one, ent_bytes_of("g1", 2), NULL));
    assert_ok(store->engine->channel_add(store, &two, ent_bytes_of("g2", 2), NULL));
    assert_ok(store->engine->channel_add(store, &three, ent_bytes_of("g3", 2), NULL));
    three.state = ENT_CHANNEL_REFUSED;
    assert_ok(store->engine->channel_update(store, &three, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_true(one.number != two.number && two.number != three.number);
    contract_reopen(contract);
    store = contract->store;
    ent_store_channel found;
    ent_buf genesis = {0};
    assert_ok(store->engine->channel_get(store, &two.id, &found, &genesis, NULL));
    assert_int_equal(found.number, two.number);
    assert_true(ent_hash_equal(&found.id, &two.id));
    assert_string_equal(found.alias, "two");
    assert_int_equal(found.state, ENT_CHANNEL_OPENING);
    assert_string_equal(ent_buf_string(&genesis), "g2");
    assert_ok(store->engine->channel_get(store, &one.id, &found, NULL, NULL));
    assert_int_equal(found.added_unix_s, FIXTURE_NOW);
    ent_hash unknown = fixture_digest(4);
    assert_fails(store->engine->channel_get(store, &unknown, &found, &genesis, NULL), ENT_ABSENT);
    assert_int_equal(found.number, one.number);
    ent_buf_release(&genesis);
    walk_context walk = {.store = store};
    assert_ok(store->engine->channel_walk(store, see_channel, &walk, NULL));
    assert_string_equal(walk.seen, ":invited;two:opening;:refused;");
    walk = (walk_context){.store = store, .stop_after = 2};
    assert_fails(store->engine->channel_walk(store, see_channel, &walk, NULL), ENT_REFUSED);
    assert_string_equal(walk.seen, ":invited;two:opening;");
}

static void test_store__channel_that_breaks_a_rule_is_refused(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_store_channel other = {.number = -7, .id = channel.id, .state = ENT_CHANNEL_OPEN};
    assert_ok(store->engine->begin(store, NULL));
    assert_fails(store->engine->channel_add(store, &other, ent_bytes_of("g", 1), NULL), ENT_REFUSED);
    other.id = fixture_digest(5);
    (void)snprintf(other.alias, sizeof other.alias, "a");
    assert_fails(store->engine->channel_add(store, &other, ent_bytes_of("g", 1), NULL), ENT_REFUSED);
    other.alias[0] = 0;
    other.state = (ent_channel_state)9;
    assert_fails(store->engine->channel_add(store, &other, ent_bytes_of("g", 1), NULL), ENT_REFUSED);
    assert_int_equal(other.number, -7);
    assert_fails(store->engine->channel_update(store, &other, NULL), ENT_ABSENT);
    assert_ok(store->engine->commit(store, NULL));
}

static void test_store__invitation_is_kept_until_forgotten(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_buf pouch = {0};
    assert_fails(store->engine->invite_get(store, channel.number, &pouch, NULL), ENT_ABSENT);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->invite_put(store, channel.number, ent_bytes_of("one", 3), NULL));
    assert_ok(store->engine->invite_put(store, channel.number, ent_bytes_of("two", 3), NULL));
    assert_fails(store->engine->invite_put(store, 99, ent_bytes_of("x", 1), NULL), ENT_REFUSED);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->invite_get(store, channel.number, &pouch, NULL));
    assert_string_equal(ent_buf_string(&pouch), "two");
    ent_buf_release(&pouch);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->invite_put(store, channel.number, (ent_bytes){0}, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_fails(store->engine->invite_get(store, channel.number, &pouch, NULL), ENT_ABSENT);
}

/* ---- receipts ---- */

static ent_store_receipt make_receipt(int64_t log, uint32_t receiver, uint64_t size, bool is_signed)
{
    ent_store_receipt receipt = {.log = log, .receiver = receiver, .arrived_unix_s = FIXTURE_NOW};
    receipt.head = (ent_tree_head){size, fixture_digest(size)};
    receipt.cosignature.timestamp_unix_s = FIXTURE_NOW + size;
    if (is_signed)
        memset(receipt.cosignature.signature.bytes, 0x5a, ENT_SIGNATURE_SIZE);
    return receipt;
}

static void add_receipt(ent_store *store, ent_store_receipt *receipt, bool expect_new)
{
    bool is_new = !expect_new;
    assert_ok(store->engine->receipt_add(store, receipt, &is_new, NULL));
    assert_int_equal(is_new, expect_new);
}

static ent_rc see_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, "%d/%d/%d;", (int)receipt->log, (int)receipt->receiver,
                   (int)receipt->head.size);
    return stop_when_due(walk, err);
}

static void test_store__receipt_added_is_found(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    int64_t log = logs[0].number;
    ent_store_receipt ten = make_receipt(log, 1, 10, true);
    ent_store_receipt five = make_receipt(log, 1, 5, true);
    ent_store_receipt other = make_receipt(log, 2, 7, true);
    assert_ok(store->engine->begin(store, NULL));
    add_receipt(store, &ten, true);
    add_receipt(store, &five, true);
    add_receipt(store, &other, true);
    assert_true(ten.number < five.number && five.number < other.number);
    ent_store_receipt again = make_receipt(log, 1, 10, true);
    again.cosignature.timestamp_unix_s++;
    add_receipt(store, &again, false);
    assert_int_equal(again.number, ten.number);
    bool is_new = true;
    again.log = 99;
    assert_fails(store->engine->receipt_add(store, &again, &is_new, NULL), ENT_ABSENT);
    assert_true(is_new);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    ent_store_receipt found;
    assert_ok(store->engine->receipt_covering(store, log, 1, 4, &found, NULL));
    assert_int_equal(found.head.size, 5);
    assert_ok(store->engine->receipt_covering(store, log, 1, 5, &found, NULL));
    assert_int_equal(found.head.size, 5);
    assert_ok(store->engine->receipt_covering(store, log, 1, 6, &found, NULL));
    assert_int_equal(found.head.size, 10);
    assert_int_equal(found.cosignature.timestamp_unix_s, FIXTURE_NOW + 10);
    assert_memory_equal(found.cosignature.signature.bytes, ten.cosignature.signature.bytes, ENT_SIGNATURE_SIZE);
    assert_true(ent_hash_equal(&found.head.root, &ten.head.root));
    assert_int_equal(found.arrived_unix_s, FIXTURE_NOW);
    assert_int_equal(found.number, ten.number);
    assert_fails(store->engine->receipt_covering(store, log, 1, 11, &found, NULL), ENT_ABSENT);
    assert_fails(store->engine->receipt_covering(store, log, 1, UINT64_MAX, &found, NULL), ENT_ABSENT);
    assert_fails(store->engine->receipt_covering(store, log, 3, 1, &found, NULL), ENT_ABSENT);
    assert_ok(store->engine->receipt_newest(store, log, 2, &found, NULL));
    assert_int_equal(found.head.size, 7);
    assert_fails(store->engine->receipt_newest(store, logs[1].number, 2, &found, NULL), ENT_ABSENT);
}

static void test_store__earlier_twin_of_a_receipt_is_kept_and_found(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    walk_context walk = {.store = store};
    fixture_channel(store, "a", &channel, logs);
    ent_store_receipt receipt = make_receipt(logs[0].number, 1, 10, true);
    ent_store_receipt found;
    int64_t first = 0;
    int64_t before = -1;
    assert_ok(store->engine->begin(store, NULL));
    for (unsigned i = 0; i < 20; i++) {
        receipt.cosignature.timestamp_unix_s = FIXTURE_NOW - i;
        add_receipt(store, &receipt, true);
        first = i == 0 ? receipt.number : first;
        int64_t number = receipt.number;
        receipt.cosignature.timestamp_unix_s += i % 3;
        add_receipt(store, &receipt, false); /* the same again, or a later one */
        assert_int_equal(receipt.number, number);
    }
    ent_store_receipt beyond = make_receipt(logs[0].number, 1, 12, true);
    add_receipt(store, &beyond, true);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->receipt_covering(store, logs[0].number, 1, 9, &found, NULL));
    assert_int_equal(found.cosignature.timestamp_unix_s, FIXTURE_NOW - 19);
    assert_ok(store->engine->receipt_log_walk(store, logs[0].number, first - 1, SIZE_MAX, see_receipt, &walk, NULL));
    assert_int_equal(strlen(walk.seen) / strlen("1/1/10;"), 9); /* the first, … the earliest, and the one beyond */
    assert_ok(store->engine->receipt_before(store, logs[0].number, INT64_MAX, 0, &before, NULL));
    assert_int_equal(before, beyond.number);
    assert_ok(store->engine->receipt_before(store, logs[0].number, beyond.number - 1, 7, &before, NULL));
    assert_int_equal(before, first);
    assert_ok(store->engine->receipt_before(store, logs[0].number, INT64_MAX, 9, &before, NULL));
    assert_int_equal(before, 0);
    assert_ok(store->engine->receipt_before(store, logs[1].number, INT64_MAX, 0, &before, NULL));
    assert_int_equal(before, 0);
}

static void test_store__signed_receipt_takes_the_place_of_an_unsigned_one(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_store_receipt waiting = make_receipt(logs[1].number, 0, 3, false);
    ent_store_receipt given = make_receipt(logs[1].number, 0, 3, true);
    ent_store_receipt found;
    given.cosignature.timestamp_unix_s += 7; /* later or not: it was given */
    assert_ok(store->engine->begin(store, NULL));
    add_receipt(store, &waiting, true);
    add_receipt(store, &waiting, false);
    add_receipt(store, &given, true);
    assert_int_equal(given.number, waiting.number);
    add_receipt(store, &given, false);
    assert_ok(store->engine->commit(store, NULL));
    assert_ok(store->engine->receipt_covering(store, logs[1].number, 0, 3, &found, NULL));
    assert_int_equal(found.cosignature.timestamp_unix_s, given.cosignature.timestamp_unix_s);
    assert_memory_equal(found.cosignature.signature.bytes, given.cosignature.signature.bytes, ENT_SIGNATURE_SIZE);
}

static void test_store__receipt_walk_is_of_one_channel_or_log(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channels[2];
    ent_store_log logs[2][2];
    fixture_channel(store, "a", &channels[0], logs[0]);
    fixture_channel(store, "b", &channels[1], logs[1]);
    assert_ok(store->engine->begin(store, NULL));
    int64_t second = 0;
    for (uint64_t size = 1; size <= 3; size++) {
        ent_store_receipt a = make_receipt(logs[0][size % 2].number, 1, size, true);
        ent_store_receipt b = make_receipt(logs[1][0].number, 1, size, true);
        add_receipt(store, &a, true);
        add_receipt(store, &b, true);
        if (size == 2)
            second = a.number;
    }
    assert_ok(store->engine->commit(store, NULL));
    walk_context walk = {.store = store};
    assert_ok(store->engine->receipt_walk(store, channels[0].number, 0, SIZE_MAX, see_receipt, &walk, NULL));
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d/1/1;%d/1/2;%d/1/3;", (int)logs[0][1].number, (int)logs[0][0].number,
                   (int)logs[0][1].number);
    assert_string_equal(walk.seen, expected);
    walk = (walk_context){.store = store};
    assert_ok(store->engine->receipt_walk(store, channels[0].number, 0, 1, see_receipt, &walk, NULL));
    (void)snprintf(expected, sizeof expected, "%d/1/1;", (int)logs[0][1].number);
    assert_string_equal(walk.seen, expected);
    walk = (walk_context){.store = store};
    assert_ok(store->engine->receipt_walk(store, channels[0].number, second, 9, see_receipt, &walk, NULL));
    (void)snprintf(expected, sizeof expected, "%d/1/3;", (int)logs[0][1].number);
    assert_string_equal(walk.seen, expected);
    walk = (walk_context){.store = store}; /* and of one log */
    assert_ok(store->engine->receipt_log_walk(store, logs[0][1].number, 0, SIZE_MAX, see_receipt, &walk, NULL));
    (void)snprintf(expected, sizeof expected, "%d/1/1;%d/1/3;", (int)logs[0][1].number, (int)logs[0][1].number);
    assert_string_equal(walk.seen, expected);
    walk = (walk_context){.store = store};
    assert_ok(store->engine->receipt_log_walk(store, logs[0][1].number, second, 9, see_receipt, &walk, NULL));
    (void)snprintf(expected, sizeof expected, "%d/1/3;", (int)logs[0][1].number);
    assert_string_equal(walk.seen, expected);
    walk = (walk_context){.store = store};
    assert_ok(store->engine->receipt_log_walk(store, logs[0][1].number, 0, 1, see_receipt, &walk, NULL));
    (void)snprintf(expected, sizeof expected, "%d/1/1;", (int)logs[0][1].number);
    assert_string_equal(walk.seen, expected);
}

/* Signs each receipt from inside the walk, as a node does when it starts. */
static ent_rc sign_it(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    ent_store *store = ((walk_context *)context)->store;
    ent_signature signature;
    memset(signature.bytes, (int)receipt->head.size, sizeof signature.bytes);
    ENT_TRY(store->engine->begin(store, err));
    ent_rc rc = store->engine->receipt_sign(store, receipt->number, &signature, err);
    if (rc.code == ENT_OK)
        rc = store->engine->commit(store, err);
    store->engine->rollback(store);
    return rc;
}

static void test_store__unsigned_receipt_is_signed_once(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->begin(store, NULL));
    for (uint64_t size = 1; size <= 4; size++) {
        ent_store_receipt receipt = make_receipt(logs[1].number, 0, size, size == 2);
        add_receipt(store, &receipt, true);
    }
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    ent_store_receipt found;
    static const ent_signature none;
    assert_ok(store->engine->receipt_covering(store, logs[1].number, 0, 3, &found, NULL));
    assert_memory_equal(found.cosignature.signature.bytes, none.bytes, sizeof none.bytes);
    walk_context walk = {.store = store};
    assert_ok(store->engine->receipt_unsigned_walk(store, sign_it, &walk, NULL));
    assert_ok(store->engine->receipt_unsigned_walk(store, see_receipt, &walk, NULL));
    assert_string_equal(walk.seen, "");
    assert_ok(store->engine->receipt_covering(store, logs[1].number, 0, 3, &found, NULL));
    assert_int_equal(found.cosignature.signature.bytes[63], 3);
    ent_signature signature = found.cosignature.signature;
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->receipt_sign(store, found.number, &signature, NULL)); /* the same again is fine */
    signature.bytes[0]++;
    assert_fails(store->engine->receipt_sign(store, found.number, &signature, NULL), ENT_REFUSED);
    assert_fails(store->engine->receipt_sign(store, 999, &signature, NULL), ENT_ABSENT);
    assert_fails(store->engine->receipt_sign(store, found.number, &none, NULL), ENT_USAGE);
    assert_ok(store->engine->commit(store, NULL));
}

/* ---- keys ---- */

static ent_code put_keys(ent_store *store, int64_t log, uint64_t serial, uint64_t announced, const char *cutoffs)
{
    ent_store_keys keys = {.log = log, .serial = serial, .announced = announced};
    return store->engine->keys_put(store, &keys, ent_bytes_of("card", 4), ent_text_bytes(ent_text_of(cutoffs)), NULL)
        .code;
}

static void test_store__keys_go_on_and_never_back(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_store_keys found;
    fixture_channel(store, "a", &channel, logs);
    assert_fails(store->engine->keys_get(store, logs[0].number, &found, NULL, NULL, NULL), ENT_ABSENT);
    assert_ok(store->engine->begin(store, NULL));
    assert_int_equal(put_keys(store, logs[0].number, 2, 0, ""), ENT_OK);
    assert_int_equal(put_keys(store, logs[0].number, 3, 3, "cut"), ENT_OK);
    assert_ok(store->engine->commit(store, NULL));
    static const struct {
        uint64_t serial;
        uint64_t announced;
        const char *cutoffs;
    } back[] = {{2, 2, "cut"}, {3, 2, "cut"}, {3, 3, "cu"}, {3, 4, "cut"}};
    for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
        assert_ok(store->engine->begin(store, NULL));
        assert_int_equal(put_keys(store, logs[0].number, back[i].serial, back[i].announced, back[i].cutoffs),
                         ENT_REFUSED);
        store->engine->rollback(store);
    }
    assert_ok(store->engine->begin(store, NULL));
    assert_int_equal(put_keys(store, 99, 2, 0, ""), ENT_REFUSED);
    store->engine->rollback(store);
    contract_reopen(contract);
    store = contract->store;
    ent_buf card = {0};
    ent_buf cutoffs = {0};
    assert_ok(store->engine->keys_get(store, logs[0].number, &found, &card, &cutoffs, NULL));
    assert_int_equal(found.serial, 3);
    assert_int_equal(found.announced, 3);
    assert_string_equal(ent_buf_string(&card), "card");
    assert_string_equal(ent_buf_string(&cutoffs), "cut");
    ent_buf_release(&card);
    ent_buf_release(&cutoffs);
    assert_fails(store->engine->keys_get(store, logs[1].number, &found, NULL, NULL, NULL), ENT_ABSENT);
}

static void test_store__receipt_by_a_revoked_key_is_in_nobodys_way(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    bool is_new = false;
    fixture_channel(store, "a", &channel, logs);
    ent_store_receipt receipt = {.log = logs[0].number, .receiver = 1, .head = {5, fixture_digest(1)}};
    ent_store_receipt found;
    memset(receipt.cosignature.signature.bytes, 7, sizeof receipt.cosignature.signature.bytes);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->revoked_receipt_add(store, &receipt, NULL));
    assert_ok(store->engine->revoked_receipt_add(store, &receipt, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_fails(store->engine->receipt_newest(store, logs[0].number, 1, &found, NULL), ENT_ABSENT);
    assert_ok(store->engine->revoked_receipt_covering(store, logs[0].number, 1, 3, &found, NULL));
    assert_int_equal(found.head.size, 5);
    assert_memory_equal(&found.cosignature, &receipt.cosignature, sizeof receipt.cosignature);
    assert_fails(store->engine->revoked_receipt_covering(store, logs[0].number, 1, 6, &found, NULL), ENT_ABSENT);
    assert_fails(store->engine->revoked_receipt_covering(store, logs[0].number, 2, 1, &found, NULL), ENT_ABSENT);
    assert_fails(store->engine->revoked_receipt_covering(store, logs[0].number, 1, UINT64_MAX, &found, NULL),
                 ENT_ABSENT);
    receipt.key = 1;
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->receipt_add(store, &receipt, &is_new, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_true(is_new);
    assert_ok(store->engine->receipt_newest(store, logs[0].number, 1, &found, NULL));
    assert_int_equal(found.key, 1);
}

static ent_rc count_apart(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    size_t *counts = context;
    (void)err;
    assert_int_equal(receipt->cosignature.timestamp_unix_s, 77);
    assert_int_equal(receipt->cosignature.signature.bytes[63], 7);
    counts[receipt->receiver]++;
    return ENT_DONE;
}

static void test_store__receipts_apart_are_few_and_in_nobodys_way(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    size_t counts[3] = {0};
    fixture_channel(store, "a", &channel, logs);
    ent_store_receipt receipt = {.log = logs[0].number, .receiver = 1, .cosignature.timestamp_unix_s = 77};
    ent_store_receipt found;
    memset(receipt.cosignature.signature.bytes, 7, sizeof receipt.cosignature.signature.bytes);
    assert_ok(store->engine->begin(store, NULL));
    for (uint64_t i = 0; i < 3 * ENT_APART_MAX; i++) {
        bool is_new = i >= ENT_APART_MAX;
        receipt.head = (ent_tree_head){5, fixture_digest(i)};
        assert_ok(store->engine->apart_receipt_add(store, &receipt, &is_new, NULL));
        assert_int_equal(is_new, i < ENT_APART_MAX);
        assert_ok(store->engine->apart_receipt_add(store, &receipt, &is_new, NULL));
        assert_false(is_new);
    }
    bool is_new = false;
    receipt.receiver = 2; /* another's are not crowded out */
    assert_ok(store->engine->apart_receipt_add(store, &receipt, &is_new, NULL));
    assert_true(is_new);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->apart_receipt_walk(store, logs[0].number, count_apart, counts, NULL));
    assert_int_equal(counts[1], ENT_APART_MAX);
    assert_int_equal(counts[2], 1);
    assert_ok(store->engine->apart_receipt_walk(store, logs[1].number, count_apart, counts, NULL));
    assert_int_equal(counts[1], ENT_APART_MAX);
    assert_fails(store->engine->receipt_newest(store, logs[0].number, 1, &found, NULL), ENT_ABSENT);
}

/* ---- deliveries ---- */

static void test_store__delivery_put_replaces(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    ent_store_delivery found = {.confirmed = 99};
    assert_ok(store->engine->delivery_get(store, logs[0].number, 1, &found, NULL));
    assert_int_equal(found.log, logs[0].number);
    assert_int_equal(found.member, 1);
    assert_int_equal(found.confirmed, 0);
    assert_string_equal(found.reason, "");
    ent_store_delivery delivery = {logs[0].number, 1, 7, 42, 43, true, "", FIXTURE_NOW, FIXTURE_NOW + 1};
    memset(delivery.reason, 'r', sizeof delivery.reason - 1);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->delivery_put(store, &delivery, NULL));
    delivery.confirmed = 8;
    assert_ok(store->engine->delivery_put(store, &delivery, NULL));
    delivery.log = 99;
    assert_fails(store->engine->delivery_put(store, &delivery, NULL), ENT_REFUSED);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->delivery_get(store, logs[0].number, 1, &found, NULL));
    assert_int_equal(found.confirmed, 8);
    assert_int_equal(found.receipts_sent, 42);
    assert_int_equal(found.receipts_again, 43);
    assert_true(found.refused);
    assert_string_equal(found.reason, delivery.reason);
    assert_int_equal(found.last_success_unix_s, FIXTURE_NOW);
    assert_int_equal(found.last_attempt_unix_s, FIXTURE_NOW + 1);
}

/* ---- attachments ---- */

static ent_rc see_blob(void *context, const ent_store_blob *blob, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, "%d/%d/%d=%d,%d;", (int)blob->log, (int)blob->index,
                   (int)blob->at, (int)blob->size, (int)blob->state);
    return stop_when_due(walk, err);
}

static void test_store__blob_is_wanted_until_held(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    int64_t log = logs[1].number;
    ent_store_blob first = {
        .log = log, .index = 9, .at = 0, .digest = fixture_digest(1), .size = 100, .state = ENT_BLOB_HELD};
    ent_store_blob second = {
        .log = log, .index = 10, .at = 15, .digest = fixture_digest(1), .size = 100, .state = ENT_BLOB_WANTED};
    ent_store_blob third = {
        .log = log, .index = 10, .at = 2, .digest = fixture_digest(2), .size = 5, .state = ENT_BLOB_WANTED};
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->blob_add(store, &first, NULL));
    assert_ok(store->engine->blob_add(store, &second, NULL));
    assert_ok(store->engine->blob_add(store, &third, NULL));
    assert_fails(store->engine->blob_add(store, &third, NULL), ENT_REFUSED);
    third.at = 16;
    assert_fails(store->engine->blob_add(store, &third, NULL), ENT_REFUSED);
    third.index = (uint64_t)1 << 40;
    assert_fails(store->engine->blob_add(store, &third, NULL), ENT_USAGE);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    ent_store_blob found;
    assert_fails(store->engine->blob_find(store, 99, &first.digest, 100, &found, NULL),
                 ENT_ABSENT); /* its channel only */
    assert_fails(store->engine->blob_find(store, channel.number, &first.digest, 101, &found, NULL),
                 ENT_ABSENT); /* its size only */
    assert_ok(store->engine->blob_find(store, channel.number, &first.digest, 100, &found, NULL));
    assert_int_equal(found.index, 10); /* the wanted one */
    assert_int_equal(found.at, 15);
    assert_int_equal(found.log, log);
    assert_int_equal(found.size, 100);
    assert_int_equal(found.state, ENT_BLOB_WANTED);
    uint64_t held = 77;
    assert_ok(store->engine->blob_bytes_held(store, log, &held, NULL));
    assert_int_equal(held, 100); /* the first entry's; the same attachment is wanted by the second */
    assert_ok(store->engine->begin(store, NULL));
    uint64_t changes = store->engine->changes(store);
    assert_ok(store->engine->blob_held(store, &found, NULL));
    assert_true(store->engine->changes(store) > changes);
    assert_ok(store->engine->commit(store, NULL));
    assert_ok(store->engine->blob_find(store, channel.number, &first.digest, 100, &found, NULL));
    assert_int_equal(found.state, ENT_BLOB_HELD);
    assert_ok(store->engine->blob_bytes_held(store, log, &held, NULL));
    assert_int_equal(held, 100); /* one attachment, however often it is named */
    assert_ok(store->engine->blob_bytes_held(store, log + 1, &held, NULL));
    assert_int_equal(held, 0);
    walk_context walk = {.store = store};
    assert_ok(store->engine->blob_walk(store, log, 10, see_blob, &walk, NULL));
    assert_string_equal(walk.seen, "2/10/2=5,1;2/10/15=100,2;");
    ent_hash unknown = fixture_digest(9);
    assert_fails(store->engine->blob_find(store, channel.number, &unknown, 100, &found, NULL), ENT_ABSENT);
    walk = (walk_context){.store = store};
    assert_ok(store->engine->blob_walk(store, log, 11, see_blob, &walk, NULL));
    assert_string_equal(walk.seen, "");
}

static void test_store__wanted_blobs_are_walked_in_pages(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    bool wanted = false;
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->begin(store, NULL));
    for (uint64_t index = 1; index <= 3; index++) {
        for (uint32_t at = 0; at < 2; at++) {
            ent_store_blob blob = {.log = logs[1].number,
                                   .index = index,
                                   .at = at,
                                   .digest = fixture_digest(index),
                                   .size = 10 * index + at,
                                   .state = index == 2 ? ENT_BLOB_HELD : ENT_BLOB_WANTED};
            assert_ok(store->engine->blob_add(store, &blob, NULL));
        }
    }
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    walk_context walk = {.store = store};
    assert_ok(store->engine->blob_wanted_walk(store, NULL, 3, see_blob, &walk, NULL));
    assert_string_equal(walk.seen, "2/1/0=10,1;2/1/1=11,1;2/3/0=30,1;");
    ent_store_blob last = {.log = logs[1].number, .index = 3, .at = 0};
    walk = (walk_context){.store = store};
    assert_ok(store->engine->blob_wanted_walk(store, &last, 3, see_blob, &walk, NULL));
    assert_string_equal(walk.seen, "2/3/1=31,1;");
    last.index = (uint64_t)1 << 40;
    assert_fails(store->engine->blob_wanted_walk(store, &last, 3, see_blob, &walk, NULL), ENT_USAGE);
    for (uint64_t number = 1; number <= 4; number++) {
        ent_hash digest = fixture_digest(number);
        assert_ok(store->engine->blob_is_wanted(store, &digest, &wanted, NULL));
        assert_true(wanted == (number == 1 || number == 3));
        assert_ok(store->engine->blob_is_named(store, &digest, &wanted, NULL));
        assert_true(wanted == (number <= 3));
    }
}

static ent_rc see_send(void *context, const ent_store_blob_send *send, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, "%d:%d;", (int)send->member, (int)send->size);
    return stop_when_due(walk, err);
}

static ent_rc finish_send(void *context, const ent_store_blob_send *send, ent_err *err)
{
    ent_store *store = ((walk_context *)context)->store;
    ENT_TRY(store->engine->begin(store, err));
    ent_rc rc = store->engine->blob_send_done(store, send->number, err);
    if (rc.code == ENT_OK)
        rc = store->engine->commit(store, err);
    store->engine->rollback(store);
    return rc;
}

static void test_store__blob_sends_wait_until_done(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    assert_ok(store->engine->begin(store, NULL));
    for (uint32_t member = 1; member <= 3; member++) {
        ent_store_blob_send send = {
            .log = logs[0].number, .member = member, .digest = fixture_digest(member), .size = member * 10};
        assert_ok(store->engine->blob_send_add(store, &send, NULL));
        assert_ok(store->engine->blob_send_add(store, &send, NULL)); /* once is enough */
    }
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    walk_context walk = {.store = store};
    assert_ok(store->engine->blob_send_walk(store, 0, 2, see_send, &walk, NULL));
    assert_string_equal(walk.seen, "1:10;2:20;");
    assert_ok(store->engine->blob_send_walk(store, 0, SIZE_MAX, finish_send, &walk, NULL));
    walk = (walk_context){.store = store};
    assert_ok(store->engine->blob_send_walk(store, 0, SIZE_MAX, see_send, &walk, NULL));
    assert_string_equal(walk.seen, "");
    /* a number that a walk has passed is not given again */
    ent_store_blob_send send = {.log = logs[0].number, .member = 1, .digest = fixture_digest(1), .size = 1};
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->blob_send_add(store, &send, NULL));
    assert_ok(store->engine->commit(store, NULL));
    assert_ok(store->engine->blob_send_walk(store, 3, 9, see_send, &walk, NULL));
    assert_string_equal(walk.seen, "1:1;");
}

static void test_store__blob_that_a_member_holds_is_struck_off(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_hash digest = fixture_digest(1);
    fixture_channel(store, "a", &channel, logs);
    assert_fails(store->engine->blob_send_strike(store, logs[0].number, 0, 1, &digest, NULL), ENT_USAGE);
    assert_ok(store->engine->begin(store, NULL));
    for (uint32_t i = 0; i < 8; i++) { /* two entries, two members, two digests */
        ent_store_blob_send send = {.log = logs[0].number,
                                    .index = i & 1,
                                    .member = 1 + (i >> 1 & 1),
                                    .digest = fixture_digest(1 + (i >> 2)),
                                    .size = 1 + (i >> 2)};
        assert_ok(store->engine->blob_send_add(store, &send, NULL));
    }
    assert_ok(store->engine->blob_send_strike(store, logs[0].number, 0, 1, &digest, NULL));
    assert_ok(store->engine->blob_send_strike(store, logs[1].number, 0, 2, &digest, NULL)); /* nothing of that log */
    assert_ok(store->engine->commit(store, NULL));
    walk_context walk = {.store = store};
    assert_ok(store->engine->blob_send_walk(store, 0, SIZE_MAX, see_send, &walk, NULL));
    assert_string_equal(walk.seen, "1:1;2:1;2:1;1:2;1:2;2:2;2:2;");
}

/* ---- forks ---- */

static ent_rc see_fork(void *context, const ent_store_fork *fork, ent_err *err)
{
    walk_context *walk = context;
    size_t used = strlen(walk->seen);
    (void)snprintf(walk->seen + used, sizeof walk->seen - used, "%d@%d:%.*s|%.*s|%.*s;", (int)fork->log,
                   (int)(fork->seen_unix_s - FIXTURE_NOW), (int)fork->note.size, (const char *)fork->note.data,
                   (int)fork->held.size, (const char *)fork->held.data, (int)fork->proof.size,
                   (const char *)fork->proof.data);
    return stop_when_due(walk, err);
}

static void test_store__fork_proof_is_kept_once(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    fixture_channel(store, "a", &channel, logs);
    int64_t log = logs[1].number;
    assert_ok(store->engine->begin(store, NULL));
    ent_store_fork fork = {.log = log, .note = ent_bytes_of("n1", 2), .held = ent_bytes_of("h", 1)};
    fork.seen_unix_s = FIXTURE_NOW;
    fork.proof = ent_bytes_of("proof", 5);
    assert_ok(store->engine->fork_add(store, &fork, NULL));
    fork.seen_unix_s += 9;
    assert_ok(store->engine->fork_add(store, &fork, NULL));
    ent_store_fork other = {.log = log, .note = ent_bytes_of("n2", 2), .seen_unix_s = FIXTURE_NOW + 5};
    assert_ok(store->engine->fork_add(store, &other, NULL));
    fork.log = 99;
    assert_fails(store->engine->fork_add(store, &fork, NULL), ENT_REFUSED);
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    walk_context walk = {.store = contract->store};
    assert_ok(contract->store->engine->fork_walk(contract->store, log, see_fork, &walk, NULL));
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d@0:n1|h|proof;%d@5:n2||;", (int)log, (int)log);
    assert_string_equal(walk.seen, expected);
    walk = (walk_context){.store = contract->store};
    assert_ok(contract->store->engine->fork_walk(contract->store, logs[0].number, see_fork, &walk, NULL));
    assert_string_equal(walk.seen, "");
}

static void test_store__first_reveal_stays(void **state)
{
    contract_state *contract = *state;
    ent_store *store = contract->store;
    ent_store_channel channel;
    ent_store_log logs[2];
    ent_store_revealed found;
    fixture_channel(store, "a", &channel, logs);
    ent_store_revealed revealed = {.log = logs[1].number, .index = 3, .by = 7, .state = ENT_REVEALED_BAD};
    assert_fails(store->engine->reveal_put(store, &revealed, NULL), ENT_USAGE);
    assert_ok(store->engine->begin(store, NULL));
    assert_ok(store->engine->reveal_put(store, &revealed, NULL));
    revealed.by = 9;
    revealed.state = ENT_REVEALED_GOOD;
    assert_ok(store->engine->reveal_put(store, &revealed, NULL));
    assert_ok(store->engine->commit(store, NULL));
    contract_reopen(contract);
    store = contract->store;
    assert_ok(store->engine->reveal_get(store, logs[1].number, 3, &found, NULL));
    assert_int_equal(found.log, logs[1].number);
    assert_int_equal(found.index, 3);
    assert_int_equal(found.by, 7);
    assert_int_equal(found.state, ENT_REVEALED_BAD);
    assert_fails(store->engine->reveal_get(store, logs[1].number, 4, &found, NULL), ENT_ABSENT);
    assert_fails(store->engine->reveal_get(store, logs[0].number, 3, &found, NULL), ENT_ABSENT);
}

const struct CMUnitTest *contract_record_tests(size_t *ret_count)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__peer_put_is_found),
        cmocka_unit_test(test_store__peer_with_a_number_too_large_is_refused),
        cmocka_unit_test(test_store__channel_added_is_found),
        cmocka_unit_test(test_store__channel_that_breaks_a_rule_is_refused),
        cmocka_unit_test(test_store__invitation_is_kept_until_forgotten),
        cmocka_unit_test(test_store__receipt_added_is_found),
        cmocka_unit_test(test_store__earlier_twin_of_a_receipt_is_kept_and_found),
        cmocka_unit_test(test_store__signed_receipt_takes_the_place_of_an_unsigned_one),
        cmocka_unit_test(test_store__receipt_walk_is_of_one_channel_or_log),
        cmocka_unit_test(test_store__unsigned_receipt_is_signed_once),
        cmocka_unit_test(test_store__keys_go_on_and_never_back),
        cmocka_unit_test(test_store__receipt_by_a_revoked_key_is_in_nobodys_way),
        cmocka_unit_test(test_store__receipts_apart_are_few_and_in_nobodys_way),
        cmocka_unit_test(test_store__delivery_put_replaces),
        cmocka_unit_test(test_store__blob_is_wanted_until_held),
        cmocka_unit_test(test_store__wanted_blobs_are_walked_in_pages),
        cmocka_unit_test(test_store__blob_sends_wait_until_done),
        cmocka_unit_test(test_store__blob_that_a_member_holds_is_struck_off),
        cmocka_unit_test(test_store__fork_proof_is_kept_once),
        cmocka_unit_test(test_store__first_reveal_stays),
    };
    *ret_count = sizeof tests / sizeof tests[0];
    return tests;
}
