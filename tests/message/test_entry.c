/* The entry: one spelling, and every other one refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "message/entry.h"
#include "message/genesis.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define NONCE "000102030405060708090a0b0c0d0e0f"

#define SMALL                                                                                                          \
    "{\"v\":1,\"channel\":\"" HEX_A "\",\"writer\":\"north.example\",\"index\":0,\"time\":\"2021-05-30T11:00:00Z\","   \
    "\"kind\":\"channel.genesis\",\"nonce\":\"" NONCE "\",\"thread\":null,\"reply_to\":null,\"to\":[],\"acks\":[],"    \
    "\"agreement\":\"" HEX_B                                                                                           \
    "\",\"marking\":null,\"urgency\":null,\"exercise\":false,\"body\":null,\"attachments\":[]}"

#define FULL                                                                                                           \
    "{\"v\":1,\"channel\":\"" HEX_A "\",\"writer\":\"north.example\",\"index\":9007199254740991,"                      \
    "\"time\":\"2021-05-30T11:00:00Z\",\"kind\":\"incident.notification\",\"nonce\":\"" NONCE "\","                    \
    "\"thread\":\"south.example/3\",\"reply_to\":\"north.example/17\",\"to\":[\"east.example\",\"south.example\"],"    \
    "\"acks\":[{\"origin\":\"east.example/entente/" HEX_A "\",\"size\":5,\"root\":\"" HEX_B "\"},"                     \
    "{\"origin\":\"south.example/entente/" HEX_A "\",\"size\":9007199254740991,\"root\":\"" HEX_C "\"}],"              \
    "\"agreement\":\"" HEX_B "\",\"marking\":\"TLP:AMBER+STRICT\",\"urgency\":\"flash\",\"exercise\":true,"            \
    "\"body\":{\"digest\":\"" HEX_A "\",\"size\":1234,\"type\":\"application/age\"},"                                  \
    "\"attachments\":[{\"digest\":\"" HEX_B "\",\"size\":0,\"type\":\"application/age\"},"                             \
    "{\"digest\":\"" HEX_C "\",\"size\":9007199254740991,\"type\":\"text/plain\"}]}"

static int decode_code(ent_text text, ent_err *err)
{
    ent_arena arena = {0};
    ent_entry entry;
    ent_entry before;
    memset(&entry, 0x5a, sizeof entry);
    memcpy(&before, &entry, sizeof entry);
    int code = ent_entry_decode(ent_text_bytes(text), &arena, &entry, err).code;
    if (code != ENT_OK)
        assert_memory_equal(&entry, &before, sizeof entry);
    ent_arena_release(&arena);
    return code;
}

static void assert_round_trip(const char *text)
{
    ent_arena arena = {0};
    ent_buf buf = {0};
    ent_err err = {0};
    ent_entry entry;
    if (ent_entry_decode(ent_text_bytes(ent_text_of(text)), &arena, &entry, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ent_entry_encode(&entry, &buf, &err).code, ENT_OK);
    assert_non_null(ent_buf_string(&buf));
    assert_string_equal((const char *)buf.data, text);
    ent_buf_release(&buf);
    ent_arena_release(&arena);
}

static ent_entry small_entry(void)
{
    ent_entry entry = {.writer = ENT_TEXT("north.example"),
                       .time = ENT_TEXT("2021-05-30T11:00:00Z"),
                       .kind = ENT_TEXT("channel.genesis")};
    memset(entry.channel.bytes, 0xaa, sizeof entry.channel.bytes);
    memset(entry.agreement.bytes, 0xbb, sizeof entry.agreement.bytes);
    for (int i = 0; i < ENT_ENTRY_NONCE_SIZE; i++)
        entry.nonce[i] = (uint8_t)i;
    return entry;
}

static void test_entry__fields_written_in_their_order(void **state)
{
    (void)state;
    ent_entry entry = small_entry();
    ent_buf buf = {0};
    ent_buf_put_string(&buf, "kept:");
    assert_int_equal(ent_entry_encode(&entry, &buf, NULL).code, ENT_OK);
    assert_non_null(ent_buf_string(&buf));
    assert_string_equal((const char *)buf.data, "kept:" SMALL);
    ent_buf_release(&buf);
}

static void test_entry__decoded_values_are_those_written(void **state)
{
    (void)state;
    ent_arena arena = {0};
    ent_entry entry;
    char text[] = FULL;
    assert_int_equal(ent_entry_decode(ent_text_bytes(ENT_TEXT(FULL)), &arena, &entry, NULL).code, ENT_OK);
    assert_int_equal(ent_entry_decode(ent_bytes_of(text, sizeof text - 1), &arena, &entry, NULL).code, ENT_OK);
    memset(text, 'X', sizeof text); /* borrowed for the call only */
    assert_int_equal(entry.channel.bytes[31], 0xaa);
    assert_true(ent_text_is(entry.writer, "north.example"));
    assert_int_equal(entry.index, 9007199254740991);
    assert_true(ent_text_is(entry.time, "2021-05-30T11:00:00Z"));
    assert_true(ent_text_is(entry.kind, "incident.notification"));
    assert_int_equal(entry.nonce[15], 15);
    assert_true(entry.has_thread && ent_text_is(entry.thread.party, "south.example") && entry.thread.index == 3);
    assert_true(entry.has_reply_to && ent_text_is(entry.reply_to.party, "north.example"));
    assert_int_equal(entry.reply_to.index, 17);
    assert_int_equal(entry.to_count, 2);
    assert_true(ent_text_is(entry.to[1], "south.example"));
    assert_int_equal(entry.ack_count, 2);
    assert_true(ent_text_is(entry.acks[0].origin, "east.example/entente/" HEX_A));
    assert_int_equal(entry.acks[0].head.size, 5);
    assert_int_equal(entry.acks[1].head.root.bytes[0], 0xcc);
    assert_int_equal(entry.agreement.bytes[0], 0xbb);
    assert_int_equal(entry.marking, ENT_MARKING_AMBER_STRICT);
    assert_int_equal(entry.urgency, ENT_URGENCY_FLASH);
    assert_true(entry.exercise);
    assert_true(entry.has_body && entry.body.size == 1234 && entry.body.digest.bytes[0] == 0xaa);
    assert_true(ent_text_is(entry.body.type, "application/age"));
    assert_int_equal(entry.attachment_count, 2);
    assert_int_equal(entry.attachments[1].size, 9007199254740991);
    assert_true(ent_text_is(entry.attachments[1].type, "text/plain"));
    ent_arena_release(&arena);
}

