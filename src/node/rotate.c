#include "node/rotate.h"

#include "base/file.h"
#include "base/json.h"
#include "log/tree.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/errands.h"
#include "node/key_lost.h"
#include "node/opener.h"
#include "node/report.h"
#include "node/say.h"
#include "node/sequencer.h"

#include <pthread.h>
#include <unistd.h>

static const char rule[] = "design 2, Rotation";

/* What is installed. */
typedef struct {
    ent_json *json;
    ent_text card;
    ent_card_opened opened;
    ent_text reason; /* may be empty */
} rotation;

static void release(rotation *work)
{
    ent_card_release(&work->opened);
    ent_json_free(work->json);
}

static ent_rc read_bundle(ent_bytes bytes, rotation *ret, ent_err *err)
{
    ENT_TRY(ent_json_parse(bytes, &ret->json, err));
    ent_json_value root = ent_json_root(ret->json);
    ret->card = ent_json_string(ent_json_get(root, "card"));
    ret->reason = ent_json_string(ent_json_get(root, "reason"));
    if (ret->card.size == 0 || ent_json_type_of(ent_json_get(root, "cutoffs")) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_USAGE, rule, "a rotation is {\"card\": text, \"cutoffs\": {channel: text}}");
    return ent_card_parse(ent_text_bytes(ret->card), &ret->opened, err);
}

static ent_text cutoffs_of(const rotation *work, const ent_channel *channel)
{
    return ent_json_string(ent_json_get(ent_json_get(ent_json_root(work->json), "cutoffs"), channel->id_text));
}

/* --- may it be used --- */

static ent_rc check_root_at(ent_node *node, ent_channel *channel, const ent_cutoff *cutoff, ent_err *err)
{
    ent_store_log log;
    ent_hash root;
    ent_channel_log(channel, channel->self, &log);
    ent_store_tiles tiles = {node->store, log.number};
    ent_tile_reader reader = ent_store_tile_reader(&tiles);
    if (cutoff->head.size > log.tree.size)
        return ent_fail(err, ENT_REFUSED, rule, "the cutoff in channel %.8s is at %llu entries, the log has %llu",
                        channel->id_text, (unsigned long long)cutoff->head.size, (unsigned long long)log.tree.size);
    if (cutoff->head.size == 0)
        ent_empty_root(&root);
    else
        ENT_TRY(ent_tree_root_at(cutoff->head.size, &reader, &root, err));
    if (!ent_hash_equal(&root, &cutoff->head.root))
        return ent_fail(err, ENT_REFUSED, rule,
                        "the cutoff in channel %.8s gives another root for %llu entries than our log has",
                        channel->id_text, (unsigned long long)cutoff->head.size);
    return ENT_DONE;
}

/* What we will know of our own keys in a channel. */
static ent_rc keys_in(const rotation *work, const ent_channel *channel, uint64_t announced, ent_known_keys **ret,
                      ent_err *err)
{
    return ent_fail_in(err,
                       ent_known_keys_make(channel, channel->self, ent_text_bytes(work->card),
                                           ent_text_bytes(cutoffs_of(work, channel)), announced, ret, err),
                       "channel %.8s", channel->id_text);
}

/* The cutoffs in force stay as they are: heads were signed by them. Another rotation may have come into use since this
 * one was prepared. */
static bool keeps_cutoffs(const ent_keys *held, const ent_keys *keys)
{
    size_t before = held->cutoffs == NULL ? 0 : held->cutoffs->count;
    if (before > (keys->cutoffs == NULL ? 0 : keys->cutoffs->count))
        return false;
    for (size_t i = 0; i < before; i++) {
        const ent_cutoff *old = &held->cutoffs->rows[i];
        const ent_cutoff *new = &keys->cutoffs->rows[i];
        if (old->head.size != new->head.size || !ent_hash_equal(&old->head.root, &new->head.root) ||
            old->serial != new->serial || old->revoked != new->revoked)
            return false;
    }
    return true;
}

