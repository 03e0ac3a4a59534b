/* The steps of a pouch check, one file each. Private to this stage.  Source: design.md section 3. */
#ifndef ENT_POUCH_CHECK_STEPS_H
#define ENT_POUCH_CHECK_STEPS_H

#include "pouch/check.h"

#include <inttypes.h>

/* err.rule of each step. */
#define ENT_STEP_HEAD "design 3, step 3"
#define ENT_STEP_HELD "design 3, step 4"
#define ENT_STEP_ROOT "design 3, step 5"
#define ENT_STEP_ENTRIES "design 3, step 6"
#define ENT_STEP_BODIES "design 3, step 7"

/** A check under way. `out` is filled as it goes and handed over when all is well. */
typedef struct {
    const ent_pouch *pouch;
    const ent_pouch_known *known;
    ent_pouch_checked *out;
    /* Of every entry in the pouch, from old_size on. The first `overlap` of them are held already. */
    ent_bytes *entry_bytes;
    ent_hash *leaves;
    size_t entry_count;
    size_t overlap;
    uint32_t forked; /* bit per member whose log forked, as known before or shown by this pouch */
} ent_pouch_checking;

/** Name of a member, for errors. */
ent_text ent_pouch_checking_name(const ent_pouch_checking *checking, size_t member);
/** Memory of the result, zeroed.  Errors: NOMEM. */
ENT_RC ent_pouch_checking_alloc(ent_pouch_checking *checking, size_t count, size_t size, void **ret, ent_err *err);
/** Name the step in a failure that was passed on, if it is the sender's, and say where it was found. */
ENT_RC ent_pouch_checking_fail_in(ent_err *err, ent_rc rc, const char *step, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Open a signed head of a member's log, by the key for its size.
 *  @out  ret_replaced   nullable; true, without a failure, when a key signed that had been replaced before */
ENT_RC ent_pouch_checking_open(const ent_pouch_checking *checking, size_t member, ent_bytes bytes, ent_text origin,
                               ent_note *ret_note, ent_checkpoint *ret, bool *ret_replaced, ent_err *err);
/** Whether a member's log forked: what others say of it may be of another history than ours. */
static inline bool ent_pouch_checking_forked(const ent_pouch_checking *checking, size_t member)
{
    return (checking->forked >> member & 1) != 0;
}
/** Whether one of these heads is a member's, of at least that size. */
bool ent_pouch_checking_reaches(const ent_checked_head *heads, size_t count, size_t member, uint64_t size);
/** Keep a fork that was found, and pass over what contradicts from there on. */
void ent_pouch_checking_fork(ent_pouch_checking *checking, const ent_checked_fork *fork);
/** Proofs of forks: each of a member's log, by its key, and verified. Fills forks. */
ENT_RC ent_pouch_check_forks(ent_pouch_checking *checking, ent_err *err);
/** Heads: each signed by its log; one that contradicts our copy is a fork. Fills heads, passed and forks. */
ENT_RC ent_pouch_check_heads(ent_pouch_checking *checking, ent_err *err);
/** Receipts: each signed by its receiver; what is at odds with what we hold, or with the pouch's own entries, is set
 * apart. Fills receipts and apart. */
ENT_RC ent_pouch_check_receipts(ent_pouch_checking *checking, ent_err *err);
/** New entries: canonical, in their place, their references and acks. Fills entries and acked. */
ENT_RC ent_pouch_check_entries(ent_pouch_checking *checking, ent_err *err);
/** Bodies: what the entries say, each once, none besides. Fills bodies. */
ENT_RC ent_pouch_check_bodies(ent_pouch_checking *checking, ent_err *err);

#endif
