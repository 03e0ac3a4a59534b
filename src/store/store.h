/* What a node keeps, behind one small vtable so that another engine can be held to the same contract.  Source:
 * design.md section 8 "Store".
 *
 * One writer: between begin and commit the calls belong to the thread that began; it sees its own writes. Readers: any
 * thread, any time; they see committed state. A walk takes its rows first, so its function may use the store,
 * transactions included. */
#ifndef ENT_STORE_STORE_H
#define ENT_STORE_STORE_H

#include "log/cosignature.h"
#include "log/tree.h"
#include "message/genesis.h"

typedef enum {
    ENT_CHANNEL_INVITED = 1, /* a peer opened it; we have not answered */
    ENT_CHANNEL_OPENING,     /* our entry 0 is logged, not every member's is held */
    ENT_CHANNEL_OPEN,        /* every entry 0 is held */
    ENT_CHANNEL_REFUSED
} ent_channel_state;
const char *ent_channel_state_word(ent_channel_state state);

typedef struct {
    int64_t number; /* of the store; assigned by channel_add */
    ent_hash id;
    ent_channel_state state;
    char alias[ENT_NAME_MAX_BYTES + 1]; /* "" = none */
    int64_t added_unix_s;
} ent_store_channel;

/** What a writer has used of the channel's quotas, by the day it arrived here: node/quota.h has the rule. */
typedef struct {
    int64_t day;            /* UTC, counted from 1970-01-01; 0 = nothing counted yet */
    uint64_t entries;       /* of that day */
    uint64_t bytes;         /* of that day: entries and sealed bodies */
    uint64_t spare_entries; /* left over from the days before */
    uint64_t spare_bytes;
} ent_store_usage;

/** One log of a channel: ours or a member's copy. */
typedef struct {
    int64_t number; /* of the store; assigned by log_add; < 2^22 */
    int64_t channel;
    uint32_t member; /* index in genesis members */
    bool own;
    bool frozen;     /* a fork was seen; nothing is appended any more */
    ent_tree tree;   /* size and right edge of what is stored */
    uint64_t opened; /* entries below this index have been opened and validated (step 10) */
    uint64_t bytes;  /* entries and sealed bodies */
    ent_store_usage usage;
    uint64_t acked[ENT_ENTRY_MAX_MEMBERS]; /* per member: largest size that this log's entries ack */
} ent_store_log;

/** Entries to append to a log; all arrays have count rows. */
typedef struct {
    uint64_t first; /* = the log's size before */
    size_t count;
    const ent_bytes *entries;
    const ent_hash *leaves;
    const ent_bytes *bodies; /* sealed; empty = none */
    const ent_hash *body_digests;
    int64_t arrived_unix_s;
} ent_store_append;

/** One receipt: `receiver` holds log up to head. */
typedef struct {
    int64_t number; /* ascending in order of arrival; assigned by receipt_add */
    int64_t log;
    uint32_t receiver; /* member index */
    ent_tree_head head;
    ent_cosignature cosignature; /* signature all zero = not signed yet (ours only) */
    int64_t arrived_unix_s;
    uint32_t key; /* place of its key among the receiver's receipt keys in the channel */
} ent_store_receipt;

enum { ENT_APART_MAX = 8 };

/** What is known of a member's keys in a channel beside its genesis. */
typedef struct {
    int64_t log;
    uint64_t serial;    /* of the card */
    uint64_t announced; /* ours: serial of the last card that an entry of our log told of */
} ent_store_keys;

/** What a peer is known to have of one of our channels; the outbox is what lies beyond it. */
typedef struct {
    int64_t log;            /* the log carried */
    uint32_t member;        /* to whom */
    uint64_t confirmed;     /* entries the member has receipted */
    int64_t receipts_sent;  /* receipts of this log with numbers up to this one are confirmed to be there */
    int64_t receipts_again; /* up to this number the member's own go along: it has forgotten some of them */
    bool refused;           /* the peer refused the last pouch for good (4xx); reason below */
    char reason[256];
    int64_t last_success_unix_s; /* 0 = never */
    int64_t last_attempt_unix_s;
} ent_store_delivery;

typedef enum { ENT_BLOB_WANTED = 1, ENT_BLOB_HELD } ent_blob_state;

