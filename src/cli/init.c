#include "cli/files.h"
#include "cli/setup.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include "base/cursor.h"
#include "base/json.h"
#include "base/name.h"

static const ent_cli_option options[] = {
    {"--name", NULL, "NAME", false, "the party's name, like north.example"},
    {"--listen", NULL, "ADDR", false, "where the node listens for peers (default 0.0.0.0:8443)"},
    {"--url", NULL, "URL", false, "where peers find it (default https://NAME: and that port)"},
    {"--air-gapped", NULL, NULL, false, "no network: pouches travel by hand"},
    {"--root-dir", NULL, "DIR", false, "where the root keys go, say a USB stick (default DIR/root)"},
    {"--passphrase-file", NULL, "FILE", false,
     "seal all keys with the passphrase that is the first line\nof this file (- for standard input)"},
    {"--contact", NULL, "C", true,
     "a point of contact: 'technical or diplomatic;name;position;phone;\nemail;lang,lang;hours'"},
    {NULL, NULL, NULL, false, NULL},
};

enum { CONTACT_PARTS = 7 };

/* The text up to the next stop, which is taken away with it. */
static ent_text take_part(ent_text *left, char stop)
{
    const char *end = left->size == 0 ? NULL : memchr(left->data, stop, left->size);
    ent_text part = {left->data, end == NULL ? left->size : (size_t)(end - left->data)};
    size_t taken = part.size + (end != NULL);
    left->data += taken;
    left->size -= taken;
    return part;
}

ent_rc ent_cli_contact_read(ent_text text, ent_card_contact *ret, ent_err *err)
{
    ent_text parts[CONTACT_PARTS];
    ent_text left = text;
    size_t stops = 0;
    for (size_t i = 0; i < text.size; i++)
        stops += text.data[i] == ';';
    if (stops != CONTACT_PARTS - 1)
        return ent_fail(err, ENT_USAGE, NULL,
                        "--contact takes 'role;name;position;phone;email;lang,lang;hours', and \"%.*s\" has %zu parts",
                        ENT_TEXT_ARG(text), stops + 1);
    for (size_t i = 0; i < CONTACT_PARTS; i++)
        parts[i] = take_part(&left, ';');
    if (!ent_text_is(parts[0], "technical") && !ent_text_is(parts[0], "diplomatic"))
        return ent_fail(err, ENT_USAGE, NULL, "a contact is technical or diplomatic, not \"%.*s\"",
                        ENT_TEXT_ARG(parts[0]));
    ent_card_contact contact = {.role = parts[0],
                                .name = parts[1],
                                .position = parts[2],
                                .phone = parts[3],
                                .email = parts[4],
                                .hours = parts[6]};
    while (parts[5].size > 0) {
        if (contact.language_count == ENT_CARD_MAX_LANGUAGES)
            return ent_fail(err, ENT_USAGE, NULL, "a contact has at most %d languages", ENT_CARD_MAX_LANGUAGES);
        contact.languages[contact.language_count++] = take_part(&parts[5], ',');
    }
    *ret = contact;
    return ENT_DONE;
}

ent_rc ent_cli_listen_check(const char *listen, uint64_t *ret_port, ent_err *err)
{
    const char *colon = strrchr(listen, ':');
    size_t host = colon == NULL ? 0 : (size_t)(colon - listen);
    bool bracketed = host > 2 && listen[0] == '[' && listen[host - 1] == ']';
    if (host == 0 || ((memchr(listen, ':', host) != NULL || listen[0] == '[') && !bracketed) ||
        !ent_decimal_parse(ent_text_of(colon + 1), 65535, ret_port))
        return ent_fail(err, ENT_USAGE, NULL,
                        "--listen takes an address and a port, like 0.0.0.0:8443 or [::]:8443, not \"%s\"", listen);
    return ENT_DONE;
}

static ent_rc read_addresses(const ent_cli *cli, ent_cli_setup *setup, ent_buf *url, ent_err *err)
{
    uint64_t port = 0;
    setup->listen = ent_cli_value(cli, "--listen");
    setup->url = ent_cli_value(cli, "--url");
    setup->air_gapped = ent_cli_has(cli, "--air-gapped");
    if (setup->air_gapped && (setup->listen != NULL || setup->url != NULL))
        return ent_fail(err, ENT_USAGE, NULL,
                        "an air-gapped node has neither --listen nor --url; leave them out, or --air-gapped");
    if (setup->air_gapped)
        return ENT_DONE;
    if (setup->listen == NULL)
        setup->listen = "0.0.0.0:8443";
    ENT_TRY(ent_cli_listen_check(setup->listen, &port, err));
    if (setup->url != NULL)
        return ENT_DONE;
    if (port == 0)
        return ent_fail(err, ENT_USAGE, NULL,
                        "with port 0 the system picks one: tell with --url where peers find the node");
    ent_buf_put_format(url, "https://%s:%llu", setup->name, (unsigned long long)port);
    setup->url = ent_buf_string(url);
    return ent_buf_check(url, err);
}

