#include "store/blob_parts_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DIGEST_DIGITS = 64,
    SENDER_DIGITS = 2 * ENT_PART_SENDER_BYTES,
    NAME_SIZE = DIGEST_DIGITS + 1 + SENDER_DIGITS,
    DAY_S = 86400
};

ent_rc ent_part_fail(ent_err *err, const char *what, const char *path)
{
    int number = errno;
    char reason[128];
    ent_code code = number == ENOSPC || number == EDQUOT ? ENT_IO_FULL : ENT_IO;
    return ent_fail(err, code, NULL, "cannot %s %s: %s", what, path, strerror_r(number, reason, sizeof reason));
}

char *ent_part_path(const ent_blob_parts *parts, const ent_part *part)
{
    char name[NAME_SIZE + 1];
    ent_hex_encode(ent_hash_bytes(&part->digest), name);
    name[DIGEST_DIGITS] = '.';
    ent_hex_encode(ent_bytes_of(part->sender, sizeof part->sender), name + DIGEST_DIGITS + 1);
    return ent_file_join(parts->inner, name);
}

/* --- the list; with the lock held --- */

static void name_sender(ent_text sender, uint8_t ret[ENT_PART_SENDER_BYTES])
{
    ent_hash hash;
    ent_sha256(ent_text_bytes(sender), &hash);
    memcpy(ret, hash.bytes, ENT_PART_SENDER_BYTES);
}

ent_part *ent_part_find(ent_blob_parts *parts, const ent_hash *digest, ent_text sender)
{
    uint8_t name[ENT_PART_SENDER_BYTES];
    name_sender(sender, name);
    for (ent_part *part = parts->first; part != NULL; part = part->next) {
        if (ent_hash_equal(&part->digest, digest) && memcmp(part->sender, name, sizeof name) == 0)
            return part;
    }
    return NULL;
}

static void remove_file(const ent_blob_parts *parts, const ent_part *part)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_part_path(parts, part);
    if (path != NULL)
        (void)unlink(path); /* one that stays is found at the next start */
}

static void drop(ent_blob_parts *parts, ent_part *part)
{
    ent_part **link = &parts->first;
    while (*link != part)
        link = &(*link)->next;
    *link = part->next;
    parts->count--;
    ent_free(part);
}

void ent_part_reset(ent_blob_parts *parts, ent_part *part)
{
    remove_file(parts, part);
    part->held = 0;
    part->found = 0;
    part->owner = 0;
    part->asked = false;
    part->finishing = false;
    ent_sha256_start(&part->hash);
}

void ent_part_leave(ent_blob_parts *parts, ent_part *part)
{
    if (--part->users > 0 || part->held > 0 || part->found > 0)
        return;
    remove_file(parts, part); /* made, and nothing came */
    drop(parts, part);
}

void ent_part_drop_others(ent_blob_parts *parts, const ent_part *whole)
{
    for (ent_part *part = parts->first, *next = NULL; part != NULL; part = next) {
        next = part->next;
        if (part == whole || part->users > 0 || !ent_hash_equal(&part->digest, &whole->digest))
            continue;
        remove_file(parts, part);
        drop(parts, part);
    }
}

/* The one longest untouched goes, of this sender if he has his fill. */
static bool make_room(ent_blob_parts *parts, const uint8_t sender[ENT_PART_SENDER_BYTES])
{
    size_t his = 0;
    ent_part *oldest = NULL;
    for (const ent_part *part = parts->first; part != NULL; part = part->next)
        his += memcmp(part->sender, sender, ENT_PART_SENDER_BYTES) == 0;
    bool his_fill = his >= ENT_PARTS_OF_SENDER;
    if (!his_fill && parts->count < ENT_PARTS_MOST)
        return true;
    for (ent_part *part = parts->first; part != NULL; part = part->next) {
        if (part->users > 0 || (his_fill && memcmp(part->sender, sender, ENT_PART_SENDER_BYTES) != 0))
            continue;
        if (oldest == NULL || part->touched_unix_s < oldest->touched_unix_s)
            oldest = part;
    }
    if (oldest == NULL)
        return false;
    remove_file(parts, oldest);
    drop(parts, oldest);
    return true;
}

static ent_rc add(ent_blob_parts *parts, const ent_part *like, ent_part **ret, ent_err *err)
{
    ent_part *part = ent_alloc(sizeof *part);
    if (part == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *part = *like;
    ent_sha256_start(&part->hash);
    part->next = parts->first;
    parts->first = part;
    parts->count++;
    *ret = part;
    return ENT_DONE;
}

ent_rc ent_part_add(ent_blob_parts *parts, const ent_blob_announced *about, ent_part **ret, ent_err *err)
{
    ent_part like = {.digest = about->digest, .touched_unix_s = ent_clock_unix_s()};
    name_sender(about->sender, like.sender);
    if (!make_room(parts, like.sender))
        return ent_fail(err, ENT_RETRY, "docs/formats.md",
                        "%d attachments from you are on their way already; finish some first", ENT_PARTS_OF_SENDER);
    return add(parts, &like, ret, err);
}

/* --- what an earlier run left --- */

static bool read_name(const char *name, ent_part *ret)
{
    return strlen(name) == NAME_SIZE && name[DIGEST_DIGITS] == '.' &&
           ent_hex_decode((ent_text){name, DIGEST_DIGITS}, ret->digest.bytes, sizeof ret->digest.bytes, NULL).code ==
               ENT_OK &&
           ent_hex_decode((ent_text){name + DIGEST_DIGITS + 1, SENDER_DIGITS}, ret->sender, sizeof ret->sender, NULL)
                   .code == ENT_OK;
}

static ent_rc find_part(ent_blob_parts *parts, DIR *directory, const char *name, ent_err *err)
{
    struct stat status;
    ent_part like = {.users = 0};
    ent_part *part = NULL;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return ENT_DONE;
    bool is_part = fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
                   status.st_size > 0 && parts->count < ENT_PARTS_MOST && read_name(name, &like);
    if (!is_part)
        return unlinkat(dirfd(directory), name, 0) == 0 || errno == ENOENT || errno == EISDIR
                   ? ENT_DONE
                   : ent_part_fail(err, "remove a file in", parts->inner);
    like.found = (uint64_t)status.st_size;
    like.touched_unix_s = status.st_mtime;
    return add(parts, &like, &part, err);
}

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory);
}

