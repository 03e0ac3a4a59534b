/* Gives up, for good, what a process does not need after its start: system calls by seccomp, files and network by
 * Landlock.  Source: design.md section 8; docs/threat-model.md says against whom. */
#ifndef ENT_SANDBOX_SANDBOX_H
#define ENT_SANDBOX_SANDBOX_H

#include "base/bytes.h"

typedef enum {
    ENT_SANDBOX_KEEPER, /* files and the sockets it has; no network, no new process, no new code */
    ENT_SANDBOX_NODE    /* files, network, threads; no new process */
} ent_sandbox_role;

/** What may still be done with a file or folder and all below it. */
typedef enum {
    ENT_SANDBOX_READ,
    ENT_SANDBOX_WRITE,  /* and read, create, rename, remove */
    ENT_SANDBOX_SOCKETS /* make sockets there, and nothing else */
} ent_sandbox_access;

/** One that does not exist is left out. */
typedef struct {
    const char *path;
    ent_sandbox_access access;
} ent_sandbox_path;

/** What is in force. */
typedef struct {
    bool is_on;             /* seccomp, and no new privileges */
    unsigned landlock;      /* version of Landlock; 0 = this kernel has none, any file may be opened */
    bool network_is_denied; /* by Landlock too: a keeper on Landlock 4 and later */
} ent_sandbox_state;

/** Enter it, for this thread and all that it starts; call it before any other thread is there. There is no way back.
 *  @in   paths   everything else is refused with EACCES; what is open stays open
 *  Errors: IO when the kernel has no seccomp, or refuses a rule: nothing may be relied on then, end the process. */
ENT_RC ent_sandbox_enter(ent_sandbox_role role, const ent_sandbox_path *paths, size_t count, ent_sandbox_state *ret,
                         ent_err *err);

/** In words, for a person: "system calls, files (Landlock 7)". */
void ent_sandbox_describe(const ent_sandbox_state *state, ent_buf *ret);

#endif
