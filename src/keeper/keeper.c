#include "keeper/internal.h"

#include <stdio.h>

void ent_keeper_free(ent_keeper *keeper)
{
    if (keeper != NULL)
        keeper->way->free(keeper);
}

const ent_keeper_publics *ent_keeper_public_keys(const ent_keeper *keeper)
{
    return &keeper->publics;
}

ent_rc ent_keeper_key(ent_keeper *keeper, ent_key_role role, uint64_t serial, uint8_t ret_public[32], ent_err *err)
{
    return keeper->way->key(keeper, role, serial, ret_public, err);
}

ent_rc ent_keeper_tls_key(ent_keeper *keeper, uint64_t serial, ent_buf *ret_pem, ent_err *err)
{
    return keeper->way->tls_key(keeper, serial, ret_pem, err);
}

void ent_key_file_name(ent_key_role role, uint64_t serial, char ret[ENT_KEY_NAME_SIZE])
{
    if (serial <= 1)
        (void)snprintf(ret, ENT_KEY_NAME_SIZE, "%s.key", ent_key_role_word(role));
    else
        (void)snprintf(ret, ENT_KEY_NAME_SIZE, "%s.%llu.key", ent_key_role_word(role), (unsigned long long)serial);
}

ent_rc ent_keeper_sign(ent_keeper *keeper, ent_keeper_request *requests, size_t count, ent_err *err)
{
    return keeper->way->sign(keeper, requests, count, err);
}

ent_rc ent_keeper_mark(ent_keeper *keeper, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err)
{
    return keeper->way->mark(keeper, what, origin, ret, err);
}

static ent_rc unwrap(void *context, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    ent_keeper *keeper = context;
    return keeper->way->unwrap(keeper, header, ret, err);
}

ent_age_unwrapper ent_keeper_unwrapper(ent_keeper *keeper)
{
    return (ent_age_unwrapper){unwrap, keeper};
}
