#include "node/errands.h"

#include "base/config.h"
#include "base/file.h"
#include "keeper/clean_stop.h"
#include "keeper/lane.h"
#include "node/alert.h"
#include "node/report.h"
#include "seal/card.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CA_MAX_BYTES = 512 * 1024, CERTIFICATE_MAX_BYTES = 64 * 1024 };

/* What the threads share. */
typedef struct {
    ent_paths paths;
    pthread_mutex_t lock;
    ent_alert_config *config; /* as last read for the node; NULL before */
    atomic_bool stopping;     /* the node has shut the program's lane */
} place;

typedef struct {
    place *here;
    int socket;
    pthread_t thread;
} lane;

/* The configuration that the node was given last; to be given back. */
static ent_rc hold_config(place *here, ent_alert_config **ret, ent_err *err)
{
    (void)pthread_mutex_lock(&here->lock);
    ent_alert_config *config = here->config;
    if (config != NULL)
        (void)atomic_fetch_add(&config->holders, 1);
    (void)pthread_mutex_unlock(&here->lock);
    if (config == NULL)
        return ent_fail(err, ENT_ABSENT, "docs/alerts.md", "%s", ent_alert_how_to);
    *ret = config;
    return ENT_DONE;
}

/* What it was found good is what the node gets: the same bytes, read once. */
static ent_rc give_config(place *here, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = NULL;
    ENT_TRY(ent_alert_config_load(here->paths.alerts, ret, err));
    ENT_TRY(ent_alert_config_make(ent_buf_bytes(ret), here->paths.alerts, true, &config, err));
    (void)pthread_mutex_lock(&here->lock);
    ent_alert_config *old = here->config;
    here->config = config;
    (void)pthread_mutex_unlock(&here->lock);
    config = NULL;
    ent_alert_config_give(old);
    return ENT_DONE;
}

static ent_rc give_file(place *here, ent_errand errand, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = NULL;
    ENT_TRY(hold_config(here, &config, err));
    const char *path = errand == ENT_ERRAND_PASSWORD         ? config->email.password_file
                       : errand == ENT_ERRAND_WEBHOOK_SECRET ? config->webhook.secret_file
                       : errand == ENT_ERRAND_EMAIL_CA       ? config->email.ca_file
                                                             : config->webhook.ca_file;
    if (path == NULL)
        return ent_fail(err, ENT_ABSENT, "docs/alerts.md", "%s does not name that file", here->paths.alerts);
    if (errand == ENT_ERRAND_PASSWORD || errand == ENT_ERRAND_WEBHOOK_SECRET)
        return ent_alert_secret_read(path, ret, err);
    return ent_file_read(path, CA_MAX_BYTES, ret, err);
}

static ent_rc execute(place *here, const ent_errand_request *request, ent_err *err)
{
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = NULL;
    char word[ENT_ERRAND_WORD_MAX_BYTES + 1] = {0};
    ENT_TRY(hold_config(here, &config, err));
    if (config->execute.path == NULL)
        return ent_fail(err, ENT_ABSENT, "docs/alerts.md", "%s names no program", here->paths.alerts);
    memcpy(word, request->word.data, request->word.size);
    return ent_alert_execute(config->execute.path, word, ent_bytes_text(request->bytes), ENT_ALERT_EXECUTE_MS,
                             &here->stopping, err);
}

