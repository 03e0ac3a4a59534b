/* Two nodes that are killed again and again while both speak: at random moments, at the nth write of the store, before,
 * in and after the nth sync of the keeper's marks. After each round, with neither running, what lies on the two disks
 * must agree: no head of ours that our store does not hold, nothing receipted that is not there, no fork. In the end
 * everything that anybody was told is said has arrived.
 *
 * ENTENTE_CRASH_ROUNDS and ENTENTE_CRASH_SEED change how long and which. */
#include "fixture.h"

#include "base/clock.h"
#include "log/tree.h"
#include "node/channel.h"
#include "store/sqlite/fault.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 40, THREADS = 2, MESSAGES = 12, MOST_TOLD = 1 << 16 };
enum { EXIT_CANNOT_START = 2, EXIT_STORE_FAILED = 4, EXIT_AT_SYNC = 9 };

/* --- the keeper's file, through the linker's --wrap --- */

ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static atomic_long tear_at_write; /* counts down; 0 = off */
static atomic_long exit_before_sync;
static atomic_long exit_after_sync;

static bool counted_down(atomic_long *counter)
{
    return atomic_load(counter) > 0 && atomic_fetch_sub(counter, 1) == 1;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t at)
{
    if (counted_down(&tear_at_write)) {
        (void)!__real_pwrite(fd, data, size / 2, at);
        _exit(EXIT_AT_SYNC);
    }
    return __real_pwrite(fd, data, size, at);
}

int __wrap_fdatasync(int fd)
{
    if (counted_down(&exit_before_sync))
        _exit(EXIT_AT_SYNC);
    int rc = __real_fdatasync(fd);
    if (counted_down(&exit_after_sync))
        _exit(EXIT_AT_SYNC);
    return rc;
}

/* --- a node that will die --- */

typedef enum { FAULT_NONE, FAULT_STORE, FAULT_TORN, FAULT_BEFORE_SYNC, FAULT_AFTER_SYNC, FAULT_COUNT } fault_kind;

typedef struct {
    fault_kind kind;
    long nth;
} fault;

/* What somebody was told is said; written to a pipe, whole. */
typedef struct {
    uint32_t who;
    uint32_t thread;
    uint64_t number;
    uint64_t index;
} told;

typedef struct {
    const fixture_pair *pair;
    ent_node *node;
    uint32_t who;
    uint32_t thread; /* unlike in any other round */
    int tell;
} speaker;

static void *speak(void *context)
{
    const speaker *self = context;
    ent_err err = {0};
    ent_channel *channel = ent_channel_find(self->node, &self->pair->channel);
    for (uint64_t i = 0; channel != NULL && i < MESSAGES; i++) {
        told row = {.who = self->who, .thread = self->thread, .number = i};
        if (fixture_say(self->node, channel, fixture_mark_of(row.who, row.thread, i), &row.index, &err).code != ENT_OK)
            return NULL;
        if (write(self->tell, &row, sizeof row) != (ssize_t)sizeof row)
            return NULL;
        (void)usleep(2000);
    }
    return NULL;
}

static void live_and_die(const fixture_pair *pair, uint32_t who, uint32_t round, fault armed, int tell)
{
    ent_node *node = NULL;
    ent_err err = {0};
    speaker speakers[THREADS];
    pthread_t threads[THREADS];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    atomic_store(&tear_at_write, armed.kind == FAULT_TORN ? armed.nth : 0);
    atomic_store(&exit_before_sync, armed.kind == FAULT_BEFORE_SYNC ? armed.nth : 0);
    atomic_store(&exit_after_sync, armed.kind == FAULT_AFTER_SYNC ? armed.nth : 0);
    if (fixture_node_start(pair->folders[who], &node, &err).code != ENT_OK) {
        (void)fprintf(stderr, "cannot start: %s\n", err.text);
        _exit(EXIT_CANNOT_START);
    }
    if (armed.kind == FAULT_STORE)
        ent_store_sqlite_fail_from(node->store, (unsigned long)armed.nth);
    for (uint32_t i = 0; i < THREADS; i++) {
        speakers[i] = (speaker){.pair = pair, .node = node, .who = who, .thread = round * THREADS + i, .tell = tell};
        (void)pthread_create(&threads[i], NULL, speak, &speakers[i]);
    }
    for (;;)
        (void)pause();
}

