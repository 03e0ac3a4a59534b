/* One message, from end to end, in one process: Aurora tells Boreal of an incident, Boreal receipts and answers, and
 * Aurora proves to somebody else what was said and that it arrived. There is no network here and no thread: a pouch is
 * bytes that change hands. What a node adds to this story is order, queues and TLS (src/node).
 *
 * The functions stand in the order of the flow; the test at the end tells the story with them. */
#include "party.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "log/policy.h"
#include "message/kind.h"

/* --- saying --- */

/* The body is sealed to both, the writer included; the entry names its digest and goes into the log. It is durable when
 * this returns, and has not left: only a signed head may leave. */
static uint64_t say(party *me, const char *kind, ent_bytes body, const ent_message_ref *reply_to)
{
    ent_buf sealed = {0};
    ent_buf line = {0};
    ent_hash leaf;
    ent_tree tree = me->logs[me->self].tree;
    ent_recipient recipients[] = {me->genesis.members[0].age, me->genesis.members[1].age};
    must(ent_age_seal(body, recipients, PARTIES, &sealed, &err));
    ent_entry entry = {.channel = me->channel, .writer = ent_text_of(me->name), .index = tree.size};
    entry.time = ENT_TEXT("2025-06-01T12:00:00Z"); /* a claim: what proves a time is the receipt */
    entry.kind = ent_text_of(kind);
    entry.agreement = me->genesis.terms;
    entry.has_body = true;
    entry.body = (ent_blob_ref){.size = sealed.size, .type = ENT_TEXT("application/json")};
    ent_sha256(ent_buf_bytes(&sealed), &entry.body.digest);
    ent_random(entry.nonce, sizeof entry.nonce);
    if (reply_to != NULL) {
        entry.has_reply_to = entry.has_thread = true;
        entry.reply_to = entry.thread = *reply_to;
    }
    /* What it has receipted of the other's log stands in its own: neither can deny the order. */
    ent_ack ack = {ent_text_of(me->origins[1 - me->self]), me->receipted[1 - me->self]};
    entry.acks = &ack;
    entry.ack_count = ack.head.size > me->logs[me->self].acked[1 - me->self] ? 1 : 0;
    me->logs[me->self].acked[1 - me->self] = ack.head.size;
    must(ent_entry_encode(&entry, &line, &err));

    ent_bytes line_bytes = ent_buf_bytes(&line);
    ent_bytes sealed_bytes = ent_buf_bytes(&sealed);
    ent_leaf_hash(line_bytes, &leaf);
    must(ent_tree_append(&tree, &leaf, &err));
    ent_store_append append = {entry.index, 1, &line_bytes, &leaf, &sealed_bytes, &entry.body.digest, 1};
    party_store(me, me->self, &append, &tree, NULL);
    ent_buf_release(&line);
    ent_buf_release(&sealed);
    return entry.index;
}

/* The keeper refuses a head that is smaller than the one it signed before, or does not extend it. */
static void sign_head(party *me, ent_buf *ret)
{
    ent_keeper_request request = {.what = ENT_KEEPER_HEAD, .head = party_head(me, me->self)};
    ent_vkey key = party_log_key(me);
    ent_tree_proof proof;
    request.origin = key.name;
    party_extension(me, request.what, me->self, &request.head, &proof);
    request.extends = &proof;
    must(ent_keeper_sign(me->keeper, &request, 1, &err));
    must(request.rc);
    ent_checkpoint_put(ret, request.origin, &request.head);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_signature(ret, &key, ent_bytes_of(request.signature.bytes, sizeof request.signature.bytes));
    must(ent_buf_check(ret, &err));
}

/* --- the border --- */

/* Everything from entry `from` on, with the head that covers it. `tar tf` shows what is inside. */
static void pack(party *me, uint64_t from, ent_buf *ret)
{
    ent_buf head = {0};
    ent_buf bundle = {0};
    ent_buf sealed[4] = {{0}};
    ent_pouch_body bodies[4];
    uint64_t count = 0;
    const ent_store_engine *engine = me->store->engine;
    const ent_store_log *log = &me->logs[me->self];
    ent_pouch pouch = {.origin = ent_text_of(me->origins[me->self]), .old_size = from, .size = log->tree.size};
    if (from == 0)
        pouch.genesis = ent_buf_bytes(&me->genesis_bytes);
    sign_head(me, &head);
    pouch.checkpoint = ent_buf_bytes(&head);
    must(engine->entries_read(me->store, log->number, from, pouch.size - from, 1 << 20, &bundle, &count, &err));
    assert_true(count == pouch.size - from && count <= 4);
    pouch.entries = ent_buf_bytes(&bundle);
    pouch.bodies = bodies;
    for (; pouch.body_count < count; pouch.body_count++) {
        ent_buf *body = &sealed[pouch.body_count];
        must(engine->body_read(me->store, log->number, from + pouch.body_count, body, &err));
        bodies[pouch.body_count] = (ent_pouch_body){from + pouch.body_count, ent_buf_bytes(body)};
    }
    must(ent_pouch_put(ret, &pouch, &err));
    for (size_t i = 0; i < 4; i++)
        ent_buf_release(&sealed[i]);
    ent_buf_release(&bundle);
    ent_buf_release(&head);
}

