#include "fixture.h"

#include "log/tlog_proof.h"

#define HEADER "c2sp.org/tlog-proof@v1\n"
#define HASH "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
#define NOTE WITNESSED_NOTE
/* tlog-proof, its example, with a signed checkpoint in place of the elided one and the extra line made base64 */
#define EXAMPLE                                                                                                        \
    HEADER "extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n"                                             \
           "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n"              \
           "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\nRoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n"              \
           "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n\n" NOTE

static int parse_code(ent_bytes bytes)
{
    ent_tlog_proof proof = {.index = 42};
    ent_rc rc = ent_tlog_proof_parse(bytes, &proof, NULL);
    if (rc.code != ENT_OK)
        assert_true(proof.index == 42);
    return rc.code;
}

static void test_tlog_proof__published_example_round_trips(void **state)
{
    (void)state;
    ent_tlog_proof proof;
    ent_buf again = {0};
    assert_ok(ent_tlog_proof_parse(string_bytes(EXAMPLE), &proof, NULL));
    assert_true(proof.has_extra);
    assert_true(ent_text_is(proof.extra_base64, "YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6"));
    assert_int_equal(proof.index, 73894);
    assert_int_equal(proof.inclusion.count, 5);
    assert_hash(&proof.inclusion.hashes[4], "0070a2a17f672e3b2bb1ee988634519a4d565048ab54e2cb468390eaf7cee6f9");
    assert_true(ent_bytes_equal(proof.checkpoint, string_bytes(NOTE)));
    ent_tlog_proof_put(&again, &proof);
    assert_true(ent_text_is(ent_buf_text(&again), EXAMPLE));
    ent_buf_release(&again);
}

static void test_tlog_proof__smallest_parses(void **state)
{
    (void)state;
    ent_tlog_proof proof;
    assert_ok(ent_tlog_proof_parse(string_bytes(HEADER "index 0\n\nx"), &proof, NULL));
    assert_false(proof.has_extra);
    assert_int_equal(proof.inclusion.count, 0);
    assert_true(ent_text_is(ent_bytes_text(proof.checkpoint), "x"));
}

static void test_tlog_proof__malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "c2sp.org/tlog-proof@v1",
        HEADER,
        HEADER "index 0\n",
        HEADER "index 0\n\n",         /* no checkpoint */
        HEADER "index 0\n" HASH,      /* no empty line */
        HEADER "index 0\n" HASH "\n", /* no checkpoint */
        HEADER "\nindex 0\n\n" NOTE,
        "c2sp.org/tlog-proof@v2\nindex 0\n\n" NOTE,
        "c2sp.org/tlog-proof@v1\r\nindex 0\n\n" NOTE,
        HEADER "index 00\n\n" NOTE,
        HEADER "index 01\n\n" NOTE,
        HEADER "index -1\n\n" NOTE,
        HEADER "index \n\n" NOTE,
        HEADER "index  0\n\n" NOTE,
        HEADER "index 0 \n\n" NOTE,
        HEADER "index\n\n" NOTE,
        HEADER "Index 0\n\n" NOTE,
        HEADER "index 9007199254740992\n\n" NOTE,
        HEADER "index 0\n" HASH "index 0\n\n" NOTE,
        HEADER "index 0\ngSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlR=\n\n" NOTE, /* unused bits */
        HEADER "index 0\ngSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ\n\n" NOTE,  /* no padding */
        HEADER "index 0\ngSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcd\n\n" NOTE,     /* 30 bytes */
        HEADER "extra\nindex 0\n\n" NOTE,
        HEADER "extra \nindex 0\n\n" NOTE, /* omitted when empty */
        HEADER "extra A\nindex 0\n\n" NOTE,
        HEADER "extra ====\nindex 0\n\n" NOTE,
        HEADER "extra AAB=\nindex 0\n\n" NOTE,
        HEADER "extra AB==\nindex 0\n\n" NOTE,
        HEADER "extra AA==AAAA\nindex 0\n\n" NOTE,
        HEADER "extra AAAA \nindex 0\n\n" NOTE,
        HEADER "extra AAAA\nextra AAAA\nindex 0\n\n" NOTE,
        HEADER "index 0\nextra AAAA\n\n" NOTE,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse_code(string_bytes(bad[i])) != ENT_PEER_MALFORMED)
            fail_msg("proof %zu was not refused: %s", i, bad[i]);
    }
}

static int parse_with_hashes(size_t count)
{
    ent_buf buf = {0};
    ent_buf_put_string(&buf, HEADER "index 9007199254740991\n");
    for (size_t i = 0; i < count; i++)
        ent_buf_put_string(&buf, HASH);
    ent_buf_put_string(&buf, "\n" NOTE);
    int code = parse_code(ent_buf_bytes(&buf));
    ent_buf_release(&buf);
    return code;
}

