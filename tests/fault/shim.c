/* A library that is preloaded into the programs as they ship, and counts or spoils what they ask of the kernel and of
 * the heap. The harness (fault.py) shares one page of memory with it, so that a fault can be armed while a node runs,
 * and one counter serves all processes of a node.
 *
 * A write point is a call that changes a file or a name below the party's folder: open with O_CREAT, write, sync,
 * truncate, rename, link, unlink, mkdir, chmod. A read point opens or reads there. A memory point is an allocation that
 * the program itself asks for, or, in another class, any allocation of any library.
 *
 * It also sets the clock on the wall wrong. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

enum { WRITES = 1, READS = 2, MEMORY = 4, ANY_MEMORY = 8 };
enum { MODE_COUNT = 0, MODE_KILL = 1, MODE_TORN = 2, MODE_ERROR = 3, MODE_SHORT = 4 };
enum { NAME_BYTES = 64, MOST_POINTS = 4096, MOST_FILES = 1024, ROOT_BYTES = 256 };
enum { GO_ON = 0, HALF = -1 };

/* fault.py packs and unpacks it; both change together. */
typedef struct {
    atomic_uint classes;
    atomic_uint mode;
    atomic_uint error;  /* an errno, for MODE_ERROR */
    atomic_uint sticky; /* after the first all later ones fail too */
    atomic_ulong at;    /* the point to spoil, from 1; 0 = none */
    atomic_ulong count; /* points passed since it was armed */
    atomic_ulong hits;
    atomic_long skew_s;    /* how far the clock on the wall is off; the monotonic one is right */
    char root[ROOT_BYTES]; /* absolute, without a slash at its end */
    char where[NAME_BYTES];
    char points[MOST_POINTS][NAME_BYTES];
} shared_state;

static shared_state *shared;
static uintptr_t program_start;
static uintptr_t program_end;
static char paths[MOST_FILES][NAME_BYTES]; /* of descriptors below the root, without it */
static _Thread_local bool inside;

static _Noreturn void die(void)
{
    (void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    (void)syscall(SYS_exit_group, 128 + SIGKILL); /* where a sandbox forbids the first */
    for (;;)
        (void)syscall(SYS_pause);
}

static void name_point(char *ret, const char *call, const char *path)
{
    (void)snprintf(ret, NAME_BYTES, "%s %s", call, path);
}

/* Whether this call is to be spoiled: GO_ON, HALF, or an errno. */
static int point(unsigned class, const char *call, const char *path)
{
    if (shared == NULL || inside || (atomic_load_explicit(&shared->classes, memory_order_relaxed) & class) == 0)
        return GO_ON;
    unsigned long at = atomic_load(&shared->at);
    unsigned long number = atomic_fetch_add(&shared->count, 1) + 1;
    inside = true;
    if (at == 0 && number <= MOST_POINTS)
        name_point(shared->points[number - 1], call, path);
    bool hit = at != 0 && (number == at || (number > at && atomic_load(&shared->sticky) != 0));
    if (hit && atomic_fetch_add(&shared->hits, 1) == 0)
        name_point(shared->where, call, path);
    inside = false;
    if (!hit)
        return GO_ON;
    switch (atomic_load(&shared->mode)) {
    case MODE_KILL:
        die();
    case MODE_TORN:
    case MODE_SHORT:
        return HALF;
    case MODE_ERROR:
        return (int)atomic_load(&shared->error);
    default:
        return GO_ON;
    }
}

/* A call that has no half: torn is killed, short is done. */
static bool spoiled(unsigned class, const char *call, const char *path)
{
    int verdict = point(class, call, path);
    if (verdict == HALF && atomic_load(&shared->mode) == MODE_TORN)
        die();
    if (verdict <= 0)
        return false;
    errno = verdict;
    return true;
}

/* ---- what lies below the root ---- */

static const char *below_root(const char *path)
{
    size_t size = shared == NULL || path == NULL ? 0 : strlen(shared->root);
    return size > 0 && strncmp(path, shared->root, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

static const char *path_of(int fd)
{
    return fd >= 0 && fd < MOST_FILES && paths[fd][0] != 0 ? paths[fd] : NULL;
}

/* The path below the root, or NULL when it is elsewhere. */
static const char *below(int folder, const char *path, char buffer[NAME_BYTES])
{
    const char *parent = path != NULL && path[0] != '/' && folder != AT_FDCWD ? path_of(folder) : NULL;
    if (parent == NULL)
        return below_root(path);
    (void)snprintf(buffer, NAME_BYTES, "%.30s/%.30s", parent, path);
    return buffer;
}

static int remember(int fd, const char *path)
{
    if (fd >= 0 && fd < MOST_FILES)
        (void)snprintf(paths[fd], NAME_BYTES, "%s", path == NULL ? "" : path);
    return fd;
}

static int find_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || (info->dlpi_phdr[i].p_flags & PF_X) == 0)
            continue;
        program_start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        program_end = program_start + info->dlpi_phdr[i].p_memsz;
    }
    return 1; /* the first is the program */
}

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("ENTENTE_FAULT");
    (void)dl_iterate_phdr(find_program, NULL);
    if (name == NULL)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)syscall(SYS_close, fd);
    if (page != MAP_FAILED)
        shared = page;
}

