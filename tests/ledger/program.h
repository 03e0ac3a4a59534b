/* A channel's life as a row of bytes: each choice is a byte, so that a random row is a random life and a fuzzer can
 * search among them. Most of what is said makes sense; the rest is what a hostile member might try. */
#ifndef ENT_TESTS_LEDGER_PROGRAM_H
#define ENT_TESTS_LEDGER_PROGRAM_H

#include "world.h"

/** Live by the choices until there are none left. The world keeps no ledger.
 *  @in   world   not begun; the caller ends it */
void program_run(world *w, ent_bytes choices);

/** Hold the life to its promises: every order of feeding gives the same lines, the past is what it was, and what is
 * asked before something is said is what is answered afterwards. Ends the process with a word about what is not so.
 *  @in   orders   how many orders of feeding to try */
void program_check(const world *w, uint64_t seed, unsigned orders);

#endif
