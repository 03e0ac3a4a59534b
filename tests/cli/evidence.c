/* Writes evidence to verify into a folder: cards, entry, proof, policy and pouches of a made-up channel between
 * aurora.example and boreal.example. The keys come from fixed seeds, so that the files are the same each time.
 *
 * Usage: cli_evidence FOLDER */

#include "base/file.h"
#include "crypto/crypto.h"
#include "log/policy.h"
#include "log/tlog_proof.h"
#include "log/tree.h"
#include "pouch/pouch.h"
#include "seal/card.h"

#include <stdio.h>
#include <stdlib.h>

enum { AURORA, BOREAL, PARTIES, ENTRIES = 5, PROVEN = 3 };

static const char *const names[PARTIES] = {"aurora.example", "boreal.example"};

typedef struct {
    ent_secret_key root, log, receipt;
    ent_card card;
    ent_buf note;
} party;

typedef struct {
    party parties[PARTIES];
    ent_buf genesis;
    ent_hash channel;
    ent_hash terms;
    ent_buf entries[ENTRIES];
    ent_buf bodies[ENTRIES];
    ent_hash leaves[ENTRIES];
    ent_tree tree;
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf checkpoint; /* signed */
    ent_buf receipt;    /* note with the receipt alone */
    ent_buf proof;
} world;

static void need(ent_rc rc, const ent_err *err)
{
    if (rc.code == ENT_OK)
        return;
    fprintf(stderr, "cli_evidence: %s (%s)\n", err->text, err->rule);
    exit(1);
}

static void key(uint8_t number, ent_public_key *ret_public, ent_secret_key *ret_secret)
{
    uint8_t seed[32];
    memset(seed, number, sizeof seed);
    ent_ed25519_from_seed(seed, ret_public, ret_secret);
}

static void make_party(party *p, uint8_t number)
{
    ent_err err = {0};
    ent_identity identity;
    ent_public_key next;
    ent_secret_key unused;
    memset(identity.bytes, 100 + number, sizeof identity.bytes);
    key((uint8_t)(number * 10 + 1), &p->card.root, &p->root);
    key((uint8_t)(number * 10 + 2), &p->card.log, &p->log);
    key((uint8_t)(number * 10 + 3), &p->card.receipt, &p->receipt);
    key((uint8_t)(number * 10 + 4), &next, &unused);
    ent_sha256(ent_bytes_of(next.bytes, sizeof next.bytes), &p->card.next_root);
    memset(p->card.tls.bytes, number, sizeof p->card.tls.bytes);
    ent_x25519_recipient(&identity, &p->card.age);
    p->card.name = ent_text_of(names[number]);
    p->card.serial = 1;
    p->card.issued = ENT_TEXT("2021-05-01T00:00:00Z");
    p->card.url = ENT_TEXT("https://cert.example:8443");
    need(ent_card_sign(&p->card, &p->root, &p->note, &err), &err);
}

static void make_genesis(world *w)
{
    ent_err err = {0};
    ent_member members[PARTIES];
    ent_genesis genesis = {.rules = ENT_GENESIS_RULES, .members = members, .member_count = PARTIES, .delta_s = 300};
    for (size_t i = 0; i < PARTIES; i++) {
        const ent_card *card = &w->parties[i].card;
        members[i] = (ent_member){card->name, card->root, card->log, card->receipt, card->age, card->tls};
    }
    memset(w->terms.bytes, 0x77, sizeof w->terms.bytes);
    genesis.terms = w->terms;
    need(ent_genesis_encode(&genesis, &w->genesis, &err), &err);
    ent_channel_id(ent_buf_bytes(&w->genesis), &w->channel);
    (void)ent_origin_write(w->parties[AURORA].card.name, &w->channel, w->origin);
}

static void say(world *w, size_t index)
{
    ent_err err = {0};
    ent_entry entry = {.channel = w->channel,
                       .writer = w->parties[AURORA].card.name,
                       .index = index,
                       .time = ENT_TEXT("2021-05-30T09:12:00Z"),
                       .kind = index == 0 ? ENT_TEXT("channel.genesis") : ENT_TEXT("incident.notification"),
                       .agreement = w->terms,
                       .urgency = ENT_URGENCY_FLASH,
                       .marking = ENT_MARKING_AMBER,
                       .has_body = true};
    ent_buf_put_format(&w->bodies[index], "stands for a sealed body, number %zu", index);
    ent_sha256(ent_buf_bytes(&w->bodies[index]), &entry.body.digest);
    entry.body.size = w->bodies[index].size;
    entry.body.type = ENT_TEXT("application/json");
    memset(entry.nonce, (int)index + 1, sizeof entry.nonce);
    need(ent_entry_encode(&entry, &w->entries[index], &err), &err);
    ent_leaf_hash(ent_buf_bytes(&w->entries[index]), &w->leaves[index]);
    need(ent_tree_append(&w->tree, &w->leaves[index], &err), &err);
}

static ent_rc read_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                        ent_err *err)
{
    const world *w = context;
    if (level != 0 || index != 0 || width > ENTRIES)
        return ent_fail(err, ENT_ABSENT, NULL, "no such tile");
    memcpy(ret_hashes, w->leaves, width * sizeof *ret_hashes);
    return ENT_DONE;
}

static ent_vkey receipt_vkey(const party *p, ent_buf *memory)
{
    ent_err err = {0};
    ent_vkey vkey;
    ent_receipt_key_name_put(memory, p->card.name);
    need(ent_vkey_make(ent_buf_text(memory), ENT_KEY_COSIGNATURE, &p->card.receipt, &vkey, &err), &err);
    return vkey;
}

