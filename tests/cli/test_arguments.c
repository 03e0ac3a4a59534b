#include "testing.h"

#include "cli/cli.h"

static ent_rc run_nothing(ent_cli *cli, ent_err *err)
{
    (void)cli;
    (void)err;
    return ENT_DONE;
}

static const ent_cli_option options[] = {
    {"--body", NULL, "FILE", false, "one"},
    {"--to", NULL, "NAME", true, "many"},
    {"--output", "-o", "FILE", false, "short too"},
    {"--exercise", NULL, NULL, false, "a switch"},
    {NULL, NULL, NULL, false, NULL},
};
static const ent_cli_command send_row = {.words = "send",
                                         .arguments = "KIND",
                                         .summary = "s",
                                         .text = "t",
                                         .examples = "e",
                                         .options = options,
                                         .least = 1,
                                         .most = 2,
                                         .run = run_nothing};
static const ent_cli_command add_row = {.words = "peer add",
                                        .arguments = "CARD",
                                        .summary = "s",
                                        .text = "t",
                                        .examples = "e",
                                        .options = NULL,
                                        .least = 1,
                                        .most = 1,
                                        .run = run_nothing};
static const ent_cli_command list_row = {.words = "peer list",
                                         .arguments = "",
                                         .summary = "s",
                                         .text = "t",
                                         .examples = "e",
                                         .options = NULL,
                                         .run = run_nothing};
static const ent_cli_command *const commands[] = {&send_row, &add_row, &list_row, NULL};

enum { MOST = 16 };

/* Parse words separated by spaces. */
static ent_rc parse(const char *line, char *memory, ent_cli *ret, ent_err *err)
{
    char *arguments[MOST];
    int count = 0;
    char *left = NULL;
    strcpy(memory, line);
    for (char *word = strtok_r(memory, " ", &left); word != NULL; word = strtok_r(NULL, " ", &left))
        arguments[count++] = word;
    return ent_cli_arguments_read(commands, count, arguments, ret, err);
}

static void accept(const char *line, ent_cli *ret, char *memory)
{
    ent_err err = {0};
    ent_rc rc = parse(line, memory, ret, &err);
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", line, err.text);
}

static void refuse(const char *line, const char *reason)
{
    char memory[256];
    ent_cli cli = {0};
    ent_err err = {0};
    assert_code(parse(line, memory, &cli, &err), ENT_USAGE);
    assert_contains(err.text, reason);
    assert_contains(err.text, "entente");
    assert_null(strchr(err.text, '\n'));
    ent_cli_release(&cli);
}

static void test_arguments__options_around_positionals_taken(void **state)
{
    static const char *const lines[] = {
        "send a.b --body x --to n1 --dir D --to n2 --exercise -o f",
        "--dir D send --exercise --to n1 --body=x --to=n2 -of a.b",
        "send --to n1 -o f --to n2 --body x --exercise --dir=D -- a.b",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char memory[256];
        ent_cli cli = {0};
        accept(lines[i], &cli, memory);
        assert_ptr_equal(cli.command, &send_row);
        assert_int_equal(cli.positional_count, 1);
        assert_string_equal(cli.positional[0], "a.b");
        assert_string_equal(ent_cli_value(&cli, "--body"), "x");
        assert_string_equal(ent_cli_value(&cli, "--output"), "f");
        assert_string_equal(ent_cli_value_at(&cli, "--to", 0), "n1");
        assert_string_equal(ent_cli_value_at(&cli, "--to", 1), "n2");
        assert_null(ent_cli_value_at(&cli, "--to", 2));
        assert_true(ent_cli_has(&cli, "--exercise"));
        assert_false(ent_cli_has(&cli, "--json"));
        assert_string_equal(cli.folder, "D");
        ent_cli_release(&cli);
    }
}

static void test_arguments__verb_of_two_words_found(void **state)
{
    char memory[256];
    ent_cli cli = {0};
    (void)state;
    accept("peer --json add --dir D card", &cli, memory);
    assert_ptr_equal(cli.command, &add_row);
    assert_true(cli.json);
    assert_string_equal(cli.positional[0], "card");
    ent_cli_release(&cli);
}

static void test_arguments__double_dash_ends_options(void **state)
{
    char memory[256];
    ent_cli cli = {0};
    (void)state;
    accept("send -- --body -", &cli, memory);
    assert_int_equal(cli.positional_count, 2);
    assert_string_equal(cli.positional[0], "--body");
    assert_string_equal(cli.positional[1], "-");
    ent_cli_release(&cli);
}

static void test_arguments__dash_is_a_value(void **state)
{
    char memory[256];
    ent_cli cli = {0};
    (void)state;
    accept("send a.b --body - -o -", &cli, memory);
    assert_string_equal(ent_cli_value(&cli, "--body"), "-");
    assert_string_equal(ent_cli_value(&cli, "--output"), "-");
    ent_cli_release(&cli);
}

