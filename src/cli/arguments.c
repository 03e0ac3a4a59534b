#include "cli/cli.h"

#include "base/cursor.h"

#include <stdlib.h>

const ent_cli_option ent_cli_common_options[] = {
    {"--dir", NULL, "DIR", false, "the party's folder (default: the environment's ENTENTE_DIR)"},
    {"--json", NULL, NULL, false, "print JSON for programs instead of text for people"},
    {"--help", "-h", NULL, false, "print this and do nothing"},
    {NULL, NULL, NULL, false, NULL},
};

/* Where the parser stands. */
typedef struct {
    const ent_cli_command *const *commands; /* ends with NULL */
    char **arguments;
    size_t count;
    size_t next;
    bool only_positional; /* after "--" */
} parser;

static bool is_name(const ent_cli_option *option, ent_text name)
{
    return ent_text_is(name, option->name) || (option->letter != NULL && ent_text_is(name, option->letter));
}

static const ent_cli_option *find_in(const ent_cli_option *options, ent_text name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (is_name(options, name))
            return options;
    }
    return NULL;
}

static bool looks_like_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != 0;
}

/* "--name=value" and "-nvalue" carry their value with them. */
static void split(const char *argument, ent_text *ret_name, const char **ret_value)
{
    const char *equals = strchr(argument, '=');
    *ret_value = NULL;
    if (argument[1] != '-') {
        *ret_name = (ent_text){argument, 2};
        if (argument[2] != 0)
            *ret_value = argument + 2;
    } else if (equals != NULL) {
        *ret_name = (ent_text){argument, (size_t)(equals - argument)};
        *ret_value = equals + 1;
    } else {
        *ret_name = ent_text_of(argument);
    }
}

/* How to get help on the verb, or on all verbs when none is known yet. */
static const char *words_of(const ent_cli *cli)
{
    return cli->command == NULL ? "" : cli->command->words;
}

static const char *space_after(const char *words)
{
    return words[0] == 0 ? "" : " ";
}

static ent_rc remember(ent_cli *cli, const ent_cli_option *option, const char *value, ent_err *err)
{
    for (size_t i = 0; i < cli->given_count && !option->repeats; i++) {
        if (cli->given[i].option == option && option->value != NULL)
            return ent_fail(err, ENT_USAGE, NULL, "%s was given twice; type `entente %s%s--help`", option->name,
                            words_of(cli), space_after(words_of(cli)));
    }
    cli->given[cli->given_count++] = (ent_cli_given){option, value};
    if (strcmp(option->name, "--dir") == 0)
        cli->folder = value;
    cli->json |= strcmp(option->name, "--json") == 0;
    cli->help |= strcmp(option->name, "--help") == 0;
    return ENT_DONE;
}

/* The option at the parser's place, with its value. */
static ent_rc take_option(parser *at, ent_cli *cli, ent_err *err)
{
    ent_text name;
    const char *value;
    const char *words = words_of(cli);
    split(at->arguments[at->next++], &name, &value);
    const ent_cli_option *option = find_in(ent_cli_common_options, name);
    if (option == NULL && cli->command != NULL)
        option = find_in(cli->command->options, name);
    if (option == NULL && cli->command == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "%.*s is not an option that may stand before a verb; type `entente --help`",
                        ENT_TEXT_ARG(name));
    if (option == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "`entente %s` has no option %.*s; type `entente %s --help`", words,
                        ENT_TEXT_ARG(name), words);
    if (option->value == NULL && value != NULL)
        return ent_fail(err, ENT_USAGE, NULL, "%s takes no value; type `entente %s%s--help`", option->name, words,
                        space_after(words));
    if (option->value != NULL && value == NULL) {
        /* A word that looks like another option is more likely a value forgotten. "-" alone is standard input. */
        if (at->next == at->count ||
            (looks_like_option(at->arguments[at->next]) && strlen(at->arguments[at->next]) > 1))
            return ent_fail(err, ENT_USAGE, NULL, "%s needs a value: %s %s; type `entente %s%s--help`", option->name,
                            option->name, option->value, words, space_after(words));
        value = at->arguments[at->next++];
    }
    if (option->value != NULL && value[0] == 0)
        return ent_fail(err, ENT_USAGE, NULL, "%s was given an empty value; type `entente %s%s--help`", option->name,
                        words, space_after(words));
    return remember(cli, option, value, err);
}

