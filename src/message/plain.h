/* Canonical JSON of entries and genesis: one writer and one strict reader for both. Private to this stage.
 * Source: design.md section 2 "Entry": "Strings hold bytes 20-7E without '"' and '\', so escapes do not exist ...;
 * integers 0...2^53-1; lower-case hex". There is one spelling of every value, so a reader can compare instead of
 * interpret. */
#ifndef ENT_MESSAGE_PLAIN_H
#define ENT_MESSAGE_PLAIN_H

#include "base/alloc.h"
#include "base/cursor.h"
#include "message/entry.h"

#define ENT_PLAIN_MAX_INTEGER (((uint64_t)1 << 53) - 1)

/** Reads what the writer below writes. Sticky: after the first failure every read fails; ent_plain_finish tells.
 *  Texts borrow from a copy of the input in the arena. */
typedef struct {
    ent_cursor cursor;
    ent_arena *arena;
    const char *field; /* the member being read, for the error */
    bool no_memory;
} ent_plain_reader;

/** Start reading; the bytes are copied into the arena.  Errors: NOMEM through ent_plain_finish. */
ent_plain_reader ent_plain_reader_of(ent_bytes bytes, ent_arena *arena);
/** Consume these exact characters. */
void ent_plain_expect(ent_plain_reader *reader, const char *literal);
/** Consume them if they are next. */
bool ent_plain_accept(ent_plain_reader *reader, const char *literal);
/** Consume `"name":` (with a comma before it unless it is the object's first) and name the field in errors from here
 * on. */
void ent_plain_first(ent_plain_reader *reader, const char *name);
void ent_plain_key(ent_plain_reader *reader, const char *name);
ent_text ent_plain_text(ent_plain_reader *reader);
void ent_plain_hex(ent_plain_reader *reader, void *out, size_t size);
uint64_t ent_plain_integer(ent_plain_reader *reader);
bool ent_plain_bool(ent_plain_reader *reader);
/** `"party/index"` or null; tells which. */
bool ent_plain_ref(ent_plain_reader *reader, ent_message_ref *ret);
/** Whether another element of an array of at most limit follows; consumes the bracket or comma. */
bool ent_plain_next(ent_plain_reader *reader, size_t count, size_t limit);
/** An array for the elements that follow, all zero; NULL marks the reader failed. */
void *ent_plain_array(ent_plain_reader *reader, size_t count, size_t size);
/** Whether everything was read and nothing is left.
 *  @in   what   "entry" or "genesis", for the error
 *  Errors: PEER_MALFORMED (no JSON), PEER_NOT_CANONICAL (JSON, but not as the writer writes it), NOMEM. */
ENT_RC ent_plain_finish(const ent_plain_reader *reader, ent_bytes bytes, const char *what, ent_err *err);
/** Compare what the writer made of the decoded value with what was read: the net under the reader.
 *  Errors: PEER_NOT_CANONICAL, and those of the buffer. */
ENT_RC ent_plain_same(ent_bytes bytes, const ent_buf *again, const char *what, ent_err *err);

void ent_plain_put_text(ent_buf *buf, ent_text text);
void ent_plain_put_hex(ent_buf *buf, const void *bytes, size_t size);
void ent_plain_put_bool(ent_buf *buf, bool value);
/** `"party/index"`, or null when there is none. */
void ent_plain_put_ref(ent_buf *buf, bool present, const ent_message_ref *ref);
/** `{"origin":...,"size":...,"root":...}` and its reader. */
void ent_plain_put_head(ent_buf *buf, ent_text origin, const ent_tree_head *head);
void ent_plain_head(ent_plain_reader *reader, ent_text *ret_origin, ent_tree_head *ret_head);

#endif
