/* Writes evidence to verify into a folder: cards, entry, proof, policy, pouches and a report of a made-up channel
 * between aurora.example, who tells of an incident, and boreal.example, who answers. The keys come from fixed seeds, so
 * that the files are the same each time.
 *
 * Usage: cli_evidence FOLDER */

#include "base/file.h"
#include "base/json.h"
#include "crypto/crypto.h"
#include "log/policy.h"
#include "log/tlog_proof.h"
#include "log/tree.h"
#include "pouch/pouch.h"
#include "seal/card.h"

#include <stdio.h>
#include <stdlib.h>

enum { AURORA, BOREAL, PARTIES, ENTRIES = 5, PROVEN = 3, ANSWER = 1 };

static const size_t sizes[PARTIES] = {ENTRIES, 2};
static const size_t proven[PARTIES] = {PROVEN, ANSWER};
static const uint64_t receipt_times[PARTIES] = {1622366000, 1622370000};

static const char *const names[PARTIES] = {"aurora.example", "boreal.example"};

typedef struct {
    ent_secret_key root, log, receipt;
    ent_card card;
    ent_buf note;
} party;

typedef struct {
    ent_buf entries[ENTRIES];
    ent_buf bodies[ENTRIES];
    ent_hash leaves[ENTRIES];
    ent_tree tree;
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf checkpoint; /* signed */
    ent_buf receipt;    /* note with the receipt alone */
    ent_buf proof;
} history; /* what one party's log is made of */

typedef struct {
    party parties[PARTIES];
    ent_buf genesis;
    ent_hash channel;
    ent_hash terms;
    history logs[PARTIES];
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
    for (size_t i = 0; i < PARTIES; i++)
        (void)ent_origin_write(w->parties[i].card.name, &w->channel, w->logs[i].origin);
}

static void say(world *w, size_t writer, size_t index)
{
    ent_err err = {0};
    history *log = &w->logs[writer];
    ent_entry entry = {.channel = w->channel,
                       .writer = w->parties[writer].card.name,
                       .index = index,
                       .time = writer == AURORA ? ENT_TEXT("2021-05-30T09:12:00Z") : ENT_TEXT("2021-05-30T10:18:00Z"),
                       .kind = index == 0         ? ENT_TEXT("channel.genesis")
                               : writer == AURORA ? ENT_TEXT("incident.notification")
                                                  : ENT_TEXT("answer.response"),
                       .agreement = w->terms,
                       .urgency = ENT_URGENCY_FLASH,
                       .marking = ENT_MARKING_AMBER,
                       .has_body = true};
    if (writer == BOREAL && index > 0) {
        entry.has_thread = true;
        entry.has_reply_to = true;
        entry.thread = entry.reply_to = (ent_message_ref){w->parties[AURORA].card.name, PROVEN};
    }
    ent_buf_put_format(&log->bodies[index], "stands for a sealed body, number %zu", index);
    ent_sha256(ent_buf_bytes(&log->bodies[index]), &entry.body.digest);
    entry.body.size = log->bodies[index].size;
    entry.body.type = ENT_TEXT("application/json");
    memset(entry.nonce, (int)index + 1, sizeof entry.nonce);
    need(ent_entry_encode(&entry, &log->entries[index], &err), &err);
    ent_leaf_hash(ent_buf_bytes(&log->entries[index]), &log->leaves[index]);
    need(ent_tree_append(&log->tree, &log->leaves[index], &err), &err);
}