static ent_rc remove_socket(const place *here, ent_err *err)
{
    struct stat status;
    if (lstat(here->paths.socket, &status) == 0 && S_ISSOCK(status.st_mode) && unlink(here->paths.socket) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot remove %s", here->paths.socket);
    return ENT_DONE;
}

/* Whatever the node sends, DIR/card stays a card. */
static ent_rc write_card(const place *here, ent_bytes bytes, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ENT_TRY(ent_card_parse(bytes, &card, err));
    return ent_file_write(here->paths.card, 0644, bytes, err);
}

static ent_rc give_certificate(const place *here, uint64_t serial, ent_buf *ret, ent_err *err)
{
    char path[4096];
    size_t stem = strlen(here->paths.certificate) - strlen("crt"); /* "DIR/tls." */
    if (serial <= 1)
        return ent_file_read(here->paths.certificate, CERTIFICATE_MAX_BYTES, ret, err);
    int size =
        snprintf(path, sizeof path, "%.*s%llu.crt", (int)stem, here->paths.certificate, (unsigned long long)serial);
    if (size < 0 || (size_t)size >= sizeof path)
        return ent_fail(err, ENT_USAGE, NULL, "the folder's path is too long");
    return ent_file_read(path, CERTIFICATE_MAX_BYTES, ret, err);
}

static ent_rc run(place *here, const ent_errand_request *request, ent_buf *ret, ent_err *err)
{
    char boot_id[ENT_BOOT_ID_MAX_BYTES + 1];
    switch (request->errand) {
    case ENT_ERRAND_CONFIG:
        return give_config(here, ret, err);
    case ENT_ERRAND_EXECUTE:
        return execute(here, request, err);
    case ENT_ERRAND_REMOVE_SOCKET:
        return remove_socket(here, err);
    case ENT_ERRAND_WRITE_CARD:
        return write_card(here, request->bytes, err);
    case ENT_ERRAND_CERTIFICATE:
        return give_certificate(here, request->serial, ret, err);
    case ENT_ERRAND_STOPPED_CLEAN:
        ent_boot_id_read(boot_id);
        return ent_clean_stop_write(here->paths.marks, boot_id, err);
    default:
        return give_file(here, request->errand, ret, err);
    }
}

static ent_rc answer_one(lane *by, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf message = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf content = {0};
    ent_errand_request request;
    ent_err outcome = {0};
    ENT_TRY(ent_lane_receive(by->socket, &message, NULL, err));
    ENT_TRY(ent_errand_request_parse(ent_buf_bytes(&message), &request, err));
    outcome.code = run(by->here, &request, &content, &outcome).code;
    if (outcome.code != ENT_OK)
        ent_buf_clear(&content);
    ent_buf_clear(&message);
    ENT_TRY(ent_errand_answer_put(&outcome, ent_buf_bytes(&content), &message, err));
    return ent_lane_send(by->socket, ent_buf_bytes(&message), -1, err);
}

static void *serve(void *context)
{
    lane *by = context;
    ent_err err = {0};
    ent_rc rc = ENT_DONE;
    while (rc.code == ENT_OK)
        rc = answer_one(by, &err);
    if (rc.code != ENT_UNREACHABLE)
        ent_report_stop("the errands' process cannot go on", &err);
    return NULL;
}

static int serve_all(place *here, const int *sockets, size_t count)
{
    lane lanes[ENT_PROCESS_MAX_SOCKETS];
    for (size_t i = 0; i < count; i++) {
        lanes[i] = (lane){.here = here, .socket = sockets[i]};
        if (pthread_create(&lanes[i].thread, NULL, serve, &lanes[i]) != 0)
            return ent_code_exit_status(ENT_IO);
    }
    struct pollfd shut = {.fd = sockets[count - 1], .events = POLLRDHUP};
    while (poll(&shut, 1, -1) <= 0)
        ;
    atomic_store(&here->stopping, true);
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(lanes[i].thread, NULL);
    ent_alert_config_give(here->config);
    return 0;
}

int ent_errands_run(const char *sockets, const char *folder)
{
    int lanes[ENT_PROCESS_MAX_SOCKETS];
    size_t count = 0;
    ent_err err = {0};
    place here = {.lock = PTHREAD_MUTEX_INITIALIZER};
    ent_process_name("entented-errand");
    if (ent_process_sockets(sockets, lanes, &count, &err).code != ENT_OK ||
        ent_paths_make(folder, &here.paths, &err).code != ENT_OK) {
        (void)dprintf(STDERR_FILENO, "entented: --" ENT_ERRANDS_OPTION ": %s\n", err.text);
        return ent_code_exit_status(err.code);
    }
    ent_process_close_others(lanes, count);
    int status = serve_all(&here, lanes, count);
    ent_paths_release(&here.paths);
    return status;
}
