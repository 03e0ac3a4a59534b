/* Checking a pouch against what is held: steps 3 to 7 of design.md section 3, in that order. Pure: what is held comes
 * through callbacks. */
#ifndef ENT_POUCH_CHECK_H
#define ENT_POUCH_CHECK_H

#include "log/cosignature.h"
#include "log/tree.h"
#include "pouch/pouch.h"
#include "seal/keys.h"

/** What the receiver holds of the channel. */
typedef struct {
    const ent_genesis *genesis;
    ent_hash channel;
    size_t self;           /* our index in genesis members */
    size_t writer;         /* whose log the pouch carries */
    const ent_tree *tree;  /* right edge of that log as stored; size 0 when nothing is held */
    ent_tile_reader tiles; /* of that log */
    /** Root of our copy of a member's log at a size; *ret_known false when our copy is shorter. */
    ENT_RC (*root_at)(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *err);
    /** Whether a head has come to us before, signed by its log: one of a log we hold less of, or one that was passed
     * over. */
    ENT_RC (*head_held)(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *err);
    void *context;
    const ent_keys *keys[ENT_ENTRY_MAX_MEMBERS]; /* per member; NULL: those of the genesis alone */
    uint64_t acked[ENT_ENTRY_MAX_MEMBERS];       /* per member: largest size the stored entries of this writer ack */
    uint32_t forked;                             /* bit per member whose log is known to have forked */
} ent_pouch_known;

typedef enum {
    ENT_POUCH_NOT_CHECKED = 0,
    ENT_POUCH_NEW,   /* entries first_new .. head.size-1 can be stored */
    ENT_POUCH_HELD,  /* nothing new, and the root is ours */
    ENT_POUCH_FORKED /* the writer's log forked: the pouch's signed head contradicts what is held */
} ent_pouch_verdict;

/** A verified head of another member's log. */
typedef struct {
    size_t member;
    ent_tree_head head;
    ent_bytes note;
    bool acked; /* by a new entry of the pouch */
} ent_checked_head;

/** A log that forked, as the pouch shows: by a head that contradicts our copy, or by a proof. */
typedef struct {
    size_t member;
    ent_tree_head head; /* of the note */
    ent_bytes note;     /* empty when there is a proof */
    ent_bytes proof;    /* verified */
} ent_checked_fork;

/** A verified receipt: `receiver` holds `member`'s log up to head. */
typedef struct {
    size_t member;
    size_t receiver;
    ent_tree_head head;
    ent_cosignature cosignature;
    uint32_t key; /* place among the receiver's receipt keys */
    bool is_new;  /* the storer's: false after the check */
    bool apart;   /* of another root than that log has here */
} ent_checked_receipt;

typedef struct {
    ent_pouch_verdict verdict;
    ent_tree_head head; /* the pouch's checkpoint */
    ent_tree tree;      /* right edge after the new entries */
    uint64_t first_new;
    size_t new_count;
    ent_entry *entries;     /* new_count, decoded */
    ent_bytes *entry_bytes; /* borrow from the pouch */
    ent_bytes *bodies;      /* sealed; empty when the entry has none */
    ent_hash *leaves;
    ent_checked_head *heads;
    size_t head_count;
    ent_checked_head
        *passed; /* by a key that was replaced or revoked, beyond its cutoff: they say nothing of the log */
    size_t passed_count;
    ent_checked_receipt *receipts;
    size_t receipt_count;
    ent_checked_receipt *apart; /* for another root than that log has here: each shows what its giver holds instead */
    size_t apart_count;
    uint64_t acked[ENT_ENTRY_MAX_MEMBERS]; /* after the new entries */
    ent_checked_fork *forks;               /* of logs that were not known to have forked */
    size_t fork_count;
    /* FORKED, and nothing else but head and first_new is of use then: */
    ent_hash fork_root_held;     /* our root at the head's size, or at the size held when that is smaller */
    const ent_hash *fork_leaves; /* of the pouch's entries from its old size on, when its head is larger than ours */
    size_t fork_leaf_count;
    ent_arena arena;
} ent_pouch_checked;

/** Check.
 *
 *  Every entry and body is hashed once and none is copied. Heads, proofs of forks and receipts are part of step 6. A
 * fork of the writer's log ends the check: then only head, first_new and the fork_ fields say something, and nothing of
 * the pouch is to be stored. That of another log is no fault of the one who shows it: it is given in forks, what the
 * pouch says of that log's other history is passed over, and the check goes on. So it does when a head is by a key that
 * was replaced before (given in passed), and when a receipt is for another root than its log has here (in apart). Cards
 * and cutoffs are not looked at (step 2 is the caller's).
 *  @in   pouch   parsed, borrowed as long as ret lives; its origin is known to be writer's in this channel
 *  @in   known   borrowed for the call; decoded entries do not borrow from it
 *  @out  ret     zeroed by the caller; after a failure it holds the forks that were found before, and nothing else
 *  Errors: PEER_SIGNATURE (step 3: the checkpoint; step 6: a head, a receipt), PEER_STALE (step 4: old size beyond what
 * is held), PEER_MISMATCH (an entry that overlaps and that no signed head commits to, another channel, writer or index,
 * a party that is no member, digest or size of a body), PEER_INCONSISTENT (step 5: number of entries, or the root does
 * not follow; step 6: an ack that no log signed, a receipt of our log for more than it has), PEER_MALFORMED,
 * PEER_NOT_CANONICAL, PEER_INVALID (step 6), PEER_TOO_LARGE, NOMEM, those of the callbacks. For each PEER error
 * err.rule is "design 3, step N" and the text names member or entry. Owns: release with ent_pouch_checked_release. */
ENT_RC ent_pouch_check(const ent_pouch *pouch, const ent_pouch_known *known, ent_pouch_checked *ret, ent_err *err);
void ent_pouch_checked_release(ent_pouch_checked *checked);

#endif
