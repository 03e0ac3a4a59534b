/* Our card, and that the keeper has its keys. */
#include "node/rotate.h"

#include "base/file.h"
#include "node/channel.h"
#include "node/peer.h"
#include "node/errands.h"
#include "node/key_lost.h"
#include "node/report.h"

#include <stdio.h>

const ent_own_card *ent_node_card(const ent_node *node)
{
    return atomic_load(&node->own);
}

static void free_own(ent_own_card *own)
{
    ent_card_release(&own->card);
    ent_buf_release(&own->bytes);
    ent_free(own);
}

void ent_own_card_free(ent_node *node)
{
    ent_own_card *own = atomic_load(&node->own);
    while (own != NULL) {
        ent_own_card *before = own->before;
        free_own(own);
        own = before;
    }
    atomic_store(&node->own, NULL);
}

ent_rc ent_own_card_have(ent_node *node, const ent_card *card, ent_key_role role, bool *ret_lost, ent_err *err)
{
    uint8_t value[32];
    char name[ENT_KEY_NAME_SIZE];
    uint64_t serial = ent_card_key_serial(card, role, card->former_count);
    ent_rc rc = ent_keeper_key(node->keeper, role, serial, value, err);
    *ret_lost = rc.code == ENT_ABSENT;
    if (*ret_lost)
        return ENT_DONE;
    ENT_TRY(rc);
    ent_key_file_name(role, serial, name);
    if (memcmp(value, ent_card_key(card, role), sizeof value) != 0)
        return ent_fail(
            err, ENT_PEER_MISMATCH, "design 2, Card",
            "card %llu does not name the key in %s/%s: put the right file back. If there is none, move this "
            "one away and start the node, and `entente key revoke %s --root-dir DIR` replaces the key",
            (unsigned long long)card->serial, node->paths.keys, name, ent_key_role_word(role));
    return ENT_DONE;
}

/* What a key of before signed can be signed again, and what was sealed to it be opened; without it the rest goes on. */
static void have_former(ent_node *node, ent_own_card *own)
{
    const ent_card *card = &own->card.card;
    for (size_t i = 0; i < card->former_count; i++) {
        ent_err err = {0};
        uint8_t value[32];
        if (card->former[i].role == ENT_KEY_ROLE_TLS)
            continue;
        uint64_t serial = ent_card_key_serial(card, card->former[i].role, i);
        own->former_lost[i] = ent_keeper_key(node->keeper, card->former[i].role, serial, value, &err).code != ENT_OK;
        if (!own->former_lost[i])
            continue;
        ent_report report = ent_report_begin("key.missing");
        ent_report_string(&report, "key", ent_key_role_word(card->former[i].role));
        ent_report_number(&report, "serial", serial);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
}

ent_rc ent_own_card_use(ent_node *node, ent_bytes bytes, ent_err *err)
{
    ent_own_card *own = ent_alloc(sizeof *own);
    if (own == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_buf_put(&own->bytes, bytes);
    ent_rc rc = ent_buf_check(&own->bytes, err);
    if (rc.code == ENT_OK)
        rc = ent_card_parse(ent_buf_bytes(&own->bytes), &own->card, err);
    if (rc.code == ENT_OK && !ent_text_is(own->card.card.name, node->config.name))
        rc = ent_fail(err, ENT_PEER_MISMATCH, "design 2, Card", "the card is of %.*s, and this is %s",
                      ENT_TEXT_ARG(own->card.card.name), node->config.name);
    for (ent_key_role role = ENT_KEY_ROLE_LOG; rc.code == ENT_OK && role < ENT_KEY_ROLE_TLS; role++)
        rc = ent_own_card_have(node, &own->card.card, role, &own->lost[role], err);
    if (rc.code != ENT_OK) {
        free_own(own);
        return rc;
    }
    have_former(node, own);
    own->before = atomic_load(&node->own);
    atomic_store(&node->own, own);
    ent_key_report_lost(node);
    return ENT_DONE;
}

ent_rc ent_own_card_load(ent_node *node, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_TRY(ent_file_read(node->paths.card, ENT_CARD_MAX_BYTES, &bytes, err));
    return ent_fail_in(err, ent_own_card_use(node, ent_buf_bytes(&bytes), err), "%s", node->paths.card);
}

/* --- the certificate --- */

static ent_rc has_all(ent_node *node, ent_channel *channel, bool *ret, ent_err *err)
{
    ent_store_log own;
    ent_channel_log(channel, channel->self, &own);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_delivery delivery;
        ent_peer peer;
        bool reached = m != channel->self &&
                       ent_peer_get(node, channel->genesis.members[m].name, &peer, NULL).code == ENT_OK &&
                       peer.url[0] != 0;
        if (!reached)
            continue;
        ENT_TRY(node->store->engine->delivery_get(node->store, own.number, m, &delivery, err));
        *ret = *ret && delivery.confirmed >= own.tree.size;
    }
    return ENT_DONE;
}

ent_rc ent_own_card_known(ent_node *node, bool *ret, ent_err *err)
{
    ent_channel *channel;
    *ret = true;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_channel_state state = ent_channel_state_now(channel);
        if (state == ENT_CHANNEL_OPEN || state == ENT_CHANNEL_OPENING)
            ENT_TRY(has_all(node, channel, ret, err));
    }
    return ENT_DONE;
}