/* Take options up to the next word, which is left in place; NULL when there is none. */
static ent_rc next_word(parser *at, ent_cli *cli, const char **ret_word, ent_err *err)
{
    while (at->next < at->count && looks_like_option(at->arguments[at->next]))
        ENT_TRY(take_option(at, cli, err));
    *ret_word = at->next < at->count ? at->arguments[at->next] : NULL;
    return ENT_DONE;
}

/* Letters that differ when one word is laid over another: enough to guess what was meant. */
static size_t distance(const char *a, const char *b)
{
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    size_t row[32];
    if (a_size >= 32 || b_size >= 32)
        return 99;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_size];
}

static ent_rc fail_unknown(const parser *at, const char *word, ent_err *err)
{
    char nearest[32] = "";
    size_t least = 3;
    for (const ent_cli_command *const *at_row = at->commands; *at_row != NULL; at_row++) {
        const ent_cli_command *row = *at_row;
        char first[32];
        size_t size = strcspn(row->words, " ");
        memcpy(first, row->words, size);
        first[size] = 0;
        size_t found = distance(word, first);
        if (found < least) {
            least = found;
            memcpy(nearest, first, size + 1);
        }
    }
    if (nearest[0] != 0)
        return ent_fail(err, ENT_USAGE, NULL,
                        "there is no verb \"%s\"; did you mean `entente %s`? `entente --help` lists all", word,
                        nearest);
    return ent_fail(err, ENT_USAGE, NULL, "there is no verb \"%s\"; `entente --help` lists all", word);
}

/* Whether a row is "<first>" (then second is NULL) or "<first> <second>". */
static bool row_is(const ent_cli_command *row, const char *first, const char *second)
{
    size_t size = strlen(first);
    if (strncmp(row->words, first, size) != 0)
        return false;
    return second == NULL ? row->words[size] == 0
                          : row->words[size] == ' ' && strcmp(row->words + size + 1, second) == 0;
}

static const ent_cli_command *find_command(const parser *at, const char *first, const char *second)
{
    for (const ent_cli_command *const *at_row = at->commands; *at_row != NULL; at_row++) {
        const ent_cli_command *row = *at_row;
        if (row_is(row, first, second))
            return row;
    }
    return NULL;
}

static bool is_group(const parser *at, const char *word)
{
    size_t size = strlen(word);
    for (const ent_cli_command *const *at_row = at->commands; *at_row != NULL; at_row++) {
        const ent_cli_command *row = *at_row;
        if (strncmp(row->words, word, size) == 0 && row->words[size] == ' ')
            return true;
    }
    return false;
}

static ent_rc fail_group(const parser *at, const char *group, const char *word, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf list = {0};
    for (const ent_cli_command *const *at_row = at->commands; *at_row != NULL; at_row++) {
        const ent_cli_command *row = *at_row;
        if (strncmp(row->words, group, strlen(group)) == 0 && row->words[strlen(group)] == ' ')
            ent_buf_put_format(&list, "%s%s", list.size == 0 ? "" : ", ", row->words + strlen(group) + 1);
    }
    ENT_TRY(ent_buf_check(&list, err));
    if (word == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "`entente %s` needs one of: %.*s; type `entente %s --help`", group,
                        ENT_TEXT_ARG(ent_buf_text(&list)), group);
    return ent_fail(err, ENT_USAGE, NULL, "`entente %s` has no \"%s\", only: %.*s; type `entente %s --help`", group,
                    word, ENT_TEXT_ARG(ent_buf_text(&list)), group);
}

/* Find the verb, of one word or two. Options of every verb may stand before and between. */
static ent_rc take_verb(parser *at, ent_cli *cli, ent_err *err)
{
    const char *first = NULL;
    const char *second = NULL;
    ENT_TRY(next_word(at, cli, &first, err));
    if (first == NULL)
        return cli->help ? ENT_DONE : ent_fail(err, ENT_USAGE, NULL, "a verb is missing; `entente --help` lists all");
    at->next++;
    cli->command = find_command(at, first, NULL);
    if (cli->command != NULL)
        return ENT_DONE;
    if (!is_group(at, first))
        return fail_unknown(at, first, err);
    ENT_TRY(next_word(at, cli, &second, err));
    if (second == NULL && cli->help) {
        cli->positional[cli->positional_count++] = first; /* help of the group */
        return ENT_DONE;
    }
    if (second != NULL)
        cli->command = find_command(at, first, second);
    if (cli->command == NULL)
        return fail_group(at, first, second, err);
    at->next++;
    return ENT_DONE;
}

