#include "support.h"

#include "seal/keys.h"

#define ORIGIN ENT_TEXT("north.example/entente/0")

/* Keys from seeds of one repeated byte: 1 root, 3 log, 4 receipt; age identity 05…05. */
static ent_hash hash_of(uint8_t fill)
{
    ent_hash hash;
    memset(hash.bytes, fill, sizeof hash.bytes);
    return hash;
}

static ent_first_keys first_keys(void)
{
    return (ent_first_keys){.name = ENT_TEXT("north.example"),
                            .root = public_of(1),
                            .log = public_of(3),
                            .receipt = public_of(4),
                            .age = recipient_of(5),
                            .tls = hash_of(6)};
}

static ent_card_former former_of(ent_key_role role, const uint8_t value[32], uint64_t last, bool revoked)
{
    ent_card_former former = {.role = role, .last = last, .revoked = revoked};
    memcpy(former.value, value, sizeof former.value);
    return former;
}

/* Card 4: log keys 3 (card 1), 13 (cards 2, 3), 23 (card 4); receipt keys 4 (cards 1..2, revoked), 14; TLS 6, 16. */
static ent_card later_card(void)
{
    ent_card card = {.name = ENT_TEXT("north.example"), .serial = 4};
    ent_first_keys first = first_keys();
    card.root = first.root;
    card.log = public_of(23);
    card.receipt = public_of(14);
    card.age = first.age;
    card.tls = hash_of(16);
    card.former[card.former_count++] = former_of(ENT_KEY_ROLE_LOG, first.log.bytes, 1, false);
    card.former[card.former_count++] = former_of(ENT_KEY_ROLE_RECEIPT, first.receipt.bytes, 2, true);
    card.former[card.former_count++] = former_of(ENT_KEY_ROLE_LOG, public_of(13).bytes, 3, false);
    card.former[card.former_count++] = former_of(ENT_KEY_ROLE_TLS, first.tls.bytes, 3, false);
    return card;
}

static ent_cutoffs later_cutoffs(void)
{
    ent_cutoffs cutoffs = {.origin = ORIGIN, .count = 2};
    cutoffs.rows[0] = (ent_cutoff){.head = {10, hash_of(1)}, .serial = 2};
    cutoffs.rows[1] = (ent_cutoff){.head = {20, hash_of(2)}, .serial = 4, .revoked = true};
    return cutoffs;
}

static void make_later(ent_keys *ret)
{
    ent_first_keys first = first_keys();
    ent_card card = later_card();
    ent_cutoffs cutoffs = later_cutoffs();
    assert_ok(ent_keys_make(&first, &card, &cutoffs, ret, NULL));
}

static void sign_head(uint8_t fill, uint64_t size, ent_buf *ret)
{
    ent_public_key key;
    ent_secret_key secret;
    ent_tree_head head = {size, hash_of(9)};
    key_pair(fill, &key, &secret);
    ent_buf_clear(ret);
    assert_ok(ent_checkpoint_sign(ORIGIN, &head, &secret, ret, NULL));
}

static ent_code open_head(const ent_keys *keys, uint8_t fill, uint64_t size, bool old, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_CLEANUP(ent_note_release) ent_note opened = {0};
    ent_checkpoint checkpoint;
    sign_head(fill, size, &note);
    ent_rc rc = old ? ent_keys_open_old_head(keys, ent_buf_bytes(&note), ORIGIN, &opened, &checkpoint, err)
                    : ent_keys_open_head(keys, ent_buf_bytes(&note), ORIGIN, &opened, &checkpoint, err);
    return rc.code;
}

static void test_keys__genesis_alone(void **state)
{
    (void)state;
    ent_keys keys = {0};
    ent_first_keys first = first_keys();
    ent_hash other = hash_of(16);
    assert_ok(ent_keys_make(&first, NULL, NULL, &keys, NULL));
    assert_int_equal(keys.serial, 0);
    assert_int_equal(open_head(&keys, 3, 1000000, false, NULL), ENT_OK);
    assert_int_equal(open_head(&keys, 13, 1, false, NULL), ENT_PEER_SIGNATURE);
    assert_true(ent_keys_has_pin(&keys, &first.tls));
    assert_false(ent_keys_has_pin(&keys, &other));
    ent_keys_release(&keys);
}

static void test_keys__each_head_has_the_key_of_its_size(void **state)
{
    (void)state;
    ent_keys keys = {0};
    ent_err err = {0};
    make_later(&keys);
    static const struct {
        uint8_t key;
        uint64_t size;
        bool valid;
        bool was; /* by a key that was good for smaller heads */
    } heads[] = {{3, 10, true, true},   {3, 11, false, true},  {13, 10, false, false}, {13, 11, true, true},
                 {13, 20, true, true},  {13, 21, false, true}, {23, 20, false, false}, {23, 21, true, true},
                 {23, 999, true, true}, {3, 21, false, true},  {33, 21, false, false}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_int_equal(open_head(&keys, heads[i].key, heads[i].size, false, &err) == ENT_OK, heads[i].valid);
        assert_int_equal(open_head(&keys, heads[i].key, heads[i].size, true, NULL) == ENT_OK, heads[i].was);
    }
    assert_int_equal(open_head(&keys, 13, 25, false, &err), ENT_PEER_SIGNATURE);
    assert_non_null(strstr(err.text, "card 4 revoked at 20 entries"));
    ent_keys_release(&keys);
}