static void test_entry__decoded_and_written_again_is_the_same(void **state)
{
    (void)state;
    assert_round_trip(SMALL);
    assert_round_trip(FULL);
}

/* Put `with` in place of the first `find` of a valid entry and decode. */
static int decode_changed(const char *valid, const char *find, const char *with)
{
    const char *at = strstr(valid, find);
    ent_buf buf = {0};
    ent_err err = {0};
    if (at == NULL)
        fail_msg("%s is not in the entry", find);
    ent_buf_put(&buf, ent_bytes_of(valid, (size_t)(at - valid)));
    ent_buf_put_string(&buf, with);
    ent_buf_put_string(&buf, at + strlen(find));
    int code = decode_code(ent_buf_text(&buf), &err);
    if (code == ENT_OK)
        fail_msg("accepted: %s in place of %s", with, find);
    if (ent_code_class(code) != ENT_CLASS_PEER || err.text[0] == 0)
        fail_msg("%s in place of %s: code %d, %s", with, find, code, err.text);
    ent_buf_release(&buf);
    return code;
}

static void test_entry__other_spelling_not_canonical(void **state)
{
    (void)state;
    static const struct {
        const char *find;
        const char *with;
    } rows[] = {
        {"{\"v\"", "{ \"v\""},
        {"\"v\":1", "\"v\": 1"},
        {",\"channel\"", ", \"channel\""},
        {",\"channel\"", ",\n\"channel\""},
        {"[],\"acks\"", "[ ],\"acks\""},
        {"\"v\":1,", ""},
        {"\"v\":1", "\"v\":2"},
        {"\"v\":1", "\"v\":\"1\""},
        {"\"index\":0,", ""},
        {"\"index\":0", "\"index\":0.0"},
        {"\"index\":0", "\"index\":-0"},
        {"\"index\":0", "\"index\":0e0"},
        {"\"index\":0", "\"index\":\"0\""},
        {"\"index\":0", "\"index\":9007199254740992"},
        {"\"index\":0", "\"index\":null"},
        {"\"index\":0", "\"index\":0,\"extra\":1"},
        {"north.example", "n\\u006frth.example"},
        {"north.example", "north\\/example"},
        {"north.example", "n\xc3\xb6rth.example"},
        {HEX_A, "AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {NONCE, "00010203"},
        {"\"exercise\":false", "\"exercise\":null"},
        {"\"exercise\":false", "\"exercise\":0"},
        {"\"marking\":null", "\"marking\":\"\""},
        {"\"marking\":null", "\"marking\":\"TLP:amber\""},
        {"\"marking\":null", "\"marking\":\"AMBER\""},
        {"\"marking\":null", "\"marking\":\"TLP:WHITE\""},
        {"\"urgency\":null", "\"urgency\":\"routine\""},
        {"\"urgency\":null", "\"urgency\":\"FLASH\""},
        {"\"thread\":null", "\"thread\":\"\""},
        {"\"thread\":null", "\"thread\":\"south.example\""},
        {"\"thread\":null", "\"thread\":\"south.example/03\""},
        {"\"thread\":null", "\"thread\":\"south.example/9007199254740992\""},
        {"\"thread\":null,\"reply_to\":null", "\"reply_to\":null,\"thread\":null"},
        {"\"to\":[]", "\"to\":null"},
        {"\"to\":[]", "\"to\":{}"},
        {"\"acks\":[]", "\"acks\":null"},
        {"\"acks\":[]", "\"acks\":[null]"},
        {"\"body\":null", "\"body\":{}"},
        {"\"attachments\":[]", "\"attachments\":null"},
        {"\"attachments\":[]}", "\"attachments\":[],\"extra\":1}"},
        {",\"attachments\":[]", ""},
        {"\"attachments\":[]}", "\"attachments\":[]}\n"},
        {"\"attachments\":[]}", "\"attachments\":[]} "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = decode_changed(SMALL, rows[i].find, rows[i].with);
        if (code != ENT_PEER_NOT_CANONICAL)
            fail_msg("%s: %s", rows[i].with, ent_code_word(code));
    }
}

static void test_entry__no_json_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *find;
        const char *with;
    } rows[] = {
        {"\"index\":0", "\"index\":00"},
        {"\"index\":0", "\"index\":+1"},
        {"\"index\":0", "\"index\":"},
        {"{\"v\"", "\"v\""},
        {"\"to\":[]", "\"to\":[,]"},
        {"\"exercise\":false", "\"exercise\":False"},
        {"\"attachments\":[]}", "\"attachments\":[]"},
        {"\"attachments\":[]}", "\"attachments\":[]}}"},
        {"\"index\":0,", "\"index\":0,\"index\":0,"}, /* a duplicate is no JSON to us */
        {"north.example", "north\texample"},
        {"north.example", "north\x7f.example\x01"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(decode_changed(SMALL, rows[i].find, rows[i].with), ENT_PEER_MALFORMED);
    assert_int_equal(decode_code((ent_text){NULL, 0}, NULL), ENT_PEER_MALFORMED);
    assert_int_equal(decode_code(ENT_TEXT(SMALL "\0"), NULL), ENT_PEER_MALFORMED);
}

static void test_entry__values_out_of_rule_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *find;
        const char *with;
    } rows[] = {
        {"north.example", "north"},
        {"north.example", "North.example"},
        {"north.example", ""},
        {"2021-05-30T", "2021-02-30T"},
        {"11:00:00Z", "11:00:60Z"},
        {"11:00:00Z", "11:00:00.5Z"},
        {"11:00:00Z", "11:00:00+00:00"},
        {"incident.notification", "incident"},
        {"incident.notification", "incident.Notification"},
        {"incident.notification", "incident.notification.x"},
        {"[\"east.example\",\"south.example\"]", "[\"south.example\",\"east.example\"]"},
        {"[\"east.example\",\"south.example\"]", "[\"east.example\",\"east.example\"]"},
        {"[\"east.example\",\"south.example\"]", "[\"\"]"},
        {"\"origin\":\"east.example/entente/", "\"origin\":\"tall.example/entente/"}, /* no longer sorted */
        {"\"origin\":\"east.example/entente/", "\"origin\":\"south.example/entente/"},
        {"\"origin\":\"east.example/entente/", "\"origin\":\"east.example/other/"},
        {"\"origin\":\"east.example/entente/aa", "\"origin\":\"east.example/entente/ab"},
        {"\"origin\":\"east.example/entente/aa", "\"origin\":\"east.example/entente/a"},
        {"\"origin\":\"east.example/entente/", "\"origin\":\"north.example/entente/"}, /* the writer's own log */
        {"\"reply_to\":\"north.example/17\"", "\"reply_to\":\"north.example/9007199254740991\""},
        {"\"thread\":\"south.example/3\"", "\"thread\":\"north.example/9007199254740991\""},
        {"\"size\":1234,", "\"size\":8388609,"},
        {"application/age", "application"},
        {"application/age", "Application/age"},
        {"application/age", "application/"},
        {"application/age", "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(ent_code_class(decode_changed(FULL, rows[i].find, rows[i].with)) == ENT_CLASS_PEER);
}

static void test_entry__every_prefix_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof FULL - 1; size++)
        assert_int_not_equal(decode_code((ent_text){FULL, size}, NULL), ENT_OK);
}

