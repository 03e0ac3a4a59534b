/* JSON (RFC 8259): a read-only view over a parsed document, and a small writer. Nothing else in the project knows which
 * parser stands behind it. */
#ifndef ENT_BASE_JSON_H
#define ENT_BASE_JSON_H

#include "base/bytes.h"

enum { ENT_JSON_MAX_DEPTH = 32, ENT_JSON_MAX_BYTES = 8 << 20 };

typedef enum {
    ENT_JSON_ABSENT, /* what a look-up of a missing member gives */
    ENT_JSON_NULL,
    ENT_JSON_BOOL,
    ENT_JSON_INTEGER, /* fits int64 or uint64 */
    ENT_JSON_NUMBER,  /* any other number */
    ENT_JSON_STRING,
    ENT_JSON_ARRAY,
    ENT_JSON_OBJECT
} ent_json_type;

/** A parsed document. */
typedef struct ent_json ent_json;

/** A value inside a document; valid while the document lives. Zero-initialised is ABSENT, and every accessor takes
 * that. */
typedef struct {
    const void *opaque[2];
} ent_json_value;

/** Parse a whole document: UTF-8, at most ENT_JSON_MAX_BYTES and ENT_JSON_MAX_DEPTH, no duplicate keys.
 *  @in   bytes     borrowed for the call only
 *  Owns: caller frees with ent_json_free.  Errors: PEER_MALFORMED, PEER_TOO_LARGE, NOMEM.  Threads: safe. */
ENT_RC ent_json_parse(ent_bytes bytes, ent_json **ret, ent_err *err);
void ent_json_free(ent_json *json);
/** For ENT_CLEANUP. */
void ent_json_release(ent_json **json);

ent_json_value ent_json_root(const ent_json *json);
ent_json_type ent_json_type_of(ent_json_value value);
bool ent_json_present(ent_json_value value);

/** Member of an object; ABSENT when it is missing or the value is no object. */
ent_json_value ent_json_get(ent_json_value object, const char *key);
ent_json_value ent_json_get_text(ent_json_value object, ent_text key);
/** Members of an object or elements of an array; 0 for anything else. */
size_t ent_json_count(ent_json_value value);

/** Walk an array or object in document order: `for (ent_json_iter i = ent_json_iterate(v); ent_json_next(&i);)`. */
typedef struct {
    ent_text key; /* objects only */
    ent_json_value value;
    const void *opaque[6];
} ent_json_iter;
ent_json_iter ent_json_iterate(ent_json_value value);
bool ent_json_next(ent_json_iter *iter);

/** Contents of a string, borrowed from the document; an empty text with NULL data when the value is no string. */
ent_text ent_json_string(ent_json_value value);
/** True for `true` only. */
bool ent_json_true(ent_json_value value);
/** The value as an integer 0..maximum; false when it is none. */
bool ent_json_unsigned(ent_json_value value, uint64_t maximum, uint64_t *ret_value);
/** Number of any kind as a double; false when it is none. */
bool ent_json_double(ent_json_value value, double *ret_value);

/** Append the value as JSON text (minified, in document order). */
void ent_json_put_value(ent_buf *buf, ent_json_value value);

/** Writer: appends to a buffer, commas and escapes are its business. Sticky errors are the buffer's. */
typedef struct {
    ent_buf *buf;
    unsigned depth;
    uint64_t has_members; /* one bit a level */
    bool after_key;
} ent_json_writer;

ent_json_writer ent_json_writer_of(ent_buf *buf);
void ent_json_object_begin(ent_json_writer *writer);
void ent_json_object_end(ent_json_writer *writer);
void ent_json_array_begin(ent_json_writer *writer);
void ent_json_array_end(ent_json_writer *writer);
void ent_json_key(ent_json_writer *writer, const char *key);
void ent_json_key_text(ent_json_writer *writer, ent_text key);
/** Invalid UTF-8 is written as U+FFFD, so that what is written always parses; a text whose data is NULL is written
 * null. */
void ent_json_put_text(ent_json_writer *writer, ent_text text);
void ent_json_put_string(ent_json_writer *writer, const char *string);
void ent_json_put_unsigned(ent_json_writer *writer, uint64_t value);
void ent_json_put_bool(ent_json_writer *writer, bool value);
void ent_json_put_null(ent_json_writer *writer);
void ent_json_put_hex(ent_json_writer *writer, ent_bytes bytes);
void ent_json_put_base64(ent_json_writer *writer, ent_bytes bytes);
/** Copy a value of a parsed document, whatever it is (minified, in document order). */
void ent_json_put_copy(ent_json_writer *writer, ent_json_value value);
/** Append text that already is one JSON value. */
void ent_json_put_raw(ent_json_writer *writer, ent_text json);
/** key + value in one call. */
void ent_json_member_text(ent_json_writer *writer, const char *key, ent_text value);
void ent_json_member_string(ent_json_writer *writer, const char *key, const char *value);
void ent_json_member_unsigned(ent_json_writer *writer, const char *key, uint64_t value);
void ent_json_member_bool(ent_json_writer *writer, const char *key, bool value);

#endif
