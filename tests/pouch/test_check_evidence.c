#include "world.h"

#include "log/fork.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Step 6, heads and receipts: what others have signed about the logs of the channel. */

/* Aurora's pouch of three entries to Boreal, who holds one of them and all of the own log. */
typedef struct {
    world *w;
    holder *h;
    parcel *p;
} scene;

static scene *scene_new(void)
{
    scene *s = ent_alloc(sizeof *s);
    assert_non_null(s);
    s->w = world_new();
    world_say(s->w, AURORA, 5, "scene");
    world_say(s->w, BOREAL, 4, "scene");
    world_say(s->w, COBALT, 4, "scene");
    s->h = holder_new(s->w, BOREAL);
    holder_copy(s->h, s->w, AURORA, 2);
    holder_copy(s->h, s->w, BOREAL, 4);
    s->p = parcel_new(s->w, AURORA, 1, 5);
    return s;
}

static void scene_free(scene *s)
{
    parcel_free(s->p);
    holder_free(s->h);
    world_free(s->w);
    ent_free(s);
}

static void refuse(scene *s, ent_code code, const char *reason)
{
    delivery *d = deliver(s->h, s->p, AURORA);
    if (d->code != (int)code || strcmp(d->err.rule, "design 3, step 6") != 0 || strstr(d->err.text, reason) == NULL)
        fail_msg("%s, %s: \"%s\" is not %s: \"%s\"", ent_code_word(d->code), d->err.rule, d->err.text,
                 ent_code_word(code), reason);
    delivery_free(d);
    scene_free(s);
}

static void add_head(scene *s, size_t named, size_t log, const ent_tree_head *head, size_t by)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf note = {0};
    world_sign_head(s->w, world_origin(s->w, log, memory), head, by, &note);
    parcel_add_head_note(s->p, named, ent_buf_bytes(&note));
    ent_buf_release(&note);
}

static void add_receipt(scene *s, size_t named, size_t log, const ent_tree_head *head, size_t by)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf note = {0};
    world_sign_receipt(s->w, world_origin(s->w, log, memory), head, by, &note);
    parcel_add_receipt_note(s->p, named, ent_buf_bytes(&note));
    ent_buf_release(&note);
}

static void test_check_evidence__heads_of_members_are_given(void **state)
{
    (void)state;
    scene *s = scene_new();
    parcel_add_head(s->p, s->w, BOREAL, 3);
    parcel_add_head(s->p, s->w, COBALT, 4);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
    assert_int_equal(d->checked.head_count, 2);
    assert_int_equal(d->checked.heads[0].member, BOREAL);
    assert_int_equal(d->checked.heads[0].head.size, 3);
    assert_int_equal(d->checked.heads[1].member, COBALT);
    ent_tree_head head = world_head(s->w, COBALT, 4);
    assert_true(ent_hash_equal(&d->checked.heads[1].head.root, &head.root));
    assert_true(ent_bytes_equal(d->checked.heads[1].note, s->p->heads[1].data));
    delivery_free(d);
    scene_free(s);
}

/* Adds heads of Cobalt's log in one member, in the order of sizes; a size of 0 is written as what is no note. */
static void add_heads(scene *s, const uint64_t *sizes, size_t count)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf notes = {0};
    for (size_t i = 0; i < count; i++) {
        ent_tree_head head = world_head(s->w, COBALT, sizes[i]);
        if (sizes[i] > 0)
            world_sign_head(s->w, world_origin(s->w, COBALT, memory), &head, COBALT, &notes);
        else
            ent_buf_put_string(&notes, "no note\n");
    }
    parcel_add_head_note(s->p, COBALT, ent_buf_bytes(&notes));
    ent_buf_release(&notes);
}

static void test_check_evidence__several_heads_of_one_log_are_given(void **state)
{
    (void)state;
    scene *s = scene_new();
    add_heads(s, (const uint64_t[]){1, 2, 4}, 3);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.head_count, 3);
    assert_int_equal(d->checked.heads[1].head.size, 2);
    assert_int_equal(d->checked.heads[2].head.size, 4);
    size_t bytes = 0;
    for (size_t i = 0; i < 3; i++)
        bytes += d->checked.heads[i].note.size;
    assert_int_equal(bytes, s->p->heads[0].data.size);
    delivery_free(d);
    scene_free(s);
}

