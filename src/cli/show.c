#include "cli/people.h"
#include "cli/thread_view.h"
#include "cli/verbs.h"

static void put_styled(ent_cli *cli, ent_cli_style style, ent_text text)
{
    ent_cli_put_style(&cli->out, cli->colour, style);
    ent_cli_put_line(&cli->out, text);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
}

static void put_row(ent_cli *cli, const char *label, ent_text text)
{
    if (text.size == 0)
        return;
    ent_cli_put_label(&cli->out, label);
    ent_cli_put_line(&cli->out, text);
    ent_buf_put_u8(&cli->out, '\n');
}

/* What it is and how urgent, before all else. */
static void put_heading(ent_cli *cli, ent_json_value message)
{
    ent_buf *out = &cli->out;
    ent_text urgency = ent_cli_text(message, "urgency");
    ent_text title = ent_cli_text(message, "title");
    ent_text subject = ent_cli_text(message, "subject");
    if (ent_json_true(ent_json_get(message, "exercise"))) {
        put_styled(cli, ENT_CLI_YELLOW, ENT_TEXT("EXERCISE EXERCISE EXERCISE"));
        ent_buf_put_u8(out, '\n');
    }
    if (ent_json_type_of(ent_json_get(message, "recalled")) == ENT_JSON_OBJECT) {
        ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
        ent_buf_put_string(out, "RECALLED by ");
        ent_cli_put_recall(out, message);
        ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_u8(out, '\n');
    }
    if (urgency.size > 0 && !ent_text_is(urgency, "routine")) {
        put_styled(cli, ent_cli_urgency_style(urgency), ent_text_is(urgency, "flash") ? ENT_TEXT("FLASH") : urgency);
        ent_buf_put_u8(out, ' ');
    }
    put_styled(cli, ENT_CLI_BOLD, title.size > 0 ? title : ENT_TEXT("a kind unknown to this node"));
    ent_buf_put_string(out, " (");
    ent_cli_put_line(out, ent_cli_text(message, "kind"));
    ent_buf_put_string(out, ")\n");
    if (subject.size > 0) {
        put_styled(cli, ENT_CLI_BOLD, subject);
        ent_buf_put_u8(out, '\n');
    }
}

static void put_time_flag(ent_cli *cli, ent_text flag)
{
    if (ent_text_is(flag, "dated ahead"))
        put_styled(cli, ENT_CLI_RED, ENT_TEXT(", DATED AHEAD: later than its receipt by more than the channel allows"));
    else if (ent_text_is(flag, "dated back"))
        put_styled(cli, ENT_CLI_RED, ENT_TEXT(", DATED BACK: earlier than the message before it in the same log"));
    else if (flag.size > 0)
        put_styled(cli, ENT_CLI_RED, flag);
}

/* What the file key that its writer has shown tells of the body. */
static void put_revealed(ent_cli *cli, ent_json_value revealed)
{
    if (ent_json_type_of(revealed) != ENT_JSON_OBJECT)
        return;
    bool bad = ent_text_is(ent_cli_text(revealed, "shows"), "bad");
    ent_cli_put_label(&cli->out, "File key");
    put_styled(cli, bad ? ENT_CLI_RED : ENT_CLI_GREEN, bad ? ENT_TEXT("PROVEN BAD") : ENT_TEXT("well-formed"));
    ent_buf_put_string(&cli->out, bad ? ": not sealed as agreed, or not valid; it counts as not said" : "");
    ent_buf_put_string(&cli->out, ", shown by ");
    ent_cli_put_line(&cli->out, ent_cli_text(revealed, "by"));
    ent_buf_put_u8(&cli->out, '\n');
}

