#include "store/blob_parts_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/blob_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    SYNC_BYTES = 2 << 20,   /* what may wait for a sync: none takes long */
    SLICE_BYTES = 32 << 20, /* hashed in one go */
    READ_BYTES = 256 << 10
};

/* --- beginning --- */

/* Not while its hash is unknown; and one that has every byte only lacks its place, which the next look gives it. */
static bool is_ready(const ent_part *part)
{
    bool has_all = part->has_size && part->size > 0 && part->held == part->size;
    return part->held >= part->found && !part->finishing && !has_all;
}

static ent_rc not_ready(ent_part *part, ent_err *err)
{
    part->asked = true;
    return ent_fail(err, ENT_RETRY, "docs/formats.md",
                    "what is held of this attachment is being read again; ask again in a moment");
}

/* The part as this request finds it; NULL = nothing has come. */
static ent_part *look_up(ent_blob_parts *parts, const ent_blob_announced *about)
{
    ent_part *part = ent_part_find(parts, &about->digest, about->sender);
    if (part == NULL)
        return NULL;
    if (part->finishing)
        return part;
    bool other = part->has_size && part->size != about->size; /* another entry says another size: one of them lies */
    if (about->anew || other || part->found > about->size)
        ent_part_reset(parts, part);
    part->has_size = true;
    part->size = about->size;
    return part;
}

ent_rc ent_blob_parts_ask(ent_blob_parts *parts, const ent_blob_announced *about, uint64_t *ret_held, ent_err *err)
{
    (void)pthread_mutex_lock(&parts->lock);
    ent_part *part = look_up(parts, about);
    ent_rc rc = part == NULL || is_ready(part) ? ENT_DONE : not_ready(part, err);
    if (rc.code == ENT_OK)
        *ret_held = part == NULL ? 0 : part->held;
    (void)pthread_mutex_unlock(&parts->lock);
    return rc;
}

/* With the lock held: the request takes over the part. */
static ent_rc take_over(ent_blob_piece *piece, const ent_blob_announced *about, uint64_t *ret_held, ent_err *err)
{
    ent_blob_parts *parts = piece->parts;
    ent_part *part = look_up(parts, about);
    uint64_t held = part == NULL ? 0 : part->held;
    if (part != NULL && !is_ready(part))
        return not_ready(part, err);
    if (about->first != held) {
        *ret_held = held;
        return ent_fail(err, ENT_PEER_STALE, "docs/formats.md",
                        "%llu bytes of this attachment are held here, so the next piece begins there, not at %llu",
                        (unsigned long long)held, (unsigned long long)about->first);
    }
    if (part == NULL)
        ENT_TRY(ent_part_add(parts, about, &part, err));
    part->has_size = true;
    part->size = about->size;
    part->owner = ++parts->requests;
    part->users++;
    part->touched_unix_s = ent_clock_unix_s();
    piece->part = part;
    piece->number = part->owner;
    piece->size = about->size;
    piece->position = held;
    piece->hash = part->hash;
    return ENT_DONE;
}

static ent_rc open_file(ent_blob_piece *piece, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_part_path(piece->parts, piece->part);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    bool is_new = piece->position == 0;
    piece->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_CREAT | O_TRUNC : 0), 0600);
    if (piece->fd < 0)
        return ent_part_fail(err, "open", path);
    return is_new ? ent_file_sync_folder(piece->parts->inner, err) : ENT_DONE;
}

