/* A bounded reader over borrowed bytes with a sticky error: after the first failed read every read fails. */
#ifndef ENT_BASE_CURSOR_H
#define ENT_BASE_CURSOR_H

#include "base/bytes.h"

typedef struct {
    const uint8_t *next;
    const uint8_t *end;
    const uint8_t *start;
    bool failed;
} ent_cursor;

ent_cursor ent_cursor_of(ent_bytes bytes);
size_t ent_cursor_left(const ent_cursor *cursor);
/** Bytes consumed so far: the place to name in an error. */
size_t ent_cursor_offset(const ent_cursor *cursor);
/** Mark the cursor failed: for a value that was read but is not allowed. */
void ent_cursor_fail(ent_cursor *cursor);
/** True when nothing failed and everything was consumed. */
bool ent_cursor_finished(const ent_cursor *cursor);

/** Take exactly size bytes; empty on failure. */
ent_bytes ent_cursor_take(ent_cursor *cursor, size_t size);
uint8_t ent_cursor_u8(ent_cursor *cursor);
uint16_t ent_cursor_u16be(ent_cursor *cursor);
uint64_t ent_cursor_u64be(ent_cursor *cursor);
/** Take up to the next newline, which is consumed but not returned; no newline is a failure. */
ent_text ent_cursor_line(ent_cursor *cursor);
/** Take up to the next `stop`, which is consumed but not returned; no stop is a failure. */
ent_text ent_cursor_until(ent_cursor *cursor, char stop);
/** Consume these exact characters or fail. */
void ent_cursor_literal(ent_cursor *cursor, ent_text literal);
/** Consume them if they are next; tells whether it did. */
bool ent_cursor_accept(ent_cursor *cursor, ent_text literal);
/** A decimal integer 0..maximum without leading zeros or sign. */
uint64_t ent_cursor_decimal(ent_cursor *cursor, uint64_t maximum);

/** The whole text as such a decimal integer; false when it is not. */
bool ent_decimal_parse(ent_text text, uint64_t maximum, uint64_t *ret_value);

#endif
