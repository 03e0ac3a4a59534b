#include "node/peer.h"

#include "base/clock.h"
#include "node/channel.h"
#include "node/keys.h"
#include "node/report.h"
#include "node/sequencer.h"

static int find(const ent_node *node, ent_text name, size_t *ret_at)
{
    size_t low = 0;
    size_t high = node->peer_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ent_text_compare(name, ent_text_of(node->peer_rows[middle].name));
        if (order == 0) {
            *ret_at = middle;
            return 1;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *ret_at = low;
    return 0;
}

static ent_rc remember(ent_node *node, const ent_peer *peer, ent_err *err)
{
    size_t at = 0;
    ent_rc rc = ENT_DONE;
    (void)pthread_rwlock_wrlock(&node->peers_lock);
    if (find(node, ent_text_of(peer->name), &at)) {
        node->peer_rows[at] = *peer;
    } else {
        if (node->peer_count == node->peer_capacity) {
            size_t capacity = node->peer_capacity == 0 ? 16 : node->peer_capacity * 2;
            ent_peer *rows = ent_realloc(node->peer_rows, capacity * sizeof *rows);
            if (rows != NULL) {
                node->peer_rows = rows;
                node->peer_capacity = capacity;
            } else {
                rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory");
            }
        }
        if (rc.code == ENT_OK) {
            memmove(node->peer_rows + at + 1, node->peer_rows + at, (node->peer_count - at) * sizeof *node->peer_rows);
            node->peer_rows[at] = *peer;
            node->peer_count++;
        }
    }
    (void)pthread_rwlock_unlock(&node->peers_lock);
    return rc;
}

static void forget(ent_node *node, ent_text name)
{
    size_t at = 0;
    (void)pthread_rwlock_wrlock(&node->peers_lock);
    if (find(node, name, &at)) {
        node->peer_count--;
        memmove(node->peer_rows + at, node->peer_rows + at + 1, (node->peer_count - at) * sizeof *node->peer_rows);
    }
    (void)pthread_rwlock_unlock(&node->peers_lock);
}

static ent_rc row_of(const ent_card *card, int64_t added_unix_s, ent_peer *ret, ent_err *err)
{
    ent_peer peer = {.pin = card->tls, .serial = card->serial, .added_unix_s = added_unix_s};
    memcpy(peer.name, card->name.data, card->name.size);
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role != ENT_KEY_ROLE_TLS)
            continue;
        memcpy(peer.pin_before.bytes, card->former[i].value, sizeof peer.pin_before.bytes);
        peer.has_pin_before = !card->former[i].revoked;
    }
    if (card->url.size >= sizeof peer.url)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Card", "the card's url is longer than %zu bytes",
                        sizeof peer.url - 1);
    if (card->url.size > 0 && !ent_text_starts(card->url, ENT_TEXT("https://")))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Card", "the card's url does not begin with https://");
    memcpy(peer.url, card->url.data == NULL ? "" : card->url.data, card->url.size);
    *ret = peer;
    return ENT_DONE;
}

static ent_rc load_row(void *context, const ent_store_peer *stored, ent_bytes bytes, ent_err *err)
{
    ent_node *node = context;
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ent_peer peer;
    ENT_TRY(ent_fail_in(err, ent_card_parse(bytes, &card, err), "the stored card of %s", stored->name));
    ENT_TRY(row_of(&card.card, stored->added_unix_s, &peer, err));
    return remember(node, &peer, err);
}

ent_rc ent_peers_load(ent_node *node, ent_err *err)
{
    return node->store->engine->peer_walk(node->store, load_row, node, err);
}

void ent_peers_free(ent_node *node)
{
    ent_free(node->peer_rows);
    node->peer_rows = NULL;
    node->peer_count = 0;
}

ent_rc ent_peer_get(ent_node *node, ent_text name, ent_peer *ret, ent_err *err)
{
    size_t at = 0;
    (void)pthread_rwlock_rdlock(&node->peers_lock);
    bool found = find(node, name, &at) != 0;
    if (found)
        *ret = node->peer_rows[at];
    (void)pthread_rwlock_unlock(&node->peers_lock);
    return found ? ENT_DONE
                 : ent_fail(err, ENT_ABSENT, NULL,
                            "no peer %.*s here; `entente peer add CARD` adds one, `entente peer list` shows all",
                            ENT_TEXT_ARG(name));
}

bool ent_peer_at(ent_node *node, size_t at, ent_peer *ret)
{
    (void)pthread_rwlock_rdlock(&node->peers_lock);
    bool found = at < node->peer_count;
    if (found)
        *ret = node->peer_rows[at];
    (void)pthread_rwlock_unlock(&node->peers_lock);
    return found;
}

ent_rc ent_peer_by_pin(ent_node *node, const ent_hash *pin, ent_peer *ret, ent_err *err)
{
    bool found = false;
    (void)pthread_rwlock_rdlock(&node->peers_lock);
    for (size_t i = 0; i < node->peer_count && !found; i++) {
        const ent_peer *row = &node->peer_rows[i];
        found = ent_hash_equal(&row->pin, pin) || (row->has_pin_before && ent_hash_equal(&row->pin_before, pin));
        if (found)
            *ret = node->peer_rows[i];
    }
    (void)pthread_rwlock_unlock(&node->peers_lock);
    return found ? ENT_DONE
                 : ent_fail(err, ENT_PEER_UNKNOWN, "design 3",
                            "the certificate you presented is not pinned in any card this party holds: exchange cards "
                            "first (out of band)");
}

