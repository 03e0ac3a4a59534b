#include "cli/terminal.h"
#include "cli/verbs.h"
#include "crypto/crypto.h"

/* In the order in which they are met in use. */
static const ent_cli_command *const commands[] = {
    &ent_cli_init,
    &ent_cli_card,
    &ent_cli_peer_add,
    &ent_cli_peer_list,
    &ent_cli_peer_show,
    &ent_cli_peer_remove,
    &ent_cli_agreement_new,
    &ent_cli_agreement_check,
    &ent_cli_agreement_diff,
    &ent_cli_agreement_fields,
    &ent_cli_key_show,
    &ent_cli_key_rotate,
    &ent_cli_key_revoke,
    &ent_cli_key_prepare,
    &ent_cli_key_sign,
    &ent_cli_key_install,
    &ent_cli_channel_open,
    &ent_cli_channel_list,
    &ent_cli_channel_show,
    &ent_cli_channel_accept,
    &ent_cli_channel_refuse,
    &ent_cli_agreement_show,
    &ent_cli_agreement_propose,
    &ent_cli_agreement_accept,
    &ent_cli_kinds,
    &ent_cli_send,
    &ent_cli_list,
    &ent_cli_show,
    &ent_cli_open,
    &ent_cli_watch,
    &ent_cli_ledger,
    &ent_cli_report,
    &ent_cli_prove,
    &ent_cli_verify,
    &ent_cli_reveal,
    &ent_cli_fork_list,
    &ent_cli_fork_export,
    &ent_cli_fork_import,
    &ent_cli_pouch_export,
    &ent_cli_pouch_import,
    &ent_cli_status,
    &ent_cli_doctor,
    &ent_cli_audit,
    &ent_cli_release_channel,
    &ent_cli_recover,
    &ent_cli_backup,
    &ent_cli_restore,
    &ent_cli_alerts,
    NULL,
};

static ent_rc run(ent_cli *cli, int count, char **arguments, ent_err *err)
{
    static char help[] = "--help";
    if (count == 1 && strcmp(arguments[0], "--version") == 0) {
        ent_cli_put_version(&cli->out);
        return ENT_DONE;
    }
    if (count > 0 && strcmp(arguments[0], "help") == 0) /* as many would type it */
        arguments[0] = help;
    ENT_TRY(ent_cli_arguments_read(commands, count, arguments, cli, err));
    if (cli->command != NULL && cli->help) {
        ent_cli_put_help(&cli->out, cli->command);
    } else if (cli->command == NULL && cli->positional_count > 0) {
        (void)ent_cli_put_group(&cli->out, commands, cli->positional[0]);
    } else if (cli->command == NULL) {
        ent_cli_put_overview(&cli->out, commands);
    } else {
        ent_cli_look_at_terminal(cli);
        ENT_TRY(ent_crypto_init(err));
        return cli->command->run(cli, err);
    }
    return ENT_DONE;
}

/* Whether JSON was asked for, known even when the arguments could not be taken apart. */
static bool wants_json(int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    ent_cli cli = {0};
    ent_err err = {0};
    ent_err late = {0};
    int count = argc > 0 ? argc - 1 : 0;
    ent_rc rc = run(&cli, count, argv + 1, &err);
    ent_rc flushed = ent_cli_flush(&cli, &late);
    if (rc.code != ENT_OK)
        ent_cli_print_failure(&err, wants_json(count, argv + 1));
    else if (flushed.code != ENT_OK)
        ent_cli_print_failure(&late, wants_json(count, argv + 1));
    ent_cli_release(&cli);
    return ent_code_exit_status(rc.code != ENT_OK ? rc.code : flushed.code);
}
