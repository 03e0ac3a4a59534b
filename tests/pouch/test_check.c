#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Steps 3 to 5: the head, what is held, the root. And the whole: any way of delivering ends with the same tree. */

static void assert_refused(const delivery *d, ent_code code, int step, const char *reason)
{
    char rule[32];
    (void)snprintf(rule, sizeof rule, "design 3, step %d", step);
    if (d->code != (int)code || strcmp(d->err.rule, rule) != 0 || strstr(d->err.text, reason) == NULL)
        fail_msg("%s, %s: \"%s\" is not %s, %s: \"%s\"", ent_code_word(d->code), d->err.rule, d->err.text,
                 ent_code_word(code), rule, reason);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NOT_CHECKED);
    assert_null(d->checked.arena.blocks);
}

static void refuse(holder *h, const parcel *p, ent_code code, int step, const char *reason)
{
    delivery *d = deliver(h, p, AURORA);
    assert_refused(d, code, step, reason);
    delivery_free(d);
}

static void test_check__first_pouch_is_new(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 4, "first");
    parcel *p = parcel_new(w, AURORA, 0, 4);
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
    assert_int_equal(d->checked.first_new, 0);
    assert_int_equal(d->checked.new_count, 4);
    assert_int_equal(d->checked.head.size, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(d->checked.entries[i].index, i);
        assert_true(ent_text_equal(d->checked.entries[i].writer, world_name(AURORA)));
        assert_true(ent_bytes_equal(d->checked.entry_bytes[i], ent_buf_bytes(&w->logs[AURORA].entries[i])));
        assert_true(ent_bytes_equal(d->checked.bodies[i], ent_buf_bytes(&w->logs[AURORA].bodies[i])));
        assert_true(ent_hash_equal(&d->checked.leaves[i], &w->logs[AURORA].leaves[i]));
        /* borrowed, not copied */
        assert_true(d->checked.entry_bytes[i].data > d->bytes.data &&
                    d->checked.entry_bytes[i].data < d->bytes.data + d->bytes.size);
    }
    holder_store(h, AURORA, d);
    delivery_free(d);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__same_pouch_again_is_held(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 5, "again");
    parcel *p = parcel_new(w, AURORA, 0, 5);
    holder_copy(h, w, AURORA, 5);
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, ENT_POUCH_HELD);
    assert_int_equal(d->checked.new_count, 0);
    assert_int_equal(d->checked.first_new, 5);
    assert_int_equal(d->checked.tree.size, 5);
    delivery_free(d);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__older_or_empty_pouch_is_held(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 9, "older");
    holder_copy(h, w, AURORA, 9);
    for (uint64_t size = 0; size <= 9; size++) {
        for (uint64_t old = 0; old <= size; old++) {
            parcel *p = parcel_new(w, AURORA, old, size);
            delivery *d = deliver(h, p, AURORA);
            assert_int_equal(d->code, ENT_OK);
            assert_int_equal(d->checked.verdict, ENT_POUCH_HELD);
            assert_int_equal(d->checked.head.size, size);
            assert_int_equal(d->checked.first_new, 9);
            delivery_free(d);
            parcel_free(p);
        }
    }
    holder_free(h);
    world_free(w);
}

static void test_check__overlap_with_what_is_held_is_new(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 600, "overlap");
    const size_t held[] = {1, 3, 255, 256, 257, 511, 512, 513, 599};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        holder_copy(h, w, AURORA, held[i]);
        const uint64_t olds[] = {0, held[i] / 2, held[i] - 1, held[i]};
        for (size_t k = 0; k < 4; k++) {
            parcel *p = parcel_new(w, AURORA, olds[k], 600);
            delivery *d = deliver(h, p, AURORA);
            assert_int_equal(d->code, ENT_OK);
            assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
            assert_int_equal(d->checked.first_new, held[i]);
            assert_int_equal(d->checked.new_count, 600 - held[i]);
            assert_int_equal(d->checked.entries[0].index, held[i]);
            delivery_free(d);
            parcel_free(p);
        }
    }
    holder_free(h);
    world_free(w);
}

/* Step 3 */