static void test_check_evidence__heads_of_one_log_out_of_order_are_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    add_heads(s, (const uint64_t[]){1, 4, 2}, 3);
    refuse(s, ENT_PEER_MALFORMED, "heads/cobalt.example: size 2 after 4");
    s = scene_new();
    add_heads(s, (const uint64_t[]){3, 3}, 2);
    refuse(s, ENT_PEER_MALFORMED, "heads/cobalt.example: size 3 after 3");
}

static void test_check_evidence__head_behind_another_that_is_no_note_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    add_heads(s, (const uint64_t[]){2, 0}, 2);
    refuse(s, ENT_PEER_MALFORMED, "heads/cobalt.example: ");
    s = scene_new();
    add_heads(s, (const uint64_t[]){2, 0, 4}, 3);
    refuse(s, ENT_PEER_MALFORMED, "heads/cobalt.example: ");
}

static void test_check_evidence__too_many_heads_are_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    ent_buf notes = {0};
    for (size_t i = 0; i <= ENT_POUCH_MAX_HEADS; i++)
        ent_buf_put_string(&notes, "\n\n"); /* the least that counts as one */
    parcel_add_head_note(s->p, COBALT, ent_buf_bytes(&notes));
    ent_buf_release(&notes);
    refuse(s, ENT_PEER_TOO_LARGE, "heads/: 4097 notes");
}

static void test_check_evidence__head_by_another_key_is_refused(void **state)
{
    (void)state;
    const size_t others[] = {AURORA, BOREAL, STRANGER};
    for (size_t i = 0; i < 3; i++) {
        scene *s = scene_new();
        ent_tree_head head = world_head(s->w, COBALT, 4);
        add_head(s, COBALT, COBALT, &head, others[i]);
        refuse(s, ENT_PEER_SIGNATURE, "heads/cobalt.example: ");
    }
}

static void test_check_evidence__head_under_another_name_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    ent_tree_head head = world_head(s->w, COBALT, 4);
    add_head(s, BOREAL, COBALT, &head, COBALT);
    refuse(s, ENT_PEER_MISMATCH, "heads/boreal.example: ");
}

static void test_check_evidence__head_of_a_stranger_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    ent_tree_head head = world_head(s->w, COBALT, 4);
    add_head(s, STRANGER, STRANGER, &head, STRANGER);
    refuse(s, ENT_PEER_MISMATCH, "heads/stranger.example: no member");
}

static void test_check_evidence__second_head_of_the_writer_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    parcel_add_head(s->p, s->w, AURORA, 4);
    refuse(s, ENT_PEER_MISMATCH, "heads/aurora.example: the writer's own head");
}

static void test_check_evidence__head_that_is_no_note_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    parcel_add_head_note(s->p, COBALT, ent_text_bytes(ENT_TEXT("no note")));
    refuse(s, ENT_PEER_MALFORMED, "heads/cobalt.example: ");
}

/* The pouch is taken, and the fork that it shows is told. */
static void assert_fork(scene *s, size_t member, const ent_tree_head *theirs)
{
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, s->h->logs[AURORA].size == 5 ? ENT_POUCH_HELD : ENT_POUCH_NEW);
    assert_int_equal(d->checked.fork_count, 1);
    assert_int_equal(d->checked.forks[0].member, member);
    assert_int_equal(d->checked.forks[0].head.size, theirs->size);
    assert_true(ent_hash_equal(&d->checked.forks[0].head.root, &theirs->root));
    assert_true(ent_bytes_equal(d->checked.forks[0].note, s->p->heads[s->p->pouch.head_count - 1].data));
    assert_int_equal(d->checked.forks[0].proof.size, 0);
    assert_int_equal(d->checked.head_count, s->p->pouch.head_count - 1);
    delivery_free(d);
}