static ent_rc read_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                        ent_err *err)
{
    const history *log = context;
    if (level != 0 || index != 0 || width > ENTRIES)
        return ent_fail(err, ENT_ABSENT, NULL, "no such tile");
    memcpy(ret_hashes, log->leaves, width * sizeof *ret_hashes);
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

static void sign(world *w, size_t writer)
{
    ent_err err = {0};
    ent_buf name = {0};
    ent_buf text = {0};
    history *log = &w->logs[writer];
    ent_tree_head head = {.size = log->tree.size};
    ent_cosignature cosignature;
    const party *receiver = &w->parties[PARTIES - 1 - writer];
    ent_vkey vkey = receipt_vkey(receiver, &name);
    ent_tree_root(&log->tree, &head.root);
    need(ent_checkpoint_sign(ent_text_of(log->origin), &head, &w->parties[writer].log, &log->checkpoint, &err), &err);
    ent_checkpoint_put(&text, ent_text_of(log->origin), &head);
    need(ent_cosignature_sign(ent_buf_text(&text), receipt_times[writer], &receiver->receipt, &cosignature, &err),
         &err);
    ent_buf_put(&log->receipt, ent_buf_bytes(&text));
    ent_buf_put_u8(&log->receipt, '\n');
    ent_note_put_cosignature(&log->receipt, &vkey, &cosignature);

    ent_tile_reader tiles = {read_tile, log};
    ent_tlog_proof proof = {.index = proven[writer]};
    ent_buf note = {0};
    ent_buf_put(&note, ent_buf_bytes(&log->checkpoint));
    ent_note_put_cosignature(&note, &vkey, &cosignature);
    proof.checkpoint = ent_buf_bytes(&note);
    need(ent_inclusion_prove(proven[writer], log->tree.size, &tiles, &proof.inclusion, &err), &err);
    ent_tlog_proof_put(&log->proof, &proof);
    ent_buf_release(&note);
    ent_buf_release(&name);
    ent_buf_release(&text);
}

/* The policy that names the log and the receipt key. */
static void put_policy(const world *w, size_t writer, ent_buf *policy)
{
    ent_err err = {0};
    ent_buf name = {0};
    ent_vkey log;
    ent_vkey receipt = receipt_vkey(&w->parties[PARTIES - 1 - writer], &name);
    need(ent_vkey_make(ent_text_of(w->logs[writer].origin), ENT_KEY_ED25519, &w->parties[writer].card.log, &log, &err),
         &err);
    ent_buf_put_string(policy, "log ");
    ent_vkey_put(policy, &log);
    ent_buf_put_string(policy, writer == AURORA ? "\nwitness boreal " : "\nwitness aurora ");
    ent_vkey_put(policy, &receipt);
    ent_buf_put_string(policy, writer == AURORA ? "\nquorum boreal\n" : "\nquorum aurora\n");
    ent_buf_release(&name);
}

/* A report of the two: one line, its answer, and the proofs of both. */
static void put_report(const world *w, ent_buf *ret)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    char channel[65];
    ent_hex_encode(ent_hash_bytes(&w->channel), channel);
    ent_buf_put_format(ret,
                       "{\"report\":1,\"channel\":\"%s\",\"alias\":\"north\",\"members\":[\"aurora.example\",\"boreal."
                       "example\"],\"made_by\":\"aurora.example\",\"made\":\"2021-06-30T00:00:00Z\",\"from\":\"2021-05-"
                       "01T00:00:00Z\",\"to\":\"2021-06-30T00:00:00Z\",\"marking\":\"TLP:AMBER\",\"published\":false,"
                       "\"withheld\":0,\"evidence_digest\":\"%064d\",\"state_digest\":\"%064d\",",
                       channel, 1, 2);
    ent_buf_put_string(
        ret, "\"lines\":[{\"message\":\"aurora.example/3\",\"kind\":\"incident.notification\",\"title\":"
             "\"Incident notification\",\"subject\":\"Ransomware\",\"time\":\"2021-05-30T09:12:00Z\",\"writer\":"
             "\"aurora.example\",\"to\":[\"boreal.example\"],\"thread\":\"aurora.example/3\",\"urgency\":\"flash\","
             "\"marking\":\"TLP:AMBER\",\"exercise\":false,\"receipted\":[{\"by\":\"boreal.example\",\"time\":"
             "\"2021-05-30T09:13:20Z\"}],\"asked_of\":\"boreal.example\",\"duty\":\"answer\",\"counted\":true,"
             "\"state\":\"done\",\"outcome\":\"granted\","
             "\"due\":\"2021-05-30T11:13:20Z\",\"answer\":\"boreal.example/1\",\"answered\":\"2021-05-30T10:20:"
             "00Z\",\"claimed\":false,\"in_time\":true,\"overdue\":false,\"not_receipted\":false}],"
             "\"sums\":[{\"from\":\"aurora.example\",\"to\":\"boreal.example\",\"asked\":1,\"answered\":1,"
             "\"answered_in_time\":1,\"overdue\":0,\"granted\":1,\"refused\":0,\"not_answered\":0,"
             "\"unanswered\":[]}],"
             "\"balances\":[],\"threat_level\":null,\"exercises\":0,\"proofs\":");
    ent_json_array_begin(&writer);
    for (size_t i = 0; i < PARTIES; i++) {
        ent_buf policy = {0};
        ent_buf message = {0};
        put_policy(w, i, &policy);
        ent_buf_put_format(&message, "%s/%zu", names[i], proven[i]);
        ent_json_object_begin(&writer);
        ent_json_member_text(&writer, "message", ent_buf_text(&message));
        ent_json_member_text(&writer, "entry", ent_buf_text(&w->logs[i].entries[proven[i]]));
        ent_json_member_text(&writer, "proof", ent_buf_text(&w->logs[i].proof));
        ent_json_member_text(&writer, "policy", ent_buf_text(&policy));
        ent_json_object_end(&writer);
        ent_buf_release(&policy);
        ent_buf_release(&message);
    }
    ent_json_array_end(&writer);
    ent_buf_put_string(ret, "}\n");
}

