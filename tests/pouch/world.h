/* A small world for tests: a channel of three parties with keys, genesis and logs, pouches of any part of a log, and a
 * receiver that holds what it was given. Everything is deterministic, so that two worlds with other words said are two
 * histories of one channel. */
#ifndef ENT_TESTS_POUCH_WORLD_H
#define ENT_TESTS_POUCH_WORLD_H

#include "crypto/crypto.h"
#include "pouch/check.h"

enum { AURORA, BOREAL, COBALT, MEMBERS, STRANGER = MEMBERS, PARTIES };
enum { MOST_SAID = 1200, MOST_ITEMS = 16 };

/** What one party has said, or what a receiver holds of it. */
typedef struct {
    ent_buf entries[MOST_SAID];
    ent_buf bodies[MOST_SAID]; /* empty = none */
    ent_hash leaves[MOST_SAID];
    size_t size;
} world_log;

typedef struct {
    ent_genesis genesis;
    ent_member members[MEMBERS];
    ent_hash channel;
    ent_secret_key log_keys[PARTIES];
    ent_secret_key receipt_keys[PARTIES];
    world_log logs[MEMBERS];
} world;

world *world_new(void);
void world_free(world *w);

ent_text world_name(size_t party);
/** Origin of a party's log, in memory of the caller. */
ent_text world_origin(const world *w, size_t party, char memory[ENT_ORIGIN_TEXT_MAX + 1]);
/** The next entry of a member: allowed, with no acks, to all. */
ent_entry world_entry(const world *w, size_t member);
/** Append an entry with this body (empty = none), digest and size filled in. */
void world_log_entry(world *w, size_t member, ent_entry *entry, ent_bytes body);
/** Append bytes as they are. */
void world_log_raw(world *w, size_t member, ent_bytes entry, ent_bytes body);
/** Append the encoding of an entry with the first `from` replaced by `to`. */
void world_log_edited(world *w, size_t member, ent_entry *entry, const char *from, const char *to);
/** Say count ordinary messages, some with bodies; `word` makes one history differ from another. */
void world_say(world *w, size_t member, size_t count, const char *word);
ent_tree_head world_head(const world *w, size_t member, uint64_t size);
/** Append the head that a party signs for a log. */
void world_sign_head(const world *w, ent_text origin, const ent_tree_head *head, size_t by, ent_buf *ret);
/** Append the receipt that a party's receipt key signs. */
void world_sign_receipt(const world *w, ent_text origin, const ent_tree_head *head, size_t by, ent_buf *ret);

/** A pouch's parts and the memory they borrow; tests change them at will before they deliver. */
typedef struct {
    ent_pouch pouch;
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf checkpoint;
    ent_buf entries;
    ent_pouch_body bodies[MOST_SAID];
    ent_pouch_item heads[MOST_ITEMS];
    ent_buf head_notes[MOST_ITEMS];
    ent_pouch_item receipts[MOST_ITEMS];
    ent_buf receipt_notes[MOST_ITEMS];
} parcel;

parcel *parcel_new(const world *w, size_t writer, uint64_t old_size, uint64_t size);
void parcel_free(parcel *p);
void parcel_add_head(parcel *p, const world *w, size_t member, uint64_t size);
void parcel_add_receipt(parcel *p, const world *w, size_t member, size_t receiver, uint64_t size);
/** Add a head or receipt with any note. */
void parcel_add_head_note(parcel *p, size_t party, ent_bytes note);
void parcel_add_receipt_note(parcel *p, size_t party, ent_bytes note);

/** A receiver: copies of logs, and single heads it was shown. */
typedef struct {
    const world *w;
    size_t self;
    world_log logs[MEMBERS];
    uint64_t acked[MEMBERS][ENT_ENTRY_MAX_MEMBERS];
    ent_tree_head heads[MOST_ITEMS];
    size_t head_members[MOST_ITEMS];
    size_t head_count;
    uint32_t forked;               /* bits of the logs that are known to have forked */
    const ent_keys *keys[MEMBERS]; /* NULL = those of the genesis alone */
    int fail;                      /* a code that its callbacks give */
} holder;

holder *holder_new(const world *w, size_t self);
void holder_free(holder *h);
/** Hold what a world's member said, up to a size. */
void holder_copy(holder *h, const world *w, size_t member, size_t size);
ent_tree_head holder_head(const holder *h, size_t member);

/** One pouch on its way: packed, parsed and checked. */
typedef struct {
    int code;
    ent_err err;
    ent_buf bytes;
    ent_pouch pouch;
    ent_pouch_checked checked;
} delivery;

/** Pack and parse (both must succeed), then check. */
delivery *deliver(holder *h, const parcel *p, size_t writer);
/** The same with bytes that are packed already. */
delivery *deliver_bytes(holder *h, ent_bytes bytes, size_t writer);
/** Check parts without packing them. */
int check_parts(holder *h, const ent_pouch *pouch, size_t writer, ent_pouch_checked *ret, ent_err *err);
/** Store what is new. */
void holder_store(holder *h, size_t writer, const delivery *d);
void delivery_free(delivery *d);

#endif