static void test_check__head_by_another_key_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 3, "key");
    parcel *p = parcel_new(w, AURORA, 0, 3);
    ent_tree_head head = world_head(w, AURORA, 3);
    const size_t others[] = {BOREAL, STRANGER};
    for (size_t i = 0; i < 2; i++) {
        ent_buf_clear(&p->checkpoint);
        world_sign_head(w, p->pouch.origin, &head, others[i], &p->checkpoint);
        p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
        refuse(h, p, ENT_PEER_SIGNATURE, 3, "checkpoint: ");
    }
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__head_of_another_log_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    world_say(w, AURORA, 3, "log");
    world_say(w, COBALT, 3, "log");
    parcel *p = parcel_new(w, AURORA, 0, 3);

    /* a head of a member, in the writer's pouch */
    ent_tree_head head = world_head(w, AURORA, 3);
    ent_buf_clear(&p->checkpoint);
    world_sign_head(w, world_origin(w, COBALT, memory), &head, COBALT, &p->checkpoint);
    p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
    refuse(h, p, ENT_PEER_MISMATCH, 3, "checkpoint: ");
    parcel_free(p);

    /* a whole pouch of another member, or of another channel */
    p = parcel_new(w, COBALT, 0, 3);
    refuse(h, p, ENT_PEER_MISMATCH, 3, "pouch.json: the origin is not aurora.example/entente/");
    parcel_free(p);
    world *other = world_new();
    other->channel.bytes[0] ^= 1;
    world_say(other, AURORA, 3, "other channel");
    p = parcel_new(other, AURORA, 0, 3);
    refuse(h, p, ENT_PEER_MISMATCH, 3, "pouch.json: the origin is not");
    parcel_free(p);
    world_free(other);
    holder_free(h);
    world_free(w);
}

static void test_check__head_of_another_size_than_listed_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 3, "size");
    parcel *p = parcel_new(w, AURORA, 0, 3);
    ent_tree_head head = world_head(w, AURORA, 2);
    ent_buf_clear(&p->checkpoint);
    world_sign_head(w, p->pouch.origin, &head, AURORA, &p->checkpoint);
    p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
    refuse(h, p, ENT_PEER_MISMATCH, 3, "its size is 2, pouch.json says 3");
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__head_that_is_no_note_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 3, "note");
    parcel *p = parcel_new(w, AURORA, 0, 3);
    p->pouch.checkpoint.size--;
    refuse(h, p, ENT_PEER_MALFORMED, 3, "checkpoint: ");
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

/* Step 4 */

static void test_check__old_size_beyond_what_is_held_is_stale(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 5, "stale");
    parcel *p = parcel_new(w, AURORA, 3, 5);
    for (size_t held = 0; held < 3; held++) {
        char reason[64];
        holder_copy(h, w, AURORA, held);
        (void)snprintf(reason, sizeof reason, "begins at entry 3, only %zu are held", held);
        refuse(h, p, ENT_PEER_STALE, 4, reason);
    }
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

/* "a proof that misses the larger root proves nothing": the entries are another history's, the head is of neither. */
static void test_check__overlap_that_differs_under_a_head_of_neither_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    world *other = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 300, "one");
    world_say(other, AURORA, 280, "one");
    world_say(other, AURORA, 20, "two");
    holder_copy(h, other, AURORA, 290);
    parcel *p = parcel_new(w, AURORA, 3, 300);
    ent_tree_head head = world_head(w, AURORA, 300);
    head.root.bytes[7] ^= 1;
    ent_buf_clear(&p->checkpoint);
    world_sign_head(w, p->pouch.origin, &head, AURORA, &p->checkpoint);
    p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
    refuse(h, p, ENT_PEER_MISMATCH, 4, "entry 280: not the one that is held");
    /* nor does the head of what is held make it one */
    world_say(other, AURORA, 10, "two");
    head = world_head(other, AURORA, 300);
    ent_buf_clear(&p->checkpoint);
    world_sign_head(w, p->pouch.origin, &head, AURORA, &p->checkpoint);
    p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
    refuse(h, p, ENT_PEER_MISMATCH, 4, "entry 280: not the one that is held");
    parcel_free(p);
    holder_free(h);
    world_free(other);
    world_free(w);
}

