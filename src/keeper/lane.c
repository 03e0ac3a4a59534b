#include "keeper/lane.h"

#include "base/file.h"
#include "keeper/wire.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { SIZE_BYTES = 4 };

/* Room for one file, aligned as the system wants it. */
typedef union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
} control;

static ent_rc fail_lane(ent_err *err, const char *what)
{
    char reason[128];
    int number = errno;
    if (number == EPIPE || number == ECONNRESET)
        return ent_fail(err, ENT_UNREACHABLE, "design 8, keeper", "the other end of the keeper's socket is closed");
    return ent_fail(err, ENT_IO, "design 8, keeper", "cannot %s the keeper's socket: %s", what,
                    strerror_r(number, reason, sizeof reason));
}

static void attach(struct msghdr *header, control *room, int file)
{
    memset(room, 0, sizeof *room);
    header->msg_control = room->room;
    header->msg_controllen = sizeof room->room;
    struct cmsghdr *message = CMSG_FIRSTHDR(header);
    message->cmsg_level = SOL_SOCKET;
    message->cmsg_type = SCM_RIGHTS;
    message->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(message), &file, sizeof file);
}

ent_rc ent_lane_send(int lane, ent_bytes message, int file, ent_err *err)
{
    uint8_t size[SIZE_BYTES] = {(uint8_t)(message.size >> 24), (uint8_t)(message.size >> 16),
                                (uint8_t)(message.size >> 8), (uint8_t)message.size};
    control room;
    if (message.size > ENT_WIRE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "a message of %zu bytes for the keeper", message.size);
    struct iovec parts[2] = {{size, sizeof size}, {(void *)(uintptr_t)message.data, message.size}};
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
    if (file >= 0)
        attach(&header, &room, file);
    while (header.msg_iovlen > 0) {
        ssize_t sent = sendmsg(lane, &header, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return fail_lane(err, "write to");
        header.msg_control = NULL; /* the file goes with the first byte, once */
        header.msg_controllen = 0;
        size_t gone = (size_t)sent;
        while (header.msg_iovlen > 0 && gone >= header.msg_iov->iov_len) {
            gone -= header.msg_iov->iov_len;
            header.msg_iov++;
            header.msg_iovlen--;
        }
        if (header.msg_iovlen > 0) {
            header.msg_iov->iov_base = (uint8_t *)header.msg_iov->iov_base + gone;
            header.msg_iov->iov_len -= gone;
        }
    }
    return ENT_DONE;
}

static int detach(struct msghdr *header)
{
    int file = -1;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at != NULL; at = CMSG_NXTHDR(header, at)) {
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS && at->cmsg_len == CMSG_LEN(sizeof file))
            memcpy(&file, CMSG_DATA(at), sizeof file);
    }
    return file;
}

/* Exactly so many bytes; a file that comes with them replaces *file. */
static ent_rc receive_all(int lane, void *ret_bytes, size_t size, int *file, ent_err *err)
{
    uint8_t *bytes = ret_bytes;
    for (size_t got = 0; got < size;) {
        control room;
        struct iovec part = {bytes + got, size - got};
        struct msghdr header = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = room.room, .msg_controllen = sizeof room.room};
        ssize_t taken = recvmsg(lane, &header, MSG_CMSG_CLOEXEC);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            return fail_lane(err, "read from");
        int came = detach(&header);
        if (came >= 0) {
            ent_file_close(file);
            *file = came;
        }
        if (taken == 0)
            return ent_fail(err, ENT_UNREACHABLE, "design 8, keeper", "the other end of the keeper's socket is closed");
        got += (size_t)taken;
    }
    return ENT_DONE;
}

ent_rc ent_lane_receive(int lane, ent_buf *ret, int *ret_file, ent_err *err)
{
    uint8_t bytes[SIZE_BYTES];
    ENT_CLEANUP(ent_file_close) int file = -1;
    ENT_TRY(receive_all(lane, bytes, sizeof bytes, &file, err));
    size_t size = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    if (size > ENT_WIRE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 8, keeper", "a message of %zu bytes between node and keeper",
                        size);
    ent_buf_clear(ret);
    uint8_t *room = ent_buf_reserve(ret, size);
    ENT_TRY(ent_buf_check(ret, err));
    ENT_TRY(receive_all(lane, room, size, &file, err));
    ret->size = size;
    if (ret_file != NULL) {
        *ret_file = file;
        file = -1;
    }
    return ENT_DONE;
}
