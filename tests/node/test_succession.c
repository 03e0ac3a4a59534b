/* What an invitation to a successor channel carries over is compared with what is open here. */
#include "fixture.h"

#include "ledger/facts.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/invite.h"
#include "node/say.h"
#include "node/succession.h"

#include <stdio.h>

typedef struct {
    fixture_pair pair;
    ent_channel *invitation; /* of a channel that succeeds theirs, as Boreal sees it */
    ent_succession planned;
} scene;

static void plan(scene *s, ent_genesis *ret)
{
    ent_err err = {0};
    ent_channel *before = fixture_channel(&s->pair, AURORA);
    assert_ok(ent_succession_plan(s->pair.nodes[AURORA], before, before->genesis.members, before->genesis.member_count,
                                  &s->planned, &err));
    *ret = before->genesis;
    ret->has_predecessor = true;
    ret->predecessor = before->id;
    ret->predecessor_heads = s->planned.heads;
    ret->predecessor_head_count = s->planned.head_count;
}

static ent_channel *invite(const scene *s, const ent_genesis *genesis)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_channel *channel = NULL;
    ent_err err = {0};
    assert_ok(ent_genesis_encode(genesis, &bytes, &err));
    assert_ok(ent_channel_new(s->pair.nodes[BOREAL], ent_buf_bytes(&bytes), &channel, &err));
    return channel;
}

static void ask(const scene *s, unsigned who)
{
    const char *body = ent_kind_example(ent_kind_find(ENT_TEXT("request.information")));
    ent_err err = {0};
    uint64_t index = 0;
    ent_saying saying = {.channel = fixture_channel(&s->pair, who), .kind = "request.information"};
    ent_rc rc = ent_say_body(s->pair.nodes[who], &saying, ent_text_bytes(ent_text_of(body)), &index, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    ent_courier_wake(s->pair.nodes[who]->courier);
}

static int begin(void **state)
{
    scene *s = ent_alloc(sizeof *s);
    ent_genesis genesis;
    if (s == NULL)
        return -1;
    fixture_pair_make(&s->pair);
    fixture_pair_open(&s->pair);
    for (unsigned i = 0; i < 3; i++)
        ask(s, i % 2);
    fixture_pair_settle(&s->pair, 20);
    plan(s, &genesis);
    s->invitation = invite(s, &genesis);
    *state = s;
    return 0;
}

static int end(void **state)
{
    scene *s = *state;
    ent_channel_free(s->invitation);
    ent_succession_release(&s->planned);
    fixture_pair_release(&s->pair);
    ent_free(s);
    return 0;
}

static ent_rc check(const scene *s, ent_carried *rows, size_t count, bool unchecked, ent_err *err)
{
    ent_facts facts = {.readable = true, .carried = rows, .carried_count = count};
    return ent_succession_check(s->pair.nodes[BOREAL], s->invitation, &facts, unchecked, err);
}

static void test_check__takes_what_is_open_at_the_heads(void **state)
{
    const scene *s = *state;
    ent_err err = {0};
    assert_int_equal(s->planned.head_count, 2);
    assert_int_equal(s->planned.left_out, 0);
    assert_true(s->planned.row_count > 0);
    assert_ok(check(s, s->planned.rows, s->planned.row_count, false, &err));
}

static void test_check__names_the_duty_that_differs(void **state)
{
    const scene *s = *state;
    ent_carried rows[ENT_FACTS_MAX_CARRIED];
    ent_err err = {0};
    size_t count = s->planned.row_count;
    memcpy(rows, s->planned.rows, count * sizeof *rows);
    rows[0].due_unix_s += 1;
    assert_fails(check(s, rows, count, false, &err), ENT_PEER_MISMATCH);
    assert_non_null(strstr(err.text, "not by this clock"));
    memcpy(rows, s->planned.rows, count * sizeof *rows);
    rows[count - 1].message.index += 1;
    assert_fails(check(s, rows, count, false, &err), ENT_PEER_MISMATCH);
    assert_fails(check(s, s->planned.rows, count - 1, false, &err), ENT_PEER_MISMATCH);
    assert_non_null(strstr(err.text, "does not carry over"));
    memcpy(rows, s->planned.rows, count * sizeof *rows);
    rows[count] = rows[0];
    assert_fails(check(s, rows, count + 1, false, &err), ENT_PEER_MISMATCH);
    assert_fails(check(s, rows, count + 1, true, &err), ENT_PEER_MISMATCH); /* it can be checked, so it is */
}

static void test_check__refuses_a_head_that_is_not_ours(void **state)
{
    scene *s = *state;
    ent_err err = {0};
    s->invitation->genesis.predecessor_heads[0].head.root.bytes[3] ^= 1;
    assert_fails(check(s, s->planned.rows, s->planned.row_count, true, &err), ENT_PEER_MISMATCH);
    s->invitation->genesis.predecessor_heads[0].head.root.bytes[3] ^= 1;
}

static void test_check__cannot_judge_what_is_not_here(void **state)
{
    scene *s = *state;
    ent_err err = {0};
    ent_carried *rows = s->planned.rows;
    size_t count = s->planned.row_count;
    s->invitation->genesis.predecessor_heads[0].head.size += 100;
    assert_fails(check(s, rows, count, false, &err), ENT_REFUSED);
    assert_ok(check(s, rows, count, true, &err));
    s->invitation->genesis.predecessor_heads[0].head.size -= 100;
    s->invitation->genesis.predecessor.bytes[0] ^= 1;
    assert_fails(check(s, rows, count, false, &err), ENT_REFUSED);
    assert_non_null(strstr(err.text, "--unchecked"));
    assert_ok(check(s, rows, count, true, &err));
    s->invitation->genesis.predecessor.bytes[0] ^= 1;
}

static void test_check__of_no_successor_has_nothing_to_carry(void **state)
{
    scene *s = *state;
    ent_err err = {0};
    s->invitation->genesis.has_predecessor = false;
    assert_ok(check(s, NULL, 0, false, &err));
    assert_fails(check(s, s->planned.rows, 1, true, &err), ENT_PEER_MISMATCH);
    s->invitation->genesis.has_predecessor = true;
}

/* A new member has not been told what was said before: nothing is said again to it by itself. */
static void test_plan__leaves_out_what_a_new_member_would_learn(void **state)
{
    const scene *s = *state;
    ent_err err = {0};
    ent_channel *before = fixture_channel(&s->pair, AURORA);
    ENT_CLEANUP(ent_succession_release) ent_succession planned = {0};
    ent_member members[3] = {before->genesis.members[0], before->genesis.members[1], before->genesis.members[1]};
    members[2].name = ENT_TEXT("cirrus.example");
    assert_ok(ent_succession_plan(s->pair.nodes[AURORA], before, members, 3, &planned, &err));
    assert_int_equal(planned.row_count, 0);
    assert_int_equal(planned.left_out, s->planned.row_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__takes_what_is_open_at_the_heads),
        cmocka_unit_test(test_check__names_the_duty_that_differs),
        cmocka_unit_test(test_check__refuses_a_head_that_is_not_ours),
        cmocka_unit_test(test_check__cannot_judge_what_is_not_here),
        cmocka_unit_test(test_check__of_no_successor_has_nothing_to_carry),
        cmocka_unit_test(test_plan__leaves_out_what_a_new_member_would_learn),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
