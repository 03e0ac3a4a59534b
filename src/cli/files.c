#include "cli/files.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_MAX_BYTES = 4096 };

static ent_rc fail_errno(ent_err *err, const char *what, const char *path)
{
    int number = errno;
    char reason[128];
    ent_code code = number == ENOENT ? ENT_ABSENT : number == ENOSPC || number == EDQUOT ? ENT_IO_FULL : ENT_IO;
    return ent_fail(err, code, NULL, "cannot %s %s: %s", what, path, strerror_r(number, reason, sizeof reason));
}

ent_rc ent_cli_read(const char *path, size_t limit, ent_buf *ret, ent_err *err)
{
    if (strcmp(path, "-") == 0)
        return ent_file_read_all(STDIN_FILENO, "standard input", limit, ret, err);
    return ent_file_read(path, limit, ret, err);
}

ent_rc ent_cli_read_passphrase(const char *path, ent_buf *ret, ent_err *err)
{
    struct stat status;
    if (ent_buf_reserve(ret, 65536 * 2) == NULL) /* no copy stays behind a growing buffer */
        return ent_buf_check(ret, err);
    ENT_TRY(ent_cli_read(path, PASSPHRASE_MAX_BYTES, ret, err));
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) != 0)
        ent_cli_note("warning: others can read %s; chmod 600 it", path);
    const uint8_t *newline = ret->size == 0 ? NULL : memchr(ret->data, '\n', ret->size);
    if (newline != NULL)
        ret->size = (size_t)(newline - ret->data);
    if (ret->size == 0)
        return ent_fail(err, ENT_USAGE, NULL,
                        "the first line of %s is empty: put a passphrase into it, or leave --passphrase-file out",
                        path);
    return ENT_DONE;
}

ent_rc ent_cli_open_file(const char *path, int *ret_fd, uint64_t *ret_size, ent_err *err)
{
    struct stat status;
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0)
        return fail_errno(err, "open", path);
    if (!S_ISREG(status.st_mode))
        return ent_fail(err, ENT_USAGE, NULL, "%s is not a regular file; its size must be known before it is sent",
                        path);
    *ret_fd = fd;
    *ret_size = (uint64_t)status.st_size;
    fd = -1;
    return ENT_DONE;
}

const char *ent_cli_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* No fchmod: file systems of USB sticks refuse it, so the mode is given when the file is made. */
static ent_rc make_temporary(ent_cli_output *output, mode_t mode, ent_err *err)
{
    size_t size = strlen(output->path) + 32;
    output->temporary = ent_alloc(size);
    if (output->temporary == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (unsigned number = 0; number < 1000; number++) {
        (void)snprintf(output->temporary, size, "%s.part%u-%ld", output->path, number, (long)getpid());
        output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (output->fd >= 0) {
            output->open = true;
            return ENT_DONE;
        }
        if (errno != EEXIST)
            break;
    }
    ent_rc rc = fail_errno(err, "create", output->path);
    ent_free_pointer(&output->temporary);
    return rc;
}

ent_rc ent_cli_output_begin(ent_cli_output *output, const char *path, mode_t mode, ent_err *err)
{
    struct stat status;
    *output = (ent_cli_output){.path = path, .fd = -1};
    if (strcmp(path, "-") == 0) {
        output->fd = STDOUT_FILENO;
        output->open = true;
        return ENT_DONE;
    }
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return make_temporary(output, mode, err);
    if (S_ISDIR(status.st_mode))
        return ent_fail(err, ENT_USAGE, NULL, "%s is a folder; name a file", path);
    output->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (output->fd < 0)
        return fail_errno(err, "open", path);
    output->open = true;
    return ENT_DONE;
}

ent_rc ent_cli_output_write(void *context, ent_bytes piece, ent_err *err)
{
    ent_cli_output *output = context;
    ent_rc rc = ent_file_write_all(output->fd, piece, err);
    return rc.code == ENT_OK ? rc : ent_fail_in(err, rc, "%s", output->path);
}

ent_rc ent_cli_output_finish(ent_cli_output *output, ent_err *err)
{
    if (output->temporary == NULL)
        return ENT_DONE;
    if (fsync(output->fd) != 0)
        return fail_errno(err, "sync", output->path);
    if (rename(output->temporary, output->path) != 0)
        return fail_errno(err, "make", output->path);
    ent_free_pointer(&output->temporary);
    return ENT_DONE;
}

void ent_cli_output_release(ent_cli_output *output)
{
    if (output->temporary != NULL)
        (void)unlink(output->temporary);
    ent_free_pointer(&output->temporary);
    if (output->open && output->fd != STDOUT_FILENO)
        (void)close(output->fd);
    *output = (ent_cli_output){.fd = -1};
}

ent_rc ent_cli_write(const char *path, mode_t mode, ent_bytes bytes, ent_err *err)
{
    ENT_CLEANUP(ent_cli_output_release) ent_cli_output output = {.fd = -1};
    ENT_TRY(ent_cli_output_begin(&output, path, mode, err));
    ENT_TRY(ent_cli_output_write(&output, bytes, err));
    return ent_cli_output_finish(&output, err);
}
