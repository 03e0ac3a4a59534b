/* The courier's own: what its files share.
 *
 *  courier.c         contacts, looking around, back-off
 *  courier_pouch.c   pouches: packing, sending, what the answer means
 *  courier_forward.c other members' logs, for those who do not get them
 *  courier_blob.c    attachments */
#ifndef ENT_NODE_COURIER_INTERNAL_H
#define ENT_NODE_COURIER_INTERNAL_H

#include "node/blob_range.h"
#include "node/courier.h"
#include "node/pack.h"

/** An attachment on its way, piece by piece. */
typedef struct {
    ent_store_blob_send send;
    ent_channel *channel;
    bool known;       /* the peer has said how much of it it holds … */
    uint64_t offset;  /* … which is this */
    uint64_t most;    /* and was once this */
    unsigned rewinds; /* how often it took that back since */
} ent_blob_flow;

/** A peer as the courier sees it: one pouch and one attachment in flight at most, and when to try it again. What is the
 * matter with one delivery alone (an invitation not answered, a refusal) makes that delivery wait, not the peer. */
typedef struct {
    char name[ENT_NAME_MAX_BYTES + 1];
    bool pouch_in_flight;
    bool blob_in_flight;
    unsigned failures;
    int64_t not_before_ms;
    int64_t reached_from_ms; /* since when it has been reached again; 0 = it was never lost */
    unsigned blob_failures;
    int64_t blob_not_before_ms;
    int64_t blob_last;  /* the last one tried: the next look goes on behind it, so that one that fails stops no other */
    bool blob_skipped;  /* this look passed over some before blob_last */
    ent_blob_flow blob; /* the one on its way; send.number 0 = none */
    ent_blob_flow parked; /* a large one, while a small one passes */
    bool large_next;      /* one small one has passed: now a piece of the large one */
} ent_contact;

/** One call under way. */
typedef struct {
    ent_courier *courier;
    ent_channel *channel;
    uint32_t member;
    bool is_blob;
    ent_packed packed;
    ent_store_blob_send send;
    int blob_fd;
    ent_blob_range range;
    char range_text[ENT_BLOB_RANGE_SIZE];
    char peer[ENT_NAME_MAX_BYTES + 1];
    char url[512];
    char old_size[24];
    char size[24];
} ent_flight;

/** An attachment that a peer does not take now: others go on. */
typedef struct {
    int64_t number; /* of the send; 0 = free */
    unsigned failures;
    int64_t not_before_ms;
} ent_blob_wait;

/** How much of an attachment a member has said to hold. */
typedef struct {
    int64_t log;
    uint32_t member;
    ent_hash digest;
    uint64_t bytes;
} ent_blob_progress;

enum { ENT_BLOB_WAITS = 1024, ENT_BLOB_PROGRESS_KEPT = 64 };

struct ent_courier {
    ent_node *node;
    ent_http_pool *pool;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    atomic_bool woken;
    ent_contact *contacts;
    size_t contact_count;
    size_t contact_capacity;
    size_t first; /* channel that the next look starts at */
    int64_t blobs_not_before_ms;
    int64_t forwards_not_before_ms;
    int64_t blob_walk_ms;          /* how long the last look at all took */
    ent_blob_wait *blob_waits;     /* ENT_BLOB_WAITS; NULL until one is needed */
    pthread_mutex_t progress_lock; /* over what follows */
    ent_blob_progress progress[ENT_BLOB_PROGRESS_KEPT];
    size_t progress_next;
};

/** The contact of this name, made when it is new; NULL = out of memory. Good until the next one is made. */
ent_contact *ent_courier_contact(ent_courier *courier, const char *name);
/** When to try again, on the monotonic clock, after so many failures in a row; counts one more. */
int64_t ent_courier_back_off(unsigned *failures, int64_t at_least_ms);
/** A peer has answered, or was heard: its failures are forgotten. */
void ent_courier_reached(ent_contact *peer);
/** Where a flight goes: fills in its peer, gives the pin and the card's data.  Errors: UNREACHABLE for a peer that is
 * air-gapped, those of ent_peer_get. */
ENT_RC ent_courier_address(ent_courier *courier, ent_flight *work, ent_hash *ret_pin, ent_peer *ret_peer, ent_err *err);
/** A call has ended and is settled: look again, and free it. */
void ent_courier_landed(ent_flight *work);
void ent_courier_flight_free(ent_flight *work); /* NULL is fine */
/** What came of a call, or why it could not be made, in the log. */
void ent_courier_report_failure(const ent_flight *work, int status, const ent_err *err);
void ent_courier_report_local(const ent_channel *channel, const ent_err *err);

/** Start a pouch to one member of a channel, if there is a reason to, the peer is free and it is time.
 *  @out  ret_wanted   whether something is left to send */
ENT_RC ent_courier_send_wanted(ent_courier *courier, ent_channel *channel, uint32_t member, ent_contact *peer,
                               int64_t now_ms, bool *ret_wanted, ent_err *err);
/** Start a pouch of the log of member `of`. The peer must be free. */
ENT_RC ent_courier_start_pouch(ent_courier *courier, ent_channel *channel, uint32_t of, uint32_t to, ent_contact *peer,
                               ent_err *err);
/** The patience with one member, as to one log. */
ent_patience *ent_courier_patience(ent_channel *channel, uint32_t of, uint32_t to);
/** Start pouches of other members' logs to those who have lacked them for long. */
void ent_courier_look_at_forwards(ent_courier *courier);
/** How long to wait between two looks. */
int64_t ent_courier_forwards_every_ms(const ent_node *node);
/** A member has receipted a log that we carried: what more of it there is need not wait. */
void ent_courier_forwarded(ent_courier *courier, ent_channel *channel, uint32_t of, uint32_t to, uint64_t confirmed);
/** Start the next pieces of attachments, to those who lack them, are free and are sent no pouch. */
void ent_courier_look_at_blobs(ent_courier *courier);

#endif
