/* What a process in the sandbox still can, and what it no longer can. Each try is a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DONE = 0, CANNOT_ENTER = 99, NO_LANDLOCK = 98 };

static char inside[256]; /* may be read and written */
static char readable[256];
static char outside[256];
static pid_t victim;

/* Gives 0 or the errno of the first thing that failed. */
typedef int (*deed)(void);

static int write_in(const char *folder)
{
    char path[512];
    ent_err err = {0};
    (void)snprintf(path, sizeof path, "%s/new", folder);
    errno = 0;
    ent_rc rc = ent_file_write(path, 0600, ent_bytes_of("x", 1), &err);
    return rc.code == ENT_OK ? 0 : errno == 0 ? EIO : errno;
}

static int read_in(const char *folder)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/old", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char byte;
    int rc = fd < 0 || read(fd, &byte, 1) != 1 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int do_write_inside(void)
{
    return write_in(inside);
}

static int do_create_sync_rename_remove(void)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/folder", inside);
    if (mkdir(path, 0700) != 0 || rmdir(path) != 0)
        return errno;
    (void)snprintf(path, sizeof path, "%s/old", inside);
    return truncate(path, 0) != 0 && errno != EPERM ? errno : unlink(path) != 0 ? errno : 0;
}

static int do_read_readable(void)
{
    return read_in(readable);
}

static int do_write_readable(void)
{
    return write_in(readable);
}

static int do_read_outside(void)
{
    return read_in(outside);
}

static int do_write_outside(void)
{
    return write_in(outside);
}

static int do_exec(void)
{
    char program[] = "/bin/true";
    char *const words[] = {program, NULL};
    (void)execv(program, words);
    return errno;
}

static int do_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? errno : 0;
}

static int do_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, victim, NULL, NULL) != 0 ? errno : 0;
}

static int do_read_memory(void)
{
    char byte;
    struct iovec part = {&byte, 1};
    struct iovec other = {&byte, 1};
    return syscall(SYS_process_vm_readv, victim, &part, 1, &other, 1, 0) < 0 ? errno : 0;
}

static int do_kill(void)
{
    return kill(victim, SIGKILL) != 0 ? errno : 0;
}

static int do_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : close(fd);
}

static int do_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int rc = connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ? errno : 0;
    (void)close(fd);
    return rc;
}

static int do_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int rc = bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0 ? errno : 0;
    (void)close(fd);
    return rc;
}

static int do_new_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? errno : munmap(page, 4096);
}

static void *add_one(void *context)
{
    return (char *)context + 1;
}

static int do_threads(void)
{
    static char place[2];
    pthread_t thread;
    void *got = NULL;
    int rc = pthread_create(&thread, NULL, add_one, place);
    if (rc == 0)
        rc = pthread_join(thread, &got);
    return rc != 0 ? rc : got == place + 1 ? 0 : EIO;
}

static int do_memory_file(void)
{
    int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, "x", 1) != 1 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0)
        return errno;
    return close(fd);
}

static int do_other_sandbox(void)
{
    ent_sandbox_path all = {"/", ENT_SANDBOX_WRITE};
    ent_sandbox_state state;
    (void)ent_sandbox_enter(ENT_SANDBOX_NODE, &all, 1, &state, NULL).code; /* may be refused: as good */
    return read_in(outside);
}

/* In a process of its own, in the sandbox: what became of the deed. */
static int outcome(ent_sandbox_role role, deed what)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const ent_sandbox_path paths[] = {
            {inside, ENT_SANDBOX_WRITE}, {readable, ENT_SANDBOX_READ}, {"/nowhere", ENT_SANDBOX_WRITE}};
        ent_sandbox_state state;
        if (ent_sandbox_enter(role, paths, 3, &state, NULL).code != ENT_OK || !state.is_on)
            _exit(CANNOT_ENTER);
        if (state.landlock == 0 && (what == do_read_outside || what == do_write_outside || what == do_other_sandbox ||
                                    what == do_write_readable))
            _exit(NO_LANDLOCK);
        _exit(what());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(ent_sandbox_role role, deed what, int wanted)
{
    int got = outcome(role, what);
    if (got == NO_LANDLOCK)
        return; /* nothing to see on this kernel; it is said at start */
    assert_int_equal(got, wanted);
}

