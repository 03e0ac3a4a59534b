/* entente key prepare, sign, install: keys change while the root key stays on a machine of its own. */
#include "cli/api.h"
#include "cli/files.h"
#include "cli/key_request.h"
#include "cli/verbs.h"

#include "base/config.h"
#include "crypto/crypto.h"

static void release_root(ent_root **root)
{
    ent_root_free(*root);
}

static ent_rc read_passphrase(const ent_cli *cli, ent_buf *ret, ent_err *err)
{
    const char *path = ent_cli_value(cli, "--passphrase-file");
    return path == NULL ? ENT_DONE : ent_cli_read_passphrase(path, ret, err);
}

/* ---- key prepare --------------------------------------------------------------------- */

static const ent_cli_option prepare_options[] = {
    {"--output", "-o", "FILE", false, "where the request goes (default key-request.txt)"},
    {"--revoke", NULL, NULL, false, "the keys are lost or in other hands: revoke them"},
    {"--passphrase-file", NULL, "FILE", false,
     "the passphrase of our keys: the first line of this file (- for standard input)"},
    {"--reason", NULL, "WORD", false, "scheduled, personnel, compromise-suspected or compromise"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc prepare(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_rotation_release) ent_cli_rotation rotation = {.revoke = ent_cli_has(cli, "--revoke")};
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf request = {0};
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    const char *folder = NULL;
    const char *output = ent_cli_value(cli, "--output");
    if (output == NULL)
        output = "key-request.txt";
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(ent_paths_make(folder, &paths, err));
    ENT_TRY(ent_cli_key_roles(cli, &rotation, err));
    ENT_TRY(ent_cli_key_reason(cli, rotation.revoke, &rotation.reason, err));
    ENT_TRY(read_passphrase(cli, &passphrase, err));
    ENT_TRY(ent_cli_rotation_begin(cli, &rotation, err));
    ENT_TRY(ent_cli_rotation_keys(&rotation, paths.keys, folder, ent_buf_bytes(&passphrase), err));
    ENT_TRY(ent_cli_key_request_put(&rotation, &request, err));
    ENT_TRY(ent_cli_write(output, 0644, ent_buf_bytes(&request), err));
    if (cli->json) {
        ent_json_writer writer = ent_json_writer_of(&cli->out);
        ent_json_object_begin(&writer);
        ent_json_member_unsigned(&writer, "serial", rotation.current.card.serial + 1);
        ent_json_member_string(&writer, "request", output);
        ent_json_object_end(&writer);
        ent_buf_put_u8(&cli->out, '\n');
        return ENT_DONE;
    }
    ENT_TRY(ent_cli_key_request_words(&rotation, &cli->out, err));
    ent_buf_put_format(&cli->out, "\nTake %s to the root key; there: entente key sign %s --root-dir DIR -o FILE\n",
                       output, ent_cli_base_name(output));
    return ENT_DONE;
}

const ent_cli_command ent_cli_key_prepare = {
    .words = "key prepare",
    .arguments = "log|receipt|age|tls|root... [--revoke] [-o FILE]",
    .summary = "make new keys, and a request that the root key signs on another machine",
    .text =
        "For a root key that never comes to this machine. Makes the new keys and writes down what the root key is\n"
        "asked to sign, for people and for `entente key sign`; no secret is in it. Nothing changes before\n"
        "`entente key install`. Again, it takes the same new keys and what the logs hold by then.\n"
        "A log key that is only replaced: a request is good until the next message of ours in any channel, for the\n"
        "old key must sign nothing beyond what the request names; revoking it, and other keys, can take their time.",
    .examples = "  entente key prepare receipt age --reason personnel -o /media/stick/request.txt --dir aurora\n"
                "  entente key prepare log --revoke -o /media/stick/request.txt --dir aurora",
    .options = prepare_options,
    .least = 1,
    .most = 5,
    .run = prepare,
};

/* ---- key sign ------------------------------------------------------------------------ */

static const ent_cli_option sign_options[] = {
    {"--root-dir", NULL, "DIR", false, "where the root keys are"},
    {"--output", "-o", "FILE", false, "sign, and write what `entente key install` takes; without it, only look"},
    {"--passphrase-file", NULL, "FILE", false,
     "the passphrase of the root keys: the first line of this file (- for standard input)"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc sign_request(const ent_cli *cli, ent_cli_rotation *rotation, const char *output, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ENT_CLEANUP(release_root) ent_root *root = NULL;
    const char *folder = ent_cli_value(cli, "--root-dir");
    if (folder == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "where are the root keys? Name their folder with --root-dir DIR");
    ENT_TRY(read_passphrase(cli, &passphrase, err));
    ENT_TRY(ent_fail_in(err, ent_cli_rotation_root(rotation, folder, ent_buf_bytes(&passphrase), &root, err),
                        "the request is of %.*s", ENT_TEXT_ARG(rotation->current.card.name)));
    ENT_TRY(ent_cli_rotation_sign(rotation, root, &bundle, err));
    ent_buf_put_u8(&bundle, '\n');
    ENT_TRY(ent_buf_check(&bundle, err));
    return ent_cli_write(output, 0644, ent_buf_bytes(&bundle), err);
}

static ent_rc sign(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_rotation_release) ent_cli_rotation rotation = {.revoke = false};
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    const char *output = ent_cli_value(cli, "--output");
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1] = "";
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_cli_read(cli->positional[0], ENT_CLI_ROTATION_MAX_BYTES + 1, &bytes, err));
    ENT_TRY(
        ent_fail_in(err, ent_cli_key_request_parse(ent_buf_bytes(&bytes), &rotation, err), "%s", cli->positional[0]));
    if (output != NULL)
        ENT_TRY(sign_request(cli, &rotation, output, err));
    if (output != NULL && rotation.changes_root)
        ENT_TRY(ent_card_fingerprint(&rotation.next, fingerprint, err));
    if (cli->json) {
        ent_json_writer writer = ent_json_writer_of(&cli->out);
        ent_json_object_begin(&writer);
        ent_json_member_text(&writer, "party", rotation.current.card.name);
        ent_json_member_unsigned(&writer, "serial", rotation.current.card.serial + 1);
        ent_json_member_string(&writer, "signed", output);
        ent_json_object_end(&writer);
        ent_buf_put_u8(&cli->out, '\n');
        return ENT_DONE;
    }
    ENT_TRY(ent_cli_key_request_words(&rotation, &cli->out, err));
    if (fingerprint[0] != 0)
        ent_buf_put_format(&cli->out, "\nThe fingerprint is from then on: %s\n", fingerprint);
    if (output == NULL)
        ent_buf_put_format(&cli->out, "\nNothing is signed. To sign it: entente key sign %s --root-dir DIR -o FILE\n",
                           cli->positional[0]);
    else
        ent_buf_put_format(&cli->out, "\nSigned. Take %s to the node; there: entente key install %s\n", output,
                           ent_cli_base_name(output));
    return ENT_DONE;
}

