#include "power_cut.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One write that is not synced yet: what the file had there. */
typedef struct undo {
    struct undo *older;
    char *path;
    sqlite3_int64 file_size;
    sqlite3_int64 offset;
    int size;
    char old[];
} undo;

enum { MOST_FILES = 32, MOST_METHODS = 4 };

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    undo *newest;
    unsigned long left;
    struct {
        sqlite3_file *file;
        char *path;
        const sqlite3_io_methods *real;
    } files[MOST_FILES];
    struct {
        const sqlite3_io_methods *real;
        sqlite3_io_methods ours;
    } methods[MOST_METHODS];
} disk;

static size_t slot_of(const sqlite3_file *file)
{
    for (size_t at = 0; at < MOST_FILES; at++) {
        if (disk.files[at].file == file)
            return at;
    }
    abort();
}

static void cut(void)
{
    for (const undo *step = disk.newest; step != NULL; step = step->older) {
        int fd = open(step->path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || pwrite(fd, step->old, (size_t)step->size, step->offset) != step->size ||
            ftruncate(fd, step->file_size) != 0)
            _exit(3);
        (void)close(fd);
    }
    _exit(0);
}

static void count_down(void)
{
    if (--disk.left == 0)
        cut();
}

static int remember(sqlite3_file *file, sqlite3_int64 offset, int size)
{
    size_t slot = slot_of(file);
    sqlite3_int64 file_size = 0;
    int rc = disk.files[slot].real->xFileSize(file, &file_size);
    if (rc != SQLITE_OK)
        return rc;
    int kept = offset >= file_size ? 0 : file_size - offset < size ? (int)(file_size - offset) : size;
    undo *step = calloc(1, sizeof *step + (size_t)kept);
    if (step == NULL)
        return SQLITE_NOMEM;
    *step = (undo){disk.newest, strdup(disk.files[slot].path), file_size, offset, kept};
    if (kept > 0 && (rc = disk.files[slot].real->xRead(file, step->old, kept, offset)) != SQLITE_OK)
        return rc;
    disk.newest = step;
    return SQLITE_OK;
}

static int cut_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    count_down();
    int rc = remember(file, offset, size);
    return rc == SQLITE_OK ? disk.files[slot_of(file)].real->xWrite(file, data, size, offset) : rc;
}

static int cut_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    count_down();
    sqlite3_int64 now = 0;
    int rc = disk.files[slot_of(file)].real->xFileSize(file, &now);
    if (rc == SQLITE_OK && now > size)
        rc = remember(file, size, (int)(now - size));
    return rc == SQLITE_OK ? disk.files[slot_of(file)].real->xTruncate(file, size) : rc;
}

static int cut_sync(sqlite3_file *file, int flags)
{
    count_down();
    size_t slot = slot_of(file);
    int rc = disk.files[slot].real->xSync(file, flags);
    for (undo **link = &disk.newest; rc == SQLITE_OK && *link != NULL;) {
        undo *step = *link;
        if (strcmp(step->path, disk.files[slot].path) != 0) {
            link = &step->older;
            continue;
        }
        *link = step->older;
        free(step->path);
        free(step);
    }
    return rc;
}

static int cut_close(sqlite3_file *file)
{
    size_t slot = slot_of(file);
    int rc = disk.files[slot].real->xClose(file);
    free(disk.files[slot].path);
    memset(&disk.files[slot], 0, sizeof disk.files[slot]);
    return rc;
}

static const sqlite3_io_methods *methods_over(const sqlite3_io_methods *real)
{
    size_t at = 0;
    while (disk.methods[at].real != NULL && disk.methods[at].real != real)
        at++;
    disk.methods[at].real = real;
    disk.methods[at].ours = *real;
    disk.methods[at].ours.xWrite = cut_write;
    disk.methods[at].ours.xTruncate = cut_truncate;
    disk.methods[at].ours.xSync = cut_sync;
    disk.methods[at].ours.xClose = cut_close;
    return &disk.methods[at].ours;
}

/* The file stays the real one; only the table of its methods is exchanged. */
static int cut_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    int rc = disk.real->xOpen(disk.real, name, file, flags, ret_flags);
    if (rc != SQLITE_OK)
        return rc;
    size_t slot = slot_of(NULL);
    disk.files[slot].file = file;
    disk.files[slot].path = strdup(name == NULL ? "" : name);
    disk.files[slot].real = file->pMethods;
    file->pMethods = methods_over(file->pMethods);
    return SQLITE_OK;
}

void power_cut_install(unsigned long nth)
{
    if (sqlite3_initialize() != SQLITE_OK)
        abort();
    disk.real = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real;
    disk.vfs.pNext = NULL;
    disk.vfs.zName = "power-cut";
    disk.vfs.xOpen = cut_open;
    disk.left = nth;
    if (sqlite3_vfs_register(&disk.vfs, 1) != SQLITE_OK)
        abort();
}
