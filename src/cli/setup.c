#include "cli/setup.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "http/tls.h"
#include "keeper/clean_stop.h"
#include "keeper/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* One set-up at work. */
typedef struct {
    const char *folder;
    ent_paths paths;
    char *marker;
    char *root;       /* absolute: the marker names it for a later try */
    bool root_inside; /* the party's folder */
    int lock;
} work;

static ent_rc fail_errno(ent_err *err, const char *what, const char *path)
{
    char reason[128];
    return ent_fail(err, errno == ENOSPC ? ENT_IO_FULL : ENT_IO, NULL, "cannot %s %s: %s", what, path,
                    strerror_r(errno, reason, sizeof reason));
}

static void release_work(work *at)
{
    ent_paths_release(&at->paths);
    ent_free(at->marker);
    free(at->root);
    ent_file_close(&at->lock);
}

/* ---- what an unfinished try left ---------------------------------------------- */

static int is_entry(const struct dirent *row)
{
    return strcmp(row->d_name, ".") != 0 && strcmp(row->d_name, "..") != 0;
}

/* A file of this name, or a temporary file that was to become it. */
static bool is_ours(const char *found, const char *const *names)
{
    for (; *names != NULL; names++) {
        size_t size = strlen(*names);
        if (strncmp(found, *names, size) == 0 &&
            (found[size] == 0 || (found[size] == '.' && strlen(found + size) == 7)))
            return true;
    }
    return false;
}

static ent_rc remove_files(const char *folder, const char *const *names, ent_err *err)
{
    struct dirent **rows = NULL;
    ENT_CLEANUP(ent_file_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = fd < 0 ? -1 : scandir(folder, &rows, is_entry, alphasort);
    if (count < 0)
        return errno == ENOENT ? ENT_DONE : fail_errno(err, "list", folder);
    ent_rc rc = ENT_DONE;
    for (int i = 0; i < count; i++) {
        if (rc.code == ENT_OK && is_ours(rows[i]->d_name, names) && unlinkat(fd, rows[i]->d_name, 0) != 0)
            rc = fail_errno(err, "remove what an unfinished try left in", folder);
        free(rows[i]);
    }
    free(rows);
    return rc;
}

static ent_rc remove_remains(const work *at, const char *root, bool root_inside, ent_err *err)
{
    static const char *const key_names[] = {"log.key", "receipt.key", "age.key", "tls.key", NULL};
    static const char *const root_names[] = {"root.key", "next-root.key", NULL};
    static const char *const marks_names[] = {"clean", NULL};
    static const char *const top_names[] = {"card", "tls.crt", "node.json", NULL};
    ENT_TRY(remove_files(at->paths.keys, key_names, err));
    ENT_TRY(remove_files(root, root_names, err));
    ENT_TRY(remove_files(at->folder, top_names, err));
    ENT_TRY(remove_files(at->paths.marks, marks_names, err));
    (void)rmdir(at->paths.marks);
    (void)rmdir(at->paths.keys);
    if (root_inside)
        (void)rmdir(root);
    return ent_file_sync_folder(at->folder, err);
}

/* The marker is "root-inside\n" or "root-outside\n", then the root folder's path. */
static ent_rc clear_unfinished(const work *at, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_TRY(ent_file_read(at->marker, PATH_MAX + 64, &text, err));
    const char *string = ent_buf_string(&text);
    ENT_TRY(ent_buf_check(&text, err));
    const char *root = strchr(string, '\n');
    if (root == NULL || root[1] != '/')
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s is damaged: empty the folder %s yourself and try again",
                        at->marker, at->folder);
    ent_cli_note("an earlier try did not finish; its keys, which nobody has seen, are removed");
    ENT_TRY(remove_remains(at, root + 1, ent_text_starts(ent_text_of(string), ENT_TEXT("root-inside\n")), err));
    return unlink(at->marker) == 0 ? ENT_DONE : fail_errno(err, "remove", at->marker);
}

/* ---- the ground --------------------------------------------------------------- */

static bool is_empty(const char *folder)
{
    struct dirent **rows = NULL;
    int count = scandir(folder, &rows, is_entry, alphasort);
    for (int i = 0; i < count; i++)
        free(rows[i]);
    free(rows);
    return count == 0;
}

static ent_rc make_folder(work *at, ent_err *err)
{
    struct stat status;
    ENT_TRY(ent_file_make_folder(at->folder, 0700, err));
    if (stat(at->folder, &status) != 0)
        return fail_errno(err, "look at", at->folder);
    if ((status.st_mode & 077) != 0 && !is_empty(at->folder))
        return ent_fail(
            err, ENT_REFUSED, "design 8, keeper",
            "%s is not empty and others can enter it (mode %04o): name a folder of its own, or chmod 700 it",
            at->folder, (unsigned)(status.st_mode & 07777));
    if ((status.st_mode & 077) != 0 && chmod(at->folder, 0700) != 0)
        return fail_errno(err, "close to others", at->folder);
    at->lock = open(at->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at->lock < 0)
        return fail_errno(err, "open", at->folder);
    if (flock(at->lock, LOCK_EX | LOCK_NB) != 0)
        return ent_fail(err, ENT_REFUSED, NULL, "another `entente init` is at work in %s", at->folder);
    return ENT_DONE;
}

