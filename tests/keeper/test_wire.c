/* What node and keeper say to each other: written and read again it is the same, and nothing else is taken. */
#include "testing.h"

#include "keeper/wire.h"

static void encode(const ent_wire_request *request, ent_buf *ret)
{
    ent_buf_clear(ret);
    assert_ok(ent_wire_request_put(request, ret, NULL));
}

static void hash_of(uint8_t byte, ent_hash *ret)
{
    memset(ret->bytes, byte, sizeof ret->bytes);
}

static void test_wire__sign_request_read_as_written(void **state)
{
    (void)state;
    ent_buf bytes = {0};
    ent_wire_request again = {0};
    ent_tree_proof proof = {.count = ENT_PROOF_MAX_HASHES};
    ent_keeper_request items[2] = {
        {.what = ENT_KEEPER_HEAD, .origin = ENT_TEXT("a.example/entente/00"), .head.size = 9, .extends = &proof},
        {.what = ENT_KEEPER_RECEIPT, .origin = ENT_TEXT(""), .head.size = UINT64_MAX, .timestamp_unix_s = 77}};
    ent_wire_request request = {.kind = ENT_WIRE_SIGN, .items = items, .count = 2};
    for (uint8_t i = 0; i < ENT_PROOF_MAX_HASHES; i++)
        hash_of(i, &proof.hashes[i]);
    hash_of(200, &items[0].head.root);
    encode(&request, &bytes);
    assert_ok(ent_wire_request_parse(ent_buf_bytes(&bytes), &again, NULL));
    assert_int_equal(again.kind, ENT_WIRE_SIGN);
    assert_int_equal(again.count, 2);
    assert_true(ent_text_is(again.items[0].origin, "a.example/entente/00"));
    assert_memory_equal(&again.items[0].head, &items[0].head, sizeof items[0].head);
    assert_memory_equal(again.items[0].extends, &proof, sizeof proof);
    assert_null(again.items[1].extends);
    assert_int_equal(again.items[1].what, ENT_KEEPER_RECEIPT);
    assert_int_equal(again.items[1].head.size, UINT64_MAX);
    assert_int_equal(again.items[1].timestamp_unix_s, 77);
    ent_wire_request_release(&again);
    ent_buf_release(&bytes);
}

/* Every kind of request, whole, and each of its beginnings, and with a byte more. */
static void test_wire__cut_or_longer_request_refused(void **state)
{
    (void)state;
    ent_tree_proof proof = {.count = 2};
    ent_keeper_request item = {.what = ENT_KEEPER_HEAD, .origin = ENT_TEXT("a/b"), .head.size = 9, .extends = &proof};
    const ent_wire_request requests[] = {
        {.kind = ENT_WIRE_PUBLICS},
        {.kind = ENT_WIRE_TLS_KEY},
        {.kind = ENT_WIRE_SIGN, .items = &item, .count = 1},
        {.kind = ENT_WIRE_MARK, .what = ENT_KEEPER_RECEIPT, .origin = ENT_TEXT("a/b")},
    };
    ent_buf bytes = {0};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        ent_wire_request again = {0};
        encode(&requests[i], &bytes);
        for (size_t size = 0; size < bytes.size; size++)
            assert_code(ent_wire_request_parse(ent_bytes_of(bytes.data, size), &again, NULL), ENT_PEER_MALFORMED);
        assert_ok(ent_wire_request_parse(ent_buf_bytes(&bytes), &again, NULL));
        ent_wire_request_release(&again);
        ent_buf_put_u8(&bytes, 0);
        assert_code(ent_wire_request_parse(ent_buf_bytes(&bytes), &again, NULL), ENT_PEER_MALFORMED);
    }
    ent_buf_release(&bytes);
}

