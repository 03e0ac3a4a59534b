#include "node/process.h"

#include "base/cursor.h"
#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 16 };

static ent_rc fail_system(ent_err *err, const char *what, int number)
{
    char reason[128];
    return ent_fail(err, number == ENOMEM ? ENT_NOMEM : ENT_IO, NULL, "cannot %s: %s", what,
                    strerror_r(number, reason, sizeof reason));
}

/* Each of its ends keeps its number there: duplicated onto itself it is no longer closed on exec. */
static int keep_open(posix_spawn_file_actions_t *actions, const int *theirs, size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = posix_spawn_file_actions_adddup2(actions, theirs[i], theirs[i]);
    return rc;
}

static ent_rc spawn(const char *role, const char *const *arguments, const int *theirs, size_t count, pid_t *ret,
                    ent_err *err)
{
    char program[] = "entented";
    char option[128];
    char *words[MOST_ARGUMENTS] = {program, option};
    size_t used = 2;
    int length = snprintf(option, sizeof option, "--%s=", role);
    for (size_t i = 0; i < count; i++)
        length += snprintf(option + length, sizeof option - (size_t)length, "%s%d", i == 0 ? "" : ",", theirs[i]);
    for (; *arguments != NULL && used < MOST_ARGUMENTS - 1; arguments++)
        words[used++] = (char *)(uintptr_t)*arguments; /* posix_spawn does not write to them */
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    int rc = keep_open(&actions, theirs, count);
    if (rc == 0)
        rc = posix_spawn(ret, "/proc/self/exe", &actions, NULL, words, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? ENT_DONE : fail_system(err, "start entented once more (is /proc mounted?)", rc);
}

static void close_all(int *sockets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ent_file_close(&sockets[i]);
}

ent_rc ent_process_start(const char *role, const char *const *arguments, size_t count, ent_process *ret, ent_err *err)
{
    ent_process process = {.count = count};
    int theirs[ENT_PROCESS_MAX_SOCKETS];
    ent_rc rc = ENT_DONE;
    for (size_t i = 0; i < count; i++)
        process.sockets[i] = theirs[i] = -1;
    for (size_t i = 0; i < count && rc.code == ENT_OK; i++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
            rc = fail_system(err, "make a pair of sockets", errno);
            continue;
        }
        process.sockets[i] = ends[0];
        theirs[i] = ends[1];
    }
    if (rc.code == ENT_OK)
        rc = spawn(role, arguments, theirs, count, &process.id, err);
    close_all(theirs, count);
    if (rc.code != ENT_OK) {
        close_all(process.sockets, count);
        return rc;
    }
    *ret = process;
    return ENT_DONE;
}

bool ent_process_has_ended(ent_process *process, char *ret_how, size_t size)
{
    int status = 0;
    if (process->id == 0 || waitpid(process->id, &status, WNOHANG) != process->id)
        return false;
    process->id = 0;
    if (WIFSIGNALED(status))
        (void)snprintf(ret_how, size, "ended by signal %d", WTERMSIG(status));
    else
        (void)snprintf(ret_how, size, "ended with status %d", WEXITSTATUS(status));
    return true;
}

void ent_process_wait(ent_process *process)
{
    int status = 0;
    while (process->id != 0 && waitpid(process->id, &status, 0) < 0 && errno == EINTR)
        ;
    process->id = 0;
}

ent_rc ent_process_sockets(const char *list, int *ret, size_t *ret_count, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(ent_text_of(list)));
    size_t count = 0;
    do {
        if (count == ENT_PROCESS_MAX_SOCKETS)
            return ent_fail(err, ENT_USAGE, NULL, "too many sockets");
        ret[count++] = (int)ent_cursor_decimal(&cursor, INT16_MAX);
    } while (ent_cursor_accept(&cursor, ENT_TEXT(",")));
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_USAGE, NULL, "the option is for entented itself: it starts its own helpers");
    *ret_count = count;
    return ENT_DONE;
}

void ent_process_name(const char *name)
{
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

void ent_process_harden(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void ent_process_close_others(const int *sockets, size_t count)
{
    unsigned from = STDERR_FILENO + 1;
    for (;;) {
        unsigned next = UINT32_MAX; /* the lowest of those to keep from here on */
        for (size_t i = 0; i < count; i++) {
            if ((unsigned)sockets[i] >= from && (unsigned)sockets[i] < next)
                next = (unsigned)sockets[i];
        }
        if (next > from)
            (void)close_range(from, next - 1, 0);
        if (next == UINT32_MAX)
            return;
        from = next + 1;
    }
}
