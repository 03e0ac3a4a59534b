#include "node/worker.h"

#include <time.h>

static struct timespec after(int64_t rest_ms)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t)(rest_ms / 1000);
    deadline.tv_nsec += (long)(rest_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

/* Under the lock. */
static void rest(ent_worker *worker, int64_t rest_ms)
{
    struct timespec deadline = after(rest_ms < 0 ? 0 : rest_ms);
    while (!worker->stopping && !worker->work) {
        if (rest_ms == ENT_WORKER_UNTIL_WOKEN)
            (void)pthread_cond_wait(&worker->woken, &worker->lock);
        else if (pthread_cond_timedwait(&worker->woken, &worker->lock, &deadline) != 0)
            break;
    }
}

static void *run(void *context)
{
    ent_worker *worker = context;
    (void)pthread_mutex_lock(&worker->lock);
    while (!worker->stopping) {
        bool woken = worker->work;
        worker->work = false;
        (void)pthread_mutex_unlock(&worker->lock);
        int64_t rest_ms = worker->round(worker->context, woken);
        (void)pthread_mutex_lock(&worker->lock);
        rest(worker, rest_ms);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void destroy(ent_worker *worker)
{
    (void)pthread_cond_destroy(&worker->woken);
    (void)pthread_mutex_destroy(&worker->lock);
}

ent_rc ent_worker_start(ent_worker *worker, ent_worker_round round, void *context, ent_err *err)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    *worker = (ent_worker){.round = round, .context = context};
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->woken, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    worker->started = pthread_create(&worker->thread, NULL, run, worker) == 0;
    if (worker->started)
        return ENT_DONE;
    destroy(worker);
    return ent_fail(err, ENT_IO, NULL, "cannot start a thread");
}

void ent_worker_stop(ent_worker *worker)
{
    if (!worker->started || worker->joined)
        return;
    (void)pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    (void)pthread_cond_signal(&worker->woken);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->thread, NULL);
    worker->joined = true;
}

void ent_worker_release(ent_worker *worker)
{
    if (!worker->started)
        return;
    ent_worker_stop(worker);
    worker->started = false;
    destroy(worker);
}

void ent_worker_wake(ent_worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker->work = true;
    (void)pthread_cond_signal(&worker->woken);
    (void)pthread_mutex_unlock(&worker->lock);
}
