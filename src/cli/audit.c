#include "cli/api.h"
#include "cli/people.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1 << 20, BAR_CELLS = 30, PATH_MAX_BYTES = 4096 };

/* What the stream of lines has told so far. */
typedef struct {
    ent_cli *cli;
    ent_buf line;
    ent_buf findings; /* the JSON objects, with commas between: --json */
    ent_buf logs;
    ent_buf end; /* the last line; empty until it came */
    bool bar;    /* a bar is on the screen */
    bool tells;  /* standard error is a terminal */
    uint64_t found;
} listening;

static void release(listening *work)
{
    ent_buf_release(&work->line);
    ent_buf_release(&work->findings);
    ent_buf_release(&work->logs);
    ent_buf_release(&work->end);
}

/* --- showing --- */

static void clear_bar(listening *work)
{
    if (work->bar)
        (void)fputs("\r\033[K", stderr);
    work->bar = false;
}

static void put_bar(listening *work, ent_json_value line)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    uint64_t done = ent_cli_count(line, "done_bytes");
    uint64_t total = ent_cli_count(line, "total_bytes");
    if (!work->tells || total == 0)
        return;
    uint64_t most = done > total ? total : done; /* what came meanwhile is audited too */
    ent_buf_put_string(&text, "\r[");
    for (unsigned i = 0; i < BAR_CELLS; i++)
        ent_buf_put_u8(&text, i < most / (total / BAR_CELLS + 1) ? '#' : ' ');
    ent_buf_put_format(&text, "] %3.0f %%  ", (double)most * 100 / (double)total);
    ent_cli_put_bytes(&text, done);
    ent_buf_put_string(&text, " of ");
    ent_cli_put_bytes(&text, total);
    ent_buf_put_string(&text, "\033[K");
    if (ent_buf_string(&text) != NULL)
        (void)fputs((const char *)text.data, stderr);
    work->bar = true;
}

static void put_place(ent_cli *cli, ent_json_value line)
{
    ent_cli_put_line(&cli->out, ent_cli_channel_label(line));
    if (ent_cli_text(line, "party").size > 0) {
        ent_buf_put_u8(&cli->out, '/');
        ent_cli_put_line(&cli->out, ent_cli_text(line, "party"));
    }
}

static void put_finding(listening *work, ent_json_value line)
{
    ent_cli *cli = work->cli;
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
    ent_buf_put_string(&cli->out, "FOUND ");
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    put_place(cli, line);
    ent_buf_put_string(&cli->out, ": ");
    ent_cli_put_line(&cli->out, ent_cli_text(line, "text"));
    ent_buf_put_u8(&cli->out, '\n');
}

