/* A thread that works in rounds: each round says how long it may rest, and whoever has work for it wakes it. */
#ifndef ENT_NODE_WORKER_H
#define ENT_NODE_WORKER_H

#include "base/result.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { ENT_WORKER_UNTIL_WOKEN = -1 };

/** One round of work, in the worker's thread.
 *  @in   woken   somebody has woken it since the round before began; false when it was only time, and at the first
 *  Gives the milliseconds to rest at most, or ENT_WORKER_UNTIL_WOKEN. */
typedef int64_t (*ent_worker_round)(void *context, bool woken);

/** A member of what it works for; zeroed before it starts. */
typedef struct {
    ent_worker_round round;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool started;
    bool joined;
    bool work;
    bool stopping;
} ent_worker;

/** Start the thread, which begins with a round.
 *  @in   context   borrowed until the worker is stopped
 *  Errors: IO when no thread can be had; then there is nothing to stop or release. */
ENT_RC ent_worker_start(ent_worker *worker, ent_worker_round round, void *context, ent_err *err);
/** End the thread after the round that it is in, the first time; it may still be woken, in vain.  Blocks: until then.
 */
void ent_worker_stop(ent_worker *worker);
/** Stop, and let go of the rest. Does nothing to one that was not started, or was released. */
void ent_worker_release(ent_worker *worker);
/** Have another round follow, at once when it rests. What was there to do before the call is seen by that round. */
void ent_worker_wake(ent_worker *worker);

#endif
