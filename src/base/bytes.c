#include "base/bytes.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>

static const char hex_digits[] = "0123456789abcdef";

int ent_text_compare(ent_text a, ent_text b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

uint8_t *ent_buf_reserve(ent_buf *buf, size_t more)
{
    if (buf->failed != ENT_OK)
        return NULL;
    size_t wanted = 0;
    if (__builtin_add_overflow(buf->size, more, &wanted) || wanted == SIZE_MAX ||
        (buf->limit != 0 && wanted > buf->limit)) {
        buf->failed = ENT_PEER_TOO_LARGE;
        return NULL;
    }
    if (wanted > buf->capacity || buf->data == NULL) {
        size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
        while (capacity < wanted)
            capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
        uint8_t *data = ent_realloc(buf->data, capacity);
        if (data == NULL) {
            buf->failed = ENT_NOMEM;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void ent_buf_put(ent_buf *buf, ent_bytes bytes)
{
    if (bytes.size == 0)
        return;
    uint8_t *room = ent_buf_reserve(buf, bytes.size);
    if (room == NULL)
        return;
    memcpy(room, bytes.data, bytes.size);
    buf->size += bytes.size;
}

void ent_buf_put_text(ent_buf *buf, ent_text text)
{
    ent_buf_put(buf, ent_text_bytes(text));
}

void ent_buf_put_string(ent_buf *buf, const char *string)
{
    ent_buf_put_text(buf, ent_text_of(string));
}

void ent_buf_put_u8(ent_buf *buf, uint8_t value)
{
    ent_buf_put(buf, ent_bytes_of(&value, 1));
}

void ent_buf_put_u16be(ent_buf *buf, uint16_t value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    ent_buf_put(buf, ent_bytes_of(bytes, sizeof bytes));
}

void ent_buf_put_u64be(ent_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    ent_buf_put(buf, ent_bytes_of(bytes, sizeof bytes));
}

void ent_buf_put_decimal(ent_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    ent_buf_put(buf, ent_bytes_of(digits + at, sizeof digits - at));
}

void ent_buf_put_hex(ent_buf *buf, ent_bytes bytes)
{
    uint8_t *room = ent_buf_reserve(buf, bytes.size * 2);
    if (room == NULL)
        return;
    for (size_t i = 0; i < bytes.size; i++) {
        room[2 * i] = (uint8_t)hex_digits[bytes.data[i] >> 4];
        room[2 * i + 1] = (uint8_t)hex_digits[bytes.data[i] & 15];
    }
    buf->size += bytes.size * 2;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(ent_buf *buf, ent_bytes bytes, bool padded)
{
    if (bytes.size > SIZE_MAX / 2) {
        buf->failed = ENT_PEER_TOO_LARGE;
        return;
    }
    uint8_t *out = ent_buf_reserve(buf, (bytes.size + 2) / 3 * 4);
    if (out == NULL)
        return;
    size_t written = 0;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t group = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t bits = (uint32_t)bytes.data[i] << 16;
        if (group > 1)
            bits |= (uint32_t)bytes.data[i + 1] << 8;
        if (group > 2)
            bits |= bytes.data[i + 2];
        for (size_t k = 0; k < 4; k++) {
            if (k <= group)
                out[written++] = (uint8_t)base64_digits[bits >> (18 - 6 * k) & 63];
            else if (padded)
                out[written++] = '=';
        }
    }
    buf->size += written;
}

void ent_buf_put_base64(ent_buf *buf, ent_bytes bytes)
{
    put_base64(buf, bytes, true);
}

void ent_buf_put_base64_unpadded(ent_buf *buf, ent_bytes bytes)
{
    put_base64(buf, bytes, false);
}

void ent_buf_put_format(ent_buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    uint8_t *room = ent_buf_reserve(buf, (size_t)length + 1);
    if (room == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf((char *)room, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buf->size += (size_t)length;
}

const char *ent_buf_string(ent_buf *buf)
{
    uint8_t *room = ent_buf_reserve(buf, 1);
    if (room == NULL)
        return NULL;
    *room = 0;
    return (const char *)buf->data;
}

ent_rc ent_buf_check(const ent_buf *buf, ent_err *err)
{
    if (buf->failed == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory while growing a buffer of %zu bytes", buf->size);
    if (buf->failed != ENT_OK)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "larger than the limit of %zu bytes", buf->limit);
    return ENT_DONE;
}

void ent_buf_clear(ent_buf *buf)
{
    buf->size = 0;
    buf->failed = ENT_OK;
}

void ent_buf_release(ent_buf *buf)
{
    ent_free(buf->data);
    *buf = (ent_buf){.limit = buf->limit};
}

void ent_buf_wipe(ent_buf *buf)
{
    if (buf->data != NULL)
        explicit_bzero(buf->data, buf->capacity);
    ent_buf_release(buf);
}

/* 16 when it is no digit. */
static unsigned hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0');
    if (digit >= 'a' && digit <= 'f')
        return (unsigned)(digit - 'a') + 10;
    return 16;
}

ent_rc ent_hex_decode(ent_text hex, void *out, size_t out_size, ent_err *err)
{
    uint8_t *bytes = out;
    if (hex.size != out_size * 2)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "expected %zu hex digits, found %zu characters", out_size * 2,
                        hex.size);
    for (size_t i = 0; i < hex.size; i++) {
        if (hex_value(hex.data[i]) > 15)
            return ent_fail(err, ENT_PEER_MALFORMED, NULL, "character %zu is not a lower-case hex digit", i + 1);
    }
    for (size_t i = 0; i < out_size; i++)
        bytes[i] = (uint8_t)(hex_value(hex.data[2 * i]) << 4 | hex_value(hex.data[2 * i + 1]));
    return ENT_DONE;
}

void ent_hex_encode(ent_bytes bytes, char *out)
{
    for (size_t i = 0; i < bytes.size; i++) {
        out[2 * i] = hex_digits[bytes.data[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes.data[i] & 15];
    }
    out[bytes.size * 2] = 0;
}

static int base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* Decodes into out, which has room for size*3/4 bytes; returns the number of bytes or -1. Unused bits must be zero
 * (RFC 4648 section 3.5), so that what is decoded encodes to the same characters again. */
static ptrdiff_t base64_decode(ent_text text, bool padded, uint8_t *out)
{
    size_t digits = text.size;
    if (padded) {
        if (digits % 4 != 0)
            return -1;
        for (int pads = 0; pads < 2 && digits > 0 && text.data[digits - 1] == '='; pads++)
            digits--;
    }
    if (digits % 4 == 1)
        return -1;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t written = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[written++] = (uint8_t)(bits >> held);
            bits &= (1U << held) - 1;
        }
    }
    return bits != 0 ? -1 : (ptrdiff_t)written;
}

ent_rc ent_base64_decode(ent_text text, ent_buf *ret, ent_err *err)
{
    uint8_t *room = ent_buf_reserve(ret, text.size / 4 * 3 + 3);
    if (room == NULL)
        return ent_buf_check(ret, err);
    ptrdiff_t written = base64_decode(text, true, room);
    if (written < 0)
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 4648, section 4", "not canonical padded base64");
    ret->size += (size_t)written;
    return ENT_DONE;
}

ent_rc ent_base64_decode_fixed(ent_text text, bool padded, void *out, size_t out_size, ent_err *err)
{
    uint8_t scratch[256];
    if (text.size > sizeof scratch)
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 4648, section 4", "base64 of more than %zu characters",
                        sizeof scratch);
    ptrdiff_t written = base64_decode(text, padded, scratch);
    if (written < 0 || (size_t)written != out_size)
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 4648, section 4", "not canonical base64 of %zu bytes", out_size);
    memcpy(out, scratch, out_size);
    return ENT_DONE;
}

static size_t utf8_sequence(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) || (first == 0xf0 && at[1] < 0x90) ||
        (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

bool ent_utf8_valid(ent_text text)
{
    const uint8_t *at = (const uint8_t *)text.data;
    size_t left = text.size;
    while (left > 0) {
        size_t size = utf8_sequence(at, left);
        if (size == 0)
            return false;
        at += size;
        left -= size;
    }
    return true;
}
