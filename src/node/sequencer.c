#include "node/sequencer_internal.h"

#include "node/keys.h"
#include "node/ledgers.h"
#include "node/report.h"

#include <errno.h>
#include <time.h>

enum {
    BATCH_JOBS = 1024,      /* design 11, limits */
    BATCH_BYTES = 32 << 20, /* with one more body of 8 MiB a batch still fits a pouch */
    FAILED_FLUSH_MS = 5000,
    IDLE_FLUSH_MS = 200 /* signatures wait this long for a transaction to ride on */
};

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

/* --- one batch --- */

static bool fails_batch(ent_rc rc)
{
    ent_class error_class = ent_code_class(rc.code);
    return error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM || error_class == ENT_CLASS_BUG;
}

static ent_rc write_batch(ent_sequencer *sequencer, ent_job *jobs, ent_err *err)
{
    ent_node *node = sequencer->node;
    const ent_store_engine *engine = node->store->engine;
    ENT_TRY(engine->begin(node->store, err));
    ent_rc rc = ent_sequencer_store_signed(node, &sequencer->unstored, err);
    for (ent_job *job = jobs; rc.code == ENT_OK && job != NULL; job = job->next) {
        uint64_t changes = engine->changes(node->store) + sequencer->appended;
        job->rc = job->apply(job, node, &job->err);
        if (job->rc.code != ENT_OK && !fails_batch(job->rc) &&
            engine->changes(node->store) + sequencer->appended != changes)
            job->rc = ent_fail(&job->err, ENT_BUG, NULL, "a job failed after it had written: the batch is undone");
        if (fails_batch(job->rc)) {
            rc = job->rc;
            *err = job->err;
        }
    }
    for (size_t i = 0; rc.code == ENT_OK && i < sequencer->dirty_count; i++)
        rc = ent_sequencer_flush_appends(node, sequencer->dirty[i], err);
    if (rc.code == ENT_OK)
        return engine->commit(node->store, err);
    engine->rollback(node->store);
    return rc;
}

static void clean_dirty(ent_sequencer *sequencer)
{
    for (size_t i = 0; i < sequencer->dirty_count; i++) {
        sequencer->dirty[i]->dirty = false;
        ent_keys_forget(sequencer->dirty[i]); /* what was committed is published by now */
        sequencer->dirty[i]->appends.count = 0;
    }
    sequencer->dirty_count = 0;
}

static void run_batch(ent_sequencer *sequencer, ent_job *jobs)
{
    ent_err err = {0};
    sequencer->to_sign.count = 0;
    sequencer->given.count = 0;
    ent_rc rc = write_batch(sequencer, jobs, &err);
    if (rc.code == ENT_IO)
        ent_report_stop("the store failed", &err);
    sequencer->failed = rc.code != ENT_OK;
    if (rc.code == ENT_OK) {
        for (size_t i = 0; i < sequencer->dirty_count; i++)
            ent_keys_publish(sequencer->node, sequencer->dirty[i]); /* before what they sign */
        ent_sequencer_sign(sequencer);
        ent_sequencer_publish(sequencer);
        for (ent_job *job = jobs; job != NULL; job = job->next) {
            if (job->rc.code == ENT_OK && job->settle != NULL)
                job->settle(job, sequencer->node);
        }
    } else {
        for (ent_job *job = jobs; job != NULL; job = job->next) {
            job->rc = rc;
            job->err = err;
        }
        for (size_t i = 0; i < sequencer->dirty_count; i++)
            ent_ledgers_forget(sequencer->dirty[i]);
        ent_report report = ent_report_begin("store.batch-failed");
        ent_report_error(&report, &err);
        ent_report_end(&report);
        sequencer->to_sign.count = 0;
    }
    clean_dirty(sequencer);
}

/* --- the thread --- */

/* With the lock held: wait for jobs; NULL when there is nothing to do but store signatures, or to stop. */
static ent_job *take_jobs(ent_sequencer *sequencer, bool *ret_stop)
{
    while (sequencer->first == NULL && !sequencer->stopping) {
        if (sequencer->unstored.count == 0) {
            (void)pthread_cond_wait(&sequencer->queued, &sequencer->lock);
            continue;
        }
        struct timespec deadline;
        long wait_ms = sequencer->failed ? FAILED_FLUSH_MS : IDLE_FLUSH_MS;
        (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += wait_ms / 1000;
        deadline.tv_nsec += wait_ms % 1000 * 1000000L;
        deadline.tv_sec += deadline.tv_nsec / 1000000000L;
        deadline.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&sequencer->queued, &sequencer->lock, &deadline) == ETIMEDOUT)
            break;
    }
    ent_job *jobs = sequencer->first;
    ent_job *last = jobs;
    uint64_t bytes = jobs == NULL ? 0 : jobs->weight_bytes;
    for (size_t count = 1; last != NULL && last->next != NULL && count < BATCH_JOBS; count++) {
        bytes += last->next->weight_bytes;
        if (bytes > BATCH_BYTES)
            break;
        last = last->next;
    }
    if (last != NULL) {
        sequencer->first = last->next;
        if (sequencer->first == NULL)
            sequencer->last = NULL;
        last->next = NULL;
    }
    *ret_stop = jobs == NULL && sequencer->stopping;
    return jobs;
}

