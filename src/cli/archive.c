#include "cli/archive.h"

#include "base/alloc.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char title[] = "entente-backup";
static const char list_name[] = "members";
static const char part_mark[] = ".part-";
static const char keys_prefix[] = "keys/";

static ent_rc fail_errno(ent_err *err, const char *what, const char *path)
{
    char reason[128];
    return ent_fail(err, errno == ENOSPC ? ENT_IO_FULL : ENT_IO, NULL, "cannot %s %s: %s", what, path,
                    strerror_r(errno, reason, sizeof reason));
}

static ent_rc fail_damaged(ent_err *err, const char *what, const char *name)
{
    return ent_fail(err, ENT_PEER_MALFORMED, "docs/formats.md, Backup", "the backup is damaged: %s %s", what, name);
}

/* --- which members there are --- */

static bool is_key(const char *name)
{
    return strncmp(name, keys_prefix, sizeof keys_prefix - 1) == 0;
}

static bool is_digest(const char *name)
{
    size_t size = strspn(name, "0123456789abcdef");
    return size == 64 && (name[size] == 0 || strncmp(name + size, part_mark, sizeof part_mark - 1) == 0);
}

/* FOLDER/DIGEST or FOLDER/xx/DIGEST */
static bool is_below(const char *name, const char *folder)
{
    size_t size = strlen(folder);
    if (strncmp(name, folder, size) != 0 || name[size] != '/')
        return false;
    const char *rest = name + size + 1;
    return is_digest(rest) || (strlen(rest) > 3 && rest[2] == '/' && is_digest(rest + 3));
}

static bool is_known(const char *name)
{
    static const char *const files[] = {"node.json", "card", "tls.crt", "marks/marks", "store/store.db"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t size = strlen(files[i]);
        if (strncmp(name, files[i], size) == 0 &&
            (name[size] == 0 || strncmp(name + size, part_mark, sizeof part_mark - 1) == 0))
            return true;
    }
    unsigned long long serial = 0;
    int end = 0;
    if (sscanf(name, "tls.%19llu.crt%n", &serial, &end) == 1 && end > 0 && name[end] == 0) /* NOLINT(cert-err34-c) */
        return true;
    return is_below(name, "store/bodies") || is_below(name, "blobs");
}

/* --- writing --- */

static ent_rc make_folders(const char *folder, const char *name, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = 0;
        ENT_TRY(ent_file_make_folder(path, 0700, err));
        *at = '/';
    }
    return ENT_DONE;
}

static ent_rc open_file(ent_archive *archive, ent_err *err)
{
    char name[ENT_USTAR_NAME_MAX + 1];
    memcpy(name, archive->name, sizeof name);
    char *part = strstr(name, part_mark);
    if (part != NULL)
        *part = 0;
    ENT_TRY(make_folders(archive->folder, name, err));
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(archive->folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (part == NULL ? O_CREAT | O_EXCL : O_APPEND);
    archive->fd = open(path, flags, 0600);
    if (archive->fd < 0 && (errno == EEXIST || errno == ENOENT))
        return fail_damaged(err, "a member comes twice, or without its beginning:", archive->name);
    return archive->fd < 0 ? fail_errno(err, "write", path) : ENT_DONE;
}

static ent_rc close_file(ent_archive *archive, ent_err *err)
{
    if (archive->fd < 0)
        return ENT_DONE;
    bool synced = fsync(archive->fd) == 0;
    ent_file_close(&archive->fd);
    return synced ? ENT_DONE : fail_errno(err, "write", archive->name);
}

/* --- a member is whole --- */

static ent_rc take_title(ent_archive *archive, ent_err *err)
{
    char end = 0;
    const char *text = ent_buf_string(&archive->text);
    ENT_TRY(ent_buf_check(&archive->text, err));
    if (sscanf(text, "entente.backup/v1\n%64s\n%31s%c", archive->party, archive->time, &end) != 3 || end != '\n')
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/formats.md, Backup",
                        "this is no backup of Entente, or one of a newer version");
    archive->has_title = true;
    return ENT_DONE;
}

/* A key file can also hold its secret openly: in a backup anybody could have put such a one there, and alerts.json
 * names a program to run. Only what the passphrase has sealed is the party's own. */
static ent_rc check_sealed(const ent_archive *archive, const char *role, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf start = {0};
    ent_buf_put_format(&start, "entente.key/v1 %s argon2id ", role);
    ENT_TRY(ent_buf_check(&start, err));
    return ent_text_starts(ent_buf_text(&archive->text), ent_buf_text(&start))
               ? ENT_DONE
               : fail_damaged(err, "it is not sealed with a passphrase:", archive->name);
}

