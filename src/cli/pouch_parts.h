/* A log that goes by hand, in as many pouches as it takes.
 *
 * The first is the file that was named; FILE.d/<party>_<number>.pouch, from 002 on, go on where the one before ends. */
#ifndef ENT_CLI_POUCH_PARTS_H
#define ENT_CLI_POUCH_PARTS_H

#include "cli/pouch_others.h"

/** What is to be packed. */
typedef struct {
    const char *channel;
    const char *to;
    const char *of;     /* whose log; NULL = ours */
    const char *path;   /* of the first pouch; "-" = standard output, and the others are told of on standard error */
    const char *beside; /* FILE: further ones lie in FILE.d */
} ent_cli_parts;

/** Ask the node for all that the receiver is known to lack, and write it.
 *  @out  ret_bytes   of the first pouch
 *  @out  others      has a line and a row for each further one
 *  Errors: those of the node, PEER_MALFORMED when it gives no pouch, IO. */
ENT_RC ent_cli_parts_export(const ent_cli *cli, const ent_cli_parts *parts, uint64_t *ret_bytes, ent_cli_others *others,
                            ent_err *err);

#endif