/* A sanitizer's own calls are let through in its builds: see sandbox/seccomp.c. */
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

static const ent_sandbox_role roles[] = {ENT_SANDBOX_KEEPER, ENT_SANDBOX_NODE};

static void test_sandbox__own_files_and_threads_are_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        expect(roles[i], do_write_inside, DONE);
        expect(roles[i], do_read_readable, DONE);
        expect(roles[i], do_threads, DONE);
        expect(roles[i], do_memory_file, DONE);
    }
    expect(ENT_SANDBOX_NODE, do_create_sync_rename_remove, DONE);
}

static void test_sandbox__other_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        expect(roles[i], do_read_outside, EACCES);
        expect(roles[i], do_write_outside, EACCES);
        expect(roles[i], do_write_readable, EACCES);
    }
}

static void test_sandbox__no_other_program_and_no_other_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        expect(roles[i], do_exec, EPERM);
        if (IS_SANITIZED)
            continue;
        expect(roles[i], do_fork, EPERM);
        expect(roles[i], do_ptrace, EPERM);
        expect(roles[i], do_read_memory, EPERM);
        expect(roles[i], do_kill, EPERM);
    }
    assert_int_equal(kill(victim, 0), 0);
}

static void test_sandbox__network_for_the_node_alone(void **state)
{
    (void)state;
    expect(ENT_SANDBOX_KEEPER, do_socket, EPERM);
    expect(ENT_SANDBOX_KEEPER, do_connect, EPERM);
    expect(ENT_SANDBOX_KEEPER, do_listen, EPERM);
    expect(ENT_SANDBOX_NODE, do_connect, ECONNREFUSED);
    expect(ENT_SANDBOX_NODE, do_listen, DONE);
}

static void test_sandbox__no_new_code_in_the_keeper(void **state)
{
    (void)state;
    if (!IS_SANITIZED)
        expect(ENT_SANDBOX_KEEPER, do_new_code, EPERM);
}

/* A second sandbox may only take more away. */
static void test_sandbox__there_is_no_way_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        expect(roles[i], do_other_sandbox, EACCES);
}

static int make_folders(void **state)
{
    const char *parent = getenv("TMPDIR");
    char *const all[] = {inside, readable, outside};
    char path[512];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(all[i], sizeof inside, "%s/entente-sandbox-XXXXXX", parent == NULL ? "/tmp" : parent);
        if (mkdtemp(all[i]) == NULL)
            return -1;
        (void)snprintf(path, sizeof path, "%s/old", all[i]);
        if (ent_file_write(path, 0600, ent_bytes_of("old", 3), NULL).code != ENT_OK)
            return -1;
    }
    victim = fork();
    if (victim == 0) {
        for (;;)
            (void)pause();
    }
    return victim < 0 ? -1 : 0;
}

static int remove_folders(void **state)
{
    char *const all[] = {inside, readable, outside};
    char path[512];
    (void)state;
    (void)kill(victim, SIGKILL);
    (void)waitpid(victim, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/old", all[i]);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/new", all[i]);
        (void)unlink(path);
        (void)rmdir(all[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox__own_files_and_threads_are_left),
        cmocka_unit_test(test_sandbox__other_files_are_refused),
        cmocka_unit_test(test_sandbox__no_other_program_and_no_other_process),
        cmocka_unit_test(test_sandbox__network_for_the_node_alone),
        cmocka_unit_test(test_sandbox__no_new_code_in_the_keeper),
        cmocka_unit_test(test_sandbox__there_is_no_way_back),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
