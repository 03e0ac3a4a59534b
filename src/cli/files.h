/* Files that verbs read and make. */
#ifndef ENT_CLI_FILES_H
#define ENT_CLI_FILES_H

#include "cli/cli.h"

#include <sys/types.h>

/** Read a file, or standard input for "-", of at most limit bytes.  Errors: ABSENT, PEER_TOO_LARGE, IO, NOMEM. */
ENT_RC ent_cli_read(const char *path, size_t limit, ent_buf *ret, ent_err *err);
/** Read a passphrase: the file's first line, as `entented` reads it. Warns when others can read it.
 *  @out  ret   wiped by the caller with ent_buf_wipe
 *  Errors: USAGE when it is empty; as above. */
ENT_RC ent_cli_read_passphrase(const char *path, ent_buf *ret, ent_err *err);
/** Open a regular file to send it.  Errors: USAGE when it is none; ABSENT, IO. */
ENT_RC ent_cli_open_file(const char *path, int *ret_fd, uint64_t *ret_size, ent_err *err);
/** Last part of a path. */
const char *ent_cli_base_name(const char *path);

/** A file in the making: it gets its name when it is whole. "-" is standard output. Zero-initialise, release with
 *  ent_cli_output_release, which removes what was not finished. */
typedef struct {
    const char *path; /* borrowed */
    char *temporary;  /* NULL when written in place (standard output, a device, a pipe) */
    int fd;
    bool open;
} ent_cli_output;
/** @in   mode   0600 for what was opened, 0644 for what may be handed on; the umask applies */
ENT_RC ent_cli_output_begin(ent_cli_output *output, const char *path, mode_t mode, ent_err *err);
/** A sink: context is the ent_cli_output. */
ENT_RC ent_cli_output_write(void *context, ent_bytes piece, ent_err *err);
/** Sync and give it its name, replacing a file of that name. */
ENT_RC ent_cli_output_finish(ent_cli_output *output, ent_err *err);
void ent_cli_output_release(ent_cli_output *output);
/** All of it at once. */
ENT_RC ent_cli_write(const char *path, mode_t mode, ent_bytes bytes, ent_err *err);

#endif
