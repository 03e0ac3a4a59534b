/* Our card, and that the keeper has its keys. */
#include "node/rotate.h"

#include "base/file.h"
#include "node/report.h"

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

static ent_rc have_key(ent_node *node, const ent_card *card, ent_key_role role, ent_err *err)
{
    uint8_t value[32];
    uint64_t serial = ent_card_key_serial(card, role, card->former_count);
    ENT_TRY(ent_keeper_key(node->keeper, role, serial, value, err));
    if (memcmp(value, ent_card_key(card, role), sizeof value) != 0)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Card", "card %llu does not name the %s key in %s",
                        (unsigned long long)card->serial, ent_key_role_word(role), node->paths.keys);
    return ENT_DONE;
}

/* What a key of before signed can be signed again, and what was sealed to it be opened; without it the rest goes on. */
static void have_former(ent_node *node, const ent_card *card)
{
    for (size_t i = 0; i < card->former_count; i++) {
        ent_err err = {0};
        uint8_t value[32];
        if (card->former[i].role == ENT_KEY_ROLE_TLS)
            continue;
        uint64_t serial = ent_card_key_serial(card, card->former[i].role, i);
        if (ent_keeper_key(node->keeper, card->former[i].role, serial, value, &err).code == ENT_OK)
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
        rc = have_key(node, &own->card.card, role, err);
    if (rc.code != ENT_OK) {
        free_own(own);
        return rc;
    }
    have_former(node, &own->card.card);
    own->before = atomic_load(&node->own);
    atomic_store(&node->own, own);
    return ENT_DONE;
}

ent_rc ent_own_card_load(ent_node *node, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_TRY(ent_file_read(node->paths.card, ENT_CARD_MAX_BYTES, &bytes, err));
    return ent_fail_in(err, ent_own_card_use(node, ent_buf_bytes(&bytes), err), "%s", node->paths.card);
}