ent_rc ent_blob_piece_begin(ent_blob_parts *parts, const ent_blob_announced *about, uint64_t *ret_held,
                            ent_blob_piece **ret, ent_err *err)
{
    ent_blob_piece *piece = ent_alloc(sizeof *piece);
    if (piece == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *piece = (ent_blob_piece){.parts = parts, .fd = -1};
    (void)pthread_mutex_lock(&parts->lock);
    ent_rc rc = take_over(piece, about, ret_held, err);
    (void)pthread_mutex_unlock(&parts->lock);
    if (rc.code == ENT_OK)
        rc = open_file(piece, err);
    if (rc.code != ENT_OK)
        ent_blob_piece_free(piece);
    else
        *ret = piece;
    return rc;
}

void ent_blob_piece_free(ent_blob_piece *piece)
{
    if (piece == NULL)
        return;
    ent_file_close(&piece->fd);
    if (piece->part != NULL) {
        (void)pthread_mutex_lock(&piece->parts->lock);
        if (piece->part->owner == piece->number)
            piece->part->owner = 0;
        ent_part_leave(piece->parts, piece->part);
        (void)pthread_mutex_unlock(&piece->parts->lock);
    }
    ent_free(piece);
}

/* --- taking bytes --- */

static ent_rc write_at(int fd, uint64_t position, ent_bytes bytes, ent_err *err)
{
    while (bytes.size > 0) {
        ssize_t written = pwrite(fd, bytes.data, bytes.size, (off_t)position);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ent_part_fail(err, "write", "an attachment");
        bytes.data += written;
        bytes.size -= (size_t)written;
        position += (uint64_t)written;
    }
    return ENT_DONE;
}

static ent_rc sync_file(ent_blob_piece *piece, ent_err *err)
{
    if (fdatasync(piece->fd) != 0)
        return ent_part_fail(err, "sync", "an attachment");
    piece->unsynced = 0;
    return ENT_DONE;
}

static ent_rc lost(ent_err *err)
{
    return ent_fail(err, ENT_RETRY, "docs/formats.md", "another request of yours brings this attachment now");
}

/* What came counts from here on, unless another request has taken over. */
static bool advance(const ent_blob_piece *piece)
{
    ent_part *part = piece->part;
    (void)pthread_mutex_lock(&piece->parts->lock);
    bool owns = part->owner == piece->number;
    if (owns) {
        part->held = piece->position;
        part->hash = piece->hash;
        part->touched_unix_s = ent_clock_unix_s();
    }
    (void)pthread_mutex_unlock(&piece->parts->lock);
    return owns;
}

ent_rc ent_blob_piece_push(ent_blob_piece *piece, ent_bytes bytes, ent_err *err)
{
    if (bytes.size > piece->size - piece->position)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "the attachment has only %llu bytes",
                        (unsigned long long)piece->size);
    if (!advance(piece)) /* before bytes of this one get among those of the other */
        return lost(err);
    ENT_TRY(write_at(piece->fd, piece->position, bytes, err));
    ent_sha256_update(&piece->hash, bytes);
    piece->position += bytes.size;
    piece->unsynced += bytes.size;
    if (piece->unsynced >= SYNC_BYTES)
        ENT_TRY(sync_file(piece, err));
    return advance(piece) ? ENT_DONE : lost(err);
}

/* --- the whole --- */

/* A part that has all its bytes, synced: its digest decides. The caller uses it and has set `finishing`. */
static ent_rc finish(ent_blob_parts *parts, ent_part *part, const ent_sha256_state *hash, ent_err *err)
{
    ent_hash digest;
    ent_sha256_state state = *hash;
    ENT_CLEANUP(ent_free_pointer) char *path = ent_part_path(parts, part);
    ent_sha256_finish(&state, &digest);
    ent_rc rc = path == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory") : ENT_DONE;
    bool same = ent_hash_equal(&digest, &part->digest);
    if (rc.code == ENT_OK && !same)
        rc = ent_fail(err, ENT_PEER_MISMATCH, "docs/formats.md",
                      "the attachment's bytes have another digest than its name; they are dropped here: send it anew");
    if (rc.code == ENT_OK)
        rc = ent_blob_place(parts->folder, path, &part->digest, err);
    (void)pthread_mutex_lock(&parts->lock);
    part->finishing = false;
    parts->mismatches += rc.code == ENT_PEER_MISMATCH;
    if (rc.code == ENT_OK || rc.code == ENT_PEER_MISMATCH)
        ent_part_reset(parts, part);
    if (rc.code == ENT_OK)
        ent_part_drop_others(parts, part);
    (void)pthread_mutex_unlock(&parts->lock);
    return rc;
}

ent_rc ent_blob_piece_end(ent_blob_piece *piece, uint64_t *ret_held, bool *ret_whole, ent_err *err)
{
    ent_part *part = piece->part;
    if (piece->unsynced > 0)
        ENT_TRY(sync_file(piece, err));
    (void)pthread_mutex_lock(&piece->parts->lock);
    bool owns = part->owner == piece->number;
    bool whole = owns && piece->position == piece->size;
    part->finishing = part->finishing || whole;
    (void)pthread_mutex_unlock(&piece->parts->lock);
    if (!owns)
        return lost(err);
    if (whole)
        ENT_TRY(finish(piece->parts, part, &piece->hash, err));
    *ret_held = piece->position;
    *ret_whole = whole;
    return ENT_DONE;
}

