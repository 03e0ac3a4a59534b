/* What is wrong with a node at work, why it matters and what to do about it.  Source: design.md section 10 "doctor". */
#ifndef ENT_NODE_DOCTOR_H
#define ENT_NODE_DOCTOR_H

#include "node/node.h"

/** Write the findings as an array:
 * [{"level":"problem"|"note","what","channel","alias","party","since","text","matters", "todo"}…] (docs/api.md
 * "doctor"). Errors: those of the store. */
ENT_RC ent_doctor_put(ent_node *node, ent_json_writer *writer, ent_err *err);

#endif
