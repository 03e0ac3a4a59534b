#include "seal/card_internal.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "base/name.h"
#include "crypto/crypto.h"
#include "seal/bech32.h"

#include <stdio.h>

static const char rule[] = "design.md section 2, Card";

enum { LANGUAGE_MAX_BYTES = 35 }; /* RFC 5646, section 4.4.1 */

static ent_rc not_allowed(bool own, ent_err *err, const char *path, const char *field, const char *why)
{
    return ent_fail(err, own ? ENT_USAGE : ENT_PEER_MALFORMED, rule, "card field %s%s: %s", path, field, why);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Characters that would let a contact look like something else on a screen: controls (C0, DEL, C1), line and paragraph
 * separators, and those that turn the direction of what follows. */
static bool is_deceptive(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f) || character == 0x2028 || character == 0x2029 ||
           (character >= 0x202a && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
}

/* Text for people: UTF-8 of limited size on one line. */
static bool is_readable(ent_text text)
{
    if (text.size > ENT_CARD_TEXT_MAX_BYTES || !ent_utf8_valid(text))
        return false;
    uint32_t character = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if ((byte & 0xc0) == 0x80)
            character = character << 6 | (byte & 0x3fU);
        else
            character = byte < 0x80 ? byte : byte < 0xe0 ? byte & 0x1fU : byte < 0xf0 ? byte & 0x0fU : byte & 0x07U;
        bool complete = i + 1 == text.size || ((uint8_t)text.data[i + 1] & 0xc0) != 0x80;
        if (complete && is_deceptive(character))
            return false;
    }
    return true;
}

/* Shape of a BCP 47 tag (RFC 5646, section 2.1): letters first, subtags of 1 to 8 letters and digits. */
static bool is_language(ent_text tag)
{
    size_t subtag = 0;
    bool first = true;
    if (tag.size > LANGUAGE_MAX_BYTES)
        return false;
    for (size_t i = 0; i <= tag.size; i++) {
        if (i == tag.size || tag.data[i] == '-') {
            if (subtag < (first ? 2U : 1U) || subtag > 8)
                return false;
            subtag = 0;
            first = false;
        } else if (is_letter(tag.data[i]) || (!first && is_digit(tag.data[i]))) {
            subtag++;
        } else {
            return false;
        }
    }
    return true;
}

static bool is_email(ent_text text)
{
    const char *at = text.size == 0 ? NULL : memchr(text.data, '@', text.size);
    return at != NULL && at != text.data && at != text.data + text.size - 1 &&
           memchr(text.data, ' ', text.size) == NULL;
}

/* Name or IPv4 address, or an IPv6 address in brackets. */
static bool is_host(ent_text host)
{
    bool brackets = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (brackets)
        host = (ent_text){host.data + 1, host.size - 2};
    if (host.size == 0)
        return false;
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (brackets ? !(hex || c == ':' || c == '.') : !(is_letter(c) || is_digit(c) || c == '-' || c == '.'))
            return false;
    }
    return true;
}

static bool is_url(ent_text url)
{
    const ent_text scheme = ENT_TEXT("https://");
    uint64_t port = 0;
    if (!ent_text_starts(url, scheme) || url.size > ENT_CARD_TEXT_MAX_BYTES)
        return false;
    ent_text rest = {url.data + scheme.size, url.size - scheme.size};
    const char *colon = memrchr(rest.data, ':', rest.size);
    if (colon == NULL)
        return false;
    size_t host_size = (size_t)(colon - rest.data);
    return is_host((ent_text){rest.data, host_size}) &&
           ent_decimal_parse((ent_text){colon + 1, rest.size - host_size - 1}, 65535, &port) && port > 0;
}

static ent_rc check_contact(const ent_card_contact *contact, size_t number, bool own, ent_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "contacts[%zu].", number);
    const struct {
        const char *field;
        ent_text text;
    } texts[] = {{"name", contact->name},
                 {"position", contact->position},
                 {"phone", contact->phone},
                 {"email", contact->email},
                 {"hours", contact->hours}};
    if (!ent_text_is(contact->role, "technical") && !ent_text_is(contact->role, "diplomatic"))
        return not_allowed(own, err, path, "role", "is neither \"technical\" nor \"diplomatic\"");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!is_readable(texts[i].text))
            return not_allowed(own, err, path, texts[i].field,
                               "is not one line of UTF-8 of at most 256 bytes without control characters");
    }
    if (contact->phone.size == 0 && contact->email.size == 0)
        return not_allowed(own, err, path, "phone", "is empty, and email too: nobody can reach this contact");
    if (contact->email.size > 0 && !is_email(contact->email))
        return not_allowed(own, err, path, "email", "is not name@host");
    if (contact->language_count > ENT_CARD_MAX_LANGUAGES)
        return not_allowed(own, err, path, "languages", "has more than 16 elements");
    for (size_t i = 0; i < contact->language_count; i++) {
        if (!is_language(contact->languages[i]))
            return not_allowed(own, err, path, "languages", "has an element that is not a BCP 47 tag, such as \"en\"");
    }
    return ENT_DONE;
}