static void *run(void *context)
{
    ent_sequencer *sequencer = context;
    bool stop = false;
    while (!stop) {
        (void)pthread_mutex_lock(&sequencer->lock);
        ent_job *jobs = take_jobs(sequencer, &stop);
        (void)pthread_mutex_unlock(&sequencer->lock);
        if (jobs != NULL || sequencer->unstored.count > 0)
            run_batch(sequencer, jobs);
        (void)pthread_mutex_lock(&sequencer->lock);
        while (jobs != NULL) {
            ent_job *next = jobs->next; /* the job is its owner's again once it is done */
            jobs->done = true;
            jobs = next;
        }
        (void)pthread_cond_broadcast(&sequencer->settled);
        (void)pthread_mutex_unlock(&sequencer->lock);
    }
    return NULL;
}

ent_rc ent_sequencer_run(ent_node *node, ent_job *job, ent_err *err)
{
    ent_sequencer *sequencer = node->sequencer;
    job->next = NULL;
    job->done = false;
    job->rc = ENT_DONE;
    (void)pthread_mutex_lock(&sequencer->lock);
    if (sequencer->stopping) {
        (void)pthread_mutex_unlock(&sequencer->lock);
        return ent_fail(err, ENT_RETRY, NULL, "the node is stopping");
    }
    if (sequencer->last == NULL)
        sequencer->first = job;
    else
        sequencer->last->next = job;
    sequencer->last = job;
    sequencer->callers++;
    (void)pthread_cond_signal(&sequencer->queued);
    while (!job->done)
        (void)pthread_cond_wait(&sequencer->settled, &sequencer->lock);
    sequencer->callers--;
    if (sequencer->stopping)
        (void)pthread_cond_broadcast(&sequencer->settled);
    (void)pthread_mutex_unlock(&sequencer->lock);
    if (job->rc.code != ENT_OK && err != NULL)
        *err = job->err;
    return job->rc;
}

static ent_rc apply_nothing(ent_job *job, ent_node *node, ent_err *err)
{
    (void)job, (void)node, (void)err;
    return ENT_DONE;
}

ent_rc ent_sequencer_flush(ent_node *node, ent_err *err)
{
    ent_job job = {.apply = apply_nothing}; /* every batch begins by storing what the one before it signed */
    return ent_sequencer_run(node, &job, err);
}

/* --- start and stop --- */

ent_rc ent_sequencer_new(ent_node *node, ent_sequencer **ret, ent_err *err)
{
    ent_sequencer *sequencer = ent_alloc(sizeof *sequencer);
    if (sequencer == NULL)
        return no_memory(err);
    sequencer->node = node;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&sequencer->lock, NULL);
    (void)pthread_cond_init(&sequencer->queued, &attributes);
    (void)pthread_cond_init(&sequencer->settled, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    ent_rc rc = ent_sequencer_collect_unsigned(sequencer, err);
    if (rc.code == ENT_OK) {
        ent_sequencer_sign(sequencer);
        ent_sequencer_publish(sequencer);
    }
    if (rc.code == ENT_OK && pthread_create(&sequencer->thread, NULL, run, sequencer) != 0)
        rc = ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    sequencer->started = rc.code == ENT_OK;
    if (rc.code != ENT_OK) {
        ent_sequencer_free(sequencer);
        return rc;
    }
    *ret = sequencer;
    return ENT_DONE;
}

void ent_sequencer_free(ent_sequencer *sequencer)
{
    if (sequencer == NULL)
        return;
    if (sequencer->started) {
        (void)pthread_mutex_lock(&sequencer->lock);
        sequencer->stopping = true;
        (void)pthread_cond_broadcast(&sequencer->queued);
        (void)pthread_mutex_unlock(&sequencer->lock);
        (void)pthread_join(sequencer->thread, NULL);
        (void)pthread_mutex_lock(&sequencer->lock);
        while (sequencer->callers > 0) /* their jobs are done, but they have yet to take note */
            (void)pthread_cond_wait(&sequencer->settled, &sequencer->lock);
        (void)pthread_mutex_unlock(&sequencer->lock);
    }
    ent_free(sequencer->unstored.items);
    ent_free(sequencer->to_sign.items);
    ent_free(sequencer->given.items);
    ent_free(sequencer->dirty);
    (void)pthread_cond_destroy(&sequencer->queued);
    (void)pthread_cond_destroy(&sequencer->settled);
    (void)pthread_mutex_destroy(&sequencer->lock);
    ent_free(sequencer);
}
