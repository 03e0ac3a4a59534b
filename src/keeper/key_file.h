/* Key files: one secret each, plain or sealed with a passphrase. */
#ifndef ENT_KEEPER_KEY_FILE_H
#define ENT_KEEPER_KEY_FILE_H

#include "crypto/crypto.h"

enum { ENT_KEY_FILE_MAX_BYTES = 16 * 1024 };

/** A passphrase and the key derived from it for the salt used last, so that Argon2id runs once for a folder. Wiped by
 * release. */
typedef struct {
    ent_bytes passphrase; /* borrowed; empty = none */
    bool has_key;
    uint8_t salt[ENT_PASSPHRASE_SALT_SIZE];
    ent_aead_key key;
} ent_key_lock;

void ent_key_lock_release(ent_key_lock *lock);

/** Append what a key file holds.  Errors: NOMEM. */
ENT_RC ent_key_file_put(ent_buf *buf, const char *role, ent_bytes secret, ent_key_lock *lock, ent_err *err);
/** Create a key file (0600) that must not exist.
 *  Form: "entente.key/v1 <role>\n" and one base64 line: the secret; or "entente.key/v1 <role> argon2id <base64 salt>\n"
 * and base64(12-byte nonce || ChaCha20-Poly1305 of the secret under HKDF(Argon2id(passphrase, salt), info = role)).
 *  Errors: REFUSED when it exists, IO, NOMEM. */
ENT_RC ent_key_file_create(const char *path, const char *role, ent_bytes secret, ent_key_lock *lock, ent_err *err);
/** Read one.
 *  @out  ret_secret   wiped by the caller with ent_buf_wipe
 *  Errors: ABSENT, REFUSED (passphrase missing or wrong, mode allows others to read), PEER_MALFORMED, IO, NOMEM. */
ENT_RC ent_key_file_read(const char *path, const char *role, ent_key_lock *lock, ent_buf *ret_secret, ent_err *err);
/** Read an age identity: a stock age identity file, or the same in a sealed key file.  Errors: as above. */
ENT_RC ent_age_file_read(const char *path, ent_key_lock *lock, ent_identity *ret, ent_err *err);
/** Know how the keys of a folder are sealed, from one that is there: all of a party's are sealed alike. Without any key
 * there the lock stays as it is.
 *  Errors: ABSENT without the folder, REFUSED (passphrase missing, wrong, or given for keys that have none; mode),
 * PEER_MALFORMED, IO, NOMEM. */
ENT_RC ent_key_folder_know_lock(const char *folder, ent_key_lock *lock, ent_err *err);
/** Read a file whole after checking that only its owner can read it. */
ENT_RC ent_key_file_load(const char *path, ent_buf *ret, ent_err *err);
/** Parse the contents of a key file: what ent_key_file_read does after loading. */
ENT_RC ent_key_file_parse(ent_bytes bytes, const char *role, ent_key_lock *lock, ent_buf *ret_secret, ent_err *err);

#endif
