#include "store/blobs.h"

#include "base/alloc.h"
#include "base/file.h"
#include "store/blob_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char temporary_prefix[] = "tmp-";

/* A large file is synced on the way: else its end would keep the disk, and with it every commit, busy for seconds. */
enum { SYNC_BYTES = 8 << 20 };

struct ent_blob_writer {
    char *folder;
    char *temporary; /* NULL once renamed or removed */
    int fd;
    uint64_t limit;
    uint64_t size;
    uint64_t unsynced;
    ent_sha256_state hash;
};

static ent_rc fail_errno(ent_err *err, const char *what, const char *path)
{
    int number = errno;
    char reason[128];
    ent_code code = number == ENOSPC || number == EDQUOT ? ENT_IO_FULL : ENT_IO;
    return ent_fail(err, code, NULL, "cannot %s %s: %s", what, path, strerror_r(number, reason, sizeof reason));
}

static ent_rc fail_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

enum { FOLDER_DIGITS = 2, NAME_DIGITS = 64 };

static char *folder_of(const char *folder, const ent_hash *digest)
{
    char name[FOLDER_DIGITS + 1];
    ent_hex_encode(ent_bytes_of(digest->bytes, 1), name);
    return ent_file_join(folder, name);
}

char *ent_blob_path(const char *folder, const ent_hash *digest)
{
    char name[FOLDER_DIGITS + 1 + NAME_DIGITS + 1];
    ent_hex_encode(ent_bytes_of(digest->bytes, 1), name);
    name[FOLDER_DIGITS] = '/';
    ent_hex_encode(ent_hash_bytes(digest), name + FOLDER_DIGITS + 1);
    return ent_file_join(folder, name);
}

/* ---- writing ---- */

void ent_blob_writer_free(ent_blob_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->fd >= 0 && writer->temporary != NULL)
        (void)unlink(writer->temporary);
    ent_file_close(&writer->fd);
    ent_free(writer->temporary);
    ent_free(writer->folder);
    ent_free(writer);
}

static ent_rc open_temporary(ent_blob_writer *writer, const char *folder, ent_err *err)
{
    char name[sizeof temporary_prefix + 6];
    (void)snprintf(name, sizeof name, "%sXXXXXX", temporary_prefix);
    writer->folder = ent_text_copy(ent_text_of(folder));
    writer->temporary = ent_file_join(folder, name);
    if (writer->folder == NULL || writer->temporary == NULL)
        return fail_memory(err);
    ENT_TRY(ent_file_make_folder(folder, 0700, err));
    writer->fd = mkostemp(writer->temporary, O_CLOEXEC); /* mode 0600 */
    return writer->fd >= 0 ? ENT_DONE : fail_errno(err, "create a file in", folder);
}

ent_rc ent_blob_writer_new(const char *folder, uint64_t limit, ent_blob_writer **ret, ent_err *err)
{
    ent_blob_writer *writer = ent_alloc(sizeof *writer);
    if (writer == NULL)
        return fail_memory(err);
    writer->fd = -1;
    writer->limit = limit;
    ent_sha256_start(&writer->hash);
    ent_rc rc = open_temporary(writer, folder, err);
    if (rc.code != ENT_OK)
        ent_blob_writer_free(writer);
    else
        *ret = writer;
    return rc;
}

ent_rc ent_blob_writer_push(ent_blob_writer *writer, ent_bytes bytes, ent_err *err)
{
    if (writer->fd < 0)
        return ent_fail(err, ENT_USAGE, NULL, "the blob is committed already");
    if (bytes.size > writer->limit - writer->size)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "the attachment is larger than %llu bytes",
                        (unsigned long long)writer->limit);
    ent_rc rc = ent_file_write_all(writer->fd, bytes, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "%s", writer->temporary);
    ent_sha256_update(&writer->hash, bytes);
    writer->size += bytes.size;
    writer->unsynced += bytes.size;
    if (writer->unsynced < SYNC_BYTES)
        return ENT_DONE;
    writer->unsynced = 0;
    return fdatasync(writer->fd) == 0 ? ENT_DONE : fail_errno(err, "sync", writer->temporary);
}

/* A file of that name is the same bytes, but another thread may have renamed it and not have synced the folder yet. */
ent_rc ent_blob_place(const char *folder, const char *temporary, const ent_hash *digest, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *inner = folder_of(folder, digest);
    ENT_CLEANUP(ent_free_pointer) char *path = ent_blob_path(folder, digest);
    if (inner == NULL || path == NULL)
        return fail_memory(err);
    ENT_TRY(ent_file_make_folder(inner, 0700, err));
    if (rename(temporary, path) != 0)
        return fail_errno(err, "rename a file to", path);
    return ent_file_sync_folder(inner, err);
}

