/* The processes beside the node's own: this program once more, in a role.  Source: design.md section 8. */
#ifndef ENT_NODE_PROCESS_H
#define ENT_NODE_PROCESS_H

#include "base/bytes.h"

#include <sys/types.h>

enum { ENT_PROCESS_MAX_SOCKETS = 4 };

/** A process that this one has started, and the ends of its sockets here. */
typedef struct {
    pid_t id; /* 0 = none */
    int sockets[ENT_PROCESS_MAX_SOCKETS];
    size_t count;
} ent_process;

/** Start this program again with "--ROLE=3,4,…" (the numbers of its ends of `count` sockets), then these arguments.
 * Nothing else that is open here is open there, and signals stay as they are here.
 *  @in   role        an option of entented that is not for people
 *  @in   arguments   ends with NULL
 *  Errors: IO, NOMEM. */
ENT_RC ent_process_start(const char *role, const char *const *arguments, size_t count, ent_process *ret, ent_err *err);
/** Whether it has ended; *ret_how then says how, in a few words. */
bool ent_process_has_ended(ent_process *process, char *ret_how, size_t size);
/** Wait until it ends, which it does when its sockets are closed here. */
void ent_process_wait(ent_process *process);

/** The other side: read the numbers of the sockets.  Errors: USAGE. */
ENT_RC ent_process_sockets(const char *list, int *ret, size_t *ret_count, ent_err *err);
/** How `ps` shows it: at most 15 characters. */
void ent_process_name(const char *name);
/** No core file, no debugger that this user starts, no more rights than now. */
void ent_process_harden(void);
/** Close all but standard input, output and error, and these. */
void ent_process_close_others(const int *sockets, size_t count);

#endif