/* Each key has one role (design.md section 2: "A public key that appears under two cosigner names is refused"). */
static ent_rc check_keys(const ent_card *card, bool own, ent_err *err)
{
    const struct {
        const char *field;
        const ent_public_key *key;
    } keys[] = {{"root", &card->root}, {"log", &card->log}, {"receipt", &card->receipt}};
    const ent_code code = own ? ENT_USAGE : ENT_PEER_MISMATCH;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        ent_hash hash;
        for (size_t k = 0; k < i; k++) {
            if (ent_public_key_equal(keys[i].key, keys[k].key))
                return ent_fail(err, code, rule, "card fields %s and %s are the same key", keys[k].field,
                                keys[i].field);
        }
        ent_sha256(ent_bytes_of(keys[i].key->bytes, sizeof keys[i].key->bytes), &hash);
        if (ent_hash_equal(&hash, &card->next_root))
            return ent_fail(err, code, rule, "card field next_root commits to the key in %s: it must be a new one",
                            keys[i].field);
    }
    if (!ent_recipient_valid(&card->age))
        return not_allowed(own, err, "", "age", "no identity can have this recipient");
    return ENT_DONE;
}

static ent_rc wrong_former(bool own, size_t at, const char *why, ent_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "former[%zu]", at);
    return not_allowed(own, err, path, "", why);
}

/* One spelling, and no key that comes back: whoever got hold of it would come back with it. */
static ent_rc check_former(const ent_card *card, bool own, ent_err *err)
{
    if (card->former_count > ENT_CARD_MAX_FORMER)
        return not_allowed(own, err, "", "former", "has more than 64 elements");
    for (size_t i = 0; i < card->former_count; i++) {
        const ent_card_former *row = &card->former[i];
        const ent_card_former *before = i == 0 ? NULL : &card->former[i - 1];
        if (row->last == 0 || row->last >= card->serial)
            return wrong_former(own, i, "its last is not the serial of a card before this one", err);
        if (before != NULL && (row->last < before->last || (row->last == before->last && row->role <= before->role)))
            return wrong_former(own, i, "is not in its place: they are sorted by last and key, each once", err);
        for (ent_key_role role = 0; role < ENT_KEY_ROLE_COUNT; role++) {
            if (memcmp(row->value, ent_card_key(card, role), sizeof row->value) == 0)
                return wrong_former(own, i, "is a key that this card names: a key does not come back", err);
        }
        for (size_t k = 0; k < i; k++) {
            if (memcmp(row->value, card->former[k].value, sizeof row->value) == 0)
                return wrong_former(own, i, "stands there twice", err);
        }
    }
    return ENT_DONE;
}

static ent_rc check_quotas(const ent_card_quotas *quotas, bool own, ent_err *err)
{
    const char *field = quotas->entries_a_day > ENT_CARD_MAX_NUMBER      ? "entries_a_day"
                        : quotas->bytes_a_day > ENT_CARD_MAX_NUMBER      ? "bytes_a_day"
                        : quotas->attachment_bytes > ENT_CARD_MAX_NUMBER ? "attachment_bytes"
                                                                         : NULL;
    return field == NULL ? ENT_DONE : not_allowed(own, err, "quotas.", field, "is larger than 2^53-1");
}

ent_rc ent_card_check(const ent_card *card, bool own, ent_err *err)
{
    int64_t issued = 0;
    if (!ent_name_valid(card->name))
        return not_allowed(own, err, "", "name", "is not a party's name, such as \"north.example\"");
    if (card->serial == 0 || card->serial > ENT_CARD_MAX_NUMBER)
        return not_allowed(own, err, "", "serial", "is not an integer from 1 to 2^53-1");
    if (card->has_previous != (card->serial > 1))
        return not_allowed(own, err, "", "previous",
                           "must be null in the card with serial 1, and a hash in all others");
    if (!ent_time_parse(card->issued, &issued))
        return not_allowed(own, err, "", "issued", "is not a time YYYY-MM-DDThh:mm:ssZ");
    ENT_TRY(check_keys(card, own, err));
    ENT_TRY(check_former(card, own, err));
    ENT_TRY(ent_card_check_roots(card, own, err));
    if (card->url.size > 0 && !is_url(card->url))
        return not_allowed(own, err, "", "url", "is neither empty nor https://host:port");
    ENT_TRY(check_quotas(&card->quotas, own, err));
    if (card->contact_count > ENT_CARD_MAX_CONTACTS)
        return not_allowed(own, err, "", "contacts", "has more than 16 elements");
    for (size_t i = 0; i < card->contact_count; i++)
        ENT_TRY(check_contact(&card->contacts[i], i, own, err));
    return ENT_DONE;
}