ent_rc ent_blob_settle(const char *folder, const ent_hash *digest, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *inner = folder_of(folder, digest);
    return inner == NULL ? fail_memory(err) : ent_file_sync_folder(inner, err);
}

ent_rc ent_blob_writer_commit(ent_blob_writer *writer, const ent_hash *expected, ent_hash *ret_digest,
                              uint64_t *ret_size, ent_err *err)
{
    if (writer->fd < 0)
        return ent_fail(err, ENT_USAGE, NULL, "the blob is committed already");
    ent_sha256_state state = writer->hash;
    ent_hash digest;
    ent_sha256_finish(&state, &digest);
    if (expected != NULL && !ent_hash_equal(expected, &digest))
        return ent_fail(err, ENT_PEER_MISMATCH, NULL, "the attachment's bytes have another digest than its name");
    if (fsync(writer->fd) != 0)
        return fail_errno(err, "sync", writer->temporary);
    ENT_TRY(ent_blob_place(writer->folder, writer->temporary, &digest, err));
    ent_file_close(&writer->fd);
    *ret_digest = digest;
    *ret_size = writer->size;
    return ENT_DONE;
}

/* ---- reading ---- */

ent_rc ent_blob_open(const char *folder, const ent_hash *digest, int *ret_fd, uint64_t *ret_size, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_blob_path(folder, digest);
    if (path == NULL)
        return fail_memory(err);
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return ent_fail(err, ENT_ABSENT, NULL, "the attachment is not held");
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return fail_errno(err, "open", path);
    if (!S_ISREG(status.st_mode))
        return ent_fail(err, ENT_IO, NULL, "%s is not a file", path);
    *ret_size = (uint64_t)status.st_size;
    *ret_fd = fd;
    fd = -1;
    return ENT_DONE;
}

bool ent_blob_exists(const char *folder, const ent_hash *digest)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_blob_path(folder, digest);
    return path != NULL && ent_file_exists(path);
}

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory);
}

ent_rc ent_blob_remove(const char *folder, const ent_hash *digest, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_blob_path(folder, digest);
    if (path == NULL)
        return fail_memory(err);
    return unlink(path) == 0 || errno == ENOENT ? ENT_DONE : fail_errno(err, "remove", path);
}

typedef struct {
    int64_t before_unix_s;
    ent_rc (*row)(void *context, const ent_hash *digest, ent_err *err);
    void *context;
} old_walk;

/* One of the folders "00" to "ff"; it need not exist. */
static ent_rc walk_inner(const char *path, const old_walk *walk, ent_err *err)
{
    ENT_CLEANUP(close_directory) DIR *directory = opendir(path);
    if (directory == NULL)
        return errno == ENOENT ? ENT_DONE : fail_errno(err, "read the folder", path);
    for (;;) {
        ent_hash digest;
        struct stat status;
        errno = 0;
        // cppcheck-suppress readdirCalled ; the stream is this function's own
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            return errno == 0 ? ENT_DONE : fail_errno(err, "read the folder", path);
        bool is_blob =
            strlen(entry->d_name) == NAME_DIGITS &&
            ent_hex_decode(ent_text_of(entry->d_name), digest.bytes, sizeof digest.bytes, NULL).code == ENT_OK;
        if (is_blob && fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime < walk->before_unix_s)
            ENT_TRY(walk->row(walk->context, &digest, err));
    }
}

ent_rc ent_blobs_walk_old(const char *folder, int64_t before_unix_s,
                          ent_rc (*row)(void *context, const ent_hash *digest, ent_err *err), void *context,
                          ent_err *err)
{
    const old_walk walk = {before_unix_s, row, context};
    for (unsigned first = 0; first < 256; first++) {
        ent_hash digest = {{(uint8_t)first}};
        ENT_CLEANUP(ent_free_pointer) char *path = folder_of(folder, &digest);
        if (path == NULL)
            return fail_memory(err);
        ENT_TRY(walk_inner(path, &walk, err));
    }
    return ENT_DONE;
}

ent_rc ent_blobs_clean(const char *folder, ent_err *err)
{
    ENT_CLEANUP(close_directory) DIR *directory = opendir(folder);
    if (directory == NULL)
        return errno == ENOENT ? ENT_DONE : fail_errno(err, "read the folder", folder);
    for (;;) {
        errno = 0;
        // cppcheck-suppress readdirCalled ; the stream is this function's own
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            return errno == 0 ? ENT_DONE : fail_errno(err, "read the folder", folder);
        if (strncmp(entry->d_name, temporary_prefix, sizeof temporary_prefix - 1) != 0)
            continue;
        if (unlinkat(dirfd(directory), entry->d_name, 0) != 0 && errno != ENOENT)
            return fail_errno(err, "remove a temporary file in", folder);
    }
}
