/* The sequencer: batches, jobs that fail, a store that fails. */
#include "bench.h"

#include "node/channel.h"
#include "node/say.h"
#include "node/sequencer.h"
#include "store/sqlite/fault.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 40 };

/* --- a job that keeps the sequencer busy, so that others queue behind it --- */

typedef struct {
    ent_job job;
    atomic_bool begun;
    atomic_bool go_on;
    bench *b;
    pthread_t thread;
} block;

static ent_rc apply_block(ent_job *job, ent_node *node, ent_err *err)
{
    block *self = (block *)job;
    (void)node, (void)err;
    atomic_store(&self->begun, true);
    while (!atomic_load(&self->go_on))
        (void)usleep(1000);
    return ENT_DONE;
}

static void *run_block(void *context)
{
    block *self = context;
    ent_err err = {0};
    assert_ok(ent_sequencer_run(&self->b->node, &self->job, &err));
    return NULL;
}

static void block_start(block *self, bench *b)
{
    *self = (block){.job = {.apply = apply_block}, .b = b};
    assert_int_equal(pthread_create(&self->thread, NULL, run_block, self), 0);
    while (!atomic_load(&self->begun))
        (void)usleep(1000);
}

/* Long enough for threads that were started to queue. */
static void block_end(block *self)
{
    (void)usleep(300000);
    atomic_store(&self->go_on, true);
    (void)pthread_join(self->thread, NULL);
}

/* --- several who speak --- */

typedef struct {
    bench *b;
    uint64_t number;
    uint64_t index;
    int code;
    pthread_t thread;
} speaker;

static void *speak(void *context)
{
    speaker *self = context;
    ent_err err = {0};
    self->code = bench_say(self->b, self->number, &self->index, &err).code;
    return NULL;
}

static void start_all(bench *b, speaker *speakers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        speakers[i] = (speaker){.b = b, .number = 100 + i};
        assert_int_equal(pthread_create(&speakers[i].thread, NULL, speak, &speakers[i]), 0);
    }
}

static void join_all(speaker *speakers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(speakers[i].thread, NULL);
}

/* --- a job that is refused, or fails for another reason --- */

typedef struct {
    ent_job job;
    bench *b;
    ent_code code;
    int got;
    pthread_t thread;
} refusal;

static ent_rc apply_refusal(ent_job *job, ent_node *node, ent_err *err)
{
    refusal *self = (refusal *)job;
    ENT_TRY(ent_sequencer_touch(node, self->b->channel, err));
    return ent_fail(err, self->code, "a rule", "refused on purpose");
}

static void *run_refusal(void *context)
{
    refusal *self = context;
    ent_err err = {0};
    self->got = ent_sequencer_run(&self->b->node, &self->job, &err).code;
    return NULL;
}

static void test_sequencer__queued_together_is_one_transaction_and_one_head(void **state)
{
    (void)state;
    bench b;
    block in_front;
    speaker speakers[MANY];
    bool seen[MANY] = {false};
    bench_make(&b, false, NULL);
    block_start(&in_front, &b);
    start_all(&b, speakers, MANY);
    block_end(&in_front);
    join_all(speakers, MANY);
    assert_int_equal(atomic_load(&bench_faults.commits), 2); /* the blocking job's, and theirs */
    assert_int_equal(atomic_load(&bench_faults.appends), 1);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(speakers[i].code, ENT_OK);
        assert_true(speakers[i].index < MANY && !seen[speakers[i].index]);
        seen[speakers[i].index] = true;
        assert_int_equal(bench_number(&b, speakers[i].index), speakers[i].number);
    }
    assert_int_equal(bench_size(&b), MANY);
    bench_assert_whole(&b);
    bench_release(&b);
}

