/* The members of a pouch in their one order: what the writer lists and the reader holds a listing to. Private to this
 * stage. */
#ifndef ENT_POUCH_MEMBERS_H
#define ENT_POUCH_MEMBERS_H

#include "pouch/pouch.h"
#include "pouch/ustar.h"

enum {
    ENT_POUCH_MAX_PARTIES = ENT_ENTRY_MAX_MEMBERS + 1, /* the members and a neutral: cards, cutoffs, heads, forks */
    ENT_POUCH_MAX_MEMBERS = 3 + 4 * ENT_POUCH_MAX_PARTIES + ENT_POUCH_MAX_RECEIPTS + ENT_POUCH_MAX_ENTRIES,
    ENT_POUCH_MAX_INDEX_BYTES = 2 << 20 /* more than that many members with the longest names take */
};
#define ENT_POUCH_INDEX_NAME ENT_TEXT("pouch.json")

/** Check counts, sizes, sorting, names, and that no part is empty: all that a pouch's parts must fulfil before a byte
 * of them is looked at.
 *  @in   code   what to give for a part that is not allowed: USAGE when writing, PEER_MALFORMED when reading
 *  Errors: the code (the text names the part), PEER_TOO_LARGE for a count. */
ENT_RC ent_pouch_parts_check(const ent_pouch *pouch, ent_code code, ent_err *err);

/** Number of members beside pouch.json. */
size_t ent_pouch_member_count(const ent_pouch *pouch);

/** Name and data of the member at 0 <= at < count, in the order of the file. Needs parts that were checked.
 *  @out  name_memory   where a composed name is written; ret_name borrows from it */
void ent_pouch_member_at(const ent_pouch *pouch, size_t at, char name_memory[ENT_USTAR_NAME_MAX + 1],
                         ent_text *ret_name, ent_bytes *ret_data);

#endif
