#include "cli/edit.h"

#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPLY_MAX = 64, SHELL_NOT_FOUND = 127 };

static ent_rc fail_errno(ent_err *err, const char *what, const char *path)
{
    int number = errno;
    char reason[128];
    return ent_fail(err, number == ENOSPC ? ENT_IO_FULL : ENT_IO, NULL, "cannot %s %s: %s", what, path,
                    strerror_r(number, reason, sizeof reason));
}

/* Only what cannot lead out of the folder stays in the file's name. */
static void put_file_name(ent_buf *buf, const char *name)
{
    for (; *name != 0; name++) {
        bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                     (*name >= '0' && *name <= '9') || *name == '.' || *name == '-';
        ent_buf_put_u8(buf, plain ? (uint8_t)*name : '_');
    }
}

static ent_rc make_file(const char *name, ent_cli_edited *edited, ent_err *err)
{
    const char *base = getenv("TMPDIR");
    ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
    ent_buf_put_string(&path, base != NULL && base[0] == '/' ? base : "/tmp");
    ent_buf_put_string(&path, "/entente-XXXXXX");
    ENT_TRY(ent_buf_check(&path, err));
    edited->folder = ent_text_copy(ent_buf_text(&path));
    if (edited->folder == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (mkdtemp(edited->folder) == NULL) { /* mode 0700 */
        ent_rc rc = fail_errno(err, "make the folder", edited->folder);
        ent_free_pointer(&edited->folder);
        return rc;
    }
    ent_buf_clear(&path);
    ent_buf_put_string(&path, edited->folder);
    ent_buf_put_u8(&path, '/');
    put_file_name(&path, name);
    ENT_TRY(ent_buf_check(&path, err));
    edited->path = ent_text_copy(ent_buf_text(&path));
    return edited->path != NULL ? ENT_DONE : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

static bool is_program(const char *name)
{
    const char *path = getenv("PATH");
    for (path = path == NULL ? "/usr/bin:/bin" : path; *path != 0;) {
        char file[512];
        size_t size = strcspn(path, ":");
        int written = snprintf(file, sizeof file, "%.*s/%s", (int)size, path, name);
        if (written > 0 && (size_t)written < sizeof file && access(file, X_OK) == 0)
            return true;
        path += size + (path[size] == ':');
    }
    return false;
}

/* The words of $VISUAL or $EDITOR may hold arguments: a shell takes them apart, as for every other program. */
static const char *editor(void)
{
    static const char *const known[] = {"sensible-editor", "editor", "nano", "vi"};
    const char *wanted = getenv("VISUAL");
    if (wanted == NULL || wanted[0] == 0)
        wanted = getenv("EDITOR");
    if (wanted != NULL && wanted[0] != 0)
        return wanted;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is_program(known[i]))
            return known[i];
    }
    return NULL;
}

static ent_rc run_editor(const char *path, ent_err *err)
{
    const char *words = editor();
    char script[1024];
    int status = 0;
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    struct sigaction interrupt;
    struct sigaction quit;
    if (words == NULL)
        return ent_fail(err, ENT_REFUSED, NULL, "there is no editor: set VISUAL or EDITOR to one");
    int size = snprintf(script, sizeof script, "%s \"$1\"", words);
    if (size < 0 || (size_t)size >= sizeof script)
        return ent_fail(err, ENT_USAGE, NULL, "the editor's command in VISUAL or EDITOR is too long");
    /* Ctrl-C belongs to the editor. */
    (void)sigaction(SIGINT, &ignored, &interrupt);
    (void)sigaction(SIGQUIT, &ignored, &quit);
    pid_t child = fork();
    if (child == 0) {
        (void)sigaction(SIGINT, &interrupt, NULL);
        (void)sigaction(SIGQUIT, &quit, NULL);
        (void)execl("/bin/sh", "sh", "-c", script, "entente", path, (char *)NULL);
        _exit(SHELL_NOT_FOUND);
    }
    pid_t ended = child;
    do {
        ended = child < 0 ? child : waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    ent_rc rc = ended < 0 ? fail_errno(err, "run", words) : ENT_DONE;
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGQUIT, &quit, NULL);
    ENT_TRY(rc);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return ent_fail(err, ENT_REFUSED, NULL, "the editor %s did not end well; nothing was sent", words);
    return ENT_DONE;
}

static bool is_blank(ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == 0 || strchr(" \t\r\n", text.data[i]) == NULL)
            return false;
    }
    return true;
}

/* Whether the person wants another try; false when there is nobody to ask. */
static bool asks_again(const ent_err *failure)
{
    char reply[REPLY_MAX];
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    ent_cli_print_failure(failure, false);
    (void)fputs("Edit again? [Y/n] ", stderr);
    if (fgets(reply, sizeof reply, stdin) == NULL)
        return false;
    return reply[0] == '\n' || reply[0] == 'y' || reply[0] == 'Y';
}

ent_rc ent_cli_edit(const char *name, ent_text text, ent_cli_edit_check check, void *context, ent_cli_edited *edited,
                    ent_buf *ret, ent_err *err)
{
    ENT_TRY(make_file(name, edited, err));
    ENT_TRY(ent_file_create(edited->path, 0600, ent_text_bytes(text), err));
    for (;;) {
        ENT_CLEANUP(ent_buf_wipe) ent_buf written = {0};
        ent_err failure = {0};
        ENT_TRY(run_editor(edited->path, err));
        ENT_TRY(ent_file_read(edited->path, ENT_JSON_MAX_BYTES, &written, err));
        if (is_blank(ent_buf_text(&written))) {
            ent_cli_edit_discard(edited);
            return ent_fail(err, ENT_REFUSED, NULL, "the file was emptied; nothing was sent");
        }
        size_t before = ret->size;
        ent_rc rc = check(context, ent_buf_text(&written), ret, &failure);
        if (rc.code == ENT_OK)
            return rc;
        ret->size = before;
        if (!asks_again(&failure)) {
            if (err != NULL)
                *err = failure;
            return rc;
        }
    }
}

ent_rc ent_cli_edit_rewrite(const ent_cli_edited *edited, ent_text text, ent_err *err)
{
    return ent_file_write(edited->path, 0600, ent_text_bytes(text), err);
}

void ent_cli_edit_discard(ent_cli_edited *edited)
{
    DIR *folder = edited->folder == NULL ? NULL : opendir(edited->folder);
    // cppcheck-suppress readdirCalled ; the stream is ours alone
    for (const struct dirent *entry = NULL; folder != NULL && (entry = readdir(folder)) != NULL;)
        (void)unlinkat(dirfd(folder), entry->d_name, 0); /* "." and ".." do not go */
    if (folder != NULL)
        (void)closedir(folder);
    if (edited->folder != NULL)
        (void)rmdir(edited->folder);
    ent_cli_edit_release(edited);
}

void ent_cli_edit_release(ent_cli_edited *edited)
{
    ent_free_pointer(&edited->folder);
    ent_free_pointer(&edited->path);
}
