#include "pouch/ustar.h"

#include "base/alloc.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* What a reader told, as one line a member, so that two readings compare as texts. */
typedef struct {
    ent_buf told;
    ent_code fail_member;
    ent_code fail_data;
} log_of_events;

static ent_rc on_member(void *context, ent_text name, uint64_t size, ent_err *err)
{
    log_of_events *log = context;
    if (log->fail_member != ENT_OK)
        return ent_fail(err, log->fail_member, NULL, "member refused");
    ent_buf_put_format(&log->told, "\n%.*s %llu ", ENT_TEXT_ARG(name), (unsigned long long)size);
    return ENT_DONE;
}

static ent_rc on_data(void *context, ent_bytes piece, ent_err *err)
{
    log_of_events *log = context;
    if (log->fail_data != ENT_OK)
        return ent_fail(err, log->fail_data, NULL, "data refused");
    assert_true(piece.size > 0);
    ent_buf_put_hex(&log->told, piece);
    return ENT_DONE;
}

/* Reads in pieces of `step` bytes; the returned code is that of the first failure. */
static int read_in_pieces(ent_bytes bytes, size_t step, uint64_t limit, log_of_events *log, ent_err *err)
{
    ent_ustar_reader reader;
    ent_ustar_reader_init(&reader, limit, (ent_ustar_events){on_member, on_data, log});
    for (size_t at = 0; at < bytes.size; at += step) {
        size_t size = bytes.size - at < step ? bytes.size - at : step;
        ent_rc rc = ent_ustar_reader_push(&reader, ent_bytes_of(bytes.data + at, size), err);
        if (rc.code != ENT_OK) {
            /* It stays refused. */
            assert_int_equal(ent_ustar_reader_push(&reader, ent_bytes_of("x", 1), NULL).code, ENT_PEER_MALFORMED);
            assert_int_equal(ent_ustar_reader_finish(&reader, NULL).code, ENT_PEER_MALFORMED);
            return rc.code;
        }
    }
    return ent_ustar_reader_finish(&reader, err).code;
}

static int read_whole(ent_bytes bytes, ent_err *err)
{
    log_of_events log = {0};
    int code = read_in_pieces(bytes, bytes.size == 0 ? 1 : bytes.size, 0, &log, err);
    ent_buf_release(&log.told);
    return code;
}

static uint8_t filler[2000];

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t)(i * 7 + 1);
    return 0;
}

/* Two members: one that fills a block and a bit, one that is empty. */
static ent_buf make_archive(void)
{
    ent_buf buf = {0};
    assert_int_equal(ent_ustar_put(&buf, ENT_TEXT("pouch.json"), ent_bytes_of(filler, 700), NULL).code, ENT_OK);
    assert_int_equal(ent_ustar_put(&buf, ENT_TEXT("bodies/7.age"), ent_bytes_of(NULL, 0), NULL).code, ENT_OK);
    ent_ustar_put_end(&buf);
    assert_int_equal(ent_buf_check(&buf, NULL).code, ENT_OK);
    return buf;
}

static void write_checksum(uint8_t *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += header[i];
    (void)snprintf((char *)header + 148, 8, "%06o", sum);
    header[155] = ' ';
}

/* Writes bytes into the first header, makes its checksum right again, and expects a refusal that says why. */
static void refuse_patched(size_t offset, const char *bytes, size_t size, const char *reason)
{
    ent_buf buf = make_archive();
    memcpy(buf.data + offset, bytes, size);
    if (offset != 148)
        write_checksum(buf.data);
    ent_err err = {0};
    assert_int_equal(read_whole(ent_buf_bytes(&buf), &err), ENT_PEER_MALFORMED);
    if (strstr(err.text, reason) == NULL)
        fail_msg("\"%s\" does not tell \"%s\"", err.text, reason);
    assert_non_null(strstr(err.text, "offset 0"));
    ent_buf_release(&buf);
}

