/* entented --dir DIR [--passphrase-file FILE]: the node of one party. */
#include "node/audit.h"
#include "node/errands.h"
#include "node/keeper_process.h"
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
    "       entented --dir DIR --audit [--channel ID]\n"
    "\n"
    "  --dir DIR               the party's folder, made by `entente init` (or ENTENTE_DIR)\n"
    "  --passphrase-file FILE  opens the keys, when they were made with a passphrase\n"
    "  --audit                 audit the folder of a node that is stopped, and end: prints a JSON object a line;\n"
    "                          `entente audit` does it, and shows it to people\n"
    "  --channel ID            of one channel alone\n"
    "  --no-sandbox            for debugging alone: its processes give up none of what they can do\n"
    "  --version               print the version\n"
    "  --help                  print this\n"
    "\n"
    "It listens for peers where DIR/node.json says and for `entente` on DIR/socket, writes one line an\n"
    "event to stderr, and stops cleanly on SIGTERM or SIGINT. An air-gapped node has no listener for peers.\n"
    "Exit status: 0 stopped as asked, 1 refused, 2 usage, 4 local fault.\n";

typedef struct {
    ent_keeper_role role;
    const char *keeper;  /* not for people: be the keeper on these sockets, … */
    const char *errands; /* … or run the node's errands */
    const char *channel;
    bool audit;
} options;

