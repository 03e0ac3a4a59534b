#include "party.h"

#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

ent_err err;

void must(ent_rc rc)
{
    if (rc.code != ENT_OK)
        fail_msg("%s: %s [%s]", ent_code_word(rc.code), err.text, err.rule);
}

/* --- keys and cards --- */

enum { PATH_SIZE = 384 };

static void path_in(const party *me, const char *name, char ret[PATH_SIZE])
{
    (void)snprintf(ret, PATH_SIZE, "%s/%s", me->folder, name);
}

/* Keys in a folder (0600), high-water marks beside them, an empty store in memory, and a card signed by the root. */
void party_make(party *me, const char *name, const char *url)
{
    ent_keeper_publics publics;
    ent_bytes no_passphrase = {NULL, 0};
    char marks[PATH_SIZE];
    char root[PATH_SIZE];
    const char *parent = getenv("TMPDIR");
    *me = (party){.name = name};
    (void)snprintf(me->folder, sizeof me->folder, "%s/entente-flow-XXXXXX", parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(me->folder));
    path_in(me, "marks", marks);
    path_in(me, "root", root);
    ent_card card = {.name = ent_text_of(name), .serial = 1, .issued = ENT_TEXT("2025-06-01T00:00:00Z")};
    card.url = ent_text_of(url);
    ent_sha256(ent_text_bytes(card.url), &card.tls); /* stands for the pin of a TLS certificate */
    must(ent_keeper_create(me->folder, card.name, no_passphrase, ent_text_bytes(ENT_TEXT("no TLS here")), &publics,
                           &err));
    must(ent_root_create(root, card.name, no_passphrase, &card.root, &card.next_root, &err));
    card.log = publics.log;
    card.receipt = publics.receipt;
    card.age = publics.age;
    must(ent_root_sign_card(root, no_passphrase, &card, &me->card, &err));
    must(ent_keeper_open(me->folder, marks, no_passphrase, &me->keeper, &err));
    must(ent_store_sqlite_open(NULL, &me->store, &err));
}

void party_release(party *me)
{
    static const char *const files[] = {"log.key",     "receipt.key",   "age.key",           "tls.key",
                                        "marks/marks", "root/root.key", "root/next-root.key"};
    static const char *const folders[] = {"marks", "root"};
    char path[PATH_SIZE];
    ent_keeper_free(me->keeper);
    ent_store_close(me->store);
    ent_card_release(&me->peer);
    ent_buf_release(&me->card);
    ent_buf_release(&me->genesis_bytes);
    ent_arena_release(&me->arena);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        path_in(me, files[i], path);
        (void)unlink(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        path_in(me, folders[i], path);
        (void)rmdir(path);
    }
    (void)rmdir(me->folder);
}

/* Cards travel by any way; the fingerprint is read out on the telephone. It names party and root key. */
void party_take_card(party *me, const party *other, const char *heard)
{
    char shown[ENT_FINGERPRINT_TEXT_SIZE + 1];
    must(ent_card_parse(ent_buf_bytes(&other->card), &me->peer, &err));
    must(ent_card_fingerprint(&me->peer.card, shown, &err));
    assert_true(ent_fingerprint_matches(shown, ent_text_of(heard)));
}

void party_fingerprint(const party *me, char ret[ENT_FINGERPRINT_TEXT_SIZE + 1])
{
    ent_card_opened own;
    must(ent_card_parse(ent_buf_bytes(&me->card), &own, &err));
    must(ent_card_fingerprint(&own.card, ret, &err));
    ent_card_release(&own);
}

/* --- the channel --- */

static ent_member member_of(const ent_card *card)
{
    return (ent_member){card->name, card->root, card->log, card->receipt, card->age, card->tls};
}

/* The genesis names both with their keys, and commits to the terms without showing them. */
void party_write_genesis(const party *opener, const party *invited, const uint8_t salt[ENT_TERMS_SALT_SIZE],
                         ent_bytes terms, ent_buf *ret)
{
    ent_member members[] = {member_of(&invited->peer.card), member_of(&opener->peer.card)}; /* sorted by name */
    ent_genesis genesis = {.rules = ENT_GENESIS_RULES, .members = members, .member_count = PARTIES, .delta_s = 300};
    ent_random(genesis.nonce, sizeof genesis.nonce);
    ent_terms_commitment(salt, terms, &genesis.terms);
    must(ent_genesis_encode(&genesis, ret, &err));
}

