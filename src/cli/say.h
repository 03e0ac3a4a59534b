/* Saying something: what `entente send` and the verbs that say one particular thing share. */
#ifndef ENT_CLI_SAY_H
#define ENT_CLI_SAY_H

#include "cli/api.h"
#include "message/kind.h"

/** What is to be said. Zero-initialise, release with ent_cli_saying_release. */
typedef struct {
    const char *kind;
    const char *channel;
    char *channel_memory; /* when it was taken from the message that is answered */
    char *reply_to;       /* NULL = nothing */
    ent_marking marking;
    ent_urgency urgency;
    uint64_t timeout_s;
    const char *wait;
    const char *names[ENT_ENTRY_MAX_ATTACHMENTS];
    size_t attachment_count;
    ent_buf body;
    ent_buf attachments; /* rows as the node gave them, with commas between */
} ent_cli_saying;
void ent_cli_saying_release(ent_cli_saying *saying);

/** Name the message that is answered: MSG, or PARTY/INDEX when the channel is named apart. Gives the channel too.
 *  @in   value   NULL = none
 *  Errors: USAGE, NOMEM. */
ENT_RC ent_cli_saying_reply(ent_cli_saying *saying, const char *value, ent_err *err);
/** Read --to, --marking, --urgency, --wait and --timeout, as far as the verb has them.  Errors: USAGE. */
ENT_RC ent_cli_saying_words(const ent_cli *cli, ent_cli_saying *saying, ent_err *err);
/** Whether a body is one of its kind, as the node will check it.  Errors: PEER_MALFORMED, PEER_INVALID, NOMEM. */
ENT_RC ent_cli_body_check(const char *kind, ent_text body, size_t attachments, ent_err *err);
/** Hand it to the node. */
ENT_RC ent_cli_say(const ent_cli *cli, const ent_cli_saying *saying, ent_cli_answer *ret, ent_err *err);
/** Print its MSG.  Errors: WAITING when what was waited for has not come. */
ENT_RC ent_cli_say_told(ent_cli *cli, const ent_cli_saying *saying, const ent_cli_answer *answer, ent_err *err);

/** Digest of the sealed body of a message, as 64 hex digits and a NUL.  Errors: the node's; PEER_MALFORMED. */
ENT_RC ent_cli_body_digest(const ent_cli *cli, const char *message, char ret[65], ent_err *err);
/** Fill in what a comm check or the answer to one needs, when its body gives neither nonce nor echo: a fresh nonce and
 * reply_by, or the nonce of the check that is answered.  Errors: the node's; PEER_INVALID when that is none; NOMEM. */
ENT_RC ent_cli_check_fill(const ent_cli *cli, ent_cli_saying *saying, ent_err *err);
/** Ask the node and parse the answer, also with --json. */
ENT_RC ent_cli_ask_parsed(const ent_cli *cli, const ent_cli_request *request, ent_cli_answer *ret, ent_err *err);

#endif