ent_rc ent_peer_card(ent_node *node, ent_text name, ent_buf *ret_bytes, ent_card_opened *ret, ent_err *err)
{
    ent_store_peer peer;
    ENT_TRY(node->store->engine->peer_get(node->store, name, &peer, ret_bytes, err));
    return ent_card_parse(ent_buf_bytes(ret_bytes), ret, err);
}

/* --- newer cards that come in pouches --- */

ent_rc ent_peer_renew(ent_node *node, ent_bytes bytes, const ent_card_opened *card, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened current = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf current_bytes = {0};
    ent_peer unused;
    ent_rc rc = ent_peer_card(node, card->card.name, &current_bytes, &current, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE; /* a member that we have no dealings with */
    ENT_TRY(rc);
    if (current.card.serial >= card->card.serial || ent_card_succeeds(&current, card, NULL).code != ENT_OK ||
        row_of(&card->card, 0, &unused, NULL).code != ENT_OK)
        return ENT_DONE;
    return node->store->engine->peer_put(node->store, card->card.name, card->card.serial, bytes, ent_clock_unix_s(),
                                         err);
}

static ent_rc remember_stored(ent_node *node, ent_text name, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ent_store_peer stored;
    ent_peer peer;
    ENT_TRY(node->store->engine->peer_get(node->store, name, &stored, &bytes, err));
    ENT_TRY(ent_card_parse(ent_buf_bytes(&bytes), &card, err));
    ENT_TRY(row_of(&card.card, stored.added_unix_s, &peer, err));
    return remember(node, &peer, err);
}

void ent_peers_renewed(ent_node *node, const ent_pouch *pouch)
{
    for (size_t i = 0; i < pouch->card_count; i++) {
        ent_err err = {0};
        ent_rc rc = remember_stored(node, pouch->cards[i].party, &err);
        if (rc.code == ENT_OK || rc.code == ENT_ABSENT)
            continue;
        ent_report report = ent_report_begin("peer.not-renewed"); /* until the next start the card of before serves */
        ent_report_text(&report, "peer", pouch->cards[i].party);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
}

/* --- adding and removing --- */

typedef struct {
    ent_job job;
    ent_bytes bytes;
    const ent_card_opened *card;
    ent_text remove;
} peer_job;

static ent_rc apply_add(ent_job *job, ent_node *node, ent_err *err)
{
    const peer_job *work = (const peer_job *)job;
    const ent_card *card = &work->card->card;
    ENT_CLEANUP(ent_card_release) ent_card_opened current = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf current_bytes = {0};
    ent_rc rc = ent_peer_card(node, card->name, &current_bytes, &current, err);
    if (rc.code == ENT_OK && !ent_bytes_equal(ent_buf_bytes(&current_bytes), work->bytes))
        rc = ent_card_succeeds(&current, work->card, err);
    if (rc.code != ENT_OK && rc.code != ENT_ABSENT)
        return rc;
    ENT_TRY(node->store->engine->peer_put(node->store, card->name, card->serial, work->bytes, ent_clock_unix_s(), err));
    return ent_keys_learn(node, work->bytes, err);
}

static ent_rc check_fingerprint(const ent_card *card, const ent_text *fingerprint, ent_err *err)
{
    char real[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ENT_TRY(ent_card_fingerprint(card, real, err));
    if (fingerprint != NULL && !ent_fingerprint_matches(real, *fingerprint))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Card",
                        "the fingerprint of this card is %s, not the one you were told: do not use this card, ask %.*s "
                        "again by another way",
                        real, ENT_TEXT_ARG(card->name));
    return ENT_DONE;
}

ent_rc ent_peer_add(ent_node *node, ent_bytes bytes, const ent_text *fingerprint, ent_peer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ent_peer peer;
    ENT_TRY(ent_card_parse(bytes, &card, err));
    if (ent_text_is(card.card.name, node->config.name))
        return ent_fail(err, ENT_REFUSED, NULL, "this is our own card; give it to peers, and add theirs here");
    ENT_TRY(check_fingerprint(&card.card, fingerprint, err));
    ENT_TRY(row_of(&card.card, ent_clock_unix_s(), &peer, err));
    peer_job work = {.job = {.apply = apply_add}, .bytes = bytes, .card = &card};
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    ENT_CLEANUP(ent_buf_release) ent_buf stored_card = {0};
    ent_store_peer stored;
    ENT_TRY(node->store->engine->peer_get(node->store, card.card.name, &stored, &stored_card, err));
    peer.added_unix_s = stored.added_unix_s; /* as it will be after a restart: a newer card keeps the first's time */
    ENT_TRY(remember(node, &peer, err));
    *ret = peer;
    return ENT_DONE;
}

static ent_rc apply_remove(ent_job *job, ent_node *node, ent_err *err)
{
    const peer_job *work = (const peer_job *)job;
    return node->store->engine->peer_remove(node->store, work->remove, err);
}

ent_rc ent_peer_remove(ent_node *node, ent_text name, ent_err *err)
{
    ent_peer peer;
    ent_channel *channel;
    ENT_TRY(ent_peer_get(node, name, &peer, err));
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_genesis_member(&channel->genesis, name) >= 0 && ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED)
            return ent_fail(err, ENT_REFUSED, NULL,
                            "%.*s is a member of channel %.8s: a peer that shares a channel stays", ENT_TEXT_ARG(name),
                            channel->id_text);
    }
    peer_job work = {.job = {.apply = apply_remove}, .remove = name};
    ENT_TRY(ent_sequencer_run(node, &work.job, err));
    forget(node, name);
    return ENT_DONE;
}
