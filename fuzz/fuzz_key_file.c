/* Feeds key files: what is read and written again is the same bytes, and a sealed one opens with its key alone. */

#include "crypto/crypto.h"
#include "keeper/key_file.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The key for the salt of zeros is known already, so that no input costs a derivation from a passphrase. */
static ent_key_lock lock_with_key(uint8_t key_byte)
{
    ent_key_lock lock = {.passphrase = ent_bytes_of("x", 1), .has_key = true};
    memset(lock.key.bytes, key_byte, sizeof lock.key.bytes);
    return lock;
}

static bool has_zero_salt(ent_text text)
{
    static const char salt[] = " argon2id AAAAAAAAAAAAAAAAAAAAAA==\n";
    return memmem(text.data, text.size, salt, sizeof salt - 1) != NULL;
}

static void check_plain(ent_bytes input, const char *role)
{
    ent_key_lock none = {0};
    ent_buf secret = {0};
    ent_rc rc = ent_key_file_parse(input, role, &none, &secret, NULL);
    if (rc.code == ENT_OK) {
        ent_buf again = {0};
        ent_buf_put_format(&again, "entente.key/v1 %s\n", role);
        ent_buf_put_base64(&again, ent_buf_bytes(&secret));
        ent_buf_put_u8(&again, '\n');
        require(ent_bytes_equal(ent_buf_bytes(&again), input));
        ent_buf_wipe(&again);
    } else {
        require(rc.code == ENT_PEER_MALFORMED || rc.code == ENT_REFUSED);
        require(secret.size == 0);
    }
    ent_buf_wipe(&secret);
}

static void check_sealed(ent_bytes input, const char *role)
{
    ent_key_lock right = lock_with_key(0x11);
    ent_key_lock wrong = lock_with_key(0x22);
    ent_buf secret = {0};
    ent_buf none = {0};
    if (ent_key_file_parse(input, role, &right, &secret, NULL).code == ENT_OK) {
        require(secret.size > 0);
        require(ent_key_file_parse(input, role, &wrong, &none, NULL).code == ENT_REFUSED);
        require(none.size == 0);
    }
    ent_buf_wipe(&secret);
    ent_buf_wipe(&none);
    ent_key_lock_release(&right);
    ent_key_lock_release(&wrong);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const roles[] = {"log", "receipt", "age", "tls", "root", "next-root"};
    ent_bytes input = ent_bytes_of(data, size);
    if (size > ENT_KEY_FILE_MAX_BYTES)
        return 0;
    require(ent_crypto_init(NULL).code == ENT_OK);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        check_plain(input, roles[i]);
        if (has_zero_salt(ent_bytes_text(input)))
            check_sealed(input, roles[i]);
    }
    return 0;
}
