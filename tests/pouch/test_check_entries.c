#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Step 6, entries: canonical, in their place, their references and acks. */

static const ent_bytes no_body = {NULL, 0};

/* Delivers all that Aurora has said to one who holds `held` of it and expects a refusal that names the last entry. */
static void refuse_last(world *w, holder *h, size_t held, ent_code code, const char *reason)
{
    const size_t size = w->logs[AURORA].size;
    char where[32];
    (void)snprintf(where, sizeof where, "entry %zu: ", size - 1);
    holder_copy(h, w, AURORA, held);
    parcel *p = parcel_new(w, AURORA, held, size);
    delivery *d = deliver(h, p, AURORA);
    if (d->code != (int)code || strcmp(d->err.rule, "design 3, step 6") != 0 || strstr(d->err.text, reason) == NULL ||
        strncmp(d->err.text, where, strlen(where)) != 0)
        fail_msg("%s, %s: \"%s\" is not %s: \"%s%s\"", ent_code_word(d->code), d->err.rule, d->err.text,
                 ent_code_word(code), where, reason);
    delivery_free(d);
    parcel_free(p);
}

/* A world in which Aurora has said two things that Boreal holds, and one more with a change that is not allowed. */
static void refuse_entry(void (*change)(ent_entry *entry), ent_code code, const char *reason)
{
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 2, "entry");
    ent_entry entry = world_entry(w, AURORA);
    change(&entry);
    world_log_entry(w, AURORA, &entry, no_body);
    refuse_last(w, h, 2, code, reason);
    holder_free(h);
    world_free(w);
}

static void refuse_edited(const char *from, const char *to, ent_code code, const char *reason)
{
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 2, "entry");
    ent_entry entry = world_entry(w, AURORA);
    entry.has_reply_to = true;
    entry.reply_to = (ent_message_ref){world_name(AURORA), 0};
    world_log_edited(w, AURORA, &entry, from, to);
    refuse_last(w, h, 2, code, reason);
    holder_free(h);
    world_free(w);
}

static void other_channel(ent_entry *entry)
{
    entry->channel.bytes[31] ^= 1;
}

static void test_check_entries__of_another_channel_is_refused(void **state)
{
    (void)state;
    refuse_entry(other_channel, ENT_PEER_MISMATCH, "channel");
}

static void other_writer(ent_entry *entry)
{
    entry->writer = world_name(COBALT);
}

static void test_check_entries__of_another_writer_is_refused(void **state)
{
    (void)state;
    refuse_entry(other_writer, ENT_PEER_MISMATCH, "writer: cobalt.example in the log of aurora.example");
}

static void next_index(ent_entry *entry)
{
    entry->index++;
}

static void index_before(ent_entry *entry)
{
    entry->index--;
}

static void test_check_entries__out_of_its_place_is_refused(void **state)
{
    (void)state;
    refuse_entry(next_index, ENT_PEER_MISMATCH, "index: it says 3");
    refuse_entry(index_before, ENT_PEER_MISMATCH, "index: it says 1");
}

static void test_check_entries__not_canonical_is_refused(void **state)
{
    (void)state;
    refuse_edited("{\"v\":1", "{ \"v\":1", ENT_PEER_NOT_CANONICAL, "");
    refuse_edited("\"index\":2", "\"index\": 2", ENT_PEER_NOT_CANONICAL, "");
}

static void test_check_entries__that_is_no_entry_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 2, "raw");
    world_log_raw(w, AURORA, ent_text_bytes(ENT_TEXT("hello")), no_body);
    holder_copy(h, w, AURORA, 2);
    parcel *p = parcel_new(w, AURORA, 2, 3);
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(ent_code_class(d->code), ENT_CLASS_PEER);
    assert_string_equal(d->err.rule, "design 3, step 6");
    assert_int_equal(strncmp(d->err.text, "entry 2: ", 9), 0);
    delivery_free(d);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void empty_entry_is_refused(size_t size)
{
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    uint8_t *bytes = ent_alloc(size + 1);
    memset(bytes, ' ', size);
    world_log_raw(w, AURORA, ent_bytes_of(bytes, size), no_body);
    parcel *p = parcel_new(w, AURORA, 0, 1);
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(ent_code_class(d->code), ENT_CLASS_PEER);
    delivery_free(d);
    parcel_free(p);
    ent_free(bytes);
    holder_free(h);
    world_free(w);
}

