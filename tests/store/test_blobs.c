#include "store/blobs.h"

#include "base/alloc.h"
#include "base/file.h"
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    char *parent = fixture_make_folder();
    *state = ent_file_join(parent, "blobs"); /* made by the first blob */
    free(parent);
    return 0;
}

static int teardown(void **state)
{
    char *parent = strdup(*state);
    ent_alloc_fail_at(0);
    *strrchr(parent, '/') = 0;
    ent_free(*state);
    fixture_remove_folder(parent);
    return 0;
}

static ent_rc write_blob(const char *folder, ent_bytes bytes, const ent_hash *expected, ent_hash *ret,
                         uint64_t *ret_size)
{
    ent_blob_writer *writer = NULL;
    ENT_TRY(ent_blob_writer_new(folder, 1 << 20, &writer, NULL));
    ent_rc rc = {ENT_OK};
    while (rc.code == ENT_OK && bytes.size > 0) {
        size_t piece = bytes.size < 1000 ? bytes.size : 1000;
        rc = ent_blob_writer_push(writer, ent_bytes_of(bytes.data, piece), NULL);
        bytes = ent_bytes_of(bytes.data + piece, bytes.size - piece);
    }
    if (rc.code == ENT_OK)
        rc = ent_blob_writer_commit(writer, expected, ret, ret_size, NULL);
    ent_blob_writer_free(writer);
    return rc;
}

static int temporaries(const char *folder)
{
    return fixture_count_files(folder, "tmp-");
}

static void test_blobs__written_blob_is_read_by_its_digest(void **state)
{
    const char *folder = *state;
    static uint8_t bytes[70001];
    for (size_t at = 0; at < sizeof bytes; at++)
        bytes[at] = (uint8_t)(at * 7);
    static const size_t sizes[] = {0, 1, 1000, sizeof bytes};
    for (size_t at = 0; at < 4; at++) {
        ent_hash expected;
        ent_hash digest;
        uint64_t size = 0;
        ent_sha256(ent_bytes_of(bytes, sizes[at]), &expected);
        assert_false(ent_blob_exists(folder, &expected));
        assert_ok(write_blob(folder, ent_bytes_of(bytes, sizes[at]), at % 2 == 0 ? &expected : NULL, &digest, &size));
        assert_true(ent_hash_equal(&digest, &expected));
        assert_int_equal(size, sizes[at]);
        assert_true(ent_blob_exists(folder, &expected));
        int fd = -1;
        size = 0;
        assert_ok(ent_blob_open(folder, &digest, &fd, &size, NULL));
        assert_int_equal(size, sizes[at]);
        static uint8_t found[sizeof bytes + 1];
        assert_int_equal(read(fd, found, sizeof found), sizes[at]);
        assert_memory_equal(found, bytes, sizes[at]);
        struct stat status;
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        ent_file_close(&fd);
    }
    assert_int_equal(temporaries(folder), 0);
}

static void test_blobs__same_blob_again_is_fine(void **state)
{
    ent_hash digest;
    uint64_t size = 0;
    assert_ok(write_blob(*state, ent_bytes_of("abc", 3), NULL, &digest, &size));
    assert_ok(write_blob(*state, ent_bytes_of("abc", 3), &digest, &digest, &size));
    assert_int_equal(size, 3);
    assert_int_equal(temporaries(*state), 0);
}

static void test_blobs__other_digest_leaves_nothing(void **state)
{
    ent_hash expected = fixture_digest(1);
    ent_hash digest = fixture_digest(2);
    ent_hash unchanged = digest;
    uint64_t size = 77;
    assert_fails(write_blob(*state, ent_bytes_of("abc", 3), &expected, &digest, &size), ENT_PEER_MISMATCH);
    assert_true(ent_hash_equal(&digest, &unchanged));
    assert_int_equal(size, 77);
    ent_sha256(ent_bytes_of("abc", 3), &digest);
    assert_false(ent_blob_exists(*state, &digest));
    assert_false(ent_blob_exists(*state, &expected));
    assert_int_equal(temporaries(*state), 0);
}