static void test_check_evidence__signed_head_that_contradicts_our_copy_is_a_fork(void **state)
{
    (void)state;
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, COBALT, 4, "otherwise");
    holder_copy(s->h, s->w, COBALT, 4);
    parcel_add_head(s->p, s->w, BOREAL, 3);
    parcel_add_head(s->p, other, COBALT, 3);
    ent_tree_head theirs = world_head(other, COBALT, 3);
    assert_fork(s, COBALT, &theirs);
    /* even when the pouch is refused for something else later */
    s->p->pouch.body_count = 0;
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_PEER_MISMATCH);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NOT_CHECKED);
    assert_int_equal(d->checked.fork_count, 1);
    assert_int_equal(d->checked.forks[0].member, COBALT);
    assert_int_equal(d->checked.new_count, 0);
    delivery_free(d);
    world_free(other);
    scene_free(s);
}

static void test_check_evidence__our_own_key_on_another_history_is_a_fork(void **state)
{
    (void)state;
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, BOREAL, 4, "otherwise");
    parcel_add_head(s->p, other, BOREAL, 4);
    ent_tree_head theirs = world_head(other, BOREAL, 4);
    assert_fork(s, BOREAL, &theirs);
    world_free(other);
    scene_free(s);
}

static void test_check_evidence__fork_shown_with_a_held_pouch_is_seen(void **state)
{
    (void)state;
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, COBALT, 4, "otherwise");
    holder_copy(s->h, s->w, AURORA, 5);
    holder_copy(s->h, s->w, COBALT, 4);
    parcel_add_head(s->p, other, COBALT, 4);
    ent_tree_head theirs = world_head(other, COBALT, 4);
    assert_fork(s, COBALT, &theirs);
    world_free(other);
    scene_free(s);
}

/* Cobalt tells Aurora another history than us. What Aurora acks and receipts of it contradicts ours: once the fork is
 * known that keeps nobody from hearing Aurora. */
static void test_check_evidence__other_history_of_a_forked_log_stops_no_other(void **state)
{
    (void)state;
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, COBALT, 4, "otherwise");
    holder_copy(s->h, s->w, COBALT, 3);
    ent_tree_head larger = world_head(other, COBALT, 4);
    ent_tree_head acked = world_head(other, COBALT, 2);
    parcel_add_receipt(s->p, other, COBALT, AURORA, 2);
    add_head(s, COBALT, COBALT, &larger, COBALT);
    ent_entry entry = world_entry(s->w, AURORA);
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_ack ack = {.origin = world_origin(s->w, COBALT, memory), .head = acked};
    entry.acks = &ack;
    entry.ack_count = 1;
    world_log_entry(s->w, AURORA, &entry, (ent_bytes){NULL, 0});
    parcel *acking = parcel_new(s->w, AURORA, 1, 6);
    delivery *d = deliver(s->h, acking, AURORA);
    assert_int_equal(d->code, ENT_PEER_INCONSISTENT);
    delivery_free(d);
    d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.apart_count, 1);
    assert_int_equal(d->checked.head_count, 1);
    delivery_free(d);
    s->h->forked = 1U << COBALT;
    d = deliver(s->h, acking, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.acked[COBALT], 2);
    delivery_free(d);
    d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
    assert_int_equal(d->checked.receipt_count, 0);
    assert_int_equal(d->checked.apart_count, 1);
    assert_int_equal(d->checked.head_count, 0);
    assert_int_equal(d->checked.fork_count, 0);
    delivery_free(d);
    parcel_free(acking);
    world_free(other);
    scene_free(s);
}

static void make_proof(const world *one, const world *two, size_t member, ent_buf *ret)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf notes[2] = {0};
    ent_text origin = world_origin(one, member, memory);
    ent_tree_head heads[2] = {world_head(one, member, 3), world_head(two, member, 3)};
    for (size_t i = 0; i < 2; i++)
        world_sign_head(one, origin, &heads[i], member, &notes[i]);
    const ent_bytes both[2] = {ent_buf_bytes(&notes[0]), ent_buf_bytes(&notes[1])};
    ent_err err = {0};
    if (ent_fork_proof_make(origin, &one->members[member].log, 1, both, NULL, ret, &err).code != ENT_OK)
        fail_msg("%s", err.text);
    ent_buf_release(&notes[0]);
    ent_buf_release(&notes[1]);
}