static void test_arguments__help_found_without_the_rest(void **state)
{
    char memory[256];
    ent_cli cli = {0};
    (void)state;
    accept("send --help", &cli, memory);
    assert_true(cli.help);
    assert_ptr_equal(cli.command, &send_row);
    ent_cli_release(&cli);
    accept("--help", &cli, memory);
    assert_null(cli.command);
    ent_cli_release(&cli);
    accept("peer -h", &cli, memory);
    assert_null(cli.command);
    assert_string_equal(cli.positional[0], "peer");
    ent_cli_release(&cli);
}

static void test_arguments__mistakes_refused(void **state)
{
    (void)state;
    refuse("", "a verb is missing");
    refuse("sned a.b", "did you mean `entente send`");
    refuse("frobnicate", "no verb");
    refuse("peer", "add, list");
    refuse("peer frob", "no \"frob\"");
    refuse("send", "argument is missing");
    refuse("send a b c", "\"c\" is one argument too many");
    refuse("send a.b --bdy x", "no option --bdy");
    refuse("send a.b --body", "--body needs a value");
    refuse("send a.b --body --exercise", "--body needs a value");
    refuse("send a.b --body=", "empty value");
    refuse("send a.b --exercise=yes", "takes no value");
    refuse("send a.b --body x --body y", "given twice");
    refuse("send a.b -x", "no option -x");
    refuse("--frob send", "--frob is not an option");
    refuse("peer list extra", "too many");
    refuse("send a.b --dir D --dir E", "given twice");
}

static void test_arguments__folder_from_environment(void **state)
{
    char memory[256];
    ent_cli cli = {0};
    ent_err err = {0};
    const char *folder = NULL;
    (void)state;
    assert_int_equal(setenv("ENTENTE_DIR", "E", 1), 0);
    accept("peer list", &cli, memory);
    assert_ok(ent_cli_folder(&cli, &folder, &err));
    assert_string_equal(folder, "E");
    ent_cli_release(&cli);
    accept("peer list --dir D", &cli, memory);
    assert_string_equal(cli.folder, "D");
    ent_cli_release(&cli);
    assert_int_equal(unsetenv("ENTENTE_DIR"), 0);
    accept("peer list", &cli, memory);
    assert_code(ent_cli_folder(&cli, &folder, &err), ENT_USAGE);
    assert_contains(err.text, "--dir");
    assert_string_equal(folder, "E");
    ent_cli_release(&cli);
}

static void test_arguments__number_limits(void **state)
{
    char memory[256];
    ent_cli cli = {0};
    ent_err err = {0};
    uint64_t number = 7;
    (void)state;
    accept("send a.b --body 12", &cli, memory);
    assert_ok(ent_cli_number(&cli, "--body", 12, 3, &number, &err));
    assert_int_equal(number, 12);
    assert_code(ent_cli_number(&cli, "--body", 11, 3, &number, &err), ENT_USAGE);
    assert_int_equal(number, 12);
    assert_ok(ent_cli_number(&cli, "--output", 11, 3, &number, &err));
    assert_int_equal(number, 3);
    ent_cli_release(&cli);
}

static void test_arguments__no_memory_fails(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth <= 2; nth++) {
        char memory[256];
        ent_cli cli = {0};
        ent_err err = {0};
        ent_alloc_fail_at(nth);
        assert_code(parse("send a.b --to x", memory, &cli, &err), ENT_NOMEM);
        ent_alloc_fail_at(0);
        ent_cli_release(&cli);
    }
}

static void test_arguments__help_tells_every_option(void **state)
{
    ent_buf text = {0};
    (void)state;
    ent_cli_put_help(&text, &send_row);
    assert_ok(ent_buf_check(&text, NULL));
    const char *string = ent_buf_string(&text);
    for (const ent_cli_option *option = options; option->name != NULL; option++)
        assert_contains(string, option->name);
    assert_contains(string, "-o, --output FILE");
    assert_contains(string, "--dir DIR");
    assert_contains(string, "--json");
    ent_buf_clear(&text);
    assert_true(ent_cli_put_group(&text, commands, "peer"));
    assert_contains(ent_buf_string(&text), "peer list");
    assert_false(ent_cli_put_group(&text, commands, "pee"));
    ent_buf_clear(&text);
    ent_cli_put_overview(&text, commands);
    assert_contains(ent_buf_string(&text), "peer add");
    ent_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments__options_around_positionals_taken),
        cmocka_unit_test(test_arguments__verb_of_two_words_found),
        cmocka_unit_test(test_arguments__double_dash_ends_options),
        cmocka_unit_test(test_arguments__dash_is_a_value),
        cmocka_unit_test(test_arguments__help_found_without_the_rest),
        cmocka_unit_test(test_arguments__mistakes_refused),
        cmocka_unit_test(test_arguments__folder_from_environment),
        cmocka_unit_test(test_arguments__number_limits),
        cmocka_unit_test(test_arguments__no_memory_fails),
        cmocka_unit_test(test_arguments__help_tells_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
