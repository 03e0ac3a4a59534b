#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Step 7: bodies, with the digest and size that their entries give, each once and none besides. Entries 0, 1, 3, 4 of a
 * log have one. */

typedef struct {
    world *w;
    holder *h;
    parcel *p;
} scene;

static scene *scene_new(size_t held)
{
    scene *s = ent_alloc(sizeof *s);
    assert_non_null(s);
    s->w = world_new();
    s->h = holder_new(s->w, BOREAL);
    world_say(s->w, AURORA, 6, "body");
    holder_copy(s->h, s->w, AURORA, held);
    s->p = parcel_new(s->w, AURORA, 1, 6);
    assert_int_equal(s->p->pouch.body_count, 3); /* 1, 3, 4 */
    return s;
}

static void scene_free(scene *s)
{
    parcel_free(s->p);
    holder_free(s->h);
    world_free(s->w);
    ent_free(s);
}

static void refuse_parts(const scene *s, const ent_pouch *pouch, ent_code code, const char *reason)
{
    ent_pouch_checked checked = {.first_new = 77};
    ent_err err = {0};
    int got = check_parts(s->h, pouch, AURORA, &checked, &err);
    if (got != (int)code || strcmp(err.rule, "design 3, step 7") != 0 || strstr(err.text, reason) == NULL)
        fail_msg("%s, %s: \"%s\" is not %s: \"%s\"", ent_code_word(got), err.rule, err.text, ent_code_word(code),
                 reason);
    assert_int_equal(checked.first_new, 77);
}

static void refuse(scene *s, const char *reason)
{
    delivery *d = deliver(s->h, s->p, AURORA);
    if (d->code != ENT_PEER_MISMATCH || strcmp(d->err.rule, "design 3, step 7") != 0 ||
        strstr(d->err.text, reason) == NULL)
        fail_msg("%s, %s: \"%s\" is not mismatch: \"%s\"", ent_code_word(d->code), d->err.rule, d->err.text, reason);
    delivery_free(d);
    scene_free(s);
}

static void drop_body(parcel *p, size_t at)
{
    p->pouch.body_count--;
    memmove(&p->bodies[at], &p->bodies[at + 1], (p->pouch.body_count - at) * sizeof p->bodies[0]);
}

static void test_check_bodies__each_is_given_beside_its_entry(void **state)
{
    (void)state;
    scene *s = scene_new(2);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.new_count, 4);
    assert_int_equal(d->checked.bodies[0].size, 0);
    assert_true(ent_bytes_equal(d->checked.bodies[1], ent_buf_bytes(&s->w->logs[AURORA].bodies[3])));
    assert_true(ent_bytes_equal(d->checked.bodies[2], ent_buf_bytes(&s->w->logs[AURORA].bodies[4])));
    assert_int_equal(d->checked.bodies[3].size, 0);
    assert_true(d->checked.bodies[1].data > d->bytes.data && d->checked.bodies[1].data < d->bytes.data + d->bytes.size);
    delivery_free(d);
    scene_free(s);
}

static void test_check_bodies__missing_one_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new(1);
    drop_body(s->p, 1);
    refuse(s, "bodies/3.age is missing");
    s = scene_new(1);
    s->p->pouch.body_count = 0;
    refuse(s, "bodies/1.age is missing");
}

static void test_check_bodies__of_a_held_entry_may_be_left_out(void **state)
{
    (void)state;
    scene *s = scene_new(3);
    drop_body(s->p, 0);
    delivery *d = deliver(s->h, s->p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.new_count, 3);
    delivery_free(d);
    scene_free(s);
}

static void test_check_bodies__other_bytes_are_refused(void **state)
{
    (void)state;
    scene *s = scene_new(1);
    uint8_t other[64];
    memcpy(other, s->p->bodies[1].sealed.data, s->p->bodies[1].sealed.size);
    other[3] ^= 1;
    s->p->bodies[1].sealed.data = other;
    refuse(s, "bodies/3.age: not the bytes whose digest");
    s = scene_new(1);
    s->p->bodies[1].sealed.size--;
    refuse(s, "bodies/3.age: 20 bytes, its entry says 21");
    s = scene_new(1);
    s->p->bodies[1].sealed = s->p->bodies[2].sealed;
    refuse(s, "bodies/3.age: not the bytes");
}

static void test_check_bodies__other_bytes_for_a_held_entry_are_refused(void **state)
{
    (void)state;
    /* of the overlap, and when nothing is new */
    const size_t held[] = {5, 6};
    for (size_t i = 0; i < 2; i++) {
        scene *s = scene_new(held[i]);
        uint8_t other[64];
        memcpy(other, s->p->bodies[1].sealed.data, s->p->bodies[1].sealed.size);
        other[0] ^= 1;
        s->p->bodies[1].sealed.data = other;
        refuse(s, "bodies/3.age: not the bytes whose digest");
    }
}