static void test_ustar__name_of_allowed_parts_is_valid(void **state)
{
    (void)state;
    char longest[101] = {0};
    memset(longest, 'a', 100);
    const char *valid[] = {"a",       "pouch.json", "heads/north.example", "a/b/c",
                           "A-Z_0.9", "a..",        "bodies/0.age",        longest};
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
        assert_true(ent_ustar_name_valid(ent_text_of(valid[i])));
}

static void test_ustar__name_that_leaves_the_folder_or_is_odd_is_invalid(void **state)
{
    (void)state;
    char too_long[102] = {0};
    memset(too_long, 'a', 101);
    const char *invalid[] = {"",    ".",    "..",  "../a", "/a",  "a/",       "a//b", "a/../b", "a/.b", ".a",
                             "a b", "a\\b", "a\n", "a*",   "a:b", "\xc3\xa9", "~",    "a/./b",  "a\"",  too_long};
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        ent_buf buf = {0};
        assert_false(ent_ustar_name_valid(ent_text_of(invalid[i])));
        assert_int_equal(ent_ustar_put(&buf, ent_text_of(invalid[i]), ent_bytes_of("x", 1), NULL).code, ENT_USAGE);
        assert_int_equal(buf.size, 0);
    }
    assert_false(ent_ustar_name_valid((ent_text){"a\0b", 3}));
}

static void test_ustar__any_size_reads_as_written(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 2, 511, 512, 513, 1023, 1024, 1025, 1999};
    char longest[101] = {0};
    memset(longest, 'n', 100);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ent_buf buf = {0};
        log_of_events log = {0};
        ent_buf expected = {0};
        ent_bytes data = ent_bytes_of(filler, sizes[i]);
        assert_int_equal(ent_ustar_put(&buf, ent_text_of(longest), data, NULL).code, ENT_OK);
        ent_ustar_put_end(&buf);
        assert_int_equal(buf.size % 512, 0);
        assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), buf.size, buf.size, &log, NULL), ENT_OK);
        ent_buf_put_format(&expected, "\n%s %zu ", longest, sizes[i]);
        ent_buf_put_hex(&expected, data);
        assert_true(ent_bytes_equal(ent_buf_bytes(&expected), ent_buf_bytes(&log.told)));
        ent_buf_release(&expected);
        ent_buf_release(&log.told);
        ent_buf_release(&buf);
    }
}

static void test_ustar__pieces_of_any_size_tell_the_same(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    log_of_events whole = {0};
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), buf.size, 0, &whole, NULL), ENT_OK);
    for (size_t step = 1; step < buf.size; step += step < 600 ? 1 : 97) {
        log_of_events pieces = {0};
        assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), step, 0, &pieces, NULL), ENT_OK);
        assert_true(ent_bytes_equal(ent_buf_bytes(&whole.told), ent_buf_bytes(&pieces.told)));
        ent_buf_release(&pieces.told);
    }
    ent_buf_release(&whole.told);
    ent_buf_release(&buf);
}

static void test_ustar__whole_piece_borrows_from_what_was_pushed(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    log_of_events log = {0};
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), buf.size, 0, &log, NULL), ENT_OK);
    assert_true(ent_text_starts(ent_buf_text(&log.told), ENT_TEXT("\npouch.json 700 01080f16")));
    ent_buf_release(&log.told);
    ent_buf_release(&buf);
}

static void test_ustar__cut_anywhere_is_refused(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    for (size_t size = 0; size < buf.size; size++) {
        ent_err err = {0};
        assert_int_equal(read_whole(ent_bytes_of(buf.data, size), &err), ENT_PEER_MALFORMED);
        assert_non_null(strstr(err.text, "cut at offset"));
    }
    assert_int_equal(read_whole(ent_buf_bytes(&buf), NULL), ENT_OK);
    ent_buf_release(&buf);
}

