#include "cli/api.h"
#include "cli/archive.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/progress.h"
#include "cli/verbs.h"

#include "base/config.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

static const ent_cli_option options[] = {
    {"--with-keys", NULL, NULL, false, "the node's keys too, sealed with the passphrase of --passphrase-file"},
    {"--passphrase-file", NULL, "FILE", false, "its first line seals the keys in the backup"},
    {NULL, NULL, NULL, false, NULL},
};

/* A backup on its way to a file: checked as it is written. */
typedef struct {
    ent_cli_output output;
    ent_archive archive;
    ent_cli_progress progress;
    uint64_t bytes;
} writing;

static void release(writing *work)
{
    ent_cli_progress_end(&work->progress);
    ent_cli_output_release(&work->output);
    ent_archive_release(&work->archive);
}

static ent_rc take_piece(void *context, ent_bytes piece, ent_err *err)
{
    writing *work = context;
    ENT_TRY(ent_archive_push(&work->archive, piece, err));
    ENT_TRY(ent_cli_output_write(&work->output, piece, err));
    work->bytes += piece.size;
    ent_cli_progress_to(&work->progress, work->bytes);
    return ENT_DONE;
}

/* One file with a secret in it, as a member: a key file, whose secret is the file. */
static ent_rc put_key(writing *work, const char *path, const char *name, ent_key_lock *lock, ent_err *err)
{
    char member[ENT_USTAR_NAME_MAX + 1];
    ENT_CLEANUP(ent_buf_wipe) ent_buf secret = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf sealed = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf tar = {0};
    ent_rc rc = ent_key_file_load(path, &secret, err);
    if (rc.code != ENT_OK)
        return rc.code == ENT_ABSENT ? ENT_DONE : rc;
    (void)snprintf(member, sizeof member, "keys/%.80s", name);
    ENT_TRY(ent_key_file_put(&sealed, member, ent_buf_bytes(&secret), lock, err));
    ENT_TRY(ent_ustar_put(&tar, ent_text_of(member), ent_buf_bytes(&sealed), err));
    return take_piece(work, ent_buf_bytes(&tar), err);
}

static ent_rc put_keys(writing *work, const ent_paths *paths, ent_bytes passphrase, ent_err *err)
{
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    DIR *listing = opendir(paths->keys);
    if (listing == NULL)
        return ent_fail(err, ENT_IO, NULL, "cannot list %s", paths->keys);
    ent_rc rc = ENT_DONE;
    for (const struct dirent *row = readdir(listing); rc.code == ENT_OK && row != NULL; row = readdir(listing)) {
        size_t size = strlen(row->d_name);
        if (size < 5 || size > 60 || strcmp(row->d_name + size - 4, ".key") != 0)
            continue;
        char *path = ent_file_join(paths->keys, row->d_name);
        rc = path == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory")
                          : put_key(work, path, row->d_name, &lock, err);
        ent_free(path);
    }
    (void)closedir(listing);
    return rc.code == ENT_OK ? put_key(work, paths->alerts, "alerts.json", &lock, err) : rc;
}

static void put_result(ent_cli *cli, const writing *work, const char *path, bool with_keys)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    if (cli->json) {
        ent_json_object_begin(&writer);
        ent_json_member_string(&writer, "file", path);
        ent_json_member_unsigned(&writer, "bytes", work->bytes);
        ent_json_member_string(&writer, "time", work->archive.time);
        ent_json_member_unsigned(&writer, "keys", work->archive.keys);
        ent_json_object_end(&writer);
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return;
    }
    ent_buf_put_format(&cli->out, "%s: ", path);
    ent_cli_put_bytes(&cli->out, work->bytes);
    ent_buf_put_format(&cli->out, ", the state of %s; every part was checked as it was written.\n", work->archive.time);
    ent_buf_put_string(&cli->out,
                       with_keys ? "The node's keys are in it, sealed with the passphrase. The root keys are not.\n"
                                 : "No keys are in it: keep DIR/keys and the root keys apart (or see --with-keys).\n");
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/backup");
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf none = {0};
    ENT_CLEANUP(release) writing work = {.output.fd = -1};
    const char *folder = NULL;
    const char *path = cli->positional[0];
    bool with_keys = ent_cli_has(cli, "--with-keys");
    const char *passphrase_path = ent_cli_value(cli, "--passphrase-file");
    ent_archive_begin(&work.archive, NULL, NULL);
    if (with_keys != (passphrase_path != NULL))
        return ent_fail(err, ENT_USAGE, NULL,
                        "keys leave only with --with-keys, and then only sealed: give --passphrase-file FILE with it");
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(ent_paths_make(folder, &paths, err));
    work.progress = ent_cli_progress_of("backup", 0);
    ENT_TRY(ent_cli_output_begin(&work.output, path, 0600, err));
    if (with_keys) {
        ENT_TRY(ent_cli_read_passphrase(passphrase_path, &passphrase, err));
        ENT_TRY(put_keys(&work, &paths, ent_buf_bytes(&passphrase), err));
    }
    request.sink = take_piece;
    request.sink_context = &work;
    ENT_TRY(ent_cli_ask(cli, &request, &none, err));
    ENT_TRY(ent_archive_finish(&work.archive, err));
    ENT_TRY(ent_cli_output_finish(&work.output, err));
    if (strcmp(path, "-") != 0)
        put_result(cli, &work, path, with_keys);
    return ENT_DONE;
}

const ent_cli_command ent_cli_backup = {
    .words = "backup",
    .arguments = "FILE [--with-keys --passphrase-file FILE]",
    .summary = "copy all that the node keeps into one file, while it runs",
    .text =
        "A tar (`tar tf` lists it) with the store as it is now, sealed bodies and attachments, the keeper's marks,\n"
        "card and configuration, and a list of digests at its end. The node goes on meanwhile. Keys are in it only\n"
        "when asked for, and then sealed with a passphrase; root keys never are. What it holds stays sealed, but\n"
        "headers are readable: keep it as you keep the node's disk. `entente restore` puts it back.",
    .examples = "  entente backup /media/disk/aurora.tar --dir aurora\n"
                "  entente backup /media/disk/aurora.tar --with-keys --passphrase-file pass.txt --dir aurora",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
