/* Receiving a pouch: the ten steps of design.md section 3. */
#ifndef ENT_NODE_RECEIVE_H
#define ENT_NODE_RECEIVE_H

#include "node/node.h"

typedef enum {
    ENT_RECEIVED_RECEIPTED = 1, /* held, and receipted: the note says up to where */
    ENT_RECEIVED_INVITED,       /* stored as an invitation, without a receipt */
    ENT_RECEIVED_CARRIED        /* it carried our own log: only what came with it was taken */
} ent_received_state;

typedef struct {
    ent_received_state state;
    ent_channel *channel;
    uint32_t writer;
    uint64_t size;
    uint64_t new_count;
    ent_buf receipt; /* RECEIPTED: the first receipted head that covers the pouch, as a whole note */
} ent_received;
void ent_received_release(ent_received *received);

/** What the request headers announced, or what is known before the pouch is read. */
typedef struct {
    ent_text origin;
    uint64_t old_size;
    uint64_t size;
    uint64_t length; /* bytes of the pouch */
} ent_announced;

/** Decide by the headers alone: 403, 409, 413, 429.  Errors: PEER_MALFORMED, PEER_UNKNOWN, PEER_FORBIDDEN, PEER_STALE,
 * PEER_QUOTA.
 *  @in    pin    the client certificate's
 *  @out   ret_limit  how many bytes such a pouch may have
 *  @out   ret_held   with PEER_STALE: our size of that log */
ENT_RC ent_receive_admit(ent_node *node, const ent_announced *announced, const ent_hash *pin, uint64_t *ret_limit,
                         uint64_t *ret_held, ent_err *err);

/** Step 2: a genesis that a pouch brings must be the channel's.  Errors: PEER_MISMATCH. */
ENT_RC ent_receive_check_genesis(const ent_channel *channel, const ent_pouch *pouch, ent_err *err);

/** Take a pouch in.
 *  @in   pouch   whole bytes
 *  @in   announced   what the request's headers said, which must be so; NULL = it came by hand
 *  @in   pin     the client certificate's; NULL = it came by hand
 *  @out  ret     released by the caller; set on success only
 *  Errors: those of ent_pouch_parse and ent_pouch_check; PEER_FORBIDDEN, PEER_NOT_OURS, PEER_QUOTA, REFUSED_FROZEN,
 * PEER_FORK (recorded).  Blocks: yes. */
ENT_RC ent_receive(ent_node *node, ent_bytes pouch, const ent_announced *announced, const ent_hash *pin,
                   ent_received *ret, ent_err *err);
/** Take in again what a member gives back: it counts for no quota.  Errors: as above. */
ENT_RC ent_receive_again(ent_node *node, ent_bytes pouch, ent_received *ret, ent_err *err);

#endif