static ent_rc check_channel(ent_node *node, ent_channel *channel, const rotation *work, ent_err *err)
{
    ent_known_keys *known = NULL;
    const ent_keys *held = ent_channel_keys(channel, channel->self);
    ENT_TRY(keys_in(work, channel, 0, &known, err));
    const ent_keys *keys = &known->keys;
    ent_rc rc = ENT_DONE;
    if (keys->log_count < held->log_count || !keeps_cutoffs(held, keys))
        rc = ent_fail(err, ENT_REFUSED, rule,
                      "the cutoffs of channel %.8s lack one that is in force: prepare the rotation again",
                      channel->id_text);
    for (size_t i = held->log_count - 1; rc.code == ENT_OK && keys->cutoffs != NULL && i < keys->cutoffs->count; i++)
        rc = check_root_at(node, channel, &keys->cutoffs->rows[i], err);
    if (rc.code == ENT_OK && !ent_public_key_equal(&keys->log[keys->log_count - 1].key, &work->opened.card.log))
        rc = ent_fail(err, ENT_REFUSED, rule,
                      "channel %.8s has no cutoff to the log key of card %llu; it may have been opened meanwhile: "
                      "prepare the rotation again",
                      channel->id_text, (unsigned long long)work->opened.card.serial);
    ent_known_keys_free(known);
    return rc;
}

static bool is_changed(const ent_own_card *own, const ent_card *card, ent_key_role role)
{
    return memcmp(ent_card_key(card, role), ent_card_key(&own->card.card, role), 32) != 0;
}

/* Nobody knows in whose hands a lost key is, and what was said since it was lost is not signed by it. */
static ent_rc check_lost(const ent_node *node, const ent_card *card, ent_err *err)
{
    const ent_own_card *own = ent_node_card(node);
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        if (!ent_key_is_lost(node, role) || !is_changed(own, card, role))
            continue;
        for (size_t i = 0; i < card->former_count; i++) {
            const ent_card_former *row = &card->former[i];
            if (row->role == role && !row->revoked && row->last == own->card.card.serial)
                return ent_fail(err, ENT_REFUSED, rule,
                                "the %s key is lost, so it is not replaced but revoked: `entente key revoke %s "
                                "--root-dir DIR`",
                                ent_key_role_word(role), ent_key_role_word(role));
        }
    }
    return ENT_DONE;
}

static ent_rc check(ent_node *node, const rotation *work, ent_err *err)
{
    ent_channel *channel;
    const ent_own_card *own = ent_node_card(node);
    bool unfinished = ent_bytes_equal(ent_text_bytes(work->card), ent_buf_bytes(&own->bytes));
    if (!unfinished && ent_text_equal(work->opened.card.name, own->card.card.name) &&
        work->opened.card.serial <= own->card.card.serial)
        return ent_fail(err, ENT_REFUSED, rule,
                        "this was made for card %llu, and card %llu is in use by now: prepare it again",
                        (unsigned long long)work->opened.card.serial, (unsigned long long)own->card.card.serial);
    if (!unfinished)
        ENT_TRY(ent_card_succeeds(&own->card, &work->opened, err));
    ENT_TRY(check_lost(node, &work->opened.card, err));
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED &&
            ent_channel_keys(channel, channel->self)->serial < work->opened.card.serial)
            ENT_TRY(check_channel(node, channel, work, err));
    }
    return ENT_DONE;
}

/* --- no head by the old key beyond its cutoff --- */

typedef struct {
    ent_job job;
    const rotation *work;
} wait_job;

static bool is_due(ent_channel *channel, const rotation *work)
{
    return ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED &&
           ent_channel_keys(channel, channel->self)->serial < work->opened.card.serial;
}

static void sign_on(ent_node *node)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++)
        atomic_store(&channel->rotating, false);
}

/* What is said from here on is logged, and the new key signs it. A revoked key may have signed anything: there the
 * cutoff alone counts. */
static ent_rc wait_in(ent_channel *channel, const rotation *work, bool checks, ent_err *err)
{
    ent_known_keys *known = NULL;
    ENT_TRY(keys_in(work, channel, 0, &known, err));
    const ent_log_key *key = &known->keys.log[known->keys.log_count - 1];
    bool waits = key->serial == work->opened.card.serial && !key->revokes;
    uint64_t from = key->from;
    ent_known_keys_free(known);
    if (!waits)
        return ENT_DONE;
    if (checks && ent_channel_signed_size(channel) > from)
        return ent_fail(err, ENT_RETRY, rule,
                        "something was said in channel %.8s since this rotation was prepared, beyond its cutoff at "
                        "%llu entries: prepare the rotation again",
                        channel->id_text, (unsigned long long)from);
    atomic_store(&channel->rotating, true);
    return ENT_DONE;
}

