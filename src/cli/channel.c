#include "cli/ledger_view.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/terms.h"
#include "cli/verbs.h"

#include "base/clock.h"

/* ---- showing a channel ---------------------------------------------------- */

static const char *state_words(ent_text state)
{
    if (ent_text_is(state, "invited"))
        return "we are invited: `entente channel accept` or `refuse`";
    if (ent_text_is(state, "opening"))
        return "waiting until every member has accepted";
    if (ent_text_is(state, "open"))
        return "open";
    if (ent_text_is(state, "refused"))
        return "refused";
    return NULL;
}

static ent_cli_style state_style(ent_text state)
{
    if (ent_text_is(state, "open"))
        return ENT_CLI_GREEN;
    return ent_text_is(state, "invited") ? ENT_CLI_YELLOW : ENT_CLI_PLAIN;
}

/* "3 of 5 messages", where there is a quota; true when it wrote something. */
static bool put_used(ent_buf *out, const char *before, uint64_t used, ent_json_value quota, bool bytes)
{
    uint64_t most = 0;
    if (!ent_json_unsigned(quota, UINT64_MAX, &most))
        return false;
    ent_buf_put_string(out, before);
    if (bytes) {
        ent_cli_put_bytes(out, used);
        ent_buf_put_string(out, " of ");
        ent_cli_put_bytes(out, most);
    } else {
        ent_buf_put_format(out, "%" PRIu64 " of %" PRIu64 " messages", used, most);
    }
    return true;
}

static void put_usage(ent_buf *out, ent_json_value member, ent_json_value quotas)
{
    ent_json_value used = ent_json_get(member, "used");
    const char *before = "    quota: today ";
    if (put_used(out, before, ent_cli_count(used, "entries_today"), ent_json_get(quotas, "entries_a_day"), false))
        before = ", ";
    if (put_used(out, before, ent_cli_count(used, "bytes_today"), ent_json_get(quotas, "bytes_a_day"), true))
        before = ", ";
    before = strcmp(before, ", ") == 0 ? "; attachments " : "    quota: attachments ";
    (void)put_used(out, before, ent_cli_count(used, "attachment_bytes"), ent_json_get(quotas, "attachment_bytes"),
                   true);
    uint64_t most = 0;
    for (ent_json_iter i = ent_json_iterate(quotas); ent_json_next(&i);) {
        if (ent_json_unsigned(i.value, UINT64_MAX, &most)) {
            ent_buf_put_u8(out, '\n');
            break;
        }
    }
}

/* How far the other members have receipted this one's log; what we have is told before. */
static void put_receipted_by(ent_cli *cli, ent_json_value member, ent_text self)
{
    uint64_t size = ent_cli_count(member, "size");
    const char *before = "    receipted by ";
    for (ent_json_iter i = ent_json_iterate(ent_json_get(member, "receipted_by")); ent_json_next(&i);) {
        uint64_t receipted = ent_cli_count(i.value, "size");
        if (ent_text_equal(ent_cli_text(i.value, "by"), self))
            continue;
        ent_buf_put_string(&cli->out, before);
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "by"));
        if (receipted >= size)
            ent_buf_put_string(&cli->out, " (all)");
        else
            ent_buf_put_format(&cli->out, " (%" PRIu64 ", lacks %" PRIu64 ")", receipted, size - receipted);
        before = ", ";
    }
    if (strcmp(before, ", ") == 0)
        ent_buf_put_u8(&cli->out, '\n');
}

