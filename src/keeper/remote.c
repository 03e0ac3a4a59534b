#include "base/file.h"
#include "crypto/crypto.h"
#include "keeper/internal.h"
#include "keeper/key_file.h"
#include "keeper/lane.h"
#include "keeper/wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* An answer fits: no lack of memory leaves one half read. */
enum { ROOM_BYTES = 32 * 1024 };

/* One request at a time goes by a lane. */
typedef struct {
    pthread_mutex_t lock;
    int socket;
    ent_buf message; /* has ROOM_BYTES */
} lane;

/* The keeper in another process. */
typedef struct {
    ent_keeper base;
    lane lanes[ENT_KEEPER_LANES];
    size_t count;
    atomic_uint next; /* lane to wait for when all are busy */
} remote_keeper;

static ent_rc fail_ended(ent_rc rc, ent_err *err)
{
    if (rc.code != ENT_UNREACHABLE)
        return rc;
    return ent_fail(err, ENT_IO, "design 8, keeper",
                    "the keeper's process has ended: nothing can be signed or opened; start entented again");
}

/* With the lane's lock. What the keeper answers in its outcome is the result. */
static ent_rc exchange(lane *by, const ent_wire_request *request, ent_wire_answer *answer, int *ret_file, ent_err *err)
{
    ent_buf_clear(&by->message);
    answer->kind = request->kind;
    ENT_TRY(ent_wire_request_put(request, &by->message, err));
    ENT_TRY(fail_ended(ent_lane_send(by->socket, ent_buf_bytes(&by->message), -1, err), err));
    ENT_TRY(fail_ended(ent_lane_receive(by->socket, &by->message, ret_file, err), err));
    ENT_TRY(ent_wire_answer_parse(ent_buf_bytes(&by->message), answer, err));
    if (err != NULL && answer->outcome.text[0] != 0)
        *err = answer->outcome;
    return (ent_rc){answer->outcome.code};
}

static ent_rc ask(lane *by, const ent_wire_request *request, ent_wire_answer *answer, int *ret_file, ent_err *err)
{
    (void)pthread_mutex_lock(&by->lock);
    ent_rc rc = exchange(by, request, answer, ret_file, err);
    (void)pthread_mutex_unlock(&by->lock);
    return rc;
}

static void remote_free(ent_keeper *base)
{
    remote_keeper *keeper = (remote_keeper *)base;
    for (size_t i = 0; i < keeper->count; i++) {
        ent_file_close(&keeper->lanes[i].socket);
        ent_buf_wipe(&keeper->lanes[i].message);
        (void)pthread_mutex_destroy(&keeper->lanes[i].lock);
    }
    ent_free(keeper);
}

static ent_rc read_memory_file(int file, ent_buf *ret, ent_err *err)
{
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_size < 0 || status.st_size > ENT_KEY_FILE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 8, keeper", "the keeper gave no TLS key");
    size_t size = (size_t)status.st_size;
    uint8_t *room = ent_buf_reserve(ret, size);
    ENT_TRY(ent_buf_check(ret, err));
    for (size_t got = 0; got < size;) {
        ssize_t taken = pread(file, room + got, size - got, (off_t)got);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken <= 0)
            return ent_fail(err, ENT_IO, NULL, "cannot read the TLS key from the keeper's memory file");
        got += (size_t)taken;
    }
    ret->size += size;
    return ENT_DONE;
}

static ent_rc remote_key(ent_keeper *base, ent_key_role role, uint64_t serial, uint8_t ret_public[32], ent_err *err)
{
    remote_keeper *keeper = (remote_keeper *)base;
    ent_wire_request request = {.kind = ENT_WIRE_KEY, .role = role, .serial = serial};
    ent_wire_answer answer = {0};
    ENT_TRY(ask(&keeper->lanes[0], &request, &answer, NULL, err));
    memcpy(ret_public, answer.value, sizeof answer.value);
    return ENT_DONE;
}