static void test_check__larger_head_over_other_entries_is_a_fork(void **state)
{
    (void)state;
    world *w = world_new();
    world *other = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 262, "one");
    world_say(other, AURORA, 257, "one");
    world_say(other, AURORA, 8, "two");
    holder_copy(h, w, AURORA, 262);
    const ent_hash ours = world_head(w, AURORA, 262).root;
    const uint64_t olds[] = {0, 1, 255, 256, 257, 258, 261};
    for (size_t i = 0; i < sizeof olds / sizeof olds[0]; i++) {
        for (uint64_t size = 263; size <= 265; size++) {
            parcel *p = parcel_new(other, AURORA, olds[i], size);
            delivery *d = deliver(h, p, AURORA);
            /* beyond 257 the beginning is another than ours: the entries alone do not reach the head */
            if (olds[i] > 257) {
                assert_int_equal(d->code, ENT_PEER_MISMATCH);
            } else {
                const ent_hash theirs = world_head(other, AURORA, size).root;
                assert_int_equal(d->code, ENT_OK);
                assert_int_equal(d->checked.verdict, ENT_POUCH_FORKED);
                assert_int_equal(d->checked.head.size, size);
                assert_true(ent_hash_equal(&d->checked.head.root, &theirs));
                assert_true(ent_hash_equal(&d->checked.fork_root_held, &ours));
                assert_int_equal(d->checked.fork_leaf_count, size - olds[i]);
                assert_true(ent_hash_equal(&d->checked.fork_leaves[0], &other->logs[AURORA].leaves[olds[i]]));
                assert_int_equal(d->checked.new_count, 0);
            }
            delivery_free(d);
            parcel_free(p);
        }
    }
    holder_free(h);
    world_free(other);
    world_free(w);
}

static void test_check__root_held_but_overlap_differs_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 6, "held");
    holder_copy(h, w, AURORA, 6);
    parcel *p = parcel_new(w, AURORA, 2, 5);
    ent_bytes entry = ent_buf_bytes(&w->logs[AURORA].entries[3]);
    uint8_t *found = memmem(p->entries.data, p->entries.size, entry.data, entry.size);
    assert_non_null(found);
    found[30] ^= 1;
    refuse(h, p, ENT_PEER_MISMATCH, 4, "entry 3: not the one that is held");
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__other_root_at_held_size_is_a_fork(void **state)
{
    (void)state;
    world *w = world_new();
    world *other = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 8, "one");
    world_say(other, AURORA, 3, "one");
    world_say(other, AURORA, 5, "two");
    holder_copy(h, w, AURORA, 8);
    /* at an equal size and at smaller ones, with the entries that differ, with others, and with none */
    for (uint64_t size = 4; size <= 8; size++) {
        for (uint64_t old = 0; old <= size; old++) {
            parcel *p = parcel_new(other, AURORA, old, size);
            delivery *d = deliver(h, p, AURORA);
            assert_int_equal(d->code, ENT_OK);
            assert_int_equal(d->checked.verdict, ENT_POUCH_FORKED);
            assert_int_equal(d->checked.head.size, size);
            assert_int_equal(d->checked.fork_leaf_count, 0);
            ent_hash ours = world_head(w, AURORA, size).root;
            ent_hash theirs = world_head(other, AURORA, size).root;
            assert_true(ent_hash_equal(&d->checked.fork_root_held, &ours));
            assert_true(ent_hash_equal(&d->checked.head.root, &theirs));
            assert_int_equal(d->checked.new_count, 0);
            delivery_free(d);
            parcel_free(p);
        }
    }
    holder_free(h);
    world_free(other);
    world_free(w);
}

/* Step 5 */

static void test_check__root_that_does_not_follow_is_inconsistent(void **state)
{
    (void)state;
    world *w = world_new();
    world *other = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 8, "one");
    world_say(other, AURORA, 3, "one");
    world_say(other, AURORA, 5, "two");
    holder_copy(h, w, AURORA, 5);
    parcel *p = parcel_new(other, AURORA, 5, 8);
    refuse(h, p, ENT_PEER_INCONSISTENT, 5, "does not follow from the 5 entries held and the 3 new ones");
    parcel_free(p);
    holder_free(h);
    world_free(other);
    world_free(w);
}