/* What an honest writer acked of a history that is not the one here: no finding, but nobody shall miss it. */
static void put_acks_passed(ent_cli *cli, ent_json_value line)
{
    ent_json_value acks = ent_json_get(line, "acks_passed");
    for (ent_json_iter i = ent_json_iterate(acks); ent_json_next(&i);) {
        uint64_t count = ent_cli_count(i.value, "count");
        bool forked = ent_text_is(ent_cli_text(i.value, "why"), "other-history");
        ent_buf_put_format(&cli->out, "  %" PRIu64 " of its entries (the first is %" PRIu64 ") %s ", count,
                           ent_cli_count(i.value, "first"), count == 1 ? "acks" : "ack");
        ent_buf_put_string(&cli->out, forked ? "another history of the log of "
                                             : "what was signed by a revoked or replaced key of ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "party"));
        ent_buf_put_string(&cli->out, forked ? ", which forked (`entente fork list`): that counts for nothing\n"
                                             : ": that counts for nothing\n");
    }
}

static void put_log(listening *work, ent_json_value line)
{
    ent_cli *cli = work->cli;
    uint64_t findings = ent_cli_count(line, "findings");
    uint64_t to_come = ent_cli_count(line, "attachments_to_come");
    put_place(cli, line);
    ent_buf_put_string(&cli->out, ": ");
    ent_cli_put_counted(&cli->out, ent_cli_count(line, "entries"), "entry", "entries");
    ent_buf_put_string(&cli->out, " (");
    ent_cli_put_bytes(&cli->out, ent_cli_count(line, "bytes"));
    ent_buf_put_string(&cli->out, "), ");
    ent_cli_put_counted(&cli->out, ent_cli_count(line, "heads"), "signed head", "signed heads");
    ent_buf_put_string(&cli->out, ", ");
    ent_cli_put_counted(&cli->out, ent_cli_count(line, "receipts"), "receipt", "receipts");
    ent_buf_put_string(&cli->out, ", ");
    ent_cli_put_counted(&cli->out, ent_cli_count(line, "attachments"), "attachment", "attachments");
    if (to_come > 0)
        ent_buf_put_format(&cli->out, " (%" PRIu64 " to come)", to_come);
    ent_buf_put_string(&cli->out, ent_json_true(ent_json_get(line, "frozen")) ? "; FROZEN by a fork" : "");
    ent_cli_put_style(&cli->out, cli->colour, findings > 0 ? ENT_CLI_RED : ENT_CLI_GREEN);
    if (findings > 0)
        ent_buf_put_format(&cli->out, ": %" PRIu64 " finding%s\n", findings, findings == 1 ? "" : "s");
    else
        ent_buf_put_string(&cli->out, ": as it was signed\n");
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    put_acks_passed(cli, line);
}

static void put_end(listening *work, ent_json_value line)
{
    ent_cli *cli = work->cli;
    uint64_t milliseconds = ent_cli_count(line, "milliseconds");
    ent_cli_put_style(&cli->out, cli->colour, work->found > 0 ? ENT_CLI_RED : ENT_CLI_BOLD);
    if (work->found == 0)
        ent_buf_put_string(&cli->out, "Nothing is wrong: ");
    else
        ent_buf_put_format(&cli->out, "%" PRIu64 " finding%s: ", work->found, work->found == 1 ? "" : "s");
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_cli_put_counted(&cli->out, ent_cli_count(line, "entries"), "entry", "entries");
    ent_buf_put_string(&cli->out, " in ");
    ent_cli_put_counted(&cli->out, ent_cli_count(line, "channels"), "channel", "channels");
    ent_buf_put_string(&cli->out, ", ");
    ent_cli_put_bytes(&cli->out, ent_cli_count(line, "bytes"));
    ent_buf_put_format(&cli->out, " in %.1f s\n", (double)milliseconds / 1000);
}

/* --- the lines --- */

static void collect(ent_buf *list, ent_text line)
{
    ent_buf_put_string(list, list->size == 0 ? "" : ",");
    ent_buf_put_text(list, line);
}

static ent_rc take_line(listening *work, ent_text text, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    if (text.size == 0)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_text_bytes(text), &json, err), "a line of the audit"));
    ent_json_value line = ent_json_root(json);
    ent_text what = ent_cli_text(line, "line");
    if (ent_text_is(what, "progress")) {
        put_bar(work, line);
        return ENT_DONE;
    }
    clear_bar(work);
    bool is_finding = ent_text_is(what, "finding");
    bool is_log = ent_text_is(what, "log");
    bool is_end = ent_text_is(what, "end");
    if (ent_text_is(what, "failed")) {
        ent_text word = ent_cli_text(line, "code");
        int code = ent_code_from_word(word.data, word.size);
        return ent_fail(err, code == ENT_CODE_COUNT || code == ENT_OK ? ENT_BUG : (ent_code)code, NULL, "%.*s",
                        ENT_TEXT_ARG(ent_cli_text(line, "text")));
    }
    if (is_end) {
        work->found = ent_cli_count(line, "findings");
        ent_buf_clear(&work->end);
        ent_buf_put_text(&work->end, text);
    }
    if (work->cli->json) {
        if (is_finding || is_log)
            collect(is_finding ? &work->findings : &work->logs, text);
        return ENT_DONE;
    }
    if (is_finding)
        put_finding(work, line);
    else if (is_log)
        put_log(work, line);
    else if (is_end)
        put_end(work, line);
    return ent_cli_flush(work->cli, err);
}

static ent_rc take(void *context, ent_bytes piece, ent_err *err)
{
    listening *work = context;
    while (piece.size > 0) {
        const uint8_t *newline = memchr(piece.data, '\n', piece.size);
        size_t size = newline == NULL ? piece.size : (size_t)(newline - piece.data);
        ent_buf_put(&work->line, ent_bytes_of(piece.data, size));
        ENT_TRY(ent_buf_check(&work->line, err));
        if (newline != NULL) {
            ENT_TRY(take_line(work, ent_buf_text(&work->line), err));
            ent_buf_clear(&work->line);
            size++;
        }
        piece.data += size;
        piece.size -= size;
    }
    return ENT_DONE;
}

/* --- a stopped node --- */

/* The `entented` that lies beside this program, else the one that is found by PATH. */
static ent_rc daemon_path(char ret[PATH_MAX_BYTES], ent_err *err)
{
    char own[PATH_MAX_BYTES];
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    ent_buf beside = {.limit = PATH_MAX_BYTES - 1};
    if (size > 0) {
        own[size] = 0;
        const char *slash = strrchr(own, '/');
        ent_buf_put(&beside, ent_bytes_of(own, slash == NULL ? 0 : (size_t)(slash - own) + 1));
        ent_buf_put_string(&beside, "entented");
    }
    const char *path = ent_buf_string(&beside);
    ent_rc rc = ent_buf_check(&beside, err);
    if (rc.code == ENT_OK)
        (void)snprintf(ret, PATH_MAX_BYTES, "%s", path != NULL && access(path, X_OK) == 0 ? path : "entented");
    ent_buf_release(&beside);
    return rc;
}

