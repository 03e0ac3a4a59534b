#include "support.h"

enum { CHUNK = ENT_AGE_CHUNK_BYTES };

/* Header for the identity 01…01 and nonce, ready for chunks. */
static ent_buf start_file(void)
{
    ent_buf file = {0};
    ent_file_key key = fixed_key();
    uint8_t nonce[ENT_AGE_NONCE_SIZE];
    ent_recipient recipient = recipient_of(1);
    fixed_nonce(nonce);
    assert_ok(ent_age_header_make(&key, nonce, &recipient, 1, &file, NULL));
    ent_buf_put(&file, ent_bytes_of(nonce, sizeof nonce));
    return file;
}

static ent_rc open_whole(const ent_buf *file, ent_buf *ret, ent_err *err)
{
    ent_identity identity = identity_of(1);
    return ent_age_open(ent_buf_bytes(file), ent_age_identity_unwrapper(&identity), ret, NULL, err);
}

/* Both ways of opening say the same; the whole one leaves no byte behind. `released` = what a stream may have given. */
static void refuse(const ent_buf *file, ent_code expected, size_t released)
{
    static const size_t pieces[] = {1000, CHUNK + 16, 1 << 20};
    ent_identity identity = identity_of(1);
    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
    ent_buf_put_string(&opened, "old");
    assert_code(open_whole(file, &opened, NULL), expected);
    assert_int_equal(opened.size, 3);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        collector into = {0};
        assert_code(open_in_pieces(ent_buf_bytes(file), &identity, pieces[i], &into, NULL), expected);
        assert_int_equal(into.got.size, released);
        ent_buf_release(&into.got);
    }
}

static void test_age_opener__pieces_of_any_size_open(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 200000};
    static const size_t pieces[] = {1, 7, 4096, 65551, 65552, 65553, 131104, 1 << 20};
    ent_identity identity = identity_of(1);
    ent_recipient recipient = recipient_of(1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(sizes[s]);
        ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
        assert_ok(ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &sealed, NULL));
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            collector into = {0};
            assert_ok(open_in_pieces(ent_buf_bytes(&sealed), &identity, pieces[p], &into, NULL));
            assert_bytes(ent_buf_bytes(&into.got), ent_buf_bytes(&plain));
            ent_buf_release(&into.got);
        }
    }
}

static void test_age_open__cut_anywhere_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 40, CHUNK, CHUNK + 1, 2 * CHUNK};
    ent_identity identity = identity_of(1);
    ent_recipient recipient = recipient_of(1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(sizes[s]);
        ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
        assert_ok(ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &sealed, NULL));
        for (size_t size = 0; size < sealed.size; size += size < 250 || size + 40 > sealed.size ? 1 : 997) {
            ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
            collector into = {0};
            ent_rc whole = ent_age_open(ent_bytes_of(sealed.data, size), ent_age_identity_unwrapper(&identity), &opened,
                                        NULL, NULL);
            assert_int_equal(ent_code_class(whole.code), ENT_CLASS_PEER);
            assert_int_equal(opened.size, 0);
            assert_code(open_in_pieces(ent_bytes_of(sealed.data, size), &identity, 70000, &into, NULL), whole.code);
            ent_buf_release(&into.got);
        }
    }
}

