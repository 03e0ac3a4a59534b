/* Attachments beside a pouch on a stick: FILE.d/<sha256 of the sealed bytes>, a file each. */
#ifndef ENT_CLI_POUCH_BLOBS_H
#define ENT_CLI_POUCH_BLOBS_H

#include "cli/cli.h"

/** What became of them. Release with ent_cli_blobs_release. */
typedef struct {
    ent_buf json; /* rows {"file","digest","bytes","state","text"} with commas between */
    ent_buf text; /* lines for a person */
    size_t moved;
    uint64_t bytes; /* of those moved */
    size_t refused; /* their bytes are not those of their name, say */
} ent_cli_blobs;
void ent_cli_blobs_release(ent_cli_blobs *blobs);

/** Write what the member has not said to hold; what lies there already stays. FILE.d is made when there is something.
 *  @in   file   of the pouch; not "-"
 *  Errors: those of the node and of the disk: what is written by then is whole. */
ENT_RC ent_cli_blobs_export(const ent_cli *cli, const char *channel, const char *to, const char *file,
                            ent_cli_blobs *ret, ent_err *err);
/** Hand what lies there to the node. One that is refused is told in *ret and stops no other.
 *  Errors: the node does not answer, a file cannot be read. */
ENT_RC ent_cli_blobs_import(const ent_cli *cli, const char *file, ent_cli_blobs *ret, ent_err *err);

#endif