static void test_sequencer__a_refused_job_disturbs_no_other_in_its_batch(void **state)
{
    (void)state;
    bench b;
    block in_front;
    speaker speakers[MANY];
    refusal refused = {.job = {.apply = apply_refusal}, .b = &b, .code = ENT_REFUSED};
    bench_make(&b, false, NULL);
    block_start(&in_front, &b);
    start_all(&b, speakers, MANY / 2);
    assert_int_equal(pthread_create(&refused.thread, NULL, run_refusal, &refused), 0);
    start_all(&b, speakers + MANY / 2, MANY / 2);
    block_end(&in_front);
    join_all(speakers, MANY);
    (void)pthread_join(refused.thread, NULL);
    assert_int_equal(refused.got, ENT_REFUSED);
    assert_string_equal(refused.job.err.text, "refused on purpose");
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(speakers[i].code, ENT_OK);
    assert_int_equal(bench_size(&b), MANY);
    bench_assert_whole(&b);
    bench_release(&b);
}

/* Out of memory in one job: the batch is undone, all are told, and what comes next goes on from where it was. */
static void test_sequencer__a_job_without_memory_fails_its_batch_and_nothing_else(void **state)
{
    (void)state;
    bench b;
    block in_front;
    speaker speakers[4];
    uint64_t index = 0;
    ent_err err = {0};
    refusal starved = {.job = {.apply = apply_refusal}, .b = &b, .code = ENT_NOMEM};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    block_start(&in_front, &b);
    start_all(&b, speakers, 4);
    assert_int_equal(pthread_create(&starved.thread, NULL, run_refusal, &starved), 0);
    block_end(&in_front);
    join_all(speakers, 4);
    (void)pthread_join(starved.thread, NULL);
    assert_int_equal(starved.got, ENT_NOMEM);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(speakers[i].code, ENT_NOMEM);
    assert_int_equal(bench_size(&b), 1);
    assert_ok(bench_say(&b, 2, &index, &err));
    assert_int_equal(index, 1);
    bench_assert_whole(&b);
    bench_release(&b);
}

/* It says something, and is refused all the same. */
static ent_rc apply_half(ent_job *job, ent_node *node, ent_err *err)
{
    refusal *self = (refusal *)job;
    ent_hash none = {0};
    ENT_TRY(ent_sequencer_touch(node, self->b->channel, err));
    ENT_TRY(ent_sequencer_append(node, self->b->channel, ent_bytes_of("half", 4), ent_bytes_of(NULL, 0), &none, err));
    return ent_fail(err, self->code, "a rule", "refused too late");
}

/* What a refused job has appended is in memory only, where no transaction sees it. */
static void test_sequencer__a_job_refused_after_it_appended_undoes_its_batch(void **state)
{
    (void)state;
    bench b;
    uint64_t index = 0;
    ent_err err = {0};
    refusal half = {.job = {.apply = apply_half}, .b = &b, .code = ENT_ABSENT};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    (void)run_refusal(&half);
    assert_int_equal(half.got, ENT_BUG);
    assert_int_equal(bench_size(&b), 1);
    assert_ok(bench_say(&b, 2, &index, &err));
    assert_int_equal(index, 1);
    bench_assert_whole(&b);
    bench_release(&b);
}

/* Its file was cleared away between its sealing and the message: nothing is logged. */
static void test_sequencer__a_message_whose_attachment_is_gone_is_not_logged(void **state)
{
    (void)state;
    bench b;
    uint64_t index = 0;
    ent_err err = {0};
    ent_blob_ref gone = {.digest = {{7}}, .size = 3, .type = ENT_TEXT("text/plain")};
    bench_make(&b, false, NULL);
    b.node.paths.blobs = strdup("/nonexistent");
    assert_non_null(b.node.paths.blobs);
    ent_saying saying = {.channel = b.channel,
                         .kind = "contact.check",
                         .sealed = ent_bytes_of("1", 1),
                         .attachments = &gone,
                         .attachment_count = 1};
    assert_fails(ent_say(&b.node, &saying, &index, &err), ENT_ABSENT);
    assert_int_equal(bench_size(&b), 0);
    assert_ok(bench_say(&b, 2, &index, &err));
    assert_int_equal(index, 0);
    bench_assert_whole(&b);
    free(b.node.paths.blobs);
    b.node.paths.blobs = NULL;
    bench_release(&b);
}

