#include "testing.h"

#include "cli/table.h"

static void fill(ent_cli_table *table)
{
    ent_cli_table_column(table, "NAME", 0, 0);
    ent_cli_table_column(table, "STATE", 0, 1);
    ent_cli_table_column(table, "SUBJECT", 8, 2);
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ENT_TEXT("north/a.example/1"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ENT_TEXT("sent"));
    ent_cli_table_cell(table, ENT_CLI_RED, ENT_TEXT("a subject of some length"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ENT_TEXT("x"));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ENT_TEXT(""));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ENT_TEXT("\033[2J"));
}

static void check(unsigned width, bool colour, const char *wanted)
{
    ent_cli_table table = {0};
    ent_buf buf = {0};
    fill(&table);
    assert_ok(ent_cli_table_put(&table, &buf, width, colour, NULL));
    assert_text(ent_buf_text(&buf), wanted);
    ent_buf_release(&buf);
    ent_cli_table_release(&table);
}

static void test_table__no_width_nothing_cut(void **state)
{
    (void)state;
    check(0, false,
          "NAME               STATE  SUBJECT\n"
          "north/a.example/1  sent   a subject of some length\n"
          "x                         \\u{001b}[2J\n");
}

static void test_table__narrow_cuts_then_drops(void **state)
{
    (void)state;
    check(40, false,
          "NAME               STATE  SUBJECT\n"
          "north/a.example/1  sent   a subject of \xe2\x80\xa6\n"
          "x                         \\u{001b}[2J\n");
    check(26, false,
          "NAME               STATE\n"
          "north/a.example/1  sent\n"
          "x\n");
    check(10, false, /* what is never cut or dropped stays whole */
          "NAME\n"
          "north/a.example/1\n"
          "x\n");
}

static void test_table__colour_does_not_count(void **state)
{
    (void)state;
    check(40, true,
          "\033[2mNAME\033[0m               \033[2mSTATE\033[0m  \033[2mSUBJECT\033[0m\n"
          "north/a.example/1  sent   \033[1;31ma subject of \xe2\x80\xa6\033[0m\n"
          "x                         \\u{001b}[2J\n");
}

static void test_table__no_memory_fails(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth < 200; nth++) {
        ent_cli_table table = {0};
        ent_buf buf = {0};
        ent_alloc_fail_at(nth);
        fill(&table);
        ent_rc rc = ent_cli_table_put(&table, &buf, 0, false, NULL);
        bool reached = ent_alloc_count() >= nth;
        ent_alloc_fail_at(0);
        ent_buf_release(&buf);
        ent_cli_table_release(&table);
        if (!reached) {
            assert_int_equal(rc.code, ENT_OK);
            return;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__no_width_nothing_cut),
        cmocka_unit_test(test_table__narrow_cuts_then_drops),
        cmocka_unit_test(test_table__colour_does_not_count),
        cmocka_unit_test(test_table__no_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
