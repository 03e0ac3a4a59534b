/* Known peers: whose cards are taken, kept, followed and forgotten. */
#include "fixture.h"

#include "crypto/crypto.h"
#include "node/channel.h"
#include "node/invite.h"
#include "node/peer.h"
#include "node/rotate.h"

#include <stdlib.h>

/* A party elsewhere: its root key and the card it hands out. */
typedef struct {
    ent_secret_key root;
    ent_secret_key next_root;
    ent_card card;
    ent_buf bytes;
} issuer;

static void issue(issuer *by, const ent_secret_key *root)
{
    ent_err err = {0};
    ent_buf_clear(&by->bytes);
    assert_ok(ent_card_sign(&by->card, root, &by->bytes, &err));
}

static void issuer_make(issuer *ret, const char *name)
{
    ent_secret_key secret;
    ent_identity identity;
    ent_public_key next;
    *ret = (issuer){.card = {.name = ent_text_of(name), .serial = 1, .issued = ENT_TEXT("2025-01-01T00:00:00Z")}};
    ent_ed25519_generate(&ret->card.root, &ret->root);
    ent_ed25519_generate(&next, &ret->next_root);
    ent_sha256(ent_bytes_of(next.bytes, sizeof next.bytes), &ret->card.next_root);
    ent_ed25519_generate(&ret->card.log, &secret);
    ent_ed25519_generate(&ret->card.receipt, &secret);
    ent_x25519_generate(&ret->card.age, &identity);
    ent_random(ret->card.tls.bytes, sizeof ret->card.tls.bytes);
    ret->card.url = ENT_TEXT("https://192.0.2.1:9443");
    issue(ret, &ret->root);
}

/* The card after the present one, under the same root: another address. */
static void issue_next(issuer *by, const char *url)
{
    ent_err err = {0};
    ent_card_opened current;
    assert_ok(ent_card_parse(ent_buf_bytes(&by->bytes), &current, &err));
    by->card.previous = current.text_hash;
    by->card.has_previous = true;
    by->card.serial++;
    by->card.url = ent_text_of(url);
    ent_card_release(&current);
    issue(by, &by->root);
}

typedef struct {
    char *folder;
    ent_node *node;
} alone;

static void alone_make(alone *ret)
{
    ret->folder = fixture_folder_make();
    char *party = fixture_path(ret->folder, "party");
    fixture_party_make(party, "north.example", 0);
    ret->node = fixture_start(party);
    ent_free(party);
}

static void alone_restart(alone *one)
{
    char *party = fixture_path(one->folder, "party");
    ent_node_stop(one->node);
    one->node = fixture_start(party);
    ent_free(party);
}

static void alone_release(alone *one)
{
    ent_node_stop(one->node);
    fixture_folder_remove(one->folder);
}

static ent_rc add(alone *one, const issuer *from, const char *fingerprint, ent_peer *ret, ent_err *err)
{
    ent_text text = ent_text_of(fingerprint);
    return ent_peer_add(one->node, ent_buf_bytes(&from->bytes), fingerprint == NULL ? NULL : &text, ret, err);
}

static void assert_peers(alone *one, const char *const *names)
{
    size_t i = 0;
    ent_peer peer;
    for (; names[i] != NULL; i++) {
        assert_true(ent_peer_at(one->node, i, &peer));
        assert_string_equal(peer.name, names[i]);
    }
    assert_false(ent_peer_at(one->node, i, &peer));
}

static void test_peer__added_is_found_by_name_and_pin_sorted_also_after_a_restart(void **state)
{
    (void)state;
    static const char *const three[] = {"east.example", "south.example", "west.example", NULL};
    alone one;
    issuer issuers[3];
    ent_peer peer;
    ent_err err = {0};
    static const unsigned order[] = {2, 0, 1};
    alone_make(&one);
    for (unsigned i = 0; i < 3; i++) {
        issuer_make(&issuers[order[i]], three[order[i]]);
        assert_ok(add(&one, &issuers[order[i]], NULL, &peer, &err));
        assert_string_equal(peer.name, three[order[i]]);
        assert_int_equal(peer.serial, 1);
    }
    for (int starts = 0; starts < 2; starts++) {
        assert_peers(&one, three);
        for (unsigned i = 0; i < 3; i++) {
            ent_buf bytes = {0};
            ent_card_opened opened;
            assert_ok(ent_peer_get(one.node, ent_text_of(three[i]), &peer, &err));
            assert_string_equal(peer.url, "https://192.0.2.1:9443");
            assert_ok(ent_peer_by_pin(one.node, &issuers[i].card.tls, &peer, &err));
            assert_string_equal(peer.name, three[i]);
            assert_ok(ent_peer_card(one.node, ent_text_of(three[i]), &bytes, &opened, &err));
            assert_true(ent_bytes_equal(ent_buf_bytes(&bytes), ent_buf_bytes(&issuers[i].bytes)));
            ent_card_release(&opened);
            ent_buf_release(&bytes);
        }
        alone_restart(&one);
    }
    ent_hash stranger = {{1}};
    assert_fails(ent_peer_by_pin(one.node, &stranger, &peer, &err), ENT_PEER_UNKNOWN);
    assert_fails(ent_peer_get(one.node, ENT_TEXT("no.example"), &peer, &err), ENT_ABSENT);
    for (unsigned i = 0; i < 3; i++)
        ent_buf_release(&issuers[i].bytes);
    alone_release(&one);
}

