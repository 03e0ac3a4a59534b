/* A node without listeners, courier and opener: store, keeper, events, one open channel and the sequencer. The store's
 * engine can be made to fail, and counts its commits. */
#ifndef ENT_TESTS_NODE_BENCH_H
#define ENT_TESTS_NODE_BENCH_H

#include "fixture.h"

#include <stdatomic.h>

typedef struct {
    ent_node node;
    char *root;
    ent_channel *channel;
} bench;

/** What the engine under every bench does beside its work. */
typedef struct {
    atomic_int fail_append; /* an ent_code to give instead of appending */
    atomic_int fail_commit; /* an ent_code to give instead of committing; what was written is rolled back */
    atomic_uint commits;
    atomic_uint appends;
    atomic_uint heads; /* signed heads stored */
} bench_engine;
extern bench_engine bench_faults;

/** Make one; the store is in memory unless in_folder.
 *  @in   root   the folder of an earlier bench in a folder; NULL = a new one */
void bench_make(bench *ret, bool in_folder, char *root);
/** Stop and free; the folder stays. */
void bench_stop(bench *b);
/** Stop, free, remove the folder. */
void bench_release(bench *b);

/** Say something; its body holds the number. */
ENT_RC bench_say(bench *b, uint64_t number, uint64_t *ret_index, ent_err *err);
/** Number in the body of an entry that was said. */
uint64_t bench_number(bench *b, uint64_t index);
uint64_t bench_size(bench *b);
/** The stored log is what its head says: tree, edge, tiles, entries, bodies; the keeper's mark is one of its heads. */
void bench_assert_whole(bench *b);

#endif