static void test_ustar__any_bit_flipped_outside_the_data_is_refused(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    for (size_t at = 0; at < buf.size; at++) {
        bool data = at >= 512 && at < 512 + 700;
        for (unsigned bit = 0; bit < 8; bit++) {
            buf.data[at] ^= (uint8_t)(1U << bit);
            assert_int_equal(read_whole(ent_buf_bytes(&buf), NULL), data ? ENT_OK : ENT_PEER_MALFORMED);
            buf.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    ent_buf_release(&buf);
}

static void test_ustar__anything_but_a_regular_file_is_refused(void **state)
{
    (void)state;
    refuse_patched(156, "", 1, "old-style");
    refuse_patched(156, "1", 1, "hard link");
    refuse_patched(156, "2", 1, "symbolic link");
    refuse_patched(156, "3", 1, "device");
    refuse_patched(156, "4", 1, "device");
    refuse_patched(156, "5", 1, "directory");
    refuse_patched(156, "6", 1, "FIFO");
    refuse_patched(156, "7", 1, "not that of a regular file");
    refuse_patched(156, "x", 1, "pax");
    refuse_patched(156, "g", 1, "pax");
    refuse_patched(156, "L", 1, "GNU");
    refuse_patched(156, "K", 1, "GNU");
    refuse_patched(156, "S", 1, "GNU");
    refuse_patched(157, "target", 6, "link name");
}

static void test_ustar__other_metadata_is_refused(void **state)
{
    (void)state;
    refuse_patched(100, "0000755", 7, "mode");
    refuse_patched(100, "0100644", 7, "mode");
    refuse_patched(100, " 000644", 7, "mode");
    refuse_patched(100, "000644 ", 7, "mode");
    refuse_patched(108, "0001750", 7, "user id");
    refuse_patched(116, "0000001", 7, "group id");
    refuse_patched(136, "00000000001", 11, "time");
    refuse_patched(265, "root", 4, "user name");
    refuse_patched(297, "root", 4, "group name");
    refuse_patched(329, "0000001", 7, "device major");
    refuse_patched(337, "\0\0\0\0\0\0\0", 7, "device minor");
    refuse_patched(345, "long/prefix", 11, "prefix");
    refuse_patched(511, "x", 1, "last 12 bytes");
    refuse_patched(257, "ustar  ", 8, "magic");
    refuse_patched(257, "\0\0\0\0\0\0\0\0", 8, "magic");
    refuse_patched(263, "01", 2, "version");
}

static void test_ustar__numbers_spelled_otherwise_are_refused(void **state)
{
    (void)state;
    refuse_patched(124, "       1274", 12, "size");
    refuse_patched(124, "0000000127 ", 12, "size");
    refuse_patched(124, "00000001274 ", 12, "size");
    refuse_patched(124, "00000001284", 12, "size");
    refuse_patched(124, "-0000001274", 12, "size");
    refuse_patched(124, "\x80\0\0\0\0\0\0\0\0\0\x02\xbc", 12, "size"); /* base-256: GNU and star */
    refuse_patched(124, "", 1, "size");
    refuse_patched(148, "0000000", 8, "checksum");
    refuse_patched(148, "       ", 8, "checksum");
}

static void test_ustar__checksum_with_other_terminators_is_refused(void **state)
{
    (void)state;
    const char *ends[] = {"  ", " \0", "\0\0"};
    for (size_t i = 0; i < 3; i++) {
        ent_buf buf = make_archive();
        memcpy(buf.data + 154, ends[i], 2);
        ent_err err = {0};
        assert_int_equal(read_whole(ent_buf_bytes(&buf), &err), ENT_PEER_MALFORMED);
        assert_non_null(strstr(err.text, "checksum"));
        ent_buf_release(&buf);
    }
}

static void test_ustar__name_that_is_not_allowed_is_refused(void **state)
{
    (void)state;
    const char *names[] = {"../pouch.j", "/pouch.jso",  ".pouch.jso", "pouch//jso",
                           "pouch.jso/", "pouch jso\n", "a/../b.jso"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        refuse_patched(0, names[i], 10, "name is not allowed");
    refuse_patched(0, "\0\0\0\0\0\0\0\0\0\0", 10, "name is not allowed");
    refuse_patched(11, "x", 1, "after the end of the name");
}

static void test_ustar__data_after_the_end_is_refused(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    ent_err err = {0};
    ent_buf_put_u8(&buf, 0);
    assert_int_equal(read_whole(ent_buf_bytes(&buf), &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "after the end"));
    uint8_t block[512] = {0};
    ent_buf_put(&buf, ent_bytes_of(block, 511)); /* a third zero block, as GNU tar pads with */
    assert_int_equal(read_whole(ent_buf_bytes(&buf), &err), ENT_PEER_MALFORMED);
    ent_buf_release(&buf);
}

static void test_ustar__one_zero_block_alone_is_refused(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    ent_buf odd = {0};
    uint8_t block[512] = {0};
    ent_err err = {0};
    assert_int_equal(read_whole(ent_bytes_of(buf.data, buf.size - 512), &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "1 of the two"));
    ent_buf_put(&odd, ent_bytes_of(block, sizeof block));
    ent_buf_put(&odd, ent_buf_bytes(&buf));
    assert_int_equal(read_whole(ent_buf_bytes(&odd), &err), ENT_PEER_MALFORMED);
    assert_non_null(strstr(err.text, "one zero block alone"));
    ent_buf_release(&odd);
    ent_buf_release(&buf);
}

static void test_ustar__no_members_is_an_archive(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_ustar_put_end(&buf);
    assert_int_equal(buf.size, 1024);
    assert_int_equal(read_whole(ent_buf_bytes(&buf), NULL), ENT_OK);
    assert_int_equal(read_whole((ent_bytes){NULL, 0}, NULL), ENT_PEER_MALFORMED);
    ent_buf_release(&buf);
}

static void test_ustar__over_the_limit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    log_of_events log = {0};
    ent_err err = {0};
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), 100, buf.size, &log, &err), ENT_OK);
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), 100, buf.size - 1, &log, &err), ENT_PEER_TOO_LARGE);
    ent_buf_clear(&log.told);
    /* The header alone says that it cannot fit: no data is asked for. */
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), 512, 512 + 699, &log, &err), ENT_PEER_TOO_LARGE);
    assert_int_equal(log.told.size, 0);
    assert_non_null(strstr(err.text, "pouch.json"));
    ent_buf_release(&log.told);
    ent_buf_release(&buf);
}

