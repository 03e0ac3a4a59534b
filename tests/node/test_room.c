/* Room on the disk, promised to several at a time. The disk's free bytes are the test's. */
#include "fixture.h"

#include "node/room.h"

#include <sys/statvfs.h>

enum { MIB = 1 << 20, RESERVE = 64 * MIB };

static uint64_t free_bytes;
static char folder[] = ".";

/* As file offsets of 64 bits name it. */
int __wrap_statvfs64(const char *path, struct statvfs *ret); /* NOLINT(bugprone-reserved-identifier): the linker's */
int __wrap_statvfs64(const char *path, struct statvfs *ret)  /* NOLINT(bugprone-reserved-identifier) */
{
    (void)path;
    *ret = (struct statvfs){.f_bavail = free_bytes / 512, .f_frsize = 512};
    return 0;
}

static void test_room__what_fits_alone_and_not_beside_the_others_is_refused(void **state)
{
    (void)state;
    ent_node node = {.paths.store = folder};
    ent_room first = {NULL, 0};
    ent_room second = {NULL, 0};
    ent_err err = {0};
    free_bytes = RESERVE + 100 * (uint64_t)MIB;
    assert_ok(ent_room_begin(&node, 60 * MIB, 60 * MIB, &first, &err));
    assert_fails(ent_room_begin(&node, 60 * MIB, 60 * MIB, &second, &err), ENT_IO_FULL);
    assert_non_null(strstr(err.text, "are being written"));
    assert_int_equal(second.bytes, 0);
    assert_ok(ent_room_begin(&node, 40 * MIB, 40 * MIB, &second, &err));
    ent_room_release(&second);
    assert_ok(ent_room_use(&first, 60 * MIB, &err)); /* written: the disk shows it */
    free_bytes -= 60 * (uint64_t)MIB;
    assert_ok(ent_room_begin(&node, 40 * MIB, 0, &second, &err));
    ent_room_release(&first);
    ent_room_release(&second);
    assert_int_equal(node.promised_bytes, 0);
}

/* Many that each fit begin, and all together never get into the reserve. Nobody holds more than a step. */
static void test_room__many_at_a_time_stop_before_the_reserve(void **state)
{
    enum { MANY = 40, PIECE = 32 * 1024 };
    (void)state;
    ent_node node = {.paths.store = folder};
    ent_room rooms[MANY] = {{NULL, 0}};
    ent_err err = {0};
    unsigned going = MANY;
    free_bytes = RESERVE + 100 * (uint64_t)MIB;
    for (unsigned i = 0; i < MANY; i++)
        assert_ok(ent_room_begin(&node, 90 * MIB, 0, &rooms[i], &err));
    assert_int_equal(node.promised_bytes, 0); /* who announces much and sends nothing shuts nobody out */
    while (going > 0) {
        going = 0;
        for (unsigned i = 0; i < MANY; i++) {
            if (ent_room_use(&rooms[i], PIECE, &err).code != ENT_OK)
                continue;
            going++;
            free_bytes -= PIECE;
            assert_true(free_bytes >= RESERVE);
            assert_in_range(rooms[i].bytes, 0, 4 * MIB);
        }
    }
    assert_in_range(free_bytes, RESERVE, RESERVE + 4 * MIB);
    for (unsigned i = 0; i < MANY; i++)
        ent_room_release(&rooms[i]);
    assert_int_equal(node.promised_bytes, 0);
    free_bytes += 10 * (uint64_t)MIB; /* there is room again */
    assert_ok(ent_room_use(&rooms[0], PIECE, &err));
    ent_room_release(&rooms[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room__what_fits_alone_and_not_beside_the_others_is_refused),
        cmocka_unit_test(test_room__many_at_a_time_stop_before_the_reserve),
    };
    return cmocka_run_group_tests_name("node-room", tests, NULL, NULL);
}
