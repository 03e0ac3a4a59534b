#include "message/format.h"

#include "base/clock.h"
#include "message/entry.h"
#include "seal/bech32.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_lower_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* `YYYY-MM-DDThh:mm:ssZ`, with up to nine digits of a second's fraction before the Z (RFC 3339, section 5.6). */
static bool date_time(ent_text text)
{
    enum { WHOLE = ENT_TIME_TEXT_SIZE - 1, MOST_FRACTION = 10 };
    char whole[ENT_TIME_TEXT_SIZE];
    int64_t time = 0;
    if (text.size < ENT_TIME_TEXT_SIZE || text.data[text.size - 1] != 'Z')
        return false;
    size_t fraction = text.size - ENT_TIME_TEXT_SIZE;
    if (fraction == 1 || fraction > MOST_FRACTION || (fraction > 0 && text.data[WHOLE] != '.'))
        return false;
    for (size_t i = 1; i < fraction; i++) {
        if (!is_digit(text.data[WHOLE + i]))
            return false;
    }
    memcpy(whole, text.data, WHOLE);
    whole[WHOLE] = 'Z';
    return ent_time_parse((ent_text){whole, sizeof whole}, &time);
}

static bool date(ent_text text)
{
    enum { DATE_SIZE = 10 };
    char whole[ENT_TIME_TEXT_SIZE + 1] = "0000-00-00T00:00:00Z";
    int64_t time = 0;
    if (text.size != DATE_SIZE)
        return false;
    memcpy(whole, text.data, DATE_SIZE);
    return ent_time_parse((ent_text){whole, ENT_TIME_TEXT_SIZE}, &time);
}

/* RFC 3986: scheme ":" and at least one character of those a URI is made of; percent signs before two hex digits. */
static bool uri(ent_text text)
{
    size_t at = 0;
    if (text.size == 0 || !is_alpha(text.data[0]))
        return false;
    while (at < text.size && (is_alpha(text.data[at]) || is_digit(text.data[at]) || text.data[at] == '+' ||
                              text.data[at] == '-' || text.data[at] == '.'))
        at++;
    if (at >= text.size - 1 || text.data[at] != ':')
        return false;
    for (at++; at < text.size; at++) {
        char c = text.data[at];
        if (c == '%' && (text.size - at < 3 || !is_hex(text.data[at + 1]) || !is_hex(text.data[at + 2])))
            return false;
        if (!is_alpha(c) && !is_digit(c) && (c == 0 || strchr(":/?#[]@!$&'()*+,;=-._~%", c) == NULL))
            return false;
    }
    return true;
}

/* RFC 5321 without quoted local parts and address literals. */
static bool email(ent_text text)
{
    enum { MOST = 254, MOST_LOCAL = 64 };
    const char *sign = text.size == 0 ? NULL : memchr(text.data, '@', text.size);
    if (sign == NULL || text.size > MOST)
        return false;
    size_t local = (size_t)(sign - text.data);
    if (local == 0 || local > MOST_LOCAL || text.data[0] == '.' || sign[-1] == '.')
        return false;
    for (size_t i = 0; i < local; i++) {
        char c = text.data[i];
        if (!is_alpha(c) && !is_digit(c) && (c == 0 || strchr(".!#$%&'*+-/=?^_`{|}~", c) == NULL))
            return false;
        if (c == '.' && text.data[i + 1] == '.')
            return false;
    }
    size_t labels = 1;
    size_t start = local + 1;
    for (size_t i = start; i <= text.size; i++) {
        char c = i < text.size ? text.data[i] : '.';
        if (c == '.') {
            if (i == start || text.data[start] == '-' || text.data[i - 1] == '-')
                return false;
            labels += i < text.size;
            start = i + 1;
        } else if (!is_alpha(c) && !is_digit(c) && c != '-') {
            return false;
        }
    }
    return labels >= 2;
}

/* RFC 5646, section 2.1, as far as form goes: a primary subtag of 2 to 8 letters, then subtags of 1 to 8 letters or
 * digits. */