static void test_ustar__size_beyond_eleven_digits_is_not_written(void **state)
{
    (void)state;
    ent_buf buf = {0};
    assert_int_equal(ent_ustar_put_header(&buf, ENT_TEXT("a"), (uint64_t)1 << 33, NULL).code, ENT_PEER_TOO_LARGE);
    assert_int_equal(buf.size, 0);
    assert_int_equal(ent_ustar_put_header(&buf, ENT_TEXT("a"), ((uint64_t)1 << 33) - 1, NULL).code, ENT_OK);
    assert_memory_equal(buf.data + 124, "77777777777", 12);
    ent_buf_release(&buf);
}

static void test_ustar__failure_of_an_event_is_passed_on(void **state)
{
    (void)state;
    ent_buf buf = make_archive();
    log_of_events member = {.fail_member = ENT_PEER_QUOTA};
    log_of_events data = {.fail_data = ENT_IO_FULL};
    ent_err err = {0};
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), 64, 0, &member, &err), ENT_PEER_QUOTA);
    assert_string_equal(err.text, "member refused");
    assert_int_equal(read_in_pieces(ent_buf_bytes(&buf), 64, 0, &data, &err), ENT_IO_FULL);
    assert_string_equal(err.text, "data refused");
    ent_buf_release(&member.told);
    ent_buf_release(&data.told);
    ent_buf_release(&buf);
}

static void test_ustar__no_memory_or_room_is_told(void **state)
{
    (void)state;
    ent_buf buf = {0};
    ent_alloc_fail_at(1);
    assert_int_equal(ent_ustar_put(&buf, ENT_TEXT("a"), ent_bytes_of("x", 1), NULL).code, ENT_NOMEM);
    ent_alloc_fail_at(0);
    ent_buf_release(&buf);
    ent_buf limited = {.limit = 600};
    assert_int_equal(ent_ustar_put(&limited, ENT_TEXT("a"), ent_bytes_of("x", 1), NULL).code, ENT_PEER_TOO_LARGE);
    ent_buf_release(&limited);
}

