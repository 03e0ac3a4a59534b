/* Audit: every leaf, tile, root, signature, body and attachment that a node keeps is computed anew and compared.
 * Source: design.md section 10 "audit".
 *
 * It reads the store alone, as committed, so it runs beside a node at work: each log is audited as far as it was when
 * its turn came. What it finds comes as lines of JSON (docs/api.md "audit"), a bounded piece of work at a time.
 *
 *  audit.c           channels and logs in turn, lines
 *  audit_log.c       entries, bodies, tiles, the tree
 *  audit_evidence.c  heads, receipts, marks
 *  audit_blobs.c     attachments */
#ifndef ENT_NODE_AUDIT_H
#define ENT_NODE_AUDIT_H

#include "node/node.h"

/** What is audited; all of it borrowed for the audit's life. */
typedef struct {
    ent_store *store;
    const char *name;  /* the party's */
    const char *blobs; /* folder of the sealed attachments */
    /** The keeper's mark.  Errors: ABSENT when there is none. */
    ENT_RC (*mark)(void *context, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err);
    void *context;
} ent_audit_source;

typedef struct ent_audit ent_audit;

/** Begin.
 *  @in   channel   alias or at least 8 digits of an id; empty = all channels
 *  Errors: ABSENT when no channel is called so, those of the store.
 *  Owns: caller frees with ent_audit_free. */
ENT_RC ent_audit_new(const ent_audit_source *source, ent_text channel, ent_audit **ret, ent_err *err);
void ent_audit_free(ent_audit *audit); /* NULL is fine */
/** Do a piece of work of about a megabyte.
 *  @out  ret_lines   appended: whole lines, often none
 *  @out  ret_end     nothing is left; the last line said what came of it
 *  Errors: NOMEM and what keeps the store from being read at all; what is damaged is a finding. */
ENT_RC ent_audit_step(ent_audit *audit, ent_buf *ret_lines, bool *ret_end, ent_err *err);
/** How much was found so far. */
uint64_t ent_audit_findings(const ent_audit *audit);

/** A stopped node: print the audit of its folder on standard output, line by line.
 *  @out  ret_clean   nothing was found
 *  Errors: ABSENT when there is no store, REFUSED when a node has it open, those of the above.  Blocks: yes. */
ENT_RC ent_audit_folder(const char *folder, ent_text channel, bool *ret_clean, ent_err *err);

#endif
