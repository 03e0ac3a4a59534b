#include "log/note.h"

#include "base/cursor.h"
#include "crypto/crypto.h"

static const char format_rule[] = "signed-note, Format";
static const char vkey_rule[] = "signed-note, Verifier keys";

/* "— ": em dash (U+2014), space. */
#define SIGNATURE_PREFIX ENT_TEXT("\xe2\x80\x94 ")

/* Characters with the White_Space property (Unicode Character Database, PropList.txt). */
static bool is_white_space(uint32_t character)
{
    return (character >= 0x09 && character <= 0x0d) || character == 0x20 || character == 0x85 || character == 0xa0 ||
           character == 0x1680 || (character >= 0x2000 && character <= 0x200a) || character == 0x2028 ||
           character == 0x2029 || character == 0x202f || character == 0x205f || character == 0x3000;
}

/* Decode one character of text that is known to be valid UTF-8 and step over it. */
static uint32_t take_character(const uint8_t **at)
{
    uint8_t first = *(*at)++;
    unsigned more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t character = more == 0 ? first : first & (0x3fU >> more);
    for (; more > 0; more--)
        character = character << 6 | (*(*at)++ & 0x3fU);
    return character;
}

bool ent_key_name_valid(ent_text name)
{
    if (name.size == 0 || name.size > ENT_KEY_NAME_MAX_BYTES || !ent_utf8_valid(name))
        return false;
    const uint8_t *at = (const uint8_t *)name.data;
    const uint8_t *end = at + name.size;
    while (at < end) {
        uint32_t character = take_character(&at);
        if (character < 0x20 || character == '+' || is_white_space(character))
            return false;
    }
    return true;
}

/* "key ID = SHA-256(key name || 0x0A || signature type || public key)[:4]" */
static ent_vkey vkey_of(ent_text name, ent_key_type type, const ent_public_key *key)
{
    ent_vkey vkey = {.name = name, .type = type, .key = *key};
    const uint8_t separator_and_type[2] = {'\n', (uint8_t)type};
    ent_sha256_state state;
    ent_hash digest;
    ent_sha256_start(&state);
    ent_sha256_update(&state, ent_text_bytes(name));
    ent_sha256_update(&state, ent_bytes_of(separator_and_type, sizeof separator_and_type));
    ent_sha256_update(&state, ent_bytes_of(key->bytes, sizeof key->bytes));
    ent_sha256_finish(&state, &digest);
    memcpy(vkey.id, digest.bytes, sizeof vkey.id);
    return vkey;
}

ent_rc ent_vkey_make(ent_text name, ent_key_type type, const ent_public_key *key, ent_vkey *ret, ent_err *err)
{
    if (!ent_key_name_valid(name))
        return ent_fail(err, ENT_USAGE, format_rule,
                        "a key name is 1 to %d bytes of UTF-8 without spaces, control characters and '+'",
                        ENT_KEY_NAME_MAX_BYTES);
    if (type != ENT_KEY_ED25519 && type != ENT_KEY_COSIGNATURE)
        return ent_fail(err, ENT_USAGE, vkey_rule, "signature type %02x is not supported", (unsigned)type);
    *ret = vkey_of(name, type, key);
    return ENT_DONE;
}

ent_rc ent_vkey_parse(ent_text text, ent_vkey *ret, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(text));
    ent_text name = ent_cursor_until(&cursor, '+');
    ent_text hex = ent_cursor_until(&cursor, '+');
    ent_text base64 = ent_bytes_text(ent_cursor_take(&cursor, ent_cursor_left(&cursor)));
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_PEER_MALFORMED, vkey_rule, "a verifier key is <name>+<key id>+<key>");
    if (!ent_key_name_valid(name))
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "the name of a verifier key is not a key name");

    uint8_t id[ENT_KEY_ID_SIZE];
    ent_rc rc = ent_hex_decode(hex, id, sizeof id, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "key id of a verifier key");
    uint8_t typed_key[1 + sizeof(ent_public_key)];
    rc = ent_base64_decode_fixed(base64, true, typed_key, sizeof typed_key, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "key of a verifier key (only Ed25519 is supported)");
    if (typed_key[0] != ENT_KEY_ED25519 && typed_key[0] != ENT_KEY_COSIGNATURE)
        return ent_fail(err, ENT_PEER_MALFORMED, vkey_rule, "signature type %02x is not supported", typed_key[0]);

    ent_public_key key;
    memcpy(key.bytes, typed_key + 1, sizeof key.bytes);
    ent_vkey vkey = vkey_of(name, (ent_key_type)typed_key[0], &key);
    if (memcmp(vkey.id, id, sizeof id) != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, vkey_rule, "the key id does not belong to this name and key");
    *ret = vkey;
    return ENT_DONE;
}

