/* The ledger: who owes whom what by when. A pure fold over evidence: equal evidence gives equal state, on both sides
 * and for an auditor. No clock, no I/O, no globals.  Source: design.md section 5.
 *
 * Evidence is added in any order that causality allows; what is asked for is computed from it for a moment. */
#ifndef ENT_LEDGER_LEDGER_H
#define ENT_LEDGER_LEDGER_H

#include "ledger/machine.h"

/** No member: a duty towards every addressee. */
#define ENT_LEDGER_NOBODY UINT32_MAX
enum { ENT_THREAD_MAX_BY_WRITER = 1024, ENT_REASON_SIZE = 256 };

typedef struct ent_ledger ent_ledger;

/** Names a message by member index and index in that member's log. */
typedef struct {
    uint32_t member;
    uint64_t index;
} ent_ledger_ref;

static inline bool ent_ledger_ref_equal(ent_ledger_ref a, ent_ledger_ref b)
{
    return a.member == b.member && a.index == b.index;
}

/** By member, then index: for qsort and bsearch over ent_ledger_ref. */
int ent_ledger_ref_order(const void *a, const void *b);

/** For what moment: evidence dated later than `until` does not count; states are those at `now`. */
typedef struct {
    int64_t until_unix_s; /* INT64_MAX = all evidence */
    int64_t now_unix_s;
} ent_moment;

/** @in   genesis   borrowed for the ledger's life */
ENT_RC ent_ledger_new(const ent_hash *channel, const ent_genesis *genesis, ent_ledger **ret, ent_err *err);
void ent_ledger_free(ent_ledger *ledger);
void ent_ledger_release(ent_ledger **ledger); /* for ENT_CLEANUP */

/* --- evidence --- */

/** Add the next entry of a member's log. Everything it acks must be in the ledger: otherwise RETRY, and nothing
 * changed.
 *  @in   leaf    its leaf hash
 *  @in   facts   zeroed when the body did not open or is not valid
 *  Errors: USAGE when it is not the next one, RETRY, NOMEM. */
ENT_RC ent_ledger_entry(ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_hash *leaf,
                        const ent_facts *facts, ent_err *err);
/** Add a receipt for a log; only the earliest that covers an entry counts. It may come before the entries it covers.
 *  Errors: NOMEM. */
ENT_RC ent_ledger_receipt(ent_ledger *ledger, uint32_t member, uint32_t receiver, uint64_t size, int64_t time_unix_s,
                          ent_err *err);
/** Whether a message of this member says a message of the channel before again. Looks through its whole log. */
bool ent_ledger_has_continued(const ent_ledger *ledger, uint32_t member, const ent_message_ref *message);
/** How many entries of a member's log were added. */
uint64_t ent_ledger_size(const ent_ledger *ledger, uint32_t member);
/** Time of the latest evidence; 0 without any. */
int64_t ent_ledger_latest(const ent_ledger *ledger);

/** Why a message is not counted. */
typedef enum {
    ENT_ALLOWED = 0,
#define X(name, word, text) ENT_REASON_##name,
#include "ledger/reasons.def"
#undef X
    ENT_REASON_COUNT
} ent_reason;
/** A stable word: "second-answer". */
const char *ent_reason_word(ent_reason reason);

/* --- before something is said --- */

/** Whether the thread, the terms and the channel's state allow a message as the member's next entry. entry->index and
 * acks count; nothing is added.
 *  Errors: REFUSED with the reason for a person, NOMEM. */
ENT_RC ent_ledger_allows(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                         ent_err *err);
/** The same for a message that came from another member: the verdict, not a failure.  Errors: NOMEM. */
ENT_RC ent_ledger_judge(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                        ent_reason *ret_reason, char ret_text[ENT_REASON_SIZE], ent_err *err);
/** The terms in force for a member's next entry, given what it acks: their commitment, and the agreement (NULL when
 * they are not readable or not known).
 *  @in   acks   as in the entry; sorted by origin */
const ent_agreement *ent_ledger_terms(const ent_ledger *ledger, uint32_t member, const ent_ack *acks, size_t ack_count,
                                      ent_hash *ret_commitment);

/* --- what follows --- */