static void test_tlog_proof__at_most_63_hashes(void **state)
{
    (void)state;
    assert_int_equal(parse_with_hashes(ENT_PROOF_MAX_HASHES), ENT_OK);
    assert_int_equal(parse_with_hashes(ENT_PROOF_MAX_HASHES + 1), ENT_PEER_TOO_LARGE);
}

static int parse_with_extra(size_t size, size_t flip)
{
    ent_buf extra = {0};
    ent_buf buf = {0};
    for (size_t i = 0; i < size; i++)
        ent_buf_put_u8(&extra, (uint8_t)(i * 31));
    ent_buf_put_string(&buf, HEADER "extra ");
    size_t begin = buf.size;
    ent_buf_put_base64(&buf, ent_buf_bytes(&extra));
    assert_ok(ent_buf_check(&buf, NULL));
    if (flip > 0)
        buf.data[begin + flip - 1] = '=';
    ent_buf_put_string(&buf, "\nindex 0\n\n" NOTE);
    int code = parse_code(ent_buf_bytes(&buf));
    ent_buf_release(&extra);
    ent_buf_release(&buf);
    return code;
}

static void test_tlog_proof__extra_of_any_size_to_the_limit(void **state)
{
    (void)state;
    for (size_t size = 1; size < 800; size++)
        assert_int_equal(parse_with_extra(size, 0), ENT_OK);
    assert_int_equal(parse_with_extra(ENT_TLOG_PROOF_MAX_EXTRA, 0), ENT_OK);
    assert_int_equal(parse_with_extra(ENT_TLOG_PROOF_MAX_EXTRA + 1, 0), ENT_PEER_MALFORMED);
    for (size_t flip = 1; flip < 800; flip++)
        assert_int_equal(parse_with_extra(600, flip), ENT_PEER_MALFORMED);
}

static void test_tlog_proof__too_large_is_refused(void **state)
{
    (void)state;
    char *large = calloc(1, ENT_TLOG_PROOF_MAX_BYTES + 1);
    static const char begin[] = HEADER "index 0\n\n";
    assert_non_null(large);
    memcpy(large, begin, sizeof begin - 1);
    assert_int_equal(parse_code(ent_bytes_of(large, ENT_TLOG_PROOF_MAX_BYTES + 1)), ENT_PEER_TOO_LARGE);
    assert_int_equal(parse_code(ent_bytes_of(large, sizeof begin - 1 + ENT_NOTE_MAX_BYTES)), ENT_OK);
    assert_int_equal(parse_code(ent_bytes_of(large, sizeof begin + ENT_NOTE_MAX_BYTES)), ENT_PEER_TOO_LARGE);
    free(large);
}

static void test_tlog_proof__of_a_log_verifies_from_its_bytes(void **state)
{
    (void)state;
    ent_vkey vkey;
    ent_note note;
    ent_checkpoint checkpoint;
    ent_buf file = {0};
    memory_tiles tiles = {0};
    const ent_tile_reader reader = memory_reader(&tiles);
    memory_grow(&tiles, 1000);
    ent_tlog_proof proof = {.index = 637, .checkpoint = string_bytes(NOTE)};
    assert_ok(ent_inclusion_prove(637, 1000, &reader, &proof.inclusion, NULL));
    ent_tlog_proof_put(&file, &proof);
    assert_ok(ent_buf_check(&file, NULL));

    ent_tlog_proof read;
    ent_hash leaf = numbered_leaf(637);
    assert_ok(ent_vkey_parse(ENT_TEXT(LOG_VKEY), &vkey, NULL));
    assert_ok(ent_tlog_proof_parse(ent_buf_bytes(&file), &read, NULL));
    assert_ok(ent_checkpoint_open(read.checkpoint, ENT_TEXT(LOG_NAME), &vkey.key, &note, &checkpoint, NULL));
    assert_int_equal(ent_inclusion_verify(read.index, &leaf, &checkpoint.head, &read.inclusion), ENT_PROOF_VALID);
    ent_note_release(&note);
    ent_buf_release(&file);
    memory_release(&tiles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tlog_proof__published_example_round_trips),
        cmocka_unit_test(test_tlog_proof__smallest_parses),
        cmocka_unit_test(test_tlog_proof__malformed_is_refused),
        cmocka_unit_test(test_tlog_proof__at_most_63_hashes),
        cmocka_unit_test(test_tlog_proof__extra_of_any_size_to_the_limit),
        cmocka_unit_test(test_tlog_proof__too_large_is_refused),
        cmocka_unit_test(test_tlog_proof__of_a_log_verifies_from_its_bytes),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
