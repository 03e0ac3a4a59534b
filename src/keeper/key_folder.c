/* How the keys of a folder are sealed, when any of them may be lost. */
#include "base/cursor.h"
#include "base/file.h"
#include "keeper/key_file.h"
#include "keeper/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

/* Whether a file holds a key of this role: "<role>.key" or "<role>.<serial>.key". */
static bool is_key_of(const char *name, ent_key_role role)
{
    const char *word = ent_key_role_word(role);
    size_t size = strlen(word);
    ent_text rest = ent_text_of(name);
    uint64_t serial = 0;
    if (strncmp(name, word, size) != 0)
        return false;
    rest = (ent_text){rest.data + size, rest.size - size};
    if (ent_text_is(rest, ".key"))
        return true;
    if (rest.size < 6 || rest.data[0] != '.' || memcmp(rest.data + rest.size - 4, ".key", 4) != 0)
        return false;
    return ent_decimal_parse((ent_text){rest.data + 1, rest.size - 5}, UINT32_MAX, &serial);
}

/* The name of some key that is there; "" = none. */
static ent_rc find_key(const char *folder, char ret_name[ENT_KEY_NAME_SIZE], ent_key_role *ret_role, ent_err *err)
{
    char reason[128];
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return ent_fail(err, errno == ENOENT ? ENT_ABSENT : ENT_IO, NULL, "cannot open %s: %s", folder,
                        strerror_r(errno, reason, sizeof reason));
    ret_name[0] = 0;
    for (const struct dirent *row = readdir(listing); row != NULL && ret_name[0] == 0; row = readdir(listing)) {
        for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
            if (strlen(row->d_name) >= ENT_KEY_NAME_SIZE || !is_key_of(row->d_name, role))
                continue;
            (void)snprintf(ret_name, ENT_KEY_NAME_SIZE, "%.*s", ENT_KEY_NAME_SIZE - 1, row->d_name);
            *ret_role = role;
        }
    }
    (void)closedir(listing);
    return ENT_DONE;
}

ent_rc ent_key_folder_know_lock(const char *folder, ent_key_lock *lock, ent_err *err)
{
    char name[ENT_KEY_NAME_SIZE];
    ent_key_role role = ENT_KEY_ROLE_LOG;
    ENT_CLEANUP(ent_buf_wipe) ent_buf secret = {0};
    ENT_TRY(find_key(folder, name, &role, err));
    if (name[0] == 0)
        return ENT_DONE;
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (role == ENT_KEY_ROLE_AGE) {
        ent_identity identity;
        ENT_TRY(ent_age_file_read(path, lock, &identity, err));
        ent_wipe(&identity, sizeof identity);
    } else {
        ENT_TRY(ent_key_file_read(path, ent_key_role_word(role), lock, &secret, err));
    }
    if (!lock->has_key && lock->passphrase.size > 0)
        return ent_fail(err, ENT_REFUSED, NULL,
                        "the keys in %s are not sealed with a passphrase; leave --passphrase-file out", folder);
    return ENT_DONE;
}