typedef enum {
    ENT_DUTY_OPEN = 1,
    ENT_DUTY_OVERDUE,
    ENT_DUTY_STOPPED, /* a clarification is awaited */
    ENT_DUTY_FROZEN,  /* the channel is suspended, and the terms freeze deadlines */
    ENT_DUTY_SENT_NOT_RECEIPTED,
    ENT_DUTY_ANSWERED_NOT_RECEIPTED,
    ENT_DUTY_DONE,
    ENT_DUTY_DONE_LATE,
    ENT_DUTY_ENDED /* recalled, withdrawn, superseded */
} ent_duty_state;
/** "open", "overdue", "stopped", "frozen", "sent, not receipted", "answered, not receipted", "done", "done late",
 * "ended". */
const char *ent_duty_state_word(ent_duty_state state);
/** Something is still expected. */
bool ent_duty_is_open(ent_duty_state state);

typedef struct {
    ent_duty_type type;
    ent_duty_state state;
    uint32_t debtor;
    uint32_t creditor; /* NOBODY: every addressee */
    ent_ledger_ref message;
    const char *kind;    /* of that message */
    ent_urgency urgency; /* effective */
    bool exercise;
    bool has_start;
    int64_t start_unix_s; /* the receipt's time … */
    uint32_t start_by;    /* … by this member … */
    uint64_t start_size;  /* … for this many entries of the log */
    bool carried;         /* its clock is that of the channel before; start_size is 0 */
    bool has_due;
    int64_t due_unix_s; /* INT64_MAX: stopped or frozen without an end */
    bool has_act;
    ent_ledger_ref act;
    int64_t done_unix_s; /* when has_act and it was receipted */
    bool claimed;        /* done_unix_s is the act's own time, bounded by receipts, not the receipt for it */
    ent_outcome outcome; /* of the act */
    bool contested;      /* a log key that was revoked may have signed the message, or the act */
} ent_duty;

typedef struct {
    ent_ledger_ref message;
    const char *kind; /* NULL = unknown to this version */
    ent_reason reason;
    char text[ENT_REASON_SIZE]; /* the reason for a person; "" when allowed */
} ent_thread_message;

typedef struct {
    uint32_t member;
    ent_state state;
    bool crossed; /* an accept and a withdrawal that did not know of each other */
    bool acknowledged;
    ent_outcome outcome; /* of the addressee's last answer to the first message */
} ent_track;

/** A thread at a moment. Everything borrows until the walk's function returns. */
typedef struct {
    ent_ledger_ref first;
    const char *kind;
    const ent_machine *machine;
    uint32_t opener;
    bool exercise;
    bool recalled;
    bool has_first_evidence;
    int64_t first_evidence_unix_s;
    ent_hash commitment;        /* the terms it began under */
    const ent_agreement *terms; /* NULL when not readable, or not in force at that time */
    ent_urgency urgency;        /* effective, of the first message */
    ent_severity severity;      /* of an incident: as last stated */
    const ent_track *tracks;
    size_t track_count;
    const ent_duty *duties;
    size_t duty_count;
    const ent_thread_message *messages; /* in the ledger's order */
    size_t message_count;
    bool bound; /* every member has accepted the same bytes */
    ent_ledger_ref accepted;
    ent_hash accepted_digest;
    bool supported; /* a claim: some evidence stands */
    const ent_ledger_ref *evidence;
    size_t evidence_count;
} ent_thread_view;

typedef ENT_RC (*ent_thread_fn)(void *context, const ent_thread_view *thread, ent_err *err);

/** Walk every thread that has begun by the moment, by member and index of its first message.
 *  Errors: those of fn, NOMEM. */
ENT_RC ent_ledger_walk(const ent_ledger *ledger, ent_moment moment, ent_thread_fn fn, void *context, ent_err *err);
/** The thread that a message belongs to.  Errors: ABSENT, those of fn, NOMEM. */
ENT_RC ent_ledger_thread(const ent_ledger *ledger, ent_ledger_ref message, ent_moment moment, ent_thread_fn fn,
                         void *context, ent_err *err);
/** Walk the threads that may have open duties, in no particular order: for alerts. Costs what is open, not what was
 * said.  Errors: those of fn, NOMEM. */
ENT_RC ent_ledger_walk_open(ent_ledger *ledger, ent_moment moment, ent_thread_fn fn, void *context, ent_err *err);

/** Walk the messages that bring nothing about, by member and index: whose bodies gave no facts (contested), whose kind
 * is unknown to this version, or that are not allowed and belong to no thread: those alone come with their reason,
 * for the others' are in the views of their threads.
 *  Errors: those of fn, NOMEM. */