/* --- making a hash again --- */

static ent_rc hash_slice(const ent_blob_parts *parts, const ent_part *part, uint64_t *position, uint64_t end,
                         bool is_last, ent_sha256_state *hash, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_part_path(parts, part);
    ENT_CLEANUP(ent_free_pointer) uint8_t *room = ent_alloc(READ_BYTES);
    if (path == NULL || room == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ent_part_fail(err, "open", path);
    while (*position < end) {
        size_t wanted = end - *position < READ_BYTES ? (size_t)(end - *position) : READ_BYTES;
        ssize_t got = pread(fd, room, wanted, (off_t)*position);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? ent_part_fail(err, "read", path)
                           : ent_fail(err, ENT_IO, NULL, "%s has become shorter", path);
        ent_sha256_update(hash, ent_bytes_of(room, (size_t)got));
        *position += (uint64_t)got;
    }
    /* What was written before the restart may not have been synced. */
    return !is_last || fdatasync(fd) == 0 ? ENT_DONE : ent_part_fail(err, "sync", path);
}

/* The next that somebody waits for; it is used from here on. */
static ent_part *next_to_hash(ent_blob_parts *parts)
{
    ent_part *found = NULL;
    for (ent_part *part = parts->first; part != NULL && found == NULL; part = part->next) {
        if (part->asked && part->users == 0 && !is_ready(part))
            found = part;
    }
    if (found == NULL)
        return NULL;
    found->users++;
    found->owner = ++parts->requests;
    return found;
}

/* Others that wait have their turn too: behind all of them. */
static void put_last(ent_blob_parts *parts, ent_part *part)
{
    ent_part **link = &parts->first;
    while (*link != part)
        link = &(*link)->next;
    *link = part->next;
    while (*link != NULL)
        link = &(*link)->next;
    part->next = NULL;
    *link = part;
}

/* With the lock held: what the slice has given. True when the part has all its bytes now, and is to be finished. */
static bool take_slice(ent_blob_parts *parts, ent_part *part, const ent_blob_piece *slice, ent_rc rc)
{
    bool owns = part->owner == slice->number; /* else it was begun anew meanwhile */
    if (owns && rc.code == ENT_OK) {
        part->held = slice->position;
        part->hash = slice->hash;
    } else if (owns && rc.code == ENT_IO) {
        ent_part_reset(parts, part);
    }
    bool whole = owns && rc.code == ENT_OK && part->has_size && part->held == part->size;
    part->finishing = part->finishing || whole;
    part->asked = part->asked && part->held < part->found;
    put_last(parts, part);
    return whole;
}

ent_rc ent_blob_parts_hash(ent_blob_parts *parts, bool *ret_worked, ent_err *err)
{
    (void)pthread_mutex_lock(&parts->lock);
    ent_part *part = next_to_hash(parts);
    *ret_worked = part != NULL;
    if (part == NULL) {
        (void)pthread_mutex_unlock(&parts->lock);
        return ENT_DONE;
    }
    ent_blob_piece slice = {.number = part->owner, .position = part->held, .hash = part->hash};
    uint64_t left = part->found > part->held ? part->found - part->held : 0;
    uint64_t end = part->held + (left > SLICE_BYTES ? SLICE_BYTES : left);
    (void)pthread_mutex_unlock(&parts->lock);
    ent_rc rc = hash_slice(parts, part, &slice.position, end, left <= SLICE_BYTES, &slice.hash, err);
    (void)pthread_mutex_lock(&parts->lock);
    bool whole = take_slice(parts, part, &slice, rc);
    (void)pthread_mutex_unlock(&parts->lock);
    if (whole)
        rc = finish(parts, part, &slice.hash, err);
    (void)pthread_mutex_lock(&parts->lock);
    ent_part_leave(parts, part);
    (void)pthread_mutex_unlock(&parts->lock);
    return rc;
}
