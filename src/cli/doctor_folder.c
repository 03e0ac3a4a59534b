#include "cli/doctor.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "http/tls.h"
#include "keeper/keeper.h"
#include "seal/card.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CERTIFICATE_MAX_BYTES = 65536 };
#define DISK_LOW_BYTES ((uint64_t)512 << 20)

static void find(ent_json_writer *writer, bool is_note, const char *what, const char *matters, const char *todo,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));

static void find(ent_json_writer *writer, bool is_note, const char *what, const char *matters, const char *todo,
                 const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "level", is_note ? "note" : "problem");
    ent_json_member_string(writer, "what", what);
    ent_json_member_string(writer, "channel", NULL);
    ent_json_member_string(writer, "alias", NULL);
    ent_json_member_string(writer, "party", NULL);
    ent_json_member_string(writer, "since", NULL);
    ent_json_member_string(writer, "text", text);
    ent_json_member_string(writer, "matters", matters);
    ent_json_member_string(writer, "todo", todo);
    ent_json_object_end(writer);
}

/* --- who may read and write --- */

static void look_at_mode(ent_json_writer *writer, const char *path)
{
    struct stat status;
    char todo[1200];
    if (lstat(path, &status) != 0)
        return;
    if (status.st_uid != geteuid())
        find(writer, false, "owner", "The node runs as one user, and must own what it writes.",
             "Run `entente` and `entented` as the user who owns the folder, or change the owner (`chown -R`).",
             "%s belongs to user %u, and we are user %u", path, (unsigned)status.st_uid, (unsigned)geteuid());
    if ((status.st_mode & 077) == 0 || S_ISLNK(status.st_mode))
        return;
    (void)snprintf(todo, sizeof todo, "chmod go= %s", path);
    find(writer, false, "permissions",
         "Whoever can read the keys can sign and read as this party; whoever opens the socket acts for it.", todo,
         "%s may be used by others than its owner (mode %04o)", path, (unsigned)status.st_mode & 07777U);
}

/* The key that came with the card of this serial.
 *  @in   now   the card names it; else one of before
 *  @in   runs   a running node tells of its keys itself */
static ent_rc look_at_key_file(ent_json_writer *writer, const ent_paths *paths, ent_key_role role, uint64_t serial,
                               bool now, bool runs, ent_err *err)
{
    char name[ENT_KEY_NAME_SIZE];
    char todo[256];
    ent_key_file_name(role, serial, name);
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(paths->keys, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    look_at_mode(writer, path);
    if (ent_file_exists(path))
        return ENT_DONE;
    (void)snprintf(
        todo, sizeof todo,
        "Bring it back from where you keep the keys, or from a backup that was made --with-keys. If there is "
        "none, start the node and `entente key revoke %s --root-dir DIR`.",
        ent_key_role_word(role));
    if (now && !runs)
        find(writer, false, "keys", "The node starts without it, and holds what it does.", todo, "%s is missing", path);
    else if (!now && role == ENT_KEY_ROLE_AGE)
        find(writer, true, "keys", "What was sealed to it cannot be opened here any more.",
             "Bring it back from a backup that was made --with-keys, if there is one.",
             "%s, a key of before, is missing", path);
    return ENT_DONE;
}

static ent_rc look_at_key_files(ent_json_writer *writer, const ent_paths *paths, const ent_card *card, bool runs,
                                ent_err *err)
{
    look_at_mode(writer, paths->keys);
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        for (size_t i = 0; card != NULL && i < card->former_count; i++) {
            if (card->former[i].role == role)
                ENT_TRY(look_at_key_file(writer, paths, role, ent_card_key_serial(card, role, i), false, runs, err));
        }
        uint64_t serial = card == NULL ? 1 : ent_card_key_serial(card, role, card->former_count);
        ENT_TRY(look_at_key_file(writer, paths, role, serial, true, runs, err));
    }
    return ENT_DONE;
}

static void look_at_modes(ent_json_writer *writer, const char *folder, const ent_paths *paths)
{
    look_at_mode(writer, folder);
    look_at_mode(writer, paths->marks);
    look_at_mode(writer, paths->store);
    look_at_mode(writer, paths->socket);
}

/* --- card, certificate, keys --- */