static pid_t launch(const fixture_pair *pair, uint32_t who, uint32_t round, fault armed, const int pipe_ends[2])
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(pipe_ends[0]);
        live_and_die(pair, who, round, armed, pipe_ends[1]);
    }
    return child;
}

/* Kill it, unless it has died. */
static void finish(pid_t child)
{
    int status = 0;
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return;
    }
    assert_true(WEXITSTATUS(status) == EXIT_STORE_FAILED || WEXITSTATUS(status) == EXIT_AT_SYNC);
}

/* --- what lies on the two disks --- */

typedef struct {
    ent_store *store;
    ent_keeper *keeper;
    ent_store_channel channel;
    ent_store_log logs[2];
    uint32_t self;
} disk;

static void must(ent_rc rc, const ent_err *err)
{
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", ent_code_word(rc.code), err->text);
}

static void disk_open(const fixture_pair *pair, uint32_t who, disk *ret)
{
    ent_err err = {0};
    char *store = fixture_path(pair->folders[who], "store");
    char *keys = fixture_path(pair->folders[who], "keys");
    char *marks = fixture_path(pair->folders[who], "marks");
    must(ent_store_sqlite_open(store, &ret->store, &err), &err);
    must(ent_keeper_open(keys, marks, (ent_bytes){NULL, 0}, &ret->keeper, &err), &err);
    must(ret->store->engine->channel_get(ret->store, &pair->channel, &ret->channel, NULL, &err), &err);
    for (uint32_t i = 0; i < 2; i++) {
        must(ret->store->engine->log_get(ret->store, ret->channel.number, i, &ret->logs[i], &err), &err);
        assert_false(ret->logs[i].frozen);
        if (ret->logs[i].own)
            ret->self = i;
    }
    ent_free(store);
    ent_free(keys);
    ent_free(marks);
}

static void disk_close(disk *d)
{
    ent_store_close(d->store);
    ent_keeper_free(d->keeper);
}