/* The function behind ours; looked up once, without the heap. */
#define REAL(name)                                                                                                     \
    static __typeof__(name) *_Atomic cached;                                                                           \
    __typeof__(name) *real = atomic_load_explicit(&cached, memory_order_relaxed);                                      \
    if (real == NULL) {                                                                                                \
        inside = true;                                                                                                 \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                     \
        inside = false;                                                                                                \
        atomic_store_explicit(&cached, real, memory_order_relaxed);                                                    \
    }

/* ---- opening ---- */

static int open_at(int folder, const char *path, int flags, mode_t mode)
{
    char buffer[NAME_BYTES];
    const char *inner = below(folder, path, buffer);
    bool makes = (flags & O_CREAT) != 0 || (flags & O_TRUNC) != 0;
    if (inner != NULL && spoiled(makes ? WRITES : READS, makes ? "create" : "open", inner))
        return -1;
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    return remember(fd, inner);
}

#define OPEN_MODE                                                                                                      \
    mode_t mode = 0;                                                                                                   \
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                                                                        \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = (mode_t)va_arg(rest, unsigned);                                                                         \
        va_end(rest);                                                                                                  \
    }

SHOWN int open(const char *path, int flags, ...)
{
    OPEN_MODE
    return open_at(AT_FDCWD, path, flags, mode);
}

SHOWN int open64(const char *path, int flags, ...)
{
    OPEN_MODE
    return open_at(AT_FDCWD, path, flags, mode);
}

SHOWN int openat(int folder, const char *path, int flags, ...)
{
    OPEN_MODE
    return open_at(folder, path, flags, mode);
}

SHOWN int openat64(int folder, const char *path, int flags, ...)
{
    OPEN_MODE
    return open_at(folder, path, flags, mode);
}

SHOWN int __open_2(const char *path, int flags);
SHOWN int __open64_2(const char *path, int flags);
SHOWN int __openat_2(int folder, const char *path, int flags);
SHOWN int __openat64_2(int folder, const char *path, int flags);

SHOWN int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

SHOWN int __open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

SHOWN int __openat_2(int folder, const char *path, int flags)
{
    return open_at(folder, path, flags, 0);
}

SHOWN int __openat64_2(int folder, const char *path, int flags)
{
    return open_at(folder, path, flags, 0);
}

SHOWN int mkostemp(char *template, int flags)
{
    REAL(mkostemp)
    const char *inner = below_root(template);
    if (inner != NULL && spoiled(WRITES, "create", inner))
        return -1;
    return remember(real(template, flags), inner);
}

SHOWN int mkostemp64(char *template, int flags)
{
    return mkostemp(template, flags);
}

SHOWN int mkstemp(char *template)
{
    return mkostemp(template, 0);
}

SHOWN int mkstemp64(char *template)
{
    return mkostemp(template, 0);
}

SHOWN int close(int fd)
{
    (void)remember(fd, NULL);
    return (int)syscall(SYS_close, fd);
}

/* ---- writing ---- */

/* The number of bytes to write, or SIZE_MAX with errno set. */
static size_t allowed(int fd, const char *call, size_t size)
{
    const char *path = path_of(fd);
    int verdict = path == NULL ? GO_ON : point(WRITES, call, path);
    if (verdict > 0) {
        errno = verdict;
        return SIZE_MAX;
    }
    return verdict == HALF ? size / 2 : size;
}

/* After half of it was written. */
static ssize_t written(ssize_t done, size_t least, size_t wanted)
{
    if (least < wanted && atomic_load(&shared->mode) == MODE_TORN)
        die();
    return done;
}

SHOWN ssize_t write(int fd, const void *data, size_t size)
{
    size_t least = allowed(fd, "write", size);
    if (least == SIZE_MAX)
        return -1;
    return written(syscall(SYS_write, fd, data, least), least, size);
}

SHOWN ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    size_t least = allowed(fd, "pwrite", size);
    if (least == SIZE_MAX)
        return -1;
    return written(syscall(SYS_pwrite64, fd, data, least, at), least, size);
}

SHOWN ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    return pwrite(fd, data, size, at);
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "writev", path_of(fd)))
        return -1;
    return syscall(SYS_writev, fd, parts, count);
}

