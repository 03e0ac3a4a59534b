#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/pouch_blobs.h"
#include "cli/pouch_parts.h"
#include "cli/verbs.h"

static void put_blobs(ent_json_writer *writer, const ent_cli_blobs *blobs)
{
    ent_json_key(writer, "attachments");
    ent_json_array_begin(writer);
    if (blobs->json.size > 0)
        ent_json_put_raw(writer, ent_buf_text(&blobs->json));
    ent_json_array_end(writer);
}

static void put_others(ent_json_writer *writer, const ent_cli_others *others)
{
    ent_json_key(writer, "others");
    ent_json_array_begin(writer);
    if (others->json.size > 0)
        ent_json_put_raw(writer, ent_buf_text(&others->json));
    ent_json_array_end(writer);
}

/* ---- pouch export ---------------------------------------------------------- */

static const ent_cli_option export_options[] = {
    {"--channel", NULL, "CHANNEL", false, "whose log and evidence"},
    {"--to", NULL, "PARTY", false, "for which member: what it already receipted is left out"},
    {"--output", "-o", "FILE", false, "where to, or - for standard output"},
    {"--no-attachments", NULL, NULL, false, "leave out what is attached; else it lies beside, in FILE.d"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc export_pouch(ent_cli *cli, ent_err *err)
{
    const char *channel = ent_cli_value(cli, "--channel");
    const char *to = ent_cli_value(cli, "--to");
    const char *path = ent_cli_value(cli, "--output");
    uint64_t size = 0;
    ENT_CLEANUP(ent_cli_blobs_release) ent_cli_blobs blobs = {0};
    ENT_CLEANUP(ent_cli_others_release) ent_cli_others others = {0};
    if (channel == NULL || to == NULL || path == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "%s is missing: entente pouch export %s",
                        channel == NULL ? "--channel"
                        : to == NULL    ? "--to"
                                        : "-o",
                        ent_cli_pouch_export.arguments);
    ENT_TRY(ent_cli_check_channel(channel, err));
    ENT_TRY(ent_cli_check_party(to, err));
    ent_cli_parts parts = {channel, to, NULL, path, path};
    ENT_TRY(ent_cli_parts_export(cli, &parts, &size, &others, err));
    if (strcmp(path, "-") == 0)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, ent_cli_others_export(cli, channel, to, path, &others, err),
                        "%s is written, but not what lies beside it", path));
    if (!ent_cli_has(cli, "--no-attachments"))
        ENT_TRY(ent_fail_in(err, ent_cli_blobs_export(cli, channel, to, path, &blobs, err),
                            "%s is written, but not all attachments", path));
    if (!cli->json) {
        ent_buf_put_text(&cli->out, ent_buf_text(&others.text));
        ent_buf_put_text(&cli->out, ent_buf_text(&blobs.text));
        ent_buf_put_format(&cli->out, "%s: a pouch for %s, ", path, to);
        ent_cli_put_bytes(&cli->out, size);
        if (others.text.size > 0 || blobs.text.size > 0)
            ent_buf_put_format(&cli->out, "; carry %s.d along", path);
        ent_buf_put_format(&cli->out, ". There: `entente pouch import %s --reply FILE`\n", ent_cli_base_name(path));
        return ENT_DONE;
    }
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", path);
    ent_json_member_unsigned(&writer, "bytes", size);
    put_others(&writer, &others);
    put_blobs(&writer, &blobs);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

const ent_cli_command ent_cli_pouch_export = {
    .words = "pouch export",
    .arguments = "--channel CHANNEL --to PARTY -o FILE [--no-attachments]",
    .summary = "pack what a peer lacks into a file, to go by hand",
    .text =
        "The pouch holds the same bytes that would go over the network: signed heads, entries, sealed bodies and\n"
        "receipts. What is more than one pouch holds goes on beside it, in FILE.d/PARTY_002.pouch, _003 and so on.\n"
        "Attachments that the peer has not said to hold lie in FILE.d too, sealed, and in FILE.d/PARTY.pouch what it\n"
        "is known to lack of another member's log: carry all of it. It can be carried openly; `tar tf` lists a pouch.\n"
        "Taking one in twice does no harm, and an attachment that is on the stick already is not written again.",
    .examples = "  entente pouch export --channel north --to boreal.example -o /media/stick/aurora.pouch --dir aurora",
    .options = export_options,
    .run = export_pouch,
};

/* ---- pouch import ------------------------------------------------------------ */

static const ent_cli_option import_options[] = {
    {"--reply", NULL, "FILE", false, "then pack a pouch for its sender, which holds our receipts"},
    {"--no-attachments", NULL, NULL, false, "do not take in what lies in FILE.d, nor put anything beside the reply"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc put_imported_json(ent_cli *cli, const ent_cli_answer *answer, const ent_cli_others *others,
                                const ent_cli_blobs *blobs, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(answer->root); ent_json_next(&i);) {
        ent_json_key_text(&writer, i.key);
        ent_json_put_copy(&writer, i.value);
    }
    put_others(&writer, others);
    put_blobs(&writer, blobs);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

/* All that could be done is done, and told; but somebody must look at the stick. */
static ent_rc check_beside(const ent_cli_others *others, const ent_cli_blobs *blobs, ent_err *err)
{
    if (others->refused > 0)
        return ent_fail(err, ENT_PEER_MISMATCH, "docs/formats.md",
                        "%zu pouch%s beside the first could not be taken in: the node's reason is above",
                        others->refused, others->refused == 1 ? "" : "es");
    if (blobs->refused == 0)
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_MISMATCH, "docs/formats.md",
                    "%zu attachment%s beside the pouch could not be taken in; export them anew to another stick",
                    blobs->refused, blobs->refused == 1 ? "" : "s");
}

/* The reply, and what lies beside it. */
static ent_rc put_reply(ent_cli *cli, const char *channel, const char *to, const char *path, bool with_blobs,
                        ent_err *err)
{
    ENT_CLEANUP(ent_cli_blobs_release) ent_cli_blobs blobs = {0};
    ENT_CLEANUP(ent_cli_others_release) ent_cli_others others = {0};
    ent_cli_parts parts = {channel, to, NULL, path, path};
    uint64_t size = 0;
    ENT_TRY(ent_fail_in(err, ent_cli_parts_export(cli, &parts, &size, &others, err),
                        "the pouch is taken in, but there is no whole reply"));
    if (strcmp(path, "-") == 0)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, ent_cli_others_export(cli, channel, to, path, &others, err),
                        "%s is written, but not what lies beside it", path));
    if (!cli->json)
        ent_buf_put_text(&cli->out, ent_buf_text(&others.text));
    if (!with_blobs)
        return ENT_DONE;
    ENT_TRY(ent_fail_in(err, ent_cli_blobs_export(cli, channel, to, path, &blobs, err),
                        "%s is written, but not all attachments", path));
    if (!cli->json)
        ent_buf_put_text(&cli->out, ent_buf_text(&blobs.text));
    return ENT_DONE;
}