static bool language(ent_text text)
{
    enum { MOST = 35, MOST_SUBTAG = 8 };
    size_t subtag = 0;
    size_t size = 0;
    if (text.size > MOST)
        return false;
    for (size_t i = 0; i <= text.size; i++) {
        char c = i < text.size ? text.data[i] : '-';
        if (c == '-') {
            if (size == 0 || size > MOST_SUBTAG || (subtag == 0 && size < 2))
                return false;
            subtag++;
            size = 0;
        } else if (is_alpha(c) || (subtag > 0 && is_digit(c))) {
            size++;
        } else {
            return false;
        }
    }
    return true;
}

static bool message(ent_text text)
{
    ent_message_ref ref;
    return ent_message_ref_parse(text, &ref);
}

static bool hex(ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!is_lower_hex(text.data[i]))
            return false;
    }
    return text.size % 2 == 0;
}

static bool sha256(ent_text text)
{
    return text.size == 64 && hex(text);
}

/* Canonical and padded, as ent_base64_decode takes it: checked in groups that fit the stack. */
static bool base64(ent_text text)
{
    enum { GROUP_DIGITS = 128, GROUP_BYTES = 96 };
    uint8_t bytes[GROUP_BYTES];
    if (text.size % 4 != 0)
        return false;
    while (text.size > 0) {
        size_t digits = text.size < GROUP_DIGITS ? text.size : GROUP_DIGITS;
        ent_text group = {text.data, digits};
        size_t pads = 0;
        /* Padding stands at the very end only. */
        if (digits == text.size)
            pads = (size_t)(group.data[digits - 1] == '=') + (size_t)(group.data[digits - 2] == '=');
        if (ent_base64_decode_fixed(group, true, bytes, digits / 4 * 3 - pads, NULL).code != ENT_OK)
            return false;
        text = (ent_text){text.data + digits, text.size - digits};
    }
    return true;
}

static bool recipient(ent_text text)
{
    ent_recipient key;
    return ent_recipient_parse(text, &key, NULL).code == ENT_OK;
}

/* STIX 2.1, section 2.9: "object-type--UUID"; types are 3 to 250 of a-z, 0-9 and hyphen (section 3.1). */
bool ent_stix_id_valid(ent_text text, ent_text *ret_type)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    enum { UUID_SIZE = sizeof shape - 1, LEAST_TYPE = 3, MOST_TYPE = 250 };
    if (text.size < LEAST_TYPE + 2 + UUID_SIZE || text.size > MOST_TYPE + 2 + UUID_SIZE)
        return false;
    size_t type = text.size - 2 - UUID_SIZE;
    if (text.data[type] != '-' || text.data[type + 1] != '-')
        return false;
    for (size_t i = 0; i < type; i++) {
        if (!is_lower(text.data[i]) && !is_digit(text.data[i]) && text.data[i] != '-')
            return false;
    }
    for (size_t i = 0; i < UUID_SIZE; i++) {
        char c = text.data[type + 2 + i];
        if (shape[i] == '-' ? c != '-' : !is_hex(c))
            return false;
    }
    if (ret_type != NULL)
        *ret_type = (ent_text){text.data, type};
    return true;
}

static bool stix_id(ent_text text)
{
    return ent_stix_id_valid(text, NULL);
}

static const ent_format formats[] = {
    {"date-time", "a time in UTC like 2021-05-30T06:00:00Z", date_time},
    {"date", "a date like 2021-05-30", date},
    {"uri", "a URI with its scheme", uri},
    {"email", "an e-mail address", email},
    {"language", "a language tag like en or pt-BR", language},
    {"party", "a party's name like north.example", ent_name_valid},
    {"message", "a message like north.example/12", message},
    {"sha256", "a SHA-256 of 64 lower-case hex digits", sha256},
    {"hex", "lower-case hex, two digits a byte", hex},
    {"base64", "padded base64", base64},
    {"recipient", "an age X25519 recipient, age1...", recipient},
    {"stix-id", "a STIX identifier, type--UUID", stix_id},
    {"media-type", "a media type like text/plain", ent_media_type_valid},
};

const ent_format *ent_format_find(ent_text name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (ent_text_is(name, formats[i].name))
            return &formats[i];
    }
    return NULL;
}
