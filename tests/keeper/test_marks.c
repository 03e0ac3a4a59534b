#include "testing.h"

#include "keeper/marks.h"

enum { BATCH_LINES = 3 };

static ent_mark mark_of(ent_keeper_what what, const char *origin, uint64_t size)
{
    ent_mark mark = {
        .what = what, .head = {.size = size}, .timestamp_unix_s = what == ENT_KEEPER_RECEIPT ? 1000 + size : 0};
    memset(mark.head.root.bytes, (int)(size % 251), sizeof mark.head.root.bytes);
    (void)snprintf(mark.origin, sizeof mark.origin, "%s", origin);
    return mark;
}

static ent_marks *open_marks(void **state)
{
    ent_marks *marks = NULL;
    ent_err err = {0};
    ent_rc rc = ent_marks_open(*state, &marks, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s", err.text);
    return marks;
}

static uint64_t size_of(const ent_marks *marks, ent_keeper_what what, const char *origin)
{
    const ent_mark *mark = ent_marks_find(marks, what, ent_text_of(origin));
    if (mark == NULL)
        return 0;
    ent_mark wanted = mark_of(what, origin, mark->head.size);
    assert_memory_equal(&mark->head, &wanted.head, sizeof wanted.head);
    assert_int_equal(mark->timestamp_unix_s, wanted.timestamp_unix_s);
    return mark->head.size;
}

static void put(ent_marks *marks, ent_keeper_what what, const char *origin, uint64_t size)
{
    ent_mark mark = mark_of(what, origin, size);
    assert_ok(ent_marks_put(marks, &mark, NULL));
}

/* One batch: three logs at one size, with one sync. */
static void put_batch(ent_marks *marks, uint64_t size)
{
    put(marks, ENT_KEEPER_HEAD, "a.example/entente/00", size);
    put(marks, ENT_KEEPER_RECEIPT, "a.example/entente/00", size);
    put(marks, ENT_KEEPER_HEAD, "b.example/entente/11", size);
    assert_ok(ent_marks_sync(marks, NULL));
}

static void check_all(const ent_marks *marks, uint64_t size)
{
    assert_int_equal(size_of(marks, ENT_KEEPER_HEAD, "a.example/entente/00"), size);
    assert_int_equal(size_of(marks, ENT_KEEPER_RECEIPT, "a.example/entente/00"), size);
    assert_int_equal(size_of(marks, ENT_KEEPER_HEAD, "b.example/entente/11"), size);
}

static void read_journal(void **state, ent_buf *ret)
{
    char *path = below(state, "marks");
    assert_ok(ent_file_read(path, 1 << 26, ret, NULL));
    ent_free(path);
}

static void write_journal(void **state, ent_bytes bytes)
{
    char *path = below(state, "marks");
    assert_ok(ent_file_write(path, 0600, bytes, NULL));
    ent_free(path);
}

/* Bytes that hold lines. */
static size_t used(const ent_buf *journal)
{
    const uint8_t *zero = memchr(journal->data, 0, journal->size);
    return zero == NULL ? journal->size : (size_t)(zero - journal->data);
}

static void test_marks__kept_over_restarts(void **state)
{
    ent_marks *marks = open_marks(state);
    assert_null(ent_marks_find(marks, ENT_KEEPER_HEAD, ENT_TEXT("a.example/entente/00")));
    for (uint64_t size = 1; size < 20; size++)
        put_batch(marks, size);
    check_all(marks, 19);
    assert_null(ent_marks_find(marks, ENT_KEEPER_RECEIPT, ENT_TEXT("b.example/entente/11")));
    ent_marks_free(marks);
    for (int round = 0; round < 3; round++) {
        marks = open_marks(state);
        check_all(marks, 19);
        ent_marks_free(marks);
    }
}

static void test_marks__many_logs_found(void **state)
{
    ent_marks *marks = open_marks(state);
    char origin[32];
    for (uint64_t i = 0; i < 500; i++) {
        (void)snprintf(origin, sizeof origin, "%llu.example/x", (unsigned long long)(i * 7919 % 500));
        put(marks, i % 2 == 0 ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT, origin, i + 1);
    }
    assert_ok(ent_marks_sync(marks, NULL));
    ent_marks_free(marks);
    marks = open_marks(state);
    for (uint64_t i = 0; i < 500; i++) {
        (void)snprintf(origin, sizeof origin, "%llu.example/x", (unsigned long long)(i * 7919 % 500));
        assert_int_equal(size_of(marks, i % 2 == 0 ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT, origin), i + 1);
    }
    ent_marks_free(marks);
}

static void test_marks__mode_is_for_the_owner_alone(void **state)
{
    struct stat status;
    char *path = below(state, "marks");
    ent_marks_free(open_marks(state));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    ent_free(path);
}

/* The region is written beforehand, so that a sync does not change the file's size; when it is full the file is written
 * anew. */
static void test_marks__full_region_is_rewritten(void **state)
{
    ent_marks *marks = open_marks(state);
    char *path = below(state, "marks");
    struct stat before;
    struct stat after;
    unsigned rewrites = 0;
    assert_int_equal(stat(path, &before), 0);
    for (uint64_t size = 1; size < 2500; size++) {
        put_batch(marks, size);
        assert_int_equal(stat(path, &after), 0);
        if (after.st_ino != before.st_ino)
            rewrites++;
        else
            assert_int_equal(after.st_size, before.st_size);
        before = after;
    }
    assert_in_range(rewrites, 1, 20);
    assert_in_range(after.st_size, 1, 1 << 20);
    ent_marks_free(marks);
    marks = open_marks(state);
    check_all(marks, 2499);
    ent_marks_free(marks);
    ent_free(path);
}

static void test_marks__not_synced_is_not_written(void **state)
{
    ent_marks *marks = open_marks(state);
    put_batch(marks, 5);
    put(marks, ENT_KEEPER_HEAD, "a.example/entente/00", 6);
    ent_marks_free(marks);
    marks = open_marks(state);
    check_all(marks, 5);
    ent_marks_free(marks);
}

/* A crash may leave any beginning of the last write. */
static void test_marks__torn_last_batch_dropped(void **state)
{
    ent_buf journal = {0};
    ent_buf before = {0};
    ent_marks *marks = open_marks(state);
    put_batch(marks, 1);
    put_batch(marks, 2);
    read_journal(state, &before);
    put_batch(marks, 3);
    read_journal(state, &journal);
    ent_marks_free(marks);
    size_t from = used(&before);
    size_t to = used(&journal);
    assert_true(to > from);
    for (size_t cut = from; cut <= to; cut++) {
        ent_buf torn = {0};
        ent_buf_put(&torn, ent_bytes_of(journal.data, cut));
        ent_buf_put(&torn, ent_bytes_of(before.data + cut, before.size - cut)); /* zeros */
        write_journal(state, ent_buf_bytes(&torn));
        marks = open_marks(state);
        assert_in_range(size_of(marks, ENT_KEEPER_HEAD, "a.example/entente/00"), 2, 3);
        assert_in_range(size_of(marks, ENT_KEEPER_HEAD, "b.example/entente/11"), 2, 3);
        if (cut == to)
            check_all(marks, 3);
        if (cut == from)
            check_all(marks, 2);
        ent_marks_free(marks);
        ent_buf_release(&torn);
    }
    ent_buf_release(&journal);
    ent_buf_release(&before);
}

/* Sectors may be written in any order: the beginning of the last batch may be lost, and its end be there. */
static void test_marks__torn_batch_with_a_hole_dropped(void **state)
{
    ent_buf journal = {0};
    ent_buf before = {0};
    ent_marks *marks = open_marks(state);
    put_batch(marks, 1);
    read_journal(state, &before);
    put_batch(marks, 2);
    read_journal(state, &journal);
    ent_marks_free(marks);
    size_t from = used(&before);
    size_t to = used(&journal);
    for (size_t first = from; first < to; first += 13) {
        for (size_t last = first + 1; last < to; last += 29) {
            ent_buf torn = {0};
            ent_buf_put(&torn, ent_buf_bytes(&journal));
            memset(torn.data + first, 0, last - first);
            write_journal(state, ent_buf_bytes(&torn));
            marks = open_marks(state);
            assert_in_range(size_of(marks, ENT_KEEPER_HEAD, "a.example/entente/00"), 1, 2);
            assert_in_range(size_of(marks, ENT_KEEPER_HEAD, "b.example/entente/11"), 1, 2);
            ent_marks_free(marks);
            ent_buf_release(&torn);
        }
    }
    ent_buf_release(&journal);
    ent_buf_release(&before);
}

/* Whatever is flipped or wiped before the last batch: refused. */
static void test_marks__damage_before_the_last_batch_refused(void **state)
{
    ent_buf journal = {0};
    ent_buf before = {0};
    ent_marks *marks = open_marks(state);
    for (uint64_t size = 1; size < 6; size++)
        put_batch(marks, size);
    read_journal(state, &before);
    put_batch(marks, 6);
    read_journal(state, &journal);
    ent_marks_free(marks);
    size_t end = used(&before);
    for (size_t at = 0; at < end; at++) {
        for (int kind = 0; kind < 3; kind++) {
            ent_buf damaged = {0};
            ent_err err = {0};
            ent_buf_put(&damaged, ent_buf_bytes(&journal));
            if (kind == 0)
                damaged.data[at] ^= 1;
            else
                memset(damaged.data + at, 0, kind == 1 ? 1 : (end - at < 100 ? end - at : 100));
            write_journal(state, ent_buf_bytes(&damaged));
            marks = NULL;
            ent_rc rc = ent_marks_open(*state, &marks, &err);
            if (rc.code != ENT_PEER_MALFORMED)
                fail_msg("byte %zu, kind %d: code %d", at, kind, rc.code);
            assert_null(marks);
            assert_contains(err.text, "is damaged at byte");
            assert_contains(err.text, "backup");
            ent_buf_release(&damaged);
        }
        at += at % 5; /* enough of them */
    }
    ent_buf_release(&journal);
    ent_buf_release(&before);
}

static void test_marks__line_left_out_or_moved_refused(void **state)
{
    ent_buf journal = {0};
    ent_buf damaged = {0};
    ent_marks *marks = open_marks(state);
    for (uint64_t size = 1; size < 4; size++)
        put_batch(marks, size);
    read_journal(state, &journal);
    ent_marks_free(marks);
    /* Without the second batch: each line that is left is good. */
    const char *text = (const char *)journal.data;
    size_t starts[32];
    size_t lines = 0;
    size_t at = 0;
    for (; at < used(&journal); at += strcspn(text + at, "\n") + 1)
        starts[lines++] = at;
    assert_int_equal(lines, 1 + 3 * (BATCH_LINES + 1));
    ent_buf_put(&damaged, ent_bytes_of(text, starts[5]));
    ent_buf_put(&damaged, ent_bytes_of(text + starts[9], journal.size - starts[9]));
    write_journal(state, ent_buf_bytes(&damaged));
    assert_code(ent_marks_open(*state, &marks, NULL), ENT_PEER_MALFORMED);
    ent_buf_release(&journal);
    ent_buf_release(&damaged);
}

static void test_marks__emptied_or_cut_file_refused(void **state)
{
    ent_buf journal = {0};
    ent_marks *marks = open_marks(state);
    put_batch(marks, 4);
    ent_marks_free(marks);
    marks = open_marks(state); /* rewritten: the marks are in the first batch */
    ent_marks_free(marks);
    read_journal(state, &journal);
    for (size_t cut = 0; cut < used(&journal); cut += 7) {
        write_journal(state, ent_bytes_of(journal.data, cut));
        assert_code(ent_marks_open(*state, &marks, NULL), ENT_PEER_MALFORMED);
    }
    ent_buf_release(&journal);
}

static void test_marks__that_cannot_be_read_are_not_begun_anew(void **state)
{
    ent_marks *marks = open_marks(state);
    ent_err err = {0};
    put_batch(marks, 7);
    ent_marks_free(marks);
    char *path = ent_file_join(*state, "marks");
    char *aside = ent_file_join(*state, "aside");
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink("marks", path), 0); /* a name that leads nowhere, and is there */
    assert_int_equal(ent_marks_open(*state, &marks, &err).code, ENT_IO);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(rename(aside, path), 0);
    marks = open_marks(state);
    check_all(marks, 7);
    ent_marks_free(marks);
    ent_free(path);
    ent_free(aside);
}

