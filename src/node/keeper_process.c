#include "node/keeper_process.h"

#include "base/config.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "keeper/serve.h"
#include "node/report.h"
#include "sandbox/sandbox.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

ent_rc ent_keeper_process_start(const ent_keeper_role *role, ent_process *ret_process, ent_keeper **ret_keeper,
                                ent_err *err)
{
    const char *arguments[6] = {"--dir", role->folder};
    size_t used = 2;
    if (role->no_sandbox)
        arguments[used++] = "--no-sandbox";
    if (role->passphrase_file != NULL) {
        arguments[used++] = "--passphrase-file";
        arguments[used] = role->passphrase_file;
    }
    ent_process process;
    ENT_TRY(ent_process_start(ENT_KEEPER_OPTION, arguments, ENT_KEEPER_LANES, &process, err));
    ent_rc rc = ent_keeper_connect(process.sockets, process.count, ret_keeper, err);
    if (rc.code != ENT_OK) {
        ent_process_wait(&process);
        return rc;
    }
    *ret_process = process;
    return ENT_DONE;
}

/* --- the process itself --- */

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

/* New keys are written too, hence more than reading. */
static ent_rc enter_sandbox(const ent_paths *paths, ent_err *err)
{
    const ent_sandbox_path open[] = {{paths->keys, ENT_SANDBOX_WRITE}, {paths->marks, ENT_SANDBOX_WRITE}};
    ent_sandbox_state state;
    return ent_sandbox_enter(ENT_SANDBOX_KEEPER, open, sizeof open / sizeof *open, &state, err);
}

/* The passphrase's file may be one that is open already, say /dev/fd/63: only after it everything else is closed. */
static ent_rc open_keeper(const ent_keeper_role *role, const int *lanes, size_t count, ent_keeper **ret, ent_err *err)
{
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    ENT_CLEANUP(ent_config_release) ent_config config = {0}; /* only to say first what is wrong with the folder */
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_paths_make(role->folder, &paths, err));
    ENT_TRY(ent_config_read(paths.config, &config, err));
    ENT_TRY(read_passphrase(role->passphrase_file, &passphrase, err));
    ent_process_close_others(lanes, count);
    ENT_TRY(ent_keeper_open(paths.keys, paths.marks, ent_buf_bytes(&passphrase), ret, err));
    return role->no_sandbox ? ENT_DONE : enter_sandbox(&paths, err);
}

/* One lane and its thread. */
typedef struct {
    ent_keeper *keeper;
    int socket;
    pthread_t thread;
} served;

/* A node that says what no node says is not ours any more: nothing is signed for it. */
static void *serve(void *context)
{
    served *lane = context;
    ent_err err = {0};
    if (ent_keeper_serve(lane->keeper, lane->socket, &err).code != ENT_OK)
        ent_report_stop("the keeper cannot go on", &err);
    return NULL;
}

static void serve_all(ent_keeper *keeper, const int *sockets, size_t count)
{
    served lanes[ENT_PROCESS_MAX_SOCKETS] = {0};
    ent_err err = {0};
    for (size_t i = 0; i < count; i++)
        lanes[i] = (served){.keeper = keeper, .socket = sockets[i]};
    for (size_t i = 1; i < count; i++) {
        if (pthread_create(&lanes[i].thread, NULL, serve, &lanes[i]) != 0) {
            (void)ent_fail(&err, ENT_IO, NULL, "cannot start a thread").code;
            ent_report_stop("the keeper cannot start", &err);
        }
    }
    (void)serve(&lanes[0]);
    for (size_t i = 1; i < count; i++)
        (void)pthread_join(lanes[i].thread, NULL);
}

int ent_keeper_process_run(const char *sockets, const ent_keeper_role *role)
{
    int lanes[ENT_PROCESS_MAX_SOCKETS];
    size_t count = 0;
    ent_keeper *keeper = NULL;
    ent_err err = {0};
    ent_err unheard = {0};
    ent_process_name("entented-keeper");
    ent_process_harden();
    if (ent_process_sockets(sockets, lanes, &count, &err).code != ENT_OK) {
        (void)dprintf(STDERR_FILENO, "entented: --" ENT_KEEPER_OPTION ": %s\n", err.text);
        return ent_code_exit_status(err.code);
    }
    if (open_keeper(role, lanes, count, &keeper, &err).code != ENT_OK) {
        (void)ent_keeper_serve_failure(lanes[0], &err, &unheard).code;
        ent_keeper_free(keeper);
        return ent_code_exit_status(err.code);
    }
    serve_all(keeper, lanes, count);
    ent_keeper_free(keeper);
    return 0;
}
