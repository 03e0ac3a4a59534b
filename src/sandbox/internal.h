/* Private to the sandbox. */
#ifndef ENT_SANDBOX_INTERNAL_H
#define ENT_SANDBOX_INTERNAL_H

#include "sandbox/sandbox.h"

/** Allow the role's system calls, refuse all others with EPERM.  Errors: IO. */
ENT_RC ent_sandbox_system_calls(ent_sandbox_role role, ent_err *err);
/** Refuse all files but these. *ret_version 0 when the kernel has no Landlock.  Errors: IO. */
ENT_RC ent_sandbox_files(ent_sandbox_role role, const ent_sandbox_path *paths, size_t count, unsigned *ret_version,
                         ent_err *err);

#endif
