/* The verbs, one file each. */
#ifndef ENT_CLI_VERBS_H
#define ENT_CLI_VERBS_H

#include "cli/cli.h"

extern const ent_cli_command ent_cli_init;
extern const ent_cli_command ent_cli_card;
extern const ent_cli_command ent_cli_peer_add;
extern const ent_cli_command ent_cli_peer_list;
extern const ent_cli_command ent_cli_peer_show;
extern const ent_cli_command ent_cli_peer_remove;
extern const ent_cli_command ent_cli_key_show;
extern const ent_cli_command ent_cli_key_rotate;
extern const ent_cli_command ent_cli_key_revoke;
extern const ent_cli_command ent_cli_key_prepare;
extern const ent_cli_command ent_cli_key_sign;
extern const ent_cli_command ent_cli_key_install;
extern const ent_cli_command ent_cli_channel_open;
extern const ent_cli_command ent_cli_channel_accept;
extern const ent_cli_command ent_cli_channel_refuse;
extern const ent_cli_command ent_cli_channel_list;
extern const ent_cli_command ent_cli_channel_show;
extern const ent_cli_command ent_cli_kinds;
extern const ent_cli_command ent_cli_agreement_new;
extern const ent_cli_command ent_cli_agreement_check;
extern const ent_cli_command ent_cli_agreement_diff;
extern const ent_cli_command ent_cli_agreement_fields;
extern const ent_cli_command ent_cli_agreement_show;
extern const ent_cli_command ent_cli_agreement_propose;
extern const ent_cli_command ent_cli_agreement_accept;
extern const ent_cli_command ent_cli_send;
extern const ent_cli_command ent_cli_list;
extern const ent_cli_command ent_cli_show;
extern const ent_cli_command ent_cli_open;
extern const ent_cli_command ent_cli_watch;
extern const ent_cli_command ent_cli_ledger;
extern const ent_cli_command ent_cli_report;
extern const ent_cli_command ent_cli_prove;
extern const ent_cli_command ent_cli_verify;
extern const ent_cli_command ent_cli_reveal;
extern const ent_cli_command ent_cli_fork_list;
extern const ent_cli_command ent_cli_fork_export;
extern const ent_cli_command ent_cli_fork_import;
extern const ent_cli_command ent_cli_pouch_export;
extern const ent_cli_command ent_cli_pouch_import;
extern const ent_cli_command ent_cli_backup;
extern const ent_cli_command ent_cli_restore;
extern const ent_cli_command ent_cli_recover;
extern const ent_cli_command ent_cli_release_channel;
extern const ent_cli_command ent_cli_status;
extern const ent_cli_command ent_cli_alerts;
extern const ent_cli_command ent_cli_audit;
extern const ent_cli_command ent_cli_doctor;

/** For verbs without options of their own. */
extern const ent_cli_option ent_cli_no_options[];

#endif