/** An attachment of an entry, sealed. */
typedef struct {
    int64_t log;
    uint64_t index;
    ent_hash digest;
    uint64_t size;
    uint32_t at; /* position in the entry's attachments */
    ent_blob_state state;
} ent_store_blob;

/** An attachment that a member has not got yet. */
typedef struct {
    int64_t number;
    int64_t log;
    uint64_t index; /* of the entry that names it */
    uint32_t member;
    ent_hash digest;
    uint64_t size;
} ent_store_blob_send;

typedef struct {
    char name[ENT_NAME_MAX_BYTES + 1];
    uint64_t serial;
    int64_t added_unix_s;
} ent_store_peer;

/** Two signed heads of one log that contradict each other. In a walk the bytes borrow until its function returns. */
typedef struct {
    int64_t number; /* of the store; assigned by fork_add */
    int64_t log;
    int64_t seen_unix_s;
    ent_bytes note;
    ent_bytes held;  /* the head that our entries bear out, or the other one; may be empty */
    ent_bytes proof; /* that a stranger can check (log/fork.h); empty in rows of old */
} ent_store_fork;

/** An officer had a log signed on though not every member had said how far it goes (design.md section 3, Rollback
 * guard). */
typedef struct {
    int64_t number; /* assigned by release_add */
    int64_t channel;
    int64_t released_unix_s;
    uint64_t size;       /* of our log then */
    ent_text unanswered; /* what stood in the way; borrowed for the call */
} ent_store_released;

typedef enum {
    ENT_REVEALED_GOOD = 1, /* sealed as agreed, and valid */
    ENT_REVEALED_BAD       /* proven: it counts as not said */
} ent_revealed_state;

/** What a writer's own reveal of a file key has shown of a message's body. */
typedef struct {
    int64_t log;
    uint64_t index; /* of the message */
    uint64_t by;    /* index of the reveal, in the same log */
    ent_revealed_state state;
} ent_store_revealed;

/** Where an alert goes. */
typedef enum { ENT_SINK_EMAIL = 1, ENT_SINK_WEBHOOK, ENT_SINK_EXECUTE } ent_sink;
enum { ENT_SINK_COUNT = 3, ENT_ALERT_KEY_MAX_BYTES = 256, ENT_ALERT_KEPT_DAYS = 90 };
/** "email", "webhook", "execute". */
const char *ent_sink_word(ent_sink sink);

typedef enum {
    ENT_ALERT_WAITING = 1,
    ENT_ALERT_DELIVERED,
    ENT_ALERT_DROPPED /* the sink is no longer configured */
} ent_alert_state;
/** "waiting", "delivered", "dropped". */
const char *ent_alert_state_word(ent_alert_state state);

/** How far an alert has come on one way. */
typedef struct {
    int64_t alert; /* number */
    ent_sink sink;
    ent_alert_state state;
    uint64_t attempts;
    int64_t next_unix_s;  /* not to be tried before */
    char last_error[256]; /* "" = none */
} ent_store_alert_sink;

/** Something that an officer must be told. */
typedef struct {
    int64_t number; /* ascending; of the store */
    int64_t created_unix_s;
    ent_text key;  /* tells it from all others */
    ent_text json; /* as it leaves */
    ent_store_alert_sink sinks[ENT_SINK_COUNT];
    size_t sink_count;
} ent_store_alert;

typedef struct ent_store ent_store;

/** Walks give each row to this; a failure stops the walk and is passed on. */
typedef ENT_RC (*ent_store_channel_row)(void *context, const ent_store_channel *channel, ent_err *err);
typedef ENT_RC (*ent_store_receipt_row)(void *context, const ent_store_receipt *receipt, ent_err *err);
typedef ENT_RC (*ent_store_blob_row)(void *context, const ent_store_blob *blob, ent_err *err);
typedef ENT_RC (*ent_store_blob_send_row)(void *context, const ent_store_blob_send *send, ent_err *err);
typedef ENT_RC (*ent_store_peer_row)(void *context, const ent_store_peer *peer, ent_bytes card, ent_err *err);
typedef ENT_RC (*ent_store_release_row)(void *context, const ent_store_released *release, ent_err *err);
typedef ENT_RC (*ent_store_fork_row)(void *context, const ent_store_fork *fork, ent_err *err);
typedef ENT_RC (*ent_store_alert_row)(void *context, const ent_store_alert *alert, ent_err *err);

