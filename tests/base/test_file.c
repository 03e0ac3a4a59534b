#include "testing.h"

#include "base/alloc.h"
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test has an empty folder of its own. */
static int make_folder(void **state)
{
    const char *parent = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/entente-test-XXXXXX", parent == NULL ? "/tmp" : parent) < 0 || mkdtemp(path) == NULL)
        return -1;
    *state = path;
    return 0;
}

static int remove_folder(void **state)
{
    DIR *folder = opendir(*state);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char *path = ent_file_join(*state, entry->d_name);
        if (unlink(path) != 0)
            (void)rmdir(path);
        ent_free(path);
    }
    (void)closedir(folder);
    int rc = rmdir(*state);
    free(*state);
    return rc;
}

static size_t count_files(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static void assert_contents(const char *path, const char *wanted)
{
    ent_buf buf = {0};
    assert_ok(ent_file_read(path, 1 << 20, &buf, NULL));
    assert_true(ent_text_is(ent_buf_text(&buf), wanted));
    ent_buf_release(&buf);
}

static void test_file_write__replaces_and_leaves_no_other_file(void **state)
{
    char *path = ent_file_join(*state, "file");
    struct stat status;
    assert_false(ent_file_exists(path));
    assert_ok(ent_file_write(path, 0600, ent_bytes_of("one", 3), NULL));
    assert_true(ent_file_exists(path));
    assert_contents(path, "one");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_ok(ent_file_write(path, 0644, ent_bytes_of("", 0), NULL));
    assert_contents(path, "");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
    assert_int_equal(count_files(*state), 1);
    ent_free(path);
}

static void test_file_create__refuses_an_existing_file(void **state)
{
    char *path = ent_file_join(*state, "file");
    assert_ok(ent_file_create(path, 0600, ent_bytes_of("first", 5), NULL));
    assert_code(ent_file_create(path, 0600, ent_bytes_of("second", 6), NULL), ENT_REFUSED);
    assert_contents(path, "first");
    assert_int_equal(count_files(*state), 1);
    ent_free(path);
}

static void test_file_read__appends_up_to_the_limit(void **state)
{
    char *path = ent_file_join(*state, "file");
    enum { SIZE = 200001 };
    uint8_t *large = malloc(SIZE);
    ent_buf buf = {0};
    assert_non_null(large);
    for (size_t i = 0; i < SIZE; i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    assert_ok(ent_file_write(path, 0600, ent_bytes_of(large, SIZE), NULL));
    ent_buf_put_string(&buf, "kept");
    assert_code(ent_file_read(path, SIZE - 1, &buf, NULL), ENT_PEER_TOO_LARGE);
    assert_true(ent_text_is(ent_buf_text(&buf), "kept"));
    assert_ok(ent_file_read(path, SIZE, &buf, NULL));
    assert_int_equal(buf.size, SIZE + 4);
    assert_memory_equal(buf.data + 4, large, SIZE);
    ent_buf_release(&buf);
    free(large);
    ent_free(path);
}

static void test_file__what_is_absent_or_no_file_is_told(void **state)
{
    char *path = ent_file_join(*state, "none");
    char *inside = ent_file_join(path, "file");
    ent_buf buf = {0};
    ent_err err = {0};
    assert_code(ent_file_read(path, 10, &buf, &err), ENT_ABSENT);
    assert_non_null(strstr(err.text, path));
    assert_code(ent_file_write(inside, 0600, ent_bytes_of("x", 1), NULL), ENT_ABSENT);
    assert_code(ent_file_create(inside, 0600, ent_bytes_of("x", 1), NULL), ENT_ABSENT);
    assert_code(ent_file_sync_folder(path, NULL), ENT_ABSENT);
    assert_code(ent_file_make_folder(inside, 0700, NULL), ENT_ABSENT);
    assert_code(ent_file_read(*state, 10, &buf, NULL), ENT_IO); /* a folder */
    assert_code(ent_file_write(*state, 0600, ent_bytes_of("x", 1), NULL), ENT_IO);
    assert_int_equal(count_files(*state), 0);
    ent_buf_release(&buf);
    ent_free(inside);
    ent_free(path);
}

static void test_file_make_folder__twice_is_fine(void **state)
{
    char *path = ent_file_join(*state, "folder");
    char *file = ent_file_join(*state, "file");
    struct stat status;
    assert_ok(ent_file_make_folder(path, 0700, NULL));
    assert_ok(ent_file_make_folder(path, 0700, NULL));
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_ok(ent_file_write(file, 0600, ent_bytes_of("x", 1), NULL));
    assert_code(ent_file_make_folder(file, 0700, NULL), ENT_IO);
    assert_ok(ent_file_sync_folder(path, NULL));
    ent_free(file);
    ent_free(path);
}

static void test_file_write_all__full_disk_is_told(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    assert_code(ent_file_write_all(fd, ent_bytes_of("x", 1), NULL), ENT_IO_FULL);
    ent_file_close(&fd);
    assert_int_equal(fd, -1);
    ent_file_close(&fd);
    assert_code(ent_file_write_all(-1, ent_bytes_of("x", 1), NULL), ENT_IO);
    assert_ok(ent_file_write_all(-1, (ent_bytes){NULL, 0}, NULL));
}

static void test_file__failed_allocation_leaves_the_old_file(void **state)
{
    char *path = ent_file_join(*state, "file");
    assert_ok(ent_file_write(path, 0600, ent_bytes_of("old", 3), NULL));
    ent_alloc_fail_at(1);
    assert_code(ent_file_write(path, 0600, ent_bytes_of("new", 3), NULL), ENT_NOMEM);
    assert_null((ent_alloc_fail_at(1), ent_file_join("a", "b")));
    ent_buf buf = {0};
    ent_alloc_fail_at(1);
    assert_code(ent_file_read(path, 10, &buf, NULL), ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_contents(path, "old");
    assert_int_equal(count_files(*state), 1);
    ent_buf_release(&buf);
    ent_free(path);
}

/* Writes its count at the end of a file, and then at its beginning, until it is stopped. */
typedef struct {
    int fd;
    atomic_bool stop;
} counting;

enum { FAR = 1 << 20, ROUNDS = 30 };

static void *count_on(void *context)
{
    counting *work = context;
    for (uint64_t i = 1; !atomic_load(&work->stop); i++) {
        if (pwrite(work->fd, &i, sizeof i, FAR) != sizeof i || pwrite(work->fd, &i, sizeof i, 0) != sizeof i)
            return context;
        for (int pause = 0; i % 7 == 0 && pause < 3; pause++)
            (void)usleep(1000);
    }
    return NULL;
}

static void test_file_read_settled__is_of_one_moment(void **state)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(*state, "count");
    counting work = {.fd = open(path, O_RDWR | O_CREAT, 0600)};
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(ftruncate(work.fd, FAR + (off_t)sizeof(uint64_t)), 0);
    assert_int_equal(pthread_create(&thread, NULL, count_on, &work), 0);
    for (int i = 0; i < ROUNDS; i++) {
        ent_buf bytes = {0};
        uint64_t first = 0;
        uint64_t last = 0;
        assert_ok(ent_file_read_settled(path, FAR + sizeof first, &bytes, NULL));
        memcpy(&first, bytes.data, sizeof first);
        memcpy(&last, bytes.data + FAR, sizeof last);
        assert_in_range(last - first, 0, 1);
        ent_buf_release(&bytes);
    }
    atomic_store(&work.stop, true);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    ent_buf bytes = {0};
    assert_int_equal(ent_file_read_settled(path, FAR, &bytes, NULL).code, ENT_PEER_TOO_LARGE);
    assert_int_equal(ent_file_read_settled("/nowhere/at/all", FAR, &bytes, NULL).code, ENT_ABSENT);
    assert_int_equal(bytes.size, 0);
    (void)close(work.fd);
}

static void test_file_join__puts_a_slash_between(void **state)
{
    (void)state;
    char *path = ent_file_join("folder", "name");
    assert_string_equal(path, "folder/name");
    ent_free(path);
}

int main(void)
{
#define in_a_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        in_a_folder(test_file_write__replaces_and_leaves_no_other_file),
        in_a_folder(test_file_create__refuses_an_existing_file),
        in_a_folder(test_file_read__appends_up_to_the_limit),
        in_a_folder(test_file__what_is_absent_or_no_file_is_told),
        in_a_folder(test_file_make_folder__twice_is_fine),
        cmocka_unit_test(test_file_write_all__full_disk_is_told),
        in_a_folder(test_file__failed_allocation_leaves_the_old_file),
        in_a_folder(test_file_read_settled__is_of_one_moment),
        cmocka_unit_test(test_file_join__puts_a_slash_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
