/* Figures of a report against its own lines: a report that names all it counts can be added up anew. */
#ifndef ENT_CLI_VERIFY_SUMS_H
#define ENT_CLI_VERIFY_SUMS_H

#include "base/alloc.h"
#include "base/json.h"

typedef struct ent_cli_tally ent_cli_tally;

/** Lines seen so far. Zero-initialise, release with ent_cli_tallies_release. */
typedef struct {
    ent_cli_tally *rows;
    size_t count;
    size_t capacity;
    uint64_t exercises;
    ent_arena arena;
} ent_cli_tallies;
void ent_cli_tallies_release(ent_cli_tallies *tallies);

/** Take a line, whose proof holds, into the account.
 *  Errors: PEER_MISMATCH when what it says of itself does not go together, NOMEM. */
ENT_RC ent_cli_tallies_add(ent_cli_tallies *tallies, ent_json_value line, ent_err *err);
/** No line may stand twice, and the figures are those of the lines.
 *  @in   head    the report without its lines and proofs; figures of a published one are not checked: they count what
 *                it does not name
 *  Errors: PEER_MISMATCH, NOMEM. */
ENT_RC ent_cli_tallies_check(ent_cli_tallies *tallies, ent_json_value head, ent_err *err);

#endif
