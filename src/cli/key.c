/* entente key: our own keys change. The root key signs here; the node takes the result into use. */
#include "cli/api.h"
#include "cli/files.h"
#include "cli/rotation.h"
#include "cli/verbs.h"

#include "base/config.h"

enum { TRIES = 100 }; /* while others are saying something all the time */

/* ---- key show -------------------------------------------------------------------- */

static void put_key(ent_buf *out, const char *role, const uint8_t *value, uint64_t serial)
{
    char digits[65];
    ent_hex_encode(ent_bytes_of(value, 32), digits);
    ent_buf_put_format(out, "  %-8s %.16s…  since card %llu\n", role, digits, (unsigned long long)serial);
}

static void put_former(ent_buf *out, const ent_card *card)
{
    if (card->former_count > 0)
        ent_buf_put_string(out, "\nKeys of before\n");
    for (size_t i = 0; i < card->former_count; i++) {
        const ent_card_former *row = &card->former[i];
        char digits[65];
        ent_hex_encode(ent_bytes_of(row->value, 32), digits);
        ent_buf_put_format(out, "  %-8s %.16s…  until card %llu, %s\n", ent_key_role_word(row->role), digits,
                           (unsigned long long)row->last, row->revoked ? "revoked" : "replaced");
    }
}

/* Whether the certificate that came with that card is revoked. */
static bool is_revoked(const ent_card *card, uint64_t serial)
{
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role == ENT_KEY_ROLE_TLS && card->former[i].revoked &&
            ent_card_key_serial(card, ENT_KEY_ROLE_TLS, i) == serial)
            return true;
    }
    return false;
}

static void put_keys(ent_cli *cli, const ent_cli_rotation *rotation)
{
    const ent_card *card = &rotation->current.card;
    ent_buf *out = &cli->out;
    char digits[65];
    ent_buf_put_format(out, "Card %llu of %.*s\n", (unsigned long long)card->serial, ENT_TEXT_ARG(card->name));
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++)
        put_key(out, ent_key_role_word(role), ent_card_key(card, role),
                ent_card_key_serial(card, role, card->former_count));
    ent_hex_encode(ent_bytes_of(card->root.bytes, sizeof card->root.bytes), digits);
    ent_buf_put_format(out, "  root     %.16s…\n", digits);
    put_former(out, card);
    ent_cli_put_keys_missing(cli, rotation->state.root);
    uint64_t in_use = ent_cli_count(rotation->state.root, "tls_in_use");
    bool known = ent_json_true(ent_json_get(rotation->state.root, "known"));
    if (in_use != 0 && in_use != ent_card_key_serial(card, ENT_KEY_ROLE_TLS, card->former_count))
        ent_buf_put_string(out,
                           is_revoked(card, in_use)
                               ? "\nThe node still shows a revoked certificate, which peers refuse: restart it now.\n"
                           : known ? "\nEvery member knows the new certificate: restart the node to go over to it.\n"
                                   : "\nThe certificate before is in use until every member knows the new one.\n");
    for (ent_json_iter i = ent_json_iterate(ent_json_get(rotation->state.root, "channels")); ent_json_next(&i);) {
        if (ent_json_true(ent_json_get(i.value, "announced")))
            continue;
        ent_buf_put_format(out,
                           "\nChannel %.12s does not know yet: it is told as soon as something can be said there.\n",
                           ent_cli_text(i.value, "id").data);
    }
}

static ent_rc show(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_cli_rotation_release) ent_cli_rotation rotation = {0};
    if (cli->json) {
        ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/keys");
        ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
        return ent_cli_ask_json(cli, &request, &answer, err);
    }
    ENT_TRY(ent_cli_rotation_begin(cli, &rotation, err));
    put_keys(cli, &rotation);
    return ENT_DONE;
}

