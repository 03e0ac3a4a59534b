/* entented: the state that its threads share.  Source: design.md section 8.
 *
 *  peers listener ──► receive ──► sequencer ──► store, keeper ──► receipt
 *  Unix socket ──► api_* ──► say ──────┘            │
 *  courier ◄── pack ◄───────────────────────────────┤
 *  opener  ◄── bodies that came in ─────────────────┘
 *  say, opener ──► ledger of each channel ──► api_*, checks */
#ifndef ENT_NODE_NODE_H
#define ENT_NODE_NODE_H

#include "base/config.h"
#include "http/client.h"
#include "http/server.h"
#include "http/tls.h"
#include "keeper/clean_stop.h"
#include "keeper/keeper.h"
#include "message/kind.h"
#include "pouch/check.h"
#include "sandbox/sandbox.h"
#include "store/blob_parts.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ENT_RECEIPTED_KEPT = 16 };

/** What the opener remembers of a log between two looks: opener.h. */
typedef struct ent_reading ent_reading;

/** A member's keys, as known at one time: keys.h. */
typedef struct ent_known_keys ent_known_keys;

/** How long the courier waits before it tries a delivery again. */
typedef struct {
    unsigned refusals; /* answers in a row that were no receipt */
    uint64_t most;     /* entries in its next pouch: a larger one was too much for the peer; 0 = as many as one takes */
    bool told;         /* the peer said when; nothing that happens meanwhile makes it earlier */
    int64_t not_before_ms;
} ent_patience;

/** Another member's log on its way to a third: courier_forward.c. */
typedef struct {
    uint64_t confirmed;    /* how much the third is known to hold, at the last look */
    int64_t lacks_from_ms; /* since when it has lacked something, and got on by nobody but us; 0 = it lacks nothing */
    ent_patience patience;
} ent_forward;

/** Why nothing new of ours is signed in a channel.  Source: design.md section 3 "Rollback guard". A stronger one
 * replaces a weaker one. */
typedef enum {
    ENT_HOLD_NONE = 0,
    ENT_HOLD_ASKING,      /* after a start that no clean stop went before: not every member has said what it holds */
    ENT_HOLD_KEEPER,      /* the keeper signed more than this store holds, or something else */
    ENT_HOLD_PEER_LARGER, /* a head that our log key signed is larger than this store, or contradicts it */
    ENT_HOLD_KEY          /* the key that is to sign is lost; never in `hold`, which it stands beside */
} ent_hold;

/** What the guard knows of one member's answer; its thread's alone. */
typedef struct {
    unsigned round; /* of the channel's question that it belongs to */
    bool answered;
    bool in_flight;
    unsigned failures;
    _Atomic(int64_t) not_before_ms;
    char problem[160]; /* why there is no answer yet; "" = it was not asked yet */
} ent_guard_answer;

/** A member of a channel as the node works with it. */
typedef struct {
    _Atomic(ent_known_keys *) keys;
    ent_known_keys *next_keys; /* with what the running transaction adds; the sequencer's */
    _Atomic(uint64_t) *told;   /* per member: keys that this one has been told of, as ent_keys_stamp */
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_store_log log;                         /* as committed: tree, acked, bytes */
    ent_store_log next;                        /* with what the running transaction adds; the sequencer's alone */
    ent_tree_head receipted;                   /* largest head of this log that we have receipted, signed */
    ent_tree_head earlier[ENT_RECEIPTED_KEPT]; /* smaller ones that nothing of ours acks yet, ascending */
    size_t earlier_count;
    ent_reading *reading;  /* the opener's; NULL until it has something to remember */
    atomic_bool blocked;   /* set by the opener: the next entry acks what has not come, and waits for it */
    bool receipt_in_batch; /* the sequencer's */
    uint64_t marked_head;  /* the sequencer's: sizes that the keeper signed last, since this start; 0 = ask it */
    uint64_t marked_receipt;
    ent_patience patience; /* the courier's, with what it sends of ours */
    ent_forward *forwards; /* the courier's: to this member, of each log; NULL where there are but two members */
    unsigned forks_told;   /* the courier's: how many of the channel's forks this member has been shown */
    atomic_bool heard;     /* the peer has reached us: it can be reached too */
    atomic_uint forgot;    /* counts how often it was seen to have forgotten receipts: forgotten.h */
    _Atomic(int64_t) forgot_not_before_ms; /* for another look whether it did */
    ent_guard_answer guard;
    atomic_bool guard_heard; /* as heard, for the guard */
} ent_channel_member;

/** Entries of our own log that wait for the running transaction's flush; the sequencer's alone. */
typedef struct {
    ent_bytes *entries;
    ent_hash *leaves;
    ent_bytes *bodies;
    ent_hash *digests;
    size_t count;
    size_t capacity;
    uint64_t bytes;
} ent_channel_appends;

/** A channel's ledger in memory: ledgers.h. */
typedef struct ent_channel_ledger ent_channel_ledger;

