/* Signed notes and verifier keys.  Source: C2SP signed-note. */
#ifndef ENT_LOG_NOTE_H
#define ENT_LOG_NOTE_H

#include "base/alloc.h"
#include "crypto/types.h"

enum {
    ENT_NOTE_MAX_BYTES = 64 * 1024,
    ENT_NOTE_MAX_SIGNATURES = 32, /* a reader's limit; "MUST accept at least up to 16 signatures" */
    ENT_KEY_NAME_MAX_BYTES = 256,
    ENT_KEY_ID_SIZE = 4
};

/** Signature type identifier bytes (signed-note, Signature types). */
typedef enum { ENT_KEY_ED25519 = 0x01, ENT_KEY_COSIGNATURE = 0x04 } ent_key_type;

/** A verifier key: the name and type belong to it. The name borrows. */
typedef struct {
    ent_text name;
    ent_key_type type;
    uint8_t id[ENT_KEY_ID_SIZE];
    ent_public_key key;
} ent_vkey;

/** Whether a key name is allowed: non-empty, UTF-8, at most ENT_KEY_NAME_MAX_BYTES, no Unicode space, no '+', no
 * control character. */
bool ent_key_name_valid(ent_text name);

/** Make a verifier key, computing its id = SHA-256(name || "\n" || type || key)[:4].  Errors: USAGE for a bad name. */
ENT_RC ent_vkey_make(ent_text name, ent_key_type type, const ent_public_key *key, ent_vkey *ret, ent_err *err);
/** Parse `<name>+<hex id>+<base64 type||key>`; types other than the two above are refused, and so is an id that does
 * not match.
 *  @out  ret   its name borrows from text
 *  Errors: PEER_MALFORMED. */
ENT_RC ent_vkey_parse(ent_text text, ent_vkey *ret, ent_err *err);
void ent_vkey_put(ent_buf *buf, const ent_vkey *vkey);

/** One signature line; everything borrows from the note. */
typedef struct {
    ent_text name;
    uint8_t id[ENT_KEY_ID_SIZE];
    ent_bytes signature; /* decoded bytes after the id; lives in the note's arena */
    ent_text line;       /* the whole line with its newline */
} ent_note_signature;

/** A parsed note. Release with ent_note_release. */
typedef struct {
    ent_text text; /* with its final newline; borrows from what was parsed */
    ent_note_signature *signatures;
    size_t signature_count; /* >= 1 */
    ent_arena arena;
} ent_note;

/** Parse a note without verifying anything.
 *  @in   bytes   borrowed as long as the note lives
 *  Errors: PEER_MALFORMED, PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_note_parse(ent_bytes bytes, ent_note *ret, ent_err *err);
void ent_note_release(ent_note *note);

/** Whether the line claims to be by this key: "The tuple of key name and key ID uniquely identifies the key". */
bool ent_note_signature_is_by(const ent_note_signature *signature, const ent_vkey *vkey);

/** What a note says of one key. Zero means not checked, so that a forgotten check never reads as success. */
typedef enum {
    ENT_SIGNATURE_NOT_CHECKED = 0,
    ENT_SIGNATURE_VALID,
    ENT_SIGNATURE_INVALID,
    ENT_SIGNATURE_ABSENT
} ent_signature_verdict;

/** Look for the key's signatures and verify each: "If the key name and ID match a known key, verifiers MUST verify the
 *  signature." VALID when one or more lines match and all of them verify. NOT_CHECKED for type 04 keys: see
 *  cosignature.h. */
ent_signature_verdict ent_note_verify(const ent_note *note, const ent_vkey *vkey);

/** Append "— name base64(id || signature)\n". */
void ent_note_put_signature(ent_buf *buf, const ent_vkey *vkey, ent_bytes signature);
/** Sign a text (that ends in a newline) with a type 01 key and append text, blank line, signature line.
 *  Errors: USAGE when the text cannot be a note, or the key is of another type or not the secret's, NOMEM. */
ENT_RC ent_note_sign(ent_text text, const ent_vkey *vkey, const ent_secret_key *secret, ent_buf *ret, ent_err *err);

#endif
