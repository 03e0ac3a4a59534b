#include "cli/api.h"
#include "cli/fields.h"
#include "cli/moment.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--channel", NULL, "CHANNEL", false, "only this channel"},
    {"--thread", NULL, "MSG", false, "only the thread that this message began"},
    {"--unanswered", NULL, NULL, false, "only what still waits for an answer"},
    {"--since", NULL, "T", false,
     "only what was said at or after this time: 2026-01-31T08:00:00Z,\nor a day: 2026-01-31"},
    {"--limit", NULL, "N", false, "the newest N (default 1000)"},
    {NULL, NULL, NULL, false, NULL},
};

enum { LIMIT_MAX = 100000, INDENT = 4 };

/* The columns of the table. */
enum { TIME, URGENCY, MESSAGE, WHAT, STATE, TLP, SUBJECT, COLUMN_COUNT };

static ent_text state_words(ent_json_value message)
{
    ent_text state = ent_cli_text(message, "state");
    if (ent_json_type_of(ent_json_get(message, "recalled")) == ENT_JSON_OBJECT)
        return ENT_TEXT("RECALLED");
    if (ent_text_is(ent_cli_text(ent_json_get(message, "revealed"), "shows"), "bad"))
        return ENT_TEXT("PROVEN BAD");
    if (ent_cli_text(message, "contested").size > 0)
        return ENT_TEXT("CONTESTED");
    if (ent_json_count(ent_json_get(message, "answered_by")) > 0)
        return ENT_TEXT("answered");
    if (ent_text_is(state, "held"))
        return ENT_TEXT("HELD");
    if (ent_text_is(state, "sent"))
        return ENT_TEXT("not receipted");
    return state;
}

static ent_cli_style state_style(ent_text words)
{
    if (ent_text_is(words, "CONTESTED") || ent_text_is(words, "RECALLED") || ent_text_is(words, "HELD"))
        return ENT_CLI_RED;
    if (ent_text_is(words, "not receipted"))
        return ENT_CLI_YELLOW;
    return ent_text_is(words, "answered") || ent_text_is(words, "receipted") ? ENT_CLI_GREEN : ENT_CLI_PLAIN;
}

/* MSG with a channel's id cut to as many digits as name it: the whole would fill the line. */
static void put_message_name(ent_buf *buf, ent_text message)
{
    size_t size = 0;
    while (size < message.size && message.data[size] != '/')
        size++;
    if (size == 64) {
        ent_buf_put_text(buf, (ent_text){message.data, 12});
        message = (ent_text){message.data + size, message.size - size};
    }
    ent_buf_put_text(buf, message);
}

static void put_row(ent_cli_table *table, ent_json_value message)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf time = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf subject = {0};
    ent_text urgency = ent_cli_text(message, "urgency");
    ent_text title = ent_cli_text(message, "title");
    ent_text marking = ent_cli_text(message, "marking");
    ent_text state = state_words(message);
    ent_cli_style style = ent_cli_urgency_style(urgency);
    put_message_name(&name, ent_cli_text(message, "message"));
    ent_cli_put_time(&time, ent_cli_text(message, "time"));
    if (time.size == 23)
        time.size -= 7; /* to the minute; `show` tells the second */
    if (ent_json_true(ent_json_get(message, "exercise")))
        ent_buf_put_string(&subject, "[EXERCISE] ");
    ent_buf_put_text(&subject, ent_cli_text(message, "subject"));
    if (ent_cli_count(message, "attachments") > 0)
        ent_buf_put_format(&subject, " (+%" PRIu64 ")", ent_cli_count(message, "attachments"));
    if (ent_text_is(urgency, "flash"))
        urgency = ENT_TEXT("FLASH");
    if (ent_text_starts(marking, ENT_TEXT("TLP:")))
        marking = (ent_text){marking.data + 4, marking.size - 4};
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&time));
    ent_cli_table_cell(table, style, ent_text_is(urgency, "routine") ? ENT_TEXT("") : urgency);
    ent_cli_table_cell(table, style, ent_buf_text(&name));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, title.size > 0 ? title : ent_cli_text(message, "kind"));
    ent_cli_table_cell(table, state_style(state), state);
    ent_cli_table_cell(table, ent_text_is(marking, "RED") ? ENT_CLI_RED : ENT_CLI_PLAIN, marking);
    ent_cli_table_cell(table, style, ent_buf_text(&subject));
}

static void put_cell(ent_cli *cli, const char *before, const ent_cli_cell *cell)
{
    if (cell->text.size == 0)
        return;
    ent_buf_put_string(&cli->out, before);
    ent_cli_put_style(&cli->out, cli->colour, cell->style);
    ent_buf_put_text(&cli->out, cell->text);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
}

