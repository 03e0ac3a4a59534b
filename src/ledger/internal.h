/* What the ledger keeps of each message and thread. Private to the stage. */
#ifndef ENT_LEDGER_INTERNAL_H
#define ENT_LEDGER_INTERNAL_H

#include "ledger/ledger.h"
#include "log/tree.h"

enum { ENT_CHUNK_MESSAGES = 1024 };
#define ENT_NO_THREAD UINT32_MAX

typedef struct ent_thread ent_thread;
typedef struct ent_amended ent_amended;

/** One message: what of its entry and body can matter later. */
typedef struct ent_message {
    struct ent_message *next; /* in its thread, in the order of arrival: of one writer, ascending */
    struct ent_extra *extra;  /* NULL for most */
    const ent_kind *kind;     /* NULL = unknown to this version */
    uint64_t index;
    uint64_t reply_index; /* when reply_member is a member */
    int64_t time_unix_s;  /* its writer's claim */
    uint64_t leaf_prefix; /* first 8 bytes of the leaf hash: breaks ties */
    uint32_t thread;      /* ENT_NO_THREAD: none */
    uint32_t to;          /* bit per addressee; 0 = all */
    uint8_t member;
    uint8_t reply_member; /* UINT8_MAX = none */
    uint8_t urgency;
    uint8_t outcome;
    uint8_t severity;
    uint8_t reason; /* ent_reason that no order can change: what its writer knew forbids it */
    bool exercise;
    bool readable;
    bool is_reply;
    bool replies;    /* it has its place behind the message that it answers */
    uint64_t seen[]; /* per member: entries of its log that the writer had acked by then; own: index */
} ent_message;

/** A chain of messages that refer to one. */
typedef struct ent_link {
    struct ent_link *next;
    const ent_message *message;
} ent_link;

/** What few messages have. In the ledger's arena. */
typedef struct ent_extra {
    ent_hash body_digest; /* of the sealed body */
    ent_hash digest;      /* proposal.accept: what is accepted */
    bool has_digest;
    bool clarifies;
    bool declines_extension;
    bool has_nonce;
    bool has_echo;
    uint8_t nonce[ENT_FACTS_NONCE_SIZE];
    uint8_t echo[ENT_FACTS_NONCE_SIZE];
    int64_t until_unix_s;
    ent_text *systems;
    size_t system_count;
    ent_amended *amendment;    /* of a channel.amendment */
    const ent_message *recall; /* the first recall of this message by its writer */
    ent_link *evidence;        /* of a claim: items that refer to it, or that it refers to */
    bool has_continues;
    ent_message_ref continues; /* a message of the channel before; its name is in the ledger's arena */
} ent_extra;

/** Terms of the channel: those of the genesis, or an amendment that proposes others in their place. */
struct ent_amended {
    const ent_message *message; /* NULL: the genesis */
    const ent_amended *parent;  /* what it replaces */
    uint32_t depth;             /* how many it stands on */
    ent_hash commitment;
    ent_agreement *agreement; /* owned; NULL = not readable */
    char problem[ENT_REASON_SIZE];
    bool withdrawn;
    uint64_t withdrawn_at;                              /* index in its writer's log */
    uint32_t accepted;                                  /* bits; its writer's own proposal counts */
    uint32_t rejected;                                  /* bits */
    uint64_t said_at[ENT_ENTRY_MAX_MEMBERS];            /* index of the accept or reject in that member's log */
    const ent_message *declines[ENT_ENTRY_MAX_MEMBERS]; /* a member's first refusal to extend these terms */
    ent_amended *next;                                  /* in the order of arrival */
};

/** A thread as the ledger follows it: begun by one message. */
struct ent_thread {
    ent_message *first;
    ent_message *last;
    const ent_machine *machine;
    const ent_message *root;  /* of the conversation that the entries' `thread` names */
    const ent_amended *terms; /* in force for its first message */
    uint32_t number;
    uint32_t count;
    bool is_open; /* in the list of threads that may have open duties */
    uint32_t open_next, open_before;
    uint32_t *by_writer; /* messages of each member */
};

/** The earliest receipts of one log by one receiver: sizes and times both ascend strictly. */
typedef struct {
    struct ent_covered {
        uint64_t size;
        int64_t time_unix_s;
    } * rows;
    size_t count;
    size_t capacity;
} ent_frontier;

/** A member's suspend and resume messages that changed something, by index. */
typedef struct {
    const ent_message **rows; /* even places suspend, odd ones resume */
    size_t count;
    size_t capacity;
} ent_toggles;

/** Entries of a log that a revoked key may have signed: from one on, up to the message that says so. */
typedef struct {
    struct ent_contested {
        uint64_t from;
        uint64_t until; /* index of that message */
    } * rows;
    size_t count;
    size_t capacity;
} ent_contests;

struct ent_ledger {
    ent_hash channel;
    const ent_genesis *genesis;
    uint32_t member_count;
    size_t stride; /* bytes of one message */
    ent_arena arena;
    struct {
        uint8_t **chunks;
        size_t chunk_count;
        size_t chunk_capacity;
        uint64_t size;
        uint64_t acked[ENT_ENTRY_MAX_MEMBERS];
        ent_tree tree;
        ent_frontier receipts[ENT_ENTRY_MAX_MEMBERS];
        ent_toggles toggles;
        ent_contests contests;
        const ent_amended *stands_by; /* the last that this member proposed or accepted */
        const ent_carried *carried;   /* duties of its own from the channel before, as its first entry lists them */
        size_t carried_count;
        uint64_t reordered_from,
            reordered_until; /* entries whose evidence has changed since the open threads were walked */
    } logs[ENT_ENTRY_MAX_MEMBERS];
    ent_thread **threads; /* chunks */
    size_t thread_chunks;
    size_t thread_chunk_capacity;
    uint32_t thread_count;
    uint32_t open_first;