static void test_check_entries__empty_or_too_long_is_refused(void **state)
{
    (void)state;
    empty_entry_is_refused(0);
    empty_entry_is_refused(ENT_ENTRY_LIMIT_BYTES + 1);
    empty_entry_is_refused(65535);
}

static void test_check_entries__entry_0_alone_is_the_genesis(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    ent_entry entry = world_entry(w, AURORA);
    entry.kind = ENT_TEXT("contact.check");
    world_log_entry(w, AURORA, &entry, no_body);
    refuse_last(w, h, 0, ENT_PEER_INVALID, "entry 0 of a log must be channel.genesis");
    holder_free(h);
    world_free(w);

    w = world_new();
    h = holder_new(w, BOREAL);
    world_say(w, AURORA, 1, "genesis");
    entry = world_entry(w, AURORA);
    entry.kind = ENT_TEXT("channel.genesis");
    world_log_entry(w, AURORA, &entry, no_body);
    refuse_last(w, h, 1, ENT_PEER_INVALID, "only entry 0 may be channel.genesis");
    holder_free(h);
    world_free(w);
}

static void to_a_stranger(ent_entry *entry)
{
    static ent_text to[2];
    to[0] = world_name(BOREAL);
    to[1] = world_name(STRANGER);
    entry->to = to;
    entry->to_count = 2;
}

static void reply_to_a_stranger(ent_entry *entry)
{
    entry->has_reply_to = true;
    entry->reply_to = (ent_message_ref){world_name(STRANGER), 0};
}

static void thread_of_a_stranger(ent_entry *entry)
{
    entry->has_thread = true;
    entry->thread = (ent_message_ref){world_name(STRANGER), 0};
}

static void test_check_entries__that_names_no_member_is_refused(void **state)
{
    (void)state;
    refuse_entry(to_a_stranger, ENT_PEER_INVALID, "to: stranger.example is no member");
    refuse_entry(reply_to_a_stranger, ENT_PEER_INVALID, "reply_to: stranger.example is no member");
    refuse_entry(thread_of_a_stranger, ENT_PEER_INVALID, "thread: stranger.example is no member");
}

static void test_check_entries__that_refers_to_itself_or_later_is_refused(void **state)
{
    (void)state;
    const char *const from = "\"thread\":null,\"reply_to\":\"aurora.example/0\"";
    refuse_edited(from, "\"thread\":null,\"reply_to\":\"aurora.example/2\"", ENT_PEER_MALFORMED, "reply_to");
    refuse_edited(from, "\"thread\":null,\"reply_to\":\"aurora.example/3\"", ENT_PEER_MALFORMED, "reply_to");
    refuse_edited(from, "\"thread\":\"aurora.example/2\",\"reply_to\":null", ENT_PEER_MALFORMED, "thread");
    refuse_edited(from, "\"thread\":\"aurora.example/9\",\"reply_to\":null", ENT_PEER_MALFORMED, "thread");
}

static void test_check_entries__with_references_among_members_is_taken(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    ent_text to[] = {world_name(BOREAL), world_name(COBALT)};
    world_say(w, AURORA, 2, "taken");
    ent_entry entry = world_entry(w, AURORA);
    entry.to = to;
    entry.to_count = 2;
    entry.has_thread = true;
    entry.thread = (ent_message_ref){world_name(AURORA), 1};
    entry.has_reply_to = true;
    entry.reply_to = (ent_message_ref){world_name(COBALT), 12345};
    world_log_entry(w, AURORA, &entry, no_body);
    parcel *p = parcel_new(w, AURORA, 0, 3);
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.entries[2].to_count, 2);
    assert_int_equal(d->checked.entries[2].reply_to.index, 12345);
    delivery_free(d);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

/* --- acks --- */