static void test_check_evidence__proof_of_a_fork_is_given_once(void **state)
{
    (void)state;
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, COBALT, 4, "otherwise");
    ent_buf proof = {0};
    make_proof(s->w, other, COBALT, &proof);
    ent_pouch_item item = {world_name(COBALT), ent_buf_bytes(&proof)};
    s->p->pouch.forks = &item;
    s->p->pouch.fork_count = 1;
    parcel_add_head(s->p, other, COBALT, 4);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.fork_count, 1);
    assert_int_equal(d->checked.forks[0].member, COBALT);
    assert_true(ent_bytes_equal(d->checked.forks[0].proof, ent_buf_bytes(&proof)));
    assert_int_equal(d->checked.new_count, 3);
    delivery_free(d);
    s->h->forked = 1U << COBALT;
    d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.fork_count, 0);
    delivery_free(d);
    ent_buf_release(&proof);
    world_free(other);
    scene_free(s);
}

/* Its bearer saw the fork before it knew that the key was revoked at 2 entries. */
static void test_check_evidence__proof_by_a_revoked_key_says_nothing(void **state)
{
    (void)state;
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, COBALT, 4, "otherwise");
    ent_buf proof = {0};
    make_proof(s->w, other, COBALT, &proof);
    ent_pouch_item item = {world_name(COBALT), ent_buf_bytes(&proof)};
    s->p->pouch.forks = &item;
    s->p->pouch.fork_count = 1;
    ent_key receipt = {.revoked = false};
    memcpy(receipt.value, s->w->members[COBALT].receipt.bytes, sizeof receipt.value);
    ent_log_key log[] = {{.key = s->w->members[COBALT].log},
                         {.key = s->w->members[BOREAL].log, .from = 2, .serial = 2, .revokes = true}};
    ent_keys keys = {.serial = 2, .log = log, .log_count = 2};
    keys.roles[ENT_KEY_ROLE_RECEIPT] = &receipt;
    keys.role_count[ENT_KEY_ROLE_RECEIPT] = 1;
    s->h->keys[COBALT] = &keys;
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.fork_count, 0);
    assert_int_equal(d->checked.new_count, 3);
    delivery_free(d);
    ent_buf_release(&proof);
    world_free(other);
    scene_free(s);
}

static void refuse_proof(ent_code code, const char *reason,
                         void (*change)(scene *s, world *other, ent_pouch_item *item))
{
    scene *s = scene_new();
    world *other = world_new();
    world_say(other, COBALT, 4, "otherwise");
    world_say(other, BOREAL, 4, "otherwise");
    ent_buf proof = {0};
    make_proof(s->w, other, COBALT, &proof);
    ent_pouch_item item = {world_name(COBALT), ent_buf_bytes(&proof)};
    change(s, other, &item);
    s->p->pouch.forks = &item;
    s->p->pouch.fork_count = 1;
    refuse(s, code, reason);
    ent_buf_release(&proof);
    world_free(other);
}

static void name_boreal(scene *s, world *other, ent_pouch_item *item)
{
    (void)s, (void)other;
    item->party = world_name(BOREAL);
}

static void spoil_proof(scene *s, world *other, ent_pouch_item *item)
{
    (void)s, (void)other;
    uint8_t *byte = (uint8_t *)memmem(item->data.data, item->data.size, "\n3\n", 3);
    byte[1] = '2'; /* the size of a head that is signed as 3 */
}

static void cut_proof(scene *s, world *other, ent_pouch_item *item)
{
    (void)s, (void)other;
    item->data.size -= 10;
}

static void another_key(scene *s, world *other, ent_pouch_item *item)
{
    (void)other, (void)item;
    s->w->members[COBALT].log = s->w->members[BOREAL].log;
}

static void test_check_evidence__proof_that_shows_no_fork_is_refused(void **state)
{
    (void)state;
    refuse_proof(ENT_PEER_MISMATCH, "forks/boreal.example: it is about the log of cobalt.example", name_boreal);
    refuse_proof(ENT_PEER_INCONSISTENT, "forks/cobalt.example: it does not prove", spoil_proof);
    refuse_proof(ENT_PEER_MALFORMED, "forks/cobalt.example: ", cut_proof);
    refuse_proof(ENT_PEER_SIGNATURE, "forks/cobalt.example: key 1 is not the log key of cobalt.example", another_key);
}