static void test_check__other_number_of_entries_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 5, "count");
    holder_copy(h, w, AURORA, 1);
    parcel *p = parcel_new(w, AURORA, 1, 5);
    parcel *fewer = parcel_new(w, AURORA, 1, 4);
    parcel *held = parcel_new(w, AURORA, 1, 1);
    p->pouch.entries = ent_buf_bytes(&fewer->entries);
    refuse(h, p, ENT_PEER_INCONSISTENT, 5, "fewer than the 4 from 1 to 5");
    p->pouch.entries = (ent_bytes){NULL, 0};
    refuse(h, p, ENT_PEER_INCONSISTENT, 5, "fewer");
    fewer->pouch.entries = ent_buf_bytes(&p->entries);
    refuse(h, fewer, ENT_PEER_INCONSISTENT, 5, "more than the 3 from 1 to 4");
    held->pouch.entries = ent_buf_bytes(&p->entries);
    refuse(h, held, ENT_PEER_INCONSISTENT, 5, "more than the 0");
    p->pouch.entries = ent_bytes_of(p->entries.data, p->entries.size - 1);
    refuse(h, p, ENT_PEER_MALFORMED, 5, "entries, at entry 4");
    parcel_free(p);
    parcel_free(fewer);
    parcel_free(held);
    holder_free(h);
    world_free(w);
}

static void test_check__more_entries_than_allowed_are_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 1, "many");
    parcel *p = parcel_new(w, AURORA, 0, 1);
    const ent_tree_head head = {.size = ENT_POUCH_MAX_ENTRIES + 1};
    ent_pouch_checked checked = {0};
    ent_err err = {0};
    ent_buf_clear(&p->checkpoint);
    world_sign_head(w, p->pouch.origin, &head, AURORA, &p->checkpoint);
    p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
    p->pouch.size = head.size;
    assert_int_equal(check_parts(h, &p->pouch, AURORA, &checked, &err), ENT_PEER_TOO_LARGE);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__bit_flipped_anywhere_is_refused(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 3, "flip");
    world_say(w, COBALT, 2, "flip");
    holder_copy(h, w, AURORA, 1);
    parcel *p = parcel_new(w, AURORA, 0, 3);
    parcel_add_head(p, w, COBALT, 2);
    parcel_add_receipt(p, w, AURORA, COBALT, 2);
    delivery *good = deliver(h, p, AURORA);
    assert_int_equal(good->code, ENT_OK);
    assert_int_equal(good->checked.verdict, ENT_POUCH_NEW);
    for (size_t at = 0; at < good->bytes.size; at++) {
        good->bytes.data[at] ^= (uint8_t)(1U << at % 8);
        delivery *d = deliver_bytes(h, ent_buf_bytes(&good->bytes), AURORA);
        if (d->code == ENT_OK)
            fail_msg("a bit of byte %zu passes", at);
        assert_int_equal(ent_code_class(d->code), ENT_CLASS_PEER);
        assert_true(d->err.text[0] != 0);
        delivery_free(d);
        good->bytes.data[at] ^= (uint8_t)(1U << at % 8);
    }
    delivery_free(good);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__any_split_with_overlaps_and_repeats_ends_the_same(void **state)
{
    (void)state;
    enum { SAID = 700, ROUNDS = 12 };
    world *w = world_new();
    world_say(w, AURORA, SAID, "split");
    const ent_tree_head wanted = world_head(w, AURORA, SAID);
    uint32_t random = 12345;
    for (size_t round = 0; round < ROUNDS; round++) {
        holder *h = holder_new(w, BOREAL);
        while (h->logs[AURORA].size < SAID) {
            const size_t held = h->logs[AURORA].size;
            random = random * 1664525 + 1013904223;
            uint64_t old = (random >> 8) % 3 == 0 ? held : (random >> 10) % (held + 1);
            random = random * 1664525 + 1013904223;
            uint64_t size = old + (random >> 8) % (round * 40 + 3);
            size = size > SAID ? SAID : size;
            parcel *p = parcel_new(w, AURORA, old, size);
            for (int repeat = 0; repeat < 2; repeat++) {
                delivery *d = deliver(h, p, AURORA);
                assert_int_equal(d->code, ENT_OK);
                bool is_new = repeat == 0 && size > held;
                assert_int_equal(d->checked.verdict, is_new ? ENT_POUCH_NEW : ENT_POUCH_HELD);
                holder_store(h, AURORA, d);
                delivery_free(d);
            }
            parcel_free(p);
        }
        ent_tree_head got = holder_head(h, AURORA);
        assert_true(ent_hash_equal(&got.root, &wanted.root));
        for (size_t i = 0; i < SAID; i++) {
            assert_true(ent_bytes_equal(ent_buf_bytes(&h->logs[AURORA].entries[i]),
                                        ent_buf_bytes(&w->logs[AURORA].entries[i])));
            assert_true(
                ent_bytes_equal(ent_buf_bytes(&h->logs[AURORA].bodies[i]), ent_buf_bytes(&w->logs[AURORA].bodies[i])));
        }
        holder_free(h);
    }
    world_free(w);
}

