#include "seal/card_internal.h"

#include "base/cursor.h"
#include "base/name.h"
#include "crypto/crypto.h"

static const char rule[] = "design.md section 2, Card";

#define FIRST_LINE_START ENT_TEXT("entente.card/v1 ")

enum { FINGERPRINT_BYTES = 20, FINGERPRINT_DIGITS = 2 * FINGERPRINT_BYTES };

void ent_root_key_name_put(ent_buf *buf, ent_text party)
{
    ent_buf_put_text(buf, party);
    ent_buf_put_string(buf, "/entente/root");
}

void ent_receipt_key_name_put(ent_buf *buf, ent_text party)
{
    ent_buf_put_text(buf, party);
    ent_buf_put_string(buf, "/entente/receipt");
}

static const char *const role_words[ENT_KEY_ROLE_COUNT] = {"log", "receipt", "age", "tls"};

const char *ent_key_role_word(ent_key_role role)
{
    return role_words[role];
}

bool ent_key_role_find(ent_text word, ent_key_role *ret)
{
    for (ent_key_role role = 0; role < ENT_KEY_ROLE_COUNT; role++) {
        if (ent_text_is(word, role_words[role])) {
            *ret = role;
            return true;
        }
    }
    return false;
}

const uint8_t *ent_card_key(const ent_card *card, ent_key_role role)
{
    return role == ENT_KEY_ROLE_LOG       ? card->log.bytes
           : role == ENT_KEY_ROLE_RECEIPT ? card->receipt.bytes
           : role == ENT_KEY_ROLE_AGE     ? card->age.bytes
                                          : card->tls.bytes;
}

uint64_t ent_card_key_serial(const ent_card *card, ent_key_role role, size_t former)
{
    uint64_t serial = 1;
    for (size_t i = 0; i < former && i < card->former_count; i++) {
        if (card->former[i].role == role)
            serial = card->former[i].last + 1;
    }
    return serial;
}

/* Its name borrows from the buffer. */
static ent_rc make_root_vkey(ent_text party, const ent_public_key *root, ent_buf *name, ent_vkey *ret, ent_err *err)
{
    ent_root_key_name_put(name, party);
    ENT_TRY(ent_buf_check(name, err));
    return ent_vkey_make(ent_buf_text(name), ENT_KEY_ED25519, root, ret, err);
}

/* --- making --- */

ent_rc ent_card_sign(const ent_card *card, const ent_secret_key *root, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf key_name = {0};
    ent_public_key of_secret;
    ent_vkey vkey;
    ENT_TRY(ent_card_check(card, true, err));
    ent_ed25519_public(root, &of_secret);
    if (!ent_public_key_equal(&of_secret, &card->root))
        return ent_fail(err, ENT_USAGE, rule, "card field root: is not the public key of the root key that signs");

    ent_buf_put_text(&text, FIRST_LINE_START);
    ent_buf_put_text(&text, card->name);
    ent_buf_put_u8(&text, '\n');
    ent_card_json_put(&text, card);
    ent_buf_put_u8(&text, '\n');
    ENT_TRY(ent_buf_check(&text, err));
    ENT_TRY(make_root_vkey(card->name, &card->root, &key_name, &vkey, err));

    size_t before = ret->size;
    ENT_TRY(ent_note_sign(ent_buf_text(&text), &vkey, root, ret, err));
    size_t size = ret->size - before;
    if (size > ENT_CARD_MAX_BYTES) {
        ret->size = before;
        return ent_fail(err, ENT_USAGE, rule, "the card has %zu bytes, at most %d are allowed: shorten the contacts",
                        size, ENT_CARD_MAX_BYTES);
    }
    return ENT_DONE;
}

/* --- reading --- */

/* The text is the line "entente.card/v1 <party>" and one line of JSON. */
static ent_rc split_text(ent_text text, ent_text *ret_party, ent_text *ret_json, ent_err *err)
{
    ent_cursor lines = ent_cursor_of(ent_text_bytes(text));
    ent_cursor_literal(&lines, FIRST_LINE_START);
    ent_text party = ent_cursor_line(&lines);
    ent_text json = ent_cursor_line(&lines);
    if (!ent_cursor_finished(&lines))
        return ent_fail(err, ENT_PEER_MALFORMED, rule,
                        "not a card: its text is not the line \"entente.card/v1 <party>\" and one line of JSON");
    if (!ent_name_valid(party))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the first line of the card does not name a party");
    *ret_party = party;
    *ret_json = json;
    return ENT_DONE;
}

static ent_rc verify_root(const ent_note *note, ent_text party, ent_json_value json, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf key_name = {0};
    ent_public_key root;
    ent_vkey vkey;
    ENT_TRY(ent_card_json_root(json, &root, err));
    ENT_TRY(make_root_vkey(party, &root, &key_name, &vkey, err));
    if (ent_note_verify(note, &vkey) != ENT_SIGNATURE_VALID)
        return ent_fail(err, ENT_PEER_SIGNATURE, rule,
                        "the card of %.*s is not signed by the root key it names: it was changed, or made by another",
                        ENT_TEXT_ARG(party));
    return ENT_DONE;
}