static ent_rc read_card(ent_json_writer *writer, const ent_paths *paths, ent_card_opened *ret, bool *ret_read,
                        ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_err why = {0};
    ent_rc rc = ent_file_read(paths->card, ENT_CARD_MAX_BYTES, &bytes, &why);
    if (rc.code == ENT_OK)
        rc = ent_card_parse(ent_buf_bytes(&bytes), ret, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *ret_read = rc.code == ENT_OK;
    if (!*ret_read)
        find(writer, false, "card", "Without its card the node does not start, and peers cannot know it.",
             "Bring it back from a backup, or from a peer who holds it.", "%s: %s", paths->card, why.text);
    return ENT_DONE;
}

static ent_rc look_at_certificate(ent_json_writer *writer, const ent_paths *paths, const ent_card *card, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf certificate = {0};
    ent_hash pin;
    ent_err why = {0};
    char name[48] = "tls.crt";
    uint64_t serial = ent_card_key_serial(card, ENT_KEY_ROLE_TLS, card->former_count);
    if (serial > 1) /* the card that brought it names it */
        (void)snprintf(name, sizeof name, "tls.%llu.crt", (unsigned long long)serial);
    size_t folder = strlen(paths->certificate) - strlen("tls.crt");
    ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
    ent_buf_put_format(&path, "%.*s%s", (int)folder, paths->certificate, name);
    ENT_TRY(ent_buf_check(&path, err));
    ent_rc rc = ent_file_read(ent_buf_string(&path), CERTIFICATE_MAX_BYTES, &certificate, &why);
    if (rc.code == ENT_OK)
        rc = ent_tls_pin(ent_buf_bytes(&certificate), &pin, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code == ENT_OK && ent_hash_equal(&pin, &card->tls))
        return ENT_DONE;
    find(writer, false, "certificate", "Peers talk only to the certificate that is pinned in the card they hold.",
         "Put back the certificate that belongs to the card, or replace card and certificate together (a new card).",
         "%s %s%s", ent_buf_string(&path),
         rc.code == ENT_OK ? "is not the certificate pinned in the card" : "cannot be used: ",
         rc.code == ENT_OK ? "" : why.text);
    return ENT_DONE;
}

static void look_at_clock(ent_json_writer *writer, const ent_card *card)
{
    int64_t issued = 0;
    if (ent_time_parse(card->issued, &issued) && ent_clock_unix_s() < issued)
        find(writer, false, "clock",
             "Times are each side's claim; what is dated before the party existed is believed by nobody.",
             "Set the clock (`timedatectl`).", "this machine's clock is before %.*s, when our card was issued",
             ENT_TEXT_ARG(card->issued));
}

/* Only while no node runs: opening the keys opens the marks. */
static ent_rc look_at_keys(ent_json_writer *writer, const ent_paths *paths, const ent_card *card, ent_bytes passphrase,
                           ent_err *err)
{
    ent_keeper *keeper = NULL;
    ent_err why = {0};
    ent_rc rc = ent_keeper_open(paths->keys, paths->marks, passphrase, &keeper, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code == ENT_REFUSED && passphrase.size == 0) {
        find(writer, true, "keys", "Whether the keys are those of the card is seen by the node when it starts.",
             "Mend that, or give --passphrase-file, to have them compared now.", "the keys were not looked at: %s",
             why.text);
        return ENT_DONE;
    }
    if (rc.code != ENT_OK) {
        find(
            writer, false, "keys", "Without its keys and marks the node does not start.",
            "Bring back keys/ from a backup. marks/ must be as new as the last signature: ask before you copy an older "
            "one.",
            "%s", why.text);
        return ENT_DONE;
    }
    bool fit = true;
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_TLS; role++) {
        uint8_t value[32];
        ent_err unread = {0};
        rc = ent_keeper_key(keeper, role, ent_card_key_serial(card, role, card->former_count), value, &unread);
        fit = fit && (rc.code != ENT_OK || memcmp(value, ent_card_key(card, role), sizeof value) == 0);
        if (rc.code != ENT_OK && rc.code != ENT_ABSENT) /* one that is missing was told */
            find(writer, false, "keys", "Without its keys the node does not start.", "Follow what it says.", "%s",
                 unread.text);
    }
    ent_keeper_free(keeper);
    if (!fit)
        find(writer, false, "keys", "Peers verify what we sign by the keys in our card.",
             "Put keys/ and card of one party together: one of the two was copied from elsewhere.",
             "%s does not name the keys in %s", paths->card, paths->keys);
    return ENT_DONE;
}

