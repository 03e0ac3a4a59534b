/* A text that a person writes in an editor. */
#ifndef ENT_CLI_EDIT_H
#define ENT_CLI_EDIT_H

#include "cli/cli.h"

/** A file being written, in a folder of its own that nobody else can read. Zero-initialise, release with
 *  ent_cli_edit_release, which leaves the file there: call ent_cli_edit_discard when it is not needed any more. */
typedef struct {
    char *folder;
    char *path;
} ent_cli_edited;

/** Whether what was written will do.
 *  @out  ret   what it stands for
 *  Errors: shown to the person, who may edit again. */
typedef ENT_RC (*ent_cli_edit_check)(void *context, ent_text written, ent_buf *ret, ent_err *err);

/** Open the editor ($VISUAL, $EDITOR, else one that is there) on a text until the check passes or the person gives up;
 *  asks only on a terminal.
 *  @in   name   of the file
 *  @out  edited   the file stays also when the person gives up
 *  Errors: those of the check; REFUSED when the editor failed or the file was emptied; IO, NOMEM. */
ENT_RC ent_cli_edit(const char *name, ent_text text, ent_cli_edit_check check, void *context, ent_cli_edited *edited,
                    ent_buf *ret, ent_err *err);
/** Replace what is in the file.  Errors: IO, IO_FULL. */
ENT_RC ent_cli_edit_rewrite(const ent_cli_edited *edited, ent_text text, ent_err *err);
/** Remove the file and what the editor left beside it. */
void ent_cli_edit_discard(ent_cli_edited *edited);
void ent_cli_edit_release(ent_cli_edited *edited);

#endif