typedef ENT_RC (*ent_message_fn)(void *context, const ent_thread_message *message, bool readable, ent_err *err);
ENT_RC ent_ledger_walk_apart(const ent_ledger *ledger, ent_moment moment, ent_message_fn fn, void *context,
                             ent_err *err);
/** The conversation that an answer to a message must name as its thread: the message itself when it stands alone. */
ent_ledger_ref ent_ledger_conversation(const ent_ledger *ledger, ent_ledger_ref ref);

/** Kinds that a member may say next in a thread, in the table's order; at most `room`. */
size_t ent_ledger_takes(const ent_thread_view *thread, uint32_t member, const char **ret, size_t room);

/** What one member asked of another in one reciprocal class, and what came back. */
typedef struct {
    size_t class_at;
    uint32_t from; /* who asked */
    uint32_t to;
    uint64_t asked, acknowledged, answered, answered_in_time, granted, refused, overdue;
    uint64_t given;     /* by `from` to `to`: requests of `to` granted, and what `from` told of its own accord */
    uint64_t received;  /* the same in the other direction */
    bool may_hold_back; /* `from` may hold back: it has given `hold_back_at_balance` more than it received */
} ent_balance;

typedef struct {
    uint32_t by;
    uint64_t count;
    uint64_t median_s;
} ent_answer_time;

typedef struct {
    uint32_t by; /* the member that was checked */
    uint64_t asked, answered, missed;
    uint64_t median_s;
    int64_t last_unix_s; /* of the last answer; 0 = none */
} ent_check_record;

typedef struct {
    uint32_t by;
    ent_ledger_ref message;
    int64_t since_unix_s;
} ent_suspension;

typedef struct {
    ent_ledger_ref message;
    ent_hash replaces;
    ent_hash commitment;
    ent_state state; /* PROPOSED, ACCEPTED, WITHDRAWN */
} ent_amendment;

typedef struct {
    const ent_agreement *agreement; /* in force for all; NULL when not readable */
    ent_hash commitment;
    bool terms_known;
    char problem[ENT_REASON_SIZE]; /* why the terms are not readable */
    int64_t end_unix_s;            /* effective; 0 = not known */
    bool in_force;
    ent_balance *balances; /* class by class, from by from, to by to */
    size_t balance_count;
    ent_answer_time *answer_times;
    ent_check_record *checks;
    size_t member_count; /* of both */
    ent_suspension *suspensions;
    size_t suspension_count;
    ent_amendment *amendments;
    size_t amendment_count;
    uint64_t threat_sum;
    ent_text threat_level; /* borrows from the agreement; NULL data without an agreement on it */
    uint64_t duties_open, duties_overdue, duties_in_time, duties_late;
    uint64_t exercise_threads, exercise_duties;
    uint64_t threads, refused, contested, unknown;
} ent_ledger_sums;

/** Sum everything up at a moment: one pass over the threads.  Owns: caller releases with ent_ledger_sums_release. */
ENT_RC ent_ledger_sum(const ent_ledger *ledger, ent_moment moment, ent_ledger_sums *ret, ent_err *err);
void ent_ledger_sums_release(ent_ledger_sums *sums);
/** The agreement in force for all at a moment, and its end as it stands then, without looking at any thread.
 *  @out  ret                 NULL when the terms are not readable or not known; borrows from the ledger
 *  @out  ret_end_unix_s      as in ent_ledger_sums */
ENT_RC ent_ledger_end(const ent_ledger *ledger, ent_moment moment, const ent_agreement **ret, int64_t *ret_end_unix_s,
                      ent_err *err);
/** Whether an incident counts for the threat level at a moment, and how much. */
uint64_t ent_thread_weight(const ent_thread_view *thread, const ent_agreement *agreement, ent_moment moment);

/* --- digests (docs/ledger.md) --- */

/** Gives the root of the first `size` entries of a member's log. */
typedef ENT_RC (*ent_root_fn)(void *context, uint32_t member, uint64_t size, ent_hash *ret, ent_err *err);
/** Lines that say what evidence counts, and those that say what follows from it. The digest of each is its SHA-256.
 *  @in   put   takes the lines piece by piece */
typedef void (*ent_lines_fn)(void *context, ent_text piece);
ENT_RC ent_ledger_evidence_lines(const ent_ledger *ledger, ent_moment moment, ent_root_fn root, void *root_context,
                                 ent_lines_fn put, void *context, ent_err *err);
ENT_RC ent_ledger_state_lines(const ent_ledger *ledger, ent_moment moment, ent_lines_fn put, void *context,
                              ent_err *err);

#endif
