/* A party of the story: keys behind a keeper, a store, a card, and its place in one channel. */
#ifndef ENT_TESTS_FLOW_PARTY_H
#define ENT_TESTS_FLOW_PARTY_H

#include "keeper/keeper.h"
#include "pouch/check.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PARTIES = 2 };

typedef struct {
    const char *name;
    char folder[256];
    ent_keeper *keeper;
    ent_store *store;
    ent_buf card;          /* the signed note it hands out */
    ent_card_opened peer;  /* the other's card, once its fingerprint was compared */
    ent_buf genesis_bytes; /* both parties hold the same bytes */
    ent_genesis genesis;
    ent_arena arena;
    ent_hash channel;
    uint32_t self;                                  /* its index among the members; the other's is 1 - self */
    ent_store_log logs[PARTIES];                    /* its own log, and its copy of the other's */
    ent_tree_head receipted[PARTIES];               /* the newest head of the other's log that it has receipted */
    char origins[PARTIES][ENT_ORIGIN_TEXT_MAX + 1]; /* names of the two logs */
} party;

/** The details of the last failure. */
extern ent_err err;
/** End the test with them unless all is well. */
void must(ent_rc rc);

/** Make a party: keys in a folder of its own, high-water marks beside them, an empty store in memory, a card. */
void party_make(party *me, const char *name, const char *url);
void party_release(party *me);
/** What its people read out on the telephone. */
void party_fingerprint(const party *me, char ret[ENT_FINGERPRINT_TEXT_SIZE + 1]);
/** Take the other's card in, if its fingerprint is the one that was heard. */
void party_take_card(party *me, const party *other, const char *heard);
/** Write the genesis of a channel of two who know each other. */
void party_write_genesis(const party *opener, const party *invited, const uint8_t salt[ENT_TERMS_SALT_SIZE],
                         ent_bytes terms, ent_buf *ret);
/** Take a place in the channel of that genesis. */
void party_join(party *me, ent_bytes genesis);
/** Size and root of a log as it holds it. */
ent_tree_head party_head(const party *me, uint32_t writer);
/** That a head extends the one its keeper signed last: without it the keeper does not sign. */
void party_extension(party *me, ent_keeper_what what, uint32_t writer, const ent_tree_head *head, ent_tree_proof *ret);
/** What a check of the other's pouch needs of what it holds; tiles must live as long. */
ent_pouch_known party_known(party *me, uint32_t writer, ent_store_tiles *tiles);
/** Commit entries with their tiles, and with a receipt if they are the other's. */
void party_store(party *me, uint32_t writer, const ent_store_append *append, const ent_tree *tree,
                 ent_store_receipt *receipt);
/** The key of its own log, named by the log's origin. */
ent_vkey party_log_key(const party *me);
/** The key that a member gives receipts with; its name lives in the buffer. */
void party_receipt_key(const party *me, uint32_t giver, ent_buf *name, ent_vkey *ret);
/** The body of a channel.genesis entry. */
void party_terms_body(const uint8_t salt[ENT_TERMS_SALT_SIZE], ent_bytes terms, ent_buf *ret);

#endif
