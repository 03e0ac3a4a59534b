#include "node/key_lost.h"

#include "node/channel.h"
#include "node/keys.h"
#include "node/report.h"
#include "node/rotate.h"

#include <stdio.h>

static const char rule[] = "design 2, Rotation";

bool ent_key_is_lost(const ent_node *node, ent_key_role role)
{
    const ent_own_card *own = ent_node_card(node);
    if (role == ENT_KEY_ROLE_TLS)
        return node->tls_lost && own != NULL &&
               ent_card_key_serial(&own->card.card, role, own->card.card.former_count) == node->tls_lost_serial;
    return own != NULL && own->lost[role];
}

bool ent_key_value_is_lost(const ent_node *node, ent_key_role role, const uint8_t *value)
{
    const ent_own_card *own = ent_node_card(node);
    if (own == NULL)
        return false;
    const ent_card *card = &own->card.card;
    if (memcmp(ent_card_key(card, role), value, 32) == 0)
        return own->lost[role];
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role == role && memcmp(card->former[i].value, value, 32) == 0)
            return own->former_lost[i];
    }
    return false;
}

bool ent_key_lost_for_head(const ent_node *node, const ent_channel *channel, uint64_t size)
{
    const ent_log_key *key = ent_keys_log(ent_channel_keys_next(channel, channel->self), size);
    return ent_key_value_is_lost(node, ENT_KEY_ROLE_LOG, key->key.bytes);
}

void ent_key_look(const ent_node *node, ent_channel *channel)
{
    const ent_keys *keys = ent_channel_keys(channel, channel->self);
    const ent_public_key *newest = &keys->log[keys->log_count - 1].key;
    atomic_store(&channel->keyless, ent_key_value_is_lost(node, ENT_KEY_ROLE_LOG, newest->bytes));
}

/* --- words --- */

static const char *const held_up[ENT_KEY_ROLE_COUNT] = {
    [ENT_KEY_ROLE_LOG] =
        "nothing of ours is signed or sent; what is said waits, and is contested if the key is revoked",
    [ENT_KEY_ROLE_RECEIPT] = "nothing that comes is receipted; it is kept and read, and sent again by its writers",
    [ENT_KEY_ROLE_AGE] = "nothing sealed to us can be opened, so nothing can be answered or said; it is receipted",
    [ENT_KEY_ROLE_TLS] = "no peer is reached or let in; pouches go by hand",
};

static void file_of(const ent_node *node, ent_key_role role, ent_buf *ret)
{
    char name[ENT_KEY_NAME_SIZE];
    const ent_card *card = &ent_node_card(node)->card.card;
    ent_key_file_name(role, ent_card_key_serial(card, role, card->former_count), name);
    ent_buf_put_format(ret, "%s/%s", node->paths.keys, name);
}

void ent_key_lost_text(const ent_node *node, ent_key_role role, char ret[ENT_KEY_LOST_TEXT_SIZE])
{
    ENT_CLEANUP(ent_buf_release) ent_buf file = {0};
    const char *word = ent_key_role_word(role);
    file_of(node, role, &file);
    (void)snprintf(
        ret, ENT_KEY_LOST_TEXT_SIZE,
        "%.200s%s is missing: %s. Put a copy of it back and restart the node; if there is none, `entente key "
        "revoke %s --root-dir DIR` replaces it%s",
        ent_buf_check(&file, NULL).code == ENT_OK ? ent_buf_string(&file) : word,
        role == ENT_KEY_ROLE_TLS ? " or its certificate" : "", held_up[role], word,
        role == ENT_KEY_ROLE_TLS ? ", and then the node is restarted" : "");
}

ent_rc ent_key_fail_lost(const ent_node *node, ent_key_role role, ent_code code, ent_err *err)
{
    char text[ENT_KEY_LOST_TEXT_SIZE];
    ent_key_lost_text(node, role, text);
    return ent_fail(err, code, rule, "%s", text);
}

ent_rc ent_key_all_there(const ent_node *node, ent_err *err)
{
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_TLS; role++) {
        if (ent_key_is_lost(node, role))
            return ent_key_fail_lost(node, role, ENT_REFUSED_KEEPER, err);
    }
    return ENT_DONE;
}

ent_rc ent_key_fail_receipt(const ent_node *node, ent_err *err)
{
    return ent_fail(err, ENT_REFUSED_KEEPER, rule,
                    "%s has lost its receipt key: what comes is kept, and receipted once the key is replaced (`entente "
                    "status` there says how)",
                    node->config.name);
}

void ent_key_report_lost(const ent_node *node)
{
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        char text[ENT_KEY_LOST_TEXT_SIZE];
        if (!ent_key_is_lost(node, role))
            continue;
        ent_key_lost_text(node, role, text);
        ent_report report = ent_report_begin("key.lost");
        ent_report_string(&report, "key", ent_key_role_word(role));
        ent_report_string(&report, "text", text);
        ent_report_end(&report);
    }
}

void ent_key_put_lost(const ent_node *node, ent_json_writer *writer)
{
    ent_json_key(writer, "keys_missing");
    ent_json_array_begin(writer);
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        ENT_CLEANUP(ent_buf_release) ent_buf file = {0};
        char text[ENT_KEY_LOST_TEXT_SIZE];
        if (!ent_key_is_lost(node, role))
            continue;
        file_of(node, role, &file);
        ent_key_lost_text(node, role, text);
        ent_json_object_begin(writer);
        ent_json_member_string(writer, "key", ent_key_role_word(role));
        ent_json_member_text(writer, "file", ent_buf_text(&file));
        ent_json_member_string(writer, "text", text);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}
