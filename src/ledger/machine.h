/* Threads as state machines, each declared as a table that the fold runs and the documents print.  Source: design.md
 * sections 4 and 5.
 *
 * A thread begins with one message. Its machine runs once for every addressee of that message: a *track*. What the
 * opener says moves all tracks it is addressed to, what an addressee says moves his own. */
#ifndef ENT_LEDGER_MACHINE_H
#define ENT_LEDGER_MACHINE_H

#include "ledger/facts.h"

/** Who speaks, seen from the message that began the thread. */
typedef enum { ENT_SIDE_OPENER = 1, ENT_SIDE_ADDRESSEE = 2, ENT_SIDE_EITHER = 3, ENT_SIDE_OTHER = 4 } ent_side;

/** States of all machines; a machine uses some of them. */
typedef enum {
    ENT_STATE_NONE = 0, /* before the first message */
#define X(name, word, closed, text) ENT_STATE_##name,
#include "ledger/states.def"
#undef X
    ENT_STATE_COUNT
} ent_state;

const char *ent_state_word(ent_state state);
/** Nothing more is expected in this state. */
bool ent_state_closed(ent_state state);
/** A sentence for the documents. */
const char *ent_state_text(ent_state state);

/** One arrow: in state `from`, a message of this kind (and outcome) by this side leads to `to`. */
typedef struct {
    ent_state from;
    const char *kind;
    ent_outcome outcome; /* of an answer.response; NONE = any message of the kind */
    ent_side by;
    ent_state to;
    bool all_tracks; /* said by an addressee, it moves the other addressees' tracks too */
} ent_arrow;

typedef struct {
    const char *name;
    const char *text;         /* what it is for, a sentence or two */
    const char *const *kinds; /* that begin such a thread; ends with NULL */
    const ent_arrow *arrows;
    size_t arrow_count;
} ent_machine;

size_t ent_machine_count(void);
const ent_machine *ent_machine_at(size_t at);
/** The machine that a thread begun by this kind runs; NULL for a kind that begins none. */
const ent_machine *ent_machine_of(ent_text kind);
/** The arrow that a message takes, or NULL when there is none. */
const ent_arrow *ent_machine_step(const ent_machine *machine, ent_state from, ent_text kind, ent_outcome outcome,
                                  ent_side by);
/** Whether every thread takes this kind in every state without a change of state. */
bool ent_kind_passes_everywhere(ent_text kind);
const char *const *ent_kinds_everywhere(void); /* ends with NULL */

#endif
