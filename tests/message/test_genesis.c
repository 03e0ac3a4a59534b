/* Genesis: one spelling, one channel id; origins and the commitment to the terms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "message/genesis.h"

#define X16(c) c c c c c c c c c c c c c c c c
#define KEY(c) X16(c c) /* 32 bytes as hex: the two digits sixteen times over, doubled */
#define PARTY(name, third, a, b, c, d, e)                                                                              \
    "{\"name\":\"" name                                                                                                \
    "\",\"root\":\"" KEY(a) "\",\"log\":\"" KEY(b) "\",\"" third                                                       \
                                                   "\":\"" KEY(c) "\",\"age\":\"" KEY(d) "\",\"tls\":\"" KEY(e) "\"}"
#define MEMBERS                                                                                                        \
    "\"members\":[" PARTY("aurora.example", "receipt", "01", "02", "03", "04",                                         \
                          "05") "," PARTY("boreal.example", "receipt", "06", "07", "08", "09", "0a") "]"
#define REST                                                                                                           \
    "\"quotas\":{\"entries_a_day\":10000,\"bytes_a_day\":1073741824,\"attachment_bytes\":0},\"delta_s\":300,"          \
    "\"mailbox_window_s\":86400,\"terms\":\"" KEY("ee") "\""
#define SMALL                                                                                                          \
    "{\"v\":1,\"rules\":1,\"nonce\":\"000102030405060708090a0b0c0d0e0f\"," MEMBERS                                     \
    ",\"neutral\":null,\"witness_policy\":null," REST ",\"predecessor\":null}"

/* The vkey is that of the all-0x42 Ed25519 public key under a cosigner's name; see vkey_line. */
#define FULL_HEAD                                                                                                      \
    "{\"v\":1,\"rules\":1,\"nonce\":\"000102030405060708090a0b0c0d0e0f\"," MEMBERS                                     \
    ",\"neutral\":" PARTY("un.example", "witness", "0b", "0c", "0d", "0e", "0f") ",\"witness_policy\":["
#define FULL_TAIL                                                                                                      \
    "]," REST ",\"predecessor\":{\"channel\":\"" KEY(                                                                  \
        "cc") "\",\"heads\":["                                                                                         \
              "{\"origin\":\"aurora.example/entente/" KEY("cc") "\",\"size\":12,\"root\":\"" KEY(                      \
                  "ab") "\"},"                                                                                         \
                        "{\"origin\":\"boreal.example/entente/" KEY("cc") "\",\"size\":0,\"root\":\"" KEY(             \
                            "cd") "\"}]}}"

static void put_full(ent_buf *buf)
{
    ent_vkey vkey;
    ent_public_key key;
    memset(key.bytes, 0x42, sizeof key.bytes);
    assert_int_equal(ent_vkey_make(ENT_TEXT("witness.example/w1"), ENT_KEY_COSIGNATURE, &key, &vkey, NULL).code,
                     ENT_OK);
    ent_buf_put_string(buf, FULL_HEAD "\"witness w1 ");
    ent_vkey_put(buf, &vkey);
    ent_buf_put_string(buf, " https://witness.example/\",\"quorum w1\"" FULL_TAIL);
    assert_non_null(ent_buf_string(buf));
}

static int decode_code(ent_text text, ent_err *err)
{
    ent_arena arena = {0};
    ent_genesis genesis;
    ent_genesis before;
    memset(&genesis, 0x5a, sizeof genesis);
    memcpy(&before, &genesis, sizeof genesis);
    int code = ent_genesis_decode(ent_text_bytes(text), &arena, &genesis, err).code;
    if (code != ENT_OK)
        assert_memory_equal(&genesis, &before, sizeof genesis);
    ent_arena_release(&arena);
    return code;
}