static void check_disk_full(atomic_int *fault)
{
    bench b;
    uint64_t index = 0;
    ent_err err = {0};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    atomic_store(fault, ENT_IO_FULL);
    for (uint64_t i = 0; i < 3; i++) {
        assert_fails(bench_say(&b, 50 + i, &index, &err), ENT_IO_FULL);
        assert_string_equal(err.text, "injected");
    }
    assert_int_equal(bench_size(&b), 1);
    atomic_store(fault, ENT_OK);
    assert_ok(bench_say(&b, 2, &index, &err));
    assert_int_equal(index, 1);
    assert_int_equal(bench_number(&b, 1), 2);
    bench_assert_whole(&b);
    bench_release(&b);
}

static void test_sequencer__disk_full_in_a_write_is_told_and_undone(void **state)
{
    (void)state;
    check_disk_full(&bench_faults.fail_append);
}

static void test_sequencer__disk_full_at_commit_is_told_and_undone(void **state)
{
    (void)state;
    check_disk_full(&bench_faults.fail_commit);
}

/* Each job weighs more than half of what a batch may. */
static void test_sequencer__heavy_jobs_go_into_batches_of_their_own(void **state)
{
    (void)state;
    bench b;
    block blocks[4];
    bench_make(&b, false, NULL);
    block_start(&blocks[0], &b);
    for (size_t i = 1; i < 4; i++) {
        blocks[i] = (block){.job = {.apply = apply_block, .weight_bytes = 20 << 20}, .go_on = true, .b = &b};
        assert_int_equal(pthread_create(&blocks[i].thread, NULL, run_block, &blocks[i]), 0);
    }
    block_end(&blocks[0]);
    for (size_t i = 1; i < 4; i++)
        (void)pthread_join(blocks[i].thread, NULL);
    assert_int_equal(atomic_load(&bench_faults.commits), 4);
    bench_release(&b);
}

/* Signatures of the last batch are stored although nothing else is said. */
static void test_sequencer__idle_stores_what_was_signed(void **state)
{
    (void)state;
    bench b;
    uint64_t index = 0;
    ent_err err = {0};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    for (int i = 0; i < 1000 && atomic_load(&bench_faults.heads) == 0; i++)
        (void)usleep(5000);
    assert_int_equal(atomic_load(&bench_faults.heads), 1);
    bench_release(&b);
}

static void test_sequencer__stop_stores_what_was_signed(void **state)
{
    (void)state;
    bench b;
    uint64_t index = 0;
    ent_err err = {0};
    bench_make(&b, false, NULL);
    assert_ok(bench_say(&b, 1, &index, &err));
    bench_release(&b);
    assert_int_equal(atomic_load(&bench_faults.heads), 1);
}

static void *stop_sequencer(void *context)
{
    bench *b = context;
    ent_sequencer_free(b->node.sequencer);
    return NULL;
}

static ent_rc apply_slow(ent_job *job, ent_node *node, ent_err *err)
{
    (void)job, (void)node, (void)err;
    (void)usleep(800000);
    return ENT_DONE;
}