static ent_rc wait_all(ent_node *node, const rotation *work, bool checks, ent_err *err)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_rc rc = is_due(channel, work) ? wait_in(channel, work, checks, err) : ENT_DONE;
        if (rc.code != ENT_OK && (checks || rc.code == ENT_NOMEM)) /* else going on will say what is wrong */
            return rc;
    }
    return ENT_DONE;
}

/* Here nothing is being signed. */
static ent_rc apply_wait(ent_job *job, ent_node *node, ent_err *err)
{
    const wait_job *work = (const wait_job *)job;
    ent_rc rc = wait_all(node, work->work, true, err);
    if (rc.code != ENT_OK)
        sign_on(node);
    return rc;
}

/* --- into use, channel by channel --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    ent_known_keys *known;
    ent_bytes card;
    ent_bytes cutoffs;
} adopt_job;

static ent_rc adopt(void *context, ent_node *node, ent_err *err)
{
    adopt_job *work = context;
    ent_known_keys *known = work->known;
    work->known = NULL; /* the channel's now */
    return ent_keys_put(node, work->channel, work->channel->self, known, work->card, work->cutoffs, err);
}

static ent_rc apply_adopt(ent_job *job, ent_node *node, ent_err *err)
{
    adopt_job *work = (adopt_job *)job;
    ent_channel *channel = work->channel;
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    if ((atomic_load(&channel->rotating) || atomic_load(&channel->keyless)) &&
        channel->members[channel->self].next.tree.size > ent_channel_signed_size(channel))
        channel->sign_head = true; /* what was said meanwhile */
    return adopt(work, node, err);
}

/* The first entry that a key may have signed which was revoked since the log told of keys last. */
static bool contested_from(const ent_keys *keys, uint64_t announced, uint64_t *ret)
{
    for (size_t i = 1; i < keys->log_count; i++) {
        if (!keys->log[i].revokes || keys->log[i].serial <= announced)
            continue;
        *ret = keys->log[i].from;
        return true;
    }
    return false;
}

/* @in   announced   serial of the card that the log told of before */
static void put_body(ent_buf *body, const ent_card *card, ent_bytes card_bytes, const ent_keys *keys,
                     uint64_t announced, ent_text reason)
{
    uint64_t from = 0;
    ent_hash digest;
    ent_json_writer writer = ent_json_writer_of(body);
    ent_sha256(card_bytes, &digest);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_member_unsigned(&writer, "serial", card->serial);
    ent_json_key(&writer, "card_digest");
    ent_json_put_hex(&writer, ent_hash_bytes(&digest));
    ent_json_key(&writer, "keys");
    ent_json_array_begin(&writer);
    size_t named = 0;
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].last + 1 != card->serial)
            continue;
        ent_json_put_text(&writer, ent_text_of(ent_key_role_word(card->former[i].role)));
        named++;
    }
    if (named == 0) /* what else a new card is for */
        ent_json_put_text(&writer, ENT_TEXT("root"));
    ent_json_array_end(&writer);
    if (keys->log_count > 1 && keys->log[keys->log_count - 1].serial == card->serial)
        ent_json_member_unsigned(&writer, "cutoff_size", keys->log[keys->log_count - 1].from);
    if (contested_from(keys, announced, &from))
        ent_json_member_unsigned(&writer, "contested_from", from);
    if (reason.size > 0)
        ent_json_member_text(&writer, "reason", reason);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
}

/* A batch that was undone may have ended a hold (passed.h). */
static void hold_again(ent_channel *channel, ent_hold before)
{
    if (before == ENT_HOLD_PEER_LARGER)
        ent_channel_hold(channel, before,
                         "a head of ours that this store does not hold was shown to us, and the key that signed it "
                         "could not be revoked here: do it again, or `entente recover --from PARTY`");
}

/* "`channel.rotate` is the first entry under the new key": keys and entry are one transaction. Where nothing can be
 * said now, the keys alone: what is said next is by the new key, and it is told as soon as it can be. */
