#include "support.h"

static const size_t sizes[] = {0, 1, 15, 16, 17, 65535, 65536, 65537, 131071, 131072, 131073, 300000};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Made by an implementation of its own (Python, from the text of the specifications): file key 00…0f, nonce 10…1f,
 * recipients of the identities 01…01 and 02…02. */
static const char expected_header[] = "age-encryption.org/v1\n"
                                      "-> X25519 wOUVy3m1/YrBxVE+dzvLU8Q/SKetlK7XAUlwVKrxCk8\n"
                                      "h2NVsOxKMTpBV8s8qQ79ujuukL3JsPLGkDcO7NivK5s\n"
                                      "-> X25519 NVI+yfTIv00y55uG9gmv06PKedKXzaavPI9AVTfZGX4\n"
                                      "/1//0K+20jyYwM3XSTJcyxUO4WKZzY6aeOgS1+rsFSc\n"
                                      "--- 4zFhSvQzVT7fVtTjBcq5q9r2IQiIqkdvUSAAs5tWwr0\n";
static const char expected_payload[] =
    "101112131415161718191a1b1c1d1e1fc49957b146b27c9ef9b6775a07d11102f152610e484c1e4e"
    "2ae99e60015e494a27dbfc3e2ba592f0dd412cc71f112b5a";

static void test_age_seal__given_key_and_nonce_give_these_bytes(void **state)
{
    (void)state;
    ent_file_key key = fixed_key();
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ent_recipient recipients[2] = {recipient_of(1), recipient_of(2)};
    uint8_t payload[64];
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    fixed_nonce(nonce);
    assert_ok(ent_hex_decode(ent_text_of(expected_payload), payload, sizeof payload, NULL));
    assert_ok(ent_age_seal_with(&key, nonce, ent_text_bytes(ENT_TEXT("A hotline must not be deniable.\n")), recipients,
                                2, &sealed, NULL));
    assert_int_equal(sealed.size, sizeof expected_header - 1 + sizeof payload);
    assert_memory_equal(sealed.data, expected_header, sizeof expected_header - 1);
    assert_memory_equal(sealed.data + sizeof expected_header - 1, payload, sizeof payload);
}

static void test_age_seal__every_recipient_opens_it(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, ENT_AGE_MAX_RECIPIENTS};
    ent_recipient recipients[ENT_AGE_MAX_RECIPIENTS];
    for (size_t i = 0; i < ENT_AGE_MAX_RECIPIENTS; i++)
        recipients[i] = recipient_of((uint8_t)(i + 1));
    for (size_t s = 0; s < SIZES; s++) {
        ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(sizes[s]);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
            ent_buf_put_string(&sealed, "before");
            assert_ok(ent_age_seal(ent_buf_bytes(&plain), recipients, counts[c], &sealed, NULL));
            ent_bytes file = ent_bytes_of(sealed.data + 6, sealed.size - 6);
            assert_memory_equal(sealed.data, "before", 6);
            for (size_t i = 0; i < counts[c]; i += i == 0 && counts[c] > 1 ? counts[c] - 1 : 1) {
                ent_identity identity = identity_of((uint8_t)(i + 1));
                ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
                ent_buf_put_string(&opened, "old");
                assert_ok(ent_age_open(file, ent_age_identity_unwrapper(&identity), &opened, NULL, NULL));
                assert_memory_equal(opened.data, "old", 3);
                assert_bytes(ent_bytes_of(opened.data + 3, opened.size - 3), ent_buf_bytes(&plain));
            }
        }
    }
}

static void test_age_seal__takes_one_allocation(void **state)
{
    (void)state;
    ent_recipient recipients[3] = {recipient_of(1), recipient_of(2), recipient_of(3)};
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(200000);
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_alloc_fail_at(0);
    assert_ok(ent_age_seal(ent_buf_bytes(&plain), recipients, 3, &sealed, NULL));
    assert_int_equal(ent_alloc_count(), 1);
}

static void test_age_seal__each_time_another_file(void **state)
{
    (void)state;
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf first = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf second = {0};
    assert_ok(ent_age_seal((ent_bytes){NULL, 0}, &recipient, 1, &first, NULL));
    assert_ok(ent_age_seal((ent_bytes){NULL, 0}, &recipient, 1, &second, NULL));
    assert_int_equal(first.size, second.size);
    assert_memory_not_equal(first.data, second.data, first.size);
}

static void test_age_seal__bad_recipients_refused(void **state)
{
    (void)state;
    ent_recipient recipients[ENT_AGE_MAX_RECIPIENTS + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_age_sealer *sealer = NULL;
    collector into = {0};
    for (size_t i = 0; i < ENT_AGE_MAX_RECIPIENTS + 1; i++)
        recipients[i] = recipient_of((uint8_t)(i + 1));
    const ent_bytes nothing = {NULL, 0};
    ent_buf_put_string(&sealed, "before");
    assert_code(ent_age_seal(nothing, recipients, 0, &sealed, NULL), ENT_USAGE);
    assert_code(ent_age_seal(nothing, recipients, ENT_AGE_MAX_RECIPIENTS + 1, &sealed, NULL), ENT_USAGE);
    recipients[5] = recipients[2];
    assert_code(ent_age_seal(nothing, recipients, 6, &sealed, NULL), ENT_USAGE);
    assert_code(ent_age_sealer_new(recipients, 6, sink_of(&into), &sealer, NULL), ENT_USAGE);
    memset(&recipients[5], 0, sizeof recipients[5]); /* of low order */
    assert_code(ent_age_seal(nothing, recipients, 6, &sealed, NULL), ENT_USAGE);
    assert_code(ent_age_sealer_new(recipients, 6, sink_of(&into), &sealer, NULL), ENT_USAGE);
    assert_null(sealer);
    assert_int_equal(into.writes, 0);
    assert_bytes(ent_buf_bytes(&sealed), ent_bytes_of("before", 6));
}

static void test_age_seal__no_room_leaves_output_untouched(void **state)
{
    (void)state;
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(1000);
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_alloc_fail_at(1);
    ent_rc rc = ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &sealed, NULL);
    ent_alloc_fail_at(0);
    assert_code(rc, ENT_NOMEM);
    assert_int_equal(sealed.size, 0);
    ENT_CLEANUP(ent_buf_release) ent_buf limited = {.limit = 1000};
    assert_code(ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &limited, NULL), ENT_PEER_TOO_LARGE);
    assert_int_equal(limited.size, 0);
}