/* Where the terminal is too narrow for a table with all columns: two lines a message, and its subject. Nothing is cut.
 */
static void put_blocks(ent_cli *cli, const ent_cli_table *table)
{
    for (size_t i = 0; i + COLUMN_COUNT <= table->cell_count; i += COLUMN_COUNT) {
        const ent_cli_cell *cells = table->cells + i;
        put_cell(cli, "", &cells[TIME]);
        put_cell(cli, "  ", &cells[URGENCY]);
        put_cell(cli, "  ", &cells[MESSAGE]);
        put_cell(cli, "\n    ", &cells[WHAT]);
        put_cell(cli, ", ", &cells[STATE]);
        put_cell(cli, ", TLP:", &cells[TLP]);
        ent_buf_put_u8(&cli->out, '\n');
        if (cells[SUBJECT].text.size == 0)
            continue;
        ent_buf_put_format(&cli->out, "%*s", INDENT, "");
        ent_cli_put_style(&cli->out, cli->colour, cells[SUBJECT].style);
        ent_cli_put_wrapped(&cli->out, cells[SUBJECT].text, INDENT, cli->width);
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_u8(&cli->out, '\n');
    }
}

static ent_rc put_messages(ent_cli *cli, ent_json_value messages, ent_err *err)
{
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    if (ent_json_count(messages) == 0) {
        ent_buf_put_string(&cli->out, "There are no such messages.\n");
        return ENT_DONE;
    }
    ent_cli_table_column(&table, "TIME (UTC)", 0, 0);
    ent_cli_table_column(&table, "URGENCY", 0, 0);
    ent_cli_table_column(&table, "MESSAGE", 0, 0);
    ent_cli_table_column(&table, "WHAT", 12, 0);
    ent_cli_table_column(&table, "STATE", 0, 0);
    ent_cli_table_column(&table, "TLP", 0, 0);
    ent_cli_table_column(&table, "SUBJECT", 16, 0);
    for (ent_json_iter i = ent_json_iterate(messages); ent_json_next(&i);)
        put_row(&table, i.value);
    if (!table.failed && !ent_cli_table_fits(&table, cli->width)) {
        put_blocks(cli, &table);
        return ent_buf_check(&cli->out, err);
    }
    return ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err);
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/messages");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    char time[ENT_TIME_TEXT_SIZE + 1];
    const char *since = NULL;
    uint64_t limit = 0;
    const char *channel = ent_cli_value(cli, "--channel");
    const char *thread = ent_cli_value(cli, "--thread");
    if (channel != NULL)
        ENT_TRY(ent_cli_check_channel(channel, err));
    if (thread != NULL)
        ENT_TRY(ent_cli_check_message(thread, err));
    ENT_TRY(ent_cli_time(cli, "--since", time, &since, err));
    ENT_TRY(ent_cli_number(cli, "--limit", LIMIT_MAX, 1000, &limit, err));
    ent_cli_request_query(&request, "channel", channel);
    ent_cli_request_query(&request, "thread", thread);
    ent_cli_request_query(&request, "unanswered", ent_cli_has(cli, "--unanswered") ? "1" : NULL);
    ent_cli_request_query(&request, "since", since);
    ent_cli_request_query(&request, "limit", ent_cli_value(cli, "--limit"));
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (ent_json_count(ent_json_get(answer.root, "messages")) == limit)
        ent_cli_note("only the newest %" PRIu64 " are shown; --limit N shows more", limit);
    return cli->json ? ENT_DONE : put_messages(cli, ent_json_get(answer.root, "messages"), err);
}

const ent_cli_command ent_cli_list = {
    .words = "list",
    .arguments = "[--channel CHANNEL] [--thread MSG] [--unanswered] [--since T] [--limit N]",
    .summary = "list messages, oldest first",
    .text =
        "One line a message, or three where the terminal is too narrow: when it was said (its writer's claim), how\n"
        "urgent, its name MSG for other verbs, what kind, its state, its marking, its subject; (+2) stands for two\n"
        "attachments.\n"
        "\n"
        "States of what we said: HELD (logged here, and not signed before it is known how far our log goes), not\n"
        "receipted (some member has not signed for it yet), receipted (every member has), answered. Of what others\n"
        "said: received, answered. Of both: CONTESTED (a receiver cannot open or read it), PROVEN BAD (its file key\n"
        "shows that), RECALLED (its writer asks for something to be done with it; `entente show MSG` tells what).",
    .examples = "  entente list --dir aurora\n"
                "  entente list --channel north --unanswered --dir aurora\n"
                "  entente list --since 2026-01-31 --json --dir aurora",
    .options = options,
    .run = run,
};