static void test_age_open__any_flipped_bit_refused(void **state)
{
    (void)state;
    ent_identity identity = identity_of(1);
    ent_recipient recipients[2] = {recipient_of(1), recipient_of(2)};
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    assert_ok(ent_age_seal(ent_bytes_of("the meat plants stand still", 27), recipients, 2, &sealed, NULL));
    for (size_t bit = 0; bit < sealed.size * 8; bit++) {
        ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
        ent_file_key key = {{0x5a}};
        sealed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ent_rc rc = ent_age_open(ent_buf_bytes(&sealed), ent_age_identity_unwrapper(&identity), &opened, &key, NULL);
        assert_true(rc.code == ENT_ABSENT || ent_code_class(rc.code) == ENT_CLASS_PEER);
        assert_int_equal(opened.size, 0);
        assert_int_equal(key.bytes[0], 0x5a);
        sealed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    ent_err err = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
    assert_ok(ent_age_open(ent_buf_bytes(&sealed), ent_age_identity_unwrapper(&identity), &opened, NULL, &err));
}

static void test_age_open__chunks_not_as_they_must_be_refused(void **state)
{
    (void)state;
    ent_file_key key = fixed_key();
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(3 * CHUNK);
    const ent_bytes full = {plain.data, CHUNK};
    const ent_bytes some = {plain.data, 100};
    const ent_bytes none = {NULL, 0};
    const struct {
        struct {
            uint64_t number;
            bool final;
            ent_bytes plaintext;
        } chunks[3];
        size_t count;
        ent_code expected;
        size_t released;
    } files[] = {
        {{{0}}, 0, ENT_PEER_MALFORMED, 0},                                                     /* no chunk */
        {{{0, false, some}}, 1, ENT_PEER_SIGNATURE, 0},                                        /* no final chunk */
        {{{0, false, full}}, 1, ENT_PEER_MALFORMED, CHUNK},                                    /* no final chunk */
        {{{0, false, full}, {1, true, none}}, 2, ENT_PEER_MALFORMED, CHUNK},                   /* empty final chunk */
        {{{0, true, full}, {1, true, full}}, 2, ENT_PEER_MALFORMED, CHUNK},                    /* two final chunks */
        {{{0, true, some}, {1, true, some}}, 2, ENT_PEER_SIGNATURE, 0},                        /* two final chunks */
        {{{0, false, some}, {1, true, some}}, 2, ENT_PEER_SIGNATURE, 0},                       /* short in the middle */
        {{{1, false, full}, {0, true, some}}, 2, ENT_PEER_SIGNATURE, 0},                       /* order */
        {{{0, false, full}, {0, false, full}, {1, true, some}}, 3, ENT_PEER_SIGNATURE, CHUNK}, /* twice */
        {{{0, false, full}, {2, true, some}}, 2, ENT_PEER_SIGNATURE, CHUNK},                   /* one left out */
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf file = start_file();
        for (size_t k = 0; k < files[i].count; k++)
            put_chunk(&file, &key, files[i].chunks[k].number, files[i].chunks[k].final, files[i].chunks[k].plaintext);
        refuse(&file, files[i].expected, files[i].released);
    }
    ENT_CLEANUP(ent_buf_release) ent_buf file = start_file();
    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
    put_chunk(&file, &key, 0, false, full);
    put_chunk(&file, &key, 1, true, full);
    assert_ok(open_whole(&file, &opened, NULL));
    ent_buf_put_string(&file, "one more");
    refuse(&file, ENT_PEER_MALFORMED, 2 * (size_t)CHUNK);
}

static void test_age_open__not_an_age_file_refused_early(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_age_opener_release) ent_age_opener *opener = NULL;
    ent_identity identity = identity_of(1);
    collector into = {0};
    assert_ok(ent_age_opener_new(ent_age_identity_unwrapper(&identity), sink_of(&into), &opener, NULL));
    assert_ok(ent_age_opener_push(opener, ent_bytes_of("-----BEGIN AGE", 14), NULL));
    assert_code(ent_age_opener_push(opener, ent_bytes_of(" ENCRYPTED FILE-----", 20), NULL), ENT_PEER_MALFORMED);
    assert_code(ent_age_opener_push(opener, ent_bytes_of("x", 1), NULL), ENT_USAGE);
    assert_code(ent_age_opener_finish(opener, NULL), ENT_USAGE);
}

static void test_age_opener__endless_header_refused(void **state)
{
    (void)state;
    ENT_CLEANUP(ent_age_opener_release) ent_age_opener *opener = NULL;
    ent_identity identity = identity_of(1);
    collector into = {0};
    uint8_t letters[1000];
    memset(letters, 'a', sizeof letters);
    assert_ok(ent_age_opener_new(ent_age_identity_unwrapper(&identity), sink_of(&into), &opener, NULL));
    assert_ok(ent_age_opener_push(opener, ent_bytes_of("age-encryption.org/v1\n-> ", 25), NULL));
    for (int i = 0; i < 65; i++)
        assert_ok(ent_age_opener_push(opener, ent_bytes_of(letters, sizeof letters), NULL));
    assert_code(ent_age_opener_push(opener, ent_bytes_of(letters, sizeof letters), NULL), ENT_PEER_TOO_LARGE);
}

static void test_age_opener__every_failing_write_reported(void **state)
{
    (void)state;
    ent_identity identity = identity_of(1);
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(150000);
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    assert_ok(ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &sealed, NULL));
    for (unsigned nth = 1; nth <= 3; nth++) {
        collector into = {.fail_at = nth};
        assert_code(open_in_pieces(ent_buf_bytes(&sealed), &identity, 40000, &into, NULL), ENT_IO_FULL);
        assert_int_equal(into.got.size, (nth - 1) * (size_t)CHUNK);
        ent_buf_release(&into.got);
    }
}

static void test_age_opener__nothing_after_finish(void **state)
{
    (void)state;
    ent_identity identity = identity_of(1);
    ent_recipient recipient = recipient_of(1);
    collector into = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ENT_CLEANUP(ent_age_opener_release) ent_age_opener *opener = NULL;
    assert_ok(ent_age_seal((ent_bytes){NULL, 0}, &recipient, 1, &sealed, NULL));
    assert_ok(ent_age_opener_new(ent_age_identity_unwrapper(&identity), sink_of(&into), &opener, NULL));
    assert_ok(ent_age_opener_push(opener, ent_buf_bytes(&sealed), NULL));
    assert_ok(ent_age_opener_finish(opener, NULL));
    assert_int_equal(into.writes, 0);
    assert_code(ent_age_opener_push(opener, ent_buf_bytes(&sealed), NULL), ENT_USAGE);
    assert_code(ent_age_opener_finish(opener, NULL), ENT_USAGE);
    ent_age_opener_free(NULL);
}