static void test_check__failure_of_what_is_held_is_passed_on(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, AURORA, 3, "io");
    world_say(w, COBALT, 2, "io");
    parcel *p = parcel_new(w, AURORA, 0, 3);
    parcel_add_head(p, w, COBALT, 2);
    h->fail = ENT_IO;
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(d->code, ENT_IO);
    assert_non_null(strstr(d->err.text, "injected"));
    assert_string_equal(d->err.rule, "");
    delivery_free(d);
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

static void test_check__no_memory_leaves_the_result_as_it_was(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    world_say(w, COBALT, 2, "memory");
    world_say(w, BOREAL, 2, "memory");
    world_say(w, AURORA, 3, "memory");
    ent_ack ack = {.head = world_head(w, COBALT, 2)};
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ack.origin = world_origin(w, COBALT, memory);
    ent_entry entry = world_entry(w, AURORA);
    ent_text to = world_name(BOREAL);
    entry.acks = &ack;
    entry.ack_count = 1;
    entry.to = &to;
    entry.to_count = 1;
    world_log_entry(w, AURORA, &entry, ent_text_bytes(ENT_TEXT("body")));
    holder_copy(h, w, AURORA, 2);
    parcel *p = parcel_new(w, AURORA, 0, 4);
    parcel_add_head(p, w, COBALT, 2);
    parcel_add_receipt(p, w, AURORA, COBALT, 3);
    parcel_add_receipt(p, w, COBALT, BOREAL, 1);
    ent_pouch_checked checked = {.first_new = 77};
    for (unsigned long nth = 1;; nth++) {
        ent_err err = {0};
        ent_alloc_fail_at(nth);
        int code = check_parts(h, &p->pouch, AURORA, &checked, &err);
        unsigned long count = ent_alloc_count();
        ent_alloc_fail_at(0);
        if (count < nth) {
            assert_int_equal(code, ENT_OK);
            assert_int_equal(checked.verdict, ENT_POUCH_NEW);
            ent_pouch_checked_release(&checked);
            break;
        }
        assert_int_equal(code, ENT_NOMEM);
        assert_int_equal(checked.first_new, 77);
        assert_null(checked.arena.blocks);
    }
    parcel_free(p);
    holder_free(h);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__first_pouch_is_new),
        cmocka_unit_test(test_check__same_pouch_again_is_held),
        cmocka_unit_test(test_check__older_or_empty_pouch_is_held),
        cmocka_unit_test(test_check__overlap_with_what_is_held_is_new),
        cmocka_unit_test(test_check__head_by_another_key_is_refused),
        cmocka_unit_test(test_check__head_of_another_log_is_refused),
        cmocka_unit_test(test_check__head_of_another_size_than_listed_is_refused),
        cmocka_unit_test(test_check__head_that_is_no_note_is_refused),
        cmocka_unit_test(test_check__old_size_beyond_what_is_held_is_stale),
        cmocka_unit_test(test_check__overlap_that_differs_under_a_head_of_neither_is_refused),
        cmocka_unit_test(test_check__larger_head_over_other_entries_is_a_fork),
        cmocka_unit_test(test_check__root_held_but_overlap_differs_is_refused),
        cmocka_unit_test(test_check__other_root_at_held_size_is_a_fork),
        cmocka_unit_test(test_check__root_that_does_not_follow_is_inconsistent),
        cmocka_unit_test(test_check__other_number_of_entries_is_refused),
        cmocka_unit_test(test_check__more_entries_than_allowed_are_refused),
        cmocka_unit_test(test_check__bit_flipped_anywhere_is_refused),
        cmocka_unit_test(test_check__any_split_with_overlaps_and_repeats_ends_the_same),
        cmocka_unit_test(test_check__failure_of_what_is_held_is_passed_on),
        cmocka_unit_test(test_check__no_memory_leaves_the_result_as_it_was),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
