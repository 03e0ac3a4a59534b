/* Views that borrow (ent_bytes, ent_text) and a buffer that owns (ent_buf). */
#ifndef ENT_BASE_BYTES_H
#define ENT_BASE_BYTES_H

#include "base/result.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** Borrowed bytes; never freed through the view. */
typedef struct {
    const uint8_t *data;
    size_t size;
} ent_bytes;

/** Borrowed characters, not NUL-terminated. */
typedef struct {
    const char *data;
    size_t size;
} ent_text;

/** Growing bytes that this object owns. Appends are sticky: after the first failure (memory, limit) all later ones do
 *  nothing, and ent_buf_check() tells. Zero-initialised is empty and has no limit. */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t limit; /* 0 = none */
    int failed;   /* ENT_OK, ENT_NOMEM or ENT_PEER_TOO_LARGE */
} ent_buf;

#define ENT_TEXT(literal) ((ent_text){"" literal, sizeof(literal) - 1})
#define ENT_TEXT_ARG(text) (int)(text).size, (text).data /* for "%.*s" */

static inline ent_bytes ent_bytes_of(const void *data, size_t size)
{
    return (ent_bytes){(const uint8_t *)data, size};
}

static inline ent_text ent_text_of(const char *string)
{
    return (ent_text){string, string == NULL ? 0 : strlen(string)};
}

static inline ent_bytes ent_text_bytes(ent_text text)
{
    return (ent_bytes){(const uint8_t *)text.data, text.size};
}

static inline ent_text ent_bytes_text(ent_bytes bytes)
{
    return (ent_text){(const char *)bytes.data, bytes.size};
}

static inline bool ent_bytes_equal(ent_bytes a, ent_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool ent_text_equal(ent_text a, ent_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool ent_text_is(ent_text text, const char *string)
{
    return ent_text_equal(text, ent_text_of(string));
}

static inline bool ent_text_starts(ent_text text, ent_text prefix)
{
    return text.size >= prefix.size && (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

/** Compare as unsigned bytes, shorter first when one is a prefix: <0, 0, >0. */
int ent_text_compare(ent_text a, ent_text b);

static inline ent_bytes ent_buf_bytes(const ent_buf *buf)
{
    return (ent_bytes){buf->data, buf->size};
}

static inline ent_text ent_buf_text(const ent_buf *buf)
{
    return (ent_text){(const char *)buf->data, buf->size};
}

void ent_buf_put(ent_buf *buf, ent_bytes bytes);
void ent_buf_put_text(ent_buf *buf, ent_text text);
void ent_buf_put_string(ent_buf *buf, const char *string);
void ent_buf_put_u8(ent_buf *buf, uint8_t value);
void ent_buf_put_u16be(ent_buf *buf, uint16_t value);
void ent_buf_put_u64be(ent_buf *buf, uint64_t value);
void ent_buf_put_decimal(ent_buf *buf, uint64_t value);
void ent_buf_put_hex(ent_buf *buf, ent_bytes bytes);
/** Standard base64 (RFC 4648 section 4) with padding; the _unpadded form is what age headers use. */
void ent_buf_put_base64(ent_buf *buf, ent_bytes bytes);
void ent_buf_put_base64_unpadded(ent_buf *buf, ent_bytes bytes);
void ent_buf_put_format(ent_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Make room for more bytes and give a pointer to them (NULL after a failure); the caller adds to size what it wrote.
 */
uint8_t *ent_buf_reserve(ent_buf *buf, size_t more);
/** Append a NUL that is not counted in size, so that data is a C string; NULL after a failure. */
const char *ent_buf_string(ent_buf *buf);

/** Tell whether every append so far succeeded.  Errors: NOMEM, PEER_TOO_LARGE. */
ENT_RC ent_buf_check(const ent_buf *buf, ent_err *err);

/** Forget the contents and a failure, keep the memory. */
void ent_buf_clear(ent_buf *buf);
/** Free the memory and leave the buffer empty. */
void ent_buf_release(ent_buf *buf);
/** The same after wiping every byte: for secrets. */
void ent_buf_wipe(ent_buf *buf);

/** Decode lower-case hex of exactly out_size bytes.  Errors: PEER_MALFORMED. */
ENT_RC ent_hex_decode(ent_text hex, void *out, size_t out_size, ent_err *err);
/** Write 2*size lower-case hex digits and a NUL. */
void ent_hex_encode(ent_bytes bytes, char *out);
/** Decode canonical, padded base64, appending to ret.  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_base64_decode(ent_text text, ent_buf *ret, ent_err *err);
/** Decode canonical base64 of exactly out_size bytes; padded says which form is the only valid one. */
ENT_RC ent_base64_decode_fixed(ent_text text, bool padded, void *out, size_t out_size, ent_err *err);

/** Whether the bytes are well-formed UTF-8 (RFC 3629: shortest form, no surrogates). */
bool ent_utf8_valid(ent_text text);

#endif
