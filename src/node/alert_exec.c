#include "node/alert.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 20, QUOTED_BYTES = 160 };

/* A program under way. */
typedef struct {
    pid_t process; /* also its group; 0 = none */
    int input;     /* memory file with the JSON: read at any pace, or not at all, it makes nobody wait */
    int errors;    /* what it writes to standard error; -1 once closed */
    int errors_in;
    char quoted[QUOTED_BYTES + 1];
    size_t quoted_size;
} program;

static void release_program(program *running)
{
    ent_file_close(&running->input);
    ent_file_close(&running->errors);
    ent_file_close(&running->errors_in);
}

static ent_rc fail_system(ent_err *err, const char *what, int number)
{
    char reason[128];
    return ent_fail(err, number == ENOMEM ? ENT_NOMEM : ENT_IO, NULL, "cannot %s: %s", what,
                    strerror_r(number, reason, sizeof reason));
}

static ent_rc prepare(program *running, ent_text json, ent_err *err)
{
    int ends[2];
    running->input = memfd_create("alert", MFD_CLOEXEC);
    if (running->input < 0)
        return fail_system(err, "make a memory file", errno);
    ENT_TRY(ent_file_write_all(running->input, ent_text_bytes(json), err));
    if (lseek(running->input, 0, SEEK_SET) != 0)
        return fail_system(err, "rewind a memory file", errno);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail_system(err, "make a pipe", errno);
    running->errors = ends[0];
    running->errors_in = ends[1];
    if (fcntl(running->errors, F_SETFL, O_NONBLOCK) != 0)
        return fail_system(err, "set up a pipe", errno);
    return ENT_DONE;
}

/* Standard input, output and error and nothing else; signals as a shell would have them (entented blocks some). */
static int set_up(const program *running, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t standard;
    int rc = posix_spawn_file_actions_adddup2(actions, running->input, STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, running->errors_in, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    (void)sigemptyset(&none);
    (void)sigfillset(&standard);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &standard);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes,
                                      POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return rc;
}

static ent_rc start(program *running, const char *path, const char *what, ent_err *err)
{
    char what_variable[64];
    char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char language_variable[] = "LANG=C.UTF-8";
    char name[] = "entente-alert";
    char *const arguments[] = {name, NULL};
    char *const environment[] = {path_variable, language_variable, what_variable, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    (void)snprintf(what_variable, sizeof what_variable, "ENTENTE_ALERT=%s", what);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    int rc = set_up(running, &actions, &attributes);
    if (rc == 0)
        rc = posix_spawn(&running->process, path, &actions, &attributes, arguments, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    if (rc != 0) {
        running->process = 0;
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_buf_put_format(&text, "run %.200s", path);
        const char *string = ent_buf_string(&text);
        return fail_system(err, string == NULL ? "run the program" : string, rc);
    }
    ent_file_close(&running->errors_in); /* now the end of its output is the end of the pipe */
    return ENT_DONE;
}

/* Take what it has said meanwhile: only the beginning is kept, but all is read, so that it never waits for us. */
static void listen_to(program *running)
{
    char piece[4096];
    ssize_t got = 0;
    while (running->errors >= 0 && (got = read(running->errors, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return; /* nothing more has come yet */
        for (ssize_t i = 0; i < got && running->quoted_size < QUOTED_BYTES; i++)
            running->quoted[running->quoted_size++] = piece[i] >= ' ' && piece[i] <= '~' ? piece[i] : ' ';
    }
    ent_file_close(&running->errors);
}

/* Its group goes with it: a program that hangs mostly waits for one of its own. */
static void kill_all(const program *running)
{
    int status = 0;
    (void)kill(-running->process, SIGKILL);
    while (waitpid(running->process, &status, 0) < 0 && errno == EINTR)
        ;
}

static ent_rc wait_for(program *running, const char *path, uint32_t timeout_ms, const atomic_bool *stop,
                       int *ret_status, ent_err *err)
{
    int64_t until = ent_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        struct pollfd ready = {.fd = running->errors, .events = POLLIN}; /* poll(2): a negative fd is ignored */
        (void)poll(&ready, 1, LOOK_MS);
        listen_to(running);
        pid_t ended = waitpid(running->process, ret_status, WNOHANG);
        if (ended == running->process) {
            listen_to(running);
            return ENT_DONE;
        }
        if (ended < 0 && errno != EINTR)
            return fail_system(err, "wait for the program", errno);
        if (stop != NULL && atomic_load(stop)) {
            kill_all(running);
            return ent_fail(err, ENT_RETRY, NULL, "broken off: the node stops");
        }
        if (ent_clock_monotonic_ms() >= until) {
            kill_all(running);
            return ent_fail(err, ENT_UNREACHABLE, NULL, "%.200s was killed: it took longer than %u s", path,
                            (unsigned)((timeout_ms + 999) / 1000));
        }
    }
}

ent_rc ent_alert_execute(const char *path, const char *what, ent_text json, uint32_t timeout_ms,
                         const atomic_bool *stop, ent_err *err)
{
    ENT_CLEANUP(release_program) program running = {.input = -1, .errors = -1, .errors_in = -1};
    int status = 0;
    ENT_TRY(prepare(&running, json, err));
    ENT_TRY(start(&running, path, what, err));
    ENT_TRY(wait_for(&running, path, timeout_ms, stop, &status, err));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ENT_DONE;
    if (WIFEXITED(status))
        return ent_fail(err, ENT_REFUSED, NULL, "%.200s ended with status %d%s%s", path, WEXITSTATUS(status),
                        running.quoted_size == 0 ? "" : ": ", running.quoted);
    return ent_fail(err, ENT_REFUSED, NULL, "%.200s was ended by signal %d%s%s", path, WTERMSIG(status),
                    running.quoted_size == 0 ? "" : ": ", running.quoted);
}