static void test_keys__receipts_by_any_key_of_the_channel(void **state)
{
    (void)state;
    ent_keys keys = {0};
    make_later(&keys);
    for (uint8_t fill = 4; fill <= 24; fill = (uint8_t)(fill + 10)) {
        ent_public_key key;
        ent_secret_key secret;
        ent_vkey vkey;
        ent_cosignature cosignature = {0};
        ent_note opened = {0};
        uint32_t at = 9;
        ent_tree_head head = {5, hash_of(9)};
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        key_pair(fill, &key, &secret);
        ent_checkpoint_put(&note, ORIGIN, &head);
        assert_ok(ent_cosignature_sign(ent_buf_text(&note), 77, &secret, &cosignature, NULL));
        assert_ok(ent_vkey_make(ENT_TEXT("north.example/entente/receipt"), ENT_KEY_COSIGNATURE, &key, &vkey, NULL));
        ent_buf_put_u8(&note, '\n');
        ent_note_put_cosignature(&note, &vkey, &cosignature);
        assert_ok(ent_note_parse(ent_buf_bytes(&note), &opened, NULL));
        ent_rc rc = ent_keys_verify_receipt(&keys, ENT_TEXT("north.example"), &opened, &cosignature, &at, NULL);
        assert_int_equal(rc.code, fill == 24 ? ENT_PEER_SIGNATURE : ENT_OK);
        assert_int_equal(at, fill == 4 ? 0 : fill == 14 ? 1 : 9);
        ent_note_release(&opened);
    }
    assert_true(ent_keys_receipt_revoked(&keys, 0));
    assert_false(ent_keys_receipt_revoked(&keys, 1));
    assert_memory_equal(ent_keys_newest(&keys, ENT_KEY_ROLE_RECEIPT)->value, public_of(14).bytes, 32);
    ent_keys_release(&keys);
}

static void test_keys__certificates_change_over(void **state)
{
    (void)state;
    ent_keys keys = {0};
    ent_first_keys first = first_keys();
    ent_card card = later_card();
    ent_hash newest = hash_of(16);
    make_later(&keys);
    assert_true(ent_keys_has_pin(&keys, &first.tls));
    assert_true(ent_keys_has_pin(&keys, &newest));
    ent_keys_release(&keys);
    card.former[3].revoked = true;
    assert_ok(ent_keys_make(&first, &card, NULL, &keys, NULL));
    assert_false(ent_keys_has_pin(&keys, &first.tls));
    assert_true(ent_keys_has_pin(&keys, &newest));
    ent_keys_release(&keys);
}

static void test_keys__a_channel_opened_later_begins_with_its_own(void **state)
{
    (void)state;
    ent_keys keys = {0};
    ent_first_keys first = first_keys();
    ent_card card = later_card();
    first.log = card.log;
    first.receipt = card.receipt;
    assert_ok(ent_keys_make(&first, &card, NULL, &keys, NULL));
    assert_int_equal(keys.role_count[ENT_KEY_ROLE_RECEIPT], 1); /* the one that was revoked before never counts */
    assert_int_equal(open_head(&keys, 3, 1, true, NULL), ENT_PEER_SIGNATURE);
    assert_int_equal(open_head(&keys, 23, 1, false, NULL), ENT_OK);
    ent_keys_release(&keys);
}

static void test_keys__what_does_not_lead_on_refused(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 5; way++) {
        ent_keys keys = {0};
        ent_first_keys first = first_keys();
        ent_card card = later_card();
        ent_cutoffs cutoffs = later_cutoffs();
        const ent_card *given = &card;
        if (way == 0)
            first.receipt = public_of(99);
        else if (way == 1)
            first.name = ENT_TEXT("south.example");
        else if (way == 2)
            cutoffs.rows[1].serial = 5; /* of a card that is not here */
        else if (way == 3)
            cutoffs.rows[1].serial = 3; /* of a card that kept the log key */
        else
            given = NULL;
        assert_code(ent_keys_make(&first, given, &cutoffs, &keys, NULL), ENT_PEER_MISMATCH);
        assert_int_equal(keys.log_count, 0);
    }
}

static void test_keys__no_memory_leaves_nothing(void **state)
{
    (void)state;
    ent_first_keys first = first_keys();
    ent_card card = later_card();
    ent_cutoffs cutoffs = later_cutoffs();
    for (unsigned long nth = 1;; nth++) {
        ent_keys keys = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_keys_make(&first, &card, &cutoffs, &keys, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            assert_true(nth > 1);
            ent_keys_release(&keys);
            return;
        }
        assert_code(rc, ENT_NOMEM);
        assert_int_equal(keys.log_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys__genesis_alone),
        cmocka_unit_test(test_keys__each_head_has_the_key_of_its_size),
        cmocka_unit_test(test_keys__receipts_by_any_key_of_the_channel),
        cmocka_unit_test(test_keys__certificates_change_over),
        cmocka_unit_test(test_keys__a_channel_opened_later_begins_with_its_own),
        cmocka_unit_test(test_keys__what_does_not_lead_on_refused),
        cmocka_unit_test(test_keys__no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
