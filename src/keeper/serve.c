#include "keeper/serve.h"

#include "base/file.h"
#include "crypto/crypto.h"
#include "keeper/lane.h"
#include "keeper/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

/* Every answer fits, and every request but a long list of things to sign. */
enum { ROOM_BYTES = 80 * 1024 };

/* A memory file that nobody can change any more. */
static ent_rc seal_file(ent_bytes content, int *ret, ent_err *err)
{
    char reason[128];
    ENT_CLEANUP(ent_file_close) int file = memfd_create("tls.key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot make a memory file: %s", strerror_r(errno, reason, sizeof reason));
    ENT_TRY(ent_file_write_all(file, content, err));
    if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot seal a memory file: %s", strerror_r(errno, reason, sizeof reason));
    *ret = file;
    file = -1;
    return ENT_DONE;
}

static ent_rc give_tls_key(ent_keeper *keeper, uint64_t serial, int *ret_file, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf pem = {0};
    ENT_TRY(ent_keeper_tls_key(keeper, serial, &pem, err));
    return seal_file(ent_buf_bytes(&pem), ret_file, err);
}

static ent_rc give_file_key(ent_keeper *keeper, ent_bytes bytes, ent_file_key *ret, ent_err *err)
{
    ent_age_unwrapper unwrapper = ent_keeper_unwrapper(keeper);
    ENT_CLEANUP(ent_age_header_release) ent_age_header header = {0};
    ENT_TRY(ent_age_header_parse(bytes, &header, err));
    return unwrapper.unwrap(unwrapper.context, &header, ret, err);
}

/* Do what is asked; whatever goes wrong is the answer's outcome. */
static void act(ent_keeper *keeper, const ent_wire_request *request, ent_wire_answer *answer, int *file)
{
    ent_err err = {0};
    ent_rc rc = ENT_DONE;
    switch (request->kind) {
    case ENT_WIRE_PUBLICS:
        answer->publics = *ent_keeper_public_keys(keeper);
        break;
    case ENT_WIRE_TLS_KEY:
        rc = give_tls_key(keeper, request->serial, file, &err);
        break;
    case ENT_WIRE_SIGN:
        rc = ent_keeper_sign(keeper, request->items, request->count, &err);
        break;
    case ENT_WIRE_MARK:
        rc = ent_keeper_mark(keeper, request->what, request->origin, &answer->mark, &err);
        break;
    case ENT_WIRE_UNWRAP:
        rc = give_file_key(keeper, request->header, &answer->key, &err);
        break;
    case ENT_WIRE_KEY:
        rc = ent_keeper_key(keeper, request->role, request->serial, answer->value, &err);
        break;
    }
    answer->outcome = err; /* of a batch that was done: why something in it was refused */
    answer->outcome.code = rc.code;
}

static ent_rc answer_one(ent_keeper *keeper, int lane, ent_bytes message, ent_buf *out, ent_err *err)
{
    ENT_CLEANUP(ent_wire_request_release) ent_wire_request request = {0};
    ENT_CLEANUP(ent_file_close) int file = -1;
    ent_err lack = {.code = ENT_NOMEM, .text = "the keeper is out of memory"};
    ent_rc rc = ent_wire_request_parse(message, &request, err);
    if (rc.code != ENT_OK && rc.code != ENT_NOMEM)
        return rc;
    ent_wire_answer answer = {.kind = request.kind, .items = request.items, .count = request.count};
    if (rc.code == ENT_OK)
        act(keeper, &request, &answer, &file);
    else
        answer = (ent_wire_answer){.kind = (ent_wire_kind)message.data[0], .outcome = lack};
    ent_buf_clear(out);
    rc = ent_wire_answer_put(&answer, out, err);
    ent_wipe(&answer, sizeof answer);
    ENT_TRY(rc);
    return ent_lane_send(lane, ent_buf_bytes(out), file, err);
}

static ent_rc closed_is_done(ent_rc rc)
{
    return rc.code == ENT_UNREACHABLE ? ENT_DONE : rc;
}

ent_rc ent_keeper_serve(ent_keeper *keeper, int lane, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf in = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf out = {0};
    (void)ent_buf_reserve(&in, ROOM_BYTES);
    (void)ent_buf_reserve(&out, ROOM_BYTES);
    ENT_TRY(ent_buf_check(&in, err));
    ENT_TRY(ent_buf_check(&out, err));
    for (;;) {
        ent_rc rc = ent_lane_receive(lane, &in, NULL, err);
        if (rc.code == ENT_OK)
            rc = answer_one(keeper, lane, ent_buf_bytes(&in), &out, err);
        if (rc.code != ENT_OK)
            return closed_is_done(rc);
    }
}

ent_rc ent_keeper_serve_failure(int lane, const ent_err *why, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf in = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf out = {0};
    ENT_CLEANUP(ent_wire_request_release) ent_wire_request request = {0};
    ent_rc rc = ent_lane_receive(lane, &in, NULL, err);
    if (rc.code != ENT_OK)
        return closed_is_done(rc);
    ENT_TRY(ent_wire_request_parse(ent_buf_bytes(&in), &request, err));
    ent_wire_answer answer = {.kind = request.kind, .outcome = *why};
    ENT_TRY(ent_wire_answer_put(&answer, &out, err));
    return closed_is_done(ent_lane_send(lane, ent_buf_bytes(&out), -1, err));
}