const ent_cli_command ent_cli_key_show = {
    .words = "key show",
    .arguments = "",
    .summary = "show our keys, and those they replaced",
    .text = "The public halves: beginnings of the keys that the card names, and since which card.",
    .examples = "  entente key show --dir aurora",
    .options = ent_cli_no_options,
    .run = show,
};

/* ---- key rotate, key revoke -------------------------------------------------------- */

static const ent_cli_option change_options[] = {
    {"--root-dir", NULL, "DIR", false, "where the root keys are (default DIR/root)"},
    {"--passphrase-file", NULL, "FILE", false,
     "the passphrase of our keys: the first line of this file (- for standard input)"},
    {"--reason", NULL, "WORD", false, "scheduled, personnel, compromise-suspected or compromise"},
    {NULL, NULL, NULL, false, NULL},
};

ent_rc ent_cli_key_reason(const ent_cli *cli, bool revoke, const char **ret, ent_err *err)
{
    const char *reason = ent_cli_value(cli, "--reason");
    if (reason == NULL)
        reason = revoke ? "compromise-suspected" : "scheduled";
    *ret = ent_cli_reason(ent_text_of(reason));
    if (*ret != NULL)
        return ENT_DONE;
    return ent_fail(err, ENT_USAGE, NULL,
                    "--reason is scheduled, personnel, compromise-suspected or compromise, not \"%s\"", reason);
}

ent_rc ent_cli_key_roles(const ent_cli *cli, ent_cli_rotation *rotation, ent_err *err)
{
    for (size_t i = 0; i < cli->positional_count; i++) {
        ent_key_role role = ENT_KEY_ROLE_LOG;
        if (strcmp(cli->positional[i], "root") == 0)
            rotation->changes_root = true;
        else if (ent_key_role_find(ent_text_of(cli->positional[i]), &role))
            rotation->changes[role] = true;
        else
            return ent_fail(err, ENT_USAGE, NULL, "a key is log, receipt, age, tls or root, not \"%s\"",
                            cli->positional[i]);
    }
    return ENT_DONE;
}

void ent_cli_key_put_done(ent_cli *cli, const ent_cli_rotation *rotation)
{
    ent_buf *out = &cli->out;
    ent_buf_put_format(out, "Card %llu is in use", (unsigned long long)rotation->next.serial);
    const char *before = ": ";
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        if (!rotation->changes[role])
            continue;
        ent_buf_put_format(out, "%s%s", before, ent_key_role_word(role));
        before = ", ";
    }
    if (rotation->changes_root)
        ent_buf_put_format(out, "%sroot", before);
    bool known = before[0] == ':' && !rotation->changes_root; /* an installation repeated: it was done before */
    ent_buf_put_format(out, "%s.\n", known ? " already" : rotation->revoke ? " revoked and replaced" : " replaced");
    ent_buf_put_string(out, "Every channel is told with the next pouch. `entente card` prints the card for others.\n");
    if (rotation->revoke && rotation->changes[ENT_KEY_ROLE_LOG])
        ent_buf_put_string(out, "What not every member had receipted, also what was held, is contested from now on:\n"
                                "`entente list` marks it CONTESTED; say again what still holds.\n");
    if (rotation->changes[ENT_KEY_ROLE_TLS])
        ent_buf_put_string(out, rotation->revoke
                                    ? "Restart the node now: until then it has no certificate that peers accept.\n"
                                    : "`entente key show` tells when the node can go over to its certificate.\n");
    if (rotation->changes_root)
        ent_buf_put_string(out, "The fingerprint is another now: tell the peers that do not share a channel.\n");
}

static void release_root(ent_root **root)
{
    ent_root_free(*root);
}

