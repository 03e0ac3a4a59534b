#include "cli/api.h"
#include "cli/people.h"
#include "cli/verbs.h"

#include "base/clock.h"

#include <signal.h>
#include <unistd.h>

enum { EVENT_MAX_BYTES = 1 << 20 };

typedef struct {
    ent_cli *cli;
    ent_buf line; /* the event so far */
    bool began;
} watching;

/* Every line is on its way before the next is waited for, so there is nothing to finish. */
static void stop(int number)
{
    (void)number;
    _exit(0);
}

static void put_message(ent_cli *cli, ent_json_value event)
{
    ent_buf *out = &cli->out;
    ent_text urgency = ent_cli_text(event, "urgency");
    ent_text subject = ent_cli_text(event, "subject");
    ent_cli_put_style(out, cli->colour, ent_cli_urgency_style(urgency));
    if (urgency.size > 0 && !ent_text_is(urgency, "routine")) {
        ent_cli_put_line(out, ent_text_is(urgency, "flash") ? ENT_TEXT("FLASH") : urgency);
        ent_buf_put_u8(out, ' ');
    }
    ent_cli_put_line(out, ent_cli_text(event, "kind"));
    ent_buf_put_string(out, " from ");
    ent_cli_put_line(out, ent_cli_text(event, "party"));
    ent_buf_put_string(out, subject.size > 0 ? ": " : "");
    ent_cli_put_line(out, subject);
    ent_buf_put_string(out, " (");
    ent_cli_put_line(out, ent_cli_text(event, "message"));
    ent_buf_put_u8(out, ')');
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
}

static void put_fork(ent_cli *cli, ent_json_value event)
{
    ent_buf *out = &cli->out;
    ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
    ent_buf_put_string(out, "FORK: ");
    ent_cli_put_line(out, ent_cli_text(event, "party"));
    ent_buf_put_string(out, " signed two different histories; its log is frozen and the proof is kept");
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
}

static void put_event(ent_cli *cli, ent_json_value event)
{
    ent_buf *out = &cli->out;
    ent_text what = ent_cli_text(event, "event");
    char now[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(ent_clock_unix_s(), now);
    ent_buf_put_format(out, "%.8sZ  ", now + 11);
    ent_cli_put_line(out, ent_cli_channel_label(event));
    ent_buf_put_string(out, ": ");
    if (ent_text_is(what, "message")) {
        put_message(cli, event);
    } else if (ent_text_is(what, "receipt")) {
        ent_cli_put_line(out, ent_cli_text(event, "by"));
        ent_buf_put_string(out, " has receipted ");
        ent_cli_put_first_entries(out, ent_cli_count(event, "size"));
        ent_buf_put_string(out, " of our log");
    } else if (ent_text_is(what, "channel")) {
        ent_buf_put_string(out, "the channel is now ");
        ent_cli_put_line(out, ent_cli_text(event, "state"));
    } else if (ent_text_is(what, "attachment")) {
        ent_buf_put_string(out, "an attachment of ");
        ent_cli_put_line(out, ent_cli_text(event, "message"));
        ent_buf_put_string(out, " has arrived whole");
    } else if (ent_text_is(what, "fork")) {
        put_fork(cli, event);
    } else {
        ent_buf_put_string(out, "event unknown to this version: ");
        ent_cli_put_line(out, what);
    }
    ent_buf_put_u8(out, '\n');
}

static ent_rc show_line(watching *stream, ent_text line, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    if (line.size == 0)
        return ENT_DONE; /* sent to show that the stream lives */
    if (stream->cli->json) {
        ent_cli_put_answer(stream->cli, line);
        return ent_cli_flush(stream->cli, err);
    }
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_text_bytes(line), &json, err), "an event of the node"));
    put_event(stream->cli, ent_json_root(json));
    return ent_cli_flush(stream->cli, err);
}

static ent_rc take(void *context, ent_bytes piece, ent_err *err)
{
    watching *stream = context;
    stream->began = true;
    while (piece.size > 0) {
        const uint8_t *newline = memchr(piece.data, '\n', piece.size);
        size_t size = newline == NULL ? piece.size : (size_t)(newline - piece.data);
        ent_buf_put(&stream->line, ent_bytes_of(piece.data, size));
        ENT_TRY(ent_buf_check(&stream->line, err));
        if (newline != NULL) {
            ENT_TRY(show_line(stream, ent_buf_text(&stream->line), err));
            ent_buf_clear(&stream->line);
            size++;
        }
        piece.data += size;
        piece.size -= size;
    }
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/events");
    ENT_CLEANUP(ent_buf_release) ent_buf none = {0};
    watching stream = {.cli = cli, .line = {.limit = EVENT_MAX_BYTES}};
    const char *folder = NULL;
    struct sigaction action = {.sa_handler = stop};
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    request.sink = take;
    request.sink_context = &stream;
    ent_rc rc = ent_cli_ask(cli, &request, &none, err);
    ent_buf_release(&stream.line);
    if (rc.code != ENT_OK && (rc.code != ENT_UNREACHABLE || !stream.began))
        return rc;
    return ent_fail(err, ENT_UNREACHABLE, NULL, "the node has gone away; start it again with `entented --dir %s`",
                    folder);
}

const ent_cli_command ent_cli_watch = {
    .words = "watch",
    .arguments = "",
    .summary = "print what happens, as it happens",
    .text = "One line for each message, receipt, arrived attachment and change of a channel, until interrupted.\n"
            "With --json one JSON object a line. Ends with status 3 when the node goes away.",
    .examples = "  entente watch --dir boreal\n"
                "  entente watch --json --dir boreal",
    .options = ent_cli_no_options,
    .run = run,
};
