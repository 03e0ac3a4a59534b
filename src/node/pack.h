/* Packing: what a member lacks of a log that we hold, ours or another member's, as one pouch.  Source: design.md
 * section 2 "Pouch": "Any member may carry any member's log." */
#ifndef ENT_NODE_PACK_H
#define ENT_NODE_PACK_H

#include "node/node.h"

typedef struct {
    ent_buf bytes;
    uint32_t of; /* whose log */
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    uint64_t old_size;
    uint64_t size;
    unsigned forks; /* so many of the channel's forks were known: their proofs are in it */
    int64_t
        receipts_upto[ENT_ENTRY_MAX_MEMBERS]; /* per log: receipt numbers up to this one are in it, or were before */
    unsigned forgot;                      /* the count of `forgot` then: what it forgets meanwhile is told it again */
    uint64_t keys[ENT_ENTRY_MAX_MEMBERS]; /* per member: the keys that the receiver has been told of then */
} ent_packed;
void ent_packed_release(ent_packed *packed);

enum { ENT_PACK_ENTRIES_MOST = 1024 }; /* design 11: entries a batch by default */

typedef enum { ENT_PACK_NOTHING = 0, ENT_PACK_RECEIPTS, ENT_PACK_KEYS, ENT_PACK_FORK, ENT_PACK_ENTRIES } ent_pack_want;
/** What member `to` lacks: entries of the log of member `of`, or else, of our own log, proofs of forks, keys of ours
 * that no entry tells of, or receipts of any log. Receipts alone are less pressing, for it most likely got ours with
 * the answers to its own pouches. */
ENT_RC ent_pack_wanted(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, ent_pack_want *ret,
                       ent_err *err);
/** Pack the log of member `of` for member `to`, from what that member has confirmed to the newest signed head, or as
 * far as one pouch goes, with the receipts of all logs that it may lack and can check.
 *  @in   to   another member than `of`
 *  Errors: REFUSED_NOT_OPEN when we hold no entry 0 of that log, REFUSED_KEEPER when it is ours and our head is held,
 *  those of the store. */
ENT_RC ent_pack(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, ent_packed *ret, ent_err *err);
/** The same, a part of it.
 *  @in   from   entry that it begins with: what goes before is on its way already; 0 = what that member has confirmed
 *  @in   most   entries, for a peer with little room; of another's log as near to it as its heads allow; 0 = as many as
 *               one pouch takes
 *  Errors: also USAGE when `from` is more than is held or signed. */
ENT_RC ent_pack_part(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, uint64_t from, uint64_t most,
                     ent_packed *ret, ent_err *err);
/** Pack the log of member `of` from a given entry on, for somebody who may have lost all else: with every receipt of
 * that log for the sizes that the pouch adds, no matter who gave it.
 *  @in   to         for whom; may be `of`
 *  @in   old_size   at most what is held
 *  Errors: those of ent_pack, USAGE when less than old_size is held or signed. */
ENT_RC ent_pack_again(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, uint64_t old_size,
                      ent_packed *ret, ent_err *err);

#endif
