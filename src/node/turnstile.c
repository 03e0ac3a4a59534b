#include "node/turnstile.h"

struct ent_ticket {
    ent_turnstile *of;
    ent_hash pin;
    ent_ticket *next;
};

struct ent_turnstile {
    pthread_mutex_t lock;
    ent_ticket *inside; /* no more than there are connections */
};

ent_rc ent_turnstile_new(ent_turnstile **ret, ent_err *err)
{
    ent_turnstile *turnstile = ent_alloc(sizeof *turnstile);
    if (turnstile == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)pthread_mutex_init(&turnstile->lock, NULL);
    *ret = turnstile;
    return ENT_DONE;
}

void ent_turnstile_free(ent_turnstile *turnstile)
{
    if (turnstile == NULL)
        return;
    (void)pthread_mutex_destroy(&turnstile->lock);
    ent_free(turnstile);
}

ent_rc ent_turnstile_enter(ent_turnstile *turnstile, const ent_hash *pin, ent_ticket **ret, ent_err *err)
{
    unsigned count = 0;
    ent_ticket *ticket = ent_alloc(sizeof *ticket);
    if (ticket == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ticket->of = turnstile;
    ticket->pin = *pin;
    (void)pthread_mutex_lock(&turnstile->lock);
    for (const ent_ticket *other = turnstile->inside; other != NULL; other = other->next)
        count += ent_hash_equal(&other->pin, pin);
    bool may = count < ENT_UNDER_WAY_A_PEER;
    if (may) {
        ticket->next = turnstile->inside;
        turnstile->inside = ticket;
    }
    (void)pthread_mutex_unlock(&turnstile->lock);
    if (may) {
        *ret = ticket;
        return ENT_DONE;
    }
    ent_free(ticket);
    (void)ent_fail(err, ENT_PEER_QUOTA, "design 11, limits",
                   "%u requests of yours are under way here, and more are not taken at a time: try again in a moment",
                   count)
        .code;
    if (err != NULL)
        err->retry_after_s = 1;
    return ent_rc_of(ENT_PEER_QUOTA);
}

void ent_ticket_free(void *ticket)
{
    ent_ticket *leaving = ticket;
    if (leaving == NULL)
        return;
    (void)pthread_mutex_lock(&leaving->of->lock);
    ent_ticket **at = &leaving->of->inside;
    while (*at != leaving)
        at = &(*at)->next;
    *at = leaving->next;
    (void)pthread_mutex_unlock(&leaving->of->lock);
    ent_free(leaving);
}
