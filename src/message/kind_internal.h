/* The compiled schemas. Private to kind*.c and body*.c. */
#ifndef ENT_MESSAGE_KIND_INTERNAL_H
#define ENT_MESSAGE_KIND_INTERNAL_H

#include "message/kind.h"

enum { ENT_KIND_COUNT = 60 };

extern const ent_kind ent_kind_rows[ENT_KIND_COUNT];

struct ent_kinds {
    ent_schema *envelope;
    ent_schema **fields; /* one per row of the table */
};

/** Row of a kind in the table, or ent_kind_count() for an unknown one. */
size_t ent_kind_row(ent_text name);

/** What the schema of a known kind cannot say; the body fulfils the schema.  Errors: PEER_INVALID, NOMEM. */
ENT_RC ent_body_check_further(ent_text kind, const ent_body *body, ent_err *err);

#endif