static void assert_round_trip(ent_text text)
{
    ent_arena arena = {0};
    ent_buf buf = {0};
    ent_err err = {0};
    ent_genesis genesis;
    if (ent_genesis_decode(ent_text_bytes(text), &arena, &genesis, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    if (ent_genesis_encode(&genesis, &buf, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    assert_true(ent_text_equal(ent_buf_text(&buf), text));
    ent_buf_release(&buf);
    ent_arena_release(&arena);
}

static void test_genesis__decoded_and_written_again_is_the_same(void **state)
{
    (void)state;
    ent_buf full = {0};
    put_full(&full);
    assert_round_trip(ENT_TEXT(SMALL));
    assert_round_trip(ent_buf_text(&full));
    ent_buf_release(&full);
}

static void test_genesis__decoded_values_are_those_written(void **state)
{
    (void)state;
    ent_buf full = {0};
    ent_arena arena = {0};
    ent_genesis genesis;
    put_full(&full);
    assert_int_equal(ent_genesis_decode(ent_buf_bytes(&full), &arena, &genesis, NULL).code, ENT_OK);
    ent_buf_release(&full); /* borrowed for the call only */
    assert_int_equal(genesis.rules, 1);
    assert_int_equal(genesis.nonce[15], 15);
    assert_int_equal(genesis.member_count, 2);
    assert_true(ent_text_is(genesis.members[1].name, "boreal.example"));
    assert_int_equal(genesis.members[0].root.bytes[31], 1);
    assert_int_equal(genesis.members[0].log.bytes[0], 2);
    assert_int_equal(genesis.members[0].receipt.bytes[0], 3);
    assert_int_equal(genesis.members[0].age.bytes[0], 4);
    assert_int_equal(genesis.members[1].tls.bytes[0], 10);
    assert_true(genesis.has_neutral && ent_text_is(genesis.neutral.name, "un.example"));
    assert_int_equal(genesis.neutral.witness.bytes[0], 13);
    assert_int_equal(genesis.witness_policy_count, 2);
    assert_true(ent_text_is(genesis.witness_policy[1], "quorum w1"));
    assert_int_equal(genesis.quotas.entries_a_day, 10000);
    assert_int_equal(genesis.quotas.bytes_a_day, 1073741824);
    assert_int_equal(genesis.delta_s, 300);
    assert_int_equal(genesis.mailbox_window_s, 86400);
    assert_int_equal(genesis.terms.bytes[0], 0xee);
    assert_true(genesis.has_predecessor && genesis.predecessor.bytes[0] == 0xcc);
    assert_int_equal(genesis.predecessor_head_count, 2);
    assert_int_equal(genesis.predecessor_heads[0].head.size, 12);
    assert_int_equal(ent_genesis_member(&genesis, ENT_TEXT("aurora.example")), 0);
    assert_int_equal(ent_genesis_member(&genesis, ENT_TEXT("boreal.example")), 1);
    assert_int_equal(ent_genesis_member(&genesis, ENT_TEXT("un.example")), -1);
    ent_arena_release(&arena);
}

static void refuse_changed(ent_text valid, const char *find, const char *with)
{
    ent_buf whole = {0};
    ent_buf buf = {0};
    ent_err err = {0};
    ent_buf_put_text(&whole, valid);
    const char *text = ent_buf_string(&whole);
    assert_non_null(text);
    const char *at = strstr(text, find);
    if (at == NULL)
        fail_msg("%s is not in the genesis", find);
    ent_buf_put(&buf, ent_bytes_of(text, (size_t)(at - text)));
    ent_buf_put_string(&buf, with);
    ent_buf_put_string(&buf, at + strlen(find));
    int code = decode_code(ent_buf_text(&buf), &err);
    if (ent_code_class(code) != ENT_CLASS_PEER || err.text[0] == 0)
        fail_msg("%s in place of %s: %s", with, find, ent_code_word(code));
    ent_buf_release(&buf);
    ent_buf_release(&whole);
}

static void test_genesis__every_deviation_refused(void **state)
{
    (void)state;
    static const struct {
        const char *find;
        const char *with;
    } rows[] = {
        {"{\"v\":1", "{\"v\":2"},
        {"{\"v\":1", "{ \"v\":1"},
        {"\"rules\":1", "\"rules\":2"},
        {"\"rules\":1", "\"rules\":01"},
        {"\"rules\":1,", ""},
        {"\"rules\":1,", "\"rules\":1,\"rules\":1,"},
        {"\"rules\":1,", "\"rules\":1,\"extra\":1,"},
        {"\"nonce\":\"0001", "\"nonce\":\"000"},
        {"0a0b0c0d0e0f", "0A0B0C0D0E0F"},
        {"aurora.example", "aurora"},
        {"aurora.example", "\\u0061urora.example"},
        {"aurora.example", "zebra.example"}, /* no longer sorted */
        {"aurora.example", "boreal.example"},
        {KEY("06"), KEY("01")}, /* one root twice */
        {KEY("08"), KEY("02")}, /* a log key as another's receipt key */
        {KEY("03"), KEY("01")}, /* one key in two roles */
        {KEY("0d"), KEY("08")}, /* the neutral's witness key is a member's receipt key */
        {KEY("09"), KEY("04")},
        {KEY("0f"), KEY("05")},
        {"\"receipt\"", "\"witness\""},
        {"un.example", "boreal.example"},
        {"un.example", "un"},
        {"\"witness_policy\":[", "\"witness_policy\":[\"\","},
        {"\"quorum w1\"", "\"quorum w2\""},
        {",\"quorum w1\"", ""},
        {"\"quorum w1\"", "\"quorum w1\",\"nonsense\""},
        {"\"quotas\":{", "\"quotas\":{\"a\":1,"},
        {"\"entries_a_day\":10000", "\"entries_a_day\":9007199254740992"},
        {"\"delta_s\":300", "\"delta_s\":-300"},
        {"\"delta_s\":300", "\"delta_s\":3e2"},
        {"\"mailbox_window_s\":86400,", ""},
        {"\"terms\":\"ee", "\"terms\":\"EE"},
        {"\"predecessor\":{", "\"predecessor\":{\"a\":1,"},
        {"aurora.example/entente/cc", "aurora.example/entente/cd"},
        {"aurora.example/entente/", "zebra.example/entente/"},
        {"aurora.example/entente/", "boreal.example/entente/"},
        {"\"size\":12", "\"size\":9007199254740992"},
        {"]}}", "]}} "},
        {"]}}", "]}"},
        {"]}}", "]}}}"},
    };
    ent_buf full = {0};
    put_full(&full);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuse_changed(ent_buf_text(&full), rows[i].find, rows[i].with);
    refuse_changed(ENT_TEXT(SMALL), "\"witness_policy\":null", "\"witness_policy\":[]");
    refuse_changed(ENT_TEXT(SMALL), "\"neutral\":null", "\"neutral\":{}");
    refuse_changed(ENT_TEXT(SMALL), MEMBERS, "\"members\":[]");
    refuse_changed(ENT_TEXT(SMALL), MEMBERS,
                   "\"members\":[" PARTY("aurora.example", "receipt", "01", "02", "03", "04", "05") "]");
    ent_buf_release(&full);
}

static void test_genesis__policy_with_logs_refused(void **state)
{
    (void)state;
    ent_buf policy = {0};
    ent_vkey vkey;
    ent_public_key key;
    memset(key.bytes, 0x42, sizeof key.bytes);
    assert_int_equal(ent_vkey_make(ENT_TEXT("log.example"), ENT_KEY_ED25519, &key, &vkey, NULL).code, ENT_OK);
    ent_buf_put_string(&policy, "\"witness_policy\":[\"log ");
    ent_vkey_put(&policy, &vkey);
    ent_buf_put_string(&policy, "\",\"quorum none\"]");
    refuse_changed(ENT_TEXT(SMALL), "\"witness_policy\":null", ent_buf_string(&policy));
    ent_buf_release(&policy);
}

static void test_genesis__every_prefix_and_flipped_bit_refused_or_itself(void **state)
{
    (void)state;
    ent_buf full = {0};
    put_full(&full);
    for (size_t size = 0; size < full.size; size++)
        assert_int_not_equal(decode_code((ent_text){(const char *)full.data, size}, NULL), ENT_OK);
    for (size_t bit = 0; bit < full.size * 8; bit++) {
        ent_arena arena = {0};
        ent_buf buf = {0};
        ent_genesis genesis;
        full.data[bit / 8] = (uint8_t)(full.data[bit / 8] ^ (1U << bit % 8));
        if (ent_genesis_decode(ent_buf_bytes(&full), &arena, &genesis, NULL).code == ENT_OK) {
            assert_int_equal(ent_genesis_encode(&genesis, &buf, NULL).code, ENT_OK);
            assert_true(ent_bytes_equal(ent_buf_bytes(&buf), ent_buf_bytes(&full)));
        }
        full.data[bit / 8] = (uint8_t)(full.data[bit / 8] ^ (1U << bit % 8));
        ent_buf_release(&buf);
        ent_arena_release(&arena);
    }
    ent_buf_release(&full);
}

static void test_genesis__over_64_kib_refused(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_buf_put_string(&buf, SMALL);
    while (buf.size <= ENT_GENESIS_MAX_BYTES)
        ent_buf_put_u8(&buf, ' ');
    assert_int_equal(decode_code(ent_buf_text(&buf), NULL), ENT_PEER_TOO_LARGE);
    ent_buf_release(&buf);
}

static void make_members(ent_member *members, char (*names)[24], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "p%02zu.example", i);
        members[i] = (ent_member){.name = ent_text_of(names[i])};
        uint8_t *keys[] = {members[i].root.bytes, members[i].log.bytes, members[i].receipt.bytes, members[i].age.bytes,
                           members[i].tls.bytes};
        for (size_t k = 0; k < 5; k++)
            memset(keys[k], (int)(1 + i * 5 + k), 32);
    }
}

static void test_genesis__32_members_taken_33_refused(void **state)
{
    (void)state;
    ent_member members[ENT_ENTRY_MAX_MEMBERS + 1];
    char names[ENT_ENTRY_MAX_MEMBERS + 1][24];
    ent_genesis genesis = {.rules = ENT_GENESIS_RULES, .members = members};
    ent_buf buf = {0};
    ent_err err = {0};
    make_members(members, names, ENT_ENTRY_MAX_MEMBERS + 1);
    for (genesis.member_count = 2; genesis.member_count <= ENT_ENTRY_MAX_MEMBERS; genesis.member_count++) {
        assert_int_equal(ent_genesis_encode(&genesis, &buf, &err).code, ENT_OK);
        assert_round_trip(ent_buf_text(&buf));
        ent_buf_clear(&buf);
    }
    assert_int_equal(ent_genesis_encode(&genesis, &buf, &err).code, ENT_USAGE);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
}

static void refuse_encode(const ent_genesis *genesis, const char *field)
{
    ent_buf buf = {0};
    ent_err err = {0};
    assert_int_equal(ent_genesis_encode(genesis, &buf, &err).code, ENT_USAGE);
    if (strstr(err.text, field) == NULL)
        fail_msg("\"%s\" does not name %s", err.text, field);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
}

static void test_genesis__value_that_is_not_allowed_not_written(void **state)
{
    (void)state;
    ent_member members[2];
    char names[2][24];
    make_members(members, names, 2);
    const ent_genesis good = {.rules = ENT_GENESIS_RULES, .members = members, .member_count = 2};
    ent_genesis genesis = good;
    genesis.rules = 0;
    refuse_encode(&genesis, "rules");
    genesis = good;
    genesis.member_count = 1;
    refuse_encode(&genesis, "members");
    genesis = good;
    genesis.delta_s = (uint64_t)1 << 53;
    refuse_encode(&genesis, "delta_s");
    genesis = good;
    genesis.quotas.attachment_bytes = UINT64_MAX;
    refuse_encode(&genesis, "attachment_bytes");
    genesis = good;
    genesis.has_neutral = true;
    refuse_encode(&genesis, "neutral");
    genesis = good;
    ent_text lines[] = {ENT_TEXT("quorum \"none\"")};
    genesis.witness_policy = lines;
    genesis.witness_policy_count = 1;
    refuse_encode(&genesis, "witness_policy");
    lines[0] = ENT_TEXT("quorum none");
    genesis.witness_policy_count = ENT_GENESIS_MAX_POLICY_LINES + 1;
    refuse_encode(&genesis, "witness_policy");
    genesis = good;
    ent_predecessor_head heads[] = {{ENT_TEXT("nothing"), {0}}};
    genesis.has_predecessor = true;
    genesis.predecessor_heads = heads;
    genesis.predecessor_head_count = 1;
    refuse_encode(&genesis, "predecessor");
}

static void test_genesis__allocation_failure_leaves_outputs_untouched(void **state)
{
    (void)state;
    ent_buf full = {0};
    ent_buf out = {0};
    ent_arena arena = {0};
    ent_genesis genesis;
    put_full(&full);
    ent_alloc_fail_at(0);
    assert_int_equal(ent_genesis_decode(ent_buf_bytes(&full), &arena, &genesis, NULL).code, ENT_OK);
    unsigned long allocations = ent_alloc_count();
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_alloc_fail_at(nth);
        assert_int_equal(decode_code(ent_buf_text(&full), NULL), ENT_NOMEM);
    }
    ent_alloc_fail_at(0);
    assert_int_equal(ent_genesis_encode(&genesis, &out, NULL).code, ENT_OK);
    allocations = ent_alloc_count();
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_buf_release(&out);
        ent_alloc_fail_at(nth);
        assert_int_equal(ent_genesis_encode(&genesis, &out, NULL).code, ENT_NOMEM);
        assert_int_equal(out.size, 0);
    }
    ent_alloc_fail_at(0);
    ent_buf_release(&out);
    ent_buf_release(&full);
    ent_arena_release(&arena);
}