static ent_rc take_rest(parser *at, ent_cli *cli, ent_err *err)
{
    while (at->next < at->count) {
        const char *argument = at->arguments[at->next];
        if (!at->only_positional && strcmp(argument, "--") == 0) {
            at->only_positional = true;
            at->next++;
        } else if (!at->only_positional && looks_like_option(argument)) {
            ENT_TRY(take_option(at, cli, err));
        } else {
            cli->positional[cli->positional_count++] = argument;
            at->next++;
        }
    }
    return ENT_DONE;
}

static ent_rc check_count(const ent_cli *cli, ent_err *err)
{
    const ent_cli_command *command = cli->command;
    if (cli->positional_count < command->least)
        return ent_fail(err, ENT_USAGE, NULL, "an argument is missing: entente %s %s; type `entente %s --help`",
                        command->words, command->arguments, command->words);
    if (cli->positional_count > command->most)
        return ent_fail(err, ENT_USAGE, NULL,
                        "\"%s\" is one argument too many: entente %s%s%s; type `entente %s --help`",
                        cli->positional[command->most], command->words, space_after(command->arguments),
                        command->arguments, command->words);
    for (size_t i = 0; i < cli->positional_count; i++) {
        if (cli->positional[i][0] == 0)
            return ent_fail(err, ENT_USAGE, NULL, "an argument is empty: entente %s %s; type `entente %s --help`",
                            command->words, command->arguments, command->words);
    }
    return ENT_DONE;
}

ent_rc ent_cli_arguments_read(const ent_cli_command *const *commands, int count, char **arguments, ent_cli *ret,
                              ent_err *err)
{
    parser at = {.commands = commands, .arguments = arguments, .count = (size_t)count};
    *ret = (ent_cli){0};
    ret->positional = ent_alloc_array(at.count + 1, sizeof *ret->positional);
    ret->given = ent_alloc_array(at.count + 1, sizeof *ret->given);
    if (ret->positional == NULL || ret->given == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(take_verb(&at, ret, err));
    if (ret->command == NULL)
        return ENT_DONE;
    ENT_TRY(take_rest(&at, ret, err));
    if (ret->folder == NULL) {
        const char *folder = getenv("ENTENTE_DIR");
        ret->folder = folder != NULL && folder[0] != 0 ? folder : NULL;
    }
    return ret->help ? ENT_DONE : check_count(ret, err);
}

void ent_cli_release(ent_cli *cli)
{
    ent_free(cli->positional);
    ent_free(cli->given);
    ent_buf_wipe(&cli->out);
    *cli = (ent_cli){0};
}

const char *ent_cli_value_at(const ent_cli *cli, const char *name, size_t at)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, name) == 0 && at-- == 0)
            return cli->given[i].value;
    }
    return NULL;
}

const char *ent_cli_value(const ent_cli *cli, const char *name)
{
    return ent_cli_value_at(cli, name, 0);
}

bool ent_cli_has(const ent_cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, name) == 0)
            return true;
    }
    return false;
}

ent_rc ent_cli_folder(const ent_cli *cli, const char **ret, ent_err *err)
{
    if (cli->folder == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "which party? Name its folder with --dir DIR, or set ENTENTE_DIR");
    *ret = cli->folder;
    return ENT_DONE;
}

ent_rc ent_cli_number(const ent_cli *cli, const char *name, uint64_t maximum, uint64_t fallback, uint64_t *ret,
                      ent_err *err)
{
    const char *value = ent_cli_value(cli, name);
    if (value == NULL) {
        *ret = fallback;
        return ENT_DONE;
    }
    if (!ent_decimal_parse(ent_text_of(value), maximum, ret))
        return ent_fail(err, ENT_USAGE, NULL,
                        "%s takes a whole number up to %llu, not \"%s\"; type `entente %s --help`", name,
                        (unsigned long long)maximum, value, cli->command->words);
    return ENT_DONE;
}