static void test_check_evidence__receipts_of_any_log_are_given(void **state)
{
    (void)state;
    scene *s = scene_new();
    parcel_add_receipt(s->p, s->w, BOREAL, AURORA, 3); /* of our log, by the writer */
    parcel_add_receipt(s->p, s->w, AURORA, COBALT, 2); /* of the pouch's log: held, new, newest */
    parcel_add_receipt(s->p, s->w, AURORA, COBALT, 5);
    parcel_add_receipt(s->p, s->w, AURORA, BOREAL, 4);
    parcel_add_receipt(s->p, s->w, AURORA, COBALT, 3);
    parcel_add_receipt(s->p, s->w, COBALT, BOREAL, 4); /* of a log that is not held: its root cannot be compared */
    delivery *d = deliver(s->h, s->p, AURORA);
    if (d->code != ENT_OK)
        fail_msg("%s", d->err.text);
    assert_int_equal(d->checked.receipt_count, 5);
    assert_int_equal(d->checked.receipts[0].member, BOREAL);
    assert_int_equal(d->checked.receipts[0].receiver, AURORA);
    assert_int_equal(d->checked.receipts[0].head.size, 3);
    assert_int_equal(d->checked.receipts[0].cosignature.timestamp_unix_s, 1750000000);
    assert_int_equal(d->checked.receipts[2].head.size, 5);
    assert_int_equal(d->checked.receipts[3].receiver, BOREAL);
    assert_int_equal(d->checked.receipts[4].head.size, 3);
    delivery_free(d);
    scene_free(s);
}

static void test_check_evidence__receipt_of_our_log_beyond_its_size_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    world_say(s->w, BOREAL, 9, "what our copy has not");
    parcel_add_receipt(s->p, s->w, BOREAL, AURORA, 9);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_PEER_INCONSISTENT);
    delivery_free(d);
    scene_free(s);
}

static void test_check_evidence__receipt_of_what_our_store_forgot_is_passed_over(void **state)
{
    (void)state;
    scene *s = scene_new();
    world_say(s->w, BOREAL, 9, "what our copy has not");
    parcel_add_head(s->p, s->w, BOREAL, 8); /* our own signature */
    parcel_add_receipt(s->p, s->w, BOREAL, AURORA, 8);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
    assert_int_equal(d->checked.receipt_count, 0);
    delivery_free(d);
    /* beyond what we signed it is refused all the same */
    parcel_add_receipt(s->p, s->w, BOREAL, AURORA, 9);
    d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_PEER_INCONSISTENT);
    delivery_free(d);
    scene_free(s);
}

static void test_check_evidence__receipts_come_with_a_held_pouch_too(void **state)
{
    (void)state;
    scene *s = scene_new();
    holder_copy(s->h, s->w, AURORA, 5);
    parcel_add_receipt(s->p, s->w, BOREAL, AURORA, 4);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.verdict, ENT_POUCH_HELD);
    assert_int_equal(d->checked.receipt_count, 1);
    delivery_free(d);
    scene_free(s);
}

static void test_check_evidence__receipt_by_an_unknown_key_is_refused(void **state)
{
    (void)state;
    /* signed by a stranger; said to be a member's, or the stranger's own */
    scene *s = scene_new();
    ent_tree_head head = world_head(s->w, BOREAL, 3);
    add_receipt(s, AURORA, BOREAL, &head, STRANGER);
    refuse(s, ENT_PEER_SIGNATURE, "receipts/0000-aurora.example: not cosigned by the receipt key");
    s = scene_new();
    add_receipt(s, STRANGER, BOREAL, &head, STRANGER);
    refuse(s, ENT_PEER_MISMATCH, "receipts/0000-stranger.example: the receiver is no member");
    s = scene_new();
    add_receipt(s, COBALT, BOREAL, &head, AURORA);
    refuse(s, ENT_PEER_SIGNATURE, "receipts/0000-cobalt.example: not cosigned");
}

static void test_check_evidence__receipt_by_a_log_key_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    s->w->receipt_keys[AURORA] = s->w->log_keys[AURORA];
    parcel_add_receipt(s->p, s->w, BOREAL, AURORA, 3);
    refuse(s, ENT_PEER_SIGNATURE, "receipts/0000-aurora.example: not cosigned");
    /* a log's head is no receipt */
    s = scene_new();
    parcel_add_head(s->p, s->w, BOREAL, 3);
    parcel_add_receipt_note(s->p, AURORA, s->p->heads[0].data);
    s->p->pouch.head_count = 0;
    refuse(s, ENT_PEER_SIGNATURE, "receipts/0000-aurora.example: not cosigned");
}