/** A channel; lives as long as the node. What is not marked otherwise never changes after loading. */
typedef struct ent_channel {
    ent_hash id;
    char id_text[ENT_CHANNEL_TEXT_SIZE + 1];
    ent_buf genesis_bytes;
    ent_genesis genesis;
    ent_arena arena;
    uint32_t self;
    int64_t added_unix_s;

    atomic_uint forks;     /* logs of it that froze: each member is to have the proofs */
    atomic_bool passed;    /* some head of it may have been passed over: passed.h */
    atomic_bool unsent;    /* something may have to leave; set by all, cleared by the courier */
    atomic_bool rotating;  /* our log key is being replaced: heads beyond the cutoff wait for the new one */
    atomic_bool keyless;   /* the key of our next head is lost: key_lost.h */
    atomic_bool unwatched; /* something happened that may be worth an alert; set by all, cleared by the alerts */

    pthread_mutex_t lock;        /* over what follows */
    ent_store_channel row;       /* state, alias */
    ent_channel_member *members; /* genesis.member_count */
    ent_buf head_note;           /* newest signed head of our log; empty until signed */
    ent_tree_head head;
    uint64_t
        signed_size; /* entries of our log that a signed head of ours covers; what is beyond was never told anybody */
    ent_hold hold;
    char hold_reason[768];
    int64_t hold_since_unix_s;
    int64_t asking_since_ms; /* ASKING: when the question was first asked */
    unsigned asking_round;   /* counts the questions; the guard forgets the answers to an older one */

    ent_channel_ledger *ledger; /* has a lock of its own: ledgers.h */

    bool dirty;       /* the sequencer's: touched by the running transaction … */
    bool sign_head;   /* … which signs our head also when it adds nothing to it */
    bool ledger_busy; /* … which has waited for the ledger in vain, and does not wait again */
    ent_store_channel next_row;
    ent_channel_appends appends;
} ent_channel;

/** Our card at one time: rotate.h. */
typedef struct ent_own_card ent_own_card;

/** A known peer, from its card. */
typedef struct {
    char name[ENT_NAME_MAX_BYTES + 1];
    char url[ENT_CARD_TEXT_MAX_BYTES + 1]; /* "" = air-gapped */
    ent_hash pin;
    bool has_pin_before;
    ent_hash pin_before; /* of the certificate that it is going over from */
    uint64_t serial;
    int64_t added_unix_s;
} ent_peer;

/** What happened, for those who watch. */
typedef struct ent_events ent_events;
typedef struct ent_sequencer ent_sequencer;
typedef struct ent_courier ent_courier;
typedef struct ent_opener ent_opener;
typedef struct ent_alerts ent_alerts;
typedef struct ent_checks ent_checks;
typedef struct ent_reaches ent_reaches;
typedef struct ent_errands ent_errands;
typedef struct ent_turnstile ent_turnstile;
typedef struct ent_blob_worker ent_blob_worker;
typedef struct ent_guard ent_guard;

typedef struct ent_node {
    ent_config config;
    ent_paths paths;
    ent_keeper *keeper;
    ent_errands *errands; /* nullable: then this process does them itself */
    ent_sandbox_state sandbox;
    ent_store *store;
    ent_kinds *kinds;
    _Atomic(ent_own_card *) own; /* our card: rotate.h */
    ent_tls_client *tls;
    uint64_t tls_serial;      /* of the card that brought the certificate in use; 0 = none */
    bool tls_lost;            /* its key or certificate was not there at the start … */
    uint64_t tls_lost_serial; /* … of the card that brought it */
    int64_t started_unix_s;
    int64_t started_ms;    /* monotonic */
    ent_clean_stop before; /* whether the last stop was clean */
    bool is_started;
    atomic_bool recovering;
    atomic_bool stopping;

    pthread_rwlock_t channels_lock;
    ent_channel **channels;
    size_t channel_count;
    size_t channel_capacity;

    pthread_rwlock_t peers_lock;
    ent_peer *peer_rows; /* sorted by name */
    size_t peer_count;
    size_t peer_capacity;

    ent_events *events;
    ent_sequencer *sequencer;
    ent_courier *courier;
    ent_opener *opener;
    ent_alerts *alerts;
    ent_checks *checks;
    ent_reaches *reaches;             /* how each peer was last met */
    ent_turnstile *turnstile;         /* requests of each peer under way */
    _Atomic(uint64_t) promised_bytes; /* of the disk, to them: room.h */
    ent_blob_parts *parts;            /* attachments on their way in */
    ent_blob_worker *blob_worker;
    ent_guard *guard;
    ent_http_server *peers;
    ent_http_server *local;
} ent_node;

/** What a node starts with. */
typedef struct {
    const char *folder;   /* the party's */
    ent_keeper *keeper;   /* taken over, on failure too */
    ent_errands *errands; /* nullable; taken over likewise */
    ent_clean_stop before;
    bool sandbox; /* enter it before any thread starts; needs the errands */
} ent_node_options;

/** Open everything in a folder and start the threads.
 *  Errors: ABSENT, REFUSED, IO, NOMEM: the text is for the person who started the daemon. */
ENT_RC ent_node_start(const ent_node_options *options, ent_node **ret, ent_err *err);
/** Stop in order: listeners, opener, courier, sequencer; free. NULL is fine. */
void ent_node_stop(ent_node *node);

#endif
