/* What the tests of the ledger say most. */
#ifndef ENT_TESTS_LEDGER_EXPECT_H
#define ENT_TESTS_LEDGER_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

#define HOUR 3600
#define DAY 86400

/* Words tell more than numbers when a test fails. */
#define assert_state(w, ref, member, name)                                                                             \
    assert_string_equal(ent_state_word(world_state_of((w), (ref), (member))), ent_state_word(ENT_STATE_##name))
#define assert_reason(w, ref, name)                                                                                    \
    assert_string_equal(ent_reason_word(world_reason_of((w), (ref))), ent_reason_word(name))
#define assert_may(reason, name) assert_string_equal(ent_reason_word(reason), ent_reason_word(name))
#define assert_duty(w, ref, kind, debtor, name)                                                                        \
    assert_string_equal(ent_duty_state_word(world_duty((w), (ref), ENT_DUTY_##kind, (debtor)).state),                  \
                        ent_duty_state_word(ENT_DUTY_##name))

/** A world of so many members under these terms, as a test's state. */
static inline int begin_world(void **state, uint32_t members, const char *terms)
{
    world *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -1;
    world_begin(w, members, terms);
    *state = w;
    return 0;
}

static inline int begin_two(void **state)
{
    return begin_world(state, 2, NULL);
}

static inline int begin_three(void **state)
{
    return begin_world(state, 3, NULL);
}

static inline int end_world(void **state)
{
    world *w = *state;
    world_end(w);
    free(w);
    return 0;
}

#define TEST_OF_TWO(test) cmocka_unit_test_setup_teardown(test, begin_two, end_world)
#define TEST_OF_THREE(test) cmocka_unit_test_setup_teardown(test, begin_three, end_world)

/** Everybody hears everything, and a minute passes. */
static inline void meet(world *w)
{
    world_meet(w);
    world_pass(w, 60);
}

#endif
