/* The keeper as a process of its own: it alone reads the passphrase and the keys, and has no network.  Source:
 * design.md section 8 "keeper". */
#ifndef ENT_NODE_KEEPER_PROCESS_H
#define ENT_NODE_KEEPER_PROCESS_H

#include "keeper/keeper.h"
#include "node/process.h"

/** The option of entented that makes it a keeper. */
#define ENT_KEEPER_OPTION "keeper"

typedef struct {
    const char *folder;          /* the party's */
    const char *passphrase_file; /* nullable */
    bool no_sandbox;
} ent_keeper_role;

/** Start it and connect to it.
 *  @out  ret_process   ends by itself when the keeper is freed
 *  Errors: those of ent_keeper_open, of reading the passphrase and of entering its sandbox; IO, NOMEM.  Blocks: until
 *  it has its keys. */
ENT_RC ent_keeper_process_start(const ent_keeper_role *role, ent_process *ret_process, ent_keeper **ret_keeper,
                                ent_err *err);
/** Be the keeper, until the node closes the sockets.
 *  @in   sockets   the option's value
 *  Returns the exit status. */
int ent_keeper_process_run(const char *sockets, const ent_keeper_role *role);

#endif