/* A receipt: the receiver's cosignature of the head, given only after everything below it is durable. */
static void sign_receipt(party *me, uint32_t writer, const ent_store_receipt *stored, ent_buf *ret)
{
    ent_keeper_request request = {.what = ENT_KEEPER_RECEIPT, .head = stored->head};
    ent_cosignature cosignature = stored->cosignature;
    ent_buf name = {0};
    ent_vkey vkey;
    ent_tree_proof proof;
    request.origin = ent_text_of(me->origins[writer]);
    party_extension(me, request.what, writer, &request.head, &proof);
    request.extends = &proof;
    request.timestamp_unix_s = cosignature.timestamp_unix_s;
    must(ent_keeper_sign(me->keeper, &request, 1, &err));
    must(request.rc);
    cosignature.signature = request.signature;
    party_receipt_key(me, me->self, &name, &vkey);
    ent_checkpoint_put(ret, request.origin, &request.head);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_cosignature(ret, &vkey, &cosignature);
    ent_buf_release(&name);
    me->receipted[writer] = stored->head;
}

/* The ten steps of design.md section 3 in short: parse, check, store, receipt. Opening comes last, and apart. */
static ent_rc receive(party *me, ent_bytes bytes, ent_buf *ret_receipt)
{
    uint32_t writer = 1 - me->self;
    ent_pouch pouch;
    ent_pouch_checked checked;
    ent_store_tiles tiles;
    ent_pouch_known known = party_known(me, writer, &tiles);
    ENT_TRY(ent_pouch_parse(bytes, &pouch, &err));
    ent_rc rc = ent_pouch_check(&pouch, &known, &checked, &err);
    if (rc.code != ENT_OK) { /* nothing is stored and nothing receipted */
        ent_pouch_release(&pouch);
        return rc;
    }
    assert_int_equal(checked.verdict, ENT_POUCH_NEW);

    ent_hash digests[4];
    for (size_t i = 0; i < checked.new_count; i++)
        digests[i] = checked.entries[i].body.digest;
    ent_store_append append = {checked.first_new, checked.new_count, checked.entry_bytes, checked.leaves,
                               checked.bodies,    digests,           ent_clock_unix_s()};
    ent_store_receipt receipt = {.log = me->logs[writer].number, .receiver = me->self, .head = checked.head};
    receipt.cosignature.timestamp_unix_s = (uint64_t)ent_clock_unix_s();
    memcpy(me->logs[writer].acked, checked.acked, sizeof checked.acked);
    party_store(me, writer, &append, &checked.tree, &receipt);
    sign_receipt(me, writer, &receipt, ret_receipt);
    ent_pouch_checked_release(&checked);
    ent_pouch_release(&pouch);
    return ENT_DONE;
}

/* The writer believes nothing: the signature must be by the other's receipt key, and over its own head. */
static void take_receipt(const party *me, ent_bytes note_bytes, ent_buf *ret_line)
{
    ent_note note;
    ent_checkpoint checkpoint;
    ent_cosignature cosignature;
    ent_buf name = {0};
    ent_vkey vkey;
    ent_tree_head own = party_head(me, me->self);
    must(ent_note_parse(note_bytes, &note, &err));
    must(ent_checkpoint_parse(note.text, &checkpoint, &err));
    party_receipt_key(me, 1 - me->self, &name, &vkey);
    assert_int_equal(ent_note_verify_cosignature(&note, &vkey, &cosignature), ENT_SIGNATURE_VALID);
    assert_true(ent_text_is(checkpoint.origin, me->origins[me->self]));
    assert_int_equal(checkpoint.head.size, own.size);
    assert_true(ent_hash_equal(&checkpoint.head.root, &own.root));
    ent_buf_put_text(ret_line, note.signatures[0].line);
    ent_note_release(&note);
    ent_buf_release(&name);
}

/* --- opening, and proving to others --- */

