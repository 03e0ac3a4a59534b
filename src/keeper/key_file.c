#include "keeper/key_file.h"

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/file.h"
#include "seal/bech32.h"

#include <sys/stat.h>

static const char magic[] = "entente.key/v1 ";

void ent_key_lock_release(ent_key_lock *lock)
{
    ent_wipe(&lock->key, sizeof lock->key);
    lock->has_key = false;
}

static ent_rc unlock(ent_key_lock *lock, const uint8_t salt[ENT_PASSPHRASE_SALT_SIZE], ent_err *err)
{
    if (lock->has_key && memcmp(lock->salt, salt, sizeof lock->salt) == 0)
        return ENT_DONE;
    if (lock->passphrase.size == 0)
        return ent_fail(err, ENT_REFUSED, NULL, "the key is sealed with a passphrase; give --passphrase-file FILE");
    ENT_TRY(ent_passphrase_key(lock->passphrase, salt, &lock->key, err));
    memcpy(lock->salt, salt, sizeof lock->salt);
    lock->has_key = true;
    return ENT_DONE;
}

static void role_key(const ent_key_lock *lock, const char *role, ent_aead_key *ret)
{
    ent_hkdf_sha256(ent_bytes_of(lock->key.bytes, sizeof lock->key.bytes), (ent_bytes){NULL, 0}, ent_text_of(role),
                    ret->bytes, sizeof ret->bytes);
}

static ent_rc put_sealed(ent_buf *text, const char *role, ent_bytes secret, ent_key_lock *lock, ent_err *err)
{
    if (!lock->has_key) {
        uint8_t salt[ENT_PASSPHRASE_SALT_SIZE];
        ent_random(salt, sizeof salt);
        ENT_TRY(unlock(lock, salt, err));
    }
    ENT_CLEANUP(ent_buf_wipe) ent_buf sealed = {0};
    size_t size = ENT_AEAD_NONCE_SIZE + secret.size + ENT_AEAD_TAG_SIZE;
    uint8_t *room = ent_buf_reserve(&sealed, size);
    ENT_TRY(ent_buf_check(&sealed, err));
    ent_aead_key key;
    role_key(lock, role, &key);
    ent_random(room, ENT_AEAD_NONCE_SIZE);
    ent_aead_seal(&key, room, secret, room + ENT_AEAD_NONCE_SIZE);
    ent_wipe(&key, sizeof key);
    sealed.size = size;
    ent_buf_put_string(text, " argon2id ");
    ent_buf_put_base64(text, ent_bytes_of(lock->salt, sizeof lock->salt));
    ent_buf_put_u8(text, '\n');
    ent_buf_put_base64(text, ent_buf_bytes(&sealed));
    return ENT_DONE;
}

ent_rc ent_key_file_put(ent_buf *buf, const char *role, ent_bytes secret, ent_key_lock *lock, ent_err *err)
{
    if (ent_buf_reserve(buf, 256 + secret.size * 2) == NULL) /* no copy of the secret stays behind a growing buffer */
        return ent_buf_check(buf, err);
    ent_buf_put_string(buf, magic);
    ent_buf_put_string(buf, role);
    if (lock->passphrase.size > 0) {
        ENT_TRY(put_sealed(buf, role, secret, lock, err));
    } else {
        ent_buf_put_u8(buf, '\n');
        ent_buf_put_base64(buf, secret);
    }
    ent_buf_put_u8(buf, '\n');
    return ent_buf_check(buf, err);
}

ent_rc ent_key_file_create(const char *path, const char *role, ent_bytes secret, ent_key_lock *lock, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    ENT_TRY(ent_key_file_put(&text, role, secret, lock, err));
    return ent_file_create(path, 0600, ent_buf_bytes(&text), err);
}

ent_rc ent_key_file_load(const char *path, ent_buf *ret, ent_err *err)
{
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & 077) != 0)
        return ent_fail(
            err, ENT_REFUSED, "design 8, keeper",
            "%s can be read by others (mode %04o); a key file must be 0600: chmod 600 it, and think about who may "
            "have read it",
            path, (unsigned)(status.st_mode & 07777));
    if (ent_buf_reserve(ret, 65536 + ENT_KEY_FILE_MAX_BYTES) == NULL)
        return ent_buf_check(ret, err);
    return ent_file_read(path, ENT_KEY_FILE_MAX_BYTES, ret, err);
}