void ent_vkey_put(ent_buf *buf, const ent_vkey *vkey)
{
    uint8_t typed_key[1 + sizeof(ent_public_key)] = {(uint8_t)vkey->type};
    memcpy(typed_key + 1, vkey->key.bytes, sizeof vkey->key.bytes);
    ent_buf_put_text(buf, vkey->name);
    ent_buf_put_u8(buf, '+');
    ent_buf_put_hex(buf, ent_bytes_of(vkey->id, sizeof vkey->id));
    ent_buf_put_u8(buf, '+');
    ent_buf_put_base64(buf, ent_bytes_of(typed_key, sizeof typed_key));
}

/* "Signed notes MUST be valid UTF-8 and MUST NOT contain any ASCII control characters (those below U+0020) other than
 * newline." */
static bool has_note_characters(ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((uint8_t)text.data[i] < 0x20 && text.data[i] != '\n')
            return false;
    }
    return ent_utf8_valid(text);
}

/* "The note text MAY contain empty lines; the text is separated from the signatures by the last empty line in the
 * note." Gives the offset of the first signature line, 0 when there is no empty line. */
static size_t find_signatures(ent_text whole)
{
    for (size_t at = whole.size; at >= 2; at--) {
        if (whole.data[at - 1] == '\n' && whole.data[at - 2] == '\n')
            return at;
    }
    return 0;
}

static size_t count_lines(ent_text text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    return lines;
}

/* "em dash (U+2014), space (U+0020), key name, space, base64-encoded signature, newline" */
static ent_rc parse_signature_line(ent_cursor *lines, ent_buf *scratch, ent_arena *arena, ent_note_signature *ret,
                                   ent_err *err)
{
    ent_text line = ent_cursor_line(lines);
    if (lines->failed)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "the last signature line does not end in a newline");
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(line));
    ent_cursor_literal(&cursor, SIGNATURE_PREFIX);
    ent_text name = ent_cursor_until(&cursor, ' ');
    ent_text base64 = ent_bytes_text(ent_cursor_take(&cursor, ent_cursor_left(&cursor)));
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "a line after the last empty line is no signature line");
    if (!ent_key_name_valid(name))
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "the name in a signature line is not a key name");

    ent_buf_clear(scratch);
    ent_rc rc = ent_base64_decode(base64, scratch, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "signature line");
    if (scratch->size <= ENT_KEY_ID_SIZE)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "a signature line has no signature after its key id");

    uint8_t *decoded = ent_arena_alloc(arena, scratch->size);
    if (decoded == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    memcpy(decoded, scratch->data, scratch->size);
    ret->name = name;
    memcpy(ret->id, decoded, sizeof ret->id);
    ret->signature = ent_bytes_of(decoded + ENT_KEY_ID_SIZE, scratch->size - ENT_KEY_ID_SIZE);
    ret->line = (ent_text){line.data, line.size + 1};
    return ENT_DONE;
}

ent_rc ent_note_parse(ent_bytes bytes, ent_note *ret, ent_err *err)
{
    if (bytes.size > ENT_NOTE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, format_rule, "a note of %zu bytes; at most %d are accepted",
                        bytes.size, ENT_NOTE_MAX_BYTES);
    ent_text whole = ent_bytes_text(bytes);
    if (!has_note_characters(whole))
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule,
                        "a note is UTF-8 without control characters other than newline");
    size_t first_signature = find_signatures(whole);
    if (first_signature == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "no empty line between text and signatures");

    ent_cursor lines = ent_cursor_of(ent_bytes_of(bytes.data + first_signature, bytes.size - first_signature));
    size_t count = count_lines((ent_text){whole.data + first_signature, whole.size - first_signature});
    if (count == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, format_rule, "a note has no complete signature line");
    if (count > ENT_NOTE_MAX_SIGNATURES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, format_rule, "%zu signature lines; at most %d are accepted", count,
                        ENT_NOTE_MAX_SIGNATURES);

    ENT_CLEANUP(ent_note_release) ent_note note = {.text = {whole.data, first_signature - 1}};
    ENT_CLEANUP(ent_buf_release) ent_buf scratch = {0};
    note.signatures = ent_arena_alloc(&note.arena, count * sizeof *note.signatures);
    if (note.signatures == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    while (!ent_cursor_finished(&lines)) {
        ENT_TRY(parse_signature_line(&lines, &scratch, &note.arena, &note.signatures[note.signature_count], err));
        note.signature_count++;
    }
    *ret = note;
    note = (ent_note){0};
    return ENT_DONE;
}

