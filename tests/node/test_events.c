/* What happens on a node, for those who watch and those who wait. */
#include "fixture.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "node/events.h"

#include <stdio.h>
#include <unistd.h>

static ent_events *make(void)
{
    ent_events *events = NULL;
    ent_err err = {0};
    assert_ok(ent_events_new(&events, &err));
    return events;
}

static void tell_number(ent_events *events, uint64_t number)
{
    char line[32];
    int size = snprintf(line, sizeof line, "{\"n\":%llu}", (unsigned long long)number);
    ent_events_tell(events, (ent_text){line, (size_t)size});
}

static void assert_read(ent_events *events, uint64_t *from, const char *wanted)
{
    ent_err err = {0};
    ent_buf lines = {0};
    assert_ok(ent_events_read(events, from, 0, &lines, &err));
    assert_string_equal(ent_buf_string(&lines), wanted);
    ent_buf_release(&lines);
}

static void test_events__are_read_in_order_from_where_one_left_off(void **state)
{
    (void)state;
    ent_events *events = make();
    uint64_t from = ent_events_next(events);
    assert_int_equal(from, 0);
    assert_read(events, &from, "");
    tell_number(events, 1);
    tell_number(events, 2);
    assert_read(events, &from, "{\"n\":1}\n{\"n\":2}\n");
    assert_int_equal(from, 2);
    tell_number(events, 3);
    assert_read(events, &from, "{\"n\":3}\n");
    assert_read(events, &from, "");
    assert_int_equal(ent_events_next(events), 3);
    ent_events_free(events);
}

static void test_events__slow_reader_loses_the_oldest_and_gets_the_rest(void **state)
{
    (void)state;
    ent_events *events = make();
    ent_buf lines = {0};
    ent_err err = {0};
    uint64_t from = 0;
    for (uint64_t i = 0; i < 3 * ENT_EVENTS_KEPT + 5; i++)
        tell_number(events, i);
    assert_ok(ent_events_read(events, &from, 0, &lines, &err));
    assert_int_equal(from, 3 * ENT_EVENTS_KEPT + 5);
    size_t count = 0;
    for (size_t i = 0; i < lines.size; i++)
        count += lines.data[i] == '\n';
    assert_int_equal(count, ENT_EVENTS_KEPT);
    char first[32];
    int size = snprintf(first, sizeof first, "{\"n\":%d}\n", 2 * ENT_EVENTS_KEPT + 5);
    assert_memory_equal(lines.data, first, (size_t)size);
    ent_buf_release(&lines);
    ent_events_free(events);
}

static void *tell_later(void *context)
{
    (void)usleep(50000);
    tell_number(context, 7);
    return NULL;
}

static void *close_later(void *context)
{
    (void)usleep(50000);
    ent_events_close(context);
    return NULL;
}

static void test_events__waiting_ends_with_an_event_a_timeout_or_the_close(void **state)
{
    (void)state;
    ent_events *events = make();
    pthread_t thread;
    uint64_t from = 0;
    int64_t start_ms = ent_clock_monotonic_ms();
    assert_false(ent_events_wait(events, 0, 60));
    assert_true(ent_clock_monotonic_ms() - start_ms >= 59);
    assert_int_equal(pthread_create(&thread, NULL, tell_later, events), 0);
    assert_true(ent_events_wait(events, 0, 30000));
    (void)pthread_join(thread, NULL);
    assert_read(events, &from, "{\"n\":7}\n");
    assert_false(ent_events_closed(events));
    assert_int_equal(pthread_create(&thread, NULL, close_later, events), 0);
    start_ms = ent_clock_monotonic_ms();
    assert_false(ent_events_wait(events, 1, 30000));
    assert_true(ent_clock_monotonic_ms() - start_ms < 20000);
    (void)pthread_join(thread, NULL);
    assert_true(ent_events_closed(events));
    assert_read(events, &from, ""); /* closed: at once */
    ent_events_free(events);
}

static void test_events__without_memory_drops_the_event_and_goes_on(void **state)
{
    (void)state;
    ent_events *events = NULL;
    ent_err err = {0};
    uint64_t from = 0;
    ent_alloc_fail_at(1);
    assert_fails(ent_events_new(&events, &err), ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_null(events);
    events = make();
    tell_number(events, 1);
    ent_alloc_fail_at(1);
    tell_number(events, 2);
    ent_alloc_fail_at(0);
    tell_number(events, 3);
    assert_read(events, &from, "{\"n\":1}\n{\"n\":3}\n");
    ent_events_free(events);
    ent_events_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events__are_read_in_order_from_where_one_left_off),
        cmocka_unit_test(test_events__slow_reader_loses_the_oldest_and_gets_the_rest),
        cmocka_unit_test(test_events__waiting_ends_with_an_event_a_timeout_or_the_close),
        cmocka_unit_test(test_events__without_memory_drops_the_event_and_goes_on),
    };
    return cmocka_run_group_tests_name("node-events", tests, NULL, NULL);
}
