/* The ledger of a channel, for people. */
#ifndef ENT_CLI_LEDGER_VIEW_H
#define ENT_CLI_LEDGER_VIEW_H

#include "cli/api.h"

enum { ENT_CLI_LEDGER_ROWS = 500 }; /* of each list that are read and shown */

/** Append MSG with the channel's short name: "north/boreal.example/3".
 *  @in   channel   an object with "alias" and "channel" */
void ent_cli_put_msg(ent_buf *buf, ent_json_value channel, ent_text message);

/** Append duties, one a row: when due, who owes what to whom, for which message, when its clock began, its state.
 *  @in   channel      as above
 *  @in   now_unix_s   what "in 3 h" counts from */
ENT_RC ent_cli_put_obligations(ent_cli *cli, ent_json_value channel, ent_json_value rows, int64_t now_unix_s,
                               ent_err *err);
/** Append how the agreement stands: 'in force until ...', 'expired ...'. No newline. */
void ent_cli_put_agreement_state(ent_cli *cli, ent_json_value agreement, int64_t now_unix_s);
/** Append who has suspended the channel, a line each; nothing when it is not.
 *  @in   indent   before each line */
void ent_cli_put_suspended(ent_cli *cli, ent_json_value ledger, unsigned indent);

/** Append the ledger of one channel.
 *  @in   ledger   as the API gives it, its lists perhaps shortened */
ENT_RC ent_cli_put_ledger(ent_cli *cli, ent_json_value ledger, ent_err *err);
/** Balances, answer times, checks, claims and what else a ledger tells below its duties. */
ENT_RC ent_cli_put_ledger_rest(ent_cli *cli, ent_json_value ledger, ent_err *err);

#endif