/* Aurora, whose first entry Boreal holds, acks a log at a size, in a world where all have said something. */
typedef struct {
    world *w;
    holder *h;
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_ack ack;
    ent_entry entry;
} acking;

static acking *acking_new(size_t member, uint64_t size)
{
    acking *a = ent_alloc(sizeof *a);
    assert_non_null(a);
    a->w = world_new();
    a->h = holder_new(a->w, BOREAL);
    world_say(a->w, AURORA, 1, "ack");
    world_say(a->w, BOREAL, 4, "ack");
    world_say(a->w, COBALT, 4, "ack");
    holder_copy(a->h, a->w, AURORA, 1);
    holder_copy(a->h, a->w, BOREAL, 4);
    a->ack.origin = world_origin(a->w, member, a->origin);
    a->ack.head = world_head(a->w, member, size);
    a->entry = world_entry(a->w, AURORA);
    a->entry.acks = &a->ack;
    a->entry.ack_count = 1;
    return a;
}

static void acking_free(acking *a)
{
    holder_free(a->h);
    world_free(a->w);
    ent_free(a);
}

static void assert_taken(acking *a, const parcel *p, size_t member, uint64_t acked)
{
    delivery *d = deliver(a->h, p, AURORA);
    if (d->code != ENT_OK)
        fail_msg("%s", d->err.text);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
    assert_int_equal(d->checked.acked[member], acked);
    delivery_free(d);
}

static void test_check_entries__ack_of_our_log_as_it_is_is_taken(void **state)
{
    (void)state;
    acking *a = acking_new(BOREAL, 3);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    assert_taken(a, p, BOREAL, 3);
    parcel_free(p);
    acking_free(a);
}

static void test_check_entries__ack_of_a_head_in_the_pouch_is_taken(void **state)
{
    (void)state;
    acking *a = acking_new(COBALT, 3);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    refuse_last(a->w, a->h, 1, ENT_PEER_INCONSISTENT, "acks: cobalt.example: no head of size 3");
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    parcel_add_head(p, a->w, COBALT, 3);
    assert_taken(a, p, COBALT, 3);
    parcel_free(p);
    acking_free(a);
}

static void test_check_entries__ack_of_a_head_that_was_shown_before_is_taken(void **state)
{
    (void)state;
    acking *a = acking_new(COBALT, 3);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    a->h->heads[0] = a->ack.head;
    a->h->head_members[0] = COBALT;
    a->h->head_count = 1;
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    assert_taken(a, p, COBALT, 3);
    parcel_free(p);
    acking_free(a);
}

static void test_check_entries__ack_within_our_copy_is_taken(void **state)
{
    (void)state;
    acking *a = acking_new(COBALT, 3);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    holder_copy(a->h, a->w, COBALT, 4);
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    assert_taken(a, p, COBALT, 3);
    parcel_free(p);
    acking_free(a);
}

static void test_check_entries__forged_ack_is_refused(void **state)
{
    (void)state;
    /* our own log: another root, or more than we said */
    acking *a = acking_new(BOREAL, 3);
    a->ack.head.root.bytes[0] ^= 1;
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    refuse_last(a->w, a->h, 1, ENT_PEER_INCONSISTENT, "boreal.example: no head of size 3 with this root");
    acking_free(a);
    a = acking_new(BOREAL, 4);
    a->ack.head.size = 9;
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    refuse_last(a->w, a->h, 1, ENT_PEER_INCONSISTENT, "boreal.example: no head of size 9");
    acking_free(a);

    /* another's log: the head in the pouch has another size or root */
    a = acking_new(COBALT, 3);
    a->ack.head.root.bytes[31] ^= 1;
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    parcel_add_head(p, a->w, COBALT, 3);
    delivery *d = deliver(a->h, p, AURORA);
    assert_int_equal(d->code, ENT_PEER_INCONSISTENT);
    delivery_free(d);
    parcel_free(p);
    acking_free(a);
    a = acking_new(COBALT, 3);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    p = parcel_new(a->w, AURORA, 1, 2);
    parcel_add_head(p, a->w, COBALT, 4);
    d = deliver(a->h, p, AURORA);
    assert_int_equal(d->code, ENT_PEER_INCONSISTENT);
    assert_non_null(strstr(d->err.text, "entry 1: acks: cobalt.example"));
    delivery_free(d);
    parcel_free(p);
    acking_free(a);
}