static void test_check_bodies__for_an_entry_without_one_is_refused(void **state)
{
    (void)state;
    const size_t held[] = {1, 6};
    for (size_t i = 0; i < 2; i++) {
        scene *s = scene_new(held[i]);
        s->p->bodies[s->p->pouch.body_count++] = (ent_pouch_body){5, ent_text_bytes(ENT_TEXT("extra"))};
        refuse(s, "bodies/5.age: its entry has no body");
    }
}

static void test_check_bodies__for_no_entry_is_refused(void **state)
{
    (void)state;
    scene *s = scene_new(1);
    s->p->bodies[s->p->pouch.body_count++] = (ent_pouch_body){6, ent_text_bytes(ENT_TEXT("extra"))};
    refuse(s, "bodies/6.age: its entry is not in the pouch");
    s = scene_new(1);
    memmove(&s->p->bodies[1], &s->p->bodies[0], s->p->pouch.body_count++ * sizeof s->p->bodies[0]);
    s->p->bodies[0] = (ent_pouch_body){0, ent_buf_bytes(&s->w->logs[AURORA].bodies[0])};
    refuse(s, "bodies/0.age: its entry is not in the pouch");
}

static void test_check_bodies__second_one_is_refused(void **state)
{
    (void)state;
    /* A parsed pouch cannot have it; parts from elsewhere can. */
    scene *s = scene_new(1);
    s->p->bodies[2] = s->p->bodies[1];
    refuse_parts(s, &s->p->pouch, ENT_PEER_MALFORMED, "bodies/3.age comes twice");
    scene_free(s);
}

static void test_check_bodies__of_8_mib_passes_and_no_more(void **state)
{
    (void)state;
    world *w = world_new();
    holder *h = holder_new(w, BOREAL);
    ent_buf body = {0};
    assert_non_null(ent_buf_reserve(&body, ENT_BODY_MAX_BYTES + 1));
    memset(body.data, 'x', ENT_BODY_MAX_BYTES + 1);
    ent_entry entry = world_entry(w, AURORA);
    world_log_entry(w, AURORA, &entry, ent_bytes_of(body.data, ENT_BODY_MAX_BYTES));
    parcel *p = parcel_new(w, AURORA, 0, 1);
    delivery *d = deliver(h, p, AURORA);
    assert_int_equal(d->code, ENT_OK);
    assert_int_equal(d->checked.bodies[0].size, ENT_BODY_MAX_BYTES);
    delivery_free(d);
    parcel_free(p);

    entry = world_entry(w, AURORA);
    entry.has_body = true;
    entry.body = (ent_blob_ref){.size = ENT_BODY_MAX_BYTES, .type = ENT_TEXT("application/octet-stream")};
    ent_sha256(ent_bytes_of(body.data, ENT_BODY_MAX_BYTES + 1), &entry.body.digest);
    world_log_edited(w, AURORA, &entry, "\"size\":8388608", "\"size\":8388609");
    holder_copy(h, w, AURORA, 1);
    p = parcel_new(w, AURORA, 1, 2);
    p->bodies[p->pouch.body_count++] = (ent_pouch_body){1, ent_bytes_of(body.data, ENT_BODY_MAX_BYTES + 1)};
    d = deliver(h, p, AURORA);
    assert_int_equal(ent_code_class(d->code), ENT_CLASS_PEER);
    assert_non_null(strstr(d->err.text, "entry 1: "));
    assert_non_null(strstr(d->err.text, "body"));
    delivery_free(d);
    parcel_free(p);
    ent_buf_release(&body);
    holder_free(h);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_bodies__each_is_given_beside_its_entry),
        cmocka_unit_test(test_check_bodies__missing_one_is_refused),
        cmocka_unit_test(test_check_bodies__of_a_held_entry_may_be_left_out),
        cmocka_unit_test(test_check_bodies__other_bytes_are_refused),
        cmocka_unit_test(test_check_bodies__other_bytes_for_a_held_entry_are_refused),
        cmocka_unit_test(test_check_bodies__for_an_entry_without_one_is_refused),
        cmocka_unit_test(test_check_bodies__for_no_entry_is_refused),
        cmocka_unit_test(test_check_bodies__second_one_is_refused),
        cmocka_unit_test(test_check_bodies__of_8_mib_passes_and_no_more),
    };
    return cmocka_run_group_tests_name("check bodies", tests, NULL, NULL);
}