/* Decrypt with our identity, check that every member can open it too, and hold the body to its kind's schema. */
static void read_message(party *me, uint32_t writer, uint64_t index, const char *kind, const char *subject)
{
    ent_buf sealed = {0}, plain = {0};
    ent_file_key key;
    ent_kinds *kinds = NULL;
    ent_body body;
    ent_seal_verdict verdict = ENT_SEAL_NOT_CHECKED;
    ent_recipient recipients[] = {me->genesis.members[0].age, me->genesis.members[1].age};
    must(me->store->engine->body_read(me->store, me->logs[writer].number, index, &sealed, &err));
    must(ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(me->keeper), &plain, &key, &err));
    must(ent_seal_check(ent_buf_bytes(&sealed), &key, recipients, PARTIES, &verdict, &err));
    assert_int_equal(verdict, ENT_SEAL_AS_AGREED);
    must(ent_kinds_new(&kinds, &err));
    must(ent_body_parse(kinds, ent_text_of(kind), ent_buf_bytes(&plain), 0, &body, &err));
    if (subject != NULL)
        assert_true(ent_text_is(ent_json_string(ent_json_get(body.fields, "title")), subject));
    ent_body_release(&body);
    ent_kinds_free(kinds);
    ent_buf_wipe(&plain);
    ent_buf_release(&sealed);
}

