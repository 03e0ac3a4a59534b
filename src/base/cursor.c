#include "base/cursor.h"

ent_cursor ent_cursor_of(ent_bytes bytes)
{
    const uint8_t *end = bytes.size == 0 ? bytes.data : bytes.data + bytes.size;
    return (ent_cursor){bytes.data, end, bytes.data, false};
}

size_t ent_cursor_left(const ent_cursor *cursor)
{
    return cursor->failed ? 0 : (size_t)(cursor->end - cursor->next);
}

size_t ent_cursor_offset(const ent_cursor *cursor)
{
    return (size_t)(cursor->next - cursor->start);
}

void ent_cursor_fail(ent_cursor *cursor)
{
    cursor->failed = true;
}

bool ent_cursor_finished(const ent_cursor *cursor)
{
    return !cursor->failed && cursor->next == cursor->end;
}

ent_bytes ent_cursor_take(ent_cursor *cursor, size_t size)
{
    if (cursor->failed || (size_t)(cursor->end - cursor->next) < size) {
        cursor->failed = true;
        return (ent_bytes){NULL, 0};
    }
    ent_bytes taken = {cursor->next, size};
    if (size > 0)
        cursor->next += size;
    return taken;
}

uint8_t ent_cursor_u8(ent_cursor *cursor)
{
    ent_bytes taken = ent_cursor_take(cursor, 1);
    return taken.size == 1 ? taken.data[0] : 0;
}

uint16_t ent_cursor_u16be(ent_cursor *cursor)
{
    ent_bytes taken = ent_cursor_take(cursor, 2);
    return taken.size == 2 ? (uint16_t)((unsigned)taken.data[0] << 8 | taken.data[1]) : 0;
}

uint64_t ent_cursor_u64be(ent_cursor *cursor)
{
    ent_bytes taken = ent_cursor_take(cursor, 8);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.size; i++)
        value = value << 8 | taken.data[i];
    return value;
}

ent_text ent_cursor_until(ent_cursor *cursor, char stop)
{
    size_t left = ent_cursor_left(cursor);
    const uint8_t *found = left == 0 ? NULL : memchr(cursor->next, stop, left);
    if (found == NULL) {
        cursor->failed = true;
        return (ent_text){NULL, 0};
    }
    ent_text text = {(const char *)cursor->next, (size_t)(found - cursor->next)};
    cursor->next = found + 1;
    return text;
}

ent_text ent_cursor_line(ent_cursor *cursor)
{
    return ent_cursor_until(cursor, '\n');
}

bool ent_cursor_accept(ent_cursor *cursor, ent_text literal)
{
    if (ent_cursor_left(cursor) < literal.size || memcmp(cursor->next, literal.data, literal.size) != 0)
        return false;
    cursor->next += literal.size;
    return true;
}

void ent_cursor_literal(ent_cursor *cursor, ent_text literal)
{
    if (!ent_cursor_accept(cursor, literal))
        cursor->failed = true;
}

uint64_t ent_cursor_decimal(ent_cursor *cursor, uint64_t maximum)
{
    uint64_t value = 0;
    size_t digits = 0;
    while (ent_cursor_left(cursor) > 0 && *cursor->next >= '0' && *cursor->next <= '9') {
        uint64_t digit = (uint64_t)(*cursor->next - '0');
        bool leading_zero = digits == 1 && value == 0;
        if (leading_zero || value > (maximum - digit) / 10 || digit > maximum) {
            cursor->failed = true;
            return 0;
        }
        value = value * 10 + digit;
        digits++;
        cursor->next++;
    }
    if (digits == 0)
        cursor->failed = true;
    return cursor->failed ? 0 : value;
}

bool ent_decimal_parse(ent_text text, uint64_t maximum, uint64_t *ret_value)
{
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(text));
    uint64_t value = ent_cursor_decimal(&cursor, maximum);
    if (!ent_cursor_finished(&cursor))
        return false;
    *ret_value = value;
    return true;
}
