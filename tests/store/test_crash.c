/* The end of the process at any moment, by SIGKILL or by the power: every commit that was reported is there, whole. */
#include "fixture.h"
#include "power_cut.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In the child: appends and commits for ever, and tells the size after each commit. */
static void write_for_ever(const char *folder, int64_t channel, int report)
{
    ent_store *store = NULL;
    ent_store_log log;
    if (ent_store_sqlite_open(folder, &store, NULL).code != ENT_OK ||
        store->engine->log_get(store, channel, 0, &log, NULL).code != ENT_OK)
        _exit(1);
    for (size_t round = log.tree.size % 7;; round++) {
        size_t count = round % 3 == 0 ? 1 : round % 7 == 0 ? 300 : round % 40;
        if (fixture_commit_append(store, &log, count, true, NULL).code != ENT_OK)
            _exit(2);
        if (write(report, &log.tree.size, sizeof log.tree.size) != sizeof log.tree.size)
            _exit(3);
    }
}

/* The last size that was reported, read to the end. */
static uint64_t read_reports(int fd, uint64_t before)
{
    uint64_t size = before;
    uint64_t next = 0;
    while (read(fd, &next, sizeof next) == sizeof next)
        size = next;
    return size;
}

static void check(const char *folder, int64_t channel, uint64_t reported)
{
    ent_store *store = NULL;
    ent_err err = {0};
    ent_rc rc = ent_store_sqlite_open(folder, &store, &err);
    if (rc.code != ENT_OK)
        fail_msg("cannot open after the crash: %s", err.text);
    uint64_t size = 0;
    const char *fault = fixture_log_fault(store, channel, 0, true, &size);
    if (fault != NULL)
        fail_msg("after the crash: %s", fault);
    if (size < reported)
        fail_msg("%d entries were reported, %d are there", (int)reported, (int)size);
    ent_store_close(store);
}

static int64_t make_store(const char *folder)
{
    ent_store *store = NULL;
    ent_store_channel channel;
    ent_store_log logs[2];
    assert_ok(ent_store_sqlite_open(folder, &store, NULL));
    fixture_channel(store, "a", &channel, logs);
    ent_store_close(store);
    return channel.number;
}

static uint64_t random_of(uint64_t *state, uint64_t limit)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (*state >> 33) % limit;
}

/* One store for some rounds, for after each of them all that it holds is read. */
enum { ROUNDS_A_STORE = 15 };

/* Rounds of a test, in one store after another. Each starts a child that writes; gives what was reported by then. */
typedef uint64_t (*crash_round)(const char *folder, int64_t channel, int round, uint64_t *chance, uint64_t reported);

static void crash_again_and_again(int rounds, uint64_t chance, crash_round one)
{
    uint64_t all = 0;
    for (int round = 0; round < rounds;) {
        char *folder = fixture_make_folder();
        int64_t channel = make_store(folder);
        uint64_t reported = 0;
        for (int end = round + ROUNDS_A_STORE; round < rounds && round < end; round++) {
            reported = one(folder, channel, round, &chance, reported);
            check(folder, channel, reported);
        }
        all += reported;
        fixture_remove_folder(folder);
    }
    assert_true(all > 0);
}

static uint64_t kill_it(const char *folder, int64_t channel, int round, uint64_t *chance, uint64_t reported)
{
    int ends[2];
    int result = 0;
    (void)round;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        write_for_ever(folder, channel, ends[1]);
    (void)close(ends[1]);
    struct timespec pause = {.tv_nsec = (long)(1000000 + random_of(chance, 60000000))};
    (void)nanosleep(&pause, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    reported = read_reports(ends[0], reported);
    (void)close(ends[0]);
    return reported;
}

static uint64_t cut_its_power(const char *folder, int64_t channel, int round, uint64_t *chance, uint64_t reported)
{
    int ends[2];
    int result = 0;
    assert_int_equal(pipe(ends), 0);
    unsigned long nth = 1 + random_of(chance, round % 3 == 0 ? 3000 : 120);
    pid_t child = fork();
    if (child == 0) {
        power_cut_install(nth);
        write_for_ever(folder, channel, ends[1]);
    }
    (void)close(ends[1]);
    reported = read_reports(ends[0], reported);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    return reported;
}

static void test_crash__killed_at_any_time_loses_nothing(void **state)
{
    (void)state;
    crash_again_and_again(25, 1, kill_it);
}

static void test_crash__power_cut_at_any_write_loses_nothing(void **state)
{
    (void)state;
    crash_again_and_again(60, 2, cut_its_power);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__killed_at_any_time_loses_nothing),
        cmocka_unit_test(test_crash__power_cut_at_any_write_loses_nothing),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