/* What is queued is done; what comes later is refused. */
static void test_sequencer__stopping_finishes_the_queue_and_refuses_what_follows(void **state)
{
    (void)state;
    bench b;
    pthread_t stopper;
    speaker queued[3];
    uint64_t index = 0;
    ent_err err = {0};
    block slow = {.job = {.apply = apply_slow}, .b = &b};
    bench_make(&b, false, NULL);
    assert_int_equal(pthread_create(&slow.thread, NULL, run_block, &slow), 0);
    (void)usleep(100000);
    start_all(&b, queued, 3);
    (void)usleep(100000);
    assert_int_equal(pthread_create(&stopper, NULL, stop_sequencer, &b), 0);
    (void)usleep(200000);
    assert_fails(bench_say(&b, 9, &index, &err), ENT_RETRY);
    (void)pthread_join(stopper, NULL);
    (void)pthread_join(slow.thread, NULL);
    join_all(queued, 3);
    b.node.sequencer = NULL;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(queued[i].code, ENT_OK);
    assert_int_equal(bench_size(&b), 3);
    bench_assert_whole(&b);
    bench_release(&b);
}

/* --- the disk fails --- */

enum { SAID = 6 };

/* Say SAID messages over a disk on which every write from the nth on fails; tell of each that was taken. Never returns.
 */
static void say_on_failing_disk(char *root, unsigned long nth, int tell)
{
    bench b;
    ent_err err = {0};
    uint64_t index = 0;
    bench_make(&b, true, root);
    ent_store_sqlite_fail_from(b.node.store, nth);
    for (uint64_t i = 0; i < SAID; i++) {
        uint64_t number = nth * 100 + i;
        if (bench_say(&b, number, &index, &err).code != ENT_OK)
            _exit(3);
        uint64_t row[2] = {index, number};
        if (write(tell, row, sizeof row) != (ssize_t)sizeof row)
            _exit(2);
    }
    _exit(0);
}

/* "After a failed fsync the process stops; it never reads back and goes on" (design.md section 8): at whichever write
 * the disk fails, what was told as said is there after a restart, nothing is there by halves, and the log goes on. */
static void test_sequencer__disk_fails_at_any_write_loses_nothing_that_was_told(void **state)
{
    (void)state;
    bench b;
    bool survived = false;
    bench_make(&b, true, NULL);
    char *root = b.root;
    bench_stop(&b);
    for (unsigned long nth = 1; nth < 400 && !survived; nth++) {
        int ends[2];
        int status = 0;
        uint64_t row[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            say_on_failing_disk(root, nth, ends[1]);
        (void)close(ends[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        survived = WEXITSTATUS(status) == 0;
        assert_true(survived || WEXITSTATUS(status) == 4);
        bench_make(&b, true, root);
        while (read(ends[0], row, sizeof row) == (ssize_t)sizeof row)
            assert_int_equal(bench_number(&b, row[0]), row[1]);
        (void)close(ends[0]);
        bench_assert_whole(&b);
        bench_stop(&b);
    }
    assert_true(survived); /* every write was reached */
    fixture_folder_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequencer__disk_fails_at_any_write_loses_nothing_that_was_told),
        cmocka_unit_test(test_sequencer__queued_together_is_one_transaction_and_one_head),
        cmocka_unit_test(test_sequencer__a_refused_job_disturbs_no_other_in_its_batch),
        cmocka_unit_test(test_sequencer__a_job_without_memory_fails_its_batch_and_nothing_else),
        cmocka_unit_test(test_sequencer__a_job_refused_after_it_appended_undoes_its_batch),
        cmocka_unit_test(test_sequencer__a_message_whose_attachment_is_gone_is_not_logged),
        cmocka_unit_test(test_sequencer__disk_full_in_a_write_is_told_and_undone),
        cmocka_unit_test(test_sequencer__disk_full_at_commit_is_told_and_undone),
        cmocka_unit_test(test_sequencer__heavy_jobs_go_into_batches_of_their_own),
        cmocka_unit_test(test_sequencer__idle_stores_what_was_signed),
        cmocka_unit_test(test_sequencer__stop_stores_what_was_signed),
        cmocka_unit_test(test_sequencer__stopping_finishes_the_queue_and_refuses_what_follows),
    };
    return cmocka_run_group_tests_name("node-sequencer", tests, NULL, NULL);
}