SHOWN ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size, unsigned flags)
{
    if (path_of(out) != NULL && spoiled(WRITES, "copy_file_range", path_of(out)))
        return -1;
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
}

SHOWN int ftruncate(int fd, off_t size)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "ftruncate", path_of(fd)))
        return -1;
    return (int)syscall(SYS_ftruncate, fd, size);
}

SHOWN int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

SHOWN int posix_fallocate(int fd, off_t at, off_t size)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "fallocate", path_of(fd)))
        return errno;
    return syscall(SYS_fallocate, fd, 0, at, size) == 0 ? 0 : errno;
}

SHOWN int posix_fallocate64(int fd, off_t at, off_t size)
{
    return posix_fallocate(fd, at, size);
}

SHOWN int fallocate(int fd, int mode, off_t at, off_t size)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "fallocate", path_of(fd)))
        return -1;
    return (int)syscall(SYS_fallocate, fd, mode, at, size);
}

SHOWN int fallocate64(int fd, int mode, off_t at, off_t size)
{
    return fallocate(fd, mode, at, size);
}

SHOWN int fchmod(int fd, mode_t mode)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "fchmod", path_of(fd)))
        return -1;
    return (int)syscall(SYS_fchmod, fd, mode);
}

SHOWN int fsync(int fd)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "fsync", path_of(fd)))
        return -1;
    return (int)syscall(SYS_fsync, fd);
}

SHOWN int fdatasync(int fd)
{
    if (path_of(fd) != NULL && spoiled(WRITES, "fdatasync", path_of(fd)))
        return -1;
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- names ---- */

static bool name_spoiled(const char *call, int folder, const char *path)
{
    char buffer[NAME_BYTES];
    const char *inner = below(folder, path, buffer);
    return inner != NULL && spoiled(WRITES, call, inner);
}

SHOWN int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    if (name_spoiled("rename", to_folder, to))
        return -1;
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}

SHOWN int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (name_spoiled("rename", to_folder, to))
        return -1;
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

SHOWN int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

SHOWN int link(const char *from, const char *to)
{
    if (name_spoiled("link", AT_FDCWD, to))
        return -1;
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

SHOWN int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (name_spoiled("link", to_folder, to))
        return -1;
    return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

SHOWN int unlinkat(int folder, const char *path, int flags)
{
    if (name_spoiled("unlink", folder, path))
        return -1;
    return (int)syscall(SYS_unlinkat, folder, path, flags);
}

SHOWN int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

SHOWN int mkdir(const char *path, mode_t mode)
{
    if (name_spoiled("mkdir", AT_FDCWD, path))
        return -1;
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

SHOWN int mkdirat(int folder, const char *path, mode_t mode)
{
    if (name_spoiled("mkdir", folder, path))
        return -1;
    return (int)syscall(SYS_mkdirat, folder, path, mode);
}

/* ---- reading ---- */

SHOWN ssize_t read(int fd, void *data, size_t size)
{
    if (path_of(fd) != NULL && spoiled(READS, "read", path_of(fd)))
        return -1;
    return syscall(SYS_read, fd, data, size);
}

SHOWN ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    if (path_of(fd) != NULL && spoiled(READS, "pread", path_of(fd)))
        return -1;
    return syscall(SYS_pread64, fd, data, size, at);
}

SHOWN ssize_t pread64(int fd, void *data, size_t size, off_t at)
{
    return pread(fd, data, size, at);
}

/* ---- the clock ---- */

static time_t skew(void)
{
    return shared == NULL ? 0 : atomic_load_explicit(&shared->skew_s, memory_order_relaxed);
}

SHOWN int clock_gettime(clockid_t which, struct timespec *ret)
{
    REAL(clock_gettime)
    int rc = real(which, ret);
    if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        ret->tv_sec += skew();
    return rc;
}

SHOWN time_t time(time_t *ret)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret != NULL)
        *ret = now.tv_sec;
    return now.tv_sec;
}

SHOWN int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now = {0};
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

/* ---- the heap ---- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static bool heap_spoiled(const char *call, const void *caller)
{
    if (shared == NULL || atomic_load_explicit(&shared->classes, memory_order_relaxed) < MEMORY)
        return false;
    uintptr_t at = (uintptr_t)caller;
    bool own = at >= program_start && at < program_end;
    return spoiled(own ? MEMORY | ANY_MEMORY : ANY_MEMORY, call, own ? "program" : "library");
}

SHOWN void *malloc(size_t size)
{
    return heap_spoiled("malloc", __builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

SHOWN void *calloc(size_t count, size_t size)
{
    return heap_spoiled("calloc", __builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

SHOWN void *realloc(void *memory, size_t size)
{
    return heap_spoiled("realloc", __builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}
