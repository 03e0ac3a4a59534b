#include "sandbox/internal.h"

#include <errno.h>
#include <sys/prctl.h>

enum { LANDLOCK_WITH_NETWORK = 4 };

ent_rc ent_sandbox_enter(ent_sandbox_role role, const ent_sandbox_path *paths, size_t count, ent_sandbox_state *ret,
                         ent_err *err)
{
    char reason[128];
    ent_sandbox_state state = {.is_on = true};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ent_fail(err, ENT_IO, "design 8, sandbox", "cannot give up new privileges: %s",
                        strerror_r(errno, reason, sizeof reason));
    ENT_TRY(ent_sandbox_files(role, paths, count, &state.landlock, err));
    ENT_TRY(ent_sandbox_system_calls(role, err));
    state.network_is_denied = role == ENT_SANDBOX_KEEPER && state.landlock >= LANDLOCK_WITH_NETWORK;
    *ret = state;
    return ENT_DONE;
}

void ent_sandbox_describe(const ent_sandbox_state *state, ent_buf *ret)
{
    if (!state->is_on)
        ent_buf_put_string(ret, "off");
    else if (state->landlock == 0)
        ent_buf_put_string(ret, "system calls; not files: this kernel has no Landlock");
    else
        ent_buf_put_format(ret, "system calls, files (Landlock %u)", state->landlock);
}