static void put_facts(ent_cli *cli, ent_json_value message)
{
    ent_buf *out = &cli->out;
    ent_json_value to = ent_json_get(message, "to");
    ent_text marking = ent_cli_text(message, "marking");
    put_row(cli, "Message", ent_cli_text(message, "message"));
    ent_cli_put_label(out, "Said by");
    ent_cli_put_line(out, ent_cli_text(message, "party"));
    ent_buf_put_string(out, " at ");
    ent_cli_put_time(out, ent_cli_text(message, "time"));
    ent_buf_put_string(out, " (its own clock)");
    put_time_flag(cli, ent_cli_text(message, "time_flag"));
    ent_buf_put_u8(out, '\n');
    ent_cli_put_label(out, "Held here since");
    ent_buf_put_u8(out, ' ');
    ent_cli_put_time(out, ent_cli_text(message, "arrived"));
    ent_buf_put_u8(out, '\n');
    ent_cli_put_label(out, "To");
    if (ent_json_count(to) == 0)
        ent_buf_put_string(out, "every member");
    ent_cli_put_names(out, to);
    ent_buf_put_u8(out, '\n');
    put_row(cli, "Marking", marking.size > 0 ? marking : ENT_TEXT("none given: treat as TLP:AMBER"));
    put_row(cli, "Answers to", ent_cli_text(message, "reply_to"));
    put_row(cli, "Thread of", ent_cli_text(message, "thread"));
    if (ent_json_count(ent_json_get(message, "answered_by")) > 0) {
        ent_cli_put_label(out, "Answered by");
        ent_cli_put_joined(out, ent_json_get(message, "answered_by"), ", ");
        ent_buf_put_u8(out, '\n');
    }
    if (ent_json_true(ent_json_get(message, "log_frozen"))) {
        ent_cli_put_label(out, "FORKED");
        put_styled(cli, ENT_CLI_RED, ENT_TEXT("two histories of this log were signed; it is frozen as it stands here"));
        ent_buf_put_string(out, "\n              `entente fork list` shows both, `entente fork export` writes proof\n");
    }
    if (ent_cli_text(message, "contested").size > 0) {
        ent_cli_put_label(out, "CONTESTED");
        put_styled(cli, ENT_CLI_RED, ent_cli_text(message, "contested"));
        ent_buf_put_u8(out, '\n');
        if (ent_cli_text(ent_json_get(message, "revealed"), "shows").size == 0)
            ent_buf_put_string(out,
                               "              A doubt about the body its writer can settle: `entente reveal MSG`\n");
        ent_buf_put_string(out,
                           "              What a revoked key may have signed its writer says again: `entente send`\n");
    }
    put_revealed(cli, ent_json_get(message, "revealed"));
}

/* A receipt by a key that was revoked: whoever has that key may have given it. */
static void put_receipt(ent_cli *cli, ent_json_value receipt)
{
    ent_buf *out = &cli->out;
    ent_text flag = ent_cli_text(receipt, "flag");
    bool counts = ent_json_true(ent_json_get(receipt, "counts"));
    ent_buf_put_string(out, "  ");
    put_styled(cli, counts ? ENT_CLI_GREEN : ENT_CLI_RED, ent_cli_text(receipt, "by"));
    ent_buf_put_string(out, counts ? " signed at " : ": a key that it had revoked signed at ");
    ent_cli_put_time(out, ent_cli_text(receipt, "time"));
    ent_buf_put_string(out, " that it durably holds this message (");
    ent_cli_put_first_entries(out, ent_cli_count(receipt, "size"));
    ent_buf_put_string(out, " of the log)");
    if (flag.size > 0) {
        ent_buf_put_string(out, "; ");
        put_styled(cli, ENT_CLI_RED, flag);
    }
    if (!counts)
        put_styled(cli, ENT_CLI_RED,
                   ENT_TEXT("; it came after the revocation: it counts for nothing and starts no clock"));
    else if (ent_json_true(ent_json_get(receipt, "revoked")))
        put_styled(cli, ENT_CLI_YELLOW, ENT_TEXT("; that key was revoked since: it counts here, for it came before"));
    ent_buf_put_u8(out, '\n');
}