static void put_pouch(const world *w, uint64_t old_size, bool with_genesis, ent_buf *ret)
{
    ent_err err = {0};
    ent_buf bundle = {0};
    ent_pouch_body bodies[ENTRIES];
    ent_pouch_item cards[PARTIES];
    const history *log = &w->logs[AURORA];
    ent_pouch_item receipt = {w->parties[BOREAL].card.name, ent_buf_bytes(&log->receipt)};
    ent_pouch pouch = {.origin = ent_text_of(log->origin), .old_size = old_size, .size = ENTRIES, .bodies = bodies};
    for (size_t i = (size_t)old_size; i < ENTRIES; i++) {
        need(ent_bundle_put(&bundle, ent_buf_bytes(&log->entries[i]), &err), &err);
        bodies[pouch.body_count++] = (ent_pouch_body){i, ent_buf_bytes(&log->bodies[i])};
    }
    for (size_t i = 0; i < PARTIES; i++)
        cards[i] = (ent_pouch_item){w->parties[i].card.name, ent_buf_bytes(&w->parties[i].note)};
    if (with_genesis) {
        pouch.genesis = ent_buf_bytes(&w->genesis);
        pouch.cards = cards;
        pouch.card_count = PARTIES;
    }
    pouch.checkpoint = ent_buf_bytes(&log->checkpoint);
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
    for (size_t writer = 0; writer < PARTIES; writer++) {
        for (size_t i = 0; i < sizes[writer]; i++)
            say(&w, writer, i);
        sign(&w, writer);
    }
    write_file(argv[1], "aurora.card", &w.parties[AURORA].note);
    write_file(argv[1], "boreal.card", &w.parties[BOREAL].note);
    write_file(argv[1], "attack.entry", &w.logs[AURORA].entries[PROVEN]);
    write_file(argv[1], "attack.tlog-proof", &w.logs[AURORA].proof);
    put_policy(&w, AURORA, &made);
    write_file(argv[1], "attack.policy", &made);
    ent_buf_clear(&made);
    put_pouch(&w, 0, true, &made);
    write_file(argv[1], "first.pouch", &made);
    ent_buf_clear(&made);
    put_pouch(&w, 2, false, &made);
    write_file(argv[1], "later.pouch", &made);
    ent_buf_clear(&made);
    put_report(&w, &made);
    write_file(argv[1], "report.json", &made);
    ent_buf_release(&made);
    for (size_t i = 0; i < PARTIES; i++) {
        history *log = &w.logs[i];
        ent_buf_release(&w.parties[i].note);
        for (size_t k = 0; k < ENTRIES; k++) {
            ent_buf_release(&log->entries[k]);
            ent_buf_release(&log->bodies[k]);
        }
        ent_buf_release(&log->receipt);
        ent_buf_release(&log->checkpoint);
        ent_buf_release(&log->proof);
    }
    ent_buf_release(&w.genesis);
    return 0;
}
