/* What the two forms of `entente kinds` say alike. */
#ifndef ENT_CLI_KINDS_H
#define ENT_CLI_KINDS_H

#include "cli/cli.h"
#include "ledger/machine.h"

/** Families in the order of the design. */
extern const char *const ent_cli_families[]; /* ends with NULL */
bool ent_cli_kind_in(const ent_kind *kind, const char *family);

/** Append what is particular about a kind: "waits for an answer; passes while the channel is suspended". */
void ent_cli_put_kind_flags(ent_buf *buf, const ent_kind *kind);
/** Who may say it. */
const char *ent_cli_kind_said_by(const ent_kind *kind);
/** What it may reply to. */
const char *ent_cli_kind_replies(const ent_kind *kind);
/** Whether a machine begins with a kind, or has an arrow for it. */
bool ent_cli_machine_takes(const ent_machine *machine, ent_text kind);
/** Who takes an arrow: "by the opener". */
const char *ent_cli_side_words(ent_side side);
/** Append the command that says it. */
void ent_cli_put_kind_command(ent_buf *buf, const ent_kind *kind, const char *option);

/** Append a table of the fields of an object's schema, as Markdown.  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_cli_put_fields_markdown(ent_buf *buf, ent_json_value schema, ent_err *err);
/** Append docs/kinds.md.  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_cli_put_kinds_markdown(ent_buf *buf, ent_err *err);

#endif
