/* How slow a client may be. For tests, which cannot wait half a minute; programs keep what design.md section 8 says. */
#ifndef ENT_HTTP_PACE_H
#define ENT_HTTP_PACE_H

#include "http/server.h"

/** Change the pace of a server that runs.
 *  @in   window_ms   a connection that is to move bytes moves 1 KiB/s over this long, else it is closed (30,000)
 *  @in   idle_ms     time from connecting, or from the last answer, to complete request headers (60,000) */
void ent_http_server_set_pace(ent_http_server *server, unsigned window_ms, unsigned idle_ms);

#endif
