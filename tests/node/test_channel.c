/* How people name channels and messages. */
#include "bench.h"

#include "node/channel.h"
#include "node/say.h"

#include <stdio.h>

static const char first_id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char second_id[] = "0123456789ffffff0123456789abcdef0123456789abcdef0123456789abcdef";

/* Two channels whose ids begin alike. The second one is only a name. */
static void make_two(bench *b, ent_channel **ret_second)
{
    ent_err err = {0};
    bench_make(b, false, NULL);
    assert_ok(ent_channel_new(&b->node, ent_buf_bytes(&b->channel->genesis_bytes), ret_second, &err));
    memcpy(b->channel->id_text, first_id, sizeof first_id);
    memcpy((*ret_second)->id_text, second_id, sizeof second_id);
    assert_ok(ent_channel_publish(&b->node, *ret_second, &err));
}

static void assert_named(bench *b, const char *name, const ent_channel *wanted)
{
    ent_channel *found = NULL;
    ent_err err = {0};
    assert_ok(ent_channel_named(&b->node, ent_text_of(name), &found, &err));
    assert_ptr_equal(found, wanted);
}

static void assert_not_named(bench *b, const char *name)
{
    ent_channel *found = NULL;
    ent_err err = {0};
    assert_fails(ent_channel_named(&b->node, ent_text_of(name), &found, &err), ENT_ABSENT);
    assert_null(found);
    assert_true(err.text[0] != 0);
}

static void test_channel__named_by_alias_or_by_digits_of_the_id(void **state)
{
    (void)state;
    bench b;
    ent_channel *second = NULL;
    make_two(&b, &second);
    assert_named(&b, "north", b.channel);
    assert_named(&b, first_id, b.channel);
    assert_named(&b, second_id, second);
    assert_named(&b, "0123456789a", b.channel);
    assert_named(&b, "0123456789f", second);
    assert_not_named(&b, "0123456789"); /* two */
    assert_not_named(&b, "01234567");
    assert_not_named(&b, "0123456");
    assert_not_named(&b, "0123456789A");
    assert_not_named(&b, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0");
    assert_not_named(&b, "nort");
    assert_not_named(&b, "");
    bench_release(&b);
}

/* An alias was given by a person; that some ids begin like it must not hide it. */
static void test_channel__alias_that_looks_like_the_beginning_of_ids_is_found(void **state)
{
    (void)state;
    bench b;
    ent_channel *second = NULL;
    make_two(&b, &second);
    memcpy(second->row.alias, "0123456789", 11);
    assert_named(&b, "0123456789", second);
    ent_channel *third = NULL;
    ent_err err = {0};
    assert_ok(ent_channel_new(&b.node, ent_buf_bytes(&b.channel->genesis_bytes), &third, &err));
    memcpy(second->row.alias, "", 1);
    memcpy(third->row.alias, "01234567", 9);
    assert_ok(ent_channel_publish(&b.node, third, &err));
    assert_named(&b, "01234567", third);
    bench_release(&b);
}

static void test_channel__message_is_named_channel_party_index(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "north",
                                      "north/aurora.example",
                                      "north/aurora.example/",
                                      "north/aurora.example/x",
                                      "north/aurora.example/-1",
                                      "north/aurora.example/00",
                                      "north/aurora.example/0/",
                                      "north/aurora.example/0 ",
                                      "north/aurora.example/99999999999999999999"};
    bench b;
    ent_channel *found = NULL;
    uint32_t member = 9;
    uint64_t index = 9;
    ent_err err = {0};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    assert_ok(bench_say(&b, 2, &index, &err));
    assert_ok(ent_message_named(&b.node, ENT_TEXT("north/aurora.example/1"), &found, &member, &index, &err));
    assert_ptr_equal(found, b.channel);
    assert_int_equal(member, 0);
    assert_int_equal(index, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(ent_message_named(&b.node, ent_text_of(bad[i]), &found, &member, &index, &err), ENT_USAGE);
    assert_fails(ent_message_named(&b.node, ENT_TEXT("north/aurora.example/2"), &found, &member, &index, &err),
                 ENT_ABSENT);
    assert_fails(ent_message_named(&b.node, ENT_TEXT("north/cobalt.example/0"), &found, &member, &index, &err),
                 ENT_ABSENT);
    assert_fails(ent_message_named(&b.node, ENT_TEXT("south/aurora.example/0"), &found, &member, &index, &err),
                 ENT_ABSENT);
    bench_release(&b);
}

static void test_channel__what_it_calls_a_message_names_that_message(void **state)
{
    (void)state;
    bench b;
    uint64_t index = 0;
    ent_err err = {0};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    for (int aliased = 1; aliased >= 0; aliased--) {
        ent_buf json = {0};
        ent_json *document = NULL;
        ent_channel *found = NULL;
        uint32_t member = 9;
        ent_json_writer writer = ent_json_writer_of(&json);
        ent_json_object_begin(&writer);
        ent_channel_member_message(b.channel, &writer, "message", (ent_message_ref){ENT_TEXT("aurora.example"), 0});
        ent_json_object_end(&writer);
        assert_ok(ent_json_parse(ent_buf_bytes(&json), &document, &err));
        ent_text name = ent_json_string(ent_json_get(ent_json_root(document), "message"));
        assert_true(ent_text_starts(name, aliased ? ENT_TEXT("north/") : ent_text_of(b.channel->id_text)));
        assert_ok(ent_message_named(&b.node, name, &found, &member, &index, &err));
        assert_ptr_equal(found, b.channel);
        ent_json_free(document);
        ent_buf_release(&json);
        memset(b.channel->row.alias, 0, sizeof b.channel->row.alias);
    }
    bench_release(&b);
}

static void test_channel__genesis_that_does_not_name_us_is_not_ours(void **state)
{
    (void)state;
    bench b;
    ent_channel *channel = NULL;
    ent_err err = {0};
    bench_make(&b, false, NULL);
    ent_free(b.node.config.name);
    b.node.config.name = ent_text_copy(ENT_TEXT("cobalt.example"));
    assert_fails(ent_channel_new(&b.node, ent_buf_bytes(&b.channel->genesis_bytes), &channel, &err), ENT_PEER_NOT_OURS);
    assert_fails(ent_channel_new(&b.node, ent_text_bytes(ENT_TEXT("{}")), &channel, &err), ENT_PEER_NOT_CANONICAL);
    assert_null(channel);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel__named_by_alias_or_by_digits_of_the_id),
        cmocka_unit_test(test_channel__alias_that_looks_like_the_beginning_of_ids_is_found),
        cmocka_unit_test(test_channel__message_is_named_channel_party_index),
        cmocka_unit_test(test_channel__what_it_calls_a_message_names_that_message),
        cmocka_unit_test(test_channel__genesis_that_does_not_name_us_is_not_ours),
    };
    return cmocka_run_group_tests_name("node-channel", tests, NULL, NULL);
}