static ent_rc read_contacts(const ent_cli *cli, ent_cli_setup *setup, ent_err *err)
{
    for (const char *text = NULL; (text = ent_cli_value_at(cli, "--contact", setup->contact_count)) != NULL;
         setup->contact_count++) {
        if (setup->contact_count == ENT_CARD_MAX_CONTACTS)
            return ent_fail(err, ENT_USAGE, NULL, "a card has at most %d contacts", ENT_CARD_MAX_CONTACTS);
        ENT_TRY(ent_cli_contact_read(ent_text_of(text), &setup->contacts[setup->contact_count], err));
    }
    return ENT_DONE;
}

/* ---- what to do next ------------------------------------------------------------- */

static void put_json(ent_cli *cli, const char *folder, const ent_cli_setup *setup, const char *fingerprint)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "name", setup->name);
    ent_json_member_string(&writer, "fingerprint", fingerprint);
    ent_json_member_string(&writer, "dir", folder);
    ent_json_member_string(&writer, "listen", setup->listen);
    ent_json_member_string(&writer, "url", setup->url);
    ent_json_member_bool(&writer, "air_gapped", setup->air_gapped);
    ent_json_member_string(&writer, "root_dir", setup->root_folder);
    ent_json_object_end(&writer);
    if (json.failed != ENT_OK)
        cli->out.failed = json.failed;
    ent_cli_put_json(&cli->out, ent_buf_text(&json));
    ent_buf_put_u8(&cli->out, '\n');
}

static void put_text(ent_cli *cli, const char *folder, const ent_cli_setup *setup, const char *fingerprint)
{
    ent_buf *out = &cli->out;
    ent_buf_put_format(out, "%s is set up in %s.\n\n  fingerprint  %s\n", setup->name, folder, fingerprint);
    if (setup->air_gapped)
        ent_buf_put_string(out, "  network      none: pouches travel by hand\n");
    else
        ent_buf_put_format(out, "  listens on   %s\n  address      %s\n", setup->listen, setup->url);
    ent_buf_put_format(out, "  card         %s/card\n  root keys    %s%s\n\nNext:\n", folder,
                       setup->root_folder == NULL ? folder : setup->root_folder,
                       setup->root_folder == NULL ? "/root" : "");
    ent_buf_put_format(out, "  start the node:      entented --dir %s%s\n", folder,
                       setup->passphrase.size > 0 ? " --passphrase-file FILE" : "");
    ent_buf_put_format(out, "  give out the card:   %s/card; let each peer compare the fingerprint by telephone\n",
                       folder);
    ent_buf_put_format(out, "  add each peer:       entente peer add CARD --fingerprint F --dir %s\n", folder);
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *folder = NULL;
    const char *passphrase_path = ent_cli_value(cli, "--passphrase-file");
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf url = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf passphrase = {0};
    ent_cli_setup setup = {.name = ent_cli_value(cli, "--name"), .root_folder = ent_cli_value(cli, "--root-dir")};
    ENT_TRY(ent_cli_folder(cli, &folder, err));
    if (setup.name == NULL)
        return ent_fail(err, ENT_USAGE, NULL, "what is the party's name? Give it with --name, like north.example");
    if (!ent_name_valid(ent_text_of(setup.name)))
        return ent_fail(err, ENT_USAGE, "design 1",
                        "\"%s\" is not a party's name: it looks like north.example, in lower case, at most %d bytes",
                        setup.name, ENT_NAME_MAX_BYTES);
    ENT_TRY(read_addresses(cli, &setup, &url, err));
    ENT_TRY(read_contacts(cli, &setup, err));
    if (passphrase_path != NULL)
        ENT_TRY(ent_cli_read_passphrase(passphrase_path, &passphrase, err));
    setup.passphrase = ent_buf_bytes(&passphrase);
    ENT_TRY(ent_cli_setup_make(folder, &setup, fingerprint, err));
    if (cli->json)
        put_json(cli, folder, &setup, fingerprint);
    else
        put_text(cli, folder, &setup, fingerprint);
    ENT_TRY(ent_cli_flush(cli, err));
    if (setup.root_folder == NULL)
        ent_cli_note("warning: the root keys lie in %s/root. They sign new cards and are not needed to run the node:\n"
                     "move that folder to a medium that is kept offline, and keep a second copy",
                     folder);
    return ENT_DONE;
}

const ent_cli_command ent_cli_init = {
    .words = "init",
    .arguments = "--name NAME [--listen ADDR] [--url URL] [--air-gapped] [--root-dir DIR]",
    .summary = "set up a party: keys, card, configuration",
    .text = "Makes the folder --dir (mode 0700) with the node's keys, its TLS certificate, the card that peers need\n"
            "and node.json, and prints the card's fingerprint. A folder that holds a node is refused. An unfinished\n"
            "try (a full disk, a power cut) can be repeated.",
    .examples = "  entente init --name aurora.example --dir aurora\n"
                "  entente init --name aurora.example --dir aurora --listen 0.0.0.0:9443 --url "
                "https://hotline.aurora.example:9443 \\\n"
                "      --root-dir /media/stick --passphrase-file pass.txt \\\n"
                "      --contact 'technical;Duty officer;CERT;+99 555 0100;duty@cert.aurora.example;en,fr;24/7'",
    .options = options,
    .run = run,
};
