#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/verbs.h"

/* Ask the node for a pouch and write it.
 *  @out  ret_size   bytes written */
static ent_rc fetch(const ent_cli *cli, const char *channel, const char *to, const char *path, uint64_t *ret_size,
                    ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/pouches");
    ENT_CLEANUP(ent_buf_release) ent_buf pouch = {0};
    ent_cli_request_query(&request, "channel", channel);
    ent_cli_request_query(&request, "to", to);
    ENT_TRY(ent_cli_ask(cli, &request, &pouch, err));
    ENT_TRY(ent_cli_write(path, 0644, ent_buf_bytes(&pouch), err));
    *ret_size = pouch.size;
    return ENT_DONE;
}

/* ---- pouch export ---------------------------------------------------------- */

static const ent_cli_option export_options[] = {
    {"--channel", NULL, "CHANNEL", false, "whose log and evidence"},
    {"--to", NULL, "PARTY", false, "for which member: what it already receipted is left out"},
    {"--output", "-o", "FILE", false, "where to, or - for standard output"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc export_pouch(ent_cli *cli, ent_err *err)
{
    const char *channel = ent_cli_value(cli, "--channel");
    const char *to = ent_cli_value(cli, "--to");
    const char *path = ent_cli_value(cli, "--output");
    uint64_t size = 0;
    if (channel == NULL || to == NULL || path == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "%s is missing: entente pouch export %s",
                        channel == NULL ? "--channel"
                        : to == NULL    ? "--to"
                                        : "-o",
                        ent_cli_pouch_export.arguments);
    ENT_TRY(ent_cli_check_channel(channel, err));
    ENT_TRY(ent_cli_check_party(to, err));
    ENT_TRY(fetch(cli, channel, to, path, &size, err));
    if (strcmp(path, "-") == 0)
        return ENT_DONE;
    if (!cli->json) {
        ent_buf_put_format(&cli->out, "%s: a pouch for %s, ", path, to);
        ent_cli_put_bytes(&cli->out, size);
        ent_buf_put_format(&cli->out, ". There: `entente pouch import %s --reply FILE`\n", ent_cli_base_name(path));
        return ENT_DONE;
    }
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", path);
    ent_json_member_unsigned(&writer, "bytes", size);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

const ent_cli_command ent_cli_pouch_export = {
    .words = "pouch export",
    .arguments = "--channel CHANNEL --to PARTY -o FILE",
    .summary = "pack what a peer lacks into a file, to go by hand",
    .text = "The pouch holds the same bytes that would go over the network: signed heads, entries, sealed bodies and\n"
            "receipts. It can be carried openly; `tar tf` lists it. Taking one in twice does no harm.",
    .examples = "  entente pouch export --channel north --to boreal.example -o /media/stick/aurora.pouch --dir aurora",
    .options = export_options,
    .run = export_pouch,
};

/* ---- pouch import ------------------------------------------------------------ */

static const ent_cli_option import_options[] = {
    {"--reply", NULL, "FILE", false, "then pack a pouch for its sender, which holds our receipt"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc send_file(ent_cli *cli, const char *path, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/pouches");
    ENT_CLEANUP(ent_buf_release) ent_buf pouch = {0};
    ENT_TRY(ent_cli_read(path, (size_t)64 << 20, &pouch, err));
    request.body = ent_buf_bytes(&pouch);
    request.content_type = "application/x-tar";
    return ent_cli_ask(cli, &request, ret, err);
}

static void put_imported(ent_cli *cli, ent_json_value answer)
{
    ent_buf *out = &cli->out;
    ent_text state = ent_cli_text(answer, "state");
    ent_text id = ent_cli_text(answer, "channel");
    uint64_t size = ent_cli_count(answer, "size");
    uint64_t count = ent_cli_count(answer, "new");
    ent_cli_put_line(out, ent_cli_text(answer, "from"));
    if (ent_text_is(state, "invited")) {
        ent_buf_put_string(out, " invites us to a channel. Read its terms with `entente channel show ");
        ent_cli_put_line(out, id.size > 12 ? (ent_text){id.data, 12} : id);
        ent_buf_put_string(out, "`, then accept or refuse it.\n");
        return;
    }
    if (count == 0)
        ent_buf_put_format(out, ": nothing new; all %" PRIu64 " entries of its log were here already", size);
    else
        ent_buf_put_format(out, ": %" PRIu64 " new entr%s; its log is held here up to %" PRIu64, count,
                           count == 1 ? "y" : "ies", size);
    ent_buf_put_string(out, ent_text_is(state, "receipted") ? ", and receipted\n" : "\n");
}

static ent_rc import_pouch(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    const char *reply = ent_cli_value(cli, "--reply");
    uint64_t size = 0;
    ENT_TRY(send_file(cli, cli->positional[0], &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    answer.root = ent_json_root(answer.json);
    if (cli->json)
        ent_cli_put_answer(cli, ent_buf_text(&answer.bytes));
    else
        put_imported(cli, answer.root);
    if (reply == NULL)
        return ENT_DONE;
    ENT_CLEANUP(ent_free_pointer) char *channel = ent_text_copy(ent_cli_text(answer.root, "channel"));
    ENT_CLEANUP(ent_free_pointer) char *from = ent_text_copy(ent_cli_text(answer.root, "from"));
    if (channel == NULL || from == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(
        ent_fail_in(err, fetch(cli, channel, from, reply, &size, err), "the pouch is taken in, but there is no reply"));
    if (!cli->json && strcmp(reply, "-") != 0)
        ent_buf_put_format(&cli->out, "%s: the reply for %s; carry it back.\n", reply, from);
    return ENT_DONE;
}

const ent_cli_command ent_cli_pouch_import = {
    .words = "pouch import",
    .arguments = "FILE [--reply FILE]",
    .summary = "take in a pouch that came by hand",
    .text = "The pouch is checked as one from the network is: nothing in it is believed that its keys do not prove.\n"
            "With --reply a pouch for its sender is packed, which carries our receipt.",
    .examples = "  entente pouch import /media/stick/aurora.pouch --reply /media/stick/boreal.pouch --dir boreal",
    .options = import_options,
    .least = 1,
    .most = 1,
    .run = import_pouch,
};