static int run(const char *folder, const char *command)
{
    ent_buf line = {0};
    ent_buf_put_format(&line, "cd '%s' && %s", folder, command);
    int status = system(ent_buf_string(&line));
    ent_buf_release(&line);
    return status;
}

static void write_into(const char *folder, const char *name, ent_bytes bytes)
{
    char *path = ent_file_join(folder, name);
    assert_non_null(path);
    assert_int_equal(ent_file_write(path, 0644, bytes, NULL).code, ENT_OK);
    ent_free(path);
}

/* Stock tar lists and unpacks what we write, and in ustar format with the same metadata writes the very same bytes. */
static void test_ustar__stock_tar_reads_it_and_writes_the_same_bytes(void **state)
{
    (void)state;
    char folder[] = "/tmp/entente-ustar-XXXXXX";
    ent_buf buf = make_archive();
    ent_buf theirs = {0};
    assert_non_null(mkdtemp(folder));
    write_into(folder, "ours.tar", ent_buf_bytes(&buf));
    write_into(folder, "expected", ent_bytes_of(filler, 700));
    assert_int_equal(
        run(folder, "tar tf ours.tar > listed 2> errors && printf 'pouch.json\\nbodies/7.age\\n' | cmp - listed"), 0);
    assert_int_equal(run(folder, "tar xf ours.tar 2>> errors && cmp pouch.json expected && test -f bodies/7.age"), 0);
    assert_int_equal(run(folder, "test ! -s errors && test ! -s bodies/7.age"), 0);
    assert_int_equal(run(folder, "tar -b 1 --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=0644 "
                                 "-cf theirs.tar pouch.json bodies/7.age"),
                     0);
    char *path = ent_file_join(folder, "theirs.tar");
    assert_int_equal(ent_file_read(path, 1 << 20, &theirs, NULL).code, ENT_OK);
    assert_true(ent_bytes_equal(ent_buf_bytes(&buf), ent_buf_bytes(&theirs)));
    assert_int_equal(read_whole(ent_buf_bytes(&theirs), NULL), ENT_OK);
    ent_free(path);
    ent_buf_release(&theirs);
    ent_buf_release(&buf);
    assert_int_equal(run(folder, "rm -rf -- ours.tar theirs.tar expected listed errors pouch.json bodies"), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ustar__name_of_allowed_parts_is_valid),
        cmocka_unit_test(test_ustar__name_that_leaves_the_folder_or_is_odd_is_invalid),
        cmocka_unit_test(test_ustar__any_size_reads_as_written),
        cmocka_unit_test(test_ustar__pieces_of_any_size_tell_the_same),
        cmocka_unit_test(test_ustar__whole_piece_borrows_from_what_was_pushed),
        cmocka_unit_test(test_ustar__cut_anywhere_is_refused),
        cmocka_unit_test(test_ustar__any_bit_flipped_outside_the_data_is_refused),
        cmocka_unit_test(test_ustar__anything_but_a_regular_file_is_refused),
        cmocka_unit_test(test_ustar__other_metadata_is_refused),
        cmocka_unit_test(test_ustar__numbers_spelled_otherwise_are_refused),
        cmocka_unit_test(test_ustar__checksum_with_other_terminators_is_refused),
        cmocka_unit_test(test_ustar__name_that_is_not_allowed_is_refused),
        cmocka_unit_test(test_ustar__data_after_the_end_is_refused),
        cmocka_unit_test(test_ustar__one_zero_block_alone_is_refused),
        cmocka_unit_test(test_ustar__no_members_is_an_archive),
        cmocka_unit_test(test_ustar__over_the_limit_is_refused_before_it_is_read),
        cmocka_unit_test(test_ustar__size_beyond_eleven_digits_is_not_written),
        cmocka_unit_test(test_ustar__failure_of_an_event_is_passed_on),
        cmocka_unit_test(test_ustar__no_memory_or_room_is_told),
        cmocka_unit_test(test_ustar__stock_tar_reads_it_and_writes_the_same_bytes),
    };
    return cmocka_run_group_tests_name("ustar", tests, fill, NULL);
}