/* NAME.entry, NAME.tlog-proof and NAME.policy: any C2SP verifier takes them, without Entente. */
static void prove(party *me, uint64_t index, ent_text receipt_line, ent_buf *ret_entry, ent_buf *ret_proof,
                  ent_buf *ret_policy)
{
    ent_buf bundle = {0}, note = {0}, name = {0};
    ent_vkey log = party_log_key(me);
    ent_vkey receiver;
    uint64_t count = 0;
    ent_store_tiles tiles = {me->store, me->logs[me->self].number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    ent_tlog_proof proof = {.index = index};
    must(me->store->engine->entries_read(me->store, tiles.log, index, 1, 0, &bundle, &count, &err));
    ent_buf_put(ret_entry, ent_bytes_of(bundle.data + 2, bundle.size - 2)); /* without its length */
    must(ent_inclusion_prove(index, me->logs[me->self].tree.size, &reader, &proof.inclusion, &err));
    sign_head(me, &note);
    ent_buf_put_text(&note, receipt_line); /* the head with both signatures: the log's and the receiver's */
    proof.checkpoint = ent_buf_bytes(&note);
    ent_tlog_proof_put(ret_proof, &proof);
    party_receipt_key(me, 1 - me->self, &name, &receiver);
    ent_buf_put_string(ret_policy, "log ");
    ent_vkey_put(ret_policy, &log);
    ent_buf_put_string(ret_policy, "\nwitness receiver ");
    ent_vkey_put(ret_policy, &receiver);
    ent_buf_put_string(ret_policy, "\nquorum receiver\n");
    ent_buf_release(&name);
    ent_buf_release(&note);
    ent_buf_release(&bundle);
}

/* Somebody who has only the three files, and no key but those in the policy. */
static ent_proof_verdict verify(ent_bytes entry, ent_bytes proof_bytes, ent_bytes policy_bytes)
{
    ent_policy *policy = NULL;
    ent_policy_result result;
    ent_tlog_proof proof;
    ent_note note;
    ent_hash leaf;
    must(ent_policy_parse(policy_bytes, &policy, &err));
    must(ent_tlog_proof_parse(proof_bytes, &proof, &err));
    must(ent_note_parse(proof.checkpoint, &note, &err));
    must(ent_policy_check(policy, &note, &result, &err));
    assert_int_equal(result.verdict, ENT_POLICY_SATISFIED); /* signed by that log, receipted by that receiver */
    ent_leaf_hash(entry, &leaf);
    ent_proof_verdict verdict = ent_inclusion_verify(proof.index, &leaf, &result.checkpoint.head, &proof.inclusion);
    ent_note_release(&note);
    ent_policy_free(policy);
    return verdict;
}

/* --- the story --- */

static const char notification[] =
    "{\"fields\":{\"title\":\"Ransomware stops a meat processor\",\"awareness_time\":\"2025-06-01T11:00:00Z\","
    "\"malicious\":\"yes\",\"cross_border\":\"yes\",\"sector\":\"food\",\"severity\":\"critical\"},"
    "\"text\":{\"en\":\"Do you know the infrastructure?\"},\"authentic\":\"en\"}";
static const char response[] =
    "{\"fields\":{\"outcome\":\"granted\"},\"text\":{\"en\":\"We took it down.\"},\"authentic\":\"en\"}";

/* Pack, carry, receive, and bring the receipt back. */
static void deliver(party *from, party *to, uint64_t old_size, ent_buf *ret_receipt_line)
{
    ent_buf pouch = {0}, receipt = {0};
    pack(from, old_size, &pouch);
    must(receive(to, ent_buf_bytes(&pouch), &receipt));
    take_receipt(from, ent_buf_bytes(&receipt), ret_receipt_line);
    ent_buf_release(&pouch);
    ent_buf_release(&receipt);
}

/* They meet: cards, fingerprints, one genesis, and an entry 0 from each, which says: these are our terms. */
static void open_channel(party *aurora, party *boreal)
{
    char heard[ENT_FINGERPRINT_TEXT_SIZE + 1];
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_bytes terms = ent_text_bytes(ENT_TEXT("{\"title\":\"Arrangement on notice and assistance\"}"));
    ent_buf genesis = {0}, body = {0}, line = {0};
    party_fingerprint(aurora, heard);
    party_take_card(boreal, aurora, heard);
    party_fingerprint(boreal, heard);
    party_take_card(aurora, boreal, heard);
    ent_random(salt, sizeof salt);
    party_write_genesis(aurora, boreal, salt, terms, &genesis);
    party_join(aurora, ent_buf_bytes(&genesis));
    party_join(boreal, ent_buf_bytes(&genesis));
    party_terms_body(salt, terms, &body);
    assert_int_equal(say(aurora, "channel.genesis", ent_buf_bytes(&body), NULL), 0);
    assert_int_equal(say(boreal, "channel.genesis", ent_buf_bytes(&body), NULL), 0);
    deliver(aurora, boreal, 0, &line);
    deliver(boreal, aurora, 0, &line);
    read_message(boreal, aurora->self, 0, "channel.genesis", NULL);
    ent_buf_release(&genesis);
    ent_buf_release(&body);
    ent_buf_release(&line);
}

static void test_one_message__said_receipted_opened_answered_and_proved(void **state)
{
    (void)state;
    party aurora;
    party boreal;
    ent_buf pouch = {0}, receipt = {0}, line = {0}, entry = {0}, proof = {0}, policy = {0};
    must(ent_crypto_init(&err));
    party_make(&aurora, "aurora.example", "https://hotline.aurora.example:9443");
    party_make(&boreal, "boreal.example", "https://hotline.boreal.example:9443");
    open_channel(&aurora, &boreal);

    /* Aurora says it: sealed, logged, durable, signed. */
    uint64_t index = say(&aurora, "incident.notification", ent_text_bytes(ent_text_of(notification)), NULL);
    pack(&aurora, index, &pouch);

    /* Somebody on the way changes one byte of the sealed body: refused, and nothing is stored. */
    pouch.data[pouch.size - 2 * 512 - 600] ^= 1;
    assert_int_equal(receive(&boreal, ent_buf_bytes(&pouch), &receipt).code, ENT_PEER_MISMATCH);
    assert_int_equal(boreal.logs[aurora.self].tree.size, index);
    pouch.data[pouch.size - 2 * 512 - 600] ^= 1;

    /* The true bytes: Boreal stores them, and its receipt comes back. From here on it cannot say it never got them. */
    must(receive(&boreal, ent_buf_bytes(&pouch), &receipt));
    take_receipt(&aurora, ent_buf_bytes(&receipt), &line);

    /* Only now does Boreal read. */
    read_message(&boreal, aurora.self, index, "incident.notification", "Ransomware stops a meat processor");

    /* Its answer acks the head it has receipted, so that the order of the two is in Boreal's own signed log. */
    ent_message_ref question = {ENT_TEXT("aurora.example"), index};
    ent_buf answer_line = {0};
    uint64_t answer = say(&boreal, "answer.response", ent_text_bytes(ent_text_of(response)), &question);
    deliver(&boreal, &aurora, answer, &answer_line);
    read_message(&aurora, boreal.self, answer, "answer.response", NULL);
    assert_int_equal(aurora.logs[boreal.self].acked[aurora.self], index + 1);

    /* A judge gets three files. They show that Aurora logged these bytes and that Boreal held them. */
    prove(&aurora, index, ent_buf_text(&line), &entry, &proof, &policy);
    assert_int_equal(verify(ent_buf_bytes(&entry), ent_buf_bytes(&proof), ent_buf_bytes(&policy)), ENT_PROOF_VALID);
    entry.data[entry.size / 2] ^= 1;
    assert_int_equal(verify(ent_buf_bytes(&entry), ent_buf_bytes(&proof), ent_buf_bytes(&policy)), ENT_PROOF_INVALID);

    ent_buf *buffers[] = {&pouch, &receipt, &line, &answer_line, &entry, &proof, &policy};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        ent_buf_release(buffers[i]);
    party_release(&aurora);
    party_release(&boreal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_message__said_receipted_opened_answered_and_proved),
    };
    return cmocka_run_group_tests_name("flow-one-message", tests, NULL, NULL);
}