static ent_rc take_key(ent_archive *archive, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf key = {0};
    archive->keys++;
    const char *name = archive->name + sizeof keys_prefix - 1;
    const char *role = archive->name; /* so that no key can stand for another */
    ENT_TRY(check_sealed(archive, role, err));
    if (archive->lock == NULL)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, ent_key_file_parse(ent_buf_bytes(&archive->text), role, archive->lock, &key, err), "%s",
                        archive->name));
    if (archive->folder == NULL)
        return ENT_DONE;
    ENT_TRY(make_folders(archive->folder, strcmp(name, "alerts.json") == 0 ? name : archive->name, err));
    ENT_CLEANUP(ent_free_pointer)
    char *path = ent_file_join(archive->folder, strcmp(name, "alerts.json") == 0 ? name : archive->name);
    return path == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory")
                        : ent_file_create(path, 0600, ent_buf_bytes(&key), err);
}

static ent_rc end_member(ent_archive *archive, ent_err *err)
{
    ent_hash digest;
    ENT_TRY(close_file(archive, err));
    if (archive->name[0] == 0)
        return ENT_DONE;
    ent_sha256_finish(&archive->hash, &digest);
    if (is_key(archive->name)) {
        ENT_TRY(take_key(archive, err));
    } else if (strcmp(archive->name, list_name) == 0) {
        archive->has_list = true;
        if (!ent_bytes_equal(ent_buf_bytes(&archive->text), ent_buf_bytes(&archive->list)))
            return fail_damaged(err, "what is in it is not what the list at its end says:", list_name);
    } else {
        if (strcmp(archive->name, title) == 0)
            ENT_TRY(take_title(archive, err));
        ent_buf_put_hex(&archive->list, ent_hash_bytes(&digest));
        ent_buf_put_format(&archive->list, " %llu %s\n", (unsigned long long)archive->size, archive->name);
    }
    archive->name[0] = 0;
    ent_buf_clear(&archive->text);
    return ent_buf_check(&archive->list, err);
}

/* --- the reader's events --- */

static ent_rc begin_member(void *context, ent_text name, uint64_t size, ent_err *err)
{
    ent_archive *archive = context;
    ENT_TRY(end_member(archive, err));
    (void)snprintf(archive->name, sizeof archive->name, "%.*s", ENT_TEXT_ARG(name));
    archive->size = size;
    archive->bytes += size;
    ent_sha256_start(&archive->hash);
    bool is_title = strcmp(archive->name, title) == 0;
    bool is_list = strcmp(archive->name, list_name) == 0;
    if (archive->has_list)
        return fail_damaged(err, "something comes after the list at its end:", archive->name);
    if (is_title || is_list || is_key(archive->name)) {
        uint64_t limit = is_list ? ENT_ARCHIVE_LIST_MAX_BYTES : 65536;
        return size <= limit ? ENT_DONE : fail_damaged(err, "too long:", archive->name);
    }
    if (!archive->has_title || !is_known(archive->name))
        return fail_damaged(err, "a member that no backup has:", archive->name);
    return archive->folder == NULL ? ENT_DONE : open_file(archive, err);
}

static ent_rc take_data(void *context, ent_bytes piece, ent_err *err)
{
    ent_archive *archive = context;
    bool is_file = is_known(archive->name);
    ent_sha256_update(&archive->hash, piece);
    if (archive->fd >= 0)
        return ent_file_write_all(archive->fd, piece, err);
    if (!is_file)
        ent_buf_put(&archive->text, piece);
    return ent_buf_check(&archive->text, err);
}

void ent_archive_begin(ent_archive *archive, const char *folder, ent_key_lock *lock)
{
    *archive = (ent_archive){.folder = folder, .lock = lock, .fd = -1};
    ent_ustar_reader_init(&archive->reader, 0, (ent_ustar_events){begin_member, take_data, archive});
}

ent_rc ent_archive_push(ent_archive *archive, ent_bytes bytes, ent_err *err)
{
    return ent_fail_in(err, ent_ustar_reader_push(&archive->reader, bytes, err), "the backup");
}

ent_rc ent_archive_finish(ent_archive *archive, ent_err *err)
{
    ENT_TRY(ent_fail_in(err, ent_ustar_reader_finish(&archive->reader, err), "the backup"));
    ENT_TRY(end_member(archive, err));
    return archive->has_list && archive->has_title ? ENT_DONE
                                                   : fail_damaged(err, "it ends without its list of", "members");
}

void ent_archive_release(ent_archive *archive)
{
    ent_file_close(&archive->fd);
    ent_buf_release(&archive->list);
    ent_buf_wipe(&archive->text);
}
