/* The ledger's memory while threads are folded: orders, states, duties.  Source: design.md section 5. */
#ifndef ENT_LEDGER_FOLDING_H
#define ENT_LEDGER_FOLDING_H

#include "ledger/internal.h"

/* A duty while its thread is folded: beside what is told of it. */
typedef struct {
    const ent_message *message;
    const ent_message *act;
    uint64_t seconds;      /* allowed; 0 = no deadline */
    bool in_hours;         /* only the debtor's service hours count */
    int64_t fixed_due;     /* a date that was named; 0 = none */
    int64_t carried_start; /* from the channel before; 0 = the receipts tell */
    size_t next;           /* of the debtor's that nothing has done: place + 1; 0 = none */
} ent_duty_more;

/** A clarification that was awaited of somebody: the clock of who asked for it stood still. */
typedef struct {
    uint32_t debtor;
    uint32_t asker; /* who has to clarify */
    ent_interval interval;
} ent_stop;

/** A final answer, and the one before it by the same member. */
typedef struct {
    const ent_message *message;
    size_t before; /* place + 1; 0 = none */
} ent_final_answer;

/** Room that folds of many threads share, and what is the same for all of them. */
typedef struct {
    const ent_ledger *ledger;
    ent_moment moment;
    uint64_t cut[ENT_ENTRY_MAX_MEMBERS];
    ent_interval *frozen; /* when the channel was suspended; sorted, disjoint */
    size_t frozen_count;
    size_t frozen_capacity;
    bool frozen_now;
    bool base_shown;           /* somebody's first entry shows the terms of the genesis */
    const ent_message **order; /* the thread's messages in the ledger's order */
    size_t order_capacity;
    ent_thread_message *messages;
    size_t message_capacity;
    ent_duty *duties;
    ent_duty_more *more;
    size_t duty_count;
    size_t duty_capacity;
    size_t more_capacity;
    ent_ledger_ref *evidence;
    size_t evidence_capacity;
    ent_final_answer *answers;
    size_t answer_count;
    size_t answer_capacity;
    ent_stop *stops;
    size_t stop_count;
    size_t stop_capacity;
    ent_interval *merged;
    size_t merged_capacity;
} ent_folding;

/** The thread that is folded. */
typedef struct {
    ent_folding *room;
    const ent_thread *thread;
    const ent_machine *machine;
    const ent_agreement *terms; /* NULL outside their validity too */
    uint32_t addressees;        /* bits */
    ent_track *tracks;
    size_t track_count;
    const ent_message *standing[ENT_ENTRY_MAX_MEMBERS]; /* per member's track: what an accept would accept */
    const ent_message *closing[ENT_ENTRY_MAX_MEMBERS];  /* the accept or withdrawal that closed it */
    const ent_message *bound;                           /* what was accepted by … */
    uint32_t bound_by;                                  /* … these */
    bool refused;                                       /* the first message does not count */
    bool recalled;                                      /* the first message was */
    bool judging;                                       /* only what is allowed is asked for */
    size_t last_answer[ENT_ENTRY_MAX_MEMBERS];          /* place + 1 in room->answers; 0 = none */
    size_t first_duty[ENT_ENTRY_MAX_MEMBERS];           /* a debtor's that nothing has done: place + 1; 0 = none */
    size_t last_duty[ENT_ENTRY_MAX_MEMBERS];
    ent_severity severity;
} ent_fold_state;

/* order.c */
/** Begin folding at a moment.
 *  Owns: caller releases with ent_folding_release. */
ENT_RC ent_folding_begin(const ent_ledger *ledger, ent_moment moment, ent_folding *ret, ent_err *err);
void ent_folding_release(ent_folding *room);
/** When a message counts as said: at its first evidence, but not before the time that its writer gives. INT64_MAX
 * without evidence. */
int64_t ent_folding_said_at(const ent_folding *room, const ent_message *message);
/** The agreement of some terms, as far as it is known at the moment; and until when it holds. */
const ent_agreement *ent_folding_agreement(const ent_folding *room, const ent_amended *terms);
int64_t ent_folding_first_decline(const ent_folding *room, const ent_amended *terms);
/** The visible messages of a thread in the ledger's order, into room->order; room for one more behind them. */
ENT_RC ent_fold_order(ent_folding *room, const ent_thread *thread, size_t *ret_count, ent_err *err);

/* fold.c */
/** Fold one thread.
 *  @in   candidate   nullable: a message that is not in the ledger, taken as the last
 *  @out  ret_tracks  room for every member */
ENT_RC ent_fold(ent_folding *room, const ent_thread *thread, const ent_message *candidate,
                ent_track ret_tracks[ENT_ENTRY_MAX_MEMBERS], ent_thread_view *ret, ent_err *err);
ent_track *ent_fold_track(ent_fold_state *fold, uint32_t member);

/* duty.c */
/** What an allowed message brings about and what it does. */
ENT_RC ent_duties_follow(ent_fold_state *fold, const ent_message *message, ent_err *err);
ent_urgency ent_message_urgency(const ent_message *message, const ent_agreement *terms);

/* due.c */
/** When an entry was first receipted: by one member, or by any (ENT_LEDGER_NOBODY). False when it was not yet. */
bool ent_fold_receipted(const ent_fold_state *fold, const ent_message *message, uint32_t receiver, int64_t *ret);
/** The earliest time that what a message acks allows: its writer cannot have written it before it gave those receipts.
 */
int64_t ent_fold_not_before(const ent_fold_state *fold, const ent_message *message);
/** When an act is done, as its creditor must count it. False when it was not receipted yet. */
bool ent_fold_done_at(const ent_fold_state *fold, const ent_message *message, uint32_t creditor, int64_t *ret,
                      bool *ret_claimed);
/** After the last message: states and due times. */
ENT_RC ent_duties_settle(ent_fold_state *fold, ent_err *err);

#endif
