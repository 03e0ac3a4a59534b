/* The peers' listener: POST /pouch and PUT /blob/<sha256>.  Source: design.md section 3. */
#ifndef ENT_NODE_BORDER_H
#define ENT_NODE_BORDER_H

#include "node/node.h"

/** The handler to give to ent_http_server_peers. */
ent_http_handler ent_border_http_handler(ent_node *node);

#endif