static void test_check_evidence__receipt_of_the_own_log_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    parcel_add_receipt(s->p, s->w, AURORA, AURORA, 3);
    refuse(s, ENT_PEER_MISMATCH, "receipts/0000-aurora.example: a party does not receipt its own log");
}

static void test_check_evidence__receipt_of_another_channel_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    ent_tree_head head = world_head(s->w, BOREAL, 3);
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf note = {0};
    s->w->channel.bytes[0] ^= 1;
    ent_text origin = world_origin(s->w, BOREAL, memory);
    s->w->channel.bytes[0] ^= 1;
    world_sign_receipt(s->w, origin, &head, AURORA, &note);
    parcel_add_receipt_note(s->p, AURORA, ent_buf_bytes(&note));
    refuse(s, ENT_PEER_MISMATCH, "receipts/0000-aurora.example: the checkpoint is of no log of this channel");
    s = scene_new();
    ent_buf_clear(&note);
    world_sign_receipt(s->w, world_origin(s->w, STRANGER, memory), &head, AURORA, &note);
    parcel_add_receipt_note(s->p, AURORA, ent_buf_bytes(&note));
    refuse(s, ENT_PEER_MISMATCH, "the checkpoint is of stranger.example, who is no member");
    s = scene_new();
    ent_buf_clear(&note);
    world_sign_receipt(s->w, ENT_TEXT("go.sum database tree"), &head, AURORA, &note);
    parcel_add_receipt_note(s->p, AURORA, ent_buf_bytes(&note));
    refuse(s, ENT_PEER_MISMATCH, "the checkpoint is of no log of this channel");
    ent_buf_release(&note);
}

static void test_check_evidence__receipt_with_two_lines_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new();
    ent_buf note = {0};
    ent_buf second = {0};
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_text origin = world_origin(s->w, BOREAL, memory);
    ent_tree_head head = world_head(s->w, BOREAL, 3);
    world_sign_receipt(s->w, origin, &head, AURORA, &note);
    world_sign_receipt(s->w, origin, &head, COBALT, &second);
    const uint8_t *line = memmem(second.data, second.size, "\n\n", 2);
    assert_non_null(line);
    ent_buf_put(&note, ent_bytes_of(line + 2, second.size - (size_t)(line + 2 - second.data)));
    parcel_add_receipt_note(s->p, AURORA, ent_buf_bytes(&note));
    refuse(s, ENT_PEER_MALFORMED, "receipts/0000-aurora.example: 2 signature lines");
    ent_buf_release(&second);
    ent_buf_release(&note);
}

/* It shows what its giver holds, and must not stop the log of whoever carries it. */
static void test_check_evidence__receipt_for_another_root_is_set_apart(void **state)
{
    (void)state;
    const struct {
        size_t log;
        uint64_t size;
        size_t receiver;
    } cases[] = {{BOREAL, 3, AURORA}, /* our own log */
                 {AURORA, 2, COBALT}, /* what is held of the pouch's log */
                 {AURORA, 3, COBALT}, /* what is new of it */
                 {AURORA, 5, BOREAL}, /* by our own key */
                 {COBALT, 3, AURORA}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int forked = 0; forked < 2; forked++) { /* known to have forked: kept all the same */
            scene *s = scene_new();
            ent_tree_head head = world_head(s->w, cases[i].log, cases[i].size);
            s->h->forked = (uint32_t)forked << COBALT;
            holder_copy(s->h, s->w, COBALT, 4);
            parcel_add_receipt(s->p, s->w, AURORA, COBALT, 4);
            head.root.bytes[0] ^= 1;
            add_receipt(s, cases[i].receiver, cases[i].log, &head, cases[i].receiver);
            delivery *d = deliver(s->h, s->p, AURORA);
            assert_int_equal(d->code, ENT_OK);
            assert_int_equal(d->checked.new_count, 3);
            assert_int_equal(d->checked.receipt_count, 1);
            assert_int_equal(d->checked.receipts[0].receiver, COBALT);
            assert_int_equal(d->checked.receipts[0].head.size, 4);
            assert_int_equal(d->checked.apart_count, 1);
            assert_int_equal(d->checked.apart[0].member, cases[i].log);
            assert_int_equal(d->checked.apart[0].receiver, cases[i].receiver);
            assert_true(ent_hash_equal(&d->checked.apart[0].head.root, &head.root));
            delivery_free(d);
            scene_free(s);
        }
    }
}

