#include "cli/files.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include "base/config.h"
#include "base/file.h"
#include "seal/card.h"

static const ent_cli_option options[] = {
    {"--fingerprint", NULL, NULL, false, "print only the fingerprint, in groups for reading aloud"},
    {NULL, NULL, NULL, false, NULL},
};

static void release_paths(ent_paths *paths)
{
    ent_paths_release(paths);
}

static void put_json(ent_cli *cli, const ent_card *card, const char *fingerprint, ent_text note)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "name", card->name);
    ent_json_member_unsigned(&writer, "serial", card->serial);
    ent_json_member_string(&writer, "fingerprint", fingerprint);
    ent_json_member_text(&writer, "card", note);
    ent_json_object_end(&writer);
    ent_cli_put_json(&cli->out, ent_buf_text(&json));
    ent_buf_put_u8(&cli->out, '\n');
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *folder = NULL;
    ENT_CLEANUP(release_paths) ent_paths paths = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(ent_paths_make(folder, &paths, err));
    ent_rc rc = ent_file_read(paths.card, ENT_CARD_MAX_BYTES, &note, err);
    if (rc.code == ENT_ABSENT)
        return ent_fail(err, ENT_ABSENT, NULL, "no card lies at %s; run `entente init --name NAME --dir %s` first",
                        paths.card, folder);
    ENT_TRY(rc);
    ENT_TRY(ent_fail_in(err, ent_card_parse(ent_buf_bytes(&note), &card, err), "%s", paths.card));
    ENT_TRY(ent_card_fingerprint(&card.card, fingerprint, err));
    if (cli->json)
        put_json(cli, &card.card, fingerprint, ent_buf_text(&note));
    else if (ent_cli_has(cli, "--fingerprint"))
        ent_buf_put_format(&cli->out, "%s\n", fingerprint);
    else
        ent_buf_put(&cli->out, ent_buf_bytes(&note));
    return ENT_DONE;
}

const ent_cli_command ent_cli_card = {
    .words = "card",
    .arguments = "[--fingerprint]",
    .summary = "print our card, for peers to add",
    .text = "The card says who we are: names, keys, address, points of contact, signed by our root key. It holds\n"
            "nothing secret. Hand it to the peer by any way, then compare the fingerprint over another one: by\n"
            "telephone, face to face. The fingerprint stays the same as long as the root key does. Needs no node.",
    .examples = "  entente card --dir aurora > aurora.card\n"
                "  entente card --dir aurora --fingerprint",
    .options = options,
    .run = run,
};
