/* Private to the keeper: the two ways it is there, in this process (local.c) or in one of its own (remote.c). */
#ifndef ENT_KEEPER_INTERNAL_H
#define ENT_KEEPER_INTERNAL_H

#include "keeper/keeper.h"

/** What each of the two does; the functions of keeper.h say what it is. */
typedef struct {
    void (*free)(ent_keeper *keeper);
    ENT_RC (*key)(ent_keeper *keeper, ent_key_role role, uint64_t serial, uint8_t ret_public[32], ent_err *err);
    ENT_RC (*tls_key)(ent_keeper *keeper, uint64_t serial, ent_buf *ret_pem, ent_err *err);
    ENT_RC (*sign)(ent_keeper *keeper, ent_keeper_request *requests, size_t count, ent_err *err);
    ENT_RC (*mark)(ent_keeper *keeper, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err);
    ENT_RC (*unwrap)(ent_keeper *keeper, const ent_age_header *header, ent_file_key *ret, ent_err *err);
} ent_keeper_way;

/** First member of both. */
struct ent_keeper {
    const ent_keeper_way *way;
    ent_keeper_publics publics;
};

#endif