static void test_age_open__file_key_opens_and_a_wrong_one_does_not(void **state)
{
    (void)state;
    ent_identity identity = identity_of(1);
    ent_recipient recipient = recipient_of(1);
    ent_file_key key;
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
    assert_ok(ent_age_seal(ent_bytes_of("text", 4), &recipient, 1, &sealed, NULL));
    assert_ok(ent_age_open(ent_buf_bytes(&sealed), ent_age_identity_unwrapper(&identity), &opened, &key, NULL));
    ent_buf_clear(&opened);
    assert_ok(ent_age_open(ent_buf_bytes(&sealed), ent_age_key_unwrapper(&key), &opened, NULL, NULL));
    assert_bytes(ent_buf_bytes(&opened), ent_bytes_of("text", 4));
    key.bytes[0] ^= 1;
    assert_code(ent_age_open(ent_buf_bytes(&sealed), ent_age_key_unwrapper(&key), &opened, NULL, NULL),
                ENT_PEER_SIGNATURE);
}

static ent_rc lie(void *context, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    (void)context;
    (void)header;
    (void)err;
    memset(ret, 1, sizeof *ret);
    return ENT_DONE;
}

static ent_rc refuse_to_unwrap(void *context, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    (void)context;
    (void)header;
    (void)ret;
    return ent_fail(err, ENT_REFUSED_KEEPER, NULL, "no");
}

static void test_age_open__unwrapper_is_not_believed(void **state)
{
    (void)state;
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
    assert_ok(ent_age_seal(ent_bytes_of("text", 4), &recipient, 1, &sealed, NULL));
    assert_code(ent_age_open(ent_buf_bytes(&sealed), (ent_age_unwrapper){lie, NULL}, &opened, NULL, NULL),
                ENT_PEER_SIGNATURE);
    assert_code(ent_age_open(ent_buf_bytes(&sealed), (ent_age_unwrapper){refuse_to_unwrap, NULL}, &opened, NULL, NULL),
                ENT_REFUSED_KEEPER);
    assert_int_equal(opened.size, 0);
}

static void test_age_open__output_limit_kept(void **state)
{
    (void)state;
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(1001);
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {.limit = 1000};
    assert_ok(ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &sealed, NULL));
    assert_code(open_whole(&sealed, &opened, NULL), ENT_PEER_TOO_LARGE);
    assert_int_equal(opened.size, 0);
}

static void test_age_open__no_memory_leaves_nothing(void **state)
{
    (void)state;
    ent_identity identity = identity_of(1);
    ent_recipient recipient = recipient_of(1);
    ENT_CLEANUP(ent_buf_release) ent_buf plain = pattern(70000);
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    assert_ok(ent_age_seal(ent_buf_bytes(&plain), &recipient, 1, &sealed, NULL));
    for (unsigned way = 0; way < 2; way++) {
        for (unsigned long nth = 1;; nth++) {
            ENT_CLEANUP(ent_buf_wipe) ent_buf opened = {0};
            collector into = {0};
            ent_alloc_fail_at(nth);
            ent_rc rc = way == 0 ? open_whole(&sealed, &opened, NULL)
                                 : open_in_pieces(ent_buf_bytes(&sealed), &identity, 100000, &into, NULL);
            bool reached = ent_alloc_count() >= nth;
            ent_alloc_fail_at(0);
            ent_buf_release(&into.got);
            if (!reached) {
                assert_ok(rc);
                assert_true(nth > 2);
                break;
            }
            assert_code(rc, ENT_NOMEM);
            assert_int_equal(opened.size, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_age_opener__pieces_of_any_size_open),
        cmocka_unit_test(test_age_open__cut_anywhere_refused),
        cmocka_unit_test(test_age_open__any_flipped_bit_refused),
        cmocka_unit_test(test_age_open__chunks_not_as_they_must_be_refused),
        cmocka_unit_test(test_age_open__not_an_age_file_refused_early),
        cmocka_unit_test(test_age_opener__endless_header_refused),
        cmocka_unit_test(test_age_opener__every_failing_write_reported),
        cmocka_unit_test(test_age_opener__nothing_after_finish),
        cmocka_unit_test(test_age_open__file_key_opens_and_a_wrong_one_does_not),
        cmocka_unit_test(test_age_open__unwrapper_is_not_believed),
        cmocka_unit_test(test_age_open__output_limit_kept),
        cmocka_unit_test(test_age_open__no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
