#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "seal/card.h"

/* ---- showing a peer -------------------------------------------------------- */

static void put_member(ent_buf *out, const char *label, ent_json_value object, const char *key)
{
    ent_text text = ent_cli_text(object, key);
    if (text.size == 0)
        return;
    ent_cli_put_label(out, label);
    ent_cli_put_line(out, text);
    ent_buf_put_u8(out, '\n');
}

static void put_contact(ent_buf *out, ent_json_value contact)
{
    ent_buf_put_string(out, "\n  ");
    ent_cli_put_line(out, ent_cli_text(contact, "role"));
    ent_buf_put_string(out, " contact\n");
    put_member(out, "  Name", contact, "name");
    put_member(out, "  Position", contact, "position");
    put_member(out, "  Phone", contact, "phone");
    put_member(out, "  E-mail", contact, "email");
    put_member(out, "  Hours", contact, "hours");
    ent_json_value languages = ent_json_get(contact, "languages");
    if (ent_json_count(languages) > 0) {
        ent_cli_put_label(out, "  Languages");
        ent_cli_put_joined(out, languages, ", ");
        ent_buf_put_u8(out, '\n');
    }
}

static void put_peer(ent_cli *cli, ent_json_value peer)
{
    ent_buf *out = &cli->out;
    ent_json_value contacts = ent_json_get(peer, "contacts");
    ent_cli_put_style(out, cli->colour, ENT_CLI_BOLD);
    ent_cli_put_line(out, ent_cli_text(peer, "name"));
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(out, '\n');
    put_member(out, "Fingerprint", peer, "fingerprint");
    put_member(out, "Address", peer, "url");
    ent_cli_put_label(out, "Card");
    ent_buf_put_format(out, "number %" PRIu64 ", issued ", ent_cli_count(peer, "serial"));
    ent_cli_put_time(out, ent_cli_text(peer, "issued"));
    ent_buf_put_string(out, ", added ");
    ent_cli_put_time(out, ent_cli_text(peer, "added"));
    ent_buf_put_u8(out, '\n');
    if (ent_json_count(contacts) == 0)
        ent_buf_put_string(out, "  The card names no point of contact.\n");
    for (ent_json_iter i = ent_json_iterate(contacts); ent_json_next(&i);)
        put_contact(out, i.value);
}

/* ---- peer add ---------------------------------------------------------------- */

static const ent_cli_option add_options[] = {
    {"--fingerprint", NULL, "F", false,
     "refuse the card unless it has this fingerprint (spaces and case do not matter)"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc add(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/peers");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    const char *fingerprint = ent_cli_value(cli, "--fingerprint");
    ENT_TRY(ent_cli_read(cli->positional[0], ENT_CARD_MAX_BYTES, &card, err));
    ent_cli_request_query(&request, "fingerprint", fingerprint);
    request.body = ent_buf_bytes(&card);
    request.content_type = "text/plain";
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    put_peer(cli, answer.root);
    ENT_TRY(ent_cli_flush(cli, err));
    if (fingerprint == NULL)
        ent_cli_note(
            "the fingerprint was not compared: read it to the peer by telephone before you rely on this card;\n"
            "if it differs, `entente peer remove` the peer");
    return ENT_DONE;
}

const ent_cli_command ent_cli_peer_add = {
    .words = "peer add",
    .arguments = "CARD [--fingerprint F]",
    .summary = "add a peer by its card, or take its newer card",
    .text = "CARD is the file that the peer printed with `entente card`, or - for standard input. With --fingerprint\n"
            "the card must match what the peer read to you; without, compare it yourself before you rely on it.",
    .examples = "  entente peer add boreal.card --fingerprint \"4f1a 22c0 ...\" --dir aurora\n"
                "  entente peer add boreal.card --dir aurora",
    .options = add_options,
    .least = 1,
    .most = 1,
    .run = add,
};

/* ---- peer list ---------------------------------------------------------------- */

static ent_rc list(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/peers");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (cli->json)
        return ENT_DONE;
    ent_json_value peers = ent_json_get(answer.root, "peers");
    if (ent_json_count(peers) == 0) {
        ent_buf_put_string(&cli->out, "No peer is known yet: `entente peer add CARD` adds one.\n");
        return ENT_DONE;
    }
    ent_cli_table_column(&table, "NAME", 0, 0);
    ent_cli_table_column(&table, "FINGERPRINT", 0, 2);
    ent_cli_table_column(&table, "ADDRESS", 12, 1);
    for (ent_json_iter i = ent_json_iterate(peers); ent_json_next(&i);) {
        ent_text url = ent_cli_text(i.value, "url");
        ent_cli_table_cell(&table, ENT_CLI_BOLD, ent_cli_text(i.value, "name"));
        ent_cli_table_cell(&table, ENT_CLI_PLAIN, ent_cli_text(i.value, "fingerprint"));
        ent_cli_table_cell(&table, ENT_CLI_PLAIN, url.size > 0 ? url : ENT_TEXT("air-gapped"));
    }
    return ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err);
}

const ent_cli_command ent_cli_peer_list = {
    .words = "peer list",
    .arguments = "",
    .summary = "list the peers we know",
    .text = "Each peer with the fingerprint of its root key and its address.",
    .examples = "  entente peer list --dir aurora",
    .options = ent_cli_no_options,
    .run = list,
};

/* ---- peer show, peer remove ------------------------------------------------- */

static const ent_cli_option show_options[] = {
    {"--card", NULL, NULL, false, "print its card, as it was added, instead"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc show_card(ent_cli *cli, ent_cli_request *request, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ent_cli_request_segment(request, ENT_TEXT("card"));
    ENT_TRY(ent_cli_ask(cli, request, &card, err));
    if (!cli->json) {
        ent_buf_put(&cli->out, ent_buf_bytes(&card));
        return ENT_DONE;
    }
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "card", ent_buf_text(&card));
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

static ent_rc show(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/peers");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_check_party(cli->positional[0], err));
    ent_cli_request_segment(&request, ent_text_of(cli->positional[0]));
    if (ent_cli_has(cli, "--card"))
        return show_card(cli, &request, err);
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (!cli->json)
        put_peer(cli, answer.root);
    return ENT_DONE;
}

const ent_cli_command ent_cli_peer_show = {
    .words = "peer show",
    .arguments = "NAME [--card]",
    .summary = "show a peer: fingerprint, address, whom to call",
    .text = "Shows the peer's points of contact with telephone numbers and languages.",
    .examples = "  entente peer show boreal.example --dir aurora\n"
                "  entente peer show boreal.example --card --dir aurora > boreal.card",
    .options = show_options,
    .least = 1,
    .most = 1,
    .run = show,
};

static ent_rc remove_peer(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("DELETE", "/peers");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ent_cli_check_party(cli->positional[0], err));
    ent_cli_request_segment(&request, ent_text_of(cli->positional[0]));
    ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    if (!cli->json)
        ent_buf_put_format(&cli->out, "%s is forgotten.\n", cli->positional[0]);
    return ENT_DONE;
}

const ent_cli_command ent_cli_peer_remove = {
    .words = "peer remove",
    .arguments = "NAME",
    .summary = "forget a peer that shares no channel with us",
    .text = "A member of a channel cannot be removed: members never change, and its log is evidence.",
    .examples = "  entente peer remove boreal.example --dir aurora",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = remove_peer,
};
