#include "http/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

void ent_http_spool_init(ent_http_spool *spool)
{
    *spool = (ent_http_spool){.file = -1};
}

static ent_rc fail_errno(ent_err *err, const char *what, const char *folder)
{
    int number = errno;
    char reason[128];
    return ent_fail(err, number == ENOSPC || number == EDQUOT ? ENT_IO_FULL : ENT_IO, NULL, "%s %s: %s", what, folder,
                    strerror_r(number, reason, sizeof reason));
}

/* For file systems without O_TMPFILE. */
static int open_named(const char *folder)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, ".body.XXXXXX");
    if (path == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int file = mkostemp(path, O_CLOEXEC);
    if (file >= 0)
        (void)unlink(path);
    return file;
}

static ent_rc spill(ent_http_spool *spool, const char *folder, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        file = open_named(folder);
    if (file < 0)
        return fail_errno(err, "cannot make a temporary file in", folder);
    ENT_TRY(ent_file_write_all(file, ent_buf_bytes(&spool->memory), err));
    ent_buf_release(&spool->memory);
    spool->file = file;
    file = -1;
    return ENT_DONE;
}

ent_rc ent_http_spool_put(ent_http_spool *spool, const char *folder, ent_bytes piece, ent_err *err)
{
    if (spool->file < 0 && folder != NULL && spool->memory.size + piece.size > ENT_HTTP_SPILL_BYTES)
        ENT_TRY(spill(spool, folder, err));
    if (spool->file >= 0) {
        ENT_TRY(ent_file_write_all(spool->file, piece, err));
    } else {
        ent_buf_put(&spool->memory, piece);
        ENT_TRY(ent_buf_check(&spool->memory, err));
    }
    spool->size += piece.size;
    return ENT_DONE;
}

ent_rc ent_http_spool_view(ent_http_spool *spool, ent_bytes *ret, ent_err *err)
{
    if (spool->file < 0) {
        *ret = ent_buf_bytes(&spool->memory);
        return ENT_DONE;
    }
    if (spool->map == NULL) {
        void *map = mmap(NULL, (size_t)spool->size, PROT_READ, MAP_PRIVATE, spool->file, 0);
        if (map == MAP_FAILED)
            return fail_errno(err, "cannot map", "a request body");
        spool->map = map;
    }
    *ret = ent_bytes_of(spool->map, (size_t)spool->size);
    return ENT_DONE;
}

void ent_http_spool_release(ent_http_spool *spool)
{
    if (spool->map != NULL)
        (void)munmap(spool->map, (size_t)spool->size);
    ent_file_close(&spool->file);
    ent_buf_release(&spool->memory);
    ent_http_spool_init(spool);
}