/* Gives -1 to go on, else the exit status. */
static int read_options(int count, char **arguments, options *ret)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},
        {"passphrase-file", required_argument, NULL, 'p'},
        {ENT_KEEPER_OPTION, required_argument, NULL, 'k'},
        {"audit", no_argument, NULL, 'a'},
        {"channel", required_argument, NULL, 'c'},
        {ENT_ERRANDS_OPTION, required_argument, NULL, 'e'},
        {"no-sandbox", no_argument, NULL, 'n'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    ret->role.folder = getenv("ENTENTE_DIR"); /* NOLINT(concurrency-mt-unsafe): there is one thread yet */
    while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) { /* NOLINT(concurrency-mt-unsafe) */
        switch (option) {
        case 'd':
            ret->role.folder = optarg;
            break;
        case 'p':
            ret->role.passphrase_file = optarg;
            break;
        case 'k':
            ret->keeper = optarg;
            break;
        case 'a':
            ret->audit = true;
            break;
        case 'c':
            ret->channel = optarg;
            break;
        case 'e':
            ret->errands = optarg;
            break;
        case 'n':
            ret->role.no_sandbox = true;
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
    const char *wrong = optind < count                        ? "there are no arguments besides the options"
                        : ret->role.folder == NULL            ? "which folder? Give --dir DIR or set ENTENTE_DIR"
                        : ret->channel != NULL && !ret->audit ? "--channel goes with --audit"
                                                              : NULL;
    if (wrong == NULL)
        return -1;
    (void)fprintf(stderr, "entented: %s\nusage: entented --dir DIR [--passphrase-file FILE]\n", wrong);
    return 2;
}

static int fail(const ent_err *err)
{
    (void)fprintf(stderr, "entented: %s%s%s%s\n", err->text, err->rule[0] == 0 ? "" : " [", err->rule,
                  err->rule[0] == 0 ? "" : "]");
    return ent_code_exit_status(err->code);
}

/* The processes beside the node's. */
typedef struct {
    ent_process keeper;
    ent_process errands;
} company;

static void stop_without(const char *who, const char *how, const char *because)
{
    ent_err err = {0};
    (void)ent_fail(&err, ENT_IO, "design 8", "%s has %s; start entented again", who, how).code;
    ent_report_stop(because, &err);
}

/* Until the node is to stop. Without its keeper it can neither sign nor open, without the other no alert may leave:
 * then it stops at once. Gives the signal. */
static int wait_for_signal(const sigset_t *signals, company *beside)
{
    int caught = 0;
    char how[64];
    while (sigwait(signals, &caught) != 0 || caught == SIGCHLD) {
        if (ent_process_has_ended(&beside->keeper, how, sizeof how))
            stop_without("the keeper's process", how, "nothing can be signed or opened");
        if (ent_process_has_ended(&beside->errands, how, sizeof how))
            stop_without("the process that runs the node's errands", how, "no alert could leave");
    }
    return caught;
}

/* The keeper first: only then is it known that the keys are there. */
static ent_rc start_company(const options *chosen, company *beside, ent_node_options *with, ent_err *err)
{
    ENT_TRY(ent_keeper_process_start(&chosen->role, &beside->keeper, &with->keeper, err));
    if (!with->sandbox)
        return ENT_DONE;
    ent_rc rc = ent_errands_start(with->folder, &beside->errands, &with->errands, err);
    if (rc.code != ENT_OK) {
        ent_keeper_free(with->keeper);
        ent_process_wait(&beside->keeper); /* it writes its marks until it has ended */
    }
    return rc;
}

/* The marker of a clean stop is looked at first, for the keeper writes its marks anew as it starts. A node that does
 * not start puts it back itself; before that, nothing was signed. */
static ent_rc start(const options *chosen, company *beside, ent_node **ret, ent_err *err)
{
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    ent_node_options with = {.folder = chosen->role.folder, .sandbox = !chosen->role.no_sandbox};
    ENT_TRY(ent_paths_make(chosen->role.folder, &paths, err));
    ENT_TRY(ent_clean_stop_take(paths.marks, &with.before, err));
    ent_rc rc = start_company(chosen, beside, &with, err);
    if (rc.code == ENT_OK)
        return ent_node_start(&with, ret, err);
    if (with.before.was_clean)
        (void)ent_clean_stop_write(paths.marks, with.before.boot_id, NULL).code;
    return rc;
}

static void wait_for_all(company *beside)
{
    ent_process_wait(&beside->keeper);
    ent_process_wait(&beside->errands);
}

static void warn_of_no_sandbox(void)
{
    ent_report report = ent_report_begin("sandbox.off");
    ent_report_string(
        &report, "text",
        "--no-sandbox: whoever takes over a process of this node has all its user's rights. For debugging "
        "alone");
    ent_report_end(&report);
}

/* Before any thread starts, so that all inherit it and only sigwait sees them. */
static void block_signals(sigset_t *ret)
{
    (void)sigemptyset(ret);
    (void)sigaddset(ret, SIGTERM);
    (void)sigaddset(ret, SIGINT);
    (void)sigaddset(ret, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, ret, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, as some starters leave it, it would hide how a process ended */
}

/* 0 = nothing was found, 1 = something was. */
static int audit(const options *chosen)
{
    ent_err err = {0};
    bool clean = false;
    (void)signal(SIGPIPE, SIG_IGN);
    if (ent_audit_folder(chosen->role.folder, ent_text_of(chosen->channel), &clean, &err).code == ENT_OK)
        return clean ? 0 : 1;
    ENT_CLEANUP(ent_buf_release) ent_buf line = {0};
    ent_json_writer writer = ent_json_writer_of(&line);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "line", "failed");
    ent_json_member_string(&writer, "code", ent_code_word(err.code));
    ent_json_member_string(&writer, "rule", err.rule);
    ent_json_member_string(&writer, "text", err.text);
    ent_json_object_end(&writer);
    ent_buf_put_u8(&line, '\n');
    if (ent_buf_check(&line, NULL).code == ENT_OK)
        (void)fwrite(line.data, 1, line.size, stdout);
    return ent_code_exit_status(err.code);
}

int main(int count, char **arguments)
{
    options chosen = {0};
    ent_err err = {0};
    company beside = {0};
    ent_node *node = NULL;
    sigset_t signals;
    int status = read_options(count, arguments, &chosen);
    if (status >= 0)
        return status;
    if (chosen.audit)
        return audit(&chosen);
    block_signals(&signals);
    if (chosen.keeper != NULL)
        return ent_keeper_process_run(chosen.keeper, &chosen.role);
    if (chosen.errands != NULL)
        return ent_errands_run(chosen.errands, chosen.role.folder);
    if (chosen.role.no_sandbox)
        warn_of_no_sandbox();
    if (start(&chosen, &beside, &node, &err).code != ENT_OK) {
        wait_for_all(&beside);
        return fail(&err);
    }
    int caught = wait_for_signal(&signals, &beside);
    ent_report report = ent_report_begin("node.stopping");
    ent_report_number(&report, "signal", (uint64_t)caught);
    ent_report_end(&report);
    ent_node_stop(node);
    wait_for_all(&beside);
    report = ent_report_begin("node.stopped");
    ent_report_end(&report);
    return 0;
}
