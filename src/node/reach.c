#include "node/reach.h"

#include "base/clock.h"

struct ent_reaches {
    pthread_mutex_t lock;
    ent_reach *rows; /* one for each peer that was called */
    size_t count;
};

ent_rc ent_reaches_new(ent_reaches **ret, ent_err *err)
{
    ent_reaches *reaches = ent_alloc(sizeof *reaches);
    if (reaches == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)pthread_mutex_init(&reaches->lock, NULL);
    *ret = reaches;
    return ENT_DONE;
}

void ent_reaches_free(ent_reaches *reaches)
{
    if (reaches == NULL)
        return;
    (void)pthread_mutex_destroy(&reaches->lock);
    ent_free(reaches->rows);
    ent_free(reaches);
}

/* With the lock held. */
static ent_reach *find(ent_reaches *reaches, const char *peer)
{
    for (size_t i = 0; i < reaches->count; i++) {
        if (strcmp(reaches->rows[i].name, peer) == 0)
            return &reaches->rows[i];
    }
    return NULL;
}

static ent_reach *find_or_add(ent_reaches *reaches, const char *peer)
{
    ent_reach *found = find(reaches, peer);
    if (found != NULL)
        return found;
    ent_reach *rows = ent_realloc(reaches->rows, (reaches->count + 1) * sizeof *rows);
    if (rows == NULL)
        return NULL;
    reaches->rows = rows;
    found = &rows[reaches->count++];
    *found = (ent_reach){.reached_unix_s = 0};
    memcpy(found->name, peer, strnlen(peer, sizeof found->name - 1));
    return found;
}

void ent_reach_told(ent_reaches *reaches, const char *peer, const char *why, int64_t date_unix_s)
{
    int64_t now = ent_clock_unix_s();
    if (reaches == NULL)
        return;
    (void)pthread_mutex_lock(&reaches->lock);
    ent_reach *row = find_or_add(reaches, peer);
    if (row != NULL && why == NULL) {
        row->reached_unix_s = now;
        row->failing_since_unix_s = 0;
        row->why[0] = 0;
    } else if (row != NULL) {
        if (row->failing_since_unix_s == 0)
            row->failing_since_unix_s = now;
        memset(row->why, 0, sizeof row->why);
        memcpy(row->why, why, strnlen(why, sizeof row->why - 1));
    }
    if (row != NULL && date_unix_s != 0) {
        row->clock_known = true;
        row->clock_ahead_s = date_unix_s - now;
    }
    (void)pthread_mutex_unlock(&reaches->lock);
}

bool ent_reach_of(ent_reaches *reaches, const char *peer, ent_reach *ret)
{
    bool found = false;
    if (reaches == NULL)
        return false;
    (void)pthread_mutex_lock(&reaches->lock);
    const ent_reach *row = find(reaches, peer);
    if (row != NULL) {
        *ret = *row;
        found = true;
    }
    (void)pthread_mutex_unlock(&reaches->lock);
    return found;
}
