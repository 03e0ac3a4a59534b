/* Checkpoints: the head of a log as a note text.  Source: C2SP tlog-checkpoint. Extension lines are refused (design.md
 * section 2). */
#ifndef ENT_LOG_CHECKPOINT_H
#define ENT_LOG_CHECKPOINT_H

#include "log/note.h"

enum { ENT_ORIGIN_MAX_BYTES = 256 };
#define ENT_LOG_MAX_SIZE ((uint64_t)1 << 53)

/** Size and root of a log: what two sides compare. */
typedef struct {
    uint64_t size;
    ent_hash root;
} ent_tree_head;

typedef struct {
    ent_text origin; /* borrows */
    ent_tree_head head;
} ent_checkpoint;

/** Parse a note text: exactly three lines "origin\nsize\nbase64 root\n"; a tree of no entries has the empty root.
 *  @out  ret   origin borrows from text
 *  Errors: PEER_MALFORMED. */
ENT_RC ent_checkpoint_parse(ent_text text, ent_checkpoint *ret, ent_err *err);
void ent_checkpoint_put(ent_buf *buf, ent_text origin, const ent_tree_head *head);

/** Parse a signed checkpoint note and verify the log's own signature (type 01, name = origin).
 *  @in   bytes   borrowed as long as ret_note lives
 *  @in   key     the log's public key; the vkey's name is the origin
 *  @out  ret_note   release with ent_note_release
 *  Errors: PEER_MALFORMED, PEER_SIGNATURE, PEER_MISMATCH (another origin), NOMEM. */
ENT_RC ent_checkpoint_open(ent_bytes bytes, ent_text origin, const ent_public_key *key, ent_note *ret_note,
                           ent_checkpoint *ret, ent_err *err);

/** Append the signed head of a log: text, blank line, one signature.  Errors: USAGE, NOMEM. */
ENT_RC ent_checkpoint_sign(ent_text origin, const ent_tree_head *head, const ent_secret_key *secret, ent_buf *ret,
                           ent_err *err);

#endif
