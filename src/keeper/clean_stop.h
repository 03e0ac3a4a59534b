/* The mark of a clean stop: marks/clean, written as the last act.  Source: design.md section 3 "Rollback guard": "A
 * clean stop (marker equal to the keeper's mark, same boot) skips the question". */
#ifndef ENT_KEEPER_CLEAN_STOP_H
#define ENT_KEEPER_CLEAN_STOP_H

#include "base/bytes.h"
#include "crypto/types.h"

enum { ENT_BOOT_ID_MAX_BYTES = 63 };

/** What a start found out. */
typedef struct {
    bool was_clean;
    char boot_id[ENT_BOOT_ID_MAX_BYTES + 1]; /* of the running system; "" = it cannot be told */
} ent_clean_stop;

/** Read the marker and remove it, durably: from now on any stop but a clean one leaves none. Before the keeper opens
 * the marks, which writes them anew.
 *  @out  ret   not clean when there is no marker, or it was written for other marks or for the file that these were
 *              copied from, or before another boot
 *  Errors: IO, NOMEM. */
ENT_RC ent_clean_stop_take(const char *marks_folder, ent_clean_stop *ret, ent_err *err);
/** Write the marker for the marks as they are now; does nothing when the boot cannot be told.  Errors: IO, IO_FULL,
 * NOMEM. */
ENT_RC ent_clean_stop_write(const char *marks_folder, const char *boot_id, ent_err *err);
/** The running system's boot id; "" when it cannot be told. */
void ent_boot_id_read(char ret[ENT_BOOT_ID_MAX_BYTES + 1]);

#endif