static void test_peer__another_fingerprint_than_heard_is_refused(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    static const char *const south[] = {"south.example", NULL};
    alone one;
    issuer from;
    ent_peer peer;
    ent_err err = {0};
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    alone_make(&one);
    issuer_make(&from, "south.example");
    assert_fails(add(&one, &from, "0000 0000 0000 0000 0000 0000 0000 0000 0000 0000", &peer, &err), ENT_PEER_MISMATCH);
    assert_fails(add(&one, &from, "", &peer, &err), ENT_PEER_MISMATCH);
    assert_peers(&one, none);
    assert_ok(ent_card_fingerprint(&from.card, fingerprint, &err));
    assert_ok(add(&one, &from, fingerprint, &peer, &err));
    assert_peers(&one, south);
    ent_buf_release(&from.bytes);
    alone_release(&one);
}

static void test_peer__card_that_is_none_or_our_own_is_refused(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    alone one;
    issuer from;
    ent_peer peer;
    ent_err err = {0};
    alone_make(&one);
    issuer_make(&from, "south.example");
    assert_fails(ent_peer_add(one.node, ent_text_bytes(ENT_TEXT("no card")), NULL, &peer, &err), ENT_PEER_MALFORMED);
    assert_fails(ent_peer_add(one.node, ent_buf_bytes(&ent_node_card(one.node)->bytes), NULL, &peer, &err),
                 ENT_REFUSED);
    from.bytes.data[from.bytes.size / 2] ^= 1;
    assert_int_not_equal(add(&one, &from, NULL, &peer, &err).code, ENT_OK);
    assert_peers(&one, none);
    ent_buf_release(&from.bytes);
    alone_release(&one);
}

static void test_peer__next_card_is_taken_and_no_other(void **state)
{
    (void)state;
    alone one;
    issuer from;
    issuer impostor;
    ent_peer peer;
    ent_err err = {0};
    alone_make(&one);
    issuer_make(&from, "south.example");
    assert_ok(add(&one, &from, NULL, &peer, &err));
    assert_ok(add(&one, &from, NULL, &peer, &err)); /* the same again changes nothing */
    assert_int_equal(peer.serial, 1);
    issuer_make(&impostor, "south.example"); /* the name alone is nothing */
    assert_fails(add(&one, &impostor, NULL, &peer, &err), ENT_PEER_MISMATCH);
    issue_next(&impostor, "https://192.0.2.66:1");
    assert_fails(add(&one, &impostor, NULL, &peer, &err), ENT_PEER_MISMATCH);
    ent_buf old = from.bytes;
    from.bytes = (ent_buf){0};
    ent_buf_put(&from.bytes, ent_buf_bytes(&old));
    issue_next(&from, "https://192.0.2.2:9443");
    assert_ok(add(&one, &from, NULL, &peer, &err));
    assert_int_equal(peer.serial, 2);
    for (int starts = 0; starts < 2; starts++) {
        assert_ok(ent_peer_get(one.node, ENT_TEXT("south.example"), &peer, &err));
        assert_string_equal(peer.url, "https://192.0.2.2:9443");
        assert_int_equal(peer.serial, 2);
        alone_restart(&one);
    }
    assert_fails(ent_peer_add(one.node, ent_buf_bytes(&old), NULL, &peer, &err), ENT_PEER_MISMATCH); /* not back */
    ent_buf_release(&old);
    ent_buf_release(&from.bytes);
    ent_buf_release(&impostor.bytes);
    alone_release(&one);
}

static void test_peer__removed_is_forgotten_unless_a_channel_is_shared(void **state)
{
    (void)state;
    static const char *const south[] = {"south.example", NULL};
    alone one;
    issuer east;
    issuer from;
    ent_peer peer;
    ent_channel *channel = NULL;
    ent_err err = {0};
    ent_text with[] = {ENT_TEXT("south.example")};
    ent_opening opening = {.with = with, .with_count = 1, .terms = ent_text_bytes(ENT_TEXT("{}"))};
    alone_make(&one);
    issuer_make(&from, "south.example");
    issuer_make(&east, "east.example");
    assert_ok(add(&one, &from, NULL, &peer, &err));
    assert_ok(add(&one, &east, NULL, &peer, &err));
    assert_ok(ent_channel_open(one.node, &opening, &channel, &err));
    assert_fails(ent_peer_remove(one.node, ENT_TEXT("south.example"), &err), ENT_REFUSED);
    assert_ok(ent_peer_remove(one.node, ENT_TEXT("east.example"), &err));
    assert_fails(ent_peer_remove(one.node, ENT_TEXT("east.example"), &err), ENT_ABSENT);
    assert_peers(&one, south);
    alone_restart(&one);
    assert_peers(&one, south);
    assert_ok(add(&one, &east, NULL, &peer, &err)); /* and may come again */
    ent_buf_release(&from.bytes);
    ent_buf_release(&east.bytes);
    alone_release(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer__added_is_found_by_name_and_pin_sorted_also_after_a_restart),
        cmocka_unit_test(test_peer__another_fingerprint_than_heard_is_refused),
        cmocka_unit_test(test_peer__card_that_is_none_or_our_own_is_refused),
        cmocka_unit_test(test_peer__next_card_is_taken_and_no_other),
        cmocka_unit_test(test_peer__removed_is_forgotten_unless_a_channel_is_shared),
    };
    return cmocka_run_group_tests_name("node-peer", tests, NULL, NULL);
}