static void test_blobs__larger_than_the_limit_is_refused(void **state)
{
    ent_blob_writer *writer = NULL;
    assert_ok(ent_blob_writer_new(*state, 5, &writer, NULL));
    assert_ok(ent_blob_writer_push(writer, ent_bytes_of("abc", 3), NULL));
    assert_fails(ent_blob_writer_push(writer, ent_bytes_of("abc", 3), NULL), ENT_PEER_TOO_LARGE);
    assert_ok(ent_blob_writer_push(writer, ent_bytes_of("de", 2), NULL));
    assert_fails(ent_blob_writer_push(writer, ent_bytes_of("f", 1), NULL), ENT_PEER_TOO_LARGE);
    ent_hash digest;
    uint64_t size = 0;
    assert_ok(ent_blob_writer_commit(writer, NULL, &digest, &size, NULL));
    assert_int_equal(size, 5);
    assert_fails(ent_blob_writer_push(writer, ent_bytes_of("f", 1), NULL), ENT_USAGE);
    assert_fails(ent_blob_writer_commit(writer, NULL, &digest, &size, NULL), ENT_USAGE);
    ent_blob_writer_free(writer);
    assert_true(ent_blob_exists(*state, &digest));
    ent_blob_writer_free(NULL);
}

static void test_blobs__what_is_not_held_is_absent(void **state)
{
    ent_hash digest = fixture_digest(1);
    int fd = -7;
    uint64_t size = 77;
    assert_fails(ent_blob_open(*state, &digest, &fd, &size, NULL), ENT_ABSENT);
    assert_int_equal(fd, -7);
    assert_int_equal(size, 77);
    assert_false(ent_blob_exists(*state, &digest));
}

static void test_blobs__clean_removes_what_a_crash_left(void **state)
{
    assert_ok(ent_blobs_clean(*state, NULL)); /* no folder yet */
    ent_hash digest;
    uint64_t size = 0;
    assert_ok(write_blob(*state, ent_bytes_of("abc", 3), NULL, &digest, &size));
    ENT_CLEANUP(ent_free_pointer) char *left = ent_file_join(*state, "tmp-aBcDeF");
    assert_ok(ent_file_create(left, 0600, ent_bytes_of("half", 4), NULL));
    assert_int_equal(temporaries(*state), 1);
    assert_ok(ent_blobs_clean(*state, NULL));
    assert_int_equal(temporaries(*state), 0);
    assert_true(ent_blob_exists(*state, &digest));
}

static void test_blobs__folder_that_cannot_be_made_is_an_error(void **state)
{
    ENT_CLEANUP(ent_free_pointer) char *deep = ent_file_join(*state, "no/such/folder");
    ent_blob_writer *writer = NULL;
    assert_int_not_equal(ent_blob_writer_new(deep, 5, &writer, NULL).code, ENT_OK);
    assert_null(writer);
}

static void test_blobs__failed_allocation_leaves_nothing(void **state)
{
    for (unsigned long nth = 1;; nth++) {
        ent_hash digest;
        uint64_t size = 77;
        ent_alloc_fail_at(nth);
        ent_rc rc = write_blob(*state, ent_bytes_of(&nth, sizeof nth), NULL, &digest, &size);
        bool done = ent_alloc_count() < nth;
        ent_alloc_fail_at(0);
        if (temporaries(*state) > 0)
            fail_msg("a temporary file stayed");
        if (done) {
            assert_ok(rc);
            break;
        }
        /* once the file has its name, only the sync of its folder can fail */
        assert_fails(rc, ENT_NOMEM);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_blobs__written_blob_is_read_by_its_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__same_blob_again_is_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__other_digest_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__larger_than_the_limit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__what_is_not_held_is_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__clean_removes_what_a_crash_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__folder_that_cannot_be_made_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs__failed_allocation_leaves_nothing, setup, teardown),
    };
    return cmocka_run_group_tests_name("blobs", tests, NULL, NULL);
}
