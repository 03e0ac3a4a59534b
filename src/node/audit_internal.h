/* The audit's own: what its files share. */
#ifndef ENT_NODE_AUDIT_INTERNAL_H
#define ENT_NODE_AUDIT_INTERNAL_H

#include "crypto/crypto.h"
#include "node/audit.h"
#include "node/passed.h"
#include "seal/keys.h"

enum {
    ENT_AUDIT_TILE_LEVELS = 6, /* 2^40 entries need 5 */
    ENT_AUDIT_PIECE_BYTES = 1 << 20,
    ENT_AUDIT_UNSURE = 8,      /* differing entries that are named each */
    ENT_AUDIT_LINES_A_LOG = 64 /* findings that are told one by one */
};

/** One level of tiles above the leaves. A subtree's hash as its entries give it; where entries and the stored tile
 * below differ, what the tile gives is as good until a head decides. */
typedef struct {
    ent_hash computed[ENT_TILE_WIDTH];
    ent_hash other[ENT_TILE_WIDTH];
    uint64_t count; /* of hashes at this level so far */
} ent_audit_level;

/** The next kept receipt of one receiver. */
typedef struct {
    bool has;
    ent_store_receipt receipt;
} ent_audit_receipt;

/** An attachment on its way through the hash. */
typedef struct {
    ent_store_blob blobs[ENT_ENTRY_MAX_ATTACHMENTS];
    size_t count;
    size_t next;
    int fd; /* -1 = none is open */
    uint64_t left;
    ent_sha256_state hash;
} ent_audit_files;

/** Acks of a member's log that are passed over, by why (ent_ack_worth). */
typedef struct {
    uint64_t count;
    uint64_t first; /* index of the entry */
} ent_audit_acks;
enum { ENT_AUDIT_ACK_WORTHS = ENT_ACK_REPLACED_KEY + 1 };

/** One log under audit. */
typedef struct {
    uint32_t member;
    ent_store_log row; /* as it was when its turn came */
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    uint64_t next;
    uint64_t bytes;
    uint64_t acked[ENT_ENTRY_MAX_MEMBERS];
    ent_audit_acks passed[ENT_ENTRY_MAX_MEMBERS][ENT_AUDIT_ACK_WORTHS];
    ent_buf bundle;
    ent_bundle_reader reader;
    uint64_t in_bundle; /* entries left in it */
    ent_audit_files files;

    ent_tree tree;       /* of the leaves as the entries give them */
    ent_tree tiles_tree; /* of the leaves as the tiles give them; the same unless unsure_count > 0 */
    ent_hash stored[ENT_TILE_WIDTH];
    ent_hash leaves[ENT_TILE_WIDTH];
    bool has_stored;
    bool tile_differs;
    uint64_t unsure[ENT_AUDIT_UNSURE];
    uint64_t unsure_count;
    ent_audit_level *levels; /* ENT_AUDIT_TILE_LEVELS, from 1 on */

    bool has_head;
    ent_tree_head head;
    ent_buf head_note;
    ent_audit_receipt receipts[ENT_ENTRY_MAX_MEMBERS];
    bool has_mark;
    ent_tree_head mark;
    uint64_t next_evidence; /* the smallest size of the above */

    uint64_t findings;
    uint64_t heads;
    uint64_t receipt_count;
    uint64_t attachments;
    uint64_t wanted; /* attachments that have not come */
} ent_audit_log;

/** The channel under audit. */
typedef struct {
    ent_store_channel row;
    char id_text[ENT_CHANNEL_TEXT_SIZE + 1];
    ent_buf genesis_bytes;
    ent_genesis genesis;
    ent_arena arena;
    uint32_t self;
    ent_keys keys[ENT_ENTRY_MAX_MEMBERS];
    size_t key_count;
    ent_store_log logs[ENT_ENTRY_MAX_MEMBERS]; /* as they were when the channel's turn came */
} ent_audit_channel;

struct ent_audit {
    ent_audit_source source;
    ent_store_channel *channels;
    size_t channel_count;
    size_t channel_at;
    ent_audit_channel *channel; /* NULL between two */
    uint32_t member_at;
    ent_audit_log *log; /* NULL between two */
    ent_buf *lines;     /* of this step */
    uint8_t *piece;     /* of an attachment */
    uint64_t findings;
    uint64_t total_bytes;
    uint64_t done_bytes;
    uint64_t log_bytes; /* done of the present log */
    uint64_t entries;
    int64_t started_ms;
    int64_t told_ms;
    bool ended;
};

/** One finding.
 *  @in   what   "entry", "body", "tile", "head", "receipt", "ack", "log", "mark", "attachment", "channel"
 *  @in   at     number of the entry, or size of the head; UINT64_MAX = neither */
void ent_audit_find(ent_audit *audit, const char *what, uint64_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/** What keeps the audit from going on at all (no memory); anything else that a read gave is a finding.
 *  @out  ret_read   whether it was read */
ENT_RC ent_audit_read(ent_audit *audit, ent_rc rc, const ent_err *why, const char *what, uint64_t at, bool *ret_read,
                      ent_err *err);
/** Count bytes that were gone through. */
void ent_audit_count(ent_audit *audit, uint64_t bytes);

/** Go on with the present log: some of its entries, or of an attachment. *ret_more is false at its end. */
ENT_RC ent_audit_log_step(ent_audit *audit, bool *ret_more, ent_err *err);
/** Compare the tiles above the leaves that are not full. */
ENT_RC ent_audit_log_tiles_end(ent_audit *audit, ent_err *err);
/** Entries and tiles differed, and a signed root (or the log's own edge) decides.
 *  @in   by   what decides, for the text
 *  Returns whether either gives that root. */
bool ent_audit_log_decide(ent_audit *audit, const ent_tree_head *head, const char *by);

/** Look up the first head, receipts and mark. */
ENT_RC ent_audit_evidence_begin(ent_audit *audit, ent_err *err);
/** Check all that speaks of the tree as it is now. */
ENT_RC ent_audit_evidence_at(ent_audit *audit, ent_err *err);
/** Check what speaks of more than is here, and the log's row. */
ENT_RC ent_audit_evidence_end(ent_audit *audit, ent_err *err);

/** Take note of an entry's attachments: they are gone through before the next entry. */
ENT_RC ent_audit_blobs_take(ent_audit *audit, const ent_entry *entry, ent_err *err);
/** Hash on. *ret_more is false when the entry has none left. */
ENT_RC ent_audit_blobs_step(ent_audit *audit, bool *ret_more, ent_err *err);
void ent_audit_files_release(ent_audit_files *files);

#endif