/* The disk holds that log at least up to the head, and it is that head. */
static void assert_holds(const disk *d, uint32_t member, const ent_tree_head *head)
{
    ent_err err = {0};
    ent_hash root;
    ent_store_tiles tiles = {d->store, d->logs[member].number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    assert_true(head->size <= d->logs[member].tree.size);
    must(ent_tree_root_at(head->size, &reader, &root, &err), &err);
    assert_true(ent_hash_equal(&root, &head->root));
}

typedef struct {
    const disk *disks;
    const disk *of;
} receipt_check;

/* A receipt, wherever it lies: its giver holds what it says, and so does the writer of the log. */
static ent_rc check_receipt(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    const receipt_check *check = context;
    (void)err;
    for (uint32_t m = 0; m < 2; m++) {
        if (check->of->logs[m].number != receipt->log)
            continue;
        for (unsigned who = 0; who < 2; who++)
            assert_holds(&check->disks[who], m, &receipt->head);
    }
    return ENT_DONE;
}

static void check_disks(const fixture_pair *pair)
{
    disk disks[2] = {{0}};
    ent_err err = {0};
    for (uint32_t who = 0; who < 2; who++)
        disk_open(pair, who, &disks[who]);
    for (uint32_t who = 0; who < 2; who++) {
        const disk *mine = &disks[who];
        const disk *theirs = &disks[1 - who];
        ent_tree_head head = {.size = theirs->logs[mine->self].tree.size};
        char origin[ENT_ORIGIN_TEXT_MAX + 1];
        ent_text name = mine->self == 0 ? ENT_TEXT("aurora.example") : ENT_TEXT("boreal.example");
        /* What has crossed is on our disk: entries are durable before their head leaves. */
        ent_tree_root(&theirs->logs[mine->self].tree, &head.root);
        assert_holds(mine, mine->self, &head);
        /* So is what the keeper signed. */
        ent_text text = ent_origin_write(name, &pair->channel, origin);
        if (ent_keeper_mark(mine->keeper, ENT_KEEPER_HEAD, text, &head, NULL).code == ENT_OK)
            assert_holds(mine, mine->self, &head);
        receipt_check check = {disks, mine};
        must(mine->store->engine->receipt_walk(mine->store, mine->channel.number, 0, SIZE_MAX >> 1, check_receipt,
                                               &check, &err),
             &err);
    }
    disk_close(&disks[0]);
    disk_close(&disks[1]);
}

/* --- the test --- */

/* In a process of its own, so that this one forks without threads. */
static void open_channel(fixture_pair *pair)
{
    int ends[2];
    int status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_pair_start(pair, AURORA);
        fixture_pair_start(pair, BOREAL);
        fixture_introduce(pair->nodes[AURORA], pair->nodes[BOREAL]);
        fixture_pair_open(pair);
        fixture_pair_settle(pair, 60);
        fixture_pair_stop(pair, AURORA);
        fixture_pair_stop(pair, BOREAL);
        _exit(write(ends[1], &pair->channel, sizeof pair->channel) == (ssize_t)sizeof pair->channel ? 0 : 1);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &pair->channel, sizeof pair->channel), sizeof pair->channel);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static long number_from(const char *variable, long otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

static fault choose(unsigned *seed)
{
    fault chosen = {.kind = (fault_kind)(rand_r(seed) % FAULT_COUNT)};
    chosen.nth = 1 + rand_r(seed) % (chosen.kind == FAULT_STORE ? 100 : 24);
    return chosen;
}

/* How long both nodes of a round live at most. */
static int64_t lifetime_ms = 250;

/* Longer on a slow machine, or under a sanitizer: until one of them has told something, and half as long again. */
static void learn_lifetime(int telling)
{
    struct pollfd waiting = {.fd = telling, .events = POLLIN};
    int64_t from_ms = ent_clock_monotonic_ms();
    if (poll(&waiting, 1, 5000) != 1)
        return;
    int64_t took_ms = (ent_clock_monotonic_ms() - from_ms) * 3 / 2;
    lifetime_ms = took_ms > lifetime_ms ? took_ms : lifetime_ms;
}

static size_t run_round(const fixture_pair *pair, uint32_t round, unsigned *seed, told *rows, size_t count)
{
    int ends[2];
    pid_t children[2];
    assert_int_equal(pipe(ends), 0);
    for (uint32_t who = 0; who < 2; who++)
        children[who] = launch(pair, who, round, choose(seed), ends);
    (void)close(ends[1]);
    if (count == 0)
        learn_lifetime(ends[0]);
    (void)usleep((useconds_t)(50000 + rand_r(seed) % (lifetime_ms * 1000)));
    finish(children[0]);
    if (rand_r(seed) % 2 == 0)
        (void)usleep(50000); /* one lives on alone for a while */
    finish(children[1]);
    while (count < MOST_TOLD && read(ends[0], &rows[count], sizeof *rows) == (ssize_t)sizeof *rows)
        count++;
    (void)close(ends[0]);
    return count;
}

static void test_crash__killed_at_any_step_no_head_forks_and_nothing_told_or_receipted_is_lost(void **state)
{
    (void)state;
    fixture_pair pair;
    told *rows = calloc(MOST_TOLD, sizeof *rows);
    size_t count = 0;
    unsigned seed = (unsigned)number_from("ENTENTE_CRASH_SEED", (long)ent_clock_unix_s());
    uint32_t rounds = (uint32_t)number_from("ENTENTE_CRASH_ROUNDS", ROUNDS);
    assert_non_null(rows);
    print_message("seed %u\n", seed);
    fixture_pair_prepare(&pair, false);
    open_channel(&pair);
    for (uint32_t round = 0; round < rounds; round++) {
        count = run_round(&pair, round, &seed, rows, count);
        check_disks(&pair);
    }
    fixture_pair_start(&pair, AURORA);
    fixture_pair_start(&pair, BOREAL);
    fixture_pair_settle(&pair, 60);
    fixture_pair_assert_same(&pair);
    for (size_t i = 0; i < count; i++) {
        fixture_mark wanted = fixture_mark_of(rows[i].who, rows[i].thread, rows[i].number);
        uint32_t member = fixture_channel(&pair, rows[i].who)->self;
        for (unsigned side = 0; side < 2; side++) {
            fixture_mark found;
            assert_true(
                fixture_mark_read(pair.nodes[side], fixture_channel(&pair, side), member, rows[i].index, &found));
            assert_memory_equal(found.bytes, wanted.bytes, sizeof wanted.bytes);
        }
    }
    print_message("%u rounds, %zu messages told\n", rounds, count);
    assert_true(count > 0);
    fixture_pair_release(&pair);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__killed_at_any_step_no_head_forks_and_nothing_told_or_receipted_is_lost),
    };
    return cmocka_run_group_tests_name("node-crash", tests, NULL, NULL);
}