static ent_rc listen_to(int fd, listening *work, ent_err *err)
{
    uint8_t piece[65536];
    for (;;) {
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ent_fail(err, ENT_IO, NULL, "cannot read what entented finds");
        if (got == 0)
            return ENT_DONE;
        ENT_TRY(take(work, ent_bytes_of(piece, (size_t)got), err));
    }
}

static ent_rc audit_stopped(const char *folder, const char *channel, listening *work, ent_err *err)
{
    char path[PATH_MAX_BYTES];
    int ends[2];
    int status = 0;
    const char *arguments[] = {"entented", "--dir", folder, "--audit", channel == NULL ? NULL : "--channel",
                               channel,    NULL};
    ENT_TRY(daemon_path(path, err));
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot make a pipe");
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execvp(path, (char *const *)(void *)arguments);
        (void)fprintf(stderr, "entente: cannot run %s\n", path);
        _exit(4);
    }
    (void)close(ends[1]);
    ent_rc rc = child < 0 ? ent_fail(err, ENT_IO, NULL, "cannot start entented") : listen_to(ends[0], work, err);
    (void)close(ends[0]); /* a child that still writes ends by that */
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    ENT_TRY(rc);
    if (work->end.size == 0)
        return ent_fail(err, ENT_IO, NULL,
                        "the stopped node in %s could not be audited: entented ended before it was done", folder);
    return ENT_DONE;
}

static ent_rc audit_running(const ent_cli *cli, listening *work, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/audit");
    ENT_CLEANUP(ent_buf_release) ent_buf none = {0};
    ent_cli_request_query(&request, "channel", ent_cli_value(cli, "--channel"));
    request.sink = take;
    request.sink_context = work;
    return ent_cli_ask(cli, &request, &none, err);
}

static ent_rc put_json(listening *work, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf whole = {0};
    ent_buf_put_string(&whole, "{\"end\":");
    ent_buf_put_text(&whole, ent_buf_text(&work->end));
    ent_buf_put_string(&whole, ",\"logs\":[");
    ent_buf_put_text(&whole, ent_buf_text(&work->logs));
    ent_buf_put_string(&whole, "],\"findings\":[");
    ent_buf_put_text(&whole, ent_buf_text(&work->findings));
    ent_buf_put_string(&whole, "]}\n");
    ENT_TRY(ent_buf_check(&whole, err));
    ent_cli_put_answer(work->cli, ent_buf_text(&whole));
    return ent_cli_flush(work->cli, err);
}

static ent_rc audit_it(ent_cli *cli, listening *work, ent_err *err)
{
    const char *folder = NULL;
    const char *channel = ent_cli_value(cli, "--channel");
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    if (channel != NULL)
        ENT_TRY(ent_cli_check_channel(channel, err));
    ent_rc rc = audit_running(cli, work, err);
    if (rc.code == ENT_UNREACHABLE && work->end.size == 0 && work->line.size == 0)
        rc = audit_stopped(folder, channel, work, err);
    clear_bar(work);
    ENT_TRY(rc);
    if (work->end.size == 0)
        return ent_fail(err, ENT_UNREACHABLE, NULL, "the audit broke off before its end; see the node's log");
    if (cli->json)
        ENT_TRY(put_json(work, err));
    if (work->found == 0)
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_INVALID, "design 10",
                    "what is kept here is not all as it was signed: keep a copy of the folder, and bring back what is "
                    "damaged from a backup, or from those who receipted it");
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(release) listening work = {.cli = cli, .line = {.limit = LINE_MAX_BYTES}};
    work.tells = isatty(STDERR_FILENO) == 1 && !cli->json;
    return audit_it(cli, &work, err);
}

static const ent_cli_option options[] = {
    {"--channel", NULL, "CHANNEL", false, "audit this channel alone"},
    {NULL, NULL, NULL, false, NULL},
};

const ent_cli_command ent_cli_audit = {
    .words = "audit",
    .arguments = "[--channel CHANNEL]",
    .summary = "compute every root, receipt and attachment anew",
    .text =
        "Hashes every entry, body and attachment that is kept, builds each log's tree from its entries, and compares:\n"
        "tiles, signed heads, receipts and their signatures, acks, the keeper's marks. It asks the node, which goes "
        "on\n"
        "meanwhile; where none runs, it reads the folder. Exit status 1 when anything is not as it was signed.",
    .examples = "  entente audit --dir aurora\n"
                "  entente audit --channel north --json --dir aurora",
    .options = options,
    .run = run,
};