static ent_rc refuse_what_is_there(const work *at, ent_err *err)
{
    const char *const used[] = {at->paths.keys,  at->paths.card,  at->paths.certificate,
                                at->paths.marks, at->paths.store, at->paths.blobs};
    if (ent_file_exists(at->paths.config)) {
        (void)unlink(at->marker); /* node.json is written last: that try did finish */
        return ent_fail(err, ENT_REFUSED, NULL,
                        "a node lives here already: %s exists; nothing was changed. `entented --dir %s` starts it",
                        at->paths.config, at->folder);
    }
    if (ent_file_exists(at->marker))
        return clear_unfinished(at, err);
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        if (ent_file_exists(used[i]))
            return ent_fail(
                err, ENT_REFUSED, NULL,
                "%s exists, but no node.json: this may be a damaged node. Restore node.json from a backup, or name "
                "an empty folder; nothing was changed",
                used[i]);
    }
    return ENT_DONE;
}

static ent_rc prepare_root(work *at, const char *root_folder, ent_err *err)
{
    const char *folder = root_folder != NULL ? root_folder : at->paths.root;
    static const char *const names[] = {"root.key", "next-root.key"};
    ENT_TRY(ent_file_make_folder(folder, 0700, err));
    at->root_inside = root_folder == NULL;
    at->root = realpath(folder, NULL);
    if (at->root == NULL)
        return fail_errno(err, "find", folder);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(at->root, names[i]);
        if (path == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        if (ent_file_exists(path))
            return ent_fail(err, ENT_REFUSED, NULL,
                            "%s exists already; a root key belongs to one party: name another --root-dir", path);
    }
    return ENT_DONE;
}

static ent_rc write_marker(const work *at, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_buf_put_string(&text, at->root_inside ? "root-inside\n" : "root-outside\n");
    ent_buf_put_string(&text, at->root);
    ENT_TRY(ent_buf_check(&text, err));
    return ent_file_create(at->marker, 0600, ent_buf_bytes(&text), err);
}

/* ---- keys, certificate, card, configuration ------------------------------------ */

static ent_rc make_card(const work *at, const ent_cli_setup *setup, ent_card *card, char *ret_fingerprint, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    card->name = ent_text_of(setup->name);
    card->serial = 1;
    card->url = setup->url == NULL ? ENT_TEXT("") : ent_text_of(setup->url);
    memcpy(card->contacts, setup->contacts, sizeof card->contacts);
    card->contact_count = setup->contact_count;
    ENT_TRY(ent_root_sign_card(at->root, setup->passphrase, card, &note, err));
    ENT_TRY(ent_card_fingerprint(card, ret_fingerprint, err));
    return ent_file_create(at->paths.card, 0644, ent_buf_bytes(&note), err);
}

/* New keys have signed nothing: the first start has nobody to ask. */
static ent_rc write_clean_stop(const work *at, ent_err *err)
{
    char boot_id[ENT_BOOT_ID_MAX_BYTES + 1];
    ent_boot_id_read(boot_id);
    return ent_clean_stop_write(at->paths.marks, boot_id, err);
}

static ent_rc make_all(const work *at, const ent_cli_setup *setup, char *ret_fingerprint, ent_err *err)
{
    ent_text name = ent_text_of(setup->name);
    ENT_CLEANUP(ent_buf_wipe) ent_buf tls_key = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf certificate = {0};
    ent_keeper_publics publics;
    char issued[ENT_TIME_TEXT_SIZE + 1];
    ent_card card = {0};
    ent_time_format(ent_clock_unix_s(), issued);
    card.issued = ent_text_of(issued);
    ENT_TRY(ent_tls_generate(name, &tls_key, &certificate, err));
    ENT_TRY(ent_tls_pin(ent_buf_bytes(&certificate), &card.tls, err));
    ENT_TRY(ent_root_create(at->root, name, setup->passphrase, &card.root, &card.next_root, err));
    ENT_TRY(ent_keeper_create(at->paths.keys, name, setup->passphrase, ent_buf_bytes(&tls_key), &publics, err));
    card.log = publics.log;
    card.receipt = publics.receipt;
    card.age = publics.age;
    ENT_TRY(ent_file_create(at->paths.certificate, 0644, ent_buf_bytes(&certificate), err));
    ENT_TRY(make_card(at, setup, &card, ret_fingerprint, err));
    ENT_TRY(write_clean_stop(at, err));
    ent_config config = {.air_gapped = setup->air_gapped};
    config.name = ent_text_copy(name);
    config.listen = setup->listen == NULL ? NULL : ent_text_copy(ent_text_of(setup->listen));
    config.url = setup->url == NULL ? NULL : ent_text_copy(ent_text_of(setup->url));
    bool copied = config.name != NULL && (setup->listen == NULL) == (config.listen == NULL) &&
                  (setup->url == NULL) == (config.url == NULL);
    ent_rc rc =
        copied ? ent_config_write(at->paths.config, &config, err) : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_config_release(&config);
    return rc;
}

ent_rc ent_cli_setup_make(const char *folder, const ent_cli_setup *setup,
                          char ret_fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1], ent_err *err)
{
    ENT_CLEANUP(release_work) work at = {.folder = folder, .lock = -1};
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ENT_TRY(ent_paths_make(folder, &at.paths, err));
    at.marker = ent_file_join(folder, "init.unfinished");
    if (at.marker == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(make_folder(&at, err));
    ENT_TRY(refuse_what_is_there(&at, err));
    ENT_TRY(prepare_root(&at, setup->root_folder, err));
    ENT_TRY(write_marker(&at, err));
    ent_rc rc = make_all(&at, setup, fingerprint, err);
    if (rc.code != ENT_OK) {
        /* What cannot be removed now is removed by the next try: the marker stays. */
        if (remove_remains(&at, at.root, at.root_inside, NULL).code == ENT_OK)
            (void)unlink(at.marker);
        return rc;
    }
    (void)unlink(at.marker);
    memcpy(ret_fingerprint, fingerprint, sizeof fingerprint);
    return ENT_DONE;
}