static ent_rc adopt_in(ent_node *node, ent_channel *channel, const rotation *work, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    const ent_card *card = &work->opened.card;
    adopt_job job = {.job = {.apply = apply_adopt},
                     .channel = channel,
                     .card = ent_text_bytes(work->card),
                     .cutoffs = ent_text_bytes(cutoffs_of(work, channel))};
    ent_saying saying = {.channel = channel, .kind = "channel.rotate", .also = adopt, .also_context = &job};
    uint64_t index = 0;
    uint64_t announced = atomic_load(&channel->members[channel->self].keys)->announced;
    ent_hold before = ent_channel_hold_now(channel);
    ENT_TRY(keys_in(work, channel, card->serial, &job.known, err));
    put_body(&body, card, job.card, &job.known->keys, announced, work->reason);
    ent_rc rc = ent_buf_check(&body, err);
    if (rc.code == ENT_OK && ent_channel_state_now(channel) == ENT_CHANNEL_OPEN)
        rc = ent_say_body(node, &saying, ent_buf_bytes(&body), &index, NULL);
    else if (rc.code == ENT_OK)
        rc = ent_rc_of(ENT_REFUSED_NOT_OPEN);
    bool adopted = job.known == NULL && (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER);
    ent_known_keys_free(job.known);
    job.known = NULL;
    if (adopted)
        return ENT_DONE;
    hold_again(channel, before);
    ENT_TRY(keys_in(work, channel, announced, &job.known, err));
    rc = ent_sequencer_run(node, &job.job, err);
    ent_known_keys_free(job.known);
    if (rc.code != ENT_OK)
        hold_again(channel, before);
    return rc;
}

static ent_rc adopt_all(ent_node *node, const rotation *work, ent_err *err)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (is_due(channel, work))
            ENT_TRY(adopt_in(node, channel, work, err));
    }
    return ENT_DONE;
}

/* From here on it is decided: a crash goes on at the next start. */
static ent_rc carry_out(ent_node *node, const rotation *work, ent_err *err)
{
    if (work->opened.card.serial != ent_node_card(node)->card.card.serial)
        ENT_TRY(ent_own_card_use(node, ent_text_bytes(work->card), err));
    ENT_TRY(adopt_all(node, work, err));
    ENT_TRY(node->errands == NULL ? ent_file_write(node->paths.card, 0644, ent_text_bytes(work->card), err)
                                  : ent_errands_write_card(node->errands, ent_text_bytes(work->card), err));
    (void)unlink(node->paths.card_next);
    ent_opener_wake(node->opener); /* a lost age key kept it waiting */
    ent_courier_wake(node->courier);
    ent_report report = ent_report_begin("key.changed");
    ent_report_number(&report, "card", work->opened.card.serial);
    ent_report_end(&report);
    return ENT_DONE;
}

static ent_rc fail_not_here(const ent_node *node, const ent_card *card, ent_key_role role, ent_err *err)
{
    return ent_fail(err, ENT_ABSENT, rule,
                    "the %s key that card %llu brings is not in %s: install it where it was prepared, or prepare it "
                    "again",
                    ent_key_role_word(role), (unsigned long long)card->serial, node->paths.keys);
}

/* Once it is decided, a key that is not there is lost as any other is. */
static ent_rc have_keys(ent_node *node, const ent_card *card, bool decided, ent_err *err)
{
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_TLS; role++) {
        bool lost = false;
        ENT_TRY(ent_own_card_have(node, card, role, &lost, err));
        if (lost && !decided && is_changed(ent_node_card(node), card, role))
            return fail_not_here(node, card, role, err);
    }
    if (decided || !is_changed(ent_node_card(node), card, ENT_KEY_ROLE_TLS))
        return ENT_DONE;
    ENT_CLEANUP(ent_buf_wipe) ent_buf key = {0};
    ent_rc rc =
        ent_keeper_tls_key(node->keeper, ent_card_key_serial(card, ENT_KEY_ROLE_TLS, card->former_count), &key, err);
    return rc.code == ENT_ABSENT ? fail_not_here(node, card, ENT_KEY_ROLE_TLS, err) : rc;
}