static ent_rc read_certificate(ent_node *node, uint64_t serial, ent_buf *ret, ent_err *err)
{
    if (node->errands != NULL)
        return ent_errands_certificate(node->errands, serial, ret, err);
    ENT_CLEANUP(ent_free_pointer) char *path = NULL;
    if (serial <= 1)
        return ent_file_read(node->paths.certificate, 65536, ret, err);
    char name[48];
    (void)snprintf(name, sizeof name, "../tls.%llu.crt", (unsigned long long)serial);
    path = ent_file_join(node->paths.keys, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ent_file_read(path, 65536, ret, err);
}

/* Which former key came right before the card's; false when there is none that may be used. */
static bool tls_before(const ent_card *card, size_t *ret)
{
    for (size_t i = card->former_count; i > 0; i--) {
        if (card->former[i - 1].role == ENT_KEY_ROLE_TLS) {
            *ret = i - 1;
            return !card->former[i - 1].revoked;
        }
    }
    return false;
}

static bool is_revoked_tls(const ent_card *card, uint64_t serial)
{
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role == ENT_KEY_ROLE_TLS && card->former[i].revoked &&
            ent_card_key_serial(card, ENT_KEY_ROLE_TLS, i) == serial)
            return true;
    }
    return false;
}

ent_own_tls_state ent_own_tls_now(ent_node *node)
{
    const ent_card *card = &ent_node_card(node)->card.card;
    uint64_t newest = ent_card_key_serial(card, ENT_KEY_ROLE_TLS, card->former_count);
    bool known = false;
    if (node->tls_serial == 0)
        return node->tls_lost && newest > node->tls_lost_serial ? ENT_OWN_TLS_NONE_YET : ENT_OWN_TLS_GOOD;
    if (is_revoked_tls(card, node->tls_serial))
        return ENT_OWN_TLS_REVOKED;
    if (node->tls_serial == newest || ent_own_card_known(node, &known, NULL).code != ENT_OK || !known)
        return ENT_OWN_TLS_GOOD;
    return ENT_OWN_TLS_NEW_WAITS;
}

/* A certificate that is lost has the node go without: pouches can still go by hand. */
ent_rc ent_own_tls_read(ent_node *node, ent_buf *ret_key, ent_buf *ret_certificate, ent_err *err)
{
    const ent_card *card = &ent_node_card(node)->card.card;
    const uint8_t *wanted = card->tls.bytes;
    uint64_t serial = ent_card_key_serial(card, ENT_KEY_ROLE_TLS, card->former_count);
    size_t before = 0;
    bool known = true;
    ent_hash pin;
    if (tls_before(card, &before)) {
        ENT_TRY(ent_own_card_known(node, &known, err));
        if (!known) {
            serial = ent_card_key_serial(card, ENT_KEY_ROLE_TLS, before);
            wanted = card->former[before].value;
        }
    }
    ENT_TRY(ent_keeper_tls_key(node->keeper, serial, ret_key, err));
    ENT_TRY(read_certificate(node, serial, ret_certificate, err));
    ENT_TRY(ent_tls_pin(ent_buf_bytes(ret_certificate), &pin, err));
    if (memcmp(pin.bytes, wanted, sizeof pin.bytes) != 0)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Card",
                        "the certificate of card %llu in this folder is not the one pinned in %s",
                        (unsigned long long)serial, node->paths.card);
    node->tls_serial = serial;
    return ENT_DONE;
}