static ent_rc remote_tls_key(ent_keeper *base, uint64_t serial, ent_buf *ret_pem, ent_err *err)
{
    remote_keeper *keeper = (remote_keeper *)base;
    ENT_CLEANUP(ent_file_close) int file = -1;
    ent_wire_request request = {.kind = ENT_WIRE_TLS_KEY, .serial = serial};
    ent_wire_answer answer = {0};
    ENT_TRY(ask(&keeper->lanes[0], &request, &answer, &file, err));
    return read_memory_file(file, ret_pem, err);
}

static ent_rc remote_sign(ent_keeper *base, ent_keeper_request *requests, size_t count, ent_err *err)
{
    remote_keeper *keeper = (remote_keeper *)base;
    for (size_t done = 0; done < count;) {
        size_t piece = count - done < ENT_WIRE_MAX_ITEMS ? count - done : ENT_WIRE_MAX_ITEMS;
        ent_wire_request request = {.kind = ENT_WIRE_SIGN, .items = requests + done, .count = piece};
        ent_wire_answer answer = {.items = requests + done, .count = piece};
        ENT_TRY(ask(&keeper->lanes[0], &request, &answer, NULL, err));
        done += piece;
    }
    return ENT_DONE;
}

static ent_rc remote_mark(ent_keeper *base, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err)
{
    remote_keeper *keeper = (remote_keeper *)base;
    ent_wire_request request = {.kind = ENT_WIRE_MARK, .what = what, .origin = origin};
    ent_wire_answer answer = {0};
    ENT_TRY(ask(&keeper->lanes[0], &request, &answer, NULL, err));
    *ret = answer.mark;
    return ENT_DONE;
}

/* A lane that is free, or the next in turn; locked. The first is for signing, unless it is the only one. */
static lane *take_lane(remote_keeper *keeper)
{
    size_t first = keeper->count > 1 ? 1 : 0;
    for (size_t i = first; i < keeper->count; i++) {
        if (pthread_mutex_trylock(&keeper->lanes[i].lock) == 0)
            return &keeper->lanes[i];
    }
    lane *by = &keeper->lanes[first + atomic_fetch_add(&keeper->next, 1) % (keeper->count - first)];
    (void)pthread_mutex_lock(&by->lock);
    return by;
}

static ent_rc remote_unwrap(ent_keeper *base, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    remote_keeper *keeper = (remote_keeper *)base;
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_age_header_put(&bytes, header);
    ENT_TRY(ent_buf_check(&bytes, err));
    ent_wire_request request = {.kind = ENT_WIRE_UNWRAP, .header = ent_buf_bytes(&bytes)};
    ent_wire_answer answer = {0};
    lane *by = take_lane(keeper);
    ent_rc rc = exchange(by, &request, &answer, NULL, err);
    if (by->message.size > 0)
        ent_wipe(by->message.data, by->message.size);
    (void)pthread_mutex_unlock(&by->lock);
    if (rc.code == ENT_OK)
        *ret = answer.key;
    ent_wipe(&answer, sizeof answer);
    return rc;
}

ent_rc ent_keeper_connect(const int *lanes, size_t count, ent_keeper **ret, ent_err *err)
{
    static const ent_keeper_way way = {remote_free, remote_key,  remote_tls_key,
                                       remote_sign, remote_mark, remote_unwrap};
    ent_wire_request request = {.kind = ENT_WIRE_PUBLICS};
    ent_wire_answer answer = {0};
    remote_keeper *keeper = ent_alloc(sizeof *keeper);
    if (keeper == NULL) {
        for (size_t i = 0; i < count; i++)
            (void)close(lanes[i]);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    keeper->base.way = &way;
    keeper->count = count;
    ent_rc rc = ENT_DONE;
    for (size_t i = 0; i < count; i++) {
        keeper->lanes[i].socket = lanes[i];
        (void)pthread_mutex_init(&keeper->lanes[i].lock, NULL);
        (void)ent_buf_reserve(&keeper->lanes[i].message, ROOM_BYTES);
        if (rc.code == ENT_OK)
            rc = ent_buf_check(&keeper->lanes[i].message, err);
    }
    if (rc.code == ENT_OK)
        rc = ask(&keeper->lanes[0], &request, &answer, NULL, err);
    if (rc.code != ENT_OK) {
        remote_free(&keeper->base);
        return rc;
    }
    keeper->base.publics = answer.publics;
    *ret = &keeper->base;
    return ENT_DONE;
}
