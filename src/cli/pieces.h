/* JSON documents of any size, taken apart without reading what they hold: the reader of base/json.h takes at most
 * ENT_JSON_MAX_BYTES at once, an answer about a hundred thousand open threads is larger. */
#ifndef ENT_CLI_PIECES_H
#define ENT_CLI_PIECES_H

#include "base/json.h"

/** A walk over the members of an object, or the elements of an array. */
typedef struct {
    ent_text rest;
    char end; /* '}' or ']' */
    bool begun;
    bool done;
} ent_cli_pieces;

/** Start; the text borrows.  Errors: PEER_MALFORMED when it is neither object nor array. */
ENT_RC ent_cli_pieces_of(ent_text json, ent_cli_pieces *ret, ent_err *err);
/** Give the next piece. Values come as they are written and must be parsed, which is what checks them.
 *  @out  ret_key     without its quotes, as it is written; empty in an array
 *  @out  ret_value   data is NULL when there is no more
 *  Errors: PEER_MALFORMED. */
ENT_RC ent_cli_pieces_next(ent_cli_pieces *pieces, ent_text *ret_key, ent_text *ret_value, ent_err *err);

/** Append an object's text with at most `most` elements in each array of it, at any depth.
 *  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_cli_shorten(ent_text json, size_t most, ent_buf *ret, ent_err *err);
/** How many elements the array has that is this member of the object; 0 for anything else. */
size_t ent_cli_pieces_count(ent_text json, const char *member);

#endif
