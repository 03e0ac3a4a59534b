#include "keeper/keeper.h"

#include "base/file.h"
#include "base/name.h"
#include "crypto/crypto.h"
#include "keeper/internal.h"
#include "keeper/key_file.h"
#include "seal/bech32.h"

static ent_rc create_file(const char *folder, const char *name, const char *role, ent_bytes secret, ent_key_lock *lock,
                          ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ent_key_file_create(path, role, secret, lock, err);
}

static ent_rc create_signing_key(const char *folder, const char *name, const char *role, ent_key_lock *lock,
                                 ent_public_key *ret, ent_err *err)
{
    uint8_t seed[32];
    ent_secret_key secret;
    ent_random(seed, sizeof seed);
    ent_ed25519_from_seed(seed, ret, &secret);
    ent_rc rc = create_file(folder, name, role, ent_bytes_of(seed, sizeof seed), lock, err);
    ent_wipe(seed, sizeof seed);
    ent_wipe(&secret, sizeof secret);
    return rc;
}

static ent_rc create_age_identity(const char *folder, const char *name, ent_text party, ent_key_lock *lock,
                                  ent_recipient *ret, ent_err *err)
{
    ent_identity identity;
    ent_x25519_generate(ret, &identity);
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    if (ent_buf_reserve(&text, 1024) == NULL)
        return ent_buf_check(&text, err);
    if (lock->passphrase.size == 0) {
        ent_buf_put_format(&text, "# age identity of %.*s\n# public key: ", ENT_TEXT_ARG(party));
        ent_recipient_put(&text, ret);
        ent_buf_put_u8(&text, '\n');
    }
    ent_identity_put(&text, &identity);
    ent_wipe(&identity, sizeof identity);
    ent_buf_put_u8(&text, '\n');
    ENT_TRY(ent_buf_check(&text, err));
    if (lock->passphrase.size > 0)
        return create_file(folder, name, "age", ent_buf_bytes(&text), lock, err);
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ent_file_create(path, 0600, ent_buf_bytes(&text), err);
}

ent_rc ent_keeper_create(const char *folder, ent_text party, ent_bytes passphrase, ent_bytes tls_key_pem,
                         ent_keeper_publics *ret, ent_err *err)
{
    ent_keeper_publics publics = {0};
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    ENT_TRY(ent_file_make_folder(folder, 0700, err));
    ENT_TRY(create_signing_key(folder, "log.key", "log", &lock, &publics.log, err));
    ENT_TRY(create_signing_key(folder, "receipt.key", "receipt", &lock, &publics.receipt, err));
    ENT_TRY(create_age_identity(folder, "age.key", party, &lock, &publics.age, err));
    ENT_TRY(create_file(folder, "tls.key", "tls", tls_key_pem, &lock, err));
    *ret = publics;
    return ENT_DONE;
}

static ent_rc public_of_file(const char *path, ent_key_role role, ent_key_lock *lock, uint8_t ret_public[32],
                             ent_buf *ret_pem, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf secret = {0};
    ent_public_key public_key;
    ent_secret_key unused;
    if (role == ENT_KEY_ROLE_TLS)
        return ent_key_file_read(path, "tls", lock, ret_pem, err);
    if (role == ENT_KEY_ROLE_AGE) {
        ent_identity identity;
        ent_recipient recipient;
        ENT_TRY(ent_age_file_read(path, lock, &identity, err));
        ent_x25519_recipient(&identity, &recipient);
        ent_wipe(&identity, sizeof identity);
        memcpy(ret_public, recipient.bytes, 32);
        return ENT_DONE;
    }
    ENT_TRY(ent_key_file_read(path, ent_key_role_word(role), lock, &secret, err));
    if (secret.size != 32)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s does not hold a 32-byte Ed25519 seed", path);
    ent_ed25519_from_seed(secret.data, &public_key, &unused);
    ent_wipe(&unused, sizeof unused);
    memcpy(ret_public, public_key.bytes, 32);
    return ENT_DONE;
}

ent_rc ent_keeper_make_key(const char *folder, ent_text party, ent_bytes passphrase, ent_key_role role, uint64_t serial,
                           ent_bytes tls_key_pem, uint8_t ret_public[32], ent_buf *ret_pem, ent_err *err)
{
    char name[ENT_KEY_NAME_SIZE];
    ent_public_key public_key;
    ent_recipient recipient;
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    ent_key_file_name(role, serial, name);
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_key_folder_know_lock(folder, &lock, err));
    ent_rc rc = public_of_file(path, role, &lock, ret_public, ret_pem, err);
    if (rc.code != ENT_ABSENT)
        return rc;
    if (role == ENT_KEY_ROLE_TLS)
        ENT_TRY(create_file(folder, name, "tls", tls_key_pem, &lock, err));
    else if (role == ENT_KEY_ROLE_AGE)
        ENT_TRY(create_age_identity(folder, name, party, &lock, &recipient, err));
    else
        ENT_TRY(create_signing_key(folder, name, ent_key_role_word(role), &lock, &public_key, err));
    return public_of_file(path, role, &lock, ret_public, ret_pem, err);
}

ent_rc ent_root_create(const char *folder, ent_text party, ent_bytes passphrase, ent_public_key *ret_root,
                       ent_hash *ret_next_root, ent_err *err)
{
    ent_public_key root;
    ent_public_key next;
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    if (!ent_name_valid(party))
        return ent_fail(err, ENT_USAGE, "design 1", "\"%.*s\" is not a party's name", ENT_TEXT_ARG(party));
    ENT_TRY(ent_file_make_folder(folder, 0700, err));
    ENT_TRY(create_signing_key(folder, "root.key", "root", &lock, &root, err));
    ENT_TRY(create_signing_key(folder, "next-root.key", "next-root", &lock, &next, err));
    *ret_root = root;
    ent_sha256(ent_bytes_of(next.bytes, sizeof next.bytes), ret_next_root);
    return ENT_DONE;
}

ent_rc ent_root_sign_card(const char *folder, ent_bytes passphrase, const ent_card *card, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, "root.key");
    ENT_CLEANUP(ent_buf_wipe) ent_buf seed = {0};
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_key_file_read(path, "root", &lock, &seed, err));
    if (seed.size != 32)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s does not hold a 32-byte Ed25519 seed", path);
    ent_public_key root;
    ent_secret_key secret;
    ent_ed25519_from_seed(seed.data, &root, &secret);
    ent_rc rc = ent_public_key_equal(&root, &card->root)
                    ? ent_card_sign(card, &secret, ret, err)
                    : ent_fail(err, ENT_PEER_MISMATCH, NULL, "%s is not the root key that the card names", path);
    ent_wipe(&secret, sizeof secret);
    return rc;
}