static void sign(world *w)
{
    ent_err err = {0};
    ent_buf name = {0};
    ent_buf text = {0};
    ent_tree_head head = {.size = w->tree.size};
    ent_cosignature cosignature;
    const party *boreal = &w->parties[BOREAL];
    ent_vkey vkey = receipt_vkey(boreal, &name);
    ent_tree_root(&w->tree, &head.root);
    need(ent_checkpoint_sign(ent_text_of(w->origin), &head, &w->parties[AURORA].log, &w->checkpoint, &err), &err);
    ent_checkpoint_put(&text, ent_text_of(w->origin), &head);
    need(ent_cosignature_sign(ent_buf_text(&text), 1622366000, &boreal->receipt, &cosignature, &err), &err);
    ent_buf_put(&w->receipt, ent_buf_bytes(&text));
    ent_buf_put_u8(&w->receipt, '\n');
    ent_note_put_cosignature(&w->receipt, &vkey, &cosignature);

    ent_tile_reader tiles = {read_tile, w};
    ent_tlog_proof proof = {.index = PROVEN};
    ent_buf note = {0};
    ent_buf_put(&note, ent_buf_bytes(&w->checkpoint));
    ent_note_put_cosignature(&note, &vkey, &cosignature);
    proof.checkpoint = ent_buf_bytes(&note);
    need(ent_inclusion_prove(PROVEN, w->tree.size, &tiles, &proof.inclusion, &err), &err);
    ent_tlog_proof_put(&w->proof, &proof);
    ent_buf_release(&note);
    ent_buf_release(&name);
    ent_buf_release(&text);
}

/* The policy that names the log and the receipt key. */
static void put_policy(const world *w, ent_buf *policy)
{
    ent_err err = {0};
    ent_buf name = {0};
    ent_vkey log;
    ent_vkey receipt = receipt_vkey(&w->parties[BOREAL], &name);
    need(ent_vkey_make(ent_text_of(w->origin), ENT_KEY_ED25519, &w->parties[AURORA].card.log, &log, &err), &err);
    ent_buf_put_string(policy, "log ");
    ent_vkey_put(policy, &log);
    ent_buf_put_string(policy, "\nwitness boreal ");
    ent_vkey_put(policy, &receipt);
    ent_buf_put_string(policy, "\nquorum boreal\n");
    ent_buf_release(&name);
}

static void put_pouch(const world *w, uint64_t old_size, bool with_genesis, ent_buf *ret)
{
    ent_err err = {0};
    ent_buf bundle = {0};
    ent_pouch_body bodies[ENTRIES];
    ent_pouch_item cards[PARTIES];
    ent_pouch_item receipt = {w->parties[BOREAL].card.name, ent_buf_bytes(&w->receipt)};
    ent_pouch pouch = {.origin = ent_text_of(w->origin), .old_size = old_size, .size = ENTRIES, .bodies = bodies};
    for (size_t i = (size_t)old_size; i < ENTRIES; i++) {
        need(ent_bundle_put(&bundle, ent_buf_bytes(&w->entries[i]), &err), &err);
        bodies[pouch.body_count++] = (ent_pouch_body){i, ent_buf_bytes(&w->bodies[i])};
    }
    for (size_t i = 0; i < PARTIES; i++)
        cards[i] = (ent_pouch_item){w->parties[i].card.name, ent_buf_bytes(&w->parties[i].note)};
    if (with_genesis) {
        pouch.genesis = ent_buf_bytes(&w->genesis);
        pouch.cards = cards;
        pouch.card_count = PARTIES;
    }
    pouch.checkpoint = ent_buf_bytes(&w->checkpoint);
    pouch.entries = ent_buf_bytes(&bundle);
    pouch.receipts = &receipt;
    pouch.receipt_count = 1;
    need(ent_pouch_put(ret, &pouch, &err), &err);
    ent_buf_release(&bundle);
}

static void write_file(const char *folder, const char *name, ent_buf *bytes)
{
    ent_err err = {0};
    char *path = ent_file_join(folder, name);
    if (path == NULL)
        exit(1);
    need(ent_buf_check(bytes, &err), &err);
    need(ent_file_write(path, 0644, ent_buf_bytes(bytes), &err), &err);
    ent_free(path);
}

int main(int argc, char **argv)
{
    static world w;
    ent_err err = {0};
    ent_buf made = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    need(ent_crypto_init(&err), &err);
    for (uint8_t i = 0; i < PARTIES; i++)
        make_party(&w.parties[i], i);
    make_genesis(&w);
    for (size_t i = 0; i < ENTRIES; i++)
        say(&w, i);
    sign(&w);
    write_file(argv[1], "aurora.card", &w.parties[AURORA].note);
    write_file(argv[1], "boreal.card", &w.parties[BOREAL].note);
    write_file(argv[1], "attack.entry", &w.entries[PROVEN]);
    write_file(argv[1], "attack.tlog-proof", &w.proof);
    put_policy(&w, &made);
    write_file(argv[1], "attack.policy", &made);
    ent_buf_clear(&made);
    put_pouch(&w, 0, true, &made);
    write_file(argv[1], "first.pouch", &made);
    ent_buf_clear(&made);
    put_pouch(&w, 2, false, &made);
    write_file(argv[1], "later.pouch", &made);
    ent_buf_release(&made);
    for (size_t i = 0; i < PARTIES; i++)
        ent_buf_release(&w.parties[i].note);
    for (size_t i = 0; i < ENTRIES; i++) {
        ent_buf_release(&w.entries[i]);
        ent_buf_release(&w.bodies[i]);
    }
    ent_buf_release(&w.genesis);
    ent_buf_release(&w.checkpoint);
    ent_buf_release(&w.receipt);
    ent_buf_release(&w.proof);
    return 0;
}
