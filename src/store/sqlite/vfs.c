#include "store/sqlite/vfs.h"

#include "base/alloc.h"

#include <sqlite3.h>
#include <stdio.h>

struct ent_vfs {
    sqlite3_vfs base;
    sqlite3_vfs *real;
    ent_fault *fault;
    char name[32];
};

/* The real file lies right behind; szOsFile makes the room. */
typedef struct {
    sqlite3_file base;
    ent_fault *fault;
} shim_file;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)((shim_file *)file + 1);
}

static ent_fault *fault_of(sqlite3_file *file)
{
    return ((shim_file *)file)->fault;
}

bool ent_fault_hit(ent_fault *fault)
{
    if (atomic_load(&fault->failing)) {
        (void)atomic_fetch_add(&fault->hits, 1);
        return true;
    }
    unsigned long left = atomic_load(&fault->left);
    while (left != 0 && !atomic_compare_exchange_weak(&fault->left, &left, left - 1))
        continue;
    if (left != 1)
        return false;
    atomic_store(&fault->failing, atomic_load(&fault->sticky));
    (void)atomic_fetch_add(&fault->hits, 1);
    return true;
}

/* ---- files ---- */

static int file_close(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xClose(real);
}

static int file_read(sqlite3_file *file, void *out, int size, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xRead(real, out, size, offset);
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    if (ent_fault_hit(fault_of(file)))
        return SQLITE_IOERR_WRITE;
    sqlite3_file *real = real_of(file);
    return real->pMethods->xWrite(real, data, size, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (ent_fault_hit(fault_of(file)))
        return SQLITE_IOERR_TRUNCATE;
    sqlite3_file *real = real_of(file);
    return real->pMethods->xTruncate(real, size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    if (ent_fault_hit(fault_of(file)))
        return SQLITE_IOERR_FSYNC;
    (void)atomic_fetch_add(&fault_of(file)->syncs, 1);
    sqlite3_file *real = real_of(file);
    return real->pMethods->xSync(real, flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileSize(real, ret_size);
}

static int file_lock(sqlite3_file *file, int lock)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xLock(real, lock);
}

static int file_unlock(sqlite3_file *file, int lock)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xUnlock(real, lock);
}

static int file_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xCheckReservedLock(real, ret_reserved);
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileControl(real, operation, argument);
}

static int file_sector_size(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xSectorSize(real);
}

static int file_characteristics(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xDeviceCharacteristics(real);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmMap(real, page, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmLock(real, offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    real->pMethods->xShmBarrier(real);
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xShmUnmap(real, remove);
}

/* Version 2 leaves out xFetch: nothing is mapped, so that memory stays small and an I/O error is never a SIGBUS. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the file system ---- */

static sqlite3_vfs *real_vfs(sqlite3_vfs *vfs)
{
    return ((ent_vfs *)vfs)->real;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    shim_file *shim = (shim_file *)file;
    shim->base.pMethods = NULL;
    shim->fault = ((ent_vfs *)vfs)->fault;
    int rc = real_vfs(vfs)->xOpen(real_vfs(vfs), name, real_of(file), flags, ret_flags);
    /* "if the xOpen method sets the sqlite3_file.pMethods element to a non-NULL pointer, then the
     * sqlite3_io_methods.xClose method may be invoked even if the xOpen reported that it failed" (c3ref/io_methods). */
    if (real_of(file)->pMethods != NULL)
        shim->base.pMethods = &methods;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    return real_vfs(vfs)->xDelete(real_vfs(vfs), name, sync_folder);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return real_vfs(vfs)->xAccess(real_vfs(vfs), name, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *ret)
{
    return real_vfs(vfs)->xFullPathname(real_vfs(vfs), name, size, ret);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *ret)
{
    return real_vfs(vfs)->xRandomness(real_vfs(vfs), size, ret);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return real_vfs(vfs)->xSleep(real_vfs(vfs), microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    return real_vfs(vfs)->xCurrentTime(real_vfs(vfs), ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *ret)
{
    return real_vfs(vfs)->xGetLastError(real_vfs(vfs), size, ret);
}

static int vfs_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    return real_vfs(vfs)->xCurrentTimeInt64(real_vfs(vfs), ret);
}

ent_rc ent_vfs_new(ent_fault *fault, ent_vfs **ret, ent_err *err)
{
    if (sqlite3_initialize() != SQLITE_OK)
        return ent_fail(err, ENT_NOMEM, NULL, "SQLite cannot start");
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (real == NULL || real->iVersion < 2)
        return ent_fail(err, ENT_BUG, NULL, "SQLite was built without a file system");
    ent_vfs *vfs = ent_alloc(sizeof *vfs);
    if (vfs == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    vfs->real = real;
    vfs->fault = fault;
    (void)snprintf(vfs->name, sizeof vfs->name, "ent-%p", (void *)vfs);
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(shim_file) + real->szOsFile,
        .mxPathname = real->mxPathname,
        .zName = vfs->name,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time_int64,
    };
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        ent_free(vfs);
        return ent_fail(err, ENT_NOMEM, NULL, "SQLite takes no file system");
    }
    *ret = vfs;
    return ENT_DONE;
}

void ent_vfs_free(ent_vfs *vfs)
{
    if (vfs == NULL)
        return;
    (void)sqlite3_vfs_unregister(&vfs->base);
    ent_free(vfs);
}

const char *ent_vfs_name(const ent_vfs *vfs)
{
    return vfs->name;
}