/* The log key of Cobalt was revoked at 2 entries; whoever has it signs another history. */
typedef struct {
    scene *s;
    world *thief;
    ent_log_key log[2];
    ent_keys keys;
    ent_key receipt;
} stolen;

static void release_stolen(stolen *work)
{
    world_free(work->thief);
    scene_free(work->s);
}

static void steal(stolen *work, size_t member)
{
    *work = (stolen){.s = scene_new(), .thief = world_new()};
    world_say(work->thief, COBALT, 6, "otherwise");
    world_say(work->thief, BOREAL, 6, "otherwise");
    work->log[0] = (ent_log_key){.key = work->s->w->members[member].log};
    work->log[1] = (ent_log_key){.key = {{9}}, .from = 2, .serial = 2, .revokes = true};
    memcpy(work->receipt.value, work->s->w->members[member].receipt.bytes, sizeof work->receipt.value);
    work->keys = (ent_keys){.serial = 2, .log = work->log, .log_count = 2};
    work->keys.roles[ENT_KEY_ROLE_RECEIPT] = &work->receipt;
    work->keys.role_count[ENT_KEY_ROLE_RECEIPT] = 1;
}

/* Aurora acks it before she knows of the cutoff. */
static delivery *deliver_ack(stolen *work, size_t member, uint64_t size, bool shown)
{
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_entry entry = world_entry(work->s->w, AURORA);
    ent_ack ack = {.origin = world_origin(work->s->w, member, origin), .head = world_head(work->thief, member, size)};
    entry.acks = &ack;
    entry.ack_count = 1;
    world_log_entry(work->s->w, AURORA, &entry, (ent_bytes){NULL, 0});
    parcel *acking = parcel_new(work->s->w, AURORA, 2, work->s->w->logs[AURORA].size);
    if (shown)
        parcel_add_head(acking, work->thief, member, size);
    delivery *d = deliver(work->s->h, acking, AURORA);
    parcel_free(acking);
    return d;
}

static void test_check_evidence__ack_of_what_a_revoked_key_signed_is_taken(void **state)
{
    (void)state;
    const struct {
        size_t member;
        uint64_t size; /* beyond our copy, and within it */
    } cases[] = {{COBALT, 6}, {COBALT, 3}, {BOREAL, 3}, {BOREAL, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ENT_CLEANUP(release_stolen) stolen work;
        steal(&work, cases[i].member);
        work.s->h->keys[cases[i].member] = &work.keys;
        delivery *d = deliver_ack(&work, cases[i].member, cases[i].size, true);
        assert_int_equal(d->code, ENT_OK);
        assert_int_equal(d->checked.verdict, ENT_POUCH_NEW);
        assert_int_equal(d->checked.fork_count, 0);
        assert_int_equal(d->checked.head_count, 0);
        assert_int_equal(d->checked.passed_count, 1);
        assert_int_equal(d->checked.passed[0].member, cases[i].member);
        assert_int_equal(d->checked.passed[0].head.size, cases[i].size);
        assert_true(d->checked.passed[0].acked);
        assert_int_equal(d->checked.acked[cases[i].member], cases[i].size);
        delivery_free(d);
    }
}

static void test_check_evidence__ack_of_what_nobody_signed_is_refused_still(void **state)
{
    (void)state;
    ENT_CLEANUP(release_stolen) stolen work;
    steal(&work, COBALT);
    work.s->h->keys[COBALT] = &work.keys;
    delivery *d = deliver_ack(&work, COBALT, 6, false);
    assert_int_equal(d->code, ENT_PEER_INCONSISTENT);
    delivery_free(d);
}

/* It was passed over before, with another log's pouch. */
static void test_check_evidence__ack_of_a_head_that_was_passed_over_is_taken(void **state)
{
    (void)state;
    ENT_CLEANUP(release_stolen) stolen work;
    steal(&work, COBALT);
    work.s->h->keys[COBALT] = &work.keys;
    work.s->h->heads[0] = world_head(work.thief, COBALT, 3);
    work.s->h->head_members[0] = COBALT;
    work.s->h->head_count = 1;
    delivery *d = deliver_ack(&work, COBALT, 3, false);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.acked[COBALT], 3);
    delivery_free(d);
}