static void test_channel__id_is_sha256_of_the_bytes(void **state)
{
    (void)state;
    ent_hash id;
    ent_hash expected;
    ent_channel_id(ent_text_bytes(ENT_TEXT("abc")), &id); /* FIPS 180-4 example */
    assert_int_equal(ent_hex_decode(ENT_TEXT("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                                    expected.bytes, sizeof expected.bytes, NULL)
                         .code,
                     ENT_OK);
    assert_true(ent_hash_equal(&id, &expected));
}

static void test_terms__commitment_is_sha256_of_salt_and_terms(void **state)
{
    (void)state;
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    uint8_t both[ENT_TERMS_SALT_SIZE + 5];
    ent_hash commitment;
    ent_hash expected;
    memset(salt, 7, sizeof salt);
    memcpy(both, salt, sizeof salt);
    memcpy(both + sizeof salt, "terms", 5);
    ent_terms_commitment(salt, ent_text_bytes(ENT_TEXT("terms")), &commitment);
    ent_channel_id(ent_bytes_of(both, sizeof both), &expected);
    assert_true(ent_hash_equal(&commitment, &expected));
}

static void test_origin__written_and_taken_apart(void **state)
{
    (void)state;
    ent_hash channel;
    ent_hash found;
    ent_text party = {NULL, 0};
    char text[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf buf = {0};
    memset(channel.bytes, 0xcc, sizeof channel.bytes);
    ent_text origin = ent_origin_write(ENT_TEXT("north.example"), &channel, text);
    assert_string_equal(text, "north.example/entente/" KEY("cc"));
    assert_int_equal(origin.size, strlen(text));
    ent_origin_put(&buf, ENT_TEXT("north.example"), &channel);
    assert_true(ent_text_equal(ent_buf_text(&buf), origin));
    assert_int_equal(ent_origin_parse(origin, &party, &found, NULL).code, ENT_OK);
    assert_true(ent_text_is(party, "north.example") && ent_hash_equal(&channel, &found));
    ent_buf_release(&buf);

    static const char *const bad[] = {"",
                                      "/",
                                      "north.example",
                                      "north.example/entente/",
                                      "/entente/" KEY("cc"),
                                      "north/entente/" KEY("cc"),
                                      "north.example/Entente/" KEY("cc"),
                                      "north.example/entente/" KEY("CC"),
                                      "north.example/entente/" KEY("cc") "0",
                                      "north.example/entente/x/" KEY("cc")};
    memset(found.bytes, 1, sizeof found.bytes);
    party = ENT_TEXT("untouched");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ent_origin_parse(ent_text_of(bad[i]), &party, &found, NULL).code, ENT_PEER_MALFORMED);
    assert_true(ent_text_is(party, "untouched") && found.bytes[0] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_genesis__decoded_and_written_again_is_the_same),
        cmocka_unit_test(test_genesis__decoded_values_are_those_written),
        cmocka_unit_test(test_genesis__every_deviation_refused),
        cmocka_unit_test(test_genesis__policy_with_logs_refused),
        cmocka_unit_test(test_genesis__every_prefix_and_flipped_bit_refused_or_itself),
        cmocka_unit_test(test_genesis__over_64_kib_refused),
        cmocka_unit_test(test_genesis__32_members_taken_33_refused),
        cmocka_unit_test(test_genesis__value_that_is_not_allowed_not_written),
        cmocka_unit_test(test_genesis__allocation_failure_leaves_outputs_untouched),
        cmocka_unit_test(test_channel__id_is_sha256_of_the_bytes),
        cmocka_unit_test(test_terms__commitment_is_sha256_of_salt_and_terms),
        cmocka_unit_test(test_origin__written_and_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
