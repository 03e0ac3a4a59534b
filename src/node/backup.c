#include "node/backup.h"

#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "node/errands.h"
#include "node/rotate.h"
#include "pouch/ustar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10, DIGEST_DIGITS = 64, SMALL_FILE_BYTES = 1 << 20, MARKS_MAX_BYTES = 1 << 30 };

static const char copy_pattern[] = "backup-XXXXXX";
static const char copy_prefix[] = "backup-";

/* A member is at most 4 GiB; a longer file is several: NAME, NAME.part-1, … */
static const uint64_t part_bytes = (uint64_t)4 << 30;

/* One file that is still to come. */
typedef struct {
    char *name; /* of the member */
    char *path; /* NULL = data holds it */
    ent_buf data;
} source;

struct ent_backup {
    source *sources;
    size_t count;
    size_t capacity;
    size_t at;
    uint64_t size;      /* of the source at hand */
    uint64_t done;      /* of it */
    uint64_t part_left; /* of the member at hand */
    uint64_t member_size;
    char *copy;      /* of the database; unlinked at the end */
    ent_buf members; /* the list at the end */
    ent_sha256_state hash;
    int fd; /* of the source at hand, -1 = none */
    unsigned part;
    char member[ENT_USTAR_NAME_MAX + 1]; /* "" = none is begun */
    bool ended;
};

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

/* Takes path and data over. */
static ent_rc add_source(ent_backup *backup, const char *name, char *path, ent_buf *data, ent_err *err)
{
    if (backup->count == backup->capacity) {
        size_t capacity = backup->capacity == 0 ? 64 : backup->capacity * 2;
        source *sources = ent_realloc(backup->sources, capacity * sizeof *sources);
        if (sources == NULL) {
            ent_free(path);
            return no_memory(err);
        }
        backup->sources = sources;
        backup->capacity = capacity;
    }
    source added = {.name = ent_text_copy(ent_text_of(name)), .path = path};
    if (data != NULL) {
        added.data = *data;
        *data = (ent_buf){0};
    }
    backup->sources[backup->count++] = added;
    return added.name == NULL ? no_memory(err) : ENT_DONE;
}

static ent_rc add_read(ent_backup *backup, const char *name, ent_rc rc, ent_buf *data, ent_err *err)
{
    if (rc.code != ENT_OK)
        return rc.code == ENT_ABSENT ? ENT_DONE : rc;
    return add_source(backup, name, NULL, data, err);
}

static ent_rc add_small(ent_backup *backup, const char *name, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf data = {0};
    ent_rc rc = ent_file_read(path, SMALL_FILE_BYTES, &data, err);
    return add_read(backup, name, rc, &data, err);
}

/* The keeper writes to them meanwhile. */
static ent_rc add_marks(ent_backup *backup, const ent_node *node, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf data = {0};
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(node->paths.marks, "marks");
    if (path == NULL)
        return no_memory(err);
    ent_rc rc = ent_file_read_settled(path, MARKS_MAX_BYTES, &data, err);
    return add_read(backup, "marks/marks", rc, &data, err);
}

static bool is_digest(const char *name)
{
    size_t size = strspn(name, "0123456789abcdef");
    return size == DIGEST_DIGITS && name[size] == 0;
}

/* Files named by a digest, in a folder and the folders in it: they are whole, and never change. */
static ent_rc add_folder(ent_backup *backup, const char *folder, const char *name, int depth, ent_err *err)
{
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return errno == ENOENT ? ENT_DONE : ent_fail(err, ENT_IO, NULL, "cannot list %s", folder);
    ent_rc rc = ENT_DONE;
    for (const struct dirent *row = readdir(listing); rc.code == ENT_OK && row != NULL; row = readdir(listing)) {
        char member[ENT_USTAR_NAME_MAX + 1];
        if (row->d_name[0] == '.')
            continue;
        char *path = ent_file_join(folder, row->d_name);
        if (path == NULL) {
            rc = no_memory(err);
            break;
        }
        int size = snprintf(member, sizeof member, "%s/%s", name, row->d_name);
        if (is_digest(row->d_name) && size > 0 && (size_t)size < sizeof member) {
            rc = add_source(backup, member, path, NULL, err);
            continue;
        }
        if (depth > 0 && strlen(row->d_name) == 2)
            rc = add_folder(backup, path, member, depth - 1, err);
        ent_free(path);
    }
    (void)closedir(listing);
    return rc;
}