/* --- streaming --- */

static ent_rc seal_in_pieces(ent_bytes plain, size_t piece, collector *into, ent_err *err)
{
    ENT_CLEANUP(ent_age_sealer_release) ent_age_sealer *sealer = NULL;
    ent_recipient recipients[2] = {recipient_of(1), recipient_of(2)};
    ENT_TRY(ent_age_sealer_new(recipients, 2, sink_of(into), &sealer, err));
    while (plain.size > 0) {
        size_t taken = plain.size < piece ? plain.size : piece;
        ENT_TRY(ent_age_sealer_push(sealer, ent_bytes_of(plain.data, taken), err));
        ENT_TRY(ent_age_sealer_push(sealer, (ent_bytes){NULL, 0}, err));
        plain = ent_bytes_of(plain.data + taken, plain.size - taken);
    }
    return ent_age_sealer_finish(sealer, err);
}

static void test_age_sealer__pieces_of_any_size_give_a_file_that_opens(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 1000, 65535, 65536, 65537, 131072, 1000000};
    ent_identity identity = identity_of(2);
    for (size_t s = 0; s < SIZES; s++) {
        ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(sizes[s]);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            collector sealed = {0};
            ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
            assert_ok(seal_in_pieces(ent_buf_bytes(&plain), pieces[p], &sealed, NULL));
            assert_ok(
                ent_age_open(ent_buf_bytes(&sealed.got), ent_age_identity_unwrapper(&identity), &opened, NULL, NULL));
            assert_bytes(ent_buf_bytes(&opened), ent_buf_bytes(&plain));
            ent_buf_release(&sealed.got);
        }
    }
}

static void test_age_sealer__every_failing_write_reported_and_final(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(150000);
    for (unsigned nth = 1; nth <= 4; nth++) { /* header, two full chunks, the final one */
        collector into = {.fail_at = nth};
        assert_code(seal_in_pieces(ent_buf_bytes(&plain), 50000, &into, NULL), ENT_IO_FULL);
        assert_int_equal(into.writes, nth);
        ent_buf_release(&into.got);
    }
    collector into = {.fail_at = 2};
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_age_sealer_release) ent_age_sealer *sealer = NULL;
    assert_ok(ent_age_sealer_new(&recipient, 1, sink_of(&into), &sealer, NULL));
    assert_code(ent_age_sealer_push(sealer, ent_buf_bytes(&plain), NULL), ENT_IO_FULL);
    assert_code(ent_age_sealer_push(sealer, ent_buf_bytes(&plain), NULL), ENT_USAGE);
    assert_code(ent_age_sealer_finish(sealer, NULL), ENT_USAGE);
    assert_int_equal(into.writes, 2);
    ent_buf_release(&into.got);
}

static void test_age_sealer__nothing_after_finish(void **state)
{
    (void)state;
    collector into = {0};
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_age_sealer_release) ent_age_sealer *sealer = NULL;
    assert_ok(ent_age_sealer_new(&recipient, 1, sink_of(&into), &sealer, NULL));
    assert_ok(ent_age_sealer_finish(sealer, NULL));
    assert_code(ent_age_sealer_push(sealer, ent_bytes_of("x", 1), NULL), ENT_USAGE);
    assert_code(ent_age_sealer_finish(sealer, NULL), ENT_USAGE);
    ent_buf_release(&into.got);
    ent_age_sealer_free(NULL);
}

static void test_age_sealer__no_memory_leaves_nothing(void **state)
{
    (void)state;
    ent_recipient recipient = recipient_of(1);
    for (unsigned long nth = 1;; nth++) {
        static uint8_t room[4096];
        collector into = {.got = {.data = room, .capacity = sizeof room}};
        ent_age_sealer *sealer = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_age_sealer_new(&recipient, 1, sink_of(&into), &sealer, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        if (!reached) {
            assert_ok(rc);
            ent_age_sealer_free(sealer);
            assert_true(nth > 2);
            break;
        }
        assert_code(rc, ENT_NOMEM);
        assert_null(sealer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_age_seal__given_key_and_nonce_give_these_bytes),
        cmocka_unit_test(test_age_seal__every_recipient_opens_it),
        cmocka_unit_test(test_age_seal__takes_one_allocation),
        cmocka_unit_test(test_age_seal__each_time_another_file),
        cmocka_unit_test(test_age_seal__bad_recipients_refused),
        cmocka_unit_test(test_age_seal__no_room_leaves_output_untouched),
        cmocka_unit_test(test_age_sealer__pieces_of_any_size_give_a_file_that_opens),
        cmocka_unit_test(test_age_sealer__every_failing_write_reported_and_final),
        cmocka_unit_test(test_age_sealer__nothing_after_finish),
        cmocka_unit_test(test_age_sealer__no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