static void test_check_entries__ack_that_regresses_is_refused(void **state)
{
    (void)state;
    acking *a = acking_new(BOREAL, 3);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    a->h->acked[AURORA][BOREAL] = 4;
    refuse_last(a->w, a->h, 1, ENT_PEER_INVALID, "boreal.example: size 3 after 4 was acked");
    a->h->acked[AURORA][BOREAL] = 3;
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    assert_taken(a, p, BOREAL, 3);
    parcel_free(p);

    /* also between two entries of one pouch */
    a->entry = world_entry(a->w, AURORA);
    a->ack.head = world_head(a->w, BOREAL, 2);
    a->entry.acks = &a->ack;
    a->entry.ack_count = 1;
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    refuse_last(a->w, a->h, 1, ENT_PEER_INVALID, "boreal.example: size 2 after 3 was acked");
    acking_free(a);
}

static void test_check_entries__ack_of_nothing_is_refused(void **state)
{
    (void)state;
    acking *a = acking_new(BOREAL, 0);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    refuse_last(a->w, a->h, 1, ENT_PEER_INVALID, "no entries are acked");
    acking_free(a);
}

static void test_check_entries__ack_of_a_stranger_is_refused(void **state)
{
    (void)state;
    acking *a = acking_new(BOREAL, 3);
    a->ack.origin = world_origin(a->w, STRANGER, a->origin);
    world_log_entry(a->w, AURORA, &a->entry, no_body);
    refuse_last(a->w, a->h, 1, ENT_PEER_MISMATCH, "stranger.example is no other member");
    acking_free(a);
}

static void test_check_entries__ack_of_the_own_log_is_refused(void **state)
{
    (void)state;
    acking *a = acking_new(BOREAL, 3);
    world_log_edited(a->w, AURORA, &a->entry, "\"boreal.example/", "\"aurora.example/");
    parcel *p = parcel_new(a->w, AURORA, 1, 2);
    delivery *d = deliver(a->h, p, AURORA);
    assert_int_equal(ent_code_class(d->code), ENT_CLASS_PEER);
    assert_non_null(strstr(d->err.text, "acks"));
    delivery_free(d);
    parcel_free(p);
    acking_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_entries__of_another_channel_is_refused),
        cmocka_unit_test(test_check_entries__of_another_writer_is_refused),
        cmocka_unit_test(test_check_entries__out_of_its_place_is_refused),
        cmocka_unit_test(test_check_entries__not_canonical_is_refused),
        cmocka_unit_test(test_check_entries__that_is_no_entry_is_refused),
        cmocka_unit_test(test_check_entries__empty_or_too_long_is_refused),
        cmocka_unit_test(test_check_entries__entry_0_alone_is_the_genesis),
        cmocka_unit_test(test_check_entries__that_names_no_member_is_refused),
        cmocka_unit_test(test_check_entries__that_refers_to_itself_or_later_is_refused),
        cmocka_unit_test(test_check_entries__with_references_among_members_is_taken),
        cmocka_unit_test(test_check_entries__ack_of_our_log_as_it_is_is_taken),
        cmocka_unit_test(test_check_entries__ack_of_a_head_in_the_pouch_is_taken),
        cmocka_unit_test(test_check_entries__ack_of_a_head_that_was_shown_before_is_taken),
        cmocka_unit_test(test_check_entries__ack_within_our_copy_is_taken),
        cmocka_unit_test(test_check_entries__forged_ack_is_refused),
        cmocka_unit_test(test_check_entries__ack_that_regresses_is_refused),
        cmocka_unit_test(test_check_entries__ack_of_nothing_is_refused),
        cmocka_unit_test(test_check_entries__ack_of_a_stranger_is_refused),
        cmocka_unit_test(test_check_entries__ack_of_the_own_log_is_refused),
    };
    return cmocka_run_group_tests_name("check entries", tests, NULL, NULL);
}