static ent_rc open_sealed(ent_bytes sealed, const char *role, ent_key_lock *lock, ent_buf *ret_secret, ent_err *err)
{
    if (sealed.size <= ENT_AEAD_NONCE_SIZE + ENT_AEAD_TAG_SIZE)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "the sealed key is too short");
    size_t secret_size = sealed.size - ENT_AEAD_NONCE_SIZE - ENT_AEAD_TAG_SIZE;
    uint8_t *room = ent_buf_reserve(ret_secret, secret_size);
    if (room == NULL)
        return ent_buf_check(ret_secret, err);
    ent_aead_key key;
    role_key(lock, role, &key);
    ent_bytes ciphertext = {sealed.data + ENT_AEAD_NONCE_SIZE, sealed.size - ENT_AEAD_NONCE_SIZE};
    bool opened = ent_aead_open(&key, sealed.data, ciphertext, room);
    ent_wipe(&key, sizeof key);
    if (!opened)
        return ent_fail(err, ENT_REFUSED, NULL, "the passphrase does not open this key, or its file is damaged");
    ret_secret->size += secret_size;
    return ENT_DONE;
}

static ent_rc parse_first_line(ent_cursor *cursor, const char *role, bool *ret_sealed,
                               uint8_t salt[ENT_PASSPHRASE_SALT_SIZE], ent_err *err)
{
    ent_cursor_literal(cursor, ent_text_of(magic));
    ent_cursor_literal(cursor, ent_text_of(role));
    *ret_sealed = ent_cursor_accept(cursor, ENT_TEXT(" argon2id "));
    ent_text rest = ent_cursor_line(cursor);
    if (cursor->failed || (!*ret_sealed && rest.size != 0))
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "the first line is not \"%s%s\"", magic, role);
    if (*ret_sealed)
        ENT_TRY(ent_base64_decode_fixed(rest, true, salt, ENT_PASSPHRASE_SALT_SIZE, err));
    return ENT_DONE;
}

ent_rc ent_key_file_parse(ent_bytes bytes, const char *role, ent_key_lock *lock, ent_buf *ret_secret, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    bool sealed = false;
    uint8_t salt[ENT_PASSPHRASE_SALT_SIZE];
    ENT_TRY(parse_first_line(&cursor, role, &sealed, salt, err));
    ent_text line = ent_cursor_line(&cursor);
    if (!ent_cursor_finished(&cursor))
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "a key file has two lines");
    ENT_CLEANUP(ent_buf_wipe) ent_buf decoded = {0};
    if (ent_buf_reserve(&decoded, line.size + 4) == NULL)
        return ent_buf_check(&decoded, err);
    ENT_TRY(ent_base64_decode(line, &decoded, err));
    if (!sealed) {
        if (ent_buf_reserve(ret_secret, decoded.size) == NULL)
            return ent_buf_check(ret_secret, err);
        ent_buf_put(ret_secret, ent_buf_bytes(&decoded));
        return ent_buf_check(ret_secret, err);
    }
    ENT_TRY(unlock(lock, salt, err));
    return open_sealed(ent_buf_bytes(&decoded), role, lock, ret_secret, err);
}

ent_rc ent_key_file_read(const char *path, const char *role, ent_key_lock *lock, ent_buf *ret_secret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    ENT_TRY(ent_key_file_load(path, &text, err));
    ent_rc rc = ent_key_file_parse(ent_buf_bytes(&text), role, lock, ret_secret, err);
    return ent_fail_in(err, rc, "%s", path);
}

ent_rc ent_age_file_read(const char *path, ent_key_lock *lock, ent_identity *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf secret = {0};
    ENT_TRY(ent_key_file_load(path, &text, err));
    ent_text left = ent_buf_text(&text);
    if (ent_text_starts(left, ENT_TEXT("entente.key/"))) {
        ENT_TRY(ent_fail_in(err, ent_key_file_parse(ent_buf_bytes(&text), "age", lock, &secret, err), "%s", path));
        left = ent_buf_text(&secret);
    }
    while (left.size > 0) {
        const char *newline = memchr(left.data, '\n', left.size);
        size_t size = newline == NULL ? left.size : (size_t)(newline - left.data);
        ent_text line = {left.data, size};
        if (line.size > 0 && line.data[0] != '#')
            return ent_fail_in(err, ent_identity_parse(line, ret, err), "%s", path);
        size_t taken = newline == NULL ? size : size + 1;
        left.data += taken;
        left.size -= taken;
    }
    return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s holds no age identity", path);
}
