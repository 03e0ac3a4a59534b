/* Private to the parts of blobs: blob_parts.c keeps the list, blob_piece.c moves bytes. */
#ifndef ENT_STORE_BLOB_PARTS_INTERNAL_H
#define ENT_STORE_BLOB_PARTS_INTERNAL_H

#include "store/blob_parts.h"

#include <pthread.h>

enum { ENT_PART_SENDER_BYTES = 8 };

/** What has come of one blob from one sender. */
typedef struct ent_part {
    struct ent_part *next;
    ent_hash digest;
    uint8_t sender[ENT_PART_SENDER_BYTES];
    bool has_size; /* not yet after a start: the next request says it */
    uint64_t size;
    uint64_t held;  /* bytes that the hash covers */
    uint64_t found; /* bytes in the file after a start; while held is less the part cannot be used */
    ent_sha256_state hash;
    uint64_t owner; /* number of the request that may write; 0 = none */
    unsigned users; /* requests, and whoever hashes */
    bool asked;     /* somebody waits for the hash */
    bool finishing; /* whole, on its way to its place */
    int64_t touched_unix_s;
} ent_part;

struct ent_blob_parts {
    char *folder; /* of the blobs */
    char *inner;  /* of the parts */
    pthread_mutex_t lock;
    ent_part *first;
    size_t count;
    uint64_t requests; /* counts, so that each has a number */
    uint64_t mismatches;
};

struct ent_blob_piece {
    ent_blob_parts *parts;
    ent_part *part;
    uint64_t number;
    int fd;
    uint64_t size; /* of the whole */
    uint64_t position;
    uint64_t unsynced;
    ent_sha256_state hash;
};

ENT_RC ent_part_fail(ent_err *err, const char *what, const char *path); /* by errno */

/* --- blob_parts.c; with the lock held --- */

ent_part *ent_part_find(ent_blob_parts *parts, const ent_hash *digest, ent_text sender);
/** A new one, for which room is made.  Errors: RETRY, NOMEM. */
ENT_RC ent_part_add(ent_blob_parts *parts, const ent_blob_announced *about, ent_part **ret, ent_err *err);
/** One who used it is done; what holds nothing goes. */
void ent_part_leave(ent_blob_parts *parts, ent_part *part);
/** Begin anew: nothing is held any more. The file goes. */
void ent_part_reset(ent_blob_parts *parts, ent_part *part);
/** Parts of the same blob that nobody writes to: they are wanted no more. */
void ent_part_drop_others(ent_blob_parts *parts, const ent_part *whole);

/** "<inner>/<digest>.<sender>".  Owns: caller frees; NULL when there is no memory. */
char *ent_part_path(const ent_blob_parts *parts, const ent_part *part);

#endif