static void test_check_evidence__receipt_of_ours_for_what_a_thief_signed_is_set_apart(void **state)
{
    (void)state;
    ENT_CLEANUP(release_stolen) stolen work;
    steal(&work, BOREAL);
    work.s->h->keys[BOREAL] = &work.keys;
    ent_tree_head head = world_head(work.thief, BOREAL, 6); /* our log has fewer */
    add_receipt(work.s, AURORA, BOREAL, &head, AURORA);
    delivery *d = deliver(work.s->h, work.s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.receipt_count, 0);
    assert_int_equal(d->checked.apart_count, 1);
    delivery_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_evidence__heads_of_members_are_given),
        cmocka_unit_test(test_check_evidence__several_heads_of_one_log_are_given),
        cmocka_unit_test(test_check_evidence__heads_of_one_log_out_of_order_are_refused),
        cmocka_unit_test(test_check_evidence__head_behind_another_that_is_no_note_is_refused),
        cmocka_unit_test(test_check_evidence__too_many_heads_are_refused),
        cmocka_unit_test(test_check_evidence__head_by_another_key_is_refused),
        cmocka_unit_test(test_check_evidence__head_under_another_name_is_refused),
        cmocka_unit_test(test_check_evidence__head_of_a_stranger_is_refused),
        cmocka_unit_test(test_check_evidence__second_head_of_the_writer_is_refused),
        cmocka_unit_test(test_check_evidence__head_that_is_no_note_is_refused),
        cmocka_unit_test(test_check_evidence__signed_head_that_contradicts_our_copy_is_a_fork),
        cmocka_unit_test(test_check_evidence__our_own_key_on_another_history_is_a_fork),
        cmocka_unit_test(test_check_evidence__fork_shown_with_a_held_pouch_is_seen),
        cmocka_unit_test(test_check_evidence__other_history_of_a_forked_log_stops_no_other),
        cmocka_unit_test(test_check_evidence__proof_of_a_fork_is_given_once),
        cmocka_unit_test(test_check_evidence__proof_by_a_revoked_key_says_nothing),
        cmocka_unit_test(test_check_evidence__proof_that_shows_no_fork_is_refused),
        cmocka_unit_test(test_check_evidence__receipts_of_any_log_are_given),
        cmocka_unit_test(test_check_evidence__receipt_of_our_log_beyond_its_size_is_refused),
        cmocka_unit_test(test_check_evidence__receipt_of_what_our_store_forgot_is_passed_over),
        cmocka_unit_test(test_check_evidence__receipts_come_with_a_held_pouch_too),
        cmocka_unit_test(test_check_evidence__receipt_by_an_unknown_key_is_refused),
        cmocka_unit_test(test_check_evidence__receipt_by_a_log_key_is_refused),
        cmocka_unit_test(test_check_evidence__receipt_of_the_own_log_is_refused),
        cmocka_unit_test(test_check_evidence__receipt_of_another_channel_is_refused),
        cmocka_unit_test(test_check_evidence__receipt_with_two_lines_is_refused),
        cmocka_unit_test(test_check_evidence__receipt_for_another_root_is_set_apart),
        cmocka_unit_test(test_check_evidence__ack_of_what_a_revoked_key_signed_is_taken),
        cmocka_unit_test(test_check_evidence__ack_of_what_nobody_signed_is_refused_still),
        cmocka_unit_test(test_check_evidence__ack_of_a_head_that_was_passed_over_is_taken),
        cmocka_unit_test(test_check_evidence__receipt_of_ours_for_what_a_thief_signed_is_set_apart),
    };
    return cmocka_run_group_tests_name("check evidence", tests, NULL, NULL);
}