/* @in   we   our own row among the members */
static void put_member(ent_cli *cli, ent_json_value member, ent_json_value we, ent_json_value quotas)
{
    ent_buf *out = &cli->out;
    bool self = ent_json_true(ent_json_get(member, "self"));
    uint64_t our_size = ent_cli_count(we, "size");
    uint64_t size = ent_cli_count(member, "size");
    ent_buf_put_string(out, "\n  ");
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_cli_text(member, "name"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(out, self ? " (we)\n" : "\n");
    ent_buf_put_format(out, "    has said %" PRIu64 " thing%s in its log", size, size == 1 ? "" : "s");
    if (!self)
        ent_buf_put_format(
            out, "; we have receipted %" PRIu64 " of them\n    has receipted %" PRIu64 " of our %" PRIu64,
            ent_cli_count(member, "receipted_by_us"), ent_cli_count(member, "receipted_by_them"), our_size);
    ent_buf_put_u8(out, '\n');
    if (ent_json_count(ent_json_get(member, "receipted_by")) > 1)
        put_receipted_by(cli, member, ent_cli_text(we, "name"));
    put_usage(out, member, quotas);
    if (ent_json_true(ent_json_get(member, "frozen"))) {
        ent_cli_put_style(out, cli->colour, ENT_CLI_RED);
        ent_buf_put_string(
            out,
            self ? "    FROZEN: our key signed two different histories; nothing more can be said here. Open a channel\n"
                   "    that succeeds this one (entente channel open --succeeds); the proof: entente fork list\n"
                 : "    FROZEN: this member signed two different histories; what it owes stays owed; the proof:\n"
                   "    entente fork list\n");
        ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    }
}

static void put_terms(ent_cli *cli, ent_json_value channel)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf bytes = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf problem = {0};
    ent_json_value terms = ent_json_get(channel, "terms");
    ent_buf_put_string(&cli->out, "\n  Terms (commitment ");
    ent_cli_put_line(&cli->out, ent_cli_text(channel, "terms_commitment"));
    if (ent_json_type_of(terms) <= ENT_JSON_NULL) {
        ent_buf_put_string(&cli->out, "): not opened yet\n");
        return;
    }
    ent_buf_put_string(&cli->out, "):");
    ent_cli_put_nested(&cli->out, terms, 2);
    ent_json_put_value(&bytes, terms);
    ent_rc rc = ent_buf_check(&bytes, NULL);
    if (rc.code == ENT_OK)
        rc = ent_cli_put_terms_problem(&problem, ent_buf_bytes(&bytes), ent_json_get(channel, "members"), NULL);
    if (rc.code != ENT_OK)
        cli->out.failed = rc.code;
    if (problem.size > 0) {
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
        ent_buf_put_string(&cli->out, "\n  Beware: ");
        ent_buf_put_text(&cli->out, ent_buf_text(&problem));
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_u8(&cli->out, '\n');
    }
}

/* How the agreement stands, and who has suspended the channel; nothing before the channel is open. */
static void put_standing(ent_cli *cli, ent_json_value ledger)
{
    int64_t now = 0;
    if (ent_json_type_of(ledger) != ENT_JSON_OBJECT)
        return;
    if (!ent_time_parse(ent_cli_text(ledger, "at"), &now))
        now = ent_clock_unix_s();
    ent_cli_put_label(&cli->out, "Agreement");
    ent_cli_put_agreement_state(cli, ent_json_get(ledger, "agreement"), now);
    ent_buf_put_u8(&cli->out, '\n');
    ent_cli_put_suspended(cli, ledger, 2);
}

static void put_amended(ent_cli *cli, ent_json_value channel, ent_json_value ledger)
{
    ent_text in_force = ent_cli_text(ent_json_get(ledger, "agreement"), "commitment");
    if (in_force.size == 0 || ent_text_equal(in_force, ent_cli_text(channel, "terms_commitment")))
        return;
    ent_buf_put_string(&cli->out, "\n  Other terms are in force since (commitment ");
    ent_cli_put_line(&cli->out, in_force);
    ent_buf_put_string(&cli->out, "): `entente agreement show` shows them\n");
}

static void put_carried_row(ent_cli *cli, ent_json_value row)
{
    ent_buf *out = &cli->out;
    ent_buf_put_string(out, "    ");
    ent_cli_put_line(out, ent_cli_text(row, "debtor"));
    ent_buf_put_string(out, " owes the ");
    ent_cli_put_line(out, ent_cli_text(row, "duty"));
    ent_buf_put_string(out, " to ");
    ent_cli_put_line(out, ent_cli_text(row, "message"));
    if (ent_cli_text(row, "due").size > 0) {
        ent_buf_put_string(out, ", due ");
        ent_cli_put_time(out, ent_cli_text(row, "due"));
    } else if (ent_cli_text(row, "started").size == 0) {
        ent_buf_put_string(out, ", by a new clock");
    }
    ent_buf_put_u8(out, '\n');
}

/* The channel before and the one after, and what was open in the one before. */
static void put_succession(ent_cli *cli, ent_json_value channel)
{
    ent_json_value carried = ent_json_get(channel, "carried");
    if (ent_cli_text(channel, "succeeds").size > 0) {
        ent_cli_put_label(&cli->out, "Succeeds");
        ent_cli_put_line(&cli->out, ent_cli_text(channel, "succeeds"));
        ent_buf_put_u8(&cli->out, '\n');
        ent_buf_put_string(&cli->out, ent_json_count(carried) > 0 ? "  Carried over from there:\n" : "");
        for (ent_json_iter i = ent_json_iterate(carried); ent_json_next(&i);)
            put_carried_row(cli, i.value);
    }
    if (ent_cli_text(channel, "succeeded_by").size > 0) {
        ent_cli_put_label(&cli->out, "Succeeded by");
        ent_cli_put_line(&cli->out, ent_cli_text(channel, "succeeded_by"));
        ent_buf_put_u8(&cli->out, '\n');
    }
}