/* Once: RETRY when something was said between the cutoffs and their coming into use. */
static ent_rc try_change(ent_cli *cli, ent_cli_rotation *rotation, const ent_paths *paths, ent_bytes passphrase,
                         ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/keys");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ENT_CLEANUP(release_root) ent_root *root = NULL;
    const char *folder = NULL;
    const char *root_folder = ent_cli_value(cli, "--root-dir");
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(ent_cli_rotation_begin(cli, rotation, err));
    /* The root key first: without it nothing is made. */
    ENT_TRY(ent_cli_rotation_root(rotation, root_folder == NULL ? paths->root : root_folder, passphrase, &root, err));
    ENT_TRY(ent_cli_rotation_keys(rotation, paths->keys, folder, passphrase, err));
    ENT_TRY(ent_cli_rotation_sign(rotation, root, &bundle, err));
    request.body = ent_buf_bytes(&bundle);
    request.content_type = "application/json";
    return ent_cli_ask_json(cli, &request, &answer, err);
}

static ent_rc change(ent_cli *cli, bool revoke, ent_err *err)
{
    ENT_CLEANUP(ent_cli_rotation_release) ent_cli_rotation rotation = {.revoke = revoke};
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    const char *folder = NULL;
    const char *passphrase_path = ent_cli_value(cli, "--passphrase-file");
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    ENT_TRY(ent_paths_make(folder, &paths, err));
    ENT_TRY(ent_cli_key_roles(cli, &rotation, err));
    ENT_TRY(ent_cli_key_reason(cli, revoke, &rotation.reason, err));
    if (passphrase_path != NULL)
        ENT_TRY(ent_cli_read_passphrase(passphrase_path, &passphrase, err));
    ent_rc rc = try_change(cli, &rotation, &paths, ent_buf_bytes(&passphrase), err);
    for (unsigned i = 1; i < TRIES && rc.code == ENT_RETRY; i++) {
        ent_cli_rotation_release(&rotation);
        rc = try_change(cli, &rotation, &paths, ent_buf_bytes(&passphrase), err);
    }
    ENT_TRY(rc);
    if (!cli->json)
        ent_cli_key_put_done(cli, &rotation);
    return ENT_DONE;
}

static ent_rc rotate(ent_cli *cli, ent_err *err)
{
    return change(cli, false, err);
}

static ent_rc revoke(ent_cli *cli, ent_err *err)
{
    return change(cli, true, err);
}

const ent_cli_command ent_cli_key_rotate = {
    .words = "key rotate",
    .arguments = "log|receipt|age|tls|root... [--root-dir DIR]",
    .summary = "replace keys by new ones, in every channel",
    .text = "Makes new keys, has the root key sign a card that names them and, for the log key, a cutoff for each\n"
            "channel, and has the node take them into use. What the old keys signed stays valid, and what was sealed\n"
            "to the old age key can still be opened. An unfinished try (a full disk, a power cut) can be repeated.\n"
            "The root keys are needed for the time of the command alone; for those on another machine there are\n"
            "`key prepare`, `key sign` and `key install`.",
    .examples = "  entente key rotate log --dir aurora --root-dir /media/stick\n"
                "  entente key rotate receipt age --reason personnel --dir aurora --root-dir /media/stick",
    .options = change_options,
    .least = 1,
    .most = 5,
    .run = rotate,
};

const ent_cli_command ent_cli_key_revoke = {
    .words = "key revoke",
    .arguments = "log|receipt|age|tls|root... [--root-dir DIR]",
    .summary = "replace keys that are lost or in other hands",
    .text =
        "As `key rotate`, for keys that may no longer be trusted. Of a log, what every member had receipted stands;\n"
        "what came after it stays in the log and shows as contested. Receipts by a revoked key that come later\n"
        "start no clock, and its certificate is refused at once. The old key does not sign for it: the node\n"
        "starts without a key whose file is lost, and holds what it does.",
    .examples = "  entente key revoke log --reason compromise --dir aurora --root-dir /media/stick\n"
                "  entente key revoke tls --dir aurora --root-dir /media/stick",
    .options = change_options,
    .least = 1,
    .most = 5,
    .run = revoke,
};
