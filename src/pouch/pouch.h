/* The pouch: the one thing that crosses a border.  Source: design.md section 2 "Pouch".
 *
 * Members, in this order: pouch.json, genesis, cards/<party>, cutoffs/<party>, checkpoint, heads/<party>,
 * forks/<party>, receipts/<nnnn>-<receiver>, entries, bodies/<index>.age. Only pouch.json and checkpoint must be there,
 * none is empty; <nnnn> counts from 0000. heads/<party> holds one or more signed notes, one behind the other, sizes
 * ascending. pouch.json is canonical JSON without a newline,
 *   {"v":1,"origin":…,"old_size":n,"size":n,"members":[{"name":…,"size":n},…]}
 * listing every other member in order. */
#ifndef ENT_POUCH_POUCH_H
#define ENT_POUCH_POUCH_H

#include "message/genesis.h"

enum {
    ENT_POUCH_MAX_BYTES = 64 << 20,
    ENT_POUCH_MAX_ENTRIES = 16384,
    ENT_POUCH_MAX_RECEIPTS = 4096,
    ENT_POUCH_MAX_HEADS = 4096, /* notes, of all logs together */
    ENT_POUCH_VERSION = 1
};

typedef struct {
    ent_text party; /* or receiver */
    ent_bytes data;
} ent_pouch_item;

typedef struct {
    uint64_t index;
    ent_bytes sealed;
} ent_pouch_body;

/** A pouch's parts. Bytes borrow: from what was parsed, or from the caller when writing. Arrays of a parsed pouch are
 * in its arena. */
typedef struct {
    ent_text origin;
    uint64_t old_size;
    uint64_t size;
    ent_bytes genesis;     /* empty when absent */
    ent_pouch_item *cards; /* sorted by party, as cutoffs, heads and forks */
    size_t card_count;
    ent_pouch_item *cutoffs;
    size_t cutoff_count;
    ent_bytes checkpoint;  /* signed note of the writer's newest head, of size `size` */
    ent_pouch_item *heads; /* signed notes of a log, one behind the other: ent_pouch_head_next */
    size_t head_count;
    ent_pouch_item *forks; /* proofs that this party's log forked */
    size_t fork_count;
    ent_pouch_item *receipts; /* notes whose one signature line is a cosignature; party = receiver */
    size_t receipt_count;
    ent_bytes entries;      /* bundle of entries old_size .. size-1; empty when there are none */
    ent_pouch_body *bodies; /* by index, for entries that have one */
    size_t body_count;
    ent_arena arena;
} ent_pouch;

/** Append the pouch, whole or not at all.  Errors: USAGE naming the part, PEER_TOO_LARGE over 64 MiB, NOMEM. */
ENT_RC ent_pouch_put(ent_buf *buf, const ent_pouch *pouch, ent_err *err);
/** Upper bound of the bytes the parts will take, so that a packer can stop in time. */
uint64_t ent_pouch_size_bound(const ent_pouch *pouch);

/** Parse whole bytes: structure only, nothing is verified. Writing the result again gives the same bytes.
 *  @in   bytes   borrowed as long as the pouch lives
 *  Errors: PEER_MALFORMED (names offset or member), PEER_TOO_LARGE, NOMEM.  Owns: release with ent_pouch_release. */
ENT_RC ent_pouch_parse(ent_bytes bytes, ent_pouch *ret, ent_err *err);
void ent_pouch_release(ent_pouch *pouch);

/** Cut the next note off what is left of a heads/ member: text, blank line, signature lines. Nothing is checked: what
 * is no note comes out as one that does not parse.
 *  @in   rest   moved behind the note
 *  @out  ret    the note
 *  Returns false, and leaves ret, when nothing is left. */
bool ent_pouch_head_next(ent_bytes *rest, ent_bytes *ret);

/** One member as pouch.json lists it. */
struct ent_pouch_listed {
    ent_text name;
    uint64_t size;
};

/** pouch.json alone. */
typedef struct {
    ent_text origin;
    uint64_t old_size;
    uint64_t size;
    struct ent_pouch_listed *members;
    size_t member_count;
} ent_pouch_index;
/** Append pouch.json.  Errors: USAGE, PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_pouch_index_put(ent_buf *buf, const ent_pouch_index *index, ent_err *err);
/** Decode exactly what the writer writes.
 *  @in   bytes   borrowed as long as ret lives; the list of members is in arena
 *  Errors: PEER_NOT_CANONICAL (another spelling, or no JSON), PEER_MALFORMED (a value is not allowed), PEER_TOO_LARGE,
 *  NOMEM. */
ENT_RC ent_pouch_index_parse(ent_bytes bytes, ent_arena *arena, ent_pouch_index *ret, ent_err *err);

#endif
