/* How far something long has come: one line on standard error, only on a terminal and only when it takes a while. */
#ifndef ENT_CLI_PROGRESS_H
#define ENT_CLI_PROGRESS_H

#include "cli/cli.h"

typedef struct {
    const char *what; /* borrowed; shown safe for a terminal */
    uint64_t total;   /* bytes; 0 = not known */
    int64_t began_ms;
    int64_t shown_ms;
    bool on_terminal;
    bool shown;
} ent_cli_progress;

ent_cli_progress ent_cli_progress_of(const char *what, uint64_t total);
/** So many bytes are done.
 *  @in   context   the ent_cli_progress, so that it may be a callback */
void ent_cli_progress_to(void *context, uint64_t done);
/** Clear the line; for ENT_CLEANUP. */
void ent_cli_progress_end(ent_cli_progress *progress);

/** The line, without moving the cursor: "image.dd: [#####.....]  51%, 1.1 GB of 2.1 GB".
 *  @in   columns   of the terminal */
void ent_cli_progress_put(ent_buf *out, const ent_cli_progress *progress, uint64_t done, size_t columns);

#endif
