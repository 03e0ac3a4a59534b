/* High-water marks: the largest head signed of each log, kept apart from the store.  Source: design.md section 3
 * "Rollback guard" (1). */
#ifndef ENT_KEEPER_MARKS_H
#define ENT_KEEPER_MARKS_H

#include "keeper/keeper.h"

typedef struct ent_marks ent_marks;

/** What was signed last for (what, origin). */
typedef struct {
    ent_keeper_what what;
    char origin[ENT_ORIGIN_MAX_BYTES + 1];
    ent_tree_head head;
    uint64_t timestamp_unix_s;
} ent_mark;

/** Open or create the file "marks" in a folder. A torn last line was never synced, so nothing was signed on it: it is
 * dropped. Errors: PEER_MALFORMED when a line before the last is damaged, IO, NOMEM. */
ENT_RC ent_marks_open(const char *folder, ent_marks **ret, ent_err *err);
void ent_marks_free(ent_marks *marks);
/** NULL when there is none. Valid until the next ent_marks_put. */
const ent_mark *ent_marks_find(const ent_marks *marks, ent_keeper_what what, ent_text origin);
/** Record a mark in memory and in the file's buffer; durable after ent_marks_sync.  Errors: NOMEM. */
ENT_RC ent_marks_put(ent_marks *marks, const ent_mark *mark, ent_err *err);
/** Write what was put and sync it; nothing to do when nothing was put.  Errors: IO, IO_FULL: the marks must not be
 * relied on, stop. */
ENT_RC ent_marks_sync(ent_marks *marks, ent_err *err);

#endif
