/* entented --dir DIR [--passphrase-file FILE]: the node of one party. */
#include "base/file.h"
#include "node/node.h"
#include "node/report.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "entented: the node of one party in Entente, a hotline for cyber incidents\n"
    "\n"
    "usage: entented --dir DIR [--passphrase-file FILE]\n"
    "\n"
    "  --dir DIR               the party's folder, made by `entente init` (or ENTENTE_DIR)\n"
    "  --passphrase-file FILE  opens the keys, when they were made with a passphrase\n"
    "  --version               print the version\n"
    "  --help                  print this\n"
    "\n"
    "It listens for peers where DIR/node.json says and for `entente` on DIR/socket, writes one line an\n"
    "event to stderr, and stops cleanly on SIGTERM or SIGINT. An air-gapped node has no listener for peers.\n"
    "Exit status: 0 stopped as asked, 1 refused, 2 usage, 4 local fault.\n";

typedef struct {
    const char *folder;
    const char *passphrase_file;
} options;

/* Gives -1 to go on, else the exit status. */
static int read_options(int count, char **arguments, options *ret)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},
        {"passphrase-file", required_argument, NULL, 'p'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    ret->folder = getenv("ENTENTE_DIR"); /* NOLINT(concurrency-mt-unsafe): there is one thread yet */
    while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) { /* NOLINT(concurrency-mt-unsafe) */
        switch (option) {
        case 'd':
            ret->folder = optarg;
            break;
        case 'p':
            ret->passphrase_file = optarg;
            break;
        case 'v':
            (void)puts("entented " ENTENTE_VERSION);
            return 0;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            (void)fputs("entented: `entented --help` shows the options\n", stderr);
            return 2;
        }
    }
    if (optind < count || ret->folder == NULL) {
        (void)fprintf(stderr, "entented: %s\nusage: entented --dir DIR [--passphrase-file FILE]\n",
                      optind < count ? "there are no arguments besides the options"
                                     : "which folder? Give --dir DIR or set ENTENTE_DIR");
        return 2;
    }
    return -1;
}

/* The passphrase is the file's first line. */
static ent_rc read_passphrase(const char *path, ent_buf *ret, ent_err *err)
{
    if (path == NULL)
        return ENT_DONE;
    ENT_TRY(ent_file_read(path, 4096, ret, err));
    const uint8_t *newline = ret->size == 0 ? NULL : memchr(ret->data, '\n', ret->size);
    if (newline != NULL)
        ret->size = (size_t)(newline - ret->data);
    return ret->size > 0 ? ENT_DONE
                         : ent_fail(err, ENT_USAGE, NULL, "%s begins with an empty line: no passphrase", path);
}

static int fail(const ent_err *err)
{
    (void)fprintf(stderr, "entented: %s%s%s%s\n", err->text, err->rule[0] == 0 ? "" : " [", err->rule,
                  err->rule[0] == 0 ? "" : "]");
    return ent_code_exit_status(err->code);
}

int main(int count, char **arguments)
{
    options chosen = {0};
    ent_err err = {0};
    ent_node *node = NULL;
    sigset_t signals;
    int caught = 0;
    int status = read_options(count, arguments, &chosen);
    if (status >= 0)
        return status;
    /* Before any thread starts, so that all inherit it and only sigwait sees them. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, as some starters leave it, it would hide how an alert's program ended */
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    if (read_passphrase(chosen.passphrase_file, &passphrase, &err).code != ENT_OK)
        return fail(&err);
    if (ent_node_start(chosen.folder, ent_buf_bytes(&passphrase), &node, &err).code != ENT_OK)
        return fail(&err);
    (void)sigwait(&signals, &caught);
    ent_report report = ent_report_begin("node.stopping");
    ent_report_number(&report, "signal", (uint64_t)caught);
    ent_report_end(&report);
    ent_node_stop(node);
    report = ent_report_begin("node.stopped");
    ent_report_end(&report);
    return 0;
}
