#include "keeper/clean_stop.h"

#include "base/alloc.h"
#include "base/file.h"
#include "crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MARKER_MAX_BYTES = 4096, MARKS_MAX_BYTES = 1 << 30 };

static const char first_line[] = "entente.clean/v1\n";

void ent_boot_id_read(char ret[ENT_BOOT_ID_MAX_BYTES + 1])
{
    memset(ret, 0, ENT_BOOT_ID_MAX_BYTES + 1);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, ret, ENT_BOOT_ID_MAX_BYTES);
    if (fd >= 0)
        (void)close(fd);
    for (ssize_t i = 0; i < ENT_BOOT_ID_MAX_BYTES; i++) {
        if (i >= size || ret[i] == '\n')
            ret[i] = 0;
    }
}

/* A copy that was brought back is another file, and was changed later, whatever else it has in common. */
static ent_rc put_identity(const char *path, ent_buf *ret, ent_err *err)
{
    struct stat status = {0};
    if (stat(path, &status) != 0 && errno != ENOENT)
        return ent_fail(err, ENT_IO, NULL, "cannot look at %s", path);
    ent_buf_put_format(ret, "%llu %llu %lld.%09ld\n", (unsigned long long)status.st_dev,
                       (unsigned long long)status.st_ino, (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    return ent_buf_check(ret, err);
}

/* "entente.clean/v1\n<SHA-256 of marks/marks, hex>\n<its device, inode and time of change>\n<boot id>\n" */
static ent_rc put_marker(const char *marks_folder, const char *boot_id, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(marks_folder, "marks");
    ENT_CLEANUP(ent_buf_release) ent_buf marks = {0};
    ent_hash digest;
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_rc rc = ent_file_read(path, MARKS_MAX_BYTES, &marks, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT) /* absent: nothing was ever signed */
        return rc;
    ent_sha256(ent_buf_bytes(&marks), &digest);
    ent_buf_put_string(ret, first_line);
    ent_buf_put_hex(ret, ent_hash_bytes(&digest));
    ent_buf_put_u8(ret, '\n');
    ENT_TRY(put_identity(path, ret, err));
    ent_buf_put_string(ret, boot_id);
    ent_buf_put_u8(ret, '\n');
    return ent_buf_check(ret, err);
}

ent_rc ent_clean_stop_take(const char *marks_folder, ent_clean_stop *ret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(marks_folder, "clean");
    ENT_CLEANUP(ent_buf_release) ent_buf found = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf wanted = {0};
    ent_clean_stop stop = {.was_clean = false};
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_boot_id_read(stop.boot_id);
    if (ent_file_exists(path)) {
        ent_rc rc = ent_file_read(path, MARKER_MAX_BYTES, &found, err);
        if (rc.code != ENT_OK && rc.code != ENT_PEER_TOO_LARGE) /* too large: none of ours */
            return rc;
        ENT_TRY(put_marker(marks_folder, stop.boot_id, &wanted, err));
        stop.was_clean =
            rc.code == ENT_OK && stop.boot_id[0] != 0 && ent_bytes_equal(ent_buf_bytes(&found), ent_buf_bytes(&wanted));
        if (unlink(path) != 0)
            return ent_fail(err, ENT_IO, NULL, "cannot remove %s: check that its folder can be written to", path);
        ENT_TRY(ent_file_sync_folder(marks_folder, err));
    }
    *ret = stop;
    return ENT_DONE;
}

ent_rc ent_clean_stop_write(const char *marks_folder, const char *boot_id, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(marks_folder, "clean");
    ENT_CLEANUP(ent_buf_release) ent_buf marker = {0};
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (boot_id[0] == 0)
        return ENT_DONE;
    ENT_TRY(ent_file_make_folder(marks_folder, 0700, err));
    ENT_TRY(put_marker(marks_folder, boot_id, &marker, err));
    return ent_file_write(path, 0600, ent_buf_bytes(&marker), err);
}