static void put_receipts(ent_cli *cli, ent_json_value message)
{
    ent_buf *out = &cli->out;
    ent_json_value receipts = ent_json_get(message, "receipts");
    size_t counting = 0;
    for (ent_json_iter i = ent_json_iterate(receipts); ent_json_next(&i);)
        counting += ent_json_true(ent_json_get(i.value, "counts")) ? 1 : 0;
    ent_buf_put_string(out, "\nReceipts\n");
    if (ent_text_is(ent_cli_text(message, "state"), "held")) {
        ent_buf_put_string(out, "  ");
        put_styled(cli, ENT_CLI_RED, ENT_TEXT("HELD"));
        ent_buf_put_string(out,
                           ": logged here and durable, but not signed and not sent; `entente status` tells why.\n");
    } else if (counting == 0)
        ent_buf_put_string(
            out, "  None yet: nobody else has signed for it. The node goes on trying; `entente status` tells why.\n");
    for (ent_json_iter i = ent_json_iterate(receipts); ent_json_next(&i);)
        put_receipt(cli, i.value);
}

/* "12.3 MB of 2.1 GB (0%)": never 100% before it is whole. */
static void put_part(ent_buf *out, uint64_t bytes, uint64_t total)
{
    ent_cli_put_bytes(out, bytes);
    ent_buf_put_string(out, " of ");
    ent_cli_put_bytes(out, total);
    ent_buf_put_format(out, " (%u%%)", total == 0 ? 0 : (unsigned)((double)bytes * 100.0 / (double)total));
}

static void put_on_its_way(ent_buf *out, ent_json_value file)
{
    ent_json_value rows = ent_json_get(file, "on_its_way");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        uint64_t bytes = ent_cli_count(i.value, "bytes");
        uint64_t total = ent_cli_count(file, "size");
        ent_buf_put_string(out, "\n     ");
        if (bytes < total)
            put_part(out, bytes, total);
        else
            ent_buf_put_string(out, "all of it");
        ent_buf_put_string(out, " has reached ");
        ent_cli_put_line(out, ent_cli_text(i.value, "to"));
    }
}

static void put_attachment(ent_cli *cli, ent_json_value file, uint64_t number)
{
    ent_buf *out = &cli->out;
    uint64_t here = ent_cli_count(file, "bytes_here");
    ent_text name = ent_cli_text(file, "name");
    ent_json_value held_by = ent_json_get(file, "held_by");
    ent_buf_put_format(out, "  %" PRIu64 "  ", number);
    ent_cli_put_line(out, name.size > 0 ? name : ENT_TEXT("(no name)"));
    ent_buf_put_string(out, ", ");
    ent_cli_put_line(out, ent_cli_text(file, "type"));
    ent_buf_put_string(out, ", ");
    ent_cli_put_bytes(out, ent_cli_count(file, "size"));
    ent_buf_put_string(out, " sealed\n     ");
    if (ent_text_is(ent_cli_text(file, "state"), "held"))
        ent_buf_put_string(out, "held here");
    else
        put_styled(cli, ENT_CLI_YELLOW, here > 0 ? ENT_TEXT("on its way, ") : ENT_TEXT("not here yet"));
    if (here > 0 && here < ent_cli_count(file, "size"))
        put_part(out, here, ent_cli_count(file, "size"));
    if (ent_json_count(held_by) > 0) {
        ent_buf_put_string(out, "; acknowledged as held by ");
        ent_cli_put_names(out, held_by);
    } else {
        ent_buf_put_string(out, "; no other member has acknowledged it yet");
    }
    put_on_its_way(out, file);
    ent_buf_put_string(out, "\n     sealed digest ");
    ent_cli_put_line(out, ent_cli_text(file, "digest"));
    ent_buf_put_u8(out, '\n');
}

static void put_passed_over(ent_cli *cli, ent_text why)
{
    if (why.size == 0)
        return;
    ent_buf_put_string(&cli->out, ": ");
    put_styled(cli, ENT_CLI_RED,
               ent_text_is(why, "replaced-key")
                   ? ENT_TEXT("as signed by a revoked or replaced key, beyond its cutoff; that counts for nothing")
                   : ENT_TEXT("another history than this node holds, for that log forked; that counts for nothing"));
}