static ent_rc find_parts(ent_blob_parts *parts, ent_err *err)
{
    ENT_CLEANUP(close_directory) DIR *directory = opendir(parts->inner);
    if (directory == NULL)
        return ent_part_fail(err, "read the folder", parts->inner);
    for (;;) {
        errno = 0;
        // cppcheck-suppress readdirCalled ; the stream is this function's own
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            return errno == 0 ? ENT_DONE : ent_part_fail(err, "read the folder", parts->inner);
        ENT_TRY(find_part(parts, directory, entry->d_name, err));
    }
}

static ent_rc open_folders(ent_blob_parts *parts, const char *folder, ent_err *err)
{
    parts->folder = ent_text_copy(ent_text_of(folder));
    parts->inner = ent_file_join(folder, "parts");
    if (parts->folder == NULL || parts->inner == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_file_make_folder(folder, 0700, err));
    ENT_TRY(ent_file_make_folder(parts->inner, 0700, err));
    return find_parts(parts, err);
}

ent_rc ent_blob_parts_open(const char *folder, ent_blob_parts **ret, ent_err *err)
{
    ent_blob_parts *parts = ent_alloc(sizeof *parts);
    if (parts == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)pthread_mutex_init(&parts->lock, NULL);
    ent_rc rc = open_folders(parts, folder, err);
    if (rc.code != ENT_OK)
        ent_blob_parts_free(parts);
    else
        *ret = parts;
    return rc;
}

void ent_blob_parts_free(ent_blob_parts *parts)
{
    if (parts == NULL)
        return;
    while (parts->first != NULL)
        drop(parts, parts->first);
    (void)pthread_mutex_destroy(&parts->lock);
    ent_free(parts->inner);
    ent_free(parts->folder);
    ent_free(parts);
}

/* --- looking --- */

uint64_t ent_blob_parts_held(ent_blob_parts *parts, const ent_hash *digest)
{
    uint64_t most = 0;
    (void)pthread_mutex_lock(&parts->lock);
    for (const ent_part *part = parts->first; part != NULL; part = part->next) {
        uint64_t has = part->held > part->found ? part->held : part->found;
        if (ent_hash_equal(&part->digest, digest) && has > most)
            most = has;
    }
    (void)pthread_mutex_unlock(&parts->lock);
    return most;
}

bool ent_blob_parts_begun(ent_blob_parts *parts, const ent_hash *digest)
{
    bool begun = false;
    (void)pthread_mutex_lock(&parts->lock);
    for (const ent_part *part = parts->first; part != NULL && !begun; part = part->next)
        begun = ent_hash_equal(&part->digest, digest);
    (void)pthread_mutex_unlock(&parts->lock);
    return begun;
}

uint64_t ent_blob_parts_mismatches(ent_blob_parts *parts)
{
    (void)pthread_mutex_lock(&parts->lock);
    uint64_t count = parts->mismatches;
    (void)pthread_mutex_unlock(&parts->lock);
    return count;
}

/* --- tidying --- */

/* The digests of all parts: the question whether they are wanted is asked without the lock. */
static ent_rc list_digests(ent_blob_parts *parts, ent_hash **ret, size_t *ret_count, ent_err *err)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&parts->lock);
    ent_hash *digests = ent_alloc_array(parts->count + 1, sizeof *digests);
    for (const ent_part *part = parts->first; digests != NULL && part != NULL; part = part->next)
        digests[count++] = part->digest;
    (void)pthread_mutex_unlock(&parts->lock);
    *ret = digests;
    *ret_count = count;
    return digests == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory") : ENT_DONE;
}

static void drop_old(ent_blob_parts *parts, const ent_hash *unwanted, int64_t now_unix_s)
{
    (void)pthread_mutex_lock(&parts->lock);
    for (ent_part *part = parts->first, *next = NULL; part != NULL; part = next) {
        next = part->next;
        bool goes = unwanted != NULL ? ent_hash_equal(&part->digest, unwanted)
                                     : part->touched_unix_s < now_unix_s - (int64_t)ENT_PARTS_KEPT_DAYS * DAY_S;
        if (!goes || part->users > 0)
            continue;
        remove_file(parts, part);
        drop(parts, part);
    }
    (void)pthread_mutex_unlock(&parts->lock);
}

ent_rc ent_blob_parts_tidy(ent_blob_parts *parts, int64_t now_unix_s,
                           ent_rc (*is_wanted)(void *context, const ent_hash *digest, bool *ret, ent_err *err),
                           void *context, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) ent_hash *digests = NULL;
    size_t count = 0;
    drop_old(parts, NULL, now_unix_s);
    ENT_TRY(list_digests(parts, &digests, &count, err));
    for (size_t i = 0; i < count; i++) {
        bool wanted = true;
        ENT_TRY(is_wanted(context, &digests[i], &wanted, err));
        if (!wanted)
            drop_old(parts, &digests[i], now_unix_s);
    }
    return ENT_DONE;
}
