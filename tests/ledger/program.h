/* A channel's life as a row of bytes: each choice is a byte, so that a random row is a random life and a fuzzer can
 * search among them. Most of what is said makes sense; the rest is what a hostile member might try. */
#ifndef ENT_TESTS_LEDGER_PROGRAM_H
#define ENT_TESTS_LEDGER_PROGRAM_H

#include "world.h"

/** Live by the choices until there are none left. The world keeps no ledger.
 *  @in   world   not begun; the caller ends it */
void program_run(world *w, ent_bytes choices);

/** What a life is held to. */
enum {
    PROGRAM_ORDERS = 1,  /* every order of feeding gives the same lines */
    PROGRAM_PAST = 2,    /* an earlier moment is as if nothing later had come */
    PROGRAM_GROWTH = 4,  /* asked before and after, and what is open, while it grows */
    PROGRAM_REMOVAL = 8, /* one message more changes no thread but its own */
    PROGRAM_LOSSES = 16, /* whoever holds the same part of it agrees, too */
    PROGRAM_ALL = 31
};

/** Hold the life to its promises. Ends the process with a word about what is not so.
 *  @in   parts    of those above
 *  @in   orders   how many orders of feeding to try */
void program_check(const world *w, uint64_t seed, unsigned parts, unsigned orders);

#endif
