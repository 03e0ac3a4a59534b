#include "support.h"

/* A file sealed as agreed to the identities 01…01, 02…02, 03…03 with the fixed key. */
static ent_buf sealed_file(ent_recipient recipients[3])
{
    ent_buf file = {0};
    ent_file_key key = fixed_key();
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    fixed_nonce(nonce);
    for (uint8_t i = 0; i < 3; i++)
        recipients[i] = recipient_of((uint8_t)(i + 1));
    assert_ok(ent_age_seal_with(&key, nonce, ent_bytes_of("text", 4), recipients, 3, &file, NULL));
    return file;
}

static void test_reveal__file_sealed_as_agreed_shown(void **state)
{
    (void)state;
    ent_recipient recipients[3];
    ent_file_key key = fixed_key();
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    ENT_CLEANUP(ent_buf_release) ent_buf file = sealed_file(recipients);
    assert_ok(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL));
    assert_int_equal(verdict, ENT_SEAL_AS_AGREED);
    /* The header and the nonce are enough. */
    verdict = ENT_SEAL_NOT_CHECKED;
    size_t head = ent_age_header_size(3) + ENT_AGE_NONCE_SIZE;
    assert_ok(ent_seal_check(ent_bytes_of(file.data, head), &key, recipients, 3, &verdict, NULL));
    assert_int_equal(verdict, ENT_SEAL_AS_AGREED);
    verdict = ENT_SEAL_NOT_CHECKED;
    assert_code(ent_seal_check(ent_bytes_of(file.data, head - 1), &key, recipients, 3, &verdict, NULL),
                ENT_PEER_MALFORMED);
    assert_int_equal(verdict, ENT_SEAL_NOT_CHECKED);
}

/* Every way to seal that leaves a member out, though the MAC is right. */
static void test_reveal__other_recipients_or_ephemerals_shown(void **state)
{
    (void)state;
    ent_recipient recipients[4];
    ent_file_key key = fixed_key();
    ENT_CLEANUP(ent_buf_release) ent_buf file = sealed_file(recipients);
    recipients[3] = recipient_of(4);
    const ent_recipient swapped[3] = {recipients[1], recipients[0], recipients[2]};
    const ent_recipient replaced[3] = {recipients[0], recipients[1], recipients[3]};
    const struct {
        const ent_recipient *recipients;
        size_t count;
    } others[] = {{recipients, 2}, {recipients, 4}, {swapped, 3}, {replaced, 3}, {recipients + 1, 2}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
        assert_ok(ent_seal_check(ent_buf_bytes(&file), &key, others[i].recipients, others[i].count, &verdict, NULL));
        assert_int_equal(verdict, ENT_SEAL_OTHERWISE);
    }
    /* Another nonce: the ephemerals do not belong to it. */
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    file.data[ent_age_header_size(3)] ^= 1;
    assert_ok(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL));
    assert_int_equal(verdict, ENT_SEAL_OTHERWISE);
}

/* One bit of one stanza changed and the MAC made anew: the member cannot open it, and the writer cannot deny that. */
static void test_reveal__spoilt_stanza_with_right_mac_shown(void **state)
{
    (void)state;
    ent_recipient recipients[3];
    ent_file_key key = fixed_key();
    ent_identity second = identity_of(2);
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ENT_CLEANUP(ent_buf_release) ent_buf file = sealed_file(recipients);
    size_t stanza = ent_age_header_size(2) - ent_age_header_size(1);
    size_t body = ENT_AGE_VERSION_LINE.size + 2 * stanza - 10; /* in the second stanza's body */
    fixed_nonce(nonce);
    file.data[body] = file.data[body] == 'A' ? 'B' : 'A';
    file.size = ENT_AGE_VERSION_LINE.size + 3 * stanza;
    put_mac(&file, &key);
    ent_buf_put(&file, ent_bytes_of(nonce, sizeof nonce));
    put_chunk(&file, &key, 0, true, ent_bytes_of("text", 4));

    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
    assert_code(ent_age_open(ent_buf_bytes(&file), ent_age_identity_unwrapper(&second), &opened, NULL, NULL),
                ENT_ABSENT);
    assert_ok(ent_age_open(ent_buf_bytes(&file), ent_age_key_unwrapper(&key), &opened, NULL, NULL));
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    assert_ok(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL));
    assert_int_equal(verdict, ENT_SEAL_OTHERWISE);
}

static void test_reveal__wrong_key_or_recipients_refused(void **state)
{
    (void)state;
    ent_recipient recipients[3];
    ent_file_key key = fixed_key();
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    ENT_CLEANUP(ent_buf_release) ent_buf file = sealed_file(recipients);
    key.bytes[3] ^= 1;
    assert_code(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL), ENT_PEER_SIGNATURE);
    key = fixed_key();
    assert_code(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 0, &verdict, NULL), ENT_USAGE);
    recipients[1] = recipients[0];
    assert_code(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL), ENT_USAGE);
    file.data[0] ^= 1;
    assert_code(ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL), ENT_PEER_MALFORMED);
    assert_int_equal(verdict, ENT_SEAL_NOT_CHECKED);
}

static void test_reveal__no_memory_reported(void **state)
{
    (void)state;
    ent_recipient recipients[3];
    ent_file_key key = fixed_key();
    ENT_CLEANUP(ent_buf_release) ent_buf file = sealed_file(recipients);
    for (unsigned long nth = 1;; nth++) {
        ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_seal_check(ent_buf_bytes(&file), &key, recipients, 3, &verdict, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            assert_true(nth > 2);
            break;
        }
        assert_code(rc, ENT_NOMEM);
        assert_int_equal(verdict, ENT_SEAL_NOT_CHECKED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reveal__file_sealed_as_agreed_shown),
        cmocka_unit_test(test_reveal__other_recipients_or_ephemerals_shown),
        cmocka_unit_test(test_reveal__spoilt_stanza_with_right_mac_shown),
        cmocka_unit_test(test_reveal__wrong_key_or_recipients_refused),
        cmocka_unit_test(test_reveal__no_memory_reported),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