    ent_amended base;   /* of the genesis */
    uint32_t base_said; /* bits of the members whose first entry shows them */
    ent_amended *amendments;
    ent_amended *amendments_last;
    const ent_amended **complete; /* accepted by every member, those that stand on fewer first */
    size_t complete_count;
    size_t complete_capacity;
};

/* ledger.c */
/** Records it and gives NOMEM. */
ENT_RC ent_ledger_no_memory(ent_err *err);
/** Make room for one more in an array that doubles; false without memory. */
bool ent_ledger_grow(void *array, size_t count, size_t *capacity, size_t size);
void ent_thread_open(ent_ledger *ledger, ent_thread *thread);
ent_message *ent_ledger_message(const ent_ledger *ledger, uint32_t member, uint64_t index);
/** The message that another answers; NULL when it answers none that is held. */
ent_message *ent_ledger_target(const ent_ledger *ledger, const ent_message *message);
/** What few messages have, as far as it does not need the ledger's memory. */
void ent_extra_fill(ent_extra *extra, const ent_entry *entry, const ent_facts *facts);
ent_thread *ent_ledger_thread_at(const ent_ledger *ledger, uint32_t number);

/* receipts.c */
/** The earliest receipt by `receiver` that covers an entry, dated no later than `until`; false when there is none. */
bool ent_ledger_receipt_of(const ent_ledger *ledger, uint32_t member, uint32_t receiver, uint64_t index, int64_t until,
                           int64_t *ret_time, uint64_t *ret_size);
/** The earliest receipt of an entry by any other member; INT64_MAX when there is none. */
int64_t ent_ledger_first_evidence(const ent_ledger *ledger, const ent_message *message, int64_t until);
/** How many entries of each log count at a moment. */
void ent_ledger_cut(const ent_ledger *ledger, int64_t until, uint64_t ret_cut[ENT_ENTRY_MAX_MEMBERS]);

/* carry.c: duties of the channel before */
/** Keep the rows of a member's first entry that bind it. */
ENT_RC ent_carry_base(ent_ledger *ledger, uint32_t member, const ent_facts *facts, ent_err *err);
/** Keep the name of what a message continues.
 *  @in   extra   of a message in the ledger */
ENT_RC ent_carry_continues(ent_ledger *ledger, ent_extra *extra, const ent_facts *facts, ent_err *err);
/** The at-th duty that a debtor has accepted because of what a message continues; NULL beyond the last. A message
 * continues only what its own writer said. */
const ent_carried *ent_carry_at(const ent_ledger *ledger, const ent_message *message, uint32_t debtor, size_t at);

/* admit.c: what the writer knew decides, whatever the order */
/** How many entries of each log a member knows when he writes an entry; of his own, its index. */
void ent_message_seen(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, uint64_t *ret);
/** Fill a message from an entry and its facts, and say what no order can change.
 *  @in   ret   ledger->stride bytes, zeroed */
void ent_message_fill(const ent_ledger *ledger, uint32_t member, const ent_entry *entry, const ent_facts *facts,
                      ent_message *ret);
/** The thread that a message joins; NULL when it begins one of its own, or belongs to none. */
ent_thread *ent_message_joins(const ent_ledger *ledger, const ent_message *message);
/** Whether a message that joins no thread begins one. */
bool ent_message_begins(const ent_message *message);
void ent_reason_text(const ent_ledger *ledger, const ent_message *message, ent_reason reason, ent_state state,
                     char ret[ENT_REASON_SIZE]);
/** Whether a message's writer knew an entry when he wrote it. */
bool ent_message_knows(const ent_message *message, uint32_t member, uint64_t index);
bool ent_message_is(const ent_message *message, const char *kind);
/** Bits of the members that a message addresses. */
uint32_t ent_message_addressees(const ent_ledger *ledger, const ent_message *message);
/** Whether it lies on the table: an accept names its body. */
bool ent_message_offers(const ent_message *message);

/* terms.c */
/** The terms in force for what a message's writer knew. */
const ent_amended *ent_terms_for(const ent_ledger *ledger, const ent_message *message);
/** The terms in force for somebody who knows so many entries of each log. */
const ent_amended *ent_terms_at(const ent_ledger *ledger, const uint64_t *cut);
/** An amendment's own entry, an accept, a reject, a withdrawal: what they change. */
ENT_RC ent_terms_follow(ent_ledger *ledger, ent_message *message, const ent_facts *facts, ent_err *err);
/** REASON_TERMS or REASON_SECOND_AMENDMENT, or ALLOWED. */
ent_reason ent_terms_admit(const ent_ledger *ledger, const ent_message *message, const ent_facts *facts);
/** What a member's first entry shows of the terms of the genesis. */
ENT_RC ent_terms_base(ent_ledger *ledger, uint32_t member, const ent_facts *facts, ent_err *err);
void ent_terms_release(ent_ledger *ledger);

#endif