static void test_entry__every_flipped_bit_refused_or_read_as_itself(void **state)
{
    (void)state;
    char text[] = FULL;
    for (size_t bit = 0; bit < (sizeof text - 1) * 8; bit++) {
        ent_arena arena = {0};
        ent_buf buf = {0};
        ent_entry entry;
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        if (ent_entry_decode(ent_bytes_of(text, sizeof text - 1), &arena, &entry, NULL).code == ENT_OK) {
            assert_int_equal(ent_entry_encode(&entry, &buf, NULL).code, ENT_OK);
            assert_int_equal(buf.size, sizeof text - 1);
            assert_memory_equal(buf.data, text, buf.size);
        }
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        ent_buf_release(&buf);
        ent_arena_release(&arena);
    }
}

static void test_entry__over_16_kib_refused(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_buf_put_string(&buf, SMALL);
    while (buf.size <= ENT_ENTRY_LIMIT_BYTES)
        ent_buf_put_u8(&buf, ' ');
    assert_int_equal(decode_code(ent_buf_text(&buf), NULL), ENT_PEER_TOO_LARGE);
    ent_buf_release(&buf);
}

/* Everything that an entry may hold, at its largest. */
static void test_entry__largest_fits_and_round_trips(void **state)
{
    (void)state;
    ent_arena arena = {0};
    ent_entry entry = small_entry();
    ent_text to[ENT_ENTRY_MAX_MEMBERS + 1];
    ent_ack acks[ENT_ENTRY_MAX_MEMBERS + 1];
    ent_blob_ref blobs[ENT_ENTRY_MAX_ATTACHMENTS + 1];
    char names[ENT_ENTRY_MAX_MEMBERS + 1][ENT_NAME_MAX_BYTES + 1];
    char origins[ENT_ENTRY_MAX_MEMBERS + 1][ENT_ORIGIN_TEXT_MAX + 1];
    for (int i = 0; i <= ENT_ENTRY_MAX_MEMBERS; i++) {
        memset(names[i], 'a', ENT_NAME_MAX_BYTES);
        memcpy(names[i], (char[2]){(char)('a' + i / 26), (char)('a' + i % 26)}, 2);
        memcpy(names[i] + ENT_NAME_MAX_BYTES - 8, ".example", 9);
        to[i] = ent_text_of(names[i]);
        acks[i].origin = ent_origin_write(to[i], &entry.channel, origins[i]);
        acks[i].head = (ent_tree_head){.size = ((uint64_t)1 << 53) - 1};
    }
    for (int i = 0; i <= ENT_ENTRY_MAX_ATTACHMENTS; i++)
        blobs[i] = (ent_blob_ref){.size = ((uint64_t)1 << 53) - 1,
                                  .type = ENT_TEXT("application/vnd.openxmlformats-officedocument.word-and-so-onnnnn")};
    entry.to = to;
    entry.to_count = ENT_ENTRY_MAX_MEMBERS;
    entry.acks = acks;
    entry.ack_count = ENT_ENTRY_MAX_MEMBERS;
    entry.attachments = blobs;
    entry.attachment_count = ENT_ENTRY_MAX_ATTACHMENTS;
    ent_buf buf = {0};
    ent_err err = {0};
    if (ent_entry_encode(&entry, &buf, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    assert_true(buf.size <= ENT_ENTRY_LIMIT_BYTES);
    ent_entry again;
    assert_int_equal(ent_entry_decode(ent_buf_bytes(&buf), &arena, &again, &err).code, ENT_OK);
    assert_int_equal(again.ack_count, ENT_ENTRY_MAX_MEMBERS);
    size_t size = buf.size;
    entry.to_count++;
    assert_int_equal(ent_entry_encode(&entry, &buf, &err).code, ENT_USAGE);
    entry.to_count--;
    entry.ack_count++;
    assert_int_equal(ent_entry_encode(&entry, &buf, &err).code, ENT_USAGE);
    entry.ack_count--;
    entry.attachment_count++;
    assert_int_equal(ent_entry_encode(&entry, &buf, &err).code, ENT_USAGE);
    assert_int_equal(buf.size, size);
    ent_buf_release(&buf);
    ent_arena_release(&arena);
}

static void test_entry__one_element_too_many_refused(void **state)
{
    (void)state;
    ent_buf to = {0};
    ent_buf blobs = {0};
    ent_buf_put_string(&to, "\"to\":[");
    for (int i = 0; i <= ENT_ENTRY_MAX_MEMBERS; i++)
        ent_buf_put_format(&to, "%s\"p%02d.example\"", i == 0 ? "" : ",", i);
    ent_buf_put_string(&blobs, "\"attachments\":[");
    for (int i = 0; i <= ENT_ENTRY_MAX_ATTACHMENTS; i++)
        ent_buf_put_format(&blobs, "%s{\"digest\":\"" HEX_A "\",\"size\":%d,\"type\":\"a/b\"}", i == 0 ? "" : ",", i);
    ent_buf_put_string(&to, "]");
    ent_buf_put_string(&blobs, "]");
    (void)decode_changed(SMALL, "\"to\":[]", ent_buf_string(&to));
    (void)decode_changed(SMALL, "\"attachments\":[]", ent_buf_string(&blobs));
    ent_buf_release(&to);
    ent_buf_release(&blobs);
}

static void refuse_encode(const ent_entry *entry, const char *field)
{
    ent_buf buf = {0};
    ent_err err = {0};
    assert_int_equal(ent_entry_encode(entry, &buf, &err).code, ENT_USAGE);
    if (strstr(err.text, field) == NULL)
        fail_msg("\"%s\" does not name %s", err.text, field);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
}

static void test_entry__value_that_is_not_allowed_not_written(void **state)
{
    (void)state;
    ent_entry entry = small_entry();
    entry.writer = ENT_TEXT("no name");
    refuse_encode(&entry, "writer");
    entry = small_entry();
    entry.index = (uint64_t)1 << 53;
    refuse_encode(&entry, "index");
    entry = small_entry();
    entry.time = ENT_TEXT("today");
    refuse_encode(&entry, "time");
    entry = small_entry();
    entry.kind = ENT_TEXT("a\".b");
    refuse_encode(&entry, "kind");
    entry = small_entry();
    entry.has_thread = true;
    refuse_encode(&entry, "thread");
    entry = small_entry();
    entry.has_reply_to = true;
    entry.reply_to = (ent_message_ref){ENT_TEXT("south.example"), (uint64_t)1 << 53};
    refuse_encode(&entry, "reply_to");
    entry.reply_to = (ent_message_ref){ENT_TEXT("north.example"), 0};
    refuse_encode(&entry, "reply_to");
    entry = small_entry();
    entry.marking = ENT_MARKING_COUNT;
    refuse_encode(&entry, "marking");
    entry = small_entry();
    entry.urgency = (ent_urgency)-1;
    refuse_encode(&entry, "urgency");
    entry = small_entry();
    entry.has_body = true;
    entry.body = (ent_blob_ref){.size = ENT_BODY_MAX_BYTES + 1, .type = ENT_TEXT("application/age")};
    refuse_encode(&entry, "body");
    entry.body = (ent_blob_ref){.size = 1, .type = ENT_TEXT("a\"/b")};
    refuse_encode(&entry, "body");
}

static void test_entry__allocation_failure_leaves_outputs_untouched(void **state)
{
    (void)state;
    ent_arena arena = {0};
    ent_entry entry;
    ent_alloc_fail_at(0);
    assert_int_equal(ent_entry_decode(ent_text_bytes(ENT_TEXT(FULL)), &arena, &entry, NULL).code, ENT_OK);
    unsigned long allocations = ent_alloc_count();
    assert_true(allocations >= 2);
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_alloc_fail_at(nth);
        assert_int_equal(decode_code(ENT_TEXT(FULL), NULL), ENT_NOMEM);
    }
    ent_buf buf = {0};
    ent_alloc_fail_at(1);
    assert_int_equal(ent_entry_encode(&entry, &buf, NULL).code, ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_int_equal(buf.size, 0);
    ent_buf_release(&buf);
    ent_buf small = {.limit = 100};
    assert_int_equal(ent_entry_encode(&entry, &small, NULL).code, ENT_PEER_TOO_LARGE);
    assert_int_equal(small.size, 0);
    ent_buf_release(&small);

    /* A refusal asks the JSON parser why: that may fail too, and is then no verdict on the entry. */
    ent_alloc_fail_at(0);
    assert_int_equal(decode_code(ENT_TEXT("{\"v\":2}"), NULL), ENT_PEER_NOT_CANONICAL);
    allocations = ent_alloc_count();
    for (unsigned long nth = 1; nth <= allocations; nth++) {
        ent_alloc_fail_at(nth);
        assert_int_equal(decode_code(ENT_TEXT("{\"v\":2}"), NULL), ENT_NOMEM);
    }
    ent_alloc_fail_at(0);
    ent_arena_release(&arena);
}

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void test_entry__random_entries_round_trip(void **state)
{
    (void)state;
    static const char *const names[] = {"a.example", "b.example", "c-1.example", "east.example", "z.y.x.example"};
    static const char *const kinds[] = {"a.b", "incident.notification", "x-1.y-2"};
    uint64_t seed = 88172645463325252ULL;
    for (int round = 0; round < 5000; round++) {
        ent_arena arena = {0};
        ent_entry entry = {.writer = ENT_TEXT("writer.example"),
                           .index = (random_next(&seed) >> 11) % ((uint64_t)1 << 53)};
        char time[ENT_TIME_TEXT_SIZE + 1];
        char origins[5][ENT_ORIGIN_TEXT_MAX + 1];
        ent_text to[5];
        ent_ack acks[5];
        ent_blob_ref blobs[3];
        for (size_t i = 0; i < 32; i++) {
            entry.channel.bytes[i] = (uint8_t)random_next(&seed);
            entry.agreement.bytes[i] = (uint8_t)random_next(&seed);
        }
        for (size_t i = 0; i < 5; i++) {
            if (random_next(&seed) % 2 == 0)
                to[entry.to_count++] = ent_text_of(names[i]);
            if (random_next(&seed) % 2 == 0) {
                ent_ack *ack = &acks[entry.ack_count++];
                ack->origin = ent_origin_write(ent_text_of(names[i]), &entry.channel, origins[i]);
                ack->head.size = random_next(&seed) >> 11;
                memcpy(ack->head.root.bytes, entry.channel.bytes, 32);
            }
        }
        entry.attachment_count = random_next(&seed) % 4;
        for (size_t i = 0; i < entry.attachment_count; i++)
            blobs[i] = (ent_blob_ref){entry.channel, random_next(&seed) >> 11, ENT_TEXT("application/age")};
        entry.to = to;
        entry.acks = acks;
        entry.attachments = blobs;
        ent_time_format((int64_t)(random_next(&seed) % 253402300800U), time);
        entry.time = ent_text_of(time);
        entry.kind = ent_text_of(kinds[random_next(&seed) % 3]);
        entry.has_thread = random_next(&seed) % 2 == 0;
        entry.thread = (ent_message_ref){ENT_TEXT("a.example"), random_next(&seed) >> 11};
        entry.has_reply_to = random_next(&seed) % 2 == 0;
        entry.reply_to = (ent_message_ref){ENT_TEXT("b.example"), random_next(&seed) >> 40};
        entry.marking = (ent_marking)(random_next(&seed) % ENT_MARKING_COUNT);
        entry.urgency = (ent_urgency)(random_next(&seed) % ENT_URGENCY_COUNT);
        entry.exercise = random_next(&seed) % 2 == 0;
        entry.has_body = random_next(&seed) % 2 == 0;
        entry.body = (ent_blob_ref){entry.agreement, random_next(&seed) % ENT_BODY_MAX_BYTES, ENT_TEXT("a/b+c.d")};

        ent_buf once = {0};
        ent_buf twice = {0};
        ent_err err = {0};
        ent_entry again;
        if (ent_entry_encode(&entry, &once, &err).code != ENT_OK ||
            ent_entry_decode(ent_buf_bytes(&once), &arena, &again, &err).code != ENT_OK)
            fail_msg("%s", err.text);
        assert_int_equal(ent_entry_encode(&again, &twice, NULL).code, ENT_OK);
        assert_true(ent_bytes_equal(ent_buf_bytes(&once), ent_buf_bytes(&twice)));
        assert_int_equal(again.marking, entry.marking);
        assert_int_equal(again.urgency, entry.urgency);
        ent_buf_release(&once);
        ent_buf_release(&twice);
        ent_arena_release(&arena);
    }
}

static void test_marking__words_and_order(void **state)
{
    (void)state;
    ent_marking marking = ENT_MARKING_NONE;
    assert_null(ent_marking_word(ENT_MARKING_NONE));
    assert_null(ent_marking_word(ENT_MARKING_COUNT));
    assert_string_equal(ent_marking_word(ENT_MARKING_CLEAR), "TLP:CLEAR");
    assert_string_equal(ent_marking_word(ENT_MARKING_RED), "TLP:RED");
    static const struct {
        const char *text;
        ent_marking marking;
    } rows[] = {{"TLP:CLEAR", ENT_MARKING_CLEAR},
                {"green", ENT_MARKING_GREEN},
                {"tlp:Amber", ENT_MARKING_AMBER},
                {"amber+strict", ENT_MARKING_AMBER_STRICT},
                {"TLP:AMBER+STRICT", ENT_MARKING_AMBER_STRICT},
                {"ReD", ENT_MARKING_RED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(ent_marking_from_person(ent_text_of(rows[i].text), &marking) && marking == rows[i].marking);
    static const char *const bad[] = {"", "tlp:", "white", "amber ", "TLP:TLP:RED", "re", "tlpred", "amber+"};
    marking = ENT_MARKING_RED;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ent_marking_from_person(ent_text_of(bad[i]), &marking));
    assert_int_equal(marking, ENT_MARKING_RED);
    assert_int_equal(ent_marking_strictest(ENT_MARKING_NONE, ENT_MARKING_CLEAR), ENT_MARKING_AMBER);
    assert_int_equal(ent_marking_strictest(ENT_MARKING_RED, ENT_MARKING_NONE), ENT_MARKING_RED);
    assert_int_equal(ent_marking_strictest(ENT_MARKING_CLEAR, ENT_MARKING_GREEN), ENT_MARKING_GREEN);
    assert_int_equal(ent_marking_strictest(ENT_MARKING_AMBER_STRICT, ENT_MARKING_AMBER), ENT_MARKING_AMBER_STRICT);
}

static void test_urgency__words_parsed(void **state)
{
    (void)state;
    for (int i = 0; i < ENT_URGENCY_COUNT; i++) {
        ent_urgency urgency = ENT_URGENCY_COUNT;
        assert_true(ent_urgency_from_text(ent_text_of(ent_urgency_word((ent_urgency)i)), &urgency));
        assert_int_equal(urgency, i);
    }
    ent_urgency urgency = ENT_URGENCY_FLASH;
    assert_false(ent_urgency_from_text(ENT_TEXT("Flash"), &urgency));
    assert_false(ent_urgency_from_text(ENT_TEXT(""), &urgency));
    assert_int_equal(urgency, ENT_URGENCY_FLASH);
    assert_null(ent_urgency_word(ENT_URGENCY_COUNT));
}

static void test_words__valid_told_from_invalid(void **state)
{
    (void)state;
    ent_message_ref ref = {{NULL, 0}, 7};
    assert_true(ent_plain_valid(ENT_TEXT("")) && ent_plain_valid(ENT_TEXT(" ~")));
    assert_false(ent_plain_valid(ENT_TEXT("a\"")) || ent_plain_valid(ENT_TEXT("\\")) ||
                 ent_plain_valid(ENT_TEXT("\x7f")));
    assert_false(ent_plain_valid(ENT_TEXT("\xc3\xa9")) || ent_plain_valid(ENT_TEXT("\n")));
    assert_true(ent_kind_name_valid(ENT_TEXT("incident.early-warning")));
    static const char *const kinds[] = {"", ".", "a.", ".a", "a", "a.b.c", "A.b", "a.-b", "a-.b", "a b.c", "a/b.c"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_false(ent_kind_name_valid(ent_text_of(kinds[i])));
    assert_true(ent_media_type_valid(ENT_TEXT("application/vnd.a+json")));
    static const char *const types[] = {"", "/", "a/", "/a", "a", "a/b/c", "a/B", "a/.b", "a/b;c=d", "a /b"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        assert_false(ent_media_type_valid(ent_text_of(types[i])));
    assert_false(ent_media_type_valid((ent_text){"a/b\0", 4}));
    assert_true(ent_message_ref_parse(ENT_TEXT("north.example/0"), &ref) && ref.index == 0);
    static const char *const refs[] = {"",
                                       "/",
                                       "north.example",
                                       "north.example/",
                                       "north.example/01",
                                       "north/1",
                                       "north.example/-1",
                                       "north.example/1 ",
                                       "north.example/1/2",
                                       "north.example/9007199254740992"};
    ref.index = 7;
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++)
        assert_false(ent_message_ref_parse(ent_text_of(refs[i]), &ref));
    assert_int_equal(ref.index, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry__fields_written_in_their_order),
        cmocka_unit_test(test_entry__decoded_values_are_those_written),
        cmocka_unit_test(test_entry__decoded_and_written_again_is_the_same),
        cmocka_unit_test(test_entry__other_spelling_not_canonical),
        cmocka_unit_test(test_entry__no_json_malformed),
        cmocka_unit_test(test_entry__values_out_of_rule_malformed),
        cmocka_unit_test(test_entry__every_prefix_refused),
        cmocka_unit_test(test_entry__every_flipped_bit_refused_or_read_as_itself),
        cmocka_unit_test(test_entry__over_16_kib_refused),
        cmocka_unit_test(test_entry__largest_fits_and_round_trips),
        cmocka_unit_test(test_entry__one_element_too_many_refused),
        cmocka_unit_test(test_entry__value_that_is_not_allowed_not_written),
        cmocka_unit_test(test_entry__allocation_failure_leaves_outputs_untouched),
        cmocka_unit_test(test_entry__random_entries_round_trip),
        cmocka_unit_test(test_marking__words_and_order),
        cmocka_unit_test(test_urgency__words_parsed),
        cmocka_unit_test(test_words__valid_told_from_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