void ent_cli_warn_of_rivals(ent_json_value channel)
{
    ent_json_value rivals = ent_json_get(channel, "also_succeeding");
    for (ent_json_iter i = ent_json_iterate(rivals); ent_json_next(&i);) {
        bool invited = ent_text_is(ent_cli_text(i.value, "state"), "invited");
        ent_text label = ent_cli_channel_label(i.value);
        ent_cli_note(
            "beware: %.*s succeeds the same channel (%s). What was open there is carried over to each, and owed in "
            "both: agree with the other members on one, and let the others be refused, or unused",
            ENT_TEXT_ARG(label), invited ? "we are invited to it" : "it is ours too");
    }
}

/* @in   ledger   ABSENT when it was not asked for */
static void put_channel(ent_cli *cli, ent_json_value channel, ent_json_value ledger)
{
    ent_buf *out = &cli->out;
    ent_json_value members = ent_json_get(channel, "members");
    ent_text state = ent_cli_text(channel, "state");
    ent_json_value we = {0};
    ent_buf_put_string(out, "Channel ");
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_cli_channel_label(channel));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(out, '\n');
    ent_cli_put_label(out, "Id");
    ent_cli_put_line(out, ent_cli_text(channel, "id"));
    ent_buf_put_u8(out, '\n');
    ent_cli_put_label(out, "State");
    ent_cli_put_style(out, cli->colour, state_style(state));
    ent_cli_put_line(out, state_words(state) == NULL ? state : ent_text_of(state_words(state)));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(out, '\n');
    ent_cli_put_label(out, "Since");
    ent_cli_put_time(out, ent_cli_text(channel, "added"));
    ent_buf_put_u8(out, '\n');
    put_standing(cli, ledger);
    put_succession(cli, channel);
    if (ent_cli_text(channel, "neutral").size > 0) {
        ent_cli_put_label(out, "Neutral");
        ent_cli_put_line(out, ent_cli_text(channel, "neutral"));
        ent_buf_put_u8(out, '\n');
    }
    for (ent_json_iter i = ent_json_iterate(members); ent_json_next(&i);)
        we = ent_json_true(ent_json_get(i.value, "self")) ? i.value : we;
    for (ent_json_iter i = ent_json_iterate(members); ent_json_next(&i);)
        put_member(cli, i.value, we, ent_json_get(channel, "quotas"));
    put_terms(cli, channel);
    put_amended(cli, channel, ledger);
}

/* The ledger of an open channel. What the channel is, is shown also when that cannot be told. */
static ent_rc ask_ledger(const ent_cli *cli, ent_json_value channel, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/ledger");
    ENT_CLEANUP(ent_free_pointer) char *id = ent_text_copy(ent_cli_text(channel, "id"));
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_err reason = {0};
    if (id == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (!ent_text_is(ent_cli_text(channel, "state"), "open"))
        return ENT_DONE;
    ent_cli_request_query(&request, "channel", id);
    ent_rc rc = ent_cli_ask(cli, &request, &json, &reason);
    if (rc.code == ENT_OK)
        rc = ent_cli_answer_of(ent_buf_text(&json), ENT_CLI_LEDGER_ROWS, ret, &reason);
    if (rc.code != ENT_OK)
        ent_cli_note("how its agreement stands cannot be told: %s", reason.text);
    return ENT_DONE;
}

/* ---- channel list ------------------------------------------------------------ */

static void put_row(ent_cli_table *table, ent_json_value channel)
{
    ENT_CLEANUP(ent_buf_release) ent_buf members = {0};
    ent_text state = ent_cli_text(channel, "state");
    for (ent_json_iter i = ent_json_iterate(ent_json_get(channel, "members")); ent_json_next(&i);) {
        if (ent_json_true(ent_json_get(i.value, "self")))
            continue;
        ent_buf_put_string(&members, members.size == 0 ? "" : ", ");
        ent_buf_put_text(&members, ent_cli_text(i.value, "name"));
    }
    ent_text id = ent_cli_text(channel, "id");
    ent_cli_table_cell(table, ENT_CLI_BOLD, ent_cli_channel_label(channel));
    ent_cli_table_cell(table, ENT_CLI_PLAIN, id.size > 12 ? (ent_text){id.data, 12} : id);
    ent_cli_table_cell(table, state_style(state), state);
    ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&members));
}