static ent_rc look_at_root(ent_json_writer *writer, const ent_paths *paths, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(paths->root, "root.key");
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (ent_file_exists(path))
        find(writer, true, "root-key", "Whoever has the root key can replace all others. The node never needs it.",
             "Move root/ to a medium that lies in a safe, with a copy of it in another.",
             "the root key lies on this machine, in %s", paths->root);
    return ENT_DONE;
}

/* --- the node --- */

static ent_rc look_at_node(ent_json_writer *writer, const char *folder, const ent_paths *paths, bool *ret_locked,
                           ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(paths->store, "lock");
    char todo[1200];
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_CLEANUP(ent_file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ret_locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (*ret_locked) {
        find(writer, false, "locked", "Only one process at a time may use a party's store.",
             "If a node is just starting or stopping, wait; else find the process (`fuser`) and see what it does.",
             "a process has the store in %s open, and no node answers on %s", folder, paths->socket);
        return ENT_DONE;
    }
    (void)snprintf(todo, sizeof todo, "entented --dir %s", folder);
    find(writer, false, "stopped", "While it is stopped nothing is received, and nothing that was said leaves.", todo,
         "no node runs for %s", folder);
    return ENT_DONE;
}

/* Made as the last act of a clean stop. */
static ent_rc look_at_marker(ent_json_writer *writer, const ent_paths *paths, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *marker = ent_file_join(paths->marks, "clean");
    ENT_CLEANUP(ent_free_pointer) char *marks = ent_file_join(paths->marks, "marks");
    if (marker == NULL || marks == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (!ent_file_exists(marks))
        find(writer, false, "marks",
             "They say how far this party has signed. Without them what is said is held, for a head could be signed "
             "twice.",
             "Put the newest marks back if you moved them, never older ones. If they are lost, start the node and run "
             "`entente recover --from PARTY`.",
             "%s is missing", marks);
    else if (!ent_file_exists(marker))
        find(writer, true, "not-clean",
             "The node may have been killed, or this folder be a copy: what was signed last may be missing here.",
             "Nothing, if it was killed: when it starts it asks the other members before it signs anything new.",
             "the node was not stopped cleanly");
    return ENT_DONE;
}

static void look_at_disk(ent_json_writer *writer, const char *folder)
{
    struct statvfs status;
    if (statvfs(folder, &status) != 0)
        return;
    uint64_t free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    if (free_bytes < DISK_LOW_BYTES)
        find(writer, false, "disk", "On a full disk nothing is taken in or said. What was receipted is not lost.",
             "Make room on that disk, or move the folder to a larger one.", "%llu MB are free on the disk of %s",
             (unsigned long long)(free_bytes / 1000000), folder);
}

ent_rc ent_cli_doctor_folder(const char *folder, bool runs, ent_bytes passphrase, ent_json_writer *writer, ent_err *err)
{
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    ENT_CLEANUP(ent_config_release) ent_config config = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    bool has_card = false;
    bool locked = false;
    ent_err why = {0};
    ENT_TRY(ent_paths_make(folder, &paths, err));
    ent_rc rc = ent_config_read(paths.config, &config, &why);
    if (rc.code == ENT_ABSENT || rc.code == ENT_NOMEM) /* no party lives here: that is no finding */
        return ent_fail(err, (ent_code)rc.code, NULL, "%s", why.text);
    if (rc.code != ENT_OK)
        find(writer, false, "configuration", "The node does not start without it.",
             "Mend it: docs/formats.md has its form.", "%s", why.text);
    look_at_modes(writer, folder, &paths);
    ENT_TRY(read_card(writer, &paths, &card, &has_card, err));
    ENT_TRY(look_at_key_files(writer, &paths, has_card ? &card.card : NULL, runs, err));
    if (has_card) {
        ENT_TRY(look_at_certificate(writer, &paths, &card.card, err));
        look_at_clock(writer, &card.card);
    }
    ENT_TRY(look_at_root(writer, &paths, err));
    if (runs)
        return ENT_DONE;
    look_at_disk(writer, folder);
    ENT_TRY(look_at_marker(writer, &paths, err));
    ENT_TRY(look_at_node(writer, folder, &paths, &locked, err));
    return has_card && !locked ? look_at_keys(writer, &paths, &card.card, passphrase, err) : ENT_DONE;
}
