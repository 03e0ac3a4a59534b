#include "base/cursor.h"
#include "cli/api.h"
#include "cli/files.h"
#include "cli/terminal.h"
#include "cli/terms.h"
#include "cli/verbs.h"
#include "message/genesis.h"

enum { TERMS_MAX_BYTES = 4 << 20 };

static const ent_cli_option options[] = {
    {"--with", NULL, "NAME", true, "a member beside us; more may follow as arguments"},
    {"--terms", NULL, "FILE", false, "the terms all members agree to; they are sealed, byte for byte"},
    {"--policy", NULL, "FILE", false,
     "witnesses: lines of a tlog-policy without log lines\n(blank lines and comments are left out)"},
    {"--alias", NULL, "A", false, "a short name of our own for the channel"},
    {"--quota-entries", NULL, "N", false, "messages that each member may say a day (default: any number)"},
    {"--quota-bytes", NULL, "SIZE", false,
     "bytes that each may say a day, sealed, without attachments; K, M, G, T\nmay follow"},
    {"--quota-attachments", NULL, "SIZE", false, "bytes of attachments of each that the others hold, sealed"},
    {"--succeeds", NULL, "ID", false,
     "a channel that this one follows: what is open there is carried over.\nWithout --with its members are meant"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc put_members(const ent_cli *cli, ent_json_writer *writer, ent_err *err)
{
    size_t count = 0;
    ent_json_key(writer, "with");
    ent_json_array_begin(writer);
    for (size_t i = 0; ent_cli_value_at(cli, "--with", i) != NULL; i++, count++) {
        ENT_TRY(ent_cli_check_party(ent_cli_value_at(cli, "--with", i), err));
        ent_json_put_string(writer, ent_cli_value_at(cli, "--with", i));
    }
    if (count == 0 && ent_cli_value(cli, "--succeeds") == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "who is it with? Name each other member: --with NAME; `entente peer list` shows them");
    for (size_t i = 0; i < cli->positional_count; i++) {
        ENT_TRY(ent_cli_check_party(cli->positional[i], err));
        ent_json_put_string(writer, cli->positional[i]);
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

static ent_rc put_policy(const char *path, ent_json_writer *writer, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf policy = {0};
    ent_json_key(writer, "policy");
    if (path == NULL) {
        ent_json_put_null(writer);
        return ENT_DONE;
    }
    ENT_TRY(ent_cli_read(path, ENT_GENESIS_MAX_BYTES, &policy, err));
    ent_text left = ent_buf_text(&policy);
    ent_json_array_begin(writer);
    while (left.size > 0) {
        const char *newline = memchr(left.data, '\n', left.size);
        ent_text line = {left.data, newline == NULL ? left.size : (size_t)(newline - left.data)};
        size_t taken = line.size + (newline != NULL);
        if (line.size > 0 && line.data[0] != '#')
            ent_json_put_text(writer, line);
        left.data += taken;
        left.size -= taken;
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

/* "10", "500M", "2G": bytes, in powers of 1000, as they are shown. */
static ent_rc read_size(const ent_cli *cli, const char *name, uint64_t *ret, ent_err *err)
{
    static const char units[] = "KMGT";
    const char *value = ent_cli_value(cli, name);
    uint64_t factor = 1;
    if (value == NULL)
        return ENT_DONE;
    ent_text digits = ent_text_of(value);
    const char *unit = digits.size == 0 ? NULL : memchr(units, digits.data[digits.size - 1], sizeof units - 1);
    if (unit != NULL) {
        for (const char *at = units; at <= unit; at++)
            factor *= 1000;
        digits.size--;
    }
    if (!ent_decimal_parse(digits, ENT_QUOTA_MAX / factor, ret))
        return ent_fail(err, ENT_USAGE, NULL,
                        "%s takes a number of bytes below 2^53, with K, M, G or T behind it if you like, not \"%s\"",
                        name, value);
    *ret *= factor;
    return ENT_DONE;
}

static ent_rc put_quotas(const ent_cli *cli, ent_json_writer *writer, ent_err *err)
{
    ent_quotas quotas = {0};
    ENT_TRY(ent_cli_number(cli, "--quota-entries", ENT_QUOTA_MAX, 0, &quotas.entries_a_day, err));
    ENT_TRY(read_size(cli, "--quota-bytes", &quotas.bytes_a_day, err));
    ENT_TRY(read_size(cli, "--quota-attachments", &quotas.attachment_bytes, err));
    ent_json_key(writer, "quotas");
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "entries_a_day", quotas.entries_a_day);
    ent_json_member_unsigned(writer, "bytes_a_day", quotas.bytes_a_day);
    ent_json_member_unsigned(writer, "attachment_bytes", quotas.attachment_bytes);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static void note_carried(ent_json_value channel)
{
    uint64_t carried = ent_json_count(ent_json_get(channel, "carried"));
    uint64_t left_out = ent_cli_count(channel, "left_out");
    if (ent_cli_text(channel, "succeeds").size == 0)
        return;
    ent_cli_note("%llu open %s carried over; once it is open, what was asked is said again by itself",
                 (unsigned long long)carried, carried == 1 ? "duty is" : "duties are");
    if (left_out > 0)
        ent_cli_note("%llu open %s not: what brought %s about cannot be said again by itself, or not to these members. "
                     "Say it here if it is to stand",
                     (unsigned long long)left_out, left_out == 1 ? "duty is" : "duties are",
                     left_out == 1 ? "it" : "them");
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf terms = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf body = {0};
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/channels");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf problem = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ENT_TRY(put_members(cli, &writer, err));
    if (ent_cli_value(cli, "--terms") == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "under which terms? Give them with --terms FILE");
    ENT_TRY(ent_cli_read(ent_cli_value(cli, "--terms"), TERMS_MAX_BYTES, &terms, err));
    ent_json_key(&writer, "terms");
    ent_json_put_base64(&writer, ent_buf_bytes(&terms));
    ENT_TRY(put_policy(ent_cli_value(cli, "--policy"), &writer, err));
    ENT_TRY(put_quotas(cli, &writer, err));
    ent_json_member_string(&writer, "alias", ent_cli_value(cli, "--alias"));
    if (ent_cli_value(cli, "--succeeds") != NULL) {
        ENT_TRY(ent_cli_check_channel(ent_cli_value(cli, "--succeeds"), err));
        ent_json_member_string(&writer, "succeeds", ent_cli_value(cli, "--succeeds"));
    }
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    request.body = ent_buf_bytes(&body);
    request.content_type = "application/json";
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_text id = ent_cli_text(answer.root, "id");
    id = id.size > 0 ? id : ENT_TEXT("ID");
    int shown = id.size < 12 ? (int)id.size : 12;
    ent_cli_put_line(&cli->out, id);
    ent_buf_put_u8(&cli->out, '\n');
    ENT_TRY(ent_cli_flush(cli, err));
    ent_cli_note("the invitation is on its way; the channel opens when every member has run\n"
                 "`entente channel accept %.*s`; `entente channel show %.*s` tells how far it is",
                 shown, id.data, shown, id.data);
    note_carried(answer.root);
    ent_cli_warn_of_rivals(answer.root);
    ENT_TRY(ent_cli_put_terms_problem(&problem, ent_buf_bytes(&terms), ent_json_get(answer.root, "members"), err));
    if (problem.size > 0 && ent_buf_string(&problem) != NULL)
        ent_cli_note("beware: %s; `entente agreement check FILE` tells before a channel is opened",
                     (const char *)problem.data);
    return ENT_DONE;
}

const ent_cli_command ent_cli_channel_open = {
    .words = "channel open",
    .arguments = "--with NAME... --terms FILE [--policy FILE] [--alias A] [--quota-… N] [--succeeds ID]",
    .summary = "open a channel with peers; prints its id",
    .text =
        "Invites the named peers, whose cards must have been added. The channel is open when all have accepted.\n"
        "Its members never change: joining or leaving is a new channel that follows this one. Its terms change only\n"
        "by an amendment that every member accepts: `entente agreement propose`.\n"
        "Quotas never change either. They keep a member from filling the others' disks: what is beyond them is not\n"
        "taken before the next day (UTC); what a member leaves of a day it may use later, up to 30 days' worth. An\n"
        "attachment beyond its quota is never taken. Without a quota there is no limit.\n"
        "With --succeeds it follows a channel whose log forked, or that is to have other members. It names the\n"
        "last heads there that all are known to hold alike. The requests, incidents and proposals open at these heads\n"
        "are carried over, with their clocks, if no member is new; who accepts compares them with his own side.",
    .examples = "  entente channel open --with boreal.example --terms terms.json --alias north --dir aurora",
    .options = options,
    .most = 31,
    .run = run,
};