const ent_cli_command ent_cli_key_sign = {
    .words = "key sign",
    .arguments = "REQUEST [--root-dir DIR -o FILE]",
    .summary = "show a request of `key prepare`, and sign it; where the root key is",
    .text =
        "Needs no node and no network. Shows what the root key is asked to sign; with -o it signs. A request that was\n"
        "damaged or edited is refused, and so is one whose card another root key signed. Compare the new keys with\n"
        "what the one who prepared it reads out from there. When the root key changes, the one that was committed\n"
        "to signs, and the one after it is made beside it: keep that folder.",
    .examples = "  entente key sign /media/stick/request.txt\n"
                "  entente key sign /media/stick/request.txt --root-dir /media/safe -o /media/stick/signed.json",
    .options = sign_options,
    .least = 1,
    .most = 1,
    .run = sign,
};

/* ---- key install --------------------------------------------------------------------- */

/* What changed, by the two cards, for what is said of it. */
static void compare(ent_cli_rotation *rotation, const ent_card *next)
{
    const ent_card *old = &rotation->current.card;
    rotation->changes_root = !ent_public_key_equal(&old->root, &next->root);
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++)
        rotation->changes[role] = memcmp(ent_card_key(old, role), ent_card_key(next, role), 32) != 0;
    for (size_t i = 0; i < next->former_count; i++)
        rotation->revoke = rotation->revoke || (next->former[i].last == old->serial && next->former[i].revoked);
    rotation->next = *next;
}

static ent_rc install(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_rotation_release) ent_cli_rotation rotation = {.revoke = false};
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/keys");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer made = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ent_err why = {0};
    const char *path = cli->positional[0];
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_cli_read(path, ENT_CLI_ROTATION_MAX_BYTES, &bundle, err));
    if (ent_text_starts(ent_buf_text(&bundle), ENT_TEXT("entente.key-request/")))
        return ent_fail(err, ENT_USAGE, NULL,
                        "%s is the request: have it signed first (`entente key sign %s --root-dir DIR -o FILE`)", path,
                        path);
    ENT_TRY(ent_cli_rotation_begin(cli, &rotation, err));
    ENT_TRY(ent_fail_in(err, ent_cli_answer_of(ent_buf_text(&bundle), SIZE_MAX, &made, err), "%s", path));
    ENT_TRY(ent_fail_in(err, ent_card_parse(ent_text_bytes(ent_cli_text(made.root, "card")), &card, err), "%s", path));
    compare(&rotation, &card.card);
    request.body = ent_buf_bytes(&bundle);
    request.content_type = "application/json";
    ent_rc rc = ent_cli_ask_json(cli, &request, &answer, &why);
    if (rc.code == ENT_RETRY) /* what is signed will never fit again, however often it is tried */
        return ent_fail(err, ENT_REFUSED, why.rule, "%s", why.text);
    if (rc.code != ENT_OK)
        *err = why;
    ENT_TRY(rc);
    if (!cli->json)
        ent_cli_key_put_done(cli, &rotation);
    return ENT_DONE;
}

const ent_cli_command ent_cli_key_install = {
    .words = "key install",
    .arguments = "FILE",
    .summary = "take into use what `key sign` signed",
    .text =
        "Where `key prepare` was run, which made the keys. Refused when the card in use is another by now, when it is\n"
        "of another party, or when something was said that a replaced log key would have to sign: then prepare it\n"
        "again. Interrupted, it can be repeated.",
    .examples = "  entente key install /media/stick/signed.json --dir aurora",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = install,
};
