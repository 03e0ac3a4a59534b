/* Values as people read them. */
#ifndef ENT_CLI_PEOPLE_H
#define ENT_CLI_PEOPLE_H

#include "base/json.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "crypto/types.h"

#include <inttypes.h>

/** "2021-05-30 09:12:00 UTC"; a text of another form is shown as it is, an empty one not at all. */
void ent_cli_put_time(ent_buf *buf, ent_text time);
void ent_cli_put_time_unix(ent_buf *buf, int64_t unix_s);
/** "1.2 MB". */
void ent_cli_put_bytes(ent_buf *buf, uint64_t bytes);
/** "1 entry" or "5 entries". */
void ent_cli_put_counted(ent_buf *buf, uint64_t count, const char *one, const char *many);
/** "the first entry" or "the first 5 entries". */
void ent_cli_put_first_entries(ent_buf *buf, uint64_t count);
/** A JSON value as indented lines, "name: value" and "- element"; a text, number or empty value on the line begun. */
void ent_cli_put_value(ent_buf *buf, ent_json_value value, unsigned indent);
/** The same behind "name:" or "-": on the same line when it has no parts. Ends the line. */
void ent_cli_put_nested(ent_buf *buf, ent_json_value value, unsigned indent);
/** The strings of an array: "a, b and c"; each safe for a terminal. */
void ent_cli_put_names(ent_buf *buf, ent_json_value names);
/** Strings of an array with only a separator between them. */
void ent_cli_put_joined(ent_buf *buf, ent_json_value texts, const char *separator);
/** "MSG at TIME: destroy": what a message's "recalled" says; empty when it was not recalled. */
void ent_cli_put_recall(ent_buf *buf, ent_json_value message);
/** The heading of a part: an empty line, and the title in bold on a line of its own. */
void ent_cli_put_title(ent_cli *cli, const char *title);
/** A label of two spaces, padded, on a line of its own: "  Arrived     ". */
void ent_cli_put_label(ent_buf *buf, const char *label);
/** First 160 bits of SHA-256 over a public key, in groups as a card's fingerprint. */
void ent_cli_put_key_fingerprint(ent_buf *buf, const ent_public_key *key);

#endif