/* The channel's id is the digest of the genesis: who has the same bytes is in the same channel. */
void party_join(party *me, ent_bytes genesis)
{
    ent_store_channel row = {.state = ENT_CHANNEL_OPENING, .added_unix_s = 1};
    ent_buf_put(&me->genesis_bytes, genesis);
    must(ent_genesis_decode(genesis, &me->arena, &me->genesis, &err));
    ent_channel_id(genesis, &me->channel);
    row.id = me->channel;
    me->self = (uint32_t)ent_genesis_member(&me->genesis, ent_text_of(me->name));
    must(me->store->engine->begin(me->store, &err));
    must(me->store->engine->channel_add(me->store, &row, genesis, &err));
    for (uint32_t i = 0; i < PARTIES; i++) {
        (void)ent_origin_write(me->genesis.members[i].name, &me->channel, me->origins[i]);
        me->logs[i] = (ent_store_log){.channel = row.number, .member = i, .own = i == me->self};
        must(me->store->engine->log_add(me->store, &me->logs[i], &err));
    }
    must(me->store->engine->commit(me->store, &err));
}

ent_tree_head party_head(const party *me, uint32_t writer)
{
    ent_tree_head head = {.size = me->logs[writer].tree.size};
    ent_tree_root(&me->logs[writer].tree, &head.root);
    return head;
}

void party_extension(party *me, ent_keeper_what what, uint32_t writer, const ent_tree_head *head, ent_tree_proof *ret)
{
    ent_tree_head mark;
    ent_store_tiles tiles = {me->store, me->logs[writer].number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ret->count = 0;
    if (ent_keeper_mark(me->keeper, what, ent_text_of(me->origins[writer]), &mark, NULL).code == ENT_OK)
        must(ent_consistency_prove(mark.size, head->size, &reader, ret, &err));
}

/* Roots of its own copies are all that the check asks of the receiver here. */
static ent_rc root_at(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *e)
{
    const party *me = context;
    ent_store_tiles tiles = {me->store, me->logs[member].number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    *ret_known = size <= me->logs[member].tree.size;
    return *ret_known ? ent_tree_root_at(size, &reader, ret_root, e) : ENT_DONE;
}

static ent_rc no_head_held(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *e)
{
    (void)context, (void)member, (void)head, (void)e;
    *ret_held = false;
    return ENT_DONE;
}

ent_pouch_known party_known(party *me, uint32_t writer, ent_store_tiles *tiles)
{
    ent_pouch_known known = {.genesis = &me->genesis, .channel = me->channel, .self = me->self, .writer = writer};
    *tiles = (ent_store_tiles){me->store, me->logs[writer].number};
    known.tree = &me->logs[writer].tree;
    known.tiles = ent_store_tile_reader(tiles);
    known.root_at = root_at;
    known.head_held = no_head_held;
    known.context = me;
    memcpy(known.acked, me->logs[writer].acked, sizeof known.acked);
    return known;
}

void party_store(party *me, uint32_t writer, const ent_store_append *append, const ent_tree *tree,
                 ent_store_receipt *receipt)
{
    bool is_new = false;
    me->logs[writer].tree = *tree;
    must(me->store->engine->begin(me->store, &err));
    must(me->store->engine->append(me->store, &me->logs[writer], append, &err));
    if (receipt != NULL)
        must(me->store->engine->receipt_add(me->store, receipt, &is_new, &err));
    must(me->store->engine->commit(me->store, &err));
}

ent_vkey party_log_key(const party *me)
{
    ent_vkey key;
    must(ent_vkey_make(ent_text_of(me->origins[me->self]), ENT_KEY_ED25519, &me->genesis.members[me->self].log, &key,
                       &err));
    return key;
}

void party_receipt_key(const party *me, uint32_t giver, ent_buf *name, ent_vkey *ret)
{
    const ent_member *member = &me->genesis.members[giver];
    ent_receipt_key_name_put(name, member->name);
    must(ent_vkey_make(ent_buf_text(name), ENT_KEY_COSIGNATURE, &member->receipt, ret, &err));
}

void party_terms_body(const uint8_t salt[ENT_TERMS_SALT_SIZE], ent_bytes terms, ent_buf *ret)
{
    ent_buf_put_string(ret, "{\"fields\":{\"salt\":\"");
    ent_buf_put_hex(ret, ent_bytes_of(salt, ENT_TERMS_SALT_SIZE));
    ent_buf_put_string(ret, "\",\"terms\":\"");
    ent_buf_put_base64(ret, terms);
    ent_buf_put_string(ret, "\"}}");
}