static ent_rc rotate(ent_node *node, ent_bytes bundle, ent_err *err)
{
    ENT_CLEANUP(release) rotation work = {0};
    ENT_TRY(read_bundle(bundle, &work, err));
    ENT_TRY(check(node, &work, err));
    ENT_TRY(have_keys(node, &work.opened.card, false, err));
    wait_job wait = {.job = {.apply = apply_wait}, .work = &work};
    ENT_TRY(ent_sequencer_run(node, &wait.job, err));
    ent_rc rc = ent_file_write(node->paths.card_next, 0600, bundle, err);
    if (rc.code != ENT_OK) {
        sign_on(node);
        return rc;
    }
    return carry_out(node, &work, err);
}

/* One at a time: a new one is checked against what is in force once the one before is. */
static pthread_mutex_t one_rotation = PTHREAD_MUTEX_INITIALIZER;

ent_rc ent_rotate(ent_node *node, ent_bytes bundle, ent_err *err)
{
    (void)pthread_mutex_lock(&one_rotation);
    ent_rc rc = rotate(node, bundle, err);
    (void)pthread_mutex_unlock(&one_rotation);
    return rc;
}

/* ABSENT when nothing is on its way. */
static ent_rc read_unfinished(ent_node *node, ent_buf *bundle, rotation *ret, ent_err *err)
{
    ENT_TRY(ent_file_read(node->paths.card_next, ENT_ROTATION_MAX_BYTES, bundle, err));
    ENT_TRY(ent_fail_in(err, read_bundle(ent_buf_bytes(bundle), ret, err), "%s", node->paths.card_next));
    return have_keys(node, &ret->opened.card, true, err);
}

ent_rc ent_rotate_have_keys(ent_node *node, ent_err *err)
{
    ENT_CLEANUP(release) rotation work = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ent_rc rc = read_unfinished(node, &bundle, &work, err);
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

ent_rc ent_rotate_wait(ent_node *node, ent_err *err)
{
    ENT_CLEANUP(release) rotation work = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ent_rc rc = read_unfinished(node, &bundle, &work, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    return wait_all(node, &work, false, err);
}

static ent_rc go_on(ent_node *node, ent_err *err)
{
    ENT_CLEANUP(release) rotation work = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ent_rc rc = read_unfinished(node, &bundle, &work, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    return carry_out(node, &work, err);
}

/* --- what was not said --- */

static ent_rc announce_in(ent_node *node, ent_channel *channel, ent_err *err)
{
    ENT_CLEANUP(release) rotation work = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf cutoffs = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_store_keys row;
    uint64_t index = 0;
    adopt_job job = {.channel = channel};
    ent_saying saying = {.channel = channel, .kind = "channel.rotate", .also = adopt, .also_context = &job};
    ENT_TRY(node->store->engine->keys_get(node->store, channel->members[channel->self].log.number, &row, &card,
                                          &cutoffs, err));
    job.card = ent_buf_bytes(&card);
    job.cutoffs = ent_buf_bytes(&cutoffs);
    ENT_TRY(ent_card_parse(job.card, &work.opened, err));
    ENT_TRY(ent_known_keys_make(channel, channel->self, job.card, job.cutoffs, row.serial, &job.known, err));
    put_body(&body, &work.opened.card, job.card, &job.known->keys, row.announced, work.reason);
    ent_rc rc = ent_buf_check(&body, err);
    if (rc.code == ENT_OK)
        rc = ent_say_body(node, &saying, ent_buf_bytes(&body), &index, err);
    ent_known_keys_free(job.known);
    return rc;
}

void ent_rotate_announce(ent_node *node)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_err err = {0};
        const ent_known_keys *known = atomic_load(&channel->members[channel->self].keys);
        if (known->announced >= known->keys.serial || ent_channel_state_now(channel) != ENT_CHANNEL_OPEN)
            continue;
        ent_rc rc = announce_in(node, channel, &err);
        if (rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER || rc.code == ENT_RETRY)
            continue;
        ent_report report = ent_report_begin("key.not-announced");
        ent_report_string(&report, "channel", channel->id_text);
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
}

void ent_rotate_go_on(ent_node *node)
{
    ent_err err = {0};
    (void)pthread_mutex_lock(&one_rotation);
    ent_rc rc = go_on(node, &err);
    (void)pthread_mutex_unlock(&one_rotation);
    if (rc.code != ENT_OK) {
        ent_report report = ent_report_begin("key.not-changed");
        ent_report_error(&report, &err);
        ent_report_end(&report);
    }
    ent_rotate_announce(node);
}
