#include "base/file.h"

#include "base/clock.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTLE_MS = 2000 };

static ent_rc fail_errno(ent_err *err, const char *what, const char *path)
{
    int number = errno;
    ent_code code = number == ENOENT ? ENT_ABSENT : number == ENOSPC || number == EDQUOT ? ENT_IO_FULL : ENT_IO;
    char reason[128];
    return ent_fail(err, code, NULL, "%s %s: %s", what, path, strerror_r(number, reason, sizeof reason));
}

void ent_file_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

bool ent_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *ent_file_join(const char *folder, const char *name)
{
    size_t folder_size = strlen(folder);
    size_t name_size = strlen(name);
    char *path = ent_alloc(folder_size + name_size + 2);
    if (path == NULL)
        return NULL;
    memcpy(path, folder, folder_size);
    path[folder_size] = '/';
    memcpy(path + folder_size + 1, name, name_size);
    return path;
}

ent_rc ent_file_read_all(int fd, const char *path, size_t limit, ent_buf *ret, ent_err *err)
{
    size_t total = 0;
    for (;;) {
        uint8_t *room = ent_buf_reserve(ret, 65536);
        if (room == NULL)
            return ent_buf_check(ret, err);
        ssize_t got = read(fd, room, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, "cannot read", path);
        if (got == 0)
            return ENT_DONE;
        total += (size_t)got;
        if (total > limit)
            return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "%s is larger than %zu bytes", path, limit);
        ret->size += (size_t)got;
    }
}

ent_rc ent_file_read(const char *path, size_t limit, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot open", path);
    size_t before = ret->size;
    ent_rc rc = ent_file_read_all(fd, path, limit, ret, err);
    if (rc.code != ENT_OK)
        ret->size = before;
    return rc;
}

ent_rc ent_file_read_settled(const char *path, size_t limit, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf before = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf now = {0};
    int64_t until_ms = ent_clock_monotonic_ms() + SETTLE_MS;
    ENT_TRY(ent_file_read(path, limit, &before, err));
    for (;;) {
        ent_buf_clear(&now);
        ENT_TRY(ent_file_read(path, limit, &now, err));
        if (ent_bytes_equal(ent_buf_bytes(&before), ent_buf_bytes(&now)))
            break;
        if (ent_clock_monotonic_ms() > until_ms)
            return ent_fail(err, ENT_RETRY, NULL, "%s changes without a pause; try again when less is going on", path);
        ent_buf swap = before;
        before = now;
        now = swap;
    }
    ent_buf_put(ret, ent_buf_bytes(&now));
    return ent_buf_check(ret, err);
}

ent_rc ent_file_write_all(int fd, ent_bytes bytes, ent_err *err)
{
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail_errno(err, "cannot write", "the file");
        bytes.data += written;
        bytes.size -= (size_t)written;
    }
    return ENT_DONE;
}

ent_rc ent_file_sync_folder(const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot open folder", path);
    if (fsync(fd) != 0)
        return fail_errno(err, "cannot sync folder", path);
    return ENT_DONE;
}

static ent_rc sync_parent(const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *folder = ent_text_copy(ent_text_of(path));
    if (folder == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return ent_file_sync_folder(".", err);
    if (slash == folder)
        slash++;
    *slash = 0;
    return ent_file_sync_folder(folder, err);
}

static ent_rc write_temporary(const char *temporary, int fd, mode_t mode, ent_bytes bytes, ent_err *err)
{
    if (fchmod(fd, mode) != 0)
        return fail_errno(err, "cannot set the mode of", temporary);
    ent_rc rc = ent_file_write_all(fd, bytes, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "%s", temporary);
    if (fsync(fd) != 0)
        return fail_errno(err, "cannot sync", temporary);
    return ENT_DONE;
}

static ent_rc write_file(const char *path, mode_t mode, ent_bytes bytes, bool must_be_new, ent_err *err)
{
    size_t size = strlen(path) + 16;
    ENT_CLEANUP(ent_free_pointer) char *temporary = ent_alloc(size);
    if (temporary == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)snprintf(temporary, size, "%s.XXXXXX", path);
    ENT_CLEANUP(ent_file_close) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot create a file beside", path);
    ent_rc rc = write_temporary(temporary, fd, mode, bytes, err);
    if (rc.code == ENT_OK && must_be_new && link(temporary, path) != 0) {
        rc = errno == EEXIST ? ent_fail(err, ENT_REFUSED, NULL, "%s exists already", path)
                             : fail_errno(err, "cannot create", path);
    } else if (rc.code == ENT_OK && !must_be_new && rename(temporary, path) != 0) {
        rc = fail_errno(err, "cannot replace", path);
    }
    if (rc.code != ENT_OK || must_be_new)
        (void)unlink(temporary);
    ENT_TRY(rc);
    return sync_parent(path, err);
}

ent_rc ent_file_write(const char *path, mode_t mode, ent_bytes bytes, ent_err *err)
{
    return write_file(path, mode, bytes, false, err);
}

ent_rc ent_file_create(const char *path, mode_t mode, ent_bytes bytes, ent_err *err)
{
    return write_file(path, mode, bytes, true, err);
}

ent_rc ent_file_make_folder(const char *path, mode_t mode, ent_err *err)
{
    if (mkdir(path, mode) == 0)
        return sync_parent(path, err);
    struct stat status;
    if (errno == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return ENT_DONE;
    return fail_errno(err, "cannot create folder", path);
}