static void test_marks__no_memory_never_half_a_line(void **state)
{
    ent_marks *marks = open_marks(state);
    uint64_t size = 0;
    uint64_t synced = 0;
    for (unsigned long nth = 1; nth < 40; nth++) {
        ent_mark mark = mark_of(ENT_KEEPER_HEAD, "a.example/entente/00", ++size);
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_marks_put(marks, &mark, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            assert_ok(ent_marks_sync(marks, NULL));
            synced = size;
        } else {
            assert_code(rc, ENT_NOMEM);
        }
        put(marks, ENT_KEEPER_HEAD, "b.example/entente/11", size);
        assert_ok(ent_marks_sync(marks, NULL));
        assert_int_equal(size_of(marks, ENT_KEEPER_HEAD, "a.example/entente/00"), synced);
    }
    assert_true(synced > 0);
    ent_marks_free(marks);
    for (unsigned long nth = 1; nth < 100; nth++) {
        marks = NULL;
        ent_alloc_fail_at(nth);
        ent_rc rc = ent_marks_open(*state, &marks, NULL);
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK)
            break;
        assert_code(rc, ENT_NOMEM);
        assert_null(marks);
    }
    assert_non_null(marks);
    assert_int_equal(size_of(marks, ENT_KEEPER_HEAD, "a.example/entente/00"), synced);
    assert_int_equal(size_of(marks, ENT_KEEPER_HEAD, "b.example/entente/11"), size);
    ent_marks_free(marks);
}

