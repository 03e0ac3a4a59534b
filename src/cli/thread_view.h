/* A thread, for people. */
#ifndef ENT_CLI_THREAD_VIEW_H
#define ENT_CLI_THREAD_VIEW_H

#include "cli/say.h"

/** Append how a thread stands: its tracks, duties, messages that it does not allow, what may be said next, custody.
 *  @in   channel   an object with "alias" and "channel"
 *  @in   json      the API's answer
 *  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_cli_put_thread(ent_cli *cli, ent_json_value channel, const ent_buf *json, ent_err *err);

#endif