static ent_rc list(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/channels");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_json_value channels = ent_json_get(answer.root, "channels");
    if (ent_json_count(channels) == 0) {
        ent_buf_put_string(&cli->out,
                           "There is no channel yet: `entente channel open --with NAME --terms FILE` opens one.\n");
        return ENT_DONE;
    }
    ent_cli_table_column(&table, "CHANNEL", 0, 0);
    ent_cli_table_column(&table, "ID", 0, 1);
    ent_cli_table_column(&table, "STATE", 0, 0);
    ent_cli_table_column(&table, "WITH", 16, 0);
    for (ent_json_iter i = ent_json_iterate(channels); ent_json_next(&i);)
        put_row(&table, i.value);
    return ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err);
}

const ent_cli_command ent_cli_channel_list = {
    .words = "channel list",
    .arguments = "",
    .summary = "list our channels and invitations",
    .text = "Each channel with its state: invited (we are asked to accept), opening (others have not accepted yet),\n"
            "open, refused.",
    .examples = "  entente channel list --dir aurora",
    .options = ent_cli_no_options,
    .run = list,
};

/* ---- channel show, accept, refuse ----------------------------------------------- */

/* Ask about the channel of the first argument, below it for an act ("accept"), and show what it has become. */
static ent_rc act(ent_cli *cli, const char *method, const char *word, ent_bytes body, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of(method, "/channels");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_check_channel(cli->positional[0], err));
    ent_cli_request_segment(&request, ent_text_of(cli->positional[0]));
    if (word != NULL)
        ent_cli_request_segment(&request, ent_text_of(word));
    request.body = body;
    request.content_type = body.size > 0 ? "application/json" : NULL;
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer ledger = {0};
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    if (strcmp(method, "GET") == 0)
        ENT_TRY(ask_ledger(cli, answer.root, &ledger, err));
    put_channel(cli, answer.root, ledger.root);
    ENT_TRY(ent_cli_flush(cli, err));
    ent_cli_warn_of_rivals(answer.root);
    return ENT_DONE;
}

static ent_rc show(ent_cli *cli, ent_err *err)
{
    return act(cli, "GET", NULL, (ent_bytes){NULL, 0}, err);
}

const ent_cli_command ent_cli_channel_show = {
    .words = "channel show",
    .arguments = "CHANNEL",
    .summary = "show a channel: members, receipts, terms",
    .text =
        "Shows who the members are, how much each has said, and how much of it each other side has receipted; until\n"
        "when the agreement holds, and who has suspended the channel.",
    .examples = "  entente channel show north --dir aurora",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = show,
};

static const ent_cli_option accept_options[] = {
    {"--alias", NULL, "A", false, "a short name of our own for the channel"},
    {"--unchecked", NULL, NULL, false, "also when what it carries over cannot be checked here"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc accept_channel(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "alias", ent_cli_value(cli, "--alias"));
    if (ent_cli_has(cli, "--unchecked"))
        ent_json_member_bool(&writer, "unchecked", true);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    return act(cli, "POST", "accept", ent_buf_bytes(&body), err);
}

const ent_cli_command ent_cli_channel_accept = {
    .words = "channel accept",
    .arguments = "CHANNEL [--alias A] [--unchecked]",
    .summary = "accept an invitation and its terms",
    .text = "Logs our acceptance of the channel's members and terms, which `entente channel show` shows. It cannot\n"
            "be taken back. Of a channel that succeeds another, the duties it carries over are compared with those\n"
            "open here first; where that channel is not here any more, --unchecked accepts what is listed.",
    .examples = "  entente channel accept 5d1f09ab --alias south --dir boreal",
    .options = accept_options,
    .least = 1,
    .most = 1,
    .run = accept_channel,
};

static ent_rc refuse(ent_cli *cli, ent_err *err)
{
    return act(cli, "POST", "refuse", (ent_bytes){NULL, 0}, err);
}

const ent_cli_command ent_cli_channel_refuse = {
    .words = "channel refuse",
    .arguments = "CHANNEL",
    .summary = "refuse an invitation",
    .text = "Nothing is logged, and nothing more is taken for this channel.",
    .examples = "  entente channel refuse 5d1f09ab --dir boreal",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = refuse,
};
