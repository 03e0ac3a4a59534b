#include "cli/cli.h"

#include <stdio.h>

enum { VERB_COLUMNS = 20, OPTION_COLUMNS = 26 };

void ent_cli_put_version(ent_buf *buf)
{
    ent_buf_put_string(buf, "entente " ENT_VERSION "\n");
}

static void put_padding(ent_buf *buf, size_t used, size_t columns)
{
    ent_buf_put_format(buf, "%*s", (int)(used < columns ? columns - used : 1), "");
}

static void put_row(ent_buf *buf, const ent_cli_command *row)
{
    ent_buf_put_format(buf, "  %s", row->words);
    put_padding(buf, strlen(row->words), VERB_COLUMNS);
    ent_buf_put_format(buf, "%s\n", row->summary);
}

void ent_cli_put_overview(ent_buf *buf, const ent_cli_command *const *commands)
{
    ent_buf_put_string(buf, "entente: a hotline for cyber incidents between parties that do not trust each other\n"
                            "\n"
                            "usage: entente VERB [ARGUMENT]... [--dir DIR] [--json]\n"
                            "       entente VERB --help      what a verb does, with examples\n"
                            "       entente --version\n"
                            "\n"
                            "verbs:\n");
    for (const ent_cli_command *const *at = commands; *at != NULL; at++)
        put_row(buf, *at);
    ent_buf_put_string(
        buf,
        "\n"
        "--dir DIR (or ENTENTE_DIR) names the party's folder. Most verbs ask the node that runs there:\n"
        "start it with `entented --dir DIR`. init, restore, card, kinds, verify, key sign and agreement new, check,\n"
        "diff and fields need none; doctor and audit go without one when none runs.\n"
        "Tables fit the terminal. In a pipe they are as wide as they need, or as COLUMNS in the environment says.\n"
        "\n"
        "CHANNEL is a channel's alias, or the first 8 or more digits of its id.\n"
        "MSG is CHANNEL/PARTY/INDEX, as `entente list` shows it.\n"
        "\n"
        "exit status: 0 done, 1 refused or not valid, 2 wrong usage, 3 not reachable, 4 local fault,\n"
        "5 done here, still waiting for the other side\n");
}

bool ent_cli_put_group(ent_buf *buf, const ent_cli_command *const *commands, const char *word)
{
    bool found = false;
    size_t size = strlen(word);
    for (const ent_cli_command *const *at = commands; *at != NULL; at++) {
        const ent_cli_command *row = *at;
        if (strncmp(row->words, word, size) != 0 || row->words[size] != ' ')
            continue;
        if (!found)
            ent_buf_put_format(buf, "usage: entente %s VERB [ARGUMENT]...\n\nverbs:\n", word);
        found = true;
        put_row(buf, row);
    }
    if (found)
        ent_buf_put_format(buf, "\n`entente %s VERB --help` tells more about each.\n", word);
    return found;
}

static void put_option(ent_buf *buf, const ent_cli_option *option)
{
    char head[64];
    int size = snprintf(head, sizeof head, "%s%s%s%s%s%s", option->letter == NULL ? "" : option->letter,
                        option->letter == NULL ? "" : ", ", option->name, option->value == NULL ? "" : " ",
                        option->value == NULL ? "" : option->value, option->repeats ? " ..." : "");
    ent_buf_put_format(buf, "  %s", head);
    if (size >= OPTION_COLUMNS) {
        ent_buf_put_u8(buf, '\n');
        put_padding(buf, 0, OPTION_COLUMNS + 2);
    } else {
        put_padding(buf, (size_t)size, OPTION_COLUMNS);
    }
    for (const char *line = option->help; line != NULL;) {
        size_t line_size = strcspn(line, "\n");
        ent_buf_put_text(buf, (ent_text){line, line_size});
        ent_buf_put_u8(buf, '\n');
        line = line[line_size] == 0 ? NULL : line + line_size + 1;
        if (line != NULL)
            put_padding(buf, 0, OPTION_COLUMNS + 2);
    }
}

void ent_cli_put_help(ent_buf *buf, const ent_cli_command *command)
{
    const char *arguments = command->arguments;
    ent_buf_put_format(buf, "entente %s: %s\n\nusage: entente %s%s%s\n\n%s\n\noptions:\n", command->words,
                       command->summary, command->words, arguments[0] == 0 ? "" : " ", arguments, command->text);
    for (const ent_cli_option *option = command->options; option != NULL && option->name != NULL; option++)
        put_option(buf, option);
    for (const ent_cli_option *option = ent_cli_common_options; option->name != NULL; option++)
        put_option(buf, option);
    ent_buf_put_format(buf, "\nexamples:\n%s\n", command->examples);
}
