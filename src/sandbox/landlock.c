#include "sandbox/internal.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's headers know Landlock 2; what the running kernel has beyond is asked of it. */
enum { VERSION_REFER = 2, VERSION_TRUNCATE = 3, VERSION_NETWORK = 4, VERSION_DEVICES = 5, VERSION_SCOPES = 6 };
#define RIGHT_TRUNCATE (1ULL << 14)
#define RIGHT_DEVICES (1ULL << 15)
#define NETWORK_BIND (1ULL << 0)
#define NETWORK_CONNECT (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS (1ULL << 1)

typedef struct {
    uint64_t files;
    uint64_t network; /* from version 4 on */
    uint64_t scoped;  /* from version 6 on */
} ruleset;

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                                                                        \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                  \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER | RIGHT_TRUNCATE)
#define NEVER                                                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |                        \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | RIGHT_DEVICES)
/* The rights that make sense for a file; the others are for folders, and the kernel refuses them for a file. */
#define OF_A_FILE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | RIGHT_TRUNCATE)

static ent_rc fail_landlock(ent_err *err, const char *what)
{
    char reason[128];
    return ent_fail(err, ENT_IO, "design 8, sandbox", "Landlock: cannot %s: %s", what,
                    strerror_r(errno, reason, sizeof reason));
}

/* Rights over files that this version knows. */
static uint64_t known_rights(unsigned version)
{
    uint64_t rights = READING | WRITING | NEVER;
    if (version < VERSION_REFER)
        rights &= ~LANDLOCK_ACCESS_FS_REFER;
    if (version < VERSION_TRUNCATE)
        rights &= ~RIGHT_TRUNCATE;
    if (version < VERSION_DEVICES)
        rights &= ~RIGHT_DEVICES;
    return rights;
}

static size_t ruleset_size(unsigned version)
{
    if (version >= VERSION_SCOPES)
        return sizeof(ruleset);
    return version >= VERSION_NETWORK ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static ent_rc allow(int rules, uint64_t known, const ent_sandbox_path *path, ent_err *err)
{
    struct stat status;
    ENT_CLEANUP(ent_file_close) int fd = open(path->path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return ENT_DONE; /* it is not there */
    uint64_t rights = path->access == ENT_SANDBOX_SOCKETS ? LANDLOCK_ACCESS_FS_MAKE_SOCK
                      : path->access == ENT_SANDBOX_WRITE ? READING | WRITING
                                                          : READING;
    struct landlock_path_beneath_attr rule = {.allowed_access = known & rights, .parent_fd = fd};
    if (!S_ISDIR(status.st_mode))
        rule.allowed_access &= OF_A_FILE;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        return fail_landlock(err, path->path);
    return ENT_DONE;
}

ent_rc ent_sandbox_files(ent_sandbox_role role, const ent_sandbox_path *paths, size_t count, unsigned *ret_version,
                         ent_err *err)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        *ret_version = 0;
        return ENT_DONE;
    }
    ruleset handled = {.files = known_rights((unsigned)version), .scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS};
    if (role == ENT_SANDBOX_KEEPER)
        handled.network = NETWORK_BIND | NETWORK_CONNECT; /* and no rule allows any */
    ENT_CLEANUP(ent_file_close)
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, ruleset_size((unsigned)version), 0);
    if (rules < 0)
        return fail_landlock(err, "make a set of rules");
    for (size_t i = 0; i < count; i++)
        ENT_TRY(allow(rules, handled.files, &paths[i], err));
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        return fail_landlock(err, "restrict this process");
    *ret_version = (unsigned)version;
    return ENT_DONE;
}
