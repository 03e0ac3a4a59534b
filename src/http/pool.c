#include "http/client.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/alloc.h"
#include "http/client_internal.h"

/* libcurl wakes through a pair of sockets: it does without when there is none, and a send on it may fail. So a wake-up
 * is noted as well, and no wait is longer than it may take to see the note. */
enum { KEPT_CONNECTIONS = 64, LONGEST_WAIT_MS = 1000 };

typedef struct job {
    ent_http_transfer transfer;
    struct job *previous;
    struct job *next;
    ent_http_done done;
    void *context;
} job;

struct ent_http_pool {
    CURLM *multi;
    job *jobs;
    size_t active;
    atomic_bool woken;
};

ent_rc ent_http_pool_new(ent_http_pool **ret, ent_err *err)
{
    ENT_TRY(ent_http_client_init(err));
    ent_http_pool *pool = ent_alloc(sizeof *pool);
    CURLM *multi = pool == NULL ? NULL : curl_multi_init();
    if (multi == NULL) {
        ent_free(pool);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    (void)curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    pool->multi = multi;
    atomic_init(&pool->woken, false);
    *ret = pool;
    return ENT_DONE;
}

ent_rc ent_http_pool_start(ent_http_pool *pool, const ent_http_call *call, ent_http_done done, void *context,
                           ent_err *err)
{
    job *started = ent_alloc(sizeof *started);
    if (started == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_rc rc = ent_http_transfer_start(&started->transfer, call, err);
    if (rc.code != ENT_OK) {
        ent_free(started);
        return rc;
    }
    CURLMcode added = curl_multi_add_handle(pool->multi, started->transfer.easy);
    if (added != CURLM_OK) {
        ent_http_transfer_release(&started->transfer);
        ent_free(started);
        return ent_fail(err, added == CURLM_OUT_OF_MEMORY ? ENT_NOMEM : ENT_BUG, NULL, "libcurl: %s",
                        curl_multi_strerror(added));
    }
    started->done = done;
    started->context = context;
    started->next = pool->jobs;
    if (started->next != NULL)
        started->next->previous = started;
    pool->jobs = started;
    pool->active++;
    return ENT_DONE;
}

static void remove_job(ent_http_pool *pool, job *ended)
{
    if (ended->previous != NULL)
        ended->previous->next = ended->next;
    else
        pool->jobs = ended->next;
    if (ended->next != NULL)
        ended->next->previous = ended->previous;
    pool->active--;
    (void)curl_multi_remove_handle(pool->multi, ended->transfer.easy);
}

/* Tell the caller; what it starts from inside is a job of its own. */
static void end_job(ent_http_pool *pool, job *ended, CURLcode result)
{
    ent_err err = {0};
    remove_job(pool, ended);
    ent_rc rc = ent_http_transfer_finish(&ended->transfer, result, &err);
    ended->done(ended->context, rc, &ended->transfer.reply, &err);
    ent_http_transfer_release(&ended->transfer);
    ent_free(ended);
}

/* Let libcurl do what can be done now, and tell what has ended; gives how many that were. */
static ent_rc advance(ent_http_pool *pool, size_t *ret_ended, ent_err *err)
{
    int running = 0;
    int waiting = 0;
    CURLMcode performed = curl_multi_perform(pool->multi, &running);
    if (performed != CURLM_OK)
        return ent_fail(err, performed == CURLM_OUT_OF_MEMORY ? ENT_NOMEM : ENT_BUG, NULL, "libcurl: %s",
                        curl_multi_strerror(performed));
    for (CURLMsg *message = NULL; (message = curl_multi_info_read(pool->multi, &waiting)) != NULL;) {
        void *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        /* The transfer is the job's first member. */
        end_job(pool, transfer, result);
        (*ret_ended)++;
    }
    return ENT_DONE;
}

ent_rc ent_http_pool_work(ent_http_pool *pool, uint32_t timeout_ms, ent_err *err)
{
    size_t ended = 0;
    ENT_TRY(advance(pool, &ended, err));
    /* The caller may have more to start when something has ended: no waiting then. */
    if (ended > 0)
        return ENT_DONE;
    int wait_ms = atomic_exchange(&pool->woken, false) ? 0
                  : timeout_ms > LONGEST_WAIT_MS       ? LONGEST_WAIT_MS
                                                       : (int)timeout_ms;
    CURLMcode polled = curl_multi_poll(pool->multi, NULL, 0, wait_ms, NULL);
    if (polled != CURLM_OK)
        return ent_fail(err, polled == CURLM_OUT_OF_MEMORY ? ENT_NOMEM : ENT_BUG, NULL, "libcurl: %s",
                        curl_multi_strerror(polled));
    return advance(pool, &ended, err);
}

void ent_http_pool_wake(ent_http_pool *pool)
{
    atomic_store(&pool->woken, true);
    (void)curl_multi_wakeup(pool->multi);
}

size_t ent_http_pool_active(const ent_http_pool *pool)
{
    return pool->active;
}

void ent_http_pool_free(ent_http_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->jobs != NULL) {
        (void)snprintf(pool->jobs->transfer.detail, sizeof pool->jobs->transfer.detail,
                       "cut: this program is stopping");
        end_job(pool, pool->jobs, CURLE_ABORTED_BY_CALLBACK);
    }
    (void)curl_multi_cleanup(pool->multi);
    ent_free(pool);
}
