/* How far something long has come: one line that fits, and says nothing that is not so. */
#include "testing.h"

#include "cli/progress.h"
#include "cli/terminal.h"

static const char *line(ent_buf *out, const char *what, uint64_t total, uint64_t done, size_t columns)
{
    const ent_cli_progress progress = {.what = what, .total = total};
    ent_buf_clear(out);
    ent_cli_progress_put(out, &progress, done, columns);
    return ent_buf_string(out);
}

static void test_progress__shows_a_bar_a_share_and_bytes(void **state)
{
    (void)state;
    ent_buf out = {0};
    assert_string_equal(line(&out, "image.dd", 2000000, 1000000, 79),
                        "image.dd: [############............]  50%, 1.0 MB of 2.0 MB");
    assert_string_equal(line(&out, "image.dd", 2000000, 0, 79),
                        "image.dd: [........................]   0%, 0 bytes of 2.0 MB");
    assert_string_equal(line(&out, "image.dd", 2000000, 2000000, 79),
                        "image.dd: [########################] 100%, 2.0 MB of 2.0 MB");
    assert_string_equal(line(&out, "image.dd", 2000000, 1999999, 79),
                        "image.dd: [#######################.]  99%, 2.0 MB of 2.0 MB");
    ent_buf_release(&out);
}

static void test_progress__more_than_there_is_is_all_of_it(void **state)
{
    (void)state;
    ent_buf out = {0};
    assert_contains(line(&out, "f", 100, UINT64_MAX, 79), "100%, 100 bytes of 100 bytes");
    ent_buf_release(&out);
}

static void test_progress__unknown_total_shows_bytes_alone(void **state)
{
    (void)state;
    ent_buf out = {0};
    assert_string_equal(line(&out, "out", 0, 1234567, 79), "out: 1.2 MB");
    ent_buf_release(&out);
}

static void test_progress__fits_any_terminal_and_moves_no_cursor(void **state)
{
    (void)state;
    ent_buf out = {0};
    static const char evil[] = "a\r\n\033[2Jb-that-is-longer-than-any-line-should-be-on-a-terminal-of-this-width-or-so";
    for (size_t columns = 44; columns < 200; columns++) {
        const char *shown = line(&out, evil, UINT64_MAX, UINT64_MAX / 3, columns);
        assert_null(strpbrk(shown, "\r\n\033"));
        assert_true(ent_cli_width(ent_text_of(shown)) <= columns);
    }
    assert_non_null(line(&out, evil, 5, 3, 0)); /* too narrow for anything: no harm */
    ent_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress__shows_a_bar_a_share_and_bytes),
        cmocka_unit_test(test_progress__more_than_there_is_is_all_of_it),
        cmocka_unit_test(test_progress__unknown_total_shows_bytes_alone),
        cmocka_unit_test(test_progress__fits_any_terminal_and_moves_no_cursor),
    };
    return cmocka_run_group_tests_name("cli-progress", tests, NULL, NULL);
}