static void put_evidence(ent_cli *cli, ent_json_value message)
{
    ent_buf *out = &cli->out;
    ent_json_value acks = ent_json_get(message, "acks");
    ent_buf_put_string(out, "\nEvidence\n");
    put_row(cli, "Leaf hash", ent_cli_text(message, "leaf"));
    put_row(cli, "Agreement", ent_cli_text(message, "agreement"));
    for (ent_json_iter i = ent_json_iterate(acks); ent_json_next(&i);) {
        ent_text origin = ent_cli_text(i.value, "origin");
        const char *slash = memchr(origin.size > 0 ? origin.data : "", '/', origin.size);
        ent_cli_put_label(out, "By then");
        ent_cli_put_line(out, ent_cli_text(message, "party"));
        ent_buf_put_string(out, " had receipted ");
        ent_cli_put_first_entries(out, ent_cli_count(i.value, "size"));
        ent_buf_put_string(out, " of ");
        ent_cli_put_line(out, slash == NULL ? origin : (ent_text){origin.data, (size_t)(slash - origin.data)});
        ent_buf_put_string(out, "'s log");
        put_passed_over(cli, ent_cli_text(i.value, "passed_over"));
        ent_buf_put_u8(out, '\n');
    }
    put_row(cli, "Entry", ent_cli_text(message, "entry"));
}

static void put_message(ent_cli *cli, ent_json_value message)
{
    ent_json_value files = ent_json_get(message, "attachment_list");
    uint64_t number = 0;
    put_heading(cli, message);
    put_facts(cli, message);
    put_receipts(cli, message);
    if (ent_json_count(files) > 0)
        ent_buf_put_string(&cli->out, "\nAttachments\n");
    for (ent_json_iter i = ent_json_iterate(files); ent_json_next(&i); number++)
        put_attachment(cli, i.value, number);
    put_evidence(cli, message);
}

/* The message's object with its thread as one more member. */
static ent_rc put_json(ent_cli *cli, const ent_cli_answer *message, const ent_buf *thread, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(message->root); ent_json_next(&i);) {
        ent_json_key_text(&writer, i.key);
        ent_json_put_copy(&writer, i.value);
    }
    ent_json_key(&writer, "in_thread");
    if (thread->size > 0)
        ent_json_put_raw(&writer, ent_buf_text(thread));
    else
        ent_json_put_null(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

/* Evidence comes first: that the thread cannot be told is no reason to keep it back. */
static ent_rc ask_thread(const ent_cli *cli, const char *message, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/threads");
    ent_err reason = {0};
    ent_cli_request_message(&request, message);
    ent_rc rc = ent_cli_ask(cli, &request, ret, &reason);
    if (rc.code == ENT_OK || rc.code == ENT_ABSENT)
        return ENT_DONE;
    if (ent_code_class(rc.code) == ENT_CLASS_NOMEM) {
        if (err != NULL)
            *err = reason;
        return rc;
    }
    ent_cli_note("its thread cannot be told: %s", reason.text);
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *name = cli->positional[0];
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/messages");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf thread = {0};
    ENT_TRY(ent_cli_check_message(name, err));
    ent_cli_request_message(&request, name);
    ENT_TRY(ent_cli_ask_parsed(cli, &request, &answer, err));
    ENT_TRY(ask_thread(cli, name, &thread, err));
    if (cli->json)
        return put_json(cli, &answer, &thread, err);
    put_message(cli, answer.root);
    if (thread.size > 0)
        ENT_TRY(ent_cli_put_thread(cli, answer.root, &thread, err));
    ent_buf_put_format(
        &cli->out, "\nRead it with `entente open %s`; keep proof of it with `entente prove %s -o NAME`.\n", name, name);
    return ENT_DONE;
}

const ent_cli_command ent_cli_show = {
    .words = "show",
    .arguments = "MSG",
    .summary = "show all evidence of one message, and how its thread stands",
    .text =
        "Who said what kind of thing and when, who has receipted it and at what time, whether it is contested or\n"
        "recalled, who holds its attachments; then its thread: how it stands with each who was addressed, what is\n"
        "owed, what may be said next, which messages it does not allow and why, and the custody log of evidence. The\n"
        "body itself stays sealed: `entente open` opens it.",
    .examples = "  entente show north/aurora.example/3 --dir aurora\n"
                "  entente show north/aurora.example/3 --json --dir aurora",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = run,
};