static ent_rc import_pouch(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_blobs_release) ent_cli_blobs blobs = {0};
    const char *reply = ent_cli_value(cli, "--reply");
    ENT_CLEANUP(ent_cli_others_release) ent_cli_others others = {0};
    bool with_others = strcmp(cli->positional[0], "-") != 0;
    bool with_blobs = with_others && !ent_cli_has(cli, "--no-attachments");
    ENT_TRY(ent_cli_pouch_send(cli, cli->positional[0], &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    answer.root = ent_json_root(answer.json);
    if (!cli->json)
        ent_cli_put_imported(&cli->out, answer.root);
    if (with_others)
        ENT_TRY(ent_fail_in(err, ent_cli_others_import(cli, cli->positional[0], &others, err),
                            "the pouch is taken in, but not what lies beside it"));
    if (!cli->json)
        ent_buf_put_text(&cli->out, ent_buf_text(&others.text));
    if (with_blobs)
        ENT_TRY(ent_fail_in(err, ent_cli_blobs_import(cli, cli->positional[0], &blobs, err),
                            "the pouch is taken in, but not all attachments"));
    if (cli->json)
        ENT_TRY(put_imported_json(cli, &answer, &others, &blobs, err));
    else
        ent_buf_put_text(&cli->out, ent_buf_text(&blobs.text));
    if (reply == NULL)
        return check_beside(&others, &blobs, err);
    ENT_CLEANUP(ent_free_pointer) char *channel = ent_text_copy(ent_cli_text(answer.root, "channel"));
    ENT_CLEANUP(ent_free_pointer) char *from = ent_text_copy(ent_cli_text(answer.root, "from"));
    if (channel == NULL || from == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(put_reply(cli, channel, from, reply, with_blobs, err));
    if (!cli->json && strcmp(reply, "-") != 0)
        ent_buf_put_format(&cli->out, "%s: the reply for %s; carry it back.\n", reply, from);
    return check_beside(&others, &blobs, err);
}

const ent_cli_command ent_cli_pouch_import = {
    .words = "pouch import",
    .arguments = "FILE [--reply FILE] [--no-attachments]",
    .summary = "take in a pouch that came by hand",
    .text =
        "The pouch is checked as one from the network is: nothing in it is believed that its keys do not prove. What\n"
        "lies beside it (FILE.d/*.pouch), the rest of its log and those of others, is taken in after it, then the\n"
        "attachments (also in FILE.d); one whose bytes are not those of its name is told and not taken. With --reply "
        "a\n"
        "pouch for its sender is packed, which carries our receipts, and the word that we hold what was attached; "
        "what\n"
        "is more than it holds, and what the sender lacks of others' logs, lies beside it.",
    .examples = "  entente pouch import /media/stick/aurora.pouch --reply /media/stick/boreal.pouch --dir boreal",
    .options = import_options,
    .least = 1,
    .most = 1,
    .run = import_pouch,
};
