/* The root key, for those who change keys. */
#include "base/file.h"
#include "crypto/crypto.h"
#include "keeper/key_file.h"
#include "keeper/keeper.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

struct ent_root {
    ent_secret_key secret;
};

/* Whether this is the key that is looked for. */
typedef struct {
    const ent_public_key *key; /* NULL: by its hash */
    const ent_hash *committed;
} wanted;

static bool is_wanted(const wanted *what, const ent_public_key *key)
{
    ent_hash hash;
    if (what->key != NULL)
        return ent_public_key_equal(what->key, key);
    ent_sha256(ent_bytes_of(key->bytes, sizeof key->bytes), &hash);
    return ent_hash_equal(&hash, what->committed);
}

static ent_rc read_seed(const char *folder, const char *name, ent_key_lock *lock, ent_public_key *ret_public,
                        ent_secret_key *ret_secret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    ENT_CLEANUP(ent_buf_wipe) ent_buf seed = {0};
    const char *role = strcmp(name, "root.key") == 0 ? "root" : "next-root";
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_key_file_read(path, role, lock, &seed, err));
    if (seed.size != 32)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s does not hold a 32-byte Ed25519 seed", path);
    ent_ed25519_from_seed(seed.data, ret_public, ret_secret);
    return ENT_DONE;
}

static bool is_root_file(const char *name)
{
    size_t size = strlen(name);
    return strcmp(name, "root.key") == 0 ||
           (strncmp(name, "next-root.", 10) == 0 && size > 4 && strcmp(name + size - 4, ".key") == 0);
}

static ent_rc look_through(const char *folder, DIR *listing, ent_key_lock *lock, const wanted *what,
                           ent_public_key *ret_public, ent_secret_key *ret_secret, ent_err *err)
{
    for (const struct dirent *row = readdir(listing); row != NULL; row = readdir(listing)) {
        if (!is_root_file(row->d_name))
            continue;
        ENT_TRY(read_seed(folder, row->d_name, lock, ret_public, ret_secret, err));
        if (is_wanted(what, ret_public))
            return ENT_DONE;
    }
    return ent_fail(err, ENT_ABSENT, "design 2, Rotation",
                    "%s does not hold the root key that is needed; name its folder with --root-dir", folder);
}

static ent_rc find(const char *folder, ent_key_lock *lock, const wanted *what, ent_root **ret,
                   ent_public_key *ret_public, ent_err *err)
{
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return ent_fail(err, ENT_ABSENT, "design 2, Rotation",
                        "there are no root keys in %s; name their folder with --root-dir", folder);
    ent_root *root = ent_alloc(sizeof *root);
    ent_rc rc = root == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory")
                             : look_through(folder, listing, lock, what, ret_public, &root->secret, err);
    (void)closedir(listing);
    if (rc.code != ENT_OK) {
        ent_root_free(root);
        return rc;
    }
    *ret = root;
    return ENT_DONE;
}

ent_rc ent_root_open(const char *folder, ent_bytes passphrase, const ent_public_key *root, ent_root **ret, ent_err *err)
{
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    wanted what = {.key = root};
    ent_public_key found;
    return find(folder, &lock, &what, ret, &found, err);
}

static ent_rc make_next(const char *folder, ent_key_lock *lock, uint64_t serial, ent_hash *ret, ent_err *err)
{
    char name[64];
    uint8_t seed[32];
    ent_public_key key;
    ent_secret_key secret;
    (void)snprintf(name, sizeof name, "next-root.%llu.key", (unsigned long long)serial);
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_rc rc = read_seed(folder, name, lock, &key, &secret, err);
    if (rc.code == ENT_ABSENT) {
        ent_random(seed, sizeof seed);
        ent_ed25519_from_seed(seed, &key, &secret);
        rc = ent_key_file_create(path, "next-root", ent_bytes_of(seed, sizeof seed), lock, err);
        ent_wipe(seed, sizeof seed);
    }
    ent_wipe(&secret, sizeof secret);
    ENT_TRY(rc);
    ent_sha256(ent_bytes_of(key.bytes, sizeof key.bytes), ret);
    return ENT_DONE;
}

ent_rc ent_root_open_next(const char *folder, ent_bytes passphrase, const ent_hash *committed, uint64_t serial,
                          ent_root **ret, ent_public_key *ret_root, ent_hash *ret_next, ent_err *err)
{
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    wanted what = {.committed = committed};
    ent_root *root = NULL;
    ENT_TRY(find(folder, &lock, &what, &root, ret_root, err));
    ent_rc rc = make_next(folder, &lock, serial, ret_next, err);
    if (rc.code != ENT_OK) {
        ent_root_free(root);
        return rc;
    }
    *ret = root;
    return ENT_DONE;
}

void ent_root_free(ent_root *root)
{
    if (root != NULL)
        ent_wipe(root, sizeof *root);
    ent_free(root);
}

ent_rc ent_root_card(const ent_root *root, const ent_card *card, ent_buf *ret, ent_err *err)
{
    return ent_card_sign(card, &root->secret, ret, err);
}

ent_rc ent_root_take_over(const ent_root *root, ent_card *card, ent_err *err)
{
    return ent_card_add_root(card, &root->secret, err);
}

ent_rc ent_root_cutoffs(const ent_root *root, ent_text party, const ent_cutoffs *cutoffs, ent_buf *ret, ent_err *err)
{
    return ent_cutoffs_sign(cutoffs, party, &root->secret, ret, err);
}