/** The engine. Every call: errors IO, IO_FULL, NOMEM besides those named. Reads that find nothing: ABSENT. Writes:
 * USAGE outside a transaction of this thread, REFUSED when a row would break a rule of the schema (a second channel of
 * one id or alias, a log or fork of a channel or log that is not there); after any other failure the transaction can
 * only be rolled back, and its commit refuses. */
typedef struct {
    void (*close)(ent_store *store);

    /* One transaction at a time; commit is durable when it returns. After a failed commit the caller stops the process
     * ("After a failed fsync the process stops; it never reads back and goes on"): every later call is refused with IO.
     * Only IO_FULL leaves no doubt: nothing was committed and the store goes on. begin waits for another thread's
     * transaction; a second one in the same thread is USAGE. rollback without a transaction, also after a commit of
     * either outcome, does nothing. */
    ENT_RC (*begin)(ent_store *store, ent_err *err);
    ENT_RC (*commit)(ent_store *store, ent_err *err);
    void (*rollback)(ent_store *store);
    /** A number that grows with every row written: whether a call that failed wrote something. Inside a transaction. */
    uint64_t (*changes)(ent_store *store);

    /* inside a transaction */
    /** Add or replace a peer's card; REFUSED when a newer serial is held. */
    ENT_RC(*peer_put)
    (ent_store *store, ent_text name, uint64_t serial, ent_bytes card, int64_t now_unix_s, ent_err *err);
    ENT_RC (*peer_remove)(ent_store *store, ent_text name, ent_err *err);
    ENT_RC (*channel_add)(ent_store *store, ent_store_channel *channel, ent_bytes genesis, ent_err *err);
    ENT_RC (*channel_update)(ent_store *store, const ent_store_channel *channel, ent_err *err); /* state and alias */
    ENT_RC (*invite_put)(ent_store *store, int64_t channel, ent_bytes pouch, ent_err *err);     /* empty = forget */
    /** Add a log, empty; at most one own log a channel. */
    ENT_RC (*log_add)(ent_store *store, ent_store_log *log, ent_err *err);
    /** Append entries, bodies and tiles and store the log row (tree, bytes, usage, acked) as given; log->tree is the
     * tree after. Errors: REFUSED_FROZEN, ABSENT for a log that is not there, USAGE when first is not its size, the
     * tree does not end where the append does, a body is over 8 MiB or the log over 2^40 entries. */
    ENT_RC (*append)(ent_store *store, const ent_store_log *log, const ent_store_append *append, ent_err *err);
    /** Take back the end of our own log that was never signed: entries from log->tree.size on, with their bodies,
     * tiles, attachments' rows and reveals; the row is stored as given. What was ever receipted stays: REFUSED when a
     * receipt covers more than is left, for another's log, and for a frozen one.  Errors: ABSENT, USAGE when it does
     * not shrink. */
    ENT_RC (*log_cut)(ent_store *store, const ent_store_log *log, ent_err *err);
    /** Only ever raises it; REFUSED beyond the log's size. */
    ENT_RC (*log_opened)(ent_store *store, int64_t log, uint64_t opened, ent_err *err);
    ENT_RC (*log_freeze)(ent_store *store, int64_t log, ent_err *err);
    /** Keep a signed head: one row for each (log, size), never overwritten (a second one for the same size is ignored).
     */
    ENT_RC (*head_put)(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err);
    /** Keep a signed head that is ahead of the log's entries, and that no entry acks: of each log the largest such head
     * alone, so the one that was kept likewise before goes. A head that is put is kept for good. */
    ENT_RC (*head_ahead)(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err);
    /** A kept head turned out to be by a key beyond its cutoff: it is moved to those that are passed over, or goes
     * when no entry acks it. */
    ENT_RC (*head_pass)(ent_store *store, int64_t log, uint64_t size, ent_err *err);
    /** Keep a head by a key beyond its cutoff that an entry acks; one row for each (log, size, root). */
    ENT_RC (*passed_head_put)(ent_store *store, int64_t log, const ent_tree_head *head, ent_bytes note, ent_err *err);
    /** Add a receipt. A second one for the same (log, receiver, size) is stored beside the first only when it is
     * earlier than all that are held, and takes the place of one that has no signature yet; else *ret_new is false, and
     * its number is that of the earliest. Eight are kept at most: those that came first, and the earliest. */
    ENT_RC (*receipt_add)(ent_store *store, ent_store_receipt *receipt, bool *ret_new, ent_err *err);
    /** Keep a receipt that came when its key was known to be revoked: apart from the others, for it counts nothing. */
    ENT_RC (*revoked_receipt_add)(ent_store *store, const ent_store_receipt *receipt, ent_err *err);
    /** Keep a signed receipt for another root than the log has here: apart from the others, and of each log and
     * receiver at most ENT_APART_MAX.
     *  @out  ret_new   false when it is kept already, or when there are so many */
    ENT_RC (*apart_receipt_add)(ent_store *store, const ent_store_receipt *receipt, bool *ret_new, ent_err *err);
    /** The same signature again is fine, another is REFUSED. */
    ENT_RC (*receipt_sign)(ent_store *store, int64_t number, const ent_signature *signature, ent_err *err);
    /** Keep a member's newest card and cutoff note (empty = none); REFUSED when serial, announced or the cutoffs go
     * back. */
    ENT_RC(*keys_put)
    (ent_store *store, const ent_store_keys *keys, ent_bytes card, ent_bytes cutoffs, ent_err *err);
    ENT_RC (*delivery_put)(ent_store *store, const ent_store_delivery *delivery, ent_err *err);
    ENT_RC (*blob_add)(ent_store *store, const ent_store_blob *blob, ent_err *err);
    ENT_RC (*blob_held)(ent_store *store, const ent_store_blob *blob, ent_err *err); /* that (log, index, at) */
    /** The same (log, member, digest) is kept once; the number is the store's. */
    ENT_RC (*blob_send_add)(ent_store *store, const ent_store_blob_send *send, ent_err *err);
    ENT_RC (*blob_send_done)(ent_store *store, int64_t number, ent_err *err);
    /** The member has said that it holds this attachment of an entry. */
    ENT_RC(*blob_send_strike)
    (ent_store *store, int64_t log, uint64_t index, uint32_t member, const ent_hash *digest, ent_err *err);
    /** The same proof again is kept once. */
    ENT_RC (*release_add)(ent_store *store, ent_store_released *release, ent_err *err);
    ENT_RC (*fork_add)(ent_store *store, const ent_store_fork *fork, ent_err *err);

    /** The first for a message stays. */
    ENT_RC (*reveal_put)(ent_store *store, const ent_store_revealed *revealed, ent_err *err);

    /** Add an alert that waits for these sinks; *ret_new is false when its key is there already: then only the time
     * when it was last known to stand is moved to now. Finished alerts that nobody has put for ENT_ALERT_KEPT_DAYS are
     * removed.  Errors: USAGE for a key that is empty or too long, JSON that is empty, or a sink twice. */
    ENT_RC(*alert_put)
    (ent_store *store, ent_text key, ent_text json, const ent_sink *sinks, size_t sink_count, int64_t now_unix_s,
     bool *ret_new, ent_err *err);
    /** Store what became of an alert on one way. What is delivered stays so: REFUSED.  Errors: ABSENT. */
    ENT_RC (*alert_sink_put)(ent_store *store, const ent_store_alert_sink *sink, ent_err *err);
    /** An officer has opened this message; the first time counts. */
    ENT_RC (*message_read_put)(ent_store *store, int64_t log, uint64_t index, int64_t now_unix_s, ent_err *err);

    /* reads */
    ENT_RC (*peer_get)(ent_store *store, ent_text name, ent_store_peer *ret, ent_buf *ret_card, ent_err *err);
    ENT_RC (*peer_walk)(ent_store *store, ent_store_peer_row row, void *context, ent_err *err);
    ENT_RC(*channel_get)
    (ent_store *store, const ent_hash *id, ent_store_channel *ret, ent_buf *ret_genesis, ent_err *err);
    ENT_RC (*channel_walk)(ent_store *store, ent_store_channel_row row, void *context, ent_err *err);
    ENT_RC (*invite_get)(ent_store *store, int64_t channel, ent_buf *ret_pouch, ent_err *err);
    ENT_RC (*log_get)(ent_store *store, int64_t channel, uint32_t member, ent_store_log *ret, ent_err *err);
    /** Append the entries from index `first` on to ret as an entry bundle: at most `count`, and at least one but no
     * more than max_bytes of bundle.  Errors: USAGE when count is 0. */
    ENT_RC(*entries_read)
    (ent_store *store, int64_t log, uint64_t first, uint64_t count, size_t max_bytes, ent_buf *ret_bundle,
     uint64_t *ret_count, ent_err *err);
    ENT_RC (*entry_arrived)(ent_store *store, int64_t log, uint64_t index, int64_t *ret_unix_s, ent_err *err);
    ENT_RC (*body_read)(ent_store *store, int64_t log, uint64_t index, ent_buf *ret_sealed, ent_err *err);
    ENT_RC(*tile_read)
    (ent_store *store, int64_t log, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret, ent_err *err);
    /** The kept head of the largest size <= at_most (UINT64_MAX: the newest). */
    ENT_RC(*head_get)
    (ent_store *store, int64_t log, uint64_t at_most, ent_tree_head *ret, ent_buf *ret_note, ent_err *err);
    /** The kept head of the smallest size >= at_least.
     *  @out  ret_note   nullable */
    ENT_RC(*head_from)
    (ent_store *store, int64_t log, uint64_t at_least, ent_tree_head *ret, ent_buf *ret_note, ent_err *err);
    /** The head that was passed over.
     *  @out  ret_note   nullable */
    ENT_RC(*passed_head_get)
    (ent_store *store, int64_t log, const ent_tree_head *head, ent_buf *ret_note, ent_err *err);
    /** Whether any head of the log was passed over. */
    ENT_RC (*passed_head_any)(ent_store *store, int64_t log, bool *ret, ent_err *err);
    /** The receipt of the smallest size >= size by a receiver, the earliest of several; it may not be signed yet. */
    ENT_RC(*receipt_covering)
    (ent_store *store, int64_t log, uint32_t receiver, uint64_t size, ent_store_receipt *ret, ent_err *err);
    /** The same of those that came when their key was known to be revoked. */
    ENT_RC(*revoked_receipt_covering)
    (ent_store *store, int64_t log, uint32_t receiver, uint64_t size, ent_store_receipt *ret, ent_err *err);
    /** The number of the receipt that lies `count` receipts of this log before the last with a number <= `number`; 0
     * when there are not so many. */
    ENT_RC(*receipt_before)
    (ent_store *store, int64_t log, int64_t number, size_t count, int64_t *ret_number, ent_err *err);
    ENT_RC (*receipt_newest)(ent_store *store, int64_t log, uint32_t receiver, ent_store_receipt *ret, ent_err *err);
    /** Receipts of all logs of a channel with a number above `after`, ascending, at most limit. */
    ENT_RC(*receipt_walk)
    (ent_store *store, int64_t channel, int64_t after, size_t limit, ent_store_receipt_row row, void *context,
     ent_err *err);
    /** Receipts of one log, likewise. */
    ENT_RC(*receipt_log_walk)
    (ent_store *store, int64_t log, int64_t after, size_t limit, ent_store_receipt_row row, void *context,
     ent_err *err);
    /** Our receipts that are not signed yet. */
    ENT_RC (*receipt_unsigned_walk)(ent_store *store, ent_store_receipt_row row, void *context, ent_err *err);
    /** @out  ret_card, ret_cutoffs   nullable; appended to */
    ENT_RC(*keys_get)
    (ent_store *store, int64_t log, ent_store_keys *ret, ent_buf *ret_card, ent_buf *ret_cutoffs, ent_err *err);
    ENT_RC(*delivery_get)
    (ent_store *store, int64_t log, uint32_t member, ent_store_delivery *ret, ent_err *err); /* zeroed when none */
    /** An attachment with this digest and size that an entry of the channel names; a wanted one before a held one. */
    ENT_RC(*blob_find)
    (ent_store *store, int64_t channel, const ent_hash *digest, uint64_t size, ent_store_blob *ret, ent_err *err);
    /** Sum of the sizes of the different attachments that this log's entries name and that are held here. */
    ENT_RC (*blob_bytes_held)(ent_store *store, int64_t log, uint64_t *ret_bytes, ent_err *err);
    ENT_RC(*blob_walk)
    (ent_store *store, int64_t log, uint64_t index, ent_store_blob_row row, void *context, ent_err *err);
    /** Attachments that are wanted, by log, index and position, behind `after` (NULL: from the first), at most limit.
     */
    ENT_RC(*blob_wanted_walk)
    (ent_store *store, const ent_store_blob *after, size_t limit, ent_store_blob_row row, void *context, ent_err *err);
    /** All, held or not, likewise. */
    ENT_RC(*blob_all_walk)
    (ent_store *store, const ent_store_blob *after, size_t limit, ent_store_blob_row row, void *context, ent_err *err);
    /** Whether an entry names it and it is not held. */
    ENT_RC (*blob_is_wanted)(ent_store *store, const ent_hash *digest, bool *ret, ent_err *err);
    /** Whether an entry names it. */
    ENT_RC (*blob_is_named)(ent_store *store, const ent_hash *digest, bool *ret, ent_err *err);
    ENT_RC(*blob_send_walk)
    (ent_store *store, int64_t after, size_t limit, ent_store_blob_send_row row, void *context, ent_err *err);
    ENT_RC (*fork_walk)(ent_store *store, int64_t log, ent_store_fork_row row, void *context, ent_err *err);
    /** Receipts of one log that are kept apart, by receiver and size; they have no number. */
    ENT_RC(*apart_receipt_walk)
    (ent_store *store, int64_t log, ent_store_receipt_row row, void *context, ent_err *err);
    /** Write a consistent copy of all that is committed, files of bodies apart, to a file that may be there but empty;
     * it is not made durable. Writers go on meanwhile.  Blocks: as long as it takes to copy. */
    ENT_RC (*backup)(ent_store *store, const char *path, ent_err *err);
    ENT_RC(*release_walk)
    (ent_store *store, int64_t channel, ent_store_release_row row, void *context, ent_err *err);
    ENT_RC (*reveal_get)(ent_store *store, int64_t log, uint64_t index, ent_store_revealed *ret, ent_err *err);
    /** When an alert with this key was last put; 0 = there is none. */
    ENT_RC (*alert_get)(ent_store *store, ent_text key, int64_t *ret_unix_s, ent_err *err);
    /** Alerts with a number below `before` (INT64_MAX: all), newest first, at most limit.
     *  @in   waiting   only those that wait for some sink */
    ENT_RC(*alert_walk)
    (ent_store *store, bool waiting, int64_t before, size_t limit, ent_store_alert_row row, void *context,
     ent_err *err);
    /** When an officer opened it; 0 = never. */
    ENT_RC (*message_read_get)(ent_store *store, int64_t log, uint64_t index, int64_t *ret_unix_s, ent_err *err);
} ent_store_engine;

struct ent_store {
    const ent_store_engine *engine;
};

/** Close; NULL is fine. */
void ent_store_close(ent_store *store);
void ent_store_release(ent_store **store); /* for ENT_CLEANUP */

/** A tile reader over a log of the store. The context must outlive it. */
typedef struct {
    ent_store *store;
    int64_t log;
} ent_store_tiles;
ent_tile_reader ent_store_tile_reader(ent_store_tiles *tiles);

/** Open the SQLite engine on a folder (created files 0600): WAL, synchronous=FULL, one connection writes and
 * checkpoints, the others are read-only. The folder is made when it is missing; its parent must exist. folder NULL = in
 * memory, for tests. Errors: IO, IO_FULL, NOMEM, REFUSED when it is open already, was written by a newer version or is
 * no store of ours. */
ENT_RC ent_store_sqlite_open(const char *folder, ent_store **ret, ent_err *err);

/** Fault injection for tests: fail the Nth write, sync or truncation of the database or a body file with IO (1 = the
 * next); 0 = off. In memory, where there are none, the Nth statement that writes or commits. */
void ent_store_sqlite_fail_at(ent_store *store, unsigned long nth);

#endif