void ent_note_release(ent_note *note)
{
    if (note == NULL)
        return;
    ent_arena_release(&note->arena);
    *note = (ent_note){0};
}

bool ent_note_signature_is_by(const ent_note_signature *signature, const ent_vkey *vkey)
{
    return ent_text_equal(signature->name, vkey->name) && memcmp(signature->id, vkey->id, sizeof vkey->id) == 0;
}

ent_signature_verdict ent_note_verify(const ent_note *note, const ent_vkey *vkey)
{
    if (vkey->type != ENT_KEY_ED25519)
        return ENT_SIGNATURE_NOT_CHECKED;
    ent_signature_verdict verdict = ENT_SIGNATURE_ABSENT;
    for (size_t i = 0; i < note->signature_count; i++) {
        const ent_note_signature *line = &note->signatures[i];
        ent_signature signature;
        if (!ent_note_signature_is_by(line, vkey))
            continue;
        if (line->signature.size != sizeof signature.bytes)
            return ENT_SIGNATURE_INVALID;
        memcpy(signature.bytes, line->signature.data, sizeof signature.bytes);
        if (!ent_ed25519_verify(&vkey->key, ent_text_bytes(note->text), &signature))
            return ENT_SIGNATURE_INVALID;
        verdict = ENT_SIGNATURE_VALID;
    }
    return verdict;
}

void ent_note_put_signature(ent_buf *buf, const ent_vkey *vkey, ent_bytes signature)
{
    /* The id and two bytes more make whole groups of three, so base64 of the rest continues where they end. */
    uint8_t head[ENT_KEY_ID_SIZE + 2];
    size_t joined = signature.size < 2 ? signature.size : 2;
    memcpy(head, vkey->id, ENT_KEY_ID_SIZE);
    if (joined > 0)
        memcpy(head + ENT_KEY_ID_SIZE, signature.data, joined);
    ent_buf_put_text(buf, SIGNATURE_PREFIX);
    ent_buf_put_text(buf, vkey->name);
    ent_buf_put_u8(buf, ' ');
    ent_buf_put_base64(buf, ent_bytes_of(head, ENT_KEY_ID_SIZE + joined));
    if (signature.size > joined)
        ent_buf_put_base64(buf, ent_bytes_of(signature.data + joined, signature.size - joined));
    ent_buf_put_u8(buf, '\n');
}

ent_rc ent_note_sign(ent_text text, const ent_vkey *vkey, const ent_secret_key *secret, ent_buf *ret, ent_err *err)
{
    if (vkey->type != ENT_KEY_ED25519)
        return ent_fail(err, ENT_USAGE, "signed-note, Ed25519 signatures", "this key makes no note signatures");
    ent_public_key of_secret;
    ent_ed25519_public(secret, &of_secret);
    if (!ent_public_key_equal(&of_secret, &vkey->key))
        return ent_fail(err, ENT_USAGE, "signed-note, Signatures", "the secret key is not the verifier key's");
    if (text.size == 0 || text.data[text.size - 1] != '\n' || !has_note_characters(text))
        return ent_fail(err, ENT_USAGE, format_rule,
                        "a note text is UTF-8, ends in a newline and has no other control character");
    if (text.size > ENT_NOTE_MAX_BYTES)
        return ent_fail(err, ENT_USAGE, format_rule, "a note has at most %d bytes", ENT_NOTE_MAX_BYTES);

    size_t before = ret->size;
    ent_signature signature;
    ent_ed25519_sign(secret, ent_text_bytes(text), &signature);
    ent_buf_put_text(ret, text);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_signature(ret, vkey, ent_bytes_of(signature.bytes, sizeof signature.bytes));
    ent_rc rc = ent_buf_check(ret, err);
    if (rc.code == ENT_OK && ret->size - before > ENT_NOTE_MAX_BYTES)
        rc = ent_fail(err, ENT_USAGE, format_rule, "a note has at most %d bytes", ENT_NOTE_MAX_BYTES);
    if (rc.code != ENT_OK)
        ret->size = before;
    return rc;
}
