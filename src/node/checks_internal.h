/* What comm checks by the clock remember: of each channel for the schedule, and what came and waits for an answer. */
#ifndef ENT_NODE_CHECKS_INTERNAL_H
#define ENT_NODE_CHECKS_INTERNAL_H

#include "ledger/ledger.h"
#include "node/checks.h"
#include "node/worker.h"

enum { ENT_CHECK_ANSWERS_AT_ONCE = 16 }; /* to one member: after an outage its checks come together */

/* A check that another member's clock has sent. */
typedef struct {
    ent_channel *channel;
    uint32_t member;
    uint64_t index;
} ent_check_asked;

/* Our last check of a member. Before the first the schedule counts from our entry 0. */
typedef struct {
    bool was_checked;
    uint64_t index;
    int64_t time_unix_s;
} ent_last_check;

/* How many answers a member may still have. Who sends checks without end gets no end of entries in our log for it. */
typedef struct {
    unsigned left;
    int64_t filled_ms; /* monotonic */
} ent_check_allowance;

typedef struct {
    ent_channel *channel;
    bool searched;                /* for checks that came before this start */
    bool carried;                 /* what the channel before had open is said again */
    uint32_t every_s;             /* agreed; 0 = no checks are */
    uint64_t read;                /* entries of our own log that were looked at */
    ent_last_check *last;         /* one a member */
    ent_check_allowance *answers; /* one a member */
} ent_checked_channel;

struct ent_checks {
    ent_node *node;
    ent_worker worker;

    pthread_mutex_t queue_lock;
    bool lost; /* a check that came could not be kept: search the ledgers for it */
    ent_check_asked *queue;
    size_t queued;
    size_t capacity;

    ent_checked_channel *channels; /* the thread's own */
    size_t channel_count;
};

/* check_answers.c: in the worker's thread */
/** Whether a check waits for a member's answer.  Errors: those of ent_ledgers_lock. */
ENT_RC ent_check_is_unanswered(ent_node *node, ent_channel *channel, ent_ledger_ref check, uint32_t by, bool *ret,
                               ent_err *err);
/** Find what came before this start, or could not be kept, in a channel's ledger. */
ENT_RC ent_checks_search(ent_checks *checks, ent_channel *channel, ent_err *err);
/** Answer all that came, the newest first; what meets trouble of ours waits for the next look.
 *  @out  ret_later   set when something does */
void ent_checks_answer(ent_checks *checks, bool *ret_later);

#endif
