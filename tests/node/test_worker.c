/* A thread that works in rounds: no wake is lost, a rest ends in its time, and a stop waits for the round. */
#include "base/clock.h"
#include "node/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

/* Rounds begin and end one by one, as the test lets them. */
typedef struct {
    ent_worker worker;
    sem_t began;
    sem_t may_end;
    int64_t rest_ms;
    bool woken;
} rounds;

static int64_t one_round(void *context, bool woken)
{
    rounds *work = context;
    work->woken = woken;
    (void)sem_post(&work->began);
    while (sem_wait(&work->may_end) != 0)
        assert_int_equal(errno, EINTR);
    return work->rest_ms;
}

static void begin(rounds *work, int64_t rest_ms)
{
    ent_err err = {0};
    *work = (rounds){.rest_ms = rest_ms};
    assert_int_equal(sem_init(&work->began, 0, 0), 0);
    assert_int_equal(sem_init(&work->may_end, 0, 0), 0);
    assert_int_equal(ent_worker_start(&work->worker, one_round, work, &err).code, ENT_OK);
}

static void end(rounds *work)
{
    (void)sem_post(&work->may_end); /* if it is in a round */
    ent_worker_stop(&work->worker);
    ent_worker_wake(&work->worker); /* in vain */
    ent_worker_release(&work->worker);
    (void)sem_destroy(&work->began);
    (void)sem_destroy(&work->may_end);
}

static void wait_for_round(rounds *work, bool woken)
{
    while (sem_wait(&work->began) != 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(work->woken, woken);
}

static void test_worker__woken_in_a_round_has_another_follow(void **state)
{
    (void)state;
    rounds work;
    begin(&work, ENT_WORKER_UNTIL_WOKEN);
    wait_for_round(&work, false);
    ent_worker_wake(&work.worker);
    ent_worker_wake(&work.worker); /* one round is enough for both */
    (void)sem_post(&work.may_end);
    wait_for_round(&work, true);
    (void)sem_post(&work.may_end);
    end(&work);
    assert_false(work.worker.started);
}

static void test_worker__woken_at_rest_begins_at_once(void **state)
{
    (void)state;
    rounds work;
    begin(&work, 3600000);
    wait_for_round(&work, false);
    (void)sem_post(&work.may_end);
    for (int i = 0; i < 100; i++) {
        ent_worker_wake(&work.worker);
        wait_for_round(&work, true);
        (void)sem_post(&work.may_end);
    }
    end(&work);
}

static void test_worker__rest_ends_in_its_time(void **state)
{
    (void)state;
    rounds work;
    int64_t from_ms = ent_clock_monotonic_ms();
    begin(&work, 30);
    for (int i = 0; i < 3; i++) {
        wait_for_round(&work, false);
        (void)sem_post(&work.may_end);
    }
    assert_true(ent_clock_monotonic_ms() - from_ms >= 60);
    end(&work);
}

static void test_worker__no_rest_begins_again(void **state)
{
    (void)state;
    rounds work;
    begin(&work, 0);
    for (int i = 0; i < 100; i++) {
        wait_for_round(&work, false);
        (void)sem_post(&work.may_end);
    }
    end(&work);
}

static void *stop(void *context)
{
    ent_worker_stop(context);
    return NULL;
}

static void test_worker__stopped_in_a_round_ends_after_it(void **state)
{
    (void)state;
    rounds work;
    pthread_t stopper;
    int began = 0;
    begin(&work, 0);
    wait_for_round(&work, false);
    assert_int_equal(pthread_create(&stopper, NULL, stop, &work.worker), 0);
    for (bool stopping = false; !stopping;) {
        (void)pthread_mutex_lock(&work.worker.lock);
        stopping = work.worker.stopping;
        (void)pthread_mutex_unlock(&work.worker.lock);
    }
    (void)sem_post(&work.may_end);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(sem_getvalue(&work.began, &began), 0);
    assert_int_equal(began, 0); /* no other round, though it was not to rest */
    end(&work);
}

static void test_worker__never_started_stops(void **state)
{
    (void)state;
    ent_worker worker = {.started = false};
    ent_worker_stop(&worker);
    ent_worker_release(&worker);
    ent_worker_release(&worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker__woken_in_a_round_has_another_follow),
        cmocka_unit_test(test_worker__woken_at_rest_begins_at_once),
        cmocka_unit_test(test_worker__rest_ends_in_its_time),
        cmocka_unit_test(test_worker__no_rest_begins_again),
        cmocka_unit_test(test_worker__stopped_in_a_round_ends_after_it),
        cmocka_unit_test(test_worker__never_started_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
