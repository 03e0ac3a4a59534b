#include "node/room.h"

#include <sys/statvfs.h>

enum { RESERVE_BYTES = 64 << 20, STEP_BYTES = 4 << 20 };

static ent_rc check(const ent_node *node, uint64_t promised, uint64_t bytes, ent_err *err)
{
    struct statvfs status;
    if (statvfs(node->paths.store, &status) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot tell how much of the disk is free");
    uint64_t room = (uint64_t)status.f_bavail * status.f_frsize;
    uint64_t left = room > promised ? room - promised : 0;
    if (left < bytes || left - bytes < RESERVE_BYTES)
        return ent_fail(err, ENT_IO_FULL, "design 3",
                        "the disk has %llu bytes left here, and this needs %llu beside a reserve of %d and %llu that "
                        "are being written",
                        (unsigned long long)room, (unsigned long long)bytes, RESERVE_BYTES,
                        (unsigned long long)promised);
    return ENT_DONE;
}

/* Looked at again when another was promised something meanwhile. */
static ent_rc promise(ent_node *node, uint64_t needed, uint64_t bytes, ent_err *err)
{
    uint64_t promised = atomic_load(&node->promised_bytes);
    do
        ENT_TRY(check(node, promised, needed, err));
    while (!atomic_compare_exchange_weak(&node->promised_bytes, &promised, promised + bytes));
    return ENT_DONE;
}

ent_rc ent_room_begin(ent_node *node, uint64_t needed, uint64_t bytes, ent_room *ret, ent_err *err)
{
    ENT_TRY(promise(node, needed > bytes ? needed : bytes, bytes, err));
    *ret = (ent_room){node, bytes};
    return ENT_DONE;
}

ent_rc ent_room_use(ent_room *room, uint64_t bytes, ent_err *err)
{
    if (room->bytes < bytes) {
        uint64_t more = bytes > STEP_BYTES ? bytes : STEP_BYTES;
        ENT_TRY(promise(room->node, more, more, err));
        room->bytes += more;
    }
    room->bytes -= bytes;
    atomic_fetch_sub(&room->node->promised_bytes, bytes); /* the disk itself shows it now */
    return ENT_DONE;
}

void ent_room_release(ent_room *room)
{
    if (room->bytes > 0)
        atomic_fetch_sub(&room->node->promised_bytes, room->bytes);
    room->bytes = 0;
}