static void test_marks__failed_write_told(void **state)
{
    ent_marks *marks = open_marks(state);
    put_batch(marks, 1);
    put(marks, ENT_KEEPER_HEAD, "a.example/entente/00", 2);
    limit_files(100); /* below what is used already */
    ent_rc rc = ent_marks_sync(marks, NULL);
    limit_files(RLIM_INFINITY);
    assert_int_equal(ent_code_class(rc.code), ENT_CLASS_IO);
    ent_marks_free(marks);
    marks = open_marks(state);
    check_all(marks, 1);
    ent_marks_free(marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_marks__kept_over_restarts),
        IN_FOLDER(test_marks__many_logs_found),
        IN_FOLDER(test_marks__mode_is_for_the_owner_alone),
        IN_FOLDER(test_marks__full_region_is_rewritten),
        IN_FOLDER(test_marks__not_synced_is_not_written),
        IN_FOLDER(test_marks__torn_last_batch_dropped),
        IN_FOLDER(test_marks__torn_batch_with_a_hole_dropped),
        IN_FOLDER(test_marks__damage_before_the_last_batch_refused),
        IN_FOLDER(test_marks__line_left_out_or_moved_refused),
        IN_FOLDER(test_marks__emptied_or_cut_file_refused),
        IN_FOLDER(test_marks__that_cannot_be_read_are_not_begun_anew),
        IN_FOLDER(test_marks__no_memory_never_half_a_line),
        IN_FOLDER(test_marks__failed_write_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
