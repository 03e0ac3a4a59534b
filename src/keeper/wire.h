/* What a node and its keeper say to each other, when the keeper is a process of its own: each message's writer beside
 * its reader. Both are the same program, so that there is no version; the reader takes only what the writer writes.
 *
 *  request   u8 kind, then  SIGN    u16 count, each: u8 what, u16 size and origin, u64 size, root, u64 time,
 *                                   the key that signs, u8 count and hashes that show how it extends what was signed
 *                           MARK    u8 what, u16 size and origin
 *                           KEY     u8 role, u64 serial
 *                           TLS_KEY u64 serial
 *                           UNWRAP  the age header, to the end
 *  answer    u8 kind, u8 code, u8 size and rule, u16 size and text of what went wrong; then, when the code is 0,
 *                           PUBLICS  log, receipt and age key
 *                           KEY      the public key, 32 bytes
 *                           TLS_KEY  nothing; a sealed memory file comes with it
 *                           SIGN     u16 count, each: u8 code, the signature if it is 0
 *                           MARK     u64 size, root
 *                           UNWRAP   the file key
 * Integers are big-endian. A message stands in a frame: lane.h. */
#ifndef ENT_KEEPER_WIRE_H
#define ENT_KEEPER_WIRE_H

#include "base/alloc.h"
#include "keeper/keeper.h"

enum { ENT_WIRE_MAX_ITEMS = 256, ENT_WIRE_MAX_BYTES = 1 << 20 };

typedef enum {
    ENT_WIRE_PUBLICS = 1,
    ENT_WIRE_TLS_KEY,
    ENT_WIRE_SIGN,
    ENT_WIRE_MARK,
    ENT_WIRE_UNWRAP,
    ENT_WIRE_KEY
} ent_wire_kind;

/** What the node asks. Texts and bytes are borrowed from the message; the rest lies in the arena. */
typedef struct {
    ent_wire_kind kind;
    ent_keeper_request *items; /* SIGN */
    size_t count;
    ent_keeper_what what; /* MARK */
    ent_text origin;
    ent_bytes header;  /* UNWRAP */
    ent_key_role role; /* KEY */
    uint64_t serial;   /* KEY, TLS_KEY */
    ent_arena arena;
} ent_wire_request;

/** Append a request.  Errors: USAGE (an origin over 64 KiB, over ENT_WIRE_MAX_ITEMS items), NOMEM. */
ENT_RC ent_wire_request_put(const ent_wire_request *request, ent_buf *buf, ent_err *err);
/** Errors: PEER_MALFORMED, NOMEM.  Owns: release with ent_wire_request_release. */
ENT_RC ent_wire_request_parse(ent_bytes bytes, ent_wire_request *ret, ent_err *err);
void ent_wire_request_release(ent_wire_request *request);

/** What the keeper answers. */
typedef struct {
    ent_wire_kind kind;
    ent_err outcome;            /* code ENT_OK when it was done; a text may stand there then too */
    ent_keeper_publics publics; /* PUBLICS */
    ent_keeper_request *items;  /* SIGN: rc and signature alone; the reader's, as many as it asked for */
    size_t count;
    ent_tree_head mark; /* MARK */
    uint8_t value[32];  /* KEY */
    ent_file_key key;   /* UNWRAP; wiped by its owner */
} ent_wire_answer;

/** Append an answer.  Errors: NOMEM. */
ENT_RC ent_wire_answer_put(const ent_wire_answer *answer, ent_buf *buf, ent_err *err);
/** Read the answer to a request of answer->kind with answer->count items.
 *  @in   answer   kind, items and count set; the rest is filled in
 *  Errors: PEER_MALFORMED (then items may be partly filled). What went wrong over there is answer->outcome. */
ENT_RC ent_wire_answer_parse(ent_bytes bytes, ent_wire_answer *answer, ent_err *err);

#endif
