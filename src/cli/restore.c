#include "cli/api.h"
#include "cli/archive.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/progress.h"
#include "cli/verbs.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10 };

static const ent_cli_option options[] = {
    {"--passphrase-file", NULL, "FILE", false, "opens the keys in the backup"},
    {"--without-keys", NULL, NULL, false, "leave keys that are in the backup where they are"},
    {NULL, NULL, NULL, false, NULL},
};

/* --- where to --- */

static ent_rc refuse_used(const char *folder, ent_err *err)
{
    DIR *listing = opendir(folder);
    size_t count = 0;
    if (listing == NULL)
        return errno == ENOENT ? ENT_DONE : ent_fail(err, ENT_IO, NULL, "cannot look into %s", folder);
    for (const struct dirent *row = readdir(listing); row != NULL; row = readdir(listing))
        count += strcmp(row->d_name, ".") != 0 && strcmp(row->d_name, "..") != 0;
    (void)closedir(listing);
    return count == 0
               ? ENT_DONE
               : ent_fail(err, ENT_REFUSED, NULL,
                          "%s is not empty; a backup is restored into a folder of its own: name another, or move "
                          "what is there away",
                          folder);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

/* A folder beside the one that it will become. */
typedef struct {
    char *path;
} making;

static void release_making(making *work)
{
    if (work->path != NULL)
        (void)nftw(work->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    ent_free(work->path);
}

static ent_rc make_beside(const char *folder, making *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_text plain = ent_text_of(folder);
    while (plain.size > 1 && plain.data[plain.size - 1] == '/')
        plain.size--;
    ent_buf_put_text(&name, plain);
    ent_buf_put_string(&name, ".restoring-XXXXXX");
    ENT_TRY(ent_buf_check(&name, err));
    char *path = ent_text_copy(ent_buf_text(&name));
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (mkdtemp(path) == NULL) {
        ent_rc rc =
            ent_fail(err, ENT_IO, NULL, "cannot make a folder beside %s: check that it may be written to", folder);
        ent_free(path);
        return rc;
    }
    ret->path = path;
    return ENT_DONE;
}

static int sync_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    ent_err err = {0};
    (void)status, (void)place;
    return kind == FTW_D || kind == FTW_DP ? ent_file_sync_folder(path, &err).code != ENT_OK : 0;
}

/* The folder appears whole, or not at all. */
static ent_rc put_in_place(making *work, const char *folder, ent_err *err)
{
    if (nftw(work->path, sync_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot make %s durable", work->path);
    if (rename(work->path, folder) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot rename %s to %s", work->path, folder);
    ent_free(work->path);
    work->path = NULL;
    ENT_CLEANUP(ent_free_pointer) char *parent = ent_file_join(folder, "..");
    return parent == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory") : ent_file_sync_folder(parent, err);
}

/* --- reading --- */

static ent_rc read_all(int fd, uint64_t size, ent_archive *archive, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf piece = {0};
    ENT_CLEANUP(ent_cli_progress_end) ent_cli_progress progress = ent_cli_progress_of("restore", size);
    uint64_t done = 0;
    uint8_t *room = ent_buf_reserve(&piece, PIECE_BYTES);
    ENT_TRY(ent_buf_check(&piece, err));
    for (;;) {
        ssize_t got = read(fd, room, PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ent_fail(err, ENT_IO, NULL, "cannot read %s", path);
        if (got == 0)
            return ent_archive_finish(archive, err);
        ENT_TRY(ent_archive_push(archive, ent_bytes_of(room, (size_t)got), err));
        done += (uint64_t)got;
        ent_cli_progress_to(&progress, done);
    }
}

static void put_result(ent_cli *cli, const ent_archive *archive, const char *folder, bool has_keys)
{
    ent_buf *out = &cli->out;
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    if (cli->json) {
        ent_json_object_begin(&writer);
        ent_json_member_string(&writer, "name", archive->party);
        ent_json_member_string(&writer, "dir", folder);
        ent_json_member_string(&writer, "time", archive->time);
        ent_json_member_bool(&writer, "keys", has_keys);
        ent_json_object_end(&writer);
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return;
    }
    ent_cli_put_line(out, ent_text_of(archive->party));
    ent_buf_put_format(out, " is restored in %s as it was at ", folder);
    ent_cli_put_line(out, ent_text_of(archive->time));
    ent_buf_put_string(out, ".\n\nNext:\n");
    if (!has_keys)
        ent_buf_put_format(out, "  put the keys back:   %s/keys/ (mode 0700, files 0600), from where you keep them\n",
                           folder);
    else
        ent_buf_put_format(
            out, "  see to the keys:     %s/keys/ holds them as the old folder did, under its passphrase or none\n",
            folder);
    ent_buf_put_format(
        out,
        "  stop the old node:   two nodes of one party would contradict each other\n"
        "  start this one:      entented --dir %s\n"
        "It asks the other members how far our logs go before it signs anything new; what is said meanwhile is held.\n"
        "Where this party signed more than is here, the channel stays held (`entente status`) until\n"
        "`entente recover --from PARTY` has brought it back from a member.\n",
        folder);
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_archive_release) ent_archive archive = {.fd = -1};
    ENT_CLEANUP(release_making) making work = {NULL};
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.has_key = false};
    ENT_CLEANUP(ent_file_close) int fd = -1;
    const char *folder = NULL;
    const char *passphrase_path = ent_cli_value(cli, "--passphrase-file");
    uint64_t size = 0;
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(refuse_used(folder, err));
    ENT_TRY(ent_cli_open_file(cli->positional[0], &fd, &size, err));
    if (passphrase_path != NULL)
        ENT_TRY(ent_cli_read_passphrase(passphrase_path, &passphrase, err));
    lock.passphrase = ent_buf_bytes(&passphrase);
    ENT_TRY(make_beside(folder, &work, err));
    ent_archive_begin(&archive, work.path, passphrase_path == NULL ? NULL : &lock);
    ENT_TRY(read_all(fd, size, &archive, cli->positional[0], err));
    if (archive.keys > 0 && passphrase_path == NULL && !ent_cli_has(cli, "--without-keys"))
        return ent_fail(err, ENT_USAGE, NULL,
                        "the backup holds sealed keys: give --passphrase-file FILE, or --without-keys to leave them");
    ENT_TRY(put_in_place(&work, folder, err));
    put_result(cli, &archive, folder, archive.keys > 0 && passphrase_path != NULL);
    return ENT_DONE;
}

const ent_cli_command ent_cli_restore = {
    .words = "restore",
    .arguments = "FILE --dir DIR [--passphrase-file FILE | --without-keys]",
    .summary = "put a backup into an empty folder",
    .text = "Every part is checked against the list at the backup's end; what is damaged, cut off or does not belong "
            "there\n"
            "is refused, and nothing is left. --dir must be missing or empty. The restored node knows that it may be\n"
            "behind: it asks the other members before it signs anything new.",
    .examples = "  entente restore /media/disk/aurora.tar --dir aurora-again --passphrase-file pass.txt",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