static ent_rc read_card(ent_bytes bytes, ent_card_opened *opened, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_text party = {0};
    ent_text line = {0};
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(split_text(note.text, &party, &line, err));
    ENT_TRY(ent_json_parse(ent_text_bytes(line), &json, err));
    ent_json_value root = ent_json_root(json);
    if (ent_json_type_of(root) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the second line of the card is not a JSON object");
    ENT_TRY(verify_root(&note, party, root, err));
    ENT_TRY(ent_card_json_read(root, &opened->arena, &opened->card, err));
    ENT_TRY(ent_card_check(&opened->card, false, err));
    if (!ent_text_equal(opened->card.name, party))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "card field name: is not the party of the card's first line");
    ent_sha256(ent_text_bytes(note.text), &opened->text_hash);
    return ENT_DONE;
}

ent_rc ent_card_parse(ent_bytes bytes, ent_card_opened *ret, ent_err *err)
{
    if (bytes.size > ENT_CARD_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "a card has at most %d bytes, this has %zu", ENT_CARD_MAX_BYTES,
                        bytes.size);
    ent_card_opened opened = {0};
    ent_rc rc = read_card(bytes, &opened, err);
    if (rc.code == ENT_OK)
        *ret = opened;
    else
        ent_card_release(&opened);
    return rc;
}

void ent_card_release(ent_card_opened *card)
{
    ent_arena_release(&card->arena);
    *card = (ent_card_opened){0};
}

/* --- succession --- */

static ent_rc no_successor(ent_err *err, const ent_card *next, const char *why)
{
    return ent_fail(err, ENT_PEER_MISMATCH, rule, "card %llu of %.*s does not follow the one that is known: %s",
                    (unsigned long long)next->serial, ENT_TEXT_ARG(next->name), why);
}

static const ent_card_former *find_former(const ent_card *card, ent_key_role role, const uint8_t value[32])
{
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role == role && memcmp(card->former[i].value, value, 32) == 0)
            return &card->former[i];
    }
    return NULL;
}

/* A key that was named may be retired, but not be forgotten: what it signed must be told from what it did not. */
static ent_rc check_kept(const ent_card *old, const ent_card *new, ent_err *err)
{
    for (ent_key_role role = 0; role < ENT_KEY_ROLE_COUNT; role++) {
        const uint8_t *value = ent_card_key(old, role);
        const ent_card_former *kept = find_former(new, role, value);
        if (memcmp(value, ent_card_key(new, role), 32) == 0)
            continue;
        if (kept == NULL || kept->last < old->serial)
            return no_successor(err, new, "it drops a key without listing it as a former one");
    }
    for (size_t i = 0; i < old->former_count; i++) {
        const ent_card_former *before = &old->former[i];
        const ent_card_former *kept = find_former(new, before->role, before->value);
        if (kept == NULL || kept->last != before->last || (before->revoked && !kept->revoked))
            return no_successor(err, new, "it changes what is known of a former key");
    }
    for (size_t i = 0; i < new->former_count; i++) {
        const ent_card_former *row = &new->former[i];
        if (row->last < old->serial && find_former(old, row->role, row->value) == NULL)
            return no_successor(err, new, "it invents a former key");
    }
    return ENT_DONE;
}

ent_rc ent_card_succeeds(const ent_card_opened *current, const ent_card_opened *next, ent_err *err)
{
    const ent_card *old = &current->card;
    const ent_card *new = &next->card;
    if (!ent_text_equal(old->name, new->name))
        return no_successor(err, new, "it is another party's");
    if (new->serial <= old->serial)
        return no_successor(err, new, "its serial is not a larger one");
    if (new->serial == old->serial + 1 && (!new->has_previous || !ent_hash_equal(&new->previous, &current->text_hash)))
        return no_successor(err, new, "it names another card as the one before");
    if (ent_public_key_equal(&old->root, &new->root)) {
        /* Else whoever steals the root key could replace the commitment, which is there for that very case. */
        if (!ent_hash_equal(&old->next_root, &new->next_root))
            return no_successor(err, new, "it changes the committed next root key without using it");
    } else if (!ent_card_root_committed(new, &old->next_root)) {
        return no_successor(err, new,
                            "its root key is neither the known one nor the one committed to, nor do its roots "
                            "lead there");
    }
    return check_kept(old, new, err);
}

/* --- fingerprint --- */

ent_rc ent_card_fingerprint(const ent_card *card, char ret[ENT_FINGERPRINT_TEXT_SIZE + 1], ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf key_name = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_vkey vkey;
    ent_hash hash;
    char digits[FINGERPRINT_DIGITS + 1];
    ENT_TRY(make_root_vkey(card->name, &card->root, &key_name, &vkey, err));
    ent_vkey_put(&text, &vkey);
    ENT_TRY(ent_buf_check(&text, err));
    ent_sha256(ent_buf_bytes(&text), &hash);
    ent_hex_encode(ent_bytes_of(hash.bytes, FINGERPRINT_BYTES), digits);
    size_t at = 0;
    for (size_t i = 0; i < FINGERPRINT_DIGITS; i++) {
        if (i > 0 && i % 4 == 0)
            ret[at++] = ' ';
        ret[at++] = digits[i];
    }
    ret[at] = 0;
    return ENT_DONE;
}

static bool is_separator(char c)
{
    return c == ' ' || c == ':';
}

bool ent_fingerprint_matches(const char *fingerprint, ent_text typed)
{
    size_t at = 0;
    for (; *fingerprint != 0; fingerprint++) {
        if (is_separator(*fingerprint))
            continue;
        while (at < typed.size && is_separator(typed.data[at]))
            at++;
        if (at == typed.size)
            return false;
        char c = typed.data[at++];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != *fingerprint)
            return false;
    }
    while (at < typed.size && is_separator(typed.data[at]))
        at++;
    return at == typed.size;
}
