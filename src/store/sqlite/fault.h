/* Write faults for tests: a counter under every write, sync and truncation of the database and of body files. */
#ifndef ENT_STORE_SQLITE_FAULT_H
#define ENT_STORE_SQLITE_FAULT_H

#include "store/store.h"

#include <stdatomic.h>

/** Counts down to a failure and counts what was done. Zero-initialised never fails. */
typedef struct {
    atomic_ulong left;  /* 1 = the next one fails */
    atomic_bool sticky; /* after the first failure all later ones fail too */
    atomic_bool failing;
    atomic_ulong hits;  /* failures given so far */
    atomic_ulong syncs; /* of files, database and write-ahead log alike */
} ent_fault;

/** Whether the write that is about to be made has to fail. */
bool ent_fault_hit(ent_fault *fault);

/** Like ent_store_sqlite_fail_at, but every write after the Nth fails too: the disk is gone. */
void ent_store_sqlite_fail_from(ent_store *store, unsigned long nth);
/** Failures injected since the store was opened. */
unsigned long ent_store_sqlite_faults(const ent_store *store);
/** Syncs of the database and its write-ahead log since the store was opened; always 0 in memory. */
unsigned long ent_store_sqlite_syncs(const ent_store *store);

#endif