static void test_wire__impossible_request_refused(void **state)
{
    (void)state;
    static const uint8_t kind_zero[] = {0};
    static const uint8_t kind_unknown[] = {ENT_WIRE_UNWRAP + 1};
    static const uint8_t too_many[] = {ENT_WIRE_SIGN, 0x01, 0x01};
    static const uint8_t what[] = {ENT_WIRE_MARK, 'X', 0, 1, 'a'};
    ent_wire_request again = {0};
    ent_keeper_request item = {.what = ENT_KEEPER_HEAD, .origin = ENT_TEXT("a"), .head.size = 1};
    ent_wire_request request = {.kind = ENT_WIRE_SIGN, .items = &item, .count = 1};
    ent_buf bytes = {0};
    assert_code(ent_wire_request_parse(ent_bytes_of(kind_zero, sizeof kind_zero), &again, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_wire_request_parse(ent_bytes_of(kind_unknown, sizeof kind_unknown), &again, NULL),
                ENT_PEER_MALFORMED);
    assert_code(ent_wire_request_parse(ent_bytes_of(too_many, sizeof too_many), &again, NULL), ENT_PEER_MALFORMED);
    assert_code(ent_wire_request_parse(ent_bytes_of(what, sizeof what), &again, NULL), ENT_PEER_MALFORMED);
    encode(&request, &bytes);
    bytes.data[bytes.size - 1] = ENT_PROOF_MAX_HASHES + 1;
    for (int i = 0; i <= ENT_PROOF_MAX_HASHES; i++)
        ent_buf_put(&bytes, ent_bytes_of(&item.head.root, sizeof item.head.root));
    assert_code(ent_wire_request_parse(ent_buf_bytes(&bytes), &again, NULL), ENT_PEER_MALFORMED);
    request.count = ENT_WIRE_MAX_ITEMS + 1;
    assert_code(ent_wire_request_put(&request, &bytes, NULL), ENT_USAGE);
    ent_buf_release(&bytes);
}

static void test_wire__answers_read_as_written_and_not_cut(void **state)
{
    (void)state;
    static const ent_wire_kind kinds[] = {ENT_WIRE_PUBLICS, ENT_WIRE_TLS_KEY, ENT_WIRE_SIGN, ENT_WIRE_MARK,
                                          ENT_WIRE_UNWRAP};
    ent_buf bytes = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        ent_keeper_request items[2] = {{.rc.code = ENT_OK}, {.rc.code = ENT_REFUSED_KEEPER}};
        ent_keeper_request read[2] = {{.rc.code = ENT_BUG}, {.rc.code = ENT_BUG}};
        ent_wire_answer answer = {.kind = kinds[i], .items = items, .count = 2, .mark.size = 5};
        ent_wire_answer again = {.kind = kinds[i], .items = read, .count = 2};
        memset(&items[0].signature, 9, sizeof items[0].signature);
        memset(&answer.publics, 8, sizeof answer.publics);
        memset(&answer.key, 7, sizeof answer.key);
        (void)snprintf(answer.outcome.text, sizeof answer.outcome.text, "why");
        ent_buf_clear(&bytes);
        assert_ok(ent_wire_answer_put(&answer, &bytes, NULL));
        for (size_t size = 0; size < bytes.size; size++)
            assert_code(ent_wire_answer_parse(ent_bytes_of(bytes.data, size), &again, NULL), ENT_PEER_MALFORMED);
        assert_ok(ent_wire_answer_parse(ent_buf_bytes(&bytes), &again, NULL));
        assert_string_equal(again.outcome.text, "why");
        if (kinds[i] == ENT_WIRE_SIGN) {
            assert_memory_equal(&read[0].signature, &items[0].signature, sizeof items[0].signature);
            assert_code(read[1].rc, ENT_REFUSED_KEEPER);
        }
        if (kinds[i] == ENT_WIRE_PUBLICS)
            assert_memory_equal(&again.publics, &answer.publics, sizeof answer.publics);
        if (kinds[i] == ENT_WIRE_UNWRAP)
            assert_memory_equal(&again.key, &answer.key, sizeof answer.key);
        again.kind = kinds[i] == ENT_WIRE_MARK ? ENT_WIRE_UNWRAP : ENT_WIRE_MARK;
        assert_code(ent_wire_answer_parse(ent_buf_bytes(&bytes), &again, NULL), ENT_PEER_MALFORMED);
    }
    ent_buf_release(&bytes);
}

/* Every code with its texts crosses; one that is none does not. */
static void test_wire__outcome_crosses_whole(void **state)
{
    (void)state;
    ent_buf bytes = {0};
    for (int code = 1; code < ENT_CODE_COUNT; code++) {
        ent_wire_answer answer = {.kind = ENT_WIRE_MARK, .outcome.code = code};
        ent_wire_answer again = {.kind = ENT_WIRE_MARK};
        memset(answer.outcome.text, 't', sizeof answer.outcome.text - 1);
        memset(answer.outcome.rule, 'r', sizeof answer.outcome.rule - 1);
        ent_buf_clear(&bytes);
        assert_ok(ent_wire_answer_put(&answer, &bytes, NULL));
        assert_ok(ent_wire_answer_parse(ent_buf_bytes(&bytes), &again, NULL));
        assert_memory_equal(&again.outcome, &answer.outcome, sizeof answer.outcome);
        bytes.data[1] = ENT_CODE_COUNT;
        assert_code(ent_wire_answer_parse(ent_buf_bytes(&bytes), &again, NULL), ENT_PEER_MALFORMED);
    }
    ent_buf_release(&bytes);
}

static void test_wire__no_memory_for_a_request_told(void **state)
{
    (void)state;
    ent_tree_proof proof = {.count = 3};
    ent_keeper_request item = {.what = ENT_KEEPER_HEAD, .origin = ENT_TEXT("a"), .head.size = 1, .extends = &proof};
    ent_wire_request request = {.kind = ENT_WIRE_SIGN, .items = &item, .count = 1};
    ent_buf bytes = {0};
    encode(&request, &bytes);
    for (unsigned long nth = 1;; nth++) {
        ent_wire_request again = {0};
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_wire_request_parse(ent_buf_bytes(&bytes), &again, NULL);
        ent_alloc_fail_at(0);
        ent_wire_request_release(&again);
        if (rc.code == ENT_OK)
            break;
        assert_code(rc, ENT_NOMEM);
        assert_in_range(nth, 1, 20);
    }
    ent_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire__sign_request_read_as_written),
        cmocka_unit_test(test_wire__cut_or_longer_request_refused),
        cmocka_unit_test(test_wire__impossible_request_refused),
        cmocka_unit_test(test_wire__answers_read_as_written_and_not_cut),
        cmocka_unit_test(test_wire__outcome_crosses_whole),
        cmocka_unit_test(test_wire__no_memory_for_a_request_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
