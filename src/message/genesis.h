/* Genesis: what a channel is, unsealed canonical JSON; the channel's id is its SHA-256.  Source: design.md section 2
 * "Genesis". */
#ifndef ENT_MESSAGE_GENESIS_H
#define ENT_MESSAGE_GENESIS_H

#include "message/entry.h"

enum {
    ENT_GENESIS_VERSION = 1,
    ENT_GENESIS_RULES = 1, /* version of the ledger's rules */
    ENT_GENESIS_MAX_BYTES = 64 * 1024,
    ENT_GENESIS_MAX_POLICY_LINES = 256,
    ENT_TERMS_SALT_SIZE = 32,
    ENT_CHANNEL_TEXT_SIZE = 64,
    ENT_ORIGIN_TEXT_MAX = ENT_NAME_MAX_BYTES + 9 + 64
};

typedef struct {
    ent_text name;
    ent_public_key root;
    ent_public_key log;
    ent_public_key receipt;
    ent_recipient age;
    ent_hash tls;
} ent_member;

typedef struct {
    ent_text name;
    ent_public_key root;
    ent_public_key log;
    ent_public_key witness;
    ent_recipient age;
    ent_hash tls;
} ent_genesis_neutral;

#define ENT_QUOTA_MAX (((uint64_t)1 << 53) - 1)

/** Limits per writer; 0 = none. */
typedef struct {
    uint64_t entries_a_day;
    uint64_t bytes_a_day;      /* entries and sealed bodies */
    uint64_t attachment_bytes; /* all sealed attachments held at a time */
} ent_quotas;

/** A log of the channel this one succeeds, with its last common head. */
typedef struct {
    ent_text origin;
    ent_tree_head head;
} ent_predecessor_head;

typedef struct {
    uint64_t rules;
    uint8_t nonce[16];
    ent_member *members; /* 2..32, sorted by name, names and keys pairwise different */
    size_t member_count;
    bool has_neutral;
    ent_genesis_neutral neutral;
    ent_text *witness_policy; /* lines of a tlog-policy without log lines; none = null */
    size_t witness_policy_count;
    ent_quotas quotas;
    uint64_t delta_s; /* allowed clock difference */
    uint64_t mailbox_window_s;
    ent_hash terms; /* commitment: SHA-256(32-byte salt || terms) */
    bool has_predecessor;
    ent_hash predecessor;                    /* channel id */
    ent_predecessor_head *predecessor_heads; /* sorted by origin */
    size_t predecessor_head_count;
} ent_genesis;

/** Append the canonical JSON (no newline).  Errors: USAGE naming the field, PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_genesis_encode(const ent_genesis *genesis, ent_buf *ret, ent_err *err);
/** Decode exactly what the encoder would write.  Errors: PEER_MALFORMED, PEER_NOT_CANONICAL, PEER_TOO_LARGE, NOMEM. */
ENT_RC ent_genesis_decode(ent_bytes bytes, ent_arena *arena, ent_genesis *ret, ent_err *err);
/** SHA-256 of the canonical bytes. */
void ent_channel_id(ent_bytes genesis, ent_hash *ret);
/** Index of a member by name, or -1. */
int ent_genesis_member(const ent_genesis *genesis, ent_text name);
/** SHA-256(salt || terms). */
void ent_terms_commitment(const uint8_t salt[ENT_TERMS_SALT_SIZE], ent_bytes terms, ent_hash *ret);

/** Append "<party>/entente/<channel id>". */
void ent_origin_put(ent_buf *buf, ent_text party, const ent_hash *channel);
/** The same into a fixed array with a NUL; gives its text. */
ent_text ent_origin_write(ent_text party, const ent_hash *channel, char out[ENT_ORIGIN_TEXT_MAX + 1]);
/** Take an origin apart.  Errors: PEER_MALFORMED.  ret_party borrows from origin. */
ENT_RC ent_origin_parse(ent_text origin, ent_text *ret_party, ent_hash *ret_channel, ent_err *err);

#endif
