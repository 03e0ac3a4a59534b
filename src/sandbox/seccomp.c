#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* Names and not numbers: what an architecture lacks (open, on arm64) is left out there. */
static const char *const both[] = {
    /* memory and threads */
    "brk", "futex", "futex_waitv", "get_robust_list", "madvise", "membarrier", "mincore", "mlock", "mlock2", "mremap",
    "munlock", "munmap", "restart_syscall", "rseq", "sched_getaffinity", "sched_yield", "set_robust_list",
    "set_tid_address",
    /* time and itself */
    "clock_getres", "clock_gettime", "clock_nanosleep", "exit", "exit_group", "getegid", "geteuid", "getgid", "getpid",
    "getppid", "getrandom", "getrlimit", "gettid", "gettimeofday", "getuid", "nanosleep", "time", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "tgkill", "uname",
    /* files: which ones, Landlock says */
    "access", "chmod", "close", "close_range", "dup", "faccessat", "faccessat2", "fallocate", "fchmod", "fchmodat",
    "fcntl", "fdatasync", "fgetxattr", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64",
    "link", "linkat", "lseek", "lstat", "memfd_create", "mkdir", "mkdirat", "newfstatat", "open", "openat", "pread64",
    "preadv", "pwrite64", "pwritev", "read", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2",
    "rmdir", "stat", "statfs", "statx", "unlink", "unlinkat", "write", "writev",
    /* sockets that are there */
    "poll", "ppoll", "recvmsg", "sendmsg", "shutdown"};

static const char *const node_only[] = {"accept",          "accept4",     "bind",           "connect",
                                        "copy_file_range", "dup3",        "epoll_create1",  "epoll_ctl",
                                        "epoll_pwait",     "epoll_wait",  "eventfd2",       "fadvise64",
                                        "fchown",          "getpeername", "getpriority",    "getsockname",
                                        "getsockopt",      "ioctl",       "listen",         "mprotect",
                                        "msync",           "pipe2",       "posix_fadvise",  "pselect6",
                                        "recvfrom",        "recvmmsg",    "sched_getparam", "sched_getscheduler",
                                        "select",          "sendfile",    "sendmmsg",       "sendto",
                                        "setsockopt",      "socket",      "socketpair",     "splice",
                                        "sync_file_range", "sysinfo",     "timerfd_create", "timerfd_settime",
                                        "truncate",        "utimensat",   "wait4",          "waitid"};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* What the sanitizers' own code calls: they look at all threads' memory at the end. Never in a build that ships. */
static const char *const sanitizers[] = {
    "arch_prctl",       "clone",  "mprotect",          "personality", "prctl", "prlimit64",
    "process_vm_readv", "ptrace", "sched_setaffinity", "wait4",       "kill"};

static ent_rc fail_rule(ent_err *err, const char *what, int number)
{
    char reason[128];
    return ent_fail(err, ENT_IO, "design 8, sandbox", "seccomp: cannot %s: %s", what,
                    strerror_r(-number, reason, sizeof reason));
}

static ent_rc allow_all(scmp_filter_ctx filter, const char *const *names, size_t count, ent_err *err)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number < 0)
            continue; /* not on this architecture, or newer than the library */
        int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (rc != 0)
            return fail_rule(err, names[i], rc);
    }
    return ENT_DONE;
}

/* Threads but no processes. clone3 keeps its flags in memory, where no filter sees them: as if it did not exist, and
 * the C library takes clone. */
static int allow_threads(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    return rc != 0 ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Memory, of which a keeper's never becomes code. The node may load a library to resolve a name (nsswitch.conf). */
static int allow_memory(scmp_filter_ctx filter, ent_sandbox_role role)
{
    if (role == ENT_SANDBOX_NODE || IS_SANITIZED)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0);
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return rc != 0 ? rc
                   : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* To ask for its limits, not to change them; to name its threads. */
static int allow_parts(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0));
    return rc != 0 ? rc
                   : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
}

static ent_rc fill(scmp_filter_ctx filter, ent_sandbox_role role, ent_err *err)
{
    ENT_TRY(allow_all(filter, both, sizeof both / sizeof *both, err));
    if (role == ENT_SANDBOX_NODE)
        ENT_TRY(allow_all(filter, node_only, sizeof node_only / sizeof *node_only, err));
    if (IS_SANITIZED)
        ENT_TRY(allow_all(filter, sanitizers, sizeof sanitizers / sizeof *sanitizers, err));
    int rc = allow_threads(filter);
    if (rc == 0)
        rc = allow_memory(filter, role);
    if (rc == 0 && !IS_SANITIZED)
        rc = allow_parts(filter);
    return rc == 0 ? ENT_DONE : fail_rule(err, "make a rule", rc);
}

ent_rc ent_sandbox_system_calls(ent_sandbox_role role, ent_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: fewer steps for each call */
    ent_rc rc = fill(filter, role, err);
    if (rc.code == ENT_OK) {
        int loaded = seccomp_load(filter);
        if (loaded != 0)
            rc = fail_rule(err, "load the filter (a kernel without it? --no-sandbox goes on without)", loaded);
    }
    seccomp_release(filter);
    return rc;
}
