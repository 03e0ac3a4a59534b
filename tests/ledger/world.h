/* A channel in memory for tests of the ledger: members say things, hear and receipt each other, and whatever they do is
 * evidence that can be fed to a ledger in any order that causality allows. */
#ifndef ENT_TESTS_LEDGER_WORLD_H
#define ENT_TESTS_LEDGER_WORLD_H

#include "ledger/ledger.h"

enum { WORLD_MAX_MEMBERS = 8, WORLD_MAX_VIEW = 64 };

/* A day in 2024, a Monday, on which worlds begin. */
#define WORLD_BEGIN 1717977600LL /* 2024-06-10T00:00:00Z */

typedef struct {
    ent_entry entry;
    ent_hash leaf;
    ent_facts facts; /* borrow from the world */
} world_message;

typedef struct {
    bool is_receipt;
    uint32_t member; /* whose log */
    uint64_t index;  /* of the entry */
    uint32_t receiver;
    uint64_t size;
    int64_t time;
} world_event;

typedef struct {
    ent_arena arena;
    ent_genesis genesis;
    ent_hash channel;
    uint32_t member_count;
    int64_t now;
    ent_ledger *ledger; /* fed with everything at once; NULL = none is kept */
    struct {
        world_message **messages;
        size_t count;
        size_t capacity;
        ent_text origin;
        uint64_t held[WORLD_MAX_MEMBERS];  /* of other logs */
        uint64_t acked[WORLD_MAX_MEMBERS]; /* of other logs */
    } logs[WORLD_MAX_MEMBERS];
    world_event *events; /* in the order in which they happened */
    size_t event_count;
    size_t event_capacity;
    ent_hash commitment; /* of the terms of the genesis */
    uint64_t nonce;
} world;

/** What is said, besides who says what. */
typedef struct {
    const ent_ledger_ref *reply_to;
    uint32_t to;      /* bits; 0 = all */
    ent_facts *facts; /* NULL = readable, nothing else */
    ent_urgency urgency;
    bool exercise;
    bool unreadable;
    int64_t time;                 /* 0 = now */
    const ent_ledger_ref *thread; /* NULL = that of reply_to */
    bool no_acks;                 /* says nothing of what was held; that is made up for later */
} saying;

enum { A, B, C, D };

/** Begin: members a.example, b.example …; each has said channel.genesis and holds and has receipted the others'.
 *  @in   terms   JSON; NULL for terms that are no agreement */
void world_begin(world *w, uint32_t members, const char *terms);
/** The same without a ledger, and without the entries 0. */
void world_begin_bare(world *w, uint32_t members, const char *terms);
void world_end(world *w);

/** Say something with acks of all that the member holds. */
ent_ledger_ref world_say(world *w, uint32_t member, const char *kind, const saying *how);
#define SAY(w, member, kind, ...) world_say((w), (member), (kind), &(saying){__VA_ARGS__})
/** How the next entry of a member would look: not added. */
void world_draft(world *w, uint32_t member, const char *kind, const saying *how, world_message *ret);
/** An answer.response. */
ent_ledger_ref world_answer(world *w, uint32_t member, ent_ledger_ref to, ent_outcome outcome, int64_t until);
/** A proposal.accept of the body of a message. */
ent_ledger_ref world_accept(world *w, uint32_t member, ent_ledger_ref to);
/** A channel.amendment with terms and a salt that a number gives. */
ent_ledger_ref world_amend(world *w, uint32_t member, const ent_hash *replaces, const char *terms, uint8_t salt);
void world_commitment(const char *terms, uint8_t salt, ent_hash *ret);
/** The terms of a body for ent_facts; the buffer is the caller's. */
void world_facts_terms(ent_facts *facts, const char *terms, uint8_t salt);

/** `to` holds all of `from` by now. */
void world_deliver(world *w, uint32_t from, uint32_t to);
/** … and says so, as of a time. */
void world_receipt(world *w, uint32_t from, uint32_t to, int64_t time);
/** Everybody holds and receipts everything, now. */
void world_meet(world *w);
void world_pass(world *w, int64_t seconds);

world_message *world_at(const world *w, ent_ledger_ref ref);

/** Feed events to a ledger, each as soon as causality allows. */
void world_feed_event(const world *w, ent_ledger *ledger, const world_event *event);
ent_ledger *world_ledger(const world *w);
/** A ledger of all events in a random order that causality allows. */
ent_ledger *world_shuffled(const world *w, uint64_t *seed);
/** The same of some of the events: those for which `keep` is true, if they can be fed. */
ent_ledger *world_partly(const world *w, const bool *keep);

void world_state(const ent_ledger *ledger, ent_moment moment, ent_buf *ret);
void world_evidence(const world *w, const ent_ledger *ledger, ent_moment moment, ent_buf *ret);

/** A copy of a thread's view that outlives the walk. */
typedef struct {
    ent_thread_view view;
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    ent_duty *duties;             /* of static memory, until the next call */
    ent_thread_message *messages; /* likewise */
    ent_ledger_ref *evidence;     /* likewise */
} world_thread;
world_thread world_thread_of(const world *w, ent_ledger_ref ref);
ent_state world_state_of(const world *w, ent_ledger_ref ref, uint32_t member);
ent_reason world_reason_of(const world *w, ent_ledger_ref ref);
/** The duty because of a message; fails the test when there is none. */
ent_duty world_duty(const world *w, ent_ledger_ref ref, ent_duty_type type, uint32_t debtor);
bool world_has_duty(const world *w, ent_ledger_ref ref, ent_duty_type type, uint32_t debtor);
/** Why the member may not say this now; ALLOWED. Holds allows and judge to each other. */
ent_reason world_may(world *w, uint32_t member, const char *kind, const saying *how);
#define MAY(w, member, kind, ...) world_may((w), (member), (kind), &(saying){__VA_ARGS__})
ent_moment world_now(const world *w);

uint64_t world_random(uint64_t *seed);
uint64_t world_below(uint64_t *seed, uint64_t limit);

#endif
