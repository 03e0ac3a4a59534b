#include "node/errands.h"

#include "base/alloc.h"
#include "base/file.h"
#include "keeper/lane.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

enum { FILES, PROGRAM, LANES, LOOK_MS = 100 };

struct ent_errands {
    struct {
        pthread_mutex_t lock;
        int socket;
    } lanes[LANES]; /* a program may take long: files do not wait for it */
};

ent_rc ent_errands_start(const char *folder, ent_process *ret_process, ent_errands **ret, ent_err *err)
{
    const char *arguments[] = {"--dir", folder, NULL};
    ent_errands *errands = ent_alloc(sizeof *errands);
    if (errands == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_process process;
    ent_rc rc = ent_process_start(ENT_ERRANDS_OPTION, arguments, LANES, &process, err);
    if (rc.code != ENT_OK) {
        ent_free(errands);
        return rc;
    }
    for (size_t i = 0; i < LANES; i++) {
        (void)pthread_mutex_init(&errands->lanes[i].lock, NULL);
        errands->lanes[i].socket = process.sockets[i];
    }
    *ret_process = process;
    *ret = errands;
    return ENT_DONE;
}

void ent_errands_free(ent_errands *errands)
{
    if (errands == NULL)
        return;
    for (size_t i = 0; i < LANES; i++) {
        ent_file_close(&errands->lanes[i].socket);
        (void)pthread_mutex_destroy(&errands->lanes[i].lock);
    }
    ent_free(errands);
}

static ent_rc fail_ended(ent_rc rc, ent_err *err)
{
    if (rc.code != ENT_UNREACHABLE)
        return rc;
    return ent_fail(err, ENT_IO, "design 8, sandbox",
                    "the process that reads alerts.json for the node has ended; start entented again");
}

/* Wait for an answer, or break the work off: the other side ends a program whose lane is shut. */
static ent_rc wait_for(int lane, const atomic_bool *stop, ent_err *err)
{
    struct pollfd ready = {.fd = lane, .events = POLLIN};
    while (stop != NULL && poll(&ready, 1, LOOK_MS) == 0) {
        if (!atomic_load(stop))
            continue;
        (void)shutdown(lane, SHUT_RDWR);
        return ent_fail(err, ENT_RETRY, NULL, "broken off: the node stops");
    }
    return ENT_DONE;
}

static ent_rc exchange(int lane, const ent_errand_request *request, const atomic_bool *stop, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf message = {0};
    ent_err outcome = {0};
    ent_bytes content = {NULL, 0};
    ENT_TRY(ent_errand_request_put(request, &message, err));
    ENT_TRY(fail_ended(ent_lane_send(lane, ent_buf_bytes(&message), -1, err), err));
    ENT_TRY(wait_for(lane, stop, err));
    ENT_TRY(fail_ended(ent_lane_receive(lane, &message, NULL, err), err));
    ENT_TRY(ent_errand_answer_parse(ent_buf_bytes(&message), &outcome, &content, err));
    if (outcome.code != ENT_OK) {
        if (err != NULL)
            *err = outcome;
        return (ent_rc){outcome.code};
    }
    if (ret == NULL)
        return ENT_DONE;
    ent_buf_put(ret, content);
    return ent_buf_check(ret, err);
}

static ent_rc ask(ent_errands *errands, size_t lane, const ent_errand_request *request, const atomic_bool *stop,
                  ent_buf *ret, ent_err *err)
{
    (void)pthread_mutex_lock(&errands->lanes[lane].lock);
    ent_rc rc = exchange(errands->lanes[lane].socket, request, stop, ret, err);
    (void)pthread_mutex_unlock(&errands->lanes[lane].lock);
    return rc;
}

ent_rc ent_errands_read(ent_errands *errands, ent_errand errand, ent_buf *ret, ent_err *err)
{
    ent_errand_request request = {.errand = errand};
    return ask(errands, FILES, &request, NULL, ret, err);
}

ent_rc ent_errands_execute(ent_errands *errands, ent_text word, ent_text json, const atomic_bool *stop, ent_err *err)
{
    ent_errand_request request = {.errand = ENT_ERRAND_EXECUTE, .word = word, .bytes = ent_text_bytes(json)};
    return ask(errands, PROGRAM, &request, stop, NULL, err);
}

ent_rc ent_errands_write_card(ent_errands *errands, ent_bytes card, ent_err *err)
{
    ent_errand_request request = {.errand = ENT_ERRAND_WRITE_CARD, .bytes = card};
    return ask(errands, FILES, &request, NULL, NULL, err);
}

ent_rc ent_errands_certificate(ent_errands *errands, uint64_t serial, ent_buf *ret, ent_err *err)
{
    ent_errand_request request = {.errand = ENT_ERRAND_CERTIFICATE, .serial = serial};
    return ask(errands, FILES, &request, NULL, ret, err);
}

ent_rc ent_errands_stopped_clean(ent_errands *errands, ent_err *err)
{
    ent_errand_request request = {.errand = ENT_ERRAND_STOPPED_CLEAN};
    return ask(errands, FILES, &request, NULL, NULL, err);
}

ent_rc ent_errands_remove_socket(ent_errands *errands, ent_err *err)
{
    ent_errand_request request = {.errand = ENT_ERRAND_REMOVE_SOCKET};
    return ask(errands, FILES, &request, NULL, NULL, err);
}