/* "entente.backup/v1\n<party>\n<time>\n" */
static ent_rc add_title(ent_backup *backup, const ent_node *node, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf title = {0};
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(ent_clock_unix_s(), time);
    ent_buf_put_format(&title, "entente.backup/v1\n%s\n%s\n", node->config.name, time);
    ENT_TRY(ent_buf_check(&title, err));
    return add_source(backup, "entente-backup", NULL, &title, err);
}

void ent_backup_clean(const ent_node *node)
{
    DIR *listing = opendir(node->paths.spool);
    if (listing == NULL)
        return;
    for (const struct dirent *row = readdir(listing); row != NULL; row = readdir(listing)) {
        if (strncmp(row->d_name, copy_prefix, sizeof copy_prefix - 1) == 0)
            (void)unlinkat(dirfd(listing), row->d_name, 0);
    }
    (void)closedir(listing);
}

static ent_rc copy_store(ent_backup *backup, ent_node *node, ent_err *err)
{
    backup->copy = ent_file_join(node->paths.spool, copy_pattern);
    if (backup->copy == NULL)
        return no_memory(err);
    int fd = mkostemp(backup->copy, O_CLOEXEC);
    if (fd < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot make a file in %s", node->paths.spool);
    (void)close(fd);
    ENT_TRY(node->store->engine->backup(node->store, backup->copy, err));
    char *path = ent_text_copy(ent_text_of(backup->copy));
    return path == NULL ? no_memory(err) : add_source(backup, "store/store.db", path, NULL, err);
}

/* Those that later cards brought: tls.SERIAL.crt. */
static ent_rc add_certificates(ent_backup *backup, const ent_node *node, ent_err *err)
{
    for (uint64_t serial = 2; node->errands != NULL && serial <= ent_node_card(node)->card.card.serial; serial++) {
        ENT_CLEANUP(ent_buf_release) ent_buf certificate = {0};
        char name[48];
        ent_rc rc = ent_errands_certificate(node->errands, serial, &certificate, err);
        if (rc.code == ENT_ABSENT)
            continue;
        ENT_TRY(rc);
        (void)snprintf(name, sizeof name, "tls.%llu.crt", (unsigned long long)serial);
        ENT_TRY(add_source(backup, name, NULL, &certificate, err));
    }
    return ENT_DONE;
}

static ent_rc collect(ent_backup *backup, ent_node *node, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *bodies = ent_file_join(node->paths.store, "bodies");
    if (bodies == NULL)
        return no_memory(err);
    ENT_TRY(add_title(backup, node, err));
    ENT_TRY(add_small(backup, "node.json", node->paths.config, err));
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ent_buf_put(&card, ent_buf_bytes(&ent_node_card(node)->bytes));
    ENT_TRY(ent_buf_check(&card, err));
    ENT_TRY(add_source(backup, "card", NULL, &card, err));
    ENT_TRY(add_small(backup, "tls.crt", node->paths.certificate, err));
    ENT_TRY(add_certificates(backup, node, err));
    ENT_TRY(copy_store(backup, node, err));
    ENT_TRY(add_marks(backup, node, err)); /* after the store: never older */
    ENT_TRY(add_folder(backup, bodies, "store/bodies", 1, err));
    return add_folder(backup, node->paths.blobs, "blobs", 1, err);
}

ent_rc ent_backup_new(ent_node *node, ent_backup **ret, uint64_t *ret_bytes, ent_err *err)
{
    ent_backup *backup = ent_alloc(sizeof *backup);
    if (backup == NULL)
        return no_memory(err);
    backup->fd = -1;
    ent_rc rc = collect(backup, node, err);
    if (rc.code != ENT_OK) {
        ent_backup_free(backup);
        return rc;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < backup->count; i++) {
        struct stat status;
        bytes += ENT_USTAR_BLOCK + backup->sources[i].data.size;
        if (backup->sources[i].path != NULL && stat(backup->sources[i].path, &status) == 0)
            bytes += (uint64_t)status.st_size;
    }
    *ret = backup;
    *ret_bytes = bytes;
    return ENT_DONE;
}

void ent_backup_free(ent_backup *backup)
{
    if (backup == NULL)
        return;
    for (size_t i = 0; i < backup->count; i++) {
        ent_free(backup->sources[i].name);
        ent_free(backup->sources[i].path);
        ent_buf_wipe(&backup->sources[i].data);
    }
    if (backup->copy != NULL)
        (void)unlink(backup->copy);
    ent_file_close(&backup->fd);
    ent_free(backup->copy);
    ent_free(backup->sources);
    ent_buf_release(&backup->members);
    ent_free(backup);
}

/* --- the stream --- */

static ent_rc begin_member(ent_backup *backup, ent_buf *ret_piece, ent_err *err)
{
    const source *now = &backup->sources[backup->at];
    uint64_t left = backup->size - backup->done;
    backup->member_size = left < part_bytes ? left : part_bytes;
    backup->part_left = backup->member_size;
    if (backup->part == 0)
        (void)snprintf(backup->member, sizeof backup->member, "%s", now->name);
    else
        (void)snprintf(backup->member, sizeof backup->member, "%s.part-%u", now->name, backup->part);
    backup->part++;
    ent_sha256_start(&backup->hash);
    return ent_ustar_put_header(ret_piece, ent_text_of(backup->member), backup->member_size, err);
}

/* A body of a transaction that was undone meanwhile is gone: nothing that is backed up names it. */
static ent_rc open_source(ent_backup *backup, ent_buf *ret_piece, ent_err *err)
{
    const source *now = &backup->sources[backup->at];
    struct stat status;
    backup->done = 0;
    backup->part = 0;
    if (now->path == NULL) {
        backup->size = now->data.size;
        return begin_member(backup, ret_piece, err);
    }
    backup->fd = open(now->path, O_RDONLY | O_CLOEXEC);
    if (backup->fd < 0 && errno == ENOENT) {
        backup->at++;
        return ENT_DONE;
    }
    if (backup->fd < 0 || fstat(backup->fd, &status) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot read %s", now->path);
    backup->size = (uint64_t)status.st_size;
    return begin_member(backup, ret_piece, err);
}

static ent_rc end_member(ent_backup *backup, ent_buf *ret_piece, ent_err *err)
{
    ent_hash digest;
    ent_sha256_finish(&backup->hash, &digest);
    ent_buf_put_hex(&backup->members, ent_hash_bytes(&digest));
    ent_buf_put_format(&backup->members, " %llu %s\n", (unsigned long long)backup->member_size, backup->member);
    ent_ustar_put_padding(ret_piece, backup->member_size);
    ENT_TRY(ent_buf_check(&backup->members, err));
    backup->part_left = 0;
    if (backup->done < backup->size)
        return begin_member(backup, ret_piece, err);
    ent_file_close(&backup->fd);
    backup->member[0] = 0;
    backup->at++;
    return ENT_DONE;
}

static ent_rc put_data(ent_backup *backup, ent_buf *ret_piece, ent_err *err)
{
    const source *now = &backup->sources[backup->at];
    size_t wanted = backup->part_left < PIECE_BYTES ? (size_t)backup->part_left : PIECE_BYTES;
    uint8_t *room = ent_buf_reserve(ret_piece, wanted);
    ssize_t got = (ssize_t)wanted;
    ENT_TRY(ent_buf_check(ret_piece, err));
    if (now->path == NULL)
        memcpy(room, now->data.data + backup->done, wanted);
    else
        got = pread(backup->fd, room, wanted, (off_t)backup->done);
    if (got < 0 && errno == EINTR)
        return ENT_DONE;
    if (got <= 0)
        return ent_fail(err, ENT_IO, NULL, "%s ends too early, or cannot be read", now->path);
    ent_sha256_update(&backup->hash, ent_bytes_of(room, (size_t)got));
    ret_piece->size += (size_t)got;
    backup->done += (uint64_t)got;
    backup->part_left -= (uint64_t)got;
    return ENT_DONE;
}

ent_rc ent_backup_pull(ent_backup *backup, ent_buf *ret_piece, bool *ret_end, ent_err *err)
{
    while (ret_piece->size < PIECE_BYTES && backup->at < backup->count) {
        if (backup->member[0] == 0)
            ENT_TRY(open_source(backup, ret_piece, err));
        else if (backup->part_left > 0)
            ENT_TRY(put_data(backup, ret_piece, err));
        else
            ENT_TRY(end_member(backup, ret_piece, err));
    }
    *ret_end = backup->at == backup->count;
    if (*ret_end && !backup->ended) {
        backup->ended = true;
        ENT_TRY(ent_ustar_put(ret_piece, ENT_TEXT("members"), ent_buf_bytes(&backup->members), err));
        ent_ustar_put_end(ret_piece);
    }
    return ent_buf_check(ret_piece, err);
}
