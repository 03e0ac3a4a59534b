/* Reading a backup: its members against the list at its end, and into a folder.  Source: docs/formats.md "Backup". */
#ifndef ENT_CLI_ARCHIVE_H
#define ENT_CLI_ARCHIVE_H

#include "crypto/crypto.h"
#include "keeper/key_file.h"
#include "pouch/ustar.h"

enum { ENT_ARCHIVE_LIST_MAX_BYTES = 256 << 20 };

/** A backup being read. */
typedef struct {
    ent_ustar_reader reader;
    const char *folder; /* NULL = nothing is written */
    ent_key_lock *lock; /* opens the keys; NULL = they are passed over */
    ent_buf list;       /* what has been read, as the list must say it */
    ent_buf text;       /* the member at hand, when it is kept in memory */
    char name[ENT_USTAR_NAME_MAX + 1];
    uint64_t size;
    uint64_t left;
    int fd;
    ent_sha256_state hash;
    bool has_title;
    bool has_list; /* nothing comes after it */
    char party[64 + 1];
    char time[32];
    size_t keys;
    uint64_t bytes;
} ent_archive;

/** @in   folder   of an empty folder to write to; NULL = only check
 *  @in   lock     with a passphrase; NULL = leave the keys */
void ent_archive_begin(ent_archive *archive, const char *folder, ent_key_lock *lock);
/** Errors: PEER_MALFORMED naming what is damaged or does not belong there, REFUSED for a wrong passphrase, IO, IO_FULL,
 * NOMEM. */
ENT_RC ent_archive_push(ent_archive *archive, ent_bytes bytes, ent_err *err);
/** The bytes are over: all that the list names was there, and nothing else. */
ENT_RC ent_archive_finish(ent_archive *archive, ent_err *err);
void ent_archive_release(ent_archive *archive);

#endif
